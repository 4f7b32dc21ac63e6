/*-------------------------------------------------------------------------
 *
 * merge.h
 *	  k-way merge of sorted sources, newest first.
 *
 * A source presents its current entry and moves on demand; it may do I/O or
 * raise in "next".  Where several sources hold a key, the one with the lowest
 * rank (the newest) is shown, the others are skipped and counted.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_MERGE_H
#define FM_MERGE_H

#include "base/alloc.h"
#include "format/format.h"

/* The current entry of a source.  Slices live until its next move. */
typedef struct FmMergeEntry
{
	FmSlice		key;
	FmSlice		row;
	bool		tombstone;
	bool		valid;			/* false: the source is exhausted */
	void	   *extra;			/* the source's own; passed through */
} FmMergeEntry;

typedef struct FmMergeSource FmMergeSource;
struct FmMergeSource
{
	FmMergeEntry entry;			/* set by next */

	/* Moves to the next entry in the merge's direction and fills "entry". */
	FmStatus	(*next) (FmMergeSource *source);
};

typedef struct FmMerge FmMerge;

/*
 * Creates a merge over n sources whose first entries are already set;
 * sources[i] has rank i.  The array is copied, the sources are not owned.
 * backward: sources descend.
 */
extern FmStatus fm_merge_create(FmMergeSource *const *sources, int n,
								bool backward, const FmAlloc *alloc,
								FmMerge **merge);

/*
 * The next entry: *winner is the source that shows it (its "entry" holds it
 * until the next call), NULL at the end.  "on_loser", when set, is called
 * for each entry that is hidden by the winner, before it is passed over.
 */
extern FmStatus fm_merge_next(FmMerge *merge, FmMergeSource **winner);
extern void fm_merge_on_loser(FmMerge *merge,
							  void (*on_loser) (void *arg,
												const FmMergeEntry *loser),
							  void *arg);
extern void fm_merge_free(FmMerge *merge);

#endif							/* FM_MERGE_H */
