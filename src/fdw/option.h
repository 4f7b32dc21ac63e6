/*-------------------------------------------------------------------------
 *
 * option.h
 *	  Options of servers, user mappings, tables and columns.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_OPTION_H
#define FM_OPTION_H

#include "foreign/foreign.h"
#include "lib/stringinfo.h"
#include "utils/rel.h"

#include "engine/tuple_codec.h"
#include "format/head.h"
#include "objstore/store.h"

#define DEFAULT_BLOCK_SIZE_KB 8
#define DEFAULT_ZSTD_LEVEL 1

typedef enum FmInsertMode
{
	FM_INSERT_STRICT,			/* a duplicate is 23505 */
	FM_INSERT_UPSERT,
	FM_INSERT_IGNORE
} FmInsertMode;

/* A foreign table with its options parsed; to be read only. */
typedef struct FmTableOptions
{
	Oid			relid;
	FmStoreOptions store;
	char	   *table_name;		/* in the store */
	int			nkeys;
	AttrNumber *key_attnums;
	bool	   *key_desc;
	const char **column_names;	/* stored name by attnum - 1; NULL: dropped */
	FmBlockOptions block;
	FmInsertMode insert_mode;
	int			analyze_blocks; /* that ANALYZE reads at most */
	FmTable    *local;			/* what the store would keep for it */
} FmTableOptions;

/*
 * The options of a foreign table and its server, as the catalogs have them
 * now.  Kept between statements; valid until the current memory context is
 * reset or deleted.
 */
extern FmTableOptions *fm_table_options(Relation rel);

/* The same, read anew and palloc'd; for fm_table_options. */
extern FmTableOptions *fm_read_table_options(Relation rel);

/* The options of a server by itself, for functions. */
extern void fm_server_options(ForeignServer *server, FmStoreOptions *options);

/*
 * The store of a server, for a role, whose user mapping is looked up where
 * the location needs credentials; InvalidOid is the current user.
 */
extern FmStore *fm_open_store(const FmStoreOptions *server, Oid userid);

#endif							/* FM_OPTION_H */
