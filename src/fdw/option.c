/*-------------------------------------------------------------------------
 *
 * option.c
 *	  Options of servers, user mappings, tables and columns.
 *
 * Each option is one line of a table: its name, the catalog that it belongs
 * to, and the function that reads its value.  The validator and the users of
 * the values go through the same functions.
 *
 * PostgreSQL calls the validator with all options that an object will have,
 * so that it can also ask for those that must be there.  Tables of older
 * catalogs may lack them all the same: at use, they are asked for again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "parser/scansup.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#include "fdw/option_values.h"
#include "objstore/http.h"
#include "objstore/s3.h"

#define DEFAULT_ANALYZE_BLOCKS 5000
#define DEFAULT_RETRY_TIMEOUT_MS 10000
#define DEFAULT_CONNECT_TIMEOUT_MS 5000
#define DEFAULT_RETENTION_MS (24 * 3600 * 1000)
#define DEFAULT_GRACE_MS (3600 * 1000)
#define DEFAULT_REQUEST_TIMEOUT_MS 30000
#define DEFAULT_MAX_REQUESTS 128
#define DEFAULT_COALESCE_KB 64
#define MAX_COALESCE_KB 8192
#define MIN_BLOOM_BITS 4
#define MAX_BLOOM_BITS 32
#define MAX_TABLE_NAME 512		/* bytes */

typedef struct OptionDef
{
	const char *name;
	Oid			catalog;		/* that holds the object */
	void		(*read) (const char *name, const char *value,
						 FmOptionValues *values);
} OptionDef;

PG_FUNCTION_INFO_V1(fusio_manifest_validator);

static void
raise_value(const char *name, const char *value, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for option \"%s\": \"%s\"", name, value),
			 errhint("%s", hint)));
}

/* What one place is called is compared: with a "/" at its end it is the same. */
static void
read_location(const char *name, const char *value, FmOptionValues *values)
{
	size_t		len = strlen(value);

	fm_store_check_location(value);
	while (len > 0 && value[len - 1] == '/')
		len--;
	values->store.location = pnstrdup(value, len);
}

static void
read_read_only(const char *name, const char *value, FmOptionValues *values)
{
	if (!parse_bool(value, &values->store.read_only))
		raise_value(name, value, "A Boolean value is \"on\" or \"off\".");
}

static void
read_time(const char *name, const char *value, int min, int *ms)
{
	if (!parse_int(value, ms, GUC_UNIT_MS, NULL) || *ms < min)
		raise_value(name, value,
					"A time is a number of milliseconds, or has one of the units \"ms\", \"s\", \"min\" and \"h\".");
}

static void
read_retry_timeout(const char *name, const char *value, FmOptionValues *values)
{
	read_time(name, value, 0, &values->store.retry_timeout_ms);
}

static void
read_retention(const char *name, const char *value, FmOptionValues *values)
{
	read_time(name, value, 0, &values->store.retention_ms);
}

static void
read_grace(const char *name, const char *value, FmOptionValues *values)
{
	read_time(name, value, 0, &values->store.grace_ms);
}

static void
read_connect_timeout(const char *name, const char *value,
					 FmOptionValues *values)
{
	read_time(name, value, 1, &values->store.connect_timeout_ms);
}

static void
read_request_timeout(const char *name, const char *value,
					 FmOptionValues *values)
{
	read_time(name, value, 1, &values->store.request_timeout_ms);
}

static void
read_max_staleness(const char *name, const char *value, FmOptionValues *values)
{
	read_time(name, value, 0, &values->store.max_staleness_ms);
}

static void
read_endpoint(const char *name, const char *value, FmOptionValues *values)
{
	fm_s3_check_endpoint(value);
	values->store.endpoint = value;
}

static void
read_region(const char *name, const char *value, FmOptionValues *values)
{
	if (*value == '\0' || strlen(value) > 60 ||
		strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != strlen(value))
		raise_value(name, value,
					"A region is a name like \"us-east-1\".");
	values->store.region = value;
}

static void
read_addressing(const char *name, const char *value, FmOptionValues *values)
{
	if (strcmp(value, "path") == 0)
		values->store.addressing = FM_ADDRESSING_PATH;
	else if (strcmp(value, "virtual") == 0)
		values->store.addressing = FM_ADDRESSING_VIRTUAL;
	else
		raise_value(name, value,
					"Addressing is \"path\" or \"virtual\".");
}

