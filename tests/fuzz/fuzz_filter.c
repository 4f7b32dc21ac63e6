/*-------------------------------------------------------------------------
 *
 * fuzz_filter.c
 *	  Filters from hostile bytes: refused, or probed within bounds.
 *
 * Input: hash, filter.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "format/filter.h"

int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FmFault		fault;
	FmSlice		filter;
	uint8_t    *copy;
	uint64_t	hash;
	int			i;

	if (size < 8)
		return 0;
	hash = fm_get_u64(data);
	copy = malloc(size - 8 > 0 ? size - 8 : 1);
	memcpy(copy, data + 8, size - 8);
	filter = fm_slice(copy, size - 8);
	if (fm_filter_check(filter, &fault) == FM_OK && fm_filter_usable(filter))
		for (i = 0; i < 64; i++)
			(void) fm_filter_probe(filter, hash * (uint64_t) (2 * i + 1));
	free(copy);
	return 0;
}
