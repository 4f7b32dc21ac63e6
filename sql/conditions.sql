-- Conditions on the key: which clauses are, and that they answer as a native
-- table's.
SELECT 'file://' || current_setting('data_directory') || '/fm_conditions_' ||
  md5(clock_timestamp()::text) AS location \gset
CREATE SCHEMA fm_conditions;
SET search_path = fm_conditions, public;
SET client_min_messages = warning;
CREATE SERVER fm_conditions FOREIGN DATA WRAPPER fusio_manifest
  OPTIONS (location :'location');

CREATE FOREIGN TABLE t (a int NOT NULL, b text COLLATE "C" NOT NULL,
    c bool NOT NULL, v int)
  SERVER fm_conditions OPTIONS (key 'a, b, c');
CREATE FOREIGN TABLE d (a int, b int, v int)
  SERVER fm_conditions OPTIONS (key 'a DESC, b DESC');
CREATE FOREIGN TABLE flag (c bool, n int NOT NULL)
  SERVER fm_conditions OPTIONS (key 'c, n');
CREATE FOREIGN TABLE days (k date NOT NULL)
  SERVER fm_conditions OPTIONS (key 'k');
CREATE FOREIGN TABLE stamps (k timestamp NOT NULL)
  SERVER fm_conditions OPTIONS (key 'k DESC');
CREATE FOREIGN TABLE zones (k timestamptz NOT NULL)
  SERVER fm_conditions OPTIONS (key 'k');
SET timezone = 'Europe/Berlin';
CREATE TABLE ndays AS SELECT date '1999-12-27' + g AS k
  FROM generate_series(1, 9) g UNION ALL VALUES (date 'infinity'),
  (date '-infinity'), (date '5874897-12-31'), (date '4714-11-24 BC');
CREATE TABLE nstamps AS SELECT timestamp '1999-12-30' + g * interval '6 hours'
  AS k FROM generate_series(1, 20) g UNION ALL VALUES (timestamp 'infinity'),
  (timestamp '-infinity'), (timestamp '4714-11-24 BC');
CREATE TABLE nzones AS SELECT timestamptz '2026-03-28 12:00+00' +
  g * interval '1 hour' AS k FROM generate_series(1, 30) g
  UNION ALL VALUES (timestamptz 'infinity'), (timestamptz '-infinity');
INSERT INTO days SELECT * FROM ndays;
INSERT INTO stamps SELECT * FROM nstamps;
INSERT INTO zones SELECT * FROM nzones;
CREATE TABLE nt (LIKE t);
CREATE TABLE nd (LIKE d);
CREATE TABLE nflag (LIKE flag);
INSERT INTO nt SELECT g / 20, 'b' || g % 20, g % 3 = 0, g
  FROM generate_series(1, 2000) g;
INSERT INTO nd SELECT nullif(g / 20, 7), nullif(g % 20, 3), g
  FROM generate_series(1, 2000) g WHERE g / 20 <> 7;
INSERT INTO nd VALUES (NULL, 1, 0), (NULL, NULL, 0), (5000, NULL, 0);
INSERT INTO nflag SELECT CASE g % 3 WHEN 0 THEN true WHEN 1 THEN false END, g
  FROM generate_series(1, 1000) g;
INSERT INTO t SELECT * FROM nt;
INSERT INTO d SELECT * FROM nd;
INSERT INTO flag SELECT * FROM nflag;

-- Plans go by what is in the cache, where the store is far away.
SELECT (SELECT count(*) FROM t) + (SELECT count(*) FROM d) +
  (SELECT count(*) FROM flag) > 0 AS cached;

-- The condition that EXPLAIN names, the filter that is left, and whether a
-- native table gives the same rows.
CREATE FUNCTION compare(query text)
RETURNS TABLE (key_condition text, filter text, sort bool, nrows bigint,
  same bool)
LANGUAGE plpgsql AS $$
DECLARE
  line text;
  native text := regexp_replace(query, '\m(FROM|JOIN) (t|d|flag|days|stamps|zones)\M',
    '\1 n\2', 'g');
