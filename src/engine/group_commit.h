/*-------------------------------------------------------------------------
 *
 * group_commit.h
 *	  Commits of several backends in one run a table and one swap of HEAD.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_GROUP_COMMIT_H
#define FM_GROUP_COMMIT_H

#include "engine/xact.h"
#include "manifest/commit.h"

/*
 * Publishes the writes of the tables together with what other backends
 * commit to the same store with the same credentials.  False, and nothing
 * done: they must be published alone, because they are too large, change a
 * table as a whole, read under SERIALIZABLE, or there is no room.
 *
 * request has the tables as for fm_commit_publish, but without runs: it is
 * checked for conflicts, and its version and commit id are filled.  Raises
 * what fm_commit_publish does, and returns, if it published, with interrupts
 * held once, too.
 */
extern bool fm_group_commit(FmTableWrites **tables, int ntables,
							FmCommitRequest *request);

#endif							/* FM_GROUP_COMMIT_H */
