/*-------------------------------------------------------------------------
 *
 * numeric_image.h
 *	  The stored form of PostgreSQL's numeric.
 *
 * An image is the data of the varlena, without its header.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_NUMERIC_IMAGE_H
#define FM_NUMERIC_IMAGE_H

#include "format/key_codec.h"

/* NULL if every function of numeric can work on the image, else a phrase. */
extern const char *fm_numeric_image_check(FmSlice image);

/*
 * Takes an image apart; leading and trailing zeros are cut.  Digits point
 * into the image, or, if they are not aligned there, to a copy in the current
 * memory context.
 */
extern void fm_numeric_image_parse(FmSlice image, FmNumeric *value);

/*
 * The numeric (with a 4-byte header, in the current memory context) that a
 * key stands for: its display scale is the least that shows all digits, or
 * that of the typmod if it is greater.
 */
extern struct varlena *fm_numeric_image_build(const FmNumeric *value,
											  int32 typmod);

#endif							/* FM_NUMERIC_IMAGE_H */
