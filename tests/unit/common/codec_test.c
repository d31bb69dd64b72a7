/* SPDX-License-Identifier: Apache-2.0 */
/* The codecs: round trips, damaged input, bombs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/codec.h"
#include "common/memory.h"
#include "common/prng.h"

/* Bytes that compress well, badly, or not at all. */
static void fill(struct prng *prng, struct buffer *buffer, size_t length)
{
    uint64_t kind = prng_below(prng, 3);
    buffer_clear(buffer);
    uint8_t *at = buffer_extend(buffer, length);
    for (size_t i = 0; i < length; i++)
        at[i] = kind == 0 ? 'a' : (uint8_t)prng_below(prng, kind == 1 ? 4 : 256);
}

static void test_names(void **state)
{
    (void)state;
    for (int codec = 0; codec < CODEC_COUNT; codec++)
        assert_int_equal(codec_parse(slice_of(codec_name((enum codec)codec))), codec);
    assert_int_equal(codec_parse(slice_of("lzo")), -EINVAL);
    assert_int_equal(codec_parse(slice_make(NULL, 0)), -EINVAL);
    struct buffer out;
    buffer_init(&out);
    assert_int_equal(codec_compress((enum codec)7, 0, slice_of("x"), &out), -EINVAL);
    assert_int_equal(codec_decompress((enum codec)5, slice_of("x"), 10, &out), -EINVAL);
    assert_int_equal(codec_compress(CODEC_GZIP, 10, slice_of("x"), &out), -EINVAL);
    assert_int_equal(codec_compress(CODEC_LZ4, 0, slice_of("x"), &out), -EINVAL);
    assert_int_equal(codec_compress(CODEC_ZSTD, 23, slice_of("x"), &out), -EINVAL);
    assert_int_equal(out.length, 0);
    buffer_release(&out);
}

static void check_round_trip(enum codec codec, int level, struct slice input)
{
    struct buffer packed, unpacked;
    buffer_init(&packed);
    buffer_init(&unpacked);
    buffer_append_string(&unpacked, "before");
    assert_int_equal(codec_compress(codec, level, input, &packed), 0);
    assert_int_equal(codec_decompress(codec, buffer_slice(&packed), input.length, &unpacked), 0);
    assert_int_equal(unpacked.length, input.length + 6);
    if (input.length > 0) {
        assert_memory_equal(unpacked.data + 6, input.data, input.length);
        int short_of_one = codec_decompress(codec, buffer_slice(&packed), input.length - 1, &unpacked);
        assert_int_equal(short_of_one, -EMSGSIZE);
    }
    assert_int_equal(unpacked.length, input.length + 6);
    buffer_release(&packed);
    buffer_release(&unpacked);
}

static void test_round_trips(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 2, 100, 32767, 32768, 32769, 65536, 65537, 300000, 1048577};
    const uint64_t seed = 31;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct prng prng;
    prng_init(&prng, seed);
    struct buffer input;
    buffer_init(&input);
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        fill(&prng, &input, lengths[i]);
        for (int codec = 0; codec < CODEC_COUNT; codec++)
            check_round_trip((enum codec)codec, CODEC_DEFAULT_LEVEL, buffer_slice(&input));
    }
    fill(&prng, &input, 5000);
    for (int level = 1; level <= 9; level++)
        check_round_trip(CODEC_GZIP, level, buffer_slice(&input));
    for (int level = 1; level <= 17; level++)
        check_round_trip(CODEC_LZ4, level, buffer_slice(&input));
    for (int level = -5; level <= 22; level++)
        check_round_trip(CODEC_ZSTD, level, buffer_slice(&input));
    buffer_release(&input);
}

