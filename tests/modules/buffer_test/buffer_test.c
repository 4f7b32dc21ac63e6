/*-------------------------------------------------------------------------
 *
 * buffer_test.c
 *	  The write buffer beside a simple model of it.
 *
 * The model is the list of all changes in the order in which they were made.
 * Subtransactions are real ones, since the buffer asks for their number.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "common/pg_prng.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "engine/write_buffer.h"
#include "format/key_codec.h"
#include "objstore/pg_alloc.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(fm_test_buffer);
PG_FUNCTION_INFO_V1(fm_test_buffer_speed);

#define KEYS 400
#define DEPTH 5
#define SCANS 4

typedef struct Change
{
	int			key;
	FmChangeKind kind;
	bool		upsert;
	bool		aborted;
	CommandId	cid;
	SubTransactionId subid;
	uint64		base;
	uint32		stamp;			/* fills the row */
	uint32		row_size;
} Change;

typedef struct OpenScan
{
	FmBufferScan *scan;			/* NULL: not open */
	bool		backward;
	int			depth;			/* of subtransactions when it began */
	int			expected[KEYS]; /* changes, in order */
	int			n;
	int			at;
} OpenScan;

typedef struct Subtransaction
{
	MemoryContext context;		/* outside */
	ResourceOwner owner;
} Subtransaction;

typedef struct Test
{
	pg_prng_state random;
	FmWriteBuffer *buffer;
	FmSlice		keys[KEYS];		/* ascending */
	Change	   *changes;
	int			nchanges;
	int			maxchanges;
	CommandId	cid;
	uint64		base;
	Subtransaction subs[DEPTH];
	int			depth;
	OpenScan	scans[SCANS];
	int64		compared;
	uint8	   *row;			/* scratch */
} Test;

static int
pick(Test *t, int n)
{
	return (int) pg_prng_uint64_range(&t->random, 0, n - 1);
}

static int
compare_slices(const void *a, const void *b)
{
	return fm_slice_cmp(*(const FmSlice *) a, *(const FmSlice *) b);
}

/* Keys of all lengths, the greatest among them; many begin alike. */
static void
make_keys(Test *t)
{
	FmAlloc		alloc = fm_palloc_alloc(CurrentMemoryContext);
	FmBuf		buf;
	char text[	FM_MAX_KEY_SIZE];
	int			i;

	for (i = 0; i < KEYS; i++)
	{
		int			size = i % 50 == 0 ? FM_MAX_KEY_SIZE - 3 : 12 + i % 20;
		uint8	   *copy;

		memset(text, 'x', sizeof(text));
		snprintf(text, sizeof(text), "common %d", i * 7919 % 1000);
		text[		strlen(text)] = '-';

		fm_buf_init(&buf, &alloc);
		fm_key_put_bytes(&buf, FM_KEY_TEXT, fm_slice(text, size), false);
		copy = palloc(buf.len);
		memcpy(copy, buf.data, buf.len);
		t->keys[i] = fm_slice(copy, buf.len);
		fm_buf_free(&buf);
	}
	qsort(t->keys, KEYS, sizeof(FmSlice), compare_slices);
}

static FmSlice
make_row(Test *t, const Change *change)
{
	uint32		i;

	for (i = 0; i < change->row_size; i++)
		t->row[i] = (uint8) (change->stamp + i);
	return fm_slice(t->row, change->row_size);
}

static void
add_change(Test *t)
{
	Change	   *c;
	FmSlice		none = {NULL, 0};
	int			kind = pick(t, 10);

	if (t->nchanges == t->maxchanges)
	{
		t->maxchanges *= 2;
		t->changes = repalloc_huge(t->changes,
								   sizeof(Change) * t->maxchanges);
	}
	c = &t->changes[t->nchanges];
	c->key = pick(t, pick(t, 3) == 0 ? 20 : KEYS);
	c->kind = kind < 6 ? FM_PUT : kind < 8 ? FM_TOMBSTONE : FM_LOCK;
	c->upsert = c->kind == FM_PUT && pick(t, 2) == 0;
	c->aborted = false;
	c->cid = t->cid;
	c->subid = GetCurrentSubTransactionId();
	c->base = t->base;
	c->stamp = (uint32) t->nchanges;
	c->row_size = c->kind != FM_PUT ? 0 : pick(t, 100) == 0 ?
		(uint32) pick(t, 20000) * 4 : (uint32) pick(t, 60) * 4;
	t->nchanges++;
	fm_write_buffer_add(t->buffer, t->keys[c->key],
						fm_key_hash(t->keys[c->key]), c->kind,
						c->kind == FM_PUT ? make_row(t, c) : none, c->upsert,
						c->cid, c->base);
}

/* The change that a reader sees of a key; -1: none. */
static int
model_find(const Test *t, int key, CommandId curcid, bool with_locks)
{
	int			i;

	for (i = t->nchanges - 1; i >= 0; i--)
	{
		const Change *c = &t->changes[i];

		if (c->key == key && !c->aborted && c->cid < curcid &&
			(with_locks || c->kind != FM_LOCK))
			return i;
	}
	return -1;
}

