/*-------------------------------------------------------------------------
 *
 * option_values.h
 *	  The values of options, as the reader of options (option.c) gives them to
 *	  those who make something of them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_OPTION_VALUES_H
#define FM_OPTION_VALUES_H

#include "nodes/pg_list.h"

#include "fdw/option.h"

/* A column in the option "key", by name. */
typedef struct FmKeyName
{
	char	   *name;
	bool		desc;
} FmKeyName;

/* What options say; each is NULL, or a default, where it is not given. */
typedef struct FmOptionValues
{
	FmStoreOptions store;		/* but for who uses it, and of what server */
	List	   *key;			/* of FmKeyName */
	const char *table_name;
	FmBlockOptions block;
	FmInsertMode insert_mode;
	int			analyze_blocks;
	const char *column_name;
} FmOptionValues;

/*
 * Reads all options of an object of the catalog (the Oid of pg_foreign_server
 * and so on); HV00D for a name that the catalog has not, 22023 for a value
 * that is none.  What values points to lives as long as the options.
 */
extern void fm_read_options(List *options, Oid catalog, FmOptionValues *values);

/* HV00J unless the key of a table is given. */
extern void fm_check_key_given(const FmOptionValues *values);

#endif							/* FM_OPTION_VALUES_H */
