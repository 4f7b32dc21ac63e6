/*-------------------------------------------------------------------------
 *
 * block.c
 *	  The envelope of a block: trailer, checksum, compression.
 *
 * The zstd contexts take their memory from malloc, not from the caller's
 * allocator: zstd offers that only in its unstable interface.  They are freed
 * with the writer or reader that owns them.
 *
 *-------------------------------------------------------------------------
 */
#include "format/block.h"

#include <zstd.h>

/* Trailer: kind u8, codec u8, zero u16, raw length u32, checksum u64. */
#define TRAILER_CODEC 1
#define TRAILER_ZERO 2
#define TRAILER_RAW_SIZE 4
#define TRAILER_CHECKSUM 8

struct FmBlockWriter
{
	const FmAlloc *alloc;
	FmId		object;
	ZSTD_CCtx  *cctx;			/* NULL: blocks stay raw */
};

struct FmBlockReader
{
	const FmAlloc *alloc;
	ZSTD_DCtx  *dctx;
};

/*
 * The checksum of a stored block: its bytes up to the checksum itself.  The
 * seed makes a block of another object, or at another place, fail.
 */
static uint64_t
block_checksum(const uint8_t *stored, size_t size, const FmId *object,
			   uint64_t offset)
{
	uint64_t	seed;

	seed = fm_get_u64(object->bytes) ^ fm_get_u64(object->bytes + 8) ^ offset;
	return fm_xxh3_64(fm_slice(stored, size - 8), seed);
}

FmBlockWriter *
fm_block_writer_create(const FmAlloc *alloc, const FmId *object,
					   int zstd_level)
{
	FmBlockWriter *writer = fm_alloc(alloc, sizeof(FmBlockWriter));

	if (writer == NULL)
		return NULL;
	writer->alloc = alloc;
	writer->object = *object;
	writer->cctx = NULL;
	if (zstd_level != 0)
	{
		writer->cctx = ZSTD_createCCtx();
		if (writer->cctx == NULL ||
			ZSTD_isError(ZSTD_CCtx_setParameter(writer->cctx,
												ZSTD_c_compressionLevel,
												zstd_level)))
		{
			fm_block_writer_free(writer);
			return NULL;
		}
	}
	return writer;
}

void
fm_block_writer_free(FmBlockWriter *writer)
{
	if (writer == NULL)
		return;
	ZSTD_freeCCtx(writer->cctx);
	fm_free(writer->alloc, writer);
}

FmStatus
fm_block_write(FmBlockWriter *writer, FmBlockKind kind, FmSlice raw,
			   uint64_t offset, FmBuf *out)
{
	size_t		start = out->len;
	size_t		gain = raw.len / 8;
	size_t		size = 0;
	FmCodec		codec = FM_CODEC_RAW;
	uint8_t    *stored;

	if (raw.len == 0)
		return FM_INVALID;
	if (raw.len > FM_MAX_RAW_BLOCK)
		return FM_TOO_LARGE;
	if (!fm_buf_reserve(out, raw.len + FM_BLOCK_TRAILER_SIZE))
		return FM_NO_MEMORY;
	stored = out->data + start;

	/* No room for more than is worth keeping: zstd then stops by itself. */
	if (writer->cctx != NULL && gain > 0)
	{
		size = ZSTD_compress2(writer->cctx, stored, raw.len - gain,
							  raw.data, raw.len);
		if (!ZSTD_isError(size))
			codec = FM_CODEC_ZSTD;
	}
	if (codec == FM_CODEC_RAW)
	{
		memcpy(stored, raw.data, raw.len);
		size = raw.len;
	}
	stored[size] = (uint8_t) kind;
	stored[size + TRAILER_CODEC] = (uint8_t) codec;
	fm_put_u16(stored + size + TRAILER_ZERO, 0);
	fm_put_u32(stored + size + TRAILER_RAW_SIZE, (uint32_t) raw.len);
	fm_put_u64(stored + size + TRAILER_CHECKSUM,
			   block_checksum(stored, size + FM_BLOCK_TRAILER_SIZE,
							  &writer->object, offset));
	out->len = start + size + FM_BLOCK_TRAILER_SIZE;
	return FM_OK;
}

