/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Record sets as a producer or another broker may send them: stepped through, walked, and put before the
 * leader's checks with their CRC as it is and made to fit. What passes the checks can be rebuilt.
 */
#include "common/bytes.h"
#include "common/check.h"
#include "common/crc32c.h"
#include "proto/records/builder.h"
#include "proto/records/old.h"
#include "proto/records/validate.h"
#include "tests/fuzz/driver.h"

#define NOW_MS 1700000000000

#define LIMIT_BYTES (1 << 20)

/* The records seen whole: how many, or -1 for damaged ones. */
static int32_t walk_whole(const struct record_batch *batch)
{
    struct buffer scratch;
    struct slice records;
    int32_t count = -1;
    buffer_init(&scratch);
    if (record_batch_decompress(batch, LIMIT_BYTES, &scratch, &records) == 0) {
        struct record_iterator iterator;
        struct record record;
        int more;
        count = 0;
        record_iterator_init(&iterator, batch, records);
        while ((more = record_iterator_next(&iterator, &record)) > 0) {
            struct byte_reader headers;
            struct record_header header;
            int32_t header_count = 0;
            reader_init(&headers, record.headers);
            while (record_header_next(&headers, &header))
                header_count++;
            CHECK(header_count == record.header_count);
            count++;
        }
        if (more < 0)
            count = -1;
        CHECK(more < 0 || count == batch->record_count);
    }
    buffer_release(&scratch);
    return count;
}

/* The same piece by piece. */
static int32_t walk_pieces(const struct record_batch *batch)
{
    struct record_walker walker;
    struct record_outline outline;
    int32_t count = 0;
    int more;
    record_walker_init(&walker);
    record_walker_start(&walker, batch, batch->codec, batch->records, LIMIT_BYTES);
    while ((more = record_walker_next(&walker, &outline)) > 0)
        count++;
    record_walker_release(&walker);
    return more < 0 ? -1 : count;
}

static void walk(const struct record_batch *batch)
{
    int32_t whole = walk_whole(batch);
    if ((int)batch->codec < CODEC_COUNT)
        CHECK(walk_pieces(batch) == whole);
}

static void step_through(struct slice left)
{
    size_t size;
    int magic;
    while (record_entry_peek(left, &size, &magic) == 0) {
        struct record_batch batch;
        struct old_message message;
        CHECK(size <= left.length);
        if (record_batch_parse(left, &batch) == 0) {
            CHECK(batch.size_bytes == size && magic == RECORD_MAGIC_V2);
            bool fits = record_batch_check_crc(&batch);
            (void)fits;
            walk(&batch);
        }
        if (old_message_parse(left, &message) == 0) {
            CHECK(message.size_bytes == size);
            bool fits = old_message_check_crc(&message);
            (void)fits;
        }
        left = slice_make(left.data + size, left.length - size);
    }
}

static void validate(struct slice payload, uint8_t choice)
{
    const struct record_validation_settings settings = {
        .produce_version = (int16_t)(choice % 12),
        .compacted = choice & 16,
        .append_time = choice & 32,
        .max_message_bytes = 1 << 16,
        .timestamp_before_max_ms = INT64_MAX,
        .timestamp_after_max_ms = 3600000,
        .codec = choice & 64 ? choice % CODEC_COUNT : RECORD_CODEC_OF_PRODUCER,
    };
    struct record_validation result;
    struct buffer rebuilt;
    struct record_walker walker;
    record_walker_init(&walker);
    buffer_init(&rebuilt);
    enum kafka_error error = record_validate(payload, &settings, NOW_MS, &walker, &result);
    CHECK((error == KAFKA_NONE) == (result.reason == NULL));
    if (error == KAFKA_NONE)
        CHECK(result.batch.size_bytes == payload.length && result.record_count > 0);
    if (error == KAFKA_NONE && result.must_rebuild) {
        int failed = record_batch_rebuild(&result.batch, result.uncompressed_bytes, result.target_codec,
                                          CODEC_DEFAULT_LEVEL, &rebuilt);
        CHECK(failed == 0);
        struct record_batch batch;
        failed = record_batch_parse(buffer_slice(&rebuilt), &batch);
        CHECK(failed == 0 && batch.record_count == result.record_count);
    }
    record_walker_release(&walker);
    buffer_release(&rebuilt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice payload = slice_make(data + 1, size - 1);
    step_through(payload);
    validate(payload, data[0]);
    struct record_batch batch;
    if (record_batch_parse(payload, &batch) == 0) {
        struct buffer fixed;
        buffer_init(&fixed);
        buffer_append(&fixed, batch.bytes.data, batch.size_bytes);
        record_batch_set_base_offset(fixed.data, 0);
        store_u32(fixed.data + RECORD_BATCH_CRC_AT, crc32c(0, fixed.data + RECORD_BATCH_ATTRIBUTES_AT,
                                                           fixed.length - RECORD_BATCH_ATTRIBUTES_AT));
        validate(buffer_slice(&fixed), data[0]);
        buffer_release(&fixed);
    }
    return 0;
}
