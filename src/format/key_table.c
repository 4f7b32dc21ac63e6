/*-------------------------------------------------------------------------
 *
 * key_table.c
 *	  Sorted keys with one common prefix: writing, checking, searching.
 *
 * The search compares the prefix once and then suffixes as big-endian
 * integers of up to 8 bytes.  It loads 8 bytes at once and yet never reads
 * outside the table: a load that would run over the end is moved back, and
 * there are always 8 bytes before the suffixes, those of the table's header.
 *
 *-------------------------------------------------------------------------
 */
#include "format/key_table.h"

#define HEADER_SIZE 8			/* count, prefix length, suffix length */

FmStatus
fm_key_table_write(const FmSlice *keys, uint32_t n, FmBuf *out)
{
	size_t		prefix_len = 0;
	size_t		total = 0;
	bool		same_len = true;
	uint32_t	end = 0;
	uint32_t	i;

	if (n > 0)
		prefix_len = fm_slice_common(keys[0], keys[n - 1]);
	for (i = 0; i < n; i++)
	{
		if (keys[i].len > FM_MAX_KEY_SIZE)
			return FM_TOO_LARGE;
		if (i > 0 && fm_slice_cmp(keys[i - 1], keys[i]) >= 0)
			return FM_INVALID;
		if (keys[i].len != keys[0].len)
			same_len = false;
		total += keys[i].len - prefix_len;
	}
	if (total > UINT32_MAX)
		return FM_TOO_LARGE;
	fm_buf_put_u32(out, n);
	fm_buf_put_u16(out, (uint16_t) prefix_len);
	fm_buf_put_u16(out, same_len ?
				   (uint16_t) (n > 0 ? keys[0].len - prefix_len : 0) :
				   FM_SUFFIX_VARIES);
	if (n > 0)
		fm_buf_put(out, keys[0].data, prefix_len);
	fm_buf_align(out, 4);
	for (i = 0; i < n && !same_len; i++)
	{
		end += (uint32_t) (keys[i].len - prefix_len);
		fm_buf_put_u32(out, end);
	}
	for (i = 0; i < n; i++)
		fm_buf_put(out, keys[i].data + prefix_len, keys[i].len - prefix_len);
	fm_buf_align(out, 4);
	return out->failed ? FM_NO_MEMORY : FM_OK;
}

/* True if the bytes of an alignment gap are zero. */
static bool
gap_is_zero(const uint8_t *bytes, size_t from, size_t to)
{
	for (; from < to; from++)
		if (bytes[from] != 0)
			return false;
	return true;
}

FmStatus
fm_key_table_check(FmSlice bytes, size_t *size, FmFault *fault)
{
	FmKeyTable	t;
	FmSlice		before = {NULL, 0};
	FmSlice		suffix;
	size_t		at;				/* of the suffixes */
	uint64_t	total;			/* bytes of all suffixes */
	uint32_t	end = 0;
	uint32_t	i;

	if (bytes.len < HEADER_SIZE)
		return fm_fault(fault, FM_CORRUPTION, "key table is cut off", 0);
	t.count = fm_get_u32(bytes.data);
	t.prefix_len = fm_get_u16(bytes.data + 4);
	t.suffix_len = fm_get_u16(bytes.data + 6);
	if (t.prefix_len > FM_MAX_KEY_SIZE ||
		(t.suffix_len != FM_SUFFIX_VARIES &&
		 t.prefix_len + t.suffix_len > FM_MAX_KEY_SIZE))
		return fm_fault(fault, FM_CORRUPTION, "key is too long", 4);
	at = HEADER_SIZE + (((size_t) t.prefix_len + 3) & ~(size_t) 3);
	if (at > bytes.len)
		return fm_fault(fault, FM_CORRUPTION, "key prefix is cut off",
						HEADER_SIZE);
	if (!gap_is_zero(bytes.data, HEADER_SIZE + t.prefix_len, at))
		return fm_fault(fault, FM_CORRUPTION,
						"padding of a key table is not zero",
						HEADER_SIZE + t.prefix_len);
	if (t.suffix_len == FM_SUFFIX_VARIES)
	{
		if (t.count > (bytes.len - at) / 4)
			return fm_fault(fault, FM_CORRUPTION, "key table is cut off", at);
		for (i = 0; i < t.count; i++)
		{
			uint32_t	start = end;

			end = fm_get_u32(bytes.data + at + (size_t) i * 4);
			if (end < start || t.prefix_len + (uint64_t) (end - start) >
				FM_MAX_KEY_SIZE)
				return fm_fault(fault, FM_CORRUPTION,
								"key length is out of range",
								at + (size_t) i * 4);
		}
		at += (size_t) t.count * 4;
		total = end;
	}
	else
		total = (uint64_t) t.count * t.suffix_len;
	if (((total + 3) & ~(uint64_t) 3) > bytes.len - at)
		return fm_fault(fault, FM_CORRUPTION, "key table is cut off", at);
	*size = at + (((size_t) total + 3) & ~(size_t) 3);
	if (!gap_is_zero(bytes.data, at + (size_t) total, *size))
		return fm_fault(fault, FM_CORRUPTION,
						"padding of a key table is not zero",
						at + (size_t) total);

	fm_key_table_open(bytes.data, &t);
	for (i = 0; i < t.count; i++)
	{
		suffix = fm_key_table_suffix(&t, i);
		if (i > 0 && fm_slice_cmp(before, suffix) >= 0)
			return fm_fault(fault, FM_CORRUPTION, "keys are out of order",
							(uint64_t) (suffix.data - bytes.data));
		before = suffix;
	}
	return FM_OK;
}

