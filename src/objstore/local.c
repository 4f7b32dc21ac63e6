/*-------------------------------------------------------------------------
 *
 * local.c
 *	  The store in a directory: the place itself, and reading objects.
 *
 * Objects never change, so their files are kept open for reading: as virtual
 * files, of which PostgreSQL closes what it must.  An object that is deleted
 * stays readable here until its file is closed, which harms nobody.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/vfs.h>
#endif

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "objstore/local.h"
#include "objstore/wait_events.h"

/* Bytes of a single system call, between two checks for interrupts. */
#define READ_CHUNK (8 * 1024 * 1024)

bool		fm_allow_network_filesystem = false;

#ifdef __linux__
/*
 * File systems whose locks, renames or syncs do not hold what a commit needs.
 * The numbers are the kernel's (linux/magic.h lacks some of them).
 */
static const struct
{
	uint32		magic;
	const char *name;
}			network_filesystems[] =

{
	{0x00006969, "NFS"},
	{0xFF534D42, "CIFS"},
	{0xFE534D42, "SMB2"},
	{0x0000517B, "SMB"},
	{0x01021997, "9p"},
	{0x65735546, "FUSE"},
};
#endif

int
fm_local_errhint(int err)
{
	switch (err)
	{
		case ENOSPC:
		case EDQUOT:
			return errhint("Free disk space at the location, or raise its quota.");
		case EACCES:
		case EPERM:
			return errhint("The location must be readable and writable for the operating system user of the server.");
		case EROFS:
			return errhint("The location is on a read-only file system; reading works with the server option \"read_only\".");
		case ENOENT:
			return errhint("The location's parent directory must exist, and nothing may be removed from a location in use.");
		case ENOTDIR:
		case EISDIR:
		case EEXIST:
			return errhint("A location must hold nothing but one store.");
		default:
			return 0;
	}
}

void
fm_local_path(FmLocalStore *store, const char *name,
			  char dest[FM_LOCAL_PATH_SIZE])
{
	snprintf(dest, FM_LOCAL_PATH_SIZE, "%s/%s", store->path, name);
}

void
fm_local_check_writable(FmLocalStore *store)
{
	if (store->base.options.read_only)
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("server \"%s\" is read-only",
						store->base.options.servername)));
}

static void
check_filesystem(FmLocalStore *store)
{
#ifdef __linux__
	struct statfs fs;
	int			i;

	if (fm_allow_network_filesystem)
		return;
	if (statfs(store->path, &fs) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not examine the file system of \"%s\": %m",
						store->path)));
	for (i = 0; i < (int) lengthof(network_filesystems); i++)
	{
		if ((uint32) fs.f_type == network_filesystems[i].magic)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("location \"%s\" is on a %s file system",
							store->path, network_filesystems[i].name),
					 errdetail("Commits need locks, renames and syncs that hold for every process that uses the location."),
					 errhint("Use a local file system, or let a superuser set \"fusio_manifest.allow_network_filesystem\".")));
	}
#endif
}

bool
fm_local_check_place(FmLocalStore *store)
{
	struct stat st;

	if (store->checked)
		return true;
	if (stat(store->path, &st) != 0)
	{
		int			err = errno;

		if (err == ENOENT)
			return false;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not access location \"%s\": %m", store->path),
				 fm_local_errhint(err)));
	}
	if (!S_ISDIR(st.st_mode))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("location \"%s\" is not a directory", store->path)));
	check_filesystem(store);
	store->checked = true;
	return true;
}

void
fm_local_make_place(FmLocalStore *store)
{
	char		parent[FM_LOCAL_PATH_SIZE];

	if (fm_local_check_place(store))
		return;
	if (mkdir(store->path, S_IRWXU) != 0 && errno != EEXIST)
	{
		int			err = errno;

		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create directory \"%s\": %m", store->path),
				 fm_local_errhint(err)));
	}
	strlcpy(parent, store->path, sizeof(parent));
	get_parent_directory(parent);
	fm_local_sync_directory(parent);
	if (!fm_local_check_place(store))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FILE),
				 errmsg("location \"%s\" was removed while in use",
						store->path)));
}

