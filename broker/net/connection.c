/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a connection, and how requests are read.
 *
 * Between two frames a connection holds no buffer. When bytes arrive it takes a chunk, as large as recent
 * frames of this peer were, and reads into it. A frame that is all there is handed out where it lies; several
 * that came together share the chunk, but small ones are copied out, so that a parked request of a hundred
 * bytes does not hold 64 KiB. What begins a frame that is not all there moves to a chunk of its own (its
 * head; the rest is read into its place), which grows as bytes arrive: no length is believed, neither for
 * memory (I61) nor before it was checked (B1).
 */
#include "broker/net/connection.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/memory.h"

/* Reads of one wake-up, so that one busy peer does not keep the others of its reactor waiting. */
#define READS_PER_WAKE_UP 4
/* A frame below this is copied out of a chunk it does not fill. */
#define SMALL_FRAME_BYTES ((size_t)4 * 1024)
/* The beginning of a frame below this moves to a chunk of exactly its size. */
#define EXACT_FRAME_BYTES ((size_t)16 * 1024)
/* From a peer of large frames so much is read at first; then the rest of that frame alone, to its place. */
#define LARGE_FRAME_HEAD_BYTES ((size_t)32 * 1024)

static void on_ready(struct loop_watch *watch, unsigned events)
{
    struct connection *connection = container_of(watch, struct connection, watch);
    if (events & LOOP_WRITE) {
        connection->writing = false;
        connection_flush(connection);
    }
    if ((events & LOOP_READ) && !connection->closed)
        connection_read(connection);
}

static void on_arrival(struct mail *mail)
{
    struct connection *connection = container_of(mail, struct connection, arrival);
    connection_open(connection, connection->reactor);
}

struct connection *connection_new(int descriptor, const struct sockaddr_storage *peer, const char *listener,
                                  bool inter_broker)
{
    struct connection *connection = memory_allocate_zeroed(1, sizeof(*connection));
    transport_plain_init(&connection->transport, descriptor);
    connection->arrival.handle = on_arrival;
    connection->listener = listener;
    connection->inter_broker = inter_broker;
    connection->address = socket_address_bytes(peer);
    socket_address_print(peer, connection->address_text, sizeof(connection->address_text));
    list_init(&connection->node);
    list_init(&connection->unflushed_node);
    list_init(&connection->starved_node);
    list_init(&connection->graveyard_node);
    list_init(&connection->requests);
    answer_queue_init(&connection->answers);
    return connection;
}

void connection_open(struct connection *connection, struct reactor *reactor)
{
    connection->reactor = reactor;
    connection->opened = true;
    loop_watch_init(&connection->watch, reactor->loop, connection->transport.descriptor, LOOP_PRIORITY_NORMAL,
                    on_ready);
    list_push_back(&reactor->connections, &connection->node);
    reactor->open_connections++;
    reactor_note_activity(reactor, connection);
    connection_update_watch(connection);
    if (reactor->draining)
        connection_drain(connection);
}

void connection_free(struct connection *connection)
{
    CHECK(list_is_empty(&connection->requests) && connection->chunk == NULL);
    if (!connection->opened)
        transport_close(&connection->transport);
    free(connection);
}

/* Whether one more request may be taken on. */
static bool may_submit(const struct connection *connection)
{
    const struct answer_queue *answers = &connection->answers;
    return !connection->closed && !connection->draining && !answers->closing &&
           answers->count < CONNECTION_SLOTS_MAX && answers->ready_bytes < CONNECTION_ANSWER_BYTES_MAX;
}

void connection_update_watch(struct connection *connection)
{
    if (connection->closed)
        return;
    bool reading = may_submit(connection) && list_is_empty(&connection->starved_node);
    loop_watch_set(&connection->watch, (reading ? LOOP_READ : 0) | (connection->writing ? LOOP_WRITE : 0));
}

static void drop_chunk(struct connection *connection)
{
    frame_chunk_drop(&connection->reactor->pool, connection->chunk);
    connection->chunk = NULL;
    connection->begin = connection->end = 0;
}

/* A callback may finish any of the requests: starts from the front until all were told. */
static void tell_requests(struct connection *connection, void (*tell)(struct inbound *inbound))
{
    struct list untold;
    list_init(&untold);
    list_move_all(&connection->requests, &untold);
    struct list *node;
    while ((node = list_pop_front(&untold)) != NULL) {
        list_push_back(&connection->requests, node);
        tell(container_of(node, struct inbound, request._node));
    }
}

