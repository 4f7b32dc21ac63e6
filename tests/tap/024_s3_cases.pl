# More of the cases of docs/faults.md, in S3: those that take more than one
# failing request.
use strict;
use warnings;

use File::Basename qw(dirname);
use FmTest::Cluster;
use FmTest::S3;
use Test::More;

plan skip_all => 'no S3 service' unless FmTest::S3::is_there();

my $proxy = FmTest::S3->proxy;
my $node = start_node('cases');
my $session = connect_to($node);
my $HEAD = '^PUT .*/HEAD';
my $number = 0;
my ($prefix, $s, $d);

$session->run('CREATE EXTENSION fusio_manifest_test');

# A new store with a table of two runs: $s through the proxy, $d without it.
sub new_store
{
	my (%arg) = @_;

	$number++;
	($prefix, $s, $d) = (FmTest::S3::new_prefix(), "s$number", "d$number");
	$proxy->plan;
	$proxy->delay(0);
	$proxy->make_server($session, $s, $prefix, retry_timeout => '4s',
		request_timeout => '2s');
	FmTest::S3->make_server($session, $d, $prefix);
	$session->run("CREATE FOREIGN TABLE $_ (k int NOT NULL, v text) "
		  . "SERVER $_ OPTIONS (key 'k', table_name 't')")
	  for $s, $d;
	return if $arg{empty};
	$session->run("INSERT INTO $d SELECT g, md5(g::text) FROM generate_series(1, 1000) g");
	$session->run("INSERT INTO $d SELECT g, md5(g::text) FROM generate_series(1001, 2000) g");
	return;
}

sub run_names
{
	return map { "$prefix/" . FmTest::S3::run_name($_->[0]) }
	  @{ $session->run("SELECT id FROM fusio_manifest_runs('$d')")->{rows} };
}

