/*-------------------------------------------------------------------------
 *
 * tuple_decode.c
 *	  Keys and rows to PostgreSQL's datums.
 *
 * A projection is compiled into one step for each attribute that comes from
 * the row, and a walk over the key columns up to the last that is needed.
 * Rows were checked when their block entered the cache.
 *
 * Most rows cover all columns of the layout and are not large: where their
 * parts begin is known before.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/uuid.h"

#include "compat.h"
#include "engine/numeric_image.h"
#include "engine/tuple_binding.h"

typedef enum FmStepKind
{
	FM_STEP_BYVAL1,
	FM_STEP_BYVAL2,
	FM_STEP_BYVAL4,
	FM_STEP_BYVAL8,
	FM_STEP_POINTER,			/* into the row: varlena, or aligned to 1 */
	FM_STEP_COPY,				/* of fixed width, needs alignment */
	FM_STEP_INPUT				/* through the type's function */
} FmStepKind;

typedef struct FmRowStep
{
	FmStepKind	kind;
	uint32		att;			/* in the row's layout */
	int			index;			/* into values and isnull */
	uint32		at;				/* in a usual row: of a fixed column its
								 * bytes, of a variable one its end offset */
	uint16		width;			/* of a fixed column */
	bool		variable;
	bool		varlena;
} FmRowStep;

struct FmTupleProjection
{
	FmTupleCodec *codec;
	int			nsteps;
	FmRowStep  *steps;
	int			ninputs;		/* the last of the steps */
	bool		text_input;		/* one of them is through text */
	uint32		usual_header;	/* of a row whose steps can use "at" */
	uint32		ends;			/* in such a row: its end offsets */
	uint32		var_start;		/* and its first variable value */
	int			nkeys;			/* key columns to walk over */
	bool		key_needed[FM_MAX_KEY_COLUMNS];
};

static FmStepKind
step_kind(const FmRowAtt *att)
{
	switch (att->kind)
	{
		case FM_ROW_SEND:
		case FM_ROW_OUTPUT:
			return FM_STEP_INPUT;
		case FM_ROW_FIXED:
			if (!att->byval)
				return att->align == TYPALIGN_CHAR ? FM_STEP_POINTER :
					FM_STEP_COPY;
			return att->width == 1 ? FM_STEP_BYVAL1 :
				att->width == 2 ? FM_STEP_BYVAL2 :
				att->width == 4 ? FM_STEP_BYVAL4 : FM_STEP_BYVAL8;
		default:
			return FM_STEP_POINTER;
	}
}

/* Where the parts of a usual row begin. */
static void
lay_out_usual_row(FmTupleProjection *p, const FmRowLayout *layout)
{
	uint32		fixed = 4 + (layout->natts + 7) / 8;
	int			i;

	p->usual_header = layout->natts;	/* and no flag */
	p->ends = (fixed + layout->fixed_offset[layout->natts] + 1) & ~1;
	p->var_start = p->ends + layout->var_index[layout->natts] * 2;
	for (i = 0; i < p->nsteps; i++)
	{
		FmRowStep  *step = &p->steps[i];
		FmRowKind	kind = layout->columns[step->att].kind;

		step->width = layout->columns[step->att].width;
		step->variable = kind != FM_ROW_FIXED;
		step->varlena = fm_row_kind_is_varlena(kind);
		step->at = step->variable ?
			p->ends + layout->var_index[step->att] * 2 :
			fixed + layout->fixed_offset[step->att];
	}
}

FmTupleProjection *
fm_tuple_projection_create(FmTupleCodec *codec, const Bitmapset *attrs,
						   MemoryContext cxt)
{
	uint32		natts = codec->layout->natts;
	MemoryContext old = MemoryContextSwitchTo(cxt);
	FmTupleProjection *p = palloc0(sizeof(FmTupleProjection));
	int			pass;
	uint32		i;
	int			k;

	p->codec = codec;
	p->steps = palloc(sizeof(FmRowStep) * (natts + 1));

	/* Steps through functions come last: they need an environment. */
	for (pass = 0; pass < 2; pass++)
	{
		for (i = 0; i < natts; i++)
		{
			const FmRowAtt *att = &codec->atts[i];
			FmStepKind	kind = step_kind(att);
			FmRowStep  *step = &p->steps[p->nsteps];

			if (att->attnum == 0 || (kind == FM_STEP_INPUT) != (pass == 1) ||
				(attrs != NULL && !bms_is_member(att->attnum, attrs)))
				continue;
			step->kind = kind;
			step->att = i;
			step->index = att->attnum - 1;
			p->nsteps++;
			if (pass == 1)
			{
				p->ninputs++;
				p->text_input |= att->kind == FM_ROW_OUTPUT;
			}
		}
	}
	lay_out_usual_row(p, codec->layout);
	for (k = 0; k < codec->nkeys; k++)
	{
		p->key_needed[k] = attrs == NULL ||
			bms_is_member(codec->keys[k].attnum, attrs);
		if (p->key_needed[k])
			p->nkeys = k + 1;
	}
	MemoryContextSwitchTo(old);
	return p;
}

