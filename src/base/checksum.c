/*-------------------------------------------------------------------------
 *
 * checksum.c
 *	  XXH3 of byte ranges.
 *
 * XXH_INLINE_ALL puts the hash in this file: no call through the shared
 * library for a key of a few bytes, and no symbol of its own is exported.
 *
 *-------------------------------------------------------------------------
 */
#include "base/checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t
fm_xxh3_64(FmSlice data, uint64_t seed)
{
	return XXH3_64bits_withSeed(data.data, data.len, seed);
}

FmSum128
fm_xxh3_128(FmSlice data, uint64_t seed)
{
	XXH128_hash_t h = XXH3_128bits_withSeed(data.data, data.len, seed);
	FmSum128	sum;

	sum.lo = h.low64;
	sum.hi = h.high64;
	return sum;
}
