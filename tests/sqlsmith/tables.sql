-- What sqlsmith's queries are made of: keys of several types, one column and
-- several, NULLs, partitions, native tables beside foreign ones.
CREATE EXTENSION fusio_manifest;
CREATE SERVER s FOREIGN DATA WRAPPER fusio_manifest OPTIONS (location :'location');
CREATE TYPE mood AS ENUM ('sad','ok','happy');
CREATE FOREIGN TABLE ft_int (k int NOT NULL, a int, b text, c numeric, d timestamptz, e jsonb, f int[], g bool)
  SERVER s OPTIONS (key 'k');
CREATE FOREIGN TABLE ft_multi (a int NOT NULL, b text COLLATE "C" NOT NULL, c timestamptz NOT NULL, v float8, w uuid, x bytea)
  SERVER s OPTIONS (key 'a, b DESC, c');
CREATE FOREIGN TABLE ft_text (k text NOT NULL, m mood, v bigint, r int4range, n name)
  SERVER s OPTIONS (key 'k');
CREATE FOREIGN TABLE ft_nulls (a numeric, b bool, c date, v text)
  SERVER s OPTIONS (key 'a DESC, b, c');
CREATE FOREIGN TABLE ft_enum (m mood NOT NULL, i int8 NOT NULL, f float4)
  SERVER s OPTIONS (key 'm, i');
CREATE TABLE pt (k int NOT NULL, v text, x float8) PARTITION BY RANGE (k);
CREATE FOREIGN TABLE pt1 PARTITION OF pt FOR VALUES FROM (0) TO (500) SERVER s OPTIONS (key 'k');
CREATE FOREIGN TABLE pt2 PARTITION OF pt FOR VALUES FROM (500) TO (1000) SERVER s OPTIONS (key 'k');
CREATE TABLE pt3 PARTITION OF pt DEFAULT;
CREATE TABLE nt AS SELECT g AS k, g%10 AS a, 'x'||g AS b FROM generate_series(1,200) g;
ALTER TABLE nt ADD PRIMARY KEY (k);
INSERT INTO ft_int
  SELECT g, g%10, 'b'||g, g/3.0, '2024-01-01'::timestamptz + g * interval '1 hour', jsonb_build_object('a', g), ARRAY[g, NULL], g%3=0
  FROM generate_series(1,500) g;
INSERT INTO ft_int
  SELECT g, NULL, NULL, NULL, NULL, NULL, NULL, NULL
  FROM generate_series(501,600) g;
INSERT INTO ft_multi
  SELECT g%20, 'b'||g%7, '2024-01-01'::timestamptz + g * interval '1 hour', g/7.0, gen_random_uuid(), decode(md5(g::text),'hex')
  FROM generate_series(1,500) g;
UPDATE ft_multi SET v = -v WHERE a = 3;
INSERT INTO ft_text
  SELECT md5(g::text), (ARRAY['sad','ok','happy'])[g%3+1]::mood, g, int4range(g,g+10), 'n'||g
  FROM generate_series(1,300) g;
INSERT INTO ft_nulls
  SELECT nullif(g%11,0)/2.0, nullif(g%3,0)=1, CASE WHEN g%7>0 THEN date '2024-01-01'+g END, 'v'||g
  FROM generate_series(1,400) g ON CONFLICT DO NOTHING;
INSERT INTO ft_enum
  SELECT (ARRAY['sad','ok','happy'])[g%3+1]::mood, g, g/3.0
  FROM generate_series(1,300) g;
INSERT INTO pt SELECT g, 'v'||g, g/3.0 FROM generate_series(0,1200) g;
DELETE FROM ft_int WHERE k % 17 = 0;
ANALYZE ft_multi; ANALYZE ft_text;

CREATE ROLE smith LOGIN;
GRANT USAGE ON SCHEMA public TO smith;
GRANT ALL ON ALL TABLES IN SCHEMA public TO smith;
