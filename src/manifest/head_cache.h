/*-------------------------------------------------------------------------
 *
 * head_cache.h
 *	  The HEADs that this backend knows: decoded, shared, revalidated.
 *
 * A manifest is one version of HEAD, decoded, and never changes but for the
 * pages that are loaded into it when a table is first asked for.  It is
 * counted by its users; the cache itself counts as one for the last it saw.
 * A use ends with a memory context, so that an error releases it too.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_HEAD_CACHE_H
#define FM_HEAD_CACHE_H

#include "format/head.h"
#include "objstore/store.h"

typedef struct FmManifest
{
	FmStore    *store;
	const FmHead *head;
	FmSlice		bytes;			/* HEAD's object; empty if it does not exist */
	bool		exists;			/* false: the store has no HEAD; head is an
								 * empty one of version 0, without store id */
	MemoryContext context;		/* holds all of it; child of the store's */
	int			refcount;
} FmManifest;

/*
 * The store's HEAD as it is now: read if it has changed.  Valid until the
 * current memory context is reset or deleted.  A store without HEAD that
 * holds objects is an error (XX001), never taken for an empty one; so is a
 * HEAD that is not a successor of the highest one seen by this cluster.
 */
extern FmManifest *fm_manifest_current(FmStore *store);

/*
 * For planning: the HEAD last seen by this backend, or the current one where
 * that costs no request.  Lifetime as above.
 */
extern FmManifest *fm_manifest_last_seen(FmStore *store);

/*
 * For reading beside the request for HEAD: the HEAD last seen by this
 * backend, if it is likely that a statement reads the same runs.  NULL: it is
 * not, or none was seen, or HEAD costs no request.  Asks nobody.  Lifetime as
 * above.  fm_manifest_judge_guess tells how likely that was.
 */
extern FmManifest *fm_manifest_guess(FmStore *store);
extern void fm_manifest_judge_guess(FmStore *store, bool right);

/* The next plan reads HEAD, however much that costs. */
extern void fm_manifest_outdate_last_seen(FmStore *store);

/*
 * A table with all its pages loaded: every levels[].runs is complete.  NULL
 * if HEAD has no such table.  Lives as long as the manifest.  Damaged or
 * missing pages raise.
 */
extern const FmTable *fm_manifest_table(FmManifest *manifest,
										const char *name);
extern const FmTable *fm_manifest_table_by_id(FmManifest *manifest,
											  uint64 id);

/* The same, but NULL also if a page of it was not loaded yet. */
extern const FmTable *fm_manifest_loaded_table(const FmManifest *manifest,
											   const char *name);

/*
 * Makes sure that the store has a HEAD: publishes an empty one into an empty
 * prefix.  To be called before any other object is written.
 */
extern void fm_manifest_create_head(FmStore *store, TimestampTz deadline);

/*
 * A HEAD was published here: one that is lower is refused from now on (XX001).
 * Neither raises nor allocates, but while going back is accepted.
 */
extern void fm_manifest_note_published(FmStore *store, const FmHead *head);

/*
 * From now on, or no longer, this backend takes a HEAD that has gone back.
 * The highest seen of the manifest's store is what it goes back from.
 */
extern void fm_manifest_accept(FmStore *store, bool accepting);
extern FmHeadIdentity fm_manifest_highest_seen(FmManifest *manifest);

/*
 * Counted use without a memory context; for manifest/ only.  fm_manifest_start
 * starts what fm_manifest_acquire, which may then be told of it, would wait
 * for; NULL if that is nothing.  It lives in the current memory context.
 */
extern FmManifest *fm_manifest_acquire(FmStore *store,
									   FmPendingHead *started);
extern FmPendingHead *fm_manifest_start(FmStore *store);
extern FmManifest *fm_manifest_from_bytes(FmStore *store, FmSlice bytes);
extern void fm_manifest_retain(FmManifest *manifest);
extern void fm_manifest_release(FmManifest *manifest);
extern void fm_manifest_release_with(FmManifest *manifest,
									 MemoryContext context);

#endif							/* FM_HEAD_CACHE_H */
