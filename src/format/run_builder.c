/*-------------------------------------------------------------------------
 *
 * run_builder.c
 *	  Sorted entries to the bytes of a run object.
 *
 * Data blocks go to the sink as they fill.  Index partitions wait in memory,
 * about two bytes an entry, until the last data block is written: their place
 * is part of their checksum.
 *
 * The sink may leave by a longjmp, after which fm_run_builder_free is the
 * only call allowed.
 *
 *-------------------------------------------------------------------------
 */
#include "format/run.h"

#include "format/data_block_builder.h"
#include "format/index_builder.h"
#include "format/run_layout.h"

#define LARGE_ROW (1024 * 1024) /* rows from this on are not copied */

struct FmRunBuilder
{
	const FmAlloc *alloc;
	FmRunOptions options;
	FmFilterKind filter_kind;
	int			filter_bits;
	FmBlockWriter *writer;
	FmStatus	status;			/* the first failure; nothing is done after */
	uint64_t	offset;			/* bytes given to the sink */

	FmDataBlockBuilder block;
	FmPartitionBuilder partition;
	FmTopBuilder top;
	FmBuf		hashes;			/* u64 each: of the partition and the block */
	FmBuf		partitions;		/* raw, one after another */
	FmBuf		partition_ends; /* size_t each, into partitions */
	FmBuf		raw;			/* scratch: a raw block */
	FmBuf		out;			/* scratch: what goes to the sink next */

	FmBuf		first_key;
	FmBuf		last_key;
	uint64_t	rows;
	uint64_t	tombstones;
	uint64_t	raw_bytes;
	uint32_t	nblocks;
	FmSum128	row_sum;
};

FmSum128
fm_row_sum_term(FmSlice key, FmSlice row, bool tombstone)
{
	FmSum128	k = fm_xxh3_128(key, tombstone ? 1 : 0);

	return fm_sum128_add(k, fm_xxh3_128(row, k.lo));
}

static bool
options_valid(const FmRunOptions *options)
{
	const FmBlockOptions *block = &options->block;

	if (block->block_size < FM_MIN_BLOCK_SIZE ||
		block->block_size > FM_MAX_BLOCK_SIZE)
		return false;
	if (block->codec != FM_CODEC_RAW &&
		(block->codec != FM_CODEC_ZSTD || block->zstd_level < 1 ||
		 block->zstd_level > FM_ZSTD_MAX_LEVEL))
		return false;
	switch (block->filter_kind)
	{
		case FM_FILTER_NONE:
		case FM_FILTER_FUSE8:
		case FM_FILTER_FUSE16:
		case FM_FILTER_AUTO:
			return true;
		case FM_FILTER_BLOOM:
			return block->filter_bits >= 1 &&
				block->filter_bits <= FM_BLOOM_MAX_BITS;
		default:
			return false;
	}
}

FmStatus
fm_run_builder_create(const FmRunOptions *options, const FmAlloc *alloc,
					  FmRunBuilder **builder)
{
	FmRunBuilder *b;
	int			level = 0;

	*builder = NULL;
	if (!options_valid(options))
		return FM_INVALID;
	b = fm_alloc(alloc, sizeof(FmRunBuilder));
	if (b == NULL)
		return FM_NO_MEMORY;
	memset(b, 0, sizeof(*b));
	b->alloc = alloc;
	b->options = *options;
	b->filter_kind = (FmFilterKind) options->block.filter_kind;
	if (b->filter_kind == FM_FILTER_AUTO)
		b->filter_kind = options->bottom ? FM_FILTER_FUSE8 : FM_FILTER_FUSE16;
	if (b->filter_kind == FM_FILTER_BLOOM)
		b->filter_bits = options->block.filter_bits;
	else if (b->filter_kind != FM_FILTER_NONE)
		b->filter_bits = b->filter_kind == FM_FILTER_FUSE8 ? 8 : 16;
	if (options->block.codec == FM_CODEC_ZSTD)
		level = options->block.zstd_level;

	fm_data_block_builder_init(&b->block, alloc);
	fm_partition_builder_init(&b->partition, b->filter_kind, b->filter_bits,
							  alloc);
	fm_top_builder_init(&b->top, alloc);
	fm_buf_init(&b->hashes, alloc);
	fm_buf_init(&b->partitions, alloc);
	fm_buf_init(&b->partition_ends, alloc);
	fm_buf_init(&b->raw, alloc);
	fm_buf_init(&b->out, alloc);
	fm_buf_init(&b->first_key, alloc);
	fm_buf_init(&b->last_key, alloc);
	b->writer = fm_block_writer_create(alloc, &options->id, level);
	if (b->writer == NULL)
	{
		fm_run_builder_free(b);
		return FM_NO_MEMORY;
	}
	*builder = b;
	return FM_OK;
}

