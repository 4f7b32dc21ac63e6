/*-------------------------------------------------------------------------
 *
 * alloc.c
 *	  The allocator over malloc.
 *
 *-------------------------------------------------------------------------
 */
#include "base/alloc.h"

#include <stdlib.h>

static void *
malloc_resize(void *ctx, void *p, size_t n)
{
	(void) ctx;
	if (n == 0)
	{
		free(p);
		return NULL;
	}
	return realloc(p, n);
}

const FmAlloc fm_alloc_malloc = {malloc_resize, NULL};