BEGIN
  sort := false;
  FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
    key_condition := coalesce(key_condition,
      regexp_replace(substring(line FROM 'Key Condition: (.*)'),
        '\$\d+|\([^()]*(Sub|Init)Plan[^()]*\)(\.col1)?', '$n', 'g'));
    filter := coalesce(filter, substring(line FROM ' Filter: (.*)'));
    sort := sort OR line LIKE '%Sort Key%';
  END LOOP;
  EXECUTE format('SELECT count(*) FROM (%s) q', query) INTO nrows;
  EXECUTE format('WITH a AS (%s), b AS (%s) SELECT NOT EXISTS (
    (TABLE a EXCEPT ALL TABLE b) UNION ALL (TABLE b EXCEPT ALL TABLE a))',
    query, native) INTO same;
  RETURN NEXT;
END
$$;
CREATE FUNCTION numbers(int, int) RETURNS int[] LANGUAGE sql STABLE
  SET search_path = '' AS 'SELECT array_agg(g) FROM pg_catalog.generate_series($1, $2) g';
\x on
\pset footer off

-- equality on the key and on a prefix; lists
SELECT * FROM compare('SELECT * FROM t WHERE a = 5 AND b = ''b7'' AND NOT c');
SELECT * FROM compare('SELECT * FROM t WHERE a = 5 AND c');
SELECT * FROM compare('SELECT * FROM t WHERE a IN (3, 4, 4, 900, NULL)');
SELECT * FROM compare('SELECT * FROM t WHERE a IN (8, 4, 3) AND b = ''b7''');
SELECT * FROM compare('SELECT * FROM t WHERE a IN (8, 4, 3) AND b > ''b7''');
SELECT * FROM compare('SELECT * FROM t WHERE a = 3 AND b = ANY (ARRAY[''b1'', ''b2'']) AND c IS FALSE');
SELECT * FROM compare('SELECT * FROM t WHERE a IN (8, 4) AND b IN (''b1'', ''b2'')');
SELECT * FROM compare('SELECT * FROM t WHERE a = ANY (''{}''::int[])');
SELECT * FROM compare('SELECT * FROM t WHERE a = ANY (NULL::int[])');
SELECT * FROM compare('SELECT a, b FROM t WHERE a IN (8, 4, 3) ORDER BY a, b LIMIT 25');
SELECT * FROM compare('SELECT a, b FROM t WHERE a IN (8, 4, 3) ORDER BY a DESC, b DESC LIMIT 25');

-- several lists: all combinations, unless these are too many
SELECT * FROM compare('SELECT * FROM t WHERE a IN (8, 4) AND b IN (''b1'', ''b2'') AND c IN (true, false)');
SELECT * FROM compare('SELECT * FROM t WHERE a IN (8, 4) AND b IN (''b1'', ''b2'') AND c');
SELECT * FROM compare('SELECT a, b FROM t WHERE a IN (8, 4) AND b IN (''b1'', ''b2'') ORDER BY a DESC, b DESC LIMIT 3');
SELECT * FROM compare('SELECT * FROM d WHERE a IN (8, 4, NULL) AND b IN (1, 2, 2)');
SELECT * FROM compare('SELECT * FROM d WHERE a = ANY (numbers(-297, 3)) AND b = ANY (numbers(-300, 9))');

-- OR: each arm has its conditions
SELECT * FROM compare('SELECT * FROM t WHERE a = 5 OR a = 7');
SELECT * FROM compare('SELECT * FROM t WHERE (a, b) IN ((5, ''b7''), (7, ''b2''), (900, ''b1''), (5, ''b7''))');
SELECT * FROM compare('SELECT * FROM t WHERE (a, b, c) IN ((5, ''b7'', true), (5, ''b7'', false), (7, ''b2'', true))');
SELECT * FROM compare('SELECT * FROM t WHERE a < 2 OR a > 98 OR a = 50 AND b > ''b3''');
SELECT * FROM compare('SELECT a, b FROM t WHERE a BETWEEN SYMMETRIC 7 AND 5 ORDER BY a DESC, b DESC LIMIT 3');
SELECT * FROM compare('SELECT * FROM t WHERE a < 7 OR a < 5 AND b = ''b2'' OR a = 6');
SELECT * FROM compare('SELECT * FROM t WHERE a = 5 AND (b = ''b1'' OR b = ''b2'' AND v > 1)');
SELECT * FROM compare('SELECT * FROM t WHERE a = 5 OR b = ''b2''');
SELECT * FROM compare('SELECT * FROM d WHERE a IS NULL OR a = 3 AND b IS NULL OR a = 4 AND b < 2');
SELECT * FROM compare('SELECT * FROM flag WHERE c AND n < 9 OR NOT c AND n < 7 OR c IS NULL AND n < 5');
SELECT * FROM compare('SELECT * FROM t WHERE a = ANY (numbers(5, 6)) OR a = ANY (numbers(6, 8)) AND b IN (''b1'', ''b2'')');

