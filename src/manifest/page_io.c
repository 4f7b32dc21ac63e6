/*-------------------------------------------------------------------------
 *
 * page_io.c
 *	  Pages of HEAD as objects of a store.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/checksum.h"
#include "manifest/page_io.h"
#include "objstore/pg_status.h"

FmSlice		(*fm_page_read_hook) (FmStore *store, const FmPageRef *ref,
								  uint64 version) = NULL;
void		(*fm_page_written_hook) (FmStore *store, const FmId *id,
									 FmSlice bytes) = NULL;

FmSlice
fm_page_read(FmStore *store, const FmPageRef *ref, uint64 version)
{
	return fm_page_read_hook != NULL ?
		fm_page_read_hook(store, ref, version) :
		fm_page_read_store(store, ref, version);
}

/* A page that is wrong is read again; then its decoder tells. */
FmSlice
fm_page_read_store(FmStore *store, const FmPageRef *ref, uint64 version)
{
	FmReadRange range;
	FmFault		fault;
	int			tries;

	range.kind = FM_OBJECT_PAGE;
	range.id = ref->id;
	range.offset = 0;
	range.length = ref->size;
	range.dest = palloc(ref->size);
	for (tries = 0; tries < FM_READ_TRIES; tries++)
	{
		range.anew = tries > 0;
		store->ops->read(store, &range, 1);
		switch (range.result)
		{
			case FM_READ_OK:
				break;
			case FM_READ_MISSING:
				fm_raise_missing_object(store, FM_OBJECT_PAGE, &ref->id,
										version);
				break;
			case FM_READ_SHORT:
				fm_fault(&fault, FM_CORRUPTION, "object is cut short", 0);
				fm_raise_object_fault(store, FM_OBJECT_PAGE, &ref->id, 0,
									  &fault);
				break;
		}
		if (fm_xxh3_64(fm_slice(range.dest, ref->size), 0) == ref->checksum ||
			tries + 1 == FM_READ_TRIES)
			break;
		fm_fault(&fault, FM_CORRUPTION, "checksum does not match", 0);
		fm_log_object_fault(store, FM_OBJECT_PAGE, &ref->id, 0, &fault);
	}
	return fm_slice(range.dest, ref->size);
}

void
fm_page_write(FmStore *store, const FmId *id, FmSlice bytes)
{
	FmObjectWriter *writer = store->ops->create(store, FM_OBJECT_PAGE, id);

	store->ops->append(writer, bytes);
	store->ops->finish(writer);
	if (fm_page_written_hook != NULL)
		fm_page_written_hook(store, id, bytes);
}
