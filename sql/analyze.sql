-- ANALYZE: a sample of live rows, bounded; plans for few and for many keys.
SELECT 'file://' || current_setting('data_directory') || '/fm_analyze_' ||
  md5(clock_timestamp()::text) AS location \gset
CREATE SCHEMA fm_analyze;
SET search_path = fm_analyze, public;
CREATE SERVER fm_analyze FOREIGN DATA WRAPPER fusio_manifest
  OPTIONS (location :'location');
CREATE FOREIGN TABLE t (k int NOT NULL, hundred int, half text, same int)
  SERVER fm_analyze OPTIONS (key 'k');
ANALYZE t;  -- not in the store yet
INSERT INTO t SELECT g, g % 100, CASE WHEN g % 2 = 0 THEN 'x' || g END, 7
  FROM generate_series(1, 20000) g;
UPDATE t SET same = 8 WHERE k <= 20000;  -- shadows every row

-- without statistics, by the number of rows in HEAD
CREATE TABLE few AS SELECT g * 1999 AS k FROM generate_series(1, 10) g;
CREATE TABLE many AS SELECT g AS k FROM generate_series(1, 20000) g;
ANALYZE few, many;
SELECT count(*) FROM t;  -- into the cache
CREATE FUNCTION join_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
    IF line LIKE '%Join%' OR line LIKE '%Nested Loop%' THEN
      RETURN substring(line FROM '(\w+ Join|Nested Loop)');
    END IF;
  END LOOP;
END
$$;
SELECT join_of('SELECT * FROM few JOIN t USING (k)') AS few,
  join_of('SELECT * FROM many JOIN t USING (k)') AS many;

ANALYZE t;
SELECT attname, null_frac, n_distinct, CASE WHEN attname <> 'half' THEN round(correlation::numeric, 2) END AS correlation,
    most_common_vals::text = '{8}' AS is_new
  FROM pg_stats WHERE schemaname = 'fm_analyze' AND tablename = 't'
  ORDER BY attname;
SELECT reltuples FROM pg_class WHERE oid = 't'::regclass;
SELECT join_of('SELECT * FROM few JOIN t USING (k)') AS few,
  join_of('SELECT * FROM many JOIN t USING (k)') AS many;

-- bounded
ALTER FOREIGN TABLE t OPTIONS (ADD analyze_blocks '10');
SELECT data_blocks_hit + data_blocks_fetched AS blocks
  FROM fusio_manifest_stat_tables WHERE relid = 't'::regclass \gset
ANALYZE t;
SELECT data_blocks_hit + data_blocks_fetched - :blocks BETWEEN 10 AND 60
    AS is_bounded
  FROM fusio_manifest_stat_tables WHERE relid = 't'::regclass;
SELECT null_frac BETWEEN 0.4 AND 0.6 AS half, n_distinct < -0.2 AS many
  FROM pg_stats WHERE schemaname = 'fm_analyze' AND tablename = 't'
    AND attname = 'half';

-- rows that were deleted do not count
SELECT fusio_manifest_compact('t', true) > 0 AS compacted;
DELETE FROM t WHERE k % 2 = 0;
ANALYZE t;
SELECT reltuples FROM pg_class WHERE oid = 't'::regclass;
ALTER FOREIGN TABLE t OPTIONS (SET analyze_blocks '0');

-- own changes, and a table that is empty
BEGIN;
TRUNCATE t;
INSERT INTO t VALUES (1, 1, 'one', 1), (2, 1, NULL, 1);
ANALYZE t;
SELECT attname, null_frac, n_distinct FROM pg_stats
  WHERE schemaname = 'fm_analyze' AND tablename = 't' ORDER BY attname;
ROLLBACK;
TRUNCATE t;
ANALYZE t;
SELECT count(*) FROM t;

SET client_min_messages = warning;
SET client_min_messages = warning;
DROP SERVER fm_analyze CASCADE;
DROP SCHEMA fm_analyze CASCADE;
