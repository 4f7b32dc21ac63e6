/*-------------------------------------------------------------------------
 *
 * read_set.c
 *	  What a SERIALIZABLE transaction has read of a table.
 *
 * Optimistic validation by read set (Kung and Robinson, 1981): commits are
 * serializable in the order of their versions if none has read, in an older
 * version, what a commit since then has written.  A key that was not there
 * and a range are read too, so that there are no phantoms.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/ilist.h"
#include "utils/memutils.h"

#include "engine/lookup.h"
#include "engine/read_set.h"
#include "engine/run_scan.h"
#include "objstore/pg_alloc.h"
#include "objstore/pg_status.h"

#define MAX_KEYS 10000
#define MAX_RANGES 100

typedef struct ReadKey
{
	FmSlice		key;
	uint64		hash;
	char		status;			/* of simplehash */
} ReadKey;

#define SH_PREFIX fm_read_keys
#define SH_ELEMENT_TYPE ReadKey
#define SH_KEY_TYPE FmSlice
#define SH_KEY key
#define SH_HASH_KEY(tb, k) ((uint32) fm_key_hash(k))
#define SH_EQUAL(tb, a, b) fm_slice_eq(a, b)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct ReadRange
{
	FmSlice		lower;
	FmSlice		upper;			/* exclusive; empty: unbounded */
} ReadRange;

/* A scan that has not ended, or was left by an error. */
struct FmReadProgress
{
	FmReadSet  *set;
	ReadRange	all;
	bool		backward;
	bool		begun;			/* it has come to a key */
	FmAlloc		alloc;
	FmBuf		reached;		/* that key; forward: the string after it */
	dlist_node	node;
};

struct FmReadSet
{
	FmStore    *store;
	MemoryContext context;
	MemoryContext key_context;	/* of the keys' bytes */
	fm_read_keys_hash *keys;
	FmSlice		least;			/* of the keys */
	FmSlice		greatest;
	dlist_head	open;			/* FmReadProgress */
	int			nranges;
	ReadRange	ranges[MAX_RANGES];
};

static const FmSlice no_bound = {NULL, 0};

FmReadSet *
fm_read_set_create(MemoryContext parent, FmStore *store)
{
	MemoryContext context = AllocSetContextCreate(parent,
												  "fusio_manifest read set",
												  ALLOCSET_SMALL_SIZES);
	FmReadSet  *set = MemoryContextAllocZero(context, sizeof(FmReadSet));

	set->store = store;
	set->context = context;
	set->key_context = AllocSetContextCreate(context,
											 "fusio_manifest read keys",
											 ALLOCSET_SMALL_SIZES);
	dlist_init(&set->open);
	set->keys = fm_read_keys_create(context, 64, NULL);
	return set;
}

/* A copy; never NULL, so that it can be freed. */
static FmSlice
keep(MemoryContext context, FmSlice s)
{
	uint8	   *copy = MemoryContextAlloc(context, s.len + 1);

	if (s.len > 0)
		memcpy(copy, s.data, s.len);
	return fm_slice(copy, s.len);
}

static void
free_range(ReadRange *range)
{
	pfree(unconstify(uint8 *, range->lower.data));
	pfree(unconstify(uint8 *, range->upper.data));
}

static bool
reaches(FmSlice upper, FmSlice other)
{
	return upper.len == 0 ||
		(other.len > 0 && fm_slice_cmp(upper, other) >= 0);
}

/* One range over all. */
static void
coarsen_ranges(FmReadSet *set)
{
	ReadRange  *hull = &set->ranges[0];
	ReadRange	other;
	int			i;

	for (i = 1; i < set->nranges; i++)
	{
		other = set->ranges[i];
		if (fm_slice_cmp(other.lower, hull->lower) < 0)
		{
			set->ranges[i].lower = hull->lower;
			hull->lower = other.lower;
		}
		if (reaches(other.upper, hull->upper))
		{
			set->ranges[i].upper = hull->upper;
			hull->upper = other.upper;
		}
		free_range(&set->ranges[i]);
	}
	set->nranges = 1;
}

static void
add_range(FmReadSet *set, FmSlice lower, FmSlice upper)
{
	int			i;

	for (i = 0; i < set->nranges; i++)
	{
		if (fm_slice_cmp(set->ranges[i].lower, lower) <= 0 &&
			reaches(set->ranges[i].upper, upper))
			return;
	}
	if (set->nranges == MAX_RANGES)
		coarsen_ranges(set);
	set->ranges[set->nranges].lower = keep(set->context, lower);
	set->ranges[set->nranges].upper = keep(set->context, upper);
	set->nranges++;
}

