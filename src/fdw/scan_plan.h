/*-------------------------------------------------------------------------
 *
 * scan_plan.h
 *	  What plan.c tells scan.c: fdw_private, list by list.  The values of
 *	  conditions, in the same order, are in fdw_exprs; their clauses in
 *	  fdw_recheck_quals.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_SCAN_PLAN_H
#define FM_SCAN_PLAN_H

#include "nodes/pathnodes.h"

enum FmScanPrivate
{
	FM_SCAN_BACKWARD,			/* one Boolean */
	FM_SCAN_CONDITIONS,			/* FM_SCAN_CONDITION_SIZE numbers of each:
								 * alternative, key number, FmConditionKind */
	FM_SCAN_COLUMNS,			/* attnums to decode */
	FM_SCAN_LOCKING,			/* one Integer, FmScanLocking */
	FM_SCAN_SHARE,				/* one Float: of the table's rows, how many
								 * are likely to be read, 0 to 1 */
	FM_SCAN_NPRIVATE
};

#define FM_SCAN_CONDITION_SIZE 3

typedef enum FmScanLocking
{
	FM_SCAN_READS,
	FM_SCAN_WILL_CHANGE,		/* rows will be updated or deleted: by full
								 * key, writers of this cluster queue */
	FM_SCAN_LOCKS				/* FOR UPDATE and the like: the same, and the
								 * keys join the conflict check */
} FmScanLocking;

/* Whether scans of a relation wait for a store, and may do so beside others. */
extern bool fm_plan_is_async_capable(const RelOptInfo *rel);

#endif							/* FM_SCAN_PLAN_H */
