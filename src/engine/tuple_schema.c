/*-------------------------------------------------------------------------
 *
 * tuple_schema.c
 *	  What a local foreign table looks like in the store's terms, and
 *	  whether that is what HEAD says.
 *
 * The table of types below decides what is stored as an image.  A type may
 * stand there only if no bit pattern of it can make the server read outside
 * the value, or if engine/datum_check.c looks at it.  All others go through
 * typsend and typreceive; those whose binary form holds OIDs that another
 * cluster does not know, or that have none, through text.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rangetypes.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "compat.h"
#include "engine/tuple_schema.h"

typedef struct FmBuiltinType
{
	Oid			oid;
	FmRowKind	row_kind;
	uint16		width;			/* bytes, of FM_ROW_FIXED */
	int			key_type;		/* FmKeyType, 0: cannot be a key */
} FmBuiltinType;

static const FmBuiltinType builtin_types[] = {
	{BOOLOID, FM_ROW_FIXED, 1, FM_KEY_BOOL},
	{CHAROID, FM_ROW_FIXED, 1, FM_KEY_CHAR},
	{INT2OID, FM_ROW_FIXED, 2, FM_KEY_INT2},
	{INT4OID, FM_ROW_FIXED, 4, FM_KEY_INT4},
	{INT8OID, FM_ROW_FIXED, 8, FM_KEY_INT8},
	{OIDOID, FM_ROW_FIXED, 4, FM_KEY_OID},
	{DATEOID, FM_ROW_FIXED, 4, FM_KEY_INT4},
	{TIMEOID, FM_ROW_FIXED, 8, FM_KEY_INT8},
	{TIMESTAMPOID, FM_ROW_FIXED, 8, FM_KEY_INT8},
	{TIMESTAMPTZOID, FM_ROW_FIXED, 8, FM_KEY_INT8},
	{FLOAT4OID, FM_ROW_FIXED, 4, FM_KEY_FLOAT4},
	{FLOAT8OID, FM_ROW_FIXED, 8, FM_KEY_FLOAT8},
	{UUIDOID, FM_ROW_FIXED, 16, FM_KEY_UUID},
	{NUMERICOID, FM_ROW_NUMERIC, 0, FM_KEY_NUMERIC},
	{TEXTOID, FM_ROW_TEXT, 0, FM_KEY_TEXT},
	{VARCHAROID, FM_ROW_TEXT, 0, FM_KEY_TEXT},
	{BPCHAROID, FM_ROW_TEXT, 0, FM_KEY_BPCHAR},
	{BYTEAOID, FM_ROW_VARLENA, 0, FM_KEY_BYTEA},
	{JSONBOID, FM_ROW_JSONB, 0, 0},
	{JSONOID, FM_ROW_TEXT, 0, 0},
	{XMLOID, FM_ROW_TEXT, 0, 0},
	{CASHOID, FM_ROW_FIXED, 8, 0},
	{INTERVALOID, FM_ROW_FIXED, 16, 0},
	{TIMETZOID, FM_ROW_FIXED, 12, 0},
	{MACADDROID, FM_ROW_FIXED, 6, 0},
	{MACADDR8OID, FM_ROW_FIXED, 8, 0},
	{POINTOID, FM_ROW_FIXED, 16, 0},
	{LSEGOID, FM_ROW_FIXED, 32, 0},
	{BOXOID, FM_ROW_FIXED, 32, 0},
	{LINEOID, FM_ROW_FIXED, 24, 0},
	{CIRCLEOID, FM_ROW_FIXED, 24, 0},
	{PG_LSNOID, FM_ROW_FIXED, 8, 0},
	{XIDOID, FM_ROW_FIXED, 4, 0},
	{XID8OID, FM_ROW_FIXED, 8, 0},
	{CIDOID, FM_ROW_FIXED, 4, 0},
	{TIDOID, FM_ROW_FIXED, 6, 0},
};

/*
 * Their values are OIDs of local objects; or what typsend writes of an empty
 * one is refused by typreceive.
 */
static const Oid text_types[] = {
	OIDVECTOROID, INT2VECTOROID, REGPROCOID, REGPROCEDUREOID, REGOPEROID, REGOPERATOROID, REGCLASSOID,
	REGCOLLATIONOID, REGTYPEOID, REGROLEOID, REGNAMESPACEOID, REGCONFIGOID,
	REGDICTIONARYOID
};

