# Tables in an S3 bucket: requests, credentials, addresses, privileges.
use strict;
use warnings;

use FmTest::Cluster;
use FmTest::S3;
use HTTP::Tiny;
use IO::Socket::INET;
use POSIX ();
use Test::More;

plan skip_all => 'no S3 service' unless FmTest::S3::is_there();

# What the sources of credentials read is in the server's environment.
my $home = PostgreSQL::Test::Utils::tempdir;
mkdir "$home/.aws";
spew("$home/.aws/config", "[default]\nregion = nowhere\n"
	  . "[profile test]\naws_access_key_id = wrong\n");
spew("$home/.aws/credentials", "# a comment\n[other]\naws_access_key_id=no\n"
	  . "[test]\naws_access_key_id = $ENV{S3_KEY}\n"
	  . "aws_secret_access_key = $ENV{S3_SECRET}\n");
spew("$home/token", "a web token\n");

# A service that hands out credentials: of an instance, and for a web token.
# The file "mode" says "past", for keys that must be asked for again each time,
# "soon", for some that will expire, and "stall" afterwards, or "stall".
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 8)
  or die "listen: $!";
my $metadata = 'http://127.0.0.1:' . $listener->sockport;
my $json = qq({"Code": "Success", "AccessKeyId": "$ENV{S3_KEY}", )
  . qq("SecretAccessKey": "$ENV{S3_SECRET}", "Expiration": "%s"});
spew("$home/mode", '');
my $xml = "<A><Credentials><AccessKeyId>$ENV{S3_KEY}</AccessKeyId>"
  . "<SecretAccessKey>$ENV{S3_SECRET}</SecretAccessKey>"
  . '<SessionToken></SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>'
  . '</Credentials></A>';
my $handing_out = spawn(sub {
	my @stalled;

	while (my $client = $listener->accept)
	{
		my $request = '';
		my $mode = slurp("$home/mode");
		my $expires = $mode eq '' ? '2099-01-01T00:00:00Z'
		  : POSIX::strftime('%Y-%m-%dT%H:%M:%SZ', gmtime time + ($mode eq 'past' ? -1 : 100));

		if ($mode eq 'stall')
		{
			push @stalled, $client;
			next;
		}

		$request .= <$client> until $request =~ /\r\n\r\n$/;
		read $client, $request, $1, length $request
		  if $request =~ /^content-length: (\d+)/mi;
		my $body = $request =~ m{^PUT /latest/api/token.*ttl}s ? 'token'
		  : $request =~ m{^GET /latest/meta-data/iam/security-credentials/ .*metadata-token: token}s
		  ? "role\n"
		  : $request =~ m{^GET \S+/security-credentials/role .*metadata-token: token}s
		  ? sprintf($json, $expires)
		  : $request =~ m{^POST / .*x-www-form-urlencoded.*\r\n\r\nAction=AssumeRoleWithWebIdentity&\S*WebIdentityToken=a%20web%20token$}s
		  ? $xml
		  : undef;
		my $status = defined $body ? '200 OK' : '404 Not Found';

		$body //= '';
		print $client "HTTP/1.1 $status\r\nContent-Length: ", length $body,
		  "\r\nConnection: close\r\n\r\n$body";
		close $client;
		spew("$home/mode", 'stall') if $mode eq 'soon' && $body =~ /AccessKeyId/;
	}
	return 0;
});
my $node;
{
	local $ENV{HOME} = $home;
	local $ENV{AWS_PROFILE} = 'test';
	local $ENV{AWS_ACCESS_KEY_ID} = $ENV{S3_KEY};
	local $ENV{AWS_SECRET_ACCESS_KEY} = $ENV{S3_SECRET};
	# nobody listens there: the metadata service is asked without it
	local $ENV{http_proxy} = 'http://127.0.0.1:1';
	local $ENV{no_proxy} = '127.0.0.1,s3.localhost';
	local $ENV{AWS_EC2_METADATA_SERVICE_ENDPOINT} = $metadata =~ s/127\.0\.0\.1/localhost/r;
	local $ENV{AWS_ENDPOINT_URL_STS} = $metadata;
	local $ENV{AWS_WEB_IDENTITY_TOKEN_FILE} = "$home/token";
	local $ENV{AWS_ROLE_ARN} = 'arn:aws:iam::1:role/test';
	$node = start_node('s3', conf => [ 'log_statement = none' ]);
}
my $session = connect_to($node);
my $proxy = FmTest::S3->proxy;
my $prefix = FmTest::S3::new_prefix();

