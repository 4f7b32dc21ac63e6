/*-------------------------------------------------------------------------
 *
 * test_row_codec.c
 *	  Rows: frozen bytes, every kind and length, damage.
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"

#include "format/row_codec.h"

static const FmRowColumn all_kinds[] = {
	{FM_ROW_FIXED, 4}, {FM_ROW_TEXT, 0}, {FM_ROW_SEND, 0}, {FM_ROW_FIXED, 1},
	{FM_ROW_NUMERIC, 0}, {FM_ROW_VARLENA, 0}, {FM_ROW_OUTPUT, 0},
	{FM_ROW_FIXED, 16}, {FM_ROW_JSONB, 0},
};

#define NKINDS (sizeof(all_kinds) / sizeof(all_kinds[0]))

static FmRowLayout *
make_layout(const FmRowColumn *columns, uint32_t n)
{
	FmRowLayout *layout;

	CHECK(fm_row_layout_create(columns, n, &fm_alloc_malloc,
							   &layout) == FM_OK);
	return layout;
}

static FmRowValue
value_of(const void *data, size_t len)
{
	FmRowValue	v;

	v.is_null = false;
	v.bytes = fm_slice(data, len);
	return v;
}

/* The data of an attribute, without its header. */
static bool
get_data(const FmRow *row, uint32_t i, FmSlice *data)
{
	size_t		header;

	if (!fm_row_get(row, i, data))
		return false;
	if (!fm_row_kind_is_varlena(row->layout->columns[i].kind))
		return true;
	header = (data->data[0] & 1) != 0 ? 1 : 4;
	if (header == 1)
		CHECK(data->data[0] >> 1 == (int) data->len);
	else
	{
		CHECK((data->data - row->base) % 4 == 0);
		CHECK(fm_get_u32(data->data) == (uint32_t) data->len << 2);
	}
	*data = fm_slice(data->data + header, data->len - header);
	return true;
}

/* A copy whose end ASan watches. */
static FmSlice
exact_copy(FmSlice s)
{
	uint8_t    *copy = malloc(s.len > 0 ? s.len : 1);

	if (s.len > 0)
		memcpy(copy, s.data, s.len);
	return fm_slice(copy, s.len);
}

/* Bytes are frozen: stores hold them. */
static void
test_golden(void)
{
	static const FmRowColumn columns[] = {
		{FM_ROW_FIXED, 4}, {FM_ROW_TEXT, 0}, {FM_ROW_TEXT, 0},
		{FM_ROW_SEND, 0}, {FM_ROW_FIXED, 2}
	};
	static const uint8_t expected[] = {
		5, 0, 0, 0, 0x04,		/* natts, flags, nulls: the third */
		1, 2, 3, 4, 5, 6,		/* fixed */
		0,						/* pad to 2 */
		21, 0, 21, 0, 24, 0,	/* ends */
		7, 'a', 'b', 'x', 'y', 'z'
	};
	FmRowLayout *layout = make_layout(columns, 5);
	FmRowValue	values[5];
	FmBuf		out;

	values[0] = value_of("\1\2\3\4", 4);
	values[1] = value_of("ab", 2);
	values[2].is_null = true;
	values[3] = value_of("xyz", 3);
	values[4] = value_of("\5\6", 2);
	fm_buf_init(&out, &fm_alloc_malloc);
	CHECK(fm_row_encode(layout, values, &out) == FM_OK);
	CHECK(fm_slice_eq(fm_buf_slice(&out),
					  fm_slice(expected, sizeof(expected))));
	CHECK(fm_row_check(layout, fm_buf_slice(&out), NULL) == FM_OK);
	fm_buf_free(&out);
	free(layout);
}

/* Encodes, checks and reads back values of one length in every column. */
static void
check_length(const FmRowLayout *layout, size_t len, unsigned null_mask)
{
	FmRowValue	values[NKINDS];
	uint8_t    *data = malloc(len + 16);
	FmBuf		out;
	FmSlice		copy;
	FmSlice		got;
	FmRow		row;
	uint32_t	i;

	memset(data, 0xA5, len + 16);
	for (i = 0; i < NKINDS; i++)
	{
		values[i] = value_of(data, all_kinds[i].kind == FM_ROW_FIXED ?
							 all_kinds[i].width : len);
		values[i].is_null = (null_mask >> i & 1) != 0;
	}
	fm_buf_init(&out, &fm_alloc_malloc);
	fm_buf_put_u32(&out, 0);
	CHECK(fm_row_encode(layout, values, &out) == FM_OK);
	copy = exact_copy(fm_slice(out.data + 4, out.len - 4));
	CHECK(fm_row_check(layout, copy, NULL) == FM_OK);
	fm_row_open(layout, copy, &row);
	for (i = 0; i < NKINDS; i++)
	{
		bool		found = get_data(&row, i, &got);

		CHECK(found == !values[i].is_null);
		CHECK(!found || fm_slice_eq(got, values[i].bytes));
	}
	free((void *) copy.data);
	fm_buf_free(&out);
	free(data);
}

