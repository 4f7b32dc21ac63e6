/*-------------------------------------------------------------------------
 *
 * test_run.c
 *	  Runs: what is built is read back, by key and whole.
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"

#include "run_fixture.h"

static uint64_t seed = 1;

static int
compare_entries(const void *a, const void *b)
{
	return fm_slice_cmp(((const RunEntry *) a)->key,
						((const RunEntry *) b)->key);
}

/* Kinds of keys that tests use. */
typedef enum KeyKind
{
	DENSE_INTEGERS,
	SPARSE_INTEGERS,
	UUIDS,
	TEXTS,						/* of any length, common beginnings, zeros */
	DESCENDING,					/* inverted bytes: many 0xFF */
	KEY_KINDS
} KeyKind;

static FmSlice
make_key(KeyKind kind, uint32_t i)
{
	uint8_t		key[300];
	uint64_t	v = i;
	size_t		len = 9;
	size_t		n;

	switch (kind)
	{
		case SPARSE_INTEGERS:
			v = unit_random(&seed);
			break;
		case UUIDS:
			len = 17;
			for (n = 0; n < len; n++)
				key[n] = (uint8_t) unit_random(&seed);
			break;
		case TEXTS:
			len = unit_random(&seed) % 40;
			if (unit_random(&seed) % 20 == 0)
				len += unit_random(&seed) % 250;
			for (n = 0; n < len; n++)
				key[n] = (uint8_t) (unit_random(&seed) % 3 *
									(unit_random(&seed) % 2));
			break;
		case DESCENDING:
			v = ~(v * 17);
			break;
		default:
			v = v * 2 + 1;
	}
	if (kind != UUIDS && kind != TEXTS)
	{
		key[0] = 0x10;
		for (n = 0; n < 8; n++)
			key[1 + n] = (uint8_t) (v >> (56 - 8 * n));
	}
	return fixture_copy(key, len);
}

/* n or fewer distinct entries, ascending. */
static RunEntry *
make_entries(KeyKind kind, uint32_t *n, size_t max_row)
{
	RunEntry   *entries = malloc(sizeof(RunEntry) * *n);
	uint32_t	kept = 0;
	uint32_t	i;

	for (i = 0; i < *n; i++)
		entries[i].key = make_key(kind, i);
	qsort(entries, *n, sizeof(RunEntry), compare_entries);
	for (i = 0; i < *n; i++)
	{
		if (kept > 0 && fm_slice_eq(entries[kept - 1].key, entries[i].key))
		{
			free((void *) entries[i].key.data);
			continue;
		}
		entries[kept].key = entries[i].key;
		entries[kept].tombstone = unit_random(&seed) % 8 == 0;
		entries[kept].row = fm_slice(NULL, 0);
		if (!entries[kept].tombstone)
		{
			size_t		len = unit_random(&seed) % (max_row / 4 + 1) * 4;
			uint8_t    *row;

			if (unit_random(&seed) % 500 == 0)
				len += 10000;
			entries[kept].row = fixture_copy(NULL, 0);
			free((void *) entries[kept].row.data);
			row = malloc(len > 0 ? len : 1);
			memset(row, (int) kept, len);
			entries[kept].row = fm_slice(row, len);
		}
		kept++;
	}
	*n = kept;
	return entries;
}

static void
free_entries(RunEntry *entries, uint32_t n)
{
	uint32_t	i;

	for (i = 0; i < n; i++)
	{
		free((void *) entries[i].key.data);
		free((void *) entries[i].row.data);
	}
	free(entries);
}

/* The sum over keys and rows that the descriptor must show. */
static FmSum128
sum_of(const RunEntry *entries, uint32_t n)
{
	FmSum128	sum = {0, 0};
	uint32_t	i;

	for (i = 0; i < n; i++)
		sum = fm_sum128_add(sum, fm_row_sum_term(entries[i].key,
												 entries[i].row,
												 entries[i].tombstone));
	return sum;
}

