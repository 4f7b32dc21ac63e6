/*-------------------------------------------------------------------------
 *
 * xact.h
 *	  What a transaction has changed, store by store, and its callbacks.
 *
 * Changes are published by one compare-and-swap in XACT_EVENT_PRE_COMMIT.
 * The state lives in TopTransactionContext's child and is dropped at the
 * transaction's end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_XACT_H
#define FM_XACT_H

#include "engine/write_buffer.h"
#include "format/head.h"
#include "manifest/snapshot.h"
#include "objstore/store.h"

/* A table that this transaction has written, locked, created or dropped. */
typedef struct FmTableWrites
{
	FmStore    *store;
	Oid			relid;			/* of the foreign table last used for it */
	char	   *name;			/* in the store */
	uint64		table_id;		/* 0: HEAD had no such table */
	FmWriteBuffer *buffer;
	FmTable    *create;			/* definition, if we create it; else NULL */
	FmColumn   *add_columns;	/* columns HEAD lacks, ids 0 */
	int			nadd_columns;
	bool		drop;
	FmBlockOptions block;		/* of runs written here */
	bool		existed;		/* the statement that first wrote saw it */
} FmTableWrites;

/*
 * The pending writes of a table in this transaction; NULL if there are none.
 * Readers look here for their own changes and for a pending create.
 */
extern FmTableWrites *fm_xact_find(FmStore *store, const char *name);

/*
 * The same, made on first use: refuses a second store or mapping (0A000),
 * SERIALIZABLE (0A000), a read-only store (25006).  "definition" describes
 * the local table, for a create; base is the version of the snapshot that
 * the statement reads.  "add_columns" are the columns that HEAD lacks.
 */
extern FmTableWrites *fm_xact_enlist(FmStore *store, Oid relid,
									 const char *name, const FmTable *stored,
									 const FmTable *definition,
									 const FmColumn *add_columns,
									 int nadd_columns,
									 const FmBlockOptions *block, uint64 base);

/* True once the transaction has enlisted a write in the store (NULL: any). */
extern bool fm_xact_has_writes(FmStore *store);

/* Registers the callbacks; from _PG_init. */
extern void fm_xact_init(void);

#endif							/* FM_XACT_H */
