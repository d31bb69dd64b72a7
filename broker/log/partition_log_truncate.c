/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cutting a log at its end (a follower that diverged), and moving its start (DeleteRecords, or as a leader
 * says); whole segments below the start go with the next pass of retention.
 *
 * Everything that a cut needs is opened, read and computed first: whatever fails until then leaves the log as
 * it was, to be cut later.
 *
 * Crash behaviour of a cut at the end, in this order: the recovery point on disk falls to the cut; producer
 * snapshots above it go, then the later segments, newest first; the directory is synced; then the segment is
 * cut. A crash in between leaves a longer prefix of the old log, never a hole, and everything at or above the
 * cut is checked and rebuilt at the next start. The cut itself is synced by the next flush: should a power
 * cut undo it before, the old tail is back, and replication removes it again.
 *
 * Of a log that begins anew: recovery point and log start on disk are those of the new log first; then the
 * segments go, newest first, and the new one takes its name. A crash in between leaves a prefix of the old
 * log from the new start on; where that is nothing, the log begins anew at the next start (invariant I7).
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
 * writes that file meanwhile takes the lower of the two. The checkpoint is asked each time: what failed to be
 * written once may still say more. 0, or -errno.
 */
int partition_log_lower_recovery_point(struct partition_log *log, int64_t offset)
{
    log->truncations++;
    if (offset < log->first_dirty_offset)
        log->first_dirty_offset = offset;
    if (offset < log->recovery_point)
        log->recovery_point = offset;
    const struct log_checkpoint_bounds bounds = {0, offset, INT64_MAX, 0};
    int error = log->keep_checkpoints ? log->keep_checkpoints(log->keep_checkpoints_context, &bounds) : 0;
    log->checkpoints_unsure = error != 0;
    return error;
}

/*
 * The same for a log that will begin anew at `offset`, and the log start on disk: it has to be the new one
 * before a segment goes. Should it say more than the log has after a crash, everything in it would go; should
 * it say less, a log whose segments are gone already, and whose new one has no name yet, would begin and end
 * there, below what it had, and below what it was counted on for.
 *
 * An empty log that goes up writes nothing: it has no segment whose loss would matter, a new segment that has
 * its name tells the start by its base, and nobody is counted on for offsets who is told to go above its end,
 * for a leader's log starts no higher than its high watermark. A broker gets thousands of such at once.
 */
static int keep_start(struct partition_log *log, int64_t offset, int64_t start_offset)
{
    int64_t before = log->start_offset;
    int error = partition_log_lower_recovery_point(log, offset);
    bool goes_up = before == log->end_offset && offset > log->end_offset;
    if (error || !log->keep_checkpoints || goes_up)
        return error;
    log->start_offset = start_offset;
    const struct log_checkpoint_bounds bounds = {0, offset, start_offset, start_offset};
    error = log->keep_checkpoints(log->keep_checkpoints_context, &bounds);
    log->checkpoints_unsure = error != 0;
    if (error)
        log->start_offset = before;
    return error;
}

/* ---- cutting ---- */

/* What a cut needs, all of it found before anything is changed: who fails here may come again. */
struct cut {
    size_t number; /* of the last segment that stays */
    struct segment *segment;
    int64_t position;                 /* where it ends then; -1: it stays whole */
    int64_t end_offset;               /* of the log then */
    struct producer_state *producers; /* as of there */
};

/* Also where no more files should be open: a log that cannot be cut cannot follow. */
static int prepare_segment(struct partition_log *log, struct segment *segment)
{
    int error = segment_open_file_anyway(segment);
    if (!error)
        error = segment_load_offsets(segment, log->settings.index_interval_bytes);
    return error ? error : segment_load_times(segment, log->settings.index_interval_bytes);
}