/* True if what typsend writes can be read by another cluster's typreceive. */
static bool
has_portable_binary(Oid type)
{
	HeapTuple	tuple;
	Form_pg_type form;
	Oid			element = InvalidOid;
	Oid			base = InvalidOid;
	bool		result;
	size_t		i;

	for (i = 0; i < lengthof(text_types); i++)
		if (type == text_types[i])
			return false;
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", type);
	form = (Form_pg_type) GETSTRUCT(tuple);
	result = OidIsValid(form->typsend) && OidIsValid(form->typreceive) &&
		form->typtype != TYPTYPE_COMPOSITE && form->typtype != TYPTYPE_PSEUDO;
	if (IsTrueArrayType(form))
		element = form->typelem;
	if (form->typtype == TYPTYPE_DOMAIN)
		base = form->typbasetype;
	else if (form->typtype == TYPTYPE_RANGE)
		base = get_range_subtype(type);
	else if (form->typtype == TYPTYPE_MULTIRANGE)
		base = get_multirange_range(type);
	ReleaseSysCache(tuple);

	/* array_send writes its element type's OID: fixed only for built-in ones. */
	if (OidIsValid(element))
		result = result && element < FirstGenbkiObjectId &&
			has_portable_binary(element);
	if (OidIsValid(base))
		result = result && has_portable_binary(base);
	return result;
}

void
fm_schema_type_form(Oid type, int32 typmod, FmTypeForm *form)
{
	size_t		i;

	form->typmod = typmod;
	form->base = getBaseTypeAndTypmod(type, &form->typmod);
	form->row_width = 0;
	form->key_type = 0;
	for (i = 0; i < lengthof(builtin_types); i++)
	{
		if (builtin_types[i].oid != form->base)
			continue;
		form->row_kind = builtin_types[i].row_kind;
		form->row_width = builtin_types[i].width;
		form->key_type = builtin_types[i].key_type;
		return;
	}
	if (get_typtype(form->base) == TYPTYPE_ENUM)
		form->key_type = FM_KEY_ENUM;
	form->row_kind = has_portable_binary(form->base) ? FM_ROW_SEND :
		FM_ROW_OUTPUT;
}

bool
fm_schema_collation_is_bytes(Oid collation)
{
	return OidIsValid(collation) && fm_collation_is_c(collation);
}

static FmSlice
string_slice(const char *s)
{
	return fm_slice(s, strlen(s));
}

/*
 * Quotes a name where its characters need it.  Settings and the keywords of
 * one version of PostgreSQL, which quote_identifier goes by, do not matter.
 */
