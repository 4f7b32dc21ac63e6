\echo Use "CREATE EXTENSION fusio_manifest_craft_test" to load this file. \quit

-- Puts a copy of a run whose blocks are not compressed at "target", with bytes
-- changed, as the seed has it, and checksums that fit: in data blocks, or in
-- index partitions.
CREATE FUNCTION fm_test_craft(original text, target text, seed bigint,
	in_index boolean)
RETURNS void
AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE;

-- The same of a HEAD.
CREATE FUNCTION fm_test_craft_head(original text, target text, seed bigint)
RETURNS void
AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE;
