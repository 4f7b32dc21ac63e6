/*-------------------------------------------------------------------------
 *
 * s3_list.c
 *	  The store in an S3 bucket: what is in it, and removing objects.
 *
 * The prefix's own entries are listed with a delimiter, and whole only the
 * folders that hold objects of a store, since another store may lie below.
 * Uploads in parts that were never completed are in a listing of their own,
 * which some services do not have.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/datetime.h"
#include "utils/memutils.h"

#include "objstore/s3.h"
#include "objstore/sigv4.h"

/* An answer holds 1000 entries at most, each with a key of 1 kB at most. */
#define ANSWER_ROOM (4 * 1024 * 1024)
#define REMOVED_AT_ONCE 256

static const char *const our_folders[] = {
	"runs/", "pages/", "leases/", ".probe/"
};

typedef struct Listing
{
	FmS3Store  *store;
	FmStoredList list;
} Listing;

/* "2026-11-27T02:06:22.000Z", as microseconds since 1970; 0 for others. */
static int64
parse_time(const char *text)
{
	int			y;
	int			mo;
	int			d;
	int			h;
	int			mi;
	int			s;

	if (text == NULL ||
		sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d", &y, &mo, &d, &h, &mi,
			   &s) != 6 ||
		mo < 1 || mo > 12 || d < 1 || d > 31)
		return 0;
	return ((int64) (date2j(y, mo, d) - UNIX_EPOCH_JDATE) * SECS_PER_DAY +
			h * SECS_PER_HOUR + mi * SECS_PER_MINUTE + s) * 1000000;
}

/* The name below the prefix; all of a key that is not below it. */
static const char *
name_of(const FmS3Store *store, const char *key)
{
	size_t		len = strlen(store->prefix);

	return strncmp(key, store->prefix, len) == 0 ? key + len : key;
}

static void
add_entry(Listing *listing, const char *key, const char *upload,
		  uint64 size, int64 modified)
{
	const char *name = name_of(listing->store, key);
	FmStoredKind kind;
	FmStored   *stored;
	FmId		id;

	if (*name == '\0' || (upload == NULL && strcmp(name, "HEAD") == 0))
		return;
	kind = fm_object_identify(name, &id);
	stored = fm_stored_list_add(&listing->list);
	stored->kind = kind;
	stored->size = size;
	stored->modified = modified;
	if (upload != NULL)
	{
		stored->kind = kind == FM_STORED_FOREIGN ? kind : FM_STORED_UPLOAD;
		stored->upload = MemoryContextStrdup(listing->list.context, upload);
	}
	if (stored->kind == FM_STORED_RUN || stored->kind == FM_STORED_PAGE)
		stored->id = id;
	else
		stored->name = MemoryContextStrdup(listing->list.context, name);
}

/*
 * What is in the next element of that name after *at, which moves behind it;
 * palloc'd, NULL at the end.
 */
static char *
next_element(const char **at, const char *element)
{
	char		tag[40];
	const char *start;
	const char *end;

	snprintf(tag, sizeof(tag), "<%s>", element);
	start = strstr(*at, tag);
	if (start == NULL)
		return NULL;
	start += strlen(tag);
	snprintf(tag, sizeof(tag), "</%s>", element);
	end = strstr(start, tag);
	if (end == NULL)
		return NULL;
	*at = end + strlen(tag);
	return pnstrdup(start, end - start);
}

/*
 * Asks for a listing, an XML document of that kind; NULL where it is optional
 * and the service does not have it.
 */
static char *
ask(FmS3Store *store, const char *query, const char *kind, bool optional)
{
	FmS3Request *request = palloc0(sizeof(FmS3Request));

	request->method = "GET";
	request->query = query;
	request->http.dest = MemoryContextAllocHuge(CurrentMemoryContext,
												ANSWER_ROOM);
	request->http.dest_size = ANSWER_ROOM - 1;
	fm_s3_perform(store, request, 1, FM_WAIT_OBJECT_READ);
	if (optional && (request->http.status == 501 ||
					 request->http.status == 405))
		return NULL;
	request->http.dest[request->http.received] = '\0';
	if (request->http.status != 200 || request->http.overflow ||
		strstr((char *) request->http.dest, kind) == NULL)
		fm_s3_raise(store, request, "list objects");
	return (char *) request->http.dest;
}

