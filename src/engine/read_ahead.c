/*-------------------------------------------------------------------------
 *
 * read_ahead.c
 *	  Bytes of runs that are on their way while a scan works on others.
 *
 * The pieces that are held or in flight follow each other without a gap, in
 * the scan's direction: from the one that the scan is in, "head", to the
 * frontier, where the next will begin.  Pieces know nothing of blocks; a block
 * that two of them share is put together when it is asked for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "engine/read_ahead.h"

#define PIECE_SIZE (1024 * 1024)	/* at most, of one request */
#define GROWTH 16				/* of what is read ahead, piece by piece */

typedef struct Piece
{
	MemoryContext context;		/* of the read */
	FmPendingRead *pending;		/* NULL: it has ended */
	FmReadRange range;
	uint8	   *data;
	uint32		room;			/* bytes of data */
} Piece;

struct FmReadAhead
{
	MemoryContext context;
	bool		backward;
	uint64		window;			/* bytes to be held or in flight */
	uint64		most;
	uint32		piece_size;
	FmId		run;			/* of the pieces, if there are any */
	uint64		frontier;
	int			head;
	int			npieces;
	int			max_pieces;
	Piece	   *pieces;			/* a ring */
	uint8	   *cut;			/* a block that several pieces share */
	uint64		cut_room;
};

FmReadAhead *
fm_read_ahead_create(bool backward, uint64 first, uint64 most)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "fusio_manifest read-ahead",
												  ALLOCSET_SMALL_SIZES);
	FmReadAhead *ahead = MemoryContextAllocZero(context, sizeof(FmReadAhead));

	ahead->context = context;
	ahead->backward = backward;
	ahead->window = first / GROWTH;
	fm_read_ahead_limit(ahead, most);
	return ahead;
}

void
fm_read_ahead_free(FmReadAhead *ahead)
{
	if (ahead != NULL)
		MemoryContextDelete(ahead->context);
}

/* Before the first call of fm_read_ahead_find. */
void
fm_read_ahead_limit(FmReadAhead *ahead, uint64 most)
{
	Assert(ahead->pieces == NULL);
	ahead->most = most;
	ahead->piece_size = (uint32) Min(PIECE_SIZE, most / 2);
	ahead->max_pieces = (int) (most / ahead->piece_size) + 1;
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
	drop_read(piece_at(ahead, 0));
	ahead->head = (ahead->head + 1) % ahead->max_pieces;
	ahead->npieces--;
}

/* Bytes held or in flight, those of the head's that were passed with them. */
static uint64
bytes_ahead(const FmReadAhead *ahead)
{
	const Piece *head = piece_at(ahead, 0);

	if (ahead->npieces == 0)
		return 0;
	return ahead->backward ? piece_end(head) - ahead->frontier :
		ahead->frontier - head->range.offset;
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
	piece->range.kind = FM_OBJECT_RUN;
	piece->range.id = ahead->run;
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
	ahead->frontier = ahead->backward ? piece->range.offset :
		piece_end(piece);
}

/*
 * Starts as many pieces as the window has room for, and those that the range
 * needs, up to the stretch's end.
 */
static void
start_pieces(FmReadAhead *ahead, FmFetch *fetch, uint64 offset, uint64 size,
			 uint64 first, uint64 end)
{
	uint32		piece_size = (uint32) Min(ahead->piece_size,
										  Max(ahead->window, size));
	uint64		window = ahead->window;
	int			max_pieces = Min(ahead->max_pieces,
								 fetch->store->options.max_requests + 1);

	/* The piece that the scan is in comes on top, once pieces are whole. */
	if (window >= ahead->piece_size)
		window += ahead->piece_size;
	while (ahead->npieces < max_pieces)
	{
		uint64		left = ahead->backward ? ahead->frontier - first :
		end - ahead->frontier;
		bool		covered = ahead->backward ? ahead->frontier <= offset :
		offset + size <= ahead->frontier;

		if (left == 0 ||
			(covered && bytes_ahead(ahead) + piece_size > window))
			break;
		start_piece(ahead, fetch, (uint32) Min(piece_size, left));
	}
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
join_pieces(FmReadAhead *ahead, FmFetch *fetch, uint64 offset, uint64 size)
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

		if (from >= to)
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
	bool		index = offset >= run->meta_offset;
	uint64		first = index ? run->meta_offset : 0;
	uint64		end = index ? run->tail_offset : run->meta_offset;
	uint64		at = ahead->backward ? offset + size : offset;
	bool		moved = false;
	Piece	   *head;

	if (size == 0 || end > run->size || offset > end ||
		size > end - offset || size > ahead->most / 2)
		return false;
	if (ahead->pieces == NULL)
		ahead->pieces = MemoryContextAllocZero(ahead->context,
											   sizeof(Piece) *
											   ahead->max_pieces);

	/* Pieces that the scan has passed, or all if it is elsewhere. */
	while (ahead->npieces > 0)
	{
		head = piece_at(ahead, 0);
		if (fm_id_eq(&ahead->run, &run->id) &&
			(ahead->backward ?
			 head->range.offset < at && at <= piece_end(head) :
			 head->range.offset <= at && at < piece_end(head)))
			break;
		drop_head(ahead);
		moved = true;
	}
	if (ahead->npieces == 0)
	{
		ahead->run = run->id;
		ahead->frontier = at;
		moved = true;
	}
	if (moved || (ahead->backward ? offset < ahead->frontier :
				  offset + size > ahead->frontier))
	{
		ahead->window = Min(ahead->window * GROWTH, ahead->most);
		start_pieces(ahead, fetch, offset, size, first, end);
	}
	return true;
}

bool
fm_read_ahead_has_come(FmReadAhead *ahead, FmFetch *fetch,
					   const FmRunDesc *run, uint64 offset, uint64 size)
{
	int			i;

	if (!aim(ahead, fetch, run, offset, size))
		return true;
	for (i = 0; i < ahead->npieces; i++)
	{
		Piece	   *piece = piece_at(ahead, i);

		if (piece->pending != NULL && piece->range.offset < offset + size &&
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
		return join_pieces(ahead, fetch, offset, size);
	return finish_piece(fetch, head) ?
		head->data + (offset - head->range.offset) : NULL;
}
