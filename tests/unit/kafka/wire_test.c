/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runtime under the codecs: lengths that lie, tagged sections, gaps, budgets,
 * and what printers show and hide.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "proto/kafka/messages/api_versions.h"
#include "proto/kafka/messages/describe_topic_partitions.h"
#include "proto/kafka/messages/fetch.h"
#include "proto/kafka/messages/metadata.h"
#include "proto/kafka/messages/sasl_authenticate.h"

#define BYTES(...) slice_make((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

struct input {
    struct byte_reader bytes;
    struct arena arena;
    struct wire_reader reader;
};

static void input_init(struct input *input, struct slice bytes, bool flexible)
{
    reader_init(&input->bytes, bytes);
    arena_init(&input->arena, 64 * 1024);
    wire_reader_init(&input->reader, &input->bytes, &input->arena, 0, flexible);
}

/* Ends reading: the outcome, and nothing left over when it is 0. */
static int input_release(struct input *input)
{
    int error = wire_reader_error(&input->reader);
    if (error == 0)
        assert_int_equal(reader_left(&input->bytes), 0);
    arena_release(&input->arena);
    return error;
}

static int read_string(struct slice bytes, bool flexible, bool nullable, struct slice *text)
{
    struct input input;
    input_init(&input, bytes, flexible);
    *text = wire_read_string(&input.reader, nullable);
    return input_release(&input);
}

static void strings_have_two_encodings(void **state)
{
    (void)state;
    struct slice text;
    assert_int_equal(read_string(BYTES(0, 2, 'h', 'i'), false, false, &text), 0);
    assert_true(slice_is(text, "hi"));
    assert_int_equal(read_string(BYTES(3, 'h', 'i'), true, false, &text), 0);
    assert_true(slice_is(text, "hi"));
    assert_int_equal(read_string(BYTES(0, 0), false, false, &text), 0);
    assert_true(!slice_is_null(text) && text.length == 0);
    assert_int_equal(read_string(BYTES(1), true, true, &text), 0);
    assert_true(!slice_is_null(text) && text.length == 0);
    assert_int_equal(read_string(BYTES(0xff, 0xff), false, true, &text), 0);
    assert_true(slice_is_null(text));
    assert_int_equal(read_string(BYTES(0), true, true, &text), 0);
    assert_true(slice_is_null(text));
}

static void lengths_that_lie_are_refused(void **state)
{
    (void)state;
    struct slice text;
    assert_int_equal(read_string(BYTES(0xff, 0xff), false, false, &text), -EBADMSG);
    assert_int_equal(read_string(BYTES(0), true, false, &text), -EBADMSG);
    assert_int_equal(read_string(BYTES(0xff, 0xfe), false, true, &text), -EBADMSG);
    assert_int_equal(read_string(BYTES(0x80, 0), false, true, &text), -EBADMSG);
    assert_int_equal(read_string(BYTES(0, 3, 'h', 'i'), false, false, &text), -EBADMSG);
    assert_int_equal(read_string(BYTES(4, 'h', 'i'), true, false, &text), -EBADMSG);
    assert_int_equal(read_string(BYTES(0xff, 0xff, 0xff, 0xff, 0x0f, 'h'), true, true, &text), -EBADMSG);
    assert_int_equal(read_string(BYTES(0xff, 0xff, 0xff, 0xff, 0xff, 0x01), true, true, &text), -EBADMSG);
    assert_true(slice_is_null(text));
}

static void strings_beyond_int16_are_refused_and_never_written(void **state)
{
    (void)state;
    struct buffer buffer;
    struct wire_writer writer;
    struct slice text;
    uint8_t *long_text = calloc(1, 40000);
    assert_non_null(long_text);

    buffer_init(&buffer);
    wire_writer_init(&writer, &buffer);
    wire_write_string(&writer, slice_make(long_text, 40000), false, false);
    assert_int_equal(buffer.length, 2 + 32767);
    buffer_clear(&buffer);
    writer_unsigned_varint(&buffer, 32768 + 1);
    writer_slice(&buffer, slice_make(long_text, 32768));
    assert_int_equal(read_string(buffer_slice(&buffer), true, false, &text), -EBADMSG);
    buffer_release(&buffer);
    free(long_text);
}

