/*-------------------------------------------------------------------------
 *
 * block_cache.c
 *	  The shared cache of verified, decompressed blocks: look-up, loading,
 *	  pins.
 *
 * A block is in the hash table from the moment it is published until it is
 * evicted; the lock of its hash partition guards the chains and the loading
 * marks there.  A block is loaded under a mark, which is set only where the
 * block is not in the table, and cleared by the same step that puts it there:
 * so no block is there twice.  When all marks of a partition are taken, a
 * block is loaded into backend memory without one.
 *
 * What this backend holds, pins and marks alike, is listed in entries outside
 * of the pins: executor memory goes before its resource owner does when a
 * transaction aborts.
 *
 * Counters are kept by backend and added to the shared ones now and then.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

#include "cache/cache_space.h"
#include "objstore/wait_events.h"

#define PRIVATE_CACHE_SIZE (8 * 1024 * 1024)
#define FIRST_ENTRIES 64
#define FLUSH_MISSES 256		/* misses after which counters are added */

/* Use counts: on entering the cache, and at most. */
#define DATA_USAGE 0
#define DATA_MAX_USAGE 3
#define INDEX_USAGE 3
#define INDEX_MAX_USAGE 6

static bool cache_shared = false;
static MemoryContext cache_context; /* entries; private cache */
static MemoryContext local_context; /* blocks in backend memory */
static uint32 nentries;
static uint64 cache_misses[FM_CACHE_NKINDS];
static uint32 unflushed_misses;
static bool callback_registered = false;

static void release_held(ResourceReleasePhase phase, bool isCommit,
						 bool isTopLevel, void *arg);

static uint32
count_extents(Size cache_size)
{
	/* Slot numbers have 32 bits. */
	return Min(cache_size / FM_CACHE_EXTENT_SIZE,
			   PG_UINT32_MAX / FM_EXTENT_UNITS - 1);
}

Size
fm_cache_shmem_size(Size cache_size)
{
	return fm_cache_layout_size(count_extents(cache_size));
}

void
fm_cache_shmem_init(Size cache_size)
{
	uint32		nextents = count_extents(cache_size);
	bool		found;
	void	   *base;

	base = ShmemInitStruct("fusio_manifest cache",
						   fm_cache_layout_size(nextents), &found);
	fm_cache_layout(base, nextents);
	if (!found)
		fm_cache_format(LWLockNewTrancheId());
	LWLockRegisterTranche(fm_cache_map.shared->tranche, "FusioManifestCache");
	cache_shared = true;
}

bool
fm_cache_is_shared(void)
{
	return cache_shared;
}

Size
fm_cache_size(void)
{
	if (cache_shared)
		return (Size) fm_cache_map.nextents * FM_CACHE_EXTENT_SIZE;
	return PRIVATE_CACHE_SIZE;
}

/* Doubles the entries; there is no free one. */
static void
add_entries(void)
{
	uint32		n = nentries == 0 ? FIRST_ENTRIES : nentries * 2;
	FmPinEntry *entries;
	uint32		i;

	if (nentries == 0)
		entries = MemoryContextAlloc(cache_context, sizeof(FmPinEntry) * n);
	else
		entries = repalloc(fm_cache_process.entries, sizeof(FmPinEntry) * n);
	memset(entries + nentries, 0, sizeof(FmPinEntry) * (n - nentries));
	for (i = nentries; i < n; i++)
		entries[i].next_free = i + 1 < n ? i + 2 : 0;
	fm_cache_process.free_entry = nentries + 1;
	fm_cache_process.entries = entries;
	nentries = n;
}

/* Makes sure that there is a cache, and an entry to hold something with. */
static void
prepare(void)
{
	if (likely(fm_cache_process.free_entry != 0))
		return;
	if (cache_context == NULL)
	{
		cache_context = AllocSetContextCreate(TopMemoryContext,
											  "fusio_manifest cache",
											  ALLOCSET_DEFAULT_SIZES);
		local_context = AllocSetContextCreate(cache_context,
											  "fusio_manifest blocks",
											  ALLOCSET_DEFAULT_SIZES);
	}
	if (!callback_registered)
	{
		RegisterResourceReleaseCallback(release_held, NULL);
		callback_registered = true;
	}
	if (fm_cache_process.slots == NULL)
	{
		uint32		nextents = count_extents(PRIVATE_CACHE_SIZE);

		fm_cache_layout(MemoryContextAlloc(cache_context,
										   fm_cache_layout_size(nextents)),
						nextents);

		/* Nobody waits for locks that nobody shares: they need no name. */
		fm_cache_format(LWTRANCHE_FIRST_USER_DEFINED);
	}
	add_entries();
}

static void
add_counters(pg_atomic_uint64 *shared, uint64 *own)
{
	int			k;

	for (k = 0; k < FM_CACHE_NKINDS; k++)
	{
		if (own[k] != 0)
			pg_atomic_fetch_add_u64(&shared[k], own[k]);
		own[k] = 0;
	}
}