static void test_truncated_input(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 41);
    struct buffer input, packed, out;
    buffer_init(&input);
    buffer_init(&packed);
    buffer_init(&out);
    fill(&prng, &input, 3000);
    for (int codec = CODEC_GZIP; codec < CODEC_COUNT; codec++) {
        buffer_clear(&packed);
        assert_int_equal(
            codec_compress((enum codec)codec, CODEC_DEFAULT_LEVEL, buffer_slice(&input), &packed), 0);
        for (size_t length = 0; length < packed.length; length++) {
            /* An exact copy, so that a sanitizer sees a read behind the end. */
            uint8_t *copy = memory_allocate(length);
            memcpy(copy, packed.data, length);
            int error = codec_decompress((enum codec)codec, slice_make(copy, length), 100000, &out);
            bool whole_header = codec == CODEC_SNAPPY && length == 16; /* a stream of no blocks */
            assert_int_equal(error, whole_header ? 0 : -EBADMSG);
            assert_int_equal(out.length, 0);
            free(copy);
        }
        if (codec != CODEC_SNAPPY) {
            buffer_append_string(&packed, "garbage");
            int error = codec_decompress((enum codec)codec, buffer_slice(&packed), 100000, &out);
            assert_int_equal(error, -EBADMSG);
        }
    }
    buffer_release(&input);
    buffer_release(&packed);
    buffer_release(&out);
}

static void test_damaged_input(void **state)
{
    (void)state;
    const uint64_t seed = 51;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct prng prng;
    prng_init(&prng, seed);
    struct buffer input, packed, out;
    buffer_init(&input);
    buffer_init(&packed);
    buffer_init(&out);
    const size_t limit = 10000;
    for (int i = 0; i < 4000; i++) {
        enum codec codec = (enum codec)(1 + i % 4);
        fill(&prng, &input, (size_t)prng_below(&prng, 2000));
        buffer_clear(&packed);
        assert_int_equal(codec_compress(codec, CODEC_DEFAULT_LEVEL, buffer_slice(&input), &packed), 0);
        for (uint64_t flips = prng_below(&prng, 8) + 1; flips > 0; flips--)
            packed.data[prng_below(&prng, packed.length)] ^= (uint8_t)(1U << prng_below(&prng, 8));
        if (prng_one_in(&prng, 10))
            fill(&prng, &packed, packed.length);
        buffer_clear(&out);
        int error = codec_decompress(codec, buffer_slice(&packed), limit, &out);
        assert_true(error == 0 || error == -EBADMSG || error == -EMSGSIZE);
        assert_true(out.length <= limit);
        assert_true(error == 0 || out.length == 0);
    }
    buffer_release(&input);
    buffer_release(&packed);
    buffer_release(&out);
}

static void test_bombs_stop_at_the_limit(void **state)
{
    (void)state;
    const size_t huge = 64 << 20;
    uint8_t *zeros = memory_allocate_zeroed(1, huge);
    struct buffer packed, out;
    buffer_init(&packed);
    buffer_init(&out);
    for (int codec = CODEC_GZIP; codec < CODEC_COUNT; codec++) {
        buffer_clear(&packed);
        assert_int_equal(
            codec_compress((enum codec)codec, CODEC_DEFAULT_LEVEL, slice_make(zeros, huge), &packed), 0);
        int error = codec_decompress((enum codec)codec, buffer_slice(&packed), 1 << 20, &out);
        assert_int_equal(error, -EMSGSIZE);
        assert_int_equal(out.length, 0);
        assert_true(out.capacity <= 4 << 20);
    }
    free(zeros);
    buffer_release(&packed);
    buffer_release(&out);
}

