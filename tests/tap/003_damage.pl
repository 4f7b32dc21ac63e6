# Damaged, foreign and missing objects, and places that cannot be stores: each
# is an error that names what is wrong, and never an answer.
use strict;
use warnings;

use Fcntl qw(:mode);
use File::Copy qw(copy);
use File::Path qw(make_path remove_tree);
use FmTest::Cluster;
use Test::More;

# Not preloaded: every session reads for itself.
my $node = start_node('damage', plain => 1);
my $directory = new_directory();
my $session = connect_to($node);

make_table($session, $directory, columns => 'k int NOT NULL, v text',
	options => "compression 'none'");
$session->run("INSERT INTO t SELECT g, md5(g::text)
	FROM generate_series(1, 30000) g");
$session->run("INSERT INTO t SELECT g, 'b' FROM generate_series(-10, -1) g");
$session->run("SELECT fusio_manifest_compact('t', true)");

# the one that is listed; what was merged into it lies beside it
my $listed = $session->value("SELECT id FROM fusio_manifest_runs('t')");
$listed =~ tr/-//d;
my ($run) = grep { /\Q$listed\E/ } run_files($directory);
my $all = "SELECT count(*), sum(hashtext(k || v)::bigint) FROM t";
my $answer = $session->run($all)->{rows}[0];
my $head = slurp("$directory/HEAD");

sub result
{
	my ($sql) = @_;
	my $fresh = connect_to($node);

	return $fresh->query($sql);
}

sub refused
{
	my ($name, $sqlstate, $pattern) = @_;

	for my $sql ($all, 'INSERT INTO t VALUES (50000)')
	{
		my $result = result($sql);
		my $text = join ' ', grep { defined }
		  @$result{qw(message detail hint)};

		is($result->{sqlstate} // '00000', $sqlstate, "$name: $sql");
		like($text, $pattern, "$name: the message");
	}
	return;
}

# HEAD
spew("$directory/HEAD", '');
refused('empty HEAD', 'XX001', qr/HEAD/);
for my $length (1, 7, 40, length($head) - 1)
{
	spew("$directory/HEAD", substr $head, 0, $length);
	refused("HEAD cut to $length bytes", 'XX001', qr/HEAD/);
}
spew("$directory/HEAD", $head . 'x');
refused('HEAD with a byte more', 'XX001', qr/HEAD/);
my $wrong = 0;
for my $i (0 .. 59)
{
	my $offset = int(length($head) * $i / 60);
	my $bytes = $head;

	substr($bytes, $offset, 1) ^= chr(1 << $i % 8);
	spew("$directory/HEAD", $bytes);
	$wrong++ if (result($all)->{sqlstate} // '') !~ /^(XX001|0A000)$/;
}
is($wrong, 0, 'a flipped bit anywhere in HEAD is found');
unlink "$directory/HEAD";
refused('missing HEAD', 'XX001', qr/HEAD/);
ok(!-e "$directory/HEAD", 'and is not made anew');

# HEAD of another store, with a table of the same name
my $other = new_directory();
make_table($session, $other, name => 'other', server => 'other',
	columns => 'k int NOT NULL, v text', options => "table_name 't'");
$session->run('INSERT INTO other VALUES (1, 1)');
spew("$directory/HEAD", $head);
my $before = connect_to($node);
$before->run($all);
spew("$directory/HEAD", slurp("$other/HEAD"));
isnt($before->sqlstate($all), '00000',
	'HEAD of another store, met by those who know it');
$before->close;
isnt(result($all)->{sqlstate}, undef, 'and by those who do not');
spew("$directory/HEAD", $head);
is_deeply(result($all)->{rows}[0], $answer, 'all is well again');

# A run: each of many bytes flipped is found, or not read.
my $bytes = slurp($run);
my ($id) = $run =~ m{([0-9a-f]{32})\.run$};
my (@bad, $found);
for my $i (0 .. 79)
{
	my $offset = int(length($bytes) * $i / 80);
	my $damaged = $bytes;
	my $result;

	substr($damaged, $offset, 1) ^= chr(1 << $i % 8);
	spew($run, $damaged);
	$result = result($all);
	if (defined $result->{sqlstate})
	{
		$found++;
		push @bad, "$offset: $result->{sqlstate} $result->{message}"
		  if $result->{sqlstate} ne 'XX001'
		  || $result->{message} !~ /\Q$id\E/
		  || $result->{message} !~ /offset \d+/;
	}
	elsif ("@{ $result->{rows}[0] }" ne "@$answer")
	{
		push @bad, "$offset: another answer";
	}
}
is("@bad", '', 'damage names run and offset');
cmp_ok($found, '>=', 76, 'nearly every byte of a run counts');

# the same for look-ups
my $offset = int(length($bytes) / 2);
my $damaged = $bytes;
substr($damaged, $offset, 1) ^= "\x10";
spew($run, $damaged);
my ($errors, $right) = (0, 0);
my $lookups = connect_to($node);
for my $k (map { $_ * 100 } 1 .. 300)
{
	my $result = $lookups->query("SELECT v = md5(k::text) FROM t WHERE k = $k");

	$errors++ if ($result->{sqlstate} // '') eq 'XX001';
	$right++ if !defined $result->{sqlstate} && $result->{rows}[0][0] eq 't';
}
cmp_ok($errors, '>', 0, 'a look-up that needs the block fails');
is($errors + $right, 300, 'the others are answered');

for my $length (0, 10, int(length($bytes) / 2), length($bytes) - 1)
{
	spew($run, substr $bytes, 0, $length);
	my $result = result($all);

	is($result->{sqlstate}, 'XX001', "run cut to $length bytes");
	like($result->{message}, qr/\Q$id\E/, 'the message names it');
}
unlink $run;
my $missing = result($all);
is($missing->{sqlstate}, 'XX001', 'missing run');
like($missing->{message}, qr/\Q$id\E/, 'the message names it');
is(result('SELECT count(*) FROM other')->{rows}[0][0], 1,
	'other stores are not concerned');
spew($run, $bytes);
is_deeply(result($all)->{rows}[0], $answer, 'all is well again');

# A store that was removed, under those who use it.
my $reader = connect_to($node);
is_deeply($reader->run($all)->{rows}[0], $answer, 'a session reads');
rename $directory, "$directory.away" or die "could not rename: $!";
isnt($reader->sqlstate('SELECT count(*) FROM t'), '00000',
	'the store is gone');
isnt($reader->sqlstate('INSERT INTO t VALUES (60000)'), '00000',
	'and is not made anew');
ok(!-e "$directory/HEAD", 'no HEAD is there');
remove_tree($directory);
rename "$directory.away", $directory or die "could not rename: $!";
is_deeply($reader->run($all)->{rows}[0], $answer, 'and back again');

# Places that cannot be stores.
my $place = new_directory();
open my $file, '>', $place or die "could not write \"$place\": $!";
print $file "not a directory\n";
close $file;
make_table($session, $place, name => 'in_file', server => 'in_file');
for my $sql ('SELECT * FROM in_file', 'INSERT INTO in_file VALUES (1)')
{
	my $result = result($sql);

	isnt($result->{sqlstate}, undef, "location is a file: $sql");
	like($result->{message}, qr/\Q$place\E/, 'the message names it');
}
is(slurp($place), "not a directory\n", 'the file stays as it was');

$place = new_directory();
make_path($place);
open $file, '>', "$place/letter" or die "could not write: $!";
close $file;
make_table($session, $place, name => 'in_use', server => 'in_use');
isnt($session->sqlstate('INSERT INTO in_use VALUES (1)'), '00000',
	'a directory with something else in it');
ok(!-e "$place/HEAD", 'no HEAD is put there');

SKIP:
{
	skip 'root may write everywhere', 4 if $< == 0;
	$place = new_directory();
	make_path($place);
	make_table($session, $place, name => 'unwritable', server => 'unwritable');
	chmod 0500, $place;
	is($session->sqlstate('INSERT INTO unwritable VALUES (1)'), '42501',
		'unwritable directory');
	chmod 0700, $place;
	is($session->sqlstate('INSERT INTO unwritable VALUES (1)'), '00000',
		'writable again');
	chmod 0500, $place;
	is($session->value('SELECT count(*) FROM unwritable'), 1,
		'reading needs no right to write');
	is($session->sqlstate('INSERT INTO unwritable VALUES (2)'), '42501',
		'unwritable once more');
	chmod 0700, $place;
}

# Modes of what was made.
my $modes = join ' ', map { sprintf '%04o', S_IMODE((stat)[2]) } $directory,
  "$directory/HEAD", "$directory/runs", $run;
is($modes, '0700 0600 0700 0600', 'only the owner can read a store');

# After all that, the store works.
$session = connect_to($node);
$session->run("INSERT INTO t VALUES (70000, 'x')");
is($session->value('SELECT count(*) FROM t'), $answer->[0] + 1, 'it works');

done_testing();