void connection_close(struct connection *connection)
{
    if (connection->closed)
        return;
    struct reactor *reactor = connection->reactor;
    connection->closed = true;
    loop_watch_release(&connection->watch);
    transport_close(&connection->transport);
    reactor_note_closed(reactor, connection);
    drop_chunk(connection);
    struct answer_slot *slot;
    while (!list_is_empty(&connection->answers.slots)) {
        bool open =
            container_of(connection->answers.slots.next, struct answer_slot, node)->state == ANSWER_OPEN;
        slot = answer_queue_drop_first(&connection->answers);
        if (!open)
            inbound_free(container_of(slot, struct inbound, slot));
    }
    tell_requests(connection, inbound_abandon);
    if (list_is_empty(&connection->requests))
        reactor_bury(reactor, connection);
}

static void write_refusal(struct connection *connection, const char *kind, const char *format,
                          va_list arguments)
{
    struct buffer reason;
    buffer_init(&reason);
    buffer_print_list(&reason, format, arguments);
    struct reactor *reactor = connection->reactor;
    notice_write(&reactor->notices, loop_now_ms(reactor->loop), kind,
                 slice_make(&connection->address, sizeof(connection->address)),
                 "closed the connection of %s on %s: %s", connection->address_text, connection->listener,
                 buffer_string(&reason));
    buffer_release(&reason);
}

void connection_refuse(struct connection *connection, const char *kind, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    write_refusal(connection, kind, format, arguments);
    va_end(arguments);
    connection_close(connection);
}

void connection_refuse_further(struct connection *connection, const char *kind, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    write_refusal(connection, kind, format, arguments);
    va_end(arguments);
    connection_drain(connection);
}

void connection_drain(struct connection *connection)
{
    if (connection->closed)
        return;
    connection->draining = true;
    reactor_unchoose(connection->reactor, connection);
    list_remove(&connection->starved_node);
    drop_chunk(connection);
    connection->prefix_length = 0;
    connection->stalled = false;
    tell_requests(connection, inbound_hurry);
    if (connection->answers.count == 0)
        connection_close(connection);
    else
        connection_update_watch(connection);
}

bool connection_may_expire(const struct connection *connection)
{
    return connection->answers.open_count == 0 && list_is_empty(&connection->starved_node);
}

/* What a peer that speaks something else has probably sent instead of a length (B5). */
static const char *guess_protocol(const uint8_t *prefix)
{
    if (prefix[0] == 0x16 && prefix[1] == 0x03)
        return " (this looks like TLS; the listener is a plain one)";
    if (memcmp(prefix, "GET ", 4) == 0 || memcmp(prefix, "POST", 4) == 0 || memcmp(prefix, "HEAD", 4) == 0)
        return " (this looks like HTTP)";
    return "";
}

/* Looks at the length at `begin`; false: it was refused. */
static bool check_length(struct connection *connection)
{
    const uint8_t *prefix = connection->chunk->data + connection->begin;
    size_t limit = connection->reactor->shared->request_max_bytes;
    struct frame_decoder decoder;
    size_t used;
    frame_decoder_init(&decoder, FRAME_REQUEST_MINIMUM, limit);
    if (frame_decoder_feed(&decoder, slice_make(prefix, FRAME_PREFIX_SIZE), &used) == FRAME_BROKEN) {
        connection_refuse_further(
            connection, frame_decoder_reason(&decoder),
            "%s: %d bytes announced, %d to %zu (socket.request.max.bytes) are accepted%s",
            frame_decoder_reason(&decoder), (int32_t)load_u32(prefix), FRAME_REQUEST_MINIMUM, limit,
            guess_protocol(prefix));
        return false;
    }
    connection->frame_size = frame_decoder_size(&decoder);
    return true;
}

/* Hands out the complete frame at `begin`. False: the connection was refused. */
static bool submit_frame(struct connection *connection)
{
    struct reactor *reactor = connection->reactor;
    size_t at = connection->begin + FRAME_PREFIX_SIZE;
    size_t size = connection->frame_size;
    connection->begin = at + size;
    connection->frame_size = 0;
    size_t expected = connection->expected_bytes;
    expected = size > expected ? size : expected - (expected - size) / 4;
    connection->expected_bytes = min_size(expected, FRAME_CHUNK_BYTES_MAX - FRAME_PREFIX_SIZE);
    reactor_unchoose(reactor, connection);
    if (size >= SMALL_FRAME_BYTES || connection->chunk->capacity == size + FRAME_PREFIX_SIZE)
        return connection_submit(connection, connection->chunk, at, size);
    struct frame_chunk *small = frame_pool_take_exact(&reactor->pool, size);
    memcpy(small->data, connection->chunk->data + at, size);
    bool accepted = connection_submit(connection, small, 0, size);
    frame_chunk_drop(&reactor->pool, small);
    return accepted;
}

