/*-------------------------------------------------------------------------
 *
 * fdw.h
 *	  The callbacks of the wrapper, one phase a file.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_FDW_H
#define FM_FDW_H

#include "access/parallel.h"
#include "commands/explain.h"
#include "foreign/fdwapi.h"
#include "nodes/pathnodes.h"

#include "compat.h"
#include "engine/stat.h"
#include "objstore/store.h"

/* plan.c */
extern void fm_plan_relation_info(PlannerInfo *root, Oid relid,
								  bool inhparent, RelOptInfo *rel);
extern void fmGetForeignRelSize(PlannerInfo *root, RelOptInfo *baserel,
								Oid foreigntableid);
extern void fmGetForeignPaths(PlannerInfo *root, RelOptInfo *baserel,
							  Oid foreigntableid);
extern ForeignScan *fmGetForeignPlan(PlannerInfo *root, RelOptInfo *baserel,
									 Oid foreigntableid, ForeignPath *best_path,
									 List *tlist, List *scan_clauses,
									 Plan *outer_plan);
extern bool fmIsForeignScanParallelSafe(PlannerInfo *root, RelOptInfo *rel,
										RangeTblEntry *rte);

/* scan.c */
extern void fmBeginForeignScan(ForeignScanState *node, int eflags);
extern TupleTableSlot *fmIterateForeignScan(ForeignScanState *node);
extern void fmReScanForeignScan(ForeignScanState *node);
extern void fmEndForeignScan(ForeignScanState *node);

extern Size fmEstimateDSMForeignScan(ForeignScanState *node,
									 ParallelContext *pcxt);
extern void fmInitializeDSMForeignScan(ForeignScanState *node,
									   ParallelContext *pcxt,
									   void *coordinate);
extern void fmReInitializeDSMForeignScan(ForeignScanState *node,
										 ParallelContext *pcxt,
										 void *coordinate);
extern void fmInitializeWorkerForeignScan(ForeignScanState *node,
										  shm_toc *toc, void *coordinate);

/*
 * For an asynchronous scan: goes on as far as it can without waiting, and
 * without showing a row; true if the next row, or the end, is at hand.
 */
extern bool fm_scan_advance(ForeignScanState *node);

/* async.c */
extern bool fmIsForeignPathAsyncCapable(ForeignPath *path);
extern void fmForeignAsyncRequest(AsyncRequest *areq);
extern void fmForeignAsyncConfigureWait(AsyncRequest *areq);
extern void fmForeignAsyncNotify(AsyncRequest *areq);

/* What a running scan has counted; NULL before it runs. */
extern const FmStats *fm_scan_stats(ForeignScanState *node);

/* The store that a scan reads; NULL if it has not begun to. */
extern FmStore *fm_scan_store(ForeignScanState *node);

/* analyze.c */
extern bool fmAnalyzeForeignTable(Relation rel, AcquireSampleRowsFunc *func,
								  BlockNumber *pages);

/* import.c */
extern List *fmImportForeignSchema(ImportForeignSchemaStmt *stmt,
								   Oid serverOid);

/* explain.c */
extern void fmExplainForeignScan(ForeignScanState *node, ExplainState *es);
extern void fmExplainForeignModify(ModifyTableState *mtstate,
								   ResultRelInfo *rinfo, List *fdw_private,
								   int subplan_index, ExplainState *es);

/* modify.c */
extern void fmAddForeignUpdateTargets(PlannerInfo *root, Index rtindex,
									  RangeTblEntry *target_rte,
									  Relation target_relation);
extern List *fmPlanForeignModify(PlannerInfo *root, ModifyTable *plan,
								 Index resultRelation, int subplan_index);
extern void fmBeginForeignModify(ModifyTableState *mtstate,
								 ResultRelInfo *rinfo, List *fdw_private,
								 int subplan_index, int eflags);
extern TupleTableSlot *fmExecForeignInsert(EState *estate,
										   ResultRelInfo *rinfo,
										   TupleTableSlot *slot,
										   TupleTableSlot *planSlot);
extern TupleTableSlot **fmExecForeignBatchInsert(EState *estate,
												 ResultRelInfo *rinfo,
												 TupleTableSlot **slots,
												 TupleTableSlot **planSlots,
												 int *numSlots);
extern int	fmGetForeignModifyBatchSize(ResultRelInfo *rinfo);
extern TupleTableSlot *fmExecForeignUpdate(EState *estate,
										   ResultRelInfo *rinfo,
										   TupleTableSlot *slot,
										   TupleTableSlot *planSlot);
extern TupleTableSlot *fmExecForeignDelete(EState *estate,
										   ResultRelInfo *rinfo,
										   TupleTableSlot *slot,
										   TupleTableSlot *planSlot);
extern void fmEndForeignModify(EState *estate, ResultRelInfo *rinfo);
extern void fmBeginForeignInsert(ModifyTableState *mtstate,
								 ResultRelInfo *rinfo);
extern void fmEndForeignInsert(EState *estate, ResultRelInfo *rinfo);
extern int	fmIsForeignRelUpdatable(Relation rel);
extern void fmExecForeignTruncate(List *rels, DropBehavior behavior,
								  bool restart_seqs);

/*
 * What looking keys up for changes of a table has counted, and the store;
 * makes the checks that were put off, which may raise.  NULL: there was none.
 */
extern const FmStats *fm_modify_stats(ResultRelInfo *rinfo, FmStore **store);

#endif							/* FM_FDW_H */
