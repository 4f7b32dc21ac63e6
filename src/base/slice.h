/*-------------------------------------------------------------------------
 *
 * slice.h
 *	  A run of bytes that somebody else owns.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_SLICE_H
#define FM_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct FmSlice
{
	const uint8_t *data;		/* not owned; may be NULL when len is 0 */
	size_t		len;			/* bytes */
} FmSlice;

static inline FmSlice
fm_slice(const void *data, size_t len)
{
	FmSlice		s;

	s.data = (const uint8_t *) data;
	s.len = len;
	return s;
}

/* Byte order: memcmp, then the shorter first. */
static inline int
fm_slice_cmp(FmSlice a, FmSlice b)
{
	size_t		n = a.len < b.len ? a.len : b.len;
	int			c = n > 0 ? memcmp(a.data, b.data, n) : 0;

	if (c != 0)
		return c;
	return (a.len > b.len) - (a.len < b.len);
}

static inline bool
fm_slice_eq(FmSlice a, FmSlice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Length of the longest common prefix, in bytes. */
static inline size_t
fm_slice_common(FmSlice a, FmSlice b)
{
	size_t		n = a.len < b.len ? a.len : b.len;
	size_t		i = 0;

	while (i < n && a.data[i] == b.data[i])
		i++;
	return i;
}

#endif							/* FM_SLICE_H */
