/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client side of a connection.
 *
 *     IDLE -> RESOLVING -> CONNECTING -> CONNECTED -> (loss) -> IDLE, not before the backoff has passed
 *
 * Requests wait in `waiting` until there is a connection, then move to `sent` in the order in which they are
 * written; answers come in that order. client_send only queues and sets a timer that is due at once, so that
 * no callback ever runs inside it and requests of one turn leave together.
 *
 * A request in flight whose deadline passes costs the connection, as in other Kafka clients: nothing else
 * tells a peer that is gone from one that is slow.
 *
 * Callbacks may send, change the address and even free the client: whoever calls one holds the client
 * (hold_client, drop_client) and looks at `freed` afterwards.
 */
#include "broker/net/client.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "broker/net/client_resolve.h"
#include "broker/net/transport.h"
#include "common/check.h"
#include "common/memory.h"
#include "proto/kafka/frame.h"
#include "proto/kafka/header.h"

/* Requests are moved into the output while it holds less than this. */
#define OUTPUT_BYTES_MAX ((size_t)256 * 1024)
/* Read at most so much beyond a frame's end; what remains of it is moved. */
#define READ_AHEAD_BYTES ((size_t)32 * 1024)
/* The least by which the input grows towards an announced length. */
#define INPUT_STEP_BYTES ((size_t)64 * 1024)
/* An input buffer larger than this is not kept between answers. */
#define INPUT_KEPT_BYTES ((size_t)2 * 1024 * 1024)
#define READS_PER_WAKE_UP 8

enum client_state { CLIENT_IDLE, CLIENT_RESOLVING, CLIENT_CONNECTING, CLIENT_CONNECTED };

struct client {
    struct loop *loop;
    struct mailbox *mailbox;
    struct worker *resolver;
    struct logger *logger;
    struct log_limiter limiter;
    char *client_id;
    char *host;
    int32_t port;
    size_t response_limit_bytes;
    int64_t connect_timeout_ms;
    int64_t reconnect_backoff_ms;
    int receive_buffer_bytes;

    enum client_state state;
    struct resolution *resolution; /* RESOLVING */
    struct resolved_addresses addresses;
    size_t next_address;
    struct transport transport; /* CONNECTING, CONNECTED */
    struct loop_watch watch;
    struct loop_timer pump_timer;    /* something to do at once */
    struct loop_timer connect_timer; /* end of the backoff, or of the patience with a connect */
    int64_t not_before_ms;           /* no attempt to connect earlier */
    int connect_error;               /* of the last attempt; 0 after success */
    bool renew;                      /* the address has changed */

    struct list waiting;
    struct list sent;
    struct list failing; /* their callbacks are being called */
    int32_t next_correlation_id;
    struct buffer output;
    size_t output_sent;
    bool blocked; /* the socket is full */
    struct buffer input;

    int held;
    bool freed;
};

static struct client_request *request_of(struct list *node)
{
    return container_of(node, struct client_request, _node);
}

static void hold_client(struct client *client)
{
    client->held++;
}

/* False: the client is gone. */
static bool drop_client(struct client *client)
{
    client->held--;
    if (!client->freed)
        return true;
    if (client->held == 0)
        free(client);
    return false;
}

static void pump_soon(struct client *client)
{
    if (!loop_timer_is_set(&client->pump_timer))
        loop_timer_set(client->loop, &client->pump_timer, loop_now_ms(client->loop));
}

/* The request is out of its list; its owner may do anything in `done`. */
static void finish_request(struct client *client, struct client_request *request, int status,
                           struct byte_reader *body)
{
    loop_timer_cancel(client->loop, &request->_timer);
    buffer_release(&request->body);
    struct byte_reader nothing;
    reader_init(&nothing, slice_make(NULL, 0));
    request->done(request, status, body != NULL ? body : &nothing);
}

static void fail_all(struct client *client, struct list *requests, int status)
{
    list_move_all(requests, &client->failing);
    struct list *node;
    while ((node = list_pop_front(&client->failing)) != NULL)
        finish_request(client, request_of(node), status, NULL);
}

static void close_socket(struct client *client)
{
    if (client->state == CLIENT_CONNECTING || client->state == CLIENT_CONNECTED) {
        loop_watch_release(&client->watch);
        transport_close(&client->transport);
    }
    if (client->state == CLIENT_RESOLVING)
        resolution_cancel(client->resolution);
    client->resolution = NULL;
    client->state = CLIENT_IDLE;
    client->blocked = false;
    client->output_sent = 0;
    buffer_release(&client->output);
    buffer_release(&client->input);
    loop_timer_cancel(client->loop, &client->connect_timer);
}

/* The connection is gone: what was in flight fails, the first of it with `status`. False: the client is gone.
 */
