/* SPDX-License-Identifier: Apache-2.0 */
/* The leader's checks: one payload for every way to be refused, in their order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "common/bytes.h"
#include "common/crc32c.h"
#include "proto/records/validate.h"
#include "tests/unit/records/fixtures.h"

#define NOW_MS 1700000000000

struct check {
    struct buffer payload;
    struct record_walker walker;
    struct record_validation_settings settings;
    struct record_validation result;
};

static void check_init(struct check *check)
{
    memset(check, 0, sizeof(*check));
    buffer_init(&check->payload);
    record_walker_init(&check->walker);
    check->settings = (struct record_validation_settings){
        .produce_version = 9,
        .max_message_bytes = 1048588,
        .timestamp_before_max_ms = INT64_MAX,
        .timestamp_after_max_ms = 3600000,
        .codec = RECORD_CODEC_OF_PRODUCER,
    };
}

static void check_release(struct check *check)
{
    buffer_release(&check->payload);
    record_walker_release(&check->walker);
}

/* A batch of records with these timestamps; every key is "k". */
static void build(struct check *check, enum codec codec, const int64_t *timestamps, size_t count)
{
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    struct record_batch_builder builder;
    record_batch_builder_init(&builder, &parameters);
    for (size_t i = 0; i < count; i++)
        record_batch_builder_append(&builder, timestamps[i], slice_of("k"), slice_of("value"), NULL, 0);
    buffer_clear(&check->payload);
    assert_int_equal(record_batch_builder_finish(&builder, codec, CODEC_DEFAULT_LEVEL, &check->payload), 0);
    record_batch_builder_release(&builder);
}

static void build_plain(struct check *check, enum codec codec)
{
    static const int64_t timestamps[] = {NOW_MS - 5, NOW_MS + 2, NOW_MS - 7};
    build(check, codec, timestamps, ARRAY_SIZE(timestamps));
}

static void fix_crc(struct check *check)
{
    uint8_t *batch = check->payload.data;
    store_u32(batch + RECORD_BATCH_CRC_AT, crc32c(0, batch + RECORD_BATCH_ATTRIBUTES_AT,
                                                  check->payload.length - RECORD_BATCH_ATTRIBUTES_AT));
}

static enum kafka_error run(struct check *check)
{
    enum kafka_error error = record_validate(buffer_slice(&check->payload), &check->settings, NOW_MS,
                                             &check->walker, &check->result);
    assert_int_equal(error == KAFKA_NONE, check->result.reason == NULL);
    return error;
}

static void test_good_batches(void **state)
{
    (void)state;
    struct check check;
    check_init(&check);
    for (int codec = 0; codec < CODEC_COUNT; codec++) {
        build_plain(&check, (enum codec)codec);
        assert_int_equal(run(&check), KAFKA_NONE);
        assert_int_equal(check.result.record_count, 3);
        assert_true(check.result.max_timestamp == NOW_MS + 2);
        assert_false(check.result.must_rebuild);
        assert_int_equal(check.result.max_timestamp_offset_delta, 1);
        /* What the header says of the largest timestamp does not count. */
        record_batch_set_max_timestamp(check.payload.data, check.payload.length, NOW_MS + 1000);
        assert_int_equal(run(&check), KAFKA_NONE);
        assert_true(check.result.max_timestamp == NOW_MS + 2);
    }
    check.settings.append_time = true;
    assert_int_equal(run(&check), KAFKA_NONE);
    assert_true(check.result.max_timestamp == NOW_MS);
    assert_int_equal(check.result.max_timestamp_offset_delta, 2);
    check_release(&check);
}

