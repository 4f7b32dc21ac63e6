/*-------------------------------------------------------------------------
 *
 * read_ahead.c
 *	  Bytes of runs that are on their way while a scan works on others.
 *
 * The pieces that are held or in flight follow each other without a gap, in
 * the scan's direction: from the one that the scan is in, "head", to the
 * frontier, where the next will begin, perhaps in a later run.  Pieces know
 * nothing of blocks; a block that two of them share is put together when it is
 * asked for.
 *
 * The first pieces are small: all are answered at the same time, and the scan
 * is to begin before that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "engine/read_ahead.h"

#define PIECE_SIZE (1024 * 1024)	/* at most, of one request */
#define FIRST_PIECE_SIZE (128 * 1024)
#define SMALL_PIECES 4			/* before the size is reached, and spare */
#define GROWTH 16				/* of what is read ahead, piece by piece */

typedef struct Piece
{
	MemoryContext context;		/* of the read */
	FmPendingRead *pending;		/* NULL: it has ended */
	uint32		run_no;
	FmReadRange range;
	uint8	   *data;
	uint32		room;			/* bytes of data */
} Piece;

struct FmReadAhead
{
	MemoryContext context;
	FmStretch	stretch;
	const FmRunDesc *runs;
	uint32		nruns;
	bool		backward;
	uint64		window;			/* bytes to be held or in flight */
	uint64		most;
	uint32		piece_size;
	uint32		next_size;		/* of the next piece, until it is piece_size */
	uint32		frontier_run;
	uint64		frontier;
	uint64		held;			/* bytes of the pieces */
	int			head;
	int			npieces;
	int			max_pieces;
	Piece	   *pieces;			/* a ring */
	uint8	   *cut;			/* a block that several pieces share */
	uint64		cut_room;
};

FmReadAhead *
fm_read_ahead_create(FmStretch stretch, const FmRunDesc *runs, uint32 nruns,
					 bool backward, uint64 first, uint64 most)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "fusio_manifest read-ahead",
												  ALLOCSET_SMALL_SIZES);
	FmReadAhead *ahead = MemoryContextAllocZero(context, sizeof(FmReadAhead));

	ahead->context = context;
	ahead->stretch = stretch;
	ahead->runs = runs;
	ahead->nruns = nruns;
	ahead->backward = backward;
	fm_read_ahead_limit(ahead, first, most);
	return ahead;
}

void
fm_read_ahead_free(FmReadAhead *ahead)
{
	if (ahead != NULL)
		MemoryContextDelete(ahead->context);
}

void
fm_read_ahead_limit(FmReadAhead *ahead, uint64 first, uint64 most)
{
	Assert(ahead->pieces == NULL);
	ahead->window = Min(first, most) / GROWTH;
	ahead->most = most;
	ahead->piece_size = (uint32) Min(PIECE_SIZE, most / 2);
	ahead->next_size = Min(FIRST_PIECE_SIZE, ahead->piece_size);
	ahead->max_pieces = (int) (most / ahead->piece_size) + SMALL_PIECES;
}

/* The bytes of a run that are read, [first, end). */
static uint64
stretch_first(const FmReadAhead *ahead, const FmRunDesc *run)
{
	return ahead->stretch == FM_STRETCH_INDEX ? run->meta_offset :
		FM_RUN_HEADER_SIZE;
}

static uint64
stretch_end(const FmReadAhead *ahead, const FmRunDesc *run)
{
	return ahead->stretch == FM_STRETCH_INDEX ? run->tail_offset :
		run->meta_offset;
}

/* A small index is read as a whole with the top index. */
static bool
is_worth_reading(const FmReadAhead *ahead, const FmRunDesc *run)
{
	uint64		first = stretch_first(ahead, run);
	uint64		end = stretch_end(ahead, run);

	return first < end && end <= run->size &&
		(ahead->stretch == FM_STRETCH_BLOCKS ||
		 run->size - run->meta_offset > FM_RUN_META_ONE_READ);
}

static Piece *
piece_at(const FmReadAhead *ahead, int i)
{
	return &ahead->pieces[(ahead->head + i) % ahead->max_pieces];
}

static uint64
piece_end(const Piece *piece)
{
	return piece->range.offset + piece->range.length;
}

static void
drop_read(Piece *piece)
{
	piece->pending = NULL;
	MemoryContextReset(piece->context);
}

static void
drop_head(FmReadAhead *ahead)
{
	Piece	   *head = piece_at(ahead, 0);

	drop_read(head);
	ahead->held -= head->range.length;
	ahead->head = (ahead->head + 1) % ahead->max_pieces;
	ahead->npieces--;
}

