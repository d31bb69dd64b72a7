/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages that other implementations made (tests/golden/kafka): each decodes, and encodes to the same bytes.
 * GOLDEN_FOLDER is set by the build.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "common/memory.h"
#include "proto/kafka/api.h"
#include "proto/kafka/header.h"

#define LONGEST_LINE 8192

static int hex_digit(char character)
{
    if (character >= '0' && character <= '9')
        return character - '0';
    if (character >= 'a' && character <= 'f')
        return character - 'a' + 10;
    return -1;
}

static void parse_hex(const char *text, struct buffer *out)
{
    buffer_clear(out);
    while (hex_digit(text[0]) >= 0) {
        assert_true(hex_digit(text[1]) >= 0);
        writer_u8(out, (uint8_t)(hex_digit(text[0]) << 4 | hex_digit(text[1])));
        text += 2;
    }
    assert_true(*text == '\n' || *text == '\0');
}

static void check_bytes(const char *what, const struct kafka_api *api, int16_t version, struct slice bytes)
{
    bool is_frame = strcmp(what, "frame") == 0;
    const struct message_codec *codec = strcmp(what, "response") == 0 ? api->response : api->request;
    void *message = memory_allocate_zeroed(1, codec->size);
    struct request_header header;
    struct wire_writer writer;
    struct byte_reader reader;
    struct buffer again;
    struct arena arena;

    buffer_init(&again);
    wire_writer_init(&writer, &again);
    arena_init(&arena, 4 * bytes.length + 64 * 1024);
    reader_init(&reader, bytes);
    if (is_frame) {
        assert_int_equal(request_header_decode(&header, &reader), 0);
        assert_int_equal(header.api_key, api->key);
        assert_int_equal(header.api_version, version);
        request_header_encode(&header, &writer);
    }
    int error = codec->decode(message, &reader, version, &arena);
    if (error || reader_left(&reader) > 0)
        fail_msg("%s v%d: error %d, %zu bytes left", codec->name, version, error, reader_left(&reader));
    codec->encode(message, &writer, version);
    if (slice_compare(buffer_slice(&again), bytes) != 0) {
        buffer_clear(&again);
        codec->print(message, version, &again);
        fail_msg("%s v%d encodes to other bytes: %s", codec->name, version, buffer_string(&again));
    }
    wire_writer_release(&writer);
    buffer_release(&again);
    arena_release(&arena);
    free(message);
}

/* `<what> <api key> <version> <hex>` */
static void check_line(char *line, struct buffer *bytes)
{
    char *key_text = strchr(line, ' ');
    char *version_text, *hex;
    assert_non_null(key_text);
    *key_text++ = '\0';
    int16_t key = (int16_t)strtol(key_text, &version_text, 10);
    int16_t version = (int16_t)strtol(version_text, &hex, 10);
    const struct kafka_api *api = kafka_api_find(key);
    assert_non_null(api);
    assert_int_equal(*hex, ' ');
    parse_hex(hex + 1, bytes);
    check_bytes(line, api, version, buffer_slice(bytes));
}

/* Checks every line; returns how many. */
static size_t check_file(const char *name)
{
    char path[512], line[LONGEST_LINE];
    struct buffer bytes;
    size_t checked = 0;

    snprintf(path, sizeof(path), "%s/%s", GOLDEN_FOLDER, name);
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("cannot open %s", path);
    buffer_init(&bytes);
    while (fgets(line, sizeof(line), file)) {
        if (line[0] == '#')
            continue;
        check_line(line, &bytes);
        checked++;
    }
    buffer_release(&bytes);
    fclose(file);
    return checked;
}

static void requests_of_librdkafka(void **state)
{
    (void)state;
    assert_true(check_file("librdkafka.hex") >= 12);
    assert_true(check_file("librdkafka-confluent-kafka.hex") >= 20);
}

static void requests_of_kafka_python(void **state)
{
    (void)state;
    assert_true(check_file("kafka-python.hex") >= 18);
    assert_true(check_file("kafka-python-as-0.10.1.hex") >= 18);
    assert_true(check_file("kafka-python-as-0.9.hex") >= 11);
    assert_true(check_file("kafka-python-probing.hex") >= 2);
}

static void bodies_of_the_classes_of_kafka_python(void **state)
{
    (void)state;
    assert_true(check_file("kafka-python-classes.hex") >= 150);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_of_librdkafka),
        cmocka_unit_test(requests_of_kafka_python),
        cmocka_unit_test(bodies_of_the_classes_of_kafka_python),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