static void test_shapes(void **state)
{
    (void)state;
    struct check check;
    check_init(&check);
    assert_int_equal(run(&check), KAFKA_INVALID_RECORD); /* nothing at all (B32) */
    build_plain(&check, CODEC_NONE);
    size_t whole = check.payload.length;
    for (size_t length = 0; length < whole; length++) {
        check.payload.length = length;
        assert_int_equal(run(&check), KAFKA_INVALID_RECORD);
    }
    check.payload.length = whole;
    buffer_append_string(&check.payload, "x");
    assert_int_equal(run(&check), KAFKA_INVALID_RECORD);
    check.payload.length = whole;
    buffer_reserve(&check.payload, whole);
    buffer_append(&check.payload, check.payload.data, whole);
    assert_int_equal(run(&check), KAFKA_INVALID_RECORD); /* two batches (B26) */
    check.payload.length = whole;
    check.payload.data[RECORD_BATCH_MAGIC_AT] = 3;
    assert_int_equal(run(&check), KAFKA_CORRUPT_MESSAGE);
    check.payload.data[RECORD_BATCH_MAGIC_AT] = 0xff;
    assert_int_equal(run(&check), KAFKA_CORRUPT_MESSAGE);
    static const int32_t lengths[] = {INT32_MIN, -1, 0, 13, 48};
    check.payload.data[RECORD_BATCH_MAGIC_AT] = 2;
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        store_u32(check.payload.data + RECORD_BATCH_LENGTH_AT, (uint32_t)lengths[i]);
        assert_int_equal(run(&check), KAFKA_CORRUPT_MESSAGE); /* B24 */
    }
    store_u32(check.payload.data + RECORD_BATCH_LENGTH_AT, INT32_MAX);
    assert_int_equal(run(&check), KAFKA_INVALID_RECORD);
    check_release(&check);
}

static void test_old_formats(void **state)
{
    (void)state;
    struct check check;
    for (int magic = 0; magic <= 1; magic++) {
        check_init(&check);
        fixture_load(magic == 0 ? "messages_v0" : "messages_v1", &check.payload);
        assert_int_equal(run(&check), KAFKA_INVALID_RECORD);
        check.settings.produce_version = 2;
        assert_int_equal(run(&check), KAFKA_UNSUPPORTED_FOR_MESSAGE_FORMAT);
        check_release(&check);
    }
}

static void test_headers(void **state)
{
    (void)state;
    struct check check;
    check_init(&check);
    build_plain(&check, CODEC_ZSTD);
    check.settings.produce_version = 6;
    assert_int_equal(run(&check), KAFKA_UNSUPPORTED_COMPRESSION_TYPE);
    check.settings.produce_version = 7;
    assert_int_equal(run(&check), KAFKA_NONE);
    check.settings.max_message_bytes = (int32_t)check.payload.length;
    assert_int_equal(run(&check), KAFKA_NONE);
    check.settings.max_message_bytes--;
    assert_int_equal(run(&check), KAFKA_MESSAGE_TOO_LARGE); /* B33 */
    record_batch_set_base_offset(check.payload.data, 1);
    assert_int_equal(run(&check), KAFKA_INVALID_RECORD); /* comes before the size */
    check_release(&check);
    check_init(&check);

    build_plain(&check, CODEC_LZ4);
    check.payload.data[check.payload.length - 1] ^= 1;
    assert_int_equal(run(&check), KAFKA_CORRUPT_MESSAGE); /* B25 */
    for (unsigned codec = 5; codec < 8; codec++) {
        store_u16(check.payload.data + RECORD_BATCH_ATTRIBUTES_AT, (uint16_t)codec);
        fix_crc(&check);
        assert_int_equal(run(&check), KAFKA_UNSUPPORTED_COMPRESSION_TYPE); /* B28 */
    }
    build_plain(&check, CODEC_LZ4);
    store_u16(check.payload.data + RECORD_BATCH_ATTRIBUTES_AT, RECORD_ATTRIBUTE_CONTROL | CODEC_LZ4);
    fix_crc(&check);
    assert_int_equal(run(&check), KAFKA_INVALID_RECORD); /* B27 */
    check_release(&check);
}

