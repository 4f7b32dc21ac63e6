/*-------------------------------------------------------------------------
 *
 * snapshot.c
 *	  Which HEAD a statement reads.
 *
 * Scopes form a list in order of their begin; the outermost with the asked
 * snapshot has the pins.  A pin is a counted use of a manifest, given back
 * when the scope, or for REPEATABLE READ and SERIALIZABLE the transaction,
 * ends.
 *
 * From the first plan on that may go parallel, a leader's set of pins has a
 * key in shared memory, which no other set of that leader has at the time: a
 * mark there, a pin of no store, tells so.  Then every pin is put there too,
 * by whichever process of the group is first.  Where that fails before there
 * are workers, the pin stays the leader's own, and none are started.
 *
 * What is in shared memory belongs to the leader.  It stays until his workers
 * have ended: the abort of a transaction waits for them, and so does, before
 * the on_shmem_exit callbacks, the end of a process.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

#include "base/checksum.h"
#include "manifest/shared_pins.h"
#include "manifest/snapshot.h"
#include "manifest/worker_counts.h"

typedef struct FmPin
{
	FmManifest *manifest;
	bool		shared;			/* workers find it */
	struct FmPin *next;
} FmPin;

/* A HEAD that is being read, to be pinned. */
typedef struct StartedHead
{
	FmStore    *store;
	FmPendingHead *pending;
	MemoryContext context;		/* holds all of it */
	struct StartedHead *next;
} StartedHead;

typedef struct FmPinSet
{
	FmPin	   *pins;
	StartedHead *started;
	bool		of_leader;		/* in a worker: the leader's snapshot */
	bool		is_shared;		/* key is that of its pins in shared memory */
	FmPinKey	key;			/* without store */
} FmPinSet;

struct FmSnapshotScope
{
	Snapshot	snapshot;
	FmPinSet	set;
	dlist_node	node;
	MemoryContext context;		/* NULL until attached */
	MemoryContextCallback callback;
};

static dlist_head scopes = DLIST_STATIC_INIT(scopes);
static FmPinSet transaction_set;
static bool callback_registered;
static bool has_shared;			/* since the transaction began */

/* The key of a snapshot's mark. */
static FmPinKey
mark_of(Snapshot snapshot)
{
	PGPROC	   *leader = IsParallelWorker() ? MyProc->lockGroupLeader : MyProc;
	FmPinKey	key;

	memset(&key, 0, sizeof(key));
	key.leader = leader->pid;
	if (!IsolationUsesXactSnapshot())
	{
		key.xmin = snapshot->xmin;
		key.xmax = snapshot->xmax;
		key.curcid = snapshot->curcid;
	}
	return key;
}

static FmPinKey
key_of(const FmPinSet *set, const FmStore *store)
{
	const char *location = store->options.location;
	FmPinKey	key = set->key;

	key.store = fm_xxh3_64(fm_slice(location, strlen(location)),
						   ((uint64) store->options.serverid << 32) |
						   store->options.userid);
	return key;
}

static StartedHead *
find_started(const FmPinSet *set, const FmStore *store)
{
	StartedHead *head;

	for (head = set->started; head != NULL; head = head->next)
	{
		if (head->store == store)
			return head;
	}
	return NULL;
}

static void
drop_started(FmPinSet *set, StartedHead *head)
{
	StartedHead **link = &set->started;

	while (*link != head)
		link = &(*link)->next;
	*link = head->next;
	head->store->refcount--;
	MemoryContextDelete(head->context);
}

static void
release_set(FmPinSet *set)
{
	while (set->started != NULL)
		drop_started(set, set->started);
	while (set->pins != NULL)
	{
		FmPin	   *pin = set->pins;

		set->pins = pin->next;
		fm_manifest_release(pin->manifest);
		pfree(pin);
	}
	if (set->is_shared && !IsParallelWorker())
		fm_shared_pins_drop(MyProcPid, &set->key);
	memset(set, 0, sizeof(FmPinSet));
}

static void
drop_all_shared(void)
{
	if (!has_shared)
		return;
	fm_shared_pins_drop(MyProcPid, NULL);
	fm_worker_counts_drop(MyProcPid);
	has_shared = false;
}

static void
end_of_process(int code, Datum arg)
{
	drop_all_shared();
}

static void
end_of_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT ||
		event == XACT_EVENT_PARALLEL_COMMIT ||
		event == XACT_EVENT_PARALLEL_ABORT || event == XACT_EVENT_PREPARE)
	{
		release_set(&transaction_set);
		drop_all_shared();
	}
}

static FmSnapshotScope *
find_scope(Snapshot snapshot)
{
	dlist_iter	iter;

	dlist_foreach(iter, &scopes)
	{
		FmSnapshotScope *scope = dlist_container(FmSnapshotScope, node,
												 iter.cur);

		if (scope->snapshot == snapshot)
			return scope;
	}
	return NULL;
}