static void test_snappy_framings(void **state)
{
    (void)state;
    static const uint8_t header[] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1};
    static const uint8_t bare[] = {3, 8, 'a', 'b', 'c'}; /* three bytes, one literal */
    struct buffer packed, out;
    buffer_init(&packed);
    buffer_init(&out);
    assert_int_equal(codec_decompress(CODEC_SNAPPY, slice_make(bare, sizeof(bare)), 10, &out), 0);
    assert_string_equal(buffer_string(&out), "abc");
    for (int i = 0; i < 2; i++) { /* two streams, one behind the other */
        buffer_append(&packed, header, sizeof(header));
        writer_u32(&packed, sizeof(bare));
        buffer_append(&packed, bare, sizeof(bare));
    }
    buffer_clear(&out);
    assert_int_equal(codec_decompress(CODEC_SNAPPY, buffer_slice(&packed), 10, &out), 0);
    assert_string_equal(buffer_string(&out), "abcabc");
    store_u32(packed.data + 16, 0x80000000u); /* a negative block length */
    assert_int_equal(codec_decompress(CODEC_SNAPPY, buffer_slice(&packed), 10, &out), -EBADMSG);
    static const uint8_t announces[] = {0xff, 0xff, 0xff, 0xff, 0x07, 8, 'a', 'b', 'c'};
    int error = codec_decompress(CODEC_SNAPPY, slice_make(announces, sizeof(announces)), SIZE_MAX, &out);
    assert_int_equal(error, -EBADMSG); /* 2 GiB out of nine bytes: nothing is reserved */
    buffer_release(&packed);
    buffer_release(&out);
}

static void test_lz4_frame_is_kafkas(void **state)
{
    (void)state;
    struct buffer packed, out;
    buffer_init(&packed);
    buffer_init(&out);
    assert_int_equal(codec_compress(CODEC_LZ4, CODEC_DEFAULT_LEVEL, slice_of("hello"), &packed), 0);
    /* Magic; version 1, independent blocks, no checksums, no size; blocks of 64 KiB; header checksum. */
    assert_memory_equal(packed.data, "\x04\x22\x4d\x18\x60\x40\x82", 7);
    static const uint8_t skippable[] = {0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4};
    int error = codec_decompress(CODEC_LZ4, slice_make(skippable, sizeof(skippable)), 10, &out);
    assert_int_equal(error, -EBADMSG);
    buffer_release(&packed);
    buffer_release(&out);
}

static void test_zstd_window_has_a_limit(void **state)
{
    (void)state;
    /* A frame header that asks for a window of 2 GiB. */
    static const uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 1, 0, 0};
    struct buffer out;
    buffer_init(&out);
    assert_int_equal(codec_decompress(CODEC_ZSTD, slice_make(frame, sizeof(frame)), 10, &out), -EBADMSG);
    buffer_release(&out);
}

/* In pieces of so many bytes; 0, or the error. */
static int read_in_pieces(struct codec_reader *reader, enum codec codec, struct slice input, size_t piece,
                          size_t *length)
{
    static uint8_t out[65536];
    size_t produced = 1;
    int error = codec_reader_start(reader, codec, input);
    for (*length = 0; !error && produced > 0 && *length < 1 << 20; *length += produced)
        error = codec_reader_read(reader, out, piece, &produced);
    return error;
}

/* Any change of any byte of small inputs is judged alike, whatever the room that is there for the outcome. */
static void test_damage_is_judged_alike(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 5, 100};
    uint8_t input[100];
    struct buffer packed;
    struct codec_reader reader;
    codec_reader_init(&reader);
    buffer_init(&packed);
    for (size_t i = 0; i < sizeof(input); i++)
        input[i] = (uint8_t)(i * i % 91);
    for (int round = 0; round < 4 * 4; round++) {
        enum codec codec = (enum codec)(1 + round / 4);
        buffer_clear(&packed);
        assert_int_equal(
            codec_compress(codec, CODEC_DEFAULT_LEVEL, slice_make(input, sizes[round % 4]), &packed), 0);
        for (size_t at = 0; at < packed.length; at++) {
            uint8_t right = packed.data[at];
            for (int wrong = 0; wrong < 256; wrong++) {
                size_t large, small, smallest;
                packed.data[at] = (uint8_t)wrong;
                int error = read_in_pieces(&reader, codec, buffer_slice(&packed), 65536, &large);
                assert_int_equal(read_in_pieces(&reader, codec, buffer_slice(&packed), 7, &small), error);
                assert_int_equal(read_in_pieces(&reader, codec, buffer_slice(&packed), 1, &smallest), error);
                assert_true(error || (large == small && large == smallest));
            }
            packed.data[at] = right;
        }
    }
    codec_reader_release(&reader);
    buffer_release(&packed);
}