static void
flush_counters(void)
{
	FmCacheCounters *counters;

	if (fm_cache_process.slots == NULL)
		return;
	counters = &fm_cache_map.shared->counters;
	add_counters(counters->hits, fm_cache_process.hits);
	add_counters(counters->misses, cache_misses);
	add_counters(counters->evictions, fm_cache_evictions);
	unflushed_misses = 0;
}

static uint32
hash_key(const FmCacheKey *key)
{
	uint64		h;

	memcpy(&h, key->object.bytes, sizeof(h));
	h ^= key->offset * UINT64CONST(0x9E3779B97F4A7C15);
	h ^= h >> 32;
	h *= UINT64CONST(0xD6E8FEB86659FD93);
	return (uint32) (h >> 32);
}

/* The block's slot, 1 + its number, or 0; under the partition's lock. */
static uint32
find_slot(uint32 hash, const FmCacheKey *key)
{
	uint32		slot;

	slot = fm_cache_map.buckets[hash & (fm_cache_map.nbuckets - 1)];
	while (slot != 0)
	{
		FmSlotHeader *header = &fm_cache_process.slots[slot - 1];

		if (header->hash == hash && fm_cache_key_eq(&header->key, key))
			break;
		slot = header->next;
	}
	return slot;
}

void
fm_cache_prefetch(const FmCacheKey *key, bool soon)
{
	uint32	   *bucket;
	uint32		slot;

	if (fm_cache_process.slots == NULL)
		return;
	bucket = &fm_cache_map.buckets[hash_key(key) & (fm_cache_map.nbuckets - 1)];
	if (!soon)
		__builtin_prefetch(bucket);
	else if ((slot = *(volatile uint32 *) bucket) != 0)
		__builtin_prefetch(&fm_cache_process.slots[slot - 1]);
}

/* The block's loading mark, or NULL; under the partition's lock. */
static FmCacheLoad *
find_load(FmCachePartition *partition, const FmCacheKey *key)
{
	int			i;

	for (i = 0; i < FM_CACHE_LOADS; i++)
	{
		FmCacheLoad *load = &partition->loads[i];

		if (load->owner != 0 && fm_cache_key_eq(&load->key, key))
			return load;
	}
	return NULL;
}

/* Marks are numbered through all partitions, from 1. */
static FmCacheLoad *
load_by_number(uint32 number)
{
	return &fm_cache_map.shared->
		partitions[(number - 1) / FM_CACHE_LOADS].p.
		loads[(number - 1) % FM_CACHE_LOADS];
}

/* Takes a free mark for the block: its number, or 0 if there is none. */
static uint32
take_load(uint32 hash, const FmCacheKey *key)
{
	FmCachePartition *partition = fm_cache_partition(hash);
	int			i;

	for (i = 0; i < FM_CACHE_LOADS; i++)
	{
		FmCacheLoad *load = &partition->loads[i];

		if (load->owner == 0)
		{
			load->owner = MyProcPid;
			load->key = *key;
			return (hash % FM_CACHE_PARTITIONS) * FM_CACHE_LOADS + i + 1;
		}
	}
	return 0;
}

/* Pins a slot in a chain; under the partition's lock. */
static void
pin_slot(uint32 slot)
{
	pg_atomic_fetch_add_u64(&fm_cache_process.slots[slot - 1].state, 1);
}

static uint8 *
slot_data(uint32 slot)
{
	return fm_cache_process.data + (Size) (slot - 1) * FM_CACHE_UNIT_SIZE;
}

FmCacheResult
fm_cache_search(const FmCacheKey *key, FmCacheKind kind, bool use,
				FmCacheHint *hint, FmCachePin *pin)
{
	uint32		hash = hash_key(key);
	FmCachePartition *partition;
	FmCacheLoad *load;
	FmPinEntry *entry;
	uint32		slot;
	uint32		mark = 0;
	bool		busy = false;

	Assert(pin->state == FM_PIN_NONE);
	prepare();
	partition = fm_cache_partition(hash);
	LWLockAcquire(&partition->lock, LW_SHARED);
	slot = find_slot(hash, key);
	if (slot != 0)
		pin_slot(slot);
	LWLockRelease(&partition->lock);
	if (slot == 0)
	{
		LWLockAcquire(&partition->lock, LW_EXCLUSIVE);
		slot = find_slot(hash, key);
		if (slot != 0)
			pin_slot(slot);
		else if ((load = find_load(partition, key)) == NULL)
			mark = take_load(hash, key);
		else
			busy = load->owner != MyProcPid;
		LWLockRelease(&partition->lock);
	}
	if (busy)
		return FM_CACHE_BUSY;
	if (slot == 0)
	{
		entry = fm_cache_take_entry(pin, FM_PIN_LOADING, 0);
		entry->load = mark;
		entry->kind = kind;
		entry->use = use;
		entry->key = *key;
		entry->local = NULL;
		cache_misses[kind]++;
		if (++unflushed_misses >= FLUSH_MISSES)
			flush_counters();
		return FM_CACHE_LOAD;
	}
	fm_cache_take_entry(pin, FM_PIN_SHARED, slot);
	if (use)
		fm_cache_count_use(&fm_cache_process.slots[slot - 1]);
	fm_cache_process.hits[kind]++;
	pin->data = slot_data(slot);
	pin->size = fm_cache_process.slots[slot - 1].size;
	if (hint != NULL)
		hint->slot = slot;
	return FM_CACHE_HIT;
}

