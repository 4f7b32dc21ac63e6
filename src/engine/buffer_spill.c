/*-------------------------------------------------------------------------
 *
 * buffer_spill.c
 *	  Parts of a write buffer in temporary files.
 *
 * The file is read through its checksums like any other run: a temporary
 * file on a failing disk must not become wrong rows in the store.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/tablespace.h"
#include "miscadmin.h"
#include "storage/buffile.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "engine/buffer_spill.h"
#include "format/run.h"
#include "objstore/pg_alloc.h"
#include "objstore/pg_status.h"
#include "objstore/store.h"

#define SPILL_BLOCK_SIZE (32 * 1024)
#define SPILL_BLOCK_KEPT (1024 * 1024)	/* bytes of a larger block go */
#define INTERRUPT_ENTRIES 1024	/* entries between looks at interrupts */

struct FmSpill
{
	MemoryContext context;		/* holds all of it */
	ResourceOwner owner;		/* of the file */
	BufFile    *file;
	FmId		id;
	uint8	   *meta;			/* the run from its first index partition on */
	FmTopIndex	top;
	FmPartition *partitions;
	FmSlice		first;			/* keys */
	FmSlice		last;
};

struct FmSpillWriter
{
	MemoryContext context;		/* of the spill to be */
	MemoryContext build_context;	/* of the builder */
	FmAlloc		alloc;
	FmRunBuilder *builder;
	ResourceOwner owner;		/* of the file */
	BufFile    *file;
	FmId		id;
	uint32		since_check;
};

void
fm_group_put(FmBuf *group, const FmBufferEntry *version)
{
	uint8		header[FM_VERSION_HEADER_SIZE] = {0};

	fm_put_u64(header, version->base);
	fm_put_u32(header + 8, version->cid);
	fm_put_u32(header + 12, version->subid);
	fm_put_u32(header + 16, (uint32) version->row.len);
	header[20] = (uint8) version->kind;
	header[21] = version->upsert;
	fm_buf_put(group, header, sizeof(header));
	fm_buf_put_slice(group, version->row);
}

bool
fm_group_next(FmSlice *group, FmBufferEntry *version)
{
	const uint8 *header = group->data;
	Size		size;

	if (group->len == 0)
		return false;
	version->base = fm_get_u64(header);
	version->cid = fm_get_u32(header + 8);
	version->subid = fm_get_u32(header + 12);
	version->row = fm_slice(header + FM_VERSION_HEADER_SIZE,
							fm_get_u32(header + 16));
	version->kind = (FmChangeKind) header[20];
	version->upsert = header[21] != 0;
	size = FM_VERSION_HEADER_SIZE + version->row.len;
	*group = fm_slice(group->data + size, group->len - size);
	return true;
}

static bool
write_bytes(void *arg, FmSlice bytes)
{
	FmSpillWriter *writer = arg;

	BufFileWrite(writer->file, unconstify(uint8 *, bytes.data), bytes.len);
	return true;
}

/*
 * Subtransactions come and go: the file's owner is a child of the top one's.
 * It is there since closing a BufFile can raise (it writes what waits), and
 * releasing its owner cannot.
 */
static void
create_file(FmSpillWriter *writer)
{
	ResourceOwner old = CurrentResourceOwner;

	PrepareTempTablespaces();
	writer->owner = ResourceOwnerCreate(TopTransactionResourceOwner,
										"fusio_manifest spill");
	CurrentResourceOwner = writer->owner;
	writer->file = BufFileCreateTemp(false);
	CurrentResourceOwner = old;
}

static void
release_file(ResourceOwner owner)
{
	ResourceOwnerRelease(owner, RESOURCE_RELEASE_BEFORE_LOCKS, false, false);
	ResourceOwnerRelease(owner, RESOURCE_RELEASE_LOCKS, false, false);
	ResourceOwnerRelease(owner, RESOURCE_RELEASE_AFTER_LOCKS, false, false);
	ResourceOwnerDelete(owner);
}

FmSpillWriter *
fm_spill_begin(MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent,
												  "fusio_manifest spill",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	FmSpillWriter *writer = palloc0(sizeof(FmSpillWriter));
	FmRunOptions options;

	writer->context = context;
	writer->build_context = AllocSetContextCreate(context,
												  "fusio_manifest spill builder",
												  ALLOCSET_DEFAULT_SIZES);
	writer->alloc = fm_palloc_alloc(writer->build_context);
	writer->id = fm_new_id();
	memset(&options, 0, sizeof(options));
	options.id = writer->id;
	options.block.block_size = SPILL_BLOCK_SIZE;
	options.block.codec = FM_CODEC_RAW;
	options.block.filter_kind = FM_FILTER_FUSE16;
	options.sink = write_bytes;
	options.sink_arg = writer;
	fm_check_status(fm_run_builder_create(&options, &writer->alloc,
										  &writer->builder), "spill");
	create_file(writer);
	MemoryContextSwitchTo(old);
	return writer;
}

