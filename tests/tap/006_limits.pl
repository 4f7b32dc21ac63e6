# Large values, many columns, long keys, nothing at all, and a long load.
use strict;
use warnings;

use FmTest::Cluster;
use Test::More;

my $node = start_node('limits');
my $directory = new_directory();
my $session = connect_to($node);

# nothing
make_table($session, $directory, name => 'empty');
isnt($session->sqlstate('SELECT * FROM empty'), '00000',
	'reading a table that the store lacks');
$session->run("SELECT fusio_manifest_create_table('empty')");
is($session->value('SELECT count(*) FROM empty'), 0, 'an empty table');
is($session->value('SELECT v FROM empty WHERE k = 1'), undef, 'no row');
is_deeply($session->run('UPDATE empty SET v = 1')->{tags}, ['UPDATE 0'],
	'nothing to change');
is_deeply($session->run('DELETE FROM empty')->{tags}, ['DELETE 0'],
	'nothing to delete');
is_deeply($session->run('COPY empty FROM STDIN', '')->{tags}, ['COPY 0'],
	'nothing to load');
$session->run("SELECT fusio_manifest_compact('empty', true)");
is($session->value('SELECT count(*) FROM empty'), 0, 'still empty');
$session->run('INSERT INTO empty VALUES (1, 1)');
$session->run('DELETE FROM empty');
$session->run("SELECT fusio_manifest_compact('empty', true)");
is($session->value('SELECT count(*) FROM empty'), 0, 'empty again');
is($session->value("SELECT count(*) FROM fusio_manifest_runs('empty')"), 0,
	'without a run');

# values
make_table($session, $directory, name => 'large',
	columns => 'k int NOT NULL, v text, b bytea');
$session->run("INSERT INTO large VALUES
	(1, repeat('0123456789', 2000000), NULL),
	(2, (SELECT string_agg(md5(g::text), '') FROM generate_series(1, 640000) g),
		decode(repeat('00ff', 10000000), 'hex')),
	(3, 'small', '')");
for my $state ('from its run', 'compacted')
{
	is($session->value("SELECT v = repeat('0123456789', 2000000) AND b IS NULL
		FROM large WHERE k = 1"), 't', "20 MB, $state");
	is($session->value("SELECT length(v) = 20480000
		AND md5(v) = (SELECT md5(string_agg(md5(g::text), ''))
			FROM generate_series(1, 640000) g)
		AND b = decode(repeat('00ff', 10000000), 'hex')
		FROM large WHERE k = 2"), 't', "two of them, $state");
	is($session->value('SELECT count(*) FROM large'), 3, "all rows, $state");
	is($session->value('SELECT v FROM large WHERE k = 3'), 'small',
		"the small one, $state");
	$session->run("SELECT fusio_manifest_compact('large', true)");
}
$session->run("UPDATE large SET v = v || 'x' WHERE k < 3");
is($session->value('SELECT sum(length(v)) FROM large WHERE k < 3'),
	20000000 + 20480000 + 2, 'changed');

# columns
my @names = map { "c$_" } 2 .. 1600;
make_table($session, $directory, name => 'wide',
	columns => 'k int NOT NULL, ' . join(', ', map { "$_ int" } @names));
$session->run('INSERT INTO wide VALUES (1, ' . join(', ', 2 .. 1600) . ')');
$session->run('INSERT INTO wide (k, c1600) VALUES (2, 7)');
is_deeply($session->run('SELECT * FROM wide WHERE k = 1')->{rows}[0],
	[ 1 .. 1600 ], '1600 columns');
is($session->value('SELECT c1600 FROM wide WHERE k = 2'), 7,
	'the last of them');
is($session->value('SELECT count(c2) FROM wide'), 1, 'NULLs');
$session->run('UPDATE wide SET c800 = -1 WHERE k = 1');
$session->run("SELECT fusio_manifest_compact('wide', true)");
is($session->value('SELECT c799 + c800 + c801 FROM wide WHERE k = 1'), 1599,
	'one of them changed');

# keys: a tag byte and two bytes of end around the text
make_table($session, $directory, name => 'long', columns => 'k text, v int');
$session->run("INSERT INTO long VALUES (repeat('x', 4093), 1)");
is($session->value("SELECT v FROM long WHERE k = repeat('x', 4093)"), 1,
	'a key of 4096 bytes');
is($session->sqlstate("INSERT INTO long VALUES (repeat('x', 4094), 1)"),
	'54000', 'one byte above');
is($session->value("SELECT count(*) FROM long WHERE k = repeat('x', 4094)"),
	0, 'no row has such a key');
is($session->value("SELECT count(*) FROM long WHERE k < repeat('x', 5000)"),
	1, 'a longer bound');
$session->run("INSERT INTO long SELECT repeat(chr(97 + g % 26), 4000) || g, g
	FROM generate_series(10, 90) g");
$session->run("SELECT fusio_manifest_compact('long', true)");
is($session->value('SELECT count(*) FROM long'), 82, 'many long keys');
is($session->value("SELECT v FROM long WHERE k = repeat('x', 4000) || 49"), 49,
	'one of them');

# A load of many rows in bounded memory.
my $rows = 1500000;
my $loader = connect_to($node);

sub memory
{
	my ($pid) = @_;
	my ($kb) = PostgreSQL::Test::Utils::slurp_file("/proc/$pid/status") =~
	  /^RssAnon:\s+(\d+) kB/m;

	return $kb / 1024;
}

make_table($session, $directory, name => 'loaded',
	columns => 'k bigint NOT NULL, v text');
SKIP:
{
	skip 'no /proc here', 2 unless -r '/proc/self/status';
	my $csv = PostgreSQL::Test::Utils::tempdir . '/load.csv';
	my ($most, $start);

	open my $file, '>', $csv or die "could not write \"$csv\": $!";
	for my $i (0 .. $rows - 1)
	{
		printf $file "%d\tvalue %d of some length to fill the row with\n",
		  ($i * 7919) % $rows, $i;
	}
	close $file;
	$loader->run("SET fusio_manifest.write_buffer = '16MB'");
	$start = $most = memory($loader->pid);
	$loader->send("COPY loaded FROM '$csv'");
	until ($loader->is_ready(0.1))
	{
		my $now = memory($loader->pid);

		$most = $now if $now > $most;
	}
	is($loader->result->{sqlstate}, undef, "$rows rows are loaded")
	  or diag($loader->describe($loader->result));
	cmp_ok($most - $start, '<', 116, 'in write_buffer and 100 MB');
	unlink $csv;
}
is($loader->value('SELECT count(*) FROM loaded'), $rows, 'all are there');
is($loader->value('SELECT v FROM loaded WHERE k = 7919'),
	'value 1 of some length to fill the row with', 'one of them');

done_testing();
