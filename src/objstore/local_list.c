/*-------------------------------------------------------------------------
 *
 * local_list.c
 *	  The store in a directory: what is in it, and removing objects.
 *
 * Ages are told from the times of files, and so is what "now" is: the lock
 * file's time is set to the present by whoever keeps the files' times, which
 * for a network file system is not this machine.
 *
 * HEAD.tmp belongs to who holds HEAD.lock, and is removed under it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "objstore/local.h"

/* What was found so far, of names that the location's path begins. */
typedef struct Listing
{
	FmLocalStore *store;
	FmStoredList list;
} Listing;

static int64
file_time(const struct stat *st)
{
	return (int64) st->st_mtim.tv_sec * 1000000 + st->st_mtim.tv_nsec / 1000;
}

/* An entry that is no folder of ours. */
static void
add_file(Listing *listing, const char *name, const struct stat *st)
{
	FmStored   *stored = fm_stored_list_add(&listing->list);
	bool		is_file = S_ISREG(st->st_mode);

	stored->kind = FM_STORED_FOREIGN;
	if (is_file)
		stored->kind = strcmp(name, "HEAD.tmp") == 0 ? FM_STORED_TEMPORARY :
			fm_object_identify(name, &stored->id);
	if (stored->kind != FM_STORED_RUN && stored->kind != FM_STORED_PAGE)
		stored->name = S_ISDIR(st->st_mode) ? psprintf("%s/", name) :
			pstrdup(name);
	stored->size = is_file ? st->st_size : 0;
	stored->modified = file_time(st);
}

/* Of the location's own entries, what every store has. */
static bool
is_of_every_store(const char *name)
{
	return strcmp(name, "HEAD") == 0 || strcmp(name, "HEAD.lock") == 0 ||
		strcmp(name, "lost+found") == 0;
}

/* Is a directory, so many levels below the location, one of objects? */
static bool
is_folder_of_ours(const char *name, int depth)
{
	const char *slash = strrchr(name, '/');

	if (depth == 0)
		return strcmp(name, "runs") == 0 || strcmp(name, "pages") == 0 ||
			strcmp(name, "leases") == 0;
	return depth == 1 && strncmp(name, "leases", 6) != 0 &&
		strlen(slash) == 3 && strspn(slash + 1, "0123456789abcdef") == 2;
}

/* Lists a directory by its name in the location, "" for that itself. */
static void
list_directory(Listing *listing, const char *folder, int depth)
{
	char		path[FM_LOCAL_PATH_SIZE];
	struct dirent *entry;
	DIR		   *dir;

	fm_local_path(listing->store, folder, path);
	dir = AllocateDir(path);
	if (dir == NULL && errno == ENOENT)
		return;
	while ((entry = ReadDir(dir, path)) != NULL)
	{
		char		name[MAXPGPATH];
		struct stat st;

		CHECK_FOR_INTERRUPTS();
		if (strcmp(entry->d_name, ".") == 0 ||
			strcmp(entry->d_name, "..") == 0 ||
			(depth == 0 && is_of_every_store(entry->d_name)))
			continue;
		snprintf(name, sizeof(name), "%s%s%s", folder,
				 depth > 0 ? "/" : "", entry->d_name);
		if (strlen(name) >= FM_OBJECT_NAME_SIZE)
		{
			/* No object has such a name; it is not followed. */
			FmStored   *stored = fm_stored_list_add(&listing->list);

			stored->kind = FM_STORED_FOREIGN;
			stored->name = pstrdup(name);
			continue;
		}
		fm_local_path(listing->store, name, path);
		if (lstat(path, &st) != 0)
		{
			int			err = errno;

			if (err != ENOENT)
				ereport(ERROR,
						(errcode_for_file_access(),
						 errmsg("could not stat file \"%s\": %m", path),
						 fm_local_errhint(err)));
		}
		else if (S_ISDIR(st.st_mode) && is_folder_of_ours(name, depth))
			list_directory(listing, name, depth + 1);
		else
			add_file(listing, name, &st);
		fm_local_path(listing->store, folder, path);
	}
	FreeDir(dir);
}

/* The time by the clock that files get theirs from. */
static int64
clock_of_files(FmLocalStore *store)
{
	char		path[FM_LOCAL_PATH_SIZE];
	struct stat st;

	fm_local_path(store, "HEAD.lock", path);
	if (!store->base.options.read_only &&
		utimensat(AT_FDCWD, path, NULL, 0) == 0 && stat(path, &st) == 0)
		return file_time(&st);
	return store->base.ops->now(&store->base);
}

FmStored *
fm_local_list(FmStore *base, const char *folder, int *n, int64 *now)
{
	Listing		listing = {(FmLocalStore *) base, {CurrentMemoryContext, NULL, 0, 0}};

	*n = 0;
	*now = 0;
	if (!fm_local_check_place(listing.store))
		return NULL;
	*now = clock_of_files(listing.store);
	list_directory(&listing, folder != NULL ? folder : "",
				   folder != NULL ? 1 : 0);
	*n = listing.list.n;
	return listing.list.stored;
}

static void
remove_file(const char *path)
{
	if (unlink(path) != 0 && errno != ENOENT)
	{
		int			err = errno;

		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not remove file \"%s\": %m", path),
				 fm_local_errhint(err)));
	}
}

void
fm_local_remove(FmStore *base, const FmStored *const *objects, int n)
{
	FmLocalStore *store = (FmLocalStore *) base;
	char		buffer[FM_OBJECT_NAME_SIZE];
	char		path[FM_LOCAL_PATH_SIZE];
	int			i;

	fm_local_check_writable(store);
	for (i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		fm_local_path(store, fm_stored_name(objects[i], buffer), path);
		if (objects[i]->kind == FM_STORED_TEMPORARY)
			fm_local_remove_tmp(store);
		else
			remove_file(path);
	}
}
