/*-------------------------------------------------------------------------
 *
 * buffer_spill.h
 *	  Parts of a write buffer in temporary files.
 *
 * A spill is a run whose entries are groups: all versions of a key, newest
 * first.  A version is: base u64, cid u32, subid u32, length of its row u32,
 * kind u8, upsert u8, zero u16, row.
 *
 * Its index partitions and top index stay in memory; data blocks are read
 * back one at a time.  What is not freed goes with the top transaction, with
 * a warning if that commits.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_BUFFER_SPILL_H
#define FM_BUFFER_SPILL_H

#include "base/buffer.h"
#include "engine/write_buffer.h"
#include "format/data_block.h"

#define FM_VERSION_HEADER_SIZE 24

typedef struct FmSpill FmSpill;
typedef struct FmSpillWriter FmSpillWriter;

/* A data block that was read back. */
typedef struct FmSpillBlock
{
	const FmSpill *spill;		/* NULL: none */
	uint64		offset;
	uint8	   *bytes;			/* stored ones, in "context" */
	Size		room;			/* bytes allocated */
	MemoryContext context;
	FmDataBlock block;
} FmSpillBlock;

/* A place in a spill, for scans. */
typedef struct FmSpillCursor
{
	FmSpill    *spill;
	bool		backward;
	bool		valid;			/* it stands on an entry */
	uint32		partition_no;
	uint32		block_no;
	uint32		entry_no;
	FmSpillBlock block;
} FmSpillCursor;

/* Appends a version to a group. */
extern void fm_group_put(FmBuf *group, const FmBufferEntry *version);

/*
 * Takes the next version off a group; false at its end.  Sets all but the
 * key.
 */
extern bool fm_group_next(FmSlice *group, FmBufferEntry *version);

/*
 * Writing: keys ascend strictly, groups are not empty.  Everything is in a
 * child of "parent".  finish needs at least one entry.  After an error the
 * writer is to be abandoned; abandoning neither raises nor allocates.
 */
extern FmSpillWriter *fm_spill_begin(MemoryContext parent);
extern void fm_spill_add(FmSpillWriter *writer, FmSlice key, uint64 hash,
						 FmSlice group);
extern FmSpill *fm_spill_finish(FmSpillWriter *writer);
extern void fm_spill_abandon(FmSpillWriter *writer);

/* Frees it and its file.  Neither raises nor allocates. */
extern void fm_spill_free(FmSpill *spill);

/*
 * Looks a key up; the group points into *block, which is kept from one search
 * to the next.
 */
extern bool fm_spill_find(FmSpill *spill, FmSpillBlock *block, FmSlice key,
						  uint64 hash, FmSlice *group);

/*
 * A cursor, all of whose memory is in context.  Before its first move it
 * stands nowhere.
 */
extern void fm_spill_cursor_init(FmSpillCursor *cursor, FmSpill *spill,
								 bool backward, MemoryContext context);

/*
 * Moves to the first key >= key, or, backward, to the last key < key; with
 * NULL to the first or the last of all.  Sets valid.
 */
extern void fm_spill_cursor_seek(FmSpillCursor *cursor, const FmSlice *key);

/* Moves one entry on. */
extern void fm_spill_cursor_next(FmSpillCursor *cursor);

/* The entry: the key is written to dest (room for FM_MAX_KEY_SIZE). */
extern FmSlice fm_spill_cursor_key(const FmSpillCursor *cursor, uint8 *dest);
extern FmSlice fm_spill_cursor_group(const FmSpillCursor *cursor);

#endif							/* FM_BUFFER_SPILL_H */
