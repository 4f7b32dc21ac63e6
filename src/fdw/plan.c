/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  Sizes, paths and plans of scans.
 *
 * A plan holds catalog facts only: which columns are read, which clauses are
 * conditions on the key.  What HEAD says is used for costs, and to guess which
 * share of the rows is read, and asked again when the plan runs.
 *
 * A table has these paths: one over the conditions of its own clauses (all
 * of it, where there are none), the same in key order and in its reverse
 * where that order is of use, and one for each set of other relations whose
 * join clauses fix more of the key.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/stratnum.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/prep.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "cache/block_cache.h"
#include "compat.h"
#include "engine/sample.h"
#include "engine/xact.h"
#include "fdw/fdw.h"
#include "fdw/option.h"
#include "fdw/quals.h"
#include "fdw/scan_plan.h"
#include "fdw/table.h"
#include "manifest/snapshot.h"

/* Costs, in units of cpu_operator_cost: measured beside a native index. */
#define COST_LOOKUP 60.0		/* a key look-up, apart from its runs */
#define COST_RUN_PROBE 15.0		/* a run whose filter is asked */
#define COST_ROW_DECODE 2.0		/* a row of a scan */

/*
 * Costs of a store that is far away, in units of seq_page_cost: a round trip
 * of 20 ms, where a page that is read in order takes 5 us, and a block at 100
 * MB a second.
 */
#define COST_ROUND_TRIP 4000.0
#define COST_FAR_BLOCK 8.0
#define BLOCKS_IN_FLIGHT 128
#define CACHE_SAMPLES 16		/* blocks that are looked for in the cache */

/* Sets of outer relations for which a parameterized path is made. */
#define MAX_OUTER_SETS 16

/* What is known of a table while it is planned: rel->fdw_private. */
typedef struct RelPlan
{
	FmTableOptions *options;
	FmTableSize size;
	bool		only_read;		/* rows are neither changed nor locked */
	bool		is_far;			/* the store takes a round trip to answer */
	double		miss_rate;		/* data blocks that the cache does not hold */
} RelPlan;

/*
 * Tells the planner that the key is unique: it then knows the number of
 * distinct values of a one-column key without ANALYZE, and that a join on the
 * whole key finds at most one row.  No path is made from it, since no index
 * scan is planned for a foreign table.
 */
static void
add_unique_key(PlannerInfo *root, RelOptInfo *rel, const FmTableOptions *options)
{
	IndexOptInfo *index = makeNode(IndexOptInfo);
	RangeTblEntry *rte = planner_rt_fetch(rel->relid, root);
	int			n = options->nkeys;
	int			i;

	index->rel = rel;
	index->ncolumns = n;
	index->nkeycolumns = n;
	index->indexkeys = palloc(sizeof(int) * n);
	index->indexcollations = palloc(sizeof(Oid) * n);
	index->opfamily = palloc(sizeof(Oid) * n);
	index->opcintype = palloc(sizeof(Oid) * n);
	index->canreturn = palloc0(sizeof(bool) * n);
	for (i = 0; i < n; i++)
	{
		AttrNumber	attnum = options->key_attnums[i];
		Oid			type;
		int32		typmod;
		Oid			collation;
		Var		   *var;

		get_atttypetypmodcoll(rte->relid, attnum, &type, &typmod, &collation);
		if (!fm_key_opfamily(getBaseType(type), &index->opfamily[i],
							 &index->opcintype[i]))
			return;
		index->indexkeys[i] = attnum;
		index->indexcollations[i] = collation;
		var = makeVar(rel->relid, attnum, type, typmod, collation, 0);
		index->indextlist = lappend(index->indextlist,
									makeTargetEntry((Expr *) var, i + 1, NULL,
													false));
	}
	index->unique = true;
	index->immediate = true;
	rel->indexlist = lappend(rel->indexlist, index);
}

static bool
is_only_read(PlannerInfo *root, const RelOptInfo *rel)
{
	const PlanRowMark *mark = get_plan_rowmark(root->rowMarks, rel->relid);

	return !bms_is_member(rel->relid, root->all_result_relids) &&
		(mark == NULL || mark->strength == LCS_NONE);
}

