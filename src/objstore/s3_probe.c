/*-------------------------------------------------------------------------
 *
 * s3_probe.c
 *	  What an S3 service does that commits rely on, found out by trying.
 *
 * Some services ignore conditions, or let two racing writers win.  The probes
 * write objects below ".probe/", which are deleted afterwards and do not count
 * as contents of a store.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "utils/timestamp.h"

#include "objstore/fitness.h"
#include "objstore/s3.h"
#include "objstore/sigv4.h"

#define RACERS 8
#define PROBE_TRIES 3
#define NO_OBJECT "\"00000000000000000000000000000000\""
#define MAX_CLOCK_OFFSET_S (5 * 60)

typedef struct Probing
{
	FmS3Store  *store;
	char	   *name;			/* of the object that is tried with */
	FmProbe    *probes;
	int			n;
	bool		disturbed;		/* a failure that may pass told nothing */
	bool		unsafe;			/* two writers have won a race */
} Probing;

static FmProbe *
add_probe(Probing *p, const char *name, bool ok, bool required,
		  const char *meaning)
{
	FmProbe    *probe = &p->probes[p->n++];

	Assert(p->n <= FM_MAX_PROBES);
	probe->name = name;
	probe->ok = ok;
	probe->required = required;
	probe->meaning = meaning;
	probe->observed = "";
	return probe;
}

static char *
observed_answer(const FmS3Request *request)
{
	if (request->http.outcome != FM_HTTP_ANSWERED)
		return pstrdup(request->http.message);
	return psprintf("%d%s%s", request->http.status,
					request->code[0] != '\0' ? " " : "", request->code);
}

static FmS3Request *
make_request(Probing *p, const char *method, const char *name,
			 const char *body)
{
	FmS3Request *request = palloc0(sizeof(FmS3Request));

	request->method = method;
	request->name = name;
	if (body != NULL)
		request->body = fm_slice(body, strlen(body));
	request->http.dest = palloc0(4096);
	request->http.dest_size = 4095;
	return request;
}

static bool
is_disturbance(const FmS3Request *request)
{
	return request->http.outcome != FM_HTTP_ANSWERED ||
		request->http.status >= 500 || request->http.status == 429;
}

/* A PUT under a condition: sent once. */
static FmS3Request *
put(Probing *p, const char *name, const char *body, const char *condition,
	const char *value)
{
	FmS3Request *request = make_request(p, "PUT", name, body);

	if (strcmp(condition, "if-match") == 0)
		fm_s3_add_if_match(p->store, request, value);
	else
		fm_s3_add_header(request, condition, value);
	request->http.fresh_connection = true;
	fm_s3_perform_once(p->store, request, false, FM_WAIT_OBJECT_WRITE);
	p->disturbed |= is_disturbance(request);
	return request;
}

static bool
is_success(const FmS3Request *request)
{
	return request->http.outcome == FM_HTTP_ANSWERED &&
		request->http.status >= 200 && request->http.status <= 204;
}

/* Refused as a condition that does not hold. */
static bool
is_refusal(const FmS3Request *request)
{
	return request->http.outcome == FM_HTTP_ANSWERED &&
		(request->http.status == 409 || request->http.status == 412);
}

static void
probe_list(Probing *p)
{
	FmS3Request *request = make_request(p, "GET", NULL, NULL);
	StringInfoData query;

	initStringInfo(&query);
	appendStringInfoString(&query, "list-type=2&max-keys=1&prefix=");
	fm_uri_encode(&query, p->store->prefix, false);
	request->query = query.data;
	fm_s3_perform(p->store, request, 1, FM_WAIT_OBJECT_READ);
	add_probe(p, "credentials",
			  request->http.status != 403 && request->http.status != 401,
			  true, "the service knows the key, and the signature is right")
		->observed = p->store->credentials->source;
	add_probe(p, "list", is_success(request), true,
			  "a prefix can be told to be empty before a store is created")
		->observed = observed_answer(request);
	if (!is_success(request))
		fm_s3_raise(p->store, request, "list objects");
}

static void
probe_range(Probing *p)
{
	FmS3Request *request = make_request(p, "GET", p->name, NULL);

	request->has_range = true;
	request->offset = 2;
	request->http.dest_size = 3;
	fm_s3_perform(p->store, request, 1, FM_WAIT_OBJECT_READ);
	add_probe(p, "ranged get", request->http.status == 206 &&
			  request->http.received == 3 &&
			  memcmp(request->http.dest, "cde", 3) == 0, false,
			  "blocks are read alone; otherwise whole objects are read")
		->observed = observed_answer(request);
}

