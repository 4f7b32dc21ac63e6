# Tables in an S3 bucket over TLS, with HTTP/1.1 and with HTTP/2.
use strict;
use warnings;

use FmTest::Cluster;
use FmTest::S3;
use FmTest::TlsFront;
use IO::Select;
use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'no S3 service' unless FmTest::S3::is_there();
my $missing = FmTest::TlsFront::missing();
plan skip_all => "no $missing" if defined $missing;

my $node = start_node('tls', conf => ['fsync = off']);
my $session = connect_to($node);
my $number = 0;
my $server;

# A new server and a new store; the server's name is in $server.
sub new_store
{
	my ($front, %options) = @_;

	$server = 's' . ++$number;
	$front->make_server($session, $server, FmTest::S3::new_prefix(), %options);
	return;
}

sub new_table
{
	my ($name, $options) = @_;

	$session->run("CREATE FOREIGN TABLE $name (k int NOT NULL, v text) "
		  . "SERVER $server OPTIONS (key 'k'" . ($options // '') . ')');
	return;
}

sub forget { $session->run('SELECT fusio_manifest_cache_reset()'); return; }

# HTTP/2 is spoken where it is offered, but for what has a body.
my %offers = ('http/1.1' => 'http/1.1', 'h2' => 'h2,http/1.1');

# All of it, by each protocol.
for my $protocol ('http/1.1', 'h2')
{
	my $front = FmTest::TlsFront->new(protocols => $offers{$protocol});
	my $t = 't_' . ($protocol eq 'h2' ? 2 : 1);
	my $sum = "SELECT count(*), sum(hashtext(v)) FROM $t";

	new_store($front);
	is($session->value("SELECT count(*) FROM fusio_manifest_check_server('$server') WHERE NOT ok"),
		0, "$protocol: the service does what commits rely on");
	new_table($t);
	new_table("w$t", ", compression 'none'");
	$session->run("SELECT fusio_manifest_create_table('$t')");
	$session->run("INSERT INTO $t SELECT g, md5(g::text) FROM generate_series(1, 50000) g");
	forget();
	is($session->value("SELECT v FROM $t WHERE k = 77"),
		$session->value('SELECT md5(77::text)'), "$protocol: a row");
	is($session->value("SELECT count(*) FROM $t WHERE k = 0"), 0, "$protocol: no row");
	is($session->value("SELECT count(v) FROM $t WHERE k = ANY(ARRAY(SELECT 500 * g FROM generate_series(1, 100) g))"),
		100, "$protocol: many rows side by side");
	forget();
	is_deeply($session->run($sum)->{rows},
		$session->run('SELECT count(*), sum(hashtext(md5(g::text))) FROM generate_series(1, 50000) g')->{rows},
		"$protocol: a scan");
	$session->run("UPDATE $t SET v = 'x' WHERE k <= 10");
	$session->run("DELETE FROM $t WHERE k > 49990");
	is($session->value("SELECT fusio_manifest_compact('$t', true)"), 3, "$protocol: compaction");
	is($session->value("SELECT count(*) || ' ' || count(*) FILTER (WHERE v = 'x') FROM $t"),
		'49990 10', "$protocol: updated, deleted and compacted");

	# larger than one PUT may be
	$session->run("INSERT INTO w$t SELECT g, repeat(md5(g::text), 16384) FROM generate_series(1, 132) g");
	cmp_ok((grep { $_->{line} =~ /^PUT .*partNumber=/ } $front->log), '>=', 5,
		"$protocol: an upload in parts");
	forget();
	is($session->value("SELECT count(*) FROM w$t WHERE v = repeat(md5(k::text), 16384)"),
		132, "$protocol: is right");

	# commits of many sessions at once
	my @sessions = map { connect_to($node) } 1 .. 8;
	$_->run("SELECT FROM $t WHERE k = 1") for @sessions;
	for my $round (1 .. 3)
	{
		$sessions[$_]->send("INSERT INTO $t VALUES (-(10 * $round + $_), 'group')")
		  for 0 .. $#sessions;
		is(join(' ', map { $_->result->{sqlstate} // '00000' } @sessions),
			join(' ', ('00000') x @sessions), "$protocol: commits of many, round $round");
	}
	is($session->value("SELECT count(*) FROM $t WHERE v = 'group'"), 24,
		"$protocol: all are there");

	# which protocol, and over which connections HEAD went
	my @log = $front->log;
	my %requests;
	$requests{ $_->{port} }++ for @log;
	is((grep { $_->{line} =~ /^PUT/ && $_->{protocol} ne 'http/1.1' } @log), 0,
		"$protocol: what has a body goes with HTTP/1.1");
	my @reads = grep { $_->{line} =~ /^GET/ } @log;
	my $spoken = grep { $_->{protocol} eq $protocol } @reads;
	cmp_ok($spoken, '>', $protocol eq 'h2' ? @reads / 4 : @reads - 1,
		"$protocol: was spoken, $spoken times of " . scalar(@reads));
	my @heads = grep { $_->{line} =~ m{^PUT \S+/HEAD$} && $_->{line} !~ /probe/ } @log;
	cmp_ok(@heads, '>', 5, "$protocol: HEAD was replaced");
	is((grep { $requests{ $_->{port} } > 1 } @heads), 0,
		"$protocol: each time over a connection of its own");
	cmp_ok(keys %requests, '<', @log * 0.7, "$protocol: others are kept");

	# virtual hosts, with a certificate for all of them
	(my $prefix = $session->value("SELECT o FROM pg_foreign_server, unnest(srvoptions) o "
		  . "WHERE srvname = '$server' AND o LIKE 'location=%'")) =~ s{^location=s3://[^/]+/}{};
	$front->make_server($session, "v$server", $prefix, addressing => 'virtual');
	$session->run("CREATE FOREIGN TABLE v$t (k int NOT NULL, v text) "
		  . "SERVER v$server OPTIONS (key 'k', table_name '$t')");
	forget();
	is($session->value("SELECT count(*) FROM v$t WHERE k <= 10 AND v = 'x'"), 10,
		"$protocol: virtual host");
	$session->run("INSERT INTO v$t VALUES (-1000, 'virtual')");
	is($session->value("SELECT v FROM $t WHERE k = -1000"), 'virtual',
		"$protocol: virtual host, writing");
	$front->stop;
}

# A server ends connections that nobody uses, or that were used often: it may
# say so (GOAWAY, "Connection: close") or not.
for my $protocol ('http/1.1', 'h2')
{
	my $proxy = FmTest::S3->proxy;
	my $front = FmTest::TlsFront->new(
		protocols => $offers{$protocol},
		upstream => $proxy->{endpoint},
		options => [
			'--frontend-http2-read-timeout=1s',
			'--frontend-keep-alive-timeout=1s',
			'--frontend-max-requests=5' ]);
	my $t = 'c_' . ($protocol eq 'h2' ? 2 : 1);

	new_store($front, retry_timeout => '2s');
	new_table($t);
	$session->run("INSERT INTO $t SELECT g, repeat(md5(g::text), 20) FROM generate_series(1, 50000) g");
	my $count = "SELECT count(*) FROM $t WHERE length(v) = 640";
	my $key = 0;

	for my $what ('idle', 'idle', 'QUIT', 'TERM', 'KILL')
	{
		forget();
		is($session->value($count), 50000, "$protocol: a scan over connections that end ($what)");
		if ($what eq 'idle')
		{
			sleep 1.3;
		}
		else
		{
			$front->stop($what);
			$front->start;
		}
		$proxy->plan;
		is($session->sqlstate("INSERT INTO $t VALUES (" . --$key . ", 'y')"),
			'00000', "$protocol: a commit after they have ended ($what)");
		is((grep { m{^PUT \S+/HEAD } } $proxy->log), 1, "$protocol: HEAD was sent once ($what)");
	}

	# killed in the midst of a scan
	$session->run("ALTER SERVER $server OPTIONS (ADD max_requests '1')");
	forget();
	$proxy->plan;
	$proxy->delay(0.1);
	my $start = time;
	$session->send($count);
	ok(wait_for(sub { grep { m{^GET \S+/runs/} } $proxy->log }), "$protocol: a scan has begun");
	$front->stop('KILL');
	my $result = $session->result;
	is($result->{sqlstate}, '08006', "$protocol: the front is killed in the midst of it");
	like($result->{hint}, qr/network/, "$protocol: with a hint");
	cmp_ok(time - $start, '<', 15, "$protocol: in time");
	$proxy->delay(0);
	$front->start;
	is($session->value($count), 50000, "$protocol: the session goes on when it is back");

	# away for a moment only
	forget();
	$proxy->plan;
	$proxy->delay(0.1);
	$session->send($count);
	wait_for(sub { grep { m{^GET \S+/runs/} } $proxy->log });
	$front->stop('KILL');
	$front->start;
	is($session->describe($session->result), 'no error',
		"$protocol: nobody notices that it was away for a moment");
	$front->stop;
}

# A connection that nobody forwards any more, and nobody closes.
{
	my $dir = PostgreSQL::Test::Utils::tempdir;

	# Passes bytes on; connections older than the file "freeze" are frozen.
	sub pass_on
	{
		my ($client, $port) = @_;
		my $began = time;
		my $server = IO::Socket::INET->new("127.0.0.1:$port") or return 0;
		my %other = (fileno $client => $server, fileno $server => $client);
		my $select = IO::Select->new($client, $server);

		for (;;)
		{
			my @ready = $select->can_read(0.02);
			my $freeze = (stat "$dir/freeze")[9];

			sleep 600 if defined $freeze && $freeze > $began;
			for my $from (@ready)
			{
				sysread($from, my $bytes, 65536) or return 0;
				syswrite $other{ fileno $from }, $bytes;
			}
		}
	}

	for my $protocol ('http/1.1', 'h2')
	{
		my $front = FmTest::TlsFront->new(protocols => $offers{$protocol});
		my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64)
		  or die "listen: $!";
		my $forwarding = spawn(sub {
			local $SIG{CHLD} = 'IGNORE';
			local $SIG{TERM} = sub { kill 'KILL', -$$; };
			setpgrp;
			while (1)
			{
				my $client = $listener->accept or next;

				spawn(sub { return pass_on($client, $front->{port}); });
				close $client;
			}
		});
		my $t = 'f_' . ($protocol eq 'h2' ? 2 : 1);
		local $front->{endpoint} = 'https://s3.localhost:' . $listener->sockport;

		unlink "$dir/freeze";
		new_store($front, request_timeout => '4s', retry_timeout => '1min');
		new_table($t);
		$session->run("INSERT INTO $t SELECT g, md5(g::text) FROM generate_series(1, 20000) g");
		my $read = sub {
			forget();
			return $session->value("SELECT count(*) FROM $t WHERE k = 7");
		};
		$read->() for 1 .. 30;
		sleep 2.5;
		spew("$dir/freeze", '');
		my $start = time;
		is($read->(), 1, "$protocol: a row, over connections that are frozen");
		is((grep { $read->() != 1 } 1 .. 20), 0, "$protocol: and 20 times more");
		cmp_ok(time - $start, '<', 10, "$protocol: without waiting for what does not come");
		sleep 2.5;
		spew("$dir/freeze", '');
		$start = time;
		is($session->sqlstate("INSERT INTO $t VALUES (-1, 'x')"), '00000',
			"$protocol: a commit, over connections that are frozen");
		cmp_ok(time - $start, '<', 20, "$protocol: in time");
		is($session->value("SELECT count(*) FROM $t WHERE k = -1"), 1, "$protocol: once");
		kill 'TERM', $forwarding;
		waitpid $forwarding, 0;
		$front->stop;
	}
}

# What does not pass is told at the first try, with what to do.
{
	my $dir = FmTest::TlsFront::authority();
	my %front = map { $_ => FmTest::TlsFront->new(certificate => $_) }
	  'good', 'expired', 'other_host';
	my $tls = $front{good}{endpoint};
	(my $plain = $ENV{S3_ENDPOINT}) =~ s/^http:/https:/;

	# what servers in Go answer who does not speak TLS
	my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 8)
	  or die "listen: $!";
	my $answering = spawn(sub {
		while (my $client = $listener->accept)
		{
			my $request = '';

			$request .= <$client> until $request =~ /\r\n\r\n$/;
			print $client "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
			close $client;
		}
		return 0;
	});

	$session->run("SET statement_timeout = '30s'");
	for (
		[ 'an authority that nobody knows', $tls, undef, qr/"ca_file"/ ],
		[ 'another authority', $tls, "$dir/other_ca.pem", qr/"ca_file"/ ],
		[ 'no file of certificates', $tls, "$dir/none.pem", qr/"ca_file"/ ],
		[ 'an expired certificate', $front{expired}{endpoint}, "$dir/ca.pem", qr/certificate is valid/ ],
		[ 'a certificate of another host', $front{other_host}{endpoint}, "$dir/ca.pem", qr/certificate is valid for the host/ ],
		[ 'TLS to a port without', $plain, "$dir/ca.pem", qr{"http://"} ],
		[ 'no TLS to a port with', 'http://127.0.0.1:' . $listener->sockport, undef, qr{"https://"} ],
		# this could be a service that is about to end
		[ 'no TLS to a port with, and no answer', $tls =~ s/^https/http/r, undef, qr{"https://"}, '1s' ])
	{
		my ($name, $endpoint, $ca_file, $hint, $patience) = @$_;

		$session->run("CREATE SERVER bad FOREIGN DATA WRAPPER fusio_manifest OPTIONS "
			  . "(location 's3://$ENV{S3_BUCKET}/x', endpoint '$endpoint', retry_timeout '" . ($patience // '1h') . "'"
			  . (defined $ca_file ? ", ca_file '$ca_file'" : '') . ')');
		$session->run("CREATE USER MAPPING FOR PUBLIC SERVER bad OPTIONS "
			  . "(access_key_id '$ENV{S3_KEY}', secret_access_key '$ENV{S3_SECRET}')");
		$session->run("CREATE FOREIGN TABLE bad (k int NOT NULL) SERVER bad OPTIONS (key 'k')");
		for my $sql ('SELECT * FROM bad', 'INSERT INTO bad VALUES (1)')
		{
			my $result = $session->query($sql);

			is($result->{sqlstate}, '08006', "$name: $sql");
			like($result->{hint}, $hint, "$name: hint");
		}
		$session->run('DROP SERVER bad CASCADE');
	}
	$session->run('RESET statement_timeout');
	is((grep { $_->log } values %front), 0, 'and no request was sent');
	kill 'TERM', $answering;
}
$node->stop;
done_testing();
