/*-------------------------------------------------------------------------
 *
 * index_builder.c
 *	  Collects blocks and writes an index partition; partitions and writes
 *	  the top index.
 *
 * Separators are the shortest possible, or nearly so.  Within a partition they are then
 * brought to one length where that costs no bytes and changes no order: a
 * table of suffixes of one length has no array of their ends and is searched
 * faster.
 *
 *-------------------------------------------------------------------------
 */
#include "format/index_builder.h"

#include "format/run.h"

FmSeparator
fm_separator_make(FmSlice a, FmSlice b, uint8_t *dest)
{
	FmSeparator s;
	size_t		i;

	s.bytes = fm_slice(dest, fm_separator(a, b, dest));
	s.max_zeros = FM_MAX_KEY_SIZE;

	/* Zeros matter only if b is the separator and nothing but zeros. */
	if (fm_slice_common(s.bytes, b) < s.bytes.len)
		return s;
	for (i = s.bytes.len; i < b.len && b.data[i] == 0; i++)
		continue;
	if (i < b.len)
		return s;
	if (a.len <= b.len && fm_slice_common(a, b) < a.len)
	{
		/* A little longer, but zeros may follow: usual with integers. */
		memcpy(dest, a.data, a.len);
		s.bytes.len = a.len;
	}
	else
		s.max_zeros = b.len - s.bytes.len - 1;
	return s;
}

void
fm_partition_builder_init(FmPartitionBuilder *builder,
						  FmFilterKind filter_kind, int filter_bits,
						  const FmAlloc *alloc)
{
	memset(builder, 0, sizeof(*builder));
	builder->alloc = alloc;
	builder->filter_kind = filter_kind;
	builder->filter_bits = filter_bits;
	fm_buf_init(&builder->starts, alloc);
	fm_key_list_init(&builder->separators, alloc);
	fm_buf_init(&builder->max_zeros, alloc);
	fm_key_list_init(&builder->padded, alloc);
}

void
fm_partition_builder_free(FmPartitionBuilder *builder)
{
	fm_buf_free(&builder->starts);
	fm_key_list_free(&builder->separators);
	fm_buf_free(&builder->max_zeros);
	fm_key_list_free(&builder->padded);
}

static void
reset_partition(FmPartitionBuilder *builder)
{
	builder->nkeys = 0;
	builder->nblocks = 0;
	builder->span = 0;
	builder->longest = 0;
	fm_buf_reset(&builder->starts);
	fm_key_list_reset(&builder->separators);
	fm_buf_reset(&builder->max_zeros);
}

bool
fm_partition_builder_fits(const FmPartitionBuilder *builder,
						  uint32_t block_size, uint32_t nkeys,
						  const FmSeparator *separator)
{
	size_t		size;

	if (builder->nblocks == 0)
		return true;
	if (builder->nkeys + nkeys > FM_PARTITION_MAX_KEYS ||
		builder->span + block_size > FM_PARTITION_MAX_SPAN)
		return false;
	size = FM_PARTITION_HEADER_SIZE + ((size_t) builder->nblocks + 2) * 4 +
		fm_key_list_size_with(&builder->separators, separator->bytes);
	size = (size + FM_FILTER_ALIGN - 1) & ~(size_t) (FM_FILTER_ALIGN - 1);
	size += fm_filter_max_size(builder->filter_kind, builder->filter_bits,
							   builder->nkeys + nkeys);
	return size <= FM_PARTITION_MAX_RAW;
}

void
fm_partition_builder_add(FmPartitionBuilder *builder, FmBlockHandle handle,
						 uint32_t nkeys, const FmSeparator *separator)
{
	if (builder->nblocks == 0)
		builder->first_offset = handle.offset;
	builder->nblocks++;
	builder->nkeys += nkeys;
	builder->span += handle.size;
	fm_buf_put_u32(&builder->starts, (uint32_t) builder->span);
	fm_key_list_add(&builder->separators, separator->bytes);
	fm_buf_put(&builder->max_zeros, &separator->max_zeros,
			   sizeof(separator->max_zeros));
	if (separator->bytes.len > builder->longest)
		builder->longest = separator->bytes.len;
}

/*
 * Fills "padded" with the separators, all as long as the longest; false if
 * that is not possible, not needed, or larger than what it saves.
 */
