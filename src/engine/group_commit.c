/*-------------------------------------------------------------------------
 *
 * group_commit.c
 *	  Commits of several backends in one run a table and one swap of HEAD.
 *
 * A store takes a few swaps a second, whoever makes them.  So backends hand
 * their changes to one of them, the leader (engine/group_queue.c).
 *
 * Proof that no member overwrites what it has not seen: a member says up to
 * which version it has no conflict; at first that is the version that its
 * statements read.  The leader accepts it into a batch if, from there to the
 * HEAD that the batch is based on, every commit
 *	- is a batch of this group that wrote none of its keys, or
 *	- did not touch its tables, or only compacted them,
 * and if no member before it in the batch touches one of its keys.  Commits
 * that come between this check and the swap are checked key by key.  Keys are
 * compared by their hashes: who is sent back for nothing checks itself
 * against the log, which is exact, and comes again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "engine/group_commit.h"
#include "engine/group_queue.h"
#include "engine/lookup.h"
#include "engine/run_writer.h"
#include "format/key_codec.h"
#include "manifest/head_cache.h"
#include "manifest/log_walk.h"
#include "manifest/outcome.h"
#include "objstore/pg_alloc.h"
#include "objstore/pg_status.h"

#define MAX_SENT_BACK 8			/* times, before a commit goes alone */

#define ENTRY_TOMBSTONE 0x01
#define ENTRY_LOCK 0x02
#define ENTRY_UPSERT 0x04

/* A change of a member; slices point into the member's bytes. */
typedef struct GroupEntry
{
	uint64		table_id;
	FmSlice		key;
	FmSlice		row;
	uint64		hash;			/* of the key */
	uint8		flags;
} GroupEntry;

/* A table in a member's bytes. */
typedef struct TableHeader
{
	uint64		table_id;
	FmBlockOptions block;
	uint32		nentries;
} TableHeader;

typedef struct EntryHeader
{
	uint32		key_len;
	uint32		row_len;
	uint8		flags;
} EntryHeader;

/* A table of the batch. */
typedef struct BatchTable
{
	uint64		table_id;
	FmBlockOptions block;
	struct Batch *batch;
	GroupEntry *first;			/* of its entries, which are sorted */
	int			n;
} BatchTable;

/* What is known of a key by the hash of table and key. */
typedef struct TouchedKey
{
	uint64		hash;
	uint64		version;		/* of the batch that wrote it last;
								 * PG_UINT64_MAX: the one being made */
} TouchedKey;

/* A table that was changed by commits other than the group's. */
typedef struct ForeignChange
{
	uint64		table_id;
	uint64		version;		/* the last */
} ForeignChange;

typedef struct Batch
{
	FmStore    *store;
	FmManifest *manifest;
	FmGroupMember *members;
	int			nmembers;
	HTAB	   *touched;		/* of TouchedKey */
	HTAB	   *foreign;		/* of ForeignChange */
	uint64		known_from;		/* commits after it are known */
	GroupEntry *entries;		/* of accepted members */
	int			nentries;
	int			max_entries;
	BatchTable *tables;
	int			ntables;
	int			max_tables;
} Batch;

static uint64
mixed_hash(uint64 table_id, uint64 hash)
{
	return hash ^ (table_id * UINT64CONST(0x9E3779B97F4A7C15));
}

/* Who may commit together: the same place, with the same credentials. */
static FmSum128
group_key(const FmStore *store, const FmId *store_id, uint64 incarnation)
{
	struct
	{
		FmSum128	rights;
		FmId		store_id;
		uint64		incarnation;
		Oid			database;
	}			key;

	memset(&key, 0, sizeof(key));
	key.rights = store->rights;
	key.store_id = *store_id;
	key.incarnation = incarnation;
	key.database = MyDatabaseId;
	return fm_xxh3_128(fm_slice(&key, sizeof(key)), 0);
}

static bool
can_join(FmTableWrites **tables, int ntables, const FmStore *store)
{
	uint64		size = 0;
	int			i;

	if (!fm_group_queue_available() || store->ops->is_near)
		return false;
	for (i = 0; i < ntables; i++)
	{
		const FmTableWrites *writes = tables[i];

		if (!writes->enlisted)
			continue;
		if (writes->table_id == 0 || writes->create != NULL ||
			writes->nadd_columns > 0 || writes->truncated ||
			writes->reads != NULL)
			return false;
		size += fm_write_buffer_bytes(writes->buffer) +
			fm_write_buffer_count(writes->buffer) * sizeof(EntryHeader);
	}
	return size <= FM_GROUP_MAX_BYTES;
}

