/* SPDX-License-Identifier: Apache-2.0 */
/* Record batches: golden bytes, there and back, every flipped bit, fields changed in place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/memory.h"
#include "proto/records/old.h"
#include "tests/unit/records/fixtures.h"

#define GOLDEN_TIME 1700000000000

static void check_golden_records(const struct record_batch *batch)
{
    struct buffer scratch, value;
    struct slice records;
    struct record_iterator iterator;
    struct record record;
    struct record_header header;
    struct byte_reader headers;
    buffer_init(&scratch);
    buffer_init(&value);
    fixture_golden_value(&value);
    assert_int_equal(record_batch_decompress(batch, 10000, &scratch, &records), 0);
    record_iterator_init(&iterator, batch, records);
    assert_int_equal(record_iterator_next(&iterator, &record), 1);
    assert_int_equal(record.offset, 0);
    assert_true(record.timestamp == GOLDEN_TIME);
    assert_true(slice_is(record.key, "k1"));
    assert_true(slice_equals(record.value, buffer_slice(&value)));
    assert_int_equal(record.header_count, 3);
    reader_init(&headers, record.headers);
    assert_true(record_header_next(&headers, &header));
    assert_true(slice_is(header.key, "h1") && slice_is(header.value, "v"));
    assert_true(record_header_next(&headers, &header));
    assert_true(slice_is(header.key, "h2") && slice_is_null(header.value));
    assert_true(record_header_next(&headers, &header));
    assert_true(slice_is(header.key, "") && slice_is(header.value, ""));
    assert_false(record_header_next(&headers, &header));
    assert_int_equal(record_iterator_next(&iterator, &record), 1);
    assert_true(slice_is_null(record.key) && slice_is(record.value, ""));
    assert_true(record.timestamp == GOLDEN_TIME + 5);
    assert_int_equal(record_iterator_next(&iterator, &record), 1);
    assert_true(slice_is(record.key, "") && slice_is_null(record.value));
    assert_true(record.timestamp == GOLDEN_TIME - 10);
    assert_int_equal(record.offset, 2);
    assert_int_equal(record_iterator_next(&iterator, &record), 0);
    assert_int_equal(record_iterator_next(&iterator, &record), 0);
    buffer_release(&scratch);
    buffer_release(&value);
}

static void test_golden_batches(void **state)
{
    (void)state;
    for (int codec = 0; codec < CODEC_COUNT; codec++) {
        char name[32];
        snprintf(name, sizeof(name), "batch_%s", codec_name((enum codec)codec));
        struct buffer bytes;
        struct record_batch batch;
        buffer_init(&bytes);
        fixture_load(name, &bytes);
        assert_int_equal(record_batch_parse(buffer_slice(&bytes), &batch), 0);
        assert_int_equal(batch.size_bytes, bytes.length);
        assert_true(record_batch_check_crc(&batch));
        assert_int_equal(batch.codec, codec);
        assert_int_equal(batch.base_offset, 0);
        assert_int_equal(batch.leader_epoch, 0); /* kafka-python's choice; the leader overwrites it */
        assert_int_equal(batch.last_offset_delta, 2);
        assert_true(batch.base_timestamp == GOLDEN_TIME);
        assert_true(batch.max_timestamp == GOLDEN_TIME + 5);
        assert_true(batch.producer_id == -1);
        assert_int_equal(batch.record_count, 3);
        assert_false(batch.append_time || batch.transactional || batch.control || batch.has_delete_horizon);
        check_golden_records(&batch);
        buffer_release(&bytes);
    }
}

static void append_golden(struct record_batch_builder *builder)
{
    struct buffer value;
    buffer_init(&value);
    fixture_golden_value(&value);
    struct record_header headers[3] = {
        {slice_of("h1"), slice_of("v")}, {slice_of("h2"), slice_make(NULL, 0)}, {slice_of(""), slice_of("")}};
    struct slice null = slice_make(NULL, 0);
    record_batch_builder_append(builder, GOLDEN_TIME, slice_of("k1"), buffer_slice(&value), headers, 3);
    record_batch_builder_append(builder, GOLDEN_TIME + 5, null, slice_of(""), NULL, 0);
    record_batch_builder_append(builder, GOLDEN_TIME - 10, slice_of(""), null, NULL, 0);
    buffer_release(&value);
}

