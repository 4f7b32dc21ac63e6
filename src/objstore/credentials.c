/*-------------------------------------------------------------------------
 *
 * credentials.c
 *	  Where the keys of requests come from.
 *
 * The order of look-ups and the names of variables and files are those of
 * Amazon's own tools.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "objstore/credentials.h"
#include "objstore/http.h"
#include "objstore/s3.h"
#include "objstore/sigv4.h"

#define ANSWER_ROOM (32 * 1024)
#define MAX_FILE_SIZE (1024 * 1024)
#define METADATA_TIMEOUT_MS 3000
#define METADATA_TRIES 3
#define INSTANCE_ENDPOINT "http://169.254.169.254"
#define CONTAINER_ENDPOINT "http://169.254.170.2"

static void
raise_none(const FmStoreOptions *options, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
			 errmsg("could not obtain credentials for server \"%s\"",
					options->servername),
			 errdetail("%s", detail),
			 errhint("Check the options of the user mapping and the environment of the server process.")));
}

static char *
copy_or_null(const char *text)
{
	return text == NULL || text[0] == '\0' ? NULL : pstrdup(text);
}

/* A variable of the environment; NULL if it is not set or empty. */
static const char *
variable(const char *name)
{
	const char *value = getenv(name);

	return value == NULL || value[0] == '\0' ? NULL : value;
}

/* A whole file, palloc'd; NULL if there is none. */
static char *
read_file(const char *path)
{
	FILE	   *file = AllocateFile(path, PG_BINARY_R);
	StringInfoData text;
	char		part[4096];
	size_t		n;

	if (file == NULL)
	{
		if (errno == ENOENT)
			return NULL;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m", path)));
	}
	initStringInfo(&text);
	while ((n = fread(part, 1, sizeof(part), file)) > 0 &&
		   text.len < MAX_FILE_SIZE)
		appendBinaryStringInfo(&text, part, (int) n);
	FreeFile(file);
	return text.data;
}

static char *
trim(char *line)
{
	size_t		len;

	while (*line == ' ' || *line == '\t')
		line++;
	len = strlen(line);
	while (len > 0 && strchr(" \t\r\n", line[len - 1]) != NULL)
		line[--len] = '\0';
	return line;
}

/* ---- environment ---- */

