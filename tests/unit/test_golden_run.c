/*-------------------------------------------------------------------------
 *
 * test_golden_run.c
 *	  Runs that were written once and must be readable for good.
 *
 * "test_golden_run --write DIRECTORY" writes those of this version.  What can
 * be made again must have the same bytes: if it has not, the format changed
 * and needs another version.
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"

#include "run_fixture.h"

#define GOLDEN_DIRECTORY "../golden"
#define DAMAGED_FILE "run-1.0-damaged"	/* a bit of a row is flipped */
#define DAMAGED_AT 200
#define OTHER_MAJOR_FILE "run-2.0"	/* says that it is of format 2 */

#define GOLDEN_ENTRIES 150

/* zstd's output may change with its version: only read again, not made. */
static const struct GoldenRun
{
	const char *file;
	FmCodec		codec;
	FmFilterKind filter;
	bool		reproducible;
}			golden_runs[] = {
	{"run-1.0-raw-fuse16", FM_CODEC_RAW, FM_FILTER_FUSE16, true},
	{"run-1.0-raw-bloom", FM_CODEC_RAW, FM_FILTER_BLOOM, true},
	{"run-1.0-zstd-fuse8", FM_CODEC_ZSTD, FM_FILTER_FUSE8, false},
};

#define GOLDEN_RUNS (sizeof(golden_runs) / sizeof(golden_runs[0]))

/* An entry that lives until the next call. */
static RunEntry
golden_entry(uint32_t i)
{
	static uint8_t key[64];
	static uint8_t row[200];
	RunEntry	e;
	size_t		b;

	key[0] = 0x10;
	key[1] = 0x80;
	key[2] = (uint8_t) (i / 16);
	key[3] = (uint8_t) (i % 16 * 16 + 1);
	e.key = fm_slice(key, 4);
	if (i % 5 == 0)
	{
		memset(key + 4, 'k', i % 7 + 1);
		e.key.len += i % 7 + 1;
	}
	for (b = 0; b < sizeof(row); b++)
		row[b] = (uint8_t) ("golden"[b % 6] + i % 3);
	e.tombstone = i % 11 == 4;
	e.row = fm_slice(row, e.tombstone ? 0 : i * 12 % 200 / 4 * 4);
	return e;
}

static FmStatus
golden_build(const struct GoldenRun *golden, FmBuf *out, FmRunDesc *desc)
{
	FmRunOptions options = fixture_options(0xA7);
	FmRunBuilder *builder;
	FmStatus	status;
	uint32_t	i;

	fm_buf_init(out, &fm_alloc_malloc);
	options.sink = fixture_sink;
	options.sink_arg = out;
	options.block.codec = (uint8_t) golden->codec;
	options.block.zstd_level = 1;
	options.block.filter_kind = (uint8_t) golden->filter;
	options.block.filter_bits = 10;
	status = fm_run_builder_create(&options, &fm_alloc_malloc, &builder);
	for (i = 0; i < GOLDEN_ENTRIES && status == FM_OK; i++)
	{
		RunEntry	e = golden_entry(i);

		status = fm_run_builder_add(builder, e.key, fm_key_hash(e.key), e.row,
									e.tombstone);
	}
	if (status == FM_OK)
		status = fm_run_builder_finish(builder, desc);
	fm_run_builder_free(builder);
	desc->lower = desc->upper = fm_slice(NULL, 0);
	return status;
}

/* A golden file; data is to be freed. */
static FmSlice
read_file(const char *name)
{
	static uint8_t bytes[1 << 20];
	char		path[256];
	size_t		len = 0;
	FILE	   *file;

	snprintf(path, sizeof(path), "%s/%s", GOLDEN_DIRECTORY, name);
	file = fopen(path, "rb");
	if (file != NULL)
	{
		len = fread(bytes, 1, sizeof(bytes), file);
		fclose(file);
	}
	if (len < FM_RUN_HEADER_SIZE + FM_RUN_FOOTER_SIZE)
	{
		printf("# %s cannot be read\n", path);
		exit(1);
	}
	return fixture_copy(bytes, len);
}

/* A descriptor as a tool without HEAD makes it. */
static FmStatus
describe(FmSlice object, FmRunDesc *desc, FmFault *fault)
{
	FmStatus	status;

	status = fm_run_footer_read(fm_slice(object.data + object.len -
										 FM_RUN_FOOTER_SIZE,
										 FM_RUN_FOOTER_SIZE),
								object.len, desc, fault);
	if (status == FM_OK)
		desc->tail_checksum = fm_xxh3_64(fm_slice(object.data +
												  desc->tail_offset,
												  object.len -
												  desc->tail_offset), 0);
	return status;
}

