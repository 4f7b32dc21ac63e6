# Scripts on native tables and on foreign ones: the same answers, row
# counts and SQLSTATEs.  Then rechecks of rows that others have changed, and a
# database that is dumped and restored.
use strict;
use warnings;

use FindBin;
use FmTest::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node('twins', conf => [ 'autovacuum = off' ]);
my $session = connect_to($node);
my %output;

for my $kind ('native', 'foreign')
{
	my $directory = new_directory();

	$session->run("CREATE DATABASE twin_$kind");
	$session->run("ALTER DATABASE twin_$kind SET tw.mode = '$kind'");
	my $in_it = connect_to($node, dbname => "twin_$kind");
	$in_it->run('CREATE EXTENSION fusio_manifest');
	$in_it->run("CREATE SERVER s FOREIGN DATA WRAPPER fusio_manifest "
		  . "OPTIONS (location 'file://$directory')");
	for my $file ('016_native_twins.sql', '016_writing.sql')
	{
		my ($out, $err) = run_command([
			'psql', '-X', '-a', '-h', $node->host, '-p', $node->port, '-d',
			"twin_$kind", '-f', "$FindBin::Bin/$file" ]);

		# What psql says of errors, it says beside the output.
		$output{$kind} .= "$out\n$err";
	}
	$in_it->run('DROP OWNED BY rlsu');
	$in_it->run('DROP ROLE rlsu');
}
is($output{foreign}, $output{native}, 'foreign tables answer like native ones');
cmp_ok(scalar(() = $output{native} =~ /ERROR/g), '>', 10, 'errors are among it');
cmp_ok(scalar(split /\n/, $output{native}), '>', 1200, 'and much else');

# EvalPlanQual: a row of a native table has changed while it was waited for.
my $directory = new_directory();
my $other = connect_to($node);
$session->run("CREATE SERVER s FOREIGN DATA WRAPPER fusio_manifest "
	  . "OPTIONS (location 'file://$directory')");
$session->run('CREATE TABLE native (k int PRIMARY KEY, v text)');
$session->run("CREATE FOREIGN TABLE far (k int NOT NULL, v text) SERVER s OPTIONS (key 'k')");
$session->run("INSERT INTO $_ SELECT g, 'v' || g FROM generate_series(1, 100) g")
  for 'native', 'far';
