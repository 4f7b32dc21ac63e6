/*-------------------------------------------------------------------------
 *
 * sample_head.h
 *	  HEADs for tests, golden files and fuzzing seeds; an arena to decode to.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_SAMPLE_HEAD_H
#define FM_SAMPLE_HEAD_H

#include <stdlib.h>

#include "format/head.h"

/* Pieces of malloc, each its own, all freed at once. */
typedef struct SampleArena
{
	FmAlloc		alloc;
	void	  **pieces;
	size_t		npieces;
	size_t		bytes;			/* asked for */
} SampleArena;

static inline void *
sample_arena_resize(void *ctx, void *p, size_t n)
{
	SampleArena *arena = ctx;

	if (p != NULL || n == 0)
		abort();				/* decoders only allocate */
	arena->pieces = realloc(arena->pieces,
							sizeof(void *) * (arena->npieces + 1));
	arena->bytes += n;
	return arena->pieces[arena->npieces++] = malloc(n);
}

static inline void
sample_arena_init(SampleArena *arena)
{
	memset(arena, 0, sizeof(*arena));
	arena->alloc.resize = sample_arena_resize;
	arena->alloc.ctx = arena;
}

static inline void
sample_arena_free(SampleArena *arena)
{
	size_t		i;

	for (i = 0; i < arena->npieces; i++)
		free(arena->pieces[i]);
	free(arena->pieces);
	sample_arena_init(arena);
}

static inline FmSlice
sample_string(const char *s)
{
	return fm_slice(s, strlen(s));
}

static inline FmId
sample_id(uint8_t n)
{
	FmId		id;

	memset(id.bytes, n, sizeof(id.bytes));
	id.bytes[15] = 0xA5;
	return id;
}

static inline FmRunDesc
sample_run(uint8_t n, const char *lower, const char *upper)
{
	FmRunDesc	run;

	memset(&run, 0, sizeof(run));
	run.id = sample_id(n);
	run.size = 5000 + n;
	run.rows = 100;
	run.tombstones = n;
	run.nblocks = 4;
	run.npartitions = 1;
	run.meta_offset = 4000;
	run.tail_offset = 4500;
	run.tail_checksum = UINT64_C(0x0123456789ABCDEF);
	run.min_version = 1;
	run.max_version = n;
	run.sequence = 0;
	run.filter_kind = FM_FILTER_FUSE16;
	run.block_size = 8192;
	run.row_sum.lo = n;
	run.row_sum.hi = UINT64_C(0xFEDCBA9876543210);
	run.lower = sample_string(lower);
	run.upper = sample_string(upper);
	return run;
}

/* What the sample points to. */
typedef struct SampleHead
{
	FmHead		head;
	FmTable		tables[2];
	FmColumn	columns[3];
	FmKeyColumn keys[2];
	FmRunDesc	level0[2];
	FmRunDesc	level1[2];
	FmPageRef	level_page;
	FmPageRef	log_pages[2];
	FmCommitRecord records[2];
	FmTableChange change;
	FmId		removed[2];
	FmId		member;
} SampleHead;

static inline void
sample_columns(SampleHead *s)
{
	s->columns[0].id = 1;
	s->columns[0].name = sample_string("tenant");
	s->columns[0].type_name = sample_string("int4");
	s->columns[0].typmod = -1;
	s->columns[0].flags = FM_COLUMN_NOT_NULL;
	s->columns[1].id = 2;
	s->columns[1].name = sample_string("na\xC3\xAFve");
	s->columns[1].type_name = sample_string("varchar");
	s->columns[1].typmod = 24;
	s->columns[1].collation = sample_string("en_US.utf8");
	s->columns[1].collation_version = sample_string("2.36");
	s->columns[1].flags = FM_COLUMN_DETERMINISTIC;
	s->columns[1].row_kind = FM_ROW_TEXT;
	s->columns[2].id = 5;
	s->columns[2].name = sample_string("gone");
	s->columns[2].type_name = sample_string("uuid");
	s->columns[2].typmod = -1;
	s->columns[2].flags = FM_COLUMN_DROPPED;
	s->columns[2].row_kind = FM_ROW_FIXED;
	s->columns[2].row_width = 16;
	s->keys[0].column_id = 1;
	s->keys[0].type = FM_KEY_INT4;
	s->keys[1].column_id = 2;
	s->keys[1].type = FM_KEY_TEXT;
	s->keys[1].desc = true;
}

