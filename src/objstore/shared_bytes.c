/*-------------------------------------------------------------------------
 *
 * shared_bytes.c
 *	  Room in shared memory for bytes of any length: copies of HEAD, commits
 *	  that wait to be published together.
 *
 * An arena of chunks of one size, which cannot fragment.  The lock guards the
 * list of free ones; what is in the others is their owners' matter.  It is
 * taken under their locks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "storage/lwlock.h"
#include "storage/shmem.h"

#include "objstore/shared_bytes.h"

#define CHUNK_SIZE 8192
#define NCHUNKS 2048
#define NONE (-1)

typedef struct Arena
{
	LWLock		lock;
	int			free_chunk;
	int			nfree;
	int			next[NCHUNKS];	/* chunk; of free ones, and of an owner's */
	uint8		chunks[NCHUNKS][CHUNK_SIZE];
} Arena;

static Arena *arena = NULL;

Size
fm_shared_bytes_size(void)
{
	return sizeof(Arena);
}

void
fm_shared_bytes_init(void)
{
	bool		found;
	int			i;

	arena = ShmemInitStruct("fusio_manifest shared bytes",
							fm_shared_bytes_size(), &found);
	if (!found)
	{
		LWLockInitialize(&arena->lock, LWLockNewTrancheId());
		for (i = 0; i < NCHUNKS; i++)
			arena->next[i] = i + 1 < NCHUNKS ? i + 1 : NONE;
		arena->free_chunk = 0;
		arena->nfree = NCHUNKS;
	}
	LWLockRegisterTranche(arena->lock.tranche, "FusioManifestSharedBytes");
}

bool
fm_shared_bytes_put(FmSharedBytes *dest, FmSlice bytes, int reserve)
{
	int			n = (int) ((bytes.len + CHUNK_SIZE - 1) / CHUNK_SIZE);
	int			last;
	int			i;

	Assert(dest->len == 0);
	if (n == 0)
		return true;
	LWLockAcquire(&arena->lock, LW_EXCLUSIVE);
	if (n > arena->nfree - NCHUNKS / 100 * reserve)
	{
		LWLockRelease(&arena->lock);
		return false;
	}
	dest->first = last = arena->free_chunk;
	for (i = 1; i < n; i++)
		last = arena->next[last];
	arena->free_chunk = arena->next[last];
	arena->nfree -= n;
	LWLockRelease(&arena->lock);

	arena->next[last] = NONE;
	dest->len = (uint32) bytes.len;
	for (i = dest->first; i != NONE; i = arena->next[i])
	{
		size_t		some = Min(bytes.len, CHUNK_SIZE);

		memcpy(arena->chunks[i], bytes.data, some);
		bytes = fm_slice(bytes.data + some, bytes.len - some);
	}
	return true;
}

void
fm_shared_bytes_get(const FmSharedBytes *bytes, uint8 *dest)
{
	int			chunk = bytes->first;
	uint32		left = bytes->len;

	while (left > 0)
	{
		uint32		some = Min(left, CHUNK_SIZE);

		memcpy(dest, arena->chunks[chunk], some);
		dest += some;
		left -= some;
		chunk = arena->next[chunk];
	}
}

void
fm_shared_bytes_free(FmSharedBytes *bytes)
{
	int			n = 1;
	int			last;

	if (bytes->len == 0)
		return;
	for (last = bytes->first; arena->next[last] != NONE;
		 last = arena->next[last])
		n++;
	LWLockAcquire(&arena->lock, LW_EXCLUSIVE);
	arena->next[last] = arena->free_chunk;
	arena->free_chunk = bytes->first;
	arena->nfree += n;
	LWLockRelease(&arena->lock);
	bytes->len = 0;
}
