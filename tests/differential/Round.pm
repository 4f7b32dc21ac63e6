#-------------------------------------------------------------------------
#
# Round
#	  One table of random shape, kept twice: as a native table and as a
#	  foreign one, each in a session of its own; and random statements, which
#	  must answer the same on both.
#
# Everything follows from the round's seed.  The sessions run the same text:
# which table it means is decided by search_path.
#
# Where the two may differ rightly:
#  - two constraints that one statement violates: both answer class 23, in
#    whichever order they looked;
#  - an UPDATE that moves keys onto each other's old places: natively it
#    depends on the order of rows.  Such statements run under a savepoint, and
#    are undone on both sides if only one of them raised 23505.
#  - likewise an INSERT that would replace one row twice (21000 natively), and
#    a COPY with a line that cannot be read (22P04) after a duplicate.
#
#-------------------------------------------------------------------------
package Round;

use strict;
use warnings;

use Types;

use parent 'Changes';

my @SWITCHES = (
	[ 'enable_hashjoin', 'on', 'off' ],
	[ 'enable_nestloop', 'on', 'off' ],
	[ 'enable_mergejoin', 'on', 'off' ],
	[ 'enable_material', 'on', 'off' ],
	[ 'enable_memoize', 'on', 'off' ],
	[ 'enable_sort', 'on', 'off' ],
	[ 'enable_hashagg', 'on', 'off' ],
	[ 'plan_cache_mode', 'auto', 'force_generic_plan', 'force_custom_plan' ],
	[ 'parallel_setup_cost', '1000', '0' ],
	[ 'parallel_tuple_cost', '0.1', '0' ],
	[ 'cursor_tuple_fraction', '0.1', '1' ]);

# Known to the foreign side only.
my @FOREIGN_SWITCHES = (
	[ 'fusio_manifest.enable_filter', 'on', 'off' ],
	[ 'fusio_manifest.enable_sparse_index', 'on', 'on', 'off' ],
	[ 'fusio_manifest.enable_cache', 'on', 'off' ]);

sub new
{
	my ($class, %arg) = @_;
	my $self = bless {
		%arg,		# native, foreign (sessions), seed, location, block options
		log => [],
		savepoints => [],
		prepared => [],
		cursors => [],
		status => 'I',
		serial => 0,
		rows_seen => 0,
	}, $class;

	srand $self->{seed};
	$self->make_table;
	return $self;
}

# Makes up the columns, and creates both tables.
sub make_table
{
	my ($self) = @_;
	my $nkeys = Types::pick(1, 1, 1, 2, 2, 3);
	my $ncolumns = Types::irand(0, 5);
	my (@keys, @columns, @all);

	for my $i (1 .. $nkeys)
	{
		my $type = Types::pick(@Types::KEY_TYPES);
		my %pool;

		$pool{ $Types::TYPE{$type}{gen}->() } = 1
		  for 1 .. Types::irand(4, $nkeys == 1 ? 40 : 12);
		push @keys, {
			name => "k$i",
			key_column => 1,
			type => $type,
			desc => Types::irand(0, 2) == 0,
			not_null => Types::irand(0, 3) == 0,
			pool => [ sort keys %pool ] };
	}
	for my $i (1 .. $ncolumns)
	{
		my $type = Types::pick(@Types::ALL_TYPES);

		push @columns, {
			name => "c$i",
			type => $type,
			not_null => Types::irand(0, 7) == 0,
			default => Types::irand(0, 5) == 0
			? $Types::TYPE{$type}{gen}->() : undef };
	}
	$self->{small_buffer} = Types::irand(0, 2) == 0;
	push @columns, { name => 'c0', type => 'bigtext' }
	  if $self->{small_buffer};		# so that it spills
	push @columns, { name => 'n', type => 'int4' };
	push @columns, { name => 'g', type => 'int4', generated => 'n * 2' }
	  if Types::irand(0, 4) == 0;
	$self->{keys} = \@keys;
	$self->{columns} = \@columns;
	$self->{first_columns} = [@columns];
	$self->{insert_mode} = Types::pick('upsert', 'ignore');

	# key columns need not come first
	@all = (@keys, @columns);
	@all = sort { $a->{name} cmp $b->{name} } @all if Types::irand(0, 1);
	my $definition = join ', ',
	  (map { column_definition($_) } @all),
	  'CONSTRAINT t_check CHECK (n > -1000000)';
	my $key = join ', ', map { $_->{name} . ($_->{desc} ? ' DESC' : '') }
	  @keys;
	my $names = join ', ', map { $_->{name} } @keys;
	my $options = join ', ', map { "$_->[0] " . Types::quote($_->[1]) }
	  [ 'key', $key ],
	  grep { Types::irand(0, 1) }
	  [ 'block_size', Types::pick(@{ $self->{block_sizes} }) ],
	  [ 'compression', Types::pick('none', 'zstd:1', 'zstd:9') ],
	  [ 'filter', Types::pick('auto', 'none', 'bloom:10', 'fuse:8',
		  'fuse:16') ];
	my $common = <<'SQL';
CREATE TABLE probe (id int PRIMARY KEY, %s);
CREATE TABLE trace (what text);
SQL
	my @probe = map {
		column_definition(
			{ name => $_->{name}, type => $_->{type} })
	} @keys;

	$common = sprintf $common, join ', ', @probe;
	$self->{partitioned} = Types::irand(0, 5) == 0;
	$self->{foreign_tables} = !$self->{partitioned} ? ['t']
	  : Types::irand(0, 1) ? ['t_0']
	  : [ 't_0', 't_1' ];
	$self->side('native', 'CREATE SCHEMA n; SET search_path = n, public; '
		  . $self->table_sql($definition, $names)
		  . $self->more_tables($definition, $names) . $common);
	$self->side('foreign', 'CREATE SCHEMA f; SET search_path = f, public; '
		  . ($self->{mock} ? '' : 'CREATE SERVER fs FOREIGN DATA WRAPPER '
			  . 'fusio_manifest OPTIONS (location '
			  . Types::quote($self->{location}) . ");\n")
		  . $self->table_sql($definition, $names,
			$self->{mock} ? undef : $options)
		  . $self->more_tables($definition, $names,
			$self->{mock} ? undef : $options) . $common);
	for my $table (@{ $self->{foreign_tables} })
	{
		$self->side('foreign', "SELECT fusio_manifest_create_table('$table')")
		  unless $self->{mock};
	}
	$self->statement($self->probe_rows);
	$self->make_more;
	$self->make_trigger if Types::irand(0, 4) == 0;
	$self->make_triggers_on_more if Types::irand(0, 5) == 0;
	$self->side('foreign', "SET fusio_manifest.write_buffer = "
		  . Types::quote($self->{small_write_buffer}))
	  if $self->{small_buffer} && !$self->{mock};
	return;
}

