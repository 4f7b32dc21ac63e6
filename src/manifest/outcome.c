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
 *	  requests meets the expected HEAD.
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

typedef enum Finding
{
	FOUND,
	LOST,
	OPEN,						/* HEAD is unchanged, or was not to be read */
	FORGOTTEN					/* the log does not reach back to it */
} Finding;

/* Looks once; swaps again if HEAD is unchanged. */
static Finding
look(FmStore *store, const FmHeadIdentity *expected, const FmId *commit_id,
	 FmSlice bytes)
{
	FmManifest *manifest = fm_manifest_current(store);
	const FmHead *head = manifest->head;
	uint64		version;

	if (manifest->exists && head->version == expected->version &&
		fm_id_eq(&head->commit_id, &expected->commit_id))
		return store->ops->cas_head(store, expected, bytes, DT_NOEND) ==
			FM_CAS_APPLIED ? FOUND : OPEN;
	switch (fm_log_find(manifest, expected->version, commit_id, &version))
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
 * The same, with what went wrong in *problem.  An error lets go of held
 * interrupts, which have to stay held.
 */
static Finding
try_look(FmStore *store, const FmHeadIdentity *expected,
		 const FmId *commit_id, FmSlice bytes, MemoryContext context,
		 const char **problem)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	uint32		held = InterruptHoldoffCount;
	volatile Finding finding = OPEN;

	PG_TRY();
	{
		finding = look(store, expected, commit_id, bytes);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		InterruptHoldoffCount = held;
		MemoryContextSwitchTo(old);
		error = CopyErrorData();
		FlushErrorState();
		*problem = error->message;
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

FmOutcome
fm_outcome_find(FmStore *store, const FmHeadIdentity *expected,
				const FmId *commit_id, FmSlice bytes, const char **problem)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "fusio_manifest outcome",
												  ALLOCSET_DEFAULT_SIZES);
	int64		deadline_us = fm_monotonic_us() + RESOLVE_TIMEOUT_US;
	TimestampTz deadline = store->deadline;
	Finding		finding;

	Assert(InterruptHoldoffCount > 0);
	*problem = "HEAD was unchanged to the end.";
	store->deadline = GetCurrentTimestamp() + RESOLVE_TIMEOUT_US;
	for (;;)
	{
		finding = try_look(store, expected, commit_id, bytes, context,
						   problem);
		if (finding != OPEN || fm_monotonic_us() >= deadline_us)
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
		case FORGOTTEN:
			*problem = "The commit log does not reach back to it any more.";
			break;
		case OPEN:
			break;
	}
	return FM_OUTCOME_UNKNOWN;
}
