/*-------------------------------------------------------------------------
 *
 * publish_start.h
 *	  When a publisher began to write objects, and whether they may be gone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_PUBLISH_START_H
#define FM_PUBLISH_START_H

#include "manifest/head_cache.h"

/*
 * How long a publisher may take from its first object to the swap.  The same
 * for every cluster; no collection takes what is younger than four times that
 * unless it is told to.
 */
#define FM_PUBLISH_BUDGET_US (INT64CONST(6) * 3600 * 1000000)

typedef struct FmPublishStart
{
	int64		monotonic_us;
	int64		store_us;		/* since 1970 by the store's clock, as far as
								 * that was known */
	int64		log_us;			/* the same, but not before HEAD's time */
	uint64		version;		/* of a HEAD that was there before */
} FmPublishStart;

/*
 * To be called before the first object is written, with a HEAD that was read
 * before.
 */
extern FmPublishStart fm_publish_begin(const FmManifest *manifest);

/*
 * Why objects that were written since may be gone, or NULL.  Holds for a swap
 * that expects this very HEAD.
 */
extern const char *fm_publish_problem(FmManifest *manifest,
									  const FmPublishStart *start);

#endif							/* FM_PUBLISH_START_H */
