/*-------------------------------------------------------------------------
 *
 * store.c
 *	  The stores that this backend has open, and what a location may be.
 *
 * A store is kept as long as its server (and user mapping) names the same
 * location, whatever else of the options changes: readers and pending writes
 * of a transaction find each other by its address.  One that nobody has
 * opened since its catalog entry changed, and nobody pins, is freed when a
 * later transaction opens a store.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "lib/ilist.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "objstore/local.h"
#include "objstore/s3.h"
#include "objstore/store.h"

#define LOCAL_PREFIX "file://"
#define S3_PREFIX "s3://"

/* In the store's context. */
typedef struct OpenStore
{
	FmStore    *store;
	uint64		last_use;		/* number of the transaction */
	bool		replaced;		/* the server names another location now */
	uint32		server_hash;	/* of its entries in the system caches */
	uint32		mapping_hash;	/* 0 without a mapping */
	dlist_node	node;
} OpenStore;

static dlist_head open_stores = DLIST_STATIC_INIT(open_stores);
static uint64 transaction_number = 0;
static bool callbacks_registered = false;

bool
fm_location_is_local(const char *location)
{
	return strncmp(location, LOCAL_PREFIX, strlen(LOCAL_PREFIX)) == 0;
}

static bool
is_s3(const char *location)
{
	return strncmp(location, S3_PREFIX, strlen(S3_PREFIX)) == 0;
}

static void
raise_location(const char *location, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid location \"%s\"", location),
			 errdetail("%s", detail),
			 errhint("A location is \"file://\" and the absolute path of a directory, as in \"file:///var/lib/fusio\", or \"s3://\", a bucket and a prefix, as in \"s3://bucket/fusio\".")));
}

/* True if a component of the path is "..". */
static bool
has_parent_reference(const char *path)
{
	const char *p = path;

	while ((p = strstr(p, "..")) != NULL)
	{
		if ((p == path || p[-1] == '/') && (p[2] == '\0' || p[2] == '/'))
			return true;
		p += 2;
	}
	return false;
}

/* The canonical path of a local location, palloc'd; raises for others. */
static char *
location_path(const char *location)
{
	const char *path;
	char	   *result;

	if (!fm_location_is_local(location))
		raise_location(location, "Its scheme is not supported.");
	path = location + strlen(LOCAL_PREFIX);
	if (path[0] != '/')
		raise_location(location, "Its path is not absolute.");
	if (has_parent_reference(path))
		raise_location(location, "Its path refers to a parent directory.");
	if (strlen(path) >= MAXPGPATH - FM_OBJECT_NAME_SIZE)
		raise_location(location, "Its path is too long.");
	result = pstrdup(path);
	canonicalize_path(result);
	if (result[1] == '\0')
		raise_location(location, "Its path is the root directory.");
	return result;
}

void
fm_store_check_location(const char *location)
{
	if (is_s3(location))
		fm_s3_check_location(location);
	else
		pfree(location_path(location));
}

void
fm_store_check_file_privileges(Oid roleid)
{
	if (superuser_arg(roleid) ||
		(has_privs_of_role(roleid, ROLE_PG_READ_SERVER_FILES) &&
		 has_privs_of_role(roleid, ROLE_PG_WRITE_SERVER_FILES)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for \"file://\" locations"),
			 errdetail("Role \"%s\" is neither a superuser nor a member of both \"pg_read_server_files\" and \"pg_write_server_files\".",
					   GetUserNameFromId(roleid, false)),
			 errhint("Servers with a \"file://\" location must be created and owned by such a role.")));
}

int
fm_store_left_ms(const FmStore *store)
{
	int64		left_us = PG_INT64_MAX;

	if (store->deadline != 0 && !TIMESTAMP_IS_NOEND(store->deadline))
		left_us = store->deadline - GetCurrentTimestamp();
	return (int) Min(Max(left_us, 0) / 1000, INT_MAX - 1) + 1;
}

void
fm_store_check_deadline(const FmStore *store, const char *what)
{
	if (store->deadline != 0 && GetCurrentTimestamp() >= store->deadline)
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("canceling commit due to commit timeout"),
				 errdetail("%s of server \"%s\" does not answer.", what,
						   store->options.servername),
				 errhint("Raise \"fusio_manifest.commit_timeout\", or try again.")));
}

/* A server or a mapping changed; hash 0 stands for all of them. */
static void
invalidate_stores(Datum arg, int cacheid, uint32 hash)
{
	dlist_iter	iter;

	dlist_foreach(iter, &open_stores)
	{
		OpenStore  *open = dlist_container(OpenStore, node, iter.cur);

		if (hash == 0 ||
			hash == (cacheid == FOREIGNSERVEROID ? open->server_hash :
					 open->mapping_hash))
			open->store->stale = true;
	}
}

static void
count_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT ||
		event == XACT_EVENT_PREPARE)
		transaction_number++;
}

static void
register_callbacks(void)
{
	if (callbacks_registered)
		return;
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, invalidate_stores,
								  (Datum) 0);
	CacheRegisterSyscacheCallback(USERMAPPINGUSERSERVER, invalidate_stores,
								  (Datum) 0);
	RegisterXactCallback(count_transaction, NULL);
	callbacks_registered = true;
}

static void
free_unused_stores(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &open_stores)
	{
		OpenStore  *open = dlist_container(OpenStore, node, iter.cur);

		if ((open->store->stale || open->replaced) &&
			open->store->refcount == 0 &&
			open->last_use != transaction_number)
		{
			dlist_delete(&open->node);
			MemoryContextDelete(open->store->context);
		}
	}
}

