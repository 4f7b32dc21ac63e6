/*-------------------------------------------------------------------------
 *
 * head_cache.c
 *	  The HEADs that this backend knows: decoded, shared, revalidated.
 *
 * An entry for each store lives in the store's context and goes with it.
 * While a manifest is in use its store is pinned.  The tag that revalidates
 * belongs to the manifest "last": where the one was replaced and the other
 * not, because an error came between, both are dropped.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "manifest/head_cache.h"
#include "manifest/invariants.h"
#include "manifest/page_io.h"
#include "manifest/seen_heads.h"
#include "objstore/pg_alloc.h"
#include "objstore/pg_status.h"

#define CREATE_TRIES 10
#define MAX_PAUSE 15			/* statements without a guess */

/* Pages of a HEAD that was seen longer ago may have been collected. */
#define LAST_SEEN_LIFE_MS (10 * 60 * 1000)

typedef struct HeadEntry
{
	FmStore    *store;
	FmHeadTag  *tag;
	bool		tag_is_of_last; /* else the tag is of no use */
	FmManifest *last;
	TimestampTz seen_at;		/* when last was asked for */
	bool		outdated;		/* last is, too much so for planning */
	bool		used;			/* in this transaction */
	int			pause;			/* after the next guess that is wrong */
	int			paused;			/* statements that are not to guess */
	FmSeenHead *seen;			/* of the store that was read last, or NULL */
	bool		accepting;		/* a HEAD that has gone back is taken */
	dlist_node	node;
	MemoryContextCallback callback;
} HeadEntry;

static dlist_head entries = DLIST_STATIC_INIT(entries);
static bool callback_registered = false;

static void
forget_uses(XactEvent event, void *arg)
{
	dlist_iter	iter;

	if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE ||
		event == XACT_EVENT_PARALLEL_PRE_COMMIT)
		return;
	dlist_foreach(iter, &entries)
		dlist_container(HeadEntry, node, iter.cur)->used = false;
}

/* The store goes, and with it what the entry points to. */
static void
drop_entry(void *arg)
{
	dlist_delete(&((HeadEntry *) arg)->node);
}

static HeadEntry *
find_entry(FmStore *store)
{
	dlist_iter	iter;
	HeadEntry  *entry;

	dlist_foreach(iter, &entries)
	{
		entry = dlist_container(HeadEntry, node, iter.cur);
		if (entry->store == store)
			return entry;
	}
	if (!callback_registered)
	{
		RegisterXactCallback(forget_uses, NULL);
		callback_registered = true;
	}
	entry = MemoryContextAllocZero(store->context, sizeof(HeadEntry));
	entry->store = store;
	entry->callback.func = drop_entry;
	entry->callback.arg = entry;
	MemoryContextRegisterResetCallback(store->context, &entry->callback);
	dlist_push_head(&entries, &entry->node);
	return entry;
}

void
fm_manifest_retain(FmManifest *manifest)
{
	manifest->refcount++;
	manifest->store->refcount++;
}

void
fm_manifest_release(FmManifest *manifest)
{
	manifest->store->refcount--;
	if (--manifest->refcount == 0)
		MemoryContextDelete(manifest->context);
}

static void
release_callback(void *arg)
{
	fm_manifest_release(arg);
}

/* The caller's use ends with the context. */
void
fm_manifest_release_with(FmManifest *manifest, MemoryContext context)
{
	MemoryContextCallback *callback =
	MemoryContextAlloc(context, sizeof(MemoryContextCallback));

	callback->func = release_callback;
	callback->arg = manifest;
	MemoryContextRegisterResetCallback(context, callback);
}

/*
 * A manifest of a HEAD's bytes, which are copied; an empty slice is a store
 * without HEAD.  In use by the caller.
 */
