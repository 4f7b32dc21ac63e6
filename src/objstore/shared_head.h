/*-------------------------------------------------------------------------
 *
 * shared_head.h
 *	  HEADs that are far away, as the backends of this cluster know them: one
 *	  asks for all.
 *
 * A copy is found by what a store is reached with ("rights"): who has other
 * credentials asks with these.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_SHARED_HEAD_H
#define FM_SHARED_HEAD_H

#include "datatype/timestamp.h"

#include "objstore/http.h"
#include "objstore/store.h"

/* A HEAD, and since when it is known to be so. */
typedef struct FmHeadCopy
{
	char		etag[FM_ETAG_SIZE]; /* "": nothing is known */
	int64		asked_us;		/* monotonic; it was HEAD after that */
	uint64		epoch;			/* of the location before that */
	uint32		len;			/* bytes that were copied; 0 also if the ETag
								 * is the caller's */
} FmHeadCopy;

typedef enum FmHeadTurn
{
	FM_HEAD_KNOWN,				/* the copy does */
	FM_HEAD_ASK,				/* the caller asks for all; the copy may be
								 * what HEAD still is */
	FM_HEAD_ASK_ALONE			/* the copy is empty */
} FmHeadTurn;

extern Size fm_shared_head_size(void);
extern void fm_shared_head_init(void);

/*
 * For who needs HEAD as it is now, or was max_staleness ago.  Waits for the
 * answer that another one has asked for, but not for long; interrupts act.
 * Bytes go to "room", of FM_HEAD_MAX_SIZE, unless the ETag is my_etag.
 * After FM_HEAD_ASK, fm_shared_head_release is due, on error, too.
 */
extern FmHeadTurn fm_shared_head_await(const FmStore *store,
									   const FmHttpPace *pace,
									   const char *my_etag, uint8 *room,
									   FmHeadCopy *copy);

/* HEAD was found, or made, to be this: "bytes", if it is a new one. */
extern void fm_shared_head_note(const FmStore *store, const FmHeadCopy *copy,
								FmSlice bytes);

/* Lets others ask; a failure, so that those who waited ask for themselves. */
extern void fm_shared_head_release(bool failed);

/* What is known, however old; false if nothing is. */
extern bool fm_shared_head_recall(const FmStore *store, uint8 *room,
								  FmHeadCopy *copy);

#endif							/* FM_SHARED_HEAD_H */
