/*-------------------------------------------------------------------------
 *
 * collect.c
 *	  Collection: objects that nothing refers to any more.
 *
 * In this order: the store is listed; HEAD and its log are read; HEAD is
 * swapped, for one with the log floor moved forward and a record of the
 * collection; leases are listed; objects are removed.
 *
 * What is kept: all that HEAD names; runs that a record above the floor
 * removed, since a version from the floor on names them; pages that any record
 * of the log replaced, since the states of log pages refer to them.
 *
 * Proofs.  An object that was removed from HEAD by a record at or below the
 * floor is named by versions below the floor alone, and their readers are
 * older than the grace, since the floor's own record is.  An object that is
 * in no version, when listed before HEAD was read, is either about to be
 * published or never will be: see publish_start.c for why it is not published
 * after the swap.  What was in a version whose record is no longer in the log
 * cannot be told from it, and so both rules hold for both.
 *
 * The time is always that of the store: ages are told from the times of
 * objects and from those of records.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "manifest/collect.h"
#include "manifest/log_walk.h"
#include "manifest/swap.h"

/* A lease that was not written again for so long counts no more. */
#define LEASE_LIFE_US (INT64CONST(24) * 3600 * 1000000)

/* A run or a page that a record of the log removed from HEAD. */
typedef struct Removal
{
	FmId		id;
	uint64		version;
	bool		is_page;
} Removal;

/* What HEAD and its log say. */
typedef struct LogReading
{
	MemoryContext context;		/* of removals */
	int64		floor_before_us;	/* a version of that time may be the floor */
	uint64		floor;			/* the new one, not below HEAD's */
	int64		floor_us;		/* its record's time, or that of the next */
	bool		has_floor_us;
	uint32		ndropped;		/* log pages that are not kept */
	uint64		first_kept;		/* version of the first record kept */
	Removal    *removals;
	int			nremovals;
	int			room;
} LogReading;

typedef enum Mark
{
	NOT_NAMED,
	NAMED,						/* by what is kept */
	REPLACED					/* by versions below the floor */
} Mark;

typedef struct MarkedId
{
	FmId		id;
	Mark		mark;
} MarkedId;

static void
add_removals(LogReading *log, const FmId *ids, uint32 n, uint64 version,
			 bool is_page)
{
	uint32		i;

	while (log->nremovals + (int) n > log->room)
	{
		log->room = Max(log->room * 2, 64);
		log->removals = log->removals == NULL ?
			MemoryContextAlloc(log->context, sizeof(Removal) * log->room) :
			repalloc_huge(log->removals, sizeof(Removal) * (Size) log->room);
	}
	for (i = 0; i < n; i++)
	{
		Removal    *removal = &log->removals[log->nremovals++];

		removal->id = ids[i];
		removal->version = version;
		removal->is_page = is_page;
	}
}

static bool
visit_record(void *arg, const FmCommitRecord *record)
{
	LogReading *log = arg;
	uint32		i;

	for (i = 0; i < record->nchanges; i++)
		add_removals(log, record->changes[i].removed,
					 record->changes[i].nremoved, record->version, false);
	add_removals(log, record->replaced, record->nreplaced, record->version,
				 true);
	if (record->store_time <= log->floor_before_us &&
		record->version > log->floor)
		log->floor = record->version;

	/* Times do not descend: the first at or above the floor is its own. */
	if (record->version == log->floor ||
		(record->version > log->floor && !log->has_floor_us))
	{
		log->floor_us = record->store_time;
		log->has_floor_us = true;
	}
	return true;
}

/* Reads the log, and decides how far the floor goes. */
static void
read_log(FmCollection *c, FmManifest *manifest, LogReading *log)
{
	const FmStoreOptions *options = &c->store->options;
	const FmHead *head = manifest->head;

	memset(log, 0, sizeof(*log));
	log->context = CurrentMemoryContext;
	log->floor_before_us = c->now -
		(int64) Max(options->retention_ms, options->grace_ms) * 1000;
	log->floor = head->log_floor;
	fm_log_walk_all(manifest, visit_record, log);

	/* A log tail that is about to move brings its pages with it. */
	while (head->nrecords < FM_LOG_TAIL_MAX &&
		   log->ndropped + 1 < head->nlog_pages &&
		   head->log_pages[log->ndropped].last_version < log->floor)
		log->ndropped++;
	if (log->ndropped < head->nlog_pages)
		log->first_kept = head->log_pages[log->ndropped].first_version;
}

static void
mark_id(HTAB *marks, const FmId *id, Mark mark)
{
	bool		found;
	MarkedId   *marked = hash_search(marks, id, HASH_ENTER, &found);

	if (!found || mark == NAMED)
		marked->mark = mark;
}