FmManifest *
fm_manifest_from_bytes(FmStore *store, FmSlice bytes)
{
	MemoryContext context;
	FmManifest *manifest;
	FmAlloc		alloc;
	FmFault		fault;
	FmHead	   *head;
	uint8	   *copy;

	/* Until it is whole, an error frees it. */
	context = AllocSetContextCreate(CurrentMemoryContext,
									"fusio_manifest HEAD",
									ALLOCSET_DEFAULT_SIZES);
	manifest = MemoryContextAllocZero(context, sizeof(FmManifest));
	manifest->store = store;
	manifest->context = context;
	if (bytes.len == 0)
	{
		head = MemoryContextAllocZero(context, sizeof(FmHead));
		head->next_table_id = 1;
	}
	else
	{
		copy = MemoryContextAlloc(context, bytes.len);
		memcpy(copy, bytes.data, bytes.len);
		manifest->bytes = fm_slice(copy, bytes.len);
		manifest->exists = true;
		alloc = fm_palloc_alloc(context);
		if (fm_head_decode(manifest->bytes, &alloc, &head, &fault) != FM_OK)
			fm_raise_head_fault(store, &fault);
	}
	manifest->head = head;
	MemoryContextSetParent(context, store->context);
	fm_manifest_retain(manifest);
	return manifest;
}

/*
 * Within a transaction a store does not become another one, and does not go
 * back: what was read and what is written would not belong together.
 */
static void
check_succession(const FmManifest *old, const FmManifest *new)
{
	const FmHead *a = old->head;
	const FmHead *b = new->head;

	if (!old->exists ||
		(new->exists && fm_id_eq(&a->store_id, &b->store_id) &&
		 (a->incarnation < b->incarnation ||
		  (a->incarnation == b->incarnation && a->version <= b->version))))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("location of server \"%s\" was replaced while in use",
					new->store->options.servername),
			 errdetail("Its HEAD is not a successor of the one that this transaction has read."),
			 errhint("Run the transaction again.")));
}

/* Makes a manifest, in use by the caller, the last seen. */
static void
set_last(HeadEntry *entry, FmManifest *manifest)
{
	FmManifest *old = entry->last;

	if (old != NULL && entry->used)
		check_succession(old, manifest);
	fm_manifest_retain(manifest);

	/* The cache alone does not keep a store from being closed. */
	manifest->store->refcount--;
	entry->last = manifest;
	if (old != NULL)
	{
		old->store->refcount++;
		fm_manifest_release(old);
	}
}

static void
raise_no_head(FmStore *store)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("HEAD of server \"%s\" is missing",
					store->options.servername),
			 errdetail("The location holds other files."),
			 errhint("Restore HEAD from a backup, or use an empty location.")));
}

/* Reads HEAD where the last one seen is not the current one. */
static FmManifest *
read_missing(HeadEntry *entry)
{
	FmStore    *store = entry->store;
	FmSlice		bytes = {NULL, 0};

	/* Whoever published one meanwhile has made the place not empty. */
	if (!store->ops->is_empty(store) &&
		store->ops->read_head(store, &entry->tag, NULL, &bytes) != FM_HEAD_READ)
		raise_no_head(store);
	if (bytes.len == 0 && entry->tag != NULL)
		raise_no_head(store);
	return fm_manifest_from_bytes(store, bytes);
}

/* Leaves no tag but that of what was read last. */
static void
drop_stale_tag(HeadEntry *entry)
{
	if (entry->tag_is_of_last || entry->tag == NULL)
		return;
	entry->store->ops->free_tag(entry->store, entry->tag);
	entry->tag = NULL;
}

FmPendingHead *
fm_manifest_start(FmStore *store)
{
	HeadEntry  *entry = find_entry(store);

	if (store->ops->start_head == NULL)
		return NULL;
	drop_stale_tag(entry);
	return store->ops->start_head(store, entry->tag);
}

/*
 * The current HEAD, in use by the caller: the last seen, or a new one.  Not
 * asked for if what is known may be believed for a while.
 */
