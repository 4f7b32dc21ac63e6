/*-------------------------------------------------------------------------
 *
 * block_cache_slot.h
 *	  What the inline fast path of block_cache.h needs to see of the cache.
 *
 * Every 4 KiB of the cache, a unit, has a slot header, whether or not a slot
 * starts there now; the headers lie in an array of their own.  So a stale
 * hint always leads to a header, never into the bytes of somebody's block,
 * and adding and taking back a pin there harms nothing.
 *
 * A slot's state is changed by atomic operations alone, and never stored to,
 * since such passing pins may come at any time.  While a pin is held on a
 * valid slot, none of its other fields but usage changes: a slot is
 * invalidated by an exchange that expects no pins.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_BLOCK_CACHE_SLOT_H
#define FM_BLOCK_CACHE_SLOT_H

#include "port/atomics.h"
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

typedef enum FmPinState
{
	FM_PIN_NONE,
	FM_PIN_SHARED,				/* a slot of the cache */
	FM_PIN_LOADING,				/* a loading mark, perhaps with a slot */
	FM_PIN_LOCAL				/* backend memory: no slot was to be had */
} FmPinState;

/*
 * A pin.  Zero-initialised it holds nothing.  Must not move while it holds
 * something.  What it holds is listed by resource owner outside of it, so
 * that its memory may go before the owner does; once the owner is released,
 * the pin holds nothing, whatever it says.
 */
typedef struct FmCachePin
{
	const uint8_t *data;		/* MAXALIGNed; NULL when nothing is held */
	uint32		size;			/* bytes */
	FmPinState	state;
	uint32		slot;			/* 1 + slot number, of a shared one */
	uint32		entry;			/* 1 + number in the list of what is held */
} FmCachePin;

#define FM_CACHE_UNIT_SIZE 4096
#define FM_CACHE_EXTENT_SIZE (256 * 1024)

/* Bits of a slot's state: pins below, and this. */
#define FM_SLOT_VALID (UINT64CONST(1) << 32)
#define FM_SLOT_PINS (FM_SLOT_VALID - 1)

typedef struct FmSlotHeader
{
	pg_atomic_uint64 state;
	FmCacheKey	key;
	uint32		size;			/* bytes of the block */
	uint32		hash;			/* of the key */
	uint32		next;			/* 1 + number of the next in its bucket; under
								 * the partition's lock */
	uint8		kind;			/* FmCacheKind */
	uint8		usage;			/* for the clock; a lost count is no harm */
	uint8		max_usage;
	uint8		unused[17];
} FmSlotHeader;

StaticAssertDecl(sizeof(FmSlotHeader) == 64, "a header is a cache line");

/* Something this backend holds. */
typedef struct FmPinEntry
{
	FmCachePin *pin;			/* whose it is; may be gone, then only compare */
	ResourceOwner owner;
	uint32		next_free;		/* 1 + number of the next that is not used */
	uint32		slot;			/* 1 + slot number; 0 for none */
	uint32		load;			/* 1 + number of the loading mark; 0: none */
	FmPinState	state;
	FmCacheKind kind;			/* of what is loaded */
	bool		use;
	bool		keyed;			/* key says what "local" holds */
	void	   *local;			/* bytes in backend memory */
	FmCacheKey	key;
} FmPinEntry;

/* The cache as this process sees it. */
typedef struct FmCacheProcess
{
	FmSlotHeader *slots;		/* by unit; NULL before the first use */
	uint8	   *data;			/* of unit 0 */
	FmPinEntry *entries;
	uint32		free_entry;		/* 1 + number of the first; 0: none left */
	uint32		nheld;			/* entries in use */
	uint64		hits[FM_CACHE_NKINDS];	/* not yet added to the shared ones */
} FmCacheProcess;

extern FmCacheProcess fm_cache_process;

static inline bool
fm_cache_key_eq(const FmCacheKey *a, const FmCacheKey *b)
{
	return a->offset == b->offset && fm_id_eq(&a->object, &b->object);
}

/* The entry of a pin; NULL if the owner's release has emptied it. */
static inline FmPinEntry *
fm_cache_pin_entry(const FmCachePin *pin)
{
	FmPinEntry *entry = &fm_cache_process.entries[pin->entry - 1];

	return likely(entry->pin == pin) ? entry : NULL;
}

/* Takes a free entry, which there must be, for a pin that holds nothing. */
static inline FmPinEntry *
fm_cache_take_entry(FmCachePin *pin, FmPinState state, uint32 slot)
{
	uint32		number = fm_cache_process.free_entry;
	FmPinEntry *entry = &fm_cache_process.entries[number - 1];

	fm_cache_process.free_entry = entry->next_free;
	fm_cache_process.nheld++;
	entry->pin = pin;
	entry->owner = CurrentResourceOwner;
	entry->state = state;
	entry->slot = slot;
	pin->state = state;
	pin->slot = slot;
	pin->entry = number;
	return entry;
}

static inline void
fm_cache_free_entry(FmPinEntry *entry)
{
	entry->pin = NULL;
	entry->next_free = fm_cache_process.free_entry;
	fm_cache_process.free_entry = (entry - fm_cache_process.entries) + 1;
	fm_cache_process.nheld--;
}

static inline void
fm_cache_count_use(FmSlotHeader *slot)
{
	if (slot->usage < slot->max_usage)
		slot->usage++;
}

#endif							/* FM_BLOCK_CACHE_SLOT_H */
