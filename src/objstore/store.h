/*-------------------------------------------------------------------------
 *
 * store.h
 *	  The store interface: immutable objects by name, and one HEAD that is
 *	  replaced by compare-and-swap.
 *
 * Object names are relative ("runs/ab/<id>.run"), made by fm_object_name from
 * an id alone, so that none can leave the location.  Every function may raise
 * an error; what a caller must decide upon is a result.
 *
 * An FmStore is backend-local, lives in a child of CacheMemoryContext and is
 * shared by every user of the same (server, user mapping) in this backend.
 * One whose catalog entry changed is freed by a later transaction's
 * fm_store_open, once its refcount is 0: who keeps a pointer beyond his
 * transaction raises refcount, or puts what he keeps into store->context or
 * under a reset callback of it.  A store's location never changes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_STORE_H
#define FM_STORE_H

#include "datatype/timestamp.h"

#include "base/buffer.h"
#include "base/checksum.h"
#include "format/format.h"
#include "format/head.h"

typedef struct FmStore FmStore;
typedef struct FmObjectWriter FmObjectWriter;
typedef struct FmPendingRead FmPendingRead;
typedef struct FmPendingHead FmPendingHead;

typedef enum FmObjectKind
{
	FM_OBJECT_RUN,				/* runs/<hh>/<id>.run */
	FM_OBJECT_PAGE				/* pages/<hh>/<id>.page */
} FmObjectKind;

/* What is found in a location, by its name. */
typedef enum FmStoredKind
{
	FM_STORED_RUN,
	FM_STORED_PAGE,
	FM_STORED_LEASE,			/* leases/<id>.lease */
	FM_STORED_PROBE,			/* .probe/...: of fusio_manifest_check_server */
	FM_STORED_TEMPORARY,		/* the next HEAD of a directory */
	FM_STORED_UPLOAD,			/* an upload in parts, not completed */
	FM_STORED_FOREIGN			/* nothing of ours */
} FmStoredKind;

typedef struct FmStored
{
	FmStoredKind kind;
	FmId		id;				/* of a run or a page */
	const char *name;			/* below the location; NULL for a run or a
								 * page, whose name is that of its id; ends
								 * with a slash for a folder of no matter */
	const char *upload;			/* the service's name of an upload */
	uint64		size;			/* bytes; 0 for an upload, and for a folder */
	int64		modified;		/* microseconds since 1970 by the store's
								 * clock; 0: not known */
} FmStored;

typedef enum FmReadResult
{
	FM_READ_OK,
	FM_READ_MISSING,			/* no such object */
	FM_READ_SHORT				/* the object ends before the range does */
} FmReadResult;

/*
 * How often what fails its checks is read before that is an error: bits may
 * be wrong on the way, too, and more than once in a row.
 */
#define FM_READ_TRIES 4

/* One range of an object to read; dest has length bytes. */
typedef struct FmReadRange
{
	FmObjectKind kind;
	FmId		id;
	uint64		offset;			/* bytes from the start of the object */
	uint32		length;
	uint8	   *dest;
	bool		anew;			/* the last answer was wrong: not by the way
								 * that it came */
	FmReadResult result;		/* is filled */
} FmReadRange;

typedef enum FmHeadReadResult
{
	FM_HEAD_UNCHANGED,			/* still what the tag says */
	FM_HEAD_FRESH,				/* what the tag says was true a moment ago:
								 * nobody was asked (max_staleness) */
	FM_HEAD_READ,				/* bytes and tag were filled */
	FM_HEAD_MISSING
} FmHeadReadResult;

typedef enum FmCasResult
{
	FM_CAS_APPLIED,
	FM_CAS_LOST,				/* HEAD is not what was expected: re-read */
	FM_CAS_REFUSED,				/* the store says so: reading HEAD tells
								 * whether it is, or a repetition on the way
								 * met our own success */
	FM_CAS_UNKNOWN,				/* may or may not have been applied, now or
								 * later: reading HEAD may tell */
	FM_CAS_NOT_DURABLE			/* applied, but a crash may undo it */
} FmCasResult;

#define FM_ETAG_SIZE 128

/* A revalidation handle for HEAD: owned by the caller, opaque to it. */
typedef struct FmHeadTag FmHeadTag;

#define FM_MAX_PROBES 16

/* Something that commits rely on, and what the store did. */
typedef struct FmProbe
{
	const char *name;
	bool		ok;
	bool		required;		/* the store is read-only for us without it */
	const char *observed;
	const char *meaning;
} FmProbe;

