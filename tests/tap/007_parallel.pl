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

done_testing();
