/*-------------------------------------------------------------------------
 *
 * seen_heads.c
 *	  The highest HEAD that this cluster has seen of each store.
 *
 * A place for each (location, endpoint, store id), in shared memory if there
 * is some, else private; it never goes.  Its key is set before others can
 * find it; the rest is under its spinlock.  The same place may have another
 * store later, and a copy of a store may be used beside it: both are apart.
 *
 * The file of a place, "fusio_manifest/<key>" in the data directory, follows
 * at most every SAVE_INTERVAL_MS, and when the server, or a session without
 * shared memory, ends: what a crash forgets is no more than that.  It is one
 * line, replaced by rename, and never goes back itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file_perm.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/checksum.h"
#include "manifest/seen_heads.h"

#define DIRECTORY "fusio_manifest"
#define PATH_SIZE 128
#define MAX_SHARED 512			/* stores; further ones are private */
#define SAVE_INTERVAL_MS 10000

struct FmSeenHead
{
	FmId		key;
	slock_t		lock;
	FmHeadIdentity highest;		/* incarnation 0: none */
	FmHeadIdentity saved;		/* what the file has */
	TimestampTz saved_at;		/* when that was begun last */
};

typedef struct SharedHeads
{
	LWLock		lock;			/* of nheads and of adding */
	int			nheads;
	FmSeenHead	heads[MAX_SHARED];
} SharedHeads;

typedef struct PrivateHead
{
	FmSeenHead	head;
	slist_node	node;
}			PrivateHead;

static SharedHeads *shared = NULL;
static slist_head private_heads = SLIST_STATIC_INIT(private_heads);

static bool
is_higher(const FmHeadIdentity *a, const FmHeadIdentity *b)
{
	return a->incarnation > b->incarnation ||
		(a->incarnation == b->incarnation && a->version > b->version);
}

FmHeadIdentity
fm_head_identity(const FmHead *head)
{
	FmHeadIdentity identity;

	identity.store_id = head->store_id;
	identity.incarnation = head->incarnation;
	identity.version = head->version;
	identity.commit_id = head->commit_id;
	return identity;
}

bool
fm_seen_forbids(const FmHeadIdentity *highest, const FmHead *head)
{
	uint32		i;

	if (head->incarnation != highest->incarnation)
		return head->incarnation < highest->incarnation;
	if (head->version <= highest->version)
		return head->version < highest->version ||
			!fm_id_eq(&head->commit_id, &highest->commit_id);
	for (i = 0; i < head->nrecords; i++)
	{
		if (head->records[i].version == highest->version + 1)
			return !fm_id_eq(&head->records[i].previous,
							 &highest->commit_id);
	}
	return false;
}

FmHeadIdentity
fm_seen_highest(FmSeenHead * seen)
{
	FmHeadIdentity highest;

	SpinLockAcquire(&seen->lock);
	highest = seen->highest;
	SpinLockRelease(&seen->lock);
	return highest;
}

void
fm_seen_note(FmSeenHead * seen, const FmHeadIdentity *identity)
{
	SpinLockAcquire(&seen->lock);
	if (is_higher(identity, &seen->highest))
		seen->highest = *identity;
	SpinLockRelease(&seen->lock);
}

static void
make_path(const FmSeenHead * seen, char path[PATH_SIZE])
{
	char		hex[33];

	fm_id_to_hex(&seen->key, hex);
	snprintf(path, PATH_SIZE, "%s/%s", DIRECTORY, hex);
}

static bool
parse_id(const char *hex, FmId *id)
{
	int			i;

	if (strlen(hex) != 2 * sizeof(id->bytes))
		return false;
	for (i = 0; i < (int) sizeof(id->bytes); i++)
	{
		unsigned int byte;

		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return false;
		id->bytes[i] = (uint8) byte;
	}
	return true;
}

