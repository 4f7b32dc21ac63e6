/*-------------------------------------------------------------------------
 *
 * tuple_codec.c
 *	  PostgreSQL's datums to keys and rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "compat.h"
#include "engine/numeric_image.h"
#include "engine/tuple_binding.h"
#include "objstore/pg_alloc.h"
#include "objstore/pg_status.h"

/*
 * The local attribute of a stored column, 0 if there is none.  "at" is where
 * it is looked for first.
 */
static AttrNumber
local_attnum(TupleDesc desc, const char *const *names, const FmColumn *column,
			 uint32 at)
{
	int			i;

	if ((column->flags & FM_COLUMN_DROPPED) != 0)
		return 0;
	for (i = 0; i < desc->natts; i++)
	{
		int			k = (int) ((at + i) % desc->natts);

		if (names[k] != NULL &&
			fm_slice_eq(fm_slice(names[k], strlen(names[k])), column->name))
			return (AttrNumber) (k + 1);
	}
	return 0;
}

static void
bind_row_att(FmTupleCodec *codec, FmRowAtt *att, const FmColumn *column,
			 AttrNumber attnum)
{
	Form_pg_attribute form;
	FmTypeForm	type;
	int16		len;

	att->kind = column->row_kind;
	att->width = column->row_width;
	att->is_bool = false;
	att->attnum = attnum;
	att->key = -1;
	if (attnum == 0)
	{
		if (!(column->flags & FM_COLUMN_DROPPED))
			codec->complete = false;
		return;
	}
	form = TupleDescAttr(codec->desc, attnum - 1);
	fm_schema_type_form(form->atttypid, form->atttypmod, &type);
	att->typmod = type.typmod;
	att->is_bool = type.base == BOOLOID;
	get_typlenbyvalalign(type.base, &len, &att->byval, &att->align);
	if (att->kind == FM_ROW_SEND || att->kind == FM_ROW_OUTPUT)
	{
		fm_value_io_init(&att->io, type.base, type.typmod,
						 NameStr(form->attname),
						 att->kind == FM_ROW_SEND, codec->cxt);
		codec->has_io = true;
		if (att->kind == FM_ROW_OUTPUT)
			codec->has_text_io = true;
	}
}

static void
bind_key_att(FmTupleCodec *codec, FmKeyAtt *att, const FmKeyColumn *key,
			 const FmColumn *column, AttrNumber attnum, uint32 row_att)
{
	Form_pg_attribute form = TupleDescAttr(codec->desc, attnum - 1);
	FmTypeForm	type;

	fm_schema_type_form(form->atttypid, form->atttypmod, &type);
	att->type = key->type;
	att->desc = key->desc;
	att->lossless = column->row_kind == FM_ROW_IN_KEY;
	att->attnum = attnum;
	att->base = type.base;
	att->typmod = type.typmod;
	att->row_att = row_att;
	if (!att->lossless)
		codec->atts[row_att].key = (int) (att - codec->keys);
}

