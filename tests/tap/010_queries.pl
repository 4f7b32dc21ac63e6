# Queries of the kinds that PostgreSQL's own regression tests run, on tables
# made like theirs: native twins and foreign tables give the same rows, with
# the planner's switches in several positions.
use strict;
use warnings;

use FmTest::Cluster;
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
	empty => [ 'a int NOT NULL, b text', 'a', "SELECT 1, 'x' WHERE false" ]);

$session->run("CREATE SERVER s FOREIGN DATA WRAPPER fusio_manifest
	OPTIONS (location 'file://$directory')");
$session->run('CREATE SCHEMA n; CREATE SCHEMA f');
for my $table (sort keys %tables)
{
	my ($columns, $key, $rows) = @{ $tables{$table} };

	$session->run("CREATE TABLE n.$table ($columns, PRIMARY KEY ($key))");
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

# A line that begins with "=" keeps its rows' order in the comparison.
my @queries = grep { /\S/ } split /;\n/, <<'SQL';
SELECT count(*), sum(unique1), min(unique1), max(unique1), avg(ten) FROM tenk1;
SELECT * FROM tenk1 WHERE unique1 = 42;
SELECT * FROM tenk1 WHERE unique1 IN (1, 42, 77, 10000, NULL, 42);
SELECT * FROM tenk1 WHERE unique1 = ANY (ARRAY[5, 4, 3, 3]::bigint[]);
SELECT * FROM tenk1 WHERE unique1 BETWEEN 100 AND 120 AND ten < 5;
SELECT * FROM tenk1 WHERE unique1 > 9990 OR unique1 < 5;
SELECT unique1 FROM tenk1 WHERE unique1 > 20 AND unique1 <= 10 + 20;
SELECT unique1 FROM tenk1 WHERE unique1 = 42.0;
SELECT unique1 FROM tenk1 WHERE unique1 = 3000000000;
SELECT unique1 FROM tenk1 WHERE unique1 < 10::bigint AND unique1 >= 3::smallint;
SELECT unique1, string4 FROM tenk1 WHERE stringu1 < 'AAAACA';
= SELECT unique1 FROM tenk1 ORDER BY unique1 LIMIT 7 OFFSET 3;
= SELECT unique1 FROM tenk1 ORDER BY unique1 DESC LIMIT 7;
= SELECT unique1 FROM tenk1 WHERE unique1 > 500 ORDER BY unique1 DESC LIMIT 3;
= SELECT ten, unique1 FROM tenk1 ORDER BY ten, unique1 LIMIT 20;
= SELECT unique2 FROM onek ORDER BY unique2 FETCH FIRST 5 ROWS ONLY;
= SELECT four FROM onek ORDER BY four FETCH FIRST 3 ROWS WITH TIES;
= SELECT DISTINCT ON (ten) ten, unique1 FROM tenk1 ORDER BY ten, unique1 DESC;
SELECT DISTINCT two, four FROM tenk1;
SELECT DISTINCT q1 FROM int8_tbl;
SELECT ten, count(*), sum(four) FROM onek GROUP BY ten HAVING count(DISTINCT four) = 2;
SELECT two, four, grouping(two, four), count(*) FROM onek GROUP BY ROLLUP (two, four);
SELECT two, ten, sum(hundred) FROM onek GROUP BY CUBE (two, ten);
SELECT string4, array_agg(unique2 ORDER BY unique2) FROM onek WHERE unique2 < 40 GROUP BY 1;
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY thousand), mode() WITHIN GROUP (ORDER BY ten) FROM tenk1;
SELECT count(*) FILTER (WHERE ten = 3), bool_or(two = 1), string_agg(DISTINCT string4, ',' ORDER BY string4) FROM tenk1;
SELECT count(*) FROM tenk1 a JOIN onek b ON a.unique1 = b.unique2;
SELECT a.unique1, b.stringu2 FROM tenk1 a JOIN onek b USING (unique1) WHERE b.unique2 < 12;
SELECT count(*) FROM tenk1 a JOIN tenk1 b ON a.unique1 = b.unique2 WHERE a.hundred = 4;
SELECT count(*), sum(b.unique2) FROM onek a LEFT JOIN tenk1 b ON b.unique1 = a.odd;
SELECT count(*) FROM onek a RIGHT JOIN int8_tbl b ON a.unique2 = b.q1;
SELECT a.q1, b.q2 FROM int8_tbl a FULL JOIN int8_tbl b ON a.q1 = b.q2;
SELECT a.q1, t.unique1 FROM int8_tbl a JOIN tenk1 t ON t.unique1 = a.q1 OR t.unique1 = a.q2;
SELECT * FROM int8_tbl a, int8_tbl b WHERE a.q1 = b.q1 AND a.q2 = b.q2;
SELECT * FROM int8_tbl a NATURAL JOIN int8_tbl b;
SELECT a.q1, x.unique1 FROM int8_tbl a, LATERAL (SELECT unique1 FROM tenk1 WHERE unique1 >= a.q1 ORDER BY unique1 LIMIT 2) x;
SELECT b.unique2, x.c FROM onek b LEFT JOIN LATERAL (SELECT count(*) c FROM tenk1 t WHERE t.unique1 = b.unique1 + b.unique2) x ON true WHERE b.unique2 % 100 = 7;
SELECT * FROM int8_tbl t1 LEFT JOIN (int8_tbl t2 LEFT JOIN onek t3 ON t2.q2 = t3.unique2) ON t1.q2 = t2.q1;
SELECT count(*) FROM tenk1 WHERE unique1 IN (SELECT unique2 FROM onek WHERE ten = 1);
SELECT count(*) FROM tenk1 WHERE unique1 NOT IN (SELECT unique2 FROM onek);
SELECT count(*) FROM tenk1 t WHERE EXISTS (SELECT FROM onek o WHERE o.unique2 = t.unique1 AND o.ten = t.ten);
SELECT count(*) FROM tenk1 t WHERE NOT EXISTS (SELECT FROM onek o WHERE o.unique2 = t.unique1);
SELECT unique1, (SELECT max(o.unique2) FROM onek o WHERE o.hundred = t.hundred) FROM tenk1 t WHERE unique1 < 15;
SELECT * FROM onek WHERE (unique1, unique2) IN (SELECT unique1, unique2 FROM onek WHERE ten = 4) AND hundred = 14;
SELECT * FROM int8_tbl WHERE (q1, q2) > (123, 456);
SELECT * FROM int8_tbl WHERE (q1, q2) = (123, 456);
SELECT * FROM int8_tbl WHERE ROW(q1, q2) IN ((123, 456), (4567890123456789, 123));
SELECT * FROM int8_tbl WHERE q1 = 123 AND q2 > 456;
SELECT * FROM int8_tbl WHERE q1 = 4567890123456789 AND q2 < 200;
SELECT unique1 FROM tenk1 WHERE unique1 = (SELECT min(unique2) + 5 FROM onek);
SELECT unique1 FROM tenk1 WHERE unique1 = ALL (SELECT 7 UNION ALL SELECT 7);
SELECT unique1 FROM tenk1 WHERE unique1 < ALL (SELECT unique2 + 3 FROM onek);
WITH o AS MATERIALIZED (SELECT * FROM onek WHERE ten = 2) SELECT count(*), sum(t.thousand) FROM o JOIN tenk1 t ON t.unique1 = o.unique1;
WITH RECURSIVE r AS (SELECT id, manager, 1 AS depth FROM emp WHERE id = 290 UNION ALL SELECT e.id, e.manager, depth + 1 FROM r JOIN emp e ON e.id = r.manager) SELECT * FROM r;
WITH RECURSIVE c(n) AS (SELECT 1 UNION SELECT (n * 3) % 1000 FROM c) SELECT count(*), sum(o.unique1) FROM c JOIN onek o ON o.unique2 = c.n;
SELECT unique1 FROM tenk1 WHERE ten = 1 INTERSECT SELECT unique2 FROM onek WHERE four = 1;
SELECT q1 FROM int8_tbl UNION SELECT q2 FROM int8_tbl;
SELECT q1 FROM int8_tbl UNION ALL SELECT q2 FROM int8_tbl;
SELECT unique2 FROM onek EXCEPT SELECT unique1 FROM tenk1 WHERE unique1 % 3 = 0;
= SELECT * FROM (SELECT unique1 FROM tenk1 UNION ALL SELECT unique2 FROM onek) u ORDER BY 1 LIMIT 9;
= SELECT id, rank() OVER (PARTITION BY dept ORDER BY salary, id), sum(salary) OVER (PARTITION BY dept ORDER BY id ROWS 3 PRECEDING) FROM emp ORDER BY id;
= SELECT unique1, lag(unique1) OVER w, lead(ten, 2) OVER w, ntile(4) OVER w FROM tenk1 WHERE unique1 < 30 WINDOW w AS (ORDER BY unique1) ORDER BY unique1;
= SELECT four, ten, sum(ten) OVER (PARTITION BY four ORDER BY ten RANGE BETWEEN 2 PRECEDING AND CURRENT ROW) FROM onek WHERE unique2 < 60 ORDER BY four, ten;
= SELECT dept, name, first_value(name) OVER (PARTITION BY dept ORDER BY hired, id) FROM emp ORDER BY id LIMIT 40;
SELECT count(*) OVER (), unique2 FROM onek WHERE unique2 < 10;
SELECT e.name, m.name FROM emp e LEFT JOIN emp m ON m.id = e.manager WHERE e.dept IS NULL;
SELECT dept, avg(salary)::numeric(12, 3), max(hired) FROM emp GROUP BY dept;
SELECT * FROM text_tbl WHERE f1 >= 'A' AND f1 < 'e';
SELECT * FROM text_tbl WHERE f1 LIKE 'hi%';
SELECT * FROM text_tbl a, text_tbl b WHERE a.f1 = b.f1;
SELECT count(*), min(a), max(b) FROM empty;
SELECT * FROM empty RIGHT JOIN int8_tbl ON a = q1;
SELECT min(unique1), max(unique1) FROM tenk1 WHERE unique1 > 4000 AND unique1 < 4500;
SELECT (SELECT max(unique1) FROM tenk1 WHERE unique1 < o.unique2) FROM onek o WHERE unique2 < 20;
SELECT unique1 FROM tenk1 WHERE unique1 IS NULL;
SELECT count(unique1) FROM tenk1 WHERE unique1 IS NOT NULL AND string4 = 'AAAA';
SELECT unique1 / (unique1 - 42) FROM tenk1 WHERE unique1 BETWEEN 40 AND 44;
SELECT t, t.unique1 FROM tenk1 t WHERE unique1 = 3;
SELECT tableoid::regclass::text LIKE '%tenk1', unique1 FROM tenk1 WHERE unique1 < 3;
SELECT x.unique2, y.unique1 FROM (SELECT * FROM onek OFFSET 0) x JOIN tenk1 y ON y.unique1 = x.unique1 AND y.unique2 > x.unique2 WHERE x.ten = 3 AND x.four = 1;
SELECT count(*) FROM tenk1 a, tenk1 b, onek c WHERE a.unique1 = b.unique2 AND b.unique1 = c.unique1 AND a.hundred < 50;
SELECT count(*) FROM (SELECT a.unique1 FROM tenk1 a WHERE a.unique1 < 100 ORDER BY a.ten LIMIT 50) s JOIN onek o ON o.unique2 = s.unique1 WHERE s.unique1 > o.ten;
SELECT jsonb_agg(to_jsonb(t) - 'string4') FROM (SELECT * FROM int8_tbl ORDER BY q1, q2) t;
SELECT unique1 FROM tenk1 WHERE unique1 = random()::int * 0 + 5;
SELECT count(*) FROM tenk1 WHERE unique1 = floor(random() * 0)::int;
SELECT g, t.unique2 FROM generate_series(9995, 10005) g LEFT JOIN tenk1 t ON t.unique1 = g;
SELECT s.g, (SELECT string4 FROM tenk1 WHERE unique1 = s.g AND two = s.g % 2) FROM generate_series(1, 5) s(g);
SQL

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
cmp_ok($compared, '>=', 700, 'all queries were asked');

done_testing();
