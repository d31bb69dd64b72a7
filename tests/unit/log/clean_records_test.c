/* SPDX-License-Identifier: Apache-2.0 */
/* Compaction's walk over the records of a batch: the same records as all at once, and little memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/clean_filter.h"
#include "broker/log/clean_records.h"
#include "common/memory.h"
#include "common/prng.h"
#include "proto/records/builder.h"

#define NOW_MS 1000000
#define BATCH_BYTES_MAX ((size_t)1 << 20)
#define LIMIT_BYTES ((size_t)64 << 20)

/* Records of all sizes, some larger than the window. */
static void make_random(struct prng *prng, enum codec codec, struct buffer *bytes)
{
    const struct record_batch_parameters parameters = record_batch_parameters_plain();
    struct record_batch_builder builder;
    uint8_t *value = memory_allocate_zeroed(3 * CLEAN_RECORDS_WINDOW_BYTES, 1);
    record_batch_builder_init(&builder, &parameters);
    int count = (int)prng_between(prng, 1, 40);
    for (int i = 0; i < count; i++) {
        size_t most = prng_one_in(prng, 20) ? 3 * CLEAN_RECORDS_WINDOW_BYTES : 100 * 1000;
        size_t length = prng_below(prng, prng_one_in(prng, 2) ? 100 : most);
        for (size_t at = 0; at < min_size(length, 50); at++)
            value[at] = (uint8_t)prng_next(prng);
        bool has_value = !prng_one_in(prng, 5);
        record_batch_builder_append(&builder, NOW_MS + i, slice_make(value, length / 2),
                                    slice_make(has_value ? value : NULL, has_value ? length : 0), NULL, 0);
    }
    assert_int_equal(record_batch_builder_finish(&builder, codec, CODEC_DEFAULT_LEVEL, bytes), 0);
    record_batch_builder_release(&builder);
    free(value);
}

/* As many as `stop_after` of the records against those that come of all at once; all of them: 0. */
static int compare(struct clean_records *records, const struct record_batch *batch, int stop_after)
{
    struct buffer whole;
    struct slice inflated;
    struct record_iterator iterator;
    struct record record, expected;
    buffer_init(&whole);
    int error = record_batch_decompress(batch, LIMIT_BYTES, &whole, &inflated);
    assert_int_equal(error, 0);
    record_iterator_init(&iterator, batch, inflated);
    int more = 1;
    for (int i = 0; i < stop_after && more > 0; i++) {
        more = clean_records_next(records, &record);
        assert_int_equal(record_iterator_next(&iterator, &expected), more);
        if (more <= 0)
            break;
        assert_int_equal(record.offset, expected.offset);
        assert_int_equal(record.timestamp, expected.timestamp);
        assert_true(slice_equals(record.key, expected.key));
        assert_true(slice_equals(record.value, expected.value));
    }
    buffer_release(&whole);
    return more;
}

static void test_the_records_are_the_same(void **state)
{
    (void)state;
    struct prng prng;
    struct clean_records records;
    prng_init(&prng, 31);
    clean_records_init(&records);
    for (int round = 0; round < 60; round++) {
        struct buffer bytes;
        struct record_batch batch;
        buffer_init(&bytes);
        make_random(&prng, (enum codec)(round % CODEC_COUNT), &bytes);
        assert_int_equal(record_batch_parse(buffer_slice(&bytes), &batch), 0);
        clean_records_start(&records, &batch, LIMIT_BYTES);
        compare(&records, &batch, (int)prng_below(&prng, 40));
        for (int walk = 0; walk < 2; walk++) {
            clean_records_rewind(&records);
            assert_int_equal(compare(&records, &batch, INT32_MAX), 0);
        }
        /* One byte less than it takes is an error, before or at the end. */
        if (batch.codec != CODEC_NONE && batch.record_count > 0) {
            struct record record;
            int more = 1;
            clean_records_start(&records, &batch, records.passed_bytes - 1);
            while (more > 0)
                more = clean_records_next(&records, &record);
            assert_true(more < 0);
        }
        buffer_release(&bytes);
    }
    clean_records_release(&records);
}

