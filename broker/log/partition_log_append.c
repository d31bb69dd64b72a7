/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Appending. What a leader takes from a producer is validated in Kafka's order and patched in place; what a
 * follower takes from its leader is checked for CRC, continuity and epochs, and kept byte for byte. Both are
 * written from where they lie, with one write a segment; no byte of a record is copied on the way.
 *
 * Nothing of the log's state moves before the bytes are in the file (invariant I5): then the end offset,
 * epochs, producer state and the memory of recent appends follow together.
 */
#include <errno.h>

#include "broker/log/disk_error.h"
#include "broker/log/partition_log_private.h"
#include "common/check.h"
#include "proto/kafka/error.h"
#include "proto/records/builder.h"
#include "proto/records/validate.h"

#define EXPIRY_INTERVAL_MS (10 * 60 * 1000)

/* Takes note of one batch that is in the active segment now, at `position`. */
static void note_batch(struct partition_log *log, const struct scanned_batch *batch, const uint8_t *bytes,
                       int64_t position)
{
    if (batch->leader_epoch >= 0)
        epoch_cache_assign(&log->epochs, batch->leader_epoch, batch->base_offset);
    partition_log_note_producer(log, partition_log_active(log), batch, bytes);
    partition_log_remember(log, batch, position);
    log->end_offset = batch->last_offset + 1;
}

/* Before the directory becomes full: who looks for room must know how much. */
static void note_refused(struct partition_log *log, int error, int64_t bytes)
{
    if (!log->health || disk_error_of(error) != DISK_ERROR_FULL)
        return;
    int64_t largest = atomic_load(&log->health->refused_bytes);
    while (bytes > largest && !atomic_compare_exchange_weak(&log->health->refused_bytes, &largest, bytes))
        ;
}

/* Writes whole batches behind the end: rolled before, noted after. A Kafka error. */
static int16_t write_batches(struct partition_log *log, const struct segment_append *append,
                             int64_t first_offset, int64_t now_ms)
{
    CHECK(first_offset >= log->end_offset);
    int error = partition_log_roll_if_due(log, append, first_offset, now_ms);
    if (error)
        return partition_log_disk_error(log, error, "rolling the segment");
    struct segment *active = partition_log_active(log);
    CHECK(first_offset >= active->base_offset);
    int64_t position = active->size_bytes;
    error = segment_append(active, append, log->settings.index_interval_bytes);
    if (error) {
        note_refused(log, error, (int64_t)append->length);
        return partition_log_disk_error(log, error, "appending");
    }
    log->size_bytes += (int64_t)append->length;
    for (size_t at = 0; at < append->length;) {
        struct scanned_batch batch;
        error = scanned_batch_parse(append->bytes + at, append->length - at, &batch);
        CHECK(error == 0);
        note_batch(log, &batch, append->bytes + at, position + (int64_t)at);
        at += (size_t)batch.size_bytes;
    }
    if (now_ms >= log->next_expiry_ms) {
        log->next_expiry_ms = now_ms + EXPIRY_INTERVAL_MS;
        producer_state_expire(log->producers, now_ms, log->settings.producer_id_expiration_ms);
    }
    return KAFKA_NONE;
}

/* ---- leader ---- */

static struct record_validation_settings validation_settings(const struct log_settings *settings,
                                                             int16_t produce_version)
{
    return (struct record_validation_settings){
        .produce_version = produce_version,
        .compacted = settings->compacted,
        .append_time = settings->log_append_time,
        .max_message_bytes = (int32_t)min_i64(settings->max_message_bytes, INT32_MAX),
        .timestamp_before_max_ms = settings->timestamp_before_max_ms,
        .timestamp_after_max_ms = settings->timestamp_after_max_ms,
        .codec = settings->compression,
    };
}

/* Kafka's default for lz4 stands for its fast compressor, not for this level of the slow one. */
#define LZ4_LEVEL_FAST 9

