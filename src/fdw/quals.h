/*-------------------------------------------------------------------------
 *
 * quals.h
 *	  Which clauses of a query are conditions on the key.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_QUALS_H
#define FM_QUALS_H

#include "nodes/pathnodes.h"

#include "fdw/option.h"

typedef enum FmConditionKind
{
	FM_CONDITION_EQ,			/* column = value */
	FM_CONDITION_ANY,			/* column = ANY (value) */
	FM_CONDITION_NULL,			/* column IS NULL */
	FM_CONDITION_LT,
	FM_CONDITION_LE,
	FM_CONDITION_GE,
	FM_CONDITION_GT,
	FM_CONDITION_NOT_NULL,		/* column IS NOT NULL */
	FM_CONDITION_MORE			/* the next column of the bound before it */
} FmConditionKind;

typedef struct FmCondition
{
	FmConditionKind kind;
	int			alternative;	/* from 0: which arm of an OR it is of */
	int			keyno;			/* from 0 */
	Expr	   *value;			/* NULL for tests of NULL */
	Expr	   *clause;			/* that it stands for */
	bool		lossy;			/* clause implies it, but is narrower */
} FmCondition;

/*
 * The conditions among clauses (bare, without RestrictInfo) that narrow a
 * scan: at most one equality or NULL test for each column of a prefix of the
 * key, then bounds on the column after it.  Where an OR narrows more, there
 * are alternatives: such a list for each of its arms, one after the other.
 *
 * Each is implied by its clause, or that by the alternatives together, and,
 * unless it is lossy, implies it: that clause need not be a local filter.
 */
extern List *fm_match_conditions(PlannerInfo *root, RelOptInfo *rel,
								 const FmTableOptions *options,
								 List *clauses);

/*
 * Number of leading key columns that conditions fix to a value (or a list):
 * the smallest of the alternatives'.
 */
extern int	fm_conditions_prefix(List *conditions);

/* Keys, or prefixes of the key, that conditions mean. */
extern double fm_conditions_lookups(PlannerInfo *root, List *conditions);

/* True if clause may be a condition on any key column. */
extern bool fm_is_key_condition(PlannerInfo *root, RelOptInfo *rel,
								const FmTableOptions *options, Expr *clause);

/* The btree family and input type of a key column's default order. */
extern bool fm_key_opfamily(Oid type, Oid *opfamily, Oid *opcintype);

#endif							/* FM_QUALS_H */
