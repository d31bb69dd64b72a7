/* SPDX-License-Identifier: Apache-2.0 */
/* Look-up by time in segments of old formats: inside compressed wrappers, exactly the first record. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "broker/log/partition_log_private.h"
#include "proto/kafka/error.h"
#include "proto/records/builder.h"
#include "proto/records/old.h"
#include "tests/unit/log/log_fixture.h"

#define RECORDS_MAX 4000

struct records {
    struct model_record at[RECORDS_MAX];
    size_t count;
};

static void append_message(struct buffer *out, int magic, int64_t offset, int64_t timestamp)
{
    const struct old_message message = {.offset = offset,
                                        .magic = magic,
                                        .codec = CODEC_NONE,
                                        .timestamp = timestamp,
                                        .key = slice_of("key"),
                                        .value = slice_of("some value")};
    assert_int_equal(old_message_append(&message, out), 0);
}

/* One message, or several in a wrapper, as a broker of that time kept them. */
static void append_old(struct log_fixture *fixture, struct records *records, int magic, enum codec codec,
                       bool append_time)
{
    struct prng *prng = &fixture->prng;
    int count = codec == CODEC_NONE ? 1 : (int)prng_between(prng, 1, 6);
    int64_t base = partition_log_end_offset(fixture->log), greatest = -1;
    struct buffer inner, whole;
    buffer_init(&inner);
    buffer_init(&whole);
    fixture->now_ms += 100;
    for (int i = 0; i < count; i++) {
        int64_t timestamp = magic == 0 ? -1 : fixture->now_ms + prng_between(prng, -150, 150);
        append_message(&inner, magic, codec == CODEC_NONE || magic == 0 ? base + i : i, timestamp);
        greatest = max_i64(greatest, timestamp);
        if (!append_time && magic == 1)
            records->at[records->count++] = (struct model_record){base + i, timestamp};
    }
    if (append_time)
        for (int i = 0; i < count; i++)
            records->at[records->count++] = (struct model_record){base + i, fixture->now_ms};
    if (codec == CODEC_NONE) {
        buffer_append(&whole, inner.data, inner.length);
    } else {
        struct buffer compressed;
        buffer_init(&compressed);
        assert_int_equal(codec_compress(codec, CODEC_DEFAULT_LEVEL, buffer_slice(&inner), &compressed), 0);
        const struct old_message wrapper = {.offset = base + count - 1,
                                            .magic = magic,
                                            .codec = codec,
                                            .append_time = append_time,
                                            .timestamp = append_time ? fixture->now_ms : greatest,
                                            .key = slice_of(NULL),
                                            .value = buffer_slice(&compressed)};
        assert_int_equal(old_message_append(&wrapper, &whole), 0);
        buffer_release(&compressed);
    }
    size_t appended;
    assert_int_equal(
        partition_log_append_as_follower(fixture->log, whole.data, whole.length, fixture->now_ms, &appended),
        KAFKA_NONE);
    assert_int_equal(partition_log_end_offset(fixture->log), base + count);
    buffer_release(&inner);
    buffer_release(&whole);
}

static void check_lookups(struct log_fixture *fixture, const struct records *records)
{
    int64_t end = partition_log_end_offset(fixture->log);
    struct log_timestamp_offset found;
    for (int i = 0; i < 60; i++) {
        int64_t target = records->at[prng_below(&fixture->prng, records->count)].timestamp +
                         prng_between(&fixture->prng, -2, 2);
        struct model_record expected = {-1, -1};
        for (size_t j = records->count; j > 0; j--)
            if (records->at[j - 1].timestamp >= target)
                expected = records->at[j - 1];
        assert_int_equal(partition_log_find_timestamp(fixture->log, target, end, &found), KAFKA_NONE);
        assert_int_equal(found.offset, expected.offset);
        assert_int_equal(found.timestamp, expected.timestamp);
    }
    struct model_record greatest = {-1, -1};
    for (size_t j = 0; j < records->count; j++)
        if (records->at[j].timestamp > greatest.timestamp)
            greatest = records->at[j];
    assert_int_equal(partition_log_find_max_timestamp(fixture->log, end, &found), KAFKA_NONE);
    assert_int_equal(found.offset, greatest.offset);
    assert_int_equal(found.timestamp, greatest.timestamp);
}

static void old_wrappers_are_looked_into(void **state)
{
    (void)state;
    static const enum codec codecs[] = {CODEC_NONE, CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4};
    for (uint64_t seed = 1; seed <= 25; seed++) {
        struct log_fixture fixture;
        static struct records records;
        records.count = 0;
        log_fixture_init(&fixture, seed);
        assert_int_equal(log_fixture_open(&fixture, true), 0);
        for (int i = 0; i < 120; i++) {
            enum codec codec = codecs[prng_below(&fixture.prng, ARRAY_SIZE(codecs))];
            int magic = prng_one_in(&fixture.prng, 5) ? 0 : 1;
            bool append_time = magic == 1 && codec != CODEC_NONE && prng_one_in(&fixture.prng, 4);
            append_old(&fixture, &records, magic, codec, append_time);
        }
        check_lookups(&fixture, &records);
        log_fixture_stop(&fixture);
        assert_int_equal(log_fixture_open(&fixture, true), 0);
        check_lookups(&fixture, &records);
        log_fixture_crash(&fixture, MEMORY_FILES_PROCESS_CRASH);
        check_lookups(&fixture, &records);
        log_fixture_release(&fixture);
    }
}

/* ---- v2 ---- */

/* A batch of records with these timestamps, as a leader of another broker kept it; without any: emptied, with
 * `timestamp` as the greatest that it had. */
