/*-------------------------------------------------------------------------
 *
 * fuzz_head.c
 *	  HEADs from hostile bytes: refused, or safe to use.
 *
 * Input: the elements.  Header and checksum are made for them, or else the
 * checksum would keep all but seeds out.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "../unit/sample_head.h"

int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t rest[20] = {FM_FORMAT_MAJOR, 0, FM_FORMAT_MINOR};
	SampleArena arena;
	FmBuf		buf;
	FmBuf		again;
	FmHead	   *head;
	FmFault		fault;
	uint8_t    *copy;

	fm_buf_init(&buf, &fm_alloc_malloc);
	fm_buf_put(&buf, "FMHEAD\r\n", 8);
	fm_buf_put(&buf, rest, sizeof(rest));
	fm_buf_put_zeros(&buf, 32 - 8 - sizeof(rest));
	fm_buf_put(&buf, data, size);
	fm_buf_put_u64(&buf, fm_xxh3_64(fm_buf_slice(&buf), 0));
	copy = malloc(buf.len);
	memcpy(copy, buf.data, buf.len);

	sample_arena_init(&arena);
	if (fm_head_decode(fm_slice(copy, buf.len), &arena.alloc, &head,
					   &fault) == FM_OK)
	{
		/* What can be read can be written, and read again. */
		fm_buf_init(&again, &fm_alloc_malloc);
		if (fm_head_encode(head, &again) != FM_OK ||
			fm_head_decode(fm_buf_slice(&again), &arena.alloc, &head,
						   &fault) != FM_OK)
			abort();
		fm_buf_free(&again);
	}
	if (arena.bytes > 64 * buf.len * 2 + 4096)
		abort();
	sample_arena_free(&arena);
	free(copy);
	fm_buf_free(&buf);
	return 0;
}
