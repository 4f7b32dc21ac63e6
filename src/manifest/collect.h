/*-------------------------------------------------------------------------
 *
 * collect.h
 *	  Collection: objects that nothing refers to any more.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_COLLECT_H
#define FM_COLLECT_H

#include "manifest/publish_start.h"
#include "objstore/store.h"

/* The least age of what no version names, unless a collection is told. */
#define FM_ORPHAN_AGE_US (4 * FM_PUBLISH_BUDGET_US)

typedef enum FmCollectReason
{
	FM_COLLECT_ORPHAN,			/* no version names it: a writer has died */
	FM_COLLECT_REPLACED,		/* a version below the log floor removed it */
	FM_COLLECT_EXPIRED,			/* a lease that nobody renewed */
	FM_COLLECT_YOUNG,			/* may yet be published: it stays */
	FM_COLLECT_GRACE,			/* readers may yet use it: it stays */
	FM_COLLECT_LEASED,			/* the same, and there is a lease */
	FM_COLLECT_LEASE,			/* the lease */
	FM_COLLECT_FOREIGN			/* nothing of ours: it stays */
} FmCollectReason;

typedef struct FmCollected
{
	const FmStored *stored;
	FmCollectReason reason;
	bool		chosen;			/* to be removed */
	bool		removed;
} FmCollected;

typedef struct FmCollection
{
	FmStore    *store;
	bool		dry_run;		/* nothing is changed */
	int64		orphan_age_us;	/* what is younger stays */
	TimestampTz deadline;		/* of the swap: DT_NOEND for none */

	/* filled by fm_collect, in the current memory context: */
	FmCollected *objects;		/* all that no kept version needs */
	int			nobjects;
	int64		now;			/* microseconds since 1970, the store's clock */
} FmCollection;

/*
 * Moves the log floor forward, removes what nothing refers to, and says what
 * that was.  Objects that HEAD, or a version that is kept, names do not
 * appear.  At once, whatever becomes of the transaction.  What it raises in
 * between leaves some objects to the next collection.  Raises 40003 if it
 * cannot be known whether the floor was moved; nothing was removed then.
 */
extern void fm_collect(FmCollection *collection);

#endif							/* FM_COLLECT_H */
