/*-------------------------------------------------------------------------
 *
 * pg_alloc.h
 *	  Memory contexts as allocators of the layers below PostgreSQL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_PG_ALLOC_H
#define FM_PG_ALLOC_H

#include "base/alloc.h"

/*
 * An allocator over a memory context: answers NULL when memory is short,
 * never raises, gives more than 1 GB where asked.  What it gives is freed
 * through it, or with the context; not by pfree.
 */
extern FmAlloc fm_palloc_alloc(MemoryContext cxt);

#endif							/* FM_PG_ALLOC_H */
