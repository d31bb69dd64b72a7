/* SPDX-License-Identifier: Apache-2.0 */
/* The commanded handler and the sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/memory.h"
#include "proto/kafka/api.h"
#include "tests/unit/net/network_fixture.h"

struct parked_request {
    struct list node;
    struct mail mail;
    struct network_fixture *fixture;
    struct request *request;
};

struct fixture_range {
    struct response_range range;
    struct network_fixture *fixture;
};

static void release_range(struct response_range *range)
{
    struct fixture_range *own = container_of(range, struct fixture_range, range);
    atomic_fetch_sub(&own->fixture->ranges_open, 1);
    own->range.release = NULL;
}

static void answer_echo(struct request *request)
{
    struct wire_writer *writer = request_begin_answer(request);
    writer_slice(writer->buffer, slice_make(request->body.at, reader_left(&request->body)));
    request_answer(request);
}

static void answer_ranges(struct network_fixture *fixture, struct request *request)
{
    struct wire_writer *writer = request_begin_answer(request);
    int32_t count = reader_i32(&request->body);
    for (int32_t i = 0; i < count; i++) {
        struct fixture_range *own = arena_allocate(&request->arena, sizeof(*own));
        assert_non_null(own);
        own->fixture = fixture;
        own->range = (struct response_range){.descriptor = fixture->file_descriptor,
                                             .position = reader_i64(&request->body),
                                             .length = reader_i32(&request->body),
                                             .release = release_range};
        atomic_fetch_add(&fixture->ranges_open, 1);
        writer_u32(writer->buffer, (uint32_t)i);
        struct wire_records records = {.external = &own->range, .external_length = own->range.length};
        wire_write_records(writer, &records, false, false);
    }
    writer_u32(writer->buffer, UINT32_MAX);
    request_answer(request);
}

static void answer_big(struct request *request)
{
    struct wire_writer *writer = request_begin_answer(request);
    size_t length = reader_u32(&request->body);
    uint8_t *at = buffer_extend(writer->buffer, length);
    for (size_t i = 0; i < length; i++)
        at[i] = (uint8_t)(i * 7);
    request_answer(request);
}

static void on_later_back(struct mail *mail)
{
    struct parked_request *parked = container_of(mail, struct parked_request, mail);
    answer_echo(parked->request);
    free(parked);
}

static void on_later_worker(struct mail *mail)
{
    struct parked_request *parked = container_of(mail, struct parked_request, mail);
    mail->handle = on_later_back;
    mailbox_post(reactor_mailbox(parked->request->reactor), mail);
}

static void on_abandoned(struct request *request)
{
    struct parked_request *parked = request->state;
    struct network_fixture *fixture = parked->fixture;
    pthread_mutex_lock(&fixture->mutex);
    bool mine = !list_is_empty(&parked->node);
    list_remove(&parked->node);
    pthread_mutex_unlock(&fixture->mutex);
    atomic_fetch_add(&fixture->abandoned, 1);
    if (!mine)
        return; /* its mail is on the way */
    free(parked);
    request_answer_nothing(request);
}

static void on_hurried(struct request *request)
{
    struct parked_request *parked = request->state;
    struct network_fixture *fixture = parked->fixture;
    pthread_mutex_lock(&fixture->mutex);
    bool mine = !list_is_empty(&parked->node);
    list_remove(&parked->node);
    pthread_mutex_unlock(&fixture->mutex);
    if (!mine)
        return; /* its mail is on the way */
    free(parked);
    answer_echo(request);
}

static void park(struct network_fixture *fixture, struct request *request)
{
    struct parked_request *parked = memory_allocate_zeroed(1, sizeof(*parked));
    parked->fixture = fixture;
    parked->request = request;
    parked->mail.handle = on_later_back;
    list_init(&parked->node);
    request->state = parked;
    request->abandoned = on_abandoned;
    pthread_mutex_lock(&fixture->mutex);
    list_push_back(&fixture->parked, &parked->node);
    pthread_mutex_unlock(&fixture->mutex);
    atomic_fetch_add(&fixture->parked_count, 1);
}

static void answer_in_turn(struct request *request)
{
    struct network_fixture *fixture = request->state;
    atomic_fetch_add(&fixture->turns, 1);
    answer_echo(request);
}

static void drop_in_turn(struct request *request)
{
    request_answer_nothing(request);
}

