/*-------------------------------------------------------------------------
 *
 * buffer.h
 *	  A growing byte buffer with a sticky failure.
 *
 * Appending after memory ran out does nothing; the caller looks at "failed"
 * once, at the end.  The buffer owns its bytes until fm_buf_free.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_BUFFER_H
#define FM_BUFFER_H

#include "base/alloc.h"
#include "base/coding.h"
#include "base/slice.h"

typedef struct FmBuf
{
	const FmAlloc *alloc;
	uint8_t    *data;
	size_t		len;			/* bytes used */
	size_t		cap;			/* bytes allocated */
	bool		failed;			/* memory ran out: the content is not whole */
} FmBuf;

extern void fm_buf_init(FmBuf *buf, const FmAlloc *alloc);
extern void fm_buf_free(FmBuf *buf);

/* Makes room for n more bytes; false when memory ran out. */
extern bool fm_buf_grow(FmBuf *buf, size_t n);

static inline bool
fm_buf_reserve(FmBuf *buf, size_t n)
{
	return (!buf->failed && buf->cap - buf->len >= n) || fm_buf_grow(buf, n);
}

static inline void
fm_buf_reset(FmBuf *buf)
{
	buf->len = 0;
	buf->failed = false;
}

static inline FmSlice
fm_buf_slice(const FmBuf *buf)
{
	return fm_slice(buf->data, buf->len);
}

static inline void
fm_buf_put(FmBuf *buf, const void *data, size_t len)
{
	if (len > 0 && fm_buf_reserve(buf, len))
	{
		memcpy(buf->data + buf->len, data, len);
		buf->len += len;
	}
}

static inline void
fm_buf_put_slice(FmBuf *buf, FmSlice s)
{
	fm_buf_put(buf, s.data, s.len);
}

static inline void
fm_buf_put_zeros(FmBuf *buf, size_t n)
{
	if (n > 0 && fm_buf_reserve(buf, n))
	{
		memset(buf->data + buf->len, 0, n);
		buf->len += n;
	}
}

/* Pads with zeros until len is a multiple of align (a power of two). */
static inline void
fm_buf_align(FmBuf *buf, size_t align)
{
	fm_buf_put_zeros(buf, (0 - buf->len) & (align - 1));
}

static inline void
fm_buf_put_u8(FmBuf *buf, uint8_t v)
{
	fm_buf_put(buf, &v, 1);
}

static inline void
fm_buf_put_u16(FmBuf *buf, uint16_t v)
{
	uint8_t		b[2];

	fm_put_u16(b, v);
	fm_buf_put(buf, b, sizeof(b));
}

static inline void
fm_buf_put_u32(FmBuf *buf, uint32_t v)
{
	uint8_t		b[4];

	fm_put_u32(b, v);
	fm_buf_put(buf, b, sizeof(b));
}

static inline void
fm_buf_put_u64(FmBuf *buf, uint64_t v)
{
	uint8_t		b[8];

	fm_put_u64(b, v);
	fm_buf_put(buf, b, sizeof(b));
}

#endif							/* FM_BUFFER_H */
