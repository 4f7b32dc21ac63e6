/*-------------------------------------------------------------------------
 *
 * page_io.h
 *	  Pages of HEAD as objects of a store.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_PAGE_IO_H
#define FM_PAGE_IO_H

#include "format/head.h"
#include "objstore/store.h"

/*
 * Reads a whole page into the current memory context; not checked yet.
 * version is that of the HEAD that names it.  Raises if it is not there.
 */
extern FmSlice fm_page_read(FmStore *store, const FmPageRef *ref,
							uint64 version);

/* The same, always from the store. */
extern FmSlice fm_page_read_store(FmStore *store, const FmPageRef *ref,
								  uint64 version);

/* A cache for pages, if there is one: engine/page_cache.c. */
extern FmSlice (*fm_page_read_hook) (FmStore *store, const FmPageRef *ref,
									 uint64 version);
extern void (*fm_page_written_hook) (FmStore *store, const FmId *id,
									 FmSlice bytes);

/* Writes a new page, durably. */
extern void fm_page_write(FmStore *store, const FmId *id, FmSlice bytes);

#endif							/* FM_PAGE_IO_H */
