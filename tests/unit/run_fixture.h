/*-------------------------------------------------------------------------
 *
 * run_fixture.h
 *	  Runs in memory for tests: entries, building, look-ups, whole reads.
 *
 * The readers here go the way that a backend goes, each byte through its
 * check, and answer with a status; they stop at the first fault.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_RUN_FIXTURE_H
#define FM_RUN_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "format/run.h"

typedef struct RunEntry
{
	FmSlice		key;
	FmSlice		row;
	bool		tombstone;
} RunEntry;

/* A run in memory; the descriptor's bounds are copies. */
typedef struct RunImage
{
	FmBuf		bytes;
	FmRunDesc	desc;
	FmBuf		bounds;
} RunImage;

static inline FmSlice
fixture_copy(const void *data, size_t len)
{
	uint8_t    *copy = malloc(len > 0 ? len : 1);

	if (len > 0)
		memcpy(copy, data, len);
	return fm_slice(copy, len);
}

static inline bool
fixture_sink(void *arg, FmSlice bytes)
{
	fm_buf_put_slice((FmBuf *) arg, bytes);
	return true;
}

static inline FmRunOptions
fixture_options(uint8_t id)
{
	FmRunOptions options;

	memset(&options, 0, sizeof(options));
	memset(options.id.bytes, id, sizeof(options.id.bytes));
	options.id.bytes[15] = 1;
	options.block.block_size = 4096;
	options.block.codec = FM_CODEC_RAW;
	options.block.filter_kind = FM_FILTER_AUTO;
	options.table_id = 7;
	return options;
}

static inline FmStatus
fixture_build(RunImage *image, const FmRunOptions *options,
			  const RunEntry *entries, uint32_t n)
{
	FmRunOptions with_sink = *options;
	FmRunBuilder *builder;
	FmStatus	status;
	uint32_t	i;

	fm_buf_init(&image->bytes, &fm_alloc_malloc);
	fm_buf_init(&image->bounds, &fm_alloc_malloc);
	with_sink.sink = fixture_sink;
	with_sink.sink_arg = &image->bytes;
	status = fm_run_builder_create(&with_sink, &fm_alloc_malloc, &builder);
	for (i = 0; i < n && status == FM_OK; i++)
		status = fm_run_builder_add(builder, entries[i].key,
									fm_key_hash(entries[i].key),
									entries[i].row, entries[i].tombstone);
	if (status == FM_OK)
		status = fm_run_builder_finish(builder, &image->desc);
	if (status == FM_OK)
	{
		fm_buf_put_slice(&image->bounds, image->desc.lower);
		fm_buf_put_slice(&image->bounds, image->desc.upper);
		image->desc.lower.data = image->bounds.data;
		image->desc.upper.data = image->bounds.data + image->desc.lower.len;
	}
	fm_run_builder_free(builder);
	return status;
}

static inline void
fixture_free(RunImage *image)
{
	fm_buf_free(&image->bytes);
	fm_buf_free(&image->bounds);
}

/*
 * Verifies and decodes a block into *raw, a piece of its own so that reading
 * past its end is seen; to be freed by the caller if FM_OK.
 */
static inline FmStatus
fixture_block(FmSlice object, const FmId *id, FmBlockKind kind,
			  FmBlockHandle handle, FmSlice *raw, FmFault *fault)
{
	static FmBlockReader *reader;	/* kept: making one takes long */
	FmBlockInfo info;
	FmStatus	status;
	uint8_t    *dest;

	if (handle.offset > object.len ||
		handle.size > object.len - handle.offset)
		return fm_fault(fault, FM_CORRUPTION, "block lies outside its object",
						0);
	status = fm_block_verify(fm_slice(object.data + handle.offset,
									  handle.size),
							 id, handle.offset, kind, 1u << 24, &info, fault);
	if (status != FM_OK)
		return status;
	dest = malloc(info.raw_size);
	if (reader == NULL)
		reader = fm_block_reader_create(&fm_alloc_malloc);
	status = fm_block_decode(reader, &info, dest, fault);
	*raw = fm_slice(dest, info.raw_size);
	if (status == FM_OK && kind == FM_BLOCK_DATA)
		status = fm_data_block_check(*raw, fault);
	else if (status == FM_OK && kind == FM_BLOCK_PARTITION)
		status = fm_partition_check(*raw, fault);
	else if (status == FM_OK && kind == FM_BLOCK_TOP)
		status = fm_top_index_check(*raw, fault);
	if (status != FM_OK)
		free(dest);
	return status;
}

/* Checks the tail and loads the top index. */
static inline FmStatus
fixture_top(FmSlice object, const FmRunDesc *desc, FmRunTail *tail,
			FmSlice *raw, FmFault *fault)
{
	FmStatus	status;

	if (object.len != desc->size)
		return fm_fault(fault, FM_CORRUPTION,
						"object is shorter than HEAD says", 0);
	status = fm_run_tail_check(fm_slice(object.data + desc->tail_offset,
										object.len - desc->tail_offset),
							   desc, tail, fault);
	if (status == FM_OK)
		status = fixture_block(object, &desc->id, FM_BLOCK_TOP, tail->top,
							   raw, fault);
	return status;
}

/* Outcomes of a look-up that ended well. */
typedef enum FixtureAnswer
{
	FIXTURE_ABSENT,
	FIXTURE_FILTERED,
	FIXTURE_TOMBSTONE,
	FIXTURE_ROW
} FixtureAnswer;

