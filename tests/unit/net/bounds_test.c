/* SPDX-License-Identifier: Apache-2.0 */
/* Limits, back-pressure and bad input: each costs the one connection or makes it wait, never the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/memory.h"
#include "proto/kafka/api.h"
#include "tests/unit/net/network_fixture.h"

static void expect_served(int peer)
{
    send_command(peer, 77, COMMAND_ECHO, "served", 6);
    expect_answer(peer, 77, "served", 6);
}

static size_t queued_bytes(struct network_fixture *fixture)
{
    struct network_server_statistics statistics;
    network_server_statistics(fixture->server, &statistics);
    return statistics.queued_request_bytes;
}

static void wait_for_queued(struct network_fixture *fixture, size_t least)
{
    int64_t deadline_ms = clock_monotonic_ms() + FIXTURE_DEADLINE_MS;
    while (queued_bytes(fixture) < least) {
        assert_true(clock_monotonic_ms() < deadline_ms);
        pause_ms(1);
    }
}

static void test_per_address(void **state)
{
    (void)state;
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture.options.max_connections_per_ip = 2;
    fixture_start(&fixture);
    int port = network_server_port(fixture.server, 0);
    int first = dial(port), second = dial(port);
    expect_served(first);
    expect_served(second);
    int third = dial(port);
    expect_closed(third);
    assert_true(fixture_logged(&fixture, "max.connections.per.ip is reached"));
    close(first);
    fixture_wait_connections(&fixture, 1);
    int fourth = dial(port);
    expect_served(fourth);
    expect_served(second);
    close(second);
    close(third);
    close(fourth);
    fixture_release(&fixture);
}

/* Single addresses may have bounds of their own. */
static void test_per_address_overrides(void **state)
{
    (void)state;
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture.options.max_connections_per_ip = 1;
    fixture.options.max_connections_per_ip_overrides = "10.0.0.1:0, 127.0.0.1:2 ,[::1]:7";
    fixture_start(&fixture);
    int port = network_server_port(fixture.server, 0);
    int first = dial(port), second = dial(port);
    expect_served(first);
    expect_served(second);
    int third = dial(port);
    expect_closed(third);
    close(first);
    close(second);
    close(third);
    fixture_release(&fixture);

    struct network_server *server = NULL;
    struct buffer error;
    buffer_init(&error);
    fixture_init(&fixture);
    fixture_start(&fixture);
    fixture.options.max_connections_per_ip_overrides = "127.0.0.1:x";
    assert_int_equal(network_server_new(&fixture.options, &server, &error), -EINVAL);
    assert_non_null(strstr(buffer_string(&error), "max.connections.per.ip.overrides: 127.0.0.1:x"));
    buffer_release(&error);
    fixture_release(&fixture);
}

static void test_max_connections(void **state)
{
    (void)state;
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture.options.max_connections = 3;
    fixture_start(&fixture);
    int port = network_server_port(fixture.server, 0);
    int peers[3];
    for (int i = 0; i < 3; i++) {
        peers[i] = dial(port);
        expect_served(peers[i]);
    }
    for (int i = 0; i < 5; i++) {
        int refused = dial(port);
        expect_closed(refused);
        close(refused);
    }
    assert_true(fixture_logged(&fixture, "max.connections is reached"));
    for (int i = 0; i < 3; i++) {
        expect_served(peers[i]);
        close(peers[i]);
    }
    fixture_release(&fixture);
}

/* Connections leave some descriptors to files; who would take them is turned away, who is there is served. */
static void test_reserved_descriptors(void **state)
{
    (void)state;
    struct network_fixture fixture;
    fixture_init(&fixture);
    /* A quarter is left for files where the limit is low. Both ends of a connection are in this process. */
    int next = dup(0), most = next + 60;
    fixture.options.open_files_max = (size_t)most * 4 / 3;
    close(next);
    fixture_start(&fixture);
    int peers[60], served = 0;
    int port = network_server_port(fixture.server, 0);
    while (served < 60 && (peers[served] = dial(port)) < most - 1) {
        expect_served(peers[served]);
        served++;
    }
    assert_in_range(served, 1, 59);
    expect_closed(peers[served]);
    assert_true(fixture_logged(&fixture, "limit of open files"));
    for (int i = 0; i < served; i++)
        expect_served(peers[i]);
    for (int i = 0; i <= served; i++)
        close(peers[i]);
    fixture_release(&fixture);
}

