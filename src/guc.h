/*-------------------------------------------------------------------------
 *
 * guc.h
 *	  Settings; the variables live with the code that they steer.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_GUC_H
#define FM_GUC_H

/*
 * Defines all settings.  Those of shared memory only with "preloading", as
 * they would mean nothing later.
 */
extern void fm_guc_init(bool preloading);

/* fusio_manifest.cache_size in bytes; only after preloading. */
extern Size fm_guc_cache_size(void);

#endif							/* FM_GUC_H */