/* Joins are dropped before sizes are asked for: the key is known from here. */
void
fm_plan_relation_info(PlannerInfo *root, Oid relid, bool inhparent,
					  RelOptInfo *rel)
{
	Relation	relation;

	if (rel->fdwroutine == NULL ||
		rel->fdwroutine->GetForeignRelSize != fmGetForeignRelSize)
		return;
	relation = table_open(relid, NoLock);
	add_unique_key(root, rel, fm_table_options(relation));
	table_close(relation, NoLock);
}

/* The part of data blocks that a reader will not find in the cache. */
static double
miss_rate(FmOpenTable *open, const FmTableSize *size)
{
	double		cached = (double) fm_cache_size();
	FmStats		stats;
	FmFetch		fetch;

	/* Blocks are cached decompressed, about twice their stored size. */
	if (open->store->ops->is_near || open->table == NULL)
		return size->bytes * 2 <= cached ? 0.02 :
			Max(0.02, 1 - cached / (size->bytes * 2));
	memset(&stats, 0, sizeof(stats));
	memset(&fetch, 0, sizeof(fetch));
	fetch.store = open->store;
	fetch.stats = &stats;
	fetch.version = open->version;
	return 1 - fm_cached_part(&fetch, open->table, CACHE_SAMPLES);
}

void
fmGetForeignRelSize(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid)
{
	RelPlan    *plan = palloc0(sizeof(RelPlan));
	Relation	rel = table_open(foreigntableid, NoLock);
	FmOpenTable *open = fm_open_table(rel,
									  fm_rel_check_as_user(root, baserel),
									  FM_OPEN_PLAN);
	List	   *conditions;

	plan->options = fm_table_options(rel);
	plan->only_read = is_only_read(root, baserel);
	fm_table_size(open, &plan->size);
	plan->is_far = !open->store->ops->is_near;
	plan->miss_rate = miss_rate(open, &plan->size);
	fm_close_table(open);
	table_close(rel, NoLock);
	baserel->fdw_private = plan;
	baserel->tuples = plan->size.rows;
	baserel->pages = fm_size_pages(&plan->size);
	set_baserel_size_estimates(root, baserel);
	conditions = fm_match_conditions(root, baserel, plan->options,
									 extract_actual_clauses(baserel->baserestrictinfo,
															false));
	if (fm_conditions_prefix(conditions) == plan->options->nkeys)
		baserel->rows = Min(baserel->rows,
							fm_conditions_lookups(root, conditions));
}

/*
 * The block reads, of a store that is far away the round trips, of look-ups
 * that go on for a number of outer rows: a block is read once.
 */
static double
cost_fetches(const RelPlan *plan, double lookups, double loops)
{
	double		blocks = Max(plan->size.blocks, 1);
	double		all = lookups * loops;
	double		distinct = blocks * (1 - exp(-all / blocks));
	double		fetches = lookups * Min(distinct / all, 1) * plan->miss_rate;

	if (!plan->is_far)
		return fetches * random_page_cost;
	return Min(fetches, 1 + fetches / BLOCKS_IN_FLIGHT) * COST_ROUND_TRIP *
		seq_page_cost;
}

/* How often a scan with these outer relations is likely to be repeated. */
static double
count_loops(PlannerInfo *root, Relids outer)
{
	double		loops = 0;
	int			relid = -1;

	while ((relid = bms_next_member(outer, relid)) >= 0)
	{
		RelOptInfo *rel = root->simple_rel_array[relid];

		if (rel != NULL && rel->rows > 0 && (loops == 0 || rel->rows < loops))
			loops = rel->rows;
	}
	return Max(loops, 1);
}

/* Of the table's rows, those that conditions leave. */
static double
conditions_share(PlannerInfo *root, RelOptInfo *baserel, List *conditions)
{
	List	   *bounds = NIL;
	ListCell   *lc;

	foreach(lc, conditions)
		bounds = list_append_unique_ptr(bounds,
										((FmCondition *) lfirst(lc))->clause);
	return clauselist_selectivity(root, bounds, baserel->relid, JOIN_INNER,
								  NULL);
}

