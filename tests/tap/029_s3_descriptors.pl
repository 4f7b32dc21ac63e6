# Connections are descriptors, of which a process has only so many.
use strict;
use warnings;

use FmTest::Cluster;
use FmTest::S3;
use Test::More;

plan skip_all => 'no S3 service' unless FmTest::S3::is_there();
plan skip_all => 'no /proc' unless -d '/proc/self/fd';

# PostgreSQL takes 54 of these.
my $node = start_node('few', conf => [ 'max_files_per_process = 64' ]);
my $session = connect_to($node);

sub sockets
{
	return scalar grep { (readlink $_ // '') =~ /^socket/ } glob '/proc/' . $session->pid . '/fd/*';
}

for my $n (1, 2)
{
	FmTest::S3->make_server($session, "s$n", FmTest::S3::new_prefix(), coalesce => 0);
	$session->run("CREATE FOREIGN TABLE t$n (k int NOT NULL, v bytea) SERVER s$n OPTIONS (key 'k')");
	$session->run("INSERT INTO t$n SELECT g, (SELECT string_agg(sha256(int4send(g * 20 + i)), '') "
		  . 'FROM generate_series(1, 20) i) FROM generate_series(1, 10000) g');
}
$session->run('SELECT fusio_manifest_cache_reset()');
is($session->value('SELECT count(v) FROM t1 WHERE k = ANY(ARRAY(SELECT g * 40 FROM generate_series(1, 250) g))'),
	250, 'many requests at once');
cmp_ok(sockets(), '<', 20, 'over a few connections');
$session->run('SELECT fusio_manifest_cache_reset()');
is($session->value('SELECT count(v) FROM (SELECT * FROM t1 UNION ALL SELECT * FROM t2) x'),
	20000, 'two stores side by side');
$session->run('CREATE TEMP TABLE big AS SELECT g FROM generate_series(1, 200000) g');
is($session->value("SET work_mem = '64kB'; SELECT count(*) FROM (SELECT * FROM big x JOIN big y USING (g) ORDER BY g DESC) z"),
	200000, 'temporary files have their descriptors');
is($session->sqlstate("INSERT INTO t1 VALUES (0, 'x')"), '00000', 'and so has a commit');
$node->stop;
done_testing();
