/*-------------------------------------------------------------------------
 *
 * coding.h
 *	  Little-endian integers, and a cursor that reads them within bounds.
 *
 * Numbers inside keys are big-endian; those are in format/key_codec.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_CODING_H
#define FM_CODING_H

#include "base/slice.h"

static inline void
fm_put_u16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t) v;
	p[1] = (uint8_t) (v >> 8);
}

static inline void
fm_put_u32(uint8_t *p, uint32_t v)
{
	fm_put_u16(p, (uint16_t) v);
	fm_put_u16(p + 2, (uint16_t) (v >> 16));
}

static inline void
fm_put_u64(uint8_t *p, uint64_t v)
{
	fm_put_u32(p, (uint32_t) v);
	fm_put_u32(p + 4, (uint32_t) (v >> 32));
}

static inline uint16_t
fm_get_u16(const uint8_t *p)
{
	return (uint16_t) (p[0] | (uint16_t) p[1] << 8);
}

static inline uint32_t
fm_get_u32(const uint8_t *p)
{
	return (uint32_t) p[0] | (uint32_t) p[1] << 8 |
		(uint32_t) p[2] << 16 | (uint32_t) p[3] << 24;
}

static inline uint64_t
fm_get_u64(const uint8_t *p)
{
	return (uint64_t) fm_get_u32(p) | (uint64_t) fm_get_u32(p + 4) << 32;
}

/*
 * A cursor over input that may be hostile.  Reading past the end yields zeros
 * and sets "failed"; the caller looks at it once, before it trusts a value as
 * a length.
 */
typedef struct FmCursor
{
	const uint8_t *pos;
	const uint8_t *end;
	bool		failed;
} FmCursor;

static inline FmCursor
fm_cursor(FmSlice s)
{
	FmCursor	c;

	c.pos = s.data;
	c.end = s.data == NULL ? NULL : s.data + s.len;
	c.failed = false;
	return c;
}

static inline size_t
fm_cursor_left(const FmCursor *c)
{
	return c->failed ? 0 : (size_t) (c->end - c->pos);
}

/* The next n bytes, or an empty slice and failure. */
static inline FmSlice
fm_take(FmCursor *c, size_t n)
{
	FmSlice		s = {NULL, 0};

	if (fm_cursor_left(c) < n || c->failed)
	{
		c->failed = true;
		return s;
	}
	s = fm_slice(c->pos, n);
	c->pos += n;
	return s;
}

static inline uint8_t
fm_take_u8(FmCursor *c)
{
	FmSlice		s = fm_take(c, 1);

	return s.data == NULL ? 0 : s.data[0];
}

static inline uint16_t
fm_take_u16(FmCursor *c)
{
	FmSlice		s = fm_take(c, 2);

	return s.data == NULL ? 0 : fm_get_u16(s.data);
}

static inline uint32_t
fm_take_u32(FmCursor *c)
{
	FmSlice		s = fm_take(c, 4);

	return s.data == NULL ? 0 : fm_get_u32(s.data);
}

static inline uint64_t
fm_take_u64(FmCursor *c)
{
	FmSlice		s = fm_take(c, 8);

	return s.data == NULL ? 0 : fm_get_u64(s.data);
}

#endif							/* FM_CODING_H */