static void
read_environment(const FmStoreOptions *options, FmCredentials *result)
{
	result->access_key_id = copy_or_null(variable("AWS_ACCESS_KEY_ID"));
	result->secret_access_key =
		copy_or_null(variable("AWS_SECRET_ACCESS_KEY"));
	result->session_token = copy_or_null(variable("AWS_SESSION_TOKEN"));
	result->source = "environment";
	if (result->access_key_id == NULL || result->secret_access_key == NULL)
		raise_none(options, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not both set in the environment of the server process.");
}

/* ---- profile ---- */

/* Takes the keys of a section of an INI file. */
static void
read_section(char *text, const char *section, FmCredentials *result)
{
	bool		inside = false;
	char	   *save = NULL;
	char	   *line;

	for (line = strtok_r(text, "\n", &save); line != NULL;
		 line = strtok_r(NULL, "\n", &save))
	{
		char	   *equal;
		char	   *name;
		char	   *value;

		line = trim(line);
		if (*line == '[')
		{
			char	   *end = strchr(line, ']');

			if (end != NULL)
				*end = '\0';
			inside = strcmp(trim(line + 1), section) == 0;
			continue;
		}
		equal = strchr(line, '=');
		if (!inside || *line == '#' || *line == ';' || equal == NULL)
			continue;
		*equal = '\0';
		name = trim(line);
		value = trim(equal + 1);
		if (strcmp(name, "aws_access_key_id") == 0)
			result->access_key_id = pstrdup(value);
		else if (strcmp(name, "aws_secret_access_key") == 0)
			result->secret_access_key = pstrdup(value);
		else if (strcmp(name, "aws_session_token") == 0)
			result->session_token = pstrdup(value);
	}
}

static char *
home_file(const char *variable_name, const char *name)
{
	const char *path = variable(variable_name);
	const char *home = variable("HOME");

	if (path != NULL)
		return pstrdup(path);
	return home == NULL ? NULL : psprintf("%s/.aws/%s", home, name);
}

static void
read_profile(const FmStoreOptions *options, FmCredentials *result)
{
	const char *profile = variable("AWS_PROFILE");
	char	   *config = home_file("AWS_CONFIG_FILE", "config");
	char	   *shared = home_file("AWS_SHARED_CREDENTIALS_FILE",
								   "credentials");
	char	   *lines;

	if (profile == NULL)
		profile = "default";
	lines = config != NULL ? read_file(config) : NULL;
	if (lines != NULL)
		read_section(lines, strcmp(profile, "default") == 0 ? profile :
					 psprintf("profile %s", profile), result);

	/* What the credentials file says goes before the configuration. */
	lines = shared != NULL ? read_file(shared) : NULL;
	if (lines != NULL)
		read_section(lines, profile, result);
	result->source = psprintf("profile \"%s\"", profile);
	if (result->access_key_id == NULL || result->secret_access_key == NULL)
		raise_none(options,
				   psprintf("Neither \"%s\" nor \"%s\" has keys of the profile \"%s\".",
							shared != NULL ? shared : "~/.aws/credentials",
							config != NULL ? config : "~/.aws/config",
							profile));
}

/* ---- services ---- */

static const FmSlice nothing = {NULL, 0};

static void
raise_no_answer(const FmStore *store, const char *url, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("could not obtain credentials for server \"%s\"",
					store->options.servername),
			 errdetail("No answer from %s: %s", url, why),
			 errhint("Check the environment of the server process, and the network.")));
}

static FmHttpRequest *
ask(const FmStore *store, const char *method, const char *url,
	const char *const *headers, FmSlice body, bool direct)
{
	FmHttpRequest *request = palloc0(sizeof(FmHttpRequest));
	static FmHttpPace pace;
	FmHttpOptions http_options;
	int			tries = 0;

	request->method = method;
	request->url = url;
	request->headers = headers;
	request->body = body;
	request->dest = palloc0(ANSWER_ROOM);
	request->dest_size = ANSWER_ROOM - 1;
	memset(&http_options, 0, sizeof(http_options));
	http_options.ca_file = store->options.ca_file;
	http_options.direct = direct;
	http_options.max_parallel = 1;
	http_options.wait_event = fm_wait_event(FM_WAIT_CREDENTIALS);
	http_options.pace = &pace;
	do
	{
		request->timeout_ms = Min(METADATA_TIMEOUT_MS,
								  fm_store_left_ms(store));
		http_options.connect_timeout_ms = request->timeout_ms;
		fm_http_perform(&request, 1, &http_options);
		if (request->outcome == FM_HTTP_ANSWERED && request->status < 500)
			break;
		fm_store_check_deadline(store, "What hands out the credentials");
	} while (++tries < METADATA_TRIES);
	if (request->outcome != FM_HTTP_ANSWERED)
		raise_no_answer(store, url, request->message);
	if (request->status >= 500)
		raise_no_answer(store, url, psprintf("status %d", request->status));
	if (request->status != 200)
		raise_none(&store->options, psprintf("%s answered %d.", url,
											 request->status));
	request->dest[request->received] = '\0';
	return request;
}

/*
 * Asks a service of this machine, the only one that it gives credentials to:
 * a proxy would hand out its own, or see ours.
 */
static char *
ask_nearby(const FmStore *store, const char *method, const char *url,
		   const char *const *headers)
{
	return (char *) ask(store, method, url, headers, nothing, true)->dest;
}

