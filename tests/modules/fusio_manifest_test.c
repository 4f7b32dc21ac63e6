/*-------------------------------------------------------------------------
 *
 * fusio_manifest_test.c
 *	  SQL functions that show the codecs to regression tests.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "engine/tuple_codec.h"
#include "objstore/pg_alloc.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(fm_test_key);
PG_FUNCTION_INFO_V1(fm_test_row_key);
PG_FUNCTION_INFO_V1(fm_test_round_trip);
PG_FUNCTION_INFO_V1(fm_test_row_size);
PG_FUNCTION_INFO_V1(fm_test_key_input);
PG_FUNCTION_INFO_V1(fm_test_damage);
PG_FUNCTION_INFO_V1(fm_test_read_as);

/* A row argument, encoded. */
typedef struct FmTestRow
{
	TupleDesc	desc;
	FmTable    *table;
	Datum	   *values;
	bool	   *isnull;
	FmTupleCodec *codec;
	FmAlloc		alloc;
	FmBuf		key;
	FmBuf		row;
} FmTestRow;

static bytea *
slice_bytea(FmSlice s)
{
	bytea	   *result = palloc(VARHDRSZ + s.len);

	SET_VARSIZE(result, VARHDRSZ + s.len);
	if (s.len > 0)
		memcpy(VARDATA(result), s.data, s.len);
	return result;
}

/* Describes the type of a composite value, whose first columns are the key. */
static FmTable *
describe_argument(HeapTupleHeader header, ArrayType *descending,
				  TupleDesc *desc, const char ***names)
{
	FmKeySpec  *keys;
	Datum	   *flags;
	int			nkeys;
	int			i;

	*desc = lookup_rowtype_tupdesc_copy(HeapTupleHeaderGetTypeId(header),
										HeapTupleHeaderGetTypMod(header));
	*names = palloc0(sizeof(char *) * (*desc)->natts);
	for (i = 0; i < (*desc)->natts; i++)
		if (!TupleDescAttr(*desc, i)->attisdropped)
			(*names)[i] = NameStr(TupleDescAttr(*desc, i)->attname);
	deconstruct_array(descending, BOOLOID, 1, true, TYPALIGN_CHAR, &flags,
					  NULL, &nkeys);
	keys = palloc(sizeof(FmKeySpec) * nkeys);
	for (i = 0; i < nkeys; i++)
	{
		keys[i].attnum = (AttrNumber) (i + 1);
		keys[i].desc = DatumGetBool(flags[i]);
	}
	return fm_schema_describe(*desc, *names, keys, nkeys,
							  CurrentMemoryContext);
}

static void
encode_argument(FunctionCallInfo fcinfo, FmTestRow *r)
{
	HeapTupleHeader header = PG_GETARG_HEAPTUPLEHEADER(0);
	HeapTupleData tuple;
	const char **names;

	r->table = describe_argument(header, PG_GETARG_ARRAYTYPE_P(1), &r->desc,
								 &names);
	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = header;
	r->values = palloc0(sizeof(Datum) * r->desc->natts);
	r->isnull = palloc0(sizeof(bool) * r->desc->natts);
	heap_deform_tuple(&tuple, r->desc, r->values, r->isnull);
	r->codec = fm_tuple_codec_create(r->desc, names, r->table, r->table,
									 "test", CurrentMemoryContext);
	r->alloc = fm_palloc_alloc(CurrentMemoryContext);
	fm_buf_init(&r->key, &r->alloc);
	fm_buf_init(&r->row, &r->alloc);
	fm_tuple_encode_key(r->codec, r->values, r->isnull, &r->key);
	fm_tuple_encode_row(r->codec, r->values, r->isnull, fm_slice(NULL, 0),
						&r->row);
}

/* A data block of one entry; see format/data_block.h. */
static void
make_block(FmTestRow *r, FmBuf *raw, FmDataBlock *block)
{
	uint32		keys_size = 8 + (uint32) TYPEALIGN(4, r->key.len);
	uint32		start = 8 + keys_size + 4;

	fm_buf_init(raw, &r->alloc);
	fm_buf_put_u32(raw, start);
	fm_buf_put_u32(raw, 0);
	fm_buf_put_u32(raw, 1);
	fm_buf_put_u16(raw, 0);
	fm_buf_put_u16(raw, (uint16) r->key.len);
	fm_buf_put_slice(raw, fm_buf_slice(&r->key));
	fm_buf_align(raw, 4);
	fm_buf_put_u32(raw, start);
	fm_buf_put_slice(raw, fm_buf_slice(&r->row));
	block->base = raw->data;
	block->size = (uint32) raw->len;
	block->row_starts = raw->data + 8 + keys_size;
	fm_key_table_open(raw->data + 8, &block->keys);
}