static bool
pad_separators(FmPartitionBuilder *builder)
{
	static const uint8_t zeros[FM_MAX_KEY_SIZE];
	const size_t *max_zeros = (const size_t *) builder->max_zeros.data;
	uint32_t	n = builder->separators.count;
	uint32_t	i;
	uint8_t		key[FM_MAX_KEY_SIZE];

	if (builder->separators.same_len ||
		n * builder->longest - builder->separators.bytes.len > (size_t) n * 4)
		return false;
	fm_key_list_reset(&builder->padded);
	for (i = 0; i < n; i++)
	{
		FmSlice		s = fm_key_list_get(&builder->separators, i);
		size_t		need = builder->longest - s.len;

		if (need > max_zeros[i])
			return false;
		memcpy(key, s.data, s.len);
		memcpy(key + s.len, zeros, need);
		fm_key_list_add(&builder->padded, fm_slice(key, builder->longest));
	}
	return fm_key_list_size(&builder->padded) <=
		fm_key_list_size(&builder->separators);
}

FmStatus
fm_partition_builder_write(FmPartitionBuilder *builder, uint64_t *hashes,
						   FmBuf *out, FmSlice *last)
{
	FmKeyList  *separators = &builder->separators;
	size_t		start = out->len;
	size_t		filter_at;
	uint8_t    *header;
	uint32_t	nkeys = builder->nkeys;
	FmStatus	status;

	if (builder->starts.failed || builder->max_zeros.failed ||
		separators->bytes.failed || separators->ends.failed)
		return FM_NO_MEMORY;
	if (pad_separators(builder))
		separators = &builder->padded;
	fm_buf_put_u32(out, nkeys);
	fm_buf_put_u32(out, builder->nblocks);
	fm_buf_put_u64(out, builder->first_offset);
	fm_buf_put_zeros(out, FM_PARTITION_HEADER_SIZE - 16);
	fm_buf_put_u32(out, 0);
	fm_buf_put_slice(out, fm_buf_slice(&builder->starts));
	status = fm_key_list_write(separators, out);
	if (status != FM_OK)
		return status;
	fm_buf_align(out, builder->filter_kind == FM_FILTER_BLOOM ?
				 FM_FILTER_ALIGN : 8);
	filter_at = out->len - start;
	status = fm_filter_build(builder->filter_kind, builder->filter_bits,
							 hashes, nkeys, builder->alloc, out);
	if (status != FM_OK)
		return status;
	if (out->failed)
		return FM_NO_MEMORY;
	header = out->data + start;
	fm_put_u32(header + 16, (uint32_t) filter_at);
	fm_put_u32(header + 20, (uint32_t) (out->len - start - filter_at));
	fm_put_u32(header + 24, FM_PARTITION_HEADER_SIZE +
			   (builder->nblocks + 1) * 4);
	*last = fm_key_list_get(separators, separators->count - 1);
	reset_partition(builder);
	return FM_OK;
}

void
fm_top_builder_init(FmTopBuilder *builder, const FmAlloc *alloc)
{
	builder->npartitions = 0;
	builder->nentries = 0;
	fm_buf_init(&builder->records, alloc);
	fm_key_list_init(&builder->separators, alloc);
}

void
fm_top_builder_free(FmTopBuilder *builder)
{
	fm_buf_free(&builder->records);
	fm_key_list_free(&builder->separators);
}

void
fm_top_builder_add(FmTopBuilder *builder, uint32_t nblocks, uint32_t nentries,
				   FmSlice separator)
{
	fm_buf_put_zeros(&builder->records, 12);
	fm_buf_put_u32(&builder->records, nblocks);
	fm_buf_put_u64(&builder->records, builder->nentries);
	fm_buf_put_u32(&builder->records, nentries);
	fm_buf_put_u32(&builder->records, 0);
	fm_key_list_add(&builder->separators, separator);
	builder->npartitions++;
	builder->nentries += nentries;
}

void
fm_top_builder_set_handle(FmTopBuilder *builder, uint32_t i,
						  FmBlockHandle handle)
{
	uint8_t    *record;

	if (builder->records.failed)
		return;
	record = builder->records.data + (size_t) i * FM_TOP_RECORD_SIZE;
	fm_put_u64(record, handle.offset);
	fm_put_u32(record + 8, handle.size);
}

FmStatus
fm_top_builder_write(FmTopBuilder *builder, FmBuf *out)
{
	if (builder->records.failed)
		return FM_NO_MEMORY;
	fm_buf_put_u32(out, builder->npartitions);
	fm_buf_put_u32(out, 0);
	fm_buf_put_slice(out, fm_buf_slice(&builder->records));
	return fm_key_list_write(&builder->separators, out);
}
