/*-------------------------------------------------------------------------
 *
 * lookup.c
 *	  Point look-ups in the runs of a table, newest first.
 *
 * A look-up asks, run by run: the bounds in HEAD, the top index, the
 * partition's filter, its sparse index, one data block.  Each run that was
 * once opened keeps pins on its top index, the partition and the block it
 * used last, and remembers in which cache slots its partitions and blocks
 * were seen (hints), so that a warm look-up takes no lock.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "engine/lookup.h"
#include "engine/stage.h"
#include "engine/switches.h"

#define NO_PARTITION PG_UINT32_MAX
#define AHEAD_ROUNDS 3			/* top indexes, partitions, blocks */

/* One run of the table, opened when it is first searched. */
typedef struct LookupRun
{
	const FmRunDesc *desc;
	bool		open;
	bool		wanted;			/* to be opened by fm_lookup_read_ahead */
	FmTopIndex	top;
	uint32		partition_no;	/* of "partition"; NO_PARTITION: none */
	FmPartition partition;
	bool		has_filter;
	uint64		block_offset;	/* of "block", while block_pin holds it */
	FmDataBlock block;
	FmCacheHint *partition_hints;	/* by partition */
	FmCacheHint **block_hints;	/* by partition, then block; NULL: none yet */
	FmCachePin	top_pin;
	FmCachePin	partition_pin;
	FmCachePin	block_pin;
} LookupRun;

/* The runs of one level: newest first at level 0, else ascending. */
typedef struct LookupLevel
{
	uint32		nruns;
	LookupRun  *runs;
} LookupLevel;

struct FmLookup
{
	FmFetch		fetch;			/* of its own: it has its own stages */
	FmStage    *index_stage;	/* NULL, both: the store is near */
	FmStage    *block_stage;
	int			round;			/* of reading ahead */
	bool		reading;		/* what that round needs is on its way */
	bool		started;		/* by fm_lookup_start_ahead, not waited for */
	bool		from_cache;		/* open nothing that the cache lacks */
	bool		missed;			/* it lacked something */
	bool		cached_only;	/* do not read data blocks */
	MemoryContext context;
	uint32		nlevels;
	LookupLevel levels[FM_MAX_LEVELS];
};

static void
add_level(FmLookup *lookup, const FmRunDesc *runs, uint32 nruns)
{
	LookupLevel *level = &lookup->levels[lookup->nlevels++];
	uint32		i;

	level->nruns = nruns;
	level->runs = palloc0(sizeof(LookupRun) * Max(nruns, 1));
	for (i = 0; i < nruns; i++)
	{
		level->runs[i].desc = &runs[i];
		level->runs[i].partition_no = NO_PARTITION;
	}
}

static FmLookup *
create(FmFetch *fetch)
{
	FmLookup   *lookup = palloc0(sizeof(FmLookup));

	lookup->fetch = *fetch;
	lookup->context = CurrentMemoryContext;
	if (!fetch->store->ops->is_near)
	{
		lookup->index_stage = fm_stage_create();
		lookup->block_stage = fm_stage_create();
	}
	return lookup;
}

FmLookup *
fm_lookup_create(FmFetch *fetch, const FmTable *table)
{
	FmLookup   *lookup = create(fetch);
	uint32		i;

	for (i = 0; i < table->nlevels; i++)
		add_level(lookup, table->levels[i].runs, table->levels[i].nruns);
	return lookup;
}

FmLookup *
fm_lookup_create_run(FmFetch *fetch, const FmRunDesc *run)
{
	FmLookup   *lookup = create(fetch);

	add_level(lookup, run, 1);
	return lookup;
}

/* False: the cache lacks it, and nothing else is to be asked. */
static bool
open_run(FmLookup *lookup, LookupRun *run)
{
	lookup->fetch.stage = lookup->index_stage;
	if (!lookup->from_cache)
		fm_fetch_top(&lookup->fetch, run->desc, &run->top_pin);
	else if (!fm_fetch_from_cache(&lookup->fetch, run->desc, FM_BLOCK_TOP,
								  run->desc->tail_offset, NULL,
								  &run->top_pin))
	{
		lookup->missed = true;
		return false;
	}
	fm_top_index_open(fm_slice(run->top_pin.data, run->top_pin.size),
					  &run->top);
	if (run->partition_hints == NULL)
	{
		run->partition_hints =
			MemoryContextAllocZero(lookup->context,
								   sizeof(FmCacheHint) * run->top.npartitions);
		run->block_hints =
			MemoryContextAllocZero(lookup->context,
								   sizeof(FmCacheHint *) *
								   run->top.npartitions);
	}
	run->open = true;
	return true;
}

