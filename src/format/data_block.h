/*-------------------------------------------------------------------------
 *
 * data_block.h
 *	  The raw form of a data block: sorted entries, searchable in place.
 *
 * rows offset u32 (from the block's start, a multiple of 4), zero u32, key
 * table, row start u32 * count (from the block's start, bit 31: tombstone),
 * rows.  A row ends where the next begins; the last at the block's end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_DATA_BLOCK_H
#define FM_DATA_BLOCK_H

#include "format/key_table.h"

#define FM_ROW_TOMBSTONE 0x80000000u
#define FM_DATA_BLOCK_HEADER_SIZE 8

/* A view into raw bytes that fm_data_block_check accepted.  Owns nothing. */
typedef struct FmDataBlock
{
	const uint8_t *base;
	uint32_t	size;			/* bytes */
	const uint8_t *row_starts;
	FmKeyTable	keys;
} FmDataBlock;

/* Checks the whole structure (see fm_key_table_check); not the rows' inside. */
extern FmStatus fm_data_block_check(FmSlice raw, FmFault *fault);

/* Opens raw bytes that were checked before. */
static inline void
fm_data_block_open(FmSlice raw, FmDataBlock *block)
{
	block->base = raw.data;
	block->size = (uint32_t) raw.len;
	fm_key_table_open(raw.data + FM_DATA_BLOCK_HEADER_SIZE, &block->keys);
	block->row_starts = raw.data + fm_get_u32(raw.data) -
		(size_t) block->keys.count * 4;
}

static inline bool
fm_data_block_is_tombstone(const FmDataBlock *b, uint32_t i)
{
	return (fm_get_u32(b->row_starts + (size_t) i * 4) & FM_ROW_TOMBSTONE) != 0;
}

/* The row of entry i: a multiple of FM_ROW_ALIGN bytes, none if tombstone. */
static inline FmSlice
fm_data_block_row(const FmDataBlock *b, uint32_t i)
{
	uint32_t	start = fm_get_u32(b->row_starts + (size_t) i * 4) &
	~FM_ROW_TOMBSTONE;
	uint32_t	end = b->size;

	if (i + 1 < b->keys.count)
		end = fm_get_u32(b->row_starts + (size_t) (i + 1) * 4) &
			~FM_ROW_TOMBSTONE;
	return fm_slice(b->base + start, end - start);
}

#endif							/* FM_DATA_BLOCK_H */