static void
check_descriptor(const RunImage *image, const RunEntry *entries, uint32_t n)
{
	FmSlice		object = fm_buf_slice(&image->bytes);
	FmRunProperties props;
	FmRunDesc	desc;
	FmRunTail	tail;
	FmSlice		raw;

	CHECK(image->desc.size == object.len);
	CHECK(image->desc.rows + image->desc.tombstones == n);
	CHECK(fm_slice_eq(image->desc.lower, entries[0].key));
	CHECK(fm_slice_eq(image->desc.upper, entries[n - 1].key));
	CHECK(fm_sum128_eq(image->desc.row_sum, sum_of(entries, n)));
	CHECK(fm_run_header_check(fm_slice(object.data, FM_RUN_HEADER_SIZE),
							  &image->desc.id, NULL) == FM_OK);
	CHECK(fm_run_footer_read(fm_slice(object.data + object.len -
									  FM_RUN_FOOTER_SIZE,
									  FM_RUN_FOOTER_SIZE),
							 object.len, &desc, NULL) == FM_OK);
	CHECK(desc.rows == image->desc.rows);
	CHECK(desc.tombstones == image->desc.tombstones);
	CHECK(desc.nblocks == image->desc.nblocks);
	CHECK(desc.npartitions == image->desc.npartitions);
	CHECK(desc.meta_offset == image->desc.meta_offset);
	CHECK(desc.tail_offset == image->desc.tail_offset);
	CHECK(fm_id_eq(&desc.id, &image->desc.id));
	CHECK(fm_run_tail_check(fm_slice(object.data + desc.tail_offset,
									 object.len - desc.tail_offset),
							&image->desc, &tail, NULL) == FM_OK);
	CHECK(fixture_block(object, &desc.id, FM_BLOCK_PROPERTIES,
						tail.properties, &raw, NULL) == FM_OK);
	CHECK(fm_run_properties_read(raw, &props, NULL) == FM_OK);
	CHECK(props.table_id == 7);
	CHECK(props.rows == desc.rows && props.tombstones == desc.tombstones);
	CHECK(props.nblocks == desc.nblocks);
	CHECK(props.npartitions == desc.npartitions);
	CHECK(props.filter_kind == image->desc.filter_kind);
	CHECK(props.filter_bits == image->desc.filter_bits);
	CHECK(fm_sum128_eq(props.row_sum, image->desc.row_sum));
	CHECK(fm_slice_eq(props.first_key, entries[0].key));
	CHECK(fm_slice_eq(props.last_key, entries[n - 1].key));
	free((void *) raw.data);
}

/* Walks the index and compares all it leads to with the entries. */
static void
check_structure(const RunImage *image, const RunEntry *entries, uint32_t n,
				const FmRunOptions *options)
{
	FmSlice		object = fm_buf_slice(&image->bytes);
	FmRunTail	tail;
	FmTopIndex	top;
	FmSlice		raw_top;
	FmSlice		raw;
	FmSlice		raw_partition;
	uint64_t	next_offset = FM_RUN_HEADER_SIZE;
	uint32_t	e = 0;
	uint32_t	p;
	uint32_t	b;
	uint32_t	i;
	uint8_t		key[FM_MAX_KEY_SIZE];

	CHECK(fixture_top(object, &image->desc, &tail, &raw_top, NULL) == FM_OK);
	fm_top_index_open(raw_top, &top);
	CHECK(top.npartitions == image->desc.npartitions);
	for (p = 0; p < top.npartitions; p++)
	{
		FmPartition partition;
		FmTopEntry	entry;
		FmSlice		separator;

		fm_top_index_entry(&top, p, &entry);
		CHECK(entry.entries_before == e);
		CHECK(fixture_block(object, &image->desc.id, FM_BLOCK_PARTITION,
							entry.handle, &raw_partition, NULL) == FM_OK);
		CHECK(raw_partition.len <= FM_PARTITION_MAX_RAW);
		fm_partition_open(raw_partition, &partition);
		CHECK(partition.nkeys == entry.nentries);
		CHECK(partition.nkeys <= FM_PARTITION_MAX_KEYS);
		CHECK(partition.nblocks == entry.nblocks);
		CHECK(fm_filter_usable(partition.filter) ==
			  (options->block.filter_kind != FM_FILTER_NONE));
		for (b = 0; b < partition.nblocks; b++)
		{
			FmBlockHandle handle = fm_partition_block(&partition, b);
			FmDataBlock block;

			CHECK(handle.offset == next_offset);
			next_offset += handle.size;
			CHECK(fixture_block(object, &image->desc.id, FM_BLOCK_DATA,
								handle, &raw, NULL) == FM_OK);
			fm_data_block_open(raw, &block);
			CHECK(block.keys.count == 1 || raw.len <=
				  options->block.block_size - FM_SLOT_HEADER_SIZE);
			for (i = 0; i < block.keys.count; i++, e++)
			{
				FmSlice		row = fm_data_block_row(&block, i);

				CHECK(fm_slice_eq(fm_slice(key, fm_key_table_key(&block.keys,
																 i, key)),
								  entries[e].key));
				CHECK(fm_data_block_is_tombstone(&block, i) ==
					  entries[e].tombstone);
				CHECK(fm_slice_eq(row, entries[e].row));
				CHECK((size_t) (row.data - raw.data) % FM_ROW_ALIGN == 0);
				CHECK(!fm_filter_usable(partition.filter) ||
					  fm_filter_probe(partition.filter,
									  fm_key_hash(entries[e].key)));
			}
			separator = fm_slice(key, fm_key_table_key(&partition.separators,
													   b, key));
			CHECK(fm_slice_cmp(entries[e - 1].key, separator) <= 0);
			CHECK(e == n ? fm_slice_eq(entries[e - 1].key, separator) :
				  fm_slice_cmp(separator, entries[e].key) < 0);
			free((void *) raw.data);
		}
		separator = fm_slice(key, fm_key_table_key(&top.separators, p, key));
		CHECK(fm_slice_cmp(entries[e - 1].key, separator) <= 0);
		CHECK(e == n ? fm_slice_eq(entries[e - 1].key, separator) :
			  fm_slice_cmp(separator, entries[e].key) < 0);
		free((void *) raw_partition.data);
	}
	CHECK(e == n);
	CHECK(next_offset == image->desc.meta_offset);
	free((void *) raw_top.data);
}

