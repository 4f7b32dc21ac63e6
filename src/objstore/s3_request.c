/*-------------------------------------------------------------------------
 *
 * s3_request.c
 *	  Requests to a bucket: signed, checked, and repeated where that is safe.
 *
 * A request is signed anew for each try.  Three answers are put right and
 * tried again at once, each of them once in a call: the bucket is in another
 * region, the credentials have expired, our clock is wrong.  The server has
 * not done anything in these cases, so this holds for every request.
 *
 * Other failures that may pass (no connection, no answer, 5xx, "slow down")
 * are repeated by fm_s3_perform only, after a pause with full jitter.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "objstore/clock.h"
#include "objstore/s3.h"
#include "objstore/sigv4.h"

#define MIN_PAUSE_MS 50
#define MAX_PAUSE_MS 5000
#define REFRESH_BEFORE_EXPIRY_US (5 * USECS_PER_MINUTE)
#define REFRESH_AGAIN_US USECS_PER_MINUTE
#define EMPTY_SHA256 \
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* What was put right already in a call. */
typedef struct Repairs
{
	bool		region;
	bool		credentials;
	bool		clock;
} Repairs;

typedef enum Judgement
{
	FINAL,						/* for the caller to look at */
	REPAIRED,					/* to be sent again at once */
	PASSING						/* to be sent again after a pause */
} Judgement;

void
fm_s3_add_header(FmS3Request *request, const char *name, const char *value)
{
	Assert(request->nheaders < FM_S3_MAX_HEADERS);
	request->headers[request->nheaders].name = name;
	request->headers[request->nheaders++].value = value;
}

void
fm_s3_add_if_match(FmS3Store *store, FmS3Request *request, const char *etag)
{
	size_t		len = strlen(etag);

	if (store->other_quoting && etag[0] != '"')
		etag = psprintf("\"%s\"", etag);
	else if (store->other_quoting && len > 2)
		etag = pnstrdup(etag + 1, len - 2);
	fm_s3_add_header(request, "if-match", etag);
}

/*
 * Newer credentials than those that are valid yet; the same if there are none
 * to be had.  An error lets go of held interrupts, which have to stay held.
 */
static FmCredentials *
refresh_credentials(FmS3Store *store, FmCredentials *old)
{
	MemoryContext context = CurrentMemoryContext;
	uint32		held = InterruptHoldoffCount;
	FmCredentials *volatile result = old;

	store->refresh_us = fm_monotonic_us();
	PG_TRY();
	{
		result = fm_credentials_read(&store->base);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		if (geterrcode() != ERRCODE_CONNECTION_FAILURE &&
			geterrcode() != ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION)
			PG_RE_THROW();
		InterruptHoldoffCount = held;
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		ereport(LOG,
				(errmsg_internal("%s", error->message),
				 error->detail != NULL ?
				 errdetail_internal("%s", error->detail) : 0,
				 errhint("Those that were obtained before are used until they expire.")));
	}
	PG_END_TRY();
	return result;
}

const FmCredentials *
fm_s3_credentials(FmS3Store *store)
{
	FmCredentials *old = store->credentials;
	int64		left_us = 0;

	if (old != NULL)
		left_us = TIMESTAMP_IS_NOEND(old->expires) ? PG_INT64_MAX :
			old->expires - GetCurrentTimestamp();
	if (left_us > REFRESH_BEFORE_EXPIRY_US ||
		(left_us > 0 && store->refresh_us != 0 &&
		 fm_monotonic_us() - store->refresh_us < REFRESH_AGAIN_US))
		return old;
	store->credentials = left_us > 0 ? refresh_credentials(store, old) :
		fm_credentials_read(&store->base);
	if (old != store->credentials)
		fm_credentials_free(old);
	return store->credentials;
}

/* "20150830T123600Z", by the server's clock where that is known. */
static char *
signing_time(FmS3Store *store)
{
	pg_time_t	now = (pg_time_t) (store->base.ops->now(&store->base) / 1000000);
	char	   *text = palloc(32);

	pg_strftime(text, 32, "%Y%m%dT%H%M%SZ", pg_gmtime(&now));
	return text;
}

