/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  Execution of scans: look-ups by full key, and ranges in key order.
 *
 * A scan opens its table once, and pins one version of HEAD with it.  While
 * HEAD is asked for, look-ups begin in the table as it was seen last: what
 * they read is used if that is still so.  Each
 * (re)scan evaluates the conditions' values and becomes one of: nothing (a
 * value is NULL or out of the type's range), a list of keys to look up, or a
 * range.  A row's values point into the block that the scan has pinned, or
 * into its row context, until the next row is asked for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "tcop/pquery.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "fdw/fdw.h"
#include "fdw/scan_state.h"
#include "manifest/snapshot.h"

/*
 * Opens the table, which pins a version of HEAD for the statement's snapshot
 * if nothing has yet.
 */
static void
open_scan(ForeignScanState *node, FmScanState *scan)
{
	ForeignScan *plan = castNode(ForeignScan, node->ss.ps.plan);
	Relation	rel = node->ss.ss_currentRelation;
	MemoryContext old = MemoryContextSwitchTo(scan->context);
	Bitmapset  *attrs = NULL;
	ListCell   *lc;

	scan->open = fm_open_table(rel, fm_scan_check_as_user(node),
							   scan->locking == FM_SCAN_LOCKS ?
							   FM_OPEN_LOCK : FM_OPEN_READ);
	scan->fetch.store = scan->open->store;
	scan->fetch.codec = scan->open->codec;
	scan->fetch.stats = &scan->stats;
	scan->fetch.version = scan->open->version;
	scan->fetch.use = fm_key_conditions_count(scan->conditions) > 0;
	foreach(lc, (List *) list_nth(plan->fdw_private, FM_SCAN_COLUMNS))
		attrs = bms_add_member(attrs, lfirst_int(lc));
	if (attrs == NULL)			/* none: NULL would mean all */
		attrs = bms_add_member(attrs, RelationGetDescr(rel)->natts + 1);
	scan->projection = fm_tuple_projection_create(scan->open->codec, attrs,
												  scan->context);
	MemoryContextSwitchTo(old);
}

/*
 * May HEAD be read when the first row is asked for?  A cursor's statement may
 * begin long before that, and what workers are to read is shared before there
 * are any.
 */
static bool
may_wait(const ForeignScanState *node)
{
	return ActivePortal != NULL &&
		(!ActivePortal->visible || ActivePortal->name[0] == '\0') &&
		!node->ss.ps.state->es_plannedstmt->parallelModeNeeded;
}

/*
 * A scan by full key that changes or locks what it finds opens its table
 * later, once it holds the lock of its first key: it then reads what the
 * writer that it waited for has published.  So does an asynchronous scan, in
 * order to wait for HEAD beside others, and a scan by full key of a store
 * that is far away, to look its first keys up meanwhile.
 */
static bool
opens_later(const ForeignScanState *node, const FmScanState *scan)
{
	if (scan->asynchronous)
		return true;
	return fm_key_conditions_are_full(scan->conditions) &&
		(scan->locking != FM_SCAN_READS ||
		 (!fm_location_is_local(scan->options->store.location) &&
		  may_wait(node)));
}

void
fmBeginForeignScan(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = castNode(ForeignScan, node->ss.ps.plan);
	FmScanState *scan;

	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;

	scan = palloc0(sizeof(FmScanState));
	node->fdw_state = scan;
	scan->context = CurrentMemoryContext;
	scan->options = fm_table_options(node->ss.ss_currentRelation);
	scan->locking =
		intVal(linitial(list_nth(plan->fdw_private, FM_SCAN_LOCKING)));
	scan->backward =
		boolVal(linitial(list_nth(plan->fdw_private, FM_SCAN_BACKWARD)));
	scan->share =
		floatVal(linitial(list_nth(plan->fdw_private, FM_SCAN_SHARE)));
	scan->curcid = node->ss.ps.state->es_snapshot->curcid;
	scan->conditions = fm_key_conditions_init(node, scan->options);
	scan->rescan_context = AllocSetContextCreate(CurrentMemoryContext,
												 "fusio_manifest rescan",
												 ALLOCSET_SMALL_SIZES);
	scan->row_context = AllocSetContextCreate(CurrentMemoryContext,
											  "fusio_manifest row",
											  ALLOCSET_SMALL_SIZES);
	scan->asynchronous = node->ss.ps.async_capable;
	if (!opens_later(node, scan))
		open_scan(node, scan);
}