static void
test_read(void)
{
	size_t		g;
	uint32_t	i;

	for (g = 0; g < GOLDEN_RUNS; g++)
	{
		FmSlice		object = read_file(golden_runs[g].file);
		FmRunDesc	desc;
		FmBuf		all;

		CHECK(describe(object, &desc, NULL) == FM_OK);
		CHECK(desc.nblocks > 1);
		fm_buf_init(&all, &fm_alloc_malloc);
		CHECK(fixture_read_all(object, &desc, &all, NULL) == FM_OK);
		CHECK(all.len > 0);
		fm_buf_free(&all);
		for (i = 0; i < GOLDEN_ENTRIES; i++)
		{
			RunEntry	e = golden_entry(i);
			FixtureAnswer answer;
			FmSlice		row;
			uint8_t		other[64];

			CHECK(fixture_find(object, &desc, e.key, &answer, &row,
							   NULL) == FM_OK);
			CHECK(answer == (e.tombstone ? FIXTURE_TOMBSTONE : FIXTURE_ROW));
			if (answer == FIXTURE_ROW)
			{
				CHECK(fm_slice_eq(row, e.row));
				free((void *) row.data);
			}
			memcpy(other, e.key.data, e.key.len);
			other[3]++;
			CHECK(fixture_find(object, &desc, fm_slice(other, e.key.len),
							   &answer, &row, NULL) == FM_OK);
			CHECK(answer == FIXTURE_ABSENT || answer == FIXTURE_FILTERED);
		}
		free((void *) object.data);
	}
}

static void
test_reproduce(void)
{
	size_t		g;

	for (g = 0; g < GOLDEN_RUNS; g++)
	{
		FmSlice		object = read_file(golden_runs[g].file);
		FmRunDesc	desc;
		FmRunDesc	found;
		FmBuf		made;

		CHECK(golden_build(&golden_runs[g], &made, &desc) == FM_OK);
		CHECK(describe(object, &found, NULL) == FM_OK);
		CHECK(found.rows == desc.rows && found.tombstones == desc.tombstones);
		CHECK(!golden_runs[g].reproducible ||
			  fm_slice_eq(fm_buf_slice(&made), object));
		fm_buf_free(&made);
		free((void *) object.data);
	}
}

/* The first golden run, damaged. */
static void
damage(FmBuf *run)
{
	run->data[DAMAGED_AT] ^= 0x10;
}

/* The first golden run, said to be of the next major format. */
static void
raise_major(FmBuf *run)
{
	uint8_t    *footer = run->data + run->len - FM_RUN_FOOTER_SIZE;

	fm_put_u16(run->data + 8, 2);
	fm_put_u32(run->data + 28,
			   (uint32_t) fm_xxh3_64(fm_slice(run->data, 28), 0));
	fm_put_u16(footer + 8, 2);
	fm_put_u64(footer + 120, fm_xxh3_64(fm_slice(footer, 120), 0));
}

static void
test_damaged(void)
{
	FmSlice		object = read_file(DAMAGED_FILE);
	FmRunDesc	desc;
	FmFault		fault;
	FmBuf		all;

	CHECK(describe(object, &desc, NULL) == FM_OK);
	fm_buf_init(&all, &fm_alloc_malloc);
	CHECK(fixture_read_all(object, &desc, &all, &fault) == FM_CORRUPTION);
	CHECK(strcmp(fault.what, "block checksum does not match") == 0);
	fm_buf_free(&all);
	free((void *) object.data);
}

static void
test_other_major(void)
{
	FmSlice		object = read_file(OTHER_MAJOR_FILE);
	FmSlice		good = read_file(golden_runs[0].file);
	FmRunDesc	desc;
	FmRunDesc	ignored;
	FmRunTail	tail;
	FmFault		fault;
	FmSlice		tail_bytes;

	CHECK(describe(good, &desc, NULL) == FM_OK);
	CHECK(fm_run_header_check(fm_slice(object.data, FM_RUN_HEADER_SIZE),
							  &desc.id, &fault) == FM_UNSUPPORTED);
	CHECK(describe(object, &ignored, &fault) == FM_UNSUPPORTED);
	CHECK(fault.status == FM_UNSUPPORTED);
	tail_bytes = fm_slice(object.data + desc.tail_offset,
						  object.len - desc.tail_offset);
	desc.tail_checksum = fm_xxh3_64(tail_bytes, 0);
	CHECK(fm_run_tail_check(tail_bytes, &desc, &tail,
							&fault) == FM_UNSUPPORTED);
	free((void *) object.data);
	free((void *) good.data);
}

static bool
write_file(const char *directory, const char *name, const FmBuf *bytes)
{
	char		path[4096];
	FILE	   *file;
	bool		ok;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "wb");
	ok = file != NULL && fwrite(bytes->data, 1, bytes->len, file) ==
		bytes->len;
	if (file != NULL)
		ok = fclose(file) == 0 && ok;
	if (!ok)
		perror(path);
	return ok;
}

static int
write_golden(const char *directory)
{
	FmRunDesc	desc;
	FmBuf		run;
	size_t		g;
	bool		ok = true;

	for (g = GOLDEN_RUNS; g-- > 0;)
	{
		if (golden_build(&golden_runs[g], &run, &desc) != FM_OK)
			return 1;
		ok = write_file(directory, golden_runs[g].file, &run) && ok;
		if (g == 0)
		{
			damage(&run);
			ok = write_file(directory, DAMAGED_FILE, &run) && ok;
			damage(&run);
			raise_major(&run);
			ok = write_file(directory, OTHER_MAJOR_FILE, &run) && ok;
		}
		fm_buf_free(&run);
	}
	return ok ? 0 : 1;
}

int
main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--write") == 0)
		return write_golden(argv[2]);
	RUN(test_read);
	RUN(test_reproduce);
	RUN(test_damaged);
	RUN(test_other_major);
	return unit_finish();
}
