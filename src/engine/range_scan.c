/*-------------------------------------------------------------------------
 *
 * range_scan.c
 *	  Ordered scans over the runs of a table.
 *
 * A run scan walks the blocks of one run, or of the disjoint runs of a level
 * one after the other; a range scan merges one of them for each run of L0 and
 * for each level below, own changes before all.  A scan holds one partition
 * and one block of each source, and none before its first entry is asked for.
 *
 * Where the store is far away, a range scan finds the beginnings of all its
 * sources together, and each source then reads ahead.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "engine/range_scan.h"
#include "engine/read_ahead.h"
#include "engine/stage.h"
#include "objstore/pg_alloc.h"
#include "objstore/pg_status.h"

/*
 * What is read ahead from a store that is far away, in bytes.  A scan may end
 * soon, so it begins with few.
 */
#define BEGINNING (16 * 1024)	/* of the blocks */
#define INDEX_BEGINNING (64 * 1024) /* holds most partitions */
#define FIRST_BLOCKS (64 * 1024)
#define MOST_BLOCKS (32 * 1024 * 1024)	/* of all sources of a scan */
#define FEWEST_BLOCKS (256 * 1024)
#define RUN_BLOCKS (1024 * 1024)	/* of a run scan alone */
#define FIRST_INDEX (128 * 1024)
#define MOST_INDEX (512 * 1024)

struct FmRunScan
{
	FmMergeSource source;		/* must be first */
	FmFetch		fetch;			/* of its own, as what is read ahead is */
	FmStage    *stage;			/* the beginnings; NULL, all: the store is
								 * near */
	FmReadAhead *blocks_ahead;
	FmReadAhead *index_ahead;
	const FmRunDesc *runs;		/* disjoint, ascending */
	uint32		nruns;
	bool		backward;
	FmSlice		lower;			/* inclusive; empty: unbounded */
	FmSlice		upper;			/* exclusive; empty: unbounded */

	/* Where it stands; each level is open while its pin holds something. */
	bool		positioned;
	bool		done;
	uint32		run_no;
	uint32		partition_no;
	uint32		block_no;
	uint32		entry_no;
	FmTopIndex	top;
	FmPartition partition;
	FmDataBlock block;
	FmCachePin	top_pin;
	FmCachePin	partition_pin;
	FmCachePin	block_pin;
	uint8		key[FM_MAX_KEY_SIZE];
};

struct FmRangeScan
{
	FmFetch    *fetch;
	FmAlloc		alloc;
	int			nscans;
	FmRunScan **scans;
	FmMergeSource *only;		/* the one source, where merging is not needed */
	bool		started;
	FmMerge    *merge;			/* else */
};

static const FmRunDesc *
current_run(const FmRunScan *scan)
{
	return &scan->runs[scan->run_no];
}

static void
open_top(FmRunScan *scan)
{
	scan->fetch.ahead = NULL;
	fm_fetch_top(&scan->fetch, current_run(scan), &scan->top_pin);
	fm_top_index_open(fm_slice(scan->top_pin.data, scan->top_pin.size),
					  &scan->top);
}

static void
open_partition(FmRunScan *scan)
{
	FmTopEntry	entry;

	fm_top_index_entry(&scan->top, scan->partition_no, &entry);
	scan->fetch.ahead = scan->positioned ? scan->index_ahead : NULL;
	fm_fetch_block(&scan->fetch, current_run(scan), FM_BLOCK_PARTITION,
				   entry.handle, NULL, &scan->partition_pin);
	fm_partition_open(fm_slice(scan->partition_pin.data,
							   scan->partition_pin.size), &scan->partition);
}

static void
open_block(FmRunScan *scan)
{
	FmBlockHandle handle = fm_partition_block(&scan->partition,
											  scan->block_no);

	scan->fetch.ahead = scan->blocks_ahead;
	fm_fetch_block(&scan->fetch, current_run(scan), FM_BLOCK_DATA, handle,
				   NULL, &scan->block_pin);
	fm_data_block_open(fm_slice(scan->block_pin.data, scan->block_pin.size),
					   &scan->block);
}

static void
release_pins(FmRunScan *scan)
{
	fm_cache_release(&scan->block_pin);
	fm_cache_release(&scan->partition_pin);
	fm_cache_release(&scan->top_pin);
}

/* Steps to the next run in the scan's direction; false: there is none. */
static bool
next_run(FmRunScan *scan)
{
	if (scan->backward ? scan->run_no == 0 : scan->run_no + 1 >= scan->nruns)
		return false;
	scan->run_no += scan->backward ? -1 : 1;
	open_top(scan);
	scan->partition_no = scan->backward ? scan->top.npartitions - 1 : 0;
	return true;
}

