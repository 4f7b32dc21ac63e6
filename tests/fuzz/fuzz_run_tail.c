/*-------------------------------------------------------------------------
 *
 * fuzz_run_tail.c
 *	  Headers, footers, tails and properties from hostile bytes.
 *
 * Input: which part, its bytes.  Checksums are put right here, so that what
 * lies behind them is reached.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "format/run.h"

int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_header(uint8_t *bytes, size_t size)
{
	FmId		id = {{0}};
	FmFault		fault;

	if (size == FM_RUN_HEADER_SIZE)
	{
		memcpy(id.bytes, bytes + 12, sizeof(id.bytes));
		fm_put_u32(bytes + 28, (uint32_t) fm_xxh3_64(fm_slice(bytes, 28), 0));
	}
	(void) fm_run_header_check(fm_slice(bytes, size), &id, &fault);
}

/* A tail: the descriptor is made from its own footer. */
static void
read_tail(uint8_t *bytes, size_t size)
{
	FmRunDesc	desc;
	FmRunTail	tail;
	FmFault		fault;
	uint8_t    *footer;
	uint64_t	object_size;

	if (size < FM_RUN_FOOTER_SIZE)
		return;
	footer = bytes + size - FM_RUN_FOOTER_SIZE;
	fm_put_u64(footer + 120, fm_xxh3_64(fm_slice(footer, 120), 0));
	object_size = fm_get_u64(footer + 48);
	if (fm_run_footer_read(fm_slice(footer, FM_RUN_FOOTER_SIZE), object_size,
						   &desc, &fault) != FM_OK)
		return;
	if (desc.tail_offset > object_size - FM_RUN_FOOTER_SIZE)
		abort();
	desc.tail_checksum = fm_xxh3_64(fm_slice(bytes, size), 0);
	if (fm_run_tail_check(fm_slice(bytes, size), &desc, &tail,
						  &fault) != FM_OK)
		return;
	if (tail.properties.offset != desc.tail_offset ||
		(uint64_t) tail.properties.size + tail.top.size +
		FM_RUN_FOOTER_SIZE != size)
		abort();
}

static void
read_properties(const uint8_t *bytes, size_t size)
{
	FmRunProperties props;
	FmFault		fault;
	volatile uint8_t sink = 0;

	if (fm_run_properties_read(fm_slice(bytes, size), &props,
							   &fault) != FM_OK)
		return;
	for (; props.first_key.len > 0; props.first_key.len--)
		sink ^= props.first_key.data[props.first_key.len - 1];
	for (; props.last_key.len > 0; props.last_key.len--)
		sink ^= props.last_key.data[props.last_key.len - 1];
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t    *bytes;

	if (size < 1)
		return 0;
	size--;
	bytes = malloc(size > 0 ? size : 1);
	memcpy(bytes, data + 1, size);
	switch (data[0] % 3)
	{
		case 0:
			read_header(bytes, size);
			break;
		case 1:
			read_tail(bytes, size);
			break;
		default:
			read_properties(bytes, size);
	}
	free(bytes);
	return 0;
}
