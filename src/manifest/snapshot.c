/*-------------------------------------------------------------------------
 *
 * snapshot.c
 *	  Which HEAD a statement reads.
 *
 * Scopes form a list in order of their begin; the outermost with the asked
 * snapshot has the pin.  A pin is a counted use of a manifest, given back
 * when the scope, or for REPEATABLE READ and SERIALIZABLE the transaction,
 * ends.  Workers cannot find a leader's pins: plans that read a store do not
 * go parallel.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "lib/ilist.h"
#include "utils/memutils.h"

#include "manifest/snapshot.h"

typedef struct FmPin
{
	FmManifest *manifest;
	struct FmPin *next;
} FmPin;

struct FmSnapshotScope
{
	Snapshot	snapshot;
	FmPin	   *pins;
	dlist_node	node;
	MemoryContextCallback callback;
};

static dlist_head scopes = DLIST_STATIC_INIT(scopes);
static FmPin *transaction_pins;
static bool callback_registered;

static void
release_pins(FmPin **pins)
{
	while (*pins != NULL)
	{
		FmPin	   *pin = *pins;

		*pins = pin->next;
		fm_manifest_release(pin->manifest);
		pfree(pin);
	}
}

static void
end_of_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT ||
		event == XACT_EVENT_PARALLEL_COMMIT ||
		event == XACT_EVENT_PARALLEL_ABORT || event == XACT_EVENT_PREPARE)
		release_pins(&transaction_pins);
}

static FmPin **
pins_of(Snapshot snapshot)
{
	dlist_iter	iter;

	if (IsolationUsesXactSnapshot())
		return &transaction_pins;
	dlist_foreach(iter, &scopes)
	{
		FmSnapshotScope *scope = dlist_container(FmSnapshotScope, node,
												 iter.cur);

		if (scope->snapshot == snapshot)
			return &scope->pins;
	}
	return NULL;
}

static FmManifest *
find_pin(FmPin **pins, FmStore *store)
{
	FmPin	   *pin;

	for (pin = *pins; pin != NULL; pin = pin->next)
	{
		if (pin->manifest->store == store)
			return pin->manifest;
	}
	return NULL;
}

FmManifest *
fm_snapshot_get(FmStore *store, Snapshot snapshot)
{
	FmPin	  **pins = pins_of(snapshot);
	FmManifest *manifest;
	FmPin	   *pin;

	if (pins == NULL)
		return fm_manifest_current(store);
	manifest = find_pin(pins, store);
	if (manifest == NULL)
	{
		if (!callback_registered)
		{
			RegisterXactCallback(end_of_transaction, NULL);
			callback_registered = true;
		}
		pin = MemoryContextAlloc(TopMemoryContext, sizeof(FmPin));
		pin->manifest = fm_manifest_acquire(store);
		pin->next = *pins;
		*pins = pin;
		manifest = pin->manifest;
	}
	fm_manifest_retain(manifest);
	fm_manifest_release_with(manifest, CurrentMemoryContext);
	return manifest;
}

bool
fm_snapshot_is_pinned(FmStore *store, Snapshot snapshot)
{
	FmPin	  **pins = pins_of(snapshot);

	return pins != NULL && find_pin(pins, store) != NULL;
}

FmSnapshotScope *
fm_snapshot_scope_begin(Snapshot snapshot, bool parallel)
{
	FmSnapshotScope *scope;

	if (snapshot == NULL)
		return NULL;
	scope = MemoryContextAllocZero(TopMemoryContext, sizeof(FmSnapshotScope));
	scope->snapshot = snapshot;
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
	scope->callback.func = end_scope;
	scope->callback.arg = scope;
	MemoryContextRegisterResetCallback(context, &scope->callback);
}

void
fm_snapshot_scope_end(FmSnapshotScope *scope)
{
	dlist_delete(&scope->node);
	release_pins(&scope->pins);
	pfree(scope);
}

bool
fm_snapshot_scope_is_shared(const FmSnapshotScope *scope)
{
	return scope->pins == NULL;
}

bool
fm_snapshot_parallel_ok(void)
{
	return false;
}

Size
fm_snapshot_shmem_size(void)
{
	return 0;
}

void
fm_snapshot_shmem_init(void)
{
}
