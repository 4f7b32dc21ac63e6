/*-------------------------------------------------------------------------
 *
 * log_walk.c
 *	  The records of the commit log, from HEAD's tail and from log pages.
 *
 * Versions are one unbroken sequence: log pages, oldest first, then the tail.
 * What lies at or below the log floor may have been collected.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "manifest/log_walk.h"
#include "manifest/page_io.h"
#include "objstore/pg_alloc.h"
#include "objstore/pg_status.h"

/* Visits the records above "from"; false if the visitor has enough. */
static bool
visit(const FmCommitRecord *records, uint32 n, uint64 from,
	  FmLogVisitor visitor, void *arg)
{
	uint32		i;

	for (i = 0; i < n; i++)
	{
		if (records[i].version > from && !visitor(arg, &records[i]))
			return false;
	}
	return true;
}

/* Reads a page into the current memory context. */
static FmHead *
read_page(FmManifest *manifest, const FmPageRef *ref,
		  FmCommitRecord **records, uint32 *n)
{
	FmAlloc		alloc = fm_palloc_alloc(CurrentMemoryContext);
	FmHead	   *state;
	FmFault		fault;
	FmSlice		bytes;

	bytes = fm_page_read(manifest->store, ref, manifest->head->version);
	if (fm_log_page_decode(bytes, ref, &alloc, &state, records, n,
						   &fault) != FM_OK)
		fm_raise_object_fault(manifest->store, FM_OBJECT_PAGE, &ref->id, 0,
							  &fault);
	return state;
}

FmHead *
fm_log_page_state(FmManifest *manifest, const FmPageRef *ref)
{
	FmCommitRecord *records;
	uint32		n;

	return read_page(manifest, ref, &records, &n);
}

static bool
visit_page(FmManifest *manifest, const FmPageRef *ref, uint64 from,
		   FmLogVisitor visitor, void *arg)
{
	FmCommitRecord *records;
	uint32		n;

	(void) read_page(manifest, ref, &records, &n);
	return visit(records, n, from, visitor, arg);
}

/* Visits the records above "from", whatever the log floor is. */
static void
walk(FmManifest *manifest, uint64 from, FmLogVisitor visitor, void *arg)
{
	const FmHead *head = manifest->head;
	uint32		i;

	for (i = 0; i < head->nlog_pages; i++)
	{
		const FmPageRef *ref = &head->log_pages[i];
		MemoryContext context;
		MemoryContext old;
		bool		more;

		if (ref->last_version < ref->first_version ||
			ref->last_version <= from)
			continue;
		context = AllocSetContextCreate(CurrentMemoryContext,
										"fusio_manifest log page",
										ALLOCSET_DEFAULT_SIZES);
		old = MemoryContextSwitchTo(context);
		more = visit_page(manifest, ref, from, visitor, arg);
		MemoryContextSwitchTo(old);
		MemoryContextDelete(context);
		if (!more)
			return;
	}
	visit(head->records, head->nrecords, from, visitor, arg);
}

bool
fm_log_walk(FmManifest *manifest, uint64 from, FmLogVisitor visitor, void *arg)
{
	const FmHead *head = manifest->head;

	if (from < head->version && from < head->log_floor)
		return false;
	if (from < head->version)
		walk(manifest, from, visitor, arg);
	return true;
}

void
fm_log_walk_all(FmManifest *manifest, FmLogVisitor visitor, void *arg)
{
	walk(manifest, 0, visitor, arg);
}

typedef struct LogSearch
{
	const FmId *commit_id;
	bool		found;
	uint64		version;
} LogSearch;

static bool
match_record(void *arg, const FmCommitRecord *record)
{
	LogSearch  *search = arg;
	uint32		i;

	search->found = fm_id_eq(&record->commit_id, search->commit_id);
	for (i = 0; i < record->nmembers && !search->found; i++)
		search->found = fm_id_eq(&record->members[i], search->commit_id);
	search->version = record->version;
	return !search->found;
}

FmLogSearch
fm_log_find(FmManifest *manifest, uint64 from, const FmId *commit_id,
			uint64 *version)
{
	LogSearch	search;

	search.commit_id = commit_id;
	search.found = false;
	search.version = 0;
	if (!fm_log_walk(manifest, from, match_record, &search))
		return FM_LOG_PASSED;
	*version = search.version;
	return search.found ? FM_LOG_FOUND : FM_LOG_NOT_FOUND;
}
