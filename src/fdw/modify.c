/*-------------------------------------------------------------------------
 *
 * modify.c
 *	  INSERT, COPY, UPDATE and DELETE: rows to changes in the transaction's
 *	  write buffer.
 *
 * A row is known by its key columns, which scans hand over as junk columns.
 * The table is opened at the first row, not before: a scan by full key waits
 * for other writers of its key and then pins the version of HEAD that both
 * read.
 *
 * Changes carry the command id of the statement, not of the functions that
 * it calls, as in a native table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "foreign/fdwapi.h"
#include "nodes/makefuncs.h"
#include "optimizer/appendinfo.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "fdw/fdw.h"
#include "fdw/modify_state.h"
#include "objstore/pg_alloc.h"
#include "objstore/pg_status.h"

#define FM_BATCH_ROWS 64

static const FmSlice no_row = {NULL, 0};

/*
 * The name of a key column's junk column.  Tables that are changed together
 * share junk columns of one name, which must then be of one kind.
 */
static char *
junk_name(Form_pg_attribute att)
{
	return psprintf("fusio_manifest key %d %u %d %u", att->attnum,
					att->atttypid, att->atttypmod, att->attcollation);
}

void
fmAddForeignUpdateTargets(PlannerInfo *root, Index rtindex,
						  RangeTblEntry *target_rte, Relation target_relation)
{
	FmTableOptions *options = fm_table_options(target_relation);
	Var		   *var;
	int			i;

	for (i = 0; i < options->nkeys; i++)
	{
		Form_pg_attribute att =
		TupleDescAttr(RelationGetDescr(target_relation),
					  options->key_attnums[i] - 1);

		var = makeVar(rtindex, att->attnum, att->atttypid, att->atttypmod,
					  att->attcollation, 0);
		add_row_identity_var(root, var, rtindex, junk_name(att));
	}

	/* An UPDATE gets the whole row anyway, and so do triggers. */
	if (root->parse->commandType != CMD_UPDATE &&
		root->parse->returningList != NIL)
	{
		var = makeVar(rtindex, InvalidAttrNumber, RECORDOID, -1, InvalidOid,
					  0);
		add_row_identity_var(root, var, rtindex, "wholerow");
	}
}

static void
check_conflict_action(OnConflictAction action, const char *relname)
{
	if (action == ONCONFLICT_UPDATE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("ON CONFLICT DO UPDATE is not supported for foreign table \"%s\"",
						relname),
				 errhint("Set the option \"insert_mode\" of the table to \"upsert\".")));
}

List *
fmPlanForeignModify(PlannerInfo *root, ModifyTable *plan, Index resultRelation,
					int subplan_index)
{
	check_conflict_action(plan->onConflictAction,
						  get_rel_name(planner_rt_fetch(resultRelation,
														root)->relid));
	return NIL;
}

/* Does somebody look at rows one by one, as they are inserted? */
static bool
single_rows_matter(ResultRelInfo *rinfo)
{
	TriggerDesc *triggers = rinfo->ri_TrigDesc;

	return rinfo->ri_projectReturning != NULL ||
		rinfo->ri_WithCheckOptions != NIL ||
		(triggers != NULL &&
		 (triggers->trig_insert_before_row ||
		  triggers->trig_insert_after_row));
}

/*
 * May a duplicate be found after the row was inserted, by the end of the
 * statement?  Not where somebody looks at single rows, nor where the end of
 * the statement is not the end of the insertion.
 */
static bool
may_put_off(EState *estate, ResultRelInfo *rinfo, const ModifyTable *plan)
{
	PlannedStmt *stmt = estate->es_plannedstmt; /* NULL: COPY */

	return !single_rows_matter(rinfo) &&
		(plan == NULL || plan->withCheckOptionLists == NIL) &&
		(stmt == NULL ||
		 (stmt->commandType == CMD_INSERT && !stmt->hasReturning &&
		  !stmt->hasModifyingCTE));
}

