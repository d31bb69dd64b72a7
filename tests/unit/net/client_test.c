/* SPDX-License-Identifier: Apache-2.0 */
/* The client side against a server of our own, and against peers that misbehave by script. */
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
#include <sys/socket.h>
#include <unistd.h>

#include "broker/net/client.h"
#include "common/clock.h"
#include "common/memory.h"
#include "proto/kafka/api.h"
#include "tests/unit/net/network_fixture.h"

struct side {
    struct loop *loop;
    struct mailbox *mailbox;
    struct worker *resolver;
    struct client *client;
};

struct call {
    struct client_request request;
    struct buffer got;
    int status; /* 1: not called yet */
    int number; /* in the order of calls */
    int *counter;
    void (*then)(struct call *call);
    struct side *side;
};

static void side_init_with(struct side *side, const char *host, int port, bool with_resolver, size_t limit)
{
    side->loop = loop_new();
    side->mailbox = mailbox_new(side->loop);
    side->resolver = NULL;
    if (with_resolver) {
        int failed = worker_new("resolver", 1, &side->resolver);
        assert_int_equal(failed, 0);
    }
    struct client_options options = {
        .loop = side->loop,
        .mailbox = side->mailbox,
        .resolver = side->resolver,
        .client_id = "client-test",
        .host = host,
        .port = port,
        .response_limit_bytes = limit,
        .connect_timeout_ms = FIXTURE_DEADLINE_MS,
        .reconnect_backoff_ms = 20,
    };
    side->client = client_new(&options);
}

static void side_init(struct side *side, int port)
{
    side_init_with(side, "127.0.0.1", port, false, 64 * 1024 * 1024);
}

static void side_release(struct side *side)
{
    client_free(side->client);
    worker_free(side->resolver);
    mailbox_free(side->mailbox);
    loop_free(side->loop);
}

static void on_done(struct client_request *request, int status, struct byte_reader *body)
{
    struct call *call = container_of(request, struct call, request);
    assert_int_equal(call->status, 1);
    call->status = status;
    call->number = (*call->counter)++;
    buffer_append(&call->got, body->at, reader_left(body));
    if (call->then != NULL)
        call->then(call);
}

/* Sends a command with its payload. */
static void call_start(struct side *side, struct call *call, int *counter, enum command command,
                       const void *payload, size_t length, int64_t timeout_ms)
{
    *call = (struct call){.status = 1, .counter = counter, .side = side};
    buffer_init(&call->got);
    call->request.api_key = KAFKA_API_METADATA;
    call->request.api_version = 0;
    call->request.done = on_done;
    call->request.deadline_ms = clock_monotonic_ms() + timeout_ms;
    buffer_init(&call->request.body);
    writer_u8(&call->request.body, (uint8_t)command);
    buffer_append(&call->request.body, payload, length);
    client_send(side->client, &call->request);
    assert_int_equal(call->status, 1);
}

static void run_until(struct side *side, const int *counter, int count)
{
    int64_t deadline_ms = clock_monotonic_ms() + FIXTURE_DEADLINE_MS;
    while (*counter < count) {
        assert_true(clock_monotonic_ms() < deadline_ms);
        loop_run_once(side->loop, 50);
    }
}

static void call_release(struct call *call)
{
    buffer_release(&call->got);
}