/* Likewise: what partition_log_use_end looks at once. */
static int open_end(struct partition_log *log)
{
    size_t last = log->segments_count - 1;
    if (log->end_state != LOG_END_BELIEVED)
        return 0;
    int error = segment_open_file_anyway(log->segments[last]);
    if (!error && last > 0 && log->segments[last]->size_bytes == 0)
        error = segment_open_file_anyway(log->segments[last - 1]);
    return error;
}

static int find_cut(struct partition_log *log, int64_t offset, struct cut *cut)
{
    struct scanned_batch batch;
    cut->number = partition_log_segment_number(log, offset);
    cut->segment = log->segments[cut->number];
    cut->position = -1;
    cut->end_offset = offset;
    int error = prepare_segment(log, cut->segment);
    int found =
        error ? error : segment_find(cut->segment, offset, log->settings.index_interval_bytes, &batch);
    if (found <= 0)
        return found;
    /* A batch is never split: it comes again whole from the leader. */
    cut->position = batch.position;
    cut->end_offset = min_i64(offset, batch.base_offset);
    return 0;
}

/* 0, or -errno; then nothing is held. */
static int prepare_cut(struct partition_log *log, int64_t offset, int64_t now_ms, struct cut *cut)
{
    int error = find_cut(log, offset, cut);
    if (error)
        return error;
    struct producer_state *present = log->producers;
    log->producers = producer_state_new();
    error = partition_log_rebuild_producers(log, cut->end_offset, now_ms);
    cut->producers = log->producers;
    log->producers = present;
    if (error)
        producer_state_free(cut->producers);
    return error;
}

/* Makes durable which names are gone. Where no descriptor is left for that, a flush does it before the next
 * roll; what a power cut brings back until then lies above the checkpointed recovery point, behind a segment
 * that ends short. A copy's recovery point is not checkpointed. 0, or -errno. */
static int sync_removed_names(struct partition_log *log)
{
    int error = partition_log_sync_names(log);
    if ((error != -EMFILE && error != -ENFILE) || log->durable_rolls)
        return error;
    log->cut_unsynced = true;
    return 0;
}

/* Removes what stands in files of their own above the cut. 0, or -errno. */
static int remove_above(struct partition_log *log, const struct cut *cut)
{
    int error = partition_log_remove_snapshots(log, cut->end_offset + 1, INT64_MAX);
    if (!error && cut->number + 1 < log->segments_count)
        error = partition_log_remove_segments(log, cut->number + 1, log->segments_count);
    return error ? error : sync_removed_names(log);
}

/* Cuts; takes cut->producers. *whole: after an error, nothing of the log is gone yet. 0, or -errno. */
static int make_cut(struct partition_log *log, struct cut *cut, bool *whole)
{
    size_t segments_count = log->segments_count;
    int64_t size_bytes = cut->segment->size_bytes;
    partition_log_forget_recent(log);
    int error = remove_above(log, cut);
    if (!error && cut->position >= 0) {
        log->cut_unsynced = true;
        log->names_changed++;
        error = segment_truncate(cut->segment, cut->position, cut->end_offset,
                                 log->settings.index_interval_bytes);
        log->size_bytes -= size_bytes - cut->segment->size_bytes;
    }
    *whole = log->segments_count == segments_count && cut->segment->size_bytes == size_bytes;
    if (error) {
        producer_state_free(cut->producers);
        return error;
    }
    log->end_offset = cut->end_offset;
    epoch_cache_truncate_from_end(&log->epochs, cut->end_offset);
    producer_state_free(log->producers);
    log->producers = cut->producers;
    return 0;
}

/* A log that is whole can be cut later; of one that is half cut nobody knows what it holds. Where the disk is
 * sound that is no other log's matter: the next start looks at this one. A Kafka error. */
