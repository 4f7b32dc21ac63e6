--
-- Keys against the server's own operators: equal values have equal bytes,
-- and the order of bytes is the order of values.
--
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';

-- Compares every value with every other, ascending and descending.
CREATE FUNCTION check_type(type text, input text[], is_ordered bool DEFAULT true,
	OUT vals int, OUT equality int, OUT ascending int, OUT descending int)
LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format($q$
		WITH v AS MATERIALIZED (
			SELECT x, fm_test_key(x) AS k, fm_test_key(x, true) AS d
			FROM (SELECT i::%1$s AS x FROM unnest($1) i) s)
		SELECT (SELECT count(*) FROM v),
			count(*) FILTER (WHERE (a.x = b.x) <> (a.k = b.k)
				OR (a.x = b.x) <> (a.d = b.d)),
			count(*) FILTER (WHERE (a.x < b.x) <> (a.k < b.k)),
			count(*) FILTER (WHERE (a.x < b.x) <> (a.d > b.d))
		FROM v a, v b$q$, type)
	INTO vals, equality, ascending, descending USING input;
	IF NOT is_ordered THEN
		ascending := NULL;
		descending := NULL;
	END IF;
END
$$;

-- A repeatable sequence of numbers in [0, 1).
CREATE FUNCTION noise(i int, salt int) RETURNS float8
LANGUAGE sql IMMUTABLE AS
$$ SELECT ('x' || substr(md5(i::text || '/' || salt), 1, 8))::bit(32)::bigint / 4294967296.0 $$;

CREATE FUNCTION integers(bits int) RETURNS text[] LANGUAGE sql AS $$
	SELECT array_agg(trunc(v)::text) FROM (
		SELECT ((noise(i, 1) - 0.5) * 2 ^ (noise(i, 2) * bits))::numeric
			FROM generate_series(1, 150) i
		UNION ALL SELECT s * (2::numeric ^ k + d) FROM generate_series(0, bits - 2) k,
			generate_series(-1, 1) d, (VALUES (1), (-1)) x(s)
		UNION ALL VALUES (-(2::numeric ^ (bits - 1))), (2::numeric ^ (bits - 1) - 1)) x(v)
$$;

SELECT * FROM check_type('bool', '{t,f}');
SELECT * FROM check_type('int4::"char"', (SELECT array_agg(i::text) FROM generate_series(-128, 127) i));
SELECT * FROM check_type('int2', integers(16));
SELECT * FROM check_type('int4', integers(32));
SELECT * FROM check_type('int8', integers(64));
SELECT * FROM check_type('oid', (SELECT array_agg(trim(leading '-' from v)) FROM unnest(integers(33)) v
	WHERE abs(v::numeric) < 4294967296));
SELECT * FROM check_type('date', (SELECT array_agg(v) FROM (
	SELECT (date '2000-01-01' + ((noise(i, 3) - 0.5) * 1000000)::int)::text FROM generate_series(1, 150) i
	UNION ALL SELECT unnest('{infinity,-infinity,4713-01-01 BC,5874897-12-31,2000-01-01,1999-12-31}'::text[])) x(v)));
SELECT * FROM check_type('time', (SELECT array_agg(v) FROM (
	SELECT (time '00:00' + noise(i, 4) * interval '86399 s')::text FROM generate_series(1, 150) i
	UNION ALL SELECT unnest('{00:00,24:00,23:59:59.999999,00:00:00.000001}'::text[])) x(v)));
SELECT * FROM check_type('timestamp', (SELECT array_agg(v) FROM (
	SELECT (timestamp '2000-01-01' + (noise(i, 5) - 0.5) * interval '10000 years')::text FROM generate_series(1, 150) i
	UNION ALL SELECT unnest('{infinity,-infinity,2000-01-01,1999-12-31 23:59:59.999999}'::text[])) x(v)));
SELECT * FROM check_type('timestamptz', (SELECT array_agg(v) FROM (
	SELECT (timestamptz '2000-01-01' + (noise(i, 6) - 0.5) * interval '10000 years')::text FROM generate_series(1, 150) i
	UNION ALL SELECT unnest('{infinity,-infinity,2000-01-01 00:00+00,2000-01-01 02:00+02}'::text[])) x(v)));