FmStatus
fm_block_verify(FmSlice stored, const FmId *object, uint64_t offset,
				FmBlockKind kind, uint32_t max_raw, FmBlockInfo *info,
				FmFault *fault)
{
	const uint8_t *trailer;
	size_t		size;

	if (stored.len <= FM_BLOCK_TRAILER_SIZE)
		return fm_fault(fault, FM_CORRUPTION, "block is too short", 0);
	size = stored.len - FM_BLOCK_TRAILER_SIZE;
	trailer = stored.data + size;
	if (fm_get_u64(trailer + TRAILER_CHECKSUM) !=
		block_checksum(stored.data, stored.len, object, offset))
		return fm_fault(fault, FM_CORRUPTION, "block checksum does not match",
						0);
	if (trailer[0] != (uint8_t) kind)
		return fm_fault(fault, FM_CORRUPTION, "block is of another kind",
						size);
	if (fm_get_u16(trailer + TRAILER_ZERO) != 0)
		return fm_fault(fault, FM_CORRUPTION,
						"reserved bytes of a block trailer are not zero",
						size + TRAILER_ZERO);
	info->kind = kind;
	info->raw_size = fm_get_u32(trailer + TRAILER_RAW_SIZE);
	info->stored = fm_slice(stored.data, size);
	if (info->raw_size == 0 || info->raw_size > max_raw)
		return fm_fault(fault, FM_CORRUPTION, "raw length is out of range",
						size + TRAILER_RAW_SIZE);
	switch (trailer[TRAILER_CODEC])
	{
		case FM_CODEC_RAW:
			info->codec = FM_CODEC_RAW;
			if (info->raw_size != size)
				return fm_fault(fault, FM_CORRUPTION,
								"raw length is not the block's length",
								size + TRAILER_RAW_SIZE);
			break;
		case FM_CODEC_ZSTD:
			info->codec = FM_CODEC_ZSTD;
			if (ZSTD_getFrameContentSize(stored.data, size) !=
				info->raw_size)
				return fm_fault(fault, FM_CORRUPTION,
								"raw length is not the zstd frame's",
								size + TRAILER_RAW_SIZE);
			break;
		default:
			return fm_fault(fault, FM_UNSUPPORTED,
							"block codec is not supported",
							size + TRAILER_CODEC);
	}
	return FM_OK;
}

FmBlockReader *
fm_block_reader_create(const FmAlloc *alloc)
{
	FmBlockReader *reader = fm_alloc(alloc, sizeof(FmBlockReader));

	if (reader == NULL)
		return NULL;
	reader->alloc = alloc;
	reader->dctx = ZSTD_createDCtx();
	if (reader->dctx == NULL)
	{
		fm_block_reader_free(reader);
		return NULL;
	}
	return reader;
}

void
fm_block_reader_free(FmBlockReader *reader)
{
	if (reader == NULL)
		return;
	ZSTD_freeDCtx(reader->dctx);
	fm_free(reader->alloc, reader);
}

FmStatus
fm_block_decode(FmBlockReader *reader, const FmBlockInfo *info, uint8_t *dest,
				FmFault *fault)
{
	size_t		size;

	if (info->codec == FM_CODEC_RAW)
	{
		memcpy(dest, info->stored.data, info->raw_size);
		return FM_OK;
	}
	size = ZSTD_decompressDCtx(reader->dctx, dest, info->raw_size,
							   info->stored.data, info->stored.len);
	if (ZSTD_isError(size))
		return fm_fault(fault, FM_CORRUPTION, "block does not decompress", 0);
	if (size != info->raw_size)
		return fm_fault(fault, FM_CORRUPTION,
						"block decompresses to another length", 0);
	return FM_OK;
}
