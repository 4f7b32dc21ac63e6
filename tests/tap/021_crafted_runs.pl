# Runs and HEADs whose bytes are wrong under right checksums: whoever reads them
# gets errors or nonsense, never a crash, an endless loop, or a value of which
# the server reads more than there is.
#
#	FM_CRAFT_SECONDS=600 FM_CRAFT_SEED=1	for longer, and from another seed
use strict;
use warnings;

use FmTest::Cluster;
use Test::More;
use Time::HiRes qw(time);

my $seconds = $ENV{FM_CRAFT_SECONDS};
my $seed = $ENV{FM_CRAFT_SEED} // 1;

my $node = start_node('crafted', conf => [ 'autovacuum = off', 'restart_after_crash = on' ]);
my $session = connect_to($node);
my $directory = new_directory();

$session->run('CREATE EXTENSION fusio_manifest_craft_test');
$session->run(q{
	CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
	CREATE TYPE pair AS (a int, b text);
	CREATE TYPE floats AS RANGE (subtype = float8);
	CREATE DOMAIN words AS text[];
	CREATE TABLE images (k int PRIMARY KEY, b bool, c "char", n numeric, t text, v varchar(40),
	  p char(9), y bytea, j jsonb, js json, x xml, u uuid, f float8, iv interval, tz timetz,
	  ts timestamp, d date, m money, pt point, bx box, l pg_lsn, ti tid);
	CREATE TABLE sent (k text COLLATE "C" PRIMARY KEY, i inet, bt bit(11), vb varbit, ia int[],
	  ta text[], na numeric[], ja jsonb[], r int4range, nr numrange, fr floats, mr int4multirange,
	  tv tsvector, tq tsquery, nm name, po polygon, pa path, ov oidvector, sn pg_snapshot,
	  jp jsonpath, m mood, ma mood[], pr pair, prs pair[], w words, rc regclass, mac macaddr8);
	CREATE TABLE keys (n numeric, t text COLLATE "C", y bytea, p char(7), f float8, u uuid,
	  m mood, d timestamptz, b bool, c "char", i int2, v text, PRIMARY KEY (n, t, y, p, f, u, m, d, b, c, i));
	INSERT INTO images SELECT g, g % 3 = 0, chr(60 + g), (g - 20) * 10.0 ^ (g % 13 - 6) / 7,
	  repeat(md5(g::text), g % 7), 'v' || g, 'p' || g, decode(repeat(md5(g::text), g % 9), 'hex'),
	  jsonb_build_object('a', g, 'b', jsonb_build_array(g, null, true, 'x', g / 7.0, '{}'::jsonb),
		'c', jsonb_build_object('d', repeat('y', g * 5))), to_json(g), xmlparse(content '<a>' || g || '</a>'),
	  md5(g::text)::uuid, g / 3.0, g * interval '1 day 1 s', '12:00+02', timestamp '2020-01-01' + g * interval '1 h',
	  '2020-01-01', g::money, point(g, g), box(point(0, 0), point(g, g)), '1/2', '(1,2)'
	  FROM generate_series(1, 40) g;
	INSERT INTO images (k, t) VALUES (41, repeat('long ', 20000)), (42, NULL);
	INSERT INTO sent SELECT 'k' || g, '10.0.0.1/8', B'10101010101', B'110', ARRAY[g, NULL, 3],
	  ARRAY[['a', NULL], ['b', 'c']], ARRAY[1.5, 'NaN'], ARRAY[to_jsonb(g)], int4range(g, g + 5), numrange(g, NULL),
	  floats(g, g + 1), int4multirange(int4range(1, 3), int4range(5, g + 7)), to_tsvector('simple', 'a b c ' || g),
	  to_tsquery('simple', 'a & (b | !c)'), 'name' || g, polygon '((0,0),(1,1),(2,0))', path '[(0,0),(1,1)]', '1 2 3',
	  '10:20:10,14', '$.a[*] ? (@ > 1)', 'ok', ARRAY['sad', 'happy']::mood[], ROW(g, 'x'::text)::pair, ARRAY[ROW(g, 'y'::text)]::pair[],
	  ARRAY['w', 'o'], 'pg_class', '08:00:2b:01:02:03:04:05'
	  FROM generate_series(1, 25) g;
	INSERT INTO keys SELECT (g - 20) * 1.1, 't' || g || E'\x01', '\x0001ff', 'p' || g, g / 3.0, md5(g::text)::uuid, 'ok',
	  timestamptz '2020-01-01' + g * interval '1 h', true, 'x', g, repeat('v', g) FROM generate_series(1, 60) g;
	INSERT INTO keys SELECT 'NaN', E'\x01', '', '', 'NaN', md5('')::uuid, 'sad', 'infinity', false, '', -1, NULL;
	CREATE SERVER s FOREIGN DATA WRAPPER fusio_manifest OPTIONS (location 'file://} . $directory . q{');
});

my %key_of = (
	images => 'k',
	sent => 'k DESC',
	keys => 'n DESC, t, y DESC, p, f DESC, u, m, d DESC, b, c DESC, i');