SELECT * FROM check_type('float4', (SELECT array_agg(v) FROM (
	SELECT ((noise(i, 7) - 0.5) * 10 ^ ((noise(i, 8) - 0.5) * 70))::float4::text FROM generate_series(1, 150) i
	UNION ALL SELECT unnest('{NaN,Infinity,-Infinity,0,-0,1,-1,1e-45,-1e-45,3.4028235e38,-3.4028235e38,1.1754944e-38}'::text[])) x(v)));
SELECT * FROM check_type('float8', (SELECT array_agg(v) FROM (
	SELECT ((noise(i, 9) - 0.5) * 10 ^ ((noise(i, 10) - 0.5) * 600))::text FROM generate_series(1, 150) i
	UNION ALL SELECT unnest('{NaN,Infinity,-Infinity,0,-0,1,-1,5e-324,-5e-324,1.7976931348623157e308,-1.7976931348623157e308}'::text[])) x(v)));
SELECT * FROM check_type('numeric', (SELECT array_agg(v) FROM (
	SELECT round(((noise(i, 11) - 0.5) * 10 ^ ((noise(i, 12) - 0.5) * 60))::numeric, (noise(i, 13) * 40)::int)::text
		FROM generate_series(1, 150) i
	UNION ALL SELECT (s * n)::text FROM unnest('{1,-1}'::numeric[]) s, unnest('{0.1,0.9999,0.99990001,1,1.0,1.00,1.5,
		9999,9999.9,10000,10000.0001,99999999,100000000,1e20,1e40,1.1e40,1e-20,1e-40,1.1e-40}'::numeric[]) n
	UNION ALL SELECT unnest('{0,0.0,0.000,NaN,Infinity,-Infinity}'::text[])
	UNION ALL SELECT unnest(ARRAY[repeat('9', 1000), '1e131000', '-1e131000', '1e-16000', '-1e-16000'])) x(v)));

CREATE FUNCTION strings() RETURNS text[] LANGUAGE sql AS $$
	SELECT array_agg(v) FROM (
		SELECT (SELECT string_agg(chr(1 + (noise(i * 100 + j, 14) ^ 2 * 300)::int), '')
			FROM generate_series(1, (noise(i, 15) * 12)::int) j) FROM generate_series(1, 150) i
		UNION ALL SELECT unnest(ARRAY['', ' ', 'a', 'a ', 'a  ', 'ab', E'a\x01', E'a\x01\x01', E'\x01', 'b',
			E'\u00e9', E'\u4e2d\u6587', E'\U0001F600', 'Z', 'z', 'A', repeat('x', 3000), repeat('x', 3000) || 'y'])) x(v)
	WHERE v IS NOT NULL
$$;
SELECT * FROM check_type('text COLLATE "C"', strings());
SELECT * FROM check_type('varchar COLLATE "C"', strings());
SELECT * FROM check_type('bpchar COLLATE "C"', strings());
SELECT * FROM check_type('char(20) COLLATE "C"', (SELECT array_agg(left(s, 20)) FROM unnest(strings()) s));
SELECT * FROM check_type('bytea', (SELECT array_agg(v) FROM (
	SELECT '\x' || substr(md5(i::text), 1, 2 * (noise(i, 16) * 12)::int) FROM generate_series(1, 150) i
	UNION ALL SELECT '\x' || replace(replace(replace(replace(b::text, '1', 'ff'), '0', '00'), '2', '01'), '3', 'fe')
		FROM (SELECT to_char(i, 'FM999') FROM generate_series(0, 333) i WHERE to_char(i, 'FM999') !~ '[4-9]') x(b)
	UNION ALL SELECT unnest('{"\\x","\\x0000","\\x00ff","\\x0001","\\x00ff00","\\x000100"}'::text[])) x(v)));
SELECT * FROM check_type('uuid', (SELECT array_agg(md5(i::text)) FROM generate_series(1, 150) i)
	|| '{00000000-0000-0000-0000-000000000000,ffffffff-ffff-ffff-ffff-ffffffffffff}'::text[]);
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy', 'sadder');
SELECT * FROM check_type('mood', '{sad,ok,happy,sadder}', false);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
SELECT * FROM check_type('positive', '{1,2,256,2147483647}');

