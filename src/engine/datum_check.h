/*-------------------------------------------------------------------------
 *
 * datum_check.h
 *	  Checks of values that come from a store, before PostgreSQL sees them.
 *
 * They never raise.  What passes cannot make a function of the type read
 * outside the value.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_DATUM_CHECK_H
#define FM_DATUM_CHECK_H

#include "base/slice.h"

/* True if text is valid in the encoding; zero bytes are not. */
extern bool fm_datum_check_text(FmSlice text, int encoding);

/*
 * NULL if the data of a jsonb (without varlena header) are sound, else a
 * phrase.  Order and uniqueness of an object's keys are not looked at.
 */
extern const char *fm_datum_check_jsonb(FmSlice data, int encoding);

#endif							/* FM_DATUM_CHECK_H */
