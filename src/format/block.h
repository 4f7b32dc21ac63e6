/*-------------------------------------------------------------------------
 *
 * block.h
 *	  The envelope of a block: trailer, checksum, compression.
 *
 * stored bytes | trailer: kind u8, codec u8, zero u16, raw length u32,
 * XXH3-64 of the stored bytes and of the trailer's first 8 bytes, under the
 * seed lo64(object id) ^ hi64(object id) ^ offset.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_BLOCK_H
#define FM_BLOCK_H

#include "base/buffer.h"
#include "format/format.h"

typedef struct FmBlockInfo
{
	FmBlockKind kind;
	FmCodec		codec;
	uint32_t	raw_size;		/* bytes after decompression */
	FmSlice		stored;			/* points into the input, without trailer */
} FmBlockInfo;

/* A compressor that is kept over many blocks.  One owner; not shared. */
typedef struct FmBlockWriter FmBlockWriter;

/*
 * Creates a writer for blocks of one object.  zstd_level 0 means raw.
 * Returns NULL when memory is short.
 */
extern FmBlockWriter *fm_block_writer_create(const FmAlloc *alloc,
											 const FmId *object,
											 int zstd_level);
extern void fm_block_writer_free(FmBlockWriter *writer);

/*
 * Appends the stored form of "raw" to "out".  "offset" is where the block
 * will lie in the object.  Raw if zstd gains under 1/8.
 */
extern FmStatus fm_block_write(FmBlockWriter *writer, FmBlockKind kind,
							   FmSlice raw, uint64_t offset, FmBuf *out);

/* Receives bytes in order; false stops who sends them. */
typedef bool (*FmByteSink) (void *arg, FmSlice bytes);

/*
 * The same for a block too large to be copied: its raw bytes are head and
 * body, and its stored ones, *size of them, go to the sink piece by piece.
 * Whether zstd gains enough is told from samples of the body.  "piece" is
 * scratch.  FM_STOPPED if the sink said false.
 */
extern FmStatus fm_block_stream(FmBlockWriter *writer, FmBlockKind kind,
								FmSlice head, FmSlice body, uint64_t offset,
								FmByteSink sink, void *sink_arg, FmBuf *piece,
								size_t *size);

/*
 * Checks a stored block (trailer included): length, checksum, kind, codec,
 * and that raw_size is at most max_raw and is what the zstd frame says.
 * Allocates nothing.
 */
extern FmStatus fm_block_verify(FmSlice stored, const FmId *object,
								uint64_t offset, FmBlockKind kind,
								uint32_t max_raw, FmBlockInfo *info,
								FmFault *fault);

/* What a trailer that was not checked says of the codec. */
static inline int
fm_block_trailer_codec(const uint8_t trailer[FM_BLOCK_TRAILER_SIZE])
{
	return trailer[1];
}

/*
 * Decodes a verified block into dest, which has info->raw_size bytes.
 * "dctx" is a kept decompressor from fm_block_reader_create.
 */
typedef struct FmBlockReader FmBlockReader;
extern FmBlockReader *fm_block_reader_create(const FmAlloc *alloc);
extern void fm_block_reader_free(FmBlockReader *reader);
extern FmStatus fm_block_decode(FmBlockReader *reader, const FmBlockInfo *info,
								uint8_t *dest, FmFault *fault);

#endif							/* FM_BLOCK_H */
