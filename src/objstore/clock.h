/*-------------------------------------------------------------------------
 *
 * clock.h
 *	  Time that only goes forward, for deadlines and ages.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_CLOCK_H
#define FM_CLOCK_H

#include <time.h>

/* Microseconds since some time before; goes on while the process is stopped. */
static inline int64
fm_monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

#endif							/* FM_CLOCK_H */
