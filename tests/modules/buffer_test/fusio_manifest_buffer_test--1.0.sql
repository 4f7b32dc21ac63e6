\echo Use "CREATE EXTENSION fusio_manifest_buffer_test" to load this file. \quit

-- Random changes, searches and scans, held against a model; answers how many
-- comparisons were made.
CREATE FUNCTION fm_test_buffer(seed integer, steps integer, budget integer)
RETURNS bigint
AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE;

-- Time of an addition, and memory at the end.
CREATE FUNCTION fm_test_buffer_speed(n integer, budget integer,
	row_size integer, ascending boolean, search boolean,
	OUT add_ns float8, OUT scan_ns float8, OUT memory bigint)
AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE;
