#-------------------------------------------------------------------------
#
# FmTest::S3
#	  What the TAP tests on S3 share: servers in the bucket of the service
#	  that tests/run started, and a proxy between that does harm.
#
#	my $proxy = FmTest::S3->proxy;
#	$proxy->make_server($session, 'name');		# through the proxy
#	$proxy->plan('2 lose ^PUT .*/HEAD');		# see tests/s3/proxy
#	my @lines = $proxy->log;
#
#-------------------------------------------------------------------------
package FmTest::S3;

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use Time::HiRes qw(sleep);

my $prefixes = 0;

sub is_there { return defined $ENV{S3_ENDPOINT}; }

# A prefix of the bucket that nobody else uses.
sub new_prefix
{
	return sprintf 'tap/%d/%d/%d', $$, time, ++$prefixes;
}

sub _curl
{
	my ($name, @arg) = @_;

	open my $out, '-|:raw', 'curl', '-sS', '-f', '--noproxy', '*',
	  '--aws-sigv4', 'aws:amz:us-east-1:s3', '--user', "$ENV{S3_KEY}:$ENV{S3_SECRET}",
	  '-H', 'x-amz-content-sha256: UNSIGNED-PAYLOAD', @arg,
	  "$ENV{S3_ENDPOINT}/$ENV{S3_BUCKET}/$name" or die "could not run curl: $!";
	local $/;
	my $answer = <$out>;
	close $out or die "curl failed: $?";
	return $answer // '';
}

# An object of the bucket, whatever the extension thinks of it.
sub get_object { return _curl($_[0]); }

sub put_object
{
	my ($name, $bytes) = @_;
	my $path = tempdir(CLEANUP => 1) . '/object';

	open my $file, '>:raw', $path or die "$path: $!";
	print $file $bytes;
	close $file or die "$path: $!";
	_curl($name, '-T', $path);
	return;
}

# Empty objects, many at once.
sub put_objects
{
	my (@names) = @_;
	my $dir = tempdir(CLEANUP => 1);

	open my $file, '>', "$dir/empty" or die "$dir: $!";
	close $file;
	open $file, '>', "$dir/uploads" or die "$dir: $!";
	print $file "url = \"$ENV{S3_ENDPOINT}/$ENV{S3_BUCKET}/$_\"\nupload-file = \"$dir/empty\"\n"
	  for @names;
	close $file or die "$dir: $!";
	_curl(shift @names, '--parallel', '-T', "$dir/empty", '-K', "$dir/uploads");
	return;
}

sub delete_object
{
	_curl($_[0], '-X', 'DELETE');
	return;
}

# The name of a run's object, from its id as SQL shows it.
sub run_name
{
	my ($id) = @_;

	$id =~ tr/-//d;
	return 'runs/' . substr($id, 0, 2) . "/$id.run";
}

sub proxy
{
	my ($class) = @_;
	my $dir = tempdir(CLEANUP => 1);
	my ($upstream) = $ENV{S3_ENDPOINT} =~ m{^http://(.*)$};
	my $program = dirname(__FILE__) . '/../../s3/proxy';
	my $self = bless { dir => $dir, owner => $$ }, $class;

	$self->{pid} = open my $out, '-|', $^X, $program, $dir, $upstream
	  or die "could not start $program: $!";
	chomp(my $port = <$out> // die "no port from $program");
	$self->{endpoint} = "http://127.0.0.1:$port";
	$self->{out} = $out;
	return $self;
}

sub DESTROY
{
	my ($self) = @_;

	return unless $self->{pid} && $self->{owner} == $$;
	local $?;
	kill 'TERM', $self->{pid};
	close $self->{out};
}

sub _spew
{
	my ($self, $name, $text) = @_;

	open my $file, '>', "$self->{dir}/$name.new" or die "$name: $!";
	print $file $text;
	close $file;
	rename "$self->{dir}/$name.new", "$self->{dir}/$name" or die "$name: $!";
	return;
}

# Sets what is to be done to the requests from now on, and empties the log.
sub plan
{
	my ($self, @lines) = @_;

	unlink "$self->{dir}/state";
	unlink "$self->{dir}/log";
	$self->_spew('plan', join('', map { "$_\n" } @lines));
	return;
}

sub delay
{
	my ($self, $seconds) = @_;

	$self->_spew('delay', $seconds);
	return;
}

# What the action raw:NAME of a plan answers.
sub set_raw
{
	my ($self, $name, $bytes) = @_;

	$self->_spew($name, $bytes);
	return;
}

# The requests since the plan was set, in the order of their answers.
sub log
{
	my ($self) = @_;

	open my $file, '<', "$self->{dir}/log" or return ();
	chomp(my @lines = <$file>);
	return @lines;
}

# Is one of them what a plan was set for?
sub has_acted
{
	my ($self) = @_;

	return scalar grep { !/ pass \d+$/ } $self->log;
}

# A server and a mapping for everyone; the endpoint is the proxy's, or, called
# as a function of the class, the service's own.
sub make_server
{
	my ($self, $session, $name, $prefix, %options) = @_;
	my $endpoint = ref $self ? $self->{endpoint} : $ENV{S3_ENDPOINT};

	$session->run("CREATE SERVER $name FOREIGN DATA WRAPPER fusio_manifest "
		  . "OPTIONS (location 's3://$ENV{S3_BUCKET}/$prefix', "
		  . join(', ', "endpoint '$endpoint'",
			map { "$_ '$options{$_}'" } sort keys %options)
		  . ')');
	$session->run("CREATE USER MAPPING FOR PUBLIC SERVER $name OPTIONS "
		  . "(access_key_id '$ENV{S3_KEY}', secret_access_key '$ENV{S3_SECRET}')");
	return;
}

1;
