/*-------------------------------------------------------------------------
 *
 * filter.c
 *	  Building and checking filters.
 *
 * A fuse filter is an array of fingerprints in which a key's three places,
 * in three neighbouring segments, XOR to the key's own fingerprint.  It is
 * built by peeling: a place that only one key uses is set last, which frees
 * that key's other places, and so on until no key is left (Graf and Lemire,
 * "Binary Fuse Filters", 2022).  Peeling fails by chance, the more often the
 * tighter the array is; then another seed is tried, and after some seeds a
 * larger array.
 *
 *-------------------------------------------------------------------------
 */
#include "format/filter.h"

#define SORT_BITS 11			/* of a radix pass */
#define FUSE_SEEDS 4			/* tried for each size */
#define FUSE_SIZES 5			/* tried, each a segment larger */
#define FUSE_MIN_SEGMENT 4

/* A stable pass over SORT_BITS bits from "shift" on. */
static void
radix_pass(const uint64_t *from, uint64_t *to, uint32_t n, int shift)
{
	uint32_t	starts[1 << SORT_BITS] = {0};
	uint32_t	sum = 0;
	uint32_t	i;

	for (i = 0; i < n; i++)
		starts[from[i] >> shift & ((1 << SORT_BITS) - 1)]++;
	for (i = 0; i < (1 << SORT_BITS); i++)
	{
		uint32_t	count = starts[i];

		starts[i] = sum;
		sum += count;
	}
	for (i = 0; i < n; i++)
		to[starts[from[i] >> shift & ((1 << SORT_BITS) - 1)]++] = from[i];
}

/*
 * Sorts n hashes and drops duplicates; returns how many are left.  The high
 * bits are sorted by radix; insertion puts the few right that agree in them.
 */
static uint32_t
sort_unique(uint64_t *hashes, uint64_t *scratch, uint32_t n)
{
	uint32_t	kept = 0;
	uint32_t	i;
	uint32_t	j;

	radix_pass(hashes, scratch, n, 64 - 2 * SORT_BITS);
	radix_pass(scratch, hashes, n, 64 - SORT_BITS);
	for (i = 1; i < n; i++)
	{
		uint64_t	h = hashes[i];

		for (j = i; j > 0 && hashes[j - 1] > h; j--)
			hashes[j] = hashes[j - 1];
		hashes[j] = h;
	}
	for (i = 0; i < n; i++)
		if (kept == 0 || hashes[kept - 1] != hashes[i])
			hashes[kept++] = hashes[i];
	return kept;
}

static void
put_header(FmBuf *out, FmFilterKind kind, int arg, uint32_t n, uint64_t seed)
{
	fm_buf_put_u8(out, (uint8_t) kind);
	fm_buf_put_u8(out, (uint8_t) arg);
	fm_buf_put_u16(out, 0);
	fm_buf_put_u32(out, n);
	fm_buf_put_u64(out, seed);
}

/*
 * Bits to set a key: 0.69 times the bits a key would be best for one large
 * array; blocks fill unevenly, so a little less is.
 */
static uint32_t
bloom_probes(int bits)
{
	uint32_t	probes = ((uint32_t) bits * 65 + 50) / 100;

	return probes < 1 ? 1 : probes;
}

static uint32_t
bloom_blocks(int bits, uint32_t n)
{
	uint64_t	total = (uint64_t) n * (uint32_t) bits;

	return (uint32_t) ((total + FM_BLOOM_BLOCK_SIZE * 8 - 1) /
					   (FM_BLOOM_BLOCK_SIZE * 8));
}

