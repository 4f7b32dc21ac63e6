/*-------------------------------------------------------------------------
 *
 * head_json.c
 *	  HEAD as jsonb.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "manifest/head_json.h"
#include "objstore/store.h"

static void
put_id(StringInfo out, const char *name, const FmId *id)
{
	char		hex[33];

	fm_id_to_hex(id, hex);
	appendStringInfo(out, "\"%s\": \"%s\"", name, hex);
}

static void
put_text(StringInfo out, const char *name, FmSlice text)
{
	char	   *copy = pnstrdup((const char *) text.data, text.len);

	appendStringInfo(out, "\"%s\": ", name);
	escape_json(out, copy);
}

static void
put_columns(StringInfo out, const FmTable *table)
{
	uint32		i;

	appendStringInfoString(out, ", \"columns\": [");
	for (i = 0; i < table->ncolumns; i++)
	{
		const FmColumn *column = &table->columns[i];

		appendStringInfo(out, "%s{\"id\": %u, ", i > 0 ? ", " : "",
						 column->id);
		put_text(out, "name", column->name);
		appendStringInfoString(out, ", ");
		put_text(out, "type", column->type_name);
		appendStringInfoChar(out, '}');
	}
	appendStringInfoString(out, "], \"key\": [");
	for (i = 0; i < table->nkeys; i++)
		appendStringInfo(out, "%s{\"column\": %u, \"descending\": %s}",
						 i > 0 ? ", " : "", table->keys[i].column_id,
						 table->keys[i].desc ? "true" : "false");
	appendStringInfoChar(out, ']');
}

static void
put_levels(StringInfo out, const FmTable *table)
{
	uint32		l;
	uint32		i;

	appendStringInfoString(out, ", \"levels\": [");
	for (l = 0; l < table->nlevels; l++)
	{
		const FmLevel *level = &table->levels[l];
		uint32		nruns = level->ninline;

		for (i = 0; i < level->npages; i++)
			nruns += level->pages[i].nruns;
		appendStringInfo(out, "%s{\"runs\": %u, \"pages\": %u}",
						 l > 0 ? ", " : "", nruns, level->npages);
	}
	appendStringInfoChar(out, ']');
}

/* Of a table in a page, HEAD has the name and the id alone. */
static void
put_table(StringInfo out, const FmTable *table)
{
	appendStringInfo(out, "{\"id\": " UINT64_FORMAT ", ", table->id);
	put_text(out, "name", table->name);
	appendStringInfo(out, ", \"in_page\": %s",
					 table->in_page ? "true" : "false");
	if (table->ncolumns > 0)
	{
		put_columns(out, table);
		put_levels(out, table);
	}
	appendStringInfoChar(out, '}');
}

static void
put_kinds(StringInfo out, uint32 kinds)
{
	static const struct
	{
		uint32		bit;
		const char *name;
	}			names[] = {
		{FM_CHANGE_CREATE, "create"},
		{FM_CHANGE_WRITE, "write"},
		{FM_CHANGE_SCHEMA, "schema"},
		{FM_CHANGE_TRUNCATE, "truncate"},
		{FM_CHANGE_DROP, "drop"},
		{FM_CHANGE_RESTORE, "restore"},
		{FM_CHANGE_COMPACT, "compact"}
	};
	bool		first = true;
	int			i;

	appendStringInfoString(out, "\"kinds\": [");
	for (i = 0; i < (int) lengthof(names); i++)
	{
		if ((kinds & names[i].bit) == 0)
			continue;
		appendStringInfo(out, "%s\"%s\"", first ? "" : ", ", names[i].name);
		first = false;
	}
	appendStringInfoChar(out, ']');
}

/* The commit ids of a group's members. */
static void
put_members(StringInfo out, const FmCommitRecord *record)
{
	char		hex[33];
	uint32		i;

	appendStringInfoString(out, ", \"members\": [");
	for (i = 0; i < record->nmembers; i++)
	{
		fm_id_to_hex(&record->members[i], hex);
		appendStringInfo(out, "%s\"%s\"", i > 0 ? ", " : "", hex);
	}
	appendStringInfoChar(out, ']');
}

static void
put_record(StringInfo out, const FmCommitRecord *record)
{
	TimestampTz time = record->store_time -
	(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	uint32		i;

	appendStringInfo(out, "{\"version\": " UINT64_FORMAT ", ",
					 record->version);
	put_id(out, "commit_id", &record->commit_id);
	appendStringInfo(out, ", \"time\": \"%s\", ", timestamptz_to_str(time));
	put_id(out, "writer", &record->writer);
	if (record->nmembers > 0)
		put_members(out, record);
	appendStringInfoString(out, ", \"changes\": [");
	for (i = 0; i < record->nchanges; i++)
	{
		const FmTableChange *change = &record->changes[i];

		appendStringInfo(out, "%s{\"table\": " UINT64_FORMAT ", ",
						 i > 0 ? ", " : "", change->table_id);
		put_kinds(out, change->kinds);
		appendStringInfo(out, ", \"added\": %u, \"removed\": %u}",
						 change->nadded, change->nremoved);
	}
	appendStringInfoString(out, "]}");
}

Jsonb *
fm_head_to_jsonb(const FmHead *head)
{
	StringInfoData out;
	uint32		i;

	initStringInfo(&out);
	appendStringInfo(&out, "{\"version\": " UINT64_FORMAT
					 ", \"incarnation\": " UINT64_FORMAT
					 ", \"log_floor\": " UINT64_FORMAT ", ",
					 head->version, head->incarnation, head->log_floor);
	put_id(&out, "store_id", &head->store_id);
	appendStringInfoString(&out, ", ");
	put_id(&out, "commit_id", &head->commit_id);
	appendStringInfoString(&out, ", \"tables\": [");
	for (i = 0; i < head->ntables; i++)
	{
		if (i > 0)
			appendStringInfoString(&out, ", ");
		put_table(&out, &head->tables[i]);
	}
	appendStringInfoString(&out, "], \"log_pages\": [");
	for (i = 0; i < head->nlog_pages; i++)
	{
		const FmPageRef *page = &head->log_pages[i];

		appendStringInfo(&out, "%s{\"first_version\": " UINT64_FORMAT
						 ", \"last_version\": " UINT64_FORMAT "}",
						 i > 0 ? ", " : "", page->first_version,
						 page->last_version);
	}
	appendStringInfoString(&out, "], \"log\": [");
	for (i = 0; i < head->nrecords; i++)
	{
		if (i > 0)
			appendStringInfoString(&out, ", ");
		put_record(&out, &head->records[i]);
	}
	appendStringInfoString(&out, "]}");
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
											  CStringGetDatum(out.data)));
}
