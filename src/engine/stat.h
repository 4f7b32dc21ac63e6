/*-------------------------------------------------------------------------
 *
 * stat.h
 *	  Counters of what a scan did: EXPLAIN's lines and the sums of
 *	  fusio_manifest_stat_tables, under one list of names.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_STAT_H
#define FM_STAT_H

typedef enum FmCounter
{
	FM_RUNS_CONSIDERED,
	FM_RUNS_OUT_OF_RANGE,
	FM_RUNS_FILTERED,
	FM_RUNS_SEARCHED,
	FM_FILTER_PROBES,
	FM_FILTER_NEGATIVES,
	FM_FILTER_FALSE_POSITIVES,
	FM_DATA_BLOCKS_HIT,
	FM_DATA_BLOCKS_FETCHED,
	FM_INDEX_PARTITIONS_HIT,
	FM_INDEX_PARTITIONS_FETCHED,
	FM_REQUESTS,
	FM_BYTES_REQUESTED
} FmCounter;
#define FM_NCOUNTERS (FM_BYTES_REQUESTED + 1)

typedef struct FmStats
{
	uint64		count[FM_NCOUNTERS];
	uint64		wait_us;		/* for answers of a store that is far away */
} FmStats;

/* "Runs Considered" and "runs_considered". */
extern const char *const fm_counter_titles[FM_NCOUNTERS];
extern const char *const fm_counter_names[FM_NCOUNTERS];

/*
 * Adds a scan's counters to the table's sums (shared when preloaded, else
 * this backend's) and sets them to zero.
 */
extern void fm_stat_flush(Oid relid, FmStats *stats);

/* Reads the sums of a table of this database; false: never used. */
extern bool fm_stat_read(Oid relid, FmStats *stats);

/* Shared memory, for the hooks of _PG_init. */
extern Size fm_stat_shmem_size(void);
extern void fm_stat_shmem_init(void);

#endif							/* FM_STAT_H */