void
fm_run_builder_free(FmRunBuilder *b)
{
	if (b == NULL)
		return;
	fm_block_writer_free(b->writer);
	fm_data_block_builder_free(&b->block);
	fm_partition_builder_free(&b->partition);
	fm_top_builder_free(&b->top);
	fm_buf_free(&b->hashes);
	fm_buf_free(&b->partitions);
	fm_buf_free(&b->partition_ends);
	fm_buf_free(&b->raw);
	fm_buf_free(&b->out);
	fm_buf_free(&b->first_key);
	fm_buf_free(&b->last_key);
	fm_free(b->alloc, b);
}

uint64_t
fm_run_builder_size(const FmRunBuilder *b)
{
	return b->offset + b->partitions.len +
		fm_data_block_builder_waiting(&b->block);
}

/* Gives "out" to the sink. */
static FmStatus
emit(FmRunBuilder *b)
{
	if (b->out.failed)
		return FM_NO_MEMORY;
	b->offset += b->out.len;
	if (!b->options.sink(b->options.sink_arg, fm_buf_slice(&b->out)))
		return FM_STOPPED;
	return FM_OK;
}

static void
put_run_header(FmRunBuilder *b, FmBuf *out)
{
	size_t		start = out->len;

	fm_buf_put(out, FM_RUN_MAGIC, FM_RUN_MAGIC_SIZE);
	fm_buf_put_u16(out, FM_FORMAT_MAJOR);
	fm_buf_put_u16(out, FM_FORMAT_MINOR);
	fm_buf_put(out, b->options.id.bytes, sizeof(b->options.id.bytes));
	if (!out->failed)
		fm_buf_put_u32(out, (uint32_t)
					   fm_xxh3_64(fm_slice(out->data + start,
										   FM_HEADER_CHECKSUM), 0));
}

/*
 * Ends the partition; the last "pending" hashes belong to a block that is not
 * in it and stay.
 */
static FmStatus
close_partition(FmRunBuilder *b, uint32_t pending)
{
	uint32_t	nkeys = b->partition.nkeys;
	uint32_t	nblocks = b->partition.nblocks;
	uint64_t   *hashes = (uint64_t *) b->hashes.data;
	FmSlice		separator;
	FmStatus	status;

	fm_buf_align(&b->partitions, FM_FILTER_ALIGN);
	status = fm_partition_builder_write(&b->partition, hashes,
										&b->partitions, &separator);
	if (status != FM_OK)
		return status;
	fm_buf_put(&b->partition_ends, &b->partitions.len,
			   sizeof(b->partitions.len));
	fm_top_builder_add(&b->top, nblocks, nkeys, separator);
	memmove(hashes, hashes + nkeys, sizeof(uint64_t) * pending);
	b->hashes.len = sizeof(uint64_t) * pending;
	return b->partition_ends.failed ? FM_NO_MEMORY : FM_OK;
}

/* Sends the raw block; "large_row", which may be empty, is its end. */
static FmStatus
write_block(FmRunBuilder *b, FmSlice large_row, FmBlockHandle *handle)
{
	size_t		start;
	size_t		size;
	FmStatus	status;

	fm_buf_reset(&b->out);
	if (b->offset == 0)
		put_run_header(b, &b->out);
	if (large_row.len > 0)
	{
		status = emit(b);
		handle->offset = b->offset;
		if (status == FM_OK)
			status = fm_block_stream(b->writer, FM_BLOCK_DATA,
									 fm_buf_slice(&b->raw), large_row,
									 handle->offset, b->options.sink,
									 b->options.sink_arg, &b->out, &size);
		if (status != FM_OK)
			return status;
		b->offset += size;
		handle->size = (uint32_t) size;
		return FM_OK;
	}
	start = b->out.len;
	handle->offset = b->offset + start;
	status = fm_block_write(b->writer, FM_BLOCK_DATA, fm_buf_slice(&b->raw),
							handle->offset, &b->out);
	if (status != FM_OK)
		return status;
	handle->size = (uint32_t) (b->out.len - start);
	return emit(b);
}

