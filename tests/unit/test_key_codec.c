/*-------------------------------------------------------------------------
 *
 * test_key_codec.c
 *	  Keys: frozen bytes, order, and what the decoder refuses.
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"

#include <math.h>

#include "format/key_codec.h"

static uint16_t scratch[FM_MAX_KEY_SIZE / 2];

/* A value of any type, and its bytes.  NULL bytes: not looked at. */
typedef struct FmKeyCase
{
	FmKeyType	type;
	int64_t		integer;
	double		real;
	FmNumericClass class;
	int16_t		weight;
	uint16_t	digits[4];
	const char *text;
	size_t		len;			/* of text */
	const char *hex;			/* ascending */
	const char *hex_desc;
} FmKeyCase;

#define INTEGER(t, v, a, d) \
	{.type = t, .integer = v, .hex = a, .hex_desc = d}
#define REAL(t, v, a, d) \
	{.type = t, .real = v, .hex = a, .hex_desc = d}
#define BYTES(t, s, a, d) \
	{.type = t, .text = s, .len = sizeof(s) - 1, .hex = a, .hex_desc = d}
#define NUMBER(c, w, a, d, ...) \
	{.type = FM_KEY_NUMERIC, .class = c, .weight = w, .digits = {__VA_ARGS__}, \
	.hex = a, .hex_desc = d}

