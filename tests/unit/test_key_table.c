/*-------------------------------------------------------------------------
 *
 * test_key_table.c
 *	  Key tables: search against a linear one, sizes, damage.
 *
 * Every table is searched in a piece of memory of its own length, so that a
 * load before or behind it is seen.
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"

#include "format/key_table.h"

#define MAX_KEYS 300

static uint64_t seed = 3;

static int
compare_keys(const void *a, const void *b)
{
	return fm_slice_cmp(*(const FmSlice *) a, *(const FmSlice *) b);
}

/*
 * Up to n distinct keys of min_len to max_len bytes, of an alphabet of
 * "letters" values, behind a common prefix; returns how many.
 */
static uint32_t
make_keys(FmSlice *keys, uint32_t n, size_t prefix_len, size_t min_len,
		  size_t max_len, int letters)
{
	uint32_t	kept = 0;
	uint32_t	i;

	for (i = 0; i < n; i++)
	{
		size_t		len = prefix_len + min_len +
		unit_random(&seed) % (max_len - min_len + 1);
		uint8_t    *key = malloc(len > 0 ? len : 1);
		size_t		b;

		for (b = 0; b < len; b++)
		{
			key[b] = 'p';
			if (b >= prefix_len)
				key[b] = (uint8_t) (unit_random(&seed) % (unsigned) letters *
									(255 / (unsigned) (letters - 1)));
		}
		keys[i] = fm_slice(key, len);
	}
	qsort(keys, n, sizeof(FmSlice), compare_keys);
	for (i = 0; i < n; i++)
	{
		if (kept > 0 && fm_slice_eq(keys[kept - 1], keys[i]))
			free((void *) keys[i].data);
		else
			keys[kept++] = keys[i];
	}
	return kept;
}

static void
check_search(const FmKeyTable *t, const FmSlice *keys, uint32_t n, FmSlice key)
{
	uint32_t	expected = 0;
	uint32_t	found;
	bool		equal = true;

	while (expected < n && fm_slice_cmp(keys[expected], key) < 0)
		expected++;
	found = fm_key_table_search(t, key, &equal);
	CHECK(found == expected);
	CHECK(equal == (expected < n && fm_slice_eq(keys[expected], key)));
}

/* Searches for keys near to one: cut, longer, with another byte. */
static void
check_near(const FmKeyTable *t, const FmSlice *keys, uint32_t n, FmSlice key)
{
	uint8_t    *near = malloc(key.len + 9);
	int			i;

	memset(near, 0, key.len + 9);
	if (key.len > 0)
		memcpy(near, key.data, key.len);
	check_search(t, keys, n, key);
	check_search(t, keys, n, fm_slice(near, key.len + 1));
	check_search(t, keys, n, fm_slice(near, key.len + 9));
	near[key.len] = 0xFF;
	check_search(t, keys, n, fm_slice(near, key.len + 1));
	for (i = 0; i < 6 && key.len > 0; i++)
	{
		size_t		at = unit_random(&seed) % key.len;

		/* A piece of its own, to see a load behind a short key. */
		uint8_t    *copy = malloc(at > 0 ? at : 1);

		memcpy(copy, key.data, at);
		check_search(t, keys, n, fm_slice(copy, at));
		free(copy);
		near[at]++;
		check_search(t, keys, n, fm_slice(near, key.len));
		near[at] -= 2;
		check_search(t, keys, n, fm_slice(near, key.len));
		near[at]++;
	}
	free(near);
}

static void
check_table(FmSlice *keys, uint32_t n)
{
	FmBuf		out;
	uint8_t    *bytes;
	uint8_t		key[FM_MAX_KEY_SIZE];
	FmKeyTable	t;
	size_t		size = 0;
	size_t		total = 0;
	bool		same_len = true;
	uint32_t	i;

	fm_buf_init(&out, &fm_alloc_malloc);
	CHECK(fm_key_table_write(keys, n, &out) == FM_OK);
	for (i = 0; i < n; i++)
	{
		total += keys[i].len;
		same_len = same_len && keys[i].len == keys[0].len;
	}
	bytes = malloc(out.len);
	memcpy(bytes, out.data, out.len);
	CHECK(fm_key_table_check(fm_slice(bytes, out.len), &size, NULL) == FM_OK);
	CHECK(size == out.len);
	fm_key_table_open(bytes, &t);
	CHECK(t.count == n);
	CHECK(fm_key_table_size(n, t.prefix_len, total, same_len) == out.len);
	for (i = 0; i < n; i++)
	{
		CHECK(fm_slice_eq(fm_slice(key, fm_key_table_key(&t, i, key)),
						  keys[i]));
		check_near(&t, keys, n, keys[i]);
	}
	check_search(&t, keys, n, fm_slice(NULL, 0));
	check_search(&t, keys, n, fm_slice("\377\377\377\377", 4));
	free(bytes);
	fm_buf_free(&out);
	for (i = 0; i < n; i++)
		free((void *) keys[i].data);
}

