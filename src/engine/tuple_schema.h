/*-------------------------------------------------------------------------
 *
 * tuple_schema.h
 *	  What a local foreign table looks like in the store's terms, and
 *	  whether that is what HEAD says.
 *
 * Everywhere: names[attnum - 1] is the stored name of a local attribute
 * (column_name or attname), NULL for one that is not stored (dropped,
 * virtual generated).  A domain counts as its base type.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_TUPLE_SCHEMA_H
#define FM_TUPLE_SCHEMA_H

#include "access/attnum.h"
#include "access/tupdesc.h"
#include "nodes/pg_list.h"

#include "format/head.h"

/* One column of the table option "key", resolved. */
typedef struct FmKeySpec
{
	AttrNumber	attnum;
	bool		desc;
} FmKeySpec;

/* How a type is held: by value of its base type. */
typedef struct FmTypeForm
{
	Oid			base;			/* after domains */
	int32		typmod;			/* after domains */
	FmRowKind	row_kind;		/* never FM_ROW_IN_KEY */
	uint16		row_width;		/* bytes, of FM_ROW_FIXED */
	FmKeyType	key_type;		/* 0: cannot be a key */
} FmTypeForm;

/* Fills form; looks into the catalogs. */
extern void fm_schema_type_form(Oid type, int32 typmod, FmTypeForm *form);

/*
 * Describes a local table: columns with ids from 1 in order of attnum, keys,
 * encodings, next_column_id.  id, name and block are left zero for the caller.
 * The result, with all its strings, is in cxt.  Raises 0A000 for a type or a
 * collation that cannot be a key, with the list of those that can.
 */
extern FmTable *fm_schema_describe(TupleDesc desc, const char *const *names,
								   const FmKeySpec *keys, int nkeys,
								   MemoryContext cxt);

/*
 * Holds a description against HEAD's table and raises an error that shows
 * both sides if type, typmod, collation or key differ.  relname is for the
 * messages.  Returns how many local columns HEAD does not have yet: they read
 * as NULL, and the next write adds them (fm_schema_extend).  Columns that
 * only HEAD has are no mismatch.
 */
extern int	fm_schema_match(const FmTable *local, const FmTable *stored,
							const char *relname);

/*
 * A copy of stored with the missing columns of local added, their ids from
 * next_column_id on.  Only columns and their number change: the rest is
 * shared with stored.  The new array is in cxt, strings are local's.
 */
extern FmTable *fm_schema_extend(const FmTable *local, const FmTable *stored,
								 MemoryContext cxt);

/*
 * The parts of a name of HEAD, of a type or a collation, qualified; without
 * the brackets of arrays, of which it had ndims.  Raises an error for what is
 * no name.
 */
extern List *fm_schema_name_list(FmSlice stored, int *ndims);

/* The type of that name here, or InvalidOid. */
extern Oid	fm_schema_find_type(FmSlice stored);

/* format_type_extended of a modifier from HEAD: XX001 if it is none. */
extern char *fm_schema_format_type(Oid type, int32 typmod, bits16 flags);

/* True if the collation compares bytes: text keys then have its order. */
extern bool fm_schema_collation_is_bytes(Oid collation);

#endif							/* FM_TUPLE_SCHEMA_H */
