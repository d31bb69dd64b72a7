/* SPDX-License-Identifier: Apache-2.0 */
/* Properties, JSON, ids, log lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/json.h"
#include "common/log.h"
#include "common/prng.h"
#include "common/properties.h"
#include "common/uuid.h"

static const char *value_of(const struct properties *properties, const char *key)
{
    const struct property *found = properties_find(properties, key);
    return found == NULL ? NULL : found->value;
}

static void test_properties_are_javas(void **state)
{
    (void)state;
    static const char text[] = "# comment = no \\\n"
                               "! another\r\n"
                               "\n   \t\n"
                               "a=1\n"
                               "  b : two words  \r\n"
                               "c three\r"
                               "d\\ e\\=f = \\t\\n\\r\\f\\\\\\q\n"
                               "long = one,\\\n"
                               "       two,\\\r\n"
                               "   # three\n"
                               "u\\u0041 = \\u00e9\\uD83D\\uDE00 \xc3\xa9\n"
                               "empty\n"
                               "also.empty =\n"
                               "a = again\n"
                               "equals = = x\n"
                               "split \\\n   = value\n"
                               "last=end\\";
    struct properties properties;
    properties_init(&properties);
    assert_int_equal(properties_parse(&properties, slice_of(text), NULL), 0);
    assert_string_equal(value_of(&properties, "b"), "two words  ");
    assert_string_equal(value_of(&properties, "c"), "three");
    assert_string_equal(value_of(&properties, "d e=f"), "\t\n\r\f\\q");
    assert_string_equal(value_of(&properties, "long"), "one,two,# three");
    assert_string_equal(value_of(&properties, "uA"), "\xc3\xa9\xf0\x9f\x98\x80 \xc3\xa9");
    assert_string_equal(value_of(&properties, "empty"), "");
    assert_string_equal(value_of(&properties, "also.empty"), "");
    assert_string_equal(value_of(&properties, "equals"), "= x");
    assert_string_equal(value_of(&properties, "split"), "value");
    assert_string_equal(value_of(&properties, "last"), "end");
    assert_int_equal(properties_number(&properties, "comment"), -1);
    assert_null(properties_find(&properties, "comment"));
    const struct property *twice = properties_find(&properties, "a");
    assert_string_equal(twice->value, "again");
    assert_int_equal(twice->line, 15);
    assert_int_equal(twice->former_line, 5);
    assert_int_equal(properties_find(&properties, "empty")->line, 13);
    assert_int_equal(properties_find(&properties, "empty")->former_line, 0);
    properties_release(&properties);
}

static void check_problem(struct slice text, const char *problem)
{
    struct properties properties;
    struct buffer error;
    properties_init(&properties);
    buffer_init(&error);
    assert_int_equal(properties_parse(&properties, text, &error), -EBADMSG);
    assert_string_equal(buffer_string(&error), problem);
    properties_release(&properties);
    buffer_release(&error);
}

static void test_properties_tell_what_is_wrong(void **state)
{
    (void)state;
    check_problem(slice_of("a=1\nb=\\u12"), "line 2: \\u without four hexadecimal digits");
    check_problem(slice_of("a=1\n\nb=\\ud800x"), "line 3: \\u with half a surrogate pair");
    check_problem(slice_of("b=\\udc00"), "line 1: \\u with half a surrogate pair");
    check_problem(slice_of("b=\\u0000"), "line 1: a NUL character");
    check_problem(slice_make("b=\0", 3), "line 1: a NUL character");
    check_problem(slice_make("b=\\\0", 4), "line 1: a NUL character");
}

static void random_text(struct prng *prng, char *text, size_t size)
{
    static const char *const pieces[] = {
        "a",    "B",    "7",           ".",    " ",        "  ",           "\t",
        "\n",   "\r",   "\f",          "\\",   "=",        "\\u",          "#",
        "!",    ":",    "\x01",        "\x7f", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
        "\xff", "\xc3", "\xed\xa0\x80"};
    text[0] = '\0';
    size_t length = 0;
    for (uint64_t count = prng_below(prng, 12); count > 0; count--) {
        const char *piece = pieces[prng_below(prng, ARRAY_SIZE(pieces))];
        if (length + strlen(piece) + 1 > size)
            return;
        memcpy(text + length, piece, strlen(piece) + 1);
        length += strlen(piece);
    }
}

static void test_properties_come_back(void **state)
{
    (void)state;
    const uint64_t seed = 61;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct prng prng;
    prng_init(&prng, seed);
    for (int i = 0; i < 20000; i++) {
        char key[64], value[64];
        random_text(&prng, key, sizeof(key));
        random_text(&prng, value, sizeof(value));
        struct buffer out;
        struct properties properties;
        buffer_init(&out);
        properties_init(&properties);
        properties_write(&out, key, value);
        properties_write(&out, "other", "x");
        assert_int_equal(properties_parse(&properties, buffer_slice(&out), NULL), 0);
        assert_int_equal(properties.count, 2);
        assert_string_equal(properties.items[0].key, key);
        assert_string_equal(properties.items[0].value, value);
        properties_release(&properties);
        buffer_release(&out);
    }
}

static void test_json_fields(void **state)
{
    (void)state;
    static const char text[] = "{\"n\":-5,\"big\":4294967296,\"s\":\"x\\u0041\",\"t\":true,\"a\":[3,1,2],"
                               "\"bad\":[1,\"2\"],\"real\":1.0,\"o\":{}}";
    json_t *json = json_parse_object(slice_of(text), NULL);
    assert_non_null(json);
    int64_t integer;
    int32_t small;
    bool boolean;
    struct slice string;
    assert_true(json_get_integer(json, "n", &integer) && integer == -5);
    assert_true(json_get_integer(json, "big", &integer) && integer == 4294967296);
    assert_false(json_get_int32(json, "big", &small));
    assert_true(json_get_int32(json, "n", &small) && small == -5);
    assert_false(json_get_integer(json, "real", &integer));
    assert_false(json_get_integer(json, "missing", &integer));
    assert_true(json_get_string(json, "s", &string) && slice_is(string, "xA"));
    assert_false(json_get_string(json, "n", &string));
    assert_true(json_get_boolean(json, "t", &boolean) && boolean);
    assert_false(json_get_boolean(json, "n", &boolean));
    int32_t *values;
    size_t count;
    assert_true(json_get_int32_array(json, "a", &values, &count));
    assert_int_equal(count, 3);
    assert_int_equal(values[0], 3);
    assert_int_equal(values[2], 2);
    free(values);
    assert_false(json_get_int32_array(json, "bad", &values, &count));
    assert_false(json_get_int32_array(json, "o", &values, &count));
    struct buffer out;
    buffer_init(&out);
    json_object_del(json, "real");
    json_object_del(json, "bad");
    json_write_compact(json, &out);
    assert_string_equal(buffer_string(&out),
                        "{\"n\":-5,\"big\":4294967296,\"s\":\"xA\",\"t\":true,\"a\":[3,1,2],\"o\":{}}");
    buffer_release(&out);
    json_decref(json);
}

static void test_json_refuses(void **state)
{
    (void)state;
    struct buffer error;
    buffer_init(&error);
    assert_null(json_parse_object(slice_of("[1]"), &error));
    assert_string_equal(buffer_string(&error), "not a JSON object");
    buffer_clear(&error);
    assert_null(json_parse_object(slice_of("{\"a\":\n\x01}"), &error));
    assert_memory_equal(buffer_string(&error), "line 2: ", 8);
    assert_null(json_parse_object(slice_make(NULL, 0), NULL));
    assert_null(json_parse_object(slice_of("{} x"), NULL));
    buffer_release(&error);
}

static void test_uuid_text(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 71);
    char text[UUID_TEXT_LENGTH + 1];
    struct uuid id, back;
    for (int i = 0; i < 10000; i++) {
        uint8_t random[16];
        for (size_t j = 0; j < 16; j++)
            random[j] = (uint8_t)prng_next(&prng);
        id = uuid_from_random(random);
        uuid_format(id, text);
        assert_int_equal(strlen(text), UUID_TEXT_LENGTH);
        assert_int_equal(uuid_parse(slice_of(text), &back), 0);
        assert_true(uuid_equals(id, back));
        assert_int_equal(uuid_is_usable(id), text[0] != '-');
        assert_int_equal(id.bytes[6] >> 4, 4);
        assert_int_equal(id.bytes[8] >> 6, 2);
    }
    uuid_format((struct uuid){{0}}, text);
    assert_string_equal(text, "AAAAAAAAAAAAAAAAAAAAAA");
    uuid_format((struct uuid){{0xff, 0xee, [15] = 1}}, text);
    assert_string_equal(text, "_-4AAAAAAAAAAAAAAAAAAQ");
    assert_false(uuid_is_usable((struct uuid){{0}}));
    assert_false(uuid_is_usable((struct uuid){{[15] = 1}}));
    assert_int_equal(uuid_parse(slice_of("AAAAAAAAAAAAAAAAAAAAAB"), &id), -EINVAL);
    assert_int_equal(uuid_parse(slice_of("AAAAAAAAAAAAAAAAAAAAA"), &id), -EINVAL);
    assert_int_equal(uuid_parse(slice_of("AAAAAAAAAAAA+AAAAAAAAA"), &id), -EINVAL);
    assert_int_equal(uuid_parse(slice_make("AAAAAAAAAAAA\0AAAAAAAAA", 22), &id), -EINVAL);
}

static void test_log_lines(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct logger *logger = logger_new(ends[1], LOG_INFO, "broker=1");
    log_debug(logger, "net", "not said");
    log_warn(logger, "net", "two\nlines %d", 7);
    log_info(NULL, "net", "nobody listens");
    char line[200];
    ssize_t length = read(ends[0], line, sizeof(line) - 1);
    assert_true(length > 25);
    line[length] = '\0';
    assert_int_equal(line[4], '-');
    assert_int_equal(line[10], 'T');
    assert_string_equal(line + 23, "Z WARN  broker=1 net: two lines 7\n");
    logger_set_level(logger, LOG_ERROR);
    assert_false(logger_would_log(logger, LOG_WARN));
    assert_int_equal(log_level_parse("Warn"), LOG_WARN);
    assert_int_equal(log_level_parse("loud"), -EINVAL);
    logger_free(logger);
    close(ends[0]);
    close(ends[1]);
}

static void test_log_limiter(void **state)
{
    (void)state;
    struct log_limiter limiter = {0};
    uint64_t suppressed = 99;
    assert_true(log_limiter_allow(&limiter, 1000, &suppressed));
    assert_int_equal(suppressed, 0);
    assert_false(log_limiter_allow(&limiter, 1001, &suppressed));
    assert_false(log_limiter_allow(&limiter, 60999, &suppressed));
    assert_true(log_limiter_allow(&limiter, 61000, &suppressed));
    assert_int_equal(suppressed, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_properties_are_javas),
        cmocka_unit_test(test_properties_tell_what_is_wrong),
        cmocka_unit_test(test_properties_come_back),
        cmocka_unit_test(test_json_fields),
        cmocka_unit_test(test_json_refuses),
        cmocka_unit_test(test_uuid_text),
        cmocka_unit_test(test_log_lines),
        cmocka_unit_test(test_log_limiter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
