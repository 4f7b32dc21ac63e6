/*-------------------------------------------------------------------------
 *
 * cache_test.c
 *	  The block cache under stress: many sessions, few blocks, loads that
 *	  fail.
 *
 * A block's size, kind and bytes follow from its number, so that whoever
 * finds it can tell whether it is whole and the right one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "common/pg_prng.h"
#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/guc.h"

#include "cache/block_cache.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(fm_test_cache_stress);
PG_FUNCTION_INFO_V1(fm_test_cache_leak);
PG_FUNCTION_INFO_V1(fm_test_cache_speed);
PG_FUNCTION_INFO_V1(fm_test_cache_touch);
PG_FUNCTION_INFO_V1(fm_test_cache_stats);
PG_FUNCTION_INFO_V1(fm_test_cache_reset);

#define HELD_PINS 5

extern void _PG_init(void);

static int	cache_size_kb = 1024;

static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

static void
request_memory(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(fm_cache_shmem_size((Size) cache_size_kb * 1024));
}

static void
start_up(void)
{
	if (previous_startup_hook)
		previous_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	fm_cache_shmem_init((Size) cache_size_kb * 1024);
	LWLockRelease(AddinShmemInitLock);
}

void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	DefineCustomIntVariable("fusio_manifest_cache_test.cache_size",
							"Sets the size of the cache under test.",
							NULL, &cache_size_kb, 1024, 0, INT_MAX,
							PGC_POSTMASTER, GUC_UNIT_KB, NULL, NULL, NULL);
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_up;
}

static FmCacheKey
block_key(uint32 number)
{
	FmCacheKey	key;

	/* Few objects, many offsets. */
	memset(&key, 0, sizeof(key));
	key.object.bytes[0] = number % 7;
	key.offset = (uint64) number * 8192;
	return key;
}

static FmCacheKind
block_kind(uint32 number)
{
	return (FmCacheKind) (number % 11 == 0 ? FM_CACHE_PARTITION :
						  number % 101 == 0 ? FM_CACHE_TOP : FM_CACHE_DATA);
}

static uint32
block_size(uint32 number)
{
	if (number % 97 == 0)
		return 300 * 1024;		/* larger than any slot */
	if (number % 13 == 0)
		return 100 + number % 4000;
	if (number % 11 == 0)
		return 20000 + number % 100000;
	return 4097 + number % 4000;
}

/* Fills a block in two steps, so that who looks too early sees it. */
static void
fill_block(uint8 *data, uint32 number)
{
	uint32		size = block_size(number);
	uint32		i;

	for (i = 0; i < size; i += 64)
		data[i] = (uint8) (number * 31 + i / 64);
	if (number % 5 == 0)
		pg_usleep(10);
	for (i = 0; i < size; i++)
		data[i] = (uint8) (number * 31 + i / 64);
}

static void
check_block(const FmCachePin *pin, uint32 number)
{
	uint32		size = block_size(number);
	uint32		i;

	if (pin->size != size)
		elog(ERROR, "block %u has %u bytes, not %u", number, pin->size, size);
	for (i = 0; i < size; i += 61)
	{
		if (pin->data[i] != (uint8) (number * 31 + i / 64))
			elog(ERROR, "block %u is wrong at %u", number, i);
	}
}

static void
load_block(FmCachePin *pin, uint32 number, double fail_rate,
		   pg_prng_state * prng, FmCacheHint *hint)
{
	uint8	   *data;

	if (pg_prng_double(prng) < fail_rate)
		ereport(ERROR,
				(errcode(ERRCODE_IO_ERROR),
				 errmsg("block %u could not be loaded", number)));
	if (pg_prng_uint64_range(prng, 0, 9) == 0)
		(void) fm_cache_reserve(pin, 1 + pg_prng_uint64_range(prng, 0, 70000));
	data = fm_cache_reserve(pin, block_size(number));
	fill_block(data, number);
	if (pg_prng_double(prng) < fail_rate)
		ereport(ERROR,
				(errcode(ERRCODE_IO_ERROR),
				 errmsg("block %u could not be checked", number)));
	fm_cache_publish(pin, hint);
}

/* Pins a block, loading it if it must be; true if it was. */
static bool
get_block(uint32 number, bool use, double fail_rate, pg_prng_state * prng,
		  FmCacheHint *hint, FmCachePin *pin)
{
	FmCacheKey	key = block_key(number);

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		switch (fm_cache_lookup(&key, block_kind(number), use, hint, pin))
		{
			case FM_CACHE_HIT:
				return false;
			case FM_CACHE_BUSY:
				fm_cache_wait(&key);
				break;
			case FM_CACHE_LOAD:
				load_block(pin, number, fail_rate, prng, hint);
				return true;
		}
	}
}

