/*-------------------------------------------------------------------------
 *
 * run_writer.h
 *	  Sorted entries to run objects in a store.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_RUN_WRITER_H
#define FM_RUN_WRITER_H

#include "format/run.h"
#include "objstore/store.h"

#define FM_RUN_SPLIT_SIZE (UINT64CONST(256) * 1024 * 1024)

typedef struct FmRunWriter FmRunWriter;

/*
 * Creates a writer in the current memory context.  bottom: nothing older lies
 * below (filter "auto").  Objects are created when the first entry comes and
 * whenever one reaches FM_RUN_SPLIT_SIZE.  They belong to CurrentResourceOwner
 * until finished; what an error leaves behind are orphans.
 */
extern FmRunWriter *fm_run_writer_create(FmStore *store, uint64 table_id,
										 const FmBlockOptions *block,
										 bool bottom);

/* Adds an entry; keys ascend strictly.  See fm_run_builder_add. */
extern void fm_run_writer_add(FmRunWriter *writer, FmSlice key, uint64 hash,
							  FmSlice row, bool tombstone);

/*
 * Makes all objects durable and returns the number of runs; *descs, with
 * exact bounds and sequences from 0, is in the context of the creation.
 */
extern int	fm_run_writer_finish(FmRunWriter *writer, FmRunDesc **descs);

#endif							/* FM_RUN_WRITER_H */
