/*-------------------------------------------------------------------------
 *
 * fetch.h
 *	  From a block handle to verified, decompressed, pinned bytes.
 *
 * The one place that joins store, format and cache: looks in the cache, else
 * reads the range, verifies the checksum, decompresses, checks the inside,
 * and publishes.  A block that fails is read once more past every cache
 * before the error (XX001) is raised.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_FETCH_H
#define FM_FETCH_H

#include "cache/block_cache.h"
#include "engine/stat.h"
#include "engine/tuple_codec.h"
#include "format/run.h"
#include "objstore/store.h"

/* Bytes that were read before (engine/stage.h), or are (engine/read_ahead.h). */
typedef struct FmStage FmStage;
typedef struct FmReadAhead FmReadAhead;

/* What every fetch of one table in one scan shares. */
typedef struct FmFetch
{
	FmStore    *store;
	FmTupleCodec *codec;		/* checks rows; NULL: only the structure */
	FmStats    *stats;			/* never NULL */
	uint64		version;		/* of HEAD: to tell "snapshot too old" */
	bool		use;			/* count hits for the clock: not full scans */
	uint64		expected;		/* stored bytes that a scan is likely to read;
								 * 0: not known */
	FmStage    *stage;			/* is asked before the store; NULL: none */
	int			nbeside;		/* other scans that read ahead meanwhile */
	FmReadAhead *ahead;			/* is asked after the stage; NULL: none */
} FmFetch;

/* Reads ranges from the store, and counts that; the results are the ranges'. */
extern void fm_fetch_read(FmFetch *fetch, FmReadRange *ranges, int n);

/* The same for a read that was started. */
extern void fm_fetch_finish_read(FmFetch *fetch, FmPendingRead *pending,
								 const FmReadRange *ranges, int n);

/* Counts one that was started, and will not be finished. */
extern void fm_fetch_count_vain(FmFetch *fetch, const FmPendingRead *pending,
								const FmReadRange *ranges, int n);

/*
 * Fetches a block of a run; the pin holds its raw bytes.  kind says which
 * check it gets: FM_BLOCK_DATA, FM_BLOCK_PARTITION or FM_BLOCK_TOP.
 */
extern void fm_fetch_block(FmFetch *fetch, const FmRunDesc *run,
						   FmBlockKind kind, FmBlockHandle handle,
						   FmCacheHint *hint, FmCachePin *pin);

/*
 * Pins a block, or a run's top index, at that offset if the cache has it, and
 * reads nothing; false: it has not, or not yet.
 */
extern bool fm_fetch_from_cache(FmFetch *fetch, const FmRunDesc *run,
								FmBlockKind kind, uint64 offset,
								FmCacheHint *hint, FmCachePin *pin);

/* Is the block, or top index, at that offset of the run in the cache? */
extern bool fm_fetch_is_cached(const FmRunDesc *run, uint64 offset);

/* Fetches a run's top index (with its whole meta part if that is small). */
extern void fm_fetch_top(FmFetch *fetch, const FmRunDesc *run,
						 FmCachePin *pin);

#endif							/* FM_FETCH_H */
