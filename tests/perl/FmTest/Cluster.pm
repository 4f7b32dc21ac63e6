#-------------------------------------------------------------------------
#
# FmTest::Cluster
#	  What the TAP tests share: clusters with the extension, their sessions,
#	  stores in directories, and processes beside them.
#
#-------------------------------------------------------------------------
package FmTest::Cluster;

use strict;
use warnings;

use Exporter qw(import);
use Fcntl qw(:flock);
use File::Find;
use Time::HiRes qw(sleep time);

use FmTest::Session;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More ();

our @EXPORT = qw(start_node connect_to new_directory make_table wait_for
  crash spawn lock_head slurp spew run_files);

my $directories = 0;

# The end of a test loses what it died of.
$SIG{__DIE__} = sub { Test::More::diag(@_) unless $^S; };

# Starts a new cluster; preloaded unless "plain" is set.
sub start_node
{
	my ($name, %arg) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init;
	$node->append_conf('postgresql.conf',
		"shared_preload_libraries = 'fusio_manifest'")
	  unless $arg{plain};
	$node->append_conf('postgresql.conf', "restart_after_crash = on");
	$node->append_conf('postgresql.conf', $_) for @{ $arg{conf} // [] };
	$node->start;
	connect_to($node)->run('CREATE EXTENSION fusio_manifest');
	return $node;
}

sub connect_to
{
	my ($node, %arg) = @_;

	return FmTest::Session->new(
		host => $node->host,
		port => $node->port,
		user => scalar getpwuid($<),
		dbname => 'postgres', %arg);
}

# The name of a directory for a store; it is not made.
sub new_directory
{
	return PostgreSQL::Test::Utils::tempdir . '/store' . ++$directories;
}

# A server for the directory, unless there is one of the name, and a table.
sub make_table
{
	my ($session, $directory, %arg) = @_;
	my $name = $arg{name} // 't';
	my $server = $arg{server} // 's';
	my $columns = $arg{columns} // 'k int NOT NULL, v int';
	my $key = $arg{key} // 'k';
	my $options = $arg{options} ? ", $arg{options}" : '';

	$session->run("CREATE SERVER $server FOREIGN DATA WRAPPER fusio_manifest "
		  . "OPTIONS (location 'file://$directory')")
	  unless $session->value(
		"SELECT count(*) FROM pg_foreign_server WHERE srvname = '$server'");
	$session->run("CREATE FOREIGN TABLE $name ($columns) SERVER $server "
		  . "OPTIONS (key '$key'$options)");
	return;
}

# Calls the function until it answers true; false after so many seconds.
sub wait_for
{
	my ($condition, $seconds) = @_;
	my $deadline = time + ($seconds // 20);

	while (time < $deadline)
	{
		my $answer = eval { $condition->() };

		return $answer if $answer;
		sleep 0.05;
	}
	return 0;
}

# Kills a session's backend, and waits until the server is up again, which
# it may still seem to be before it has noticed.  A new session.
sub crash
{
	my ($node, $victim) = @_;
	my $count = sub { scalar(() = slurp($node->logfile) =~ /reinitializing/g) };
	my $before = $count->();
	my $session;

	kill 'KILL', $victim->pid or die "could not kill: $!";
	die 'the connection was not lost' unless $victim->result->{lost};
	die 'the server did not start again'
	  unless wait_for(sub { $count->() > $before })
	  && wait_for(sub { $session = connect_to($node) });
	return $session;
}

# Runs the function in a process of its own, whose status is what it returns.
# Destructors of the parent's objects do not run there.
sub spawn
{
	my ($function) = @_;
	my $pid = fork // die "could not fork: $!";

	return $pid if $pid;
	my $status = eval { $function->() } // 99;
	print STDERR $@ if $@;
	require POSIX;
	POSIX::_exit($status);
}

# Holds HEAD.lock until the handle that is returned goes.
sub lock_head
{
	my ($directory) = @_;

	open my $lock, '+>>', "$directory/HEAD.lock"
	  or die "could not open HEAD.lock: $!";
	flock $lock, LOCK_EX or die "could not lock HEAD.lock: $!";
	return $lock;
}

sub slurp
{
	my ($path) = @_;

	open my $file, '<:raw', $path or die "could not read \"$path\": $!";
	local $/;
	return scalar <$file>;
}

# Replaces the file, as the server would: by rename.
sub spew
{
	my ($path, $bytes) = @_;

	open my $file, '>:raw', "$path.new" or die "could not write \"$path\": $!";
	print $file $bytes;
	close $file or die "could not write \"$path\": $!";
	chmod 0600, "$path.new";
	rename "$path.new", $path or die "could not rename \"$path\": $!";
	return;
}

sub run_files
{
	my ($directory) = @_;
	my @files;

	find(sub { push @files, $File::Find::name if /\.run$/ },
		"$directory/runs") if -d "$directory/runs";
	@files = sort @files;
	return @files;
}

1;
