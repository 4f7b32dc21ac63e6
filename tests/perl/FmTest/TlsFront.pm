#-------------------------------------------------------------------------
#
# FmTest::TlsFront
#	  A front that speaks TLS before an HTTP service: nghttpx, with
#	  certificates of an authority that is made for the test.
#
#	my $front = FmTest::TlsFront->new(protocols => 'h2', upstream => 'http://…');
#	$front->make_server($session, 'name', $prefix);		# through the front
#	my @requests = $front->log;		# { protocol, port, line, status }
#	$front->stop('QUIT'); $front->start;				# on the same port
#
# The certificate "good" is for s3.localhost and the hosts below it.
#
#-------------------------------------------------------------------------
package FmTest::TlsFront;

use strict;
use warnings;

use FmTest::Cluster;
use FmTest::S3;
use IO::Socket::INET;
use POSIX qw(WNOHANG);
use PostgreSQL::Test::Utils;

my $authority;
my $fronts = 0;

# The program, as also those call it whose path has no "sbin".
sub _program
{
	my ($found) = grep { -x } map { "$_/nghttpx" }
	  split(/:/, $ENV{PATH}), '/usr/sbin', '/usr/local/sbin';

	return $found;
}

# What is missing; undef: nothing.
sub missing
{
	return 'nghttpx' unless defined _program();
	return 'openssl' if system('openssl version >/dev/null 2>&1') != 0;
	return undef;
}

# The directory of the certificates, which are made by the first call:
# ca.pem and other_ca.pem, and good.pem, expired.pem, other_host.pem of ca.
sub authority
{
	return $authority if defined $authority;
	my $dir = PostgreSQL::Test::Utils::tempdir;
	my $commands = '';

	for my $ca ('ca', 'other_ca')
	{
		$commands .= "openssl req -x509 -newkey rsa:2048 -nodes -keyout $ca.key "
		  . "-out $ca.pem -days 2 -subj /CN=$ca -addext basicConstraints=critical,CA:TRUE\n";
	}
	$commands .= "openssl req -newkey rsa:2048 -nodes -keyout key -out csr -subj /CN=test\n";
	for ([ 'good', 2, 'DNS:s3.localhost,DNS:*.s3.localhost' ],
		[ 'expired', -1, 'DNS:s3.localhost' ],
		[ 'other_host', 2, 'DNS:s3.example.org' ])
	{
		my ($name, $days, $hosts) = @$_;

		$commands .= "echo subjectAltName=$hosts >$name.ext\n"
		  . "openssl x509 -req -in csr -CA ca.pem -CAkey ca.key -CAcreateserial "
		  . "-days $days -extfile $name.ext -out $name.pem\n";
	}
	system("{ cd '$dir' && set -e\n$commands} >'$dir/log' 2>&1") == 0
	  or die 'no certificates: ' . slurp("$dir/log");
	return $authority = $dir;
}

# protocols: "h2", "http/1.1" or both, with a comma; certificate: its name;
# upstream: by default the service; options: more of them, for nghttpx.
sub new
{
	my ($class, %arg) = @_;
	my $self = bless {
		protocols => $arg{protocols} // 'h2,http/1.1',
		certificate => $arg{certificate} // 'good',
		upstream => $arg{upstream} // $ENV{S3_ENDPOINT},
		options => $arg{options} // [],
		owner => $$,
		log => PostgreSQL::Test::Utils::tempdir . '/front' . ++$fronts }, $class;
	my $probe = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
	  or die "listen: $!";

	$self->{port} = $probe->sockport;
	$self->{endpoint} = "https://s3.localhost:$self->{port}";
	close $probe;
	$self->start;
	return $self;
}

sub start
{
	my ($self) = @_;
	my ($host, $port) = $self->{upstream} =~ m{^http://(.*):(\d+)$};
	my $dir = authority();
	my @command = (_program(), '--conf=/dev/null', '--single-process',
		'--single-thread', '--no-ocsp', "--frontend=127.0.0.1,$self->{port}",
		"--backend=$host,$port", "--npn-list=$self->{protocols}",
		"--accesslog-file=$self->{log}",
		'--accesslog-format=$alpn $remote_port $status $method $path',
		"--errorlog-file=$self->{log}.errors", @{ $self->{options} },
		"$dir/key", "$dir/$self->{certificate}.pem");

	$self->{pid} = spawn(sub {
		open STDERR, '>', '/dev/null';
		exec @command;
	});
	die "nghttpx does not start"
	  unless wait_for(sub { IO::Socket::INET->new("127.0.0.1:$self->{port}") });
	return;
}

# Ends it: QUIT, which tells those that are connected, TERM or KILL.
sub stop
{
	my ($self, $signal) = @_;
	my $pid = delete $self->{pid} or return;

	kill $signal // 'TERM', $pid;
	return if wait_for(sub { waitpid($pid, WNOHANG) == $pid }, 1);
	kill 'KILL', $pid;
	waitpid $pid, 0;
	return;
}

# The requests that it has answered, in order.
sub log
{
	my ($self) = @_;

	return map {
		my ($protocol, $port, $status, $line) = split / /, $_, 4;

		{ protocol => $protocol, port => $port, status => $status, line => $line };
	} split /\n/, (-e $self->{log} ? slurp($self->{log}) : '');
}

sub make_server
{
	my ($self, $session, $name, $prefix, %options) = @_;

	return FmTest::S3::make_server($self, $session, $name, $prefix,
		ca_file => authority() . '/ca.pem', %options);
}

sub DESTROY
{
	my ($self) = @_;

	return unless $self->{owner} == $$;
	local $?;
	$self->stop('KILL');
	return;
}

1;
