/*-------------------------------------------------------------------------
 *
 * merge.c
 *	  k-way merge of sorted sources, newest first.
 *
 * The source shown last stays out of the heap until the next call, since the
 * caller reads its entry: it then moves, and while it still is the first of
 * all, as is usual, the heap is only looked at.
 *
 *-------------------------------------------------------------------------
 */
#include "format/merge.h"

typedef struct MergeItem
{
	FmMergeSource *source;
	int			rank;
} MergeItem;

struct FmMerge
{
	const FmAlloc *alloc;
	bool		backward;
	void		(*on_loser) (void *arg, const FmMergeEntry *loser);
	void	   *on_loser_arg;
	MergeItem	shown;			/* source is NULL: none */
	int			nheap;
	MergeItem	heap[];			/* the first in the merge's order on top */
};

/* Order of two keys in the merge's direction. */
static inline int
compare_keys(const FmMerge *merge, const MergeItem *a, const MergeItem *b)
{
	int			c = fm_slice_cmp(a->source->entry.key, b->source->entry.key);

	return merge->backward ? -c : c;
}

static inline bool
comes_before(const FmMerge *merge, const MergeItem *a, const MergeItem *b)
{
	int			c = compare_keys(merge, a, b);

	return c < 0 || (c == 0 && a->rank < b->rank);
}

/* Puts "item" at place i of the heap, or below it. */
static void
sift_down(FmMerge *merge, int i, MergeItem item)
{
	int			child;

	while ((child = 2 * i + 1) < merge->nheap)
	{
		if (child + 1 < merge->nheap &&
			comes_before(merge, &merge->heap[child + 1], &merge->heap[child]))
			child++;
		if (!comes_before(merge, &merge->heap[child], &item))
			break;
		merge->heap[i] = merge->heap[child];
		i = child;
	}
	merge->heap[i] = item;
}

/* Takes the first item out of the heap. */
static MergeItem
pop(FmMerge *merge)
{
	MergeItem	first = merge->heap[0];

	if (--merge->nheap > 0)
		sift_down(merge, 0, merge->heap[merge->nheap]);
	return first;
}

FmStatus
fm_merge_create(FmMergeSource *const *sources, int n, bool backward,
				const FmAlloc *alloc, FmMerge **merge)
{
	FmMerge    *m;
	int			i;

	m = fm_alloc(alloc, sizeof(FmMerge) + sizeof(MergeItem) * (size_t) n);
	if (m == NULL)
		return FM_NO_MEMORY;
	m->alloc = alloc;
	m->backward = backward;
	m->on_loser = NULL;
	m->on_loser_arg = NULL;
	m->shown.source = NULL;
	m->shown.rank = 0;
	m->nheap = 0;
	for (i = 0; i < n; i++)
	{
		if (!sources[i]->entry.valid)
			continue;
		m->heap[m->nheap].source = sources[i];
		m->heap[m->nheap++].rank = i;
	}
	for (i = m->nheap / 2; i-- > 0;)
		sift_down(m, i, m->heap[i]);
	*merge = m;
	return FM_OK;
}

void
fm_merge_on_loser(FmMerge *merge,
				  void (*on_loser) (void *arg, const FmMergeEntry *loser),
				  void *arg)
{
	merge->on_loser = on_loser;
	merge->on_loser_arg = arg;
}

FmStatus
fm_merge_next(FmMerge *merge, FmMergeSource **winner)
{
	FmMergeSource *source;
	FmStatus	status;

	*winner = NULL;
	if (merge->shown.source != NULL)
	{
		/* Pass over what the entry shown last hides. */
		while (merge->nheap > 0 &&
			   compare_keys(merge, &merge->heap[0], &merge->shown) == 0)
		{
			source = merge->heap[0].source;
			if (merge->on_loser != NULL)
				merge->on_loser(merge->on_loser_arg, &source->entry);
			status = source->next(source);
			if (status != FM_OK)
				return status;
			if (source->entry.valid)
				sift_down(merge, 0, merge->heap[0]);
			else
				(void) pop(merge);
		}
		source = merge->shown.source;
		status = source->next(source);
		if (status != FM_OK)
			return status;
		if (!source->entry.valid)
			merge->shown.source = NULL;
	}
	if (merge->shown.source == NULL)
	{
		if (merge->nheap == 0)
			return FM_OK;
		merge->shown = pop(merge);
	}
	else if (merge->nheap > 0 &&
			 comes_before(merge, &merge->heap[0], &merge->shown))
	{
		MergeItem	moved = merge->shown;

		merge->shown = merge->heap[0];
		sift_down(merge, 0, moved);
	}
	*winner = merge->shown.source;
	return FM_OK;
}

void
fm_merge_free(FmMerge *merge)
{
	if (merge != NULL)
		fm_free(merge->alloc, merge);
}
