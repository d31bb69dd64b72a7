/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and answers over real sockets: order, framing in every cut, listeners, the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/memory.h"
#include "proto/kafka/api.h"
#include "tests/unit/net/network_fixture.h"

static void test_echo(void **state)
{
    (void)state;
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture_start(&fixture);
    int peer = dial(network_server_port(fixture.server, 0));
    for (int i = 0; i < 100; i++) {
        send_command(peer, i, COMMAND_ECHO, "hello", 5);
        expect_answer(peer, i, "hello", 5);
    }
    close(peer);
    fixture_wait_connections(&fixture, 0);
    fixture_release(&fixture);
}

struct sending {
    int descriptor;
    const struct buffer *bytes;
};

static void *send_all(void *argument)
{
    struct sending *sending = argument;
    send_bytes(sending->descriptor, sending->bytes->data, sending->bytes->length);
    return NULL;
}

/* Answers leave in the order of requests, whoever finishes first; acks=0-like ones leave no trace. */
static void test_order(void **state)
{
    (void)state;
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture_start(&fixture);
    int peer = dial(network_server_port(fixture.server, 0));
    struct prng prng;
    prng_init(&prng, 7);
    struct buffer out;
    buffer_init(&out);
    enum { REQUESTS = 5000 };
    static bool answered[REQUESTS];
    for (int i = 0; i < REQUESTS; i++) {
        enum command command = (enum command)prng_below(&prng, 3);
        answered[i] = command != COMMAND_NOTHING;
        uint8_t payload[300];
        memset(payload, i, sizeof(payload));
        command_append(&out, i, command, payload, (size_t)i % sizeof(payload));
    }
    struct sending sending = {peer, &out};
    pthread_t thread;
    int failed = thread_start(&thread, "sender", send_all, &sending);
    assert_int_equal(failed, 0);
    for (int i = 0; i < REQUESTS; i++) {
        uint8_t payload[300];
        memset(payload, i, sizeof(payload));
        if (answered[i])
            expect_answer(peer, i, payload, (size_t)i % sizeof(payload));
    }
    pthread_join(thread, NULL);
    assert_true(fixture_logged(&fixture, "(client id \"tester\") after Metadata version 0: asked for 0"));
    buffer_release(&out);
    close(peer);
    fixture_release(&fixture);
}

/* Frames of all sizes around the bounds of the reading code, in pieces of all sizes. */
static void test_cuts(void **state)
{
    (void)state;
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture_start(&fixture);
    static const size_t sizes[] = {0,     1,     100,   4060,  4096,   5000,   16384,
                                   32768, 65519, 65536, 70000, 200000, 1200000};
    struct prng prng;
    prng_init(&prng, 11);
    uint8_t *payload = memory_allocate(1200000);
    for (size_t i = 0; i < 1200000; i++)
        payload[i] = (uint8_t)(i * 31 + i / 251);
    for (int round = 0; round < 4; round++) {
        int peer = dial(network_server_port(fixture.server, 0));
        struct buffer out;
        buffer_init(&out);
        for (int i = 0; i < 40; i++) {
            size_t size = sizes[prng_below(&prng, ARRAY_SIZE(sizes))];
            size_t extra = prng_below(&prng, 3);
            size = min_size(size + extra, 1200000);
            if (round == 0 && size > 300)
                size = 300;
            buffer_clear(&out);
            command_append(&out, i, COMMAND_LATER, payload, size);
            command_append(&out, 1000 + i, COMMAND_ECHO, payload + 1, min_size(size, 777));
            for (size_t at = 0; at < out.length;) {
                size_t piece = round == 0 ? 1 : 1 + prng_below(&prng, round == 1 ? 3000 : 200000);
                piece = min_size(piece, out.length - at);
                send_bytes(peer, out.data + at, piece);
                at += piece;
            }
            expect_answer(peer, i, payload, size);
            expect_answer(peer, 1000 + i, payload + 1, min_size(size, 777));
        }
        buffer_release(&out);
        close(peer);
    }
    free(payload);
    fixture_release(&fixture);
}

static void test_big_frame_byte_by_byte(void **state)
{
    (void)state;
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture_start(&fixture);
    int peer = dial(network_server_port(fixture.server, 0));
    uint8_t payload[70000];
    for (size_t i = 0; i < sizeof(payload); i++)
        payload[i] = (uint8_t)(i / 3);
    struct buffer out;
    buffer_init(&out);
    command_append(&out, 5, COMMAND_ECHO, payload, sizeof(payload));
    for (size_t i = 0; i < out.length; i++)
        send_bytes(peer, out.data + i, 1);
    expect_answer(peer, 5, payload, sizeof(payload));
    buffer_release(&out);
    close(peer);
    fixture_release(&fixture);
}

