/*-------------------------------------------------------------------------
 *
 * pg_status.c
 *	  The one map from FmStatus to SQLSTATE.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "objstore/pg_status.h"

int
fm_status_sqlstate(FmStatus status)
{
	switch (status)
	{
		case FM_OK:
			return ERRCODE_SUCCESSFUL_COMPLETION;
		case FM_CORRUPTION:
			return ERRCODE_DATA_CORRUPTED;
		case FM_UNSUPPORTED:
			return ERRCODE_FEATURE_NOT_SUPPORTED;
		case FM_TOO_LARGE:
			return ERRCODE_PROGRAM_LIMIT_EXCEEDED;
		case FM_NO_MEMORY:
			return ERRCODE_OUT_OF_MEMORY;
		case FM_INVALID:
			return ERRCODE_INVALID_PARAMETER_VALUE;
		case FM_STOPPED:
			break;
	}
	return ERRCODE_INTERNAL_ERROR;
}

static const char *
kind_name(FmObjectKind kind)
{
	return kind == FM_OBJECT_RUN ? "run" : "page";
}

static int
fault_hint(FmStatus status)
{
	if (status == FM_UNSUPPORTED)
		return errhint("Another release of fusio_manifest wrote it; the table must be rebuilt for this one.");
	return 0;
}

void
fm_raise_object_fault(FmStore *store, FmObjectKind kind, const FmId *id,
					  uint64_t offset, const FmFault *fault)
{
	char		hex[33];

	fm_id_to_hex(id, hex);
	ereport(ERROR,
			(errcode(fm_status_sqlstate(fault->status)),
			 errmsg("could not read block at offset %llu of %s \"%s\"",
					(unsigned long long) (offset + fault->offset),
					kind_name(kind), hex),
			 errdetail("Server \"%s\": %s.",
					   store->options.servername, fault->what),
			 fault_hint(fault->status)));
}

void
fm_log_object_fault(FmStore *store, FmObjectKind kind, const FmId *id,
					uint64_t offset, const FmFault *fault)
{
	char		hex[33];

	fm_id_to_hex(id, hex);
	ereport(LOG,
			(errmsg("reading block at offset %llu of %s \"%s\" again",
					(unsigned long long) (offset + fault->offset),
					kind_name(kind), hex),
			 errdetail("Server \"%s\": %s.",
					   store->options.servername, fault->what)));
}

void
fm_log_head_fault(FmStore *store, const FmFault *fault)
{
	ereport(LOG,
			(errmsg("reading HEAD of server \"%s\" again",
					store->options.servername),
			 errdetail("At offset %llu: %s.",
					   (unsigned long long) fault->offset, fault->what)));
}

void
fm_raise_head_fault(FmStore *store, const FmFault *fault)
{
	ereport(ERROR,
			(errcode(fm_status_sqlstate(fault->status)),
			 errmsg("could not read HEAD of server \"%s\"",
					store->options.servername),
			 errdetail("At offset %llu: %s.",
					   (unsigned long long) fault->offset, fault->what),
			 fault_hint(fault->status)));
}

void
fm_check_status(FmStatus status, const char *what)
{
	if (likely(status == FM_OK))
		return;
	switch (status)
	{
		case FM_NO_MEMORY:
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 errmsg("out of memory"),
					 errdetail("Failed while making a %s.", what)));
			break;
		case FM_TOO_LARGE:
			ereport(ERROR,
					(errcode(fm_status_sqlstate(status)),
					 errmsg("%s exceeds a limit of the format", what)));
			break;
		default:
			ereport(ERROR,
					(errcode(fm_status_sqlstate(status)),
					 errmsg("could not encode %s", what)));
	}
}
