/*-------------------------------------------------------------------------
 *
 * stage.h
 *	  Bytes of runs that are read before they are asked for.
 *
 * Where a request is far away, who knows what he will need next stages it:
 * ranges of several runs are read at once, and fetches (engine/fetch.h) whose
 * FmFetch has the stage find their bytes there.  A stage belongs to one scan
 * of one backend; it holds stored bytes, which are checked when fetched.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_STAGE_H
#define FM_STAGE_H

#include "engine/fetch.h"

#define FM_STAGE_MAX_SIZE (64 * 1024 * 1024)

/* Lives in a child of the current memory context. */
extern FmStage *fm_stage_create(void);
extern void fm_stage_free(FmStage *stage);

/* Forgets what it holds. */
extern void fm_stage_reset(FmStage *stage);

/*
 * Adds a range to what fm_stage_read is to read; one that is there already,
 * or for which there is no room, is left out.
 */
extern void fm_stage_add(FmStage *stage, const FmRunDesc *run, uint64 offset,
						 uint64 size);

/*
 * The same for a block or a run's top index, unless the cache has it.  The
 * whole of a small run comes with its top index.
 */
extern void fm_stage_add_block(FmStage *stage, const FmRunDesc *run,
							   FmBlockHandle handle);
extern bool fm_stage_add_top(FmStage *stage, const FmRunDesc *run);

/*
 * Reads what was added to all of the stages, side by side.  What cannot be
 * read is not an error here: whoever needs it meets it again.
 */
extern void fm_stage_read(FmFetch *fetch, FmStage **stages, int n);

/*
 * Starts to read what was added to a stage; it is there after fm_stage_finish,
 * before which nothing else is added.  False: there is nothing to be read.
 */
extern bool fm_stage_start(FmFetch *fetch, FmStage *stage);
extern void fm_stage_finish(FmFetch *fetch, FmStage *stage);

/* Counts what is being read, which nobody will wait for. */
extern void fm_stage_count_vain(FmFetch *fetch, const FmStage *stage);

/* Would fm_stage_finish not wait?  Does not wait itself. */
extern bool fm_stage_has_come(FmFetch *fetch, FmStage *stage);

/* Is it being read, and does that include the range? */
extern bool fm_stage_awaits(const FmStage *stage, const FmRunDesc *run,
							uint64 offset, uint64 size);

/* The bytes, if all of them are there; else NULL.  Until reset. */
extern const uint8 *fm_stage_find(const FmStage *stage, const FmRunDesc *run,
								  uint64 offset, uint64 size);

#endif							/* FM_STAGE_H */
