/*-------------------------------------------------------------------------
 *
 * run.h
 *	  Runs: descriptor, builder, and what a reader learns on opening one.
 *
 * Object: header 32 B | data blocks | index partitions | properties | top
 * index | footer 128 B.  "Meta part" is everything from the index partitions
 * on; "tail" is properties, top index and footer.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_RUN_H
#define FM_RUN_H

#include "base/buffer.h"
#include "format/block.h"
#include "format/data_block.h"
#include "format/index.h"

#define FM_RUN_HEADER_SIZE 32
#define FM_RUN_FOOTER_SIZE 128
#define FM_RUN_META_ONE_READ (1024 * 1024)	/* meta up to this: one read */
#define FM_RUN_WHOLE_READ (256 * 1024)	/* runs up to this: read whole */

/*
 * What HEAD says of a run.  The slices belong to whoever made the
 * descriptor: the builder, or the decoded HEAD.
 */
typedef struct FmRunDesc
{
	FmId		id;
	uint64_t	size;			/* bytes of the object */
	uint64_t	rows;			/* puts */
	uint64_t	tombstones;
	uint32_t	nblocks;		/* data blocks */
	uint32_t	npartitions;
	uint64_t	meta_offset;	/* start of the index partitions */
	uint64_t	tail_offset;	/* start of the properties */
	uint64_t	tail_checksum;	/* XXH3-64 of [tail_offset, size), seed 0 */
	uint64_t	min_version;	/* of HEAD; 0 until published */
	uint64_t	max_version;
	uint32_t	sequence;		/* order within one commit */
	uint8_t		filter_kind;	/* FmFilterKind that was written */
	uint8_t		filter_bits;
	uint32_t	block_size;
	FmSum128	row_sum;
	FmSlice		lower;			/* <= every key */
	FmSlice		upper;			/* >= every key */
} FmRunDesc;

typedef struct FmRunOptions
{
	FmId		id;
	FmBlockOptions block;		/* filter_kind AUTO is resolved by "bottom" */
	bool		bottom;			/* nothing older lies below */
	uint64_t	table_id;
	FmByteSink	sink;			/* of the object's bytes */
	void	   *sink_arg;
} FmRunOptions;

typedef struct FmRunBuilder FmRunBuilder;

/*
 * Creates a builder; everything it allocates comes from "alloc" and is freed
 * by fm_run_builder_free, at any time.
 */
extern FmStatus fm_run_builder_create(const FmRunOptions *options,
									  const FmAlloc *alloc,
									  FmRunBuilder **builder);

/*
 * Adds an entry.  Keys ascend strictly (FM_INVALID otherwise), are at most
 * FM_MAX_KEY_SIZE long; row.len is a multiple of FM_ROW_ALIGN, and 0 for a
 * tombstone.  "hash" goes into the filter: fm_key_hash(key) in a stored run.
 * Both slices are copied, except that a large row goes to the sink at once.
 */
extern FmStatus fm_run_builder_add(FmRunBuilder *builder, FmSlice key,
								   uint64_t hash, FmSlice row, bool tombstone);

/* Bytes given to the sink plus those that wait: where to split. */
extern uint64_t fm_run_builder_size(const FmRunBuilder *builder);

/*
 * Writes the rest.  At least one entry was added.  desc's bounds are exact
 * and point into the builder; versions and sequence are 0.
 */
extern FmStatus fm_run_builder_finish(FmRunBuilder *builder, FmRunDesc *desc);
extern void fm_run_builder_free(FmRunBuilder *builder);

/* The term that an entry contributes to row_sum. */
extern FmSum128 fm_row_sum_term(FmSlice key, FmSlice row, bool tombstone);

/* Properties, exact bounds among them; slices point into the raw input. */
typedef struct FmRunProperties
{
	uint64_t	table_id;
	uint64_t	rows;
	uint64_t	tombstones;
	uint64_t	raw_bytes;		/* of data blocks before compression */
	uint32_t	nblocks;
	uint32_t	npartitions;
	uint32_t	block_size;
	uint8_t		codec;
	uint8_t		zstd_level;
	uint8_t		filter_kind;
	uint8_t		filter_bits;
	FmSum128	row_sum;
	FmSlice		first_key;
	FmSlice		last_key;
} FmRunProperties;

/* Where a tail's parts lie, from a checked footer. */
typedef struct FmRunTail
{
	FmBlockHandle properties;
	FmBlockHandle top;
} FmRunTail;

/*
 * Checks the tail of a run ([desc->tail_offset, desc->size)) against the
 * descriptor: checksum, footer, format version (FM_UNSUPPORTED for another
 * major or an unknown required feature), run id, sizes.
 */
extern FmStatus fm_run_tail_check(FmSlice tail, const FmRunDesc *desc,
								  FmRunTail *out, FmFault *fault);

/* Checks the 32 bytes at the start of a run. */
extern FmStatus fm_run_header_check(FmSlice header, const FmId *id,
									FmFault *fault);

extern FmStatus fm_run_properties_read(FmSlice raw, FmRunProperties *props,
									   FmFault *fault);

/*
 * Makes a descriptor from a run's last FM_RUN_FOOTER_SIZE bytes, for tools
 * that have no HEAD.  What the footer does not hold (the tail's checksum,
 * bounds, row sum, options) is zero; the properties have most of it.
 */
extern FmStatus fm_run_footer_read(FmSlice footer, uint64_t size,
								   FmRunDesc *desc, FmFault *fault);

/*
 * Shortens a bound for HEAD: the lower one down, the upper one up, to at most
 * n bytes where that is possible.  dest has room for the key's length;
 * returns the new length.
 */
extern size_t fm_bound_lower(FmSlice key, size_t n, uint8_t *dest);
extern size_t fm_bound_upper(FmSlice key, size_t n, uint8_t *dest);

/* Shortest s with a <= s < b, where a < b; dest has room for a.len. */
extern size_t fm_separator(FmSlice a, FmSlice b, uint8_t *dest);

#endif							/* FM_RUN_H */