static void test_the_builder_makes_golden_bytes(void **state)
{
    (void)state;
    struct buffer golden, built;
    buffer_init(&golden);
    buffer_init(&built);
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    parameters.leader_epoch = 0;
    struct record_batch_builder builder;
    record_batch_builder_init(&builder, &parameters);
    append_golden(&builder);
    assert_int_equal(record_batch_builder_finish(&builder, CODEC_NONE, CODEC_DEFAULT_LEVEL, &built), 0);
    fixture_load("batch_none", &golden);
    assert_int_equal(record_batch_builder_size_bytes(&builder), golden.length);
    assert_true(slice_equals(buffer_slice(&built), buffer_slice(&golden)));

    parameters.producer_id = 4711;
    parameters.producer_epoch = 3;
    parameters.base_sequence = 2147483646;
    parameters.transactional = true;
    record_batch_builder_clear(&builder, &parameters);
    append_golden(&builder);
    buffer_clear(&built);
    buffer_clear(&golden);
    assert_int_equal(record_batch_builder_finish(&builder, CODEC_NONE, CODEC_DEFAULT_LEVEL, &built), 0);
    fixture_load("batch_transactional", &golden);
    assert_true(slice_equals(buffer_slice(&built), buffer_slice(&golden)));
    struct record_batch batch;
    assert_int_equal(record_batch_parse(buffer_slice(&golden), &batch), 0);
    assert_true(batch.transactional && !batch.control);
    assert_int_equal(batch.producer_epoch, 3);
    assert_int_equal(record_batch_last_sequence(&batch), 0); /* 2147483646, 2147483647, 0 */
    assert_int_equal(record_batch_builder_finish(&builder, (enum codec)6, 0, &built), -EINVAL);
    assert_int_equal(built.length, golden.length);
    record_batch_builder_release(&builder);
    buffer_release(&golden);
    buffer_release(&built);
}

static void test_old_messages(void **state)
{
    (void)state;
    for (int magic = 0; magic <= 1; magic++) {
        struct buffer bytes;
        buffer_init(&bytes);
        fixture_load(magic == 0 ? "messages_v0" : "messages_v1", &bytes);
        struct slice left = buffer_slice(&bytes);
        struct old_message message;
        struct record_batch batch;
        for (int i = 0; i < 3; i++) {
            assert_int_equal(record_batch_parse(left, &batch), -EBADMSG);
            assert_int_equal(old_message_parse(left, &message), 0);
            assert_int_equal(message.magic, magic);
            assert_int_equal(message.offset, i);
            assert_int_equal(message.codec, CODEC_NONE);
            assert_true(old_message_check_crc(&message));
            assert_int_equal(slice_is_null(message.key), i == 1);
            assert_int_equal(slice_is_null(message.value), i == 2);
            assert_int_equal(message.timestamp < 0, magic == 0);
            for (size_t bit = 16 * 8; bit < message.size_bytes * 8; bit += 7) {
                struct old_message damaged;
                bytes.data[left.data - bytes.data + (ptrdiff_t)(bit / 8)] ^= (uint8_t)(1U << bit % 8);
                assert_false(old_message_parse(left, &damaged) == 0 && old_message_check_crc(&damaged));
                bytes.data[left.data - bytes.data + (ptrdiff_t)(bit / 8)] ^= (uint8_t)(1U << bit % 8);
            }
            left = slice_make(left.data + message.size_bytes, left.length - message.size_bytes);
            assert_int_equal(
                old_message_parse(slice_make(message.bytes.data, message.size_bytes - 1), &message),
                -ENODATA);
        }
        assert_int_equal(left.length, 0);
        assert_int_equal(old_message_parse(left, &message), -ENODATA);
        buffer_release(&bytes);
    }
}

