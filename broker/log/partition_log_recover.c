/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recovery after a crash (invariant I7): from the segment that holds the recovery point on, every batch is
 * read and its CRC checked; both indexes and the leader epochs are rebuilt on the way. At the first byte that
 * is no sound batch the segment is cut, and all later segments go. A disk that refuses to read ends recovery
 * with its error: that is never a reason to cut (I6). What is checked is what the disk has: a sync that
 * failed before the crash may have left pages in the cache that are believed to be written and are not.
 *
 * A segment that ends short of the base of the next one has lost its tail in a power cut, with nothing torn
 * to show for it: what comes later must go as well, or the log would have a hole. A gap that was made on
 * purpose, by compaction or by a roll across it, ends at or below the recovery point on disk: behind that a
 * segment that ends short has always lost something, whatever gaps it has inside (a follower of a compacted
 * leader has such in segments that no compaction has touched). At or below it, a segment that compaction has
 * thinned out is the exception, which shows in gaps between or within its batches. Where no checkpoint tells
 * of the log at all, as in a folder from elsewhere, a gap is believed if there is anything behind it.
 */
#include <errno.h>
#include <inttypes.h>

#include "broker/log/partition_log_private.h"

struct recovery {
    struct partition_log *log;
    struct segment *segment;
    int64_t next_offset;
    bool thinned;
    int64_t recovery_point; /* as checkpointed */
    int64_t batches;
    atomic_int_least64_t *checked_bytes; /* NULL: nobody asks */
};

static void take_batch(void *context, const struct scanned_batch *batch, const uint8_t *bytes)
{
    struct recovery *recovery = context;
    partition_log_note_producer(recovery->log, recovery->segment, batch, bytes);
    if (batch->base_offset != recovery->next_offset || batch->thinned)
        recovery->thinned = true;
    if (batch->leader_epoch >= 0)
        epoch_cache_assign(&recovery->log->epochs, batch->leader_epoch, batch->base_offset);
    recovery->next_offset = batch->last_offset + 1;
    recovery->batches++;
    if (recovery->checked_bytes)
        atomic_fetch_add_explicit(recovery->checked_bytes, batch->size_bytes, memory_order_relaxed);
}

/* Removes the segments behind number `i`. */
static int remove_later(struct partition_log *log, size_t i)
{
    if (log->health)
        atomic_store(&log->health->has_cut, true);
    int error =
        i + 1 < log->segments_count ? partition_log_remove_segments(log, i + 1, log->segments_count) : 0;
    return error ? error : partition_log_sync_names(log);
}

static int cut_segment(struct partition_log *log, size_t i, int64_t valid_bytes)
{
    struct segment *segment = log->segments[i];
    log_warn(log->logger, "log",
             "%s: segment %" PRId64 ": no sound batch at byte %" PRId64 " of %" PRId64
             ": cut there, with the %zu segments behind it",
             log->directory, segment->base_offset, valid_bytes, segment->size_bytes,
             log->segments_count - i - 1);
    int error = remove_later(log, i);
    if (!error)
        error = file_truncate(log->files, segment->file, valid_bytes);
    if (error)
        return error;
    log->size_bytes -= segment->size_bytes - valid_bytes;
    segment->size_bytes = valid_bytes;
    return 0;
}

/* Whether the segments behind number `i` hang in the air. */
static bool tail_is_lost(const struct recovery *recovery, size_t i)
{
    const struct partition_log *log = recovery->log;
    if (i + 1 >= log->segments_count || recovery->next_offset >= log->segments[i + 1]->base_offset)
        return false;
    if (recovery->recovery_point == LOG_RECOVERY_POINT_UNKNOWN)
        return log->segments[i + 1]->size_bytes == 0;
    return log->segments[i + 1]->base_offset > recovery->recovery_point || !recovery->thinned;
}

int partition_log_recover(struct partition_log *log, int64_t from, int64_t recovery_point,
                          atomic_int_least64_t *checked_bytes)
{
    size_t first = partition_log_segment_number(log, from);
    /* All before the last was durable before that began, but for the last entries of one sealed since. */
    if (log->durable_rolls && from == LOG_RECOVERY_POINT_UNKNOWN && log->segments_count > 2)
        first = log->segments_count - 2;
    struct recovery recovery = {.log = log,
                                .next_offset = log->segments[first]->base_offset,
                                .recovery_point = recovery_point,
                                .checked_bytes = checked_bytes};
    epoch_cache_truncate_from_end(&log->epochs, recovery.next_offset);
    int begin_error = partition_log_begin_recovery(log, first);
    if (begin_error)
        return begin_error;
    bool cut = false;
    for (size_t i = first; i < log->segments_count && !cut; i++) {
        struct segment *segment = log->segments[i];
        int64_t lowest = recovery.next_offset, valid;
        if (segment->base_offset < lowest) {
            log_warn(log->logger, "log",
                     "%s: segment %" PRId64 " begins below %" PRId64 ": removed, with all later",
                     log->directory, segment->base_offset, lowest);
            int overlap_error = remove_later(log, i - 1);
            if (overlap_error)
                return overlap_error;
            break;
        }
        recovery.segment = segment;
        recovery.thinned = false;
        recovery.next_offset = max_i64(lowest, segment->base_offset);
        /* Sound ones where a later recovery may begin; the one that is there may be torn. */
        int error = i > 0 ? partition_log_write_snapshot(log, segment->base_offset, true) : 0;
        if (error)
            return error;
        error = segment_open_file(segment);
        if (error)
            return error;
        file_forget(log->files, segment->file);
        error = segment_rebuild(segment, true, lowest, log->settings.index_interval_bytes, take_batch,
                                &recovery, &valid);
        if (error)
            return error;
        cut = valid < segment->size_bytes;
        if (cut) {
            error = cut_segment(log, i, valid);
        } else if (tail_is_lost(&recovery, i)) {
            log_warn(log->logger, "log",
                     "%s: segment %" PRId64 " ends at %" PRId64
                     ", short of the next one: %zu segments removed",
                     log->directory, segment->base_offset, recovery.next_offset, log->segments_count - i - 1);
            error = remove_later(log, i);
            cut = true;
        }
        if (error)
            return error;
    }
    for (size_t i = first; i + 1 < log->segments_count; i++) {
        int error = segment_seal(log->segments[i]);
        if (error == -EIO)
            return error;
    }
    log->names_changed++;
    log->end_offset = recovery.next_offset;
    log_debug(log->logger, "log",
              "%s: recovered from %" PRId64 " to %" PRId64 ", %" PRId64 " batches checked", log->directory,
              log->segments[first]->base_offset, log->end_offset, recovery.batches);
    return 0;
}