static void test_pipelined(void **state)
{
    (void)state;
    enum { CALLS = 500 };
    struct network_fixture fixture;
    struct side side;
    fixture_init(&fixture);
    fixture_start(&fixture);
    side_init(&side, network_server_port(fixture.server, 0));
    static struct call calls[CALLS];
    int counter = 0;
    uint8_t payload[5000];
    for (size_t i = 0; i < sizeof(payload); i++)
        payload[i] = (uint8_t)(i % 253);
    for (int i = 0; i < CALLS; i++)
        call_start(&side, &calls[i], &counter, i % 3 ? COMMAND_ECHO : COMMAND_LATER, payload,
                   (size_t)(i * 37) % sizeof(payload), FIXTURE_DEADLINE_MS);
    run_until(&side, &counter, CALLS);
    for (int i = 0; i < CALLS; i++) {
        assert_int_equal(calls[i].status, 0);
        assert_int_equal(calls[i].number, i);
        assert_int_equal(calls[i].got.length, (size_t)(i * 37) % sizeof(payload));
        assert_true(calls[i].got.length == 0 || memcmp(calls[i].got.data, payload, calls[i].got.length) == 0);
        call_release(&calls[i]);
    }
    assert_int_equal(fixture_connections(&fixture), 1);
    side_release(&side);
    fixture_release(&fixture);
}

static void test_big_answers(void **state)
{
    (void)state;
    struct network_fixture fixture;
    struct side side;
    fixture_init(&fixture);
    fixture_start(&fixture);
    side_init(&side, network_server_port(fixture.server, 0));
    static const uint32_t sizes[] = {0, 1, 32764, 32765, 32768, 65536, 1000000, 5000000, 10};
    static struct call calls[ARRAY_SIZE(sizes)];
    int counter = 0;
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        uint8_t length[4];
        store_u32(length, sizes[i]);
        call_start(&side, &calls[i], &counter, COMMAND_BIG, length, 4, FIXTURE_DEADLINE_MS);
    }
    run_until(&side, &counter, ARRAY_SIZE(sizes));
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        assert_int_equal(calls[i].status, 0);
        assert_int_equal(calls[i].got.length, sizes[i]);
        for (size_t at = 0; at < calls[i].got.length; at++) {
            if (calls[i].got.data[at] != (uint8_t)(at * 7))
                fail_msg("answer %zu differs at %zu", i, at);
        }
        call_release(&calls[i]);
    }
    side_release(&side);
    fixture_release(&fixture);
}

/* An answer over the limit costs the connection; the next request has a new one. */
static void test_oversized(void **state)
{
    (void)state;
    struct network_fixture fixture;
    struct side side;
    fixture_init(&fixture);
    fixture_start(&fixture);
    side_init_with(&side, "127.0.0.1", network_server_port(fixture.server, 0), false, 1000);
    struct call calls[3];
    int counter = 0;
    uint8_t length[4];
    store_u32(length, 2000);
    call_start(&side, &calls[0], &counter, COMMAND_BIG, length, 4, FIXTURE_DEADLINE_MS);
    call_start(&side, &calls[1], &counter, COMMAND_ECHO, "x", 1, FIXTURE_DEADLINE_MS);
    run_until(&side, &counter, 2);
    assert_int_equal(calls[0].status, -EBADMSG);
    assert_int_equal(calls[1].status, -ECONNRESET);
    call_start(&side, &calls[2], &counter, COMMAND_ECHO, "again", 5, FIXTURE_DEADLINE_MS);
    run_until(&side, &counter, 3);
    assert_int_equal(calls[2].status, 0);
    for (int i = 0; i < 3; i++)
        call_release(&calls[i]);
    side_release(&side);
    fixture_release(&fixture);
}

/* A deadline in flight costs the connection; the others in flight learn of it, later ones reconnect. */
static void test_timeout(void **state)
{
    (void)state;
    struct network_fixture fixture;
    struct side side;
    fixture_init(&fixture);
    fixture_start(&fixture);
    side_init(&side, network_server_port(fixture.server, 0));
    struct call calls[3];
    int counter = 0;
    call_start(&side, &calls[0], &counter, COMMAND_PARK, "x", 1, 500);
    call_start(&side, &calls[1], &counter, COMMAND_ECHO, "y", 1, FIXTURE_DEADLINE_MS);
    run_until(&side, &counter, 2);
    assert_int_equal(calls[0].status, -ETIMEDOUT);
    assert_int_equal(calls[1].status, -ECONNRESET);
    call_start(&side, &calls[2], &counter, COMMAND_ECHO, "again", 5, FIXTURE_DEADLINE_MS);
    run_until(&side, &counter, 3);
    assert_int_equal(calls[2].status, 0);
    for (int i = 0; i < 3; i++)
        call_release(&calls[i]);
    side_release(&side);
    fixture_release(&fixture);
}

