/*-------------------------------------------------------------------------
 *
 * index_builder.h
 *	  Collects blocks and writes an index partition; partitions and writes
 *	  the top index.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_INDEX_BUILDER_H
#define FM_INDEX_BUILDER_H

#include "format/index.h"
#include "format/key_list.h"

/*
 * A separator, and how many zeros may follow it: it stays less than the next
 * block's first key.
 */
typedef struct FmSeparator
{
	FmSlice		bytes;
	size_t		max_zeros;
} FmSeparator;

/* A short separator of a < b; dest has room for a.len. */
extern FmSeparator fm_separator_make(FmSlice a, FmSlice b, uint8_t *dest);

/* Used for one partition after another. */
typedef struct FmPartitionBuilder
{
	const FmAlloc *alloc;
	FmFilterKind filter_kind;
	int			filter_bits;
	uint32_t	nkeys;
	uint32_t	nblocks;
	uint64_t	first_offset;
	uint64_t	span;			/* bytes of the blocks */
	FmBuf		starts;			/* u32 each, but the first */
	FmKeyList	separators;
	size_t		longest;		/* separator, bytes */
	FmBuf		max_zeros;		/* size_t each */
	FmKeyList	padded;			/* scratch */
} FmPartitionBuilder;

extern void fm_partition_builder_init(FmPartitionBuilder *builder,
									  FmFilterKind filter_kind,
									  int filter_bits, const FmAlloc *alloc);
extern void fm_partition_builder_free(FmPartitionBuilder *builder);

/*
 * False if the partition would get too large by this block, which then begins
 * the next one.  An empty partition takes any block.
 */
extern bool fm_partition_builder_fits(const FmPartitionBuilder *builder,
									  uint32_t block_size, uint32_t nkeys,
									  const FmSeparator *separator);

/* Adds a block of nkeys entries that lies behind the one before. */
extern void fm_partition_builder_add(FmPartitionBuilder *builder,
									 FmBlockHandle handle, uint32_t nkeys,
									 const FmSeparator *separator);

/*
 * Appends the raw partition to out, which stands at a multiple of
 * FM_FILTER_ALIGN, and empties the builder.  hashes are those of its nkeys
 * entries; they are sorted in place.  *last is the last block's separator,
 * valid until the next call.
 */
extern FmStatus fm_partition_builder_write(FmPartitionBuilder *builder,
										   uint64_t *hashes, FmBuf *out,
										   FmSlice *last);

typedef struct FmTopBuilder
{
	uint32_t	npartitions;
	uint64_t	nentries;
	FmBuf		records;
	FmKeyList	separators;
} FmTopBuilder;

extern void fm_top_builder_init(FmTopBuilder *builder, const FmAlloc *alloc);
extern void fm_top_builder_free(FmTopBuilder *builder);

/* Adds a partition whose place is not known yet. */
extern void fm_top_builder_add(FmTopBuilder *builder, uint32_t nblocks,
							   uint32_t nentries, FmSlice separator);
extern void fm_top_builder_set_handle(FmTopBuilder *builder, uint32_t i,
									  FmBlockHandle handle);

/* Appends the raw top index to out, which stands at a multiple of 4. */
extern FmStatus fm_top_builder_write(FmTopBuilder *builder, FmBuf *out);

#endif							/* FM_INDEX_BUILDER_H */
