/*-------------------------------------------------------------------------
 *
 * scan_keys.c
 *	  What the conditions of a scan ask for, once their values are known.
 *
 * Conditions are alternatives, each a conjunction: equalities and lists on
 * the leading key columns, then bounds on the next one.  A column's encoding
 * is the prefix of no other value's, so that the keys, or prefixes of keys,
 * of an alternative are all combinations of its columns' values; the bounds
 * follow each of them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "engine/tuple_codec.h"
#include "fdw/quals.h"
#include "fdw/scan_keys.h"
#include "fdw/scan_plan.h"
#include "objstore/pg_alloc.h"
#include "objstore/pg_status.h"

/*
 * Combinations of two lists and more; beyond, the later list is left to the
 * local filter.
 */
#define MAX_COMBINATIONS 65536

/* A condition, ready to be evaluated. */
typedef struct KeyCondition
{
	FmConditionKind kind;
	int			keyno;
	int			alternative;
	ExprState  *value;			/* NULL for tests of NULL */
	FmKeyInput	input;
	Oid			element_type;	/* of FM_CONDITION_ANY */
	int16		element_len;
	bool		element_byval;
	char		element_align;
} KeyCondition;

struct FmKeyConditions
{
	const FmTableOptions *options;
	int			n;
	KeyCondition *all;
	bool		is_full;		/* every alternative fixes the whole key */
	bool		is_single;		/* one alternative, without a list */
	FmAlloc		alloc;
	FmBuf		key;			/* being encoded */
	FmLookupKey one_key;
};

/* The values of one key column, encoded, ascending and different. */
typedef struct ColumnValues
{
	int			n;
	FmSlice    *values;
} ColumnValues;

/* Ranges as they are collected; upper is empty: all that begins with lower. */
typedef struct RangeList
{
	FmKeyRange *ranges;
	int			n;
	int			capacity;
} RangeList;

static const FmSlice no_bound = {NULL, 0};

FmKeyConditions *
fm_key_conditions_init(ForeignScanState *node, const FmTableOptions *options)
{
	FmKeyConditions *conditions = palloc0(sizeof(FmKeyConditions));
	ForeignScan *plan = castNode(ForeignScan, node->ss.ps.plan);
	List	   *kinds = list_nth(plan->fdw_private, FM_SCAN_CONDITIONS);
	List	   *states = ExecInitExprList(plan->fdw_exprs, (PlanState *) node);
	TupleDesc	desc = RelationGetDescr(node->ss.ss_currentRelation);
	ListCell   *lc = list_head(kinds);
	int			nvalues = 0;
	int			nfixed = 0;
	int			nalternatives = 1;
	int			i;

	conditions->options = options;
	conditions->is_single = true;
	conditions->alloc = fm_palloc_alloc(CurrentMemoryContext);
	fm_buf_init(&conditions->key, &conditions->alloc);
	conditions->n = list_length(kinds) / FM_SCAN_CONDITION_SIZE;
	conditions->all = palloc0(sizeof(KeyCondition) * conditions->n);
	for (i = 0; i < conditions->n; i++)
	{
		KeyCondition *c = &conditions->all[i];
		Oid			type;

		c->alternative = lfirst_int(lc);
		lc = lnext(kinds, lc);
		c->keyno = lfirst_int(lc);
		lc = lnext(kinds, lc);
		c->kind = lfirst_int(lc);
		lc = lnext(kinds, lc);
		nalternatives = c->alternative + 1;
		nfixed += c->kind <= FM_CONDITION_NULL;
		if (c->kind == FM_CONDITION_NULL || c->kind == FM_CONDITION_NOT_NULL)
			continue;
		type = exprType(list_nth(plan->fdw_exprs, nvalues));
		c->value = list_nth(states, nvalues++);
		if (c->kind == FM_CONDITION_ANY)
		{
			conditions->is_single = false;
			type = get_base_element_type(type);
			c->element_type = type;
			get_typlenbyvalalign(type, &c->element_len, &c->element_byval,
								 &c->element_align);
		}
		if (!fm_key_input_init_type(TupleDescAttr(desc,
												  options->key_attnums[c->keyno] - 1)->atttypid,
									options->key_desc[c->keyno],
									type, &c->input))
			elog(ERROR, "condition of type %u does not fit key column %d",
				 type, c->keyno);
	}
	if (nalternatives > 1)
		conditions->is_single = false;
	conditions->is_full = nfixed == options->nkeys * nalternatives;
	return conditions;
}