/* Fills http's url and headers. */
static void
sign(FmS3Store *store, FmS3Request *request)
{
	const FmCredentials *credentials = fm_s3_credentials(store);
	int			max_headers = request->nheaders + 8;
	FmSigv4Header *headers = palloc(sizeof(FmSigv4Header) * max_headers);
	const char **lines = palloc0(sizeof(char *) * max_headers);
	char	   *payload_hash = palloc(65);
	StringInfoData path;
	StringInfoData authorization;
	FmSigv4Request signing;
	FmSigv4Key	key;
	int			n = 0;
	int			i;

	initStringInfo(&path);
	appendStringInfoString(&path, store->path_prefix);
	if (request->name != NULL || path.len == 0)
		appendStringInfoChar(&path, '/');
	if (request->name != NULL)
	{
		fm_uri_encode(&path, store->prefix, true);
		fm_uri_encode(&path, request->name, true);
	}
	request->http.method = request->method;
	request->http.url = psprintf("%s://%s%s%s%s", store->scheme, store->host,
								 path.data, request->query != NULL ? "?" : "",
								 request->query != NULL ? request->query : "");
	request->http.body = request->body;
	if (request->body.len == 0)
		strcpy(payload_hash, EMPTY_SHA256);
	else
		fm_sha256_hex(request->body, payload_hash);

	for (i = 0; i < request->nheaders; i++)
	{
		headers[n].name = request->headers[i].name;
		headers[n++].value = request->headers[i].value;
	}
	if (request->has_range)
	{
		headers[n].name = "range";
		headers[n++].value = psprintf("bytes=%llu-%llu",
									  (unsigned long long) request->offset,
									  (unsigned long long) (request->offset + request->http.dest_size - 1));
		request->http.skip = request->offset;
	}
	headers[n].name = "x-amz-content-sha256";
	headers[n++].value = payload_hash;
	headers[n].name = "x-amz-date";
	headers[n++].value = signing.time = signing_time(store);
	if (credentials->session_token != NULL)
	{
		headers[n].name = "x-amz-security-token";
		headers[n++].value = credentials->session_token;
	}
	for (i = 0; i < n; i++)
		lines[i] = psprintf("%s: %s", headers[i].name, headers[i].value);
	headers[n].name = "host";
	headers[n++].value = store->host;

	key.access_key_id = credentials->access_key_id;
	key.secret_access_key = credentials->secret_access_key;
	key.session_token = credentials->session_token;
	key.region = store->region;
	key.service = "s3";
	signing.method = request->method;
	signing.path = path.data;
	signing.query = request->query != NULL ? request->query : "";
	signing.headers = headers;
	signing.nheaders = n;
	signing.payload_hash = payload_hash;
	initStringInfo(&authorization);
	appendStringInfoString(&authorization, "Authorization: ");
	fm_sigv4_sign(&key, &signing, &authorization);
	lines[n - 1] = authorization.data;
	request->http.headers = lines;
}

/* Keeps the time that the server's clock shows. */
static void
note_date(FmS3Store *store, const FmHttpRequest *http)
{
	if (http->date <= 0)
		return;
	store->date_us = http->date * 1000000;
	store->date_seen_us = fm_monotonic_us();
}