/* Looks up some of the keys, and neighbours that are not there. */
static void
check_lookups(const RunImage *image, const RunEntry *entries, uint32_t n,
			  uint32_t lookups)
{
	FmSlice		object = fm_buf_slice(&image->bytes);
	FixtureAnswer answer;
	FmSlice		row;
	uint32_t	i;

	for (i = 0; i < lookups; i++)
	{
		const RunEntry *e = &entries[n <= lookups ? i % n :
									 unit_random(&seed) % n];
		RunEntry	near;
		uint8_t		key[FM_MAX_KEY_SIZE + 1];

		CHECK(fixture_find(object, &image->desc, e->key, &answer, &row,
						   NULL) == FM_OK);
		CHECK(answer == (e->tombstone ? FIXTURE_TOMBSTONE : FIXTURE_ROW));
		if (answer == FIXTURE_ROW)
		{
			CHECK(fm_slice_eq(row, e->row));
			free((void *) row.data);
		}

		memset(key, 0, sizeof(key));
		if (e->key.len > 0)
			memcpy(key, e->key.data, e->key.len);
		near.key = fm_slice(key, e->key.len);
		switch (unit_random(&seed) % 4)
		{
			case 0:
				near.key.len++;
				break;
			case 1:
				if (near.key.len > 0)
					near.key.len--;
				break;
			case 2:
				if (near.key.len > 0)
					key[near.key.len - 1]++;
				break;
			default:
				if (near.key.len > 0)
					key[unit_random(&seed) % near.key.len]--;
		}
		CHECK(fixture_find(object, &image->desc, near.key, &answer, &row,
						   NULL) == FM_OK);
		CHECK((answer >= FIXTURE_TOMBSTONE) ==
			  (bsearch(&near, entries, n, sizeof(RunEntry),
					   compare_entries) != NULL));
		if (answer == FIXTURE_ROW)
			free((void *) row.data);
	}
}

static void
round_trip(KeyKind kind, uint32_t n, size_t max_row,
		   const FmRunOptions *options, uint32_t lookups)
{
	RunImage	image;
	RunEntry   *entries = make_entries(kind, &n, max_row);

	CHECK(fixture_build(&image, options, entries, n) == FM_OK);
	check_descriptor(&image, entries, n);
	check_structure(&image, entries, n, options);
	check_lookups(&image, entries, n, lookups);
	fixture_free(&image);
	free_entries(entries, n);
}

static void
test_small(void)
{
	FmRunOptions options = fixture_options(3);
	int			kind;
	uint32_t	n;

	for (kind = 0; kind < KEY_KINDS; kind++)
		for (n = 1; n < 60; n += n < 5 ? 1 : 13)
			round_trip((KeyKind) kind, n, 200, &options, 50);
}

static void
test_large(void)
{
	FmRunOptions options = fixture_options(4);
	int			kind;

	for (kind = 0; kind < KEY_KINDS; kind++)
	{
		options.block.codec = kind % 2 == 0 ? FM_CODEC_ZSTD : FM_CODEC_RAW;
		options.block.zstd_level = 1;
		options.block.block_size = kind % 3 == 0 ? 8192 : 16384;
		options.bottom = kind % 2 == 0;
		round_trip((KeyKind) kind, 40000, 60, &options, 300);
	}
}

