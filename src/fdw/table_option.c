/*-------------------------------------------------------------------------
 *
 * table_option.c
 *	  A foreign table as its options describe it: its name and its columns'
 *	  names in the store, its key.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_attribute.h"
#include "catalog/pg_foreign_table.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "compat.h"
#include "fdw/option_values.h"

/* The names of the columns in the store. */
static const char **
column_names(Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	const char **names = palloc0(sizeof(char *) * Max(desc->natts, 1));
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		FmOptionValues values;

		if (att->attisdropped ||
			att->attgenerated == FM_ATTRIBUTE_GENERATED_VIRTUAL)
			continue;
		fm_read_options(GetForeignColumnOptions(RelationGetRelid(rel), i + 1),
						AttributeRelationId, &values);
		names[i] = values.column_name != NULL ? values.column_name :
			pstrdup(NameStr(att->attname));
	}
	return names;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static void
check_names_differ(Relation rel, const char *const *names)
{
	int			natts = RelationGetDescr(rel)->natts;
	const char **sorted = palloc(sizeof(char *) * Max(natts, 1));
	int			n = 0;
	int			i;

	for (i = 0; i < natts; i++)
	{
		if (names[i] != NULL)
			sorted[n++] = names[i];
	}
	qsort(sorted, n, sizeof(char *), compare_names);
	for (i = 1; i < n; i++)
	{
		if (strcmp(sorted[i - 1], sorted[i]) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_COLUMN),
					 errmsg("two columns of foreign table \"%s\" have the name \"%s\" in the store",
							RelationGetRelationName(rel), sorted[i]),
					 errhint("Set the option \"column_name\" of one of them.")));
	}
	pfree(sorted);
}

static void
resolve_key(Relation rel, List *key, FmTableOptions *options)
{
	TupleDesc	desc = RelationGetDescr(rel);
	ListCell   *lc;

	options->nkeys = 0;
	options->key_attnums = palloc(sizeof(AttrNumber) * list_length(key));
	options->key_desc = palloc(sizeof(bool) * list_length(key));
	foreach(lc, key)
	{
		FmKeyName  *column = lfirst(lc);
		int			i = 0;

		while (i < desc->natts &&
			   (options->column_names[i] == NULL ||
				strcmp(NameStr(TupleDescAttr(desc, i)->attname),
					   column->name) != 0))
			i++;
		if (i == desc->natts)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("key column \"%s\" of foreign table \"%s\" does not exist",
							column->name, RelationGetRelationName(rel)),
					 errhint("Change the option \"key\", which names columns that are stored, by the names that they have here.")));
		options->key_attnums[options->nkeys] = i + 1;
		options->key_desc[options->nkeys++] = column->desc;
	}
}

/* Notes which columns have a name of their own in the store. */
static void
mark_named(Relation rel, const char *const *names, FmTable *local)
{
	FmColumn   *column = local->columns;
	int			i;

	for (i = 0; i < RelationGetDescr(rel)->natts; i++)
	{
		if (names[i] != NULL)
			(column++)->is_named =
				GetForeignColumnOptions(RelationGetRelid(rel), i + 1) != NIL;
	}
}

static char *
default_table_name(Relation rel)
{
	char	   *schema = get_namespace_name(RelationGetNamespace(rel));

	if (strcmp(schema, "public") == 0)
		return pstrdup(RelationGetRelationName(rel));
	return psprintf("%s.%s", schema, RelationGetRelationName(rel));
}

FmTableOptions *
fm_read_table_options(Relation rel)
{
	FmTableOptions *options = palloc0(sizeof(FmTableOptions));
	ForeignTable *table = GetForeignTable(RelationGetRelid(rel));
	FmKeySpec	keys[FM_MAX_KEY_COLUMNS];
	FmOptionValues values;
	int			i;

	options->relid = RelationGetRelid(rel);
	fm_server_options(GetForeignServer(table->serverid), &options->store);
	fm_read_options(table->options, ForeignTableRelationId, &values);
	fm_check_key_given(&values);
	options->table_name = values.table_name != NULL ?
		pstrdup(values.table_name) : default_table_name(rel);
	options->block = values.block;
	options->insert_mode = values.insert_mode;
	options->analyze_blocks = values.analyze_blocks;
	options->column_names = column_names(rel);
	check_names_differ(rel, options->column_names);
	resolve_key(rel, values.key, options);

	for (i = 0; i < options->nkeys; i++)
	{
		keys[i].attnum = options->key_attnums[i];
		keys[i].desc = options->key_desc[i];
	}
	options->local = fm_schema_describe(RelationGetDescr(rel),
										options->column_names, keys,
										options->nkeys, CurrentMemoryContext);
	mark_named(rel, options->column_names, options->local);
	options->local->name = fm_slice(options->table_name,
									strlen(options->table_name));
	options->local->block = options->block;
	return options;
}
