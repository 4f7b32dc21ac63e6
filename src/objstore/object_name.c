/*-------------------------------------------------------------------------
 *
 * object_name.c
 *	  Ids, the names of objects made from them, and lists of objects.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

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

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* 32 hex digits; false if they are none. */
static bool
id_from_hex(const char *hex, FmId *id)
{
	int			i;

	for (i = 0; i < (int) sizeof(id->bytes); i++)
	{
		int			high = hex_digit(hex[2 * i]);
		int			low = high < 0 ? -1 : hex_digit(hex[2 * i + 1]);

		if (low < 0)
			return false;
		id->bytes[i] = (uint8) (high << 4 | low);
	}
	return true;
}

/* Names are compared whole with what they would be. */
FmStoredKind
fm_object_identify(const char *name, FmId *id)
{
	static const struct
	{
		const char *folder;
		int			hex;		/* where the id's digits begin */
		FmObjectKind kind;
		FmStoredKind stored;
	}			objects[] = {
		{"runs/", 8, FM_OBJECT_RUN, FM_STORED_RUN},
		{"pages/", 9, FM_OBJECT_PAGE, FM_STORED_PAGE}
	};
	char		expected[FM_OBJECT_NAME_SIZE];
	size_t		len = strlen(name);
	FmId		lease;
	int			i;

	for (i = 0; i < (int) lengthof(objects); i++)
	{
		if (strncmp(name, objects[i].folder, strlen(objects[i].folder)) != 0 ||
			len < (size_t) objects[i].hex + 32 ||
			!id_from_hex(name + objects[i].hex, id))
			continue;
		fm_object_name(objects[i].kind, id, expected);
		if (strcmp(name, expected) == 0)
			return objects[i].stored;
	}
	if (strncmp(name, "leases/", 7) == 0 && len == 7 + 32 + 6 &&
		strcmp(name + 7 + 32, ".lease") == 0 && id_from_hex(name + 7, &lease))
		return FM_STORED_LEASE;
	if (strncmp(name, ".probe/", 7) == 0 && len >= 7 + 32 &&
		strspn(name + 7, "0123456789abcdef") == 32 &&
		(len == 7 + 32 || name[7 + 32] == '-'))
		return FM_STORED_PROBE;
	return FM_STORED_FOREIGN;
}

FmStored *
fm_stored_list_add(FmStoredList *list)
{
	if (list->n == list->room)
	{
		list->room = Max(list->room * 2, 64);
		list->stored = list->stored == NULL ?
			MemoryContextAlloc(list->context, sizeof(FmStored) * list->room) :
			repalloc_huge(list->stored,
						  sizeof(FmStored) * (Size) list->room);
	}
	memset(&list->stored[list->n], 0, sizeof(FmStored));
	return &list->stored[list->n++];
}

const char *
fm_stored_name(const FmStored *stored, char buffer[FM_OBJECT_NAME_SIZE])
{
	if (stored->name != NULL)
		return stored->name;
	fm_object_name(stored->kind == FM_STORED_RUN ? FM_OBJECT_RUN :
				   FM_OBJECT_PAGE, &stored->id, buffer);
	return buffer;
}
