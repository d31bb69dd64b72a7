/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Producer state and its snapshots on disk. A snapshot <offset>.snapshot holds the state of everything below
 * that offset. At a roll it is written without a sync: a torn one fails its CRC, is removed, and an older one
 * is used with a longer replay. What must hold is that no snapshot of a former branch of the log survives:
 * they are removed, and the directory synced, before the log is cut below them.
 *
 * What follows from that state stands here too: the last stable offset and the aborted transactions.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/disk_error.h"
#include "broker/log/partition_log_private.h"
#include "common/memory.h"
#include "proto/kafka/error.h"
#include "proto/records/batch.h"

#define SNAPSHOT_BYTES_MAX ((size_t)512 * 1024 * 1024)

static const char *snapshot_path(const struct partition_log *log, int64_t offset, struct buffer *path)
{
    buffer_clear(path);
    buffer_print(path, "%s/%020" PRId64 ".snapshot", log->directory, offset);
    return buffer_string(path);
}

void partition_log_add_snapshot(struct partition_log *log, int64_t offset)
{
    size_t at = log->snapshots_count;
    while (at > 0 && log->snapshots[at - 1] > offset)
        at--;
    if (at > 0 && log->snapshots[at - 1] == offset)
        return;
    log->snapshots =
        memory_grow(log->snapshots, log->snapshots_count, &log->snapshots_capacity, sizeof(*log->snapshots));
    memmove(log->snapshots + at + 1, log->snapshots + at,
            (log->snapshots_count - at) * sizeof(*log->snapshots));
    log->snapshots[at] = offset;
    log->snapshots_count++;
}

static int write_file(struct partition_log *log, const char *path, const struct buffer *content, bool durable)
{
    struct file *file;
    int error = file_open(log->files, path, FILE_CREATE, &file);
    if (error)
        return error;
    error = file_truncate(log->files, file, 0);
    if (!error) {
        struct iovec part = {content->data, content->length};
        error = file_write_all(log->files, file, &part, 1, 0);
    }
    if (!error && durable)
        error = file_sync(log->files, file);
    int close_error = file_close(log->files, file);
    return error ? error : close_error;
}

int partition_log_write_snapshot(struct partition_log *log, int64_t offset, bool durable)
{
    if (!durable && log->snapshots_count > 0 && log->snapshots[log->snapshots_count - 1] == offset)
        return 0;
    struct buffer path, content;
    buffer_init(&path);
    buffer_init(&content);
    producer_state_encode(log->producers, &content);
    log->names_changed++;
    int error = write_file(log, snapshot_path(log, offset, &path), &content, durable);
    if (error)
        log_warn(log->logger, "log", "%s: cannot be written: %s", buffer_string(&path), strerror(-error));
    else
        partition_log_add_snapshot(log, offset);
    buffer_release(&path);
    buffer_release(&content);
    return error == -EIO ? error : 0;
}

static int remove_snapshot_file(struct partition_log *log, int64_t offset)
{
    struct buffer path;
    buffer_init(&path);
    log->names_changed++;
    int error = file_system_remove(log->files, snapshot_path(log, offset, &path));
    buffer_release(&path);
    return error == -ENOENT ? 0 : error;
}

static int remove_snapshot_number(struct partition_log *log, size_t number)
{
    int error = remove_snapshot_file(log, log->snapshots[number]);
    if (error)
        return error;
    log->snapshots_count--;
    memmove(log->snapshots + number, log->snapshots + number + 1,
            (log->snapshots_count - number) * sizeof(*log->snapshots));
    return 0;
}

int partition_log_remove_snapshots(struct partition_log *log, int64_t from, int64_t to)
{
    int error = 0;
    for (size_t i = log->snapshots_count; i > 0 && !error; i--)
        if (log->snapshots[i - 1] >= from && log->snapshots[i - 1] <= to)
            error = remove_snapshot_number(log, i - 1);
    return error;
}

int partition_log_discard_snapshots(struct partition_log *log, int64_t offset)
{
    int error = 0;
    while (!error && log->snapshots_count > 1 && log->snapshots[0] < offset) {
        error = partition_log_discard_snapshot(log, log->snapshots[0]);
        if (error)
            break;
        log->snapshots_count--;
        memmove(log->snapshots, log->snapshots + 1, log->snapshots_count * sizeof(*log->snapshots));
    }
    return error;
}

