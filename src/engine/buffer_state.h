/*-------------------------------------------------------------------------
 *
 * buffer_state.h
 *	  The inside of a write buffer, for the files that make it up.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_BUFFER_STATE_H
#define FM_BUFFER_STATE_H

#include "engine/buffer_spill.h"
#include "engine/write_buffer.h"

typedef struct FmBufferVersion FmBufferVersion;
typedef struct FmBufferKey FmBufferKey;

/* One change; its row, or an FmApartRow, follows, 8 bytes aligned. */
struct FmBufferVersion
{
	FmBufferVersion *older;
	uint64		base;
	CommandId	cid;
	SubTransactionId subid;
	uint32		row_size;		/* bytes */
	uint8		kind;			/* FmChangeKind */
	bool		upsert;
	bool		apart;			/* the row is elsewhere */
};

/* A row that was not copied: a piece of the buffer's row_alloc. */
typedef struct FmApartRow
{
	uint8	   *row;
	FmBufferVersion *next;		/* in the list of versions that have one */
}			FmApartRow;

#define FM_VERSION_ROW_OFFSET MAXALIGN(sizeof(FmBufferVersion))

struct FmBufferKey
{
	FmSlice		key;
	uint64		hash;
	FmBufferVersion *newest;
	uint32		group_size;		/* bytes of all versions as a group */
};

/* A place in the sorted array. */
typedef struct FmBufferItem
{
	uint64		head;			/* some bytes of the key, see sort_items */
	FmBufferKey *key;
} FmBufferItem;

/* Subtransactions [first, last] are aborted. */
typedef struct FmAbortedRange
{
	SubTransactionId first;
	SubTransactionId last;
} FmAbortedRange;

/* A spill and what is known of it. */
typedef struct FmSpillEntry
{
	FmSpill    *spill;
	CommandId	min_cid;		/* of its versions */
	uint32		tier;			/* how often its oldest part was merged */
} FmSpillEntry;

struct fm_buffer_keys_hash;

struct FmWriteBuffer
{
	MemoryContext context;		/* holds all of it */
	MemoryContext memory;		/* what is not spilled: reset by a spill */
	Size		budget;			/* bytes */
	Size		used;			/* bytes of "memory" */
	uint64		count;			/* changes added */
	uint64		bytes;			/* of keys and rows added */

	/* In memory. */
	uint8	   *chunk;			/* where the next entry goes */
	Size		chunk_left;		/* bytes */
	Size		chunk_size;		/* bytes */
	struct fm_buffer_keys_hash *keys;	/* NULL: empty */
	FmBufferItem *items;		/* one for each key */
	uint32		nitems;
	uint32		maxitems;
	uint32		nsorted;		/* items that are in order */
	uint32		nheads;			/* items whose head is filled */
	Size		common;			/* bytes that all keys begin with */
	Size		heads_common;	/* "common" when the heads were filled */
	CommandId	min_cid;		/* InvalidCommandId: none */
	FmAlloc		row_alloc;		/* over context */
	FmBuf		row;			/* see fm_write_buffer_row */
	FmBufferVersion *apart;		/* versions whose row is apart */

	/* Oldest first; tiers do not ascend. */
	FmSpillEntry *spills;
	uint32		nspills;
	uint32		maxspills;
	FmSpillWriter *writer;		/* of a spill that is made, or that an error
								 * left unfinished */
	bool		keep_spills;	/* they cannot be merged: groups too large */
	FmSpillBlock found;			/* block of the last search */

	/* Subtransactions. */
	FmAbortedRange *aborted;	/* ascending, disjoint */
	uint32		naborted;
	uint32		maxaborted;
	SubTransactionId first_subid;	/* the least that wrote */
	SubTransactionId last_subid;	/* the greatest that wrote */

	/*
	 * Scans compare these with what they saw last: items have other places;
	 * other spills, and memory is reset.
	 */
	uint64		sort_epoch;
	uint64		spill_epoch;
};

extern bool fm_buffer_is_aborted(const FmWriteBuffer *buffer,
								 SubTransactionId subid);

static inline bool
fm_buffer_is_live(const FmWriteBuffer *buffer, SubTransactionId subid)
{
	return likely(buffer->naborted == 0) ||
		!fm_buffer_is_aborted(buffer, subid);
}

static inline FmApartRow *
fm_version_apart(const FmBufferVersion *version)
{
	return (FmApartRow *) ((uint8 *) version + FM_VERSION_ROW_OFFSET);
}

/* The row of a version in memory. */
static inline FmSlice
fm_version_row(const FmBufferVersion *version)
{
	return fm_slice(unlikely(version->apart) ? fm_version_apart(version)->row :
					(const uint8 *) version + FM_VERSION_ROW_OFFSET,
					version->row_size);
}

static inline void
fm_version_entry(const FmBufferVersion *version, FmBufferEntry *entry)
{
	entry->row = fm_version_row(version);
	entry->kind = (FmChangeKind) version->kind;
	entry->upsert = version->upsert;
	entry->cid = version->cid;
	entry->subid = version->subid;
	entry->base = version->base;
}

/*
 * The newest version that a command sees; locks count if with_locks.  Both
 * set all of the entry but the key; false: there is none.
 */
extern bool fm_buffer_visible(const FmWriteBuffer *buffer,
							  const FmBufferKey *key, CommandId curcid,
							  bool with_locks, FmBufferEntry *entry);
extern bool fm_buffer_visible_group(const FmWriteBuffer *buffer, FmSlice group,
									CommandId curcid, bool with_locks,
									FmBufferEntry *entry);

/* Makes all items sorted. */
extern void fm_buffer_sort(FmWriteBuffer *buffer);

/* Number of the first item whose key is >= key; items are sorted. */
extern uint32 fm_buffer_search(const FmWriteBuffer *buffer, FmSlice key);

/* Writes the memory to a new spill and starts empty; merges spills if many. */
extern void fm_buffer_spill(FmWriteBuffer *buffer);

/* Forgets what is in memory.  Neither raises nor allocates. */
extern void fm_buffer_reset_memory(FmWriteBuffer *buffer);

/* Drops a spill that is not finished.  Neither raises nor allocates. */
extern void fm_buffer_abandon_writer(FmWriteBuffer *buffer);

#endif							/* FM_BUFFER_STATE_H */