struct cleaning {
    struct clean_map map;
    struct clean_transactions transactions;
    struct clean_filter filter;
    struct buffer out;
    struct clean_result result;
};

static void begin(struct cleaning *cleaning)
{
    static const uint64_t hash_key[2] = {1, 2};
    clean_map_init(&cleaning->map, 1000 * CLEAN_MAP_SLOT_BYTES, 0.9, hash_key);
    clean_transactions_init(&cleaning->transactions, NULL, 0);
    clean_filter_init(&cleaning->filter);
    buffer_init(&cleaning->out);
    cleaning->filter.map = &cleaning->map;
    cleaning->filter.transactions = &cleaning->transactions;
    cleaning->filter.now_ms = NOW_MS;
    cleaning->filter.batch_bytes_max = BATCH_BYTES_MAX;
}

static void end(struct cleaning *cleaning)
{
    clean_filter_release(&cleaning->filter);
    clean_transactions_release(&cleaning->transactions);
    clean_map_clear(&cleaning->map);
    buffer_release(&cleaning->out);
}

/* What a batch inflates to is not held: neither to fill the map nor to let it stay, and of a rewritten one
 * only what stays. */
static void test_an_inflating_batch_takes_little_memory(void **state)
{
    (void)state;
    const size_t value_bytes = 100 * 1000, count = 400;
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    uint8_t *value = memory_allocate_zeroed(value_bytes, 1);
    for (enum codec codec = CODEC_GZIP; codec < CODEC_COUNT; codec++) {
        struct cleaning cleaning;
        struct record_batch_builder builder;
        struct buffer bytes;
        struct record_batch batch;
        buffer_init(&bytes);
        record_batch_builder_init(&builder, &parameters);
        for (uint32_t i = 0; i < count; i++)
            record_batch_builder_append(&builder, NOW_MS, slice_make(&i, sizeof(i)),
                                        slice_make(value, value_bytes), NULL, 0);
        assert_int_equal(record_batch_builder_finish(&builder, codec, CODEC_DEFAULT_LEVEL, &bytes), 0);
        record_batch_builder_release(&builder);
        begin(&cleaning);
        assert_int_equal(clean_map_batch(&cleaning.map, &cleaning.transactions, buffer_slice(&bytes), 0,
                                         BATCH_BYTES_MAX, &cleaning.filter.records),
                         1);
        assert_int_equal(
            clean_filter_batch(&cleaning.filter, buffer_slice(&bytes), &cleaning.out, &cleaning.result), 0);
        assert_true(slice_equals(buffer_slice(&cleaning.out), buffer_slice(&bytes)));
        assert_in_range(cleaning.filter.records.window.capacity, 1, 2 * CLEAN_RECORDS_WINDOW_BYTES);
        assert_int_equal(cleaning.filter.builder.records.capacity, 0);

        /* All but the last three are superseded. */
        for (uint32_t i = 0; i + 3 < count; i++)
            assert_true(clean_map_put(&cleaning.map,
                                      clean_map_prepare(&cleaning.map, slice_make(&i, sizeof(i))),
                                      (int64_t)count + i));
        buffer_clear(&cleaning.out);
        assert_int_equal(
            clean_filter_batch(&cleaning.filter, buffer_slice(&bytes), &cleaning.out, &cleaning.result), 0);
        assert_int_equal(record_batch_parse(buffer_slice(&cleaning.out), &batch), 0);
        assert_int_equal(batch.record_count, 3);
        assert_in_range(cleaning.filter.records.window.capacity, 1, 2 * CLEAN_RECORDS_WINDOW_BYTES);
        assert_in_range(cleaning.filter.builder.records.capacity, 1, 8 * value_bytes);
        buffer_release(&bytes);
        end(&cleaning);
    }
    free(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_records_are_the_same),
        cmocka_unit_test(test_an_inflating_batch_takes_little_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
