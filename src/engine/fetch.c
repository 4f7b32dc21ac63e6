/*-------------------------------------------------------------------------
 *
 * fetch.c
 *	  From a block handle to verified, decompressed, pinned bytes.
 *
 * Everything that enters the cache was checked here, checksum first, then
 * structure, then (data blocks) every row against the table's columns; who
 * reads a cached block relies on that and checks nothing.  A data block that
 * is fetched without a codec is therefore kept in backend memory.
 *
 * A damaged block is read again from the store before the error rises, over
 * other connections: a flipped bit on the way is not damage of the object.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "compat.h"
#include "engine/fetch.h"
#include "engine/read_ahead.h"
#include "engine/stage.h"
#include "engine/switches.h"
#include "format/block.h"
#include "objstore/clock.h"
#include "objstore/pg_alloc.h"
#include "objstore/pg_status.h"

#define FETCH_SCRATCH_KEPT (1024 * 1024)	/* bytes of scratch kept */
#define PARTITION_MAX_RAW (1024 * 1024)
#define TOP_MAX_RAW (256 * 1024 * 1024)

/* The backend's decompressor and the stored bytes of the block in hand. */
static MemoryContext fetch_context;
static FmAlloc fetch_alloc;
static FmBlockReader *fetch_reader;
static uint8 *fetch_scratch;
static Size fetch_scratch_size;

static void
fetch_init(void)
{
	if (fetch_reader != NULL)
		return;
	if (fetch_context == NULL)
	{
		fetch_context = AllocSetContextCreate(CacheMemoryContext,
											  "fusio_manifest fetch",
											  ALLOCSET_SMALL_SIZES);
		fetch_alloc = fm_palloc_alloc(fetch_context);
	}
	fetch_reader = fm_block_reader_create(&fetch_alloc);
	if (fetch_reader == NULL)
		fm_check_status(FM_NO_MEMORY, "decompressor");
}

static void
free_room(void)
{
	if (fetch_scratch != NULL)
		pfree(fetch_scratch);
	fetch_scratch = NULL;
	fetch_scratch_size = 0;
}

/* Lets go of what is too large to be kept. */
static void
trim_room(void)
{
	if (fetch_scratch_size > FETCH_SCRATCH_KEPT)
		free_room();
}

/* Room for size stored bytes; what it held before is lost. */
static uint8 *
fetch_room(Size size)
{
	trim_room();
	if (fetch_scratch_size < size)
		free_room();
	if (fetch_scratch == NULL)
	{
		Size		room = Max(size, 64 * 1024);

		fetch_scratch = MemoryContextAllocHuge(fetch_context, room);
		fetch_scratch_size = room;
	}
	return fetch_scratch;
}

static uint32
max_raw_size(FmBlockKind kind)
{
	switch (kind)
	{
		case FM_BLOCK_DATA:
			return FM_MAX_RAW_BLOCK;
		case FM_BLOCK_PARTITION:
			return PARTITION_MAX_RAW;
		default:
			return TOP_MAX_RAW;
	}
}

static FmCacheKind
cache_kind(FmBlockKind kind)
{
	switch (kind)
	{
		case FM_BLOCK_DATA:
			return FM_CACHE_DATA;
		case FM_BLOCK_PARTITION:
			return FM_CACHE_PARTITION;
		default:
			return FM_CACHE_TOP;
	}
}

static void
count(FmFetch *fetch, FmCounter counter, uint64 n)
{
	fetch->stats->count[counter] += n;
}

static void
count_block(FmFetch *fetch, FmBlockKind kind, bool hit)
{
	if (kind == FM_BLOCK_DATA)
		count(fetch, hit ? FM_DATA_BLOCKS_HIT : FM_DATA_BLOCKS_FETCHED, 1);
	else if (kind == FM_BLOCK_PARTITION)
		count(fetch,
			  hit ? FM_INDEX_PARTITIONS_HIT : FM_INDEX_PARTITIONS_FETCHED, 1);
}

static void
raise_out_of_object(FmFetch *fetch, const FmRunDesc *run, uint64 offset)
{
	FmFault		fault;

	fm_fault(&fault, FM_CORRUPTION, "block lies outside its object", 0);
	fm_raise_object_fault(fetch->store, FM_OBJECT_RUN, &run->id, offset,
						  &fault);
}

static void
count_read(FmFetch *fetch, int requests, const FmReadRange *ranges, int n,
		   int64 start_us)
{
	int			i;

	count(fetch, FM_REQUESTS, requests);
	for (i = 0; i < n; i++)
		count(fetch, FM_BYTES_REQUESTED, ranges[i].length);
	if (start_us != 0)
		fetch->stats->wait_us += fm_monotonic_us() - start_us;
}