/* The peer's end of stream: what it asked is answered, then the connection ends. */
static void test_half_close(void **state)
{
    (void)state;
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture_start(&fixture);
    int peer = dial(network_server_port(fixture.server, 0));
    send_command(peer, 1, COMMAND_PARK, "parked", 6);
    send_command(peer, 2, COMMAND_ECHO, "behind", 6);
    shutdown(peer, SHUT_WR);
    wait_for_count(&fixture.handled, 2);
    assert_int_equal(fixture_connections(&fixture), 1);
    fixture_unpark(&fixture);
    expect_answer(peer, 1, "parked", 6);
    expect_answer(peer, 2, "behind", 6);
    expect_closed(peer);
    fixture_wait_connections(&fixture, 0);
    close(peer);
    fixture_release(&fixture);
}

/* Whoever asked for its turn is called when all before it have left, and not earlier. */
static void test_turns(void **state)
{
    (void)state;
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture_start(&fixture);
    int peer = dial(network_server_port(fixture.server, 0));
    send_command(peer, 1, COMMAND_TURN, "alone", 5);
    expect_answer(peer, 1, "alone", 5);
    send_command(peer, 2, COMMAND_PARK, "parked", 6);
    send_command(peer, 3, COMMAND_TURN, "third", 5);
    send_command(peer, 4, COMMAND_TURN, "fourth", 6);
    send_command(peer, 5, COMMAND_ECHO, "fifth", 5);
    wait_for_count(&fixture.handled, 5);
    assert_int_equal(atomic_load(&fixture.turns), 1);
    fixture_unpark(&fixture);
    expect_answer(peer, 2, "parked", 6);
    expect_answer(peer, 3, "third", 5);
    expect_answer(peer, 4, "fourth", 6);
    expect_answer(peer, 5, "fifth", 5);
    /* A client that goes leaves nothing behind. */
    send_command(peer, 6, COMMAND_PARK, "parked", 6);
    send_command(peer, 7, COMMAND_TURN, "never", 5);
    wait_for_count(&fixture.handled, 7);
    close(peer);
    fixture_unpark(&fixture);
    fixture_wait_connections(&fixture, 0);
    fixture_release(&fixture);
}

