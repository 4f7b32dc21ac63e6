# Answers of a service, or of what stands before it, that nobody expects:
# each is an error that says so, or harmless; none ends a backend, or makes
# or replaces a HEAD.
use strict;
use warnings;

use FmTest::Cluster;
use FmTest::S3;
use Test::More;

plan skip_all => 'no S3 service' unless FmTest::S3::is_there();

my $proxy = FmTest::S3->proxy;
my $node = start_node('answers');
my $session = connect_to($node);
my $number = 0;

# A server for a prefix that nobody has asked for by it, and a table.
sub new_server
{
	my ($prefix) = @_;
	my $name = 's' . ++$number;

	$proxy->plan;
	$proxy->make_server($session, $name, $prefix, retry_timeout => '2s',
		region => "region-$number");
	$session->run("CREATE FOREIGN TABLE t$number (k int NOT NULL, v text) "
		  . "SERVER $name OPTIONS (key 'k', table_name 't')");
	return "t$number";
}

sub xml_answer
{
	my ($body, $status) = @_;

	return 'HTTP/1.1 ' . ($status // '200 OK') . "\r\nContent-Length: "
	  . length($body) . "\r\nConnection: close\r\n\r\n$body";
}

my $prefix = FmTest::S3::new_prefix();
my $t = new_server($prefix);
$session->run("INSERT INTO $t SELECT g, g::text FROM generate_series(1, 1000) g");

# HEAD is "unchanged" for who has none
$t = new_server($prefix);
$proxy->set_raw('unchanged', "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n");
$proxy->plan('1 raw:unchanged ^GET .*/HEAD');
my $result = $session->query("SELECT count(*) FROM $t");
is($result->{sqlstate}, 'HV000', '304 to a question without a condition');
like($result->{message}, qr/answered 304/, 'is named');
is($session->value("SELECT count(*) FROM $t"), 1000, 'and does no harm');

# ETags that no swap can name
for my $etag ('', 'W/"weak"', '"' . 'x' x 200 . '"')
{
	$t = new_server($prefix);
	$proxy->plan("1+ etag:$etag /HEAD");
	my $start = time;
	is($session->value("SELECT count(*) FROM $t"), 1000, "ETag <$etag>: it is read");
	$result = $session->query("INSERT INTO $t VALUES (-1, 'x')");
	is($result->{sqlstate}, '0A000', 'but not written');
	like($result->{detail}, qr/ETag/, 'because of its ETag');
	cmp_ok(time - $start, '<', 10, 'which is said at once');
}
$t = new_server($prefix);
$proxy->plan('1+ quoting /HEAD');
is($session->sqlstate("INSERT INTO $t VALUES (0, 'x')"), '00000',
	'ETags that are shown without quotes, and wanted with them');
$proxy->plan;
is($session->value("SELECT count(*) FROM $t"), 1001, 'it is there');

# a clock that is out of its mind
$t = new_server($prefix);
$proxy->plan('1+ date:Fri,_01_Jan_292277_00:00:00_GMT .');
is($session->sqlstate("INSERT INTO $t VALUES (1001, 'x')"), '00000', 'a Date that is none');
is($session->value("SELECT count(*) FROM jsonb_array_elements(fusio_manifest_head('s$number')->'log') r "
	  . "WHERE (r->>'time')::timestamptz > now() + interval '1 day'"),
	0, 'is not the time of a commit');

# what a service says is shown, but not as it comes
$t = new_server($prefix);
$proxy->set_raw('binary', xml_answer("<Error><Code>Odd\xFFCode</Code>"
		  . "<Message>a\n\x1B[2Jb\xC3(</Message></Error>", '400 Bad'));
$proxy->plan('1 raw:binary ^GET .*/HEAD');
$result = $session->query("SELECT count(*) FROM $t");
like($result->{message}, qr/answered 400 Odd\?Code/, 'a code that is no text');
like($result->{detail}, qr/^a\?\?\[2Jb\?\( /, 'a message that is none');
$proxy->plan('1 status:401:Unauthorized ^GET .*/HEAD');
is($session->sqlstate("SELECT count(*) FROM $t"), '28000', '401');

for my $code ('ExpiredToken', 'InvalidToken')
{
	$proxy->plan("1+ status:400:$code ^GET .*/HEAD");
	is($session->sqlstate("SELECT count(*) FROM $t"), '28000', $code);
}
$proxy->plan('1+ status:403:RequestTimeTooSkewed ^GET .*/HEAD');
like($session->query("SELECT count(*) FROM $t")->{hint}, qr/clock/, 'a clock that nothing helps');

# a range that is another one, three times
$session->run('SELECT fusio_manifest_cache_reset()');
$proxy->plan('1+ elsewhere ^GET .*/runs/');
$result = $session->query("SELECT count(v) FROM $t");
is($result->{sqlstate}, 'HV000', 'another range');
like($result->{detail}, qr/not the range/, 'is said to be one');

# runs: success by other names; another request for it is at work
for my $what ('after:201', 'after:204', 'status:409:ConditionalRequestConflict',
	'after:409:ConditionalRequestConflict')
{
	$proxy->plan("1 $what ^PUT .*/runs/");
	is($session->sqlstate("INSERT INTO $t VALUES (-1, 'x')"), '00000', "a run: $what");
	is($session->sqlstate("DELETE FROM $t WHERE k = -1"), '00000', 'once');
}

# a listing that does not say that there is nothing
my %listing = (
	page => '<html><body>Welcome!</body></html>',
	nothing => '',
	other => '<ListBucketResult><CommonPrefixes><Prefix>PREFIX/my.probe/</Prefix>'
	  . '</CommonPrefixes></ListBucketResult>',
	first => '<ListBucketResult><IsTruncated>true</IsTruncated>'
	  . '<NextContinuationToken>a+b</NextContinuationToken></ListBucketResult>',
	second => '<ListBucketResult><IsTruncated>false</IsTruncated>'
	  . '<Contents><Key>PREFIX/x</Key></Contents></ListBucketResult>',
	nowhere => '<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>',
	probes => '<ListBucketResult><CommonPrefixes><Prefix>PREFIX/.probe/</Prefix>'
	  . '</CommonPrefixes></ListBucketResult>');
for my $case (
	[ 'HV000', 'a page of something else', '1+ raw:page ^GET .*delimiter=' ],
	[ 'HV000', 'an answer without a body', '1+ raw:nothing ^GET .*delimiter=' ],
	[ 'XX001', 'a folder whose name ends alike', '1+ raw:other ^GET .*delimiter=' ],
	[ 'XX001', 'a second page', '1+ raw:first ^GET [^ ]*[?]delimiter=',
		'1+ raw:second ^GET .*continuation-token=a%2Bb&delimiter=' ],
	[ 'HV000', 'one that goes on nowhere', '1+ raw:nowhere ^GET .*delimiter=' ],
	[ '00000', 'what probes left', '1+ raw:probes ^GET .*delimiter=' ])
{
	my ($state, $name, @plan) = @$case;
	my $empty = FmTest::S3::new_prefix();

	$t = new_server($empty);
	$proxy->set_raw($_, xml_answer($listing{$_} =~ s/PREFIX/$empty/r))
	  for keys %listing;
	$proxy->plan(@plan);
	is($session->sqlstate("INSERT INTO $t VALUES (1, 'x')"), $state, "a listing: $name");
	is((grep { m{^PUT \S+/HEAD } } $proxy->log) > 0, $state eq '00000',
		'no HEAD is made but in an empty place');
}

# an upload in parts that is answered with success, and then an error
$t = new_server($prefix);
$proxy->set_raw('odd', xml_answer('<Error xmlns="x"><Code>InternalError</Code></Error>'));
$proxy->plan('1 raw:odd ^POST .*[?]uploadId=');
$session->run("SET fusio_manifest.write_buffer = '256MB'");
is($session->sqlstate("INSERT INTO $t SELECT -g, (SELECT string_agg(sha256(int4send(g * 20000 + i))::text, '') "
	  . 'FROM generate_series(1, 20000) i) FROM generate_series(1, 110) g'),
	'HV000', 'an error in the body of a success');
ok($proxy->has_acted, 'of an upload in parts');
$session->run('RESET fusio_manifest.write_buffer');

# a "/" at the end of a location makes no other place of it
$t = new_server("$prefix/");
$session->run("ALTER SERVER s$number OPTIONS (ADD max_staleness '1h')");
is($session->value("SELECT count(*) FROM $t"), 1002, 'a location with a "/" at its end');
$session->run('INSERT INTO t1 VALUES (-1, NULL)');
is($session->value("SELECT count(*) FROM $t"), 1003, 'sees commits of this cluster at once');
$session->run('DELETE FROM t1 WHERE k = -1');

# a service that has come to ignore conditions is only read, once that is known
$t = new_server($prefix);
$proxy->plan('1+ blind ^PUT .*/[.]probe/');
cmp_ok($session->value("SELECT count(*) FROM fusio_manifest_check_server('s$number') WHERE NOT ok"),
	'>', 0, 'conditions are ignored');
$proxy->plan;
is(connect_to($node)->sqlstate("INSERT INTO $t VALUES (-1, 'x')"), '0A000', 'it is not written');
is($session->sqlstate("SELECT fusio_manifest_compact('$t')"), '0A000', 'nor compacted');
is($session->value("SELECT count(*) FROM $t"), 1002, 'but read');
is($session->value("SELECT count(*) FROM fusio_manifest_check_server('s$number') WHERE NOT ok"),
	0, 'it works again');
is($session->sqlstate("INSERT INTO $t VALUES (-1, 'x')"), '00000', 'and is written');
$session->run("DELETE FROM $t WHERE k = -1");

# Probes can be cancelled while a PUT of theirs is not answered, whether they
# are asked for or come before a store is made.
for my $statement ('SELECT * FROM fusio_manifest_check_server(\'%s\')', 'INSERT INTO %s VALUES (1, NULL)')
{
	my $other = connect_to($node);

	$t = new_server(FmTest::S3::new_prefix());
	$session->run("ALTER SERVER s$number OPTIONS (ADD request_timeout '1h')");
	$proxy->plan('1+ stall ^PUT .*/[.]probe/');
	$other->send(sprintf($statement, $statement =~ /^SELECT/ ? "s$number" : $t));
	wait_for(sub { $proxy->has_acted });
	$other->cancel;
	ok($other->is_ready(60), "probes end: $statement")
	  or BAIL_OUT('a session hangs');
	is($other->result->{sqlstate}, '57014', 'by the cancel');
	$proxy->plan;
}

# endpoints without a host, which the bucket's name would be taken for, or with
# no port that can be
is($session->sqlstate("CREATE SERVER nowhere FOREIGN DATA WRAPPER fusio_manifest OPTIONS "
	  . "(location 's3://bucket/x', endpoint '$_')"), '22023', "endpoint $_")
  for 'http://:80', 'http://h:', 'http://h:0', 'http://h:99999', 'http://h:8:x';

is($session->value('SELECT count(*) FROM t1'), 1002, 'all rows are there');
$node->stop;

# A resolver that takes its time, in libcurl's thread.
SKIP:
{
	my $dir = PostgreSQL::Test::Utils::tempdir;

	spew("$dir/slow.c", <<'END');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <time.h>
int
getaddrinfo(const char *name, const char *service,
			const struct addrinfo *hints, struct addrinfo **result)
{
	int (*next)(const char *, const char *, const struct addrinfo *,
				struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");
	struct timespec time = {12, 0};

	if (name == NULL || strcmp(name, "slow.invalid") != 0)
		return next(name, service, hints, result);
	nanosleep(&time, NULL);
	return EAI_AGAIN;
}
END
	skip 'no compiler', 4
	  if system("cc -shared -fPIC -o '$dir/slow.so' '$dir/slow.c' -ldl") != 0;
	{
		local $ENV{LD_PRELOAD} = "$dir/slow.so";
		$node = start_node('resolver');
	}
	$session = connect_to($node);
	$session->run("CREATE SERVER s FOREIGN DATA WRAPPER fusio_manifest OPTIONS "
		  . "(location 's3://bucket/x', endpoint 'http://slow.invalid', connect_timeout '1s', retry_timeout '0')");
	$session->run("CREATE USER MAPPING FOR PUBLIC SERVER s OPTIONS (access_key_id 'x', secret_access_key 'x')");
	$session->run("CREATE FOREIGN TABLE t (k int NOT NULL) SERVER s OPTIONS (key 'k')");
	for my $case ([ '0', '08006' ], [ '500ms', '57014' ])
	{
		my $start = time;

		$session->run("SET statement_timeout = '$case->[0]'");
		is($session->sqlstate('SELECT * FROM t'), $case->[1],
			'a name that is not resolved');
		cmp_ok(time - $start, '<', 6, 'is given up in time');
	}
	$node->stop;
}
done_testing();
