-- What a user does with tables, told apart only by what they are made of: run
-- in two databases by 016_native_twins.pl, the outputs have to be the same.
\set VERBOSITY sqlstate
\pset format unaligned
SET client_min_messages = warning;

-- Tables and partitions that are native or foreign, as the database says.
CREATE FUNCTION mk(name text, cols text, pk text, extra text DEFAULT '') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('tw.mode') = 'native' THEN
    EXECUTE format('CREATE TABLE %s (%s, PRIMARY KEY (%s))', name, cols, pk);
  ELSE
    EXECUTE format('CREATE FOREIGN TABLE %s (%s) SERVER s OPTIONS (key %L)', name, cols, pk);
    PERFORM fusio_manifest_create_table(name::regclass);
  END IF;
END $$;
CREATE FUNCTION mkp(name text, parent text, bound text, pk text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('tw.mode') = 'native' THEN
    EXECUTE format('CREATE TABLE %s PARTITION OF %s (PRIMARY KEY (%s)) %s', name, parent, pk, bound);
  ELSE
    EXECUTE format('CREATE FOREIGN TABLE %s PARTITION OF %s %s SERVER s OPTIONS (key %L)', name, parent, bound, pk);
    PERFORM fusio_manifest_create_table(name::regclass);
  END IF;
END $$;
-- 1 partitions
CREATE TABLE p (a int NOT NULL, b text, c numeric DEFAULT 7) PARTITION BY RANGE (a);
SELECT mkp('p1','p','FOR VALUES FROM (0) TO (100)','a');
SELECT mkp('p2','p','FOR VALUES FROM (100) TO (200)','a');
CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (200) TO (300);
SELECT mkp('pd','p','DEFAULT','a');
INSERT INTO p VALUES (1,'x'),(150,'y'),(250,'z'),(900,'d') RETURNING tableoid::regclass, *;
INSERT INTO p SELECT g, 'v'||g FROM generate_series(2,99) g;
INSERT INTO p SELECT g, 'v'||g FROM generate_series(101,149) g RETURNING a;
COPY p FROM stdin;
201	c1	1
151	c2	\N
950	c3	3
\.
SELECT tableoid::regclass, count(*), sum(c) FROM p GROUP BY 1 ORDER BY 1;
SELECT * FROM p WHERE a = 150;
SELECT * FROM p WHERE a IN (5,150,250,900) ORDER BY a;
PREPARE q(int) AS SELECT * FROM p WHERE a = $1;
SET plan_cache_mode = force_generic_plan;
EXECUTE q(150); EXECUTE q(900); EXECUTE q(NULL);
RESET plan_cache_mode;
UPDATE p SET b = b||'!' WHERE a IN (1,150,250,950) RETURNING tableoid::regclass, *;
UPDATE p3 SET b='w' WHERE a=250 RETURNING *;
UPDATE p SET a = a + 1 WHERE a = 5 ;
UPDATE p SET a = 1000 WHERE a = 250 RETURNING tableoid::regclass, a;
DELETE FROM p WHERE a = 900 RETURNING tableoid::regclass, *;
SELECT a, b FROM p ORDER BY a LIMIT 5;
SELECT a, b FROM p ORDER BY a DESC LIMIT 5;
SELECT min(a), max(a), count(*) FROM p;
SET enable_partitionwise_join = on; SET enable_partitionwise_aggregate = on;
SELECT count(*) FROM p x JOIN p y USING (a);
SELECT a/100, count(*) FROM p GROUP BY a/100 ORDER BY 1;
SELECT p.a, q.b FROM p LEFT JOIN LATERAL (SELECT b FROM p y WHERE y.a = p.a + 1) q ON true ORDER BY 1 LIMIT 4;
RESET enable_partitionwise_join; RESET enable_partitionwise_aggregate;
INSERT INTO p VALUES (7,'dup2') ON CONFLICT DO NOTHING;
ALTER TABLE p DETACH PARTITION p2;
SELECT count(*) FROM p; SELECT count(*) FROM p2;
INSERT INTO p VALUES (160, 'in default');
DELETE FROM p WHERE a = 160;
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (100) TO (200);
SELECT count(*) FROM p;
BEGIN; TRUNCATE p; SELECT count(*) FROM p; ROLLBACK; SELECT count(*) FROM p;
DELETE FROM p USING (VALUES (10),(110),(201)) v(k) WHERE a = k RETURNING a;
WITH d AS (DELETE FROM p WHERE a BETWEEN 20 AND 25 RETURNING *) SELECT count(*), min(a) FROM d;
WITH u AS (UPDATE p SET c = 8 WHERE a < 15 RETURNING *) INSERT INTO p SELECT a + 160, b, c FROM u WHERE a < 5 RETURNING *;
-- 2 inheritance
CREATE TABLE par (k int NOT NULL, t text); INSERT INTO par VALUES (1,'par');
SELECT mk('chi','k int NOT NULL, t text, extra int','k');
ALTER TABLE chi INHERIT par;
INSERT INTO chi VALUES (2,'chi',3),(4,'c4',5);
SELECT tableoid::regclass,* FROM par ORDER BY k;
UPDATE par SET t = t||'+' RETURNING tableoid::regclass,*;
DELETE FROM par WHERE k=2 RETURNING *;
SELECT * FROM ONLY par; SELECT * FROM chi;
SELECT k FROM par UNION ALL SELECT a FROM p WHERE a<4 ORDER BY 1;
-- memoize
SELECT mk('m','k int NOT NULL, v text','k'); INSERT INTO m SELECT g,'m'||g FROM generate_series(1,1000) g;
CREATE TABLE o AS SELECT g % 20 AS x, g FROM generate_series(1,500) g; ANALYZE o;
SET enable_hashjoin=off; SET enable_mergejoin=off;
SELECT count(*), min(v), max(v) FROM o JOIN m ON m.k = o.x;
SELECT count(*) FROM o WHERE EXISTS (SELECT 1 FROM m WHERE m.k = o.x AND m.v LIKE '%1');
SELECT count(*) FROM o WHERE NOT EXISTS (SELECT 1 FROM m WHERE m.k = o.x);
RESET enable_hashjoin; RESET enable_mergejoin;
-- cursors
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT k FROM m ORDER BY k;
FETCH 3 FROM c; FETCH BACKWARD 2 FROM c; FETCH LAST FROM c; FETCH PRIOR FROM c; MOVE ABSOLUTE 10 IN c; FETCH NEXT FROM c; FETCH FIRST FROM c;
DELETE FROM m WHERE k = 2; FETCH 3 FROM c;
COMMIT;
BEGIN; DECLARE h CURSOR WITH HOLD FOR SELECT k, v FROM m WHERE k < 6 ORDER BY k; UPDATE m SET v='chg' WHERE k=3; COMMIT;
DELETE FROM m WHERE k = 5; FETCH ALL FROM h; CLOSE h;
DO $$ DECLARE r record; n int := 0; BEGIN FOR r IN SELECT k FROM m ORDER BY k LOOP BEGIN n := n+1; UPDATE m SET v = 'l'||n WHERE k = r.k + 1; IF n % 3 = 0 THEN RAISE 'x'; END IF; EXCEPTION WHEN raise_exception THEN NULL; END; EXIT WHEN n > 20; END LOOP; END $$;
SELECT k, v FROM m WHERE k < 30 ORDER BY k;
-- RLS & views
CREATE VIEW mv AS SELECT * FROM m WHERE k < 500 WITH CHECK OPTION;
CREATE VIEW mvl AS SELECT * FROM mv WHERE k > 10 WITH LOCAL CHECK OPTION;
CREATE VIEW mvc AS SELECT * FROM mv WHERE k > 10 WITH CASCADED CHECK OPTION;
INSERT INTO mv VALUES (-1,'ok') RETURNING *;
INSERT INTO mv VALUES (5000,'bad');
INSERT INTO mvl VALUES (5,'bad'); INSERT INTO mvc VALUES (5001,'bad');
INSERT INTO mvl SELECT 100000 + g, 'x' FROM generate_series(1,3) g;
UPDATE mv SET k = 6000 WHERE k = 10;
UPDATE mv SET v = 'viaview' WHERE k = 10 RETURNING *;
UPDATE mvc SET k = 2 WHERE k = 20;
DELETE FROM mvl WHERE k = 21 RETURNING *;
SELECT count(*) FROM m;
-- triggers
SELECT mk('tr','k int NOT NULL, v text, g int','k');
CREATE TABLE log (n serial, t text);
CREATE FUNCTION trg() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
 INSERT INTO log(t) VALUES (concat_ws(' ', TG_WHEN, TG_OP, TG_LEVEL, CASE WHEN TG_LEVEL='ROW' AND TG_OP<>'INSERT' THEN OLD::text END, CASE WHEN TG_LEVEL='ROW' AND TG_OP<>'DELETE' THEN NEW::text END));
 IF TG_LEVEL='STATEMENT' OR TG_WHEN='AFTER' THEN RETURN NULL; END IF;
 IF TG_OP='DELETE' THEN IF OLD.k = 13 THEN RETURN NULL; END IF; RETURN OLD; END IF;
 IF NEW.v = 'skip' THEN RETURN NULL; END IF;
 IF NEW.v = 'key' THEN NEW.k := NEW.k + 100; END IF;
 NEW.g := coalesce(NEW.g,0) + 1; RETURN NEW;
END $$;
CREATE TRIGGER t1 BEFORE INSERT OR UPDATE OR DELETE ON tr FOR EACH ROW EXECUTE FUNCTION trg();
CREATE TRIGGER t2 AFTER INSERT OR UPDATE OR DELETE ON tr FOR EACH ROW EXECUTE FUNCTION trg();
CREATE TRIGGER t3 BEFORE INSERT OR UPDATE OR DELETE ON tr EXECUTE FUNCTION trg();
CREATE TRIGGER t4 AFTER INSERT OR UPDATE OR DELETE ON tr EXECUTE FUNCTION trg();
INSERT INTO tr VALUES (1,'a'),(2,'skip'),(3,'key'),(13,'thirteen') RETURNING *;
COPY tr(k,v) FROM stdin;
20	copy
21	skip
\.
UPDATE tr SET v = 'upd' WHERE k IN (1,103) RETURNING *;
UPDATE tr SET v = 'key' WHERE k = 1 RETURNING *;
WITH d AS (DELETE FROM tr WHERE k > 10 RETURNING k) SELECT * FROM d ORDER BY k;
SELECT * FROM tr ORDER BY k; SELECT t FROM log ORDER BY t, n;
-- generated, defaults, checks
SELECT mk('ge','k int NOT NULL, a int DEFAULT 5 CHECK (a > 0), b int GENERATED ALWAYS AS (a * 2) STORED, c text NOT NULL DEFAULT ''d''','k');
INSERT INTO ge(k) VALUES (1) RETURNING *; INSERT INTO ge(k,a) VALUES (2,-1); INSERT INTO ge(k,c) VALUES (3,NULL);
INSERT INTO ge(k,b) VALUES (3,3);
COPY ge(k,a) FROM stdin;
4	9
5	10
\.
UPDATE ge SET a = a + 1 WHERE k = 1 RETURNING *; UPDATE ge SET a = -1 WHERE k=1; WITH u AS (UPDATE ge SET b = DEFAULT RETURNING k, b) SELECT * FROM u ORDER BY k; UPDATE ge SET c = NULL;
SELECT * FROM ge ORDER BY k;
SELECT g, g.k, (g).b FROM ge g WHERE g = ROW(4,9,18,'d')::ge;
-- conflict
INSERT INTO ge(k) VALUES (100),(101) ON CONFLICT DO NOTHING RETURNING k;
-- system
SELECT tableoid::regclass, k FROM ge ORDER BY k LIMIT 1;
UPDATE ge x SET a = y.a + 100 FROM ge y WHERE x.k = y.k AND y.k < 3 RETURNING x.a, y.a;
UPDATE ge SET a = v.n FROM (VALUES (1,7),(1,7)) v(k,n) WHERE ge.k = v.k RETURNING ge.k, a;
DELETE FROM ge USING o WHERE ge.k = o.x AND ge.k = 4 RETURNING ge.k;
-- locks
SELECT k FROM m WHERE k = 10 FOR UPDATE; SELECT m.k FROM m JOIN o ON m.k=o.x WHERE o.g=7 FOR SHARE OF m; SELECT k FROM m ORDER BY k LIMIT 2 FOR NO KEY UPDATE;
SELECT k FROM (SELECT * FROM m WHERE k < 5 FOR KEY SHARE) z ORDER BY k;
-- merge as source
CREATE TABLE tgt (k int PRIMARY KEY, v text); INSERT INTO tgt VALUES (1,'t'),(10,'t');
MERGE INTO tgt USING (SELECT * FROM m WHERE k < 12) s ON tgt.k = s.k WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT VALUES (s.k, s.v);
SELECT * FROM tgt ORDER BY k;
-- conditions
SELECT mk('k2','a int NOT NULL, b bigint NOT NULL, f bool, t text','a, b');
INSERT INTO k2 SELECT i/10, i%10, i%3=0, 't'||i FROM generate_series(0,999) i;
SELECT * FROM k2 WHERE a = ANY('{1,5,NULL,5}') AND b = ANY(ARRAY[3,4]::bigint[]) ORDER BY a,b;
SELECT * FROM k2 WHERE a IN (2,3) AND b IN (1,99999999999,2) ORDER BY a DESC,b DESC;
SELECT a,b FROM k2 WHERE (a,b) > (50,7) ORDER BY a,b LIMIT 4;
SELECT a,b FROM k2 WHERE (a,b) <= (50,7) ORDER BY a DESC,b DESC LIMIT 4;
SELECT count(*) FROM k2 WHERE a BETWEEN SYMMETRIC 20 AND 10; SELECT count(*) FROM k2 WHERE a = 3::bigint AND b = 2::smallint;
SELECT count(*) FROM k2 WHERE a = 99999999999; SELECT count(*) FROM k2 WHERE a < 99999999999; SELECT count(*) FROM k2 WHERE a = ANY('{}'::int[]);
SELECT min(a), max(a) FROM k2; SELECT DISTINCT a FROM k2 WHERE a < 5 ORDER BY a; SELECT max(b) FROM k2 WHERE a = 5;
SELECT count(*) FROM k2 WHERE a = 5 AND f; SELECT count(*) FROM k2 WHERE a IS NULL;
PREPARE qq(int[], bigint[]) AS SELECT count(*), sum(a), sum(b) FROM k2 WHERE a = ANY($1) AND b = ANY($2);
SET plan_cache_mode = force_generic_plan; EXECUTE qq('{1,2,3}','{1,1,2}'); EXECUTE qq(NULL,'{1}'); EXECUTE qq('{}','{1}'); EXECUTE qq('{1,NULL}','{NULL,4}'); RESET plan_cache_mode;
SELECT k2.a, count(*) FROM k2 JOIN (VALUES (1),(2),(2)) v(x) ON k2.a = v.x GROUP BY 1 ORDER BY 1;
SELECT a, b, row_number() OVER (PARTITION BY a ORDER BY b DESC) FROM k2 WHERE a = 7 ORDER BY b LIMIT 3;
SELECT (SELECT count(*) FROM k2 i WHERE i.a = o2.a AND i.b < o2.b) FROM k2 o2 WHERE o2.a = 9 ORDER BY o2.b;
-- plan invalidation, ALTER
PREPARE pa AS SELECT * FROM k2 WHERE a = 1 AND b = 1; EXECUTE pa;
ALTER TABLE k2 ADD COLUMN n int; SELECT * FROM k2 WHERE a=1 AND b=1; INSERT INTO k2 VALUES (5000,1,true,'new',9); SELECT * FROM k2 WHERE a = 5000;
ALTER TABLE k2 DROP COLUMN f; SELECT * FROM k2 WHERE a=5000; UPDATE k2 SET n = 3 WHERE a = 1 AND b < 2 RETURNING *;
-- RLS on partitioned parent
CREATE ROLE rlsu; GRANT ALL ON p, m TO rlsu; ALTER TABLE p ENABLE ROW LEVEL SECURITY; CREATE POLICY po ON p FOR ALL TO rlsu USING (a < 10) WITH CHECK (a < 10);
SET ROLE rlsu; SELECT count(*) FROM p; INSERT INTO p VALUES (50000,'no'); INSERT INTO p SELECT g FROM generate_series(40000, 40010) g; UPDATE p SET a = 30000 WHERE a = 1; INSERT INTO p VALUES (-5,'yes') RETURNING a; UPDATE p SET b='mine' WHERE a > 5; DELETE FROM p WHERE a = 9; RESET ROLE;
SELECT count(*) FROM p;
REVOKE ALL ON m FROM rlsu; GRANT SELECT (k) ON m TO rlsu; SET ROLE rlsu; SELECT count(k) FROM m; SELECT v FROM m; RESET ROLE;
SELECT count(*) FROM p, LATERAL (SELECT 1 FROM m WHERE m.k = p.a LIMIT 1) z;
SELECT a FROM p WHERE a = (SELECT max(a) FROM p2); 
