/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of the console producer taken apart, records of the console consumer written as lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "tools/client_properties.h"
#include "tools/line_reader.h"
#include "tools/record_printer.h"

/* Properties from "a=b" pairs up to NULL. */
static void fill(struct properties *properties, const char *const *pairs)
{
    properties_init(properties);
    for (; *pairs != NULL; pairs++)
        assert_int_equal(properties_add_pair(properties, *pairs, NULL), 0);
}

struct reading {
    struct properties properties;
    struct line_format format;
    struct line_parts parts;
    struct buffer error;
};

static int read_line(struct reading *reading, const char *const *pairs, const char *line)
{
    fill(&reading->properties, pairs);
    line_parts_init(&reading->parts);
    buffer_init(&reading->error);
    int rc = line_format_read(&reading->format, &reading->properties, &reading->error);
    return rc < 0 ? rc : line_parse(&reading->format, slice_of(line), 3, &reading->parts, &reading->error);
}

static void reading_release(struct reading *reading)
{
    line_parts_release(&reading->parts);
    buffer_release(&reading->error);
    properties_release(&reading->properties);
}

static void expect_line(const char *const *pairs, const char *line, const char *key, const char *value)
{
    struct reading reading;
    assert_int_equal(read_line(&reading, pairs, line), 0);
    assert_true(slice_equals(reading.parts.key, slice_of(key)));
    assert_true(slice_equals(reading.parts.value, slice_of(value)));
    reading_release(&reading);
}

static void expect_bad_line(const char *const *pairs, const char *line, const char *sentence)
{
    struct reading reading;
    assert_int_equal(read_line(&reading, pairs, line), -EINVAL);
    assert_string_equal(buffer_string(&reading.error), sentence);
    reading_release(&reading);
}

static void test_keys_and_values(void **state)
{
    (void)state;
    expect_line((const char *const[]){NULL}, "a\tb", NULL, "a\tb");
    expect_line((const char *const[]){NULL}, "", NULL, "");
    expect_line((const char *const[]){"parse.key=true", NULL}, "a\tb\tc", "a", "b\tc");
    expect_line((const char *const[]){"parse.key=TRUE", NULL}, "\t", "", "");
    expect_line((const char *const[]){"parse.key=true", "key.separator=::", NULL}, "a::b", "a", "b");
    expect_line((const char *const[]){"parse.key=true", "ignore.error=true", NULL}, "ab", NULL, "ab");
    expect_line((const char *const[]){"parse.key=true", "null.marker=NIL", NULL}, "a\tNIL", "a", NULL);
    expect_line((const char *const[]){"parse.key=true", "null.marker=NIL", NULL}, "NIL\tNILS", NULL, "NILS");
    expect_bad_line((const char *const[]){"parse.key=true", NULL}, "orders",
                    "No key separator found on line number 3: 'orders'");
    expect_bad_line((const char *const[]){"key.separator=", NULL}, "a", "key.separator must not be empty");
}

static void test_headers(void **state)
{
    (void)state;
    struct reading reading;
    const char *const pairs[] = {"parse.headers=true", "parse.key=true", "null.marker=NIL", NULL};
    assert_int_equal(read_line(&reading, pairs, "h1:v1,h2:,h3:NIL\tk\tv"), 0);
    assert_int_equal(reading.parts.header_count, 3);
    assert_true(slice_is(reading.parts.headers[0].name, "h1") &&
                slice_is(reading.parts.headers[0].value, "v1"));
    assert_true(slice_is(reading.parts.headers[1].name, "h2") &&
                slice_is(reading.parts.headers[1].value, ""));
    assert_true(slice_is_null(reading.parts.headers[2].value));
    assert_true(slice_is(reading.parts.key, "k") && slice_is(reading.parts.value, "v"));
    assert_int_equal(line_parse(&reading.format, slice_of("\tk\tv"), 4, &reading.parts, &reading.error), 0);
    assert_int_equal(reading.parts.header_count, 0);
    reading_release(&reading);
    expect_bad_line(pairs, "none", "No headers delimiter found on line number 3: 'none'");
    expect_bad_line(pairs, "h1\tk\tv", "No header key separator found in pair 'h1' on line number 3");
    expect_bad_line((const char *const[]){"parse.headers=true", "headers.delimiter=,", NULL}, "",
                    "headers.delimiter and headers.separator may not be equal");
}

static void expect_record(const char *const *pairs, const struct record_view *record, const char *text)
{
    struct properties properties;
    struct record_format format;
    struct buffer out;
    fill(&properties, pairs);
    buffer_init(&out);
    assert_int_equal(record_format_read(&format, &properties, NULL), 0);
    record_print(&format, record, &out);
    assert_string_equal(buffer_string(&out), text);
    buffer_release(&out);
    properties_release(&properties);
}

static void test_columns(void **state)
{
    (void)state;
    const struct record_header headers[] = {{"h1", slice_of("v1")}, {"h2", {NULL, 0}}};
    struct record_view record = {.timestamp_kind = TIMESTAMP_CREATE,
                                 .timestamp_ms = 1700000000000,
                                 .partition = 3,
                                 .offset = 42,
                                 .headers = headers,
                                 .header_count = 2,
                                 .key = slice_of("k"),
                                 .value = slice_of("v")};
    const char *const all[] = {"print.timestamp=true", "print.partition=true", "print.offset=true",
                               "print.headers=true",   "print.key=true",       NULL};
    expect_record((const char *const[]){NULL}, &record, "v\n");
    expect_record(all, &record, "CreateTime:1700000000000\tPartition:3\tOffset:42\th1:v1,h2:null\tk\tv\n");
    record.timestamp_kind = TIMESTAMP_LOG_APPEND;
    record.header_count = 0;
    record.key = record.value = slice_make(NULL, 0);
    expect_record(all, &record,
                  "LogAppendTime:1700000000000\tPartition:3\tOffset:42\tNO_HEADERS\tnull\tnull\n");
    record.timestamp_kind = TIMESTAMP_NONE;
    expect_record((const char *const[]){"print.timestamp=true", "print.key=true", "print.value=false",
                                        "key.separator=|", "line.separator=#", "null.literal=-", NULL},
                  &record, "NO_TIMESTAMP|-#");
    expect_record((const char *const[]){"print.value=false", NULL}, &record, "\n");
}

static void test_numbers(void **state)
{
    (void)state;
    static const uint8_t number[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe};
    struct record_view record = {.key = slice_make(number + 6, 2), .value = slice_make(number, 8)};
    expect_record(
        (const char *const[]){"print.key=true", "key.deserializer=a.b.ShortDeserializer",
                              "value.deserializer=org.apache.kafka.common.serialization.LongDeserializer",
                              NULL},
        &record, "-2\t-2\n");
    record.value = slice_of("not 8");
    expect_record((const char *const[]){"value.deserializer=LongDeserializer", NULL}, &record, "not 8\n");
    static const uint8_t one_and_a_half[] = {0x3f, 0xf8, 0, 0, 0, 0, 0, 0};
    record.value = slice_make(one_and_a_half, 8);
    expect_record((const char *const[]){"value.deserializer=DoubleDeserializer", NULL}, &record, "1.5\n");
    assert_int_equal(value_form_of_class("org.example.Strange"), VALUE_TEXT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_and_values),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
