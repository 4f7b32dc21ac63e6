/*-------------------------------------------------------------------------
 *
 * log_codec.c
 *	  Records of the commit log.
 *
 *	  record: 1 version u64, commit id, previous commit id, store time i64,
 *			  writer | 2 members' commit ids | 3 change, repeated:
 *				1 table id u64, kinds u32, level u32, rows in u64, rows out u64
 *				2 descriptor added, repeated | 3 ids removed
 *			  | 4 ids of pages replaced | 5 time of collection i64
 *
 *-------------------------------------------------------------------------
 */
#include "format/head_coding.h"

enum
{
	TAG_RECORD_HEAD = 1,
	TAG_MEMBERS = 2,
	TAG_CHANGE = 3,
	TAG_REPLACED = 4,
	TAG_COLLECTED = 5
};

enum
{
	TAG_CHANGE_HEAD = 1,
	TAG_ADDED = 2,
	TAG_REMOVED = 3
};

#define RECORD_HEAD_BYTES 64
#define CHANGE_HEAD_BYTES 32

static void
put_ids(FmBuf *out, uint16_t tag, const FmId *ids, uint32_t n)
{
	size_t		begin;
	uint32_t	i;

	if (n == 0)
		return;
	begin = fm_element_begin(out, tag);
	for (i = 0; i < n; i++)
		fm_id_put(out, &ids[i]);
	fm_element_end(out, begin);
}

static FmStatus
put_change(FmBuf *out, const FmTableChange *change)
{
	size_t		begin = fm_element_begin(out, TAG_CHANGE);
	FmStatus	status = FM_OK;
	size_t		head;
	uint32_t	i;

	head = fm_element_begin(out, TAG_CHANGE_HEAD);
	fm_buf_put_u64(out, change->table_id);
	fm_buf_put_u32(out, change->kinds);
	fm_buf_put_u32(out, change->level);
	fm_buf_put_u64(out, change->rows_in);
	fm_buf_put_u64(out, change->rows_out);
	fm_element_end(out, head);
	for (i = 0; i < change->nadded && status == FM_OK; i++)
		status = fm_run_desc_put(out, TAG_ADDED, &change->added[i]);
	put_ids(out, TAG_REMOVED, change->removed, change->nremoved);
	fm_element_end(out, begin);
	return status;
}

FmStatus
fm_record_put(FmBuf *out, const FmCommitRecord *record)
{
	size_t		begin = fm_element_begin(out, FM_TAG_RECORD);
	FmStatus	status = FM_OK;
	size_t		head;
	uint32_t	i;

	head = fm_element_begin(out, TAG_RECORD_HEAD);
	fm_buf_put_u64(out, record->version);
	fm_id_put(out, &record->commit_id);
	fm_id_put(out, &record->previous);
	fm_buf_put_u64(out, (uint64_t) record->store_time);
	fm_id_put(out, &record->writer);
	fm_element_end(out, head);
	put_ids(out, TAG_MEMBERS, record->members, record->nmembers);
	for (i = 0; i < record->nchanges && status == FM_OK; i++)
		status = put_change(out, &record->changes[i]);
	put_ids(out, TAG_REPLACED, record->replaced, record->nreplaced);
	if (record->collected != 0)
	{
		head = fm_element_begin(out, TAG_COLLECTED);
		fm_buf_put_u64(out, (uint64_t) record->collected);
		fm_element_end(out, head);
	}
	fm_element_end(out, begin);
	return status;
}

static FmStatus
take_ids(const FmHeadReader *reader, FmSlice value, FmId **ids, uint32_t *n)
{
	FmCursor	cursor = fm_cursor(value);
	FmStatus	status;
	uint32_t	i;

	if (*n > 0 || value.len == 0 || value.len % sizeof(FmId) != 0)
		return fm_reader_fault(reader, value.data,
							   "list of ids has a wrong length");
	*n = (uint32_t) (value.len / sizeof(FmId));
	status = fm_reader_alloc(reader, *n, sizeof(FmId), ids);
	for (i = 0; i < *n && status == FM_OK; i++)
		(*ids)[i] = fm_id_take(&cursor);
	return status;
}