static void test_need_more(void **state)
{
    (void)state;
    struct buffer bytes;
    buffer_init(&bytes);
    fixture_load("batch_none", &bytes);
    struct record_batch batch;
    size_t size;
    int magic;
    for (size_t length = 0; length < bytes.length; length++) {
        uint8_t *copy = memory_allocate(length);
        memcpy(copy, bytes.data, length);
        struct slice part = slice_make(copy, length);
        assert_int_equal(record_batch_parse(part, &batch), -ENODATA);
        assert_int_equal(record_batch_parse_header(part, &batch), length < 61 ? -ENODATA : 0);
        assert_int_equal(record_entry_peek(part, &size, &magic), -ENODATA);
        assert_int_equal(size, length < 17 ? 0 : bytes.length);
        free(copy);
    }
    buffer_append_string(&bytes, "more behind it");
    assert_int_equal(record_batch_parse(buffer_slice(&bytes), &batch), 0);
    assert_int_equal(record_entry_peek(buffer_slice(&bytes), &size, &magic), 0);
    assert_int_equal(size, bytes.length - 14);
    static const int32_t lengths[] = {INT32_MIN, -1, 0, 13, 14, 48};
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        store_u32(bytes.data + RECORD_BATCH_LENGTH_AT, (uint32_t)lengths[i]);
        assert_int_equal(record_batch_parse(buffer_slice(&bytes), &batch), -EBADMSG);
    }
    store_u32(bytes.data + RECORD_BATCH_LENGTH_AT, INT32_MAX);
    assert_int_equal(record_batch_parse(buffer_slice(&bytes), &batch), -ENODATA);
    assert_int_equal(record_batch_parse_header(buffer_slice(&bytes), &batch), 0);
    assert_int_equal(batch.size_bytes, (size_t)INT32_MAX + 12);
    buffer_release(&bytes);
}

/* A flipped bit shows in the structure, in the CRC, or in a field outside the CRC that then has changed. */
static void test_i3_every_flipped_bit_shows(void **state)
{
    (void)state;
    static const char *const names[] = {"batch_none", "batch_lz4", "batch_transactional"};
    for (size_t n = 0; n < ARRAY_SIZE(names); n++) {
        struct buffer bytes;
        struct record_batch whole, batch;
        buffer_init(&bytes);
        fixture_load(names[n], &bytes);
        assert_int_equal(record_batch_parse(buffer_slice(&bytes), &whole), 0);
        for (size_t bit = 0; bit < bytes.length * 8; bit++) {
            bytes.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
            bool accepted =
                record_batch_parse(buffer_slice(&bytes), &batch) == 0 && record_batch_check_crc(&batch);
            if (accepted) {
                assert_true(bit / 8 < RECORD_BATCH_LENGTH_AT ||
                            (bit / 8 >= RECORD_BATCH_LEADER_EPOCH_AT && bit / 8 < RECORD_BATCH_MAGIC_AT));
                assert_true(batch.base_offset != whole.base_offset ||
                            batch.leader_epoch != whole.leader_epoch);
            }
            bytes.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        }
        buffer_release(&bytes);
    }
}

static void test_changes_in_place(void **state)
{
    (void)state;
    struct buffer bytes;
    struct record_batch batch;
    buffer_init(&bytes);
    fixture_load("batch_gzip", &bytes);
    assert_int_equal(record_batch_parse(buffer_slice(&bytes), &batch), 0);
    uint32_t crc = batch.crc;
    record_batch_set_base_offset(bytes.data, 0x0102030405060708);
    record_batch_set_leader_epoch(bytes.data, 77);
    record_batch_set_max_timestamp(bytes.data, bytes.length, batch.max_timestamp);
    assert_int_equal(record_batch_parse(buffer_slice(&bytes), &batch), 0);
    assert_true(batch.base_offset == 0x0102030405060708);
    assert_true(record_batch_last_offset(&batch) == 0x010203040506070a);
    assert_int_equal(batch.leader_epoch, 77);
    assert_int_equal(batch.crc, crc);
    assert_true(record_batch_check_crc(&batch));

    record_batch_set_append_time(bytes.data, bytes.length, 123);
    assert_int_equal(record_batch_parse(buffer_slice(&bytes), &batch), 0);
    assert_true(batch.append_time && record_batch_check_crc(&batch));
    assert_int_equal(batch.max_timestamp, 123);
    assert_int_equal(batch.codec, CODEC_GZIP);
    struct buffer scratch;
    struct slice records;
    struct record_iterator iterator;
    struct record record;
    buffer_init(&scratch);
    assert_int_equal(record_batch_decompress(&batch, 10000, &scratch, &records), 0);
    record_iterator_init(&iterator, &batch, records);
    while (record_iterator_next(&iterator, &record) > 0)
        assert_int_equal(record.timestamp, 123);
    buffer_release(&scratch);

    record_batch_set_max_timestamp(bytes.data, bytes.length, 99);
    assert_int_equal(record_batch_parse(buffer_slice(&bytes), &batch), 0);
    assert_true(!batch.append_time && record_batch_check_crc(&batch));
    assert_int_equal(batch.max_timestamp, 99);
    buffer_release(&bytes);
}