void
fm_local_sync_directory(const char *path)
{
	int			fd = OpenTransientFile(path, O_RDONLY | PG_BINARY);
	int			rc;
	int			err;

	if (fd < 0)
	{
		err = errno;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open directory \"%s\": %m", path),
				 fm_local_errhint(err)));
	}
	pgstat_report_wait_start(fm_wait_event(FM_WAIT_DIRECTORY_SYNC));
	rc = pg_fsync(fd);
	pgstat_report_wait_end();
	if (rc != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not fsync directory \"%s\": %m", path)));
	CloseTransientFile(fd);
}

bool
fm_local_write(int fd, FmSlice bytes)
{
	while (bytes.len > 0)
	{
		ssize_t		n;

		errno = 0;
		n = write(fd, bytes.data, bytes.len);
		if (n <= 0)
		{
			if (n < 0 && errno == EINTR)
				continue;
			/* A write that does nothing and says nothing met a full disk. */
			if (errno == 0)
				errno = ENOSPC;
			return false;
		}
		bytes = fm_slice(bytes.data + n, bytes.len - n);
	}
	return true;
}

static void
close_object(FmLocalObject *object)
{
	if (object->file > 0)
		FileClose(object->file);
	object->file = 0;
}

static inline bool
is_object(const FmLocalObject *object, FmObjectKind kind, const FmId *id)
{
	return object->file > 0 && object->kind == kind &&
		fm_id_eq(&object->id, id);
}

/* The object's open file; NULL if there is no such object. */
static FmLocalObject *
open_object(FmLocalStore *store, FmObjectKind kind, const FmId *id)
{
	FmLocalObject *set;
	FmLocalObject object;
	char		name[FM_OBJECT_NAME_SIZE];
	char		path[FM_LOCAL_PATH_SIZE];
	int			i;

	/* The id is random: any of its bytes is a hash. */
	set = store->objects[id->bytes[4] % FM_LOCAL_OBJECT_SETS];
	if (is_object(&set[0], kind, id))
		return &set[0];
	for (i = 1; i < FM_LOCAL_OBJECT_WAYS; i++)
	{
		if (is_object(&set[i], kind, id))
		{
			object = set[i];
			memmove(&set[1], &set[0], sizeof(object) * i);
			set[0] = object;
			return &set[0];
		}
	}
	fm_object_name(kind, id, name);
	fm_local_path(store, name, path);
	object.file = PathNameOpenFile(path, O_RDONLY | PG_BINARY);
	if (object.file < 0)
	{
		int			err = errno;

		if (err == ENOENT)
			return NULL;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m", path),
				 fm_local_errhint(err)));
	}
	object.kind = kind;
	object.id = *id;
	close_object(&set[FM_LOCAL_OBJECT_WAYS - 1]);
	memmove(&set[1], &set[0], sizeof(object) * (FM_LOCAL_OBJECT_WAYS - 1));
	set[0] = object;
	return &set[0];
}

/* Reads one range; an error code of errno, or 0 and how much there was. */
static int
read_range(File file, const FmReadRange *range, uint32 *done)
{
	uint32		event = fm_wait_event(FM_WAIT_OBJECT_READ);

	*done = 0;
	while (*done < range->length)
	{
		int			n;

		n = FileRead(file, (char *) range->dest + *done,
					 Min(range->length - *done, READ_CHUNK),
					 (off_t) (range->offset + *done), event);
		if (n < 0)
			return errno;
		if (n == 0)
			break;
		*done += n;
		if (*done < range->length)
			CHECK_FOR_INTERRUPTS();
	}
	return 0;
}