FmReadProgress *
fm_read_set_begin(FmReadSet *set, FmSlice lower, FmSlice upper,
				  bool backward)
{
	FmReadProgress *range = MemoryContextAllocZero(set->context,
												   sizeof(FmReadProgress));

	range->set = set;
	range->all.lower = keep(set->context, lower);
	range->all.upper = keep(set->context, upper);
	range->backward = backward;
	range->alloc = fm_palloc_alloc(set->context);
	fm_buf_init(&range->reached, &range->alloc);
	dlist_push_tail(&set->open, &range->node);
	return range;
}

void
fm_read_progress_reach(FmReadProgress *range, FmSlice key)
{
	fm_buf_reset(&range->reached);
	fm_buf_put_slice(&range->reached, key);
	if (!range->backward)
		fm_buf_put_u8(&range->reached, 0);
	fm_check_status(range->reached.failed ? FM_NO_MEMORY : FM_OK, "key");
	range->begun = true;
}

/* What of a scan's range was read, if it ends where it is. */
static ReadRange
part_read(const FmReadProgress *range)
{
	ReadRange	part = range->all;

	if (range->backward)
		part.lower = fm_buf_slice(&range->reached);
	else
		part.upper = fm_buf_slice(&range->reached);
	return part;
}

void
fm_read_progress_end(FmReadProgress *range, bool complete)
{
	ReadRange	part = complete ? range->all : part_read(range);

	if (complete || range->begun)
		add_range(range->set, part.lower, part.upper);
	dlist_delete(&range->node);
	free_range(&range->all);
	fm_buf_free(&range->reached);
	pfree(range);
}

void
fm_read_set_add_key(FmReadSet *set, FmSlice key, uint64 hash)
{
	ReadKey    *entry;
	bool		found;

	entry = fm_read_keys_lookup(set->keys, key);
	if (entry != NULL)
		return;
	if (set->keys->members == MAX_KEYS)
	{
		FmReadProgress *all = fm_read_set_begin(set, set->least, no_bound,
												false);

		fm_read_progress_reach(all, set->greatest);
		fm_read_progress_end(all, false);
		fm_read_keys_reset(set->keys);
		MemoryContextReset(set->key_context);
	}
	key = keep(set->key_context, key);
	if (set->keys->members == 0 || fm_slice_cmp(key, set->least) < 0)
		set->least = key;
	if (set->keys->members == 0 || fm_slice_cmp(key, set->greatest) > 0)
		set->greatest = key;
	entry = fm_read_keys_insert(set->keys, key, &found);
	entry->hash = hash;
}

static bool
range_conflicts(FmFetch *fetch, const ReadRange *range, const FmRunDesc *run)
{
	FmRunScan  *scan;
	FmMergeSource *source;
	bool		found;

	if (fm_slice_cmp(range->lower, run->upper) > 0 ||
		(range->upper.len > 0 &&
		 fm_slice_cmp(run->lower, range->upper) >= 0))
		return false;
	scan = fm_run_scan_begin(fetch, run, range->lower, range->upper, false);
	source = fm_run_scan_source(scan);
	fm_check_status(source->next(source), "scan");
	found = source->entry.valid;
	fm_run_scan_end(scan);
	return found;
}

static bool
keys_conflict(FmFetch *fetch, FmReadSet *set, const FmRunDesc *run)
{
	fm_read_keys_iterator iterator;
	FmLookup   *lookup;
	ReadKey    *entry;
	FmSlice		row;
	bool		found = false;

	if (set->keys->members == 0 ||
		fm_slice_cmp(set->least, run->upper) > 0 ||
		fm_slice_cmp(run->lower, set->greatest) > 0)
		return false;
	lookup = fm_lookup_create_run(fetch, run);
	fm_read_keys_start_iterate(set->keys, &iterator);
	while (!found &&
		   (entry = fm_read_keys_iterate(set->keys, &iterator)) != NULL)
		found = fm_lookup_find(lookup, entry->key, entry->hash,
							   &row) != FM_LOOKUP_ABSENT;
	fm_lookup_free(lookup);
	return found;
}

bool
fm_read_set_conflicts(void *arg, const FmRunDesc *run, uint64 version)
{
	FmReadSet  *set = arg;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "fusio_manifest read probe",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	FmStats		stats;
	FmFetch		fetch;
	dlist_iter	iter;
	bool		found = false;
	int			i;

	memset(&stats, 0, sizeof(stats));
	memset(&fetch, 0, sizeof(fetch));
	fetch.store = set->store;
	fetch.stats = &stats;
	fetch.version = version;
	for (i = 0; i < set->nranges && !found; i++)
		found = range_conflicts(&fetch, &set->ranges[i], run);
	dlist_foreach(iter, &set->open)
	{
		FmReadProgress *range = dlist_container(FmReadProgress, node, iter.cur);
		ReadRange	part = part_read(range);

		found = found ||
			(range->begun && range_conflicts(&fetch, &part, run));
	}
	found = found || keys_conflict(&fetch, set, run);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return found;
}