/* Ascending within a type.  These bytes are frozen: stores hold them. */
static const FmKeyCase golden[] = {
	INTEGER(FM_KEY_BOOL, 0, "1000", "10ff"),
	INTEGER(FM_KEY_BOOL, 1, "1001", "10fe"),
	INTEGER(FM_KEY_CHAR, 0, "1000", "10ff"),
	INTEGER(FM_KEY_CHAR, 'a', "1061", "109e"),
	INTEGER(FM_KEY_CHAR, -128, "1080", "107f"),
	INTEGER(FM_KEY_CHAR, -1, "10ff", "1000"),
	INTEGER(FM_KEY_INT2, INT16_MIN, "100000", "10ffff"),
	INTEGER(FM_KEY_INT2, -1, "107fff", "108000"),
	INTEGER(FM_KEY_INT2, 0, "108000", "107fff"),
	INTEGER(FM_KEY_INT2, 258, "108102", "107efd"),
	INTEGER(FM_KEY_INT2, INT16_MAX, "10ffff", "100000"),
	INTEGER(FM_KEY_INT4, INT32_MIN, "1000000000", "10ffffffff"),
	INTEGER(FM_KEY_INT4, -1, "107fffffff", "1080000000"),
	INTEGER(FM_KEY_INT4, 0, "1080000000", "107fffffff"),
	INTEGER(FM_KEY_INT4, 16909060, "1081020304", "107efdfcfb"),
	INTEGER(FM_KEY_INT4, INT32_MAX, "10ffffffff", "1000000000"),
	INTEGER(FM_KEY_INT8, INT64_MIN, "100000000000000000",
			"10ffffffffffffffff"),
	INTEGER(FM_KEY_INT8, -2, "107ffffffffffffffe", "108000000000000001"),
	INTEGER(FM_KEY_INT8, 0, "108000000000000000", "107fffffffffffffff"),
	INTEGER(FM_KEY_INT8, 72623859790382856, "108102030405060708",
			"107efdfcfbfaf9f8f7"),
	INTEGER(FM_KEY_INT8, INT64_MAX, "10ffffffffffffffff",
			"100000000000000000"),
	INTEGER(FM_KEY_OID, 0, "1000000000", "10ffffffff"),
	INTEGER(FM_KEY_OID, 1259, "10000004eb", "10fffffb14"),
	INTEGER(FM_KEY_OID, UINT32_MAX, "10ffffffff", "1000000000"),
	REAL(FM_KEY_FLOAT4, -INFINITY, "10007fffff", "10ff800000"),
	REAL(FM_KEY_FLOAT4, -1.5, "10403fffff", "10bfc00000"),
	REAL(FM_KEY_FLOAT4, 0, "1080000000", "107fffffff"),
	REAL(FM_KEY_FLOAT4, 1.5, "10bfc00000", "10403fffff"),
	REAL(FM_KEY_FLOAT4, INFINITY, "10ff800000", "10007fffff"),
	REAL(FM_KEY_FLOAT4, NAN, "10ffc00000", "10003fffff"),
	REAL(FM_KEY_FLOAT8, -INFINITY, "10000fffffffffffff",
		 "10fff0000000000000"),
	REAL(FM_KEY_FLOAT8, -1.5, "104007ffffffffffff", "10bff8000000000000"),
	REAL(FM_KEY_FLOAT8, 0, "108000000000000000", "107fffffffffffffff"),
	REAL(FM_KEY_FLOAT8, 5e-324, "108000000000000001", "107ffffffffffffffe"),
	REAL(FM_KEY_FLOAT8, 1.5, "10bff8000000000000", "104007ffffffffffff"),
	REAL(FM_KEY_FLOAT8, INFINITY, "10fff0000000000000",
		 "10000fffffffffffff"),
	REAL(FM_KEY_FLOAT8, NAN, "10fff8000000000000", "100007ffffffffffff"),
	NUMBER(FM_NUMERIC_NEG_INF, 0, "1001", "10fe", 0),
	/* -10000, -1.5, -1, -0.0001 */
	NUMBER(FM_NUMERIC_NEGATIVE, 1, "10027ffefffdffff", "10fd800100020000", 1),
	NUMBER(FM_NUMERIC_NEGATIVE, 0, "10027ffffffdec76ffff",
		   "10fd8000000213890000", 1, 5000),
	NUMBER(FM_NUMERIC_NEGATIVE, 0, "10027ffffffdffff", "10fd800000020000", 1),
	NUMBER(FM_NUMERIC_NEGATIVE, -1, "10028000fffdffff", "10fd7fff00020000", 1),
	NUMBER(FM_NUMERIC_ZERO, 0, "1003", "10fc", 0),
	/* 0.0001, 1, 1.0001, 1.5, 9999, 10000 */
	NUMBER(FM_NUMERIC_POSITIVE, -1, "10047fff00020000", "10fb8000fffdffff", 1),
	NUMBER(FM_NUMERIC_POSITIVE, 0, "1004800000020000", "10fb7ffffffdffff", 1),
	NUMBER(FM_NUMERIC_POSITIVE, 0, "10048000000200020000",
		   "10fb7ffffffdfffdffff", 1, 1),
	NUMBER(FM_NUMERIC_POSITIVE, 0, "10048000000213890000",
		   "10fb7ffffffdec76ffff", 1, 5000),
	NUMBER(FM_NUMERIC_POSITIVE, 0, "1004800027100000", "10fb7fffd8efffff",
		   9999),
	NUMBER(FM_NUMERIC_POSITIVE, 1, "1004800100020000", "10fb7ffefffdffff", 1),
	NUMBER(FM_NUMERIC_POS_INF, 0, "1005", "10fa", 0),
	NUMBER(FM_NUMERIC_NAN, 0, "1006", "10f9", 0),
	BYTES(FM_KEY_TEXT, "", "100001", "10fffe"),
	BYTES(FM_KEY_TEXT, "\001", "10010001", "10fefffe"),
	BYTES(FM_KEY_TEXT, "a", "10610001", "109efffe"),
	BYTES(FM_KEY_TEXT, "a ", "1061200001", "109edffffe"),
	BYTES(FM_KEY_TEXT, "ab", "1061620001", "109e9dfffe"),
	BYTES(FM_KEY_TEXT, "\303\251", "10c3a90001", "103c56fffe"),
	BYTES(FM_KEY_BPCHAR, "", "100001", "10fffe"),
	BYTES(FM_KEY_BPCHAR, "a", "10610001", "109efffe"),
	BYTES(FM_KEY_BPCHAR, "a b", "106120620001", "109edf9dfffe"),
	BYTES(FM_KEY_BYTEA, "", "100001", "10fffe"),
	BYTES(FM_KEY_BYTEA, "\000", "1000ff0001", "10ff00fffe"),
	BYTES(FM_KEY_BYTEA, "\000\000", "1000ff00ff0001", "10ff00ff00fffe"),
	BYTES(FM_KEY_BYTEA, "\000\001", "1000ff010001", "10ff00fefffe"),
	BYTES(FM_KEY_BYTEA, "\001", "10010001", "10fefffe"),
	BYTES(FM_KEY_BYTEA, "\377", "10ff0001", "1000fffe"),
	BYTES(FM_KEY_BYTEA, "\377\000", "10ff00ff0001", "1000ff00fffe"),
	BYTES(FM_KEY_UUID, "\000\001\002\003\004\005\006\007\010\011\012\013\014\015\016\017",
		  "10000102030405060708090a0b0c0d0e0f",
		  "10fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0"),
	BYTES(FM_KEY_UUID, "\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377",
		  "10ffffffffffffffffffffffffffffffff",
		  "1000000000000000000000000000000000"),
	BYTES(FM_KEY_ENUM, "happy", "1068617070790001", "10979e8f8f86fffe"),
};

