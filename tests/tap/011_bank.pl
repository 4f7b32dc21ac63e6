# pgbench's own script on foreign tables of its names: from one client and
# from eight, every acknowledged transaction is there once, and the balances
# add up.
use strict;
use warnings;

use FmTest::Cluster;
use Test::More;

my $node = start_node('bank');
my $session = connect_to($node);
my $directory = new_directory();

$session->run("CREATE SERVER s FOREIGN DATA WRAPPER fusio_manifest
	OPTIONS (location 'file://$directory')");
$session->run('CREATE SEQUENCE entries');
for (
	[ pgbench_branches => 'bid int NOT NULL, bbalance int, filler char(88)', 'bid' ],
	[ pgbench_tellers =>
		  'tid int NOT NULL, bid int, tbalance int, filler char(84)', 'tid' ],
	[ pgbench_accounts =>
		  'aid int NOT NULL, bid int, abalance int, filler char(84)', 'aid' ],
	[ pgbench_history => q{entry bigint NOT NULL DEFAULT nextval('entries'),
		tid int, bid int, aid int, delta int, mtime timestamp, filler char(22)},
		'entry' ])
{
	my ($name, $columns, $key) = @$_;

	$session->run("CREATE FOREIGN TABLE $name ($columns) SERVER s OPTIONS (key '$key')");
	$session->run("SELECT fusio_manifest_create_table('$name')");
}
$session->run("INSERT INTO pgbench_branches VALUES (1, 0, '')");
$session->run("INSERT INTO pgbench_tellers SELECT g, 1, 0, '' FROM generate_series(1, 10) g");
$session->run("INSERT INTO pgbench_accounts SELECT g, 1, 0, '' FROM generate_series(1, 100000) g");

my $expected = 0;
for my $clients (1, 8)
{
	my $transactions = 400 / $clients;
	my ($host, $port) = ($node->host, $node->port);
	my $run = `pgbench -n -M prepared -c $clients -j 2 -t $transactions --max-tries=1000 -h $host -p $port postgres 2>&1`;

	$expected += $clients * $transactions;
	like($run, qr{processed: (\d+)/\1\b}, "$clients clients: all succeed");
	note($run);
	is_deeply(
		$session->query(
			'SELECT (SELECT sum(abalance) FROM pgbench_accounts) - h,
				(SELECT sum(tbalance) FROM pgbench_tellers) - h,
				(SELECT sum(bbalance) FROM pgbench_branches) - h, n
			FROM (SELECT sum(delta) h, count(*) n FROM pgbench_history) s')->{rows}[0],
		[ 0, 0, 0, $expected ], "$clients clients: the balances add up");
	$session->run("SELECT fusio_manifest_compact('pgbench_$_')")
	  for qw(branches tellers accounts history);
}

done_testing();
