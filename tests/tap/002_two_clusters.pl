# Two clusters, which know nothing of each other, in one directory.
use strict;
use warnings;

use FmTest::Cluster;
use Test::More;
use Time::HiRes qw(time);

my $SECONDS = 10;
my $ACCOUNTS = 20;

my $directory = new_directory();
my @nodes = (start_node('one'), start_node('two', plain => 1));
my @sessions = map { connect_to($_) } @nodes;

make_table($_, $directory) for @sessions;
$sessions[0]->run('INSERT INTO t VALUES (1, 1)');
$sessions[1]->run('INSERT INTO t VALUES (2, 2)');
is($_->value('SELECT count(*) FROM t'), 2, 'both rows are there')
  for @sessions;
is($sessions[1]->sqlstate('INSERT INTO t VALUES (1, 3)'), '23505',
	'the key of the other cluster is a duplicate');

# one transaction of each, at once
$_->run('BEGIN') for @sessions;
$sessions[0]->run('INSERT INTO t VALUES (3, 3)');
$sessions[1]->run('INSERT INTO t VALUES (4, 4)');
is($_->sqlstate('COMMIT'), '00000', 'disjoint changes commit') for @sessions;
is($_->value('SELECT count(*) FROM t'), 4, 'both are there') for @sessions;

$_->run('BEGIN; UPDATE t SET v = v + 10 WHERE k = 1') for @sessions;
is($sessions[0]->sqlstate('COMMIT'), '00000', 'the first commits');
is($sessions[1]->sqlstate('COMMIT'), '40001', 'the second is refused');
is($_->value('SELECT v FROM t WHERE k = 1'), 11, 'nothing was lost')
  for @sessions;

# what one merges, the other reads
$sessions[0]->run("SELECT fusio_manifest_compact('t', true)");
is($sessions[1]->value('SELECT sum(v) FROM t'), 20,
	'compaction in the other cluster');

# Transfers between accounts: their sum stays.
make_table($_, $directory, name => 'account') for @sessions;
$sessions[0]->run(
	"INSERT INTO account SELECT g, 100 FROM generate_series(1, $ACCOUNTS) g");

sub transfer
{
	my ($node, $seed) = @_;
	my $session = connect_to($node);
	my $deadline = time + $SECONDS;
	my $done = 0;

	srand $seed;
	while (time < $deadline)
	{
		my $from = 1 + int rand $ACCOUNTS;
		my $to = 1 + int rand $ACCOUNTS;
		my $amount = 1 + int rand 20;
		my $level = rand() < 0.5 ? 'READ COMMITTED' : 'REPEATABLE READ';
		my $state;

		next if $from == $to;
		$state = $session->sqlstate("BEGIN ISOLATION LEVEL $level;
			UPDATE account SET v = v - $amount WHERE k = $from;
			UPDATE account SET v = v + $amount WHERE k = $to");
		$state = $session->sqlstate('COMMIT') if $state eq '00000';
		$session->query('ROLLBACK') if $state ne '00000';
		$done++ if $state eq '00000';
		next if $state =~ /^(00000|40001|40P01)$/;
		print STDERR "unexpected $state\n";
		return 1;
	}
	return $done ? 0 : 2;
}

my @children = map {
	my $i = $_;
	spawn(sub { transfer($nodes[ $i % 2 ], $i) })
} 1 .. 4;
my $deadline = time + $SECONDS;
my ($sums, $wrong) = (0, 0);
while (time < $deadline)
{
	my $session = $sessions[ $sums % 2 ];

	$wrong++
	  if $session->value('SELECT sum(v) FROM account') != 100 * $ACCOUNTS;
	$session->run("SELECT fusio_manifest_compact('account')")
	  if $sums % 10 == 0;
	$sums++;
}
for my $child (@children)
{
	waitpid $child, 0;
	is($?, 0, 'a client made transfers, and met no error but conflicts');
}
cmp_ok($sums, '>', 5, 'sums were read meanwhile');
is($wrong, 0, 'every sum read is right');
is($_->value('SELECT sum(v) FROM account'), 100 * $ACCOUNTS,
	'the sum at the end') for @sessions;
$sessions[1]->run("SELECT fusio_manifest_compact('account', true)");
is($_->value('SELECT sum(v) FROM account'), 100 * $ACCOUNTS,
	'the sum after compaction') for @sessions;
is($_->value('SELECT count(*) FROM account'), $ACCOUNTS, 'every account')
  for @sessions;

done_testing();