static FmReadResult
read_one(FmLocalStore *store, const FmReadRange *range)
{
	FmLocalObject *object = open_object(store, range->kind, &range->id);
	char		name[FM_OBJECT_NAME_SIZE];
	char		path[FM_LOCAL_PATH_SIZE];
	uint32		done;
	int			err;

	if (object == NULL)
		return FM_READ_MISSING;
	if (range->offset > (uint64) PG_INT64_MAX - range->length)
		return FM_READ_SHORT;
	err = read_range(object->file, range, &done);
	if (err == 0)
		return done < range->length ? FM_READ_SHORT : FM_READ_OK;

	/* A virtual file is opened again when it must be. */
	close_object(object);
	if (err == ENOENT)
		return FM_READ_MISSING;
	fm_object_name(range->kind, &range->id, name);
	fm_local_path(store, name, path);
	errno = err;
	ereport(ERROR,
			(errcode_for_file_access(),
			 errmsg("could not read file \"%s\" at offset %llu: %m",
					path, (unsigned long long) range->offset),
			 fm_local_errhint(err)));
}

static int
local_read(FmStore *store, FmReadRange *ranges, int n)
{
	int			i;

	for (i = 0; i < n; i++)
		ranges[i].result = read_one((FmLocalStore *) store, &ranges[i]);
	return n;
}

static bool
local_is_empty(FmStore *base)
{
	FmLocalStore *store = (FmLocalStore *) base;
	struct dirent *entry;
	bool		empty = true;
	DIR		   *dir;

	if (!fm_local_check_place(store))
		return true;
	dir = AllocateDir(store->path);
	if (dir == NULL && errno == ENOENT)
		return true;
	while (empty && (entry = ReadDir(dir, store->path)) != NULL)
		empty = strcmp(entry->d_name, ".") == 0 ||
			strcmp(entry->d_name, "..") == 0 ||
			strcmp(entry->d_name, "HEAD.lock") == 0 ||
			strcmp(entry->d_name, "HEAD.tmp") == 0 ||
			strcmp(entry->d_name, "lost+found") == 0;
	FreeDir(dir);
	return empty;
}

static int64
local_now(FmStore *store)
{
	return GetCurrentTimestamp() +
		(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
}

static void
local_who(FmStore *store, FmStoreIdentity *identity)
{
	memset(identity, 0, sizeof(*identity));
	identity->source = "operating system user of the server";
	identity->expires = DT_NOEND;
}

static const FmStoreOps local_ops = {
	.read = local_read,
	.create = fm_local_create_object,
	.append = fm_local_append,
	.finish = fm_local_finish,
	.abandon = fm_local_abandon,
	.read_head = fm_local_read_head,
	.free_tag = fm_local_free_tag,
	.cas_head = fm_local_cas_head,
	.sync_head = fm_local_sync_head,
	.is_empty = local_is_empty,
	.now = local_now,
	.list = fm_local_list,
	.remove = fm_local_remove,
	.who = local_who,
	.is_near = true,
};

/* Closes what is open when the store's context goes. */
static void
close_store(void *arg)
{
	FmLocalStore *store = arg;
	int			i;
	int			way;

	for (i = 0; i < FM_LOCAL_OBJECT_SETS; i++)
	{
		for (way = 0; way < FM_LOCAL_OBJECT_WAYS; way++)
			close_object(&store->objects[i][way]);
	}
	fm_local_free_tags(store);
}

FmStore *
fm_local_create(const char *path, MemoryContext context)
{
	FmLocalStore *store = MemoryContextAllocZero(context,
												 sizeof(FmLocalStore));
	MemoryContextCallback *callback = MemoryContextAlloc(context,
														 sizeof(*callback));

	store->base.ops = &local_ops;
	store->base.context = context;
	store->path = MemoryContextStrdup(context, path);
	dlist_init(&store->tags);
	callback->func = close_store;
	callback->arg = store;
	MemoryContextRegisterResetCallback(context, callback);
	return &store->base;
}
