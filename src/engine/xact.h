/*-------------------------------------------------------------------------
 *
 * xact.h
 *	  What a transaction has changed, store by store, and its callbacks.
 *
 * Changes are published by one compare-and-swap in XACT_EVENT_PRE_COMMIT.
 * The state lives in a child of TopTransactionContext and is dropped at the
 * transaction's end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_XACT_H
#define FM_XACT_H

#include "engine/read_set.h"
#include "engine/write_buffer.h"
#include "format/head.h"
#include "manifest/snapshot.h"
#include "objstore/store.h"

extern int	fm_commit_timeout_ms;	/* fusio_manifest.commit_timeout; 0: none */
extern int	fm_write_buffer_kb; /* fusio_manifest.write_buffer */

/* Until when a commit that begins now may wait: DT_NOEND for ever. */
extern TimestampTz fm_commit_deadline(void);

typedef struct FmSchemaState FmSchemaState;

/*
 * A table that this transaction has written, locked, created or emptied.  It
 * keeps its address until the transaction ends, also when the subtransaction
 * that enlisted it is rolled back: then it is not "enlisted" any more, its
 * buffer is empty, and the next enlisting makes it new.
 */
typedef struct FmTableWrites
{
	FmStore    *store;
	bool		enlisted;
	Oid			relid;			/* of the foreign table last used for it */
	char	   *name;			/* in the store */
	uint64		table_id;		/* 0: HEAD had no such table */
	uint64		base;			/* least HEAD version that a statement which
								 * enlisted it read */
	FmWriteBuffer *buffer;
	FmReadSet  *reads;			/* under SERIALIZABLE; set for the commit */
	FmTable    *create;			/* definition, if we create it; else NULL */
	FmColumn   *add_columns;	/* columns HEAD lacks */
	int			nadd_columns;
	bool		truncated;		/* the runs that HEAD lists are to go */
	FmBlockOptions block;		/* of runs written here */
	SubTransactionId subid;		/* that enlisted it */
	FmSchemaState *schema_states;	/* before changes in subtransactions */
} FmTableWrites;

/*
 * The pending writes of a table in this transaction; NULL if there are none.
 * Readers look here for their own changes and for a pending create.
 */
extern FmTableWrites *fm_xact_find(FmStore *store, const char *name);

/*
 * The same, made on first use: refuses a second store or mapping (0A000) and
 * parallel mode (25000).
 * "definition" describes the local table, for a create; base is the version
 * of the snapshot that the statement reads.  "add_columns" are the columns
 * that "stored" lacks, all of them.  Everything is copied.
 */
extern FmTableWrites *fm_xact_enlist(FmStore *store, Oid relid,
									 const char *name, const FmTable *stored,
									 const FmTable *definition,
									 const FmColumn *add_columns,
									 int nadd_columns,
									 const FmBlockOptions *block, uint64 base);

/*
 * The set to which a SERIALIZABLE transaction adds what it reads of a table,
 * found in version "version" of HEAD; the commit checks it.  NULL if nothing
 * needs to be remembered: workers read for transactions that cannot write.
 */
extern FmReadSet *fm_xact_read_set(FmStore *store, const char *name,
								   const FmTable *table, uint64 version);

/* True once the transaction has enlisted a write in the store (NULL: any). */
extern bool fm_xact_has_writes(FmStore *store);

/*
 * Empties the table: what HEAD lists of it and what this transaction has
 * written so far.  Undone by the abort of the subtransaction.
 */
extern void fm_xact_truncate(FmTableWrites *writes);

/*
 * Adds a row lock of a key to what the commit checks for conflicts; base is
 * the version in which the row was read.
 */
extern void fm_xact_lock_key(FmTableWrites *writes, FmSlice key, uint64 hash,
							 uint64 base);

/*
 * Waits until no other transaction of this cluster is about to change the
 * key, and keeps them waiting until this one ends.  To be called before HEAD
 * is pinned.  Does nothing beyond a number of keys a transaction: the commit
 * finds the conflict then.
 */
extern void fm_xact_wait_for_key(const FmStoreOptions *store,
								 const char *name, uint64 hash);

/* Registers the callbacks; from _PG_init, so that they run after others'. */
extern void fm_xact_init(void);

#endif							/* FM_XACT_H */