/* The set of a snapshot's pins; NULL: it has no scope. */
static FmPinSet *
set_of(Snapshot snapshot)
{
	FmSnapshotScope *scope;

	if (IsolationUsesXactSnapshot())
		return &transaction_set;
	scope = find_scope(snapshot);
	return scope == NULL ? NULL : &scope->set;
}

static FmPin *
find_pin(const FmPinSet *set, const FmStore *store)
{
	FmPin	   *pin;

	for (pin = set->pins; pin != NULL; pin = pin->next)
	{
		if (pin->manifest->store == store)
			return pin;
	}
	return NULL;
}

/*
 * A worker whose leader shares nothing: the library was not preloaded, this
 * is not a worker of a query, or there was no room for a mark.
 */
static void
raise_no_leader(const FmStore *store)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot read from server \"%s\" in a parallel worker",
					store->options.servername),
			 errdetail("The version that the leader reads is not known here."),
			 fm_shared_pins_available() ?
			 errhint("Mark functions that read its tables PARALLEL RESTRICTED.") :
			 errhint("Add \"fusio_manifest\" to \"shared_preload_libraries\", or mark functions that read its tables PARALLEL RESTRICTED.")));
}

static void
raise_full(const FmStore *store)
{
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("out of shared memory for the version of server \"%s\" that parallel workers read",
					store->options.servername),
			 errhint("Set \"max_parallel_workers_per_gather\" to 0, or try again.")));
}

/* A worker's transaction is the leader's too. */
static void
find_leader(FmPinSet *set, Snapshot snapshot)
{
	FmSlice		nothing;

	if (set == &transaction_set)
		set->of_leader = true;
	if (!set->of_leader || set->is_shared || !fm_shared_pins_available())
		return;
	set->key = mark_of(snapshot);
	set->is_shared = fm_shared_pins_find(&set->key, &nothing);
}

/* The HEAD of a store, in use by the caller: as asked for before, or now. */
static FmManifest *
read_version(FmPinSet *set, FmStore *store)
{
	StartedHead *started = find_started(set, store);
	FmManifest *manifest;

	if (started == NULL)
		return fm_manifest_acquire(store, NULL);
	manifest = fm_manifest_acquire(store, started->pending);
	drop_started(set, started);
	return manifest;
}

/*
 * The version of a store that a set is to have, in use by the caller.  No
 * lock is held while HEAD is read; who is first in shared memory is right.
 */
static FmManifest *
choose_version(FmPinSet *set, FmStore *store, bool *shared)
{
	*shared = set->is_shared;
	if (!set->is_shared)
	{
		if (set->of_leader)
			raise_no_leader(store);
		return read_version(set, store);
	}
	for (;;)
	{
		FmPinKey	key = key_of(set, store);
		FmManifest *manifest;
		FmSlice		bytes;

		if (fm_shared_pins_find(&key, &bytes))
		{
			manifest = fm_manifest_from_bytes(store, bytes);
			pfree(unconstify(uint8 *, bytes.data));
			return manifest;
		}
		manifest = read_version(set, store);
		switch (fm_shared_pins_add(&key, manifest->bytes))
		{
			case FM_PIN_ADDED:
				return manifest;
			case FM_PIN_EXISTS:
				fm_manifest_release(manifest);
				break;
			case FM_PIN_FULL:
				*shared = false;
				if (!IsInParallelMode())
					return manifest;
				fm_manifest_release(manifest);
				raise_full(store);
		}
	}
}

static void
register_callback(void)
{
	if (callback_registered)
		return;
	RegisterXactCallback(end_of_transaction, NULL);
	on_shmem_exit(end_of_process, 0);
	callback_registered = true;
}

FmManifest *
fm_snapshot_get(FmStore *store, Snapshot snapshot)
{
	FmPinSet   *set = set_of(snapshot);
	FmManifest *manifest;
	FmPin	   *pin;
	bool		shared;

	if (set == NULL)
		return fm_manifest_current(store);
	pin = find_pin(set, store);
	if (pin != NULL)
	{
		fm_manifest_retain(pin->manifest);
		fm_manifest_release_with(pin->manifest, CurrentMemoryContext);
		return pin->manifest;
	}
	if (IsParallelWorker())
		find_leader(set, snapshot);
	manifest = choose_version(set, store, &shared);
	fm_manifest_release_with(manifest, CurrentMemoryContext);
	register_callback();
	pin = MemoryContextAlloc(TopMemoryContext, sizeof(FmPin));
	pin->manifest = manifest;
	pin->shared = shared;
	pin->next = set->pins;
	set->pins = pin;
	fm_manifest_retain(manifest);
	return manifest;
}

