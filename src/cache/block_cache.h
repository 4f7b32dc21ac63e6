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

#include "cache/block_cache_slot.h"

/* Where a block was last seen: tried before the hash table. Zero: nowhere. */
typedef struct FmCacheHint
{
	uint32		slot;			/* 1 + slot number */
} FmCacheHint;

typedef enum FmCacheResult
{
	FM_CACHE_HIT,				/* pinned */
	FM_CACHE_LOAD,				/* the caller must load it: the pin holds the
								 * mark */
	FM_CACHE_BUSY				/* somebody else loads it: wait, look again */
} FmCacheResult;

/*
 * Brings near the processor what the look-up of a block will touch: that it
 * is looked up next ("soon"), or after the next, is likely.
 */
extern void fm_cache_prefetch(const FmCacheKey *key, bool soon);

/* Is the block in the cache now?  Pins and counts nothing. */
extern bool fm_cache_contains(const FmCacheKey *key);

/*
 * Memory for the block that this pin is to load: a slot of the cache, or
 * backend memory if none can be had.  The caller fills size bytes.  May be
 * called again, with another size.
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

/*
 * Shared memory, for the hooks of _PG_init.  cache_size in bytes.  The
 * caller of fm_cache_shmem_init holds AddinShmemInitLock.
 */
extern Size fm_cache_shmem_size(Size cache_size);
extern void fm_cache_shmem_init(Size cache_size);
extern bool fm_cache_is_shared(void);

/* Drops every unpinned block, and sets the counters to zero. */
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

/*
 * Other backends' counts arrive at the end of their transactions, or some
 * misses later.
 */
extern void fm_cache_stats(FmCacheKind kind, FmCacheStats *stats);
extern Size fm_cache_size(void);

/* The parts of the inline functions below that are not fast paths. */
extern void fm_cache_release_slow(FmCachePin *pin);
extern FmCacheResult fm_cache_search(const FmCacheKey *key, FmCacheKind kind,
									 bool use, FmCacheHint *hint,
									 FmCachePin *pin);

/* Releases whatever the pin holds. */
static inline void
fm_cache_release(FmCachePin *pin)
{
	FmPinEntry *entry;

	if (pin->state == FM_PIN_NONE)
		return;
	if (unlikely(pin->state != FM_PIN_SHARED ||
				 (entry = fm_cache_pin_entry(pin)) == NULL))
	{
		fm_cache_release_slow(pin);
		return;
	}
	pg_atomic_fetch_sub_u64(&fm_cache_process.slots[pin->slot - 1].state, 1);
	fm_cache_free_entry(entry);
	pin->state = FM_PIN_NONE;
	pin->data = NULL;
}

/* Pins the block for a pin that holds nothing, if the hint is right. */
static inline bool
fm_cache_pin_hint(const FmCacheKey *key, const FmCacheHint *hint, bool use,
				  FmCachePin *pin)
{
	FmSlotHeader *slot;
	uint64		state;

	if (hint->slot == 0 || unlikely(fm_cache_process.free_entry == 0))
		return false;
	slot = &fm_cache_process.slots[hint->slot - 1];
	state = pg_atomic_fetch_add_u64(&slot->state, 1);
	if (unlikely((state & FM_SLOT_VALID) == 0 ||
				 !fm_cache_key_eq(&slot->key, key)))
	{
		pg_atomic_fetch_sub_u64(&slot->state, 1);
		return false;
	}
	if (use)
		fm_cache_count_use(slot);
	fm_cache_take_entry(pin, FM_PIN_SHARED, hint->slot);
	pin->data = fm_cache_process.data +
		(Size) (hint->slot - 1) * FM_CACHE_UNIT_SIZE;
	pin->size = slot->size;
	fm_cache_process.hits[slot->kind]++;
	return true;
}

/*
 * Fast path of fm_cache_lookup: releases what the pin holds and pins the
 * block through the hint alone, or does not.
 */
static inline bool
fm_cache_try_hint(const FmCacheKey *key, const FmCacheHint *hint,
				  FmCachePin *pin)
{
	fm_cache_release(pin);
	return fm_cache_pin_hint(key, hint, true, pin);
}

/* True if the pin holds this very block. */
static inline bool
fm_cache_holds(const FmCachePin *pin, const FmCacheKey *key)
{
	FmPinEntry *entry;

	if (pin->state != FM_PIN_SHARED && pin->state != FM_PIN_LOCAL)
		return false;
	entry = fm_cache_pin_entry(pin);
	if (unlikely(entry == NULL))
		return false;
	if (likely(pin->state == FM_PIN_SHARED))
		return fm_cache_key_eq(&fm_cache_process.slots[pin->slot - 1].key,
							   key);
	return entry->keyed && fm_cache_key_eq(&entry->key, key);
}

/*
 * Looks a block up.  A pin that holds something is released first, except
 * that a pin on the very block stays.  "use" counts the hit for the clock;
 * full scans pass false, and what they load makes room for what they load
 * next.  hint, which may be NULL, is tried and brought up to date.  With the
 * switch enable_cache off, callers use fm_cache_local for data blocks
 * instead.
 */
static inline FmCacheResult
fm_cache_lookup(const FmCacheKey *key, FmCacheKind kind, bool use,
				FmCacheHint *hint, FmCachePin *pin)
{
	if (fm_cache_holds(pin, key))
	{
		fm_cache_process.hits[kind]++;
		return FM_CACHE_HIT;
	}
	fm_cache_release(pin);
	if (hint != NULL && likely(fm_cache_pin_hint(key, hint, use, pin)))
		return FM_CACHE_HIT;
	return fm_cache_search(key, kind, use, hint, pin);
}

#endif							/* FM_BLOCK_CACHE_H */
