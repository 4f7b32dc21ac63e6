/*-------------------------------------------------------------------------
 *
 * test_filter.c
 *	  Filters: no key is ever denied; false positives and bits are counted.
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"

#include "format/filter.h"
#include "format/index.h"

#define KEY_SETS 20
#define PROBES 400000			/* of each key set */

static uint64_t seed = 5;

typedef struct FilterCount
{
	double		bits_per_key;
	double		false_rate;
} FilterCount;

static uint64_t *
make_hashes(uint32_t n)
{
	uint64_t   *hashes = malloc(sizeof(uint64_t) * n);
	uint32_t	i;

	for (i = 0; i < n; i++)
		hashes[i] = unit_random(&seed);
	return hashes;
}

/* Builds over KEY_SETS sets of n hashes and counts. */
static FilterCount
count_filter(FmFilterKind kind, int bits, uint32_t n, uint32_t probes)
{
	FilterCount count = {0, 0};
	uint64_t	bytes = 0;
	uint64_t	wrong = 0;
	FmBuf		out;
	uint32_t	i;
	int			set;

	fm_buf_init(&out, &fm_alloc_malloc);
	for (set = 0; set < KEY_SETS; set++)
	{
		uint64_t   *hashes = make_hashes(n);
		FmSlice		filter;
		uint8_t    *copy;

		fm_buf_reset(&out);
		CHECK(fm_filter_build(kind, bits, hashes, n, &fm_alloc_malloc,
							  &out) == FM_OK);
		CHECK(out.len > 0 && out.len % 8 == 0);
		CHECK(out.len <= fm_filter_max_size(kind, bits, n));
		copy = malloc(out.len);
		memcpy(copy, out.data, out.len);
		filter = fm_slice(copy, out.len);
		CHECK(fm_filter_check(filter, NULL) == FM_OK);
		CHECK(fm_filter_usable(filter));
		for (i = 0; i < n; i++)
			if (!fm_filter_probe(filter, hashes[i]))
				CHECK(!"a key that is there was denied");
		for (i = 0; i < probes; i++)
			wrong += fm_filter_probe(filter, unit_random(&seed));
		bytes += out.len;
		free(copy);
		free(hashes);
	}
	fm_buf_free(&out);
	count.bits_per_key = 8.0 * (double) bytes / ((double) n * KEY_SETS);
	if (probes > 0)
		count.false_rate = (double) wrong / ((double) probes * KEY_SETS);
	printf("# kind %d, %u keys: %.2f bits a key, %.3f false in 1000\n",
		   (int) kind, n, count.bits_per_key, count.false_rate * 1000);
	return count;
}

static void
test_fuse8(void)
{
	FilterCount count = count_filter(FM_FILTER_FUSE8, 0,
									 FM_PARTITION_MAX_KEYS, PROBES);

	CHECK(count.bits_per_key <= 9.8);
	CHECK(count.false_rate <= 0.0040);
	count = count_filter(FM_FILTER_FUSE8, 0, 10000, PROBES);
	CHECK(count.bits_per_key <= 10.1);
	CHECK(count.false_rate <= 0.0040);
}

static void
test_fuse16(void)
{
	FilterCount count = count_filter(FM_FILTER_FUSE16, 0, 12000, PROBES);

	CHECK(count.bits_per_key <= 20.2);
	CHECK(count.false_rate <= 0.00003);
}

static void
test_bloom(void)
{
	FilterCount count = count_filter(FM_FILTER_BLOOM, 10,
									 FM_PARTITION_MAX_KEYS, PROBES);

	CHECK(count.bits_per_key <= 10.1);
	CHECK(count.false_rate <= 0.0100);
	count = count_filter(FM_FILTER_BLOOM, 16, 12000, PROBES / 4);
	CHECK(count.false_rate <= 0.0015);
	count = count_filter(FM_FILTER_BLOOM, 1, 1000, PROBES / 10);
	CHECK(count.false_rate <= 0.8);
	count = count_filter(FM_FILTER_BLOOM, FM_BLOOM_MAX_BITS, 1000,
						 PROBES / 10);
	CHECK(count.false_rate <= 0.0005);
}

