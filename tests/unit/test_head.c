/*-------------------------------------------------------------------------
 *
 * test_head.c
 *	  HEAD and its pages: round trip, damage of every bit and length, limits,
 *	  golden files.
 *
 * "test_head --write DIRECTORY" writes the golden files of this version.
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"

#include "sample_head.h"

#define GOLDEN "../golden/"
#define OBJECT_HEADER 32

static FmAlloc heap;

static FmBuf
encode_sample(void)
{
	SampleHead	s;
	FmBuf		buf;

	sample_head(&s);
	fm_buf_init(&buf, &heap);
	CHECK(fm_head_encode(&s.head, &buf) == FM_OK);
	return buf;
}

/* Makes the checksum at the end right again. */
static void
seal(uint8_t *bytes, size_t len)
{
	fm_put_u64(bytes + len - 8, fm_xxh3_64(fm_slice(bytes, len - 8), 0));
}

static void
check_same_run(const FmRunDesc *a, const FmRunDesc *b)
{
	CHECK(fm_id_eq(&a->id, &b->id));
	CHECK(a->size == b->size && a->rows == b->rows &&
		  a->tombstones == b->tombstones);
	CHECK(a->nblocks == b->nblocks && a->npartitions == b->npartitions);
	CHECK(a->meta_offset == b->meta_offset &&
		  a->tail_offset == b->tail_offset &&
		  a->tail_checksum == b->tail_checksum);
	CHECK(a->min_version == b->min_version &&
		  a->max_version == b->max_version && a->sequence == b->sequence);
	CHECK(a->filter_kind == b->filter_kind &&
		  a->filter_bits == b->filter_bits && a->block_size == b->block_size);
	CHECK(fm_sum128_eq(a->row_sum, b->row_sum));
	CHECK(fm_slice_eq(a->lower, b->lower) && fm_slice_eq(a->upper, b->upper));
}

static void
check_same_table(const FmTable *a, const FmTable *b)
{
	uint32_t	i;
	uint32_t	j;

	CHECK(a->id == b->id && fm_slice_eq(a->name, b->name) &&
		  fm_slice_eq(a->charset, b->charset));
	CHECK(a->ncolumns == b->ncolumns && a->nkeys == b->nkeys &&
		  a->nlevels == b->nlevels);
	CHECK(memcmp(&a->block, &b->block, sizeof(a->block)) == 0);
	CHECK(a->key_encoding == b->key_encoding &&
		  a->row_encoding == b->row_encoding &&
		  a->next_column_id == b->next_column_id);
	for (i = 0; i < a->ncolumns; i++)
	{
		const FmColumn *c = &a->columns[i];
		const FmColumn *d = &b->columns[i];

		CHECK(c->id == d->id && c->typmod == d->typmod &&
			  c->flags == d->flags && c->row_kind == d->row_kind &&
			  c->row_width == d->row_width);
		CHECK(fm_slice_eq(c->name, d->name) &&
			  fm_slice_eq(c->type_name, d->type_name) &&
			  fm_slice_eq(c->collation, d->collation) &&
			  fm_slice_eq(c->collation_version, d->collation_version) &&
			  fm_slice_eq(c->declared_type, d->declared_type) &&
			  fm_slice_eq(c->declared_collation, d->declared_collation));
	}
	for (i = 0; i < a->nkeys; i++)
		CHECK(a->keys[i].column_id == b->keys[i].column_id &&
			  a->keys[i].type == b->keys[i].type &&
			  a->keys[i].desc == b->keys[i].desc);
	for (i = 0; i < a->nlevels; i++)
	{
		CHECK(a->levels[i].nruns == b->levels[i].nruns &&
			  a->levels[i].ninline == b->levels[i].ninline &&
			  a->levels[i].npages == b->levels[i].npages &&
			  a->levels[i].resolved == b->levels[i].resolved);
		for (j = 0; j < a->levels[i].ninline; j++)
			check_same_run(&a->levels[i].runs[j], &b->levels[i].runs[j]);
		for (j = 0; j < a->levels[i].npages; j++)
			CHECK(fm_id_eq(&a->levels[i].pages[j].id,
						   &b->levels[i].pages[j].id) &&
				  a->levels[i].pages[j].nruns == b->levels[i].pages[j].nruns);
	}
}

