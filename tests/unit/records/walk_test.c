/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking over records piece by piece against walking over them whole: random batches of every codec, cut
 * off, with every bit flipped, with records larger than a piece; and how much memory a bomb gets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/memory.h"
#include "proto/records/walk.h"
#include "tests/unit/records/fixtures.h"

#define NOW_MS 1700000000000
#define LIMIT_BYTES ((size_t)4 << 20)

/* Walks both ways and compares each record. 0, or the error of the walk in pieces. */
static int walk_both(struct record_walker *walker, const struct record_batch *batch, size_t limit_bytes)
{
    struct buffer scratch;
    struct slice records;
    struct record_iterator iterator;
    struct record record;
    struct record_outline outline;
    buffer_init(&scratch);
    int whole = record_batch_decompress(batch, limit_bytes, &scratch, &records);
    bool readable = whole == 0;
    if (readable)
        record_iterator_init(&iterator, batch, records);
    record_walker_start(walker, batch, batch->codec, batch->records, limit_bytes);
    int more;
    while ((more = record_walker_next(walker, &outline)) > 0) {
        if (!readable)
            continue; /* the damage lies further on */
        whole = record_iterator_next(&iterator, &record);
        assert_int_equal(whole, 1);
        assert_int_equal(outline.offset_delta, record.offset_delta);
        assert_true(outline.timestamp == record.timestamp);
        assert_int_equal(outline.has_key, !slice_is_null(record.key));
    }
    if (readable)
        whole = record_iterator_next(&iterator, &record);
    assert_int_equal(more < 0, whole < 0);
    struct record_outline after;
    assert_int_equal(record_walker_next(walker, &after), more);
    buffer_release(&scratch);
    return more;
}

static void parse(const struct buffer *bytes, struct record_batch *batch)
{
    assert_int_equal(record_batch_parse(buffer_slice(bytes), batch), 0);
}

static void test_golden_batches(void **state)
{
    (void)state;
    struct record_walker walker;
    struct buffer bytes;
    struct record_batch batch;
    record_walker_init(&walker);
    buffer_init(&bytes);
    for (int codec = 0; codec < CODEC_COUNT; codec++) {
        char name[32];
        snprintf(name, sizeof(name), "batch_%s", codec_name((enum codec)codec));
        buffer_clear(&bytes);
        fixture_load(name, &bytes);
        parse(&bytes, &batch);
        assert_int_equal(walk_both(&walker, &batch, LIMIT_BYTES), 0);
        assert_int_equal(walk_both(&walker, &batch, 100), codec == CODEC_NONE ? 0 : -EMSGSIZE);
    }
    buffer_release(&bytes);
    record_walker_release(&walker);
}

/* Values around the size of a piece, so that every field of a record comes to lie on its edge. */
static void build_large(struct prng *prng, enum codec codec, struct buffer *out)
{
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    struct record_batch_builder builder;
    struct buffer value;
    parameters.append_time = prng_one_in(prng, 4);
    parameters.append_time_ms = NOW_MS + 7;
    buffer_init(&value);
    record_batch_builder_init(&builder, &parameters);
    size_t target = RECORD_PIECE_BYTES - 60 + (size_t)prng_below(prng, 60);
    for (int i = 0; i < 3; i++) {
        buffer_clear(&value);
        uint8_t *at = buffer_extend(&value, i == 2 ? 3 * RECORD_PIECE_BYTES : target);
        for (size_t j = 0; j < value.length; j++)
            at[j] = (uint8_t)prng_below(prng, 7);
        target = (size_t)prng_below(prng, 1000);
        struct slice key = prng_one_in(prng, 2) ? slice_make(NULL, 0) : slice_of("the key of it");
        struct record_header headers[2] = {{slice_of("first"), slice_make(NULL, 0)},
                                           {slice_of("second"), slice_of("its value")}};
        record_batch_builder_append(&builder, NOW_MS + i * 100000, key, buffer_slice(&value), headers,
                                    (size_t)prng_below(prng, 3));
    }
    buffer_clear(out);
    assert_int_equal(record_batch_builder_finish(&builder, codec, CODEC_DEFAULT_LEVEL, out), 0);
    record_batch_builder_release(&builder);
    buffer_release(&value);
}

static void begin(uint64_t seed, struct prng *prng, struct record_walker *walker, struct buffer *bytes)
{
    print_message("seed %llu\n", (unsigned long long)seed);
    prng_init(prng, seed);
    record_walker_init(walker);
    buffer_init(bytes);
}