bool
fm_cache_contains(const FmCacheKey *key)
{
	uint32		hash = hash_key(key);
	FmCachePartition *partition;
	bool		found;

	prepare();
	partition = fm_cache_partition(hash);
	LWLockAcquire(&partition->lock, LW_SHARED);
	found = find_slot(hash, key) != 0;
	LWLockRelease(&partition->lock);
	return found;
}

static void
free_memory(FmPinEntry *entry)
{
	if (entry->local != NULL)
		pfree(entry->local);
	entry->local = NULL;
	if (entry->state == FM_PIN_LOADING && entry->slot != 0)
		fm_cache_free_slot(entry->slot);
	entry->slot = 0;
}

/* Clears a mark and wakes who waits for it. */
static void
drop_load(FmPinEntry *entry)
{
	FmCachePartition *partition = fm_cache_partition(hash_key(&entry->key));
	FmCacheLoad *load;

	if (entry->load == 0)
		return;
	load = load_by_number(entry->load);
	LWLockAcquire(&partition->lock, LW_EXCLUSIVE);
	load->owner = 0;
	LWLockRelease(&partition->lock);
	ConditionVariableBroadcast(&load->done);
	entry->load = 0;
}

/* Lets go of what an entry holds, without looking at its pin. */
static void
release_entry(FmPinEntry *entry)
{
	if (entry->state == FM_PIN_SHARED)
		pg_atomic_fetch_sub_u64(&fm_cache_process.slots[entry->slot - 1].state,
								1);
	else
	{
		free_memory(entry);
		if (entry->state == FM_PIN_LOADING)
			drop_load(entry);
	}
	fm_cache_free_entry(entry);
}

static void
clear_pin(FmCachePin *pin)
{
	pin->state = FM_PIN_NONE;
	pin->data = NULL;
}

void
fm_cache_release_slow(FmCachePin *pin)
{
	FmPinEntry *entry = fm_cache_pin_entry(pin);

	if (entry != NULL)
		release_entry(entry);
	clear_pin(pin);
}

void
fm_cache_abandon(FmCachePin *pin)
{
	Assert(pin->state == FM_PIN_LOADING);
	fm_cache_release(pin);
}

uint8_t *
fm_cache_reserve(FmCachePin *pin, uint32 size)
{
	FmPinEntry *entry = fm_cache_pin_entry(pin);
	bool		scan;

	Assert(entry != NULL && entry->state == FM_PIN_LOADING);
	pin->size = size;
	if (entry->slot != 0 && fm_cache_slot_size(entry->slot) >= size)
		return slot_data(entry->slot);
	free_memory(entry);
	scan = entry->kind == FM_CACHE_DATA && !entry->use;
	if (entry->load != 0)
		entry->slot = fm_cache_alloc_slot(size, scan);
	if (entry->slot != 0)
	{
		if (scan && cache_shared)
			fm_cache_map_extent(entry->slot);
		return slot_data(entry->slot);
	}
	entry->local = MemoryContextAllocHuge(local_context, Max(size, 1));
	return entry->local;
}

void
fm_cache_publish(FmCachePin *pin, FmCacheHint *hint)
{
	FmPinEntry *entry = fm_cache_pin_entry(pin);
	FmCachePartition *partition;
	FmCacheLoad *load;
	FmSlotHeader *slot;
	uint32	   *bucket;
	bool		index;

	Assert(entry != NULL && entry->state == FM_PIN_LOADING);
	if (entry->slot == 0)
	{
		drop_load(entry);
		entry->state = pin->state = FM_PIN_LOCAL;
		entry->keyed = true;
		pin->data = entry->local;
		return;
	}

	index = entry->kind != FM_CACHE_DATA;
	slot = &fm_cache_process.slots[entry->slot - 1];
	slot->key = entry->key;
	slot->hash = hash_key(&entry->key);
	slot->size = pin->size;
	slot->kind = entry->kind;
	slot->usage = index ? INDEX_USAGE : DATA_USAGE;
	slot->max_usage = index ? INDEX_MAX_USAGE : DATA_MAX_USAGE;
	bucket = &fm_cache_map.buckets[slot->hash & (fm_cache_map.nbuckets - 1)];
	partition = fm_cache_partition(slot->hash);
	load = load_by_number(entry->load);
	LWLockAcquire(&partition->lock, LW_EXCLUSIVE);
	slot->next = *bucket;
	*bucket = entry->slot;
	pg_atomic_fetch_add_u64(&slot->state, FM_SLOT_VALID + 1);
	load->owner = 0;
	LWLockRelease(&partition->lock);
	ConditionVariableBroadcast(&load->done);

	entry->load = 0;
	entry->state = pin->state = FM_PIN_SHARED;
	pin->slot = entry->slot;
	pin->data = slot_data(entry->slot);
	if (hint != NULL)
		hint->slot = entry->slot;
}