my %reads = (
	images => [
		'SELECT md5(string_agg(t::text, $$,$$ ORDER BY k)) FROM far_images t',
		'SELECT count(*), max(length(t)), max(length(p)), sum(length(y)), max(upper(v)), sum(n), max(n % 7), '
		  . 'min(round(n, 3)), max(hash_numeric(n)) FROM far_images',
		'SELECT j -> $$b$$, j -> $$c$$ ->> $$d$$, j || j, j = j, jsonb_pretty(j), js::jsonb, xpath($$/a$$, x) FROM far_images',
		'SELECT DISTINCT j, n FROM far_images',
		'SELECT k, t FROM far_images WHERE k IN (1, 5, 17, 41, 42, 99)',
		'UPDATE far_images SET b = NOT b, t = t || v' ],
	sent => [
		'SELECT md5(string_agg(t::text, $$,$$)) FROM far_sent t',
		'SELECT host(i), length(bt), vb || vb, ia || ia, array_to_string(ta, $$,$$), na[1] + 1, ja[1], '
		  . 'upper(r), lower(nr), fr * fr, mr + mr, tv @@ tq, numnode(tq), area(box(po)), npoints(pa), pr, prs FROM far_sent',
		'SELECT DISTINCT ia, ta, na, r, mr, tv, tq, m, pr FROM far_sent',
		'SELECT k, w FROM far_sent WHERE k >= $$k1$$ AND k < $$k2$$ ORDER BY k',
		'UPDATE far_sent SET nm = $$x$$ WHERE k < $$k15$$' ],
	keys => [
		'SELECT md5(string_agg(t::text, $$,$$)) FROM far_keys t',
		'SELECT n FROM far_keys ORDER BY n DESC LIMIT 3',
		'SELECT min(n), max(n), sum(n), max(t), max(length(y)), max(p), sum(f), max(d), count(DISTINCT m), count(DISTINCT p) FROM far_keys',
		'SELECT * FROM far_keys WHERE n = 1.1 OR n BETWEEN -3 AND 4',
		'SELECT * FROM far_keys WHERE n IN (2.2, 3.3, $$NaN$$) AND t = $$t22$$',
		'DELETE FROM far_keys WHERE n > 10' ]);
my (%original, %answer);

# In its place, for the server keeps it open.
sub overwrite
{
	my ($path, $bytes) = @_;

	open my $file, '+<:raw', $path or die "could not write \"$path\": $!";
	print $file $bytes;
	close $file or die "could not write \"$path\": $!";
	return;
}

for my $table (sort keys %reads)
{
	my $columns = $session->value("SELECT string_agg(quote_ident(attname) || ' ' || "
		  . "format_type(atttypid, atttypmod) || CASE WHEN attcollation = '\"C\"'::regcollation "
		  . "THEN ' COLLATE \"C\"' ELSE '' END, ', ' ORDER BY attnum) FROM pg_attribute "
		  . "WHERE attrelid = '$table'::regclass AND attnum > 0");

	$session->run("CREATE FOREIGN TABLE far_$table ($columns) SERVER s "
		  . "OPTIONS (key '$key_of{$table}', compression 'none', block_size '4')");
	$session->run("INSERT INTO far_$table SELECT * FROM $table");
	my $id = $session->value("SELECT id FROM fusio_manifest_runs('far_$table')");
	$id =~ tr/-//d;
	my ($file) = grep { /\Q$id\E/ } run_files($directory);
	$original{$table} = { file => $file, kept => "$file.kept" };
	spew("$file.kept", slurp($file));
	$answer{$table} = $session->value($reads{$table}[0]);
}

# A damaged value is XX001; text that no longer is of its type, or numbers
# that do not fit the query, are what PostgreSQL makes of them.
my $expected = qr/^(00000|XX001|22...|42...|23505|54000|0A000|08P01)$/;
my (%seen, @bad);
my ($crafted, $statements, $harmless) = (0, 0, 0);
my $end = time + ($seconds // 0);
my $head = slurp("$directory/HEAD");
my @tables = sort keys %reads;

sub try_reads
{
	my ($table, $what) = @_;

	for my $read (@{ $reads{$table} })
	{
		my $result = $session->query("SELECT fusio_manifest_cache_reset(); SET statement_timeout = '20s'; "
			  . "BEGIN; $read; ROLLBACK");
		my $state = $result->{lost} ? 'lost' : $result->{sqlstate} // '00000';

		$session->sqlstate('ROLLBACK') if $state ne '00000' && $state ne 'lost';
		$statements++;
		$seen{$state}++;
		if ($state !~ $expected)
		{
			push @bad, "seed $seed, $what: " . $session->describe($result) . ": $read";
			$session = connect_to($node) if $state eq 'lost' && sleep 3;
		}
	}
	return;
}

while (@bad < 5 && (defined $seconds ? time < $end : $crafted < 300))
{
	my $table = $tables[$seed % @tables];

	if ($seed % 4 == 3)
	{
		# A file of its own inode, for a session that has seen no other.
		spew("$directory/HEAD", $head);
		$session->run("SELECT fm_test_craft_head('$directory/HEAD', '$directory/HEAD', $seed)");
		$session = connect_to($node);
		try_reads($table, "HEAD, $table");
		spew("$directory/HEAD", $head);
		$session = connect_to($node);
	}
	else
	{
		my $in_index = $seed % 8 == 0 ? 'true' : 'false';

		$session->run("SELECT fm_test_craft('$original{$table}{kept}', '$original{$table}{file}', $seed, $in_index)");
		try_reads($table, $table);
		overwrite($original{$table}{file}, slurp($original{$table}{kept}));
	}
	$crafted++;
	$seed++;
}
is(join("\n", @bad), '', 'nothing but errors');
diag("$crafted crafted runs, $statements statements: "
	  . join(', ', map { "$_ $seen{$_}" } sort keys %seen));
cmp_ok($seen{'00000'}, '>', 0, 'some pass');
cmp_ok($seen{'XX001'}, '>', 0, 'some do not');

# And then all is well.
for my $table (@tables)
{
	$session->run('SELECT fusio_manifest_cache_reset()');
	is($session->value($reads{$table}[0]), $answer{$table}, "$table: the original is read again");
}

$node->stop;
done_testing();
