# Two clusters, and now and then a clone of one of them, on one store in S3,
# with faults in the network, compactions, clusters that are killed with all
# their processes, stopped for a while, and copied.  Transfers between
# accounts keep a ledger in the same store: in every read the sum is what it
# was and the balances are what the ledger says, and at the end every transfer
# that was acknowledged is there once, what failed is not, and what is unknown
# is there once or not.
#
# FM_TEST_SECONDS: how long, by default 20.
use strict;
use warnings;

use FmTest::Cluster;
use FmTest::S3;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'no S3 service' unless FmTest::S3::is_there();

my $SECONDS = $ENV{FM_TEST_SECONDS} // 20;
my $ACCOUNTS = 16;
my $directory = PostgreSQL::Test::Utils::tempdir;
my $prefix = FmTest::S3::new_prefix();
my $proxy = FmTest::S3->proxy;
my %nodes = map { $_ => start_node("soak_$_", conf => ['fsync = off']) } 'a', 'b';
my $seed = $ENV{FM_TEST_SEED} // 1;

note("seed $seed");
srand($seed);
for my $name (sort keys %nodes)
{
	my $session = connect_to($nodes{$name});

	$proxy->make_server($session, 's', $prefix, request_timeout => '3s',
		connect_timeout => '3s');
	$session->run("CREATE FOREIGN TABLE account (k int NOT NULL, v int) SERVER s OPTIONS (key 'k')");
	$session->run("CREATE FOREIGN TABLE ledger (id text COLLATE \"C\" NOT NULL, src int, dst int, amount int) SERVER s OPTIONS (key 'id')");
	next unless $name eq 'a';
	$session->run("INSERT INTO account SELECT g, 100 FROM generate_series(1, $ACCOUNTS) g");
	$session->run("SELECT fusio_manifest_create_table('ledger')");
}

# What a client may meet: conflicts, outcomes that are not known, a service
# that does not answer, a server that ends or starts, another compaction.
my %expected = map { $_ => 1 } qw(00000 40001 40003 40P01 08006 57P01 57P02
  57P03 57014 55006 lost);

