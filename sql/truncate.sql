-- TRUNCATE: at once for its own transaction, undone with it.
SELECT 'file://' || current_setting('data_directory') || '/fm_truncate_' ||
  md5(clock_timestamp()::text) AS location \gset
CREATE SCHEMA fm_truncate;
SET search_path = fm_truncate, public;
CREATE SERVER fm_truncate FOREIGN DATA WRAPPER fusio_manifest
  OPTIONS (location :'location');
CREATE FOREIGN TABLE t (k int NOT NULL, v text)
  SERVER fm_truncate OPTIONS (key 'k');
CREATE FOREIGN TABLE u (k int NOT NULL) SERVER fm_truncate OPTIONS (key 'k');

TRUNCATE t;  -- not in the store
INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 1000) g;
INSERT INTO t VALUES (1001, 'own run');
INSERT INTO u VALUES (1);

BEGIN;
INSERT INTO t VALUES (2000, 'before');
TRUNCATE t;
SELECT count(*) FROM t;
SELECT * FROM t WHERE k = 5;
INSERT INTO t VALUES (5, 'after');
INSERT INTO t VALUES (5, 'again');
ROLLBACK;
SELECT count(*), max(v) FROM t WHERE k = 5;

-- savepoints
BEGIN;
INSERT INTO t VALUES (2000, 'before');
SAVEPOINT a;
DELETE FROM t WHERE k = 1;
TRUNCATE t;
INSERT INTO t VALUES (3000, 'in a');
SAVEPOINT b;
TRUNCATE t, u;
INSERT INTO t VALUES (4000, 'in b');
SELECT * FROM t;
SELECT count(*) FROM u;
ROLLBACK TO b;
SELECT * FROM t;
SELECT count(*) FROM u;
ROLLBACK TO a;
SELECT count(*), min(k), max(k) FROM t;
TRUNCATE t;
INSERT INTO t SELECT g, 'new' FROM generate_series(10, 12) g;
UPDATE t SET v = 'newer' WHERE k = 11;
COMMIT;
SELECT * FROM t;
SELECT level, rows, tombstones FROM fusio_manifest_runs('t');
SELECT jsonb_path_query(fusio_manifest_head('fm_truncate'),
  '$.log[last].changes[*].kinds');

-- several tables, or none
BEGIN;
TRUNCATE t, u;
COMMIT;
SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM u);
SELECT * FROM fusio_manifest_runs('t');
TRUNCATE t;
INSERT INTO t VALUES (1, 'one');
SELECT * FROM t;

-- created and emptied in one transaction
CREATE FOREIGN TABLE w (k int NOT NULL) SERVER fm_truncate OPTIONS (key 'k');
BEGIN;
INSERT INTO w VALUES (1), (2);
TRUNCATE w;
INSERT INTO w VALUES (2);
COMMIT;
SELECT * FROM w;

-- refused
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM t;
FETCH 1 FROM c;
TRUNCATE t;
ROLLBACK;
BEGIN READ ONLY;
TRUNCATE t;
ROLLBACK;
ALTER SERVER fm_truncate OPTIONS (ADD read_only 'on');
TRUNCATE t;

SET client_min_messages = warning;
SET client_min_messages = warning;
DROP SERVER fm_truncate CASCADE;
DROP SCHEMA fm_truncate CASCADE;
