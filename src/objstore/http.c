/*-------------------------------------------------------------------------
 *
 * http.c
 *	  HTTP requests, several at a time, that obey interrupts.
 *
 * libcurl says which sockets it waits for; we wait for them, and the process
 * latch (http_sockets.c).
 *
 * Callbacks of libcurl must not raise: a longjmp through its frames would
 * leave it broken.  They write to memory that the request brought along.
 *
 * libcurl may start threads to resolve names.  They must not run this
 * process's signal handlers, so all signals are blocked while it could.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <curl/curl.h>
#include <math.h>
#include <signal.h>

#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "objstore/clock.h"
#include "objstore/http.h"
#include "objstore/http_answer.h"
#include "objstore/http_sockets.h"

#define MAX_KEPT_CONNECTIONS 128
#define KEPT_HANDLES 128
#define MAX_EVENTS 64
#define OTHER_DESCRIPTORS 10

/* When a request is sent a second time, and how often. */
#define FIRST_PATIENCE_US 1000000
#define MIN_PATIENCE_US 200000
#define CREDIT_PER_REQUEST 0.05
#define MAX_CREDIT 5.0

typedef struct Transfer
{
	FmHttpBatch *batch;
	FmHttpRequest *request;
	CURL	   *easy;			/* NULL: not in flight */
	struct curl_slist *headers;
	size_t		sent;			/* bytes of the body */
	int64		start_us;		/* monotonic; of the first, for a twin */
	int64		end_us;			/* monotonic; when it is given up */
	bool		answered;		/* an answer has begun */
	struct Transfer *twin;		/* the same request, sent later; NULL: none */
	struct Transfer *first;		/* whose twin this is; NULL: it is none */
	char		message[CURL_ERROR_SIZE];
} Transfer;

struct FmHttpBatch
{
	FmHttpOptions options;
	Transfer   *transfers;
	int			n;
	int			started;
	int			done;
	int64		next_look_us;	/* for what is late */
	MemoryContext context;
	MemoryContextCallback callback;
};

static CURLM *multi = NULL;
static CURL *kept_handles[KEPT_HANDLES];
static int	nkept_handles = 0;
static int	nflying = 0;		/* transfers of all batches */
static int	nreserved = 0;		/* descriptors that PostgreSQL leaves to us */
static bool met_http2 = false;	/* a server has answered with it */

/* When libcurl wants to be called anyhow. */
static bool timer_set = false;
static int64 timer_end_us;
static int64 wake_us;			/* of fm_http_wake; it may have passed */
static bool some_ended;			/* since fm_http_descriptor was asked anew */

static sigset_t saved_signals;

static void
block_signals(void)
{
	sigset_t	all;

	sigfillset(&all);
	(void) pthread_sigmask(SIG_SETMASK, &all, &saved_signals);
}

static void
unblock_signals(void)
{
	(void) pthread_sigmask(SIG_SETMASK, &saved_signals, NULL);
}

static int
note_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *data)
{
	uint32		events = 0;

	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		events |= WL_SOCKET_READABLE;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		events |= WL_SOCKET_WRITEABLE;
	return fm_http_sockets_watch(fd, events) ? 0 : -1;
}

static int
note_timer(CURLM *handle, long timeout_ms, void *arg)
{
	timer_set = timeout_ms >= 0;
	timer_end_us = fm_monotonic_us() + (int64) timeout_ms * 1000;
	return 0;
}

/*
 * PostgreSQL needs most of the descriptors, and ends without them; a third may
 * be taken by others, among them all who wait for sockets.
 */
static int
max_sockets(void)
{
	return Max(max_safe_fds / 3 - OTHER_DESCRIPTORS, 1);
}

static int
max_kept_connections(void)
{
	return Min(max_sockets(), MAX_KEPT_CONNECTIONS);
}

/*
 * A connection that was used before may have been kept.  Those above the share
 * (one for each batch) are few, and would take what others wait with.
 */
static void
reserve_descriptors(void)
{
	int			used = Min(nflying, max_sockets());

	for (; nreserved < used; nreserved++)
		ReserveExternalFD();
	for (; nreserved > Max(used, max_kept_connections()); nreserved--)
		ReleaseExternalFD();
}

static void
raise_curl(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("could not prepare an HTTP request"),
			 errdetail("%s failed.", what)));
}

