/*-------------------------------------------------------------------------
 *
 * make_seeds.c
 *	  Seeds for the targets that read runs: parts of good runs.
 *
 * make_seeds DIRECTORY writes to DIRECTORY/<target>/.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>

#include "../unit/run_fixture.h"

#define MAX_ENTRIES 400

static const char *directory;
static int	written;

/* Writes a seed: some bytes, and the part that they introduce. */
static void
put_seed(const char *target, const void *first, size_t first_len,
		 FmSlice part)
{
	char		path[4096];
	FILE	   *file;

	snprintf(path, sizeof(path), "%s/%s/seed-%d", directory, target,
			 written++);
	file = fopen(path, "wb");
	if (file == NULL || fwrite(first, 1, first_len, file) != first_len ||
		fwrite(part.data, 1, part.len, file) != part.len ||
		fclose(file) != 0)
	{
		perror(path);
		exit(1);
	}
}

static void
check(FmStatus status)
{
	if (status != FM_OK)
	{
		fprintf(stderr, "a seed run could not be made or read\n");
		exit(1);
	}
}

static void
put_block(FmSlice object, FmBlockHandle handle, FmBlockKind kind)
{
	uint8_t		first = (uint8_t) (kind - 1);

	put_seed("block", &first, 1,
			 fm_slice(object.data + handle.offset, handle.size - 8));
}

static void
put_run(const RunImage *image)
{
	FmSlice		object = fm_buf_slice(&image->bytes);
	const FmRunDesc *desc = &image->desc;
	FmRunTail	tail;
	FmTopIndex	top;
	FmTopEntry	entry;
	FmPartition partition;
	FmBlockHandle handle;
	FmSlice		raw_top;
	FmSlice		raw_partition;
	FmSlice		raw;
	uint32_t	i;

	put_seed("run_tail", "\0", 1, fm_slice(object.data, FM_RUN_HEADER_SIZE));
	put_seed("run_tail", "\1", 1,
			 fm_slice(object.data + desc->tail_offset,
					  object.len - desc->tail_offset));
	check(fixture_top(object, desc, &tail, &raw_top, NULL));
	check(fixture_block(object, &desc->id, FM_BLOCK_PROPERTIES,
						tail.properties, &raw, NULL));
	put_seed("run_tail", "\2", 1, raw);
	free((void *) raw.data);
	put_block(object, tail.properties, FM_BLOCK_PROPERTIES);
	put_block(object, tail.top, FM_BLOCK_TOP);
	put_seed("index", "\1key 0120", 9, raw_top);
	fm_top_index_open(raw_top, &top);
	fm_top_index_entry(&top, 0, &entry);
	put_block(object, entry.handle, FM_BLOCK_PARTITION);
	check(fixture_block(object, &desc->id, FM_BLOCK_PARTITION, entry.handle,
						&raw_partition, NULL));
	put_seed("index", "\0key 0120", 9, raw_partition);
	fm_partition_open(raw_partition, &partition);
	if (partition.filter.len > 0)
		put_seed("filter", "hash....", 8, partition.filter);
	for (i = 0; i < partition.nblocks && i < 2; i++)
	{
		handle = fm_partition_block(&partition, i);
		put_block(object, handle, FM_BLOCK_DATA);
		check(fixture_block(object, &desc->id, FM_BLOCK_DATA, handle, &raw,
							NULL));
		put_seed("data_block", "\10key 0120", 9, raw);
		free((void *) raw.data);
	}
	free((void *) raw_partition.data);
	free((void *) raw_top.data);
}

/* A run of n entries, whose keys vary in length if asked. */
static void
make_run(const FmRunOptions *options, uint32_t n, bool vary)
{
	static char keys[MAX_ENTRIES][32];
	static char rows[MAX_ENTRIES][32];
	RunEntry	entries[MAX_ENTRIES];
	RunImage	image;
	uint32_t	i;

	for (i = 0; i < n; i++)
	{
		int			len = snprintf(keys[i], sizeof(keys[i]), "key %04u%s",
								   i, vary && i % 3 == 1 ? " is long" : "");

		snprintf(rows[i], sizeof(rows[i]), "row %08u", i * 977);
		entries[i].key = fm_slice(keys[i], (size_t) len);
		entries[i].tombstone = i % 9 == 5;
		entries[i].row = fm_slice(rows[i], entries[i].tombstone ? 0 : 12);
	}
	check(fixture_build(&image, options, entries, n));
	put_run(&image);
	fixture_free(&image);
}

int
main(int argc, char **argv)
{
	static const FmFilterKind filters[] = {
		FM_FILTER_NONE, FM_FILTER_BLOOM, FM_FILTER_FUSE8, FM_FILTER_FUSE16
	};
	FmRunOptions options = fixture_options(1);
	size_t		i;

	if (argc != 2)
	{
		fprintf(stderr, "usage: make_seeds DIRECTORY\n");
		return 1;
	}
	directory = argv[1];
	for (i = 0; i < sizeof(filters) / sizeof(filters[0]); i++)
	{
		options.block.filter_kind = (uint8_t) filters[i];
		options.block.filter_bits = 10;
		options.block.codec = i % 2 == 0 ? FM_CODEC_RAW : FM_CODEC_ZSTD;
		options.block.zstd_level = 1;
		make_run(&options, 3, i % 2 == 0);
		make_run(&options, MAX_ENTRIES, i % 2 == 1);
	}
	return 0;
}
