/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cutting a log at its end (a follower that diverged), and moving its start (DeleteRecords, or as a leader
 * says); whole segments below the start go with the next pass of retention.
 *
 * Crash behaviour of a cut at the end, in this order: the recovery point on disk falls to the cut; producer
 * snapshots above it go, then the later segments, newest first; the directory is synced; then the segment is
 * cut. A crash in between leaves a longer prefix of the old log, never a hole, and everything at or above the
 * cut is checked and rebuilt at the next start. The cut itself is synced by the next flush: should a power
 * cut undo it before, the old tail is back, and replication removes it again.
 */
#include <errno.h>
#include <string.h>

#include "broker/log/partition_log_private.h"
#include "proto/kafka/error.h"

int partition_log_remove_segments(struct partition_log *log, size_t from, size_t to)
{
    int error = 0;
    size_t end = to;
    while (end > from && !error) {
        struct segment *segment = log->segments[end - 1];
        int64_t size_bytes = segment->size_bytes;
        error = partition_log_discard_segment(log, segment);
        if (error)
            break;
        log->size_bytes -= size_bytes;
        end--;
    }
    memmove(log->segments + end, log->segments + to, (log->segments_count - to) * sizeof(struct segment *));
    log->segments_count -= to - end;
    return error;
}

/*
 * Before anything at or above `offset` goes. The value falls here first and then in the checkpoint: whoever
 * writes that file meanwhile takes the lower of the two. 0, or -errno.
 */
int partition_log_lower_recovery_point(struct partition_log *log, int64_t offset)
{
    log->truncations++;
    if (offset < log->first_dirty_offset)
        log->first_dirty_offset = offset;
    if (offset >= log->recovery_point)
        return 0;
    log->recovery_point = offset;
    const struct log_checkpoint_bounds bounds = {0, offset, INT64_MAX};
    return log->keep_checkpoints ? log->keep_checkpoints(log->keep_checkpoints_context, &bounds) : 0;
}

/* The same for the start of a log that will begin anew at `offset`: should the checkpoint say more than the
 * log has after a crash, everything in it would go. */
static int lower_start(struct partition_log *log, int64_t offset)
{
    int64_t before = log->start_offset;
    int error = partition_log_lower_recovery_point(log, offset);
    if (error || offset >= before || !log->keep_checkpoints)
        return error;
    log->start_offset = offset;
    const struct log_checkpoint_bounds bounds = {0, offset, offset};
    error = log->keep_checkpoints(log->keep_checkpoints_context, &bounds);
    if (error)
        log->start_offset = before;
    return error;
}

/* Removes what stands in files of their own above the cut. 0, or -errno. */
static int remove_above(struct partition_log *log, size_t first_segment, int64_t offset)
{
    int error = partition_log_remove_snapshots(log, offset + 1, INT64_MAX);
    if (!error && first_segment < log->segments_count)
        error = partition_log_remove_segments(log, first_segment, log->segments_count);
    return error ? error : partition_log_sync_names(log);
}

/* Cuts the last segment so that nothing at or above `offset` is left; *end is where the log ends then. */
static int cut_last_segment(struct partition_log *log, int64_t offset, int64_t *end)
{
    struct segment *segment = partition_log_active(log);
    struct scanned_batch batch;
    *end = offset;
    int found = segment_find(segment, offset, log->settings.index_interval_bytes, &batch);
    if (found <= 0)
        return found;
    int64_t before = segment->size_bytes;
    /* A batch is never split: it comes again whole from the leader. */
    *end = min_i64(offset, batch.base_offset);
    log->cut_unsynced = true;
    log->names_changed++;
    int error = segment_truncate(segment, batch.position, *end, log->settings.index_interval_bytes);
    log->size_bytes -= before - segment->size_bytes;
    return error;
}

static int truncate_at(struct partition_log *log, int64_t offset, int64_t now_ms)
{
    size_t number = partition_log_segment_number(log, offset);
    partition_log_forget_recent(log);
    int error = remove_above(log, number + 1, offset);
    int64_t end = offset;
    if (!error)
        error = cut_last_segment(log, offset, &end);
    if (!error && end < offset)
        error = partition_log_lower_recovery_point(log, end);
    if (!error)
        error = partition_log_remove_snapshots(log, end + 1, INT64_MAX);
    if (error)
        return error;
    log->end_offset = end;
    epoch_cache_truncate_from_end(&log->epochs, end);
    error = segment_load_offsets(partition_log_active(log), log->settings.index_interval_bytes);
    if (!error)
        error = segment_load_times(partition_log_active(log), log->settings.index_interval_bytes);
    if (!error)
        error = segment_open_file(partition_log_active(log));
    return error ? error : partition_log_rebuild_producers(log, end, now_ms);
}

int16_t partition_log_truncate(struct partition_log *log, int64_t offset, int64_t now_ms)
{
    if (partition_log_failure(log))
        return KAFKA_KAFKA_STORAGE_ERROR;
    if (offset >= log->end_offset) {
        epoch_cache_truncate_from_end(&log->epochs, offset);
        return KAFKA_NONE;
    }
    if (offset <= log->start_offset)
        return partition_log_truncate_fully(log, offset, now_ms);
    int error = partition_log_lower_recovery_point(log, offset);
    if (error)
        return partition_log_disk_error(log, error, "writing the recovery point");
    error = truncate_at(log, offset, now_ms);
    if (error)
        partition_log_go_offline(log, error, "truncation");
    return error ? KAFKA_KAFKA_STORAGE_ERROR : KAFKA_NONE;
}

static int start_anew(struct partition_log *log, int64_t offset, int64_t now_ms)
{
    partition_log_forget_recent(log);
    int error = partition_log_remove_snapshots(log, 0, INT64_MAX);
    if (!error)
        error = partition_log_remove_segments(log, 0, log->segments_count);
    if (!error)
        error = partition_log_sync_names(log);
    struct segment *segment;
    if (!error)
        error = segment_create(log->files, log->directory, offset, now_ms, &segment);
    if (error)
        return error;
    log->names_changed++;
    partition_log_push_segment(log, segment);
    log->start_offset = offset;
    log->end_offset = offset;
    log->recovery_point = min_i64(log->recovery_point, offset);
    epoch_cache_clear(&log->epochs);
    producer_state_clear(log->producers);
    return 0;
}

int16_t partition_log_truncate_fully(struct partition_log *log, int64_t offset, int64_t now_ms)
{
    if (partition_log_failure(log))
        return KAFKA_KAFKA_STORAGE_ERROR;
    int error = lower_start(log, offset);
    if (error)
        return partition_log_disk_error(log, error, "writing the recovery point and the log start");
    error = start_anew(log, offset, now_ms);
    if (error)
        partition_log_go_offline(log, error, "emptying the log");
    return error ? KAFKA_KAFKA_STORAGE_ERROR : KAFKA_NONE;
}

int16_t partition_log_advance_start(struct partition_log *log, int64_t offset)
{
    if (partition_log_failure(log))
        return KAFKA_KAFKA_STORAGE_ERROR;
    if (offset > log->end_offset)
        return KAFKA_OFFSET_OUT_OF_RANGE;
    if (offset <= log->start_offset)
        return KAFKA_NONE;
    log->start_offset = offset;
    epoch_cache_truncate_from_start(&log->epochs, offset);
    return KAFKA_NONE;
}
