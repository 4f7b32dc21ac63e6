/*-------------------------------------------------------------------------
 *
 * page_codec.c
 *	  Immutable pages: of a table, of a level, of the commit log.
 *
 *	  page: object header | page id 16 B | elements | checksum
 *	  table page: 2 table
 *	  level page: 6 descriptor, repeated
 *	  log page:	  5 state (1 identity | 2 table, repeated) | 3 record, repeated
 *
 *-------------------------------------------------------------------------
 */
#include "format/head_coding.h"

enum
{
	PAGE_TABLE = 1,
	PAGE_LEVEL = 2,
	PAGE_LOG = 3
};

static size_t
page_begin(FmBuf *out, uint16_t kind, const FmId *id)
{
	size_t		begin = out->len;

	fm_object_begin(out, FM_PAGE_MAGIC, kind, 0, 0);
	fm_id_put(out, id);
	return begin;
}

/* Ends a page, and fills its reference. */
static FmStatus
page_end(FmBuf *out, size_t begin, FmStatus status, const FmId *id,
		 FmPageRef *ref)
{
	fm_object_end(out, begin);
	if (out->failed)
		return FM_NO_MEMORY;
	if (status == FM_OK && out->len - begin > FM_PAGE_MAX_SIZE)
		return FM_TOO_LARGE;
	ref->id = *id;
	ref->size = (uint32_t) (out->len - begin);
	ref->checksum = fm_xxh3_64(fm_slice(out->data + begin, out->len - begin),
							   0);
	return status;
}

/* Checks a page against its reference; *elements is what it holds. */
static FmStatus
page_open(const FmHeadReader *reader, FmSlice bytes, uint16_t kind,
		  const FmPageRef *ref, FmSlice *elements)
{
	size_t		header = FM_OBJECT_HEADER + sizeof(FmId);
	uint64_t	required;
	uint64_t	compatible;
	FmStatus	status;

	if (bytes.len != ref->size || bytes.len < header + FM_OBJECT_CHECKSUM)
		return fm_reader_fault(reader, bytes.data,
							   "page is not of the size that HEAD tells");
	if (fm_xxh3_64(bytes, 0) != ref->checksum)
		return fm_reader_fault(reader, bytes.data,
							   "page does not have the checksum that HEAD tells");
	status = fm_object_check(reader, bytes, FM_PAGE_MAGIC, kind, &required,
							 &compatible);
	if (status != FM_OK)
		return status;
	if (memcmp(bytes.data + FM_OBJECT_HEADER, ref->id.bytes,
			   sizeof(FmId)) != 0)
		return fm_reader_fault(reader, bytes.data + FM_OBJECT_HEADER,
							   "page has another id");
	*elements = fm_slice(bytes.data + header,
						 bytes.len - header - FM_OBJECT_CHECKSUM);
	return FM_OK;
}

FmStatus
fm_table_entry_encode(const FmTable *table, FmBuf *out)
{
	FmStatus	status = fm_table_put(out, table, true);

	return out->failed ? FM_NO_MEMORY : status;
}

FmStatus
fm_table_page_encode(const FmTable *table, const FmId *id, FmBuf *out,
					 FmPageRef *ref)
{
	size_t		begin = page_begin(out, PAGE_TABLE, id);

	memset(ref, 0, sizeof(*ref));
	return page_end(out, begin, fm_table_put(out, table, true), id, ref);
}

FmStatus
fm_table_page_decode(FmSlice bytes, const FmPageRef *ref, const FmAlloc *alloc,
					 FmTable *table, FmFault *fault)
{
	FmHeadReader reader = {bytes.data, alloc, fault};
	FmPageRef	kept = *ref;	/* ref may be inside the table */
	FmCursor	cursor;
	FmElement	element;
	FmSlice		elements;
	FmTable		whole;
	FmStatus	status;

	status = page_open(&reader, bytes, PAGE_TABLE, ref, &elements);
	if (status != FM_OK)
		return status;
	cursor = fm_cursor(elements);
	status = fm_element_take(&reader, &cursor, &element);
	if (status == FM_OK && element.tag != FM_TAG_TABLE)
		status = fm_reader_fault(&reader, elements.data,
								 "table page holds no table");
	if (status == FM_OK)
		status = fm_table_take(&reader, element.value, &whole);
	if (status != FM_OK)
		return status;
	if (!whole.resolved || whole.id != table->id ||
		!fm_slice_eq(whole.name, table->name))
		return fm_reader_fault(&reader, elements.data,
							   "table page is of another table");
	whole.in_page = true;
	whole.page = kept;
	*table = whole;
	return FM_OK;
}

FmStatus
fm_level_page_encode(const FmRunDesc *runs, uint32_t n, const FmId *id,
					 FmBuf *out, FmPageRef *ref)
{
	size_t		begin = page_begin(out, PAGE_LEVEL, id);
	FmStatus	status = n == 0 || n > FM_LEVEL_PAGE_MAX ? FM_INVALID : FM_OK;
	uint32_t	i;

	memset(ref, 0, sizeof(*ref));
	for (i = 0; i < n && status == FM_OK; i++)
		status = fm_run_desc_put(out, FM_TAG_RUN, &runs[i]);
	ref->nruns = n;
	return page_end(out, begin, status, id, ref);
}

