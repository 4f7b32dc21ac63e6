/*-------------------------------------------------------------------------
 *
 * commit.c
 *	  Publishing changes: conflict walk, rebase, compare-and-swap.
 *
 * Proof of a commit: the records in (base, HEAD] were walked for the very
 * HEAD that the compare-and-swap then expects; if another one was published
 * in between, the swap is lost and the walk starts again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "manifest/commit.h"
#include "manifest/invariants.h"
#include "manifest/log_walk.h"
#include "manifest/page_io.h"
#include "manifest/swap.h"
#include "objstore/clock.h"
#include "objstore/pg_alloc.h"
#include "objstore/pg_status.h"

#define L0_INLINE_KEPT 32		/* descriptors left inline when L0 spills */

/* What the walk over the log looks for. */
typedef struct ConflictWalk
{
	const FmTableCommit *table;
	const char *conflict;		/* why, or NULL */
} ConflictWalk;

static bool
visit_record(void *arg, const FmCommitRecord *record)
{
	ConflictWalk *walk = arg;
	uint32		i;
	uint32		j;

	for (i = 0; i < record->nchanges; i++)
	{
		const FmTableChange *change = &record->changes[i];

		if (change->table_id != walk->table->table_id)
			continue;
		if (change->kinds & (FM_CHANGE_SCHEMA | FM_CHANGE_TRUNCATE |
							 FM_CHANGE_DROP | FM_CHANGE_RESTORE))
			walk->conflict = "The table was changed as a whole.";
		else if ((change->kinds & FM_CHANGE_WRITE) && walk->table->truncate)
			walk->conflict = "It empties a table that was written.";
		else if ((change->kinds & FM_CHANGE_WRITE) &&
				 walk->table->probe != NULL)
		{
			for (j = 0; j < change->nadded; j++)
			{
				if (walk->table->probe(walk->table->probe_arg,
									   &change->added[j], record->version))
					walk->conflict = "A key that it read, wrote or locked was written.";
			}
		}
		if (walk->conflict != NULL)
			return false;
	}
	return true;
}

static void
raise_conflict(const char *table, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not commit changes of table \"%s\" due to a concurrent commit",
					table),
			 errdetail("%s", detail),
			 errhint("Run the transaction again.")));
}

/* Why a table cannot be committed; NULL if it can. */
static const char *
find_conflict(FmManifest *manifest, const FmTableCommit *table)
{
	ConflictWalk walk;

	if (table->table_id == 0)
		return fm_head_table_by_name(manifest->head,
									 fm_slice(table->name,
											  strlen(table->name))) == NULL ?
			NULL : "The table was created meanwhile.";
	walk.table = table;
	walk.conflict = NULL;
	if (!fm_log_walk(manifest, table->base, visit_record, &walk) &&
		walk.conflict == NULL)
		walk.conflict = "The commit log does not reach back to its snapshot.";
	if (walk.conflict == NULL &&
		fm_head_table_by_id(manifest->head, table->table_id) == NULL)
		walk.conflict = "The table was dropped.";
	return walk.conflict;
}

/* Raises for a conflict; false for one of a tolerant request. */
static bool
check_conflicts(FmManifest *manifest, const FmCommitRequest *request)
{
	static const FmId none;
	const char *conflict;
	uint32		i;

	if (!fm_id_eq(&request->store_id, &none) &&
		(!fm_id_eq(&request->store_id, &manifest->head->store_id) ||
		 request->incarnation != manifest->head->incarnation))
		raise_conflict(request->tables[0].name,
					   "The store was replaced or restored.");
	for (i = 0; i < request->ntables; i++)
	{
		conflict = find_conflict(manifest, &request->tables[i]);
		if (conflict == NULL)
			continue;
		if (request->tolerant)
			return false;
		raise_conflict(request->tables[i].name, conflict);
	}
	return true;
}

uint64
fm_commit_check(FmCommitRequest *request)
{
	FmManifest *manifest = fm_manifest_current(request->store);

	(void) check_conflicts(manifest, request);
	return manifest->head->version;
}

/* A descriptor with bounds cut for HEAD. */
static FmRunDesc
cut_descriptor(const FmRunDesc *run)
{
	FmRunDesc	cut = *run;
	uint8	   *lower = palloc(run->lower.len + 1);
	uint8	   *upper = palloc(run->upper.len + 1);

	cut.lower = fm_slice(lower, fm_bound_lower(run->lower, FM_BOUND_SIZE,
											   lower));
	cut.upper = fm_slice(upper, fm_bound_upper(run->upper, FM_BOUND_SIZE,
											   upper));
	return cut;
}

