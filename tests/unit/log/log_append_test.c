/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a leader makes of a producer's batch before it is in the log: another codec where the topic wants one,
 * at the level that it sets, the records unchanged; the same bytes where nothing must change; and which
 * records are to blame where it is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/partition_log_private.h"
#include "proto/kafka/error.h"
#include "proto/records/builder.h"
#include "tests/unit/log/log_fixture.h"

#define PRODUCE_VERSION 9
#define NOW_MS 1700000000000

static int16_t append(struct log_fixture *fixture, const struct buffer *batch,
                      struct log_append_result *result)
{
    struct buffer copy; /* the append patches it */
    buffer_init(&copy);
    buffer_append(&copy, batch->data, batch->length);
    int16_t error = partition_log_append_as_leader(fixture->log, copy.data, copy.length, PRODUCE_VERSION, 3,
                                                   NOW_MS, result);
    buffer_release(&copy);
    return error;
}

static void build(enum codec codec, bool with_keys, struct buffer *out)
{
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    struct record_batch_builder builder;
    record_batch_builder_init(&builder, &parameters);
    for (int i = 0; i < 20; i++) {
        struct slice key = with_keys || i % 2 == 0 ? slice_of("key") : slice_make(NULL, 0);
        record_batch_builder_append(&builder, NOW_MS + i, key, slice_of("the same value again and again"),
                                    NULL, 0);
    }
    int error = record_batch_builder_finish(&builder, codec, CODEC_DEFAULT_LEVEL, out);
    assert_int_equal(error, 0);
    record_batch_builder_release(&builder);
}

/* The only batch of the log, and that it holds the records of build(). */
static void check_stored(struct log_fixture *fixture, struct buffer *stored, struct record_batch *batch)
{
    struct buffer scratch;
    struct slice records;
    struct record_iterator iterator;
    struct record record;
    int count = 0, more;
    buffer_init(&scratch);
    buffer_clear(stored);
    log_fixture_read_all(fixture, stored);
    assert_int_equal(record_batch_parse(buffer_slice(stored), batch), 0);
    assert_int_equal(batch->size_bytes, stored->length);
    assert_true(record_batch_check_crc(batch));
    assert_true(batch->max_timestamp == NOW_MS + 19);
    assert_int_equal(record_batch_decompress(batch, 1 << 20, &scratch, &records), 0);
    record_iterator_init(&iterator, batch, records);
    while ((more = record_iterator_next(&iterator, &record)) > 0) {
        assert_int_equal(record.offset, count);
        assert_true(record.timestamp == NOW_MS + count);
        assert_true(slice_is(record.value, "the same value again and again"));
        count++;
    }
    assert_int_equal(more, 0);
    assert_int_equal(count, 20);
    buffer_release(&scratch);
}

static void the_topic_chooses_the_codec(void **state)
{
    (void)state;
    for (int from = 0; from < CODEC_COUNT; from++) {
        for (int to = -1; to < CODEC_COUNT; to++) {
            struct log_fixture fixture;
            struct buffer sent, stored;
            struct record_batch batch;
            struct log_append_result result;
            log_fixture_init(&fixture, 7);
            fixture.options.settings.segment_bytes = 1 << 20;
            fixture.options.settings.compression = to;
            assert_int_equal(log_fixture_open(&fixture, true), 0);
            buffer_init(&sent);
            buffer_init(&stored);
            build((enum codec)from, true, &sent);
            assert_int_equal(append(&fixture, &sent, &result), KAFKA_NONE);
            check_stored(&fixture, &stored, &batch);
            assert_int_equal(batch.codec, to < 0 ? from : to);
            assert_int_equal(batch.leader_epoch, 3);
            if (to < 0 || to == from)
                assert_memory_equal(sent.data + RECORD_BATCH_RECORDS_AT,
                                    stored.data + RECORD_BATCH_RECORDS_AT,
                                    sent.length - RECORD_BATCH_RECORDS_AT);
            buffer_release(&sent);
            buffer_release(&stored);
            log_fixture_release(&fixture);
        }
    }
}