/* The beginning of a frame that is not all there gets a chunk of its own, unless it has one. */
static void settle_partial(struct connection *connection)
{
    struct frame_pool *pool = &connection->reactor->pool;
    struct frame_chunk *chunk = connection->chunk;
    size_t total = connection->frame_size + FRAME_PREFIX_SIZE;
    size_t rest = connection->end - connection->begin;
    bool fits = chunk->capacity <= total || total >= EXACT_FRAME_BYTES;
    if (connection->begin > 0 || chunk->references > 1 || !fits) {
        struct frame_chunk *own =
            total < EXACT_FRAME_BYTES
                ? frame_pool_take_exact(pool, total)
                : frame_pool_take(pool,
                                  min_size(total, max_size(FRAME_CHUNK_BYTES, connection->expected_bytes)));
        memcpy(own->data, chunk->data + connection->begin, rest);
        drop_chunk(connection);
        connection->chunk = own;
        connection->end = rest;
    }
    frame_chunk_charge(pool, connection->chunk, false);
}

/* Decides where the bytes go that were read and are not handed out. */
static void settle(struct connection *connection)
{
    if (connection->closed || connection->chunk == NULL)
        return;
    size_t rest = connection->end - connection->begin;
    if (rest == 0 || connection->draining || connection->answers.closing) {
        drop_chunk(connection);
    } else if (rest < FRAME_PREFIX_SIZE) {
        memcpy(connection->prefix, connection->chunk->data + connection->begin, rest);
        connection->prefix_length = rest;
        drop_chunk(connection);
    } else if (!may_submit(connection)) {
        connection->stalled = true;
        frame_chunk_charge(&connection->reactor->pool, connection->chunk, false);
    } else {
        settle_partial(connection);
    }
}

/* Hands out the complete frames in the chunk, as many as the bounds of the connection allow. */
static void consume(struct connection *connection)
{
    connection->stalled = false;
    while (may_submit(connection)) {
        size_t available = connection->end - connection->begin;
        if (available < FRAME_PREFIX_SIZE)
            break;
        if (connection->frame_size == 0 && !check_length(connection))
            return;
        if (available - FRAME_PREFIX_SIZE < connection->frame_size)
            break;
        if (!submit_frame(connection))
            return;
    }
    settle(connection);
}

/* Makes room to read into; *wanted is how much to read. False: there is no request memory now. */
static bool prepare_chunk(struct connection *connection, size_t *wanted)
{
    struct reactor *reactor = connection->reactor;
    struct frame_chunk *chunk = connection->chunk;
    bool room = connection->of_broker || request_memory_has_room(&reactor->shared->memory);
    if (chunk == NULL) {
        if (!room)
            return false;
        size_t expected = connection->expected_bytes + FRAME_PREFIX_SIZE;
        chunk = frame_pool_take(&reactor->pool, expected);
        memcpy(chunk->data, connection->prefix, connection->prefix_length);
        connection->chunk = chunk;
        connection->begin = 0;
        connection->end = connection->prefix_length;
        connection->prefix_length = 0;
        connection->frame_size = 0;
        size_t until = expected >= LARGE_FRAME_HEAD_BYTES ? LARGE_FRAME_HEAD_BYTES : chunk->capacity;
        *wanted = until - connection->end;
        return true;
    }
    CHECK(connection->begin == 0 && connection->frame_size > 0);
    size_t total = connection->frame_size + FRAME_PREFIX_SIZE;
    if (connection->end == chunk->capacity) {
        if (!room && !reactor_choose(reactor, connection))
            return false;
        chunk = frame_chunk_grow(&reactor->pool, chunk, min_size(total, chunk->capacity * 2));
        connection->chunk = chunk;
    }
    *wanted = min_size(total, chunk->capacity) - connection->end;
    return true;
}

void connection_read(struct connection *connection)
{
    if (connection->stalled && may_submit(connection))
        consume(connection);
    for (int reads = 0; reads < READS_PER_WAKE_UP && may_submit(connection); reads++) {
        size_t wanted = 0;
        if (!prepare_chunk(connection, &wanted)) {
            reactor_starve(connection->reactor, connection);
            break;
        }
        ssize_t got =
            transport_receive(&connection->transport, connection->chunk->data + connection->end, wanted);
        if (got == -EAGAIN)
            break;
        if (got < 0) {
            connection_close(connection);
            return;
        }
        if (got == 0) {
            connection_drain(connection);
            return;
        }
        connection->end += (size_t)got;
        connection->received += (uint64_t)got;
        consume(connection);
        if ((size_t)got < wanted)
            break;
    }
    /* A chunk that was taken and stayed empty goes back. */
    if (!connection->stalled)
        settle(connection);
    connection_update_watch(connection);
}
