/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One compaction of one log (clean_plan.h says of what, clean_filter.h what stays), in steps like a flush:
 * those named partition_log_* are under the owner's lock and short, those named log_clean_* are on any thread
 * without it, and take their time.
 *
 *   partition_log_clean_begin      plans; references the segments; makes the checkpointed recovery point
 *                                  follow, since a gap above it would be taken for a loss
 *   log_clean_fill_map             reads what is dirty
 *   partition_log_clean_check      before each group, and after each step that failed: is it still the log?
 *   while (log_clean_write_group)  reads a group of segments, writes one in their stead as .cleaned, syncs
 *     partition_log_clean_commit   .cleaned -> .swap, old ones -> .deleted, .swap -> live
 *     log_clean_sync_names         makes the names durable
 *   partition_log_clean_end        moves the first dirty offset
 *   log_clean_free                 removes what was not taken over
 *
 * Appends, reads and flushes go on meanwhile. What retention takes from the front of the log is passed over.
 * A truncation, a roll back, a move, or the removal of another of the segments ends the cleaning with
 * -ECANCELED: what was committed before stands, the rest is as it was. A step that reads while that happens
 * may meet anything - no file, half of one, another batch where one was - so its error says something about
 * the disk or the log only when partition_log_clean_check finds all as it was.
 *
 * Crash: old or new, group by group. Until all files of the new segment are called .swap the next opening
 * removes them; from then on it removes the old ones in its range. The old ones go lowest first, and groups
 * are replaced lowest first: so at no time an older record outlives the newer one that made it go.
 *
 * Errors: -EBADMSG: a batch is damaged, log_clean_describe says where; CLEAN_ERROR_SHORT: so is a file;
 * -EFBIG: what is left of one segment alone is too large for one; -ENOBUFS: not one key fits in the map;
 * -ECANCELED; or -errno of the disk: the caller decides. Only errors of the commit that leave the folder in
 * between take the log offline here.
 */
#ifndef BROKER_LOG_PARTITION_LOG_CLEAN_H
#define BROKER_LOG_PARTITION_LOG_CLEAN_H

#include "broker/log/clean_io.h"
#include "broker/log/clean_map.h"
#include "broker/log/clean_plan.h"
#include "broker/log/partition_log.h"
#include "common/base.h"
#include "common/buffer.h"

struct log_clean;

struct log_clean_options {
    int64_t high_watermark;
    int64_t now_ms;         /* wall clock */
    struct clean_map *map;  /* empty; borrowed until the end */
    size_t io_buffer_bytes; /* of each of two */
    struct clean_host host;
};

struct log_clean_counts {
    int64_t map_bytes;     /* read to fill the map */
    int64_t read_bytes;    /* of the segments that were replaced */
    int64_t written_bytes; /* of those in their stead */
    int64_t records_seen;
    int64_t records_kept;
    int64_t records_without_key;
};

/* What could be cleaned now. 0, or -errno. */
MUST_CHECK int partition_log_clean_plan(struct partition_log *log, int64_t high_watermark, int64_t now_ms,
                                        struct clean_plan *plan);
/* 0 with *clean; -EAGAIN: there is nothing that may be cleaned; -errno. Whether it is due is not asked. */
MUST_CHECK int partition_log_clean_begin(struct partition_log *log, const struct log_clean_options *options,
                                         struct log_clean **clean);
/* 0, or an error; may be called again after one, where partition_log_clean_check lets it. */
MUST_CHECK int log_clean_fill_map(struct log_clean *clean);
/* 0: the log is what the cleaning takes it for. 1: but for segments at its front that are gone; the cleaning
 * goes on without them, and a step that has failed, or a group that was not committed, is to be done again.
 * -ECANCELED; -errno: the log is offline. */
MUST_CHECK int partition_log_clean_check(const struct partition_log *log, struct log_clean *clean);
/* 1: a group is ready to be committed; 0: all are done; or an error. */
MUST_CHECK int log_clean_write_group(struct log_clean *clean);
/* 0: the group is in its place; 1 or an error as partition_log_clean_check, or an error of the disk: nothing
 * was changed. */
MUST_CHECK int partition_log_clean_commit(struct partition_log *log, struct log_clean *clean);
/* 0, or -errno: then the log must go offline. */
MUST_CHECK int log_clean_sync_names(struct log_clean *clean);
/* After the last group. Returns whether the first dirty offset has moved. */
bool partition_log_clean_end(struct partition_log *log, struct log_clean *clean);
void log_clean_free(struct log_clean *clean);
/* A step has ended with this -errno: where that means a broken disk, the log's directory goes offline; where
 * it means a full one, the directory counts as full. */
void partition_log_clean_failed(struct partition_log *log, int error);

/* From where and to where the keys were collected. */
int64_t log_clean_first_dirty_offset(const struct log_clean *clean);
int64_t log_clean_end_offset(const struct log_clean *clean);
struct log_clean_counts log_clean_counts(const struct log_clean *clean);
/* Appends where in the log it was at last: file and byte. */
void log_clean_describe(const struct log_clean *clean, struct buffer *out);

/*
 * Everything below was cleaned; -1: nothing ever was. May be asked without the owner's lock. Truncation lets
 * it fall. What the checkpoint said is set once, after opening.
 */
int64_t partition_log_first_dirty_offset(const struct partition_log *log);
void partition_log_set_first_dirty_offset(struct partition_log *log, int64_t offset);

#endif
