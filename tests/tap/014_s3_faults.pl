# Faults between the extension and an S3 service: what was acknowledged is
# there exactly once, what failed is not, and only what nobody can know is
# reported as unknown.  The cases F1 to F32 are those of docs/faults.md.
use strict;
use warnings;

use FmTest::Cluster;
use FmTest::S3;
use Test::More;

plan skip_all => 'no S3 service' unless FmTest::S3::is_there();

my $proxy = FmTest::S3->proxy;
my $node = start_node('faults');
my $session = connect_to($node);
my $table = 0;

# A new store with a table behind the proxy, and the same without it.
sub new_store
{
	my $prefix = FmTest::S3::new_prefix();

	$table++;
	$proxy->plan;
	$proxy->make_server($session, "s$table", $prefix, retry_timeout => '4s',
		request_timeout => '2s');
	FmTest::S3->make_server($session, "d$table", $prefix);
	$session->run("CREATE FOREIGN TABLE t$table (k int NOT NULL, v text) "
		  . "SERVER s$table OPTIONS (key 'k', table_name 't')");
	$session->run("CREATE FOREIGN TABLE d$table (k int NOT NULL, v text) "
		  . "SERVER d$table OPTIONS (key 'k', table_name 't')");
	return;
}

my $key = 0;

# Inserts a row; how that ended, and how many there are.
sub insert
{
	my ($on) = @_;
	my $state = ($on // $session)->sqlstate("INSERT INTO t$table VALUES (" . ++$key . ", 'x')");

	return $state;
}

# How often the row is there; the store may not have the table at all.
sub there
{
	my $result =
	  $session->query("SELECT count(*) FROM d$table WHERE k = $key");

	return 0 if ($result->{sqlstate} // '') eq '42P01';
	die $session->describe($result) if defined $result->{sqlstate};
	return $result->{rows}[0][0];
}

# What must hold after any fault.
sub holds
{
	my ($state, $name) = @_;
	my $there = there();

	if ($state eq '00000')
	{
		is($there, 1, "$name: acknowledged and there");
	}
	elsif ($state eq '40003')
	{
		cmp_ok($there, '<=', 1, "$name: unknown");
	}
	else
	{
		is($there, 0, "$name: $state and not there");
	}
	return;
}

# F1, F2, F8, F11, F18 and more: every fault at every request of a commit
# that creates the store, and of one that adds to it.
for my $action (
	'refuse', 'lose', 'twice', 'late:1', 'status:500', 'status:503:SlowDown',
	'status:429', 'status:409:ConditionalRequestConflict', 'after:500',
	'after:503', 'status:403:AccessDenied', 'status:404:NoSuchKey',
	'status:412:PreconditionFailed', 'status:400:RequestTimeout',
	'after:409:ConcurrentModification', 'after:412', 'after:403:AccessDenied',
	'after:404:NoSuchKey', 'after:304', 'status:200')
{
	for my $kind ('first', 'later')
	{
		my $bad = 0;
		my $states = '';
		my $n;

		for ($n = 1; $n < 40; $n++)
		{
			new_store() if $kind eq 'first' || $n == 1;
			insert() if $kind eq 'later' && $n == 1;
			my $fresh = connect_to($node);
			$proxy->plan("$n $action .");
			my $state = insert($fresh);
			my $acted = $proxy->has_acted;
			$proxy->plan;
			my $there = there();

			$states .= " $state";
			$bad++
			  if $state eq '00000' ? $there != 1
			  : $state eq '40003' ? $there > 1
			  : $there != 0;
			last unless $acted;
		}
		is($bad, 0, "F1, F2, F11: $action, $kind commit: all or nothing:$states");
		cmp_ok($n, '>', 2, "$action, $kind commit: was done");
		is(insert(), '00000', "$action, $kind commit: the store works after it");
	}
}

# Pairs of faults, at random.
{
	my @actions = ('refuse', 'lose', 'twice', 'late:1', 'late:2', 'status:500',
		'status:409', 'after:503', 'after:412', 'status:412');
	my ($bad, $unknown, $good) = (0, 0, 0);

	srand(20);
	new_store();
	insert();
	for (1 .. 60)
	{
		my ($first, $second) = (1 + int rand 4, 1 + int rand 7);

		$proxy->plan(
			"$first $actions[rand @actions] .",
			"$second $actions[rand @actions] .");
		my $state = insert(connect_to($node));
		$proxy->plan;
		my $there = there();

		$good++ if $state eq '00000';
		$unknown++ if $state eq '40003';
		$bad++
		  if $state eq '00000' ? $there != 1
		  : $state eq '40003' ? $there > 1
		  : $there != 0;
	}
	is($bad, 0, "F4, F6: pairs of faults: all or nothing; $good committed, $unknown unknown");
	cmp_ok($good, '>', 20, 'pairs of faults: most are overcome');
}

new_store();
insert();

my $HEAD = '^PUT .*/HEAD';

$proxy->plan("1 lose $HEAD");
is(insert(), '00000', 'F4: applied, answer lost: resolved');
holds('00000', 'F4');

$proxy->plan("1 late:2 $HEAD");
is(insert(), '00000', 'F6: the first PUT lands late: one effect');
holds('00000', 'F6');
wait_for(sub { grep { /^late/ } $proxy->log });
is(scalar(grep { /^late (200|409|412)$/ } $proxy->log), 1,
	'F6: and it did land');

$proxy->plan("1 twice $HEAD");
is(insert(), '00000', 'F7: 412 for our own success');
holds('00000', 'F7');

# A run that is refused for its own success, by an answer that says nothing.
for my $action ('elsewhere', 'whole', 'short')
{
	$proxy->plan('1 lose ^PUT .*/runs/', "1 $action ^GET .*/runs/");
	is(insert(), '00000', "F7: a run is looked for again after $action");
	like(join("\n", $proxy->log), qr{^PUT .*/runs/\S+ lose.*^PUT .*/runs/\S+ pass 412.*^GET .*/runs/\S+ $action}ms,
		'F7: that has happened');
	holds('00000', "F7, $action");
}

$proxy->plan("1 status:409:ConditionalRequestConflict $HEAD");
is(insert(), '00000', 'F9: 409 assumes nothing');
holds('00000', 'F9');

$proxy->plan("1 status:412:PreconditionFailed $HEAD");
is(insert(), '00000', 'F8: 412 with HEAD unchanged: sent again');
holds('00000', 'F8');

$proxy->plan("1 after:503 $HEAD");
is(insert(), '00000', 'F11: 503 after it was applied');
holds('00000', 'F11');

# The same while HEAD cannot be read at first; the session is as it was then.
{
	my $other = connect_to($node);

	$proxy->plan("1 status:500 $HEAD", map { "$_ status:403:AccessDenied ^GET .*/HEAD" } 2, 3);
	is(insert($other), '00000', 'F11: HEAD is refused to who looks: looked again');
	like(join("\n", $proxy->log), qr{PUT .*/HEAD status:500.*GET .*/HEAD status:403}s,
		'F11: that has happened');
	holds('00000', 'F11, refused');
	$proxy->plan;
	is($other->sqlstate("SET statement_timeout = '100ms'; SELECT pg_sleep(20)"),
		'57014', 'F11: the session can be cancelled');
}

# F5: applied, the answer lost, and another commit over it meanwhile.
{
	my $other = connect_to($node);

	$proxy->plan("1 lose $HEAD", "2 stall ^GET .*/HEAD");
	$session->send("INSERT INTO t$table VALUES (" . ++$key . ", 'x')");
	wait_for(sub { grep { /HEAD lose/ } $proxy->log });
	is($other->sqlstate("INSERT INTO d$table VALUES (" . ($key + 100000) . ", 'y')"),
		'00000', 'F5: another commits over it');
	is($session->result->{sqlstate}, undef, 'F5: ours is found in the log');
	holds('00000', 'F5');
}

# F12: two writers; the loser rebases.
{
	my $other = connect_to($node);

	$session->run('BEGIN');
	$session->run("INSERT INTO t$table VALUES (" . ++$key . ", 'x')");
	$other->run("INSERT INTO d$table VALUES (" . ($key + 100000) . ", 'y')");
	is($session->sqlstate('COMMIT'), '00000', 'F12: the loser rebases');
	is($session->value("SELECT count(*) FROM d$table WHERE k IN ($key, $key + 100000)"),
		2, 'F12: both rows are there');
}

# F13: a writer that was stopped while others committed.
{
	my $other = connect_to($node);
	my $stopped = connect_to($node);

	$stopped->run('BEGIN');
	$stopped->run("INSERT INTO t$table VALUES (" . ++$key . ", 'x')");
	kill 'STOP', $stopped->pid;
	$other->run("INSERT INTO d$table VALUES ($key + 100000 + $_, 'y')") for 1 .. 3;
	$stopped->send('COMMIT');
	kill 'CONT', $stopped->pid;
	is($stopped->describe($stopped->result), 'no error', 'F13: it rebases');
	holds('00000', 'F13');
}

# F10: HEAD is gone, refused, credentials expired, another region.
$proxy->plan("1 status:404:NoSuchKey $HEAD");
is(insert(), 'XX001', 'F10: HEAD is gone: an error, no new store');
$proxy->plan(map { "$_ status:404:NoSuchKey ^GET .*/HEAD" } 1 .. 9);
is(insert(connect_to($node)), 'XX001', 'F10: the same when it is read');
$proxy->plan('1 status:403:ExpiredToken .');
is(insert(), '00000', 'F10: expired credentials are read again');
$proxy->plan('1 status:403:ExpiredToken .', '2 status:403:ExpiredToken .');
is(insert(), '28000', 'F10: once');
$proxy->plan('1 status:403:AccessDenied .');
is(insert(), '42501', 'F10: access denied');

# F17: the clock of the server is an hour ahead
$proxy->plan('1 status:403:RequestTimeTooSkewed .');
is(insert(), '28000', 'F17: no Date, no repair');

# F18, F19, F20: answers that are not what was asked for
$session->run("INSERT INTO t$table SELECT g, repeat(md5(g::text), 4) "
	  . 'FROM generate_series(200000, 260000) g');
my $sum = $session->value("SELECT sum(hashtext(v)) FROM d$table");
for my $action ('short', 'elsewhere', 'whole', 'flip', 'cut', 'status:416',
	'status:503', 'stall')
{
	my $result;

	$session->run('SELECT fusio_manifest_cache_reset()');
	my @which = $action eq 'status:416' ? '1+' : (1, 3);
	$proxy->plan(map { "$_ $action ^GET .*/runs/" } @which);
	$result = $session->query("SELECT sum(hashtext(v)) FROM t$table");
	ok($proxy->has_acted, "F18: $action was done");
	if ($action eq 'status:416')
	{
		is($result->{sqlstate}, 'XX001', "F19: $action: an object that is cut");
		next;
	}
	is($session->describe($result), 'no error', "F18: $action: no error");
	is($result->{rows}[0][0], $sum, "F18: $action: the same answer");
}
$session->run('SELECT fusio_manifest_cache_reset()');
$proxy->plan('1+ flip ^GET .*/runs/');
is($session->sqlstate("SELECT sum(hashtext(v)) FROM t$table"), 'XX001',
	'F20: damage that stays is an error, never "no row"');
$proxy->plan(map { "$_ elsewhere ^GET .*/runs/" } 1 .. 20);
$session->run('SELECT fusio_manifest_cache_reset()');
is($session->sqlstate("SELECT v FROM t$table WHERE k = 200001"), 'HV000',
	'F18: a wrong range that stays is an error');
$proxy->plan;
is($session->value("SELECT count(*) FROM t$table WHERE k = 200001"), 1,
	'and all is well afterwards');

# A request that hangs is sent once more, when it is late for this server.
{
	my $prefix = FmTest::S3::new_prefix();

	$proxy->make_server($session, 'patient', $prefix, request_timeout => '1min');
	$session->run("CREATE FOREIGN TABLE patient (k int NOT NULL, v text) SERVER patient OPTIONS (key 'k')");
	$session->run("INSERT INTO patient VALUES (1, 'x')");
	$session->run("SET statement_timeout = '30s'");
	for (1 .. 40)
	{
		$session->run('SELECT fusio_manifest_cache_reset()');
		$session->run('SELECT v FROM patient WHERE k = 1');
	}
	$session->run('SELECT fusio_manifest_cache_reset()');
	$proxy->plan('1 stall ^GET .*/runs/');
	is($session->value('SELECT v FROM patient WHERE k = 1'), 'x',
		'a read that hangs is hedged');
	is(scalar(grep { m{^GET .*/runs/} } $proxy->log), 2, 'by one more request');
	$proxy->plan('1 stall ^GET .*/HEAD');
	is($session->value('SELECT v FROM patient WHERE k = 1'), 'x', 'so is HEAD');
	$session->run('RESET statement_timeout');
	$proxy->plan;
}

# F28: cancel and timeouts act at once in a request, and not after HEAD is sent
$session->run('SELECT fusio_manifest_cache_reset()');
$proxy->plan(map { "$_ stall ^GET .*/runs/" } 1 .. 9);
is($session->sqlstate("SET statement_timeout = '300ms'; SELECT v FROM t$table WHERE k = 200001"),
	'57014', 'F28: statement_timeout in a request');
$session->run('RESET statement_timeout');
is($session->value('SELECT sum(pins) FROM fusio_manifest_cache'), 0,
	'F28: nothing is pinned');
$proxy->plan;
is($session->value("SELECT count(*) FROM t$table WHERE k = 200001"), 1,
	'F28: the session works');
{
	$proxy->plan("1 lose $HEAD", '2 stall ^GET .*/HEAD');
	$session->send("INSERT INTO t$table VALUES (" . ++$key . ", 'x')");
	wait_for(sub { grep { /HEAD lose/ } $proxy->log });
	$session->cancel;
	is($session->describe($session->result), 'no error',
		'F28: cancel waits for the outcome of HEAD');
	holds('00000', 'F28');
}

# F3: the connection is lost after the commit; it is there.
{
	my $victim = connect_to($node);

	$proxy->plan("1 lose $HEAD", '2 stall ^GET .*/HEAD');
	$victim->send("INSERT INTO t$table VALUES (" . ++$key . ", 'x')");
	wait_for(sub { grep { /HEAD lose/ } $proxy->log });
	$session = crash($node, $victim);
	$proxy->plan;
	is(there(), 1, 'F3: killed after HEAD was replaced: committed');
}

# F31: another cluster writes the same store
{
	my $second = start_node('faults_second');
	my $far = connect_to($second);
	my $location = $session->value("SELECT substr(o, 10) FROM pg_foreign_server, unnest(srvoptions) o WHERE srvname = 's$table' AND o LIKE 'location=%'");
	my ($prefix) = $location =~ m{^s3://[^/]+/(.*)$};

	FmTest::S3->make_server($far, 's', $prefix);
	$far->run("CREATE FOREIGN TABLE t (k int NOT NULL, v text) SERVER s OPTIONS (key 'k')");
	for (1 .. 5)
	{
		is(insert(), '00000', 'F31: one cluster writes');
		$far->run('INSERT INTO t VALUES (' . ++$key . ", 'far')");
		is(there(), 1, 'F31: the other, too, and both see it');
	}
	$second->stop;
}
$node->stop;
done_testing();