/* Of locks that follow each other the buffer may keep only the first. */
static void
compare_entry(Test *t, const char *what, int number,
			  const FmBufferEntry *entry)
{
	const Change *c = &t->changes[number];

	t->compared++;
	if (!fm_slice_eq(entry->key, t->keys[c->key]) || entry->kind != c->kind ||
		entry->subid != c->subid ||
		(c->kind != FM_LOCK && entry->cid != c->cid))
		elog(ERROR, "%s: another change of key %d", what, c->key);
	if (!fm_slice_eq(entry->row, make_row(t, c)))
		elog(ERROR, "%s: another row of key %d", what, c->key);
}

static void
search(Test *t)
{
	int			key = pick(t, KEYS);
	CommandId	curcid = pick(t, 2) == 0 ? FM_ALL_COMMANDS :
	(CommandId) pick(t, (int) t->cid + 2);
	FmBufferEntry entry;
	int			expected = model_find(t, key, curcid, false);
	bool		found;

	found = fm_write_buffer_find(t->buffer, t->keys[key],
								 fm_key_hash(t->keys[key]), curcid, &entry);
	if (found != (expected >= 0))
		elog(ERROR, "find: key %d is %s", key, found ? "there" : "missing");
	if (found)
		compare_entry(t, "find", expected, &entry);
}

static void
check_touched(Test *t)
{
	int			key = pick(t, KEYS);
	uint64		expected_base = PG_UINT64_MAX;
	bool		expected_upserts = true;
	uint64		base;
	bool		upserts;
	bool		found;
	int			i;

	for (i = 0; i < t->nchanges; i++)
	{
		const Change *c = &t->changes[i];

		if (c->key != key || c->aborted)
			continue;
		expected_base = Min(expected_base, c->base);
		expected_upserts &= c->upsert;
	}
	found = fm_write_buffer_touched(t->buffer, t->keys[key],
									fm_key_hash(t->keys[key]), &base,
									&upserts);
	t->compared++;
	if (found != (expected_base != PG_UINT64_MAX) ||
		(found && (base != expected_base || upserts != expected_upserts)))
		elog(ERROR, "touched: another answer for key %d", key);
}

static void
begin_scan(Test *t, OpenScan *s)
{
	FmSlice		none = {NULL, 0};
	int			from = pick(t, 2) == 0 ? 0 : pick(t, KEYS);
	int			to = pick(t, 2) == 0 ? KEYS : pick(t, KEYS);
	bool		with_locks = pick(t, 4) == 0;
	CommandId	curcid = pick(t, 8) == 0 ? FM_ALL_COMMANDS : t->cid;
	int			i;

	s->backward = pick(t, 2) == 0;
	s->depth = t->depth;
	s->n = 0;
	s->at = 0;
	for (i = from; i < to; i++)
	{
		int			number = model_find(t, s->backward ? from + to - 1 - i : i,
										curcid, with_locks);

		if (number >= 0)
			s->expected[s->n++] = number;
	}
	s->scan = fm_buffer_scan_begin(t->buffer, from > 0 ? t->keys[from] : none,
								   to < KEYS ? t->keys[to] : none,
								   s->backward, curcid, with_locks);
	/* All commands: what comes later is seen too; so it is read at once. */
	if (curcid == FM_ALL_COMMANDS)
		s->depth = -1;
}

static void
end_scan(OpenScan *s)
{
	fm_buffer_scan_end(s->scan);
	s->scan = NULL;
}

static void
read_scan(Test *t, OpenScan *s)
{
	FmMergeSource *source = fm_buffer_scan_source(s->scan);
	int			n = s->depth < 0 ? KEYS + 1 : pick(t, KEYS / 2);

	while (n-- > 0)
	{
		source->next(source);
		if (source->entry.valid != (s->at < s->n))
			elog(ERROR, "scan of %d keys: %s after %d", s->n,
				 source->entry.valid ? "goes on" : "ends", s->at);
		if (!source->entry.valid)
		{
			end_scan(s);
			return;
		}
		compare_entry(t, "scan", s->expected[s->at++], source->entry.extra);
		if (source->entry.tombstone !=
			(((FmBufferEntry *) source->entry.extra)->kind == FM_TOMBSTONE))
			elog(ERROR, "scan: tombstone flag");
	}
}

static void
begin_subtransaction(Test *t)
{
	Subtransaction *sub = &t->subs[t->depth];

	if (t->depth == DEPTH)
		return;
	sub->context = CurrentMemoryContext;
	sub->owner = CurrentResourceOwner;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(sub->context);
	t->depth++;
	t->cid++;
}

