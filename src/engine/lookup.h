/*-------------------------------------------------------------------------
 *
 * lookup.h
 *	  Point look-ups in the runs of a table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_LOOKUP_H
#define FM_LOOKUP_H

#include "engine/fetch.h"
#include "format/head.h"

typedef enum FmLookupResult
{
	FM_LOOKUP_ABSENT,
	FM_LOOKUP_ROW,
	FM_LOOKUP_TOMBSTONE,
	FM_LOOKUP_OPEN				/* fm_lookup_find_cached: a read would tell */
} FmLookupResult;

typedef struct FmLookup FmLookup;

/*
 * State for look-ups in one version of a table: keeps pins on each run's top
 * index, current partition and last block, and slot hints.  "table" and
 * "fetch" must outlive it.  Lives in the current memory context; its pins
 * belong to CurrentResourceOwner.
 */
extern FmLookup *fm_lookup_create(FmFetch *fetch, const FmTable *table);

/* The same for one run alone. */
extern FmLookup *fm_lookup_create_run(FmFetch *fetch, const FmRunDesc *run);

/*
 * Finds the newest entry of a key.  On FM_LOOKUP_ROW *row points into a block
 * that stays pinned until the next call or fm_lookup_free.
 */
extern FmLookupResult fm_lookup_find(FmLookup *lookup, FmSlice key,
									 uint64 hash, FmSlice *row);

/* The same, but reads no data block where the store is far away. */
extern FmLookupResult fm_lookup_find_cached(FmLookup *lookup, FmSlice key,
											uint64 hash, FmSlice *row);

/* A key to look up. */
typedef struct FmLookupKey
{
	FmSlice		key;
	uint64		hash;
} FmLookupKey;

#define FM_LOOKUP_BATCH 256		/* keys that are worth asking for at once */

/*
 * Reads ahead what looking up these keys needs, with the requests for all
 * keys and runs side by side; does nothing where the store is near.  What is
 * read serves until the next call.
 */
extern void fm_lookup_read_ahead(FmLookup *lookup, const FmLookupKey *keys,
								 int n);

/*
 * The same without waiting: true once all has been read.  Until then it is to
 * be called again, with the same keys, or given up by fm_lookup_give_up.
 */
extern bool fm_lookup_try_ahead(FmLookup *lookup, const FmLookupKey *keys,
								int n);
extern void fm_lookup_give_up(FmLookup *lookup);

/*
 * Starts what fm_lookup_read_ahead, of the same keys, would wait for first,
 * and neither waits nor raises for what a run has or lacks: it may be called
 * before it is known that the table still has these runs.
 */
extern void fm_lookup_start_ahead(FmLookup *lookup, const FmLookupKey *keys,
								  int n);

/*
 * Makes the look-ups go on with this fetch if this version of the table has
 * the runs that they were made for, in the same places; false: it has not.
 * The version that they were made for must outlive them still.  What was
 * started in vain is counted.
 */
extern bool fm_lookup_adopt(FmLookup *lookup, const FmFetch *fetch,
							const FmTable *table);

/* Releases the pins. */
extern void fm_lookup_free(FmLookup *lookup);

#endif							/* FM_LOOKUP_H */