static void handle(struct request_handler *handler, struct request *request)
{
    struct network_fixture *fixture = container_of(handler, struct network_fixture, handler);
    atomic_fetch_add(&fixture->handled, 1);
    uint8_t command = reader_u8(&request->body);
    if (request->header.api_key != KAFKA_API_METADATA) {
        answer_echo(request);
        return;
    }
    switch (command) {
    case COMMAND_ECHO:
        answer_echo(request);
        break;
    case COMMAND_LATER: {
        struct parked_request *parked = memory_allocate_zeroed(1, sizeof(*parked));
        parked->fixture = fixture;
        parked->request = request;
        parked->mail.handle = on_later_worker;
        worker_post(fixture->worker, &parked->mail);
        break;
    }
    case COMMAND_NOTHING:
        request_notice(request, "nothing", "asked for %d", 0);
        request_answer_nothing(request);
        break;
    case COMMAND_PARK:
        park(fixture, request);
        break;
    case COMMAND_TURN:
        request->state = fixture;
        if (request_is_first(request))
            answer_in_turn(request);
        else
            request->on_turn = answer_in_turn;
        request->abandoned = drop_in_turn;
        break;
    case COMMAND_LIGHT:
        park(fixture, request);
        request->hurried = on_hurried;
        request_release_frame(request);
        break;
    case COMMAND_RANGES:
        answer_ranges(fixture, request);
        break;
    case COMMAND_BIG:
        answer_big(request);
        break;
    default:
        request_close_connection(request, "told to");
        break;
    }
}

void fixture_init(struct network_fixture *fixture)
{
    memset(fixture, 0, sizeof(*fixture));
    fixture->handler.handle = handle;
    fixture->log_descriptor = memfd_create("log", MFD_CLOEXEC);
    fixture->file_descriptor = -1;
    fixture->logger = logger_new(fixture->log_descriptor, LOG_DEBUG, "test");
    fixture->listeners[0] = (struct network_listener_options){.name = "PLAINTEXT", .host = "127.0.0.1"};
    fixture->listeners[1] = (struct network_listener_options){.name = "INTERNAL", .host = "127.0.0.1"};
    pthread_mutex_init(&fixture->mutex, NULL);
    list_init(&fixture->parked);
    fixture->options = (struct network_server_options){
        .listeners = fixture->listeners,
        .listener_count = 1,
        .inter_broker_listener = "INTERNAL",
        .reactor_count = 2,
        .listen_backlog = 128,
        .request_max_bytes = 100 * 1024 * 1024,
        .max_connections = 10000,
        .max_connections_per_ip = 10000,
        .connections_max_idle_ms = 600000,
        .logger = fixture->logger,
        .handler = &fixture->handler,
    };
}

void fixture_start(struct network_fixture *fixture)
{
    struct buffer error;
    buffer_init(&error);
    int failed = worker_new("later", 3, &fixture->worker);
    assert_int_equal(failed, 0);
    int result = network_server_new(&fixture->options, &fixture->server, &error);
    if (result != 0)
        fail_msg("%s", buffer_string(&error));
    buffer_release(&error);
    result = network_server_start(fixture->server);
    assert_int_equal(result, 0);
}

void fixture_release(struct network_fixture *fixture)
{
    network_server_stop(fixture->server, 200);
    worker_free(fixture->worker);
    network_server_free(fixture->server);
    assert_int_equal(atomic_load(&fixture->ranges_open), 0);
    assert_true(list_is_empty(&fixture->parked));
    logger_free(fixture->logger);
    close(fixture->log_descriptor);
    if (fixture->file_descriptor >= 0)
        close(fixture->file_descriptor);
    free(fixture->file);
    pthread_mutex_destroy(&fixture->mutex);
}

void fixture_unpark(struct network_fixture *fixture)
{
    pthread_mutex_lock(&fixture->mutex);
    struct list *node;
    while ((node = list_pop_front(&fixture->parked)) != NULL) {
        struct parked_request *parked = container_of(node, struct parked_request, node);
        mailbox_post(reactor_mailbox(parked->request->reactor), &parked->mail);
    }
    pthread_mutex_unlock(&fixture->mutex);
}

void fixture_make_file(struct network_fixture *fixture, size_t length)
{
    fixture->file = memory_allocate(length);
    fixture->file_length = length;
    struct prng prng;
    prng_init(&prng, 42);
    for (size_t i = 0; i < length; i++)
        fixture->file[i] = (uint8_t)prng_next(&prng);
    char name[] = "/tmp/net-test-XXXXXX";
    fixture->file_descriptor = mkstemp(name);
    assert_true(fixture->file_descriptor >= 0);
    unlink(name);
    ssize_t written = pwrite(fixture->file_descriptor, fixture->file, length, 0);
    assert_int_equal(written, length);
}

void pause_ms(int ms)
{
    poll(NULL, 0, ms);
}

