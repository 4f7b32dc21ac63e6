/*-------------------------------------------------------------------------
 *
 * cache_space.c
 *	  The cache's memory: extents, slots, and which block makes room.
 *
 * Memory is extents of 256 KiB.  An extent is free, or cut into slots of one
 * size, its class.  A slot's number is that of its first unit.
 *
 * One clock hand goes over all extents and ages what it passes.  It evicts
 * the first unpinned slot of the wanted class whose use count is spent, and
 * takes whole an extent of another class that is all cold.  Where a stretch
 * of the clock has neither, the class is short: then it takes the coldest
 * extent of another class there, if that is no warmer than its own slots.
 * Index parts start with more lives than data blocks, so that they outlast
 * them.  What full scans load goes round in a small ring of slots once the
 * cache is full, so that a scan flushes nothing.
 *
 * A slot is free, valid (in the hash table), or belongs to a loader.  The
 * space lock guards extents and free slots; becoming invalid also takes the
 * lock of the block's partition.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/mman.h>

#include "port/pg_bitutils.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

#include "cache/cache_space.h"

/* Extents that the clock looks at before it takes one of another class. */
#define CLOCK_STRETCH 64

/* Rounds after which all that remains is pinned: one more than lives. */
#define CLOCK_ROUNDS 8

FmCacheMap	fm_cache_map;
FmCacheProcess fm_cache_process;
uint64		fm_cache_evictions[FM_CACHE_NKINDS];

static inline FmSlotHeader *
slot_header(uint32 number)
{
	return &fm_cache_process.slots[number];
}

static inline uint32
extent_slots(int class)
{
	return FM_EXTENT_UNITS >> class;
}

/* Number of slot i of an extent. */
static inline uint32
slot_number(uint32 extent, int class, uint32 i)
{
	return extent * FM_EXTENT_UNITS + (i << class);
}

static inline uint64
all_slots(int class)
{
	uint32		n = extent_slots(class);

	return n == 64 ? ~UINT64CONST(0) : (UINT64CONST(1) << n) - 1;
}

static uint32
count_buckets(uint32 nextents)
{
	return pg_nextpower2_32(Max(nextents * (FM_EXTENT_UNITS / 2),
								FM_CACHE_PARTITIONS));
}

Size
fm_cache_layout_size(uint32 nextents)
{
	Size		size = MAXALIGN(sizeof(FmCacheShared));

	size = add_size(size, mul_size(sizeof(uint32), count_buckets(nextents)));
	size = add_size(size, mul_size(sizeof(FmExtent), nextents));
	size = add_size(size, mul_size(sizeof(FmSlotHeader) * FM_EXTENT_UNITS,
								   nextents));
	size = add_size(size, mul_size(FM_CACHE_EXTENT_SIZE, nextents));

	/* Room to align the headers, and the data. */
	return add_size(size, PG_CACHE_LINE_SIZE + 2 * FM_CACHE_UNIT_SIZE);
}

void
fm_cache_layout(void *base, uint32 nextents)
{
	char	   *p = (char *) TYPEALIGN(PG_CACHE_LINE_SIZE, base);

	fm_cache_map.nextents = nextents;
	fm_cache_map.nbuckets = count_buckets(nextents);
	fm_cache_map.shared = (FmCacheShared *) p;
	p += MAXALIGN(sizeof(FmCacheShared));
	fm_cache_map.extents = (FmExtent *) p;
	p += sizeof(FmExtent) * nextents;
	fm_cache_map.buckets = (uint32 *) p;
	p += sizeof(uint32) * fm_cache_map.nbuckets;
	p = (char *) TYPEALIGN(FM_CACHE_UNIT_SIZE, p);
	fm_cache_process.slots = (FmSlotHeader *) p;
	p += sizeof(FmSlotHeader) * FM_EXTENT_UNITS * nextents;
	p = (char *) TYPEALIGN(FM_CACHE_UNIT_SIZE, p);
	fm_cache_process.data = (uint8 *) p;
}