/* The level that the topic sets for the codec. */
static int level_of(const struct log_settings *settings, enum codec codec)
{
    switch (codec) {
    case CODEC_GZIP:
        return settings->compression_gzip_level;
    case CODEC_LZ4:
        return settings->compression_lz4_level == LZ4_LEVEL_FAST ? CODEC_DEFAULT_LEVEL
                                                                 : settings->compression_lz4_level;
    case CODEC_ZSTD:
        return settings->compression_zstd_level;
    case CODEC_NONE:
    case CODEC_SNAPPY:
        break;
    }
    return CODEC_DEFAULT_LEVEL;
}

/* Makes the batch anew in log->rebuilt. A Kafka error. */
static int16_t rebuild_batch(struct partition_log *log, const struct record_validation *validation,
                             const char **error_message)
{
    size_t needed_bytes = RECORD_REBUILD_FACTOR * validation->uncompressed_bytes;
    if (!record_walkers_reserve(log->walkers, needed_bytes)) {
        *error_message = "Too many large batches are being written anew; try again.";
        return KAFKA_REQUEST_TIMED_OUT; /* clients try again after this one */
    }
    buffer_clear(&log->rebuilt);
    int error =
        record_batch_rebuild(&validation->batch, validation->uncompressed_bytes, validation->target_codec,
                             level_of(&log->settings, validation->target_codec), &log->rebuilt);
    record_walkers_unreserve(log->walkers, needed_bytes);
    if (error) {
        *error_message = "The records could not be brought into the form that the topic asks for.";
        return KAFKA_INVALID_RECORD;
    }
    if ((int64_t)log->rebuilt.length > log->settings.max_message_bytes) {
        *error_message = "The batch is larger than max.message.bytes of the topic allows.";
        return KAFKA_MESSAGE_TOO_LARGE;
    }
    return KAFKA_NONE;
}

/* The bytes to append: the producer's own, or made anew in log->rebuilt. A Kafka error. */
static int16_t choose_bytes(struct partition_log *log, const struct record_validation *validation,
                            uint8_t **bytes, size_t *length, const char **error_message)
{
    if (validation->must_rebuild) {
        int16_t error = rebuild_batch(log, validation, error_message);
        if (error != KAFKA_NONE)
            return error;
        *bytes = log->rebuilt.data;
        *length = log->rebuilt.length;
    }
    if ((int64_t)*length > log->settings.segment_bytes) {
        *error_message = "The batch is larger than segment.bytes of the topic.";
        return KAFKA_RECORD_LIST_TOO_LARGE;
    }
    return KAFKA_NONE;
}

/* Sequence and epoch of an idempotent producer. A repeat fills *result as the first time did. */
static int16_t check_producer(struct partition_log *log, const struct record_batch *batch,
                              struct log_append_result *result)
{
    if (batch->producer_id < 0 || log->settings.ignore_sequences)
        return KAFKA_NONE;
    struct producer_duplicate duplicate;
    const struct producer_batch producer = {
        .producer_id = batch->producer_id,
        .epoch = batch->producer_epoch,
        .first_sequence = batch->base_sequence,
        .last_sequence = record_batch_last_sequence(batch),
        .last_offset = batch->last_offset_delta,
        .transactional = batch->transactional,
    };
    int16_t error = producer_state_check(log->producers, &producer, &duplicate);
    if (error == KAFKA_NONE && duplicate.found) {
        result->duplicate = true;
        result->base_offset = duplicate.base_offset;
        result->last_offset = duplicate.last_offset;
        result->append_time_ms = log->settings.log_append_time ? duplicate.timestamp : -1;
    }
    return error;
}

/* Writes what only the leader knows into the batch. */
static void patch_batch(const struct partition_log *log, uint8_t *bytes, size_t length, int64_t max_timestamp,
                        int32_t leader_epoch)
{
    record_batch_set_base_offset(bytes, log->end_offset);
    record_batch_set_leader_epoch(bytes, leader_epoch);
    if (log->settings.log_append_time)
        record_batch_set_append_time(bytes, length, max_timestamp);
    else
        record_batch_set_max_timestamp(bytes, length, max_timestamp);
}

static int16_t validate(struct partition_log *log, struct slice payload, int16_t produce_version,
                        int64_t now_ms, struct record_validation *validation,
                        struct log_append_result *result)
{
    const struct record_validation_settings settings = validation_settings(&log->settings, produce_version);
    struct record_walker *walker = record_walkers_take(log->walkers);
    enum kafka_error error = record_validate(payload, &settings, now_ms, walker, validation);
    record_walkers_give_back(log->walkers, walker);
    result->error_message = validation->reason;
    result->record_error_count = validation->error_count;
    for (size_t i = 0; i < validation->error_count; i++)
        result->record_errors[i] = validation->errors[i];
    return (int16_t)error;
}

