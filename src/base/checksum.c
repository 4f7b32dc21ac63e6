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

FmHashStream *
fm_hash_stream_create(void)
{
	return (FmHashStream *) XXH3_createState();
}

void
fm_hash_stream_free(FmHashStream *stream)
{
	XXH3_freeState((XXH3_state_t *) stream);
}

void
fm_hash_stream_begin(FmHashStream *stream, uint64_t seed)
{
	XXH3_64bits_reset_withSeed((XXH3_state_t *) stream, seed);
}

void
fm_hash_stream_add(FmHashStream *stream, FmSlice data)
{
	XXH3_64bits_update((XXH3_state_t *) stream, data.data, data.len);
}

uint64_t
fm_hash_stream_end(const FmHashStream *stream)
{
	return XXH3_64bits_digest((const XXH3_state_t *) stream);
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
