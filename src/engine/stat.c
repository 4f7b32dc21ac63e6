/*-------------------------------------------------------------------------
 *
 * stat.c
 *	  Counters of scans, and their sums by table.
 *
 * Preloaded, the sums are in a shared hash table of fixed size: an entry is
 * found under the shared lock, made under the exclusive one, never removed,
 * and its counters are atomic.  Tables for which there is no room are not
 * counted.  Not preloaded, each backend sums for itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "engine/stat.h"

#define STAT_MAX_TABLES 4096

typedef struct StatKey
{
	Oid			dboid;
	Oid			relid;
} StatKey;

typedef struct StatEntry
{
	StatKey		key;
	pg_atomic_uint64 sum[FM_NCOUNTERS];
} StatEntry;

typedef struct StatShared
{
	LWLock		lock;			/* of the hash table, not of the counters */
} StatShared;

const char *const fm_counter_titles[FM_NCOUNTERS] = {
	"Runs Considered",
	"Runs Out of Range",
	"Runs Filtered",
	"Runs Searched",
	"Filter Probes",
	"Filter Negatives",
	"Filter False Positives",
	"Data Blocks Hit",
	"Data Blocks Fetched",
	"Index Partitions Hit",
	"Index Partitions Fetched",
	"Requests",
	"Bytes Requested"
};

const char *const fm_counter_names[FM_NCOUNTERS] = {
	"runs_considered",
	"runs_out_of_range",
	"runs_filtered",
	"runs_searched",
	"filter_probes",
	"filter_negatives",
	"filter_false_positives",
	"data_blocks_hit",
	"data_blocks_fetched",
	"index_partitions_hit",
	"index_partitions_fetched",
	"requests",
	"bytes_requested"
};

static StatShared *stat_shared;
static HTAB *stat_tables;

Size
fm_stat_shmem_size(void)
{
	return MAXALIGN(sizeof(StatShared)) +
		hash_estimate_size(STAT_MAX_TABLES, sizeof(StatEntry));
}

void
fm_stat_shmem_init(void)
{
	HASHCTL		info;
	bool		found;

	stat_shared = ShmemInitStruct("fusio_manifest statistics",
								  sizeof(StatShared), &found);
	if (!found)
		LWLockInitialize(&stat_shared->lock, LWLockNewTrancheId());
	LWLockRegisterTranche(stat_shared->lock.tranche, "FusioManifestStatistics");
	memset(&info, 0, sizeof(info));
	info.keysize = sizeof(StatKey);
	info.entrysize = sizeof(StatEntry);
	stat_tables = ShmemInitHash("fusio_manifest statistics by table",
								STAT_MAX_TABLES, STAT_MAX_TABLES, &info,
								HASH_ELEM | HASH_BLOBS | HASH_FIXED_SIZE);
}

static void
create_private_tables(void)
{
	HASHCTL		info;

	memset(&info, 0, sizeof(info));
	info.keysize = sizeof(StatKey);
	info.entrysize = sizeof(StatEntry);
	info.hcxt = TopMemoryContext;
	stat_tables = hash_create("fusio_manifest statistics by table", 64, &info,
							  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* The entry of a table of this database; NULL if there is none. */
static StatEntry *
find_entry(Oid relid, bool create)
{
	StatKey		key;
	StatEntry  *entry;
	bool		found;
	int			i;

	key.dboid = MyDatabaseId;
	key.relid = relid;
	if (stat_tables == NULL)
		create_private_tables();
	if (stat_shared != NULL)
		LWLockAcquire(&stat_shared->lock, LW_SHARED);
	entry = hash_search(stat_tables, &key, HASH_FIND, NULL);
	if (stat_shared != NULL)
		LWLockRelease(&stat_shared->lock);
	if (entry != NULL || !create)
		return entry;

	if (stat_shared != NULL)
		LWLockAcquire(&stat_shared->lock, LW_EXCLUSIVE);
	entry = hash_search(stat_tables, &key,
						stat_shared != NULL ? HASH_ENTER_NULL : HASH_ENTER,
						&found);
	if (entry != NULL && !found)
	{
		for (i = 0; i < FM_NCOUNTERS; i++)
			pg_atomic_init_u64(&entry->sum[i], 0);
	}
	if (stat_shared != NULL)
		LWLockRelease(&stat_shared->lock);
	return entry;
}

void
fm_stat_flush(Oid relid, FmStats *stats)
{
	StatEntry  *entry = find_entry(relid, true);
	int			i;

	for (i = 0; entry != NULL && i < FM_NCOUNTERS; i++)
	{
		if (stats->count[i] != 0)
			pg_atomic_fetch_add_u64(&entry->sum[i], (int64) stats->count[i]);
	}
	memset(stats, 0, sizeof(*stats));
}

bool
fm_stat_read(Oid relid, FmStats *stats)
{
	StatEntry  *entry = find_entry(relid, false);
	int			i;

	if (entry == NULL)
		return false;
	for (i = 0; i < FM_NCOUNTERS; i++)
		stats->count[i] = pg_atomic_read_u64(&entry->sum[i]);
	return true;
}
