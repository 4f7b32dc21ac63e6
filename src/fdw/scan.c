/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  Execution of scans: look-ups by full key, and ranges in key order.
 *
 * A scan opens its table once, and pins one version of HEAD with it.  Each
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
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"
#include "engine/lookup.h"
#include "engine/range_scan.h"
#include "engine/sample.h"
#include "engine/xact.h"
#include "fdw/fdw.h"
#include "fdw/quals.h"
#include "fdw/scan_plan.h"
#include "fdw/table.h"
#include "manifest/snapshot.h"
#include "objstore/pg_alloc.h"
#include "objstore/pg_status.h"

/* A condition, ready to be evaluated. */
typedef struct ScanCondition
{
	FmConditionKind kind;
	int			keyno;
	ExprState  *value;			/* NULL for tests of NULL */
	FmKeyInput	input;
	Oid			element_type;	/* of FM_CONDITION_ANY */
	int16		element_len;
	bool		element_byval;
	char		element_align;
} ScanCondition;

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
	bool		nulls_set;		/* the slot's unread columns are NULL */
	CommandId	curcid;
	bool		backward;
	FmScanLocking locking;

	int			nconditions;
	ScanCondition *conditions;
	bool		full_key;		/* conditions fix every key column */

	ScanMode	mode;
	FmAlloc		key_alloc;
	FmBuf		key;			/* being encoded */
	FmLookupKey one_key;
	FmLookupKey *keys;			/* to look up, or prefixes of ranges */
	int			nkeys;
	int			next_key;
	FmRangeScan *range;			/* NULL between ranges */
	ParallelScan *parallel;		/* NULL: this process reads all pieces */
	FmKeyRange *pieces;			/* of a parallel scan; NULL until needed */
	uint32		npieces;
	FmBufferScan *own;
	FmReadProgress *read;		/* SERIALIZABLE: what of the range was read */

	MemoryContext context;		/* lives as long as the scan */
	MemoryContext rescan_context;	/* lives until the next rescan */
	MemoryContext row_context;	/* lives until the next row */
} FmScanState;

static void
init_conditions(ForeignScanState *node, FmScanState *scan)
{
	ForeignScan *plan = castNode(ForeignScan, node->ss.ps.plan);
	List	   *kinds = list_nth(plan->fdw_private, FM_SCAN_CONDITIONS);
	List	   *states = ExecInitExprList(plan->fdw_exprs, (PlanState *) node);
	TupleDesc	desc = RelationGetDescr(node->ss.ss_currentRelation);
	int			nvalues = 0;
	int			prefix = 0;
	int			i;

	scan->nconditions = list_length(kinds) / 2;
	scan->conditions = palloc0(sizeof(ScanCondition) * scan->nconditions);
	for (i = 0; i < scan->nconditions; i++)
	{
		ScanCondition *c = &scan->conditions[i];
		Oid			type;

		c->keyno = list_nth_int(kinds, i * 2);
		c->kind = list_nth_int(kinds, i * 2 + 1);
		if (c->kind <= FM_CONDITION_NULL)
			prefix++;
		if (c->kind == FM_CONDITION_NULL || c->kind == FM_CONDITION_NOT_NULL)
			continue;
		type = exprType(list_nth(plan->fdw_exprs, nvalues));
		c->value = list_nth(states, nvalues++);
		if (c->kind == FM_CONDITION_ANY)
		{
			type = get_base_element_type(type);
			c->element_type = type;
			get_typlenbyvalalign(type, &c->element_len, &c->element_byval,
								 &c->element_align);
		}
		if (!fm_key_input_init_type(TupleDescAttr(desc,
												  scan->options->key_attnums[c->keyno] - 1)->atttypid,
									scan->options->key_desc[c->keyno],
									type, &c->input))
			elog(ERROR, "condition of type %u does not fit key column %d",
				 type, c->keyno);
	}
	scan->full_key = prefix == scan->options->nkeys;
}

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
	scan->fetch.use = scan->nconditions > 0;
	foreach(lc, (List *) list_nth(plan->fdw_private, FM_SCAN_COLUMNS))
		attrs = bms_add_member(attrs, lfirst_int(lc));
	if (attrs == NULL)			/* none: NULL would mean all */
		attrs = bms_add_member(attrs, RelationGetDescr(rel)->natts + 1);
	scan->projection = fm_tuple_projection_create(scan->open->codec, attrs,
												  scan->context);
	MemoryContextSwitchTo(old);
}

