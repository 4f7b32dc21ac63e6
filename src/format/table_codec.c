/*-------------------------------------------------------------------------
 *
 * table_codec.c
 *	  Entries of tables: name, columns, key, settings, levels.
 *
 *	  table: 1 id u64 | 2 name | 3 page reference, or:
 *			 4 settings | 5 column, repeated | 6 key column, repeated |
 *			 7 level, repeated, L0 first: 1 descriptor and 2 page reference,
 *			 both repeated | 8 character set | 9 declaration, repeated, each
 *			 after its column
 *
 *-------------------------------------------------------------------------
 */
#include "format/head_coding.h"

enum
{
	TAG_ID = 1,
	TAG_NAME = 2,
	TAG_PAGE = 3,
	TAG_SETTINGS = 4,
	TAG_COLUMN = 5,
	TAG_KEY = 6,
	TAG_LEVEL = 7,
	TAG_CHARSET = 8,
	TAG_DECLARED = 9
};

enum
{
	TAG_LEVEL_RUN = 1,
	TAG_LEVEL_PAGE = 2
};

#define SETTINGS_BYTES 16
#define COLUMN_FIXED 12			/* bytes before its four strings */
#define DECLARED_FIXED 4		/* bytes before its two strings */
#define KEY_BYTES 8

static bool
name_is_valid(FmSlice name, bool may_be_empty)
{
	if (name.len == 0)
		return may_be_empty;
	return name.len <= FM_NAME_MAX && memchr(name.data, 0, name.len) == NULL;
}

static void
put_string(FmBuf *out, FmSlice s)
{
	fm_buf_put_u16(out, (uint16_t) s.len);
	fm_buf_put_slice(out, s);
}

static FmStatus
put_column(FmBuf *out, const FmColumn *column)
{
	size_t		begin;

	if (!name_is_valid(column->name, false) ||
		!name_is_valid(column->type_name, false) ||
		!name_is_valid(column->collation, true) ||
		!name_is_valid(column->collation_version, true) ||
		!name_is_valid(column->declared_type, true) ||
		!name_is_valid(column->declared_collation, true))
		return FM_INVALID;
	begin = fm_element_begin(out, TAG_COLUMN);
	fm_buf_put_u32(out, column->id);
	fm_buf_put_u32(out, (uint32_t) column->typmod);
	fm_buf_put_u8(out, column->flags);
	fm_buf_put_u8(out, (uint8_t) column->row_kind);
	fm_buf_put_u16(out, column->row_width);
	put_string(out, column->name);
	put_string(out, column->type_name);
	put_string(out, column->collation);
	put_string(out, column->collation_version);
	fm_element_end(out, begin);
	if (column->declared_type.len > 0 || column->declared_collation.len > 0)
	{
		begin = fm_element_begin(out, TAG_DECLARED);
		fm_buf_put_u32(out, column->id);
		put_string(out, column->declared_type);
		put_string(out, column->declared_collation);
		fm_element_end(out, begin);
	}
	return FM_OK;
}

static FmStatus
put_level(FmBuf *out, const FmLevel *level)
{
	size_t		begin = fm_element_begin(out, TAG_LEVEL);
	FmStatus	status = FM_OK;
	uint32_t	i;

	for (i = 0; i < level->ninline && status == FM_OK; i++)
		status = fm_run_desc_put(out, TAG_LEVEL_RUN, &level->runs[i]);
	for (i = 0; i < level->npages; i++)
		fm_page_ref_put(out, TAG_LEVEL_PAGE, &level->pages[i]);
	fm_element_end(out, begin);
	return status;
}

static FmStatus
put_definition(FmBuf *out, const FmTable *table)
{
	const FmBlockOptions *block = &table->block;
	FmStatus	status = FM_OK;
	size_t		begin;
	uint32_t	i;

	if (table->ncolumns > FM_MAX_COLUMNS || table->nkeys > FM_MAX_KEY_COLUMNS ||
		table->nlevels > FM_MAX_LEVELS)
		return FM_INVALID;
	begin = fm_element_begin(out, TAG_SETTINGS);
	fm_buf_put_u16(out, table->key_encoding);
	fm_buf_put_u16(out, table->row_encoding);
	fm_buf_put_u32(out, table->next_column_id);
	fm_buf_put_u32(out, block->block_size);
	fm_buf_put_u8(out, block->codec);
	fm_buf_put_u8(out, block->zstd_level);
	fm_buf_put_u8(out, block->filter_kind);
	fm_buf_put_u8(out, block->filter_bits);
	fm_element_end(out, begin);
	if (table->charset.len > 0)
		fm_element_put(out, TAG_CHARSET, table->charset);
	for (i = 0; i < table->ncolumns && status == FM_OK; i++)
		status = put_column(out, &table->columns[i]);
	for (i = 0; i < table->nkeys; i++)
	{
		begin = fm_element_begin(out, TAG_KEY);
		fm_buf_put_u32(out, table->keys[i].column_id);
		fm_buf_put_u8(out, (uint8_t) table->keys[i].type);
		fm_buf_put_u8(out, table->keys[i].desc ? 1 : 0);
		fm_buf_put_u16(out, 0);
		fm_element_end(out, begin);
	}
	for (i = 0; i < table->nlevels && status == FM_OK; i++)
		status = put_level(out, &table->levels[i]);
	return status;
}