/* A block of snappy is unpacked at once: one of more than may come out at all is not. */
static void test_snappy_blocks_have_a_limit(void **state)
{
    (void)state;
    static const uint8_t zeros[30000];
    struct buffer packed;
    struct codec_reader reader;
    uint8_t out[10];
    size_t produced;
    buffer_init(&packed);
    codec_reader_init(&reader);
    assert_int_equal(
        codec_compress(CODEC_SNAPPY, CODEC_DEFAULT_LEVEL, slice_make(zeros, sizeof(zeros)), &packed), 0);
    for (size_t front = 0; front <= 20; front += 20) { /* framed; bare: behind the header and a length */
        struct slice input = slice_make(packed.data + front, packed.length - front);
        reader.block_bytes_max = sizeof(zeros);
        assert_int_equal(codec_reader_start(&reader, CODEC_SNAPPY, input), 0);
        assert_int_equal(codec_reader_read(&reader, out, sizeof(out), &produced), 0);
        assert_int_equal(produced, sizeof(out));
        reader.block_bytes_max = sizeof(zeros) - 1;
        assert_int_equal(codec_reader_start(&reader, CODEC_SNAPPY, input), 0);
        assert_int_equal(codec_reader_read(&reader, out, sizeof(out), &produced), -EMSGSIZE);
        assert_int_equal(produced, 0);
    }
    codec_reader_release(&reader);
    buffer_release(&packed);
}

/* The whole by one reader for all codecs, in pieces of any size, against the whole at once. */
static void test_pieces(void **state)
{
    (void)state;
    const uint64_t seed = 61;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct prng prng;
    prng_init(&prng, seed);
    struct codec_reader reader;
    struct buffer input, packed, out;
    codec_reader_init(&reader);
    buffer_init(&input);
    buffer_init(&packed);
    buffer_init(&out);
    assert_int_equal(codec_reader_start(&reader, (enum codec)5, slice_of("x")), -EINVAL);
    for (int i = 0; i < 1000; i++) {
        enum codec codec = (enum codec)prng_below(&prng, CODEC_COUNT);
        size_t room_max = (size_t)1 << prng_below(&prng, 18);
        fill(&prng, &input, (size_t)prng_below(&prng, prng_one_in(&prng, 10) ? 300000 : 3000));
        buffer_clear(&packed);
        assert_int_equal(codec_compress(codec, CODEC_DEFAULT_LEVEL, buffer_slice(&input), &packed), 0);
        bool damaged = codec != CODEC_NONE && prng_one_in(&prng, 3);
        if (damaged) /* left in the middle of it: the next input must not notice */
            packed.length -= 1 + (size_t)prng_below(&prng, packed.length);
        buffer_clear(&out);
        assert_int_equal(codec_reader_start(&reader, codec, buffer_slice(&packed)), 0);
        size_t produced;
        int error;
        do {
            size_t room = 1 + (size_t)prng_below(&prng, room_max);
            error = codec_reader_read(&reader, buffer_reserve(&out, room), room, &produced);
            assert_true(produced <= room);
            out.length += produced;
        } while (error == 0 && produced > 0);
        if (!damaged)
            assert_true(error == 0 && slice_equals(buffer_slice(&out), buffer_slice(&input)));
        assert_true(out.length <= input.length);
        assert_true(out.length == 0 || memcmp(out.data, input.data, out.length) == 0);
        if (prng_one_in(&prng, 20))
            codec_reader_trim(&reader);
    }
    codec_reader_release(&reader);
    buffer_release(&input);
    buffer_release(&packed);
    buffer_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_truncated_input),
        cmocka_unit_test(test_damaged_input),
        cmocka_unit_test(test_bombs_stop_at_the_limit),
        cmocka_unit_test(test_snappy_framings),
        cmocka_unit_test(test_lz4_frame_is_kafkas),
        cmocka_unit_test(test_zstd_window_has_a_limit),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_damage_is_judged_alike),
        cmocka_unit_test(test_snappy_blocks_have_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