static void
check_same_record(const FmCommitRecord *a, const FmCommitRecord *b)
{
	uint32_t	i;
	uint32_t	j;

	CHECK(a->version == b->version && fm_id_eq(&a->commit_id, &b->commit_id) &&
		  fm_id_eq(&a->previous, &b->previous) &&
		  a->store_time == b->store_time && fm_id_eq(&a->writer, &b->writer));
	CHECK(a->nmembers == b->nmembers && a->nchanges == b->nchanges);
	CHECK(a->nreplaced == b->nreplaced && a->collected == b->collected);
	for (i = 0; i < a->nreplaced; i++)
		CHECK(fm_id_eq(&a->replaced[i], &b->replaced[i]));
	for (i = 0; i < a->nmembers; i++)
		CHECK(fm_id_eq(&a->members[i], &b->members[i]));
	for (i = 0; i < a->nchanges; i++)
	{
		const FmTableChange *c = &a->changes[i];
		const FmTableChange *d = &b->changes[i];

		CHECK(c->table_id == d->table_id && c->kinds == d->kinds &&
			  c->level == d->level && c->nadded == d->nadded &&
			  c->nremoved == d->nremoved && c->rows_in == d->rows_in &&
			  c->rows_out == d->rows_out);
		for (j = 0; j < c->nadded; j++)
			check_same_run(&c->added[j], &d->added[j]);
		for (j = 0; j < c->nremoved; j++)
			CHECK(fm_id_eq(&c->removed[j], &d->removed[j]));
	}
}

static void
check_is_sample(const FmHead *head)
{
	SampleHead	s;
	uint32_t	i;

	sample_head(&s);
	CHECK(fm_id_eq(&head->store_id, &s.head.store_id));
	CHECK(fm_id_eq(&head->commit_id, &s.head.commit_id));
	CHECK(head->incarnation == 1 && head->version == 70 &&
		  head->log_floor == 12 && head->next_table_id == 5);
	CHECK(head->ntables == 2 && head->nrecords == 2 && head->nlog_pages == 2);
	CHECK(head->tables[0].id == 4 && head->tables[0].in_page &&
		  !head->tables[0].resolved && head->tables[0].page.size == 9000);
	check_same_table(&head->tables[1], &s.tables[1]);
	for (i = 0; i < 2; i++)
	{
		check_same_record(&head->records[i], &s.records[i]);
		CHECK(fm_id_eq(&head->log_pages[i].id, &s.log_pages[i].id));
		CHECK(head->log_pages[i].last_version == 68);
	}
}

static void
round_trip(void)
{
	SampleArena arena;
	FmBuf		buf = encode_sample();
	FmBuf		again;
	FmHead	   *head;
	FmHeadIdentity identity;
	FmFault		fault;

	sample_arena_init(&arena);
	CHECK(fm_head_decode(fm_buf_slice(&buf), &arena.alloc, &head,
						 &fault) == FM_OK);
	check_is_sample(head);
	CHECK(fm_head_identify(fm_buf_slice(&buf), &identity, &fault) == FM_OK);
	CHECK(identity.version == 70 &&
		  fm_id_eq(&identity.store_id, &head->store_id) &&
		  fm_id_eq(&identity.commit_id, &head->commit_id));
	fm_buf_init(&again, &heap);
	CHECK(fm_head_encode(head, &again) == FM_OK);
	CHECK(fm_slice_eq(fm_buf_slice(&buf), fm_buf_slice(&again)));
	CHECK(fm_head_table_by_name(head, sample_string("events")) ==
		  &head->tables[0]);
	CHECK(fm_head_table_by_name(head, sample_string("sales.orders")) ==
		  &head->tables[1]);
	CHECK(fm_head_table_by_name(head, sample_string("event")) == NULL);
	CHECK(fm_head_table_by_id(head, 3) == &head->tables[1]);
	CHECK(fm_head_table_by_id(head, 5) == NULL);
	fm_buf_free(&again);
	fm_buf_free(&buf);
	sample_arena_free(&arena);
}

static void
empty_head(void)
{
	SampleArena arena;
	FmHead		empty;
	FmHead	   *head;
	FmBuf		buf;
	FmFault		fault;

	memset(&empty, 0, sizeof(empty));
	empty.store_id = sample_id(1);
	empty.next_table_id = 1;
	fm_buf_init(&buf, &heap);
	sample_arena_init(&arena);
	CHECK(fm_head_encode(&empty, &buf) == FM_OK);
	CHECK(fm_head_decode(fm_buf_slice(&buf), &arena.alloc, &head,
						 &fault) == FM_OK);
	CHECK(head->version == 0 && head->ntables == 0 && head->nrecords == 0);
	fm_buf_free(&buf);
	sample_arena_free(&arena);
}

