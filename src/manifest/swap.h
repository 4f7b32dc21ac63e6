/*-------------------------------------------------------------------------
 *
 * swap.h
 *	  The next HEAD: one record more in the log, and the compare-and-swap.
 *
 * For manifest/ only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_SWAP_H
#define FM_SWAP_H

#include "manifest/commit.h"

typedef enum FmSwapResult
{
	FM_SWAPPED,
	FM_SWAP_LOST,				/* another HEAD was published: start again */
	FM_SWAP_GIVEN_UP			/* by request->sending */
} FmSwapResult;

/* A record that follows HEAD's last one; the caller fills the changes. */
extern FmCommitRecord fm_swap_next_record(FmStore *store, const FmHead *head,
										  const FmId *commit_id);

/*
 * Waits a little after "tries" lost races since start; raises 40001 when time
 * is up.
 */
extern void fm_swap_back_off(FmStore *store, TimestampTz start, int tries);

/*
 * Appends the record to "head", which follows the manifest's, encodes it and
 * swaps it in, with the pages in it that HEAD names no longer.  Raises 40003 if the outcome cannot be known.  request is NULL
 * for what is no transaction's.
 */
extern FmSwapResult fm_swap_head(FmManifest *manifest, FmHead *head,
								 const FmCommitRecord *record,
								 TimestampTz deadline,
								 FmCommitRequest *request);

#endif							/* FM_SWAP_H */