/* No descriptors left: the next one is turned away, later ones are served. */
static void test_no_descriptors(void **state)
{
    (void)state;
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture_start(&fixture);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)network_server_port(fixture.server, 0))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int peer = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval patience = {.tv_sec = FIXTURE_DEADLINE_MS / 1000};
    setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    struct rlimit former, low;
    getrlimit(RLIMIT_NOFILE, &former);
    low = former;
    low.rlim_cur = (rlim_t)peer + 1;
    setrlimit(RLIMIT_NOFILE, &low);
    int connected = connect(peer, (struct sockaddr *)&address, sizeof(address));
    uint8_t byte;
    bool open = receive_bytes(peer, &byte, 1);
    setrlimit(RLIMIT_NOFILE, &former);
    assert_int_equal(connected, 0);
    assert_false(open);
    assert_true(fixture_logged(&fixture, "cannot accept connections on PLAINTEXT"));
    close(peer);
    peer = dial(network_server_port(fixture.server, 0));
    expect_served(peer);
    close(peer);
    fixture_release(&fixture);
}

static void test_idle(void **state)
{
    (void)state;
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture.options.connections_max_idle_ms = 1000;
    fixture_start(&fixture);
    int port = network_server_port(fixture.server, 0);
    int idle = dial(port), parked = dial(port), slow = dial(port), busy = dial(port);
    send_command(parked, 1, COMMAND_PARK, "p", 1);
    int64_t start_ms = clock_monotonic_ms();
    /* Bytes of a frame that is never complete are no sign of life; requests are. */
    uint8_t head[4] = {0, 0, 100, 0};
    send_bytes(slow, head, sizeof(head));
    while (clock_monotonic_ms() < start_ms + 2200) {
        (void)!send(slow, "x", 1, MSG_NOSIGNAL);
        expect_served(busy);
        pause_ms(20);
    }
    expect_closed(idle);
    expect_closed(slow);
    assert_true(fixture_logged(&fixture, "no request was completed for 1000 ms"));
    fixture_unpark(&fixture);
    expect_answer(parked, 1, "p", 1);
    close(idle);
    close(slow);
    close(busy);
    close(parked);
    fixture_release(&fixture);
}

struct bad_input {
    const char *bytes;
    size_t length;
    const char *logged;
};

#define BAD(bytes, logged)               \
    {                                    \
        bytes, sizeof(bytes) - 1, logged \
    }

