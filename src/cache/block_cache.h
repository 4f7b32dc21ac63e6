/*-------------------------------------------------------------------------
 *
 * block_cache.h
 *	  The shared cache of verified, decompressed blocks.
 *
 * Keyed by run id and offset; ids are never reused, so nothing is ever
 * invalidated.  In the preloaded segment, or, without preloading, in private
 * memory with the same code.
 *
 * A pin is a small struct that lives in its user's state; while it holds a
 * slot, data points to MAXALIGNed bytes that stay.  Pins are listed by
 * resource owner, released on abort, and reported if left at commit.
 *
 * Only one backend at a time loads a block (single flight): a miss makes the
 * caller the loader, or tells it that somebody else is.  A loader does one
 * synchronous fetch and then publishes or abandons; it never waits for
 * another's load while it holds a mark of its own.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_BLOCK_CACHE_H
#define FM_BLOCK_CACHE_H

#include "lib/ilist.h"
#include "utils/resowner.h"

#include "format/format.h"

typedef enum FmCacheKind
{
	FM_CACHE_DATA,
	FM_CACHE_PARTITION,			/* index partitions; kept before data */
	FM_CACHE_TOP,				/* top indexes and run tails */
	FM_CACHE_PAGE				/* level, table and log pages */
} FmCacheKind;
#define FM_CACHE_NKINDS (FM_CACHE_PAGE + 1)

typedef struct FmCacheKey
{
	FmId		object;
	uint64		offset;
} FmCacheKey;

/* Where a block was last seen: tried before the hash table. Zero: nowhere. */
typedef struct FmCacheHint
{
	uint32		slot;			/* 1 + slot number */
} FmCacheHint;

typedef enum FmPinState
{
	FM_PIN_NONE,
	FM_PIN_SHARED,				/* a slot of the cache */
	FM_PIN_LOADING,				/* a loading mark, perhaps with a slot */
	FM_PIN_LOCAL				/* backend memory: no slot was to be had */
} FmPinState;

/*
 * A pin.  Zero-initialised it holds nothing.  Must not move while it holds
 * something, and must be released (or its resource owner must) before its
 * memory goes.
 */
typedef struct FmCachePin
{
	const uint8_t *data;		/* MAXALIGNed; NULL when nothing is held */
	uint32		size;			/* bytes */
	FmPinState	state;
	uint32		slot;			/* 1 + slot number */
	dlist_node	node;			/* in the owner's list */
	ResourceOwner owner;
	void	   *local;			/* palloc'd bytes of FM_PIN_LOCAL */
} FmCachePin;

typedef enum FmCacheResult
{
	FM_CACHE_HIT,				/* pinned */
	FM_CACHE_LOAD,				/* the caller must load it: the pin holds the
								 * mark */
	FM_CACHE_BUSY				/* somebody else loads it: wait, look again */
} FmCacheResult;

/*
 * Looks a block up.  A pin that holds something is released first, except
 * that a pin on the very block stays.  "use" counts the hit for the clock
 * (full scans pass false).  With the switch enable_cache off, callers use
 * fm_cache_local for data blocks instead.
 */
extern FmCacheResult fm_cache_lookup(const FmCacheKey *key, FmCacheKind kind,
									 bool use, FmCacheHint *hint,
									 FmCachePin *pin);

/* Fast path of the above: pins through the hint alone, or does nothing. */
extern bool fm_cache_try_hint(const FmCacheKey *key, const FmCacheHint *hint,
							  FmCachePin *pin);

/*
 * Memory for the block that this pin is to load: a slot of the cache, or
 * backend memory if none can be had.  The caller fills size bytes.
 */
extern uint8_t *fm_cache_reserve(FmCachePin *pin, uint32 size);

/* Makes a filled block visible and keeps it pinned; wakes waiters. */
extern void fm_cache_publish(FmCachePin *pin, FmCacheHint *hint);

/* Gives a loading mark up; wakes waiters.  Also done on abort. */
extern void fm_cache_abandon(FmCachePin *pin);

/* Waits until nobody loads the block; cancel acts. */
extern void fm_cache_wait(const FmCacheKey *key);

/* Makes the pin hold size bytes of backend memory, outside the cache. */
extern uint8_t *fm_cache_local(FmCachePin *pin, uint32 size);

/* Releases whatever the pin holds. */
extern void fm_cache_release(FmCachePin *pin);

/* Shared memory, for the hooks of _PG_init.  cache_size in bytes. */
extern Size fm_cache_shmem_size(Size cache_size);
extern void fm_cache_shmem_init(Size cache_size);
extern bool fm_cache_is_shared(void);

/* Drops every unpinned block (cache_reset). */
extern void fm_cache_reset(void);

/* Counters of one kind, since start or reset. */
typedef struct FmCacheStats
{
	uint64		hits;
	uint64		misses;
	uint64		evictions;
	uint64		blocks;			/* now in the cache */
	uint64		bytes;			/* of slots, now */
	uint64		pins;			/* now */
} FmCacheStats;

extern void fm_cache_stats(FmCacheKind kind, FmCacheStats *stats);
extern Size fm_cache_size(void);

#endif							/* FM_BLOCK_CACHE_H */