/* Steps to the next block in the scan's direction; false: there is none. */
static bool
next_block(FmRunScan *scan)
{
	CHECK_FOR_INTERRUPTS();
	if (scan->backward ? scan->block_no > 0 :
		scan->block_no + 1 < scan->partition.nblocks)
		scan->block_no += scan->backward ? -1 : 1;
	else
	{
		if (scan->backward ? scan->partition_no > 0 :
			scan->partition_no + 1 < scan->top.npartitions)
			scan->partition_no += scan->backward ? -1 : 1;
		else if (!next_run(scan))
			return false;
		open_partition(scan);
		scan->block_no = scan->backward ? scan->partition.nblocks - 1 : 0;
	}
	open_block(scan);
	scan->entry_no = scan->backward ? scan->block.keys.count - 1 : 0;
	return true;
}

/*
 * Opens the block of the current run that can hold key and sets entry_no to
 * its first entry >= key, or to its count.  False if the run ends before key.
 */
static bool
seek_block(FmRunScan *scan, FmSlice key)
{
	bool		equal;

	open_top(scan);
	scan->partition_no = fm_key_table_search(&scan->top.separators, key,
											 &equal);
	if (scan->partition_no >= scan->top.npartitions)
		return false;
	open_partition(scan);
	scan->block_no = fm_key_table_search(&scan->partition.separators, key,
										 &equal);
	if (scan->block_no >= scan->partition.nblocks)
		return false;
	open_block(scan);
	scan->entry_no = fm_key_table_search(&scan->block.keys, key, &equal);
	return true;
}

/* Puts a backward scan on the last entry of its current run. */
static void
seek_run_end(FmRunScan *scan)
{
	open_top(scan);
	scan->partition_no = scan->top.npartitions - 1;
	open_partition(scan);
	scan->block_no = scan->partition.nblocks - 1;
	open_block(scan);
	scan->entry_no = scan->block.keys.count - 1;
}

/* Moves one entry in the scan's direction; false at the end. */
static bool
step(FmRunScan *scan)
{
	if (scan->backward ? scan->entry_no > 0 :
		scan->entry_no + 1 < scan->block.keys.count)
	{
		scan->entry_no += scan->backward ? -1 : 1;
		return true;
	}
	return next_block(scan);
}

/* First position of a forward scan: the first entry >= lower. */
static bool
position_forward(FmRunScan *scan)
{
	for (scan->run_no = 0; scan->run_no < scan->nruns; scan->run_no++)
	{
		if (fm_slice_cmp(scan->runs[scan->run_no].upper, scan->lower) < 0)
			continue;
		if (seek_block(scan, scan->lower))
			return scan->entry_no < scan->block.keys.count ||
				next_block(scan);
	}
	return false;
}

/* First position of a backward scan: the last entry < upper. */
static bool
position_backward(FmRunScan *scan)
{
	uint32		n;

	for (n = scan->nruns; n > 0; n--)
	{
		scan->run_no = n - 1;
		if (scan->upper.len == 0)
		{
			seek_run_end(scan);
			return true;
		}
		if (fm_slice_cmp(scan->runs[scan->run_no].lower, scan->upper) >= 0)
			continue;

		if (!seek_block(scan, scan->upper))
			seek_run_end(scan);
		else if (scan->entry_no > 0)
			scan->entry_no--;
		else
			return next_block(scan);
		return true;
	}
	return false;
}

/* The merge source's "next". */
static FmStatus
run_scan_next(FmMergeSource *source)
{
	FmRunScan  *scan = (FmRunScan *) source;
	FmMergeEntry *entry = &source->entry;
	bool		found;

	if (scan->done)
	{
		entry->valid = false;
		return FM_OK;
	}
	if (scan->positioned)
		found = step(scan);
	else
	{
		found = scan->backward ? position_backward(scan) :
			position_forward(scan);
		scan->positioned = true;
	}
	if (found)
	{
		entry->key = fm_slice(scan->key,
							  fm_key_table_key(&scan->block.keys,
											   scan->entry_no, scan->key));
		if (scan->backward ?
			fm_slice_cmp(entry->key, scan->lower) < 0 :
			(scan->upper.len > 0 &&
			 fm_slice_cmp(entry->key, scan->upper) >= 0))
			found = false;
	}
	if (!found)
	{
		scan->done = true;
		release_pins(scan);
		entry->valid = false;
		return FM_OK;
	}
	entry->tombstone = fm_data_block_is_tombstone(&scan->block,
												  scan->entry_no);
	entry->row = fm_data_block_row(&scan->block, scan->entry_no);
	entry->valid = true;
	return FM_OK;
}

