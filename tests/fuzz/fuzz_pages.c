/*-------------------------------------------------------------------------
 *
 * fuzz_pages.c
 *	  Table, level and log pages from hostile bytes: refused, or safe to use.
 *
 * Input: kind, number of runs or records that the reference tells, elements.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "../unit/sample_head.h"

int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
decode(FmSlice bytes, const FmPageRef *ref, uint32_t kind, SampleArena *arena)
{
	FmTable		table;
	FmHead	   *state;
	FmCommitRecord *records;
	FmRunDesc  *runs;
	FmFault		fault;
	uint32_t	n;

	fm_page_records(bytes, &ref->id, &arena->alloc, &records, &n, &fault);
	switch (kind)
	{
		case 1:
			memset(&table, 0, sizeof(table));
			table.id = 3;
			table.name = sample_string("sales.orders");
			fm_table_page_decode(bytes, ref, &arena->alloc, &table, &fault);
			break;
		case 2:
			runs = malloc(sizeof(FmRunDesc) * ref->nruns + 1);
			fm_level_page_decode(bytes, ref, &arena->alloc, runs, &fault);
			free(runs);
			break;
		default:
			fm_log_page_decode(bytes, ref, &arena->alloc, &state, &records, &n,
							   &fault);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t rest[4] = {FM_FORMAT_MAJOR, 0, FM_FORMAT_MINOR};
	SampleArena arena;
	FmPageRef	ref;
	FmBuf		buf;
	uint8_t    *copy;
	uint32_t	kind;

	if (size < 2)
		return 0;
	kind = 1 + data[0] % 3;
	memset(&ref, 0, sizeof(ref));
	ref.id = sample_id(83);
	ref.nruns = data[1];
	ref.first_version = 69;
	ref.last_version = 68 + data[1];

	fm_buf_init(&buf, &fm_alloc_malloc);
	fm_buf_put(&buf, "FMPAGE\r\n", 8);
	fm_buf_put(&buf, rest, sizeof(rest));
	fm_buf_put_u32(&buf, kind);
	fm_buf_put_zeros(&buf, 16);
	fm_buf_put(&buf, ref.id.bytes, sizeof(ref.id.bytes));
	fm_buf_put(&buf, data + 2, size - 2);
	fm_buf_put_u64(&buf, fm_xxh3_64(fm_buf_slice(&buf), 0));
	ref.size = (uint32_t) buf.len;
	ref.checksum = fm_xxh3_64(fm_buf_slice(&buf), 0);
	copy = malloc(buf.len);
	memcpy(copy, buf.data, buf.len);

	sample_arena_init(&arena);
	decode(fm_slice(copy, buf.len), &ref, kind, &arena);
	if (arena.bytes > 64 * buf.len + 4096)
		abort();
	sample_arena_free(&arena);
	free(copy);
	fm_buf_free(&buf);
	return 0;
}