static void test_counts(void **state)
{
    (void)state;
    static const struct {
        int32_t delta, count;
    } cases[] = {{-1, 0}, {2, 2}, {2, 4}, {INT32_MAX, INT32_MIN}, {INT32_MIN, -1}, {0, 0}, {-2, -1}};
    struct check check;
    check_init(&check);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        build_plain(&check, CODEC_GZIP);
        store_u32(check.payload.data + RECORD_BATCH_LAST_OFFSET_DELTA_AT, (uint32_t)cases[i].delta);
        store_u32(check.payload.data + RECORD_BATCH_RECORD_COUNT_AT, (uint32_t)cases[i].count);
        fix_crc(&check);
        assert_int_equal(run(&check), KAFKA_INVALID_RECORD); /* B26 */
    }
    for (int32_t i = 0; i < 5 * CODEC_COUNT; i++) { /* they agree with each other, but not with the records */
        int32_t count = i % 5 + 1;
        build_plain(&check, (enum codec)(i / 5));
        store_u32(check.payload.data + RECORD_BATCH_LAST_OFFSET_DELTA_AT, (uint32_t)count - 1);
        store_u32(check.payload.data + RECORD_BATCH_RECORD_COUNT_AT, (uint32_t)count);
        fix_crc(&check);
        assert_int_equal(run(&check), count == 3 ? KAFKA_NONE : KAFKA_INVALID_RECORD);
    }
    build_plain(&check, CODEC_NONE);
    store_u64(check.payload.data + RECORD_BATCH_PRODUCER_ID_AT, 5);
    fix_crc(&check);
    assert_int_equal(run(&check), KAFKA_INVALID_RECORD); /* B34 */
    store_u32(check.payload.data + RECORD_BATCH_BASE_SEQUENCE_AT, 0);
    fix_crc(&check);
    assert_int_equal(run(&check), KAFKA_NONE);
    check_release(&check);
}

static void test_timestamps(void **state)
{
    (void)state;
    static const struct {
        int64_t timestamp;
        enum kafka_error error;
    } cases[] = {
        {NOW_MS - 1000, KAFKA_NONE},          {NOW_MS - 1001, KAFKA_INVALID_TIMESTAMP},
        {NOW_MS + 2000, KAFKA_NONE},          {NOW_MS + 2001, KAFKA_INVALID_TIMESTAMP},
        {RECORD_NO_TIMESTAMP, KAFKA_NONE},    {-2, KAFKA_INVALID_TIMESTAMP},
        {INT64_MAX, KAFKA_INVALID_TIMESTAMP}, /* B31 */
        {INT64_MIN, KAFKA_INVALID_TIMESTAMP},
    };
    struct check check;
    check_init(&check);
    check.settings.timestamp_before_max_ms = 1000;
    check.settings.timestamp_after_max_ms = 2000;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        for (int codec = CODEC_NONE; codec <= CODEC_GZIP; codec++) {
            build(&check, (enum codec)codec, &cases[i].timestamp, 1);
            check.settings.append_time = false;
            assert_int_equal(run(&check), cases[i].error);
            assert_int_equal(check.result.error_count, cases[i].error != KAFKA_NONE ? 1 : 0);
            check.settings.append_time = true;
            assert_int_equal(run(&check), KAFKA_NONE); /* the broker's time counts */
        }
    }
    build_plain(&check, CODEC_GZIP);
    record_batch_set_append_time(check.payload.data, check.payload.length, NOW_MS);
    assert_int_equal(run(&check), KAFKA_INVALID_TIMESTAMP);
    check.settings.append_time = false;
    assert_int_equal(run(&check), KAFKA_NONE);
    record_batch_set_append_time(check.payload.data, check.payload.length, RECORD_NO_TIMESTAMP);
    assert_int_equal(run(&check), KAFKA_INVALID_TIMESTAMP);
    check_release(&check);
}

