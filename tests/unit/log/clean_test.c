/* SPDX-License-Identifier: Apache-2.0 */
/* What compaction leaves of a batch, of old formats too, and what it makes of damage. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/clean_filter.h"
#include "broker/log/clean_map.h"
#include "broker/log/clean_old.h"
#include "common/bytes.h"
#include "common/prng.h"
#include "proto/records/builder.h"
#include "proto/records/record.h"

#define NOW_MS 1000000
#define RETENTION_MS 500

static const uint64_t HASH_KEY[2] = {3, 4};

struct cleaning {
    struct clean_map map;
    struct clean_transactions transactions;
    struct clean_filter filter;
    struct buffer out;
    struct clean_result result;
    struct record_batch left; /* of the last one filtered */
};

static void begin(struct cleaning *cleaning, const struct aborted_transaction *aborted, size_t count)
{
    clean_map_init(&cleaning->map, 100 * CLEAN_MAP_SLOT_BYTES, 0.9, HASH_KEY);
    clean_transactions_init(&cleaning->transactions, aborted, count);
    clean_filter_init(&cleaning->filter);
    buffer_init(&cleaning->out);
    cleaning->filter.map = &cleaning->map;
    cleaning->filter.transactions = &cleaning->transactions;
    cleaning->filter.now_ms = NOW_MS;
    cleaning->filter.delete_retention_ms = RETENTION_MS;
    cleaning->filter.batch_bytes_max = 1 << 20;
}

static void end(struct cleaning *cleaning)
{
    clean_filter_release(&cleaning->filter);
    clean_transactions_release(&cleaning->transactions);
    clean_map_clear(&cleaning->map);
    buffer_release(&cleaning->out);
}

/* The number of records that stay, -1 where nothing does. */
static int filter(struct cleaning *cleaning, const struct buffer *bytes)
{
    buffer_clear(&cleaning->out);
    assert_int_equal(
        clean_filter_batch(&cleaning->filter, buffer_slice(bytes), &cleaning->out, &cleaning->result), 0);
    assert_int_equal(cleaning->result.size_bytes, cleaning->out.length);
    if (cleaning->out.length == 0)
        return -1;
    assert_int_equal(record_batch_parse(buffer_slice(&cleaning->out), &cleaning->left), 0);
    assert_true(record_batch_check_crc(&cleaning->left));
    return cleaning->left.record_count;
}

/* Keys "a", "b"...; a capital letter: without a value; '-': without a key. */
static void make(struct buffer *bytes, const struct record_batch_parameters *parameters, const char *keys,
                 enum codec codec)
{
    struct record_batch_builder builder;
    buffer_init(bytes);
    record_batch_builder_init(&builder, parameters);
    for (const char *at = keys; *at; at++) {
        char key = (char)(*at | 0x20);
        bool has_value = *at >= 'a' || *at == '-';
        record_batch_builder_append(&builder, NOW_MS - 50 + (at - keys),
                                    *at == '-' ? slice_make(NULL, 0) : slice_make(&key, 1),
                                    has_value ? slice_of("value") : slice_make(NULL, 0), NULL, 0);
    }
    assert_int_equal(record_batch_builder_finish(&builder, codec, CODEC_DEFAULT_LEVEL, bytes), 0);
    record_batch_builder_release(&builder);
}

static void make_marker(struct buffer *bytes, int64_t offset, int64_t producer_id, bool commit)
{
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    parameters.base_offset = offset;
    parameters.producer_id = producer_id;
    parameters.producer_epoch = 2;
    parameters.transactional = true;
    parameters.control = true;
    const uint8_t key[4] = {0, 0, 0, commit};
    const uint8_t value[6] = {0};
    struct record_batch_builder builder;
    buffer_init(bytes);
    record_batch_builder_init(&builder, &parameters);
    record_batch_builder_append(&builder, NOW_MS - 60, slice_make(key, 4), slice_make(value, 6), NULL, 0);
    assert_int_equal(record_batch_builder_finish(&builder, CODEC_NONE, CODEC_DEFAULT_LEVEL, bytes), 0);
    record_batch_builder_release(&builder);
}