bool
fm_tuple_projection_needs_key(const FmTupleProjection *projection)
{
	return projection->nkeys > 0;
}

bool
fm_tuple_projection_needs_row(const FmTupleProjection *projection)
{
	return projection->nsteps > 0;
}

/* A varlena with room for len bytes of data. */
static struct varlena *
new_varlena(Size len)
{
	struct varlena *v = palloc(VARHDRSZ + len);

	SET_VARSIZE(v, VARHDRSZ + len);
	return v;
}

static Datum
bytes_datum(FmSlice bytes, Size blanks)
{
	struct varlena *v = new_varlena(bytes.len + blanks);

	if (bytes.len > 0)
		memcpy(VARDATA(v), bytes.data, bytes.len);
	memset(VARDATA(v) + bytes.len, ' ', blanks);
	return PointerGetDatum(v);
}

/* The blanks that a char(n) is filled up with. */
static Size
bpchar_blanks(FmSlice bytes, int32 typmod)
{
	int			chars;

	if (typmod < (int32) VARHDRSZ)
		return 0;
	chars = pg_mbstrlen_with_len((const char *) bytes.data, (int) bytes.len);
	return (Size) Max(typmod - (int32) VARHDRSZ - chars, 0);
}

Datum
fm_tuple_key_datum(const FmKeyAtt *att, const FmKeyValue *value)
{
	pg_uuid_t  *uuid;
	char	   *label;

	switch (att->type)
	{
		case FM_KEY_BOOL:
			return BoolGetDatum(value->integer != 0);
		case FM_KEY_CHAR:
			return CharGetDatum((char) value->integer);
		case FM_KEY_INT2:
			return Int16GetDatum((int16) value->integer);
		case FM_KEY_INT4:
			return Int32GetDatum((int32) value->integer);
		case FM_KEY_INT8:
			return Int64GetDatum(value->integer);
		case FM_KEY_OID:
			return ObjectIdGetDatum((Oid) value->integer);
		case FM_KEY_FLOAT4:
			return Float4GetDatum((float4) value->real);
		case FM_KEY_FLOAT8:
			return Float8GetDatum(value->real);
		case FM_KEY_NUMERIC:
			return PointerGetDatum(fm_numeric_image_build(&value->numeric,
														  att->typmod));
		case FM_KEY_TEXT:
		case FM_KEY_BYTEA:
			return bytes_datum(value->bytes, 0);
		case FM_KEY_BPCHAR:
			return bytes_datum(value->bytes,
							   bpchar_blanks(value->bytes, att->typmod));
		case FM_KEY_UUID:
			uuid = palloc(sizeof(pg_uuid_t));
			memcpy(uuid->data, value->bytes.data, UUID_LEN);
			return UUIDPGetDatum(uuid);
		case FM_KEY_ENUM:
			label = pnstrdup((const char *) value->bytes.data,
							 value->bytes.len);
			return DirectFunctionCall2(enum_in, CStringGetDatum(label),
									   ObjectIdGetDatum(att->base));
	}
	return (Datum) 0;
}

/*
 * The common key types without a call: the column's bytes are there, since
 * the key was checked.
 */
static inline bool
take_common(FmCursor *cursor, const FmKeyAtt *att, bool *isnull, Datum *value)
{
	const uint8 *p = cursor->pos;

	if (*p != FM_KEY_TAG_VALUE)
	{
		*isnull = true;
		cursor->pos = p + 1;
		return true;
	}
	switch (att->type)
	{
		case FM_KEY_INT4:
			*value = Int32GetDatum((int32) fm_key_get_int(p + 1, FM_KEY_INT4,
														  att->desc));
			cursor->pos = p + 1 + sizeof(int32);
			break;
		case FM_KEY_INT8:
			*value = Int64GetDatum(fm_key_get_int(p + 1, FM_KEY_INT8,
												  att->desc));
			cursor->pos = p + 1 + sizeof(int64);
			break;
		default:
			return false;
	}
	*isnull = false;
	return true;
}