/*
 * Cuts the bounds of runs that ascend and are disjoint; where cutting would
 * make neighbours meet, they keep their exact bounds.
 */
static FmRunDesc *
cut_descriptors(const FmRunDesc *runs, uint32 n)
{
	FmRunDesc  *cut = palloc(sizeof(FmRunDesc) * Max(n, 1));
	uint32		i;

	for (i = 0; i < n; i++)
		cut[i] = cut_descriptor(&runs[i]);
	for (i = 0; i + 1 < n; i++)
	{
		if (fm_slice_cmp(cut[i].upper, cut[i + 1].lower) >= 0)
		{
			cut[i].upper = runs[i].upper;
			cut[i + 1].lower = runs[i + 1].lower;
		}
	}
	return cut;
}

/* A copy of HEAD whose tables may be changed one by one. */
static FmHead *
copy_head(const FmHead *head, uint32 room)
{
	FmHead	   *copy = palloc(sizeof(FmHead));

	*copy = *head;
	copy->tables = palloc0(sizeof(FmTable) * (head->ntables + room));
	if (head->ntables > 0)
		memcpy(copy->tables, head->tables, sizeof(FmTable) * head->ntables);
	return copy;
}

static bool
level_meets(const FmLevel *level, const FmRunDesc *run)
{
	uint32		i;

	for (i = 0; i < level->nruns; i++)
	{
		if (fm_slice_cmp(level->runs[i].lower, run->upper) <= 0 &&
			fm_slice_cmp(run->lower, level->runs[i].upper) <= 0)
			return true;
	}
	return false;
}

static bool
meets_any(const FmTable *table, const FmRunDesc *runs, uint32 n)
{
	uint32		l;
	uint32		i;

	for (l = 0; l < table->nlevels; l++)
	{
		for (i = 0; i < n; i++)
		{
			if (level_meets(&table->levels[l], &runs[i]))
				return true;
		}
	}
	return false;
}

static int
compare_lower(const void *a, const void *b)
{
	return fm_slice_cmp(((const FmRunDesc *) a)->lower,
						((const FmRunDesc *) b)->lower);
}

/* Adds runs to a level, of which table has its own copy afterwards. */
static void
add_runs(FmTable *table, uint32 l, const FmRunDesc *runs, uint32 n)
{
	FmLevel    *level = &table->levels[l];
	FmRunDesc  *all = palloc(sizeof(FmRunDesc) * (level->nruns + n));
	uint32		i;

	/* L0 is newest first: the greatest sequence of this commit leads. */
	for (i = 0; i < n; i++)
		all[i] = runs[n - 1 - i];
	if (level->nruns > 0)
		memcpy(all + n, level->runs, sizeof(FmRunDesc) * level->nruns);
	level->runs = all;
	level->nruns += n;
	level->ninline += n;
	level->resolved = true;
	if (l > 0)
		qsort(all, level->nruns, sizeof(FmRunDesc), compare_lower);
	table->nlevels = Max(table->nlevels, l + 1);
}

static void
place_runs(FmTable *table, const FmRunDesc *runs, uint32 n)
{
	uint64		size = 0;
	uint32		deepest = 1;
	uint32		l;
	uint32		i;

	for (i = 0; i < n; i++)
		size += runs[i].size;
	for (l = 1; l < table->nlevels; l++)
	{
		if (table->levels[l].nruns > 0)
			deepest = l;
	}
	if (size < FM_BULK_LOAD_SIZE || meets_any(table, runs, n))
		deepest = 0;
	add_runs(table, deepest, runs, n);
}

/* Moves what HEAD should not hold itself to pages. */
static void
write_level_page(FmStore *store, FmLevel *level, const FmRunDesc *runs,
				 uint32 n, uint32 at)
{
	FmAlloc		alloc = fm_palloc_alloc(CurrentMemoryContext);
	FmBuf		buf;
	FmId		id = fm_new_id();

	fm_buf_init(&buf, &alloc);
	fm_check_status(fm_level_page_encode(runs, n, &id, &buf,
										 &level->pages[at]), "level page");
	fm_page_write(store, &id, fm_buf_slice(&buf));
}

