/*-------------------------------------------------------------------------
 *
 * index.c
 *	  Checking the raw forms of an index partition and of a top index.
 *
 *-------------------------------------------------------------------------
 */
#include "format/index.h"

/* Moves a fault's position from a part to the whole. */
static FmStatus
fault_at(FmStatus status, size_t offset, FmFault *fault)
{
	if (status != FM_OK && fault != NULL)
		fault->offset += offset;
	return status;
}

/* The key table at "at", which must end at "end" and have n keys. */
static FmStatus
check_separators(FmSlice raw, size_t at, size_t end, uint32_t n,
				 FmFault *fault)
{
	size_t		size;
	FmStatus	status;

	status = fm_key_table_check(fm_slice(raw.data + at, end - at), &size,
								fault);
	if (status != FM_OK)
		return fault_at(status, at, fault);
	if (fm_get_u32(raw.data + at) != n)
		return fm_fault(fault, FM_CORRUPTION,
						"number of separators is not that of the index", at);
	for (at += size; at < end; at++)
		if (raw.data[at] != 0)
			return fm_fault(fault, FM_CORRUPTION,
							"padding of an index is not zero", at);
	return FM_OK;
}

FmStatus
fm_partition_check(FmSlice raw, FmFault *fault)
{
	uint32_t	nkeys;
	uint32_t	nblocks;
	uint64_t	first_offset;
	uint32_t	filter_at;
	uint32_t	filter_len;
	uint32_t	table_at;
	uint32_t	before = 0;
	uint32_t	i;
	FmStatus	status;

	if (raw.len < FM_PARTITION_HEADER_SIZE || raw.len > UINT32_MAX)
		return fm_fault(fault, FM_CORRUPTION, "index partition is cut off",
						0);
	nkeys = fm_get_u32(raw.data);
	nblocks = fm_get_u32(raw.data + 4);
	first_offset = fm_get_u64(raw.data + 8);
	filter_at = fm_get_u32(raw.data + 16);
	filter_len = fm_get_u32(raw.data + 20);
	table_at = fm_get_u32(raw.data + 24);
	if (fm_get_u32(raw.data + 28) != 0)
		return fm_fault(fault, FM_CORRUPTION,
						"reserved bytes of an index partition are not zero",
						28);
	if (nblocks == 0 || nkeys < nblocks ||
		nblocks >= (raw.len - FM_PARTITION_HEADER_SIZE) / 4)
		return fm_fault(fault, FM_CORRUPTION,
						"counts of an index partition are out of range", 0);
	if (table_at != FM_PARTITION_HEADER_SIZE + ((size_t) nblocks + 1) * 4)
		return fm_fault(fault, FM_CORRUPTION,
						"separators do not follow the block starts", 24);
	if (filter_at < table_at || filter_at > raw.len ||
		filter_len != raw.len - filter_at || filter_at % 8 != 0)
		return fm_fault(fault, FM_CORRUPTION, "filter is out of range", 16);
	if (first_offset > UINT64_MAX - UINT32_MAX)
		return fm_fault(fault, FM_CORRUPTION, "block offset is out of range",
						8);
	for (i = 0; i <= nblocks; i++)
	{
		size_t		at = FM_PARTITION_HEADER_SIZE + (size_t) i * 4;
		uint32_t	start = fm_get_u32(raw.data + at);

		if (i == 0 ? start != 0 :
			start < before || start - before <= FM_BLOCK_TRAILER_SIZE)
			return fm_fault(fault, FM_CORRUPTION,
							"block start is out of range", at);
		before = start;
	}
	status = check_separators(raw, table_at, filter_at, nblocks, fault);
	if (status != FM_OK || filter_len == 0)
		return status;
	return fault_at(fm_filter_check(fm_slice(raw.data + filter_at,
											 filter_len), fault),
					filter_at, fault);
}

FmStatus
fm_top_index_check(FmSlice raw, FmFault *fault)
{
	FmTopIndex	t;
	FmTopEntry	e;
	uint64_t	end = 0;		/* of the partition before */
	uint64_t	entries = 0;
	size_t		at;
	uint32_t	i;

	if (raw.len < FM_TOP_HEADER_SIZE)
		return fm_fault(fault, FM_CORRUPTION, "top index is cut off", 0);
	t.npartitions = fm_get_u32(raw.data);
	if (fm_get_u32(raw.data + 4) != 0)
		return fm_fault(fault, FM_CORRUPTION,
						"reserved bytes of a top index are not zero", 4);
	if (t.npartitions == 0 ||
		t.npartitions > (raw.len - FM_TOP_HEADER_SIZE) / FM_TOP_RECORD_SIZE)
		return fm_fault(fault, FM_CORRUPTION,
						"partition count of a top index is out of range", 0);
	t.records = raw.data + FM_TOP_HEADER_SIZE;
	for (i = 0; i < t.npartitions; i++)
	{
		at = FM_TOP_HEADER_SIZE + (size_t) i * FM_TOP_RECORD_SIZE;
		fm_top_index_entry(&t, i, &e);
		if (fm_get_u32(raw.data + at + 28) != 0)
			return fm_fault(fault, FM_CORRUPTION,
							"reserved bytes of a top index are not zero",
							at + 28);
		if (e.handle.offset < end ||
			e.handle.offset > UINT64_MAX - UINT32_MAX ||
			e.handle.size <= FM_BLOCK_TRAILER_SIZE)
			return fm_fault(fault, FM_CORRUPTION,
							"place of an index partition is out of range",
							at);
		if (e.nblocks == 0 || e.nentries < e.nblocks ||
			e.entries_before != entries)
			return fm_fault(fault, FM_CORRUPTION,
							"counts of a top index are out of range",
							at + 12);
		end = e.handle.offset + e.handle.size;
		entries += e.nentries;
	}
	at = FM_TOP_HEADER_SIZE + (size_t) t.npartitions * FM_TOP_RECORD_SIZE;
	return check_separators(raw, at, raw.len, t.npartitions, fault);
}
