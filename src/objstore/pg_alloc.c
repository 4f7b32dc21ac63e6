/*-------------------------------------------------------------------------
 *
 * pg_alloc.c
 *	  Memory contexts as allocators of the layers below PostgreSQL.
 *
 * PostgreSQL 15 has no way to enlarge a chunk that answers NULL instead of
 * raising, and does not tell a chunk's size.  A header in front of each piece
 * keeps it, and enlarging is allocating and copying.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "objstore/pg_alloc.h"

#define PIECE_HEADER MAXALIGN(sizeof(Size))

StaticAssertDecl(sizeof(Size) <= MAXIMUM_ALIGNOF, "size fits the header");

static void *
resize(void *ctx, void *p, size_t n)
{
	char	   *old = p == NULL ? NULL : (char *) p - PIECE_HEADER;
	char	   *new = NULL;

	if (n > 0)
	{
		if (n > MaxAllocHugeSize - PIECE_HEADER)
			return NULL;
		new = MemoryContextAllocExtended((MemoryContext) ctx, n + PIECE_HEADER,
										 MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
		if (new == NULL)
			return NULL;
		*(Size *) new = n;
	}
	if (old != NULL)
	{
		if (new != NULL)
			memcpy(new + PIECE_HEADER, p, Min(n, *(Size *) old));
		pfree(old);
	}
	return new == NULL ? NULL : new + PIECE_HEADER;
}

FmAlloc
fm_palloc_alloc(MemoryContext cxt)
{
	FmAlloc		alloc;

	alloc.resize = resize;
	alloc.ctx = cxt;
	return alloc;
}