# HEAD as it would be 100 commits later, when the log has passed them.
sub pass_log
{
	my ($features) = @_;
	my $head = unpack 'H*', FmTest::S3::get_object("$prefix/HEAD");
	my $later = $session->value("SELECT fm_test_later_head('\\x$head', 100, "
		  . ($features // 0) . ')');

	FmTest::S3::put_object("$prefix/HEAD", pack 'H*', substr $later, 2);
	return;
}

# F14: a compaction that sleeps after its upload, or after a HEAD that is still
# on its way, while others compact and commit.
for my $case ([ 'compaction', 'runs' ], [ 'compaction', 'HEAD' ],
	[ 'commits', 'HEAD' ], [ 'TRUNCATE', 'HEAD' ])
{
	my ($others, $at) = @$case;
	new_store();
	my $zombie = connect_to($node);
	my $expected = 2000;

	$zombie->run("SELECT count(*) FROM $s");
	$proxy->plan($at eq 'HEAD' ? "1 late:2 $HEAD" : ());
	$proxy->delay(0.4);
	$zombie->send("SELECT fusio_manifest_compact('$s', true)");
	ok(wait_for(sub { grep { m{^PUT \S+/$at\S* (pass|late)} } $proxy->log }),
		"F14: $others: it has sent $at");
	kill 'STOP', $zombie->pid;
	my ($output) = map { m{/(runs/\S+)} } grep { m{^PUT \S+/runs/} } $proxy->log;
	if ($others eq 'compaction')
	{
		is($session->value("SELECT fusio_manifest_compact('$d', true)"), 2,
			'F14: another compaction');
	}
	if ($others eq 'TRUNCATE')
	{
		$session->run("TRUNCATE $d");
		$expected = 0;
	}
	$session->run("INSERT INTO $d VALUES ($_, 'later')") for 3001 .. 3003;
	$session->run("DELETE FROM $d WHERE k = 3002");
	$expected += 2;
	kill 'CONT', $zombie->pid;
	$proxy->delay(0);
	is($zombie->describe($zombie->result), 'no error', "F14: $others: it ends");
	if ($at eq 'HEAD')
	{
		$session->run("SELECT 1 FROM $s LIMIT 1") for 1 .. 3;
		ok(wait_for(sub { grep { /^late 412/ } $proxy->log }),
			"F14: $others: what comes late is refused");
	}
	is_deeply($session->run("SELECT count(*), count(DISTINCT k) FROM $d")->{rows}[0],
		[ $expected, $expected ], "F14: $others: no row is lost or doubled");
	is(scalar(grep { /\Q$output\E$/ } run_names()), $others eq 'commits' ? 1 : 0,
		"F14: $others: its output is listed only if its inputs still were");
}

# F16: a reader whose version the log has passed, and whose runs are gone.
{
	new_store();
	my @sql = ("SELECT count(*) FROM $d", "SELECT v FROM $d WHERE k = 7",
		"SELECT v FROM $d WHERE k = 1500", "SELECT max(k) FROM $d");
	my @readers = map { connect_to($node) } @sql;
	my ($writer, $alone) = map { connect_to($node) } 1, 2;

	$_->run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM $d")
	  for @readers, $writer;
	$alone->run("BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT v FROM $d WHERE k = -1");
	my @old = run_names();
	is(scalar @old, 2, 'F16: two runs are read');
	$session->run("SELECT fusio_manifest_compact('$d', true)");
	pass_log();
	FmTest::S3::delete_object($_) for @old;
	$session->run('SELECT fusio_manifest_cache_reset()');
	is($readers[$_]->sqlstate($sql[$_]), '72000', "F16: $sql[$_]") for 0 .. $#sql;
	$_->run("INSERT INTO $d VALUES (-1, 'late')") for $writer, $alone;
	is($alone->sqlstate('COMMIT'), '40001', 'F16: who wrote then cannot be checked');
	like($writer->sqlstate('COMMIT'), qr/^4000[13]$/, 'F16: nor in a group');
	is($session->value("SELECT count(*) FROM $d"), 2000, 'F16: others read on');
	is($session->sqlstate("INSERT INTO $d VALUES (-2, 'x')"), '00000', 'F16: and write');
}

# F32: the log passes a commit whose outcome is in doubt.
{
	new_store();
	$session->run("INSERT INTO $s VALUES (0, 'x')");
	$proxy->plan("1 lose $HEAD", '2 stall ^GET .*/HEAD');
	$session->send("INSERT INTO $s VALUES (-1, 'x')");
	ok(wait_for(sub { grep { /HEAD stall/ } $proxy->log }), 'F32: it is in doubt');
	my $other = $session;
	$session = connect_to($node);
	pass_log();
	my $result = $other->result;
	is($result->{sqlstate}, '40003', 'F32: then nobody knows');
	like($result->{message}, qr/[0-9a-f]{32}/, 'F32: the commit is named');
	like($result->{detail}, qr/does not reach back/, 'F32: with the reason');
	cmp_ok($session->value("SELECT count(*) FROM $d WHERE k = -1"), '<=', 1, 'F32: once or not');
	is($other->sqlstate("INSERT INTO $s VALUES (-2, 'x')"), '00000', 'F32: the session works');
}

# F8, F9: refused again and again, though HEAD is unchanged.
for my $status ('412:PreconditionFailed', '409:ConditionalRequestConflict')
{
	new_store();
	for my $sql ("INSERT INTO $s VALUES (-1, 'x')", "SELECT fusio_manifest_compact('$s', true)")
	{
		$proxy->plan("1+ status:$status $HEAD");
		my $result = $session->query($sql);
		is($result->{sqlstate}, '58030', "$status for ever: $sql");
		like($result->{detail}, qr/unchanged.*Nothing was committed/, 'with what is known');
		like($result->{hint}, qr/fusio_manifest_check_server/, 'and a hint');
		is((grep { /$HEAD/ } $proxy->log), 10, 'after a few tries');
		$proxy->plan;
	}
	my @members = map { connect_to($node) } 1, 2;
	$proxy->plan("1+ status:$status $HEAD");
	$members[$_]->send("INSERT INTO $s VALUES (-$_ - 2, 'x')") for 0, 1;
	is($_->result->{sqlstate}, '58030', "$status for ever: for all of a group") for @members;
	$proxy->plan("1 twice $HEAD");
	is($session->sqlstate("INSERT INTO $s VALUES (-4, 'x')"), '00000',
		"$status: refused for its own success");
	$proxy->plan(map { "$_ status:$status $HEAD" } 1 .. 5);
	is($session->sqlstate("INSERT INTO $s VALUES (-5, 'x')"), '00000', "$status, five times");
	is($session->value("SELECT count(*) FROM $d"), 2002, 'what was refused is not there');
}

# The same, but one request had no answer.
{
	new_store();
	$proxy->plan("1+ status:412:PreconditionFailed $HEAD", "3 status:500 $HEAD");
	my $result = $session->query("SELECT fusio_manifest_compact('$s', true)");
	is($result->{sqlstate}, '40003', '412 for ever, but for one 500');
	like($result->{detail}, qr/may have been applied since, or may be yet/, 'with the reason');
	cmp_ok((grep { /$HEAD/ } $proxy->log), '>', 10, 'after more than a few tries');
	$proxy->plan;
	is($session->value("SELECT count(*) FROM $d"), 2000, 'no row is lost');
}

# F19, F20, F21, F22: objects that are not what was written, until they are
# again.
{
	new_store();
	my ($second, $first) = run_names();
	my %bytes = map { $_ => FmTest::S3::get_object($_) } $first, $second;
	my $all = "SELECT count(*), sum(hashtext(v)) FROM $d";
	my $answer = $session->run($all)->{rows}[0];
	my $answers = sub {
		$session->run('SELECT fusio_manifest_cache_reset()');
		my $result = $session->query($all);
		return $result->{sqlstate} // "@{ $result->{rows}[0] }";
	};

	for my $length (0, 1, 100, length($bytes{$first}) - 1)
	{
		FmTest::S3::put_object($first, substr $bytes{$first}, 0, $length);
		is($answers->(), 'XX001', "F19: a run cut to $length bytes");
	}
	FmTest::S3::put_object($first, $bytes{$second});
	is($answers->(), 'XX001', 'F21: a run under the name of another one');
	like($session->query("SELECT v FROM $d WHERE k = 7")->{message},
		qr/[0-9a-f]{32}/, 'F21: by key, too');
	FmTest::S3::put_object($first, $bytes{$first});
	my %states;
	for my $i (0 .. 23)
	{
		my $bytes = $bytes{$first};

		substr($bytes, int(length($bytes) * $i / 24), 1) ^= chr(1 << $i % 8);
		FmTest::S3::put_object($first, $bytes);
		$states{ $answers->() }++;
	}
	delete $states{"@$answer"};
	is_deeply([ keys %states ], ['XX001'], 'F20: bits that are wrong: an error, or of no matter');
	cmp_ok($states{XX001}, '>', 6, 'F20: mostly an error');
	FmTest::S3::put_object($first, $bytes{$first});
	is($answers->(), "@$answer", 'F20: and all is well with the right bytes');

	my $head = FmTest::S3::get_object("$prefix/HEAD");
	for my $wrong ('', 'x' x 2_000_000, substr($head, 0, 100), $head . "\0" x 1_000_000)
	{
		FmTest::S3::put_object("$prefix/HEAD", $wrong);
		is(connect_to($node)->sqlstate($_), 'XX001',
			'F22: HEAD of ' . length($wrong) . ' bytes')
		  for $all, "INSERT INTO $d VALUES (-1, 'x')";
	}
	FmTest::S3::put_object("$prefix/HEAD", $head);
	is($session->value("SELECT count(*) FROM $d"), 2000, 'F22: and of the right ones');
}

# F20: wrong bits on the way, several times in a row: of a page, of the index
# of a run, of a block, of HEAD.
{
	new_store();
	$session->run("INSERT INTO $d VALUES (-$_, 'x')") for 1 .. 70;
	my $rows = 2070;
	my ($run) = map { s{^\Q$prefix\E/}{}r } (run_names())[-1];

	for my $what ('pages/', $run, 'HEAD')
	{
		for my $times (1, 3, 4)
		{
			my $fresh = connect_to($node);
			my $state = $times < 4 ? '00000' : 'XX001';

			# another HEAD, and only those of this cluster who ask know of it
			$session->run("INSERT INTO $d VALUES (" . ++$rows . ", 'x')");
			$session->run('SELECT fusio_manifest_cache_reset()');
			$proxy->plan(map { "$_ flip ^GET \\S+/$what" } 1 .. $times);
			is($fresh->sqlstate("SELECT count(*) FROM $s"), $state,
				"F20: $what is wrong, $times times");
			is((grep { / flip 20/ } $proxy->log), $times, 'F20: it was read so often');
			is($session->value("SELECT count(*) FROM $s"), $rows,
				"F20: another session reads on");
			is($fresh->value("SELECT count(*) FROM $s"), $rows, 'F20: this one, too');
		}
	}
	$proxy->plan;

	# of a row's block, with the index in the cache
	$session->run('SET fusio_manifest.enable_cache = off');
	$proxy->plan(map { "$_ flip ^GET \\S+/$run" } 1 .. 3);
	is($session->value("SELECT v FROM $s WHERE k = 7"), $session->value('SELECT md5(7::text)'),
		'F20: a block that is wrong, 3 times');
	is((grep { / flip 20/ } $proxy->log), 3, 'F20: it was read so often');
	$session->run('RESET fusio_manifest.enable_cache');
	my $log = slurp($node->logfile);
	like($log, qr/LOG:  reading $_ again/, "F20: the log says so: $_")
	  for qr/block at offset \d+ of page "[0-9a-f]{32}"/,
	  qr/block at offset \d+ of run "[0-9a-f]{32}"/, qr/HEAD of server "$s"/;
	$proxy->plan;
}

# F24: a service that ignores conditions.
{
	new_store(empty => 1);
	$proxy->plan(map { "$_ blind ^PUT" } 1 .. 200);
	my %ok = map { $_->[0] => $_->[1] }
	  @{ $session->run("SELECT probe, ok FROM fusio_manifest_check_server('$s')")->{rows} };
	is($ok{$_}, 'f', "F24: the probe \"$_\" tells")
	  for 'create, exists', 'swap, stale', 'racing swaps';
	is($ok{$_}, 't', "F24: the probe \"$_\" does not mind") for 'create', 'swap';
	$proxy->plan(map { "$_ blind ^PUT" } 1 .. 200);
	my $result = $session->query("INSERT INTO $s VALUES (1, 'x')");
	is($result->{sqlstate}, '0A000', 'F24: no store is made there');
	like($result->{hint}, qr/fusio_manifest_check_server/, 'F24: with a hint');
	$proxy->plan;
	is($session->value("SELECT fusio_manifest_head('$d')"), undef, 'F24: nor a HEAD');
	is($session->sqlstate("INSERT INTO $s VALUES (1, 'x')"), '00000',
		'F24: with a service that does not, it is');
}

# F29: a backend is killed while it has blocks pinned.
{
	new_store();
	my $victim = connect_to($node);

	$victim->run("BEGIN; DECLARE c CURSOR FOR SELECT * FROM $d ORDER BY k; FETCH 10 FROM c");
	cmp_ok($session->value('SELECT sum(pins) FROM fusio_manifest_cache'), '>', 0,
		'F29: blocks are pinned');
	$victim->send('SELECT pg_sleep(600)');
	$session = crash($node, $victim);
	is($session->value('SELECT sum(pins) FROM fusio_manifest_cache'), 0,
		'F29: none is, afterwards');
	is($session->value("SELECT count(*) FROM $d"), 2000, 'F29: all is there');
	is($session->sqlstate("INSERT INTO $d VALUES (-1, 'x')"), '00000', 'F29: and goes on');
}

# F30: HEAD of a later release.
{
	new_store();
	my $head = FmTest::S3::get_object("$prefix/HEAD");
	my $golden = slurp(dirname(__FILE__) . '/../golden/head-2.0');

	pass_log('(1::bigint << 40)');
	my $features = FmTest::S3::get_object("$prefix/HEAD");
	for my $later ([ 'another version of the format', $golden ],
		[ 'a feature that is not known', $features ])
	{
		my ($name, $bytes) = @$later;

		FmTest::S3::put_object("$prefix/HEAD", $bytes);
		for my $who ($session, connect_to($node))
		{
			is($who->sqlstate($_), '0A000', "F30: $name: $_")
			  for "SELECT count(*) FROM $d", "INSERT INTO $d VALUES (-1, 'x')",
			  "SELECT fusio_manifest_compact('$d')";
		}
		ok(FmTest::S3::get_object("$prefix/HEAD") eq $bytes, "F30: $name: HEAD stays");
	}
	FmTest::S3::put_object("$prefix/HEAD", $head);
	is($session->value("SELECT count(*) FROM $d"), 2000, 'F30: and with the right one all is well');
}
$node->stop;
done_testing();
