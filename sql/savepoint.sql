-- Savepoints, errors and commands: what a transaction sees of its own
-- changes, and what of them it publishes.
SELECT 'file://' || current_setting('data_directory') || '/fm_savepoint_' ||
	md5(clock_timestamp()::text) AS location \gset
CREATE SCHEMA fm_savepoint;
SET search_path = fm_savepoint, public;
SET client_min_messages = warning;
CREATE SERVER fm_savepoint FOREIGN DATA WRAPPER fusio_manifest
	OPTIONS (location :'location');
CREATE FOREIGN TABLE t (id int NOT NULL, v text)
	SERVER fm_savepoint OPTIONS (key 'id');
INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, 'three');

-- The versions that the store has published.
CREATE FUNCTION head_version() RETURNS int LANGUAGE sql
	AS $$ SELECT (fusio_manifest_head('fm_savepoint') ->> 'version')::int $$;
SELECT head_version();

-- A savepoint takes back inserts, updates and deletes.
BEGIN;
UPDATE t SET v = 'uno' WHERE id = 1;
SAVEPOINT a;
UPDATE t SET v = 'eins' WHERE id = 1;
DELETE FROM t WHERE id = 2;
INSERT INTO t VALUES (4, 'four');
SELECT * FROM t ORDER BY id;
SAVEPOINT b;
DELETE FROM t;
SELECT count(*) FROM t;
ROLLBACK TO b;
SELECT * FROM t ORDER BY id DESC;
ROLLBACK TO a;
SELECT * FROM t ORDER BY id;
INSERT INTO t VALUES (2, 'again');
ROLLBACK TO a;
INSERT INTO t VALUES (4, 'vier');
RELEASE a;
COMMIT;
SELECT * FROM t ORDER BY id;

-- A released savepoint goes with the one around it.
BEGIN;
SAVEPOINT a;
SAVEPOINT b;
INSERT INTO t VALUES (5, 'five');
RELEASE b;
SELECT v FROM t WHERE id = 5;
ROLLBACK TO a;
SELECT v FROM t WHERE id = 5;
SAVEPOINT c;
INSERT INTO t VALUES (5, 'funf');
RELEASE c;
COMMIT;
SELECT v FROM t WHERE id = 5;

-- All of it rolled back: nothing is published.
SELECT head_version() AS before \gset
BEGIN;
SAVEPOINT a;
DELETE FROM t;
INSERT INTO t VALUES (6, 'six');
ROLLBACK TO a;
COMMIT;
BEGIN;
DELETE FROM t;
ROLLBACK;
SELECT head_version() = :before AS nothing_published;

-- Nor when only rows were locked.
BEGIN;
SELECT * FROM t WHERE id = 1 FOR UPDATE;
SELECT count(*) FROM (SELECT * FROM t FOR SHARE) AS locked;
COMMIT;
SELECT head_version() = :before AS nothing_published;

-- Blocks with exception handlers.
DO $$
BEGIN
	FOR i IN 10..19 LOOP
		BEGIN
			INSERT INTO t VALUES (i, 'block');
			UPDATE t SET v = v || i WHERE id = i;
			IF i % 3 = 0 THEN
				RAISE EXCEPTION 'no';
			END IF;
			INSERT INTO t VALUES (i % 3, 'taken');
		EXCEPTION
			WHEN raise_exception THEN
				UPDATE t SET v = v || '.' WHERE id = 1;
			WHEN unique_violation THEN
				INSERT INTO t VALUES (100 + i, 'handler');
		END;
	END LOOP;
END
$$;
SELECT * FROM t ORDER BY id;

-- A statement does not see what it does itself.
INSERT INTO t SELECT id + 1000, v FROM t;
SELECT count(*) FROM t;
BEGIN;
INSERT INTO t SELECT id + 2000, v FROM t;
INSERT INTO t SELECT id + 4000, v FROM t;
SELECT count(*) FROM t;
UPDATE t SET id = id + 10000 WHERE id > 1000;
SELECT count(*), count(*) FILTER (WHERE id > 10000) AS moved FROM t;
WITH gone AS (DELETE FROM t WHERE id > 1000 RETURNING id)
SELECT (SELECT count(*) FROM gone) AS gone, count(*) FROM t;
SELECT count(*) FROM t;
ROLLBACK;

