/*-------------------------------------------------------------------------
 *
 * buffer_scan.c
 *	  Scans of a write buffer: memory and spills, merged.
 *
 * A scan's place is the key that it showed last, of which it has a copy.
 * When the items were sorted again, or memory became a spill, it finds its
 * place anew.  Each part shows only keys of which the reader sees a version
 * there, so that the newest part that shows a key has the version to show.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "engine/buffer_state.h"
#include "objstore/pg_alloc.h"
#include "objstore/pg_status.h"

#define ROW_KEPT (1024 * 1024)	/* bytes of a larger row go */

/* A part of the buffer: a spill, or the items in memory. */
typedef struct ScanPart
{
	FmMergeSource source;		/* must be first */
	FmBufferScan *scan;
	bool		placed;			/* else next finds the scan's place */
	FmBufferEntry change;		/* that is shown */
	FmSpillCursor cursor;		/* without a spill: memory */
	uint32		item;			/* number, in memory */
	uint64		sort_epoch;
	uint8	   *key;			/* room for one, of a spill */
} ScanPart;

struct FmBufferScan
{
	FmMergeSource source;		/* must be first */
	FmWriteBuffer *buffer;
	FmSlice		lower;
	FmSlice		upper;			/* empty: unbounded */
	bool		backward;
	bool		with_locks;
	bool		in_place;		/* rows are not copied */
	CommandId	curcid;
	MemoryContext context;		/* child: of the parts and the merge */
	FmAlloc		alloc;
	FmMerge    *merge;			/* NULL: to be made */
	uint64		spill_epoch;

	bool		started;
	bool		done;
	FmBufferEntry shown;		/* points to the copies below */
	uint8		key[FM_MAX_KEY_SIZE];
	uint8	   *row;
	Size		row_room;		/* bytes */
	MemoryContext row_context;
};

/* Is the key past the end of the range? */
static bool
past_end(const FmBufferScan *scan, FmSlice key)
{
	if (scan->backward)
		return fm_slice_cmp(key, scan->lower) < 0;
	return scan->upper.len > 0 && fm_slice_cmp(key, scan->upper) >= 0;
}

/*
 * Where a part that is not placed begins: backward, all keys below are to be
 * shown, forward, all from this on, but not a key that was shown.  NULL: at
 * the end.
 */
static const FmSlice *
start_key(const FmBufferScan *scan)
{
	if (scan->started)
		return &scan->shown.key;
	if (scan->backward)
		return scan->upper.len > 0 ? &scan->upper : NULL;
	return &scan->lower;
}

static bool
was_shown(const FmBufferScan *scan, FmSlice key)
{
	return scan->started && fm_slice_eq(key, scan->shown.key);
}

/* The number of an item, counted from 1; backward, 0 is past the end. */
static void
place_in_memory(ScanPart *part, const FmSlice *key)
{
	FmWriteBuffer *buffer = part->scan->buffer;

	part->sort_epoch = buffer->sort_epoch;
	if (key == NULL)
		part->item = buffer->nsorted + 1;
	else
		part->item = fm_buffer_search(buffer, *key) + 1;
	if (part->scan->backward)
		part->item--;
}

/* Moves to the next key of a part; false at its end. */
static bool
next_in_memory(ScanPart *part, FmSlice *key, bool *visible)
{
	const FmBufferScan *scan = part->scan;
	FmWriteBuffer *buffer = scan->buffer;
	const FmBufferKey *found;

	if (!part->placed)
	{
		const FmSlice *start = start_key(scan);

		place_in_memory(part, start);
		if (!scan->backward && start != NULL && part->item <= buffer->nsorted &&
			was_shown(scan, buffer->items[part->item - 1].key->key))
			part->item++;
	}
	else
	{
		if (part->sort_epoch != buffer->sort_epoch)
		{
			FmSlice		here = part->source.entry.key;

			place_in_memory(part, &here);
			if (scan->backward)
				part->item++;
		}
		if (scan->backward)
			part->item--;
		else
			part->item++;
	}
	if (part->item == 0 || part->item > buffer->nsorted)
		return false;
	found = buffer->items[part->item - 1].key;
	*key = found->key;
	*visible = fm_buffer_visible(buffer, found, scan->curcid,
								 scan->with_locks, &part->change);
	return true;
}

static bool
next_in_spill(ScanPart *part, FmSlice *key, bool *visible)
{
	const FmBufferScan *scan = part->scan;
	FmSpillCursor *cursor = &part->cursor;

	if (part->placed)
		fm_spill_cursor_next(cursor);
	else
	{
		fm_spill_cursor_seek(cursor, start_key(scan));
		if (!scan->backward && cursor->valid &&
			was_shown(scan, fm_spill_cursor_key(cursor, part->key)))
			fm_spill_cursor_next(cursor);
	}
	if (!cursor->valid)
		return false;
	*key = fm_spill_cursor_key(cursor, part->key);
	*visible = fm_buffer_visible_group(scan->buffer,
									   fm_spill_cursor_group(cursor),
									   scan->curcid, scan->with_locks,
									   &part->change);
	return true;
}

