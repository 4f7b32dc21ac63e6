/*-------------------------------------------------------------------------
 *
 * key_conflict.c
 *	  Is the key of a new row there already?
 *
 * This is asked of the transaction's own changes, of every command, then of
 * the runs.  What is published between this and the commit is the commit's
 * to find.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "engine/key_text.h"
#include "fdw/modify_state.h"

static FmLookup *
get_lookup(FmModifyState *state)
{
	if (state->lookup == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(state->context);

		state->lookup = fm_lookup_create(&state->fetch, state->open->table);
		MemoryContextSwitchTo(old);
	}
	return state->lookup;
}

bool
fm_modify_find_in_runs(FmModifyState *state, FmSlice key, uint64 hash, FmSlice *row)
{
	FmLookup   *lookup = get_lookup(state);
	FmLookupKey one;

	one.key = key;
	one.hash = hash;
	fm_lookup_read_ahead(lookup, &one, 1);
	return fm_lookup_find(lookup, key, hash, row) == FM_LOOKUP_ROW;
}

bool
fm_modify_find_own(FmModifyState *state, FmSlice key, uint64 hash, bool *exists)
{
	FmBufferEntry entry;

	if (!fm_write_buffer_find(state->open->writes->buffer, key, hash,
							  FM_ALL_COMMANDS, &entry))
		return false;
	*exists = entry.kind == FM_PUT;
	return true;
}

bool
fm_modify_key_exists(FmModifyState *state, FmSlice key, uint64 hash)
{
	FmSlice		row;
	bool		exists;

	return fm_modify_find_own(state, key, hash, &exists) ? exists :
		fm_modify_find_in_runs(state, key, hash, &row);
}

void
fm_modify_note_read(FmModifyState *state, FmSlice key, uint64 hash)
{
	FmReadSet  *reads = fm_open_table_reads(state->open);

	if (reads != NULL)
		fm_read_set_add_key(reads, key, hash);
}

/* "a, b" */
static char *
key_names(FmModifyState *state)
{
	TupleDesc	desc = RelationGetDescr(state->rel);
	StringInfoData names;
	int			i;

	initStringInfo(&names);
	for (i = 0; i < state->options->nkeys; i++)
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "",
						 NameStr(TupleDescAttr(desc, state->options->key_attnums[i] - 1)->attname));
	return names.data;
}

/*
 * "Key (a, b)=(1, x) already exists.", as a detail inside ereport; the values
 * are the slot's, if there is one.
 */
static int
errdetail_key(FmModifyState *state, TupleTableSlot *slot, FmSlice key)
{
	TupleDesc	desc = RelationGetDescr(state->rel);
	StringInfoData values;
	int			i;

	/* Who may not read the table does not get to see its values. */
	if (pg_class_aclcheck(RelationGetRelid(state->rel), GetUserId(),
						  ACL_SELECT) != ACLCHECK_OK)
		return 0;
	if (slot == NULL)
		return errdetail("Key (%s)=(%s) already exists.", key_names(state),
						 fm_key_to_text(state->open->codec, key));
	initStringInfo(&values);
	for (i = 0; i < state->options->nkeys; i++)
	{
		AttrNumber	attnum = state->options->key_attnums[i];
		Form_pg_attribute att = TupleDescAttr(desc, attnum - 1);
		bool		isnull;
		Datum		value = slot_getattr(slot, attnum, &isnull);
		Oid			output;
		bool		varlena;

		getTypeOutputInfo(att->atttypid, &output, &varlena);
		appendStringInfo(&values, "%s%s", i > 0 ? ", " : "",
						 isnull ? "null" : OidOutputFunctionCall(output,
																 value));
	}
	return errdetail("Key (%s)=(%s) already exists.", key_names(state),
					 values.data);
}

void
fm_modify_raise_duplicate(FmModifyState *state, TupleTableSlot *slot,
						  FmSlice key, uint64 hash)
{
	fm_modify_note_read(state, key, hash);
	ereport(ERROR,
			(errcode(ERRCODE_UNIQUE_VIOLATION),
			 errmsg("duplicate key value violates unique key of foreign table \"%s\"",
					RelationGetRelationName(state->rel)),
			 errdetail_key(state, slot, key),
			 errtable(state->rel)));
}

void
fm_modify_run_checks(FmModifyState *state)
{
	const FmLookupKey *found;

	if (state->checks == NULL || state->open == NULL)
		return;
	found = fm_key_checks_run(state->checks, get_lookup(state));
	if (found != NULL)
		fm_modify_raise_duplicate(state, NULL, found->key, found->hash);
}

bool
fm_modify_key_is_taken(FmModifyState *state, FmSlice key, uint64 hash)
{
	FmLookupResult result;
	FmSlice		row;
	bool		exists;

	if (fm_modify_find_own(state, key, hash, &exists))
		return exists;
	if (state->checks == NULL)
		return fm_modify_find_in_runs(state, key, hash, &row);
	result = fm_lookup_find_cached(get_lookup(state), key, hash, &row);
	if (result == FM_LOOKUP_OPEN &&
		fm_key_checks_add(state->checks, key, hash))
		fm_modify_run_checks(state);
	return result == FM_LOOKUP_ROW;
}

static int
compare_batch_rows(const void *a, const void *b)
{
	return fm_slice_cmp((*(FmBatchRow *const *) a)->key,
						(*(FmBatchRow *const *) b)->key);
}

void
fm_modify_find_batch(FmModifyState *state, FmBatchRow *rows, int n)
{
	FmLookup   *lookup = get_lookup(state);
	FmBatchRow *sorted[FM_BATCH_ROWS];
	FmLookupKey keys[FM_BATCH_ROWS];
	FmSlice		row;
	int			i;

	for (i = 0; i < n; i++)
		sorted[i] = &rows[i];
	qsort(sorted, n, sizeof(FmBatchRow *), compare_batch_rows);
	for (i = 0; i < n; i++)
	{
		keys[i].key = sorted[i]->key;
		keys[i].hash = sorted[i]->hash;
	}
	if (state->checks == NULL)
		fm_lookup_read_ahead(lookup, keys, n);
	for (i = 0; i < n; i++)
	{
		if (state->checks == NULL)
			sorted[i]->in_run = fm_lookup_find(lookup, keys[i].key,
											   keys[i].hash,
											   &row) == FM_LOOKUP_ROW;
		else
			sorted[i]->in_run = fm_modify_key_is_taken(state, keys[i].key,
													   keys[i].hash);
	}
}
