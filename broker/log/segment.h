/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One segment of a log: the file of batches with its offset index, time index and index of aborted
 * transactions.
 *
 *   <20 digits>.log        batches; the digits are the base offset
 *   <20 digits>.index      offset_index.h
 *   <20 digits>.timeindex  time_index.h
 *   <20 digits>.txnindex   transaction_index.h
 *
 * A segment is held by its log and by every log_range that was handed out; it is freed, and its file closed,
 * when the last of them lets go, on whatever thread. All else is guarded by the log's owner, `file` too:
 * while nobody but the log holds the segment, the owner may close it, and it is opened again on demand; for
 * who has a reference of his own it stays as it is.
 *
 * Removal renames or unlinks the files at once (log_garbage.h); who still holds the segment reads on from the
 * open file.
 *
 * An append is one write. What was written in part is cut off again (invariant I5); where that fails the
 * error is -EIO, and the log must go offline.
 */
#ifndef BROKER_LOG_SEGMENT_H
#define BROKER_LOG_SEGMENT_H

#include <stdatomic.h>

#include "broker/log/batch_scan.h"
#include "broker/log/offset_index.h"
#include "broker/log/open_files.h"
#include "broker/log/producer_state.h"
#include "broker/log/time_index.h"
#include "broker/log/transaction_index.h"
#include "common/base.h"
#include "common/file.h"

/* So many places of damage in one segment get a line in the process's log. */
#define SEGMENT_DAMAGE_TOLD_MAX 4

struct segment {
    atomic_int references;
    struct file_system *files;
    char *path;
    struct file *file;             /* NULL: not open */
    struct open_files *open_files; /* a reference, where `file` is counted; or NULL */
    int64_t used_ms;               /* of open_files' clock */
    int64_t base_offset;
    int64_t size_bytes;
    struct offset_index offsets;
    struct time_index times;
    struct transaction_index transactions; /* loaded when the log is opened */
    bool offsets_loaded;
    bool rebuilt;                 /* both indexes were rebuilt for a reader: once is enough */
    bool times_loaded;            /* and so max_timestamp is known */
    int64_t max_timestamp;        /* -1: none */
    int64_t max_timestamp_offset; /* last offset of the batch that has it */
    bool timestamp_found;         /* while the times are not loaded: */
    int64_t found_timestamp;      /* max_timestamp */
    bool first_timestamp_known;
    int64_t first_timestamp; /* greatest of the first append; -1: none */
    int64_t created_ms;
    int64_t jitter_ms; /* taken off segment.ms */
    int64_t bytes_since_index_entry;
    int64_t damage_position;                      /* where a reader met no sane batch last */
    int64_t damage_offset;                        /* what lies below it does not lie there */
    int64_t damage_told[SEGMENT_DAMAGE_TOLD_MAX]; /* places that the process's log has named */
    size_t damage_told_count;
};

/* Makes a new, empty segment with its file open. 0, or -errno. */
MUST_CHECK int segment_create(struct file_system *files, const char *directory, int64_t base_offset,
                              int64_t now_ms, struct segment **segment);
/* A segment that is there, of `size_bytes` in the file. Opens and reads nothing yet. */
struct segment *segment_new_existing(struct file_system *files, const char *directory, int64_t base_offset,
                                     int64_t size_bytes, int64_t modified_ms);
/* As segment_create, under a name that counts for nothing yet, whatever is there under the base's own; that
 * it gets with segment_take_name. 0, or -errno. */
MUST_CHECK int segment_create_aside(struct file_system *files, const char *directory, int64_t base_offset,
                                    int64_t now_ms, struct segment **created);
MUST_CHECK int segment_take_name(struct segment *segment);
/* Instead of that: the file and the reference go. */
void segment_discard_aside(struct segment *segment);
void segment_take(struct segment *segment);
void segment_release(struct segment *segment);