static void see(struct cleaning *cleaning, const struct buffer *bytes)
{
    struct clean_transactions none;
    struct clean_records records;
    clean_records_init(&records);
    clean_transactions_init(&none, NULL, 0);
    assert_int_equal(clean_map_batch(&cleaning->map, &none, buffer_slice(bytes), 0, 1 << 20, &records), 1);
    clean_transactions_release(&none);
    clean_records_release(&records);
}

static void test_a_batch_is_thinned_out(void **state)
{
    (void)state;
    for (int codec = 0; codec < CODEC_COUNT; codec++) {
        struct record_batch_parameters parameters = record_batch_parameters_plain();
        struct cleaning cleaning;
        struct buffer first, second, copy;
        parameters.base_offset = 10;
        parameters.leader_epoch = 6;
        parameters.producer_id = 77;
        parameters.producer_epoch = 3;
        parameters.base_sequence = 40;
        make(&first, &parameters, "abc-ad", (enum codec)codec);
        parameters.base_offset = 20;
        make(&second, &parameters, "bd", (enum codec)codec);
        begin(&cleaning, NULL, 0);
        see(&cleaning, &first);
        see(&cleaning, &second);
        assert_int_equal(cleaning.map.latest_offset, 21);
        assert_int_equal(filter(&cleaning, &first), 2); /* c at 12, a at 14 */
        const struct record_batch *left = &cleaning.left;
        assert_int_equal(left->base_offset, 10);
        assert_int_equal(left->last_offset_delta, 5);
        assert_int_equal(left->leader_epoch, 6);
        assert_int_equal(left->producer_id, 77);
        assert_int_equal(left->producer_epoch, 3);
        assert_int_equal(left->base_sequence, 40);
        assert_int_equal(left->codec, codec);
        assert_false(left->has_delete_horizon);
        assert_int_equal(left->base_timestamp, NOW_MS - 48);
        assert_int_equal(left->max_timestamp, NOW_MS - 46);
        assert_int_equal(cleaning.filter.records_without_key, 1);
        /* Nothing to do: the same bytes. */
        buffer_init(&copy);
        buffer_append(&copy, cleaning.out.data, cleaning.out.length);
        assert_int_equal(filter(&cleaning, &copy), 2);
        assert_true(slice_equals(buffer_slice(&copy), buffer_slice(&cleaning.out)));
        assert_int_equal(filter(&cleaning, &second), 2);
        assert_true(slice_equals(buffer_slice(&second), buffer_slice(&cleaning.out)));
        buffer_release(&first);
        buffer_release(&second);
        buffer_release(&copy);
        end(&cleaning);
    }
}

static void test_i10_tombstones_get_a_horizon(void **state)
{
    (void)state;
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    struct cleaning cleaning;
    struct buffer bytes, marked;
    buffer_init(&marked);
    make(&bytes, &parameters, "aB", CODEC_LZ4);
    begin(&cleaning, NULL, 0);
    see(&cleaning, &bytes);
    assert_int_equal(filter(&cleaning, &bytes), 2);
    assert_true(cleaning.left.has_delete_horizon);
    assert_int_equal(cleaning.left.base_timestamp, NOW_MS + RETENTION_MS);
    assert_int_equal(cleaning.left.max_timestamp, NOW_MS - 49);
    buffer_append(&marked, cleaning.out.data, cleaning.out.length);
    struct slice records;
    struct record_iterator iterator;
    struct record record;
    struct buffer scratch;
    buffer_init(&scratch);
    assert_int_equal(record_batch_decompress(&cleaning.left, 1000, &scratch, &records), 0);
    record_iterator_init(&iterator, &cleaning.left, records);
    assert_int_equal(record_iterator_next(&iterator, &record), 1);
    assert_int_equal(record.timestamp, NOW_MS - 50);
    buffer_release(&scratch);
    cleaning.filter.now_ms = NOW_MS + RETENTION_MS - 1;
    assert_int_equal(filter(&cleaning, &marked), 2);
    assert_int_equal(cleaning.left.base_timestamp, NOW_MS + RETENTION_MS);
    cleaning.filter.now_ms++;
    assert_int_equal(filter(&cleaning, &marked), 1);
    assert_true(cleaning.left.has_delete_horizon);
    assert_int_equal(cleaning.left.last_offset_delta, 1);
    buffer_release(&bytes);
    buffer_release(&marked);
    end(&cleaning);
}

