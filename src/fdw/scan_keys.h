/*-------------------------------------------------------------------------
 *
 * scan_keys.h
 *	  What the conditions of a scan ask for, once their values are known.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_SCAN_KEYS_H
#define FM_SCAN_KEYS_H

#include "nodes/execnodes.h"

#include "engine/lookup.h"
#include "engine/sample.h"
#include "fdw/option.h"

typedef struct FmKeyConditions FmKeyConditions;

/* Keys to look up, or ranges to read: ascending and disjoint. */
typedef struct FmScanKeys
{
	bool		is_full;		/* keys */
	int			n;				/* of either; 0: no row can match */
	FmLookupKey *keys;
	FmKeyRange *ranges;
} FmScanKeys;

/* Prepares the conditions of node's plan, in the current memory context. */
extern FmKeyConditions *fm_key_conditions_init(ForeignScanState *node,
											   const FmTableOptions *options);

/* Number of conditions. */
extern int	fm_key_conditions_count(const FmKeyConditions *conditions);

/* True if they fix every key column: most often, keys will be looked up. */
extern bool fm_key_conditions_are_full(const FmKeyConditions *conditions);

/*
 * Evaluates the conditions.  What *found points to is in the current memory
 * context, or in conditions: it is good until the next call.
 */
extern void fm_key_conditions_evaluate(FmKeyConditions *conditions,
									   ExprContext *econtext,
									   FmScanKeys *found);

#endif							/* FM_SCAN_KEYS_H */
