/*-------------------------------------------------------------------------
 *
 * data_block.c
 *	  Checking the raw form of a data block.
 *
 *-------------------------------------------------------------------------
 */
#include "format/data_block.h"

FmStatus
fm_data_block_check(FmSlice raw, FmFault *fault)
{
	uint32_t	rows;			/* offset of the first row */
	uint32_t	count;
	uint32_t	before;
	size_t		starts;			/* offset of the row starts */
	size_t		size;
	uint32_t	i;
	FmStatus	status;

	if (raw.len < FM_DATA_BLOCK_HEADER_SIZE || raw.len > FM_MAX_RAW_BLOCK ||
		raw.len % FM_ROW_ALIGN != 0)
		return fm_fault(fault, FM_CORRUPTION,
						"length of a data block is out of range", 0);
	rows = fm_get_u32(raw.data);
	if (fm_get_u32(raw.data + 4) != 0)
		return fm_fault(fault, FM_CORRUPTION,
						"reserved bytes of a data block are not zero", 4);
	status = fm_key_table_check(fm_slice(raw.data + FM_DATA_BLOCK_HEADER_SIZE,
										 raw.len - FM_DATA_BLOCK_HEADER_SIZE),
								&size, fault);
	if (status != FM_OK)
	{
		if (fault != NULL)
			fault->offset += FM_DATA_BLOCK_HEADER_SIZE;
		return status;
	}
	count = fm_get_u32(raw.data + FM_DATA_BLOCK_HEADER_SIZE);
	if (count == 0)
		return fm_fault(fault, FM_CORRUPTION, "data block is empty",
						FM_DATA_BLOCK_HEADER_SIZE);
	starts = FM_DATA_BLOCK_HEADER_SIZE + size;
	if (count > (raw.len - starts) / 4)
		return fm_fault(fault, FM_CORRUPTION,
						"row starts of a data block are cut off", starts);
	if (rows != starts + (size_t) count * 4)
		return fm_fault(fault, FM_CORRUPTION,
						"rows of a data block do not follow its row starts",
						0);
	before = rows;
	for (i = 0; i < count; i++)
	{
		size_t		at = starts + (size_t) i * 4;
		uint32_t	start = fm_get_u32(raw.data + at) & ~FM_ROW_TOMBSTONE;
		bool		empty = i > 0 && (fm_get_u32(raw.data + at - 4) &
									  FM_ROW_TOMBSTONE) != 0;

		if (start % FM_ROW_ALIGN != 0 || start < before || start > raw.len ||
			(i == 0 && start != rows))
			return fm_fault(fault, FM_CORRUPTION,
							"row start is out of range", at);
		if (empty && start != before)
			return fm_fault(fault, FM_CORRUPTION, "tombstone has a row", at);
		before = start;
	}
	if ((fm_get_u32(raw.data + rows - 4) & FM_ROW_TOMBSTONE) != 0 &&
		before != raw.len)
		return fm_fault(fault, FM_CORRUPTION, "tombstone has a row",
						rows - 4);
	return FM_OK;
}
