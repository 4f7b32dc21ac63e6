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

-- Rows that are large: not copied, wherever they go.
CREATE FOREIGN TABLE large (id int NOT NULL, v text, b bytea)
	SERVER fm_spill OPTIONS (key 'id');
CREATE TABLE large_n (id int PRIMARY KEY, v text, b bytea);
CREATE FUNCTION large_differences() RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM (
		(SELECT * FROM large EXCEPT ALL SELECT * FROM large_n) UNION ALL
		(SELECT * FROM large_n EXCEPT ALL SELECT * FROM large)) AS d
$$;
CREATE FUNCTION noise(n int) RETURNS bytea LANGUAGE sql AS $$
	SELECT decode(string_agg(md5(i::text), ''), 'hex')
	FROM generate_series(1, n / 16) AS i
$$;
CREATE PROCEDURE in_large(statement text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE replace(statement, '@', 'large');
	EXECUTE replace(statement, '@', 'large_n');
END
$$;
SET fusio_manifest.write_buffer = '4MB';
BEGIN;
CALL in_large('INSERT INTO @ SELECT i, repeat(i::text, 1500000), NULL
	FROM generate_series(1, 6) AS i');
SAVEPOINT a;
CALL in_large('UPDATE @ SET v = v || ''.'', b = noise(1100000) WHERE id > 3');
CALL in_large('INSERT INTO @ VALUES (7, ''small'', noise(1048576))');
SELECT large_differences();
ROLLBACK TO a;
SELECT large_differences();
CALL in_large('UPDATE @ SET b = noise(2000000) WHERE id IN (1, 4)');
CALL in_large('UPDATE @ SET b = b || b WHERE id = 1');
DECLARE before CURSOR FOR SELECT id, length(v), md5(b) FROM large ORDER BY id;
FETCH 1 FROM before;
CALL in_large('DELETE FROM @ WHERE id = 2');
CALL in_large('UPDATE @ SET v = ''short'' WHERE id = 3');
FETCH 2 FROM before;
SELECT large_differences();
COMMIT;
SELECT large_differences();
SELECT id, length(v), length(b) FROM large ORDER BY id DESC;
CALL in_large('UPDATE @ SET id = id + 10');
SELECT fusio_manifest_compact('large', true);
SELECT large_differences();

SET client_min_messages = warning;
DROP SERVER fm_spill CASCADE;
DROP SCHEMA fm_spill CASCADE;
