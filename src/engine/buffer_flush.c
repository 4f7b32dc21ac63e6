/*-------------------------------------------------------------------------
 *
 * buffer_flush.c
 *	  A write buffer's memory to spills, and many spills to one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "engine/buffer_state.h"
#include "objstore/pg_alloc.h"
#include "objstore/pg_status.h"

/*
 * Spills of one tier that are merged into one of the next.  Look-ups ask each
 * spill, and tiers grow by this factor.
 */
#define MERGE_SPILLS 32

void
fm_buffer_abandon_writer(FmWriteBuffer *buffer)
{
	FmSpillWriter *writer = buffer->writer;

	buffer->writer = NULL;
	if (writer != NULL)
		fm_spill_abandon(writer);
}

/* Adds a group to the spill that is being made. */
static void
write_group(FmWriteBuffer *buffer, FmSlice key, uint64 hash, FmSlice group)
{
	if (buffer->writer == NULL)
		buffer->writer = fm_spill_begin(buffer->context);
	fm_spill_add(buffer->writer, key, hash, group);
}

/* The spill that was made; NULL if nothing was added. */
static FmSpill *
finish_writer(FmWriteBuffer *buffer)
{
	FmSpill    *result = NULL;

	if (buffer->writer != NULL)
		result = fm_spill_finish(buffer->writer);
	buffer->writer = NULL;
	return result;
}

void
fm_buffer_reset_memory(FmWriteBuffer *buffer)
{
	FmBufferVersion *version;

	for (version = buffer->apart; version != NULL;
		 version = fm_version_apart(version)->next)
		fm_free(&buffer->row_alloc, fm_version_apart(version)->row);
	buffer->apart = NULL;
	MemoryContextReset(buffer->memory);
	buffer->used = 0;
	buffer->chunk = NULL;
	buffer->chunk_left = 0;
	buffer->keys = NULL;
	buffer->items = NULL;
	buffer->nitems = 0;
	buffer->maxitems = 0;
	buffer->nsorted = 0;
	buffer->nheads = 0;
	buffer->min_cid = InvalidCommandId;
	buffer->spill_epoch++;
	buffer->sort_epoch++;
}

/* Appends the live versions of a key in memory to a group. */
static void
group_versions(const FmWriteBuffer *buffer, const FmBufferItem *item,
			   FmBuf *group)
{
	const FmBufferVersion *version;
	FmBufferEntry entry;

	for (version = item->key->newest; version != NULL;
		 version = version->older)
	{
		if (fm_buffer_is_live(buffer, version->subid))
		{
			fm_version_entry(version, &entry);
			fm_group_put(group, &entry);
		}
	}
}

static void
reserve_spill(FmWriteBuffer *buffer)
{
	if (buffer->nspills < buffer->maxspills)
		return;
	if (buffer->spills == NULL)
	{
		buffer->spills = MemoryContextAlloc(buffer->context,
											sizeof(FmSpillEntry) *
											MERGE_SPILLS);
		buffer->maxspills = MERGE_SPILLS;
		return;
	}
	buffer->spills = repalloc(buffer->spills,
							  sizeof(FmSpillEntry) * buffer->maxspills * 2);
	buffer->maxspills *= 2;
}

/* Writes the memory to a new spill and starts empty. */
static void
spill_memory(FmWriteBuffer *buffer)
{
	FmAlloc		alloc;
	FmBuf		group;
	FmSpill    *result;
	uint32		i;

	fm_buffer_abandon_writer(buffer);
	reserve_spill(buffer);
	fm_buffer_sort(buffer);
	alloc = fm_palloc_alloc(buffer->context);
	fm_buf_init(&group, &alloc);
	for (i = 0; i < buffer->nitems; i++)
	{
		const FmBufferKey *key = buffer->items[i].key;

		fm_buf_reset(&group);
		group_versions(buffer, &buffer->items[i], &group);
		fm_check_status(group.failed ? FM_NO_MEMORY : FM_OK, "spill");
		if (group.len > 0)
			write_group(buffer, key->key, key->hash, fm_buf_slice(&group));
	}
	fm_buf_free(&group);
	result = finish_writer(buffer);
	if (result != NULL)
	{
		FmSpillEntry *entry = &buffer->spills[buffer->nspills];

		entry->spill = result;
		entry->min_cid = buffer->min_cid;
		entry->tier = 0;
		buffer->nspills++;
	}
	fm_buffer_reset_memory(buffer);
}

/* What a merge of spills keeps from one key to the next. */
typedef struct SpillMerge
{
	FmMergeSource source;		/* must be first */
	FmSpillCursor cursor;
	bool		started;
	uint8		key[FM_MAX_KEY_SIZE];
} SpillMerge;

