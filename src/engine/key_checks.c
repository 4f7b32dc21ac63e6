/*-------------------------------------------------------------------------
 *
 * key_checks.c
 *	  Keys that must not be in a table's runs, collected to be looked up
 *	  together.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "engine/key_checks.h"

struct FmKeyChecks
{
	MemoryContext context;		/* of the keys' bytes */
	FmLookupKey keys[FM_LOOKUP_BATCH];
	int			n;
	bool		done;			/* they were looked up */
};

FmKeyChecks *
fm_key_checks_create(void)
{
	FmKeyChecks *checks = palloc(sizeof(FmKeyChecks));

	checks->context = AllocSetContextCreate(CurrentMemoryContext,
											"fusio_manifest key checks",
											ALLOCSET_DEFAULT_SIZES);
	checks->n = 0;
	checks->done = false;
	return checks;
}

bool
fm_key_checks_add(FmKeyChecks *checks, FmSlice key, uint64 hash)
{
	uint8	   *copy;

	if (checks->done)
	{
		MemoryContextReset(checks->context);
		checks->n = 0;
		checks->done = false;
	}
	copy = MemoryContextAlloc(checks->context, key.len);
	memcpy(copy, key.data, key.len);
	checks->keys[checks->n].key = fm_slice(copy, key.len);
	checks->keys[checks->n++].hash = hash;
	return checks->n == FM_LOOKUP_BATCH;
}

const FmLookupKey *
fm_key_checks_run(FmKeyChecks *checks, FmLookup *lookup)
{
	FmSlice		row;
	int			i;

	if (checks->done || checks->n == 0)
		return NULL;
	checks->done = true;
	fm_lookup_read_ahead(lookup, checks->keys, checks->n);
	for (i = 0; i < checks->n; i++)
	{
		if (fm_lookup_find(lookup, checks->keys[i].key, checks->keys[i].hash,
						   &row) == FM_LOOKUP_ROW)
			return &checks->keys[i];
	}
	return NULL;
}
