/*-------------------------------------------------------------------------
 *
 * read_ahead.h
 *	  Bytes of runs that are on their way while a scan works on others.
 *
 * A scan asks for blocks in its order.  What follows them in the run is read
 * in pieces, one a request: where one has been passed, its memory takes the
 * next that nobody has asked for, so that a long scan has always as many
 * requests in flight.  It begins with few bytes, as the scan may end soon.
 *
 * Belongs to one scan of one backend; it holds stored bytes, which are checked
 * when fetched (engine/fetch.h).
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_READ_AHEAD_H
#define FM_READ_AHEAD_H

#include "engine/fetch.h"

/*
 * Lives in a child of the current memory context.  "most" bytes are in flight
 * at most, "first" are asked for at first.
 */
extern FmReadAhead *fm_read_ahead_create(bool backward, uint64 first,
										 uint64 most);
extern void fm_read_ahead_free(FmReadAhead *ahead);
extern void fm_read_ahead_limit(FmReadAhead *ahead, uint64 most);

/*
 * The stored bytes of a range, until the next call; waits for them, and asks
 * for what follows.  NULL: they are not to be had here.  Data blocks and
 * index partitions of a run are stretches of their own.
 */
extern const uint8 *fm_read_ahead_find(FmReadAhead *ahead, FmFetch *fetch,
									   const FmRunDesc *run, uint64 offset,
									   uint64 size);

/* Would that not wait?  Asks for what it needs, and does not wait itself. */
extern bool fm_read_ahead_has_come(FmReadAhead *ahead, FmFetch *fetch,
								   const FmRunDesc *run, uint64 offset,
								   uint64 size);

#endif							/* FM_READ_AHEAD_H */
