/*-------------------------------------------------------------------------
 *
 * tuple_binding.h
 *	  The inside of a tuple codec, for the files that make it up.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_TUPLE_BINDING_H
#define FM_TUPLE_BINDING_H

#include "engine/tuple_codec.h"
#include "engine/value_io.h"

/* A key column. */
typedef struct FmKeyAtt
{
	FmKeyType	type;
	bool		desc;
	bool		lossless;		/* else a row may hold it too */
	AttrNumber	attnum;			/* local */
	Oid			base;			/* local type, after domains */
	int32		typmod;
	uint32		row_att;		/* of a lossy one */
} FmKeyAtt;

/* A row attribute, by its number in the layout. */
typedef struct FmRowAtt
{
	FmRowKind	kind;
	uint16		width;			/* bytes, of a fixed kind */
	bool		is_bool;
	AttrNumber	attnum;			/* 0: there is no local column */
	int			key;			/* number of the lossy key column, or -1 */
	int32		typmod;
	bool		byval;
	char		align;			/* typalign */
	FmValueIo	io;				/* of FM_ROW_SEND and FM_ROW_OUTPUT */
} FmRowAtt;

struct FmTupleCodec
{
	TupleDesc	desc;
	MemoryContext cxt;
	MemoryContext work;			/* reset by each call of an encoder */
	FmAlloc		alloc;			/* over cxt */
	int			encoding;		/* of the database */
	int			missing;		/* local columns that HEAD lacks */
	bool		complete;		/* each live column of HEAD has a local one */
	bool		has_io;			/* a local column goes through FmValueIo */
	bool		has_text_io;	/* one of them through text */
	int			nkeys;
	FmKeyAtt	keys[FM_MAX_KEY_COLUMNS];
	FmRowLayout *layout;
	FmRowAtt   *atts;			/* layout->natts */
	FmRowValue *values;			/* for the encoder, layout->natts */
	uint64	   *fixed;			/* bytes of values passed by value */
	uint32	   *checked;		/* attributes whose content is checked */
	uint32		nchecked;
	uint8	   *key;			/* FM_MAX_KEY_SIZE + 16 bytes */
	uint8	   *scratch;		/* the same, for fm_key_take */
};

/*
 * The value that a key column decodes to, in the current memory context.
 * value->is_null is not set.
 */
extern Datum fm_tuple_key_datum(const FmKeyAtt *att, const FmKeyValue *value);

#endif							/* FM_TUPLE_BINDING_H */