/* A copy of its own, so that its end is watched. */
static FmStatus
decode_copy(const uint8_t *bytes, size_t len, bool sealed, size_t *allocated)
{
	uint8_t    *copy = malloc(len > 0 ? len : 1);
	SampleArena arena;
	FmHeadIdentity identity;
	FmHead	   *head;
	FmFault		fault;
	FmStatus	status;

	memcpy(copy, bytes, len);
	if (sealed)
		seal(copy, len);
	sample_arena_init(&arena);
	memset(&fault, 0, sizeof(fault));
	status = fm_head_decode(fm_slice(copy, len), &arena.alloc, &head, &fault);
	CHECK(status == FM_OK || (fault.status == status && fault.what != NULL));
	fm_head_identify(fm_slice(copy, len), &identity, NULL);
	*allocated = arena.bytes;
	sample_arena_free(&arena);
	free(copy);
	return status;
}

static void
every_bit(void)
{
	FmBuf		buf = encode_sample();
	size_t		allocated;
	size_t		bit;

	for (bit = 0; bit < buf.len * 8; bit++)
	{
		buf.data[bit / 8] ^= (uint8_t) (1 << bit % 8);
		CHECK(decode_copy(buf.data, buf.len, false,
						  &allocated) == FM_CORRUPTION);
		/* The same past the checksum: any answer, but no harm. */
		decode_copy(buf.data, buf.len, bit / 8 < buf.len - 8, &allocated);
		CHECK(allocated < 64 * buf.len + sizeof(FmHead));
		buf.data[bit / 8] ^= (uint8_t) (1 << bit % 8);
	}
	fm_buf_free(&buf);
}

static void
every_length(void)
{
	FmBuf		buf = encode_sample();
	size_t		allocated;
	size_t		len;

	for (len = 0; len < buf.len; len++)
	{
		CHECK(decode_copy(buf.data, len, false, &allocated) == FM_CORRUPTION);
		if (len >= OBJECT_HEADER + 8)
			decode_copy(buf.data, len, true, &allocated);
	}
	fm_buf_free(&buf);
}

static void
versions(void)
{
	FmBuf		buf = encode_sample();
	size_t		allocated;

	buf.data[8]++;				/* major */
	CHECK(decode_copy(buf.data, buf.len, true, &allocated) == FM_UNSUPPORTED);
	buf.data[8] -= 2;
	CHECK(decode_copy(buf.data, buf.len, true, &allocated) == FM_UNSUPPORTED);
	buf.data[8]++;
	buf.data[10]++;				/* minor */
	CHECK(decode_copy(buf.data, buf.len, true, &allocated) == FM_OK);
	buf.data[24] = 1;			/* a compatible feature */
	CHECK(decode_copy(buf.data, buf.len, true, &allocated) == FM_OK);
	buf.data[23] = 0x80;		/* a required one */
	CHECK(decode_copy(buf.data, buf.len, true, &allocated) == FM_UNSUPPORTED);
	fm_buf_free(&buf);
}

/* An element that this version does not know is passed over. */
static void
later_elements(void)
{
	FmBuf		buf = encode_sample();
	size_t		allocated;
	size_t		end = buf.len - 8;

	fm_buf_put_zeros(&buf, 8 + 3);
	fm_put_u16(buf.data + end, 900);
	fm_put_u16(buf.data + end + 2, 0);
	fm_put_u32(buf.data + end + 4, 3);
	CHECK(decode_copy(buf.data, buf.len, true, &allocated) == FM_OK);
	fm_put_u32(buf.data + end + 4, 4);
	CHECK(decode_copy(buf.data, buf.len, true, &allocated) == FM_CORRUPTION);
	fm_put_u32(buf.data + end + 4, UINT32_MAX);
	CHECK(decode_copy(buf.data, buf.len, true, &allocated) == FM_CORRUPTION);
	fm_buf_free(&buf);
}

static FmStatus
encode_and_decode(const FmHead *head)
{
	FmBuf		buf;
	size_t		allocated;
	FmStatus	status;

	fm_buf_init(&buf, &heap);
	status = fm_head_encode(head, &buf);
	if (status == FM_OK)
		status = decode_copy(buf.data, buf.len, false, &allocated);
	fm_buf_free(&buf);
	return status;
}

