/* SPDX-License-Identifier: Apache-2.0 */
/* The leader's checks of produced records. Each step returns KAFKA_NONE or ends the validation. */
#include "proto/records/validate.h"

#include <errno.h>

#include "proto/records/record.h"

/* From this version of Produce on a partition's payload is exactly one batch of magic 2. */
#define PRODUCE_VERSION_BATCHES 3
/* zstd came with this one: older clients would get batches back that they cannot read. */
#define PRODUCE_VERSION_ZSTD 7

static enum kafka_error refuse(struct record_validation *result, enum kafka_error error, const char *reason)
{
    result->reason = reason;
    return error;
}

/* The payload is one whole batch of magic 2. */
static enum kafka_error check_shape(struct slice payload, const struct record_validation_settings *settings,
                                    struct record_validation *result)
{
    size_t size = 0;
    int magic = -1;
    int error = record_entry_peek(payload, &size, &magic);
    if (error == -EBADMSG)
        return refuse(result, KAFKA_CORRUPT_MESSAGE, "impossible length of the batch");
    if (size == 0)
        return refuse(result, KAFKA_INVALID_RECORD, "no record batch");
    if (magic < RECORD_MAGIC_V0 || magic > RECORD_MAGIC_V2)
        return refuse(result, KAFKA_CORRUPT_MESSAGE, "unknown magic");
    if (magic != RECORD_MAGIC_V2 && settings->produce_version >= PRODUCE_VERSION_BATCHES)
        return refuse(result, KAFKA_INVALID_RECORD,
                      "this version of Produce takes record batches of magic 2");
    if (magic != RECORD_MAGIC_V2)
        return refuse(result, KAFKA_UNSUPPORTED_FOR_MESSAGE_FORMAT,
                      "messages of magic 0 and 1 are not taken");
    error = record_batch_parse(payload, &result->batch);
    if (error == -EBADMSG)
        return refuse(result, KAFKA_CORRUPT_MESSAGE, "the batch is shorter than its header");
    if (error)
        return refuse(result, KAFKA_INVALID_RECORD, "the batch is longer than the payload");
    if (result->batch.size_bytes != payload.length)
        return refuse(result, KAFKA_INVALID_RECORD, "more than one record batch");
    return KAFKA_NONE;
}

static enum kafka_error check_header(const struct record_validation_settings *settings,
                                     struct record_validation *result)
{
    const struct record_batch *batch = &result->batch;
    if (batch->codec == CODEC_ZSTD && settings->produce_version < PRODUCE_VERSION_ZSTD)
        return refuse(result, KAFKA_UNSUPPORTED_COMPRESSION_TYPE, "zstd needs Produce version 7");
    if (batch->base_offset != 0)
        return refuse(result, KAFKA_INVALID_RECORD, "the base offset is not 0");
    if (settings->max_message_bytes < 0 || batch->size_bytes > (size_t)settings->max_message_bytes)
        return refuse(result, KAFKA_MESSAGE_TOO_LARGE, "the batch is larger than max.message.bytes");
    if (!record_batch_check_crc(batch))
        return refuse(result, KAFKA_CORRUPT_MESSAGE, "wrong CRC");
    if ((int)batch->codec >= CODEC_COUNT)
        return refuse(result, KAFKA_UNSUPPORTED_COMPRESSION_TYPE, "unknown codec");
    if (batch->last_offset_delta < 0 || batch->record_count <= 0 ||
        batch->record_count - 1 != batch->last_offset_delta)
        return refuse(result, KAFKA_INVALID_RECORD, "record count and last offset delta disagree");
    if (batch->control)
        return refuse(result, KAFKA_INVALID_RECORD, "control batches come from brokers only");
    if (batch->producer_id != RECORD_NO_PRODUCER_ID && batch->base_sequence < 0)
        return refuse(result, KAFKA_INVALID_RECORD, "a producer id without a sequence");
    return KAFKA_NONE;
}

static bool timestamp_in_range(const struct record_validation_settings *settings, int64_t timestamp,
                               int64_t now_ms)
{
    int64_t age = 0;
    if (__builtin_sub_overflow(now_ms, timestamp, &age)) /* further off than any limit can say */
        age = timestamp > now_ms ? INT64_MIN : INT64_MAX;
    if (age >= 0)
        return age <= settings->timestamp_before_max_ms;
    return age >= -settings->timestamp_after_max_ms;
}

/* NULL: the timestamp is fine. `timestamp` is a record's, or stands for those of the batch. */
static const char *timestamp_problem(const struct record_validation_settings *settings,
                                     const struct record_batch *batch, int64_t timestamp, int64_t now_ms)
{
    if (!settings->append_time && timestamp != RECORD_NO_TIMESTAMP) {
        if (!timestamp_in_range(settings, timestamp, now_ms))
            return "the timestamp is too far from the broker's time";
    } else if (batch->append_time) {
        return "producers do not set the append time";
    }
    return NULL;
}

