/*-------------------------------------------------------------------------
 *
 * ingest.h
 *	  A write buffer to runs in the store, and the conflict probe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_INGEST_H
#define FM_INGEST_H

#include "datatype/timestamp.h"

#include "engine/xact.h"
#include "manifest/head_cache.h"

/* True if the buffer has a change to publish; locks are none. */
extern bool fm_ingest_is_needed(FmWriteBuffer *buffer);

/*
 * Writes the changes of a table as runs and returns their number (0: nothing
 * was to be written); *descs are in the current memory context.  "manifest"
 * is the newest HEAD that was seen: it decides which tombstones are needed.
 * Raises 57014 after the deadline (DT_NOEND: none).
 */
extern int	fm_ingest_table(FmTableWrites *writes, FmManifest *manifest,
							TimestampTz deadline, FmRunDesc **descs);

/* The probe of a FmTableCommit; arg is the FmTableWrites. */
extern bool fm_ingest_conflicts(void *arg, const FmRunDesc *run,
								uint64 version);

#endif							/* FM_INGEST_H */