/* plan is NULL for COPY. */
static FmModifyState *
create_state(EState *estate, ResultRelInfo *rinfo, ModifyTable *plan)
{
	FmModifyState *state = palloc0(sizeof(FmModifyState));

	state->rel = rinfo->ri_RelationDesc;
	state->context = CurrentMemoryContext;
	state->userid = fm_result_check_as_user(rinfo, estate);
	state->options = fm_table_options(state->rel);
	fm_check_server_writable(&state->options->store);
	state->cid = plan != NULL ? estate->es_output_cid :
		GetCurrentCommandId(true);
	state->alloc = fm_palloc_alloc(state->context);
	fm_buf_init(&state->old_key, &state->alloc);
	fm_buf_init(&state->old_row, &state->alloc);
	fm_buf_init(&state->key, &state->alloc);

	state->policy_check = plan != NULL && plan->operation == CMD_UPDATE ?
		WCO_RLS_UPDATE_CHECK : WCO_RLS_INSERT_CHECK;
	if (plan != NULL)
		check_conflict_action(plan->onConflictAction,
							  RelationGetRelationName(state->rel));
	if (plan != NULL && plan->onConflictAction == ONCONFLICT_NOTHING)
		state->on_conflict = FM_CONFLICT_SKIPS;
	else if (state->options->insert_mode == FM_INSERT_UPSERT)
		state->on_conflict = FM_CONFLICT_REPLACES;
	else if (state->options->insert_mode == FM_INSERT_IGNORE)
		state->on_conflict = FM_CONFLICT_SKIPS;
	else
		state->on_conflict = FM_CONFLICT_RAISES;
	if (state->on_conflict == FM_CONFLICT_RAISES && may_put_off(estate, rinfo, plan))
		state->checks = fm_key_checks_create();
	rinfo->ri_FdwState = state;
	return state;
}

void
fmBeginForeignModify(ModifyTableState *mtstate, ResultRelInfo *rinfo,
					 List *fdw_private, int subplan_index, int eflags)
{
	ModifyTable *plan = castNode(ModifyTable, mtstate->ps.plan);
	FmModifyState *state;
	TupleDesc	desc;
	List	   *targets;
	int			i;

	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	state = create_state(mtstate->ps.state, rinfo, plan);
	if (mtstate->operation == CMD_INSERT)
		return;

	desc = RelationGetDescr(state->rel);
	targets = outerPlanState(mtstate)->plan->targetlist;
	state->key_junk = palloc(sizeof(AttrNumber) * state->options->nkeys);
	for (i = 0; i < state->options->nkeys; i++)
	{
		AttrNumber	attnum = state->options->key_attnums[i];
		char	   *name = junk_name(TupleDescAttr(desc, attnum - 1));

		state->key_junk[i] = ExecFindJunkAttributeInTlist(targets, name);
		if (!AttributeNumberIsValid(state->key_junk[i]))
			elog(ERROR, "could not find junk column \"%s\"", name);
	}
	if (plan->returningLists != NIL)
		state->row_junk = ExecFindJunkAttributeInTlist(targets, "wholerow");
	state->old_values = palloc0(sizeof(Datum) * desc->natts);
	state->old_isnull = palloc(sizeof(bool) * desc->natts);
	memset(state->old_isnull, true, sizeof(bool) * desc->natts);
}

/*
 * The row that an upsert replaces is not read, so that no policy can say who
 * may replace it.
 */
static void
check_no_policy(const FmModifyState *state, ResultRelInfo *rinfo)
{
	ListCell   *lc;

	if (state->options->insert_mode != FM_INSERT_UPSERT)
		return;
	foreach(lc, rinfo->ri_WithCheckOptions)
	{
		WCOKind		kind = lfirst_node(WithCheckOption, lc)->kind;

		if (kind == WCO_RLS_INSERT_CHECK || kind == WCO_RLS_UPDATE_CHECK)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot insert into foreign table \"%s\" under row-level security",
							RelationGetRelationName(state->rel)),
					 errdetail("Its option \"insert_mode\" is \"upsert\", which replaces rows without asking whether they may be seen.")));
	}
}

