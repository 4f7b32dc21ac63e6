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
 * digits, times as timestamptz, checksums and bounds left out.  Of a table in
 * a page that was not loaded there is the name alone.
 */
extern Jsonb *fm_head_to_jsonb(const FmHead *head);

#endif							/* FM_HEAD_JSON_H */