static void
test_lengths(void)
{
	FmRowLayout *layout = make_layout(all_kinds, NKINDS);
	size_t		len;
	unsigned	mask;

	for (len = 0; len < 140; len++)
		check_length(layout, len, 0);
	for (mask = 0; mask < 1 << NKINDS; mask++)
	{
		check_length(layout, 3, mask);
		check_length(layout, 129, mask);
	}

	/* Around the change to wide offsets. */
	for (len = 10880; len < 10940; len++)
		check_length(layout, len, 0);
	check_length(layout, 1000000, 0);
	free(layout);
}

/* A row of an older layout: what it does not cover is NULL. */
static void
test_uncovered(void)
{
	uint32_t	n;
	uint32_t	i;

	for (n = 0; n <= NKINDS; n++)
	{
		FmRowLayout *old = make_layout(all_kinds, n);
		FmRowLayout *new = make_layout(all_kinds, NKINDS);
		FmRowValue	values[NKINDS];
		FmBuf		out;
		FmSlice		copy;
		FmSlice		got;
		FmRow		row;

		for (i = 0; i < NKINDS; i++)
			values[i] = value_of("0123456789abcdef",
								 all_kinds[i].kind == FM_ROW_FIXED ?
								 all_kinds[i].width : 5);
		fm_buf_init(&out, &fm_alloc_malloc);
		CHECK(fm_row_encode(old, values, &out) == FM_OK);
		copy = exact_copy(fm_buf_slice(&out));
		CHECK(fm_row_check(new, copy, NULL) == FM_OK);
		fm_row_open(new, copy, &row);
		for (i = 0; i < NKINDS; i++)
		{
			CHECK(get_data(&row, i, &got) == (i < n));
			CHECK(i >= n || fm_slice_eq(got, values[i].bytes));
		}
		if (n > 0)
		{
			FmRowLayout *shorter = make_layout(all_kinds, n - 1);

			CHECK(fm_row_check(shorter, copy, NULL) == FM_CORRUPTION);
			free(shorter);
		}
		free((void *) copy.data);
		fm_buf_free(&out);
		free(old);
		free(new);
	}
}

static void
read_all(const FmRowLayout *layout, FmSlice bytes)
{
	FmRow		row;
	FmSlice		v;
	uint32_t	i;
	volatile uint8_t sink = 0;

	fm_row_open(layout, bytes, &row);
	for (i = 0; i < layout->natts; i++)
		if (fm_row_get(&row, i, &v))
			for (; v.len > 0; v.len--)
				sink ^= v.data[v.len - 1];
}

/* Every bit flipped and every cut: an error, or a row that is safe to read. */
static void
test_damage(void)
{
	FmRowLayout *layout = make_layout(all_kinds, NKINDS);
	FmRowValue	values[NKINDS];
	uint8_t		data[256];
	FmBuf		out;
	FmSlice		copy;
	size_t		bit;
	size_t		cut;
	uint32_t	i;

	memset(data, 'x', sizeof(data));
	for (i = 0; i < NKINDS; i++)
		values[i] = value_of(data, all_kinds[i].kind == FM_ROW_FIXED ?
							 all_kinds[i].width : i * 30);
	values[6].is_null = true;
	fm_buf_init(&out, &fm_alloc_malloc);
	CHECK(fm_row_encode(layout, values, &out) == FM_OK);
	for (bit = 0; bit < out.len * 8; bit++)
	{
		copy = exact_copy(fm_buf_slice(&out));
		((uint8_t *) copy.data)[bit / 8] ^= (uint8_t) (1 << (bit & 7));
		if (fm_row_check(layout, copy, NULL) == FM_OK)
			read_all(layout, copy);
		free((void *) copy.data);
	}
	for (cut = 0; cut < out.len; cut++)
	{
		copy = exact_copy(fm_slice(out.data, cut));
		CHECK(fm_row_check(layout, copy, NULL) == FM_CORRUPTION);
		free((void *) copy.data);
	}
	fm_buf_free(&out);
	free(layout);
}

