/*-------------------------------------------------------------------------
 *
 * run_layout.h
 *	  The fixed parts of a run object: header, footer, property tags.
 *
 * Header: magic 8 bytes, major u16, minor u16, run id 16 bytes, low 32 bits
 * of XXH3-64 of the 28 bytes before.
 *
 * Footer: see the offsets below; XXH3-64 of the 120 bytes before at its end.
 * Magic, version and checksum keep their places in every format version.
 *
 * Properties: tag u16, zero u16, length u32, bytes; tags ascend; tags that
 * are not known are skipped.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_RUN_LAYOUT_H
#define FM_RUN_LAYOUT_H

#define FM_RUN_MAGIC "FMRUN\r\n\x1a"
#define FM_RUN_FOOTER_MAGIC "FMRUNEND"
#define FM_RUN_MAGIC_SIZE 8

#define FM_HEADER_MAJOR 8
#define FM_HEADER_MINOR 10
#define FM_HEADER_ID 12
#define FM_HEADER_CHECKSUM 28

#define FM_FOOTER_MAJOR 8
#define FM_FOOTER_MINOR 10
#define FM_FOOTER_ZERO 12		/* 4 bytes */
#define FM_FOOTER_REQUIRED 16	/* feature words, 8 bytes each */
#define FM_FOOTER_COMPATIBLE 24
#define FM_FOOTER_ID 32			/* 16 bytes */
#define FM_FOOTER_FILE_SIZE 48	/* 8 bytes each, to the entries */
#define FM_FOOTER_META_OFFSET 56
#define FM_FOOTER_PROPERTIES_OFFSET 64
#define FM_FOOTER_TOP_OFFSET 72
#define FM_FOOTER_ROWS 80
#define FM_FOOTER_TOMBSTONES 88
#define FM_FOOTER_PROPERTIES_SIZE 96	/* 4 bytes each */
#define FM_FOOTER_TOP_SIZE 100
#define FM_FOOTER_NBLOCKS 104
#define FM_FOOTER_NPARTITIONS 108
#define FM_FOOTER_RESERVED 112	/* 8 bytes, zero */
#define FM_FOOTER_CHECKSUM 120

/* Tags of properties, and the bytes that each has. */
#define FM_PROPERTY_TABLE_ID 1	/* 8 */
#define FM_PROPERTY_ROWS 2		/* 8 */
#define FM_PROPERTY_TOMBSTONES 3	/* 8 */
#define FM_PROPERTY_RAW_BYTES 4 /* 8 */
#define FM_PROPERTY_NBLOCKS 5	/* 4 */
#define FM_PROPERTY_NPARTITIONS 6	/* 4 */
#define FM_PROPERTY_BLOCK_SIZE 7	/* 4 */
#define FM_PROPERTY_CODEC 8		/* 2: codec, zstd level */
#define FM_PROPERTY_FILTER 9	/* 2: filter kind, bits */
#define FM_PROPERTY_ROW_SUM 10	/* 16: low word, high word */
#define FM_PROPERTY_FIRST_KEY 11	/* any */
#define FM_PROPERTY_LAST_KEY 12 /* any */
#define FM_PROPERTY_COUNT 12

#endif							/* FM_RUN_LAYOUT_H */