static void an_array_costs_nothing_before_its_bytes_are_there(void **state)
{
    (void)state;
    struct input input;
    size_t count;

    input_init(&input, BYTES(0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1), false);
    assert_null(wire_read_int32_array(&input.reader, false, &count));
    assert_int_equal(count, 0);
    assert_int_equal(input.arena.allocated, 0);
    assert_int_equal(input_release(&input), -EBADMSG);

    input_init(&input, BYTES(0, 0, 0, 0), false);
    assert_non_null(wire_read_int32_array(&input.reader, true, &count));
    assert_int_equal(input_release(&input), 0);

    input_init(&input, BYTES(0xff, 0xff, 0xff, 0xff), false);
    assert_null(wire_read_int32_array(&input.reader, true, &count));
    assert_int_equal(input_release(&input), 0);
}

/* A million elements of two bytes each would need 32 bytes of memory each. */
static void amplification_ends_at_the_budget(void **state)
{
    (void)state;
    struct buffer frame;
    struct metadata_request request;
    struct byte_reader reader;
    struct arena arena;
    const uint32_t topics = 1000 * 1000;

    buffer_init(&frame);
    writer_u32(&frame, topics);
    memset(buffer_extend(&frame, topics * 2), 0, topics * 2);
    arena_init(&arena, 4 * frame.length + 64 * 1024);
    reader_init(&reader, buffer_slice(&frame));
    assert_int_equal(metadata_request_decode(&request, &reader, 0, &arena), -ENOMEM);
    assert_true(arena.allocated <= arena.budget);
    arena_release(&arena);

    arena_init(&arena, ARENA_NO_BUDGET);
    reader_init(&reader, buffer_slice(&frame));
    assert_int_equal(metadata_request_decode(&request, &reader, 0, &arena), 0);
    assert_int_equal(request.topics_count, topics);
    arena_release(&arena);
    buffer_release(&frame);
}

/* ApiVersions v3: two compact strings, then the tagged section that is tested. */
static int decode_with_tags(struct slice tags)
{
    struct api_versions_request request;
    struct byte_reader reader;
    struct arena arena;
    struct buffer frame;

    buffer_init(&frame);
    writer_slice(&frame, BYTES(2, 'a', 2, 'b'));
    writer_slice(&frame, tags);
    arena_init(&arena, 4096);
    reader_init(&reader, buffer_slice(&frame));
    int error = api_versions_request_decode(&request, &reader, 3, &arena);
    if (error == 0)
        assert_int_equal(reader_left(&reader), 0);
    arena_release(&arena);
    buffer_release(&frame);
    return error;
}

static void unknown_tags_are_skipped_and_bad_ones_refused(void **state)
{
    (void)state;
    assert_int_equal(decode_with_tags(BYTES(0)), 0);
    assert_int_equal(decode_with_tags(BYTES(1, 7, 3, 1, 2, 3)), 0);
    assert_int_equal(decode_with_tags(BYTES(2, 7, 0, 9, 1, 5)), 0);
    assert_int_equal(decode_with_tags(BYTES(2, 7, 0, 7, 0)), -EBADMSG);
    assert_int_equal(decode_with_tags(BYTES(2, 7, 0, 6, 0)), -EBADMSG);
    assert_int_equal(decode_with_tags(BYTES(1, 7, 4, 1, 2, 3)), -EBADMSG);
    assert_int_equal(decode_with_tags(BYTES(0xff, 0xff, 0xff, 0xff, 0x0f)), -EBADMSG);
    assert_int_equal(decode_with_tags(BYTES(1, 7)), -EBADMSG);
}

