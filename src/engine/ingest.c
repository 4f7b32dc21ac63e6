/*-------------------------------------------------------------------------
 *
 * ingest.c
 *	  A write buffer to runs in the store, and the conflict probe.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "engine/ingest.h"
#include "engine/lookup.h"
#include "engine/run_scan.h"
#include "engine/run_writer.h"
#include "manifest/commit.h"
#include "objstore/pg_status.h"

#define DEADLINE_ENTRIES 1024	/* entries between looks at the clock */

static const FmSlice unbounded = {NULL, 0};

/* The first or the last key of a buffer, copied; false: it is empty. */
static bool
end_key(FmWriteBuffer *buffer, bool last, bool with_locks, FmSlice *key)
{
	FmBufferScan *scan = fm_buffer_scan_begin(buffer, unbounded, unbounded,
											  last, FM_ALL_COMMANDS,
											  with_locks);
	FmMergeSource *source = fm_buffer_scan_source(scan);
	bool		found;

	fm_buffer_scan_in_place(scan);
	fm_check_status(source->next(source), "scan");
	found = source->entry.valid;
	if (found && key != NULL)
	{
		uint8	   *copy = palloc(source->entry.key.len);

		memcpy(copy, source->entry.key.data, source->entry.key.len);
		*key = fm_slice(copy, source->entry.key.len);
	}
	fm_buffer_scan_end(scan);
	return found;
}

bool
fm_ingest_is_needed(FmWriteBuffer *buffer)
{
	return !fm_write_buffer_is_empty(buffer) &&
		end_key(buffer, false, false, NULL);
}

static bool
run_meets(const FmRunDesc *run, FmSlice lower, FmSlice upper)
{
	return fm_slice_cmp(run->lower, upper) <= 0 &&
		fm_slice_cmp(lower, run->upper) <= 0;
}

/* True if no run of the table meets the keys from lower to upper. */
static bool
nothing_below(FmManifest *manifest, const FmTableWrites *writes,
			  FmSlice lower, FmSlice upper)
{
	const FmTable *table;
	uint32		l;
	uint32		i;

	if (writes->table_id == 0 || writes->truncated)
		return true;
	table = fm_manifest_table_by_id(manifest, writes->table_id);
	if (table == NULL)
		return false;
	for (l = 0; l < table->nlevels; l++)
	{
		for (i = 0; i < table->levels[l].nruns; i++)
		{
			if (run_meets(&table->levels[l].runs[i], lower, upper))
				return false;
		}
	}
	return true;
}

static void
check_deadline(FmStore *store, TimestampTz deadline)
{
	if (deadline != DT_NOEND && GetCurrentTimestamp() > deadline)
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("canceling commit due to commit timeout"),
				 errdetail("Changes were being written to the store of server \"%s\".",
						   store->options.servername),
				 errhint("Raise \"fusio_manifest.commit_timeout\", or try again.")));
}

/*
 * Where nothing lies below, tombstones have nothing to hide.  A run with such
 * a key that comes until the commit is a conflict: deletes are no upserts.
 *
 * Runs of a bulk load will then be a bottom level.  Whether they are large
 * enough for that is guessed before they are compressed; a wrong guess costs
 * a filter that is larger, or errs more often, than the level would have.
 */
int
fm_ingest_table(FmTableWrites *writes, FmManifest *manifest,
				TimestampTz deadline, FmRunDesc **descs)
{
	FmSlice		lower;
	FmSlice		upper;
	FmRunWriter *writer;
	FmBufferScan *scan;
	FmMergeSource *source;
	bool		alone;
	uint32		n = 0;

	*descs = NULL;
	if (!end_key(writes->buffer, false, false, &lower) ||
		!end_key(writes->buffer, true, false, &upper))
		return 0;
	alone = nothing_below(manifest, writes, lower, upper);
	writer = fm_run_writer_create(writes->store, writes->table_id,
								  &writes->block,
								  alone &&
								  fm_write_buffer_bytes(writes->buffer) >=
								  FM_BULK_LOAD_SIZE);
	scan = fm_buffer_scan_begin(writes->buffer, unbounded, unbounded, false,
								FM_ALL_COMMANDS, false);
	fm_buffer_scan_in_place(scan);
	source = fm_buffer_scan_source(scan);
	for (;;)
	{
		const FmMergeEntry *entry = &source->entry;

		fm_check_status(source->next(source), "scan");
		if (!entry->valid)
			break;
		if (n++ % DEADLINE_ENTRIES == 0)
			check_deadline(writes->store, deadline);
		if (entry->tombstone && alone)
			continue;
		fm_run_writer_add(writer, entry->key, fm_key_hash(entry->key),
						  entry->row, entry->tombstone);
	}
	fm_buffer_scan_end(scan);
	return fm_run_writer_finish(writer, descs);
}