static bool lose_connection(struct client *client, int status)
{
    close_socket(client);
    pump_soon(client);
    hold_client(client);
    if (status != -ECONNRESET && !list_is_empty(&client->sent))
        finish_request(client, request_of(list_pop_front(&client->sent)), status, NULL);
    fail_all(client, &client->sent, -ECONNRESET);
    return drop_client(client);
}

static void note_connect_failure(struct client *client, int error)
{
    client->connect_error = error;
    uint64_t suppressed;
    if (!log_limiter_allow(&client->limiter, loop_now_ms(client->loop), &suppressed))
        return;
    char text[128];
    log_warn(client->logger, "net", "cannot connect to %s:%d: %s (trying on)", client->host, client->port,
             strerror_r(-error, text, sizeof(text)));
}

static void on_socket_ready(struct loop_watch *watch, unsigned events);

/* Starts a connect to that address. 0 or -errno. */
static int start_connect(struct client *client, size_t number)
{
    const struct sockaddr_storage *address = &client->addresses.addresses[number];
    int descriptor = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return -errno;
    int on = 1;
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    if (client->receive_buffer_bytes > 0)
        (void)setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &client->receive_buffer_bytes,
                         sizeof(client->receive_buffer_bytes));
    transport_plain_init(&client->transport, descriptor);
    int result = connect(descriptor, (const struct sockaddr *)address, client->addresses.lengths[number]);
    if (result != 0 && errno != EINPROGRESS) {
        int error = errno;
        transport_close(&client->transport);
        return -error;
    }
    client->state = CLIENT_CONNECTING;
    loop_watch_init(&client->watch, client->loop, descriptor, LOOP_PRIORITY_NORMAL, on_socket_ready);
    loop_watch_set(&client->watch, LOOP_WRITE);
    loop_timer_set(client->loop, &client->connect_timer,
                   loop_now_ms(client->loop) + client->connect_timeout_ms);
    return 0;
}

/* Tries the addresses that are left; when there are none, again from the start after the backoff. */
static void connect_next(struct client *client)
{
    while (client->next_address < client->addresses.count) {
        int error = start_connect(client, client->next_address++);
        if (error == 0)
            return;
        note_connect_failure(client, error);
    }
    client->not_before_ms = loop_now_ms(client->loop) + client->reconnect_backoff_ms;
    pump_soon(client);
}

static void connect_failed(struct client *client, int error)
{
    close_socket(client);
    note_connect_failure(client, error);
    connect_next(client);
}

static void on_resolved(void *context, int status, const struct resolved_addresses *addresses)
{
    struct client *client = context;
    client->resolution = NULL;
    client->state = CLIENT_IDLE;
    client->addresses.count = 0;
    client->next_address = 0;
    if (status == 0)
        client->addresses = *addresses;
    else
        note_connect_failure(client, status);
    connect_next(client);
}

static void begin_connect(struct client *client)
{
    client->next_address = 0;
    if (resolve_numeric(client->host, client->port, &client->addresses) == 0) {
        connect_next(client);
    } else if (client->resolver == NULL) {
        on_resolved(client, -EHOSTUNREACH, NULL);
    } else {
        client->state = CLIENT_RESOLVING;
        client->resolution = resolution_start(client->resolver, client->mailbox, client->host, client->port,
                                              on_resolved, client);
    }
}

static void encode_request(struct client *client, struct client_request *request)
{
    struct request_header header = {
        .api_key = request->api_key,
        .api_version = request->api_version,
        .correlation_id = client->next_correlation_id,
        .client_id = slice_of(client->client_id),
    };
    client->next_correlation_id =
        client->next_correlation_id == INT32_MAX ? 0 : client->next_correlation_id + 1;
    request->_correlation_id = header.correlation_id;
    request->_sent = true;
    loop_timer_set(client->loop, &request->_timer, request->deadline_ms);
    size_t start = client->output.length;
    struct wire_writer writer;
    wire_writer_init(&writer, &client->output);
    wire_write_int32(&writer, 0);
    request_header_encode(&header, &writer);
    writer_slice(&client->output, buffer_slice(&request->body));
    size_t size = client->output.length - start - FRAME_PREFIX_SIZE;
    CHECK(size <= INT32_MAX);
    store_u32(client->output.data + start, (uint32_t)size);
    wire_writer_release(&writer);
    buffer_release(&request->body);
}

