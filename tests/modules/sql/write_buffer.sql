CREATE EXTENSION fusio_manifest_buffer_test;
-- Random changes of the write buffer against a model of it.  Budgets are from
-- nothing, where each change is spilled, to more than is ever used.
SELECT bool_and(fm_test_buffer(seed, 3000, 1) > 0)
FROM generate_series(1, 5) AS seed;
SELECT bool_and(fm_test_buffer(seed, 10000, 20000 + seed * 4000) > 0)
FROM generate_series(1, 10) AS seed;
SELECT bool_and(fm_test_buffer(seed, 5000, 1000000) > 0)
FROM generate_series(1, 5) AS seed;

-- Memory stays within the budget, 64 MB here, and what the spills' indexes
-- need.
SELECT memory < 80 * 1024 * 1024 AS bounded
FROM fm_test_buffer_speed(1000000, 65536, 100, false, true);
