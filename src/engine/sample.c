/*-------------------------------------------------------------------------
 *
 * sample.c
 *	  Ranges of keys, chosen by where blocks of a table begin and end.
 *
 * A separator s stands between a block's last key and the next one's first:
 * last <= s < first.  The string after s, which is s and a zero, is where the
 * next block's range begins.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "miscadmin.h"

#include "engine/sample.h"
#include "format/index.h"

/* A block, by its run's place in read order and its number in the run. */
typedef struct BlockChoice
{
	const FmRunDesc *run;
	uint64		block;
} BlockChoice;

uint64
fm_table_blocks(const FmTable *table)
{
	uint64		n = 0;
	uint32		l;
	uint32		i;

	for (l = 0; l < table->nlevels; l++)
	{
		for (i = 0; i < table->levels[l].nruns; i++)
			n += table->levels[l].runs[i].nblocks;
	}
	return n;
}

static FmSlice
string_after(FmSlice s)
{
	uint8	   *copy = palloc(s.len + 1);

	if (s.len > 0)
		memcpy(copy, s.data, s.len);
	copy[s.len] = 0;
	return fm_slice(copy, s.len + 1);
}

/* Separators are kept in parts; this joins them. */
static FmSlice
separator(const FmKeyTable *table, uint32 i)
{
	uint8	   *copy = palloc(table->prefix_len +
							  fm_key_table_suffix(table, i).len + 1);

	return fm_slice(copy, fm_key_table_key(table, i, copy));
}

static int
compare_choices(const void *a, const void *b)
{
	const BlockChoice *x = a;
	const BlockChoice *y = b;

	if (x->run != y->run)
		return x->run < y->run ? -1 : 1;
	return x->block < y->block ? -1 : x->block > y->block;
}

/* The block of that number, counted over all runs in read order. */
static BlockChoice
block_number(const FmTable *table, uint64 number)
{
	BlockChoice choice = {NULL, 0};
	uint32		l;
	uint32		i;

	for (l = 0; l < table->nlevels; l++)
	{
		for (i = 0; i < table->levels[l].nruns; i++)
		{
			const FmRunDesc *run = &table->levels[l].runs[i];

			if (number < run->nblocks)
			{
				choice.run = run;
				choice.block = number;
				return choice;
			}
			number -= run->nblocks;
		}
	}
	return choice;
}

/* n blocks of the table, with repetitions, in order of runs and blocks. */
static BlockChoice *
choose_blocks(const FmTable *table, uint32 n)
{
	BlockChoice *choices = palloc(sizeof(BlockChoice) * n);
	uint64		total = fm_table_blocks(table);
	uint32		c;

	for (c = 0; c < n; c++)
		choices[c] = block_number(table,
								  pg_prng_uint64_range(&pg_global_prng_state,
													   0, total - 1));
	qsort(choices, n, sizeof(BlockChoice), compare_choices);
	return choices;
}

/*
 * Finds the partition that holds a block, whose number becomes that in the
 * partition; false if the run has no such block.
 */
static bool
find_partition(const FmTopIndex *top, uint64 *number, FmTopEntry *entry,
			   uint32 *partition_no)
{
	uint32		p;

	for (p = 0; p < top->npartitions; p++)
	{
		fm_top_index_entry(top, p, entry);
		if (*number < entry->nblocks)
		{
			*partition_no = p;
			return true;
		}
		*number -= entry->nblocks;
	}
	return false;
}

/* The range of a block; false if the run has no such block. */
static bool
block_range(FmFetch *fetch, const BlockChoice *choice, FmKeyRange *range)
{
	uint64		number = choice->block;
	FmCachePin	top_pin;
	FmCachePin	partition_pin;
	FmTopIndex	top;
	FmTopEntry	entry;
	FmPartition partition;
	uint32		p;
	bool		found;

	memset(&top_pin, 0, sizeof(top_pin));
	memset(&partition_pin, 0, sizeof(partition_pin));
	fm_fetch_top(fetch, choice->run, &top_pin);
	fm_top_index_open(fm_slice(top_pin.data, top_pin.size), &top);
	found = find_partition(&top, &number, &entry, &p);
	if (found)
	{
		fm_fetch_block(fetch, choice->run, FM_BLOCK_PARTITION, entry.handle,
					   NULL, &partition_pin);
		fm_partition_open(fm_slice(partition_pin.data, partition_pin.size),
						  &partition);
		found = number < partition.nblocks;
	}
	if (found)
	{
		if (number > 0)
			range->lower = string_after(separator(&partition.separators,
												  (uint32) number - 1));
		else if (p > 0)
			range->lower = string_after(separator(&top.separators, p - 1));
		else
			range->lower = fm_slice(NULL, 0);
		range->upper = string_after(separator(&partition.separators,
											  (uint32) number));
	}
	fm_cache_release(&partition_pin);
	fm_cache_release(&top_pin);
	return found;
}