int partition_log_drop_stray_snapshots(struct partition_log *log)
{
    int error = 0;
    for (size_t i = log->snapshots_count; i > 1 && !error; i--) {
        int64_t offset = log->snapshots[i - 2];
        size_t number = partition_log_segment_number(log, offset);
        if (log->segments[number]->base_offset != offset)
            error = remove_snapshot_number(log, i - 2);
    }
    return error;
}

bool partition_log_producer_batch(const struct scanned_batch *scanned, const uint8_t *bytes,
                                  struct producer_batch *batch)
{
    if (scanned->producer_id < 0)
        return false;
    *batch = (struct producer_batch){
        .producer_id = scanned->producer_id,
        .epoch = scanned->producer_epoch,
        .first_sequence = scanned->base_sequence,
        .base_offset = scanned->base_offset,
        .last_offset = scanned->last_offset,
        .timestamp = scanned->max_timestamp,
        .transactional = scanned->transactional,
    };
    if (scanned->control) {
        batch->is_marker = true;
        return scanned_batch_marker(scanned, bytes, &batch->commit, &batch->coordinator_epoch);
    }
    batch->last_sequence = record_sequence_add(scanned->base_sequence, scanned->last_offset_delta);
    return scanned->base_sequence >= 0;
}

void partition_log_note_producer(struct partition_log *log, struct segment *segment,
                                 const struct scanned_batch *scanned, const uint8_t *bytes)
{
    struct producer_batch batch;
    struct completed_transaction completed;
    if (partition_log_producer_batch(scanned, bytes, &batch) &&
        producer_state_update(log->producers, &batch, &completed) && completed.aborted)
        segment_note_abort(segment, &completed);
    /* Else a long recovery would gather every transaction that ever ended. */
    if (scanned->control)
        producer_state_forget_replicated(log->producers, log->known_high_watermark);
}

/* Takes note of the batches of one segment in [from, to); index: its aborted transactions are added to its
 * index. 0, or -errno. */
static int replay_segment(struct partition_log *log, size_t number, int64_t from, int64_t to, bool index)
{
    struct segment *segment = log->segments[number];
    struct scanned_batch batch;
    int result = number + 1 == log->segments_count ? partition_log_look_at_end(log) : 0;
    if (result == 0)
        result = partition_log_find(log, number, from, &batch);
    if (result <= 0)
        return result;
    struct batch_scanner scanner;
    batch_scanner_init(&scanner, segment, batch.position, segment->size_bytes, SCAN_CHUNK_HEADERS);
    while ((result = batch_scanner_next(&scanner, &batch)) > 0 && batch.base_offset < to) {
        const uint8_t *bytes = NULL;
        struct producer_batch producer;
        int error = batch.control ? batch_scanner_bytes(&scanner, &batch, &bytes) : 0;
        if (error) {
            result = error;
            break;
        }
        if (index)
            partition_log_note_producer(log, segment, &batch, bytes);
        else if (partition_log_producer_batch(&batch, bytes, &producer))
            producer_state_update(log->producers, &producer, NULL);
        if (batch.control)
            producer_state_forget_replicated(log->producers, log->known_high_watermark);
    }
    batch_scanner_release(&scanner);
    return result < 0 ? result : 0;
}

/* Loads the newest sound snapshot at or below `offset`; *from is what it covers. Unsound ones are removed. */
static int load_snapshot(struct partition_log *log, int64_t offset, int64_t *from)
{
    *from = log->segments[0]->base_offset;
    producer_state_clear(log->producers);
    struct buffer path, content;
    buffer_init(&path);
    buffer_init(&content);
    int error = 0;
    for (size_t i = log->snapshots_count; i > 0 && !error; i--) {
        int64_t at = log->snapshots[i - 1];
        if (at > offset)
            continue;
        buffer_clear(&content);
        snapshot_path(log, at, &path);
        error = file_system_read_all(log->files, buffer_string(&path), SNAPSHOT_BYTES_MAX, &content);
        if (!error && producer_state_decode(log->producers, buffer_slice(&content)) == 0) {
            *from = max_i64(at, *from);
            break;
        }
        if (!error || error == -EFBIG || error == -ENOENT) {
            log_warn(log->logger, "log", "%s is damaged: removed", buffer_string(&path));
            error = remove_snapshot_number(log, i - 1);
        }
    }
    buffer_release(&path);
    buffer_release(&content);
    return error;
}

