/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every message in every version: what is encoded decodes to the same; what is cut off, damaged or random is
 * refused without reading past its end (sanitizers watch) and within the arena's budget.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "common/memory.h"
#include "proto/kafka/api.h"
#include "tests/unit/kafka/random_message.h"

#define SEED 20240611
#define BUDGET(input) (4 * (input) + 64 * 1024)

/* Memory that one check needs, taken anew for each version. */
struct bench {
    struct prng prng;
    struct arena source; /* of random messages */
    struct arena target; /* of decoded ones */
    struct buffer encoded;
    struct buffer again;
    struct buffer text;
    void *message;
    void *decoded;
    void *decoded_again;
};

static void bench_init(struct bench *bench, const struct message_codec *codec, uint64_t seed)
{
    prng_init(&bench->prng, seed);
    arena_init(&bench->source, ARENA_NO_BUDGET);
    arena_init(&bench->target, ARENA_NO_BUDGET);
    buffer_init(&bench->encoded);
    buffer_init(&bench->again);
    buffer_init(&bench->text);
    bench->message = memory_allocate_zeroed(1, codec->size);
    bench->decoded = memory_allocate_zeroed(1, codec->size);
    bench->decoded_again = memory_allocate_zeroed(1, codec->size);
}

static void bench_release(struct bench *bench)
{
    arena_release(&bench->source);
    arena_release(&bench->target);
    buffer_release(&bench->encoded);
    buffer_release(&bench->again);
    buffer_release(&bench->text);
    free(bench->message);
    free(bench->decoded);
    free(bench->decoded_again);
}

static void encode(const struct message_codec *codec, const void *message, int16_t version,
                   struct buffer *out)
{
    struct wire_writer writer;
    buffer_clear(out);
    wire_writer_init(&writer, out);
    codec->encode(message, &writer, version);
    assert_int_equal(writer.gap_count, 0);
    wire_writer_release(&writer);
}

/* Decodes a copy that has exactly the size of the input; *left is what the decoder did not want. */
static int decode_copy(const struct message_codec *codec, void *out, struct slice input, int16_t version,
                       struct arena *arena, size_t *left, uint8_t **copy)
{
    struct byte_reader reader;
    *copy = malloc(input.length ? input.length : 1);
    assert_non_null(*copy);
    if (input.length)
        memcpy(*copy, input.data, input.length);
    reader_init(&reader, slice_make(*copy, input.length));
    int error = codec->decode(out, &reader, version, arena);
    *left = reader_left(&reader);
    return error;
}

static void check_round_trip(const struct message_description *row, int16_t version, struct bench *bench)
{
    const struct message_codec *codec = row->codec;
    struct byte_reader reader;

    random_message_fill(row->description, bench->message, version, &bench->prng, &bench->source);
    encode(codec, bench->message, version, &bench->encoded);
    reader_init(&reader, buffer_slice(&bench->encoded));
    int error = codec->decode(bench->decoded, &reader, version, &bench->target);
    const char *difference =
        error ? NULL : message_difference(row->description, bench->message, bench->decoded);
    if (error || difference || reader_left(&reader) > 0)
        fail_msg("%s v%d: error %d, %zu bytes left, difference in %s", codec->name, version, error,
                 reader_left(&reader), difference ? difference : "none");
    encode(codec, bench->decoded, version, &bench->again);
    if (!slice_equals(buffer_slice(&bench->encoded), buffer_slice(&bench->again)))
        fail_msg("%s v%d: encodes differently the second time", codec->name, version);
    buffer_clear(&bench->text);
    codec->print(bench->decoded, version, &bench->text);
    if (strchr(buffer_string(&bench->text), '\n'))
        fail_msg("%s v%d: prints more than a line", codec->name, version);
}

static void check_truncations(const struct message_description *row, int16_t version, struct bench *bench)
{
    for (size_t length = 0; length < bench->encoded.length; length++) {
        size_t left;
        uint8_t *copy;
        struct slice input = slice_make(bench->encoded.data, length);
        int error = decode_copy(row->codec, bench->decoded, input, version, &bench->target, &left, &copy);
        free(copy);
        if (error != -EBADMSG)
            fail_msg("%s v%d cut to %zu bytes: error %d", row->codec->name, version, length, error);
        arena_clear(&bench->target);
    }
}

