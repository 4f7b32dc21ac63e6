/*-------------------------------------------------------------------------
 *
 * craft_test.c
 *	  Runs whose bytes are wrong under checksums that are right.
 *
 * Whoever can write to a bucket can make such runs; a server that reads them
 * may raise errors or answer nonsense, and no more.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fmgr.h"
#include "storage/fd.h"
#include "utils/builtins.h"

#include "format/run.h"
#include "objstore/pg_alloc.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(fm_test_craft);
PG_FUNCTION_INFO_V1(fm_test_craft_head);

#define MAX_BLOCKS 4096
#define HEAD_FRAME 32			/* bytes before HEAD's elements */

static uint64 random_state;

static uint32
random_below(uint32 n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32) (random_state >> 16) % n;
}

static FmBuf
read_file(const char *path, const FmAlloc *alloc)
{
	int			fd = OpenTransientFile(path, O_RDONLY | PG_BINARY);
	struct stat st;
	FmBuf		bytes;

	if (fd < 0 || fstat(fd, &st) != 0)
		elog(ERROR, "could not open \"%s\": %m", path);
	fm_buf_init(&bytes, alloc);
	fm_buf_put_zeros(&bytes, st.st_size);
	if (read(fd, bytes.data, bytes.len) != (ssize_t) bytes.len)
		elog(ERROR, "could not read \"%s\": %m", path);
	CloseTransientFile(fd);
	return bytes;
}

/* In its place, for readers keep it open. */
static void
write_file(const char *path, const FmBuf *bytes)
{
	int			fd = OpenTransientFile(path, O_WRONLY | PG_BINARY);

	if (fd < 0 || write(fd, bytes->data, bytes->len) != (ssize_t) bytes->len)
		elog(ERROR, "could not write \"%s\": %m", path);
	CloseTransientFile(fd);
}

/* The raw bytes of a block that is not compressed. */
static FmSlice
raw_block(const FmBuf *run, const FmId *id, FmBlockKind kind,
		  FmBlockHandle handle)
{
	FmBlockInfo info;
	FmFault		fault;

	if (fm_block_verify(fm_slice(run->data + handle.offset, handle.size), id,
						handle.offset, kind, FM_MAX_RAW_BLOCK, &info,
						&fault) != FM_OK)
		elog(ERROR, "run is damaged: %s", fault.what);
	if (info.codec != FM_CODEC_RAW)
		elog(ERROR, "run is compressed");
	return info.stored;
}

/* The data blocks, or the index partitions, of a run. */
static int
find_blocks(const FmBuf *run, const FmRunDesc *desc, bool in_index,
			FmBlockHandle *blocks)
{
	FmRunTail	tail;
	FmTopIndex	top;
	FmFault		fault;
	int			n = 0;
	uint32		p;
	uint32		i;

	if (fm_run_tail_check(fm_slice(run->data + desc->tail_offset,
								   run->len - desc->tail_offset),
						  desc, &tail, &fault) != FM_OK)
		elog(ERROR, "run is damaged: %s", fault.what);
	fm_top_index_open(raw_block(run, &desc->id, FM_BLOCK_TOP, tail.top), &top);
	for (p = 0; p < top.npartitions; p++)
	{
		FmTopEntry	entry;
		FmPartition partition;

		fm_top_index_entry(&top, p, &entry);
		if (in_index)
		{
			blocks[n++] = entry.handle;
			continue;
		}
		fm_partition_open(raw_block(run, &desc->id, FM_BLOCK_PARTITION,
									entry.handle), &partition);
		for (i = 0; i < partition.nblocks && n < MAX_BLOCKS; i++)
			blocks[n++] = fm_partition_block(&partition, i);
	}
	return n;
}