void
fm_fetch_read(FmFetch *fetch, FmReadRange *ranges, int n)
{
	const FmStoreOps *ops = fetch->store->ops;
	int64		start_us = ops->is_near ? 0 : fm_monotonic_us();

	count_read(fetch, ops->read(fetch->store, ranges, n), ranges, n,
			   start_us);
}

void
fm_fetch_finish_read(FmFetch *fetch, FmPendingRead *pending,
					 const FmReadRange *ranges, int n)
{
	int64		start_us = fm_monotonic_us();

	count_read(fetch, fetch->store->ops->finish_read(pending), ranges, n,
			   start_us);
}

void
fm_fetch_count_vain(FmFetch *fetch, const FmPendingRead *pending,
					const FmReadRange *ranges, int n)
{
	count_read(fetch, fetch->store->ops->count_read(pending), ranges, n, 0);
}

/*
 * Reads one range of a run to dest, or raises an error.  "anew": the last
 * answer was wrong.
 */
static void
read_to(FmFetch *fetch, const FmRunDesc *run, uint64 offset, uint64 size,
		bool anew, uint8 *dest)
{
	FmReadRange range;
	FmFault		fault;

	CHECK_FOR_INTERRUPTS();
	range.kind = FM_OBJECT_RUN;
	range.id = run->id;
	range.offset = offset;
	range.length = size;
	range.dest = dest;
	range.anew = anew;
	fm_fetch_read(fetch, &range, 1);
	switch (range.result)
	{
		case FM_READ_OK:
			break;
		case FM_READ_MISSING:
			fm_raise_missing_object(fetch->store, FM_OBJECT_RUN, &run->id,
									fetch->version);
			break;
		case FM_READ_SHORT:
			fm_fault(&fault, FM_CORRUPTION, "object is shorter than HEAD says",
					 0);
			fm_raise_object_fault(fetch->store, FM_OBJECT_RUN, &run->id,
								  offset, &fault);
	}
}

/* The bytes of a range that were staged or read ahead; NULL: neither. */
static const uint8 *
find_ahead(FmFetch *fetch, const FmRunDesc *run, uint64 offset, uint64 size)
{
	const uint8 *staged = NULL;

	if (fetch->stage != NULL)
		staged = fm_stage_find(fetch->stage, run, offset, size);
	if (fetch->ahead != NULL && staged == NULL)
		staged = fm_read_ahead_find(fetch->ahead, fetch, run, offset, size);
	return staged;
}

/*
 * The bytes of one range of a run: read before, or into fetch_room, or an
 * error.  "again": what was read before is not to be trusted.
 */
static const uint8 *
read_range(FmFetch *fetch, const FmRunDesc *run, uint64 offset, uint64 size,
		   bool again)
{
	const uint8 *staged = NULL;
	uint8	   *dest;

	CHECK_FOR_INTERRUPTS();
	if (!again)
		staged = find_ahead(fetch, run, offset, size);
	if (staged != NULL)
		return staged;
	dest = fetch_room(size);
	read_to(fetch, run, offset, size, again, dest);
	return dest;
}

/* The inside of a raw block. */
static FmStatus
check_raw(FmFetch *fetch, FmBlockKind kind, FmSlice raw, FmFault *fault)
{
	FmDataBlock block;
	FmStatus	status;

	switch (kind)
	{
		case FM_BLOCK_PARTITION:
			return fm_partition_check(raw, fault);
		case FM_BLOCK_TOP:
			return fm_top_index_check(raw, fault);
		default:
			status = fm_data_block_check(raw, fault);
			if (status != FM_OK || fetch->codec == NULL)
				return status;
			fm_data_block_open(raw, &block);
			return fm_tuple_check_rows(fetch->codec, &block, fault);
	}
}

/* Memory of a pin: the cache's if it holds a loading mark. */
static uint8 *
pin_memory(FmCachePin *pin, uint32 size)
{
	return pin->state == FM_PIN_LOADING ? fm_cache_reserve(pin, size) :
		fm_cache_local(pin, size);
}

/*
 * Verifies stored bytes and decodes them into memory of the pin: the cache's
 * if the pin holds a loading mark, else the backend's.
 */
static FmStatus
decode_into_pin(FmFetch *fetch, const FmRunDesc *run, FmBlockKind kind,
				FmBlockHandle handle, FmSlice stored, FmCachePin *pin,
				FmFault *fault)
{
	FmBlockInfo info;
	FmStatus	status;
	uint8	   *dest;

	status = fm_block_verify(stored, &run->id, handle.offset, kind,
							 max_raw_size(kind), &info, fault);
	if (status != FM_OK)
		return status;
	dest = pin_memory(pin, info.raw_size);
	status = fm_block_decode(fetch_reader, &info, dest, fault);
	if (status != FM_OK)
		return status;
	return check_raw(fetch, kind, fm_slice(dest, info.raw_size), fault);
}