# "t" itself, or its partitions, are foreign where options are given.
sub table_sql
{
	my ($self, $definition, $key, $options) = @_;
	my $unique = "UNIQUE NULLS NOT DISTINCT ($key)";
	my %foreign = map { $_ => 1 } @{ $self->{foreign_tables} };
	my $sql = '';

	if (!$self->{partitioned})
	{
		return "CREATE FOREIGN TABLE t ($definition)\n"
		  . "SERVER fs OPTIONS ($options);\n"
		  if $options;
		return "CREATE TABLE t ($definition,\n$unique);\n";
	}
	$sql = "CREATE TABLE t ($definition) PARTITION BY HASH (k1);\n";
	for my $i (0, 1)
	{
		my $values = "FOR VALUES WITH (MODULUS 2, REMAINDER $i)";

		$sql .= $options && $foreign{"t_$i"}
		  ? "CREATE FOREIGN TABLE t_$i PARTITION OF t $values\n"
		  . "SERVER fs OPTIONS ($options);\n"
		  : "CREATE TABLE t_$i PARTITION OF t ($unique) $values;\n";
	}
	return $sql;
}

sub column_definition
{
	my ($column) = @_;
	my $type = $Types::TYPE{ $column->{type} };
	my $text = "$column->{name} $type->{sql}";

	$text .= " COLLATE $type->{collate}" if $type->{collate};
	$text .= ' NOT NULL' if $column->{not_null};
	$text .= ' DEFAULT ' . Types::quote($column->{default})
	  if defined $column->{default};
	$text .= " GENERATED ALWAYS AS ($column->{generated}) STORED"
	  if $column->{generated};
	return $text;
}

sub make_trigger
{
	my ($self) = @_;

	$self->statement(<<'SQL');
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_WHEN = 'AFTER' THEN
		INSERT INTO trace VALUES (TG_OP || CASE WHEN TG_OP <> 'INSERT'
			THEN OLD::text ELSE '' END || CASE WHEN TG_OP <> 'DELETE'
			THEN NEW::text ELSE '' END);
		RETURN NULL;
	ELSIF TG_OP = 'DELETE' THEN
		RETURN OLD;
	END IF;
	IF NEW.n % 7 = 3 THEN
		RETURN NULL;
	END IF;
	NEW.n = NEW.n + 1;
	RETURN NEW;
END $$
SQL
	$self->statement('CREATE TRIGGER a BEFORE INSERT OR UPDATE OR DELETE '
		  . 'ON t FOR EACH ROW EXECUTE FUNCTION note()')
	  if Types::irand(0, 1);
	$self->statement('CREATE TRIGGER b AFTER INSERT OR UPDATE OR DELETE '
		  . 'ON t FOR EACH ROW EXECUTE FUNCTION note()');
	return;
}

# Probe rows for joins: some keys of the pools, some not.
sub probe_rows
{
	my ($self) = @_;
	my @rows;

	for my $id (1 .. 12)
	{
		push @rows, "($id, "
		  . join(', ', map { literal($_) } $self->random_key) . ')';
	}
	return 'INSERT INTO probe VALUES ' . join ', ', @rows;
}

# Removes both tables, and what the sessions keep.
sub drop
{
	my ($self) = @_;
	my $reset = 'DEALLOCATE ALL; RESET ALL; '
	  . 'SET client_min_messages = error;';

	$self->{native}->query('ROLLBACK');
	$self->{foreign}->query('ROLLBACK');
	$self->{native}->run("$reset DROP SCHEMA n CASCADE");
	$self->{foreign}->run("$reset DROP SCHEMA f CASCADE");
	$self->{foreign}->run('DROP SERVER fs CASCADE') unless $self->{mock};
	return;
}

# ----------------------------------------------------------------------
# running and comparing
# ----------------------------------------------------------------------

# On one side only; must succeed, as nothing can be compared.
sub side
{
	my ($self, $side, $sql) = @_;
	my $result;

	push @{ $self->{log} }, [ $side, $sql ];
	$result = $self->{$side}->query($sql);
	$self->mismatch("$side: " . $self->{$side}->describe($result))
	  if $result->{lost} || defined $result->{sqlstate};
	return $result;
}