static void test_bad_input(void **state)
{
    (void)state;
    static const struct bad_input inputs[] = {
        BAD("\xff\xff\xff\xff", "the frame's length is negative: -1 bytes announced"),
        BAD("\x7f\xff\xff\xff", "the frame is longer than the limit: 2147483647 bytes announced"),
        BAD("\x00\x00\x00\x07", "the frame is too short for a header: 7 bytes announced"),
        BAD("\x00\x00\x00\x00", "the frame is too short"),
        BAD("\x16\x03\x01\x02\x00\x01\x00\x01\xfc", "looks like TLS"),
        BAD("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "looks like HTTP"),
        BAD("\x00\x00\x00\x08\x12\x34\x00\x00\x00\x00\x00\x01", "the request's header is malformed"),
        BAD("\x00\x00\x00\x0a\x12\x34\x00\x00\x00\x00\x00\x01\xff\xff", "unknown API key 4660"),
        BAD("\x00\x00\x00\x0a\x00\x03\x00\x7f\x00\x00\x00\x01\xff\xff", "header is malformed"),
        BAD("\x00\x00\x00\x0b\x00\x03\x00\x7f\x00\x00\x00\x01\xff\xff\x00",
            "Metadata version 127 is not known"),
        BAD("\x00\x00\x00\x0a\x00\x03\xff\xff\x00\x00\x00\x01\xff\xff", "Metadata version -1 is not known"),
        BAD("\x00\x00\x00\x0a\x00\x03\x00\x00\x00\x00\x00\x01\x7f\xff", "header is malformed"),
    };
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture_start(&fixture);
    int port = network_server_port(fixture.server, 0);
    int canary = dial(port);
    for (size_t i = 0; i < ARRAY_SIZE(inputs); i++) {
        int peer = dial(port);
        send_bytes(peer, inputs[i].bytes, inputs[i].length);
        expect_closed(peer);
        close(peer);
        expect_served(canary);
    }
    /* Of each kind one line a minute from each reactor: the last line of some kinds may be left out. */
    static const size_t logged[] = {0, 1, 2, 6, 7, 9};
    for (size_t i = 0; i < ARRAY_SIZE(logged); i++) {
        if (!fixture_logged(&fixture, inputs[logged[i]].logged))
            fail_msg("not logged: %s", inputs[logged[i]].logged);
    }
    close(canary);
    fixture_wait_connections(&fixture, 0);
    assert_int_equal(queued_bytes(&fixture), 0);
    fixture_release(&fixture);
}

static void test_random_bytes(void **state)
{
    (void)state;
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture.options.request_max_bytes = 4096;
    fixture_start(&fixture);
    int port = network_server_port(fixture.server, 0);
    int canary = dial(port);
    struct prng prng;
    prng_init(&prng, 99);
    for (int round = 0; round < 200; round++) {
        uint8_t bytes[600];
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)prng_next(&prng);
        /* Half of them get past the length, some past the key. */
        if (round % 2 == 0)
            store_u32(bytes, (uint32_t)prng_below(&prng, 700));
        if (round % 4 == 0)
            store_u32(bytes + 4, (uint32_t)prng_below(&prng, 80) << 16 | (uint32_t)prng_below(&prng, 12));
        int peer = dial(port);
        (void)!send(peer, bytes, 1 + prng_below(&prng, sizeof(bytes)), MSG_NOSIGNAL);
        shutdown(peer, SHUT_WR);
        while (receive_bytes(peer, bytes, 1))
            ;
        close(peer);
        if (round % 20 == 0)
            expect_served(canary);
    }
    expect_served(canary);
    close(canary);
    fixture_release(&fixture);
}

/* An unknown version of ApiVersions is the handler's to answer. */
static void test_api_versions_passes(void **state)
{
    (void)state;
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture_start(&fixture);
    int peer = dial(network_server_port(fixture.server, 0));
    static const char frame[] = "\x00\x00\x00\x0e\x00\x12\x00\x63\x00\x00\x00\x09\xff\xff\x00_xy";
    uint8_t bytes[sizeof(frame) - 1];
    memcpy(bytes, frame, sizeof(bytes));
    send_bytes(peer, bytes, sizeof(bytes));
    expect_answer(peer, 9, "xy", 2);
    /* Also with a header that ends early: who knows what it will look like. */
    send_bytes(peer, "\x00\x00\x00\x08\x00\x12\x00\x63\x00\x00\x00\x0a", 12);
    expect_answer(peer, 10, "", 0);
    close(peer);
    fixture_release(&fixture);
}

