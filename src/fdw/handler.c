/*-------------------------------------------------------------------------
 *
 * handler.c
 *	  The wrapper's table of callbacks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "foreign/fdwapi.h"

#include "fdw/fdw.h"

PG_FUNCTION_INFO_V1(fusio_manifest_handler);

Datum
fusio_manifest_handler(PG_FUNCTION_ARGS)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	routine->GetForeignRelSize = fmGetForeignRelSize;
	routine->GetForeignPaths = fmGetForeignPaths;
	routine->GetForeignPlan = fmGetForeignPlan;
	routine->IsForeignScanParallelSafe = fmIsForeignScanParallelSafe;

	routine->BeginForeignScan = fmBeginForeignScan;
	routine->IterateForeignScan = fmIterateForeignScan;
	routine->ReScanForeignScan = fmReScanForeignScan;
	routine->EndForeignScan = fmEndForeignScan;
	routine->ExplainForeignScan = fmExplainForeignScan;

	routine->EstimateDSMForeignScan = fmEstimateDSMForeignScan;
	routine->InitializeDSMForeignScan = fmInitializeDSMForeignScan;
	routine->ReInitializeDSMForeignScan = fmReInitializeDSMForeignScan;
	routine->InitializeWorkerForeignScan = fmInitializeWorkerForeignScan;

	routine->IsForeignPathAsyncCapable = fmIsForeignPathAsyncCapable;
	routine->ForeignAsyncRequest = fmForeignAsyncRequest;
	routine->ForeignAsyncConfigureWait = fmForeignAsyncConfigureWait;
	routine->ForeignAsyncNotify = fmForeignAsyncNotify;

	routine->AddForeignUpdateTargets = fmAddForeignUpdateTargets;
	routine->PlanForeignModify = fmPlanForeignModify;
	routine->BeginForeignModify = fmBeginForeignModify;
	routine->ExecForeignInsert = fmExecForeignInsert;
	routine->ExecForeignBatchInsert = fmExecForeignBatchInsert;
	routine->GetForeignModifyBatchSize = fmGetForeignModifyBatchSize;
	routine->ExecForeignUpdate = fmExecForeignUpdate;
	routine->ExecForeignDelete = fmExecForeignDelete;
	routine->EndForeignModify = fmEndForeignModify;
	routine->BeginForeignInsert = fmBeginForeignInsert;
	routine->EndForeignInsert = fmEndForeignInsert;
	routine->ExplainForeignModify = fmExplainForeignModify;
	routine->IsForeignRelUpdatable = fmIsForeignRelUpdatable;
	routine->ExecForeignTruncate = fmExecForeignTruncate;

	routine->AnalyzeForeignTable = fmAnalyzeForeignTable;
	routine->ImportForeignSchema = fmImportForeignSchema;

	PG_RETURN_POINTER(routine);
}
