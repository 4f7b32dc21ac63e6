# Many sessions and two clusters commit to one store in S3: batches, conflicts
# in and between them, leaders that are interrupted.  Nothing is lost or
# doubled, and sums stay what they are.
use strict;
use warnings;

use FmTest::Cluster;
use FmTest::S3;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'no S3 service' unless FmTest::S3::is_there();

# Three sessions whose commits form one batch, led most likely by the first,
# in a store of its own: they queue behind a leader whose upload hangs, and
# which is terminated once the plan for the batch is set.
sub make_batch
{
	my ($name, $control, $node, @plan) = @_;
	my $proxy = FmTest::S3->proxy;
	my $first = connect_to($node);
	my @members = map { connect_to($node) } 1 .. 3;
	my $uploads = 1 + grep { m{ stall .*runs} } @plan;
	my $active = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' "
	  . "AND wait_event_type = 'Extension' AND query LIKE 'INSERT INTO $name %'";

	$proxy->make_server($control, $name, FmTest::S3::new_prefix(),
		request_timeout => '2s');
	$control->run("CREATE FOREIGN TABLE $name (k int NOT NULL, v int) SERVER $name OPTIONS (key 'k')");
	$control->run("INSERT INTO $name VALUES (-$_, 0)") for 1 .. 2;
	$proxy->plan('1+ stall ^PUT .*/runs/');
	$first->send("INSERT INTO $name VALUES (0, 0)");
	wait_for(sub { $proxy->has_acted }) or die 'the upload does not hang';
	for my $n (0 .. 2)
	{
		$members[$n]->send("INSERT INTO $name VALUES ($n + 1, 0)");
		wait_for(sub { $control->value($active) == $n + 2 });
		sleep 0.3;
	}
	$proxy->plan(@plan);
	$control->run('SELECT pg_terminate_backend(' . $first->pid . ')');
	$first->result;
	return { name => $name, proxy => $proxy, members => \@members };
}