static FmManifest *
read_head(HeadEntry *entry, FmPendingHead *started, bool *asked)
{
	FmStore    *store = entry->store;
	FmManifest *manifest = NULL;
	FmSlice		bytes = {NULL, 0};

	entry->outdated = false;
	entry->seen_at = GetCurrentTimestamp();
	*asked = true;
	drop_stale_tag(entry);
	switch (store->ops->read_head(store, &entry->tag, started, &bytes))
	{
		case FM_HEAD_FRESH:
			*asked = false;
			/* FALLTHROUGH */
		case FM_HEAD_UNCHANGED:
			fm_manifest_retain(entry->last);
			return entry->last;
		case FM_HEAD_READ:
			entry->tag_is_of_last = false;
			if (bytes.len == 0)
			{
				FmFault		fault;

				fm_fault(&fault, FM_CORRUPTION, "it is empty", 0);
				fm_raise_head_fault(store, &fault);
			}
			manifest = fm_manifest_from_bytes(store, bytes);
			break;
		case FM_HEAD_MISSING:
			entry->tag_is_of_last = false;
			manifest = read_missing(entry);
			break;
	}
	if (bytes.data != NULL)
		pfree(unconstify(uint8 *, bytes.data));
	return manifest;
}

static void
raise_gone_back(FmStore *store, const FmHeadIdentity *found,
				const FmHeadIdentity *highest)
{
	char		hex[33];

	fm_id_to_hex(&highest->commit_id, hex);
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("HEAD of server \"%s\" is not a successor of the one that was seen before",
					store->options.servername),
			 errdetail("It has incarnation %llu and version %llu. Incarnation %llu and version %llu, commit %s, were seen before.",
					   (unsigned long long) found->incarnation,
					   (unsigned long long) found->version,
					   (unsigned long long) highest->incarnation,
					   (unsigned long long) highest->version, hex),
			 errhint("If the store was restored on purpose, run SELECT fusio_manifest_accept_restore('%s').",
					 store->options.servername)));
}

/*
 * What was seen is asked for before HEAD is: others of this cluster may have
 * seen a later one by the time that the answer comes.  A HEAD that seems to
 * have gone back is read again, without a tag, after what was seen of its
 * store is known; only then it is refused.
 */
FmManifest *
fm_manifest_acquire(FmStore *store, FmPendingHead *started)
{
	HeadEntry  *entry = find_entry(store);
	bool		again = false;
	bool		asked;
	FmManifest *manifest;

	for (;;)
	{
		FmHeadIdentity highest;
		FmHeadIdentity found;

		memset(&highest, 0, sizeof(highest));
		if (entry->seen != NULL)
			highest = fm_seen_highest(entry->seen);
		manifest = read_head(entry, again ? NULL : started, &asked);
		if (!manifest->exists || !asked)
			break;
		found = fm_head_identity(manifest->head);
		if (!fm_id_eq(&found.store_id, &highest.store_id))
		{
			entry->seen = fm_seen_find(store, &found.store_id);
			highest = fm_seen_highest(entry->seen);
		}
		if (entry->accepting || !fm_seen_forbids(&highest, manifest->head))
		{
			fm_seen_note(entry->seen, &found);
			break;
		}
		fm_manifest_release(manifest);
		entry->tag_is_of_last = false;
		if (again)
			raise_gone_back(store, &found, &highest);
		again = true;
	}
	if (manifest != entry->last)
		set_last(entry, manifest);
	entry->tag_is_of_last = true;
	entry->used = true;
	if (manifest->exists && asked && !entry->accepting)
		fm_seen_save(entry->seen, store, false);
	return manifest;
}

void
fm_manifest_note_published(FmStore *store, const FmHead *head)
{
	HeadEntry  *entry = find_entry(store);
	FmHeadIdentity identity = fm_head_identity(head);

	if (entry->seen == NULL)
		return;
	fm_seen_note(entry->seen, &identity);
	if (entry->accepting)
		fm_seen_save(entry->seen, store, true);
}

