/*-------------------------------------------------------------------------
 *
 * index.h
 *	  The raw forms of an index partition and of a top index.
 *
 * Index partition: key count u32, block count u32, offset of the first block
 * u64, filter offset u32, filter length u32, key table offset u32, zero u32,
 * start of each block u32 * (blocks + 1) relative to the first (blocks of a
 * partition are contiguous), key table of separators, filter (on 8).
 *
 * Top index: partition count u32, zero u32, for each partition: offset u64,
 * stored size u32, block count u32, entries before it u64, entries in it u32,
 * zero u32; key table of separators.
 *
 * A separator s of a block or partition: its last key <= s < the next one's
 * first key; the last separator of a run is its last key in full.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_INDEX_H
#define FM_INDEX_H

#include "format/filter.h"
#include "format/key_table.h"

#define FM_PARTITION_MAX_KEYS (16 * 1024)
#define FM_PARTITION_MAX_RAW (32 * 1024)	/* filter and sparse index */

/* Views into raw bytes that were checked.  They own nothing. */
typedef struct FmPartition
{
	uint32_t	nkeys;			/* entries, tombstones included */
	uint32_t	nblocks;
	uint64_t	first_offset;	/* of block 0 in the run */
	const uint8_t *starts;		/* u32 * (nblocks + 1) */
	FmSlice		filter;			/* empty: none */
	FmKeyTable	separators;
} FmPartition;

typedef struct FmTopIndex
{
	uint32_t	npartitions;
	const uint8_t *records;		/* 32 bytes each */
	FmKeyTable	separators;
} FmTopIndex;

typedef struct FmTopEntry
{
	FmBlockHandle handle;		/* of the partition */
	uint32_t	nblocks;
	uint32_t	nentries;
	uint64_t	entries_before;
} FmTopEntry;

extern FmStatus fm_partition_check(FmSlice raw, FmFault *fault);
extern void fm_partition_open(FmSlice raw, FmPartition *p);

static inline FmBlockHandle
fm_partition_block(const FmPartition *p, uint32_t i)
{
	FmBlockHandle h;
	uint32_t	start = fm_get_u32(p->starts + (size_t) i * 4);

	h.offset = p->first_offset + start;
	h.size = fm_get_u32(p->starts + (size_t) (i + 1) * 4) - start;
	return h;
}

extern FmStatus fm_top_index_check(FmSlice raw, FmFault *fault);
extern void fm_top_index_open(FmSlice raw, FmTopIndex *t);
extern void fm_top_index_entry(const FmTopIndex *t, uint32_t i, FmTopEntry *e);

#endif							/* FM_INDEX_H */
