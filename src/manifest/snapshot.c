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
 * Before a parallel plan starts, the pins of its snapshot are put into shared
 * memory, and so are those that come later, by whichever process of the group
 * is first.  They are the leader's, who drops them with the scope.
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
#include "utils/memutils.h"

#include "base/checksum.h"
#include "manifest/shared_pins.h"
#include "manifest/snapshot.h"

typedef struct FmPin
{
	FmManifest *manifest;
	struct FmPin *next;
} FmPin;

/* Who keeps pins: a scope, or the transaction. */
typedef struct PinHolder
{
	FmPin	   *pins;
	bool		shared;			/* they are in shared memory too */
} PinHolder;

struct FmSnapshotScope
{
	Snapshot	snapshot;
	FmPinKey	key;			/* of its pins in shared memory, but for store */
	PinHolder	holder;
	bool		parallel;		/* of a plan with workers */
	bool		distinct;		/* no other scope looks like it to workers */
	bool		attached;		/* the executor has started */
	dlist_node	node;
	MemoryContextCallback callback;
};

static dlist_head scopes = DLIST_STATIC_INIT(scopes);
static PinHolder transaction;
static bool has_shared;			/* in this transaction */
static bool callback_registered;

static int32
leader_pid(void)
{
	PGPROC	   *leader = MyProc->lockGroupLeader;

	return leader != NULL ? leader->pid : MyProcPid;
}

static FmPinKey
pin_key(const FmStore *store, Snapshot snapshot)
{
	FmPinKey	key;

	memset(&key, 0, sizeof(key));
	key.leader = leader_pid();
	if (!IsolationUsesXactSnapshot())
	{
		key.xmin = snapshot->xmin;
		key.xmax = snapshot->xmax;
		key.curcid = snapshot->curcid;
	}
	if (store != NULL)
	{
		const char *location = store->options.location;

		key.store = fm_xxh3_64(fm_slice(location, strlen(location)),
							   ((uint64) store->options.serverid << 32) |
							   store->options.userid);
	}
	return key;
}

static void
release_pins(PinHolder *holder)
{
	while (holder->pins != NULL)
	{
		FmPin	   *pin = holder->pins;

		holder->pins = pin->next;
		fm_manifest_release(pin->manifest);
		pfree(pin);
	}
}

static void
drop_all_shared(void)
{
	if (has_shared)
		fm_shared_pins_drop(MyProcPid, NULL);
	has_shared = false;
}

/* Runs after the abort of a transaction, which waits for workers. */
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
		drop_all_shared();
		release_pins(&transaction);
		transaction.shared = false;
	}
}

static void
register_callbacks(void)
{
	if (callback_registered)
		return;
	RegisterXactCallback(end_of_transaction, NULL);
	on_shmem_exit(end_of_process, 0);
	callback_registered = true;
}

static PinHolder *
holder_of(Snapshot snapshot)
{
	dlist_iter	iter;

	if (IsolationUsesXactSnapshot())
		return &transaction;
	dlist_foreach(iter, &scopes)
	{
		FmSnapshotScope *scope = dlist_container(FmSnapshotScope, node,
												 iter.cur);

		if (scope->snapshot == snapshot)
			return &scope->holder;
	}
	return NULL;
}

static FmManifest *
find_pin(PinHolder *holder, FmStore *store)
{
	FmPin	   *pin;

	for (pin = holder->pins; pin != NULL; pin = pin->next)
	{
		if (pin->manifest->store == store)
			return pin->manifest;
	}
	return NULL;
}

/* Would workers take pins of another scope for this one's? */
static bool
is_distinct(FmSnapshotScope *scope)
{
	dlist_iter	iter;

	if (IsolationUsesXactSnapshot())
		return true;
	dlist_foreach(iter, &scopes)
	{
		FmSnapshotScope *other = dlist_container(FmSnapshotScope, node,
												 iter.cur);

		if (other->snapshot != scope->snapshot &&
			memcmp(&other->key, &scope->key, sizeof(FmPinKey)) == 0)
			return false;
	}
	return true;
}

/*
 * Puts the holder's pins into shared memory, and those to come.  A mark, which
 * is of no store, tells workers that there they are.
 */
static void
share_pins(PinHolder *holder, Snapshot snapshot)
{
	static const FmSlice nothing = {NULL, 0};
	FmPinKey	mark = pin_key(NULL, snapshot);
	FmPin	   *pin;

	if (holder->shared)
		return;
	register_callbacks();
	has_shared = true;
	if (fm_shared_pins_add(&mark, nothing) == FM_PIN_FULL)
		return;
	for (pin = holder->pins; pin != NULL; pin = pin->next)
	{
		FmPinKey	key = pin_key(pin->manifest->store, snapshot);

		if (fm_shared_pins_add(&key, pin->manifest->bytes) == FM_PIN_FULL)
			return;
	}
	holder->shared = true;
}