/*
 * A scan by full key that changes or locks what it finds opens its table
 * later, once it holds the lock of its first key: it then reads what the
 * writer that it waited for has published.
 */
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
	scan->curcid = node->ss.ps.state->es_snapshot->curcid;
	init_conditions(node, scan);
	scan->key_alloc = fm_palloc_alloc(CurrentMemoryContext);
	fm_buf_init(&scan->key, &scan->key_alloc);
	scan->rescan_context = AllocSetContextCreate(CurrentMemoryContext,
												 "fusio_manifest rescan",
												 ALLOCSET_SMALL_SIZES);
	scan->row_context = AllocSetContextCreate(CurrentMemoryContext,
											  "fusio_manifest row",
											  ALLOCSET_SMALL_SIZES);
	if (scan->locking == FM_SCAN_READS || !scan->full_key)
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
	scan->mode = SCAN_NOT_STARTED;
}

/* scan->key is the one key to look up. */
static void
set_one_key(FmScanState *scan)
{
	fm_check_status(scan->key.failed ? FM_NO_MEMORY : FM_OK, "key");
	scan->one_key.key = fm_buf_slice(&scan->key);
	scan->one_key.hash = fm_key_hash(scan->one_key.key);
	scan->keys = &scan->one_key;
	scan->nkeys = 1;
}

static int
compare_keys(const void *a, const void *b)
{
	return fm_slice_cmp(((const FmLookupKey *) a)->key, ((const FmLookupKey *) b)->key);
}

static bool put_conditions(ForeignScanState *node, FmScanState *scan, int from);

/*
 * Makes one key, or prefix, for each element of the list at condition "at":
 * scan->key holds the columns before it.  Keys are sorted, equal ones looked up once.
 */
static void
put_list(ForeignScanState *node, FmScanState *scan, int at, Datum list)
{
	ScanCondition *c = &scan->conditions[at];
	ArrayType  *array = DatumGetArrayTypeP(list);
	size_t		prefix = scan->key.len;
	FmLookupKey *keys;
	Datum	   *values;
	bool	   *nulls;
	int			n;
	int			nkeys = 0;
	int			i;

	deconstruct_array(array, c->element_type, c->element_len, c->element_byval,
					  c->element_align, &values, &nulls, &n);
	keys = palloc(sizeof(FmLookupKey) * Max(n, 1));
	for (i = 0; i < n; i++)
	{
		uint8	   *copy;

		if (nulls[i])
			continue;
		scan->key.len = prefix;
		if (fm_key_input_put(&c->input, values[i],
							 &scan->key) != FM_KEY_MATCH_EXACT ||
			!put_conditions(node, scan, at + 1))
			continue;
		copy = palloc(scan->key.len);
		memcpy(copy, scan->key.data, scan->key.len);
		keys[nkeys].key = fm_slice(copy, scan->key.len);
		keys[nkeys].hash = fm_key_hash(keys[nkeys].key);
		nkeys++;
	}
	qsort(keys, nkeys, sizeof(FmLookupKey), compare_keys);
	scan->keys = keys;
	scan->nkeys = 0;
	for (i = 0; i < nkeys; i++)
	{
		if (i == 0 || !fm_slice_eq(keys[i].key, keys[i - 1].key))
			keys[scan->nkeys++] = keys[i];
	}
}

/*
 * Appends the equality conditions from number "from" on to scan->key.  False
 * if no row can match.  A list ends it: put_list goes on.
 */
static bool
put_conditions(ForeignScanState *node, FmScanState *scan, int from)
{
	ExprContext *econtext = node->ss.ps.ps_ExprContext;
	int			i;

	for (i = from; i < scan->nconditions; i++)
	{
		ScanCondition *c = &scan->conditions[i];
		Datum		value;
		bool		isnull;

		if (c->kind > FM_CONDITION_NULL)
			break;
		if (c->kind == FM_CONDITION_NULL)
		{
			fm_key_put_null(&scan->key, scan->options->key_desc[c->keyno]);
			continue;
		}
		value = ExecEvalExpr(c->value, econtext, &isnull);
		if (isnull)
			return false;
		if (c->kind == FM_CONDITION_ANY)
		{
			put_list(node, scan, i, value);
			return true;
		}
		if (fm_key_input_put(&c->input, value,
							 &scan->key) != FM_KEY_MATCH_EXACT)
			return false;
	}
	return true;
}

static const FmSlice no_bound = {NULL, 0};

/* One end of a range, narrowed by each bound in turn. */
static FmSlice
keep_bound(FmSlice old, FmSlice new, bool greatest)
{
	uint8	   *copy;

	if (old.data != NULL &&
		(greatest ? fm_slice_cmp(new, old) <= 0 : fm_slice_cmp(new, old) >= 0))
		return old;
	copy = palloc(new.len + 1);
	memcpy(copy, new.data, new.len);
	return fm_slice(copy, new.len);
}

