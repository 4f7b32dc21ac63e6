/*-------------------------------------------------------------------------
 *
 * quals.c
 *	  Which clauses of a query are conditions on the key.
 *
 * A clause counts only if the key's bytes answer it exactly: the operator is
 * a member of the btree family of the column's type, the other side is of a
 * type whose values compare as key bytes do, the collation does not matter
 * (equality, deterministic) or is byte order (bounds).  Operators are found
 * by strategy, never by name.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"
#include "utils/typcache.h"

#include "compat.h"
#include "engine/tuple_codec.h"
#include "fdw/quals.h"

/* The key column that is being matched. */
typedef struct KeyColumn
{
	int			keyno;
	AttrNumber	attnum;
	bool		desc;
	Oid			type;			/* base type */
	Oid			collation;
	Oid			opfamily;
	bool		ordered;		/* bytes have the order of the type */
} KeyColumn;

/* A relation whose clauses are matched. */
typedef struct Match
{
	PlannerInfo *root;
	RelOptInfo *rel;
	const FmTableOptions *options;
	int			ncolumns;		/* that clauses can be conditions on */
	KeyColumn	columns[FM_MAX_KEY_COLUMNS];
} Match;

bool
fm_key_opfamily(Oid type, Oid *opfamily, Oid *opcintype)
{
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY);

	*opfamily = entry->btree_opf;
	*opcintype = entry->btree_opintype;
	return OidIsValid(entry->btree_opf);
}

static bool
key_column(PlannerInfo *root, RelOptInfo *rel, const FmTableOptions *options,
		   int keyno, KeyColumn *column)
{
	RangeTblEntry *rte = planner_rt_fetch(rel->relid, root);
	FmTypeForm	form;
	Oid			type;
	int32		typmod;
	Oid			opcintype;

	column->keyno = keyno;
	column->attnum = options->key_attnums[keyno];
	column->desc = options->key_desc[keyno];
	get_atttypetypmodcoll(rte->relid, column->attnum, &type, &typmod,
						  &column->collation);
	fm_schema_type_form(type, typmod, &form);
	column->type = form.base;
	column->ordered = form.key_type != FM_KEY_ENUM &&
		(!OidIsValid(column->collation) ||
		 fm_schema_collation_is_bytes(column->collation));
	return fm_key_opfamily(column->type, &column->opfamily, &opcintype);
}

static void
init_match(Match *match, PlannerInfo *root, RelOptInfo *rel,
		   const FmTableOptions *options)
{
	match->root = root;
	match->rel = rel;
	match->options = options;
	match->ncolumns = 0;
	while (match->ncolumns < options->nkeys &&
		   key_column(root, rel, options, match->ncolumns,
					  &match->columns[match->ncolumns]))
		match->ncolumns++;
}