-- a join with the whole key finds one row: it is left out where none is needed
SELECT * FROM compare('SELECT x FROM (VALUES (1, 3), (5, 6)) o(x, y) LEFT JOIN d ON a = x AND b = y');
SELECT * FROM compare('SELECT x FROM (VALUES (1, 3), (5, 6)) o(x, y) LEFT JOIN d ON a = x');

-- a correlated sub-select
SELECT * FROM compare('SELECT a, b, c FROM (VALUES (1, 3), (5, 6)) o(x, y) LEFT JOIN t ON a = (SELECT max(i.a) FROM d i WHERE i.v = x * y)');

-- patterns, by their planner support functions
SELECT * FROM compare('SELECT * FROM t WHERE a = 5 AND b LIKE ''b1%''');
SELECT * FROM compare('SELECT * FROM t WHERE a = 5 AND b LIKE ''b1''');
SELECT * FROM compare('SELECT * FROM t WHERE a = 5 AND b ~ ''^b1[3-5]''');
SELECT * FROM compare('SELECT * FROM t WHERE a = 5 AND b LIKE ''%1''');

-- joins: every kind of condition on outer values
SELECT * FROM compare('SELECT a, b, c FROM (VALUES (1, 3), (5, 6)) o(x, y) JOIN t ON a = ANY (ARRAY[x, y])');
SELECT * FROM compare('SELECT a, b, c FROM (VALUES (1, 3), (5, 6)) o(x, y) JOIN t ON a BETWEEN x AND y');
SELECT * FROM compare('SELECT a, b, c FROM (VALUES (1, 3), (5, 6)) o(x, y) JOIN t ON a = x OR a = y');
SELECT * FROM compare('SELECT a, b, c FROM (VALUES (1, 3), (98, 6)) o(x, y) JOIN t ON (a, b) > (x + 98, ''b'' || y)');
SELECT * FROM compare('SELECT a, b, c FROM (VALUES (1, ''b3''), (5, ''b6'')) o(x, y) LEFT JOIN t ON a = x AND (b < y OR b = ''b7'')');

-- row comparisons
SELECT * FROM compare('SELECT * FROM t WHERE (a, b) > (98, ''b7'')');
SELECT * FROM compare('SELECT * FROM t WHERE (a, b, c) <= (1, ''b2'', false)');
SELECT * FROM compare('SELECT * FROM t WHERE (a, b, v) >= (98, ''b7'', 12)');
SELECT * FROM compare('SELECT * FROM t WHERE (a, v) < (2, 30)');
SELECT * FROM compare('SELECT * FROM t WHERE a = 5 AND (b, c) > (''b7'', true)');
SELECT * FROM compare('SELECT * FROM t WHERE (a, b) > (98, NULL)');
SELECT * FROM compare('SELECT * FROM t WHERE (a, b) > (NULL, ''b7'')');
SELECT * FROM compare('SELECT * FROM t WHERE (a, b) > (97.5, ''b7'')');
SELECT * FROM compare('SELECT * FROM t WHERE (a, b) < (3000000000, ''b7'') AND a > 98');
SELECT * FROM compare('SELECT a, b FROM t WHERE (a, b) > (50, ''b5'') ORDER BY a, b LIMIT 5');
SELECT * FROM compare('SELECT a, b FROM t WHERE (a, b) < (50, ''b5'') ORDER BY a DESC, b DESC LIMIT 5');
SELECT * FROM compare('SELECT * FROM d WHERE (a, b) > (98, 5)');
SELECT * FROM compare('SELECT * FROM d WHERE (a, b) <= (1, 5)');
SELECT * FROM compare('SELECT * FROM d WHERE (a, b) < (6, NULL)');