int
fm_key_conditions_count(const FmKeyConditions *conditions)
{
	return conditions->n;
}

bool
fm_key_conditions_are_full(const FmKeyConditions *conditions)
{
	return conditions->is_full;
}

static void
check_key(const FmKeyConditions *conditions)
{
	fm_check_status(conditions->key.failed ? FM_NO_MEMORY : FM_OK, "key");
}

static FmSlice
copy_slice(FmSlice s)
{
	uint8	   *copy = palloc(s.len + 1);

	if (s.len > 0)
		memcpy(copy, s.data, s.len);
	return fm_slice(copy, s.len);
}

/* The first string after all that begin with s; empty if there is none. */
static FmSlice
successor(FmSlice s)
{
	uint8	   *dest = palloc(s.len + 1);

	return fm_slice(dest, fm_key_successor(s, dest));
}

/* Appends an equality's value to the key; false if no row can match. */
static bool
put_value(FmKeyConditions *conditions, const KeyCondition *c,
		  ExprContext *econtext)
{
	Datum		value;
	bool		isnull;

	if (c->kind == FM_CONDITION_NULL)
	{
		fm_key_put_null(&conditions->key,
						conditions->options->key_desc[c->keyno]);
		return true;
	}
	value = ExecEvalExpr(c->value, econtext, &isnull);
	return !isnull && fm_key_input_put(&c->input, value,
									   &conditions->key) == FM_KEY_MATCH_EXACT;
}

static int
compare_slices(const void *a, const void *b)
{
	return fm_slice_cmp(*(const FmSlice *) a, *(const FmSlice *) b);
}

static void
list_values(FmKeyConditions *conditions, const KeyCondition *c, Datum list,
			ColumnValues *column)
{
	Datum	   *values;
	bool	   *nulls;
	int			n;
	int			nslices = 0;
	int			i;

	deconstruct_array(DatumGetArrayTypeP(list), c->element_type,
					  c->element_len, c->element_byval, c->element_align,
					  &values, &nulls, &n);
	column->values = palloc(sizeof(FmSlice) * Max(n, 1));
	for (i = 0; i < n; i++)
	{
		conditions->key.len = 0;
		if (!nulls[i] &&
			fm_key_input_put(&c->input, values[i],
							 &conditions->key) == FM_KEY_MATCH_EXACT)
			column->values[nslices++] =
				copy_slice(fm_buf_slice(&conditions->key));
	}
	check_key(conditions);
	qsort(column->values, nslices, sizeof(FmSlice), compare_slices);
	for (i = 0; i < nslices; i++)
	{
		if (i == 0 || !fm_slice_eq(column->values[i], column->values[i - 1]))
			column->values[column->n++] = column->values[i];
	}
}

/* What the condition allows its column to be; n = 0: nothing. */
static void
column_values(FmKeyConditions *conditions, const KeyCondition *c,
			  ExprContext *econtext, ColumnValues *column)
{
	column->n = 0;
	if (c->kind == FM_CONDITION_ANY)
	{
		bool		isnull;
		Datum		list = ExecEvalExpr(c->value, econtext, &isnull);

		if (!isnull)
			list_values(conditions, c, list, column);
		return;
	}
	conditions->key.len = 0;
	if (!put_value(conditions, c, econtext))
		return;
	check_key(conditions);
	column->values = palloc(sizeof(FmSlice));
	column->values[column->n++] = copy_slice(fm_buf_slice(&conditions->key));
}

/* One end of a range, narrowed by each bound in turn. */
static void
narrow(FmSlice *end, FmSlice bound, bool is_lower)
{
	if (end->data == NULL ||
		(is_lower ? fm_slice_cmp(bound, *end) > 0 :
		 fm_slice_cmp(bound, *end) < 0))
		*end = copy_slice(bound);
}