/* The region that an answer names, NULL if none; palloc'd or the request's. */
static const char *
named_region(FmS3Request *request)
{
	FmHttpRequest *http = &request->http;
	const char *region;

	if (http->status != 301 && http->status != 307 && http->status != 400)
		return NULL;
	if (http->region[0] != '\0')
		region = http->region;
	else
		region = http->error_size > 0 ?
			fm_s3_xml_text(http->error_body, "Region") : NULL;
	if (region == NULL || region[0] == '\0' ||
		strspn(region, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != strlen(region))
		return NULL;
	return region;
}

/* A ranged answer that is not the range that was asked for. */
static bool
is_wrong_range(const FmS3Request *request)
{
	const FmHttpRequest *http = &request->http;
	uint64		end = request->offset + http->dest_size - 1;

	if (!request->has_range || http->status != 206)
		return false;
	if (!http->has_range || http->range_start != request->offset ||
		http->range_end > end || http->overflow ||
		http->range_end < http->range_start ||
		http->received != http->range_end - http->range_start + 1)
		return true;
	return http->range_end < end && http->range_end + 1 != http->range_total;
}

static bool
repair(FmS3Store *store, FmS3Request *request, Repairs *done)
{
	const char *region = named_region(request);

	if (!done->region && region != NULL &&
		strcmp(region, store->region) != 0)
	{
		done->region = true;
		fm_s3_set_address(store, pstrdup(region));
		return true;
	}
	if (!done->credentials &&
		(fm_s3_is_code(request, "ExpiredToken") ||
		 fm_s3_is_code(request, "TokenRefreshRequired")))
	{
		FmCredentials *old = store->credentials;

		done->credentials = true;
		store->credentials = fm_credentials_read(&store->base);
		fm_credentials_free(old);
		return true;
	}
	if (!done->clock && fm_s3_is_code(request, "RequestTimeTooSkewed") &&
		request->http.date > 0)
	{
		done->clock = true;
		return true;
	}
	return false;
}

static Judgement
judge(FmS3Store *store, FmS3Request *request, Repairs *done)
{
	FmHttpRequest *http = &request->http;

	fm_s3_note_error(request);
	note_date(store, http);
	if (http->outcome != FM_HTTP_ANSWERED)
		return http->obstacle != FM_HTTP_NO_OBSTACLE ? FINAL : PASSING;
	if (fm_s3_is_passing_status(http->status))
		return PASSING;
	switch (http->status)
	{
		case 301:
		case 307:
		case 400:
		case 403:
			if (repair(store, request, done))
				return REPAIRED;
			return fm_s3_is_passing_code(request) ? PASSING : FINAL;
		case 200:
			return fm_s3_is_passing_code(request) ? PASSING : FINAL;
		case 409:
			/* another request for the same name, perhaps our own, goes on */
			return strcmp(request->method, "PUT") == 0 ||
				fm_s3_is_code(request, "ConditionalRequestConflict") ?
				PASSING : FINAL;
		default:
			return FINAL;
	}
}

static void
check_commit_deadline(const FmS3Store *store)
{
	fm_store_check_deadline(&store->base, "The store");
}

static FmHttpBatch *
start_requests(FmS3Store *store, FmS3Request **requests, int n,
			   FmWaitEvent wait_event)
{
	const FmStoreOptions *options = &store->base.options;
	FmHttpRequest **https = palloc(sizeof(FmHttpRequest *) * n);
	FmHttpOptions http_options;
	int			left_ms = fm_store_left_ms(&store->base);
	int			i;

	for (i = 0; i < n; i++)
	{
		FmS3Request *request = requests[i];
		uint64		size = Max(request->body.len, request->http.dest_size);
		int			timeout_ms = options->request_timeout_ms +
		(int) Min(size / 1024, PG_INT32_MAX / 2);

		sign(store, request);
		if (request->max_timeout_ms > 0)
			timeout_ms = Min(timeout_ms, request->max_timeout_ms);
		request->http.timeout_ms = Min(timeout_ms, left_ms);
		request->http.repeatable = strcmp(request->method, "GET") == 0;
		https[i] = &request->http;
	}
	http_options.connect_timeout_ms = options->connect_timeout_ms;
	http_options.ca_file = options->ca_file;
	http_options.direct = false;
	http_options.max_parallel = options->max_requests;
	http_options.wait_event = fm_wait_event(wait_event);
	http_options.pace = &store->pace;
	return fm_http_start(https, n, &http_options);
}

/* Nothing of the requests is in flight when this returns or raises. */
static void
send_requests(FmS3Store *store, FmS3Request **requests, int n,
			  FmWaitEvent wait_event)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "fusio_manifest requests",
												  ALLOCSET_SMALL_SIZES);
	FmHttpBatch *batch;
	MemoryContext old;

	PG_TRY();
	{
		old = MemoryContextSwitchTo(context);
		batch = start_requests(store, requests, n, wait_event);
		MemoryContextSwitchTo(old);
		fm_http_wait(batch);
	}
	PG_FINALLY();
	{
		MemoryContextDelete(context);
	}
	PG_END_TRY();
}

/*
 * When a pause before a repetition ends that begins now: when the time for a
 * commit is up at the latest.
 */