/* A peer that asks and never reads: so many answers, then its requests stay unread, then it is closed. */
static void test_never_reads(void **state)
{
    (void)state;
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture.options.connections_max_idle_ms = 300;
    fixture_start(&fixture);
    int port = network_server_port(fixture.server, 0);
    int canary = dial(port), peer = dial(port);
    uint8_t length[4];
    store_u32(length, 200 * 1024);
    struct buffer out;
    buffer_init(&out);
    for (int i = 0; i < 1000; i++)
        command_append(&out, i, COMMAND_BIG, length, sizeof(length));
    send_bytes(peer, out.data, out.length);
    assert_true(fixture_logged(&fixture, "its answers were not read for 300 ms"));
    /* A MiB of answers is 6; the rest is what the sockets took. */
    int handled = atomic_load(&fixture.handled);
    assert_in_range(handled, 6, 100);
    close(canary);
    canary = dial(port);
    expect_served(canary);
    buffer_release(&out);
    close(peer);
    close(canary);
    fixture_release(&fixture);
}

static void *send_all(void *argument)
{
    struct buffer *out = argument;
    int peer = (int)load_u32(out->data);
    send_bytes(peer, out->data + 4, out->length - 4);
    return NULL;
}

static pthread_t start_sender(struct buffer *out)
{
    pthread_t thread;
    int failed = thread_start(&thread, "sender", send_all, out);
    assert_int_equal(failed, 0);
    return thread;
}

/* B8: a hundred thousand requests, at most so many at once, all answered in order. */
static void test_pipelined(void **state)
{
    (void)state;
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture_start(&fixture);
    int peer = dial(network_server_port(fixture.server, 0));
    struct buffer out;
    buffer_init(&out);
    writer_u32(&out, (uint32_t)peer);
    for (int i = 0; i < 100000; i++)
        command_append(&out, i, i == 5000 ? COMMAND_PARK : COMMAND_ECHO, "abc", 3);
    pthread_t thread = start_sender(&out);
    wait_for_count(&fixture.parked_count, 1);
    pause_ms(50);
    assert_in_range(atomic_load(&fixture.handled), 5001, 5200);
    fixture_unpark(&fixture);
    for (int i = 0; i < 100000; i++)
        expect_answer(peer, i, "abc", 3);
    pthread_join(thread, NULL);
    buffer_release(&out);
    close(peer);
    fixture_release(&fixture);
}

/* queued.max.request.bytes: what does not fit waits unread, and comes in when room is made. */
static void test_queued_bytes(void **state)
{
    (void)state;
    enum { PEERS = 12, SIZE = 300 * 1024 };
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture.options.queued_max_request_bytes = 1024 * 1024;
    fixture_start(&fixture);
    uint8_t *payload = memory_allocate_zeroed(1, SIZE);
    struct buffer outs[PEERS];
    pthread_t threads[PEERS];
    int peers[PEERS];
    for (int i = 0; i < PEERS; i++) {
        peers[i] = dial(network_server_port(fixture.server, 0));
        buffer_init(&outs[i]);
        writer_u32(&outs[i], (uint32_t)peers[i]);
        command_append(&outs[i], i, COMMAND_PARK, payload, SIZE);
        threads[i] = start_sender(&outs[i]);
    }
    wait_for_count(&fixture.parked_count, 2);
    pause_ms(100);
    assert_in_range(atomic_load(&fixture.parked_count), 2, 6);
    int64_t deadline_ms = clock_monotonic_ms() + FIXTURE_DEADLINE_MS;
    while (atomic_load(&fixture.parked_count) < PEERS) {
        assert_true(clock_monotonic_ms() < deadline_ms);
        fixture_unpark(&fixture);
        assert_true(queued_bytes(&fixture) <= 2 * 1024 * 1024 + 2 * SIZE);
        pause_ms(1);
    }
    fixture_unpark(&fixture);
    for (int i = 0; i < PEERS; i++) {
        expect_answer(peers[i], i, payload, SIZE);
        pthread_join(threads[i], NULL);
        buffer_release(&outs[i]);
        close(peers[i]);
    }
    free(payload);
    fixture_wait_connections(&fixture, 0);
    assert_int_equal(queued_bytes(&fixture), 0);
    fixture_release(&fixture);
}