/* Appends the columns of a row comparison that follow the first. */
static void
put_more_columns(FmKeyConditions *conditions, const KeyCondition *c,
				 const KeyCondition *end, ExprContext *econtext)
{
	while (++c < end && c->kind == FM_CONDITION_MORE)
	{
		size_t		len = conditions->key.len;
		bool		isnull;
		Datum		value = ExecEvalExpr(c->value, econtext, &isnull);

		if (isnull)
			return;
		if (fm_key_input_put(&c->input, value,
							 &conditions->key) != FM_KEY_MATCH_EXACT)
		{
			conditions->key.len = len;
			return;
		}
	}
}

/*
 * Narrows [lower, upper), of what follows the fixed columns, by one bound.
 * False if no row can match.
 */
static bool
apply_bound(FmKeyConditions *conditions, const KeyCondition *c,
			const KeyCondition *end, ExprContext *econtext, FmSlice *lower,
			FmSlice *upper)
{
	FmConditionKind kind = c->kind;
	FmKeyMatch	match;
	FmSlice		bound;
	bool		isnull;
	Datum		value;

	/* A bound leaves NULLs out: they lie at the column's end or start. */
	conditions->key.len = 0;
	fm_buf_put_u8(&conditions->key, FM_KEY_TAG_VALUE);
	check_key(conditions);
	bound = fm_buf_slice(&conditions->key);
	narrow(lower, bound, true);
	narrow(upper, successor(bound), false);
	if (kind == FM_CONDITION_NOT_NULL)
		return true;

	value = ExecEvalExpr(c->value, econtext, &isnull);
	if (isnull)
		return false;
	conditions->key.len = 0;
	match = fm_key_input_put(&c->input, value, &conditions->key);
	if (match == FM_KEY_MATCH_BELOW)
		return kind != FM_CONDITION_LT && kind != FM_CONDITION_LE;
	if (match == FM_KEY_MATCH_FLOOR)
		kind = kind == FM_CONDITION_LT || kind == FM_CONDITION_LE ?
			FM_CONDITION_LE : FM_CONDITION_GT;
	else
		put_more_columns(conditions, c, end, econtext);
	check_key(conditions);
	bound = fm_buf_slice(&conditions->key);

	/* In a descending column the greater values come first. */
	if (conditions->options->key_desc[c->keyno])
		kind = FM_CONDITION_LT + FM_CONDITION_GT - kind;
	if (kind == FM_CONDITION_LE || kind == FM_CONDITION_GT)
		bound = successor(bound);	/* there is one: a tag comes first */
	if (kind == FM_CONDITION_LE || kind == FM_CONDITION_LT)
		narrow(upper, bound, false);
	else
		narrow(lower, bound, true);
	return true;
}

static FmSlice
concatenate(FmSlice a, FmSlice b)
{
	uint8	   *result = palloc(a.len + b.len + 1);

	if (a.len > 0)
		memcpy(result, a.data, a.len);
	if (b.len > 0)
		memcpy(result + a.len, b.data, b.len);
	return fm_slice(result, a.len + b.len);
}

static void
add_range(RangeList *list, FmSlice prefix, FmSlice lower, FmSlice upper)
{
	FmKeyRange *range;

	if (list->n == list->capacity)
	{
		list->capacity = Max(list->capacity * 2, 8);
		list->ranges = list->ranges == NULL ?
			palloc(sizeof(FmKeyRange) * list->capacity) :
			repalloc_huge(list->ranges, sizeof(FmKeyRange) * list->capacity);
	}
	range = &list->ranges[list->n++];
	range->lower = concatenate(prefix, lower);
	range->upper = upper.len > 0 ? concatenate(prefix, upper) : no_bound;
}

/* Adds the combinations of the columns from number i on behind prefix. */
static void
combine(RangeList *list, const ColumnValues *columns, int ncolumns, int i,
		FmSlice prefix, FmSlice lower, FmSlice upper)
{
	int			v;

	if (i == ncolumns)
	{
		add_range(list, prefix, lower, upper);
		return;
	}
	for (v = 0; v < columns[i].n; v++)
	{
		FmSlice		longer = i == 0 ? columns[i].values[v] :
		concatenate(prefix, columns[i].values[v]);

		combine(list, columns, ncolumns, i + 1, longer, lower, upper);
	}
}

