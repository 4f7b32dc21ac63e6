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
$other->send('DO $$ BEGIN FOR i IN 1 .. 100000 LOOP
	UPDATE t SET v = v + CASE k WHEN 1000 THEN i ELSE -i END
		WHERE k IN (1000, 2000);
	COMMIT;
END LOOP; END $$');
my ($wrong, $last) = (0, '');
my %seen;
for my $i (1 .. 60)
{
	my $level = $i % 2 ? 'READ COMMITTED' : 'REPEATABLE READ';
	my $row;

	$session->run("BEGIN ISOLATION LEVEL $level");
	$row = $session->run('SELECT count(*), sum(t.v), max(t.v)
		FROM big JOIN t USING (k)')->{rows}[0];
	$wrong++ if $row->[0] != 5000 || $row->[1] != 12502600;
	$seen{ $row->[2] } = 1;
	if ($i % 2 == 0)
	{
		my $again = $session->run('SELECT count(*), sum(t.v), max(t.v)
			FROM big JOIN t USING (k)')->{rows}[0];

		$wrong++ if "@$again" ne "@$row";
	}
	$session->run('COMMIT');
}
is($wrong, 0, 'every sum is of one version');
cmp_ok(scalar keys %seen, '>', 3, 'of many versions');
ok(!$other->is_ready(0), 'others committed all the time');
$other->cancel;
is($other->result->{sqlstate}, '57014', 'until they were stopped');

# everything in a worker
$session->run("RESET plan_cache_mode; SET $forced = regress");
is($session->value('SELECT v FROM t WHERE k = 10'), 11, 'a look-up');
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

# A cursor with a snapshot that looks the same, of an older version: workers
# could not tell them apart, so there are none.
$session->run('BEGIN; DECLARE c CURSOR FOR SELECT k, v FROM t ORDER BY k;
	FETCH 1 FROM c');
$other->run('UPDATE t SET v = v + 1000 WHERE k <= 2');
is_deeply($session->run($join)->{rows}[0], [ 5000, 12504600 ],
	'beside a cursor: the new version');
is(launched($join), 0, 'without workers');
is_deeply($session->run('FETCH 1 FROM c')->{rows}[0], [ 2, 3 ],
	'and the cursor its own');
is(launched('SELECT count(*) FROM big'), 2,
	'plans without foreign tables have workers');
$session->run('COMMIT');
cmp_ok(launched($join), '>', 0, 'with workers when it is closed');

# A function that reads, in workers
$session->run('CREATE FUNCTION value_of(int) RETURNS int STABLE PARALLEL SAFE
	LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT v FROM t WHERE k = $1); END $$');
my $calls = 'SELECT count(value_of(k)), sum(value_of(k)) FROM big WHERE k < 7000';
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

done_testing();