static bool log_has(struct network_fixture *fixture, const char *text)
{
    off_t length = lseek(fixture->log_descriptor, 0, SEEK_END);
    char *log = memory_allocate((size_t)length + 1);
    ssize_t got = pread(fixture->log_descriptor, log, (size_t)length, 0);
    log[got > 0 ? got : 0] = '\0';
    bool found = strstr(log, text) != NULL;
    free(log);
    return found;
}

bool fixture_logged(struct network_fixture *fixture, const char *text)
{
    int64_t deadline_ms = clock_monotonic_ms() + FIXTURE_DEADLINE_MS;
    while (!log_has(fixture, text)) {
        if (clock_monotonic_ms() > deadline_ms)
            return false;
        pause_ms(2);
    }
    return true;
}

void wait_for_count(atomic_int *counter, int least)
{
    int64_t deadline_ms = clock_monotonic_ms() + FIXTURE_DEADLINE_MS;
    while (atomic_load(counter) < least) {
        assert_true(clock_monotonic_ms() < deadline_ms);
        pause_ms(1);
    }
}

size_t fixture_connections(struct network_fixture *fixture)
{
    struct network_server_statistics statistics;
    network_server_statistics(fixture->server, &statistics);
    return statistics.connections;
}

void fixture_wait_connections(struct network_fixture *fixture, size_t count)
{
    int64_t deadline_ms = clock_monotonic_ms() + FIXTURE_DEADLINE_MS;
    while (fixture_connections(fixture) != count) {
        assert_true(clock_monotonic_ms() < deadline_ms);
        pause_ms(1);
    }
}

int dial_with_buffer(int port, int receive_buffer_bytes)
{
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(descriptor >= 0);
    if (receive_buffer_bytes > 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof(receive_buffer_bytes));
    struct timeval patience = {.tv_sec = FIXTURE_DEADLINE_MS / 1000};
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int result = connect(descriptor, (struct sockaddr *)&address, sizeof(address));
    assert_int_equal(result, 0);
    return descriptor;
}

int dial(int port)
{
    return dial_with_buffer(port, 0);
}

void send_bytes(int descriptor, const void *bytes, size_t length)
{
    size_t done = 0;
    while (done < length) {
        ssize_t sent = send(descriptor, (const char *)bytes + done, length - done, MSG_NOSIGNAL);
        assert_true(sent > 0);
        done += (size_t)sent;
    }
}

bool receive_bytes(int descriptor, void *bytes, size_t length)
{
    size_t done = 0;
    while (done < length) {
        ssize_t got = recv(descriptor, (char *)bytes + done, length - done, 0);
        if (got == 0 || (got < 0 && errno == ECONNRESET))
            return false;
        assert_true(got > 0);
        done += (size_t)got;
    }
    return true;
}

void expect_closed(int descriptor)
{
    uint8_t byte;
    assert_false(receive_bytes(descriptor, &byte, 1));
}

void frame_append(struct buffer *out, int16_t key, int16_t version, int32_t correlation_id, const void *body,
                  size_t length)
{
    writer_u32(out, (uint32_t)(2 + 2 + 4 + 2 + 6 + length));
    writer_u16(out, (uint16_t)key);
    writer_u16(out, (uint16_t)version);
    writer_u32(out, (uint32_t)correlation_id);
    writer_u16(out, 6);
    buffer_append_string(out, "tester");
    buffer_append(out, body, length);
}

void command_append(struct buffer *out, int32_t correlation_id, enum command command, const void *payload,
                    size_t length)
{
    struct buffer body;
    buffer_init(&body);
    writer_u8(&body, (uint8_t)command);
    buffer_append(&body, payload, length);
    frame_append(out, KAFKA_API_METADATA, 0, correlation_id, body.data, body.length);
    buffer_release(&body);
}

void send_command(int descriptor, int32_t correlation_id, enum command command, const void *payload,
                  size_t length)
{
    struct buffer out;
    buffer_init(&out);
    command_append(&out, correlation_id, command, payload, length);
    send_bytes(descriptor, out.data, out.length);
    buffer_release(&out);
}

bool receive_answer(int descriptor, int32_t *correlation_id, struct buffer *body)
{
    uint8_t head[8];
    buffer_clear(body);
    if (!receive_bytes(descriptor, head, sizeof(head)))
        return false;
    size_t length = load_u32(head) - 4;
    *correlation_id = (int32_t)load_u32(head + 4);
    return receive_bytes(descriptor, buffer_extend(body, length), length);
}

void expect_answer(int descriptor, int32_t correlation_id, const void *body, size_t length)
{
    struct buffer got;
    buffer_init(&got);
    int32_t got_id = -1;
    assert_true(receive_answer(descriptor, &got_id, &got));
    assert_int_equal(got_id, correlation_id);
    assert_int_equal(got.length, length);
    if (length > 0)
        assert_memory_equal(got.data, body, length);
    buffer_release(&got);
}
