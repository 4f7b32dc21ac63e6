/*-------------------------------------------------------------------------
 *
 * table.c
 *	  Opens foreign tables.
 *
 * What HEAD says of a table rules; the local declaration is held against it.
 * Columns that only the local side has are added to a copy of HEAD's table:
 * they read as NULL, and the commit of the next write adds them to HEAD in
 * the same order.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"

#include "fdw/table.h"
#include "manifest/snapshot.h"

void
fm_check_server_writable(const FmStoreOptions *options)
{
	if (options->read_only)
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot write to server \"%s\"", options->servername),
				 errdetail("Its option \"read_only\" is set.")));
}

static void
raise_missing(Relation rel, const FmTableOptions *options)
{
	char	   *name = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
												  RelationGetRelationName(rel));

	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("table \"%s\" does not exist in the store of server \"%s\"",
					options->table_name, options->store.servername),
			 errhint("Create it with fusio_manifest_create_table(%s) or by writing to it. If it has another name there, set the option \"table_name\" of foreign table \"%s\".",
					 quote_literal_cstr(name), RelationGetRelationName(rel))));
}

/* HEAD's table as this transaction has changed it: emptied, or wider. */
static const FmTable *
with_changes(const FmTable *stored, const FmTableWrites *writes)
{
	FmTable    *table;
	int			i;

	if (stored == NULL || writes == NULL ||
		(writes->nadd_columns == 0 && !writes->truncated))
		return stored;
	table = palloc(sizeof(FmTable));
	*table = *stored;
	if (writes->truncated)
	{
		table->nlevels = 0;
		memset(table->levels, 0, sizeof(table->levels));
	}
	table->columns = palloc(sizeof(FmColumn) *
							(stored->ncolumns + writes->nadd_columns));
	memcpy(table->columns, stored->columns,
		   sizeof(FmColumn) * stored->ncolumns);
	for (i = 0; i < writes->nadd_columns; i++)
	{
		FmColumn   *column = &table->columns[table->ncolumns++];

		*column = writes->add_columns[i];
		column->id = table->next_column_id++;
	}
	return table;
}

/* Joins the two sides, and enlists the table where it is to be written. */
static void
bind_table(Relation rel, FmOpenTable *open, FmOpenMode mode)
{
	const FmTable *stored = open->table;
	FmTable    *local = open->options->local;
	FmTableWrites *writes = fm_open_table_writes(open);
	const FmTable *known = with_changes(stored, writes);
	uint32		nadded;

	if (known == NULL && writes != NULL)
		known = writes->create;
	if (known == NULL && mode != FM_OPEN_WRITE)
		raise_missing(rel, open->options);
	open->is_new = known == NULL;
	open->table = known != NULL ? known : local;
	if (known != NULL &&
		fm_schema_match(local, known, RelationGetRelationName(rel)) > 0)
		open->table = fm_schema_extend(local, known, CurrentMemoryContext);
	open->codec = fm_tuple_codec_create(RelationGetDescr(rel),
										open->options->column_names, local,
										open->table,
										RelationGetRelationName(rel),
										CurrentMemoryContext);
	if (mode == FM_OPEN_READ)
		return;
	nadded = stored != NULL ? open->table->ncolumns - stored->ncolumns : 0;
	open->writes = fm_xact_enlist(open->store, RelationGetRelid(rel),
								  open->options->table_name, stored,
								  open->table,
								  nadded > 0 ?
								  open->table->columns + stored->ncolumns :
								  NULL,
								  (int) nadded, &open->options->block,
								  open->version);
}

FmOpenTable *
fm_open_table(Relation rel, Oid userid, FmOpenMode mode)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "fusio_manifest table",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	FmOpenTable *open = palloc0(sizeof(FmOpenTable));
	FmManifest *manifest;

	open->context = context;
	open->options = fm_table_options(rel);
	if (mode >= FM_OPEN_LOCK)
		fm_check_server_writable(&open->options->store);
	open->store = fm_open_store(&open->options->store, userid);
	if (mode == FM_OPEN_PLAN)
	{
		manifest = fm_manifest_last_seen(open->store);
		if (fm_manifest_table(manifest, open->options->table_name) == NULL &&
			fm_open_table_writes(open) == NULL)
			manifest = fm_manifest_current(open->store);
	}
	else
		manifest = fm_snapshot_get(open->store, GetActiveSnapshot());
	open->version = manifest->head->version;
	open->table = fm_manifest_table(manifest, open->options->table_name);
	if (mode == FM_OPEN_PLAN)
		open->table = with_changes(open->table, fm_open_table_writes(open));
	else
		bind_table(rel, open, mode);
	MemoryContextSwitchTo(old);
	return open;
}

/* Where a HEAD is pinned, nobody waits for one. */
const FmTable *
fm_guess_table(FmStore *store, const FmTableOptions *options)
{
	FmManifest *manifest;

	if (store->ops->is_near ||
		fm_snapshot_is_pinned(store, GetActiveSnapshot()))
		return NULL;
	manifest = fm_manifest_guess(store);
	return manifest == NULL ? NULL :
		fm_manifest_loaded_table(manifest, options->table_name);
}

void
fm_close_table(FmOpenTable *open)
{
	MemoryContextDelete(open->context);
}

void
fm_table_size(FmOpenTable *open, FmTableSize *size)
{
	const FmTable *table = open->table;
	uint32		l;
	uint32		i;

	memset(size, 0, sizeof(*size));
	for (l = 0; table != NULL && l < table->nlevels; l++)
	{
		const FmLevel *level = &table->levels[l];

		/* A key can be in each run of L0, and in one run of a level. */
		size->runs += l == 0 ? level->nruns : level->nruns > 0;
		for (i = 0; i < level->nruns; i++)
		{
			size->rows += (double) level->runs[i].rows -
				(double) level->runs[i].tombstones;
			size->blocks += level->runs[i].nblocks;
			size->bytes += level->runs[i].size;
		}
	}
	if (fm_open_table_writes(open) != NULL)
		size->rows += fm_write_buffer_count(open->writes->buffer);
	size->rows = Max(size->rows, 0);
}

BlockNumber
fm_size_pages(const FmTableSize *size)
{
	return (BlockNumber) Min(size->bytes / BLCKSZ + 1, MaxBlockNumber);
}
