/*-------------------------------------------------------------------------
 *
 * fusio_manifest.c
 *	  The library's entry: settings and hooks.
 *
 * Preloaded, the library has shared memory: the block cache, the versions of
 * HEAD that parallel workers read, the highest ones that were seen, what the
 * cluster knows of HEADs, commits that are published together, the sums of
 * counters.  Loaded later it
 * works with private memory, and its scans stay out of parallel plans.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "optimizer/plancat.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#include "cache/block_cache.h"
#include "engine/group_queue.h"
#include "engine/page_cache.h"
#include "engine/stat.h"
#include "engine/xact.h"
#include "fdw/fdw.h"
#include "guc.h"
#include "manifest/seen_heads.h"
#include "manifest/snapshot.h"
#include "objstore/fitness.h"
#include "objstore/head_epoch.h"
#include "objstore/shared_bytes.h"
#include "objstore/shared_head.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

static shmem_request_hook_type prev_shmem_request = NULL;
static shmem_startup_hook_type prev_shmem_startup = NULL;
static ExecutorStart_hook_type prev_executor_start = NULL;
static get_relation_info_hook_type prev_relation_info = NULL;

static void
request_shmem(void)
{
	if (prev_shmem_request != NULL)
		prev_shmem_request();
	RequestAddinShmemSpace(fm_cache_shmem_size(fm_guc_cache_size()));
	RequestAddinShmemSpace(fm_snapshot_shmem_size());
	RequestAddinShmemSpace(fm_stat_shmem_size());
	RequestAddinShmemSpace(fm_shared_bytes_size());
	RequestAddinShmemSpace(fm_shared_head_size());
	RequestAddinShmemSpace(fm_group_queue_size());
	RequestAddinShmemSpace(fm_head_epochs_size());
	RequestAddinShmemSpace(fm_seen_shmem_size());
	RequestAddinShmemSpace(fm_fitness_size());
}

static void
startup_shmem(void)
{
	if (prev_shmem_startup != NULL)
		prev_shmem_startup();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	fm_cache_shmem_init(fm_guc_cache_size());
	fm_snapshot_shmem_init();
	fm_stat_shmem_init();
	fm_shared_bytes_init();
	fm_shared_head_init();
	fm_group_queue_init();
	fm_head_epochs_init();
	fm_seen_shmem_init();
	fm_fitness_init();
	LWLockRelease(AddinShmemInitLock);
}

/* The plan may be a cached one: it is left as it is. */
static void
forbid_workers(QueryDesc *queryDesc)
{
	MemoryContext context = queryDesc->estate->es_query_cxt;
	PlannedStmt *copy = MemoryContextAlloc(context, sizeof(PlannedStmt));

	*copy = *queryDesc->plannedstmt;
	copy->parallelModeNeeded = false;
	queryDesc->plannedstmt = copy;
}

static bool
reads_foreign_tables(const PlannedStmt *plan)
{
	ListCell   *lc;

	foreach(lc, plan->rtable)
	{
		if (lfirst_node(RangeTblEntry, lc)->relkind == RELKIND_FOREIGN_TABLE)
			return true;
	}
	return false;
}

/*
 * Reads of a statement have one version of HEAD for each store.  Workers must
 * find the same, cannot see the changes of this transaction, and cannot
 * remember what a SERIALIZABLE one reads; the statement runs without them then.
 */
static void
start_executor(QueryDesc *queryDesc, int eflags)
{
	bool		parallel = queryDesc->plannedstmt->parallelModeNeeded;
	FmSnapshotScope *scope;

	scope = fm_snapshot_scope_begin(queryDesc->snapshot, parallel);
	PG_TRY();
	{
		if (prev_executor_start != NULL)
			prev_executor_start(queryDesc, eflags);
		else
			standard_ExecutorStart(queryDesc, eflags);
	}
	PG_CATCH();
	{
		if (scope != NULL)
			fm_snapshot_scope_end(scope);
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (scope != NULL)
		fm_snapshot_scope_attach(scope, queryDesc->estate->es_query_cxt);
	if (parallel &&
		(fm_xact_has_writes(NULL) ||
		 (fm_snapshot_parallel_ok() &&
		  reads_foreign_tables(queryDesc->plannedstmt) &&
		  (scope == NULL || !fm_snapshot_scope_is_shared(scope)))))
		forbid_workers(queryDesc);
}

static void
add_relation_info(PlannerInfo *root, Oid relid, bool inhparent,
				  RelOptInfo *rel)
{
	if (prev_relation_info != NULL)
		prev_relation_info(root, relid, inhparent, rel);
	fm_plan_relation_info(root, relid, inhparent, rel);
}

void
_PG_init(void)
{
	bool		preloading = process_shared_preload_libraries_in_progress;

	fm_guc_init(preloading);
	fm_xact_init();
	fm_page_cache_install();
	prev_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = start_executor;
	prev_relation_info = get_relation_info_hook;
	get_relation_info_hook = add_relation_info;
	if (preloading)
	{
		prev_shmem_request = shmem_request_hook;
		shmem_request_hook = request_shmem;
		prev_shmem_startup = shmem_startup_hook;
		shmem_startup_hook = startup_shmem;
	}
}
