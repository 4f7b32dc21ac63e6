/*-------------------------------------------------------------------------
 *
 * s3_head.c
 *	  The store in an S3 bucket: reading and replacing HEAD.
 *
 * HEAD is one PUT under a condition, never repeated here: what an answer does
 * not say for certain is for the commit to find out.  The PUT has a connection
 * of its own, since libcurl sends a request again by itself when a connection
 * that it kept turns out to be closed.
 *
 * What HEAD is asked for is asked once for all backends that may know
 * (objstore/shared_head.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/memutils.h"

#include "objstore/clock.h"
#include "objstore/head_epoch.h"
#include "objstore/pg_status.h"
#include "objstore/s3.h"
#include "objstore/shared_head.h"

/* Interrupts do not act meanwhile. */
#define PUT_TIMEOUT_MS 30000

struct FmHeadTag
{
	char		etag[FM_ETAG_SIZE];
	FmHeadIdentity identity;
	bool		identified;
};

struct FmPendingHead
{
	FmS3Request request;
	char		etag[FM_ETAG_SIZE]; /* of the tag, "": none */
	int64		asked_us;
	uint64		epoch;
	FmS3Batch  *batch;			/* NULL: not started */
};

static FmSlice
copy_bytes(const uint8 *bytes, Size size)
{
	uint8	   *copy = palloc(Max(size, 1));

	memcpy(copy, bytes, size);
	return fm_slice(copy, size);
}

static bool
is_same_head(const FmHeadIdentity *a, const FmHeadIdentity *b)
{
	return fm_id_eq(&a->store_id, &b->store_id) &&
		a->incarnation == b->incarnation && a->version == b->version &&
		fm_id_eq(&a->commit_id, &b->commit_id);
}

/* Keeps what the next swap expects. */
static void
note_head(FmS3Store *store, const FmHeadTag *tag, int64 asked_us)
{
	store->head_known = tag->identified;
	store->head_identity = tag->identity;
	store->head_read_us = asked_us;
	strlcpy(store->head_etag, tag->etag, sizeof(store->head_etag));
}

static bool
is_fresh(const FmS3Store *store)
{
	return store->head_known && store->head_read_us > 0 &&
		store->head_epoch == fm_head_epoch(store->base.options.location) &&
		fm_monotonic_us() - store->head_read_us <
		(int64) store->base.options.max_staleness_ms * 1000;
}

/*
 * A request for HEAD, unless it is what the ETag says (empty: whatever it
 * is); its bytes come to dest.  palloc'd.
 */
static FmPendingHead *
prepare_get(FmS3Store *store, const char *etag, uint8 *dest)
{
	FmPendingHead *pending = palloc0(sizeof(FmPendingHead));
	FmS3Request *request = &pending->request;

	request->method = "GET";
	request->name = "HEAD";
	strlcpy(pending->etag, etag, sizeof(pending->etag));
	if (etag[0] != '\0')
		fm_s3_add_header(request, "if-none-match", pending->etag);
	request->http.dest = dest;
	request->http.dest_size = FM_HEAD_MAX_SIZE;
	pending->asked_us = fm_monotonic_us();
	pending->epoch = fm_head_epoch(store->base.options.location);
	return pending;
}

FmPendingHead *
fm_s3_start_head(FmStore *base, const FmHeadTag *tag)
{
	FmS3Store  *store = (FmS3Store *) base;
	FmPendingHead *pending;

	if (tag != NULL && is_fresh(store))
		return NULL;
	pending = prepare_get(store, tag != NULL ? tag->etag : "",
						  palloc(FM_HEAD_MAX_SIZE));
	pending->batch = fm_s3_start_batch(store, &pending->request, 1,
									   FM_WAIT_HEAD_READ);
	return pending;
}

bool
fm_s3_poll_head(FmPendingHead *pending)
{
	return fm_s3_poll_batch(pending->batch);
}

/* Is the answer no HEAD, but perhaps on the way only?  Fills the fault then. */
static bool
is_damaged(const FmPendingHead *pending, FmFault *fault)
{
	const FmHttpRequest *http = &pending->request.http;
	FmHeadIdentity identity;

	return http->status == 200 && !http->overflow &&
		fm_head_identify(fm_slice(http->dest, http->received), &identity,
						 fault) == FM_CORRUPTION;
}

