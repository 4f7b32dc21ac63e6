/*-------------------------------------------------------------------------
 *
 * missing_object.c
 *	  The error for an object that HEAD named and the store has not.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "format/head.h"
#include "objstore/pg_alloc.h"
#include "objstore/pg_status.h"

/* The oldest version that can be read now; 0 if HEAD cannot be. */
static uint64
read_log_floor(FmStore *store)
{
	FmHeadTag  *tag = NULL;
	FmAlloc		alloc = fm_palloc_alloc(CurrentMemoryContext);
	FmHead	   *head;
	FmSlice		bytes;
	FmFault		fault;

	if (store->ops->read_head(store, &tag, NULL, &bytes) != FM_HEAD_READ)
		return 0;
	store->ops->free_tag(store, tag);
	if (fm_head_decode(bytes, &alloc, &head, &fault) != FM_OK)
		fm_raise_head_fault(store, &fault);
	return head->log_floor;
}

void
fm_raise_missing_object(FmStore *store, FmObjectKind kind, const FmId *id,
						uint64_t version)
{
	uint64		floor = read_log_floor(store);
	char		hex[33];

	fm_id_to_hex(id, hex);
	if (floor > version)
		ereport(ERROR,
				(errcode(ERRCODE_SNAPSHOT_TOO_OLD),
				 errmsg("snapshot too old"),
				 errdetail("%s \"%s\" of server \"%s\" was collected: version %llu was being read, the oldest that is kept is %llu.",
						   kind == FM_OBJECT_RUN ? "Run" : "Page", hex,
						   store->options.servername,
						   (unsigned long long) version,
						   (unsigned long long) floor),
				 errhint("Run the statement again.")));
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("%s \"%s\" is missing from the store of server \"%s\"",
					kind == FM_OBJECT_RUN ? "run" : "page", hex,
					store->options.servername),
			 errhint("Restore the file from a backup of the location.")));
}