static FmStatus
build_bloom(int bits, const uint64_t *hashes, uint32_t n, FmBuf *out)
{
	uint32_t	nblocks = bloom_blocks(bits, n);
	uint32_t	probes = bloom_probes(bits);
	uint8_t    *blocks;
	uint64_t	word = 0;
	uint32_t	i;
	uint32_t	j;

	put_header(out, FM_FILTER_BLOOM, bits, n, 0);
	fm_buf_put_u32(out, nblocks);
	fm_buf_put_u32(out, probes);
	fm_buf_put_zeros(out, FM_BLOOM_HEADER_SIZE - FM_FILTER_HEADER_SIZE - 8);
	fm_buf_put_zeros(out, (size_t) nblocks * FM_BLOOM_BLOCK_SIZE);
	if (out->failed)
		return FM_NO_MEMORY;
	blocks = out->data + out->len - (size_t) nblocks * FM_BLOOM_BLOCK_SIZE;
	for (i = 0; i < n; i++)
	{
		uint64_t	h = fm_filter_mix(hashes[i], 0);
		uint8_t    *block = blocks +
		((h >> 32) * nblocks >> 32) * FM_BLOOM_BLOCK_SIZE;

		for (j = 0; j < probes; j++)
		{
			uint32_t	bit = fm_bloom_bit(h, j, &word);

			block[bit >> 3] |= (uint8_t) (1 << (bit & 7));
		}
	}
	return FM_OK;
}

/*
 * Shape of a fuse filter at its first size.  Measured: such an array is
 * peeled at the first seed in 6 to 9 cases of 10, for any n.
 */
static void
fuse_shape(uint32_t n, uint32_t *segment_len, uint32_t *segment_count)
{
	uint32_t	len = FUSE_MIN_SEGMENT;
	uint32_t	root = 0;
	uint32_t	places;
	uint32_t	segments;

	while (len < FM_FUSE_MAX_SEGMENT && (uint64_t) len * len < 2 * (uint64_t) n)
		len *= 2;
	while ((uint64_t) (root + 1) * (root + 1) <= n)
		root++;
	places = n + n / 8 + 10 * root;
	if (places > n + n / 2)
		places = n + n / 2;
	segments = (places + len - 1) / len;
	*segment_len = len;
	*segment_count = segments > 3 ? segments - 2 : 1;
}

/* What peeling needs, for the largest array that is tried. */
typedef struct FuseWork
{
	uint64_t   *sums;			/* XOR of the hashes that use a place */
	uint32_t   *counts;			/* how many they are */
	uint32_t   *queue;			/* places that one hash uses */
	uint64_t   *peeled_hash;	/* in order of peeling */
	uint32_t   *peeled_place;
} FuseWork;

static bool
fuse_work_init(FuseWork *w, uint32_t n, uint32_t places, const FmAlloc *alloc)
{
	uint8_t    *memory;

	memory = fm_alloc(alloc, (size_t) places * 16 + (size_t) n * 12);
	if (memory == NULL)
		return false;
	w->sums = (uint64_t *) memory;
	w->peeled_hash = w->sums + places;
	w->counts = (uint32_t *) (w->peeled_hash + n);
	w->queue = w->counts + places;
	w->peeled_place = w->queue + places;
	return true;
}

/* True if all n hashes could be peeled under this seed and shape. */
static bool
fuse_peel(FuseWork *w, const uint64_t *hashes, uint32_t n, uint64_t seed,
		  uint32_t segment_len, uint32_t segment_count)
{
	uint32_t	places = (segment_count + 2) * segment_len;
	uint32_t	place[3];
	uint32_t	queued = 0;
	uint32_t	peeled = 0;
	uint32_t	i;
	int			k;

	memset(w->sums, 0, sizeof(uint64_t) * places);
	memset(w->counts, 0, sizeof(uint32_t) * places);
	for (i = 0; i < n; i++)
	{
		uint64_t	h = fm_filter_mix(hashes[i], seed);

		fm_fuse_places(h, segment_len, segment_count, place);
		for (k = 0; k < 3; k++)
		{
			w->sums[place[k]] ^= h;
			w->counts[place[k]]++;
		}
	}
	for (i = 0; i < places; i++)
	{
		w->queue[queued] = i;
		queued += w->counts[i] == 1;
	}
	while (queued > 0)
	{
		uint32_t	p = w->queue[--queued];
		uint64_t	h = w->sums[p];

		/* Its only hash may have been peeled from another place. */
		if (w->counts[p] != 1)
			continue;
		w->peeled_hash[peeled] = h;
		w->peeled_place[peeled++] = p;
		fm_fuse_places(h, segment_len, segment_count, place);
		for (k = 0; k < 3; k++)
		{
			w->sums[place[k]] ^= h;
			w->queue[queued] = place[k];
			queued += --w->counts[place[k]] == 1;
		}
	}
	return peeled == n;
}

