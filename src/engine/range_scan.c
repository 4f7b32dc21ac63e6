/*-------------------------------------------------------------------------
 *
 * range_scan.c
 *	  Ordered scans over the runs of a table.
 *
 * A range scan merges a run scan for each run of L0 and for each level below,
 * own changes before all.  Where the store is far away, it finds the first
 * entries of all of them together, in rounds.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "engine/range_scan.h"
#include "objstore/pg_alloc.h"
#include "objstore/pg_status.h"

/* Bytes of a window, of all sources of a scan and of the scans beside it. */
#define MAX_WINDOW (32 * 1024 * 1024)

struct FmRangeScan
{
	FmFetch    *fetch;
	FmAlloc		alloc;
	int			nscans;
	FmRunScan **scans;
	FmMergeSource **sources;	/* own changes, then the scans */
	int			nsources;
	MemoryContext context;
	int			round;			/* of finding the beginnings */
	bool		reading;		/* what that round needs is on its way */
	bool		opened;			/* the first entries are found */
	bool		backward;
	FmMergeSource *only;		/* the one source, where merging is not needed */
	bool		started;
	FmMerge    *merge;			/* else */
};

/* Does [lower, upper) meet the run's bounds? */
static bool
in_range(const FmRunDesc *run, FmSlice lower, FmSlice upper)
{
	return fm_slice_cmp(run->upper, lower) >= 0 &&
		(upper.len == 0 || fm_slice_cmp(run->lower, upper) < 0);
}

/* Reads what all sources need first; false: it must be waited for. */
static bool
read_beginnings(FmRangeScan *scan, bool wait)
{
	int			i;

	for (; scan->round < FM_RUN_SCAN_ROUNDS; scan->round++)
	{
		for (i = 0; i < scan->nscans && !scan->reading; i++)
			fm_run_scan_start_round(scan->scans[i], scan->round);
		scan->reading = true;
		for (i = 0; i < scan->nscans && !wait; i++)
		{
			if (!fm_run_scan_round_has_come(scan->scans[i], scan->round))
				return false;
		}
		for (i = 0; i < scan->nscans; i++)
			fm_run_scan_finish_round(scan->scans[i], scan->round);
		scan->reading = false;
	}
	return true;
}

/* Finds the first entries; false: something must be waited for. */
static bool
open_range(FmRangeScan *scan, bool wait)
{
	MemoryContext old;
	int			i;

	if (scan->opened)
		return true;
	old = MemoryContextSwitchTo(scan->context);
	if (scan->fetch->store->ops->is_near || read_beginnings(scan, wait))
	{
		for (i = 0; i < scan->nsources; i++)
			fm_check_status(scan->sources[i]->next(scan->sources[i]), "scan");
		if (scan->nsources == 1)
			scan->only = scan->sources[0];
		else if (scan->nsources > 1)
			fm_check_status(fm_merge_create(scan->sources, scan->nsources,
											scan->backward, &scan->alloc,
											&scan->merge), "merge");
		scan->opened = true;
	}
	MemoryContextSwitchTo(old);
	return scan->opened;
}

/* Lets the scans share what may be read ahead, and what is expected. */
static void
limit_windows(FmRangeScan *scan, const uint64 *sizes)
{
	FmFetch    *fetch = scan->fetch;
	uint64		most = MAX_WINDOW / scan->nscans / (fetch->nbeside + 1);
	double		total = 0;
	int			i;

	for (i = 0; i < scan->nscans; i++)
		total += sizes[i];
	for (i = 0; i < scan->nscans; i++)
		fm_run_scan_limit_window(scan->scans[i],
								 (uint64) (fetch->expected * sizes[i] /
										   Max(total, 1)), most);
}

