-- complain if script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION fusio_manifest UPDATE TO '0.3.0'" to load this file. \quit

CREATE FUNCTION fusio_manifest_gc(server name, dry_run boolean DEFAULT true,
    older_than interval DEFAULT '24 hours', OUT kind text, OUT path text,
    OUT bytes bigint, OUT age interval, OUT reason text, OUT deleted boolean)
RETURNS SETOF record
AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fusio_manifest_gc(name, boolean, interval) IS
  'removes objects that no version of the store needs; a dry run tells which';
