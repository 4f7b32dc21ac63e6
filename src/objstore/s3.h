/*-------------------------------------------------------------------------
 *
 * s3.h
 *	  The store in an S3 bucket, s3://bucket/prefix; shared by its parts only.
 *
 *	  prefix/HEAD			replaced by PUT with If-Match
 *	  prefix/runs/hh/...	immutable objects, PUT with If-None-Match: *
 *	  prefix/pages/hh/...
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_S3_H
#define FM_S3_H

#include "lib/stringinfo.h"

#include "compat.h"
#include "objstore/credentials.h"
#include "objstore/http.h"
#include "objstore/store.h"
#include "objstore/wait_events.h"

#define FM_S3_MAX_LOCATION 512	/* bytes of the prefix */

typedef struct FmS3Store
{
	FmStore		base;
	char	   *bucket;
	char	   *prefix;			/* "" or "a/b/", not encoded */

	/* From the options, or their defaults; remade when these change. */
	MemoryContext address_context;
	char	   *scheme;			/* "https" */
	char	   *host;			/* with the port, and the bucket if that is
								 * part of it */
	char	   *path_prefix;	/* "" or "/bucket" */
	char	   *region;

	FmCredentials *credentials; /* NULL: not asked for yet */
	int64		refresh_us;		/* monotonic; when others were last asked for */

	/* HEAD as last seen: its ETag is what the next swap expects. */
	bool		head_known;
	char		head_etag[FM_ETAG_SIZE];
	FmHeadIdentity head_identity;
	char		refused_etag[FM_ETAG_SIZE]; /* of the last swap that got 412 */
	bool		other_quoting;	/* of ETags: the service wants the quotes
								 * where it shows none, or the other way round */
	int64		head_read_us;	/* monotonic; when it was last seen to be so */
	uint64		head_epoch;		/* before that */
	uint8	   *head_buffer;

	FmHttpPace	pace;

	/* The server's clock: its last Date, and when that came. */
	int64		date_us;		/* since 1970; 0: none yet */
	int64		date_seen_us;	/* monotonic */
} FmS3Store;

typedef struct FmS3Header
{
	const char *name;			/* lower case */
	const char *value;
} FmS3Header;

#define FM_S3_MAX_HEADERS 4

/* One request to the bucket; memory of the caller's. */
typedef struct FmS3Request
{
	const char *method;
	const char *name;			/* of the object below the prefix; NULL: the
								 * bucket itself */
	const char *query;			/* encoded and in order; NULL: none */
	FmS3Header	headers[FM_S3_MAX_HEADERS];
	int			nheaders;
	bool		has_range;
	uint64		offset;			/* of the range, which fills http.dest */
	int			max_timeout_ms; /* 0: only the store's options count */
	bool		may_fail_late;	/* 200 may come with an error in its body;
								 * http.dest has room for a NUL after it */
	FmSlice		body;
	FmHttpRequest http;			/* dest, dest_size, fresh_connection are the
								 * caller's; the answer is filled */

	/* Of the body of an answer that is no success; "": it says nothing. */
	char		code[64];		/* "NoSuchKey" */
	char		message[256];
	int			retries;
} FmS3Request;

/* s3_location.c */

/* Raises for what cannot be an S3 location. */
extern void fm_s3_check_location(const char *location);
extern void fm_s3_check_endpoint(const char *endpoint);

/* Sets bucket and prefix from the location; palloc'd. */
extern void fm_s3_parse_location(const char *location, char **bucket,
								 char **prefix);

/* Computes scheme, host, path_prefix and region from the options. */
extern void fm_s3_set_address(FmS3Store *store, const char *region);

/* s3_request.c */

/*
 * Performs requests, with retries of what may be repeated until the retry
 * timeout.  Afterwards each has an answer that is no longer to be retried;
 * the caller looks at http.status.  Raises where no answer was to be had.
 */
extern void fm_s3_perform(FmS3Store *store, FmS3Request *requests, int n,
						  FmWaitEvent wait_event);

/*
 * Performs one request once, without any retry but those after which the
 * server surely has not applied the first (another region, expired
 * credentials, no connection); http.outcome tells.  It does so, too, if this
 * raises: the server may have seen the request only if it is FM_HTTP_BROKEN.
 * If "hold", interrupts act only while there is nothing to be seen.
 */
