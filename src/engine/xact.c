/*-------------------------------------------------------------------------
 *
 * xact.c
 *	  What a transaction has changed, store by store, and its callbacks.
 *
 * Subtransactions are numbered as they start.  When one aborts, all that has
 * its number or a greater one is its own or its children's, and goes.
 *
 * After the compare-and-swap, PostgreSQL may still abort the transaction;
 * what was published stays, and a WARNING says so.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "storage/predicate.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "engine/group_commit.h"
#include "engine/group_queue.h"
#include "engine/ingest.h"
#include "engine/xact.h"
#include "manifest/commit.h"
#include "manifest/head_cache.h"

#define MAX_KEY_LOCKS 1000		/* a transaction */
#define KEY_LOCK_CLASS 0x464D	/* advisory locks of users are of 1 and 2 */
#define BULK_ROWS 1000			/* that make what plans know outdated */

int			fm_commit_timeout_ms = 0;
int			fm_write_buffer_kb = 64 * 1024;

/* What a table was before a change as a whole, in a later subtransaction. */
struct FmSchemaState
{
	SubTransactionId subid;		/* that made the change */
	FmTable    *create;
	FmColumn   *add_columns;
	int			nadd_columns;
	bool		truncated;
	FmWriteBuffer *buffer;		/* NULL: the same as after it */
	FmSchemaState *older;
};

/* What a SERIALIZABLE transaction has read of a table. */
typedef struct TableReads
{
	FmStore    *store;			/* not the only way to its store */
	FmId		store_id;
	char	   *name;
	uint64		table_id;
	uint64		version;		/* that was read */
	FmReadSet  *set;
	struct TableReads *next;
} TableReads;

typedef struct XactState
{
	MemoryContext context;		/* holds all of it */
	FmStore    *store;			/* that is written, once a table is enlisted */
	FmId		store_id;		/* of its HEAD; zeros if there was none */
	uint64		incarnation;	/* the same */
	FmTableWrites **tables;
	int			ntables;
	int			maxtables;
	int			nenlisted;
	TableReads *reads;			/* also of other stores */
	bool		finished;		/* PRE_COMMIT is over */
	uint64		version;		/* that was published; 0: none */
	FmId		commit_id;
} XactState;

static XactState *current = NULL;
static int	key_locks = 0;		/* taken in this transaction */

static XactState *
get_state(void)
{
	MemoryContext context;
	XactState  *state;

	if (current != NULL)
		return current;
	context = AllocSetContextCreate(TopTransactionContext,
									"fusio_manifest transaction",
									ALLOCSET_SMALL_SIZES);
	state = MemoryContextAllocZero(context, sizeof(XactState));
	state->context = context;
	current = state;
	return state;
}

static FmTableWrites *
find_table(FmStore *store, const char *name)
{
	int			i;

	for (i = 0; current != NULL && i < current->ntables; i++)
	{
		FmTableWrites *writes = current->tables[i];

		if (writes->store == store && strcmp(writes->name, name) == 0)
			return writes;
	}
	return NULL;
}

FmTableWrites *
fm_xact_find(FmStore *store, const char *name)
{
	FmTableWrites *writes = find_table(store, name);

	return writes != NULL && writes->enlisted ? writes : NULL;
}

bool
fm_xact_has_writes(FmStore *store)
{
	return current != NULL && current->nenlisted > 0 &&
		(store == NULL || current->store == store);
}

static FmReadSet *
find_reads(FmStore *store, const char *name)
{
	TableReads *reads;

	for (reads = current->reads; reads != NULL; reads = reads->next)
	{
		if (reads->store == store && strcmp(reads->name, name) == 0)
			return reads->set;
	}
	return NULL;
}

/*
 * Nothing is forgotten when a subtransaction aborts: what it has read may
 * have decided what came after.  So it is with a READ ONLY one, after which
 * the transaction may write.
 */
