/*-------------------------------------------------------------------------
 *
 * key_codec.h
 *	  Keys as bytes whose memcmp order is the type's btree order and whose
 *	  equality is the type's equality.
 *
 * Per column: a tag (NULL first 0x05, value 0x10, NULL last 0xF0), then the
 * body, all of whose bytes are inverted for a descending column.  Encodings
 * are self-delimiting: no key is a prefix of another one of the same columns.
 * Big-endian inside.  docs/format.md has the table of types.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_KEY_CODEC_H
#define FM_KEY_CODEC_H

#include "base/buffer.h"
#include "format/format.h"

/* Stored in HEAD: values are frozen. */
typedef enum FmKeyType
{
	FM_KEY_BOOL = 1,
	FM_KEY_CHAR = 2,			/* "char" */
	FM_KEY_INT2 = 3,
	FM_KEY_INT4 = 4,			/* also date */
	FM_KEY_INT8 = 5,			/* also time, timestamp, timestamptz */
	FM_KEY_OID = 6,
	FM_KEY_FLOAT4 = 7,
	FM_KEY_FLOAT8 = 8,
	FM_KEY_NUMERIC = 9,
	FM_KEY_TEXT = 10,			/* also varchar */
	FM_KEY_BPCHAR = 11,
	FM_KEY_BYTEA = 12,
	FM_KEY_UUID = 13,
	FM_KEY_ENUM = 14			/* its label */
} FmKeyType;

#define FM_KEY_TAG_NULL_FIRST 0x05
#define FM_KEY_TAG_VALUE 0x10
#define FM_KEY_TAG_NULL_LAST 0xF0

/* A numeric's parts, as numeric_send gives them. */
typedef enum FmNumericClass
{
	FM_NUMERIC_NEG_INF,
	FM_NUMERIC_NEGATIVE,
	FM_NUMERIC_ZERO,
	FM_NUMERIC_POSITIVE,
	FM_NUMERIC_POS_INF,
	FM_NUMERIC_NAN
} FmNumericClass;

typedef struct FmNumeric
{
	FmNumericClass class;
	int16_t		weight;			/* of the first digit, base 10000 */
	uint16_t	ndigits;
	const uint16_t *digits;		/* 0 to 9999, no leading zeros */
} FmNumeric;

/* Appends the tag of a NULL. */
extern void fm_key_put_null(FmBuf *out, bool desc);

/* Bytes of the body of a type of fixed width, 0 for the others. */
static inline size_t
fm_key_type_width(FmKeyType type)
{
	switch (type)
	{
		case FM_KEY_BOOL:
		case FM_KEY_CHAR:
			return 1;
		case FM_KEY_INT2:
			return 2;
		case FM_KEY_INT4:
		case FM_KEY_OID:
		case FM_KEY_FLOAT4:
			return 4;
		case FM_KEY_INT8:
		case FM_KEY_FLOAT8:
			return 8;
		case FM_KEY_UUID:
			return 16;
		default:
			return 0;
	}
}

/* The bit that turns two's complement into unsigned order, in 64 bits. */
static inline uint64_t
fm_key_sign_bit(FmKeyType type)
{
	if (type == FM_KEY_INT2 || type == FM_KEY_INT4 || type == FM_KEY_INT8)
		return (uint64_t) 1 << (fm_key_type_width(type) * 8 - 1);
	return 0;
}

/*
 * bool, "char" (any of its 256 values; ordered as unsigned, as btcharcmp
 * does), int2, int4, int8, oid (as uint32).
 */
static inline void
fm_key_put_int(FmBuf *out, FmKeyType type, int64_t value, bool desc)
{
	size_t		width = fm_key_type_width(type);
	uint64_t	v = (uint64_t) value ^ fm_key_sign_bit(type);
	uint8_t    *p;
	int			i;

	if (desc)
		v = ~v;
	v <<= 64 - width * 8;
	if (!fm_buf_reserve(out, 9))
		return;
	p = out->data + out->len;
	p[0] = FM_KEY_TAG_VALUE;
	for (i = 0; i < 8; i++)
		p[1 + i] = (uint8_t) (v >> (56 - i * 8));
	out->len += 1 + width;
}

/* The value of such a body, whose width is known to be there. */
static inline int64_t
fm_key_get_int(const uint8_t *body, FmKeyType type, bool desc)
{
	size_t		width = fm_key_type_width(type);
	uint64_t	v = 0;
	size_t		i;

	for (i = 0; i < width; i++)
		v = v << 8 | body[i];
	if (desc)
		v = ~v;
	v = (v ^ fm_key_sign_bit(type)) << (64 - width * 8);
	if (type == FM_KEY_BOOL || type == FM_KEY_OID)
		return (int64_t) (v >> (64 - width * 8));
	return (int64_t) v >> (64 - width * 8);
}

extern void fm_key_put_float(FmBuf *out, FmKeyType type, double value,
							 bool desc);
extern void fm_key_put_numeric(FmBuf *out, const FmNumeric *value, bool desc);

/* text, bpchar (trailing spaces are cut here), bytea, uuid, enum label. */
extern void fm_key_put_bytes(FmBuf *out, FmKeyType type, FmSlice value,
							 bool desc);

/* True if a value can be rebuilt from its key: not numeric, float, bpchar. */
extern bool fm_key_type_is_lossless(FmKeyType type);

/* One decoded column. */
typedef struct FmKeyValue
{
	bool		is_null;
	int64_t		integer;		/* bool, "char", ints, oid */
	double		real;			/* float4, float8 */
	FmSlice		bytes;			/* text, bpchar, bytea, uuid, enum; points
								 * into the key where that is possible, else
								 * into scratch */
	FmNumeric	numeric;		/* digits are in scratch */
} FmKeyValue;

/*
 * Decodes the next column and moves the cursor behind it.  Never reads past
 * the cursor's end; FM_CORRUPTION for bytes that no encoder writes.
 * scratch has room for FM_MAX_KEY_SIZE bytes, aligned to 2.
 */
extern FmStatus fm_key_take(FmCursor *key, FmKeyType type, bool desc,
							uint8_t *scratch, FmKeyValue *value,
							FmFault *fault);

/* Moves the cursor behind the next column without decoding it. */
extern FmStatus fm_key_skip(FmCursor *key, FmKeyType type, bool desc,
							FmFault *fault);

/*
 * The first byte string after every key that begins with "prefix" (some whole
 * columns): for prefix and range scans.  dest has room for prefix.len bytes;
 * returns the length, 0 if there is no such string.
 */
extern size_t fm_key_successor(FmSlice prefix, uint8_t *dest);

#endif							/* FM_KEY_CODEC_H */
