/*-------------------------------------------------------------------------
 *
 * compact.c
 *	  Compaction in the foreground: a streaming merge of runs into the next
 *	  level.
 *
 * Inputs are a contiguous stretch of the read order: all of L0, or a level,
 * with what it overlaps in the level below.  Of a key's entries the newest is
 * kept.  A tombstone is dropped only if no run outside the inputs that is
 * older in read order may hold its key.  What goes in is what comes out plus
 * what was dropped, in rows and in row sums; the commit checks it.
 *
 * Inputs are read past the cache: they are about to go, and their rows are
 * not checked here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "engine/compact.h"
#include "engine/run_scan.h"
#include "engine/run_writer.h"
#include "engine/xact.h"
#include "format/merge.h"
#include "manifest/commit.h"
#include "manifest/head_cache.h"
#include "objstore/pg_alloc.h"
#include "objstore/pg_status.h"

#define COMPACT_TRIES 5			/* before giving way to other compactions */

/* One compaction: what it reads and where it writes. */
typedef struct Compaction
{
	FmStore    *store;
	const FmTable *table;
	uint32		level_out;
	uint32		ninputs;
	const FmRunDesc **inputs;	/* in read order */
	FmSum128	dropped_sum;
	uint64		dropped;		/* entries */
} Compaction;

static void
add_input(Compaction *c, const FmRunDesc *run)
{
	c->inputs[c->ninputs++] = run;
}

static bool
runs_overlap(const FmRunDesc *a, const FmRunDesc *b)
{
	return fm_slice_cmp(a->lower, b->upper) <= 0 &&
		fm_slice_cmp(b->lower, a->upper) <= 0;
}

/* Chooses the inputs; false if there is nothing to do. */
static bool
choose_inputs(Compaction *c, bool full)
{
	const FmTable *table = c->table;
	uint32		first = FM_MAX_LEVELS;
	uint32		last = 0;
	uint32		total = 0;
	uint32		l;
	uint32		i;

	for (l = 0; l < table->nlevels; l++)
	{
		if (table->levels[l].nruns == 0)
			continue;
		first = Min(first, l);
		last = l;
		total += table->levels[l].nruns;
	}
	if (total == 0 || first == FM_MAX_LEVELS - 1)
		return false;
	c->inputs = palloc(sizeof(FmRunDesc *) * total);
	for (i = 0; i < table->levels[first].nruns; i++)
		add_input(c, &table->levels[first].runs[i]);
	if (full)
	{
		if (total == 1 && first > 0 && c->inputs[0]->tombstones == 0)
			return false;
		c->level_out = Max(last, 1);
		for (l = first + 1; l <= last; l++)
			for (i = 0; i < table->levels[l].nruns; i++)
				add_input(c, &table->levels[l].runs[i]);
		return true;
	}
	c->level_out = first + 1;
	if (c->level_out < table->nlevels)
	{
		const FmLevel *below = &table->levels[c->level_out];
		FmRunDesc	hull = *c->inputs[0];

		/* Outputs may span the gaps between inputs. */
		for (i = 1; i < c->ninputs; i++)
		{
			if (fm_slice_cmp(c->inputs[i]->lower, hull.lower) < 0)
				hull.lower = c->inputs[i]->lower;
			if (fm_slice_cmp(c->inputs[i]->upper, hull.upper) > 0)
				hull.upper = c->inputs[i]->upper;
		}
		for (i = 0; i < below->nruns; i++)
		{
			if (runs_overlap(&hull, &below->runs[i]))
				add_input(c, &below->runs[i]);
		}
	}
	return true;
}

/* May a run below the output, which is no input, hold the key? */
static bool
may_lie_below(const Compaction *c, FmSlice key)
{
	uint32		l;
	uint32		i;

	for (l = c->level_out + 1; l < c->table->nlevels; l++)
	{
		const FmLevel *level = &c->table->levels[l];

		for (i = 0; i < level->nruns; i++)
		{
			if (fm_slice_cmp(key, level->runs[i].lower) >= 0 &&
				fm_slice_cmp(key, level->runs[i].upper) <= 0)
				return true;
		}
	}
	return false;
}

