/*-------------------------------------------------------------------------
 *
 * sql_functions.c
 *	  The functions and the sources of the views that users call.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "common/int.h"
#include "fmgr.h"
#include "foreign/fdwapi.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "cache/block_cache.h"
#include "compat.h"
#include "engine/compact.h"
#include "engine/key_text.h"
#include "engine/stat.h"
#include "engine/xact.h"
#include "fdw/fdw.h"
#include "fdw/table.h"
#include "manifest/collect.h"
#include "manifest/commit.h"
#include "manifest/head_cache.h"
#include "manifest/head_json.h"

PG_FUNCTION_INFO_V1(fusio_manifest_create_table);
PG_FUNCTION_INFO_V1(fusio_manifest_compact);
PG_FUNCTION_INFO_V1(fusio_manifest_runs);
PG_FUNCTION_INFO_V1(fusio_manifest_head);
PG_FUNCTION_INFO_V1(fusio_manifest_check_server);
PG_FUNCTION_INFO_V1(fusio_manifest_whoami);
PG_FUNCTION_INFO_V1(fusio_manifest_accept_restore);
PG_FUNCTION_INFO_V1(fusio_manifest_gc);
PG_FUNCTION_INFO_V1(fusio_manifest_cache_reset);
PG_FUNCTION_INFO_V1(fusio_manifest_cache_counters);
PG_FUNCTION_INFO_V1(fusio_manifest_table_counters);

static bool
is_ours(FdwRoutine *routine)
{
	return routine->BeginForeignScan == fmBeginForeignScan;
}

/* Opens a relation that must be a foreign table of this wrapper. */
static Relation
open_foreign_table(Oid relid, LOCKMODE lock)
{
	Relation	rel = relation_open(relid, lock);

	if (rel->rd_rel->relkind != RELKIND_FOREIGN_TABLE ||
		!is_ours(GetFdwRoutineForRelation(rel, false)))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a foreign table of \"fusio_manifest\"",
						RelationGetRelationName(rel))));
	return rel;
}

static void
check_table_owner(Relation rel)
{
	if (!fm_owns_table(RelationGetRelid(rel), GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FOREIGN_TABLE,
					   RelationGetRelationName(rel));
}

static void
prevent_reading_only(const char *function)
{
	PreventCommandIfReadOnly(function);
	PreventCommandIfParallelMode(function);
	PreventCommandDuringRecovery(function);
}

/* fusio_manifest_create_table(regclass) */
Datum
fusio_manifest_create_table(PG_FUNCTION_ARGS)
{
	Relation	rel;
	FmOpenTable *open;

	prevent_reading_only("fusio_manifest_create_table()");
	rel = open_foreign_table(PG_GETARG_OID(0), RowExclusiveLock);
	check_table_owner(rel);
	open = fm_open_table(rel, InvalidOid, FM_OPEN_WRITE);
	if (!open->is_new)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("table \"%s\" already exists in the store of server \"%s\"",
						open->options->table_name,
						open->options->store.servername),
				 errhint("Foreign table \"%s\" can be used as it is.",
						 RelationGetRelationName(rel))));
	fm_close_table(open);
	relation_close(rel, NoLock);
	PG_RETURN_VOID();
}

/* fusio_manifest_compact(regclass, "full" boolean) */
Datum
fusio_manifest_compact(PG_FUNCTION_ARGS)
{
	Relation	rel;
	FmTableOptions *options;
	FmStore    *store;
	int			merged;

	prevent_reading_only("fusio_manifest_compact()");

	/* Others of this cluster would do the same work in vain: they wait. */
	rel = open_foreign_table(PG_GETARG_OID(0), ShareUpdateExclusiveLock);
	check_table_owner(rel);
	options = fm_table_options(rel);
	fm_check_server_writable(&options->store);
	store = fm_open_store(&options->store, InvalidOid);
	if (fm_xact_has_writes(store))
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot compact foreign table \"%s\" in a transaction that has changes in the store of server \"%s\"",
						RelationGetRelationName(rel),
						options->store.servername),
				 errhint("Commit first. Compaction publishes its result at once.")));

	/* A table that is missing, or is another one, is an error here too. */
	fm_close_table(fm_open_table(rel, InvalidOid, FM_OPEN_READ));
	merged = fm_compact_table(store, options->table_name, PG_GETARG_BOOL(1));
	relation_close(rel, NoLock);
	PG_RETURN_INT32(merged);
}