FmTupleCodec *
fm_tuple_codec_create(TupleDesc desc, const char *const *names,
					  const FmTable *local, const FmTable *table,
					  const char *relname, MemoryContext cxt)
{
	int			missing = fm_schema_match(local, table, relname);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	FmTupleCodec *codec = palloc0(sizeof(FmTupleCodec));
	FmRowColumn *columns = palloc(sizeof(FmRowColumn) * (table->ncolumns + 1));
	uint32		natts = 0;
	uint32		i;
	uint32		k;

	codec->desc = desc;
	codec->cxt = cxt;
	codec->work = AllocSetContextCreate(cxt, "fusio_manifest tuple encoder",
										ALLOCSET_SMALL_SIZES);
	codec->alloc = fm_palloc_alloc(cxt);
	codec->encoding = GetDatabaseEncoding();
	codec->missing = missing;
	codec->complete = true;
	codec->atts = palloc0(sizeof(FmRowAtt) * (table->ncolumns + 1));
	codec->checked = palloc(sizeof(uint32) * (table->ncolumns + 1));
	codec->nkeys = (int) table->nkeys;
	for (i = 0; i < table->ncolumns; i++)
	{
		const FmColumn *column = &table->columns[i];
		AttrNumber	attnum = local_attnum(desc, names, column, i);
		uint32		row_att = natts;

		if (column->row_kind != FM_ROW_IN_KEY)
		{
			columns[natts].kind = column->row_kind;
			columns[natts].width = column->row_width;
			bind_row_att(codec, &codec->atts[natts++], column, attnum);
		}
		for (k = 0; k < table->nkeys; k++)
			if (table->keys[k].column_id == column->id)
				bind_key_att(codec, &codec->keys[k], &table->keys[k], column,
							 attnum, row_att);
	}
	fm_check_status(fm_row_layout_create(columns, natts, &codec->alloc,
										 &codec->layout),
					"row layout");
	for (i = 0; i < natts; i++)
		if (codec->atts[i].is_bool || columns[i].kind == FM_ROW_TEXT ||
			columns[i].kind == FM_ROW_NUMERIC ||
			columns[i].kind == FM_ROW_JSONB)
			codec->checked[codec->nchecked++] = i;
	pfree(columns);
	codec->values = palloc0(sizeof(FmRowValue) * (natts + 1));
	codec->fixed = palloc0(sizeof(uint64) * (natts + 1));
	codec->key = palloc(FM_MAX_KEY_SIZE + 16);
	codec->scratch = palloc(FM_MAX_KEY_SIZE + 16);
	MemoryContextSwitchTo(old);
	return codec;
}

bool
fm_tuple_codec_is_complete(const FmTupleCodec *codec)
{
	return codec->complete;
}

int
fm_tuple_codec_missing(const FmTupleCodec *codec)
{
	return codec->missing;
}

/* The data of a varlena; detoasted in the current memory context. */
static FmSlice
varlena_slice(Datum value)
{
	struct varlena *v = PG_DETOAST_DATUM_PACKED(value);

	return fm_slice(VARDATA_ANY(v), VARSIZE_ANY_EXHDR(v));
}

static void
put_key_datum(FmBuf *out, FmKeyType type, bool desc, Datum value)
{
	FmNumeric	numeric;
	char	   *label;

	switch (type)
	{
		case FM_KEY_BOOL:
			fm_key_put_int(out, FM_KEY_BOOL, DatumGetBool(value), desc);
			break;
		case FM_KEY_CHAR:
			fm_key_put_int(out, FM_KEY_CHAR, DatumGetChar(value), desc);
			break;
		case FM_KEY_INT2:
			fm_key_put_int(out, FM_KEY_INT2, DatumGetInt16(value), desc);
			break;
		case FM_KEY_INT4:
			fm_key_put_int(out, FM_KEY_INT4, DatumGetInt32(value), desc);
			break;
		case FM_KEY_INT8:
			fm_key_put_int(out, FM_KEY_INT8, DatumGetInt64(value), desc);
			break;
		case FM_KEY_OID:
			fm_key_put_int(out, FM_KEY_OID, DatumGetObjectId(value), desc);
			break;
		case FM_KEY_FLOAT4:
			fm_key_put_float(out, type, DatumGetFloat4(value), desc);
			break;
		case FM_KEY_FLOAT8:
			fm_key_put_float(out, type, DatumGetFloat8(value), desc);
			break;
		case FM_KEY_NUMERIC:
			fm_numeric_image_parse(varlena_slice(value), &numeric);
			fm_key_put_numeric(out, &numeric, desc);
			break;
		case FM_KEY_TEXT:
		case FM_KEY_BPCHAR:
		case FM_KEY_BYTEA:
			fm_key_put_bytes(out, type, varlena_slice(value), desc);
			break;
		case FM_KEY_UUID:
			fm_key_put_bytes(out, type,
							 fm_slice(DatumGetUUIDP(value)->data, UUID_LEN),
							 desc);
			break;
		case FM_KEY_ENUM:
			label = DatumGetCString(DirectFunctionCall1(enum_out, value));
			fm_key_put_bytes(out, type, fm_slice(label, strlen(label)), desc);
			break;
	}
}

