/*-------------------------------------------------------------------------
 *
 * format.h
 *	  Constants and identifiers that all stored objects share.
 *
 * docs/format.md is the grammar; a change of any byte needs a new version
 * there and here, and a new golden file.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_FORMAT_H
#define FM_FORMAT_H

#include "base/checksum.h"
#include "base/slice.h"
#include "base/status.h"

#define FM_FORMAT_MAJOR 1		/* readers refuse another one */
#define FM_FORMAT_MINOR 0

#define FM_MAX_KEY_SIZE 4096	/* bytes of an encoded key */
#define FM_MAX_ROW_SIZE (1u << 30)	/* bytes of an encoded row */
#define FM_BLOCK_TRAILER_SIZE 16
#define FM_SLOT_HEADER_SIZE 64	/* of the block cache: raw blocks leave room */
#define FM_MIN_BLOCK_SIZE 4096
#define FM_MAX_BLOCK_SIZE 65536
#define FM_MAX_RAW_BLOCK (FM_MAX_ROW_SIZE + (1u << 16)) /* a block of one row */
#define FM_ROW_ALIGN 4			/* rows start and end on it within a block */
#define FM_BOUND_SIZE 64		/* bytes of a run's bound in HEAD, by default */
#define FM_ZSTD_MAX_LEVEL 19

/* 128 random bits; never reused. */
typedef struct FmId
{
	uint8_t		bytes[16];
} FmId;

static inline bool
fm_id_eq(const FmId *a, const FmId *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* What a block holds: the first byte of its trailer. */
typedef enum FmBlockKind
{
	FM_BLOCK_DATA = 1,
	FM_BLOCK_PARTITION = 2,		/* index partition: filter, sparse index */
	FM_BLOCK_TOP = 3,			/* top index */
	FM_BLOCK_PROPERTIES = 4,
	FM_BLOCK_PAGE = 5			/* log page, table page or level page */
} FmBlockKind;

typedef enum FmCodec
{
	FM_CODEC_RAW = 0,
	FM_CODEC_ZSTD = 1
} FmCodec;

typedef enum FmFilterKind
{
	FM_FILTER_NONE = 0,
	FM_FILTER_BLOOM = 1,		/* blocked by cache line; bits a key in arg */
	FM_FILTER_FUSE8 = 2,		/* 3-wise binary fuse, 8-bit fingerprints */
	FM_FILTER_FUSE16 = 3,
	FM_FILTER_AUTO = 255		/* an option, never stored in a run: fuse16,
								 * or fuse8 in the bottom level */
} FmFilterKind;

/* How data blocks are written. */
typedef struct FmBlockOptions
{
	uint32_t	block_size;		/* raw bytes, FM_MIN_.. to FM_MAX_BLOCK_SIZE */
	uint8_t		codec;			/* FmCodec */
	uint8_t		zstd_level;		/* 1 to FM_ZSTD_MAX_LEVEL when codec is zstd */
	uint8_t		filter_kind;	/* FmFilterKind */
	uint8_t		filter_bits;	/* bits a key, for bloom */
} FmBlockOptions;

/* Where a stored block lies: its bytes and its trailer. */
typedef struct FmBlockHandle
{
	uint64_t	offset;			/* bytes from the start of the object */
	uint32_t	size;			/* stored bytes, the trailer included */
} FmBlockHandle;

/* Hash of an encoded key: filters and row sums use it. */
static inline uint64_t
fm_key_hash(FmSlice key)
{
	return fm_xxh3_64(key, 0);
}

#endif							/* FM_FORMAT_H */
