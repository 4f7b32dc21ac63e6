/*-------------------------------------------------------------------------
 *
 * fitness.c
 *	  Which places have failed a probe, and so are only read by this cluster.
 *
 * Their hashes are kept in shared memory, without it in the session, until a
 * probe succeeds or the server ends.  Of more than MAX_UNFIT places some are
 * forgotten.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/atomics.h"
#include "storage/shmem.h"

#include "base/checksum.h"
#include "objstore/fitness.h"

#define MAX_UNFIT 64

/* Of each a hash, 0: none. */
static pg_atomic_uint64 private_unfit[MAX_UNFIT];
static pg_atomic_uint64 *unfit = private_unfit;

Size
fm_fitness_size(void)
{
	return sizeof(pg_atomic_uint64) * MAX_UNFIT;
}

void
fm_fitness_init(void)
{
	bool		found;
	int			i;

	unfit = ShmemInitStruct("fusio_manifest fitness", fm_fitness_size(),
							&found);
	for (i = 0; !found && i < MAX_UNFIT; i++)
		pg_atomic_init_u64(&unfit[i], 0);
}

static uint64
hash_of(const char *location, const char *endpoint)
{
	uint64		hash = fm_xxh3_64(fm_slice(location, strlen(location)), 0);

	if (endpoint != NULL)
		hash = fm_xxh3_64(fm_slice(endpoint, strlen(endpoint)), hash);
	return Max(hash, 1);
}

void
fm_fitness_note(const char *location, const char *endpoint, bool fit)
{
	uint64		hash = hash_of(location, endpoint);
	int			place = (int) (hash % MAX_UNFIT);
	int			i;

	for (i = 0; i < MAX_UNFIT; i++)
	{
		uint64		other = pg_atomic_read_u64(&unfit[i]);

		if (other == hash && fit)
			(void) pg_atomic_compare_exchange_u64(&unfit[i], &other, 0);
		else if (other == hash)
			return;
		else if (other == 0)
			place = i;
	}
	if (!fit)
		pg_atomic_write_u64(&unfit[place], hash);
}

bool
fm_is_fit(const char *location, const char *endpoint)
{
	uint64		hash = hash_of(location, endpoint);
	int			i = 0;

	while (i < MAX_UNFIT && pg_atomic_read_u64(&unfit[i]) != hash)
		i++;
	return i == MAX_UNFIT;
}
