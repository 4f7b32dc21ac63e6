/*-------------------------------------------------------------------------
 *
 * checksum.h
 *	  XXH3 of byte ranges: checksums, key hashes and row sums.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_CHECKSUM_H
#define FM_CHECKSUM_H

#include "base/slice.h"

/* A 128-bit sum; addition is modulo 2^128. */
typedef struct FmSum128
{
	uint64_t	lo;
	uint64_t	hi;
} FmSum128;

/* XXH3-64 of data under seed. */
extern uint64_t fm_xxh3_64(FmSlice data, uint64_t seed);

/* XXH3-64 of data that comes in pieces.  create returns NULL without memory. */
typedef struct FmHashStream FmHashStream;

extern FmHashStream *fm_hash_stream_create(void);
extern void fm_hash_stream_free(FmHashStream *stream);
extern void fm_hash_stream_begin(FmHashStream *stream, uint64_t seed);
extern void fm_hash_stream_add(FmHashStream *stream, FmSlice data);
extern uint64_t fm_hash_stream_end(const FmHashStream *stream);

/* XXH3-128 of data under seed. */
extern FmSum128 fm_xxh3_128(FmSlice data, uint64_t seed);

static inline FmSum128
fm_sum128_add(FmSum128 a, FmSum128 b)
{
	FmSum128	r;

	r.lo = a.lo + b.lo;
	r.hi = a.hi + b.hi + (r.lo < a.lo);
	return r;
}

static inline FmSum128
fm_sum128_sub(FmSum128 a, FmSum128 b)
{
	FmSum128	r;

	r.lo = a.lo - b.lo;
	r.hi = a.hi - b.hi - (a.lo < b.lo);
	return r;
}

static inline bool
fm_sum128_eq(FmSum128 a, FmSum128 b)
{
	return a.lo == b.lo && a.hi == b.hi;
}

#endif							/* FM_CHECKSUM_H */
