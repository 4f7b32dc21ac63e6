\echo Use "CREATE EXTENSION fusio_manifest_cache_test" to load this file. \quit

-- Looks n random blocks up, holding some pins meanwhile, and checks what is
-- in them; each load fails with an error at the given rate, inside of a
-- subtransaction of the caller's.  Returns the number of loads.
CREATE FUNCTION fm_test_cache_stress(n int, seed int, blocks int,
	fail_rate float8)
RETURNS bigint AS 'MODULE_PATHNAME' LANGUAGE C STRICT;

-- The same as often as asked for, errors caught, as one statement.
CREATE FUNCTION fm_test_cache_rounds(rounds int, n int, seed int, blocks int,
	fail_rate float8, OUT loads bigint, OUT failures int)
LANGUAGE plpgsql AS $$
BEGIN
	loads := 0;
	failures := 0;
	FOR i IN 1 .. rounds LOOP
		BEGIN
			loads := loads + fm_test_cache_stress(n, seed + i, blocks,
												  fail_rate);
		EXCEPTION WHEN io_error THEN
			failures := failures + 1;
		END;
	END LOOP;
END $$;

-- Leaves a block pinned, which the end of the transaction must report.
CREATE FUNCTION fm_test_cache_leak()
RETURNS void AS 'MODULE_PATHNAME' LANGUAGE C STRICT;

-- Nanoseconds of a look-up through a hint, by a hint with its pin in place,
-- and through the hash table.
CREATE FUNCTION fm_test_cache_speed(n int, blocks int, OUT hint float8,
	OUT same float8, OUT hash float8)
AS 'MODULE_PATHNAME' LANGUAGE C STRICT;

-- Looks n blocks of a kind and size up, one after another: how many were hits.
CREATE FUNCTION fm_test_cache_touch(kind int, first int, n int, size int,
	use bool)
RETURNS int AS 'MODULE_PATHNAME' LANGUAGE C STRICT;

CREATE FUNCTION fm_test_cache_stats(kind int, OUT hits bigint,
	OUT misses bigint, OUT evictions bigint, OUT blocks bigint,
	OUT bytes bigint, OUT pins bigint)
AS 'MODULE_PATHNAME' LANGUAGE C STRICT;

CREATE FUNCTION fm_test_cache_reset()
RETURNS void AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
