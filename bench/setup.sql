-- What bench works with: functions that measure in the server, so that no
-- client's noise is in the figures.
CREATE EXTENSION fusio_manifest;

-- The sums of a table's look-ups so far.
CREATE FUNCTION sums(tab regclass, OUT fetched bigint, OUT bytes bigint)
LANGUAGE sql AS $$
  SELECT coalesce(sum(data_blocks_fetched), 0)::bigint,
    coalesce(sum(bytes_requested), 0)::bigint
  FROM fusio_manifest_stat_tables WHERE relid = tab
$$;

-- Defines measure_<table>: looks each key up by an execution of its own of a
-- prepared statement, and says what that read and took.
CREATE FUNCTION make_measure(tab text) RETURNS void LANGUAGE plpgsql AS $make$
BEGIN
  EXECUTE format($sql$
    CREATE FUNCTION %I(keys bigint[], OUT hits bigint, OUT fetched bigint,
      OUT bytes bigint, OUT ops float8, OUT p50 float8, OUT p99 float8)
    LANGUAGE plpgsql AS $body$
    DECLARE
      before record;
      after record;
      wanted bigint;
      value text;
      start timestamptz;
      us float8[];
    BEGIN
      hits := 0;
      before := sums(%L);
      FOREACH wanted IN ARRAY keys LOOP
        start := clock_timestamp();
        SELECT v INTO value FROM %I WHERE id = wanted;
        us := us || extract(epoch FROM clock_timestamp() - start)::float8 * 1e6;
        IF value IS NOT NULL THEN
          hits := hits + 1;
        END IF;
      END LOOP;
      after := sums(%L);
      fetched := after.fetched - before.fetched;
      bytes := after.bytes - before.bytes;
      SELECT 1e6 * count(*) / sum(u),
        percentile_cont(0.5) WITHIN GROUP (ORDER BY u),
        percentile_cont(0.99) WITHIN GROUP (ORDER BY u)
      INTO ops, p50, p99 FROM unnest(us) u;
    END
    $body$
  $sql$, 'measure_' || tab, tab, tab, tab);
END
$make$;

-- Milliseconds of two queries, in turns, after one that is not counted.
CREATE FUNCTION in_turns(a text, b text, turns int)
RETURNS TABLE (a_ms float8, b_ms float8) LANGUAGE plpgsql AS $$
DECLARE
  start timestamptz;
BEGIN
  FOR turn IN 0 .. turns LOOP
    start := clock_timestamp();
    EXECUTE a;
    a_ms := extract(epoch FROM clock_timestamp() - start)::float8 * 1e3;
    start := clock_timestamp();
    EXECUTE b;
    b_ms := extract(epoch FROM clock_timestamp() - start)::float8 * 1e3;
    IF turn > 0 THEN
      RETURN NEXT;
    END IF;
  END LOOP;
END
$$;

-- A text of the given length, made of words and numbers.
CREATE FUNCTION words(seed bigint, length int) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT left(string_agg((ARRAY['amber', 'birch', 'cedar', 'delta', 'ember',
    'fjord', 'grove', 'heath', 'islet', 'jetty', 'kiosk', 'ledge', 'marsh',
    'north', 'ocean', 'plain'])[1 + (hashint8(seed * 1000 + i) & 15)]
    || (hashint8(seed * 1009 - i) & 255), ' '), length)
  FROM generate_series(1, 1 + length / 6) i
$$;

-- Keys of rows are even, so that odd ones miss within every range.
CREATE FUNCTION random_keys(n int, rows int, odd int, set_number int)
RETURNS bigint[] LANGUAGE plpgsql AS $$
BEGIN
  PERFORM setseed(set_number / 1000.0);
  RETURN ARRAY(SELECT 2 * (1 + floor(random() * (rows - 1)))::bigint + odd
    FROM generate_series(1, n));
END
$$;