static void test_compacted_topics_need_keys(void **state)
{
    (void)state;
    struct check check;
    check_init(&check);
    for (int codec = 0; codec < CODEC_COUNT; codec++) {
        struct record_batch_parameters parameters = record_batch_parameters_plain();
        struct record_batch_builder builder;
        record_batch_builder_init(&builder, &parameters);
        for (int i = 0; i < 40; i++) {
            struct slice key = i % 2 == 0 ? slice_of("") : slice_make(NULL, 0);
            record_batch_builder_append(&builder, NOW_MS, key, slice_of("v"), NULL, 0);
        }
        buffer_clear(&check.payload);
        assert_int_equal(
            record_batch_builder_finish(&builder, (enum codec)codec, CODEC_DEFAULT_LEVEL, &check.payload), 0);
        record_batch_builder_release(&builder);
        check.settings.compacted = false;
        assert_int_equal(run(&check), KAFKA_NONE);
        check.settings.compacted = true;
        assert_int_equal(run(&check), KAFKA_INVALID_RECORD);
        assert_int_equal(check.result.error_count, RECORD_ERRORS_MAX);
        assert_int_equal(check.result.errors[0].index, 1);
        assert_int_equal(check.result.errors[1].index, 3);
    }
    check_release(&check);
}

static void test_another_codec(void **state)
{
    (void)state;
    struct check check;
    struct buffer rebuilt;
    check_init(&check);
    buffer_init(&rebuilt);
    build_plain(&check, CODEC_GZIP);
    check.settings.codec = CODEC_GZIP;
    assert_int_equal(run(&check), KAFKA_NONE);
    assert_false(check.result.must_rebuild);
    check.settings.codec = CODEC_ZSTD;
    assert_int_equal(run(&check), KAFKA_NONE);
    assert_true(check.result.must_rebuild);
    assert_int_equal(check.result.target_codec, CODEC_ZSTD);
    assert_int_equal(record_batch_rebuild(&check.result.batch, check.result.uncompressed_bytes,
                                          check.result.target_codec, CODEC_DEFAULT_LEVEL, &rebuilt),
                     0);
    struct record_batch batch;
    assert_int_equal(record_batch_parse(buffer_slice(&rebuilt), &batch), 0);
    assert_true(record_batch_check_crc(&batch));
    assert_int_equal(batch.codec, CODEC_ZSTD);
    assert_int_equal(batch.record_count, 3);
    buffer_release(&rebuilt);
    check_release(&check);
}

static void test_gaps_are_closed(void **state)
{
    (void)state;
    struct check check;
    struct buffer rebuilt;
    struct slice none = slice_make(NULL, 0);
    buffer_init(&rebuilt);
    for (int codec = 0; codec < CODEC_COUNT; codec++) {
        struct record_batch_parameters parameters = record_batch_parameters_plain();
        struct record_batch_builder builder;
        struct record_batch batch;
        check_init(&check);
        record_batch_builder_init(&builder, &parameters);
        record_batch_builder_append_at(&builder, 0, NOW_MS, none, none, none, 0);
        record_batch_builder_append_at(&builder, 7, NOW_MS + 3, none, slice_of("v"), none, 0);
        assert_int_equal(
            record_batch_builder_finish(&builder, (enum codec)codec, CODEC_DEFAULT_LEVEL, &check.payload), 0);
        assert_int_equal(run(&check), KAFKA_INVALID_RECORD); /* the header does not add up */
        store_u32(check.payload.data + RECORD_BATCH_LAST_OFFSET_DELTA_AT, 1);
        fix_crc(&check);
        assert_int_equal(run(&check), KAFKA_NONE);
        assert_true(check.result.must_rebuild);
        assert_int_equal(check.result.target_codec, codec);
        buffer_clear(&rebuilt);
        assert_int_equal(record_batch_rebuild(&check.result.batch, check.result.uncompressed_bytes,
                                              check.result.target_codec, CODEC_DEFAULT_LEVEL, &rebuilt),
                         0);
        assert_int_equal(record_batch_parse(buffer_slice(&rebuilt), &batch), 0);
        assert_int_equal(batch.last_offset_delta, 1);
        assert_int_equal(batch.codec, codec);
        assert_true(batch.max_timestamp == NOW_MS + 3);
        record_batch_builder_release(&builder);
        check_release(&check);
    }
    buffer_release(&rebuilt);
}

