--
-- A local table against the stored one.
--
CREATE TYPE stored AS (k int, a text COLLATE "C", b numeric(10, 2), c int[], d timestamptz);
CREATE TYPE more_columns AS (k int, x text, b numeric(10, 2), a text COLLATE "C", y int, d timestamptz, c int[], z jsonb);
CREATE TYPE fewer_columns AS (k int, c int[], a text COLLATE "C");
CREATE DOMAIN money_amount AS numeric(10, 2) CHECK (VALUE > 0);
CREATE TYPE domain_column AS (k int, b money_amount);
SET timezone = 'UTC';
CREATE FUNCTION read_as(target anyelement, OUT missing int, OUT complete bool, OUT before text, OUT after text)
RETURNS record LANGUAGE sql AS
$$ SELECT * FROM fm_test_read_as(ROW(1, 'text', 2.5, '{1,2}', '2024-01-01')::stored, '{f}', target) $$;

SELECT * FROM read_as(ROW(0, 'text', 2.5, '{1,2}', '2024-01-01')::stored);
SELECT * FROM read_as(ROW(0, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::more_columns);
SELECT * FROM read_as(ROW(0, NULL, NULL)::fewer_columns);
SELECT * FROM read_as(ROW(0, 1)::domain_column);

-- What does not match.
CREATE TYPE other_type AS (k int, a varchar COLLATE "C");
CREATE TYPE other_typmod AS (k int, b numeric(12, 2));
CREATE TYPE other_collation AS (k int, a text COLLATE "en-x-icu");
CREATE TYPE other_key_type AS (k bigint);
CREATE TYPE other_key AS (a text COLLATE "C", k int);
CREATE TYPE longer_key AS (k int, a text COLLATE "C");
SELECT read_as(ROW(0, NULL)::other_type);
SELECT read_as(ROW(0, NULL)::other_typmod);
SELECT read_as(ROW(0, NULL)::other_collation);
SELECT read_as(ROW(0)::other_key_type);
SELECT read_as(ROW('', 0)::other_key);
SELECT fm_test_read_as(ROW('', 0)::other_key, '{f,t}', ROW(0, '')::longer_key);
