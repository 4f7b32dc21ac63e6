/*-------------------------------------------------------------------------
 *
 * key_codec.c
 *	  Keys: encoding, decoding and checking of columns.
 *
 * Each value has one encoding, and the decoder refuses all other bytes: two
 * keys are equal exactly if their bytes are.
 *
 *-------------------------------------------------------------------------
 */
#include "format/key_codec.h"

#define NUMERIC_DIGIT_MAX 9999

/* In text and bytea, a zero byte and the end. */
#define BYTES_ESCAPE 0x00
#define BYTES_ZERO 0xFF
#define BYTES_END 0x01

#define FLOAT4_SIGN 0x80000000u
#define FLOAT4_INF 0x7F800000u
#define FLOAT4_NAN 0x7FC00000u
#define FLOAT8_SIGN UINT64_C(0x8000000000000000)
#define FLOAT8_INF UINT64_C(0x7FF0000000000000)
#define FLOAT8_NAN UINT64_C(0x7FF8000000000000)

bool
fm_key_type_is_lossless(FmKeyType type)
{
	return type != FM_KEY_FLOAT4 && type != FM_KEY_FLOAT8 &&
		type != FM_KEY_NUMERIC && type != FM_KEY_BPCHAR;
}

void
fm_key_put_null(FmBuf *out, bool desc)
{
	fm_buf_put_u8(out, desc ? FM_KEY_TAG_NULL_FIRST : FM_KEY_TAG_NULL_LAST);
}

static void
put_big_endian(uint8_t *p, uint64_t v, size_t width)
{
	while (width > 0)
	{
		p[--width] = (uint8_t) v;
		v >>= 8;
	}
}

static uint64_t
get_big_endian(const uint8_t *p, size_t width)
{
	uint64_t	v = 0;
	size_t		i;

	for (i = 0; i < width; i++)
		v = v << 8 | p[i];
	return v;
}

void
fm_key_put_float(FmBuf *out, FmKeyType type, double value, bool desc)
{
	uint8_t		b[9];
	size_t		width = fm_key_type_width(type);
	uint64_t	v;

	if (type == FM_KEY_FLOAT4)
	{
		float		f = (float) value;
		uint32_t	u;

		memcpy(&u, &f, sizeof(u));
		if ((u & ~FLOAT4_SIGN) > FLOAT4_INF)
			u = FLOAT4_NAN;
		if (u == FLOAT4_SIGN)
			u = 0;
		v = (u & FLOAT4_SIGN) != 0 ? ~u : u ^ FLOAT4_SIGN;
	}
	else
	{
		memcpy(&v, &value, sizeof(v));
		if ((v & ~FLOAT8_SIGN) > FLOAT8_INF)
			v = FLOAT8_NAN;
		if (v == FLOAT8_SIGN)
			v = 0;
		v = (v & FLOAT8_SIGN) != 0 ? ~v : v ^ FLOAT8_SIGN;
	}
	b[0] = FM_KEY_TAG_VALUE;
	put_big_endian(b + 1, desc ? ~v : v, width);
	fm_buf_put(out, b, 1 + width);
}

/*
 * Class byte (FmNumericClass + 1); for numbers other than zero weight, digits
 * + 1 and an end of 0, all inverted if the number is negative.
 */
void
fm_key_put_numeric(FmBuf *out, const FmNumeric *value, bool desc)
{
	uint16_t	n = value->ndigits;
	uint16_t	flip;
	uint8_t    *p;
	uint16_t	i;

	if (!fm_buf_reserve(out, 6 + (size_t) n * 2))
		return;
	p = out->data + out->len;
	p[0] = FM_KEY_TAG_VALUE;
	p[1] = (uint8_t) (value->class + 1);
	if (desc)
		p[1] = (uint8_t) ~p[1];
	if (value->class != FM_NUMERIC_NEGATIVE &&
		value->class != FM_NUMERIC_POSITIVE)
	{
		out->len += 2;
		return;
	}
	flip = (value->class == FM_NUMERIC_NEGATIVE) != desc ? 0xFFFF : 0;
	while (n > 0 && value->digits[n - 1] == 0)
		n--;
	put_big_endian(p + 2, ((uint16_t) value->weight ^ 0x8000) ^ flip, 2);
	p += 4;
	for (i = 0; i < n; i++, p += 2)
		put_big_endian(p, (uint64_t) (value->digits[i] + 1) ^ flip, 2);
	put_big_endian(p, flip, 2);
	out->len += 6 + (size_t) n * 2;
}

static void
put_escaped(FmBuf *out, FmSlice value, bool desc)
{
	size_t		len = value.len;
	size_t		i;
	uint8_t    *start;
	uint8_t    *p;

	for (i = 0; i < value.len; i++)
		len += value.data[i] == BYTES_ESCAPE;
	if (!fm_buf_reserve(out, len + 2))
		return;
	start = p = out->data + out->len;
	if (len == value.len)
	{
		if (len > 0)
			memcpy(p, value.data, len);
		p += len;
	}
	else
	{
		for (i = 0; i < value.len; i++)
		{
			*p++ = value.data[i];
			if (value.data[i] == BYTES_ESCAPE)
				*p++ = BYTES_ZERO;
		}
	}
	*p++ = BYTES_ESCAPE;
	*p++ = BYTES_END;
	out->len += len + 2;
	if (desc)
		for (; start < p; start++)
			*start = (uint8_t) ~*start;
}