/*
 * The text of an element that says where a listing goes on; NULL if it does
 * not.  One that is required must be there, or objects would be overlooked.
 */
static char *
next_marker(const FmS3Store *store, const char *answer, const char *marker,
			bool required)
{
	char	   *more = fm_s3_xml_text(answer, "IsTruncated");
	char	   *next;

	if (more == NULL || strcmp(more, "true") != 0)
		return NULL;
	next = fm_s3_xml_text(answer, marker);
	if (required && (next == NULL || *next == '\0'))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_ERROR),
				 errmsg("could not list objects for server \"%s\"",
						store->base.options.servername),
				 errdetail("The listing goes on, but does not say where.")));
	return next;
}

/*
 * One answer of a listing of what is below the prefix and "folder".  *token
 * says where it begins, and then where the next one does; NULL: at the start,
 * or that there is none.
 */
static char *
list_page(FmS3Store *store, const char *parameters, const char *folder,
		  char **token)
{
	StringInfoData query;
	char	   *answer;

	CHECK_FOR_INTERRUPTS();
	initStringInfo(&query);
	if (*token != NULL)
	{
		appendStringInfoString(&query, "continuation-token=");
		fm_uri_encode(&query, *token, false);
		appendStringInfoChar(&query, '&');
	}
	appendStringInfo(&query, "%s&prefix=", parameters);
	fm_uri_encode(&query, store->prefix, false);
	fm_uri_encode(&query, folder, false);
	answer = ask(store, query.data, "<ListBucketResult", false);
	*token = next_marker(store, answer, "NextContinuationToken", true);
	return answer;
}

/* Has the listing nothing but what probes left, which is not a store's? */
static bool
lists_nothing(const FmS3Store *store, const char *listing)
{
	char	   *probes = psprintf("%s.probe/", store->prefix);
	bool		nothing = strstr(listing, "<Key>") == NULL;

	while (nothing &&
		   (listing = strstr(listing, "<CommonPrefixes>")) != NULL)
	{
		char	   *found = fm_s3_xml_text(++listing, "Prefix");

		nothing = found != NULL && strcmp(found, probes) == 0;
	}
	pfree(probes);
	return nothing;
}

/* A page of a listing may be empty though more follow. */
bool
fm_s3_is_empty(FmStore *base)
{
	FmS3Store  *store = (FmS3Store *) base;
	char	   *token = NULL;
	char	   *listing;
	bool		empty;

	do
	{
		listing = list_page(store, "delimiter=%2F&list-type=2&max-keys=2", "",
							&token);
		empty = lists_nothing(store, listing);
		pfree(listing);
	} while (empty && token != NULL);
	return empty;
}

/* The entries of one answer; folders of ours in *folders. */
static void
take_objects(Listing *listing, const char *answer, uint32 *folders)
{
	const char *at = answer;
	char	   *entry;
	int			i;

	while ((entry = next_element(&at, "Contents")) != NULL)
	{
		char	   *key = fm_s3_xml_text(entry, "Key");
		char	   *size = fm_s3_xml_text(entry, "Size");

		if (key != NULL)
			add_entry(listing, key, NULL,
					  size != NULL ? strtoull(size, NULL, 10) : 0,
					  parse_time(fm_s3_xml_text(entry, "LastModified")));
	}
	at = answer;
	while ((entry = next_element(&at, "CommonPrefixes")) != NULL)
	{
		char	   *key = fm_s3_xml_text(entry, "Prefix");

		if (key == NULL)
			continue;
		for (i = 0; i < (int) lengthof(our_folders); i++)
		{
			if (strcmp(name_of(listing->store, key), our_folders[i]) == 0)
				break;
		}
		if (i < (int) lengthof(our_folders))
			*folders |= 1 << i;
		else
			add_entry(listing, key, NULL, 0, 0);
	}
}

/*
 * Lists what is below the prefix and "folder"; with a delimiter only the next
 * level, and the folders of ours among it in *folders.
 */