/* Appends a table's changes and locks. */
static void
put_table(FmTableWrites *writes, StringInfo out)
{
	FmSlice		unbounded = {NULL, 0};
	FmBufferScan *scan = fm_buffer_scan_begin(writes->buffer, unbounded,
											  unbounded, false,
											  FM_ALL_COMMANDS, true);
	FmMergeSource *source = fm_buffer_scan_source(scan);
	TableHeader header;
	int			at = out->len;

	memset(&header, 0, sizeof(header));
	header.table_id = writes->table_id;
	header.block = writes->block;
	appendBinaryStringInfo(out, (char *) &header, sizeof(header));
	for (;;)
	{
		const FmMergeEntry *entry = &source->entry;
		const FmBufferEntry *change;
		EntryHeader prefix;
		uint64		base;
		bool		all_upserts;

		fm_check_status(source->next(source), "scan");
		if (!entry->valid)
			break;
		change = entry->extra;
		memset(&prefix, 0, sizeof(prefix));
		prefix.key_len = (uint32) entry->key.len;
		if (change->kind == FM_LOCK)
			prefix.flags = ENTRY_LOCK;
		else if (entry->tombstone)
			prefix.flags = ENTRY_TOMBSTONE;
		else
			prefix.row_len = (uint32) entry->row.len;
		if (fm_write_buffer_touched(writes->buffer, entry->key,
									fm_key_hash(entry->key), &base,
									&all_upserts) && all_upserts)
			prefix.flags |= ENTRY_UPSERT;
		appendBinaryStringInfo(out, (char *) &prefix, sizeof(prefix));
		appendBinaryStringInfo(out, (const char *) entry->key.data,
							   prefix.key_len);
		appendBinaryStringInfo(out, (const char *) entry->row.data,
							   prefix.row_len);
		header.nentries++;
	}
	fm_buffer_scan_end(scan);
	memcpy(out->data + at, &header, sizeof(header));
}

static void
take_bytes(FmSlice *bytes, void *dest, size_t n)
{
	Assert(bytes->len >= n);
	memcpy(dest, bytes->data, n);
	*bytes = fm_slice(bytes->data + n, bytes->len - n);
}

/* Calls the function for each entry of a member's bytes. */
static bool
visit_entries(Batch *batch, const FmGroupMember *member,
			  bool (*visit) (Batch *batch, const FmGroupMember *member,
							 const TableHeader *table,
							 const GroupEntry *entry))
{
	FmSlice		bytes = member->bytes;
	TableHeader table;
	uint32		i;

	while (bytes.len > 0)
	{
		take_bytes(&bytes, &table, sizeof(table));
		for (i = 0; i < table.nentries; i++)
		{
			EntryHeader header;
			GroupEntry	entry;

			take_bytes(&bytes, &header, sizeof(header));
			entry.table_id = table.table_id;
			entry.key = fm_slice(bytes.data, header.key_len);
			entry.row = fm_slice(bytes.data + header.key_len, header.row_len);
			entry.hash = fm_key_hash(entry.key);
			entry.flags = header.flags;
			bytes = fm_slice(bytes.data + header.key_len + header.row_len,
							 bytes.len - header.key_len - header.row_len);
			if (!visit(batch, member, &table, &entry))
				return false;
		}
	}
	return true;
}

