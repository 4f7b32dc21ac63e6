/*-------------------------------------------------------------------------
 *
 * test_damage.c
 *	  A small run with every bit flipped and at every length.
 *
 * Each time every way of reading gives an error or the answer of the good
 * run: nothing else, and never a crash.
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"

#include "run_fixture.h"

#define NKEYS 120
#define NPROBES 12				/* keys looked up in each damaged copy */

static RunEntry entries[NKEYS];
static RunImage image;
static FmSlice probes[NPROBES];
static FixtureAnswer answers[NPROBES];
static FmSlice answer_rows[NPROBES];
static FmBuf good;				/* what reading all of the run gives */

static void
make_run(const FmRunOptions *options)
{
	FmSlice		object;
	uint32_t	i;

	for (i = 0; i < NKEYS; i++)
	{
		char		key[40];
		int			len = snprintf(key, sizeof(key), "key %03u%s", i * 2,
								   i % 3 == 0 ? " and more" : "");

		entries[i].key = fixture_copy(key, (size_t) len);
		entries[i].tombstone = i % 10 == 3;
		entries[i].row = fm_slice(NULL, 0);
		if (!entries[i].tombstone)
		{
			char		row[41];

			snprintf(row, sizeof(row), "row %03u of some length, with %07u",
					 i, i * 7919);
			entries[i].row = fixture_copy(row, 36);
		}
	}
	CHECK(fixture_build(&image, options, entries, NKEYS) == FM_OK);
	printf("# %zu bytes, %u blocks\n", image.bytes.len, image.desc.nblocks);
	object = fm_buf_slice(&image.bytes);
	fm_buf_init(&good, &fm_alloc_malloc);
	CHECK(fixture_read_all(object, &image.desc, &good, NULL) == FM_OK);
	for (i = 0; i < NPROBES; i++)
	{
		char		key[40];
		int			len = snprintf(key, sizeof(key), "key %03u", i * 23);

		probes[i] = fixture_copy(key, (size_t) len);
		CHECK(fixture_find(object, &image.desc, probes[i], &answers[i],
						   &answer_rows[i], NULL) == FM_OK);
	}
}

static void
free_run(void)
{
	uint32_t	i;

	for (i = 0; i < NKEYS; i++)
	{
		free((void *) entries[i].key.data);
		free((void *) entries[i].row.data);
	}
	for (i = 0; i < NPROBES; i++)
	{
		free((void *) probes[i].data);
		if (answers[i] == FIXTURE_ROW)
			free((void *) answer_rows[i].data);
	}
	fm_buf_free(&good);
	fixture_free(&image);
}

static void
check_fault(FmStatus status, const FmFault *fault)
{
	CHECK(status == FM_CORRUPTION || status == FM_UNSUPPORTED);
	CHECK(fault->status == status && fault->what != NULL);
}

/* Reads a damaged copy in every way.  True if any of them saw the damage. */
static bool
read_damaged(FmSlice object, bool all_probes)
{
	FmFault		fault = {FM_OK, NULL, 0};
	FmRunDesc	desc;
	FmStatus	status;
	bool		seen = false;
	FmBuf		found;
	int			i;

	fm_buf_init(&found, &fm_alloc_malloc);
	status = fixture_read_all(object, &image.desc, &found, &fault);
	if (status == FM_OK)
		CHECK(fm_slice_eq(fm_buf_slice(&found), fm_buf_slice(&good)));
	else
	{
		check_fault(status, &fault);
		seen = true;
	}
	fm_buf_free(&found);
	for (i = 0; i < (all_probes ? NPROBES : 2); i++)
	{
		FixtureAnswer answer;
		FmSlice		row;

		status = fixture_find(object, &image.desc, probes[i], &answer, &row,
							  &fault);
		if (status == FM_OK)
		{
			CHECK(answer == answers[i]);
			if (answer == FIXTURE_ROW)
			{
				CHECK(answers[i] == FIXTURE_ROW &&
					  fm_slice_eq(row, answer_rows[i]));
				free((void *) row.data);
			}
		}
		else
			check_fault(status, &fault);
	}
	if (object.len >= FM_RUN_FOOTER_SIZE)
	{
		status = fm_run_footer_read(fm_slice(object.data + object.len -
											 FM_RUN_FOOTER_SIZE,
											 FM_RUN_FOOTER_SIZE),
									object.len, &desc, &fault);
		if (status == FM_OK)
			CHECK(desc.size == image.desc.size &&
				  desc.rows == image.desc.rows &&
				  fm_id_eq(&desc.id, &image.desc.id));
		else
			check_fault(status, &fault);
	}
	return seen;
}

static void
flip_every_bit(const FmRunOptions *options)
{
	uint8_t    *copy;
	size_t		bit;

	make_run(options);
	copy = malloc(image.bytes.len);
	memcpy(copy, image.bytes.data, image.bytes.len);
	for (bit = 0; bit < image.bytes.len * 8; bit++)
	{
		copy[bit / 8] ^= (uint8_t) (1 << bit % 8);
		CHECK(read_damaged(fm_slice(copy, image.bytes.len), bit % 8 == 0));
		copy[bit / 8] ^= (uint8_t) (1 << bit % 8);
	}
	free(copy);
	free_run();
}

static void
cut_everywhere(const FmRunOptions *options)
{
	size_t		len;

	make_run(options);
	for (len = 0; len < image.bytes.len; len++)
	{
		uint8_t    *copy = malloc(len > 0 ? len : 1);
		FmRunDesc	kept = image.desc;

		memcpy(copy, image.bytes.data, len);
		CHECK(read_damaged(fm_slice(copy, len), false));

		/* A descriptor that believes in the cut. */
		image.desc.size = len;
		CHECK(read_damaged(fm_slice(copy, len), false));
		image.desc = kept;
		free(copy);
	}
	free_run();
}