static void
decode_block(FmTestRow *r, const FmDataBlock *block, Datum *values,
			 bool *isnull)
{
	FmTupleProjection *all = fm_tuple_projection_create(r->codec, NULL,
														CurrentMemoryContext);

	memset(isnull, true, r->desc->natts);
	fm_tuple_decode(all, fm_key_table_suffix(&block->keys, 0),
					fm_data_block_row(block, 0), values, isnull,
					CurrentMemoryContext);
}

Datum
fm_test_key(PG_FUNCTION_ARGS)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, 0);
	FmAlloc		alloc = fm_palloc_alloc(CurrentMemoryContext);
	FmKeyInput	input;
	FmBuf		out;

	fm_buf_init(&out, &alloc);
	if (!fm_key_input_init_type(type, PG_GETARG_BOOL(1), type, &input))
		elog(ERROR, "type %s cannot be a key", format_type_be(type));
	if (fm_key_input_put(&input, PG_GETARG_DATUM(0),
						 &out) != FM_KEY_MATCH_EXACT)
		elog(ERROR, "value of the column's own type is not exact");
	PG_RETURN_BYTEA_P(slice_bytea(fm_buf_slice(&out)));
}

Datum
fm_test_row_key(PG_FUNCTION_ARGS)
{
	FmTestRow	r;

	encode_argument(fcinfo, &r);
	PG_RETURN_BYTEA_P(slice_bytea(fm_buf_slice(&r.key)));
}

Datum
fm_test_row_size(PG_FUNCTION_ARGS)
{
	FmTestRow	r;

	encode_argument(fcinfo, &r);
	PG_RETURN_INT32((int32) r.row.len);
}

Datum
fm_test_round_trip(PG_FUNCTION_ARGS)
{
	FmTestRow	r;
	FmBuf		raw;
	FmDataBlock block;
	FmFault		fault;
	Datum	   *values;
	bool	   *isnull;
	HeapTuple	tuple;

	encode_argument(fcinfo, &r);
	make_block(&r, &raw, &block);
	if (fm_tuple_check_rows(r.codec, &block, &fault) != FM_OK)
		elog(ERROR, "check refused a row of ours: %s", fault.what);
	values = palloc0(sizeof(Datum) * r.desc->natts);
	isnull = palloc(sizeof(bool) * r.desc->natts);
	decode_block(&r, &block, values, isnull);
	tuple = heap_form_tuple(r.desc, values, isnull);
	PG_RETURN_DATUM(heap_copy_tuple_as_datum(tuple, r.desc));
}

Datum
fm_test_key_input(PG_FUNCTION_ARGS)
{
	static const char *const words[] = {"exact", "floor", "below"};
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, 1);
	FmAlloc		alloc = fm_palloc_alloc(CurrentMemoryContext);
	FmKeyInput	input;
	FmKeyMatch	match;
	FmBuf		out;
	TupleDesc	desc;
	Datum		values[2];
	bool		isnull[2] = {false, false};

	fm_buf_init(&out, &alloc);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (!fm_key_input_init_type(PG_GETARG_OID(0), false, type, &input))
	{
		isnull[0] = isnull[1] = true;
		PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values,
														  isnull)));
	}
	match = fm_key_input_put(&input, PG_GETARG_DATUM(1), &out);
	values[0] = CStringGetTextDatum(words[match]);
	values[1] = PointerGetDatum(slice_bytea(fm_buf_slice(&out)));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, isnull)));
}

/* Prints every value; a type's own error is as good as a noticed flip. */
static void
print_values(FmTestRow *r, const FmDataBlock *block)
{
	MemoryContext old = CurrentMemoryContext;
	Datum	   *values = palloc0(sizeof(Datum) * r->desc->natts);
	bool	   *isnull = palloc(sizeof(bool) * r->desc->natts);
	int			i;

	PG_TRY();
	{
		decode_block(r, block, values, isnull);
		for (i = 0; i < r->desc->natts; i++)
		{
			Oid			type = TupleDescAttr(r->desc, i)->atttypid;
			Oid			out;
			bool		is_varlena;

			if (isnull[i])
				continue;
			getTypeOutputInfo(type, &out, &is_varlena);
			(void) OidOutputFunctionCall(out, values[i]);
		}
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(old);
		FlushErrorState();
	}
	PG_END_TRY();
}

