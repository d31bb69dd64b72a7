/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers, arenas, readers and writers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/arena.h"
#include "common/buffer.h"
#include "common/bytes.h"
#include "common/memory.h"
#include "common/prng.h"

static void test_memory_grows(void **state)
{
    (void)state;
    uint64_t *array = NULL;
    size_t capacity = 0;
    for (size_t i = 0; i < 1000; i++) {
        array = memory_grow(array, i, &capacity, sizeof(*array));
        assert_true(capacity > i);
        array[i] = i * i;
    }
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(array[i], i * i);
    free(array);
    free(memory_allocate(0));
    free(memory_resize(NULL, 0));
    char *copy = memory_copy_bytes(NULL, 0);
    assert_string_equal(copy, "");
    free(copy);
}

static void test_buffer_appends(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer);
    assert_string_equal(buffer_string(&buffer), "");
    for (int i = 0; i < 500; i++)
        buffer_print(&buffer, "%d,", i);
    assert_int_equal(buffer.length, 10 * 2 + 90 * 3 + 400 * 4);
    assert_int_equal(strlen(buffer_string(&buffer)), buffer.length);
    buffer_clear(&buffer);
    char longer[1000];
    memset(longer, 'x', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    buffer_print(&buffer, "<%s>", longer);
    assert_int_equal(buffer.length, sizeof(longer) + 1);
    assert_int_equal(buffer.data[buffer.length - 1], '>');
    size_t length;
    uint8_t *bytes = buffer_detach(&buffer, &length);
    assert_int_equal(length, sizeof(longer) + 1);
    assert_null(buffer.data);
    free(bytes);
    buffer_release(&buffer);
}

static void test_buffer_escapes(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer);
    buffer_append_escaped(&buffer, slice_make("a\n\\\x7f\xc3 ~", 7), 100);
    assert_string_equal(buffer_string(&buffer), "a\\x0a\\x5c\\x7f\\xc3 ~");
    buffer_clear(&buffer);
    buffer_append_escaped(&buffer, slice_of("abcdef"), 3);
    assert_string_equal(buffer_string(&buffer), "abc...");
    buffer_clear(&buffer);
    buffer_append_escaped(&buffer, slice_make(NULL, 0), 3);
    assert_string_equal(buffer_string(&buffer), "");
    buffer_release(&buffer);
}

static void test_arena_keeps_its_budget(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 10000);
    size_t given = 0;
    for (;;) {
        uint8_t *bytes = arena_allocate(&arena, 100);
        if (bytes == NULL)
            break;
        assert_int_equal((uintptr_t)bytes % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < 100; i++)
            assert_int_equal(bytes[i], 0);
        memset(bytes, 0xff, 100);
        given += 112;
    }
    assert_true(arena.allocated <= 10000);
    assert_true(given > 9000);
    assert_null(arena_allocate(&arena, SIZE_MAX));
    assert_null(arena_allocate_array(&arena, SIZE_MAX / 2, 4));
    arena_clear(&arena);
    const uint8_t *again = arena_allocate(&arena, 64);
    assert_non_null(again);
    for (size_t i = 0; i < 64; i++)
        assert_int_equal(again[i], 0);
    assert_non_null(arena_allocate(&arena, 0));
    arena_release(&arena);
}

static void test_arena_copies(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, ARENA_NO_BUDGET);
    assert_true(slice_is_null(arena_copy_slice(&arena, slice_make(NULL, 0))));
    assert_true(slice_is(arena_copy_slice(&arena, slice_of("")), ""));
    assert_true(slice_is(arena_copy_slice(&arena, slice_of("abc")), "abc"));
    assert_string_equal(arena_copy_string(&arena, slice_make("abcdef", 3)), "abc");
    assert_string_equal(arena_copy_string(&arena, slice_make(NULL, 0)), "");
    assert_non_null(arena_allocate(&arena, 1 << 20));
    arena_release(&arena);
}

static void test_reader_failure_is_sticky(void **state)
{
    (void)state;
    uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7};
    struct byte_reader reader;
    reader_init(&reader, slice_make(bytes, sizeof(bytes)));
    assert_int_equal(reader_u16(&reader), 0x0102);
    assert_int_equal(reader_u32(&reader), 0x03040506);
    assert_false(reader_failed(&reader));
    assert_int_equal(reader_u16(&reader), 0);
    assert_true(reader_failed(&reader));
    assert_int_equal(reader_u8(&reader), 0); /* there would be one byte, but the error stays */
    assert_int_equal(reader_left(&reader), 0);
    assert_true(slice_is_null(reader_slice(&reader, 1)));
    assert_true(reader_failed(&reader));
    reader_init(&reader, slice_make(NULL, 0));
    assert_int_equal(reader_i64(&reader), 0);
    assert_true(reader_failed(&reader));
}

static void test_varints_come_back(void **state)
{
    (void)state;
    const uint64_t seed = 11;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct prng prng;
    prng_init(&prng, seed);
    struct buffer buffer;
    buffer_init(&buffer);
    for (int i = 0; i < 20000; i++) {
        uint64_t value = prng_next(&prng) >> prng_below(&prng, 64);
        if (prng_one_in(&prng, 2))
            value = ~value;
        buffer_clear(&buffer);
        writer_varint(&buffer, (int32_t)value);
        writer_varlong(&buffer, (int64_t)value);
        writer_unsigned_varint(&buffer, (uint32_t)value);
        writer_unsigned_varlong(&buffer, value);
        writer_u64(&buffer, value);
        struct byte_reader reader;
        reader_init(&reader, buffer_slice(&buffer));
        assert_int_equal(reader_varint(&reader), (int32_t)value);
        assert_true(reader_varlong(&reader) == (int64_t)value);
        assert_int_equal(reader_unsigned_varint(&reader), (uint32_t)value);
        assert_true(reader_unsigned_varlong(&reader) == value);
        assert_true(reader_u64(&reader) == value);
        assert_false(reader_failed(&reader));
        assert_int_equal(reader_left(&reader), 0);
    }
    buffer_release(&buffer);
}

static void test_varint_bytes(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer);
    writer_varint(&buffer, INT32_MIN);
    assert_memory_equal(buffer.data, "\xff\xff\xff\xff\x0f", 5);
    buffer_clear(&buffer);
    writer_varlong(&buffer, INT64_MIN);
    assert_memory_equal(buffer.data, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10);
    buffer_clear(&buffer);
    writer_varint(&buffer, -1);
    assert_int_equal(buffer.length, 1);
    assert_int_equal(buffer.data[0], 1);
    struct byte_reader reader;
    reader_init(&reader, slice_make("\x80\x80\x80\x80\x80\x01", 6));
    assert_int_equal(reader_varint(&reader), 0);
    assert_true(reader_failed(&reader)); /* six bytes */
    reader_init(&reader, slice_make("\x81\x80\x80\x80\x00", 5));
    assert_int_equal(reader_unsigned_varint(&reader), 1); /* overlong, but within five */
    assert_false(reader_failed(&reader));
    reader_init(&reader, slice_make("\x80\x80", 2));
    assert_int_equal(reader_varlong(&reader), 0);
    assert_true(reader_failed(&reader));
    buffer_release(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_grows),      cmocka_unit_test(test_buffer_appends),
        cmocka_unit_test(test_buffer_escapes),    cmocka_unit_test(test_arena_keeps_its_budget),
        cmocka_unit_test(test_arena_copies),      cmocka_unit_test(test_reader_failure_is_sticky),
        cmocka_unit_test(test_varints_come_back), cmocka_unit_test(test_varint_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
