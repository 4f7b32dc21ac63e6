/*-------------------------------------------------------------------------
 *
 * key_list.c
 *	  Ascending keys that wait to become a key table.
 *
 *-------------------------------------------------------------------------
 */
#include "format/key_list.h"

void
fm_key_list_init(FmKeyList *list, const FmAlloc *alloc)
{
	fm_buf_init(&list->bytes, alloc);
	fm_buf_init(&list->ends, alloc);
	fm_buf_init(&list->slices, alloc);
	fm_key_list_reset(list);
}

void
fm_key_list_free(FmKeyList *list)
{
	fm_buf_free(&list->bytes);
	fm_buf_free(&list->ends);
	fm_buf_free(&list->slices);
	fm_key_list_reset(list);
}

void
fm_key_list_reset(FmKeyList *list)
{
	list->count = 0;
	list->prefix_len = 0;
	list->same_len = true;
	fm_buf_reset(&list->bytes);
	fm_buf_reset(&list->ends);
}

FmSlice
fm_key_list_get(const FmKeyList *list, uint32_t i)
{
	const size_t *ends = (const size_t *) list->ends.data;
	size_t		start = i == 0 ? 0 : ends[i - 1];

	return fm_slice(list->bytes.data + start, ends[i] - start);
}

/* Length of the prefix that all keys share if this one is added. */
static size_t
prefix_with(const FmKeyList *list, FmSlice key)
{
	if (list->count == 0)
		return key.len;
	return fm_slice_common(fm_slice(list->bytes.data, list->prefix_len), key);
}

static bool
same_len_with(const FmKeyList *list, FmSlice key)
{
	return list->same_len &&
		(list->count == 0 || fm_key_list_get(list, 0).len == key.len);
}

void
fm_key_list_add(FmKeyList *list, FmSlice key)
{
	size_t		end = list->bytes.len + key.len;

	list->prefix_len = prefix_with(list, key);
	list->same_len = same_len_with(list, key);
	fm_buf_put_slice(&list->bytes, key);
	fm_buf_put(&list->ends, &end, sizeof(end));
	if (!list->bytes.failed && !list->ends.failed)
		list->count++;
}

size_t
fm_key_list_size(const FmKeyList *list)
{
	return fm_key_table_size(list->count, list->prefix_len, list->bytes.len,
							 list->same_len);
}

size_t
fm_key_list_size_with(const FmKeyList *list, FmSlice key)
{
	return fm_key_table_size(list->count + 1, prefix_with(list, key),
							 list->bytes.len + key.len,
							 same_len_with(list, key));
}

FmStatus
fm_key_list_write(FmKeyList *list, FmBuf *out)
{
	uint32_t	i;

	if (list->bytes.failed || list->ends.failed)
		return FM_NO_MEMORY;
	fm_buf_reset(&list->slices);
	for (i = 0; i < list->count; i++)
	{
		FmSlice		key = fm_key_list_get(list, i);

		fm_buf_put(&list->slices, &key, sizeof(key));
	}
	if (list->slices.failed)
		return FM_NO_MEMORY;
	return fm_key_table_write((const FmSlice *) list->slices.data,
							  list->count, out);
}
