/*-------------------------------------------------------------------------
 *
 * snapshot.h
 *	  Which HEAD a statement reads.
 *
 * READ COMMITTED: one HEAD a store for each snapshot of PostgreSQL.  The pin
 * belongs to a scope: an executor state, known by its registered snapshot,
 * which cannot share its address with another one while the state lives.
 * Nested queries, stable functions and cursors under that snapshot find the
 * outermost scope's pin.  REPEATABLE READ and SERIALIZABLE: one HEAD a store
 * for the transaction, pinned at first use.
 *
 * A parallel worker takes the HEAD of its lock group from shared memory,
 * found by (leader, xmin, xmax, curcid, store): whichever process of the
 * group needs a store first pins it for all.  A snapshot that a worker takes
 * itself, for a volatile function, has its own pins, as in the leader.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_SNAPSHOT_H
#define FM_SNAPSHOT_H

#include "utils/snapshot.h"

#include "manifest/head_cache.h"

typedef struct FmSnapshotScope FmSnapshotScope;

/*
 * The HEAD that reads under "snapshot" (usually GetActiveSnapshot()) see;
 * pins it on first use.  Valid until the current memory context is reset or
 * deleted, which for a scan is its executor state's.
 */
extern FmManifest *fm_snapshot_get(FmStore *store, Snapshot snapshot);

/*
 * Starts what fm_snapshot_get would wait for, if that can be done; true if it
 * would not wait now.
 */
extern bool fm_snapshot_prepare(FmStore *store, Snapshot snapshot);

/* True if reads under the snapshot have pinned a HEAD of the store. */
extern bool fm_snapshot_is_pinned(FmStore *store, Snapshot snapshot);

/*
 * For the ExecutorStart hook.  fm_snapshot_scope_begin before the standard
 * function, with queryDesc->snapshot (no scope for a NULL one) and whether
 * the plan may go parallel; then either fm_snapshot_scope_attach, with
 * estate->es_query_cxt, or, on error, fm_snapshot_scope_end.  The scope ends
 * with the context.
 *
 * After the standard function, fm_snapshot_scope_is_shared says whether
 * workers would find what this process pins; if not, the hook must clear
 * parallelModeNeeded (in a copy of a plan that reads foreign tables).  What a
 * worker reads all the same is an error (0A000).
 */
extern FmSnapshotScope *fm_snapshot_scope_begin(Snapshot snapshot,
												bool parallel);
extern void fm_snapshot_scope_attach(FmSnapshotScope *scope,
									 MemoryContext context);
extern void fm_snapshot_scope_end(FmSnapshotScope *scope);
extern bool fm_snapshot_scope_is_shared(const FmSnapshotScope *scope);

/* True if workers can find a leader's HEAD: the library was preloaded. */
extern bool fm_snapshot_parallel_ok(void);

/*
 * What scans of workers counted, for EXPLAIN.  A worker adds the counts of a
 * node of the leader's plan, known by its executor state's context; other
 * executor states' are ignored.  The leader takes them, adding them to
 * "counts".
 */
extern void fm_snapshot_add_counts(MemoryContext query_context, int node,
								   const uint64 *counts, int n);
extern void fm_snapshot_take_counts(Snapshot snapshot, int node,
									uint64 *counts, int n);

/* Shared memory, for the hooks of _PG_init. */
extern Size fm_snapshot_shmem_size(void);
extern void fm_snapshot_shmem_init(void);

#endif							/* FM_SNAPSHOT_H */