static void test_random_batches(void **state)
{
    (void)state;
    const uint64_t seed = 121;
    struct prng prng;
    struct record_walker walker;
    struct buffer bytes;
    struct record_batch batch;
    begin(seed, &prng, &walker, &bytes);
    for (int i = 0; i < 300; i++) {
        struct record_batch_parameters parameters = record_batch_parameters_plain();
        enum codec codec = (enum codec)(i % CODEC_COUNT);
        buffer_clear(&bytes);
        if (prng_one_in(&prng, 5))
            build_large(&prng, codec, &bytes);
        else
            fixture_random_batch(&prng, &parameters, 1 + (int)prng_below(&prng, 400), NOW_MS, codec, &bytes);
        parse(&bytes, &batch);
        assert_int_equal(walk_both(&walker, &batch, LIMIT_BYTES), 0);
        batch.record_count += (int32_t)prng_below(&prng, 5) - 2; /* what the header says is one thing */
        (void)walk_both(&walker, &batch, LIMIT_BYTES);
        batch.records.length = (size_t)prng_below(&prng, batch.records.length);
        assert_true(walk_both(&walker, &batch, LIMIT_BYTES) < 0);
    }
    buffer_release(&bytes);
    record_walker_release(&walker);
}

/* Every cut and every flipped bit; the whole batch in memory of exactly its size. */
static void test_every_damage(void **state)
{
    (void)state;
    const uint64_t seed = 131;
    struct prng prng;
    struct record_walker walker;
    struct buffer bytes;
    struct record_batch batch;
    begin(seed, &prng, &walker, &bytes);
    for (int codec = 0; codec < CODEC_COUNT; codec++) {
        struct record_batch_parameters parameters = record_batch_parameters_plain();
        buffer_clear(&bytes);
        fixture_random_batch(&prng, &parameters, 12, NOW_MS, (enum codec)codec, &bytes);
        parse(&bytes, &batch);
        size_t length = batch.records.length;
        for (size_t cut = 0; cut < length; cut++) {
            uint8_t *copy = memory_allocate(cut);
            memcpy(copy, bytes.data + RECORD_BATCH_RECORDS_AT, cut);
            batch.records = slice_make(copy, cut);
            assert_true(walk_both(&walker, &batch, LIMIT_BYTES) < 0);
            free(copy);
        }
        uint8_t *copy = memory_allocate(length);
        memcpy(copy, bytes.data + RECORD_BATCH_RECORDS_AT, length);
        batch.records = slice_make(copy, length);
        for (size_t bit = 0; bit < length * 8; bit++) {
            copy[bit / 8] ^= (uint8_t)(1U << bit % 8);
            (void)walk_both(&walker, &batch, LIMIT_BYTES);
            copy[bit / 8] ^= (uint8_t)(1U << bit % 8);
        }
        assert_int_equal(walk_both(&walker, &batch, LIMIT_BYTES), 0);
        free(copy);
    }
    buffer_release(&bytes);
    record_walker_release(&walker);
}

/* Bytes handed out by malloc; 0 where the allocator does not say (sanitizers). */
static size_t memory_in_use(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* 64 MiB out of a small batch of many records: walked to its end in a few MiB, and never past the limit. */
static void test_bombs_get_little_memory(void **state)
{
    (void)state;
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    struct record_batch_builder builder;
    struct buffer value;
    record_batch_builder_init(&builder, &parameters);
    buffer_init(&value);
    memset(buffer_extend(&value, 1 << 20), 0, 1 << 20);
    for (int i = 0; i < 64; i++)
        record_batch_builder_append(&builder, NOW_MS, slice_make(NULL, 0), buffer_slice(&value), NULL, 0);
    for (int codec = CODEC_GZIP; codec < CODEC_COUNT; codec++) {
        struct record_walker walker;
        struct record_outline outline;
        struct buffer bytes;
        struct record_batch batch;
        buffer_init(&bytes);
        assert_int_equal(
            record_batch_builder_finish(&builder, (enum codec)codec, CODEC_DEFAULT_LEVEL, &bytes), 0);
        parse(&bytes, &batch);
        assert_true(bytes.length < 4 << 20);
        record_walker_init(&walker);
        size_t before = memory_in_use();
        for (size_t limit = (size_t)30 << 20; limit <= (size_t)70 << 20; limit += (size_t)40 << 20) {
            int count = 0, more;
            record_walker_start(&walker, &batch, batch.codec, batch.records, limit);
            while ((more = record_walker_next(&walker, &outline)) > 0) {
                count++;
                assert_true(memory_in_use() - before < 6 << 20);
            }
            assert_int_equal(more, limit < (size_t)64 << 20 ? -EMSGSIZE : 0);
            assert_int_equal(count, limit < (size_t)64 << 20 ? 29 : 64);
        }
        record_walker_trim(&walker);
        assert_true(memory_in_use() - before < 5 << 20);
        record_walker_release(&walker);
        buffer_release(&bytes);
    }
    buffer_release(&value);
    record_batch_builder_release(&builder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_batches),
        cmocka_unit_test(test_random_batches),
        cmocka_unit_test(test_every_damage),
        cmocka_unit_test(test_bombs_get_little_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