static void
lay_out_table(FmStore *store, FmTable *table)
{
	FmAlloc		alloc = fm_palloc_alloc(CurrentMemoryContext);
	FmBuf		buf;
	FmId		id;
	uint32		l;

	for (l = 0; l < table->nlevels; l++)
	{
		FmLevel    *level = &table->levels[l];
		FmPageRef  *old = level->pages;
		uint32		n;
		uint32		i;

		if (l == 0 && level->ninline > FM_LEVEL_INLINE_MAX)
		{
			n = Min(level->ninline - L0_INLINE_KEPT, FM_LEVEL_PAGE_MAX);
			level->pages = palloc(sizeof(FmPageRef) * (level->npages + 1));
			if (level->npages > 0)
				memcpy(level->pages + 1, old,
					   sizeof(FmPageRef) * level->npages);
			level->npages++;
			level->ninline -= n;
			write_level_page(store, level, level->runs + level->ninline, n, 0);
		}
		else if (l > 0 && level->nruns > FM_LEVEL_INLINE_MAX &&
				 level->ninline > 0)
		{
			level->npages = (level->nruns + FM_LEVEL_PAGE_MAX - 1) /
				FM_LEVEL_PAGE_MAX;
			level->pages = palloc(sizeof(FmPageRef) * level->npages);
			level->ninline = 0;
			for (i = 0; i < level->npages; i++)
			{
				n = Min(level->nruns - i * FM_LEVEL_PAGE_MAX,
						FM_LEVEL_PAGE_MAX);
				write_level_page(store, level,
								 level->runs + i * FM_LEVEL_PAGE_MAX, n, i);
			}
		}
		else if (l > 0 && level->nruns <= FM_LEVEL_INLINE_MAX)
		{
			level->ninline = level->nruns;
			level->npages = 0;
		}
	}

	table->in_page = false;
	fm_buf_init(&buf, &alloc);
	fm_check_status(fm_table_entry_encode(table, &buf), "table entry");
	if (buf.len > FM_TABLE_INLINE_MAX)
	{
		fm_buf_reset(&buf);
		id = fm_new_id();
		fm_check_status(fm_table_page_encode(table, &id, &buf, &table->page),
						"table page");
		fm_page_write(store, &id, fm_buf_slice(&buf));
		table->in_page = true;
	}
	fm_buf_free(&buf);
}

/* Makes room for a table: they are in the order of their names. */
static FmTable *
insert_table(FmHead *head, const char *name)
{
	FmSlice		slice = fm_slice(name, strlen(name));
	uint32		i = head->ntables++;

	while (i > 0 && fm_slice_cmp(head->tables[i - 1].name, slice) > 0)
	{
		head->tables[i] = head->tables[i - 1];
		i--;
	}
	return &head->tables[i];
}

static void
remove_runs(FmTable *table, FmTableChange *change)
{
	uint32		nruns = 0;
	uint32		l;
	uint32		i;

	for (l = 0; l < table->nlevels; l++)
		nruns += table->levels[l].nruns;
	change->kinds |= FM_CHANGE_TRUNCATE;
	change->removed = palloc(sizeof(FmId) * Max(nruns, 1));
	for (l = 0; l < table->nlevels; l++)
	{
		for (i = 0; i < table->levels[l].nruns; i++)
		{
			const FmRunDesc *run = &table->levels[l].runs[i];

			change->removed[change->nremoved++] = run->id;
			change->rows_in += run->rows + run->tombstones;
		}
	}
	table->nlevels = 0;
	memset(table->levels, 0, sizeof(table->levels));
}