/* Starts to read the next piece. */
static void
start_piece(FmReadAhead *ahead, FmFetch *fetch, uint32 size)
{
	Piece	   *piece = piece_at(ahead, ahead->npieces);
	MemoryContext old;

	if (piece->context == NULL)
		piece->context = AllocSetContextCreate(ahead->context,
											   "fusio_manifest piece",
											   ALLOCSET_DEFAULT_SIZES);
	if (piece->room < size)
	{
		if (piece->data != NULL)
			pfree(piece->data);
		piece->data = MemoryContextAlloc(ahead->context, size);
		piece->room = size;
	}
	piece->run_no = ahead->frontier_run;
	piece->range.kind = FM_OBJECT_RUN;
	piece->range.id = ahead->runs[ahead->frontier_run].id;
	piece->range.offset = ahead->backward ? ahead->frontier - size :
		ahead->frontier;
	piece->range.length = size;
	piece->range.dest = piece->data;
	piece->range.anew = false;
	piece->range.result = FM_READ_SHORT;
	old = MemoryContextSwitchTo(piece->context);
	piece->pending = fetch->store->ops->start_read(fetch->store,
												   &piece->range, 1);
	MemoryContextSwitchTo(old);
	ahead->npieces++;
	ahead->held += size;
	ahead->frontier = ahead->backward ? piece->range.offset :
		piece_end(piece);
}

/* Bytes of the frontier's run that are not asked for yet. */
static uint64
bytes_left(const FmReadAhead *ahead)
{
	const FmRunDesc *run = &ahead->runs[ahead->frontier_run];

	return ahead->backward ? ahead->frontier - stretch_first(ahead, run) :
		stretch_end(ahead, run) - ahead->frontier;
}

/* Moves the frontier from a run's end to the next run, if there is one. */
static bool
pass_run_end(FmReadAhead *ahead)
{
	const FmRunDesc *run;

	if (ahead->backward ? ahead->frontier_run == 0 :
		ahead->frontier_run + 1 == ahead->nruns)
		return false;
	run = &ahead->runs[ahead->frontier_run + (ahead->backward ? -1 : 1)];
	if (!is_worth_reading(ahead, run))
		return false;
	ahead->frontier_run += ahead->backward ? -1 : 1;
	ahead->frontier = ahead->backward ? stretch_end(ahead, run) :
		stretch_first(ahead, run);
	return true;
}

/* Is all of the range, which is not before the head, held or in flight? */
static bool
is_covered(const FmReadAhead *ahead, uint32 run_no, uint64 offset,
		   uint64 size)
{
	return ahead->frontier_run != run_no ||
		(ahead->backward ? ahead->frontier <= offset :
		 offset + size <= ahead->frontier);
}

/*
 * Starts as many pieces as the window has room for, and those that the range
 * needs.
 */
static void
start_pieces(FmReadAhead *ahead, FmFetch *fetch, uint32 run_no, uint64 offset,
			 uint64 size)
{
	uint64		window = ahead->window;
	int			max_pieces = Min(ahead->max_pieces,
								 fetch->store->options.max_requests + 1);

	/* The piece that the scan is in comes on top, once pieces are whole. */
	if (window >= ahead->piece_size)
		window += ahead->piece_size;
	while (ahead->npieces < max_pieces)
	{
		uint32		piece_size = (uint32) Min(ahead->next_size,
											  Max(ahead->window, size));

		if (is_covered(ahead, run_no, offset, size) &&
			ahead->held + piece_size > window)
			break;
		if (bytes_left(ahead) == 0 && !pass_run_end(ahead))
			break;
		start_piece(ahead, fetch, (uint32) Min(piece_size,
											   bytes_left(ahead)));
		if (ahead->window >= ahead->piece_size)
			ahead->next_size = Min(ahead->next_size * 2, ahead->piece_size);
	}
}

static void
set_frontier(FmReadAhead *ahead, uint32 run_no, uint64 at)
{
	if (ahead->pieces == NULL)
		ahead->pieces = MemoryContextAllocZero(ahead->context,
											   sizeof(Piece) *
											   ahead->max_pieces);
	ahead->frontier_run = run_no;
	ahead->frontier = at;
}

static void
grow(FmReadAhead *ahead)
{
	ahead->window = Min(ahead->window * GROWTH, ahead->most);
}

bool
fm_read_ahead_begin(FmReadAhead *ahead, FmFetch *fetch, const FmRunDesc *run,
					uint64 at)
{
	if (ahead->npieces > 0)
		return true;
	if (!is_worth_reading(ahead, run) || at < stretch_first(ahead, run) ||
		at > stretch_end(ahead, run))
		return false;
	set_frontier(ahead, (uint32) (run - ahead->runs), at);
	grow(ahead);
	start_pieces(ahead, fetch, ahead->frontier_run, at, 0);
	return true;
}