/* No room: a plan that is about to start can do without workers. */
static void
give_up_sharing(PinHolder *holder, FmStore *store)
{
	dlist_iter	iter;
	bool		starting = false;
	bool		running = IsParallelWorker();

	dlist_foreach(iter, &scopes)
	{
		FmSnapshotScope *scope = dlist_container(FmSnapshotScope, node,
												 iter.cur);

		if (scope->parallel && holder_of(scope->snapshot) == holder)
		{
			starting |= !scope->attached;
			running |= scope->attached;
		}
	}
	if (running || !starting)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of shared memory for the version of server \"%s\" that parallel workers read",
						store->options.servername),
				 errhint("Set max_parallel_workers_per_gather to 0, or try again.")));
	holder->shared = false;
}

/* The HEAD of the process group for the snapshot; counted use. */
static FmManifest *
acquire_shared(FmStore *store, Snapshot snapshot, PinHolder *holder)
{
	FmPinKey	key = pin_key(store, snapshot);

	for (;;)
	{
		FmManifest *manifest;
		FmSlice		bytes;

		if (fm_shared_pins_find(&key, &bytes))
			return fm_manifest_from_bytes(store, bytes);
		manifest = fm_manifest_acquire(store);
		switch (fm_shared_pins_add(&key, manifest->bytes))
		{
			case FM_PIN_ADDED:
				return manifest;
			case FM_PIN_EXISTS:
				fm_manifest_release(manifest);
				break;
			case FM_PIN_FULL:
				fm_manifest_release_with(manifest, CurrentMemoryContext);
				give_up_sharing(holder, store);
				fm_manifest_retain(manifest);
				return manifest;
		}
	}
}

/* The leader has not shared its pins where a plan seemed not to need it. */
static void
check_worker(FmStore *store, Snapshot snapshot)
{
	FmPinKey	mark = pin_key(NULL, snapshot);
	FmSlice		bytes;

	if (!fm_shared_pins_available() || !fm_shared_pins_find(&mark, &bytes))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot read from server \"%s\" in a parallel worker",
						store->options.servername),
				 errdetail("The version that the leader reads is not known here."),
				 errhint("Mark functions that read its tables PARALLEL RESTRICTED.")));
}

FmManifest *
fm_snapshot_get(FmStore *store, Snapshot snapshot)
{
	PinHolder  *holder = holder_of(snapshot);
	bool		share = IsParallelWorker() ||
	(holder != NULL && holder->shared);
	FmManifest *manifest;
	FmPin	   *pin;

	if (holder == NULL && !share)
		return fm_manifest_current(store);
	manifest = holder == NULL ? NULL : find_pin(holder, store);
	if (manifest == NULL)
	{
		register_callbacks();
		if (IsParallelWorker())
			check_worker(store, snapshot);
		manifest = share ? acquire_shared(store, snapshot, holder) :
			fm_manifest_acquire(store);
		if (holder != NULL)
		{
			pin = MemoryContextAlloc(TopMemoryContext, sizeof(FmPin));
			pin->manifest = manifest;
			pin->next = holder->pins;
			holder->pins = pin;
			fm_manifest_retain(manifest);
		}
	}
	else
		fm_manifest_retain(manifest);
	fm_manifest_release_with(manifest, CurrentMemoryContext);
	return manifest;
}

bool
fm_snapshot_is_pinned(FmStore *store, Snapshot snapshot)
{
	PinHolder  *holder = holder_of(snapshot);

	return holder != NULL && find_pin(holder, store) != NULL;
}

FmSnapshotScope *
fm_snapshot_scope_begin(Snapshot snapshot, bool parallel)
{
	FmSnapshotScope *scope;

	if (snapshot == NULL)
		return NULL;
	scope = MemoryContextAllocZero(TopMemoryContext, sizeof(FmSnapshotScope));
	scope->snapshot = snapshot;
	scope->key = pin_key(NULL, snapshot);
	dlist_push_tail(&scopes, &scope->node);
	scope->parallel = parallel && fm_shared_pins_available() &&
		!IsParallelWorker();
	scope->distinct = scope->parallel && is_distinct(scope);
	if (scope->distinct)
		share_pins(holder_of(snapshot), snapshot);
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
	scope->attached = true;
	scope->callback.func = end_scope;
	scope->callback.arg = scope;
	MemoryContextRegisterResetCallback(context, &scope->callback);
}

void
fm_snapshot_scope_end(FmSnapshotScope *scope)
{
	dlist_delete(&scope->node);
	if (scope->holder.shared && has_shared)
		fm_shared_pins_drop(MyProcPid, &scope->key);
	release_pins(&scope->holder);
	pfree(scope);
}

bool
fm_snapshot_scope_is_shared(const FmSnapshotScope *scope)
{
	return scope->distinct && holder_of(scope->snapshot)->shared;
}

bool
fm_snapshot_parallel_ok(void)
{
	return fm_shared_pins_available();
}

Size
fm_snapshot_shmem_size(void)
{
	return fm_shared_pins_size();
}

void
fm_snapshot_shmem_init(void)
{
	fm_shared_pins_init();
}
