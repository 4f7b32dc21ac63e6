/*-------------------------------------------------------------------------
 *
 * fuzz_row.c
 *	  Rows from hostile bytes: refused, or safe to read.
 *
 * Input: number of columns, their kinds, row.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "format/row_codec.h"

int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_COLUMNS 40

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FmRowColumn columns[MAX_COLUMNS];
	FmRowLayout *layout;
	uint32_t	natts;
	uint8_t    *copy;
	size_t		len;
	FmFault		fault;
	FmRow		row;
	FmSlice		v;
	volatile uint8_t sink = 0;
	uint32_t	i;

	natts = size > 0 ? data[0] % MAX_COLUMNS : 0;
	if (size < 1 + (size_t) natts)
		return 0;
	for (i = 0; i < natts; i++)
	{
		columns[i].kind = (FmRowKind) (FM_ROW_FIXED +
									   data[1 + i] % FM_ROW_OUTPUT);
		columns[i].width = (uint16_t) (1 + data[1 + i] / 16);
	}
	if (fm_row_layout_create(columns, natts, &fm_alloc_malloc,
							 &layout) != FM_OK)
		abort();

	/* A piece of its own, so that its end is watched and it is aligned. */
	len = size - 1 - natts;
	copy = malloc(len > 0 ? len : 1);
	memcpy(copy, data + 1 + natts, len);
	if (fm_row_check(layout, fm_slice(copy, len), &fault) == FM_OK)
	{
		fm_row_open(layout, fm_slice(copy, len), &row);
		for (i = 0; i < natts; i++)
			if (fm_row_get(&row, i, &v))
				for (; v.len > 0; v.len--)
					sink ^= v.data[v.len - 1];
	}
	free(copy);
	free(layout);
	return 0;
}