static void
check_buffer(const FmBuf *out)
{
	if (out->failed)
		fm_check_status(FM_NO_MEMORY, "row");
}

void
fm_tuple_encode_key(FmTupleCodec *codec, const Datum *values,
					const bool *isnull, FmBuf *out)
{
	MemoryContext old = MemoryContextSwitchTo(codec->work);
	size_t		start = out->len;
	int			k;

	for (k = 0; k < codec->nkeys; k++)
	{
		const FmKeyAtt *att = &codec->keys[k];

		if (isnull[att->attnum - 1])
			fm_key_put_null(out, att->desc);
		else
			put_key_datum(out, att->type, att->desc, values[att->attnum - 1]);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(codec->work);
	check_buffer(out);
	if (out->len - start > FM_MAX_KEY_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("encoded key of %zu bytes exceeds the limit of %d bytes",
						out->len - start, FM_MAX_KEY_SIZE)));
}

/* True if a lossy key column's key decodes to the very same value. */
static bool
key_tells_all(const FmKeyAtt *att, Datum value)
{
	FmSlice		bytes;
	FmNumeric	numeric;
	struct varlena *built;
	size_t		trimmed;
	float4		f4;
	float8		f8;
	uint32		u4;
	uint64		u8;

	switch (att->type)
	{
		case FM_KEY_FLOAT4:
			f4 = DatumGetFloat4(value);
			memcpy(&u4, &f4, sizeof(u4));
			return isnan(f4) ? u4 == 0x7FC00000 : u4 != 0x80000000;
		case FM_KEY_FLOAT8:
			f8 = DatumGetFloat8(value);
			memcpy(&u8, &f8, sizeof(u8));
			return isnan(f8) ? u8 == UINT64CONST(0x7FF8000000000000) :
				u8 != UINT64CONST(0x8000000000000000);
		case FM_KEY_NUMERIC:
			bytes = varlena_slice(value);
			fm_numeric_image_parse(bytes, &numeric);
			built = fm_numeric_image_build(&numeric, att->typmod);
			return fm_slice_eq(bytes, fm_slice(VARDATA(built),
											   VARSIZE(built) - VARHDRSZ));
		case FM_KEY_BPCHAR:
			bytes = varlena_slice(value);
			for (trimmed = bytes.len; trimmed > 0; trimmed--)
				if (bytes.data[trimmed - 1] != ' ')
					break;
			if (att->typmod >= (int32) VARHDRSZ)
			{
				int			chars = pg_mbstrlen_with_len((const char *) bytes.data,
														 (int) trimmed);

				trimmed += Max(att->typmod - (int32) VARHDRSZ - chars, 0);
			}
			return trimmed == bytes.len;
		default:
			return true;
	}
}

/* Fills v; what it points to lives in codec->fixed or the current context. */
static void
row_value(FmTupleCodec *codec, uint32 i, Datum value, FmRowValue *v)
{
	FmRowAtt   *att = &codec->atts[i];

	v->is_null = false;
	switch (att->kind)
	{
		case FM_ROW_FIXED:
			if (att->byval)
			{
				/* A little-endian server: the low bytes come first. */
				codec->fixed[i] = (uint64) value;
				v->bytes = fm_slice(&codec->fixed[i], att->width);
			}
			else
				v->bytes = fm_slice(DatumGetPointer(value), att->width);
			break;
		case FM_ROW_SEND:
		case FM_ROW_OUTPUT:
			v->bytes = fm_value_io_out(&att->io, value);
			break;
		default:
			v->bytes = varlena_slice(value);
			break;
	}
}

typedef struct FmEncodeWork
{
	FmTupleCodec *codec;
	const Datum *values;
	const bool *isnull;
	const FmRow *old;			/* see fm_tuple_encode_row; may be NULL */
	FmBuf	   *out;
} FmEncodeWork;

