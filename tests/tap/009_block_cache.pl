# The block cache by itself: sessions that load, fail, are cancelled and
# killed, over a few blocks whose bytes are known; preloaded, and private.
use strict;
use warnings;

use FmTest::Cluster;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $SECONDS = 6;
my $module = 'fusio_manifest_cache_test';

sub start_cache
{
	my ($name, @conf) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init;
	$node->append_conf('postgresql.conf', $_) for @conf;
	$node->start;
	connect_to($node)->run("CREATE EXTENSION $module");
	return $node;
}

sub sum
{
	my ($session, $column) = @_;

	return $session->value("SELECT sum($column)
		FROM generate_series(0, 3) k, fm_test_cache_stats(k)");
}

# Until the deadline; no error but those asked for, and no warning.
sub client
{
	my ($node, $seed, $blocks) = @_;
	my $deadline = time + $SECONDS;
	my $client = connect_to($node);

	srand $seed;
	while (time < $deadline)
	{
		my $round = int rand 1e6;
		my $rate = rand() < 0.5 ? 0 : 0.002;
		my $result;

		$client->send("SELECT * FROM fm_test_cache_rounds(3, 1000, $round,
			$blocks, $rate)");
		$client->cancel if rand() < 0.2 && !$client->is_ready(rand 0.1);
		$result = $client->result;
		if ($result->{lost} || ($result->{sqlstate} // '') eq '57P01')
		{
			$client = connect_to($node);
			next;
		}
		if (($result->{sqlstate} // '57014') ne '57014'
			|| grep { /WARNING/ } @{ $result->{notices} })
		{
			print STDERR $client->describe($result)
			  . " @{ $result->{notices} }\n";
			return 1;
		}
	}
	return 0;
}

for my $size (256, 1024, 8192)
{
	my $node = start_cache("cache$size",
		"shared_preload_libraries = '$module'",
		"$module.cache_size = '${size}kB'");
	my $session = connect_to($node);
	my @children = map {
		my $seed = $_;
		spawn(sub { client($node, $seed, $size / 4 + 200) })
	} 1 .. 5;

	for (1 .. 4 * $SECONDS)
	{
		sleep 0.2;
		$session->run("SELECT pg_terminate_backend(pid)
			FROM pg_stat_activity WHERE pid <> pg_backend_pid()
			AND backend_type = 'client backend' ORDER BY random() LIMIT 1")
		  if $_ % 5 == 0;
		$session->run('SELECT fm_test_cache_reset()') if $_ % 7 == 0;
	}
	for my $child (@children)
	{
		waitpid $child, 0;
		is($?, 0, "$size kB: blocks are whole, errors those asked for");
	}
	ok(wait_for(sub { sum($session, 'pins') == 0 }), 'no pin stays');
	cmp_ok(sum($session, 'bytes'), '<=', $size * 1024, 'the size is kept');
	cmp_ok(sum($session, 'hits'), '>', 0, 'hits are counted');

	$session->run('SELECT fm_test_cache_reset()');
	is(sum($session, 'blocks'), 0, 'a reset empties it');
	if ($size == 8192)
	{
		$session->run('SELECT fm_test_cache_rounds(1, 3000, 2, 90, 0)');
		is(sum($session, 'evictions'), 0, 'what fits is not evicted');
	}
	my $result = $session->query('SELECT fm_test_cache_leak()');
	like("@{ $result->{notices} }", qr/WARNING.*still pinned/,
		'a pin left at commit is reported');
	is(sum($session, 'pins'), 0, 'and released');
	$result = $session->query(
		'SELECT fm_test_cache_leak(), 1 / (random() * 0)::int');
	unlike("@{ $result->{notices} }", qr/WARNING/, 'not so at an abort');
	is(sum($session, 'pins'), 0, 'released, too');
	unlike(slurp_file($node->logfile), qr/TRAP|PANIC|terminated by signal/,
		'nothing crashed');
	$node->stop;
}

# Which blocks stay: 5 MB that are used, 2 MB of index, and others beside.
my $node = start_cache('clock', "shared_preload_libraries = '$module'",
	"$module.cache_size = '8MB'");
my $session = connect_to($node);

sub touch
{
	my (@arguments) = @_;

	return $session->value(
		'SELECT fm_test_cache_touch(' . join(', ', @arguments) . ')');
}

my @index = (1, 0, 60, 32000, 'true');
my @hot = (0, 0, 600, 8100, 'true');
touch(@$_) for \@index, \@hot, \@hot;
touch(0, 100000, 20000, 8100, 'false');
is(touch(@hot), 600, 'a large scan flushes no data block');
is(touch(@index), 60, 'and no part of an index');
touch(0, 200000, 600, 8100, 'true');
is(touch(@index), 60, 'an index outlasts data blocks that are used once');
is(touch(1, 1000, 150, 32000, 'true'), 0, 'an index that grows');
is(touch(1, 1000, 150, 32000, 'true'), 150, 'takes the room of data blocks');
touch(0, 300000, 3000, 8100, 'true');
is(touch(0, 300000 + 2500, 500, 8100, 'true'), 500,
	'and gives it back when it is not used');
touch(0, 400000, 60, 65000, 'true');
is(touch(0, 400000, 60, 65000, 'true'), 60, 'so do blocks of another size');
$node->stop;

$node = start_cache('private');
$session = connect_to($node);
$session->run('SELECT * FROM fm_test_cache_rounds(20, 3000, 1, 3000, 0.001)');
is(sum($session, 'pins'), 0, 'private: no pin stays');
cmp_ok(sum($session, 'bytes'), '<=', 8 * 1024 * 1024, 'the size is kept');
cmp_ok(sum($session, 'evictions'), '>', 100, 'blocks are evicted');
is(sum(connect_to($node), 'blocks'), 0, 'others have caches of their own');

done_testing();
