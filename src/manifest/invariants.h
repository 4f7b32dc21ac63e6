/*-------------------------------------------------------------------------
 *
 * invariants.h
 *	  What must hold of a HEAD before it is published, each by its name.
 *
 * The functions answer NULL, or a phrase that says what does not hold.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_INVARIANTS_H
#define FM_INVARIANTS_H

#include "manifest/commit.h"

/*
 * Order: L0 newest first, by (max version, sequence).  Disjoint levels:
 * above L0 runs ascend, each upper bound below the next lower bound.  Looks
 * at n runs of one level.
 */
extern const char *fm_invariant_level(const FmRunDesc *runs, uint32 n,
									  bool level0);

/* The same of all levels of a table whose runs are at hand. */
extern const char *fm_invariant_table(const FmTable *table);

/*
 * Inputs listed: each input is in the table.  Contiguous: every other run
 * that may share a key with an input, and is older than it, lies below the
 * output level, so that moving the inputs down keeps the order of reading.
 * Both hold of "table", a resolved one, before the compaction is applied.
 */
extern const char *fm_invariant_inputs(const FmTable *table,
									   const FmCompactionCommit *compaction);

/* Sums: rows and row sums in = out + dropped. */
extern const char *fm_invariant_sums(const FmCompactionCommit *compaction);

#endif							/* FM_INVARIANTS_H */
