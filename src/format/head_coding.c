/*-------------------------------------------------------------------------
 *
 * head_coding.c
 *	  Elements of HEAD and its pages; object header and checksum; page
 *	  references; descriptors of runs.
 *
 * Object: magic 8 B, major u16, minor u16, kind u16, zero u16, required
 * features u64, compatible features u64, elements, XXH3-64 of all before it.
 * Magic, major and checksum stay where they are in every version to come, so
 * that damage and another version can be told apart.
 *
 *-------------------------------------------------------------------------
 */
#include "format/head_coding.h"

/* Features that this code has; both words are empty in version 1.0. */
#define KNOWN_REQUIRED_FEATURES 0

size_t
fm_element_begin(FmBuf *out, uint16_t tag)
{
	size_t		begin = out->len;

	fm_buf_put_u16(out, tag);
	fm_buf_put_u16(out, 0);
	fm_buf_put_u32(out, 0);
	return begin;
}

void
fm_element_end(FmBuf *out, size_t begin)
{
	if (!out->failed)
		fm_put_u32(out->data + begin + 4,
				   (uint32_t) (out->len - begin - FM_ELEMENT_HEADER));
}

void
fm_element_put(FmBuf *out, uint16_t tag, FmSlice value)
{
	size_t		begin = fm_element_begin(out, tag);

	fm_buf_put_slice(out, value);
	fm_element_end(out, begin);
}

FmStatus
fm_reader_fault(const FmHeadReader *reader, const uint8_t *pos,
				const char *what)
{
	return fm_fault(reader->fault, FM_CORRUPTION, what,
					pos == NULL ? 0 : (uint64_t) (pos - reader->base));
}

FmStatus
fm_element_take(const FmHeadReader *reader, FmCursor *cursor,
				FmElement *element)
{
	const uint8_t *start = cursor->pos;
	uint32_t	zero;
	uint32_t	length;

	element->tag = fm_take_u16(cursor);
	zero = fm_take_u16(cursor);
	length = fm_take_u32(cursor);
	if (cursor->failed)
		return fm_reader_fault(reader, start, "element header is cut");
	if (zero != 0)
		return fm_reader_fault(reader, start, "reserved bytes are not zero");
	if (length > fm_cursor_left(cursor))
		return fm_reader_fault(reader, start,
							   "element is longer than what holds it");
	element->value = fm_take(cursor, length);
	return FM_OK;
}

FmStatus
fm_element_count(const FmHeadReader *reader, FmSlice container,
				 const uint32_t min[FM_MAX_TAG], uint32_t count[FM_MAX_TAG])
{
	FmCursor	cursor = fm_cursor(container);
	FmElement	element;
	FmStatus	status;

	memset(count, 0, sizeof(uint32_t) * FM_MAX_TAG);
	while (fm_cursor_left(&cursor) > 0)
	{
		const uint8_t *start = cursor.pos;

		status = fm_element_take(reader, &cursor, &element);
		if (status != FM_OK)
			return status;
		if (element.tag >= FM_MAX_TAG)
			continue;
		if (element.value.len < min[element.tag])
			return fm_reader_fault(reader, start, "element is too short");
		count[element.tag]++;
	}
	return FM_OK;
}

FmStatus
fm_reader_alloc(const FmHeadReader *reader, uint32_t n, size_t size, void *out)
{
	void	   *p = NULL;

	if (n > 0)
	{
		p = fm_alloc(reader->alloc, n * size);
		if (p == NULL)
			return fm_fault(reader->fault, FM_NO_MEMORY, "out of memory", 0);
		memset(p, 0, n * size);
	}
	memcpy(out, &p, sizeof(p));
	return FM_OK;
}

void
fm_id_put(FmBuf *out, const FmId *id)
{
	fm_buf_put(out, id->bytes, sizeof(id->bytes));
}

FmId
fm_id_take(FmCursor *cursor)
{
	FmId		id;
	FmSlice		s = fm_take(cursor, sizeof(id.bytes));

	memset(&id, 0, sizeof(id));
	if (s.data != NULL)
		memcpy(id.bytes, s.data, sizeof(id.bytes));
	return id;
}

