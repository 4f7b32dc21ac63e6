/*-------------------------------------------------------------------------
 *
 * page_cache.h
 *	  Pages of HEAD in the block cache.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_PAGE_CACHE_H
#define FM_PAGE_CACHE_H

/* Gives manifest/ the cache, which it does not know; for _PG_init. */
extern void fm_page_cache_install(void);

#endif							/* FM_PAGE_CACHE_H */
