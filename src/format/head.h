/*-------------------------------------------------------------------------
 *
 * head.h
 *	  HEAD and the immutable pages it refers to: structures and codec.
 *
 * The structures are plain data in memory of the caller's allocator; slices
 * point into the encoded input or to whatever the caller put there, and must
 * outlive the structure.  A decoded structure is one tree: nothing in it is
 * freed alone, the caller drops the whole allocator context.
 *
 * Levels and large tables may be kept in pages outside HEAD.  The decoder
 * then leaves "resolved" false; whoever loads the page calls the page's
 * decoder, which fills the rest.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_HEAD_H
#define FM_HEAD_H

#include "base/buffer.h"
#include "format/format.h"
#include "format/key_codec.h"
#include "format/row_codec.h"
#include "format/run.h"

#define FM_MAX_LEVELS 8
#define FM_MAX_COLUMNS 1600
#define FM_MAX_KEY_COLUMNS 32
#define FM_HEAD_MAX_SIZE (1024 * 1024)
#define FM_PAGE_MAX_SIZE (8 * 1024 * 1024)
#define FM_NAME_MAX 1024		/* bytes of a name of a table, column, type */
#define FM_TABLE_INLINE_MAX 4096	/* bytes of a table entry kept in HEAD */
#define FM_LEVEL_INLINE_MAX 64	/* descriptors of a level kept in its table */
#define FM_LEVEL_PAGE_MAX 400	/* descriptors of a level page */
#define FM_LOG_TAIL_MAX 64		/* records in HEAD before they move */

/* Flags of a column. */
#define FM_COLUMN_DROPPED 0x01
#define FM_COLUMN_NOT_NULL 0x02
#define FM_COLUMN_DETERMINISTIC 0x04	/* its collation is */

typedef struct FmColumn
{
	uint32_t	id;				/* from 1, ascending; never reused */
	FmSlice		name;
	FmSlice		type_name;		/* schema-qualified unless in pg_catalog */
	int32_t		typmod;
	FmSlice		collation;		/* name, empty if none; "C" for C and POSIX */
	FmSlice		collation_version;
	FmSlice		declared_type;	/* as its creator declared it, where that is
								 * more than the above: a domain, */
	FmSlice		declared_collation; /* "default", "POSIX"; else empty */
	bool		is_named;		/* not stored: a local column's name was given
								 * by its option */
	uint8_t		flags;			/* FM_COLUMN_... */
	FmRowKind	row_kind;		/* how rows hold it: format/row_codec.h */
	uint16_t	row_width;		/* bytes, of a fixed kind */
} FmColumn;

typedef struct FmKeyColumn
{
	uint32_t	column_id;
	FmKeyType	type;			/* format/key_codec.h */
	bool		desc;			/* NULLs first then, last otherwise */
} FmKeyColumn;

/* A reference to an immutable page object. */
typedef struct FmPageRef
{
	FmId		id;
	uint32_t	size;			/* bytes of the object */
	uint64_t	checksum;		/* XXH3-64 of the object, seed 0 */
	uint32_t	nruns;			/* level page */
	uint64_t	first_version;	/* log page: of its records; one without any
								 * has the state after last_version, which is
								 * first_version - 1 */
	uint64_t	last_version;
} FmPageRef;

/*
 * One level.  runs are in read order: newest first at level 0, ascending by
 * key above.  Encoded as "ninline" descriptors and "npages" pages: at level
 * 0 the inline ones are the newest; above, a level is either all inline or
 * all in pages, in key order.
 */
typedef struct FmLevel
{
	uint32_t	nruns;			/* of all descriptors, inline and in pages */
	FmRunDesc  *runs;			/* all of them once resolved; before, the
								 * inline ones */
	uint32_t	ninline;
	uint32_t	npages;
	FmPageRef  *pages;
	bool		resolved;		/* pages are loaded into runs */
} FmLevel;

typedef struct FmTable
{
	uint64_t	id;				/* from 1; never reused in a store */
	FmSlice		name;
	bool		in_page;		/* the rest is in "page" */
	bool		resolved;		/* the rest is filled */
	FmPageRef	page;
	uint16_t	key_encoding;	/* version, 1 */
	uint16_t	row_encoding;	/* version, 1 */
	FmSlice		charset;		/* of text, as PostgreSQL names it; empty:
								 * UTF8 */
	uint32_t	ncolumns;
	FmColumn   *columns;
	uint32_t	nkeys;
	FmKeyColumn *keys;
	FmBlockOptions block;
	uint32_t	next_column_id;
	uint32_t	nlevels;		/* levels[0] is L0 */
	FmLevel		levels[FM_MAX_LEVELS];
} FmTable;

/* Kinds of a change, a set. */
#define FM_CHANGE_CREATE 0x01
#define FM_CHANGE_WRITE 0x02
#define FM_CHANGE_SCHEMA 0x04
#define FM_CHANGE_TRUNCATE 0x08
#define FM_CHANGE_DROP 0x10
#define FM_CHANGE_RESTORE 0x20
#define FM_CHANGE_COMPACT 0x40

