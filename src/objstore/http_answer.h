/*-------------------------------------------------------------------------
 *
 * http_answer.h
 *	  What an HTTP answer says, line by line, and what came of a request.
 *
 * For http.c, which has the transfers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_HTTP_ANSWER_H
#define FM_HTTP_ANSWER_H

#include <curl/curl.h>

#include "objstore/http.h"

/* What was said before does not count, as after an interim answer. */
extern void fm_http_clear_answer(FmHttpRequest *request);

/* Takes a line of an answer's head; true if it is the first of an answer. */
extern bool fm_http_take_header(FmHttpRequest *request, const char *line,
								size_t size);

/* Sets the outcome; the message is libcurl's, or empty. */
extern void fm_http_end_answer(FmHttpRequest *request, CURLcode code,
							   const char *message);

#endif							/* FM_HTTP_ANSWER_H */
