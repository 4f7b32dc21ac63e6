/*-------------------------------------------------------------------------
 *
 * local_head.c
 *	  The store in a directory: reading HEAD and replacing it.
 *
 * HEAD is replaced by rename and never written in place, so that one inode
 * holds one HEAD for ever.  Who remembers a HEAD keeps its file open: while
 * it is, no other file can have its inode number, and HEAD is unchanged if
 * and only if the path still leads to that (device, inode).  Neither times
 * nor the number alone would do, as both recur.  The descriptor is a raw one,
 * since a virtual file might be closed and opened again behind our back.
 *
 * Replacing compares and renames under an exclusive lock on HEAD.lock, which
 * is never unlinked: a lock on a file that has left the directory excludes
 * nobody.  The lock belongs to the open file, and so dies with the process.
 * The new HEAD is durable in HEAD.tmp before the rename publishes it; what
 * fails up to there raises, and HEAD surely stays.  After the rename nothing
 * raises: if the directory cannot be synced, a crash may still undo it, and
 * the outcome is unknown.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "objstore/local.h"
#include "objstore/pg_status.h"
#include "objstore/wait_events.h"

#define LOCK_MIN_DELAY_MS 1
#define LOCK_MAX_DELAY_MS 20

struct FmHeadTag
{
	int			fd;				/* raw; -1 before it was opened */
	bool		acquired;		/* counted by AcquireExternalFD */
	dev_t		dev;
	ino_t		ino;
	dlist_node	node;			/* in the store's tags */
};

static void
raise_head_error(const char *path, const char *format)
{
	int			err = errno;

	ereport(ERROR,
			(errcode_for_file_access(),
			 errmsg_internal(format, path),
			 fm_local_errhint(err)));
}

static void
free_tag(FmHeadTag *tag)
{
	if (tag->fd >= 0)
		close(tag->fd);
	if (tag->acquired)
		ReleaseExternalFD();
	dlist_delete(&tag->node);
	pfree(tag);
}

void
fm_local_free_tag(FmStore *store, FmHeadTag *tag)
{
	if (tag != NULL)
		free_tag(tag);
}

void
fm_local_free_tags(FmLocalStore *store)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &store->tags)
		free_tag(dlist_container(FmHeadTag, node, iter.cur));
	store->unfinished = NULL;
}

/*
 * Reads a whole HEAD from its start; palloc'd.  Its size is bounded before
 * memory is taken for it.
 */
static FmSlice
read_head_file(FmLocalStore *store, int fd, const struct stat *st,
			   const char *path)
{
	Size		size = st->st_size;
	Size		done = 0;
	uint8	   *bytes;
	FmFault		fault;

	if (!S_ISREG(st->st_mode))
	{
		fm_fault(&fault, FM_CORRUPTION, "it is not a regular file", 0);
		fm_raise_head_fault(&store->base, &fault);
	}
	if (st->st_size > FM_HEAD_MAX_SIZE)
	{
		fm_fault(&fault, FM_CORRUPTION, "it is larger than a HEAD can be", 0);
		fm_raise_head_fault(&store->base, &fault);
	}
	bytes = palloc(Max(size, 1));
	while (done < size)
	{
		ssize_t		n;

		pgstat_report_wait_start(fm_wait_event(FM_WAIT_HEAD_READ));
		n = pread(fd, bytes + done, size - done, done);
		pgstat_report_wait_end();
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			raise_head_error(path, "could not read file \"%s\": %m");
		if (n == 0)
			break;				/* cut by somebody: its checksum will tell */
		done += n;
	}
	return fm_slice(bytes, done);
}

FmHeadReadResult
fm_local_read_head(FmStore *base, FmHeadTag **tag, FmPendingHead *started,
				   FmSlice *bytes)
{
	FmLocalStore *store = (FmLocalStore *) base;
	char		path[FM_LOCAL_PATH_SIZE];
	struct stat st;
	FmHeadTag  *new;

	fm_local_path(store, "HEAD", path);
	if (*tag != NULL)
	{
		if (stat(path, &st) == 0)
		{
			if (st.st_dev == (*tag)->dev && st.st_ino == (*tag)->ino)
				return FM_HEAD_UNCHANGED;
		}
		else if (errno != ENOENT)
			raise_head_error(path, "could not access file \"%s\": %m");
	}
	else if (!fm_local_check_place(store))
		return FM_HEAD_MISSING;

	if (store->unfinished != NULL)
	{
		free_tag(store->unfinished);
		store->unfinished = NULL;
	}
	new = MemoryContextAllocZero(base->context, sizeof(FmHeadTag));
	new->fd = -1;
	dlist_push_tail(&store->tags, &new->node);
	store->unfinished = new;
	new->acquired = AcquireExternalFD();
	if (!new->acquired)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not open HEAD of server \"%s\"",
						base->options.servername),
				 errdetail("This session keeps too many files open."),
				 errhint("Raise \"max_files_per_process\", or use fewer servers in a session.")));
	new->fd = BasicOpenFile(path, O_RDONLY | O_CLOEXEC | PG_BINARY);
	if (new->fd < 0)
	{
		if (errno != ENOENT)
			raise_head_error(path, "could not open file \"%s\": %m");
		if (*tag != NULL)
			raise_head_error(path, "file \"%s\" was removed while in use");
		free_tag(new);
		store->unfinished = NULL;
		store->checked = false;
		return FM_HEAD_MISSING;
	}
	if (fstat(new->fd, &st) != 0)
		raise_head_error(path, "could not stat file \"%s\": %m");
	new->dev = st.st_dev;
	new->ino = st.st_ino;
	*bytes = read_head_file(store, new->fd, &st, path);
	store->unfinished = NULL;
	if (*tag != NULL)
		free_tag(*tag);
	*tag = new;
	return FM_HEAD_READ;
}