static bool
is_bottom(const Compaction *c)
{
	uint32		l;

	for (l = c->level_out + 1; l < c->table->nlevels; l++)
	{
		if (c->table->levels[l].nruns > 0)
			return false;
	}
	return true;
}

static void
drop_entry(Compaction *c, const FmMergeEntry *entry)
{
	c->dropped++;
	c->dropped_sum = fm_sum128_add(c->dropped_sum,
								   fm_row_sum_term(entry->key, entry->row,
												   entry->tombstone));
}

static void
on_loser(void *arg, const FmMergeEntry *loser)
{
	drop_entry(arg, loser);
}

/* Merges the inputs into new runs; returns their descriptors. */
static void
merge_runs(Compaction *c, FmRunWriter *writer)
{
	MemoryContext context = CurrentMemoryContext;
	FmAlloc		alloc = fm_palloc_alloc(context);
	FmFetch		fetch;
	FmStats		stats;
	FmRunScan **scans = palloc(sizeof(FmRunScan *) * c->ninputs);
	FmMergeSource **sources = palloc(sizeof(FmMergeSource *) * c->ninputs);
	FmMerge    *merge;
	FmMergeSource *winner;
	FmSlice		none = {NULL, 0};
	uint32		i;

	memset(&stats, 0, sizeof(stats));
	memset(&fetch, 0, sizeof(fetch));
	fetch.store = c->store;
	fetch.stats = &stats;
	for (i = 0; i < c->ninputs; i++)
	{
		scans[i] = fm_run_scan_begin(&fetch, c->inputs[i], none, none, false);
		sources[i] = fm_run_scan_source(scans[i]);
		fm_check_status(sources[i]->next(sources[i]), "scan");
	}
	fm_check_status(fm_merge_create(sources, c->ninputs, false, &alloc,
									&merge), "merge");
	fm_merge_on_loser(merge, on_loser, c);
	for (;;)
	{
		fm_check_status(fm_merge_next(merge, &winner), "merge");
		if (winner == NULL)
			break;
		if (winner->entry.tombstone && !may_lie_below(c, winner->entry.key))
			drop_entry(c, &winner->entry);
		else
			fm_run_writer_add(writer, winner->entry.key,
							  fm_key_hash(winner->entry.key),
							  winner->entry.row, winner->entry.tombstone);
	}
	fm_merge_free(merge);
	for (i = 0; i < c->ninputs; i++)
		fm_run_scan_end(scans[i]);
}

/* One try; false if others changed the inputs meanwhile. */
static bool
try_compact(FmStore *store, const char *table_name, bool full,
			TimestampTz deadline, int *nmerged)
{
	FmManifest *manifest = fm_manifest_current(store);
	const FmTable *table = fm_manifest_table(manifest, table_name);
	FmCompactionCommit commit;
	FmPublishStart start;
	FmRunWriter *writer;
	FmRunDesc  *outputs;
	Compaction	c;

	if (table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the store has no table \"%s\"", table_name)));
	memset(&c, 0, sizeof(c));
	c.store = store;
	c.table = table;
	*nmerged = 0;
	if (!choose_inputs(&c, full))
		return true;
	start = fm_publish_begin(manifest);
	writer = fm_run_writer_create(store, table->id, &table->block,
								  is_bottom(&c));
	merge_runs(&c, writer);

	memset(&commit, 0, sizeof(commit));
	commit.noutputs = fm_run_writer_finish(writer, &outputs);
	commit.store = store;
	commit.table_id = table->id;
	commit.start = start;
	commit.deadline = deadline;
	commit.level_out = c.level_out;
	commit.ninputs = c.ninputs;
	commit.inputs = c.inputs;
	commit.outputs = outputs;
	commit.dropped = c.dropped;
	commit.dropped_sum = c.dropped_sum;
	*nmerged = c.ninputs;
	return fm_commit_compaction(&commit);
}

int
fm_compact_table(FmStore *store, const char *table_name, bool full)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "fusio_manifest compaction",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	TimestampTz deadline = fm_commit_deadline();
	int			tries = 0;
	int			nmerged;

	while (!try_compact(store, table_name, full, deadline, &nmerged))
	{
		if (++tries == COMPACT_TRIES)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("could not compact table \"%s\": its runs were replaced by others %d times",
							table_name, tries),
					 errhint("Other compactions of this table are under way.")));
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return nmerged;
}