static void
http_init(void)
{
	if (multi != NULL)
		return;
	Assert(IsUnderPostmaster || !IsPostmasterEnvironment);
	fm_http_sockets_init();
	if (curl_global_init(CURL_GLOBAL_ALL) != CURLE_OK)
		raise_curl("curl_global_init");
	multi = curl_multi_init();
	if (multi == NULL)
		raise_curl("curl_multi_init");
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, note_socket);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, note_timer);
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS,
					  (long) max_kept_connections());
}

/* An answer has begun: learns from how long that took. */
static void
note_pace(Transfer *transfer)
{
	FmHttpPace *pace = transfer->batch->options.pace;
	double		took = fm_monotonic_us() - transfer->start_us;

	transfer->answered = true;
	if (!pace->known)
	{
		pace->mean_us = took;
		pace->deviation_us = took / 2;
		pace->known = true;
		return;
	}
	pace->deviation_us += (fabs(took - pace->mean_us) - pace->deviation_us) / 4;
	pace->mean_us += (took - pace->mean_us) / 8;
}

static size_t
take_header(char *line, size_t size, size_t n, void *arg)
{
	Transfer   *transfer = arg;

	size *= n;
	if (fm_http_take_header(transfer->request, line, size) &&
		!transfer->answered)
		note_pace(transfer);
	return size;
}

static size_t
take_body(char *data, size_t size, size_t n, void *arg)
{
	Transfer   *transfer = arg;
	FmHttpRequest *request = transfer->request;
	size_t		whole = size * n;
	long		status = 0;
	size_t		left = whole;
	size_t		some;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status < 200 || status > 299)
	{
		some = Min(left, FM_HTTP_ERROR_BODY - 1 - request->error_size);
		memcpy(request->error_body + request->error_size, data, some);
		request->error_size += some;
		request->error_body[request->error_size] = '\0';
		return whole;
	}
	if (status == 200 && request->skip > 0)
	{
		some = Min(left, request->skip);
		request->skip -= some;
		data += some;
		left -= some;
	}
	some = Min(left, request->dest_size - request->received);
	memcpy(request->dest + request->received, data, some);
	request->received += some;
	if (some < left)
	{
		request->overflow = true;
		return 0;				/* ends the transfer */
	}
	return whole;
}

static size_t
give_body(char *dest, size_t size, size_t n, void *arg)
{
	Transfer   *transfer = arg;
	size_t		some = Min(size * n,
						   transfer->request->body.len - transfer->sent);

	memcpy(dest, transfer->request->body.data + transfer->sent, some);
	transfer->sent += some;
	return some;
}

static int
rewind_body(void *arg, curl_off_t offset, int origin)
{
	Transfer   *transfer = arg;

	if (origin != SEEK_SET || offset < 0 ||
		(uint64) offset > transfer->request->body.len)
		return CURL_SEEKFUNC_FAIL;
	transfer->sent = (size_t) offset;
	return CURL_SEEKFUNC_OK;
}

static CURL *
take_handle(void)
{
	CURL	   *easy;

	if (nkept_handles > 0)
		return kept_handles[--nkept_handles];
	easy = curl_easy_init();
	if (easy == NULL)
		raise_curl("curl_easy_init");
	return easy;
}

static void
add_header(Transfer *transfer, const char *header)
{
	struct curl_slist *list = curl_slist_append(transfer->headers, header);

	if (list == NULL)
		raise_curl("curl_slist_append");
	transfer->headers = list;
}

static void
set_up(Transfer *transfer, const FmHttpOptions *options)
{
	FmHttpRequest *request = transfer->request;
	CURL	   *easy = transfer->easy;
	bool		alone = request->fresh_connection;	/* on its connection */
	int			i;

	fm_http_clear_answer(request);
	request->status = 0;
	request->obstacle = FM_HTTP_NO_OBSTACLE;
	request->hedged = false;
	request->message[0] = '\0';
	transfer->sent = 0;
	transfer->message[0] = '\0';
	for (i = 0; request->headers != NULL && request->headers[i] != NULL; i++)
		add_header(transfer, request->headers[i]);
	add_header(transfer, "Expect:");
	add_header(transfer, "Accept:");
	curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
	curl_easy_setopt(easy, CURLOPT_URL, request->url);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
	/* Who gives up does not wait for the thread that resolves the name. */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 256L * 1024);
	curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, 256L * 1024);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->message);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
					 (long) options->connect_timeout_ms);
	if (options->ca_file != NULL)
		curl_easy_setopt(easy, CURLOPT_CAINFO, options->ca_file);
	if (options->direct)
		curl_easy_setopt(easy, CURLOPT_PROXY, "");
	if (request->body.len > 0 || strcmp(request->method, "PUT") == 0)
	{
		/*
		 * With HTTP/2 libcurl (seen with 7.88) stops in the midst of large
		 * bodies that go side by side, until the request times out.  And it
		 * may mistake the version of a connection that requests of both
		 * share.
		 */
		curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
						 (long) CURL_HTTP_VERSION_1_1);
		alone |= met_http2;
		curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE,
						 (curl_off_t) request->body.len);
		curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_body);
		curl_easy_setopt(easy, CURLOPT_READDATA, transfer);
		curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, rewind_body);
		curl_easy_setopt(easy, CURLOPT_SEEKDATA, transfer);
	}

	/*
	 * Connections that were there when a request was sent that got no answer
	 * in time are not used again: with HTTP/2 that would go on until the
	 * system gives them up, which takes a quarter of an hour.
	 */
	if (options->pace->trouble_us != 0)
		curl_easy_setopt(easy, CURLOPT_MAXLIFETIME_CONN,
						 Max((long) ((fm_monotonic_us() - options->pace->trouble_us) / 1000000), 1L));

	/* A twin on the connection of the first would be as late as that is. */
	if (alone || transfer->first != NULL)
		curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
	if (alone)
		curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
}