/* One wrong timestamp outweighs missing keys, and each record's own fault is told. */
static void test_faults_of_records_are_told(void **state)
{
    (void)state;
    struct check check;
    check_init(&check);
    check.settings.compacted = true;
    check.settings.timestamp_before_max_ms = 10;
    for (int codec = 0; codec < CODEC_COUNT; codec++) {
        struct record_batch_parameters parameters = record_batch_parameters_plain();
        struct record_batch_builder builder;
        record_batch_builder_init(&builder, &parameters);
        record_batch_builder_append(&builder, NOW_MS - 11, slice_of("k"), slice_of("v"), NULL, 0);
        record_batch_builder_append(&builder, NOW_MS, slice_of("k"), slice_of("v"), NULL, 0);
        record_batch_builder_append(&builder, NOW_MS - 11, slice_make(NULL, 0), slice_of("v"), NULL, 0);
        buffer_clear(&check.payload);
        assert_int_equal(
            record_batch_builder_finish(&builder, (enum codec)codec, CODEC_DEFAULT_LEVEL, &check.payload), 0);
        record_batch_builder_release(&builder);
        assert_int_equal(run(&check), KAFKA_INVALID_TIMESTAMP);
        assert_int_equal(check.result.error_count, 2);
        assert_int_equal(check.result.errors[0].index, 0);
        assert_int_equal(check.result.errors[1].index, 2);
        assert_string_not_equal(check.result.errors[0].reason, check.result.errors[1].reason);
        /* A batch that is damaged as well is damaged, and no record of it is to blame. */
        store_u32(check.payload.data + RECORD_BATCH_LAST_OFFSET_DELTA_AT, 3);
        store_u32(check.payload.data + RECORD_BATCH_RECORD_COUNT_AT, 4);
        fix_crc(&check);
        assert_int_equal(run(&check), KAFKA_INVALID_RECORD);
        assert_int_equal(check.result.error_count, 0);
    }
    check_release(&check);
}

static void build_value(struct check *check, enum codec codec, struct slice value)
{
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    struct record_batch_builder builder;
    record_batch_builder_init(&builder, &parameters);
    record_batch_builder_append(&builder, NOW_MS, slice_of("k"), value, NULL, 0);
    buffer_clear(&check->payload);
    assert_int_equal(record_batch_builder_finish(&builder, codec, CODEC_DEFAULT_LEVEL, &check->payload), 0);
    record_batch_builder_release(&builder);
}

static void test_bombs(void **state)
{
    (void)state;
    struct check check;
    check_init(&check);
    struct buffer zeros;
    buffer_init(&zeros);
    memset(buffer_extend(&zeros, 4 << 20), 0, 4 << 20);
    for (int codec = CODEC_GZIP; codec < CODEC_COUNT; codec++) {
        build_plain(&check, (enum codec)codec);
        check.payload.length = RECORD_BATCH_HEADER_BYTES;
        assert_int_equal(
            codec_compress((enum codec)codec, CODEC_DEFAULT_LEVEL, buffer_slice(&zeros), &check.payload), 0);
        store_u32(check.payload.data + RECORD_BATCH_LENGTH_AT, (uint32_t)check.payload.length - 12);
        fix_crc(&check);
        assert_int_equal(run(&check), KAFKA_INVALID_RECORD); /* the records are nonsense */
    }
    /* One record that says of itself that it is larger than may be, and is: not unpacked to find that out. */
    buffer_clear(&zeros);
    build_plain(&check, CODEC_GZIP);
    memset(buffer_extend(&zeros, 10 << 20), 0, 10 << 20);
    build_value(&check, CODEC_ZSTD, buffer_slice(&zeros));
    assert_int_equal(run(&check), KAFKA_NONE);
    check.settings.max_message_bytes = 16000;
    assert_int_equal(run(&check), KAFKA_MESSAGE_TOO_LARGE); /* B29 */
    check.settings.codec = CODEC_GZIP;
    assert_int_equal(run(&check), KAFKA_MESSAGE_TOO_LARGE);
    check.settings.codec = RECORD_CODEC_OF_PRODUCER;
    check.settings.max_message_bytes = 1048588;
    build_plain(&check, CODEC_GZIP);
    check.payload.data[RECORD_BATCH_RECORDS_AT] ^= 0xff;
    fix_crc(&check);
    assert_int_equal(run(&check), KAFKA_CORRUPT_MESSAGE);
    buffer_release(&zeros);
    check_release(&check);
}

