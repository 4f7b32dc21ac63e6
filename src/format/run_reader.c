/*-------------------------------------------------------------------------
 *
 * run_reader.c
 *	  Checking the fixed parts of a run, reading its properties.
 *
 *-------------------------------------------------------------------------
 */
#include "format/run.h"
#include "format/run_layout.h"

/* Feature words that this code has. */
#define REQUIRED_FEATURES UINT64_C(0)

static FmStatus
check_version(const uint8_t *major, FmFault *fault)
{
	if (fm_get_u16(major) != FM_FORMAT_MAJOR)
		return fm_fault(fault, FM_UNSUPPORTED,
						"run has another format version", FM_FOOTER_MAJOR);
	return FM_OK;
}

FmStatus
fm_run_header_check(FmSlice header, const FmId *id, FmFault *fault)
{
	const uint8_t *p = header.data;

	if (header.len != FM_RUN_HEADER_SIZE)
		return fm_fault(fault, FM_CORRUPTION, "run header is cut off", 0);
	if (memcmp(p, FM_RUN_MAGIC, FM_RUN_MAGIC_SIZE) != 0)
		return fm_fault(fault, FM_CORRUPTION, "object is not a run", 0);
	if (fm_get_u32(p + FM_HEADER_CHECKSUM) !=
		(uint32_t) fm_xxh3_64(fm_slice(p, FM_HEADER_CHECKSUM), 0))
		return fm_fault(fault, FM_CORRUPTION,
						"run header checksum does not match",
						FM_HEADER_CHECKSUM);
	if (check_version(p + FM_HEADER_MAJOR, fault) != FM_OK)
		return FM_UNSUPPORTED;
	if (memcmp(p + FM_HEADER_ID, id->bytes, sizeof(id->bytes)) != 0)
		return fm_fault(fault, FM_CORRUPTION,
						"run header is that of another run", FM_HEADER_ID);
	return FM_OK;
}

FmStatus
fm_run_footer_read(FmSlice footer, uint64_t size, FmRunDesc *desc,
				   FmFault *fault)
{
	const uint8_t *p = footer.data;

	if (footer.len != FM_RUN_FOOTER_SIZE ||
		size < FM_RUN_HEADER_SIZE + FM_RUN_FOOTER_SIZE)
		return fm_fault(fault, FM_CORRUPTION, "run footer is cut off", 0);
	if (memcmp(p, FM_RUN_FOOTER_MAGIC, FM_RUN_MAGIC_SIZE) != 0)
		return fm_fault(fault, FM_CORRUPTION, "run has no footer", 0);
	if (fm_get_u64(p + FM_FOOTER_CHECKSUM) !=
		fm_xxh3_64(fm_slice(p, FM_FOOTER_CHECKSUM), 0))
		return fm_fault(fault, FM_CORRUPTION,
						"run footer checksum does not match",
						FM_FOOTER_CHECKSUM);
	if (check_version(p + FM_FOOTER_MAJOR, fault) != FM_OK)
		return FM_UNSUPPORTED;
	if ((fm_get_u64(p + FM_FOOTER_REQUIRED) & ~REQUIRED_FEATURES) != 0)
		return fm_fault(fault, FM_UNSUPPORTED,
						"run requires a feature that is not supported",
						FM_FOOTER_REQUIRED);
	if (fm_get_u64(p + FM_FOOTER_FILE_SIZE) != size)
		return fm_fault(fault, FM_CORRUPTION,
						"size in the run footer is not the object's",
						FM_FOOTER_FILE_SIZE);
	memset(desc, 0, sizeof(*desc));
	memcpy(desc->id.bytes, p + FM_FOOTER_ID, sizeof(desc->id.bytes));
	desc->size = size;
	desc->rows = fm_get_u64(p + FM_FOOTER_ROWS);
	desc->tombstones = fm_get_u64(p + FM_FOOTER_TOMBSTONES);
	desc->nblocks = fm_get_u32(p + FM_FOOTER_NBLOCKS);
	desc->npartitions = fm_get_u32(p + FM_FOOTER_NPARTITIONS);
	desc->meta_offset = fm_get_u64(p + FM_FOOTER_META_OFFSET);
	desc->tail_offset = fm_get_u64(p + FM_FOOTER_PROPERTIES_OFFSET);
	if (desc->meta_offset < FM_RUN_HEADER_SIZE ||
		desc->meta_offset > desc->tail_offset ||
		desc->tail_offset > size - FM_RUN_FOOTER_SIZE)
		return fm_fault(fault, FM_CORRUPTION,
						"offsets in the run footer are out of range",
						FM_FOOTER_META_OFFSET);
	return FM_OK;
}

