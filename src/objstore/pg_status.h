/*-------------------------------------------------------------------------
 *
 * pg_status.h
 *	  The one map from FmStatus to SQLSTATE.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_PG_STATUS_H
#define FM_PG_STATUS_H

#include "base/status.h"
#include "objstore/store.h"

/* SQLSTATE of a status (an errcode value). */
extern int	fm_status_sqlstate(FmStatus status);

/*
 * Raises an error for damage found in an object of a store: names the object
 * and the offset ("could not read block at offset N of run "..."" with the
 * fault's phrase as detail).  FM_UNSUPPORTED gives 0A000 and the hint that
 * the table must be rebuilt.  offset is added to the fault's.
 */
extern void fm_raise_object_fault(FmStore *store, FmObjectKind kind,
								  const FmId *id, uint64_t offset,
								  const FmFault *fault) pg_attribute_noreturn();

/* The same for HEAD. */
extern void fm_raise_head_fault(FmStore *store, const FmFault *fault) pg_attribute_noreturn();

/* Raises for a status of an encoder (memory, limits); OK returns. */
extern void fm_check_status(FmStatus status, const char *what);

#endif							/* FM_PG_STATUS_H */
