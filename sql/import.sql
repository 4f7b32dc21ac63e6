-- IMPORT FOREIGN SCHEMA: the same types, and the same answers.
SELECT 'file://' || current_setting('data_directory') || '/fm_import_' ||
  md5(clock_timestamp()::text) AS location \gset
SET client_min_messages = warning;
CREATE SCHEMA fm_import;
CREATE SCHEMA fm_import_to;
CREATE SCHEMA fm_import_types;
SET search_path = fm_import, public;
CREATE SERVER fm_import FOREIGN DATA WRAPPER fusio_manifest
  OPTIONS (location :'location');
CREATE TYPE fm_import_types.mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE fm_import_types."Pair" AS (a int, b text);
CREATE DOMAIN fm_import_types.positive AS numeric(10, 2) CHECK (value > 0);
CREATE TYPE fm_import_types."[]" AS (x int, "y" text);
CREATE DOMAIN fm_import_types.pairs AS fm_import_types."[]"[];
CREATE DOMAIN fm_import_types."Do.main" AS fm_import_types.pairs NOT NULL;
CREATE TYPE fm_import_types.rng AS RANGE (subtype = float8);
CREATE COLLATION fm_import_types."Phone book"
  (provider = icu, locale = 'de-u-co-phonebk');
CREATE COLLATION fm_import_types.nocase
  (provider = icu, locale = 'und-u-ks-level2', deterministic = false);

CREATE FOREIGN TABLE plain (id int NOT NULL, v text)
  SERVER fm_import OPTIONS (key 'id');
CREATE FOREIGN TABLE types (
    tenant int NOT NULL,
    "Id" uuid,
    vc varchar(20) COLLATE "C",
    ch char(3) COLLATE "C",
    n numeric(12, 4),
    amount fm_import_types.positive,
    ts timestamptz(3),
    iv interval day to second(2),
    bits bit varying(9),
    ints int[],
    texts text[] COLLATE "C",
    m fm_import_types.mood NOT NULL,
    p fm_import_types."Pair",
    ps fm_import_types."Pair"[],
    c "char",
    j jsonb,
    "a ""quoted"" column" text COLLATE "POSIX",
    named name,
    "select" fm_import_types."Do.main",
    rest fm_import_types."[]"[],
    phone text COLLATE fm_import_types."Phone book",
    nocase text COLLATE fm_import_types.nocase,
    rng fm_import_types.rng,
    rngs fm_import_types.rng_multirange,
    ids oidvector,
    t time(1),
    n2 numeric(3, -2)[],
    iv2 interval year,
    b5 bit(5))
  SERVER fm_import OPTIONS (key 'tenant DESC, m, "Id" DESC', block_size '16',
    compression 'zstd:5', filter 'bloom:12');
CREATE FOREIGN TABLE "odd.name" (k text COLLATE "C" NOT NULL)
  SERVER fm_import OPTIONS (key 'k', compression 'none', filter 'none');
CREATE FOREIGN TABLE in_public (k int NOT NULL)
  SERVER fm_import OPTIONS (key 'k', table_name 'in_public');
INSERT INTO plain VALUES (1, 'one'), (2, NULL);
INSERT INTO types SELECT g, md5(g::text)::uuid, 'v' || g, g, g / 7.0, g + 0.5,
    timestamptz '2020-01-01' + g * interval '1.2345 s', g * interval '1 hour',
    B'101', ARRAY[g, NULL], ARRAY['x', NULL, g::text],
    (ARRAY['sad', 'ok', 'happy'])[1 + g % 3]::fm_import_types.mood,
    ROW(g, 'p'::text)::fm_import_types."Pair", ARRAY[ROW(g, 'q'::text)]::fm_import_types."Pair"[], 'c',
    jsonb_build_object('g', g), 'q' || g, 'n' || g,
    '{"(1,a)",NULL}', '[4:5]={"(2,)",NULL}', 'a', 'A', '[1,2)', '{[1,2),(3,4]}',
    '', '1:2:3.45', '{12345,NULL}', g * interval '1 year', B'10101'
  FROM generate_series(1, 50) g;
INSERT INTO "odd.name" VALUES ('a');
INSERT INTO in_public VALUES (1);

IMPORT FOREIGN SCHEMA fm_import FROM SERVER fm_import INTO fm_import_to;
SELECT foreign_table_name FROM information_schema.foreign_tables
  WHERE foreign_table_schema = 'fm_import_to' ORDER BY 1;

-- Types, collations, NOT NULL, options
SELECT a.attname, format_type(b.atttypid, b.atttypmod) AS type,
    b.attcollation::regcollation, b.attnotnull,
    format_type(a.atttypid, a.atttypmod) = format_type(b.atttypid, b.atttypmod)
      AND a.attcollation = b.attcollation AND a.attnotnull = b.attnotnull AS same
  FROM pg_attribute a JOIN pg_attribute b USING (attname)
  WHERE a.attrelid = 'fm_import.types'::regclass AND a.attnum > 0
    AND b.attrelid = 'fm_import_to.types'::regclass
  ORDER BY a.attnum;
SELECT ftrelid::regclass, ftoptions FROM pg_foreign_table
  WHERE ftrelid::regclass::text LIKE 'fm_import_to.%' ORDER BY 1;

