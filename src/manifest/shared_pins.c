/*-------------------------------------------------------------------------
 *
 * shared_pins.c
 *	  HEADs that a parallel query reads, in shared memory.
 *
 * A few pins are in use at a time, as many as parallel queries run; they are
 * searched one by one.  Bytes are in chunks of an arena of fixed size.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "storage/lwlock.h"
#include "storage/shmem.h"

#include "manifest/shared_pins.h"

#define MAX_PINS 128
#define CHUNK_SIZE 16384
#define NCHUNKS 256				/* four HEADs of the greatest size */
#define NO_CHUNK (-1)

typedef struct SharedPin
{
	FmPinKey	key;
	bool		used;
	int32		first;			/* chunk */
	uint32		len;
} SharedPin;

typedef struct SharedPins
{
	LWLock		lock;
	int32		free_chunk;
	int32		nfree;
	SharedPin	pins[MAX_PINS];
	int32		next[NCHUNKS];
	uint8		chunks[NCHUNKS][CHUNK_SIZE];
} SharedPins;

static SharedPins *shared = NULL;

Size
fm_shared_pins_size(void)
{
	return sizeof(SharedPins);
}

void
fm_shared_pins_init(void)
{
	bool		found;
	int			i;

	shared = ShmemInitStruct("fusio_manifest pins", fm_shared_pins_size(),
							 &found);
	if (!found)
	{
		LWLockInitialize(&shared->lock, LWLockNewTrancheId());
		for (i = 0; i < MAX_PINS; i++)
			shared->pins[i].used = false;
		for (i = 0; i < NCHUNKS; i++)
			shared->next[i] = i + 1 < NCHUNKS ? i + 1 : NO_CHUNK;
		shared->free_chunk = 0;
		shared->nfree = NCHUNKS;
	}
	LWLockRegisterTranche(shared->lock.tranche, "FusioManifestPins");
}

bool
fm_shared_pins_available(void)
{
	return shared != NULL;
}

static SharedPin *
find_pin(const FmPinKey *key)
{
	int			i;

	for (i = 0; i < MAX_PINS; i++)
	{
		if (shared->pins[i].used &&
			memcmp(&shared->pins[i].key, key, sizeof(FmPinKey)) == 0)
			return &shared->pins[i];
	}
	return NULL;
}

bool
fm_shared_pins_find(const FmPinKey *key, FmSlice *bytes)
{
	SharedPin  *pin;
	uint8	   *copy;
	uint32		done;
	int32		chunk;

	LWLockAcquire(&shared->lock, LW_SHARED);
	pin = find_pin(key);
	if (pin == NULL)
	{
		LWLockRelease(&shared->lock);
		return false;
	}
	copy = palloc(pin->len + 1);
	chunk = pin->first;
	for (done = 0; done < pin->len; done += CHUNK_SIZE)
	{
		memcpy(copy + done, shared->chunks[chunk],
			   Min(pin->len - done, CHUNK_SIZE));
		chunk = shared->next[chunk];
	}
	*bytes = fm_slice(copy, pin->len);
	LWLockRelease(&shared->lock);
	return true;
}

FmPinResult
fm_shared_pins_add(const FmPinKey *key, FmSlice bytes)
{
	int32		needed = (int32) ((bytes.len + CHUNK_SIZE - 1) / CHUNK_SIZE);
	SharedPin  *pin = NULL;
	size_t		done;
	int32	   *link;
	int			i;

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	if (find_pin(key) != NULL)
	{
		LWLockRelease(&shared->lock);
		return FM_PIN_EXISTS;
	}
	for (i = 0; i < MAX_PINS && pin == NULL; i++)
	{
		if (!shared->pins[i].used)
			pin = &shared->pins[i];
	}
	if (pin == NULL || shared->nfree < needed)
	{
		LWLockRelease(&shared->lock);
		return FM_PIN_FULL;
	}
	pin->key = *key;
	pin->len = (uint32) bytes.len;
	pin->used = true;
	link = &pin->first;
	for (done = 0; done < bytes.len; done += CHUNK_SIZE)
	{
		int32		chunk = shared->free_chunk;

		shared->free_chunk = shared->next[chunk];
		shared->nfree--;
		memcpy(shared->chunks[chunk], bytes.data + done,
			   Min(bytes.len - done, CHUNK_SIZE));
		*link = chunk;
		link = &shared->next[chunk];
	}
	*link = NO_CHUNK;
	LWLockRelease(&shared->lock);
	return FM_PIN_ADDED;
}

static bool
has_snapshot_of(const FmPinKey *a, const FmPinKey *b)
{
	return a->xmin == b->xmin && a->xmax == b->xmax && a->curcid == b->curcid;
}

void
fm_shared_pins_drop(int32 leader, const FmPinKey *key)
{
	int			i;

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	for (i = 0; i < MAX_PINS; i++)
	{
		SharedPin  *pin = &shared->pins[i];

		if (!pin->used || pin->key.leader != leader ||
			(key != NULL && !has_snapshot_of(&pin->key, key)))
			continue;
		pin->used = false;
		while (pin->first != NO_CHUNK)
		{
			int32		chunk = pin->first;

			pin->first = shared->next[chunk];
			shared->next[chunk] = shared->free_chunk;
			shared->free_chunk = chunk;
			shared->nfree++;
		}
	}
	LWLockRelease(&shared->lock);
}