/* Halves of frames use up all memory: still they all get through, and take no more than they may. */
static void test_halves(void **state)
{
    (void)state;
    enum { PEERS = 10, SIZE = 800 * 1024 };
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture.options.queued_max_request_bytes = 1024 * 1024;
    fixture_start(&fixture);
    uint8_t *payload = memory_allocate_zeroed(1, SIZE);
    struct buffer out;
    struct buffer rests[PEERS];
    pthread_t threads[PEERS];
    int peers[PEERS];
    for (int i = 0; i < PEERS; i++) {
        peers[i] = dial(network_server_port(fixture.server, 0));
        buffer_init(&out);
        command_append(&out, i, COMMAND_ECHO, payload, SIZE);
        send_bytes(peers[i], out.data, 300 * 1024);
        buffer_init(&rests[i]);
        writer_u32(&rests[i], (uint32_t)peers[i]);
        buffer_append(&rests[i], out.data + 300 * 1024, out.length - 300 * 1024);
        buffer_release(&out);
    }
    wait_for_queued(&fixture, 512 * 1024);
    assert_int_equal(atomic_load(&fixture.handled), 0);
    pause_ms(50);
    assert_true(queued_bytes(&fixture) <= 4 * 1024 * 1024);
    for (int i = 0; i < PEERS; i++)
        threads[i] = start_sender(&rests[i]);
    for (int i = 0; i < PEERS; i++)
        expect_answer(peers[i], i, payload, SIZE);
    for (int i = 0; i < PEERS; i++) {
        pthread_join(threads[i], NULL);
        buffer_release(&rests[i]);
        close(peers[i]);
    }
    free(payload);
    fixture_release(&fixture);
}

/* Frames that stand still while others wait for their memory are cut off. */
static void test_pressure(void **state)
{
    (void)state;
    enum { PEERS = 20 };
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture.options.queued_max_request_bytes = 1024 * 1024;
    fixture.options.connections_max_idle_ms = 4000; /* looks each second */
    fixture_start(&fixture);
    int port = network_server_port(fixture.server, 0);
    int peers[PEERS];
    uint8_t *half = memory_allocate_zeroed(1, 64 * 1024);
    store_u32(half, 10 * 1024 * 1024);
    for (int i = 0; i < PEERS; i++) {
        peers[i] = dial(port);
        send_bytes(peers[i], half, 64 * 1024 - 10);
    }
    wait_for_queued(&fixture, 1024 * 1024);
    int canaries[4];
    for (int i = 0; i < 4; i++) {
        canaries[i] = dial(port);
        send_command(canaries[i], i, COMMAND_ECHO, "x", 1);
    }
    int64_t start_ms = clock_monotonic_ms();
    for (int i = 0; i < 4; i++)
        expect_answer(canaries[i], i, "x", 1);
    assert_true(clock_monotonic_ms() - start_ms >= 500);
    assert_true(fixture_logged(&fixture, "arrives too slowly while queued.max.request.bytes is used up"));
    for (int i = 0; i < PEERS; i++)
        close(peers[i]);
    for (int i = 0; i < 4; i++)
        close(canaries[i]);
    free(half);
    fixture_release(&fixture);
}

/* B2: a thousand announcements of 100 MB cost a thousand small buffers, and nobody else his service. */
static void test_announcements(void **state)
{
    (void)state;
    enum { PEERS = 300 };
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture.options.queued_max_request_bytes = 64 * 1024 * 1024;
    fixture_start(&fixture);
    int port = network_server_port(fixture.server, 0);
    int peers[PEERS];
    for (int i = 0; i < PEERS; i++) {
        peers[i] = dial(port);
        send_bytes(peers[i], "\x06\x00\x00\x00z", 5);
    }
    int canary = dial(port);
    expect_served(canary);
    assert_true(queued_bytes(&fixture) <= PEERS * 65 * 1024);
    for (int i = 0; i < PEERS; i++)
        close(peers[i]);
    close(canary);
    fixture_wait_connections(&fixture, 0);
    fixture_release(&fixture);
}