/* The file is counted there from now on. */
void segment_count_in(struct segment *segment, struct open_files *open_files);
/* Opens the file where it is not open. 0, or -errno; -EMFILE also where too many segments are open. */
MUST_CHECK int segment_open_file(struct segment *segment);
/* The same, however many are open: for what must not be put off. */
MUST_CHECK int segment_open_file_anyway(struct segment *segment);
/* Closes it where nobody but the log holds the segment and nobody used it for idle_ms. All of it is durable.
 */
void segment_close_idle(struct segment *segment, int64_t idle_ms);
/*
 * Likewise lets go of the memory of both indexes, of a segment that is not the active one: they are loaded
 * again on demand, and what is written to them no more would grow with all that was ever written or read.
 * Entries that the files lack stay.
 */
void segment_forget_indexes(struct segment *segment, int64_t idle_ms);
/* Loads the offset index, or rebuilds it where it is missing or falls far short. 0, or -errno. */
MUST_CHECK int segment_load_offsets(struct segment *segment, int64_t index_interval_bytes);
/* Loads the time index and finds the greatest timestamp, whatever the index lacks. 0, or -errno. */
MUST_CHECK int segment_load_times(struct segment *segment, int64_t index_interval_bytes);
/* The greatest timestamp of the first batch, for segment.ms. 0, or -errno. */
MUST_CHECK int segment_load_first_timestamp(struct segment *segment);

struct segment_append {
    const uint8_t *bytes; /* whole batches */
    size_t length;
    int64_t last_offset;
    int64_t max_timestamp;        /* of all batches, -1: none */
    int64_t max_timestamp_offset; /* last offset of the batch that has it */
};

/* Writes behind what is there, with one write; index entries stay in memory. Both indexes are loaded. 0, or
 * -errno: nothing was appended. */
MUST_CHECK int segment_append(struct segment *segment, const struct segment_append *append,
                              int64_t index_interval_bytes);

/* Notes where the segment is damaged: who reads it and gets -EBADMSG says so (partition_log_read_error). */
void segment_note_damage(struct segment *segment, int64_t position, int64_t offset);

/*
 * Makes both indexes anew from the batches' headers, in memory and on disk, at most once. 0; -EBADMSG where
 * the segment is not sane to its end, or was rebuilt before: then the files stay as they are, and the old
 * entries behind the damage serve on; or -errno.
 */
MUST_CHECK int segment_rebuild_for_reading(struct segment *segment, int64_t index_interval_bytes);

/*
 * The first batch whose last offset is >= `offset`: 1; none: 0; -errno. An index that leads astray is rebuilt
 * from the segment (I11), once; -EBADMSG where the segment itself is not sane: that is noted.
 */
MUST_CHECK int segment_find(struct segment *segment, int64_t offset, int64_t index_interval_bytes,
                            struct scanned_batch *batch);

/* bytes: of the whole batch; NULL unless it is a control batch, or all is checked. */
typedef void segment_visit(void *context, const struct scanned_batch *batch, const uint8_t *bytes);

/*
 * Reads the segment from its start and rebuilds both indexes. check: with the CRC of every batch. Stops at
 * the first batch that is not sane, overlaps what came before (offsets below first_offset included) or, with
 * check, has a wrong CRC: *valid_bytes is where it begins, the segment's size where there is none. 0, or
 * -errno of the disk.
 */
MUST_CHECK int segment_rebuild(struct segment *segment, bool check, int64_t first_offset,
                               int64_t index_interval_bytes, segment_visit *visit, void *context,
                               int64_t *valid_bytes);

/* Cuts the file to `size_bytes`, a batch boundary; all below `offset` stays in the indexes. The index of
 * transactions is cut in memory, its file follows with the next flush. 0, or -errno (then the log must go
 * offline). */
MUST_CHECK int segment_truncate(struct segment *segment, int64_t size_bytes, int64_t offset,
                                int64_t index_interval_bytes);

/* Adds the final time entry and writes all index files: at a roll and at a clean stop. 0, or -EIO. */
MUST_CHECK int segment_seal(struct segment *segment);
/* Notes a transaction that a marker, the newest batch of this segment, has aborted. */
void segment_note_abort(struct segment *segment, const struct completed_transaction *completed);

#endif
