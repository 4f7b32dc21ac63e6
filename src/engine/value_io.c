/*-------------------------------------------------------------------------
 *
 * value_io.c
 *	  Values through a type's own functions: binary and text.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "engine/datum_check.h"
#include "engine/value_io.h"

/* Settings that change what output functions write. */
static const char *const text_settings[][2] = {
	{"bytea_output", "hex"},
	{"datestyle", "ISO, YMD"},
	{"extra_float_digits", "3"},
	{"intervalstyle", "postgres"},
	{"lc_monetary", "C"},
	{"search_path", "pg_catalog"},
};

void
fm_value_io_init(FmValueIo *io, Oid type, int32 typmod, const char *column,
				 bool binary, MemoryContext cxt)
{
	Oid			out;
	Oid			in;
	Oid			ioparam;
	bool		is_varlena;

	if (binary)
	{
		getTypeBinaryOutputInfo(type, &out, &is_varlena);
		getTypeBinaryInputInfo(type, &in, &ioparam);
	}
	else
	{
		getTypeOutputInfo(type, &out, &is_varlena);
		getTypeInputInfo(type, &in, &ioparam);
	}
	io->binary = binary;
	io->ioparam = ioparam;
	io->typmod = typmod;
	io->column = MemoryContextStrdup(cxt, column);
	fmgr_info_cxt(out, &io->out, cxt);
	fmgr_info_cxt(in, &io->in, cxt);
}

/*
 * Not through the setting, which a parallel worker cannot change.  Both
 * conversions are known, so that neither call looks anything up.
 */
static void
call_in_database_encoding(void (*work) (void *arg), void *arg, int client)
{
	PG_TRY();
	{
		(void) SetClientEncoding(GetDatabaseEncoding());
		work(arg);
	}
	PG_CATCH();
	{
		(void) SetClientEncoding(client);
		PG_RE_THROW();
	}
	PG_END_TRY();
	(void) SetClientEncoding(client);
}

void
fm_value_io_call(bool text, void (*work) (void *arg), void *arg)
{
	int			client = pg_get_client_encoding();
	int			nestlevel = 0;
	size_t		i;

	if (text)
	{
		nestlevel = NewGUCNestLevel();
		for (i = 0; i < lengthof(text_settings); i++)
			(void) set_config_option(text_settings[i][0], text_settings[i][1],
									 PGC_USERSET, PGC_S_SESSION,
									 GUC_ACTION_SAVE, true, 0, false);
	}
	if (client == GetDatabaseEncoding())
		work(arg);
	else
		call_in_database_encoding(work, arg, client);
	if (text)
		AtEOXact_GUC(true, nestlevel);
}

FmSlice
fm_value_io_out(FmValueIo *io, Datum value)
{
	bytea	   *bytes;
	char	   *text;

	if (io->binary)
	{
		bytes = SendFunctionCall(&io->out, value);
		return fm_slice(VARDATA(bytes), VARSIZE(bytes) - VARHDRSZ);
	}
	text = OutputFunctionCall(&io->out, value);

	return fm_slice(text, strlen(text));
}

/*
 * Receive functions trust that no client sends some things, and call them
 * internal errors.
 */
static void
input_error(void *arg)
{
	const FmValueIo *io = arg;

	if (geterrcode() == ERRCODE_INTERNAL_ERROR)
		errcode(ERRCODE_DATA_CORRUPTED);
	errcontext("stored value of column \"%s\"", io->column);
}

static Datum
read_value(FmValueIo *io, FmSlice bytes)
{
	StringInfoData buf;
	Datum		value;

	/* A copy with a zero at its end: receive functions may write on it. */
	initStringInfo(&buf);
	appendBinaryStringInfo(&buf, (const char *) bytes.data, (int) bytes.len);
	if (!io->binary)
	{
		if (!fm_datum_check_text(bytes, GetDatabaseEncoding()))
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("invalid text in a stored value")));
		return InputFunctionCall(&io->in, buf.data, io->ioparam, io->typmod);
	}
	value = ReceiveFunctionCall(&io->in, &buf, io->ioparam, io->typmod);
	if (buf.cursor != buf.len)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("stored value has %d bytes too many",
						buf.len - buf.cursor)));
	return value;
}

Datum
fm_value_io_in(FmValueIo *io, FmSlice bytes)
{
	ErrorContextCallback callback;
	Datum		value;

	callback.callback = input_error;
	callback.arg = io;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	value = read_value(io, bytes);
	error_context_stack = callback.previous;
	return value;
}
