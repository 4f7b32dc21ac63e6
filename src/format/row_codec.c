/*-------------------------------------------------------------------------
 *
 * row_codec.c
 *	  Rows: layout, encoder and check.
 *
 * The grammar is in the header and in docs/format.md.  No byte of a row is
 * free: the check refuses padding, unused bits and bytes of NULLs that are
 * not zero.
 *
 *-------------------------------------------------------------------------
 */
#include "format/row_codec.h"

#define SHORT_DATA_MAX 126		/* bytes of data under a 1-byte header */

static inline uint32_t
align_up(uint32_t n, uint32_t align)
{
	return (n + align - 1) & ~(align - 1);
}

FmStatus
fm_row_layout_create(const FmRowColumn *columns, uint32_t natts,
					 const FmAlloc *alloc, FmRowLayout **layout)
{
	size_t		size = sizeof(FmRowLayout);
	size_t		fixed = 0;
	FmRowLayout *l;
	uint32_t	i;

	*layout = NULL;
	if (natts > FM_MAX_ROW_ATTS)
		return FM_TOO_LARGE;
	for (i = 0; i < natts; i++)
	{
		fixed += columns[i].kind == FM_ROW_FIXED ? columns[i].width : 0;
		if (columns[i].kind < FM_ROW_FIXED || columns[i].kind > FM_ROW_OUTPUT)
			return FM_INVALID;
		if (columns[i].kind == FM_ROW_FIXED && columns[i].width == 0)
			return FM_INVALID;
	}
	if (fixed > FM_MAX_ROW_SIZE)
		return FM_TOO_LARGE;
	size += natts * sizeof(FmRowColumn);
	size += ((size_t) natts + 1) * 2 * sizeof(uint32_t);
	l = fm_alloc(alloc, size);
	if (l == NULL)
		return FM_NO_MEMORY;
	l->natts = natts;
	l->columns = (FmRowColumn *) (l + 1);
	l->fixed_offset = (uint32_t *) (l->columns + natts);
	l->var_index = l->fixed_offset + natts + 1;
	l->fixed_size = 0;
	l->nvar = 0;
	for (i = 0; i < natts; i++)
	{
		l->columns[i] = columns[i];
		l->fixed_offset[i] = l->fixed_size;
		l->var_index[i] = l->nvar;
		if (columns[i].kind == FM_ROW_FIXED)
			l->fixed_size += columns[i].width;
		else
			l->nvar++;
	}
	l->fixed_offset[natts] = l->fixed_size;
	l->var_index[natts] = l->nvar;
	*layout = l;
	return FM_OK;
}

/* Where a value of len data bytes ends if the one before ends at pos. */
static inline size_t
value_end(FmRowKind kind, size_t pos, size_t len)
{
	if (!fm_row_kind_is_varlena(kind))
		return pos + len;
	if (len <= SHORT_DATA_MAX)
		return pos + 1 + len;
	return ((pos + 3) & ~(size_t) 3) + 4 + len;
}

/* Writes padding and header at pos; returns where the data begin. */
static size_t
put_varlena_header(uint8_t *row, size_t pos, size_t len)
{
	if (len <= SHORT_DATA_MAX)
	{
		row[pos] = (uint8_t) ((len + 1) << 1 | 1);
		return pos + 1;
	}
	while ((pos & 3) != 0)
		row[pos++] = 0;
	fm_put_u32(row + pos, (uint32_t) (len + 4) << 2);
	return pos + 4;
}

FmStatus
fm_row_encode(const FmRowLayout *layout, const FmRowValue *values, FmBuf *out)
{
	uint32_t	natts = layout->natts;
	uint32_t	fixed = 4 + (natts + 7) / 8;
	uint32_t	ends = fixed + layout->fixed_size;
	size_t		data = 0;
	size_t		pos;
	size_t		total;
	uint32_t	width;
	uint8_t    *row;
	uint32_t	i;

	/* Offsets are narrow if the row that they make then allows it. */
	for (width = 2;; width = 4)
	{
		pos = align_up(ends, width) + layout->nvar * width;
		data = pos;
		for (i = 0; i < natts; i++)
		{
			if (values[i].is_null || layout->columns[i].kind == FM_ROW_FIXED)
				continue;
			if (values[i].bytes.len > FM_MAX_ROW_SIZE)
				return FM_TOO_LARGE;
			data = value_end(layout->columns[i].kind, data,
							 values[i].bytes.len);
			if (data > FM_MAX_ROW_SIZE)
				return FM_TOO_LARGE;
		}
		if (width == 4 || data <= UINT16_MAX)
			break;
	}
	total = (data + FM_ROW_ALIGN - 1) & ~(size_t) (FM_ROW_ALIGN - 1);
	if (total > FM_MAX_ROW_SIZE)
		return FM_TOO_LARGE;
	if (!fm_buf_reserve(out, total))
		return FM_NO_MEMORY;

	row = out->data + out->len;
	memset(row, 0, pos);
	fm_put_u16(row, (uint16_t) natts);
	row[2] = width == 4 ? FM_ROW_WIDE : 0;
	ends = align_up(ends, width);
	for (i = 0; i < natts; i++)
	{
		const FmRowColumn *column = &layout->columns[i];
		FmSlice		v = values[i].bytes;
		uint8_t    *end = row + ends + layout->var_index[i] * width;

		if (values[i].is_null)
			row[4 + i / 8] |= (uint8_t) (1 << (i & 7));
		else if (column->kind == FM_ROW_FIXED)
		{
			if (v.len != column->width)
				return FM_INVALID;
			memcpy(row + fixed + layout->fixed_offset[i], v.data, v.len);
		}
		else
		{
			if (fm_row_kind_is_varlena(column->kind))
				pos = put_varlena_header(row, pos, v.len);
			if (v.len > 0)
				memcpy(row + pos, v.data, v.len);
			pos += v.len;
		}
		if (column->kind == FM_ROW_FIXED)
			continue;
		if (width == 4)
			fm_put_u32(end, (uint32_t) pos);
		else
			fm_put_u16(end, (uint16_t) pos);
	}
	while (pos < total)
		row[pos++] = 0;
	out->len += total;
	return FM_OK;
}