FmReadSet *
fm_xact_read_set(FmStore *store, const char *name, const FmTable *table,
				 uint64 version)
{
	XactState  *state;
	FmReadSet  *set;
	TableReads *reads;

	if (!IsolationIsSerializable() || IsParallelWorker() || table->id == 0 ||
		(XactReadOnly && GetCurrentTransactionNestLevel() == 1))
		return NULL;
	state = get_state();
	set = find_reads(store, name);
	if (set != NULL)
		return set;
	reads = MemoryContextAllocZero(state->context, sizeof(TableReads));
	reads->store = store;
	reads->store_id = fm_snapshot_get(store,
									  GetActiveSnapshot())->head->store_id;
	reads->name = MemoryContextStrdup(state->context, name);
	reads->table_id = table->id;
	reads->version = version;
	reads->set = fm_read_set_create(state->context, store);
	reads->next = state->reads;
	state->reads = reads;
	return reads->set;
}

static FmSlice
copy_slice(FmSlice s)
{
	uint8	   *data;

	if (s.len == 0)
		return fm_slice(NULL, 0);
	data = palloc(s.len);
	memcpy(data, s.data, s.len);
	return fm_slice(data, s.len);
}

static FmColumn *
copy_columns(const FmColumn *columns, int n)
{
	FmColumn   *copy = palloc(sizeof(FmColumn) * Max(n, 1));
	int			i;

	for (i = 0; i < n; i++)
	{
		copy[i] = columns[i];
		copy[i].name = copy_slice(columns[i].name);
		copy[i].type_name = copy_slice(columns[i].type_name);
		copy[i].collation = copy_slice(columns[i].collation);
		copy[i].collation_version = copy_slice(columns[i].collation_version);
		copy[i].declared_type = copy_slice(columns[i].declared_type);
		copy[i].declared_collation = copy_slice(columns[i].declared_collation);
	}
	return copy;
}

/* A definition without runs. */
static FmTable *
copy_definition(const FmTable *table, const FmTableWrites *writes)
{
	FmTable    *copy = palloc(sizeof(FmTable));

	*copy = *table;
	copy->id = 0;
	copy->name = fm_slice(writes->name, strlen(writes->name));
	copy->in_page = false;
	copy->resolved = true;
	copy->columns = copy_columns(table->columns, table->ncolumns);
	copy->keys = palloc(sizeof(FmKeyColumn) * Max(table->nkeys, 1));
	memcpy(copy->keys, table->keys, sizeof(FmKeyColumn) * table->nkeys);
	copy->block = writes->block;
	copy->nlevels = 0;
	memset(copy->levels, 0, sizeof(copy->levels));
	return copy;
}

static void
check_transaction(FmStore *store)
{
	if (IsInParallelMode())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("cannot write to server \"%s\" during a parallel operation",
						store->options.servername)));
	if (current == NULL)
		return;
	if (current->finished)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("cannot write to server \"%s\" while the transaction commits",
						store->options.servername)));
	if (current->nenlisted == 0 || current->store == store)
		return;
	if (current->store->options.serverid == store->options.serverid)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot write to server \"%s\" under two user mappings in one transaction",
						store->options.servername),
				 errhint("Commit in between.")));
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot write to server \"%s\" in a transaction that has changes in the store of server \"%s\"",
					store->options.servername,
					current->store->options.servername),
			 errdetail("Two stores cannot be committed together."),
			 errhint("Commit in between.")));
}

/*
 * All versions that a transaction has read are of one store's HEAD; a store
 * that had none has version 0 of any.
 */
static void
note_store_id(XactState *state, FmStore *store)
{
	static const FmId none;
	const FmHead *head = fm_snapshot_get(store, GetActiveSnapshot())->head;

	if (state->nenlisted == 0 || fm_id_eq(&state->store_id, &none))
	{
		state->store_id = head->store_id;
		state->incarnation = head->incarnation;
	}
	else if (!fm_id_eq(&state->store_id, &head->store_id) ||
			 state->incarnation != head->incarnation)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("store of server \"%s\" was replaced during the transaction",
						store->options.servername),
				 errhint("Run the transaction again.")));
}

/* An entry for a table, not enlisted. */
static FmTableWrites *
add_table(XactState *state, FmStore *store, const char *name)
{
	FmTableWrites *writes = palloc0(sizeof(FmTableWrites));

	writes->store = store;
	writes->name = pstrdup(name);
	writes->buffer = fm_write_buffer_create(state->context,
											(Size) fm_write_buffer_kb * 1024);
	if (state->ntables == state->maxtables)
	{
		int			n = Max(8, state->maxtables * 2);

		if (state->tables == NULL)
			state->tables = palloc(sizeof(FmTableWrites *) * n);
		else
			state->tables = repalloc(state->tables,
									 sizeof(FmTableWrites *) * n);
		state->maxtables = n;
	}
	state->tables[state->ntables++] = writes;
	return writes;
}