/* Sets fingerprints in the reverse order of peeling. */
static void
fuse_assign(const FuseWork *w, uint32_t n, uint32_t segment_len,
			uint32_t segment_count, uint32_t width, uint8_t *fingerprints)
{
	uint32_t	place[3];
	uint32_t	i;
	int			k;

	for (i = n; i-- > 0;)
	{
		uint64_t	h = w->peeled_hash[i];
		uint16_t	value = fm_fuse_fingerprint(h);

		/* The place to be set is still zero and adds nothing. */
		fm_fuse_places(h, segment_len, segment_count, place);
		for (k = 0; k < 3; k++)
		{
			if (width == 1)
				value ^= fingerprints[place[k]];
			else
				value ^= fm_get_u16(fingerprints + (size_t) place[k] * 2);
		}
		if (width == 1)
			fingerprints[w->peeled_place[i]] = (uint8_t) value;
		else
			fm_put_u16(fingerprints + (size_t) w->peeled_place[i] * 2, value);
	}
}

static FmStatus
build_fuse(FmFilterKind kind, const uint64_t *hashes, uint32_t n,
		   const FmAlloc *alloc, FmBuf *out)
{
	uint32_t	width = kind == FM_FILTER_FUSE8 ? 1 : 2;
	FuseWork	w;
	uint32_t	segment_len;
	uint32_t	segment_count;
	uint64_t	seed = 0;
	bool		done = false;
	size_t		size;
	int			tries;

	fuse_shape(n, &segment_len, &segment_count);
	if (!fuse_work_init(&w, n, (segment_count + FUSE_SIZES + 1) * segment_len,
						alloc))
		return FM_NO_MEMORY;
	for (tries = 0; tries < FUSE_SEEDS * FUSE_SIZES; tries++)
	{
		if (tries > 0 && tries % FUSE_SEEDS == 0)
			segment_count++;
		seed = fm_filter_mix((uint64_t) tries, n);
		done = fuse_peel(&w, hashes, n, seed, segment_len, segment_count);
		if (done)
			break;
	}
	if (done)
	{
		put_header(out, kind, (int) width * 8, n, seed);
		fm_buf_put_u32(out, segment_len);
		fm_buf_put_u32(out, segment_count);
		size = (size_t) (segment_count + 2) * segment_len * width;
		fm_buf_put_zeros(out, size);
		if (!out->failed)
			fuse_assign(&w, n, segment_len, segment_count, width,
						out->data + out->len - size);
		fm_buf_put_zeros(out, (0 - size) & 7);
	}
	fm_free(alloc, w.sums);
	return out->failed ? FM_NO_MEMORY : FM_OK;
}

FmStatus
fm_filter_build(FmFilterKind kind, int bits, uint64_t *hashes, uint32_t n,
				const FmAlloc *alloc, FmBuf *out)
{
	uint64_t   *scratch;

	if (kind == FM_FILTER_NONE || n == 0)
		return FM_OK;
	if (n > FM_FILTER_MAX_KEYS ||
		(kind == FM_FILTER_BLOOM && (bits < 1 || bits > FM_BLOOM_MAX_BITS)))
		return FM_INVALID;
	scratch = fm_alloc(alloc, sizeof(uint64_t) * n);
	if (scratch == NULL)
		return FM_NO_MEMORY;
	n = sort_unique(hashes, scratch, n);
	fm_free(alloc, scratch);
	switch (kind)
	{
		case FM_FILTER_BLOOM:
			return build_bloom(bits, hashes, n, out);
		case FM_FILTER_FUSE8:
		case FM_FILTER_FUSE16:
			return build_fuse(kind, hashes, n, alloc, out);
		default:
			return FM_INVALID;
	}
}

