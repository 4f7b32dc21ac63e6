/*-------------------------------------------------------------------------
 *
 * worker_counts.c
 *	  What parallel workers counted, on its way to their leader.
 *
 * Used by EXPLAIN ANALYZE and its like alone: a small table under one lock,
 * searched entry by entry.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "storage/lwlock.h"
#include "storage/shmem.h"

#include "manifest/worker_counts.h"

#define MAX_ENTRIES 256

typedef struct CountsEntry
{
	FmPinKey	key;
	int			node;			/* plan_node_id */
	bool		used;
	uint64		counts[FM_MAX_WORKER_COUNTS];
} CountsEntry;

typedef struct WorkerCounts
{
	LWLock		lock;			/* guards all */
	CountsEntry entries[MAX_ENTRIES];
} WorkerCounts;

static WorkerCounts *shared = NULL;

Size
fm_worker_counts_size(void)
{
	return sizeof(WorkerCounts);
}

void
fm_worker_counts_init(void)
{
	bool		found;

	shared = ShmemInitStruct("fusio_manifest counts of workers",
							 fm_worker_counts_size(), &found);
	if (!found)
	{
		memset(shared, 0, sizeof(WorkerCounts));
		LWLockInitialize(&shared->lock, LWLockNewTrancheId());
	}
	LWLockRegisterTranche(shared->lock.tranche, "FusioManifestWorkerCounts");
}

static CountsEntry *
find_entry(const FmPinKey *key, int node)
{
	int			i;

	for (i = 0; i < MAX_ENTRIES; i++)
	{
		CountsEntry *entry = &shared->entries[i];

		if (entry->used && entry->node == node &&
			memcmp(&entry->key, key, sizeof(FmPinKey)) == 0)
			return entry;
	}
	return NULL;
}

static CountsEntry *
make_entry(const FmPinKey *key, int node)
{
	int			i;

	for (i = 0; i < MAX_ENTRIES; i++)
	{
		CountsEntry *entry = &shared->entries[i];

		if (entry->used)
			continue;
		memset(entry, 0, sizeof(CountsEntry));
		entry->key = *key;
		entry->node = node;
		entry->used = true;
		return entry;
	}
	return NULL;
}

void
fm_worker_counts_add(const FmPinKey *key, int node, const uint64 *counts,
					 int n)
{
	CountsEntry *entry;
	int			i;

	Assert(n <= FM_MAX_WORKER_COUNTS);
	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	entry = find_entry(key, node);
	if (entry == NULL)
		entry = make_entry(key, node);
	for (i = 0; entry != NULL && i < n; i++)
		entry->counts[i] += counts[i];
	LWLockRelease(&shared->lock);
}

void
fm_worker_counts_take(const FmPinKey *key, int node, uint64 *counts, int n)
{
	CountsEntry *entry;
	int			i;

	Assert(n <= FM_MAX_WORKER_COUNTS);
	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	entry = find_entry(key, node);
	for (i = 0; entry != NULL && i < n; i++)
		counts[i] += entry->counts[i];
	if (entry != NULL)
		entry->used = false;
	LWLockRelease(&shared->lock);
}

void
fm_worker_counts_drop(int32 leader)
{
	int			i;

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	for (i = 0; i < MAX_ENTRIES; i++)
	{
		if (shared->entries[i].key.leader == leader)
			shared->entries[i].used = false;
	}
	LWLockRelease(&shared->lock);
}