static void
enlist_new(XactState *state, FmTableWrites *writes, const FmTable *stored,
		   const FmTable *definition, const FmColumn *add_columns,
		   int nadd_columns, uint64 base)
{
	writes->table_id = stored == NULL ? 0 : stored->id;
	writes->create = stored == NULL ? copy_definition(definition, writes) :
		NULL;
	writes->add_columns = copy_columns(add_columns, nadd_columns);
	writes->nadd_columns = nadd_columns;
	writes->base = base;
	writes->subid = GetCurrentSubTransactionId();
	writes->enlisted = true;
	state->store = writes->store;
	state->nenlisted++;
}

/* Keeps what the table is, in the current context. */
static FmSchemaState *
push_state(FmTableWrites *writes)
{
	FmSchemaState *before = palloc0(sizeof(FmSchemaState));

	before->subid = GetCurrentSubTransactionId();
	before->create = writes->create;
	before->add_columns = writes->add_columns;
	before->nadd_columns = writes->nadd_columns;
	before->truncated = writes->truncated;
	before->older = writes->schema_states;
	writes->schema_states = before;
	return before;
}

/* The table has got more columns since it was enlisted. */
static void
enlist_columns(FmTableWrites *writes, const FmTable *stored,
			   const FmTable *definition, const FmColumn *add_columns,
			   int nadd_columns)
{
	bool		create = writes->create != NULL && stored == NULL &&
	definition->ncolumns > writes->create->ncolumns;

	if (!create && nadd_columns <= writes->nadd_columns)
		return;
	(void) push_state(writes);
	if (create)
		writes->create = copy_definition(definition, writes);
	else
	{
		writes->add_columns = copy_columns(add_columns, nadd_columns);
		writes->nadd_columns = nadd_columns;
	}
}

void
fm_xact_truncate(FmTableWrites *writes)
{
	MemoryContext old = MemoryContextSwitchTo(current->context);
	FmWriteBuffer *buffer = fm_write_buffer_create(current->context,
												   (Size) fm_write_buffer_kb * 1024);

	push_state(writes)->buffer = writes->buffer;
	writes->buffer = buffer;
	writes->truncated = true;
	MemoryContextSwitchTo(old);
}

FmTableWrites *
fm_xact_enlist(FmStore *store, Oid relid, const char *name,
			   const FmTable *stored, const FmTable *definition,
			   const FmColumn *add_columns, int nadd_columns,
			   const FmBlockOptions *block, uint64 base)
{
	FmTableWrites *writes;
	XactState  *state;
	MemoryContext old;

	check_transaction(store);
	state = get_state();
	note_store_id(state, store);
	old = MemoryContextSwitchTo(state->context);
	writes = find_table(store, name);
	if (writes == NULL)
		writes = add_table(state, store, name);
	writes->relid = relid;
	writes->block = *block;
	if (!writes->enlisted)
		enlist_new(state, writes, stored, definition, add_columns,
				   nadd_columns, base);
	else
	{
		enlist_columns(writes, stored, definition, add_columns, nadd_columns);
		writes->base = Min(writes->base, base);
	}
	MemoryContextSwitchTo(old);
	return writes;
}

void
fm_xact_lock_key(FmTableWrites *writes, FmSlice key, uint64 hash, uint64 base)
{
	FmSlice		none = {NULL, 0};

	fm_write_buffer_add(writes->buffer, key, hash, FM_LOCK, none, false,
						GetCurrentCommandId(true), base);
}

/* Every database of the cluster may write to the store: none is named. */
void
fm_xact_wait_for_key(const FmStoreOptions *store, const char *name,
					 uint64 hash)
{
	uint64		seed = fm_xxh3_64(fm_slice(store->location,
										   strlen(store->location)), hash);
	uint64		number = fm_xxh3_64(fm_slice(name, strlen(name)), seed);
	LOCKTAG		tag;

	if (key_locks >= MAX_KEY_LOCKS)
		return;
	SET_LOCKTAG_ADVISORY(tag, InvalidOid, (uint32) (number >> 32),
						 (uint32) number, KEY_LOCK_CLASS);
	if (LockAcquire(&tag, ExclusiveLock, false, false) == LOCKACQUIRE_OK)
		key_locks++;
}

