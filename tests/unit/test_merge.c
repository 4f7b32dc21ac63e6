/*-------------------------------------------------------------------------
 *
 * test_merge.c
 *	  Merges of random sources against sorting, both ways.
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"

#include "format/merge.h"

#define MAX_SOURCES 12
#define MAX_ENTRIES 60
#define KEY_SPACE 100

/* A source over an array of keys below KEY_SPACE, ascending. */
typedef struct ArraySource
{
	FmMergeSource source;		/* first: the merge hands it back */
	int			rank;
	bool		backward;
	int			n;
	int			at;
	int			fail_at;		/* call of next that fails, or -1 */
	int			calls;
	uint8_t		keys[MAX_ENTRIES][2];
} ArraySource;

static uint64_t seed = 11;
static int	losers;
static int	last_loser_key;

static void
show(ArraySource *s)
{
	s->source.entry.valid = s->at >= 0 && s->at < s->n;
	if (s->source.entry.valid)
		s->source.entry.key = fm_slice(s->keys[s->at], 2);
}

static FmStatus
array_next(FmMergeSource *source)
{
	ArraySource *s = (ArraySource *) source;

	if (s->calls++ == s->fail_at)
		return FM_CORRUPTION;
	s->at += s->backward ? -1 : 1;
	show(s);
	return FM_OK;
}

static void
make_source(ArraySource *s, int rank, bool backward)
{
	int			density = (int) (unit_random(&seed) % 3);
	int			k;

	memset(s, 0, sizeof(*s));
	s->source.next = array_next;
	s->rank = rank;
	s->backward = backward;
	s->fail_at = -1;
	for (k = 0; k < KEY_SPACE && s->n < MAX_ENTRIES; k++)
		if (unit_random(&seed) % 4 < (unsigned) density)
		{
			s->keys[s->n][0] = 'k';
			s->keys[s->n++][1] = (uint8_t) k;
		}
	s->at = backward ? s->n - 1 : 0;
	show(s);
}

static void
count_loser(void *arg, const FmMergeEntry *loser)
{
	(void) arg;
	losers++;
	last_loser_key = loser->key.data[1];
}

static void
merge_once(int n, bool backward)
{
	static ArraySource arrays[MAX_SOURCES];
	FmMergeSource *sources[MAX_SOURCES];
	int			owner[KEY_SPACE];
	int			total = 0;
	int			shown = 0;
	int			k;
	int			i;
	int			j;
	FmMergeSource *winner;
	FmMerge    *merge;

	for (k = 0; k < KEY_SPACE; k++)
		owner[k] = -1;
	for (i = n - 1; i >= 0; i--)
	{
		make_source(&arrays[i], i, backward);
		sources[i] = &arrays[i].source;
		for (j = 0; j < arrays[i].n; j++, total++)
			owner[arrays[i].keys[j][1]] = i;
	}
	losers = 0;
	CHECK(fm_merge_create(sources, n, backward, &fm_alloc_malloc,
						  &merge) == FM_OK);
	fm_merge_on_loser(merge, count_loser, NULL);
	for (k = backward ? KEY_SPACE - 1 : 0; k >= 0 && k < KEY_SPACE;
		 k += backward ? -1 : 1)
	{
		if (owner[k] < 0)
			continue;
		CHECK(fm_merge_next(merge, &winner) == FM_OK);
		CHECK(winner != NULL);
		if (winner == NULL)
			break;
		CHECK(((ArraySource *) winner)->rank == owner[k]);
		CHECK(winner->entry.key.data[1] == k);
		shown++;
	}
	CHECK(fm_merge_next(merge, &winner) == FM_OK && winner == NULL);
	CHECK(fm_merge_next(merge, &winner) == FM_OK && winner == NULL);
	CHECK(shown + losers == total);
	fm_merge_free(merge);
}

static void
test_random(void)
{
	int			round;

	for (round = 0; round < 3000; round++)
		merge_once(round % (MAX_SOURCES + 1), round % 2 == 1);
}

/* A source that fails: its status comes out, and nothing is leaked. */
static void
test_failure(void)
{
	static ArraySource arrays[3];
	FmMergeSource *sources[3];
	FmMergeSource *winner;
	FmMerge    *merge;
	FmStatus	status;
	int			fail_at;
	int			i;

	for (fail_at = 0; fail_at < 10; fail_at++)
	{
		for (i = 0; i < 3; i++)
		{
			do
				make_source(&arrays[i], i, false);
			while (arrays[i].n < 20);
			sources[i] = &arrays[i].source;
		}
		arrays[1].fail_at = fail_at;
		CHECK(fm_merge_create(sources, 3, false, &fm_alloc_malloc,
							  &merge) == FM_OK);
		do
			status = fm_merge_next(merge, &winner);
		while (status == FM_OK && winner != NULL);
		CHECK(status == FM_CORRUPTION && winner == NULL);
		CHECK(arrays[1].calls == fail_at + 1);
		fm_merge_free(merge);
	}
}

int
main(void)
{
	RUN(test_random);
	RUN(test_failure);
	return unit_finish();
}
