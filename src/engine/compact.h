/*-------------------------------------------------------------------------
 *
 * compact.h
 *	  Compaction in the foreground.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_COMPACT_H
#define FM_COMPACT_H

#include "objstore/store.h"

/*
 * Merges the table's first level that holds runs into the next one, or, with
 * "full", all levels into the deepest; publishes at once and is not undone by
 * ROLLBACK.  Concurrent commits stay on top.  Returns the number of runs that
 * were merged, 0 if there was nothing to do.
 */
extern int	fm_compact_table(FmStore *store, const char *table_name,
							 bool full);

#endif							/* FM_COMPACT_H */