static bool
has_changes(const FmTableWrites *writes)
{
	return writes->enlisted &&
		(writes->create != NULL || writes->nadd_columns > 0 ||
		 writes->truncated || fm_ingest_is_needed(writes->buffer));
}

/* What a table's commit is, without the runs that it adds. */
static void
describe_table_commit(FmTableWrites *writes, FmTableCommit *commit)
{
	memset(commit, 0, sizeof(*commit));
	commit->name = writes->name;
	commit->table_id = writes->table_id;
	commit->base = writes->base;
	commit->create = writes->create;
	commit->add_columns = writes->add_columns;
	commit->nadd_columns = (uint32) writes->nadd_columns;
	commit->truncate = writes->truncated && writes->table_id != 0;
	writes->reads = find_reads(writes->store, writes->name);
	if (writes->reads != NULL || !fm_write_buffer_is_empty(writes->buffer))
	{
		commit->probe = fm_ingest_conflicts;
		commit->probe_arg = writes;
	}
}

/* Writes the runs of all tables. */
static void
write_runs(XactState *state, FmManifest *manifest, FmCommitRequest *request)
{
	FmTableCommit *commit = request->tables;
	int			i;

	for (i = 0; i < state->ntables; i++)
	{
		FmRunDesc  *added;

		if (!state->tables[i]->enlisted)
			continue;
		if (!fm_write_buffer_is_empty(state->tables[i]->buffer))
		{
			commit->nadded = (uint32) fm_ingest_table(state->tables[i],
													  manifest,
													  request->deadline,
													  &added);
			commit->added = added;
		}
		commit++;
	}
}

TimestampTz
fm_commit_deadline(void)
{
	if (fm_commit_timeout_ms == 0)
		return DT_NOEND;
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
									   fm_commit_timeout_ms);
}

/* What was read of tables that are not written goes into the check too. */
static void
add_reads(XactState *state, FmCommitRequest *request)
{
	TableReads *reads;

	for (reads = state->reads; reads != NULL; reads = reads->next)
	{
		FmTableWrites *writes = fm_xact_find(reads->store, reads->name);
		FmTableCommit *commit;

		if (!fm_id_eq(&reads->store_id, &state->store_id) || writes != NULL)
			continue;
		commit = &request->tables[request->ntables++];
		memset(commit, 0, sizeof(*commit));
		commit->name = reads->name;
		commit->table_id = reads->table_id;
		commit->base = reads->version;
		commit->probe = fm_read_set_conflicts;
		commit->probe_arg = reads->set;
	}
}

/* Locks alone publish nothing, and so have nothing to protect. */
static void
publish(XactState *state)
{
	FmCommitRequest request;
	FmManifest *manifest;
	TableReads *reads;
	bool		needed = false;
	int			nreads = 0;
	int			i;

	for (i = 0; i < state->ntables && !needed; i++)
		needed = has_changes(state->tables[i]);
	if (!needed)
		return;

	memset(&request, 0, sizeof(request));
	request.store = state->store;
	request.store_id = state->store_id;
	request.incarnation = state->incarnation;
	request.deadline = fm_commit_deadline();
	state->store->deadline = request.deadline;
	for (reads = state->reads; reads != NULL; reads = reads->next)
		nreads++;
	request.tables = palloc(sizeof(FmTableCommit) *
							(state->ntables + nreads));

	for (i = 0; i < state->ntables; i++)
	{
		if (state->tables[i]->enlisted)
			describe_table_commit(state->tables[i],
								  &request.tables[request.ntables++]);
	}
	if (state->reads != NULL ||
		!fm_group_commit(state->tables, state->ntables, &request))
	{
		manifest = fm_manifest_current(state->store);
		if (!manifest->exists)
		{
			fm_manifest_create_head(state->store, request.deadline);
			manifest = fm_manifest_current(state->store);
		}
		request.start = fm_publish_begin(manifest);
		write_runs(state, manifest, &request);
		add_reads(state, &request);

		/* PostgreSQL asks again later, when its "no" would come too late. */
		if (IsolationIsSerializable())
			PreCommit_CheckForSerializationFailure();

		/* A commit is short: that HEAD is replaced meanwhile is less likely. */
		if (!state->store->ops->is_near)
			request.manifest = manifest;
		fm_commit_publish(&request);
	}
	for (i = 0; i < state->ntables; i++)
	{
		if (state->tables[i]->buffer != NULL &&
			fm_write_buffer_count(state->tables[i]->buffer) >= BULK_ROWS)
			fm_manifest_outdate_last_seen(state->store);
	}
	state->store->deadline = 0;
	state->version = request.version;
	state->commit_id = request.commit_id;
}