static void
list_objects(Listing *listing, const char *folder, bool delimited,
			 uint32 *folders)
{
	FmS3Store  *store = listing->store;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "fusio_manifest listing",
												  ALLOCSET_DEFAULT_SIZES);
	char	   *token = NULL;

	do
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		char	   *next = token;
		char	   *answer = list_page(store,
									   delimited ? "delimiter=%2F&list-type=2" :
									   "list-type=2", folder, &next);

		take_objects(listing, answer, folders);
		MemoryContextSwitchTo(old);
		if (token != NULL)
			pfree(token);
		token = next != NULL ? pstrdup(next) : NULL;
		MemoryContextReset(context);
	} while (token != NULL);
	MemoryContextDelete(context);
}

static void
list_uploads(Listing *listing)
{
	FmS3Store  *store = listing->store;
	char	   *key = NULL;
	char	   *upload = NULL;

	do
	{
		StringInfoData query;
		char	   *answer;
		const char *at;
		char	   *entry;

		CHECK_FOR_INTERRUPTS();
		initStringInfo(&query);
		if (key != NULL)
		{
			appendStringInfoString(&query, "key-marker=");
			fm_uri_encode(&query, key, false);
			appendStringInfoChar(&query, '&');
		}
		appendStringInfoString(&query, "prefix=");
		fm_uri_encode(&query, store->prefix, false);
		if (upload != NULL)
		{
			appendStringInfoString(&query, "&upload-id-marker=");
			fm_uri_encode(&query, upload, false);
		}
		appendStringInfoString(&query, "&uploads=");
		answer = ask(store, query.data, "<ListMultipartUploadsResult", true);
		if (answer == NULL)
			return;
		key = next_marker(store, answer, "NextKeyMarker", true);
		upload = next_marker(store, answer, "NextUploadIdMarker", false);
		at = answer;
		while ((entry = next_element(&at, "Upload")) != NULL)
		{
			char	   *name = fm_s3_xml_text(entry, "Key");
			char	   *id = fm_s3_xml_text(entry, "UploadId");

			if (name != NULL && id != NULL)
				add_entry(listing, name, id, 0,
						  parse_time(fm_s3_xml_text(entry, "Initiated")));
		}
		pfree(answer);
	} while (key != NULL);
}

FmStored *
fm_s3_list(FmStore *base, const char *folder, int *n, int64 *now)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "fusio_manifest listings",
												  ALLOCSET_DEFAULT_SIZES);
	Listing		listing = {(FmS3Store *) base, {CurrentMemoryContext, NULL, 0, 0}};
	MemoryContext old = MemoryContextSwitchTo(context);
	uint32		folders = 0;
	int			i;

	if (folder != NULL)
		list_objects(&listing, psprintf("%s/", folder), false, &folders);
	else
	{
		list_uploads(&listing);
		list_objects(&listing, "", true, &folders);
		for (i = 0; i < (int) lengthof(our_folders); i++)
		{
			if (folders & (1 << i))
				list_objects(&listing, our_folders[i], false, &folders);
		}
	}

	/* By a clock of whole seconds, which is never ahead. */
	*now = base->ops->now(base);
	*n = listing.list.n;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return listing.list.stored;
}

void
fm_s3_remove(FmStore *base, const FmStored *const *objects, int n)
{
	FmS3Store  *store = (FmS3Store *) base;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "fusio_manifest removal",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	int			done;
	int			i;

	fm_s3_check_writable(store);
	for (done = 0; done < n; done += REMOVED_AT_ONCE)
	{
		int			count = Min(n - done, REMOVED_AT_ONCE);
		FmS3Request *requests = palloc0(sizeof(FmS3Request) * count);

		CHECK_FOR_INTERRUPTS();
		for (i = 0; i < count; i++)
		{
			const FmStored *stored = objects[done + i];
			StringInfoData query;

			requests[i].method = "DELETE";
			requests[i].name = fm_stored_name(stored,
											  palloc(FM_OBJECT_NAME_SIZE));
			if (stored->upload == NULL)
				continue;
			initStringInfo(&query);
			appendStringInfoString(&query, "uploadId=");
			fm_uri_encode(&query, stored->upload, false);
			requests[i].query = query.data;
		}
		fm_s3_perform(store, requests, count, FM_WAIT_OBJECT_WRITE);
		for (i = 0; i < count; i++)
		{
			int			status = requests[i].http.status;

			if (status != 200 && status != 204 && status != 404)
				fm_s3_raise(store, &requests[i], "remove an object");
		}
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}
