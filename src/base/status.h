/*-------------------------------------------------------------------------
 *
 * status.h
 *	  Outcome of an operation of the layers below PostgreSQL.
 *
 * base/ and format/ never print, exit or raise: a function that can fail
 * returns an FmStatus and, where the caller passes one, fills an FmFault with
 * a constant phrase and a position.  objstore/pg_status.c is the only place
 * that turns either into an SQLSTATE.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_STATUS_H
#define FM_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum FmStatus
{
	FM_OK = 0,
	FM_CORRUPTION,				/* bytes fail a checksum or break the grammar */
	FM_UNSUPPORTED,				/* another major format or a required feature
								 * that this code does not have */
	FM_TOO_LARGE,				/* a value exceeds a documented limit */
	FM_NO_MEMORY,				/* the allocator returned NULL */
	FM_INVALID,					/* the caller's argument cannot be encoded */
	FM_STOPPED					/* the caller's callback asked to stop */
} FmStatus;

/*
 * What is wrong, and where.  "what" is a string constant, lower case, fit to
 * follow a colon or to be a detail: "block checksum does not match".
 */
typedef struct FmFault
{
	FmStatus	status;
	const char *what;
	uint64_t	offset;			/* bytes from the start of the input */
} FmFault;

/* Records a fault where the caller wants one; returns status. */
static inline FmStatus
fm_fault(FmFault *fault, FmStatus status, const char *what, uint64_t offset)
{
	if (fault != NULL)
	{
		fault->status = status;
		fault->what = what;
		fault->offset = offset;
	}
	return status;
}

#endif							/* FM_STATUS_H */
