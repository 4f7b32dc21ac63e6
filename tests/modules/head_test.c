/*-------------------------------------------------------------------------
 *
 * head_test.c
 *	  HEADs that no test has the time to wait for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "compat.h"
#include "format/head.h"
#include "objstore/pg_alloc.h"

PG_FUNCTION_INFO_V1(fm_test_later_head);

/*
 * fm_test_later_head(head bytea, versions int, features bigint): as if so
 * many fences had followed and the log had kept the last one only; and, if
 * features is not 0, written by a release that has more of them.
 */
Datum
fm_test_later_head(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);
	FmAlloc		alloc = fm_palloc_alloc(CurrentMemoryContext);
	FmCommitRecord *record = palloc0(sizeof(FmCommitRecord));
	FmHead	   *head;
	FmFault		fault;
	FmBuf		out;
	bytea	   *result;

	if (fm_head_decode(fm_slice((uint8 *) VARDATA_ANY(bytes),
								VARSIZE_ANY_EXHDR(bytes)),
					   &alloc, &head, &fault) != FM_OK)
		elog(ERROR, "not a HEAD: %s", fault.what);
	head->version += PG_GETARG_INT32(1);
	record->version = head->version;
	record->previous = head->commit_id;
	record->store_time = head->records[head->nrecords - 1].store_time;
	memset(&record->commit_id, 0x77, sizeof(FmId));
	record->writer = record->commit_id;
	head->commit_id = record->commit_id;
	head->records = record;
	head->nrecords = 1;
	head->nlog_pages = 0;
	head->log_floor = head->version - 1;
	head->required_features |= (uint64) PG_GETARG_INT64(2);
	fm_buf_init(&out, &alloc);
	if (fm_head_encode(head, &out) != FM_OK)
		elog(ERROR, "could not encode HEAD");
	result = palloc(VARHDRSZ + out.len);
	SET_VARSIZE(result, VARHDRSZ + out.len);
	memcpy(VARDATA(result), out.data, out.len);
	PG_RETURN_BYTEA_P(result);
}