static void
test_filters(void)
{
	static const FmFilterKind kinds[] = {
		FM_FILTER_NONE, FM_FILTER_BLOOM, FM_FILTER_FUSE8, FM_FILTER_FUSE16,
		FM_FILTER_AUTO
	};
	FmRunOptions options = fixture_options(5);
	size_t		i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
	{
		options.block.filter_kind = (uint8_t) kinds[i];
		options.block.filter_bits = 10;
		round_trip(SPARSE_INTEGERS, 20000, 40, &options, 300);
	}
}

static void
test_big_rows(void)
{
	FmRunOptions options = fixture_options(6);

	options.block.codec = FM_CODEC_ZSTD;
	options.block.zstd_level = 3;
	round_trip(UUIDS, 50, 500000, &options, 60);
	options.block.codec = FM_CODEC_RAW;
	round_trip(UUIDS, 20, 3000000, &options, 61);
}

static bool
stopping_sink(void *arg, FmSlice bytes)
{
	(void) arg;
	(void) bytes;
	return false;
}

/* Rows that go to the sink at once: compressed or not, alone or not. */
static void
test_streamed_rows(void)
{
	static const uint32_t sizes[] = {8, 3000000, 2000000, 8, 4000000, 1048576};
	FmRunOptions options = fixture_options(10);
	RunEntry	entries[6];
	RunImage	image;
	FmSlice		none = {NULL, 0};
	uint64_t	x = 88172645463325252u;
	uint32_t	i;
	uint32_t	j;

	options.block.codec = FM_CODEC_ZSTD;
	options.block.zstd_level = 1;
	for (i = 0; i < 6; i++)
	{
		uint8_t    *row = malloc(sizes[i]);

		for (j = 0; j < sizes[i]; j++)
		{
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			row[j] = (uint8_t) (i % 2 == 0 ? x : x & 7);
		}
		entries[i].key = fixture_copy(&i, 1);
		entries[i].row = fm_slice(row, sizes[i]);
		entries[i].tombstone = false;
	}
	CHECK(fixture_build(&image, &options, entries, 6) == FM_OK);
	check_structure(&image, entries, 6, &options);
	CHECK(image.desc.nblocks == 6);
	CHECK(image.desc.size > 6000000 && image.desc.size < 8000000);
	for (i = 0; i < 6; i++)
	{
		FixtureAnswer answer;
		FmSlice		row;

		CHECK(fixture_find(fm_buf_slice(&image.bytes), &image.desc,
						   entries[i].key, &answer, &row, NULL) == FM_OK);
		CHECK(answer == FIXTURE_ROW && fm_slice_eq(row, entries[i].row));
		free((void *) row.data);
	}
	fixture_free(&image);

	/* The sink may say no in the middle of a block. */
	{
		FmRunBuilder *builder;

		options.sink = stopping_sink;
		CHECK(fm_run_builder_create(&options, &fm_alloc_malloc,
									&builder) == FM_OK);
		CHECK(fm_run_builder_add(builder, entries[0].key, 1, entries[1].row,
								 false) == FM_STOPPED);
		CHECK(fm_run_builder_add(builder, entries[1].key, 1, none,
								 true) == FM_STOPPED);
		fm_run_builder_free(builder);
	}
	for (i = 0; i < 6; i++)
	{
		free((void *) entries[i].key.data);
		free((void *) entries[i].row.data);
	}
}

/* Keys at the limit of length. */
static void
test_long_keys(void)
{
	FmRunOptions options = fixture_options(7);
	RunEntry	entries[40];
	uint8_t		key[FM_MAX_KEY_SIZE + 1];
	RunImage	image;
	uint32_t	i;

	memset(key, 0xFF, sizeof(key));
	for (i = 0; i < 40; i++)
	{
		key[0] = (uint8_t) (i / 10);
		key[FM_MAX_KEY_SIZE - 1] = (uint8_t) i;
		entries[i].key = fixture_copy(key, FM_MAX_KEY_SIZE);
		entries[i].row = fixture_copy("rowsrows", 8);
		entries[i].tombstone = false;
	}
	CHECK(fixture_build(&image, &options, entries, 40) == FM_OK);
	check_structure(&image, entries, 40, &options);
	for (i = 0; i < 40; i++)
	{
		FixtureAnswer answer;
		FmSlice		row;

		CHECK(fixture_find(fm_buf_slice(&image.bytes), &image.desc,
						   entries[i].key, &answer, &row, NULL) == FM_OK);
		CHECK(answer == FIXTURE_ROW);
		if (answer == FIXTURE_ROW)
			free((void *) row.data);
		free((void *) entries[i].key.data);
		free((void *) entries[i].row.data);
	}
	fixture_free(&image);
}

