/* SPDX-License-Identifier: Apache-2.0 */
/* Frames, headers of requests and responses, and the table of error codes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/prng.h"
#include "proto/kafka/api.h"
#include "proto/kafka/error.h"
#include "proto/kafka/frame.h"
#include "proto/kafka/header.h"

#define SEED 77

static void frames_are_found_at_any_cut(void **state)
{
    (void)state;
    struct prng prng;
    struct buffer stream;
    prng_init(&prng, SEED);
    buffer_init(&stream);
    for (uint32_t i = 0; i < 200; i++) {
        uint32_t size = 8 + (uint32_t)prng_below(&prng, 50);
        writer_u32(&stream, size);
        memset(buffer_extend(&stream, size), (int)i, size);
    }
    struct frame_decoder decoder;
    frame_decoder_init(&decoder, FRAME_REQUEST_MINIMUM, 100);
    size_t frames = 0;
    for (size_t at = 0; at < stream.length;) {
        size_t length = 1 + (size_t)prng_below(&prng, 30), used;
        struct slice piece = slice_make(stream.data + at, min_size(length, stream.length - at));
        size_t wanted = frame_decoder_wanted(&decoder);
        assert_true(wanted > 0);
        enum frame_state found = frame_decoder_feed(&decoder, piece, &used);
        assert_true(used > 0 && used <= piece.length);
        assert_int_not_equal(found, FRAME_BROKEN);
        at += used;
        if (found == FRAME_NEED_MORE) {
            assert_int_equal(used, piece.length);
            continue;
        }
        assert_int_equal(stream.data[at - 1], (uint8_t)frames);
        assert_int_equal(frame_decoder_wanted(&decoder), 0);
        frames++;
        frame_decoder_next(&decoder);
    }
    assert_int_equal(frames, 200);
    buffer_release(&stream);
}

static enum frame_state feed_length(uint32_t length, size_t limit)
{
    struct frame_decoder decoder;
    uint8_t prefix[4];
    size_t used;
    store_u32(prefix, length);
    frame_decoder_init(&decoder, FRAME_REQUEST_MINIMUM, limit);
    enum frame_state found = frame_decoder_feed(&decoder, slice_make(prefix, sizeof(prefix)), &used);
    if (found == FRAME_BROKEN) {
        assert_int_equal(frame_decoder_feed(&decoder, slice_make(prefix, 1), &used), FRAME_BROKEN);
        assert_int_equal(frame_decoder_wanted(&decoder), 0);
        assert_false(frame_decoder_has_size(&decoder));
        assert_non_null(strstr(frame_decoder_reason(&decoder), "frame"));
    }
    return found;
}

static void lengths_are_checked_before_they_are_believed(void **state)
{
    (void)state;
    assert_int_equal(feed_length(8, 1000), FRAME_NEED_MORE);
    assert_int_equal(feed_length(1000, 1000), FRAME_NEED_MORE);
    assert_int_equal(feed_length(7, 1000), FRAME_BROKEN);
    assert_int_equal(feed_length(0, 1000), FRAME_BROKEN);
    assert_int_equal(feed_length(1001, 1000), FRAME_BROKEN);
    assert_int_equal(feed_length(0xffffffff, SIZE_MAX), FRAME_BROKEN);
    assert_int_equal(feed_length(0x80000000, SIZE_MAX), FRAME_BROKEN);
    assert_int_equal(feed_length(0x47455420, 104857600), FRAME_BROKEN); /* "GET " */
}

static void headers_have_the_version_their_api_calls_for(void **state)
{
    (void)state;
    assert_int_equal(request_header_version(KAFKA_API_CONTROLLED_SHUTDOWN, 0), 0);
    assert_int_equal(request_header_version(KAFKA_API_CONTROLLED_SHUTDOWN, 1), 1);
    assert_int_equal(request_header_version(KAFKA_API_CONTROLLED_SHUTDOWN, 3), 2);
    assert_int_equal(request_header_version(KAFKA_API_FETCH, 11), 1);
    assert_int_equal(request_header_version(KAFKA_API_FETCH, 12), 2);
    assert_int_equal(request_header_version(KAFKA_API_SASL_HANDSHAKE, 1), 1);
    assert_int_equal(request_header_version(KAFKA_API_API_VERSIONS, 99), 2);
    assert_int_equal(request_header_version(12345, 0), 1);
    assert_int_equal(response_header_version(KAFKA_API_FETCH, 11), 0);
    assert_int_equal(response_header_version(KAFKA_API_FETCH, 12), 1);
    assert_int_equal(response_header_version(KAFKA_API_API_VERSIONS, 3), 0);
}