static void
read_ca_file(const char *name, const char *value, FmOptionValues *values)
{
	if (!is_absolute_path(value))
		raise_value(name, value,
					"A file of certificates is named by its absolute path.");
	values->store.ca_file = value;
}

static void
read_max_requests(const char *name, const char *value, FmOptionValues *values)
{
	if (!parse_int(value, &values->store.max_requests, 0, NULL) ||
		values->store.max_requests < 1 ||
		values->store.max_requests > FM_HTTP_MAX_PARALLEL)
		raise_value(name, value,
					"The number of requests in flight is from 1 to 256.");
}

static void
read_coalesce(const char *name, const char *value, FmOptionValues *values)
{
	int			kb;

	if (!parse_int(value, &kb, GUC_UNIT_KB, NULL) || kb < 0 ||
		kb > MAX_COALESCE_KB)
		raise_value(name, value,
					"A size is a number of kilobytes up to 8192, or has a unit, as in \"64kB\".");
	values->store.coalesce = kb * 1024;
}

static void
read_parallel(const char *name, const char *value, FmOptionValues *values)
{
	if (!parse_bool(value, &values->store.parallel))
		raise_value(name, value, "A Boolean value is \"on\" or \"off\".");
}

static void
check_secret(const char *name, const char *value)
{
	const char *p;

	/* The value itself goes nowhere. */
	for (p = value; *p > ' ' && *p < 0x7F; p++)
		;
	if (*value == '\0' || *p != '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"%s\"", name),
				 errhint("A key has printable ASCII characters only, and no spaces.")));
}

static void
read_access_key_id(const char *name, const char *value, FmOptionValues *values)
{
	check_secret(name, value);
	values->store.mapping.access_key_id = value;
}

static void
read_secret_access_key(const char *name, const char *value,
					   FmOptionValues *values)
{
	check_secret(name, value);
	values->store.mapping.secret_access_key = value;
}

static void
read_session_token(const char *name, const char *value, FmOptionValues *values)
{
	check_secret(name, value);
	values->store.mapping.session_token = value;
}

static void
read_credentials(const char *name, const char *value, FmOptionValues *values)
{
	static const char *const sources[] =
	{"static", "environment", "profile", "web_identity", "instance"};
	int			i = 0;

	while (i < (int) lengthof(sources) && strcmp(value, sources[i]) != 0)
		i++;
	if (i == (int) lengthof(sources))
		raise_value(name, value,
					"Credentials are \"static\", \"environment\", \"profile\", \"web_identity\" or \"instance\".");
	values->store.mapping.source = (FmCredentialSource) i;
}

static const char *
skip_space(const char *p)
{
	while (scanner_isspace(*p))
		p++;
	return p;
}

/*
 * Reads an SQL identifier at *p and moves *p behind it; NULL if there is
 * none.  The result is palloc'd.
 */
static char *
take_identifier(const char **p)
{
	const char *start = *p;
	char	   *result;
	char	   *dest;

	if (*start != '"')
	{
		while (**p != '\0' && **p != ',' && **p != '"' &&
			   !scanner_isspace(**p))
			(*p)++;
		if (*p == start)
			return NULL;
		return downcase_identifier(start, (int) (*p - start), false, true);
	}
	result = dest = palloc(strlen(start) + 1);
	for ((*p)++; **p != '"' || (*p)[1] == '"'; (*p)++)
	{
		if (**p == '\0')
			return NULL;
		if (**p == '"')
			(*p)++;
		*dest++ = **p;
	}
	(*p)++;
	*dest = '\0';
	return dest == result ? NULL : result;
}

static void
read_key(const char *name, const char *value, FmOptionValues *values)
{
	static const char *const hint =
	"A key is a list of columns, each with an optional ASC or DESC, as in 'tenant, \"Id\" DESC'.";
	const char *p = value;
	ListCell   *lc;

	values->key = NIL;
	for (;;)
	{
		FmKeyName  *column = palloc0(sizeof(FmKeyName));
		bool		quoted;
		char	   *word;

		p = skip_space(p);
		column->name = take_identifier(&p);
		if (column->name == NULL)
			raise_value(name, value, hint);
		p = skip_space(p);
		quoted = *p == '"';
		word = take_identifier(&p);
		if (word != NULL)
		{
			column->desc = strcmp(word, "desc") == 0;
			if (!column->desc && strcmp(word, "asc") != 0)
				raise_value(name, value, hint);
			p = skip_space(p);
		}
		if (quoted)
			raise_value(name, value, hint);
		foreach(lc, values->key)
		{
			if (strcmp(((FmKeyName *) lfirst(lc))->name, column->name) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("column \"%s\" appears twice in option \"%s\"",
								column->name, name)));
		}
		values->key = lappend(values->key, column);
		if (*p == '\0')
			break;
		if (*p != ',')
			raise_value(name, value, hint);
		p++;
	}
	if (list_length(values->key) > FM_MAX_KEY_COLUMNS)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("option \"%s\" names more than %d columns", name,
						FM_MAX_KEY_COLUMNS)));
}

