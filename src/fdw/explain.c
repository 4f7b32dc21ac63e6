/*-------------------------------------------------------------------------
 *
 * explain.c
 *	  What EXPLAIN shows of a scan, and of the look-ups that writing takes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/explain.h"
#include "nodes/makefuncs.h"
#include "utils/ruleutils.h"

#include "compat.h"
#include "engine/stat.h"
#include "fdw/fdw.h"

/*
 * Appends the plans from the top down to the target, nearest last; false if it
 * is not below the plan.  Values from outer rows have their names there.
 */
static bool
find_ancestors(Plan *plan, Plan *target, List **ancestors)
{
	List	   *children = NIL;
	ListCell   *lc;

	if (plan == NULL || plan == target)
		return plan != NULL;
	*ancestors = lcons(plan, *ancestors);
	if (IsA(plan, Append))
		children = ((Append *) plan)->appendplans;
	else if (IsA(plan, MergeAppend))
		children = ((MergeAppend *) plan)->mergeplans;
	else if (IsA(plan, SubqueryScan))
		children = list_make1(((SubqueryScan *) plan)->subplan);
	if (find_ancestors(plan->lefttree, target, ancestors) ||
		find_ancestors(plan->righttree, target, ancestors))
		return true;
	foreach(lc, children)
	{
		if (find_ancestors(lfirst(lc), target, ancestors))
			return true;
	}
	*ancestors = list_delete_first(*ancestors);
	return false;
}

static List *
ancestors_of(const ExplainState *es, Plan *target)
{
	List	   *ancestors = NIL;
	ListCell   *lc;

	if (find_ancestors(es->pstmt->planTree, target, &ancestors))
		return ancestors;
	foreach(lc, es->pstmt->subplans)
	{
		if (find_ancestors(lfirst(lc), target, &ancestors))
			break;
	}
	return ancestors;
}

static void
show_counters(const FmStats *stats, const FmStore *store, ExplainState *es)
{
	int			i;

	for (i = 0; i < FM_NCOUNTERS; i++)
		ExplainPropertyUInteger(fm_counter_titles[i],
								i == FM_BYTES_REQUESTED ? "bytes" : NULL,
								stats->count[i], es);
	if (!es->verbose || store == NULL || store->ops->is_near)
		return;
	ExplainPropertyFloat("Waiting Time", "ms", stats->wait_us / 1000.0, 3,
						 es);
	ExplainPropertyFloat("Request Price", "USD",
						 stats->count[FM_REQUESTS] * store->ops->read_price,
						 7, es);
}

void
fmExplainForeignScan(ForeignScanState *node, ExplainState *es)
{
	ForeignScan *plan = castNode(ForeignScan, node->ss.ps.plan);
	const FmStats *stats = fm_scan_stats(node);

	if (plan->fdw_recheck_quals != NIL)
	{
		Node	   *quals = (Node *) make_ands_explicit(plan->fdw_recheck_quals);
		List	   *context = set_deparse_context_plan(es->deparse_cxt,
													   (Plan *) plan,
													   ancestors_of(es, (Plan *) plan));

		ExplainPropertyText("Key Condition",
							deparse_expression(quals, context,
											   list_length(es->rtable) > 1 ||
											   es->verbose, false), es);
	}
	if (es->analyze && stats != NULL)
		show_counters(stats, fm_scan_store(node), es);
}

/* Nothing is shown of changes that took no look-up. */
void
fmExplainForeignModify(ModifyTableState *mtstate, ResultRelInfo *rinfo,
					   List *fdw_private, int subplan_index, ExplainState *es)
{
	FmStore    *store;
	const FmStats *stats;

	if (!es->analyze)
		return;
	stats = fm_modify_stats(rinfo, &store);
	if (stats != NULL)
		show_counters(stats, store, es);
}