static int16_t cut_failed(struct partition_log *log, int error, bool whole, const char *what)
{
    int16_t answer = partition_log_disk_error(log, error, what);
    if (whole || partition_log_failure(log))
        return answer;
    partition_log_refuse(log, error);
    log_error(
        log->logger, "log",
        "%s: %s ended half-way (%s): this log is offline until the broker starts again, and recovers it",
        log->directory, what, strerror(-error));
    return answer;
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
    struct cut cut;
    int error = open_end(log);
    if (!error && partition_log_use_end(log))
        return KAFKA_KAFKA_STORAGE_ERROR;
    if (!error)
        error = prepare_cut(log, offset, now_ms, &cut);
    if (error)
        return partition_log_disk_error(log, error, "preparing a truncation");
    /* The log starts within the batch that goes: it is empty from its start on. */
    if (cut.end_offset < log->start_offset) {
        producer_state_free(cut.producers);
        return partition_log_truncate_fully(log, log->start_offset, now_ms);
    }
    error = partition_log_lower_recovery_point(log, cut.end_offset);
    if (error) {
        producer_state_free(cut.producers);
        return partition_log_disk_error(log, error, "writing the recovery point");
    }
    bool whole;
    error = make_cut(log, &cut, &whole);
    return error ? cut_failed(log, error, whole, "truncation") : KAFKA_NONE;
}

bool partition_log_has_unsynced_cut(const struct partition_log *log)
{
    return log->cut_unsynced;
}

/* ---- beginning anew ---- */

/* Puts a new segment in the place of all others. It is made first, under a name that counts for nothing, for
 * one of the others may have its base. *whole: as of make_cut. 0, or -errno. */
static int replace_segments(struct partition_log *log, int64_t offset, int64_t now_ms, bool *whole)
{
    struct segment *segment;
    size_t segments_count = log->segments_count;
    *whole = true;
    int error = segment_create_aside(log->files, log->directory, offset, now_ms, &segment);
    if (error)
        return error;
    log->names_changed++;
    partition_log_forget_recent(log);
    error = partition_log_remove_segments(log, 0, segments_count);
    *whole = log->segments_count == segments_count;
    if (error) {
        segment_discard_aside(segment);
        return error;
    }
    partition_log_push_segment(log, segment);
    log->size_bytes = 0;
    error = segment_take_name(segment);
    return error ? error : sync_removed_names(log);
}

static int start_anew(struct partition_log *log, int64_t offset, int64_t now_ms, bool *whole)
{
    *whole = true;
    int error = partition_log_remove_snapshots(log, 0, INT64_MAX);
    if (!error)
        error = replace_segments(log, offset, now_ms, whole);
    if (error)
        return error;
    log->start_offset = offset;
    log->end_offset = offset;
    log->end_state = LOG_END_CHECKED;
    log->recovery_point = min_i64(log->recovery_point, offset);
    epoch_cache_clear(&log->epochs);
    producer_state_clear(log->producers);
    return 0;
}

/* start_offset: of the log after a crash. */
static int16_t begin_anew(struct partition_log *log, int64_t offset, int64_t start_offset, int64_t now_ms)
{
    if (partition_log_failure(log))
        return KAFKA_KAFKA_STORAGE_ERROR;
    int64_t before = log->start_offset;
    /* First: who reads both without the lock sees the lower start only with what it is to return to. */
    log->start_offset_kept = start_offset > offset ? start_offset : min_i64(log->start_offset_kept, offset);
    int error = keep_start(log, offset, start_offset);
    if (error)
        return partition_log_disk_error(log, error, "writing the recovery point and the log start");
    bool whole;
    error = start_anew(log, offset, now_ms, &whole);
    if (!error)
        return KAFKA_NONE;
    log->start_offset = before;
    return cut_failed(log, error, whole, "emptying the log");
}

int16_t partition_log_truncate_fully(struct partition_log *log, int64_t offset, int64_t now_ms)
{
    return begin_anew(log, offset, offset, now_ms);
}

int16_t partition_log_begin_below(struct partition_log *log, int64_t offset, int64_t now_ms)
{
    return begin_anew(log, offset, log->start_offset, now_ms);
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
