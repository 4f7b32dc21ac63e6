/*-------------------------------------------------------------------------
 *
 * seen_heads.h
 *	  The highest HEAD that this cluster has seen of each store.
 *
 * A HEAD that goes back, since its bucket or directory was restored, has lost
 * commits that were acknowledged.  So what was seen is remembered: exactly
 * while the server runs and the library is preloaded, else in files of the
 * data directory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_SEEN_HEADS_H
#define FM_SEEN_HEADS_H

#include "format/head.h"
#include "objstore/store.h"

/* What is known of one store in one location; stays where it is. */
typedef struct FmSeenHead FmSeenHead;

extern FmSeenHead * fm_seen_find(const FmStore *store, const FmId *store_id);

/* Incarnation 0: none was seen. */
extern FmHeadIdentity fm_seen_highest(FmSeenHead * seen);

/* Takes a HEAD down if it is higher.  Neither raises nor allocates. */
extern void fm_seen_note(FmSeenHead * seen, const FmHeadIdentity *identity);

/*
 * Writes the file if it is older than what was seen and was not written for
 * a while, or at once.  What fails is a LOG message, and is tried again later.
 */
extern void fm_seen_save(FmSeenHead * seen, FmStore *store, bool at_once);

/*
 * True if the HEAD is none of those that can follow what was seen: it is
 * lower, or its log tells that the version seen was another commit.
 */
extern bool fm_seen_forbids(const FmHeadIdentity *highest,
							const FmHead *head);

extern FmHeadIdentity fm_head_identity(const FmHead *head);

/* Shared memory, for the hooks of _PG_init. */
extern Size fm_seen_shmem_size(void);
extern void fm_seen_shmem_init(void);

#endif							/* FM_SEEN_HEADS_H */