/* Ends a range; complete: all of it was read. */
static void
end_range(FmScanState *scan, bool complete)
{
	if (scan->read != NULL)
	{
		fm_read_progress_end(scan->read, complete);
		scan->read = NULL;
	}
	if (scan->range != NULL)
	{
		fm_range_scan_end(scan->range);
		scan->range = NULL;
	}
	if (scan->own != NULL)
	{
		fm_buffer_scan_end(scan->own);
		scan->own = NULL;
	}
}

/* Ends what the last (re)scan began. */
static void
reset_scan(FmScanState *scan)
{
	end_range(scan, false);
	if (scan->guess != NULL)
		fm_lookup_free(scan->guess);
	scan->guess = NULL;
	if (scan->lookup != NULL)
		fm_lookup_give_up(scan->lookup);
	scan->piece = NULL;
	scan->mode = SCAN_NOT_STARTED;
	scan->evaluated = false;
	scan->running = false;
	scan->waits_since_us = 0;
}

/* Leaves of [lower, upper) what is in the piece too; false: nothing. */
static bool
clip_range(const FmKeyRange *piece, FmSlice *lower, FmSlice *upper)
{
	if (fm_slice_cmp(*lower, piece->lower) < 0)
		*lower = piece->lower;
	if (piece->upper.len > 0 &&
		(upper->len == 0 || fm_slice_cmp(piece->upper, *upper) < 0))
		*upper = piece->upper;
	return upper->len == 0 || fm_slice_cmp(*lower, *upper) < 0;
}

/* The stored bytes of a range that are likely to be read. */
static uint64
expected_bytes(FmScanState *scan)
{
	FmTableSize size;

	fm_table_size(scan->open, &size);
	return (uint64) (size.bytes * scan->share / scan->keys.n /
					 (scan->piece != NULL ? scan->npieces : 1));
}

/* Begins a range, clipped to the current piece if there is one. */
static void
begin_range(FmScanState *scan, const FmKeyRange *range)
{
	MemoryContext old = MemoryContextSwitchTo(scan->rescan_context);
	FmTableWrites *writes = fm_open_table_writes(scan->open);
	FmReadSet  *reads = fm_open_table_reads(scan->open);
	FmMergeSource *own = NULL;
	FmSlice		lower = range->lower;
	FmSlice		upper = range->upper;

	if (scan->piece == NULL || clip_range(scan->piece, &lower, &upper))
	{
		if (reads != NULL)
			scan->read = fm_read_set_begin(reads, lower, upper,
										   scan->backward);
		if (writes != NULL)
		{
			scan->own = fm_buffer_scan_begin(writes->buffer, lower, upper,
											 scan->backward, scan->curcid,
											 false);
			own = fm_buffer_scan_source(scan->own);
		}
		scan->fetch.expected = expected_bytes(scan);
		scan->range = fm_range_scan_begin(&scan->fetch, scan->open->table,
										  lower, upper, scan->backward, own);
	}
	MemoryContextSwitchTo(old);
}

/* The keys that are looked up next, and at once: n of them. */
static const FmLookupKey *
next_keys(const FmScanState *scan, int *n)
{
	int			left = scan->keys.n - scan->next_key;

	*n = Min(left, FM_LOOKUP_BATCH);
	return scan->keys.keys + (scan->backward ? left - *n : scan->next_key);
}

static FmStore *
store_of_scan(ForeignScanState *node, FmScanState *scan)
{
	if (scan->store == NULL)
		scan->store = fm_open_store(&scan->options->store,
									fm_scan_check_as_user(node));
	return scan->store;
}

/*
 * Begins to look the keys up in the table as it was seen last.  Runs never
 * change, so what is read is not wrong; whether it is what the statement has
 * to read, and whether it may, HEAD tells.
 */
