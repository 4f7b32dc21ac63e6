/*-------------------------------------------------------------------------
 *
 * s3.c
 *	  The store in an S3 bucket: reading objects.
 *
 * Runs and pages are read by range and without a condition: their ids are
 * never used again, and what comes is checked by checksums that hold the id.
 * Neighbouring ranges of an object become one request where the bytes between
 * them are few.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "objstore/clock.h"
#include "objstore/s3.h"

#define MAX_MERGED_SIZE (1024 * 1024)

/* Amazon's list price, Standard class, us-east-1, 2026-11: $0.40 a million. */
#define GET_PRICE 0.0000004

/* Ranges that one request reads. */
typedef struct RangeGroup
{
	FmReadRange **ranges;		/* in the order of their offsets */
	int			n;
	uint64		offset;
	uint64		length;
	uint8	   *dest;
} RangeGroup;

static int
compare_ranges(const void *a, const void *b)
{
	const FmReadRange *x = *(FmReadRange *const *) a;
	const FmReadRange *y = *(FmReadRange *const *) b;
	int			c = memcmp(&x->id, &y->id, sizeof(FmId));

	if (c != 0)
		return c;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	return 0;
}

static bool
belongs_to(const RangeGroup *group, const FmReadRange *range, uint64 coalesce)
{
	const FmReadRange *first = group->ranges[0];
	uint64		end = group->offset + group->length;

	return first->kind == range->kind && fm_id_eq(&first->id, &range->id) &&
		(range->offset <= end || range->offset - end <= coalesce) &&
		range->offset + range->length - group->offset <= MAX_MERGED_SIZE;
}

static int
make_groups(FmReadRange **sorted, int n, uint64 coalesce, RangeGroup *groups)
{
	int			ngroups = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		RangeGroup *group = &groups[Max(ngroups - 1, 0)];

		if (ngroups == 0 || !belongs_to(group, sorted[i], coalesce))
		{
			group = &groups[ngroups++];
			group->ranges = &sorted[i];
			group->n = 0;
			group->offset = sorted[i]->offset;
			group->length = 0;
		}
		group->n++;
		group->length = Max(group->length, sorted[i]->offset +
							sorted[i]->length - group->offset);
	}
	return ngroups;
}

/* Hands the bytes of an answer to the ranges. */
static void
distribute(FmS3Store *store, const RangeGroup *group, const FmS3Request *request)
{
	int			i;

	for (i = 0; i < group->n; i++)
	{
		FmReadRange *range = group->ranges[i];
		uint64		at = range->offset - group->offset;

		switch (request->http.status)
		{
			case 200:
			case 206:
				range->result = at + range->length <= request->http.received ?
					FM_READ_OK : FM_READ_SHORT;
				if (range->result == FM_READ_OK && group->n > 1)
					memcpy(range->dest, group->dest + at, range->length);
				break;
			case 404:
				if (strcmp(request->code, "NoSuchBucket") == 0)
					fm_s3_raise(store, request, "read an object");
				range->result = FM_READ_MISSING;
				break;
			case 416:
				range->result = FM_READ_SHORT;
				break;
			default:
				fm_s3_raise(store, request, "read an object");
		}
	}
}

struct FmPendingRead
{
	FmS3Store  *store;
	RangeGroup *groups;
	FmS3Request *requests;
	int			n;
	FmS3Batch  *batch;			/* NULL: not started */
};

/* What is needed to read the ranges, in the current memory context. */
static FmPendingRead *
prepare_read(FmS3Store *store, FmReadRange *ranges, int n)
{
	FmPendingRead *pending = palloc0(sizeof(FmPendingRead));
	FmReadRange **sorted = palloc(sizeof(FmReadRange *) * Max(n, 1));
	int			i;

	for (i = 0; i < n; i++)
		sorted[i] = &ranges[i];
	qsort(sorted, n, sizeof(FmReadRange *), compare_ranges);
	pending->store = store;
	pending->groups = palloc(sizeof(RangeGroup) * Max(n, 1));
	pending->n = make_groups(sorted, n, store->base.options.coalesce,
							 pending->groups);
	pending->requests = palloc0(sizeof(FmS3Request) * Max(pending->n, 1));
	for (i = 0; i < pending->n; i++)
	{
		RangeGroup *group = &pending->groups[i];
		FmS3Request *request = &pending->requests[i];
		FmReadRange *first = group->ranges[0];
		char	   *name = palloc(FM_OBJECT_NAME_SIZE);

		fm_object_name(first->kind, &first->id, name);
		group->dest = group->n == 1 ? first->dest : palloc(group->length);
		request->method = "GET";
		request->name = name;
		request->has_range = true;
		request->offset = group->offset;
		request->http.dest = group->dest;
		request->http.dest_size = group->length;
		request->http.fresh_connection = first->anew;
	}
	return pending;
}

