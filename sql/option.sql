-- Options: names, values, what must be there, and who may set them.
SELECT 'file://' || current_setting('data_directory') || '/fm_option_' ||
  md5(clock_timestamp()::text) AS location \gset
CREATE SCHEMA fm_option;
SET search_path = fm_option, public;

-- servers
CREATE SERVER fm_option FOREIGN DATA WRAPPER fusio_manifest;
CREATE SERVER fm_option FOREIGN DATA WRAPPER fusio_manifest
  OPTIONS (locatoin 'file:///somewhere');
CREATE SERVER fm_option FOREIGN DATA WRAPPER fusio_manifest
  OPTIONS (colour 'red');
CREATE SERVER fm_option FOREIGN DATA WRAPPER fusio_manifest
  OPTIONS (location 'somewhere');
CREATE SERVER fm_option FOREIGN DATA WRAPPER fusio_manifest
  OPTIONS (location 'ftp://host/somewhere');
CREATE SERVER fm_option FOREIGN DATA WRAPPER fusio_manifest
  OPTIONS (location 'file://somewhere');
CREATE SERVER fm_option FOREIGN DATA WRAPPER fusio_manifest
  OPTIONS (location 'file:///somewhere/../else');
CREATE SERVER fm_option FOREIGN DATA WRAPPER fusio_manifest
  OPTIONS (location 'file:///');
CREATE SERVER fm_option FOREIGN DATA WRAPPER fusio_manifest
  OPTIONS (location :'location', read_only 'perhaps');
CREATE SERVER fm_option FOREIGN DATA WRAPPER fusio_manifest
  OPTIONS (location :'location', retry_timeout '-1');
CREATE SERVER fm_option FOREIGN DATA WRAPPER fusio_manifest
  OPTIONS (location :'location', retry_timeout '3 weeks');
CREATE SERVER fm_option FOREIGN DATA WRAPPER fusio_manifest
  OPTIONS (location :'location', retry_timeout '3s', read_only 'off');
ALTER SERVER fm_option OPTIONS (DROP location);
ALTER SERVER fm_option OPTIONS (SET read_only 'no', DROP retry_timeout);

-- places that have no options
CREATE USER MAPPING FOR PUBLIC SERVER fm_option OPTIONS (password 'secret');
CREATE USER MAPPING FOR PUBLIC SERVER fm_option;
ALTER FOREIGN DATA WRAPPER fusio_manifest OPTIONS (location 'file:///x');

-- tables
CREATE FOREIGN TABLE t (a int, b text) SERVER fm_option;
CREATE FOREIGN TABLE t (a int, b text) SERVER fm_option
  OPTIONS (kye 'a');
CREATE FOREIGN TABLE t (a int, b text) SERVER fm_option
  OPTIONS (key 'a', blocksize '8');
CREATE FOREIGN TABLE t (a int, b text) SERVER fm_option
  OPTIONS (key 'a', location 'file:///x');
CREATE FOREIGN TABLE t (a int, b text) SERVER fm_option OPTIONS (key '');
CREATE FOREIGN TABLE t (a int, b text) SERVER fm_option OPTIONS (key 'a,');
CREATE FOREIGN TABLE t (a int, b text) SERVER fm_option OPTIONS (key 'a b');
CREATE FOREIGN TABLE t (a int, b text) SERVER fm_option
  OPTIONS (key 'a DESC ASC');
CREATE FOREIGN TABLE t (a int, b text) SERVER fm_option
  OPTIONS (key 'a "desc"');
CREATE FOREIGN TABLE t (a int, b text) SERVER fm_option OPTIONS (key '"a');
CREATE FOREIGN TABLE t (a int, b text) SERVER fm_option OPTIONS (key 'a "');
CREATE FOREIGN TABLE t (a int, b text) SERVER fm_option OPTIONS (key '""');
CREATE FOREIGN TABLE t (a int, b text) SERVER fm_option OPTIONS (key 'a, A');
CREATE FOREIGN TABLE t (a int, b text) SERVER fm_option
  OPTIONS (key 'a', block_size '3');
CREATE FOREIGN TABLE t (a int, b text) SERVER fm_option
  OPTIONS (key 'a', block_size '1MB');
CREATE FOREIGN TABLE t (a int, b text) SERVER fm_option
  OPTIONS (key 'a', block_size 'big');
CREATE FOREIGN TABLE t (a int, b text) SERVER fm_option
  OPTIONS (key 'a', compression 'lz4');
CREATE FOREIGN TABLE t (a int, b text) SERVER fm_option
  OPTIONS (key 'a', compression 'zstd:20');