/* Writes what waits, until the socket is full. False: the connection or the client is gone. */
static bool write_requests(struct client *client)
{
    while (!client->blocked) {
        while (!list_is_empty(&client->waiting) &&
               client->output.length - client->output_sent < OUTPUT_BYTES_MAX) {
            struct list *node = list_pop_front(&client->waiting);
            list_push_back(&client->sent, node);
            encode_request(client, request_of(node));
        }
        size_t left = client->output.length - client->output_sent;
        if (left == 0) {
            if (client->output.capacity > 2 * OUTPUT_BYTES_MAX)
                buffer_release(&client->output);
            buffer_clear(&client->output);
            client->output_sent = 0;
            break;
        }
        struct iovec part = {client->output.data + client->output_sent, left};
        ssize_t sent = transport_send(&client->transport, &part, 1, false);
        if (sent == -EAGAIN) {
            client->blocked = true;
        } else if (sent < 0) {
            lose_connection(client, -ECONNRESET);
            return false;
        } else {
            client->output_sent += (size_t)sent;
        }
    }
    loop_watch_set(&client->watch, LOOP_READ | (client->blocked ? LOOP_WRITE : 0));
    return true;
}

/* Takes one answer to the first request in flight. False: the connection or the client is gone. */
static bool take_answer(struct client *client, struct slice frame)
{
    struct byte_reader body;
    int32_t correlation_id = 0;
    if (list_is_empty(&client->sent)) {
        lose_connection(client, -EBADMSG);
        return false;
    }
    struct client_request *request = request_of(client->sent.next);
    reader_init(&body, frame);
    int error = response_header_decode(&body, request->api_key, request->api_version, &correlation_id);
    if (error || correlation_id != request->_correlation_id) {
        log_warn(client->logger, "net", "closed the connection to %s:%d: an answer does not fit its request",
                 client->host, client->port);
        lose_connection(client, -EBADMSG);
        return false;
    }
    list_remove(&request->_node);
    hold_client(client);
    /* The input must outlive a callback that frees the client or renews its address. */
    struct buffer input = client->input;
    buffer_init(&client->input);
    finish_request(client, request, 0, &body);
    bool alive = !client->freed && client->state == CLIENT_CONNECTED;
    if (alive)
        client->input = input;
    else
        buffer_release(&input);
    return drop_client(client) && alive;
}

/*
 * Takes the complete answers out of the input. *wanted: what to read next at most: the rest of an answer
 * whose length is known, in steps that follow what has arrived. False: the connection or the client is gone.
 */
static bool take_answers(struct client *client, size_t *wanted)
{
    size_t begin = 0;
    *wanted = READ_AHEAD_BYTES;
    while (client->input.length - begin >= FRAME_PREFIX_SIZE) {
        const uint8_t *at = client->input.data + begin;
        struct frame_decoder decoder;
        size_t used;
        frame_decoder_init(&decoder, FRAME_RESPONSE_MINIMUM, client->response_limit_bytes);
        if (frame_decoder_feed(&decoder, slice_make(at, FRAME_PREFIX_SIZE), &used) == FRAME_BROKEN) {
            log_warn(client->logger, "net", "closed the connection to %s:%d: bad answer: %s", client->host,
                     client->port, frame_decoder_reason(&decoder));
            lose_connection(client, -EBADMSG);
            return false;
        }
        size_t total = FRAME_PREFIX_SIZE + frame_decoder_size(&decoder);
        size_t available = client->input.length - begin;
        if (available < total) {
            if (total > READ_AHEAD_BYTES)
                *wanted = min_size(total - available, max_size(available, INPUT_STEP_BYTES));
            break;
        }
        begin += total;
        if (!take_answer(client, slice_make(at + FRAME_PREFIX_SIZE, total - FRAME_PREFIX_SIZE)))
            return false;
    }
    size_t rest = client->input.length - begin;
    if (rest > 0 && begin > 0)
        memmove(client->input.data, client->input.data + begin, rest);
    client->input.length = rest;
    if (rest == 0 && client->input.capacity > INPUT_KEPT_BYTES)
        buffer_release(&client->input);
    return true;
}

static void read_answers(struct client *client)
{
    size_t wanted;
    if (!take_answers(client, &wanted))
        return;
    for (int reads = 0; reads < READS_PER_WAKE_UP; reads++) {
        uint8_t *at = buffer_reserve(&client->input, wanted);
        size_t asked = wanted;
        ssize_t got = transport_receive(&client->transport, at, wanted);
        if (got == -EAGAIN)
            return;
        if (got <= 0) {
            lose_connection(client, -ECONNRESET);
            return;
        }
        client->input.length += (size_t)got;
        if (!take_answers(client, &wanted) || (size_t)got < asked)
            return;
    }
}