FmStatus
fm_run_tail_check(FmSlice tail, const FmRunDesc *desc, FmRunTail *out,
				  FmFault *fault)
{
	FmRunDesc	found;
	FmSlice		footer;
	FmStatus	status;
	uint64_t	blocks_end;

	if (desc->size < desc->tail_offset ||
		tail.len != desc->size - desc->tail_offset ||
		tail.len < FM_RUN_FOOTER_SIZE)
		return fm_fault(fault, FM_CORRUPTION, "run tail is cut off", 0);
	if (fm_xxh3_64(tail, 0) != desc->tail_checksum)
		return fm_fault(fault, FM_CORRUPTION,
						"run tail checksum does not match", 0);
	footer = fm_slice(tail.data + tail.len - FM_RUN_FOOTER_SIZE,
					  FM_RUN_FOOTER_SIZE);
	status = fm_run_footer_read(footer, desc->size, &found, fault);
	if (status != FM_OK)
	{
		if (fault != NULL)
			fault->offset += tail.len - FM_RUN_FOOTER_SIZE;
		return status;
	}
	if (!fm_id_eq(&found.id, &desc->id))
		return fm_fault(fault, FM_CORRUPTION,
						"run footer is that of another run",
						tail.len - FM_RUN_FOOTER_SIZE + FM_FOOTER_ID);
	if (found.meta_offset != desc->meta_offset ||
		found.tail_offset != desc->tail_offset ||
		found.rows != desc->rows || found.tombstones != desc->tombstones ||
		found.nblocks != desc->nblocks ||
		found.npartitions != desc->npartitions)
		return fm_fault(fault, FM_CORRUPTION,
						"run footer does not agree with HEAD",
						tail.len - FM_RUN_FOOTER_SIZE);
	out->properties.offset = found.tail_offset;
	out->properties.size = fm_get_u32(footer.data + FM_FOOTER_PROPERTIES_SIZE);
	out->top.offset = fm_get_u64(footer.data + FM_FOOTER_TOP_OFFSET);
	out->top.size = fm_get_u32(footer.data + FM_FOOTER_TOP_SIZE);
	blocks_end = desc->size - FM_RUN_FOOTER_SIZE;
	if (out->properties.size > blocks_end - found.tail_offset ||
		out->top.offset != found.tail_offset + out->properties.size ||
		out->top.size != blocks_end - out->top.offset)
		return fm_fault(fault, FM_CORRUPTION,
						"parts of the run tail are out of range",
						tail.len - FM_RUN_FOOTER_SIZE);
	return FM_OK;
}

/* Bytes that each property must have; 0 for keys. */
static const uint8_t property_size[FM_PROPERTY_COUNT + 1] = {
	[FM_PROPERTY_TABLE_ID] = 8,
	[FM_PROPERTY_ROWS] = 8,
	[FM_PROPERTY_TOMBSTONES] = 8,
	[FM_PROPERTY_RAW_BYTES] = 8,
	[FM_PROPERTY_NBLOCKS] = 4,
	[FM_PROPERTY_NPARTITIONS] = 4,
	[FM_PROPERTY_BLOCK_SIZE] = 4,
	[FM_PROPERTY_CODEC] = 2,
	[FM_PROPERTY_FILTER] = 2,
	[FM_PROPERTY_ROW_SUM] = 16,
};

static void
set_property(FmRunProperties *props, uint32_t tag, FmSlice value)
{
	switch (tag)
	{
		case FM_PROPERTY_TABLE_ID:
			props->table_id = fm_get_u64(value.data);
			break;
		case FM_PROPERTY_ROWS:
			props->rows = fm_get_u64(value.data);
			break;
		case FM_PROPERTY_TOMBSTONES:
			props->tombstones = fm_get_u64(value.data);
			break;
		case FM_PROPERTY_RAW_BYTES:
			props->raw_bytes = fm_get_u64(value.data);
			break;
		case FM_PROPERTY_NBLOCKS:
			props->nblocks = fm_get_u32(value.data);
			break;
		case FM_PROPERTY_NPARTITIONS:
			props->npartitions = fm_get_u32(value.data);
			break;
		case FM_PROPERTY_BLOCK_SIZE:
			props->block_size = fm_get_u32(value.data);
			break;
		case FM_PROPERTY_CODEC:
			props->codec = value.data[0];
			props->zstd_level = value.data[1];
			break;
		case FM_PROPERTY_FILTER:
			props->filter_kind = value.data[0];
			props->filter_bits = value.data[1];
			break;
		case FM_PROPERTY_ROW_SUM:
			props->row_sum.lo = fm_get_u64(value.data);
			props->row_sum.hi = fm_get_u64(value.data + 8);
			break;
		case FM_PROPERTY_FIRST_KEY:
			props->first_key = value;
			break;
		case FM_PROPERTY_LAST_KEY:
			props->last_key = value;
			break;
	}
}

FmStatus
fm_run_properties_read(FmSlice raw, FmRunProperties *props, FmFault *fault)
{
	FmCursor	c = fm_cursor(raw);
	uint32_t	before = 0;
	uint32_t	seen = 0;		/* of the tags that are known */

	memset(props, 0, sizeof(*props));
	while (fm_cursor_left(&c) > 0)
	{
		uint64_t	at = (uint64_t) (c.pos - raw.data);
		uint32_t	tag = fm_take_u16(&c);
		uint32_t	zero = fm_take_u16(&c);
		uint32_t	len = fm_take_u32(&c);
		FmSlice		value = fm_take(&c, len);

		if (c.failed)
			return fm_fault(fault, FM_CORRUPTION, "property is cut off", at);
		if (zero != 0)
			return fm_fault(fault, FM_CORRUPTION,
							"reserved bytes of a property are not zero",
							at + 2);
		if (tag <= before)
			return fm_fault(fault, FM_CORRUPTION,
							"properties are out of order", at);
		before = tag;
		if (tag > FM_PROPERTY_COUNT)
			continue;
		if (property_size[tag] != 0 ? len != property_size[tag] :
			len > FM_MAX_KEY_SIZE)
			return fm_fault(fault, FM_CORRUPTION,
							"length of a property is out of range", at + 4);
		set_property(props, tag, value);
		seen |= UINT32_C(1) << tag;
	}
	if (seen != (UINT32_C(1) << (FM_PROPERTY_COUNT + 1)) - 2)
		return fm_fault(fault, FM_CORRUPTION, "property is missing", raw.len);
	if (fm_slice_cmp(props->first_key, props->last_key) > 0)
		return fm_fault(fault, FM_CORRUPTION,
						"keys in the properties are out of order", 0);
	return FM_OK;
}