static void the_topic_chooses_the_level(void **state)
{
    (void)state;
    static const struct {
        enum codec codec;
        int level;
        int compressed_level; /* what the library is asked for */
    } cases[] = {
        {CODEC_GZIP, 1, 1},
        {CODEC_GZIP, 9, 9},
        {CODEC_GZIP, -1, CODEC_DEFAULT_LEVEL},
        {CODEC_LZ4, 12, 12},
        {CODEC_LZ4, 9, CODEC_DEFAULT_LEVEL}, /* Kafka's default is the fast one */
        {CODEC_ZSTD, -5, -5},
        {CODEC_ZSTD, 19, 19},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct log_fixture fixture;
        struct buffer sent, stored, expected;
        struct record_batch batch, plain;
        struct log_append_result result;
        log_fixture_init(&fixture, 8);
        fixture.options.settings.segment_bytes = 1 << 20;
        fixture.options.settings.compression = (int)cases[i].codec;
        fixture.options.settings.compression_gzip_level = cases[i].level;
        fixture.options.settings.compression_lz4_level = cases[i].level;
        fixture.options.settings.compression_zstd_level = cases[i].level;
        assert_int_equal(log_fixture_open(&fixture, true), 0);
        buffer_init(&sent);
        buffer_init(&stored);
        buffer_init(&expected);
        build(CODEC_NONE, true, &sent);
        assert_int_equal(append(&fixture, &sent, &result), KAFKA_NONE);
        check_stored(&fixture, &stored, &batch);
        assert_int_equal(record_batch_parse(buffer_slice(&sent), &plain), 0);
        assert_int_equal(codec_compress(cases[i].codec, cases[i].compressed_level, plain.records, &expected),
                         0);
        assert_true(slice_equals(batch.records, buffer_slice(&expected)));
        buffer_release(&sent);
        buffer_release(&stored);
        buffer_release(&expected);
        log_fixture_release(&fixture);
    }
}

static void records_without_keys_are_named(void **state)
{
    (void)state;
    for (int codec = 0; codec < CODEC_COUNT; codec++) {
        struct log_fixture fixture;
        struct buffer sent;
        struct log_append_result result;
        log_fixture_init(&fixture, 9);
        fixture.options.settings.compacted = true;
        assert_int_equal(log_fixture_open(&fixture, true), 0);
        buffer_init(&sent);
        build((enum codec)codec, false, &sent);
        assert_int_equal(append(&fixture, &sent, &result), KAFKA_INVALID_RECORD);
        assert_non_null(result.error_message);
        assert_int_equal(result.record_error_count, RECORD_ERRORS_MAX);
        for (int32_t i = 0; i < RECORD_ERRORS_MAX; i++) {
            assert_int_equal(result.record_errors[i].index, 2 * i + 1);
            assert_non_null(result.record_errors[i].reason);
        }
        assert_int_equal(partition_log_end_offset(fixture.log), 0);
        buffer_clear(&sent);
        build((enum codec)codec, true, &sent);
        assert_int_equal(append(&fixture, &sent, &result), KAFKA_NONE);
        assert_int_equal(result.record_error_count, 0);
        buffer_release(&sent);
        log_fixture_release(&fixture);
    }
}

/* One of many small walkers comes back to the next taker; more than are kept do no harm. */
static void walkers_are_shared(void **state)
{
    (void)state;
    struct record_walker *taken[20];
    struct record_walkers *walkers = record_walkers_new();
    struct record_walker *first = record_walkers_take(walkers);
    record_walkers_give_back(walkers, first);
    assert_ptr_equal(record_walkers_take(walkers), first);
    record_walkers_give_back(walkers, first);
    for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
        taken[i] = record_walkers_take(walkers);
    for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
        record_walkers_give_back(walkers, taken[i]);
    record_walkers_free(walkers);
    record_walkers_give_back(NULL, record_walkers_take(NULL));
    record_walkers_free(NULL);
}

/* Records are held whole to be written anew: all logs together have so much room for that, and no more. */
static void the_budget_is_shared(void **state)
{
    (void)state;
    struct log_fixture fixture;
    struct buffer sent;
    struct log_append_result result;
    struct record_walkers *walkers = record_walkers_new();
    log_fixture_init(&fixture, 10);
    fixture.options.settings.compression = CODEC_ZSTD;
    fixture.options.walkers = walkers;
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    buffer_init(&sent);
    build(CODEC_GZIP, true, &sent);
    assert_true(record_walkers_reserve(walkers, RECORD_REBUILD_BUDGET_BYTES - 100));
    assert_false(record_walkers_reserve(walkers, 101));
    assert_int_equal(append(&fixture, &sent, &result), KAFKA_REQUEST_TIMED_OUT);
    assert_non_null(result.error_message);
    assert_int_equal(partition_log_end_offset(fixture.log), 0);
    record_walkers_unreserve(walkers, RECORD_REBUILD_BUDGET_BYTES - 100);
    assert_int_equal(append(&fixture, &sent, &result), KAFKA_NONE);
    assert_true(record_walkers_reserve(walkers, RECORD_REBUILD_BUDGET_BYTES)); /* all is given back */
    record_walkers_unreserve(walkers, RECORD_REBUILD_BUDGET_BYTES);
    assert_true((size_t)RECORD_REBUILT_BYTES_MAX * RECORD_REBUILD_FACTOR <= RECORD_REBUILD_BUDGET_BYTES);
    buffer_release(&sent);
    log_fixture_release(&fixture);
    record_walkers_free(walkers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_topic_chooses_the_codec),    cmocka_unit_test(the_topic_chooses_the_level),
        cmocka_unit_test(records_without_keys_are_named), cmocka_unit_test(walkers_are_shared),
        cmocka_unit_test(the_budget_is_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