/* Fetch v12 ends in cluster_id, tag 0. */
static void a_known_tag_must_fill_its_size(void **state)
{
    (void)state;
    struct fetch_request request, decoded;
    struct wire_writer writer;
    struct byte_reader reader;
    struct buffer frame;
    struct arena arena;

    buffer_init(&frame);
    wire_writer_init(&writer, &frame);
    fetch_request_init(&request);
    request.cluster_id = slice_of("abc");
    fetch_request_encode(&request, &writer, 12);
    const uint8_t expected[] = {1, 0, 4, 4, 'a', 'b', 'c'};
    assert_memory_equal(frame.data + frame.length - sizeof(expected), expected, sizeof(expected));

    arena_init(&arena, 4096);
    reader_init(&reader, buffer_slice(&frame));
    assert_int_equal(fetch_request_decode(&decoded, &reader, 12, &arena), 0);
    assert_true(slice_is(decoded.cluster_id, "abc"));
    frame.data[frame.length - 4] = 3; /* the string ends before the field does */
    reader_init(&reader, buffer_slice(&frame));
    assert_int_equal(fetch_request_decode(&decoded, &reader, 12, &arena), -EBADMSG);
    frame.data[frame.length - 4] = 5; /* the string goes on behind the field */
    writer_u8(&frame, 'd');
    reader_init(&reader, buffer_slice(&frame));
    assert_int_equal(fetch_request_decode(&decoded, &reader, 12, &arena), -EBADMSG);
    arena_release(&arena);
    buffer_release(&frame);
}

static void a_long_tagged_field_gets_a_long_size(void **state)
{
    (void)state;
    struct fetch_request request, decoded;
    struct wire_writer writer;
    struct byte_reader reader;
    struct buffer frame;
    struct arena arena;
    char text[20001];

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    buffer_init(&frame);
    wire_writer_init(&writer, &frame);
    arena_init(&arena, 4096);
    fetch_request_init(&request);
    for (size_t length = 120; length<sizeof(text); length += length> 16000 || length < 130 ? 1 : 997) {
        if (length > 16400)
            length = sizeof(text) - 1;
        request.cluster_id = slice_make(text, length);
        buffer_clear(&frame);
        fetch_request_encode(&request, &writer, 12);
        reader_init(&reader, buffer_slice(&frame));
        assert_int_equal(fetch_request_decode(&decoded, &reader, 12, &arena), 0);
        assert_true(slice_equals(decoded.cluster_id, request.cluster_id));
    }
    arena_release(&arena);
    buffer_release(&frame);
}

/* The records of an answer stay in files: the buffer has their length, the writer where they belong. */
static void records_outside_leave_gaps(void **state)
{
    (void)state;
    int file = 0;
    struct fetch_response_partition_data partitions[2];
    struct fetch_response_fetchable_topic_response topic;
    struct fetch_response response, decoded;
    struct wire_writer writer;
    struct buffer frame, whole;
    struct byte_reader reader;
    struct arena arena;

    for (int16_t version = 4; version <= 17; version++) {
        fetch_response_init(&response);
        fetch_response_fetchable_topic_response_init(&topic);
        for (int i = 0; i < 2; i++) {
            fetch_response_partition_data_init(&partitions[i]);
            partitions[i].partition_index = i;
            partitions[i].records.external = &file;
            partitions[i].records.external_length = i == 0 ? 3 : 200;
        }
        response.responses = &topic;
        response.responses_count = 1;
        topic.partitions = partitions;
        topic.partitions_count = 2;
        buffer_init(&frame);
        buffer_init(&whole);
        wire_writer_init(&writer, &frame);
        fetch_response_encode(&response, &writer, version);
        assert_int_equal(writer.gap_count, 2);
        assert_int_equal(wire_writer_gap_length(&writer), 203);
        assert_ptr_equal(writer.gaps[1].external, &file);

        size_t at = 0;
        for (size_t i = 0; i < writer.gap_count; i++) {
            buffer_append(&whole, frame.data + at, writer.gaps[i].position - at);
            memset(buffer_extend(&whole, (size_t)writer.gaps[i].length), 'r', (size_t)writer.gaps[i].length);
            at = writer.gaps[i].position;
        }
        buffer_append(&whole, frame.data + at, frame.length - at);
        arena_init(&arena, 4096);
        reader_init(&reader, buffer_slice(&whole));
        assert_int_equal(fetch_response_decode(&decoded, &reader, version, &arena), 0);
        assert_int_equal(reader_left(&reader), 0);
        assert_int_equal(decoded.responses[0].partitions[0].records.bytes.length, 3);
        assert_int_equal(decoded.responses[0].partitions[1].records.bytes.length, 200);
        arena_release(&arena);
        wire_writer_release(&writer);
        buffer_release(&frame);
        buffer_release(&whole);
    }
}

