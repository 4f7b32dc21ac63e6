# F23: a HEAD that goes back, because its bucket or its directory was restored
# to an older state, is refused until somebody accepts it.
use strict;
use warnings;

use FmTest::Cluster;
use FmTest::S3;
use Test::More;

my $node = start_node('restored');
my $other = start_node('restored_other', plain => 1);
my $ACCEPT = "SELECT fusio_manifest_accept_restore('s')";

sub incarnation
{
	my ($session) = @_;

	return $session->value("SELECT fusio_manifest_head('s')->'incarnation'");
}

# Neither reads nor writes, in a session that used the store and in a new one.
sub is_refused
{
	my ($on, $session, $name) = @_;

	for my $who ($session, connect_to($on))
	{
		my $result = $who->query('SELECT count(*) FROM t');

		is($result->{sqlstate}, 'XX001', "F23: $name: reading is refused")
		  or diag($who->describe($result));
		like($result->{hint} // '', qr/fusio_manifest_accept_restore\('s'\)/,
			"F23: $name: with a hint");
		is($who->sqlstate('INSERT INTO t VALUES (1000, 0)'), 'XX001',
			"F23: $name: so is writing");
		is($who->sqlstate("SELECT fusio_manifest_compact('t')"), 'XX001',
			"F23: $name: so is compaction");
	}
	return;
}

# $make_server: makes the server "s" of the same store in a session;
# $save, $restore: take HEAD's bytes away and put them back.
sub check
{
	my ($kind, $make_server, $save, $restore) = @_;
	my $session = connect_to($node);
	my $far = connect_to($other);
	my ($old, $result);

	for my $each ($session, $far)
	{
		$make_server->($each);
		$each->run("CREATE FOREIGN TABLE t (k int NOT NULL, v int) SERVER s OPTIONS (key 'k')");
	}
	is($session->sqlstate($ACCEPT), '55000', "F23: $kind: no HEAD, nothing to accept");
	$session->run("INSERT INTO t VALUES ($_, 0)") for 1 .. 3;
	$old = $save->();
	my $idle = connect_to($node);
	is($idle->value('SELECT count(*) FROM t'), 3, 'a session that has the old HEAD');
	$session->run('INSERT INTO t VALUES (4, 0)');
	is($far->value('SELECT count(*) FROM t'), 4, 'another cluster sees the new one');

	# The session that still has the old HEAD must not take it for current.
	$restore->($old);
	is($idle->sqlstate('SELECT count(*) FROM t'), 'XX001',
		"F23: $kind: refused though HEAD is what this session has read");
	is_refused($node, $session, $kind);
	is_refused($other, $far, "$kind, not preloaded");
	$result = $session->query('SELECT count(*) FROM t');
	like($result->{detail}, qr/has incarnation 1 and version 3\. Incarnation 1 and version 4,/,
		"F23: $kind: the error has both versions");

	# It is remembered over a restart, in good order and not.
	$node->restart;
	$session = connect_to($node);
	is_refused($node, $session, "$kind, restarted");
	$node->stop('immediate');
	$node->start;
	$session = connect_to($node);
	is_refused($node, $session, "$kind, after a crash");
	$far = connect_to($other);
	is_refused($other, $far, "$kind, new session");

	# Accepting it.
	$session->run('CREATE ROLE stranger LOGIN; GRANT USAGE ON FOREIGN SERVER s TO stranger');
	is($session->sqlstate("SET ROLE stranger; $ACCEPT"), '42501',
		"F23: $kind: a stranger cannot accept it");
	$session->run('RESET ROLE; DROP OWNED BY stranger; DROP ROLE stranger');
	is($session->sqlstate("BEGIN READ ONLY; $ACCEPT"), '25006',
		"F23: $kind: nor a read-only transaction");
	$session->run('ROLLBACK');
	is($session->value($ACCEPT), 2, "F23: $kind: accepted");
	is($_->value('SELECT count(*) FROM t'), 3, "F23: $kind: it can be read")
	  for $session, connect_to($node), $far;
	is($far->sqlstate('INSERT INTO t VALUES (4, 1)'), '00000',
		"F23: $kind: and written, from the other cluster");
	is($session->sqlstate('INSERT INTO t VALUES (5, 1)'), '00000',
		"F23: $kind: and here");
	is(incarnation($_), 2, "F23: $kind: the incarnation is seen")
	  for $session, $far;

	# A transaction that has begun before knows versions of another past.
	$old = $save->();
	$far->run('BEGIN; INSERT INTO t VALUES (6, 1)');
	is($session->value($ACCEPT), 3, "F23: $kind: accepted without need");
	is($far->sqlstate('COMMIT'), '40001',
		"F23: $kind: who wrote before has to begin again");
	$far->query('ROLLBACK');

	# The same old state again: its incarnation is not used twice.
	$restore->($old);
	is_refused($node, $session, "$kind, again");
	is($session->value($ACCEPT), 4, "F23: $kind: accepted above all that was seen");
	is($far->value('SELECT count(*) FROM t'), 5, "F23: $kind: by all");

	# Others have gone on from the old HEAD, beyond what was seen.
	$old = $save->();
	$session->run('INSERT INTO t VALUES (7, 1)');
	$restore->($old);
	my $third = start_node("restored_$kind", plain => 1);
	my $late = connect_to($third);
	$make_server->($late);
	$late->run("CREATE FOREIGN TABLE t (k int NOT NULL, v int) SERVER s OPTIONS (key 'k')");
	for (8 .. 10)
	{
		is($late->sqlstate("INSERT INTO t VALUES ($_, 1)"), '00000',
			'a cluster that has never seen the store goes on');
		is_refused($node, $session, "$kind, another version $_");
	}
	is($session->value($ACCEPT), 5, "F23: $kind: accepted");
	is($_->value('SELECT array_agg(k ORDER BY k) FROM t'), '{1,2,3,4,5,8,9,10}',
		"F23: $kind: what is there now")
	  for $session, $far, $late;
	$third->stop;
	for my $each ($session, $far)
	{
		$each->run('DROP SERVER s CASCADE');
	}
	return;
}

