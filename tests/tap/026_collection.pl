# Collection: what nothing refers to goes, and nothing else does; in a
# directory and in S3.
use strict;
use warnings;

use FmTest::Cluster;
use FmTest::S3;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = start_node('collection');
my $session = connect_to($node);
my $number = 0;

# Names of a new store's server and table, and what reaches its objects.
# $$store{age}->(@names) makes objects a month old, which S3 cannot.
sub new_store
{
	my ($kind, %options) = @_;
	my $place = $kind eq 'directory' ? new_directory() : FmTest::S3::new_prefix();
	my %store = (kind => $kind, place => $place, s => 's' . ++$number, t => "t$number");
	my $options = join '', map { ", $_ '$options{$_}'" } sort keys %options;

	if ($kind eq 'directory')
	{
		$session->run("CREATE SERVER $store{s} FOREIGN DATA WRAPPER fusio_manifest "
			  . "OPTIONS (location 'file://$place'$options)");
		$store{put} = sub {
			my ($folder) = $_[0] =~ m{^(.*)/};
			system('mkdir', '-p', "$place/$folder") == 0 or die 'mkdir' if $folder;
			spew("$place/$_[0]", $_[1]);
		};
		$store{has} = sub { return -e "$place/$_[0]" };
	}
	else
	{
		FmTest::S3->make_server($session, $store{s}, $place, %options);
		$store{put} = sub { FmTest::S3::put_object("$place/$_[0]", $_[1]) };
		$store{has} = sub { return eval { FmTest::S3::get_object("$place/$_[0]"); 1 } };
	}
	$session->run("CREATE FOREIGN TABLE $store{t} (k int NOT NULL, v text) "
		  . "SERVER $store{s} OPTIONS (key 'k')");
	return \%store;
}

sub fill
{
	my ($store, $from, $to) = @_;

	$session->run("INSERT INTO $store->{t} SELECT g, md5(g::text) FROM generate_series($from, $to) g");
	return;
}

# All rows of a collection, or those of a kind: "kind reason deleted" => paths.
sub collect
{
	my ($store, $arguments, $who) = @_;
	my %found;

	$arguments = $arguments ? ", $arguments" : '';
	push @{ $found{"$_->[0] $_->[1] $_->[2]"} }, $_->[3]
	  for @{ ($who // $session)->run("SELECT kind, reason, deleted, path "
		  . "FROM fusio_manifest_gc('$store->{s}'$arguments) ORDER BY path")->{rows} };
	return \%found;
}

sub counts
{
	my ($found) = @_;

	return { map { $_ => scalar @{ $found->{$_} } } keys %$found };
}

sub run_names
{
	my ($store) = @_;

	return sort map { FmTest::S3::run_name($_->[0]) }
	  @{ $session->run("SELECT id FROM fusio_manifest_runs('$store->{t}')")->{rows} };
}

my $ORPHAN = 'runs/ab/ab' . '0' x 30 . '.run';
my @kinds = ('directory', FmTest::S3::is_there() ? 'bucket' : ());

