/*-------------------------------------------------------------------------
 *
 * run_scan.c
 *	  Ordered scans over one run, or over the disjoint runs of a level.
 *
 * A run scan walks the blocks of its runs one after the other.  It holds one
 * partition and one block, and none before its first entry is asked for.
 *
 * Where the store is far away, it reads ahead.  Who does not want to wait asks
 * before each step whether it has what it needs; what it lacks is then on its
 * way.  The answer is no promise: a step that finds something missing after
 * all reads it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "engine/run_scan.h"
#include "engine/stage.h"

/*
 * What is read ahead from a store that is far away, in bytes: the first
 * window of blocks is small, as the scan may end soon, and each that follows
 * is WINDOW_GROWTH times the one before.
 */
#define FIRST_WINDOW (16 * 1024)
#define WINDOW_GROWTH 8
#define MIN_WINDOW (256 * 1024)
#define WINDOW_OVERLAP (64 * 1024)	/* as large as most blocks, and less than
									 * MIN_WINDOW */
#define INDEX_WINDOW (256 * 1024)

/* How far a source has come on its way to its next block. */
typedef enum ScanPlace
{
	ON_BLOCK,					/* "block" is the one of block_no */
	BEFORE_RUN,					/* run_no is set, the rest is not */
	BEFORE_PARTITION,			/* partition_no, too */
	BEFORE_BLOCK				/* block_no, too */
} ScanPlace;

struct FmRunScan
{
	FmMergeSource source;		/* must be first */
	FmFetch		fetch;			/* of its own: it has its own stages */
	FmStage    *block_stage;	/* NULL, all: the store is near */
	FmStage    *next_stage;		/* what follows, while it is being read */
	FmStage    *index_stage;
	uint64		window;			/* bytes of blocks to be read ahead next */
	uint64		max_window;
	uint64		window_end;		/* where the next one ends, or begins */
	const FmRunDesc *runs;		/* disjoint, ascending */
	uint32		nruns;
	bool		backward;
	FmSlice		lower;			/* inclusive; empty: unbounded */
	FmSlice		upper;			/* exclusive; empty: unbounded */