/*
 * Writes the block that was collected; "next" is the first key of the one
 * that follows, NULL at the end of the run or if that is not known.
 */
static FmStatus
close_block(FmRunBuilder *b, const FmSlice *next, FmSlice large_row)
{
	uint32_t	count = b->block.keys.count;
	uint8_t		bytes[FM_MAX_KEY_SIZE];
	FmSeparator separator;
	FmBlockHandle handle;
	FmStatus	status;

	fm_buf_reset(&b->raw);
	status = fm_data_block_builder_write(&b->block, &b->raw);
	if (status == FM_OK)
		status = write_block(b, large_row, &handle);
	if (status != FM_OK)
		return status;
	fm_data_block_builder_reset(&b->block);

	if (next != NULL)
		separator = fm_separator_make(fm_buf_slice(&b->last_key), *next,
									  bytes);
	else
	{
		separator.bytes = fm_buf_slice(&b->last_key);
		separator.max_zeros = 0;
	}
	if (!fm_partition_builder_fits(&b->partition, handle.size, count,
								   &separator))
	{
		status = close_partition(b, count);
		if (status != FM_OK)
			return status;
	}
	fm_partition_builder_add(&b->partition, handle, count, &separator);
	b->nblocks++;
	b->raw_bytes += b->raw.len + large_row.len;
	return FM_OK;
}

static FmStatus
add_entry(FmRunBuilder *b, FmSlice key, uint64_t hash, FmSlice row,
		  bool tombstone)
{
	bool		first = b->rows + b->tombstones == 0;
	FmSlice		none = {NULL, 0};
	FmSlice		large_row = row.len >= LARGE_ROW ? row : none;
	FmStatus	status;

	if (key.len > FM_MAX_KEY_SIZE || row.len > FM_MAX_ROW_SIZE)
		return FM_TOO_LARGE;
	if (row.len % FM_ROW_ALIGN != 0 || (tombstone && row.len > 0) ||
		(!first && fm_slice_cmp(fm_buf_slice(&b->last_key), key) >= 0))
		return FM_INVALID;
	if (b->block.keys.count > 0 &&
		fm_data_block_builder_size_with(&b->block, key, row) >
		b->options.block.block_size - FM_SLOT_HEADER_SIZE)
	{
		status = close_block(b, &key, none);
		if (status != FM_OK)
			return status;
	}
	fm_data_block_builder_add(&b->block, key, large_row.len > 0 ? none : row,
							  tombstone);
	fm_buf_put(&b->hashes, &hash, sizeof(hash));
	if (first)
		fm_buf_put_slice(&b->first_key, key);
	fm_buf_reset(&b->last_key);
	fm_buf_put_slice(&b->last_key, key);
	if (b->hashes.failed || b->first_key.failed || b->last_key.failed)
		return FM_NO_MEMORY;
	if (tombstone)
		b->tombstones++;
	else
		b->rows++;
	b->row_sum = fm_sum128_add(b->row_sum,
							   fm_row_sum_term(key, row, tombstone));
	if (large_row.len > 0)
		return close_block(b, NULL, large_row);
	return FM_OK;
}

FmStatus
fm_run_builder_add(FmRunBuilder *b, FmSlice key, uint64_t hash, FmSlice row,
				   bool tombstone)
{
	if (b->status == FM_OK)
		b->status = add_entry(b, key, hash, row, tombstone);
	return b->status;
}

static void
put_property(FmBuf *out, uint16_t tag, const void *data, size_t len)
{
	fm_buf_put_u16(out, tag);
	fm_buf_put_u16(out, 0);
	fm_buf_put_u32(out, (uint32_t) len);
	fm_buf_put(out, data, len);
}