/* The merge source's "next". */
static FmStatus
part_next(FmMergeSource *source)
{
	ScanPart   *part = (ScanPart *) source;
	FmMergeEntry *entry = &source->entry;
	bool		visible = false;
	bool		found;

	do
	{
		found = part->cursor.spill != NULL ?
			next_in_spill(part, &entry->key, &visible) :
			next_in_memory(part, &entry->key, &visible);
		part->placed = true;
	} while (found && !past_end(part->scan, entry->key) && !visible);
	entry->valid = found && visible && !past_end(part->scan, entry->key);
	return FM_OK;
}

static ScanPart *
add_part(FmBufferScan *scan, FmSpill *spill)
{
	ScanPart   *part = palloc0(sizeof(ScanPart));

	part->source.next = part_next;
	part->scan = scan;
	if (spill != NULL)
	{
		fm_spill_cursor_init(&part->cursor, spill, scan->backward,
							 scan->context);
		part->key = palloc(FM_MAX_KEY_SIZE);
	}
	part_next(&part->source);
	return part;
}

/* Makes the merge of all parts that can show something. */
static void
make_merge(FmBufferScan *scan)
{
	FmWriteBuffer *buffer = scan->buffer;
	MemoryContext old;
	FmMergeSource **sources;
	int			n = 0;
	uint32		i;

	scan->merge = NULL;
	MemoryContextReset(scan->context);
	old = MemoryContextSwitchTo(scan->context);
	sources = palloc(sizeof(FmMergeSource *) * (buffer->nspills + 1));
	if (buffer->min_cid < scan->curcid)
	{
		fm_buffer_sort(buffer);
		sources[n++] = &add_part(scan, NULL)->source;
	}
	for (i = buffer->nspills; i-- > 0;)
	{
		if (buffer->spills[i].min_cid < scan->curcid)
			sources[n++] = &add_part(scan, buffer->spills[i].spill)->source;
	}
	fm_check_status(fm_merge_create(sources, n, scan->backward, &scan->alloc,
									&scan->merge), "merge");
	scan->spill_epoch = buffer->spill_epoch;
	MemoryContextSwitchTo(old);
}

/* Copies what a part shows into the scan. */
static void
show(FmBufferScan *scan, const ScanPart *part)
{
	const FmBufferEntry *change = &part->change;
	FmSlice		key = part->source.entry.key;
	Size		size = change->row.len;

	scan->shown = *change;
	memcpy(scan->key, key.data, key.len);
	scan->shown.key = fm_slice(scan->key, key.len);
	scan->started = true;
	if (scan->in_place)
		return;
	if (scan->row_room < size ||
		(scan->row_room > ROW_KEPT && size <= ROW_KEPT))
	{
		Size		room = Max(size, 1024);

		if (scan->row != NULL)
			pfree(scan->row);
		scan->row = NULL;
		scan->row_room = 0;
		room = size <= ROW_KEPT ? pg_nextpower2_size_t(room) : room;
		scan->row = MemoryContextAllocHuge(scan->row_context, room);
		scan->row_room = room;
	}
	if (size > 0)
		memcpy(scan->row, change->row.data, size);
	scan->shown.row = fm_slice(scan->row, size);
}

static FmStatus
scan_next(FmMergeSource *source)
{
	FmBufferScan *scan = (FmBufferScan *) source;
	FmMergeSource *winner = NULL;

	source->entry.valid = false;
	if (scan->done)
		return FM_OK;
	if (scan->merge == NULL ||
		scan->spill_epoch != scan->buffer->spill_epoch)
		make_merge(scan);
	fm_check_status(fm_merge_next(scan->merge, &winner), "merge");
	if (winner == NULL)
	{
		scan->done = true;
		return FM_OK;
	}
	show(scan, (ScanPart *) winner);
	source->entry.key = scan->shown.key;
	source->entry.row = scan->shown.row;
	source->entry.tombstone = scan->shown.kind == FM_TOMBSTONE;
	source->entry.valid = true;
	return FM_OK;
}

static FmSlice
copy_bound(FmSlice bound)
{
	uint8	   *data = palloc(Max(bound.len, 1));

	if (bound.len > 0)
		memcpy(data, bound.data, bound.len);
	return fm_slice(data, bound.len);
}

FmBufferScan *
fm_buffer_scan_begin(FmWriteBuffer *buffer, FmSlice lower, FmSlice upper,
					 bool backward, CommandId curcid, bool with_locks)
{
	FmBufferScan *scan = palloc0(sizeof(FmBufferScan));

	scan->source.next = scan_next;
	scan->source.entry.extra = &scan->shown;
	scan->buffer = buffer;
	scan->lower = copy_bound(lower);
	scan->upper = copy_bound(upper);
	scan->backward = backward;
	scan->curcid = curcid;
	scan->with_locks = with_locks;
	scan->row_context = CurrentMemoryContext;
	scan->context = AllocSetContextCreate(CurrentMemoryContext,
										  "fusio_manifest buffer scan",
										  ALLOCSET_SMALL_SIZES);
	scan->alloc = fm_palloc_alloc(scan->context);
	return scan;
}

FmMergeSource *
fm_buffer_scan_source(FmBufferScan *scan)
{
	return &scan->source;
}

void
fm_buffer_scan_in_place(FmBufferScan *scan)
{
	scan->in_place = true;
}

void
fm_buffer_scan_end(FmBufferScan *scan)
{
	MemoryContextDelete(scan->context);
	if (scan->row != NULL)
		pfree(scan->row);
	pfree(unconstify(uint8 *, scan->lower.data));
	pfree(unconstify(uint8 *, scan->upper.data));
	pfree(scan);
}