void
fm_key_put_bytes(FmBuf *out, FmKeyType type, FmSlice value, bool desc)
{
	size_t		i;

	fm_buf_put_u8(out, FM_KEY_TAG_VALUE);
	if (type == FM_KEY_UUID)
	{
		for (i = 0; i < value.len; i++)
			fm_buf_put_u8(out, desc ? (uint8_t) ~value.data[i] :
						  value.data[i]);
		return;
	}
	if (type == FM_KEY_BPCHAR)
		while (value.len > 0 && value.data[value.len - 1] == ' ')
			value.len--;
	put_escaped(out, value, desc);
}

static FmStatus
bad_key(FmFault *fault, const char *what, const uint8_t *start,
		const uint8_t *at)
{
	return fm_fault(fault, FM_CORRUPTION, what, (uint64_t) (at - start));
}

/*
 * The body of a float; false for the bytes of -0 and of a NaN other than the
 * one that is written.
 */
static bool
take_float(const uint8_t *body, FmKeyType type, bool desc, double *value)
{
	uint64_t	v = get_big_endian(body, fm_key_type_width(type));

	if (desc)
		v = ~v;
	if (type == FM_KEY_FLOAT4)
	{
		uint32_t	u = (uint32_t) v;
		float		f;

		u = (u & FLOAT4_SIGN) != 0 ? u ^ FLOAT4_SIGN : ~u;
		if (u == FLOAT4_SIGN ||
			((u & ~FLOAT4_SIGN) > FLOAT4_INF && u != FLOAT4_NAN))
			return false;
		memcpy(&f, &u, sizeof(f));
		*value = f;
		return true;
	}
	v = (v & FLOAT8_SIGN) != 0 ? v ^ FLOAT8_SIGN : ~v;
	if (v == FLOAT8_SIGN ||
		((v & ~FLOAT8_SIGN) > FLOAT8_INF && v != FLOAT8_NAN))
		return false;
	memcpy(value, &v, sizeof(v));
	return true;
}

/*
 * Length of a numeric's body, 0 if it breaks the grammar.  With digits set,
 * the value is decoded too.
 */
static size_t
take_numeric(const uint8_t *body, size_t left, bool desc, uint16_t *digits,
			 FmNumeric *value)
{
	uint16_t	flip = desc ? 0xFFFF : 0;
	uint16_t	n = 0;
	uint16_t	last = 0;
	size_t		pos = 3;
	int			class;

	if (left < 1)
		return 0;
	class = (body[0] ^ (flip & 0xFF)) - 1;
	if (class < FM_NUMERIC_NEG_INF || class > FM_NUMERIC_NAN)
		return 0;
	if (digits != NULL)
	{
		value->class = (FmNumericClass) class;
		value->weight = 0;
		value->ndigits = 0;
		value->digits = digits;
	}
	if (class != FM_NUMERIC_NEGATIVE && class != FM_NUMERIC_POSITIVE)
		return 1;
	if (class == FM_NUMERIC_NEGATIVE)
		flip ^= 0xFFFF;
	for (;; pos += 2)
	{
		uint16_t	d;

		if (left < pos + 2)
			return 0;
		d = (uint16_t) (get_big_endian(body + pos, 2) ^ flip);
		if (d == 0)
			break;
		if (d > NUMERIC_DIGIT_MAX + 1 || (n == 0 && d == 1) ||
			n == FM_MAX_KEY_SIZE / 2)
			return 0;
		last = d;
		if (digits != NULL)
			digits[n] = (uint16_t) (d - 1);
		n++;
	}
	if (last <= 1)				/* no digit, or a zero at the end */
		return 0;
	if (digits != NULL)
	{
		value->weight = (int16_t) (get_big_endian(body + 1, 2) ^ flip ^ 0x8000);
		value->ndigits = n;
	}
	return pos + 2;
}

/*
 * Length of an escaped string's body, 0 if it breaks the grammar; *escapes
 * counts its escaped zeros.
 */
static size_t
skip_escaped(const uint8_t *body, size_t left, bool desc, size_t *escapes)
{
	uint8_t		flip = desc ? 0xFF : 0;
	const uint8_t *end = body + left;
	const uint8_t *p = body;

	*escapes = 0;
	for (;;)
	{
		if (p < end)
			p = memchr(p, BYTES_ESCAPE ^ flip, (size_t) (end - p));
		if (p == NULL || end - p < 2)
			return 0;
		if ((p[1] ^ flip) == BYTES_END)
			return (size_t) (p - body) + 2;
		if ((p[1] ^ flip) != BYTES_ZERO)
			return 0;
		(*escapes)++;
		p += 2;
	}
}