static void test_sequences_wrap(void **state)
{
    (void)state;
    assert_int_equal(record_sequence_add(5, 3), 8);
    assert_int_equal(record_sequence_add(INT32_MAX, 1), 0);
    assert_int_equal(record_sequence_add(INT32_MAX, INT32_MAX), INT32_MAX - 1);
    struct record_batch batch = {.base_sequence = -1, .last_offset_delta = 4};
    assert_int_equal(record_batch_last_sequence(&batch), -1);
    batch.base_sequence = INT32_MAX - 1;
    assert_int_equal(record_batch_last_sequence(&batch), 2);
    batch = (struct record_batch){.base_offset = INT64_MAX, .last_offset_delta = 1};
    assert_true(record_batch_last_offset(&batch) == INT64_MIN); /* a stranger's numbers do no harm */
}

static void test_random_batches_come_back(void **state)
{
    (void)state;
    const uint64_t seed = 101;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct prng prng;
    prng_init(&prng, seed);
    struct buffer first, second, scratch;
    buffer_init(&first);
    buffer_init(&second);
    buffer_init(&scratch);
    for (int i = 0; i < 300; i++) {
        struct record_batch_parameters parameters = record_batch_parameters_plain();
        parameters.base_offset = (int64_t)(prng_next(&prng) >> 2);
        parameters.append_time = prng_one_in(&prng, 3);
        parameters.append_time_ms = 5000;
        buffer_clear(&first);
        buffer_clear(&second);
        buffer_clear(&scratch);
        enum codec codec = (enum codec)prng_below(&prng, CODEC_COUNT);
        fixture_random_batch(&prng, &parameters, 1 + (int)prng_below(&prng, 50), 1000, codec, &first);
        struct record_batch batch;
        struct slice records;
        assert_int_equal(record_batch_parse(buffer_slice(&first), &batch), 0);
        assert_true(record_batch_check_crc(&batch));
        assert_int_equal(record_batch_decompress(&batch, 1 << 20, &scratch, &records), 0);
        assert_int_equal(record_batch_rebuild(&batch, records.length, codec, CODEC_DEFAULT_LEVEL, &second),
                         0);
        if (!parameters.append_time)
            assert_true(slice_equals(buffer_slice(&first), buffer_slice(&second)));
        assert_int_equal(record_batch_parse(buffer_slice(&second), &batch), 0);
        assert_true(record_batch_check_crc(&batch));
    }
    buffer_release(&first);
    buffer_release(&second);
    buffer_release(&scratch);
}

static void test_batches_with_gaps(void **state)
{
    (void)state;
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    parameters.base_offset = 1000;
    struct record_batch_builder builder;
    struct buffer bytes, closed;
    buffer_init(&bytes);
    buffer_init(&closed);
    record_batch_builder_init(&builder, &parameters);
    struct slice none = slice_make(NULL, 0);
    record_batch_builder_append_at(&builder, 3, 50, slice_of("a"), none, none, 0);
    record_batch_builder_append_at(&builder, 9, 40, slice_of("b"), none, none, 0);
    assert_int_equal(record_batch_builder_finish(&builder, CODEC_SNAPPY, CODEC_DEFAULT_LEVEL, &bytes), 0);
    struct record_batch batch;
    struct record_iterator iterator;
    struct record record;
    struct buffer scratch;
    struct slice records;
    buffer_init(&scratch);
    assert_int_equal(record_batch_parse(buffer_slice(&bytes), &batch), 0);
    assert_int_equal(record_batch_last_offset(&batch), 1009);
    assert_int_equal(batch.record_count, 2);
    assert_int_equal(record_batch_decompress(&batch, 1000, &scratch, &records), 0);
    record_iterator_init(&iterator, &batch, records);
    assert_int_equal(record_iterator_next(&iterator, &record), 1);
    assert_int_equal(record.offset, 1003);
    assert_int_equal(record_iterator_next(&iterator, &record), 1);
    assert_int_equal(record.offset, 1009);
    assert_int_equal(record.timestamp, 40);
    assert_int_equal(record_iterator_next(&iterator, &record), 0);
    assert_int_equal(record_batch_rebuild(&batch, records.length, CODEC_NONE, CODEC_DEFAULT_LEVEL, &closed),
                     0);
    assert_int_equal(record_batch_parse(buffer_slice(&closed), &batch), 0);
    assert_int_equal(batch.last_offset_delta, 1);
    assert_int_equal(batch.max_timestamp, 50);
    record_batch_builder_release(&builder);
    buffer_release(&scratch);
    buffer_release(&bytes);
    buffer_release(&closed);
}