# A client in a process of its own, until the time is over.  It writes lines
# to a file: what happened and with what.
sub client
{
	my ($name, $host, $port, $until, $step) = @_;
	my $lines = "$directory/$name";

	return spawn(sub {
		open my $out, '>', $lines or die "$lines: $!";
		$out->autoflush(1);
		srand($seed * 1000 + $$);
		my $tell = sub { print $out join("\t", map { $_ // '' } @_), "\n" };
		my $session;

		while (time < $until)
		{
			$session //= eval {
				FmTest::Session->new(host => $host, port => $port,
					user => scalar getpwuid($<), dbname => 'postgres');
			};
			if (!$session)
			{
				sleep 0.1;
				next;
			}
			my $result = $step->($session, $tell);

			my $state = $result->{lost} ? 'lost' : $result->{sqlstate} // '00000';

			$tell->('anomaly', $session->describe($result))
			  unless $expected{$state};
			$session = undef if $result->{lost} || $state =~ /^57P/;
			$session->query('ROLLBACK')
			  if $session && ($result->{status} // 'I') ne 'I';
		}
		return 0;
	});
}

my $counter = 0;

# A transfer, and what became of it.
sub transfer
{
	my ($session, $tell) = @_;
	my ($src, $dst) = (1 + int rand $ACCOUNTS, 1 + int rand $ACCOUNTS);
	my $amount = 1 + int rand 9;
	my $id = sprintf '%d-%d', $$, ++$counter;
	my $level = rand() < 0.5 ? 'READ COMMITTED' : 'REPEATABLE READ';

	return { status => 'I' } if $src == $dst;
	my $result = $session->query("BEGIN ISOLATION LEVEL $level; "
		  . "UPDATE account SET v = v - $amount WHERE k = $src; "
		  . "UPDATE account SET v = v + $amount WHERE k = $dst; "
		  . "INSERT INTO ledger VALUES ('$id', $src, $dst, $amount)");

	if ($result->{lost} || defined $result->{sqlstate})
	{
		$tell->('failed', $id);
		return $result;
	}
	$result = $session->query('COMMIT');

	# That the server ends may be told after the answer.
	$tell->("@{ $result->{tags} }" eq 'COMMIT' ? 'done'
		: $result->{lost} || $result->{sqlstate} eq '40003' ? 'unknown'
		: 'failed', $id, $result->{sqlstate});
	return $result;
}

my $LEDGER = "SELECT count(*) FROM account a LEFT JOIN "
  . "(SELECT k, sum(n) AS n FROM (SELECT src AS k, -amount AS n FROM ledger "
  . "UNION ALL SELECT dst, amount FROM ledger) x GROUP BY k) l USING (k) "
  . "WHERE v <> 100 + COALESCE(n, 0)";

sub read_all
{
	my ($session, $tell) = @_;
	my $result;

	$result = $session->query('SELECT sum(v), count(*) FROM account');
	return $result if $result->{lost} || defined $result->{sqlstate};
	$tell->('read');
	$tell->('anomaly', "sum and number are @{ $result->{rows}[0] }")
	  if "@{ $result->{rows}[0] }" ne 100 * $ACCOUNTS . " $ACCOUNTS";
	return $result if rand() > 0.1;
	$result = $session->query($LEDGER);
	return $result if $result->{lost} || defined $result->{sqlstate};
	$tell->('balanced');
	$tell->('anomaly', "$result->{rows}[0][0] balances are not those of the ledger")
	  if $result->{rows}[0][0] != 0;
	return $result;
}

sub compact
{
	my ($session, $tell) = @_;
	my $table = rand() < 0.5 ? 'account' : 'ledger';
	my $full = rand() < 0.05 ? 'true' : 'false';

	sleep rand 0.5;
	my $result = $session->query("SELECT fusio_manifest_compact('$table', $full)");
	$tell->('compacted') if @{ $result->{rows} } && $result->{rows}[0][0] > 0;
	return $result;
}

my @clients;
my $clients = 0;

sub start_clients
{
	my ($node, $until, @steps) = @_;

	push @clients,
	  client('client' . ++$clients, $node->host, $node->port, $until, $_)
	  for @steps;
	return;
}

# The processes of a cluster that was started here: its postmaster's pid and
# those of its children.
sub processes
{
	my ($node) = @_;
	my ($postmaster) = slurp($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
	my @pids = ($postmaster);

	for my $file (glob '/proc/[0-9]*/stat')
	{
		my ($pid, $parent) = (eval { slurp($file) } // '') =~ /^(\d+) \(.*\) \S (\d+)/s
		  or next;
		push @pids, $pid if $parent == $postmaster;
	}
	return @pids;
}

# Stops all processes of a cluster, also those that were just being made.
sub freeze
{
	my ($node) = @_;
	my ($before, @pids) = 0;

	do
	{
		$before = @pids;
		@pids = processes($node);
		kill 'STOP', @pids;
	} while @pids > $before;
	return @pids;
}

sub start_again
{
	my ($node) = @_;

	die 'it does not start' unless wait_for(sub { $node->start(fail_ok => 1) }, 60);
	return;
}

# Kills a cluster, all at once.
sub kill_all
{
	my ($node) = @_;
	my @pids = freeze($node);

	kill 'KILL', @pids;
	$node->kill9;
	die 'it does not end'
	  unless wait_for(sub { !grep { kill 0, $_ } @pids }, 60);
	return;
}

my @ANY = ('refuse', 'lose', 'late:1', 'late:2', 'late:5', 'status:500',
	'status:503:SlowDown', 'status:429', 'after:500', 'after:503', 'stall');
my @SPOIL = ('cut', 'short', 'elsewhere', 'whole', 'flip');
my @SWAP = (@ANY, 'twice', 'status:409:ConditionalRequestConflict',
	'status:412', 'after:409', 'after:412');
my %count = map { $_ => 0 } qw(faults kills stops clones);

# Some requests of the next few fail, the ones that replace HEAD more often.
# What is read wrong four times in a row is an error: with two such answers in
# a plan, that takes two plans whose neighbouring numbers meet the same reading.
sub make_faults
{
	my @any = (@ANY, @SPOIL);

	$count{faults} += grep { !/ pass \d+$/ } $proxy->log;
	$proxy->plan(
		(map { 1 + int(rand 20) . " $any[rand @any] ." } 1 .. 2),
		(map { 1 + int(rand 5) . " $SWAP[rand @SWAP] ^PUT .*/HEAD" } 1 .. 2));
	return;
}

# A copy of a cluster, which has died or ended, beside it.
my ($clone, $clone_until);

sub make_clone
{
	my ($node) = @_;
	my $name = 'clone' . ++$count{clones};

	if (rand() < 0.5) { kill_all($node) }
	else { $node->stop('fast') }
	system('cp', '-R', $node->data_dir, "$directory/$name") == 0 or die 'cp';
	unlink "$directory/$name/postmaster.pid";
	start_again($node);
	$clone = PostgreSQL::Test::Cluster->new("soak_$name");
	rmdir $clone->data_dir;
	mkdir $clone->basedir;
	rename "$directory/$name", $clone->data_dir or die "rename: $!";
	$clone->append_conf('postgresql.conf', 'port = ' . $clone->port);
	start_again($clone);
	$clone_until = time + 4 + rand 6;
	start_clients($clone, $clone_until, \&transfer, \&transfer, \&read_all);
	return;
}

sub end_clone
{
	$clone->stop('fast');
	system('rm', '-rf', $clone->data_dir);
	$clone = undef;
	return;
}

my $end = time + $SECONDS;
my $told = time;

start_clients($_, $end, \&transfer, \&transfer, \&read_all, \&compact)
  for @nodes{ 'a', 'b' };

# Everything comes at least once.
my @first = ('kill', 'stop', 'clone');
while (time < $end)
{
	my $pause = time + 0.5 + rand 1.5;

	while (time < $pause)
	{
		make_faults();
		sleep 0.3;
	}
	my $node = $nodes{ ('a', 'b')[ rand 2 ] };
	my $what = @first ? shift @first : ('none', 'kill', 'stop', 'clone')[ rand 4 ];

	end_clone() if $clone && time > $clone_until;
	if ($what eq 'kill')
	{
		kill_all($node);
		sleep rand 1;
		start_again($node);
		$count{kills}++;
	}
	elsif ($what eq 'stop')
	{
		my @pids = freeze($node);

		sleep(rand() < 0.1 ? rand 12 : rand 3);
		kill 'CONT', @pids;
		$count{stops}++;
	}
	elsif ($what eq 'clone' && !$clone && $end - time > 5)
	{
		make_clone($node);
	}
	if (time - $told > 60)
	{
		note(sprintf '%d s left: %s', $end - time,
			join ', ', map { "$_ $count{$_}" } sort keys %count);
		$told = time;
	}
}
for my $client (@clients)
{
	waitpid $client, 0;
	is($?, 0, 'a client came to its end');
}
end_clone() if $clone;
make_faults();
$proxy->plan;

# What the clients have written down against what is there.
my (%fate, %states);
for my $file (map { "$directory/client$_" } 1 .. $clients)
{
	for (split /\n/, slurp($file))
	{
		my ($what, $id, $state) = split /\t/;

		$count{$what}++;
		diag("$file: $id") if $what eq 'anomaly';
		$fate{$id} = $what if $what =~ /^(done|failed|unknown)$/;
		$states{$state}++ if defined $state && $state ne '';
	}
}
my $session = connect_to($nodes{a});
my %there;
$there{ $_->[0] } += 1 for @{ $session->run('SELECT id FROM ledger')->{rows} };
note(join ', ', map { "$_ $count{$_}" } sort keys %count);
note('COMMIT answered: ', join ', ', map { "$_ $states{$_}" } sort keys %states);

is($count{anomaly} // 0, 0, 'no read and no error was wrong');
is(join(' ', grep { $fate{$_} eq 'done' && ($there{$_} // 0) != 1 } keys %fate), '',
	'every transfer that was acknowledged is there once');
is(join(' ', grep { $fate{$_} eq 'failed' && $there{$_} } keys %fate), '',
	'no transfer that failed is there');
is(scalar(grep { $there{$_} > 1 } keys %there), 0, 'none is there twice');
is(scalar(grep { !defined $fate{$_} } keys %there), 0, 'none is there that nobody made');
cmp_ok($count{done} // 0, '>', 10, 'transfers were made');
cmp_ok($count{read} // 0, '>', 5, 'and sums read');
for my $name ('a', 'b')
{
	my $session = connect_to($nodes{$name});

	is($session->value('SELECT sum(v) FROM account'), 100 * $ACCOUNTS, "$name: the sum");
	is($session->value($LEDGER), 0, "$name: the balances");
	is($session->value('SELECT count(*) FROM ledger'), scalar keys %there,
		"$name: the number of transfers");
	$nodes{$name}->stop;
}
done_testing();
