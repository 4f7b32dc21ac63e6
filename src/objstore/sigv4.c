/*-------------------------------------------------------------------------
 *
 * sigv4.c
 *	  AWS Signature Version 4, as Amazon's documentation defines it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "common/hmac.h"
#include "common/sha2.h"

#include "objstore/sigv4.h"

static void
put_hex(const uint8 *bytes, int n, char *dest)
{
	static const char digits[] = "0123456789abcdef";
	int			i;

	for (i = 0; i < n; i++)
	{
		*dest++ = digits[bytes[i] >> 4];
		*dest++ = digits[bytes[i] & 15];
	}
	*dest = '\0';
}

static void
raise_hash(const char *what, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg("could not compute %s", what),
			 errdetail_internal("%s", detail)));
}

void
fm_sha256_hex(FmSlice bytes, char dest[65])
{
	pg_cryptohash_ctx *ctx = pg_cryptohash_create(PG_SHA256);
	uint8		digest[PG_SHA256_DIGEST_LENGTH];

	if (pg_cryptohash_init(ctx) < 0 ||
		pg_cryptohash_update(ctx, bytes.data, bytes.len) < 0 ||
		pg_cryptohash_final(ctx, digest, sizeof(digest)) < 0)
		raise_hash("SHA-256", pg_cryptohash_error(ctx));
	pg_cryptohash_free(ctx);
	put_hex(digest, sizeof(digest), dest);
}

static void
hmac(const uint8 *key, size_t key_size, const char *text,
	 uint8 digest[PG_SHA256_DIGEST_LENGTH])
{
	pg_hmac_ctx *ctx = pg_hmac_create(PG_SHA256);

	if (pg_hmac_init(ctx, key, key_size) < 0 ||
		pg_hmac_update(ctx, (const uint8 *) text, strlen(text)) < 0 ||
		pg_hmac_final(ctx, digest, PG_SHA256_DIGEST_LENGTH) < 0)
		raise_hash("HMAC-SHA-256", pg_hmac_error(ctx));
	pg_hmac_free(ctx);
}

static int
compare_headers(const void *a, const void *b)
{
	return strcmp(((const FmSigv4Header *) a)->name,
				  ((const FmSigv4Header *) b)->name);
}

/* A header's value with runs of spaces made one, and none at the ends. */
static void
append_value(StringInfo out, const char *value)
{
	while (*value == ' ')
		value++;
	while (*value != '\0')
	{
		if (*value != ' ')
			appendStringInfoChar(out, *value);
		else if (value[1] != ' ' && value[1] != '\0')
			appendStringInfoChar(out, ' ');
		value++;
	}
}

static void
append_signed_headers(StringInfo out, const FmSigv4Request *request)
{
	int			i;

	for (i = 0; i < request->nheaders; i++)
		appendStringInfo(out, "%s%s", i > 0 ? ";" : "",
						 request->headers[i].name);
}

static void
hash_canonical_request(const FmSigv4Request *request, char hash[65])
{
	StringInfoData text;
	int			i;

	initStringInfo(&text);
	appendStringInfo(&text, "%s\n%s\n%s\n", request->method, request->path,
					 request->query);
	for (i = 0; i < request->nheaders; i++)
	{
		appendStringInfo(&text, "%s:", request->headers[i].name);
		append_value(&text, request->headers[i].value);
		appendStringInfoChar(&text, '\n');
	}
	appendStringInfoChar(&text, '\n');
	append_signed_headers(&text, request);
	appendStringInfo(&text, "\n%s", request->payload_hash);
	fm_sha256_hex(fm_slice(text.data, text.len), hash);
	pfree(text.data);
}

void
fm_sigv4_sign(const FmSigv4Key *key, FmSigv4Request *request, StringInfo out)
{
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	char		hash[65];
	char	   *date = pnstrdup(request->time, 8);
	char	   *scope = psprintf("%s/%s/%s/aws4_request", date, key->region,
								 key->service);
	char	   *secret = psprintf("AWS4%s", key->secret_access_key);
	char	   *to_sign;

	qsort(request->headers, request->nheaders, sizeof(FmSigv4Header),
		  compare_headers);
	hash_canonical_request(request, hash);
	to_sign = psprintf("AWS4-HMAC-SHA256\n%s\n%s\n%s", request->time, scope,
					   hash);
	hmac((const uint8 *) secret, strlen(secret), date, digest);
	hmac(digest, sizeof(digest), key->region, digest);
	hmac(digest, sizeof(digest), key->service, digest);
	hmac(digest, sizeof(digest), "aws4_request", digest);
	hmac(digest, sizeof(digest), to_sign, digest);
	put_hex(digest, sizeof(digest), hash);
	appendStringInfo(out, "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=",
					 key->access_key_id, scope);
	append_signed_headers(out, request);
	appendStringInfo(out, ", Signature=%s", hash);
	explicit_bzero(secret, strlen(secret));
	pfree(to_sign);
	pfree(secret);
	pfree(scope);
	pfree(date);
}

void
fm_uri_encode(StringInfo out, const char *text, bool keep_slash)
{
	const unsigned char *p;

	for (p = (const unsigned char *) text; *p != '\0'; p++)
	{
		if ((*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') ||
			(*p >= '0' && *p <= '9') || strchr("-._~", *p) != NULL ||
			(*p == '/' && keep_slash))
			appendStringInfoChar(out, *p);
		else
			appendStringInfo(out, "%%%02X", *p);
	}
}
