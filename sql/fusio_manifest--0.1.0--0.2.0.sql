-- complain if script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION fusio_manifest UPDATE TO '0.2.0'" to load this file. \quit

CREATE FUNCTION fusio_manifest_accept_restore(server name) RETURNS bigint
AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fusio_manifest_accept_restore(name) IS
  'takes a store that was restored to an older state; returns its incarnation';