/* A port that nobody listens on, and was just free. */
static int closed_port(void)
{
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    int failed = bind(descriptor, (struct sockaddr *)&address, sizeof(address));
    assert_int_equal(failed, 0);
    getsockname(descriptor, (struct sockaddr *)&address, &length);
    close(descriptor);
    return ntohs(address.sin_port);
}

static void test_refused(void **state)
{
    (void)state;
    struct side side;
    side_init(&side, closed_port());
    struct call call;
    int counter = 0;
    int64_t start_ms = clock_monotonic_ms();
    call_start(&side, &call, &counter, COMMAND_ECHO, "x", 1, 150);
    run_until(&side, &counter, 1);
    assert_int_equal(call.status, -ECONNREFUSED);
    assert_true(clock_monotonic_ms() - start_ms >= 149);
    call_release(&call);
    side_release(&side);
}

/* Waiting requests survive until the peer is there; the address may change meanwhile. Names are resolved. */
static void test_address_changes(void **state)
{
    (void)state;
    struct network_fixture fixture;
    struct side side;
    fixture_init(&fixture);
    fixture_start(&fixture);
    int port = network_server_port(fixture.server, 0);
    side_init_with(&side, "127.0.0.1", closed_port(), true, 100000);
    struct call calls[4];
    int counter = 0;
    call_start(&side, &calls[0], &counter, COMMAND_ECHO, "x", 1, FIXTURE_DEADLINE_MS);
    for (int i = 0; i < 5; i++)
        loop_run_once(side.loop, 10);
    assert_int_equal(counter, 0);
    client_set_address(side.client, "localhost", port);
    run_until(&side, &counter, 1);
    assert_int_equal(calls[0].status, 0);
    call_start(&side, &calls[1], &counter, COMMAND_PARK, "x", 1, FIXTURE_DEADLINE_MS);
    wait_for_count(&fixture.handled, 1);
    while (atomic_load(&fixture.parked_count) == 0)
        loop_run_once(side.loop, 10);
    client_set_address(side.client, "127.0.0.1", port);
    run_until(&side, &counter, 2);
    assert_int_equal(calls[1].status, -ECONNRESET);
    /* Freed while a name is being resolved. */
    client_set_address(side.client, "no.such.host.invalid", port);
    call_start(&side, &calls[2], &counter, COMMAND_ECHO, "x", 1, FIXTURE_DEADLINE_MS);
    call_start(&side, &calls[3], &counter, COMMAND_ECHO, "x", 1, FIXTURE_DEADLINE_MS);
    loop_run_once(side.loop, 0);
    loop_run_once(side.loop, 0);
    side_release(&side);
    assert_int_equal(calls[2].status, -ECANCELED);
    assert_int_equal(calls[3].status, -ECANCELED);
    for (int i = 0; i < 4; i++)
        call_release(&calls[i]);
    fixture_release(&fixture);
}

