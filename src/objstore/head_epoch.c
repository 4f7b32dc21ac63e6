/*-------------------------------------------------------------------------
 *
 * head_epoch.c
 *	  Which HEADs this cluster has replaced, counted in shared memory.
 *
 * Locations share counters by hash: at worst, one asks once too often.
 * Without shared memory a session counts for itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/atomics.h"
#include "storage/shmem.h"

#include "base/checksum.h"
#include "objstore/head_epoch.h"

#define NCOUNTERS 1024

static pg_atomic_uint64 *shared_counters = NULL;
static uint64 private_counters[NCOUNTERS];

Size
fm_head_epochs_size(void)
{
	return sizeof(pg_atomic_uint64) * NCOUNTERS;
}

void
fm_head_epochs_init(void)
{
	bool		found;
	int			i;

	shared_counters = ShmemInitStruct("fusio_manifest HEAD epochs",
									  fm_head_epochs_size(), &found);
	for (i = 0; !found && i < NCOUNTERS; i++)
		pg_atomic_init_u64(&shared_counters[i], 0);
}

static uint64
counter_of(const char *location)
{
	return fm_xxh3_64(fm_slice(location, strlen(location)), 0) % NCOUNTERS;
}

uint64
fm_head_epoch(const char *location)
{
	uint64		i = counter_of(location);

	return shared_counters == NULL ? private_counters[i] :
		pg_atomic_read_u64(&shared_counters[i]);
}

void
fm_head_replaced(const char *location)
{
	uint64		i = counter_of(location);

	if (shared_counters == NULL)
		private_counters[i]++;
	else
		pg_atomic_fetch_add_u64(&shared_counters[i], 1);
}