sub requests
{
	return scalar grep { !/^late/ } $proxy->log;
}

# a table, and what reading it costs
$proxy->make_server($session, 's', $prefix);
is($session->value("SELECT count(*) FROM fusio_manifest_check_server('s') WHERE NOT ok"),
	0, 'the service does what commits rely on');
$session->run("CREATE FOREIGN TABLE t (k int NOT NULL, v text) SERVER s OPTIONS (key 'k')");
is($session->sqlstate('SELECT * FROM t'), '42P01', 'a store that is not there yet');
$session->run("INSERT INTO t SELECT g, md5(g::text) FROM generate_series(1, 100000) g");
$session->run('SELECT fusio_manifest_cache_reset()');

# plans know the new table, and what of it is cached
sub join_of
{
	my $rows = shift;

	return $session->value('EXPLAIN (FORMAT json) SELECT count(v) '
		  . "FROM generate_series(1, $rows) g JOIN t ON k = g * 9") =~
	  /"(Nested Loop|Hash Join|Merge Join)"/ ? $1 : 'none';
}
like($session->value('EXPLAIN (FORMAT json) SELECT * FROM t'),
	qr/"Plan Rows": 100000\b/, 'the size of a table that was just loaded');
is(join_of(2), 'Nested Loop', 'two look-ups rather than a scan');
isnt(join_of(5000), 'Nested Loop',
	'a scan rather than the round trips of many look-ups');
$session->value('SELECT count(v) FROM t');
is(join_of(5000), 'Nested Loop', 'many look-ups in the cache');
$session->run('SELECT fusio_manifest_cache_reset()');
$proxy->plan;
is($session->value('SELECT v FROM t WHERE k = 77'),
	$session->value('SELECT md5(77::text)'), 'a row');
is((grep { m{^GET \S+/runs/} } $proxy->log), 2, 'a cold hit: two requests');
$proxy->plan;
$session->value('SELECT v FROM t WHERE k = 99977');
is((grep { m{^GET \S+/runs/} } $proxy->log), 1, 'with the index cached: one');
$proxy->plan;
$session->value("SELECT count(v) FROM t WHERE k = ANY(ARRAY(SELECT 1000 * g FROM generate_series(1, 99) g))");
cmp_ok((grep { m{^GET \S+/runs/} } $proxy->log), '<=', 99, 'many keys');
$proxy->delay(0.2);
my $start = Time::HiRes::time();
$session->run('SELECT fusio_manifest_cache_reset()');
$session->value("SELECT count(v) FROM t WHERE k = ANY(ARRAY(SELECT 1000 * g + 1 FROM generate_series(1, 30) g))");
cmp_ok(Time::HiRes::time() - $start, '<', 1.6,
	'many keys side by side: a few round trips');
$proxy->delay(0);
$proxy->plan;
$session->run('SELECT fusio_manifest_cache_reset()');
is($session->value('SELECT count(v) FROM t'), 100000, 'a scan');
cmp_ok(requests(), '<', 20, 'a scan reads ahead');
$proxy->plan;
is($session->sqlstate('INSERT INTO t VALUES (77, NULL)'), '23505', 'a duplicate');
is($session->value('SELECT count(*) FROM t'), 100000, 'no harm done');
like($session->value('EXPLAIN (ANALYZE, VERBOSE, FORMAT json) SELECT * FROM t WHERE k = 1'),
	qr/"Request Price"/, 'EXPLAIN shows what requests cost');

