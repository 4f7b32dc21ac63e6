/*-------------------------------------------------------------------------
 *
 * shared_head.c
 *	  HEADs that are far away, as the backends of this cluster know them: one
 *	  asks for all.
 *
 * Proof that nobody reads an old HEAD: an answer counts for whoever came
 * before the request was begun, since it shows what was HEAD after that.  Who
 * came later waits for the next request; when the running one is answered,
 * one of those who wait begins it, for all.  A swap that was applied counts
 * as a request that was answered.
 *
 * Who asks does so without the lock.  If he fails, those who waited ask each
 * for himself, and nobody waits much longer than a request usually takes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/condition_variable.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "objstore/clock.h"
#include "objstore/head_epoch.h"
#include "objstore/shared_bytes.h"
#include "objstore/shared_head.h"
#include "objstore/wait_events.h"

#define MAX_HEADS 32
#define RESERVE 50				/* percent of room that copies leave free */
#define MIN_PATIENCE_US 1000000
#define WAIT_MS 1000
#define MAX_GATHER_US 4000
#define NONE (-1)

typedef struct SharedHead
{
	bool		used;
	FmSum128	rights;
	uint64		last_use;
	bool		is_asked;
	int			nsharers;		/* of the last answer, but who asked */
	uint64		failures;
	FmHeadCopy	copy;			/* its len is not used */
	FmSharedBytes bytes;
	ConditionVariable answered;
} SharedHead;

typedef struct SharedHeads
{
	LWLock		lock;			/* for all of it */
	uint64		uses;
	SharedHead	heads[MAX_HEADS];
} SharedHeads;

static SharedHeads *shared = NULL;
static int	asked_head = NONE;	/* by this backend */

Size
fm_shared_head_size(void)
{
	return sizeof(SharedHeads);
}

void
fm_shared_head_init(void)
{
	bool		found;
	int			i;

	shared = ShmemInitStruct("fusio_manifest HEADs", fm_shared_head_size(),
							 &found);
	if (!found)
	{
		memset(shared, 0, sizeof(SharedHeads));
		LWLockInitialize(&shared->lock, LWLockNewTrancheId());
		for (i = 0; i < MAX_HEADS; i++)
			ConditionVariableInit(&shared->heads[i].answered);
	}
	LWLockRegisterTranche(shared->lock.tranche, "FusioManifestHeads");
}

/* The HEAD of the store, or a place for it; NULL if all are in use. */
static SharedHead *
find_head(const FmStore *store)
{
	SharedHead *oldest = NULL;
	SharedHead *head;
	int			i;

	for (i = 0; i < MAX_HEADS; i++)
	{
		head = &shared->heads[i];
		if (head->used &&
			memcmp(&head->rights, &store->rights, sizeof(FmSum128)) == 0)
			break;
		if (!head->is_asked &&
			(oldest == NULL || head->last_use < oldest->last_use))
			oldest = head;
	}
	if (i == MAX_HEADS)
	{
		head = oldest;
		if (head == NULL)
			return NULL;
		fm_shared_bytes_free(&head->bytes);
		head->used = true;
		head->rights = store->rights;
		head->nsharers = 0;
		memset(&head->copy, 0, sizeof(FmHeadCopy));
	}
	head->last_use = ++shared->uses;
	return head;
}

/* Does what is known do for who needs HEAD since then? */
static bool
is_good(const FmStore *store, const SharedHead *head, int64 need_us)
{
	const FmHeadCopy *copy = &head->copy;

	if (head->bytes.len == 0)
		return false;
	return copy->asked_us > need_us ||
		(copy->epoch == fm_head_epoch(store->options.location) &&
		 fm_monotonic_us() - copy->asked_us <
		 (int64) store->options.max_staleness_ms * 1000);
}

static void
copy_out(const SharedHead *head, const char *my_etag, uint8 *room,
		 FmHeadCopy *copy)
{
	memset(copy, 0, sizeof(FmHeadCopy));
	if (head->bytes.len == 0)
		return;
	*copy = head->copy;
	copy->len = 0;
	if (strcmp(my_etag, copy->etag) == 0)
		return;
	copy->len = head->bytes.len;
	fm_shared_bytes_get(&head->bytes, room);
}

/*
 * Those who shared an answer come back at about the same time; a moment
 * later, the next one does for all of them.
 */
