/*-------------------------------------------------------------------------
 *
 * value_io.h
 *	  Values through a type's own functions: binary and text.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_VALUE_IO_H
#define FM_VALUE_IO_H

#include "fmgr.h"

#include "base/slice.h"

/* The functions of a type, looked up once. */
typedef struct FmValueIo
{
	bool		binary;			/* typsend and typreceive, else text */
	FmgrInfo	out;
	FmgrInfo	in;
	Oid			ioparam;
	int32		typmod;
	const char *column;			/* for messages */
} FmValueIo;

/* The name of the column is copied to cxt. */
extern void fm_value_io_init(FmValueIo *io, Oid type, int32 typmod,
							 const char *column, bool binary,
							 MemoryContext cxt);

/*
 * Calls work(arg) with settings under which values have one form: no
 * conversion of encodings (typsend would convert to the client's) and, if
 * "text" is set, fixed styles of output.  Restores them, also on error.
 */
extern void fm_value_io_call(bool text, void (*work) (void *arg), void *arg);

/* The stored bytes of a value, in the current memory context. */
extern FmSlice fm_value_io_out(FmValueIo *io, Datum value);

/*
 * The value of stored bytes; raises what the type's function raises, and
 * XX001 for what that takes for an internal error.
 */
extern Datum fm_value_io_in(FmValueIo *io, FmSlice bytes);

#endif							/* FM_VALUE_IO_H */
