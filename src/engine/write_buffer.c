/*-------------------------------------------------------------------------
 *
 * write_buffer.c
 *	  A transaction's own changes of one table: adding and searching.
 *
 * An entry is one piece of memory: key, first version, row.  Pieces are cut
 * from chunks, never freed one by one; a spill resets them all.
 *
 * A change that follows one of the same key, command and subtransaction takes
 * its place: nobody can see the older one any more.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "engine/buffer_state.h"
#include "objstore/pg_alloc.h"
#include "objstore/pg_status.h"

#define MAX_CHUNK_SIZE (256 * 1024)
#define MIN_CHUNK_SIZE (8 * 1024)
#define FIRST_ITEMS 256
#define APART_SIZE (1024 * 1024)	/* rows from this on are not copied */

/* Keys by their hash. */
typedef struct KeySlot
{
	FmBufferKey *key;
	uint32		hash;
	char		status;
} KeySlot;

#define SH_PREFIX fm_buffer_keys
#define SH_ELEMENT_TYPE KeySlot
#define SH_KEY_TYPE FmBufferKey *
#define SH_KEY key
#define SH_HASH_KEY(tb, k) ((uint32) (k)->hash)
#define SH_EQUAL(tb, a, b) \
	((a)->hash == (b)->hash && fm_slice_eq((a)->key, (b)->key))
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) ((a)->hash)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

FmWriteBuffer *
fm_write_buffer_create(MemoryContext parent, Size budget)
{
	MemoryContext context = AllocSetContextCreate(parent,
												  "fusio_manifest write buffer",
												  ALLOCSET_DEFAULT_SIZES);
	FmWriteBuffer *buffer = MemoryContextAllocZero(context,
												   sizeof(FmWriteBuffer));

	buffer->context = context;
	buffer->memory = AllocSetContextCreate(context,
										   "fusio_manifest changes",
										   ALLOCSET_DEFAULT_SIZES);
	buffer->budget = budget;
	buffer->chunk_size = Min(Max(budget / 16, MIN_CHUNK_SIZE), MAX_CHUNK_SIZE);
	buffer->min_cid = InvalidCommandId;
	buffer->first_subid = PG_UINT32_MAX;
	buffer->found.context = context;
	buffer->row_alloc = fm_palloc_alloc(context);
	fm_buf_init(&buffer->row, &buffer->row_alloc);
	return buffer;
}

void
fm_write_buffer_free(FmWriteBuffer *buffer)
{
	uint32		i;

	fm_buffer_abandon_writer(buffer);
	for (i = 0; i < buffer->nspills; i++)
		fm_spill_free(buffer->spills[i].spill);
	MemoryContextDelete(buffer->context);
}

