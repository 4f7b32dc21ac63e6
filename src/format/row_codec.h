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
 * variable column, variable values, pad to FM_ROW_ALIGN.
 *
 * A varlena value is the image of a little-endian server: 1-byte header up to
 * 126 bytes of data, else 4-byte header and start on a multiple of 4 from the
 * row's start.
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

/* A layout, made once a table.  Arrays have natts entries. */
typedef struct FmRowLayout
{
	uint32_t	natts;			/* row attributes: columns but FM_ROW_IN_KEY */
	FmRowColumn *columns;
	uint32_t   *fixed_offset;	/* from the fixed part's start; for variable
								 * columns, of the fixed columns before it */
	uint32_t   *var_index;		/* ordinal among variable columns; for fixed
								 * ones, of the variable columns before it */
	uint32_t	fixed_size;
	uint32_t	nvar;
} FmRowLayout;

/* Builds a layout from row attributes in order of column id. */
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

extern void fm_row_open(const FmRowLayout *layout, FmSlice row, FmRow *r);

/*
 * Attribute i: false if NULL or not covered.  *value is the fixed bytes, the
 * varlena image with its header, or the raw bytes.
 */
extern bool fm_row_get(const FmRow *row, uint32_t i, FmSlice *value);

#endif							/* FM_ROW_CODEC_H */
