/*-------------------------------------------------------------------------
 *
 * write_buffer.h
 *	  A transaction's own changes of one table, until it commits.
 *
 * Versions of a key are kept newest first, each with the command and
 * subtransaction that wrote it and the HEAD version that its statement read
 * (the base).  A reader names the command id below which it sees changes.
 * Entries of aborted subtransactions are filtered when read.
 *
 * In memory: entries in an arena, a hash table by key, and an array that is
 * sorted when somebody scans.  Above its budget the buffer spills: it writes
 * itself, sorted, as a run (format/run.h, raw blocks) into a BufFile and
 * starts empty; look-ups, scans and the base of a key see through to spills.
 *
 * An error leaves the buffer as it was before the call.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_WRITE_BUFFER_H
#define FM_WRITE_BUFFER_H

#include "base/buffer.h"
#include "format/merge.h"

typedef struct FmWriteBuffer FmWriteBuffer;
typedef struct FmBufferScan FmBufferScan;

typedef enum FmChangeKind
{
	FM_PUT,
	FM_TOMBSTONE,
	FM_LOCK						/* a row lock: only for the conflict check */
} FmChangeKind;

typedef struct FmBufferEntry
{
	FmSlice		key;
	FmSlice		row;			/* FM_PUT only */
	FmChangeKind kind;
	bool		upsert;			/* does not care what was there before */
	CommandId	cid;
	SubTransactionId subid;
	uint64		base;			/* HEAD version that the statement read: of
								 * the first change of the key by a command */
} FmBufferEntry;

/* Sees all of one's own changes, whatever the command. */
#define FM_ALL_COMMANDS InvalidCommandId

/*
 * Creates a buffer in a child of "parent".  budget in bytes of memory; above
 * it the buffer spills.  Spilled files belong to the resource owner of the
 * top transaction.
 */
extern FmWriteBuffer *fm_write_buffer_create(MemoryContext parent, Size budget);

/*
 * An empty buffer for a row to be encoded in, until the write buffer next
 * changes.  A large row that is added from there is not copied.
 */
extern FmBuf *fm_write_buffer_row(FmWriteBuffer *buffer);

/* Adds a change; key and row are copied.  hash is fm_key_hash(key). */
extern void fm_write_buffer_add(FmWriteBuffer *buffer, FmSlice key,
								uint64 hash, FmChangeKind kind, FmSlice row,
								bool upsert, CommandId cid, uint64 base);

/*
 * The newest put or tombstone of a key by a command before curcid; false if
 * there is none.  entry's slices live until the buffer next changes or is
 * searched.
 */
extern bool fm_write_buffer_find(FmWriteBuffer *buffer, FmSlice key,
								 uint64 hash, CommandId curcid,
								 FmBufferEntry *entry);

/*
 * What the conflict check needs of a key: the least base of its live changes
 * and locks, and whether all of them are upserts.  False: not touched.
 */
extern bool fm_write_buffer_touched(FmWriteBuffer *buffer, FmSlice key,
									uint64 hash, uint64 *base,
									bool *all_upserts);

/*
 * No live change and no lock?  May say false after rollbacks: then a scan
 * shows nothing.
 */
extern bool fm_write_buffer_is_empty(FmWriteBuffer *buffer);

/* Number of changes added (estimates; aborted ones count). */
extern uint64 fm_write_buffer_count(FmWriteBuffer *buffer);

/* Bytes of keys and rows added (likewise). */
extern uint64 fm_write_buffer_bytes(FmWriteBuffer *buffer);

/*
 * A scan of the newest visible version of each key in [lower, upper) (an
 * empty slice: unbounded), ascending or descending; puts and tombstones,
 * locks too if with_locks.  It is a merge source that stands before its first
 * entry: source.next moves, and entry.extra points to the FmBufferEntry.
 * Entries are copied into the scan: they live until its next move, whatever
 * the buffer does meanwhile.  Stays right while the buffer changes and
 * spills; it may or may not see what is added after it began.  Lives in the
 * current memory context; one that is not ended harms nothing.
 */
extern FmBufferScan *fm_buffer_scan_begin(FmWriteBuffer *buffer, FmSlice lower,
										  FmSlice upper, bool backward,
										  CommandId curcid, bool with_locks);
extern FmMergeSource *fm_buffer_scan_source(FmBufferScan *scan);

/*
 * Spares the copies of rows: the buffer is not changed, nor searched, while
 * the scan is on.
 */
extern void fm_buffer_scan_in_place(FmBufferScan *scan);
extern void fm_buffer_scan_end(FmBufferScan *scan);

/*
 * Drops what the subtransaction and its children wrote; neither raises nor
 * allocates.  A committed one needs no call: subtransactions are numbered as
 * they start, so that at its abort all from its number on are its children.
 */
extern void fm_write_buffer_subabort(FmWriteBuffer *buffer,
									 SubTransactionId subid);

/* Frees everything, files too.  Scans of it must have ended. */
extern void fm_write_buffer_free(FmWriteBuffer *buffer);

#endif							/* FM_WRITE_BUFFER_H */