size_t
fm_filter_max_size(FmFilterKind kind, int bits, uint32_t n)
{
	uint32_t	segment_len;
	uint32_t	segment_count;
	size_t		size;

	if (n == 0)
		return 0;
	switch (kind)
	{
		case FM_FILTER_BLOOM:
			return FM_BLOOM_HEADER_SIZE +
				(size_t) bloom_blocks(bits, n) * FM_BLOOM_BLOCK_SIZE;
		case FM_FILTER_FUSE8:
		case FM_FILTER_FUSE16:
			fuse_shape(n, &segment_len, &segment_count);
			size = (size_t) (segment_count + FUSE_SIZES + 1) * segment_len;
			if (kind == FM_FILTER_FUSE16)
				size *= 2;
			return FM_FUSE_HEADER_SIZE + ((size + 7) & ~(size_t) 7);
		default:
			return 0;
	}
}

static FmStatus
check_bloom(FmSlice filter, FmFault *fault)
{
	uint32_t	nblocks;
	uint32_t	probes;

	if (filter.len < FM_BLOOM_HEADER_SIZE)
		return fm_fault(fault, FM_CORRUPTION, "bloom filter is cut off", 0);
	nblocks = fm_get_u32(filter.data + FM_FILTER_HEADER_SIZE);
	probes = fm_get_u32(filter.data + FM_FILTER_HEADER_SIZE + 4);
	if (nblocks == 0 || filter.len != FM_BLOOM_HEADER_SIZE +
		(uint64_t) nblocks * FM_BLOOM_BLOCK_SIZE)
		return fm_fault(fault, FM_CORRUPTION,
						"block count of a bloom filter does not fit its length",
						FM_FILTER_HEADER_SIZE);
	if (probes == 0 || probes > FM_BLOOM_MAX_PROBES)
		return fm_fault(fault, FM_CORRUPTION,
						"probe count of a bloom filter is out of range",
						FM_FILTER_HEADER_SIZE + 4);
	return FM_OK;
}

static FmStatus
check_fuse(FmSlice filter, uint32_t width, FmFault *fault)
{
	uint32_t	segment_len;
	uint32_t	segment_count;
	uint64_t	size;

	if (filter.len < FM_FUSE_HEADER_SIZE)
		return fm_fault(fault, FM_CORRUPTION, "fuse filter is cut off", 0);
	segment_len = fm_get_u32(filter.data + FM_FILTER_HEADER_SIZE);
	segment_count = fm_get_u32(filter.data + FM_FILTER_HEADER_SIZE + 4);
	if (segment_len == 0 || segment_len > FM_FUSE_MAX_SEGMENT ||
		(segment_len & (segment_len - 1)) != 0)
		return fm_fault(fault, FM_CORRUPTION,
						"segment length of a fuse filter is out of range",
						FM_FILTER_HEADER_SIZE);
	size = ((uint64_t) segment_count + 2) * segment_len * width;
	if (segment_count == 0 ||
		((size + 7) & ~(uint64_t) 7) != filter.len - FM_FUSE_HEADER_SIZE ||
		size > UINT32_MAX)
		return fm_fault(fault, FM_CORRUPTION,
						"segment count of a fuse filter does not fit its length",
						FM_FILTER_HEADER_SIZE + 4);
	return FM_OK;
}

FmStatus
fm_filter_check(FmSlice filter, FmFault *fault)
{
	if (filter.len < FM_FILTER_HEADER_SIZE)
		return fm_fault(fault, FM_CORRUPTION, "filter is cut off", 0);
	switch (filter.data[0])
	{
		case FM_FILTER_BLOOM:
			return check_bloom(filter, fault);
		case FM_FILTER_FUSE8:
			return check_fuse(filter, 1, fault);
		case FM_FILTER_FUSE16:
			return check_fuse(filter, 2, fault);
		default:
			return FM_OK;
	}
}