bool
fm_read_ahead_has_begun(FmReadAhead *ahead, FmFetch *fetch)
{
	Piece	   *head;

	if (ahead->npieces == 0)
		return true;
	head = piece_at(ahead, 0);
	return head->pending == NULL ||
		fetch->store->ops->poll_read(head->pending);
}

bool
fm_read_ahead_is_beyond(const FmReadAhead *ahead, const FmRunDesc *run)
{
	return ahead->npieces > 0 &&
		ahead->frontier_run != (uint32) (run - ahead->runs);
}

/* Waits for a piece; false: it could not be read. */
static bool
finish_piece(FmFetch *fetch, Piece *piece)
{
	if (piece->pending != NULL)
	{
		fm_fetch_finish_read(fetch, piece->pending, &piece->range, 1);
		drop_read(piece);
	}
	return piece->range.result == FM_READ_OK;
}

/* The range's bytes of all pieces that have some, put together. */
static const uint8 *
join_pieces(FmReadAhead *ahead, FmFetch *fetch, uint32 run_no, uint64 offset,
			uint64 size)
{
	uint64		left = size;
	int			i;

	if (ahead->cut_room < size)
	{
		if (ahead->cut != NULL)
			pfree(ahead->cut);
		ahead->cut = MemoryContextAllocHuge(ahead->context, size);
		ahead->cut_room = size;
	}
	for (i = 0; i < ahead->npieces && left > 0; i++)
	{
		Piece	   *piece = piece_at(ahead, i);
		uint64		from = Max(offset, piece->range.offset);
		uint64		to = Min(offset + size, piece_end(piece));

		if (piece->run_no != run_no || from >= to)
			continue;
		if (!finish_piece(fetch, piece))
			return NULL;
		memcpy(ahead->cut + (from - offset),
			   piece->data + (from - piece->range.offset), to - from);
		left -= to - from;
	}
	return left == 0 ? ahead->cut : NULL;
}

/*
 * Makes the head the piece where the range begins, and starts what is needed;
 * false if the range is not to be had here.
 */
static bool
aim(FmReadAhead *ahead, FmFetch *fetch, const FmRunDesc *run, uint64 offset,
	uint64 size)
{
	uint32		run_no = (uint32) (run - ahead->runs);
	uint64		first = stretch_first(ahead, run);
	uint64		end = stretch_end(ahead, run);
	uint64		at = ahead->backward ? offset + size : offset;
	bool		moved = false;

	Assert(run_no < ahead->nruns);
	if (size == 0 || end > run->size || offset < first || offset > end ||
		size > end - offset || size > ahead->most / 2)
		return false;

	/* Pieces that the scan has passed, or all if it is elsewhere. */
	while (ahead->npieces > 0)
	{
		Piece	   *head = piece_at(ahead, 0);

		if (head->run_no == run_no &&
			(ahead->backward ?
			 head->range.offset < at && at <= piece_end(head) :
			 head->range.offset <= at && at < piece_end(head)))
			break;
		drop_head(ahead);
		moved = true;
	}
	if (ahead->npieces == 0)
	{
		set_frontier(ahead, run_no, at);
		moved = true;
	}
	if (moved || !is_covered(ahead, run_no, offset, size))
	{
		grow(ahead);
		start_pieces(ahead, fetch, run_no, offset, size);
	}
	return true;
}

bool
fm_read_ahead_has_come(FmReadAhead *ahead, FmFetch *fetch,
					   const FmRunDesc *run, uint64 offset, uint64 size)
{
	uint32		run_no = (uint32) (run - ahead->runs);
	int			i;

	if (!aim(ahead, fetch, run, offset, size))
		return true;
	for (i = 0; i < ahead->npieces; i++)
	{
		Piece	   *piece = piece_at(ahead, i);

		if (piece->pending != NULL && piece->run_no == run_no &&
			piece->range.offset < offset + size &&
			offset < piece_end(piece) &&
			!fetch->store->ops->poll_read(piece->pending))
			return false;
	}
	return true;
}

const uint8 *
fm_read_ahead_find(FmReadAhead *ahead, FmFetch *fetch, const FmRunDesc *run,
				   uint64 offset, uint64 size)
{
	Piece	   *head;

	if (!aim(ahead, fetch, run, offset, size))
		return NULL;
	head = piece_at(ahead, 0);
	if (offset < head->range.offset || offset + size > piece_end(head))
		return join_pieces(ahead, fetch, head->run_no, offset, size);
	return finish_piece(fetch, head) ?
		head->data + (offset - head->range.offset) : NULL;
}
