/*-------------------------------------------------------------------------
 *
 * key_text.c
 *	  Keys for people to read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/lsyscache.h"

#include "engine/key_text.h"
#include "engine/tuple_binding.h"

static void
append_bytes(StringInfo out, FmSlice bytes, int encoding)
{
	int			valid = pg_encoding_verifymbstr(encoding,
												(const char *) bytes.data,
												(int) bytes.len);

	appendBinaryStringInfo(out, (const char *) bytes.data, valid);
}

static void
append_value(StringInfo out, const FmTupleCodec *codec, const FmKeyAtt *att,
			 const FmKeyValue *value)
{
	Oid			output;
	bool		varlena;

	if (value->is_null)
		appendStringInfoString(out, "null");
	else if (att->type == FM_KEY_TEXT || att->type == FM_KEY_BPCHAR ||
			 att->type == FM_KEY_ENUM)
		append_bytes(out, value->bytes, codec->encoding);
	else
	{
		getTypeOutputInfo(att->base, &output, &varlena);
		appendStringInfoString(out,
							   OidOutputFunctionCall(output,
													 fm_tuple_key_datum(att,
																		value)));
	}
}

/* What is left of a text column that is cut. */
static void
append_cut(StringInfo out, const FmTupleCodec *codec, const FmKeyAtt *att,
		   FmCursor left)
{
	uint8		bytes[FM_MAX_KEY_SIZE];
	size_t		n = 0;

	if ((att->type == FM_KEY_TEXT || att->type == FM_KEY_BPCHAR ||
		 att->type == FM_KEY_ENUM) &&
		fm_take_u8(&left) == FM_KEY_TAG_VALUE)
	{
		while (fm_cursor_left(&left) > 0 && n < sizeof(bytes))
		{
			uint8		byte = fm_take_u8(&left);

			if (att->desc)
				byte = ~byte;
			if (byte == 0)
				break;
			bytes[n++] = byte;
		}
		append_bytes(out, fm_slice(bytes, n), codec->encoding);
	}
	appendStringInfoString(out, "...");
}

char *
fm_key_to_text(const FmTupleCodec *codec, FmSlice key)
{
	FmCursor	cursor = fm_cursor(key);
	uint8	   *scratch = palloc(FM_MAX_KEY_SIZE);
	StringInfoData out;
	int			i;

	initStringInfo(&out);
	for (i = 0; i < codec->nkeys; i++)
	{
		const FmKeyAtt *att = &codec->keys[i];
		FmCursor	start = cursor;
		FmKeyValue	value;
		FmFault		fault;

		if (i > 0)
			appendStringInfoString(&out, ", ");
		if (fm_key_take(&cursor, att->type, att->desc, scratch, &value,
						&fault) != FM_OK)
		{
			append_cut(&out, codec, att, start);
			break;
		}
		append_value(&out, codec, att, &value);
	}
	pfree(scratch);
	return out.data;
}
