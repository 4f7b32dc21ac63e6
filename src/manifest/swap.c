/*-------------------------------------------------------------------------
 *
 * swap.c
 *	  The next HEAD: one record more in the log, and the compare-and-swap.
 *
 * Records that HEAD has no room for move to log pages, of which it lists the
 * last MAX_LOG_PAGES; the log floor follows the oldest, whose first record is
 * the floor's own, so that the time of that is known.
 *
 * A swap whose outcome is not known is reported as such (40003), never
 * guessed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "manifest/log_walk.h"
#include "manifest/outcome.h"
#include "manifest/page_io.h"
#include "manifest/swap.h"
#include "objstore/pg_alloc.h"
#include "objstore/pg_status.h"

#define MAX_LOG_PAGES 128		/* 8192 commits */

/* The id of this backend, as the writer of records. */
static const FmId *
writer_id(void)
{
	static FmId id;
	static bool made = false;

	if (!made)
	{
		id = fm_new_id();
		made = true;
	}
	return &id;
}

FmCommitRecord
fm_swap_next_record(FmStore *store, const FmHead *head, const FmId *commit_id)
{
	FmCommitRecord record;

	memset(&record, 0, sizeof(record));
	record.version = head->version + 1;
	record.commit_id = *commit_id;
	record.previous = head->commit_id;
	record.store_time = store->ops->now(store);
	if (head->nrecords > 0)
		record.store_time = Max(record.store_time,
								head->records[head->nrecords - 1].store_time);
	record.writer = *writer_id();
	return record;
}

static FmPageRef
write_log_page(FmStore *store, const FmHead *state,
			   const FmCommitRecord *records, uint32 n)
{
	FmAlloc		alloc = fm_palloc_alloc(CurrentMemoryContext);
	FmHead		bare = *state;
	FmId		id = fm_new_id();
	FmPageRef	ref;
	FmBuf		buf;

	bare.nrecords = 0;
	bare.nlog_pages = 0;
	fm_buf_init(&buf, &alloc);
	fm_check_status(fm_log_page_encode(&bare, records, n, &id, &buf, &ref),
					"log page");
	fm_page_write(store, &id, fm_buf_slice(&buf));
	fm_buf_free(&buf);
	return ref;
}

/*
 * Moves the log tail of the HEAD that is to be replaced to a page.  Two pages
 * take the place of the last one, which has a state and no records: the same
 * state with the tail, and the state after it.
 */
static void
move_log_tail(FmManifest *manifest, FmHead *head)
{
	const FmHead *old = manifest->head;
	FmStore    *store = manifest->store;
	uint32		kept = old->nlog_pages > 0 ? old->nlog_pages - 1 : 0;
	uint32		dropped = 0;
	FmHead		first;
	FmHead	   *before = &first;
	FmPageRef  *pages;

	if (old->nlog_pages > 0)
		before = fm_log_page_state(manifest, &old->log_pages[kept]);
	else
	{
		/* All commits of the store are in its tail. */
		first = *old;
		first.version = old->records[0].version - 1;
		first.commit_id = old->records[0].previous;
		first.ntables = 0;
		first.next_table_id = 1;
		first.log_floor = first.version;
	}
	if (kept + 2 > MAX_LOG_PAGES)
		dropped = kept + 2 - MAX_LOG_PAGES;
	pages = palloc(sizeof(FmPageRef) * (kept + 2));
	if (kept > dropped)
		memcpy(pages, old->log_pages + dropped,
			   sizeof(FmPageRef) * (kept - dropped));
	head->nlog_pages = kept - dropped;
	head->log_pages = pages;
	pages[head->nlog_pages++] = write_log_page(store, before, old->records,
											   old->nrecords);
	pages[head->nlog_pages++] = write_log_page(store, old, NULL, 0);
	if (dropped > 0)
		head->log_floor = Max(head->log_floor, pages[0].first_version);
	head->nrecords = 0;
}

/* Was it applied, though the answer did not say so?  Raises 40003. */
static FmOutcome
resolve_swap(FmStore *store, const FmHeadIdentity *expected,
			 const FmId *commit_id, FmSlice bytes, bool refused)
{
	const char *problem;
	FmOutcome	outcome;

	HOLD_INTERRUPTS();
	outcome = fm_outcome_find(store, expected, commit_id, bytes, refused,
							  &problem);
	if (outcome == FM_OUTCOME_UNKNOWN)
		fm_outcome_raise_unknown(commit_id, problem);
	RESUME_INTERRUPTS();
	return outcome;
}

void
fm_swap_back_off(FmStore *store, TimestampTz start, int tries)
{
	if (TimestampDifferenceExceeds(start, GetCurrentTimestamp(),
								   store->options.retry_timeout_ms))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not publish a commit: HEAD was replaced by others %d times",
						tries),
				 errhint("Run the transaction again.")));
	CHECK_FOR_INTERRUPTS();
	pg_usleep(pg_prng_uint64_range(&pg_global_prng_state, 100,
								   (uint64) Min(tries, 20) * 1000));
}