typedef struct FmStoreIdentity
{
	const char *source;			/* of the credentials */
	TimestampTz expires;		/* DT_NOEND: never, as far as is known */
	const char *endpoint;		/* NULL: a directory; so is region */
	const char *region;
} FmStoreIdentity;

typedef struct FmStoreOps
{
	/* Reads n ranges, of any objects; returns the requests that it took. */
	int			(*read) (FmStore *store, FmReadRange *ranges, int n);

	/*
	 * The same in two steps, for a store that is far away.  What is started
	 * lives in the current memory context, as the ranges must, and is dropped
	 * with it.  poll_read, which does not wait, tells whether finish_read
	 * would.
	 */
	FmPendingRead *(*start_read) (FmStore *store, FmReadRange *ranges, int n);
	bool		(*poll_read) (FmPendingRead *pending);
	int			(*finish_read) (FmPendingRead *pending);

	/* Requests of a read that nobody will finish, for the counters. */
	int			(*count_read) (const FmPendingRead *pending);

	/*
	 * Writes a new object, in order; finish makes it durable at its final
	 * name.  An object of that name is an error.  A writer that is not
	 * finished by the end of its resource owner is dropped, and what it wrote
	 * stays as an orphan.
	 */
	FmObjectWriter *(*create) (FmStore *store, FmObjectKind kind,
							   const FmId *id);
	void		(*append) (FmObjectWriter *writer, FmSlice bytes);
	void		(*finish) (FmObjectWriter *writer);
	/* Drops an unfinished writer, and what it wrote if that can be done. */
	void		(*abandon) (FmObjectWriter *writer);

	/*
	 * Reads HEAD unless it is still what *tag says.  *tag is NULL at first; a
	 * new one is allocated in the store's context and replaces it.  *bytes is
	 * palloc'd in the current context.  MISSING is only answered without a
	 * tag: a HEAD that was there and is gone is an error.  "started", unless
	 * NULL, is a read that start_head has started.
	 */
	FmHeadReadResult (*read_head) (FmStore *store, FmHeadTag **tag,
								   FmPendingHead *started, FmSlice *bytes);

	/*
	 * For a store that is far away: starts what read_head with this tag would
	 * wait for; NULL if that is nothing.  It lives in the current memory
	 * context, and is dropped with it.  poll_head, which does not wait, tells
	 * whether read_head would.
	 */
	FmPendingHead *(*start_head) (FmStore *store, const FmHeadTag *tag);
	bool		(*poll_head) (FmPendingHead *pending);
	void		(*free_tag) (FmStore *store, FmHeadTag *tag);

	/*
	 * Replaces HEAD by "bytes" if it is "expected" now, or, with expected
	 * NULL, if there is none.  Raises only where HEAD surely stays as it was
	 * (before the step that publishes); a failure after it is UNKNOWN or
	 * NOT_DURABLE, with the reason in a LOG message.  deadline: lock waits
	 * end with an error (57014) then; DT_NOEND for none.  Interrupts act
	 * while it waits for the lock, and not between the publishing step and
	 * the return.
	 */
	FmCasResult (*cas_head) (FmStore *store, const FmHeadIdentity *expected,
							 FmSlice bytes, TimestampTz deadline);

	/*
	 * Makes the HEAD that can be read outlive a crash; false, with a LOG
	 * message, if that fails.  NULL: it does.
	 */
	bool		(*sync_head) (FmStore *store);

	/*
	 * For a store that is far away: HEAD as a backend of this cluster with
	 * the same rights last saw it, palloc'd; empty if none did.  It may be
	 * old: the next swap may expect it, and is lost then.
	 */
	FmSlice		(*recall_head) (FmStore *store);

	/* True if the location holds nothing (HEAD.lock and such do not count). */
	bool		(*is_empty) (FmStore *store);

	/* Microseconds since 1970 by the store's clock. */
	int64		(*now) (FmStore *store);

	/*
	 * What is in the location, or in one of its folders ("leases"), but for
	 * HEAD and its lock; palloc'd in the current memory context.  *now is
	 * filled with the time by the clock that "modified" is of.
	 */
	FmStored   *(*list) (FmStore *store, const char *folder, int *n,
						 int64 *now);

	/*
	 * Removes what list has returned, but foreign objects; what is gone
	 * already is no error.
	 */
	void		(*remove) (FmStore *store, const FmStored *const *objects,
						   int n);

	/*
	 * Tries what commits rely on; the number of probes.  NULL: nothing is to
	 * be tried.  Raises if the store cannot be used at all.
	 */
	int			(*probe) (FmStore *store, FmProbe probes[FM_MAX_PROBES]);

	/* Who we are to the store, in the current memory context. */
	void		(*who) (FmStore *store, FmStoreIdentity *identity);

	/* The options, or the credentials, are others now; NULL: no matter. */
	void		(*options_changed) (FmStore *store);

	/*
	 * Reading costs a system call: nothing is gained by reading ahead, and
	 * read_head is cheap while HEAD is unchanged.
	 */
	bool		is_near;
	double		read_price;		/* US dollars that a read request costs */
} FmStoreOps;