# How it ended for the members.
sub states
{
	my ($batch) = @_;

	return map { $_->{lost} ? 'lost' : $_->{sqlstate} // '00000' }
	  map { $_->result } @{ $batch->{members} };
}

my $proxy = FmTest::S3->proxy;
my $prefix = FmTest::S3::new_prefix();
my $node = start_node('groups');
my $session = connect_to($node);

# The leader of a batch cannot find out for 30 seconds whether its HEAD was
# published: it was, or was not.  What comes of that is seen further below.
my %in_doubt = map { $_ => make_batch("doubt_$_", $session, $node,
		'1 ' . ($_ eq 'yes' ? 'lose' : 'status:503') . ' ^PUT .*/HEAD',
		'1+ status:403:AccessDenied ^GET .*/HEAD') } 'yes', 'no';

$proxy->make_server($session, 's', $prefix);
$session->run("CREATE FOREIGN TABLE t (k int NOT NULL, v int) SERVER s OPTIONS (key 'k')");
$session->run("CREATE FOREIGN TABLE u (k text COLLATE \"C\" NOT NULL, v int) SERVER s OPTIONS (key 'k')");
$session->run('INSERT INTO t SELECT g, 100 FROM generate_series(1, 40) g');
$session->run("INSERT INTO u VALUES ('a', 1)");
$proxy->delay(0.02);
my @sessions = map { connect_to($node) } 1 .. 16;

# Sends a statement in every session, and waits for all results.
sub all
{
	my ($sql) = @_;

	$sessions[$_]->send($sql->($_)) for 0 .. $#sessions;
	return map { $_->{lost} ? 'lost' : $_->{sqlstate} // '00000' }
	  map { $_->result } @sessions;
}

sub swaps
{
	return scalar grep { m{^PUT \S+/HEAD } } $proxy->log;
}

$proxy->plan;
my $good = 0;
for my $round (1 .. 5)
{
	my $at = $round * 1000;

	$good += grep { $_ eq '00000' } all(sub { "INSERT INTO t VALUES ($at + $_[0], 0)" });
}
is($good, 80, 'commits of different rows: all succeed');
cmp_ok(swaps(), '<=', 40, 'in fewer swaps of HEAD');
is($session->value('SELECT count(*) FROM t WHERE k >= 1000'), 80, 'all are there');
cmp_ok($session->value("SELECT max(jsonb_array_length(r->'members')) FROM jsonb_array_elements(fusio_manifest_head('s')->'log') r"),
	'>', 1, 'the log has groups') or diag(substr $session->value("SELECT fusio_manifest_head('s')::text"), 0, 600);

# two tables in a transaction, an update and a delete
is((grep { $_ eq '00000' } all(sub {
	my $n = $_[0];
	"BEGIN; INSERT INTO u VALUES ('x$n', $n); UPDATE t SET v = $n WHERE k = 1000 + $n; "
	  . "DELETE FROM t WHERE k = 2000 + $n; COMMIT" })), 16, 'several tables');
is($session->value("SELECT count(*) FROM u WHERE k LIKE 'x%'"), 16, 'inserted');
is($session->value('SELECT count(*) FROM t WHERE k BETWEEN 1000 AND 1100 AND v = k - 1000'), 16, 'updated');
is($session->value('SELECT count(*) FROM t WHERE k BETWEEN 2000 AND 2100'), 0, 'deleted');

# one key for all: one wins
for my $round (1 .. 3)
{
	my @states = all(sub { "INSERT INTO t VALUES (-$round, $_[0])" });

	is((grep { $_ eq '00000' } @states), 1, 'one key: one wins');
	is((grep { /^(00000|40001|23505)$/ } @states), 16, 'the others are told')
	  or diag("@states");
	is($session->value("SELECT count(*) FROM t WHERE k = -$round"), 1, 'and it is there once');
}
$session->run("ALTER FOREIGN TABLE t OPTIONS (ADD insert_mode 'upsert')");
is((grep { $_ eq '00000' } all(sub { "INSERT INTO t VALUES (-9, $_[0])" })), 16,
	'upserts of one key: all succeed');
is($session->value('SELECT count(*) FROM t WHERE k = -9'), 1, 'the row is there once');
$session->run('ALTER FOREIGN TABLE t OPTIONS (DROP insert_mode)');

# faults at a batch's HEAD
my $at = 10000;
for my $action ('lose', 'after:503', 'status:503', 'twice', 'status:409', 'status:403')
{
	$at += 100;

	$proxy->plan("1 $action ^PUT .*/HEAD");
	my @states = all(sub { "INSERT INTO t VALUES ($at + $_[0], 0)" });
	my $acknowledged = grep { $_ eq '00000' } @states;
	is($session->value("SELECT count(*) FROM t WHERE k BETWEEN $at AND $at + 15"),
		$acknowledged, "$action: acknowledged is there, failed is not");
	cmp_ok($acknowledged, '>=', 15, "$action: the others are not drawn into it")
	  or diag("@states");
}
$proxy->plan("1 status:403 ^PUT .*/runs/");
my @states = all(sub { "INSERT INTO t VALUES (30000 + $_[0], 0)" });
is((grep { $_ eq '00000' } @states), 15, 'a leader whose upload is refused fails alone');
is($session->value('SELECT count(*) FROM t WHERE k BETWEEN 30000 AND 30015'), 15, 'the others are there');

# who waits can be cancelled; a leader can be terminated
{
	$proxy->plan('1 stall ^PUT .*/runs/');
	$sessions[0]->send('INSERT INTO t VALUES (40000, 0)');
	wait_for(sub { grep { /runs.* stall/ } $proxy->log });
	$sessions[1]->send('INSERT INTO t VALUES (40001, 0)');
	sleep 0.3;
	$sessions[1]->cancel;
	is($sessions[1]->result->{sqlstate}, '57014', 'cancel in the queue');
	$sessions[2]->send('INSERT INTO t VALUES (40002, 0)');
	sleep 0.3;
	$session->run('SELECT pg_terminate_backend(' . $sessions[0]->pid . ')');
	my $result = $sessions[2]->result;
	is($result->{sqlstate}, undef, 'the leader is terminated: another leads');
	$sessions[0]->result;
	$sessions[0] = connect_to($node);
	is($session->value('SELECT count(*) FROM t WHERE k BETWEEN 40000 AND 40002'), 1,
		'only that is there');
}
$proxy->plan;

# The leader is terminated while its HEAD is on the way, and is applied.
{
	my $batch = make_batch('terminated', $session, $node, '1 hang ^PUT .*/HEAD');
	wait_for(sub { $batch->{proxy}->has_acted });
	$session->run('SELECT pg_terminate_backend(' . $batch->{members}[0]->pid . ')');
	my @states = states($batch);
	is("@states[1, 2]", '00000 00000', 'leader terminated after HEAD was sent: the others commit');
	like($states[0], qr/^(00000|lost|57P01)$/, 'and it ends');
	is($session->value('SELECT count(*) FROM terminated WHERE k > 0'), 3, 'all rows are there');
}

# A member leaves while the leader's upload hangs.
{
	my $batch = make_batch('departed', $session, $node, '1 stall ^PUT .*/runs/');
	wait_for(sub { $batch->{proxy}->has_acted });
	$batch->{members}[2]->cancel;
	my @states = states($batch);
	is("@states", '00000 00000 57014', 'a member is cancelled before HEAD is sent');
	is($session->value('SELECT string_agg(k::text, \' \' ORDER BY k) FROM departed WHERE k > 0'), '1 2',
		'its row is not there, the others are');
}

# A cancel while HEAD is on the way comes too late, whatever the answer.
{
	my $alone = make_batch('late', $session, $node);
	states($alone);
	my $member = $alone->{members}[0];
	$alone->{proxy}->plan('1 hang ^PUT .*/HEAD');
	$member->send('INSERT INTO late VALUES (50, 0)');
	wait_for(sub { $alone->{proxy}->has_acted });
	$member->cancel;
	is($member->result->{sqlstate}, undef, 'a cancel after HEAD was sent is too late');
	is($session->value('SELECT count(*) FROM late WHERE k = 50'), 1, 'the row is there');
}

# commit_timeout ends every request before HEAD is sent, and the wait in a
# group's queue, though a request may take ten minutes.
{
	my $patient = FmTest::S3->proxy;
	my ($hurried, $leader) = map { connect_to($node) } 1 .. 2;

	$patient->make_server($session, 'patient', FmTest::S3::new_prefix(),
		request_timeout => '10min', retry_timeout => '1h');
	$session->run("CREATE FOREIGN TABLE patient (k int NOT NULL, v int) SERVER patient OPTIONS (key 'k')");
	$session->run('INSERT INTO patient VALUES (1, 0)');
	$hurried->run("SET fusio_manifest.commit_timeout = '500ms'");
	for my $case ([ 'INSERT INTO patient VALUES (2, 0)', '^PUT .*/runs/' ],
		[ 'TRUNCATE patient', '^GET .*/HEAD' ])
	{
		my ($change, $requests) = @$case;

		$hurried->run("BEGIN; $change");
		$patient->plan("1+ stall $requests");
		$hurried->send('COMMIT');
		ok($hurried->is_ready(60), "$change: commit_timeout ends a request");
		is($hurried->result->{sqlstate}, '57014', 'it is a timeout');
		$patient->plan;
	}
	$patient->plan('1+ stall ^PUT .*/runs/');
	$leader->send('INSERT INTO patient VALUES (3, 0)');
	wait_for(sub { $patient->has_acted });
	is($hurried->sqlstate('INSERT INTO patient VALUES (4, 0)'), '57014',
		'commit_timeout ends the wait for a leader');
	ok(!$leader->is_ready(0), 'who hangs still');
	$session->run('SELECT pg_terminate_backend(' . $leader->pid . ')');
	$leader->result;
	$patient->plan;
	is($session->value('SELECT count(*) FROM patient'), 1, 'nothing else is there');
}

# Transfers between accounts, from two clusters, in batches and alone.
my $second = start_node('groups_second');
my $far = connect_to($second);
FmTest::S3->make_server($far, 's', $prefix);
$far->run("CREATE FOREIGN TABLE t (k int NOT NULL, v int) SERVER s OPTIONS (key 'k')");
$proxy->delay(0.005);
my @transfers = map { { session => connect_to($_ % 3 ? $node : $second) } } 1 .. 12;
my ($done, $conflicts, $other) = (0, 0, '');
my $end = time + ($ENV{FM_TEST_SECONDS} // 10);
srand(7);
while (time < $end)
{
	for my $transfer (@transfers)
	{
		next if $transfer->{busy} && !$transfer->{session}->is_ready(0);
		if ($transfer->{busy})
		{
			my $state = $transfer->{session}->result->{sqlstate};

			if (!defined $state) { $done++ }
			elsif ($state =~ /^40/) { $conflicts++ }
			else { $other .= " $state" }
			$transfer->{session}->run('ROLLBACK') if defined $state;
		}
		my ($from, $to) = (1 + int rand 40, 1 + int rand 40);

		$transfer->{session}->send(
			"BEGIN ISOLATION LEVEL REPEATABLE READ; "
			  . "UPDATE t SET v = v - 1 WHERE k = $from; "
			  . "UPDATE t SET v = v + 1 WHERE k = $to; COMMIT");
		$transfer->{busy} = 1;
	}
	sleep 0.002;
}
$_->{session}->result for @transfers;
is($other, '', 'transfers end, or conflict');
cmp_ok($done, '>', 20, "transfers are made: $done, conflicts: $conflicts");
is($session->value('SELECT sum(v) FROM t WHERE k BETWEEN 1 AND 40'), 4000,
	'the sum is what it was');
is($far->value('SELECT sum(v) FROM t WHERE k BETWEEN 1 AND 40'), 4000,
	'seen from the other cluster, too');
is($session->value('SELECT count(*) FROM t WHERE k BETWEEN 1 AND 40'), 40,
	'and so is the number of accounts');

# what this cluster commits is seen at once
$session->run("ALTER SERVER s OPTIONS (ADD max_staleness '1h')");
my $reader = connect_to($node);
is($reader->value('SELECT count(*) FROM t WHERE k = 50000'), 0, 'max_staleness: read');
$proxy->plan;
is($reader->value('SELECT count(*) FROM t WHERE k = 50000'), 0, 'again');
is((grep { m{/HEAD } } $proxy->log), 0, 'without asking');
$session->run('INSERT INTO t VALUES (50000, 0)');
is($reader->value('SELECT count(*) FROM t WHERE k = 50000'), 1,
	'and what the cluster commits is seen at once');
$far->run('INSERT INTO t VALUES (50001, 0)');
is($reader->value('SELECT count(*) FROM t WHERE k = 50001'), 0,
	'what another commits, when it must be');

# The leaders that do not know give up; another member goes on.
for my $published ('yes', 'no')
{
	my $batch = $in_doubt{$published};
	my ($name, $members) = @{$batch}{ 'name', 'members' };

	wait_for(sub { grep { $_->is_ready(0) } @$members }, 60);
	$batch->{proxy}->plan;
	is(join(' ', sort(states($batch))), '00000 00000 40003',
		"published: $published: only the leader does not know");
	is($session->value("SELECT count(*) FROM $name WHERE k > 0"), 3, 'all rows are there once');
	is($session->value("SELECT max(jsonb_array_length(r->'members')) FROM jsonb_array_elements(fusio_manifest_head('$name')->'log') r"),
		3, 'it was one batch');
	is($session->value("SELECT fusio_manifest_head('$name')->'version'"), 3, 'published once');
}

$second->stop;
$node->stop;
done_testing();