static void
test_bits_raw(void)
{
	FmRunOptions options = fixture_options(21);

	flip_every_bit(&options);
}

static void
test_bits_zstd(void)
{
	FmRunOptions options = fixture_options(22);

	options.block.codec = FM_CODEC_ZSTD;
	options.block.zstd_level = 1;
	options.block.filter_kind = FM_FILTER_BLOOM;
	options.block.filter_bits = 10;
	flip_every_bit(&options);
}

static void
test_cuts(void)
{
	FmRunOptions options = fixture_options(23);

	cut_everywhere(&options);
	options.block.codec = FM_CODEC_ZSTD;
	options.block.zstd_level = 1;
	cut_everywhere(&options);
}

/*
 * Damage that lies under good checksums: the raw forms checked by
 * themselves.  They are refused, or can be read without a crash.
 */
static void
damage_raw(FmSlice raw, FmBlockKind kind)
{
	uint8_t    *copy = malloc(raw.len);
	uint8_t		key[FM_MAX_KEY_SIZE];
	FmFault		fault = {FM_OK, NULL, 0};
	FmStatus	status;
	FmRunProperties props;
	FmDataBlock block;
	FmPartition partition;
	FmTopIndex	top;
	FmTopEntry	entry;
	bool		equal;
	size_t		bit;
	uint32_t	i;

	for (bit = 0; bit < raw.len * 9; bit++)
	{
		FmSlice		bytes = fm_slice(copy, raw.len);

		/* Every bit flipped, then every length. */
		memcpy(copy, raw.data, raw.len);
		if (bit < raw.len * 8)
			copy[bit / 8] ^= (uint8_t) (1 << bit % 8);
		else
		{
			free(copy);
			bytes.len = bit - raw.len * 8;
			copy = malloc(raw.len);
			bytes.data = copy + (raw.len - bytes.len);
			memcpy(copy + (raw.len - bytes.len), raw.data, bytes.len);
		}
		switch (kind)
		{
			case FM_BLOCK_DATA:
				status = fm_data_block_check(bytes, &fault);
				if (status != FM_OK)
					break;
				fm_data_block_open(bytes, &block);
				for (i = 0; i < block.keys.count; i++)
				{
					FmSlice		row = fm_data_block_row(&block, i);

					(void) fm_key_table_key(&block.keys, i, key);
					if (row.len > 0)
						(void) fm_xxh3_64(row, 0);
				}
				(void) fm_key_table_search(&block.keys, probes[0], &equal);
				break;
			case FM_BLOCK_PARTITION:
				status = fm_partition_check(bytes, &fault);
				if (status != FM_OK)
					break;
				fm_partition_open(bytes, &partition);
				for (i = 0; i < partition.nblocks; i++)
					(void) fm_partition_block(&partition, i);
				for (i = 0; i < NPROBES; i++)
				{
					(void) fm_key_table_search(&partition.separators,
											   probes[i], &equal);
					if (fm_filter_usable(partition.filter))
						(void) fm_filter_probe(partition.filter,
											   fm_key_hash(probes[i]));
				}
				break;
			case FM_BLOCK_TOP:
				status = fm_top_index_check(bytes, &fault);
				if (status != FM_OK)
					break;
				fm_top_index_open(bytes, &top);
				for (i = 0; i < top.npartitions; i++)
					fm_top_index_entry(&top, i, &entry);
				(void) fm_key_table_search(&top.separators, probes[0],
										   &equal);
				break;
			default:
				status = fm_run_properties_read(bytes, &props, &fault);
		}
		CHECK(status == FM_OK || (fault.status == status &&
								  fault.what != NULL &&
								  fault.offset <= raw.len));
	}
	free(copy);
}

static void
test_raw_forms(void)
{
	FmRunOptions options = fixture_options(24);
	FmRunTail	tail;
	FmTopIndex	top;
	FmTopEntry	entry;
	FmPartition partition;
	FmSlice		object;
	FmSlice		raw_top;
	FmSlice		raw;
	FmBlockHandle handle;
	int			bloom;

	for (bloom = 0; bloom <= 1; bloom++)
	{
		options.block.filter_kind = bloom ? FM_FILTER_BLOOM : FM_FILTER_FUSE16;
		options.block.filter_bits = 10;
		make_run(&options);
		object = fm_buf_slice(&image.bytes);
		CHECK(fixture_top(object, &image.desc, &tail, &raw_top,
						  NULL) == FM_OK);
		damage_raw(raw_top, FM_BLOCK_TOP);
		fm_top_index_open(raw_top, &top);
		fm_top_index_entry(&top, 0, &entry);
		CHECK(fixture_block(object, &image.desc.id, FM_BLOCK_PARTITION,
							entry.handle, &raw, NULL) == FM_OK);
		damage_raw(raw, FM_BLOCK_PARTITION);
		fm_partition_open(raw, &partition);
		handle = fm_partition_block(&partition, 0);
		free((void *) raw.data);
		CHECK(fixture_block(object, &image.desc.id, FM_BLOCK_DATA, handle,
							&raw, NULL) == FM_OK);
		damage_raw(raw, FM_BLOCK_DATA);
		free((void *) raw.data);
		CHECK(fixture_block(object, &image.desc.id, FM_BLOCK_PROPERTIES,
							tail.properties, &raw, NULL) == FM_OK);
		damage_raw(raw, FM_BLOCK_PROPERTIES);
		free((void *) raw.data);
		free((void *) raw_top.data);
		free_run();
	}
}

int
main(void)
{
	RUN(test_bits_raw);
	RUN(test_bits_zstd);
	RUN(test_cuts);
	RUN(test_raw_forms);
	return unit_finish();
}