/* COPY, and rows that are routed here from a partitioned table. */
void
fmBeginForeignInsert(ModifyTableState *mtstate, ResultRelInfo *rinfo)
{
	EState	   *estate = mtstate->ps.state;
	MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);

	/* An UPDATE that moves rows into a partition has a state already. */
	if (rinfo->ri_FdwState == NULL)
		(void) create_state(estate, rinfo, (ModifyTable *) mtstate->ps.plan);
	check_no_policy(rinfo->ri_FdwState, rinfo);
	MemoryContextSwitchTo(old);
}

static void
end_modify(ResultRelInfo *rinfo)
{
	FmModifyState *state = rinfo->ri_FdwState;

	if (state == NULL)
		return;
	fm_modify_run_checks(state);
	if (state->lookup != NULL)
		fm_lookup_free(state->lookup);
	fm_stat_flush(RelationGetRelid(state->rel), &state->stats);
	if (state->open != NULL)
		fm_close_table(state->open);
	rinfo->ri_FdwState = NULL;
}

void
fmEndForeignModify(EState *estate, ResultRelInfo *rinfo)
{
	end_modify(rinfo);
}

void
fmEndForeignInsert(EState *estate, ResultRelInfo *rinfo)
{
	end_modify(rinfo);
}

/*
 * Constraints between foreign tables do not exist, so CASCADE has nothing to
 * do here; sequences are PostgreSQL's.
 */
void
fmExecForeignTruncate(List *rels, DropBehavior behavior, bool restart_seqs)
{
	ListCell   *lc;

	foreach(lc, rels)
	{
		FmOpenTable *open = fm_open_table(lfirst(lc), InvalidOid,
										  FM_OPEN_LOCK);

		fm_xact_truncate(open->writes);
		fm_close_table(open);
	}
}

int
fmIsForeignRelUpdatable(Relation rel)
{
	return (1 << CMD_INSERT) | (1 << CMD_UPDATE) | (1 << CMD_DELETE);
}

static void
open_for_write(FmModifyState *state)
{
	MemoryContext old;

	if (state->open != NULL)
		return;
	old = MemoryContextSwitchTo(state->context);
	state->open = fm_open_table(state->rel, state->userid, FM_OPEN_WRITE);
	state->fetch.store = state->open->store;
	state->fetch.codec = state->open->codec;
	state->fetch.stats = &state->stats;
	state->fetch.version = state->open->version;
	state->fetch.use = true;
	MemoryContextSwitchTo(old);
}

const FmStats *
fm_modify_stats(ResultRelInfo *rinfo, FmStore **store)
{
	FmModifyState *state = rinfo->ri_FdwState;

	if (state == NULL || state->lookup == NULL)
		return NULL;
	fm_modify_run_checks(state);
	*store = state->open->store;
	return &state->stats;
}

/*
 * PostgreSQL leaves constraints of foreign tables to their wrapper, and also
 * the row-level security of a partitioned table whose partition one is.
 */
static void
check_new_row(EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot)
{
	FmModifyState *state = rinfo->ri_FdwState;
	Relation	rel = rinfo->ri_RelationDesc;

	if (rinfo->ri_WithCheckOptions != NIL)
		ExecWithCheckOptions(state->policy_check, rinfo, slot, estate);
	if (RelationGetDescr(rel)->constr != NULL)
		ExecConstraints(rinfo, slot, estate);
	if (rel->rd_rel->relispartition)
		ExecPartitionCheck(rinfo, slot, estate, true);
}

/* Encodes the key of a row behind what buf holds; the slice may move. */
static void
encode_key(FmModifyState *state, TupleTableSlot *slot, FmBuf *buf)
{
	slot_getallattrs(slot);
	fm_tuple_encode_key(state->open->codec, slot->tts_values,
						slot->tts_isnull, buf);
	fm_check_status(buf->failed ? FM_NO_MEMORY : FM_OK, "key");
}