static void test_i10_the_last_batch_of_a_producer_keeps_its_header(void **state)
{
    (void)state;
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    const struct clean_producer producers[] = {{5, 2, 1}, {9, 11, 1}};
    struct cleaning cleaning;
    struct buffer bytes, later;
    parameters.base_offset = 0;
    parameters.producer_id = 5;
    parameters.producer_epoch = 1;
    parameters.base_sequence = 7;
    make(&bytes, &parameters, "aaa", CODEC_GZIP);
    parameters.producer_id = RECORD_NO_PRODUCER_ID;
    parameters.base_offset = 3;
    make(&later, &parameters, "a", CODEC_NONE);
    begin(&cleaning, NULL, 0);
    see(&cleaning, &bytes);
    see(&cleaning, &later);
    cleaning.filter.producers = producers;
    cleaning.filter.producers_count = 2;
    assert_int_equal(filter(&cleaning, &bytes), 0);
    assert_int_equal(cleaning.out.length, RECORD_BATCH_HEADER_BYTES);
    assert_int_equal(record_batch_last_sequence(&cleaning.left), 9);
    assert_int_equal(cleaning.left.codec, CODEC_NONE);
    assert_int_equal(cleaning.left.base_timestamp, -1);
    assert_int_equal(cleaning.left.max_timestamp, NOW_MS - 48);
    struct buffer emptied;
    buffer_init(&emptied);
    buffer_append(&emptied, cleaning.out.data, cleaning.out.length);
    assert_int_equal(filter(&cleaning, &emptied), 0);
    cleaning.filter.producers_count = 0; /* forgotten */
    assert_int_equal(filter(&cleaning, &emptied), -1);
    assert_int_equal(filter(&cleaning, &bytes), -1);
    buffer_release(&bytes);
    buffer_release(&later);
    buffer_release(&emptied);
    end(&cleaning);
}

static void test_i10_markers_stay_while_there_is_data(void **state)
{
    (void)state;
    const struct aborted_transaction aborted[] = {{5, 0, 2, 3}};
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    struct cleaning cleaning;
    struct buffer data, abort, committed, commit, marked;
    parameters.producer_id = 5;
    parameters.producer_epoch = 2;
    parameters.transactional = true;
    make(&data, &parameters, "ab", CODEC_NONE);
    make_marker(&abort, 2, 5, false);
    parameters.base_offset = 3;
    make(&committed, &parameters, "a", CODEC_NONE);
    make_marker(&commit, 4, 5, true);
    begin(&cleaning, aborted, 1);
    assert_int_equal(filter(&cleaning, &data), -1);
    assert_int_equal(filter(&cleaning, &abort), 1);
    assert_false(cleaning.left.has_delete_horizon);
    assert_int_equal(cleaning.transactions.kept_count, 1);
    assert_int_equal(cleaning.transactions.kept[0].last_offset, 2);
    assert_int_equal(filter(&cleaning, &committed), 1);
    assert_int_equal(filter(&cleaning, &commit), 1);
    assert_false(cleaning.left.has_delete_horizon);
    end(&cleaning);
    /* The next time the data is gone. */
    buffer_init(&marked);
    begin(&cleaning, aborted, 1);
    assert_int_equal(filter(&cleaning, &abort), 1);
    assert_true(cleaning.left.has_delete_horizon);
    assert_int_equal(cleaning.left.base_timestamp, NOW_MS + RETENTION_MS);
    assert_int_equal(cleaning.transactions.kept_count, 0);
    buffer_append(&marked, cleaning.out.data, cleaning.out.length);
    assert_int_equal(filter(&cleaning, &marked), 1);
    cleaning.filter.now_ms = NOW_MS + RETENTION_MS;
    assert_int_equal(filter(&cleaning, &marked), -1);
    /* But for the header of the last one of a producer without data. */
    const struct clean_producer producer = {5, -1, 2};
    cleaning.filter.producers = &producer;
    cleaning.filter.producers_count = 1;
    assert_int_equal(filter(&cleaning, &marked), 0);
    assert_true(cleaning.left.control);
    assert_false(cleaning.left.has_delete_horizon);
    end(&cleaning);
    buffer_release(&data);
    buffer_release(&abort);
    buffer_release(&committed);
    buffer_release(&commit);
    buffer_release(&marked);
}

