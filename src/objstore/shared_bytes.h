/*-------------------------------------------------------------------------
 *
 * shared_bytes.h
 *	  Room in shared memory for bytes of any length: copies of HEAD, commits
 *	  that wait to be published together.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_SHARED_BYTES_H
#define FM_SHARED_BYTES_H

#include "base/slice.h"

/* In shared memory, guarded by its owner's lock; all zero: nothing. */
typedef struct FmSharedBytes
{
	uint32		len;
	int			first;			/* chunk */
} FmSharedBytes;

extern Size fm_shared_bytes_size(void);
extern void fm_shared_bytes_init(void);

/*
 * Copies bytes into dest, which holds nothing; false if there is no room.  Of
 * all room, "reserve" percent have to be free afterwards.
 */
extern bool fm_shared_bytes_put(FmSharedBytes *dest, FmSlice bytes,
								int reserve);

/* Copies them out; dest has room for len bytes. */
extern void fm_shared_bytes_get(const FmSharedBytes *bytes, uint8 *dest);

/* Afterwards it holds nothing. */
extern void fm_shared_bytes_free(FmSharedBytes *bytes);

#endif							/* FM_SHARED_BYTES_H */
