-- INSERT and COPY: duplicates, insert modes, constraints, own changes.
-- (where COPY is in its input differs between versions)
\set SHOW_CONTEXT never
SELECT 'file://' || current_setting('data_directory') || '/fm_insert_' ||
  md5(clock_timestamp()::text) AS location \gset
CREATE SCHEMA fm_insert;
SET search_path = fm_insert, public;
CREATE SERVER fm_insert FOREIGN DATA WRAPPER fusio_manifest
  OPTIONS (location :'location');
CREATE FOREIGN TABLE t (a int NOT NULL, b text COLLATE "C", v text)
  SERVER fm_insert OPTIONS (key 'a, b');

-- a table that the store does not have
SELECT * FROM t;
SELECT * FROM t WHERE a = 1 FOR UPDATE;
UPDATE t SET v = 'x';
SELECT fusio_manifest_runs('t');
SELECT fusio_manifest_compact('t');
SELECT fusio_manifest_head('fm_insert') IS NULL;
BEGIN;
SELECT fusio_manifest_create_table('t');
TABLE t;
SELECT fusio_manifest_create_table('t');
ROLLBACK;
TABLE t;
BEGIN;
INSERT INTO t VALUES (1, 'x', 'own');
TABLE t;
SELECT v FROM t WHERE a = 1 AND b = 'x';
ROLLBACK;
TABLE t;

-- rows, and duplicates of this command, this transaction and the store
INSERT INTO t VALUES (1, 'x', 'one'), (2, 'x', 'two'), (1, 'y', NULL);
INSERT INTO t VALUES (3, 'x', 'three'), (3, 'x', 'again');
INSERT INTO t VALUES (1, 'y', 'again');
INSERT INTO t SELECT g, 'x', 'many' FROM generate_series(500, 2, -1) g;
BEGIN;
INSERT INTO t VALUES (4, 'x', 'four');
SAVEPOINT s;
INSERT INTO t VALUES (4, 'x', 'again');
ROLLBACK TO s;
INSERT INTO t VALUES (5, 'x', 'five');
ROLLBACK TO s;
INSERT INTO t VALUES (5, 'x', 'five again');
COMMIT;
TABLE t;

-- NULL is a value of a key
INSERT INTO t VALUES (6, NULL, 'null');
INSERT INTO t VALUES (6, NULL, 'null again');
INSERT INTO t VALUES (6, '', 'empty');
SELECT * FROM t WHERE a = 6 AND b IS NULL;
SELECT * FROM t WHERE a = 6;

-- constraints
INSERT INTO t VALUES (NULL, 'x', 'x');
ALTER FOREIGN TABLE t ADD CONSTRAINT short CHECK (length(v) < 20);
INSERT INTO t VALUES (7, 'x', repeat('x', 20));
INSERT INTO t SELECT g, 'x', repeat('x', g) FROM generate_series(10, 30) g;
COPY t FROM STDIN;
8	x	this value is too long for it
\.
COPY t FROM STDIN;
\N	x	x
\.
SELECT count(*) FROM t WHERE a > 6;

-- COPY
COPY t FROM STDIN;
8	x	eight
8	y	\N
\.
COPY t FROM STDIN;
9	x	nine
8	y	again
\.
COPY t (b, a) FROM STDIN WITH (FORMAT csv);
z,9
\.
SELECT * FROM t WHERE a >= 8;
COPY (SELECT * FROM t WHERE a > 7) TO STDOUT;

-- ON CONFLICT
INSERT INTO t VALUES (9, 'z', 'x'), (10, 'a', 'new'), (10, 'a', 'second')
  ON CONFLICT DO NOTHING;
INSERT INTO t VALUES (9, 'z', 'x'), (10, 'b', 'new') ON CONFLICT DO NOTHING
  RETURNING *;
INSERT INTO t VALUES (9, 'z', 'x')
  ON CONFLICT (a, b) DO UPDATE SET v = excluded.v;
SELECT * FROM t WHERE a >= 9;

-- defaults, generated columns, columns in another order than the key's
CREATE FOREIGN TABLE d (v int DEFAULT 5, g int GENERATED ALWAYS AS (v * 2) STORED,
    "K" int)
  SERVER fm_insert OPTIONS (key '"K" DESC');
INSERT INTO d ("K") VALUES (1), (2);
INSERT INTO d ("K", v) VALUES (3, NULL), (4, 4);
COPY d ("K") FROM STDIN;
5
\.
TABLE d;

-- insert modes
CREATE FOREIGN TABLE up (k int, v text) SERVER fm_insert
  OPTIONS (key 'k', insert_mode 'upsert');
INSERT INTO up VALUES (1, 'a'), (2, 'b'), (1, 'c');
INSERT INTO up VALUES (2, 'd'), (3, 'e') RETURNING *;
INSERT INTO up VALUES (3, 'f'), (4, 'g') ON CONFLICT DO NOTHING RETURNING *;
UPDATE up SET k = 2 WHERE k = 1;
TABLE up;
ALTER FOREIGN TABLE up OPTIONS (SET insert_mode 'ignore');
INSERT INTO up VALUES (2, 'x'), (5, 'y'), (5, 'z') RETURNING *;
COPY up FROM STDIN;
5	copied
6	copied
\.
TABLE up;

-- a statement does not see its own rows
INSERT INTO up SELECT k + 10, v FROM up;
BEGIN;
INSERT INTO up SELECT k + 100, v FROM up;
INSERT INTO up SELECT k + 1000, v FROM up;
SELECT count(*) FROM up;
COMMIT;
SELECT count(*) FROM up;

