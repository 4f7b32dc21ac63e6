/*-------------------------------------------------------------------------
 *
 * head_codec.c
 *	  HEAD, and the tables and identity that it shares with a log page.
 *
 *	  HEAD: object header | 1 identity | 2 table, repeated, by name |
 *			4 log page reference, repeated, oldest first |
 *			3 record, repeated, oldest first | checksum
 *
 *-------------------------------------------------------------------------
 */
#include "format/head_coding.h"

#define IDENTITY_BYTES 64
#define TABLE_MIN 33			/* id, name of a byte, two element headers */
#define RECORD_MIN 72
#define HEAD_KIND 0

static void
put_identity(FmBuf *out, const FmHead *head)
{
	size_t		begin = fm_element_begin(out, FM_TAG_IDENTITY);

	fm_id_put(out, &head->store_id);
	fm_id_put(out, &head->commit_id);
	fm_buf_put_u64(out, head->incarnation);
	fm_buf_put_u64(out, head->version);
	fm_buf_put_u64(out, head->log_floor);
	fm_buf_put_u64(out, head->next_table_id);
	fm_element_end(out, begin);
}

static FmStatus
take_identity(const FmHeadReader *reader, FmSlice value, FmHead *head)
{
	FmCursor	cursor = fm_cursor(value);

	if (value.len != IDENTITY_BYTES)
		return fm_reader_fault(reader, value.data,
							   "identity has a wrong length");
	head->store_id = fm_id_take(&cursor);
	head->commit_id = fm_id_take(&cursor);
	head->incarnation = fm_take_u64(&cursor);
	head->version = fm_take_u64(&cursor);
	head->log_floor = fm_take_u64(&cursor);
	head->next_table_id = fm_take_u64(&cursor);
	if (head->log_floor > head->version || head->next_table_id == 0)
		return fm_reader_fault(reader, value.data, "identity is not valid");
	return FM_OK;
}

FmStatus
fm_head_state_put(FmBuf *out, const FmHead *head)
{
	FmStatus	status = FM_OK;
	uint32_t	i;

	put_identity(out, head);
	for (i = 0; i < head->ntables && status == FM_OK; i++)
	{
		if (i > 0 && fm_slice_cmp(head->tables[i - 1].name,
								  head->tables[i].name) >= 0)
			return FM_INVALID;
		status = fm_table_put(out, &head->tables[i], false);
	}
	return status;
}

FmStatus
fm_head_state_take(const FmHeadReader *reader, FmSlice container, FmHead *head)
{
	static const uint32_t min[FM_MAX_TAG] = {
		[FM_TAG_IDENTITY] = IDENTITY_BYTES,
		[FM_TAG_TABLE] = TABLE_MIN,
		[FM_TAG_RECORD] = RECORD_MIN,
		[FM_TAG_LOG_PAGE] = FM_PAGE_REF_BYTES
	};
	uint32_t	count[FM_MAX_TAG];
	FmCursor	cursor = fm_cursor(container);
	FmElement	element;
	FmStatus	status;
	uint32_t	i;

	status = fm_element_count(reader, container, min, count);
	if (status == FM_OK && count[FM_TAG_IDENTITY] != 1)
		status = fm_reader_fault(reader, container.data,
								 "identity is missing, or there twice");
	if (status == FM_OK)
		status = fm_reader_alloc(reader, count[FM_TAG_TABLE], sizeof(FmTable),
								 &head->tables);
	if (status == FM_OK)
		status = fm_reader_alloc(reader, count[FM_TAG_LOG_PAGE],
								 sizeof(FmPageRef), &head->log_pages);
	while (status == FM_OK && fm_cursor_left(&cursor) > 0)
	{
		status = fm_element_take(reader, &cursor, &element);
		if (status != FM_OK)
			return status;
		if (element.tag == FM_TAG_IDENTITY)
			status = take_identity(reader, element.value, head);
		else if (element.tag == FM_TAG_TABLE)
			status = fm_table_take(reader, element.value,
								   &head->tables[head->ntables++]);
		else if (element.tag == FM_TAG_LOG_PAGE)
			status = fm_page_ref_take(reader, element.value,
									  &head->log_pages[head->nlog_pages++]);
	}
	for (i = 0; i < head->ntables && status == FM_OK; i++)
	{
		const FmTable *table = &head->tables[i];

		if (table->id == 0 || table->id >= head->next_table_id ||
			(i > 0 && fm_slice_cmp(table[-1].name, table->name) >= 0))
			status = fm_reader_fault(reader, table->name.data,
									 "tables are out of order");
	}
	head->nrecords = count[FM_TAG_RECORD];
	return status;
}

