/*-------------------------------------------------------------------------
 *
 * group_queue.c
 *	  Commits that wait to be published together, in shared memory.
 *
 * One lock protects it all; it is held for copies in memory only.  Where there
 * is no room for bytes, a transaction commits alone.
 *
 * The members of a group that are TAKEN are its batch.  Until it is sent they
 * may leave, which keeps it from being sent as it is.  From then on they have
 * to wait: the swap of HEAD may be applied.  When the leader leaves a batch
 * that was sent, its outcome is open; the leader is told so (40003), and any
 * other member finds it out from what is kept here: the HEAD that the swap
 * expected, the new one's bytes, and the batch's commit id.  At most one
 * process leads a batch or finds out its outcome at a time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "engine/group_queue.h"
#include "objstore/clock.h"
#include "objstore/shared_bytes.h"
#include "objstore/wait_events.h"

#define MAX_GROUPS 16
#define MAX_MEMBERS 256
#define RECENT_BATCHES 64
#define RECENT_HASHES 8192
#define WAIT_MS 1000			/* in case a wake-up is lost */
#define MAX_GATHER_US 100000
#define NONE (-1)

typedef enum MemberState
{
	FREE,
	QUEUED,
	TAKEN,
	DONE
} MemberState;

typedef struct QueuedCommit
{
	MemberState state;
	bool		abandoned;		/* its backend has gone: free it when done */
	int			group;
	int			next;			/* in the group's queue */
	int			procno;
	FmId		commit_id;
	uint64		checked;
	FmSharedBytes bytes;		/* until it is taken */
	FmGroupResult result;
	uint64		version;
	FmId		batch_id;
} QueuedCommit;

/* Hashes are in a ring; an entry's are lost once it is overwritten. */
typedef struct Recent
{
	uint64		version;
	uint64		start;			/* counted since ever */
	uint32		n;
} Recent;

typedef struct CommitGroup
{
	bool		used;
	FmSum128	key;
	uint64		last_use;
	bool		has_leader;
	int			head;			/* of the queue */
	int			tail;
	int			nqueued;
	int			nmembers;
	int			nexpected;		/* members that may come for the next batch */
	int64		finished_us;	/* monotonic; the last batch */
	int64		swap_us;		/* that its swap took */
	bool		sent;			/* the batch; what follows is of that */
	FmHeadIdentity expected;
	FmId		batch_id;
	FmSharedBytes new_head;
	uint64		nrecent;		/* counted since ever */
	uint64		nhashes;
	Recent		recent[RECENT_BATCHES];
	uint64		hashes[RECENT_HASHES];
} CommitGroup;

typedef struct GroupQueue
{
	LWLock		lock;
	uint64		uses;
	CommitGroup groups[MAX_GROUPS];
	QueuedCommit members[MAX_MEMBERS];
} GroupQueue;

static GroupQueue *queue = NULL;

/* What this backend holds. */
static int	my_member = NONE;
static int	led_group = NONE;
static bool exit_registered = false;

Size
fm_group_queue_size(void)
{
	return sizeof(GroupQueue);
}

void
fm_group_queue_init(void)
{
	bool		found;

	queue = ShmemInitStruct("fusio_manifest group commit",
							fm_group_queue_size(), &found);
	if (!found)
	{
		memset(queue, 0, sizeof(GroupQueue));
		LWLockInitialize(&queue->lock, LWLockNewTrancheId());
	}
	LWLockRegisterTranche(queue->lock.tranche, "FusioManifestGroupCommit");
}

bool
fm_group_queue_available(void)
{
	return queue != NULL;
}

static void
free_member(QueuedCommit *member)
{
	fm_shared_bytes_free(&member->bytes);
	queue->groups[member->group].nmembers--;
	member->state = FREE;
}

/* The group of that key, or a place for it; NONE if all are in use. */
static int
find_group(const FmSum128 *key)
{
	int			oldest = NONE;
	CommitGroup *group;
	int			i;

	for (i = 0; i < MAX_GROUPS; i++)
	{
		group = &queue->groups[i];
		if (group->used && memcmp(&group->key, key, sizeof(FmSum128)) == 0)
			break;
		if (group->nmembers == 0 && !group->has_leader &&
			(oldest == NONE ||
			 group->last_use < queue->groups[oldest].last_use))
			oldest = i;
	}
	if (i == MAX_GROUPS)
	{
		i = oldest;
		if (i == NONE)
			return NONE;
		group = &queue->groups[i];
		group->used = true;
		group->key = *key;
		group->head = group->tail = NONE;
		group->nqueued = group->nexpected = 0;
		group->nrecent = group->nhashes = 0;
	}
	queue->groups[i].last_use = ++queue->uses;
	return i;
}