/* The first string after all that begin with s; false if there is none. */
static bool
successor(FmSlice s, FmSlice *next)
{
	uint8	   *dest = palloc(s.len + 1);

	*next = fm_slice(dest, fm_key_successor(s, dest));
	return next->len > 0;
}

/* Appends the columns of a row comparison that follow the first, number i. */
static void
put_more_columns(FmScanState *scan, ExprContext *econtext, int i)
{
	while (++i < scan->nconditions &&
		   scan->conditions[i].kind == FM_CONDITION_MORE)
	{
		size_t		end = scan->key.len;
		bool		isnull;
		Datum		value = ExecEvalExpr(scan->conditions[i].value, econtext,
										 &isnull);

		if (isnull)
			return;
		if (fm_key_input_put(&scan->conditions[i].input, value,
							 &scan->key) != FM_KEY_MATCH_EXACT)
		{
			scan->key.len = end;
			return;
		}
	}
}

/*
 * Turns the prefix in scan->key and the bounds behind it into a range of
 * keys [lower, upper).  False if no row can match.
 */
static bool
make_range(ForeignScanState *node, FmScanState *scan, FmSlice *lower,
		   FmSlice *upper)
{
	ExprContext *econtext = node->ss.ps.ps_ExprContext;
	size_t		prefix = scan->key.len;
	FmSlice		next;
	int			i;

	*lower = *upper = no_bound;
	if (prefix > 0)
	{
		*lower = keep_bound(*lower, fm_buf_slice(&scan->key), true);
		if (successor(*lower, &next))
			*upper = next;
	}
	for (i = 0; i < scan->nconditions; i++)
	{
		ScanCondition *c = &scan->conditions[i];
		bool		desc = scan->options->key_desc[c->keyno];
		FmConditionKind kind = c->kind;
		FmKeyMatch	match;
		bool		isnull;
		Datum		value;
		FmSlice		bound;

		if (kind <= FM_CONDITION_NULL || kind == FM_CONDITION_MORE)
			continue;

		/* A bound leaves NULLs out: they lie at the column's end or start. */
		scan->key.len = prefix;
		fm_buf_put_u8(&scan->key, FM_KEY_TAG_VALUE);
		bound = fm_buf_slice(&scan->key);
		*lower = keep_bound(*lower, bound, true);
		if (successor(bound, &next))
			*upper = keep_bound(*upper, next, false);
		if (kind == FM_CONDITION_NOT_NULL)
			continue;

		value = ExecEvalExpr(c->value, econtext, &isnull);
		if (isnull)
			return false;
		scan->key.len = prefix;
		match = fm_key_input_put(&c->input, value, &scan->key);
		if (match == FM_KEY_MATCH_BELOW)
		{
			if (kind == FM_CONDITION_LT || kind == FM_CONDITION_LE)
				return false;
			continue;
		}
		if (match == FM_KEY_MATCH_FLOOR)
			kind = kind == FM_CONDITION_LT || kind == FM_CONDITION_LE ?
				FM_CONDITION_LE : FM_CONDITION_GT;
		else
			put_more_columns(scan, econtext, i);
		bound = fm_buf_slice(&scan->key);

		/* In a descending column the greater values come first. */
		if (desc)
			kind = FM_CONDITION_LT + FM_CONDITION_GT - kind;
		switch (kind)
		{
			case FM_CONDITION_LT:
				*upper = keep_bound(*upper, bound, false);
				break;
			case FM_CONDITION_GE:
				*lower = keep_bound(*lower, bound, true);
				break;
			default:
				if (!successor(bound, &next))
				{
					if (kind == FM_CONDITION_GT)
						return false;
				}
				else if (kind == FM_CONDITION_LE)
					*upper = keep_bound(*upper, next, false);
				else
					*lower = keep_bound(*lower, next, true);
				break;
		}
	}
	fm_check_status(scan->key.failed ? FM_NO_MEMORY : FM_OK, "key");
	return upper->data == NULL || fm_slice_cmp(*lower, *upper) < 0;
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

/*
 * Begins the range of the keys with the prefix, in a piece of the table or
 * (NULL) all of it; false if none can match.
 */
static bool
begin_range(ForeignScanState *node, FmScanState *scan, FmSlice prefix,
			const FmKeyRange *piece)
{
	MemoryContext old = MemoryContextSwitchTo(scan->rescan_context);
	FmTableWrites *writes = fm_open_table_writes(scan->open);
	FmReadSet  *reads = fm_open_table_reads(scan->open);
	FmMergeSource *own = NULL;
	FmSlice		lower;
	FmSlice		upper;
	bool		possible;

	scan->key.len = 0;
	fm_buf_put(&scan->key, prefix.data, prefix.len);
	possible = make_range(node, scan, &lower, &upper) &&
		(piece == NULL || clip_range(piece, &lower, &upper));
	if (possible)
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
		scan->range = fm_range_scan_begin(&scan->fetch, scan->open->table,
										  lower, upper, scan->backward, own);
	}
	MemoryContextSwitchTo(old);
	return possible;
}