static void
put_row(FmModifyState *state, FmSlice key, uint64 hash, TupleTableSlot *slot,
		FmSlice old_row, bool upsert)
{
	FmWriteBuffer *buffer = state->open->writes->buffer;
	FmBuf	   *row = fm_write_buffer_row(buffer);

	fm_tuple_encode_row(state->open->codec, slot->tts_values,
						slot->tts_isnull, old_row, row);
	fm_check_status(row->failed ? FM_NO_MEMORY : FM_OK, "row");
	fm_write_buffer_add(buffer, key, hash, FM_PUT, fm_buf_slice(row), upsert,
						state->cid, state->open->version);
}

TupleTableSlot *
fmExecForeignInsert(EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot,
					TupleTableSlot *planSlot)
{
	FmModifyState *state = rinfo->ri_FdwState;
	FmSlice		key;
	uint64		hash;

	check_new_row(estate, rinfo, slot);
	open_for_write(state);
	fm_buf_reset(&state->key);
	encode_key(state, slot, &state->key);
	key = fm_buf_slice(&state->key);
	hash = fm_key_hash(key);
	if (state->on_conflict != FM_CONFLICT_REPLACES &&
		fm_modify_key_is_taken(state, key, hash))
	{
		if (state->on_conflict == FM_CONFLICT_SKIPS)
		{
			fm_modify_note_read(state, key, hash);
			return NULL;
		}
		fm_modify_raise_duplicate(state, slot, key, hash);
	}
	put_row(state, key, hash, slot, no_row,
			state->on_conflict == FM_CONFLICT_REPLACES);
	return slot;
}

/* Those that were inserted are in an array of their own. */
TupleTableSlot **
fmExecForeignBatchInsert(EState *estate, ResultRelInfo *rinfo,
						 TupleTableSlot **slots, TupleTableSlot **planSlots,
						 int *numSlots)
{
	FmModifyState *state = rinfo->ri_FdwState;
	FmBatchRow	rows[FM_BATCH_ROWS];
	int			n = *numSlots;
	int			i;

	if (n > FM_BATCH_ROWS)
		elog(ERROR, "batch of %d rows", n);
	open_for_write(state);
	fm_buf_reset(&state->key);
	for (i = 0; i < n; i++)
	{
		check_new_row(estate, rinfo, slots[i]);
		rows[i].start = state->key.len;
		encode_key(state, slots[i], &state->key);
	}
	for (i = 0; i < n; i++)
	{
		size_t		end = i + 1 < n ? rows[i + 1].start : state->key.len;

		rows[i].key = fm_slice(state->key.data + rows[i].start,
							   end - rows[i].start);
		rows[i].hash = fm_key_hash(rows[i].key);
		rows[i].in_run = false;
	}
	*numSlots = 0;
	if (state->on_conflict != FM_CONFLICT_REPLACES)
		fm_modify_find_batch(state, rows, n);
	for (i = 0; i < n; i++)
	{
		bool		exists;

		if (state->on_conflict != FM_CONFLICT_REPLACES)
		{
			if (!fm_modify_find_own(state, rows[i].key, rows[i].hash, &exists))
				exists = rows[i].in_run;
			if (exists && state->on_conflict == FM_CONFLICT_SKIPS)
			{
				fm_modify_note_read(state, rows[i].key, rows[i].hash);
				continue;
			}
			if (exists)
				fm_modify_raise_duplicate(state, slots[i], rows[i].key, rows[i].hash);
		}
		put_row(state, rows[i].key, rows[i].hash, slots[i], no_row,
				state->on_conflict == FM_CONFLICT_REPLACES);
		state->inserted[(*numSlots)++] = slots[i];
	}
	return state->inserted;
}

/*
 * A batch spares round trips; a near store has none, and the executor's
 * copies of a batch's rows cost.
 */
int
fmGetForeignModifyBatchSize(ResultRelInfo *rinfo)
{
	FmModifyState *state = rinfo->ri_FdwState;

	if (state == NULL || single_rows_matter(rinfo) ||
		fm_location_is_local(state->options->store.location))
		return 1;
	return FM_BATCH_ROWS;
}

/*
 * The key of the row that the plan found, in state->old_key.  False if this
 * command has changed that row already: a second change is not made, as in a
 * native table.
 */
