# Look-ups in S3 begin in what was HEAD, while they ask what is: how many
# requests wait for each other, and that no answer is an old one.
use strict;
use warnings;

use FmTest::Cluster;
use FmTest::S3;
use Test::More;

plan skip_all => 'no S3 service' unless FmTest::S3::is_there();

my $proxy = FmTest::S3->proxy;
my $prefix = FmTest::S3::new_prefix();
my $table = "CREATE FOREIGN TABLE t (k int NOT NULL, v text) SERVER s OPTIONS (key 'k', compression 'none')";
my $node = start_node('speculative');
my $session = connect_to($node);
$proxy->make_server($session, 's', $prefix);
$session->run($table);
$session->run("INSERT INTO t SELECT g, 'old' FROM generate_series(1, 20000) g");
$session->run("INSERT INTO t VALUES (0, 'old')");
$session->run("SELECT fusio_manifest_compact('t', true)");

# Another cluster, which does not go through the proxy.
my $second = start_node('speculative_second');
my $far = connect_to($second);
FmTest::S3->make_server($far, 's', $prefix);
$far->run($table);

my $reset = 'SELECT fusio_manifest_cache_reset()';

# The requests since the plan was set, in the order of their answers: H for
# HEAD, r for a range of a run.
sub answers
{
	return join '',
	  map { m{^GET \S+/(HEAD|runs)\S* pass (?:200|206|304)$} ? $1 eq 'HEAD' ? 'H' : 'r' : () }
	  $proxy->log;
}