void
fm_page_ref_put(FmBuf *out, uint16_t tag, const FmPageRef *ref)
{
	size_t		begin = fm_element_begin(out, tag);

	fm_id_put(out, &ref->id);
	fm_buf_put_u64(out, ref->checksum);
	fm_buf_put_u32(out, ref->size);
	fm_buf_put_u32(out, ref->nruns);
	fm_buf_put_u64(out, ref->first_version);
	fm_buf_put_u64(out, ref->last_version);
	fm_element_end(out, begin);
}

FmStatus
fm_page_ref_take(const FmHeadReader *reader, FmSlice value, FmPageRef *ref)
{
	FmCursor	cursor = fm_cursor(value);

	if (value.len != FM_PAGE_REF_BYTES)
		return fm_reader_fault(reader, value.data,
							   "page reference has a wrong length");
	ref->id = fm_id_take(&cursor);
	ref->checksum = fm_take_u64(&cursor);
	ref->size = fm_take_u32(&cursor);
	ref->nruns = fm_take_u32(&cursor);
	ref->first_version = fm_take_u64(&cursor);
	ref->last_version = fm_take_u64(&cursor);
	if (ref->size < FM_OBJECT_HEADER + sizeof(FmId) + FM_OBJECT_CHECKSUM ||
		ref->size > FM_PAGE_MAX_SIZE)
		return fm_reader_fault(reader, value.data,
							   "page reference has a wrong size");
	return FM_OK;
}

FmStatus
fm_run_desc_put(FmBuf *out, uint16_t tag, const FmRunDesc *desc)
{
	size_t		begin;

	if (desc->lower.len > FM_MAX_KEY_SIZE || desc->upper.len > FM_MAX_KEY_SIZE)
		return FM_INVALID;
	begin = fm_element_begin(out, tag);
	fm_id_put(out, &desc->id);
	fm_buf_put_u64(out, desc->size);
	fm_buf_put_u64(out, desc->rows);
	fm_buf_put_u64(out, desc->tombstones);
	fm_buf_put_u64(out, desc->meta_offset);
	fm_buf_put_u64(out, desc->tail_offset);
	fm_buf_put_u64(out, desc->tail_checksum);
	fm_buf_put_u64(out, desc->min_version);
	fm_buf_put_u64(out, desc->max_version);
	fm_buf_put_u64(out, desc->row_sum.lo);
	fm_buf_put_u64(out, desc->row_sum.hi);
	fm_buf_put_u32(out, desc->nblocks);
	fm_buf_put_u32(out, desc->npartitions);
	fm_buf_put_u32(out, desc->sequence);
	fm_buf_put_u32(out, desc->block_size);
	fm_buf_put_u8(out, desc->filter_kind);
	fm_buf_put_u8(out, desc->filter_bits);
	fm_buf_put_u16(out, (uint16_t) desc->lower.len);
	fm_buf_put_u16(out, (uint16_t) desc->upper.len);
	fm_buf_put_u16(out, 0);
	fm_buf_put_slice(out, desc->lower);
	fm_buf_put_slice(out, desc->upper);
	fm_element_end(out, begin);
	return FM_OK;
}

static const char *
run_desc_problem(const FmRunDesc *desc)
{
	if (desc->size == 0 || desc->meta_offset < FM_RUN_HEADER_SIZE ||
		desc->meta_offset > desc->tail_offset ||
		desc->tail_offset >= desc->size)
		return "parts of a run are out of order";
	if (desc->nblocks == 0 || desc->npartitions == 0 ||
		desc->npartitions > desc->nblocks)
		return "a run has a wrong number of blocks";
	if (desc->rows > UINT64_MAX - desc->tombstones ||
		desc->rows + desc->tombstones == 0)
		return "a run has a wrong number of rows";
	if (desc->min_version > desc->max_version)
		return "versions of a run are out of order";
	if (desc->block_size < FM_MIN_BLOCK_SIZE ||
		desc->block_size > FM_MAX_BLOCK_SIZE)
		return "a run has a wrong block size";
	if (desc->lower.len == 0 || desc->upper.len == 0 ||
		desc->lower.len > FM_MAX_KEY_SIZE ||
		desc->upper.len > FM_MAX_KEY_SIZE ||
		fm_slice_cmp(desc->lower, desc->upper) > 0)
		return "bounds of a run are out of order";
	return NULL;
}