	/* Where it stands; each level is open while its pin holds something. */
	bool		positioned;
	bool		done;
	ScanPlace	place;
	bool		asked;			/* for what comes next at this place */
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

static const FmRunDesc *
current_run(const FmRunScan *scan)
{
	return &scan->runs[scan->run_no];
}

/*
 * Adds a range, of blocks or of partitions, to an empty stage, with what
 * follows it in the scan's direction between first and end.  Returns where it
 * ends in that direction.
 */
static uint64
add_window(FmRunScan *scan, FmStage *stage, FmBlockHandle handle,
		   uint64 first, uint64 end, uint64 window)
{
	uint64		from = handle.offset;
	uint64		to = handle.offset + handle.size;

	fm_stage_reset(stage);
	if (from < first || to > end)
		return scan->backward ? first : end;	/* the fetch will tell */
	if (scan->backward)
		from = to - Min(Max(window, handle.size), to - first);
	else
		to = from + Min(Max(window, handle.size), end - from);
	fm_stage_add(stage, current_run(scan), from, to - from);
	return scan->backward ? from : to;
}

/* Starts to read the next window, which begins, or ends, with the block. */
static void
start_window(FmRunScan *scan, FmBlockHandle handle)
{
	scan->window = Min(scan->window * WINDOW_GROWTH, scan->max_window);
	scan->window_end = add_window(scan, scan->next_stage, handle, 0,
								  current_run(scan)->meta_offset,
								  scan->window);
	fm_stage_start(&scan->fetch, scan->next_stage);
}

/*
 * Makes sure that a block is staged.  From the second window on the next one
 * is on its way while the scan works on what came before.
 */
static void
read_blocks_ahead(FmRunScan *scan, FmBlockHandle handle)
{
	const FmRunDesc *run = current_run(scan);
	FmStage    *stage = scan->next_stage;
	FmBlockHandle next;

	if (fm_stage_find(scan->block_stage, run, handle.offset,
					  handle.size) != NULL)
		return;
	if (!fm_stage_awaits(stage, run, handle.offset, handle.size))
		start_window(scan, handle);
	scan->next_stage = scan->block_stage;
	scan->block_stage = stage;
	fm_stage_finish(&scan->fetch, stage);
	fm_stage_reset(scan->next_stage);
	if (scan->window < MIN_WINDOW ||
		scan->window_end == (scan->backward ? 0 : run->meta_offset))
		return;

	/* A block that this window has cut is whole in the next. */
	next.offset = scan->backward ? scan->window_end + WINDOW_OVERLAP :
		scan->window_end - WINDOW_OVERLAP;
	next.size = 0;
	start_window(scan, next);
}

static bool
is_cached(const FmRunScan *scan, FmBlockHandle handle)
{
	FmCacheKey	key;

	key.object = current_run(scan)->id;
	key.offset = handle.offset;
	return fm_cache_contains(&key);
}

static void
open_top(FmRunScan *scan)
{
	scan->fetch.stage = scan->index_stage;
	fm_fetch_top(&scan->fetch, current_run(scan), &scan->top_pin);
	fm_top_index_open(fm_slice(scan->top_pin.data, scan->top_pin.size),
					  &scan->top);
}

static void
open_partition(FmRunScan *scan)
{
	FmTopEntry	entry;

	fm_top_index_entry(&scan->top, scan->partition_no, &entry);
	scan->fetch.stage = scan->index_stage;
	if (scan->index_stage != NULL && scan->positioned &&
		!is_cached(scan, entry.handle) &&
		fm_stage_find(scan->index_stage, current_run(scan),
					  entry.handle.offset, entry.handle.size) == NULL)
	{
		(void) add_window(scan, scan->index_stage, entry.handle,
						  current_run(scan)->meta_offset,
						  current_run(scan)->tail_offset, INDEX_WINDOW);
		fm_stage_read(&scan->fetch, &scan->index_stage, 1);
	}
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

	if (scan->block_stage != NULL && !is_cached(scan, handle))
		read_blocks_ahead(scan, handle);
	scan->fetch.stage = scan->block_stage;
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

/* Steps to the neighbour of *no, of n, in the scan's direction, if any. */
static bool
step_number(const FmRunScan *scan, uint32 *no, uint32 n)
{
	if (scan->backward ? *no == 0 : *no + 1 >= n)
		return false;
	*no += scan->backward ? -1 : 1;
	return true;
}

static void
set_place(FmRunScan *scan, ScanPlace place)
{
	scan->place = place;
	scan->asked = false;
}

/*
 * Is a part of the current run's index cached or staged?  If not it is asked
 * for, once.
 */
static bool
index_is_near(FmRunScan *scan)
{
	const FmRunDesc *run = current_run(scan);
	FmBlockHandle handle;
	FmTopEntry	entry;

	if (scan->asked)
	{
		if (!fm_stage_has_come(&scan->fetch, scan->index_stage))
			return false;
		fm_stage_finish(&scan->fetch, scan->index_stage);
		return true;			/* or the fetch tells what is wrong */
	}
	if (scan->place == BEFORE_RUN)
	{
		handle.offset = run->tail_offset;
		handle.size = run->size - run->tail_offset;
	}
	else
	{
		fm_top_index_entry(&scan->top, scan->partition_no, &entry);
		handle = entry.handle;
	}
	if (is_cached(scan, handle) ||
		fm_stage_find(scan->index_stage, run, handle.offset,
					  handle.size) != NULL)
		return true;
	if (scan->place == BEFORE_RUN)
	{
		fm_stage_reset(scan->index_stage);
		fm_stage_add_top(scan->index_stage, run);
	}
	else
		(void) add_window(scan, scan->index_stage, handle, run->meta_offset,
						  run->tail_offset, INDEX_WINDOW);
	fm_stage_start(&scan->fetch, scan->index_stage);
	scan->asked = true;
	return false;
}

/* The same for the block that comes next. */
static bool
block_is_near(FmRunScan *scan)
{
	const FmRunDesc *run = current_run(scan);
	FmBlockHandle handle = fm_partition_block(&scan->partition,
											  scan->block_no);

	if (is_cached(scan, handle) ||
		fm_stage_find(scan->block_stage, run, handle.offset,
					  handle.size) != NULL)
		return true;
	if (!scan->asked &&
		!fm_stage_awaits(scan->next_stage, run, handle.offset, handle.size))
		start_window(scan, handle);
	scan->asked = true;
	return fm_stage_has_come(&scan->fetch, scan->next_stage);
}

typedef enum MoveResult
{
	MOVED,
	AT_END,
	WAITS
} MoveResult;

/*
 * Moves on to the next block in the scan's direction, which is not opened
 * yet; the entry that was shown stays.  Unless "wait", stops where something
 * is not at hand.
 */
static MoveResult
move_on(FmRunScan *scan, bool wait)
{
	switch (scan->place)
	{
		case ON_BLOCK:
			if (step_number(scan, &scan->block_no, scan->partition.nblocks))
			{
				set_place(scan, BEFORE_BLOCK);
				break;
			}
			if (step_number(scan, &scan->partition_no, scan->top.npartitions))
				set_place(scan, BEFORE_PARTITION);
			else if (step_number(scan, &scan->run_no, scan->nruns))
				set_place(scan, BEFORE_RUN);
			else
				return AT_END;
			return move_on(scan, wait);
		case BEFORE_RUN:
			if (!wait && !index_is_near(scan))
				return WAITS;
			open_top(scan);
			scan->partition_no = scan->backward ?
				scan->top.npartitions - 1 : 0;
			set_place(scan, BEFORE_PARTITION);
			/* FALLTHROUGH */
		case BEFORE_PARTITION:
			if (!wait && !index_is_near(scan))
				return WAITS;
			open_partition(scan);
			scan->block_no = scan->backward ?
				scan->partition.nblocks - 1 : 0;
			set_place(scan, BEFORE_BLOCK);
			break;
		case BEFORE_BLOCK:
			break;
	}
	return wait || block_is_near(scan) ? MOVED : WAITS;
}

/* Steps to the next block in the scan's direction; false: there is none. */
static bool
next_block(FmRunScan *scan)
{
	CHECK_FOR_INTERRUPTS();
	if (move_on(scan, true) == AT_END)
		return false;
	open_block(scan);
	set_place(scan, ON_BLOCK);
	scan->entry_no = scan->backward ? scan->block.keys.count - 1 : 0;
	return true;
}

bool
fm_run_scan_is_ready(FmRunScan *scan)
{
	if (scan->done || scan->block_stage == NULL ||
		(scan->place == ON_BLOCK &&
		 (scan->backward ? scan->entry_no > 0 :
		  scan->entry_no + 1 < scan->block.keys.count)))
		return true;
	return move_on(scan, false) != WAITS;
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

FmRunScan *
fm_level_scan_begin(FmFetch *fetch, const FmRunDesc *runs, uint32 nruns,
					FmSlice lower, FmSlice upper, bool backward)
{
	FmRunScan  *scan = palloc0(sizeof(FmRunScan));

	scan->source.next = run_scan_next;
	scan->fetch = *fetch;
	if (!fetch->store->ops->is_near)
	{
		scan->block_stage = fm_stage_create();
		scan->next_stage = fm_stage_create();
		scan->index_stage = fm_stage_create();
		scan->window = FIRST_WINDOW / WINDOW_GROWTH;
		scan->max_window = MIN_WINDOW * 4;
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
	return fm_level_scan_begin(fetch, run, 1, lower, upper, backward);
}

void
fm_run_scan_limit_window(FmRunScan *scan, uint64 max_window)
{
	scan->max_window = Max(max_window, MIN_WINDOW);
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
	fm_stage_free(scan->block_stage);
	fm_stage_free(scan->next_stage);
	fm_stage_free(scan->index_stage);
	pfree(scan);
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

/*
 * Stages what a source needs first, level by level of its run's index.  It is
 * a guess where a run ends before the scan's bound.
 */
static void
stage_beginning(FmRunScan *scan, int round)
{
	FmBlockHandle handle;
	FmTopEntry	entry;

	switch (round)
	{
		case 0:
			scan->run_no = scan->backward ? scan->nruns - 1 : 0;
			fm_stage_add_top(scan->index_stage, current_run(scan));
			break;
		case 1:
			open_top(scan);
			scan->partition_no = first_child(scan, &scan->top.separators,
											 scan->top.npartitions);
			fm_top_index_entry(&scan->top, scan->partition_no, &entry);
			fm_stage_add_block(scan->index_stage, current_run(scan),
							   entry.handle);
			break;
		default:
			open_partition(scan);
			scan->block_no = first_child(scan, &scan->partition.separators,
										 scan->partition.nblocks);
			handle = fm_partition_block(&scan->partition, scan->block_no);
			if (fm_stage_find(scan->index_stage, current_run(scan),
							  handle.offset, handle.size) == NULL)
				fm_stage_add_block(scan->block_stage, current_run(scan),
								   handle);
			else
			{
				/* The whole run came with its top index. */
				fm_stage_free(scan->block_stage);
				scan->block_stage = scan->index_stage;
				scan->index_stage = fm_stage_create();
			}
	}
}

static FmStage *
stage_of_round(const FmRunScan *scan, int round)
{
	return round < FM_RUN_SCAN_ROUNDS - 1 ? scan->index_stage : scan->block_stage;
}

void
fm_run_scan_start_round(FmRunScan *scan, int round)
{
	stage_beginning(scan, round);
	fm_stage_start(&scan->fetch, stage_of_round(scan, round));
}

bool
fm_run_scan_round_has_come(FmRunScan *scan, int round)
{
	return fm_stage_has_come(&scan->fetch, stage_of_round(scan, round));
}

void
fm_run_scan_finish_round(FmRunScan *scan, int round)
{
	fm_stage_finish(&scan->fetch, stage_of_round(scan, round));
}