static int64
end_of_pause_us(const FmS3Store *store, int tries, int retry_after)
{
	int64		pause_ms = Min((int64) MIN_PAUSE_MS << Min(tries, 16),
							   MAX_PAUSE_MS);

	pause_ms = (int64) pg_prng_uint64_range(&pg_global_prng_state, 1,
											(uint64) pause_ms);
	pause_ms = Max(pause_ms, (int64) retry_after * 1000);
	pause_ms = Min(pause_ms, fm_store_left_ms(&store->base));
	return fm_monotonic_us() + pause_ms * 1000;
}

/* Sleeps before a repetition; false if that would end after the deadline. */
static bool
pause_before_retry(const FmS3Store *store, int tries, int retry_after, int64 deadline_us,
				   FmWaitEvent wait_event)
{
	int64		end_us = end_of_pause_us(store, tries, retry_after);

	if (end_us > deadline_us)
		return false;
	while (fm_monotonic_us() < end_us)
	{
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 (long) ((end_us - fm_monotonic_us()) / 1000 + 1),
						 fm_wait_event(wait_event));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return true;
}

static int64
retry_deadline(const FmS3Store *store)
{
	return fm_monotonic_us() +
		(int64) store->base.options.retry_timeout_ms * 1000;
}

/* Performs requests; "sent": they have an answer, which may not be the last. */
static void
perform_until(FmS3Store *store, FmS3Request *requests, int n, bool sent,
			  FmWaitEvent wait_event, int64 deadline_us)
{
	FmS3Request **pending = palloc(sizeof(FmS3Request *) * Max(n, 1));
	Repairs		done = {false, false, false};
	int			npending = n;
	int			tries = 0;
	int			wrong_ranges = 0;
	int			i;

	for (i = 0; i < n; i++)
		pending[i] = &requests[i];
	while (npending > 0)
	{
		int			nleft = 0;
		int			retry_after = -1;
		bool		passing = false;
		FmS3Request *wrong_range = NULL;

		CHECK_FOR_INTERRUPTS();
		check_commit_deadline(store);
		if (!sent)
			send_requests(store, pending, npending, wait_event);
		sent = false;
		for (i = 0; i < npending; i++)
		{
			FmS3Request *request = pending[i];
			Judgement	judgement = judge(store, request, &done);
			bool		wrong = is_wrong_range(request);

			if (judgement == FINAL && !wrong)
				continue;
			if (wrong)
				wrong_range = request;
			request->http.fresh_connection |= wrong;
			passing |= judgement == PASSING;
			retry_after = Max(retry_after, request->http.retry_after);
			request->retries++;
			pending[nleft++] = request;
		}
		npending = nleft;
		if (npending == 0)
			break;
		if (wrong_range != NULL && ++wrong_ranges == FM_READ_TRIES)
		{
			strlcpy(wrong_range->message,
					"The answer is not the range that was asked for.",
					sizeof(wrong_range->message));
			fm_s3_raise(store, wrong_range, "read a range");
		}
		if (passing)
			check_commit_deadline(store);
		if (passing && !pause_before_retry(store, tries++, retry_after, deadline_us,
										   wait_event))
			fm_s3_raise(store, pending[0], "get an answer in time");
	}
	pfree(pending);
}

void
fm_s3_perform(FmS3Store *store, FmS3Request *requests, int n,
			  FmWaitEvent wait_event)
{
	int			i;

	for (i = 0; i < n; i++)
		requests[i].retries = 0;
	perform_until(store, requests, n, false, wait_event,
				  retry_deadline(store));
}

struct FmS3Batch
{
	FmS3Store  *store;
	FmS3Request *requests;
	int			n;
	FmWaitEvent wait_event;
	MemoryContext context;
	FmHttpBatch *http;			/* what was sent last */
	int			tries;
	int64		deadline_us;	/* of repetitions; 0: none was needed yet */
	int64		resume_us;		/* the pause before one ends; 0: none */
};