/* *row is a copy, to be freed, for FIXTURE_ROW. */
static inline FmStatus
fixture_find(FmSlice object, const FmRunDesc *desc, FmSlice key,
			 FixtureAnswer *answer, FmSlice *row, FmFault *fault)
{
	FmRunTail	tail;
	FmTopIndex	top;
	FmTopEntry	entry;
	FmPartition partition;
	FmDataBlock block;
	FmBlockHandle handle;
	FmSlice		raw;
	FmStatus	status;
	bool		equal;
	bool		maybe;
	uint32_t	i;

	*answer = FIXTURE_ABSENT;
	status = fixture_top(object, desc, &tail, &raw, fault);
	if (status != FM_OK)
		return status;
	fm_top_index_open(raw, &top);
	i = fm_key_table_search(&top.separators, key, &equal);
	if (i < top.npartitions)
		fm_top_index_entry(&top, i, &entry);
	equal = i < top.npartitions;
	free((void *) raw.data);
	if (!equal)
		return FM_OK;

	status = fixture_block(object, &desc->id, FM_BLOCK_PARTITION,
						   entry.handle, &raw, fault);
	if (status != FM_OK)
		return status;
	fm_partition_open(raw, &partition);
	maybe = !fm_filter_usable(partition.filter) ||
		fm_filter_probe(partition.filter, fm_key_hash(key));
	i = fm_key_table_search(&partition.separators, key, &equal);
	equal = i < partition.nblocks;
	if (equal)
		handle = fm_partition_block(&partition, i);
	free((void *) raw.data);
	if (!maybe)
		*answer = FIXTURE_FILTERED;
	if (!maybe || !equal)
		return FM_OK;

	status = fixture_block(object, &desc->id, FM_BLOCK_DATA, handle, &raw,
						   fault);
	if (status != FM_OK)
		return status;
	fm_data_block_open(raw, &block);
	i = fm_key_table_search(&block.keys, key, &equal);
	if (equal)
	{
		*answer = FIXTURE_TOMBSTONE;
		if (!fm_data_block_is_tombstone(&block, i))
		{
			*answer = FIXTURE_ROW;
			*row = fm_data_block_row(&block, i);
			*row = fixture_copy(row->data, row->len);
		}
	}
	free((void *) raw.data);
	return FM_OK;
}

/*
 * Reads everything: header, tail, properties, all partitions, all blocks.
 * Appends to "out" what it read: counts, keys, rows.
 */
static inline FmStatus
fixture_read_all(FmSlice object, const FmRunDesc *desc, FmBuf *out,
				 FmFault *fault)
{
	FmRunProperties props;
	FmRunTail	tail;
	FmTopIndex	top;
	FmTopEntry	entry;
	FmSlice		raw_top = {NULL, 0};
	FmSlice		raw = {NULL, 0};
	FmStatus	status;
	uint8_t		key[FM_MAX_KEY_SIZE];
	uint32_t	p;
	uint32_t	b;
	uint32_t	i;

	status = fixture_top(object, desc, &tail, &raw_top, fault);
	if (status != FM_OK)
		return status;
	status = fm_run_header_check(fm_slice(object.data, FM_RUN_HEADER_SIZE),
								 &desc->id, fault);
	if (status == FM_OK)
		status = fixture_block(object, &desc->id, FM_BLOCK_PROPERTIES,
							   tail.properties, &raw, fault);
	if (status == FM_OK)
	{
		status = fm_run_properties_read(raw, &props, fault);
		if (status == FM_OK)
		{
			fm_buf_put_u64(out, props.table_id);
			fm_buf_put_u64(out, props.rows);
			fm_buf_put_u64(out, props.row_sum.lo);
			fm_buf_put_u64(out, props.row_sum.hi);
			fm_buf_put_slice(out, props.first_key);
			fm_buf_put_slice(out, props.last_key);
		}
		free((void *) raw.data);
	}
	fm_top_index_open(raw_top, &top);
	for (p = 0; p < top.npartitions && status == FM_OK; p++)
	{
		FmSlice		raw_partition;
		FmPartition partition;

		fm_top_index_entry(&top, p, &entry);
		status = fixture_block(object, &desc->id, FM_BLOCK_PARTITION,
							   entry.handle, &raw_partition, fault);
		if (status != FM_OK)
			break;
		fm_partition_open(raw_partition, &partition);
		fm_buf_put_u32(out, partition.nkeys);
		for (b = 0; b < partition.nblocks && status == FM_OK; b++)
		{
			FmDataBlock block;

			status = fixture_block(object, &desc->id, FM_BLOCK_DATA,
								   fm_partition_block(&partition, b), &raw,
								   fault);
			if (status != FM_OK)
				break;
			fm_data_block_open(raw, &block);
			for (i = 0; i < block.keys.count; i++)
			{
				fm_buf_put(out, key, fm_key_table_key(&block.keys, i, key));
				fm_buf_put_u8(out, fm_data_block_is_tombstone(&block, i));
				fm_buf_put_slice(out, fm_data_block_row(&block, i));
			}
			free((void *) raw.data);
		}
		free((void *) raw_partition.data);
	}
	free((void *) raw_top.data);
	return status;
}

#endif							/* FM_RUN_FIXTURE_H */