/* The value of an attribute without a local column: the old row's. */
static void
keep_value(const FmRow *old, uint32 i, FmRowValue *v)
{
	if (!fm_row_get(old, i, &v->bytes))
		return;
	v->is_null = false;
	if (fm_row_kind_is_varlena(old->layout->columns[i].kind))
		v->bytes = varlena_slice(PointerGetDatum(v->bytes.data));
}

static void
encode_row(void *arg)
{
	FmEncodeWork *work = arg;
	FmTupleCodec *codec = work->codec;
	MemoryContext old = MemoryContextSwitchTo(codec->work);
	FmStatus	status;
	uint32		i;

	for (i = 0; i < codec->layout->natts; i++)
	{
		const FmRowAtt *att = &codec->atts[i];
		FmRowValue *v = &codec->values[i];

		v->is_null = true;
		if (att->attnum == 0 && work->old != NULL)
			keep_value(work->old, i, v);
		if (att->attnum == 0 || work->isnull[att->attnum - 1])
			continue;
		if (att->key >= 0 && key_tells_all(&codec->keys[att->key],
										   work->values[att->attnum - 1]))
			continue;
		row_value(codec, i, work->values[att->attnum - 1], v);
	}
	status = fm_row_encode(codec->layout, codec->values, work->out);
	MemoryContextSwitchTo(old);
	MemoryContextReset(codec->work);
	if (status == FM_TOO_LARGE)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("encoded row exceeds the limit of %u bytes",
						FM_MAX_ROW_SIZE)));
	fm_check_status(status, "row");
}

void
fm_tuple_encode_row(FmTupleCodec *codec, const Datum *values,
					const bool *isnull, FmSlice old, FmBuf *out)
{
	FmEncodeWork work = {codec, values, isnull, NULL, out};
	FmRow		opened;

	if (old.data != NULL)
	{
		fm_row_open(codec->layout, old, &opened);
		work.old = &opened;
	}
	if (codec->missing > 0)
		elog(ERROR, "row encoder lacks %d columns of the foreign table",
			 codec->missing);
	if (codec->has_io)
		fm_value_io_call(codec->has_text_io, encode_row, &work);
	else
		encode_row(&work);
}