CREATE FOREIGN TABLE t (a int, b text) SERVER fm_option
  OPTIONS (key 'a', compression 'zstd:');
CREATE FOREIGN TABLE t (a int, b text) SERVER fm_option
  OPTIONS (key 'a', filter 'bloom');
CREATE FOREIGN TABLE t (a int, b text) SERVER fm_option
  OPTIONS (key 'a', filter 'bloom:3');
CREATE FOREIGN TABLE t (a int, b text) SERVER fm_option
  OPTIONS (key 'a', filter 'fuse:12');
CREATE FOREIGN TABLE t (a int, b text) SERVER fm_option
  OPTIONS (key 'a', insert_mode 'replace');
CREATE FOREIGN TABLE t (a int, b text) SERVER fm_option
  OPTIONS (key 'a', table_name '');
CREATE FOREIGN TABLE t (a int, b text OPTIONS (name 'x')) SERVER fm_option
  OPTIONS (key 'a');
CREATE FOREIGN TABLE t (a int, b text OPTIONS (column_name '')) SERVER fm_option
  OPTIONS (key 'a');

-- what only shows at use
CREATE FOREIGN TABLE t (a int, b text) SERVER fm_option OPTIONS (key 'c');
SELECT * FROM t;
INSERT INTO t VALUES (1, 'x');
DROP FOREIGN TABLE t;
CREATE FOREIGN TABLE t (a int, b text OPTIONS (column_name 'a'))
  SERVER fm_option OPTIONS (key 'a');
INSERT INTO t VALUES (1, 'x');
DROP FOREIGN TABLE t;
CREATE FOREIGN TABLE t (a json, b text) SERVER fm_option OPTIONS (key 'a');
INSERT INTO t VALUES ('{}', 'x');
DROP FOREIGN TABLE t;

-- values in all their forms
CREATE FOREIGN TABLE t (a int, "B ""c""" text, "DESC" int, d int)
  SERVER fm_option
  OPTIONS (key ' A desc , "B ""c"""asc,"DESC" ', block_size '16kB',
    compression 'zstd:19', filter 'bloom:12', insert_mode 'insert');
INSERT INTO t VALUES (1, 'x', 7), (2, 'x', 7), (2, 'a', 9);
SELECT * FROM t;
SELECT level, rows, filter, lower_key, upper_key FROM fusio_manifest_runs('t');
ALTER FOREIGN TABLE t OPTIONS (SET block_size '65536B', SET filter 'none',
  SET compression 'none');
INSERT INTO t VALUES (3, 'x', 7);
SELECT level, rows, filter, lower_key, upper_key FROM fusio_manifest_runs('t');

-- the key is the store's
ALTER FOREIGN TABLE t OPTIONS (SET key 'a');
SELECT * FROM t;
ALTER FOREIGN TABLE t OPTIONS (DROP key);
ALTER FOREIGN TABLE t OPTIONS (SET key 'a DESC, "B ""c""", "DESC"');

-- names in the store
ALTER FOREIGN TABLE t RENAME TO u;
SELECT * FROM u;
ALTER FOREIGN TABLE u OPTIONS (table_name 'fm_option.t');
SELECT count(*) FROM u;
ALTER FOREIGN TABLE u RENAME COLUMN d TO e;
ALTER FOREIGN TABLE u ALTER e OPTIONS (ADD column_name 'd');
SELECT * FROM u WHERE a = 3;
ALTER FOREIGN TABLE u RENAME COLUMN "DESC" TO n;
SELECT * FROM u WHERE a = 3;
ALTER FOREIGN TABLE u OPTIONS (SET key 'a DESC, "B ""c""", n');
SELECT * FROM u WHERE a = 3;
ALTER FOREIGN TABLE u ALTER n OPTIONS (ADD column_name 'DESC');
SELECT * FROM u WHERE a = 3;

-- A column that the store lacks is a new one, unless it may be a renamed one.
CREATE FOREIGN TABLE renamed (k int NOT NULL, v text, n numeric(5, 2))
  SERVER fm_option OPTIONS (key 'k');