/*
 * Takes the answer: brings the copy up to date, with "bytes" if it is another
 * one.  False if there is none.
 */
static bool
take_answer(FmS3Store *store, const FmPendingHead *pending, FmHeadCopy *copy,
			FmSlice *bytes)
{
	const FmS3Request *request = &pending->request;
	const FmHttpRequest *http = &request->http;
	FmSlice		new = {NULL, 0};
	FmFault		fault;

	strlcpy(copy->etag, pending->etag, sizeof(copy->etag));
	copy->asked_us = pending->asked_us;
	copy->epoch = pending->epoch;
	switch (http->status)
	{
		case 200:
			if (http->overflow)
			{
				fm_fault(&fault, FM_CORRUPTION,
						 "it is larger than a HEAD can be", 0);
				fm_raise_head_fault(&store->base, &fault);
			}
			*bytes = new = copy_bytes(http->dest, http->received);
			strlcpy(copy->etag, http->etag, sizeof(copy->etag));
			break;
		case 304:
			if (pending->etag[0] == '\0')
				fm_s3_raise(store, request, "read HEAD");
			break;
		case 404:
			if (strcmp(request->code, "NoSuchBucket") == 0)
				fm_s3_raise(store, request, "read HEAD");
			return false;
		default:
			fm_s3_raise(store, request, "read HEAD");
	}
	if (!is_damaged(pending, &fault))
		fm_shared_head_note(&store->base, copy, new);
	return true;
}

/* Asks for HEAD, unless it is still what the copy says. */
static bool
ask(FmS3Store *store, FmHeadCopy *copy, FmSlice *bytes)
{
	FmPendingHead *pending = prepare_get(store, copy->etag,
										 store->head_buffer);
	FmFault		fault;
	bool		exists;
	int			tries;

	for (tries = 1;; tries++)
	{
		fm_s3_perform(store, &pending->request, 1, FM_WAIT_HEAD_READ);
		if (!is_damaged(pending, &fault) || tries == FM_READ_TRIES)
			break;
		fm_log_head_fault(&store->base, &fault);
		pending->request.http.fresh_connection = true;
	}
	exists = take_answer(store, pending, copy, bytes);
	pfree(pending);
	return exists;
}

static void
release_head(int code, Datum arg)
{
	fm_shared_head_release(true);
}

/* Asks for all who wait for it. */
static bool
ask_for_all(FmS3Store *store, FmHeadCopy *copy, FmSlice *bytes)
{
	bool		exists;

	PG_ENSURE_ERROR_CLEANUP(release_head, (Datum) 0);
	{
		exists = ask(store, copy, bytes);
	}
	PG_END_ENSURE_ERROR_CLEANUP(release_head, (Datum) 0);
	fm_shared_head_release(!exists);
	return exists;
}

/* The same as others have it, or asks: alone, or for all. */
static bool
find_out(FmS3Store *store, const char *my_etag, FmHeadCopy *copy,
		 FmSlice *bytes)
{
	FmHeadTurn	turn;

	/* Who has none is not told what others with the same rights know. */
	(void) fm_s3_credentials(store);
	if (store->head_buffer == NULL)
		store->head_buffer = MemoryContextAlloc(store->base.context,
												FM_HEAD_MAX_SIZE);
	turn = fm_shared_head_await(&store->base, &store->pace, my_etag,
								store->head_buffer, copy);
	if (copy->len > 0)
		*bytes = copy_bytes(store->head_buffer, copy->len);
	if (turn == FM_HEAD_KNOWN)
		return true;
	if (copy->etag[0] == '\0' || turn == FM_HEAD_ASK_ALONE)
		strlcpy(copy->etag, my_etag, sizeof(copy->etag));
	return turn == FM_HEAD_ASK ? ask_for_all(store, copy, bytes) :
		ask(store, copy, bytes);
}

static void
raise_removed(const FmS3Store *store)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("HEAD of server \"%s\" was removed while in use",
					store->base.options.servername),
			 errhint("Restore HEAD from a backup or an older version of the object.")));
}