FmStatus
fm_table_put(FmBuf *out, const FmTable *table, bool whole)
{
	FmStatus	status = FM_OK;
	size_t		begin;
	size_t		id;

	if (!name_is_valid(table->name, false))
		return FM_INVALID;
	begin = fm_element_begin(out, FM_TAG_TABLE);
	id = fm_element_begin(out, TAG_ID);
	fm_buf_put_u64(out, table->id);
	fm_element_end(out, id);
	fm_element_put(out, TAG_NAME, table->name);
	if (table->in_page && !whole)
		fm_page_ref_put(out, TAG_PAGE, &table->page);
	else
		status = put_definition(out, table);
	fm_element_end(out, begin);
	return status;
}

static FmSlice
take_string(FmCursor *cursor)
{
	size_t		len = fm_take_u16(cursor);

	return fm_take(cursor, len);
}

static FmStatus
take_column(const FmHeadReader *reader, FmSlice value, FmColumn *column)
{
	FmCursor	cursor = fm_cursor(value);
	uint32_t	kind;

	column->id = fm_take_u32(&cursor);
	column->typmod = (int32_t) fm_take_u32(&cursor);
	column->flags = fm_take_u8(&cursor);
	kind = fm_take_u8(&cursor);
	column->row_width = fm_take_u16(&cursor);
	column->name = take_string(&cursor);
	column->type_name = take_string(&cursor);
	column->collation = take_string(&cursor);
	column->collation_version = take_string(&cursor);
	if (cursor.failed || fm_cursor_left(&cursor) != 0)
		return fm_reader_fault(reader, value.data,
							   "column has a wrong length");
	if (!name_is_valid(column->name, false) ||
		!name_is_valid(column->type_name, false) ||
		!name_is_valid(column->collation, true) ||
		!name_is_valid(column->collation_version, true))
		return fm_reader_fault(reader, value.data,
							   "name in a column is not valid");
	if (kind > FM_ROW_OUTPUT ||
		(kind == FM_ROW_FIXED) != (column->row_width > 0))
		return fm_reader_fault(reader, value.data,
							   "column is held in no known way");
	column->row_kind = (FmRowKind) kind;
	return FM_OK;
}

static FmStatus
take_declared(const FmHeadReader *reader, FmSlice value, FmTable *table)
{
	FmCursor	cursor = fm_cursor(value);
	uint32_t	id = fm_take_u32(&cursor);
	FmSlice		type = take_string(&cursor);
	FmSlice		collation = take_string(&cursor);
	FmColumn   *column;

	if (cursor.failed || fm_cursor_left(&cursor) != 0 ||
		!name_is_valid(type, true) || !name_is_valid(collation, true))
		return fm_reader_fault(reader, value.data,
							   "declaration of a column is not valid");
	column = table->ncolumns > 0 ? &table->columns[table->ncolumns - 1] : NULL;
	if (column == NULL || column->id != id)
		return fm_reader_fault(reader, value.data,
							   "declaration does not follow its column");
	column->declared_type = type;
	column->declared_collation = collation;
	return FM_OK;
}

static FmStatus
take_key(const FmHeadReader *reader, FmSlice value, const FmTable *table,
		 FmKeyColumn *key)
{
	FmCursor	cursor = fm_cursor(value);
	uint32_t	type;
	uint32_t	desc;
	uint32_t	zero;
	uint32_t	i;

	key->column_id = fm_take_u32(&cursor);
	type = fm_take_u8(&cursor);
	desc = fm_take_u8(&cursor);
	zero = fm_take_u16(&cursor);
	if (cursor.failed || fm_cursor_left(&cursor) != 0 || zero != 0 ||
		desc > 1 || type < FM_KEY_BOOL || type > FM_KEY_ENUM)
		return fm_reader_fault(reader, value.data, "key column is not valid");
	key->type = (FmKeyType) type;
	key->desc = desc == 1;
	for (i = 0; i < table->ncolumns; i++)
	{
		if (table->columns[i].id == key->column_id &&
			(table->columns[i].flags & FM_COLUMN_DROPPED) == 0)
			return FM_OK;
	}
	return fm_reader_fault(reader, value.data, "key column does not exist");
}