# Is not told of HEAD until something has happened.
sub with_late_head
{
	my ($sql, $nreads, $happens) = @_;

	$proxy->plan('1+ hold ^GET .*/HEAD');
	$session->send($sql);
	wait_for(sub { (grep { m{/HEAD hold} } $proxy->log) && (grep { m{/runs/} } $proxy->log) >= $nreads })
	  or diag('not sent');
	$happens->();
	my $reads = answers();
	$proxy->plan;
	my $result = $session->result;
	return ($reads, $result->{sqlstate} // join ',', map { $_->[0] } @{ $result->{rows} });
}

# What is read meanwhile is what would be read first; nothing is read twice.
sub runs_with
{
	my ($sql, $value, $nreads, $total, $name) = @_;
	my ($reads, $rows) = with_late_head($sql, $nreads, sub { });

	is($reads, 'r' x $nreads, "$name: reads beside the request for HEAD");
	is($rows, $value, "$name: rows");
	is(answers() =~ tr/r//, $total - $nreads, "$name: reads after it");
	return;
}
my $keys = join ',', map { 1000 * $_ } 1 .. 10;
my $olds = join ',', ('old') x 10;
my $any = "SELECT v FROM t WHERE k = ANY('{$keys}') ORDER BY k";

# Its guess is wrong after the compaction; the next one is not made, and the
# one after that is right.
$session->run($any) for 1 .. 3;
runs_with('SELECT v FROM t WHERE k = 1', 'old', 1, 1, 'index cached');
runs_with('SELECT v FROM t WHERE k = 1', 'old', 0, 0, 'all cached');
$session->run($reset);
runs_with('SELECT v FROM t WHERE k = 1', 'old', 1, 2, 'nothing cached');
$session->run("ALTER SERVER s OPTIONS (ADD coalesce '0')");
$session->run('SELECT v FROM t WHERE k = 1');
runs_with($any, $olds, 10, 10, 'ten keys');
$session->run($reset);
$session->run('SELECT v FROM t WHERE k = 1');
runs_with("SELECT v FROM t WHERE k = ANY(ARRAY(SELECT 1000 * g FROM generate_series(1, 10) g)) ORDER BY k",
	$olds, 10, 10, 'keys of a query');
runs_with('SELECT v FROM t WHERE k IN (1, 20001)', 'old', 0, 0, 'a miss');

# A HEAD that changes meanwhile rules, whatever is cached.
sub changes
{
	my ($sql, $nreads, $change, $value, $name) = @_;
	my ($reads, $rows) = with_late_head($sql, $nreads, sub { $far->run($change) });

	is($reads, 'r' x $nreads, "$name: reads meanwhile");
	is($rows, $value, "$name: the new rows");
	# No guess, and one that is right.
	$session->run('SELECT v FROM t WHERE k = -1') for 1 .. 2;
	return;
}
changes('SELECT v FROM t WHERE k = 1', 0, "UPDATE t SET v = 'new' WHERE k = 1", 'new', 'update, all cached');
$session->run($reset);
$session->run('SELECT v FROM t WHERE k = 3000');
changes('SELECT v FROM t WHERE k = 5000', 1, "UPDATE t SET v = 'new' WHERE k = 5000", 'new', 'update, index cached');
$session->run($reset);
changes('SELECT v FROM t WHERE k = 7000', 1, 'DELETE FROM t WHERE k = 7000', '', 'delete, nothing cached');
changes('SELECT v FROM t WHERE k = 20001', 0, "INSERT INTO t VALUES (20001, 'first')", 'first', 'insert');
changes("UPDATE t SET v = v || '!' WHERE k = 2 RETURNING v", 1, "UPDATE t SET v = 'two' WHERE k = 2", 'two!', 'the row of an update');
changes('SELECT v FROM t WHERE k = 4000', 1, 'TRUNCATE t', '', 'truncate');
changes('SELECT v FROM t WHERE k = 4', 0, "INSERT INTO t SELECT g, 'again' FROM generate_series(1, 20000) g", 'again', 'filled again');

# Reads in vain are counted.
$session->run($reset);
$session->run('SELECT v FROM t WHERE k = 1000');
my (undef, $plan) = with_late_head('EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) SELECT v FROM t WHERE k = 9000', 1,
	sub { $far->run("UPDATE t SET v = 'again' WHERE k = 9001") });
like($plan, qr/Requests: 2\b/, 'one in vain, and one for the block');
$session->run('SELECT v FROM t WHERE k = -1') for 1 .. 2;

# Runs that are gone are no error if HEAD does not have them any more.
$session->run('SELECT v FROM t WHERE k = 1');
my @old = map { FmTest::S3::run_name($_->[0]) }
  @{ $far->query("SELECT id FROM fusio_manifest_runs('t')")->{rows} };
$session->run($reset);
changes('SELECT v FROM t WHERE k = 1', 1, "SELECT fusio_manifest_compact('t', true)", 'again', 'compaction');
$session->run('SELECT v FROM t WHERE k = -1');
$far->run("INSERT INTO t VALUES (20002, 'x')");
$far->run("SELECT fusio_manifest_compact('t', true)");
FmTest::S3::delete_object("$prefix/$_") for @old;
is($session->value('SELECT v FROM t WHERE k = 1'), 'again', 'a run that is gone');

# While a session meets only wrong ones, it guesses less and less often.
my $wrong = 0;
for my $round (1 .. 12)
{
	$far->run("UPDATE t SET v = 'round $round' WHERE k = 6");
	$proxy->plan;
	is($session->value('SELECT v FROM t WHERE k = 6'), "round $round", 'a new row each time');
	$wrong++ if answers() =~ /^r/;
}
cmp_ok($wrong, '<=', 4, "guesses that were wrong: $wrong");

# A cursor and a transaction have the HEAD that they began with.
$session->run('BEGIN; DECLARE c CURSOR FOR SELECT v FROM t WHERE k = 8');
$far->run("UPDATE t SET v = 'late' WHERE k = 8");
is($session->value('FETCH c'), 'again', 'a cursor began before');
is($session->value('SELECT v FROM t WHERE k = 8'), 'late', 'another statement did not');
$session->run('COMMIT; BEGIN ISOLATION LEVEL REPEATABLE READ');
is($session->value('SELECT v FROM t WHERE k = 8'), 'late', 'REPEATABLE READ');
$far->run("UPDATE t SET v = 'later' WHERE k = 8");
$proxy->plan;
is($session->value('SELECT v FROM t WHERE k = 8'), 'late', 'goes on so');
is(answers(), '', 'and asks nobody');
$session->run('COMMIT');
is($session->value('SELECT v FROM t WHERE k = 8'), 'later', 'the next one does not');

# The children of an Append, each in a store of its own.
$session->run('CREATE TABLE p (k int NOT NULL, v text) PARTITION BY RANGE (k)');
for my $i (1, 2)
{
	$proxy->make_server($session, "p$i", FmTest::S3::new_prefix());
	$session->run("CREATE FOREIGN TABLE p_$i PARTITION OF p FOR VALUES FROM (" . 10 * $i . ') TO (' . (10 * $i + 10) . ") SERVER p$i OPTIONS (key 'k')");
}
$session->run("INSERT INTO p_$_ SELECT g, 'part ' || g FROM generate_series(10 * $_, 10 * $_ + 9) g") for 1, 2;
my $append = 'SELECT v FROM p WHERE k IN (15, 25)';
like(join("\n", map { $_->[0] } @{ $session->query("EXPLAIN $append")->{rows} }),
	qr/Async Foreign Scan.*Async Foreign Scan/s, 'asynchronous');
$session->run('SELECT count(*) FROM p');
$session->run($reset);
my ($beside, $found) = with_late_head($append, 2, sub { });
is($beside, 'rr', 'an Append: reads beside the requests for HEAD');
is(join(',', sort split /,/, $found), 'part 15,part 25', 'an Append: rows');
is(answers() =~ tr/r//, 0, 'an Append: nothing is read after them');

# What is cached is not for who may not ask.
$session->run($any);
connect_to($node)->run("ALTER USER MAPPING FOR PUBLIC SERVER s OPTIONS (SET secret_access_key 'x$ENV{S3_SECRET}')");
is($session->sqlstate($_), '28000', "a wrong secret: $_")
  for ($any, 'SELECT v FROM t WHERE k = 1', 'SELECT v FROM t WHERE k = 11111');
connect_to($node)->run("ALTER USER MAPPING FOR PUBLIC SERVER s OPTIONS (SET secret_access_key '$ENV{S3_SECRET}')");
is($session->value('SELECT v FROM t WHERE k = 1'), 'again', 'the right one');

$second->stop;
$node->stop;
done_testing();