static void
read_table_name(const char *name, const char *value, FmOptionValues *values)
{
	if (*value == '\0' || strlen(value) > MAX_TABLE_NAME)
		raise_value(name, value,
					"A table's name in the store has 1 to 512 bytes.");
	values->table_name = value;
}

static void
read_block_size(const char *name, const char *value, FmOptionValues *values)
{
	int			kb;

	if (!parse_int(value, &kb, GUC_UNIT_KB, NULL) ||
		kb < FM_MIN_BLOCK_SIZE / 1024 || kb > FM_MAX_BLOCK_SIZE / 1024)
		raise_value(name, value,
					"A block size is a number from 4 to 64, of kilobytes, or has a unit, as in \"16kB\".");
	values->block.block_size = (uint32) kb * 1024;
}

/* The number after prefix in value, if it is one from min to max; else 0. */
static int
number_after(const char *value, const char *prefix, int min, int max)
{
	size_t		length = strlen(prefix);
	int			number;

	if (strncmp(value, prefix, length) != 0 ||
		!parse_int(value + length, &number, 0, NULL) ||
		number < min || number > max)
		return 0;
	return number;
}

static void
read_compression(const char *name, const char *value, FmOptionValues *values)
{
	int			level = number_after(value, "zstd:", 1, FM_ZSTD_MAX_LEVEL);

	values->block.codec = FM_CODEC_ZSTD;
	if (strcmp(value, "none") == 0)
		values->block.codec = FM_CODEC_RAW;
	else if (strcmp(value, "zstd") == 0)
		level = DEFAULT_ZSTD_LEVEL;
	else if (level == 0)
		raise_value(name, value,
					"Compression is \"none\", \"zstd\", or \"zstd:\" and a level from 1 to 19.");
	values->block.zstd_level = (uint8) level;
}

static void
read_filter(const char *name, const char *value, FmOptionValues *values)
{
	int			bits = number_after(value, "bloom:", MIN_BLOOM_BITS,
									MAX_BLOOM_BITS);

	if (strcmp(value, "auto") == 0)
		values->block.filter_kind = FM_FILTER_AUTO;
	else if (strcmp(value, "none") == 0)
		values->block.filter_kind = FM_FILTER_NONE;
	else if (strcmp(value, "fuse:8") == 0)
		values->block.filter_kind = FM_FILTER_FUSE8;
	else if (strcmp(value, "fuse:16") == 0)
		values->block.filter_kind = FM_FILTER_FUSE16;
	else if (bits != 0)
		values->block.filter_kind = FM_FILTER_BLOOM;
	else
		raise_value(name, value,
					"A filter is \"auto\", \"none\", \"fuse:8\", \"fuse:16\", or \"bloom:\" and the bits a key, from 4 to 32.");
	values->block.filter_bits = (uint8) bits;
}

static void
read_insert_mode(const char *name, const char *value, FmOptionValues *values)
{
	if (strcmp(value, "insert") == 0)
		values->insert_mode = FM_INSERT_STRICT;
	else if (strcmp(value, "upsert") == 0)
		values->insert_mode = FM_INSERT_UPSERT;
	else if (strcmp(value, "ignore") == 0)
		values->insert_mode = FM_INSERT_IGNORE;
	else
		raise_value(name, value,
					"An insert mode is \"insert\", \"upsert\" or \"ignore\".");
}

static void
read_analyze_blocks(const char *name, const char *value, FmOptionValues *values)
{
	if (!parse_int(value, &values->analyze_blocks, 0, NULL) ||
		values->analyze_blocks < 1)
		raise_value(name, value,
					"The number of data blocks that ANALYZE reads is 1 or more.");
}

static void
read_column_name(const char *name, const char *value, FmOptionValues *values)
{
	if (*value == '\0' || strlen(value) >= NAMEDATALEN)
		raise_value(name, value,
					"A column's name in the store has 1 to 63 bytes.");
	values->column_name = value;
}

