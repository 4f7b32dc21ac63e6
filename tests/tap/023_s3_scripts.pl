# Every kind of commit in S3, with a fault at its first, second, third ...
# request until it has no more: what was acknowledged is there once, what
# failed is not, and what is unknown is there or not, as a whole.  The first
# commit of a store and a plain later one are in 014.
#
# By default two faults at each request; with FM_TEST_SECONDS every fault, and
# then pairs of them at random for so long.
use strict;
use warnings;

use FmTest::Cluster;
use FmTest::S3;
use Test::More;
use Time::HiRes qw(time);

plan skip_all => 'no S3 service' unless FmTest::S3::is_there();

my $LONG = $ENV{FM_TEST_SECONDS};
my $ROWS = 20;
my @ACTIONS = ('lose', 'after:503', 'refuse', 'late:1', 'status:500',
	'status:403:AccessDenied', 'status:412:PreconditionFailed', 'after:412',
	'status:409:ConditionalRequestConflict', 'twice', 'status:404:NoSuchKey',
	'after:409:ConcurrentModification', 'late:2');
my $proxy = FmTest::S3->proxy;
my $node = start_node('scripts', conf => ['fsync = off']);
my $session = connect_to($node);
my $prefix = FmTest::S3::new_prefix();
my $number = 0;

$proxy->make_server($session, 's', $prefix, retry_timeout => '4s',
	request_timeout => '2s');
FmTest::S3->make_server($session, 'd', $prefix);
for my $table ('t', 'u')
{
	$session->run("CREATE FOREIGN TABLE $_$table (k int NOT NULL, v text) "
		  . "SERVER $_ OPTIONS (key 'k', table_name '$table')")
	  for 's', 'd';
	$session->run("INSERT INTO d$table SELECT g, 'x' FROM generate_series(1, $ROWS) g");
}

# The rows that are there, as the service says without the proxy.
sub rows
{
	my ($table, $where) = @_;

	return $session->value("SELECT string_agg(k::text, ' ' ORDER BY k) FROM $table WHERE $where")
	  // '';
}

my $ALL = join ' ', 1 .. $ROWS;

# Each: what is to be there first, the statement that commits, and what is
# there afterwards: 1 all of it, 0 nothing of it, anything else is wrong.
my %scripts = (
	'two tables' => {
		prepare => sub { $number++ },
		sql => sub {
			my $n = 1000 + $number;
			"BEGIN; INSERT INTO st VALUES ($n, 'x'); INSERT INTO su VALUES ($n, 'x'); "
			  . "DELETE FROM st WHERE k = $n - 1; COMMIT";
		},
		found => sub {
			my $n = 1000 + $number;
			my ($t, $u) = map { rows("d$_", "k = $n") } 't', 'u';
			my $old = rows('dt', "k = $n - 1");

			return 1 if $t eq $n && $u eq $n && $old eq '';
			return 0 if $t eq '' && $u eq '';
			return "t: $t, u: $u, deleted: $old";
		} },
	'TRUNCATE' => {
		prepare => sub {
			$session->run("TRUNCATE dt; INSERT INTO dt SELECT g, 'x' FROM generate_series(1, $ROWS) g");
		},
		sql => sub { "BEGIN; TRUNCATE st; INSERT INTO st VALUES (-1, 'x'); COMMIT" },
		found => sub {
			my $rows = rows('dt', 'true');

			return $rows eq '-1' ? 1 : $rows eq $ALL ? 0 : $rows;
		} },
	'compaction' => {
		prepare => sub {
			$session->run("TRUNCATE dt; INSERT INTO dt SELECT g, 'x' FROM generate_series(1, $ROWS + 1) g");
			$session->run("DELETE FROM dt WHERE k = $ROWS + 1");
		},
		sql => sub { "SELECT fusio_manifest_compact('st')" },
		found => sub {
			my $rows = rows('dt', 'true');
			my $runs = $session->value("SELECT count(*) FROM fusio_manifest_runs('dt')");

			return "rows: $rows" if $rows ne $ALL;
			return $runs == 1 ? 1 : $runs == 2 ? 0 : "$runs runs";
		} },
	'create_table' => {
		prepare => sub {
			$number++;
			$session->run("CREATE FOREIGN TABLE $_$number (k int NOT NULL) SERVER $_ OPTIONS (key 'k', table_name 'c$number')")
			  for 's', 'd';
		},
		sql => sub { "SELECT fusio_manifest_create_table('s$number')" },
		found => sub {
			my $state = $session->sqlstate("SELECT * FROM d$number");

			return $state eq '00000' ? 1 : $state eq '42P01' ? 0 : $state;
		} },
	'upload in parts' => {
		prepare => sub {
			$number++;
			$session->run("CREATE FOREIGN TABLE $_$number (k int NOT NULL, v bytea) SERVER $_ OPTIONS (key 'k', compression 'none', table_name 'p$number')")
			  for 's', 'd';
			$session->run("SELECT fusio_manifest_create_table('d$number')");
		},
		sql => sub {
			"INSERT INTO s$number SELECT g, decode(repeat(md5(g::text), 32768), 'hex') FROM generate_series(1, 129) g";
		},
		found => sub {
			my $count = $session->value("SELECT count(*) FROM d$number WHERE length(v) = 524288");

			return $count == 129 ? 1 : $count == 0 ? 0 : "$count rows";
		} });

