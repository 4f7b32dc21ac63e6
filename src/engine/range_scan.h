/*-------------------------------------------------------------------------
 *
 * range_scan.h
 *	  Ordered scans over the runs of a table, or of one run.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_RANGE_SCAN_H
#define FM_RANGE_SCAN_H

#include "engine/fetch.h"
#include "format/head.h"
#include "format/merge.h"

typedef struct FmRangeScan FmRangeScan;
typedef struct FmRunScan FmRunScan;

/*
 * Entries of one run in [lower, upper) (an empty slice: unbounded), as a
 * merge source.  Lives in the current context; its pin belongs to
 * CurrentResourceOwner.  The source's entry slices live until its next move.
 */
extern FmRunScan *fm_run_scan_begin(FmFetch *fetch, const FmRunDesc *run,
									FmSlice lower, FmSlice upper,
									bool backward);
extern FmMergeSource *fm_run_scan_source(FmRunScan *scan);
extern void fm_run_scan_end(FmRunScan *scan);

/*
 * The live entries of a table in [lower, upper), newest version of each key,
 * merged with an optional source of own changes (rank before all runs).
 * Tombstones are passed over.
 */
extern FmRangeScan *fm_range_scan_begin(FmFetch *fetch, const FmTable *table,
										FmSlice lower, FmSlice upper,
										bool backward,
										FmMergeSource *own_changes);

/* The next entry; false at the end.  Slices live until the next call. */
extern bool fm_range_scan_next(FmRangeScan *scan, FmSlice *key, FmSlice *row);
extern void fm_range_scan_end(FmRangeScan *scan);

#endif							/* FM_RANGE_SCAN_H */
