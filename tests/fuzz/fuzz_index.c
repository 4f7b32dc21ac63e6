/*-------------------------------------------------------------------------
 *
 * fuzz_index.c
 *	  Index partitions and top indexes from hostile bytes.
 *
 * Input: 0 for a partition, else top index; 8 bytes of a key; raw form.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "format/index.h"

int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_partition(FmSlice raw, FmSlice key)
{
	FmPartition p;
	FmBlockHandle handle;
	uint64_t	end;
	bool		equal;
	uint32_t	i;

	fm_partition_open(raw, &p);
	if (p.nblocks == 0 || p.separators.count != p.nblocks)
		abort();
	end = p.first_offset;
	for (i = 0; i < p.nblocks; i++)
	{
		handle = fm_partition_block(&p, i);
		if (handle.offset != end || handle.size <= FM_BLOCK_TRAILER_SIZE)
			abort();
		end = handle.offset + handle.size;
	}
	if (fm_key_table_search(&p.separators, key, &equal) > p.nblocks)
		abort();
	if (fm_filter_usable(p.filter))
		(void) fm_filter_probe(p.filter, fm_key_hash(key));
}

static void
read_top(FmSlice raw, FmSlice key)
{
	FmTopIndex	t;
	FmTopEntry	e;
	bool		equal;
	uint32_t	i;

	fm_top_index_open(raw, &t);
	if (t.npartitions == 0 || t.separators.count != t.npartitions)
		abort();
	for (i = 0; i < t.npartitions; i++)
	{
		fm_top_index_entry(&t, i, &e);
		if (e.handle.size == 0 || e.nblocks == 0)
			abort();
	}
	if (fm_key_table_search(&t.separators, key, &equal) > t.npartitions)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FmFault		fault;
	FmSlice		key;
	FmSlice		raw;
	uint8_t    *copy;

	if (size < 9)
		return 0;
	key = fm_slice(data + 1, 8);
	copy = malloc(size - 9 > 0 ? size - 9 : 1);
	memcpy(copy, data + 9, size - 9);
	raw = fm_slice(copy, size - 9);
	if (data[0] == 0)
	{
		if (fm_partition_check(raw, &fault) == FM_OK)
			read_partition(raw, key);
	}
	else if (fm_top_index_check(raw, &fault) == FM_OK)
		read_top(raw, key);
	free(copy);
	return 0;
}
