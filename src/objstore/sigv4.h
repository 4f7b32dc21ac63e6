/*-------------------------------------------------------------------------
 *
 * sigv4.h
 *	  AWS Signature Version 4, as Amazon's documentation defines it.
 *
 * libcurl can sign too, but its signatures of uploads are refused by some
 * servers in versions that are in use (7.88); ours need PostgreSQL's hash
 * functions only, and are held against the published test vectors.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_SIGV4_H
#define FM_SIGV4_H

#include "lib/stringinfo.h"

#include "base/slice.h"

typedef struct FmSigv4Key
{
	const char *access_key_id;
	const char *secret_access_key;
	const char *session_token;	/* NULL: none; not used by the signature */
	const char *region;
	const char *service;		/* "s3", "sts" */
} FmSigv4Key;

typedef struct FmSigv4Header
{
	const char *name;			/* lower case */
	const char *value;
} FmSigv4Header;

typedef struct FmSigv4Request
{
	const char *method;
	const char *path;			/* encoded, as it is sent */
	const char *query;			/* encoded and in the order of names; "" */
	FmSigv4Header *headers;		/* host and all that are to be signed; are put
								 * into the order of their names */
	int			nheaders;
	const char *payload_hash;	/* 64 hex digits */
	const char *time;			/* "20150830T123600Z" */
} FmSigv4Request;

/* Hex SHA-256, and a NUL. */
extern void fm_sha256_hex(FmSlice bytes, char dest[65]);

/* Appends the value of the header "Authorization". */
extern void fm_sigv4_sign(const FmSigv4Key *key, FmSigv4Request *request,
						  StringInfo out);

/* Appends text, percent-encoded but for unreserved characters and "/". */
extern void fm_uri_encode(StringInfo out, const char *text, bool keep_slash);

#endif							/* FM_SIGV4_H */
