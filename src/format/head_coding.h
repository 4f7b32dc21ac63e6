/*-------------------------------------------------------------------------
 *
 * head_coding.h
 *	  Elements of HEAD and its pages, for the files of their codec.
 *
 * An element is tag u16, zero u16, length u32 and that many bytes; some hold
 * elements again.  Elements of an unknown tag are passed over.  A container
 * is read twice: once to count its elements, so that what is allocated is
 * bounded by bytes that are there, and once to decode them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_HEAD_CODING_H
#define FM_HEAD_CODING_H

#include "format/head.h"

#define FM_ELEMENT_HEADER 8
#define FM_MAX_TAG 10			/* tags go from 1 to below this */
#define FM_DESC_FIXED 120		/* bytes of a descriptor before its bounds */
#define FM_PAGE_REF_BYTES 48
#define FM_OBJECT_CHECKSUM 8	/* at the end of HEAD and of a page */

/* Elements of HEAD, of a log page and of its state. */
enum
{
	FM_TAG_IDENTITY = 1,
	FM_TAG_TABLE = 2,
	FM_TAG_RECORD = 3,
	FM_TAG_LOG_PAGE = 4,
	FM_TAG_STATE = 5,
	FM_TAG_RUN = 6				/* of a level page */
};

/* What a decoder carries along. */
typedef struct FmHeadReader
{
	const uint8_t *base;		/* start of the object: faults tell offsets */
	const FmAlloc *alloc;
	FmFault    *fault;
} FmHeadReader;

typedef struct FmElement
{
	uint32_t	tag;
	FmSlice		value;
} FmElement;

/* Encoding: begin gives the place that end patches. */
extern size_t fm_element_begin(FmBuf *out, uint16_t tag);
extern void fm_element_end(FmBuf *out, size_t begin);
extern void fm_element_put(FmBuf *out, uint16_t tag, FmSlice value);

extern FmStatus fm_reader_fault(const FmHeadReader *reader, const uint8_t *pos,
								const char *what);

/* Takes the next element; the cursor is not at its end. */
extern FmStatus fm_element_take(const FmHeadReader *reader, FmCursor *cursor,
								FmElement *element);

/*
 * Counts elements by tag; min[tag] is the least length of one.  Only the tags
 * below FM_MAX_TAG.
 */
extern FmStatus fm_element_count(const FmHeadReader *reader, FmSlice container,
								 const uint32_t min[FM_MAX_TAG],
								 uint32_t count[FM_MAX_TAG]);

/* Zeroed memory for n items; *out is NULL for none. */
extern FmStatus fm_reader_alloc(const FmHeadReader *reader, uint32_t n,
								size_t size, void *out);

extern void fm_id_put(FmBuf *out, const FmId *id);
extern FmId fm_id_take(FmCursor *cursor);

extern void fm_page_ref_put(FmBuf *out, uint16_t tag, const FmPageRef *ref);
extern FmStatus fm_page_ref_take(const FmHeadReader *reader, FmSlice value,
								 FmPageRef *ref);
extern FmStatus fm_run_desc_put(FmBuf *out, uint16_t tag,
								const FmRunDesc *desc);
extern FmStatus fm_run_desc_take(const FmHeadReader *reader, FmSlice value,
								 FmRunDesc *desc);

/* Entries of tables; "whole" puts even what is kept in a page. */
extern FmStatus fm_table_put(FmBuf *out, const FmTable *table, bool whole);
extern FmStatus fm_table_take(const FmHeadReader *reader, FmSlice value,
							  FmTable *table);
extern FmStatus fm_record_put(FmBuf *out, const FmCommitRecord *record);

/*
 * The records and tables among a container's elements.  fm_records_check: one
 * follows the other, from the version and the commit id (NULL: whatever it
 * is) before the first.
 */
extern FmStatus fm_records_take(const FmHeadReader *reader, FmSlice container,
								uint32_t n, FmCommitRecord **records);
extern FmStatus fm_records_check(const FmHeadReader *reader,
								 const FmCommitRecord *records, uint32_t n,
								 uint64_t version, const FmId *commit_id);

/* Identity and tables of HEAD: what HEAD and a log page's state share. */
extern FmStatus fm_head_state_put(FmBuf *out, const FmHead *head);
extern FmStatus fm_head_state_take(const FmHeadReader *reader,
								   FmSlice container, FmHead *head);

/*
 * The first FM_OBJECT_HEADER bytes of HEAD and pages: magic, version, kind,
 * features; and the checksum at the end.
 */
extern void fm_object_begin(FmBuf *out, const char *magic, uint16_t kind,
							uint64_t required, uint64_t compatible);
extern void fm_object_end(FmBuf *out, size_t begin);
extern FmStatus fm_object_check(const FmHeadReader *reader, FmSlice bytes,
								const char *magic, uint16_t kind,
								uint64_t *required, uint64_t *compatible);

#define FM_OBJECT_HEADER 32
#define FM_OBJECT_KIND_AT 12
#define FM_HEAD_MAGIC "FMHEAD\r\n"
#define FM_PAGE_MAGIC "FMPAGE\r\n"

#endif							/* FM_HEAD_CODING_H */
