/*-------------------------------------------------------------------------
 *
 * read_ahead.h
 *	  Bytes of runs that are on their way while a scan works on others.
 *
 * A scan asks for blocks in its order.  What follows them is read in pieces,
 * one a request: where one has been passed, its memory takes the next that
 * nobody has asked for, so that a long scan has always as many requests in
 * flight.  After a run comes the next.
 *
 * Belongs to one scan of one backend; it holds stored bytes, which are checked
 * when fetched (engine/fetch.h).
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_READ_AHEAD_H
#define FM_READ_AHEAD_H

#include "engine/fetch.h"

/* Data blocks and index partitions of a run are stretches of their own. */
typedef enum FmStretch
{
	FM_STRETCH_BLOCKS,
	FM_STRETCH_INDEX
} FmStretch;

/*
 * For a scan of runs, one after the other; lives in a child of the current
 * memory context.  At first "first" bytes are asked for, as the scan may end
 * soon, later more; "most" are in flight at most.
 */
extern FmReadAhead *fm_read_ahead_create(FmStretch stretch,
										 const FmRunDesc *runs, uint32 nruns,
										 bool backward, uint64 first,
										 uint64 most);
extern void fm_read_ahead_free(FmReadAhead *ahead);

/* Not after anything was asked for. */
extern void fm_read_ahead_limit(FmReadAhead *ahead, uint64 first, uint64 most);

/*
 * Asks for what a scan needs that begins at an offset: with the byte there,
 * or, backward, the one before it.  False: it is not to be had here.
 */
extern bool fm_read_ahead_begin(FmReadAhead *ahead, FmFetch *fetch,
								const FmRunDesc *run, uint64 at);

/* Has the beginning come, if there is one?  Does not wait. */
extern bool fm_read_ahead_has_begun(FmReadAhead *ahead, FmFetch *fetch);

/* Is what follows the run on its way? */
extern bool fm_read_ahead_is_beyond(const FmReadAhead *ahead,
									const FmRunDesc *run);

/*
 * The stored bytes of a range, until the next call; waits for them, and asks
 * for what follows.  NULL: they are not to be had here.
 */
extern const uint8 *fm_read_ahead_find(FmReadAhead *ahead, FmFetch *fetch,
									   const FmRunDesc *run, uint64 offset,
									   uint64 size);

/* Would that not wait?  Asks for what it needs, and does not wait itself. */
extern bool fm_read_ahead_has_come(FmReadAhead *ahead, FmFetch *fetch,
								   const FmRunDesc *run, uint64 offset,
								   uint64 size);

#endif							/* FM_READ_AHEAD_H */
