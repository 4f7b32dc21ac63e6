/*-------------------------------------------------------------------------
 *
 * row_codec.h
 *	  Rows: the values of an entry, by column id.
 *
 * A table's row layout is the list of its columns in order of id, dropped
 * ones too, without the key columns whose key encoding loses nothing.  A row
 * says how many of them it covers; columns added later are NULL in it.
 *
 * natts u16, flags u16 (bit 0: offsets are u32, else u16), null bitmap
 * (natts bits, 1 = NULL; of a key column that is lossy, 1 = "as in the key"),
 * fixed part (each fixed column of the first natts at a constant offset, zero
 * when NULL), pad to 2 or 4, an end offset from the row's start for each
 * variable column that is covered, variable values, pad to FM_ROW_ALIGN.
All padding is zero, and a row ends where its padding does.
 *
 * A varlena value is the image of a little-endian server: 1-byte header up to
 * 126 bytes of data, else 4-byte header and start on a multiple of 4 from the
 * row's start.  A value starts at the end of the one before; of a varlena
 * kind, the zero bytes up to the next multiple of 4 are skipped first, if the
 * byte there is zero: no 1-byte header is.  A NULL's value is empty.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_ROW_CODEC_H
#define FM_ROW_CODEC_H

#include "base/buffer.h"
#include "format/format.h"

/* How a row holds a column.  Stored in HEAD: values are frozen. */
typedef enum FmRowKind
{
	FM_ROW_IN_KEY = 0,			/* not in the row: the key has it all */
	FM_ROW_FIXED = 1,			/* row_width bytes, little-endian image */
	FM_ROW_VARLENA = 2,			/* varlena image; any bytes are valid: bytea */
	FM_ROW_TEXT = 3,			/* varlena image in the store's encoding */
	FM_ROW_NUMERIC = 4,			/* varlena image, validated */
	FM_ROW_JSONB = 5,			/* varlena image, validated */
	FM_ROW_SEND = 6,			/* output of typsend */
	FM_ROW_OUTPUT = 7			/* output of typoutput, no NUL at the end */
} FmRowKind;

typedef struct FmRowColumn
{
	FmRowKind	kind;
	uint16_t	width;			/* of FM_ROW_FIXED */
} FmRowColumn;

/* A layout, made once a table. */
typedef struct FmRowLayout
{
	uint32_t	natts;			/* row attributes: columns but FM_ROW_IN_KEY */
	FmRowColumn *columns;
	uint32_t   *fixed_offset;	/* natts + 1: bytes of the fixed columns
								 * before this one */
	uint32_t   *var_index;		/* natts + 1: number of variable columns
								 * before this one */
	uint32_t	fixed_size;
	uint32_t	nvar;
} FmRowLayout;

#define FM_MAX_ROW_ATTS 0xFFFF	/* a row counts them in a u16 */

/*
 * Builds a layout from row attributes in order of column id: one piece of
 * memory, freed by fm_free.  FM_INVALID for kinds that rows do not hold.
 */
extern FmStatus fm_row_layout_create(const FmRowColumn *columns, uint32_t natts,
									 const FmAlloc *alloc,
									 FmRowLayout **layout);

/* A value to encode.  is_null: of a lossy key column, "as in the key". */
typedef struct FmRowValue
{
	bool		is_null;
	FmSlice		bytes;			/* fixed: width bytes; varlena kinds: the data
								 * without any header; else raw bytes */
} FmRowValue;

/* Appends a row of all the layout's attributes. */
extern FmStatus fm_row_encode(const FmRowLayout *layout,
							  const FmRowValue *values, FmBuf *out);

/*
 * Checks a row against the layout: lengths, offsets, varlena headers, natts
 * at most the layout's.  A row that passed is read without checks.
 */
extern FmStatus fm_row_check(const FmRowLayout *layout, FmSlice row,
							 FmFault *fault);

/*
 * A checked row, opened.  Fetching an attribute is a few loads, so that only
 * the columns that are needed cost anything.
 */
typedef struct FmRow
{
	const FmRowLayout *layout;
	const uint8_t *base;
	uint32_t	natts;			/* that the row covers */
	const uint8_t *nulls;
	const uint8_t *fixed;
	const uint8_t *ends;		/* end offsets of variable values */
	uint32_t	var_start;		/* offset of the first variable value */
	bool		wide;			/* offsets are u32 */
} FmRow;

#define FM_ROW_WIDE 0x01		/* the only flag */

static inline bool
fm_row_kind_is_varlena(FmRowKind kind)
{
	return kind >= FM_ROW_VARLENA && kind <= FM_ROW_JSONB;
}

static inline void
fm_row_open(const FmRowLayout *layout, FmSlice row, FmRow *r)
{
	uint32_t	natts = fm_get_u16(row.data);
	uint32_t	width = (row.data[2] & FM_ROW_WIDE) != 0 ? 4 : 2;
	uint32_t	fixed = 4 + (natts + 7) / 8;
	uint32_t	ends = fixed + layout->fixed_offset[natts];

	ends = (ends + width - 1) & ~(width - 1);
	r->layout = layout;
	r->base = row.data;
	r->natts = natts;
	r->nulls = row.data + 4;
	r->fixed = row.data + fixed;
	r->ends = row.data + ends;
	r->var_start = ends + layout->var_index[natts] * width;
	r->wide = width == 4;
}

static inline uint32_t
fm_row_end(const FmRow *r, uint32_t var)
{
	return r->wide ? fm_get_u32(r->ends + (size_t) var * 4) :
		fm_get_u16(r->ends + (size_t) var * 2);
}

/*
 * Attribute i: false if NULL or not covered.  *value is the fixed bytes, the
 * varlena image with its header, or the raw bytes.
 */
static inline bool
fm_row_get(const FmRow *row, uint32_t i, FmSlice *value)
{
	const FmRowColumn *column = &row->layout->columns[i];
	uint32_t	var;
	uint32_t	start;

	if (i >= row->natts || (row->nulls[i >> 3] >> (i & 7) & 1) != 0)
		return false;
	if (column->kind == FM_ROW_FIXED)
	{
		*value = fm_slice(row->fixed + row->layout->fixed_offset[i],
						  column->width);
		return true;
	}
	var = row->layout->var_index[i];
	start = var == 0 ? row->var_start : fm_row_end(row, var - 1);
	if (fm_row_kind_is_varlena(column->kind) && row->base[start] == 0)
		start = (start + 3) & ~(uint32_t) 3;
	*value = fm_slice(row->base + start, fm_row_end(row, var) - start);
	return true;
}

#endif							/* FM_ROW_CODEC_H */