static int16_t append_batch(struct partition_log *log, uint8_t *batch, size_t length, int16_t produce_version,
                            int32_t leader_epoch, int64_t now_ms, struct log_append_result *result)
{
    struct record_validation validation;
    int16_t error = validate(log, slice_make(batch, length), produce_version, now_ms, &validation, result);
    if (error == KAFKA_NONE)
        error = check_producer(log, &validation.batch, result);
    if (error != KAFKA_NONE || result->duplicate)
        return error;
    if (partition_log_is_full(log)) { /* a repeat needs no room */
        result->error_message = "The log directory of this partition is full.";
        return KAFKA_KAFKA_STORAGE_ERROR;
    }
    error = choose_bytes(log, &validation, &batch, &length, &result->error_message);
    if (error != KAFKA_NONE)
        return error;
    patch_batch(log, batch, length, validation.max_timestamp, leader_epoch);
    struct scanned_batch scanned;
    int parse_error = scanned_batch_parse(batch, length, &scanned);
    CHECK(parse_error == 0);
    const struct segment_append append = {batch, length, scanned.last_offset, scanned.max_timestamp,
                                          scanned.last_offset};
    error = write_batches(log, &append, scanned.base_offset, now_ms);
    if (error != KAFKA_NONE)
        return error;
    result->base_offset = scanned.base_offset;
    result->last_offset = scanned.last_offset;
    result->append_time_ms = log->settings.log_append_time ? scanned.max_timestamp : -1;
    return KAFKA_NONE;
}

int16_t partition_log_append_as_leader(struct partition_log *log, uint8_t *batch, size_t length,
                                       int16_t produce_version, int32_t leader_epoch, int64_t now_ms,
                                       struct log_append_result *result)
{
    *result = (struct log_append_result){.base_offset = -1, .last_offset = -1, .append_time_ms = -1};
    if (partition_log_failure(log))
        return KAFKA_KAFKA_STORAGE_ERROR;
    result->log_start_offset = log->start_offset;
    if (partition_log_use_end(log))
        return KAFKA_KAFKA_STORAGE_ERROR;
    int16_t error = append_batch(log, batch, length, produce_version, leader_epoch, now_ms, result);
    partition_log_trim_buffers(log);
    return error;
}

/* ---- follower ---- */

/* A run of batches from a fetch answer that goes into one segment. */
struct chunk {
    size_t length;
    int64_t first_offset; /* -1: empty */
    int64_t last_offset;
    int64_t max_timestamp;
    int64_t max_timestamp_offset;
    int32_t leader_epoch; /* newest seen */
};

/* Whether the batch continues what is there. A Kafka error. */
static int16_t check_fetched(const struct partition_log *log, const struct chunk *chunk,
                             const struct scanned_batch *batch, const uint8_t *bytes)
{
    int64_t next = chunk->first_offset >= 0 ? chunk->last_offset + 1 : log->end_offset;
    if (!scanned_batch_check_crc(batch, bytes))
        return KAFKA_CORRUPT_MESSAGE;
    if (batch->base_offset < next)
        return KAFKA_OFFSET_OUT_OF_RANGE;
    if (batch->leader_epoch >= 0 && batch->leader_epoch < chunk->leader_epoch)
        return KAFKA_CORRUPT_MESSAGE;
    return KAFKA_NONE;
}

static bool fits_chunk(const struct partition_log *log, const struct chunk *chunk,
                       const struct scanned_batch *batch)
{
    return chunk->first_offset < 0 ||
           ((int64_t)chunk->length + batch->size_bytes <= log->settings.segment_bytes &&
            batch->last_offset - chunk->first_offset <= INT32_MAX);
}