/* The state at `offset`, with none expired. */
static int replay_to(struct partition_log *log, int64_t offset)
{
    int64_t from;
    int error = load_snapshot(log, offset, &from);
    if (error)
        return error;
    for (size_t i = partition_log_segment_number(log, from); i < log->segments_count && !error; i++)
        if (log->segments[i]->base_offset < offset && from < offset)
            error = replay_segment(log, i, from, offset, false);
    if (error == -EBADMSG) {
        log_warn(log->logger, "log", "%s: damaged below the recovery point: producer state is incomplete",
                 log->directory);
        error = 0;
    }
    return error;
}

int partition_log_begin_recovery(struct partition_log *log, size_t first_segment)
{
    for (size_t i = first_segment; i < log->segments_count; i++)
        transaction_index_restart(&log->segments[i]->transactions);
    return replay_to(log, log->segments[first_segment]->base_offset);
}

int partition_log_rebuild_producers(struct partition_log *log, int64_t offset, int64_t now_ms)
{
    log->known_high_watermark = min_i64(log->known_high_watermark, offset);
    int error = replay_to(log, offset);
    if (!error)
        producer_state_expire(log->producers, now_ms, log->settings.producer_id_expiration_ms);
    return error;
}

/* ---- aborted transactions ---- */

/* Makes the index of a segment below the recovery point anew. Where the disk is full or the process lacks
 * something, what is in memory does: a later flush writes it, or the next start finds the damage again. 0, or
 * -errno. */
static int rebuild_transactions(struct partition_log *log, size_t number)
{
    struct segment *segment = log->segments[number];
    int64_t end = partition_log_segment_end(log, number);
    log_warn(log->logger, "log", "%s is damaged: made anew from the segment", segment->transactions.path);
    transaction_index_restart(&segment->transactions);
    int error = replay_to(log, segment->base_offset);
    if (!error)
        error = replay_segment(log, number, segment->base_offset, end, true);
    if (error == -EBADMSG)
        error = log->end_state == LOG_END_WRONG ? -EBADMSG : 0; /* it is all loaded again */
    transaction_index_truncate(&segment->transactions, end);    /* a damaged segment may go too far */
    int replace_error = error ? 0 : transaction_index_replace(&segment->transactions);
    log->names_changed++;
    if (replace_error && disk_error_of(replace_error) != DISK_ERROR_FAILED) {
        log_warn(log->logger, "log", "%s is written later: %s", segment->transactions.path,
                 strerror(-replace_error));
        return 0;
    }
    return error ? error : replace_error;
}

int partition_log_load_transactions(struct partition_log *log)
{
    int error = 0;
    for (size_t i = 0; i < log->segments_count && !error; i++) {
        error = transaction_index_load(&log->segments[i]->transactions, log->segments[i]->base_offset,
                                       partition_log_segment_end(log, i));
        if (error == -EBADMSG)
            error = rebuild_transactions(log, i);
    }
    return error;
}

int16_t partition_log_collect_aborted(struct partition_log *log, int64_t from, int64_t to,
                                      transaction_visit *visit, void *context)
{
    if (partition_log_failure(log))
        return KAFKA_KAFKA_STORAGE_ERROR;
    bool complete = false;
    for (size_t i = partition_log_segment_number(log, from); i < log->segments_count && !complete; i++)
        complete = transaction_index_collect(&log->segments[i]->transactions, from, to, visit, context);
    return KAFKA_NONE;
}

int64_t partition_log_last_stable_offset(const struct partition_log *log, int64_t high_watermark)
{
    int64_t first = producer_state_first_unstable_offset(log->producers, high_watermark);
    int64_t start = log->start_offset;
    return first < 0 ? high_watermark : min_i64(high_watermark, max_i64(first, start));
}

void partition_log_on_high_watermark(struct partition_log *log, int64_t high_watermark)
{
    log->known_high_watermark = high_watermark;
    producer_state_forget_replicated(log->producers, high_watermark);
}