static void finish_connect(struct client *client)
{
    int error = 0;
    socklen_t length = sizeof(error);
    if (getsockopt(client->transport.descriptor, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
        error = errno;
    if (error) {
        connect_failed(client, -error);
        return;
    }
    loop_timer_cancel(client->loop, &client->connect_timer);
    client->state = CLIENT_CONNECTED;
    client->connect_error = 0;
    /* One that was up for long is renewed at once. */
    client->not_before_ms = loop_now_ms(client->loop) + client->reconnect_backoff_ms;
    log_debug(client->logger, "net", "connected to %s:%d", client->host, client->port);
    write_requests(client);
}

static void on_socket_ready(struct loop_watch *watch, unsigned events)
{
    struct client *client = container_of(watch, struct client, watch);
    if (client->state == CLIENT_CONNECTING) {
        finish_connect(client);
        return;
    }
    if (events & LOOP_WRITE) {
        client->blocked = false;
        if (!write_requests(client))
            return;
    }
    if (events & LOOP_READ)
        read_answers(client);
}

static void on_connect_timer(struct loop_timer *timer)
{
    struct client *client = container_of(timer, struct client, connect_timer);
    if (client->state == CLIENT_CONNECTING)
        connect_failed(client, -ETIMEDOUT);
    else
        pump_soon(client);
}

static void on_pump(struct loop_timer *timer)
{
    struct client *client = container_of(timer, struct client, pump_timer);
    if (client->renew) {
        client->renew = false;
        bool open = client->state != CLIENT_IDLE;
        if (open && !lose_connection(client, -ECONNRESET))
            return;
        client->not_before_ms = 0;
    }
    if (client->state == CLIENT_CONNECTED) {
        write_requests(client);
    } else if (client->state == CLIENT_IDLE && !list_is_empty(&client->waiting)) {
        if (loop_now_ms(client->loop) >= client->not_before_ms)
            begin_connect(client);
        else
            loop_timer_set(client->loop, &client->connect_timer, client->not_before_ms);
    }
}

struct client *client_new(const struct client_options *options)
{
    struct client *client = memory_allocate_zeroed(1, sizeof(*client));
    client->loop = options->loop;
    client->mailbox = options->mailbox;
    client->resolver = options->resolver;
    client->logger = options->logger;
    client->client_id = memory_copy_string(options->client_id != NULL ? options->client_id : "");
    client->host = memory_copy_string(options->host);
    client->port = options->port;
    client->response_limit_bytes = min_size(options->response_limit_bytes, INT32_MAX);
    client->connect_timeout_ms = options->connect_timeout_ms;
    client->reconnect_backoff_ms = options->reconnect_backoff_ms;
    client->receive_buffer_bytes = options->receive_buffer_bytes;
    client->pump_timer.fire = on_pump;
    client->connect_timer.fire = on_connect_timer;
    list_init(&client->waiting);
    list_init(&client->sent);
    list_init(&client->failing);
    buffer_init(&client->output);
    buffer_init(&client->input);
    return client;
}

void client_free(struct client *client)
{
    if (client == NULL)
        return;
    CHECK(!client->freed);
    hold_client(client);
    close_socket(client);
    fail_all(client, &client->sent, -ECANCELED);
    while (!list_is_empty(&client->waiting))
        fail_all(client, &client->waiting, -ECANCELED);
    loop_timer_cancel(client->loop, &client->pump_timer);
    free(client->client_id);
    free(client->host);
    client->freed = true;
    drop_client(client);
}

void client_set_address(struct client *client, const char *host, int32_t port)
{
    if (client->port == port && strcmp(client->host, host) == 0)
        return;
    char *copy = memory_copy_string(host);
    free(client->host);
    client->host = copy;
    client->port = port;
    client->renew = true;
    pump_soon(client);
}

static void on_deadline(struct loop_timer *timer);

void client_send(struct client *client, struct client_request *request)
{
    CHECK(!client->freed);
    request->_sent = false;
    request->_client = client;
    request->_timer = (struct loop_timer){.fire = on_deadline};
    list_init(&request->_node);
    list_push_back(&client->waiting, &request->_node);
    int64_t patience_ms = request->connect_deadline_ms > 0
                              ? min_i64(request->connect_deadline_ms, request->deadline_ms)
                              : request->deadline_ms;
    loop_timer_set(client->loop, &request->_timer, patience_ms);
    pump_soon(client);
}

static void on_deadline(struct loop_timer *timer)
{
    struct client_request *request = container_of(timer, struct client_request, _timer);
    struct client *client = request->_client;
    hold_client(client);
    list_remove(&request->_node);
    bool sent = request->_sent;
    bool refused = !sent && (client->connect_error == -ECONNREFUSED || request->connect_deadline_ms > 0);
    int status = refused ? -ECONNREFUSED : -ETIMEDOUT;
    if (sent)
        close_socket(client);
    finish_request(client, request, status, NULL);
    if (drop_client(client) && sent)
        lose_connection(client, -ECONNRESET);
}