FmS3Batch *
fm_s3_start_batch(FmS3Store *store, FmS3Request *requests, int n,
				  FmWaitEvent wait_event)
{
	FmS3Batch  *batch = palloc0(sizeof(FmS3Batch));
	FmS3Request **all = palloc(sizeof(FmS3Request *) * Max(n, 1));
	int			i;

	batch->store = store;
	batch->requests = requests;
	batch->n = n;
	batch->wait_event = wait_event;
	batch->context = CurrentMemoryContext;
	for (i = 0; i < n; i++)
	{
		requests[i].retries = 0;
		all[i] = &requests[i];
	}
	batch->http = start_requests(store, all, n, wait_event);
	return batch;
}

/* Without any attempt to put things right. */
static bool
is_passing(FmS3Store *store, FmS3Request *request)
{
	Repairs		done = {true, true, true};

	return judge(store, request, &done) == PASSING;
}

/* Begins a pause if something is to be repeated in time. */
static bool
begin_pause(FmS3Batch *batch)
{
	int			retry_after = -1;
	bool		passing = false;
	int64		end_us;
	int			i;

	for (i = 0; i < batch->n; i++)
	{
		if (!is_passing(batch->store, &batch->requests[i]))
			continue;
		passing = true;
		retry_after = Max(retry_after,
						  batch->requests[i].http.retry_after);
	}
	if (!passing)
		return false;
	if (batch->deadline_us == 0)
		batch->deadline_us = retry_deadline(batch->store);
	end_us = end_of_pause_us(batch->store, batch->tries, retry_after);
	if (end_us > batch->deadline_us)
		return false;
	batch->tries++;
	batch->resume_us = end_us;
	return true;
}

static void
repeat_passing(FmS3Batch *batch)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	FmS3Request **passing = palloc(sizeof(FmS3Request *) * batch->n);
	int			n = 0;
	int			i;

	batch->resume_us = 0;
	for (i = 0; i < batch->n; i++)
	{
		if (!is_passing(batch->store, &batch->requests[i]))
			continue;
		batch->requests[i].retries++;
		passing[n++] = &batch->requests[i];
	}
	batch->http = start_requests(batch->store, passing, n, batch->wait_event);
	MemoryContextSwitchTo(old);
}

bool
fm_s3_poll_batch(FmS3Batch *batch)
{
	if (batch->resume_us == 0)
	{
		if (!fm_http_poll(batch->http))
			return false;
		if (!begin_pause(batch))
			return true;
	}
	if (fm_monotonic_us() >= batch->resume_us)
		repeat_passing(batch);
	else
		fm_http_wake(batch->resume_us);
	return false;
}

void
fm_s3_finish_batch(FmS3Batch *batch)
{
	fm_http_wait(batch->http);
	if (batch->deadline_us == 0)
		batch->deadline_us = retry_deadline(batch->store);
	perform_until(batch->store, batch->requests, batch->n, true,
				  batch->wait_event, batch->deadline_us);
}

void
fm_s3_send(FmS3Store *store, FmS3Request *requests, int n,
		   FmWaitEvent wait_event)
{
	FmS3Request **all = palloc(sizeof(FmS3Request *) * n);
	int			i;

	for (i = 0; i < n; i++)
		all[i] = &requests[i];
	send_requests(store, all, n, wait_event);
	for (i = 0; i < n; i++)
	{
		fm_s3_note_error(&requests[i]);
		note_date(store, &requests[i].http);
	}
	pfree(all);
}

void
fm_s3_perform_once(FmS3Store *store, FmS3Request *request, bool hold,
				   FmWaitEvent wait_event)
{
	int64		deadline_us = retry_deadline(store);
	Repairs		done = {false, false, false};
	int			tries = 0;

	request->retries = 0;
	for (;;)
	{
		Judgement	judgement;

		check_commit_deadline(store);
		(void) fm_s3_credentials(store);
		if (hold)
			HOLD_INTERRUPTS();
		request->http.outcome = FM_HTTP_BROKEN;
		send_requests(store, &request, 1, wait_event);
		if (hold)
			RESUME_INTERRUPTS();
		judgement = judge(store, request, &done);
		if (judgement == REPAIRED)
			continue;
		if (judgement == FINAL || request->http.outcome != FM_HTTP_NOT_SENT ||
			!pause_before_retry(store, tries++, -1, deadline_us, wait_event))
			return;
		request->retries++;
	}
}
