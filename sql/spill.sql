-- Transactions that are larger than the write buffer: what is in temporary
-- files is the same as what is in memory.  A native table beside it tells
-- what is right.
SELECT 'file://' || current_setting('data_directory') || '/fm_spill_' ||
	md5(clock_timestamp()::text) AS location \gset
CREATE SCHEMA fm_spill;
SET search_path = fm_spill, public;
SET client_min_messages = warning;
CREATE SERVER fm_spill FOREIGN DATA WRAPPER fusio_manifest
	OPTIONS (location :'location');
CREATE FOREIGN TABLE t (id int NOT NULL, v text)
	SERVER fm_spill OPTIONS (key 'id');
CREATE TABLE n (id int PRIMARY KEY, v text);

-- Rows that only one of them has.
CREATE FUNCTION differences() RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM (
		(SELECT * FROM t EXCEPT ALL SELECT * FROM n) UNION ALL
		(SELECT * FROM n EXCEPT ALL SELECT * FROM t)) AS d
$$;

-- Both get the same statement; "@" stands for the table.
CREATE PROCEDURE in_both(statement text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE replace(statement, '@', 't');
	EXECUTE replace(statement, '@', 'n');
END
$$;

SET fusio_manifest.write_buffer = '256kB';
BEGIN;
CALL in_both('INSERT INTO @ SELECT i * 7919::bigint % 20011, repeat(''x'', i % 200)
	FROM generate_series(1, 20000) AS i');
SELECT differences();
SELECT count(*) FROM t;
SELECT id, length(v) FROM t ORDER BY id LIMIT 3;
SELECT id, length(v) FROM t ORDER BY id DESC LIMIT 3;
SELECT id, length(v) FROM t WHERE id IN (5, 10000, 20010, 20011);
INSERT INTO t VALUES (10000, 'there');
ROLLBACK;
SELECT differences();

BEGIN;
CALL in_both('INSERT INTO @ SELECT i * 7919::bigint % 20011, repeat(''x'', i % 200)
	FROM generate_series(1, 20000) AS i');
CALL in_both('UPDATE @ SET v = v || ''!'' WHERE id % 3 = 0');
CALL in_both('DELETE FROM @ WHERE id % 5 = 0');
SELECT differences();
SAVEPOINT a;
CALL in_both('DELETE FROM @ WHERE id % 2 = 0');
CALL in_both('UPDATE @ SET v = ''gone''');
CALL in_both('INSERT INTO @ SELECT i, repeat(''y'', 100)
	FROM generate_series(30000, 40000) AS i');
SELECT differences();
SAVEPOINT b;
CALL in_both('UPDATE @ SET id = id + 100000');
SELECT differences();
ROLLBACK TO b;
SELECT differences();
ROLLBACK TO a;
SELECT differences();
CALL in_both('UPDATE @ SET v = id::text WHERE id < 10000');
SELECT differences();

-- A statement does not see what it does itself, in files either.
CALL in_both('INSERT INTO @ SELECT id + 100000, v FROM @');
SELECT differences();
COMMIT;
SELECT differences();
SELECT count(*) FROM t;

-- A cursor that is read while the same transaction writes.
BEGIN;
CALL in_both('UPDATE @ SET v = ''before'' WHERE id < 5000');
DECLARE c CURSOR FOR SELECT id, v FROM t WHERE id < 5000 ORDER BY id;
DECLARE d CURSOR FOR SELECT id, v FROM n WHERE id < 5000 ORDER BY id;
CREATE TEMP TABLE seen (id int, v text, here boolean);
DO $$
DECLARE
	c refcursor := 'c';
	d refcursor := 'd';
	r record;
BEGIN
	LOOP
		FETCH c INTO r;
		EXIT WHEN NOT FOUND;
		INSERT INTO seen VALUES (r.id, r.v, true);
		FETCH d INTO r;
		INSERT INTO seen VALUES (r.id, r.v, false);
		IF r.id % 100 = 1 THEN
			CALL in_both('UPDATE @ SET v = ''after'' || id
				WHERE id BETWEEN ' || r.id || ' AND ' || r.id + 2000);
		END IF;
	END LOOP;
END
$$;
SELECT count(*) FROM (
	SELECT id, v FROM seen WHERE here EXCEPT ALL
	SELECT id, v FROM seen WHERE NOT here) AS d;
SELECT count(DISTINCT v) FROM seen;
SELECT differences();
COMMIT;
SELECT differences();

-- Large rows, and the same key over and over.
BEGIN;
CALL in_both('INSERT INTO @ SELECT -i, repeat(''z'', 100000 * i)
	FROM generate_series(1, 20) AS i');
DO $$
BEGIN
	FOR i IN 1..60 LOOP
		CALL in_both('UPDATE @ SET v = v || repeat(''w'', 5000) WHERE id = -1');
	END LOOP;
END
$$;
SELECT differences();
DELETE FROM t WHERE id < -10;
DELETE FROM n WHERE id < -10;
COMMIT;
SELECT differences();
SELECT length(v) FROM t WHERE id = -1;

-- No more files than are allowed; what was there before stays.
BEGIN;
CALL in_both('INSERT INTO @ SELECT i, repeat(''x'', 1000)
	FROM generate_series(200000, 200500) AS i');
DO $$
BEGIN
	SET LOCAL temp_file_limit = '300kB';
	INSERT INTO t SELECT i, repeat(md5(i::text), 30)
		FROM generate_series(300000, 302000) AS i;
EXCEPTION WHEN configuration_limit_exceeded THEN
	RAISE WARNING 'too large';
END
$$;
SELECT differences();
CALL in_both('INSERT INTO @ SELECT i, repeat(''x'', 1000)
	FROM generate_series(300000, 300500) AS i');
COMMIT;
SELECT differences();

SET client_min_messages = warning;
DROP SERVER fm_spill CASCADE;
DROP SCHEMA fm_spill CASCADE;