/* Is node the column, perhaps under a binary relabelling? */
static bool
is_column(Node *node, Index relid, AttrNumber attnum)
{
	while (node != NULL && IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	return node != NULL && IsA(node, Var) &&
		((Var *) node)->varno == (int) relid &&
		((Var *) node)->varattno == attnum &&
		((Var *) node)->varlevelsup == 0;
}

/* May node be evaluated once for a scan of the relation? */
static bool
is_outer_value(PlannerInfo *root, Node *node, Index relid)
{
	return !bms_is_member(relid, pull_varnos(root, node)) &&
		!contain_volatile_functions(node);
}

static bool
is_usable_type(const KeyColumn *column, Oid type)
{
	FmKeyInput	input;

	return fm_key_input_init_type(column->type, column->desc,
								  getBaseType(type), &input);
}

static bool
collation_is_usable(const KeyColumn *column, int strategy, Oid collation)
{
	if (!OidIsValid(collation))
		return true;
	if (strategy == BTEqualStrategyNumber)
		return get_collation_isdeterministic(collation);
	return fm_schema_collation_is_bytes(collation);
}

/* Sets *condition if clause is a condition on column. */
static bool
match_clause(PlannerInfo *root, Index relid, const KeyColumn *column,
			 Expr *clause, FmCondition *condition)
{
	memset(condition, 0, sizeof(*condition));
	condition->keyno = column->keyno;
	condition->clause = clause;

	if (column->type == BOOLOID)
	{
		bool		negated = is_notclause(clause);
		Node	   *arg = negated ? (Node *) get_notclausearg(clause) :
		(Node *) clause;

		if (is_column(arg, relid, column->attnum))
		{
			condition->kind = FM_CONDITION_EQ;
			condition->value = (Expr *) makeBoolConst(!negated, false);
			return true;
		}
	}

	if (column->type == BOOLOID && IsA(clause, BooleanTest))
	{
		BooleanTest *test = (BooleanTest *) clause;

		condition->kind = FM_CONDITION_EQ;
		condition->value =
			(Expr *) makeBoolConst(test->booltesttype == IS_TRUE, false);
		return (test->booltesttype == IS_TRUE ||
				test->booltesttype == IS_FALSE) &&
			is_column((Node *) test->arg, relid, column->attnum);
	}

	if (IsA(clause, NullTest))
	{
		NullTest   *test = (NullTest *) clause;

		condition->kind = test->nulltesttype == IS_NULL ? FM_CONDITION_NULL :
			FM_CONDITION_NOT_NULL;
		return !test->argisrow &&
			is_column((Node *) test->arg, relid, column->attnum);
	}

	if (IsA(clause, OpExpr) && list_length(((OpExpr *) clause)->args) == 2)
	{
		OpExpr	   *op = (OpExpr *) clause;
		Node	   *left = linitial(op->args);
		Node	   *right = lsecond(op->args);
		Oid			opno = op->opno;
		int			strategy;

		if (!is_column(left, relid, column->attnum))
		{
			left = right;
			right = linitial(op->args);
			opno = get_commutator(opno);
			if (!OidIsValid(opno) || !is_column(left, relid, column->attnum))
				return false;
		}
		strategy = get_op_opfamily_strategy(opno, column->opfamily);
		switch (strategy)
		{
			case BTEqualStrategyNumber:
				condition->kind = FM_CONDITION_EQ;
				break;
			case BTLessStrategyNumber:
				condition->kind = FM_CONDITION_LT;
				break;
			case BTLessEqualStrategyNumber:
				condition->kind = FM_CONDITION_LE;
				break;
			case BTGreaterEqualStrategyNumber:
				condition->kind = FM_CONDITION_GE;
				break;
			case BTGreaterStrategyNumber:
				condition->kind = FM_CONDITION_GT;
				break;
			default:
				return false;
		}
		if (strategy != BTEqualStrategyNumber && !column->ordered)
			return false;
		condition->value = (Expr *) right;
		return collation_is_usable(column, strategy, op->inputcollid) &&
			is_outer_value(root, right, relid) &&
			is_usable_type(column, exprType(right));
	}

	if (IsA(clause, ScalarArrayOpExpr))
	{
		ScalarArrayOpExpr *op = (ScalarArrayOpExpr *) clause;
		Node	   *array = lsecond(op->args);
		Oid			element = get_base_element_type(exprType(array));

		condition->kind = FM_CONDITION_ANY;
		condition->value = (Expr *) array;
		return op->useOr && OidIsValid(element) &&
			is_column(linitial(op->args), relid, column->attnum) &&
			get_op_opfamily_strategy(op->opno, column->opfamily) ==
			BTEqualStrategyNumber &&
			collation_is_usable(column, BTEqualStrategyNumber,
								op->inputcollid) &&
			is_outer_value(root, array, relid) &&
			is_usable_type(column, element);
	}
	return false;
}

/*
 * The columns of a row comparison that follow the first: as long as they are
 * the key's next ones, all ascending or all descending, and their bytes have
 * the order that is asked for.
 */
static List *
match_more_columns(const Match *match, const KeyColumn *first,
				   RowCompareExpr *row)
{
	Index		relid = match->rel->relid;
	List	   *more = NIL;
	int			i;

	for (i = 1; i < list_length(row->largs); i++)
	{
		const KeyColumn *column = first + i;
		FmCondition *condition;
		Node	   *value = list_nth(row->rargs, i);
		Oid			collation = list_nth_oid(row->inputcollids, i);

		if (first->keyno + i >= match->ncolumns ||
			column->desc != first->desc || !column->ordered ||
			!is_column(list_nth(row->largs, i), relid, column->attnum) ||
			list_nth_oid(row->opfamilies, i) != column->opfamily ||
			!collation_is_usable(column, BTLessStrategyNumber, collation) ||
			!is_outer_value(match->root, value, relid) ||
			!is_usable_type(column, exprType(value)))
			break;
		condition = palloc0(sizeof(FmCondition));
		condition->kind = FM_CONDITION_MORE;
		condition->keyno = column->keyno;
		condition->value = (Expr *) value;
		condition->clause = (Expr *) row;
		condition->lossy = true;
		more = lappend(more, condition);
	}
	return more;
}

/*
 * (a, b) > (x, y) implies (a, b) >= (x, y) on the columns that are the key's:
 * one bound, of one condition a column.
 */
static List *
match_row_comparison(const Match *match, const KeyColumn *column,
					 RowCompareExpr *row)
{
	FmCondition *bound;
	Node	   *value = linitial(row->rargs);

	if (!column->ordered ||
		!is_column(linitial(row->largs), match->rel->relid, column->attnum) ||
		linitial_oid(row->opfamilies) != column->opfamily ||
		!collation_is_usable(column, BTLessStrategyNumber,
							 linitial_oid(row->inputcollids)) ||
		!is_outer_value(match->root, value, match->rel->relid) ||
		!is_usable_type(column, exprType(value)))
		return NIL;
	bound = palloc0(sizeof(FmCondition));
	bound->kind = fm_row_is_less(row) ? FM_CONDITION_LE : FM_CONDITION_GE;
	bound->keyno = column->keyno;
	bound->value = (Expr *) value;
	bound->clause = (Expr *) row;
	bound->lossy = true;
	return lcons(bound, match_more_columns(match, column, row));
}

static FmCondition *
keep(const FmCondition *condition)
{
	FmCondition *copy = palloc(sizeof(FmCondition));

	*copy = *condition;
	return copy;
}

/*
 * What a function's planner support makes of a clause, as for an index on the
 * column: LIKE 'abc%' implies >= 'abc' and < 'abd'.
 */
static List *
match_by_support(const Match *match, const KeyColumn *column, Expr *clause)
{
	SupportRequestIndexCondition request;
	List	   *args;
	List	   *implied;
	List	   *conditions = NIL;
	ListCell   *lc;
	Oid			support;
	int			i;

	if (IsA(clause, OpExpr))
	{
		set_opfuncid((OpExpr *) clause);
		request.funcid = ((OpExpr *) clause)->opfuncid;
		args = ((OpExpr *) clause)->args;
	}
	else
	{
		request.funcid = ((FuncExpr *) clause)->funcid;
		args = ((FuncExpr *) clause)->args;
	}
	support = get_func_support(request.funcid);
	for (i = 0; i < list_length(args); i++)
	{
		if (is_column(list_nth(args, i), match->rel->relid, column->attnum))
			break;
	}
	if (!OidIsValid(support) || i == list_length(args))
		return NIL;
	request.type = T_SupportRequestIndexCondition;
	request.root = match->root;
	request.node = (Node *) clause;
	request.indexarg = i;
	request.index = makeNode(IndexOptInfo);
	request.index->rel = match->rel;
	request.indexcol = column->keyno;
	request.opfamily = column->opfamily;
	request.indexcollation = column->collation;
	request.lossy = true;
	implied = (List *) DatumGetPointer(OidFunctionCall1(support,
														PointerGetDatum(&request)));
	foreach(lc, implied)
	{
		FmCondition condition;

		if (!match_clause(match->root, match->rel->relid, column, lfirst(lc),
						  &condition))
			continue;
		condition.clause = clause;
		condition.lossy = true;
		conditions = lappend(conditions, keep(&condition));
	}
	return conditions;
}

/* All that clause says of column. */
static List *
match_column(const Match *match, const KeyColumn *column, Expr *clause)
{
	FmCondition condition;

	if (match_clause(match->root, match->rel->relid, column, clause,
					 &condition))
		return list_make1(keep(&condition));
	if (IsA(clause, RowCompareExpr))
		return match_row_comparison(match, column, (RowCompareExpr *) clause);
	if (IsA(clause, OpExpr) || IsA(clause, FuncExpr))
		return match_by_support(match, column, clause);
	return NIL;
}

/* The conditions of a conjunction of clauses. */
static List *
match_all(const Match *match, List *clauses)
{
	List	   *conditions = NIL;
	int			nlists = 0;
	int			keyno;

	for (keyno = 0; keyno < match->ncolumns; keyno++)
	{
		List	   *of_column = NIL;
		FmCondition *best = NULL;
		ListCell   *lc;

		foreach(lc, clauses)
			of_column = list_concat(of_column,
									match_column(match,
												 &match->columns[keyno],
												 lfirst(lc)));
		foreach(lc, of_column)
		{
			FmCondition *condition = lfirst(lc);

			if (condition->kind <= FM_CONDITION_NULL &&
				(best == NULL || best->kind == FM_CONDITION_ANY))
				best = condition;
		}

		/* The first column without equality: its bounds end the search. */
		if (best == NULL)
		{
			foreach(lc, of_column)
				((FmCondition *) lfirst(lc))->lossy |= nlists > 1;
			return list_concat(conditions, of_column);
		}

		/* Where there are too many keys, a scan stops at a second list. */
		nlists += best->kind == FM_CONDITION_ANY;
		best->lossy |= nlists > 1;
		conditions = lappend(conditions, best);
	}
	return conditions;
}

/* Does every clause of the list have a condition that stands for it? */
static bool
are_exact(List *clauses, List *conditions)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, clauses)
	{
		bool		found = false;

		foreach(lc2, conditions)
		{
			FmCondition *condition = lfirst(lc2);

			found |= condition->clause == lfirst(lc) && !condition->lossy;
		}
		if (!found)
			return false;
	}
	return true;
}

