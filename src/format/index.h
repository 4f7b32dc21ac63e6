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
 * zero u32; key table of separators.  The separator of a partition is that
 * of its last block.
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
/* Filter and sparse index; as much as a slot of 32 KiB holds. */
#define FM_PARTITION_MAX_RAW (32 * 1024 - FM_SLOT_HEADER_SIZE)
#define FM_PARTITION_MAX_SPAN (UINT32_C(1) << 31)	/* bytes of its blocks */
#define FM_PARTITION_HEADER_SIZE 32
#define FM_TOP_HEADER_SIZE 8
#define FM_TOP_RECORD_SIZE 32

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

/* Opens raw bytes that were checked before. */
static inline void
fm_partition_open(FmSlice raw, FmPartition *p)
{
	p->nkeys = fm_get_u32(raw.data);
	p->nblocks = fm_get_u32(raw.data + 4);
	p->first_offset = fm_get_u64(raw.data + 8);
	p->starts = raw.data + FM_PARTITION_HEADER_SIZE;
	p->filter = fm_slice(raw.data + fm_get_u32(raw.data + 16),
						 fm_get_u32(raw.data + 20));
	fm_key_table_open(raw.data + fm_get_u32(raw.data + 24), &p->separators);
}

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

/* Opens raw bytes that were checked before. */
static inline void
fm_top_index_open(FmSlice raw, FmTopIndex *t)
{
	t->npartitions = fm_get_u32(raw.data);
	t->records = raw.data + FM_TOP_HEADER_SIZE;
	fm_key_table_open(t->records + (size_t) t->npartitions * FM_TOP_RECORD_SIZE,
					  &t->separators);
}

static inline void
fm_top_index_entry(const FmTopIndex *t, uint32_t i, FmTopEntry *e)
{
	const uint8_t *record = t->records + (size_t) i * FM_TOP_RECORD_SIZE;

	e->handle.offset = fm_get_u64(record);
	e->handle.size = fm_get_u32(record + 8);
	e->nblocks = fm_get_u32(record + 12);
	e->entries_before = fm_get_u64(record + 16);
	e->nentries = fm_get_u32(record + 24);
}

#endif							/* FM_INDEX_H */