void
fm_manifest_accept(FmStore *store, bool accepting)
{
	find_entry(store)->accepting = accepting;
}

FmHeadIdentity
fm_manifest_highest_seen(FmManifest *manifest)
{
	return fm_seen_highest(find_entry(manifest->store)->seen);
}

FmManifest *
fm_manifest_current(FmStore *store)
{
	FmManifest *manifest = fm_manifest_acquire(store, NULL);

	fm_manifest_release_with(manifest, CurrentMemoryContext);
	return manifest;
}

FmManifest *
fm_manifest_last_seen(FmStore *store)
{
	HeadEntry  *entry = find_entry(store);

	if (store->ops->is_near || entry->last == NULL ||
		!entry->last->exists || entry->outdated ||
		TimestampDifferenceExceeds(entry->seen_at, GetCurrentTimestamp(),
								   LAST_SEEN_LIFE_MS))
		return fm_manifest_current(store);
	fm_manifest_retain(entry->last);
	fm_manifest_release_with(entry->last, CurrentMemoryContext);
	return entry->last;
}

/*
 * After guesses that were wrong, so many statements go without one, twice as
 * many each time: where the table changes all the time, few reads are in vain.
 */
FmManifest *
fm_manifest_guess(FmStore *store)
{
	HeadEntry  *entry = find_entry(store);

	if (store->ops->is_near || entry->last == NULL || !entry->last->exists)
		return NULL;
	if (entry->paused > 0)
	{
		entry->paused--;
		return NULL;
	}
	fm_manifest_retain(entry->last);
	fm_manifest_release_with(entry->last, CurrentMemoryContext);
	return entry->last;
}

void
fm_manifest_judge_guess(FmStore *store, bool right)
{
	HeadEntry  *entry = find_entry(store);

	entry->pause = right ? 0 : Min(2 * entry->pause + 1, MAX_PAUSE);
	entry->paused = entry->pause;
}

void
fm_manifest_outdate_last_seen(FmStore *store)
{
	find_entry(store)->outdated = true;
}

/* Loads the pages of a level. */
static void
resolve_level(FmManifest *manifest, FmLevel *level, bool level0)
{
	FmAlloc		alloc = fm_palloc_alloc(manifest->context);
	FmRunDesc  *runs = NULL;
	uint32		nruns = level->ninline;
	const char *problem;
	FmFault		fault;
	uint32		i;

	for (i = 0; i < level->npages; i++)
	{
		const FmPageRef *ref = &level->pages[i];
		FmSlice		bytes = fm_page_read(manifest->store, ref,
										 manifest->head->version);

		/* Room for what is read: what HEAD counts may be a lie. */
		if (runs == NULL)
			runs = palloc0(sizeof(FmRunDesc) * (nruns + ref->nruns));
		else
			runs = repalloc_huge(runs,
								 sizeof(FmRunDesc) * (nruns + ref->nruns));
		if (fm_level_page_decode(bytes, ref, &alloc, runs + nruns,
								 &fault) != FM_OK)
			fm_raise_object_fault(manifest->store, FM_OBJECT_PAGE, &ref->id,
								  0, &fault);
		nruns += ref->nruns;
	}
	if (level->ninline > 0)
		memcpy(runs, level->runs, sizeof(FmRunDesc) * level->ninline);
	problem = fm_invariant_level(runs, nruns, level0);
	if (problem != NULL)
	{
		fm_fault(&fault, FM_CORRUPTION, problem, 0);
		fm_raise_object_fault(manifest->store, FM_OBJECT_PAGE,
							  &level->pages[0].id, 0, &fault);
	}
	level->runs = runs;
	level->nruns = nruns;
	level->resolved = true;
}

/*
 * Loads what of a table is in pages.  An error leaves memory behind, which
 * goes with the manifest, and the table as it was.
 */