static void
test_fixed(void)
{
	static const uint32_t counts[] = {1, 2, 3, 5, 8, 17, 64, MAX_KEYS};
	FmSlice		keys[MAX_KEYS];
	size_t		len;
	size_t		i;
	int			letters;

	for (len = 0; len <= 20; len++)
		for (letters = 2; letters <= 256; letters += 127)
			for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
				check_table(keys, make_keys(keys, counts[i], len % 7, len,
											len, letters));
}

static void
test_varying(void)
{
	FmSlice		keys[MAX_KEYS];
	size_t		len;
	uint32_t	n;
	int			letters;

	for (len = 1; len <= 24; len++)
		for (letters = 2; letters <= 256; letters += 127)
			for (n = 1; n <= MAX_KEYS; n = n * 3 + 1)
				check_table(keys, make_keys(keys, n, (len * 5) % 11,
											len % 3 == 0 ? len / 2 : 0, len,
											letters));
}

/* Many keys that agree in more than the 8 bytes compared first. */
static void
test_equal_heads(void)
{
	FmSlice		keys[MAX_KEYS];
	uint32_t	n;
	uint32_t	i;
	uint8_t		key[40];

	for (n = 2; n <= MAX_KEYS; n += 37)
	{
		for (i = 0; i < n; i++)
		{
			uint8_t    *copy;
			size_t		len = i % 2 == 0 ? 20 : 24;

			memset(key, i < n / 3 ? 'a' : 'b', sizeof(key));
			key[18] = (uint8_t) (i / 256);
			key[19] = (uint8_t) i;
			copy = malloc(len);
			memcpy(copy, key, len);
			keys[i] = fm_slice(copy, len);
		}
		check_table(keys, n);
	}
}

static void
test_refused(void)
{
	FmSlice		keys[2] = {{(const uint8_t *) "b", 1},
	{(const uint8_t *) "a", 1}};
	uint8_t		zeros[FM_MAX_KEY_SIZE + 1] = {0};
	FmBuf		out;
	size_t		size;

	fm_buf_init(&out, &fm_alloc_malloc);
	CHECK(fm_key_table_write(keys, 2, &out) == FM_INVALID);
	keys[1] = keys[0];
	CHECK(fm_key_table_write(keys, 2, &out) == FM_INVALID);
	keys[0] = fm_slice(zeros, sizeof(zeros));
	CHECK(fm_key_table_write(keys, 1, &out) == FM_TOO_LARGE);
	fm_buf_free(&out);

	CHECK(fm_key_table_write(keys, 0, &out) == FM_OK);
	CHECK(fm_key_table_check(fm_buf_slice(&out), &size, NULL) == FM_OK);
	CHECK(size == 8 && out.len == 8);
	fm_buf_free(&out);
}

/* Random damage: refused, or a table that can be searched. */
static void
test_damage(void)
{
	FmSlice		keys[MAX_KEYS];
	FmBuf		out;
	uint32_t	n;
	uint32_t	i;
	int			round;

	fm_buf_init(&out, &fm_alloc_malloc);
	for (round = 0; round < 20000; round++)
	{
		size_t		len;
		uint8_t    *bytes;
		FmKeyTable	t;
		FmFault		fault = {FM_OK, NULL, 0};
		size_t		size;
		bool		equal;

		n = make_keys(keys, 1 + unit_random(&seed) % 12, round % 5,
					  round % 2, 1 + (size_t) round % 10, 100);
		fm_buf_reset(&out);
		CHECK(fm_key_table_write(keys, n, &out) == FM_OK);
		len = round % 3 == 0 ? unit_random(&seed) % (out.len + 1) : out.len;
		bytes = malloc(len > 0 ? len : 1);
		memcpy(bytes, out.data, len);
		for (i = 0; i < 1 + unit_random(&seed) % 3 && len > 0; i++)
			bytes[unit_random(&seed) % (i == 0 ? len : 8 < len ? 8 : len)] ^=
				(uint8_t) (1 << unit_random(&seed) % 8);
		if (fm_key_table_check(fm_slice(bytes, len), &size, &fault) == FM_OK)
		{
			CHECK(size <= len);
			fm_key_table_open(bytes, &t);
			for (i = 0; i < n; i++)
				(void) fm_key_table_search(&t, keys[i], &equal);
		}
		else
			CHECK(fault.status == FM_CORRUPTION && fault.what != NULL &&
				  fault.offset <= len);
		free(bytes);
		for (i = 0; i < n; i++)
			free((void *) keys[i].data);
	}
	fm_buf_free(&out);
}

int
main(void)
{
	RUN(test_fixed);
	RUN(test_varying);
	RUN(test_equal_heads);
	RUN(test_refused);
	RUN(test_damage);
	return unit_finish();
}