#define NGOLDEN (sizeof(golden) / sizeof(golden[0]))

static void
put(FmBuf *out, const FmKeyCase *c, bool desc)
{
	FmNumeric	n;

	fm_buf_reset(out);
	switch (c->type)
	{
		case FM_KEY_FLOAT4:
		case FM_KEY_FLOAT8:
			fm_key_put_float(out, c->type, c->real, desc);
			break;
		case FM_KEY_NUMERIC:
			n.class = c->class;
			n.weight = c->weight;
			n.digits = c->digits;
			n.ndigits = 4;
			fm_key_put_numeric(out, &n, desc);
			break;
		case FM_KEY_TEXT:
		case FM_KEY_BPCHAR:
		case FM_KEY_BYTEA:
		case FM_KEY_UUID:
		case FM_KEY_ENUM:
			fm_key_put_bytes(out, c->type, fm_slice(c->text, c->len), desc);
			break;
		default:
			fm_key_put_int(out, c->type, c->integer, desc);
			break;
	}
}

static size_t
from_hex(const char *hex, uint8_t *dest)
{
	size_t		n = 0;
	unsigned	byte;

	for (; hex[0] != '\0'; hex += 2)
	{
		sscanf(hex, "%2x", &byte);
		dest[n++] = (uint8_t) byte;
	}
	return n;
}

static void
test_golden(void)
{
	uint8_t		bytes[64];
	FmBuf		out;
	size_t		i;
	int			desc;

	fm_buf_init(&out, &fm_alloc_malloc);
	for (i = 0; i < NGOLDEN; i++)
		for (desc = 0; desc < 2; desc++)
		{
			size_t		len = from_hex(desc ? golden[i].hex_desc :
									   golden[i].hex, bytes);

			put(&out, &golden[i], desc);
			CHECK(fm_slice_eq(fm_buf_slice(&out), fm_slice(bytes, len)));
		}
	fm_buf_free(&out);
}

static void
test_order(void)
{
	FmBuf		a;
	FmBuf		b;
	size_t		i;

	fm_buf_init(&a, &fm_alloc_malloc);
	fm_buf_init(&b, &fm_alloc_malloc);
	for (i = 1; i < NGOLDEN; i++)
	{
		if (golden[i].type != golden[i - 1].type)
			continue;
		put(&a, &golden[i - 1], false);
		put(&b, &golden[i], false);
		CHECK(fm_slice_cmp(fm_buf_slice(&a), fm_buf_slice(&b)) < 0);
		put(&a, &golden[i - 1], true);
		put(&b, &golden[i], true);
		CHECK(fm_slice_cmp(fm_buf_slice(&a), fm_buf_slice(&b)) > 0);
	}
	fm_buf_free(&a);
	fm_buf_free(&b);
}

