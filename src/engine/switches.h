/*-------------------------------------------------------------------------
 *
 * switches.h
 *	  Settings for experiments, as enable_seqscan is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_SWITCHES_H
#define FM_SWITCHES_H

extern bool fm_enable_filter;	/* look-ups ask filters */
extern bool fm_enable_sparse_index; /* else a run is read from its start */
extern bool fm_enable_cache;	/* data blocks come from the cache, and go
								 * into it */

#endif							/* FM_SWITCHES_H */