/* Gathers whole batches from the front of the bytes. An empty chunk: nothing whole is left. */
static int16_t gather_chunk(const struct partition_log *log, const uint8_t *bytes, size_t length,
                            struct chunk *chunk)
{
    *chunk = (struct chunk){
        .first_offset = -1, .max_timestamp = -1, .leader_epoch = epoch_cache_latest(&log->epochs)};
    while (chunk->length < length) {
        const uint8_t *at = bytes + chunk->length;
        struct scanned_batch batch;
        size_t size;
        int magic;
        int peeked = record_entry_peek(slice_make(at, length - chunk->length), &size, &magic);
        if (peeked == -ENODATA)
            break;
        if (peeked || scanned_batch_parse(at, length - chunk->length, &batch))
            return chunk->length > 0 ? KAFKA_NONE : KAFKA_CORRUPT_MESSAGE;
        if (!fits_chunk(log, chunk, &batch))
            break;
        int16_t error = check_fetched(log, chunk, &batch, at);
        if (error != KAFKA_NONE)
            return chunk->length > 0 ? KAFKA_NONE : error; /* what is sound before it is taken first */
        if (chunk->first_offset < 0)
            chunk->first_offset = batch.base_offset;
        if (batch.max_timestamp > chunk->max_timestamp) {
            chunk->max_timestamp = batch.max_timestamp;
            chunk->max_timestamp_offset = batch.last_offset;
        }
        chunk->last_offset = batch.last_offset;
        if (batch.leader_epoch > chunk->leader_epoch)
            chunk->leader_epoch = batch.leader_epoch;
        chunk->length += (size_t)batch.size_bytes;
    }
    return KAFKA_NONE;
}

/*
 * An empty log may begin within a batch of its leader's: DeleteRecords leaves such log starts. A batch is
 * never split, so the log begins anew with the whole of it.
 */
static int16_t begin_with_batch(struct partition_log *log, const uint8_t *batches, size_t length,
                                int64_t now_ms)
{
    struct scanned_batch first;
    if (log->start_offset != log->end_offset || length == 0 || scanned_batch_parse(batches, length, &first) ||
        (size_t)first.size_bytes > length)
        return KAFKA_NONE;
    bool holds_end = first.base_offset < log->end_offset && first.last_offset >= log->end_offset;
    if (!holds_end || !scanned_batch_check_crc(&first, batches))
        return KAFKA_NONE;
    return partition_log_begin_below(log, first.base_offset, now_ms);
}

/*
 * After that: *error is that of the append. The disk may refuse to undo what it has refused to complete: the
 * log is empty then, its segment may begin below it, and its bounds are what they were, as what was told of
 * them, also of a log that has failed (I9).
 */
static void return_to_start(struct partition_log *log, int64_t start_offset, int64_t now_ms, int16_t *error)
{
    if (log->start_offset >= start_offset)
        return;
    int16_t returned = log->end_offset >= start_offset
                           ? partition_log_advance_start(log, start_offset)
                           : partition_log_truncate_fully(log, start_offset, now_ms);
    if (log->start_offset < start_offset) {
        log->end_offset = max_i64(log->end_offset, start_offset);
        log->start_offset = start_offset;
    }
    if (*error == KAFKA_NONE)
        *error = returned;
}

int16_t partition_log_append_as_follower(struct partition_log *log, const uint8_t *batches, size_t length,
                                         int64_t now_ms, size_t *appended)
{
    size_t taken = 0;
    int64_t start_offset = log->start_offset;
    bool refuses = partition_log_failure(log) || partition_log_is_full(log) || partition_log_use_end(log);
    int16_t error = refuses ? KAFKA_KAFKA_STORAGE_ERROR : begin_with_batch(log, batches, length, now_ms);
    while (error == KAFKA_NONE && taken < length) {
        struct chunk chunk;
        error = gather_chunk(log, batches + taken, length - taken, &chunk);
        if (error != KAFKA_NONE || chunk.length == 0)
            break;
        const struct segment_append append = {batches + taken, chunk.length, chunk.last_offset,
                                              chunk.max_timestamp, chunk.max_timestamp_offset};
        error = write_batches(log, &append, chunk.first_offset, now_ms);
        if (error == KAFKA_NONE)
            taken += chunk.length;
    }
    return_to_start(log, start_offset, now_ms, &error);
    if (appended)
        *appended = taken;
    return error;
}