/* Applies one table's changes to the copy of HEAD. */
static void
apply_table(FmManifest *manifest, FmHead *head, FmTableCommit *commit,
			FmTableChange *change)
{
	FmTable    *table;
	FmRunDesc  *added;
	uint32		i;

	memset(change, 0, sizeof(*change));
	if (commit->table_id == 0)
	{
		table = insert_table(head, commit->name);
		*table = *commit->create;
		table->id = head->next_table_id++;
		table->name = fm_slice(commit->name, strlen(commit->name));
		table->nlevels = 0;
		memset(table->levels, 0, sizeof(table->levels));
		table->resolved = true;
		table->in_page = false;
		change->kinds |= FM_CHANGE_CREATE;
	}
	else
	{
		table = fm_head_table_by_id(head, commit->table_id);
		*table = *fm_manifest_table_by_id(manifest, commit->table_id);
		if (commit->nadd_columns > 0)
		{
			FmColumn   *columns = palloc(sizeof(FmColumn) *
										 (table->ncolumns +
										  commit->nadd_columns));

			memcpy(columns, table->columns,
				   sizeof(FmColumn) * table->ncolumns);
			for (i = 0; i < commit->nadd_columns; i++)
			{
				columns[table->ncolumns] = commit->add_columns[i];
				columns[table->ncolumns++].id = table->next_column_id++;
			}
			table->columns = columns;
			change->kinds |= FM_CHANGE_SCHEMA;
		}
	}
	change->table_id = table->id;
	if (commit->truncate)
		remove_runs(table, change);
	if (commit->nadded > 0)
	{
		added = cut_descriptors(commit->added, commit->nadded);
		for (i = 0; i < commit->nadded; i++)
		{
			added[i].min_version = added[i].max_version = head->version + 1;
			change->rows_out += added[i].rows + added[i].tombstones;
		}
		change->kinds |= FM_CHANGE_WRITE;
		change->nadded = commit->nadded;
		change->added = added;
		place_runs(table, added, commit->nadded);
	}
	lay_out_table(manifest->store, table);
}

static void
check_table_invariant(const FmTable *table)
{
	const char *broken = fm_invariant_table(table);

	if (broken != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("cannot publish table \"%.*s\"",
						(int) table->name.len, table->name.data),
				 errdetail("The next HEAD would be wrong: %s.", broken)));
}

/* One try: true if it was published or nothing was to be. */
static bool
try_publish(FmCommitRequest *request)
{
	FmManifest *manifest = request->manifest != NULL ? request->manifest :
	fm_manifest_current(request->store);
	FmHead	   *head = copy_head(manifest->head, request->ntables);
	FmCommitRecord record;
	const char *problem;
	int64		start_us;
	uint32		i;

	request->manifest = NULL;

	if (!check_conflicts(manifest, request))
		return true;
	record = fm_swap_next_record(request->store, head, &request->commit_id);
	record.nmembers = request->nmembers;
	record.members = request->members;
	record.changes = palloc0(sizeof(FmTableChange) * request->ntables);
	for (i = 0; i < request->ntables; i++)
	{
		FmTableCommit *table = &request->tables[i];

		if (table->create == NULL && table->nadd_columns == 0 &&
			!table->truncate && table->nadded == 0)
			continue;
		apply_table(manifest, head, table,
					&record.changes[record.nchanges]);
		check_table_invariant(fm_head_table_by_id(head,
												  record.changes[record.nchanges].table_id));
		record.nchanges++;
	}
	if (record.nchanges == 0)
		return true;
	problem = fm_publish_problem(manifest, &request->start);
	if (problem != NULL)
		raise_conflict(request->tables[0].name, problem);
	start_us = fm_monotonic_us();
	switch (fm_swap_head(manifest, head, &record, request->deadline, request))
	{
		case FM_SWAPPED:
			break;
		case FM_SWAP_LOST:
			return false;
		case FM_SWAP_GIVEN_UP:
			return true;
	}
	HOLD_INTERRUPTS();
	request->swap_us = fm_monotonic_us() - start_us;
	request->version = record.version;
	return true;
}

