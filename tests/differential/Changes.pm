#-------------------------------------------------------------------------
#
# Changes
#	  Statements of a round that change more than "t" in one go: a second
#	  table of the same store, "u"; one whose inserts replace or skip, "m";
#	  one that triggers write, "counts"; views, MERGE, moves between partitions, loops of PL/pgSQL, COPY's
#	  options.
#
# "u" and "m" have the columns that "t" began with.
#
#-------------------------------------------------------------------------
package Changes;

use strict;
use warnings;

use Types;

# What is made beside "t", on each side in its own way, and on both.
sub more_tables
{
	my ($self, $definition, $key, $options) = @_;
	my $unique = "UNIQUE NULLS NOT DISTINCT ($key)";

	return join('', map {
		my ($name, $more) = @$_;

		$options
		  ? "CREATE FOREIGN TABLE $name ($definition)\n"
		  . "SERVER fs OPTIONS ($options$more);\n"
		  . "SELECT fusio_manifest_create_table('$name');\n"
		  : "CREATE TABLE $name ($definition,\n$unique);\n";
	} [ 'u', '' ], [ 'm', ", insert_mode '$self->{insert_mode}'" ])
	  . ($options
		? "CREATE FOREIGN TABLE counts (id int, n int) SERVER fs "
		  . "OPTIONS (key 'id');\n"
		  . "SELECT fusio_manifest_create_table('counts');\n"
		: "CREATE TABLE counts (id int UNIQUE NULLS NOT DISTINCT, n int);\n");
}

sub make_more
{
	my ($self) = @_;
	my $names = key_names($self);

	$self->statement("CREATE VIEW v AS SELECT $names, n FROM t WHERE n < 60 "
		  . 'WITH ' . Types::pick('LOCAL', 'CASCADED') . ' CHECK OPTION');
	$self->statement('CREATE TABLE merged (id text PRIMARY KEY, n int)');
	return;
}

# Triggers that change another table of the store, in whatever order they see
# the rows, and those of statements.
sub make_triggers_on_more
{
	my ($self) = @_;

	$self->statement(<<'SQL');
CREATE FUNCTION count_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_LEVEL = 'STATEMENT' THEN
		INSERT INTO trace SELECT concat_ws(' ', TG_WHEN, TG_OP, count(*),
			sum(n)) FROM counts;
		RETURN NULL;
	END IF;
	UPDATE counts SET n = n + 1 WHERE id = NEW.n % 9;
	IF NOT FOUND THEN
		INSERT INTO counts VALUES (NEW.n % 9, 1);
	END IF;
	RETURN NEW;
END $$
SQL
	$self->statement('CREATE TRIGGER c '
		  . Types::pick('BEFORE', 'AFTER')
		  . ' INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION count_rows()');
	$self->statement("CREATE TRIGGER d_$_ $_ INSERT OR UPDATE OR DELETE ON t "
		  . 'EXECUTE FUNCTION count_rows()')
	  for 'BEFORE', 'AFTER';
	return;
}

sub key_names
{
	my ($self) = @_;

	return join ', ', map { $_->{name} } @{ $self->{keys} };
}

# Of the columns that "u" and "m" have, those that "t" still has too.
sub shared_columns
{
	my ($self) = @_;
	my %in_t = map { $_->{name} => 1 } @{ $self->{columns} };

	return (@{ $self->{keys} }, grep { $in_t{ $_->{name} } && !$_->{generated} }
		  @{ $self->{first_columns} });
}

sub settable_first
{
	my ($self) = @_;

	return (@{ $self->{keys} },
		grep { !$_->{generated} } @{ $self->{first_columns} });
}

sub names { return join ', ', map { $_->{name} } @_; }

sub rows_for
{
	my ($self, $n) = @_;
	my @rows;

	for (1 .. $n)
	{
		my %key = map { $_->[0]{name} => $_->[1] } $self->random_key;

		push @rows, '(' . join(', ', map {
			my $name = $_->{name};

			Types::quote(exists $key{$name} ? $key{$name}
				: Round::column_value($_));
		} settable_first($self)) . ')';
	}
	return join ', ', @rows;
}

