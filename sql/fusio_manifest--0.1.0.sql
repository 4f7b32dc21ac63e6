-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION fusio_manifest" to load this file. \quit

CREATE FUNCTION fusio_manifest_handler() RETURNS fdw_handler
AS 'MODULE_PATHNAME' LANGUAGE C STRICT;

CREATE FUNCTION fusio_manifest_validator(text[], oid) RETURNS void
AS 'MODULE_PATHNAME' LANGUAGE C STRICT;

CREATE FOREIGN DATA WRAPPER fusio_manifest
  HANDLER fusio_manifest_handler VALIDATOR fusio_manifest_validator;

CREATE FUNCTION fusio_manifest_create_table("table" regclass) RETURNS void
AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fusio_manifest_create_table(regclass) IS
  'creates a foreign table''s table in its store, with the commit';

CREATE FUNCTION fusio_manifest_compact("table" regclass,
  "full" boolean DEFAULT false) RETURNS integer
AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fusio_manifest_compact(regclass, boolean) IS
  'merges runs into the next level, or all of them, at once; returns how many';

CREATE FUNCTION fusio_manifest_runs("table" regclass, OUT level integer,
  OUT id uuid, OUT rows bigint, OUT tombstones bigint, OUT bytes bigint,
  OUT blocks bigint, OUT filter text, OUT lower_key text, OUT upper_key text,
  OUT min_version bigint, OUT max_version bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION fusio_manifest_runs(regclass) IS
  'the runs of a table, in the order in which they are read';

CREATE FUNCTION fusio_manifest_head(server name) RETURNS jsonb
AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION fusio_manifest_head(name) IS
  'what HEAD of a server''s store says';

CREATE FUNCTION fusio_manifest_check_server(server name, OUT probe text,
  OUT ok boolean, OUT observed text, OUT meaning text)
RETURNS SETOF record
AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fusio_manifest_check_server(name) IS
  'tries what commits to a server''s store rely on';

CREATE FUNCTION fusio_manifest_whoami(server name, OUT source text,
  OUT expires timestamptz, OUT endpoint text, OUT region text)
RETURNS record
AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION fusio_manifest_whoami(name) IS
  'where the credentials for a server come from, and when they expire';

CREATE FUNCTION fusio_manifest_cache_reset() RETURNS void
AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION fusio_manifest_cache_reset() IS
  'drops blocks that nobody uses from the cache, and sets its counters to zero';
REVOKE ALL ON FUNCTION fusio_manifest_cache_reset() FROM PUBLIC;

CREATE FUNCTION fusio_manifest_cache_counters(OUT kind text, OUT hits bigint,
  OUT misses bigint, OUT evictions bigint, OUT blocks bigint, OUT bytes bigint,
  OUT pins bigint, OUT shared boolean)
RETURNS SETOF record
AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;

CREATE VIEW fusio_manifest_cache AS
  SELECT * FROM fusio_manifest_cache_counters();
COMMENT ON VIEW fusio_manifest_cache IS
  'the block cache, by kind of block; "shared": by all sessions';
GRANT SELECT ON fusio_manifest_cache TO PUBLIC;

CREATE FUNCTION fusio_manifest_table_counters(relid oid,
  OUT runs_considered bigint, OUT runs_out_of_range bigint,
  OUT runs_filtered bigint, OUT runs_searched bigint,
  OUT filter_probes bigint, OUT filter_negatives bigint,
  OUT filter_false_positives bigint, OUT data_blocks_hit bigint,
  OUT data_blocks_fetched bigint, OUT index_partitions_hit bigint,
  OUT index_partitions_fetched bigint, OUT requests bigint,
  OUT bytes_requested bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE ROWS 1 PARALLEL RESTRICTED;

CREATE VIEW fusio_manifest_stat_tables AS
  SELECT c.oid AS relid, n.nspname AS schemaname, c.relname, s.*
  FROM pg_foreign_data_wrapper w
    JOIN pg_foreign_server f ON f.srvfdw = w.oid
    JOIN pg_foreign_table t ON t.ftserver = f.oid
    JOIN pg_class c ON c.oid = t.ftrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace,
    fusio_manifest_table_counters(c.oid) s
  WHERE w.fdwhandler = 'fusio_manifest_handler'::regproc;
COMMENT ON VIEW fusio_manifest_stat_tables IS
  'what scans of each table did: the sums of the counters in EXPLAIN';
GRANT SELECT ON fusio_manifest_stat_tables TO PUBLIC;