# On both sides, the foreign one with a text of its own where one is given;
# dies of a difference.  Returns the native result.
sub statement
{
	my ($self, $sql, %arg) = @_;
	my $foreign_sql = $self->{mock} ? $sql : $arg{foreign} // $sql;
	my ($native, $foreign);

	if ($foreign_sql eq $sql)
	{
		push @{ $self->{log} }, [ 'both', $sql, $arg{copy} ];
	}
	else
	{
		push @{ $self->{log} }, [ 'native', $sql ],
		  [ 'foreign', $foreign_sql ];
	}
	$self->{native}->send($sql, $arg{copy});
	$self->{foreign}->send($foreign_sql, $arg{copy});
	$native = $self->{native}->result;
	$foreign = $self->{foreign}->result;
	$self->{serial}++;
	$self->{failures}++ if defined $native->{sqlstate};
	$self->{rows_seen} += @{ $native->{rows} };
	return ($native, $foreign) if $arg{unchecked};
	$self->compare($native, $foreign, $arg{ordered});
	$self->{status} = $native->{status};
	return $native;
}

sub compare
{
	my ($self, $native, $foreign, $ordered) = @_;
	my ($expected, $got);

	$self->mismatch('native connection lost') if $native->{lost};
	$self->mismatch('foreign connection lost') if $foreign->{lost};
	$expected = $native->{sqlstate} // '';
	$got = $foreign->{sqlstate} // '';
	if ($expected ne $got)
	{
		$self->mismatch('native: '
			  . $self->{native}->describe($native)
			  . "\nforeign: " . $self->{foreign}->describe($foreign))
		  unless $expected =~ /^23/ && $got =~ /^23/;
	}
	$self->mismatch("native status: $native->{status}, "
		  . "foreign status: $foreign->{status}")
	  if $native->{status} ne $foreign->{status};
	return if $expected ne '';
	$self->mismatch("native: @{ $native->{tags} }\n"
		  . "foreign: @{ $foreign->{tags} }")
	  if "@{ $native->{tags} }" ne "@{ $foreign->{tags} }";
	$expected = lines($native, $ordered);
	$got = lines($foreign, $ordered);
	return if join("\n", @$expected) eq join("\n", @$got);
	$self->mismatch(differences($expected, $got));
	return;
}

sub lines
{
	my ($result, $ordered) = @_;
	my @lines = map {
		join '|', map { defined $_ ? "<$_>" : 'NULL' } @$_
	} @{ $result->{rows} };

	push @lines, split /\n/, $result->{copied};
	@lines = sort @lines unless $ordered;
	return \@lines;
}

# Which lines are on one side only, or where the order differs.
sub differences
{
	my ($expected, $got) = @_;
	my (%count, @text);

	$count{$_}++ for @$expected;
	$count{$_}-- for @$got;
	for my $line (sort keys %count)
	{
		push @text, "native only: $line" if $count{$line} > 0;
		push @text, "foreign only: $line" if $count{$line} < 0;
	}
	push @text, 'the same rows in another order:', 'native:', @$expected,
	  'foreign:', @$got
	  unless @text;
	splice @text, 40, @text - 40, '...' if @text > 41;
	return join "\n", map { length > 500 ? substr($_, 0, 500) . '...' : $_ }
	  @text;
}

sub mismatch
{
	my ($self, $text) = @_;
	my @log;

	for my $entry (@{ $self->{log} })
	{
		my ($side, $sql, $copy) = @$entry;

		push @log, ($side eq 'both' ? '' : "/* $side */ ") . "$sql;";
		push @log, $copy . '\.' if defined $copy;
	}
	die { seed => $self->{seed}, log => join("\n", @log), text => $text };
}

# ----------------------------------------------------------------------
# pieces of statements
# ----------------------------------------------------------------------

# A column's value is a pair: column, text.
sub literal
{
	my ($value) = @_;
	my ($column, $text) = @$value;

	return Types::quote($text) . "::$Types::TYPE{$column->{type}}{sql}"
	  if defined $text && Types::irand(0, 2) == 0;
	return Types::quote($text);
}

sub key_value
{
	my ($self, $key) = @_;

	return [ $key, undef ] if Types::irand(0, 11) == 0 && !$key->{not_null};
	return [ $key, Types::pick(@{ $key->{pool} }) ] if Types::irand(0, 19);
	return [ $key, $Types::TYPE{ $key->{type} }{gen}->() ];
}

sub random_key
{
	my ($self) = @_;

	return map { $self->key_value($_) } @{ $self->{keys} };
}

sub random_row
{
	my ($self) = @_;

	return ($self->random_key,
		map { [ $_, column_value($_) ] } $self->settable);
}

sub settable
{
	my ($self) = @_;

	return grep { !$_->{generated} } @{ $self->{columns} };
}

sub column_value
{
	my ($column) = @_;

	return Types::irand(0, 300) ? Types::irand(0, 99) : -1000000
	  if $column->{name} eq 'n';
	return undef if Types::irand(0, 6) == 0
	  && (!$column->{not_null} || Types::irand(0, 9) == 0);
	return $Types::TYPE{ $column->{type} }{gen}->();
}

# "a = 1 AND b IS NULL"
sub equal
{
	my ($self, @values) = @_;

	return join ' AND ', map {
		defined $_->[1]
		  ? (Types::irand(0, 4)
			? "$_->[0]{name} = " . literal($_)
			: literal($_) . " = $_->[0]{name}")
		  : "$_->[0]{name} IS NULL"
	} @values;
}

# A random condition, mostly on key columns.
sub condition
{
	my ($self) = @_;
	my $kind = Types::irand(0, 19);

	return $self->conjunction if $kind > 4;
	return join ' OR ', map { '(' . $self->conjunction . ')' }
	  0 .. Types::irand(1, 3)
	  if $kind < 3;
	return '(' . join(' OR ', $self->conjunction, $self->conjunction) . ') AND '
	  . $self->conjunction
	  if $kind == 3;
	return $self->row_condition;
}