/*
 * Temporary files are closed here, since PostgreSQL takes those that are left
 * for a leak.
 */
static void
pre_commit(void)
{
	XactState  *state = current;
	MemoryContext context;
	MemoryContext old;
	int			i;

	if (state == NULL)
		return;
	context = AllocSetContextCreate(state->context,
									"fusio_manifest publish",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	publish(state);
	state->finished = true;
	state->nenlisted = 0;
	for (i = 0; i < state->ntables; i++)
	{
		FmTableWrites *writes = state->tables[i];
		FmSchemaState *before;

		writes->enlisted = false;
		fm_write_buffer_free(writes->buffer);
		writes->buffer = NULL;
		for (before = writes->schema_states; before != NULL;
			 before = before->older)
		{
			if (before->buffer != NULL)
				fm_write_buffer_free(before->buffer);
		}
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

static void
refuse_prepare(void)
{
	if (fm_xact_has_writes(NULL))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot prepare a transaction that has changes in the store of server \"%s\"",
						current->store->options.servername),
				 errhint("Use COMMIT.")));
}

static void
warn_published(void)
{
	char		hex[33];

	if (current == NULL || current->version == 0)
		return;
	fm_id_to_hex(&current->commit_id, hex);
	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 errmsg("transaction was aborted after its changes were published in the store of server \"%s\"",
					current->store->options.servername),
			 errdetail("They are version %llu, commit %s.",
					   (unsigned long long) current->version, hex)));
}

static void
end_of_transaction(void)
{
	if (current != NULL && current->store != NULL)
		current->store->deadline = 0;
	current = NULL;
	key_locks = 0;
}

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			pre_commit();
			break;
		case XACT_EVENT_PRE_PREPARE:
			refuse_prepare();
			break;
		case XACT_EVENT_COMMIT:
			/* fm_commit_publish has held them. */
			if (current != NULL && current->version != 0)
				RESUME_INTERRUPTS();
			end_of_transaction();
			break;
		case XACT_EVENT_ABORT:
			fm_group_abort();
			warn_published();
			end_of_transaction();
			break;
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PARALLEL_ABORT:
			end_of_transaction();
			break;
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
			break;
	}
}

/* Neither raises nor allocates. */
static void
abort_table(FmTableWrites *writes, SubTransactionId subid)
{
	while (writes->schema_states != NULL &&
		   writes->schema_states->subid >= subid)
	{
		FmSchemaState *before = writes->schema_states;

		if (before->buffer != NULL)
		{
			fm_write_buffer_free(writes->buffer);
			writes->buffer = before->buffer;
		}
		writes->truncated = before->truncated;
		writes->create = before->create;
		writes->add_columns = before->add_columns;
		writes->nadd_columns = before->nadd_columns;
		writes->schema_states = before->older;
	}
	fm_write_buffer_subabort(writes->buffer, subid);
	if (!writes->enlisted || writes->subid < subid)
		return;
	writes->enlisted = false;
	writes->create = NULL;
	writes->nadd_columns = 0;
	current->nenlisted--;
}

static void
subxact_callback(SubXactEvent event, SubTransactionId subid,
				 SubTransactionId parent, void *arg)
{
	int			i;

	if (event != SUBXACT_EVENT_ABORT_SUB || current == NULL ||
		current->finished)
		return;
	for (i = 0; i < current->ntables; i++)
		abort_table(current->tables[i], subid);
}

void
fm_xact_init(void)
{
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}