/*
 * Loads a large data block that is not compressed where it is to stay, which
 * spares a copy; its trailer, read ahead of it, tells.  False: it is to be
 * loaded like others, which reports damage too.
 */
static bool
load_in_place(FmFetch *fetch, const FmRunDesc *run, FmBlockHandle handle,
			  FmCachePin *pin)
{
	FmBlockInfo info;
	FmFault		fault;
	uint8		trailer[FM_BLOCK_TRAILER_SIZE];
	uint8	   *dest;

	if (find_ahead(fetch, run, handle.offset, handle.size) != NULL)
		return false;
	read_to(fetch, run, handle.offset + handle.size - sizeof(trailer),
			sizeof(trailer), false, trailer);
	if (fm_block_trailer_codec(trailer) != FM_CODEC_RAW)
		return false;
	dest = pin_memory(pin, handle.size);
	read_to(fetch, run, handle.offset, handle.size, false, dest);
	if (fm_block_verify(fm_slice(dest, handle.size), &run->id, handle.offset,
						FM_BLOCK_DATA, FM_MAX_RAW_BLOCK, &info,
						&fault) != FM_OK ||
		info.codec != FM_CODEC_RAW ||
		check_raw(fetch, FM_BLOCK_DATA, info.stored, &fault) != FM_OK)
		return false;
	pin->size = info.raw_size;
	return true;
}

/* Loads one block whose range is read by itself. */
static void
load_block(FmFetch *fetch, const FmRunDesc *run, FmBlockKind kind,
		   FmBlockHandle handle, FmCacheHint *hint, FmCachePin *pin)
{
	FmFault		fault;
	int			tries;

	fetch_init();
	for (tries = 1;; tries++)
	{
		const uint8 *stored;

		if (kind == FM_BLOCK_DATA && handle.size > FETCH_SCRATCH_KEPT &&
			tries == 1 && load_in_place(fetch, run, handle, pin))
			break;
		stored = read_range(fetch, run, handle.offset,
							handle.size, tries > 1);
		if (decode_into_pin(fetch, run, kind, handle,
							fm_slice(stored, handle.size), pin,
							&fault) == FM_OK)
			break;
		if (tries == FM_READ_TRIES || fault.status != FM_CORRUPTION)
		{
			bool		loading = pin->state == FM_PIN_LOADING;

			if (loading)
				fm_cache_abandon(pin);
			else
				fm_cache_release(pin);
			fm_raise_object_fault(fetch->store, FM_OBJECT_RUN, &run->id,
								  handle.offset, &fault);
		}
		fm_log_object_fault(fetch->store, FM_OBJECT_RUN, &run->id,
							handle.offset, &fault);
	}
	trim_room();
	if (pin->state == FM_PIN_LOADING)
		fm_cache_publish(pin, hint);
}

void
fm_fetch_block(FmFetch *fetch, const FmRunDesc *run, FmBlockKind kind,
			   FmBlockHandle handle, FmCacheHint *hint, FmCachePin *pin)
{
	FmCacheKey	key;

	if (unlikely(handle.size > run->size ||
				 handle.offset > run->size - handle.size))
		raise_out_of_object(fetch, run, handle.offset);
	key.object = run->id;
	key.offset = handle.offset;
	if (kind == FM_BLOCK_DATA && !fm_enable_cache)
	{
		fm_cache_release(pin);
		load_block(fetch, run, kind, handle, hint, pin);
		count_block(fetch, kind, false);
		return;
	}
	for (;;)
	{
		switch (fm_cache_lookup(&key, cache_kind(kind), fetch->use, hint, pin))
		{
			case FM_CACHE_HIT:
				count_block(fetch, kind, true);
				return;
			case FM_CACHE_BUSY:
				fm_cache_wait(&key);
				break;
			case FM_CACHE_LOAD:
				if (kind == FM_BLOCK_DATA && fetch->codec == NULL)
					fm_cache_abandon(pin);
				load_block(fetch, run, kind, handle, hint, pin);
				count_block(fetch, kind, false);
				return;
		}
	}
}

/*
 * Puts a partition whose stored bytes came with the tail into the cache,
 * unless somebody else has or is about to.
 */
