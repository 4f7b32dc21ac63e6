/*-------------------------------------------------------------------------
 *
 * import.c
 *	  IMPORT FOREIGN SCHEMA.
 *
 * A store has no schemas.  A table's name there is by default
 * "schema.table", or "table" in schema public: so names are taken apart, and
 * those without a schema belong to "default", or "public".
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "foreign/foreign.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"

#include "engine/tuple_schema.h"
#include "fdw/fdw.h"
#include "fdw/option.h"
#include "manifest/head_cache.h"

/* A string of HEAD, which need not be one of this database's encoding. */
static char *
text_of(FmSlice s)
{
	pg_verifymbstr((const char *) s.data, (int) s.len, false);
	return pnstrdup((const char *) s.data, s.len);
}

static Oid
find_collation(FmSlice stored)
{
	int			ndims;

	if (fm_slice_eq(stored, fm_slice("C", 1)))
		return C_COLLATION_OID;
	return get_collation_oid(fm_schema_name_list(stored, &ndims), true);
}

static void
raise_not_here(const char *what, FmSlice stored, const FmColumn *column,
			   const FmTable *table)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("%s %s of column \"%s\" of table \"%s\" in the store does not exist here",
					what, text_of(stored), text_of(column->name),
					text_of(table->name)),
			 errhint("Create it, perhaps with its extension, or leave the table out with EXCEPT.")));
}

/*
 * The type that a column's creator gave it.  A domain that is not here, or
 * is over something else here, is left for its base type, with a notice.
 */
static Oid
column_type(const FmTable *table, const FmColumn *column, int32 *typmod)
{
	Oid			base = fm_schema_find_type(column->type_name);
	Oid			domain;
	int32		domain_typmod = -1;

	*typmod = column->typmod;
	if (!OidIsValid(base))
		raise_not_here("type", column->type_name, column, table);
	if (column->declared_type.len == 0)
		return base;
	domain = fm_schema_find_type(column->declared_type);
	if (OidIsValid(domain) &&
		getBaseTypeAndTypmod(domain, &domain_typmod) == base &&
		domain_typmod == column->typmod)
	{
		*typmod = -1;
		return domain;
	}
	ereport(NOTICE,
			(errmsg("column \"%s\" of table \"%s\" in the store becomes %s",
					text_of(column->name), text_of(table->name),
					fm_schema_format_type(base, column->typmod,
										  FORMAT_TYPE_TYPEMOD_GIVEN)),
			 errdetail("There is no such domain %s here.",
					   text_of(column->declared_type))));
	return base;
}

/* The same for a collation, where C has several names. */
static Oid
column_collation(const FmTable *table, const FmColumn *column)
{
	Oid			collation = find_collation(column->collation);
	Oid			declared;

	if (!OidIsValid(collation))
		raise_not_here("collation", column->collation, column, table);
	if (column->declared_collation.len == 0)
		return collation;
	declared = find_collation(column->declared_collation);
	return fm_schema_collation_is_bytes(declared) ? declared : collation;
}

static void
put_column(StringInfo out, const FmTable *table, const FmColumn *column)
{
	int32		typmod;
	Oid			type = column_type(table, column, &typmod);
	Oid			collation;

	appendStringInfo(out, "%s %s", quote_identifier(text_of(column->name)),
					 fm_schema_format_type(type, typmod,
										   FORMAT_TYPE_TYPEMOD_GIVEN |
										   FORMAT_TYPE_FORCE_QUALIFY));
	if (column->collation.len > 0 && type_is_collatable(type))
	{
		collation = column_collation(table, column);
		if (collation != get_typcollation(type))
			appendStringInfo(out, " COLLATE %s",
							 generate_collation_name(collation));
	}
	if (column->flags & FM_COLUMN_NOT_NULL)
		appendStringInfoString(out, " NOT NULL");
}

static const FmColumn *
column_by_id(const FmTable *table, uint32 id)
{
	uint32		i;

	for (i = 0; i < table->ncolumns; i++)
	{
		if (table->columns[i].id == id)
			return &table->columns[i];
	}
	elog(ERROR, "table has no column %u", id);
}

static char *
key_text(const FmTable *table)
{
	StringInfoData out;
	uint32		i;

	initStringInfo(&out);
	for (i = 0; i < table->nkeys; i++)
	{
		const FmColumn *column = column_by_id(table, table->keys[i].column_id);

		appendStringInfo(&out, "%s%s%s", i > 0 ? ", " : "",
						 quote_identifier(text_of(column->name)),
						 table->keys[i].desc ? " DESC" : "");
	}
	return out.data;
}