-- Several columns, NULLs among them, in both directions.
CREATE TYPE pair AS (a text COLLATE "C", b numeric);
CREATE FUNCTION check_pair(a_desc bool, b_desc bool, OUT pairs int, OUT equality int, OUT wrong_order int)
LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format($q$
		WITH v AS MATERIALIZED (
			SELECT a, b, fm_test_row_key(ROW(a, b)::pair, $1) AS k,
				row_number() OVER (ORDER BY a %1$s, b %2$s) AS n,
				dense_rank() OVER (ORDER BY a %1$s, b %2$s) AS r
			FROM unnest(ARRAY['', 'a', 'a ', 'aa', E'a\x01', 'b', NULL]) a,
				unnest('{0,0.0,1,-1,1.5,NaN,Infinity,-Infinity,10000,NULL}'::numeric[]) b)
		SELECT count(*),
			count(*) FILTER (WHERE (x.r = y.r) <> (x.k = y.k)),
			count(*) FILTER (WHERE (x.r < y.r) <> (x.k < y.k))
		FROM v x, v y$q$,
		CASE WHEN a_desc THEN 'DESC' ELSE 'ASC' END,
		CASE WHEN b_desc THEN 'DESC' ELSE 'ASC' END)
	INTO pairs, equality, wrong_order USING ARRAY[a_desc, b_desc];
END
$$;
SELECT a_desc, b_desc, c.* FROM unnest('{f,t}'::bool[]) a_desc, unnest('{f,t}'::bool[]) b_desc,
	check_pair(a_desc, b_desc) c ORDER BY 1, 2;

-- Values of other types of the same operator family.
SELECT v, i.match, i.key = fm_test_key(least(v, 32767)::int2) AS key
FROM unnest('{0,-32768,32767,-1}'::int8[]) v, fm_test_key_input('int2', v) i;
SELECT v, i.* FROM unnest('{32768,9223372036854775807,-32769}'::int8[]) v, fm_test_key_input('int2', v) i;
SELECT v, i.* FROM unnest('{2147483647,2147483648,-2147483649}'::int8[]) v, fm_test_key_input('int4', v) i;
SELECT (fm_test_key_input('int8', -5::int2)).key = fm_test_key(-5::int8) AS key;
SELECT v, i.match, i.key = fm_test_key(f) AS key
FROM (VALUES ('0.5'::float8, '0.5'::float4), ('NaN', 'NaN'), ('Infinity', 'Infinity'),
	('1e300', '3.4028235e38'), ('-1e300', '-Infinity'), ('0.1', '0.099999994'), ('-0.1', '-0.1'),
	('1e-300', '0'), ('-1e-300', '-1e-45')) x(v, f),
	fm_test_key_input('float4', v) i;
SELECT (fm_test_key_input('float8', 0.1::float4)).key = fm_test_key(0.1::float4::float8) AS key;
SELECT v, i.* FROM unnest('{2000-01-01,1999-12-31 23:59:59.999999,-infinity,infinity}'::timestamp[]) v,
	fm_test_key_input('date', v) i;
SELECT v, (fm_test_key_input('timestamp', v)).match FROM unnest('{2000-01-01,294276-12-31,294277-01-01,infinity,4714-11-24 BC}'::date[]) v;
SELECT (fm_test_key_input('timestamp', date '1999-12-31')).key = fm_test_key(timestamp '1999-12-31') AS key;
SELECT (fm_test_key_input('text', name 'abc')).key = fm_test_key(text 'abc') AS key;
SELECT * FROM fm_test_key_input('date', timestamptz '2000-01-01');
SELECT * FROM fm_test_key_input('int4', 1::numeric);

-- What cannot be a key.
CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TYPE bad_interval AS (a interval);
CREATE TYPE bad_collation AS (a text COLLATE nocase);
CREATE TYPE bad_array AS (a int[]);
SELECT fm_test_row_key(ROW('1 day')::bad_interval, '{f}');
SELECT fm_test_row_key(ROW('a')::bad_collation, '{f}');
SELECT fm_test_row_key(ROW('{1}')::bad_array, '{f}');

-- The limit.
CREATE TYPE long_key AS (a text COLLATE "C");
SELECT length(fm_test_row_key(ROW(repeat('x', 4093))::long_key, '{f}'));
SELECT fm_test_row_key(ROW(repeat('x', 4094))::long_key, '{f}');
