\echo Use "CREATE EXTENSION fusio_manifest_test" to load this file. \quit

-- The key of one value.
CREATE FUNCTION fm_test_key(value anyelement, descending bool DEFAULT false)
RETURNS bytea AS 'MODULE_PATHNAME' LANGUAGE C STRICT;

-- The key of a row: its first columns, as many as "descending" has elements.
CREATE FUNCTION fm_test_row_key(row_value anyelement, descending bool[])
RETURNS bytea AS 'MODULE_PATHNAME' LANGUAGE C STRICT;

-- The row after encoding, checking a block that holds it, and decoding.
CREATE FUNCTION fm_test_round_trip(row_value anyelement, descending bool[])
RETURNS anyelement AS 'MODULE_PATHNAME' LANGUAGE C STRICT;

-- Bytes of the encoded row without the key.
CREATE FUNCTION fm_test_row_size(row_value anyelement, descending bool[])
RETURNS int AS 'MODULE_PATHNAME' LANGUAGE C STRICT;

-- "exact", "floor" or "below", and the key of a value of another type.
CREATE FUNCTION fm_test_key_input(column_type regtype, value anyelement,
	OUT match text, OUT key bytea)
AS 'MODULE_PATHNAME' LANGUAGE C STRICT;

-- Flips each bit of a block with the row, checks, and decodes and prints what
-- passed: flips that were noticed, and flips that were not.
CREATE FUNCTION fm_test_damage(row_value anyelement, descending bool[],
	OUT noticed int, OUT harmless int)
AS 'MODULE_PATHNAME' LANGUAGE C STRICT;

-- The row read through another type with the same key.
CREATE FUNCTION fm_test_read_as(row_value anyelement, descending bool[],
	target record, OUT missing int, OUT complete bool, OUT before text,
	OUT after text)
AS 'MODULE_PATHNAME' LANGUAGE C STRICT;

-- The value of the header "Authorization"; headers are "name:value".
CREATE FUNCTION fm_test_sigv4(method text, path text, query text,
  headers text[], payload text, at text, key text, secret text, region text,
  service text)
RETURNS text AS 'MODULE_PATHNAME' LANGUAGE C STRICT;

-- HEAD as it would be so many versions later, when its log has kept the last
-- commit only; and of a release with more features, if they are not 0.
CREATE FUNCTION fm_test_later_head(head bytea, versions int, features bigint)
RETURNS bytea AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
