-- RETURNING.
SELECT 'file://' || current_setting('data_directory') || '/fm_returning_' ||
  md5(clock_timestamp()::text) AS location \gset
CREATE SCHEMA fm_returning;
SET search_path = fm_returning, public;
CREATE SERVER fm_returning FOREIGN DATA WRAPPER fusio_manifest
  OPTIONS (location :'location');
CREATE FOREIGN TABLE t (k int, v text, n numeric, g int GENERATED ALWAYS AS (k * 2) STORED)
  SERVER fm_returning OPTIONS (key 'k');

INSERT INTO t VALUES (1, 'one', 1.10), (2, 'two', 2.20) RETURNING *;
INSERT INTO t SELECT x, 'many', x FROM generate_series(3, 5) x
  RETURNING k, tableoid::regclass, v || k AS w;
INSERT INTO t VALUES (5, 'again', 5), (6, 'six', 6) ON CONFLICT DO NOTHING
  RETURNING k, g;
UPDATE t SET v = upper(v) WHERE k <= 2 RETURNING *;
UPDATE t SET k = k + 10 WHERE k = 6 RETURNING k, v, g, t;
UPDATE t SET n = x.n FROM (VALUES (3, 33), (4, 44)) x(k, n) WHERE t.k = x.k
  RETURNING t.*, x.n AS x;
DELETE FROM t WHERE k = 1 RETURNING *;
DELETE FROM t WHERE k = 2 RETURNING v, g + 1 AS more, tableoid::regclass;
DELETE FROM t USING (VALUES (3, 'x'), (4, 'y')) x(k, y) WHERE t.k = x.k
  RETURNING t.k, v, y;
DELETE FROM t WHERE k = 99 RETURNING *;
DELETE FROM t WHERE k = 5 RETURNING 1 AS one;
TABLE t;

-- in CTEs and functions
WITH moved AS (DELETE FROM t RETURNING *)
INSERT INTO t (k, v, n) SELECT k + 1, v, n FROM moved RETURNING *;
DO $$
DECLARE
  r t%ROWTYPE;
BEGIN
  INSERT INTO t (k, v) VALUES (7, 'seven') RETURNING * INTO r;
  RAISE NOTICE '%', r;
  UPDATE t SET v = 'SEVEN' WHERE k = 7 RETURNING * INTO r;
  RAISE NOTICE '%', r;
  DELETE FROM t WHERE k = 7 RETURNING * INTO r;
  RAISE NOTICE '%', r;
END $$;

-- large values, and rows of partitions
INSERT INTO t (k, v) VALUES (8, repeat('long', 100000)) RETURNING k, length(v);
UPDATE t SET v = v || '!' WHERE k = 8 RETURNING k, length(v);
DELETE FROM t WHERE k = 8 RETURNING k, length(v);
CREATE TABLE p (k int, v text) PARTITION BY LIST (k);
CREATE FOREIGN TABLE p1 PARTITION OF p FOR VALUES IN (1, 2)
  SERVER fm_returning OPTIONS (key 'k');
CREATE FOREIGN TABLE p2 (gone int, v text, k int)
  SERVER fm_returning OPTIONS (key 'k');
ALTER FOREIGN TABLE p2 DROP COLUMN gone;
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES IN (3, 4);
INSERT INTO p VALUES (1, 'a'), (3, 'c') RETURNING tableoid::regclass, *;
UPDATE p SET v = v || v RETURNING tableoid::regclass, *;
DELETE FROM p RETURNING tableoid::regclass, *;

DROP SCHEMA fm_returning CASCADE;
SET client_min_messages = warning;
DROP SERVER fm_returning CASCADE;