FmRangeScan *
fm_range_scan_begin(FmFetch *fetch, const FmTable *table, FmSlice lower,
					FmSlice upper, bool backward, FmMergeSource *own_changes)
{
	FmRangeScan *scan = palloc0(sizeof(FmRangeScan));
	uint64	   *count = fetch->stats->count;
	uint32		l0 = table->nlevels > 0 ? table->levels[0].nruns : 0;
	uint64	   *sizes = palloc(sizeof(uint64) * (l0 + FM_MAX_LEVELS));
	uint32		l;
	uint32		i;

	scan->fetch = fetch;
	scan->context = CurrentMemoryContext;
	scan->backward = backward;
	scan->alloc = fm_palloc_alloc(CurrentMemoryContext);
	scan->scans = palloc(sizeof(FmRunScan *) * (l0 + FM_MAX_LEVELS));
	scan->sources = palloc(sizeof(FmMergeSource *) *
						   (l0 + FM_MAX_LEVELS + 1));
	if (own_changes != NULL)
		scan->sources[scan->nsources++] = own_changes;

	for (l = 0; l < table->nlevels; l++)
	{
		const FmLevel *level = &table->levels[l];
		uint32		first = level->nruns;
		uint64		size = 0;
		uint32		n = 0;

		count[FM_RUNS_CONSIDERED] += level->nruns;
		for (i = 0; i < level->nruns; i++)
		{
			if (!in_range(&level->runs[i], lower, upper))
				continue;
			first = Min(first, i);
			n++;
			size += level->runs[i].size;
			if (l == 0)
			{
				sizes[scan->nscans] = level->runs[i].size;
				scan->scans[scan->nscans++] =
					fm_level_scan_begin(fetch, &level->runs[i], 1, lower, upper,
										backward);
			}
		}
		if (l > 0 && n > 0)
		{
			sizes[scan->nscans] = size;
			scan->scans[scan->nscans++] =
				fm_level_scan_begin(fetch, &level->runs[first], n, lower, upper,
									backward);
		}
		count[FM_RUNS_OUT_OF_RANGE] += level->nruns - n;
		count[FM_RUNS_SEARCHED] += n;
	}
	if (!fetch->store->ops->is_near && scan->nscans > 0)
		limit_windows(scan, sizes);
	pfree(sizes);
	for (i = 0; i < (uint32) scan->nscans; i++)
		scan->sources[scan->nsources++] = fm_run_scan_source(scan->scans[i]);
	return scan;
}

/* Would the next step of no source wait? */
static bool
are_ready(FmRangeScan *scan)
{
	bool		ready = true;
	int			i;

	for (i = 0; i < scan->nscans; i++)
		ready &= fm_run_scan_is_ready(scan->scans[i]);
	return ready;
}

static FmRangeStep
next_entry(FmRangeScan *scan, bool wait, FmSlice *key, FmSlice *row)
{
	FmMergeSource *winner;

	if (!open_range(scan, wait))
		return FM_RANGE_WAITS;
	for (;;)
	{
		if (!wait && scan->started && !are_ready(scan))
			return FM_RANGE_WAITS;
		winner = scan->only;
		if (winner != NULL)
		{
			if (scan->started)
				fm_check_status(winner->next(winner), "scan");
			if (!winner->entry.valid)
				winner = NULL;
		}
		else if (scan->merge != NULL)
			fm_check_status(fm_merge_next(scan->merge, &winner), "merge");
		scan->started = true;
		if (winner == NULL)
			return FM_RANGE_END;
		if (!winner->entry.tombstone)
		{
			*key = winner->entry.key;
			*row = winner->entry.row;
			return FM_RANGE_ENTRY;
		}
	}
}

/* Where there is one source, the next step to its end is a short one. */
bool
fm_range_scan_next(FmRangeScan *scan, FmSlice *key, FmSlice *row)
{
	FmMergeSource *only = scan->only;

	if (only != NULL && scan->started)
	{
		do
		{
			FmStatus	status = only->next(only);

			if (unlikely(status != FM_OK))
				fm_check_status(status, "scan");
		} while (only->entry.valid && only->entry.tombstone);
		*key = only->entry.key;
		*row = only->entry.row;
		return only->entry.valid;
	}
	return next_entry(scan, true, key, row) == FM_RANGE_ENTRY;
}

FmRangeStep
fm_range_scan_try(FmRangeScan *scan, FmSlice *key, FmSlice *row)
{
	return next_entry(scan, false, key, row);
}

bool
fm_range_scan_is_ready(FmRangeScan *scan)
{
	return open_range(scan, false) && (!scan->started || are_ready(scan));
}

void
fm_range_scan_end(FmRangeScan *scan)
{
	int			i;

	for (i = 0; i < scan->nscans; i++)
		fm_run_scan_end(scan->scans[i]);
	if (scan->merge != NULL)
		fm_merge_free(scan->merge);
	pfree(scan->sources);
	pfree(scan->scans);
	pfree(scan);
}