INSERT INTO renamed VALUES (1, 'one', 1);
ALTER FOREIGN TABLE renamed RENAME v TO w;
SELECT * FROM renamed;
INSERT INTO renamed VALUES (2, 'two', 2);
ALTER FOREIGN TABLE renamed ALTER w OPTIONS (column_name 'v');
INSERT INTO renamed VALUES (2, 'two', 2);
SELECT * FROM renamed ORDER BY k;
ALTER FOREIGN TABLE renamed DROP n, ADD m numeric(6, 2), ADD o numeric(5, 2);
SELECT * FROM renamed ORDER BY k;
ALTER FOREIGN TABLE renamed ALTER o OPTIONS (column_name 'o');
SELECT * FROM renamed ORDER BY k;
INSERT INTO renamed VALUES (3, 'three', 3, 3);
ALTER FOREIGN TABLE renamed ALTER o OPTIONS (DROP column_name);
SELECT * FROM renamed ORDER BY k;
ALTER FOREIGN TABLE renamed ADD n int;
SELECT * FROM renamed ORDER BY k;
DROP FOREIGN TABLE renamed;

-- two foreign tables on one stored table
CREATE FOREIGN TABLE v ("B ""c""" text, a int,
    n int OPTIONS (column_name 'DESC'), e int OPTIONS (column_name 'd'))
  SERVER fm_option
  OPTIONS (key 'a DESC, "B ""c""", n', table_name 'fm_option.t');
DELETE FROM v WHERE a < 3;
TABLE u;
TABLE v;

-- read_only
ALTER SERVER fm_option OPTIONS (SET read_only 'on');
TABLE u;
INSERT INTO u VALUES (9, 'x', 7);
UPDATE u SET e = 1;
DELETE FROM u;
SELECT * FROM u FOR UPDATE;
SELECT fusio_manifest_create_table('u');
SELECT fusio_manifest_compact('u');
ALTER SERVER fm_option OPTIONS (SET read_only 'off');

-- privileges: file:// is for those who may read and write the server's files
CREATE ROLE fm_option_user;
CREATE ROLE fm_option_other;
GRANT USAGE ON FOREIGN DATA WRAPPER fusio_manifest TO fm_option_user;
GRANT USAGE, CREATE ON SCHEMA fm_option TO fm_option_user;
GRANT USAGE ON SCHEMA fm_option TO fm_option_other;
SET ROLE fm_option_user;
CREATE SERVER fm_option_2 FOREIGN DATA WRAPPER fusio_manifest
  OPTIONS (location :'location');
RESET ROLE;
GRANT pg_read_server_files TO fm_option_user;
SET ROLE fm_option_user;
CREATE SERVER fm_option_2 FOREIGN DATA WRAPPER fusio_manifest
  OPTIONS (location :'location');
RESET ROLE;
GRANT pg_write_server_files TO fm_option_user;
SET ROLE fm_option_user;
CREATE SERVER fm_option_2 FOREIGN DATA WRAPPER fusio_manifest
  OPTIONS (location :'location');
CREATE FOREIGN TABLE w (k int) SERVER fm_option_2 OPTIONS (key 'k');
INSERT INTO w VALUES (1);
GRANT SELECT, INSERT ON w TO fm_option_other;
-- others need rights on the table only
SET ROLE fm_option_other;
INSERT INTO w VALUES (2);
TABLE w;
INSERT INTO w VALUES (2);
SELECT rows FROM fusio_manifest_runs('w');
SELECT fusio_manifest_compact('w');
SELECT fusio_manifest_create_table('w');
SELECT fusio_manifest_head('fm_option_2') IS NULL;
SELECT fusio_manifest_cache_reset();
SELECT count(*) > 0 FROM fusio_manifest_cache;
SELECT runs_considered > 0 FROM fusio_manifest_stat_tables
  WHERE relname = 'w' AND schemaname = 'fm_option';
RESET ROLE;
REVOKE SELECT ON w FROM fm_option_other;
SET ROLE fm_option_other;
INSERT INTO w VALUES (2);
SELECT rows FROM fusio_manifest_runs('w');
RESET ROLE;
-- the owner of the server lost what it needs
REVOKE pg_write_server_files FROM fm_option_user;
TABLE w;
ALTER SERVER fm_option_2 OWNER TO fm_option_other;
ALTER SERVER fm_option_2 OWNER TO CURRENT_USER;
TABLE w;

-- what the functions do not take
CREATE TABLE native (k int);
SELECT fusio_manifest_runs('native');
SELECT fusio_manifest_compact('native');
SELECT fusio_manifest_head('nowhere');
CREATE FOREIGN DATA WRAPPER fm_option_none;
CREATE SERVER fm_option_none FOREIGN DATA WRAPPER fm_option_none;
SELECT fusio_manifest_head('fm_option_none');

DROP FOREIGN DATA WRAPPER fm_option_none CASCADE;
DROP SCHEMA fm_option CASCADE;
DROP SERVER fm_option CASCADE;
DROP SERVER fm_option_2 CASCADE;
DROP OWNED BY fm_option_user, fm_option_other;
DROP ROLE fm_option_user, fm_option_other;