FmStatus
fm_head_encode(const FmHead *head, FmBuf *out)
{
	size_t		begin = out->len;
	FmStatus	status;
	uint32_t	i;

	fm_object_begin(out, FM_HEAD_MAGIC, HEAD_KIND, head->required_features,
					head->compatible_features);
	status = fm_head_state_put(out, head);
	for (i = 0; i < head->nlog_pages; i++)
		fm_page_ref_put(out, FM_TAG_LOG_PAGE, &head->log_pages[i]);
	for (i = 0; i < head->nrecords && status == FM_OK; i++)
		status = fm_record_put(out, &head->records[i]);
	fm_object_end(out, begin);
	if (out->failed)
		return FM_NO_MEMORY;
	if (status == FM_OK && out->len - begin > FM_HEAD_MAX_SIZE)
		return FM_TOO_LARGE;
	return status;
}

/* The log is one unbroken chain that ends with HEAD's commit. */
static FmStatus
check_log(const FmHeadReader *reader, const FmHead *head)
{
	uint64_t	version = 0;
	FmStatus	status;
	uint32_t	i;

	for (i = 0; i < head->nlog_pages; i++)
	{
		const FmPageRef *page = &head->log_pages[i];

		if (page->first_version == 0 ||
			page->last_version < page->first_version - 1 ||
			(i > 0 && page->first_version - 1 != version))
			return fm_reader_fault(reader, NULL,
								   "log pages do not follow one another");
		version = page->last_version;
	}
	if (head->nlog_pages == 0 && head->nrecords > 0)
		version = head->records[0].version - 1;
	status = fm_records_check(reader, head->records, head->nrecords, version,
							  NULL);
	if (status != FM_OK)
		return status;
	if (head->nrecords > 0)
		version = head->records[head->nrecords - 1].version;
	if (version != head->version ||
		(head->nrecords > 0 &&
		 !fm_id_eq(&head->records[head->nrecords - 1].commit_id,
				   &head->commit_id)))
		return fm_reader_fault(reader, NULL,
							   "the log does not end with HEAD's commit");
	return FM_OK;
}

FmStatus
fm_head_decode(FmSlice bytes, const FmAlloc *alloc, FmHead **result,
			   FmFault *fault)
{
	FmHeadReader reader = {bytes.data, alloc, fault};
	FmSlice		elements;
	FmHead	   *head;
	uint64_t	required;
	uint64_t	compatible;
	FmStatus	status;

	status = fm_object_check(&reader, bytes, FM_HEAD_MAGIC, HEAD_KIND,
							 &required, &compatible);
	if (status == FM_OK)
		status = fm_reader_alloc(&reader, 1, sizeof(FmHead), &head);
	if (status != FM_OK)
		return status;
	head->required_features = required;
	head->compatible_features = compatible;
	elements = fm_slice(bytes.data + FM_OBJECT_HEADER,
						bytes.len - FM_OBJECT_HEADER - FM_OBJECT_CHECKSUM);
	status = fm_head_state_take(&reader, elements, head);
	if (status == FM_OK)
		status = fm_records_take(&reader, elements, head->nrecords,
								 &head->records);
	if (status == FM_OK)
		status = check_log(&reader, head);
	if (status == FM_OK)
		*result = head;
	return status;
}

FmStatus
fm_head_identify(FmSlice bytes, FmHeadIdentity *identity, FmFault *fault)
{
	FmHeadReader reader = {bytes.data, NULL, fault};
	FmCursor	cursor;
	FmElement	element;
	FmHead		head;
	uint64_t	required;
	uint64_t	compatible;
	FmStatus	status;

	status = fm_object_check(&reader, bytes, FM_HEAD_MAGIC, HEAD_KIND,
							 &required, &compatible);
	if (status != FM_OK)
		return status;
	cursor = fm_cursor(fm_slice(bytes.data + FM_OBJECT_HEADER,
								bytes.len - FM_OBJECT_HEADER -
								FM_OBJECT_CHECKSUM));
	while (fm_cursor_left(&cursor) > 0)
	{
		status = fm_element_take(&reader, &cursor, &element);
		if (status != FM_OK)
			return status;
		if (element.tag != FM_TAG_IDENTITY)
			continue;
		status = take_identity(&reader, element.value, &head);
		if (status != FM_OK)
			return status;
		identity->store_id = head.store_id;
		identity->incarnation = head.incarnation;
		identity->version = head.version;
		identity->commit_id = head.commit_id;
		return FM_OK;
	}
	return fm_reader_fault(&reader, bytes.data, "identity is missing");
}

FmTable *
fm_head_table_by_name(const FmHead *head, FmSlice name)
{
	uint32_t	lo = 0;
	uint32_t	hi = head->ntables;

	while (lo < hi)
	{
		uint32_t	mid = lo + (hi - lo) / 2;
		int			c = fm_slice_cmp(head->tables[mid].name, name);

		if (c == 0)
			return &head->tables[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

FmTable *
fm_head_table_by_id(const FmHead *head, uint64_t id)
{
	uint32_t	i;

	for (i = 0; i < head->ntables; i++)
	{
		if (head->tables[i].id == id)
			return &head->tables[i];
	}
	return NULL;
}
