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
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "objstore/clock.h"
#include "objstore/head_epoch.h"
#include "objstore/pg_status.h"
#include "objstore/s3.h"
#include "utils/memutils.h"

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

/* A request for HEAD, whose bytes come to dest; palloc'd. */
static FmPendingHead *
prepare_get(FmS3Store *store, const FmHeadTag *tag, uint8 *dest)
{
	FmPendingHead *pending = palloc0(sizeof(FmPendingHead));
	FmS3Request *request = &pending->request;

	request->method = "GET";
	request->name = "HEAD";
	if (tag != NULL && tag->etag[0] != '\0')
	{
		strlcpy(pending->etag, tag->etag, sizeof(pending->etag));
		fm_s3_add_header(request, "if-none-match", pending->etag);
	}
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
	pending = prepare_get(store, tag, palloc(FM_HEAD_MAX_SIZE));
	pending->batch = fm_s3_start_batch(store, &pending->request, 1,
									   FM_WAIT_HEAD_READ);
	return pending;
}

bool
fm_s3_poll_head(FmPendingHead *pending)
{
	return fm_s3_poll_batch(pending->batch);
}

FmHeadReadResult
fm_s3_read_head(FmStore *base, FmHeadTag **tag, FmPendingHead *started,
				FmSlice *bytes)
{
	FmS3Store  *store = (FmS3Store *) base;
	FmPendingHead *asked = started;
	FmS3Request *request;
	FmHttpRequest *http;
	FmHeadReadResult result = FM_HEAD_READ;
	FmFault		fault;

	if (*tag != NULL && is_fresh(store))
		return FM_HEAD_UNCHANGED;

	/* What was asked with another tag tells nothing about this one. */
	if (started != NULL &&
		strcmp(started->etag, *tag == NULL ? "" : (*tag)->etag) != 0)
		asked = NULL;
	if (asked == NULL)
	{
		if (store->head_buffer == NULL)
			store->head_buffer = MemoryContextAlloc(base->context,
													FM_HEAD_MAX_SIZE);
		asked = prepare_get(store, *tag, store->head_buffer);
		fm_s3_perform(store, &asked->request, 1, FM_WAIT_HEAD_READ);
	}
	else
		fm_s3_finish_batch(asked->batch);
	request = &asked->request;
	http = &request->http;
	switch (http->status)
	{
		case 200:
			if (http->overflow)
			{
				fm_fault(&fault, FM_CORRUPTION,
						 "it is larger than a HEAD can be", 0);
				fm_raise_head_fault(base, &fault);
			}
			*bytes = copy_bytes(http->dest, http->received);
			if (*tag == NULL)
				*tag = MemoryContextAllocZero(base->context,
											  sizeof(FmHeadTag));
			strlcpy((*tag)->etag, http->etag, sizeof((*tag)->etag));
			(*tag)->identified = http->etag[0] != '\0' &&
				fm_head_identify(*bytes, &(*tag)->identity, NULL) == FM_OK;
			note_head(store, *tag, asked->asked_us);
			break;
		case 304:
			result = FM_HEAD_UNCHANGED;
			note_head(store, *tag, asked->asked_us);
			break;
		case 404:
			if (strcmp(request->code, "NoSuchBucket") == 0)
				fm_s3_raise(store, request, "read HEAD");
			if (*tag != NULL)
				ereport(ERROR,
						(errcode(ERRCODE_DATA_CORRUPTED),
						 errmsg("HEAD of server \"%s\" was removed while in use",
								base->options.servername),
						 errhint("Restore HEAD from a backup or an older version of the object.")));
			result = FM_HEAD_MISSING;
			break;
		default:
			fm_s3_raise(store, request, "read HEAD");
	}
	store->head_epoch = asked->epoch;
	if (asked != started)
		pfree(asked);
	return result;
}

void
fm_s3_free_tag(FmStore *store, FmHeadTag *tag)
{
	if (tag != NULL)
		pfree(tag);
}

static void
log_unknown(FmS3Store *store, const FmS3Request *request)
{
	const FmHttpRequest *http = &request->http;

	ereport(LOG,
			(errmsg("outcome of replacing HEAD of server \"%s\" is not known yet",
					store->base.options.servername),
			 http->outcome == FM_HTTP_ANSWERED ?
			 errdetail("The answer was %d %s.", http->status, request->code) :
			 errdetail("There was no answer: %s", http->message)));
}