-- Answers
SELECT count(*), bool_and(a::text = b::text) FROM types a
  JOIN fm_import_to.types b USING (tenant, m, "Id");
SELECT * FROM fm_import_to.plain ORDER BY id;
SELECT * FROM fm_import_to."odd.name";
INSERT INTO fm_import_to.plain VALUES (3, 'three');
SELECT count(*) FROM plain;

-- LIMIT TO, EXCEPT, public
DROP SCHEMA fm_import_to CASCADE;
CREATE SCHEMA fm_import_to;
IMPORT FOREIGN SCHEMA fm_import LIMIT TO (plain, nowhere)
  FROM SERVER fm_import INTO fm_import_to;
IMPORT FOREIGN SCHEMA fm_import EXCEPT (plain, types)
  FROM SERVER fm_import INTO fm_import_to;
IMPORT FOREIGN SCHEMA public FROM SERVER fm_import INTO fm_import_to;
CREATE SCHEMA fm_import_default;
IMPORT FOREIGN SCHEMA "default" FROM SERVER fm_import INTO fm_import_default;
SELECT count(*) FROM information_schema.foreign_tables a
  JOIN information_schema.foreign_tables b USING (foreign_table_name)
  WHERE a.foreign_table_schema = 'fm_import_to'
    AND b.foreign_table_schema = 'fm_import_default';
DROP SCHEMA fm_import_default CASCADE;
SELECT foreign_table_name FROM information_schema.foreign_tables
  WHERE foreign_table_schema = 'fm_import_to' ORDER BY 1;

-- Columns that have come and gone: the store's are imported.
DROP SCHEMA fm_import_to CASCADE;
CREATE SCHEMA fm_import_to;
CREATE FOREIGN TABLE altered (gone int, "A b" int NOT NULL, v text, w int)
  SERVER fm_import OPTIONS (key '"A b"');
ALTER FOREIGN TABLE altered DROP COLUMN gone;
ALTER FOREIGN TABLE altered ALTER v OPTIONS (column_name 'V. "v"'),
  ADD COLUMN late date DEFAULT '2020-01-01',
  ADD COLUMN twice int GENERATED ALWAYS AS (w * 2) STORED;
INSERT INTO altered VALUES (1, 'one', 1);
ALTER FOREIGN TABLE altered DROP COLUMN w CASCADE,
  ADD COLUMN later fm_import_types.positive, ADD COLUMN "C" text;
INSERT INTO altered ("A b", v) VALUES (2, 'two');
IMPORT FOREIGN SCHEMA fm_import LIMIT TO (altered)
  FROM SERVER fm_import INTO fm_import_to;
\d fm_import_to.altered
SELECT * FROM fm_import_to.altered ORDER BY 1;
SELECT * FROM altered ORDER BY 1;

-- Names are the same, however this session quotes them.
SET quote_all_identifiers = on;
ALTER FOREIGN TABLE fm_import_to.altered ADD COLUMN quoted timestamp;
UPDATE fm_import_to.altered SET quoted = '2020-01-01' WHERE "A b" = 1;
RESET quote_all_identifiers;
ALTER FOREIGN TABLE fm_import_to.altered ADD COLUMN again timestamp;
SELECT quoted FROM fm_import_to.altered ORDER BY "A b";

-- A domain that is not here, or another one
ALTER DOMAIN fm_import_types.positive RENAME TO was_positive;
CREATE DOMAIN fm_import_types.positive AS numeric(10, 3);
SET client_min_messages = notice;
DROP FOREIGN TABLE fm_import_to.altered;
IMPORT FOREIGN SCHEMA fm_import LIMIT TO (altered)
  FROM SERVER fm_import INTO fm_import_to;
DROP FOREIGN TABLE fm_import_to.altered;
DROP DOMAIN fm_import_types.positive;
IMPORT FOREIGN SCHEMA fm_import LIMIT TO (altered)
  FROM SERVER fm_import INTO fm_import_to;
SET client_min_messages = warning;
SELECT "A b", later FROM fm_import_to.altered ORDER BY 1;

-- Errors
IMPORT FOREIGN SCHEMA fm_import LIMIT TO (altered)
  FROM SERVER fm_import INTO fm_import_to;
IMPORT FOREIGN SCHEMA elsewhere FROM SERVER fm_import INTO fm_import_to;
IMPORT FOREIGN SCHEMA fm_import FROM SERVER fm_import INTO fm_import_to
  OPTIONS (import_default 'true');
ALTER TYPE fm_import_types.mood RENAME TO temper;
IMPORT FOREIGN SCHEMA fm_import LIMIT TO (types)
  FROM SERVER fm_import INTO fm_import_to;
ALTER TYPE fm_import_types.temper RENAME TO mood;
ALTER COLLATION fm_import_types.nocase RENAME TO anycase;
IMPORT FOREIGN SCHEMA fm_import LIMIT TO (types)
  FROM SERVER fm_import INTO fm_import_to;

SET client_min_messages = warning;
DROP SERVER fm_import CASCADE;
DROP SCHEMA fm_import, fm_import_to, fm_import_types CASCADE;