# "(a, b) > (1, 2)", "(a, b) IN ((1, 2), (3, 4))"
sub row_condition
{
	my ($self) = @_;
	my @keys = @{ $self->{keys} };
	my $last = Types::irand(0, $#keys);
	my $columns = join ', ', map { $_->{name} } @keys[ 0 .. $last ];
	my $row = sub {
		return '(' . join(', ', map { literal($self->key_value($_)) }
			@keys[ 0 .. $last ]) . ')';
	};

	return "($columns) IN (" . join(', ', map { $row->() }
		0 .. Types::irand(0, 4)) . ')'
	  if Types::irand(0, 1);
	return "($columns) " . Types::pick('<', '<=', '>', '>=') . ' ' . $row->();
}

sub conjunction
{
	my ($self) = @_;
	my @keys = @{ $self->{keys} };
	my $prefix = Types::irand(0, $#keys);
	my @parts = map {
		Types::irand(0, 3)
		  ? $self->equal($self->key_value($_))
		  : $self->column_condition($_)
	} @keys[ 0 .. $prefix - 1 ];
	my $kind = Types::irand(0, 9);

	return $self->equal($self->random_key) if $kind < 3;
	return 'true' if $kind == 3;
	return 'n % ' . Types::irand(2, 5) . ' = 1' if $kind == 4;
	push @parts, $self->column_condition(Types::irand(0, 5)
		? $keys[$prefix] : Types::pick(@keys));
	push @parts, 'n > ' . Types::irand(0, 99) if Types::irand(0, 5) == 0;
	return join ' OR ', map { "($_)" } @parts, $self->equal($self->random_key)
	  if Types::irand(0, 9) == 0;
	return join ' AND ', @parts;
}

# The first characters, of UTF-8, of a text.
sub beginning
{
	my ($text) = @_;
	my $n = Types::irand(0, 3);

	return $text =~ /^((?:[^\x80-\xbf][\x80-\xbf]*){0,$n})/ ? $1 : '';
}

sub column_condition
{
	my ($self, $key) = @_;
	my $type = $Types::TYPE{ $key->{type} };
	my $name = $key->{name};
	my $kind = Types::irand(0, 9);

	return "$name IS NULL" if $kind == 0;
	return "$name IS NOT NULL" if $kind == 1;
	return "$name <> " . literal($self->key_value($key)) if $kind == 2;
	if ($kind < 5)
	{
		my @values = map { Types::quote($_->[1]) }
		  map { $self->key_value($key) } 1 .. Types::irand(0, 6);

		return "$name = ANY (ARRAY[" . join(', ', @values)
		  . "]::$type->{sql}\[])"
		  if !@values || Types::irand(0, 1);
		return "$name IN (" . join(', ', @values) . ')';
	}
	if ($kind == 5 && $type->{cross})
	{
		my $value = $self->key_value($key);

		return "$name " . Types::pick('=', '<', '>=') . ' '
		  . Types::quote($value->[1]) . '::' . Types::pick(@{ $type->{cross} });
	}
	return "$name LIKE " . Types::quote(beginning($self->key_value($key)->[1] // '')
		  . Types::pick('', '%', '%', '_%'))
	  if $kind == 6 && $key->{type} =~ /^(text|varchar|char\()/
	  && Types::irand(0, 1);
	return "$name BETWEEN " . Types::pick('', 'SYMMETRIC ') . literal($self->key_value($key)) . ' AND '
	  . literal($self->key_value($key))
	  if $kind == 6;
	return "$name " . Types::pick('<', '<=', '>', '>=', '=') . ' '
	  . literal($self->key_value($key));
}

# ORDER BY the whole key: a total order.
sub order_by
{
	my ($self) = @_;
	my $kind = Types::irand(0, 3);

	return ' ORDER BY ' . join ', ', map {
		my $desc = $kind == 0 ? $_->{desc}
		  : $kind == 1 ? !$_->{desc}
		  : Types::irand(0, 1);

		$_->{name} . ($desc ? ' DESC' : '')
		  . ($kind < 3 ? '' : Types::pick(' NULLS FIRST', ' NULLS LAST'));
	} @{ $self->{keys} };
}

sub columns
{
	my ($self) = @_;
	my @names = map { $_->{name} } @{ $self->{keys} }, @{ $self->{columns} };

	return '*' if Types::irand(0, 1);
	return 't' if Types::irand(0, 9) == 0;
	return join ', ', map { Types::pick(@names) } 1 .. Types::irand(1, 4);
}

sub returning
{
	my ($self) = @_;

	return '' if Types::irand(0, 2);
	return ' RETURNING *' if Types::irand(0, 2);
	return ' RETURNING t, n + 1, ' . $self->{keys}[0]{name};
}

sub copy_field
{
	my ($text) = @_;

	return '\N' unless defined $text;
	$text =~ s/\\/\\\\/g;
	$text =~ s/\t/\\t/g;
	$text =~ s/\n/\\n/g;
	return $text;
}

# ----------------------------------------------------------------------
# statements
# ----------------------------------------------------------------------

# [weight, method]
my @OPERATIONS = (
	[ 14, 'do_insert' ],
	[ 6, 'do_copy' ],
	[ 9, 'do_update' ],
	[ 4, 'do_update_key' ],
	[ 9, 'do_delete' ],
	[ 3, 'do_update_join' ],
	[ 2, 'do_insert_select' ],
	[ 2, 'do_modifying_cte' ],
	[ 2, 'do_exception_block' ],
	[ 6, 'do_insert_mode' ],
	[ 5, 'do_move' ],
	[ 4, 'do_change_u' ],
	[ 1, 'do_truncate_more' ],
	[ 3, 'do_view' ],
	[ 2, 'do_merge' ],
	[ 3, 'do_move_partition' ],
	[ 2, 'do_loop' ],
	[ 3, 'do_copy_options' ],
	[ 20, 'do_select' ],
	[ 8, 'do_order' ],
	[ 8, 'do_join' ],
	[ 6, 'do_aggregate' ],
	[ 6, 'do_prepare' ],
	[ 18, 'do_execute' ],
	[ 3, 'do_cursor' ],
	[ 5, 'do_fetch' ],
	[ 3, 'do_lock' ],
	[ 10, 'do_begin' ],
	[ 8, 'do_commit' ],
	[ 4, 'do_rollback' ],
	[ 7, 'do_savepoint' ],
	[ 4, 'do_rollback_to' ],
	[ 3, 'do_release' ],
	[ 5, 'do_switch' ],
	[ 6, 'do_compact' ],
	[ 2, 'do_explain' ],
	[ 1, 'do_alter' ],
	[ 3, 'check' ]);
my $total = 0;
$total += $_->[0] for @OPERATIONS;

sub step
{
	my ($self) = @_;
	my $choice = rand $total;

	if ($self->{status} eq 'E')
	{
		return $self->do_rollback_to
		  if @{ $self->{savepoints} } && Types::irand(0, 4);
		return $self->do_rollback if Types::irand(0, 9);
	}
	for my $operation (@OPERATIONS)
	{
		my ($weight, $method) = @$operation;

		return $self->$method if $choice < $weight;
		$choice -= $weight;
	}
	return;
}

sub do_insert
{
	my ($self) = @_;
	my @columns = (@{ $self->{keys} }, $self->settable);
	my $default = Types::irand(0, 3) == 0;
	my $n = Types::pick(1, 1, 1, 2, 5, Types::irand(10, 60));
	my (@rows, %seen);

	for (1 .. $n)
	{
		my @row = $self->random_row;

		next if $seen{ $self->key_text(@row) }++ && Types::irand(0, 49);
		push @rows, '(' . join(', ', map {
			$default && $_->[0]{default} ? 'DEFAULT' : Types::quote($_->[1])
		} @row) . ')';
	}
	return $self->statement('INSERT INTO t ('
		  . join(', ', map { $_->{name} } @columns) . ') VALUES '
		  . join(', ', @rows)
		  . (Types::irand(0, $n > 2 ? 1 : 3) ? '' : ' ON CONFLICT DO NOTHING')
		  . $self->returning);
}

sub key_text
{
	my ($self, @row) = @_;

	return join '|', map { $row[$_][1] // 'NULL' } 0 .. $#{ $self->{keys} };
}

# Rows of distinct keys, so that many are loaded, and some that are not.
sub do_copy
{
	my ($self) = @_;
	my @columns = (@{ $self->{keys} }, $self->settable);
	my %seen;
	my $data = '';

	for (1 .. Types::pick(3, 30, 300))
	{
		my @row = $self->random_row;

		next if $seen{ $self->key_text(@row) }++ && Types::irand(0, 99);
		$data .= join("\t", map { copy_field($_->[1]) } @row) . "\n";
	}
	$self->do_delete_all if Types::irand(0, 2) == 0;
	return $self->statement('COPY t ('
		  . join(', ', map { $_->{name} } @columns) . ') FROM STDIN',
		copy => $data);
}

sub do_delete_all
{
	my ($self) = @_;

	return $self->statement(Types::irand(0, 1) == 0 ? 'TRUNCATE t' : 'DELETE FROM t');
}

sub assignments
{
	my ($self) = @_;
	my @columns = $self->settable;
	my %set;

	for (1 .. Types::irand(1, 2))
	{
		my $column = Types::pick(@columns);
		my $name = $column->{name};

		$set{$name} = $name eq 'n' && Types::irand(0, 1)
		  ? 'n + 1'
		  : Types::quote(column_value($column));
	}
	return join ', ', map { "$_ = $set{$_}" } sort keys %set;
}

sub do_update
{
	my ($self) = @_;

	return $self->statement('UPDATE t SET ' . $self->assignments
		  . ' WHERE ' . $self->condition . $self->returning);
}

sub do_update_key
{
	my ($self) = @_;
	my $key = Types::pick(@{ $self->{keys} });
	my @where = $self->random_key;
	my $sql;

	# core moves no row out of a foreign partition
	return if $self->{partitioned} && $key->{name} eq 'k1';
	$sql = "UPDATE t SET $key->{name} = "
	  . Types::quote($self->key_value($key)->[1]) . ', ' . $self->assignments
	  . ' WHERE ';

	return $self->statement($sql . $self->equal(@where) . $self->returning)
	  if Types::irand(0, 2);
	return $self->order_dependent($sql . $self->condition
		  . $self->returning);
}

# See the banner: undone on both sides where they differ in what was expected.
sub order_dependent
{
	my ($self, $sql, %arg) = @_;
	my $states = delete $arg{states} // qr/^23505$/;
	my ($expected, $got);
	my $idle = $self->{status} eq 'I';
	my ($native, $foreign);

	$self->statement('BEGIN') if $idle;
	$self->statement('SAVEPOINT order_dependent');
	($native, $foreign) = $self->statement($sql, %arg, unchecked => 1);
	$expected = $native->{sqlstate} // '';
	$got = $foreign->{sqlstate} // '';
	if ($expected ne $got && grep { $_ =~ $states } $expected, $got)
	{
		$self->{excepted}++;
	}
	else
	{
		$self->compare($native, $foreign, 0);
	}
	$self->statement('ROLLBACK TO order_dependent')
	  if defined $native->{sqlstate} || defined $foreign->{sqlstate};
	$self->statement('RELEASE order_dependent');
	$self->statement('COMMIT') if $idle;
	return;
}

sub do_delete
{
	my ($self) = @_;

	return $self->statement('DELETE FROM t WHERE ' . $self->condition
		  . $self->returning);
}

sub do_update_join
{
	my ($self) = @_;
	my @names = map { $_->{name} } @{ $self->{keys} };
	my $on = join ' AND ', map { "t.$_ = p.$_" } @names;
	my $source = 'SELECT DISTINCT ON (' . join(', ', @names)
	  . ') * FROM probe ORDER BY ' . join(', ', @names, 'id');

	return $self->statement("DELETE FROM t USING probe p WHERE $on"
		  . ' AND p.id < ' . Types::irand(1, 12))
	  if Types::irand(0, 1);
	return $self->statement("UPDATE t SET n = p.id FROM ($source) p WHERE $on"
		  . (Types::irand(0, 1) ? ' RETURNING t.*, p.id' : ''));
}

sub do_insert_select
{
	my ($self) = @_;
	my $key = Types::pick(@{ $self->{keys} });
	my @columns = (@{ $self->{keys} }, $self->settable);
	my $names = join ', ', map { $_->{name} } @columns;
	my $value = Types::quote($self->key_value($key)->[1])
	  . "::$Types::TYPE{$key->{type}}{sql}";
	my $select = join ', ', map { $_ == $key ? $value : $_->{name} } @columns;

	# the first row of a key wins: the order must be the same on both sides
	return $self->statement("INSERT INTO t ($names) SELECT $select FROM t"
		  . ' WHERE ' . $self->condition . $self->order_by
		  . ' ON CONFLICT DO NOTHING')
	  if Types::irand(0, 1);
	return $self->statement("INSERT INTO t ($names) SELECT $select FROM t"
		  . ' WHERE ' . $self->condition);
}

sub do_modifying_cte
{
	my ($self) = @_;
	my $change = Types::irand(0, 1)
	  ? 'DELETE FROM t WHERE ' . $self->condition
	  : 'UPDATE t SET n = 5 WHERE ' . $self->condition;

	# the main query reads what was there before
	return $self->statement("WITH changed AS ($change RETURNING t.*) "
		  . 'SELECT count(*), sum(n), (SELECT count(*) FROM changed) FROM t');
}

sub do_exception_block
{
	my ($self) = @_;
	my @columns = (@{ $self->{keys} }, $self->settable);
	my $names = join ', ', map { $_->{name} } @columns;
	my $body = '';

	for (1 .. Types::irand(1, 5))
	{
		my $row = join ', ', map { Types::quote($_->[1]) } $self->random_row;

		$body .= "BEGIN INSERT INTO t ($names) VALUES ($row); "
		  . 'EXCEPTION WHEN integrity_constraint_violation THEN '
		  . 'UPDATE t SET n = n + 1 WHERE '
		  . $self->equal($self->random_key) . '; END; ';
	}
	return $self->statement("DO \$do\$ BEGIN $body END \$do\$");
}

sub do_select
{
	my ($self) = @_;

	return $self->statement('SELECT ' . $self->columns . ' FROM t WHERE '
		  . $self->condition);
}

sub do_order
{
	my ($self) = @_;
	my $sql = 'SELECT * FROM t WHERE ' . $self->condition . $self->order_by;

	$sql .= ' LIMIT ' . Types::irand(0, 9) if Types::irand(0, 1);
	$sql .= ' OFFSET ' . Types::irand(0, 5) if Types::irand(0, 3) == 0;
	return $self->statement($sql, ordered => 1);
}

sub do_join
{
	my ($self) = @_;
	my @names = map { $_->{name} } @{ $self->{keys} };
	my $n = Types::irand(1, scalar @names);
	my $on = join ' AND ', map { "t.$_ = p.$_" } @names[ 0 .. $n - 1 ];

	$on = join ' AND ', ($n > 1 ? "t.$names[0] = p.$names[0]" : ()),
	  Types::pick(
		"t.$names[$n - 1] " . Types::pick('<', '>=') . " p.$names[$n - 1]",
		"t.$names[$n - 1] = ANY (ARRAY[p.$names[$n - 1], p.$names[$n - 1]])",
		"(t.$names[$n - 1] = p.$names[$n - 1] OR t.$names[$n - 1] IS NULL AND p.id < 3)")
	  if Types::irand(0, 4) == 0;
	my $kind = Types::irand(0, 7);

	return $self->statement("SELECT p.id, t.* FROM probe p "
		  . Types::pick('JOIN', 'LEFT JOIN', $on =~ / [<>]|ANY| OR / ? () : 'FULL JOIN')
		  . " t ON $on")
	  if $kind < 2;
	return $self->statement('SELECT * FROM probe p WHERE '
		  . Types::pick('', 'NOT ') . "EXISTS (SELECT FROM t WHERE $on)")
	  if $kind == 2;
	return $self->statement("SELECT p.id, (SELECT max(t.n) FROM t WHERE $on) "
		  . 'FROM probe p')
	  if $kind == 3;
	return $self->statement('SELECT p.id, x.* FROM probe p, LATERAL '
		  . "(SELECT * FROM t WHERE $on" . $self->order_by . ' LIMIT 2) x')
	  if $kind == 4;
	if ($kind == 5)
	{
		$on =~ s/p\./b./g;
		return $self->statement("SELECT t.*, b.n FROM t JOIN t b ON $on "
			  . 'WHERE t.n > b.n');
	}
	return $self->statement("SELECT id, t.n FROM t RIGHT JOIN probe p ON $on "
		  . 'AND t.n > p.id WHERE p.id > 3')
	  if $kind == 6;
	return $self->statement("SELECT t.* FROM t WHERE $names[0] = ANY "
		  . "(ARRAY(SELECT p.$names[0] FROM probe p))");
}

sub do_aggregate
{
	my ($self) = @_;
	my $key = Types::pick(@{ $self->{keys} });
	my $type = $Types::TYPE{ $key->{type} };
	my $canonical = $type->{canonical} // '%s';
	my $condition = $self->condition;
	my $kind = Types::irand(0, 3);

	return $self->statement("SELECT count(*), sum(n), count(n) FROM t WHERE "
		  . $condition)
	  if $kind == 0;
	return $self->statement('SELECT '
		  . sprintf($canonical, $key->{name})
		  . ", count(*), max(n) FROM t WHERE $condition "
		  . "GROUP BY $key->{name}")
	  if $kind == 1;
	return $self->statement(
		"SELECT count(*) FROM (SELECT 1 FROM t WHERE $condition LIMIT 3) x")
	  if $kind == 2;
	return $self->statement('SELECT '
		  . sprintf($canonical, "min($key->{name})") . ', '
		  . sprintf($canonical, "max($key->{name})")
		  . " FROM t WHERE $condition")
	  if $type->{minmax};
	return $self->statement("SELECT count(*) FROM "
		  . "(SELECT DISTINCT $key->{name} FROM t WHERE $condition) x");
}

# Remembers the statement with what each parameter is a value of.
sub do_prepare
{
	my ($self) = @_;
	my @keys = @{ $self->{keys} };
	my $name = 'p' . $self->{serial};
	my $on = join ' AND ', map { "$keys[$_]{name} = \$" . ($_ + 1) } 0 .. $#keys;
	my @parameters = @keys;
	my $kind = Types::irand(0, 6);
	my $array = '';
	my ($sql, $types);

	if ($kind < 3)
	{
		$sql = 'SELECT ' . $self->columns . " FROM t WHERE $on";
	}
	elsif ($kind == 3)
	{
		$sql = "UPDATE t SET n = n + 1 WHERE $on" . $self->returning;
	}
	elsif ($kind == 4)
	{
		$sql = "DELETE FROM t WHERE $on" . $self->returning;
	}
	elsif ($kind == 5)
	{
		my @columns = (@keys, $self->settable);

		@parameters = @columns;
		$sql = 'INSERT INTO t (' . join(', ', map { $_->{name} } @columns)
		  . ') VALUES (' . join(', ', map { "\$$_" } 1 .. @columns) . ')'
		  . $self->returning;
	}
	else
	{
		@parameters = ($keys[0]);
		$array = '[]';
		$sql = "SELECT * FROM t WHERE $keys[0]{name} = ANY (\$1)";
	}
	$types = join ', ', map { $Types::TYPE{ $_->{type} }{sql} . $array }
	  @parameters;
	my $result = $self->statement("PREPARE $name ($types) AS $sql");
	push @{ $self->{prepared} },
	  { name => $name, parameters => \@parameters, array => $array,
		left => Types::irand(6, 9) }
	  unless defined $result->{sqlstate};
	return $result;
}

# Mostly the newest ones, so that many are executed a sixth time.
sub do_execute
{
	my ($self) = @_;
	my $prepared = $self->{prepared};
	my $entry = @$prepared ? $prepared->[ Types::irand(0, 1)
		  ? -1 : Types::irand(0, $#$prepared) ] : return;
	my @keys = @{ $self->{keys} };
	my @values = map {
		my $column = $_;
		my $is_key = grep { $_ == $column } @keys;

		$entry->{array}
		  ? 'ARRAY[' . join(', ', map { Types::quote($self->key_value($column)->[1]) }
			  1 .. Types::irand(0, 7))
		  . "]::$Types::TYPE{$column->{type}}{sql}\[]"
		  : Types::quote($is_key ? $self->key_value($column)->[1]
			: column_value($column));
	} @{ $entry->{parameters} };
	my $sql = "EXECUTE $entry->{name} (" . join(', ', @values) . ')';

	if (--$entry->{left} < 0)
	{
		@$prepared = grep { $_ != $entry } @$prepared;
	}
	return $self->statement($sql);
}

sub do_cursor
{
	my ($self) = @_;
	my $name = 'cur' . $self->{serial};

	return if $self->{status} ne 'T';
	push @{ $self->{cursors} }, $name;
	return $self->statement("DECLARE $name "
		  . Types::pick('', 'SCROLL', 'NO SCROLL')
		  . ' CURSOR FOR SELECT * FROM t WHERE ' . $self->condition
		  . $self->order_by);
}

sub do_fetch
{
	my ($self) = @_;
	my @cursors = @{ $self->{cursors} };
	my $name;

	return if !@cursors || $self->{status} ne 'T';
	$name = $cursors[-1];

	# that a cursor may go back without SCROLL depends on the plan
	return $self->fetch_backward($name)
	  if Types::irand(0, 7) == 0;
	return $self->statement(
		Types::pick('FETCH 1', 'FETCH 3', 'FETCH ALL', 'MOVE 2')
		  . " FROM $name", ordered => 1);
}

# Where only one of the two can, neither cursor is used any more, nor holds
# its table.
sub fetch_backward
{
	my ($self, $name) = @_;
	my ($native, $foreign);
	my $differ = 0;

	$self->statement('SAVEPOINT order_dependent');
	($native, $foreign) =
	  $self->statement("FETCH BACKWARD 2 FROM $name", unchecked => 1);
	if (($native->{sqlstate} // '') eq '55000'
		xor ($foreign->{sqlstate} // '') eq '55000')
	{
		pop @{ $self->{cursors} };
		$self->{excepted}++;
		$differ = 1;
	}
	else
	{
		$self->compare($native, $foreign, 1);
	}
	$self->statement('ROLLBACK TO order_dependent')
	  if defined $native->{sqlstate} || defined $foreign->{sqlstate};
	$self->statement('RELEASE order_dependent');
	$self->statement("CLOSE $name") if $differ;
	return;
}

sub do_lock
{
	my ($self) = @_;

	return $self->statement('SELECT * FROM t WHERE '
		  . $self->equal($self->random_key)
		  . Types::pick(' FOR UPDATE', ' FOR SHARE', ' FOR NO KEY UPDATE'));
}

sub do_begin
{
	my ($self) = @_;

	return if $self->{status} ne 'I';
	$self->{savepoints} = [];
	$self->{cursors} = [];
	return $self->statement('BEGIN'
		  . Types::pick('', '', ' ISOLATION LEVEL REPEATABLE READ',
			' ISOLATION LEVEL SERIALIZABLE')
		  . (Types::irand(0, 30) ? '' : ' READ ONLY'));
}

sub do_commit
{
	my ($self) = @_;

	return if $self->{status} eq 'I';
	$self->statement('COMMIT');
	return $self->check;
}

sub do_rollback
{
	my ($self) = @_;

	return if $self->{status} eq 'I';
	$self->statement('ROLLBACK');
	return $self->check;
}

sub do_savepoint
{
	my ($self) = @_;
	my $name = 's' . $self->{serial};

	return if $self->{status} ne 'T';
	push @{ $self->{savepoints} }, $name;
	return $self->statement("SAVEPOINT $name");
}

sub do_rollback_to
{
	my ($self) = @_;
	my $savepoints = $self->{savepoints};

	return unless @$savepoints && $self->{status} ne 'I';
	my $i = Types::irand(0, 1) ? $#$savepoints
	  : Types::irand(0, $#$savepoints);
	$#$savepoints = $i;
	return $self->statement("ROLLBACK TO $savepoints->[$i]");
}

sub do_release
{
	my ($self) = @_;
	my $savepoints = $self->{savepoints};

	return unless @$savepoints && $self->{status} eq 'T';
	my $i = Types::irand(0, $#$savepoints);
	my $name = $savepoints->[$i];
	$#$savepoints = $i - 1;
	return $self->statement("RELEASE $name");
}

sub do_switch
{
	my ($self) = @_;
	my ($name, @values) = @{ Types::pick(@SWITCHES, @FOREIGN_SWITCHES) };
	my $sql = "SET $name = " . Types::pick(@values);

	return if $self->{status} eq 'E';
	return $self->statement($sql) unless $name =~ /\./;
	$self->side('foreign', $sql) unless $self->{mock};
	return;
}

sub do_compact
{
	my ($self) = @_;

	return if $self->{status} ne 'I' || $self->{mock};
	$self->side('foreign', 'SELECT fusio_manifest_compact('
		  . Types::quote(Types::pick(@{ $self->{foreign_tables} }, 'u', 'm'))
		  . Types::pick('', ', true') . ')');
	return;
}

# That it can be explained is all; the native side has nothing to compare.
sub do_explain
{
	my ($self) = @_;

	return if $self->{status} eq 'E';
	$self->side('foreign', 'EXPLAIN (ANALYZE, VERBOSE, FORMAT '
		  . Types::pick('text', 'json') . ') SELECT * FROM t WHERE '
		  . $self->condition);
	return;
}

sub do_alter
{
	my ($self) = @_;
	my @columns = grep { $_->{name} =~ /^c/ } @{ $self->{columns} };
	my $column;

	return if $self->{status} ne 'I';
	if (@columns && Types::irand(0, 2) == 0)
	{
		$column = Types::pick(@columns);
		@{ $self->{columns} } = grep { $_ != $column } @{ $self->{columns} };
		$self->{prepared} = [];
		return $self->statement("DEALLOCATE ALL; "
			  . "ALTER TABLE t DROP COLUMN $column->{name}");
	}
	return if @columns > 6;
	$column = { name => 'c' . ($self->{serial} + 100),
		type => Types::pick(@Types::ALL_TYPES) };
	$column->{type} = 'int4' if $column->{type} eq 'posint';
	splice @{ $self->{columns} }, 0, 0, $column;
	$self->{prepared} = [];
	$self->statement('DEALLOCATE ALL; ALTER TABLE t ADD COLUMN '
		  . column_definition($column));

	# where one of its type was dropped, it might be that one, renamed
	return if $self->{mock};
	$self->side('foreign',
		"ALTER FOREIGN TABLE $_ ALTER COLUMN $column->{name} "
		  . "OPTIONS (ADD column_name '$column->{name}')")
	  for @{ $self->{foreign_tables} };
	return;
}

# All there is, and what triggers wrote.
sub check
{
	my ($self) = @_;

	return if $self->{status} eq 'E';
	$self->statement('SELECT * FROM t');
	$self->statement('SELECT * FROM trace');
	$self->check_more;
	return;
}

# The end of a round: commits or rolls back, and compacts.
sub finish
{
	my ($self) = @_;

	$self->statement(Types::pick('COMMIT', 'ROLLBACK'))
	  if $self->{status} ne 'I';
	$self->check;
	for my $table (@{ $self->{foreign_tables} }, 'u', 'm')
	{
		$self->side('foreign',
			"SELECT fusio_manifest_compact('$table', true)")
		  unless $self->{mock};
	}
	$self->check;
	return;
}

1;
