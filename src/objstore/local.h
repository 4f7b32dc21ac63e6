/*-------------------------------------------------------------------------
 *
 * local.h
 *	  The store in a directory, file:///dir; shared by its parts only.
 *
 *	  location/HEAD			replaced by rename, never written in place
 *	  location/HEAD.lock	locked by who replaces HEAD; never unlinked
 *	  location/HEAD.tmp		the next HEAD, under that lock
 *	  location/runs/hh/...	immutable objects, by the first id byte
 *	  location/pages/hh/...
 *
 * Directories are 0700 and files 0600.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_LOCAL_H
#define FM_LOCAL_H

#include "lib/ilist.h"
#include "storage/fd.h"

#include "objstore/store.h"

/* Objects whose files stay open for reading: so many, in sets by id. */
#define FM_LOCAL_OBJECT_SETS 32
#define FM_LOCAL_OBJECT_WAYS 4

/* Room for the location, a slash, the name of an object and a NUL. */
#define FM_LOCAL_PATH_SIZE (MAXPGPATH + FM_OBJECT_NAME_SIZE)

typedef struct FmLocalObject
{
	FmId		id;
	FmObjectKind kind;
	File		file;			/* a virtual file; 0 if the place is free */
} FmLocalObject;

typedef struct FmLocalStore
{
	FmStore		base;
	char	   *path;			/* of the location, canonical */
	bool		checked;		/* it was seen to be a directory that may be
								 * used */
	FmLocalObject objects[FM_LOCAL_OBJECT_SETS][FM_LOCAL_OBJECT_WAYS];	/* latest first */

	/*
	 * Directories of objects whose names are known to be durable: bit hh is
	 * runs/hh or pages/hh.
	 */
	uint8		durable[FM_OBJECT_PAGE + 1][32];
	dlist_head	tags;			/* every FmHeadTag of the store */
	FmHeadTag  *unfinished;		/* being opened; left there by an error */
} FmLocalStore;

/* fusio_manifest.allow_network_filesystem */
extern bool fm_allow_network_filesystem;

/* The store; path is canonical.  In context, which the store then owns. */
extern FmStore *fm_local_create(const char *path, MemoryContext context);

/*
 * True if the location is a directory, false if there is none.  Raises if
 * it is something else or a file system that is not to be used.
 */
extern bool fm_local_check_place(FmLocalStore *store);

/* Creates the location if it is missing, durably. */
extern void fm_local_make_place(FmLocalStore *store);

/* Writes the absolute path of a name in the location to dest. */
extern void fm_local_path(FmLocalStore *store, const char *name,
						  char dest[FM_LOCAL_PATH_SIZE]);

/* A hint for a failed file operation, inside ereport; err is its errno. */
extern int	fm_local_errhint(int err);

/* fsync of a directory; raises. */
extern void fm_local_sync_directory(const char *path);

/* Writes all bytes at the file's position; false with errno set. */
extern bool fm_local_write(int fd, FmSlice bytes);

/* Raises for a server that is read-only. */
extern void fm_local_check_writable(FmLocalStore *store);

/* local_list.c */
extern FmStored *fm_local_list(FmStore *store, const char *folder, int *n,
							   int64 *now);
extern void fm_local_remove(FmStore *store, const FmStored *const *objects,
							int n);

/* local_writer.c */
extern FmObjectWriter *fm_local_create_object(FmStore *store,
											  FmObjectKind kind,
											  const FmId *id);
extern void fm_local_append(FmObjectWriter *writer, FmSlice bytes);
extern void fm_local_finish(FmObjectWriter *writer);
extern void fm_local_abandon(FmObjectWriter *writer);

/* local_head.c */
extern FmHeadReadResult fm_local_read_head(FmStore *store, FmHeadTag **tag,
										   FmPendingHead *started,
										   FmSlice *bytes);
extern void fm_local_free_tag(FmStore *store, FmHeadTag *tag);
extern void fm_local_free_tags(FmLocalStore *store);
extern FmCasResult fm_local_cas_head(FmStore *store,
									 const FmHeadIdentity *expected,
									 FmSlice bytes, TimestampTz deadline);
extern bool fm_local_sync_head(FmStore *store);

/* Removes what a writer of the next HEAD left, if none is at work. */
extern void fm_local_remove_tmp(FmLocalStore *store);

#endif							/* FM_LOCAL_H */
