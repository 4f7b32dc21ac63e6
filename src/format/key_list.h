/*-------------------------------------------------------------------------
 *
 * key_list.h
 *	  Ascending keys that wait to become a key table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_KEY_LIST_H
#define FM_KEY_LIST_H

#include "format/key_table.h"

/* Owns copies of its keys. */
typedef struct FmKeyList
{
	uint32_t	count;
	size_t		prefix_len;		/* common to all */
	bool		same_len;
	FmBuf		bytes;
	FmBuf		ends;			/* size_t each */
	FmBuf		slices;			/* scratch of writing */
} FmKeyList;

extern void fm_key_list_init(FmKeyList *list, const FmAlloc *alloc);
extern void fm_key_list_free(FmKeyList *list);

/* Empties the list and keeps its memory. */
extern void fm_key_list_reset(FmKeyList *list);

/* Adds a key, greater than those before: the caller's promise. */
extern void fm_key_list_add(FmKeyList *list, FmSlice key);

/* Key i; valid until the next key is added. */
extern FmSlice fm_key_list_get(const FmKeyList *list, uint32_t i);

/* Bytes of the key table that fm_key_list_write would append ... */
extern size_t fm_key_list_size(const FmKeyList *list);

/* ... and that it would append if this key were added first. */
extern size_t fm_key_list_size_with(const FmKeyList *list, FmSlice key);

extern FmStatus fm_key_list_write(FmKeyList *list, FmBuf *out);

#endif							/* FM_KEY_LIST_H */