/* Evaluates the conditions: what the (re)scan is to do. */
static void
start_scan(ForeignScanState *node, FmScanState *scan)
{
	FmReadSet  *reads;
	MemoryContext old;
	int			i;

	scan->key.len = 0;
	scan->nkeys = 0;
	scan->next_key = 0;
	scan->keys = NULL;
	MemoryContextReset(scan->rescan_context);
	old = MemoryContextSwitchTo(scan->rescan_context);
	if (!put_conditions(node, scan, 0))
		scan->mode = SCAN_EMPTY;
	else if (scan->full_key)
	{
		if (scan->keys == NULL)
			set_one_key(scan);
		if (scan->locking != FM_SCAN_READS)
			for (i = 0; i < scan->nkeys; i++)
				fm_xact_wait_for_key(&scan->options->store,
									 scan->options->table_name,
									 scan->keys[i].hash);
		if (scan->open == NULL)
			open_scan(node, scan);
		reads = fm_open_table_reads(scan->open);
		for (i = 0; reads != NULL && i < scan->nkeys; i++)
			fm_read_set_add_key(reads, scan->keys[i].key, scan->keys[i].hash);
		if (scan->lookup == NULL)
		{
			MemoryContextSwitchTo(scan->context);
			scan->lookup = fm_lookup_create(&scan->fetch, scan->open->table);
		}
		scan->mode = SCAN_KEYS;
	}
	else
	{
		if (scan->keys == NULL)
		{
			/* The buffer is used again for the bounds. */
			scan->one_key.key = keep_bound(no_bound, fm_buf_slice(&scan->key),
										   true);
			scan->keys = &scan->one_key;
			scan->nkeys = 1;
		}
		scan->mode = SCAN_RANGES;
	}
	MemoryContextSwitchTo(old);
}

static FmLookupKey *
take_next_key(FmScanState *scan)
{
	int			i = scan->next_key++;

	return &scan->keys[scan->backward ? scan->nkeys - 1 - i : i];
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

/* The next row of the ranges, which are disjoint and in key order. */
static bool
next_of_ranges(ForeignScanState *node, FmScanState *scan, FmSlice *key,
			   FmSlice *row)
{
	for (;;)
	{
		if (scan->range != NULL)
		{
			if (fm_range_scan_next(scan->range, key, row))
			{
				if (scan->read != NULL)
					fm_read_progress_reach(scan->read, *key);
				return true;
			}
			end_range(scan, true);
		}
		if (scan->parallel != NULL)
		{
			const FmKeyRange *piece = take_next_piece(scan);

			if (piece == NULL)
				return false;
			(void) begin_range(node, scan, scan->keys[0].key, piece);
			continue;
		}
		if (scan->next_key == scan->nkeys)
			return false;
		(void) begin_range(node, scan, take_next_key(scan)->key, NULL);
	}
}

/* Reads ahead for the keys that come next. */
static void
read_ahead(FmScanState *scan)
{
	int			n = Min(scan->nkeys - scan->next_key, FM_LOOKUP_BATCH);

	fm_lookup_read_ahead(scan->lookup, scan->keys +
						 (scan->backward ?
						  scan->nkeys - scan->next_key - n : scan->next_key),
						 n);
}

/* Looks the next key up, own changes first; false: no row. */
static bool
next_of_keys(FmScanState *scan, FmSlice *key, FmSlice *row)
{
	while (scan->next_key < scan->nkeys)
	{
		FmTableWrites *writes = fm_open_table_writes(scan->open);
		FmBufferEntry own;
		FmLookupKey *k;

		if (scan->next_key % FM_LOOKUP_BATCH == 0)
			read_ahead(scan);
		k = take_next_key(scan);

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
	if (scan->mode == SCAN_NOT_STARTED)
		start_scan(node, scan);
	if (scan->mode == SCAN_KEYS)
		found = next_of_keys(scan, &key, &row);
	else if (scan->mode == SCAN_RANGES)
		found = next_of_ranges(node, scan, &key, &row);
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