/* Waits before the lock is tried again. */
static void
sleep_for_lock(int delay_ms)
{
	(void) WaitLatch(MyLatch,
					 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 delay_ms, fm_wait_event(FM_WAIT_HEAD_LOCK));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/*
 * Opens HEAD.lock and takes the lock, by polling, so that cancel acts.  The
 * file is a transient one: an error lets go of it.
 */
static int
lock_head(FmLocalStore *store, TimestampTz deadline)
{
	char		path[FM_LOCAL_PATH_SIZE];
	struct stat locked;
	struct stat named;
	int			delay_ms = LOCK_MIN_DELAY_MS;
	int			fd;

	fm_local_path(store, "HEAD.lock", path);
	fd = OpenTransientFilePerm(path, O_RDWR | O_CREAT | PG_BINARY,
							   S_IRUSR | S_IWUSR);
	if (fd < 0)
		raise_head_error(path, "could not open file \"%s\": %m");
	while (flock(fd, LOCK_EX | LOCK_NB) != 0)
	{
		if (errno != EWOULDBLOCK && errno != EINTR)
			raise_head_error(path, "could not lock file \"%s\": %m");
		if (GetCurrentTimestamp() >= deadline)
			ereport(ERROR,
					(errcode(ERRCODE_QUERY_CANCELED),
					 errmsg("canceling commit due to commit timeout"),
					 errdetail("Other commits hold the lock of server \"%s\".",
							   store->base.options.servername),
					 errhint("Raise \"fusio_manifest.commit_timeout\", or try again.")));
		/* Those who wait must not all come back at once. */
		sleep_for_lock(1 + (int) pg_prng_uint64_range(&pg_global_prng_state,
													  0, delay_ms));
		delay_ms = Min(delay_ms * 2, LOCK_MAX_DELAY_MS);
	}

	/* A location that was removed and made anew has another lock file. */
	if (fstat(fd, &locked) != 0)
		raise_head_error(path, "could not stat file \"%s\": %m");
	if (stat(path, &named) != 0)
		raise_head_error(path, "could not access file \"%s\": %m");
	if (locked.st_dev != named.st_dev || locked.st_ino != named.st_ino)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("location \"%s\" was replaced while in use",
						store->path)));
	return fd;
}

static bool
same_head(const FmHeadIdentity *a, const FmHeadIdentity *b)
{
	return fm_id_eq(&a->store_id, &b->store_id) &&
		a->incarnation == b->incarnation &&
		a->version == b->version &&
		fm_id_eq(&a->commit_id, &b->commit_id);
}

/* True if HEAD is what is expected; under the lock. */
static bool
head_is_expected(FmLocalStore *store, const FmHeadIdentity *expected)
{
	char		path[FM_LOCAL_PATH_SIZE];
	FmHeadIdentity found;
	struct stat st;
	FmFault		fault;
	FmSlice		bytes;
	int			fd;

	fm_local_path(store, "HEAD", path);
	fd = OpenTransientFile(path, O_RDONLY | PG_BINARY);
	if (fd < 0)
	{
		if (errno == ENOENT && expected == NULL)
			return true;
		raise_head_error(path, "could not open file \"%s\": %m");
	}
	if (expected == NULL)
	{
		CloseTransientFile(fd);
		return false;
	}
	if (fstat(fd, &st) != 0)
		raise_head_error(path, "could not stat file \"%s\": %m");
	bytes = read_head_file(store, fd, &st, path);
	CloseTransientFile(fd);
	if (fm_head_identify(bytes, &found, &fault) != FM_OK)
		fm_raise_head_fault(&store->base, &fault);
	pfree(unconstify(uint8 *, bytes.data));
	return same_head(&found, expected);
}