static Mark
mark_of(HTAB *marks, const FmId *id)
{
	const MarkedId *marked = hash_search(marks, id, HASH_FIND, NULL);

	return marked != NULL ? marked->mark : NOT_NAMED;
}

static void
mark_pages(HTAB *marks, const FmPageRef *pages, uint32 n)
{
	uint32		i;

	for (i = 0; i < n; i++)
		mark_id(marks, &pages[i].id, NAMED);
}

static void
mark_table(HTAB *marks, const FmTable *table)
{
	uint32		l;
	uint32		i;

	if (table->in_page)
		mark_id(marks, &table->page.id, NAMED);
	for (l = 0; l < table->nlevels; l++)
	{
		const FmLevel *level = &table->levels[l];

		mark_pages(marks, level->pages, level->npages);
		for (i = 0; i < level->nruns; i++)
			mark_id(marks, &level->runs[i].id, NAMED);
	}
}

/* Every id that is named by something, or was. */
static HTAB *
mark_all(FmManifest *manifest, const LogReading *log)
{
	const FmHead *head = manifest->head;
	HASHCTL		ctl;
	HTAB	   *marks;
	uint32		t;
	int			i;

	ctl.keysize = sizeof(FmId);
	ctl.entrysize = sizeof(MarkedId);
	ctl.hcxt = CurrentMemoryContext;
	marks = hash_create("fusio_manifest named objects", 1024, &ctl,
						HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	for (t = 0; t < head->ntables; t++)
	{
		CHECK_FOR_INTERRUPTS();
		mark_table(marks, fm_manifest_table_by_id(manifest,
												  head->tables[t].id));
	}
	mark_pages(marks, head->log_pages, head->nlog_pages);
	for (i = 0; i < log->nremovals; i++)
	{
		const Removal *removal = &log->removals[i];
		bool		kept = removal->is_page ?
		removal->version >= log->first_kept :
		removal->version > log->floor;

		mark_id(marks, &removal->id, kept ? NAMED : REPLACED);
	}
	return marks;
}

/* Is there a lease among the objects that counts? */
static bool
is_leased(const FmStored *stored, int n, int64 now)
{
	int			i;

	for (i = 0; i < n; i++)
	{
		if (stored[i].kind == FM_STORED_LEASE &&
			now - stored[i].modified < LEASE_LIFE_US)
			return true;
	}
	return false;
}

/* What is to become of an object that no kept version names. */
static void
judge(const FmCollection *c, FmCollected *object, Mark mark, bool safe,
	  bool leased)
{
	const FmStored *stored = object->stored;
	int64		age_us = c->now - stored->modified;
	bool		young = stored->modified == 0 || age_us < c->orphan_age_us;

	object->removed = false;
	switch (stored->kind)
	{
		case FM_STORED_RUN:
		case FM_STORED_PAGE:
			if (mark == NOT_NAMED && young)
				object->reason = FM_COLLECT_YOUNG;
			else if (leased)
				object->reason = FM_COLLECT_LEASED;
			else if (!safe)
				object->reason = FM_COLLECT_GRACE;
			else
				object->reason = mark == REPLACED ? FM_COLLECT_REPLACED :
					FM_COLLECT_ORPHAN;
			break;
		case FM_STORED_PROBE:
		case FM_STORED_TEMPORARY:
		case FM_STORED_UPLOAD:
			object->reason = young ? FM_COLLECT_YOUNG : FM_COLLECT_ORPHAN;
			break;
		case FM_STORED_LEASE:
			object->reason = stored->modified == 0 || age_us < LEASE_LIFE_US ?
				FM_COLLECT_LEASE : FM_COLLECT_EXPIRED;
			break;
		case FM_STORED_FOREIGN:
			object->reason = FM_COLLECT_FOREIGN;
			break;
	}
	object->chosen = object->reason == FM_COLLECT_ORPHAN ||
		object->reason == FM_COLLECT_REPLACED ||
		object->reason == FM_COLLECT_EXPIRED;
}

static bool
is_object(const FmCollected *object)
{
	return object->stored->kind == FM_STORED_RUN ||
		object->stored->kind == FM_STORED_PAGE;
}

/* Fills the collection's objects. */
static void
choose(FmCollection *c, const FmStored *stored, int n, HTAB *marks,
	   const LogReading *log)
{
	bool		leased = is_leased(stored, n, c->now);
	bool		safe;
	int			i;

	/* Nobody reads a version below 0, which is the first. */
	safe = log->floor == 0 ||
		(log->has_floor_us && log->floor_us <= c->now -
		 (int64) c->store->options.grace_ms * 1000);
	c->nobjects = 0;
	for (i = 0; i < n; i++)
	{
		FmCollected *object = &c->objects[c->nobjects];
		Mark		mark = NOT_NAMED;

		object->stored = &stored[i];
		if (is_object(object))
			mark = mark_of(marks, &stored[i].id);
		if (mark == NAMED)
			continue;
		judge(c, object, mark, safe, leased);
		c->nobjects++;
	}
}

/* Is one of them chosen for this reason, of those that HEAD may name? */
static bool
has_chosen(const FmCollection *c, FmCollectReason reason)
{
	int			i;

	for (i = 0; i < c->nobjects; i++)
	{
		if (is_object(&c->objects[i]) && c->objects[i].chosen &&
			c->objects[i].reason == reason)
			return true;
	}
	return false;
}

/* Publishes the floor and the collection; false if the race was lost. */
static bool
swap_head(FmCollection *c, FmManifest *manifest, const LogReading *log,
		  bool orphans)
{
	FmHead		head = *manifest->head;
	FmId		commit_id = fm_new_id();
	FmCommitRecord record;

	head.log_floor = log->floor;
	if (log->ndropped > 0)
	{
		head.nlog_pages -= log->ndropped;
		head.log_pages += log->ndropped;
	}
	record = fm_swap_next_record(c->store, &head, &commit_id);
	if (orphans)
		record.collected = c->now - c->orphan_age_us;
	return fm_swap_head(manifest, &head, &record, c->deadline,
						NULL) == FM_SWAPPED;
}

/* One try; false if HEAD was replaced by others meanwhile. */
static bool
try_choose(FmCollection *c, const FmStored *stored, int n)
{
	FmManifest *manifest = fm_manifest_current(c->store);
	LogReading	log;
	bool		orphans;

	if (!manifest->exists)
		return true;
	read_log(c, manifest, &log);
	choose(c, stored, n, mark_all(manifest, &log), &log);
	orphans = has_chosen(c, FM_COLLECT_ORPHAN);
	if (c->dry_run ||
		(!orphans && log.ndropped == 0 &&
		 (log.floor == manifest->head->log_floor ||
		  !has_chosen(c, FM_COLLECT_REPLACED))))
		return true;
	return swap_head(c, manifest, &log, orphans);
}

/* Who has written a lease by now was in time, and those after see the floor. */
static void
respect_leases(FmCollection *c)
{
	FmStored   *leases;
	int64		now;
	int			n;
	int			i;

	if (!has_chosen(c, FM_COLLECT_ORPHAN) &&
		!has_chosen(c, FM_COLLECT_REPLACED))
		return;
	leases = c->store->ops->list(c->store, "leases", &n, &now);
	if (!is_leased(leases, n, now))
		return;
	for (i = 0; i < c->nobjects; i++)
	{
		if (!is_object(&c->objects[i]) || !c->objects[i].chosen)
			continue;
		c->objects[i].chosen = false;
		c->objects[i].reason = FM_COLLECT_LEASED;
	}
}

static void
remove_chosen(FmCollection *c)
{
	const FmStored **chosen = MemoryContextAllocHuge(CurrentMemoryContext,
													 sizeof(FmStored *) *
													 Max(c->nobjects, 1));
	int			n = 0;
	int			i;

	for (i = 0; i < c->nobjects; i++)
	{
		if (c->objects[i].chosen)
			chosen[n++] = c->objects[i].stored;
	}
	if (n > 0)
		c->store->ops->remove(c->store, chosen, n);
	for (i = 0; i < c->nobjects; i++)
		c->objects[i].removed = c->objects[i].chosen;
}

void
fm_collect(FmCollection *c)
{
	TimestampTz start = GetCurrentTimestamp();
	MemoryContext context;
	MemoryContext old;
	FmStored   *stored;
	int			tries = 0;
	int			n;

	c->nobjects = 0;
	c->objects = NULL;
	stored = c->store->ops->list(c->store, NULL, &n, &c->now);
	if (n == 0)
		return;
	c->objects = MemoryContextAllocHuge(CurrentMemoryContext,
										sizeof(FmCollected) * n);
	context = AllocSetContextCreate(CurrentMemoryContext,
									"fusio_manifest collection",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	while (!try_choose(c, stored, n))
	{
		fm_swap_back_off(c->store, start, ++tries);
		MemoryContextReset(context);
	}
	if (!c->dry_run)
	{
		respect_leases(c);
		remove_chosen(c);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}
