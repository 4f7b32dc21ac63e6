/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Differences between the supported major versions of PostgreSQL.
 *
 * For backend files only; below every folder.  Nothing else in the tree asks
 * for the version.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_COMPAT_H
#define FM_COMPAT_H

#include "catalog/pg_class.h"
#include "catalog/pg_foreign_server.h"
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif
#include "funcapi.h"
#include "utils/acl.h"
#include "utils/pg_locale.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#ifdef WORDS_BIGENDIAN
#error "values are stored as images of little-endian servers"
#endif

/* Goes before a declaration. */
#if PG_VERSION_NUM >= 180000
#define FM_NORETURN pg_noreturn
#else
#define FM_NORETURN pg_attribute_noreturn()
#endif

/* Extensions may name their wait events. */
#if PG_VERSION_NUM >= 170000
#define FM_NAMED_WAIT_EVENTS
#endif

/* A snapshot's data has been collected; core dropped the code in 17. */
#ifndef ERRCODE_SNAPSHOT_TOO_OLD
#define ERRCODE_SNAPSHOT_TOO_OLD MAKE_SQLSTATE('7', '2', '0', '0', '0')
#endif

/* pg_attribute.attgenerated; virtual generated columns came with 18. */
#ifdef ATTRIBUTE_GENERATED_VIRTUAL
#define FM_ATTRIBUTE_GENERATED_VIRTUAL ATTRIBUTE_GENERATED_VIRTUAL
#else
#define FM_ATTRIBUTE_GENERATED_VIRTUAL 'v'
#endif

/* True if a collation compares bytes. */
static inline bool
fm_collation_is_c(Oid collation)
{
#if PG_VERSION_NUM >= 180000
	return pg_newlocale_from_collation(collation)->collate_is_c;
#else
	return lc_collate_is_c(collation);
#endif
}

/* Is the role the owner of a table, or of a server? */
static inline bool
fm_owns_table(Oid relid, Oid roleid)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(RelationRelationId, relid, roleid);
#else
	return pg_class_ownercheck(relid, roleid);
#endif
}

static inline bool
fm_may_use_server(Oid serverid, Oid roleid)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(ForeignServerRelationId, serverid, roleid,
						   ACL_USAGE) == ACLCHECK_OK;
#else
	return pg_foreign_server_aclcheck(serverid, roleid,
									  ACL_USAGE) == ACLCHECK_OK;
#endif
}

static inline bool
fm_owns_server(Oid serverid, Oid roleid)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(ForeignServerRelationId, serverid, roleid);
#else
	return pg_foreign_server_ownercheck(serverid, roleid);
#endif
}

#if PG_VERSION_NUM >= 160000
#define fm_qualified_name_list(name) stringToQualifiedNameList(name, NULL)
#else
#define fm_qualified_name_list(name) stringToQualifiedNameList(name)
#endif

/* Is a row comparison < or <=?  RowCompareExpr has two names for its kind. */
#if PG_VERSION_NUM >= 180000
#define fm_row_is_less(row) \
	((row)->cmptype == COMPARE_LT || (row)->cmptype == COMPARE_LE)
#else
#define fm_row_is_less(row) \
	((row)->rctype == ROWCOMPARE_LT || (row)->rctype == ROWCOMPARE_LE)
#endif

#if PG_VERSION_NUM >= 180000
#define fm_analyze_delay_point() vacuum_delay_point(true)
#else
#define fm_analyze_delay_point() vacuum_delay_point()
#endif

#if PG_VERSION_NUM < 160000
#define InitMaterializedSRF(fcinfo, flags) SetSingleFuncCall(fcinfo, flags)
#endif

/*
 * The role whose rights a relation is read or written with.  For the
 * executor's macros, include executor/executor.h.
 */
#if PG_VERSION_NUM >= 160000
#define fm_rel_check_as_user(root, rel) ((rel)->userid)
#define fm_scan_check_as_user(node) \
	(castNode(ForeignScan, (node)->ss.ps.plan)->checkAsUser)
#define fm_result_check_as_user(rinfo, estate) \
	ExecGetResultRelCheckAsUser(rinfo, estate)
#else
#define fm_rel_check_as_user(root, rel) \
	(planner_rt_fetch((rel)->relid, root)->checkAsUser)
#define fm_scan_check_as_user(node) \
	(exec_rt_fetch(castNode(ForeignScan, (node)->ss.ps.plan)->scan.scanrelid, \
				   (node)->ss.ps.state)->checkAsUser)
#define fm_result_check_as_user(rinfo, estate) \
	((rinfo)->ri_RangeTableIndex > 0 ? \
	 exec_rt_fetch((rinfo)->ri_RangeTableIndex, estate)->checkAsUser : \
	 (rinfo)->ri_RootResultRelInfo != NULL ? \
	 exec_rt_fetch((rinfo)->ri_RootResultRelInfo->ri_RangeTableIndex, \
				   estate)->checkAsUser : InvalidOid)
#endif

/* The index of this backend in ProcGlobal->allProcs. */
#if PG_VERSION_NUM >= 170000
#define fm_my_proc_number() MyProcNumber
#else
#define fm_my_proc_number() MyProc->pgprocno
#endif

/* A set of events whose end the caller looks after. */
#if PG_VERSION_NUM >= 170000
#define fm_create_wait_event_set(n) CreateWaitEventSet(NULL, n)
#else
#define fm_create_wait_event_set(n) \
	CreateWaitEventSet(TopMemoryContext, n)
#endif

/* Planner functions that gained or lost arguments (used by fdw/plan.c). */
#if PG_VERSION_NUM >= 170000
#define fm_estimate_array_length(root, node) estimate_array_length(root, node)
#else
#define fm_estimate_array_length(root, node) estimate_array_length(node)
#endif

#if PG_VERSION_NUM >= 160000
#define fm_build_expression_pathkey(root, expr, op, rel) \
	build_expression_pathkey(root, expr, op, (rel)->relids, false)
#else
#define fm_build_expression_pathkey(root, expr, op, rel) \
	build_expression_pathkey(root, expr, NULL, op, (rel)->relids, false)
#endif

#if PG_VERSION_NUM >= 180000
#define fm_create_foreignscan_path(root, rel, rows, startup, total, pathkeys, \
								   outer, private) \
	create_foreignscan_path(root, rel, NULL, rows, 0, startup, total, \
							pathkeys, outer, NULL, NIL, private)
#elif PG_VERSION_NUM >= 170000
#define fm_create_foreignscan_path(root, rel, rows, startup, total, pathkeys, \
								   outer, private) \
	create_foreignscan_path(root, rel, NULL, rows, startup, total, \
							pathkeys, outer, NULL, NIL, private)
#else
#define fm_create_foreignscan_path(root, rel, rows, startup, total, pathkeys, \
								   outer, private) \
	create_foreignscan_path(root, rel, NULL, rows, startup, total, \
							pathkeys, outer, NULL, private)
#endif

#endif							/* FM_COMPAT_H */
