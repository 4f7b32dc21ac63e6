# A cache of a few blocks, many sessions, and statements that fail at any
# moment: answers stay right, and no pin stays.
use strict;
use warnings;

use FmTest::Cluster;
use Test::More;
use Time::HiRes qw(time);

my $SECONDS = 8;
my $node = start_node('cache', conf => [ "fusio_manifest.cache_size = '1MB'" ]);
my $directory = new_directory();
my $session = connect_to($node);
my $rows = 200000;

make_table($session, $directory, columns => 'k int NOT NULL, v text',
	options => "compression 'none', block_size '4'");
$session->run("INSERT INTO t SELECT g, md5(g::text)
	FROM generate_series(1, $rows) g WHERE g % 3 <> 0");
$session->run("INSERT INTO t SELECT g, md5(g::text)
	FROM generate_series(1, $rows) g WHERE g % 3 = 0 AND g % 2 = 0");
$session->run("INSERT INTO t SELECT g, md5(g::text)
	FROM generate_series(1, $rows) g WHERE g % 3 = 0 AND g % 2 = 1");
$session->run('CREATE TABLE probe AS
	SELECT (random() * 200000)::int + 1 AS k FROM generate_series(1, 2000)');
$session->run('ANALYZE probe');
my $total = $session->value("SELECT sum(hashtext(md5(g::text))::bigint)
	FROM generate_series(1, $rows) g");

# [statement, what it answers or undef]
my @statements = (
	sub {
		my $k = 1 + int rand $rows;
		["SELECT v = md5('$k') FROM t WHERE k = $k", 't'];
	},
	sub {
		["SELECT count(*) FROM t WHERE k = ANY (ARRAY(
			SELECT 100 * g FROM generate_series(1, 500) g))", 500];
	},
	sub {
		my $k = 1 + int rand $rows;
		["SELECT count(*) FROM t WHERE k >= $k AND k < $k + 50",
			$rows - $k + 1 < 50 ? $rows - $k + 1 : 50];
	},
	sub { ['SELECT sum(hashtext(v)::bigint) FROM t', $total]; },
	sub {
		['SELECT count(*) FILTER (WHERE v <> md5(t.k::text))
			FROM probe JOIN t USING (k)', 0];
	},
	sub { ["SELECT count(1 / (k - " . int(rand $rows) . ")) FROM t", undef]; },
	sub {
		['DO $$ DECLARE r record; BEGIN
			FOR r IN SELECT * FROM t LOOP
				EXIT WHEN random() < 0.001;
				IF random() < 0.0005 THEN RAISE division_by_zero; END IF;
			END LOOP; END $$', undef];
	},
	sub {
		['BEGIN; DECLARE c CURSOR FOR SELECT * FROM t; FETCH 100 FROM c;
			SAVEPOINT s; DECLARE d CURSOR FOR SELECT * FROM t WHERE k > 500;
			FETCH 10 FROM d; ROLLBACK TO s; FETCH 10 FROM c; SELECT 1 / 0',
			undef];
	},
	sub { ['SELECT fusio_manifest_cache_reset()', undef]; },
	sub { ['SET enable_hashjoin = off; SET enable_mergejoin = off', undef]; },
	sub {
		['SET fusio_manifest.enable_cache = '
			. (rand() < 0.3 ? 'off' : 'on'), undef];
	});

sub client
{
	my ($seed) = @_;
	my $client = connect_to($node);
	my $deadline = time + $SECONDS;
	my %allowed = map { $_ => 1 } '00000', '22012', '57014';

	srand $seed;
	while (time < $deadline)
	{
		my ($sql, $expected) = @{ $statements[ rand @statements ]->() };
		my $result;

		$client->send($sql);
		$client->cancel
		  if rand() < 0.1 && !$client->is_ready(rand(0.05));
		$result = $client->result;
		if ($result->{lost} || !$allowed{ $result->{sqlstate} // '00000' })
		{
			print STDERR "\"$sql\": " . $client->describe($result) . "\n";
			return 1;
		}
		if (my @warnings = grep { /WARNING/ } @{ $result->{notices} })
		{
			print STDERR "\"$sql\": @warnings\n";
			return 1;
		}
		if (defined $expected && !defined $result->{sqlstate}
			&& $result->{rows}[0][0] ne $expected)
		{
			print STDERR "\"$sql\": $result->{rows}[0][0], not $expected\n";
			return 2;
		}
		$client->query('ROLLBACK') if $result->{status} ne 'I';
	}
	return 0;
}

my @children = map { my $seed = $_; spawn(sub { client($seed) }) } 1 .. 5;
for my $child (@children)
{
	waitpid $child, 0;
	is($?, 0, 'a client had right answers and the errors it asked for');
}
is($session->value('SELECT sum(pins) FROM fusio_manifest_cache'), 0,
	'no pin stays');
cmp_ok($session->value('SELECT sum(bytes) FROM fusio_manifest_cache'), '<=',
	1024 * 1024, 'the cache keeps its size');
cmp_ok($session->value('SELECT sum(evictions) FROM fusio_manifest_cache'),
	'>', 100, 'blocks were evicted');
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile),
	qr/TRAP|PANIC|terminated by signal/, 'nothing crashed');

# many scans at once hold more blocks than there is room for
$session->run('BEGIN; SET enable_sort = off');
$session->run("DECLARE c$_ CURSOR FOR SELECT * FROM t WHERE k > $_ * 300")
  for 1 .. 400;
my $wrong = 0;
for (1 .. 400)
{
	$wrong++ if $session->value("FETCH 1 FROM c$_") != $_ * 300 + 1;
}
is($wrong, 0, 'scans of more blocks than the cache has');
cmp_ok($session->value('SELECT sum(pins) FROM fusio_manifest_cache'), '>', 0,
	'they are pinned');
$session->run('ROLLBACK');
is($session->value('SELECT sum(pins) FROM fusio_manifest_cache'), 0,
	'and released');

done_testing();