# The option insert_mode against ON CONFLICT with a target.  A statement that
# replaces a row twice is refused natively.
sub do_insert_mode
{
	my ($self) = @_;
	my @columns = settable_first($self);
	my $n = Types::pick(1, 1, 2, 5, 40);
	my $sql = 'INSERT INTO m (' . names(@columns) . ') VALUES '
	  . rows_for($self, $n);
	my $returning = Types::irand(0, 2) ? ''
	  : ' RETURNING ' . Types::pick('*', 'm, n + 1');
	my $action = 'DO NOTHING';

	return $self->statement("$sql ON CONFLICT DO NOTHING$returning")
	  if Types::irand(0, 5) == 0;
	$action = 'DO UPDATE SET '
	  . join ', ', map { "$_->{name} = EXCLUDED.$_->{name}" } @columns
	  if $self->{insert_mode} eq 'upsert';
	return $self->order_dependent(
		"$sql ON CONFLICT (" . key_names($self) . ") $action$returning",
		foreign => "$sql$returning",
		states => qr/^21000$/);
}

# Rows of one table to another of the store, in one statement.
sub do_move
{
	my ($self) = @_;
	my $names = names(shared_columns($self));
	my ($from, $to) = @{ Types::pick([ 't', 'u' ], [ 'u', 't' ], [ 'u', 'm' ],
		[ 'm', 'u' ], [ 't', 't' ]) };
	my $condition = $self->condition;
	my $set = $self->{insert_mode} eq 'upsert' && $to eq 'm' ? 'n = 3'
	  : 'n = n + 1';
	my $source = Types::irand(0, 1)
	  ? "DELETE FROM $from WHERE $condition"
	  : "UPDATE $from SET $set WHERE $condition";
	my $conflict = ' ON CONFLICT DO NOTHING';

	# in "t" itself they are back where they were
	$conflict = '' if $from eq 't' && $to eq 't' && $source =~ /^DELETE/;
	return $self->statement("WITH moved AS ($source RETURNING $names) "
		  . "INSERT INTO $to ($names) SELECT $names FROM moved$conflict"
		  . (Types::irand(0, 1) ? '' : ' RETURNING n'));
}

sub do_change_u
{
	my ($self) = @_;
	my @keys = map { $_->{name} } @{ $self->{keys} };
	my $on = join ' AND ', map { "t.$_ = u.$_" } @keys;
	my $table = Types::pick('u', 'm');
	my $kind = Types::irand(0, 5);

	return $self->statement("UPDATE $table SET n = n + 1 WHERE "
		  . $self->condition . ' RETURNING n')
	  if $kind == 0;
	return $self->statement("DELETE FROM $table WHERE " . $self->condition)
	  if $kind == 1;
	return $self->statement("UPDATE u SET n = t.n + 1 FROM t WHERE $on "
		  . 'AND u.n IS DISTINCT FROM t.n RETURNING u.*')
	  if $kind == 2;
	return $self->statement("DELETE FROM u USING t WHERE $on AND t.n % 2 = 0 "
		  . 'RETURNING t.n, u')
	  if $kind == 3;
	return $self->statement('UPDATE u SET n = (SELECT max(t.n) FROM t WHERE '
		  . "$on) WHERE NOT EXISTS (SELECT FROM t WHERE $on AND t.n > 50)")
	  if $kind == 4;

	# every row is found several times, and changed once
	return $self->statement('UPDATE u SET n = n + 1 FROM probe p '
		  . 'WHERE u.n < p.id * 9 RETURNING u.*');
}

sub do_truncate_more
{
	my ($self) = @_;

	return $self->statement('TRUNCATE '
		  . Types::pick('u', 't, u', 'm', 'merged, u RESTART IDENTITY CASCADE'));
}

sub do_view
{
	my ($self) = @_;
	my @key = $self->random_key;
	my $kind = Types::irand(0, 3);

	return $self->statement('UPDATE v SET n = n + '
		  . Types::irand(-20, 20) . ' WHERE ' . $self->condition
		  . ' RETURNING *')
	  if $kind == 0;
	return $self->statement('DELETE FROM v WHERE ' . $self->condition)
	  if $kind == 1;
	return $self->statement('INSERT INTO v (' . key_names($self)
		  . ', n) VALUES (' . join(', ', map { Types::quote($_->[1]) } @key)
		  . ', ' . Types::irand(0, 90) . ')'
		  . Types::pick('', ' ON CONFLICT DO NOTHING', ' RETURNING *'));
}