FmStatus
fm_level_page_decode(FmSlice bytes, const FmPageRef *ref, const FmAlloc *alloc,
					 FmRunDesc *runs, FmFault *fault)
{
	FmHeadReader reader = {bytes.data, alloc, fault};
	FmCursor	cursor;
	FmElement	element;
	FmSlice		elements;
	FmStatus	status;
	uint32_t	n = 0;

	status = page_open(&reader, bytes, PAGE_LEVEL, ref, &elements);
	cursor = fm_cursor(status == FM_OK ? elements : fm_slice(NULL, 0));
	while (status == FM_OK && fm_cursor_left(&cursor) > 0)
	{
		status = fm_element_take(&reader, &cursor, &element);
		if (status != FM_OK || element.tag != FM_TAG_RUN)
			continue;
		if (n == ref->nruns)
			return fm_reader_fault(&reader, element.value.data,
								   "level page holds too many runs");
		status = fm_run_desc_take(&reader, element.value, &runs[n++]);
	}
	if (status == FM_OK && n != ref->nruns)
		status = fm_reader_fault(&reader, bytes.data,
								 "level page holds too few runs");
	return status;
}

FmStatus
fm_log_page_encode(const FmHead *state, const FmCommitRecord *records,
				   uint32_t n, const FmId *id, FmBuf *out, FmPageRef *ref)
{
	size_t		begin = page_begin(out, PAGE_LOG, id);
	size_t		element = fm_element_begin(out, FM_TAG_STATE);
	FmStatus	status = fm_head_state_put(out, state);
	uint32_t	i;

	fm_element_end(out, element);
	for (i = 0; i < n && status == FM_OK; i++)
		status = fm_record_put(out, &records[i]);
	memset(ref, 0, sizeof(*ref));
	ref->first_version = state->version + 1;
	ref->last_version = state->version + n;
	return page_end(out, begin, status, id, ref);
}

FmStatus
fm_log_page_decode(FmSlice bytes, const FmPageRef *ref, const FmAlloc *alloc,
				   FmHead **state, FmCommitRecord **records, uint32_t *n,
				   FmFault *fault)
{
	static const uint32_t min[FM_MAX_TAG] = {[FM_TAG_RECORD] = 72};
	FmHeadReader reader = {bytes.data, alloc, fault};
	uint32_t	count[FM_MAX_TAG];
	FmCursor	cursor;
	FmElement	element;
	FmSlice		elements;
	FmHead	   *head = NULL;
	FmStatus	status;

	status = page_open(&reader, bytes, PAGE_LOG, ref, &elements);
	if (status == FM_OK)
		status = fm_element_count(&reader, elements, min, count);
	if (status == FM_OK && count[FM_TAG_STATE] != 1)
		status = fm_reader_fault(&reader, bytes.data,
								 "state is missing, or there twice");
	if (status == FM_OK)
		status = fm_reader_alloc(&reader, 1, sizeof(FmHead), &head);
	if (status != FM_OK)
		return status;
	cursor = fm_cursor(elements);
	while (status == FM_OK && fm_cursor_left(&cursor) > 0)
	{
		status = fm_element_take(&reader, &cursor, &element);
		if (status == FM_OK && element.tag == FM_TAG_STATE)
			status = fm_head_state_take(&reader, element.value, head);
	}
	if (status == FM_OK && head->nrecords + head->nlog_pages > 0)
		status = fm_reader_fault(&reader, bytes.data,
								 "state of a log page has a log");
	if (status == FM_OK)
		status = fm_records_take(&reader, elements, count[FM_TAG_RECORD],
								 records);
	if (status == FM_OK)
		status = fm_records_check(&reader, *records, count[FM_TAG_RECORD],
								  head->version, &head->commit_id);
	if (status == FM_OK && (ref->first_version != head->version + 1 ||
							ref->last_version !=
							head->version + count[FM_TAG_RECORD]))
		status = fm_reader_fault(&reader, bytes.data,
								 "log page has other versions than HEAD tells");
	if (status == FM_OK)
	{
		*state = head;
		*n = count[FM_TAG_RECORD];
	}
	return status;
}

FmStatus
fm_page_records(FmSlice bytes, const FmId *id, const FmAlloc *alloc,
				FmCommitRecord **records, uint32_t *n, FmFault *fault)
{
	static const uint32_t min[FM_MAX_TAG] = {[FM_TAG_RECORD] = 72};
	FmHeadReader reader = {bytes.data, alloc, fault};
	uint32_t	count[FM_MAX_TAG];
	FmSlice		elements;
	FmPageRef	ref;
	uint16_t	kind;
	FmStatus	status;

	*n = 0;
	*records = NULL;
	if (bytes.len < FM_OBJECT_HEADER || bytes.len > FM_PAGE_MAX_SIZE)
		return fm_reader_fault(&reader, bytes.data, "it is not a page");
	memset(&ref, 0, sizeof(ref));
	ref.id = *id;
	ref.size = (uint32_t) bytes.len;
	ref.checksum = fm_xxh3_64(bytes, 0);
	kind = (uint16_t) fm_get_u16(bytes.data + FM_OBJECT_KIND_AT);
	status = page_open(&reader, bytes, kind, &ref, &elements);
	if (status != FM_OK || kind != PAGE_LOG)
		return status;
	status = fm_element_count(&reader, elements, min, count);
	if (status == FM_OK)
		status = fm_records_take(&reader, elements, count[FM_TAG_RECORD],
								 records);
	if (status == FM_OK)
		*n = count[FM_TAG_RECORD];
	return status;
}