static void
decode_key(FmTupleProjection *p, FmSlice key, Datum *values, bool *isnull)
{
	FmTupleCodec *codec = p->codec;
	FmCursor	cursor = fm_cursor(key);
	int			k;

	for (k = 0; k < p->nkeys; k++)
	{
		const FmKeyAtt *att = &codec->keys[k];
		int			index = att->attnum - 1;
		bool		needed = p->key_needed[k];
		FmKeyValue	value;
		FmStatus	status;

		if (needed && att->lossless &&
			take_common(&cursor, att, &isnull[index], &values[index]))
			continue;

		/* What the row holds of a lossy column is the value itself. */
		if (!needed || (!att->lossless && !isnull[index]))
			status = fm_key_skip(&cursor, att->type, att->desc, NULL);
		else
		{
			status = fm_key_take(&cursor, att->type, att->desc,
								 codec->scratch, &value, NULL);
			if (status == FM_OK)
			{
				isnull[index] = value.is_null;
				if (!value.is_null)
					values[index] = fm_tuple_key_datum(att, &value);
			}
		}
		if (status != FM_OK)
			elog(ERROR, "key was not checked");
	}
}

typedef struct FmDecodeWork
{
	FmTupleProjection *projection;
	const FmRow *row;
	Datum	   *values;
	bool	   *isnull;
} FmDecodeWork;

static void
decode_inputs(void *arg)
{
	FmDecodeWork *work = arg;
	FmTupleProjection *p = work->projection;
	int			i;

	for (i = p->nsteps - p->ninputs; i < p->nsteps; i++)
	{
		const FmRowStep *step = &p->steps[i];
		FmSlice		bytes;

		work->isnull[step->index] = !fm_row_get(work->row, step->att, &bytes);
		if (!work->isnull[step->index])
			work->values[step->index] =
				fm_value_io_in(&p->codec->atts[step->att].io, bytes);
	}
}

static inline Datum
step_datum(FmStepKind kind, FmSlice bytes)
{
	int16		i2;
	int32		i4;
	int64		i8;

	switch (kind)
	{
		case FM_STEP_BYVAL1:
			return CharGetDatum((char) bytes.data[0]);
		case FM_STEP_BYVAL2:
			memcpy(&i2, bytes.data, sizeof(i2));
			return Int16GetDatum(i2);
		case FM_STEP_BYVAL4:
			memcpy(&i4, bytes.data, sizeof(i4));
			return Int32GetDatum(i4);
		case FM_STEP_BYVAL8:
			memcpy(&i8, bytes.data, sizeof(i8));
			return Int64GetDatum(i8);
		case FM_STEP_COPY:
			return PointerGetDatum(memcpy(palloc(bytes.len), bytes.data,
										  bytes.len));
		default:
			return PointerGetDatum(bytes.data);
	}
}

/* The bytes of a variable value of a usual row, to its end. */
static inline FmSlice
usual_variable(const FmTupleProjection *p, const FmRowStep *step,
			   const uint8 *row)
{
	uint32		start = step->at == p->ends ? p->var_start :
	fm_get_u16(row + step->at - 2);

	if (step->varlena && row[start] == 0)
		start = TYPEALIGN(4, start);
	return fm_slice(row + start, fm_get_u16(row + step->at) - start);
}

static void
decode_usual(const FmTupleProjection *p, const uint8 *row, Datum *values,
			 bool *isnull)
{
	int			direct = p->nsteps - p->ninputs;
	int			i;

	for (i = 0; i < direct; i++)
	{
		const FmRowStep *step = &p->steps[i];
		FmSlice		bytes;

		isnull[step->index] = (row[4 + step->att / 8] >> (step->att & 7) & 1) != 0;
		if (isnull[step->index])
			continue;
		if (step->variable)
			bytes = usual_variable(p, step, row);
		else
			bytes = fm_slice(row + step->at, step->width);
		values[step->index] = step_datum(step->kind, bytes);
	}
}

void
fm_tuple_decode(FmTupleProjection *projection, FmSlice key, FmSlice row,
				Datum *values, bool *isnull, MemoryContext cxt)
{
	FmTupleProjection *p = projection;
	MemoryContext old = MemoryContextSwitchTo(cxt);
	int			direct = p->nsteps - p->ninputs;
	FmRow		opened;
	int			i;

	if (direct > 0 && fm_get_u32(row.data) == p->usual_header)
	{
		decode_usual(p, row.data, values, isnull);
		direct = 0;
	}
	if (direct > 0 || p->ninputs > 0)
	{
		fm_row_open(p->codec->layout, row, &opened);
		for (i = 0; i < direct; i++)
		{
			const FmRowStep *step = &p->steps[i];
			FmSlice		bytes;

			isnull[step->index] = !fm_row_get(&opened, step->att, &bytes);
			if (!isnull[step->index])
				values[step->index] = step_datum(step->kind, bytes);
		}
		if (p->ninputs > 0)
		{
			FmDecodeWork work = {p, &opened, values, isnull};

			fm_value_io_call(p->text_input, decode_inputs, &work);
		}
	}
	if (p->nkeys > 0)
		decode_key(p, key, values, isnull);
	MemoryContextSwitchTo(old);
}
