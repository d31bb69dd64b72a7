/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retention: old segments go from the front of the log. What goes is decided in retention.c; here it is done,
 * under the owner's lock: renames only, the unlinking comes later and elsewhere (log_garbage.h).
 *
 * Crash behaviour. Whatever is left must begin where the log begins, and end no earlier than it ended:
 *
 * 1. The segment that will be the first is durable by its name before anything in front of it goes: else a
 *    power cut could leave an empty folder, and offsets would be given twice. So a segment goes only if a
 *    flush has come to the base of the next one; where none has, the caller flushes first.
 * 2. The recovery point in the checkpoint on disk lies at or above that base, or is written now: a recovery
 *    from below would take the renamed segments, of which a power cut may bring any back, for a log with a
 *    hole. Where the disk has no room for the checkpoint, each name is synced before the next one changes.
 * 3. Oldest first. A crash in between leaves more than was meant to stay, and the next pass goes on.
 *
 * The log start in its checkpoint may lag behind: what is gone cannot be read, and opening takes the higher
 * of the checkpoint and the first segment's base.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "broker/log/partition_log_private.h"
#include "broker/log/retention.h"
#include "common/memory.h"

int partition_log_find_largest_timestamp(struct partition_log *log, struct segment *segment)
{
    struct segment *copy = segment_new_existing(log->files, log->directory, segment->base_offset,
                                                segment->size_bytes, segment->created_ms);
    int error = segment_load_times(copy, log->settings.index_interval_bytes);
    /* Of a damaged one the part that can be read speaks; with none, its file. */
    if (error == 0 || error == -EBADMSG) {
        segment->found_timestamp = copy->max_timestamp;
        segment->timestamp_found = true;
        error = 0;
    }
    segment_release(copy);
    return error;
}

/* The largest timestamp; where no record has one, when the file was written last. 0, or -errno. */
static int look_up_time(struct partition_log *log, struct segment *segment, int64_t *time_ms)
{
    int error = segment->times_loaded || segment->timestamp_found
                    ? 0
                    : partition_log_find_largest_timestamp(log, segment);
    if (error)
        return error;
    *time_ms = segment->times_loaded ? segment->max_timestamp : segment->found_timestamp;
    if (*time_ms >= 0)
        return 0;
    struct file_status status;
    error = file_system_status(log->files, segment->path, &status);
    *time_ms = error ? segment->created_ms : status.modified_ms;
    return error == -ENOENT ? 0 : error;
}

static void summarise(const struct partition_log *log, struct retention_segment *summaries)
{
    for (size_t i = 0; i < log->segments_count; i++) {
        const struct segment *segment = log->segments[i];
        int64_t time_ms = segment->times_loaded      ? segment->max_timestamp
                          : segment->timestamp_found ? segment->found_timestamp
                                                     : -1;
        summaries[i] = (struct retention_segment){
            .base_offset = segment->base_offset,
            .size_bytes = segment->size_bytes,
            .time_ms = time_ms >= 0 ? time_ms : RETENTION_TIME_UNKNOWN,
        };
    }
}

/* Each look-up reads indexes under the owner's lock; who finds more old segments comes again. */
#define LOOK_UPS_MAX 64

/* Decides; looks up only those times that the decision turns on. plan->needs_time: there may be more to
 * remove. 0, or -errno. */
static int decide(struct partition_log *log, int64_t high_watermark, int64_t now_ms,
                  struct retention_plan *plan)
{
    struct retention_segment *summaries = memory_allocate(log->segments_count * sizeof(*summaries));
    summarise(log, summaries);
    const struct retention_input input = {
        .segments = summaries,
        .segments_count = log->segments_count,
        .log_start_offset = log->start_offset,
        .log_end_offset = log->end_offset,
        .high_watermark = high_watermark,
        .retained = log->settings.retained,
        .retention_ms = log->settings.retention_ms,
        .retention_bytes = log->settings.retention_bytes,
        .now_ms = now_ms,
    };
    int error = 0;
    *plan = retention_decide(&input);
    for (size_t looked_up = 0; plan->needs_time && looked_up < LOOK_UPS_MAX && !error; looked_up++) {
        size_t number = retention_plan_count(plan);
        error = look_up_time(log, log->segments[number], &summaries[number].time_ms);
        if (!error)
            retention_go_on(&input, plan);
    }
    free(summaries);
    return error;
}