static void
put_property_u64(FmBuf *out, uint16_t tag, uint64_t v)
{
	uint8_t		bytes[8];

	fm_put_u64(bytes, v);
	put_property(out, tag, bytes, sizeof(bytes));
}

static void
put_property_u32(FmBuf *out, uint16_t tag, uint32_t v)
{
	uint8_t		bytes[4];

	fm_put_u32(bytes, v);
	put_property(out, tag, bytes, sizeof(bytes));
}

static void
put_property_pair(FmBuf *out, uint16_t tag, uint8_t a, uint8_t b)
{
	uint8_t		bytes[2];

	bytes[0] = a;
	bytes[1] = b;
	put_property(out, tag, bytes, sizeof(bytes));
}

static void
put_properties(FmRunBuilder *b, FmBuf *out)
{
	const FmBlockOptions *block = &b->options.block;
	uint8_t		sum[16];

	fm_put_u64(sum, b->row_sum.lo);
	fm_put_u64(sum + 8, b->row_sum.hi);
	put_property_u64(out, FM_PROPERTY_TABLE_ID, b->options.table_id);
	put_property_u64(out, FM_PROPERTY_ROWS, b->rows);
	put_property_u64(out, FM_PROPERTY_TOMBSTONES, b->tombstones);
	put_property_u64(out, FM_PROPERTY_RAW_BYTES, b->raw_bytes);
	put_property_u32(out, FM_PROPERTY_NBLOCKS, b->nblocks);
	put_property_u32(out, FM_PROPERTY_NPARTITIONS, b->top.npartitions);
	put_property_u32(out, FM_PROPERTY_BLOCK_SIZE, block->block_size);
	put_property_pair(out, FM_PROPERTY_CODEC, block->codec,
					  block->codec == FM_CODEC_ZSTD ? block->zstd_level : 0);
	put_property_pair(out, FM_PROPERTY_FILTER, (uint8_t) b->filter_kind,
					  (uint8_t) b->filter_bits);
	put_property(out, FM_PROPERTY_ROW_SUM, sum, sizeof(sum));
	put_property(out, FM_PROPERTY_FIRST_KEY, b->first_key.data,
				 b->first_key.len);
	put_property(out, FM_PROPERTY_LAST_KEY, b->last_key.data,
				 b->last_key.len);
}

/* Writes the index partitions that wait. */
static FmStatus
write_partitions(FmRunBuilder *b)
{
	const size_t *ends = (const size_t *) b->partition_ends.data;
	size_t		start = 0;
	FmBlockHandle handle;
	FmStatus	status;
	uint32_t	i;

	for (i = 0; i < b->top.npartitions; i++)
	{
		fm_buf_reset(&b->out);
		handle.offset = b->offset;
		status = fm_block_write(b->writer, FM_BLOCK_PARTITION,
								fm_slice(b->partitions.data + start,
										 ends[i] - start),
								handle.offset, &b->out);
		if (status != FM_OK)
			return status;
		handle.size = (uint32_t) b->out.len;
		fm_top_builder_set_handle(&b->top, i, handle);
		start = (ends[i] + FM_FILTER_ALIGN - 1) &
			~(size_t) (FM_FILTER_ALIGN - 1);
		status = emit(b);
		if (status != FM_OK)
			return status;
	}
	return FM_OK;
}