/* Reads a file; false if there is none, or none that can be believed. */
static bool
load(const char *path, FmHeadIdentity *identity)
{
	char		store_id[33];
	char		commit_id[33];
	unsigned long long incarnation;
	unsigned long long version;
	FILE	   *file = AllocateFile(path, PG_BINARY_R);
	char		line[256];
	bool		read;

	if (file == NULL)
	{
		if (errno != ENOENT)
			ereport(LOG,
					(errcode_for_file_access(),
					 errmsg("could not open file \"%s\": %m", path)));
		return false;
	}
	read = fgets(line, sizeof(line), file) != NULL;
	FreeFile(file);
	if (!read ||
		sscanf(line, "store %32[0-9a-f] incarnation %llu version %llu commit %32[0-9a-f]\n",
			   store_id, &incarnation, &version, commit_id) != 4 ||
		!parse_id(store_id, &identity->store_id) ||
		!parse_id(commit_id, &identity->commit_id))
	{
		ereport(LOG,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("ignoring invalid file \"%s\"", path),
				 errdetail("It says which HEAD of a store was the last one seen.")));
		return false;
	}
	identity->incarnation = incarnation;
	identity->version = version;
	return true;
}

static bool
make_directory(void)
{
	bool		made = MakePGDirectory(DIRECTORY) == 0;
	int			parent = -1;

	if (!made && errno == EEXIST)
		return true;
	if (made)
		parent = OpenTransientFile(".", O_RDONLY | PG_BINARY);
	made = parent >= 0 && pg_fsync(parent) == 0;
	if (!made)
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not create directory \"%s\": %m", DIRECTORY)));
	if (parent >= 0)
		CloseTransientFile(parent);
	return made;
}

/* True if the file is there and durable. */
static bool
store_file(const char *path, const FmHeadIdentity *identity)
{
	char		tmp[PATH_SIZE + 16];
	char		store_id[33];
	char		commit_id[33];
	FILE	   *file;
	bool		written;

	if (!make_directory())
		return false;
	snprintf(tmp, sizeof(tmp), "%s.%d.tmp", path, MyProcPid);
	file = AllocateFile(tmp, PG_BINARY_W);
	if (file == NULL)
	{
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not create file \"%s\": %m", tmp)));
		return false;
	}
	fm_id_to_hex(&identity->store_id, store_id);
	fm_id_to_hex(&identity->commit_id, commit_id);
	written = fprintf(file, "store %s incarnation %llu version %llu commit %s\n",
					  store_id, (unsigned long long) identity->incarnation,
					  (unsigned long long) identity->version, commit_id) > 0;
	if (FreeFile(file) != 0 || !written)
	{
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not write file \"%s\": %m", tmp)));
		unlink(tmp);
		return false;
	}
	return durable_rename(tmp, path, LOG) == 0;
}

/* What others have written meanwhile may be higher. */
static void
save(FmSeenHead * seen, const FmHeadIdentity *highest)
{
	FmHeadIdentity found;
	char		path[PATH_SIZE];

	make_path(seen, path);
	if (!load(path, &found) || is_higher(highest, &found))
	{
		if (!store_file(path, highest))
			return;
		found = *highest;
	}
	SpinLockAcquire(&seen->lock);
	seen->saved = found;
	SpinLockRelease(&seen->lock);
}

/*
 * A HEAD that can be read in a directory may not be durable yet: after a
 * crash, none but a durable one may be remembered.
 */
void
fm_seen_save(FmSeenHead * seen, FmStore *store, bool at_once)
{
	FmHeadIdentity highest;
	FmHeadIdentity saved;
	TimestampTz saved_at;
	TimestampTz now;

	SpinLockAcquire(&seen->lock);
	highest = seen->highest;
	saved = seen->saved;
	saved_at = seen->saved_at;
	SpinLockRelease(&seen->lock);
	if (!is_higher(&highest, &saved))
		return;
	now = GetCurrentTimestamp();
	if (!at_once &&
		!TimestampDifferenceExceeds(saved_at, now, SAVE_INTERVAL_MS))
		return;
	SpinLockAcquire(&seen->lock);
	seen->saved_at = now;
	SpinLockRelease(&seen->lock);
	if (store->ops->sync_head == NULL || store->ops->sync_head(store))
		save(seen, &highest);
}

static void
save_at_exit(FmSeenHead * seen)
{
	FmHeadIdentity highest = fm_seen_highest(seen);

	if (is_higher(&highest, &seen->saved))
		save(seen, &highest);
}

