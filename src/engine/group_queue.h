/*-------------------------------------------------------------------------
 *
 * group_queue.h
 *	  Commits that wait to be published together, in shared memory.
 *
 * A group is the backends of this cluster that commit to one store with the
 * same credentials.  A member hands its changes over as bytes; one of them,
 * the leader, takes the bytes of all and publishes them.  Who waits and finds
 * no leader becomes it.  A leader that fails before it has sent the batch's
 * HEAD gives the others back; after that, one of them goes on to find out
 * what became of it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_GROUP_QUEUE_H
#define FM_GROUP_QUEUE_H

#include "base/checksum.h"
#include "format/format.h"
#include "objstore/store.h"

#define FM_GROUP_MAX_BATCH 64	/* members that are published together */
#define FM_GROUP_MAX_BYTES (1024 * 1024)	/* of a member's changes */
#define FM_GROUP_MAX_BATCH_BYTES (8 * FM_GROUP_MAX_BYTES)

typedef enum FmGroupResult
{
	FM_GROUP_SENT_BACK,			/* nothing was published: check, try again */
	FM_GROUP_PUBLISHED,
	FM_GROUP_UNKNOWN			/* see 40003 */
} FmGroupResult;

/* A member of a batch, as its leader sees it. */
typedef struct FmGroupMember
{
	int			number;			/* of its entry */
	FmId		commit_id;
	uint64		checked;		/* its conflicts are known up to this version */
	FmSlice		bytes;			/* a copy */
	bool		accepted;		/* for the leader to set */
} FmGroupMember;

typedef enum FmGroupTurn
{
	FM_GROUP_DONE,				/* there is a result */
	FM_GROUP_LEAD,				/* to publish a batch */
	FM_GROUP_RESOLVE			/* to find out what became of a batch that its
								 * leader left */
} FmGroupTurn;

extern Size fm_group_queue_size(void);
extern void fm_group_queue_init(void);
extern bool fm_group_queue_available(void);

/* Puts changes into the queue; false if there is no room. */
extern bool fm_group_join(const FmSum128 *group, const FmId *commit_id,
						  uint64 checked, FmSlice bytes);

/*
 * Waits for the result of what was joined with, or for one's turn to bring it
 * about.  Cancel acts, and the deadline (57014), until the batch's HEAD is
 * sent.  The entry is gone when there is a result.
 */
extern FmGroupTurn fm_group_wait(TimestampTz deadline, FmGroupResult *result,
								 uint64 *version, FmId *batch_id);

/*
 * For the leader: waits a moment for those who committed with the last batch
 * and may be back soon.  A moment is twice what a swap of HEAD took then: they
 * read HEAD first, and then come with their changes.
 */
extern void fm_group_gather(void);

/*
 * For the leader: takes members from the queue, its own among them if it is
 * near enough to the front; palloc'd.
 */
extern int	fm_group_take(FmGroupMember **members);

/*
 * For the leader, before each try to swap HEAD: keeps what others need to
 * find out its outcome, and gives back members that are not accepted.  False,
 * and the batch must not be published, if one that is has gone, or there is
 * no room.
 */
extern bool fm_group_send(FmGroupMember *members, int n,
						  const FmHeadIdentity *expected,
						  const FmId *batch_id, FmSlice head);

/* For the leader: HEAD stays as it was, surely. */
extern void fm_group_not_sent(void);

/* For who resolves: what was sent; palloc'd. */
extern FmSlice fm_group_get_sent(FmHeadIdentity *expected, FmId *batch_id);

/*
 * Hands the result out to the batch, and the leadership over.  The swap took
 * so long; 0: there was none.
 */
extern void fm_group_finish(FmGroupResult result, uint64 version,
							const FmId *batch_id, int64 swap_us);

/* The transaction, or the process, ends: gives up whatever it holds here. */
extern void fm_group_abort(void);

/*
 * Keys that recent batches of the leader's group have written, as hashes, by
 * the version that they were published as.
 */
extern void fm_group_remember(uint64 version, const uint64 *hashes, int n);

/* False if the version is not one of them; hashes are palloc'd. */
extern bool fm_group_recall(uint64 version, uint64 **hashes, int *n);

#endif							/* FM_GROUP_QUEUE_H */