/* Makes partition p the current one; false as above. */
static bool
open_partition(FmLookup *lookup, LookupRun *run, uint32 p)
{
	FmTopEntry	entry;

	run->partition_no = NO_PARTITION;
	lookup->fetch.stage = lookup->index_stage;
	fm_top_index_entry(&run->top, p, &entry);
	if (!lookup->from_cache)
		fm_fetch_block(&lookup->fetch, run->desc, FM_BLOCK_PARTITION,
					   entry.handle, &run->partition_hints[p],
					   &run->partition_pin);
	else if (!fm_fetch_from_cache(&lookup->fetch, run->desc,
								  FM_BLOCK_PARTITION, entry.handle.offset,
								  &run->partition_hints[p],
								  &run->partition_pin))
	{
		lookup->missed = true;
		return false;
	}
	fm_partition_open(fm_slice(run->partition_pin.data,
							   run->partition_pin.size), &run->partition);
	run->has_filter = fm_filter_usable(run->partition.filter);
	if (run->block_hints[p] == NULL)
		run->block_hints[p] =
			MemoryContextAllocZero(lookup->context,
								   sizeof(FmCacheHint) *
								   run->partition.nblocks);
	run->partition_no = p;
	return true;
}

/* Makes block b of the current partition the current one. */
static void
open_block(FmLookup *lookup, LookupRun *run, uint32 b)
{
	FmBlockHandle handle = fm_partition_block(&run->partition, b);

	lookup->fetch.stage = lookup->block_stage;
	if (lookup->index_stage != NULL &&
		fm_stage_find(lookup->index_stage, run->desc, handle.offset,
					  handle.size) != NULL)
		lookup->fetch.stage = lookup->index_stage;
	fm_fetch_block(&lookup->fetch, run->desc, FM_BLOCK_DATA, handle,
				   &run->block_hints[run->partition_no][b], &run->block_pin);
	if (run->block_offset != handle.offset ||
		run->block.base != run->block_pin.data)
	{
		fm_data_block_open(fm_slice(run->block_pin.data, run->block_pin.size),
						   &run->block);
		run->block_offset = handle.offset;
	}
}

static inline FmLookupResult
entry_of_block(LookupRun *run, uint32 i, FmSlice *row)
{
	if (fm_data_block_is_tombstone(&run->block, i))
		return FM_LOOKUP_TOMBSTONE;
	*row = fm_data_block_row(&run->block, i);
	return FM_LOOKUP_ROW;
}

/*
 * The run read from its start, without index or filter, until the key or a
 * greater one is met: what enable_sparse_index = off compares with.
 */
static FmLookupResult
search_run_from_start(FmLookup *lookup, LookupRun *run, FmSlice key,
					  FmSlice *row)
{
	uint32		p;
	uint32		b;
	uint32		i;
	bool		equal;

	lookup->fetch.stats->count[FM_RUNS_SEARCHED]++;
	for (p = 0; p < run->top.npartitions; p++)
	{
		(void) open_partition(lookup, run, p);
		for (b = 0; b < run->partition.nblocks; b++)
		{
			open_block(lookup, run, b);
			i = fm_key_table_search(&run->block.keys, key, &equal);
			if (equal)
				return entry_of_block(run, i, row);
			if (i < run->block.keys.count)
				return FM_LOOKUP_ABSENT;
		}
	}
	return FM_LOOKUP_ABSENT;
}