static bool
is_integer_type(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

static bool
is_float_type(Oid type)
{
	return type == FLOAT4OID || type == FLOAT8OID;
}

static bool
is_text_type(Oid type)
{
	return type == TEXTOID || type == VARCHAROID;
}

/*
 * Is a value of the one type compared with a column of the other by making it
 * one of that type?  A timestamptz is not: the column is converted then.
 */
static bool
is_time_conversion(Oid from, Oid to)
{
	switch (from)
	{
		case DATEOID:
			return to == TIMESTAMPOID || to == TIMESTAMPTZOID;
		case TIMESTAMPOID:
			return to == DATEOID || to == TIMESTAMPTZOID;
		default:
			return false;
	}
}

bool
fm_key_input_init_type(Oid column_type, bool desc, Oid value_type,
					   FmKeyInput *input)
{
	FmTypeForm	form;

	fm_schema_type_form(column_type, -1, &form);
	input->type = form.key_type;
	input->desc = desc;
	input->column_type = form.base;
	input->value_type = getBaseType(value_type);
	if (form.key_type == 0)
		return false;
	return input->value_type == input->column_type ||
		(is_integer_type(input->column_type) &&
		 is_integer_type(input->value_type)) ||
		(is_float_type(input->column_type) &&
		 is_float_type(input->value_type)) ||
		(is_text_type(input->column_type) &&
		 (is_text_type(input->value_type) ||
		  input->value_type == NAMEOID)) ||
		is_time_conversion(input->value_type, input->column_type);
}

bool
fm_key_input_init(const FmTupleCodec *codec, int keyno, Oid value_type,
				  FmKeyInput *input)
{
	return fm_key_input_init_type(codec->keys[keyno].base,
								  codec->keys[keyno].desc, value_type, input);
}

static FmKeyMatch
put_integer(const FmKeyInput *input, Datum value, FmBuf *out)
{
	int64		v;
	int64		min = PG_INT64_MIN;
	int64		max = PG_INT64_MAX;

	if (input->value_type == INT2OID)
		v = DatumGetInt16(value);
	else if (input->value_type == INT4OID)
		v = DatumGetInt32(value);
	else
		v = DatumGetInt64(value);
	if (input->type == FM_KEY_INT2)
	{
		min = PG_INT16_MIN;
		max = PG_INT16_MAX;
	}
	else if (input->type == FM_KEY_INT4)
	{
		min = PG_INT32_MIN;
		max = PG_INT32_MAX;
	}
	if (v < min)
		return FM_KEY_MATCH_BELOW;
	fm_key_put_int(out, input->type, Min(v, max), input->desc);
	return v > max ? FM_KEY_MATCH_FLOOR : FM_KEY_MATCH_EXACT;
}

static FmKeyMatch
put_float(const FmKeyInput *input, Datum value, FmBuf *out)
{
	double		d = input->value_type == FLOAT4OID ?
	(double) DatumGetFloat4(value) : DatumGetFloat8(value);
	float		f = (float) d;

	if (input->type == FM_KEY_FLOAT8 || isnan(d) || (double) f == d)
	{
		fm_key_put_float(out, input->type, d, input->desc);
		return FM_KEY_MATCH_EXACT;
	}
	if ((double) f > d)
		f = nextafterf(f, -INFINITY);
	fm_key_put_float(out, input->type, f, input->desc);
	return FM_KEY_MATCH_FLOOR;
}

static FmKeyMatch
put_date(Timestamp value, bool desc, FmBuf *out)
{
	Timestamp	day;

	if (TIMESTAMP_NOT_FINITE(value))
	{
		fm_key_put_int(out, FM_KEY_INT4, TIMESTAMP_IS_NOBEGIN(value) ?
					   DATEVAL_NOBEGIN : DATEVAL_NOEND, desc);
		return FM_KEY_MATCH_EXACT;
	}
	day = value / USECS_PER_DAY - (value % USECS_PER_DAY < 0);
	fm_key_put_int(out, FM_KEY_INT4, day, desc);
	return value % USECS_PER_DAY == 0 ? FM_KEY_MATCH_EXACT :
		FM_KEY_MATCH_FLOOR;
}

/* What a column of timestamps cannot hold lies beyond all but infinity. */
static FmKeyMatch
put_timestamp(const FmKeyInput *input, Datum value, FmBuf *out)
{
	Timestamp	result;
	int			overflow = 0;

	if (input->value_type == TIMESTAMPOID)
		result = timestamp2timestamptz_opt_overflow(DatumGetTimestamp(value),
													&overflow);
	else if (input->column_type == TIMESTAMPOID)
		result = date2timestamp_opt_overflow(DatumGetDateADT(value),
											 &overflow);
	else
		result = date2timestamptz_opt_overflow(DatumGetDateADT(value),
											   &overflow);
	if (overflow > 0)
		result = END_TIMESTAMP - 1;
	else if (overflow < 0)
		result = DT_NOBEGIN;
	fm_key_put_int(out, FM_KEY_INT8, result, input->desc);
	return overflow == 0 ? FM_KEY_MATCH_EXACT : FM_KEY_MATCH_FLOOR;
}

FmKeyMatch
fm_key_input_put(const FmKeyInput *input, Datum value, FmBuf *out)
{
	FmKeyMatch	match = FM_KEY_MATCH_EXACT;

	if (input->value_type == NAMEOID)
		put_key_datum(out, input->type, input->desc,
					  PointerGetDatum(cstring_to_text(NameStr(*DatumGetName(value)))));
	else if (input->value_type == input->column_type ||
			 is_text_type(input->column_type))
		put_key_datum(out, input->type, input->desc, value);
	else if (input->column_type == DATEOID)
		match = put_date(DatumGetTimestamp(value), input->desc, out);
	else if (is_time_conversion(input->value_type, input->column_type))
		match = put_timestamp(input, value, out);
	else if (is_integer_type(input->column_type))
		match = put_integer(input, value, out);
	else
		match = put_float(input, value, out);
	check_buffer(out);
	return match;
}
