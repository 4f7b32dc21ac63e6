/*-------------------------------------------------------------------------
 *
 * http.h
 *	  HTTP requests, several at a time, that obey interrupts.
 *
 * Built on libcurl's multi interface with sockets waited for by the process
 * latch.  A backend keeps its connections between calls; handles in flight
 * are dropped when an error leaves a call.  Nothing here runs in the
 * postmaster.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_HTTP_H
#define FM_HTTP_H

#include "base/slice.h"

#define FM_HTTP_MAX_PARALLEL 256
#define FM_HTTP_ERROR_BODY 2048

typedef enum FmHttpOutcome
{
	FM_HTTP_ANSWERED,			/* "status" and what follows it are filled */
	FM_HTTP_NOT_SENT,			/* no connection: the server has not seen it */
	FM_HTTP_BROKEN				/* it may have been sent; no whole answer */
} FmHttpOutcome;

/* What stays in the way of a request, however often it is tried. */
typedef enum FmHttpObstacle
{
	FM_HTTP_NO_OBSTACLE,		/* there is an answer, or may be one next time */
	FM_HTTP_BAD_ADDRESS,
	FM_HTTP_BAD_SCHEME,			/* TLS where there is none, or none where
								 * there is */
	FM_HTTP_BAD_CERTIFICATE
} FmHttpObstacle;

/* One request; memory of the caller's, all of it until the call returns. */
typedef struct FmHttpRequest
{
	const char *method;
	const char *url;
	const char *const *headers; /* "Name: value", NULL at the end */
	FmSlice		body;
	bool		fresh_connection;	/* neither reuse nor keep a connection */
	bool		repeatable;		/* may be sent twice, if the answer is late */
	int			timeout_ms;		/* of the whole request */

	/*
	 * Where the body of a 2xx answer goes: dest_size bytes, no more are kept.
	 * "skip": if the answer is 200 and not 206, so many bytes of it are left
	 * out, and it ends once dest is full.
	 */
	uint8	   *dest;
	uint64		dest_size;
	uint64		skip;

	/* the answer */
	FmHttpOutcome outcome;
	FmHttpObstacle obstacle;
	bool		hedged;			/* it was sent twice */
	int			status;
	uint64		received;		/* bytes in dest */
	bool		overflow;		/* the body was larger than dest */
	uint64		range_start;	/* of Content-Range */
	uint64		range_end;		/* its last byte, inclusive */
	uint64		range_total;	/* of the object; UINT64_MAX: not said */
	bool		has_range;
	char		etag[128];		/* with its quotes */
	char		region[64];		/* x-amz-bucket-region */
	int64		date;			/* seconds since 1970; 0: none */
	int			retry_after;	/* seconds from now; -1: not said */
	int64		retry_at;		/* the same, as a time since 1970; 0: not so */
	uint32		error_size;		/* bytes of an answer that is not 2xx */
	char		error_body[FM_HTTP_ERROR_BODY];
	char		message[256];	/* why there was no answer */
} FmHttpRequest;

/*
 * How fast a server begins to answer: mean and mean deviation, smoothed as
 * TCP's retransmission timer does (RFC 6298).  Kept by who talks to the
 * server; all zero at first.
 */
typedef struct FmHttpPace
{
	bool		known;
	double		mean_us;
	double		deviation_us;
	double		credit;			/* requests that may be sent twice */
	int			flying;			/* requests, of all batches */
	int64		trouble_us;		/* monotonic; when a request was sent that got
								 * no answer in time; 0: none was */
} FmHttpPace;

/* What all requests of a call have in common. */
typedef struct FmHttpOptions
{
	int			connect_timeout_ms;
	const char *ca_file;		/* NULL: libcurl's own */
	bool		direct;			/* not through a proxy, even if the
								 * environment names one */
	int			max_parallel;	/* requests in flight, of all batches with
								 * this pace, but that each has one */
	uint32		wait_event;
	FmHttpPace *pace;			/* outlives the call */
} FmHttpOptions;

/*
 * A repeatable request whose answer has not begun when nearly all others
 * would have is sent once more, on a new connection, and the first good answer
 * counts: one of a server's many machines may be slow or gone ("hedged
 * requests", Dean and Barroso, The Tail at Scale, 2013).  That holds for one
 * request in twenty at most, lest a slow server gets twice the work.
 *
 * Performs n requests, at most max_parallel at a time, and returns when each
 * has an outcome.  Interrupts act while it waits, unless they are held.
 */
extern void fm_http_perform(FmHttpRequest **requests, int n,
							const FmHttpOptions *options);

/*
 * The same in two steps.  A batch, and all memory of its requests, lives in
 * the current memory context; it ends with fm_http_wait, or with the context,
 * which drops what is in flight.  Answers come in while other batches are
 * waited for, and into the sockets' buffers at any time.
 */
typedef struct FmHttpBatch FmHttpBatch;

extern FmHttpBatch *fm_http_start(FmHttpRequest **requests, int n,
								  const FmHttpOptions *options);
extern void fm_http_wait(FmHttpBatch *batch);

/*
 * For who has other things to wait for.  fm_http_poll does what can be done
 * now, for all batches, and says whether every request of this one has an
 * outcome.
 */
extern bool fm_http_poll(FmHttpBatch *batch);

/* Are there descriptors that fm_http_descriptor returns? */
#ifdef __linux__
#define FM_HTTP_HAS_DESCRIPTOR true
#else
#define FM_HTTP_HAS_DESCRIPTOR false
#endif

/*
 * The descriptor that can be read once there is something to poll for: the
 * same for all batches, and to be asked for each time, after the polls.  One
 * who is about to wait for several batches asks "anew" for the first only.
 * fm_http_wake ends the wait that is about to begin at a time, of
 * fm_monotonic_us; 0: at once.
 */
extern int	fm_http_descriptor(bool anew);
extern void fm_http_wake(int64 at_us);

/*
 * Takes in what has come for any batch, and does not wait: a server stops
 * sending when the sockets' buffers are full.
 */
extern void fm_http_advance(uint32 wait_event);

/*
 * Makes what a server says fit for messages and logs, whatever the encoding
 * of the database: all but printable ASCII becomes question marks.
 */
extern void fm_http_make_printable(char *string);

#endif							/* FM_HTTP_H */