static FmStatus
spill_merge_next(FmMergeSource *source)
{
	SpillMerge *m = (SpillMerge *) source;

	if (m->started)
		fm_spill_cursor_next(&m->cursor);
	else
		fm_spill_cursor_seek(&m->cursor, NULL);
	m->started = true;
	source->entry.valid = m->cursor.valid;
	if (m->cursor.valid)
	{
		source->entry.key = fm_spill_cursor_key(&m->cursor, m->key);
		source->entry.row = fm_spill_cursor_group(&m->cursor);
	}
	return FM_OK;
}

/* A group that is being put together, of the key that was shown last. */
typedef struct MergedGroup
{
	FmWriteBuffer *buffer;
	FmBuf		bytes;
} MergedGroup;

/* Appends the live versions of an older part of the group. */
static void
add_group(void *arg, const FmMergeEntry *part)
{
	MergedGroup *merged = arg;
	FmSlice		rest = part->row;
	FmBufferEntry version;

	while (merged->bytes.len <= FM_MAX_ROW_SIZE &&
		   fm_group_next(&rest, &version))
	{
		if (fm_buffer_is_live(merged->buffer, version.subid))
			fm_group_put(&merged->bytes, &version);
	}
}

/* False if the group is too large to be one. */
static bool
flush_group(MergedGroup *merged, FmSlice key)
{
	fm_check_status(merged->bytes.failed ? FM_NO_MEMORY : FM_OK, "spill");
	if (merged->bytes.len > FM_MAX_ROW_SIZE)
		return false;
	if (merged->bytes.len > 0)
		write_group(merged->buffer, key, fm_key_hash(key),
					fm_buf_slice(&merged->bytes));
	fm_buf_reset(&merged->bytes);
	return true;
}

/*
 * Writes spills as one; all memory but the result's is in the current
 * context.  False if a group would become too large; else *result is NULL if
 * nothing in them is live.
 */
static bool
write_merged(FmWriteBuffer *buffer, const FmSpillEntry *spills, uint32 n,
			 FmSpill **result)
{
	FmAlloc		alloc = fm_palloc_alloc(CurrentMemoryContext);
	FmMergeSource **sources = palloc(sizeof(FmMergeSource *) * n);
	SpillMerge *all = palloc0(sizeof(SpillMerge) * n);
	uint8	   *key = palloc(FM_MAX_KEY_SIZE);
	FmMergeSource *winner;
	MergedGroup merged;
	FmMerge    *merge;
	Size		key_size = 0;
	bool		fits = true;
	uint32		i;

	fm_buffer_abandon_writer(buffer);
	for (i = 0; i < n; i++)
	{
		SpillMerge *m = &all[i];

		m->source.next = spill_merge_next;
		fm_spill_cursor_init(&m->cursor, spills[n - 1 - i].spill, false,
							 CurrentMemoryContext);
		spill_merge_next(&m->source);
		sources[i] = &m->source;
	}
	fm_check_status(fm_merge_create(sources, (int) n, false, &alloc, &merge),
					"spill");
	merged.buffer = buffer;
	fm_buf_init(&merged.bytes, &alloc);
	fm_merge_on_loser(merge, add_group, &merged);
	do
	{
		fm_check_status(fm_merge_next(merge, &winner), "spill");
		fits = flush_group(&merged, fm_slice(key, key_size));
		if (winner != NULL)
		{
			key_size = winner->entry.key.len;
			memcpy(key, winner->entry.key.data, key_size);
			add_group(&merged, &winner->entry);
		}
	} while (fits && winner != NULL);
	if (fits)
		*result = finish_writer(buffer);
	else
		fm_buffer_abandon_writer(buffer);
	return fits;
}

/* Replaces the last n spills, all of one tier, by one of the next. */
static void
merge_spills(FmWriteBuffer *buffer, uint32 n)
{
	FmSpillEntry *spills = &buffer->spills[buffer->nspills - n];
	MemoryContext context = AllocSetContextCreate(buffer->context,
												  "fusio_manifest spill merge",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	CommandId	min_cid = InvalidCommandId;
	FmSpill    *result = NULL;
	uint32		i;

	buffer->keep_spills = !write_merged(buffer, spills, n, &result);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	if (buffer->keep_spills)
		return;
	for (i = 0; i < n; i++)
	{
		min_cid = Min(min_cid, spills[i].min_cid);
		fm_spill_free(spills[i].spill);
	}
	buffer->nspills -= n;
	buffer->found.spill = NULL;
	buffer->spill_epoch++;
	if (result != NULL)
	{
		spills[0].spill = result;
		spills[0].min_cid = min_cid;
		spills[0].tier++;
		buffer->nspills++;
	}
}

void
fm_buffer_spill(FmWriteBuffer *buffer)
{
	spill_memory(buffer);
	while (!buffer->keep_spills && buffer->nspills >= MERGE_SPILLS &&
		   buffer->spills[buffer->nspills - MERGE_SPILLS].tier ==
		   buffer->spills[buffer->nspills - 1].tier)
		merge_spills(buffer, MERGE_SPILLS);
}
