# Databases with older versions of the extension: their tables work with the
# new library, and ALTER EXTENSION UPDATE makes of them what is installed new.
use strict;
use warnings;

use FmTest::Cluster;
use Test::More;

# What the extension holds, each object with definition, rights and comment.
my $objects = q{
	SELECT pg_describe_object(d.classid, d.objid, 0) || E'\n' ||
	  CASE d.classid
		WHEN 'pg_proc'::regclass THEN (
		  SELECT pg_get_functiondef(p.oid) || ' ' || coalesce(p.proacl::text, '-')
			|| ' ' || p.proowner::regrole || p.prorows || ' ' || p.procost
		  FROM pg_proc p WHERE p.oid = d.objid)
		WHEN 'pg_class'::regclass THEN (
		  SELECT c.relkind::text || pg_get_viewdef(c.oid) || ' '
			|| coalesce(c.relacl::text, '-') || c.relowner::regrole
		  FROM pg_class c WHERE c.oid = d.objid)
		WHEN 'pg_foreign_data_wrapper'::regclass THEN (
		  SELECT w.fdwhandler::regproc::text || w.fdwvalidator::regproc
			|| ' ' || coalesce(w.fdwacl::text, '-')
		  FROM pg_foreign_data_wrapper w WHERE w.oid = d.objid)
		ELSE 'of another kind'
	  END || E'\n' || coalesce(obj_description(d.objid, d.classid::regclass::name), '-')
	FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
	  AND e.extname = 'fusio_manifest'
	ORDER BY 1};

sub objects_of
{
	my ($session) = @_;

	return join "\n", map { $_->[0] } @{ $session->run($objects)->{rows} };
}

my $node = start_node('upgrade');
my $new = connect_to($node);
my $fresh = objects_of($new);
my @old = map { $_->[0] } @{ $new->run(
	q{SELECT version FROM pg_available_extension_versions
	  WHERE name = 'fusio_manifest' AND NOT installed ORDER BY 1})->{rows} };

is($new->value(q{SELECT extversion = default_version FROM pg_extension
	  JOIN pg_available_extensions ON name = extname WHERE name = 'fusio_manifest'}),
	't', 'the newest version is installed');
unlike($fresh, qr/of another kind/, 'all kinds of objects are compared');
ok(scalar(grep { $_ eq '0.1.0' } @old), 'the first version is among the old ones');

for my $version (@old)
{
	my $name = 'from_' . $version =~ tr/./_/r;

	$new->run("CREATE DATABASE $name");
	my $session = connect_to($node, dbname => $name);
	my $user = connect_to($node, dbname => $name);
	$session->run("CREATE EXTENSION fusio_manifest VERSION '$version'");
	make_table($session, new_directory());
	$session->run('INSERT INTO t SELECT g, g FROM generate_series(1, 1000) g');
	$session->run('PREPARE q AS SELECT v FROM t WHERE k = $1');
	$session->run('CREATE VIEW mine AS SELECT * FROM fusio_manifest_stat_tables');
	$user->run('BEGIN ISOLATION LEVEL REPEATABLE READ; INSERT INTO t VALUES (1001, 1)');
	is($session->value('EXECUTE q(500)'), 500, "$version: a table is read");
	is($session->value("SELECT fusio_manifest_compact('t', true)"), 1, "$version: and compacted");
	is($session->value("SELECT count(*) FROM fusio_manifest_runs('t')"), 1, "$version: and its runs are listed");

	$session->run('ALTER EXTENSION fusio_manifest UPDATE');
	is(objects_of($session), $fresh, "$version: updated, it is as if installed new");
	is($session->value('EXECUTE q(501)'), 501, "$version: prepared statements go on");
	$user->run('INSERT INTO t VALUES (1002, 2); COMMIT');
	is($session->value('SELECT count(*) FROM t'), 1002, "$version: so does a transaction");
	is($session->value(q{SELECT data_blocks_fetched + data_blocks_hit > 0 FROM mine WHERE relname = 't'}),
		't', "$version: and a view over the extension's");
}

$node->stop;
done_testing();
