/*-------------------------------------------------------------------------
 *
 * alloc.h
 *	  The allocator that a caller gives to the layers below PostgreSQL.
 *
 * resize(ctx, NULL, n) allocates, resize(ctx, p, n) moves, resize(ctx, p, 0)
 * frees and returns NULL.  It returns NULL when memory is short and never
 * jumps: code below may hold a zstd context across a call.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_ALLOC_H
#define FM_ALLOC_H

#include <stddef.h>

typedef struct FmAlloc
{
	void	   *(*resize) (void *ctx, void *p, size_t n);
	void	   *ctx;
} FmAlloc;

static inline void *
fm_alloc(const FmAlloc *a, size_t n)
{
	return a->resize(a->ctx, NULL, n);
}

static inline void
fm_free(const FmAlloc *a, void *p)
{
	if (p != NULL)
		a->resize(a->ctx, p, 0);
}

/* malloc and free; for tests and tools, not for the backend. */
extern const FmAlloc fm_alloc_malloc;

#endif							/* FM_ALLOC_H */
