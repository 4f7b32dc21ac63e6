/*-------------------------------------------------------------------------
 *
 * stage.c
 *	  Bytes of runs that are read before they are asked for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "engine/stage.h"

#define PIECE_SIZE (1024 * 1024)	/* of one request */
#define SMALL_RUN_SIZE (128 * 1024) /* is read as a whole */

typedef struct Segment
{
	FmId		run;
	uint64		offset;
	uint64		size;
	uint8	   *data;
	bool		wanted;			/* to be read */
	bool		ready;
} Segment;

struct FmStage
{
	MemoryContext context;		/* holds the segments' bytes */
	Segment    *segments;
	int			nsegments;
	int			max_segments;
	uint64		size;
	FmReadRange *ranges;		/* that are being read; NULL: none */
	FmPendingRead *pending;
	int			nranges;
};

FmStage *
fm_stage_create(void)
{
	FmStage    *stage = palloc0(sizeof(FmStage));

	stage->context = AllocSetContextCreate(CurrentMemoryContext,
										   "fusio_manifest stage",
										   ALLOCSET_DEFAULT_SIZES);
	stage->max_segments = 16;
	stage->segments = palloc(sizeof(Segment) * stage->max_segments);
	return stage;
}

void
fm_stage_free(FmStage *stage)
{
	if (stage == NULL)
		return;
	MemoryContextDelete(stage->context);
	pfree(stage->segments);
	pfree(stage);
}

void
fm_stage_reset(FmStage *stage)
{
	MemoryContextReset(stage->context);
	stage->pending = NULL;
	stage->nsegments = 0;
	stage->size = 0;
}

/* The segment that covers a range; NULL if there is none. */
static const Segment *
find_segment(const FmStage *stage, const FmId *run, uint64 offset,
			 uint64 size)
{
	int			i;

	/* What is needed next was mostly added last. */
	for (i = stage->nsegments - 1; i >= 0; i--)
	{
		const Segment *segment = &stage->segments[i];

		if (segment->offset <= offset &&
			offset + size <= segment->offset + segment->size &&
			fm_id_eq(&segment->run, run))
			return segment;
	}
	return NULL;
}

const uint8 *
fm_stage_find(const FmStage *stage, const FmRunDesc *run, uint64 offset,
			  uint64 size)
{
	const Segment *segment = find_segment(stage, &run->id, offset, size);

	return segment != NULL && segment->ready ?
		segment->data + (offset - segment->offset) : NULL;
}

void
fm_stage_add(FmStage *stage, const FmRunDesc *run, uint64 offset, uint64 size)
{
	Segment    *segment;

	if (size == 0 || offset > run->size || size > run->size - offset ||
		stage->size + size > FM_STAGE_MAX_SIZE ||
		find_segment(stage, &run->id, offset, size) != NULL)
		return;
	if (stage->nsegments == stage->max_segments)
	{
		stage->max_segments *= 2;
		stage->segments = repalloc(stage->segments,
								   sizeof(Segment) * stage->max_segments);
	}
	segment = &stage->segments[stage->nsegments++];
	segment->run = run->id;
	segment->offset = offset;
	segment->size = size;
	segment->data = MemoryContextAllocHuge(stage->context, size);
	segment->wanted = true;
	segment->ready = false;
	stage->size += size;
}

void
fm_stage_add_block(FmStage *stage, const FmRunDesc *run, FmBlockHandle handle)
{
	if (!fm_fetch_is_cached(run, handle.offset))
		fm_stage_add(stage, run, handle.offset, handle.size);
}

bool
fm_stage_add_top(FmStage *stage, const FmRunDesc *run)
{
	uint64		start = run->tail_offset;

	if (fm_fetch_is_cached(run, run->tail_offset))
		return false;
	if (run->meta_offset > run->size)
		return true;
	if (run->size <= SMALL_RUN_SIZE)
		start = 0;
	else if (run->size - run->meta_offset <= FM_RUN_META_ONE_READ)
		start = run->meta_offset;
	fm_stage_add(stage, run, start, run->size - start);
	return true;
}