static void
optional_parts(void)
{
	SampleHead	s;
	SampleArena arena;
	FmHead	   *head;
	FmFault		fault;
	FmBuf		buf;
	size_t		allocated;
	size_t		bit;

	sample_head(&s);
	sample_optional_parts(&s);
	fm_buf_init(&buf, &heap);
	CHECK(fm_head_encode(&s.head, &buf) == FM_OK);
	sample_arena_init(&arena);
	CHECK(fm_head_decode(fm_buf_slice(&buf), &arena.alloc, &head,
						 &fault) == FM_OK);
	check_same_table(&head->tables[1], &s.tables[1]);
	sample_arena_free(&arena);
	for (bit = 0; bit < (buf.len - 8) * 8; bit++)
	{
		buf.data[bit / 8] ^= (uint8_t) (1 << bit % 8);
		decode_copy(buf.data, buf.len, true, &allocated);
		buf.data[bit / 8] ^= (uint8_t) (1 << bit % 8);
	}
	fm_buf_free(&buf);
	s.columns[1].declared_type = fm_slice("a\0b", 3);
	CHECK(encode_and_decode(&s.head) == FM_INVALID);
}

/* A declaration belongs to the column before it. */
static void
declaration_of_no_column(void)
{
	SampleHead	s;
	FmBuf		buf;
	size_t		allocated;
	size_t		i;

	sample_head(&s);
	s.columns[0].declared_type = sample_string("sales.\"Tenant\"");
	fm_buf_init(&buf, &heap);
	CHECK(fm_head_encode(&s.head, &buf) == FM_OK);
	for (i = 0; memcmp(buf.data + i, "sales.\"", 7) != 0; i++)
		;
	CHECK(fm_get_u32(buf.data + i - 6) == 1);
	fm_put_u32(buf.data + i - 6, 2);
	CHECK(decode_copy(buf.data, buf.len, true, &allocated) == FM_CORRUPTION);
	fm_buf_free(&buf);
}

/* Content that is well-formed and wrong. */
static void
wrong_content(void)
{
	SampleHead	s;
	static char long_name[FM_NAME_MAX + 1];

	sample_head(&s);
	CHECK(encode_and_decode(&s.head) == FM_OK);
	s.tables[0].name = sample_string("zzz");
	CHECK(encode_and_decode(&s.head) == FM_INVALID);	/* order of tables */
	sample_head(&s);
	s.tables[1].id = 5;
	CHECK(encode_and_decode(&s.head) == FM_CORRUPTION);
	sample_head(&s);
	s.tables[1].name = fm_slice("a\0b", 3);
	CHECK(encode_and_decode(&s.head) == FM_INVALID);
	memset(long_name, 'n', sizeof(long_name));
	s.tables[1].name = fm_slice(long_name, sizeof(long_name));
	CHECK(encode_and_decode(&s.head) == FM_INVALID);
	sample_head(&s);
	s.columns[1].id = 1;
	CHECK(encode_and_decode(&s.head) == FM_CORRUPTION);
	sample_head(&s);
	s.columns[2].id = 6;		/* next_column_id */
	CHECK(encode_and_decode(&s.head) == FM_CORRUPTION);
	sample_head(&s);
	s.keys[0].column_id = 5;	/* dropped */
	CHECK(encode_and_decode(&s.head) == FM_CORRUPTION);
	sample_head(&s);
	s.tables[1].nkeys = 0;
	CHECK(encode_and_decode(&s.head) == FM_CORRUPTION);
	sample_head(&s);
	s.tables[1].key_encoding = 2;
	CHECK(encode_and_decode(&s.head) == FM_UNSUPPORTED);
	sample_head(&s);
	s.level0[0].max_version = 68;	/* older than the run after it */
	CHECK(encode_and_decode(&s.head) == FM_CORRUPTION);
	sample_head(&s);
	s.level1[0].upper = sample_string("ka");	/* overlaps its neighbour */
	CHECK(encode_and_decode(&s.head) == FM_CORRUPTION);
	sample_head(&s);
	s.level1[0].lower = sample_string("kb");	/* beyond its upper bound */
	CHECK(encode_and_decode(&s.head) == FM_CORRUPTION);
	sample_head(&s);
	s.level1[0].tail_offset = s.level1[0].size;
	CHECK(encode_and_decode(&s.head) == FM_CORRUPTION);
	sample_head(&s);
	s.level_page.nruns = FM_LEVEL_PAGE_MAX + 1;
	CHECK(encode_and_decode(&s.head) == FM_CORRUPTION);
	sample_head(&s);
	s.level_page.size = FM_PAGE_MAX_SIZE + 1;
	CHECK(encode_and_decode(&s.head) == FM_CORRUPTION);
	sample_head(&s);
	s.tables[1].levels[1].npages = 1;	/* inline and in pages, below L0 */
	s.tables[1].levels[1].pages = &s.level_page;
	CHECK(encode_and_decode(&s.head) == FM_CORRUPTION);
	sample_head(&s);
	s.records[0].version = 68;
	CHECK(encode_and_decode(&s.head) == FM_CORRUPTION);
	sample_head(&s);
	s.records[1].previous = sample_id(99);
	CHECK(encode_and_decode(&s.head) == FM_CORRUPTION);
	sample_head(&s);
	s.records[1].store_time--;
	CHECK(encode_and_decode(&s.head) == FM_CORRUPTION);
	sample_head(&s);
	s.head.commit_id = sample_id(99);
	CHECK(encode_and_decode(&s.head) == FM_CORRUPTION);
	sample_head(&s);
	s.head.nrecords = 1;
	CHECK(encode_and_decode(&s.head) == FM_CORRUPTION);
	sample_head(&s);
	s.log_pages[1].first_version = 68;
	CHECK(encode_and_decode(&s.head) == FM_CORRUPTION);
	sample_head(&s);
	s.head.log_floor = 71;
	CHECK(encode_and_decode(&s.head) == FM_CORRUPTION);
}

