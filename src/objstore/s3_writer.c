/*-------------------------------------------------------------------------
 *
 * s3_writer.c
 *	  The store in an S3 bucket: writing objects.
 *
 * An object of up to 64 MiB is one PUT that fails if the name exists.  A
 * larger one goes up in parts, several at a time, and appears when it is
 * completed.  An upload that is not completed when its transaction aborts is
 * aborted; where even that fails, a rule of the bucket must remove it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "objstore/fitness.h"
#include "objstore/s3.h"
#include "objstore/sigv4.h"

#define FIRST_ROOM (256 * 1024)
#define SINGLE_PUT_SIZE (64 * 1024 * 1024)
#define PART_SIZE (16 * 1024 * 1024)
#define PARTS_AT_ONCE (SINGLE_PUT_SIZE / PART_SIZE)
#define ANSWER_ROOM (16 * 1024)
#define ABORT_TIMEOUT_MS 5000
#define IS_THERE_TRIES 3

struct FmObjectWriter
{
	FmS3Store  *store;
	char		name[FM_OBJECT_NAME_SIZE];
	uint8	   *buffer;
	Size		used;
	Size		room;
	uint64		uploaded;		/* bytes in parts */
	struct OpenUpload *upload;	/* NULL: not in parts */
	StringInfoData parts;		/* XML of the finished ones */
	int			nparts;
};

/* An upload in parts that is neither completed nor aborted. */
typedef struct OpenUpload
{
	FmS3Store  *store;
	char	   *name;
	char	   *query;			/* "uploadId=…" */
	dlist_node	node;
} OpenUpload;

static dlist_head open_uploads = DLIST_STATIC_INIT(open_uploads);
static bool callbacks_registered = false;

void
fm_s3_check_not_read_only(FmS3Store *store)
{
	if (store->base.options.read_only)
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("server \"%s\" is read-only",
						store->base.options.servername)));
}

void
fm_s3_check_writable(FmS3Store *store)
{
	const FmStoreOptions *options = &store->base.options;

	fm_s3_check_not_read_only(store);
	if (!fm_is_fit(options->location, options->endpoint))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("server \"%s\" is not fit for writing",
						options->servername),
				 errdetail("A probe of it failed."),
				 errhint("See fusio_manifest_check_server(), which permits writing again once all that commits rely on succeeds.")));
}

static FmS3Request *
make_request(FmObjectWriter *writer, const char *method, FmSlice body)
{
	FmS3Request *request = palloc0(sizeof(FmS3Request));

	request->method = method;
	request->name = writer->name;
	request->body = body;
	request->http.dest = palloc0(ANSWER_ROOM);
	request->http.dest_size = ANSWER_ROOM - 1;
	return request;
}

static void
free_request(FmS3Request *request)
{
	pfree(request->http.dest);
	pfree(request);
}

FmObjectWriter *
fm_s3_create_object(FmStore *base, FmObjectKind kind, const FmId *id)
{
	FmS3Store  *store = (FmS3Store *) base;
	FmObjectWriter *writer;

	fm_s3_check_writable(store);
	writer = palloc0(sizeof(FmObjectWriter));
	writer->store = store;
	fm_object_name(kind, id, writer->name);
	writer->room = FIRST_ROOM;
	writer->buffer = palloc(writer->room);
	return writer;
}

static void
forget_upload(OpenUpload *upload)
{
	dlist_delete(&upload->node);
	pfree(upload->name);
	pfree(upload->query);
	pfree(upload);
}

/*
 * Best effort, with little patience: the transaction has failed already.  An
 * error lets go of held interrupts, which have to stay held.
 */
static void
abort_upload(OpenUpload *upload)
{
	FmStoreOptions *options = &upload->store->base.options;
	int			retry_timeout_ms = options->retry_timeout_ms;
	int			request_timeout_ms = options->request_timeout_ms;
	TimestampTz deadline = upload->store->base.deadline;
	MemoryContext old = CurrentMemoryContext;
	uint32		held;

	HOLD_INTERRUPTS();
	held = InterruptHoldoffCount;
	PG_TRY();
	{
		FmS3Request *request = palloc0(sizeof(FmS3Request));

		options->retry_timeout_ms = 0;
		upload->store->base.deadline =
			TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
										ABORT_TIMEOUT_MS);
		options->request_timeout_ms = Min(request_timeout_ms, ABORT_TIMEOUT_MS);
		request->method = "DELETE";
		request->name = upload->name;
		request->query = upload->query;
		fm_s3_perform(upload->store, request, 1, FM_WAIT_OBJECT_WRITE);
	}
	PG_CATCH();
	{
		InterruptHoldoffCount = held;
		MemoryContextSwitchTo(old);
		FlushErrorState();
	}
	PG_END_TRY();
	RESUME_INTERRUPTS();
	options->retry_timeout_ms = retry_timeout_ms;
	options->request_timeout_ms = request_timeout_ms;
	upload->store->base.deadline = deadline;
	forget_upload(upload);
}

static void
abort_uploads(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &open_uploads)
		abort_upload(dlist_container(OpenUpload, node, iter.cur));
}

static void
end_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT)
		abort_uploads();
}

static void
end_subtransaction(SubXactEvent event, SubTransactionId subid,
				   SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		abort_uploads();
}