static void
cost_scan(PlannerInfo *root, RelOptInfo *baserel, const RelPlan *plan,
		  List *conditions, List *clauses, double rows, Relids outer,
		  Cost *startup, Cost *total)
{
	QualCost	quals;
	double		lookups = fm_conditions_lookups(root, conditions);
	double		fetches = cost_fetches(plan, lookups,
									   count_loops(root, outer));
	double		probe;

	cost_qual_eval(&quals, clauses, root);
	*startup = quals.startup + baserel->reltarget->cost.startup;
	probe = (COST_LOOKUP + plan->size.runs * COST_RUN_PROBE) * cpu_operator_cost;
	if (conditions != NIL &&
		fm_conditions_prefix(conditions) == plan->options->nkeys)
	{
		*total = *startup + lookups * probe + fetches;
	}
	else
	{
		double		scanned = plan->size.rows;
		double		blocks = plan->size.blocks;

		if (conditions != NIL)
		{
			scanned *= conditions_share(root, baserel, conditions);
			blocks *= scanned / Max(plan->size.rows, 1);
		}
		*startup += probe;
		*total = *startup +
			(lookups - 1) * probe + fetches +
			blocks * seq_page_cost * plan->miss_rate *
			(plan->is_far ? COST_FAR_BLOCK : 1) +
			scanned * (quals.per_tuple + COST_ROW_DECODE * cpu_operator_cost);
	}
	*total += rows * (cpu_tuple_cost + baserel->reltarget->cost.per_tuple);
}

/*
 * "WHERE flag", or "k IS NULL", fixes a column, though no equivalence class
 * says so.
 */
static bool
is_fixed(List *conditions, int keyno)
{
	bool		fixed = false;
	ListCell   *lc;

	foreach(lc, conditions)
	{
		FmCondition *condition = lfirst(lc);

		if (condition->alternative > 0)
			return false;
		fixed |= condition->keyno == keyno &&
			(condition->kind == FM_CONDITION_EQ ||
			 condition->kind == FM_CONDITION_NULL);
	}
	return fixed;
}

/*
 * The pathkeys that a scan in key order, or in its reverse, has: for as many
 * leading columns as the query cares for.  Columns whose bytes do not have
 * their type's order end the list.
 */
static List *
key_pathkeys(PlannerInfo *root, RelOptInfo *baserel, const RelPlan *plan,
			 List *conditions, bool backward)
{
	RangeTblEntry *rte = planner_rt_fetch(baserel->relid, root);
	List	   *pathkeys = NIL;
	int			i;

	for (i = 0; i < plan->options->nkeys; i++)
	{
		AttrNumber	attnum = plan->options->key_attnums[i];
		bool		desc = plan->options->key_desc[i] != backward;
		FmTypeForm	form;
		Oid			type;
		int32		typmod;
		Oid			collation;
		Oid			opfamily;
		Oid			opcintype;
		Oid			sortop;
		List	   *one;
		Expr	   *expr;

		get_atttypetypmodcoll(rte->relid, attnum, &type, &typmod, &collation);
		fm_schema_type_form(type, typmod, &form);
		if (form.key_type == FM_KEY_ENUM ||
			(OidIsValid(collation) && !fm_schema_collation_is_bytes(collation)) ||
			!fm_key_opfamily(form.base, &opfamily, &opcintype))
			break;
		sortop = get_opfamily_member(opfamily, opcintype, opcintype,
									 desc ? BTGreaterStrategyNumber :
									 BTLessStrategyNumber);
		expr = (Expr *) makeVar(baserel->relid, attnum, type, typmod,
								collation, 0);

		/* As an index on a varchar column has it: relabelled to text. */
		expr = canonicalize_ec_expression(expr, opcintype, collation);
		one = fm_build_expression_pathkey(root, expr, sortop, baserel);
		if (one == NIL && is_fixed(conditions, i))
			continue;
		if (one == NIL)
			break;
		if (!list_member_ptr(pathkeys, linitial(one)) &&
			!EC_MUST_BE_REDUNDANT(((PathKey *) linitial(one))->pk_eclass))
			pathkeys = lappend(pathkeys, linitial(one));
	}
	return truncate_useless_pathkeys(root, baserel, pathkeys);
}

