/*-------------------------------------------------------------------------
 *
 * tuple_codec.h
 *	  PostgreSQL's datums to keys and rows, and back.
 *
 * A codec binds a local tuple descriptor to a table of HEAD; a projection is
 * the part of it that a scan needs.  Both are made once a statement.  Blocks
 * are checked once, when they enter the cache; decoding trusts them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_TUPLE_CODEC_H
#define FM_TUPLE_CODEC_H

#include "access/tupdesc.h"
#include "nodes/bitmapset.h"

#include "base/buffer.h"
#include "engine/tuple_schema.h"
#include "format/data_block.h"
#include "format/head.h"

typedef struct FmTupleCodec FmTupleCodec;
typedef struct FmTupleProjection FmTupleProjection;

/*
 * Creates a codec in cxt.  "local" is fm_schema_describe's answer for desc
 * and names; it is held against "table" (fm_schema_match: an error if they
 * differ).  desc, local, table and names must live as long as the codec.
 */
extern FmTupleCodec *fm_tuple_codec_create(TupleDesc desc,
										   const char *const *names,
										   const FmTable *local,
										   const FmTable *table,
										   const char *relname,
										   MemoryContext cxt);

/*
 * True if every column of the store that is not dropped has a local one.
 * Where not, a row is rewritten with the old one at hand.
 */
extern bool fm_tuple_codec_is_complete(const FmTupleCodec *codec);

/* Local columns that the table in HEAD does not have yet. */
extern int	fm_tuple_codec_missing(const FmTupleCodec *codec);

/*
 * Encoding.  values and isnull are by attnum - 1.  Both append to out.
 * fm_tuple_encode_key raises 54000 above FM_MAX_KEY_SIZE; fm_tuple_encode_row
 * raises 54000 above FM_MAX_ROW_SIZE.  Compressed and external values are
 * fetched.  What is allocated on the way is freed before return.
 *
 * old is the row that the new one replaces, as fm_tuple_decode asks for it,
 * or empty: columns of HEAD without a local one keep its values, or are NULL.
 */
extern void fm_tuple_encode_key(FmTupleCodec *codec, const Datum *values,
								const bool *isnull, FmBuf *out);
extern void fm_tuple_encode_row(FmTupleCodec *codec, const Datum *values,
								const bool *isnull, FmSlice old, FmBuf *out);

/*
 * One key column's side of a condition.  The value's type may differ from the
 * column's within one operator family: int2, int4, int8; float4, float8;
 * text, varchar, name; date, timestamp, and both for timestamptz.  Prepared
 * once, then used for each value.
 */
typedef struct FmKeyInput
{
	FmKeyType	type;			/* of the column */
	bool		desc;
	Oid			value_type;		/* base type of the values */
	Oid			column_type;	/* base type of the column */
} FmKeyInput;

/* False if values of that type do not compare with the column by key bytes. */
extern bool fm_key_input_init(const FmTupleCodec *codec, int keyno,
							  Oid value_type, FmKeyInput *input);

/* The same without a codec, for the planner. */
extern bool fm_key_input_init_type(Oid column_type, bool desc, Oid value_type,
								   FmKeyInput *input);

typedef enum FmKeyMatch
{
	FM_KEY_MATCH_EXACT,			/* appended: the value itself */
	FM_KEY_MATCH_FLOOR,			/* the column cannot hold the value; appended:
								 * the greatest that it can hold below.  "= v"
								 * is never true; "< v" and "<= v" are "<=
								 * floor"; "> v" and ">= v" are "> floor" */
	FM_KEY_MATCH_BELOW			/* less than all that the column can hold;
								 * nothing was appended */
} FmKeyMatch;

/*
 * Appends the key column of a value that is not NULL (fm_key_put_null is for
 * those).  out may then be longer than FM_MAX_KEY_SIZE: no stored key begins
 * so.  May allocate in the current context, and raise while detoasting.
 */
extern FmKeyMatch fm_key_input_put(const FmKeyInput *input, Datum value,
								   FmBuf *out);

/*
 * A projection onto the local attributes in attrs (plain attnums, not offset
 * by FirstLowInvalidHeapAttributeNumber); NULL: all.  In cxt.
 */
extern FmTupleProjection *fm_tuple_projection_create(FmTupleCodec *codec,
													 const Bitmapset *attrs,
													 MemoryContext cxt);

/* False if fm_tuple_decode will not look at the key, or the row. */
extern bool fm_tuple_projection_needs_key(const FmTupleProjection *projection);
extern bool fm_tuple_projection_needs_row(const FmTupleProjection *projection);

/*
 * Sets values and isnull (by attnum - 1) of the projection's attributes and
 * leaves the others alone: the caller sets those to NULL once.  Attributes
 * that are not stored are left alone too, even if projected.
 *
 * key and row come from a block that fm_tuple_check_rows accepted, or from
 * this codec.  row
 * is at an address that is a multiple of FM_ROW_ALIGN.  Values
 * may point into row, never into key; what has to be built is allocated in
 * cxt, which the caller resets a row.  Raises if a type's input function
 * refuses a value.
 */
extern void fm_tuple_decode(FmTupleProjection *projection, FmSlice key,
							FmSlice row, Datum *values, bool *isnull,
							MemoryContext cxt);

/*
 * Checks all keys and rows of a block whose structure fm_data_block_check
 * accepted: after FM_OK they are decoded without further checks.  Depends on
 * the table in HEAD and the database's encoding alone, not on the local
 * table.  Never raises; fault->offset is from the block's start.
 */
extern FmStatus fm_tuple_check_rows(FmTupleCodec *codec,
									const FmDataBlock *block, FmFault *fault);

#endif							/* FM_TUPLE_CODEC_H */