static const char *
filter_text(const FmRunDesc *run)
{
	switch ((FmFilterKind) run->filter_kind)
	{
		case FM_FILTER_NONE:
			return "none";
		case FM_FILTER_BLOOM:
			return psprintf("bloom:%d", run->filter_bits);
		case FM_FILTER_FUSE8:
			return "fuse:8";
		case FM_FILTER_FUSE16:
			return "fuse:16";
		case FM_FILTER_AUTO:
			break;
	}
	return "not known";
}

static void
put_run(ReturnSetInfo *result, const FmTupleCodec *codec, uint32 level,
		const FmRunDesc *run)
{
	pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));
	Datum		values[11];
	bool		isnull[11] = {false};
	int			i = 0;

	StaticAssertStmt(sizeof(run->id.bytes) == sizeof(id->data), "id is a uuid");
	memcpy(id->data, run->id.bytes, sizeof(id->data));
	values[i++] = Int32GetDatum((int32) level);
	values[i++] = UUIDPGetDatum(id);
	values[i++] = Int64GetDatum((int64) run->rows);
	values[i++] = Int64GetDatum((int64) run->tombstones);
	values[i++] = Int64GetDatum((int64) run->size);
	values[i++] = Int64GetDatum(run->nblocks);
	values[i++] = CStringGetTextDatum(filter_text(run));
	values[i++] = CStringGetTextDatum(fm_key_to_text(codec, run->lower));
	values[i++] = CStringGetTextDatum(fm_key_to_text(codec, run->upper));
	values[i++] = Int64GetDatum((int64) run->min_version);
	values[i++] = Int64GetDatum((int64) run->max_version);
	tuplestore_putvalues(result->setResult, result->setDesc, values, isnull);
}

/* fusio_manifest_runs(regclass) */
Datum
fusio_manifest_runs(PG_FUNCTION_ARGS)
{
	Relation	rel = open_foreign_table(PG_GETARG_OID(0), AccessShareLock);
	FmOpenTable *open;
	AclResult	acl;
	uint32		l;
	uint32		i;

	acl = pg_class_aclcheck(RelationGetRelid(rel), GetUserId(), ACL_SELECT);
	if (acl != ACLCHECK_OK)
		aclcheck_error(acl, OBJECT_FOREIGN_TABLE, RelationGetRelationName(rel));
	InitMaterializedSRF(fcinfo, 0);
	open = fm_open_table(rel, InvalidOid, FM_OPEN_READ);
	for (l = 0; l < open->table->nlevels; l++)
	{
		for (i = 0; i < open->table->levels[l].nruns; i++)
			put_run((ReturnSetInfo *) fcinfo->resultinfo, open->codec, l,
					&open->table->levels[l].runs[i]);
	}
	fm_close_table(open);
	relation_close(rel, NoLock);
	return (Datum) 0;
}

/* The store of a server of ours. */
static FmStore *
open_server(const char *name, ForeignServer **server)
{
	FmStoreOptions options;

	*server = GetForeignServerByName(name, false);
	if (!is_ours(GetFdwRoutineByServerId((*server)->serverid)))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a server of \"fusio_manifest\"", name)));
	fm_server_options(*server, &options);
	return fm_open_store(&options, InvalidOid);
}

static void
check_server_owner(const char *name)
{
	if (!fm_owns_server(get_foreign_server_oid(name, false), GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FOREIGN_SERVER, name);
}

/* fusio_manifest_head(server name): NULL if the store has no HEAD */
Datum
fusio_manifest_head(PG_FUNCTION_ARGS)
{
	char	   *name = NameStr(*PG_GETARG_NAME(0));
	ForeignServer *server;
	FmManifest *manifest;

	check_server_owner(name);
	manifest = fm_manifest_current(open_server(name, &server));
	if (!manifest->exists)
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(fm_head_to_jsonb(manifest->head));
}

/* fusio_manifest_check_server(server name): one row a probe */
Datum
fusio_manifest_check_server(PG_FUNCTION_ARGS)
{
	char	   *name = NameStr(*PG_GETARG_NAME(0));
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	FmProbe		probes[FM_MAX_PROBES];
	ForeignServer *server;
	FmStore    *store;
	int			n;
	int			i;

	prevent_reading_only("fusio_manifest_check_server()");
	check_server_owner(name);
	InitMaterializedSRF(fcinfo, 0);
	store = open_server(name, &server);
	if (store->ops->probe == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("there is nothing to be probed in a directory")));
	n = store->ops->probe(store, probes);
	for (i = 0; i < n; i++)
	{
		Datum		values[4];
		bool		isnull[4] = {false};

		values[0] = CStringGetTextDatum(probes[i].name);
		values[1] = BoolGetDatum(probes[i].ok);
		values[2] = CStringGetTextDatum(probes[i].observed);
		values[3] = CStringGetTextDatum(probes[i].meaning);
		tuplestore_putvalues(result->setResult, result->setDesc, values,
							 isnull);
	}
	return (Datum) 0;
}

