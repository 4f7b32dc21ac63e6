# An Append over tables of several buckets waits for all of them at once, and
# answers as one that reads them one after the other.
use strict;
use warnings;

use FmTest::Cluster;
use FmTest::S3;
use Test::More;

plan skip_all => 'no S3 service' unless FmTest::S3::is_there();

my $proxy = FmTest::S3->proxy;
my $node = start_node('async', conf => [ 'autovacuum = off', 'jit = off' ]);
my $session = connect_to($node);
my @prefix = map { FmTest::S3::new_prefix() } 0 .. 4;
my $columns = 'k int NOT NULL, g int, v text';

# Four stores behind the proxy, the children of p; c1 to c4 have two runs that
# overlap each, and blocks for several windows.
$session->run("CREATE TABLE p ($columns) PARTITION BY RANGE (k);
	CREATE TABLE n ($columns, PRIMARY KEY (k));
	INSERT INTO n SELECT i, i % 100, sha512(int4send(i))::text || sha512(int4send(-i))::text
	FROM generate_series(1, 39999) i");
for my $i (1 .. 4)
{
	my ($from, $to) = (10000 * ($i - 1), 10000 * $i);

	$proxy->make_server($session, "s$i", $prefix[$i], retry_timeout => '4s',
		request_timeout => '2s');
	$session->run("CREATE FOREIGN TABLE c$i PARTITION OF p FOR VALUES FROM ($from) TO ($to)
		SERVER s$i OPTIONS (key 'k')");
	$session->run("INSERT INTO c$i SELECT * FROM n WHERE k >= $from AND k < $to AND k % 3 $_")
	  for '> 0', '= 0';
}
$session->run('ANALYZE n');

sub explained
{
	my ($sql) = @_;

	return join "\n", map { $_->[0] }
	  @{ $session->run("EXPLAIN (COSTS OFF) $sql")->{rows} };
}

sub count_of
{
	my ($text, $regex) = @_;

	return scalar(() = $text =~ /$regex/g);
}

my $forget = 'DO $$ BEGIN PERFORM fusio_manifest_cache_reset(); END $$';
my $all = 'SELECT count(*), sum(k), sum(hashtext(v)) FROM p';
my $all_rows = $session->run($all =~ s/ p$/ n/r)->{rows};

# Plans
is(count_of(explained($all), 'Async Foreign Scan'), 4, 'four asynchronous scans');
is(count_of(explained('SELECT * FROM p ORDER BY k'), 'Async'), 0,
	'in key order: none');
is(count_of(explained('SELECT * FROM p FOR UPDATE'), 'Async'), 0,
	'that lock rows: none');
is(count_of(explained('DELETE FROM p'), 'Async'), 0, 'that change rows: none');
$session->run('SET enable_async_append = off');
is(count_of(explained($all), 'Async'), 0, 'switched off: none');
$session->run('SET enable_async_append = on');

# The names of the prefixes of which an object was asked for.
sub asked
{
	my ($regex) = @_;
	my %seen;

	for my $line ($proxy->log)
	{
		next unless $line =~ $regex;
		for my $i (1 .. 4)
		{
			$seen{$i} = 1 if index($line, "/$prefix[$i]/") >= 0;
		}
	}
	return join ' ', sort keys %seen;
}

# The first child gets no answer: the others are asked nevertheless, and for
# one thing after the other, until it is.  A request is sent twice at most.
for my $case (
	[ 'HEAD', qr{/HEAD }, $all ],
	[ 'runs/', qr{/runs/}, $all ],
	[ 'runs/', qr{/runs/}, 'SELECT count(*) FROM p WHERE k IN (5, 10005, 20005, 30005)' ])
{
	my ($what, $regex, $sql) = @$case;

	for my $async ('on', 'off')
	{
		$session->run("SET enable_async_append = $async");
		$session->run($sql);
		$session->run($forget);
		$proxy->plan(map { "$_ stall ^GET \\S+/$prefix[1]/$what" } 1 .. 40);
		$session->send($sql);
		if ($async eq 'on')
		{
			ok(wait_for(sub { asked($regex) eq '1 2 3 4' && asked(qr{/runs/\S+ pass}) eq '2 3 4' }),
				"$what of the first stalls: all are asked, and the others answer");
		}
		else
		{
			ok(wait_for(sub { asked(qr/stall/) eq '1' }),
				"$what of the first stalls, not asynchronous: it is asked");
			is(asked(qr{/runs/\S+ pass}), '', 'and no other');
		}
		ok(!$session->is_ready, 'it waits');
		$session->cancel;
		is($session->result->{sqlstate}, '57014', 'it can be canceled');
		$proxy->plan;
		is_deeply($session->run($sql)->{rows},
			$session->run($sql =~ s/ p\b/ n/r)->{rows}, 'and is right afterwards');
	}
}
$session->run('SET enable_async_append = on');

# Nothing but the latch and the timers wake it.
$proxy->plan(map { my $n = $_; map { "$n stall ^GET \\S+/$prefix[$_]/runs/" } 1 .. 4 } 1 .. 40);
$session->run($forget);
$session->run("SET statement_timeout = '300ms'");
is($session->sqlstate($all), '57014', 'statement_timeout while all are stalled');
$session->run('RESET statement_timeout');
$proxy->plan;

# A scan that waits alone afterwards sleeps, too.
if (-r "/proc/@{[$session->pid]}/stat")
{
	my $ticks = sub {
		my @stat = split ' ', slurp("/proc/@{[$session->pid]}/stat") =~ s/^.*\) //sr;

		return $stat[11] + $stat[12];
	};

	$session->run("$all; $forget");
	$proxy->plan(map { "$_ stall ^GET \\S+/$prefix[1]/runs/" } 1 .. 40);
	$session->send('SELECT count(*) FROM c1');
	ok(wait_for(sub { asked(qr/stall/) eq '1' }), 'one scan, stalled');
	my $before = $ticks->();
	ok(!$session->is_ready(3), 'for some time');
	cmp_ok($ticks->() - $before, '<', 20, 'in which it does next to nothing');
	$session->cancel;
	$session->result;
	$proxy->plan;
}

# What it answers: as the native table, and as without.
$session->run("CREATE SERVER near FOREIGN DATA WRAPPER fusio_manifest OPTIONS (location 'file://@{[new_directory()]}');
	CREATE FOREIGN TABLE f ($columns) SERVER near OPTIONS (key 'k');
	INSERT INTO f SELECT -k, g, v FROM n WHERE k <= 3000;
	CREATE TABLE l ($columns); INSERT INTO l SELECT 100000 + k, g, v FROM n WHERE k <= 300;
	CREATE VIEW mixed AS SELECT * FROM c1 UNION ALL SELECT * FROM f UNION ALL SELECT * FROM c3 UNION ALL SELECT * FROM l;
	CREATE VIEW nmixed AS SELECT * FROM n WHERE k < 10000 UNION ALL SELECT * FROM f UNION ALL
		SELECT * FROM n WHERE k BETWEEN 20000 AND 29999 UNION ALL SELECT * FROM l;
	CREATE TABLE o AS SELECT i * 997 % 40000 AS k, i FROM generate_series(1, 60) i; ANALYZE o");

my @queries = (
	'SELECT count(*), sum(k), sum(hashtext(v)) FROM %s',
	'SELECT count(*), sum(g) FROM %s WHERE g = 7',
	'SELECT k, g FROM %s WHERE k = ANY (ARRAY(SELECT 41 * i FROM generate_series(1, 900) i)) ORDER BY 1',
	'SELECT k, v FROM %s WHERE k IN (1, 9999, 10000, 19999, 30000, 39999, 40000) ORDER BY 1',
	'SELECT count(*), min(k), max(k) FROM %s WHERE k BETWEEN 9000 AND 31000',
	'SELECT count(*) FROM %s WHERE k > 15000 AND k < 15010',
	'SELECT count(*) FROM %s WHERE k < -5000',
	'SELECT count(*) FROM (SELECT * FROM %s LIMIT 11000) x',
	'SELECT o.i, x.k, x.g FROM o LEFT JOIN LATERAL (SELECT * FROM %s t WHERE t.k = o.k OFFSET 0) x ON true ORDER BY 1',
	'SELECT o.i, (SELECT sum(g) FROM %s t WHERE t.k BETWEEN o.k - 100 AND o.k + 100) FROM o ORDER BY 1',
	'SELECT o.i, (SELECT count(*) FROM (SELECT 1 FROM %s t WHERE t.k > o.k LIMIT 5) x) FROM o ORDER BY 1',
	'SELECT count(*), sum(a.g + b.g) FROM %1$s a JOIN %1$s b ON a.k = b.k + 10000',
	'SELECT count(*) FROM %s a WHERE EXISTS (SELECT 1 FROM o WHERE o.k = a.k)',
	'SELECT g, count(*), max(v) FROM %s GROUP BY g ORDER BY g');

for my $pair ([ 'p', 'n' ], [ 'mixed', 'nmixed' ])
{
	my ($ours, $native) = @$pair;

	for my $query (@queries)
	{
		my ($sql, $other) = map { sprintf $query, $_ } $ours, $native;
		my $expected = $session->run($other)->{rows};
		my @different;

		for my $async ('on', 'off')
		{
			for my $reset ($forget, 'SELECT 1')
			{
				$session->run("SET enable_async_append = $async; SET enable_hashjoin = off; $reset");
				push @different, "$async, $reset"
				  unless eq_array($session->run($sql)->{rows}, $expected);
			}
		}
		is("@different", '', $sql);
	}
}
$session->run('RESET enable_hashjoin; RESET enable_async_append');
is(count_of(explained(sprintf($_, 'p')), 'Async'), 4, 'asynchronous with parameters')
  for @queries[8 .. 10];

# A row of another table that has changed is checked again.
{
	my $other = connect_to($node);

	$other->run('BEGIN; UPDATE o SET i = i + 1000 WHERE i = 1');
	$session->send('UPDATE o SET i = o.i + p.g FROM p WHERE p.k = o.k AND p.v IS NOT NULL');
	ok(wait_for(sub { $other->value("SELECT count(*) FROM pg_locks WHERE NOT granted") }),
		'an update waits for a row');
	$other->run('COMMIT');
	is($session->result->{tags}[0], 'UPDATE 60', 'and goes on');
	is($session->value('SELECT max(i) FROM o'), 1001 + 997 % 100, 'with what the row is then');
}

# Partitions that are pruned when it runs are not even asked for HEAD.
$session->run('SET plan_cache_mode = force_generic_plan');
$session->run('PREPARE one(int, int) AS SELECT count(*), sum(k) FROM p WHERE k IN ($1, $2)');
$session->run('EXECUTE one(5, 10005)');
$proxy->plan;
is_deeply($session->run('EXECUTE one(5, 10005)')->{rows}, [ [ 2, 10010 ] ], 'pruned');
is(asked(qr/GET/), '1 2', 'what is pruned is not asked');
$proxy->plan;
is_deeply($session->run('EXECUTE one(NULL, 35005)')->{rows}, [ [ 1, 35005 ] ], 'pruned to one');
is(asked(qr/GET/), '4', 'the one is asked');
$session->run('DEALLOCATE one; RESET plan_cache_mode');

# One HEAD a store and statement, whatever reads it.
$proxy->plan;
$session->run('SELECT count(*) FROM (SELECT * FROM p UNION ALL SELECT * FROM p) x');
is(scalar(grep { m{/HEAD } } $proxy->log), 4, 'each HEAD is read once');

# Own changes
$session->run("BEGIN; DELETE FROM p WHERE k % 7 = 0 AND k BETWEEN 10000 AND 19999;
	INSERT INTO p VALUES (10003, 1, 'new'); UPDATE p SET g = 1000 WHERE k IN (10001, 10002)");
is($session->value('SELECT count(*) FROM p WHERE g = 1000'), 2, 'own updates');
is_deeply($session->run($all)->{rows}, $session->run(
	"SELECT count(*) + 1, sum(k) + 10003, sum(hashtext(v)) + hashtext('new') FROM n
		WHERE k % 7 > 0 OR k NOT BETWEEN 10000 AND 19999")->{rows},
	'own changes are seen');
like(explained($all), qr/Async/, 'by asynchronous scans');
$session->run('SAVEPOINT a; DELETE FROM p WHERE k BETWEEN 10000 AND 19999; ROLLBACK TO a');
is($session->value('SELECT count(*) FROM p WHERE k IN (7, 10003, 10008, 10010)'), 3, 'and what is rolled back is not');
$session->run('ROLLBACK');

# Cursors that stand side by side, and are closed in the midst.
$session->run("$forget; BEGIN; DECLARE a CURSOR FOR SELECT k FROM p; DECLARE b CURSOR FOR SELECT k FROM p");
my %seen;
for (1 .. 20)
{
	$seen{"$_->[0]"}++ for @{ $session->run('FETCH 50 FROM a')->{rows} };
	$session->run('FETCH 7 FROM b');
}
is(scalar(keys %seen), 1000, 'a cursor shows each row once');
$session->run("INSERT INTO p VALUES (0, 1, 'new'); CLOSE b");
is_deeply([ $session->value($all =~ s/, .*/ FROM p/r) ], [ 40000 ], 'a statement beside it');
$seen{"$_->[0]"}++ for @{ $session->run('FETCH ALL FROM a')->{rows} };
is(scalar(keys %seen), 39999, 'a cursor shows the rows of its time');
is(scalar(grep { $_ > 1 } values %seen), 0, 'none of them twice');
$session->run('ROLLBACK');

# The end comes early, with requests on their way.
for my $limit (1, 2, 9999)
{
	$session->run($forget);
	is($session->value("SELECT count(*) FROM (SELECT * FROM p LIMIT $limit) x"), $limit, "LIMIT $limit");
}
is_deeply($session->run($all)->{rows}, $all_rows, 'and the next is right');

# EXPLAIN counts what was done.
{
	my $text = join "\n", map { $_->[0] } @{ $session->run(
		"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT * FROM p WHERE k IN (1, 2, 10001)")->{rows} };

	like($text, qr/Append \(actual rows=3(?:\.00)? loops=1\)/, 'rows of the Append');
	like($text, qr/Async Foreign Scan on c1 p_1 \(actual rows=2(?:\.00)? loops=1\)/, 'rows of a child');
	$text = join "\n", map { $_->[0] } @{ $session->run("$forget;
		EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT * FROM p")->{rows} };
	is(count_of($text, 'actual rows=(9999|10000)(?:\.00)? loops=1'), 4, 'rows of all children');
	is(count_of($text, 'Requests: [1-9]'), 4, 'requests of all children');
	is(count_of($text, 'Runs Searched: 2'), 4, 'runs of all children');
	$text = join "\n", map { $_->[0] } @{ $session->run("$forget;
		EXPLAIN (ANALYZE, VERBOSE, COSTS OFF) SELECT * FROM p")->{rows} };
	is(count_of($text, 'Waiting Time: (?!0\.000)'), 4, 'waiting of all children');
}

# Faults of one child: what passes is overcome, what does not is the error
# that it would be without.
for my $action ('refuse', 'lose', 'cut', 'short', 'elsewhere', 'whole', 'flip',
	'status:500', 'status:503:SlowDown', 'status:429')
{
	for my $target ("$prefix[2]/runs/", "$prefix[3]/HEAD")
	{
		next if $target =~ /HEAD/ && $action =~ /short|elsewhere|whole|flip|cut/;
		$session->run($forget);
		$proxy->plan(map { "$_ $action ^GET \\S+/$target" } $action eq 'flip' ? 1 : (1, 3));
		is_deeply($session->run($all)->{rows}, $all_rows,
			"$action of " . $target =~ s{.*/(?=.)}{}r);
		ok($proxy->has_acted, 'there was a fault');
	}
}
# While one is sent away again and again, the others are read to their end.
{
	my $count = sub {
		scalar grep { m{/runs/} && index($_, "/$prefix[2]/") < 0 } $proxy->log;
	};

	$session->run("ALTER SERVER s2 OPTIONS (SET retry_timeout '60s')");
	$session->run($forget);
	$proxy->plan;
	$session->run($all);
	my $expected = $count->();
	cmp_ok($expected, '>', 6, 'the others take several requests');
	$session->run($forget);
	$proxy->plan(map { "$_ status:503:SlowDown ^GET \\S+/$prefix[2]/runs/" } 1 .. 200);
	$session->send($all);
	ok(wait_for(sub { $count->() >= $expected }), 'and are read while one is sent away');
	ok(!$session->is_ready, 'which it still is');
	$proxy->plan;
	is_deeply($session->result->{rows}, $all_rows,
		'until it is not');
}
$session->run("ALTER SERVER s2 OPTIONS (SET retry_timeout '500ms')");
for my $action ('status:404:NoSuchKey', 'status:403:AccessDenied', 'flip', 'status:503:SlowDown')
{
	my @state;

	for my $async ('on', 'off')
	{
		$session->run("$forget; SET enable_async_append = $async");
		$proxy->plan(map { "$_ $action ^GET \\S+/$prefix[2]/runs/" } 1 .. 200);
		push @state, $session->sqlstate($all);
	}
	$session->run('RESET enable_async_append');
	$proxy->plan;
	isnt($state[0], '00000', "$action for good: an error");
	is($state[0], $state[1], "$action for good: the same without");
	is_deeply($session->run($all)->{rows}, $all_rows,
		'and the session goes on');
}

# Many children: some of them wait until others have ended.
$session->run("CREATE TABLE q (k int NOT NULL, v int) PARTITION BY LIST (k);
	BEGIN;" . join '', map {
		"CREATE FOREIGN TABLE q$_ PARTITION OF q FOR VALUES IN ($_, " . (100 + $_) . ")
			SERVER s1 OPTIONS (key 'k');
		INSERT INTO q$_ VALUES ($_, $_), (100 + $_, $_);" } 1 .. 50);
$session->run('COMMIT');
$session->run('SELECT count(*) FROM q');
is(count_of(explained('SELECT * FROM q'), 'Async'), 50, 'fifty asynchronous scans');
$session->run($forget);
$proxy->plan(map { "$_ stall ^GET \\S+/runs/" } 1 .. 200);
$session->send('SELECT count(*), sum(k), sum(v) FROM q');
ok(wait_for(sub {
	my %runs = map { m{(\S+\.run)} ? ($1 => 1) : () } $proxy->log;
	keys %runs == 32 }), 'thirty-two at a time');
$session->cancel;
is($session->result->{sqlstate}, '57014', 'canceled');
$proxy->plan;
for my $reset ($forget, 'SELECT 1')
{
	$session->run($reset);
	is_deeply($session->run('SELECT count(*), sum(k), sum(v) FROM q')->{rows},
		[ [ 100, 7550, 2550 ] ], 'and all of them in the end');
}
is_deeply($session->run('SELECT count(*), sum(a.k) FROM q a JOIN q b ON a.k = b.k + 100 WHERE b.v > 10')->{rows},
	[ [ 40, 5220 ] ], 'twice in a statement');

# Under other isolation levels
for my $level ('REPEATABLE READ', 'SERIALIZABLE')
{
	$session->run("BEGIN ISOLATION LEVEL $level");
	$proxy->plan;
	is($session->value('SELECT count(*) FROM p'), 39999, $level);
	is($session->value('SELECT count(*) FROM p'), 39999, "$level: again");
	is(scalar(grep { m{/HEAD } } $proxy->log), 4, "$level: each HEAD is read once");
	$session->run('COMMIT');
}

# With parallel scans there are none.
$session->run("ALTER SERVER s$_ OPTIONS (ADD parallel 'on')") for 1 .. 4;
is(count_of(explained($all), 'Async'), 0, 'the option "parallel": none');

$node->stop;
unlike(slurp($node->logfile), qr/WARNING|TRAP|PANIC|leak/, 'the log is quiet');
done_testing();