static void
put_name(StringInfo out, const char *name)
{
	const char *c;

	if (*name >= 'a' && *name <= 'z' &&
		name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0')
	{
		appendStringInfoString(out, name);
		return;
	}
	appendStringInfoChar(out, '"');
	for (c = name; *c != '\0'; c++)
	{
		if (*c == '"')
			appendStringInfoChar(out, '"');
		appendStringInfoChar(out, *c);
	}
	appendStringInfoChar(out, '"');
}

/* A name as HEAD has it. */
static char *
stored_name(Oid namespace, const char *name)
{
	StringInfoData out;

	initStringInfo(&out);
	if (namespace != PG_CATALOG_NAMESPACE)
	{
		put_name(&out, get_namespace_name(namespace));
		appendStringInfoChar(&out, '.');
	}
	put_name(&out, name);
	return out.data;
}

/* The name under which a type is known in every cluster. */
static char *
stored_type_name(Oid type)
{
	HeapTuple	tuple;
	Form_pg_type form;
	char	   *name;

	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", type);
	form = (Form_pg_type) GETSTRUCT(tuple);
	/* oidvector is no oid[]. */
	if (IsTrueArrayType(form) && get_array_type(form->typelem) == type)
		name = psprintf("%s[]", stored_type_name(form->typelem));
	else
		name = stored_name(form->typnamespace, NameStr(form->typname));
	ReleaseSysCache(tuple);
	return name;
}

List *
fm_schema_name_list(FmSlice stored, int *ndims)
{
	char	   *name = pnstrdup((const char *) stored.data, stored.len);
	size_t		length = stored.len;
	List	   *list;

	for (*ndims = 0; length > 2 && strcmp(name + length - 2, "[]") == 0;
		 (*ndims)++)
		name[length -= 2] = '\0';
	list = fm_qualified_name_list(name);
	pfree(name);
	if (list_length(list) == 1)
		list = lcons(makeString(pstrdup("pg_catalog")), list);
	return list;
}

Oid
fm_schema_find_type(FmSlice stored)
{
	int			ndims;
	List	   *names = fm_schema_name_list(stored, &ndims);
	Oid			type = LookupTypeNameOid(NULL, makeTypeNameFromNameList(names),
										 true);

	for (; ndims > 0 && OidIsValid(type); ndims--)
		type = get_array_type(type);
	return type;
}

/* Types trust that a modifier is their own. */
static void
modifier_error(void *arg)
{
	if (geterrcode() == ERRCODE_INTERNAL_ERROR)
		errcode(ERRCODE_DATA_CORRUPTED);
	errcontext("type modifier of a column in the store");
}

char *
fm_schema_format_type(Oid type, int32 typmod, bits16 flags)
{
	ErrorContextCallback callback;
	char	   *result;

	callback.callback = modifier_error;
	callback.arg = NULL;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	result = format_type_extended(type, typmod, flags);
	error_context_stack = callback.previous;
	return result;
}

/* Are they names of one thing?  They may be quoted differently. */
static bool
same_name(FmSlice a, FmSlice b)
{
	List	   *names_a;
	List	   *names_b;
	int			ndims_a;
	int			ndims_b;

	if (fm_slice_eq(a, b))
		return true;
	if (a.len == 0 || b.len == 0)
		return false;
	names_a = fm_schema_name_list(a, &ndims_a);
	names_b = fm_schema_name_list(b, &ndims_b);
	return ndims_a == ndims_b && equal(names_a, names_b);
}

/*
 * The default collation is another one in each database, so that one where
 * it is C, which is recorded, may share a column with one where it is not.
 */
static bool
same_collation(FmSlice mine, FmSlice its)
{
	return same_name(mine, its) ||
		(fm_slice_eq(mine, string_slice("C")) &&
		 same_name(its, string_slice("\"default\"")));
}

/* Fills the collation's name, version and the flag that goes with it. */
static void
describe_collation(Oid collation, FmColumn *column)
{
	HeapTuple	tuple;
	Form_pg_collation form;
	Datum		version;
	bool		isnull;

	if (!OidIsValid(collation))
		return;
	tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for collation %u", collation);
	form = (Form_pg_collation) GETSTRUCT(tuple);
	if (form->collisdeterministic)
		column->flags |= FM_COLUMN_DETERMINISTIC;
	column->collation = string_slice(stored_name(form->collnamespace,
												 NameStr(form->collname)));
	if (fm_collation_is_c(collation))
	{
		if (collation != C_COLLATION_OID)
			column->declared_collation = column->collation;
		column->collation = string_slice("C");
	}
	version = SysCacheGetAttr(COLLOID, tuple, Anum_pg_collation_collversion,
							  &isnull);
	if (!isnull)
		column->collation_version = string_slice(TextDatumGetCString(version));
	ReleaseSysCache(tuple);
}

/* Raises if the column cannot be a key. */
static void
check_key_column(Form_pg_attribute att, const FmTypeForm *form)
{
	if (form->key_type == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" of type %s cannot be a key column",
						NameStr(att->attname), format_type_be(att->atttypid)),
				 errdetail("Key columns can be of type boolean, \"char\", smallint, integer, bigint, oid, real, double precision, numeric, date, time, timestamp, timestamptz, text, varchar, character, bytea, uuid, or an enum.")));
	if (OidIsValid(att->attcollation) &&
		!get_collation_isdeterministic(att->attcollation))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" with nondeterministic collation \"%s\" cannot be a key column",
						NameStr(att->attname),
						get_collation_name(att->attcollation)),
				 errhint("Use a deterministic collation.")));
}

FmTable *
fm_schema_describe(TupleDesc desc, const char *const *names,
				   const FmKeySpec *keys, int nkeys, MemoryContext cxt)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);
	FmTable    *table = palloc0(sizeof(FmTable));
	FmKeyColumn *key = palloc0(sizeof(FmKeyColumn) * nkeys);
	FmColumn   *column = palloc0(sizeof(FmColumn) * desc->natts);
	int			i;
	int			k;

	table->resolved = true;
	table->key_encoding = 1;
	table->row_encoding = 1;
	if (GetDatabaseEncoding() != PG_UTF8)
		table->charset = string_slice(GetDatabaseEncodingName());
	table->columns = column;
	table->nkeys = (uint32) nkeys;
	table->keys = key;
	table->next_column_id = 1;
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		FmTypeForm	form;

		if (names[i] == NULL)
			continue;
		fm_schema_type_form(att->atttypid, att->atttypmod, &form);
		column->id = table->next_column_id++;
		column->name = string_slice(pstrdup(names[i]));
		column->type_name = string_slice(stored_type_name(form.base));
		if (att->atttypid != form.base)
			column->declared_type =
				string_slice(stored_type_name(att->atttypid));
		column->typmod = form.typmod;
		column->row_kind = form.row_kind;
		column->row_width = form.row_width;
		if (att->attnotnull)
			column->flags |= FM_COLUMN_NOT_NULL;
		describe_collation(att->attcollation, column);
		for (k = 0; k < nkeys; k++)
		{
			if (keys[k].attnum != i + 1)
				continue;
			check_key_column(att, &form);
			key[k].column_id = column->id;
			key[k].type = form.key_type;
			key[k].desc = keys[k].desc;
			if (fm_key_type_is_lossless(form.key_type))
			{
				column->row_kind = FM_ROW_IN_KEY;
				column->row_width = 0;
			}
		}
		column++;
		table->ncolumns++;
	}
	MemoryContextSwitchTo(old);
	return table;
}