static void
publish_partition(FmFetch *fetch, const FmRunDesc *run, FmBlockHandle handle,
				  FmSlice stored)
{
	FmCachePin	pin;
	FmCacheKey	key;
	FmFault		fault;

	memset(&pin, 0, sizeof(pin));
	key.object = run->id;
	key.offset = handle.offset;
	if (fm_cache_lookup(&key, FM_CACHE_PARTITION, false, NULL,
						&pin) == FM_CACHE_LOAD)
	{
		/* Damage here is met again, and reported, by who needs it. */
		if (decode_into_pin(fetch, run, FM_BLOCK_PARTITION, handle, stored,
							&pin, &fault) != FM_OK)
		{
			fm_cache_abandon(&pin);
			return;
		}
		fm_cache_publish(&pin, NULL);
		count_block(fetch, FM_BLOCK_PARTITION, false);
	}
	fm_cache_release(&pin);
}

/* Reads a run's tail, its small meta part with it, and pins the top index. */
static void
load_top(FmFetch *fetch, const FmRunDesc *run, FmCachePin *pin)
{
	uint64		start = run->tail_offset;
	const uint8 *room;
	FmSlice		tail;
	FmRunTail	parts;
	FmFault		fault;
	uint64		fault_offset;
	int			tries;

	fetch_init();
	if (run->meta_offset > run->tail_offset || run->tail_offset > run->size ||
		run->size - run->tail_offset > TOP_MAX_RAW)
		raise_out_of_object(fetch, run, run->tail_offset);
	if (run->size - run->meta_offset <= FM_RUN_META_ONE_READ)
		start = run->meta_offset;
	for (tries = 1;; tries++)
	{
		room = read_range(fetch, run, start, run->size - start, tries > 1);
		tail = fm_slice(room + (run->tail_offset - start),
						run->size - run->tail_offset);
		fault_offset = run->tail_offset;
		if (fm_run_tail_check(tail, run, &parts, &fault) == FM_OK)
		{
			fault_offset = parts.top.offset;
			if (decode_into_pin(fetch, run, FM_BLOCK_TOP, parts.top,
								fm_slice(room + (parts.top.offset - start),
										 parts.top.size),
								pin, &fault) == FM_OK)
				break;
		}
		if (tries == FM_READ_TRIES || fault.status != FM_CORRUPTION)
		{
			fm_cache_abandon(pin);
			fm_raise_object_fault(fetch->store, FM_OBJECT_RUN, &run->id,
								  fault_offset, &fault);
		}
		fm_log_object_fault(fetch->store, FM_OBJECT_RUN, &run->id,
							fault_offset, &fault);
	}
	fm_cache_publish(pin, NULL);

	if (start < run->tail_offset)
	{
		FmTopIndex	top;
		FmTopEntry	entry;
		uint32		i;

		fm_top_index_open(fm_slice(pin->data, pin->size), &top);
		for (i = 0; i < top.npartitions; i++)
		{
			fm_top_index_entry(&top, i, &entry);
			if (entry.handle.offset < start ||
				entry.handle.offset > run->tail_offset ||
				entry.handle.size > run->tail_offset - entry.handle.offset)
				continue;
			publish_partition(fetch, run, entry.handle,
							  fm_slice(room + (entry.handle.offset - start),
									   entry.handle.size));
		}
	}
	trim_room();
}

bool
fm_fetch_from_cache(FmFetch *fetch, const FmRunDesc *run, FmBlockKind kind,
					uint64 offset, FmCacheHint *hint, FmCachePin *pin)
{
	FmCacheKey	key;

	key.object = run->id;
	key.offset = offset;
	switch (fm_cache_lookup(&key, cache_kind(kind), fetch->use, hint, pin))
	{
		case FM_CACHE_HIT:
			return true;
		case FM_CACHE_LOAD:
			fm_cache_abandon(pin);
			break;
		case FM_CACHE_BUSY:
			break;
	}
	return false;
}

bool
fm_fetch_is_cached(const FmRunDesc *run, uint64 offset)
{
	FmCacheKey	key;

	key.object = run->id;
	key.offset = offset;
	return fm_cache_contains(&key);
}

void
fm_fetch_top(FmFetch *fetch, const FmRunDesc *run, FmCachePin *pin)
{
	FmCacheKey	key;

	key.object = run->id;
	key.offset = run->tail_offset;
	for (;;)
	{
		switch (fm_cache_lookup(&key, FM_CACHE_TOP, true, NULL, pin))
		{
			case FM_CACHE_HIT:
				return;
			case FM_CACHE_BUSY:
				fm_cache_wait(&key);
				break;
			case FM_CACHE_LOAD:
				load_top(fetch, run, pin);
				return;
		}
	}
}