# In a directory.
{
	my $directory = new_directory();

	check('directory',
		sub {
			$_[0]->run("CREATE SERVER s FOREIGN DATA WRAPPER fusio_manifest OPTIONS (location 'file://$directory')");
		},
		sub { return slurp("$directory/HEAD") },
		sub { spew("$directory/HEAD", $_[0]) });

	# A copy elsewhere, and a store that was made anew, are others.
	my $session = connect_to($node);
	my $copy = new_directory();
	make_table($session, $directory, name => 't');
	system('cp', '-R', $directory, $copy) == 0 or die 'cp';
	$session->run("INSERT INTO t VALUES (11, 1)");
	make_table($session, $copy, name => 'c', server => 'copy', options => "table_name 't'");
	is($session->value('SELECT count(*) FROM c'), 8, 'F23: a copy has its own past');
	is($session->value('SELECT count(*) FROM t'), 9, 'F23: and so has the original');
	system('rm', '-rf', $directory) == 0 or die 'rm';
	$session = connect_to($node);
	is($session->sqlstate('INSERT INTO t VALUES (1, 1)'), '00000',
		'F23: a store that is made anew has no past');
	is($session->value('SELECT count(*) FROM t'), 1, 'F23: it has what was written');
	$session->run("DROP SERVER $_ CASCADE") for 's', 'copy';
}

SKIP:
{
	skip 'no S3 service', 1 unless FmTest::S3::is_there();
	my $prefix = FmTest::S3::new_prefix();

	check('bucket',
		sub { FmTest::S3->make_server($_[0], 's', $prefix) },
		sub { return FmTest::S3::get_object("$prefix/HEAD") },
		sub { FmTest::S3::put_object("$prefix/HEAD", $_[0]) });
}

# What is damaged of the memory is ignored, and written again.
{
	my $directory = new_directory();
	my $session = connect_to($other);
	my $data = $other->data_dir;
	my %before = map { $_ => 1 } glob "$data/fusio_manifest/*";

	make_table($session, $directory, name => 'd', server => 'd');
	$session->run('INSERT INTO d VALUES (1, 1)');
	$session->close;
	my ($file) = wait_for(sub { grep { !$before{$_} } glob "$data/fusio_manifest/*" });
	($file) = grep { !$before{$_} } glob "$data/fusio_manifest/*";
	like(slurp($file), qr/^store [0-9a-f]{32} incarnation 1 version \d+ commit [0-9a-f]{32}\n$/,
		'a file says what was seen');
	spew($file, 'store 12');
	$session = connect_to($other);
	is($session->value('SELECT count(*) FROM d'), 1, 'a damaged one is ignored');
	$session->close;
	ok(wait_for(sub { slurp($file) =~ /incarnation 1 version 1 / }), 'and written again');
	like(slurp($other->logfile), qr/ignoring invalid file "fusio_manifest/, 'with a message');
}

$other->stop;
$node->stop;
done_testing();
