/*-------------------------------------------------------------------------
 *
 * async.c
 *	  Asynchronous execution: an Append waits for all its scans at once.
 *
 * A scan that would wait answers "pending" instead, with its reads on their
 * way.  All reads of a backend share one descriptor (objstore/http.h), which
 * a set of events can hold once: the first pending scan of an Append adds it,
 * and is the one that is told.  The others find out when they are asked, as
 * each pending one is before every wait, whether they can go on.  One that
 * then has a row hands it over at once and ends the wait that is about to
 * begin; the first one never does so, lest the wait be without the descriptor.
 *
 * The scans of an Append that read at the same time are limited, and share
 * the memory that one of them would have.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/execAsync.h"
#include "executor/executor.h"
#include "executor/instrument.h"
#include "storage/latch.h"

#include "fdw/fdw.h"
#include "fdw/scan_state.h"
#include "objstore/clock.h"
#include "objstore/http.h"

#define MAX_RUNNING 32			/* scans of an Append at a time */
#define REQUESTS_A_LOOK 512		/* until others are looked after */

/* The scan of an Append's child number i; NULL if it is not one of ours. */
static ForeignScanState *
scan_of_child(const AppendState *append, int i)
{
	PlanState  *child = append->as_asyncrequests[i]->requestee;
	ForeignScanState *node;

	if (!IsA(child, ForeignScanState))
		return NULL;
	node = (ForeignScanState *) child;
	return node->fdwroutine->ForeignAsyncRequest == fmForeignAsyncRequest ?
		node : NULL;
}

/* Is it running, or may it begin to? */
static bool
may_run(AsyncRequest *areq)
{
	AppendState *append = castNode(AppendState, areq->requestor);
	FmScanState *scan = ((ForeignScanState *) areq->requestee)->fdw_state;
	int			nrunning = 0;
	int			i = -1;

	if (scan->running)
		return true;
	while ((i = bms_next_member(append->as_asyncplans, i)) >= 0)
	{
		ForeignScanState *node = scan_of_child(append, i);

		if (node != NULL && ((FmScanState *) node->fdw_state)->running)
			nrunning++;
	}
	if (nrunning >= MAX_RUNNING)
		return false;
	scan->running = true;
	scan->fetch.nbeside = Min(append->as_nasyncplans, MAX_RUNNING) - 1;
	return true;
}

/* Can the scan hand over a row, or its end? */
static bool
is_ready(AsyncRequest *areq)
{
	return may_run(areq) &&
		fm_scan_advance((ForeignScanState *) areq->requestee);
}

/* For the time that EXPLAIN shows. */
static void
note_wait(FmScanState *scan)
{
	if (scan->waits == (scan->waits_since_us != 0))
		return;
	if (scan->waits)
		scan->waits_since_us = fm_monotonic_us();
	else
	{
		scan->stats.wait_us += fm_monotonic_us() - scan->waits_since_us;
		scan->waits_since_us = 0;
	}
}

/* Answers a request: with a row, with the end, or that it is pending. */
static void
answer(AsyncRequest *areq)
{
	ForeignScanState *node = castNode(ForeignScanState, areq->requestee);
	FmScanState *scan = node->fdw_state;
	TupleTableSlot *slot;

	if (!may_run(areq))
	{
		ExecAsyncRequestPending(areq);
		return;
	}
	slot = node->ss.ps.ExecProcNodeReal(&node->ss.ps);
	note_wait(scan);
	if (!TupIsNull(slot))
		ExecAsyncRequestDone(areq, slot);
	else if (scan->waits)
		ExecAsyncRequestPending(areq);
	else
	{
		scan->running = false;
		ExecAsyncRequestDone(areq, NULL);
	}
}

/* Lets pending scans go on, that nobody asks while others have rows. */
static void
look_after_others(const AppendState *append)
{
	int			i = -1;

	while ((i = bms_next_member(append->as_asyncplans, i)) >= 0)
	{
		if (append->as_asyncrequests[i]->callback_pending &&
			scan_of_child(append, i) != NULL)
			(void) is_ready(append->as_asyncrequests[i]);
	}
}

/* Is no scan of ours, of those before it, pending? */
static bool
is_first_pending(AsyncRequest *areq)
{
	AppendState *append = castNode(AppendState, areq->requestor);
	int			i = -1;

	while ((i = bms_next_member(append->as_asyncplans, i)) >= 0 &&
		   i < areq->request_index)
	{
		if (append->as_asyncrequests[i]->callback_pending &&
			scan_of_child(append, i) != NULL)
			return false;
	}
	return true;
}

bool
fmIsForeignPathAsyncCapable(ForeignPath *path)
{
	return FM_HTTP_HAS_DESCRIPTOR && fm_plan_is_async_capable(path->path.parent);
}

void
fmForeignAsyncRequest(AsyncRequest *areq)
{
	ForeignScanState *node = castNode(ForeignScanState, areq->requestee);
	FmScanState *scan = node->fdw_state;

	if (++scan->nrequests % REQUESTS_A_LOOK == 0)
		look_after_others(castNode(AppendState, areq->requestor));
	answer(areq);
}

void
fmForeignAsyncConfigureWait(AsyncRequest *areq)
{
	AppendState *append = castNode(AppendState, areq->requestor);
	bool		first = is_first_pending(areq);
	bool		ready = is_ready(areq);

	if (first)
		AddWaitEventToSet(append->as_eventset, WL_SOCKET_READABLE,
						  fm_http_descriptor(true), NULL, areq);
	else if (ready)
	{
		areq->callback_pending = false;
		answer(areq);
		ExecAsyncResponse(areq);
		if (areq->requestee->instrument != NULL)
			InstrUpdateTupleCount(areq->requestee->instrument,
								  TupIsNull(areq->result) ? 0.0 : 1.0);
	}
	else
		(void) fm_http_descriptor(false);
	if (ready)
		fm_http_wake(0);
}

void
fmForeignAsyncNotify(AsyncRequest *areq)
{
	answer(areq);
}
