/*-------------------------------------------------------------------------
 *
 * outcome.h
 *	  What became of a compare-and-swap whose answer said nothing certain.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_OUTCOME_H
#define FM_OUTCOME_H

#include "format/head.h"
#include "objstore/store.h"

typedef enum FmOutcome
{
	FM_OUTCOME_APPLIED,
	FM_OUTCOME_NOT_APPLIED,		/* and never will be */
	FM_OUTCOME_REFUSED,			/* the same, though HEAD is unchanged */
	FM_OUTCOME_UNKNOWN
} FmOutcome;

/*
 * Was the swap of "expected" for "bytes", which hold a record of commit_id,
 * applied?  Swaps again while HEAD is unchanged, but only a few times if each
 * request, and the first one too ("refused"), was answered with a refusal.
 * It is unknown, for the reason in *problem, if it cannot be told within 30
 * seconds.  Any backend with the credentials for the store can ask.  To be
 * called with interrupts held.
 */
extern FmOutcome fm_outcome_find(FmStore *store,
								 const FmHeadIdentity *expected,
								 const FmId *commit_id, FmSlice bytes,
								 bool refused, const char **problem);

/* Raises 40003. */
extern void fm_outcome_raise_unknown(const FmId *commit_id,
									 const char *detail);

/* Raises 58030. */
extern void fm_outcome_raise_refused(const FmStore *store);

#endif							/* FM_OUTCOME_H */