static const OptionDef option_defs[] = {
	{"location", ForeignServerRelationId, read_location},
	{"read_only", ForeignServerRelationId, read_read_only},
	{"retry_timeout", ForeignServerRelationId, read_retry_timeout},
	{"retention", ForeignServerRelationId, read_retention},
	{"grace", ForeignServerRelationId, read_grace},
	{"endpoint", ForeignServerRelationId, read_endpoint},
	{"region", ForeignServerRelationId, read_region},
	{"addressing", ForeignServerRelationId, read_addressing},
	{"ca_file", ForeignServerRelationId, read_ca_file},
	{"connect_timeout", ForeignServerRelationId, read_connect_timeout},
	{"request_timeout", ForeignServerRelationId, read_request_timeout},
	{"max_requests", ForeignServerRelationId, read_max_requests},
	{"max_staleness", ForeignServerRelationId, read_max_staleness},
	{"coalesce", ForeignServerRelationId, read_coalesce},
	{"parallel", ForeignServerRelationId, read_parallel},
	{"credentials", UserMappingRelationId, read_credentials},
	{"access_key_id", UserMappingRelationId, read_access_key_id},
	{"secret_access_key", UserMappingRelationId, read_secret_access_key},
	{"session_token", UserMappingRelationId, read_session_token},
	{"key", ForeignTableRelationId, read_key},
	{"table_name", ForeignTableRelationId, read_table_name},
	{"block_size", ForeignTableRelationId, read_block_size},
	{"compression", ForeignTableRelationId, read_compression},
	{"filter", ForeignTableRelationId, read_filter},
	{"insert_mode", ForeignTableRelationId, read_insert_mode},
	{"analyze_blocks", ForeignTableRelationId, read_analyze_blocks},
	{"column_name", AttributeRelationId, read_column_name}
};

static void
init_values(FmOptionValues *values)
{
	memset(values, 0, sizeof(*values));
	values->store.retry_timeout_ms = DEFAULT_RETRY_TIMEOUT_MS;
	values->store.retention_ms = DEFAULT_RETENTION_MS;
	values->store.grace_ms = DEFAULT_GRACE_MS;
	values->store.connect_timeout_ms = DEFAULT_CONNECT_TIMEOUT_MS;
	values->store.request_timeout_ms = DEFAULT_REQUEST_TIMEOUT_MS;
	values->store.max_requests = DEFAULT_MAX_REQUESTS;
	values->store.coalesce = DEFAULT_COALESCE_KB * 1024;
	values->block.block_size = DEFAULT_BLOCK_SIZE_KB * 1024;
	values->block.codec = FM_CODEC_ZSTD;
	values->block.zstd_level = DEFAULT_ZSTD_LEVEL;
	values->block.filter_kind = FM_FILTER_AUTO;
	values->insert_mode = FM_INSERT_STRICT;
	values->analyze_blocks = DEFAULT_ANALYZE_BLOCKS;
}

/*
 * The option of the catalog whose name is nearest, if it is near; else all
 * names of that catalog in "list".
 */
static const char *
closest_option(const char *name, Oid catalog, StringInfo list)
{
	const char *closest = NULL;
	int			best = Min(4, (int) strlen(name) / 2) + 1;
	int			i;

	initStringInfo(list);
	for (i = 0; i < (int) lengthof(option_defs); i++)
	{
		const char *candidate = option_defs[i].name;
		int			distance;

		if (option_defs[i].catalog != catalog)
			continue;
		appendStringInfo(list, "%s\"%s\"", list->len > 0 ? ", " : "",
						 candidate);
		if (strlen(name) >= NAMEDATALEN)
			continue;
		distance = varstr_levenshtein_less_equal(name, (int) strlen(name),
												 candidate,
												 (int) strlen(candidate),
												 1, 1, 1, best, true);
		if (distance < best)
		{
			best = distance;
			closest = candidate;
		}
	}
	return closest;
}

static void
raise_name(const char *name, Oid catalog)
{
	StringInfoData list;
	const char *closest = closest_option(name, catalog, &list);

	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", name),
			 closest != NULL ?
			 errhint("Perhaps you meant the option \"%s\".", closest) :
			 list.len > 0 ?
			 errhint("Valid options in this context are: %s.", list.data) :
			 errhint("There are no valid options in this context.")));
}