static void
begin_upload(FmObjectWriter *writer)
{
	FmS3Request *request = make_request(writer, "POST", fm_slice(NULL, 0));
	MemoryContext old;
	StringInfoData query;
	char	   *id;

	if (!callbacks_registered)
	{
		RegisterXactCallback(end_transaction, NULL);
		RegisterSubXactCallback(end_subtransaction, NULL);
		callbacks_registered = true;
	}
	request->query = "uploads=";
	fm_s3_perform(writer->store, request, 1, FM_WAIT_OBJECT_WRITE);
	id = fm_s3_xml_text((char *) request->http.dest, "UploadId");
	if (request->http.status != 200 || id == NULL)
		fm_s3_raise(writer->store, request, "begin an upload in parts");
	old = MemoryContextSwitchTo(writer->store->base.context);
	initStringInfo(&query);
	appendStringInfoString(&query, "uploadId=");
	fm_uri_encode(&query, id, false);
	writer->upload = palloc0(sizeof(OpenUpload));
	writer->upload->store = writer->store;
	writer->upload->name = pstrdup(writer->name);
	writer->upload->query = query.data;
	dlist_push_head(&open_uploads, &writer->upload->node);
	MemoryContextSwitchTo(old);
	initStringInfo(&writer->parts);
	free_request(request);
}

/* Sends what is in the buffer as parts, side by side. */
static void
send_parts(FmObjectWriter *writer)
{
	FmS3Request *requests = palloc0(sizeof(FmS3Request) * PARTS_AT_ONCE);
	Size		at = 0;
	int			n = 0;
	int			i;

	if (writer->upload == NULL)
		begin_upload(writer);
	for (; at < writer->used; at += PART_SIZE)
	{
		FmS3Request *request = &requests[n];

		request->method = "PUT";
		request->name = writer->name;
		request->query = psprintf("partNumber=%d&%s",
								  writer->nparts + ++n,
								  writer->upload->query);
		request->body = fm_slice(writer->buffer + at,
								 Min(PART_SIZE, writer->used - at));
	}
	fm_s3_perform(writer->store, requests, n, FM_WAIT_OBJECT_WRITE);
	for (i = 0; i < n; i++)
	{
		if (requests[i].http.status != 200 ||
			requests[i].http.etag[0] == '\0')
			fm_s3_raise(writer->store, &requests[i], "upload a part");
		appendStringInfo(&writer->parts,
						 "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>",
						 ++writer->nparts, requests[i].http.etag);
	}
	writer->uploaded += writer->used;
	writer->used = 0;
	pfree(requests);
}

void
fm_s3_append(FmObjectWriter *writer, FmSlice bytes)
{
	while (bytes.len > 0)
	{
		Size		n;

		if (writer->used == SINGLE_PUT_SIZE)
			send_parts(writer);
		if (writer->used == writer->room)
		{
			writer->room *= 2;
			writer->buffer = repalloc_huge(writer->buffer, writer->room);
		}
		n = Min(bytes.len, writer->room - writer->used);
		memcpy(writer->buffer + writer->used, bytes.data, n);
		writer->used += n;
		bytes = fm_slice(bytes.data + n, bytes.len - n);
	}
}

/*
 * A refusal may be due to our own success: libcurl and we send a request
 * again after a connection broke; a success without an ETag may be nobody's.
 * The id is ours alone, so an object of that name and size is what we sent.
 * An answer that is not what was asked for tells nothing, and is asked for
 * again.
 */
static bool
is_there(FmObjectWriter *writer, uint64 size)
{
	bool		there = false;
	int			i;

	for (i = 0; i < IS_THERE_TRIES && !there; i++)
	{
		FmS3Request *request = make_request(writer, "GET", fm_slice(NULL, 0));

		request->has_range = true;
		request->offset = size - 1;
		request->http.dest_size = 1;
		fm_s3_perform(writer->store, request, 1, FM_WAIT_OBJECT_WRITE);
		there = request->http.status == 206 && request->http.received == 1 &&
			request->http.range_total == size;
		free_request(request);
	}
	return there;
}

static void
put_object(FmObjectWriter *writer)
{
	FmS3Request *request = make_request(writer, "PUT",
										fm_slice(writer->buffer, writer->used));

	fm_s3_add_header(request, "if-none-match", "*");
	fm_s3_perform(writer->store, request, 1, FM_WAIT_OBJECT_WRITE);
	if (!fm_s3_is_written(request) &&
		!((request->http.status == 412 || request->http.status == 409 ||
		   request->http.status / 100 == 2) &&
		  is_there(writer, writer->used)))
		fm_s3_raise(writer->store, request, "write an object");
	free_request(request);
}

static void
complete_upload(FmObjectWriter *writer)
{
	FmS3Request *request;
	StringInfoData body;

	if (writer->used > 0)
		send_parts(writer);
	initStringInfo(&body);
	appendStringInfo(&body,
					 "<CompleteMultipartUpload>%s</CompleteMultipartUpload>",
					 writer->parts.data);
	request = make_request(writer, "POST", fm_slice(body.data, body.len));
	request->query = writer->upload->query;
	request->may_fail_late = true;
	fm_s3_add_header(request, "if-none-match", "*");
	fm_s3_perform(writer->store, request, 1, FM_WAIT_OBJECT_WRITE);
	if ((request->http.status != 200 ||
		 strstr((char *) request->http.dest,
				"<CompleteMultipartUploadResult") == NULL) &&
		!is_there(writer, writer->uploaded))
		fm_s3_raise(writer->store, request, "complete an upload in parts");
	forget_upload(writer->upload);
	writer->upload = NULL;
	pfree(writer->parts.data);
	pfree(body.data);
	free_request(request);
}

static void
free_writer(FmObjectWriter *writer)
{
	pfree(writer->buffer);
	pfree(writer);
}

void
fm_s3_finish(FmObjectWriter *writer)
{
	if (writer->upload != NULL)
		complete_upload(writer);
	else
		put_object(writer);
	free_writer(writer);
}

void
fm_s3_abandon(FmObjectWriter *writer)
{
	if (writer->upload != NULL)
		abort_upload(writer->upload);
	free_writer(writer);
}