static void
end_subtransaction(Test *t, bool commit)
{
	SubTransactionId subid = GetCurrentSubTransactionId();
	Subtransaction *sub;
	int			i;

	if (t->depth == 0)
		return;
	t->depth--;
	t->cid++;
	sub = &t->subs[t->depth];
	if (commit)
		ReleaseCurrentSubTransaction();
	else
	{
		fm_write_buffer_subabort(t->buffer, subid);
		RollbackAndReleaseCurrentSubTransaction();
		for (i = 0; i < t->nchanges; i++)
			if (t->changes[i].subid >= subid)
				t->changes[i].aborted = true;
	}
	MemoryContextSwitchTo(sub->context);
	CurrentResourceOwner = sub->owner;
	for (i = 0; i < SCANS; i++)
	{
		if (t->scans[i].scan == NULL || t->scans[i].depth <= t->depth)
			continue;
		if (commit)
			t->scans[i].depth = t->depth;
		else
			end_scan(&t->scans[i]);
	}
}

static void
step(Test *t)
{
	int			action = pick(t, 100);
	OpenScan   *s = &t->scans[pick(t, SCANS)];

	if (action < 60)
		add_change(t);
	else if (action < 66)
		t->cid++;
	else if (action < 68)
		t->base += (uint64) pick(t, 3);
	else if (action < 78)
		search(t);
	else if (action < 82)
		check_touched(t);
	else if (action < 90)
	{
		if (s->scan == NULL)
			begin_scan(t, s);
		read_scan(t, s);
	}
	else if (action < 93)
		begin_subtransaction(t);
	else
		end_subtransaction(t, action < 95);
}

Datum
fm_test_buffer(PG_FUNCTION_ARGS)
{
	Test	   *t = palloc0(sizeof(Test));
	int			steps = PG_GETARG_INT32(1);
	int			i;

	pg_prng_seed(&t->random, (uint64) PG_GETARG_INT32(0));
	t->maxchanges = 1024;
	t->changes = palloc(sizeof(Change) * t->maxchanges);
	t->row = palloc(20000 * 4);
	t->base = 1;
	make_keys(t);
	t->buffer = fm_write_buffer_create(CurrentMemoryContext,
									   (Size) PG_GETARG_INT32(2));
	for (i = 0; i < steps; i++)
	{
		CHECK_FOR_INTERRUPTS();
		step(t);
	}
	while (t->depth > 0)
		end_subtransaction(t, true);
	for (i = 0; i < SCANS; i++)
		if (t->scans[i].scan != NULL)
			end_scan(&t->scans[i]);
	fm_write_buffer_free(t->buffer);
	PG_RETURN_INT64(t->compared);
}

Datum
fm_test_buffer_speed(PG_FUNCTION_ARGS)
{
	int			n = PG_GETARG_INT32(0);
	uint32		row_size = (uint32) PG_GETARG_INT32(2);
	bool		ascending = PG_GETARG_BOOL(3);
	bool		search = PG_GETARG_BOOL(4);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "speed",
												  ALLOCSET_DEFAULT_SIZES);
	FmWriteBuffer *buffer = fm_write_buffer_create(context,
												   (Size) PG_GETARG_INT32(1) *
												   1024);
	FmAlloc		alloc = fm_palloc_alloc(CurrentMemoryContext);
	FmBuf		key;
	uint8	   *row = palloc0(row_size);
	FmSlice		none = {NULL, 0};
	FmBufferEntry entry;
	FmBufferScan *scan;
	FmMergeSource *source;
	instr_time	start;
	instr_time	end;
	TupleDesc	desc;
	Datum		values[3];
	bool		nulls[3] = {false, false, false};
	int			found = 0;
	int			i;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	fm_buf_init(&key, &alloc);
	INSTR_TIME_SET_CURRENT(start);
	for (i = 0; i < n; i++)
	{
		uint64		number = ascending ? (uint64) i :
		((uint64) i * UINT64CONST(0x9E3779B97F4A7C15)) >> 1;
		uint64		hash;

		if (i % 1024 == 0)
			CHECK_FOR_INTERRUPTS();
		fm_buf_reset(&key);
		fm_key_put_int(&key, FM_KEY_INT8, (int64) number, false);
		hash = fm_key_hash(fm_buf_slice(&key));
		if (search &&
			fm_write_buffer_find(buffer, fm_buf_slice(&key), hash,
								 FM_ALL_COMMANDS, &entry))
			elog(ERROR, "key is there");
		fm_write_buffer_add(buffer, fm_buf_slice(&key), hash, FM_PUT,
							fm_slice(row, row_size), false, 1, 1);
	}
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	values[0] = Float8GetDatum(INSTR_TIME_GET_DOUBLE(end) * 1e9 / Max(n, 1));
	values[2] = Int64GetDatum((int64) MemoryContextMemAllocated(context,
																true));
	INSTR_TIME_SET_CURRENT(start);
	scan = fm_buffer_scan_begin(buffer, none, none, false, FM_ALL_COMMANDS,
								false);
	source = fm_buffer_scan_source(scan);
	for (source->next(source); source->entry.valid; source->next(source))
		found++;
	fm_buffer_scan_end(scan);
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	values[1] = Float8GetDatum(INSTR_TIME_GET_DOUBLE(end) * 1e9 / Max(n, 1));
	if (found != n)
		elog(ERROR, "%d of %d keys found", found, n);
	fm_write_buffer_free(buffer);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}