# what is read ahead, either way, is every byte in its place
$session->run($_) for ("CREATE FOREIGN TABLE mixed (k int NOT NULL, v bytea) SERVER s OPTIONS (key 'k')",
	'CREATE FUNCTION mix(n int) RETURNS bytea LANGUAGE sql IMMUTABLE AS '
	  . '$$ SELECT CASE WHEN n % 997 = 0 THEN (SELECT string_agg(sha256(int4send(n * 9000 + g)), \'\') FROM generate_series(1, 9000) g) '
	  . 'ELSE sha512(int4send(n)) || sha512(int4send(-n)) END $$',
	'INSERT INTO mixed SELECT g, mix(g) FROM generate_series(1, 20000) g',
	'INSERT INTO mixed SELECT g, mix(g) FROM generate_series(20001, 40000) g WHERE g % 3 > 0',
	'INSERT INTO mixed SELECT g, mix(g) FROM generate_series(20001, 40000) g WHERE g % 3 = 0');
for my $direction ('', ' DESC')
{
	for my $requests (1, 128)
	{
		$session->run("ALTER SERVER s OPTIONS (ADD max_requests '$requests')");
		$session->run('SELECT fusio_manifest_cache_reset()');
		$proxy->plan;
		is($session->value("SELECT count(*) FROM (SELECT k, v, row_number() OVER () AS n FROM "
			  . "(SELECT * FROM mixed ORDER BY k$direction) x) y WHERE v = mix(k) AND k = "
			  . ($direction eq '' ? 'n' : '40001 - n')),
			40000, "a long scan$direction, $requests in flight");
		cmp_ok(requests(), '<', 60, 'in large pieces');
		$session->run('ALTER SERVER s OPTIONS (DROP max_requests)');
	}
}

# A scan that will be read to its end asks for all at once, for the next run
# too; one that may end soon does not.  Large loads go to one level.
$session->run($_) for ("CREATE FOREIGN TABLE two (k int NOT NULL, v bytea) SERVER s OPTIONS (key 'k')",
	'CREATE FUNCTION noise4(n int) RETURNS bytea LANGUAGE sql IMMUTABLE AS '
	  . '$$ SELECT sha512(int4send(n)) || sha512(int4send(-n)) || sha512(int8send(n)) || sha512(int8send(-n)) $$',
	'INSERT INTO two SELECT g, noise4(g) FROM generate_series(1, 70000) g',
	'INSERT INTO two SELECT g, noise4(g) FROM generate_series(70001, 140000) g');
is($session->value("SELECT count(*) FROM fusio_manifest_runs('two') WHERE level > 0 GROUP BY level"),
	2, 'two runs of one level');

sub runs_asked
{
	my %seen = map { m{(\w+)\.run} ? ($1 => 1) : () } $proxy->log;

	return scalar keys %seen;
}
for my $direction ('', ' DESC')
{
	for my $case ([ '', 2 ], [ ' LIMIT 3', 1 ])
	{
		my ($limit, $runs) = @$case;

		$session->run('SELECT fusio_manifest_cache_reset()');
		$proxy->plan('1+ stall ^GET \\S+/runs/');
		$session->send("SELECT v FROM two ORDER BY k$direction$limit");
		ok(wait_for(sub { runs_asked() == $runs }), "runs that are asked for, none has answered: $runs");
		Time::HiRes::sleep(0.2);
		is(runs_asked(), $runs, 'and no more');
		$session->cancel;
		is($session->result->{sqlstate}, '57014', 'it can be canceled');
		$proxy->plan;
		is($session->value("SELECT count(*) FROM (SELECT v FROM two ORDER BY k$direction$limit) x"),
			$limit eq '' ? 140_000 : 3, 'and is right afterwards');
	}
}

# larger than one PUT may be
$session->run("CREATE FOREIGN TABLE wide (k int NOT NULL, v bytea) SERVER s "
	  . "OPTIONS (key 'k', compression 'none')");
$session->run("CREATE FUNCTION noise(n int) RETURNS bytea LANGUAGE sql AS "
	  . "\$\$ SELECT string_agg(sha256(int4send(n * 40000 + g)), '') FROM generate_series(1, 40000) g \$\$");
$proxy->plan;
$session->run('INSERT INTO wide SELECT g, noise(g) FROM generate_series(1, 80) g');
cmp_ok((grep { /partNumber=/ } $proxy->log), '>', 3, 'parts');
is($session->value('SELECT count(*) FROM wide WHERE v = noise(k) AND k % 20 = 0'),
	4, 'what was uploaded in parts is right');