/* What a collection leaves in the log, and what was replaced. */
static void
collection_record(void)
{
	SampleHead	s;
	SampleArena arena;
	FmId		replaced[2] = {sample_id(90), sample_id(91)};
	FmHead	   *head;
	FmFault		fault;
	FmBuf		buf;

	sample_head(&s);
	s.records[0].nreplaced = 2;
	s.records[0].replaced = replaced;
	s.records[1].collected = INT64_C(1789900000000000);
	sample_arena_init(&arena);
	fm_buf_init(&buf, &heap);
	CHECK(fm_head_encode(&s.head, &buf) == FM_OK);
	CHECK(fm_head_decode(fm_buf_slice(&buf), &arena.alloc, &head,
						 &fault) == FM_OK);
	check_same_record(&head->records[0], &s.records[0]);
	check_same_record(&head->records[1], &s.records[1]);
	fm_buf_free(&buf);
	sample_arena_free(&arena);
}

static void
too_large(void)
{
	SampleHead	s;
	FmPageRef  *pages = calloc(30000, sizeof(FmPageRef));
	uint32_t	i;

	sample_head(&s);
	for (i = 0; i < 30000; i++)
		pages[i] = s.level_page;
	s.tables[1].levels[2].npages = 30000;
	s.tables[1].levels[2].pages = pages;
	CHECK(encode_and_decode(&s.head) == FM_TOO_LARGE);
	s.tables[1].levels[2].npages = 15000;
	CHECK(encode_and_decode(&s.head) == FM_OK);
	free(pages);
}

static FmStatus
decode_table_page(const uint8_t *bytes, size_t len, FmPageRef ref)
{
	uint8_t    *copy = malloc(len > 0 ? len : 1);
	SampleArena arena;
	SampleHead	s;
	FmTable		table;
	FmFault		fault;
	FmStatus	status;

	memcpy(copy, bytes, len);
	sample_arena_init(&arena);
	sample_head(&s);
	memset(&table, 0, sizeof(table));
	table.id = 3;
	table.name = sample_string("sales.orders");
	table.in_page = true;
	table.page = ref;
	status = fm_table_page_decode(fm_slice(copy, len), &table.page,
								  &arena.alloc, &table, &fault);
	CHECK(arena.bytes < 64 * len + sizeof(FmHead));
	if (status == FM_OK)
	{
		CHECK(table.in_page && table.resolved && table.page.size == ref.size);
		check_same_table(&table, &s.tables[1]);
	}
	sample_arena_free(&arena);
	free(copy);
	return status;
}