static void structures_may_be_null(void **state)
{
    (void)state;
    struct describe_topic_partitions_request request, decoded;
    struct describe_topic_partitions_request_cursor cursor = {slice_of("t"), 4};
    struct wire_writer writer;
    struct byte_reader reader;
    struct buffer frame;
    struct arena arena;

    buffer_init(&frame);
    arena_init(&arena, 4096);
    wire_writer_init(&writer, &frame);
    describe_topic_partitions_request_init(&request);
    assert_int_equal(request.response_partition_limit, 2000);
    for (int round = 0; round < 2; round++) {
        request.cursor = round ? &cursor : NULL;
        buffer_clear(&frame);
        describe_topic_partitions_request_encode(&request, &writer, 0);
        reader_init(&reader, buffer_slice(&frame));
        assert_int_equal(describe_topic_partitions_request_decode(&decoded, &reader, 0, &arena), 0);
        assert_int_equal(decoded.cursor != NULL, round);
    }
    assert_int_equal(decoded.cursor->partition_index, 4);
    arena_release(&arena);
    buffer_release(&frame);
}

static void printers_escape_and_mask(void **state)
{
    (void)state;
    struct sasl_authenticate_request secret;
    struct metadata_request request;
    struct metadata_request_topic topics[40];
    struct buffer text;

    buffer_init(&text);
    sasl_authenticate_request_init(&secret);
    secret.auth_bytes = slice_of("user\0user\0hunter2");
    sasl_authenticate_request_print(&secret, 1, &text);
    assert_null(strstr(buffer_string(&text), "user"));
    assert_non_null(strstr(buffer_string(&text), "auth_bytes=<secret>"));

    buffer_clear(&text);
    metadata_request_init(&request);
    for (size_t i = 0; i < ARRAY_SIZE(topics); i++) {
        metadata_request_topic_init(&topics[i]);
        topics[i].name = slice_of("a\nb\x1b[2J");
    }
    request.topics = topics;
    request.topics_count = ARRAY_SIZE(topics);
    metadata_request_print(&request, 4, &text);
    assert_null(strchr(buffer_string(&text), '\n'));
    assert_null(strchr(buffer_string(&text), '\x1b'));
    assert_non_null(strstr(buffer_string(&text), "MetadataRequest v4 "));
    assert_non_null(strstr(buffer_string(&text), "and 8 more]"));
    assert_non_null(strstr(buffer_string(&text), "allow_auto_topic_creation=true"));
    buffer_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_have_two_encodings),
        cmocka_unit_test(lengths_that_lie_are_refused),
        cmocka_unit_test(strings_beyond_int16_are_refused_and_never_written),
        cmocka_unit_test(an_array_costs_nothing_before_its_bytes_are_there),
        cmocka_unit_test(amplification_ends_at_the_budget),
        cmocka_unit_test(unknown_tags_are_skipped_and_bad_ones_refused),
        cmocka_unit_test(a_known_tag_must_fill_its_size),
        cmocka_unit_test(a_long_tagged_field_gets_a_long_size),
        cmocka_unit_test(records_outside_leave_gaps),
        cmocka_unit_test(structures_may_be_null),
        cmocka_unit_test(printers_escape_and_mask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
