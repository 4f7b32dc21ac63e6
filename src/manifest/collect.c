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
 * older than the grace, since that record is.  An object that is in no
 * version, when listed before HEAD was read, is either about to be published
 * or never will be: see publish_start.c for why it is not published after the
 * swap.  What was in a version whose record is no longer in the log cannot be
 * told from it, and so both rules hold for both.
 *
 * A busy store's log may reach back less than the grace.  The pages of records
 * that it dropped are still in the store then: no page is removed, in this
 * case, that is younger than the grace, and each of those is read to find what
 * was removed since.  For this to miss none, the log that is read must begin
 * at or before the tail of a HEAD that was read before the store was listed.
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
#include "objstore/pg_alloc.h"

/* A lease that was not written again for so long counts no more. */
#define LEASE_LIFE_US (INT64CONST(24) * 3600 * 1000000)

/* A run or a page that a record of the log removed from HEAD. */
typedef struct Removal
{
	FmId		id;
	uint64		version;
	int64		time_us;		/* of the record */
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
	bool		is_long;		/* it reaches back as far as the grace */
	bool		is_complete;	/* if not, what it dropped is in the store */
	Removal    *removals;
	int			nremovals;
	int			room;
} LogReading;

typedef enum Mark
{
	NOT_NAMED,
	REPLACED,					/* named by versions below the floor */
	RECENT,						/* the same, but readers may be at it */
	KEPT,						/* named by versions that are kept */
	NAMED						/* by HEAD */
} Mark;

typedef struct MarkedId
{
	FmId		id;
	Mark		mark;
} MarkedId;

static void
add_removals(LogReading *log, const FmId *ids, uint32 n,
			 const FmCommitRecord *record, bool is_page)
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
		removal->version = record->version;
		removal->time_us = record->store_time;
		removal->is_page = is_page;
	}
}

static void
add_record(LogReading *log, const FmCommitRecord *record)
{
	uint32		i;

	for (i = 0; i < record->nchanges; i++)
		add_removals(log, record->changes[i].removed,
					 record->changes[i].nremoved, record, false);
	add_removals(log, record->replaced, record->nreplaced, record, true);
}

static bool
visit_record(void *arg, const FmCommitRecord *record)
{
	LogReading *log = arg;

	add_record(log, record);
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

static int64
grace_begin(const FmCollection *c)
{
	return c->now - (int64) c->store->options.grace_ms * 1000;
}

/*
 * Reads the log, and decides how far the floor goes.  listed_after is the
 * version before the tail of a HEAD that was there before the listing.
 */
static void
read_log(FmCollection *c, FmManifest *manifest, uint64 listed_after,
		 LogReading *log)
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

	/* Nobody reads a version below 0, which is the first. */
	log->is_long = log->floor == 0 ||
		(log->has_floor_us && log->floor_us <= grace_begin(c));
	log->is_complete = head->nlog_pages == 0 ||
		head->log_pages[0].first_version <= listed_after + 1;
}

/*
 * Adds what was removed by records of pages that the log dropped, as far as
 * they are younger than the grace.  False if one cannot be read.
 */
static bool
read_dropped_page(FmCollection *c, const FmStored *stored, LogReading *log)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "fusio_manifest dropped page",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	FmAlloc		alloc = fm_palloc_alloc(context);
	FmCommitRecord *records;
	FmReadRange range;
	FmFault		fault;
	bool		is_read;
	uint32		n;
	uint32		i;

	memset(&range, 0, sizeof(range));
	range.kind = FM_OBJECT_PAGE;
	range.id = stored->id;
	range.offset = 0;
	range.length = (uint32) Min(stored->size, FM_PAGE_MAX_SIZE);
	range.dest = palloc(range.length + 1);
	if (range.length > 0)
		c->store->ops->read(c->store, &range, 1);
	is_read = range.length > 0 && range.result == FM_READ_OK &&
		fm_page_records(fm_slice(range.dest, range.length), &stored->id,
						&alloc, &records, &n, &fault) == FM_OK;
	for (i = 0; is_read && i < n; i++)
		add_record(log, &records[i]);

	/* Another collection has found it to be old. */
	if (range.length > 0 && range.result == FM_READ_MISSING)
		is_read = true;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return is_read;
}

static bool
is_recent(const FmCollection *c, const FmStored *stored)
{
	return stored->modified == 0 || stored->modified > grace_begin(c);
}

static void
mark_id(HTAB *marks, const FmId *id, Mark mark)
{
	bool		found;
	MarkedId   *marked = hash_search(marks, id, HASH_ENTER, &found);

	marked->mark = found ? Max(marked->mark, mark) : mark;
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

static void
mark_removals(const FmCollection *c, HTAB *marks, const LogReading *log,
			  int first)
{
	int			i;

	for (i = first; i < log->nremovals; i++)
	{
		const Removal *removal = &log->removals[i];
		bool		kept = removal->is_page ?
		removal->version >= log->first_kept :
		removal->version > log->floor;

		mark_id(marks, &removal->id, kept ? KEPT :
				removal->time_us > grace_begin(c) ? RECENT : REPLACED);
	}
}

/* Every id that is named by something, or was. */
static HTAB *
mark_all(const FmCollection *c, FmManifest *manifest, const LogReading *log)
{
	const FmHead *head = manifest->head;
	HASHCTL		ctl;
	HTAB	   *marks;
	uint32		t;

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
	mark_removals(c, marks, log, 0);
	return marks;
}

/* Finds what was removed by records that a busy store's log has dropped. */
static void
mark_dropped(FmCollection *c, const FmStored *stored, int n, HTAB *marks,
			 LogReading *log)
{
	int			first = log->nremovals;
	int			i;

	for (i = 0; i < n && log->is_complete; i++)
	{
		if (stored[i].kind != FM_STORED_PAGE || !is_recent(c, &stored[i]) ||
			mark_of(marks, &stored[i].id) == NAMED)
			continue;
		CHECK_FOR_INTERRUPTS();
		mark_id(marks, &stored[i].id, RECENT);
		log->is_complete = read_dropped_page(c, &stored[i], log);
	}
	mark_removals(c, marks, log, first);
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
			else if (!safe || mark == RECENT)
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
	int			i;

	c->nobjects = 0;
	for (i = 0; i < n; i++)
	{
		FmCollected *object = &c->objects[c->nobjects];
		Mark		mark = NOT_NAMED;

		object->stored = &stored[i];
		if (is_object(object))
			mark = mark_of(marks, &stored[i].id);
		if (mark >= KEPT)
			continue;
		judge(c, object, mark, log->is_long || log->is_complete, leased);
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
try_choose(FmCollection *c, const FmStored *stored, int n,
		   uint64 listed_after)
{
	FmManifest *manifest = fm_manifest_current(c->store);
	LogReading	log;
	HTAB	   *marks;
	bool		orphans;

	if (!manifest->exists)
		return true;
	read_log(c, manifest, listed_after, &log);
	marks = mark_all(c, manifest, &log);
	if (!log.is_long)
		mark_dropped(c, stored, n, marks, &log);
	choose(c, stored, n, marks, &log);
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

/* The version before the log tail of HEAD. */
static uint64
version_before_tail(FmStore *store)
{
	const FmHead *head = fm_manifest_current(store)->head;

	return head->nrecords > 0 ? head->records[0].version - 1 : head->version;
}

void
fm_collect(FmCollection *c)
{
	uint64		listed_after = version_before_tail(c->store);
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
	while (!try_choose(c, stored, n, listed_after))
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