/* The inline runs of a level are in their order. */
static const char *
level_problem(const FmLevel *level, bool first)
{
	uint32_t	i;

	if (!first && level->ninline > 0 && level->npages > 0)
		return "a level is both inline and in pages";
	for (i = 1; i < level->ninline; i++)
	{
		const FmRunDesc *a = &level->runs[i - 1];
		const FmRunDesc *b = &level->runs[i];

		if (first ? a->max_version < b->max_version ||
			(a->max_version == b->max_version && a->sequence < b->sequence) :
			fm_slice_cmp(a->upper, b->lower) >= 0)
			return "runs of a level are out of order";
	}
	return NULL;
}

static FmStatus
take_level(const FmHeadReader *reader, FmSlice value, bool first,
		   FmLevel *level)
{
	static const uint32_t min[FM_MAX_TAG] = {
		[TAG_LEVEL_RUN] = FM_DESC_FIXED,
		[TAG_LEVEL_PAGE] = FM_PAGE_REF_BYTES
	};
	uint32_t	count[FM_MAX_TAG];
	FmCursor	cursor = fm_cursor(value);
	FmElement	element;
	const char *problem;
	FmStatus	status;
	uint32_t	nruns = 0;
	uint32_t	npages = 0;

	status = fm_element_count(reader, value, min, count);
	if (status == FM_OK)
		status = fm_reader_alloc(reader, count[TAG_LEVEL_RUN],
								 sizeof(FmRunDesc), &level->runs);
	if (status == FM_OK)
		status = fm_reader_alloc(reader, count[TAG_LEVEL_PAGE],
								 sizeof(FmPageRef), &level->pages);
	while (status == FM_OK && fm_cursor_left(&cursor) > 0)
	{
		status = fm_element_take(reader, &cursor, &element);
		if (status != FM_OK)
			return status;
		if (element.tag == TAG_LEVEL_RUN)
			status = fm_run_desc_take(reader, element.value,
									  &level->runs[nruns++]);
		else if (element.tag == TAG_LEVEL_PAGE)
		{
			FmPageRef  *page = &level->pages[npages++];

			status = fm_page_ref_take(reader, element.value, page);
			if (status == FM_OK &&
				(page->nruns == 0 || page->nruns > FM_LEVEL_PAGE_MAX))
				status = fm_reader_fault(reader, element.value.data,
										 "level page has a wrong number of runs");
			level->nruns += page->nruns;
		}
	}
	if (status != FM_OK)
		return status;
	level->ninline = nruns;
	level->npages = npages;
	level->nruns += nruns;
	level->resolved = npages == 0;
	problem = level_problem(level, first);
	if (problem != NULL)
		return fm_reader_fault(reader, value.data, problem);
	return FM_OK;
}

static FmStatus
take_settings(const FmHeadReader *reader, FmSlice value, FmTable *table)
{
	FmCursor	cursor = fm_cursor(value);
	FmBlockOptions *block = &table->block;

	if (value.len != SETTINGS_BYTES)
		return fm_reader_fault(reader, value.data,
							   "settings have a wrong length");
	table->key_encoding = fm_take_u16(&cursor);
	table->row_encoding = fm_take_u16(&cursor);
	table->next_column_id = fm_take_u32(&cursor);
	block->block_size = fm_take_u32(&cursor);
	block->codec = fm_take_u8(&cursor);
	block->zstd_level = fm_take_u8(&cursor);
	block->filter_kind = fm_take_u8(&cursor);
	block->filter_bits = fm_take_u8(&cursor);
	if (table->key_encoding != 1 || table->row_encoding != 1)
		return fm_fault(reader->fault, FM_UNSUPPORTED,
						"a table's encoding is not known here",
						(uint64_t) (value.data - reader->base));
	if (block->block_size < FM_MIN_BLOCK_SIZE ||
		block->block_size > FM_MAX_BLOCK_SIZE ||
		block->codec > FM_CODEC_ZSTD ||
		(block->codec == FM_CODEC_ZSTD &&
		 (block->zstd_level < 1 || block->zstd_level > FM_ZSTD_MAX_LEVEL)))
		return fm_reader_fault(reader, value.data, "settings are not valid");
	return FM_OK;
}