static FmLookupResult
search_run(FmLookup *lookup, LookupRun *run, FmSlice key, uint64 hash,
		   FmSlice *row)
{
	uint64	   *count = lookup->fetch.stats->count;
	bool		filtered = false;
	bool		equal;
	uint32		p;
	uint32		i;

	if (unlikely(!run->open))
		(void) open_run(lookup, run);
	if (unlikely(!fm_enable_sparse_index))
		return search_run_from_start(lookup, run, key, row);

	p = fm_key_table_search(&run->top.separators, key, &equal);
	if (p >= run->top.npartitions)
	{
		/* The bound in HEAD was rounded up; the run ends before the key. */
		count[FM_RUNS_OUT_OF_RANGE]++;
		return FM_LOOKUP_ABSENT;
	}
	if (run->partition_no != p)
		(void) open_partition(lookup, run, p);
	else
		count[FM_INDEX_PARTITIONS_HIT]++;
	if (run->has_filter && fm_enable_filter)
	{
		filtered = true;
		count[FM_FILTER_PROBES]++;
		if (!fm_filter_probe(run->partition.filter, hash))
		{
			count[FM_FILTER_NEGATIVES]++;
			count[FM_RUNS_FILTERED]++;
			return FM_LOOKUP_ABSENT;
		}
	}
	count[FM_RUNS_SEARCHED]++;
	i = fm_key_table_search(&run->partition.separators, key, &equal);
	if (i < run->partition.nblocks)
	{
		if (lookup->cached_only &&
			!fm_fetch_is_cached(run->desc,
								fm_partition_block(&run->partition, i).offset))
			return FM_LOOKUP_OPEN;
		open_block(lookup, run, i);
		i = fm_key_table_search(&run->block.keys, key, &equal);
		if (equal)
			return entry_of_block(run, i, row);
	}
	if (filtered)
		count[FM_FILTER_FALSE_POSITIVES]++;
	return FM_LOOKUP_ABSENT;
}