static inline uint64_t
load_be64(const uint8_t *p)
{
	return (uint64_t) p[0] << 56 | (uint64_t) p[1] << 48 |
		(uint64_t) p[2] << 40 | (uint64_t) p[3] << 32 |
		(uint64_t) p[4] << 24 | (uint64_t) p[5] << 16 |
		(uint64_t) p[6] << 8 | (uint64_t) p[7];
}

/* The first 8 bytes of a key, or all of it and zeros. */
static inline uint64_t
key_head(const uint8_t *p, size_t len)
{
	uint64_t	v = 0;
	size_t		i;

	if (len >= 8)
		return load_be64(p);
	for (i = 0; i < len; i++)
		v |= (uint64_t) p[i] << (56 - 8 * i);
	return v;
}

/*
 * Suffixes of one length up to 8: each is the low end of the 8 bytes that
 * end with it.
 */
static uint32_t
search_short(const FmKeyTable *t, const uint8_t *key, size_t len, bool *equal)
{
	const size_t width = t->suffix_len;
	const uint64_t mask = UINT64_MAX >> (64 - 8 * width);
	const uint64_t wanted = key_head(key, len) >> (64 - 8 * width);
	const uint8_t *p = t->suffixes + width - 8;
	const bool	longer = len > width;
	uint64_t	target = wanted;
	uint64_t	v;
	uint32_t	at = 0;
	uint32_t	n = t->count;

	/* A key that goes on is greater than the suffix that begins it. */
	if (longer && target++ == mask)
	{
		*equal = false;
		return n;
	}
	while (n > 1)
	{
		uint32_t	half = n / 2;
		uint64_t	middle = load_be64(p + (half - 1) * width) & mask;
		uint32_t	step = half & (0 - (uint32_t) (middle < target));

		/* No branch: half of all would be predicted wrong. */
		p += step * width;
		at += step;
		n -= half;
	}
	v = load_be64(p) & mask;
	if (v < target)
	{
		/* The next one, if any, is >= target; it may be the key itself. */
		at++;
		if (at == t->count)
		{
			*equal = false;
			return at;
		}
		v = load_be64(p + width) & mask;
	}
	*equal = len == width && v == wanted;
	return at;
}

/*
 * The first 8 bytes of suffix i, or all of it and zeros.  "total" is the
 * length of all suffixes.
 */
static inline uint64_t
suffix_head(const FmKeyTable *t, uint32_t i, size_t total, bool varies)
{
	size_t		start = (size_t) i * t->suffix_len;
	size_t		len = 8;
	size_t		back;
	uint64_t	v;

	/* Of one length, it is more than 8: nothing to cut. */
	if (!varies)
		return load_be64(t->suffixes + start);
	start = i == 0 ? 0 : fm_get_u32(t->ends + (size_t) i * 4 - 4);
	len = fm_get_u32(t->ends + (size_t) i * 4) - start;
	back = start + 8 > total ? start + 8 - total : 0;
	v = load_be64(t->suffixes + start - back);
	len = len < 8 ? len : 8;

	/* Two shifts each: one of 64 bits is not defined. */
	v = v << (4 * back) << (4 * back);
	return v & ~(UINT64_MAX >> (4 * len) >> (4 * len));
}

/*
 * Suffixes that may be longer than 8 bytes: first by their heads, which
 * ascend though not strictly, then among those of the key's head.
 */
static inline uint32_t
search_heads(const FmKeyTable *t, FmSlice key, bool *equal, bool varies)
{
	const size_t total = varies ?
	fm_get_u32(t->ends + (size_t) (t->count - 1) * 4) : 0;
	const uint64_t head = key_head(key.data, key.len);
	uint32_t	lo = 0;
	uint32_t	hi = t->count;
	uint32_t	n = t->count;

	*equal = false;
	while (n > 0)
	{
		uint32_t	half = (n + 1) / 2;
		uint64_t	v = suffix_head(t, lo + half - 1, total, varies);

		/* No branch: half of all would be predicted wrong. */
		lo += half & (0 - (uint32_t) (v < head));
		n -= half;
	}
	if (lo == t->count || suffix_head(t, lo, total, varies) != head)
		return lo;

	/* Mostly this is the only one. */
	for (n = lo; lo < hi; n = lo + (hi - lo) / 2)
	{
		int			c = fm_slice_cmp(fm_key_table_suffix(t, n), key);

		if (c == 0)
		{
			*equal = true;
			return n;
		}
		if (c < 0)
			lo = n + 1;
		else
			hi = n;
	}
	return lo;
}

uint32_t
fm_key_table_search(const FmKeyTable *t, FmSlice key, bool *equal)
{
	size_t		n = key.len < t->prefix_len ? key.len : t->prefix_len;
	int			c = n > 0 ? memcmp(key.data, t->prefix, n) : 0;
	FmSlice		rest;

	if (c != 0 || n < t->prefix_len || t->count == 0)
	{
		*equal = false;
		return c > 0 ? t->count : 0;
	}
	rest = fm_slice(key.data == NULL ? t->prefix : key.data + n, key.len - n);
	if (t->ends != NULL)
		return search_heads(t, rest, equal, true);
	if (t->suffix_len > 8)
		return search_heads(t, rest, equal, false);
	if (t->suffix_len > 0)
		return search_short(t, rest.data, rest.len, equal);

	/* One key, which is the prefix. */
	*equal = rest.len == 0;
	return rest.len > 0 ? 1 : 0;
}