for my $kind (@kinds)
{
	subtest "what is found: $kind" => sub {
		my $store = new_store($kind);
		my $lease = 'leases/' . '1' x 32 . '.lease';
		my @foreign = ('note.txt', 'runs/ab/other.run', 'runs/zz/x', 'sub/deep/x',
			"runs/cd/ab" . '0' x 30 . '.run', "runs/ab/AB" . '0' x 30 . '.run');

		is_deeply(collect($store), {}, 'an empty store');
		fill($store, 1, 100);
		fill($store, 101, 200);
		my @runs = run_names($store);
		is_deeply(collect($store, "false, '0'"), {}, 'all objects are needed');
		$store->{put}->($_, 'x') for $ORPHAN, @foreign;
		my $found = collect($store);
		is_deeply([ sort map { s{/$}{}r } @{ $found->{'foreign foreign f'} } ],
			[ sort map { s{^sub/.*}{sub}r } $kind eq 'directory' ?
				  map { s{^runs/zz/.*}{runs/zz}r } @foreign : @foreign ],
			'foreign objects are told');
		delete $found->{'foreign foreign f'};
		is_deeply($found, { 'run young f' => [$ORPHAN] }, 'a young one stays');
		$found = collect($store, "true, '0'");
		is_deeply($found->{'run orphan f'}, [$ORPHAN], 'a dry run tells');
		ok($store->{has}->($ORPHAN), 'and removes nothing');
		$store->{put}->($lease, 'x');
		$found = collect($store, "false, '0'");
		is_deeply($found->{'run leased f'}, [$ORPHAN], 'with a lease it stays');
		is_deeply($found->{'lease lease f'}, [$lease], 'which is told');
		if ($kind eq 'directory')
		{
			unlink "$store->{place}/$lease";
		}
		else
		{
			FmTest::S3::delete_object("$store->{place}/$lease");
		}
		$found = collect($store, "false, '0'");
		is_deeply($found->{'run orphan t'}, [$ORPHAN], 'it is removed');
		ok(!$store->{has}->($ORPHAN), 'indeed');
		ok($store->{has}->($_), "$_ is there") for @foreign, @runs, 'HEAD';
		is($session->value("SELECT count(*) FROM $store->{t}"), 200, 'all rows are there');
		is($session->sqlstate("INSERT INTO $store->{t} VALUES (0, '')"), '00000',
			'who begins after a collection commits');

		is($session->sqlstate("BEGIN; INSERT INTO $store->{t} VALUES (-1, ''); "
				  . "SELECT * FROM fusio_manifest_gc('$store->{s}', false)"),
			'25001', 'not beside own changes');
		$session->run('ROLLBACK');
		is($session->sqlstate("BEGIN READ ONLY; SELECT * FROM fusio_manifest_gc('$store->{s}', false)"),
			'25006', 'not in a read-only transaction');
		$session->run("ROLLBACK; BEGIN READ ONLY; SELECT * FROM fusio_manifest_gc('$store->{s}'); ROLLBACK");
		$session->run("CREATE ROLE stranger; GRANT USAGE ON FOREIGN SERVER $store->{s} TO stranger");
		is($session->sqlstate("SET ROLE stranger; SELECT * FROM fusio_manifest_gc('$store->{s}')"),
			'42501', 'for the owner only');
		$session->run('RESET ROLE; DROP OWNED BY stranger; DROP ROLE stranger');
		is($session->sqlstate("SELECT * FROM fusio_manifest_gc('$store->{s}', true, '$_')"),
			'22023', "no age: $_")
		  for '-1 s', '1 month';
		$session->run("ALTER SERVER $store->{s} OPTIONS (ADD read_only 'on')");
		is($session->sqlstate("SELECT * FROM fusio_manifest_gc('$store->{s}', false)"),
			'25006', 'not where the server is read-only');
		is(ref collect($store), 'HASH', 'but a dry run');
	};
}