static void
put_footer(FmRunBuilder *b, const FmRunDesc *desc, FmBlockHandle properties,
		   FmBlockHandle top, FmBuf *out)
{
	uint8_t		footer[FM_RUN_FOOTER_SIZE] = {0};

	memcpy(footer, FM_RUN_FOOTER_MAGIC, FM_RUN_MAGIC_SIZE);
	fm_put_u16(footer + FM_FOOTER_MAJOR, FM_FORMAT_MAJOR);
	fm_put_u16(footer + FM_FOOTER_MINOR, FM_FORMAT_MINOR);
	memcpy(footer + FM_FOOTER_ID, b->options.id.bytes,
		   sizeof(b->options.id.bytes));
	fm_put_u64(footer + FM_FOOTER_FILE_SIZE, desc->size);
	fm_put_u64(footer + FM_FOOTER_META_OFFSET, desc->meta_offset);
	fm_put_u64(footer + FM_FOOTER_PROPERTIES_OFFSET, properties.offset);
	fm_put_u64(footer + FM_FOOTER_TOP_OFFSET, top.offset);
	fm_put_u64(footer + FM_FOOTER_ROWS, b->rows);
	fm_put_u64(footer + FM_FOOTER_TOMBSTONES, b->tombstones);
	fm_put_u32(footer + FM_FOOTER_PROPERTIES_SIZE, properties.size);
	fm_put_u32(footer + FM_FOOTER_TOP_SIZE, top.size);
	fm_put_u32(footer + FM_FOOTER_NBLOCKS, b->nblocks);
	fm_put_u32(footer + FM_FOOTER_NPARTITIONS, b->top.npartitions);
	fm_put_u64(footer + FM_FOOTER_CHECKSUM,
			   fm_xxh3_64(fm_slice(footer, FM_FOOTER_CHECKSUM), 0));
	fm_buf_put(out, footer, sizeof(footer));
}

/* Writes properties, top index and footer; fills desc's places. */
static FmStatus
write_tail(FmRunBuilder *b, FmRunDesc *desc)
{
	FmBlockHandle properties;
	FmBlockHandle top;
	FmStatus	status;

	desc->tail_offset = b->offset;
	fm_buf_reset(&b->raw);
	put_properties(b, &b->raw);
	if (b->raw.failed)
		return FM_NO_MEMORY;
	fm_buf_reset(&b->out);
	properties.offset = b->offset;
	status = fm_block_write(b->writer, FM_BLOCK_PROPERTIES,
							fm_buf_slice(&b->raw), properties.offset,
							&b->out);
	if (status != FM_OK)
		return status;
	properties.size = (uint32_t) b->out.len;

	fm_buf_reset(&b->raw);
	status = fm_top_builder_write(&b->top, &b->raw);
	if (status != FM_OK)
		return status;
	top.offset = properties.offset + properties.size;
	status = fm_block_write(b->writer, FM_BLOCK_TOP, fm_buf_slice(&b->raw),
							top.offset, &b->out);
	if (status != FM_OK)
		return status;
	top.size = (uint32_t) b->out.len - properties.size;
	desc->size = top.offset + top.size + FM_RUN_FOOTER_SIZE;
	put_footer(b, desc, properties, top, &b->out);
	if (b->out.failed)
		return FM_NO_MEMORY;
	desc->tail_checksum = fm_xxh3_64(fm_buf_slice(&b->out), 0);
	return emit(b);
}

static FmStatus
finish(FmRunBuilder *b, FmRunDesc *desc)
{
	FmSlice		none = {NULL, 0};
	FmStatus	status = FM_OK;

	if (b->rows + b->tombstones == 0)
		return FM_INVALID;
	memset(desc, 0, sizeof(*desc));
	if (b->block.keys.count > 0)
		status = close_block(b, NULL, none);
	if (status == FM_OK)
		status = close_partition(b, 0);
	if (status != FM_OK)
		return status;
	desc->meta_offset = b->offset;
	status = write_partitions(b);
	if (status == FM_OK)
		status = write_tail(b, desc);
	if (status != FM_OK)
		return status;
	desc->id = b->options.id;
	desc->rows = b->rows;
	desc->tombstones = b->tombstones;
	desc->nblocks = b->nblocks;
	desc->npartitions = b->top.npartitions;
	desc->filter_kind = (uint8_t) b->filter_kind;
	desc->filter_bits = (uint8_t) b->filter_bits;
	desc->block_size = b->options.block.block_size;
	desc->row_sum = b->row_sum;
	desc->lower = fm_buf_slice(&b->first_key);
	desc->upper = fm_buf_slice(&b->last_key);
	return FM_OK;
}

FmStatus
fm_run_builder_finish(FmRunBuilder *b, FmRunDesc *desc)
{
	if (b->status == FM_OK)
		b->status = finish(b, desc);
	return b->status;
}
