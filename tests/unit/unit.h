/*-------------------------------------------------------------------------
 *
 * unit.h
 *	  The little that a unit test needs: checks, cases, a count.
 *
 * A test program runs cases by RUN(function) and ends with unit_finish().  A
 * failed CHECK fails its case and goes on, so that one run shows them all.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_UNIT_H
#define FM_UNIT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define UNIT_MAX_SHOWN 20		/* failures of a case that are printed */

static int	unit_cases;
static int	unit_failed_cases;
static int	unit_failures;		/* of the case that runs */

#define CHECK(condition) \
	unit_check((condition), #condition, __FILE__, __LINE__)
#define RUN(function) unit_run(function, #function)

static inline void
unit_check(bool ok, const char *condition, const char *file, int line)
{
	if (!ok && unit_failures++ < UNIT_MAX_SHOWN)
		printf("# %s:%d: %s\n", file, line, condition);
}

static inline void
unit_run(void (*function) (void), const char *name)
{
	unit_failures = 0;
	function();
	unit_cases++;
	if (unit_failures > 0)
		unit_failed_cases++;
	printf("%sok %d - %s\n", unit_failures > 0 ? "not " : "", unit_cases,
		   name);
	fflush(stdout);
}

static inline int
unit_finish(void)
{
	printf("1..%d\n", unit_cases);
	return unit_failed_cases > 0 ? 1 : 0;
}

/* The next of a repeatable sequence of random numbers (splitmix64). */
static inline uint64_t
unit_random(uint64_t *state)
{
	uint64_t	z = *state += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

#endif							/* FM_UNIT_H */