/* The server goes and another comes at its place. */
static void test_reconnect(void **state)
{
    (void)state;
    struct network_fixture fixture, second;
    struct side side;
    fixture_init(&fixture);
    fixture_start(&fixture);
    int port = network_server_port(fixture.server, 0);
    side_init(&side, port);
    struct call calls[3];
    int counter = 0;
    call_start(&side, &calls[0], &counter, COMMAND_ECHO, "x", 1, FIXTURE_DEADLINE_MS);
    run_until(&side, &counter, 1);
    call_start(&side, &calls[1], &counter, COMMAND_PARK, "x", 1, FIXTURE_DEADLINE_MS);
    while (atomic_load(&fixture.parked_count) == 0)
        loop_run_once(side.loop, 10);
    fixture_release(&fixture);
    run_until(&side, &counter, 2);
    assert_int_equal(calls[1].status, -ECONNRESET);
    call_start(&side, &calls[2], &counter, COMMAND_ECHO, "z", 1, FIXTURE_DEADLINE_MS);
    for (int i = 0; i < 5; i++)
        loop_run_once(side.loop, 10);
    fixture_init(&second);
    second.listeners[0].port = port;
    fixture_start(&second);
    run_until(&side, &counter, 3);
    assert_int_equal(calls[2].status, 0);
    for (int i = 0; i < 3; i++)
        call_release(&calls[i]);
    side_release(&side);
    fixture_release(&second);
}

static void free_client_then(struct call *call)
{
    client_free(call->side->client);
    call->side->client = NULL;
}

/* A callback frees its client: the others in flight are cancelled or fail before that returns. */
static void test_freed_by_callback(void **state)
{
    (void)state;
    struct network_fixture fixture;
    fixture_init(&fixture);
    fixture_start(&fixture);
    for (int kind = 0; kind < 3; kind++) {
        struct side side;
        side_init(&side, network_server_port(fixture.server, 0));
        struct call calls[4];
        int counter = 0;
        static const enum command first[] = {COMMAND_ECHO, COMMAND_CLOSE, COMMAND_PARK};
        for (int i = 0; i < 4; i++)
            call_start(&side, &calls[i], &counter, i == 0 ? first[kind] : COMMAND_PARK, "x", 1,
                       kind == 2 && i == 0 ? 50 : FIXTURE_DEADLINE_MS);
        calls[0].then = free_client_then;
        run_until(&side, &counter, 4);
        static const int expected[] = {0, -ECONNRESET, -ETIMEDOUT};
        assert_int_equal(calls[0].status, expected[kind]);
        assert_int_equal(calls[1].status, -ECANCELED);
        assert_int_equal(calls[3].status, -ECANCELED);
        side_release(&side);
        for (int i = 0; i < 4; i++)
            call_release(&calls[i]);
    }
    fixture_release(&fixture);
}

/* A peer that sends what nobody asked for, another's answer, or rubbish. */
static void test_bad_answers(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
    } answers[] = {
        {"\x00\x00\x00\x04\x00\x00\x00\x63", 8}, /* a correlation id of nobody */
        {"\xff\xff\xff\xff", 4},                 /* a negative length */
        {"\x00\x00\x00\x03\x00\x00\x00", 7},     /* too short for an id */
        {"HTTP/1.1 400 Bad Request\r\n\r\n", 28},
    };
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    int failed = bind(listener, (struct sockaddr *)&address, sizeof(address));
    assert_int_equal(failed, 0);
    failed = listen(listener, 10);
    assert_int_equal(failed, 0);
    getsockname(listener, (struct sockaddr *)&address, &length);
    struct side side;
    side_init(&side, ntohs(address.sin_port));
    int counter = 0;
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        struct call call;
        call_start(&side, &call, &counter, COMMAND_ECHO, "x", 1, FIXTURE_DEADLINE_MS);
        for (int turn = 0; turn < 5; turn++)
            loop_run_once(side.loop, 10);
        int peer = accept(listener, NULL, NULL);
        send_bytes(peer, answers[i].bytes, answers[i].length);
        run_until(&side, &counter, (int)i + 1);
        assert_int_equal(call.status, -EBADMSG);
        call_release(&call);
        close(peer);
    }
    side_release(&side);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pipelined),   cmocka_unit_test(test_big_answers),
        cmocka_unit_test(test_oversized),   cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_refused),     cmocka_unit_test(test_address_changes),
        cmocka_unit_test(test_reconnect),   cmocka_unit_test(test_freed_by_callback),
        cmocka_unit_test(test_bad_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
