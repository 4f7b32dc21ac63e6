-- What is refused, and how it is said.
SELECT 'file://' || current_setting('data_directory') || '/fm_errors_' ||
  md5(clock_timestamp()::text) AS location \gset
SELECT :'location' || '_2' AS location_2 \gset
CREATE SCHEMA fm_errors;
SET search_path = fm_errors, public;
CREATE SERVER fm_errors FOREIGN DATA WRAPPER fusio_manifest
  OPTIONS (location :'location');
CREATE SERVER fm_errors_2 FOREIGN DATA WRAPPER fusio_manifest
  OPTIONS (location :'location_2');
CREATE FOREIGN TABLE t (k int, v text COLLATE "C") SERVER fm_errors OPTIONS (key 'k');
CREATE FOREIGN TABLE u (k int, v text COLLATE "C") SERVER fm_errors_2 OPTIONS (key 'k');
TABLE t;
INSERT INTO t VALUES (1, 'one');
INSERT INTO u VALUES (1, 'one');
INSERT INTO t VALUES (1);
\echo :LAST_ERROR_SQLSTATE

-- one store in a transaction
BEGIN;
INSERT INTO t VALUES (2, 'two');
INSERT INTO u VALUES (2, 'two');
COMMIT;
BEGIN;
INSERT INTO t VALUES (2, 'two');
SELECT * FROM u FOR UPDATE;
COMMIT;
BEGIN;
INSERT INTO t VALUES (2, 'two');
TABLE u;
COMMIT;
TABLE t;

-- not in a read-only transaction
BEGIN READ ONLY;
TABLE t;
INSERT INTO t VALUES (3, 'three');
COMMIT;
BEGIN READ ONLY;
SELECT fusio_manifest_compact('t');
COMMIT;
BEGIN READ ONLY;
SELECT fusio_manifest_create_table('t');
COMMIT;

-- compaction publishes at once
BEGIN;
INSERT INTO t VALUES (3, 'three');
SELECT fusio_manifest_compact('t');
COMMIT;
SELECT fusio_manifest_compact('t') > 0 AS merged;

-- columns and types that differ from the store's
CREATE FOREIGN TABLE other (k bigint, v text COLLATE "C") SERVER fm_errors
  OPTIONS (key 'k', table_name 'fm_errors.t');
TABLE other;
INSERT INTO other VALUES (1, 'x');
DROP FOREIGN TABLE other;
CREATE FOREIGN TABLE other (k int, v int) SERVER fm_errors
  OPTIONS (key 'k', table_name 'fm_errors.t');
TABLE other;
DROP FOREIGN TABLE other;
CREATE FOREIGN TABLE other (k int, v text COLLATE "C") SERVER fm_errors
  OPTIONS (key 'k DESC', table_name 'fm_errors.t');
TABLE other;
DROP FOREIGN TABLE other;
CREATE FOREIGN TABLE other (k int, v text COLLATE "C") SERVER fm_errors
  OPTIONS (key 'k, v', table_name 'fm_errors.t');
TABLE other;
DROP FOREIGN TABLE other;
-- fewer columns are enough for reading
CREATE FOREIGN TABLE other (k int) SERVER fm_errors
  OPTIONS (key 'k', table_name 'fm_errors.t');
TABLE other;
INSERT INTO other VALUES (77);
DELETE FROM other WHERE k = 3;
TABLE t;
DROP FOREIGN TABLE other;

-- keys
CREATE FOREIGN TABLE keys (k interval) SERVER fm_errors OPTIONS (key 'k');
INSERT INTO keys VALUES ('1 day');
DROP FOREIGN TABLE keys;
CREATE FOREIGN TABLE keys (k text) SERVER fm_errors OPTIONS (key 'k');
INSERT INTO keys VALUES (repeat('x', 5000));
SELECT fusio_manifest_create_table('keys');
SELECT fusio_manifest_create_table('keys');
TABLE keys;

-- row locks
SELECT * FROM t FOR UPDATE NOWAIT;
SELECT * FROM t FOR SHARE SKIP LOCKED;

-- a location that cannot be one
CREATE SERVER fm_errors_3 FOREIGN DATA WRAPPER fusio_manifest
  OPTIONS (location 'file:///dev/null');
CREATE FOREIGN TABLE nowhere (k int) SERVER fm_errors_3 OPTIONS (key 'k');
INSERT INTO nowhere VALUES (1);
TABLE nowhere;
ALTER SERVER fm_errors_3 OPTIONS (SET location 'file:///dev/null/x');
INSERT INTO nowhere VALUES (1);

-- every error left the tables as they were
TABLE t;
TABLE u;
SELECT sum(pins) FROM fusio_manifest_cache;

DROP SCHEMA fm_errors CASCADE;
DROP SERVER fm_errors, fm_errors_2, fm_errors_3;
