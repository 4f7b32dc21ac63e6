/*-------------------------------------------------------------------------
 *
 * option_cache.c
 *	  The options of foreign tables, kept between statements.
 *
 * An entry is dropped when the catalogs that it was read from change.  Who
 * uses it then keeps it until his memory context goes, and it is freed with
 * its last user.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "fdw/option.h"

typedef struct KeptOptions
{
	FmTableOptions *options;
	MemoryContext context;		/* holds all of it; child of the caches' */
	int			users;
	bool		dropped;		/* no longer in the table of entries */
} KeptOptions;

typedef struct OptionEntry
{
	Oid			relid;
	KeptOptions *kept;
} OptionEntry;

static HTAB *entries = NULL;

/* Counts what was invalidated: also while an entry is being read. */
static uint64 invalidations = 0;

static void
drop_entry(OptionEntry *entry)
{
	KeptOptions *kept = entry->kept;

	hash_search(entries, &entry->relid, HASH_REMOVE, NULL);
	kept->dropped = true;
	if (kept->users == 0)
		MemoryContextDelete(kept->context);
}

/* InvalidOid stands for all of them. */
static void
invalidate_relation(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS scan;
	OptionEntry *entry;

	invalidations++;
	if (OidIsValid(relid))
	{
		entry = hash_search(entries, &relid, HASH_FIND, NULL);
		if (entry != NULL)
			drop_entry(entry);
		return;
	}
	hash_seq_init(&scan, entries);
	while ((entry = hash_seq_search(&scan)) != NULL)
		drop_entry(entry);
}

static void
invalidate_catalog(Datum arg, int cacheid, uint32 hash)
{
	invalidate_relation(arg, InvalidOid);
}

static void
create_table(void)
{
	HASHCTL		info;

	memset(&info, 0, sizeof(info));
	info.keysize = sizeof(Oid);
	info.entrysize = sizeof(OptionEntry);
	info.hcxt = CacheMemoryContext;
	entries = hash_create("fusio_manifest options", 64, &info,
						  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterRelcacheCallback(invalidate_relation, (Datum) 0);
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, invalidate_catalog,
								  (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, invalidate_catalog, (Datum) 0);
	CacheRegisterSyscacheCallback(TYPEOID, invalidate_catalog, (Datum) 0);
	CacheRegisterSyscacheCallback(COLLOID, invalidate_catalog, (Datum) 0);
}

static void
release_kept(void *arg)
{
	KeptOptions *kept = arg;

	if (--kept->users == 0 && kept->dropped)
		MemoryContextDelete(kept->context);
}

/* One more user, until the current memory context is reset. */
static FmTableOptions *
use_kept(KeptOptions *kept)
{
	MemoryContextCallback *callback = palloc(sizeof(MemoryContextCallback));

	callback->func = release_kept;
	callback->arg = kept;
	kept->users++;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	return kept->options;
}

static KeptOptions *
read_kept(Relation rel)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "fusio_manifest options",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	KeptOptions *kept = palloc0(sizeof(KeptOptions));

	kept->context = context;
	kept->dropped = true;
	kept->options = fm_read_table_options(rel);
	MemoryContextSwitchTo(old);
	return kept;
}

FmTableOptions *
fm_table_options(Relation rel)
{
	Oid			relid = RelationGetRelid(rel);
	OptionEntry *entry;
	KeptOptions *kept;
	FmTableOptions *options;
	uint64		before;

	if (entries == NULL)
		create_table();
	entry = hash_search(entries, &relid, HASH_FIND, NULL);
	if (entry != NULL)
		return use_kept(entry->kept);

	before = invalidations;
	kept = read_kept(rel);
	options = use_kept(kept);
	MemoryContextSetParent(kept->context, CacheMemoryContext);
	if (before == invalidations)
	{
		entry = hash_search(entries, &relid, HASH_ENTER, NULL);
		entry->kept = kept;
		kept->dropped = false;
	}
	return options;
}
