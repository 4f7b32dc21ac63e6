/*-------------------------------------------------------------------------
 *
 * fuzz_block.c
 *	  Stored blocks from hostile bytes: refused, or decoded within bounds.
 *
 * Input: kind, stored block without its checksum, which is put right here.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "format/block.h"

int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static FmBlockReader *reader;
	FmId		id = {{1, 2, 3, 4}};
	FmBlockKind kind;
	FmBlockInfo info;
	FmFault		fault;
	uint8_t    *stored;
	uint8_t    *raw;

	if (size < 1)
		return 0;
	if (reader == NULL)
		reader = fm_block_reader_create(&fm_alloc_malloc);
	kind = (FmBlockKind) (1 + data[0] % FM_BLOCK_PAGE);
	size--;
	stored = malloc(size + 8);
	memcpy(stored, data + 1, size);
	fm_put_u64(stored + size,
			   fm_xxh3_64(fm_slice(stored, size), fm_get_u64(id.bytes) ^
						  fm_get_u64(id.bytes + 8) ^ 64));
	if (fm_block_verify(fm_slice(stored, size + 8), &id, 64, kind, 1 << 20,
						&info, &fault) == FM_OK)
	{
		if (info.raw_size > 1 << 20)
			abort();
		raw = malloc(info.raw_size);
		(void) fm_block_decode(reader, &info, raw, &fault);
		free(raw);
	}
	free(stored);
	return 0;
}