/* Is what we did to the key at odds with a commit of that version? */
static bool
is_conflict(FmWriteBuffer *buffer, FmSlice key, uint64 hash, uint64 version)
{
	uint64		base;
	bool		all_upserts;

	return fm_write_buffer_touched(buffer, key, hash, &base, &all_upserts) &&
		base < version && !all_upserts;
}

/* Reads the run and looks its keys up in the buffer. */
static bool
probe_by_run(FmFetch *fetch, FmWriteBuffer *buffer, const FmRunDesc *run,
			 FmSlice lower, FmSlice upper, uint64 version)
{
	FmRunScan  *scan = fm_run_scan_begin(fetch, run, lower, unbounded, false);
	FmMergeSource *source = fm_run_scan_source(scan);
	bool		found = false;

	for (;;)
	{
		const FmMergeEntry *entry = &source->entry;

		fm_check_status(source->next(source), "scan");
		if (!entry->valid || fm_slice_cmp(entry->key, upper) > 0)
			break;
		found = is_conflict(buffer, entry->key, fm_key_hash(entry->key),
							version);
		if (found)
			break;
	}
	fm_run_scan_end(scan);
	return found;
}

/* Reads the buffer and looks its keys up in the run. */
static bool
probe_by_buffer(FmFetch *fetch, FmWriteBuffer *buffer, const FmRunDesc *run,
				uint64 version)
{
	FmLookup   *lookup = fm_lookup_create_run(fetch, run);
	FmBufferScan *scan = fm_buffer_scan_begin(buffer, run->lower, unbounded,
											  false, FM_ALL_COMMANDS, true);
	FmMergeSource *source = fm_buffer_scan_source(scan);
	bool		found = false;

	for (;;)
	{
		const FmMergeEntry *entry = &source->entry;
		uint64		hash;
		FmSlice		row;

		fm_check_status(source->next(source), "scan");
		if (!entry->valid || fm_slice_cmp(entry->key, run->upper) > 0)
			break;
		hash = fm_key_hash(entry->key);
		found = is_conflict(buffer, entry->key, hash, version) &&
			fm_lookup_find(lookup, entry->key, hash,
						   &row) != FM_LOOKUP_ABSENT;
		if (found)
			break;
	}
	fm_buffer_scan_end(scan);
	fm_lookup_free(lookup);
	return found;
}

bool
fm_ingest_conflicts(void *arg, const FmRunDesc *run, uint64 version)
{
	FmTableWrites *writes = arg;
	FmWriteBuffer *buffer = writes->buffer;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "fusio_manifest conflict probe",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	FmSlice		lower;
	FmSlice		upper;
	FmStats		stats;
	FmFetch		fetch;
	bool		found = false;

	memset(&stats, 0, sizeof(stats));
	memset(&fetch, 0, sizeof(fetch));
	fetch.store = writes->store;
	fetch.stats = &stats;
	fetch.version = version;
	if (end_key(buffer, false, true, &lower) &&
		end_key(buffer, true, true, &upper) && run_meets(run, lower, upper))
	{
		if (run->rows + run->tombstones < fm_write_buffer_count(buffer))
			found = probe_by_run(&fetch, buffer, run, lower, upper, version);
		else
			found = probe_by_buffer(&fetch, buffer, run, version);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	if (!found && writes->reads != NULL)
		found = fm_read_set_conflicts(writes->reads, run, version);
	return found;
}
