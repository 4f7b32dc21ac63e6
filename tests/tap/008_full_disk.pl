# A store on a full disk: a small tmpfs, named by FM_TEST_SMALL_DISK, or made
# in a mount namespace of the test's own.  Skipped where that is not allowed.
use strict;
use warnings;

use FmTest::Cluster;
use Test::More;

my $directory = $ENV{FM_TEST_SMALL_DISK};

unless ($directory || $ENV{FM_TEST_NAMESPACE})
{
	my @unshare = ('unshare', '-Umc', '--keep-caps');

	plan skip_all => 'no namespaces here'
	  if system("@unshare mount -t tmpfs none /mnt >/dev/null 2>&1") != 0;
	$ENV{FM_TEST_NAMESPACE} = 1;
	exec @unshare, $^X, (map { "-I$_" } @INC), $0;
}

my $node = start_node('full_disk');
my $session = connect_to($node);

unless ($directory)
{
	$directory = new_directory();
	mkdir $directory, 0700 or die "could not make \"$directory\": $!";
	system('mount', '-t', 'tmpfs', '-o', 'size=2m,mode=0700', 'none',
		$directory) == 0 or die 'could not mount';
}
make_table($session, $directory, columns => 'k int NOT NULL, v text',
	options => "compression 'none'");
$session->run("INSERT INTO t SELECT g, 'x' FROM generate_series(1, 100) g");

# Removes what no table refers to.
sub remove_orphans
{
	my %listed = map { $_->[0] =~ s/-//gr => 1 }
	  @{ $session->run("SELECT id::text FROM fusio_manifest_runs('t')")
		  ->{rows} };

	for my $path (run_files($directory))
	{
		my ($id) = $path =~ m{([^/]+)\.run$};

		unlink $path unless $listed{$id};
	}
	return;
}

my $result = $session->query("INSERT INTO t SELECT g, repeat(md5(g::text), 9)
	FROM generate_series(1000, 15000) g");
is($result->{sqlstate}, '53100', 'F25: a load that does not fit');
like($result->{message}, qr/No space left/, 'is told why');
is($session->value('SELECT count(*) FROM t'), 100, 'F25: nothing is visible');
remove_orphans();
is($session->sqlstate("INSERT INTO t VALUES (101, 'x')"), '00000',
	'with room again, the next one is written');

# With so many pages left, a commit either happens or is refused.
my $count = 101;
my %outcome;
for my $left (0 .. 12)
{
	my $state;

	open my $file, '>', "$directory/HEAD.filler" or die "could not write: $!";
	$file->autoflush(1);
	while (syswrite $file, "\0" x 4096) { }
	truncate $file, (-s $file) - 4096 * $left;
	$state = $session->sqlstate("INSERT INTO t VALUES (1000 + $left, 'x')");
	$outcome{$state}++;
	$count++ if $state eq '00000';
	is($session->value('SELECT count(*) FROM t'), $count,
		"F25: $left pages left: SQLSTATE $state is the truth");
	close $file;
	unlink "$directory/HEAD.filler";
	remove_orphans();
}
is_deeply([ sort keys %outcome ], [ '00000', '53100' ],
	'both were met, and nothing else');
$session->run("SELECT fusio_manifest_compact('t', true)");
is($session->value('SELECT count(*) FROM t'), $count, 'all rows are there');

$session->close;
$node->stop;
system('umount', $directory);
done_testing();
