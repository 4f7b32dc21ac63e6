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
#include "compat.h"
#include "objstore/store.h"

/* SQLSTATE of a status (an errcode value). */
extern int	fm_status_sqlstate(FmStatus status);

/*
 * Raises an error for damage found in an object of a store: names the object
 * and the offset ("could not read block at offset N of run "..."" with the
 * fault's phrase as detail).  FM_UNSUPPORTED gives 0A000 and the hint that
 * the table must be rebuilt.  offset is added to the fault's.
 */
FM_NORETURN extern void fm_raise_object_fault(FmStore *store,
											  FmObjectKind kind,
											  const FmId *id,
											  uint64_t offset,
											  const FmFault *fault);

/* The same for HEAD. */
FM_NORETURN extern void fm_raise_head_fault(FmStore *store,
											const FmFault *fault);

/* Says in the log that bytes are read again: they may be wrong by the way. */
extern void fm_log_object_fault(FmStore *store, FmObjectKind kind,
								const FmId *id, uint64_t offset,
								const FmFault *fault);
extern void fm_log_head_fault(FmStore *store, const FmFault *fault);

/*
 * Raises for an object that HEAD named and the store has not: 72000 if the
 * log floor has passed "version", the one that was being read, so that the
 * object may have been collected; else XX001.  Reads HEAD.
 */
FM_NORETURN extern void fm_raise_missing_object(FmStore *store,
												FmObjectKind kind,
												const FmId *id,
												uint64_t version);

/* Raises for a status of an encoder (memory, limits); OK returns. */
extern void fm_check_status(FmStatus status, const char *what);

#endif							/* FM_PG_STATUS_H */