-- A key is changed many times: by commands, in and out of savepoints.
BEGIN;
DELETE FROM t WHERE id = 1;
INSERT INTO t VALUES (1, 'new');
SAVEPOINT a;
DELETE FROM t WHERE id = 1;
SAVEPOINT b;
INSERT INTO t VALUES (1, 'newer');
INSERT INTO t VALUES (1, 'newest');
ROLLBACK TO b;
SELECT v FROM t WHERE id = 1;
ROLLBACK TO a;
SELECT v FROM t WHERE id = 1;
COMMIT;
SELECT v FROM t WHERE id = 1;

-- Cursors see the changes that were made before they were opened.
BEGIN;
INSERT INTO t VALUES (-1, 'before');
DECLARE c CURSOR FOR SELECT id FROM t WHERE id < 4 ORDER BY id;
FETCH 2 FROM c;
SAVEPOINT a;
INSERT INTO t VALUES (0, 'after');
DELETE FROM t WHERE id IN (2, 3);
FETCH 1 FROM c;
ROLLBACK TO a;
FETCH 1 FROM c;
DELETE FROM t WHERE id = 3;
FETCH ALL FROM c;
ROLLBACK;

-- A cursor that is older than the first change in its store.
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM t WHERE id < 4 ORDER BY id;
FETCH 1 FROM c;
SAVEPOINT a;
UPDATE t SET v = 'changed' WHERE id < 4;
FETCH 1 FROM c;
ROLLBACK TO a;
FETCH 1 FROM c;
ROLLBACK;

-- A table that is created in a savepoint.
CREATE FOREIGN TABLE u (id int NOT NULL) SERVER fm_savepoint
	OPTIONS (key 'id');
BEGIN;
SAVEPOINT a;
SELECT fusio_manifest_create_table('u');
INSERT INTO u VALUES (1);
SELECT * FROM u;
ROLLBACK TO a;
SAVEPOINT b;
SELECT * FROM u;
ROLLBACK TO b;
INSERT INTO u VALUES (2);
COMMIT;
SELECT * FROM u;

-- A column that is added in one.
BEGIN;
INSERT INTO u VALUES (3);
SAVEPOINT a;
ALTER FOREIGN TABLE u ADD COLUMN x int;
INSERT INTO u VALUES (4, 4);
ROLLBACK TO a;
INSERT INTO u VALUES (5);
COMMIT;
SELECT * FROM u ORDER BY id;
BEGIN;
SAVEPOINT a;
ALTER FOREIGN TABLE u ADD COLUMN x int;
INSERT INTO u VALUES (4, 4);
RELEASE a;
ALTER FOREIGN TABLE u ADD COLUMN y text;
UPDATE u SET y = 'y' || id WHERE id > 2;
COMMIT;
SELECT * FROM u ORDER BY id;

-- Two tables are published together.
SELECT head_version() AS before \gset
BEGIN;
DELETE FROM u WHERE id = 2;
INSERT INTO t VALUES (7, 'seven');
COMMIT;
SELECT head_version() - :before AS versions;

-- What a transaction may not do.
CREATE SERVER fm_savepoint_other FOREIGN DATA WRAPPER fusio_manifest
	OPTIONS (location :'location');
CREATE FOREIGN TABLE other (id int NOT NULL, v text)
	SERVER fm_savepoint_other OPTIONS (key 'id');
BEGIN;
SAVEPOINT a;
INSERT INTO t VALUES (8, 'eight');
INSERT INTO other VALUES (1, 'one');
ROLLBACK TO a;
INSERT INTO other VALUES (1, 'one');
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT count(*) > 0 AS any FROM t;
DELETE FROM t;
SELECT count(*) > 0 AS any FROM t;
ROLLBACK;
BEGIN;
INSERT INTO t VALUES (8, 'eight');
PREPARE TRANSACTION 'fm_savepoint';

SET client_min_messages = warning;
DROP SERVER fm_savepoint CASCADE;
SET client_min_messages = warning;
DROP SERVER fm_savepoint_other CASCADE;
DROP SCHEMA fm_savepoint CASCADE;