static void
start_guess(ForeignScanState *node, FmScanState *scan)
{
	MemoryContext old = MemoryContextSwitchTo(scan->context);
	const FmTable *table = fm_guess_table(store_of_scan(node, scan),
										  scan->options);

	if (table != NULL)
	{
		const FmLookupKey *keys;
		int			n;

		scan->fetch.store = scan->store;
		scan->fetch.stats = &scan->stats;
		scan->fetch.use = true;
		scan->guess = fm_lookup_create(&scan->fetch, table);
		keys = next_keys(scan, &n);
		fm_lookup_start_ahead(scan->guess, keys, n);
	}
	MemoryContextSwitchTo(old);
}

/*
 * HEAD is known.  A guess that was wrong is kept for a while: its connections
 * are of use once they have been answered.
 */
static void
take_guess(FmScanState *scan)
{
	bool		right;

	if (scan->guess == NULL)
		return;
	right = fm_lookup_adopt(scan->guess, &scan->fetch, scan->open->table);
	fm_manifest_judge_guess(scan->store, right);
	if (!right)
		return;
	scan->lookup = scan->guess;
	scan->guess = NULL;
}

/* Prepares to look the keys up, once their locks are held. */
static void
start_keys(ForeignScanState *node, FmScanState *scan)
{
	const FmScanKeys *keys = &scan->keys;
	FmReadSet  *reads;
	int			i;

	if (scan->locking != FM_SCAN_READS)
		for (i = 0; i < keys->n; i++)
			fm_xact_wait_for_key(&scan->options->store,
								 scan->options->table_name,
								 keys->keys[i].hash);
	if (scan->open == NULL)
	{
		/* An asynchronous one has begun before it waited for HEAD. */
		if (!scan->asynchronous)
			start_guess(node, scan);
		open_scan(node, scan);
		take_guess(scan);
	}
	reads = fm_open_table_reads(scan->open);
	for (i = 0; reads != NULL && i < keys->n; i++)
		fm_read_set_add_key(reads, keys->keys[i].key, keys->keys[i].hash);
	if (scan->lookup == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(scan->context);

		scan->lookup = fm_lookup_create(&scan->fetch, scan->open->table);
		MemoryContextSwitchTo(old);
	}
}

/* Evaluates the conditions: what the (re)scan is to do. */
static void
evaluate(ForeignScanState *node, FmScanState *scan)
{
	MemoryContext old;

	scan->next_key = 0;
	scan->ahead = 0;
	MemoryContextReset(scan->rescan_context);
	old = MemoryContextSwitchTo(scan->rescan_context);
	fm_key_conditions_evaluate(scan->conditions, node->ss.ps.ps_ExprContext,
							   &scan->keys);
	MemoryContextSwitchTo(old);
	scan->evaluated = true;
}

static void
start_scan(ForeignScanState *node, FmScanState *scan)
{
	MemoryContext old = MemoryContextSwitchTo(scan->rescan_context);

	if (scan->keys.n == 0)
		scan->mode = SCAN_EMPTY;
	else if (scan->keys.is_full)
	{
		start_keys(node, scan);
		scan->mode = SCAN_KEYS;
	}
	else
	{
		if (scan->open == NULL)
			open_scan(node, scan);
		scan->mode = SCAN_RANGES;
	}
	MemoryContextSwitchTo(old);
}

/* The place of the next key, or range, in the scan's direction. */
static int
take_next(FmScanState *scan)
{
	int			i = scan->next_key++;

	return scan->backward ? scan->keys.n - 1 - i : i;
}

/* Takes a piece that no other process of the group has taken. */
static const FmKeyRange *
take_next_piece(FmScanState *scan)
{
	uint32		i = pg_atomic_fetch_add_u32(&scan->parallel->next_piece, 1);

	if (scan->pieces == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(scan->context);

		scan->npieces = fm_split_table(&scan->fetch, scan->open->table,
									   &scan->pieces);
		MemoryContextSwitchTo(old);
	}
	return i < scan->npieces ? &scan->pieces[i] : NULL;
}