Datum
fm_test_cache_stress(PG_FUNCTION_ARGS)
{
	int			n = PG_GETARG_INT32(0);
	int			blocks = PG_GETARG_INT32(2);
	double		fail_rate = PG_GETARG_FLOAT8(3);
	FmCacheHint *hints = palloc0(sizeof(FmCacheHint) * blocks);
	FmCachePin *pins = palloc0(sizeof(FmCachePin) * HELD_PINS);
	uint32		held[HELD_PINS];
	pg_prng_state prng;
	int64		loads = 0;
	int			i;
	int			k;

	pg_prng_seed(&prng, PG_GETARG_INT32(1));
	for (i = 0; i < n; i++)
	{
		uint32		number = pg_prng_uint64_range(&prng, 0, blocks - 1);
		bool		use = pg_prng_bool(&prng);

		/* Half of the look-ups are of a few blocks. */
		if (pg_prng_bool(&prng))
			number %= 16;
		k = pg_prng_uint64_range(&prng, 0, HELD_PINS - 1);

		/* A wrong hint must do no harm. */
		if (pg_prng_uint64_range(&prng, 0, 15) == 0)
			hints[number].slot = hints[pg_prng_uint64_range(&prng, 0,
															blocks - 1)].slot;
		if (pg_prng_uint64_range(&prng, 0, 7) == 0)
		{
			fm_cache_release(&pins[k]);
			(void) fm_cache_local(&pins[k], 1 + number);
		}
		if (get_block(number, use, fail_rate, &prng, &hints[number], &pins[k]))
			loads++;
		held[k] = number;
		check_block(&pins[k], number);
		k = pg_prng_uint64_range(&prng, 0, HELD_PINS - 1);
		if (pins[k].state != FM_PIN_NONE)
			check_block(&pins[k], held[k]);
		if (pg_prng_uint64_range(&prng, 0, 3) == 0)
			fm_cache_release(&pins[k]);
	}
	for (k = 0; k < HELD_PINS; k++)
		fm_cache_release(&pins[k]);
	PG_RETURN_INT64(loads);
}

Datum
fm_test_cache_leak(PG_FUNCTION_ARGS)
{
	FmCachePin *pin = palloc0(sizeof(FmCachePin));
	pg_prng_state prng;

	pg_prng_seed(&prng, 1);
	(void) get_block(1, true, 0, &prng, NULL, pin);
	PG_RETURN_VOID();
}

static double
elapsed_ns(instr_time start, int n)
{
	instr_time	end;

	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	return INSTR_TIME_GET_DOUBLE(end) * 1e9 / n;
}

/* The i-th block that is not too large for a slot. */
static uint32
small_block(uint32 i)
{
	return i * 97 + 1;
}

Datum
fm_test_cache_speed(PG_FUNCTION_ARGS)
{
	int			n = PG_GETARG_INT32(0);
	int			blocks = PG_GETARG_INT32(1);
	FmCacheHint *hints = palloc0(sizeof(FmCacheHint) * blocks);
	FmCachePin *pin = palloc0(sizeof(FmCachePin));
	Datum		values[3];
	bool		nulls[3] = {false, false, false};
	pg_prng_state prng;
	instr_time	start;
	TupleDesc	desc;
	int			i;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	pg_prng_seed(&prng, 1);
	for (i = 0; i < blocks; i++)
		(void) get_block(small_block(i), true, 0, &prng, &hints[i], pin);

	INSTR_TIME_SET_CURRENT(start);
	for (i = 0; i < n; i++)
		(void) get_block(small_block(i % blocks), true, 0, &prng,
						 &hints[i % blocks], pin);
	values[0] = Float8GetDatum(elapsed_ns(start, n));
	INSTR_TIME_SET_CURRENT(start);
	for (i = 0; i < n; i++)
		(void) get_block(small_block(0), true, 0, &prng, &hints[0], pin);
	values[1] = Float8GetDatum(elapsed_ns(start, n));
	INSTR_TIME_SET_CURRENT(start);
	for (i = 0; i < n; i++)
		(void) get_block(small_block(i % blocks), true, 0, &prng, NULL, pin);
	values[2] = Float8GetDatum(elapsed_ns(start, n));
	fm_cache_release(pin);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}

Datum
fm_test_cache_touch(PG_FUNCTION_ARGS)
{
	FmCacheKind kind = (FmCacheKind) PG_GETARG_INT32(0);
	int			first = PG_GETARG_INT32(1);
	int			n = PG_GETARG_INT32(2);
	uint32		size = PG_GETARG_INT32(3);
	bool		use = PG_GETARG_BOOL(4);
	FmCachePin *pin = palloc0(sizeof(FmCachePin));
	int			hits = 0;
	int			i;

	for (i = first; i < first + n; i++)
	{
		FmCacheKey	key = block_key(i);

		key.object.bytes[1] = 1 + kind;
		switch (fm_cache_lookup(&key, kind, use, NULL, pin))
		{
			case FM_CACHE_HIT:
				hits++;
				break;
			case FM_CACHE_LOAD:
				(void) fm_cache_reserve(pin, size);
				fm_cache_publish(pin, NULL);
				break;
			case FM_CACHE_BUSY:
				elog(ERROR, "another session is loading");
		}
	}
	fm_cache_release(pin);
	PG_RETURN_INT32(hits);
}

Datum
fm_test_cache_stats(PG_FUNCTION_ARGS)
{
	FmCacheStats stats;
	Datum		values[6];
	bool		nulls[6] = {false, false, false, false, false, false};
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	fm_cache_stats((FmCacheKind) PG_GETARG_INT32(0), &stats);
	values[0] = Int64GetDatum(stats.hits);
	values[1] = Int64GetDatum(stats.misses);
	values[2] = Int64GetDatum(stats.evictions);
	values[3] = Int64GetDatum(stats.blocks);
	values[4] = Int64GetDatum(stats.bytes);
	values[5] = Int64GetDatum(stats.pins);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}

Datum
fm_test_cache_reset(PG_FUNCTION_ARGS)
{
	fm_cache_reset();
	PG_RETURN_VOID();
}
