/*-------------------------------------------------------------------------
 *
 * switches.c
 *	  Settings for experiments; defined as GUCs in guc.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "engine/switches.h"

bool		fm_enable_filter = true;
bool		fm_enable_sparse_index = true;
bool		fm_enable_cache = true;