typedef enum FmCredentialSource
{
	FM_CREDENTIALS_STATIC,
	FM_CREDENTIALS_ENVIRONMENT,
	FM_CREDENTIALS_PROFILE,
	FM_CREDENTIALS_WEB_IDENTITY,
	FM_CREDENTIALS_INSTANCE
} FmCredentialSource;

/* What a user mapping says. */
typedef struct FmMappingOptions
{
	FmCredentialSource source;
	const char *access_key_id;	/* NULL where not given, as the next two */
	const char *secret_access_key;
	const char *session_token;
} FmMappingOptions;

typedef enum FmAddressing
{
	FM_ADDRESSING_AUTO,			/* virtual for Amazon, path for others */
	FM_ADDRESSING_PATH,
	FM_ADDRESSING_VIRTUAL
} FmAddressing;

/* What an FmStore is opened with; strings are copied. */
typedef struct FmStoreOptions
{
	Oid			serverid;
	Oid			userid;			/* whose mapping; InvalidOid for file:// */
	Oid			serverowner;
	const char *servername;
	const char *location;
	bool		read_only;
	int			retry_timeout_ms;
	int			retention_ms;	/* how long old versions are kept */
	int			grace_ms;		/* how long at least: readers rely on it */

	/* s3:// only; strings may be NULL */
	const char *endpoint;
	const char *region;
	const char *ca_file;
	FmAddressing addressing;
	int			connect_timeout_ms;
	int			request_timeout_ms;
	int			max_requests;	/* in flight */
	int			max_staleness_ms;	/* of HEAD */
	int			coalesce;		/* bytes between ranges that are read too */
	bool		parallel;
	FmMappingOptions mapping;
} FmStoreOptions;

struct FmStore
{
	const FmStoreOps *ops;
	FmStoreOptions options;
	MemoryContext context;
	int			refcount;		/* pins by transactions and scans */
	FmSum128	rights;			/* of place and credentials: who has the same
								 * may know what we know */
	TimestampTz deadline;		/* of the commit under way, which ends with
								 * 57014 then; 0: none */
	bool		stale;			/* the catalog entry changed since the last
								 * fm_store_open */
};

/*
 * The store of a location ("file:///dir"); opens it on first use, which does
 * no I/O beyond checking that the place may be used.  Checks the privileges
 * of the server's owner for file://.
 */
extern FmStore *fm_store_open(const FmStoreOptions *options);

/*
 * What is left of the time for the commit under way, at least 1 ms; INT_MAX
 * where that is not bounded.
 */
extern int	fm_store_left_ms(const FmStore *store);

/*
 * Raises 57014 if that time is over; "what", as in "The store", is what of
 * the server was waited for.
 */
extern void fm_store_check_deadline(const FmStore *store, const char *what);

/* Raises an error for a location that cannot be one, naming what is wrong. */
extern void fm_store_check_location(const char *location);

/* True if the location is a file:// one, which needs file privileges. */
extern bool fm_location_is_local(const char *location);

/* Raises unless roleid may read and write server files (file:// locations). */
extern void fm_store_check_file_privileges(Oid roleid);

#define FM_OBJECT_NAME_SIZE 64
/* Writes the object's relative name, with a NUL, to dest. */
extern void fm_object_name(FmObjectKind kind, const FmId *id,
						   char dest[FM_OBJECT_NAME_SIZE]);

/*
 * What an object of that name is; fills *id for a run or a page.  Never an
 * upload; a folder's name is foreign.
 */
extern FmStoredKind fm_object_identify(const char *name, FmId *id);

/* A list that grows, in a context; zeroed but for that. */
typedef struct FmStoredList
{
	MemoryContext context;
	FmStored   *stored;
	int			n;
	int			room;
} FmStoredList;

/* Adds one, zeroed. */
extern FmStored *fm_stored_list_add(FmStoredList *list);

/* The name of what list has returned, in "buffer" if need be. */
extern const char *fm_stored_name(const FmStored *stored,
								  char buffer[FM_OBJECT_NAME_SIZE]);

/* 128 random bits (pg_strong_random; raises if there are none). */
extern FmId fm_new_id(void);

/* 32 hex digits and a NUL. */
extern void fm_id_to_hex(const FmId *id, char dest[33]);

#endif							/* FM_STORE_H */