static void
table_page(void)
{
	SampleHead	s;
	FmBuf		buf;
	FmPageRef	ref;
	FmPageRef	other;
	FmId		id = sample_id(80);
	size_t		i;

	sample_head(&s);
	fm_buf_init(&buf, &heap);
	CHECK(fm_table_page_encode(&s.tables[1], &id, &buf, &ref) == FM_OK);
	CHECK(ref.size == buf.len && fm_id_eq(&ref.id, &id));
	CHECK(decode_table_page(buf.data, buf.len, ref) == FM_OK);
	for (i = 0; i < buf.len * 8; i++)
	{
		buf.data[i / 8] ^= (uint8_t) (1 << i % 8);
		CHECK(decode_table_page(buf.data, buf.len, ref) == FM_CORRUPTION);
		buf.data[i / 8] ^= (uint8_t) (1 << i % 8);
	}
	for (i = 0; i < buf.len; i++)
		CHECK(decode_table_page(buf.data, i, ref) == FM_CORRUPTION);
	other = ref;
	other.id = sample_id(81);
	CHECK(decode_table_page(buf.data, buf.len, other) == FM_CORRUPTION);
	buf.data[8]++;
	seal(buf.data, buf.len);
	other = ref;
	other.checksum = fm_xxh3_64(fm_buf_slice(&buf), 0);
	CHECK(decode_table_page(buf.data, buf.len, other) == FM_UNSUPPORTED);

	/* the page of another table */
	fm_buf_reset(&buf);
	s.tables[1].name = sample_string("sales.other");
	CHECK(fm_table_page_encode(&s.tables[1], &id, &buf, &ref) == FM_OK);
	CHECK(decode_table_page(buf.data, buf.len, ref) == FM_CORRUPTION);

	/* an entry says how large it is */
	fm_buf_reset(&buf);
	CHECK(fm_table_entry_encode(&s.tables[1], &buf) == FM_OK);
	CHECK(buf.len > 600 && buf.len < FM_TABLE_INLINE_MAX);
	fm_buf_free(&buf);
}

static FmStatus
decode_level_page(const uint8_t *bytes, size_t len, const FmPageRef *ref,
				  uint32_t expected)
{
	uint8_t    *copy = malloc(len > 0 ? len : 1);
	FmRunDesc  *runs = calloc(ref->nruns, sizeof(FmRunDesc));
	SampleArena arena;
	FmFault		fault;
	FmStatus	status;
	uint32_t	i;

	memcpy(copy, bytes, len);
	sample_arena_init(&arena);
	status = fm_level_page_decode(fm_slice(copy, len), ref, &arena.alloc, runs,
								  &fault);
	if (status == FM_OK)
	{
		CHECK(ref->nruns == expected);
		for (i = 0; i < expected; i++)
		{
			FmRunDesc	run = sample_run((uint8_t) i, "a", "b");

			run.max_version = 200;
			check_same_run(&runs[i], &run);
		}
	}
	sample_arena_free(&arena);
	free(runs);
	free(copy);
	return status;
}

static void
level_page(void)
{
	FmRunDesc	runs[5];
	FmBuf		buf;
	FmPageRef	ref;
	FmPageRef	other;
	FmId		id = sample_id(82);
	size_t		i;

	for (i = 0; i < 5; i++)
	{
		runs[i] = sample_run((uint8_t) i, "a", "b");
		runs[i].max_version = 200;
	}
	fm_buf_init(&buf, &heap);
	CHECK(fm_level_page_encode(runs, 5, &id, &buf, &ref) == FM_OK);
	CHECK(ref.nruns == 5);
	CHECK(decode_level_page(buf.data, buf.len, &ref, 5) == FM_OK);
	for (i = 0; i < buf.len * 8; i++)
	{
		buf.data[i / 8] ^= (uint8_t) (1 << i % 8);
		CHECK(decode_level_page(buf.data, buf.len, &ref, 5) == FM_CORRUPTION);
		buf.data[i / 8] ^= (uint8_t) (1 << i % 8);
	}
	other = ref;
	other.nruns = 4;
	CHECK(decode_level_page(buf.data, buf.len, &other, 5) == FM_CORRUPTION);
	other.nruns = 6;
	CHECK(decode_level_page(buf.data, buf.len, &other, 5) == FM_CORRUPTION);
	for (i = 0; i < buf.len; i++)
		CHECK(decode_level_page(buf.data, i, &ref, 5) == FM_CORRUPTION);
	fm_buf_reset(&buf);
	CHECK(fm_level_page_encode(runs, 0, &id, &buf, &ref) == FM_INVALID);
	fm_buf_free(&buf);
}