void
fm_cache_format(int tranche)
{
	FmCacheShared *shared = fm_cache_map.shared;
	uint32		i;
	int			k;

	memset(shared, 0, sizeof(FmCacheShared));
	shared->tranche = tranche;
	LWLockInitialize(&shared->space_lock, tranche);
	for (i = 0; i < FM_CACHE_PARTITIONS; i++)
	{
		FmCachePartition *partition = fm_cache_partition(i);

		LWLockInitialize(&partition->lock, tranche);
		for (k = 0; k < FM_CACHE_LOADS; k++)
			ConditionVariableInit(&partition->loads[k].done);
	}
	for (k = 0; k < FM_CACHE_NKINDS; k++)
	{
		pg_atomic_init_u64(&shared->counters.hits[k], 0);
		pg_atomic_init_u64(&shared->counters.misses[k], 0);
		pg_atomic_init_u64(&shared->counters.evictions[k], 0);
	}
	memset(fm_cache_map.buckets, 0, sizeof(uint32) * fm_cache_map.nbuckets);
	for (i = fm_cache_map.nextents; i-- > 0;)
	{
		FmExtent   *extent = &fm_cache_map.extents[i];

		memset(extent, 0, sizeof(FmExtent));
		extent->class = -1;
		extent->next = shared->free_extents;
		shared->free_extents = i + 1;
	}
	for (i = 0; i < fm_cache_map.nextents * FM_EXTENT_UNITS; i++)
	{
		memset(slot_header(i), 0, sizeof(FmSlotHeader));
		pg_atomic_init_u64(&slot_header(i)->state, 0);
	}
}

/* Puts an extent with a free slot at the head of its class's list. */
static void
list_extent(uint32 number)
{
	FmCacheShared *shared = fm_cache_map.shared;
	FmExtent   *extent = &fm_cache_map.extents[number];
	uint32	   *first = &shared->open_extents[extent->class];

	extent->prev = 0;
	extent->next = *first;
	if (*first != 0)
		fm_cache_map.extents[*first - 1].prev = number + 1;
	*first = number + 1;
	extent->listed = true;
}

static void
unlist_extent(uint32 number)
{
	FmExtent   *extents = fm_cache_map.extents;
	FmExtent   *extent = &extents[number];

	if (extent->prev != 0)
		extents[extent->prev - 1].next = extent->next;
	else
		fm_cache_map.shared->open_extents[extent->class] = extent->next;
	if (extent->next != 0)
		extents[extent->next - 1].prev = extent->prev;
	extent->listed = false;
}

/* Marks slot i of an extent as free. */
static void
add_free_slot(uint32 number, uint32 i)
{
	FmExtent   *extent = &fm_cache_map.extents[number];

	extent->free |= UINT64CONST(1) << i;
	if (!extent->listed)
		list_extent(number);
}

/* Frees an extent whose slots are all free. */
static void
free_if_empty(uint32 number)
{
	FmCacheShared *shared = fm_cache_map.shared;
	FmExtent   *extent = &fm_cache_map.extents[number];

	if (extent->free != all_slots(extent->class))
		return;
	unlist_extent(number);
	extent->class = -1;
	extent->next = shared->free_extents;
	shared->free_extents = number + 1;
}

/* A free slot of the class: 1 + its number, or 0. */
static uint32
take_free_slot(int class)
{
	FmCacheShared *shared = fm_cache_map.shared;
	uint32		number = shared->open_extents[class];
	FmExtent   *extent;
	uint32		i;

	if (number == 0)
	{
		number = shared->free_extents;
		if (number == 0)
			return 0;
		extent = &fm_cache_map.extents[number - 1];
		shared->free_extents = extent->next;
		extent->class = class;
		extent->free = all_slots(class);
		list_extent(number - 1);
	}
	number--;
	extent = &fm_cache_map.extents[number];
	i = pg_rightmost_one_pos64(extent->free);
	extent->free &= extent->free - 1;
	if (extent->free == 0)
		unlist_extent(number);
	return slot_number(number, class, i) + 1;
}

static void
unlink_slot(uint32 number)
{
	FmSlotHeader *slot = slot_header(number);
	uint32	   *link;

	link = &fm_cache_map.buckets[slot->hash & (fm_cache_map.nbuckets - 1)];
	while (*link != number + 1)
		link = &slot_header(*link - 1)->next;
	*link = slot->next;
}