/* Eight swaps at once; exactly one may win. */
static void
probe_race(Probing *p, const char *etag)
{
	FmS3Request *requests = palloc0(sizeof(FmS3Request) * RACERS);
	bool		unclear = false;
	int			winners = 0;
	int			i;

	for (i = 0; i < RACERS; i++)
	{
		char	   *body = psprintf("racer %d", i);

		requests[i].method = "PUT";
		requests[i].name = p->name;
		requests[i].body = fm_slice(body, strlen(body));
		requests[i].http.fresh_connection = true;
		fm_s3_add_if_match(p->store, &requests[i], etag);
	}
	fm_s3_send(p->store, requests, RACERS, FM_WAIT_OBJECT_WRITE);
	for (i = 0; i < RACERS; i++)
	{
		winners += is_success(&requests[i]);
		unclear |= is_disturbance(&requests[i]);
	}
	p->disturbed |= winners == 0 && unclear;
	p->unsafe = winners > 1;
	add_probe(p, "racing swaps", winners == 1, true,
			  "of writers that race, exactly one commits")
		->observed = psprintf("%d of %d won", winners, RACERS);
}

static void
probe_delete(Probing *p)
{
	FmS3Request *request = make_request(p, "DELETE", p->name, NULL);

	fm_s3_perform(p->store, request, 1, FM_WAIT_OBJECT_WRITE);
	add_probe(p, "delete", is_success(request), false,
			  "what is no longer needed can be removed")
		->observed = observed_answer(request);
}

static void
probe_clock(Probing *p)
{
	int64		local_us = GetCurrentTimestamp() +
	(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	double		offset = (double)
	(p->store->base.ops->now(&p->store->base) - local_us) / 1000000;

	add_probe(p, "clock", fabs(offset) < MAX_CLOCK_OFFSET_S, false,
			  "signatures are refused where clocks differ by 15 minutes; the service's is used for all times of a store")
		->observed = psprintf("%.0f s ahead of here", offset);
}

/* All probes, with objects of their own. */
static void
probe_all(Probing *p)
{
	FmS3Request *created;
	FmS3Request *request;
	char		etag[128];
	char	   *missing;
	char		hex[33];
	FmId		id = fm_new_id();

	fm_id_to_hex(&id, hex);
	p->name = psprintf(".probe/%s", hex);
	missing = psprintf(".probe/%s-missing", hex);
	probe_list(p);
	created = put(p, p->name, "abcdefgh", "if-none-match", "*");
	add_probe(p, "create", is_success(created), true,
			  "objects can be written")->observed = observed_answer(created);
	if (!is_success(created))
	{
		/* Refused: a repetition on the way met our own success. */
		if (!p->disturbed && !is_refusal(created))
			fm_s3_raise(p->store, created, "write an object");
		return;
	}
	request = put(p, p->name, "again", "if-none-match", "*");
	add_probe(p, "create, exists", is_refusal(request), true,
			  "an object that exists is not overwritten")
		->observed = observed_answer(request);
	probe_range(p);
	request = put(p, p->name, "swapped", "if-match", created->http.etag);
	if (is_refusal(request))
	{
		/* Older Ceph wants no quotes. */
		p->store->other_quoting = !p->store->other_quoting;
		request = put(p, p->name, "swapped", "if-match", created->http.etag);
	}
	add_probe(p, "swap", is_success(request), true,
			  "HEAD can be replaced by who knows its ETag")
		->observed = observed_answer(request);
	strlcpy(etag, request->http.etag, sizeof(etag));
	request = put(p, p->name, "stale", "if-match", created->http.etag);
	add_probe(p, "swap, stale", is_refusal(request), true,
			  "a writer who has not seen the last commit is refused")
		->observed = observed_answer(request);
	request = put(p, missing, "missing", "if-match", NO_OBJECT);
	add_probe(p, "swap, missing", is_refusal(request) ||
			  request->http.status == 404, true,
			  "a HEAD that was removed is not made anew")
		->observed = observed_answer(request);
	probe_race(p, etag);
	probe_delete(p);
	probe_clock(p);
}

static bool
all_ok(const Probing *p)
{
	int			i;

	for (i = 0; i < p->n; i++)
	{
		if (p->probes[i].required && !p->probes[i].ok)
			return false;
	}
	return true;
}

/*
 * A failure, which may be one of the network that passes, is tried again from
 * the start; two winners of a race are never that.
 */
int
fm_s3_probe(FmStore *base, FmProbe probes[FM_MAX_PROBES])
{
	Probing		p = {(FmS3Store *) base, NULL, probes, 0, false, false};
	int			tries = 0;

	fm_s3_check_not_read_only(p.store);
	do
	{
		p.n = 0;
		p.disturbed = false;
		probe_all(&p);
	} while (!p.unsafe && (p.disturbed || !all_ok(&p)) &&
			 ++tries < PROBE_TRIES);
	if (!p.disturbed || p.unsafe)
		fm_fitness_note(base->options.location, base->options.endpoint,
						all_ok(&p));
	if (p.disturbed)
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("could not probe server \"%s\"",
						base->options.servername),
				 errdetail("Its answers were no answers, %d times.", tries),
				 errhint("Try again later.")));
	return p.n;
}
