/*-------------------------------------------------------------------------
 *
 * datum_check.c
 *	  Checks of values that come from a store, before PostgreSQL sees them.
 *
 * Data may be unaligned here (a 1-byte header stands in front of short ones),
 * so that integers are read byte by byte.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/jsonb.h"

#include "base/coding.h"
#include "engine/datum_check.h"
#include "engine/numeric_image.h"

#define BYTES_OF(b) (UINT64CONST(0x0101010101010101) * (b))

bool
fm_datum_check_text(FmSlice text, int encoding)
{
	const uint8 *p = text.data;
	const uint8 *end = p + text.len;
	uint64		high = 0;
	uint64		nonzero = BYTES_OF(0x80);

	/*
	 * ASCII is valid in every encoding of a server.  While no byte has its
	 * high bit set, adding 0x7F sets it in all that are not zero.
	 */
	for (; end - p >= 8; p += 8)
	{
		uint64		word;

		memcpy(&word, p, 8);
		high |= word;
		nonzero &= word + BYTES_OF(0x7F);
	}
	for (; p < end; p++)
	{
		high |= *p;
		if (*p == 0)
			return false;
	}
	if ((high & BYTES_OF(0x80)) == 0)
		return nonzero == BYTES_OF(0x80);
	return pg_verify_mbstr(encoding, (const char *) text.data,
						   (int) text.len, true);
}

/* A scalar or container between "from" and "to"; base has the alignment. */
static const char *check_container(const uint8 *base, uint32 len, bool is_root,
								   int encoding);

static const char *
check_child(const uint8 *base, uint32 from, uint32 to, uint32 type,
			int encoding)
{
	uint32		aligned = (from + 3) & ~(uint32) 3;
	uint32		header;

	switch (type)
	{
		case JENTRY_ISSTRING:
			if (!fm_datum_check_text(fm_slice(base + from, to - from),
									 encoding))
				return "invalid string in jsonb";
			return NULL;
		case JENTRY_ISBOOL_FALSE:
		case JENTRY_ISBOOL_TRUE:
		case JENTRY_ISNULL:
			return NULL;
		case JENTRY_ISNUMERIC:
			if (aligned > to || to - aligned < VARHDRSZ)
				return "misplaced number in jsonb";
			header = fm_get_u32(base + aligned);
			if ((header & 3) != 0 || header >> 2 < VARHDRSZ ||
				header >> 2 > to - aligned)
				return "misplaced number in jsonb";
			return fm_numeric_image_check(fm_slice(base + aligned + VARHDRSZ,
												   (header >> 2) - VARHDRSZ));
		case JENTRY_ISCONTAINER:
			if (aligned > to)
				return "misplaced container in jsonb";
			return check_container(base + aligned, to - aligned, false,
								   encoding);
		default:
			return "undefined type in jsonb";
	}
}

static const char *
check_container(const uint8 *base, uint32 len, bool is_root, int encoding)
{
	uint32		header;
	uint32		count;
	uint32		nkeys;
	uint32		data;			/* where children's data begin */
	uint32		end = 0;
	uint32		i;

	/* Whoever could build the value had a deeper stack than this needs. */
	if (stack_is_too_deep())
		return "jsonb is nested too deeply";
	if (len < sizeof(uint32))
		return "jsonb is cut";
	header = fm_get_u32(base);
	count = header & JB_CMASK;
	nkeys = 0;
	switch (header & ~(uint32) JB_CMASK)
	{
		case JB_FARRAY:
			break;
		case JB_FARRAY | JB_FSCALAR:
			if (!is_root || count != 1)
				return "misplaced scalar in jsonb";
			break;
		case JB_FOBJECT:
			nkeys = count;
			count *= 2;
			break;
		default:
			return "undefined container in jsonb";
	}
	if (count > (len - sizeof(uint32)) / sizeof(uint32))
		return "jsonb is cut";
	data = (count + 1) * sizeof(uint32);
	for (i = 0; i < count; i++)
	{
		uint32		entry = fm_get_u32(base + (i + 1) * sizeof(uint32));
		uint32		start = end;
		const char *what;

		end = (entry & JENTRY_HAS_OFF) != 0 ? 0 : start;
		end += entry & JENTRY_OFFLENMASK;
		if (end < start || end > len - data)
			return "value outside its jsonb";
		if (i < nkeys && (entry & JENTRY_TYPEMASK) != JENTRY_ISSTRING)
			return "key of jsonb is not a string";
		if ((header & JB_FSCALAR) != 0 &&
			(entry & JENTRY_TYPEMASK) == JENTRY_ISCONTAINER)
			return "misplaced scalar in jsonb";
		what = check_child(base + data, start, end, entry & JENTRY_TYPEMASK,
						   encoding);
		if (what != NULL)
			return what;
	}
	return NULL;
}

const char *
fm_datum_check_jsonb(FmSlice data, int encoding)
{
	return check_container(data.data, (uint32) data.len, true, encoding);
}
