/*-------------------------------------------------------------------------
 *
 * data_block_builder.h
 *	  Collects sorted entries and writes them as a data block.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_DATA_BLOCK_BUILDER_H
#define FM_DATA_BLOCK_BUILDER_H

#include "format/data_block.h"
#include "format/key_list.h"

/* Owns copies of its entries; used for one block after another. */
typedef struct FmDataBlockBuilder
{
	FmKeyList	keys;
	FmBuf		row_starts;		/* u32 each: from the first row, with flag */
	FmBuf		rows;
} FmDataBlockBuilder;

extern void fm_data_block_builder_init(FmDataBlockBuilder *builder,
									   const FmAlloc *alloc);
extern void fm_data_block_builder_free(FmDataBlockBuilder *builder);
extern void fm_data_block_builder_reset(FmDataBlockBuilder *builder);

/* Raw bytes of the block if this entry were added first. */
extern size_t fm_data_block_builder_size_with(const FmDataBlockBuilder *builder,
											  FmSlice key, FmSlice row);

/* Adds an entry; keys ascend, rows are as data_block.h says. */
extern void fm_data_block_builder_add(FmDataBlockBuilder *builder, FmSlice key,
									  FmSlice row, bool tombstone);

/* Bytes that wait in the builder. */
static inline size_t
fm_data_block_builder_waiting(const FmDataBlockBuilder *builder)
{
	return builder->keys.bytes.len + builder->row_starts.len +
		builder->rows.len;
}

/* Appends the raw block to out, which stands at a multiple of 4. */
extern FmStatus fm_data_block_builder_write(FmDataBlockBuilder *builder,
											FmBuf *out);

#endif							/* FM_DATA_BLOCK_BUILDER_H */