/* A PUT of HEAD was answered, or not. */
static FmCasResult
judge_put(FmS3Store *store, FmS3Request *request)
{
	FmHttpRequest *http = &request->http;

	if (http->outcome == FM_HTTP_NOT_SENT)
		fm_s3_raise(store, request, "replace HEAD");
	if (http->outcome == FM_HTTP_ANSWERED)
	{
		switch (http->status)
		{
			case 200:
			case 201:
			case 204:
				return FM_CAS_APPLIED;
			case 409:
			case 412:
				/* Lost, or our own success under a repetition: see HEAD. */
				return FM_CAS_UNKNOWN;
			case 404:
				if (strcmp(request->code, "NoSuchBucket") != 0)
					ereport(ERROR,
							(errcode(ERRCODE_DATA_CORRUPTED),
							 errmsg("HEAD of server \"%s\" was removed while in use",
									store->base.options.servername),
							 errhint("Restore HEAD from a backup or an older version of the object.")));
				fm_s3_raise(store, request, "replace HEAD");
			case 408:
			case 429:
			case 499:
				break;
			default:
				if (http->status < 500 &&
					strcmp(request->code, "RequestTimeout") != 0 &&
					strcmp(request->code, "SlowDown") != 0)
					fm_s3_raise(store, request, "replace HEAD");
		}
	}
	log_unknown(store, request);
	return FM_CAS_UNKNOWN;
}

static bool
is_known_head(const FmS3Store *store, const FmHeadIdentity *expected)
{
	const FmHeadIdentity *known = &store->head_identity;

	return store->head_known &&
		fm_id_eq(&known->store_id, &expected->store_id) &&
		known->incarnation == expected->incarnation &&
		known->version == expected->version &&
		fm_id_eq(&known->commit_id, &expected->commit_id);
}

FmCasResult
fm_s3_cas_head(FmStore *base, const FmHeadIdentity *expected, FmSlice bytes,
			   TimestampTz deadline)
{
	FmS3Store  *store = (FmS3Store *) base;
	FmS3Request *request;
	FmCasResult result;

	fm_s3_check_writable(store);
	if (expected != NULL && !is_known_head(store, expected))
		return FM_CAS_LOST;
	request = palloc0(sizeof(FmS3Request));
	request->method = "PUT";
	request->name = "HEAD";
	request->body = bytes;
	request->http.fresh_connection = true;
	if (expected != NULL)
	{
		/* Refused though HEAD is the same: older Ceph wants no quotes. */
		if (strcmp(store->refused_etag, store->head_etag) == 0)
			store->bare_etags = !store->bare_etags;
		fm_s3_add_if_match(store, request, store->head_etag);
	}
	else
		fm_s3_add_header(request, "if-none-match", "*");

	/* Whatever comes of it, HEAD must be read again. */
	store->head_known = false;
	store->head_read_us = 0;
	fm_s3_perform_once(store, request, FM_WAIT_HEAD_WRITE);
	fm_head_replaced(base->options.location);
	store->refused_etag[0] = '\0';
	if (expected != NULL && request->http.outcome == FM_HTTP_ANSWERED &&
		request->http.status == 412)
		strlcpy(store->refused_etag, store->head_etag,
				sizeof(store->refused_etag));
	result = judge_put(store, request);
	strlcpy(store->swapped_etag,
			result == FM_CAS_APPLIED ? request->http.etag : "",
			sizeof(store->swapped_etag));
	pfree(request);
	return result;
}

void
fm_s3_swapped_etag(FmStore *base, char etag[FM_ETAG_SIZE])
{
	strlcpy(etag, ((FmS3Store *) base)->swapped_etag, FM_ETAG_SIZE);
}

/* It is expected by a swap, and not believed by a reader. */
void
fm_s3_learn_head(FmStore *base, const FmHeadIdentity *identity,
				 const char *etag)
{
	FmS3Store  *store = (FmS3Store *) base;

	store->head_known = true;
	store->head_identity = *identity;
	store->head_read_us = 0;
	strlcpy(store->head_etag, etag, sizeof(store->head_etag));
}
