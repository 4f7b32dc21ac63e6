#-------------------------------------------------------------------------
#
# Types
#	  The types that the differential test makes columns of, with values.
#
# Of each: sql (its name), collate, key (may be a key column), order (has a
# btree order), minmax (has the aggregates), cross (types whose values it is
# compared with), canonical (an expression that makes equal values look
# equal), gen (makes a value's text).  Values are texts, undef is
# NULL.  A gen of a key type takes care that duplicates are likely.
#
#-------------------------------------------------------------------------
package Types;

use strict;
use warnings;

our %TYPE = (
	bool => { key => 1, order => 1, gen => sub { pick('t', 'f') } },
	'"char"' => {
		key => 1,
		order => 1,
		gen => sub { pick('', 'a', 'b', 'z', '~', '0', ' ', "\t") }
	},
	int2 => {
		key => 1,
		order => 1,
		minmax => 1,
		cross => [ 'int4', 'int8', 'numeric' ],
		gen => sub { pick(-32768, 32767, -1, 0, 1, irand(-20, 20)) }
	},
	int4 => {
		key => 1,
		order => 1,
		minmax => 1,
		cross => [ 'int8', 'numeric', 'float8' ],
		gen => sub {
			pick(-2147483648, 2147483647, -1, 0, 1, irand(-20, 200),
				irand(-100000, 100000));
		}
	},
	int8 => {
		key => 1,
		order => 1,
		minmax => 1,
		cross => ['numeric'],
		gen => sub {
			pick('-9223372036854775808', '9223372036854775807', -1, 0, 1,
				irand(-20, 200), irand(-1e12, 1e12));
		}
	},
	oid => {
		key => 1,
		order => 1,
		minmax => 1,
		gen => sub { pick(0, 1, 4294967295, 2147483648, irand(0, 100)) }
	},
	date => {
		key => 1,
		order => 1,
		minmax => 1,
		cross => [ 'timestamp', 'timestamptz' ],
		gen => sub {
			pick('infinity', '-infinity', '0044-03-15 BC', '1970-01-01',
				'2000-01-01', sprintf '2026-%02d-%02d', irand(1, 12),
				irand(1, 28));
		}
	},
	time => {
		key => 1,
		order => 1,
		minmax => 1,
		gen => sub {
			pick('00:00', '24:00', '23:59:59.999999', sprintf '%02d:%02d',
				irand(0, 23), irand(0, 59));
		}
	},
	timestamp => {
		key => 1,
		order => 1,
		minmax => 1,
		cross => ['date'],
		gen => \&timestamp
	},
	timestamptz => {
		key => 1,
		order => 1,
		minmax => 1,
		cross => [ 'timestamp', 'date' ],
		gen => \&timestamp
	},
	float4 => {
		key => 1,
		order => 1,
		minmax => 1,
		cross => ['float8'],
		canonical => '%s + 0',
		gen => \&float
	},
	float8 => { key => 1, order => 1, minmax => 1, canonical => '%s + 0',
		gen => \&float },
	numeric => {
		canonical => 'trim_scale(%s)',
		key => 1,
		order => 1,
		minmax => 1,
		gen => sub {
			pick('0', '0.00', '-0.0', '1.0', '1.00', '1', '-1.50', '-1.5',
				'NaN', 'Infinity', '-Infinity', '1e100', '1e-100', '10000',
				'9999.9999', '-10000.0', '0.0001', '12345678901234567890.5',
				irand(-99, 99) / 10, irand(-99999, 99999) . '.' . irand(0, 99));
		}
	},
	'numeric(8,2)' => {
		key => 1,
		order => 1,
		minmax => 1,
		gen => sub { pick('0', 'NaN', '1', '-99.99', irand(-999, 999) / 100) }
	},
	'text COLLATE "C"' =>
	  { sql => 'text', collate => '"C"', key => 1, order => 1, minmax => 1,
		cross => ['varchar'], gen => \&word },
	text => { key => 1, order => 1, minmax => 1, gen => \&word },
	'text COLLATE "en-x-icu"' =>
	  { sql => 'text', collate => '"en-x-icu"', key => 1, order => 1,
		minmax => 1, gen => \&word },
	'varchar(20)' => { key => 1, order => 1, minmax => 1, cross => ['text'],
		gen => sub { substr word() =~ s/[^\x00-\x7f]//gr, 0, 20 } },
	'char(6)' => {
		key => 1,
		order => 1,
		minmax => 1,
		cross => ['text'],
		gen => sub { pick('', 'a', 'a ', 'ab', "a\t", "a\x01", 'abcdef',
				'b', 'abc   ') }
	},
	bytea => {
		key => 1,
		order => 1,
		gen => sub {
			'\x' . join '',
			  map { pick('00', '01', 'ff', '61', '7f') } 1 .. irand(0, 4);
		}
	},
	uuid => {
		key => 1,
		order => 1,
		gen => sub {
			sprintf '%08x-0000-4000-8000-0000000000%02x',
			  pick(0, 1, 4294967295), pick(0, 1, 2, 255);
		}
	},
	mood => {
		key => 1,
		order => 1,
		minmax => 1,
		gen => sub { pick('sad', 'ok', 'happy', 'a mood of many words') }
	},
	posint => { key => 1, order => 1, minmax => 1, gen => sub { irand(1, 30) } },

	# not for keys
	bigtext => {
		sql => 'text',
		order => 1,
		gen => sub { pick(1, 0) ? word() : long_text() }
	},
	interval => {
		order => 1,
		gen => sub { irand(-50, 50) . ' months ' . irand(-900, 900) . ' hours' }
	},
	timetz => { order => 1, gen => sub { sprintf '%02d:00+%02d', irand(0, 23),
		irand(0, 12) } },
	json => { gen => \&json },
	jsonb => { order => 1, gen => \&json },
	'int4[]' => {
		order => 1,
		gen => sub { '{' . join(',', map { pick('NULL', irand(0, 9)) }
				1 .. irand(0, 6)) . '}' }
	},
	'text[]' => {
		order => 1,
		gen => sub { pick('{}', '{a,NULL,"b c"}', '{{a,b},{c,d}}',
				'[2:3]={x,y}') }
	},
	int4range => { order => 1, gen => sub { pick('empty', '[1,5)', '(,3]',
		'[' . irand(0, 9) . ',20)') } },
	tstzrange => { order => 1, gen => sub { pick('empty',
		'[2026-01-01 00:00+00,)', '(,infinity]') } },
	int4multirange => { order => 1, gen => sub { pick('{}', '{[1,3),[7,9)}') } },
	inet => { order => 1, gen => sub { pick('::1', '10.0.0.1/8',
		'192.168.' . irand(0, 255) . '.1') } },
	name => { order => 1, gen => sub { pick('', 'pg_class', 'Ä Name') } },
	point => { gen => sub { '(' . irand(0, 9) . ',' . irand(0, 9) . ')' } },
	'bit varying(20)' => { order => 1, gen => sub { pick('', '101',
		'11111111000') } },
	tsvector => { order => 1, gen => sub { pick('', "'a':1 'b':2,3A") } },
	pair => { order => 1, gen => sub { pick('(1,x)', '(,)', '(7,"a b")') } },
	money => { order => 1, gen => sub { pick('0', '12.34', '-5') } },
	regclass => { gen => sub { pick('pg_class', 'pg_type') } },
);

our @KEY_TYPES = sort grep { $TYPE{$_}{key} } keys %TYPE;
our @ALL_TYPES = sort keys %TYPE;

$TYPE{$_}{sql} //= $_ for @ALL_TYPES;

# Types that the tables use, in schema "public".
our $SETUP = <<'SQL';
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy', 'a mood of many words');
CREATE DOMAIN posint AS int CHECK (VALUE > 0);
CREATE TYPE pair AS (a int, b text);
SQL

sub quote
{
	my ($text) = @_;

	return 'NULL' unless defined $text;
	$text =~ s/'/''/g;
	return "'$text'";
}

sub pick { return $_[ int rand @_ ]; }

sub irand
{
	my ($low, $high) = @_;

	return sprintf '%.0f', $low + int rand($high - $low + 1);
}

sub timestamp
{
	return pick(
		'infinity', '-infinity', '1970-01-01 00:00:00', '2000-01-01',
		sprintf('2026-03-%02d %02d:%02d:00.%06d', irand(1, 28), irand(0, 23),
			irand(0, 59), irand(0, 999999)));
}

sub float
{
	return pick('0', '-0', 'NaN', 'Infinity', '-Infinity', '1e-40', '-1e30',
		'1.1', irand(-9, 9), irand(-99, 99) / 8);
}

my @LETTERS = ('a', 'b', 'c', 'A', 'B', 'z', '0', '-', '_', ' ', 'ä', 'é',
	'ß', "\x{1}", 'aa', '%');

sub word
{
	return pick('', 'a', 'b', 'ab', 'Ab', 'aB', 'äb', 'a b', "a'b", 'a\\b')
	  if rand() < 0.3;
	return join '', map { pick(@LETTERS) } 1 .. irand(1, 5)
	  if rand() < 0.9;
	return 'long ' . pick('x', 'y', 'z') x irand(1, 300);
}

# Text that compresses badly, short of a block up to several of them.
sub long_text
{
	return join '', map { sprintf '%x', int rand 1e9 } 1 .. irand(1, 1500);
}

sub json
{
	return pick('null', '1.50', '"x"', '[]', '{}', '[1, {"a": null}]',
		'{"b": [true, 2.0], "a": "' . irand(0, 99) . '"}',
		'{"long": "' . ('y' x irand(0, 400)) . '"}');
}

1;