# Runs one with a plan; "wrong" unless what it says is what is there.
sub try
{
	my ($script, @plan) = @_;

	$proxy->plan;
	$script->{prepare}->();
	my $fresh = connect_to($node);
	$proxy->plan(@plan);
	my $state = $fresh->sqlstate($script->{sql}->());
	my $acted = $proxy->has_acted;

	# What is late must have come before one looks.
	wait_for(sub { !grep({ / late:/ } $proxy->log) || grep { /^late / } $proxy->log })
	  if $state ne '40003' && grep { / late:/ } $proxy->log;
	$proxy->plan;
	my $found = $script->{found}->();
	my $right = $state eq '00000' ? $found eq '1'
	  : $state eq '40003' ? $found =~ /^[01]$/
	  : $found eq '0';

	diag("@plan: $state, found: $found") unless $right;
	return ($right, $acted, $state);
}

for my $name ('two tables', 'TRUNCATE', 'compaction', 'create_table')
{
	my $script = $scripts{$name};
	my ($wrong, $tries, $longest, %states) = (0, 0, 0);
	my $turn = 0;

	for my $pass (1 .. ($LONG ? scalar @ACTIONS : 2))
	{
		for (my $n = 1;; $n++)
		{
			my $action = $ACTIONS[ $LONG ? $pass - 1 : $turn++ % @ACTIONS ];
			my ($right, $acted, $state) = try($script, "$n $action .");

			$tries++;
			$wrong++ unless $right;
			$states{$state}++;
			$longest = $n if $n > $longest;
			last unless $acted;
		}
	}
	is($wrong, 0, "$name: all or nothing, $tries times: "
		  . join(', ', map { "$_ $states{$_}" } sort keys %states));
	cmp_ok($longest, '>', 3, "$name: at every request, the last was $longest");
	cmp_ok($states{'00000'} // 0, '>', $tries / 3, "$name: most faults are overcome");
}

# Uploads in parts are large: by default a fault at each of their own kinds.
{
	my $script = $scripts{'upload in parts'};
	my @plans = ('1 lose ^POST .*uploads', '2 after:503 ^PUT .*partNumber',
		'2 lose ^POST');
	my ($wrong, $good) = (0, 0);

	$session->run("ALTER SERVER s OPTIONS (SET retry_timeout '1min', SET request_timeout '10s')");
	for my $plan (@plans)
	{
		my ($right, $acted, $state) = try($script, $plan);

		ok($acted, "upload in parts: $plan was done");
		$wrong++ unless $right;
		$good++ if $state eq '00000';
	}
	for (my $n = 1; $LONG; $n++)
	{
		my ($right, $acted) = try($script, "$n $ACTIONS[$n % @ACTIONS] .");

		$wrong++ unless $right;
		last unless $acted;
	}
	is($wrong, 0, 'upload in parts: all or nothing');
	is($good, scalar @plans, 'upload in parts: all of these are overcome');
}

# Pairs, at random.
{
	my $end = time + ($LONG // 0);
	my ($wrong, $tries) = (0, 0);
	my @names = grep { !/parts/ } sort keys %scripts;

	srand(31);
	while (time < $end || $tries < 12)
	{
		my $script = $scripts{ $names[ rand @names ] };
		my ($right) = try($script,
			map { 1 + int(rand 7) . " $ACTIONS[rand @ACTIONS] ." } 1 .. 2);

		$tries++;
		$wrong++ unless $right;
	}
	is($wrong, 0, "pairs of faults: all or nothing, $tries times");
}
$node->stop;
done_testing();
