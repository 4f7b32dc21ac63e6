/*-------------------------------------------------------------------------
 *
 * fuzz_key.c
 *	  Keys from hostile bytes: refused, or the one encoding of their value.
 *
 * Input: type, direction, key.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "format/key_codec.h"

int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
put(FmBuf *out, FmKeyType type, const FmKeyValue *v, bool desc)
{
	if (v->is_null)
		fm_key_put_null(out, desc);
	else if (type == FM_KEY_FLOAT4 || type == FM_KEY_FLOAT8)
		fm_key_put_float(out, type, v->real, desc);
	else if (type == FM_KEY_NUMERIC)
		fm_key_put_numeric(out, &v->numeric, desc);
	else if (type >= FM_KEY_TEXT)
		fm_key_put_bytes(out, type, v->bytes, desc);
	else
		fm_key_put_int(out, type, v->integer, desc);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint16_t scratch[FM_MAX_KEY_SIZE / 2];
	FmKeyType	type;
	bool		desc;
	FmSlice		key;
	FmCursor	c;
	FmCursor	skipped;
	FmKeyValue	v;
	FmFault		fault;
	FmStatus	status;
	FmBuf		out;

	if (size < 2 || size > FM_MAX_KEY_SIZE + 2)
		return 0;
	type = (FmKeyType) (1 + data[0] % FM_KEY_ENUM);
	desc = (data[1] & 1) != 0;
	key = fm_slice(data + 2, size - 2);
	c = skipped = fm_cursor(key);
	status = fm_key_take(&c, type, desc, (uint8_t *) scratch, &v, &fault);
	if (fm_key_skip(&skipped, type, desc, NULL) != status ||
		skipped.pos != c.pos)
		abort();
	if (status != FM_OK)
		return 0;
	fm_buf_init(&out, &fm_alloc_malloc);
	put(&out, type, &v, desc);
	if (!fm_slice_eq(fm_buf_slice(&out),
					 fm_slice(key.data, (size_t) (c.pos - key.data))))
		abort();
	fm_buf_free(&out);
	return 0;
}