static void
gather(const FmHttpPace *pace)
{
	pg_usleep((long) Min(pace->mean_us / 8, MAX_GATHER_US));
}

static long
time_to_wait(const FmStore *store)
{
	if (store->deadline == 0 || TIMESTAMP_IS_NOEND(store->deadline))
		return WAIT_MS;
	return Min(WAIT_MS,
			   TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
											   store->deadline));
}

FmHeadTurn
fm_shared_head_await(const FmStore *store, const FmHttpPace *pace,
					 const char *my_etag, uint8 *room, FmHeadCopy *copy)
{
	FmHeadTurn	turn = FM_HEAD_ASK_ALONE;
	int64		need_us = fm_monotonic_us();
	int64		end_us = need_us +
	Max(MIN_PATIENCE_US, (int64) (4 * pace->mean_us));
	bool		has_waited = false;
	bool		must_gather = false;
	uint64		failures = 0;

	memset(copy, 0, sizeof(FmHeadCopy));

	/* What became of a commit is nothing to wait for others for. */
	if (shared == NULL || InterruptHoldoffCount > 0)
		return FM_HEAD_ASK_ALONE;
	for (;;)
	{
		ConditionVariable *answered;
		SharedHead *head;
		long		wait_ms;

		LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
		head = find_head(store);
		if (head == NULL)
			break;
		if (is_good(store, head, need_us))
		{
			turn = FM_HEAD_KNOWN;
			head->nsharers++;
			copy_out(head, my_etag, room, copy);
			break;
		}
		if (!head->is_asked)
		{
			turn = FM_HEAD_ASK;
			head->is_asked = true;
			asked_head = (int) (head - shared->heads);
			must_gather = head->nsharers > 0;
			head->nsharers = 0;
			copy_out(head, my_etag, room, copy);
			break;
		}
		wait_ms = time_to_wait(store);
		if (has_waited &&
			(head->failures != failures || fm_monotonic_us() >= end_us ||
			 wait_ms == 0))
			break;
		failures = head->failures;
		answered = &head->answered;
		LWLockRelease(&shared->lock);

		/* The first time this only enters the list of those who wait. */
		if (has_waited)
			(void) ConditionVariableTimedSleep(answered, wait_ms,
											   fm_wait_event(FM_WAIT_HEAD_SHARED));
		else
			ConditionVariablePrepareToSleep(answered);
		has_waited = true;
	}
	LWLockRelease(&shared->lock);
	ConditionVariableCancelSleep();
	if (must_gather)
		gather(pace);
	return turn;
}

void
fm_shared_head_note(const FmStore *store, const FmHeadCopy *copy,
					FmSlice bytes)
{
	SharedHead *head;
	int			i;

	if (shared == NULL || copy->etag[0] == '\0')
		return;
	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	head = find_head(store);
	if (head != NULL && copy->asked_us > head->copy.asked_us)
	{
		if (bytes.len > 0)
		{
			fm_shared_bytes_free(&head->bytes);
			for (i = 0; i < MAX_HEADS &&
				 !fm_shared_bytes_put(&head->bytes, bytes, RESERVE); i++)
				fm_shared_bytes_free(&shared->heads[i].bytes);
			head->copy = *copy;
			if (head->bytes.len == 0)
				head->failures++;	/* no room: they do not wait in vain */
		}
		else if (strcmp(head->copy.etag, copy->etag) == 0)
			head->copy = *copy;
	}
	LWLockRelease(&shared->lock);
}

void
fm_shared_head_release(bool failed)
{
	SharedHead *head;

	if (asked_head == NONE)
		return;
	head = &shared->heads[asked_head];
	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	head->is_asked = false;
	if (failed)
		head->failures++;
	asked_head = NONE;
	LWLockRelease(&shared->lock);
	ConditionVariableBroadcast(&head->answered);
}

bool
fm_shared_head_recall(const FmStore *store, uint8 *room, FmHeadCopy *copy)
{
	SharedHead *head;

	memset(copy, 0, sizeof(FmHeadCopy));
	if (shared == NULL)
		return false;
	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	head = find_head(store);
	if (head != NULL)
		copy_out(head, "", room, copy);
	LWLockRelease(&shared->lock);
	return copy->len > 0;
}