/* How many of the first `count` segments may go without a flush. */
static size_t count_secured(const struct partition_log *log, size_t count)
{
    bool names_are_durable = log->names_synced == log->names_changed;
    int64_t durable = log->recovery_point;
    while (count > 0 && !(durable > log->segments[count]->base_offset ||
                          (durable == log->segments[count]->base_offset && names_are_durable)))
        count--;
    return count;
}

/* Removes the first `count` segments; *removed tells how many went, *bytes what they held. */
static int remove_front(struct partition_log *log, size_t count, bool sync_each, size_t *removed,
                        int64_t *bytes)
{
    int error = 0;
    *removed = 0;
    *bytes = 0;
    while (*removed < count && !error) {
        int64_t size_bytes = log->segments[*removed]->size_bytes;
        error = partition_log_discard_segment(log, log->segments[*removed]);
        if (error)
            break;
        *bytes += size_bytes;
        (*removed)++;
        if (sync_each)
            error = partition_log_sync_names(log);
    }
    log->size_bytes -= *bytes;
    log->segments_count -= *removed;
    for (size_t i = 0; i < log->segments_count; i++)
        log->segments[i] = log->segments[i + *removed];
    return error;
}

static int remove_planned(struct partition_log *log, size_t count, const struct retention_plan *plan)
{
    int64_t first = log->segments[count]->base_offset;
    const struct log_checkpoint_bounds bounds = {first, INT64_MAX, INT64_MAX, 0};
    int error = log->keep_checkpoints ? log->keep_checkpoints(log->keep_checkpoints_context, &bounds) : 0;
    if (error == -EIO)
        return error;
    size_t removed;
    int64_t bytes;
    error = remove_front(log, count, error != 0, &removed, &bytes);
    if (removed == 0)
        return error;
    log->start_offset = max_i64(log->start_offset, log->segments[0]->base_offset);
    epoch_cache_truncate_from_start(&log->epochs, log->start_offset);
    if (!error)
        error = partition_log_discard_snapshots(log, log->segments[0]->base_offset);
    size_t by_start = min_size(plan->by_start, removed);
    size_t by_size = min_size(plan->by_size, removed - by_start);
    log_info(log->logger, "log",
             "%s: %zu segment%s removed (%" PRId64 " bytes): %zu below the log start, %zu beyond "
             "retention.bytes, %zu older than retention.ms; it starts at %" PRId64 " now",
             log->directory, removed, removed == 1 ? "" : "s", bytes, by_start, by_size,
             removed - by_start - by_size, (int64_t)log->start_offset);
    return error;
}

int partition_log_retain(struct partition_log *log, int64_t high_watermark, int64_t now_ms, bool *flush_first)
{
    *flush_first = false;
    if (partition_log_failure(log))
        return partition_log_failure(log);
    struct retention_plan plan;
    int error = decide(log, high_watermark, now_ms, &plan);
    size_t count = retention_plan_count(&plan);
    int end_error = !error && plan.roll ? partition_log_use_end(log) : 0;
    if (end_error)
        return end_error;
    if (!error && plan.roll) {
        /* Where there is no room for a new segment, all but the active one can go and make some. */
        int roll_error = partition_log_roll(log, log->end_offset, now_ms);
        if (roll_error == -EIO)
            error = roll_error;
        else if (roll_error)
            count--;
    }
    size_t secured = error ? 0 : count_secured(log, count);
    *flush_first = !error && (secured < count || (plan.needs_time && count > 0));
    if (secured > 0)
        error = remove_planned(log, secured, &plan);
    if (error)
        partition_log_disk_error(log, error, "retention");
    return error;
}