/* Damaged input may decode; what it decodes to must then survive a round trip. */
static void check_damage(const struct message_description *row, int16_t version, struct bench *bench)
{
    const struct message_codec *codec = row->codec;
    struct buffer damaged;
    buffer_init(&damaged);
    if (prng_one_in(&bench->prng, 2))
        buffer_append(&damaged, bench->encoded.data, bench->encoded.length);
    else
        for (size_t i = prng_below(&bench->prng, 80); i > 0; i--)
            writer_u8(&damaged, (uint8_t)(prng_one_in(&bench->prng, 2) ? prng_below(&bench->prng, 4)
                                                                       : prng_next(&bench->prng)));
    for (size_t i = prng_below(&bench->prng, 4); i > 0 && damaged.length > 0; i--)
        damaged.data[prng_below(&bench->prng, damaged.length)] = (uint8_t)prng_next(&bench->prng);

    struct arena arena;
    size_t left;
    uint8_t *copy;
    arena_init(&arena, BUDGET(damaged.length));
    int error = decode_copy(codec, bench->decoded, buffer_slice(&damaged), version, &arena, &left, &copy);
    assert_true(error == 0 || error == -EBADMSG || error == -ENOMEM);
    assert_true(arena.allocated <= arena.budget);
    buffer_clear(&bench->text);
    codec->print(bench->decoded, version, &bench->text);
    if (error == 0) {
        struct byte_reader reader;
        encode(codec, bench->decoded, version, &bench->again);
        reader_init(&reader, buffer_slice(&bench->again));
        error = codec->decode(bench->decoded_again, &reader, version, &bench->target);
        const char *difference =
            error ? "all" : message_difference(row->description, bench->decoded, bench->decoded_again);
        if (difference)
            fail_msg("%s v%d: damaged input decodes, but not again: %s", codec->name, version, difference);
    }
    free(copy);
    arena_release(&arena);
    buffer_release(&damaged);
}

static void each_version(void (*check)(const struct message_description *row, int16_t version,
                                       struct bench *bench),
                         int rounds)
{
    for (size_t i = 0; i < message_description_count; i++) {
        const struct message_description *row = &message_descriptions[i];
        for (int16_t version = row->codec->minimum_version; version <= row->codec->maximum_version;
             version++) {
            for (int round = 0; round < rounds; round++) {
                struct bench bench;
                bench_init(&bench, row->codec, SEED + i * 7919 + (uint64_t)version * 131 + (uint64_t)round);
                random_message_fill(row->description, bench.message, version, &bench.prng, &bench.source);
                encode(row->codec, bench.message, version, &bench.encoded);
                check(row, version, &bench);
                bench_release(&bench);
            }
        }
    }
}

static void every_message_survives_a_round_trip(void **state)
{
    (void)state;
    each_version(check_round_trip, 20);
}

static void cut_messages_are_refused(void **state)
{
    (void)state;
    each_version(check_truncations, 2);
}

static void damaged_messages_do_no_harm(void **state)
{
    (void)state;
    each_version(check_damage, 60);
}

/* Zeroed memory is a message too: handlers rely on it where defaults do not matter. */
static void zeroed_messages_can_be_encoded_and_printed(void **state)
{
    (void)state;
    for (size_t i = 0; i < message_description_count; i++) {
        const struct message_description *row = &message_descriptions[i];
        for (int16_t version = row->codec->minimum_version; version <= row->codec->maximum_version;
             version++) {
            struct bench bench;
            struct byte_reader reader;
            bench_init(&bench, row->codec, SEED);
            encode(row->codec, bench.message, version, &bench.encoded);
            reader_init(&reader, buffer_slice(&bench.encoded));
            assert_int_equal(row->codec->decode(bench.decoded, &reader, version, &bench.target), 0);
            row->codec->print(bench.message, version, &bench.text);
            bench_release(&bench);
        }
    }
}

static void versions_outside_the_range_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < message_description_count; i++) {
        const struct message_codec *codec = message_descriptions[i].codec;
        struct bench bench;
        struct byte_reader reader;
        uint8_t zeros[64] = {0};
        bench_init(&bench, codec, SEED);
        reader_init(&reader, slice_make(zeros, sizeof(zeros)));
        assert_int_equal(codec->decode(bench.decoded, &reader, -1, &bench.target), -EBADMSG);
        reader_init(&reader, slice_make(zeros, sizeof(zeros)));
        int16_t beyond = (int16_t)(codec->maximum_version + 1);
        assert_int_equal(codec->decode(bench.decoded, &reader, beyond, &bench.target), -EBADMSG);
        bench_release(&bench);
    }
}

static void the_table_of_apis_is_whole(void **state)
{
    (void)state;
    size_t in_apis = 0;
    for (size_t i = 0; i < kafka_api_table_size; i++) {
        const struct kafka_api *api = &kafka_api_table[i];
        assert_ptr_equal(kafka_api_find(api->key), api);
        assert_string_equal(kafka_api_name(api->key), api->name);
        assert_int_equal(api->request->maximum_version, api->maximum_version);
        assert_int_equal(api->response->flexible_since, api->flexible_since);
        if (i > 0)
            assert_true(kafka_api_table[i - 1].key < api->key);
        in_apis += 2;
    }
    /* Beside them stand the two embedded structures of the consumer protocol. */
    assert_int_equal(message_description_count, in_apis + 2);
    assert_null(kafka_api_find(-1));
    assert_null(kafka_api_find(52));
    assert_null(kafka_api_find(INT16_MAX));
    assert_string_equal(kafka_api_name(-7), "Unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_survives_a_round_trip),
        cmocka_unit_test(cut_messages_are_refused),
        cmocka_unit_test(damaged_messages_do_no_harm),
        cmocka_unit_test(zeroed_messages_can_be_encoded_and_printed),
        cmocka_unit_test(versions_outside_the_range_are_refused),
        cmocka_unit_test(the_table_of_apis_is_whole),
    };
    print_message("seed %d\n", SEED);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
