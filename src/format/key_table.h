/*-------------------------------------------------------------------------
 *
 * key_table.h
 *	  Sorted keys with one common prefix: the searchable part of a data
 *	  block, of a sparse index and of a top index.
 *
 * count u32, prefix length u16, suffix length u16 (0xFFFF: they vary),
 * prefix, pad to 4, [end of each suffix u32 * count, if they vary], suffixes,
 * pad to 4.  Searched without decoding.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_KEY_TABLE_H
#define FM_KEY_TABLE_H

#include "base/buffer.h"
#include "format/format.h"

#define FM_SUFFIX_VARIES 0xFFFF

/* A view into bytes that fm_key_table_check accepted.  Owns nothing. */
typedef struct FmKeyTable
{
	uint32_t	count;
	uint16_t	prefix_len;
	uint16_t	suffix_len;		/* or FM_SUFFIX_VARIES */
	const uint8_t *prefix;
	const uint8_t *ends;		/* u32 each, or NULL */
	const uint8_t *suffixes;
} FmKeyTable;

/*
 * Appends the table of n keys, ascending, to out; the table starts where out
 * stands, which must be a multiple of 4.
 */
extern FmStatus fm_key_table_write(const FmSlice *keys, uint32_t n, FmBuf *out);

/* Bytes that fm_key_table_write would append for n keys of these lengths. */
static inline size_t
fm_key_table_size(uint32_t n, size_t prefix_len, size_t total_key_len,
				  bool same_len)
{
	size_t		size = 8 + ((prefix_len + 3) & ~(size_t) 3);

	if (!same_len)
		size += (size_t) n * 4;
	size += total_key_len - (size_t) n * prefix_len;
	return (size + 3) & ~(size_t) 3;
}

/*
 * Checks every length, and that keys ascend strictly and are at most
 * FM_MAX_KEY_SIZE long; *size is the table's length in bytes.  A byte string
 * that passed can be opened and searched without further checks.
 */
extern FmStatus fm_key_table_check(FmSlice bytes, size_t *size, FmFault *fault);

/* Opens a table that was checked before. */
static inline void
fm_key_table_open(const uint8_t *bytes, FmKeyTable *t)
{
	t->count = fm_get_u32(bytes);
	t->prefix_len = fm_get_u16(bytes + 4);
	t->suffix_len = fm_get_u16(bytes + 6);
	t->prefix = bytes + 8;
	t->suffixes = t->prefix + ((t->prefix_len + 3) & ~3);
	t->ends = NULL;
	if (t->suffix_len == FM_SUFFIX_VARIES)
	{
		t->ends = t->suffixes;
		t->suffixes += (size_t) t->count * 4;
	}
}

static inline FmSlice
fm_key_table_suffix(const FmKeyTable *t, uint32_t i)
{
	uint32_t	start;

	if (t->ends == NULL)
		return fm_slice(t->suffixes + (size_t) i * t->suffix_len, t->suffix_len);
	start = i == 0 ? 0 : fm_get_u32(t->ends + (size_t) (i - 1) * 4);
	return fm_slice(t->suffixes + start,
					fm_get_u32(t->ends + (size_t) i * 4) - start);
}

/*
 * Index of the first key >= "key" (count if none); *equal says whether it is
 * the same.  Never reads outside a checked table.
 */
extern uint32_t fm_key_table_search(const FmKeyTable *t, FmSlice key,
									bool *equal);

/* Writes key i to dest (room for FM_MAX_KEY_SIZE); returns its length. */
static inline size_t
fm_key_table_key(const FmKeyTable *t, uint32_t i, uint8_t *dest)
{
	FmSlice		s = fm_key_table_suffix(t, i);

	memcpy(dest, t->prefix, t->prefix_len);
	memcpy(dest + t->prefix_len, s.data, s.len);
	return t->prefix_len + s.len;
}

#endif							/* FM_KEY_TABLE_H */