static void follow(struct log_fixture *fixture, enum codec codec, const int64_t *timestamps, int count,
                   int64_t timestamp)
{
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    struct record_batch_builder builder;
    struct buffer bytes, emptied;
    struct record_batch batch;
    parameters.base_offset = partition_log_end_offset(fixture->log);
    record_batch_builder_init(&builder, &parameters);
    buffer_init(&bytes);
    buffer_init(&emptied);
    for (int i = 0; i < count; i++)
        record_batch_builder_append(&builder, timestamps[i], slice_of("k"), slice_of("v"), NULL, 0);
    if (count == 0)
        record_batch_builder_append(&builder, timestamp, slice_of("k"), slice_of("v"), NULL, 0);
    assert_int_equal(record_batch_builder_finish(&builder, codec, CODEC_DEFAULT_LEVEL, &bytes), 0);
    assert_int_equal(record_batch_parse(buffer_slice(&bytes), &batch), 0);
    if (count == 0)
        record_batch_append_emptied(&batch, &emptied);
    const struct buffer *chosen = count == 0 ? &emptied : &bytes;
    size_t appended;
    assert_int_equal(partition_log_append_as_follower(fixture->log, chosen->data, chosen->length,
                                                      fixture->now_ms, &appended),
                     KAFKA_NONE);
    assert_int_equal(appended, chosen->length);
    record_batch_builder_release(&builder);
    buffer_release(&bytes);
    buffer_release(&emptied);
}

static void check_greatest(struct log_fixture *fixture, int64_t offset, int64_t timestamp)
{
    struct log_timestamp_offset found;
    int64_t end = partition_log_end_offset(fixture->log);
    assert_int_equal(partition_log_find_max_timestamp(fixture->log, end, &found), KAFKA_NONE);
    assert_int_equal(found.offset, offset);
    assert_int_equal(found.timestamp, timestamp);
}

/* The greatest timestamp is that of a record that is there, whatever the headers still tell. */
static void the_greatest_is_of_a_record(void **state)
{
    (void)state;
    static const int64_t falling[] = {5000, 50, 40}, plain[] = {30, 31};
    for (int round = 0; round < 2 * CODEC_COUNT; round++) {
        struct log_fixture fixture;
        enum codec codec = (enum codec)(round / 2);
        log_fixture_init(&fixture, 8);
        fixture.options.settings.segment_bytes = round % 2 ? 1 << 20 : 100;
        assert_int_equal(log_fixture_open(&fixture, true), 0);
        check_greatest(&fixture, -1, -1);
        follow(&fixture, codec, falling, 3, 0);
        follow(&fixture, codec, plain, 2, 0);
        check_greatest(&fixture, 0, 5000);
        follow(&fixture, codec, NULL, 0, 9000);
        follow(&fixture, codec, NULL, 0, 4000);
        check_greatest(&fixture, 0, 5000);
        assert_int_equal(partition_log_advance_start(fixture.log, 1), KAFKA_NONE);
        check_greatest(&fixture, 1, 50);
        assert_int_equal(partition_log_advance_start(fixture.log, 2), KAFKA_NONE);
        check_greatest(&fixture, 2, 40);
        assert_int_equal(partition_log_advance_start(fixture.log, 3), KAFKA_NONE);
        check_greatest(&fixture, 4, 31);
        assert_int_equal(partition_log_advance_start(fixture.log, 5), KAFKA_NONE);
        check_greatest(&fixture, -1, -1);
        log_fixture_release(&fixture);
    }
}

/* Offsets inside a wrapper are a stranger's: sums that overflow make it one that cannot be read. */
static void any_offset_may_stand_in_a_wrapper(void **state)
{
    (void)state;
    static const int64_t offsets[][2] = {
        {0, INT64_MIN}, {INT64_MAX, INT64_MIN}, {INT64_MAX, 0}, {INT64_MIN, INT64_MAX}, {INT64_MAX, 1}};
    for (size_t i = 0; i < 2 * ARRAY_SIZE(offsets); i++) {
        struct log_fixture fixture;
        struct log_timestamp_offset found;
        struct buffer inner, compressed, whole;
        int magic = i % 2 == 0 ? 1 : 0;
        log_fixture_init(&fixture, 9);
        assert_int_equal(log_fixture_open(&fixture, true), 0);
        buffer_init(&inner);
        buffer_init(&compressed);
        buffer_init(&whole);
        append_message(&inner, magic, offsets[i / 2][0], 1000);
        append_message(&inner, magic, offsets[i / 2][1], 1001);
        assert_int_equal(codec_compress(CODEC_GZIP, CODEC_DEFAULT_LEVEL, buffer_slice(&inner), &compressed),
                         0);
        const struct old_message wrapper = {.offset = 1,
                                            .magic = magic,
                                            .codec = CODEC_GZIP,
                                            .timestamp = 1001,
                                            .key = slice_of(NULL),
                                            .value = buffer_slice(&compressed)};
        assert_int_equal(old_message_append(&wrapper, &whole), 0);
        size_t appended;
        assert_int_equal(partition_log_append_as_follower(fixture.log, whole.data, whole.length,
                                                          fixture.now_ms, &appended),
                         KAFKA_NONE);
        assert_int_equal(partition_log_find_timestamp(fixture.log, magic == 0 ? -1 : 1000, 2, &found),
                         KAFKA_NONE);
        assert_true(found.offset < 2);
        buffer_release(&inner);
        buffer_release(&compressed);
        buffer_release(&whole);
        log_fixture_release(&fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_wrappers_are_looked_into),
        cmocka_unit_test(the_greatest_is_of_a_record),
        cmocka_unit_test(any_offset_may_stand_in_a_wrapper),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