/* The next entry of the range; false at its end, or where the scan waits. */
static bool
next_of_range(FmScanState *scan, FmSlice *key, FmSlice *row)
{
	FmRangeStep step;

	if (!scan->asynchronous)
		return fm_range_scan_next(scan->range, key, row);
	step = fm_range_scan_try(scan->range, key, row);
	scan->waits = step == FM_RANGE_WAITS;
	return step == FM_RANGE_ENTRY;
}

/* The next row of the ranges, which are disjoint and in key order. */
static bool
next_of_ranges(FmScanState *scan, FmSlice *key, FmSlice *row)
{
	for (;;)
	{
		if (scan->range != NULL)
		{
			if (next_of_range(scan, key, row))
			{
				if (scan->read != NULL)
					fm_read_progress_reach(scan->read, *key);
				return true;
			}
			if (scan->waits)
				return false;
			end_range(scan, true);
		}
		if (scan->parallel != NULL &&
			(scan->piece == NULL || scan->next_key == scan->keys.n))
		{
			scan->piece = take_next_piece(scan);
			if (scan->piece == NULL)
				return false;
			scan->next_key = 0;
		}
		if (scan->next_key == scan->keys.n)
			return false;
		begin_range(scan, &scan->keys.ranges[take_next(scan)]);
	}
}

/* Reads ahead for the keys that come next; false: the scan waits. */
static bool
read_ahead(FmScanState *scan)
{
	int			n;
	const FmLookupKey *keys = next_keys(scan, &n);

	if (!scan->asynchronous)
		fm_lookup_read_ahead(scan->lookup, keys, n);
	else if (!fm_lookup_try_ahead(scan->lookup, keys, n))
		return false;
	scan->ahead = scan->next_key + n;
	return true;
}

/* Looks the next key up, own changes first; false: no row. */
static bool
next_of_keys(FmScanState *scan, FmSlice *key, FmSlice *row)
{
	while (scan->next_key < scan->keys.n)
	{
		FmTableWrites *writes = fm_open_table_writes(scan->open);
		FmBufferEntry own;
		FmLookupKey *k;

		if (scan->next_key == scan->ahead && !read_ahead(scan))
		{
			scan->waits = true;
			return false;
		}
		k = &scan->keys.keys[take_next(scan)];

		*key = k->key;
		if (writes != NULL &&
			fm_write_buffer_find(writes->buffer, k->key, k->hash, scan->curcid,
								 &own))
		{
			uint8	   *copy;

			if (own.kind == FM_TOMBSTONE)
				continue;
			copy = MemoryContextAllocHuge(scan->row_context, own.row.len);
			memcpy(copy, own.row.data, own.row.len);
			*row = fm_slice(copy, own.row.len);
			return true;
		}
		if (fm_lookup_find(scan->lookup, k->key, k->hash,
						   row) == FM_LOOKUP_ROW)
			return true;
	}
	return false;
}

/* Starts the scan, unless it would wait for HEAD; false: it waits. */
static bool
try_start(ForeignScanState *node, FmScanState *scan)
{
	bool		first = !scan->evaluated;

	if (first)
		evaluate(node, scan);
	if (scan->asynchronous && scan->open == NULL)
	{
		bool		known = fm_snapshot_prepare(store_of_scan(node, scan),
												GetActiveSnapshot());

		if (first && !known && scan->keys.n > 0 && scan->keys.is_full)
			start_guess(node, scan);
		if (!known)
			return false;
	}
	start_scan(node, scan);
	return true;
}

bool
fm_scan_advance(ForeignScanState *node)
{
	FmScanState *scan = node->fdw_state;

	if (scan->mode == SCAN_NOT_STARTED && !try_start(node, scan))
		return false;
	if (scan->mode == SCAN_KEYS)
		return scan->next_key < scan->ahead ||
			scan->next_key == scan->keys.n || read_ahead(scan);
	if (scan->range == NULL && scan->mode == SCAN_RANGES &&
		scan->next_key < scan->keys.n)
		begin_range(scan, &scan->keys.ranges[take_next(scan)]);
	return scan->range == NULL || fm_range_scan_is_ready(scan->range);
}

