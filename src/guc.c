/*-------------------------------------------------------------------------
 *
 * guc.c
 *	  Settings.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "utils/guc.h"

#include "engine/switches.h"
#include "engine/xact.h"
#include "guc.h"
#include "objstore/local.h"

static int	cache_size_kb = 128 * 1024;

Size
fm_guc_cache_size(void)
{
	return (Size) cache_size_kb * 1024;
}

static void
define_switch(const char *name, const char *description, bool *variable)
{
	DefineCustomBoolVariable(name, description, NULL, variable, true,
							 PGC_USERSET, GUC_EXPLAIN, NULL, NULL, NULL);
}

void
fm_guc_init(bool preloading)
{
	if (preloading)
		DefineCustomIntVariable("fusio_manifest.cache_size",
								"Sets the size of the shared cache of blocks.",
								NULL, &cache_size_kb, 128 * 1024, 1024,
								MAX_KILOBYTES, PGC_POSTMASTER, GUC_UNIT_KB,
								NULL, NULL, NULL);
	DefineCustomIntVariable("fusio_manifest.write_buffer",
							"Sets the memory for the changes of a transaction in one table.",
							"Above it they are written to temporary files.",
							&fm_write_buffer_kb, 64 * 1024, 256,
							MAX_KILOBYTES, PGC_USERSET, GUC_UNIT_KB, NULL,
							NULL, NULL);
	DefineCustomIntVariable("fusio_manifest.commit_timeout",
							"Sets the longest time that a commit may wait for its store.",
							"Zero turns it off.", &fm_commit_timeout_ms,
							0, 0, INT_MAX, PGC_USERSET, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomBoolVariable("fusio_manifest.allow_network_filesystem",
							 "Allows locations on network file systems.",
							 "They must lock files and synchronise directories as local ones do.",
							 &fm_allow_network_filesystem, false, PGC_SUSET, 0,
							 NULL, NULL, NULL);
	define_switch("fusio_manifest.enable_filter",
				  "Enables look-ups to ask the filters of runs.",
				  &fm_enable_filter);
	define_switch("fusio_manifest.enable_sparse_index",
				  "Enables look-ups to use the sparse index of runs.",
				  &fm_enable_sparse_index);
	define_switch("fusio_manifest.enable_cache",
				  "Enables the cache for data blocks.", &fm_enable_cache);
	MarkGUCPrefixReserved("fusio_manifest");
}
