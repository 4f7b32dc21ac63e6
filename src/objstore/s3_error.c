/*-------------------------------------------------------------------------
 *
 * s3_error.c
 *	  What a service says that went wrong, and how it is reported.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "objstore/s3.h"

char *
fm_s3_xml_text(const char *xml, const char *element)
{
	char	   *open = psprintf("<%s>", element);
	const char *start = strstr(xml, open);
	StringInfoData text;

	pfree(open);
	if (start == NULL)
		return NULL;
	initStringInfo(&text);
	for (start += strlen(element) + 2; *start != '\0' && *start != '<';)
	{
		static const struct
		{
			const char *entity;
			char		character;
		}			entities[] = {
			{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'},
			{"&apos;", '\''}, {"&#34;", '"'}, {"&#39;", '\''}
		};
		int			i = 0;

		while (i < (int) lengthof(entities) &&
			   strncmp(start, entities[i].entity,
					   strlen(entities[i].entity)) != 0)
			i++;
		if (i < (int) lengthof(entities))
		{
			appendStringInfoChar(&text, entities[i].character);
			start += strlen(entities[i].entity);
		}
		else
			appendStringInfoChar(&text, *start++);
	}
	return text.data;
}

void
fm_s3_note_error(FmS3Request *request)
{
	FmHttpRequest *http = &request->http;
	const char *body = http->error_body;
	char	   *found;

	request->code[0] = '\0';
	request->message[0] = '\0';
	if (http->outcome != FM_HTTP_ANSWERED)
		return;
	if (request->may_fail_late && http->status == 200)
	{
		http->dest[http->received] = '\0';
		body = strstr((char *) http->dest, "<Error>");
		if (body == NULL)
			return;
	}
	else if (http->error_size == 0)
		return;
	found = fm_s3_xml_text(body, "Code");
	if (found != NULL)
		strlcpy(request->code, found, sizeof(request->code));
	found = fm_s3_xml_text(body, "Message");
	if (found != NULL)
		strlcpy(request->message, found, sizeof(request->message));
	fm_http_make_printable(request->code);
	fm_http_make_printable(request->message);
}

bool
fm_s3_is_code(const FmS3Request *request, const char *code)
{
	return strcmp(request->code, code) == 0;
}

bool
fm_s3_is_passing_status(int status)
{
	switch (status)
	{
		case 408:
		case 429:
		case 499:
		case 500:
		case 502:
		case 503:
		case 504:
			return true;
		default:
			return false;
	}
}

bool
fm_s3_is_passing_code(const FmS3Request *request)
{
	return fm_s3_is_code(request, "RequestTimeout") ||
		fm_s3_is_code(request, "SlowDown") ||
		fm_s3_is_code(request, "InternalError") ||
		fm_s3_is_code(request, "ServiceUnavailable");
}

static bool
is_token_refused(const FmS3Request *request)
{
	return fm_s3_is_code(request, "ExpiredToken") ||
		fm_s3_is_code(request, "InvalidToken") ||
		fm_s3_is_code(request, "TokenRefreshRequired");
}

/*
 * Servers that want TLS answer a request without it so, if at all; an S3
 * service says what is wrong.
 */
static bool
wants_tls(const FmS3Store *store, const FmS3Request *request)
{
	return strcmp(store->scheme, "http") == 0 &&
		request->http.status == 400 && request->code[0] == '\0';
}

static int
sqlstate_of(const FmS3Store *store, const FmS3Request *request)
{
	if (request->http.outcome != FM_HTTP_ANSWERED ||
		fm_s3_is_passing_status(request->http.status) ||
		fm_s3_is_passing_code(request) || wants_tls(store, request))
		return ERRCODE_CONNECTION_FAILURE;
	if (is_token_refused(request))
		return ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION;
	switch (request->http.status)
	{
		case 401:
			return ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION;
		case 403:
			return fm_s3_is_code(request, "AccessDenied") ?
				ERRCODE_INSUFFICIENT_PRIVILEGE :
				ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION;
		case 404:
			return ERRCODE_UNDEFINED_OBJECT;
		default:
			return ERRCODE_FDW_ERROR;
	}
}

static int
hint_for(const FmS3Store *store, const FmS3Request *request)
{
	if (request->http.obstacle == FM_HTTP_BAD_CERTIFICATE)
		return errhint("Check the server option \"ca_file\", and whether the certificate is valid for the host in \"endpoint\".");
	if (request->http.obstacle == FM_HTTP_BAD_SCHEME)
		return errhint("Check whether the server option \"endpoint\" has to begin with \"http://\" or with \"https://\".");
	if (wants_tls(store, request) ||
		(request->http.outcome != FM_HTTP_ANSWERED &&
		 strcmp(store->scheme, "http") == 0))
		return errhint("Check the server option \"endpoint\", also whether it has to begin with \"https://\", and the network.");
	if (request->http.outcome != FM_HTTP_ANSWERED)
		return errhint("Check the server options \"endpoint\" and \"region\", and the network.");
	if (fm_s3_is_code(request, "RequestTimeTooSkewed"))
		return errhint("Set the clock of this server.");
	if (is_token_refused(request) || request->http.status == 401 ||
		request->http.status == 403)
		return errhint("Check the credentials of the user mapping, and what they may do in the bucket.");
	if (fm_s3_is_code(request, "NoSuchBucket"))
		return errhint("Create the bucket, or change the server option \"location\".");
	if (request->http.status == 301 || request->http.status == 307)
		return errhint("Check the server options \"endpoint\", \"region\" and \"addressing\".");
	return 0;
}

void
fm_s3_raise(FmS3Store *store, const FmS3Request *request, const char *what)
{
	const FmHttpRequest *http = &request->http;
	const char *source = store->credentials != NULL ?
	store->credentials->source : "none";

	if (http->outcome != FM_HTTP_ANSWERED)
		ereport(ERROR,
				(errcode(sqlstate_of(store, request)),
				 errmsg("could not %s from %s://%s for server \"%s\"", what,
						store->scheme, store->host,
						store->base.options.servername),
				 errdetail("%s", http->message),
				 hint_for(store, request)));
	ereport(ERROR,
			(errcode(sqlstate_of(store, request)),
			 errmsg("could not %s: %s://%s answered %d%s%s for server \"%s\"",
					what, store->scheme, store->host, http->status,
					request->code[0] != '\0' ? " " : "", request->code,
					store->base.options.servername),
			 errdetail("%s%sMethod %s, object \"%s\", region \"%s\", credentials: %s.",
					   request->message, request->message[0] != '\0' ? " " : "",
					   request->method,
					   request->name != NULL ? request->name : "",
					   store->region, source),
			 hint_for(store, request)));
}