static FmSlice
copy_slice(FmSlice s)
{
	uint8	   *data;

	if (s.len == 0)
		return s;
	data = palloc(s.len);
	memcpy(data, s.data, s.len);
	return fm_slice(data, s.len);
}

static FmRunScan *
level_scan_begin(FmFetch *fetch, const FmRunDesc *runs, uint32 nruns,
				 FmSlice lower, FmSlice upper, bool backward)
{
	FmRunScan  *scan = palloc0(sizeof(FmRunScan));

	scan->source.next = run_scan_next;
	scan->fetch = *fetch;
	if (!fetch->store->ops->is_near)
	{
		scan->stage = fm_stage_create();
		scan->fetch.stage = scan->stage;
		scan->blocks_ahead = fm_read_ahead_create(backward, FIRST_BLOCKS,
												  RUN_BLOCKS);
		scan->index_ahead = fm_read_ahead_create(backward, FIRST_INDEX,
												 MOST_INDEX);
	}
	scan->runs = runs;
	scan->nruns = nruns;
	scan->backward = backward;
	scan->lower = copy_slice(lower);
	scan->upper = copy_slice(upper);
	return scan;
}

FmRunScan *
fm_run_scan_begin(FmFetch *fetch, const FmRunDesc *run, FmSlice lower,
				  FmSlice upper, bool backward)
{
	return level_scan_begin(fetch, run, 1, lower, upper, backward);
}

FmMergeSource *
fm_run_scan_source(FmRunScan *scan)
{
	return &scan->source;
}

void
fm_run_scan_end(FmRunScan *scan)
{
	release_pins(scan);
	fm_stage_free(scan->stage);
	fm_read_ahead_free(scan->blocks_ahead);
	fm_read_ahead_free(scan->index_ahead);
	pfree(scan);
}

/* Does [lower, upper) meet the run's bounds? */
static bool
in_range(const FmRunDesc *run, FmSlice lower, FmSlice upper)
{
	return fm_slice_cmp(run->upper, lower) >= 0 &&
		(upper.len == 0 || fm_slice_cmp(run->lower, upper) < 0);
}

/* The index of the partition, or block, where a scan begins. */
static uint32
first_child(const FmRunScan *scan, const FmKeyTable *separators, uint32 n)
{
	FmSlice		key = scan->backward ? scan->upper : scan->lower;
	bool		equal;
	uint32		i;

	if (scan->backward && key.len == 0)
		return n - 1;
	i = fm_key_table_search(separators, key, &equal);
	return Min(i, n - 1);
}

/* Stages as much of a stretch of the run where the scan begins. */
static void
stage_end(FmRunScan *scan, uint64 start, uint64 end, uint64 size)
{
	if (start >= end)
		return;
	size = Min(size, end - start);
	fm_stage_add(scan->stage, current_run(scan),
				 scan->backward ? end - size : start, size);
}

/*
 * Stages a run's top index.  Where the scan begins with the run's first entry,
 * or its last, it is known before where partition and block are.
 */
static void
stage_top(FmRunScan *scan)
{
	const FmRunDesc *run = current_run(scan);

	if (!fm_stage_add_top(scan->stage, run))
		return;
	if (scan->backward ?
		scan->upper.len > 0 && fm_slice_cmp(run->upper, scan->upper) >= 0 :
		fm_slice_cmp(run->lower, scan->lower) < 0)
		return;
	stage_end(scan, run->meta_offset, run->tail_offset, INDEX_BEGINNING);
	stage_end(scan, FM_RUN_HEADER_SIZE, run->meta_offset, BEGINNING);
}

/*
 * Stages what the sources need first, level by level of their runs' indexes.
 * It is a guess where a run ends before the scan's bound.
 */
