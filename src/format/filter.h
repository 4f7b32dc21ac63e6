/*-------------------------------------------------------------------------
 *
 * filter.h
 *	  Filters over key hashes: blocked bloom, 3-wise binary fuse.
 *
 * A filter answers "surely not here" or "maybe here".  Its bytes begin with
 * kind u8, arg u8, zero u16, key count u32, seed u64, then what the kind
 * needs; nothing is recomputed from floating point when reading.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_FILTER_H
#define FM_FILTER_H

#include "base/buffer.h"
#include "format/format.h"

/*
 * Appends a filter of n hashes to out (a multiple of 8 there).  The array is
 * sorted and de-duplicated in place.  Writes nothing, and returns FM_OK, when
 * kind is FM_FILTER_NONE, n is 0 or a fuse filter cannot be built.
 */
extern FmStatus fm_filter_build(FmFilterKind kind, int bits, uint64_t *hashes,
								uint32_t n, const FmAlloc *alloc, FmBuf *out);

/*
 * Checks a filter's header against its length, so that probing never reads
 * outside.  A kind that this code does not have is FM_OK: it is skipped.
 */
extern FmStatus fm_filter_check(FmSlice filter, FmFault *fault);

/* True if a key of this hash may be present.  The filter was checked. */
extern bool fm_filter_probe(FmSlice filter, uint64_t hash);

/* False for an empty slice and for a kind that this code does not have. */
extern bool fm_filter_usable(FmSlice filter);

#endif							/* FM_FILTER_H */