$proxy->plan('3 status:403:AccessDenied partNumber=');
is($session->sqlstate('UPDATE wide SET v = v'), '42501', 'a part is refused');
is((grep { /^DELETE .*uploadId=.* 204$/ } $proxy->log), 1,
	'the upload is aborted');
$proxy->plan('1 lose uploadId=[^ ]*$');
$session->run('UPDATE wide SET v = v');
$proxy->plan;

# compaction
$session->run('UPDATE t SET v = NULL WHERE k <= 10');
$session->run("SELECT fusio_manifest_compact('t', true)");
is($session->value('SELECT count(*) FROM t WHERE v IS NULL'), 10, 'compacted');

# virtual hosts
(my $virtual = $ENV{S3_VIRTUAL_ENDPOINT}) =~ s/127\.0\.0\.1/s3.localhost/;
$session->run("CREATE SERVER v FOREIGN DATA WRAPPER fusio_manifest OPTIONS "
	  . "(location 's3://$ENV{S3_BUCKET}/$prefix', endpoint '$virtual', addressing 'virtual')");
$session->run("CREATE USER MAPPING FOR PUBLIC SERVER v OPTIONS "
	  . "(access_key_id '$ENV{S3_KEY}', secret_access_key '$ENV{S3_SECRET}')");
$session->run("CREATE FOREIGN TABLE tv (k int NOT NULL, v text) SERVER v OPTIONS (key 'k', table_name 't')");
is($session->value('SELECT count(*) FROM tv'), 100000, 'virtual host');

# credentials
for my $source ('environment', 'profile', 'instance', 'web_identity')
{
	$session->run("CREATE SERVER $source FOREIGN DATA WRAPPER fusio_manifest OPTIONS "
		  . "(location 's3://$ENV{S3_BUCKET}/$prefix', endpoint '$ENV{S3_ENDPOINT}')");
	$session->run("CREATE USER MAPPING FOR PUBLIC SERVER $source OPTIONS (credentials '$source')");
	$session->run("CREATE FOREIGN TABLE t_$source (k int NOT NULL, v text) "
		  . "SERVER $source OPTIONS (key 'k', table_name 't')");
	if ($source eq 'web_identity')
	{
		# the made-up session token is empty, and so is not sent
		like($session->value("SELECT source FROM fusio_manifest_whoami('$source')"),
			qr/web identity/, "$source: source");
		spew("$home/token", "a refused token\n");
		my $refused = connect_to($node)->query("SELECT source FROM fusio_manifest_whoami('$source')");
		is($refused->{sqlstate}, '28000', "$source: a token that is refused");
		unlike($session->describe($refused), qr/refused/, 'and is not shown');
		next;
	}
	is($session->value("SELECT count(*) FROM t_$source WHERE k = 5"), 1, $source);
	like($session->value("SELECT source || coalesce(expires::text, '') FROM fusio_manifest_whoami('$source')"),
		qr/^(environment$|profile "test"$|instance role "role"2099)/, "$source: source");
}

