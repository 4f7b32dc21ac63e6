/*-------------------------------------------------------------------------
 *
 * sigv4_test.c
 *	  Signatures from SQL, for the published vectors.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "objstore/sigv4.h"

PG_FUNCTION_INFO_V1(fm_test_sigv4);

Datum
fm_test_sigv4(PG_FUNCTION_ARGS)
{
	char	   *payload = text_to_cstring(PG_GETARG_TEXT_PP(4));
	FmSigv4Request request;
	FmSigv4Key	key;
	StringInfoData out;
	char		hash[65];
	Datum	   *elements;
	int			i;

	memset(&request, 0, sizeof(request));
	memset(&key, 0, sizeof(key));
	request.method = text_to_cstring(PG_GETARG_TEXT_PP(0));
	request.path = text_to_cstring(PG_GETARG_TEXT_PP(1));
	request.query = text_to_cstring(PG_GETARG_TEXT_PP(2));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(3), TEXTOID, -1, false,
					  TYPALIGN_INT, &elements, NULL, &request.nheaders);
	request.headers = palloc(sizeof(FmSigv4Header) * request.nheaders);
	for (i = 0; i < request.nheaders; i++)
	{
		char	   *header = TextDatumGetCString(elements[i]);
		char	   *colon = strchr(header, ':');

		*colon = '\0';
		request.headers[i].name = header;
		request.headers[i].value = colon + 1;
	}
	fm_sha256_hex(fm_slice(payload, strlen(payload)), hash);
	request.payload_hash = hash;
	request.time = text_to_cstring(PG_GETARG_TEXT_PP(5));
	key.access_key_id = text_to_cstring(PG_GETARG_TEXT_PP(6));
	key.secret_access_key = text_to_cstring(PG_GETARG_TEXT_PP(7));
	key.region = text_to_cstring(PG_GETARG_TEXT_PP(8));
	key.service = text_to_cstring(PG_GETARG_TEXT_PP(9));
	initStringInfo(&out);
	fm_sigv4_sign(&key, &request, &out);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}
