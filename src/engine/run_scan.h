/*-------------------------------------------------------------------------
 *
 * run_scan.h
 *	  Ordered scans over one run, or over the disjoint runs of a level.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_RUN_SCAN_H
#define FM_RUN_SCAN_H

#include "engine/fetch.h"
#include "format/merge.h"

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

/* The same for the runs of a level, which are disjoint and ascending. */
extern FmRunScan *fm_level_scan_begin(FmFetch *fetch, const FmRunDesc *runs,
									  uint32 nruns, FmSlice lower,
									  FmSlice upper, bool backward);

/*
 * The rest is for who has several scans, and the store is far away.
 *
 * What the first entry needs is read in rounds, before it is asked for: each
 * is started, has come at some time, and is finished, which waits for it.
 */
#define FM_RUN_SCAN_ROUNDS 3	/* top index, partition, block */

extern void fm_run_scan_start_round(FmRunScan *scan, int round);
extern bool fm_run_scan_round_has_come(FmRunScan *scan, int round);
extern void fm_run_scan_finish_round(FmRunScan *scan, int round);

/*
 * Bytes that the scan is expected to read (0: that is not known), of which it
 * reads "most" ahead.
 */
extern void fm_run_scan_limit_window(FmRunScan *scan, uint64 expected,
									 uint64 most);

/*
 * Would the source's next move not wait?  Starts what it would wait for.  Not
 * before the first entry was shown.
 */
extern bool fm_run_scan_is_ready(FmRunScan *scan);

#endif							/* FM_RUN_SCAN_H */
