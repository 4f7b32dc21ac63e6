# Cancel, timeouts and termination in scans, loads and commits: they act
# soon, leave nothing visible and nothing held.
use strict;
use warnings;

use FmTest::Cluster;
use Test::More;
use Time::HiRes qw(time);

my $node = start_node('cancel');
my $directory = new_directory();
my $session = connect_to($node);

make_table($session, $directory);
$session->run('INSERT INTO t SELECT g, g FROM generate_series(1, 300000) g');
my $count = 300000;

# Cancels what the session runs, and says how it ended and how soon.
sub cancelled
{
	my ($victim, $name) = @_;
	my $start = time;
	my $result;

	$victim->cancel;
	ok($victim->is_ready(5), "$name: ends");
	$result = $victim->result;
	is($result->{sqlstate}, '57014', "$name: is told");
	cmp_ok(time - $start, '<', 2, "$name: soon");
	return;
}

sub untouched
{
	my ($name) = @_;

	is($session->value('SELECT count(*) FROM t'), $count,
		"$name: nothing is visible");
	is($session->value('SELECT sum(pins) FROM fusio_manifest_cache'), 0,
		"$name: nothing is pinned");
	return;
}

# scans
my $victim = connect_to($node);
my $slow = 'SELECT count(*) FROM generate_series(1, 1000) g, t WHERE v <> g';
$victim->run('SET enable_material = off; SET enable_memoize = off');
$victim->send($slow);
ok(!$victim->is_ready(0.5), 'a scan runs');
cancelled($victim, 'scan');
untouched('scan');
is($victim->sqlstate("SET statement_timeout = '300ms'; $slow"), '57014',
	'statement_timeout in a scan');
$victim->run('RESET statement_timeout');
is($victim->sqlstate("SELECT count(1 / (150000 - k)) FROM t"), '22012',
	'an error in the middle of a scan');
untouched('errors in scans');
is($victim->value('SELECT v FROM t WHERE k = 77'), 77, 'the session works');

# loads
my $load = 'INSERT INTO t SELECT g, g FROM generate_series(1000000, 90000000) g';
$victim->run("SET fusio_manifest.write_buffer = '1MB'");
$victim->send($load);
ok(!$victim->is_ready(0.7), 'a load runs');
cancelled($victim, 'load');
untouched('load');
is($victim->sqlstate("SET statement_timeout = '500ms'; $load"), '57014',
	'statement_timeout in a load');
$victim->run('RESET statement_timeout');
untouched('load with a timeout');

# a commit that waits for the lock of HEAD
my $lock = lock_head($directory);
$victim->send('UPDATE t SET v = 0 WHERE k = 5');
ok(!$victim->is_ready(0.7), 'a commit waits');
isnt($session->value('SELECT wait_event FROM pg_stat_activity WHERE pid = '
		  . $victim->pid), undef, 'it says so');
cancelled($victim, 'commit');
is($victim->sqlstate("SET fusio_manifest.commit_timeout = '400ms';
	UPDATE t SET v = 0 WHERE k = 5"), '57014', 'commit_timeout');
$victim->run('RESET fusio_manifest.commit_timeout');
is($session->value('SELECT v FROM t WHERE k = 5'), 5,
	'the lock does not keep readers');
$victim->run('BEGIN; UPDATE t SET v = 0 WHERE k = 6');
$victim->send('COMMIT');
ok(!$victim->is_ready(0.5), 'another commit waits');
$session->run('SELECT pg_terminate_backend(' . $victim->pid . ')');
ok($victim->is_ready(5), 'it is terminated');
ok($victim->result->{lost}, 'the connection is lost');
is($victim->result->{sqlstate}, '57P01', 'by the administrator');

# waiting for one another's key
$victim = connect_to($node);
$session->run('BEGIN; UPDATE t SET v = v WHERE k = 9');
$victim->send('UPDATE t SET v = v WHERE k = 9');
ok(!$victim->is_ready(0.3), 'a session waits for a key');
cancelled($victim, 'wait for a key');
is($victim->sqlstate("SET lock_timeout = '200ms';
	UPDATE t SET v = v WHERE k = 9"), '55P03', 'lock_timeout');
$session->run('ROLLBACK');

# the lock is free again: who waits goes on
$victim->send('UPDATE t SET v = -7 WHERE k = 7');
ok(!$victim->is_ready(0.3), 'a commit waits');
close $lock;
ok($victim->is_ready(5), 'and goes on');
is($victim->result->{sqlstate}, undef, 'without an error');
is($session->value('SELECT v FROM t WHERE k = 7'), -7, 'it is committed');
is($session->value('SELECT sum(v) FROM t WHERE k < 7'), 21,
	'the others are not');
untouched('commits');

# compaction
$session->run("INSERT INTO t VALUES (-$_, 0)") for 1 .. 3;
$count += 3;
$lock = lock_head($directory);
$victim->send("SELECT fusio_manifest_compact('t', true)");
ok(!$victim->is_ready(0.7), 'compaction waits');
cancelled($victim, 'compaction');
close $lock;
untouched('compaction');
$victim->run("SELECT fusio_manifest_compact('t', true)");
untouched('compaction again');

# at arbitrary moments of loads of some size, until one gets through
my ($cancelled, $delay) = (0, 0.01);
for (1 .. 40)
{
	my $start = $count * 100;
	my $result;

	$victim->send("INSERT INTO t SELECT g, g
		FROM generate_series($start, $start + 20000) g");
	$victim->cancel unless $victim->is_ready($delay);
	$result = $victim->result;
	if (defined $result->{sqlstate})
	{
		is($result->{sqlstate}, '57014', 'cancelled in time')
		  if $result->{sqlstate} ne '57014';
		$cancelled++;
		$delay *= 1.25;
	}
	else
	{
		$count += 20001;
		$delay *= 0.7;
	}
	if ($session->value('SELECT count(*) FROM t') != $count)
	{
		fail("wrong count after a delay of $delay s");
		last;
	}
}
cmp_ok($cancelled, '>', 5, 'loads were cancelled at many moments');
untouched('all those loads');

done_testing();
