# Many commits without compaction: records move to log pages, descriptors of
# runs and wide tables to pages of their own, and nothing is lost on the way.
use strict;
use warnings;

use FmTest::Cluster;
use Test::More;

my $node = start_node('many', conf => ['fsync = off']);
my $directory = new_directory();
my $session = connect_to($node);
my $old = connect_to($node);
my $older = connect_to($node);

make_table($session, $directory);
make_table($session, $directory, name => 'other');
$session->run('INSERT INTO t SELECT g, 0 FROM generate_series(1, 100) g');
$session->run('INSERT INTO other SELECT g, 0 FROM generate_series(1, 10) g');

sub head
{
	my ($path) = @_;

	return $session->value("SELECT fusio_manifest_head('s') $path");
}

sub commits
{
	my ($from, $to) = @_;

	for my $i ($from .. $to)
	{
		$session->run("UPDATE t SET v = $i WHERE k = 1 + $i % 90");
	}
	return;
}

# Two transactions that know an early version
for my $transaction ($old, $older)
{
	$transaction->run('BEGIN ISOLATION LEVEL REPEATABLE READ');
	$transaction->run('SELECT count(*) FROM t');
}
commits(1, 90);
cmp_ok(head("-> 'log_pages' -> 0 ->> 'last_version'"), '>=', 64,
	'records are in a log page');
is(head("-> 'tables' -> 1 ->> 'in_page'"), 'true',
	'a table with so many descriptors is in a page');
is($session->value("SELECT count(*) FROM fusio_manifest_runs('t')"), 91,
	'all runs are listed');
commits(91, 500);
is($session->value("SELECT count(*) FROM fusio_manifest_runs('t')"), 501,
	'of two level pages too');
is($session->value('SELECT sum(v) FROM t WHERE k <= 90'),
	90 * 500 - 89 * 90 / 2, 'the newest versions are read');
is($session->value('SELECT v FROM t WHERE k = 1 + 500 % 90'), 500,
	'by key too');
cmp_ok(-s "$directory/HEAD", '<', 65536, 'HEAD stays small');
is_deeply($session->run("SELECT version::bigint - lag(version::bigint) OVER (ORDER BY version::bigint)
	FROM jsonb_array_elements(fusio_manifest_head('s') -> 'log') r, LATERAL (SELECT r ->> 'version') v (version)
	ORDER BY version::bigint OFFSET 1 LIMIT 1")->{rows}, [ [1] ],
	'the log has no gap');

# The walk over pages: a key that nobody has touched, and one that was
$old->run('UPDATE t SET v = -1 WHERE k = 95');
is($old->sqlstate('COMMIT'), '00000', 'another key: rebased over 500 commits');
$older->run('UPDATE t SET v = -1 WHERE k = 7');
is($older->sqlstate('COMMIT'), '40001', 'a key of an early commit: a conflict');
is($session->value('SELECT v FROM t WHERE k = 95'), -1, 'what was rebased');

# A restart, and a session that reads all pages anew
$node->restart;
$session = connect_to($node);
is($session->value('SELECT sum(v) FROM t WHERE k <= 90'),
	90 * 500 - 89 * 90 / 2, 'after a restart');
is($session->value("SELECT fusio_manifest_compact('t', true)"), 502,
	'all runs are merged');
is($session->value('SELECT sum(v) FROM t WHERE k <= 90'),
	90 * 500 - 89 * 90 / 2, 'after compaction');
is(head("-> 'tables' -> 1 -> 'levels' -> 0 ->> 'pages'"), 0, 'no page is left');
is($session->value('SELECT count(*) FROM other'), 10, 'other tables stay');

# A missing or damaged log page is only met by those who need it.
my $late = connect_to($node);
$late->run('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t');
$session->run("UPDATE other SET v = $_ WHERE k = 1") for 1 .. 130;
my @pages = glob("$directory/pages/*/*.page");
cmp_ok(scalar @pages, '>', 3, 'there are pages');
my %bytes = map { $_ => slurp($_) } @pages;
spew($_, 'x' x length $bytes{$_}) for @pages;
$late->run('INSERT INTO t VALUES (1000, 1)');
my $refused = $late->query('COMMIT');
is($refused->{sqlstate}, 'XX001', 'a damaged page');
like($refused->{message}, qr/[0-9a-f]{32}/, 'is named');
is($session->sqlstate('INSERT INTO t VALUES (1001, 1)'), '00000',
	'who does not need it goes on');
spew($_, $bytes{$_}) for @pages;

# A table whose entry has no room in HEAD
my $columns = join ', ', 'k int NOT NULL',
  map { "a_column_of_a_wide_table_$_ text" } 1 .. 300;
make_table($session, $directory, name => 'wide', columns => $columns);
$session->run('INSERT INTO wide (k, a_column_of_a_wide_table_300)
	SELECT g, g FROM generate_series(1, 100) g');
is(head("-> 'tables' -> 2 ->> 'in_page'"), 'true', 'a wide table has a page');
$session->run("UPDATE wide SET a_column_of_a_wide_table_7 = 'x' WHERE k = $_")
  for 1 .. 70;
$session = connect_to($node);
is_deeply($session->run('SELECT count(*), count(a_column_of_a_wide_table_7),
	sum(a_column_of_a_wide_table_300::int) FROM wide')->{rows}[0],
	[ 100, 70, 5050 ], 'and is read');
cmp_ok(-s "$directory/HEAD", '<', 65536, 'HEAD stays small');

done_testing();
