-- UPDATE and DELETE: by key, by anything, joins, keys that change, and rows
-- that one command meets twice.
SELECT 'file://' || current_setting('data_directory') || '/fm_update_' ||
  md5(clock_timestamp()::text) AS location \gset
CREATE SCHEMA fm_update;
SET search_path = fm_update, public;
CREATE SERVER fm_update FOREIGN DATA WRAPPER fusio_manifest
  OPTIONS (location :'location');
CREATE FOREIGN TABLE t (k int NOT NULL, s text COLLATE "C" NOT NULL, v int, w text)
  SERVER fm_update OPTIONS (key 's, k DESC');
INSERT INTO t SELECT g, chr(97 + (g + 2) % 3), g, 'w' || g FROM generate_series(1, 9) g;
TABLE t;

-- by key, by a part of it, by another column, by none
UPDATE t SET v = -1 WHERE s = 'a' AND k = 4;
UPDATE t SET v = v * 10 WHERE s = 'b';
UPDATE t SET w = NULL WHERE v = 3;
UPDATE t SET v = v + 1;
UPDATE t SET v = 0 WHERE s = 'z' AND k = 4;
DELETE FROM t WHERE s = 'a' AND k = 1;
DELETE FROM t WHERE v = 81;
DELETE FROM t WHERE k = 77;
TABLE t;

-- plans
EXPLAIN (COSTS OFF, VERBOSE) UPDATE t SET v = 1 WHERE s = 'a' AND k = 4;
EXPLAIN (COSTS OFF, VERBOSE) DELETE FROM t WHERE s = 'a' AND k = 4;
EXPLAIN (COSTS OFF) INSERT INTO t VALUES (1, 'a', 1, 'x');

-- keys that change
UPDATE t SET k = 40 WHERE s = 'a' AND k = 4;
UPDATE t SET k = k + 100, s = 'c' WHERE s = 'b';
UPDATE t SET k = 7 WHERE s = 'a' AND k = 40;
UPDATE t SET s = NULL WHERE k = 7;
SELECT k, s, v FROM t;
SELECT v FROM t WHERE s = 'a' AND k = 4;
SELECT v FROM t WHERE s = 'a' AND k = 40;
-- away and back within a transaction
BEGIN;
UPDATE t SET k = 1000 WHERE s = 'a' AND k = 7;
INSERT INTO t VALUES (7, 'a', 0, 'other');
DELETE FROM t WHERE k = 7;
UPDATE t SET k = 7 WHERE k = 1000;
SELECT k, s, v, w FROM t WHERE s = 'a' AND k = 7;
COMMIT;
SELECT k, s, v, w FROM t WHERE s = 'a';

-- with other tables
CREATE TABLE n (s text COLLATE "C", k int, v int);
INSERT INTO n VALUES ('a', 7, 70), ('a', 7, 71), ('c', 102, 20), ('x', 1, 1);
ANALYZE n;
UPDATE t SET v = n.v FROM n WHERE t.s = n.s AND t.k = n.k AND n.v <> 71;
SELECT k, s, v FROM t WHERE v IN (70, 71, 20);
SET enable_hashjoin = off;
SET enable_mergejoin = off;
UPDATE t SET w = 'nested loop' FROM n WHERE t.s = n.s AND t.k = n.k;
SET enable_nestloop = off;
SET enable_mergejoin = on;
SET enable_hashjoin = off;
UPDATE t SET w = w || ', merged' FROM n WHERE t.s = n.s AND t.k = n.k;
RESET enable_nestloop;
RESET enable_hashjoin;
RESET enable_mergejoin;
SELECT * FROM t WHERE w LIKE '%,%';
DELETE FROM t USING n WHERE t.s = n.s AND t.k = n.k;
SELECT count(*) FROM t;

-- a row that a command meets twice is changed once
INSERT INTO t VALUES (1, 'twice', 0, NULL);
UPDATE t SET v = t.v + 1 FROM generate_series(1, 3) g WHERE s = 'twice';
SELECT v FROM t WHERE s = 'twice';
DELETE FROM t USING generate_series(1, 3) g WHERE s = 'twice';
WITH i AS (INSERT INTO t VALUES (2, 'twice', 0, NULL) RETURNING k)
UPDATE t SET v = 1 WHERE s = 'twice';
WITH u AS (UPDATE t SET v = v + 1 WHERE s = 'twice' RETURNING v)
UPDATE t SET v = v + 10 WHERE s = 'twice';
SELECT v FROM t WHERE s = 'twice';

-- constraints
ALTER FOREIGN TABLE t ADD CONSTRAINT positive CHECK (v >= 0);
UPDATE t SET v = -1 WHERE s = 'twice';
UPDATE t SET k = NULL WHERE s = 'twice';

-- what a function called by the command changed
CREATE FUNCTION meddle() RETURNS int LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  UPDATE t SET v = 50 WHERE s = 'twice';
  RETURN 60;
END $$;
UPDATE t SET v = meddle() WHERE s = 'twice';
DELETE FROM t WHERE s = 'twice' AND meddle() = 60;
SELECT v FROM t WHERE s = 'twice';

-- savepoints
BEGIN;
DELETE FROM t WHERE s = 'twice';
SAVEPOINT one;
INSERT INTO t VALUES (2, 'twice', 1, 'again');
SAVEPOINT two;
UPDATE t SET v = 2 WHERE s = 'twice';
RELEASE two;
SELECT v, w FROM t WHERE s = 'twice';
ROLLBACK TO one;
SELECT v, w FROM t WHERE s = 'twice';
SAVEPOINT three;
INSERT INTO t VALUES (3, 'twice', 3, 'kept');
RELEASE three;
COMMIT;
SELECT k, v, w FROM t WHERE s = 'twice';

-- a cursor sees what was there when it was opened
BEGIN;
DECLARE c CURSOR FOR SELECT k, s, v FROM t WHERE s = 'twice' ORDER BY k;
UPDATE t SET v = 99 WHERE s = 'twice';
FETCH ALL FROM c;
CLOSE c;
DECLARE c CURSOR FOR SELECT k, s, v FROM t WHERE s = 'twice';
DELETE FROM t;
FETCH ALL FROM c;
SELECT count(*) FROM t;
ROLLBACK;
SELECT count(*) FROM t;

-- columns that come and go
ALTER FOREIGN TABLE t ADD COLUMN x int DEFAULT 5;
SELECT k, s, x FROM t WHERE s = 'twice';
BEGIN;
INSERT INTO t (k, s) VALUES (4, 'twice');
SELECT k, s, v, x FROM t WHERE s = 'twice';
COMMIT;
UPDATE t SET x = 6 WHERE s = 'twice' AND k = 3;
SELECT k, s, v, x FROM t WHERE s = 'twice';
ALTER FOREIGN TABLE t DROP COLUMN x;
SELECT k, s, v FROM t WHERE s = 'twice';
UPDATE t SET v = 1 WHERE s = 'twice';
INSERT INTO t (k, s) VALUES (5, 'twice');
DELETE FROM t WHERE s = 'twice' AND k = 4;
SELECT k, s, v FROM t WHERE s = 'twice';
ALTER FOREIGN TABLE t ADD COLUMN x int;
UPDATE t SET v = 1 WHERE s = 'twice';
SELECT k, s, v, x FROM t WHERE s = 'twice';

DROP SCHEMA fm_update CASCADE;
SET client_min_messages = warning;
DROP SERVER fm_update CASCADE;