/* fusio_manifest_accept_restore(server name): the new incarnation */
Datum
fusio_manifest_accept_restore(PG_FUNCTION_ARGS)
{
	char	   *name = NameStr(*PG_GETARG_NAME(0));
	ForeignServer *server;
	FmStore    *store;

	prevent_reading_only("fusio_manifest_accept_restore()");
	check_server_owner(name);
	store = open_server(name, &server);
	fm_check_server_writable(&store->options);
	if (fm_xact_has_writes(store))
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot accept a restored store in a transaction that has changes in the store of server \"%s\"",
						name)));
	PG_RETURN_INT64((int64) fm_commit_accept_restore(store,
													 fm_commit_deadline()));
}

static const char *
stored_kind_text(FmStoredKind kind)
{
	switch (kind)
	{
		case FM_STORED_RUN:
			return "run";
		case FM_STORED_PAGE:
			return "page";
		case FM_STORED_LEASE:
			return "lease";
		case FM_STORED_PROBE:
			return "probe";
		case FM_STORED_TEMPORARY:
			return "temporary";
		case FM_STORED_UPLOAD:
			return "upload";
		case FM_STORED_FOREIGN:
			break;
	}
	return "foreign";
}

static const char *
collect_reason_text(FmCollectReason reason)
{
	switch (reason)
	{
		case FM_COLLECT_ORPHAN:
			return "orphan";
		case FM_COLLECT_REPLACED:
			return "replaced";
		case FM_COLLECT_EXPIRED:
			return "expired";
		case FM_COLLECT_YOUNG:
			return "young";
		case FM_COLLECT_GRACE:
			return "grace";
		case FM_COLLECT_LEASED:
			return "leased";
		case FM_COLLECT_LEASE:
			return "lease";
		case FM_COLLECT_FOREIGN:
			break;
	}
	return "foreign";
}

static void
put_collected(ReturnSetInfo *result, const FmCollection *c,
			  const FmCollected *object)
{
	const FmStored *stored = object->stored;
	char		buffer[FM_OBJECT_NAME_SIZE];
	Interval   *age = palloc0(sizeof(Interval));
	Datum		values[6];
	bool		isnull[6] = {false};
	int			i = 0;

	age->time = c->now - stored->modified;
	values[i++] = CStringGetTextDatum(stored_kind_text(stored->kind));
	values[i++] = CStringGetTextDatum(fm_stored_name(stored, buffer));
	values[i++] = Int64GetDatum((int64) stored->size);
	isnull[i] = stored->modified == 0;
	values[i++] = IntervalPGetDatum(age);
	values[i++] = CStringGetTextDatum(collect_reason_text(object->reason));
	values[i++] = BoolGetDatum(object->removed);
	tuplestore_putvalues(result->setResult, result->setDesc, values, isnull);
}

/* An interval of days and less, in microseconds. */
static int64
read_age(const Interval * age)
{
	int64		us;

	if (age->month != 0 ||
		pg_mul_s64_overflow(age->day, USECS_PER_DAY, &us) ||
		pg_add_s64_overflow(us, age->time, &us) || us < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid age of objects that are to be collected"),
				 errhint("An age is an interval of days, hours or less, as in '24 hours'.")));
	return us;
}