static TimestampTz
parse_time(const char *text)
{
	return DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in,
												   CStringGetDatum(text),
												   ObjectIdGetDatum(InvalidOid),
												   Int32GetDatum(-1)));
}

/* The text of a member of a JSON object; NULL if there is none. */
static char *
json_member(Datum object, const char *name)
{
	JsonbValue	buffer;
	JsonbValue *value;

	value = getKeyJsonValueFromContainer(&DatumGetJsonbP(object)->root, name,
										 (int) strlen(name), &buffer);
	if (value == NULL || value->type != jbvString)
		return NULL;
	return pnstrdup(value->val.string.val, value->val.string.len);
}

static void
take_json(const FmStoreOptions *options, const char *json,
		  FmCredentials *result)
{
	Datum		object = DirectFunctionCall1(jsonb_in, CStringGetDatum(json));
	char	   *expires;

	if (!JB_ROOT_IS_OBJECT(DatumGetJsonbP(object)))
		raise_none(options, "The answer is not a JSON object.");
	result->access_key_id = json_member(object, "AccessKeyId");
	result->secret_access_key = json_member(object, "SecretAccessKey");
	result->session_token = json_member(object, "Token");
	expires = json_member(object, "Expiration");
	if (expires != NULL)
		result->expires = parse_time(expires);
	if (result->access_key_id == NULL || result->secret_access_key == NULL)
		raise_none(options, "The answer has no keys.");
}

static void
read_container(const FmStore *store, FmCredentials *result)
{
	const char *relative = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *token = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN");
	const char *token_file =
	variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *headers[2] = {NULL, NULL};
	const char *url = relative != NULL ?
	psprintf("%s%s", CONTAINER_ENDPOINT, relative) :
	variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	char	   *text;

	if (token_file != NULL && (text = read_file(token_file)) !=NULL)
		token = trim(text);
	if (token != NULL)
		headers[0] = psprintf("Authorization: %s", token);
	take_json(&store->options, ask_nearby(store, "GET", url, headers), result);
	result->source = "container";
}

