/*-------------------------------------------------------------------------
 *
 * test_block.c
 *	  The envelope of a block: what was written is read, all else refused.
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"

#include "format/block.h"

static uint64_t seed = 7;

static FmId
make_id(uint8_t byte)
{
	FmId		id;

	memset(id.bytes, byte, sizeof(id.bytes));
	id.bytes[3] = 0x5A;
	return id;
}

/* len bytes that zstd can halve, or cannot. */
static uint8_t *
make_bytes(size_t len, bool compressible)
{
	uint8_t    *bytes = malloc(len);
	size_t		i;

	for (i = 0; i < len; i++)
		bytes[i] = (uint8_t) (unit_random(&seed) & (compressible ? 0x0F : 0xFF));
	return bytes;
}

/* Verifies and decodes; the result is compared with raw if that is given. */
static FmStatus
read_block(FmSlice stored, const FmId *id, uint64_t offset, FmBlockKind kind,
		   uint32_t max_raw, const FmSlice *raw)
{
	FmBlockReader *reader;
	FmBlockInfo info;
	FmFault		fault = {FM_OK, NULL, 0};
	FmStatus	status;
	uint8_t    *dest;

	status = fm_block_verify(stored, id, offset, kind, max_raw, &info,
							 &fault);
	if (status == FM_OK)
	{
		reader = fm_block_reader_create(&fm_alloc_malloc);
		dest = malloc(info.raw_size);
		status = fm_block_decode(reader, &info, dest, &fault);
		if (status == FM_OK && raw != NULL)
			CHECK(fm_slice_eq(fm_slice(dest, info.raw_size), *raw));
		free(dest);
		fm_block_reader_free(reader);
	}
	if (status != FM_OK)
		CHECK(fault.status == status && fault.what != NULL &&
			  fault.offset <= stored.len);
	return status;
}

static void
test_round_trip(void)
{
	FmId		id = make_id(1);
	size_t		len;
	int			level;
	int			compressible;
	FmBuf		out;

	fm_buf_init(&out, &fm_alloc_malloc);
	for (level = 0; level <= FM_ZSTD_MAX_LEVEL; level += level < 3 ? 1 : 8)
		for (compressible = 0; compressible <= 1; compressible++)
			for (len = 1; len < 300000; len = len * 3 + 1)
			{
				FmBlockWriter *writer =
				fm_block_writer_create(&fm_alloc_malloc, &id, level);
				uint8_t    *bytes = make_bytes(len, compressible == 1);
				FmSlice		raw = fm_slice(bytes, len);

				/* Behind other bytes, as in a run. */
				fm_buf_reset(&out);
				fm_buf_put_zeros(&out, 5);
				CHECK(fm_block_write(writer, FM_BLOCK_DATA, raw, 12345,
									 &out) == FM_OK);
				CHECK(out.len - 5 <= len + FM_BLOCK_TRAILER_SIZE);
				CHECK((out.data[out.len - 15] == FM_CODEC_ZSTD) ==
					  (level > 0 && compressible == 1 && len > 100));
				CHECK(read_block(fm_slice(out.data + 5, out.len - 5), &id,
								 12345, FM_BLOCK_DATA, (uint32_t) len,
								 &raw) == FM_OK);
				free(bytes);
				fm_block_writer_free(writer);
			}
	fm_buf_free(&out);
}

/* The right bytes in the wrong place. */
static void
test_misplaced(void)
{
	FmId		id = make_id(1);
	FmId		other = make_id(2);
	FmBlockWriter *writer = fm_block_writer_create(&fm_alloc_malloc, &id, 0);
	FmSlice		raw = fm_slice("some bytes", 10);
	FmSlice		stored;
	FmBuf		out;

	fm_buf_init(&out, &fm_alloc_malloc);
	CHECK(fm_block_write(writer, FM_BLOCK_TOP, raw, 4096, &out) == FM_OK);
	stored = fm_buf_slice(&out);
	CHECK(read_block(stored, &id, 4096, FM_BLOCK_TOP, 10, &raw) == FM_OK);
	CHECK(read_block(stored, &id, 4097, FM_BLOCK_TOP, 10,
					 NULL) == FM_CORRUPTION);
	CHECK(read_block(stored, &other, 4096, FM_BLOCK_TOP, 10,
					 NULL) == FM_CORRUPTION);
	CHECK(read_block(stored, &id, 4096, FM_BLOCK_DATA, 10,
					 NULL) == FM_CORRUPTION);
	CHECK(read_block(stored, &id, 4096, FM_BLOCK_TOP, 9,
					 NULL) == FM_CORRUPTION);
	CHECK(fm_block_write(writer, FM_BLOCK_TOP, fm_slice(NULL, 0), 0,
						 &out) == FM_INVALID);
	CHECK(fm_block_write(writer, FM_BLOCK_TOP,
						 fm_slice(raw.data, (size_t) FM_MAX_RAW_BLOCK + 1), 0,
						 &out) == FM_TOO_LARGE);
	fm_buf_free(&out);
	fm_block_writer_free(writer);
}