FmHeadReadResult
fm_s3_read_head(FmStore *base, FmHeadTag **tag, FmPendingHead *started,
				FmSlice *bytes)
{
	FmS3Store  *store = (FmS3Store *) base;
	const char *my_etag = *tag != NULL ? (*tag)->etag : "";
	FmHeadReadResult result = FM_HEAD_UNCHANGED;
	FmSlice		found = {NULL, 0};
	FmFault		fault;
	bool		exists;
	FmHeadCopy	copy;

	if (*tag != NULL && is_fresh(store))
		return FM_HEAD_FRESH;

	/* What was asked with another tag tells nothing about this one. */
	if (started != NULL && strcmp(started->etag, my_etag) != 0)
		started = NULL;
	if (started != NULL)
		fm_s3_finish_batch(started->batch);
	if (started != NULL && !is_damaged(started, &fault))
		exists = take_answer(store, started, &copy, &found);
	else
		exists = find_out(store, my_etag, &copy, &found);
	if (!exists)
	{
		if (*tag != NULL)
			raise_removed(store);
		return FM_HEAD_MISSING;
	}
	if (found.data != NULL)
	{
		if (*tag == NULL)
			*tag = MemoryContextAllocZero(base->context, sizeof(FmHeadTag));
		strlcpy((*tag)->etag, copy.etag, sizeof((*tag)->etag));
		(*tag)->identified =
			fm_head_identify(found, &(*tag)->identity, NULL) == FM_OK;
		*bytes = found;
		result = FM_HEAD_READ;
	}
	note_head(store, *tag, copy.asked_us);
	store->head_epoch = copy.epoch;
	return result;
}

void
fm_s3_free_tag(FmStore *store, FmHeadTag *tag)
{
	if (tag != NULL)
		pfree(tag);
}

/* Interrupts would act at the end of a message: it is too late for them. */
static void
log_unknown(FmS3Store *store, const FmS3Request *request)
{
	const FmHttpRequest *http = &request->http;

	HOLD_INTERRUPTS();
	ereport(LOG,
			(errmsg("outcome of replacing HEAD of server \"%s\" is not known yet",
					store->base.options.servername),
			 http->outcome == FM_HTTP_ANSWERED ?
			 errdetail("The answer was %d %s.", http->status, request->code) :
			 errdetail("There was no answer: %s", http->message)));
	RESUME_INTERRUPTS();
}

/*
 * Sends a PUT of HEAD, or what tells about its outcome.  What goes wrong once
 * the server may have seen it is an outcome that is not known, and no error,
 * which would say that HEAD stays as it was.
 */
static void
send_once(FmS3Store *store, FmS3Request *request, FmWaitEvent wait_event)
{
	MemoryContext context = CurrentMemoryContext;
	uint32		held = InterruptHoldoffCount;

	PG_TRY();
	{
		fm_s3_perform_once(store, request, true, wait_event);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		if (request->http.outcome != FM_HTTP_BROKEN)
			PG_RE_THROW();
		InterruptHoldoffCount = held;
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		strlcpy(request->http.message, error->message,
				sizeof(request->http.message));
	}
	PG_END_TRY();
}

/*
 * Is HEAD another one than a swap expected?  Looks once; false if that does
 * not tell.
 */
static bool
has_moved(FmS3Store *store, const FmHeadIdentity *expected)
{
	FmPendingHead *pending = prepare_get(store, "", palloc(FM_HEAD_MAX_SIZE));
	FmHttpRequest *http = &pending->request.http;
	FmHeadIdentity found;

	pending->request.max_timeout_ms = PUT_TIMEOUT_MS;
	send_once(store, &pending->request, FM_WAIT_HEAD_READ);
	return http->outcome == FM_HTTP_ANSWERED && http->status == 200 &&
		!http->overflow &&
		fm_head_identify(fm_slice(http->dest, http->received), &found,
						 NULL) == FM_OK &&
		(expected == NULL || !is_same_head(&found, expected));
}

/* Does the answer say that the PUT was not done, and never will be? */
static bool
is_final(const FmS3Request *request)
{
	const FmHttpRequest *http = &request->http;

	return http->outcome == FM_HTTP_ANSWERED && http->status >= 300 &&
		http->status < 500 &&
		!fm_s3_is_passing_status(http->status) &&
		!fm_s3_is_passing_code(request);
}

/*
 * A PUT of HEAD was answered, or not.  That it failed is not believed if HEAD
 * says otherwise: what stands between may have made the answer.
 */
