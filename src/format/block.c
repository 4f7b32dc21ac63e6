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

/* Of blocks that are streamed. */
#define PIECE_SIZE (128 * 1024)
#define SAMPLE_SIZE (64 * 1024)
#define NSAMPLES 8

struct FmBlockWriter
{
	const FmAlloc *alloc;
	FmId		object;
	ZSTD_CCtx  *cctx;			/* NULL: blocks stay raw */
	FmHashStream *hash;			/* of fm_block_stream; NULL before the first */
};

struct FmBlockReader
{
	const FmAlloc *alloc;
	ZSTD_DCtx  *dctx;
};

/* The seed makes a block of another object, or at another place, fail. */
static uint64_t
block_seed(const FmId *object, uint64_t offset)
{
	return fm_get_u64(object->bytes) ^ fm_get_u64(object->bytes + 8) ^ offset;
}

/* The checksum of a stored block: its bytes up to the checksum itself. */
static uint64_t
block_checksum(const uint8_t *stored, size_t size, const FmId *object,
			   uint64_t offset)
{
	return fm_xxh3_64(fm_slice(stored, size - 8), block_seed(object, offset));
}

/* The trailer up to its checksum. */
static void
put_trailer(uint8_t *trailer, FmBlockKind kind, FmCodec codec, size_t raw_size)
{
	trailer[0] = (uint8_t) kind;
	trailer[TRAILER_CODEC] = (uint8_t) codec;
	fm_put_u16(trailer + TRAILER_ZERO, 0);
	fm_put_u32(trailer + TRAILER_RAW_SIZE, (uint32_t) raw_size);
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
	writer->hash = NULL;
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
	fm_hash_stream_free(writer->hash);
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
	put_trailer(stored + size, kind, codec, raw.len);
	fm_put_u64(stored + size + TRAILER_CHECKSUM,
			   block_checksum(stored, size + FM_BLOCK_TRAILER_SIZE,
							  &writer->object, offset));
	out->len = start + size + FM_BLOCK_TRAILER_SIZE;
	return FM_OK;
}

/* Where the bytes of a streamed block go. */
typedef struct BlockStream
{
	FmBlockWriter *writer;
	FmByteSink	sink;
	void	   *sink_arg;
	size_t		size;			/* bytes sent */
} BlockStream;

static FmStatus
stream_put(BlockStream *stream, FmSlice bytes)
{
	fm_hash_stream_add(stream->writer->hash, bytes);
	stream->size += bytes.len;
	return stream->sink(stream->sink_arg, bytes) ? FM_OK : FM_STOPPED;
}

/* Does zstd gain enough on samples of it?  piece has SAMPLE_SIZE bytes. */
static bool
is_compressible(FmBlockWriter *writer, FmSlice bytes, uint8_t *piece)
{
	size_t		limit = SAMPLE_SIZE - SAMPLE_SIZE / 8;
	size_t		stored = 0;
	size_t		i;

	for (i = 0; i < NSAMPLES; i++)
	{
		size_t		at = (bytes.len - SAMPLE_SIZE) / (NSAMPLES - 1) * i;
		size_t		size = ZSTD_compress2(writer->cctx, piece, SAMPLE_SIZE,
										  bytes.data + at, SAMPLE_SIZE);

		stored += ZSTD_isError(size) ? SAMPLE_SIZE : size;
	}
	return stored <= limit * NSAMPLES;
}

static FmStatus
stream_compressed(BlockStream *stream, const FmSlice *parts, int nparts,
				  size_t raw_size, uint8_t *piece)
{
	ZSTD_CCtx  *cctx = stream->writer->cctx;
	FmStatus	status;
	int			i;

	ZSTD_CCtx_reset(cctx, ZSTD_reset_session_only);
	ZSTD_CCtx_setPledgedSrcSize(cctx, raw_size);
	for (i = 0; i < nparts; i++)
	{
		ZSTD_inBuffer in = {parts[i].data, parts[i].len, 0};
		bool		last = i == nparts - 1;
		size_t		left;

		do
		{
			ZSTD_outBuffer out = {piece, PIECE_SIZE, 0};

			left = ZSTD_compressStream2(cctx, &out, &in,
										last ? ZSTD_e_end : ZSTD_e_continue);
			if (ZSTD_isError(left))
				return FM_NO_MEMORY;
			status = stream_put(stream, fm_slice(piece, out.pos));
			if (status != FM_OK)
				return status;
		} while (in.pos < in.size || (last && left > 0));
	}
	return FM_OK;
}

FmStatus
fm_block_stream(FmBlockWriter *writer, FmBlockKind kind, FmSlice head,
				FmSlice body, uint64_t offset, FmByteSink sink, void *sink_arg,
				FmBuf *piece, size_t *size)
{
	BlockStream stream = {writer, sink, sink_arg, 0};
	FmSlice		parts[2] = {head, body};
	size_t		raw_size = head.len + body.len;
	uint8_t		trailer[FM_BLOCK_TRAILER_SIZE];
	FmCodec		codec = FM_CODEC_RAW;
	FmStatus	status;

	if (body.len < SAMPLE_SIZE)
		return FM_INVALID;
	if (raw_size > FM_MAX_RAW_BLOCK)
		return FM_TOO_LARGE;
	fm_buf_reset(piece);
	if (writer->hash == NULL)
		writer->hash = fm_hash_stream_create();
	if (writer->hash == NULL || !fm_buf_reserve(piece, PIECE_SIZE))
		return FM_NO_MEMORY;
	fm_hash_stream_begin(writer->hash, block_seed(&writer->object, offset));
	if (writer->cctx != NULL && is_compressible(writer, body, piece->data))
	{
		codec = FM_CODEC_ZSTD;
		status = stream_compressed(&stream, parts, 2, raw_size, piece->data);
	}
	else
	{
		status = stream_put(&stream, head);
		if (status == FM_OK)
			status = stream_put(&stream, body);
	}
	if (status != FM_OK)
		return status;
	put_trailer(trailer, kind, codec, raw_size);
	fm_hash_stream_add(writer->hash, fm_slice(trailer, TRAILER_CHECKSUM));
	fm_put_u64(trailer + TRAILER_CHECKSUM, fm_hash_stream_end(writer->hash));
	*size = stream.size + FM_BLOCK_TRAILER_SIZE;
	return sink(sink_arg, fm_slice(trailer, sizeof(trailer))) ? FM_OK :
		FM_STOPPED;
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
