/*-------------------------------------------------------------------------
 *
 * read_set.h
 *	  What a SERIALIZABLE transaction has read of a table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_READ_SET_H
#define FM_READ_SET_H

#include "format/head.h"
#include "objstore/store.h"

typedef struct FmReadSet FmReadSet;
typedef struct FmReadProgress FmReadProgress;

/*
 * An empty set, in a context of its own below "parent".  Its size is bounded:
 * many keys or ranges become one range over all of them.
 */
extern FmReadSet *fm_read_set_create(MemoryContext parent, FmStore *store);

/* Adds a key, whether it was found or not; copied. */
extern void fm_read_set_add_key(FmReadSet *set, FmSlice key, uint64 hash);

/*
 * A scan of the keys in [lower, upper) begins, backward from the upper end;
 * empty slices: unbounded.  Copied.  What it has not come to is not read: a
 * scan may end early, or never, if an error ends it.
 */
extern FmReadProgress *fm_read_set_begin(FmReadSet *set, FmSlice lower,
										 FmSlice upper, bool backward);

/* The scan has come to a key; copied. */
extern void fm_read_progress_reach(FmReadProgress *range, FmSlice key);

/* Ends the scan, and frees it; complete: it has come to its end. */
extern void fm_read_progress_end(FmReadProgress *range, bool complete);

/*
 * Does the run hold an entry of a key that was read?  The probe of a
 * FmTableCommit; arg is the FmReadSet.
 */
extern bool fm_read_set_conflicts(void *arg, const FmRunDesc *run,
								  uint64 version);

#endif							/* FM_READ_SET_H */
