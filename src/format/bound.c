/*-------------------------------------------------------------------------
 *
 * bound.c
 *	  Short keys that bound or separate longer ones.
 *
 *-------------------------------------------------------------------------
 */
#include "format/run.h"

size_t
fm_bound_lower(FmSlice key, size_t n, uint8_t *dest)
{
	size_t		len = key.len < n ? key.len : n;

	if (len > 0)
		memcpy(dest, key.data, len);
	return len;
}

size_t
fm_bound_upper(FmSlice key, size_t n, uint8_t *dest)
{
	size_t		len = n;

	if (key.len > n)
	{
		while (len > 0 && key.data[len - 1] == 0xFF)
			len--;
		if (len > 0)
		{
			memcpy(dest, key.data, len);
			dest[len - 1]++;
			return len;
		}
	}
	if (key.len > 0)
		memcpy(dest, key.data, key.len);
	return key.len;
}

size_t
fm_separator(FmSlice a, FmSlice b, uint8_t *dest)
{
	size_t		common = fm_slice_common(a, b);
	size_t		i;

	if (common == a.len)
	{
		/* Whatever lies between a and b begins with a. */
		if (a.len > 0)
			memcpy(dest, a.data, a.len);
		return a.len;
	}
	memcpy(dest, a.data, common + 1);
	if (a.data[common] + 1 < b.data[common] || b.len > common + 1)
	{
		dest[common]++;
		return common + 1;
	}

	/* b is the next after a's first bytes: raise a later byte of a. */
	for (i = common + 1; i < a.len && a.data[i] == 0xFF; i++)
		dest[i] = a.data[i];
	if (i == a.len)
		return a.len;
	dest[i] = a.data[i];
	if (i + 1 < a.len)
		dest[i]++;
	return i + 1;
}
