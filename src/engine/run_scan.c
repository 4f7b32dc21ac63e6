/*-------------------------------------------------------------------------
 *
 * run_scan.c
 *	  Ordered scans over one run, or over the disjoint runs of a level.
 *
 * A run scan walks the blocks of its runs one after the other.  It holds one
 * partition and one block, and none before its first entry is asked for.
 *
 * Where the store is far away, it reads ahead, into the next run where one
 * ends.  An eager scan, of which is known that it goes on for long, does so
 * from the start, with its index.  Who does not want to wait asks
 * before each step whether it has what it needs; what it lacks is then on its
 * way.  The answer is no promise: a step that finds something missing after
 * all reads it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "engine/read_ahead.h"
#include "engine/run_scan.h"
#include "engine/stage.h"

/*
 * What is read ahead from a store that is far away, in bytes.  A scan may end
 * soon, so it begins with few.
 */
#define BEGINNING (16 * 1024)	/* of the blocks */
#define INDEX_BEGINNING (64 * 1024) /* holds most partitions */
#define FIRST_BLOCKS (64 * 1024)
#define FEWEST_BLOCKS (256 * 1024)
#define RUN_BLOCKS (1024 * 1024)	/* of a run scan alone */
#define FIRST_INDEX (128 * 1024)
#define MOST_INDEX (512 * 1024)

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
	FmFetch		fetch;			/* of its own, as what is read ahead is */
	FmStage    *stage;			/* the beginnings; NULL, all: the store is
								 * near */
	FmReadAhead *blocks_ahead;
	FmReadAhead *index_ahead;
	bool		eager;
	bool		whole_run;		/* it reads its first run from the beginning */
	bool		next_asked;		/* the next run's top index is on its way */
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
	uint8		key[FM_MAX_KEY_SIZE];	/* begins with the block's prefix */
};

static const FmRunDesc *
current_run(const FmRunScan *scan)
{
	return &scan->runs[scan->run_no];
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
	scan->fetch.ahead = scan->positioned || scan->eager ?
		scan->index_ahead : NULL;
	fm_fetch_block(&scan->fetch, current_run(scan), FM_BLOCK_PARTITION,
				   entry.handle, NULL, &scan->partition_pin);
	fm_partition_open(fm_slice(scan->partition_pin.data,
							   scan->partition_pin.size), &scan->partition);
}

/* Gets ready to look for the blocks in the cache that come next. */
static void
prefetch_next(const FmRunScan *scan)
{
	uint32		no = scan->block_no;
	FmCacheKey	key;
	int			i;

	key.object = current_run(scan)->id;
	for (i = 0; i < 2; i++)
	{
		if (!step_number(scan, &no, scan->partition.nblocks))
			return;
		key.offset = fm_partition_block(&scan->partition, no).offset;
		fm_cache_prefetch(&key, i == 0);
	}
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
	memcpy(scan->key, scan->block.keys.prefix, scan->block.keys.prefix_len);
	prefetch_next(scan);
}

static void
release_pins(FmRunScan *scan)
{
	fm_cache_release(&scan->block_pin);
	fm_cache_release(&scan->partition_pin);
	fm_cache_release(&scan->top_pin);
}