/* The ranges of a segment's pieces. */
static int
cut_pieces(const Segment *segment, FmReadRange *ranges)
{
	uint64		at;
	int			n = 0;

	for (at = 0; at < segment->size; at += PIECE_SIZE)
	{
		ranges[n].kind = FM_OBJECT_RUN;
		ranges[n].id = segment->run;
		ranges[n].offset = segment->offset + at;
		ranges[n].length = (uint32) Min(PIECE_SIZE, segment->size - at);
		ranges[n].anew = false;
		ranges[n++].dest = segment->data + at;
	}
	return n;
}

/* The ranges of all that is wanted; palloc'd. */
static FmReadRange *
collect_ranges(FmStage **stages, int nstages, int *n)
{
	FmReadRange *ranges;
	int			max_ranges = 0;
	int			s;
	int			i;

	for (s = 0; s < nstages; s++)
		max_ranges += stages[s]->nsegments + stages[s]->size / PIECE_SIZE;
	ranges = palloc(sizeof(FmReadRange) * Max(max_ranges, 1));
	*n = 0;
	for (s = 0; s < nstages; s++)
	{
		for (i = 0; i < stages[s]->nsegments; i++)
		{
			if (stages[s]->segments[i].wanted)
				*n += cut_pieces(&stages[s]->segments[i], &ranges[*n]);
		}
	}
	return ranges;
}

/* The ranges were read, in the order of collect_ranges. */
static void
take_results(FmStage **stages, int nstages, const FmReadRange *ranges)
{
	int			s;
	int			i;

	for (s = 0; s < nstages; s++)
	{
		for (i = 0; i < stages[s]->nsegments; i++)
		{
			Segment    *segment = &stages[s]->segments[i];
			uint64		at;

			if (!segment->wanted)
				continue;
			segment->wanted = false;
			segment->ready = true;
			for (at = 0; at < segment->size; at += PIECE_SIZE)
			{
				if ((ranges++)->result != FM_READ_OK)
					segment->ready = false;
			}
		}
	}
}

void
fm_stage_read(FmFetch *fetch, FmStage **stages, int nstages)
{
	int			n;
	FmReadRange *ranges = collect_ranges(stages, nstages, &n);

	if (n > 0)
		fm_fetch_read(fetch, ranges, n);
	take_results(stages, nstages, ranges);
	pfree(ranges);
}

bool
fm_stage_start(FmFetch *fetch, FmStage *stage)
{
	MemoryContext old = MemoryContextSwitchTo(stage->context);

	stage->ranges = collect_ranges(&stage, 1, &stage->nranges);
	if (stage->nranges > 0)
		stage->pending = fetch->store->ops->start_read(fetch->store,
													   stage->ranges,
													   stage->nranges);
	MemoryContextSwitchTo(old);
	return stage->nranges > 0;
}

void
fm_stage_finish(FmFetch *fetch, FmStage *stage)
{
	FmPendingRead *pending = stage->pending;

	if (pending == NULL)
		return;
	stage->pending = NULL;
	fm_fetch_finish_read(fetch, pending, stage->ranges, stage->nranges);
	take_results(&stage, 1, stage->ranges);
}

void
fm_stage_count_vain(FmFetch *fetch, const FmStage *stage)
{
	if (stage->pending != NULL)
		fm_fetch_count_vain(fetch, stage->pending, stage->ranges,
							stage->nranges);
}

bool
fm_stage_has_come(FmFetch *fetch, FmStage *stage)
{
	return stage->pending == NULL ||
		fetch->store->ops->poll_read(stage->pending);
}

bool
fm_stage_awaits(const FmStage *stage, const FmRunDesc *run, uint64 offset,
				uint64 size)
{
	return stage->pending != NULL &&
		find_segment(stage, &run->id, offset, size) != NULL;
}