-- NULLs
SELECT * FROM compare('SELECT * FROM d WHERE a IS NULL');
SELECT * FROM compare('SELECT * FROM d WHERE a IS NULL AND b IS NULL');
SELECT * FROM compare('SELECT * FROM d WHERE a IS NOT NULL AND b = 3');
SELECT * FROM compare('SELECT * FROM d WHERE a = 5000 AND b IS NOT NULL');
SELECT * FROM compare('SELECT * FROM d WHERE a IS NULL AND b IS NOT NULL');
SELECT * FROM compare('SELECT * FROM d WHERE a > 97 AND a IS NOT NULL');
SELECT * FROM compare('SELECT max(a), min(a) FROM d');

-- other types of the operator family
SELECT * FROM compare('SELECT * FROM days WHERE k = timestamp ''1999-12-31''');
SELECT * FROM compare('SELECT * FROM days WHERE k = timestamp ''1999-12-31 00:00:01''');
SELECT * FROM compare('SELECT * FROM days WHERE k < timestamp ''1999-12-31 00:00:01''');
SELECT * FROM compare('SELECT * FROM days WHERE k > timestamp ''1999-12-31 00:00:01''');
SELECT * FROM compare('SELECT * FROM days WHERE k >= timestamp ''infinity''');
SELECT * FROM compare('SELECT * FROM days WHERE k > timestamp ''294276-12-31 23:59''');
SELECT * FROM compare('SELECT * FROM days WHERE k <= timestamptz ''1999-12-30 23:00+00''');
SELECT * FROM compare('SELECT * FROM stamps WHERE k = date ''2000-01-01''');
SELECT * FROM compare('SELECT * FROM stamps WHERE k < date ''2000-01-01''');
SELECT * FROM compare('SELECT * FROM stamps WHERE k > date ''5874897-12-31''');
SELECT * FROM compare('SELECT * FROM stamps WHERE k <= date ''5874897-12-31''');
SELECT * FROM compare('SELECT * FROM stamps WHERE k = ANY (ARRAY[date ''2000-01-01'', ''infinity'', ''5874897-12-31''])');
SELECT * FROM compare('SELECT * FROM zones WHERE k = timestamp ''2026-03-29 02:30''');
SELECT * FROM compare('SELECT * FROM zones WHERE k >= timestamp ''2026-03-29 02:00''');
SELECT * FROM compare('SELECT * FROM zones WHERE k <= date ''2026-03-29''');
SELECT * FROM compare('SELECT * FROM zones WHERE k > date ''5874897-12-31''');
SELECT * FROM compare('SELECT * FROM zones WHERE k < timestamp ''4714-11-24 00:00 BC''');
SELECT * FROM compare('SELECT * FROM t WHERE a = 5 AND b = name ''b7''');

-- Booleans
SELECT * FROM compare('SELECT * FROM flag WHERE c AND n = 3');
SELECT * FROM compare('SELECT * FROM flag WHERE c IS TRUE AND n < 50');
SELECT * FROM compare('SELECT * FROM flag WHERE c IS FALSE AND n < 50');
SELECT * FROM compare('SELECT * FROM flag WHERE c IS NOT TRUE AND n < 50');
SELECT * FROM compare('SELECT * FROM flag WHERE c IS UNKNOWN AND n < 50');
SELECT * FROM compare('SELECT * FROM flag WHERE c = true AND n < 50');
SELECT * FROM compare('SELECT * FROM flag WHERE NOT c ORDER BY n LIMIT 3');
SELECT * FROM compare('SELECT * FROM flag WHERE c IS TRUE ORDER BY n DESC LIMIT 3');

\x off
SET client_min_messages = warning;
DROP SERVER fm_conditions CASCADE;
DROP SCHEMA fm_conditions CASCADE;