static void
test_refused(void)
{
	FmRunOptions options = fixture_options(8);
	FmRunBuilder *builder;
	FmRunDesc	desc;
	FmSlice		none = {NULL, 0};
	uint8_t		key[FM_MAX_KEY_SIZE + 1] = {0};
	FmBuf		sunk;

	fm_buf_init(&sunk, &fm_alloc_malloc);
	options.sink = fixture_sink;
	options.sink_arg = &sunk;
#define NEW_BUILDER() \
	CHECK(fm_run_builder_create(&options, &fm_alloc_malloc, \
								&builder) == FM_OK)
	NEW_BUILDER();
	CHECK(fm_run_builder_add(builder, fm_slice("b", 1), 1, none,
							 true) == FM_OK);
	CHECK(fm_run_builder_add(builder, fm_slice("b", 1), 1, none,
							 true) == FM_INVALID);
	CHECK(fm_run_builder_finish(builder, &desc) == FM_INVALID);
	fm_run_builder_free(builder);
	NEW_BUILDER();
	CHECK(fm_run_builder_add(builder, fm_slice(key, FM_MAX_KEY_SIZE + 1), 1,
							 none, true) == FM_TOO_LARGE);
	fm_run_builder_free(builder);
	NEW_BUILDER();
	CHECK(fm_run_builder_add(builder, fm_slice("b", 1), 1,
							 fm_slice("row", 3), false) == FM_INVALID);
	fm_run_builder_free(builder);
	NEW_BUILDER();
	CHECK(fm_run_builder_add(builder, fm_slice("b", 1), 1,
							 fm_slice("rows", 4), true) == FM_INVALID);
	fm_run_builder_free(builder);
	NEW_BUILDER();
	CHECK(fm_run_builder_finish(builder, &desc) == FM_INVALID);
	fm_run_builder_free(builder);
	options.sink = stopping_sink;
	NEW_BUILDER();
	CHECK(fm_run_builder_add(builder, none, 1, none, false) == FM_OK);
	CHECK(fm_run_builder_finish(builder, &desc) == FM_STOPPED);
	fm_run_builder_free(builder);
	options.block.block_size = 100;
	CHECK(fm_run_builder_create(&options, &fm_alloc_malloc,
								&builder) == FM_INVALID);
	options.block.block_size = 4096;
	options.block.codec = FM_CODEC_ZSTD;
	options.block.zstd_level = 0;
	CHECK(fm_run_builder_create(&options, &fm_alloc_malloc,
								&builder) == FM_INVALID);
	options.block.zstd_level = 1;
	options.block.filter_kind = 77;
	CHECK(fm_run_builder_create(&options, &fm_alloc_malloc,
								&builder) == FM_INVALID);
	fm_buf_free(&sunk);
}

/* An allocator that fails once its budget is used up. */
typedef struct Budget
{
	int			left;
} Budget;

static void *
budget_resize(void *ctx, void *p, size_t n)
{
	Budget	   *budget = ctx;

	if (n > 0 && budget->left-- <= 0)
		return NULL;
	return fm_alloc_malloc.resize(fm_alloc_malloc.ctx, p, n);
}

/* Wherever memory ends, the builder says so and frees what it has. */
static void
test_no_memory(void)
{
	FmRunOptions options = fixture_options(9);
	uint32_t	n = 2000;
	RunEntry   *entries = make_entries(SPARSE_INTEGERS, &n, 40);
	FmStatus	status = FM_NO_MEMORY;
	int			failures = 0;
	int			total;

	for (total = 0; status == FM_NO_MEMORY; total++)
	{
		Budget		budget = {total};
		FmAlloc		alloc = {budget_resize, &budget};
		FmRunBuilder *builder;
		FmRunDesc	desc;
		FmBuf		sunk;
		uint32_t	i;

		fm_buf_init(&sunk, &fm_alloc_malloc);
		options.sink = fixture_sink;
		options.sink_arg = &sunk;
		status = fm_run_builder_create(&options, &alloc, &builder);
		for (i = 0; i < n && status == FM_OK; i++)
			status = fm_run_builder_add(builder, entries[i].key,
										fm_key_hash(entries[i].key),
										entries[i].row, entries[i].tombstone);
		if (status == FM_OK)
			status = fm_run_builder_finish(builder, &desc);
		fm_run_builder_free(builder);
		fm_buf_free(&sunk);
		failures += status == FM_NO_MEMORY;
	}
	CHECK(status == FM_OK);
	CHECK(failures > 20);
	free_entries(entries, n);
}