void
fm_spill_add(FmSpillWriter *writer, FmSlice key, uint64 hash, FmSlice group)
{
	if (++writer->since_check == INTERRUPT_ENTRIES)
	{
		CHECK_FOR_INTERRUPTS();
		writer->since_check = 0;
	}
	fm_check_status(fm_run_builder_add(writer->builder, key, hash, group,
									   false), "spill");
}

static void
raise_damage(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("could not read back a temporary file"),
			 errdetail("In a part of a write buffer: %s.", what)));
}

static void
read_file(BufFile *file, uint64 offset, uint8 *dest, Size size)
{
	if (BufFileSeek(file, 0, (off_t) offset, SEEK_SET) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not seek in a temporary file")));
	if (BufFileRead(file, dest, size) != size)
		raise_damage("file is cut off");
}

/* Points to a block inside the meta part. */
static FmSlice
open_meta_block(FmSpill *spill, const FmRunDesc *desc, FmBlockHandle handle,
				FmBlockKind kind)
{
	FmSlice		stored = fm_slice(spill->meta + (handle.offset -
												 desc->meta_offset),
								  handle.size);
	FmBlockInfo info;
	FmFault		fault;

	if (fm_block_verify(stored, &spill->id, handle.offset, kind,
						FM_MAX_RAW_BLOCK, &info, &fault) != FM_OK)
		raise_damage(fault.what);
	return info.stored;
}

static void
open_meta(FmSpill *spill, const FmRunDesc *desc)
{
	Size		size = desc->size - desc->meta_offset;
	FmRunTail	tail;
	FmFault		fault;
	uint32		i;

	spill->meta = MemoryContextAllocHuge(spill->context, size);
	read_file(spill->file, desc->meta_offset, spill->meta, size);
	if (fm_run_tail_check(fm_slice(spill->meta + (desc->tail_offset -
												  desc->meta_offset),
								   desc->size - desc->tail_offset),
						  desc, &tail, &fault) != FM_OK)
		raise_damage(fault.what);
	fm_top_index_open(open_meta_block(spill, desc, tail.top, FM_BLOCK_TOP),
					  &spill->top);
	spill->partitions = MemoryContextAlloc(spill->context,
										   sizeof(FmPartition) *
										   spill->top.npartitions);
	for (i = 0; i < spill->top.npartitions; i++)
	{
		FmTopEntry	entry;

		fm_top_index_entry(&spill->top, i, &entry);
		fm_partition_open(open_meta_block(spill, desc, entry.handle,
										  FM_BLOCK_PARTITION),
						  &spill->partitions[i]);
	}
}

static FmSlice
copy_key(FmSlice key, MemoryContext context)
{
	uint8	   *data = MemoryContextAlloc(context, Max(key.len, 1));

	memcpy(data, key.data, key.len);
	return fm_slice(data, key.len);
}

FmSpill *
fm_spill_finish(FmSpillWriter *writer)
{
	FmSpill    *spill = MemoryContextAllocZero(writer->context,
											   sizeof(FmSpill));
	FmRunDesc	desc;

	fm_check_status(fm_run_builder_finish(writer->builder, &desc), "spill");
	spill->context = writer->context;
	spill->owner = writer->owner;
	spill->file = writer->file;
	spill->id = writer->id;
	spill->first = copy_key(desc.lower, spill->context);
	spill->last = copy_key(desc.upper, spill->context);
	open_meta(spill, &desc);
	MemoryContextDelete(writer->build_context);
	pfree(writer);
	return spill;
}

void
fm_spill_abandon(FmSpillWriter *writer)
{
	release_file(writer->owner);
	MemoryContextDelete(writer->context);
}

void
fm_spill_free(FmSpill *spill)
{
	release_file(spill->owner);
	MemoryContextDelete(spill->context);
}

/* Reads a block, unless it is there already. */
static void
read_block(const FmSpill *spill, FmBlockHandle handle, FmSpillBlock *block)
{
	FmBlockInfo info;
	FmFault		fault;

	if (block->spill == spill && block->offset == handle.offset)
		return;
	block->spill = NULL;
	if (block->room < handle.size ||
		(block->room > SPILL_BLOCK_KEPT && handle.size <= SPILL_BLOCK_KEPT))
	{
		Size		room = Max(handle.size, SPILL_BLOCK_SIZE);

		if (block->bytes != NULL)
			pfree(block->bytes);
		block->bytes = NULL;
		block->room = 0;
		block->bytes = MemoryContextAllocHuge(block->context, room);
		block->room = room;
	}
	read_file(spill->file, handle.offset, block->bytes, handle.size);
	if (fm_block_verify(fm_slice(block->bytes, handle.size), &spill->id,
						handle.offset, FM_BLOCK_DATA, FM_MAX_RAW_BLOCK, &info,
						&fault) != FM_OK)
		raise_damage(fault.what);
	fm_data_block_open(info.stored, &block->block);
	block->spill = spill;
	block->offset = handle.offset;
}

bool
fm_spill_find(FmSpill *spill, FmSpillBlock *block, FmSlice key, uint64 hash,
			  FmSlice *group)
{
	const FmPartition *partition;
	bool		equal;
	uint32		i;

	if (fm_slice_cmp(key, spill->first) < 0 ||
		fm_slice_cmp(key, spill->last) > 0)
		return false;
	i = fm_key_table_search(&spill->top.separators, key, &equal);
	if (i >= spill->top.npartitions)
		return false;
	partition = &spill->partitions[i];
	if (fm_filter_usable(partition->filter) &&
		!fm_filter_probe(partition->filter, hash))
		return false;
	i = fm_key_table_search(&partition->separators, key, &equal);
	if (i >= partition->nblocks)
		return false;
	read_block(spill, fm_partition_block(partition, i), block);
	i = fm_key_table_search(&block->block.keys, key, &equal);
	if (equal)
		*group = fm_data_block_row(&block->block, i);
	return equal;
}

void
fm_spill_cursor_init(FmSpillCursor *cursor, FmSpill *spill, bool backward,
					 MemoryContext context)
{
	memset(cursor, 0, sizeof(*cursor));
	cursor->spill = spill;
	cursor->backward = backward;
	cursor->block.context = context;
}

static void
open_cursor_block(FmSpillCursor *cursor)
{
	read_block(cursor->spill,
			   fm_partition_block(&cursor->spill->partitions[cursor->partition_no],
								  cursor->block_no), &cursor->block);
}

/* Steps to the neighbouring block, and to its entry at this end. */
static void
next_block(FmSpillCursor *cursor)
{
	const FmSpill *spill = cursor->spill;

	CHECK_FOR_INTERRUPTS();
	if (cursor->backward)
	{
		if (cursor->block_no > 0)
			cursor->block_no--;
		else if (cursor->partition_no > 0)
		{
			cursor->partition_no--;
			cursor->block_no =
				spill->partitions[cursor->partition_no].nblocks - 1;
		}
		else
		{
			cursor->valid = false;
			return;
		}
	}
	else if (cursor->block_no + 1 <
			 spill->partitions[cursor->partition_no].nblocks)
		cursor->block_no++;
	else if (cursor->partition_no + 1 < spill->top.npartitions)
	{
		cursor->partition_no++;
		cursor->block_no = 0;
	}
	else
	{
		cursor->valid = false;
		return;
	}
	open_cursor_block(cursor);
	cursor->entry_no = cursor->backward ?
		cursor->block.block.keys.count - 1 : 0;
}

void
fm_spill_cursor_next(FmSpillCursor *cursor)
{
	if (cursor->backward ? cursor->entry_no > 0 :
		cursor->entry_no + 1 < cursor->block.block.keys.count)
		cursor->entry_no += cursor->backward ? -1 : 1;
	else
		next_block(cursor);
}

static void
seek_end(FmSpillCursor *cursor)
{
	const FmSpill *spill = cursor->spill;

	cursor->partition_no = cursor->backward ? spill->top.npartitions - 1 : 0;
	cursor->block_no = cursor->backward ?
		spill->partitions[cursor->partition_no].nblocks - 1 : 0;
	open_cursor_block(cursor);
	cursor->entry_no = cursor->backward ?
		cursor->block.block.keys.count - 1 : 0;
}

void
fm_spill_cursor_seek(FmSpillCursor *cursor, const FmSlice *key)
{
	const FmSpill *spill = cursor->spill;
	bool		equal;

	cursor->valid = true;
	if (key == NULL)
	{
		seek_end(cursor);
		return;
	}
	if (fm_slice_cmp(*key, spill->last) > 0)
	{
		if (cursor->backward)
			seek_end(cursor);
		else
			cursor->valid = false;
		return;
	}

	/* The separators of the last partition and block are the last key. */
	cursor->partition_no = fm_key_table_search(&spill->top.separators, *key,
											   &equal);
	cursor->block_no =
		fm_key_table_search(&spill->partitions[cursor->partition_no].separators,
							*key, &equal);
	open_cursor_block(cursor);
	cursor->entry_no = fm_key_table_search(&cursor->block.block.keys, *key,
										   &equal);
	if (cursor->backward)
	{
		if (cursor->entry_no > 0)
			cursor->entry_no--;
		else
			next_block(cursor);
	}
	else if (cursor->entry_no == cursor->block.block.keys.count)
		next_block(cursor);
}

FmSlice
fm_spill_cursor_key(const FmSpillCursor *cursor, uint8 *dest)
{
	return fm_slice(dest, fm_key_table_key(&cursor->block.block.keys,
										   cursor->entry_no, dest));
}

FmSlice
fm_spill_cursor_group(const FmSpillCursor *cursor)
{
	return fm_data_block_row(&cursor->block.block, cursor->entry_no);
}