/* Checks that v is the case's value. */
static bool
same_value(const FmKeyCase *c, const FmKeyValue *v)
{
	uint16_t	n = 4;

	if (v->is_null)
		return false;
	switch (c->type)
	{
		case FM_KEY_FLOAT4:
		case FM_KEY_FLOAT8:
			return isnan(c->real) ? isnan(v->real) : v->real == c->real;
		case FM_KEY_NUMERIC:
			while (n > 0 && c->digits[n - 1] == 0)
				n--;
			return v->numeric.class == c->class &&
				v->numeric.ndigits == n &&
				v->numeric.weight == c->weight &&
				memcmp(v->numeric.digits, c->digits, n * 2) == 0;
		case FM_KEY_TEXT:
		case FM_KEY_BPCHAR:
		case FM_KEY_BYTEA:
		case FM_KEY_UUID:
		case FM_KEY_ENUM:
			return fm_slice_eq(v->bytes, fm_slice(c->text, c->len));
		default:
			return v->integer == c->integer;
	}
}

/* Decodes the whole, refuses it cut at every length. */
static void
test_decode(void)
{
	FmBuf		out;
	size_t		i;
	size_t		cut;
	int			desc;

	fm_buf_init(&out, &fm_alloc_malloc);
	for (i = 0; i < NGOLDEN; i++)
		for (desc = 0; desc < 2; desc++)
		{
			FmCursor	c;
			FmKeyValue	v;

			put(&out, &golden[i], desc);
			c = fm_cursor(fm_buf_slice(&out));
			CHECK(fm_key_take(&c, golden[i].type, desc, (uint8_t *) scratch,
							  &v, NULL) == FM_OK);
			CHECK(c.pos == c.end && same_value(&golden[i], &v));
			c = fm_cursor(fm_buf_slice(&out));
			CHECK(fm_key_skip(&c, golden[i].type, desc, NULL) == FM_OK);
			CHECK(c.pos == c.end);
			for (cut = 0; cut < out.len; cut++)
			{
				uint8_t    *copy = malloc(cut + 1);
				FmFault		fault;

				memcpy(copy, out.data, cut);
				c = fm_cursor(fm_slice(copy, cut));
				CHECK(fm_key_take(&c, golden[i].type, desc,
								  (uint8_t *) scratch, &v,
								  &fault) == FM_CORRUPTION);
				free(copy);
			}
		}
	fm_buf_free(&out);
}

static void
test_null(void)
{
	FmBuf		out;
	FmCursor	c;
	FmKeyValue	v;
	int			desc;

	fm_buf_init(&out, &fm_alloc_malloc);
	for (desc = 0; desc < 2; desc++)
	{
		fm_buf_reset(&out);
		fm_key_put_null(&out, desc);
		CHECK(out.len == 1 && out.data[0] == (desc ? 0x05 : 0xF0));
		c = fm_cursor(fm_buf_slice(&out));
		CHECK(fm_key_take(&c, FM_KEY_TEXT, desc, (uint8_t *) scratch, &v,
						  NULL) == FM_OK && v.is_null);
		c = fm_cursor(fm_buf_slice(&out));
		CHECK(fm_key_take(&c, FM_KEY_TEXT, !desc, (uint8_t *) scratch, &v,
						  NULL) == FM_CORRUPTION);
	}
	fm_buf_free(&out);
}

