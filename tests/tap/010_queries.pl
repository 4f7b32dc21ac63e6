# Queries of the kinds that PostgreSQL's own regression tests run, on tables
# made like theirs: native twins and foreign tables give the same rows, with
# the planner's switches in several positions.
use strict;
use warnings;

use FindBin;
use FmTest::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node('queries',
	conf => [ 'max_parallel_workers_per_gather = 2' ]);
my $session = connect_to($node);
my $directory = new_directory();

my $wide = <<'SQL';
unique1 int NOT NULL, unique2 int NOT NULL, two int, four int, ten int,
twenty int, hundred int, thousand int, odd int, even int,
stringu1 name, stringu2 text COLLATE "C", string4 text
SQL

# A permutation of 0 .. n - 1; 7919 is prime to both sizes.
sub wide_rows
{
	my $n = shift;

	return <<"SQL";
SELECT u, i, u % 2, u % 4, u % 10, u % 20, u % 100, u % 1000,
  u * 2 + 1, u * 2,
  translate(lpad(u::text, 6, '0'), '0123456789', 'ABCDEFGHIJ'),
  translate(lpad(i::text, 6, '0'), '0123456789', 'ABCDEFGHIJ'),
  (ARRAY['AAAA', 'HHHH', 'OOOO', 'VVVV'])[i % 4 + 1]
FROM (SELECT i, (i * 7919 + 13) % $n AS u FROM generate_series(0, $n - 1) i) s
SQL
}