/* Index of the first run of a sorted level whose upper bound is >= key. */
static uint32
level_search(const LookupLevel *level, FmSlice key)
{
	uint32		lo = 0;
	uint32		hi = level->nruns;

	while (lo < hi)
	{
		uint32		mid = lo + (hi - lo) / 2;

		if (fm_slice_cmp(level->runs[mid].desc->upper, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The run of a level whose bounds hold the key; NULL if there is none. */
static LookupRun *
run_of_level(LookupLevel *level, FmSlice key)
{
	uint32		i = level_search(level, key);

	if (i == level->nruns ||
		fm_slice_cmp(key, level->runs[i].desc->lower) < 0)
		return NULL;
	return &level->runs[i];
}

static bool
is_in_bounds(const LookupRun *run, FmSlice key)
{
	return fm_slice_cmp(key, run->desc->lower) >= 0 &&
		fm_slice_cmp(key, run->desc->upper) <= 0;
}

/* Calls the function for each run that can hold the key. */
static void
visit_runs(FmLookup *lookup, const FmLookupKey *key,
		   void (*visit) (FmLookup *lookup, LookupRun *run,
						  const FmLookupKey *key))
{
	LookupRun  *run;
	uint32		l;
	uint32		i;

	for (l = 0; l < lookup->nlevels; l++)
	{
		LookupLevel *level = &lookup->levels[l];

		if (l == 0)
		{
			for (i = 0; i < level->nruns; i++)
			{
				if (is_in_bounds(&level->runs[i], key->key))
					visit(lookup, &level->runs[i], key);
			}
		}
		else if ((run = run_of_level(level, key->key)) != NULL)
			visit(lookup, run, key);
	}
}

static void
stage_run(FmLookup *lookup, LookupRun *run, const FmLookupKey *key)
{
	if (run->open || run->wanted)
		return;
	run->wanted = true;
	fm_stage_add_top(lookup->index_stage, run->desc);
}

static void
open_wanted_run(FmLookup *lookup, LookupRun *run, const FmLookupKey *key)
{
	if (run->wanted && open_run(lookup, run))
		run->wanted = false;
}

/* The partition that can hold the key; false if the run ends before it. */
static bool
find_partition(LookupRun *run, const FmLookupKey *key, uint32 *p)
{
	bool		equal;

	*p = fm_key_table_search(&run->top.separators, key->key, &equal);
	return *p < run->top.npartitions;
}

static void
stage_partition(FmLookup *lookup, LookupRun *run, const FmLookupKey *key)
{
	FmTopEntry	entry;
	uint32		p;

	if (!run->open || !find_partition(run, key, &p) ||
		run->partition_no == p)
		return;
	fm_top_index_entry(&run->top, p, &entry);
	fm_stage_add_block(lookup->index_stage, run->desc, entry.handle);
}

static void
stage_block(FmLookup *lookup, LookupRun *run, const FmLookupKey *key)
{
	FmBlockHandle handle;
	bool		equal;
	uint32		p;
	uint32		b;

	if (!find_partition(run, key, &p) ||
		(run->partition_no != p && !open_partition(lookup, run, p)))
		return;
	if (run->has_filter && fm_enable_filter &&
		!fm_filter_probe(run->partition.filter, key->hash))
		return;
	b = fm_key_table_search(&run->partition.separators, key->key, &equal);
	if (b >= run->partition.nblocks)
		return;
	handle = fm_partition_block(&run->partition, b);

	/* A small run has come as a whole. */
	if (fm_stage_find(lookup->index_stage, run->desc, handle.offset,
					  handle.size) == NULL)
		fm_stage_add_block(lookup->block_stage, run->desc, handle);
}

/* Stages what the round needs. */
static void
stage_round(FmLookup *lookup, const FmLookupKey *keys, int n)
{
	int			i;

	if (lookup->round == 0)
	{
		fm_stage_reset(lookup->index_stage);
		fm_stage_reset(lookup->block_stage);
		for (i = 0; i < n; i++)
			visit_runs(lookup, &keys[i], stage_run);
		return;
	}
	for (i = 0; i < n && lookup->round == 1; i++)
		visit_runs(lookup, &keys[i], open_wanted_run);
	for (i = 0; i < n; i++)
		visit_runs(lookup, &keys[i],
				   lookup->round == 1 ? stage_partition : stage_block);
}

/* What the round reads into. */
static FmStage *
stage_of_round(const FmLookup *lookup)
{
	return lookup->round < AHEAD_ROUNDS - 1 ? lookup->index_stage :
		lookup->block_stage;
}

/*
 * The rounds, whatever the keys and runs.  The counters show the requests,
 * and what was hit only once, by the look-ups themselves.
 */
static bool
read_ahead(FmLookup *lookup, const FmLookupKey *keys, int n, bool wait)
{
	uint64	   *count = lookup->fetch.stats->count;
	uint64		hits = count[FM_INDEX_PARTITIONS_HIT];

	if (lookup->index_stage == NULL || !fm_enable_sparse_index)
		return true;
	while (lookup->round < AHEAD_ROUNDS)
	{
		FmStage    *stage = stage_of_round(lookup);

		if (!lookup->reading)
		{
			stage_round(lookup, keys, n);
			fm_stage_start(&lookup->fetch, stage);
			lookup->reading = true;
		}
		if (!wait && !fm_stage_has_come(&lookup->fetch, stage))
			break;
		fm_stage_finish(&lookup->fetch, stage);
		lookup->reading = false;
		lookup->round++;
	}
	count[FM_INDEX_PARTITIONS_HIT] = hits;
	if (lookup->round < AHEAD_ROUNDS)
		return false;
	lookup->round = 0;
	return true;
}

void
fm_lookup_read_ahead(FmLookup *lookup, const FmLookupKey *keys, int n)
{
	if (!lookup->started)
		fm_lookup_give_up(lookup);
	lookup->started = false;
	(void) read_ahead(lookup, keys, n, true);
}

void
fm_lookup_start_ahead(FmLookup *lookup, const FmLookupKey *keys, int n)
{
	fm_lookup_give_up(lookup);
	if (lookup->index_stage == NULL || !fm_enable_sparse_index)
		return;
	lookup->from_cache = true;
	lookup->missed = false;
	while (lookup->round < AHEAD_ROUNDS)
	{
		FmStage    *stage = stage_of_round(lookup);

		/* What is staged twice is read once. */
		stage_round(lookup, keys, n);
		if (lookup->missed)
			break;
		lookup->reading = fm_stage_start(&lookup->fetch, stage);
		if (lookup->reading)
			break;
		lookup->round++;
	}
	lookup->from_cache = false;
	lookup->started = true;
}

/* Are these the same runs, in the same order? */
static bool
is_level(const LookupLevel *level, const FmLevel *other)
{
	uint32		i;

	if (level->nruns != other->nruns)
		return false;
	for (i = 0; i < level->nruns; i++)
	{
		if (!fm_id_eq(&level->runs[i].desc->id, &other->runs[i].id))
			return false;
	}
	return true;
}

static bool
has_runs_of(const FmLookup *lookup, const FmTable *table)
{
	uint32		l;

	if (lookup->nlevels != table->nlevels)
		return false;
	for (l = 0; l < table->nlevels; l++)
	{
		if (!is_level(&lookup->levels[l], &table->levels[l]))
			return false;
	}
	return true;
}

bool
fm_lookup_adopt(FmLookup *lookup, const FmFetch *fetch, const FmTable *table)
{
	if (!has_runs_of(lookup, table))
	{
		if (lookup->reading)
			fm_stage_count_vain(&lookup->fetch, stage_of_round(lookup));
		return false;
	}
	lookup->fetch = *fetch;
	return true;
}

bool
fm_lookup_try_ahead(FmLookup *lookup, const FmLookupKey *keys, int n)
{
	lookup->started = false;
	return read_ahead(lookup, keys, n, false);
}

void
fm_lookup_give_up(FmLookup *lookup)
{
	uint32		l;
	uint32		i;

	lookup->started = false;
	if (lookup->round == 0 && !lookup->reading)
		return;
	fm_stage_reset(lookup->index_stage);
	fm_stage_reset(lookup->block_stage);
	lookup->round = 0;
	lookup->reading = false;
	for (l = 0; l < lookup->nlevels; l++)
	{
		for (i = 0; i < lookup->levels[l].nruns; i++)
			lookup->levels[l].runs[i].wanted = false;
	}
}

FmLookupResult
fm_lookup_find(FmLookup *lookup, FmSlice key, uint64 hash, FmSlice *row)
{
	uint64	   *count = lookup->fetch.stats->count;
	FmLookupResult result;
	LookupRun  *run;
	uint32		l;
	uint32		i;

	for (i = 0; lookup->nlevels > 0 && i < lookup->levels[0].nruns; i++)
	{
		run = &lookup->levels[0].runs[i];
		count[FM_RUNS_CONSIDERED]++;
		if (!is_in_bounds(run, key))
		{
			count[FM_RUNS_OUT_OF_RANGE]++;
			continue;
		}
		result = search_run(lookup, run, key, hash, row);
		if (result != FM_LOOKUP_ABSENT)
			return result;
	}
	for (l = 1; l < lookup->nlevels; l++)
	{
		LookupLevel *level = &lookup->levels[l];

		if (level->nruns == 0)
			continue;
		count[FM_RUNS_CONSIDERED] += level->nruns;
		run = run_of_level(level, key);
		if (run == NULL)
		{
			count[FM_RUNS_OUT_OF_RANGE] += level->nruns;
			continue;
		}
		count[FM_RUNS_OUT_OF_RANGE] += level->nruns - 1;
		result = search_run(lookup, run, key, hash, row);
		if (result != FM_LOOKUP_ABSENT)
			return result;
	}
	return FM_LOOKUP_ABSENT;
}

FmLookupResult
fm_lookup_find_cached(FmLookup *lookup, FmSlice key, uint64 hash,
					  FmSlice *row)
{
	FmLookupResult result;

	lookup->cached_only = lookup->index_stage != NULL;
	result = fm_lookup_find(lookup, key, hash, row);
	lookup->cached_only = false;
	return result;
}

void
fm_lookup_free(FmLookup *lookup)
{
	uint32		l;
	uint32		i;

	for (l = 0; l < lookup->nlevels; l++)
	{
		for (i = 0; i < lookup->levels[l].nruns; i++)
		{
			LookupRun  *run = &lookup->levels[l].runs[i];

			fm_cache_release(&run->block_pin);
			fm_cache_release(&run->partition_pin);
			fm_cache_release(&run->top_pin);
		}
		pfree(lookup->levels[l].runs);
	}
	fm_stage_free(lookup->index_stage);
	fm_stage_free(lookup->block_stage);
	pfree(lookup);
}
