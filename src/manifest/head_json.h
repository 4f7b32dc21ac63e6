/*-------------------------------------------------------------------------
 *
 * head_json.h
 *	  HEAD as jsonb.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_HEAD_JSON_H
#define FM_HEAD_JSON_H

#include "utils/jsonb.h"

#include "format/head.h"

/*
 * Everything that HEAD says, in the current memory context: ids as hex
 * digits, times as timestamptz, checksums and keys left out.  Tables and
 * levels that were not loaded from their pages show the page alone.
 */
extern Jsonb *fm_head_to_jsonb(const FmHead *head);

#endif							/* FM_HEAD_JSON_H */
