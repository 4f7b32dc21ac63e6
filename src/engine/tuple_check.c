/*-------------------------------------------------------------------------
 *
 * tuple_check.c
 *	  The check of a data block's keys and rows on entering the cache.
 *
 * It runs once for each block that is read, over all its rows: tables whose
 * key is one integer or uuid take a short way.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "engine/datum_check.h"
#include "engine/numeric_image.h"
#include "engine/tuple_binding.h"

static bool
key_type_is_text(FmKeyType type)
{
	return type == FM_KEY_TEXT || type == FM_KEY_BPCHAR ||
		type == FM_KEY_ENUM;
}

static FmStatus
check_key(FmTupleCodec *codec, FmSlice key, FmFault *fault)
{
	FmCursor	cursor = fm_cursor(key);
	int			k;

	for (k = 0; k < codec->nkeys; k++)
	{
		const FmKeyAtt *att = &codec->keys[k];
		FmKeyValue	value;
		FmStatus	status;

		if (!key_type_is_text(att->type))
		{
			status = fm_key_skip(&cursor, att->type, att->desc, fault);
			if (status != FM_OK)
				return status;
			continue;
		}
		status = fm_key_take(&cursor, att->type, att->desc, codec->scratch,
							 &value, fault);
		if (status != FM_OK)
			return status;
		if (!value.is_null &&
			!fm_datum_check_text(value.bytes, codec->encoding))
			return fm_fault(fault, FM_CORRUPTION, "invalid text in a key", 0);
	}
	if (cursor.pos != cursor.end)
		return fm_fault(fault, FM_CORRUPTION, "key is too long", 0);
	return FM_OK;
}

/* What is wrong with a value, or NULL. */
static const char *
content_fault(const FmTupleCodec *codec, const FmRowAtt *att, FmSlice bytes)
{
	size_t		header;

	if (att->is_bool)
		return bytes.data[0] > 1 ? "undefined value of bool" : NULL;
	header = (bytes.data[0] & 1) != 0 ? 1 : VARHDRSZ;
	bytes = fm_slice(bytes.data + header, bytes.len - header);
	switch (att->kind)
	{
		case FM_ROW_NUMERIC:
			return fm_numeric_image_check(bytes);
		case FM_ROW_JSONB:
			return fm_datum_check_jsonb(bytes, codec->encoding);
		default:
			return fm_datum_check_text(bytes, codec->encoding) ? NULL :
				"invalid text in a row";
	}
}

static FmStatus
check_row(const FmTupleCodec *codec, FmSlice row, FmFault *fault)
{
	FmStatus	status = fm_row_check(codec->layout, row, fault);
	FmRow		opened;
	uint32		i;

	if (status != FM_OK || codec->nchecked == 0)
		return status;
	fm_row_open(codec->layout, row, &opened);
	for (i = 0; i < codec->nchecked; i++)
	{
		uint32		att = codec->checked[i];
		FmSlice		bytes;
		const char *what;

		if (!fm_row_get(&opened, att, &bytes))
			continue;
		what = content_fault(codec, &codec->atts[att], bytes);
		if (what != NULL)
			return fm_fault(fault, FM_CORRUPTION, what,
							(uint64) (bytes.data - row.data));
	}
	return FM_OK;
}

/*
 * Length of every key that is not NULL of a table whose key is one column of
 * which all bytes of the right number are a value; 0 for other tables.
 */
static size_t
plain_key_len(const FmTupleCodec *codec)
{
	switch (codec->keys[0].type)
	{
		case FM_KEY_CHAR:
		case FM_KEY_INT2:
		case FM_KEY_INT4:
		case FM_KEY_INT8:
		case FM_KEY_OID:
		case FM_KEY_UUID:
			return codec->nkeys > 1 ? 0 :
				1 + fm_key_type_width(codec->keys[0].type);
		default:
			return 0;
	}
}

FmStatus
fm_tuple_check_rows(FmTupleCodec *codec, const FmDataBlock *block,
					FmFault *fault)
{
	const FmKeyTable *keys = &block->keys;
	size_t		plain = plain_key_len(codec);
	uint32		i;

	for (i = 0; i < keys->count; i++)
	{
		FmSlice		suffix = fm_key_table_suffix(keys, i);
		FmSlice		row;
		FmStatus	status = FM_OK;
		uint64		at = (uint64) (suffix.data - block->base);
		uint8		tag = keys->prefix_len > 0 ? keys->prefix[0] :
		suffix.len > 0 ? suffix.data[0] : 0;

		if (plain == 0 || tag != FM_KEY_TAG_VALUE ||
			keys->prefix_len + suffix.len != plain)
		{
			size_t		len = fm_key_table_key(keys, i, codec->key);

			status = check_key(codec, fm_slice(codec->key, len), fault);
		}
		if (status == FM_OK && !fm_data_block_is_tombstone(block, i))
		{
			row = fm_data_block_row(block, i);
			at = (uint64) (row.data - block->base);
			status = check_row(codec, row, fault);
		}
		if (status != FM_OK)
		{
			if (fault != NULL)
				fault->offset += at;
			return status;
		}
	}
	return FM_OK;
}