/* Is a block in the cache, with the index above it? */
static bool
block_is_cached(FmFetch *fetch, const BlockChoice *choice)
{
	const FmRunDesc *run = choice->run;
	uint64		number = choice->block;
	FmCachePin	pin;
	FmTopIndex	top;
	FmTopEntry	entry;
	FmPartition partition;
	uint32		p;
	bool		found;

	if (!fm_fetch_is_cached(run, run->tail_offset))
		return false;
	memset(&pin, 0, sizeof(pin));
	fm_fetch_top(fetch, run, &pin);
	fm_top_index_open(fm_slice(pin.data, pin.size), &top);
	found = find_partition(&top, &number, &entry, &p) &&
		fm_fetch_is_cached(run, entry.handle.offset);
	fm_cache_release(&pin);
	if (!found)
		return false;
	memset(&pin, 0, sizeof(pin));
	fm_fetch_block(fetch, run, FM_BLOCK_PARTITION, entry.handle, NULL, &pin);
	fm_partition_open(fm_slice(pin.data, pin.size), &partition);
	found = number < partition.nblocks &&
		fm_fetch_is_cached(run, fm_partition_block(&partition,
												   (uint32) number).offset);
	fm_cache_release(&pin);
	return found;
}

double
fm_cached_part(FmFetch *fetch, const FmTable *table, uint32 n)
{
	uint64		total = fm_table_blocks(table);
	uint32		cached = 0;
	uint32		i;

	n = (uint32) Min(n, total);
	for (i = 0; i < n; i++)
	{
		BlockChoice choice = block_number(table, (total * (2 * i + 1)) /
										  (2 * n));

		cached += choice.run != NULL && block_is_cached(fetch, &choice);
	}
	return n == 0 ? 1 : (double) cached / n;
}

static int
compare_ranges(const void *a, const void *b)
{
	return fm_slice_cmp(((const FmKeyRange *) a)->lower,
						((const FmKeyRange *) b)->lower);
}

uint32
fm_sample_blocks(FmFetch *fetch, const FmTable *table, uint32 n,
				 FmKeyRange **result)
{
	BlockChoice *choices = choose_blocks(table, n);
	FmKeyRange *ranges = palloc(sizeof(FmKeyRange) * n);
	uint32		nranges = 0;
	uint32		kept = 0;
	uint32		i;

	for (i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if ((i == 0 || compare_choices(&choices[i - 1], &choices[i]) != 0) &&
			block_range(fetch, &choices[i], &ranges[nranges]))
			nranges++;
	}
	qsort(ranges, nranges, sizeof(FmKeyRange), compare_ranges);

	/* Ranges of different runs may overlap: the later begins later. */
	for (i = 0; i < nranges; i++)
	{
		FmKeyRange	range = ranges[i];

		if (kept > 0 && fm_slice_cmp(range.lower, ranges[kept - 1].upper) < 0)
			range.lower = ranges[kept - 1].upper;
		if (fm_slice_cmp(range.lower, range.upper) < 0)
			ranges[kept++] = range;
	}
	pfree(choices);
	*result = ranges;
	return kept;
}

static const FmLevel *
largest_level(const FmTable *table)
{
	const FmLevel *largest = NULL;
	uint64		most = 0;
	uint32		l;
	uint32		i;

	for (l = 1; l < table->nlevels; l++)
	{
		uint64		blocks = 0;

		for (i = 0; i < table->levels[l].nruns; i++)
			blocks += table->levels[l].runs[i].nblocks;
		if (blocks > most)
		{
			most = blocks;
			largest = &table->levels[l];
		}
	}
	return largest;
}

/* Appends the ends of a run's partitions to bounds, which has room. */
static uint32
partition_ends(FmFetch *fetch, const FmRunDesc *run, FmSlice **bounds,
			   uint32 n)
{
	FmCachePin	pin;
	FmTopIndex	top;
	uint32		p;

	memset(&pin, 0, sizeof(pin));
	fm_fetch_top(fetch, run, &pin);
	fm_top_index_open(fm_slice(pin.data, pin.size), &top);
	*bounds = *bounds == NULL ? palloc(sizeof(FmSlice) * top.npartitions) :
		repalloc_huge(*bounds, sizeof(FmSlice) * (n + top.npartitions));
	for (p = 0; p < top.npartitions; p++)
		(*bounds)[n++] = string_after(separator(&top.separators, p));
	fm_cache_release(&pin);
	return n;
}

uint32
fm_split_table(FmFetch *fetch, const FmTable *table, FmKeyRange **result)
{
	const FmLevel *level = largest_level(table);
	FmSlice    *bounds = NULL;
	FmKeyRange *ranges;
	uint32		nbounds = 0;
	uint32		i;

	/* Runs of level 0 overlap: the largest of them alone. */
	if (level == NULL && table->nlevels > 0)
	{
		const FmRunDesc *largest = NULL;

		for (i = 0; i < table->levels[0].nruns; i++)
		{
			const FmRunDesc *run = &table->levels[0].runs[i];

			if (largest == NULL || run->nblocks > largest->nblocks)
				largest = run;
		}
		if (largest != NULL)
			nbounds = partition_ends(fetch, largest, &bounds, 0);
	}
	for (i = 0; level != NULL && i < level->nruns; i++)
		nbounds = partition_ends(fetch, &level->runs[i], &bounds, nbounds);

	ranges = palloc(sizeof(FmKeyRange) * (nbounds + 1));
	for (i = 0; i <= nbounds; i++)
	{
		ranges[i].lower = i > 0 ? bounds[i - 1] : fm_slice(NULL, 0);
		ranges[i].upper = i < nbounds ? bounds[i] : fm_slice(NULL, 0);
	}
	*result = ranges;
	return nbounds + 1;
}