/* A column's type for messages: as SQL has it if it is known here. */
static char *
column_text(const FmColumn *column)
{
	Oid			type = fm_schema_find_type(column->type_name);
	StringInfoData s;

	initStringInfo(&s);
	if (OidIsValid(type))
		appendStringInfoString(&s,
							   fm_schema_format_type(type, column->typmod,
													 FORMAT_TYPE_TYPEMOD_GIVEN));
	else
		appendStringInfo(&s, "%.*s (type modifier %d)",
						 (int) column->type_name.len,
						 (const char *) column->type_name.data,
						 column->typmod);
	if (column->collation.len > 0)
		appendStringInfo(&s, " with collation %.*s",
						 (int) column->collation.len,
						 (const char *) column->collation.data);
	if (column->row_kind == FM_ROW_OUTPUT)
		appendStringInfoString(&s, " stored as text");
	else if (column->row_kind == FM_ROW_SEND)
		appendStringInfoString(&s, " stored in binary");
	return s.data;
}

static const FmColumn *
column_by_id(const FmTable *table, uint32 id)
{
	uint32		i;

	for (i = 0; i < table->ncolumns; i++)
		if (table->columns[i].id == id)
			return &table->columns[i];
	return NULL;
}

/* "a, b DESC", for messages. */
static char *
key_text(const FmTable *table)
{
	StringInfoData s;
	uint32		i;

	initStringInfo(&s);
	for (i = 0; i < table->nkeys; i++)
	{
		const FmColumn *column = column_by_id(table, table->keys[i].column_id);

		appendStringInfo(&s, "%s%.*s%s", i > 0 ? ", " : "",
						 column == NULL ? 0 : (int) column->name.len,
						 column == NULL ? "" : (const char *) column->name.data,
						 table->keys[i].desc ? " DESC" : "");
	}
	return s.data;
}

/* The live column of that name; "at" is where it is looked for first. */
static const FmColumn *
column_by_name(const FmTable *table, FmSlice name, uint32 at)
{
	uint32		i;

	for (i = 0; i < table->ncolumns; i++)
	{
		const FmColumn *c = &table->columns[(at + i) % table->ncolumns];

		if ((c->flags & FM_COLUMN_DROPPED) == 0 && fm_slice_eq(c->name, name))
			return c;
	}
	return NULL;
}

/* Both sides hold values of the column alike. */
static bool
same_form(const FmColumn *a, const FmColumn *b)
{
	return a->row_kind == b->row_kind && a->row_width == b->row_width;
}

/*
 * A column that the store lacks is a new one, which reads as NULL; unless it
 * may be one of the store's that was renamed here.
 */
static void
check_new_column(const FmColumn *mine, const FmTable *local,
				 const FmTable *stored, const char *relname)
{
	uint32		i;

	if (mine->is_named)
		return;
	for (i = 0; i < stored->ncolumns; i++)
	{
		const FmColumn *its = &stored->columns[i];

		if ((its->flags & FM_COLUMN_DROPPED) == 0 &&
			column_by_name(local, its->name, i) == NULL &&
			same_name(mine->type_name, its->type_name) &&
			mine->typmod == its->typmod &&
			same_collation(mine->collation, its->collation))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%.*s\" of foreign table \"%s\" is not in the stored table",
							(int) mine->name.len,
							(const char *) mine->name.data, relname),
					 errdetail("The store has a column \"%.*s\" of the same type, which the foreign table lacks.",
							   (int) its->name.len,
							   (const char *) its->name.data),
					 errhint("Set the option \"column_name\": to \"%.*s\" if the column was renamed, to \"%.*s\" if it is a new one.",
							 (int) its->name.len,
							 (const char *) its->name.data,
							 (int) mine->name.len,
							 (const char *) mine->name.data)));
	}
}