static void request_headers_survive_a_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < kafka_api_table_size; i++) {
        const struct kafka_api *api = &kafka_api_table[i];
        for (int16_t version = api->minimum_version; version <= api->maximum_version; version++) {
            struct request_header header = {api->key, version, 0x01020304, slice_of("me")};
            struct request_header decoded;
            struct wire_writer writer;
            struct byte_reader reader;
            struct buffer frame;
            int32_t correlation_id;
            buffer_init(&frame);
            wire_writer_init(&writer, &frame);
            request_header_encode(&header, &writer);
            for (size_t cut = 0; cut < frame.length; cut++) {
                reader_init(&reader, slice_make(frame.data, cut));
                assert_int_equal(request_header_decode(&decoded, &reader), -EBADMSG);
            }
            reader_init(&reader, buffer_slice(&frame));
            assert_int_equal(request_header_decode(&decoded, &reader), 0);
            assert_int_equal(reader_left(&reader), 0);
            assert_int_equal(decoded.correlation_id, header.correlation_id);
            if (request_header_version(api->key, version) > 0)
                assert_true(slice_is(decoded.client_id, "me"));
            buffer_clear(&frame);
            response_header_encode(&writer, api->key, version, 7);
            reader_init(&reader, buffer_slice(&frame));
            assert_int_equal(response_header_decode(&reader, api->key, version, &correlation_id), 0);
            assert_int_equal(correlation_id, 7);
            assert_int_equal(reader_left(&reader), 0);
            buffer_release(&frame);
        }
    }
}

static void error_codes_have_names(void **state)
{
    (void)state;
    assert_string_equal(kafka_error_name(KAFKA_NONE), "NONE");
    assert_string_equal(kafka_error_name(KAFKA_UNKNOWN_SERVER_ERROR), "UNKNOWN_SERVER_ERROR");
    assert_string_equal(kafka_error_name(KAFKA_KAFKA_STORAGE_ERROR), "KAFKA_STORAGE_ERROR");
    assert_string_equal(kafka_error_name(KAFKA_REBOOTSTRAP_REQUIRED), "REBOOTSTRAP_REQUIRED");
    assert_string_equal(kafka_error_name(130), "UNKNOWN_ERROR_CODE");
    assert_string_equal(kafka_error_name(-2), "UNKNOWN_ERROR_CODE");
    assert_true(kafka_error_is_retriable(KAFKA_NOT_LEADER_OR_FOLLOWER));
    assert_true(kafka_error_refreshes_metadata(KAFKA_NOT_LEADER_OR_FOLLOWER));
    assert_false(kafka_error_is_retriable(KAFKA_NONE));
    assert_false(kafka_error_is_retriable(KAFKA_MESSAGE_TOO_LARGE));
    assert_false(kafka_error_refreshes_metadata(KAFKA_REQUEST_TIMED_OUT));
    assert_int_equal(kafka_error_from_errno(0), KAFKA_NONE);
    assert_int_equal(kafka_error_from_errno(-EIO), KAFKA_KAFKA_STORAGE_ERROR);
    assert_int_equal(kafka_error_from_errno(-ENOSPC), KAFKA_KAFKA_STORAGE_ERROR);
    assert_int_equal(kafka_error_from_errno(-EROFS), KAFKA_KAFKA_STORAGE_ERROR);
    assert_int_equal(kafka_error_from_errno(-ENOENT), KAFKA_UNKNOWN_SERVER_ERROR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_found_at_any_cut),
        cmocka_unit_test(lengths_are_checked_before_they_are_believed),
        cmocka_unit_test(headers_have_the_version_their_api_calls_for),
        cmocka_unit_test(request_headers_survive_a_round_trip),
        cmocka_unit_test(error_codes_have_names),
    };
    print_message("seed %d\n", SEED);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
