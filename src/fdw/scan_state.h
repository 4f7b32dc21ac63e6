/*-------------------------------------------------------------------------
 *
 * scan_state.h
 *	  The state of a scan that is executed: ForeignScanState's fdw_state.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_SCAN_STATE_H
#define FM_SCAN_STATE_H

#include "nodes/execnodes.h"
#include "port/atomics.h"

#include "engine/lookup.h"
#include "engine/range_scan.h"
#include "engine/sample.h"
#include "engine/xact.h"
#include "fdw/scan_keys.h"
#include "fdw/scan_plan.h"
#include "fdw/table.h"

typedef enum ScanMode
{
	SCAN_NOT_STARTED,
	SCAN_EMPTY,
	SCAN_KEYS,
	SCAN_RANGES
} ScanMode;

/* In shared memory: pieces of the table are taken one by one. */
typedef struct ParallelScan
{
	pg_atomic_uint32 next_piece;
} ParallelScan;

typedef struct FmScanState
{
	FmTableOptions *options;
	FmOpenTable *open;			/* NULL until open_scan */
	FmFetch		fetch;
	FmStats		stats;
	FmStats		of_workers;
	FmStats		total;			/* of both, for EXPLAIN */
	FmTupleProjection *projection;
	FmLookup   *lookup;			/* made at the first look-up */
	FmLookup   *guess;			/* whose reads were in vain, or NULL */
	bool		nulls_set;		/* the slot's unread columns are NULL */
	CommandId	curcid;
	bool		backward;
	double		share;			/* of the table that is likely to be read */
	FmScanLocking locking;
	bool		asynchronous;	/* it must not wait: see async.c */
	FmStore    *store;			/* of a scan that is open, or is to be */
	bool		waits;			/* so there was no row, but may be later */
	bool		running;		/* between its first request and its end */
	uint32		nrequests;		/* asynchronous ones */
	int64		waits_since_us; /* monotonic; 0: it does not */

	FmKeyConditions *conditions;
	ScanMode	mode;
	bool		evaluated;		/* "keys" are those of this (re)scan */
	FmScanKeys	keys;			/* that the conditions mean */
	int			next_key;		/* of keys, or next range */
	int			ahead;			/* keys before it have been read ahead */
	FmRangeScan *range;			/* NULL between ranges */
	ParallelScan *parallel;		/* NULL: this process reads all pieces */
	FmKeyRange *pieces;			/* of a parallel scan; NULL until needed */
	uint32		npieces;
	const FmKeyRange *piece;	/* that the ranges are read in */
	FmBufferScan *own;
	FmReadProgress *read;		/* SERIALIZABLE: what of the range was read */

	MemoryContext context;		/* lives as long as the scan */
	MemoryContext rescan_context;	/* lives until the next rescan */
	MemoryContext row_context;	/* lives until the next row */
} FmScanState;

#endif							/* FM_SCAN_STATE_H */