static void
raise_column_mismatch(const FmColumn *mine, const FmColumn *its,
					  const char *relname)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%.*s\" of foreign table \"%s\" does not match the stored table",
					(int) mine->name.len, (const char *) mine->name.data,
					relname),
			 errdetail("The foreign table has %s, the store has %s.",
					   column_text(mine), column_text(its)),
			 errhint("Declare the column as the store has it, or set the option \"column_name\". To change it, copy the rows to a table with another option \"table_name\".")));
}

/* Text in keys and rows, and whatever may hold some. */
static bool
has_text(const FmTable *table)
{
	uint32		i;

	for (i = 0; i < table->nkeys; i++)
	{
		if (table->keys[i].type == FM_KEY_TEXT ||
			table->keys[i].type == FM_KEY_BPCHAR ||
			table->keys[i].type == FM_KEY_ENUM)
			return true;
	}
	for (i = 0; i < table->ncolumns; i++)
	{
		switch (table->columns[i].row_kind)
		{
			case FM_ROW_IN_KEY:
			case FM_ROW_FIXED:
			case FM_ROW_VARLENA:
			case FM_ROW_NUMERIC:
				break;
			default:
				return true;
		}
	}
	return false;
}

static char *
charset_text(const FmTable *table)
{
	return table->charset.len == 0 ? "UTF8" :
		pnstrdup((const char *) table->charset.data, table->charset.len);
}

static void
check_charset(const FmTable *local, const FmTable *stored, const char *relname)
{
	if (fm_slice_eq(local->charset, stored->charset) || !has_text(local))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("encoding of this database does not match the stored table of foreign table \"%s\"",
					relname),
			 errdetail("The database has %s, the store has %s.",
					   charset_text(local), charset_text(stored)),
			 errhint("Use a database with the store's encoding, or leave out the columns that may hold text.")));
}

int
fm_schema_match(const FmTable *local, const FmTable *stored,
				const char *relname)
{
	bool		same_key = local->nkeys == stored->nkeys;
	int			missing = 0;
	uint32		i;

	check_charset(local, stored, relname);
	for (i = 0; i < local->ncolumns; i++)
	{
		const FmColumn *mine = &local->columns[i];
		const FmColumn *its = column_by_name(stored, mine->name, i);

		if (its == NULL)
		{
			check_new_column(mine, local, stored, relname);
			missing++;
		}
		else if (!same_name(mine->type_name, its->type_name) ||
				 mine->typmod != its->typmod ||
				 !same_collation(mine->collation, its->collation))
			raise_column_mismatch(mine, its, relname);
	}
	for (i = 0; same_key && i < local->nkeys; i++)
	{
		const FmColumn *mine = column_by_id(local, local->keys[i].column_id);
		const FmColumn *its = column_by_id(stored, stored->keys[i].column_id);

		same_key = its != NULL && fm_slice_eq(mine->name, its->name) &&
			(its->flags & FM_COLUMN_DROPPED) == 0 &&
			local->keys[i].type == stored->keys[i].type &&
			local->keys[i].desc == stored->keys[i].desc;
	}
	if (!same_key)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("key of foreign table \"%s\" does not match the stored table",
						relname),
				 errdetail("The foreign table has (%s), the store has (%s).",
						   key_text(local), key_text(stored)),
				 errhint("Set the option \"key\" as the store has it. To change it, copy the rows to a table with another option \"table_name\".")));

	/* With the same key, what is only in keys is so on both sides. */
	for (i = 0; i < local->ncolumns; i++)
	{
		const FmColumn *mine = &local->columns[i];
		const FmColumn *its = column_by_name(stored, mine->name, i);

		if (its != NULL && !same_form(mine, its))
			raise_column_mismatch(mine, its, relname);
	}
	return missing;
}

FmTable *
fm_schema_extend(const FmTable *local, const FmTable *stored,
				 MemoryContext cxt)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);
	FmTable    *table = palloc(sizeof(FmTable));
	uint32		i;

	*table = *stored;
	table->columns = palloc(sizeof(FmColumn) *
							(stored->ncolumns + local->ncolumns));
	memcpy(table->columns, stored->columns,
		   sizeof(FmColumn) * stored->ncolumns);
	for (i = 0; i < local->ncolumns; i++)
	{
		FmColumn   *column;

		if (column_by_name(stored, local->columns[i].name, i) != NULL)
			continue;
		column = &table->columns[table->ncolumns++];
		*column = local->columns[i];
		column->id = table->next_column_id++;
	}
	MemoryContextSwitchTo(old);
	return table;
}
