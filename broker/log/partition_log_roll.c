/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rolling: the active segment is sealed and a new one begins at the next append.
 *
 * Order: the new file, then the final time entry of the old segment, then the producer snapshot at the new
 * base. Nothing is synced here; the flush that follows makes the old segment durable, then the directory,
 * then moves the recovery point. The exception is a new base above the log's end (a follower behind a
 * compacted leader): recovery could not tell that gap from a lost tail, so the old segment is flushed first,
 * and the recovery point moves across the gap, also in the checkpoint on disk. Should the new segment stay
 * empty and the log go on below its base after all, the recovery point falls again before anything is
 * written. Likewise after a cut that is not durable yet: a power cut could bring back the old branch, and the
 * snapshot written here would be taken for its.
 */
#include <errno.h>

#include "broker/log/partition_log_private.h"
#include "common/check.h"

/*
 * Makes everything there is durable where the next segment must not be taken for part of it; and sees that
 * the checkpoint knows a log of several segments. 0, or -errno.
 */
static int secure_before(struct partition_log *log, int64_t base_offset)
{
    bool gap = base_offset > log->end_offset;
    int error = gap || log->cut_unsynced || log->durable_rolls ? partition_log_flush(log) : 0;
    if (error || !log->keep_checkpoints)
        return error;
    const struct log_checkpoint_bounds bounds = {gap ? base_offset : 0, INT64_MAX, INT64_MAX, 0};
    if (gap)
        log->recovery_point = max_i64(log->recovery_point, base_offset);
    return log->keep_checkpoints(log->keep_checkpoints_context, &bounds);
}

int partition_log_roll(struct partition_log *log, int64_t base_offset, int64_t now_ms)
{
    struct segment *segment, *old = partition_log_active(log);
    int error = secure_before(log, base_offset);
    if (!error)
        error = segment_create(log->files, log->directory, base_offset, now_ms, &segment);
    if (error)
        return error;
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

/* From this age on the active segment is closed. What is not closed is not compacted: max.compaction.lag.ms
 * counts here, too. The jitter was drawn when the segment began, perhaps with other settings. */
static int64_t age_limit_ms(const struct log_settings *settings, int64_t jitter_ms)
{
    int64_t limit_ms = log_settings_segment_ms(settings);
    return limit_ms > 0 ? limit_ms - jitter_ms % limit_ms : limit_ms;
}

static bool is_due(const struct partition_log *log, const struct segment_append *append, int64_t first_offset,
                   int64_t now_ms)
{
    const struct segment *active = partition_log_active(log);
    const struct log_settings *settings = &log->settings;
    if (first_offset < active->base_offset || append->last_offset - active->base_offset > INT32_MAX)
        return true;
    if (active->size_bytes == 0)
        return false;
    if (active->size_bytes > settings->segment_bytes - (int64_t)append->length)
        return true;
    int64_t age_ms = active->first_timestamp >= 0 && append->max_timestamp >= 0
                         ? append->max_timestamp - active->first_timestamp
                         : now_ms - active->created_ms;
    return age_ms > age_limit_ms(settings, active->jitter_ms) ||
           indexes_are_full(active, settings->segment_index_bytes);
}

/* Puts another one in the place of the active segment, which is empty and above the new base or too far below
 * it. */
static int replace_active(struct partition_log *log, int64_t base_offset, int64_t now_ms)
{
    struct segment *segment;
    int error = secure_before(log, base_offset);
    if (!error)
        error = segment_create(log->files, log->directory, base_offset, now_ms, &segment);
    if (error)
        return error;
    log->names_changed++;
    partition_log_push_segment(log, segment);
    partition_log_forget_recent(log);
    /* Two active segments would be a log out of order. */
    return partition_log_remove_segments(log, log->segments_count - 2, log->segments_count - 1) ? -EIO : 0;
}

int partition_log_begin_segment(struct partition_log *log, int64_t base_offset, int64_t now_ms)
{
    if (partition_log_active(log)->size_bytes == 0)
        return replace_active(log, base_offset, now_ms);
    return partition_log_roll(log, base_offset, now_ms);
}

int partition_log_roll_if_due(struct partition_log *log, const struct segment_append *append,
                              int64_t first_offset, int64_t now_ms)
{
    int error = segment_load_first_timestamp(partition_log_active(log));
    if (!error && (first_offset < log->recovery_point || log->checkpoints_unsure))
        error = partition_log_lower_recovery_point(log, first_offset);
    if (error || !is_due(log, append, first_offset, now_ms))
        return error;
    CHECK(first_offset >= partition_log_active(log)->base_offset ||
          partition_log_active(log)->size_bytes == 0);
    return partition_log_begin_segment(log, first_offset, now_ms);
}
