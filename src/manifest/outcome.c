/*-------------------------------------------------------------------------
 *
 * outcome.c
 *	  What became of a compare-and-swap whose answer said nothing certain.
 *
 * Proof: a swap is applied only to the HEAD that it expects, and no two HEADs
 * are the same, for each has a commit id of its own.  So
 *	- if the log has a record of our commit, it was applied, whoever has
 *	  committed since;
 *	- if HEAD is another one and its log, which reaches back to ours, has no
 *	  such record, it was not, and no late arrival can be;
 *	- if HEAD is still what was expected, the swap may arrive yet.  Sending
 *	  the same bytes again cannot make two commits of it: at most one of the
 *	  requests meets the expected HEAD;
 *	- if HEAD is still what was expected after the store has answered every
 *	  request with a refusal, none was applied and none can arrive late.  A
 *	  refusal alone is no proof: what stands between may have sent a request
 *	  twice, and passed on what became of the second.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "manifest/head_cache.h"
#include "manifest/log_walk.h"
#include "manifest/outcome.h"
#include "objstore/clock.h"

#define RESOLVE_TIMEOUT_US (30 * INT64CONST(1000000))
#define MAX_PAUSE_US 500000
#define MAX_REFUSALS 10

typedef enum Finding
{
	FOUND,
	LOST,
	OPEN,						/* HEAD is unchanged, or was not to be read */
	FORGOTTEN,					/* the log does not reach back to it */
	REFUSED						/* so often that it will not change */
} Finding;

/* A swap whose outcome is looked for. */
typedef struct Search
{
	FmStore    *store;
	const FmHeadIdentity *expected;
	const FmId *commit_id;
	FmSlice		bytes;
	int			refusals;		/* of it, though HEAD is the expected one */
	bool		unanswered;		/* a request for it may arrive yet */
	int64		deadline_us;
	const char *problem;		/* why the last finding was OPEN */
} Search;

/* Swaps again, HEAD being unchanged. */
static Finding
swap_again(Search *search)
{
	FmStore    *store = search->store;

	if (!search->unanswered && search->refusals >= MAX_REFUSALS)
		return REFUSED;
	search->problem = "HEAD was unchanged when it was last read, but a request to replace it may have been applied since, or may be yet.";
	switch (store->ops->cas_head(store, search->expected, search->bytes,
								 DT_NOEND))
	{
		case FM_CAS_APPLIED:
			return FOUND;
		case FM_CAS_LOST:
			break;
		case FM_CAS_REFUSED:
			search->refusals++;
			break;
		case FM_CAS_UNKNOWN:
		case FM_CAS_NOT_DURABLE:
			search->unanswered = true;
			break;
	}
	return OPEN;
}

/* Looks once; swaps again if HEAD is unchanged. */
static Finding
look(Search *search)
{
	const FmHeadIdentity *expected = search->expected;
	FmManifest *manifest = fm_manifest_current(search->store);
	const FmHead *head = manifest->head;
	uint64		version;

	if (manifest->exists && head->version == expected->version &&
		fm_id_eq(&head->commit_id, &expected->commit_id))
		return swap_again(search);
	switch (fm_log_find(manifest, expected->version, search->commit_id,
						&version))
	{
		case FM_LOG_FOUND:
			return FOUND;
		case FM_LOG_NOT_FOUND:
			return LOST;
		case FM_LOG_PASSED:
			break;
	}
	return FORGOTTEN;
}

/*
 * The same, with an error as the problem, unless that only says that time is
 * up.  It lets go of held interrupts, which have to stay held.
 */
static Finding
try_look(Search *search, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	uint32		held = InterruptHoldoffCount;
	volatile Finding finding = OPEN;

	PG_TRY();
	{
		finding = look(search);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		InterruptHoldoffCount = held;
		MemoryContextSwitchTo(old);
		error = CopyErrorData();
		FlushErrorState();
		if (search->problem == NULL ||
			fm_monotonic_us() < search->deadline_us)
			search->problem = error->message;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	MemoryContextReset(context);
	return finding;
}

void
fm_outcome_raise_unknown(const FmId *commit_id, const char *detail)
{
	char		hex[33];

	fm_id_to_hex(commit_id, hex);
	ereport(ERROR,
			(errcode(ERRCODE_T_R_STATEMENT_COMPLETION_UNKNOWN),
			 errmsg("could not determine the outcome of commit %s", hex),
			 errdetail("%s", detail),
			 errhint("Look for the commit id in fusio_manifest_head() before running the transaction again.")));
}

void
fm_outcome_raise_refused(const FmStore *store)
{
	ereport(ERROR,
			(errcode(ERRCODE_IO_ERROR),
			 errmsg("could not replace HEAD of server \"%s\"",
					store->options.servername),
			 errdetail("It is unchanged, but requests to replace it were refused %d times as if it were not. Nothing was committed.",
					   MAX_REFUSALS),
			 errhint("Something between here and the service may change ETags or conditions: see what fusio_manifest_check_server() says.")));
}

FmOutcome
fm_outcome_find(FmStore *store, const FmHeadIdentity *expected,
				const FmId *commit_id, FmSlice bytes, bool refused,
				const char **problem)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "fusio_manifest outcome",
												  ALLOCSET_DEFAULT_SIZES);
	TimestampTz deadline = store->deadline;
	Search		search = {store, expected, commit_id, bytes, refused ? 1 : 0,
		!refused, fm_monotonic_us() + RESOLVE_TIMEOUT_US, NULL
	};
	Finding		finding;

	Assert(InterruptHoldoffCount > 0);
	store->deadline = GetCurrentTimestamp() + RESOLVE_TIMEOUT_US;
	for (;;)
	{
		finding = try_look(&search, context);
		if (finding != OPEN || fm_monotonic_us() >= search.deadline_us)
			break;
		pg_usleep((long) pg_prng_uint64_range(&pg_global_prng_state, 1000,
											  MAX_PAUSE_US));
	}
	store->deadline = deadline;
	MemoryContextDelete(context);
	switch (finding)
	{
		case FOUND:
			return FM_OUTCOME_APPLIED;
		case LOST:
			return FM_OUTCOME_NOT_APPLIED;
		case REFUSED:
			return FM_OUTCOME_REFUSED;
		case FORGOTTEN:
			*problem = "The commit log does not reach back to it any more.";
			break;
		case OPEN:
			*problem = search.problem;
			break;
	}
	return FM_OUTCOME_UNKNOWN;
}
