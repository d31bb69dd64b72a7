/* SPDX-License-Identifier: Apache-2.0 */
/* Answers with ranges of files: exact bytes through any socket buffer, ranges released exactly once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/memory.h"
#include "tests/unit/net/network_fixture.h"

#define FILE_BYTES (3 * 1024 * 1024)
#define SEED 314

struct wanted_range {
    int64_t position;
    int32_t length;
};

static void request_ranges(int peer, int32_t correlation_id, const struct wanted_range *ranges, size_t count)
{
    struct buffer payload;
    buffer_init(&payload);
    writer_u32(&payload, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        writer_u64(&payload, (uint64_t)ranges[i].position);
        writer_u32(&payload, (uint32_t)ranges[i].length);
    }
    send_command(peer, correlation_id, COMMAND_RANGES, payload.data, payload.length);
    buffer_release(&payload);
}

static void expect_ranges(struct network_fixture *fixture, int peer, int32_t correlation_id,
                          const struct wanted_range *ranges, size_t count)
{
    struct buffer body;
    buffer_init(&body);
    int32_t got_id = -1;
    assert_true(receive_answer(peer, &got_id, &body));
    assert_int_equal(got_id, correlation_id);
    struct byte_reader reader;
    reader_init(&reader, buffer_slice(&body));
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(reader_i32(&reader), i);
        assert_int_equal(reader_i32(&reader), ranges[i].length);
        const uint8_t *bytes = reader_take(&reader, (size_t)ranges[i].length);
        assert_non_null(bytes);
        assert_memory_equal(bytes, fixture->file + ranges[i].position, (size_t)ranges[i].length);
    }
    assert_int_equal(reader_i32(&reader), -1);
    assert_int_equal(reader_left(&reader), 0);
    buffer_release(&body);
}

static void choose_ranges(struct prng *prng, struct wanted_range *ranges, size_t count)
{
    static const int64_t bounds[] = {10, 5000, 100000, FILE_BYTES};
    for (size_t i = 0; i < count; i++) {
        int64_t bound = bounds[prng_below(prng, count > 50 ? 3 : 4)];
        ranges[i].length = (int32_t)prng_between(prng, 0, bound);
        ranges[i].position = prng_between(prng, 0, FILE_BYTES - ranges[i].length);
    }
}

static void run_ranges(int send_buffer_bytes, int receive_buffer_bytes)
{
    enum { REQUESTS = 12, RANGES_MAX = 300 };
    static struct wanted_range ranges[REQUESTS][RANGES_MAX];
    static const size_t counts[] = {0, 1, 2, 10, RANGES_MAX};
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture.options.send_buffer_bytes = send_buffer_bytes;
    fixture_start(&fixture);
    fixture_make_file(&fixture, FILE_BYTES);
    int peer = dial_with_buffer(network_server_port(fixture.server, 0), receive_buffer_bytes);
    struct prng prng;
    prng_init(&prng, SEED + (uint64_t)send_buffer_bytes);
    for (int i = 0; i < REQUESTS; i++) {
        choose_ranges(&prng, ranges[i], counts[(size_t)i % ARRAY_SIZE(counts)]);
        request_ranges(peer, i, ranges[i], counts[(size_t)i % ARRAY_SIZE(counts)]);
        send_command(peer, 100 + i, i % 2 ? COMMAND_LATER : COMMAND_ECHO, "between", 7);
    }
    for (int i = 0; i < REQUESTS; i++) {
        expect_ranges(&fixture, peer, i, ranges[i], counts[(size_t)i % ARRAY_SIZE(counts)]);
        expect_answer(peer, 100 + i, "between", 7);
    }
    close(peer);
    fixture_release(&fixture);
}

static void test_exact(void **state)
{
    (void)state;
    run_ranges(0, 0);
}

static void test_small_socket_buffers(void **state)
{
    (void)state;
    run_ranges(4608, 4608);
    run_ranges(50000, 3000);
}

/* The peer goes while ranges are under way: each is released once (fixture_release counts). */
static void test_death(void **state)
{
    (void)state;
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture.options.send_buffer_bytes = 20000;
    fixture_start(&fixture);
    fixture_make_file(&fixture, FILE_BYTES);
    static const struct wanted_range ranges[] = {{0, 100}, {5, 1000000}, {7, 2000000}, {1, 3}};
    for (int round = 0; round < 10; round++) {
        int peer = dial(network_server_port(fixture.server, 0));
        for (int i = 0; i < 8; i++)
            request_ranges(peer, i, ranges, ARRAY_SIZE(ranges));
        uint8_t some[1000];
        assert_true(receive_bytes(peer, some, sizeof(some)));
        if (round % 2) {
            struct linger linger = {.l_onoff = 1, .l_linger = 0};
            setsockopt(peer, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
        }
        close(peer);
    }
    fixture_wait_connections(&fixture, 0);
    wait_for_count(&fixture.handled, 10);
    assert_int_equal(atomic_load(&fixture.ranges_open), 0);
    fixture_release(&fixture);
}

/* A range beyond the file's end costs the connection, small or large. */
static void test_short_file(void **state)
{
    (void)state;
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture_start(&fixture);
    fixture_make_file(&fixture, 100000);
    static const struct wanted_range ranges[] = {{90000, 20000}, {99990, 20}};
    for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
        int peer = dial(network_server_port(fixture.server, 0));
        request_ranges(peer, 1, &ranges[i], 1);
        struct buffer body;
        buffer_init(&body);
        int32_t id;
        assert_false(receive_answer(peer, &id, &body));
        buffer_release(&body);
        close(peer);
    }
    assert_true(fixture_logged(&fixture, "a file ends before the range 90000+20000"));
    assert_true(fixture_logged(&fixture, "a file ends before the range 99990+20"));
    fixture_release(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_small_socket_buffers),
        cmocka_unit_test(test_death),
        cmocka_unit_test(test_short_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
