# Failures of requests to S3 that pass: what is sent again, when, and how long.
use strict;
use warnings;

use FmTest::Cluster;
use FmTest::S3;
use Test::More;
use Time::HiRes qw(time);

plan skip_all => 'no S3 service' unless FmTest::S3::is_there();

my $proxy = FmTest::S3->proxy;
my $node = start_node('retries', conf => ['fsync = off']);
my $session = connect_to($node);
my $HEAD = '^PUT \S+/HEAD';
my $key = 1000;

$proxy->make_server($session, 's', FmTest::S3::new_prefix(),
	retry_timeout => '5s', request_timeout => '2s');
$session->run("CREATE FOREIGN TABLE t (k int NOT NULL, v text) SERVER s OPTIONS (key 'k')");
$session->run("INSERT INTO t SELECT g, md5(g::text) FROM generate_series(1, 1000) g");

# Runs a statement with a plan; what came of it, after how many seconds, and
# how many requests matched.  HEAD has been seen, so that nothing is read in
# vain.
sub with_plan
{
	my ($sql, $regex, @plan) = @_;

	$session->run('SELECT count(*) FROM t WHERE k < 0');
	$session->run('SELECT fusio_manifest_cache_reset()');
	$proxy->plan(map { "$_ $regex" } @plan);
	my $start = time;
	my $result = $session->query($sql);
	my $seconds = time - $start;
	my $requests = grep { /$regex/ } $proxy->log;

	$proxy->plan;
	return ($result, $seconds, $requests);
}

sub insert { return 'INSERT INTO t VALUES (' . ++$key . ", 'x')"; }

my $READ = 'SELECT v FROM t WHERE k = 7';