static void
start(Transfer *transfer)
{
	FmHttpBatch *batch = transfer->batch;
	int64		now_us = fm_monotonic_us();
	CURLMcode	rc;

	transfer->easy = take_handle();
	nflying++;
	batch->options.pace->flying++;
	reserve_descriptors();
	set_up(transfer, &batch->options);
	transfer->answered = false;
	transfer->start_us = now_us;
	if (transfer->first != NULL)
		transfer->start_us = transfer->first->start_us;
	transfer->end_us = now_us + (int64) transfer->request->timeout_ms * 1000;
	batch->next_look_us = Min(batch->next_look_us, transfer->end_us);
	block_signals();
	rc = curl_multi_add_handle(multi, transfer->easy);
	unblock_signals();
	if (rc != CURLM_OK)
		raise_curl("curl_multi_add_handle");
}

/* Ends a transfer; what its handle is in the midst of is dropped. */
static void
stop(Transfer *transfer, bool keep_handle)
{
	if (transfer->easy == NULL)
		return;
	block_signals();
	curl_multi_remove_handle(multi, transfer->easy);
	if (keep_handle && nkept_handles < KEPT_HANDLES)
	{
		curl_easy_reset(transfer->easy);
		kept_handles[nkept_handles++] = transfer->easy;
	}
	else
		curl_easy_cleanup(transfer->easy);
	unblock_signals();
	nflying--;
	transfer->batch->options.pace->flying--;
	reserve_descriptors();
	curl_slist_free_all(transfer->headers);
	transfer->headers = NULL;
	transfer->easy = NULL;
}

/*
 * Learns from a transfer that its connection, or that of its twin, may be
 * dead.  HTTP/1.1 closes it, and HTTP/2 gives up the request only.
 */
static void
note_trouble(Transfer *transfer, CURLcode code)
{
	Transfer   *first = transfer->first;
	long		version = CURL_HTTP_VERSION_NONE;

	curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_VERSION, &version);
	met_http2 |= version >= CURL_HTTP_VERSION_2_0;
	if (code == CURLE_OPERATION_TIMEDOUT ||
		(code == CURLE_OK && version >= CURL_HTTP_VERSION_2_0 &&
		 first != NULL && first->easy != NULL && !first->answered))
		transfer->batch->options.pace->trouble_us = transfer->start_us;
}

static void
note_outcome(Transfer *transfer, CURLcode code)
{
	long		status = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	transfer->request->status = (int) status;
	note_trouble(transfer, code);
	fm_http_end_answer(transfer->request, code, transfer->message);
}

/* The answer to its twin is the answer to the request. */
static void
take_over(Transfer *first, const Transfer *twin)
{
	FmHttpRequest *request = first->request;
	uint8	   *dest = request->dest;

	if (twin->request->received > 0)
		memcpy(dest, twin->request->dest, twin->request->received);
	*request = *twin->request;
	request->dest = dest;
}

/* A transfer has ended; so has its request, unless a twin may do better. */
static void
settle(Transfer *transfer)
{
	Transfer   *first = transfer->first != NULL ? transfer->first : transfer;
	Transfer   *other = transfer->first != NULL ? first : first->twin;
	const FmHttpRequest *request = transfer->request;

	if (other != NULL)
	{
		if (other->easy != NULL &&
			(request->outcome != FM_HTTP_ANSWERED || request->status >= 500))
			return;
		stop(other, false);
		if (transfer != first)
			take_over(first, transfer);
		first->request->hedged = true;
	}
	transfer->batch->done++;
}

