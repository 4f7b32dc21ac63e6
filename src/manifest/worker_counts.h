/*-------------------------------------------------------------------------
 *
 * worker_counts.h
 *	  What parallel workers counted, on its way to their leader.
 *
 * Kept by snapshot (a key without store) and plan node.  At most
 * FM_MAX_WORKER_COUNTS numbers a node; where there is no room they are lost.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_WORKER_COUNTS_H
#define FM_WORKER_COUNTS_H

#include "manifest/shared_pins.h"

#define FM_MAX_WORKER_COUNTS 16

/* A worker adds its counts. */
extern void fm_worker_counts_add(const FmPinKey *key, int node,
								 const uint64 *counts, int n);

/* The leader adds them to "counts" and removes them. */
extern void fm_worker_counts_take(const FmPinKey *key, int node,
								  uint64 *counts, int n);

/* Removes what a leader has not taken. */
extern void fm_worker_counts_drop(int32 leader);

extern Size fm_worker_counts_size(void);
extern void fm_worker_counts_init(void);

#endif							/* FM_WORKER_COUNTS_H */