# Each kind, to each kind of request: sent once more.
for my $failure (408, 429, 499, 500, 502, 503, 504, '503:SlowDown', '400:RequestTimeout',
	'400:SlowDown', '500:InternalError')
{
	for ([ 'reading a run', '^GET \S+/runs/', $READ ],
		[ 'reading HEAD', '^GET \S+/HEAD', $READ ],
		[ 'writing a run', '^PUT \S+/runs/', undef ],
		[ 'replacing HEAD', $HEAD, undef ])
	{
		my ($name, $regex, $sql) = @$_;
		my ($result, $seconds, $requests) =
		  with_plan($sql // insert(), $regex, "1 status:$failure");

		is($session->describe($result), 'no error', "$failure, $name");
		cmp_ok($requests, '>=', 2, "$failure, $name: sent again");
	}
	is($session->value("SELECT count(*) FROM t WHERE k = $key"), 1, "$failure: once");
}

# 409: another request for the same name is under way.
{
	my ($result, $seconds, $requests) = with_plan(insert(), '^PUT \S+/runs/',
		'1 status:409:ConditionalRequestConflict', '2 status:409:OperationAborted');

	is($session->describe($result), 'no error', '409, writing a run');
	is($requests, 3, '409, writing a run: until it is over');
}

# What does not pass is not sent again.
for my $failure (400, '403:AccessDenied', 405, 501)
{
	my ($result, $seconds, $requests) = with_plan($READ, '^GET \S+/runs/', "1 status:$failure");

	isnt($result->{sqlstate} // '00000', '00000', "$failure is an error");
	is($requests, 1, "$failure: at the first try");
}

# Retry-After: seconds, or a time by the clock of the server.
for my $later ('2', '+2')
{
	for ([ 'reading', '^GET \S+/runs/', $READ ], [ 'writing', '^PUT \S+/runs/', undef ])
	{
		my ($name, $regex, $sql) = @$_;
		my ($result, $seconds, $requests) =
		  with_plan($sql // insert(), $regex, "1 status:503:SlowDown:$later");

		is($session->describe($result), 'no error', "Retry-After: $later, $name");
		cmp_ok($seconds, '>', $later eq '2' ? 1.9 : 0.9, "Retry-After: $later, $name: not earlier");
		cmp_ok($seconds, '<', 5, "Retry-After: $later, $name: nor much later");
		is($requests, 2, "Retry-After: $later, $name: one more request");
	}
}
for my $later ('6', '7200', '+7200')
{
	my ($result, $seconds, $requests) = with_plan($READ, '^GET \S+/runs/', "1+ status:503:SlowDown:$later");

	is($result->{sqlstate}, '08006', "Retry-After: $later is beyond retry_timeout");
	cmp_ok($seconds, '<', 4, "Retry-After: $later: which is known at once");
	is($requests, 1, "Retry-After: $later: nobody is asked again before");
}

# retry_timeout bounds it all, in a session and in an Append.
for my $case ([ 1, '503' ], [ 3, '400:SlowDown' ])
{
	my ($budget, $answer) = @$case;
	my $status = $answer =~ s/:.*//r;

	$session->run("ALTER SERVER s OPTIONS (SET retry_timeout '${budget}s')");
	my ($result, $seconds, $requests) = with_plan($READ, '^GET \S+/runs/', "1+ status:$answer");

	is($result->{sqlstate}, '08006', "$answer, retry_timeout of $budget s");
	like($result->{message}, qr/answered $status/, 'the message has the status');
	cmp_ok($seconds, '<', $budget + 2, 'it is not passed');
	cmp_ok($requests, '>', 3, 'a few tries');
	cmp_ok($requests, '<', 60, 'with pauses between them');
}
$session->run("ALTER SERVER s OPTIONS (SET retry_timeout '1min')");

# Pauses end with cancel, statement_timeout and commit_timeout.
{
	$session->run("SET statement_timeout = '500ms'");
	my ($result, $seconds) = with_plan($READ, '^GET \S+/runs/', '1+ status:503:SlowDown:30');

	is($result->{sqlstate}, '57014', 'a pause ends with statement_timeout');
	cmp_ok($seconds, '<', 10, 'at once');
	$session->run('RESET statement_timeout');
	$session->run("SET fusio_manifest.commit_timeout = '1s'");
	($result, $seconds) = with_plan(insert(), '^PUT \S+/runs/', '1+ status:503:SlowDown:30');
	is($result->{sqlstate}, '57014', 'and with commit_timeout');
	cmp_ok($seconds, '<', 10, 'in time');
	$session->run('RESET fusio_manifest.commit_timeout');
	is($session->value("SELECT count(*) FROM t WHERE k = $key"), 0, 'nothing is committed');
}

# An error in the body of 200, which only the end of an upload in parts has.
{
	$session->run("CREATE FOREIGN TABLE large (k int NOT NULL, v bytea) SERVER s "
		  . "OPTIONS (key 'k', compression 'none')");
	my $sql = "INSERT INTO large SELECT g, decode(repeat(md5(g::text), 32768), 'hex') FROM generate_series(%d, %d) g";
	my $end = '^POST \S+uploadId=';
	my ($result, $seconds, $requests) =
	  with_plan(sprintf($sql, 1, 129), $end, '1 status:200:SlowDown', '2 status:200:InternalError');

	is($session->describe($result), 'no error', '200 with an error that passes');
	is($requests, 3, '200 with an error that passes: sent again');
	is($session->value('SELECT count(*) FROM large WHERE length(v) = 524288'), 129, 'the upload is whole');
	($result, $seconds, $requests) = with_plan(sprintf($sql, 201, 329), $end, '1 status:200:InvalidPart');
	is($result->{sqlstate}, 'HV000', '200 with an error that does not');
	like($result->{message}, qr/InvalidPart/, 'which the message has');
	is($requests, 1, 'it is not sent again') or diag($proxy->log);
	is($session->value('SELECT count(*) FROM large WHERE k > 200'), 0, 'nothing is committed');
}

# A request that gets no answer ends, though libcurl before 8.4 forgets its time
# when it is called for something else within the millisecond before, here for
# the time of the connection: one of these would wait for ever.
$session->run("CREATE FOREIGN TABLE small (k int NOT NULL) SERVER s OPTIONS (key 'k')");
$session->run('INSERT INTO small VALUES (7)');
$session->run("ALTER SERVER s OPTIONS (ADD connect_timeout '150ms', SET request_timeout '151ms')");
$session->run("SET statement_timeout = '1min'");
for my $try (1 .. 40)
{
	my ($result, $seconds, $requests) =
	  with_plan('SELECT k FROM small WHERE k = 7', '^GET \S+/runs/', '1 stall');

	last unless is($session->describe($result), 'no error', "no answer, $try");
	cmp_ok($requests, '>=', 2, "no answer, $try: sent again");
}
$node->stop;
done_testing();
