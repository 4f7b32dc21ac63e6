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

/*
 * An empty set, in a context of its own below "parent".  Its size is bounded:
 * many keys or ranges become one range over all of them.
 */
extern FmReadSet *fm_read_set_create(MemoryContext parent, FmStore *store);

/* Adds a key, whether it was found or not; copied. */
extern void fm_read_set_add_key(FmReadSet *set, FmSlice key, uint64 hash);

/* Adds the keys in [lower, upper); empty slices: unbounded.  Copied. */
extern void fm_read_set_add_range(FmReadSet *set, FmSlice lower,
								  FmSlice upper);

/*
 * Does the run hold an entry of a key that was read?  The probe of a
 * FmTableCommit; arg is the FmReadSet.
 */
extern bool fm_read_set_conflicts(void *arg, const FmRunDesc *run,
								  uint64 version);

#endif							/* FM_READ_SET_H */