static inline void
sample_table(SampleHead *s, FmTable *table)
{
	table->id = 3;
	table->name = sample_string("sales.orders");
	table->resolved = true;
	table->key_encoding = 1;
	table->row_encoding = 1;
	table->ncolumns = 3;
	table->columns = s->columns;
	table->nkeys = 2;
	table->keys = s->keys;
	table->block.block_size = 8192;
	table->block.codec = FM_CODEC_ZSTD;
	table->block.zstd_level = 3;
	table->block.filter_kind = FM_FILTER_AUTO;
	table->next_column_id = 6;
	table->nlevels = 3;
	s->level0[0] = sample_run(70, "a", "m");
	s->level0[1] = sample_run(69, "c", "zz");
	table->levels[0].ninline = table->levels[0].nruns = 2;
	table->levels[0].runs = s->level0;
	table->levels[0].resolved = true;
	s->level1[0] = sample_run(9, "a", "k");
	s->level1[1] = sample_run(10, "ka", "x");
	table->levels[1].ninline = table->levels[1].nruns = 2;
	table->levels[1].runs = s->level1;
	table->levels[1].resolved = true;
	s->level_page.id = sample_id(40);
	s->level_page.size = 30000;
	s->level_page.checksum = 77;
	s->level_page.nruns = 100;
	table->levels[2].npages = 1;
	table->levels[2].nruns = 100;
	table->levels[2].pages = &s->level_page;
}

/* What only some tables have, and the golden files do not. */
static inline void
sample_optional_parts(SampleHead *s)
{
	s->tables[1].charset = sample_string("LATIN1");
	s->columns[0].declared_type = sample_string("sales.\"Tenant\"");
	s->columns[1].declared_type = sample_string("sales.word");
	s->columns[1].declared_collation = sample_string("\"default\"");
}

/* A HEAD with everything that each one has. */
static inline void
sample_head(SampleHead *s)
{
	FmHead	   *head = &s->head;

	memset(s, 0, sizeof(*s));
	sample_columns(s);
	s->tables[0].id = 4;
	s->tables[0].name = sample_string("events");
	s->tables[0].in_page = true;
	s->tables[0].page.id = sample_id(41);
	s->tables[0].page.size = 9000;
	s->tables[0].page.checksum = 78;
	sample_table(s, &s->tables[1]);

	s->log_pages[0].id = sample_id(42);
	s->log_pages[0].size = 12000;
	s->log_pages[0].checksum = 79;
	s->log_pages[0].first_version = 1;
	s->log_pages[0].last_version = 68;
	s->log_pages[1] = s->log_pages[0];
	s->log_pages[1].id = sample_id(43);
	s->log_pages[1].first_version = 69;

	s->records[0].version = 69;
	s->records[0].commit_id = sample_id(50);
	s->records[0].previous = sample_id(49);
	s->records[0].store_time = INT64_C(1790000000000000);
	s->records[0].writer = sample_id(60);
	s->records[0].nmembers = 1;
	s->records[0].members = &s->member;
	s->member = sample_id(51);
	s->records[1] = s->records[0];
	s->records[1].version = 70;
	s->records[1].commit_id = sample_id(52);
	s->records[1].previous = sample_id(50);
	s->records[1].nmembers = 0;
	s->records[1].nchanges = 1;
	s->records[1].changes = &s->change;
	s->change.table_id = 3;
	s->change.kinds = FM_CHANGE_WRITE | FM_CHANGE_SCHEMA;
	s->change.level = 0;
	s->change.nadded = 1;
	s->change.added = s->level0;
	s->change.nremoved = 2;
	s->change.removed = s->removed;
	s->change.rows_in = 300;
	s->change.rows_out = 170;
	s->removed[0] = sample_id(61);
	s->removed[1] = sample_id(62);

	head->store_id = sample_id(1);
	head->incarnation = 1;
	head->version = 70;
	head->commit_id = sample_id(52);
	head->log_floor = 12;
	head->next_table_id = 5;
	head->ntables = 2;
	head->tables = s->tables;
	head->nrecords = 2;
	head->records = s->records;
	head->nlog_pages = 2;
	head->log_pages = s->log_pages;
}

#endif							/* FM_SAMPLE_HEAD_H */