/*
 * Makes a slot invalid, if it is valid and nobody has it pinned.  The pin
 * keeps its key as it is until the lock of its partition is there; the
 * exchange fails if anybody else came by meanwhile.
 */
static bool
evict_slot(uint32 number)
{
	FmSlotHeader *slot = slot_header(number);
	FmCachePartition *partition;
	uint64		expected = FM_SLOT_VALID + 1;
	bool		evicted;

	if (pg_atomic_fetch_add_u64(&slot->state, 1) != FM_SLOT_VALID)
	{
		pg_atomic_fetch_sub_u64(&slot->state, 1);
		return false;
	}
	partition = fm_cache_partition(slot->hash);
	LWLockAcquire(&partition->lock, LW_EXCLUSIVE);
	evicted = pg_atomic_compare_exchange_u64(&slot->state, &expected, 0);
	if (evicted)
		unlink_slot(number);
	else
		pg_atomic_fetch_sub_u64(&slot->state, 1);
	LWLockRelease(&partition->lock);
	if (evicted)
		fm_cache_evictions[slot->kind]++;
	return evicted;
}

/*
 * Drops all blocks of an extent and frees it; false if one was pinned in the
 * meantime, when only some are dropped.
 */
static bool
empty_extent(uint32 number)
{
	FmExtent   *extent = &fm_cache_map.extents[number];
	bool		empty = true;
	uint32		n = extent_slots(extent->class);
	uint32		i;

	for (i = 0; i < n; i++)
	{
		if ((extent->free & (UINT64CONST(1) << i)) != 0)
			continue;
		if (evict_slot(slot_number(number, extent->class, i)))
			add_free_slot(number, i);
		else
			empty = false;
	}
	if (empty)
		free_if_empty(number);
	return empty;
}

/* What a stretch of the clock found. */
typedef struct ClockStretch
{
	uint32		coldest;		/* 1 + extent of another class; 0: none */
	uint32		coldest_heat;	/* use counts of its units, added up */
	uint32		own_heat;		/* use counts of the class's slots */
	uint32		own_slots;
} ClockStretch;

/*
 * Passes the extent under the hand.  Returns 1 + the number of a slot that
 * was evicted for the class, when the hand stays at the next one, or 0.
 */
static uint32
pass_extent(int class, ClockStretch *stretch)
{
	FmCacheShared *shared = fm_cache_map.shared;
	uint32		number = shared->hand_extent;
	FmExtent   *extent = &fm_cache_map.extents[number];
	bool		own = extent->class == class;
	bool		movable = shared->hand_slot == 0;
	uint32		heat = 0;
	uint32		n;
	uint32		i;

	if (extent->class < 0)
		return 0;
	n = extent_slots(extent->class);
	for (i = shared->hand_slot; i < n; i++)
	{
		FmSlotHeader *slot;

		if ((extent->free & (UINT64CONST(1) << i)) != 0)
			continue;
		slot = slot_header(slot_number(number, extent->class, i));
		if (pg_atomic_read_u64(&slot->state) != FM_SLOT_VALID)
		{
			movable = false;
			continue;
		}
		if (slot->usage > 0)
			heat += slot->usage--;
		else if (own && evict_slot(slot_number(number, class, i)))
		{
			shared->hand_slot = i + 1;
			return slot_number(number, class, i) + 1;
		}
	}
	if (own)
	{
		stretch->own_heat += heat;
		stretch->own_slots += n;
	}
	else if (movable)
	{
		heat <<= extent->class;
		if (stretch->coldest == 0 || heat < stretch->coldest_heat)
		{
			stretch->coldest = number + 1;
			stretch->coldest_heat = heat;
		}
	}
	return 0;
}

