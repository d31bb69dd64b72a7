/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index of aborted transactions of one segment.
 *
 * Format (.txnindex files): entries of 34 bytes, int16 version 0, int64 producerId, int64 firstOffset (first
 * of the transaction, perhaps in an earlier segment), int64 lastOffset (of the ABORT marker, in this
 * segment), int64 lastStableOffset (once this transaction was complete). lastOffset rises strictly. There is
 * no file where there is no entry.
 *
 * Unlike the other indexes this one is no hint: an entry that is lost makes aborted records visible. So what
 * a file lacks must be durable before the recovery point moves past the marker (log_flush does that), and
 * what a segment at or above the recovery point has is made anew after a crash. What is not sane at a start
 * is made anew too, from the batches.
 *
 * All entries are in memory; the file follows at a flush, a roll and a clean stop. Not thread-safe: guarded
 * by the log's owner.
 */
#ifndef BROKER_LOG_TRANSACTION_INDEX_H
#define BROKER_LOG_TRANSACTION_INDEX_H

#include "common/base.h"
#include "common/file.h"

#define TRANSACTION_INDEX_ENTRY_BYTES 34

struct aborted_transaction {
    int64_t producer_id;
    int64_t first_offset;
    int64_t last_offset;        /* of the marker */
    int64_t last_stable_offset; /* once this one was complete */
};

struct transaction_index {
    struct file_system *files;
    char *path;
    struct aborted_transaction *entries;
    size_t count;
    size_t capacity;
    size_t written;  /* the first entries are in the file as they are here */
    bool file_known; /* the file has `written` entries and nothing else; no file: none */
    bool loaded;
    bool must_replace; /* the file is damaged where it must not be, and could not be replaced */
    uint64_t version;  /* counts writes of the file */
    uint64_t synced;   /* the version that is durable */
};

/* Takes a copy of the path. Touches no file. */
void transaction_index_init(struct transaction_index *index, struct file_system *files, const char *path);
void transaction_index_release(struct transaction_index *index);
/* There is no file, as the folder's listing tells: the index is loaded, and empty. */
void transaction_index_set_missing(struct transaction_index *index);
/* There is one: what it has is not known yet. */
void transaction_index_set_present(struct transaction_index *index);

/*
 * Reads the file where that was not done yet. 0 (also when there is none); -EBADMSG where it is not what a
 * segment with offsets in [base_offset, end_offset) can have: it must be made anew; -errno.
 */
MUST_CHECK int transaction_index_load(struct transaction_index *index, int64_t base_offset,
                                      int64_t end_offset);
/* Empties it in memory, to be filled anew; it counts as loaded. */
void transaction_index_restart(struct transaction_index *index);
/* Adds an entry in memory; one whose marker does not come behind the last one's is left out. Loaded. */
void transaction_index_append(struct transaction_index *index, const struct aborted_transaction *entry);
/* Forgets, in memory, the markers at and above `offset`. Loaded. */
void transaction_index_truncate(struct transaction_index *index, int64_t offset);
/*
 * Brings the file to what is in memory: what is missing is added, or what is too much cut. *name_changed is
 * set (never cleared) where the file was made or removed. Syncs nothing; whoever syncs notes `version` before
 * and sets `synced` to it after. 0, or -errno: the file may have a part, a later call puts it right.
 * After a transaction_index_replace that failed it does that again.
 */
MUST_CHECK int transaction_index_write(struct transaction_index *index, bool *name_changed);
/* The same for one that is below the recovery point: the old or the new content survives a crash, durable
 * when this returns 0. -errno. */
MUST_CHECK int transaction_index_replace(struct transaction_index *index);
/* Removes the file. 0, or -errno; a missing file is fine. */
MUST_CHECK int transaction_index_remove(struct transaction_index *index);

typedef void transaction_visit(void *context, const struct aborted_transaction *entry);

/*
 * Visits the entries that touch [from, to): marker at or above `from`, first offset below `to`. True where no
 * later entry, here or in a later segment, can touch it: one here says that all was decided up to `to`.
 * Loaded.
 */
bool transaction_index_collect(const struct transaction_index *index, int64_t from, int64_t to,
                               transaction_visit *visit, void *context);

/*
 * Writes a whole new file, for compaction: `path` is made or emptied first, and synced. With no entries
 * nothing is made. 0, or -errno.
 */
MUST_CHECK int transaction_index_write_file(struct file_system *files, const char *path,
                                            const struct aborted_transaction *entries, size_t count);
/*
 * Reads a file's entries into *entries (the caller frees it), checked as transaction_index_load does; no
 * file: no entries. 0, -EBADMSG, -errno.
 */
MUST_CHECK int transaction_index_read_file(struct file_system *files, const char *path, int64_t base_offset,
                                           int64_t end_offset, struct aborted_transaction **entries,
                                           size_t *count);

#endif
