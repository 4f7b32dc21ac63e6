--
-- Rows: what comes out is what went in, to the byte.
--
SET timezone = 'UTC';

CREATE TYPE feeling AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN above_zero AS int CHECK (VALUE > 0);
CREATE TYPE point3 AS (x int, y float8, z text);
CREATE TYPE everything AS (
	k int8, a bool, b "char", c int2, d int4, e int8, f oid, g float4, h float8, i numeric, j numeric(12, 3),
	l text, m varchar(20), n char(10), o bpchar, p bytea, q uuid, r date, s time, t timetz, u timestamp,
	v timestamptz, w interval, x json, y jsonb, z xml, aa money, ab macaddr, ac macaddr8, ad inet, ae cidr,
	af point, ag lseg, ah box, ai line, aj circle, ak path, al polygon, am tid, an xid, ao xid8, ap pg_lsn,
	aq name, ar bit(5), "as" varbit, at tsvector, av int4range, aw datemultirange, ax int[],
	ay text[], az numeric[], ba feeling, bb feeling[], bc above_zero, bd above_zero[], be point3, bf point3[],
	bg regclass, bh regtype[], bi jsonpath, bj timestamptz[]);

CREATE TABLE samples OF everything;
INSERT INTO samples (k) VALUES (1);
INSERT INTO samples VALUES (2, true, 'x', -2, -3, -4, 5, 1.5, -2.5, 3.14, 3.14,
	'text', 'varchar', 'char', 'bpchar  ', '\x00ff01', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '2024-02-29', '12:34:56.789',
	'12:34:56+02', '2024-02-29 12:34', '2024-02-29 12:34+02', '1 mon -2 days 03:04:05', '{"a": [1]}', '{"a": [1, 2.50, "x", null, true, {}]}',
	'<a/>', '12.34', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', '10.1.2.3/8', '10.0.0.0/8', '(1,2)', '[(1,2),(3,4)]', '(3,4),(1,2)',
	'{1,2,3}', '<(1,2),3>', '[(1,2),(3,4)]', '((1,2),(3,4),(5,6))', '(1,2)', '3', '4', '0/16B3748', 'name', B'10110', B'101',
	'a:1 b:2', '[1,5)', '{[2024-01-01,2024-02-01)}', '{1,2,NULL}', '{a,NULL,"b c"}', '{1.50,NaN}', 'happy', '{sad,ok}', 7, '{8,9}',
	'(1,2.5,"x y")', '{"(1,2.5,x)","(,,)"}', 'pg_class', '{integer,text}', '$.a[*]', '{2024-02-29 12:34+00}');
-- Specials, and values long enough for a 4-byte header.
INSERT INTO samples (k, g, h, i, j, l, m, n, o, p, r, u, v, x, y, at, ax) VALUES
	(3, 'NaN', '-0', 'NaN', 'NaN', '', '', '', '', '', 'infinity', '-infinity', 'infinity', '""', '""', '', '{}'),
	(4, '-Infinity', 'Infinity', '-Infinity', 0, repeat('x', 126), 'x', 'x', ' ', decode(repeat('00', 126), 'hex'), '-infinity', 'infinity', '-infinity', '[]', '[]', 'a', '{{1},{2}}'),
	(5, '-0', '1e308', '1e-1000', -0.001, repeat('x', 127), 'y', E'\u00e9\u00e8', 'y', decode(repeat('00', 127), 'hex'), '0001-01-01', '0001-01-01', '0001-01-01', '{}', '{}', 'b', '[2:3]={1,2}'),
	(6, 1, 1, '1e1000', 1, repeat(E'\u4e2d', 30000), 'z', '0123456789', 'z', decode(repeat('ff', 70000), 'hex'), '2000-01-01', '2000-01-01', '2000-01-01',
		(SELECT json_agg(i) FROM generate_series(1, 2000) i), (SELECT jsonb_object_agg('k' || i, jsonb_build_array(i, i::text, i * 1.5, NULL)) FROM generate_series(1, 500) i),
		'c', (SELECT array_agg(i) FROM generate_series(1, 5000) i));

SELECT k, fm_test_round_trip(whole::everything, '{f}') *= whole::everything AS same FROM samples whole ORDER BY k;

-- Under settings that change what is printed and sent.
SET extra_float_digits = 0;
SET datestyle = 'SQL, DMY';
SET intervalstyle = 'sql_standard';
SET bytea_output = 'escape';
SET client_encoding = 'LATIN1';
CREATE TEMP TABLE trips AS SELECT fm_test_round_trip(whole::everything, '{f}') AS r, whole::everything AS s FROM samples whole;
SELECT count(*) FILTER (WHERE r *= s) AS same, count(*) FROM trips;
SHOW client_encoding;
SHOW datestyle;
RESET ALL;
SET client_encoding = 'UTF8';