TupleTableSlot *
fmIterateForeignScan(ForeignScanState *node)
{
	FmScanState *scan = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	FmSlice		key;
	FmSlice		row;
	bool		found = false;

	ExecClearTuple(slot);
	MemoryContextReset(scan->row_context);
	scan->waits = scan->mode == SCAN_NOT_STARTED && !try_start(node, scan);
	if (scan->waits)
		return slot;
	if (scan->mode == SCAN_KEYS)
		found = next_of_keys(scan, &key, &row);
	else if (scan->mode == SCAN_RANGES)
		found = next_of_ranges(scan, &key, &row);
	if (!found)
		return slot;

	if (scan->locking == FM_SCAN_LOCKS)
		fm_xact_lock_key(fm_open_table_writes(scan->open), key,
						 fm_key_hash(key), scan->open->version);
	if (!scan->nulls_set)
	{
		memset(slot->tts_isnull, true,
			   sizeof(bool) * slot->tts_tupleDescriptor->natts);
		scan->nulls_set = true;
	}
	fm_tuple_decode(scan->projection, key, row, slot->tts_values,
					slot->tts_isnull, scan->row_context);
	return ExecStoreVirtualTuple(slot);
}

void
fmReScanForeignScan(ForeignScanState *node)
{
	reset_scan(node->fdw_state);
}

Size
fmEstimateDSMForeignScan(ForeignScanState *node, ParallelContext *pcxt)
{
	return sizeof(ParallelScan);
}

void
fmInitializeDSMForeignScan(ForeignScanState *node, ParallelContext *pcxt,
						   void *coordinate)
{
	FmScanState *scan = node->fdw_state;

	scan->parallel = coordinate;
	pg_atomic_init_u32(&scan->parallel->next_piece, 0);
}

void
fmReInitializeDSMForeignScan(ForeignScanState *node, ParallelContext *pcxt,
							 void *coordinate)
{
	ParallelScan *parallel = coordinate;

	pg_atomic_write_u32(&parallel->next_piece, 0);
}

void
fmInitializeWorkerForeignScan(ForeignScanState *node, shm_toc *toc,
							  void *coordinate)
{
	FmScanState *scan = node->fdw_state;

	scan->parallel = coordinate;
}

/*
 * A scan that every worker executes is not parallel aware for the executor:
 * its counts take their own way to the leader.
 */
static void
send_counts(ForeignScanState *node, FmScanState *scan)
{
	EState	   *estate = node->ss.ps.state;

	fm_snapshot_add_counts(estate->es_query_cxt,
						   node->ss.ps.plan->plan_node_id,
						   scan->stats.count, FM_NCOUNTERS);
}

static void
take_counts(ForeignScanState *node, FmStats *stats)
{
	fm_snapshot_take_counts(node->ss.ps.state->es_snapshot,
							node->ss.ps.plan->plan_node_id, stats->count,
							FM_NCOUNTERS);
}

void
fmEndForeignScan(ForeignScanState *node)
{
	FmScanState *scan = node->fdw_state;

	if (scan == NULL)
		return;
	reset_scan(scan);
	if (scan->lookup != NULL)
		fm_lookup_free(scan->lookup);
	if (node->ss.ps.instrument != NULL)
	{
		send_counts(node, scan);
		take_counts(node, &scan->of_workers);
	}
	fm_stat_flush(scan->options->relid, &scan->stats);
	if (scan->open != NULL)
		fm_close_table(scan->open);
}

const FmStats *
fm_scan_stats(ForeignScanState *node)
{
	FmScanState *scan = node->fdw_state;
	int			i;

	if (scan == NULL)
		return NULL;
	take_counts(node, &scan->of_workers);
	for (i = 0; i < FM_NCOUNTERS; i++)
		scan->total.count[i] = scan->stats.count[i] +
			scan->of_workers.count[i];
	scan->total.wait_us = scan->stats.wait_us;
	return &scan->total;
}

FmStore *
fm_scan_store(ForeignScanState *node)
{
	FmScanState *scan = node->fdw_state;

	return scan == NULL || scan->open == NULL ? NULL : scan->open->store;
}
