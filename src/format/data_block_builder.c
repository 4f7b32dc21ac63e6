/*-------------------------------------------------------------------------
 *
 * data_block_builder.c
 *	  Collects sorted entries and writes them as a data block.
 *
 *-------------------------------------------------------------------------
 */
#include "format/data_block_builder.h"

void
fm_data_block_builder_init(FmDataBlockBuilder *builder, const FmAlloc *alloc)
{
	fm_key_list_init(&builder->keys, alloc);
	fm_buf_init(&builder->row_starts, alloc);
	fm_buf_init(&builder->rows, alloc);
}

void
fm_data_block_builder_free(FmDataBlockBuilder *builder)
{
	fm_key_list_free(&builder->keys);
	fm_buf_free(&builder->row_starts);
	fm_buf_free(&builder->rows);
}

void
fm_data_block_builder_reset(FmDataBlockBuilder *builder)
{
	fm_key_list_reset(&builder->keys);
	fm_buf_reset(&builder->row_starts);
	fm_buf_reset(&builder->rows);
}

size_t
fm_data_block_builder_size_with(const FmDataBlockBuilder *builder, FmSlice key,
								FmSlice row)
{
	return FM_DATA_BLOCK_HEADER_SIZE +
		fm_key_list_size_with(&builder->keys, key) +
		builder->row_starts.len + 4 + builder->rows.len + row.len;
}

void
fm_data_block_builder_add(FmDataBlockBuilder *builder, FmSlice key,
						  FmSlice row, bool tombstone)
{
	uint32_t	start = (uint32_t) builder->rows.len;

	fm_key_list_add(&builder->keys, key);
	fm_buf_put_u32(&builder->row_starts,
				   tombstone ? start | FM_ROW_TOMBSTONE : start);
	fm_buf_put_slice(&builder->rows, row);
}

FmStatus
fm_data_block_builder_write(FmDataBlockBuilder *builder, FmBuf *out)
{
	size_t		start = out->len;
	uint32_t	rows;
	uint32_t	i;
	FmStatus	status;

	if (builder->row_starts.failed || builder->rows.failed)
		return FM_NO_MEMORY;
	fm_buf_put_zeros(out, FM_DATA_BLOCK_HEADER_SIZE);
	status = fm_key_list_write(&builder->keys, out);
	if (status != FM_OK)
		return status;
	rows = (uint32_t) (out->len - start + builder->row_starts.len);
	for (i = 0; i < builder->keys.count; i++)
		fm_buf_put_u32(out, rows + fm_get_u32(builder->row_starts.data +
											  (size_t) i * 4));
	fm_buf_put_slice(out, fm_buf_slice(&builder->rows));
	if (out->failed)
		return FM_NO_MEMORY;
	fm_put_u32(out->data + start, rows);
	return FM_OK;
}