/* Also where both are NULL. */
static bool
same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool
same_options(const FmStoreOptions *a, const FmStoreOptions *b)
{
	const FmMappingOptions *m = &a->mapping;
	const FmMappingOptions *n = &b->mapping;

	return a->serverowner == b->serverowner &&
		a->read_only == b->read_only &&
		a->retry_timeout_ms == b->retry_timeout_ms &&
		a->retention_ms == b->retention_ms &&
		a->grace_ms == b->grace_ms &&
		a->addressing == b->addressing &&
		a->connect_timeout_ms == b->connect_timeout_ms &&
		a->request_timeout_ms == b->request_timeout_ms &&
		a->max_requests == b->max_requests &&
		a->max_staleness_ms == b->max_staleness_ms &&
		a->coalesce == b->coalesce &&
		a->parallel == b->parallel &&
		m->source == n->source &&
		same_text(a->servername, b->servername) &&
		same_text(a->location, b->location) &&
		same_text(a->endpoint, b->endpoint) &&
		same_text(a->region, b->region) &&
		same_text(a->ca_file, b->ca_file) &&
		same_text(m->access_key_id, n->access_key_id) &&
		same_text(m->secret_access_key, n->secret_access_key) &&
		same_text(m->session_token, n->session_token);
}

static void
copy_text(FmStore *store, const char **option)
{
	if (*option != NULL)
		*option = MemoryContextStrdup(store->context, *option);
}

/*
 * Keys that are not in the mapping are the same for all, but not for everyone:
 * the mapping's user counts.
 */
static FmSum128
sum_of_rights(const FmStoreOptions *options)
{
	const FmMappingOptions *mapping = &options->mapping;
	const char *parts[] = {options->location, options->endpoint,
		options->region, options->ca_file, mapping->access_key_id,
	mapping->secret_access_key, mapping->session_token};
	StringInfoData text;
	FmSum128	sum;
	int			i;

	initStringInfo(&text);
	appendStringInfo(&text, "%d %d %u %u", mapping->source,
					 options->addressing,
					 mapping->source == FM_CREDENTIALS_STATIC ? InvalidOid :
					 options->userid,
					 mapping->source == FM_CREDENTIALS_STATIC ? InvalidOid :
					 MyDatabaseId);
	for (i = 0; i < (int) lengthof(parts); i++)
	{
		appendStringInfoChar(&text, parts[i] != NULL ? 's' : 'n');
		if (parts[i] != NULL)
			appendBinaryStringInfo(&text, parts[i],
								   (int) strlen(parts[i]) + 1);
	}
	sum = fm_xxh3_128(fm_slice(text.data, text.len), 0);
	pfree(text.data);
	return sum;
}

/* What was there before is freed with the store. */
static void
set_options(FmStore *store, const FmStoreOptions *options)
{
	store->options = *options;
	store->rights = sum_of_rights(options);
	copy_text(store, &store->options.servername);
	copy_text(store, &store->options.location);
	copy_text(store, &store->options.endpoint);
	copy_text(store, &store->options.region);
	copy_text(store, &store->options.ca_file);
	copy_text(store, &store->options.mapping.access_key_id);
	copy_text(store, &store->options.mapping.secret_access_key);
	copy_text(store, &store->options.mapping.session_token);
	if (store->ops->options_changed != NULL)
		store->ops->options_changed(store);
}

static OpenStore *
create_store(const FmStoreOptions *options)
{
	MemoryContext context;
	FmStore    *store;
	OpenStore  *open;

	/* Until the store is whole, an error frees it. */
	context = AllocSetContextCreate(CurrentMemoryContext,
									"fusio_manifest store",
									ALLOCSET_SMALL_SIZES);
	if (is_s3(options->location))
		store = fm_s3_create(options->location, context);
	else
		store = fm_local_create(location_path(options->location), context);
	set_options(store, options);
	open = MemoryContextAllocZero(context, sizeof(OpenStore));
	open->store = store;
	open->server_hash =
		GetSysCacheHashValue1(FOREIGNSERVEROID,
							  ObjectIdGetDatum(options->serverid));
	if (OidIsValid(options->userid))
		open->mapping_hash =
			GetSysCacheHashValue2(USERMAPPINGUSERSERVER,
								  ObjectIdGetDatum(options->userid),
								  ObjectIdGetDatum(options->serverid));
	MemoryContextSetParent(context, CacheMemoryContext);
	dlist_push_head(&open_stores, &open->node);
	return open;
}

FmStore *
fm_store_open(const FmStoreOptions *options)
{
	OpenStore  *found = NULL;
	dlist_iter	iter;

	if (fm_location_is_local(options->location))
		fm_store_check_file_privileges(options->serverowner);
	else
		fm_credentials_check_user(options);
	register_callbacks();
	free_unused_stores();
	dlist_foreach(iter, &open_stores)
	{
		OpenStore  *open = dlist_container(OpenStore, node, iter.cur);

		if (open->replaced ||
			open->store->options.serverid != options->serverid ||
			open->store->options.userid != options->userid)
			continue;
		if (strcmp(open->store->options.location, options->location) == 0)
			found = open;
		else
			open->replaced = true;
	}
	if (found == NULL)
		found = create_store(options);
	else if (!same_options(&found->store->options, options))
		set_options(found->store, options);
	found->store->stale = false;
	found->last_use = transaction_number;
	return found->store;
}