void
fm_cache_wait(const FmCacheKey *key)
{
	FmCachePartition *partition = fm_cache_partition(hash_key(key));
	uint32		event = fm_wait_event(FM_WAIT_BLOCK_LOAD);
	FmCacheLoad *load;
	FmCacheLoad *watched = NULL;

	for (;;)
	{
		LWLockAcquire(&partition->lock, LW_SHARED);
		load = find_load(partition, key);
		LWLockRelease(&partition->lock);
		if (load == NULL)
			break;
		if (load == watched)
			ConditionVariableSleep(&load->done, event);
		else
		{
			/* Look again: it may have ended before we were in the list. */
			ConditionVariableCancelSleep();
			ConditionVariablePrepareToSleep(&load->done);
			watched = load;
		}
	}
	ConditionVariableCancelSleep();
}

uint8_t *
fm_cache_local(FmCachePin *pin, uint32 size)
{
	FmPinEntry *entry;
	void	   *local;

	fm_cache_release(pin);
	prepare();
	local = MemoryContextAllocHuge(local_context, Max(size, 1));
	entry = fm_cache_take_entry(pin, FM_PIN_LOCAL, 0);
	entry->load = 0;
	entry->keyed = false;
	entry->local = local;
	pin->size = size;
	pin->data = local;
	return local;
}

/* Releases what a resource owner that ends still has here. */
static void
release_held(ResourceReleasePhase phase, bool isCommit, bool isTopLevel,
			 void *arg)
{
	uint32		left = 0;
	uint32		i;

	if (phase != RESOURCE_RELEASE_BEFORE_LOCKS)
		return;
	for (i = 0; fm_cache_process.nheld > 0 && i < nentries; i++)
	{
		FmPinEntry *entry = &fm_cache_process.entries[i];

		if (entry->pin != NULL && entry->owner == CurrentResourceOwner)
		{
			release_entry(entry);
			left++;
		}
	}
	if (isTopLevel)
		flush_counters();
	if (isCommit && left > 0)
		elog(WARNING, "%u blocks of the cache were still pinned", left);
}

void
fm_cache_reset(void)
{
	FmCacheCounters *counters;
	int			k;

	if (fm_cache_process.slots == NULL)
		return;
	flush_counters();
	fm_cache_drop_unpinned();
	memset(fm_cache_evictions, 0, sizeof(fm_cache_evictions));
	counters = &fm_cache_map.shared->counters;
	for (k = 0; k < FM_CACHE_NKINDS; k++)
	{
		pg_atomic_write_u64(&counters->hits[k], 0);
		pg_atomic_write_u64(&counters->misses[k], 0);
		pg_atomic_write_u64(&counters->evictions[k], 0);
	}
}

void
fm_cache_stats(FmCacheKind kind, FmCacheStats *stats)
{
	FmCacheCounters *counters;
	uint32		nunits;
	uint32		i;

	memset(stats, 0, sizeof(*stats));
	if (fm_cache_process.slots == NULL)
		return;
	flush_counters();
	counters = &fm_cache_map.shared->counters;
	stats->hits = pg_atomic_read_u64(&counters->hits[kind]);
	stats->misses = pg_atomic_read_u64(&counters->misses[kind]);
	stats->evictions = pg_atomic_read_u64(&counters->evictions[kind]);
	nunits = fm_cache_map.nextents * FM_EXTENT_UNITS;
	for (i = 0; i < nunits; i++)
	{
		FmSlotHeader *slot = &fm_cache_process.slots[i];
		uint64		state = pg_atomic_read_u64(&slot->state);
		FmExtent   *extent = &fm_cache_map.extents[i / FM_EXTENT_UNITS];

		if ((state & FM_SLOT_VALID) == 0 || slot->kind != kind)
			continue;
		stats->blocks++;
		/* Read without its lock: it may be a free extent by now. */
		stats->bytes += FM_CACHE_UNIT_SIZE << Max(extent->class, 0);
		stats->pins += state & FM_SLOT_PINS;
	}
}