static void
set_place(FmRunScan *scan, ScanPlace place)
{
	scan->place = place;
	scan->asked = false;
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

/* Does the scan begin with the current run's first entry, or its last? */
static bool
begins_with_run(const FmRunScan *scan)
{
	const FmRunDesc *run = current_run(scan);

	if (scan->backward)
		return scan->upper.len == 0 ||
			fm_slice_cmp(run->upper, scan->upper) < 0;
	return fm_slice_cmp(run->lower, scan->lower) >= 0;
}

/*
 * Stages a run's top index, and, where the scan begins with the run, what is
 * known to come then before it is known where partition and block are.  False
 * if the top index is cached.
 */
static bool
stage_top(FmRunScan *scan)
{
	const FmRunDesc *run = current_run(scan);

	if (!fm_stage_add_top(scan->stage, run))
		return false;
	if (!scan->eager && begins_with_run(scan))
	{
		stage_end(scan, run->meta_offset, run->tail_offset, INDEX_BEGINNING);
		stage_end(scan, FM_RUN_HEADER_SIZE, run->meta_offset, BEGINNING);
	}
	return true;
}

/* Reads ahead from the beginning of the current run. */
static void
begin_run_ahead(FmRunScan *scan)
{
	const FmRunDesc *run = current_run(scan);

	(void) fm_read_ahead_begin(scan->index_ahead, &scan->fetch, run,
							   scan->backward ? run->tail_offset :
							   run->meta_offset);
	(void) fm_read_ahead_begin(scan->blocks_ahead, &scan->fetch, run,
							   scan->backward ? run->meta_offset :
							   FM_RUN_HEADER_SIZE);
}

/* Are the bytes cached or staged, or have they been read ahead? */
static bool
is_near(FmRunScan *scan, FmReadAhead *ahead, FmBlockHandle handle)
{
	const FmRunDesc *run = current_run(scan);

	return fm_fetch_is_cached(current_run(scan), handle.offset) ||
		fm_stage_find(scan->stage, run, handle.offset, handle.size) != NULL ||
		fm_read_ahead_has_come(ahead, &scan->fetch, run, handle.offset,
							   handle.size);
}

/* The same for the top index of the current run, which is asked for once. */
static bool
top_is_near(FmRunScan *scan)
{
	if (!scan->asked && !scan->next_asked)
	{
		scan->asked = true;
		fm_stage_reset(scan->stage);
		if (!stage_top(scan))
			return true;
		fm_stage_start(&scan->fetch, scan->stage);
	}
	if (!fm_stage_has_come(&scan->fetch, scan->stage))
		return false;
	fm_stage_finish(&scan->fetch, scan->stage);
	return true;
}

static bool
partition_is_near(FmRunScan *scan)
{
	FmTopEntry	entry;

	fm_top_index_entry(&scan->top, scan->partition_no, &entry);
	return is_near(scan, scan->index_ahead, entry.handle);
}

static bool
block_is_near(FmRunScan *scan)
{
	return is_near(scan, scan->blocks_ahead,
				   fm_partition_block(&scan->partition, scan->block_no));
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
			if (!wait && !top_is_near(scan))
				return WAITS;
			if (scan->next_asked)
				fm_stage_finish(&scan->fetch, scan->stage);
			scan->next_asked = false;
			open_top(scan);
			scan->partition_no = scan->backward ?
				scan->top.npartitions - 1 : 0;
			set_place(scan, BEFORE_PARTITION);
			/* FALLTHROUGH */
		case BEFORE_PARTITION:
			if (!wait && !partition_is_near(scan))
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

/* Asks for the next run's top index once its blocks are on their way. */
static void
look_beyond_run(FmRunScan *scan)
{
	uint32		next = scan->run_no;

	if (scan->next_asked ||
		!fm_read_ahead_is_beyond(scan->blocks_ahead, current_run(scan)) ||
		!step_number(scan, &next, scan->nruns))
		return;
	scan->next_asked = true;
	fm_stage_reset(scan->stage);
	(void) fm_stage_add_top(scan->stage, &scan->runs[next]);
	fm_stage_start(&scan->fetch, scan->stage);
}

/* Steps to the next block in the scan's direction; false: there is none. */
static bool
next_block(FmRunScan *scan)
{
	CHECK_FOR_INTERRUPTS();
	if (move_on(scan, true) == AT_END)
		return false;
	open_block(scan);
	if (scan->blocks_ahead != NULL)
		look_beyond_run(scan);
	set_place(scan, ON_BLOCK);
	scan->entry_no = scan->backward ? scan->block.keys.count - 1 : 0;
	return true;
}

bool
fm_run_scan_is_ready(FmRunScan *scan)
{
	if (scan->done || scan->stage == NULL ||
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

/* The key that the scan stands on, put together. */
static inline FmSlice
current_key(FmRunScan *scan)
{
	FmSlice		suffix = fm_key_table_suffix(&scan->block.keys,
											 scan->entry_no);
	uint8	   *dest = scan->key + scan->block.keys.prefix_len;
	size_t		i;

	/* Mostly a byte or two. */
	if (suffix.len > 8)
		memcpy(dest, suffix.data, suffix.len);
	else
		for (i = 0; i < suffix.len; i++)
			dest[i] = suffix.data[i];
	return fm_slice(scan->key, scan->block.keys.prefix_len + suffix.len);
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
		entry->key = current_key(scan);
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
		scan->stage = fm_stage_create();
		scan->fetch.stage = scan->stage;
		scan->blocks_ahead = fm_read_ahead_create(FM_STRETCH_BLOCKS, runs,
												  nruns, backward,
												  FIRST_BLOCKS, RUN_BLOCKS);
		scan->index_ahead = fm_read_ahead_create(FM_STRETCH_INDEX, runs, nruns,
												 backward, FIRST_INDEX,
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
	return fm_level_scan_begin(fetch, run, 1, lower, upper, backward);
}

void
fm_run_scan_limit_window(FmRunScan *scan, uint64 expected, uint64 most)
{
	most = Max(most, FEWEST_BLOCKS);
	scan->eager = expected >= FEWEST_BLOCKS;
	fm_read_ahead_limit(scan->blocks_ahead,
						scan->eager ? Min(expected, most) : FIRST_BLOCKS,
						most);
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
 * Asks for what a source needs first, level by level of its run's index.  It
 * is a guess where a run ends before the scan's bound.
 */
static void
ask_for_beginning(FmRunScan *scan, int round)
{
	const FmRunDesc *run;
	FmBlockHandle handle;
	FmTopEntry	entry;

	switch (round)
	{
		case 0:
			scan->run_no = scan->backward ? scan->nruns - 1 : 0;
			scan->whole_run = stage_top(scan) && scan->eager &&
				begins_with_run(scan);
			return;
		case 1:
			open_top(scan);
			scan->partition_no = first_child(scan, &scan->top.separators,
											 scan->top.npartitions);
			fm_top_index_entry(&scan->top, scan->partition_no, &entry);
			handle = entry.handle;
			break;
		default:
			open_partition(scan);
			scan->block_no = first_child(scan, &scan->partition.separators,
										 scan->partition.nblocks);
			handle = fm_partition_block(&scan->partition, scan->block_no);
			break;
	}
	run = current_run(scan);
	if (fm_fetch_is_cached(run, handle.offset) ||
		(scan->eager &&
		 fm_read_ahead_begin(round == 1 ? scan->index_ahead :
							 scan->blocks_ahead, &scan->fetch, run,
							 scan->backward ? handle.offset + handle.size :
							 handle.offset)))
		return;
	fm_stage_add_block(scan->stage, run, handle);
}

void
fm_run_scan_start_round(FmRunScan *scan, int round)
{
	ask_for_beginning(scan, round);
	fm_stage_start(&scan->fetch, scan->stage);
	if (round == 0 && scan->whole_run)
		begin_run_ahead(scan);
}

bool
fm_run_scan_round_has_come(FmRunScan *scan, int round)
{
	return fm_stage_has_come(&scan->fetch, scan->stage) &&
		(round == 0 || !scan->eager ||
		 fm_read_ahead_has_begun(round == 1 ? scan->index_ahead :
								 scan->blocks_ahead, &scan->fetch));
}

void
fm_run_scan_finish_round(FmRunScan *scan, int round)
{
	fm_stage_finish(&scan->fetch, scan->stage);
}