static FmPendingRead *
s3_start_read(FmStore *base, FmReadRange *ranges, int n)
{
	FmPendingRead *pending = prepare_read((FmS3Store *) base, ranges, n);

	pending->batch = fm_s3_start_batch(pending->store, pending->requests,
									   pending->n, FM_WAIT_OBJECT_READ);
	fm_http_advance(fm_wait_event(FM_WAIT_OBJECT_READ));
	return pending;
}

static bool
s3_poll_read(FmPendingRead *pending)
{
	return fm_s3_poll_batch(pending->batch);
}

/* How often it was sent in the end. */
static int
count_sent(const FmS3Request *request)
{
	return 1 + request->retries + (request->http.hedged ? 1 : 0);
}

/* All have an answer; how many requests that took. */
static int
distribute_all(FmPendingRead *pending)
{
	int			nrequests = 0;
	int			i;

	for (i = 0; i < pending->n; i++)
	{
		nrequests += count_sent(&pending->requests[i]);
		distribute(pending->store, &pending->groups[i],
				   &pending->requests[i]);
	}
	return nrequests;
}

static int
s3_finish_read(FmPendingRead *pending)
{
	fm_s3_finish_batch(pending->batch);
	return distribute_all(pending);
}

static int
s3_count_read(const FmPendingRead *pending)
{
	int			nrequests = 0;
	int			i;

	for (i = 0; i < pending->n; i++)
		nrequests += count_sent(&pending->requests[i]);
	return nrequests;
}

static int
s3_read(FmStore *base, FmReadRange *ranges, int n)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "fusio_manifest read",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	FmPendingRead *pending = prepare_read((FmS3Store *) base, ranges, n);
	int			nrequests;

	fm_s3_perform(pending->store, pending->requests, pending->n,
				  FM_WAIT_OBJECT_READ);
	nrequests = distribute_all(pending);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return nrequests;
}

static void
s3_who(FmStore *base, FmStoreIdentity *identity)
{
	FmS3Store  *store = (FmS3Store *) base;
	const FmCredentials *credentials = fm_s3_credentials(store);

	identity->source = pstrdup(credentials->source);
	identity->expires = credentials->expires;
	identity->endpoint = psprintf("%s://%s%s", store->scheme, store->host,
								  store->path_prefix);
	identity->region = pstrdup(store->region);
}

/* The server's clock where an answer has shown it, else ours. */
static int64
s3_now(FmStore *base)
{
	FmS3Store  *store = (FmS3Store *) base;

	if (store->date_us > 0)
		return store->date_us + fm_monotonic_us() - store->date_seen_us;
	return GetCurrentTimestamp() +
		(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
}

/* What was learned under other options or credentials counts no more. */
static void
s3_options_changed(FmStore *base)
{
	FmS3Store  *store = (FmS3Store *) base;

	fm_s3_set_address(store, NULL);
	if (store->credentials != NULL)
		fm_credentials_free(store->credentials);
	store->credentials = NULL;
	store->head_known = false;
	store->head_read_us = 0;
	store->date_us = 0;
}

static const FmStoreOps s3_ops = {
	.read = s3_read,
	.start_read = s3_start_read,
	.poll_read = s3_poll_read,
	.finish_read = s3_finish_read,
	.count_read = s3_count_read,
	.create = fm_s3_create_object,
	.append = fm_s3_append,
	.finish = fm_s3_finish,
	.abandon = fm_s3_abandon,
	.read_head = fm_s3_read_head,
	.start_head = fm_s3_start_head,
	.poll_head = fm_s3_poll_head,
	.free_tag = fm_s3_free_tag,
	.cas_head = fm_s3_cas_head,
	.recall_head = fm_s3_recall_head,
	.is_empty = fm_s3_is_empty,
	.now = s3_now,
	.list = fm_s3_list,
	.remove = fm_s3_remove,
	.probe = fm_s3_probe,
	.who = s3_who,
	.options_changed = s3_options_changed,
	.is_near = false,
	.read_price = GET_PRICE,
};

FmStore *
fm_s3_create(const char *location, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	FmS3Store  *store = palloc0(sizeof(FmS3Store));

	store->base.ops = &s3_ops;
	store->base.context = context;
	fm_s3_parse_location(location, &store->bucket, &store->prefix);
	MemoryContextSwitchTo(old);
	return &store->base;
}