/* Every flipped bit and every cut. */
static void
test_damage(void)
{
	FmId		id = make_id(1);
	int			level;

	for (level = 0; level <= 1; level++)
	{
		FmBlockWriter *writer = fm_block_writer_create(&fm_alloc_malloc, &id,
													   level);
		uint8_t    *bytes = make_bytes(400, true);
		size_t		i;
		FmBuf		out;

		fm_buf_init(&out, &fm_alloc_malloc);
		CHECK(fm_block_write(writer, FM_BLOCK_DATA, fm_slice(bytes, 400), 32,
							 &out) == FM_OK);
		for (i = 0; i < out.len * 8; i++)
		{
			out.data[i / 8] ^= (uint8_t) (1 << i % 8);
			CHECK(read_block(fm_buf_slice(&out), &id, 32, FM_BLOCK_DATA, 4096,
							 NULL) == FM_CORRUPTION);
			out.data[i / 8] ^= (uint8_t) (1 << i % 8);
		}
		for (i = 0; i < out.len; i++)
			CHECK(read_block(fm_slice(out.data, i), &id, 32, FM_BLOCK_DATA,
							 4096, NULL) == FM_CORRUPTION);
		fm_buf_free(&out);
		free(bytes);
		fm_block_writer_free(writer);
	}
}

/* Recomputes the checksum of a block that was changed on purpose. */
static void
seal(FmBuf *out, const FmId *id, uint64_t offset)
{
	uint64_t	block_seed = fm_get_u64(id->bytes) ^
	fm_get_u64(id->bytes + 8) ^ offset;

	fm_put_u64(out->data + out->len - 8,
			   fm_xxh3_64(fm_slice(out->data, out->len - 8), block_seed));
}

/* Trailers and frames that lie under a good checksum. */
static void
test_hostile(void)
{
	FmId		id = make_id(1);
	FmBlockWriter *writer = fm_block_writer_create(&fm_alloc_malloc, &id, 1);
	uint8_t    *bytes = make_bytes(4000, true);
	uint8_t    *trailer;
	FmBuf		out;
	int			i;

	fm_buf_init(&out, &fm_alloc_malloc);
	CHECK(fm_block_write(writer, FM_BLOCK_DATA, fm_slice(bytes, 4000), 0,
						 &out) == FM_OK);
	trailer = out.data + out.len - FM_BLOCK_TRAILER_SIZE;
#define EXPECT(s) \
	do { \
		seal(&out, &id, 0); \
		CHECK(read_block(fm_buf_slice(&out), &id, 0, FM_BLOCK_DATA, 8192, \
						 NULL) == (s)); \
	} while (0)
	EXPECT(FM_OK);
	fm_put_u32(trailer + 4, 3999);
	EXPECT(FM_CORRUPTION);
	fm_put_u32(trailer + 4, 0);
	EXPECT(FM_CORRUPTION);
	fm_put_u32(trailer + 4, UINT32_MAX);
	EXPECT(FM_CORRUPTION);
	fm_put_u32(trailer + 4, 4000);
	trailer[2] = 1;
	EXPECT(FM_CORRUPTION);
	trailer[2] = 0;
	trailer[1] = FM_CODEC_RAW;
	EXPECT(FM_CORRUPTION);
	trailer[1] = 9;
	EXPECT(FM_UNSUPPORTED);
	trailer[1] = FM_CODEC_ZSTD;
	EXPECT(FM_OK);
	for (i = 0; i < 2000; i++)
	{
		size_t		at = unit_random(&seed) % (out.len - 16);
		uint8_t		kept = out.data[at];
		FmStatus	status;

		out.data[at] ^= (uint8_t) (1 + unit_random(&seed) % 255);
		seal(&out, &id, 0);
		status = read_block(fm_buf_slice(&out), &id, 0, FM_BLOCK_DATA, 8192,
							NULL);
		CHECK(status == FM_OK || status == FM_CORRUPTION);
		out.data[at] = kept;
	}
	fm_buf_free(&out);
	free(bytes);
	fm_block_writer_free(writer);
}

int
main(void)
{
	RUN(test_round_trip);
	RUN(test_misplaced);
	RUN(test_damage);
	RUN(test_hostile);
	return unit_finish();
}
