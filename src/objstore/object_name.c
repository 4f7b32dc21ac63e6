/*-------------------------------------------------------------------------
 *
 * object_name.c
 *	  Ids and the names of objects made from them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "objstore/store.h"

FmId
fm_new_id(void)
{
	FmId		id;

	if (!pg_strong_random(id.bytes, sizeof(id.bytes)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	return id;
}

void
fm_id_to_hex(const FmId *id, char dest[33])
{
	static const char digits[] = "0123456789abcdef";
	int			i;

	for (i = 0; i < (int) sizeof(id->bytes); i++)
	{
		dest[2 * i] = digits[id->bytes[i] >> 4];
		dest[2 * i + 1] = digits[id->bytes[i] & 0x0F];
	}
	dest[32] = '\0';
}

void
fm_object_name(FmObjectKind kind, const FmId *id,
			   char dest[FM_OBJECT_NAME_SIZE])
{
	char		hex[33];

	fm_id_to_hex(id, hex);
	if (kind == FM_OBJECT_RUN)
		snprintf(dest, FM_OBJECT_NAME_SIZE, "runs/%.2s/%s.run", hex, hex);
	else
		snprintf(dest, FM_OBJECT_NAME_SIZE, "pages/%.2s/%s.page", hex, hex);
}