static bool
all_zero(const uint8_t *p, size_t n)
{
	size_t		i;

	for (i = 0; i < n; i++)
		if (p[i] != 0)
			return false;
	return true;
}

/* Checks one varlena slot that is not empty; start and end are in the row. */
static const char *
varlena_fault(const uint8_t *base, uint32_t start, uint32_t end)
{
	uint32_t	aligned = align_up(start, 4);

	if ((base[start] & 1) != 0)
	{
		if (base[start] == 1)
			return "external value in a row";
		if (base[start] >> 1 != (int) (end - start))
			return "length of a value does not match its place in the row";
		return NULL;
	}
	if (aligned > end || end - aligned < 4 ||
		!all_zero(base + start, aligned - start))
		return "misplaced value in a row";
	if ((base[aligned] & 3) != 0)
		return "compressed value in a row";
	if (fm_get_u32(base + aligned) >> 2 != end - aligned)
		return "length of a value does not match its place in the row";
	if (end - aligned - 4 <= SHORT_DATA_MAX)
		return "long header of a short value in a row";
	return NULL;
}

FmStatus
fm_row_check(const FmRowLayout *layout, FmSlice row, FmFault *fault)
{
	const uint8_t *base = row.data;
	const uint8_t *nulls;
	uint32_t	natts;
	uint32_t	width;
	uint32_t	bitmap;
	uint32_t	fixed_end;
	uint32_t	pos;
	uint32_t	header;
	FmRow		r;
	uint32_t	i;

	if (row.len < 4 || row.len % FM_ROW_ALIGN != 0 ||
		row.len > FM_MAX_ROW_SIZE)
		return fm_fault(fault, FM_CORRUPTION, "impossible length of a row", 0);
	natts = fm_get_u16(base);
	if (natts > layout->natts)
		return fm_fault(fault, FM_CORRUPTION,
						"row has more columns than its table", 0);
	if ((base[2] & ~FM_ROW_WIDE) != 0 || base[3] != 0)
		return fm_fault(fault, FM_CORRUPTION, "undefined flag of a row", 2);

	width = (base[2] & FM_ROW_WIDE) != 0 ? 4 : 2;
	bitmap = (natts + 7) / 8;
	fixed_end = 4 + bitmap + layout->fixed_offset[natts];
	header = align_up(fixed_end, width) + layout->var_index[natts] * width;
	if (header > row.len)
		return fm_fault(fault, FM_CORRUPTION, "row is cut", 0);

	fm_row_open(layout, row, &r);
	nulls = r.nulls;
	if ((natts & 7) != 0 && nulls[bitmap - 1] >> (natts & 7) != 0)
		return fm_fault(fault, FM_CORRUPTION, "stray null bit in a row", 4);
	if (!all_zero(base + fixed_end, (size_t) (r.ends - base) - fixed_end))
		return fm_fault(fault, FM_CORRUPTION, "padding is not zero",
						fixed_end);

	pos = r.var_start;
	for (i = 0; i < natts; i++)
	{
		const FmRowColumn *column = &layout->columns[i];
		bool		is_null = (nulls[i >> 3] >> (i & 7) & 1) != 0;
		const char *what = NULL;
		uint32_t	end;

		if (column->kind == FM_ROW_FIXED)
		{
			if (is_null && !all_zero(r.fixed + layout->fixed_offset[i],
									 column->width))
				return fm_fault(fault, FM_CORRUPTION,
								"null value with bytes in a row",
								4 + bitmap + layout->fixed_offset[i]);
			continue;
		}
		end = fm_row_end(&r, layout->var_index[i]);
		if (end < pos || end > row.len)
			what = "value outside its row";
		else if (is_null)
			what = end == pos ? NULL : "null value with bytes in a row";
		else if (!fm_row_kind_is_varlena(column->kind))
			what = NULL;
		else if (end == pos)
			what = "value without a header in a row";
		else
			what = varlena_fault(base, pos, end);
		if (what != NULL)
			return fm_fault(fault, FM_CORRUPTION, what, pos);
		pos = end;
	}
	if (row.len - pos >= FM_ROW_ALIGN || !all_zero(base + pos, row.len - pos))
		return fm_fault(fault, FM_CORRUPTION, "padding is not zero", pos);
	return FM_OK;
}