/* The options of runs that are not the defaults. */
static void
put_block_options(StringInfo out, const FmBlockOptions *block)
{
	if (block->block_size != DEFAULT_BLOCK_SIZE_KB * 1024)
		appendStringInfo(out, ", block_size '%u'", block->block_size / 1024);
	if (block->codec == FM_CODEC_RAW)
		appendStringInfoString(out, ", compression 'none'");
	else if (block->zstd_level != DEFAULT_ZSTD_LEVEL)
		appendStringInfo(out, ", compression 'zstd:%d'", block->zstd_level);
	switch (block->filter_kind)
	{
		case FM_FILTER_AUTO:
			break;
		case FM_FILTER_NONE:
			appendStringInfoString(out, ", filter 'none'");
			break;
		case FM_FILTER_FUSE8:
			appendStringInfoString(out, ", filter 'fuse:8'");
			break;
		case FM_FILTER_FUSE16:
			appendStringInfoString(out, ", filter 'fuse:16'");
			break;
		case FM_FILTER_BLOOM:
			appendStringInfo(out, ", filter 'bloom:%d'", block->filter_bits);
			break;
	}
}

static char *
create_command(const FmTable *table, const char *local_schema,
			   const char *local_name, const char *servername)
{
	StringInfoData out;
	bool		first = true;
	uint32		i;

	initStringInfo(&out);
	appendStringInfo(&out, "CREATE FOREIGN TABLE %s (",
					 quote_qualified_identifier(local_schema, local_name));
	for (i = 0; i < table->ncolumns; i++)
	{
		if (table->columns[i].flags & FM_COLUMN_DROPPED)
			continue;
		if (!first)
			appendStringInfoString(&out, ", ");
		put_column(&out, table, &table->columns[i]);
		first = false;
	}
	appendStringInfo(&out, ") SERVER %s OPTIONS (key %s, table_name %s",
					 quote_identifier(servername),
					 quote_literal_cstr(key_text(table)),
					 quote_literal_cstr(text_of(table->name)));
	put_block_options(&out, &table->block);
	appendStringInfoChar(&out, ')');
	return out.data;
}

/* The remote schema of tables whose name has none. */
static bool
is_default_schema(const char *schema)
{
	return strcmp(schema, "default") == 0 || strcmp(schema, "public") == 0;
}

/* Takes a stored name apart; false if it is of another schema. */
static bool
is_of_schema(const char *stored, const char *schema, const char **name)
{
	size_t		length = strlen(schema);

	if (strncmp(stored, schema, length) == 0 && stored[length] == '.' &&
		stored[length + 1] != '\0')
	{
		*name = stored + length + 1;
		return true;
	}
	*name = stored;
	return is_default_schema(schema) && strchr(stored, '.') == NULL;
}

/* Does the statement ask for the table? */
static bool
is_wanted(const ImportForeignSchemaStmt *stmt, const char *name)
{
	ListCell   *lc;

	if (stmt->list_type == FDW_IMPORT_SCHEMA_ALL)
		return true;
	foreach(lc, stmt->table_list)
	{
		if (strcmp(lfirst_node(RangeVar, lc)->relname, name) == 0)
			return stmt->list_type == FDW_IMPORT_SCHEMA_LIMIT_TO;
	}
	return stmt->list_type == FDW_IMPORT_SCHEMA_EXCEPT;
}

List *
fmImportForeignSchema(ImportForeignSchemaStmt *stmt, Oid serverOid)
{
	ForeignServer *server = GetForeignServer(serverOid);
	FmStoreOptions options;
	FmManifest *manifest;
	List	   *commands = NIL;
	bool		found = false;
	uint32		i;

	if (stmt->options != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid option \"%s\"",
						((DefElem *) linitial(stmt->options))->defname),
				 errhint("IMPORT FOREIGN SCHEMA has no options here.")));
	fm_server_options(server, &options);
	manifest = fm_manifest_current(fm_open_store(&options, InvalidOid));
	for (i = 0; i < manifest->head->ntables; i++)
	{
		FmSlice		stored_name = manifest->head->tables[i].name;
		const char *stored;
		const char *name;
		const FmTable *table;

		if (!pg_verifymbstr((const char *) stored_name.data,
							(int) stored_name.len, true))
			continue;			/* of a database with another encoding */
		stored = text_of(stored_name);
		if (!is_of_schema(stored, stmt->remote_schema, &name))
			continue;
		found = true;
		if (!is_wanted(stmt, name))
			continue;
		if (strlen(name) >= NAMEDATALEN)
			ereport(ERROR,
					(errcode(ERRCODE_NAME_TOO_LONG),
					 errmsg("name of table \"%s\" in the store of server \"%s\" is too long",
							stored, server->servername),
					 errhint("Leave it out with EXCEPT, and create the foreign table with the option \"table_name\".")));
		table = fm_manifest_table(manifest, stored);
		commands = lappend(commands,
						   create_command(table, stmt->local_schema, name,
										  server->servername));
	}
	if (!found && !is_default_schema(stmt->remote_schema))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_SCHEMA_NOT_FOUND),
				 errmsg("the store of server \"%s\" has no table of a schema \"%s\"",
						server->servername, stmt->remote_schema),
				 errhint("Tables whose name has no schema are in \"default\".")));
	return commands;
}
