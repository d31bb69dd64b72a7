/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rolling: the active segment is sealed and a new one begins at the next append.
 *
 * Order: the new file, then the final time entry of the old segment, then the producer snapshot at the new
 * base. Nothing is synced here; the flush that follows makes the old segment durable, then the directory,
 * then moves the recovery point. The exception is a new base above the log's end (a follower behind a
 * compacted leader): recovery could not tell that gap from a lost tail, so the old segment is flushed first.
 * Likewise after a cut that is not durable yet: a power cut could bring back the old branch, and the snapshot
 * written here would be taken for its.
 */
#include <errno.h>

#include "broker/log/partition_log_private.h"

int partition_log_roll(struct partition_log *log, int64_t base_offset, int64_t now_ms)
{
    struct segment *segment, *old = partition_log_active(log);
    int error = base_offset > log->end_offset || log->cut_unsynced ? partition_log_flush(log) : 0;
    if (!error)
        error = segment_create(log->files, log->directory, base_offset, now_ms, &segment);
    if (error)
        return error;
    int64_t jitter = log->settings.segment_jitter_ms;
    segment->jitter_ms = jitter > 0 ? (int64_t)prng_below(&log->prng, (uint64_t)jitter) : 0;
    error = segment_seal(old);
    partition_log_push_segment(log, segment);
    partition_log_forget_recent(log);
    log->names_changed++;
    if (error == -EIO)
        return error;
    return partition_log_write_snapshot(log, base_offset, false);
}

static bool indexes_are_full(const struct segment *segment, int64_t segment_index_bytes)
{
    size_t offsets_max = (size_t)(segment_index_bytes / OFFSET_INDEX_ENTRY_BYTES);
    size_t times_max = (size_t)(segment_index_bytes / TIME_INDEX_ENTRY_BYTES);
    return index_file_count(&segment->offsets.file) >= offsets_max ||
           index_file_count(&segment->times.file) + 1 >= times_max;
}

static bool is_due(const struct partition_log *log, const struct segment_append *append, int64_t now_ms)
{
    const struct segment *active = partition_log_active(log);
    const struct log_settings *settings = &log->settings;
    if (append->last_offset - active->base_offset > INT32_MAX)
        return true;
    if (active->size_bytes == 0)
        return false;
    if (active->size_bytes > settings->segment_bytes - (int64_t)append->length)
        return true;
    int64_t age_ms = active->first_timestamp >= 0 && append->max_timestamp >= 0
                         ? append->max_timestamp - active->first_timestamp
                         : now_ms - active->created_ms;
    return age_ms > settings->segment_ms - active->jitter_ms ||
           indexes_are_full(active, settings->segment_index_bytes);
}

/* Puts another one in the place of the active segment, which is empty and too far below the new base. */
static int replace_active(struct partition_log *log, int64_t base_offset, int64_t now_ms)
{
    struct segment *segment;
    int error = segment_create(log->files, log->directory, base_offset, now_ms, &segment);
    if (error)
        return error;
    log->names_changed++;
    partition_log_push_segment(log, segment);
    return partition_log_remove_segments(log, log->segments_count - 2, log->segments_count - 1);
}

int partition_log_roll_if_due(struct partition_log *log, const struct segment_append *append,
                              int64_t first_offset, int64_t now_ms)
{
    int error = segment_load_first_timestamp(partition_log_active(log));
    if (error || !is_due(log, append, now_ms))
        return error;
    if (partition_log_active(log)->size_bytes == 0)
        return replace_active(log, first_offset, now_ms);
    return partition_log_roll(log, first_offset, now_ms);
}
