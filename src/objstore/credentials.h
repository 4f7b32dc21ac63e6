/*-------------------------------------------------------------------------
 *
 * credentials.h
 *	  Where the keys of requests come from.
 *
 * The source "static" takes them from the user mapping.  The others read what
 * the server's operating system user may read, so that they are for mappings
 * of superusers only.  No message ever holds a secret.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_CREDENTIALS_H
#define FM_CREDENTIALS_H

#include "datatype/timestamp.h"

#include "objstore/store.h"

typedef struct FmCredentials
{
	MemoryContext context;		/* holds all of it */
	char	   *access_key_id;
	char	   *secret_access_key;
	char	   *session_token;	/* NULL: none */
	TimestampTz expires;		/* DT_NOEND: never, as far as is known */
	const char *source;			/* what was read, for people */
} FmCredentials;

/*
 * Reads credentials anew, into a child of the store's context; raises if there
 * are none.  A service that does not answer is given up after METADATA_TRIES
 * times METADATA_TIMEOUT_MS (08006), and when the time for a commit is over
 * (57014).  Interrupts act while it waits, unless they are held.
 */
extern FmCredentials *fm_credentials_read(const FmStore *store);

/* Raises if the mapping's user may not use credentials of its source. */
extern void fm_credentials_check_user(const FmStoreOptions *options);

extern void fm_credentials_free(FmCredentials *credentials);

#endif							/* FM_CREDENTIALS_H */
