/*-------------------------------------------------------------------------
 *
 * sample.h
 *	  Ranges of keys, chosen by where blocks of a table begin and end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_SAMPLE_H
#define FM_SAMPLE_H

#include "engine/fetch.h"

typedef struct FmKeyRange
{
	FmSlice		lower;			/* inclusive; empty: unbounded */
	FmSlice		upper;			/* exclusive; empty: unbounded */
} FmKeyRange;

/* Data blocks of all runs. */
extern uint64 fm_table_blocks(const FmTable *table);

/*
 * The ranges of up to n data blocks, chosen at random among those of all runs:
 * ascending and disjoint, so that fewer may come back.  Reads index
 * partitions.  In the current memory context.
 */
extern uint32 fm_sample_blocks(FmFetch *fetch, const FmTable *table, uint32 n,
							   FmKeyRange **ranges);

/*
 * The part of up to n data blocks, spread evenly over all runs, that are in
 * the cache: 0 to 1.  Reads nothing but what is in the cache.
 */
extern double fm_cached_part(FmFetch *fetch, const FmTable *table, uint32 n);

/*
 * Cuts all keys into ranges, ascending and without gaps, at the ends of the
 * index partitions of the largest level: pieces for workers to share.
 */
extern uint32 fm_split_table(FmFetch *fetch, const FmTable *table,
							 FmKeyRange **ranges);

#endif							/* FM_SAMPLE_H */