/* What equals in the type has the same bytes. */
static void
test_equal(void)
{
	FmKeyCase	a = {.type = FM_KEY_FLOAT8,.real = 0.0};
	FmKeyCase	b = {.type = FM_KEY_FLOAT8,.real = -0.0};
	uint64_t	payload = UINT64_C(0xFFF0000000000001);
	FmBuf		x;
	FmBuf		y;

	fm_buf_init(&x, &fm_alloc_malloc);
	fm_buf_init(&y, &fm_alloc_malloc);
	put(&x, &a, false);
	put(&y, &b, false);
	CHECK(fm_slice_eq(fm_buf_slice(&x), fm_buf_slice(&y)));
	a.real = NAN;
	memcpy(&b.real, &payload, sizeof(payload));
	put(&x, &a, false);
	put(&y, &b, false);
	CHECK(fm_slice_eq(fm_buf_slice(&x), fm_buf_slice(&y)));
	a = (FmKeyCase) BYTES(FM_KEY_BPCHAR, "x", NULL, NULL);
	b = (FmKeyCase) BYTES(FM_KEY_BPCHAR, "x   ", NULL, NULL);
	put(&x, &a, true);
	put(&y, &b, true);
	CHECK(fm_slice_eq(fm_buf_slice(&x), fm_buf_slice(&y)));
	fm_buf_free(&x);
	fm_buf_free(&y);
}

/* Bytes that no encoder writes. */
static void
test_refused(void)
{
	static const struct
	{
		FmKeyType	type;
		const char *hex;
	}			bad[] = {
		{FM_KEY_INT4, "1180000000"}, {FM_KEY_INT4, "05"},
		{FM_KEY_BOOL, "1002"}, {FM_KEY_BOOL, "10ff"},
		{FM_KEY_FLOAT4, "107fffffff"},	/* -0 */
		{FM_KEY_FLOAT4, "10ffc00001"},	/* another NaN */
		{FM_KEY_FLOAT4, "10003fffff"},	/* a negative NaN */
		{FM_KEY_FLOAT8, "107fffffffffffffff"},
		{FM_KEY_FLOAT8, "10fff0000000000001"},
		{FM_KEY_NUMERIC, "1000"}, {FM_KEY_NUMERIC, "1007"},
		{FM_KEY_NUMERIC, "100480000000"},	/* no digit */
		{FM_KEY_NUMERIC, "10048000000100020000"},	/* leading zero */
		{FM_KEY_NUMERIC, "10048000000200010000"},	/* trailing zero */
		{FM_KEY_NUMERIC, "1004800027110000"},	/* digit 10000 */
		{FM_KEY_NUMERIC, "10048000ffff0000"},
		{FM_KEY_TEXT, "10610002"}, {FM_KEY_TEXT, "106100"},
		{FM_KEY_TEXT, "1061"}, {FM_KEY_TEXT, "10"},
		{FM_KEY_BPCHAR, "1061200001"},	/* trailing space */
		{(FmKeyType) 99, "1000"},
	};
	uint8_t		bytes[64];
	size_t		i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		size_t		len = from_hex(bad[i].hex, bytes);
		FmCursor	c = fm_cursor(fm_slice(bytes, len));
		FmKeyValue	v;
		FmFault		fault;

		CHECK(fm_key_take(&c, bad[i].type, false, (uint8_t *) scratch, &v,
						  &fault) != FM_OK);
		c = fm_cursor(fm_slice(bytes, len));
		CHECK(fm_key_skip(&c, bad[i].type, false, &fault) != FM_OK);
	}
}

static void
test_successor(void)
{
	uint8_t		dest[4];

	CHECK(fm_key_successor(fm_slice("\x10\x01", 2), dest) == 2);
	CHECK(memcmp(dest, "\x10\x02", 2) == 0);
	CHECK(fm_key_successor(fm_slice("\x10\xff\xff", 3), dest) == 1);
	CHECK(dest[0] == 0x11);
	CHECK(fm_key_successor(fm_slice("\xff\xff", 2), dest) == 0);
	CHECK(fm_key_successor(fm_slice("", 0), dest) == 0);
}

int
main(void)
{
	RUN(test_golden);
	RUN(test_order);
	RUN(test_decode);
	RUN(test_null);
	RUN(test_equal);
	RUN(test_refused);
	RUN(test_successor);
	return unit_finish();
}