void
fm_read_options(List *options, Oid catalog, FmOptionValues *values)
{
	ListCell   *lc;

	init_values(values);
	foreach(lc, options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);
		int			i = 0;

		while (i < (int) lengthof(option_defs) &&
			   (option_defs[i].catalog != catalog ||
				strcmp(option_defs[i].name, def->defname) != 0))
			i++;
		if (i == (int) lengthof(option_defs))
			raise_name(def->defname, catalog);
		option_defs[i].read(def->defname, defGetString(def), values);
	}
}

static void
check_location_given(const FmOptionValues *values)
{
	if (values->store.location == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("option \"location\" is required for servers of \"fusio_manifest\""),
				 errhint("Name a directory or a bucket, as in OPTIONS (location 'file:///var/lib/fusio') or OPTIONS (location 's3://bucket/fusio').")));
}

void
fm_check_key_given(const FmOptionValues *values)
{
	if (values->key == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("option \"key\" is required for foreign tables of \"fusio_manifest\""),
				 errhint("Name the columns that identify a row, as in OPTIONS (key 'tenant, id').")));
}

/* Options that would do nothing for a directory. */
static void
check_no_s3_options(List *options)
{
	static const char *const names[] =
	{"endpoint", "region", "addressing", "ca_file", "connect_timeout",
		"request_timeout", "max_requests", "max_staleness", "coalesce",
	"parallel"};
	ListCell   *lc;
	int			i;

	foreach(lc, options)
	{
		for (i = 0; i < (int) lengthof(names); i++)
		{
			if (strcmp(lfirst_node(DefElem, lc)->defname, names[i]) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
						 errmsg("option \"%s\" is for \"s3://\" locations only",
								names[i])));
		}
	}
}

static void
check_mapping(const FmMappingOptions *mapping)
{
	if (mapping->source != FM_CREDENTIALS_STATIC)
	{
		if (!superuser())
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied to set option \"%s\"",
							"credentials"),
					 errdetail("Only superusers may use credentials that are not in the user mapping.")));
		if (mapping->access_key_id != NULL ||
			mapping->secret_access_key != NULL ||
			mapping->session_token != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errmsg("keys in a user mapping are for credentials of the source \"static\" only")));
	}
	else if ((mapping->access_key_id == NULL) !=
			 (mapping->secret_access_key == NULL) ||
			 (mapping->session_token != NULL &&
			  mapping->access_key_id == NULL))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("options \"access_key_id\" and \"secret_access_key\" belong together")));
}

/*
 * fusio_manifest_validator(options text[], catalog oid)
 *
 * Whoever names a file:// location must be allowed to read and write the
 * server's files; what uses the server later is held against the rights of
 * the server's owner.
 */
Datum
fusio_manifest_validator(PG_FUNCTION_ARGS)
{
	List	   *options = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid			catalog = PG_GETARG_OID(1);
	FmOptionValues values;

	fm_read_options(options, catalog, &values);
	if (catalog == ForeignServerRelationId)
	{
		check_location_given(&values);
		if (fm_location_is_local(values.store.location))
		{
			fm_store_check_file_privileges(GetUserId());
			check_no_s3_options(options);
		}
		if (values.store.ca_file != NULL &&
			!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied to set option \"%s\"",
							"ca_file"),
					 errdetail("Only superusers and members of \"pg_read_server_files\" may name files of the server.")));
	}
	else if (catalog == UserMappingRelationId)
		check_mapping(&values.store.mapping);
	else if (catalog == ForeignTableRelationId)
		fm_check_key_given(&values);
	PG_RETURN_VOID();
}

void
fm_server_options(ForeignServer *server, FmStoreOptions *options)
{
	FmOptionValues values;

	fm_read_options(server->options, ForeignServerRelationId, &values);
	check_location_given(&values);
	*options = values.store;
	options->serverid = server->serverid;
	options->userid = InvalidOid;
	options->serverowner = server->owner;
	options->servername = server->servername;
}

FmStore *
fm_open_store(const FmStoreOptions *server, Oid userid)
{
	FmStoreOptions options = *server;
	FmOptionValues values;

	if (!fm_location_is_local(server->location))
	{
		options.userid = OidIsValid(userid) ? userid : GetUserId();
		fm_read_options(GetUserMapping(options.userid, server->serverid)->options,
						UserMappingRelationId, &values);
		options.mapping = values.store.mapping;
	}
	return fm_store_open(&options);
}