static void note_record_error(struct record_validation *result, int32_t index, const char *reason)
{
    if (result->error_count < RECORD_ERRORS_MAX)
        result->errors[result->error_count++] = (struct record_error){index, reason};
}

/* NULL: the record is fine. Its key is looked at first, as Kafka does. */
static const char *record_problem(const struct record_validation_settings *settings,
                                  const struct record_batch *batch, const struct record_outline *record,
                                  int64_t now_ms, enum kafka_error *error)
{
    *error = KAFKA_INVALID_RECORD;
    if (settings->compacted && !record->has_key)
        return "records of a compacted topic need a key";
    *error = KAFKA_INVALID_TIMESTAMP;
    return timestamp_problem(settings, batch, record->timestamp, now_ms);
}

/* The walk ended early. What was found wrong with single records does not matter any more. */
static enum kafka_error refuse_damaged(struct record_validation *result, int error)
{
    result->error_count = 0;
    if (error == -EMSGSIZE)
        return refuse(result, KAFKA_MESSAGE_TOO_LARGE, "the records are too large when uncompressed");
    if (error == -EILSEQ)
        return refuse(result, KAFKA_CORRUPT_MESSAGE, "the records cannot be uncompressed");
    return refuse(result, KAFKA_INVALID_RECORD, "the records do not add up to what the batch says");
}

/* Every record; their count; the largest timestamp. A wrong timestamp outweighs other faults, as with Kafka.
 */
static enum kafka_error walk_records(const struct record_validation_settings *settings, int64_t now_ms,
                                     struct record_walker *walker, struct record_validation *result)
{
    enum kafka_error worst = KAFKA_NONE;
    struct record_outline record;
    int more;
    result->max_timestamp = RECORD_NO_TIMESTAMP;
    result->max_timestamp_offset_delta = 0;
    for (int32_t index = 0; (more = record_walker_next(walker, &record)) > 0; index++) {
        enum kafka_error error;
        const char *problem = record_problem(settings, &result->batch, &record, now_ms, &error);
        if (problem != NULL) {
            note_record_error(result, index, problem);
            worst = worst == KAFKA_INVALID_TIMESTAMP ? worst : error;
        }
        if (record.offset_delta != index)
            result->must_rebuild = true;
        if (record.timestamp > result->max_timestamp) {
            result->max_timestamp = record.timestamp;
            result->max_timestamp_offset_delta = index;
        }
    }
    if (more < 0)
        return refuse_damaged(result, more);
    if (worst != KAFKA_NONE)
        return refuse(result, worst, result->errors[0].reason);
    return KAFKA_NONE;
}

static size_t bytes_allowed(const struct record_validation_settings *settings, int64_t most)
{
    return (size_t)min_i64((int64_t)settings->max_message_bytes * RECORD_DECOMPRESSED_RATIO_MAX, most);
}

static enum kafka_error check_records(const struct record_validation_settings *settings, int64_t now_ms,
                                      struct record_walker *walker, struct record_validation *result)
{
    const struct record_batch *batch = &result->batch;
    record_walker_start(walker, batch, batch->codec, batch->records,
                        bytes_allowed(settings, result->must_rebuild ? RECORD_REBUILT_BYTES_MAX
                                                                     : RECORD_DECOMPRESSED_BYTES_MAX));
    enum kafka_error error = walk_records(settings, now_ms, walker, result);
    result->uncompressed_bytes = (size_t)record_walker_position(walker);
    record_walker_trim(walker);
    if (error == KAFKA_NONE && result->must_rebuild && result->uncompressed_bytes > RECORD_REBUILT_BYTES_MAX)
        error = refuse_damaged(result, -EMSGSIZE);
    return error;
}

enum kafka_error record_validate(struct slice payload, const struct record_validation_settings *settings,
                                 int64_t now_ms, struct record_walker *walker,
                                 struct record_validation *result)
{
    *result = (struct record_validation){.max_timestamp_offset_delta = -1};
    enum kafka_error error = check_shape(payload, settings, result);
    if (error == KAFKA_NONE)
        error = check_header(settings, result);
    if (error != KAFKA_NONE)
        return error;
    const struct record_batch *batch = &result->batch;
    result->record_count = batch->record_count;
    result->target_codec = batch->codec;
    if (settings->codec != RECORD_CODEC_OF_PRODUCER && settings->codec != (int)batch->codec) {
        result->target_codec = (enum codec)settings->codec;
        result->must_rebuild = true;
    }
    error = check_records(settings, now_ms, walker, result);
    if (error == KAFKA_NONE && settings->append_time) {
        result->max_timestamp = now_ms;
        result->max_timestamp_offset_delta = batch->last_offset_delta;
    }
    return error;
}
