# HEAD in S3, which one backend asks for on behalf of all: how many requests
# that takes, what a commit changes, and who is told nothing.
use strict;
use warnings;

use FmTest::Cluster;
use FmTest::S3;
use Test::More;
use Time::HiRes qw(sleep);

plan skip_all => 'no S3 service' unless FmTest::S3::is_there();

my $proxy = FmTest::S3->proxy;
my $prefix = FmTest::S3::new_prefix();
my $node = start_node('shared_head');
my $session = connect_to($node);

$proxy->make_server($session, 's', $prefix, request_timeout => '2s');
$session->run("CREATE FOREIGN TABLE t (k int NOT NULL, v int) SERVER s OPTIONS (key 'k')");
$session->run('INSERT INTO t SELECT g, 0 FROM generate_series(1, 100) g');
my @readers = map { connect_to($node) } 1 .. 12;
my $count = 'SELECT count(*) FROM t';

# Sends it in every session, and waits for all results: the values.
sub all
{
	my ($sql) = @_;

	$_->send($sql) for @readers;
	return map { $_->{sqlstate} // $_->{rows}[0][0] } map { $_->result } @readers;
}

sub asked
{
	return scalar grep { m{^GET \S+/HEAD } } $proxy->log;
}

# Twelve sessions, ten statements each, all at once.
$proxy->delay(0.05);
$proxy->plan;
is(join(' ', all(join('; ', ($count) x 10))), join(' ', (100) x 12), 'all read');
cmp_ok(asked(), '<=', 60, 'HEAD is asked for less than once in two statements');
cmp_ok(asked(), '>=', 10, 'but by each statement of a session');
diag('requests for 120 statements: ' . asked());
is((grep { m{^GET \S+/HEAD \S+ 200} } $proxy->log), 0, 'it is not sent once more');

# A commit, also of another cluster, is seen by each statement that follows.
my $second = start_node('shared_head_second');
my $far = connect_to($second);
FmTest::S3->make_server($far, 's', $prefix);
$far->run("CREATE FOREIGN TABLE t (k int NOT NULL, v int) SERVER s OPTIONS (key 'k')");
for my $round (1 .. 6)
{
	my @background = @readers[0 .. 5];
	my @foreground = @readers[6 .. 11];

	$_->send("$count; $count") for @background;
	($round % 2 ? $session : $far)->run("INSERT INTO t VALUES (1000 + $round, 0)");
	$_->send($count) for @foreground;
	is(join(' ', map { $_->result->{rows}[0][0] } @foreground),
		join(' ', (100 + $round) x 6), 'a commit is seen at once');
	$_->result for @background;
}

# A new HEAD is sent once for all.
$proxy->plan;
$far->run('INSERT INTO t VALUES (2000, 0)');
is(join(' ', all($count)), join(' ', (107) x 12), 'a commit of another cluster');
is((grep { m{^GET \S+/HEAD \S+ 200} } $proxy->log), 1, 'is sent once');
$proxy->delay(0);

# Who asks hangs, and is terminated; who waits can be cancelled.
$proxy->plan('1+ stall ^GET .*/HEAD');
$readers[0]->send($count);
wait_for(sub { asked() >= 1 });
for my $reader (@readers[1, 2])
{
	$reader->send($count);
	wait_for(sub { $session->value("SELECT wait_event_type FROM pg_stat_activity WHERE state = 'active' AND pid = " . $reader->pid) eq 'Extension' });
}
$readers[2]->cancel;
is($readers[2]->result->{sqlstate}, '57014', 'who waits can be cancelled');
$session->run('SELECT pg_terminate_backend(' . $readers[0]->pid . ')');
$proxy->plan;
is($readers[1]->result->{rows}[0][0], 107, 'who waits for one that is terminated asks');
$readers[0]->result;
$proxy->plan('1 status:403:AccessDenied ^GET .*/HEAD');
my @states = map { $_->{sqlstate} // '00000' }
  map { $_->result } map { $_->send($count); $_ } @readers[1 .. 11];
is((grep { $_ eq '42501' } @states), 1, 'an error is of who asked alone');
is((grep { $_ eq '00000' } @states), 10, 'the others ask for themselves');

# max_staleness: what one has asked counts for all
$session->run("ALTER SERVER s OPTIONS (ADD max_staleness '1h')");
$session->run($count);
$proxy->plan;
my @fresh = map { connect_to($node) } 1 .. 3;
is(join(' ', map { $_->value($count) } @fresh), '107 107 107', 'max_staleness: others read');
is(asked(), 0, 'without asking');
$far->run('INSERT INTO t VALUES (2001, 0)');
is(connect_to($node)->value($count), 107, 'what another cluster commits may be missed');
$session->run('INSERT INTO t VALUES (2002, 0)');
is(join(' ', map { $_->value($count) } @fresh), '109 109 109', 'what this one commits is not');

# Other credentials see nothing of it, though HEAD and blocks are known.
$session->run('CREATE ROLE mapped LOGIN; CREATE ROLE wrong LOGIN; CREATE ROLE keyless LOGIN');
$session->run('GRANT SELECT ON t TO mapped, wrong, keyless');
$session->run("DROP USER MAPPING FOR PUBLIC SERVER s");
$session->run("CREATE USER MAPPING FOR CURRENT_USER SERVER s OPTIONS (access_key_id '$ENV{S3_KEY}', secret_access_key '$ENV{S3_SECRET}')");
$session->run("CREATE USER MAPPING FOR mapped SERVER s OPTIONS (access_key_id '$ENV{S3_KEY}', secret_access_key '$ENV{S3_SECRET}')");
$session->run("CREATE USER MAPPING FOR wrong SERVER s OPTIONS (access_key_id '$ENV{S3_KEY}', secret_access_key 'x$ENV{S3_SECRET}')");
$session->run($count);
is(connect_to($node, user => 'mapped')->value($count), 109, 'the same credentials');
is(connect_to($node, user => 'wrong')->sqlstate($count), '28000', 'a wrong secret');
is(connect_to($node, user => 'keyless')->sqlstate($count), '42704', 'no mapping');

$second->stop;
$node->stop;
done_testing();