/* Every small number of keys, and some odd ones. */
static void
test_counts(void)
{
	static const FmFilterKind kinds[] = {
		FM_FILTER_BLOOM, FM_FILTER_FUSE8, FM_FILTER_FUSE16
	};
	FmBuf		out;
	uint32_t	n;
	uint32_t	i;
	size_t		k;
	int			none = 0;

	fm_buf_init(&out, &fm_alloc_malloc);
	for (n = 1; n < 20000; n += n < 300 ? 1 : n / 7)
		for (k = 0; k < 3; k++)
		{
			uint64_t   *hashes = make_hashes(n);

			fm_buf_reset(&out);
			CHECK(fm_filter_build(kinds[k], 10, hashes, n, &fm_alloc_malloc,
								  &out) == FM_OK);
			if (out.len == 0)
				none++;
			else
			{
				CHECK(fm_filter_check(fm_buf_slice(&out), NULL) == FM_OK);
				for (i = 0; i < n; i++)
					CHECK(fm_filter_probe(fm_buf_slice(&out), hashes[i]));
			}
			free(hashes);
		}
	CHECK(none == 0);
	fm_buf_free(&out);
}

/* Duplicates, and hashes that agree in all but a few bits. */
static void
test_odd_hashes(void)
{
	uint64_t	hashes[3000];
	FmBuf		out;
	uint32_t	i;
	int			kind;

	fm_buf_init(&out, &fm_alloc_malloc);
	for (kind = FM_FILTER_BLOOM; kind <= FM_FILTER_FUSE16; kind++)
	{
		for (i = 0; i < 3000; i++)
			hashes[i] = i / 3;
		fm_buf_reset(&out);
		CHECK(fm_filter_build((FmFilterKind) kind, 10, hashes, 3000,
							  &fm_alloc_malloc, &out) == FM_OK);
		CHECK(out.len > 0 && fm_get_u32(out.data + 4) == 1000);
		for (i = 0; i < 1000; i++)
		{
			CHECK(fm_filter_probe(fm_buf_slice(&out), i));
			CHECK(hashes[i] == i);
		}
	}
	fm_buf_reset(&out);
	CHECK(fm_filter_build(FM_FILTER_NONE, 10, hashes, 3000, &fm_alloc_malloc,
						  &out) == FM_OK && out.len == 0);
	CHECK(fm_filter_build(FM_FILTER_FUSE8, 0, hashes, 0, &fm_alloc_malloc,
						  &out) == FM_OK && out.len == 0);
	CHECK(fm_filter_build(FM_FILTER_AUTO, 0, hashes, 9, &fm_alloc_malloc,
						  &out) == FM_INVALID);
	CHECK(fm_filter_build(FM_FILTER_BLOOM, 99, hashes, 9, &fm_alloc_malloc,
						  &out) == FM_INVALID);
	fm_buf_free(&out);
}

/*
 * Any single damaged bit of a header, and any cut: refused, or probing stays
 * within the bytes.  A kind that is not known is skipped.
 */
static void
test_damage(void)
{
	FmBuf		out;
	int			kind;

	fm_buf_init(&out, &fm_alloc_malloc);
	for (kind = FM_FILTER_BLOOM; kind <= FM_FILTER_FUSE16; kind++)
	{
		uint64_t   *hashes = make_hashes(500);
		size_t		len;
		size_t		bit;
		int			i;

		fm_buf_reset(&out);
		CHECK(fm_filter_build((FmFilterKind) kind, 10, hashes, 500,
							  &fm_alloc_malloc, &out) == FM_OK);
		for (len = 0; len < out.len; len++)
		{
			uint8_t    *copy = malloc(len > 0 ? len : 1);

			memcpy(copy, out.data, len);
			CHECK(fm_filter_check(fm_slice(copy, len), NULL) ==
				  FM_CORRUPTION);
			free(copy);
		}
		for (bit = 0; bit < 64 * 8; bit++)
		{
			uint8_t    *copy = malloc(out.len);
			FmSlice		filter = fm_slice(copy, out.len);

			memcpy(copy, out.data, out.len);
			copy[bit / 8] ^= (uint8_t) (1 << bit % 8);
			if (fm_filter_check(filter, NULL) == FM_OK)
			{
				if (bit < 8 && copy[0] > FM_FILTER_FUSE16)
					CHECK(!fm_filter_usable(filter));
				for (i = 0; i < 500; i++)
					(void) fm_filter_probe(filter, hashes[i]);
			}
			free(copy);
		}
		free(hashes);
	}
	fm_buf_free(&out);
}

int
main(void)
{
	RUN(test_fuse8);
	RUN(test_fuse16);
	RUN(test_bloom);
	RUN(test_counts);
	RUN(test_odd_hashes);
	RUN(test_damage);
	return unit_finish();
}
