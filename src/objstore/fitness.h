/*-------------------------------------------------------------------------
 *
 * fitness.h
 *	  Which places have failed a probe, and so are only read by this cluster.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_FITNESS_H
#define FM_FITNESS_H

extern Size fm_fitness_size(void);
extern void fm_fitness_init(void);

/* What the last probe of a location at an endpoint (NULL: none) has shown. */
extern void fm_fitness_note(const char *location, const char *endpoint,
							bool fit);

/* False if the last probe has failed; true, too, if there was none. */
extern bool fm_is_fit(const char *location, const char *endpoint);

#endif							/* FM_FITNESS_H */
