/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a log ends that a clean stop has left behind.
 *
 * Such a stop leaves a checkpointed recovery point that is the log's end, and a producer snapshot of exactly
 * there. Where the folder's names and sizes say nothing against it, the end is believed, and opening reads no
 * segment: thousands of logs are opened that nobody may ask for.
 *
 * What is believed is checked once, before the first append, cut, roll, or read that needs the active
 * segment: from its last index entry on there must be sane batches, up to the end; an index that leads
 * elsewhere is made anew before it is believed more than they. Where that is not so, somebody changed the
 * files while the broker was down. The log may have told its end to others by then, so it is not mended under
 * their eyes: it goes offline, alone, and its recovery point falls, on disk too, to where a start begins to
 * check. A checkpoint that contradicts the folder is never believed, so the next start recovers the log,
 * however clean the stop before.
 */
#include <errno.h>
#include <inttypes.h>

#include "broker/log/disk_error.h"
#include "broker/log/partition_log_private.h"

bool partition_log_believe_end(struct partition_log *log, int64_t recovery_point, int64_t log_start_offset,
                               bool epochs_known)
{
    const struct segment *active = partition_log_active(log);
    bool is_empty = active->size_bytes == 0;
    if (recovery_point < active->base_offset || is_empty != (recovery_point == active->base_offset) ||
        log_start_offset > recovery_point)
        return false;
    /* Else the batches must say what follows from them. */
    int64_t newest = log->snapshots_count > 0 ? log->snapshots[log->snapshots_count - 1] : -1;
    bool nothing_is_there = recovery_point == log->segments[0]->base_offset;
    if (newest != recovery_point && !(nothing_is_there && newest < 0))
        return false;
    if (!epochs_known && !nothing_is_there)
        return false;
    log->end_offset = recovery_point;
    log->end_state = LOG_END_BELIEVED;
    return true;
}

/* The offset behind the last batch of a segment, found from its last index entry on. 0, -EBADMSG, -errno. */
static int find_segment_end(struct partition_log *log, struct segment *segment, int64_t *end_offset)
{
    *end_offset = segment->base_offset;
    int error = segment_open_file(segment);
    if (!error)
        error = segment_load_offsets(segment, log->settings.index_interval_bytes);
    if (error)
        return error;
    struct batch_scanner scanner;
    struct scanned_batch batch;
    int64_t from = offset_index_find_position(&segment->offsets, segment->size_bytes);
    batch_scanner_init(&scanner, segment, from, segment->size_bytes, SCAN_CHUNK_LOOKUP);
    int result;
    while ((result = batch_scanner_next(&scanner, &batch)) > 0) {
        if (batch.base_offset < *end_offset) {
            result = -EBADMSG;
            break;
        }
        *end_offset = batch.last_offset + 1;
    }
    batch_scanner_release(&scanner);
    return result;
}

int partition_log_find_clean_end(struct partition_log *log, int64_t *end_offset, int64_t *recover_from)
{
    struct segment *active = partition_log_active(log);
    int64_t before;
    *recover_from = active->base_offset;
    int error = find_segment_end(log, active, end_offset);
    if (!error && active->size_bytes == 0 && log->segments_count > 1) {
        struct segment *previous = log->segments[log->segments_count - 2];
        error = find_segment_end(log, previous, &before);
        if (error == -EBADMSG || (!error && before > active->base_offset)) {
            *recover_from = previous->base_offset;
            return -EBADMSG;
        }
    }
    return error ? error : segment_load_times(active, log->settings.index_interval_bytes);
}

/* 0, -EBADMSG: the batches end elsewhere; or -errno. */
static int compare_end(struct partition_log *log, int64_t *recover_from)
{
    int64_t end_offset;
    int error = partition_log_find_clean_end(log, &end_offset, recover_from);
    return !error && end_offset != log->end_offset ? -EBADMSG : error;
}

/* It may be the indexes that are wrong, and not the batches (invariant I11). */
static int compare_without_indexes(struct partition_log *log, int64_t *recover_from)
{
    size_t last = log->segments_count - 1;
    size_t first = last > 0 && log->segments[last]->size_bytes == 0 ? last - 1 : last;
    for (size_t i = first; i <= last; i++) {
        int error = segment_rebuild_for_reading(log->segments[i], log->settings.index_interval_bytes);
        if (error && disk_error_of(error) != DISK_ERROR_FULL) /* in memory it is right all the same */
            return error;
    }
    return compare_end(log, recover_from);
}

/* As partition_log_look_at_end; *recover_from where that says -EBADMSG. */
static int look(struct partition_log *log, int64_t *recover_from)
{
    int error = compare_end(log, recover_from);
    if (error == -EBADMSG)
        error = compare_without_indexes(log, recover_from);
    if (!error)
        log->end_state = LOG_END_CHECKED;
    else if (error == -EBADMSG)
        log->end_state = LOG_END_WRONG;
    return error;
}

int partition_log_look_at_end(struct partition_log *log)
{
    int64_t recover_from;
    if (log->end_state == LOG_END_BELIEVED)
        return look(log, &recover_from);
    return log->end_state == LOG_END_WRONG ? -EBADMSG : 0;
}

static void refuse(struct partition_log *log, int64_t recover_from)
{
    /* Should the disk refuse now, the stop writes it. */
    int error = partition_log_lower_recovery_point(log, recover_from);
    if (error)
        partition_log_disk_error(log, error, "writing the recovery point");
    partition_log_refuse(log, -EBADMSG);
    log_error(log->logger, "log",
              "%s: the last stop was clean and left %" PRId64
              " as the log's end, but the batches of its last segment do not end there: the files were "
              "changed while the broker was down. This log is offline until the broker starts again. Then it "
              "is checked, and cut at the first batch that is not sound; to keep more, stop the broker and "
              "bring back the folder as it was, before that start",
              log->directory, log->end_offset);
}

int partition_log_use_end(struct partition_log *log)
{
    int64_t recover_from;
    if (log->end_state == LOG_END_CHECKED)
        return 0;
    if (log->end_state == LOG_END_WRONG)
        return -EBADMSG;
    int error = look(log, &recover_from);
    if (error == -EBADMSG)
        refuse(log, recover_from);
    else if (error)
        partition_log_disk_error(log, error, "looking at the end of the log");
    return error;
}

int partition_log_use_segment(struct partition_log *log, size_t number)
{
    if (log->end_state == LOG_END_CHECKED)
        return 0;
    /* Beside an empty segment it is the one before that tells whether the log ends where it should. */
    size_t last = log->segments_count - 1;
    size_t first = last > 0 && log->segments[last]->size_bytes == 0 ? last - 1 : last;
    return number < first ? 0 : partition_log_use_end(log);
}