static int
find_free_member(void)
{
	int			i;

	for (i = 0; i < MAX_MEMBERS; i++)
	{
		if (queue->members[i].state == FREE)
			return i;
	}
	return NONE;
}

static void
end_of_process(int code, Datum arg)
{
	fm_group_abort();
}

bool
fm_group_join(const FmSum128 *key, const FmId *commit_id, uint64 checked,
			  FmSlice bytes)
{
	int			group;
	int			number;
	QueuedCommit *member;

	Assert(my_member == NONE);
	if (!exit_registered)
	{
		on_shmem_exit(end_of_process, 0);
		exit_registered = true;
	}
	LWLockAcquire(&queue->lock, LW_EXCLUSIVE);
	group = find_group(key);
	number = find_free_member();
	if (group == NONE || number == NONE ||
		!fm_shared_bytes_put(&queue->members[number].bytes, bytes, 0))
	{
		LWLockRelease(&queue->lock);
		return false;
	}
	member = &queue->members[number];
	member->state = QUEUED;
	member->abandoned = false;
	member->group = group;
	member->next = NONE;
	member->procno = fm_my_proc_number();
	member->commit_id = *commit_id;
	member->checked = checked;
	if (queue->groups[group].tail == NONE)
		queue->groups[group].head = number;
	else
		queue->members[queue->groups[group].tail].next = number;
	queue->groups[group].tail = number;
	queue->groups[group].nqueued++;
	queue->groups[group].nmembers++;
	LWLockRelease(&queue->lock);
	my_member = number;
	return true;
}

/* Takes a member out of its group's queue. */
static void
unlink_member(int number)
{
	CommitGroup *group = &queue->groups[queue->members[number].group];
	int			before = NONE;
	int			i;

	for (i = group->head; i != number; i = queue->members[i].next)
		before = i;
	if (before == NONE)
		group->head = queue->members[number].next;
	else
		queue->members[before].next = queue->members[number].next;
	if (group->tail == number)
		group->tail = before;
	queue->members[number].next = NONE;
	group->nqueued--;
}

static void
wake(const QueuedCommit *member)
{
	SetLatch(&ProcGlobal->allProcs[member->procno].procLatch);
}

/* Whoever waits first is the next leader. */
static void
wake_next_leader(CommitGroup *group)
{
	if (group->head != NONE)
		wake(&queue->members[group->head]);
}

static bool
interrupt_is_pending(void)
{
	return ProcDiePending || QueryCancelPending;
}

/* Leaves queue or batch; the lock is held, and let go of. */
static void
leave(void)
{
	QueuedCommit *member = &queue->members[my_member];

	if (member->state == QUEUED)
	{
		unlink_member(my_member);
		free_member(member);
	}
	else
		member->abandoned = true;
	my_member = NONE;
	LWLockRelease(&queue->lock);
}

static void
raise_timeout(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_QUERY_CANCELED),
			 errmsg("canceling commit due to commit timeout"),
			 errdetail("It waited for commits of other sessions."),
			 errhint("Raise \"fusio_manifest.commit_timeout\", or try again.")));
}

FmGroupTurn
fm_group_wait(TimestampTz deadline, FmGroupResult *result, uint64 *version,
			  FmId *batch_id)
{
	QueuedCommit *member = &queue->members[my_member];
	CommitGroup *group = &queue->groups[member->group];

	for (;;)
	{
		long		wait_ms = WAIT_MS;
		bool		may_leave;
		bool		my_turn;

		LWLockAcquire(&queue->lock, LW_EXCLUSIVE);
		if (member->state == DONE)
			break;
		may_leave = member->state == QUEUED || !group->sent;
		if (may_leave && interrupt_is_pending() && InterruptHoldoffCount == 1)
		{
			/* 1: the lock's own */
			leave();
			CHECK_FOR_INTERRUPTS();
			elog(ERROR, "commit was interrupted");
		}
		if (may_leave && !TIMESTAMP_IS_NOEND(deadline))
		{
			wait_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
													  deadline);
			if (wait_ms == 0)
			{
				leave();
				raise_timeout();
			}
			wait_ms = Min(wait_ms, WAIT_MS);
		}
		my_turn = !group->has_leader &&
			(member->state == TAKEN) == group->sent;
		if (my_turn)
		{
			group->has_leader = true;
			led_group = member->group;
		}
		LWLockRelease(&queue->lock);
		if (my_turn)
			return group->sent ? FM_GROUP_RESOLVE : FM_GROUP_LEAD;
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 wait_ms, fm_wait_event(FM_WAIT_GROUP_COMMIT));
		ResetLatch(MyLatch);
	}
	*result = member->result;
	*version = member->version;
	*batch_id = member->batch_id;
	free_member(member);
	my_member = NONE;
	LWLockRelease(&queue->lock);
	return FM_GROUP_DONE;
}

