#-------------------------------------------------------------------------
#
# FmTest::Session
#	  One connection to a server, in PostgreSQL's protocol, version 3.
#
# No driver is needed; statements can be sent without waiting, so that a test
# holds many sessions at once, and errors are data: every result carries its
# SQLSTATE.
#
#	my $session = FmTest::Session->new(host => $dir, port => $port);
#	my $result = $session->query($sql, $copy_data);
#	$session->send($sql); ...; $session->is_ready(1.5); $session->result;
#
# A result is a hash: tags (of every statement), rows (of the last one that
# has some), columns, sqlstate and message (undef: no error), notices, status
# (I, T or E), lost (the server closed the connection).
#
#-------------------------------------------------------------------------
package FmTest::Session;

use strict;
use warnings;

use IO::Select;
use IO::Socket::UNIX;
use Time::HiRes qw(time);

sub new
{
	my ($class, %arg) = @_;
	my $self = bless {
		host => $arg{host} // $ENV{PGHOST},
		port => $arg{port} // $ENV{PGPORT} // 5432,
		user => $arg{user} // $ENV{PGUSER} // 'postgres',
		dbname => $arg{dbname} // $ENV{PGDATABASE} // 'postgres',
		input => '',
	}, $class;
	my $startup;

	local $SIG{PIPE} = 'IGNORE';
	$self->{socket} = $self->_connect
	  or die "could not connect to \"$self->{host}\": $!\n";
	$startup = pack('N', 196608) . join("\0",
		user => $self->{user},
		database => $self->{dbname},
		application_name => $arg{name} // 'test', '') . "\0";
	$self->_write(pack('N', length($startup) + 4) . $startup);
	$self->_begin;
	my $result = $self->result;
	die "could not connect: " . ($result->{message} // 'lost') . "\n"
	  if $result->{lost} || defined $result->{sqlstate};
	return $self;
}

sub pid { return $_[0]{pid}; }

# Runs statements and waits for the end.
sub query
{
	my ($self, $sql, $copy_data) = @_;

	$self->send($sql, $copy_data);
	return $self->result;
}

# The same; dies of an error.
sub run
{
	my ($self, $sql, $copy_data) = @_;
	my $result = $self->query($sql, $copy_data);

	die "\"$sql\" failed: " . $self->describe($result) . "\n"
	  if $result->{lost} || defined $result->{sqlstate};
	return $result;
}

# The first column of the first row; dies of an error.
sub value
{
	my ($self, $sql) = @_;
	my $result = $self->run($sql);

	return @{ $result->{rows} } ? $result->{rows}[0][0] : undef;
}

# SQLSTATE of statements: '00000' is success, 'lost' a lost connection.
sub sqlstate
{
	my ($self, $sql, $copy_data) = @_;
	my $result = $self->query($sql, $copy_data);

	return $result->{lost} ? 'lost' : $result->{sqlstate} // '00000';
}

sub describe
{
	my ($self, $result) = @_;

	return 'connection lost' if $result->{lost};
	return 'no error' unless defined $result->{sqlstate};
	return join ' ', grep { defined } $result->{sqlstate},
	  $result->{message}, $result->{detail}, $result->{hint};
}

sub send
{
	my ($self, $sql, $copy_data) = @_;

	$self->{copy_data} = $copy_data;
	$self->_begin;
	$self->_message('Q', "$sql\0");
	return;
}

# True once the answer to what was sent is complete; waits so many seconds.
sub is_ready
{
	my ($self, $seconds) = @_;
	my $deadline = time + ($seconds // 0);

	until ($self->{done})
	{
		my $left = $deadline - time;

		$left = 0 if $left < 0;
		if (IO::Select->new($self->{socket})->can_read($left))
		{
			$self->_read;
		}
		elsif (time >= $deadline)
		{
			return 0;
		}
	}
	return 1;
}

# Waits for the answer, and returns it.
sub result
{
	my ($self) = @_;

	$self->_read until $self->{done};
	return $self->{result};
}

# Asks the server to cancel what runs, over a connection of its own.
sub cancel
{
	my ($self) = @_;
	my $socket = $self->_connect or return;

	syswrite $socket, pack('NNNN', 16, 80877102, $self->{pid},
		$self->{secret});
	sysread $socket, my $none, 1;
	close $socket;
	return;
}

sub close
{
	my ($self) = @_;
	my $socket = delete $self->{socket} or return;

	local $SIG{PIPE} = 'IGNORE';
	syswrite $socket, 'X' . pack('N', 4);
	close $socket;
	return;
}

sub DESTROY { $_[0]->close; return; }

sub _connect
{
	my ($self) = @_;

	return IO::Socket::UNIX->new(
		Peer => "$self->{host}/.s.PGSQL.$self->{port}");
}

sub _begin
{
	my ($self) = @_;

	$self->{result} =
	  { tags => [], rows => [], columns => [], notices => [], copied => '' };
	$self->{done} = 0;
	return;
}

sub _message
{
	my ($self, $type, $body) = @_;

	$self->_write($type . pack('N', length($body) + 4) . $body);
	return;
}

sub _write
{
	my ($self, $bytes) = @_;
	my $offset = 0;

	local $SIG{PIPE} = 'IGNORE';
	while ($offset < length $bytes)
	{
		my $n = syswrite $self->{socket}, $bytes,
		  length($bytes) - $offset, $offset;

		last unless defined $n;		# reading will tell that it is lost
		$offset += $n;
	}
	return;
}

# Reads what has come, and takes the complete messages from it.
sub _read
{
	my ($self) = @_;
	my $n = sysread $self->{socket}, $self->{input}, 1 << 18,
	  length $self->{input};
	my $offset = 0;

	unless ($n)
	{
		$self->{result}{lost} = 1;
		$self->{done} = 1;
		return;
	}
	while (length($self->{input}) - $offset >= 5)
	{
		my ($type, $length) = unpack 'aN', substr($self->{input}, $offset, 5);

		last if length($self->{input}) - $offset < $length + 1;
		$self->_take($type, substr $self->{input}, $offset + 5, $length - 4);
		$offset += $length + 1;
	}
	substr($self->{input}, 0, $offset) = '';
	return;
}

sub _take
{
	my ($self, $type, $body) = @_;
	my $result = $self->{result};

	if ($type eq 'D')
	{
		my $offset = 2;
		my @row;

		for (1 .. unpack 'n', $body)
		{
			my $length = unpack 'N', substr($body, $offset, 4);

			$offset += 4;
			if ($length == 0xFFFFFFFF)
			{
				push @row, undef;
				next;
			}
			push @row, substr $body, $offset, $length;
			$offset += $length;
		}
		push @{ $result->{rows} }, \@row;
	}
	elsif ($type eq 'T')
	{
		my ($n, $rest) = unpack 'n a*', $body;

		$result->{rows} = [];
		$result->{columns} = [];
		for (1 .. $n)
		{
			(my $name, $rest) = unpack 'Z* x18 a*', $rest;
			push @{ $result->{columns} }, $name;
		}
	}
	elsif ($type eq 'C')
	{
		push @{ $result->{tags} }, unpack 'Z*', $body;
	}
	elsif ($type eq 'E' || $type eq 'N')
	{
		my %field = map { substr($_, 0, 1) => substr($_, 1) }
		  grep { length } split /\0/, $body;

		if ($type eq 'N')
		{
			push @{ $result->{notices} }, "$field{S}: $field{M}";
		}
		else
		{
			$result->{sqlstate} = $field{C};
			$result->{message} = $field{M};
			$result->{detail} = $field{D};
			$result->{hint} = $field{H};
		}
	}
	elsif ($type eq 'Z')
	{
		$result->{status} = $body;
		$self->{done} = 1;
	}
	elsif ($type eq 'K')
	{
		@$self{qw(pid secret)} = unpack 'NN', $body;
	}
	elsif ($type eq 'G')
	{
		$self->_message('d', $self->{copy_data})
		  if length($self->{copy_data} // '');
		$self->_message('c', '');
	}
	elsif ($type eq 'd')
	{
		$result->{copied} .= $body;
	}
	return;
}

1;