static void
add_scan_path(PlannerInfo *root, RelOptInfo *baserel, const RelPlan *plan,
			  List *conditions, List *clauses, double rows, List *pathkeys,
			  bool backward, Relids required_outer)
{
	Cost		startup;
	Cost		total;

	cost_scan(root, baserel, plan, conditions, clauses, rows, required_outer,
			  &startup, &total);
	add_path(baserel, (Path *)
			 fm_create_foreignscan_path(root, baserel, rows, startup, total,
										pathkeys, required_outer,
										list_make1(makeBoolean(backward))));
}

/* As costsize.c reckons: the leader has its own work too. */
static double
parallel_divisor(int nworkers)
{
	double		of_leader = 1.0 - 0.3 * nworkers;

	return nworkers +
		(parallel_leader_participation ? Max(of_leader, 0) : 0);
}

/* A scan whose pieces workers share: of a range, in no order. */
static void
add_partial_path_of_pieces(PlannerInfo *root, RelOptInfo *baserel,
						   const RelPlan *plan, List *conditions,
						   List *clauses)
{
	double		pages = plan->size.blocks * plan->options->block.block_size /
	BLCKSZ;
	ForeignPath *path;
	double		divisor;
	Cost		startup;
	Cost		total;
	int			nworkers;

	if (!baserel->consider_parallel ||
		!bms_is_empty(baserel->lateral_relids))
		return;
	nworkers = compute_parallel_worker(baserel, pages, -1,
									   max_parallel_workers_per_gather);
	if (nworkers == 0)
		return;
	divisor = parallel_divisor(nworkers);
	cost_scan(root, baserel, plan, conditions, clauses, baserel->rows, NULL,
			  &startup, &total);
	path = fm_create_foreignscan_path(root, baserel,
									  clamp_row_est(baserel->rows / divisor),
									  startup,
									  startup + (total - startup) / divisor,
									  NIL, NULL,
									  list_make1(makeBoolean(false)));
	path->path.parallel_aware = true;
	path->path.parallel_workers = nworkers;
	add_partial_path(baserel, (Path *) path);
}

static bool
member_is_key_column(PlannerInfo *root, RelOptInfo *rel, EquivalenceClass *ec,
					 EquivalenceMember *em, void *arg)
{
	Node	   *node = (Node *) em->em_expr;

	while (IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	return IsA(node, Var) && ((Var *) node)->varno == (int) rel->relid &&
		((Var *) node)->varattno == *(AttrNumber *) arg;
}

/* Adds a set of relations, and its unions with those that are there. */
static List *
add_outer_set(List *sets, Relids outer)
{
	List	   *added = list_make1(outer);
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, sets)
		added = lappend(added, bms_union(lfirst(lc), outer));
	foreach(lc, added)
	{
		bool		known = false;

		foreach(lc2, sets)
			known |= bms_equal(lfirst(lc2), lfirst(lc));
		if (!known && list_length(sets) < MAX_OUTER_SETS)
			sets = lappend(sets, lfirst(lc));
	}
	return sets;
}

/* The sets of relations whose join clauses might be conditions. */
static List *
outer_sets(PlannerInfo *root, RelOptInfo *baserel, const RelPlan *plan)
{
	List	   *clauses = list_copy(baserel->joininfo);
	List	   *sets = NIL;
	int			keyno;
	ListCell   *lc;

	for (keyno = 0; keyno < plan->options->nkeys &&
		 baserel->has_eclass_joins; keyno++)
	{
		AttrNumber	attnum = plan->options->key_attnums[keyno];

		clauses = list_concat(clauses,
							  generate_implied_equalities_for_column(root,
																	 baserel,
																	 member_is_key_column,
																	 &attnum,
																	 baserel->lateral_referencers));
	}
	foreach(lc, clauses)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);
		Relids		outer;

		if (!join_clause_is_movable_to(rinfo, baserel) ||
			!fm_is_key_condition(root, baserel, plan->options, rinfo->clause))
			continue;
		outer = bms_union(rinfo->clause_relids, baserel->lateral_relids);
		outer = bms_del_member(outer, baserel->relid);
		if (!bms_is_empty(outer))
			sets = add_outer_set(sets, outer);
	}
	return sets;
}

