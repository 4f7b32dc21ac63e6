/*-------------------------------------------------------------------------
 *
 * key_checks.h
 *	  Keys that must not be in a table's runs, collected to be looked up
 *	  together.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_KEY_CHECKS_H
#define FM_KEY_CHECKS_H

#include "engine/lookup.h"

typedef struct FmKeyChecks FmKeyChecks;

/* Lives in a child of the current memory context. */
extern FmKeyChecks *fm_key_checks_create(void);

/* Adds a key, which is copied; true if it is time to run the checks. */
extern bool fm_key_checks_add(FmKeyChecks *checks, FmSlice key, uint64 hash);

/*
 * Looks all of them up.  One that is in the runs, or NULL; its bytes live
 * until the next key is added.
 */
extern const FmLookupKey *fm_key_checks_run(FmKeyChecks *checks,
											FmLookup *lookup);

#endif							/* FM_KEY_CHECKS_H */
