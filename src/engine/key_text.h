/*-------------------------------------------------------------------------
 *
 * key_text.h
 *	  Keys for people to read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_KEY_TEXT_H
#define FM_KEY_TEXT_H

#include "engine/tuple_codec.h"

/*
 * A key, or a bound of a run (a key that may be cut), as text in the current
 * memory context: columns by comma, "..." where it is cut.
 */
extern char *fm_key_to_text(const FmTupleCodec *codec, FmSlice key);

#endif							/* FM_KEY_TEXT_H */
