/*-------------------------------------------------------------------------
 *
 * buffer.c
 *	  A growing byte buffer with a sticky failure.
 *
 *-------------------------------------------------------------------------
 */
#include "base/buffer.h"

void
fm_buf_init(FmBuf *buf, const FmAlloc *alloc)
{
	memset(buf, 0, sizeof(*buf));
	buf->alloc = alloc;
}

void
fm_buf_free(FmBuf *buf)
{
	fm_free(buf->alloc, buf->data);
	fm_buf_init(buf, buf->alloc);
}

bool
fm_buf_grow(FmBuf *buf, size_t n)
{
	size_t		cap = buf->cap < 64 ? 64 : buf->cap;
	uint8_t    *data;

	if (buf->failed || n > SIZE_MAX / 2 - buf->len)
	{
		buf->failed = true;
		return false;
	}
	while (cap < buf->len + n)
		cap *= 2;
	data = buf->alloc->resize(buf->alloc->ctx, buf->data, cap);
	if (data == NULL)
	{
		buf->failed = true;
		return false;
	}
	buf->data = data;
	buf->cap = cap;
	return true;
}