/* A connection dies with parked requests: they are abandoned, or finished into nowhere. */
static void test_death_with_parked(void **state)
{
    (void)state;
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture_start(&fixture);
    int port = network_server_port(fixture.server, 0);
    for (int round = 0; round < 20; round++) {
        int peer = dial(port);
        for (int i = 0; i < 10; i++)
            send_command(peer, i, i % 2 ? COMMAND_LATER : COMMAND_PARK, "x", 1);
        wait_for_count(&fixture.parked_count, round * 5 + 5);
        if (round % 2 == 0)
            fixture_unpark(&fixture);
        /* A reset, which is noticed at once even with the stream open. */
        struct linger linger = {.l_onoff = 1, .l_linger = 0};
        setsockopt(peer, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
        close(peer);
        fixture_wait_connections(&fixture, 0);
    }
    fixture_release(&fixture);
}

/* The handler's wish to close waits for the answers before it. */
static void test_close_in_order(void **state)
{
    (void)state;
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture_start(&fixture);
    int peer = dial(network_server_port(fixture.server, 0));
    send_command(peer, 1, COMMAND_PARK, "one", 3);
    send_command(peer, 2, COMMAND_CLOSE, NULL, 0);
    wait_for_count(&fixture.handled, 2);
    fixture_unpark(&fixture);
    expect_answer(peer, 1, "one", 3);
    expect_closed(peer);
    assert_true(fixture_logged(&fixture, "(client id \"tester\") after Metadata version 0: told to"));
    close(peer);
    fixture_release(&fixture);
}

static void expect_bind_failure(struct network_fixture *fixture, const char *text)
{
    struct network_server *server = NULL;
    struct buffer error;
    buffer_init(&error);
    int result = network_server_new(&fixture->options, &server, &error);
    assert_true(result < 0);
    assert_non_null(strstr(buffer_string(&error), text));
    buffer_release(&error);
}

static void test_listeners(void **state)
{
    (void)state;
    struct network_fixture fixture, other;
    fixture_init(&fixture);
    fixture.options.listener_count = 2;
    fixture.listeners[1].host = "[::1]";
    fixture_start(&fixture);
    assert_true(network_server_port(fixture.server, 0) > 0);
    assert_true(network_server_port(fixture.server, 1) > 0);
    fixture_init(&other);
    other.listeners[0].port = network_server_port(fixture.server, 0);
    char text[128];
    snprintf(text, sizeof(text),
             "listener PLAINTEXT: cannot listen on 127.0.0.1:%d: address already in use: choose",
             other.listeners[0].port);
    expect_bind_failure(&other, text);
    other.listeners[0] = (struct network_listener_options){.name = "A", .host = "no.such.host.invalid"};
    expect_bind_failure(&other, "listener A: cannot resolve the host \"no.such.host.invalid\"");
    other.listeners[0] = (struct network_listener_options){.name = "B", .host = "192.0.2.1", .port = 9};
    expect_bind_failure(&other, "not one of this machine");
    other.listeners[0] = (struct network_listener_options){.name = "C", .security = SECURITY_SSL};
    expect_bind_failure(&other, "only the security protocol PLAINTEXT");
    /* All interfaces; the error path of one listener closes the others. */
    other.listeners[0] = (struct network_listener_options){.name = "ALL"};
    fixture_start(&other);
    int peer = dial(network_server_port(other.server, 0));
    send_command(peer, 9, COMMAND_ECHO, "4", 1);
    expect_answer(peer, 9, "4", 1);
    close(peer);
    fixture_release(&other);
    fixture_release(&fixture);
}

/* Brokers' APIs come in by the brokers' listener only. */
static void test_inter_broker_only(void **state)
{
    (void)state;
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture.options.listener_count = 2;
    fixture_start(&fixture);
    static const int16_t keys[] = {10001, KAFKA_API_LEADER_AND_ISR, KAFKA_API_ALTER_PARTITION};
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        struct buffer out;
        buffer_init(&out);
        frame_append(&out, keys[i], 0, 3, "_abc", 4);
        int peer = dial(network_server_port(fixture.server, 0));
        send_bytes(peer, out.data, out.length);
        expect_closed(peer);
        close(peer);
        if (keys[i] == 10001) {
            peer = dial(network_server_port(fixture.server, 1));
            send_bytes(peer, out.data, out.length);
            expect_answer(peer, 3, "abc", 3);
            close(peer);
        }
        buffer_release(&out);
    }
    assert_true(fixture_logged(&fixture, "API key 10001 is for brokers only"));
    fixture_release(&fixture);
}

struct stopping {
    struct network_server *server;
    int64_t timeout_ms;
};

static void *stop_server(void *argument)
{
    struct stopping *stopping = argument;
    network_server_stop(stopping->server, stopping->timeout_ms);
    return NULL;
}

/* Parked requests get their time at the stop; then they are abandoned. */
static void test_stop(void **state)
{
    (void)state;
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture_start(&fixture);
    int parked = dial(network_server_port(fixture.server, 0));
    int idle = dial(network_server_port(fixture.server, 0));
    send_command(parked, 1, COMMAND_PARK, "x", 1);
    wait_for_count(&fixture.parked_count, 1);
    network_server_stop(fixture.server, 100);
    assert_int_equal(atomic_load(&fixture.abandoned), 1);
    expect_closed(parked);
    expect_closed(idle);
    close(parked);
    close(idle);
    fixture_release(&fixture);
}

/* A stop lets a slow reader have what was answered, although the socket is full. */
static void test_stop_sends(void **state)
{
    (void)state;
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture.options.send_buffer_bytes = 10000;
    fixture_start(&fixture);
    int peer = dial_with_buffer(network_server_port(fixture.server, 0), 10000);
    uint8_t length[4];
    store_u32(length, 3000000);
    send_command(peer, 1, COMMAND_BIG, length, sizeof(length));
    wait_for_count(&fixture.handled, 1);
    struct stopping stopping = {fixture.server, FIXTURE_DEADLINE_MS};
    pthread_t thread;
    int failed = thread_start(&thread, "stopper", stop_server, &stopping);
    assert_int_equal(failed, 0);
    struct buffer body;
    buffer_init(&body);
    int32_t id = 0;
    assert_true(receive_answer(peer, &id, &body));
    assert_int_equal(body.length, 3000000);
    expect_closed(peer);
    buffer_release(&body);
    pthread_join(thread, NULL);
    close(peer);
    fixture_release(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_big_frame_byte_by_byte),
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_death_with_parked),
        cmocka_unit_test(test_close_in_order),
        cmocka_unit_test(test_listeners),
        cmocka_unit_test(test_inter_broker_only),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_stop_sends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
