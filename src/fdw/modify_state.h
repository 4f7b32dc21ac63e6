/*-------------------------------------------------------------------------
 *
 * modify_state.h
 *	  The state of a foreign table that is being changed, and whether keys of
 *	  new rows are there already (key_conflict.c).
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_MODIFY_STATE_H
#define FM_MODIFY_STATE_H

#include "executor/tuptable.h"
#include "nodes/parsenodes.h"

#include "compat.h"
#include "engine/key_checks.h"
#include "engine/lookup.h"
#include "fdw/table.h"

#define FM_BATCH_ROWS 64

/* What becomes of a row whose key is there already. */
typedef enum FmModifyConflict
{
	FM_CONFLICT_RAISES,
	FM_CONFLICT_REPLACES,
	FM_CONFLICT_SKIPS
} FmModifyConflict;

typedef struct FmModifyState
{
	Oid			userid;			/* whose credentials are used */
	Relation	rel;
	FmModifyConflict on_conflict;	/* of INSERT */
	WCOKind		policy_check;	/* what new rows are held against */
	CommandId	cid;
	FmOpenTable *open;			/* NULL before the first row */
	FmFetch		fetch;
	FmStats		stats;
	FmLookup   *lookup;			/* NULL before the first look-up */
	FmKeyChecks *checks;		/* made by the end of the statement; NULL:
								 * each row is checked at once */
	FmTableOptions *options;
	AttrNumber *key_junk;		/* of UPDATE and DELETE, by key column */
	AttrNumber	row_junk;		/* the old row, for RETURNING; else 0 */
	Datum	   *old_values;		/* by attnum - 1; only key columns are set */
	bool	   *old_isnull;
	FmAlloc		alloc;
	FmBuf		old_key;
	FmBuf		old_row;
	FmBuf		key;
	TupleTableSlot *inserted[FM_BATCH_ROWS];	/* of the last batch */
	MemoryContext context;		/* lives as long as this state */
} FmModifyState;

/* A row of a batch. */
typedef struct FmBatchRow
{
	int			number;			/* in the batch */
	size_t		start;			/* of its key in the buffer */
	FmSlice		key;
	uint64		hash;
	bool		in_run;			/* the key is in the runs */
} FmBatchRow;

/*
 * Looks for a key in the runs; the row, on a hit, is valid until the next
 * look-up.
 */
extern bool fm_modify_find_in_runs(FmModifyState *state, FmSlice key, uint64 hash,
								   FmSlice *row);

/*
 * Looks among the transaction's own changes; false if they do not touch the
 * key, else *exists says whether there is a row.
 */
extern bool fm_modify_find_own(FmModifyState *state, FmSlice key, uint64 hash,
							   bool *exists);

/* Is there a row of the key, in own changes or the runs? */
extern bool fm_modify_key_exists(FmModifyState *state, FmSlice key, uint64 hash);

/*
 * Is a key that is inserted there already?  Where the answer needs a read of
 * a store that is far away, the check may be put off.
 */
extern bool fm_modify_key_is_taken(FmModifyState *state, FmSlice key, uint64 hash);

/* Looks for the keys of a batch in the runs, in their order: sets in_run. */
extern void fm_modify_find_batch(FmModifyState *state, FmBatchRow *rows, int n);

/*
 * A row is left out because of one that is there, or refused, which a
 * function may catch: that was read.  Keys that are written are checked by
 * the commit anyway.
 */
extern void fm_modify_note_read(FmModifyState *state, FmSlice key, uint64 hash);

/* 23505; the key is shown as it is in the slot, or NULL: as it is stored. */
FM_NORETURN extern void fm_modify_raise_duplicate(FmModifyState *state,
												  TupleTableSlot *slot,
												  FmSlice key, uint64 hash);

/* Makes the checks that were put off; 23505 for a key that is there. */
extern void fm_modify_run_checks(FmModifyState *state);

#endif							/* FM_MODIFY_STATE_H */