static const FmTable *
resolve_table(FmManifest *manifest, FmTable *table)
{
	MemoryContext old = MemoryContextSwitchTo(manifest->context);
	FmAlloc		alloc = fm_palloc_alloc(manifest->context);
	FmFault		fault;
	uint32		i;

	if (!table->resolved)
	{
		FmPageRef	ref = table->page;

		if (fm_table_page_decode(fm_page_read(manifest->store, &ref,
											  manifest->head->version),
								 &ref, &alloc, table, &fault) != FM_OK)
			fm_raise_object_fault(manifest->store, FM_OBJECT_PAGE, &ref.id, 0,
								  &fault);
	}
	for (i = 0; i < table->nlevels; i++)
	{
		if (!table->levels[i].resolved)
			resolve_level(manifest, &table->levels[i], i == 0);
	}
	MemoryContextSwitchTo(old);
	return table;
}

const FmTable *
fm_manifest_table(FmManifest *manifest, const char *name)
{
	FmTable    *table = fm_head_table_by_name(manifest->head,
											  fm_slice(name, strlen(name)));

	return table == NULL ? NULL : resolve_table(manifest, table);
}

const FmTable *
fm_manifest_loaded_table(const FmManifest *manifest, const char *name)
{
	const FmTable *table = fm_head_table_by_name(manifest->head,
												 fm_slice(name, strlen(name)));
	uint32		i;

	if (table == NULL || !table->resolved)
		return NULL;
	for (i = 0; i < table->nlevels; i++)
	{
		if (!table->levels[i].resolved)
			return NULL;
	}
	return table;
}

const FmTable *
fm_manifest_table_by_id(FmManifest *manifest, uint64 id)
{
	FmTable    *table = fm_head_table_by_id(manifest->head, id);

	return table == NULL ? NULL : resolve_table(manifest, table);
}

/* An empty HEAD's bytes, in the current memory context. */
static FmSlice
encode_empty_head(void)
{
	FmAlloc		alloc = fm_palloc_alloc(CurrentMemoryContext);
	FmHead		head;
	FmBuf		buf;

	memset(&head, 0, sizeof(head));
	head.store_id = fm_new_id();
	head.commit_id = fm_new_id();
	head.incarnation = 1;
	head.next_table_id = 1;
	fm_buf_init(&buf, &alloc);
	fm_check_status(fm_head_encode(&head, &buf), "HEAD");
	return fm_buf_slice(&buf);
}

/* A store that does not hold what commits rely on gets none. */
static void
check_probes(FmStore *store)
{
	FmProbe		probes[FM_MAX_PROBES];
	int			n;
	int			i;

	if (store->ops->probe == NULL)
		return;
	n = store->ops->probe(store, probes);
	for (i = 0; i < n; i++)
	{
		if (probes[i].required && !probes[i].ok)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("server \"%s\" is not fit for writing",
							store->options.servername),
					 errdetail("Probe \"%s\" failed (%s): %s.",
							   probes[i].name, probes[i].observed,
							   probes[i].meaning),
					 errhint("See fusio_manifest_check_server().")));
	}
}

/*
 * Whatever the compare-and-swap answers, what is there afterwards counts: if
 * it was lost, somebody else's HEAD does as well.  An empty HEAD that a crash
 * takes away again harms nobody, since the next CAS makes its place durable.
 */
void
fm_manifest_create_head(FmStore *store, TimestampTz deadline)
{
	int			i;

	for (i = 0; i < CREATE_TRIES; i++)
	{
		FmManifest *manifest = fm_manifest_acquire(store, NULL);
		bool		exists = manifest->exists;

		fm_manifest_release(manifest);
		if (exists)
			return;
		if (i == 0)
			check_probes(store);
		(void) store->ops->cas_head(store, NULL, encode_empty_head(),
									deadline);
		CHECK_FOR_INTERRUPTS();
	}
	raise_no_head(store);
}
