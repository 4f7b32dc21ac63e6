/*-------------------------------------------------------------------------
 *
 * analyze.c
 *	  Samples for ANALYZE.
 *
 * Blocks are chosen at random, up to a number, and of the keys in their
 * ranges the live rows are read, from all runs: a version that is shadowed is
 * never sampled.  Of these, rows are kept as Vitter's algorithm says.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "commands/vacuum.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/sampling.h"

#include "compat.h"
#include "engine/range_scan.h"
#include "engine/sample.h"
#include "engine/xact.h"
#include "fdw/fdw.h"
#include "fdw/table.h"

typedef struct Sample
{
	FmOpenTable *open;
	FmFetch		fetch;
	FmStats		stats;
	FmTupleProjection *projection;
	TupleDesc	desc;
	Datum	   *values;
	bool	   *nulls;
	HeapTuple  *rows;
	double	   *places;			/* in key order, of each row */
	int			target;
	int			nrows;			/* in rows */
	double		seen;
	double		to_skip;
	ReservoirStateData reservoir;
	MemoryContext row_context;
} Sample;

/* Where the next row of the sample goes; -1: it is passed over. */
static int
next_place(Sample *sample)
{
	sample->seen++;
	if (sample->nrows < sample->target)
		return sample->nrows++;
	if (sample->to_skip < 0)
		sample->to_skip = reservoir_get_next_S(&sample->reservoir,
											   sample->seen - 1,
											   sample->target);
	if (sample->to_skip-- > 0)
		return -1;
	return (int) (sample->target *
				  sampler_random_fract(&sample->reservoir.randstate));
}

static void
sample_range(Sample *sample, const FmKeyRange *range)
{
	FmTableWrites *writes = fm_open_table_writes(sample->open);
	FmBufferScan *own = NULL;
	FmRangeScan *scan;
	FmSlice		key;
	FmSlice		row;

	if (writes != NULL)
		own = fm_buffer_scan_begin(writes->buffer, range->lower, range->upper,
								   false, GetCurrentCommandId(false), false);
	scan = fm_range_scan_begin(&sample->fetch, sample->open->table,
							   range->lower, range->upper, false,
							   own != NULL ? fm_buffer_scan_source(own) :
							   NULL);
	while (fm_range_scan_next(scan, &key, &row))
	{
		int			place = next_place(sample);

		if (place < 0)
			continue;
		memset(sample->nulls, true, sizeof(bool) * sample->desc->natts);
		fm_tuple_decode(sample->projection, key, row, sample->values,
						sample->nulls, sample->row_context);
		if (sample->rows[place] != NULL)
			heap_freetuple(sample->rows[place]);
		sample->places[place] = sample->seen;
		sample->rows[place] = heap_form_tuple(sample->desc, sample->values,
											  sample->nulls);
		MemoryContextReset(sample->row_context);
		fm_analyze_delay_point();
	}
	fm_range_scan_end(scan);
	if (own != NULL)
		fm_buffer_scan_end(own);
}

typedef struct PlacedRow
{
	double		place;
	HeapTuple	row;
} PlacedRow;

static int
compare_places(const void *a, const void *b)
{
	double		x = ((const PlacedRow *) a)->place;
	double		y = ((const PlacedRow *) b)->place;

	return x < y ? -1 : x > y;
}

/* Correlation is with the order of rows, which here is that of keys. */
static void
sort_rows(Sample *sample)
{
	PlacedRow  *placed = palloc(sizeof(PlacedRow) * Max(sample->nrows, 1));
	int			i;

	for (i = 0; i < sample->nrows; i++)
	{
		placed[i].place = sample->places[i];
		placed[i].row = sample->rows[i];
	}
	qsort(placed, sample->nrows, sizeof(PlacedRow), compare_places);
	for (i = 0; i < sample->nrows; i++)
		sample->rows[i] = placed[i].row;
	pfree(placed);
}

static int
acquire_rows(Relation rel, int elevel, HeapTuple *rows, int target,
			 double *total, double *dead)
{
	FmKeyRange	everything = {{NULL, 0}, {NULL, 0}};
	FmKeyRange *ranges = &everything;
	uint32		nranges = 1;
	uint64		nblocks;
	FmTableSize size;
	bool		all;
	Sample		sample;
	uint32		i;

	memset(&sample, 0, sizeof(sample));
	memset(rows, 0, sizeof(HeapTuple) * target);
	sample.open = fm_open_table(rel, rel->rd_rel->relowner, FM_OPEN_READ);
	sample.fetch.store = sample.open->store;
	sample.fetch.codec = sample.open->codec;
	sample.fetch.stats = &sample.stats;
	sample.fetch.version = sample.open->version;
	sample.desc = RelationGetDescr(rel);
	sample.values = palloc0(sizeof(Datum) * sample.desc->natts);
	sample.nulls = palloc(sizeof(bool) * sample.desc->natts);
	sample.rows = rows;
	sample.places = palloc(sizeof(double) * target);
	sample.target = target;
	sample.to_skip = -1;
	sample.projection = fm_tuple_projection_create(sample.open->codec, NULL,
												   CurrentMemoryContext);
	sample.row_context = AllocSetContextCreate(CurrentMemoryContext,
											   "fusio_manifest row",
											   ALLOCSET_DEFAULT_SIZES);
	reservoir_init_selection_state(&sample.reservoir, target);

	nblocks = fm_table_blocks(sample.open->table);
	all = nblocks <= (uint64) sample.open->options->analyze_blocks;
	if (!all)
		nranges = fm_sample_blocks(&sample.fetch, sample.open->table,
								   sample.open->options->analyze_blocks,
								   &ranges);
	for (i = 0; i < nranges; i++)
		sample_range(&sample, &ranges[i]);
	sort_rows(&sample);

	*dead = 0;
	fm_table_size(sample.open, &size);
	*total = all ? sample.seen : size.rows;
	ereport(elevel,
			(errmsg("\"%s\": table has %llu data blocks; sampled %u ranges of keys with %.0f rows, of which %d are kept; %.0f rows are estimated",
					RelationGetRelationName(rel), (unsigned long long) nblocks,
					nranges, sample.seen, sample.nrows, *total)));
	fm_stat_flush(RelationGetRelid(rel), &sample.stats);
	fm_close_table(sample.open);
	return sample.nrows;
}

/* A table that the store lacks does not end an ANALYZE of all tables. */
bool
fmAnalyzeForeignTable(Relation rel, AcquireSampleRowsFunc *func,
					  BlockNumber *pages)
{
	FmOpenTable *open = fm_open_table(rel, rel->rd_rel->relowner, FM_OPEN_PLAN);
	FmTableSize size;
	bool		exists = open->table != NULL || open->writes != NULL;

	fm_table_size(open, &size);
	fm_close_table(open);
	*func = acquire_rows;
	*pages = fm_size_pages(&size);
	return exists;
}