/* Adds what one alternative allows; false if it had to be widened. */
static bool
add_alternative(FmKeyConditions *conditions, const KeyCondition *c,
				const KeyCondition *end, ExprContext *econtext,
				RangeList *list)
{
	ColumnValues columns[FM_MAX_KEY_COLUMNS];
	FmSlice		lower = no_bound;
	FmSlice		upper = no_bound;
	double		ncombinations = 1;
	int			ncolumns = 0;

	for (; c < end && c->kind <= FM_CONDITION_NULL; c++)
	{
		ColumnValues *column = &columns[ncolumns];

		column_values(conditions, c, econtext, column);
		if (column->n == 0)
			return true;
		if (ncombinations > 1 && column->n > 1 &&
			ncombinations * column->n > MAX_COMBINATIONS)
		{
			combine(list, columns, ncolumns, 0, no_bound, lower, upper);
			return false;
		}
		ncombinations *= column->n;
		ncolumns++;
	}
	for (; c < end; c++)
	{
		if (c->kind != FM_CONDITION_MORE &&
			!apply_bound(conditions, c, end, econtext, &lower, &upper))
			return true;
	}
	if (upper.data == NULL || fm_slice_cmp(lower, upper) < 0)
		combine(list, columns, ncolumns, 0, no_bound, lower, upper);
	return true;
}

static int
compare_ranges(const void *a, const void *b)
{
	return fm_slice_cmp(((const FmKeyRange *) a)->lower,
						((const FmKeyRange *) b)->lower);
}

static void
take_keys(const RangeList *list, FmScanKeys *found)
{
	int			i;

	found->keys = MemoryContextAllocHuge(CurrentMemoryContext,
										 sizeof(FmLookupKey) * Max(list->n, 1));
	for (i = 0; i < list->n; i++)
	{
		FmLookupKey *key = &found->keys[found->n];

		key->key = list->ranges[i].lower;
		if (found->n > 0 && fm_slice_eq(key->key, key[-1].key))
			continue;
		key->hash = fm_key_hash(key->key);
		found->n++;
	}
}

/* Joins ranges that meet. */
static void
take_ranges(RangeList *list, FmScanKeys *found)
{
	int			i;

	found->ranges = list->ranges;
	for (i = 0; i < list->n; i++)
	{
		FmKeyRange	range = list->ranges[i];
		FmKeyRange *last = &found->ranges[found->n];

		if (range.upper.len == 0 && range.lower.len > 0)
			range.upper = successor(range.lower);
		if (found->n > 0 && last[-1].upper.len == 0)
			return;
		if (found->n == 0 ||
			fm_slice_cmp(range.lower, last[-1].upper) > 0)
		{
			*last = range;
			found->n++;
		}
		else if (range.upper.len == 0 ||
				 fm_slice_cmp(range.upper, last[-1].upper) > 0)
			last[-1].upper = range.upper;
	}
}

/* The one key, without an allocation: inner sides of joins come here. */
static void
take_one_key(FmKeyConditions *conditions, ExprContext *econtext,
			 FmScanKeys *found)
{
	int			i;

	conditions->key.len = 0;
	for (i = 0; i < conditions->n; i++)
	{
		if (!put_value(conditions, &conditions->all[i], econtext))
			return;
	}
	check_key(conditions);
	conditions->one_key.key = fm_buf_slice(&conditions->key);
	conditions->one_key.hash = fm_key_hash(conditions->one_key.key);
	found->keys = &conditions->one_key;
	found->n = 1;
}

void
fm_key_conditions_evaluate(FmKeyConditions *conditions, ExprContext *econtext,
						   FmScanKeys *found)
{
	RangeList	list = {NULL, 0, 0};
	int			first = 0;
	int			end;

	memset(found, 0, sizeof(*found));
	found->is_full = conditions->is_full;
	if (conditions->is_full && conditions->is_single)
	{
		take_one_key(conditions, econtext, found);
		return;
	}
	do
	{
		for (end = first; end < conditions->n; end++)
		{
			if (conditions->all[end].alternative !=
				conditions->all[first].alternative)
				break;
		}
		if (!add_alternative(conditions, conditions->all + first,
							 conditions->all + end, econtext, &list))
			found->is_full = false;
		first = end;
	} while (first < conditions->n);
	if (list.n > 1)
		qsort(list.ranges, list.n, sizeof(FmKeyRange), compare_ranges);
	if (found->is_full)
		take_keys(&list, found);
	else
		take_ranges(&list, found);
}