static FmStatus
decode_log_page(const uint8_t *bytes, size_t len, const FmPageRef *ref,
				const FmHead *state, uint32_t nrecords)
{
	uint8_t    *copy = malloc(len > 0 ? len : 1);
	SampleArena arena;
	FmHead	   *head;
	FmCommitRecord *records;
	FmFault		fault;
	FmStatus	status;
	uint32_t	n;
	uint32_t	i;

	memcpy(copy, bytes, len);
	sample_arena_init(&arena);
	status = fm_log_page_decode(fm_slice(copy, len), ref, &arena.alloc, &head,
								&records, &n, &fault);
	CHECK(arena.bytes < 64 * len + sizeof(FmHead));
	if (status == FM_OK)
	{
		CHECK(head->version == state->version &&
			  head->ntables == state->ntables && n == nrecords &&
			  head->nrecords == 0);
		check_same_table(&head->tables[1], &state->tables[1]);
		for (i = 0; i < n; i++)
			check_same_record(&records[i], &state->records[i]);
	}
	sample_arena_free(&arena);
	free(copy);
	return status;
}

/* The records of a page that nothing is known of but its id. */
static FmStatus
read_page_records(FmSlice bytes, const FmId *id, const FmHead *state,
				  uint32_t nrecords)
{
	SampleArena arena;
	FmCommitRecord *records;
	FmFault		fault;
	FmStatus	status;
	uint32_t	n;
	uint32_t	i;

	sample_arena_init(&arena);
	status = fm_page_records(bytes, id, &arena.alloc, &records, &n, &fault);
	if (status == FM_OK)
	{
		CHECK(n == nrecords);
		for (i = 0; i < n; i++)
			check_same_record(&records[i], &state->records[i]);
	}
	sample_arena_free(&arena);
	return status;
}

static void
page_records(void)
{
	SampleHead	s;
	FmBuf		buf;
	FmPageRef	ref;
	FmId		id = sample_id(83);
	FmId		other = sample_id(84);
	size_t		i;

	sample_head(&s);
	s.head.version = 68;
	s.head.commit_id = s.records[0].previous;
	fm_buf_init(&buf, &heap);
	CHECK(fm_log_page_encode(&s.head, s.records, 2, &id, &buf, &ref) == FM_OK);
	CHECK(read_page_records(fm_buf_slice(&buf), &id, &s.head, 2) == FM_OK);
	CHECK(read_page_records(fm_buf_slice(&buf), &other, &s.head,
							2) == FM_CORRUPTION);
	for (i = 0; i < buf.len; i++)
		CHECK(read_page_records(fm_slice(buf.data, i), &id, &s.head,
								2) == FM_CORRUPTION);
	for (i = 0; i < buf.len * 8; i++)
	{
		buf.data[i / 8] ^= (uint8_t) (1 << i % 8);
		CHECK(read_page_records(fm_buf_slice(&buf), &id, &s.head,
								2) == FM_CORRUPTION);
		buf.data[i / 8] ^= (uint8_t) (1 << i % 8);
	}
	fm_buf_reset(&buf);
	CHECK(fm_level_page_encode(s.level1, 1, &id, &buf, &ref) == FM_OK);
	CHECK(read_page_records(fm_buf_slice(&buf), &id, &s.head, 0) == FM_OK);
	fm_buf_free(&buf);
}

static void
log_page(void)
{
	SampleHead	s;
	FmBuf		buf;
	FmPageRef	ref;
	FmPageRef	other;
	FmId		id = sample_id(83);
	size_t		i;

	sample_head(&s);
	s.head.version = 68;
	s.head.commit_id = s.records[0].previous;
	fm_buf_init(&buf, &heap);
	CHECK(fm_log_page_encode(&s.head, s.records, 2, &id, &buf, &ref) == FM_OK);
	CHECK(ref.first_version == 69 && ref.last_version == 70);
	CHECK(decode_log_page(buf.data, buf.len, &ref, &s.head, 2) == FM_OK);
	other = ref;
	other.last_version = 71;
	CHECK(decode_log_page(buf.data, buf.len, &other, &s.head,
						  2) == FM_CORRUPTION);
	for (i = 0; i < buf.len * 8; i++)
	{
		buf.data[i / 8] ^= (uint8_t) (1 << i % 8);
		CHECK(decode_log_page(buf.data, buf.len, &ref, &s.head,
							  2) == FM_CORRUPTION);
		buf.data[i / 8] ^= (uint8_t) (1 << i % 8);
	}
	for (i = 0; i < buf.len; i++)
		CHECK(decode_log_page(buf.data, i, &ref, &s.head, 2) == FM_CORRUPTION);

	/* one that has only the state */
	fm_buf_reset(&buf);
	CHECK(fm_log_page_encode(&s.head, NULL, 0, &id, &buf, &ref) == FM_OK);
	CHECK(ref.first_version == 69 && ref.last_version == 68);
	CHECK(decode_log_page(buf.data, buf.len, &ref, &s.head, 0) == FM_OK);

	/* records that do not follow the state */
	fm_buf_reset(&buf);
	CHECK(fm_log_page_encode(&s.head, s.records + 1, 1, &id, &buf,
							 &ref) == FM_OK);
	CHECK(decode_log_page(buf.data, buf.len, &ref, &s.head,
						  1) == FM_CORRUPTION);
	fm_buf_free(&buf);
}