/*
 * The conditions of each arm of an OR, the other clauses beside it.  NIL if
 * an arm has none of its own.
 */
static List *
match_arms(const Match *match, Expr *or_clause, List *clauses)
{
	List	   *others = list_delete_ptr(list_copy(clauses), or_clause);
	List	   *conditions = NIL;
	bool		exact = true;
	int			alternative = 0;
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, ((BoolExpr *) or_clause)->args)
	{
		List	   *arm = make_ands_implicit(lfirst(lc));
		List	   *of_arm = match_all(match, list_concat_copy(arm, others));
		bool		own = false;

		exact &= are_exact(arm, of_arm);
		foreach(lc2, of_arm)
		{
			FmCondition *condition = lfirst(lc2);

			condition->alternative = alternative;
			condition->lossy = true;
			if (list_member_ptr(arm, condition->clause))
			{
				condition->clause = or_clause;
				own = true;
			}
		}
		if (!own)
			return NIL;
		conditions = list_concat(conditions, of_arm);
		alternative++;
	}
	foreach(lc, conditions)
	{
		FmCondition *condition = lfirst(lc);

		if (exact && condition->clause == or_clause)
			condition->lossy = false;
	}
	return conditions;
}

/* How far conditions narrow a scan: by columns, and bounds behind them. */
static int
depth_of(List *conditions)
{
	int			prefix = fm_conditions_prefix(conditions);
	int			nbounded = 0;
	int			last = -1;
	ListCell   *lc;

	foreach(lc, conditions)
	{
		FmCondition *condition = lfirst(lc);

		if (condition->keyno == prefix && condition->alternative > last)
		{
			nbounded++;
			last = condition->alternative;
		}
	}
	return prefix * 2 + (nbounded > 0 && nbounded == last + 1);
}