Datum
fm_test_damage(PG_FUNCTION_ARGS)
{
	FmTestRow	r;
	FmBuf		raw;
	FmDataBlock block;
	FmFault		fault;
	TupleDesc	desc;
	Datum		values[2];
	bool		isnull[2] = {false, false};
	MemoryContext cxt;
	MemoryContext old;
	int			noticed = 0;
	int			harmless = 0;
	uint32		row_start;
	uint32		bit;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	encode_argument(fcinfo, &r);
	make_block(&r, &raw, &block);
	row_start = (uint32) (fm_data_block_row(&block, 0).data - block.base);
	cxt = AllocSetContextCreate(CurrentMemoryContext, "flip",
								ALLOCSET_DEFAULT_SIZES);
	for (bit = 16 * 8; bit < block.size * 8; bit++)
	{
		/* The structure of the block itself is checked elsewhere. */
		if (bit >= (16 + (uint32) r.key.len) * 8 && bit < row_start * 8)
			continue;
		raw.data[bit / 8] ^= (uint8) (1 << (bit % 8));
		old = MemoryContextSwitchTo(cxt);
		if (fm_tuple_check_rows(r.codec, &block, &fault) != FM_OK)
			noticed++;
		else
		{
			harmless++;
			print_values(&r, &block);
		}
		MemoryContextSwitchTo(old);
		MemoryContextReset(cxt);
		raw.data[bit / 8] ^= (uint8) (1 << (bit % 8));
		CHECK_FOR_INTERRUPTS();
	}
	values[0] = Int32GetDatum(noticed);
	values[1] = Int32GetDatum(harmless);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, isnull)));
}

/*
 * Reads the row through another type: columns that it lacks, or that the row
 * lacks.  Once with the table as it was, once with the columns added.
 */
Datum
fm_test_read_as(PG_FUNCTION_ARGS)
{
	HeapTupleHeader target = PG_GETARG_HEAPTUPLEHEADER(2);
	FmTestRow	r;
	FmBuf		raw;
	FmDataBlock block;
	FmFault		fault;
	TupleDesc	result_desc;
	TupleDesc	desc;
	const char **names;
	FmTable    *local;
	Datum		results[4];
	bool		nulls[4] = {false, false, false, false};
	Datum	   *values;
	bool	   *isnull;
	int			pass;

	if (get_call_result_type(fcinfo, NULL, &result_desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	encode_argument(fcinfo, &r);
	make_block(&r, &raw, &block);
	local = describe_argument(target, PG_GETARG_ARRAYTYPE_P(1), &desc, &names);
	values = palloc0(sizeof(Datum) * desc->natts);
	isnull = palloc(sizeof(bool) * desc->natts);
	for (pass = 0; pass < 2; pass++)
	{
		FmTable    *stored = pass == 0 ? r.table :
		fm_schema_extend(local, r.table, CurrentMemoryContext);
		FmTupleCodec *codec = fm_tuple_codec_create(desc, names, local, stored,
													"test",
													CurrentMemoryContext);
		FmTupleProjection *all = fm_tuple_projection_create(codec, NULL,
															CurrentMemoryContext);
		HeapTuple	tuple;

		if (fm_tuple_check_rows(codec, &block, &fault) != FM_OK)
			elog(ERROR, "check refused a row of ours: %s", fault.what);
		memset(isnull, true, desc->natts);
		fm_tuple_decode(all, fm_key_table_suffix(&block.keys, 0),
						fm_data_block_row(&block, 0), values, isnull,
						CurrentMemoryContext);
		tuple = heap_form_tuple(desc, values, isnull);
		results[2 + pass] = CStringGetTextDatum(OidOutputFunctionCall(F_RECORD_OUT,
																	  heap_copy_tuple_as_datum(tuple, desc)));
		if (pass == 0)
		{
			results[0] = Int32GetDatum(fm_tuple_codec_missing(codec));
			results[1] = BoolGetDatum(fm_tuple_codec_is_complete(codec));
		}
		else if (fm_tuple_codec_missing(codec) != 0)
			elog(ERROR, "columns are missing after they were added");
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(result_desc, results,
													  nulls)));
}