/* The second version of the instance's metadata service: a token first. */
static void
read_instance(const FmStore *store, FmCredentials *result)
{
	static const char *const token_headers[] =
	{"X-aws-ec2-metadata-token-ttl-seconds: 21600", NULL};
	const char *endpoint = variable("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	const char *headers[2] = {NULL, NULL};
	const char *roles;
	char	   *role;

	if (variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") != NULL ||
		variable("AWS_CONTAINER_CREDENTIALS_FULL_URI") != NULL)
	{
		read_container(store, result);
		return;
	}
	if (endpoint == NULL)
		endpoint = INSTANCE_ENDPOINT;
	headers[0] = psprintf("X-aws-ec2-metadata-token: %s",
						  ask_nearby(store, "PUT",
									 psprintf("%s/latest/api/token", endpoint),
									 token_headers));
	roles = psprintf("%s/latest/meta-data/iam/security-credentials/",
					 endpoint);
	role = ask_nearby(store, "GET", roles, headers);
	role[strcspn(role, "\r\n")] = '\0';
	take_json(&store->options,
			  ask_nearby(store, "GET", psprintf("%s%s", roles, role), headers),
			  result);
	result->source = psprintf("instance role \"%s\"", role);
}

static char *
need_xml(const FmStoreOptions *options, const char *xml, const char *element)
{
	char	   *text = fm_s3_xml_text(xml, element);

	if (text == NULL)
		raise_none(options, psprintf("The answer has no %s.", element));
	return text;
}

/* The token goes into the body: addresses are logged, and shown in errors. */
static void
read_web_identity(const FmStore *store, FmCredentials *result)
{
	static const char *const headers[] =
	{"Content-Type: application/x-www-form-urlencoded; charset=utf-8", NULL};
	const char *file = variable("AWS_WEB_IDENTITY_TOKEN_FILE");
	const char *role = variable("AWS_ROLE_ARN");
	const char *session = variable("AWS_ROLE_SESSION_NAME");
	const char *endpoint = variable("AWS_ENDPOINT_URL_STS");
	const char *region = variable("AWS_REGION");
	const char *xml;
	StringInfoData body;
	char	   *token;

	if (file == NULL || role == NULL)
		raise_none(&store->options, "AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN are not both set in the environment of the server process.");
	token = read_file(file);
	if (token == NULL)
		raise_none(&store->options, psprintf("File \"%s\" does not exist.", file));
	if (endpoint == NULL)
		endpoint = region == NULL ? "https://sts.amazonaws.com" :
			psprintf("https://sts.%s.amazonaws.com", region);
	initStringInfo(&body);
	appendStringInfoString(&body, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=");
	fm_uri_encode(&body, role, false);
	appendStringInfoString(&body, "&RoleSessionName=");
	fm_uri_encode(&body, session != NULL ? session : "fusio_manifest", false);
	appendStringInfoString(&body, "&WebIdentityToken=");
	fm_uri_encode(&body, trim(token), false);
	xml = (char *) ask(store, "POST", psprintf("%s/", endpoint), headers,
					   fm_slice(body.data, body.len), false)->dest;
	result->access_key_id = need_xml(&store->options, xml, "AccessKeyId");
	result->secret_access_key = need_xml(&store->options, xml, "SecretAccessKey");
	result->session_token = need_xml(&store->options, xml, "SessionToken");
	result->expires = parse_time(need_xml(&store->options, xml, "Expiration"));
	result->source = psprintf("web identity, role \"%s\"", role);
}

static void
read_static(const FmStoreOptions *options, FmCredentials *result)
{
	const FmMappingOptions *mapping = &options->mapping;

	result->access_key_id = copy_or_null(mapping->access_key_id);
	result->secret_access_key = copy_or_null(mapping->secret_access_key);
	result->session_token = copy_or_null(mapping->session_token);
	result->source = "user mapping";
	if (result->access_key_id == NULL || result->secret_access_key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("user mapping for server \"%s\" has no credentials",
						options->servername),
				 errhint("Set its options \"access_key_id\" and \"secret_access_key\".")));
}

/* What the server's own user may read is not for everyone. */
void
fm_credentials_check_user(const FmStoreOptions *options)
{
	if (options->mapping.source != FM_CREDENTIALS_STATIC &&
		!superuser_arg(options->userid))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for the credentials of server \"%s\"",
						options->servername),
				 errdetail("Only superusers may use credentials that are not in the user mapping."),
				 errhint("Set \"access_key_id\" and \"secret_access_key\" in the user mapping.")));
}

FmCredentials *
fm_credentials_read(const FmStore *store)
{
	const FmStoreOptions *options = &store->options;
	MemoryContext context;
	MemoryContext old;
	FmCredentials *result;

	fm_credentials_check_user(options);
	context = AllocSetContextCreate(CurrentMemoryContext,
									"fusio_manifest credentials",
									ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	result = palloc0(sizeof(FmCredentials));
	result->context = context;
	result->expires = DT_NOEND;
	switch (options->mapping.source)
	{
		case FM_CREDENTIALS_STATIC:
			read_static(options, result);
			break;
		case FM_CREDENTIALS_ENVIRONMENT:
			read_environment(options, result);
			break;
		case FM_CREDENTIALS_PROFILE:
			read_profile(options, result);
			break;
		case FM_CREDENTIALS_WEB_IDENTITY:
			read_web_identity(store, result);
			break;
		case FM_CREDENTIALS_INSTANCE:
			read_instance(store, result);
			break;
	}
	MemoryContextSwitchTo(old);
	MemoryContextSetParent(context, store->context);
	return result;
}

void
fm_credentials_free(FmCredentials *credentials)
{
	if (credentials != NULL)
		MemoryContextDelete(credentials->context);
}
