# Parallel plans: workers read the leader's HEAD, and changes that are not
# committed are never missed.
use strict;
use warnings;

use FmTest::Cluster;
use Test::More;

my $node = start_node('parallel', conf => [
	'max_parallel_workers_per_gather = 2',
	'parallel_setup_cost = 0', 'parallel_tuple_cost = 0',
	'min_parallel_table_scan_size = 0' ]);
my $directory = new_directory();
my $session = connect_to($node);
my $other = connect_to($node);

make_table($session, $directory);
$session->run('INSERT INTO t SELECT g, g FROM generate_series(1, 5000) g');
$session->run('CREATE TABLE big AS
	SELECT g AS k FROM generate_series(1, 20000) g; ANALYZE big');

sub explained
{
	my ($sql) = @_;

	return join "\n", map { $_->[0] }
	  @{ $session->run("EXPLAIN (COSTS OFF) $sql")->{rows} };
}

sub launched
{
	my ($sql) = @_;
	my $text = join "\n", map { $_->[0] } @{ $session->run(
		"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) $sql")->{rows} };

	return $text =~ /Workers Launched: (\d+)/ ? $1 : 0;
}

# non-partial: the scan is on the inner side, in every worker
my $join = 'SELECT count(*), sum(t.v) FROM big JOIN t USING (k)';
my $forced = $session->value('SHOW server_version_num') >= 160000
  ? 'debug_parallel_query' : 'force_parallel_mode';
like(explained($join), qr/Gather/, 'a parallel plan');
is_deeply($session->run($join)->{rows}[0], [ 5000, 12502500 ],
	'it answers right');
cmp_ok(launched($join), '>', 0, 'with workers');

# a cached plan that is parallel, executed after a write
$session->run("SET plan_cache_mode = force_generic_plan; PREPARE j AS $join");
like(explained('EXECUTE j'), qr/Gather/, 'the cached plan is parallel');
is_deeply($session->run('EXECUTE j')->{rows}[0], [ 5000, 12502500 ],
	'executed before the write');
$session->run('BEGIN; INSERT INTO t SELECT g, 1000000
	FROM generate_series(6000, 6009) g; DELETE FROM t WHERE k = 1');
is_deeply($session->run('EXECUTE j')->{rows}[0], [ 5009, 22502499 ],
	'executed after it, in the transaction');
is(launched('EXECUTE j'), 0, 'without workers');
is_deeply($session->run($join)->{rows}[0], [ 5009, 22502499 ],
	'as a new plan');
$session->run('ROLLBACK');
is_deeply($session->run('EXECUTE j')->{rows}[0], [ 5000, 12502500 ],
	'executed after the rollback');
cmp_ok(launched('EXECUTE j'), '>', 0, 'with workers again');

# in functions and cursors too
$session->run('CREATE FUNCTION total() RETURNS bigint LANGUAGE plpgsql AS
	$$ BEGIN RETURN (SELECT sum(t.v) FROM big JOIN t USING (k)); END $$');
is($session->value('SELECT total()'), 12502500, 'in a function');
$session->run('BEGIN; UPDATE t SET v = v + 1 WHERE k <= 100');
is($session->value('SELECT total()'), 12502600, 'after a write');
$session->run('COMMIT');
is($session->value('SELECT total()'), 12502600, 'after the commit');

# Workers read what the leader reads, whatever others commit meanwhile.
$other->send('DO $$ BEGIN FOR i IN 1 .. 1000000 LOOP
	UPDATE t SET v = v + CASE k WHEN 1000 THEN 1 ELSE -1 END
		WHERE k IN (1000, 2000);
	COMMIT;
END LOOP; END $$');
my $wrong = 0;
my %seen;
for my $i (1 .. 60)
{
	my $level = $i % 2 ? 'READ COMMITTED' : 'REPEATABLE READ';
	my $row;

	$session->run("BEGIN ISOLATION LEVEL $level");
	$row = $session->run('SELECT count(*), sum(t.v),
		max(CASE k WHEN 1000 THEN t.v END) FROM big JOIN t USING (k)')->{rows}[0];
	$wrong++ if $row->[0] != 5000 || $row->[1] != 12502600;
	$seen{ $row->[2] } = 1;
	if ($i % 2 == 0)
	{
		my $again = $session->run('SELECT count(*), sum(t.v),
			max(CASE k WHEN 1000 THEN t.v END) FROM big JOIN t USING (k)')->{rows}[0];

		$wrong++ if "@$again" ne "@$row";
	}
	$session->run('COMMIT');
}
is($wrong, 0, 'every sum is of one version');
cmp_ok(scalar keys %seen, '>', 3, 'of many versions');

# A function that a worker calls reads the statement's version, also where
# nothing but the function reads the store; a volatile one takes its own.
$session->run('CREATE FUNCTION peek() RETURNS bigint
	LANGUAGE plpgsql STABLE PARALLEL SAFE AS
	$$ BEGIN
		RETURN (SELECT sum(v::bigint * k) FROM t WHERE k IN (1000, 2000));
	END $$;
	CREATE FUNCTION fresh() RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL SAFE AS
	$$ BEGIN RETURN (SELECT sum(t.v) FROM big JOIN t USING (k)); END $$;
	CREATE FUNCTION worker() RETURNS int
	LANGUAGE plpgsql VOLATILE PARALLEL SAFE AS
	$$ BEGIN RETURN pg_backend_pid(); END $$');
my $peek = 'SELECT min(peek()), max(peek()) FROM big WHERE k <= 400';
cmp_ok(launched($peek), '>', 0, 'a function, in workers');
$wrong = 0;
%seen = ();
for my $i (1 .. 20)
{
	my $row;

	$session->run('SET parallel_leader_participation = '
		  . ($i % 3 ? 'on' : 'off'));
	$session->run('BEGIN ISOLATION LEVEL '
		  . ($i % 2 ? 'READ COMMITTED' : 'REPEATABLE READ'));
	$row = $session->run($peek)->{rows}[0];
	$wrong++ if $row->[0] != $row->[1];
	$seen{ $row->[0] } = 1;
	if ($i % 2 == 0)
	{
		my $again = $session->run($peek)->{rows}[0];
		my $alone = $session->value('SELECT peek()');

		$wrong++ if "@$again" ne "@$row" || $alone != $row->[0];
	}
	$session->run('COMMIT');
}
is($wrong, 0, 'reads one version');
cmp_ok(scalar keys %seen, '>', 3, 'of many');
is_deeply($session->run('SELECT min(fresh()), max(fresh()) FROM big
	WHERE k <= 20')->{rows}[0], [ 12502600, 12502600 ],
	'a volatile one with a parallel statement of its own');
$session->run('RESET parallel_leader_participation');

# Cursors with snapshots that look alike keep their versions.
my $row_1000 = 'SELECT v FROM t WHERE k = 1000';
my @before;
$session->run('BEGIN');
for my $cursor (qw(a b))
{
	my $old = $session->value($row_1000);

	wait_for(sub { $session->value($row_1000) != $old });
	push @before, $session->value('SELECT peek()');
	$session->run("DECLARE $cursor CURSOR FOR SELECT peek(), t.v
		FROM t WHERE k IN (1000, 2000)");
}
my @fetched = map { $session->run("FETCH $_")->{rows}[0] } qw(a b);
my $between = $session->run($peek)->{rows}[0];
push @fetched, map { $session->run("FETCH $_")->{rows}[0] } qw(a b);
$session->run('COMMIT');
is($fetched[0][0], $fetched[2][0], 'a cursor, after a parallel statement');
is($fetched[1][0], $fetched[3][0], 'another one');
isnt($fetched[0][0], $fetched[1][0], 'of another version');
is($between->[0], $between->[1], 'the statement itself');
is($fetched[$_][1] + $fetched[$_ + 2][1], 3000, "rows of cursor $_")
  for 0 .. 1;

# many leaders at once
my @sessions = map { connect_to($node) } 1 .. 20;
$wrong = 0;
for my $round (1 .. 5)
{
	$_->send($round % 2 ? $join : $peek) for @sessions;
	for my $result (map { $_->result } @sessions)
	{
		my ($first, $second) = @{ $result->{rows}[0] // [ -1, -2 ] };

		$wrong++ if $round % 2 ? $second != 12502600 : $first != $second;
	}
}
is($wrong, 0, 'many leaders at once');
ok(!$other->is_ready(0), 'others committed all the time');
$other->cancel;
is($other->result->{sqlstate}, '57014', 'until they were stopped');

# A volatile function in a worker takes a snapshot of its own, also one that
# no snapshot of the leader looks like.
$session->run('CREATE TABLE busy (i int)');
$other->send('DO $$ BEGIN FOR i IN 1 .. 1000000 LOOP
	INSERT INTO busy VALUES (i); COMMIT;
END LOOP; END $$');
$session->run('CREATE FUNCTION slow() RETURNS int
	LANGUAGE plpgsql VOLATILE PARALLEL SAFE AS $$ BEGIN
		PERFORM pg_sleep(0.001);
		RETURN (SELECT count(*) FROM t WHERE k IN (1, 2));
	END $$');
is($session->value('SELECT min(slow()) FROM big WHERE k <= 200'), 2,
	'a volatile function in workers, while transactions begin');
$other->cancel;
$other->result;

# everything in a worker
$session->run("RESET plan_cache_mode; SET $forced = regress");
isnt($session->value('SELECT worker() FROM t LIMIT 1'), $session->pid,
	'the scan is in a worker');
is($session->value('SELECT v FROM t WHERE k = 10'), 11, 'a look-up');
my ($considered) = map { $_->[0] =~ /Runs Considered: (\d+)/ ? $1 : () }
  @{ $session->run('EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF)
	SELECT v FROM t WHERE k = 10')->{rows} };
cmp_ok($considered, '>', 0, "EXPLAIN adds the worker's counts");
is($session->value('SELECT count(*) FROM t'), 5000, 'a scan');
is($session->value('SELECT count(*) FROM t WHERE k = ANY (ARRAY[1, 2, 9999])'),
	2, 'a list');
$session->run('BEGIN; DELETE FROM t WHERE k > 10');
is($session->value('SELECT count(*) FROM t'), 10, 'after a write');
$session->run('ROLLBACK');
is($session->value('SELECT count(*) FROM t'), 5000, 'after the rollback');
like($session->query('SELECT 1 / (k - 10) FROM t')->{sqlstate}, qr/^22012$/,
	'an error in a worker');
is($session->value('SELECT sum(pins) FROM fusio_manifest_cache'), 0,
	'no pin stays');

$session->run("RESET $forced");

# Beside a cursor with a snapshot that looks the same, of an older version,
# there are workers: they never ask for its pins, which are not shared.
$session->run('BEGIN; DECLARE c CURSOR FOR SELECT k, v FROM t ORDER BY k;
	FETCH 1 FROM c');
$other->run('UPDATE t SET v = v + 1000 WHERE k <= 2');
is_deeply($session->run($join)->{rows}[0], [ 5000, 12504600 ],
	'beside a cursor: the new version');
cmp_ok(launched($join), '>', 0, 'with workers');
is_deeply($session->run('FETCH 1 FROM c')->{rows}[0], [ 2, 3 ],
	'and the cursor its own');
is(launched('SELECT count(*) FROM big'), 2,
	'plans without foreign tables have workers');
$session->run('COMMIT');

# A function that reads, in workers
$session->run('CREATE FUNCTION value_of(int) RETURNS int STABLE PARALLEL SAFE
	LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT v FROM t WHERE k = $1); END $$');
my $calls = 'SELECT count(value_of(k)), sum(value_of(k))
	FROM big WHERE k < 7000';
is_deeply($session->run($calls)->{rows}[0], [ 5000, 12504600 ],
	'a function in workers');
cmp_ok(launched($calls), '>', 0, 'there were some');
$session->run('BEGIN; UPDATE t SET v = 0 WHERE k > 10');
is($session->run($calls)->{rows}[0][1], 2065, 'it sees own changes');
is(launched($calls), 0, 'without workers');
$session->run('ROLLBACK');

# SERIALIZABLE: what workers read could not be remembered
$session->run('BEGIN ISOLATION LEVEL SERIALIZABLE');
is($session->run($join)->{rows}[0][0], 5000, 'serializable');
is(launched($join), 0, 'without workers');
$session->run('COMMIT; BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY');
cmp_ok(launched($join), '>', 0, 'with workers if it only reads');
$session->run('COMMIT');

# A leader that is killed leaves nothing behind: many more than there is room
# for.
my $killed = 0;
for (1 .. 140)
{
	my $victim = connect_to($node);

	$victim->run("SET $forced = regress");
	$victim->send('SELECT count(*), pg_sleep(100) FROM t');
	select undef, undef, undef, 0.01;
	$session->run("SELECT pg_terminate_backend(@{[ $victim->pid ]}, 5000)");
	$killed++ if $victim->result->{lost};
}
is($killed, 140, 'leaders were killed');
cmp_ok(launched($join), '>', 0, 'others have workers still');

# Versions of HEAD so large that few leaders find room for one.  A leader
# without room goes on alone; who leaves makes room, however he leaves.
my $large = start_node('large', conf => [
	'max_connections = 40', 'fsync = off',
	'parallel_setup_cost = 0', 'parallel_tuple_cost = 0',
	'min_parallel_table_scan_size = 0' ]);
my @leaders = map { connect_to($large) } 1 .. 7;
my $columns = join ', ', map { "a_column_with_a_long_name_$_ int" } 1 .. 60;

$session = $leaders[0];
make_table($session, new_directory());
$session->run('INSERT INTO t SELECT g, g FROM generate_series(1, 100) g;
	CREATE TABLE big AS SELECT g AS k FROM generate_series(1, 20000) g;
	ANALYZE big');
$session->run("DO \$\$ BEGIN FOR i IN 1 .. 250 LOOP
	EXECUTE format('CREATE FOREIGN TABLE t%s (k int NOT NULL, $columns)
		SERVER s OPTIONS (key ''k'')', i);
	PERFORM fusio_manifest_create_table(format('t%s', i)::regclass);
END LOOP; END \$\$");
$session->run('CREATE FUNCTION peek() RETURNS bigint
	LANGUAGE plpgsql STABLE PARALLEL SAFE AS
	$$ BEGIN RETURN (SELECT sum(v) FROM t); END $$');

my @workers;
for my $leader (@leaders)
{
	$session = $leader;
	$session->run('SET max_parallel_workers_per_gather = 1');
	$session->run('BEGIN ISOLATION LEVEL REPEATABLE READ');
	push @workers, launched($join);
	is_deeply($session->run($join)->{rows}[0], [ 100, 5050 ],
		'leader ' . @workers . " has $workers[-1] workers, and reads right");
}
is($workers[0], 1, 'the first ones have workers');
is($workers[-1], 0, 'the last ones have not');
is(connect_to($large)->sqlstate('SET parallel_leader_participation = off;
	SELECT min(peek()) FROM big WHERE k <= 9'), '53200',
	'a worker that finds no room does not read another version');

# the first leader dies with workers of its own
my $watcher = connect_to($large);
my $pid = $leaders[0]->pid;
my $processes = 'SELECT count(*) FROM pg_stat_activity WHERE leader_pid =';
$leaders[0]->send('SELECT min(pg_sleep(60)::text)
	FROM big JOIN t ON t.k = big.k % 100');
ok(wait_for(sub { $watcher->value("$processes $pid") }), 'workers run');
$watcher->run("SELECT pg_terminate_backend($pid)");
ok(wait_for(sub { !$watcher->value("$processes $pid OR pid = $pid") }),
	'their leader is terminated, and they go with it');
is(launched($join), 1, 'somebody else has workers');
is_deeply($session->run($join)->{rows}[0], [ 100, 5050 ],
	'and reads what it did');
$_->run('ROLLBACK') for @leaders[1 .. $#leaders];
for my $leader (@leaders[1 .. 3])
{
	$session = $leader;
	is(launched($join), 1, 'everybody has, after the transactions');
}
is($session->value('SELECT min(peek()) FROM big WHERE k <= 9'), 5050,
	'a function in a worker too');
$large->stop;

# not preloaded: workers share nothing, and read nothing
my $plain = start_node('plain', plain => 1, conf => [
	'parallel_setup_cost = 0', 'parallel_tuple_cost = 0',
	'min_parallel_table_scan_size = 0', 'parallel_leader_participation = off'
]);
$session = connect_to($plain);
make_table($session, new_directory());
$session->run('INSERT INTO t SELECT g, g FROM generate_series(1, 100) g;
	CREATE TABLE big AS SELECT g AS k FROM generate_series(1, 20000) g;
	ANALYZE big;
	CREATE FUNCTION peek() RETURNS bigint
	LANGUAGE plpgsql STABLE PARALLEL SAFE AS
	$$ BEGIN RETURN (SELECT sum(v) FROM t); END $$');
is_deeply($session->run($join)->{rows}[0], [ 100, 5050 ],
	'not preloaded, a join');
is(launched('SELECT count(*) FROM big'), 2, 'other tables have workers');
is($session->sqlstate('SELECT min(peek()) FROM big WHERE k <= 9'), '0A000',
	'a worker refuses to read');
$session->run('ALTER FUNCTION peek PARALLEL RESTRICTED');
is($session->value('SELECT min(peek()) FROM big WHERE k <= 9'), 5050,
	'the leader reads');

# Workers share the pieces of a scan: one level with several partitions, runs
# above it, deletions, a range, rescans.
$session = connect_to($node);
make_table($session, $directory, name => 'wide',
	columns => 'a int NOT NULL, b int NOT NULL, v text', key => 'a, b');
$session->run($_) for (
	'INSERT INTO wide SELECT g / 1000, g % 1000, md5(g::text)
		FROM generate_series(0, 149999) g',
	"SELECT fusio_manifest_compact('wide')",
	"UPDATE wide SET v = 'new' WHERE b = 7",
	'DELETE FROM wide WHERE b = 8',
	"INSERT INTO wide SELECT g, -1, 'added'
		FROM generate_series(-10, 200) g");
for my $query ('SELECT count(*), sum(a), sum(b), sum(length(v)) FROM wide',
	"SELECT count(*), sum(b) FROM wide WHERE v = 'new'",
	'SELECT count(*), sum(b) FROM wide WHERE a BETWEEN 20 AND 120',
	'SELECT count(*), sum(b) FROM wide WHERE a >= 20 AND b < 5',
	'SELECT count(*), sum(b) FROM wide WHERE a > 1000',
	'SELECT a % 10, count(*), min(v) FROM wide GROUP BY 1 ORDER BY 1',
	'SELECT x, (SELECT count(*) FROM wide WHERE a < x + 20) FROM generate_series(1, 3) x')
{
	my ($plan, $parallel, $serial);

	$plan = explained($query);
	$parallel = $session->run($query)->{rows};
	$session->run('SET max_parallel_workers_per_gather = 0');
	$serial = $session->run($query)->{rows};
	$session->run('SET max_parallel_workers_per_gather = 2');
	like($plan, qr/Parallel Foreign Scan/, "in pieces: $query")
	  unless $query =~ /generate_series/;
	is_deeply($parallel, $serial, 'the same rows');
}
cmp_ok(launched('SELECT count(*) FROM wide'), '>', 0, 'by workers');
$session->run('BEGIN; DELETE FROM wide WHERE a < 100');
unlike(explained('SELECT count(*) FROM wide'), qr/Parallel/,
	'not after a write');
is($session->value('SELECT count(*) FROM wide WHERE b >= 0'),
	50 * 999, 'which it sees');
$session->run('ROLLBACK');

done_testing();