/* Moves the hand until there is a slot for the class: 1 + number, or 0. */
static uint32
run_clock(int class)
{
	FmCacheShared *shared = fm_cache_map.shared;
	uint32		nextents = fm_cache_map.nextents;
	uint32		passed = 0;

	while (passed < nextents * CLOCK_ROUNDS)
	{
		ClockStretch stretch = {0, 0, 0, 0};
		uint32		end = passed + Min(CLOCK_STRETCH, nextents);
		uint32		slot;

		for (; passed < end; passed++)
		{
			slot = pass_extent(class, &stretch);
			if (slot != 0)
				return slot;
			shared->hand_slot = 0;
			shared->hand_extent = (shared->hand_extent + 1) % nextents;
			if (stretch.coldest != 0 && stretch.coldest_heat == 0)
				break;
		}
		if (stretch.coldest != 0 &&
			(stretch.own_slots == 0 ||
			 (uint64) stretch.coldest_heat * stretch.own_slots <=
			 (uint64) stretch.own_heat * FM_EXTENT_UNITS) &&
			empty_extent(stretch.coldest - 1))
			return take_free_slot(class);
	}
	return 0;
}

/* The slot that a scan filled a ring's length ago, if nobody uses it. */
static uint32
reuse_ring_slot(int class)
{
	FmCacheShared *shared = fm_cache_map.shared;
	uint32		number;
	FmExtent   *extent;
	FmSlotHeader *slot;

	number = shared->ring[class][shared->ring_next[class]];
	if (number-- == 0)
		return 0;
	extent = &fm_cache_map.extents[number / FM_EXTENT_UNITS];
	slot = slot_header(number);
	if (extent->class != class || slot->kind != FM_CACHE_DATA ||
		slot->usage > 0 || !evict_slot(number))
		return 0;
	return number + 1;
}

uint32
fm_cache_alloc_slot(uint32 size, bool scan)
{
	FmCacheShared *shared = fm_cache_map.shared;
	uint32		slot;
	int			class = 0;

	while (((uint32) FM_CACHE_UNIT_SIZE << class) < size)
	{
		if (++class == FM_CACHE_CLASSES)
			return 0;
	}
	LWLockAcquire(&shared->space_lock, LW_EXCLUSIVE);
	slot = take_free_slot(class);
	if (slot == 0 && scan)
		slot = reuse_ring_slot(class);
	if (slot == 0)
		slot = run_clock(class);
	if (slot != 0 && scan)
	{
		shared->ring[class][shared->ring_next[class]] = slot;
		shared->ring_next[class] = (shared->ring_next[class] + 1) %
			FM_SCAN_RING;
	}
	LWLockRelease(&shared->space_lock);
	return slot;
}

void
fm_cache_free_slot(uint32 slot)
{
	uint32		number = (slot - 1) / FM_EXTENT_UNITS;
	FmExtent   *extent = &fm_cache_map.extents[number];

	LWLockAcquire(&fm_cache_map.shared->space_lock, LW_EXCLUSIVE);
	add_free_slot(number, ((slot - 1) % FM_EXTENT_UNITS) >> extent->class);
	free_if_empty(number);
	LWLockRelease(&fm_cache_map.shared->space_lock);
}

void
fm_cache_map_extent(uint32 slot)
{
#ifdef MADV_POPULATE_READ
	static uint8 *mapped = NULL;	/* a bit for each extent */
	uint32		number = (slot - 1) / FM_EXTENT_UNITS;
	uint8		bit = 1 << (number % 8);

	if (mapped == NULL)
		mapped = MemoryContextAllocZero(TopMemoryContext,
										fm_cache_map.nextents / 8 + 1);
	if ((mapped[number / 8] & bit) != 0)
		return;
	mapped[number / 8] |= bit;
	(void) madvise(fm_cache_process.data +
				   (Size) number * FM_CACHE_EXTENT_SIZE,
				   FM_CACHE_EXTENT_SIZE, MADV_POPULATE_READ);
#endif
}

uint32
fm_cache_slot_size(uint32 slot)
{
	/* An extent does not change its class while a slot is in use. */
	return FM_CACHE_UNIT_SIZE <<
		fm_cache_map.extents[(slot - 1) / FM_EXTENT_UNITS].class;
}

void
fm_cache_drop_unpinned(void)
{
	uint32		i;

	for (i = 0; i < fm_cache_map.nextents; i++)
	{
		LWLockAcquire(&fm_cache_map.shared->space_lock, LW_EXCLUSIVE);
		if (fm_cache_map.extents[i].class >= 0)
			(void) empty_extent(i);
		LWLockRelease(&fm_cache_map.shared->space_lock);
	}
}