extern void fm_s3_perform_once(FmS3Store *store, FmS3Request *request,
							   bool hold, FmWaitEvent wait_event);

/*
 * The same in two steps.  The batch, and the requests, live in the current
 * memory context.  fm_s3_poll_batch, which does not wait, does what it can,
 * repetitions included, and tells whether fm_s3_finish_batch would wait.
 */
typedef struct FmS3Batch FmS3Batch;

extern FmS3Batch *fm_s3_start_batch(FmS3Store *store, FmS3Request *requests,
									int n, FmWaitEvent wait_event);
extern bool fm_s3_poll_batch(FmS3Batch *batch);
extern void fm_s3_finish_batch(FmS3Batch *batch);

/*
 * Sends n requests side by side, once and without any retry; http.outcome
 * tells what came of each.
 */
extern void fm_s3_send(FmS3Store *store, FmS3Request *requests, int n,
					   FmWaitEvent wait_event);

/*
 * Has a PUT been answered as done?  Whatever has stored an object names its
 * ETag; an answer without one was made by something else.
 */
static inline bool
fm_s3_is_written(const FmS3Request *request)
{
	const FmHttpRequest *http = &request->http;

	return http->outcome == FM_HTTP_ANSWERED && http->etag[0] != '\0' &&
		(http->status == 200 || http->status == 201 || http->status == 204);
}

/* The credentials to be used now; never NULL. */
extern const FmCredentials *fm_s3_credentials(FmS3Store *store);

extern void fm_s3_add_header(FmS3Request *request, const char *name,
							 const char *value);

/* Adds If-Match, with quotes or without, as the service wants it. */
extern void fm_s3_add_if_match(FmS3Store *store, FmS3Request *request,
							   const char *etag);

/* s3_error.c */

/* Raises for an answer that is not expected; "what" was tried to be done. */
FM_NORETURN extern void fm_s3_raise(FmS3Store *store,
									const FmS3Request *request,
									const char *what);

/*
 * The text of the first element of that name in XML, its entities decoded;
 * palloc'd, NULL if there is none.
 */
extern char *fm_s3_xml_text(const char *xml, const char *element);

/* Fills code and message from the answer. */
extern void fm_s3_note_error(FmS3Request *request);

/* Is this the code of the error that the service answered with? */
extern bool fm_s3_is_code(const FmS3Request *request, const char *code);

/* An answer that may be another one next time, whatever code it comes with. */
extern bool fm_s3_is_passing_status(int status);

/* An error that may pass, whatever the status is that it came with. */
extern bool fm_s3_is_passing_code(const FmS3Request *request);

/* s3.c: the store, in context, which it then owns. */
extern FmStore *fm_s3_create(const char *location, MemoryContext context);

/* s3_head.c */
extern FmHeadReadResult fm_s3_read_head(FmStore *store, FmHeadTag **tag,
										FmPendingHead *started,
										FmSlice *bytes);
extern FmSlice fm_s3_recall_head(FmStore *store);
extern FmPendingHead *fm_s3_start_head(FmStore *store, const FmHeadTag *tag);
extern bool fm_s3_poll_head(FmPendingHead *pending);
extern void fm_s3_free_tag(FmStore *store, FmHeadTag *tag);
extern FmCasResult fm_s3_cas_head(FmStore *store,
								  const FmHeadIdentity *expected,
								  FmSlice bytes, TimestampTz deadline);

/* s3_list.c */
extern bool fm_s3_is_empty(FmStore *store);
extern FmStored *fm_s3_list(FmStore *store, const char *folder, int *n,
							int64 *now);
extern void fm_s3_remove(FmStore *store, const FmStored *const *objects,
						 int n);

/* s3_probe.c */
extern int	fm_s3_probe(FmStore *store, FmProbe probes[FM_MAX_PROBES]);

/* s3_writer.c */

/* Raises for a server that is read-only by its options. */
extern void fm_s3_check_not_read_only(FmS3Store *store);

/* Raises for that, too, and for one whose last probe has failed. */
extern void fm_s3_check_writable(FmS3Store *store);

extern FmObjectWriter *fm_s3_create_object(FmStore *store, FmObjectKind kind,
										   const FmId *id);
extern void fm_s3_append(FmObjectWriter *writer, FmSlice bytes);
extern void fm_s3_finish(FmObjectWriter *writer);
extern void fm_s3_abandon(FmObjectWriter *writer);

#endif							/* FM_S3_H */