void
fm_group_gather(void)
{
	CommitGroup *group = &queue->groups[led_group];
	int64		end_us = group->finished_us +
	Min(group->swap_us * 2, MAX_GATHER_US);

	if (group->nexpected < 2)
		return;
	while (fm_monotonic_us() < end_us)
	{
		bool		complete;

		LWLockAcquire(&queue->lock, LW_SHARED);
		complete = group->nqueued >= Min(group->nexpected, FM_GROUP_MAX_BATCH);
		LWLockRelease(&queue->lock);
		if (complete)
			break;
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 1, fm_wait_event(FM_WAIT_GROUP_COMMIT));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

int
fm_group_take(FmGroupMember **members)
{
	CommitGroup *group = &queue->groups[led_group];
	FmGroupMember *result = palloc(sizeof(FmGroupMember) *
								   FM_GROUP_MAX_BATCH);
	uint8	   *bytes = palloc(FM_GROUP_MAX_BATCH_BYTES);
	Size		room = FM_GROUP_MAX_BATCH_BYTES;
	int			ntaken;

	LWLockAcquire(&queue->lock, LW_EXCLUSIVE);
	for (ntaken = 0; ntaken < FM_GROUP_MAX_BATCH && group->head != NONE;
		 ntaken++)
	{
		int			number = group->head;
		QueuedCommit *member = &queue->members[number];

		if (member->bytes.len > room)
			break;
		unlink_member(number);
		member->state = TAKEN;
		result[ntaken].number = number;
		result[ntaken].commit_id = member->commit_id;
		result[ntaken].checked = member->checked;
		result[ntaken].bytes = fm_slice(bytes, member->bytes.len);
		result[ntaken].accepted = false;
		fm_shared_bytes_get(&member->bytes, bytes);
		bytes += member->bytes.len;
		room -= member->bytes.len;

		/* Who is sent back has them, too. */
		fm_shared_bytes_free(&member->bytes);
	}
	LWLockRelease(&queue->lock);
	*members = result;
	return ntaken;
}

static void
finish_member(int number, FmGroupResult result, uint64 version,
			  const FmId *batch_id)
{
	QueuedCommit *member = &queue->members[number];

	member->state = DONE;
	member->result = result;
	member->version = version;
	member->batch_id = *batch_id;
	if (member->abandoned)
		free_member(member);
	else
		wake(member);
}

static void
drop_sent(CommitGroup *group)
{
	fm_shared_bytes_free(&group->new_head);
	group->sent = false;
}

bool
fm_group_send(FmGroupMember *members, int n, const FmHeadIdentity *expected,
			  const FmId *batch_id, FmSlice head)
{
	static const FmId none;
	CommitGroup *group = &queue->groups[led_group];
	bool		fit = true;
	int			i;

	LWLockAcquire(&queue->lock, LW_EXCLUSIVE);
	drop_sent(group);
	for (i = 0; i < n; i++)
	{
		if (members[i].accepted && queue->members[members[i].number].abandoned)
			fit = false;
	}
	if (fit && fm_shared_bytes_put(&group->new_head, head, 0))
	{
		group->sent = true;
		group->expected = *expected;
		group->batch_id = *batch_id;
	}
	for (i = 0; i < n && group->sent; i++)
	{
		if (members[i].number == NONE || members[i].accepted)
			continue;
		finish_member(members[i].number, FM_GROUP_SENT_BACK, 0, &none);
		members[i].number = NONE;
	}
	fit = group->sent;
	LWLockRelease(&queue->lock);
	return fit;
}

void
fm_group_not_sent(void)
{
	LWLockAcquire(&queue->lock, LW_EXCLUSIVE);
	drop_sent(&queue->groups[led_group]);
	LWLockRelease(&queue->lock);
}

FmSlice
fm_group_get_sent(FmHeadIdentity *expected, FmId *batch_id)
{
	CommitGroup *group = &queue->groups[led_group];
	uint8	   *bytes = palloc(group->new_head.len);

	/* Nobody changes it while somebody leads, and that is us. */
	fm_shared_bytes_get(&group->new_head, bytes);
	*expected = group->expected;
	*batch_id = group->batch_id;
	return fm_slice(bytes, group->new_head.len);
}

/* Hands a result out to all of the batch; the number of them. */
static int
finish_batch(FmGroupResult result, uint64 version, const FmId *batch_id)
{
	int			n = 0;
	int			i;

	for (i = 0; i < MAX_MEMBERS; i++)
	{
		if (queue->members[i].state != TAKEN ||
			queue->members[i].group != led_group)
			continue;
		finish_member(i, result, version, batch_id);
		n++;
	}
	drop_sent(&queue->groups[led_group]);
	return n;
}

static void
end_leadership(void)
{
	CommitGroup *group = &queue->groups[led_group];

	led_group = NONE;
	group->has_leader = false;
	wake_next_leader(group);
}

void
fm_group_finish(FmGroupResult result, uint64 version, const FmId *batch_id,
				int64 swap_us)
{
	CommitGroup *group = &queue->groups[led_group];

	LWLockAcquire(&queue->lock, LW_EXCLUSIVE);
	group->nexpected = finish_batch(result, version, batch_id) +
		group->nqueued;
	group->finished_us = fm_monotonic_us();
	group->swap_us = swap_us;
	end_leadership();
	LWLockRelease(&queue->lock);
}

/*
 * The outcome of what the group has sent is open: lets one of those who wait
 * for it find it out.  If nobody does, it is nobody's business.
 */
static void
hand_over(void)
{
	bool		is_waited_for = false;
	int			i;

	for (i = 0; i < MAX_MEMBERS; i++)
	{
		QueuedCommit *member = &queue->members[i];

		if (member->state != TAKEN || member->group != led_group)
			continue;
		if (i == my_member)
			my_member = NONE;
		else if (!member->abandoned)
		{
			is_waited_for = true;
			wake(member);
			continue;
		}
		free_member(member);
	}
	if (!is_waited_for)
		drop_sent(&queue->groups[led_group]);
	end_leadership();
}

void
fm_group_abort(void)
{
	static const FmId none;
	QueuedCommit *member;

	if (my_member == NONE && led_group == NONE)
		return;
	LWLockAcquire(&queue->lock, LW_EXCLUSIVE);
	if (my_member != NONE && led_group == NONE)
	{
		/* A batch without a leader: it has one, who leaves it at once. */
		member = &queue->members[my_member];
		if (member->state == TAKEN && !queue->groups[member->group].has_leader)
			led_group = member->group;
	}
	if (led_group != NONE && queue->groups[led_group].sent)
		hand_over();
	else if (led_group != NONE)
	{
		(void) finish_batch(FM_GROUP_SENT_BACK, 0, &none);
		end_leadership();
	}
	if (my_member != NONE)
	{
		member = &queue->members[my_member];
		if (member->state == TAKEN)
			member->abandoned = true;
		else
		{
			if (member->state == QUEUED)
				unlink_member(my_member);
			free_member(member);
		}
		my_member = NONE;
	}
	LWLockRelease(&queue->lock);
}

void
fm_group_remember(uint64 version, const uint64 *hashes, int n)
{
	CommitGroup *group = &queue->groups[led_group];
	Recent	   *recent;
	int			i;

	if (n > RECENT_HASHES / 2)
		return;
	LWLockAcquire(&queue->lock, LW_EXCLUSIVE);
	recent = &group->recent[group->nrecent++ % RECENT_BATCHES];
	recent->version = version;
	recent->start = group->nhashes;
	recent->n = n;
	for (i = 0; i < n; i++)
		group->hashes[group->nhashes++ % RECENT_HASHES] = hashes[i];
	LWLockRelease(&queue->lock);
}

bool
fm_group_recall(uint64 version, uint64 **hashes, int *n)
{
	CommitGroup *group = &queue->groups[led_group];
	bool		found = false;
	uint64		i;
	uint32		j;

	/* Only leaders change it, and that is us. */
	for (i = 0; !found && i < Min(group->nrecent, RECENT_BATCHES); i++)
	{
		const Recent *recent = &group->recent[i];

		if (recent->version != version ||
			group->nhashes - recent->start > RECENT_HASHES)
			continue;
		found = true;
		*n = recent->n;
		*hashes = palloc(sizeof(uint64) * Max(recent->n, 1));
		for (j = 0; j < recent->n; j++)
			(*hashes)[j] = group->hashes[(recent->start + j) % RECENT_HASHES];
	}
	return found;
}
