/*-------------------------------------------------------------------------
 *
 * log_walk.h
 *	  The records of the commit log, from HEAD's tail and from log pages.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_LOG_WALK_H
#define FM_LOG_WALK_H

#include "manifest/head_cache.h"

/* False ends the walk. */
typedef bool (*FmLogVisitor) (void *arg, const FmCommitRecord *record);

/*
 * Calls the visitor for each record in (from, HEAD], oldest first.  False if
 * the log does not reach back to "from" any more.  Records live during the
 * call only.  Uses the current memory context for pages while it runs.
 */
extern bool fm_log_walk(FmManifest *manifest, uint64 from,
						FmLogVisitor visitor, void *arg);

/* The same for all records that HEAD refers to, those below the floor too. */
extern void fm_log_walk_all(FmManifest *manifest, FmLogVisitor visitor,
							void *arg);

/* The state of HEAD before a log page's records, in the current context. */
extern FmHead *fm_log_page_state(FmManifest *manifest, const FmPageRef *ref);

typedef enum FmLogSearch
{
	FM_LOG_FOUND,
	FM_LOG_NOT_FOUND,			/* no record in (from, HEAD] has it */
	FM_LOG_PASSED				/* the log does not reach back that far */
} FmLogSearch;

/*
 * Looks for a commit id, members of groups included, among the records in
 * (from, HEAD]; *version is that of the record.
 */
extern FmLogSearch fm_log_find(FmManifest *manifest, uint64 from,
							   const FmId *commit_id, uint64 *version);

#endif							/* FM_LOG_WALK_H */