/* Raises, without HEAD.tmp, which may be what a full disk lacks. */
static void
raise_tmp_error(const char *path, const char *format)
{
	int			err = errno;

	unlink(path);
	errno = err;
	raise_head_error(path, format);
}

/* Makes the next HEAD durable in HEAD.tmp; under the lock. */
static void
write_tmp(const char *path, FmSlice bytes)
{
	bool		written;
	int			rc;
	int			fd;

	/* What a crash left there may not be written to: see local_writer.c. */
	if (unlink(path) != 0 && errno != ENOENT)
		raise_head_error(path, "could not remove file \"%s\": %m");
	fd = OpenTransientFilePerm(path, O_WRONLY | O_CREAT | O_EXCL | PG_BINARY,
							   S_IRUSR | S_IWUSR);
	if (fd < 0)
		raise_head_error(path, "could not create file \"%s\": %m");
	pgstat_report_wait_start(fm_wait_event(FM_WAIT_HEAD_WRITE));
	written = fm_local_write(fd, bytes);
	pgstat_report_wait_end();
	if (!written)
		raise_tmp_error(path, "could not write to file \"%s\": %m");
	pgstat_report_wait_start(fm_wait_event(FM_WAIT_HEAD_SYNC));
	rc = pg_fsync(fd);
	pgstat_report_wait_end();
	if (rc != 0)
		raise_tmp_error(path, "could not fsync file \"%s\": %m");
	if (CloseTransientFile(fd) != 0)
		raise_tmp_error(path, "could not close file \"%s\": %m");
}

/*
 * The publishing step.  directory is open already, and the wait event known,
 * since nothing may raise once HEAD is replaced.
 */
static FmCasResult
publish(FmLocalStore *store, int directory, const char *tmp)
{
	uint32		event = fm_wait_event(FM_WAIT_HEAD_SYNC);
	FmCasResult result = FM_CAS_APPLIED;
	char		path[FM_LOCAL_PATH_SIZE];
	int			rc;

	fm_local_path(store, "HEAD", path);
	CHECK_FOR_INTERRUPTS();
	HOLD_INTERRUPTS();
	if (rename(tmp, path) != 0)
		raise_tmp_error(tmp, "could not rename file \"%s\": %m");
	pgstat_report_wait_start(event);
	rc = pg_fsync(directory);
	pgstat_report_wait_end();
	if (rc != 0)
	{
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not fsync directory \"%s\": %m", store->path),
				 errdetail("HEAD of server \"%s\" was replaced, and may be lost in a crash.",
						   store->base.options.servername)));
		result = FM_CAS_NOT_DURABLE;
	}
	RESUME_INTERRUPTS();
	return result;
}

FmCasResult
fm_local_cas_head(FmStore *base, const FmHeadIdentity *expected,
				  FmSlice bytes, TimestampTz deadline)
{
	FmLocalStore *store = (FmLocalStore *) base;
	FmCasResult result = FM_CAS_LOST;
	char		tmp[FM_LOCAL_PATH_SIZE];
	int			directory;
	int			lock;

	fm_local_check_writable(store);
	if (expected == NULL)
		fm_local_make_place(store);
	lock = lock_head(store, deadline);
	if (head_is_expected(store, expected))
	{
		fm_local_path(store, "HEAD.tmp", tmp);
		directory = OpenTransientFile(store->path, O_RDONLY | PG_BINARY);
		if (directory < 0)
			raise_head_error(store->path,
							 "could not open directory \"%s\": %m");
		write_tmp(tmp, bytes);
		result = publish(store, directory, tmp);
		CloseTransientFile(directory);
	}
	CloseTransientFile(lock);
	return result;
}

void
fm_local_remove_tmp(FmLocalStore *store)
{
	char		path[FM_LOCAL_PATH_SIZE];
	int			lock = lock_head(store, DT_NOEND);

	fm_local_path(store, "HEAD.tmp", path);
	if (unlink(path) != 0 && errno != ENOENT)
		raise_head_error(path, "could not remove file \"%s\": %m");
	CloseTransientFile(lock);
}

/* Who replaces HEAD has synced its file already. */
bool
fm_local_sync_head(FmStore *base)
{
	FmLocalStore *store = (FmLocalStore *) base;
	int			directory = OpenTransientFile(store->path,
											  O_RDONLY | PG_BINARY);
	bool		synced = false;

	if (directory >= 0)
	{
		pgstat_report_wait_start(fm_wait_event(FM_WAIT_HEAD_SYNC));
		synced = pg_fsync(directory) == 0;
		pgstat_report_wait_end();
	}
	if (!synced)
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not fsync directory \"%s\": %m", store->path)));
	if (directory >= 0)
		CloseTransientFile(directory);
	return synced;
}
