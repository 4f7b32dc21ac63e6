/*-------------------------------------------------------------------------
 *
 * local_writer.c
 *	  The store in a directory: writing objects.
 *
 * An object is written at its final name, which O_EXCL and a random id keep
 * to one writer; nobody looks at it before HEAD names it.  finish syncs the
 * file, then its directory, then, unless this backend did so before, the
 * directories above, whoever made them: another backend may have made them
 * and not come to its sync yet.
 *
 * After a failed sync the kernel may forget what it could not write, and call
 * a second sync a success: it is never tried again on the same file.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "miscadmin.h"
#include "utils/wait_event.h"

#include "objstore/local.h"
#include "objstore/wait_events.h"

#define WRITE_BUFFER_SIZE (256 * 1024)

struct FmObjectWriter
{
	FmLocalStore *store;
	FmObjectKind kind;
	uint8		hh;				/* the first byte of the id */
	int			fd;				/* a transient file: closed with the
								 * (sub)transaction */
	uint32		used;			/* bytes in buffer */
	uint8	   *buffer;
	char		path[FM_LOCAL_PATH_SIZE];
};

static const char *const kind_directory[] = {"runs", "pages"};

static bool
is_durable(FmLocalStore *store, FmObjectKind kind, uint8 hh)
{
	return (store->durable[kind][hh / 8] & (1 << (hh % 8))) != 0;
}

static void
make_directory(const char *path)
{
	if (mkdir(path, S_IRWXU) != 0 && errno != EEXIST)
	{
		int			err = errno;

		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create directory \"%s\": %m", path),
				 fm_local_errhint(err)));
	}
}

/* Paths of runs/ (or pages/) and of the directory hh in it. */
static void
directory_paths(FmLocalStore *store, FmObjectKind kind, uint8 hh,
				char top[FM_LOCAL_PATH_SIZE], char dir[FM_LOCAL_PATH_SIZE])
{
	char		name[FM_OBJECT_NAME_SIZE];

	fm_local_path(store, kind_directory[kind], top);
	snprintf(name, sizeof(name), "%s/%02x", kind_directory[kind], hh);
	fm_local_path(store, name, dir);
}

FmObjectWriter *
fm_local_create_object(FmStore *base, FmObjectKind kind, const FmId *id)
{
	FmLocalStore *store = (FmLocalStore *) base;
	FmObjectWriter *writer;
	char		name[FM_OBJECT_NAME_SIZE];
	char		top[FM_LOCAL_PATH_SIZE];
	char		dir[FM_LOCAL_PATH_SIZE];
	int			flags = O_WRONLY | O_CREAT | O_EXCL | PG_BINARY;

	fm_local_check_writable(store);
	writer = palloc0(sizeof(FmObjectWriter));
	writer->store = store;
	writer->kind = kind;
	writer->hh = id->bytes[0];
	writer->buffer = palloc(WRITE_BUFFER_SIZE);
	fm_object_name(kind, id, name);
	fm_local_path(store, name, writer->path);
	writer->fd = OpenTransientFilePerm(writer->path, flags,
									   S_IRUSR | S_IWUSR);
	if (writer->fd < 0 && errno == ENOENT)
	{
		directory_paths(store, kind, writer->hh, top, dir);
		memset(store->durable[kind], 0, sizeof(store->durable[kind]));
		make_directory(top);
		make_directory(dir);
		writer->fd = OpenTransientFilePerm(writer->path, flags,
										   S_IRUSR | S_IWUSR);
	}
	if (writer->fd < 0)
	{
		int			err = errno;

		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create file \"%s\": %m", writer->path),
				 fm_local_errhint(err)));
	}
	return writer;
}

static void
free_writer(FmObjectWriter *writer)
{
	pfree(writer->buffer);
	pfree(writer);
}

void
fm_local_abandon(FmObjectWriter *writer)
{
	CloseTransientFile(writer->fd);
	unlink(writer->path);
	free_writer(writer);
}

/* Raises, having given back what the object took of a disk that is full. */
static void
raise_write_error(FmObjectWriter *writer, const char *format)
{
	int			err = errno;

	CloseTransientFile(writer->fd);
	unlink(writer->path);
	errno = err;
	ereport(ERROR,
			(errcode_for_file_access(),
			 errmsg_internal(format, writer->path),
			 fm_local_errhint(err)));
}

static void
write_out(FmObjectWriter *writer, FmSlice bytes)
{
	bool		written;

	CHECK_FOR_INTERRUPTS();
	pgstat_report_wait_start(fm_wait_event(FM_WAIT_OBJECT_WRITE));
	written = fm_local_write(writer->fd, bytes);
	pgstat_report_wait_end();
	if (!written)
		raise_write_error(writer, "could not write to file \"%s\": %m");
}

static void
flush_buffer(FmObjectWriter *writer)
{
	write_out(writer, fm_slice(writer->buffer, writer->used));
	writer->used = 0;
}

void
fm_local_append(FmObjectWriter *writer, FmSlice bytes)
{
	while (bytes.len > 0)
	{
		size_t		n = Min(bytes.len, WRITE_BUFFER_SIZE - writer->used);

		if (writer->used == 0 && bytes.len >= WRITE_BUFFER_SIZE)
		{
			n = bytes.len - bytes.len % WRITE_BUFFER_SIZE;
			n = Min(n, (size_t) 16 * WRITE_BUFFER_SIZE);
			write_out(writer, fm_slice(bytes.data, n));
		}
		else
		{
			memcpy(writer->buffer + writer->used, bytes.data, n);
			writer->used += n;
			if (writer->used == WRITE_BUFFER_SIZE)
				flush_buffer(writer);
		}
		bytes = fm_slice(bytes.data + n, bytes.len - n);
	}
}

void
fm_local_finish(FmObjectWriter *writer)
{
	FmLocalStore *store = writer->store;
	FmObjectKind kind = writer->kind;
	uint8		hh = writer->hh;
	char		top[FM_LOCAL_PATH_SIZE];
	char		dir[FM_LOCAL_PATH_SIZE];
	int			rc;

	flush_buffer(writer);
	pgstat_report_wait_start(fm_wait_event(FM_WAIT_OBJECT_SYNC));
	rc = pg_fsync(writer->fd);
	pgstat_report_wait_end();
	if (rc != 0)
		raise_write_error(writer, "could not fsync file \"%s\": %m");
	if (CloseTransientFile(writer->fd) != 0)
	{
		int			err = errno;

		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not close file \"%s\": %m", writer->path),
				 fm_local_errhint(err)));
	}
	free_writer(writer);

	directory_paths(store, kind, hh, top, dir);
	fm_local_sync_directory(dir);
	if (!is_durable(store, kind, hh))
	{
		fm_local_sync_directory(top);
		fm_local_sync_directory(store->path);
		store->durable[kind][hh / 8] |= 1 << (hh % 8);
	}
}
