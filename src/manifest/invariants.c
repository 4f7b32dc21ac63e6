/*-------------------------------------------------------------------------
 *
 * invariants.c
 *	  What must hold of a HEAD before it is published, each by its name.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "manifest/invariants.h"

const char *
fm_invariant_level(const FmRunDesc *runs, uint32 n, bool level0)
{
	uint32		i;

	for (i = 1; i < n; i++)
	{
		const FmRunDesc *a = &runs[i - 1];
		const FmRunDesc *b = &runs[i];

		if (level0)
		{
			if (a->max_version < b->max_version ||
				(a->max_version == b->max_version &&
				 a->sequence < b->sequence))
				return "runs of level 0 are not in order of commits";
		}
		else if (fm_slice_cmp(a->upper, b->lower) >= 0)
			return "runs of a level overlap or are out of order";
	}
	return NULL;
}

const char *
fm_invariant_table(const FmTable *table)
{
	const char *problem = NULL;
	uint32		l;

	for (l = 0; l < table->nlevels && problem == NULL; l++)
	{
		const FmLevel *level = &table->levels[l];

		problem = fm_invariant_level(level->runs,
									 level->resolved ? level->nruns :
									 level->ninline, l == 0);
	}
	return problem;
}

static bool
is_input(const FmCompactionCommit *compaction, const FmId *id)
{
	uint32		i;

	for (i = 0; i < compaction->ninputs; i++)
	{
		if (fm_id_eq(&compaction->inputs[i]->id, id))
			return true;
	}
	return false;
}

static bool
runs_overlap(const FmRunDesc *a, const FmRunDesc *b)
{
	return fm_slice_cmp(a->lower, b->upper) <= 0 &&
		fm_slice_cmp(b->lower, a->upper) <= 0;
}

/*
 * A run that stays, at (level, place), and is at or above the output's level,
 * where the output would be read after it.  Is it older than an input whose
 * keys it may hold?  Those at the output's level itself are left to the
 * disjointness of that level.
 */
static bool
is_passed(const FmTable *table, const FmCompactionCommit *compaction,
		  uint32 level, uint32 place)
{
	const FmRunDesc *stays = &table->levels[level].runs[place];
	uint32		l;
	uint32		i;

	for (l = 0; l <= level; l++)
	{
		for (i = 0; i < table->levels[l].nruns; i++)
		{
			const FmRunDesc *run = &table->levels[l].runs[i];

			if (l == level && (l > 0 || i >= place))
				break;
			if (runs_overlap(run, stays) && is_input(compaction, &run->id))
				return true;
		}
	}
	return false;
}

const char *
fm_invariant_inputs(const FmTable *table, const FmCompactionCommit *compaction)
{
	uint32		listed = 0;
	uint32		l;
	uint32		i;

	for (l = 0; l < table->nlevels; l++)
	{
		const FmLevel *level = &table->levels[l];

		for (i = 0; i < level->nruns; i++)
		{
			if (is_input(compaction, &level->runs[i].id))
			{
				if (l > compaction->level_out)
					return "an input lies below the output";
				listed++;
			}
			else if (l < compaction->level_out &&
					 is_passed(table, compaction, l, i))
				return "inputs no longer stand together";
		}
	}
	return listed == compaction->ninputs ? NULL :
		"an input is no longer listed";
}

const char *
fm_invariant_sums(const FmCompactionCommit *compaction)
{
	FmSum128	in = {0, 0};
	FmSum128	out = compaction->dropped_sum;
	uint64		rows_in = 0;
	uint64		rows_out = compaction->dropped;
	uint32		i;

	for (i = 0; i < compaction->ninputs; i++)
	{
		const FmRunDesc *run = compaction->inputs[i];

		in = fm_sum128_add(in, run->row_sum);
		rows_in += run->rows + run->tombstones;
	}
	for (i = 0; i < compaction->noutputs; i++)
	{
		const FmRunDesc *run = &compaction->outputs[i];

		out = fm_sum128_add(out, run->row_sum);
		rows_out += run->rows + run->tombstones;
	}
	if (rows_in != rows_out)
		return "rows in and rows out differ";
	if (!fm_sum128_eq(in, out))
		return "row sums in and out differ";
	return NULL;
}