# a service for credentials that accepts, and never answers
my ($port) = $metadata =~ /:(\d+)$/;
my $result;
for my $source ('instance', 'web_identity')
{
	spew("$home/mode", 'stall');
	my ($patient, $hasty, $cancelled) = map { connect_to($node) } 1 .. 3;
	my $sql = "SELECT source FROM fusio_manifest_whoami('$source')";

	$start = Time::HiRes::time();
	$_->send($sql) for $patient, $cancelled;
	is($hasty->sqlstate("SET statement_timeout = '300ms'; $sql"), '57014',
		"$source: statement_timeout");
	$cancelled->cancel;
	is($cancelled->result->{sqlstate}, '57014', "$source: cancel");
	cmp_ok(Time::HiRes::time() - $start, '<', 5, "$source: at once");
	$result = $patient->result;
	is($result->{sqlstate}, '08006', "$source: no answer");
	like($result->{message} . $result->{detail}, qr/credentials.*No answer from \S+:$port\b/s,
		"$source: clearly");
	cmp_ok(Time::HiRes::time() - $start, '<', 15, "$source: in time");
	spew("$home/mode", '');
	spew("$home/token", "a web token\n");
	is($patient->sqlstate($sql), '00000', "$source: and when it answers");
}
for my $how ('commit_timeout', 'cancel')
{
	spew("$home/mode", 'past');
	my $late = connect_to($node);

	$late->run("SET fusio_manifest.commit_timeout = '1s'") if $how eq 'commit_timeout';
	$late->run('BEGIN; INSERT INTO t_instance VALUES (-7, NULL)');
	spew("$home/mode", 'stall');
	$start = Time::HiRes::time();
	$late->send('COMMIT');
	if ($how eq 'cancel')
	{
		ok(!$late->is_ready(0.5), 'COMMIT waits for credentials');
		$late->cancel;
	}
	$result = $late->result;
	is($result->{sqlstate}, '57014', "$how while COMMIT waits for credentials");
	like($result->{detail}, qr/hands out the credentials/, 'and says so')
	  if $how eq 'commit_timeout';
	cmp_ok(Time::HiRes::time() - $start, '<', 6, 'in time');
	spew("$home/mode", '');
	is($session->value('SELECT count(*) FROM t WHERE k = -7'), 0, 'it is not committed');
}

# keys that are valid yet serve on while no others are to be had
{
	spew("$home/mode", 'soon');
	my $lasting = connect_to($node);

	is($lasting->value('SELECT count(*) FROM t_instance WHERE k = 5'), 1,
		'keys that expire soon serve on while no others are to be had');
	$start = Time::HiRes::time();
	is($lasting->value('SELECT count(*) FROM t_instance WHERE k = 6'), 1,
		'and they are not asked for all the time');
	cmp_ok(Time::HiRes::time() - $start, '<', 5, 'so that nobody waits');
	spew("$home/mode", '');
	like(slurp($node->logfile), qr/LOG:  could not obtain credentials.*\n.*No answer from/,
		'the log has the reason');
}

# who may use what
$session->run('CREATE ROLE app LOGIN; CREATE ROLE other LOGIN');
$session->run('GRANT SELECT ON ALL TABLES IN SCHEMA public TO app, other');
$session->run('GRANT USAGE ON FOREIGN SERVER environment, s TO app');
my $app = connect_to($node, user => 'app');
is($app->value('SELECT count(*) FROM t WHERE k = 5'), 1, 'a mapping for everyone');
is($app->sqlstate('SELECT * FROM t_environment WHERE k = 5'), '42501',
	'sources other than the mapping are for superusers');
is($app->sqlstate("CREATE USER MAPPING FOR app SERVER s OPTIONS (credentials 'instance')"),
	'42501', 'and are not set by others');
$session->run('DROP USER MAPPING FOR PUBLIC SERVER v');
is($session->sqlstate('SELECT * FROM tv WHERE k = 5'), '42704',
	'no mapping: nothing, though blocks are cached');
$session->run("CREATE USER MAPPING FOR PUBLIC SERVER v OPTIONS "
	  . "(access_key_id '$ENV{S3_KEY}', secret_access_key 'wrong')");
$result = $session->query('SELECT * FROM tv WHERE k = 5');
is($result->{sqlstate}, '28000', 'a wrong secret: nothing');
unlike($session->describe($result), qr/wrong(?!\w)|$ENV{S3_SECRET}/,
	'errors hold no secret');
$session->run('DROP USER MAPPING FOR PUBLIC SERVER v');
$session->run("CREATE USER MAPPING FOR app SERVER v OPTIONS "
	  . "(access_key_id '$ENV{S3_KEY}', secret_access_key '$ENV{S3_SECRET}')");
$session->run('CREATE VIEW of_app AS SELECT * FROM tv; ALTER VIEW of_app OWNER TO app');
is($session->value('SELECT count(*) FROM of_app WHERE k = 5'), 1,
	'a view reads with the mapping of its owner');
is($session->sqlstate("ALTER SERVER s OPTIONS (ADD access_key_id 'x')"), 'HV00D',
	'credentials are no options of a server');
is($session->sqlstate("CREATE USER MAPPING FOR other SERVER s OPTIONS (access_key_id 'x')"),
	'HV00J', 'half a pair');