-- Keys that lose something are repeated in the row only where they must be.
CREATE TYPE lossy AS (a numeric, b float8, c float4, d bpchar, e numeric(10, 2), f char(5), v int);
CREATE TABLE lossy_rows OF lossy;
INSERT INTO lossy_rows VALUES
	(1, 1, 1, 'a', 1, 'a', 1), (1.50, '-0', 1, 'a', 1, 'a', 1), (1.5, 0, '-0', 'a ', 1, 'a', 1),
	('NaN', 'NaN', 'NaN', '', 'NaN', '', 1), (NULL, NULL, NULL, NULL, NULL, NULL, NULL), (1000000, 1, 1, ' ', 0, ' ', 1),
	('Infinity', 'Infinity', '-Infinity', 'x', -12345678.9, E'\u00e9', 1), (0.00, 1, 1, 'x', 0.001, 'x', 1);
SELECT fm_test_row_size(r, '{f,t,f,t,f,t}') AS size, fm_test_round_trip(r, '{f,t,f,t,f,t}') *= r AS same, r
FROM (SELECT w::lossy FROM lossy_rows w) x(r);
-- The whole row in the key, and nothing but NULLs.
CREATE TYPE all_key AS (a int, b text, c uuid, d bytea, e bool, f feeling, g timestamptz);
CREATE TABLE all_key_rows OF all_key;
INSERT INTO all_key_rows VALUES
	(1, E'x\u4e2d', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\x0000ff', true, 'ok', '2024-01-01'),
	(-1, '', '00000000-0000-0000-0000-000000000000', '', false, 'sad', 'infinity'),
	(NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SELECT fm_test_round_trip(r, '{f,t,f,t,f,t,t}') *= r AS same, fm_test_row_size(r, '{f,t,f,t,f,t,t}')
FROM (SELECT w::all_key FROM all_key_rows w) x(r);
-- Its receive function does not restore all bytes: equality has to do.
CREATE TYPE with_tsquery AS (k int, q tsquery);
SELECT fm_test_round_trip(r, '{f}') = r AS same FROM (VALUES (ROW(1, 'a & (b | !c:*)')::with_tsquery)) x(r);
-- Values stored out of line.
CREATE TABLE toasted (k int, t text, b bytea, j jsonb, n numeric);
ALTER TABLE toasted ALTER t SET STORAGE external;
INSERT INTO toasted SELECT 1, repeat('abc', 20000), decode(repeat('0123', 20000), 'hex'), to_jsonb(array_fill('x'::text, ARRAY[20000])), repeat('7', 20000)::numeric;
SELECT fm_test_round_trip(whole, '{f}') *= whole AS same FROM toasted whole;
-- Numbers of jsonb at every place, and nesting.
CREATE TYPE with_jsonb AS (k int, j jsonb);
SELECT count(*) FILTER (WHERE fm_test_round_trip(r, '{f}') *= r) AS same, count(*) FROM (
	SELECT ROW(1, jsonb_build_array(repeat('x', i), i * 1.1, jsonb_build_object(repeat('k', i), i, 'b', ARRAY[i])))::with_jsonb FROM generate_series(0, 300) i
	UNION ALL SELECT ROW(1, (repeat('[', 1000) || repeat(']', 1000))::jsonb)::with_jsonb
	UNION ALL SELECT ROW(1, v)::with_jsonb FROM unnest('{1,true,null,"\"x\"",1e400,-0.0,"\"\""}'::jsonb[]) v) x(r);
CREATE TYPE with_numeric AS (k numeric, n numeric);
SELECT count(*) FILTER (WHERE fm_test_round_trip(r, '{f}') *= r) AS same, count(*) FROM (
	SELECT ROW(v, -v)::with_numeric FROM (
		SELECT (10::numeric ^ e) * m + d FROM generate_series(-70, 270, 3) e, unnest('{1,1.5,9999,0.00}'::numeric[]) m, unnest('{0,0.000,0.1}'::numeric[]) d) y(v)) x(r);

-- Every bit of a block is either checked or harmless.
CREATE TYPE damage AS (k text, n numeric, j jsonb, t text, b bool, i int, x numeric, e feeling, a int[], c interval);
CREATE TABLE damage_rows OF damage;
INSERT INTO damage_rows VALUES
	('key', 1.50, '{"a": [1, 2.5, "x", null, {"b": {}}], "c": true}', 'text', true, 1, -12345.678, 'ok', '{1,2}', '1 day'),
	('key', 1e200, '[]', repeat('x', 200), NULL, 1, 'NaN', NULL, NULL, '-1 mon'),
	('', 0, (SELECT jsonb_agg(i) FROM generate_series(1, 70) i), '', false, NULL, 1e-1000, 'sad', '{}', NULL);
SELECT d.noticed > 0 AS noticed, d.harmless > 0 AS harmless
FROM (SELECT w::damage FROM damage_rows w) x(r),
	fm_test_damage(r, '{f,t}') d;