/* What holds between the parts of a whole entry. */
static const char *
table_problem(const FmTable *table)
{
	uint32_t	i;

	if (table->ncolumns == 0 || table->ncolumns > FM_MAX_COLUMNS)
		return "table has a wrong number of columns";
	for (i = 0; i < table->ncolumns; i++)
	{
		if (table->columns[i].id <= (i == 0 ? 0 : table->columns[i - 1].id) ||
			table->columns[i].id >= table->next_column_id)
			return "column ids are out of order";
	}
	return NULL;
}

static FmStatus
take_part(const FmHeadReader *reader, const FmElement *element, FmTable *table)
{
	switch (element->tag)
	{
		case TAG_ID:
			if (element->value.len != 8)
				return fm_reader_fault(reader, element->value.data,
									   "table id has a wrong length");
			table->id = fm_get_u64(element->value.data);
			return FM_OK;
		case TAG_NAME:
			table->name = element->value;
			if (!name_is_valid(table->name, false))
				return fm_reader_fault(reader, element->value.data,
									   "name of a table is not valid");
			return FM_OK;
		case TAG_PAGE:
			table->in_page = true;
			return fm_page_ref_take(reader, element->value, &table->page);
		case TAG_SETTINGS:
			table->resolved = true;
			return take_settings(reader, element->value, table);
		case TAG_CHARSET:
			table->charset = element->value;
			if (!name_is_valid(table->charset, false))
				return fm_reader_fault(reader, element->value.data,
									   "character set of a table is not valid");
			return FM_OK;
		case TAG_COLUMN:
			return take_column(reader, element->value,
							   &table->columns[table->ncolumns++]);
		case TAG_DECLARED:
			return take_declared(reader, element->value, table);
		case TAG_KEY:
			return take_key(reader, element->value, table,
							&table->keys[table->nkeys++]);
		case TAG_LEVEL:
			table->nlevels++;
			return take_level(reader, element->value, table->nlevels == 1,
							  &table->levels[table->nlevels - 1]);
	}
	return FM_OK;
}

FmStatus
fm_table_take(const FmHeadReader *reader, FmSlice value, FmTable *table)
{
	static const uint32_t min[FM_MAX_TAG] = {
		[TAG_COLUMN] = COLUMN_FIXED + 4 * 2,
		[TAG_KEY] = KEY_BYTES,
		[TAG_DECLARED] = DECLARED_FIXED + 2 * 2
	};
	uint32_t	count[FM_MAX_TAG];
	FmCursor	cursor = fm_cursor(value);
	FmElement	element;
	const char *problem;
	FmStatus	status;

	memset(table, 0, sizeof(*table));
	status = fm_element_count(reader, value, min, count);
	if (status != FM_OK)
		return status;
	if (count[TAG_ID] != 1 || count[TAG_NAME] != 1 ||
		count[TAG_PAGE] + count[TAG_SETTINGS] != 1 ||
		count[TAG_CHARSET] > count[TAG_SETTINGS])
		return fm_reader_fault(reader, value.data,
							   "table lacks a part, or has one twice");
	if (count[TAG_PAGE] == 1 &&
		count[TAG_COLUMN] + count[TAG_DECLARED] + count[TAG_KEY] +
		count[TAG_LEVEL] > 0)
		return fm_reader_fault(reader, value.data,
							   "table is both inline and in a page");
	if (count[TAG_SETTINGS] == 1 &&
		(count[TAG_KEY] == 0 || count[TAG_KEY] > FM_MAX_KEY_COLUMNS ||
		 count[TAG_COLUMN] > FM_MAX_COLUMNS ||
		 count[TAG_LEVEL] > FM_MAX_LEVELS))
		return fm_reader_fault(reader, value.data,
							   "table has too many parts of a kind");
	status = fm_reader_alloc(reader, count[TAG_COLUMN], sizeof(FmColumn),
							 &table->columns);
	if (status == FM_OK)
		status = fm_reader_alloc(reader, count[TAG_KEY], sizeof(FmKeyColumn),
								 &table->keys);
	while (status == FM_OK && fm_cursor_left(&cursor) > 0)
	{
		status = fm_element_take(reader, &cursor, &element);
		if (status == FM_OK)
			status = take_part(reader, &element, table);
	}
	if (status == FM_OK && table->resolved &&
		(problem = table_problem(table)) != NULL)
		status = fm_reader_fault(reader, value.data, problem);
	return status;
}