void
fm_commit_publish(FmCommitRequest *request)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "fusio_manifest commit",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	TimestampTz start = GetCurrentTimestamp();
	int			tries = 0;

	request->version = 0;
	request->in_doubt = false;
	request->commit_id = fm_new_id();
	while (!try_publish(request))
	{
		fm_swap_back_off(request->store, start, ++tries);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

static bool
is_input(const FmCompactionCommit *c, const FmRunDesc *run)
{
	uint32		i;

	for (i = 0; i < c->ninputs; i++)
	{
		if (fm_id_eq(&c->inputs[i]->id, &run->id))
			return true;
	}
	return false;
}

/* The table without the inputs and with the outputs. */
static void
apply_compaction(FmManifest *manifest, FmTable *table,
				 const FmCompactionCommit *c, FmTableChange *change)
{
	FmRunDesc  *outputs = cut_descriptors(c->outputs, c->noutputs);
	uint64		min_version = PG_UINT64_MAX;
	uint64		max_version = 0;
	uint32		l;
	uint32		i;

	change->table_id = c->table_id;
	change->kinds = FM_CHANGE_COMPACT;
	change->removed = palloc(sizeof(FmId) * c->ninputs);
	for (i = 0; i < c->ninputs; i++)
	{
		change->removed[change->nremoved++] = c->inputs[i]->id;
		change->rows_in += c->inputs[i]->rows + c->inputs[i]->tombstones;
		min_version = Min(min_version, c->inputs[i]->min_version);
		max_version = Max(max_version, c->inputs[i]->max_version);
	}
	for (l = 0; l < table->nlevels; l++)
	{
		FmLevel    *level = &table->levels[l];
		FmRunDesc  *kept = palloc(sizeof(FmRunDesc) * Max(level->nruns, 1));
		uint32		n = 0;

		for (i = 0; i < level->nruns; i++)
		{
			if (!is_input(c, &level->runs[i]))
				kept[n++] = level->runs[i];
		}
		if (n < level->nruns)
		{
			level->runs = kept;
			level->nruns = level->ninline = n;
			level->npages = 0;
		}
	}
	for (i = 0; i < c->noutputs; i++)
	{
		outputs[i].min_version = min_version;
		outputs[i].max_version = max_version;
		change->rows_out += outputs[i].rows + outputs[i].tombstones;
	}
	if (c->noutputs > 0)
	{
		FmLevel    *level = &table->levels[c->level_out];

		/* A cut bound may reach a neighbour that an exact one does not. */
		for (i = 0; i < c->noutputs; i++)
		{
			if (level_meets(level, &outputs[i]))
			{
				outputs[i].lower = c->outputs[i].lower;
				outputs[i].upper = c->outputs[i].upper;
			}
		}
		level->ninline = level->nruns;
		level->npages = 0;
		add_runs(table, c->level_out, outputs, c->noutputs);
	}
	change->nadded = c->noutputs;
	change->added = outputs;
	lay_out_table(manifest->store, table);
}

bool
fm_commit_compaction(FmCompactionCommit *c)
{
	FmId		commit_id = fm_new_id();
	TimestampTz start = GetCurrentTimestamp();
	const char *broken = fm_invariant_sums(c);
	int			tries = 0;

	c->version = 0;
	if (broken != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("compaction does not add up"),
				 errdetail("%s", broken)));
	for (;;)
	{
		FmManifest *manifest = fm_manifest_current(c->store);
		const FmTable *stored = fm_manifest_table_by_id(manifest, c->table_id);
		FmHead	   *head = copy_head(manifest->head, 0);
		FmTableChange change;
		FmCommitRecord record;
		FmTable    *table;

		if (stored == NULL || fm_invariant_inputs(stored, c) != NULL ||
			fm_publish_problem(manifest, &c->start) != NULL)
			return false;
		memset(&change, 0, sizeof(change));
		table = fm_head_table_by_id(head, c->table_id);
		*table = *stored;
		apply_compaction(manifest, table, c, &change);
		check_table_invariant(table);
		record = fm_swap_next_record(c->store, head, &commit_id);
		record.nchanges = 1;
		record.changes = &change;
		if (fm_swap_head(manifest, head, &record, c->deadline, NULL) == FM_SWAPPED)
		{
			c->version = record.version;
			return true;
		}
		fm_swap_back_off(c->store, start, ++tries);
	}
}

/* One try: the incarnation, or 0 if the race was lost. */
static uint64
try_accept_restore(FmStore *store, const FmId *commit_id,
				   TimestampTz deadline)
{
	FmManifest *manifest = fm_manifest_current(store);
	FmHeadIdentity highest;
	FmCommitRecord record;
	FmHead	   *head;

	if (!manifest->exists)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("store of server \"%s\" has no HEAD",
						store->options.servername)));
	highest = fm_manifest_highest_seen(manifest);
	head = copy_head(manifest->head, 0);
	head->incarnation = Max(head->incarnation, highest.incarnation) + 1;
	record = fm_swap_next_record(store, head, commit_id);
	return fm_swap_head(manifest, head, &record, deadline, NULL) == FM_SWAPPED ?
		head->incarnation : 0;
}

uint64
fm_commit_accept_restore(FmStore *store, TimestampTz deadline)
{
	FmId		commit_id = fm_new_id();
	TimestampTz start = GetCurrentTimestamp();
	volatile uint64 incarnation;
	int			tries = 0;

	fm_manifest_accept(store, true);
	PG_TRY();
	{
		while ((incarnation = try_accept_restore(store, &commit_id,
												 deadline)) == 0)
			fm_swap_back_off(store, start, ++tries);
	}
	PG_FINALLY();
	{
		fm_manifest_accept(store, false);
	}
	PG_END_TRY();
	return incarnation;
}
