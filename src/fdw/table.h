/*-------------------------------------------------------------------------
 *
 * table.h
 *	  A foreign table opened for a statement: its store, the version of HEAD
 *	  that the statement reads, and the codec between both sides.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_TABLE_H
#define FM_TABLE_H

#include "access/xact.h"
#include "utils/rel.h"

#include "engine/tuple_codec.h"
#include "engine/xact.h"
#include "fdw/option.h"

typedef enum FmOpenMode
{
	FM_OPEN_PLAN,				/* for estimates: pins nothing, and a table
								 * that is missing or differs is no error */
	FM_OPEN_READ,
	FM_OPEN_LOCK,				/* reads, and adds to the conflict check */
	FM_OPEN_WRITE				/* creates the table if the store lacks it */
} FmOpenMode;

typedef struct FmOpenTable
{
	FmTableOptions *options;
	FmStore    *store;
	uint64		version;		/* of HEAD that the statement reads */
	const FmTable *table;		/* as that HEAD has it, with the columns added
								 * here; without runs if only this transaction
								 * knows it.  NULL: FM_OPEN_PLAN found none */
	FmTupleCodec *codec;		/* NULL for FM_OPEN_PLAN */
	FmTableWrites *writes;		/* see fm_open_table_writes */
	bool		is_new;			/* neither HEAD nor the transaction had it */
	MemoryContext context;		/* holds all of it */
} FmOpenTable;

/*
 * Opens a foreign table in the version that the active snapshot reads, with
 * the credentials of userid (InvalidOid: the current user).
 * Errors name what to do: a table that the store lacks (42P01), or has with
 * other columns or another key (42804).  LOCK and WRITE enlist the table in
 * the transaction (fm_xact_enlist).  The result lives in a child of the
 * current context; an error needs no closing.
 */
extern FmOpenTable *fm_open_table(Relation rel, Oid userid,
								  FmOpenMode mode);

/*
 * The table as this session last saw it, for reading beside the request for
 * HEAD; NULL: nothing is to be read so.  Asks nobody, and lives as long as the
 * current context.
 */
extern const FmTable *fm_guess_table(FmStore *store,
									 const FmTableOptions *options);

/* Frees everything, the version of HEAD among it. */
extern void fm_close_table(FmOpenTable *open);

/* What HEAD tells of a table's size. */
typedef struct FmTableSize
{
	double		rows;			/* versions that updates shadow included, rows
								 * that were deleted not */
	double		blocks;			/* data blocks */
	double		runs;			/* that a key can be in */
	double		bytes;			/* stored */
} FmTableSize;

/* Own changes count as rows.  All zero for a table that is not there. */
extern void fm_table_size(FmOpenTable *open, FmTableSize *size);

/* The stored bytes in pages of PostgreSQL, at least 1. */
extern BlockNumber fm_size_pages(const FmTableSize *size);

/* Raises 25006 for a server with the option read_only. */
extern void fm_check_server_writable(const FmStoreOptions *options);

/*
 * The transaction's own changes of the table, also those that began after it
 * was opened; NULL if there are none.
 */
static inline FmTableWrites *
fm_open_table_writes(FmOpenTable *open)
{
	if (open->writes == NULL && fm_xact_has_writes(NULL))
		open->writes = fm_xact_find(open->store, open->options->table_name);
	return open->writes;
}

/* Where reads are to be remembered; NULL: they are not. */
static inline FmReadSet *
fm_open_table_reads(FmOpenTable *open)
{
	return !IsolationIsSerializable() ? NULL :
		fm_xact_read_set(open->store, open->options->table_name, open->table,
						 open->version);
}

#endif							/* FM_TABLE_H */
