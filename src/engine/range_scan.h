/*-------------------------------------------------------------------------
 *
 * range_scan.h
 *	  Ordered scans over the runs of a table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_RANGE_SCAN_H
#define FM_RANGE_SCAN_H

#include "engine/run_scan.h"
#include "format/head.h"

typedef struct FmRangeScan FmRangeScan;

/*
 * The live entries of a table in [lower, upper), newest version of each key,
 * merged with an optional source of own changes (rank before all runs).
 * Tombstones are passed over.
 */
extern FmRangeScan *fm_range_scan_begin(FmFetch *fetch, const FmTable *table,
										FmSlice lower, FmSlice upper,
										bool backward,
										FmMergeSource *own_changes);

typedef enum FmRangeStep
{
	FM_RANGE_ENTRY,
	FM_RANGE_END,
	FM_RANGE_WAITS				/* for what has been started: to be called
								 * again */
} FmRangeStep;

/*
 * The next entry; fm_range_scan_next: false at the end.  Slices live until the
 * next call.  Only fm_range_scan_try answers FM_RANGE_WAITS.  Nothing is read
 * before the first call.
 */
extern bool fm_range_scan_next(FmRangeScan *scan, FmSlice *key, FmSlice *row);
extern FmRangeStep fm_range_scan_try(FmRangeScan *scan, FmSlice *key,
									 FmSlice *row);

/* Starts what the next entry needs; true if nothing has to be waited for. */
extern bool fm_range_scan_is_ready(FmRangeScan *scan);
extern void fm_range_scan_end(FmRangeScan *scan);

#endif							/* FM_RANGE_SCAN_H */