bool
fm_snapshot_prepare(FmStore *store, Snapshot snapshot)
{
	FmPinSet   *set = set_of(snapshot);
	StartedHead *head;

	if (set == NULL || find_pin(set, store) != NULL || IsParallelWorker())
		return true;
	head = find_started(set, store);
	if (head == NULL)
	{
		MemoryContext context;
		MemoryContext old;

		/* Until it is whole, an error frees it. */
		context = AllocSetContextCreate(CurrentMemoryContext,
										"fusio_manifest started HEAD",
										ALLOCSET_SMALL_SIZES);
		old = MemoryContextSwitchTo(context);
		head = palloc0(sizeof(StartedHead));
		head->store = store;
		head->context = context;
		head->pending = fm_manifest_start(store);
		MemoryContextSwitchTo(old);
		if (head->pending == NULL)
		{
			MemoryContextDelete(context);
			return true;
		}
		register_callback();
		MemoryContextSetParent(context, TopMemoryContext);
		store->refcount++;
		head->next = set->started;
		set->started = head;
	}
	return store->ops->poll_head(head->pending);
}

bool
fm_snapshot_is_pinned(FmStore *store, Snapshot snapshot)
{
	FmPinSet   *set = set_of(snapshot);

	return set != NULL && find_pin(set, store) != NULL;
}

/*
 * Lets workers find a leader's set, with all its pins.  What has no room, or
 * a key that another set has, stays the leader's own.
 */
static void
share_set(FmPinSet *set, Snapshot snapshot)
{
	static const FmSlice nothing = {NULL, 0};
	FmPinKey	key;
	FmPin	   *pin;

	register_callback();
	if (!set->is_shared)
	{
		set->key = mark_of(snapshot);
		set->is_shared = fm_shared_pins_add(&set->key,
											nothing) == FM_PIN_ADDED;
		has_shared = true;
	}
	for (pin = set->pins; pin != NULL && set->is_shared; pin = pin->next)
	{
		if (pin->shared)
			continue;
		key = key_of(set, pin->manifest->store);
		pin->shared = fm_shared_pins_add(&key,
										 pin->manifest->bytes) == FM_PIN_ADDED;
	}
}

/*
 * A worker's first scope is that of its part of the leader's plan, and lives
 * until the worker ends.
 */
FmSnapshotScope *
fm_snapshot_scope_begin(Snapshot snapshot, bool parallel)
{
	FmSnapshotScope *scope;
	FmPinSet   *set;

	if (snapshot == NULL)
		return NULL;
	scope = MemoryContextAllocZero(TopMemoryContext, sizeof(FmSnapshotScope));
	scope->snapshot = snapshot;
	if (IsParallelWorker())
		scope->set.of_leader = dlist_is_empty(&scopes);
	else if (parallel && fm_shared_pins_available() &&
			 (!IsolationIsSerializable() || XactReadOnly))
	{
		/* What a SERIALIZABLE writer reads, it must remember itself. */
		set = set_of(snapshot);
		share_set(set != NULL ? set : &scope->set, snapshot);
	}
	dlist_push_tail(&scopes, &scope->node);
	return scope;
}

static void
end_scope(void *arg)
{
	fm_snapshot_scope_end(arg);
}

void
fm_snapshot_scope_attach(FmSnapshotScope *scope, MemoryContext context)
{
	scope->context = context;
	scope->callback.func = end_scope;
	scope->callback.arg = scope;
	MemoryContextRegisterResetCallback(context, &scope->callback);
}

/* A cursor that a function opened outlives the statement that called it. */
void
fm_snapshot_scope_end(FmSnapshotScope *scope)
{
	FmSnapshotScope *heir;

	dlist_delete(&scope->node);
	if (scope->set.pins != NULL || scope->set.started != NULL ||
		scope->set.is_shared)
	{
		heir = find_scope(scope->snapshot);
		if (heir != NULL)
			heir->set = scope->set;
		else
			release_set(&scope->set);
	}
	pfree(scope);
}

bool
fm_snapshot_scope_is_shared(const FmSnapshotScope *scope)
{
	const FmPinSet *set = set_of(scope->snapshot);
	const FmPin *pin;

	for (pin = set->pins; pin != NULL && pin->shared; pin = pin->next)
		;
	return set->is_shared && pin == NULL;
}

bool
fm_snapshot_parallel_ok(void)
{
	return fm_shared_pins_available();
}

void
fm_snapshot_add_counts(MemoryContext query_context, int node,
					   const uint64 *counts, int n)
{
	FmSnapshotScope *scope;
	FmPinSet   *set;

	if (!IsParallelWorker() || dlist_is_empty(&scopes))
		return;
	scope = dlist_head_element(FmSnapshotScope, node, &scopes);
	set = set_of(scope->snapshot);
	if (scope->context == query_context && set->is_shared)
		fm_worker_counts_add(&set->key, node, counts, n);
}

void
fm_snapshot_take_counts(Snapshot snapshot, int node, uint64 *counts, int n)
{
	FmPinSet   *set = set_of(snapshot);

	if (!IsParallelWorker() && set != NULL && set->is_shared)
		fm_worker_counts_take(&set->key, node, counts, n);
}

Size
fm_snapshot_shmem_size(void)
{
	return add_size(fm_shared_pins_size(), fm_worker_counts_size());
}

void
fm_snapshot_shmem_init(void)
{
	fm_shared_pins_init();
	fm_worker_counts_init();
}