/* Takes what has ended, of whatever batch. */
static void
take_finished(void)
{
	CURLMsg    *message;
	int			left;

	while ((message = curl_multi_info_read(multi, &left)) != NULL)
	{
		char	   *private;
		Transfer   *transfer;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
		transfer = (Transfer *) private;
		note_outcome(transfer, message->data.result);
		stop(transfer, true);
		settle(transfer);
		some_ended = true;
	}
}

static long
left_until_ms(int64 end_us)
{
	return (long) ((end_us - fm_monotonic_us() + 999) / 1000);
}

static long
timer_left_ms(void)
{
	return timer_set ? left_until_ms(timer_end_us) : 1000;
}

static void
act_on(curl_socket_t fd, int mask)
{
	int			running;

	block_signals();
	curl_multi_socket_action(multi, fd, mask, &running);
	unblock_signals();
}

/* Lets libcurl do what it has to do by now. */
static void
act_on_timer(void)
{
	if (timer_left_ms() > 0)
		return;
	timer_set = false;
	act_on(CURL_SOCKET_TIMEOUT, 0);
}

/* Waits once, for so long, and lets libcurl act on what happened. */
static void
wait_and_act(long left_ms, uint32 wait_event)
{
	FmReadySocket ready[MAX_EVENTS];
	int			n = fm_http_sockets_wait(left_ms, wait_event, ready,
										 MAX_EVENTS);
	int			i;

	for (i = 0; i < n; i++)
	{
		int			mask = 0;

		if (ready[i].events & WL_SOCKET_READABLE)
			mask |= CURL_CSELECT_IN;
		if (ready[i].events & WL_SOCKET_WRITEABLE)
			mask |= CURL_CSELECT_OUT;
		act_on(ready[i].fd, mask);
	}
}

/* May a request of a batch be started?  One in any case. */
static bool
may_start(const FmHttpBatch *batch)
{
	int			max_parallel = Min(Max(batch->options.max_parallel, 1),
								   FM_HTTP_MAX_PARALLEL);

	return batch->started == batch->done ||
		(batch->options.pace->flying < max_parallel &&
		 nflying < Min(FM_HTTP_MAX_PARALLEL, max_sockets()));
}

/* Starts as many as may be in flight. */
static void
start_more(FmHttpBatch *batch)
{
	while (batch->started < batch->n && may_start(batch))
	{
		FmHttpPace *pace = batch->options.pace;

		batch->started++;
		start(&batch->transfers[batch->started - 1]);
		pace->credit = Min(pace->credit + CREDIT_PER_REQUEST, MAX_CREDIT);
	}
}

/* Sends a request a second time. */
static void
start_twin(Transfer *transfer)
{
	MemoryContext context = transfer->batch->context;
	Transfer   *twin = MemoryContextAllocZero(context, sizeof(Transfer));
	FmHttpRequest *request = MemoryContextAlloc(context,
												sizeof(FmHttpRequest));

	*request = *transfer->request;
	request->dest = MemoryContextAllocHuge(context,
										   Max(request->dest_size, 1));
	twin->batch = transfer->batch;
	twin->request = request;
	twin->first = transfer;
	transfer->twin = twin;
	start(twin);
}

/* Sends a request a second time if its answer should have begun by now. */
static void
hedge_if_late(Transfer *transfer, int64 now_us, int64 patience_us)
{
	FmHttpBatch *batch = transfer->batch;
	FmHttpPace *pace = batch->options.pace;
	int64		due_us = transfer->start_us + patience_us;

	if (transfer->easy == NULL || transfer->answered ||
		transfer->twin != NULL || !transfer->request->repeatable)
		return;
	if (due_us > now_us)
		batch->next_look_us = Min(batch->next_look_us, due_us);
	else if (pace->credit >= 1 && nflying < max_sockets())
	{
		pace->credit -= 1;
		start_twin(transfer);
	}
}

/*
 * Ends a transfer whose time is over.  libcurl is not asked to: before 8.4 it
 * drops a time that is less than a millisecond away when it is called for
 * something else, as for the time for the connection, and then has no timer.
 */