List *
fm_match_conditions(PlannerInfo *root, RelOptInfo *rel,
					const FmTableOptions *options, List *clauses)
{
	Match		match;
	List	   *best;
	ListCell   *lc;

	init_match(&match, root, rel, options);
	best = match_all(&match, clauses);
	foreach(lc, clauses)
	{
		List	   *conditions;

		if (!is_orclause(lfirst(lc)) ||
			fm_conditions_prefix(best) == options->nkeys)
			continue;
		conditions = match_arms(&match, lfirst(lc), clauses);
		if (depth_of(conditions) > depth_of(best))
			best = conditions;
	}
	return best;
}

static bool
is_key_condition(const Match *match, Expr *clause)
{
	int			keyno;
	ListCell   *lc;

	if (is_orclause(clause))
	{
		foreach(lc, ((BoolExpr *) clause)->args)
		{
			if (!is_key_condition(match, lfirst(lc)))
				return false;
		}
		return true;
	}
	if (is_andclause(clause))
	{
		foreach(lc, ((BoolExpr *) clause)->args)
		{
			if (is_key_condition(match, lfirst(lc)))
				return true;
		}
		return false;
	}
	for (keyno = 0; keyno < match->ncolumns; keyno++)
	{
		if (match_column(match, &match->columns[keyno], clause) != NIL)
			return true;
	}
	return false;
}

bool
fm_is_key_condition(PlannerInfo *root, RelOptInfo *rel,
					const FmTableOptions *options, Expr *clause)
{
	Match		match;

	init_match(&match, root, rel, options);
	return is_key_condition(&match, clause);
}

int
fm_conditions_prefix(List *conditions)
{
	int			prefix = -1;
	int			n = 0;
	int			alternative = 0;
	ListCell   *lc;

	foreach(lc, conditions)
	{
		FmCondition *condition = lfirst(lc);

		if (condition->alternative != alternative)
		{
			prefix = prefix < 0 ? n : Min(prefix, n);
			n = 0;
			alternative = condition->alternative;
		}
		if (condition->kind <= FM_CONDITION_NULL)
			n++;
	}
	return prefix < 0 ? n : Min(prefix, n);
}

double
fm_conditions_lookups(PlannerInfo *root, List *conditions)
{
	double		lookups = 0;
	double		n = 1;
	int			alternative = 0;
	ListCell   *lc;

	foreach(lc, conditions)
	{
		FmCondition *condition = lfirst(lc);

		if (condition->alternative != alternative)
		{
			lookups += n;
			n = 1;
			alternative = condition->alternative;
		}
		if (condition->kind == FM_CONDITION_ANY)
			n *= Max(fm_estimate_array_length(root,
											  (Node *) condition->value), 1);
	}
	return lookups + n;
}
