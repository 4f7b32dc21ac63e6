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

#include "foreign/foreign.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/varlena.h"

#include "compat.h"
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

/* The name of a type or a collation as SQL that no search path changes. */
static char *
qualified(FmSlice stored)
{
	char	   *name = text_of(stored);
	char	   *bare = pstrdup(name);
	char	   *brackets = strstr(bare, "[]");

	if (brackets != NULL)
		*brackets = '\0';
	if (list_length(fm_qualified_name_list(bare)) > 1)
		return name;
	return psprintf("pg_catalog.%s", name);
}

static void
put_column(StringInfo out, const FmColumn *column)
{
	char	   *type = qualified(column->type_name);
	Oid			typid = DatumGetObjectId(DirectFunctionCall1(regtypein,
															 CStringGetDatum(type)));

	appendStringInfo(out, "%s %s", quote_identifier(text_of(column->name)),
					 format_type_extended(typid, column->typmod,
										  FORMAT_TYPE_TYPEMOD_GIVEN |
										  FORMAT_TYPE_FORCE_QUALIFY));
	if (column->collation.len > 0 && type_is_collatable(typid))
		appendStringInfo(out, " COLLATE %s",
						 fm_slice_eq(column->collation, fm_slice("C", 1)) ?
						 "pg_catalog.\"C\"" : qualified(column->collation));
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
		put_column(&out, &table->columns[i]);
		first = false;
	}
	appendStringInfo(&out, ") SERVER %s OPTIONS (key %s, table_name %s",
					 quote_identifier(servername),
					 quote_literal_cstr(key_text(table)),
					 quote_literal_cstr(text_of(table->name)));
	fm_put_block_options(&out, &table->block);
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
		const char *stored = text_of(manifest->head->tables[i].name);
		const char *name;
		const FmTable *table;

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