/* Are there conditions of clauses that are not among the table's own? */
static bool
has_join_condition(List *conditions, List *own)
{
	ListCell   *lc;

	foreach(lc, conditions)
	{
		if (!list_member_ptr(own, ((FmCondition *) lfirst(lc))->clause))
			return true;
	}
	return false;
}

void
fmGetForeignPaths(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid)
{
	RelPlan    *plan = baserel->fdw_private;
	List	   *clauses = extract_actual_clauses(baserel->baserestrictinfo,
												 false);
	List	   *conditions = fm_match_conditions(root, baserel, plan->options,
												 clauses);
	int			prefix = fm_conditions_prefix(conditions);
	List	   *forward = NIL;
	List	   *reverse = NIL;
	ListCell   *lc;

	if (prefix < plan->options->nkeys ||
		fm_conditions_lookups(root, conditions) > 1)
	{
		forward = key_pathkeys(root, baserel, plan, conditions, false);
		reverse = key_pathkeys(root, baserel, plan, conditions, true);
	}
	add_scan_path(root, baserel, plan, conditions, clauses, baserel->rows,
				  forward, false, baserel->lateral_relids);
	if (reverse != NIL)
		add_scan_path(root, baserel, plan, conditions, clauses, baserel->rows,
					  reverse, true, baserel->lateral_relids);
	if (prefix < plan->options->nkeys)
		add_partial_path_of_pieces(root, baserel, plan, conditions, clauses);

	foreach(lc, outer_sets(root, baserel, plan))
	{
		Relids		outer = lfirst(lc);
		ParamPathInfo *info = get_baserel_parampathinfo(root, baserel, outer);
		List	   *all = list_concat_copy(clauses,
										   extract_actual_clauses(info->ppi_clauses,
																  false));

		conditions = fm_match_conditions(root, baserel, plan->options, all);
		if (!has_join_condition(conditions, clauses))
			continue;
		if (fm_conditions_prefix(conditions) == plan->options->nkeys)
			info->ppi_rows = Min(info->ppi_rows,
								 fm_conditions_lookups(root, conditions));
		add_scan_path(root, baserel, plan, conditions, all, info->ppi_rows,
					  NIL, false, outer);
	}
}

/* The columns that the scan must decode, as a list of attnums. */
static List *
needed_columns(RelOptInfo *baserel, List *quals, const RelPlan *plan,
			   TupleDesc desc)
{
	Bitmapset  *used = NULL;
	List	   *attnums = NIL;
	bool		whole;
	int			i;

	pull_varattnos((Node *) baserel->reltarget->exprs, baserel->relid, &used);
	pull_varattnos((Node *) quals, baserel->relid, &used);
	whole = bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, used);
	for (i = 1; i <= desc->natts; i++)
	{
		if (!TupleDescAttr(desc, i - 1)->attisdropped &&
			(whole ||
			 bms_is_member(i - FirstLowInvalidHeapAttributeNumber, used)))
			attnums = lappend_int(attnums, i);
	}
	return attnums;
}

/* Who changes or locks rows may wait for locks, and in an order. */
bool
fm_plan_is_async_capable(const RelOptInfo *rel)
{
	const RelPlan *plan = rel->fdw_private;

	return plan->only_read &&
		!fm_location_is_local(plan->options->store.location);
}