static FmStatus
take_change(const FmHeadReader *reader, FmSlice value, FmTableChange *change)
{
	static const uint32_t min[FM_MAX_TAG] = {
		[TAG_CHANGE_HEAD] = CHANGE_HEAD_BYTES,
		[TAG_ADDED] = FM_DESC_FIXED
	};
	uint32_t	count[FM_MAX_TAG];
	FmCursor	cursor = fm_cursor(value);
	FmCursor	head;
	FmElement	element;
	FmStatus	status;

	status = fm_element_count(reader, value, min, count);
	if (status == FM_OK && count[TAG_CHANGE_HEAD] != 1)
		status = fm_reader_fault(reader, value.data,
								 "change lacks a part, or has one twice");
	if (status == FM_OK)
		status = fm_reader_alloc(reader, count[TAG_ADDED], sizeof(FmRunDesc),
								 &change->added);
	while (status == FM_OK && fm_cursor_left(&cursor) > 0)
	{
		status = fm_element_take(reader, &cursor, &element);
		if (status != FM_OK)
			break;
		switch (element.tag)
		{
			case TAG_CHANGE_HEAD:
				head = fm_cursor(element.value);
				change->table_id = fm_take_u64(&head);
				change->kinds = fm_take_u32(&head);
				change->level = fm_take_u32(&head);
				change->rows_in = fm_take_u64(&head);
				change->rows_out = fm_take_u64(&head);
				if (fm_cursor_left(&head) != 0 ||
					change->level >= FM_MAX_LEVELS)
					status = fm_reader_fault(reader, element.value.data,
											 "change is not valid");
				break;
			case TAG_ADDED:
				status = fm_run_desc_take(reader, element.value,
										  &change->added[change->nadded++]);
				break;
			case TAG_REMOVED:
				status = take_ids(reader, element.value, &change->removed,
								  &change->nremoved);
				break;
		}
	}
	return status;
}

static FmStatus
take_record(const FmHeadReader *reader, FmSlice value, FmCommitRecord *record)
{
	static const uint32_t min[FM_MAX_TAG] = {
		[TAG_RECORD_HEAD] = RECORD_HEAD_BYTES,
		[TAG_CHANGE] = FM_ELEMENT_HEADER + CHANGE_HEAD_BYTES,
		[TAG_COLLECTED] = sizeof(uint64_t)
	};
	uint32_t	count[FM_MAX_TAG];
	FmCursor	cursor = fm_cursor(value);
	FmCursor	head;
	FmElement	element;
	FmStatus	status;

	status = fm_element_count(reader, value, min, count);
	if (status == FM_OK && count[TAG_RECORD_HEAD] != 1)
		status = fm_reader_fault(reader, value.data,
								 "record lacks a part, or has one twice");
	if (status == FM_OK)
		status = fm_reader_alloc(reader, count[TAG_CHANGE],
								 sizeof(FmTableChange), &record->changes);
	while (status == FM_OK && fm_cursor_left(&cursor) > 0)
	{
		status = fm_element_take(reader, &cursor, &element);
		if (status != FM_OK)
			break;
		switch (element.tag)
		{
			case TAG_RECORD_HEAD:
				head = fm_cursor(element.value);
				record->version = fm_take_u64(&head);
				record->commit_id = fm_id_take(&head);
				record->previous = fm_id_take(&head);
				record->store_time = (int64_t) fm_take_u64(&head);
				record->writer = fm_id_take(&head);
				if (fm_cursor_left(&head) != 0)
					status = fm_reader_fault(reader, element.value.data,
											 "record has a wrong length");
				break;
			case TAG_MEMBERS:
				status = take_ids(reader, element.value, &record->members,
								  &record->nmembers);
				break;
			case TAG_CHANGE:
				status = take_change(reader, element.value,
									 &record->changes[record->nchanges++]);
				break;
			case TAG_REPLACED:
				status = take_ids(reader, element.value, &record->replaced,
								  &record->nreplaced);
				break;
			case TAG_COLLECTED:
				head = fm_cursor(element.value);
				record->collected = (int64_t) fm_take_u64(&head);
				if (fm_cursor_left(&head) != 0)
					status = fm_reader_fault(reader, element.value.data,
											 "time of a collection has a wrong length");
				break;
		}
	}
	return status;
}

FmStatus
fm_records_take(const FmHeadReader *reader, FmSlice container, uint32_t n,
				FmCommitRecord **records)
{
	FmCursor	cursor = fm_cursor(container);
	FmElement	element;
	FmStatus	status;
	uint32_t	i = 0;

	status = fm_reader_alloc(reader, n, sizeof(FmCommitRecord), records);
	while (status == FM_OK && fm_cursor_left(&cursor) > 0)
	{
		status = fm_element_take(reader, &cursor, &element);
		if (status == FM_OK && element.tag == FM_TAG_RECORD)
			status = take_record(reader, element.value, &(*records)[i++]);
	}
	return status;
}

FmStatus
fm_records_check(const FmHeadReader *reader, const FmCommitRecord *records,
				 uint32_t n, uint64_t version, const FmId *commit_id)
{
	uint32_t	i;

	for (i = 0; i < n; i++)
	{
		if (records[i].version - 1 != version ||
			(commit_id != NULL && !fm_id_eq(&records[i].previous, commit_id)))
			return fm_reader_fault(reader, NULL,
								   "records do not follow one another");
		if (i > 0 && records[i].store_time < records[i - 1].store_time)
			return fm_reader_fault(reader, NULL,
								   "times of records are out of order");
		version = records[i].version;
		commit_id = &records[i].commit_id;
	}
	return FM_OK;
}