$session->run('CREATE TABLE t (id int PRIMARY KEY, link int, note text)');
for my $plan ('enable_nestloop', 'enable_hashjoin')
{
	for my $statement (
		'SELECT t.link, x.v FROM t JOIN %s x ON x.k = t.link FOR UPDATE OF t',
		'UPDATE t SET note = x.v FROM %s x WHERE x.k = t.link RETURNING t.link, t.note',
		"DELETE FROM t USING %s x WHERE x.k = t.link AND x.v = 'v1' RETURNING t.link",
		'SELECT t.link, x.v FROM t LEFT JOIN %s x ON x.k = t.link AND x.k < 50 FOR UPDATE OF t',
		'SELECT t.link, x.v FROM t JOIN %s x ON x.k = t.link OR x.k = 50 - t.link FOR UPDATE OF t',
		'SELECT t.link, x.v FROM t JOIN %s x ON x.k = ANY (ARRAY[t.link, 7]) FOR UPDATE OF t',
		"SELECT t.link, x.v FROM t JOIN %s x ON x.k BETWEEN t.link - 1 AND t.link AND x.v LIKE 'v%%' FOR UPDATE OF t")
	{
		my %rows;

		for my $table ('native', 'far')
		{
			$session->run('TRUNCATE t');
			$session->run("INSERT INTO t VALUES (1, 1, 'old')");
			$other->run('BEGIN');
			$other->run('UPDATE t SET link = link + 1');
			$session->run("SET enable_mergejoin = off");
			$session->run("SET $plan = off");
			$session->send(sprintf $statement, $table);
			wait_for(sub { $other->value("SELECT count(*) FROM pg_locks WHERE NOT granted") > 0 });
			$other->run('COMMIT');
			my $result = $session->result;
			$rows{$table} = defined $result->{sqlstate} ? $result->{sqlstate}
			  : join "\n", map { join ' ', map { $_ // 'NULL' } @$_ } @{ $result->{rows} };
			$session->run("RESET $plan");
		}
		is($rows{far}, $rows{native}, "rechecked without $plan: " . sprintf $statement, 'far');
	}
}

# A dump holds the definitions; what it is restored into reads the same store.
{
	my $file = PostgreSQL::Test::Utils::tempdir() . '/dump';
	my @where = ('-h', $node->host, '-p', $node->port);

	$session->run('CREATE TABLE parent (k int NOT NULL, v text) PARTITION BY RANGE (k)');
	$session->run("CREATE FOREIGN TABLE child PARTITION OF parent FOR VALUES FROM (0) TO (100) "
		  . "SERVER s OPTIONS (key 'k DESC', filter 'bloom:12', table_name 'odd \"name\"')");
	$session->run("ALTER FOREIGN TABLE child ALTER v OPTIONS (column_name 'other')");
	$session->run("INSERT INTO parent SELECT g, 'p' || g FROM generate_series(1, 50) g");
	command_ok([ 'pg_dump', @where, '-Fc', '-f', $file, 'postgres' ], 'pg_dump');
	$session->run('CREATE DATABASE restored');
	command_ok([ 'pg_restore', @where, '-e', '-d', 'restored', $file ], 'pg_restore');
	my $restored = connect_to($node, dbname => 'restored');
	is($restored->value("SELECT count(*) || ' ' || sum(hashtext(v)) FROM $_"),
		$session->value("SELECT count(*) || ' ' || sum(hashtext(v)) FROM $_"),
		"$_ is the same in the restored database") for 'far', 'parent';
	$restored->run("INSERT INTO parent VALUES (51, 'restored')");
	is($session->value('SELECT v FROM child WHERE k = 51'), 'restored',
		'and writes the same store');
	command_ok([ 'pg_dump', @where, '--quote-all-identifiers', '--include-foreign-data=s',
			'-f', $file, 'postgres' ], 'pg_dump with the data');
	like(slurp_file($file), qr/^51\trestored$/m, 'which are in it');
}

# Text has the encoding of who created the table; others may not touch it.
{
	my $directory = new_directory();

	for my $encoding ('UTF8', 'LATIN1')
	{
		$session->run("CREATE DATABASE $encoding ENCODING '$encoding' TEMPLATE template0 "
			  . "LC_COLLATE 'C' LC_CTYPE 'C'");
		my $in_it = connect_to($node, dbname => lc $encoding);
		$in_it->run('CREATE EXTENSION fusio_manifest');
		$in_it->run("CREATE SERVER s FOREIGN DATA WRAPPER fusio_manifest "
			  . "OPTIONS (location 'file://$directory')");
		$in_it->run("CREATE FOREIGN TABLE words_$_ (k int NOT NULL, v text) SERVER s OPTIONS (key 'k')")
		  for 'utf8', 'latin1';
		$in_it->run("CREATE FOREIGN TABLE numbers (k int NOT NULL, v int) SERVER s OPTIONS (key 'k')");
		$in_it->run("INSERT INTO words_$encoding VALUES (1, 'x')");
		is($in_it->sqlstate("INSERT INTO numbers VALUES (length('$encoding'), 1)"),
			'00000', "$encoding: numbers have no encoding");
	}
	my $latin1 = connect_to($node, dbname => 'latin1');
	is($latin1->sqlstate($_), '0A000', "LATIN1: $_ of UTF8 text is refused")
	  for 'SELECT v FROM words_utf8', "INSERT INTO words_utf8 VALUES (2, 'y')";
	is($latin1->value('SELECT v FROM words_latin1'), 'x', 'LATIN1: its own is not');
	my $utf8 = connect_to($node, dbname => 'utf8');
	is($utf8->sqlstate('SELECT v FROM words_latin1'), '0A000', 'UTF8: text in LATIN1 is refused');

	# The default collation is each database's own.
	$session->run("CREATE DATABASE german ENCODING 'UTF8' TEMPLATE template0 "
		  . "LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'de'");
	my $german = connect_to($node, dbname => 'german');
	$german->run('CREATE EXTENSION fusio_manifest');
	$german->run("CREATE SERVER s FOREIGN DATA WRAPPER fusio_manifest OPTIONS (location 'file://$directory')");
	$german->run("CREATE FOREIGN TABLE words (k text NOT NULL) SERVER s OPTIONS (key 'k')");
	$german->run("INSERT INTO words VALUES ('a'), ('B'), ('c')");
	$utf8->run('IMPORT FOREIGN SCHEMA public LIMIT TO (words) FROM SERVER s INTO public');
	is($_->[0]->value("SELECT string_agg(k, '' ORDER BY k) FROM words WHERE k > 'A'"), $_->[1],
		"$_->[2]: text in the default collation has this database's order")
	  for [ $german, 'Bc', 'de' ], [ $utf8, 'Bac', 'C' ];
	$german->run('CREATE SCHEMA fm_other');
	$german->run('IMPORT FOREIGN SCHEMA public LIMIT TO (words_utf8) FROM SERVER s INTO fm_other');
	is($german->value("SELECT collname FROM pg_attribute a JOIN pg_collation c ON c.oid = attcollation "
			. "WHERE attrelid = 'fm_other.words_utf8'::regclass AND attname = 'v'"),
		'C', 'what was in the order of bytes is imported so');
	is($german->value('SELECT v FROM fm_other.words_utf8'), 'x', 'and read');
}

$node->stop;
done_testing();