/* One change of n bytes, of a kind that decoders are apt to stumble on. */
static void
change_bytes(uint8 *bytes, uint32 n)
{
	static const uint32 odd[] = {0, 1, 2, 3, 4, 0x7F, 0x80, 0xFF, 0x100,
		0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF,
	0x3FFFFFFF, 0x40000000};
	uint32		at = random_below(n);
	uint32		from = random_below(n);
	uint32		count = Min(random_below(16) + 1, n - Max(at, from));
	uint32		value = odd[random_below(lengthof(odd))];

	switch (random_below(8))
	{
		case 0:
			bytes[at] ^= 1 << random_below(8);
			break;
		case 1:
			bytes[at] = (uint8) random_below(256);
			break;
		case 2:
			bytes[at] = (uint8) value;
			break;
		case 3:
			memcpy(bytes + at, &value, Min(2, n - at));
			break;
		case 4:
			at -= at % 4;
			memcpy(bytes + at, &value, Min(4, n - at));
			break;
		case 5:
			bytes[at] += random_below(2) == 0 ? 1 : -1;
			break;
		case 6:
			memmove(bytes + at, bytes + from, count);
			break;
		case 7:
			memset(bytes + at, random_below(2) == 0 ? 0 : 0xFF, count);
			break;
	}
}

Datum
fm_test_craft(PG_FUNCTION_ARGS)
{
	char	   *original = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *target = text_to_cstring(PG_GETARG_TEXT_PP(1));
	bool		in_index = PG_GETARG_BOOL(3);
	FmAlloc		alloc = fm_palloc_alloc(CurrentMemoryContext);
	FmBuf		run = read_file(original, &alloc);
	FmBlockHandle *blocks = palloc(sizeof(FmBlockHandle) * MAX_BLOCKS);
	FmRunDesc	desc;
	FmFault		fault;
	FmBlockHandle block;
	FmBlockWriter *writer;
	FmBuf		stored;
	uint8	   *raw;
	uint32		size;
	int			i;

	random_state = (uint64) PG_GETARG_INT64(2) *
		UINT64CONST(0x9E3779B97F4A7C15) + 1;
	if (fm_run_footer_read(fm_slice(run.data + run.len - FM_RUN_FOOTER_SIZE,
									FM_RUN_FOOTER_SIZE), run.len, &desc,
						   &fault) != FM_OK)
		elog(ERROR, "run is damaged: %s", fault.what);
	desc.tail_checksum = fm_xxh3_64(fm_slice(run.data + desc.tail_offset,
											 run.len - desc.tail_offset), 0);
	block = blocks[random_below(find_blocks(&run, &desc, in_index, blocks))];
	size = block.size - FM_BLOCK_TRAILER_SIZE;
	raw = run.data + block.offset;
	for (i = random_below(4); i >= 0; i--)
		change_bytes(raw, size);
	writer = fm_block_writer_create(&alloc, &desc.id, 0);
	fm_buf_init(&stored, &alloc);
	if (fm_block_write(writer, in_index ? FM_BLOCK_PARTITION : FM_BLOCK_DATA,
					   fm_slice(raw, size), block.offset, &stored) != FM_OK ||
		stored.len != block.size)
		elog(ERROR, "could not seal a block");
	memcpy(raw, stored.data, stored.len);
	fm_block_writer_free(writer);
	write_file(target, &run);
	PG_RETURN_VOID();
}

Datum
fm_test_craft_head(PG_FUNCTION_ARGS)
{
	char	   *original = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *target = text_to_cstring(PG_GETARG_TEXT_PP(1));
	FmAlloc		alloc = fm_palloc_alloc(CurrentMemoryContext);
	FmBuf		head = read_file(original, &alloc);
	int			i;

	random_state = (uint64) PG_GETARG_INT64(2) *
		UINT64CONST(0x9E3779B97F4A7C15) + 1;
	for (i = random_below(3); i >= 0; i--)
		change_bytes(head.data + HEAD_FRAME, head.len - 8 - HEAD_FRAME);
	fm_put_u64(head.data + head.len - 8,
			   fm_xxh3_64(fm_slice(head.data, head.len - 8), 0));
	write_file(target, &head);
	PG_RETURN_VOID();
}