/* Pages of HEAD, or of a table of it, by id. */
typedef struct PageList
{
	const FmId **ids;
	uint32		n;
} PageList;

static void
add_pages(PageList *list, const FmPageRef *pages, uint32 n)
{
	uint32		i;

	if (n == 0)
		return;
	list->ids = list->ids == NULL ? palloc(sizeof(FmId *) * n) :
		repalloc(list->ids, sizeof(FmId *) * (list->n + n));
	for (i = 0; i < n; i++)
		list->ids[list->n++] = &pages[i].id;
}

static void
add_table_pages(PageList *list, const FmTable *table)
{
	uint32		l;

	if (table == NULL)
		return;
	if (table->in_page)
		add_pages(list, &table->page, 1);
	for (l = 0; l < table->nlevels; l++)
		add_pages(list, table->levels[l].pages, table->levels[l].npages);
}

/* Those of one list that are not in the other go into the record. */
static void
add_replaced(FmCommitRecord *record, const PageList *old, const PageList *new)
{
	uint32		i;
	uint32		j;

	if (old->n == 0)
		return;
	record->replaced = record->replaced == NULL ?
		palloc(sizeof(FmId) * old->n) :
		repalloc(record->replaced,
				 sizeof(FmId) * (record->nreplaced + old->n));
	for (i = 0; i < old->n; i++)
	{
		for (j = 0; j < new->n && !fm_id_eq(old->ids[i], new->ids[j]); j++)
			;
		if (j == new->n)
			record->replaced[record->nreplaced++] = *old->ids[i];
	}
}

/*
 * Notes in the record which pages HEAD names no longer.  A table that is
 * changed had all its pages loaded, and has lists of its own since.
 */
static void
note_replaced_pages(const FmHead *old, const FmHead *new,
					FmCommitRecord *record)
{
	uint32		i;

	record->nreplaced = 0;
	record->replaced = NULL;
	for (i = 0; i < record->nchanges; i++)
	{
		uint64		id = record->changes[i].table_id;
		PageList	before = {NULL, 0};
		PageList	after = {NULL, 0};

		add_table_pages(&before, fm_head_table_by_id(old, id));
		add_table_pages(&after, fm_head_table_by_id(new, id));
		add_replaced(record, &before, &after);
	}
	if (old->log_pages != new->log_pages)
	{
		PageList	before = {NULL, 0};
		PageList	after = {NULL, 0};

		add_pages(&before, old->log_pages, old->nlog_pages);
		add_pages(&after, new->log_pages, new->nlog_pages);
		add_replaced(record, &before, &after);
	}
}

FmSwapResult
fm_swap_head(FmManifest *manifest, FmHead *head, const FmCommitRecord *record,
			 TimestampTz deadline, FmCommitRequest *request)
{
	FmStore    *store = manifest->store;
	FmAlloc		alloc = fm_palloc_alloc(CurrentMemoryContext);
	FmHeadIdentity expected;
	FmCommitRecord *records;
	FmCasResult result;
	FmOutcome	outcome;
	FmBuf		buf;

	if (head->nrecords >= FM_LOG_TAIL_MAX)
		move_log_tail(manifest, head);
	records = palloc(sizeof(FmCommitRecord) * (head->nrecords + 1));
	if (head->nrecords > 0)
		memcpy(records, head->records,
			   sizeof(FmCommitRecord) * head->nrecords);
	records[head->nrecords] = *record;
	note_replaced_pages(manifest->head, head, &records[head->nrecords++]);
	head->records = records;
	head->version = record->version;
	head->commit_id = record->commit_id;

	fm_buf_init(&buf, &alloc);
	fm_check_status(fm_head_encode(head, &buf), "HEAD");
	expected.store_id = manifest->head->store_id;
	expected.incarnation = manifest->head->incarnation;
	expected.version = manifest->head->version;
	expected.commit_id = manifest->head->commit_id;
	if (request != NULL && request->sending != NULL &&
		!request->sending(request, &expected, fm_buf_slice(&buf)))
		return FM_SWAP_GIVEN_UP;
	result = store->ops->cas_head(store, &expected, fm_buf_slice(&buf),
								  deadline);
	switch (result)
	{
		case FM_CAS_APPLIED:
			fm_manifest_note_published(store, head);
			return FM_SWAPPED;
		case FM_CAS_LOST:
			return FM_SWAP_LOST;
		case FM_CAS_NOT_DURABLE:
			fm_outcome_raise_unknown(&record->commit_id,
									 "HEAD was replaced, but it is not known to be durable.");
			break;
		case FM_CAS_REFUSED:
		case FM_CAS_UNKNOWN:
			break;
	}
	if (request != NULL)
		request->in_doubt = true;
	outcome = resolve_swap(store, &expected, &record->commit_id,
						   fm_buf_slice(&buf), result == FM_CAS_REFUSED);
	if (request != NULL)
		request->in_doubt = false;
	if (outcome == FM_OUTCOME_REFUSED)
		fm_outcome_raise_refused(store);
	if (outcome != FM_OUTCOME_APPLIED)
		return FM_SWAP_LOST;
	fm_manifest_note_published(store, head);
	return FM_SWAPPED;
}