FmStatus
fm_run_desc_take(const FmHeadReader *reader, FmSlice value, FmRunDesc *desc)
{
	FmCursor	cursor = fm_cursor(value);
	const char *problem;
	size_t		lower;
	size_t		upper;
	uint32_t	zero;

	desc->id = fm_id_take(&cursor);
	desc->size = fm_take_u64(&cursor);
	desc->rows = fm_take_u64(&cursor);
	desc->tombstones = fm_take_u64(&cursor);
	desc->meta_offset = fm_take_u64(&cursor);
	desc->tail_offset = fm_take_u64(&cursor);
	desc->tail_checksum = fm_take_u64(&cursor);
	desc->min_version = fm_take_u64(&cursor);
	desc->max_version = fm_take_u64(&cursor);
	desc->row_sum.lo = fm_take_u64(&cursor);
	desc->row_sum.hi = fm_take_u64(&cursor);
	desc->nblocks = fm_take_u32(&cursor);
	desc->npartitions = fm_take_u32(&cursor);
	desc->sequence = fm_take_u32(&cursor);
	desc->block_size = fm_take_u32(&cursor);
	desc->filter_kind = fm_take_u8(&cursor);
	desc->filter_bits = fm_take_u8(&cursor);
	lower = fm_take_u16(&cursor);
	upper = fm_take_u16(&cursor);
	zero = fm_take_u16(&cursor);
	desc->lower = fm_take(&cursor, lower);
	desc->upper = fm_take(&cursor, upper);
	if (cursor.failed || fm_cursor_left(&cursor) != 0 || zero != 0)
		return fm_reader_fault(reader, value.data,
							   "descriptor of a run has a wrong length");
	problem = run_desc_problem(desc);
	if (problem != NULL)
		return fm_reader_fault(reader, value.data, problem);
	return FM_OK;
}

void
fm_object_begin(FmBuf *out, const char *magic, uint16_t kind,
				uint64_t required, uint64_t compatible)
{
	fm_buf_put(out, magic, 8);
	fm_buf_put_u16(out, FM_FORMAT_MAJOR);
	fm_buf_put_u16(out, FM_FORMAT_MINOR);
	fm_buf_put_u16(out, kind);
	fm_buf_put_u16(out, 0);
	fm_buf_put_u64(out, required);
	fm_buf_put_u64(out, compatible);
}

void
fm_object_end(FmBuf *out, size_t begin)
{
	if (!out->failed)
		fm_buf_put_u64(out, fm_xxh3_64(fm_slice(out->data + begin,
												out->len - begin), 0));
}

FmStatus
fm_object_check(const FmHeadReader *reader, FmSlice bytes, const char *magic,
				uint16_t kind, uint64_t *required, uint64_t *compatible)
{
	FmCursor	cursor = fm_cursor(bytes);
	uint32_t	major;
	size_t		len;

	if (bytes.len < FM_OBJECT_HEADER + FM_OBJECT_CHECKSUM)
		return fm_reader_fault(reader, bytes.data, "object is cut short");
	if (memcmp(bytes.data, magic, 8) != 0)
		return fm_reader_fault(reader, bytes.data, "magic does not match");
	len = bytes.len - FM_OBJECT_CHECKSUM;
	if (fm_get_u64(bytes.data + len) !=
		fm_xxh3_64(fm_slice(bytes.data, len), 0))
		return fm_reader_fault(reader, bytes.data + len,
							   "checksum does not match");
	fm_take(&cursor, 8);
	major = fm_take_u16(&cursor);
	if (major != FM_FORMAT_MAJOR)
		return fm_fault(reader->fault, FM_UNSUPPORTED,
						"its format is of another major version", 8);
	fm_take_u16(&cursor);
	if (fm_take_u16(&cursor) != kind)
		return fm_reader_fault(reader, bytes.data + 12,
							   "object is of another kind");
	if (fm_take_u16(&cursor) != 0)
		return fm_reader_fault(reader, bytes.data + 14,
							   "reserved bytes are not zero");
	*required = fm_take_u64(&cursor);
	*compatible = fm_take_u64(&cursor);
	if ((*required & ~(uint64_t) KNOWN_REQUIRED_FEATURES) != 0)
		return fm_fault(reader->fault, FM_UNSUPPORTED,
						"it requires a feature that is not known here", 16);
	return FM_OK;
}