/* One damaged thing each. */
static void
test_refused(void)
{
	static const FmRowColumn columns[] = {{FM_ROW_TEXT, 0}, {FM_ROW_FIXED, 1}};
	static const struct
	{
		const char *what;
		uint8_t		bytes[16];
		size_t		len;
	}			rows[] = {
		{"fine", {2, 0, 0, 0, 0, 9, 10, 0, 5, 'a', 0, 0}, 12},
		{"length", {2, 0, 0, 0, 0, 9, 10, 0, 5, 'a', 0, 0, 0}, 13},
		{"more padding", {2, 0, 0, 0, 0, 9, 10, 0, 5, 'a', 0, 0, 0, 0, 0, 0}, 16},
		{"natts", {3, 0, 0, 0, 0, 9, 10, 0, 5, 'a', 0, 0}, 12},
		{"flag", {2, 0, 2, 0, 0, 9, 10, 0, 5, 'a', 0, 0}, 12},
		{"stray null bit", {2, 0, 0, 0, 4, 9, 10, 0, 5, 'a', 0, 0}, 12},
		{"null with bytes", {2, 0, 0, 0, 1, 9, 10, 0, 5, 'a', 0, 0}, 12},
		{"null fixed with bytes", {2, 0, 0, 0, 2, 9, 10, 0, 5, 'a', 0, 0}, 12},
		{"end beyond", {2, 0, 0, 0, 0, 9, 13, 0, 11, 'a', 0, 0}, 12},
		{"end before", {2, 0, 0, 0, 0, 9, 7, 0, 5, 'a', 0, 0}, 12},
		{"no header", {2, 0, 0, 0, 0, 9, 8, 0, 0, 0, 0, 0}, 8},
		{"padding", {2, 0, 0, 0, 0, 9, 10, 0, 5, 'a', 0, 1}, 12},
		{"short length", {2, 0, 0, 0, 0, 9, 10, 0, 7, 'a', 0, 0}, 12},
		{"external", {2, 0, 0, 0, 0, 9, 10, 0, 1, 'a', 0, 0}, 12},
		{"long header of short value",
		{2, 0, 0, 0, 0, 9, 13, 0, 5 << 2, 0, 0, 0, 'a', 0, 0, 0}, 16},
		{"compressed", {2, 0, 0, 0, 0, 9, 13, 0, 5 << 2 | 2, 0, 0, 0, 'a', 0, 0, 0}, 16},
		{"cut", {2, 0, 0, 0}, 4},
		{"cut header", {2, 0}, 2},
	};
	FmRowLayout *layout = make_layout(columns, 2);
	size_t		i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
	{
		FmSlice		copy = exact_copy(fm_slice(rows[i].bytes, rows[i].len));
		FmFault		fault = {FM_OK, NULL, 0};
		FmStatus	expected = i == 0 ? FM_OK : FM_CORRUPTION;

		CHECK(fm_row_check(layout, copy, &fault) == expected);
		CHECK(i == 0 || fault.what != NULL);
		free((void *) copy.data);
	}
	free(layout);
}

static void
test_limits(void)
{
	static FmRowColumn many[1600];
	static FmRowValue values[1600];
	FmRowColumn bad = {FM_ROW_IN_KEY, 0};
	FmRowLayout *layout;
	FmBuf		out;
	FmRow		row;
	FmSlice		v;
	uint32_t	i;

	CHECK(fm_row_layout_create(&bad, 1, &fm_alloc_malloc,
							   &layout) == FM_INVALID);
	bad.kind = FM_ROW_FIXED;
	CHECK(fm_row_layout_create(&bad, 1, &fm_alloc_malloc,
							   &layout) == FM_INVALID);
	for (i = 0; i < 1600; i++)
	{
		many[i].kind = i % 2 == 0 ? FM_ROW_FIXED : FM_ROW_TEXT;
		many[i].width = 4;
		values[i] = value_of("abcd", 4);
	}
	layout = make_layout(many, 1600);
	fm_buf_init(&out, &fm_alloc_malloc);
	CHECK(fm_row_encode(layout, values, &out) == FM_OK);
	CHECK(fm_row_check(layout, fm_buf_slice(&out), NULL) == FM_OK);
	fm_row_open(layout, fm_buf_slice(&out), &row);
	CHECK(fm_row_get(&row, 1599, &v) && v.len == 5);

	/* A value of the wrong width, and one that is too large. */
	values[0].bytes.len = 3;
	CHECK(fm_row_encode(layout, values, &out) == FM_INVALID);
	values[0].bytes.len = 4;
	values[1].bytes.len = FM_MAX_ROW_SIZE;
	CHECK(fm_row_encode(layout, values, &out) == FM_TOO_LARGE);
	fm_buf_free(&out);
	free(layout);
	layout = make_layout(NULL, 0);
	fm_buf_init(&out, &fm_alloc_malloc);
	CHECK(fm_row_encode(layout, NULL, &out) == FM_OK && out.len == 4);
	CHECK(fm_row_check(layout, fm_buf_slice(&out), NULL) == FM_OK);
	fm_buf_free(&out);
	free(layout);
}

int
main(void)
{
	RUN(test_golden);
	RUN(test_lengths);
	RUN(test_uncovered);
	RUN(test_damage);
	RUN(test_refused);
	RUN(test_limits);
	return unit_finish();
}