/* Whether rows are read in order to be changed or locked. */
static FmScanLocking
locking_of(PlannerInfo *root, RelOptInfo *baserel)
{
	PlanRowMark *mark;

	if (bms_is_member(baserel->relid, root->all_result_relids))
		return FM_SCAN_WILL_CHANGE;
	mark = get_plan_rowmark(root->rowMarks, baserel->relid);
	if (mark == NULL || mark->strength == LCS_NONE)
		return FM_SCAN_READS;
	if (mark->waitPolicy != LockWaitBlock)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("NOWAIT and SKIP LOCKED are not supported for foreign table \"%s\"",
						get_rel_name(planner_rt_fetch(baserel->relid,
													  root)->relid)),
				 errdetail("A row lock joins the conflict check at commit; nothing is known before.")));
	return FM_SCAN_LOCKS;
}

/*
 * Of the table's rows, how many a scan is likely to read: a query that wants
 * its first rows only may end it early.
 */
static double
likely_share(PlannerInfo *root, RelOptInfo *baserel, const RelPlan *plan,
			 List *conditions)
{
	double		share = 1;

	if (conditions != NIL)
		share = conditions_share(root, baserel, conditions);
	if (root->tuple_fraction >= 1)
		share = Min(share, root->tuple_fraction / Max(plan->size.rows, 1));
	else if (root->tuple_fraction > 0)
		share *= root->tuple_fraction;
	return share;
}

ForeignScan *
fmGetForeignPlan(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid,
				 ForeignPath *best_path, List *tlist, List *scan_clauses,
				 Plan *outer_plan)
{
	RelPlan    *plan = baserel->fdw_private;
	Relation	rel = table_open(foreigntableid, NoLock);
	List	   *clauses = extract_actual_clauses(scan_clauses, false);
	List	   *conditions = fm_match_conditions(root, baserel, plan->options,
												 clauses);
	List	   *condition_clauses = NIL;
	List	   *exact_clauses = NIL;
	List	   *values = NIL;
	List	   *kinds = NIL;
	List	   *private[FM_SCAN_NPRIVATE];
	List	   *local;
	ListCell   *lc;
	ForeignScan *scan;

	foreach(lc, conditions)
	{
		FmCondition *condition = lfirst(lc);

		condition_clauses = list_append_unique_ptr(condition_clauses,
												   condition->clause);
		if (!condition->lossy)
			exact_clauses = lappend(exact_clauses, condition->clause);
		kinds = lappend_int(kinds, condition->alternative);
		kinds = lappend_int(kinds, condition->keyno);
		kinds = lappend_int(kinds, condition->kind);
		if (condition->value != NULL)
			values = lappend(values, condition->value);
	}
	local = list_difference_ptr(clauses, exact_clauses);

	private[FM_SCAN_BACKWARD] = best_path->fdw_private;
	private[FM_SCAN_CONDITIONS] = kinds;
	private[FM_SCAN_COLUMNS] = needed_columns(baserel, clauses, plan,
											  RelationGetDescr(rel));
	private[FM_SCAN_LOCKING] =
		list_make1(makeInteger(locking_of(root, baserel)));

	/* With a point, or it is read back as an integer. */
	private[FM_SCAN_SHARE] =
		list_make1(makeFloat(psprintf("%.9f", likely_share(root, baserel, plan,
														   conditions))));
	table_close(rel, NoLock);
	scan = make_foreignscan(tlist, local, baserel->relid, values,
							list_make5(private[0], private[1], private[2],
									   private[3], private[4]),
							NIL, condition_clauses, outer_plan);
	return scan;
}

/*
 * Workers read the leader's HEAD, which needs shared memory, and would not
 * see the transaction's own changes.
 */
bool
fmIsForeignScanParallelSafe(PlannerInfo *root, RelOptInfo *rel,
							RangeTblEntry *rte)
{
	FmStoreOptions server;

	if (!fm_snapshot_parallel_ok() || fm_xact_has_writes(NULL) ||
		(IsolationIsSerializable() && !XactReadOnly))
		return false;
	fm_server_options(GetForeignServer(rel->serverid), &server);
	return fm_location_is_local(server.location) || server.parallel;
}