typedef struct FmTableChange
{
	uint64_t	table_id;
	uint32_t	kinds;			/* FM_CHANGE_... */
	uint32_t	level;			/* that the added runs went to */
	uint32_t	nadded;
	FmRunDesc  *added;
	uint32_t	nremoved;
	FmId	   *removed;
	uint64_t	rows_in;		/* puts and tombstones of removed runs */
	uint64_t	rows_out;		/* of added runs */
} FmTableChange;

typedef struct FmCommitRecord
{
	uint64_t	version;
	FmId		commit_id;
	FmId		previous;		/* commit id of version - 1 */
	int64_t		store_time;		/* microseconds since 1970-01-01 UTC */
	FmId		writer;
	uint32_t	nmembers;		/* commit ids of a group's members */
	FmId	   *members;
	uint32_t	nchanges;		/* none: a fence */
	FmTableChange *changes;
	uint32_t	nreplaced;		/* pages that HEAD named until then */
	FmId	   *replaced;
	int64_t		collected;		/* objects that no version named, and that
								 * were older than this (microseconds since
								 * 1970 by the store's clock), may have been
								 * removed since; 0: none */
} FmCommitRecord;

typedef struct FmHead
{
	uint64_t	required_features;
	uint64_t	compatible_features;
	FmId		store_id;
	uint64_t	incarnation;
	uint64_t	version;		/* 0: an empty HEAD, never committed to */
	FmId		commit_id;
	uint64_t	log_floor;		/* oldest version that can be read */
	uint64_t	next_table_id;
	uint32_t	ntables;
	FmTable    *tables;			/* ascending by name */
	uint32_t	nrecords;		/* log tail, oldest first */
	FmCommitRecord *records;
	uint32_t	nlog_pages;		/* oldest first */
	FmPageRef  *log_pages;
} FmHead;

/* What identifies one published HEAD. */
typedef struct FmHeadIdentity
{
	FmId		store_id;
	uint64_t	incarnation;
	uint64_t	version;
	FmId		commit_id;
} FmHeadIdentity;

/* Appends the object's bytes.  FM_TOO_LARGE above FM_HEAD_MAX_SIZE. */
extern FmStatus fm_head_encode(const FmHead *head, FmBuf *out);

/* Decodes and checks everything; see the banner for ownership. */
extern FmStatus fm_head_decode(FmSlice bytes, const FmAlloc *alloc,
							   FmHead **head, FmFault *fault);

/*
 * Reads only the identity, after checking the whole object's checksum and
 * its format version.
 */
extern FmStatus fm_head_identify(FmSlice bytes, FmHeadIdentity *identity,
								 FmFault *fault);

/*
 * Appends a table's whole entry, wherever it is kept: above
 * FM_TABLE_INLINE_MAX bytes it must move to a page.
 */
extern FmStatus fm_table_entry_encode(const FmTable *table, FmBuf *out);

/* Page objects.  ref->size and ref->checksum are filled by the encoders. */
extern FmStatus fm_table_page_encode(const FmTable *table, const FmId *id,
									 FmBuf *out, FmPageRef *ref);
extern FmStatus fm_table_page_decode(FmSlice bytes, const FmPageRef *ref,
									 const FmAlloc *alloc, FmTable *table,
									 FmFault *fault);
extern FmStatus fm_level_page_encode(const FmRunDesc *runs, uint32_t n,
									 const FmId *id, FmBuf *out,
									 FmPageRef *ref);

/* Decodes ref->nruns descriptors into runs, which has room for them. */
extern FmStatus fm_level_page_decode(FmSlice bytes, const FmPageRef *ref,
									 const FmAlloc *alloc, FmRunDesc *runs,
									 FmFault *fault);

/*
 * A log page: HEAD's state before its first record, then the records.  The
 * state is HEAD without log tail and log pages.  The last log page that HEAD
 * refers to has no records: its state is that before the log tail.
 */
extern FmStatus fm_log_page_encode(const FmHead *state,
								   const FmCommitRecord *records, uint32_t n,
								   const FmId *id, FmBuf *out, FmPageRef *ref);
extern FmStatus fm_log_page_decode(FmSlice bytes, const FmPageRef *ref,
								   const FmAlloc *alloc, FmHead **state,
								   FmCommitRecord **records, uint32_t *n,
								   FmFault *fault);

/*
 * The records of a page that is known by its id alone; one of another kind
 * has none.  Damage is an error whatever its kind.
 */
extern FmStatus fm_page_records(FmSlice bytes, const FmId *id,
								const FmAlloc *alloc,
								FmCommitRecord **records, uint32_t *n,
								FmFault *fault);

/* Searches the tables by name or id; NULL if there is none. */
extern FmTable *fm_head_table_by_name(const FmHead *head, FmSlice name);
extern FmTable *fm_head_table_by_id(const FmHead *head, uint64_t id);

#endif							/* FM_HEAD_H */