/* The server has ended in good order. */
static void
save_shared(int code, Datum arg)
{
	int			i;

	if (code != 0)
		return;
	for (i = 0; i < shared->nheads; i++)
		save_at_exit(&shared->heads[i]);
}

static void
save_private(int code, Datum arg)
{
	slist_iter	iter;

	slist_foreach(iter, &private_heads)
		save_at_exit(&slist_container(PrivateHead, node, iter.cur)->head);
}

static FmId
make_key(const FmStore *store, const FmId *store_id)
{
	const char *location = store->options.location;
	const char *endpoint = store->options.endpoint;
	FmSum128	sum;
	FmId		key;
	char	   *text;

	/* Neither has spaces, and an id needs no digits here. */
	text = psprintf("%s %s", location, endpoint == NULL ? "" : endpoint);

	sum = fm_xxh3_128(fm_slice(text, strlen(text)),
					  fm_xxh3_64(fm_slice(store_id->bytes,
										  sizeof(store_id->bytes)), 0));
	pfree(text);
	StaticAssertStmt(sizeof(sum) == sizeof(key), "a key is a hash");
	memcpy(&key, &sum, sizeof(key));
	return key;
}

static FmSeenHead *
find_shared(const FmId *key)
{
	int			i;

	for (i = 0; i < shared->nheads; i++)
	{
		if (fm_id_eq(&shared->heads[i].key, key))
			return &shared->heads[i];
	}
	return NULL;
}

static FmSeenHead *
find_private(const FmId *key)
{
	slist_iter	iter;

	slist_foreach(iter, &private_heads)
	{
		PrivateHead *private = slist_container(PrivateHead, node, iter.cur);

		if (fm_id_eq(&private->head.key, key))
			return &private->head;
	}
	return NULL;
}

/* NULL: there is no room. */
static FmSeenHead *
add_shared(const FmSeenHead * new)
{
	FmSeenHead *seen;

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	seen = find_shared(&new->key);
	if (seen == NULL && shared->nheads < MAX_SHARED)
	{
		seen = &shared->heads[shared->nheads];
		*seen = *new;
		SpinLockInit(&seen->lock);
		shared->nheads++;
	}
	LWLockRelease(&shared->lock);
	return seen;
}

static FmSeenHead *
add_private(const FmSeenHead * new)
{
	PrivateHead *private;

	if (slist_is_empty(&private_heads))
		before_shmem_exit(save_private, (Datum) 0);
	private = MemoryContextAlloc(TopMemoryContext, sizeof(PrivateHead));
	private->head = *new;
	SpinLockInit(&private->head.lock);
	slist_push_head(&private_heads, &private->node);
	return &private->head;
}

FmSeenHead *
fm_seen_find(const FmStore *store, const FmId *store_id)
{
	FmSeenHead *seen = NULL;
	FmSeenHead	new;
	char		path[PATH_SIZE];

	memset(&new, 0, sizeof(new));
	new.key = make_key(store, store_id);
	if (shared != NULL)
	{
		LWLockAcquire(&shared->lock, LW_SHARED);
		seen = find_shared(&new.key);
		LWLockRelease(&shared->lock);
	}
	if (seen == NULL)
		seen = find_private(&new.key);
	if (seen != NULL)
		return seen;
	make_path(&new, path);
	if (!load(path, &new.saved) ||
		!fm_id_eq(&new.saved.store_id, store_id))
		memset(&new.saved, 0, sizeof(new.saved));
	new.highest = new.saved;
	new.highest.store_id = *store_id;
	if (shared != NULL)
		seen = add_shared(&new);
	return seen != NULL ? seen : add_private(&new);
}

Size
fm_seen_shmem_size(void)
{
	return sizeof(SharedHeads);
}

void
fm_seen_shmem_init(void)
{
	bool		found;

	shared = ShmemInitStruct("fusio_manifest seen HEADs",
							 fm_seen_shmem_size(), &found);
	if (!found)
	{
		LWLockInitialize(&shared->lock, LWLockNewTrancheId());
		shared->nheads = 0;
	}
	LWLockRegisterTranche(shared->lock.tranche, "FusioManifestSeen");
	if (!IsUnderPostmaster)
		on_shmem_exit(save_shared, (Datum) 0);
}