/* ---- old formats ---- */

static void make_old(struct buffer *out, int magic, int64_t offset, char key, bool has_value)
{
    const struct old_message message = {.offset = offset,
                                        .magic = magic,
                                        .timestamp = NOW_MS + offset,
                                        .key = key ? slice_make(&key, 1) : slice_make(NULL, 0),
                                        .value = has_value ? slice_of("value") : slice_make(NULL, 0)};
    assert_int_equal(old_message_append(&message, out), 0);
}

/* A set of "ab-aB" at offsets 10 to 14, in one message. */
static void make_old_set(struct buffer *out, int magic, enum codec codec)
{
    struct buffer inner, compressed;
    int64_t first = magic == RECORD_MAGIC_V1 ? 0 : 10;
    buffer_init(&inner);
    buffer_init(&compressed);
    make_old(&inner, magic, first, 'a', true);
    make_old(&inner, magic, first + 1, 'b', true);
    make_old(&inner, magic, first + 2, 0, true);
    make_old(&inner, magic, first + 3, 'a', true);
    make_old(&inner, magic, first + 4, 'b', false);
    assert_int_equal(codec_compress(codec, CODEC_DEFAULT_LEVEL, buffer_slice(&inner), &compressed), 0);
    const struct old_message set = {.offset = 14,
                                    .magic = magic,
                                    .codec = codec,
                                    .timestamp = NOW_MS + 4,
                                    .value = buffer_slice(&compressed)};
    assert_int_equal(old_message_append(&set, out), 0);
    buffer_release(&inner);
    buffer_release(&compressed);
}

struct walked {
    int64_t offsets[8];
    int count;
};

static bool note_offset(void *context, const struct clean_old_record *record)
{
    struct walked *walked = context;
    walked->offsets[walked->count++] = record->offset;
    return true;
}

