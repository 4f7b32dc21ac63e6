/*-------------------------------------------------------------------------
 *
 * fuzz_data_block.c
 *	  Raw data blocks from hostile bytes: refused, or searchable.
 *
 * Input: length of a key, key, block.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "format/data_block.h"

int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every entry is found by its key, and its row lies within the block. */
static void
read_block(FmSlice raw, FmSlice sought)
{
	FmDataBlock block;
	uint8_t		key[FM_MAX_KEY_SIZE];
	volatile uint8_t sink = 0;
	bool		equal;
	uint32_t	at;
	uint32_t	i;

	fm_data_block_open(raw, &block);
	at = fm_key_table_search(&block.keys, sought, &equal);
	if (at > block.keys.count || (equal && at == block.keys.count))
		abort();
	for (i = 0; i < block.keys.count; i++)
	{
		FmSlice		row = fm_data_block_row(&block, i);
		FmSlice		k = fm_slice(key, fm_key_table_key(&block.keys, i, key));

		if (fm_key_table_search(&block.keys, k, &equal) != i || !equal)
			abort();
		if ((i < at) != (fm_slice_cmp(k, sought) < 0))
			abort();
		if (fm_data_block_is_tombstone(&block, i) && row.len > 0)
			abort();
		for (; row.len > 0; row.len--)
			sink ^= row.data[row.len - 1];
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FmFault		fault;
	uint8_t    *key;
	uint8_t    *raw;
	size_t		key_len;

	if (size < 1)
		return 0;
	key_len = data[0];
	if (size < 1 + key_len)
		return 0;

	/* Pieces of their own, so that their ends are watched. */
	key = malloc(key_len > 0 ? key_len : 1);
	memcpy(key, data + 1, key_len);
	size -= 1 + key_len;
	raw = malloc(size > 0 ? size : 1);
	memcpy(raw, data + 1 + key_len, size);
	if (fm_data_block_check(fm_slice(raw, size), &fault) == FM_OK)
		read_block(fm_slice(raw, size), fm_slice(key, key_len));
	free(key);
	free(raw);
	return 0;
}