static bool
find_old_key(FmModifyState *state, TupleTableSlot *planSlot, uint64 *hash)
{
	FmBufferEntry entry;
	int			i;

	for (i = 0; i < state->options->nkeys; i++)
	{
		AttrNumber	attnum = state->options->key_attnums[i];

		state->old_values[attnum - 1] =
			ExecGetJunkAttribute(planSlot, state->key_junk[i],
								 &state->old_isnull[attnum - 1]);
	}
	fm_buf_reset(&state->old_key);
	fm_tuple_encode_key(state->open->codec, state->old_values,
						state->old_isnull, &state->old_key);
	fm_check_status(state->old_key.failed ? FM_NO_MEMORY : FM_OK, "key");
	*hash = fm_key_hash(fm_buf_slice(&state->old_key));
	if (!fm_write_buffer_find(state->open->writes->buffer,
							  fm_buf_slice(&state->old_key), *hash,
							  FM_ALL_COMMANDS, &entry))
		return true;
	if (entry.cid > state->cid)
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
				 errmsg("row of foreign table \"%s\" was already modified by an operation triggered by the current command",
						RelationGetRelationName(state->rel)),
				 errhint("Consider using an AFTER trigger instead of a BEFORE trigger to propagate changes to other rows.")));
	return entry.cid < state->cid;
}

/*
 * Copies the stored row of state->old_key to state->old_row if the store has
 * columns that the foreign table lacks: the new row keeps their values.
 */
static FmSlice
find_old_row(FmModifyState *state, uint64 hash)
{
	FmSlice		key = fm_buf_slice(&state->old_key);
	FmSlice		row = {NULL, 0};
	FmBufferEntry entry;

	if (fm_tuple_codec_is_complete(state->open->codec))
		return row;
	if (fm_write_buffer_find(state->open->writes->buffer, key, hash,
							 FM_ALL_COMMANDS, &entry))
		row = entry.row;
	else if (!fm_modify_find_in_runs(state, key, hash, &row))
		elog(ERROR, "old row is missing");
	fm_buf_reset(&state->old_row);
	fm_buf_put_slice(&state->old_row, row);
	fm_check_status(state->old_row.failed ? FM_NO_MEMORY : FM_OK, "row");
	return fm_buf_slice(&state->old_row);
}

static void
put_tombstone(FmModifyState *state, uint64 hash)
{
	fm_write_buffer_add(state->open->writes->buffer,
						fm_buf_slice(&state->old_key), hash, FM_TOMBSTONE,
						no_row, false, state->cid, state->open->version);
}

TupleTableSlot *
fmExecForeignUpdate(EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot,
					TupleTableSlot *planSlot)
{
	FmModifyState *state = rinfo->ri_FdwState;
	FmSlice		key;
	FmSlice		old_row;
	uint64		old_hash;
	uint64		hash;

	open_for_write(state);
	if (!find_old_key(state, planSlot, &old_hash))
		return NULL;
	old_row = find_old_row(state, old_hash);
	check_new_row(estate, rinfo, slot);
	fm_buf_reset(&state->key);
	encode_key(state, slot, &state->key);
	key = fm_buf_slice(&state->key);
	hash = fm_key_hash(key);
	if (!fm_slice_eq(key, fm_buf_slice(&state->old_key)))
	{
		if (fm_modify_key_exists(state, key, hash))
			fm_modify_raise_duplicate(state, slot, key, hash);
		put_tombstone(state, old_hash);
	}
	put_row(state, key, hash, slot, old_row, false);
	return slot;
}

TupleTableSlot *
fmExecForeignDelete(EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot,
					TupleTableSlot *planSlot)
{
	FmModifyState *state = rinfo->ri_FdwState;
	uint64		hash;

	open_for_write(state);
	if (!find_old_key(state, planSlot, &hash))
		return NULL;
	put_tombstone(state, hash);
	if (AttributeNumberIsValid(state->row_junk))
	{
		bool		isnull;
		Datum		row = ExecGetJunkAttribute(planSlot, state->row_junk,
											   &isnull);

		if (isnull)
			elog(ERROR, "old row is missing");
		ExecStoreHeapTupleDatum(row, slot);
	}
	return slot;
}
