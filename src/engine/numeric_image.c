/*-------------------------------------------------------------------------
 *
 * numeric_image.c
 *	  The stored form of PostgreSQL's numeric.
 *
 * A u16 header, in one of three forms by its two upper bits, and digits in
 * base 10000.  Long (00, 01): sign and display scale, then the weight as an
 * int16.  Short (10): sign, scale and weight in the header.  Special (11):
 * NaN and infinities, without digits.  The form has been stable since 9.1
 * (infinities: 14), because tables on disk hold it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "engine/numeric_image.h"

#define FORM_MASK 0xC000
#define FORM_NEGATIVE 0x4000
#define FORM_SHORT 0x8000
#define FORM_SPECIAL 0xC000
#define LONG_DSCALE_MASK 0x3FFF
#define SHORT_NEGATIVE 0x2000
#define SHORT_DSCALE_SHIFT 7
#define SHORT_DSCALE_MASK 0x3F
#define SHORT_WEIGHT_SIGN 0x0040
#define SHORT_WEIGHT_MASK 0x003F
#define SPECIAL_NAN 0xC000
#define SPECIAL_POS_INF 0xD000
#define SPECIAL_NEG_INF 0xF000

#define DIGIT_MAX 9999
#define DECIMALS 4				/* decimal digits of a digit */

const char *
fm_numeric_image_check(FmSlice image)
{
	size_t		pos = 2;
	uint16		header;

	if (image.len < 2 || image.len % 2 != 0)
		return "numeric of impossible length";
	header = fm_get_u16(image.data);
	if ((header & FORM_MASK) == FORM_SPECIAL)
	{
		if (image.len != 2 ||
			(header != SPECIAL_NAN && header != SPECIAL_POS_INF &&
			 header != SPECIAL_NEG_INF))
			return "undefined special value of numeric";
		return NULL;
	}
	if ((header & FORM_MASK) != FORM_SHORT)
	{
		if (image.len < 4)
			return "numeric of impossible length";
		pos = 4;
	}
	for (; pos < image.len; pos += 2)
		if (fm_get_u16(image.data + pos) > DIGIT_MAX)
			return "undefined digit of numeric";
	return NULL;
}

void
fm_numeric_image_parse(FmSlice image, FmNumeric *value)
{
	uint16		header = fm_get_u16(image.data);
	const uint8 *pos = image.data + 2;
	bool		negative;
	int			weight;
	size_t		n;

	value->weight = 0;
	value->ndigits = 0;
	value->digits = NULL;
	switch (header & FORM_MASK)
	{
		case FORM_SPECIAL:
			value->class = header == SPECIAL_NAN ? FM_NUMERIC_NAN :
				header == SPECIAL_POS_INF ? FM_NUMERIC_POS_INF :
				FM_NUMERIC_NEG_INF;
			return;
		case FORM_SHORT:
			negative = (header & SHORT_NEGATIVE) != 0;
			weight = header & SHORT_WEIGHT_MASK;
			if ((header & SHORT_WEIGHT_SIGN) != 0)
				weight |= ~SHORT_WEIGHT_MASK;
			break;
		default:
			negative = (header & FORM_MASK) == FORM_NEGATIVE;
			weight = (int16) fm_get_u16(pos);
			pos += 2;
			break;
	}
	n = (size_t) (image.data + image.len - pos) / 2;
	for (; n > 0 && fm_get_u16(pos) == 0; n--, pos += 2)
		weight--;
	while (n > 0 && fm_get_u16(pos + (n - 1) * 2) == 0)
		n--;
	if (n == 0)
	{
		value->class = FM_NUMERIC_ZERO;
		return;
	}
	value->class = negative ? FM_NUMERIC_NEGATIVE : FM_NUMERIC_POSITIVE;
	value->weight = (int16) weight;
	value->ndigits = (uint16) n;
	if ((uintptr_t) pos % sizeof(uint16) == 0)
		value->digits = (const uint16 *) pos;
	else
		value->digits = memcpy(palloc(n * 2), pos, n * 2);
}

/* Decimal digits after the point that a number needs. */
static int
least_dscale(const FmNumeric *value)
{
	int			dscale;
	uint16		last;

	if (value->ndigits == 0)
		return 0;
	dscale = (value->ndigits - 1 - value->weight) * DECIMALS;
	for (last = value->digits[value->ndigits - 1]; last % 10 == 0; last /= 10)
		dscale--;
	return Max(dscale, 0);
}

struct varlena *
fm_numeric_image_build(const FmNumeric *value, int32 typmod)
{
	bool		negative = value->class == FM_NUMERIC_NEGATIVE;
	bool		fits;
	int			dscale = least_dscale(value);
	Size		digits = (Size) value->ndigits * 2;
	struct varlena *result = palloc(VARHDRSZ + 4 + digits);
	uint8	   *p = (uint8 *) VARDATA(result);

	if (typmod >= (int32) VARHDRSZ)
	{
		/* The lower 11 bits of the typmod are the scale, signed. */
		int			scale = ((typmod - VARHDRSZ) & 0x7FF);

		scale = (scale ^ 1024) - 1024;
		dscale = Max(dscale, scale);
	}
	fits = dscale <= SHORT_DSCALE_MASK &&
		value->weight >= -(SHORT_WEIGHT_MASK + 1) &&
		value->weight <= SHORT_WEIGHT_MASK;

	if (value->class == FM_NUMERIC_NAN)
		fm_put_u16(p, SPECIAL_NAN);
	else if (value->class == FM_NUMERIC_POS_INF)
		fm_put_u16(p, SPECIAL_POS_INF);
	else if (value->class == FM_NUMERIC_NEG_INF)
		fm_put_u16(p, SPECIAL_NEG_INF);
	else if (fits)
		fm_put_u16(p, (uint16) (FORM_SHORT | (negative ? SHORT_NEGATIVE : 0) |
								dscale << SHORT_DSCALE_SHIFT |
								(value->weight < 0 ? SHORT_WEIGHT_SIGN : 0) |
								(value->weight & SHORT_WEIGHT_MASK)));
	else
	{
		fm_put_u16(p, (uint16) ((negative ? FORM_NEGATIVE : 0) |
								(dscale & LONG_DSCALE_MASK)));
		p += 2;
		fm_put_u16(p, (uint16) value->weight);
	}
	p += 2;
	if (digits > 0)
		memcpy(p, value->digits, digits);
	SET_VARSIZE(result, p + digits - (uint8 *) result);
	return result;
}