static void
test_bounds(void)
{
	uint32_t	i;

	for (i = 0; i < 200000; i++)
	{
		uint8_t		a[12];
		uint8_t		b[12];
		uint8_t		dest[12];
		FmSlice		x = fm_slice(a, unit_random(&seed) % 8);
		FmSlice		y = fm_slice(b, unit_random(&seed) % 8);
		FmSlice		s;
		size_t		n = unit_random(&seed) % 9;
		size_t		k;

		for (k = 0; k < sizeof(a); k++)
		{
			static const uint8_t few[] = {0, 1, 2, 0xFE, 0xFF, 0xFF};

			a[k] = few[unit_random(&seed) % sizeof(few)];
			b[k] = unit_random(&seed) % 3 == 0 ?
				few[unit_random(&seed) % sizeof(few)] : a[k];
		}
		s = fm_slice(dest, fm_bound_lower(x, n, dest));
		CHECK(s.len <= x.len && s.len <= n && fm_slice_cmp(s, x) <= 0);
		s = fm_slice(dest, fm_bound_upper(x, n, dest));
		CHECK(s.len <= x.len && fm_slice_cmp(s, x) >= 0);
		CHECK(s.len <= n || fm_slice_eq(s, x));
		if (fm_slice_cmp(x, y) < 0)
		{
			s = fm_slice(dest, fm_separator(x, y, dest));
			CHECK(s.len <= x.len);
			CHECK(fm_slice_cmp(x, s) <= 0 && fm_slice_cmp(s, y) < 0);
		}
	}
}

/* A newer format, and features that are required, are refused as such. */
static void
test_versions(void)
{
	FmRunOptions options = fixture_options(10);
	uint32_t	n = 20;
	RunEntry   *entries = make_entries(DENSE_INTEGERS, &n, 40);
	RunImage	image;
	FmRunTail	tail;
	FmFault		fault;
	uint8_t    *footer;
	uint8_t    *header;
	FmSlice		bytes;

	CHECK(fixture_build(&image, &options, entries, n) == FM_OK);
	header = image.bytes.data;
	footer = image.bytes.data + image.bytes.len - FM_RUN_FOOTER_SIZE;
	bytes = fm_slice(image.bytes.data + image.desc.tail_offset,
					 image.bytes.len - image.desc.tail_offset);

	/* A compatible feature and a later minor version are nothing to us. */
	footer[10] = 9;
	footer[24] = 1;
	fm_put_u64(footer + 120, fm_xxh3_64(fm_slice(footer, 120), 0));
	image.desc.tail_checksum = fm_xxh3_64(bytes, 0);
	CHECK(fm_run_tail_check(bytes, &image.desc, &tail, &fault) == FM_OK);

	footer[16] = 1;
	fm_put_u64(footer + 120, fm_xxh3_64(fm_slice(footer, 120), 0));
	image.desc.tail_checksum = fm_xxh3_64(bytes, 0);
	CHECK(fm_run_tail_check(bytes, &image.desc, &tail,
							&fault) == FM_UNSUPPORTED);
	footer[16] = 0;
	footer[8] = 2;
	fm_put_u64(footer + 120, fm_xxh3_64(fm_slice(footer, 120), 0));
	image.desc.tail_checksum = fm_xxh3_64(bytes, 0);
	CHECK(fm_run_tail_check(bytes, &image.desc, &tail,
							&fault) == FM_UNSUPPORTED);
	header[8] = 2;
	fm_put_u32(header + 28, (uint32_t) fm_xxh3_64(fm_slice(header, 28), 0));
	CHECK(fm_run_header_check(fm_slice(header, 32), &image.desc.id,
							  &fault) == FM_UNSUPPORTED);
	fixture_free(&image);
	free_entries(entries, n);
}

int
main(void)
{
	RUN(test_small);
	RUN(test_large);
	RUN(test_filters);
	RUN(test_big_rows);
	RUN(test_streamed_rows);
	RUN(test_long_keys);
	RUN(test_refused);
	RUN(test_no_memory);
	RUN(test_bounds);
	RUN(test_versions);
	return unit_finish();
}
