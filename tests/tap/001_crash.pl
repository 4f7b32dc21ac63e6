# Backends and servers that die: what was committed is there, nothing else is,
# and the store works on.
use strict;
use warnings;

use FmTest::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node('crash');
my $directory = new_directory();
my $session = connect_to($node);

make_table($session, $directory);
$session->run('INSERT INTO t SELECT g, g FROM generate_series(1, 1000) g');

# in the middle of a load that spills
my $victim = connect_to($node);
$victim->run("SET fusio_manifest.write_buffer = '1MB'");
$victim->send('INSERT INTO t SELECT g, g FROM generate_series(2000, 9000000) g');
ok(!$victim->is_ready(1.5), 'a load runs');
$session = crash($node, $victim);
is($session->value('SELECT count(*) FROM t'), 1000, 'F1: nothing of it is visible');

# in the middle of a commit: runs are written, HEAD is not
my $lock = lock_head($directory);
my $runs = run_files($directory);
$victim = connect_to($node);
$victim->send('UPDATE t SET v = -1');
ok(wait_for(sub { run_files($directory) > $runs }), 'a commit writes its run');
ok(!$victim->is_ready(0.5), 'and waits for the lock');
$session = crash($node, $victim);
close $lock;
is($session->value('SELECT sum(v) FROM t'), 500500,
	'F2: nothing of it is visible');
$session->run('UPDATE t SET v = v + 1 WHERE k <= 10');
is($session->value('SELECT sum(v) FROM t'), 500510, 'others can commit');
is($session->value("SELECT count(*) FROM fusio_manifest_runs('t')") + 1,
	scalar run_files($directory), 'F2: its run is an orphan');

# F27: who holds the lock is killed; the lock file stays, and nobody minds
{
	my $holder = spawn(sub {
		my $held = lock_head($directory);

		spew("$directory/held", '');
		sleep 600;
		return 0;
	});

	ok(wait_for(sub { -e "$directory/held" }), 'F27: the lock is held');
	$victim = connect_to($node);
	$victim->send('INSERT INTO t VALUES (0, 0)');
	ok(!$victim->is_ready(0.5), 'F27: a commit waits for it');
	kill 'KILL', $holder;
	waitpid $holder, 0;
	is($victim->describe($victim->result), 'no error', 'F27: and goes on then');
	ok(-e "$directory/HEAD.lock", 'F27: the lock file stays');
	$session->run('DELETE FROM t WHERE k = 0');
	unlink "$directory/held";
}

# F26: what a crash leaves behind before HEAD is renamed: a part of the next
# HEAD, and runs that no HEAD lists
{
	my ($run) = run_files($directory);
	(my $orphan = $run) =~ s/[0-9a-f]{8}\.run$/00000000.run/;

	spew($orphan, substr slurp($run), 0, 100);
	spew("$directory/HEAD.tmp", substr slurp("$directory/HEAD"), 0, 50);
	is($session->value('SELECT sum(v) FROM t'), 500510, 'F26: the old HEAD counts');
	is($session->sqlstate('UPDATE t SET v = v WHERE k = 1'), '00000',
		'F26: and is replaced by the next commit');
	is($session->value('SELECT sum(v) FROM t'), 500510, 'F26: which adopts nothing');
}

# while others are inside their commits too
my @writers = map { connect_to($node) } 1 .. 3;
$_->send('DO $$ BEGIN LOOP
	BEGIN
		INSERT INTO t VALUES (10000 + 1000000 * random(), 0);
	EXCEPTION WHEN unique_violation THEN NULL;
	END;
	COMMIT;
END LOOP; END $$') for @writers;
sleep 2;
$session = crash($node, $writers[0]);
my $count = $session->value('SELECT count(*) FROM t');
cmp_ok($count, '>', 1000, 'the loops committed');
is($session->value('SELECT count(*) FROM t WHERE k <= 1000'), 1000,
	'nothing is lost');

# restarts
$node->stop('immediate');
$node->start;
$session = connect_to($node);
is($session->value('SELECT count(*) FROM t'), $count,
	'an immediate stop loses nothing');
$session->run("SELECT fusio_manifest_compact('t', true)");
$node->restart;
$session = connect_to($node);
is($session->value('SELECT count(*) FROM t'), $count,
	'a restart after compaction loses nothing');
is($session->value('SELECT v FROM t WHERE k = 10'), 11, 'looked up by key');

done_testing();