-- triggers
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE NOTICE '% %: % -> %', tg_when, tg_op, old, new;
  IF tg_op <> 'DELETE' AND new.v = 'skip' THEN
    RETURN NULL;
  END IF;
  RETURN coalesce(new, old);
END $$;
CREATE FOREIGN TABLE tr (k int, v text) SERVER fm_insert OPTIONS (key 'k');
CREATE TRIGGER before BEFORE INSERT OR UPDATE OR DELETE ON tr
  FOR EACH ROW EXECUTE FUNCTION shout();
CREATE TRIGGER after AFTER INSERT OR UPDATE OR DELETE ON tr
  FOR EACH ROW EXECUTE FUNCTION shout();
INSERT INTO tr VALUES (1, 'a'), (2, 'skip'), (3, 'c');
UPDATE tr SET v = 'b' WHERE k = 1;
UPDATE tr SET k = 4 WHERE k = 3;
DELETE FROM tr WHERE k = 4;
TABLE tr;

-- partitions
CREATE TABLE p (k int, v text) PARTITION BY RANGE (k);
CREATE FOREIGN TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)
  SERVER fm_insert OPTIONS (key 'k');
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);
CREATE FOREIGN TABLE p3 PARTITION OF p FOR VALUES FROM (20) TO (30)
  SERVER fm_insert OPTIONS (key 'k');
INSERT INTO p SELECT g, g FROM generate_series(5, 25, 5) g;
INSERT INTO p VALUES (5, 'again');
INSERT INTO p VALUES (5, 'again'), (6, 'new') ON CONFLICT DO NOTHING;
COPY p FROM STDIN;
7	copied
17	copied
27	copied
\.
INSERT INTO p1 VALUES (17, 'wrong');
SELECT tableoid::regclass, * FROM p ORDER BY k;
UPDATE p SET k = k + 1 WHERE k IN (7, 17, 27);
UPDATE p SET k = 29 WHERE k = 18;
UPDATE p SET k = 9 WHERE k = 28;
DELETE FROM p WHERE k IN (8, 10, 29);
SELECT tableoid::regclass, * FROM p ORDER BY k;

-- a view with a check
CREATE VIEW small AS SELECT * FROM up WHERE k < 50 WITH CHECK OPTION;
INSERT INTO small VALUES (49, 'in');
INSERT INTO small VALUES (50, 'out');
SELECT * FROM up WHERE k IN (49, 50);

-- EXPLAIN counts the look-ups of duplicate checks, where there are any
CREATE FUNCTION modify_counts(command text) RETURNS TABLE (considered jsonb, filtered jsonb, searched jsonb)
LANGUAGE plpgsql AS $$
DECLARE
  plan json;
BEGIN
  EXECUTE 'EXPLAIN (ANALYZE, FORMAT JSON) ' || command INTO plan;
  RETURN QUERY SELECT p -> 'Runs Considered', p -> 'Runs Filtered', p -> 'Runs Searched'
    FROM (SELECT jsonb_path_query(plan::jsonb, '$[0].Plan')) AS x (p);
END $$;
CREATE FOREIGN TABLE counted (k int NOT NULL, v text) SERVER fm_insert OPTIONS (key 'k', filter 'fuse:16');
INSERT INTO counted SELECT 2 * g, 'x' FROM generate_series(1, 100) g;
SELECT * FROM modify_counts('INSERT INTO counted SELECT 2 * g + 1, $$y$$ FROM generate_series(1, 50) g');
SELECT * FROM modify_counts('INSERT INTO counted VALUES (100, $$y$$) ON CONFLICT DO NOTHING');
SELECT * FROM modify_counts('UPDATE counted SET v = $$z$$ WHERE k = 100');
SELECT count(*), count(*) FILTER (WHERE v = 'z') FROM counted;

-- Upsert does not look at what it replaces: not for those whom policies bind.
CREATE ROLE fm_insert_user;
CREATE TABLE parted (id int NOT NULL, owner text) PARTITION BY LIST (id);
CREATE FOREIGN TABLE parted_1 PARTITION OF parted FOR VALUES IN (1)
  SERVER fm_insert OPTIONS (key 'id', insert_mode 'upsert');
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2);
INSERT INTO parted VALUES (1, 'postgres'), (1, 'other'), (2, 'fm_insert_user');
ALTER TABLE parted ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON parted USING (owner = current_user);
GRANT ALL ON parted TO fm_insert_user;
GRANT USAGE ON SCHEMA fm_insert TO fm_insert_user;
SET ROLE fm_insert_user;
INSERT INTO parted VALUES (1, 'fm_insert_user');
UPDATE parted SET id = 1 WHERE id = 2;
RESET ROLE;
SELECT * FROM parted ORDER BY id;
ALTER FOREIGN TABLE parted_1 OPTIONS (SET insert_mode 'insert');
SET ROLE fm_insert_user;
INSERT INTO parted VALUES (1, 'fm_insert_user');
RESET ROLE;
ALTER FOREIGN TABLE parted_1 OPTIONS (SET insert_mode 'upsert');
INSERT INTO parted VALUES (1, 'once more');
SELECT * FROM parted ORDER BY id;

DROP SCHEMA fm_insert CASCADE;
SET client_min_messages = warning;
DROP SERVER fm_insert CASCADE;
DROP ROLE fm_insert_user;
