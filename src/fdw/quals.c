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
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

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
	Oid			opfamily;
	bool		ordered;		/* bytes have the order of the type */
} KeyColumn;

bool
fm_key_opfamily(Oid type, Oid *opfamily, Oid *opcintype)
{
	Oid			opclass = GetDefaultOpClass(type, BTREE_AM_OID);

	if (!OidIsValid(opclass))
		return false;
	*opfamily = get_opclass_family(opclass);
	*opcintype = get_opclass_input_type(opclass);
	return true;
}

static bool
key_column(PlannerInfo *root, RelOptInfo *rel, const FmTableOptions *options,
		   int keyno, KeyColumn *column)
{
	RangeTblEntry *rte = planner_rt_fetch(rel->relid, root);
	FmTypeForm	form;
	Oid			type;
	int32		typmod;
	Oid			collation;
	Oid			opcintype;

	column->keyno = keyno;
	column->attnum = options->key_attnums[keyno];
	column->desc = options->key_desc[keyno];
	get_atttypetypmodcoll(rte->relid, column->attnum, &type, &typmod,
						  &collation);
	fm_schema_type_form(type, typmod, &form);
	column->type = form.base;
	column->ordered = form.key_type != FM_KEY_ENUM &&
		(!OidIsValid(collation) || fm_schema_collation_is_bytes(collation));
	return fm_key_opfamily(column->type, &column->opfamily, &opcintype);
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
		!contain_volatile_functions(node) && !contain_subplans(node);
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
match_more_columns(PlannerInfo *root, RelOptInfo *rel,
				   const FmTableOptions *options, const KeyColumn *first,
				   RowCompareExpr *row, const FmCondition *bound)
{
	List	   *more = NIL;
	int			i;

	for (i = 1; i < list_length(row->largs); i++)
	{
		KeyColumn	column;
		FmCondition *condition;
		Node	   *value = list_nth(row->rargs, i);
		Oid			collation = list_nth_oid(row->inputcollids, i);

		if (first->keyno + i >= options->nkeys ||
			!key_column(root, rel, options, first->keyno + i, &column) ||
			column.desc != first->desc || !column.ordered ||
			!is_column(list_nth(row->largs, i), rel->relid, column.attnum) ||
			list_nth_oid(row->opfamilies, i) != column.opfamily ||
			!collation_is_usable(&column, BTLessStrategyNumber, collation) ||
			!is_outer_value(root, value, rel->relid) ||
			!is_usable_type(&column, exprType(value)))
			break;
		condition = palloc0(sizeof(FmCondition));
		condition->kind = FM_CONDITION_MORE;
		condition->keyno = column.keyno;
		condition->value = (Expr *) value;
		condition->clause = bound->clause;
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
match_row_comparison(PlannerInfo *root, RelOptInfo *rel,
					 const FmTableOptions *options, const KeyColumn *column,
					 Expr *clause)
{
	RowCompareExpr *row = (RowCompareExpr *) clause;
	FmCondition *bound;
	Node	   *value;

	if (!IsA(clause, RowCompareExpr) || !column->ordered ||
		!is_column(linitial(row->largs), rel->relid, column->attnum))
		return NIL;
	value = linitial(row->rargs);
	if (linitial_oid(row->opfamilies) != column->opfamily ||
		!collation_is_usable(column, BTLessStrategyNumber,
							 linitial_oid(row->inputcollids)) ||
		!is_outer_value(root, value, rel->relid) ||
		!is_usable_type(column, exprType(value)))
		return NIL;
	bound = palloc0(sizeof(FmCondition));
	bound->kind = fm_row_is_less(row) ? FM_CONDITION_LE : FM_CONDITION_GE;
	bound->keyno = column->keyno;
	bound->value = (Expr *) value;
	bound->clause = clause;
	bound->lossy = true;
	return lcons(bound, match_more_columns(root, rel, options, column, row,
										   bound));
}

bool
fm_is_key_equality(PlannerInfo *root, RelOptInfo *rel,
				   const FmTableOptions *options, int keyno, Expr *clause)
{
	KeyColumn	column;
	FmCondition condition;

	return key_column(root, rel, options, keyno, &column) &&
		match_clause(root, rel->relid, &column, clause, &condition) &&
		condition.kind == FM_CONDITION_EQ;
}

static FmCondition *
keep(const FmCondition *condition)
{
	FmCondition *copy = palloc(sizeof(FmCondition));

	*copy = *condition;
	return copy;
}

List *
fm_match_conditions(PlannerInfo *root, RelOptInfo *rel,
					const FmTableOptions *options, List *clauses)
{
	List	   *conditions = NIL;
	bool		have_array = false;
	int			keyno;

	for (keyno = 0; keyno < options->nkeys; keyno++)
	{
		KeyColumn	column;
		FmCondition condition;
		FmCondition *best = NULL;
		ListCell   *lc;

		if (!key_column(root, rel, options, keyno, &column))
			break;
		foreach(lc, clauses)
		{
			if (!match_clause(root, rel->relid, &column, lfirst(lc),
							  &condition) ||
				condition.kind > FM_CONDITION_NULL ||
				(condition.kind == FM_CONDITION_ANY && have_array))
				continue;
			if (best == NULL || best->kind == FM_CONDITION_ANY)
				best = keep(&condition);
		}
		if (best != NULL)
		{
			have_array |= best->kind == FM_CONDITION_ANY;
			conditions = lappend(conditions, best);
			continue;
		}

		/* The first column without equality: its bounds end the search. */
		foreach(lc, clauses)
		{
			if (match_clause(root, rel->relid, &column, lfirst(lc),
							 &condition) &&
				condition.kind >= FM_CONDITION_LT)
				conditions = lappend(conditions, keep(&condition));
			else
				conditions = list_concat(conditions,
										 match_row_comparison(root, rel,
															  options, &column,
															  lfirst(lc)));
		}
		break;
	}
	return conditions;
}

int
fm_conditions_prefix(List *conditions)
{
	ListCell   *lc;
	int			n = 0;

	foreach(lc, conditions)
	{
		if (((FmCondition *) lfirst(lc))->kind <= FM_CONDITION_NULL)
			n++;
	}
	return n;
}