static FmSlice
take_escaped(const uint8_t *body, size_t len, bool desc, size_t escapes,
			 uint8_t *scratch)
{
	uint8_t		flip = desc ? 0xFF : 0;
	size_t		n = 0;
	size_t		i;

	if (!desc && escapes == 0)
		return fm_slice(body, len - 2);
	for (i = 0; i < len - 2; i++)
	{
		scratch[n] = body[i] ^ flip;
		if (scratch[n++] == BYTES_ESCAPE)
			i++;
	}
	return fm_slice(scratch, n);
}

/* Takes or, without value, skips a column. */
static FmStatus
take(FmCursor *key, FmKeyType type, bool desc, uint8_t *scratch,
	 FmKeyValue *value, FmFault *fault)
{
	const uint8_t *start = key->pos;
	size_t		left = fm_cursor_left(key);
	const uint8_t *body;
	FmKeyValue	ignored;
	size_t		len;
	size_t		escapes = 0;
	size_t		i;

	if (left == 0)
		return bad_key(fault, "key is cut", start, start);
	left--;
	body = start + 1;
	if (value != NULL)
		memset(value, 0, sizeof(*value));
	if (*start == (desc ? FM_KEY_TAG_NULL_FIRST : FM_KEY_TAG_NULL_LAST))
	{
		if (value != NULL)
			value->is_null = true;
		key->pos = body;
		return FM_OK;
	}
	if (*start != FM_KEY_TAG_VALUE)
		return bad_key(fault, "undefined tag in a key", start, start);

	switch (type)
	{
		case FM_KEY_BOOL:
		case FM_KEY_CHAR:
		case FM_KEY_INT2:
		case FM_KEY_INT4:
		case FM_KEY_INT8:
		case FM_KEY_OID:
			len = fm_key_type_width(type);
			if (left < len)
				return bad_key(fault, "key is cut", start, body);
			if (type == FM_KEY_BOOL && (body[0] ^ (desc ? 0xFF : 0)) > 1)
				return bad_key(fault, "impossible value in a key", start, body);
			if (value != NULL)
				value->integer = fm_key_get_int(body, type, desc);
			break;

		case FM_KEY_FLOAT4:
		case FM_KEY_FLOAT8:
			len = fm_key_type_width(type);
			if (left < len)
				return bad_key(fault, "key is cut", start, body);
			if (!take_float(body, type, desc,
							value != NULL ? &value->real : &ignored.real))
				return bad_key(fault, "impossible value in a key", start, body);
			break;

		case FM_KEY_UUID:
			len = 16;
			if (left < len)
				return bad_key(fault, "key is cut", start, body);
			if (value == NULL)
				break;
			value->bytes = fm_slice(body, len);
			if (desc)
			{
				for (i = 0; i < len; i++)
					scratch[i] = (uint8_t) ~body[i];
				value->bytes = fm_slice(scratch, len);
			}
			break;

		case FM_KEY_NUMERIC:
			len = take_numeric(body, left, desc, (uint16_t *) (void *) scratch,
							   value != NULL ? &value->numeric : NULL);
			if (len == 0)
				return bad_key(fault, "impossible value in a key", start, body);
			break;

		case FM_KEY_TEXT:
		case FM_KEY_BPCHAR:
		case FM_KEY_BYTEA:
		case FM_KEY_ENUM:
			len = skip_escaped(body, left, desc, &escapes);
			if (len == 0)
				return bad_key(fault, "impossible value in a key", start, body);
			if (type == FM_KEY_BPCHAR && len > 2 &&
				(body[len - 3] ^ (desc ? 0xFF : 0)) == ' ')
				return bad_key(fault, "impossible value in a key", start, body);

			/* An escaped zero takes a second byte, so scratch is enough. */
			if (value != NULL && len > FM_MAX_KEY_SIZE + 2)
				return bad_key(fault, "key is too long", start, body);
			if (value != NULL)
				value->bytes = take_escaped(body, len, desc, escapes, scratch);
			break;

		default:
			return fm_fault(fault, FM_UNSUPPORTED, "undefined key type", 0);
	}
	key->pos = body + len;
	return FM_OK;
}

FmStatus
fm_key_take(FmCursor *key, FmKeyType type, bool desc, uint8_t *scratch,
			FmKeyValue *value, FmFault *fault)
{
	return take(key, type, desc, scratch, value, fault);
}

FmStatus
fm_key_skip(FmCursor *key, FmKeyType type, bool desc, FmFault *fault)
{
	return take(key, type, desc, NULL, NULL, fault);
}

size_t
fm_key_successor(FmSlice prefix, uint8_t *dest)
{
	size_t		len = prefix.len;

	while (len > 0 && prefix.data[len - 1] == 0xFF)
		len--;
	if (len == 0)
		return 0;
	memcpy(dest, prefix.data, len);
	dest[len - 1]++;
	return len;
}