# What a compaction replaced, and the floor; pages of HEAD too.
for my $kind (@kinds)
{
	subtest "what was replaced: $kind" => sub {
		my $store = new_store($kind);
		my ($s, $t) = @$store{qw(s t)};
		my $count = "SELECT count(*), sum(k) FROM $t";
		my ($reader, $late) = map { connect_to($node) } 1, 2;

		fill($store, 1, 1000);
		fill($store, 1001, 2000);
		my @old = run_names($store);
		$_->run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM $t WHERE k = -1")
		  for $reader, $late;
		$late->run("INSERT INTO $t VALUES (-2, 'late')");
		$session->run("SELECT fusio_manifest_compact('$t', true)");
		my @new = run_names($store);
		is_deeply(collect($store, "false, '0'"), {}, 'versions of a day are kept');
		$session->run("ALTER SERVER $s OPTIONS (ADD retention '0')");
		is_deeply(collect($store, "false, '0'"), {}, 'those of an hour in any case');
		$session->run("ALTER SERVER $s OPTIONS (ADD grace '0')");
		sleep 1.1;
		is_deeply(counts(collect($store)), { 'run replaced f' => 2 }, 'a dry run tells');
		ok($store->{has}->($_), 'and removes nothing') for @old;
		is($session->value("SELECT fusio_manifest_head('$s')->'log_floor'"), 0,
			'nor moves the floor');
		is_deeply(collect($store, 'false'), { 'run replaced t' => \@old }, 'they are removed');
		ok(!$store->{has}->($_), 'indeed') for @old;
		ok($store->{has}->($_), 'not what took their place') for @new;
		is($session->value("SELECT fusio_manifest_head('$s')->'log_floor'"), 3,
			'the floor is the last version');
		is_deeply(collect($store, 'false'), {}, 'then there is nothing to do');
		$session->run('SELECT fusio_manifest_cache_reset()');
		my $result = $reader->query($count);
		if (defined $result->{sqlstate})
		{
			is($result->{sqlstate}, '72000', 'who reads an old version is told so');
		}
		else
		{
			is_deeply($result->{rows}, [ [ 2000, 2001000 ] ], 'who has its files open reads on');
		}
		is($late->sqlstate('COMMIT'), '40001', 'who wrote on it repeats');
		is_deeply($session->run($count)->{rows}, [ [ 2000, 2001000 ] ], 'all rows are there');

		# Levels and logs in pages.
		$session->run("INSERT INTO $t VALUES (3000 + $_, 'x')") for 1 .. 150;
		$session->run("SELECT fusio_manifest_compact('$t', true)");
		$session->run("INSERT INTO $t VALUES (4000 + $_, 'x')") for 1 .. 80;
		sleep 1.1;
		my $found = counts(collect($store, "false"));
		cmp_ok($found->{'run replaced t'}, '==', 151, 'runs of levels in pages');
		cmp_ok($found->{'page replaced t'} // 0, '>', 50, 'pages');
		ok(wait_for(sub { !%{ collect($store, "false, '0'") } }), 'all in the end');
		my $fresh = connect_to($node);
		$fresh->run('SELECT fusio_manifest_cache_reset()');
		is_deeply($fresh->run($count)->{rows}, [ [ 2230, 2001000 + 461325 + 323240 ] ],
			'all rows are there');
		$fresh->run("INSERT INTO $t VALUES (5000 + $_, 'x')") for 1 .. 80;
		is($fresh->value("SELECT count(*) FROM $t"), 2310, 'the log goes on');
		collect($store, "false, '0'");
		$fresh->run('SELECT fusio_manifest_cache_reset()');
		is($fresh->value("SELECT count(*) FROM $t"), 2310, 'nothing of it is lost');
	};
}

# F1: killed in mid commit, after the upload.
sub commit_in_mid
{
	my ($store, $sql) = @_;
	my $victim = connect_to($node);
	my %before = map { $_ => 1 } run_names($store);

	if ($store->{kind} eq 'directory')
	{
		my $lock = lock_head($store->{place});

		$victim->send($sql);
		wait_for(sub { grep { s{^\Q$store->{place}/}{}; !$before{$_} } run_files($store->{place}) })
		  or die 'no run was written';
		# Its sync is over when it waits for the lock.
		wait_for(sub { $session->value("SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = " . $victim->pid) eq 't' });
		sleep 0.3;
		return ($victim, sub { close $lock });
	}
	my $proxy = FmTest::S3->proxy;
	$session->run("ALTER SERVER $store->{s} OPTIONS (SET endpoint '$proxy->{endpoint}', "
		  . "ADD request_timeout '4s')");
	$proxy->plan('1 stall ^PUT .*/HEAD');
	$victim->send($sql);
	wait_for(sub { grep { /HEAD stall/ } $proxy->log }) or die 'HEAD was not sent';
	return ($victim, sub {
		$proxy->plan;
		$session->run("ALTER SERVER $store->{s} OPTIONS (SET endpoint '$ENV{S3_ENDPOINT}')");
		$store->{proxy} = $proxy;
	});
}

for my $kind (@kinds)
{
	subtest "F1: $kind" => sub {
		my $store = new_store($kind);

		fill($store, 1, 100);
		my @runs = run_names($store);
		my ($victim, $release) = commit_in_mid($store, "INSERT INTO $store->{t} VALUES (1000, 'x')");
		$session = crash($node, $victim);
		$release->();
		is_deeply(counts(collect($store, 'false')), { 'run young f' => 1 }, 'F1: it may be at work yet');
		my $found = collect($store, "false, '0'");
		is_deeply(counts($found), { 'run orphan t' => 1 }, 'F1: an orphan is removed');
		ok($store->{has}->($_), 'F1: no other run') for @runs;
		is($session->value("SELECT count(*) FROM $store->{t}"), 100, 'F1: all rows are there');
		is_deeply(collect($store, "false, '0'"), {}, 'F1: there is nothing more');
	};
}

# F15: a publisher that is stopped after its upload, while others collect.
for my $kind (@kinds)
{
	for my $what ('INSERT', 'compaction')
	{
		for my $age ('24 hours', '0')
		{
			subtest "F15: $kind, $what, $age" => sub {
				my $store = new_store($kind);
				my $t = $store->{t};

				fill($store, 1, 1000);
				fill($store, 1001, 2000);
				my ($victim, $release) = commit_in_mid($store,
					$what eq 'INSERT' ? "INSERT INTO $t VALUES (3000, 'x')" :
					  "SELECT fusio_manifest_compact('$t', true)");
				kill 'STOP', $victim->pid;
				$release->();
				# As if it had slept for long.
				sleep 1.1;
				my $found = counts(collect($store, "false, '$age'"));
				is_deeply($found, { $age eq '0' ? 'run orphan t' : 'run young f' => 1 },
					'F15: ' . join ' ', %$found);
				kill 'CONT', $victim->pid;
				my $result = $victim->result;
				my $lost = $age eq '0' && $what eq 'INSERT';
				is($result->{sqlstate} // '00000', $lost ? '40001' : '00000',
					'F15: ' . $victim->describe($result));
				$session->run('SELECT fusio_manifest_cache_reset()');
				is_deeply($session->run("SELECT count(*), count(v), sum(k) FROM $t")->{rows}[0],
					$what eq 'INSERT' && !$lost ? [ 2001, 2001, 2004000 ] : [ 2000, 2000, 2001000 ],
					'F15: no row is lost');
				ok($store->{has}->($_), 'F15: every run is there') for run_names($store);
				is($victim->sqlstate("INSERT INTO $t VALUES (4000, 'x')"), '00000', 'F15: again');
			};
		}
	}
}

# Two at once, and more objects than one listing holds.
for my $kind (@kinds)
{
	subtest "many objects: $kind" => sub {
		my $store = new_store($kind);
		my @names = map { sprintf 'runs/%02x/%02x%030x.run', $_ % 200, $_ % 200, $_ } 1 .. 2300;

		fill($store, 1, 10);
		if ($kind eq 'directory')
		{
			$store->{put}->($_, '') for @names;
		}
		else
		{
			FmTest::S3::put_objects(map { "$store->{place}/$_" } @names);
		}
		is(scalar @{ collect($store, "true, '0'")->{'run orphan f'} }, 2300, 'all are found');
		my ($one, $two) = map { connect_to($node) } 1, 2;
		$_->send("SELECT count(*) FROM fusio_manifest_gc('$store->{s}', false, '0') WHERE deleted")
		  for $one, $two;
		is($_->describe($_->result), 'no error', 'two collections at once') for $one, $two;
		is_deeply(collect($store, "true, '0'"), {}, 'all are removed');
		is($session->value("SELECT count(*) FROM $store->{t}"), 10, 'all rows are there');
	};
}

# What else a writer leaves: an upload in parts, the next HEAD of a directory.
subtest 'F1: an upload in parts' => sub {
	plan skip_all => 'no S3 service' unless FmTest::S3::is_there();
	my $store = new_store('bucket');
	my $proxy = FmTest::S3->proxy;
	my $victim = connect_to($node);

	fill($store, 1, 10);
	$session->run("ALTER SERVER $store->{s} OPTIONS (SET endpoint '$proxy->{endpoint}'); "
		  . "ALTER FOREIGN TABLE $store->{t} OPTIONS (ADD compression 'none')");
	$proxy->plan('1 stall ^PUT .*partNumber=2');
	$victim->send("INSERT INTO $store->{t} SELECT g, repeat(md5(g::text), 1000) "
		  . 'FROM generate_series(1000, 3500) g');
	ok(wait_for(sub { grep { /partNumber=2\S* stall/ } $proxy->log }, 60), 'F1: parts are sent');
	$session = crash($node, $victim);
	$session->run("ALTER SERVER $store->{s} OPTIONS (SET endpoint '$ENV{S3_ENDPOINT}')");
	is_deeply(counts(collect($store, 'false')), { 'upload young f' => 1 }, 'F1: it stays for a day');
	is_deeply(counts(collect($store, "false, '0'")), { 'upload orphan t' => 1 }, 'F1: it is aborted');
	is_deeply(collect($store, "true, '0'"), {}, 'F1: nothing is left');
	is($session->value("SELECT count(*) FROM $store->{t}"), 10, 'F1: all rows are there');
};

subtest 'files of writers that died' => sub {
	my $store = new_store('directory');
	my $tmp = "$store->{place}/HEAD.tmp";
	my $month = time - 30 * 86400;

	fill($store, 1, 10);
	$store->{put}->($_, 'x') for 'HEAD.tmp', $ORPHAN;
	is_deeply(counts(collect($store, 'false')),
		{ 'run young f' => 1, 'temporary young f' => 1 }, 'young ones stay');
	utime $month, $month, $tmp, "$store->{place}/$ORPHAN", "$store->{place}/HEAD";
	my $lock = lock_head($store->{place});
	my $other = connect_to($node);
	$other->send("SELECT count(*) FROM fusio_manifest_gc('$store->{s}', false) WHERE deleted");
	ok(!$other->is_ready(1), 'a writer may be at work');
	ok(-e $tmp, 'on the next HEAD');
	close $lock;
	is($other->result->{rows}[0][0], 2, 'old ones are removed');
	ok(!-e $tmp && !$store->{has}->($ORPHAN), 'indeed');
	is($session->value("SELECT count(*) FROM $store->{t}"), 10, 'all rows are there');

	# A clock that was wrong: all files are of tomorrow.
	$store->{put}->($ORPHAN, 'x');
	utime time + 86400, time + 86400, "$store->{place}/$ORPHAN";
	is_deeply(collect($store, "false, '0'"), { 'run young f' => [$ORPHAN] }, 'what is not old is young');
};

# A network that fails at each request in turn.
subtest 'faults' => sub {
	plan skip_all => 'no S3 service' unless FmTest::S3::is_there();
	my $store = new_store('bucket');
	my $proxy = FmTest::S3->proxy;

	fill($store, 1, 100);
	$session->run("ALTER SERVER $store->{s} OPTIONS (SET endpoint '$proxy->{endpoint}', "
		  . "ADD retry_timeout '2s', ADD request_timeout '2s')");
	for my $action ('lose', 'cut', 'status:503', 'status:200', 'status:403:AccessDenied')
	{
		# Of an answer to a PUT that is a lie nothing can be known.
		my $which = $action eq 'status:200' ? '^GET' : '^';

		for my $n (1 .. 10)
		{
			$store->{put}->($ORPHAN, 'x');
			$proxy->plan("$n $action $which");
			my $state = $session->sqlstate("SELECT * FROM fusio_manifest_gc('$store->{s}', false, '0')");
			like($state, $action =~ /403/ ? qr/^(00000|42501)$/ : qr/^(00000|08006|HV000)$/,
				"$action, request $n: $state");
			my $acted = $proxy->has_acted;
			$proxy->plan;
			my $found = collect($store, "false, '0'");
			delete $found->{'run orphan t'};
			is_deeply($found, {}, "$action, request $n: what is left is taken the next time");
			last unless $acted;
		}
	}
	ok(!$store->{has}->($ORPHAN), 'it is removed');
	$session->run('SELECT fusio_manifest_cache_reset()');
	is($session->value("SELECT count(*) FROM $store->{t}"), 100, 'all rows are there');
};

# A log that reaches back less than the grace: what its pages say that it has
# dropped counts.
subtest 'a busy store' => sub {
	my $busy = start_node('busy', conf => ['fsync = off']);
	my $usual = $session;

	$session = connect_to($busy);
	my $store = new_store('directory', retention => '0');
	my ($place, $t) = @$store{qw(place t)};
	my ($hour, $day) = (time - 7200, time - 30 * 86400);
	fill($store, 1, 10);
	my ($old) = run_names($store);
	$session->run($_) for "INSERT INTO $t VALUES (0, 'x')", "SELECT fusio_manifest_compact('$t', true)";
	$session->run("CREATE PROCEDURE work(n int) LANGUAGE plpgsql AS 'BEGIN FOR i IN 1 .. n LOOP "
		  . "INSERT INTO $t VALUES (100 + i, i); COMMIT; TRUNCATE $t; COMMIT; END LOOP; END'");
	$session->run('CALL work(4200)');
	my $floor = $session->value("SELECT (fusio_manifest_head('$store->{s}')->'log_floor')::int");
	cmp_ok($floor, '>', 100, 'the log does not reach back to the beginning');
	utime $day, $day, "$place/$old" or die 'utime';
	$store->{put}->($ORPHAN, 'x');
	utime $day, $day, "$place/$ORPHAN" or die 'utime';
	my $found = collect($store);
	is_deeply($found->{'run orphan f'}, [$ORPHAN], 'an orphan is known as such');
	ok((grep { $_ eq $old } @{ $found->{'run grace f'} }), 'a run that was replaced just now, too');
	cmp_ok(@{ $found->{'run grace f'} }, '>', 50, 'as all that the log has dropped');
	is($found->{'run replaced f'}, undef, 'nothing is replaced for so long');

	# A page that cannot be read might be one of them.
	my $page = (split ' ', `cd $place && ls -t pages/*/*.page`)[-1];
	my $bytes = slurp("$place/$page");
	spew("$place/$page", substr($bytes, 0, -1));
	is(collect($store)->{'run orphan f'}, undef, 'nothing is known without all of its pages');
	spew("$place/$page", $bytes);
	$session = connect_to($busy);
	is_deeply(collect($store, 'false')->{'run orphan t'}, [$ORPHAN], 'it is removed');
	ok($store->{has}->($old), 'and nothing else');
	$session->run("ALTER SERVER $store->{s} OPTIONS (ADD grace '1s')");
	sleep 2;
	ok(wait_for(sub { !%{ collect($store, "false, '0'") } }), 'all is removed after the grace');
	is($session->value("SELECT count(*) FROM $t"), 0, 'the table is as it was');
	$session->run("INSERT INTO $t VALUES (1, 'x')");
	is(connect_to($busy)->value("SELECT count(*) FROM $t"), 1, 'and can be written');
	$busy->stop;
	$session = $usual;
};

# F16: collections without any grace, beside writers, readers and compactions:
# whoever is too late is told so, and nothing that was acknowledged is lost.
my $SECONDS = $ENV{FM_TEST_SECONDS} // 8;

sub until_time
{
	my ($end, $code) = @_;
	my $session = connect_to($node);
	my $n = 0;

	while (time < $end)
	{
		my $state = $code->($session, $n);
		return 1 if $state !~ /^(00000|40001|40003|72000|55006)$/ && print STDERR "# $state\n";
		$n++;
	}
	return 0;
}

for my $kind (@kinds)
{
	subtest "F16: collections beside others: $kind" => sub {
		my $store = new_store($kind, grace => '0', retention => '0');
		my ($s, $t) = @$store{qw(s t)};
		my $end = time + $SECONDS;
		my $acks = PostgreSQL::Test::Utils::tempdir . "/acks.$kind";
		my @jobs;

		$session->run("INSERT INTO $t SELECT g, '0' FROM generate_series(1, 500) g");
		for my $k (1 .. 3)
		{
			push @jobs, spawn(sub {
				my $n = 0;
				my $failed = until_time($end, sub {
					my $result = $_[0]->query("UPDATE $t SET v = v::int + 1 WHERE k = $k");
					my $state = $result->{sqlstate} // '00000';
					$n++ if $state eq '00000';
					return $state;
				});
				spew("$acks.$k", $n);
				return $failed;
			});
		}
		push @jobs, spawn(sub { until_time($end, sub {
			$_[0]->sqlstate("SELECT fusio_manifest_compact('$t', true)") }) });
		push @jobs, spawn(sub { until_time($end, sub {
			my $result = $_[0]->query("BEGIN ISOLATION LEVEL REPEATABLE READ; "
				  . "SELECT 1 FROM $t WHERE k = -1; SELECT pg_sleep(0.05); "
				  . "SELECT count(*), count(v), sum(k) FROM $t");
			my $state = $result->{sqlstate} // '00000';
			$_[0]->query('ROLLBACK');
			return "wrong: @{ $result->{rows}[0] }"
			  if $state eq '00000' && "@{ $result->{rows}[0] }" ne '500 500 125250';
			return $state;
		}) }) for 1 .. 2;
		push @jobs, spawn(sub { until_time($end, sub {
			sleep 0.1;
			$_[0]->sqlstate("SELECT * FROM fusio_manifest_gc('$s', false, '"
				  . ($_[1] % 4 ? '24 hours' : '0') . "')") }) }) for 1 .. 2;
		for (@jobs)
		{
			waitpid $_, 0;
			is($?, 0, 'F16: no error but those that are told');
		}
		$session->run('SELECT fusio_manifest_cache_reset()');
		for my $k (1 .. 3)
		{
			my $acked = slurp("$acks.$k");
			cmp_ok($acked, '>', 0, "F16: $acked commits");
			is($session->value("SELECT v FROM $t WHERE k = $k"), $acked, 'F16: none is lost');
		}
		is_deeply($session->run("SELECT count(*), sum(k) FROM $t")->{rows}[0], [ 500, 125250 ],
			'F16: all rows are there');
		ok(wait_for(sub { sleep 0.2; !%{ collect($store, "false, '0'") } }), 'F16: and no more');
	};
}

$node->stop;
done_testing();