static HTAB *
create_table(const char *name, Size entry_size)
{
	HASHCTL		info;

	memset(&info, 0, sizeof(info));
	info.keysize = sizeof(uint64);
	info.entrysize = entry_size;
	info.hcxt = CurrentMemoryContext;
	return hash_create(name, 1024, &info, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static void
note_key(Batch *batch, uint64 hash, uint64 version)
{
	bool		found;
	TouchedKey *key = hash_search(batch->touched, &hash, HASH_ENTER, &found);

	key->version = found ? Max(key->version, version) : version;
}

/* A commit since the members' checks. */
static bool
note_record(void *arg, const FmCommitRecord *record)
{
	Batch	   *batch = arg;
	uint64	   *hashes;
	uint32		i;
	int			n;

	if (fm_group_recall(record->version, &hashes, &n))
	{
		while (n > 0)
			note_key(batch, hashes[--n], record->version);
		return true;
	}
	for (i = 0; i < record->nchanges; i++)
	{
		const FmTableChange *change = &record->changes[i];
		ForeignChange *foreign;

		if ((change->kinds & ~FM_CHANGE_COMPACT) == 0)
			continue;
		foreign = hash_search(batch->foreign, &change->table_id, HASH_ENTER,
							  NULL);
		foreign->version = record->version;
	}
	return true;
}

static bool
has_no_conflict(Batch *batch, const FmGroupMember *member,
				const TableHeader *table, const GroupEntry *entry)
{
	uint64		hash = mixed_hash(entry->table_id, entry->hash);
	const TouchedKey *touched = hash_search(batch->touched, &hash, HASH_FIND,
											NULL);

	if (touched == NULL || touched->version <= member->checked)
		return true;
	return (entry->flags & ENTRY_UPSERT) != 0 &&
		touched->version != PG_UINT64_MAX;
}

/* Were the member's tables changed by others, or are they gone? */
static bool
tables_are_fit(Batch *batch, const FmGroupMember *member)
{
	FmSlice		bytes = member->bytes;
	TableHeader table;
	uint32		i;

	while (bytes.len > 0)
	{
		const ForeignChange *foreign;

		take_bytes(&bytes, &table, sizeof(table));
		foreign = hash_search(batch->foreign, &table.table_id, HASH_FIND,
							  NULL);
		if ((foreign != NULL && foreign->version > member->checked) ||
			fm_manifest_table_by_id(batch->manifest, table.table_id) == NULL)
			return false;
		for (i = 0; i < table.nentries; i++)
		{
			EntryHeader header;

			take_bytes(&bytes, &header, sizeof(header));
			bytes = fm_slice(bytes.data + header.key_len + header.row_len,
							 bytes.len - header.key_len - header.row_len);
		}
	}
	return true;
}

static BatchTable *
find_table(Batch *batch, const TableHeader *header)
{
	BatchTable *table;
	int			i;

	for (i = 0; i < batch->ntables; i++)
	{
		if (batch->tables[i].table_id == header->table_id)
			return &batch->tables[i];
	}
	if (batch->ntables == batch->max_tables)
	{
		batch->max_tables = Max(batch->max_tables * 2, 8);
		batch->tables = batch->tables == NULL ?
			palloc(sizeof(BatchTable) * batch->max_tables) :
			repalloc(batch->tables, sizeof(BatchTable) * batch->max_tables);
	}
	table = &batch->tables[batch->ntables++];
	memset(table, 0, sizeof(*table));
	table->table_id = header->table_id;
	table->block = header->block;
	return table;
}

static bool
accept_entry(Batch *batch, const FmGroupMember *member,
			 const TableHeader *table, const GroupEntry *entry)
{
	note_key(batch, mixed_hash(entry->table_id, entry->hash), PG_UINT64_MAX);
	if (entry->flags & ENTRY_LOCK)
		return true;
	(void) find_table(batch, table);
	if (batch->nentries == batch->max_entries)
	{
		batch->max_entries = Max(batch->max_entries * 2, 256);
		batch->entries = batch->entries == NULL ?
			palloc(sizeof(GroupEntry) * batch->max_entries) :
			repalloc_huge(batch->entries,
						  sizeof(GroupEntry) * batch->max_entries);
	}
	batch->entries[batch->nentries++] = *entry;
	return true;
}

/* Decides who is in the batch; the number of them. */
static int
accept_members(Batch *batch)
{
	int			naccepted = 0;
	int			i;

	batch->known_from = PG_UINT64_MAX;
	for (i = 0; i < batch->nmembers; i++)
		batch->known_from = Min(batch->known_from, batch->members[i].checked);
	if (!fm_log_walk(batch->manifest, batch->known_from, note_record, batch))
		return 0;
	for (i = 0; i < batch->nmembers; i++)
	{
		FmGroupMember *member = &batch->members[i];

		if (!tables_are_fit(batch, member) ||
			!visit_entries(batch, member, has_no_conflict))
			continue;
		(void) visit_entries(batch, member, accept_entry);
		member->accepted = true;
		naccepted++;
	}
	return naccepted;
}

static int
compare_entries(const void *a, const void *b)
{
	const GroupEntry *x = a;
	const GroupEntry *y = b;

	if (x->table_id != y->table_id)
		return x->table_id < y->table_id ? -1 : 1;
	return fm_slice_cmp(x->key, y->key);
}

/* Does a run, which came in between, hold a key of the batch? */
static bool
meets_run(void *arg, const FmRunDesc *run, uint64 version)
{
	BatchTable *table = arg;
	FmStats		stats;
	FmFetch		fetch;
	FmLookup   *lookup;
	bool		found = false;
	int			i;

	memset(&stats, 0, sizeof(stats));
	memset(&fetch, 0, sizeof(fetch));
	fetch.store = table->batch->store;
	fetch.stats = &stats;
	fetch.version = version;
	lookup = fm_lookup_create_run(&fetch, run);
	for (i = 0; i < table->n && !found; i++)
	{
		FmLookupKey key;
		FmSlice		row;

		key.key = table->first[i].key;
		key.hash = table->first[i].hash;
		if (fm_slice_cmp(key.key, run->lower) < 0 ||
			fm_slice_cmp(key.key, run->upper) > 0)
			continue;
		fm_lookup_read_ahead(lookup, &key, 1);
		found = fm_lookup_find(lookup, key.key, key.hash,
							   &row) != FM_LOOKUP_ABSENT;
	}
	fm_lookup_free(lookup);
	return found;
}

/* Writes a table's entries, in the order of their keys, to runs. */
static void
write_table(Batch *batch, BatchTable *table, FmTableCommit *commit)
{
	FmRunWriter *writer = fm_run_writer_create(batch->store, table->table_id,
											   &table->block, false);
	const FmTable *stored = fm_manifest_table_by_id(batch->manifest,
													table->table_id);
	FmRunDesc  *added;
	int			i;

	for (i = 0; i < table->n; i++)
		fm_run_writer_add(writer, table->first[i].key, table->first[i].hash,
						  table->first[i].row,
						  (table->first[i].flags & ENTRY_TOMBSTONE) != 0);
	memset(commit, 0, sizeof(*commit));
	commit->name = pnstrdup((const char *) stored->name.data,
							stored->name.len);
	commit->table_id = table->table_id;
	commit->base = batch->manifest->head->version;
	commit->nadded = (uint32) fm_run_writer_finish(writer, &added);
	commit->added = added;
	commit->probe = meets_run;
	commit->probe_arg = table;
}

static bool
keep_for_others(FmCommitRequest *request, const FmHeadIdentity *expected,
				FmSlice head)
{
	Batch	   *batch = request->sending_arg;

	return fm_group_send(batch->members, batch->nmembers, expected,
						 &request->commit_id, head);
}

/* Hands the results out; does not raise. */
static void
finish_batch(const Batch *batch, const FmCommitRequest *request,
			 const uint64 *hashes)
{
	if (request->version != 0)
		fm_group_remember(request->version, hashes, batch->nentries);
	fm_group_finish(request->version != 0 ? FM_GROUP_PUBLISHED :
					FM_GROUP_SENT_BACK, request->version,
					&request->commit_id, request->swap_us);
}

/* Publishes what was accepted. */
static void
publish_batch(Batch *batch, int naccepted, FmCommitRequest *request)
{
	GroupEntry *entry = batch->entries;
	GroupEntry *end = batch->entries + batch->nentries;
	FmTableCommit *commits = palloc(sizeof(FmTableCommit) *
									Max(batch->ntables, 1));
	int			i;

	qsort(batch->entries, batch->nentries, sizeof(GroupEntry),
		  compare_entries);
	request->members = palloc(sizeof(FmId) * naccepted);
	for (i = 0; i < batch->nmembers; i++)
	{
		if (batch->members[i].accepted)
			request->members[request->nmembers++] = batch->members[i].commit_id;
	}
	while (entry < end)
	{
		BatchTable *table = NULL;

		for (i = 0; table == NULL; i++)
		{
			if (batch->tables[i].table_id == entry->table_id)
				table = &batch->tables[i];
		}
		table->batch = batch;
		table->first = entry;
		while (entry < end && entry->table_id == table->table_id)
			entry++;
		table->n = (int) (entry - table->first);
		write_table(batch, table, &commits[request->ntables++]);
	}
	request->tables = commits;
	request->tolerant = true;
	request->manifest = batch->manifest;
	request->sending = keep_for_others;
	request->sending_arg = batch;
	PG_TRY();
	{
		fm_commit_publish(request);
	}
	PG_CATCH();
	{
		/* If it was sent, another member finds out what became of it. */
		if (!request->in_doubt)
			fm_group_not_sent();
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/*
 * HEAD to base a batch on: as this cluster last saw it, mostly as the last
 * batch left it, which spares reading it.  Where it has been replaced by
 * others since, the swap will be lost, and the next try reads it.
 */
static FmManifest *
known_head(FmStore *store, const Batch *batch)
{
	FmSlice		bytes = store->ops->recall_head(store);
	FmManifest *manifest;
	FmHeadIdentity identity;
	bool		is_old = bytes.len == 0 ||
	fm_head_identify(bytes, &identity, NULL) != FM_OK;
	int			i;

	/* A member may have seen what others have committed since. */
	for (i = 0; i < batch->nmembers && !is_old; i++)
		is_old = batch->members[i].checked > identity.version;
	if (is_old)
		return fm_manifest_current(store);
	manifest = fm_manifest_from_bytes(store, bytes);
	fm_manifest_release_with(manifest, CurrentMemoryContext);
	return manifest;
}

/* Takes a batch, publishes it and hands out the results. */
static void
lead(FmStore *store, const FmCommitRequest *own)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "fusio_manifest batch",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	FmCommitRequest request;
	Batch		batch;
	uint64	   *hashes;
	int			naccepted;
	int			i;

	memset(&batch, 0, sizeof(batch));
	memset(&request, 0, sizeof(request));
	request.store = store;
	request.store_id = own->store_id;
	request.incarnation = own->incarnation;
	request.deadline = own->deadline;
	batch.store = store;
	fm_group_gather();
	batch.nmembers = fm_group_take(&batch.members);
	batch.manifest = known_head(store, &batch);
	request.start = fm_publish_begin(batch.manifest);
	batch.touched = create_table("fusio_manifest touched keys",
								 sizeof(TouchedKey));
	batch.foreign = create_table("fusio_manifest foreign changes",
								 sizeof(ForeignChange));
	naccepted = accept_members(&batch);
	hashes = palloc(sizeof(uint64) * Max(batch.nentries, 1));
	for (i = 0; i < batch.nentries; i++)
		hashes[i] = mixed_hash(batch.entries[i].table_id,
							   batch.entries[i].hash);
	if (naccepted > 0)
		publish_batch(&batch, naccepted, &request);
	finish_batch(&batch, &request, hashes);
	if (request.version != 0)
		RESUME_INTERRUPTS();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* Finds out what became of a batch whose leader does not know. */
static void
resolve(FmStore *store)
{
	FmOutcome	outcome;
	FmHeadIdentity expected;
	const char *problem;
	FmSlice		head;
	FmId		batch_id;

	HOLD_INTERRUPTS();
	head = fm_group_get_sent(&expected, &batch_id);
	outcome = fm_outcome_find(store, &expected, &batch_id, head, false,
							  &problem);
	pfree(unconstify(uint8 *, head.data));
	switch (outcome)
	{
		case FM_OUTCOME_APPLIED:
			fm_group_finish(FM_GROUP_PUBLISHED, expected.version + 1,
							&batch_id, 0);
			break;
		case FM_OUTCOME_NOT_APPLIED:
		case FM_OUTCOME_REFUSED:
			fm_group_finish(FM_GROUP_SENT_BACK, 0, &batch_id, 0);
			break;
		case FM_OUTCOME_UNKNOWN:
			fm_group_finish(FM_GROUP_UNKNOWN, 0, &batch_id, 0);
			break;
	}
	RESUME_INTERRUPTS();
}

/*
 * Waits for what was joined with, and does in between what it is our turn to
 * do.  Nothing may interrupt between the result and the return.
 */
static FmGroupResult
take_part(FmCommitRequest *request, FmId *batch_id)
{
	FmGroupResult result;

	for (;;)
	{
		switch (fm_group_wait(request->deadline, &result, &request->version,
							  batch_id))
		{
			case FM_GROUP_DONE:
				return result;
			case FM_GROUP_LEAD:
				lead(request->store, request);
				break;
			case FM_GROUP_RESOLVE:
				resolve(request->store);
				break;
		}
	}
}

bool
fm_group_commit(FmTableWrites **tables, int ntables, FmCommitRequest *request)
{
	FmSum128	group;
	StringInfoData bytes;
	FmId		batch_id;
	uint64		checked = PG_UINT64_MAX;
	int			tries;
	int			i;

	if (!can_join(tables, ntables, request->store))
		return false;
	initStringInfo(&bytes);
	for (i = 0; i < ntables; i++)
	{
		if (!tables[i]->enlisted || fm_write_buffer_is_empty(tables[i]->buffer))
			continue;
		put_table(tables[i], &bytes);
		checked = Min(checked, tables[i]->base);
	}
	group = group_key(request->store, &request->store_id,
					  request->incarnation);
	for (tries = 0; tries < MAX_SENT_BACK; tries++)
	{
		request->commit_id = fm_new_id();
		if (!fm_group_join(&group, &request->commit_id, checked,
						   fm_slice(bytes.data, bytes.len)))
			return false;
		switch (take_part(request, &batch_id))
		{
			case FM_GROUP_PUBLISHED:
				HOLD_INTERRUPTS();
				return true;
			case FM_GROUP_UNKNOWN:
				fm_outcome_raise_unknown(&batch_id,
										 "It was published, or not, together with others.");
				break;
			case FM_GROUP_SENT_BACK:
				checked = fm_commit_check(request);
				break;
		}
	}
	return false;
}
