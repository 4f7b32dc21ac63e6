/*-------------------------------------------------------------------------
 *
 * http_sockets.h
 *	  The sockets that libcurl waits for.
 *
 * On Linux they are one descriptor, so that who has other things to wait for,
 * as PostgreSQL's Append has, can wait for them too.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_HTTP_SOCKETS_H
#define FM_HTTP_SOCKETS_H

/* One that is ready, and for what: WL_SOCKET_READABLE, WL_SOCKET_WRITEABLE. */
typedef struct FmReadySocket
{
	int			fd;
	uint32		events;
} FmReadySocket;

/* To be called first; raises. */
extern void fm_http_sockets_init(void);

/* Watches a socket for events, or, with 0, no more; false on failure. */
extern bool fm_http_sockets_watch(int fd, uint32 events);

/*
 * Waits for a socket or the process latch, so long at most; 0: does not wait.
 * Returns the sockets that are ready, max at most.  Interrupts act.
 */
extern int	fm_http_sockets_wait(long timeout_ms, uint32 wait_event,
								 FmReadySocket *ready, int max);

/*
 * A descriptor that can be read while a socket is ready, and from the time on
 * (of fm_monotonic_us) that was set last; -1: there is none.  A time that is
 * set does not count if an earlier one is, unless "anew".
 */
extern int	fm_http_sockets_descriptor(void);
extern void fm_http_sockets_set_timer(int64 at_us, bool anew);

#endif							/* FM_HTTP_SOCKETS_H */
