# Whose user mapping is used, and what a user who has lost something still gets.
use strict;
use warnings;

use FmTest::Cluster;
use FmTest::S3;
use Test::More;

plan skip_all => 'no S3 service' unless FmTest::S3::is_there();

my $node;
{
	local $ENV{AWS_ACCESS_KEY_ID} = $ENV{S3_KEY};
	local $ENV{AWS_SECRET_ACCESS_KEY} = $ENV{S3_SECRET};
	$node = start_node('users');
}
my $session = connect_to($node);
my $prefix = FmTest::S3::new_prefix();

# a table of app's, who has the only mapping
FmTest::S3->make_server($session, 's', $prefix);
$session->run('DROP USER MAPPING FOR PUBLIC SERVER s');
$session->run("CREATE ROLE $_ LOGIN") for 'app', 'other';
$session->run('CREATE SCHEMA app AUTHORIZATION app; GRANT USAGE ON FOREIGN SERVER s TO app');
$session->run("CREATE USER MAPPING FOR app SERVER s OPTIONS "
	  . "(access_key_id '$ENV{S3_KEY}', secret_access_key '$ENV{S3_SECRET}')");
my $app = connect_to($node, user => 'app');
$app->run($_) for ("CREATE FOREIGN TABLE app.t (k int NOT NULL, v text) SERVER s OPTIONS (key 'k')",
	"INSERT INTO app.t SELECT g, 'x' FROM generate_series(1, 1000) g",
	'CREATE VIEW app.v AS SELECT * FROM app.t',
	'GRANT USAGE ON SCHEMA app TO other', 'GRANT ALL ON app.t, app.v TO other');

is($session->sqlstate('SELECT * FROM app.t'), '42704', 'a superuser has no mapping');
is($session->sqlstate('ANALYZE app.t'), '00000', 'ANALYZE reads with the mapping of the owner');
is($session->value("SELECT reltuples FROM pg_class WHERE oid = 'app.t'::regclass"),
	1000, 'and counts');
my $other = connect_to($node, user => 'other');
is($other->sqlstate($_), '42704', "no mapping: $_")
  for ('SELECT * FROM app.t', "INSERT INTO app.t VALUES (-1, 'x')", 'EXPLAIN SELECT * FROM app.t',
	"SELECT * FROM fusio_manifest_runs('app.t')", 'TRUNCATE app.t');
is($other->sqlstate("INSERT INTO app.v VALUES (-1, 'x')"), '00000', 'a view writes for its owner');
is($other->sqlstate('UPDATE app.v SET v = NULL WHERE k = -1'), '00000', 'and changes');
is($other->sqlstate('DELETE FROM app.v WHERE k = -1'), '00000', 'and deletes');
is($other->value('SELECT count(*) FROM app.v'), 1000, 'and reads');

# the server's credentials go with the rights of a superuser
FmTest::S3->make_server($session, 'e', $prefix);
$session->run('DROP USER MAPPING FOR PUBLIC SERVER e');
$session->run("CREATE USER MAPPING FOR PUBLIC SERVER e OPTIONS (credentials 'environment')");
$session->run("CREATE FOREIGN TABLE e (k int NOT NULL, v text) SERVER e OPTIONS (key 'k', table_name 'app.t')");
$session->run('GRANT SELECT ON e TO PUBLIC; GRANT USAGE ON FOREIGN SERVER e TO PUBLIC');
$session->run('CREATE ROLE chief SUPERUSER LOGIN');
my $chief = connect_to($node, user => 'chief');
is($chief->value('SELECT count(*) FROM e'), 1000, 'a superuser');
$session->run('ALTER ROLE chief NOSUPERUSER');
is($chief->sqlstate($_), '42501', "is one no more: $_")
  for ('SELECT * FROM e', "SELECT * FROM fusio_manifest_whoami('e')");
$node->stop;
done_testing();