static FmCasResult
judge_put(FmS3Store *store, FmS3Request *request,
		  const FmHeadIdentity *expected)
{
	FmHttpRequest *http = &request->http;

	if (http->outcome == FM_HTTP_NOT_SENT)
		fm_s3_raise(store, request, "replace HEAD");
	if (fm_s3_is_written(request))
		return FM_CAS_APPLIED;
	if (http->outcome == FM_HTTP_ANSWERED &&
		(http->status == 409 || http->status == 412))
		return FM_CAS_REFUSED;
	if (is_final(request) && !has_moved(store, expected))
	{
		if (http->status == 404 && strcmp(request->code, "NoSuchBucket") != 0)
			raise_removed(store);
		fm_s3_raise(store, request, "replace HEAD");
	}
	log_unknown(store, request);
	return FM_CAS_UNKNOWN;
}

static bool
is_known_head(const FmS3Store *store, const FmHeadIdentity *expected)
{
	return store->head_known && is_same_head(&store->head_identity, expected);
}

/* A weak ETag matches no condition of a PUT (RFC 9110, 13.1.1). */
static void
check_etag(const FmS3Store *store)
{
	const char *etag = store->head_etag;

	if (etag[0] == '\0' || strncmp(etag, "W/", 2) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("server \"%s\" is not fit for writing",
						store->base.options.servername),
				 errdetail(etag[0] == '\0' ?
						   "The service shows no ETag of HEAD." :
						   "The service shows a weak ETag of HEAD."),
				 errhint("Something between here and the service may change its answers: check the server option \"endpoint\".")));
}

FmCasResult
fm_s3_cas_head(FmStore *base, const FmHeadIdentity *expected, FmSlice bytes,
			   TimestampTz deadline)
{
	FmS3Store  *store = (FmS3Store *) base;
	FmS3Request *request;
	FmCasResult result;
	FmHeadCopy	copy;

	fm_s3_check_writable(store);
	if (expected != NULL && !is_known_head(store, expected))
		return FM_CAS_LOST;
	if (expected != NULL)
		check_etag(store);
	request = palloc0(sizeof(FmS3Request));
	request->method = "PUT";
	request->name = "HEAD";
	request->body = bytes;
	request->max_timeout_ms = PUT_TIMEOUT_MS;
	request->http.fresh_connection = true;
	if (expected != NULL)
	{
		/* Refused though HEAD is the same: older Ceph wants no quotes. */
		if (strcmp(store->refused_etag, store->head_etag) == 0)
			store->other_quoting = !store->other_quoting;
		fm_s3_add_if_match(store, request, store->head_etag);
	}
	else
		fm_s3_add_header(request, "if-none-match", "*");

	/* Whatever comes of it, HEAD must be read again. */
	store->head_known = false;
	store->head_read_us = 0;
	memset(&copy, 0, sizeof(copy));
	copy.asked_us = fm_monotonic_us();
	copy.epoch = fm_head_epoch(base->options.location);
	send_once(store, request, FM_WAIT_HEAD_WRITE);
	fm_head_replaced(base->options.location);
	store->refused_etag[0] = '\0';
	if (expected != NULL && request->http.outcome == FM_HTTP_ANSWERED &&
		request->http.status == 412)
		strlcpy(store->refused_etag, store->head_etag,
				sizeof(store->refused_etag));
	result = judge_put(store, request, expected);
	if (result == FM_CAS_APPLIED)
	{
		strlcpy(copy.etag, request->http.etag, sizeof(copy.etag));
		fm_shared_head_note(base, &copy, bytes);
	}
	pfree(request);
	return result;
}

/* It is expected by a swap, and not believed by a reader. */
FmSlice
fm_s3_recall_head(FmStore *base)
{
	FmS3Store  *store = (FmS3Store *) base;
	FmHeadIdentity identity;
	FmHeadCopy	copy;

	if (store->head_buffer == NULL)
		store->head_buffer = MemoryContextAlloc(base->context,
												FM_HEAD_MAX_SIZE);
	if (!fm_shared_head_recall(base, store->head_buffer, &copy) ||
		fm_head_identify(fm_slice(store->head_buffer, copy.len), &identity,
						 NULL) != FM_OK)
		return fm_slice(NULL, 0);
	store->head_known = true;
	store->head_identity = identity;
	store->head_read_us = 0;
	strlcpy(store->head_etag, copy.etag, sizeof(store->head_etag));
	return copy_bytes(store->head_buffer, copy.len);
}