/* What must be held whole to be written anew has a lower bound than what only passes by. */
static void test_rebuilt_batches_have_a_bound(void **state)
{
    (void)state;
    struct check check;
    check_init(&check);
    struct buffer zeros;
    buffer_init(&zeros);
    memset(buffer_extend(&zeros, (size_t)RECORD_REBUILT_BYTES_MAX), 0, (size_t)RECORD_REBUILT_BYTES_MAX);
    build_value(&check, CODEC_ZSTD, buffer_slice(&zeros));
    assert_int_equal(run(&check), KAFKA_NONE);
    assert_true(check.result.uncompressed_bytes > (size_t)RECORD_REBUILT_BYTES_MAX);
    check.settings.codec = CODEC_GZIP;
    assert_int_equal(run(&check), KAFKA_MESSAGE_TOO_LARGE);
    check.settings.codec = RECORD_CODEC_OF_PRODUCER;
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    struct record_batch_builder builder;
    record_batch_builder_init(&builder, &parameters);
    record_batch_builder_append_at(&builder, 1, NOW_MS, slice_of("k"), buffer_slice(&zeros), slice_of(""), 0);
    record_batch_builder_append_at(&builder, 2, NOW_MS, slice_of("k"), slice_of("v"), slice_of(""), 0);
    buffer_clear(&check.payload);
    assert_int_equal(record_batch_builder_finish(&builder, CODEC_ZSTD, CODEC_DEFAULT_LEVEL, &check.payload),
                     0);
    record_batch_builder_release(&builder);
    store_u32(check.payload.data + RECORD_BATCH_LAST_OFFSET_DELTA_AT, 1);
    fix_crc(&check);
    assert_int_equal(run(&check), KAFKA_MESSAGE_TOO_LARGE);
    buffer_release(&zeros);
    check_release(&check);
}

static void test_i3_random_damage_is_never_taken(void **state)
{
    (void)state;
    const uint64_t seed = 111;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct prng prng;
    prng_init(&prng, seed);
    struct check check;
    check_init(&check);
    check.settings.max_message_bytes = 100000;
    for (int i = 0; i < 3000; i++) {
        struct record_batch_parameters parameters = record_batch_parameters_plain();
        buffer_clear(&check.payload);
        enum codec codec = (enum codec)prng_below(&prng, CODEC_COUNT);
        fixture_random_batch(&prng, &parameters, 1 + (int)prng_below(&prng, 10), NOW_MS, codec,
                             &check.payload);
        check.settings.compacted = prng_one_in(&prng, 2);
        check.settings.codec = (int)prng_below(&prng, CODEC_COUNT + 1) - 1;
        uint64_t bit = prng_below(&prng, check.payload.length * 8);
        check.payload.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        enum kafka_error error = run(&check);
        bool leader_epoch =
            bit / 8 >= RECORD_BATCH_LEADER_EPOCH_AT && bit / 8 < RECORD_BATCH_LEADER_EPOCH_AT + 4;
        assert_true(error != KAFKA_NONE || leader_epoch);
        fix_crc(&check); /* the same with a CRC that fits: any answer, no harm */
        error = run(&check);
        assert_true(error == KAFKA_NONE || check.result.reason != NULL);
    }
    check_release(&check);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_batches),
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_old_formats),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_timestamps),
        cmocka_unit_test(test_compacted_topics_need_keys),
        cmocka_unit_test(test_another_codec),
        cmocka_unit_test(test_gaps_are_closed),
        cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_faults_of_records_are_told),
        cmocka_unit_test(test_rebuilt_batches_have_a_bound),
        cmocka_unit_test(test_i3_random_damage_is_never_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
