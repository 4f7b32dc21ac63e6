/*-------------------------------------------------------------------------
 *
 * run_writer.c
 *	  Sorted entries to run objects in a store.
 *
 * The builder and everything it allocates live in a context of their own, so
 * that an error leaves nothing: the compressor's memory is released by the
 * context's callback, the open object by its resource owner.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "engine/run_writer.h"
#include "objstore/pg_alloc.h"
#include "objstore/pg_status.h"

#define INTERRUPT_ENTRIES 1024	/* entries between looks at interrupts */

struct FmRunWriter
{
	FmStore    *store;
	uint64		table_id;
	FmBlockOptions block;
	bool		bottom;
	MemoryContext context;		/* of the creation: descriptors */
	MemoryContext run_context;	/* of the run that is being built */
	FmAlloc		alloc;			/* over run_context */
	FmRunBuilder *builder;		/* NULL between runs */
	FmObjectWriter *object;
	uint32		since_check;
	int			nruns;
	int			maxruns;
	FmRunDesc  *runs;
};

static void
free_builder(void *arg)
{
	FmRunWriter *writer = arg;

	if (writer->builder != NULL)
	{
		fm_run_builder_free(writer->builder);
		writer->builder = NULL;
	}
}

FmRunWriter *
fm_run_writer_create(FmStore *store, uint64 table_id,
					 const FmBlockOptions *block, bool bottom)
{
	FmRunWriter *writer = palloc0(sizeof(FmRunWriter));

	writer->store = store;
	writer->table_id = table_id;
	writer->block = *block;
	writer->bottom = bottom;
	writer->context = CurrentMemoryContext;
	writer->maxruns = 4;
	writer->runs = palloc(sizeof(FmRunDesc) * writer->maxruns);
	return writer;
}

static bool
write_bytes(void *arg, FmSlice bytes)
{
	FmRunWriter *writer = arg;

	writer->store->ops->append(writer->object, bytes);
	return true;
}

static void
begin_run(FmRunWriter *writer)
{
	FmRunOptions options;
	MemoryContextCallback *callback;

	writer->run_context = AllocSetContextCreate(writer->context,
												"fusio_manifest run writer",
												ALLOCSET_DEFAULT_SIZES);
	writer->alloc = fm_palloc_alloc(writer->run_context);
	callback = MemoryContextAlloc(writer->run_context, sizeof(*callback));
	callback->func = free_builder;
	callback->arg = writer;
	MemoryContextRegisterResetCallback(writer->run_context, callback);

	memset(&options, 0, sizeof(options));
	options.id = fm_new_id();
	options.block = writer->block;
	options.bottom = writer->bottom;
	options.table_id = writer->table_id;
	options.sink = write_bytes;
	options.sink_arg = writer;
	writer->object = writer->store->ops->create(writer->store, FM_OBJECT_RUN,
												&options.id);
	fm_check_status(fm_run_builder_create(&options, &writer->alloc,
										  &writer->builder), "run");
}

static FmSlice
copy_slice(FmSlice s, MemoryContext context)
{
	uint8	   *data = MemoryContextAlloc(context, s.len);

	memcpy(data, s.data, s.len);
	return fm_slice(data, s.len);
}

static void
end_run(FmRunWriter *writer)
{
	FmRunDesc  *desc;

	if (writer->nruns == writer->maxruns)
	{
		writer->maxruns *= 2;
		writer->runs = repalloc(writer->runs,
								sizeof(FmRunDesc) * writer->maxruns);
	}
	desc = &writer->runs[writer->nruns];
	fm_check_status(fm_run_builder_finish(writer->builder, desc), "run");
	desc->lower = copy_slice(desc->lower, writer->context);
	desc->upper = copy_slice(desc->upper, writer->context);
	desc->sequence = writer->nruns++;
	writer->store->ops->finish(writer->object);
	writer->object = NULL;
	MemoryContextDelete(writer->run_context);
}

void
fm_run_writer_add(FmRunWriter *writer, FmSlice key, uint64 hash, FmSlice row,
				  bool tombstone)
{
	if (writer->builder == NULL)
		begin_run(writer);
	if (++writer->since_check == INTERRUPT_ENTRIES)
	{
		CHECK_FOR_INTERRUPTS();
		writer->since_check = 0;
	}
	fm_check_status(fm_run_builder_add(writer->builder, key, hash, row,
									   tombstone), "run");
	if (fm_run_builder_size(writer->builder) >= FM_RUN_SPLIT_SIZE)
		end_run(writer);
}

int
fm_run_writer_finish(FmRunWriter *writer, FmRunDesc **descs)
{
	if (writer->builder != NULL)
		end_run(writer);
	*descs = writer->runs;
	return writer->nruns;
}
