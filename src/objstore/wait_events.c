/*-------------------------------------------------------------------------
 *
 * wait_events.c
 *	  What a backend waits for, as pg_stat_activity shows it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/wait_event.h"

#include "compat.h"
#include "objstore/wait_events.h"

#ifdef FM_NAMED_WAIT_EVENTS

static const char *const wait_event_names[] = {
	"FusioObjectRead",
	"FusioObjectWrite",
	"FusioObjectSync",
	"FusioHeadRead",
	"FusioHeadWrite",
	"FusioHeadSync",
	"FusioHeadLock",
	"FusioDirectorySync",
	"FusioBlockLoad",
	"FusioCredentials",
	"FusioGroupCommit",
	"FusioHeadShared",
};

StaticAssertDecl(lengthof(wait_event_names) == FM_NWAIT_EVENTS,
				 "every wait event has a name");

uint32
fm_wait_event(FmWaitEvent event)
{
	static uint32 numbers[FM_NWAIT_EVENTS];

	if (numbers[event] == 0)
		numbers[event] = WaitEventExtensionNew(wait_event_names[event]);
	return numbers[event];
}

#else

uint32
fm_wait_event(FmWaitEvent event)
{
	return PG_WAIT_EXTENSION;
}

#endif							/* FM_NAMED_WAIT_EVENTS */
