/*-------------------------------------------------------------------------
 *
 * wait_events.h
 *	  What a backend waits for, as pg_stat_activity shows it.
 *
 * From 17 on each has a name of its own; before, all are "Extension".
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_WAIT_EVENTS_H
#define FM_WAIT_EVENTS_H

typedef enum FmWaitEvent
{
	FM_WAIT_OBJECT_READ,
	FM_WAIT_OBJECT_WRITE,
	FM_WAIT_OBJECT_SYNC,
	FM_WAIT_HEAD_READ,
	FM_WAIT_HEAD_WRITE,
	FM_WAIT_HEAD_SYNC,
	FM_WAIT_HEAD_LOCK,
	FM_WAIT_DIRECTORY_SYNC,
	FM_WAIT_BLOCK_LOAD,			/* another backend loads the block */
	FM_WAIT_CREDENTIALS,		/* a service that hands out credentials */
	FM_WAIT_GROUP_COMMIT,		/* the leader of a group of commits */
	FM_WAIT_HEAD_SHARED			/* another backend reads HEAD */
} FmWaitEvent;
#define FM_NWAIT_EVENTS (FM_WAIT_HEAD_SHARED + 1)

/*
 * The number to wait under.  May raise on its first call for an event in
 * this backend, and takes a lock of PostgreSQL's then.
 */
extern uint32 fm_wait_event(FmWaitEvent event);

#endif							/* FM_WAIT_EVENTS_H */