/* fusio_manifest_gc(server name, dry_run boolean, older_than interval) */
Datum
fusio_manifest_gc(PG_FUNCTION_ARGS)
{
	char	   *name = NameStr(*PG_GETARG_NAME(0));
	ForeignServer *server;
	FmCollection collection;
	int			i;

	memset(&collection, 0, sizeof(collection));
	collection.dry_run = PG_GETARG_BOOL(1);
	collection.orphan_age_us = read_age(PG_GETARG_INTERVAL_P(2));
	if (!collection.dry_run)
		prevent_reading_only("fusio_manifest_gc()");
	check_server_owner(name);
	InitMaterializedSRF(fcinfo, 0);
	collection.store = open_server(name, &server);
	if (!collection.dry_run)
		fm_check_server_writable(&collection.store->options);
	if (!collection.dry_run && fm_xact_has_writes(collection.store))
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot collect objects in a transaction that has changes in the store of server \"%s\"",
						name),
				 errhint("Commit first. Collection removes objects at once.")));
	collection.deadline = fm_commit_deadline();
	fm_collect(&collection);
	for (i = 0; i < collection.nobjects; i++)
		put_collected((ReturnSetInfo *) fcinfo->resultinfo, &collection,
					  &collection.objects[i]);
	return (Datum) 0;
}

/* fusio_manifest_whoami(server name): source, expires, endpoint, region */
Datum
fusio_manifest_whoami(PG_FUNCTION_ARGS)
{
	char	   *name = NameStr(*PG_GETARG_NAME(0));
	FmStoreIdentity identity;
	ForeignServer *server;
	FmStore    *store;
	TupleDesc	desc;
	Datum		values[4];
	bool		isnull[4] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	store = open_server(name, &server);
	if (!fm_may_use_server(server->serverid, GetUserId()))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FOREIGN_SERVER, name);
	store->ops->who(store, &identity);
	values[0] = CStringGetTextDatum(identity.source);
	values[1] = TimestampTzGetDatum(identity.expires);
	isnull[1] = TIMESTAMP_IS_NOEND(identity.expires);
	isnull[2] = identity.endpoint == NULL;
	isnull[3] = identity.region == NULL;
	if (!isnull[2])
		values[2] = CStringGetTextDatum(identity.endpoint);
	if (!isnull[3])
		values[3] = CStringGetTextDatum(identity.region);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, isnull)));
}

/* fusio_manifest_cache_reset() */
Datum
fusio_manifest_cache_reset(PG_FUNCTION_ARGS)
{
	fm_cache_reset();
	PG_RETURN_VOID();
}

/* fusio_manifest_cache_counters(), for the view fusio_manifest_cache */
Datum
fusio_manifest_cache_counters(PG_FUNCTION_ARGS)
{
	static const char *const kinds[FM_CACHE_NKINDS] = {
		"data block", "index partition", "top index", "page"
	};
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int			kind;

	InitMaterializedSRF(fcinfo, 0);
	for (kind = 0; kind < FM_CACHE_NKINDS; kind++)
	{
		FmCacheStats stats;
		Datum		values[8];
		bool		isnull[8] = {false};
		int			i = 0;

		fm_cache_stats(kind, &stats);
		values[i++] = CStringGetTextDatum(kinds[kind]);
		values[i++] = Int64GetDatum((int64) stats.hits);
		values[i++] = Int64GetDatum((int64) stats.misses);
		values[i++] = Int64GetDatum((int64) stats.evictions);
		values[i++] = Int64GetDatum((int64) stats.blocks);
		values[i++] = Int64GetDatum((int64) stats.bytes);
		values[i++] = Int64GetDatum((int64) stats.pins);
		values[i++] = BoolGetDatum(fm_cache_is_shared());
		tuplestore_putvalues(result->setResult, result->setDesc, values,
							 isnull);
	}
	return (Datum) 0;
}

/*
 * fusio_manifest_table_counters(oid), for the view
 * fusio_manifest_stat_tables: one row, or none for a table never used.
 */
Datum
fusio_manifest_table_counters(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	FmStats		stats;
	Datum		values[FM_NCOUNTERS];
	bool		isnull[FM_NCOUNTERS] = {false};
	int			i;

	InitMaterializedSRF(fcinfo, 0);
	if (fm_stat_read(PG_GETARG_OID(0), &stats))
	{
		for (i = 0; i < FM_NCOUNTERS; i++)
			values[i] = Int64GetDatum((int64) stats.count[i]);
		tuplestore_putvalues(result->setResult, result->setDesc, values,
							 isnull);
	}
	return (Datum) 0;
}