bool
fm_buffer_is_aborted(const FmWriteBuffer *buffer, SubTransactionId subid)
{
	uint32		lo = 0;
	uint32		hi = buffer->naborted;

	/* The last range that begins at or before it. */
	while (lo < hi)
	{
		uint32		mid = lo + (hi - lo) / 2;

		if (buffer->aborted[mid].first <= subid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo > 0 && subid <= buffer->aborted[lo - 1].last;
}

bool
fm_buffer_visible(const FmWriteBuffer *buffer, const FmBufferKey *key,
				  CommandId curcid, bool with_locks, FmBufferEntry *entry)
{
	const FmBufferVersion *version;

	for (version = key->newest; version != NULL; version = version->older)
	{
		if (version->cid < curcid &&
			(with_locks || version->kind != FM_LOCK) &&
			fm_buffer_is_live(buffer, version->subid))
		{
			fm_version_entry(version, entry);
			return true;
		}
	}
	return false;
}

bool
fm_buffer_visible_group(const FmWriteBuffer *buffer, FmSlice group,
						CommandId curcid, bool with_locks,
						FmBufferEntry *entry)
{
	while (fm_group_next(&group, entry))
	{
		if (entry->cid < curcid &&
			(with_locks || entry->kind != FM_LOCK) &&
			fm_buffer_is_live(buffer, entry->subid))
			return true;
	}
	return false;
}

/* Eight bytes of a key from "at" on as a number of the same order. */
static inline uint64
key_head(FmSlice key, Size at)
{
	uint64		head = 0;
	Size		i;

	for (i = at; i < at + 8; i++)
		head = head << 8 | (i < key.len ? key.data[i] : 0);
	return head;
}

static inline int
compare_items(const FmBufferItem *a, const FmBufferItem *b)
{
	if (a->head != b->head)
		return a->head < b->head ? -1 : 1;
	return fm_slice_cmp(a->key->key, b->key->key);
}

#define ST_SORT sort_items
#define ST_ELEMENT_TYPE FmBufferItem
#define ST_COMPARE(a, b) compare_items(a, b)
#define ST_CHECK_FOR_INTERRUPTS
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/*
 * Heads are the bytes that follow what all keys have in common: the first
 * columns of a long key are often equal.
 */
static void
fill_heads(FmWriteBuffer *buffer)
{
	uint32		i;

	if (buffer->heads_common != buffer->common)
		buffer->nheads = 0;
	for (i = buffer->nheads; i < buffer->nitems; i++)
		buffer->items[i].head = key_head(buffer->items[i].key->key,
										 buffer->common);
	buffer->nheads = buffer->nitems;
	buffer->heads_common = buffer->common;
}

/* Sorts the items behind the sorted ones and merges them in, from the end. */
void
fm_buffer_sort(FmWriteBuffer *buffer)
{
	uint32		ntail = buffer->nitems - buffer->nsorted;
	FmBufferItem *tail = buffer->items + buffer->nsorted;
	uint32		left = buffer->nsorted;

	if (ntail == 0)
		return;
	fill_heads(buffer);
	if (left == 0)
		sort_items(tail, ntail);
	else
	{
		FmBufferItem *copy;
		FmBufferItem *dest = buffer->items + buffer->nitems;

		copy = MemoryContextAllocHuge(buffer->context,
									  sizeof(FmBufferItem) * ntail);
		memcpy(copy, tail, sizeof(FmBufferItem) * ntail);
		sort_items(copy, ntail);
		while (ntail > 0)
		{
			if (left > 0 &&
				compare_items(&buffer->items[left - 1], &copy[ntail - 1]) > 0)
				*--dest = buffer->items[--left];
			else
				*--dest = copy[--ntail];
		}
		pfree(copy);
	}
	buffer->nsorted = buffer->nitems;
	buffer->sort_epoch++;
}

uint32
fm_buffer_search(const FmWriteBuffer *buffer, FmSlice key)
{
	uint32		lo = 0;
	uint32		hi = buffer->nsorted;

	while (lo < hi)
	{
		uint32		mid = lo + (hi - lo) / 2;

		if (fm_slice_cmp(buffer->items[mid].key->key, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Memory for a new entry, 8 bytes aligned. */
static void *
take_memory(FmWriteBuffer *buffer, Size size)
{
	void	   *result;

	size = MAXALIGN(size);
	if (size > buffer->chunk_size / 4)
	{
		result = MemoryContextAllocHuge(buffer->memory, size);
		buffer->used += size;
		return result;
	}
	if (buffer->chunk_left < size)
	{
		buffer->chunk = MemoryContextAlloc(buffer->memory,
										   buffer->chunk_size);
		buffer->chunk_left = buffer->chunk_size;
		buffer->used += buffer->chunk_size;
	}
	result = buffer->chunk;
	buffer->chunk += size;
	buffer->chunk_left -= size;
	return result;
}

/* Makes room for one more item, and for one more aborted range. */
static void
reserve_item(FmWriteBuffer *buffer)
{
	uint32		n;

	if (buffer->keys == NULL)
		buffer->keys = fm_buffer_keys_create(buffer->memory, FIRST_ITEMS, NULL);
	if (buffer->nitems < buffer->maxitems)
		return;
	n = buffer->maxitems == 0 ? FIRST_ITEMS : buffer->maxitems * 2;
	if (buffer->items == NULL)
		buffer->items = MemoryContextAlloc(buffer->memory,
										   sizeof(FmBufferItem) * n);
	else
		buffer->items = repalloc_huge(buffer->items,
									  sizeof(FmBufferItem) * n);
	buffer->maxitems = n;
}

/* Subtransaction aborts must not allocate: they find room for their range. */
static void
note_subtransaction(FmWriteBuffer *buffer, SubTransactionId subid)
{
	if (buffer->naborted == buffer->maxaborted)
	{
		uint32		n = Max(16, buffer->maxaborted * 2);

		if (buffer->aborted == NULL)
			buffer->aborted = MemoryContextAlloc(buffer->context,
												 sizeof(FmAbortedRange) * n);
		else
			buffer->aborted = repalloc_huge(buffer->aborted,
											sizeof(FmAbortedRange) * n);
		buffer->maxaborted = n;
	}
	buffer->first_subid = Min(buffer->first_subid, subid);
	buffer->last_subid = Max(buffer->last_subid, subid);
}

/* Puts a new key behind the items; they stay sorted if it is the greatest. */
static void
append_item(FmWriteBuffer *buffer, FmBufferKey *key)
{
	FmBufferItem *item = &buffer->items[buffer->nitems];

	item->key = key;
	if (buffer->nitems == 0)
		buffer->common = key->key.len;
	else
		buffer->common =
			fm_slice_common(fm_slice(buffer->items[0].key->key.data,
									 buffer->common), key->key);
	if (buffer->nsorted == buffer->nitems &&
		(buffer->nitems == 0 ||
		 fm_slice_cmp(item[-1].key->key, key->key) < 0))
		buffer->nsorted++;
	buffer->nitems++;
}

/* Bytes in use: the hash table and the items grow by doubling. */
static Size
memory_used(const FmWriteBuffer *buffer)
{
	Size		size = buffer->used + sizeof(FmBufferItem) * buffer->maxitems;

	if (buffer->keys != NULL)
		size += sizeof(KeySlot) * (Size) buffer->keys->size;
	return size;
}

static FmBufferKey *
search_memory(const FmWriteBuffer *buffer, FmSlice key, uint64 hash)
{
	FmBufferKey probe;
	KeySlot    *slot;

	if (buffer->keys == NULL)
		return NULL;
	probe.key = key;
	probe.hash = hash;
	slot = fm_buffer_keys_lookup_hash(buffer->keys, &probe, (uint32) hash);
	return slot == NULL ? NULL : slot->key;
}

/* A key that is not in memory yet, without versions. */
static FmBufferKey *
add_key(FmWriteBuffer *buffer, FmSlice key, uint64 hash)
{
	FmBufferKey *added;
	bool		found;

	added = take_memory(buffer, sizeof(FmBufferKey) + key.len);
	memcpy(added + 1, key.data, key.len);
	added->key = fm_slice(added + 1, key.len);
	added->hash = hash;
	added->newest = NULL;
	added->group_size = 0;
	reserve_item(buffer);
	(void) fm_buffer_keys_insert_hash(buffer->keys, added, (uint32) hash, &found);
	Assert(!found);
	append_item(buffer, added);
	return added;
}

FmBuf *
fm_write_buffer_row(FmWriteBuffer *buffer)
{
	fm_buf_reset(&buffer->row);
	return &buffer->row;
}

/* Takes the row that was encoded over. */
static void
take_row(FmWriteBuffer *buffer, FmBufferVersion *version)
{
	FmApartRow *apart = fm_version_apart(version);

	apart->row = buffer->row.data;
	apart->next = buffer->apart;
	buffer->apart = version;
	buffer->used += buffer->row.cap;
	fm_buf_init(&buffer->row, &buffer->row_alloc);
}

void
fm_write_buffer_add(FmWriteBuffer *buffer, FmSlice key, uint64 hash,
					FmChangeKind kind, FmSlice row, bool upsert,
					CommandId cid, uint64 base)
{
	SubTransactionId subid = GetCurrentSubTransactionId();
	Size		group_size = FM_VERSION_HEADER_SIZE + row.len;
	FmBufferKey *entry = search_memory(buffer, key, hash);
	bool		apart = row.len >= APART_SIZE && row.data == buffer->row.data;
	FmBufferVersion *newest;
	FmBufferVersion *version;

	if (group_size > FM_MAX_ROW_SIZE)
		fm_check_status(FM_TOO_LARGE, "row");
	if (buffer->nitems > 0 &&
		(memory_used(buffer) + sizeof(FmBufferKey) + FM_VERSION_ROW_OFFSET +
		 key.len + row.len > buffer->budget ||
		 (entry != NULL && group_size > FM_MAX_ROW_SIZE - entry->group_size)))
	{
		fm_buffer_spill(buffer);
		entry = NULL;
	}
	if (subid != buffer->last_subid || buffer->count == 0)
		note_subtransaction(buffer, subid);
	newest = entry == NULL ? NULL : entry->newest;

	/* A second lock tells nothing new. */
	if (newest != NULL && kind == FM_LOCK && newest->kind == FM_LOCK &&
		newest->subid == subid && newest->base <= base)
		return;

	version = take_memory(buffer, FM_VERSION_ROW_OFFSET +
						  (apart ? sizeof(FmApartRow) : row.len));
	version->base = base;
	version->cid = cid;
	version->subid = subid;
	version->row_size = (uint32) row.len;
	version->kind = (uint8) kind;
	version->upsert = upsert;
	version->apart = apart;
	if (row.len > 0 && !apart)
		memcpy((uint8 *) version + FM_VERSION_ROW_OFFSET, row.data, row.len);
	if (entry == NULL)
		entry = add_key(buffer, key, hash);
	if (apart)
		take_row(buffer, version);
	version->older = newest;
	if (newest != NULL && kind != FM_LOCK && newest->kind != FM_LOCK &&
		newest->subid == subid && newest->cid == cid)
	{
		version->base = Min(base, newest->base);
		version->upsert = upsert && newest->upsert;
		version->older = newest->older;
		entry->group_size -= FM_VERSION_HEADER_SIZE + newest->row_size;
	}
	entry->newest = version;
	entry->group_size += (uint32) group_size;
	buffer->min_cid = Min(buffer->min_cid, cid);
	buffer->count++;
	buffer->bytes += key.len + row.len;
}

bool
fm_write_buffer_find(FmWriteBuffer *buffer, FmSlice key, uint64 hash,
					 CommandId curcid, FmBufferEntry *entry)
{
	const FmBufferKey *in_memory;
	FmSlice		group;
	uint32		i;

	entry->key = key;
	if (buffer->min_cid < curcid)
	{
		in_memory = search_memory(buffer, key, hash);
		if (in_memory != NULL &&
			fm_buffer_visible(buffer, in_memory, curcid, false, entry))
			return true;
	}
	for (i = buffer->nspills; i-- > 0;)
	{
		if (buffer->spills[i].min_cid < curcid &&
			fm_spill_find(buffer->spills[i].spill, &buffer->found, key, hash,
						  &group) &&
			fm_buffer_visible_group(buffer, group, curcid, false, entry))
			return true;
	}
	return false;
}

bool
fm_write_buffer_touched(FmWriteBuffer *buffer, FmSlice key, uint64 hash,
						uint64 *base, bool *all_upserts)
{
	const FmBufferKey *in_memory = search_memory(buffer, key, hash);
	const FmBufferVersion *version;
	FmBufferEntry entry;
	FmSlice		group;
	uint32		i;

	*base = PG_UINT64_MAX;
	*all_upserts = true;
	for (version = in_memory == NULL ? NULL : in_memory->newest;
		 version != NULL; version = version->older)
	{
		if (!fm_buffer_is_live(buffer, version->subid))
			continue;
		*base = Min(*base, version->base);
		*all_upserts &= version->upsert;
	}
	for (i = 0; i < buffer->nspills; i++)
	{
		if (!fm_spill_find(buffer->spills[i].spill, &buffer->found, key, hash,
						   &group))
			continue;
		while (fm_group_next(&group, &entry))
		{
			if (!fm_buffer_is_live(buffer, entry.subid))
				continue;
			*base = Min(*base, entry.base);
			*all_upserts &= entry.upsert;
		}
	}
	return *base != PG_UINT64_MAX;
}

bool
fm_write_buffer_is_empty(FmWriteBuffer *buffer)
{
	return buffer->nitems == 0 && buffer->nspills == 0;
}

uint64
fm_write_buffer_count(FmWriteBuffer *buffer)
{
	return buffer->count;
}

uint64
fm_write_buffer_bytes(FmWriteBuffer *buffer)
{
	return buffer->bytes;
}

/* Nothing that was ever added is live. */
static void
reset_all(FmWriteBuffer *buffer)
{
	while (buffer->nspills > 0)
		fm_spill_free(buffer->spills[--buffer->nspills].spill);
	buffer->found.spill = NULL;
	fm_buffer_reset_memory(buffer);
	buffer->count = 0;
	buffer->bytes = 0;
	buffer->naborted = 0;
	buffer->first_subid = PG_UINT32_MAX;
	buffer->last_subid = 0;
}

void
fm_write_buffer_subabort(FmWriteBuffer *buffer, SubTransactionId subid)
{
	FmAbortedRange *last;

	fm_buffer_abandon_writer(buffer);
	if (buffer->count == 0 || buffer->last_subid < subid)
		return;
	if (subid <= buffer->first_subid)
	{
		reset_all(buffer);
		return;
	}
	while (buffer->naborted > 0 &&
		   buffer->aborted[buffer->naborted - 1].first >= subid)
		buffer->naborted--;
	last = buffer->naborted > 0 ? &buffer->aborted[buffer->naborted - 1] :
		NULL;
	if (last != NULL && last->last + 1 >= subid)
		last->last = buffer->last_subid;
	else
	{
		buffer->aborted[buffer->naborted].first = subid;
		buffer->aborted[buffer->naborted++].last = buffer->last_subid;
	}
}
