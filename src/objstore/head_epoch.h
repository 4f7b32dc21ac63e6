/*-------------------------------------------------------------------------
 *
 * head_epoch.h
 *	  Which HEADs this cluster has replaced, counted in shared memory.
 *
 * Who relies on what he knows of HEAD for a while (max_staleness) still has
 * to see what this cluster commits at once.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_HEAD_EPOCH_H
#define FM_HEAD_EPOCH_H

extern Size fm_head_epochs_size(void);
extern void fm_head_epochs_init(void);

/* A number that changes whenever fm_head_replaced is called for the location. */
extern uint64 fm_head_epoch(const char *location);

extern void fm_head_replaced(const char *location);

#endif							/* FM_HEAD_EPOCH_H */