/* Memory that runs out at each allocation in turn. */
static size_t allocations_left;

static void *
failing_resize(void *ctx, void *p, size_t n)
{
	if (n > 0 && allocations_left-- == 0)
	{
		allocations_left = 0;
		return NULL;
	}
	return sample_arena_resize(ctx, p, n);
}

static void
short_memory(void)
{
	FmBuf		buf = encode_sample();
	SampleArena arena;
	FmHead	   *head;
	FmFault		fault;
	FmStatus	status;
	size_t		n = 0;

	do
	{
		sample_arena_init(&arena);
		arena.alloc.resize = failing_resize;
		allocations_left = n++;
		status = fm_head_decode(fm_buf_slice(&buf), &arena.alloc, &head,
								&fault);
		CHECK(status == FM_OK || status == FM_NO_MEMORY);
		sample_arena_free(&arena);
	} while (status != FM_OK && n < 1000);
	CHECK(n > 5);
	fm_buf_free(&buf);
}

static void
write_file(const char *directory, const char *name, const uint8_t *bytes,
		   size_t len)
{
	char		path[500];
	FILE	   *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "wb");
	if (file == NULL || fwrite(bytes, 1, len, file) != len ||
		fclose(file) != 0)
		abort();
}

static int
write_golden(const char *directory)
{
	FmBuf		buf = encode_sample();

	write_file(directory, "head-1.0", buf.data, buf.len);
	buf.data[100] ^= 0x10;
	write_file(directory, "head-1.0-damaged", buf.data, buf.len);
	buf.data[100] ^= 0x10;
	buf.data[8] = FM_FORMAT_MAJOR + 1;
	seal(buf.data, buf.len);
	write_file(directory, "head-2.0", buf.data, buf.len);
	fm_buf_free(&buf);
	return 0;
}

static size_t
read_golden(const char *path, uint8_t *bytes, size_t size)
{
	FILE	   *file = fopen(path, "rb");
	size_t		len = 0;

	CHECK(file != NULL);
	if (file != NULL)
	{
		len = fread(bytes, 1, size, file);
		fclose(file);
	}
	return len;
}

static void
golden(void)
{
	static uint8_t bytes[65536];
	FmBuf		buf = encode_sample();
	SampleArena arena;
	FmHead	   *head;
	FmFault		fault;
	size_t		allocated;
	size_t		len;

	len = read_golden(GOLDEN "head-1.0", bytes, sizeof(bytes));
	sample_arena_init(&arena);
	CHECK(fm_head_decode(fm_slice(bytes, len), &arena.alloc, &head,
						 &fault) == FM_OK);
	check_is_sample(head);
	CHECK(fm_slice_eq(fm_buf_slice(&buf), fm_slice(bytes, len)));
	sample_arena_free(&arena);
	len = read_golden(GOLDEN "head-1.0-damaged", bytes, sizeof(bytes));
	CHECK(decode_copy(bytes, len, false, &allocated) == FM_CORRUPTION);
	len = read_golden(GOLDEN "head-2.0", bytes, sizeof(bytes));
	CHECK(decode_copy(bytes, len, false, &allocated) == FM_UNSUPPORTED);
	fm_buf_free(&buf);
}

int
main(int argc, char **argv)
{
	heap = fm_alloc_malloc;
	if (argc == 3 && strcmp(argv[1], "--write") == 0)
		return write_golden(argv[2]);
	RUN(round_trip);
	RUN(empty_head);
	RUN(every_bit);
	RUN(every_length);
	RUN(versions);
	RUN(later_elements);
	RUN(optional_parts);
	RUN(declaration_of_no_column);
	RUN(wrong_content);
	RUN(collection_record);
	RUN(too_large);
	RUN(table_page);
	RUN(level_page);
	RUN(log_page);
	RUN(page_records);
	RUN(short_memory);
	RUN(golden);
	return unit_finish();
}