my %tables = (
	tenk1 => [ $wide, 'unique1', wide_rows(10000) ],
	onek => [ $wide, 'unique2', wide_rows(1000) ],
	int8_tbl => [ 'q1 bigint NOT NULL, q2 bigint NOT NULL', 'q1, q2',
		'VALUES (123, 456), (123, 4567890123456789), (4567890123456789, 123),
		(4567890123456789, 4567890123456789),
		(4567890123456789, -4567890123456789)' ],
	text_tbl => [ 'f1 text COLLATE "C" NOT NULL', 'f1',
		"VALUES ('doh!'), ('hi de ho neighbor'), (''), ('ABCDEF')" ],
	emp => [ 'id int NOT NULL, name text, dept int, salary numeric(10, 2),
		manager int, hired date', 'id',
		"SELECT i, 'name' || i, nullif(i % 7, 0), 1000 + i * 37 % 911, nullif(i / 3, 0),
		date '2000-01-01' + i * 11 % 977 FROM generate_series(1, 300) i" ],
	lines => [ 'a int NOT NULL, b int NOT NULL, c text COLLATE "C" NOT NULL, v int',
		'a, b DESC, c', "SELECT i / 100, i / 10 % 10, 'c' || i % 10 + i % 3, i
		FROM generate_series(0, 2999) i" ],
	empty => [ 'a int NOT NULL, b text', 'a', "SELECT 1, 'x' WHERE false" ]);

$session->run("CREATE SERVER s FOREIGN DATA WRAPPER fusio_manifest
	OPTIONS (location 'file://$directory')");
$session->run('CREATE SCHEMA n; CREATE SCHEMA f');
for my $table (sort keys %tables)
{
	my ($columns, $key, $rows) = @{ $tables{$table} };

	$session->run("CREATE TABLE n.$table ($columns)");
	$session->run("CREATE UNIQUE INDEX ON n.$table ($key)");
	$session->run("CREATE FOREIGN TABLE f.$table ($columns) SERVER s
		OPTIONS (key '$key')");
	$session->run("INSERT INTO n.$table $rows");
	$session->run("SELECT fusio_manifest_create_table('f.$table')");

	# in several commits, so that there are runs to merge
	$session->run("INSERT INTO f.$table SELECT * FROM n.$table t
		WHERE hashtext(t::text) % 2 = $_") for 0, 1, -1;
	$session->run("ANALYZE n.$table");
}
$session->run("SELECT fusio_manifest_compact('f.onek')");

# and partitions, in a table of partitions
$session->run("CREATE TABLE $_.parts (k int NOT NULL, v text) PARTITION BY RANGE (k)")
  for 'n', 'f';
for my $from (0, 300, 600)
{
	my $bounds = "FOR VALUES FROM ($from) TO ($from + 300)";

	$session->run("CREATE TABLE n.parts$from PARTITION OF n.parts (PRIMARY KEY (k)) $bounds");
	$session->run("CREATE FOREIGN TABLE f.parts$from PARTITION OF f.parts $bounds
		SERVER s OPTIONS (key 'k')");
}
$session->run("INSERT INTO $_.parts SELECT g, 'p' || g FROM generate_series(0, 899) g")
  for 'n', 'f';

# Lines of comment apart, one query a line.
my @queries = grep { /\S/ && !/^--/ }
  map { s/;$//r } split /\n/, slurp_file("$FindBin::Bin/010_queries.sql");

my @settings = (
	'',
	'enable_hashjoin = off',
	'enable_nestloop = off',
	'enable_mergejoin = off; enable_hashjoin = off',
	'enable_sort = off; enable_hashagg = off; enable_incremental_sort = off',
	'enable_memoize = off; enable_material = off; work_mem = "64kB"',
	'parallel_setup_cost = 0; parallel_tuple_cost = 0; min_parallel_table_scan_size = 0',
	'fusio_manifest.enable_filter = off',
	'fusio_manifest.enable_sparse_index = off; fusio_manifest.enable_cache = off');

sub answer
{
	my ($schema, $query, $keep_order) = @_;
	my $result;
	my @rows;

	$session->run("SET search_path = $schema, public");
	$result = $session->query($query);
	return $result->{sqlstate} if defined $result->{sqlstate};
	@rows = map { join '|', map { $_ // '\N' } @$_ } @{ $result->{rows} // [] };
	@rows = sort @rows unless $keep_order;
	return join "\n", @rows;
}

my @differing;
my $compared = 0;
my %native;
for my $setting (@settings)
{
	$session->run("SET $_") for grep { /\S/ } split /;\s*/, $setting;
	for my $query (@queries)
	{
		my $keep_order = $query =~ s/^= // ? 1 : 0;
		my $native;

		# the loop variable is an alias: keep the mark for the next round
		$native = $native{$query} //= answer('n', $query, $keep_order);
		push @differing, "[$setting] $query"
		  if $native ne answer('f', $query, $keep_order);
		$compared++;
		$query = "= $query" if $keep_order;
	}
	is(scalar @differing, 0, 'with ' . ($setting || 'defaults'))
	  or diag(join "\n", @differing);
	@differing = ();
	$session->run('RESET ALL');
}
cmp_ok($compared, '>=', 1700, 'all queries were asked');

# Prepared statements: custom plans, and generic ones from the first or the
# sixth time on.
my @prepared = (
	[ 'int', 'SELECT unique1, string4 FROM tenk1 WHERE unique1 = $1', 1, 9999, 10000, 'NULL', 5, 6, 7 ],
	[ 'bigint', 'SELECT unique1 FROM tenk1 WHERE unique1 = $1', 3000000000, 77, 'NULL', 78, 79, 80, 81 ],
	[ 'int[]', 'SELECT unique1 FROM tenk1 WHERE unique1 = ANY ($1)', "'{5,NULL,5,9}'", "'{}'", 'NULL', "'{10000,3}'", "'{{1,2},{3,4}}'", "'{7}'", "'{8}'" ],
	[ 'bigint[]', 'SELECT a, b, c FROM lines WHERE a = ANY ($1) AND b = ANY ($1)', "'{5,5000000000,2}'", "'{1}'", 'NULL', "'{3,4,NULL}'", "'{}'", "'{9,8}'", "'{2}'" ],
	[ 'int, int', 'SELECT count(*), min(unique1) FROM tenk1 WHERE unique1 BETWEEN $1 AND $2', '5, 9', '9, 5', 'NULL, 3', '0, 9999', '3, NULL', '1, 1', '2, 2' ],
	[ 'int, int', 'SELECT a, b FROM lines WHERE (a, b) > ($1, $2) ORDER BY a, b DESC, c LIMIT 5', '5, 9', '29, 3', 'NULL, 3', '3, NULL', '0, 0', '1, 1', '2, 2' ],
	[ 'int, text', 'SELECT v FROM lines WHERE a = $1 AND (b = 3 OR c = $2 AND b = 5) OR a = $1 + 1', "5, 'c3'", "NULL, 'c3'", '4, NULL', "1, 'c1'", "2, 'c2'", "29, 'c4'", "30, 'c4'" ],
	[ 'text', 'SELECT * FROM text_tbl WHERE f1 LIKE $1', "'hi%'", "'%'", "'doh!'", "'%e%'", 'NULL', "''", "'A_C%'" ],
	[ 'int', 'SELECT o.unique2, t.unique1 FROM onek o JOIN tenk1 t ON t.unique1 = o.unique1 + $1 WHERE o.unique2 < 5', 0, 1, 'NULL', 9999, 3, 4, 5 ],
	[ 'int', 'SELECT k FROM parts WHERE k = $1 OR k > 895', 5, 305, 'NULL', 897, 900, 605, 1 ],
	[ 'int', 'SELECT unique2 FROM onek WHERE unique2 > $1 ORDER BY unique2 LIMIT $1', 5, 0, 'NULL', 997, 3, 4, 5 ]);

for my $mode ('auto', 'force_generic_plan', 'force_custom_plan')
{
	$session->run("SET plan_cache_mode = $mode");
	for my $statement (@prepared)
	{
		my ($types, $sql, @arguments) = @$statement;

		for my $schema ('n', 'f')
		{
			$session->run("SET search_path = $schema, public");
			$session->run("PREPARE in_$schema ($types) AS $sql");
		}
		for my $arguments (@arguments)
		{
			push @differing, "$sql: $arguments"
			  if answer('n', "EXECUTE in_n ($arguments)") ne
			  answer('f', "EXECUTE in_f ($arguments)");
		}
		$session->run('DEALLOCATE ALL');
	}
	is(join("\n", @differing), '', "prepared statements, $mode");
	@differing = ();
}
$session->run('RESET plan_cache_mode');

# Cursors, to and fro.
my @moves = ('FETCH 3', 'FETCH BACKWARD 2', 'MOVE 5', 'FETCH ABSOLUTE 4', 'FETCH RELATIVE -2',
	'FETCH PRIOR', 'FETCH LAST', 'FETCH NEXT', 'FETCH BACKWARD 3', 'FETCH ABSOLUTE -2',
	'MOVE BACKWARD ALL', 'FETCH FIRST', 'FETCH ALL', 'FETCH BACKWARD ALL');
for my $query (
	'SELECT unique1 FROM tenk1 WHERE unique1 < 12 ORDER BY unique1',
	'SELECT unique1 FROM tenk1 WHERE unique1 IN (1, 5, 9, 3, 7, 20000) ORDER BY unique1 DESC',
	'SELECT a, b, c FROM lines WHERE a = 3 OR a = 7 AND b = 2 ORDER BY a, b DESC, c',
	'SELECT o.unique2, t.ten FROM onek o LEFT JOIN tenk1 t ON t.unique1 = o.unique1 WHERE o.unique2 < 9 ORDER BY 1')
{
	for my $hold ('', ' WITH HOLD')
	{
		my %got;

		for my $schema ('n', 'f')
		{
			$session->run("SET search_path = $schema, public; BEGIN");
			$session->run("DECLARE c SCROLL CURSOR$hold FOR $query");
			$session->run('COMMIT') if $hold;
			$got{$schema} .= answer($schema, "$_ FROM c", 1) . "\n--\n" for @moves;
			$session->run($hold ? 'CLOSE c' : 'COMMIT');
		}
		is($got{f}, $got{n}, "a cursor$hold: $query");
	}
}

done_testing();