sub do_merge
{
	my ($self) = @_;
	my $id = 'ROW(' . key_names($self) . ')::text';

	$self->statement("MERGE INTO merged g USING (SELECT $id AS id, n FROM t "
		  . 'WHERE ' . $self->condition . ') s ON g.id = s.id '
		  . 'WHEN MATCHED AND s.n % 3 = 0 THEN DELETE '
		  . 'WHEN MATCHED THEN UPDATE SET n = g.n + s.n '
		  . 'WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.n)');
	return $self->statement('SELECT * FROM merged');
}

# Rows leave a native partition for a foreign one; PostgreSQL moves none out
# of a foreign partition.
sub do_move_partition
{
	my ($self) = @_;
	my $key = $self->{keys}[0];

	return unless $self->{partitioned} && @{ $self->{foreign_tables} } == 1;
	return $self->order_dependent("UPDATE t SET k1 = "
		  . Types::quote($self->key_value($key)->[1]) . ', '
		  . $self->assignments . " WHERE tableoid = 't_1'::regclass AND ("
		  . $self->condition . ')' . $self->returning);
}

# A cursor of PL/pgSQL goes on while the table changes under it.
sub do_loop
{
	my ($self) = @_;
	my @columns = shared_columns($self);
	my $names = names(@columns);
	my $values = join ', ', map { "r.$_->{name}" } @columns;
	my $same = join ' AND ', map {
		"(t.$_->{name} = r.$_->{name} OR "
		  . "(t.$_->{name} IS NULL AND r.$_->{name} IS NULL))"
	} @{ $self->{keys} };

	return $self->statement("DO \$do\$ DECLARE r record; BEGIN "
		  . 'FOR r IN SELECT * FROM t WHERE ' . $self->condition
		  . $self->order_by . ' LIMIT 20 LOOP '
		  . 'BEGIN '
		  . "UPDATE t SET n = n + 1 WHERE $same; "
		  . "INSERT INTO u ($names) VALUES ($values); "
		  . "IF r.n % 4 = 0 THEN RAISE EXCEPTION 'undo'; END IF; "
		  . 'EXCEPTION WHEN raise_exception THEN NULL; '
		  . "WHEN unique_violation THEN DELETE FROM t WHERE $same "
		  . 'AND t.n % 2 = 0; END; END LOOP; END $do$');
}

sub csv_field
{
	my ($text) = @_;

	return '' unless defined $text;
	$text =~ s/"/""/g;
	return "\"$text\"";
}

# Options of COPY; a line that is none comes late, and PostgreSQL looks for
# duplicates when it has read more lines.
sub do_copy_options
{
	my ($self) = @_;
	my @columns = settable_first($self);
	my @left = grep { $_->{key_column} || Types::irand(0, 4) } @columns;
	my %seen;
	my $table = Types::pick('u', 'u', 'm');
	my $data = names(@left) . "\n";
	my $wrong = Types::irand(0, 9) == 0;

	$table = 'u' if $self->{insert_mode} ne 'error';
	for (1 .. Types::pick(2, 20, 100))
	{
		my %key = map { $_->[0]{name} => $_->[1] } $self->random_key;
		my $text = join "\0", map { $_ // "\1" } @key{ sort keys %key };

		next if $seen{$text}++;
		$data .= join(',', map {
			my $name = $_->{name};

			csv_field(exists $key{$name} ? $key{$name}
				: Round::column_value($_));
		} @left) . "\n";
	}
	$data .= "too, many, fields, of, a, line, for, this, table, to, take\n"
	  if $wrong;
	$self->statement("DELETE FROM $table") if Types::irand(0, 1);
	return $self->order_dependent("COPY $table (" . names(@left)
		  . ') FROM STDIN WITH (FORMAT csv, HEADER'
		  . Types::pick('', ' match') . ')'
		  . (Types::irand(0, 2) ? '' : ' WHERE n % 2 = 0'),
		copy => $data,
		states => $wrong ? qr/^22P04$/ : qr/^none$/);
}

sub check_more
{
	my ($self) = @_;

	$self->statement("SELECT * FROM $_") for 'u', 'm', 'counts';
	return;
}

1;