static void test_old_formats(void **state)
{
    (void)state;
    static const enum codec codecs[] = {CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4};
    for (int magic = 0; magic < 2; magic++) {
        for (size_t i = 0; i < ARRAY_SIZE(codecs); i++) {
            struct cleaning cleaning;
            struct buffer bytes, scratch;
            struct old_message left;
            struct walked walked = {.count = 0};
            buffer_init(&bytes);
            buffer_init(&scratch);
            make_old_set(&bytes, magic, codecs[i]);
            begin(&cleaning, NULL, 0);
            see(&cleaning, &bytes);
            assert_int_equal(cleaning.map.latest_offset, 14);
            assert_int_equal(clean_map_get(&cleaning.map, clean_map_prepare(&cleaning.map, slice_of("a"))),
                             13);
            cleaning.filter.keep_old_tombstones = true;
            assert_int_equal(
                clean_filter_batch(&cleaning.filter, buffer_slice(&bytes), &cleaning.out, &cleaning.result),
                0);
            assert_int_equal(old_message_parse(buffer_slice(&cleaning.out), &left), 0);
            assert_true(old_message_check_crc(&left));
            assert_int_equal(left.offset, 14);
            assert_int_equal(left.codec, codecs[i]);
            assert_int_equal(clean_old_walk(&left, 10000, &scratch, note_offset, &walked), 0);
            assert_int_equal(walked.count, 2);
            assert_int_equal(walked.offsets[0], 13);
            assert_int_equal(walked.offsets[1], 14);
            cleaning.filter.keep_old_tombstones = false;
            buffer_clear(&cleaning.out);
            assert_int_equal(
                clean_filter_batch(&cleaning.filter, buffer_slice(&bytes), &cleaning.out, &cleaning.result),
                0);
            assert_int_equal(cleaning.result.last_offset, 13);
            buffer_release(&bytes);
            buffer_release(&scratch);
            end(&cleaning);
        }
        struct cleaning cleaning;
        struct buffer plain;
        buffer_init(&plain);
        make_old(&plain, magic, 3, 'x', true);
        begin(&cleaning, NULL, 0);
        see(&cleaning, &plain);
        assert_int_equal(
            clean_filter_batch(&cleaning.filter, buffer_slice(&plain), &cleaning.out, &cleaning.result), 0);
        assert_true(slice_equals(buffer_slice(&plain), buffer_slice(&cleaning.out)));
        assert_true(clean_map_put(&cleaning.map, clean_map_prepare(&cleaning.map, slice_of("x")), 8));
        assert_int_equal(
            clean_filter_batch(&cleaning.filter, buffer_slice(&plain), &cleaning.out, &cleaning.result), 0);
        assert_int_equal(cleaning.result.size_bytes, 0);
        buffer_release(&plain);
        end(&cleaning);
    }
}

/* ---- damage ---- */

static void test_damage(void **state)
{
    (void)state;
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    struct cleaning cleaning;
    struct buffer bytes;
    make(&bytes, &parameters, "abc", CODEC_ZSTD);
    begin(&cleaning, NULL, 0);
    for (size_t at = RECORD_BATCH_LENGTH_AT; at < bytes.length; at++) {
        if (at >= RECORD_BATCH_LEADER_EPOCH_AT && at < RECORD_BATCH_MAGIC_AT)
            continue;
        bytes.data[at] ^= 0x10;
        int error =
            clean_filter_batch(&cleaning.filter, buffer_slice(&bytes), &cleaning.out, &cleaning.result);
        assert_int_equal(error, -EBADMSG);
        bytes.data[at] ^= 0x10;
    }
    /* Random bytes with the right sum on top: an error or not, but nothing worse. */
    struct prng prng;
    prng_init(&prng, 99);
    for (int round = 0; round < 20000; round++) {
        struct buffer copy;
        struct record_batch batch;
        buffer_init(&copy);
        buffer_append(&copy, bytes.data, bytes.length);
        for (int i = 0; i < 3; i++)
            copy.data[RECORD_BATCH_ATTRIBUTES_AT +
                      prng_below(&prng, copy.length - RECORD_BATCH_ATTRIBUTES_AT)] =
                (uint8_t)prng_next(&prng);
        assert_int_equal(record_batch_parse(buffer_slice(&copy), &batch), 0);
        record_batch_set_append_time(copy.data, copy.length, (int64_t)prng_below(&prng, 1000));
        int error =
            clean_filter_batch(&cleaning.filter, buffer_slice(&copy), &cleaning.out, &cleaning.result);
        assert_true(error == 0 || error == -EBADMSG);
        buffer_clear(&cleaning.out);
        buffer_release(&copy);
    }
    buffer_release(&bytes);
    end(&cleaning);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_batch_is_thinned_out),
        cmocka_unit_test(test_i10_tombstones_get_a_horizon),
        cmocka_unit_test(test_i10_the_last_batch_of_a_producer_keeps_its_header),
        cmocka_unit_test(test_i10_markers_stay_while_there_is_data),
        cmocka_unit_test(test_old_formats),
        cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