static void
end_if_over(Transfer *transfer, int64 now_us)
{
	FmHttpBatch *batch = transfer->batch;

	if (transfer->easy == NULL)
		return;
	if (now_us < transfer->end_us)
	{
		batch->next_look_us = Min(batch->next_look_us, transfer->end_us);
		return;
	}
	snprintf(transfer->message, sizeof(transfer->message),
			 "Operation timed out after %d milliseconds",
			 transfer->request->timeout_ms);
	note_outcome(transfer, CURLE_OPERATION_TIMEDOUT);
	stop(transfer, false);
	settle(transfer);
	some_ended = true;
}

/* Looks for what is late: all of an answer, or its beginning. */
static void
look_for_late(FmHttpBatch *batch)
{
	FmHttpPace *pace = batch->options.pace;
	int64		now_us = fm_monotonic_us();
	int64		patience_us = FIRST_PATIENCE_US;
	int			i;

	if (now_us < batch->next_look_us)
		return;
	if (pace->known)
		patience_us = Max(MIN_PATIENCE_US,
						  (int64) (pace->mean_us + 4 * pace->deviation_us));
	batch->next_look_us = now_us + patience_us;
	for (i = 0; i < batch->started; i++)
	{
		Transfer   *transfer = &batch->transfers[i];

		end_if_over(transfer, now_us);
		if (transfer->twin != NULL)
			end_if_over(transfer->twin, now_us);
		hedge_if_late(transfer, now_us, patience_us);
	}
}

/* Drops what is in flight. */
static void
drop_batch(void *arg)
{
	FmHttpBatch *batch = arg;
	int			i;

	for (i = 0; i < batch->started; i++)
	{
		stop(&batch->transfers[i], false);
		if (batch->transfers[i].twin != NULL)
			stop(batch->transfers[i].twin, false);
	}
	batch->started = 0;
}

FmHttpBatch *
fm_http_start(FmHttpRequest **requests, int n, const FmHttpOptions *options)
{
	FmHttpBatch *batch = palloc0(sizeof(FmHttpBatch));
	int			i;

	http_init();
	batch->options = *options;
	batch->transfers = palloc0(sizeof(Transfer) * Max(n, 1));
	batch->n = n;
	batch->context = CurrentMemoryContext;
	for (i = 0; i < n; i++)
	{
		batch->transfers[i].batch = batch;
		batch->transfers[i].request = requests[i];
	}
	batch->callback.func = drop_batch;
	batch->callback.arg = batch;
	MemoryContextRegisterResetCallback(CurrentMemoryContext,
									   &batch->callback);
	start_more(batch);
	act_on_timer();
	return batch;
}

void
fm_http_wait(FmHttpBatch *batch)
{
	while (batch->done < batch->n)
	{
		long		left_ms;

		start_more(batch);
		left_ms = Min(timer_left_ms(), left_until_ms(batch->next_look_us));
		if (left_ms > 0)
			wait_and_act(left_ms, batch->options.wait_event);
		act_on_timer();
		take_finished();
		look_for_late(batch);
	}
}

bool
fm_http_poll(FmHttpBatch *batch)
{
	CHECK_FOR_INTERRUPTS();
	start_more(batch);
	wait_and_act(0, batch->options.wait_event);
	act_on_timer();
	take_finished();
	look_for_late(batch);
	start_more(batch);
	return batch->done == batch->n;
}

int
fm_http_descriptor(bool anew)
{
	int64		at_us = fm_monotonic_us() + MIN_PATIENCE_US;

	http_init();
	if (timer_set)
		at_us = Min(at_us, timer_end_us);
	if (wake_us > fm_monotonic_us())
		at_us = Min(at_us, wake_us);

	/* Perhaps of a batch that was polled before; no socket will tell. */
	if (anew)
		some_ended = false;
	else if (some_ended)
		at_us = 0;
	fm_http_sockets_set_timer(at_us, anew);
	return fm_http_sockets_descriptor();
}

void
fm_http_wake(int64 at_us)
{
	int64		now_us = fm_monotonic_us();

	at_us = Max(at_us, now_us);
	if (wake_us <= now_us || at_us < wake_us)
		wake_us = at_us;
	fm_http_sockets_set_timer(at_us, false);
}

void
fm_http_advance(uint32 wait_event)
{
	wait_and_act(0, wait_event);
	act_on_timer();
	take_finished();
}

void
fm_http_perform(FmHttpRequest **requests, int n, const FmHttpOptions *options)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "fusio_manifest HTTP",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	FmHttpBatch *batch = fm_http_start(requests, n, options);

	/* Requests are the caller's, and may go before the context does. */
	PG_TRY();
	{
		fm_http_wait(batch);
	}
	PG_CATCH();
	{
		drop_batch(batch);
		PG_RE_THROW();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}
