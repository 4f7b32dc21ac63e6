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

/*
 * True if the swap of "expected" for "bytes", which hold a record of
 * commit_id, was applied; false if it was not and never will be.  Swaps again
 * while HEAD is unchanged.  Raises 40003 if it cannot be told within 30
 * seconds.  To be called with interrupts held.
 */
extern bool fm_outcome_resolve(FmStore *store, const FmHeadIdentity *expected,
							   const FmId *commit_id, FmSlice bytes);

/* Raises 40003. */
extern void fm_outcome_raise_unknown(const FmId *commit_id,
									 const char *detail);

#endif							/* FM_OUTCOME_H */
