/*-------------------------------------------------------------------------
 *
 * shared_pins.h
 *	  HEADs that a parallel query reads, in shared memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_SHARED_PINS_H
#define FM_SHARED_PINS_H

#include "base/slice.h"

/* Which HEAD: no padding, compared as bytes. */
typedef struct FmPinKey
{
	uint64		store;			/* hash of server, user mapping, location */
	int32		leader;			/* pid of the lock group's leader */
	TransactionId xmin;			/* of the snapshot; all zero: the pin of the */
	TransactionId xmax;			/* transaction */
	CommandId	curcid;
} FmPinKey;

typedef enum FmPinResult
{
	FM_PIN_ADDED,
	FM_PIN_EXISTS,				/* another process was first: find it */
	FM_PIN_FULL
} FmPinResult;

/* True if the library was preloaded. */
extern bool fm_shared_pins_available(void);

/* Copies HEAD's bytes into the current context; false if there is no pin. */
extern bool fm_shared_pins_find(const FmPinKey *key, FmSlice *bytes);

/* Pins the bytes for the leader's group, until the leader drops them. */
extern FmPinResult fm_shared_pins_add(const FmPinKey *key, FmSlice bytes);

/* Drops the leader's pins with the snapshot of key, or (NULL) all of them. */
extern void fm_shared_pins_drop(int32 leader, const FmPinKey *key);

extern Size fm_shared_pins_size(void);
extern void fm_shared_pins_init(void);

#endif							/* FM_SHARED_PINS_H */
