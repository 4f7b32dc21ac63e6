/*-------------------------------------------------------------------------
 *
 * s3_location.c
 *	  What an S3 location may be, and where requests to it go.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "objstore/s3.h"

#define S3_PREFIX "s3://"
#define DEFAULT_REGION "us-east-1"

static void
raise_location(const char *location, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid location \"%s\"", location),
			 errdetail("%s", detail),
			 errhint("A location in S3 is \"s3://\", a bucket and a prefix, as in \"s3://bucket/fusio\".")));
}

static bool
is_bucket_name(const char *name, size_t len)
{
	size_t		i;

	if (len < 3 || len > 63 || name[0] == '.' || name[0] == '-')
		return false;
	for (i = 0; i < len; i++)
	{
		if (!((name[i] >= 'a' && name[i] <= 'z') ||
			  (name[i] >= 'A' && name[i] <= 'Z') ||
			  (name[i] >= '0' && name[i] <= '9') ||
			  strchr("-._", name[i]) != NULL))
			return false;
	}
	return strstr(name, "..") == NULL || strstr(name, "..") >= name + len;
}

void
fm_s3_parse_location(const char *location, char **bucket, char **prefix)
{
	const char *name = location + strlen(S3_PREFIX);
	size_t		len = strcspn(name, "/");
	const char *rest = name + len;
	const char *p;

	if (!is_bucket_name(name, len))
		raise_location(location, "It names no bucket: 3 to 63 letters, digits, dots and hyphens.");
	if (*rest == '/')
		rest++;
	if (strlen(rest) > FM_S3_MAX_LOCATION)
		raise_location(location, "Its prefix is too long.");
	for (p = rest; *p != '\0'; p++)
	{
		size_t		part = strcspn(p, "/");

		if (part == 0 || (part == 1 && p[0] == '.') ||
			(part == 2 && p[0] == '.' && p[1] == '.'))
			raise_location(location, "Its prefix has a part that is empty, \".\" or \"..\".");
		while (part-- > 0)
		{
			if ((unsigned char) *p < ' ' || *p == 0x7F)
				raise_location(location, "Its prefix has a control character.");
			p++;
		}
		if (*p == '\0')
			break;
	}
	*bucket = pnstrdup(name, len);
	*prefix = *rest == '\0' ? pstrdup("") :
		psprintf("%s%s", rest, rest[strlen(rest) - 1] == '/' ? "" : "/");
}

void
fm_s3_check_location(const char *location)
{
	char	   *bucket;
	char	   *prefix;

	fm_s3_parse_location(location, &bucket, &prefix);
	pfree(bucket);
	pfree(prefix);
}

/* Splits "https://host:port", palloc'd; false if it is not of that form. */
static bool
split_endpoint(const char *endpoint, char **scheme, char **host)
{
	const char *rest;
	const char *colon;
	char	   *end;
	unsigned long port;
	size_t		len;
	bool		secure;

	if (strncmp(endpoint, "https://", 8) == 0)
	{
		secure = true;
		rest = endpoint + 8;
	}
	else if (strncmp(endpoint, "http://", 7) == 0)
	{
		secure = false;
		rest = endpoint + 7;
	}
	else
		return false;
	len = strlen(rest);
	if (len > 0 && rest[len - 1] == '/')
		len--;
	if (len == 0 || rest[0] == ':' ||
		strspn(rest, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]") < len)
		return false;
	*scheme = pstrdup(secure ? "https" : "http");
	*host = pnstrdup(rest, len);
	colon = strrchr(*host, ':');
	if (colon == NULL || strchr(colon, ']') != NULL)
		return true;
	port = strtoul(colon + 1, &end, 10);
	if (*end != '\0' || port == 0 || port > PG_UINT16_MAX)
		return false;

	/* The header "Host" has no port that the scheme implies. */
	if (port == (secure ? 443 : 80))
		(*host)[colon - *host] = '\0';
	return true;
}

void
fm_s3_check_endpoint(const char *endpoint)
{
	char	   *scheme;
	char	   *host;

	if (!split_endpoint(endpoint, &scheme, &host))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", "endpoint",
						endpoint),
				 errhint("An endpoint is a scheme, a host and perhaps a port, as in \"https://s3.example.org\".")));
	pfree(scheme);
	pfree(host);
}

static const char *
default_region(const FmS3Store *store)
{
	const char *region = store->base.options.region;

	if (region == NULL)
		region = getenv("AWS_REGION");
	if (region == NULL || region[0] == '\0')
		region = getenv("AWS_DEFAULT_REGION");
	return region == NULL || region[0] == '\0' ? DEFAULT_REGION : region;
}

void
fm_s3_set_address(FmS3Store *store, const char *region)
{
	const FmStoreOptions *options = &store->base.options;
	MemoryContext old_context = store->address_context;
	MemoryContext old;
	char	   *scheme = NULL;
	char	   *host = NULL;
	bool		virtual = options->addressing == FM_ADDRESSING_VIRTUAL;

	store->address_context = AllocSetContextCreate(store->base.context,
												   "fusio_manifest address",
												   ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(store->address_context);
	store->region = pstrdup(region != NULL ? region : default_region(store));
	if (options->endpoint != NULL)
		(void) split_endpoint(options->endpoint, &scheme, &host);
	else
	{
		scheme = "https";
		host = psprintf("s3.%s.amazonaws.com", store->region);
		/* A certificate for *.s3.… does not cover a bucket with dots. */
		if (options->addressing == FM_ADDRESSING_AUTO)
			virtual = strpbrk(store->bucket, "._") == NULL;
	}
	store->scheme = scheme;
	store->host = virtual ? psprintf("%s.%s", store->bucket, host) : host;
	store->path_prefix = virtual ? "" : psprintf("/%s", store->bucket);
	MemoryContextSwitchTo(old);
	if (old_context != NULL)
		MemoryContextDelete(old_context);
}
