/*-------------------------------------------------------------------------
 *
 * cache_space.h
 *	  The cache's memory: layout, hash partitions, extents and their slots.
 *	  Shared by the parts of the cache only.
 *
 * Locks: the space lock, then a partition's lock; never two partitions, and
 * never the space lock while a partition's is held.  Neither is held over
 * anything that can raise, wait or do I/O.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_CACHE_SPACE_H
#define FM_CACHE_SPACE_H

#include "storage/condition_variable.h"
#include "storage/lwlock.h"

#include "cache/block_cache.h"

#define FM_CACHE_PARTITIONS 64
#define FM_CACHE_LOADS 8		/* loading marks of a partition */
#define FM_CACHE_CLASSES 7		/* slots of 4 KiB << class */
#define FM_EXTENT_UNITS (FM_CACHE_EXTENT_SIZE / FM_CACHE_UNIT_SIZE)
#define FM_SCAN_RING 64			/* slots of a class that scans go round in */

/* A loading mark; under its partition's lock, but for the variable. */
typedef struct FmCacheLoad
{
	FmCacheKey	key;
	int			owner;			/* process id; 0: not used */
	ConditionVariable done;
} FmCacheLoad;

typedef struct FmCachePartition
{
	LWLock		lock;			/* of the marks, and of the chains of slots
								 * whose hash leads here */
	FmCacheLoad loads[FM_CACHE_LOADS];
} FmCachePartition;

typedef union FmPaddedPartition
{
	FmCachePartition p;
	char		pad[TYPEALIGN(PG_CACHE_LINE_SIZE, sizeof(FmCachePartition))];
} FmPaddedPartition;

/* An extent; under the space lock. */
typedef struct FmExtent
{
	uint64		free;			/* slots that are free, by bit */
	uint32		prev;			/* 1 + number of a neighbour in the list of
								 * its class, or of free extents */
	uint32		next;
	int8		class;			/* -1: a free extent */
	bool		listed;			/* in its class's list */
} FmExtent;

typedef struct FmCacheCounters
{
	pg_atomic_uint64 hits[FM_CACHE_NKINDS];
	pg_atomic_uint64 misses[FM_CACHE_NKINDS];
	pg_atomic_uint64 evictions[FM_CACHE_NKINDS];
} FmCacheCounters;

typedef struct FmCacheShared
{
	LWLock		space_lock;		/* of all that follows, but for counters */
	int			tranche;		/* of the locks; does not change */
	uint32		free_extents;	/* 1 + number of the first; list by "next" */
	uint32		hand_extent;	/* where the clock goes on */
	uint32		hand_slot;
	uint32		open_extents[FM_CACHE_CLASSES]; /* 1 + number of the first
												 * extent with a free slot */
	uint32		ring[FM_CACHE_CLASSES][FM_SCAN_RING];	/* 1 + slot number */
	uint32		ring_next[FM_CACHE_CLASSES];
	FmCacheCounters counters;
	FmPaddedPartition partitions[FM_CACHE_PARTITIONS];
} FmCacheShared;

/* Where the parts are, in this process. */
typedef struct FmCacheMap
{
	FmCacheShared *shared;
	uint32	   *buckets;		/* 1 + number of the first slot; under the
								 * lock of the partition */
	FmExtent   *extents;
	uint32		nbuckets;		/* a power of 2, at least the partitions */
	uint32		nextents;
} FmCacheMap;

extern FmCacheMap fm_cache_map;

/* Evictions of this backend, not yet added to the shared ones. */
extern uint64 fm_cache_evictions[FM_CACHE_NKINDS];

static inline FmCachePartition *
fm_cache_partition(uint32 hash)
{
	return &fm_cache_map.shared->partitions[hash % FM_CACHE_PARTITIONS].p;
}

/* Bytes of everything, for the given number of extents. */
extern Size fm_cache_layout_size(uint32 nextents);

/* Points the map, and the process, to the parts from base on. */
extern void fm_cache_layout(void *base, uint32 nextents);

/* Makes the parts an empty cache. */
extern void fm_cache_format(int tranche);

/*
 * A slot of at least size bytes that belongs to nobody: 1 + its number, or 0
 * if there is none, as all that could be used are pinned.  scan: what it is
 * for will hardly be wanted again.
 */
extern uint32 fm_cache_alloc_slot(uint32 size, bool scan);

/*
 * Maps a slot's extent of the shared cache into this process, all its pages by
 * one call where the system can.  For who is about to fill extents one after
 * the other: a fault for each page costs as much as to decompress it.
 */
extern void fm_cache_map_extent(uint32 slot);

/* Gives a slot back that is not valid. */
extern void fm_cache_free_slot(uint32 slot);

/* Bytes of a slot. */
extern uint32 fm_cache_slot_size(uint32 slot);

/* Drops every block that is not pinned. */
extern void fm_cache_drop_unpinned(void);

#endif							/* FM_CACHE_SPACE_H */
