# A hot standby reads what its primary publishes, from the same store, and
# writes nothing; promoted, it is a writer as any other.
use strict;
use warnings;

use FmTest::Cluster;
use PostgreSQL::Test::Cluster;
use Test::More;

my $primary = start_node('primary',
	conf => [ 'wal_level = replica', 'max_wal_senders = 4' ]);
my $session = connect_to($primary);
my $directory = new_directory();

$primary->append_conf('pg_hba.conf', 'local replication all trust');
$primary->reload;
make_table($session, $directory);
$session->run('INSERT INTO t SELECT g, g FROM generate_series(1, 1000) g');
$primary->backup('base');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
my $reader = connect_to($standby);

is($reader->value('SELECT pg_is_in_recovery()'), 't', 'it is a standby');
is($reader->value('SELECT sum(v) FROM t'), 500500, 'it reads the store');
$session->run('UPDATE t SET v = 0 WHERE k > 999');
is($reader->value('SELECT sum(v) FROM t'), 499500,
	'and what is published later');
is($reader->value('SELECT v FROM t WHERE k = 7'), 7, 'by key too');
$reader->run('BEGIN ISOLATION LEVEL REPEATABLE READ');
is($reader->value('SELECT count(*) FROM t'), 1000, 'under REPEATABLE READ');
$session->run('DELETE FROM t WHERE k > 500');
is($reader->value('SELECT count(*) FROM t'), 1000, 'it keeps its version');
$reader->run('COMMIT');
$reader->run('SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0');
is($reader->value('SELECT count(*) FROM t'), 500, 'with workers');
$reader->run('BEGIN');
$reader->run('DECLARE c SCROLL CURSOR FOR SELECT k FROM t ORDER BY k');
is($reader->value('FETCH LAST FROM c'), 500, 'through a cursor');
$reader->run('COMMIT');

for my $statement (
	'INSERT INTO t VALUES (0, 0)',
	'UPDATE t SET v = 1 WHERE k = 1',
	'UPDATE t SET v = 1',
	'DELETE FROM t WHERE k = 1',
	'TRUNCATE t',
	'COPY t FROM STDIN',
	'SELECT * FROM t WHERE k = 1 FOR UPDATE',
	"SELECT fusio_manifest_compact('t')",
	"SELECT fusio_manifest_create_table('t')")
{
	is($reader->sqlstate($statement), '25006', "refused: $statement");
}
is($reader->value('SELECT sum(v) FROM t'), 125250, 'nothing was written');

$standby->promote;
$reader->run('UPDATE t SET v = v + 1 WHERE k = 1');
is($session->value('SELECT v FROM t WHERE k = 1'), 2,
	'promoted, it writes, and the old primary reads it');
$session->run('UPDATE t SET v = v + 1 WHERE k = 1');
is($reader->value('SELECT v FROM t WHERE k = 1'), 3, 'and the other way round');

$standby->stop;
$primary->stop;
done_testing();
