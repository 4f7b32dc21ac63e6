/*-------------------------------------------------------------------------
 *
 * publish_start.c
 *	  When a publisher began to write objects, and whether they may be gone.
 *
 * An object that no HEAD names yet looks like one of a writer that has died.
 * Proof that none is published after it was collected: a collection swaps HEAD
 * before it removes anything of that kind, with a record that says up to which
 * age, and removes only what that HEAD does not name.  A publisher whose swap
 * came before is named by it.  One that comes after expects an older HEAD,
 * however long it slept: its swap is lost, it reads the new HEAD and walks the
 * records since its start.  There it finds the collection, and gives up if
 * its objects are old enough to have been taken.  CLOCK_MARGIN_US is how wrong
 * it may be about the time, by the store's clock, of its start: that is told
 * from the answers of the store, from one before the start or from those since.
 *
 * The budget goes by the times of the log as well, which go on while a machine
 * is suspended.  A writer whose clock is ahead makes all those after it seem so,
 * and so the start is no earlier than the time of the HEAD that it saw.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "manifest/log_walk.h"
#include "manifest/publish_start.h"
#include "objstore/clock.h"

#define CLOCK_MARGIN_US (INT64CONST(2) * 3600 * 1000000)

/* The time by the store's clock, but not before HEAD's. */
static int64
log_time(const FmHead *head, int64 store_us)
{
	return head->nrecords == 0 ? store_us :
		Max(store_us, head->records[head->nrecords - 1].store_time);
}

FmPublishStart
fm_publish_begin(const FmManifest *manifest)
{
	FmStore    *store = manifest->store;
	FmPublishStart start;

	start.monotonic_us = fm_monotonic_us();
	start.store_us = store->ops->now(store);
	start.log_us = log_time(manifest->head, start.store_us);
	start.version = manifest->head->version;
	return start;
}

typedef struct CollectionSearch
{
	int64		store_us;
	bool		met;
} CollectionSearch;

static bool
visit_record(void *arg, const FmCommitRecord *record)
{
	CollectionSearch *search = arg;

	search->met = record->collected != 0 &&
		record->collected + CLOCK_MARGIN_US > search->store_us;
	return !search->met;
}

const char *
fm_publish_problem(FmManifest *manifest, const FmPublishStart *start)
{
	const FmHead *head = manifest->head;
	FmStore    *store = manifest->store;
	int64		now = store->ops->now(store);
	int64		passed_us = fm_monotonic_us() - start->monotonic_us;
	CollectionSearch search;

	if (passed_us > FM_PUBLISH_BUDGET_US ||
		log_time(head, now) - start->log_us > FM_PUBLISH_BUDGET_US)
		return "It took longer than six hours, and its runs may be gone.";
	search.store_us = Min(start->store_us, now - passed_us);
	search.met = false;
	if (!fm_log_walk(manifest, start->version, visit_record, &search))
		return "The commit log does not reach back to its start.";
	return search.met ?
		"Its runs may have been collected before they were published." : NULL;
}
