/*-------------------------------------------------------------------------
 *
 * commit.h
 *	  Publishing changes: conflict walk, rebase, compare-and-swap.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_COMMIT_H
#define FM_COMMIT_H

#include "format/head.h"
#include "manifest/head_cache.h"
#include "manifest/publish_start.h"
#include "objstore/store.h"

/* Runs of one commit, together, from this on go below L0 if they can. */
#define FM_BULK_LOAD_SIZE (UINT64CONST(16) * 1024 * 1024)

/*
 * Does "run", added by the commit of "version", hold a key that this
 * transaction wrote or locked on an older base, other than by upserts alone?
 * Asked for each run that a write record added after the table's base; its
 * bounds are cut, so that the callback begins by comparing ranges.
 */
typedef bool (*FmConflictProbe) (void *arg, const FmRunDesc *run,
								 uint64 version);

/* What a transaction does to one table. */
typedef struct FmTableCommit
{
	const char *name;			/* in the store */
	uint64		table_id;		/* as the first statement saw it; 0: HEAD had
								 * no such table */
	uint64		base;			/* HEAD version of the first statement that
								 * wrote, locked or described the table */
	const FmTable *create;		/* definition, where table_id is 0 and the
								 * table is to be created; else NULL */
	const FmColumn *add_columns;	/* columns to add, ids from the table's
									 * next_column_id on */
	uint32		nadd_columns;
	bool		truncate;		/* all runs go; writes of others conflict */
	uint32		nadded;
	const FmRunDesc *added;		/* exact bounds, ascending by key, disjoint,
								 * as from fm_run_writer_finish */
	FmConflictProbe probe;		/* NULL: no key was written or locked */
	void	   *probe_arg;
} FmTableCommit;

typedef struct FmCommitRequest FmCommitRequest;

struct FmCommitRequest
{
	FmStore    *store;
	FmId		store_id;		/* of the HEAD that the bases are versions of;
								 * zeros if there was none */
	uint64		incarnation;	/* of that HEAD */
	FmPublishStart start;		/* of the first object */
	TimestampTz deadline;		/* lock waits end then: DT_NOEND for none */
	uint32		ntables;
	FmTableCommit *tables;
	uint32		nmembers;		/* of a group: their commit ids */
	FmId	   *members;
	bool		tolerant;		/* a conflict is no error: version is 0 */
	FmManifest *manifest;		/* just read: the first try spares itself
								 * reading HEAD again; NULL: none.  In use by
								 * the caller */

	/*
	 * Called before each swap that commit_id is to be published by; false: it
	 * is given up, as by a conflict that is no error.  NULL: nothing.
	 */
	bool		(*sending) (FmCommitRequest *request,
							const FmHeadIdentity *expected, FmSlice head);
	void	   *sending_arg;
	/* filled by fm_commit_publish: */
	bool		in_doubt;		/* it raised, and the outcome is open */
	int64		swap_us;		/* that the swap took */
	FmId		commit_id;
	uint64		version;		/* that was published; 0: nothing was to be */
};

/*
 * Checks for conflicts and publishes all tables by one compare-and-swap.
 * Raises 40001 for a conflict or after too many lost races, 58030 if the
 * store refuses to replace an unchanged HEAD, 40003 if the outcome cannot be
 * known; whatever else it raises, nothing was published.
 *
 * If it published, it returns with interrupts held once: the caller's
 * XACT_EVENT_COMMIT callback resumes them (an error that aborts the
 * transaction afterwards has released them).
 */
extern void fm_commit_publish(FmCommitRequest *request);

/*
 * Checks for conflicts alone, as fm_commit_publish does; the version up to
 * which there is none.
 */
extern uint64 fm_commit_check(FmCommitRequest *request);

/* The result of merging runs into a level. */
typedef struct FmCompactionCommit
{
	FmStore    *store;
	uint64		table_id;
	FmPublishStart start;		/* of the first output */
	TimestampTz deadline;
	uint32		level_out;		/* 1 or deeper */
	uint32		ninputs;
	const FmRunDesc **inputs;
	uint32		noutputs;		/* may be none */
	const FmRunDesc *outputs;	/* exact bounds, ascending by key */
	uint64		dropped;		/* entries of the inputs in no output */
	FmSum128	dropped_sum;	/* of their row sum terms */
	/* filled by fm_commit_compaction: */
	uint64		version;
} FmCompactionCommit;

/*
 * Replaces the inputs by the outputs.  False, and nothing changed, if the
 * inputs are no longer listed or no longer stand together, or the outputs may
 * have been collected: the caller starts over or gives up.  Raises XX001 if what went in is not what came out, 40003
 * if the outcome cannot be known.
 */
extern bool fm_commit_compaction(FmCompactionCommit *compaction);

/*
 * Takes HEAD as it is, though a higher one was seen: publishes it again in an
 * incarnation above all that were seen, which is returned.  Raises 40003 if
 * the outcome cannot be known.
 */
extern uint64 fm_commit_accept_restore(FmStore *store, TimestampTz deadline);

#endif							/* FM_COMMIT_H */