/* Records of a batch that promises `count` of them; how many come, or the error. */
static int walk(const char *bytes, size_t length, int32_t count)
{
    uint8_t *copy = memory_allocate(length);
    memcpy(copy, bytes, length);
    struct record_batch batch = {.record_count = count};
    struct record_iterator iterator;
    struct record record;
    record_iterator_init(&iterator, &batch, slice_make(copy, length));
    int seen = 0;
    int more;
    while ((more = record_iterator_next(&iterator, &record)) > 0)
        seen++;
    if (more < 0)
        assert_int_equal(record_iterator_next(&iterator, &record), -EBADMSG);
    free(copy);
    return more < 0 ? more : seen;
}

static void test_damaged_records(void **state)
{
    (void)state;
    static const char good[] = "\x0c\0\0\0\1\1\0"; /* 6 bytes: all zero, both null, no headers */
    assert_int_equal(walk(good, 7, 1), 1);
    assert_int_equal(walk(good, 7, 2), -EBADMSG); /* fewer than promised */
    assert_int_equal(walk(good, 7, 0), -EBADMSG); /* more than promised */
    assert_int_equal(walk(good, 7, -1), -EBADMSG);
    assert_int_equal(walk(good, 7, INT32_MAX), -EBADMSG);
    assert_int_equal(walk(good, 0, 0), 0);
    assert_int_equal(walk(good, 6, 1), -EBADMSG);                     /* truncated */
    assert_int_equal(walk("\x0e\0\0\0\1\1\0\0", 8, 1), -EBADMSG);     /* one byte too many inside */
    assert_int_equal(walk("\x0c\0\0\0\3\1\0", 7, 1), -EBADMSG);       /* key length -2 (B30) */
    assert_int_equal(walk("\x0c\0\0\0\1\3\0", 7, 1), -EBADMSG);       /* value length -2 */
    assert_int_equal(walk("\x0c\0\0\0\1\1\1", 7, 1), -EBADMSG);       /* -1 headers */
    assert_int_equal(walk("\x0c\0\0\0\1\1\2", 7, 1), -EBADMSG);       /* a header that is not there */
    assert_int_equal(walk("\x10\0\0\0\1\1\2\1\1", 9, 1), -EBADMSG);   /* a header with a null key */
    assert_int_equal(walk("\x10\0\0\0\1\1\2\0\1", 9, 1), 1);          /* an empty one with a null value */
    assert_int_equal(walk("\x01\0\0\0\1\1\0", 7, 1), -EBADMSG);       /* length -1 */
    assert_int_equal(walk("\xff\xff\xff\xff\xff\1", 6, 1), -EBADMSG); /* a varint of six bytes */
    assert_int_equal(walk("\xfe\xff\xff\xff\x0f\0\0\0\1\1\0", 11, 1), -EBADMSG); /* length 2^31 - 1 */
    assert_int_equal(walk("\0", 1, 1), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_batches),
        cmocka_unit_test(test_the_builder_makes_golden_bytes),
        cmocka_unit_test(test_old_messages),
        cmocka_unit_test(test_need_more),
        cmocka_unit_test(test_i3_every_flipped_bit_shows),
        cmocka_unit_test(test_changes_in_place),
        cmocka_unit_test(test_sequences_wrap),
        cmocka_unit_test(test_random_batches_come_back),
        cmocka_unit_test(test_batches_with_gaps),
        cmocka_unit_test(test_damaged_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