static void
stage_beginnings(FmRangeScan *range, FmFetch *fetch)
{
	FmStage   **stages = palloc(sizeof(FmStage *) * Max(range->nscans, 1));
	FmRunScan  *scan;
	FmTopEntry	entry;
	int			i;

	for (i = 0; i < range->nscans; i++)
	{
		scan = range->scans[i];
		fm_read_ahead_limit(scan->blocks_ahead,
							Max(MOST_BLOCKS / range->nscans, FEWEST_BLOCKS));
		scan->run_no = scan->backward ? scan->nruns - 1 : 0;
		stages[i] = scan->stage;
		stage_top(scan);
	}
	fm_stage_read(fetch, stages, range->nscans);
	for (i = 0; i < range->nscans; i++)
	{
		scan = range->scans[i];
		open_top(scan);
		scan->partition_no = first_child(scan, &scan->top.separators,
										 scan->top.npartitions);
		fm_top_index_entry(&scan->top, scan->partition_no, &entry);
		fm_stage_add_block(scan->stage, current_run(scan), entry.handle);
	}
	fm_stage_read(fetch, stages, range->nscans);
	for (i = 0; i < range->nscans; i++)
	{
		FmBlockHandle handle;

		scan = range->scans[i];
		open_partition(scan);
		scan->block_no = first_child(scan, &scan->partition.separators,
									 scan->partition.nblocks);
		handle = fm_partition_block(&scan->partition, scan->block_no);
		fm_stage_add_block(scan->stage, current_run(scan), handle);
	}
	fm_stage_read(fetch, stages, range->nscans);
	pfree(stages);
}

FmRangeScan *
fm_range_scan_begin(FmFetch *fetch, const FmTable *table, FmSlice lower,
					FmSlice upper, bool backward, FmMergeSource *own_changes)
{
	FmRangeScan *scan = palloc0(sizeof(FmRangeScan));
	uint64	   *count = fetch->stats->count;
	FmMergeSource **sources;
	uint32		l0 = table->nlevels > 0 ? table->levels[0].nruns : 0;
	int			nsources = 0;
	uint32		l;
	uint32		i;

	scan->fetch = fetch;
	scan->alloc = fm_palloc_alloc(CurrentMemoryContext);
	scan->scans = palloc(sizeof(FmRunScan *) * (l0 + FM_MAX_LEVELS));
	sources = palloc(sizeof(FmMergeSource *) * (l0 + FM_MAX_LEVELS + 1));
	if (own_changes != NULL)
		sources[nsources++] = own_changes;

	for (l = 0; l < table->nlevels; l++)
	{
		const FmLevel *level = &table->levels[l];
		uint32		first = level->nruns;
		uint32		n = 0;

		count[FM_RUNS_CONSIDERED] += level->nruns;
		for (i = 0; i < level->nruns; i++)
		{
			if (!in_range(&level->runs[i], lower, upper))
				continue;
			first = Min(first, i);
			n++;
			if (l == 0)
				scan->scans[scan->nscans++] =
					level_scan_begin(fetch, &level->runs[i], 1, lower, upper,
									 backward);
		}
		if (l > 0 && n > 0)
			scan->scans[scan->nscans++] =
				level_scan_begin(fetch, &level->runs[first], n, lower, upper,
								 backward);
		count[FM_RUNS_OUT_OF_RANGE] += level->nruns - n;
		count[FM_RUNS_SEARCHED] += n;
	}
	for (i = 0; i < (uint32) scan->nscans; i++)
		sources[nsources++] = &scan->scans[i]->source;

	if (!fetch->store->ops->is_near)
		stage_beginnings(scan, fetch);
	for (i = 0; i < (uint32) nsources; i++)
		fm_check_status(sources[i]->next(sources[i]), "scan");
	if (nsources == 1)
		scan->only = sources[0];
	else if (nsources > 1)
		fm_check_status(fm_merge_create(sources, nsources, backward,
										&scan->alloc, &scan->merge), "merge");
	pfree(sources);
	return scan;
}

bool
fm_range_scan_next(FmRangeScan *scan, FmSlice *key, FmSlice *row)
{
	FmMergeSource *winner;

	for (;;)
	{
		winner = scan->only;
		if (winner != NULL)
		{
			if (scan->started)
				fm_check_status(winner->next(winner), "scan");
			scan->started = true;
			if (!winner->entry.valid)
				return false;
		}
		else if (scan->merge != NULL)
		{
			fm_check_status(fm_merge_next(scan->merge, &winner), "merge");
			if (winner == NULL)
				return false;
		}
		else
			return false;
		if (!winner->entry.tombstone)
		{
			*key = winner->entry.key;
			*row = winner->entry.row;
			return true;
		}
	}
}

void
fm_range_scan_end(FmRangeScan *scan)
{
	int			i;

	for (i = 0; i < scan->nscans; i++)
		fm_run_scan_end(scan->scans[i]);
	if (scan->merge != NULL)
		fm_merge_free(scan->merge);
	pfree(scan->scans);
	pfree(scan);
}
