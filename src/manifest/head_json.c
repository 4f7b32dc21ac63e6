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
put_table(StringInfo out, const FmTable *table)
{
	uint32		i;
	uint32		l;

	appendStringInfo(out, "{\"id\": " UINT64_FORMAT ", ", table->id);
	put_text(out, "name", table->name);
	if (table->resolved)
	{
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
		appendStringInfoString(out, "], \"levels\": [");
		for (l = 0; l < table->nlevels; l++)
			appendStringInfo(out, "%s{\"runs\": %u, \"pages\": %u}",
							 l > 0 ? ", " : "", table->levels[l].nruns,
							 table->levels[l].npages);
		appendStringInfoChar(out, ']');
	}
	appendStringInfoChar(out, '}');
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
	appendStringInfoString(out, ", \"changes\": [");
	for (i = 0; i < record->nchanges; i++)
		appendStringInfo(out,
						 "%s{\"table\": " UINT64_FORMAT ", \"kinds\": %u, \"added\": %u, \"removed\": %u}",
						 i > 0 ? ", " : "", record->changes[i].table_id,
						 record->changes[i].kinds, record->changes[i].nadded,
						 record->changes[i].nremoved);
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
