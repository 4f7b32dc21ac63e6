/*-------------------------------------------------------------------------
 *
 * http_sockets.c
 *	  The sockets that libcurl waits for.
 *
 * On Linux they are in an epoll descriptor, with a timer.  The timer is never
 * read, only set: once its time has come the descriptor stays readable until
 * it is set anew, so that nothing that is done meanwhile takes a wake-up away
 * from who is about to wait.  A wait here, which is not concerned, mutes it
 * until it is set again, anew or not.  Elsewhere they are put into a WaitEventSet,
 * which is made anew when they have changed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#ifdef __linux__
#include <sys/epoll.h>
#include <sys/timerfd.h>
#endif

#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"

#include "compat.h"
#include "objstore/http_sockets.h"

static WaitEventSet *wait_set = NULL;

/* A set with the latch and the death of the postmaster. */
static void
make_wait_set(int nsockets)
{
	if (wait_set != NULL)
		FreeWaitEventSet(wait_set);
	wait_set = NULL;
	wait_set = fm_create_wait_event_set(nsockets + 2);
	AddWaitEventToSet(wait_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch,
					  NULL);
	AddWaitEventToSet(wait_set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL,
					  NULL);
}

static void
act_on_latch(void)
{
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

#ifdef __linux__

#define MAX_READY 64

static int	epoll_fd = -1;
static int	timer_fd = -1;
static int64 timer_us;			/* when it goes off, or went off */
static bool timer_muted;		/* it went off, but does not show */
static Latch * latch;			/* that wait_set has */

static void
raise_no_descriptor(void)
{
	ereport(ERROR,
			(errcode_for_file_access(),
			 errmsg("could not open a descriptor for HTTP requests: %m")));
}

void
fm_http_sockets_init(void)
{
	struct epoll_event event = {.events = EPOLLIN};

	if (timer_fd < 0)
	{
		timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
		if (timer_fd < 0)
			raise_no_descriptor();
		ReserveExternalFD();
	}
	if (epoll_fd < 0)
	{
		epoll_fd = epoll_create1(EPOLL_CLOEXEC);
		if (epoll_fd < 0)
			raise_no_descriptor();
		ReserveExternalFD();
	}
	event.data.fd = timer_fd;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &event) < 0 &&
		errno != EEXIST)
		raise_no_descriptor();
}

bool
fm_http_sockets_watch(int fd, uint32 events)
{
	struct epoll_event event = {0};

	event.data.fd = fd;
	if (events & WL_SOCKET_READABLE)
		event.events |= EPOLLIN;
	if (events & WL_SOCKET_WRITEABLE)
		event.events |= EPOLLOUT;
	if (events == 0)
	{
		/* One that was closed has gone by itself. */
		(void) epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, &event);
		return true;
	}
	return epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event) == 0 ||
		(errno == ENOENT &&
		 epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0);
}

/* Lets the timer go off at a time; 0: never. */
static void
start_timer(int64 at_us)
{
	struct itimerspec when = {0};

	when.it_value.tv_sec = at_us / 1000000;
	when.it_value.tv_nsec = at_us % 1000000 * 1000;
	if (timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &when, NULL) < 0)
		elog(ERROR, "could not set a timer: %m");
}

int
fm_http_sockets_wait(long timeout_ms, uint32 wait_event,
					 FmReadySocket *ready, int max)
{
	struct epoll_event events[MAX_READY];
	int			nready = 0;
	int			n;
	int			i;

	if (timeout_ms > 0)
	{
		WaitEvent	occurred[2];

		if (wait_set == NULL || latch != MyLatch)
		{
			make_wait_set(1);
			AddWaitEventToSet(wait_set, WL_SOCKET_READABLE, epoll_fd, NULL,
							  NULL);
			latch = MyLatch;
		}
		n = WaitEventSetWait(wait_set, timeout_ms, occurred,
							 lengthof(occurred), wait_event);
		for (i = 0; i < n; i++)
		{
			if (occurred[i].events & WL_LATCH_SET)
				act_on_latch();
		}
	}
	n = epoll_wait(epoll_fd, events, Min(max, MAX_READY), 0);
	for (i = 0; i < n; i++)
	{
		if (events[i].data.fd == timer_fd)
		{
			if (timeout_ms > 0)
			{
				start_timer(0);
				timer_muted = true;
			}
			continue;
		}
		ready[nready].fd = events[i].data.fd;
		ready[nready].events = 0;
		if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP))
			ready[nready].events |= WL_SOCKET_READABLE;
		if (events[i].events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
			ready[nready].events |= WL_SOCKET_WRITEABLE;
		nready++;
	}
	return nready;
}

int
fm_http_sockets_descriptor(void)
{
	return epoll_fd;
}

void
fm_http_sockets_set_timer(int64 at_us, bool anew)
{
	if (anew || at_us < timer_us)
		timer_us = at_us;
	else if (!timer_muted)
		return;
	timer_muted = false;
	start_timer(Max(timer_us, 1));
}

#else							/* !__linux__ */

#define MAX_SOCKETS 1024
#define MAX_READY 64

static FmReadySocket sockets[MAX_SOCKETS];
static int	nsockets = 0;
static bool sockets_changed = true;

void
fm_http_sockets_init(void)
{
}

bool
fm_http_sockets_watch(int fd, uint32 events)
{
	int			i = 0;

	sockets_changed = true;
	while (i < nsockets && sockets[i].fd != fd)
		i++;
	if (events == 0)
	{
		if (i < nsockets)
			sockets[i] = sockets[--nsockets];
		return true;
	}
	if (i == MAX_SOCKETS)
		return false;
	sockets[i].fd = fd;
	sockets[i].events = events;
	nsockets = Max(nsockets, i + 1);
	return true;
}

int
fm_http_sockets_wait(long timeout_ms, uint32 wait_event,
					 FmReadySocket *ready, int max)
{
	WaitEvent	events[MAX_READY];
	int			nready = 0;
	int			n;
	int			i;

	if (sockets_changed || wait_set == NULL)
	{
		make_wait_set(nsockets);
		for (i = 0; i < nsockets; i++)
			AddWaitEventToSet(wait_set, sockets[i].events, sockets[i].fd,
							  NULL, NULL);
		sockets_changed = false;
	}
	n = WaitEventSetWait(wait_set, timeout_ms, events, Min(max, MAX_READY),
						 wait_event);
	for (i = 0; i < n; i++)
	{
		if (events[i].events & WL_LATCH_SET)
		{
			act_on_latch();
			continue;
		}
		ready[nready].fd = events[i].fd;
		ready[nready++].events = events[i].events;
	}
	return nready;
}

int
fm_http_sockets_descriptor(void)
{
	return -1;
}

void
fm_http_sockets_set_timer(int64 at_us, bool anew)
{
}

#endif							/* !__linux__ */
