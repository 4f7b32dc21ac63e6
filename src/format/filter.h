/*-------------------------------------------------------------------------
 *
 * filter.h
 *	  Filters over key hashes: blocked bloom, 3-wise binary fuse.
 *
 * A filter answers "surely not here" or "maybe here".  Its bytes begin with
 * kind u8, arg u8, zero u16, key count u32, seed u64, then what the kind
 * needs; nothing is recomputed from floating point when reading.
 *
 * bloom: block count u32, bits set a key u32, zeros up to 64, blocks of 64
 * bytes.  fuse: segment length u32 (a power of two), segment count u32,
 * fingerprints (segment count + 2) * segment length of 1 or 2 bytes, zeros up
 * to a multiple of 8.  "arg" is the bits a key, or the bits a fingerprint.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_FILTER_H
#define FM_FILTER_H

#include "base/buffer.h"
#include "format/format.h"

#define FM_FILTER_HEADER_SIZE 16
#define FM_FUSE_HEADER_SIZE 24
#define FM_FUSE_MAX_SEGMENT 4096	/* fingerprints: 12 bits of the hash */
#define FM_BLOOM_BLOCK_SIZE 64
#define FM_BLOOM_HEADER_SIZE 64
#define FM_BLOOM_MAX_BITS 32	/* a key */
#define FM_BLOOM_MAX_PROBES 21
#define FM_FILTER_MAX_KEYS (1u << 20)
#define FM_FILTER_ALIGN 64		/* of a bloom filter in its partition */

/*
 * Appends a filter of n hashes to out (a multiple of 8 there).  The array is
 * sorted and de-duplicated in place.  Writes nothing, and returns FM_OK, when
 * kind is FM_FILTER_NONE, n is 0 or a fuse filter cannot be built.
 */
extern FmStatus fm_filter_build(FmFilterKind kind, int bits, uint64_t *hashes,
								uint32_t n, const FmAlloc *alloc, FmBuf *out);

/* The most bytes that fm_filter_build appends for n hashes. */
extern size_t fm_filter_max_size(FmFilterKind kind, int bits, uint32_t n);

/*
 * Checks a filter's header against its length, so that probing never reads
 * outside.  A kind that this code does not have is FM_OK: it is skipped.
 */
extern FmStatus fm_filter_check(FmSlice filter, FmFault *fault);

/* The hash that a filter of this seed works on. */
static inline uint64_t
fm_filter_mix(uint64_t hash, uint64_t seed)
{
	uint64_t	h = (hash ^ seed) * UINT64_C(0x9E3779B97F4A7C15);

	h ^= h >> 32;
	return h * UINT64_C(0xD6E8FEB86659FD93);
}

/* The three places of a mixed hash in a fuse filter. */
static inline void
fm_fuse_places(uint64_t h, uint32_t segment_len, uint32_t segment_count,
			   uint32_t place[3])
{
	uint64_t	span = (uint64_t) segment_len * segment_count;
	uint32_t	mask = segment_len - 1;

	place[0] = (uint32_t) ((h >> 32) * span >> 32);
	place[1] = (place[0] + segment_len) ^ ((uint32_t) (h >> 12) & mask);
	place[2] = (place[0] + 2 * segment_len) ^ ((uint32_t) h & mask);
}

/* The fingerprint of a mixed hash: its low 8 or 16 bits are stored. */
static inline uint16_t
fm_fuse_fingerprint(uint64_t h)
{
	return (uint16_t) (h >> 24);
}

/*
 * The next bit (0 to 511) of a key in its bloom block: 9 bits of a word that
 * serves 7 probes.
 */
static inline uint32_t
fm_bloom_bit(uint64_t h, uint32_t probe, uint64_t *word)
{
	uint32_t	bit;

	if (probe % 7 == 0)
		*word = fm_filter_mix(h, probe + 1);
	bit = (uint32_t) (*word >> 55);
	*word <<= 9;
	return bit;
}

/* True if a key of this hash may be present.  The filter was checked. */
static inline bool
fm_filter_probe(FmSlice filter, uint64_t hash)
{
	const uint8_t *p = filter.data;
	uint64_t	h = fm_filter_mix(hash, fm_get_u64(p + 8));
	uint32_t	a = fm_get_u32(p + 16);
	uint32_t	b = fm_get_u32(p + 20);
	uint32_t	place[3];
	uint64_t	word = 0;
	uint32_t	i;
	uint32_t	bit;

	switch (p[0])
	{
		case FM_FILTER_FUSE8:
			p += FM_FUSE_HEADER_SIZE;
			fm_fuse_places(h, a, b, place);
			return (p[place[0]] ^ p[place[1]] ^ p[place[2]]) ==
				(uint8_t) fm_fuse_fingerprint(h);
		case FM_FILTER_FUSE16:
			p += FM_FUSE_HEADER_SIZE;
			fm_fuse_places(h, a, b, place);
			return (fm_get_u16(p + (size_t) place[0] * 2) ^
					fm_get_u16(p + (size_t) place[1] * 2) ^
					fm_get_u16(p + (size_t) place[2] * 2)) ==
				fm_fuse_fingerprint(h);
		case FM_FILTER_BLOOM:
			p += FM_BLOOM_HEADER_SIZE +
				((h >> 32) * a >> 32) * FM_BLOOM_BLOCK_SIZE;
			for (i = 0; i < b; i++)
			{
				bit = fm_bloom_bit(h, i, &word);
				if ((p[bit >> 3] >> (bit & 7) & 1) == 0)
					return false;
			}
			return true;
		default:
			return true;
	}
}

/* False for an empty slice and for a kind that this code does not have. */
static inline bool
fm_filter_usable(FmSlice filter)
{
	return filter.len > 0 && filter.data[0] >= FM_FILTER_BLOOM &&
		filter.data[0] <= FM_FILTER_FUSE16;
}

#endif							/* FM_FILTER_H */
