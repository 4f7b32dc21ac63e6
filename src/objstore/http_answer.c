/*-------------------------------------------------------------------------
 *
 * http_answer.c
 *	  What an HTTP answer says, line by line, and what came of a request.
 *
 * Called from libcurl's callbacks, so nothing here may raise.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "objstore/http_answer.h"

#define MAX_RETRY_AFTER 86400	/* seconds */
#define MAX_DATE INT64CONST(4102444800) /* 2100: a clock that far off is none */

/* "name: value" of a header line, if it has that name. */
static bool
is_header(const char *line, size_t size, const char *name, char *value,
		  size_t room)
{
	size_t		len = strlen(name);

	if (size <= len || line[len] != ':' ||
		pg_strncasecmp(line, name, len) != 0)
		return false;
	line += len + 1;
	size -= len + 1;
	while (size > 0 && (*line == ' ' || *line == '\t'))
	{
		line++;
		size--;
	}
	while (size > 0 && (line[size - 1] == '\r' || line[size - 1] == '\n' ||
						line[size - 1] == ' '))
		size--;
	if (size >= room)
		size = 0;
	memcpy(value, line, size);
	value[size] = '\0';
	return true;
}

void
fm_http_make_printable(char *string)
{
	for (; *string != '\0'; string++)
	{
		if (*string < ' ' || *string > '~')
			*string = '?';
	}
}

void
fm_http_clear_answer(FmHttpRequest *request)
{
	request->retry_at = 0;
	request->received = 0;
	request->overflow = false;
	request->has_range = false;
	request->etag[0] = '\0';
	request->region[0] = '\0';
	request->date = 0;
	request->retry_after = -1;
	request->error_size = 0;
}

bool
fm_http_take_header(FmHttpRequest *request, const char *line, size_t size)
{
	char		value[256];

	if (size >= 5 && memcmp(line, "HTTP/", 5) == 0)
	{
		fm_http_clear_answer(request);
		return true;
	}
	if (is_header(line, size, "etag", value, sizeof(request->etag)))
		strcpy(request->etag, value);
	else if (is_header(line, size, "x-amz-bucket-region", value,
					   sizeof(value)))
		strlcpy(request->region, value, sizeof(request->region));
	else if (is_header(line, size, "date", value, sizeof(value)))
	{
		request->date = Max(curl_getdate(value, NULL), 0);
		if (request->date > MAX_DATE)
			request->date = 0;
	}
	else if (is_header(line, size, "retry-after", value, sizeof(value)))
	{
		char	   *end;
		long		seconds = strtol(value, &end, 10);

		if (end == value || *end != '\0')
			request->retry_at = Max(curl_getdate(value, NULL), 0);
		else if (seconds >= 0)
			request->retry_after = (int) Min(seconds, MAX_RETRY_AFTER);
	}
	else if (is_header(line, size, "content-range", value, sizeof(value)))
	{
		unsigned long long start;
		unsigned long long end;
		unsigned long long total = PG_UINT64_MAX;

		if (sscanf(value, "bytes %llu-%llu/%llu", &start, &end, &total) >= 2)
		{
			request->has_range = true;
			request->range_start = start;
			request->range_end = end;
			request->range_total = total;
		}
	}
	return false;
}

/* "Retry-After" may be a time, by the server's clock. */
static void
note_retry_at(FmHttpRequest *request)
{
	int64		now = request->date > 0 ? request->date : (int64) time(NULL);

	if (request->retry_at > 0)
		request->retry_after = (int) Min(Max(request->retry_at - now, 0),
										 MAX_RETRY_AFTER);
}

/*
 * Was the failure to begin TLS the answer of a server that does not speak it?
 * Only the text tells; the texts of OpenSSL and of GnuTLS.
 */
static bool
is_without_tls(const char *message)
{
	return strstr(message, "wrong version number") != NULL ||
		strstr(message, "packet length too long") != NULL ||
		strstr(message, "unexpected TLS packet") != NULL;
}

void
fm_http_end_answer(FmHttpRequest *request, CURLcode code, const char *message)
{
	note_retry_at(request);
	switch (code)
	{
		case CURLE_OK:
			request->outcome = FM_HTTP_ANSWERED;
			return;
		case CURLE_WRITE_ERROR:
			/* our own doing: dest is full */
			if (request->overflow)
			{
				request->outcome = FM_HTTP_ANSWERED;
				return;
			}
			request->outcome = FM_HTTP_BROKEN;
			break;
		case CURLE_URL_MALFORMAT:
			request->obstacle = FM_HTTP_BAD_ADDRESS;
			request->outcome = FM_HTTP_NOT_SENT;
			break;
		case CURLE_UNSUPPORTED_PROTOCOL:
			/* something has seen it, and answered in no version of HTTP */
			if (strncmp(request->url, "http:", 5) == 0)
				request->obstacle = FM_HTTP_BAD_SCHEME;
			request->outcome = FM_HTTP_BROKEN;
			break;
		case CURLE_PEER_FAILED_VERIFICATION:
		case CURLE_SSL_CACERT_BADFILE:
			request->obstacle = FM_HTTP_BAD_CERTIFICATE;
			request->outcome = FM_HTTP_NOT_SENT;
			break;
		case CURLE_SSL_CONNECT_ERROR:
			if (is_without_tls(message))
				request->obstacle = FM_HTTP_BAD_SCHEME;
			request->outcome = FM_HTTP_NOT_SENT;
			break;
		case CURLE_COULDNT_RESOLVE_PROXY:
		case CURLE_COULDNT_RESOLVE_HOST:
		case CURLE_COULDNT_CONNECT:
			request->outcome = FM_HTTP_NOT_SENT;
			break;
		default:
			request->outcome = FM_HTTP_BROKEN;
			break;
	}
	strlcpy(request->message, message[0] != '\0' ?
			message : curl_easy_strerror(code),
			sizeof(request->message));
	fm_http_make_printable(request->message);
}