/* What waits without its frame takes no room from those who are still to be read. */
static void test_light(void **state)
{
    (void)state;
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture.options.queued_max_request_bytes = (size_t)1024 * 1024;
    fixture_start(&fixture);
    int peers[8];
    uint8_t *payload = memory_allocate_zeroed(1, 400000);
    for (int i = 0; i < 8; i++) {
        peers[i] = dial(network_server_port(fixture.server, 0));
        send_command(peers[i], i, COMMAND_LIGHT, payload, 400000);
        wait_for_count(&fixture.parked_count, i + 1);
    }
    int other = dial(network_server_port(fixture.server, 0));
    expect_served(other);
    assert_true(queued_bytes(&fixture) < 400000);
    fixture_unpark(&fixture);
    for (int i = 0; i < 8; i++) {
        expect_answer(peers[i], i, "", 0);
        expect_served(peers[i]);
        close(peers[i]);
    }
    close(other);
    free(payload);
    fixture_release(&fixture);
}

/* Rubbish behind good requests costs what comes after it, not the answers that are owed. */
static void test_rubbish_behind(void **state)
{
    (void)state;
    static const uint8_t rubbish[][16] = {
        {0, 0, 0, 12, 0x7f, 0, 0, 0, 0, 0, 0, 9, 0xff, 0xff, 0, 0}, /* API key */
        {0, 0, 0, 12, 0, 3, 0x70, 0, 0, 0, 0, 9, 0xff, 0xff, 0, 0}, /* version */
        {0, 0, 0, 12, 0, 3, 0, 0, 0, 0, 0, 9, 0x7f, 0xff, 0, 0},    /* header */
        {0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0, 0, 0, 0, 9},           /* length */
    };
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture_start(&fixture);
    for (size_t i = 0; i < ARRAY_SIZE(rubbish); i++) {
        int peer = dial(network_server_port(fixture.server, 0));
        struct buffer out;
        buffer_init(&out);
        command_append(&out, 1, COMMAND_ECHO, "one", 3);
        command_append(&out, 2, COMMAND_LATER, "two", 3);
        command_append(&out, 3, COMMAND_LIGHT, "three", 5);
        buffer_append(&out, rubbish[i], sizeof(rubbish[i]));
        command_append(&out, 4, COMMAND_ECHO, "four", 4);
        send_bytes(peer, out.data, out.length);
        expect_answer(peer, 1, "one", 3);
        expect_answer(peer, 2, "two", 3);
        expect_answer(peer, 3, "", 0);
        expect_closed(peer);
        buffer_release(&out);
        close(peer);
        fixture_wait_connections(&fixture, 0);
    }
    fixture_release(&fixture);
}

/* Who only waits for more is not kept by a client that has gone. */
static void test_hurried_by_the_end(void **state)
{
    (void)state;
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture_start(&fixture);
    for (int i = 0; i < 20; i++) {
        int peer = dial(network_server_port(fixture.server, 0));
        send_command(peer, 1, COMMAND_LIGHT, NULL, 0);
        close(peer);
    }
    wait_for_count(&fixture.handled, 20);
    fixture_wait_connections(&fixture, 0);
    fixture_release(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_per_address),
        cmocka_unit_test(test_max_connections),
        cmocka_unit_test(test_reserved_descriptors),
        cmocka_unit_test(test_no_descriptors),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_bad_input),
        cmocka_unit_test(test_random_bytes),
        cmocka_unit_test(test_never_reads),
        cmocka_unit_test(test_api_versions_passes),
        cmocka_unit_test(test_pipelined),
        cmocka_unit_test(test_queued_bytes),
        cmocka_unit_test(test_halves),
        cmocka_unit_test(test_pressure),
        cmocka_unit_test(test_announcements),
        cmocka_unit_test(test_light),
        cmocka_unit_test(test_per_address_overrides),
        cmocka_unit_test(test_rubbish_behind),
        cmocka_unit_test(test_hurried_by_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