is($session->sqlstate("CREATE USER MAPPING FOR other SERVER s OPTIONS (access_key_id 'x', secret_access_key E'a\\nb')"),
	'22023', 'a key with a line break');

# addresses that do not work
sub address
{
	my ($options, $state, $name, $patience) = @_;

	$patience //= '300ms';
	$session->run("CREATE SERVER bad FOREIGN DATA WRAPPER fusio_manifest OPTIONS "
		  . "(location 's3://$ENV{S3_BUCKET}/x', retry_timeout '$patience', $options)");
	$session->run("CREATE USER MAPPING FOR PUBLIC SERVER bad OPTIONS "
		  . "(access_key_id '$ENV{S3_KEY}', secret_access_key '$ENV{S3_SECRET}')");
	$session->run("CREATE FOREIGN TABLE b (k int NOT NULL) SERVER bad OPTIONS (key 'k')");
	my $result = $session->query('SELECT * FROM b');
	is($result->{sqlstate}, $state, $name);
	$session->run('DROP SERVER bad CASCADE');
	return;
}
address("endpoint 'http://127.0.0.1:1'", '08006', 'nobody listens');
address("endpoint 'http://no.such.host.invalid'", '08006', 'no such host');
(my $secure = $ENV{S3_ENDPOINT}) =~ s/^http:/https:/;
address("endpoint '$secure'", '08006', 'no TLS there');
$session->run("CREATE SERVER nb FOREIGN DATA WRAPPER fusio_manifest OPTIONS "
	  . "(location 's3://no-such-bucket/x', endpoint '$ENV{S3_ENDPOINT}')");
$session->run("CREATE USER MAPPING FOR PUBLIC SERVER nb OPTIONS "
	  . "(access_key_id '$ENV{S3_KEY}', secret_access_key '$ENV{S3_SECRET}')");
$session->run("CREATE FOREIGN TABLE nb (k int NOT NULL) SERVER nb OPTIONS (key 'k')");
is($session->sqlstate('INSERT INTO nb VALUES (1)'), '42704', 'no such bucket');

# TLS is verified
my $openssl = `openssl version 2>/dev/null`;
SKIP:
{
	skip 'no openssl', 4 unless $openssl;
	system("cd '$home' && openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem "
		  . "-out cert.pem -days 2 -subj /CN=localhost "
		  . "-addext subjectAltName=DNS:localhost >/dev/null 2>&1 && "
		  . "openssl req -x509 -newkey rsa:2048 -nodes -keyout other_key.pem "
		  . "-out other.pem -days 2 -subj /CN=localhost >/dev/null 2>&1") == 0
	  or skip 'no certificate', 4;
	my $probe = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1);
	my $port = $probe->sockport;
	close $probe;
	my $tls = spawn(sub {
		open STDOUT, '>', '/dev/null';
		exec 'openssl', 's_server', '-quiet', '-www', '-accept', $port,
		  '-cert', "$home/cert.pem", '-key', "$home/key.pem";
	});
	wait_for(sub { IO::Socket::INET->new("127.0.0.1:$port") });
	$session->run("SET statement_timeout = '60s'");
	address("endpoint 'https://localhost:$port'", '08006',
		'a certificate that nobody knows: no second try', '1h');
	address("endpoint 'https://localhost:$port', ca_file '$home/other.pem'",
		'08006', 'a certificate of others', '1h');
	address("endpoint 'https://127.0.0.1:$port', ca_file '$home/cert.pem'",
		'08006', 'a certificate of another host', '1h');
	$session->run('RESET statement_timeout');
	address("endpoint 'https://localhost:$port', ca_file '$home/cert.pem'",
		'XX001', 'ca_file: it is trusted, though it is no store');
	kill 'TERM', $tls;
}

# what is read only
$session->run("ALTER SERVER s OPTIONS (ADD read_only 'on')");
is($session->sqlstate("INSERT INTO t VALUES (-1, '')"), '25006', 'read_only');

my $log = slurp($node->logfile);
unlike($log, qr/$ENV{S3_SECRET}/, 'the log holds no secret');
kill 'TERM', $handing_out;
$node->stop;
done_testing();
