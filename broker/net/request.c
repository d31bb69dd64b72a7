/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a frame to a request, and from the handler's answer to a slot.
 *
 * A request has two lives: the handler's ends with one of the three finishing calls, the slot's when its
 * answer was sent or dropped. Frame and arena are given back at the end of the first, unless the answer has
 * file ranges (they may lie in the arena): then the arena stays until these are released.
 */
#include <stdarg.h>
#include <stdlib.h>

#include "broker/net/connection.h"
#include "common/check.h"
#include "common/memory.h"
#include "proto/kafka/api.h"

/* Bound of what decoding may allocate (B14): four times the frame and this much. */
#define ARENA_BASE_BYTES ((size_t)64 * 1024)
/* Keys from here on are our own, between brokers. */
#define PRIVATE_API_KEY_FIRST 10000
/* So much of a client id goes into a log line. */
#define CLIENT_ID_LOGGED_BYTES 64

static struct inbound *inbound_of(struct request *request)
{
    return container_of(request, struct inbound, request);
}

/* APIs by which brokers command each other; a client has no business with them (B12). */
static bool is_inter_broker_api(int16_t key)
{
    switch (key) {
    case KAFKA_API_LEADER_AND_ISR:
    case KAFKA_API_STOP_REPLICA:
    case KAFKA_API_UPDATE_METADATA:
    case KAFKA_API_CONTROLLED_SHUTDOWN:
    case KAFKA_API_ALTER_PARTITION:
    case KAFKA_API_ENVELOPE:
    case KAFKA_API_ALLOCATE_PRODUCER_IDS:
        return true;
    default:
        return key >= PRIVATE_API_KEY_FIRST;
    }
}

/* The rules B9, B10 and B12 of headers. */
static bool check_header(struct connection *connection, const struct request_header *header)
{
    int16_t key = header->api_key;
    if (is_inter_broker_api(key) && !connection->inter_broker) {
        connection_refuse_further(
            connection, "inter-broker API",
            "API key %d is for brokers only and is served by the inter-broker listener only", key);
        return false;
    }
    if (key >= PRIVATE_API_KEY_FIRST)
        return true;
    const struct kafka_api *api = kafka_api_find(key);
    if (api == NULL) {
        connection_refuse_further(connection, "API key", "unknown API key %d", key);
        return false;
    }
    bool in_range =
        header->api_version >= api->minimum_version && header->api_version <= api->maximum_version;
    if (!in_range && key != KAFKA_API_API_VERSIONS) {
        connection_refuse_further(connection, api->name, "%s version %d is not known; versions %d to %d are",
                                  api->name, header->api_version, api->minimum_version, api->maximum_version);
        return false;
    }
    return true;
}

/*
 * An ApiVersions of a version to come may have a header to come: its first fields are enough to tell the
 * client what we know (B10). No other request is taken when its header does not end well.
 */
static bool decode_header(struct request *request)
{
    if (request_header_decode(&request->header, &request->body) == 0)
        return true;
    const struct kafka_api *api = kafka_api_find(KAFKA_API_API_VERSIONS);
    if (request->header.api_key != api->key || request->header.api_version <= api->maximum_version)
        return false;
    request->header.client_id = slice_make(NULL, 0);
    reader_init(&request->body, slice_make(request->frame + request->frame_length, 0));
    return true;
}

bool connection_submit(struct connection *connection, struct frame_chunk *chunk, size_t at, size_t size)
{
    struct reactor *reactor = connection->reactor;
    struct inbound *inbound = memory_allocate_zeroed(1, sizeof(*inbound));
    struct request *request = &inbound->request;
    request->frame = chunk->data + at;
    request->frame_length = size;
    reader_init(&request->body, slice_make(request->frame, size));
    if (!decode_header(request)) {
        connection_refuse_further(connection, "request header", "the request's header is malformed");
        free(inbound);
        return false;
    }
    if (!check_header(connection, &request->header)) {
        free(inbound);
        return false;
    }
    connection->of_broker |= request->header.api_key >= PRIVATE_API_KEY_FIRST;
    chunk->references++;
    frame_chunk_charge(&reactor->pool, chunk, true);
    inbound->chunk = chunk;
    buffer_init(&inbound->answer);
    arena_init(&request->arena, size > SIZE_MAX / 8 ? ARENA_NO_BUDGET : 4 * size + ARENA_BASE_BYTES);
    request->reactor = reactor;
    request->connection = connection;
    request->listener = connection->listener;
    request->client_address = connection->address_text;
    request->principal = slice_of("User:ANONYMOUS");
    request->inter_broker = connection->inter_broker;
    request->received_ms = loop_now_ms(reactor->loop);
    list_push_back(&connection->requests, &request->_node);
    answer_queue_reserve(&connection->answers, &inbound->slot);
    reactor->live_requests++;
    reactor_note_activity(reactor, connection);
    reactor->shared->handler->handle(reactor->shared->handler, request);
    return true;
}

/* Gives back what only the handler needed. */
static void release_input(struct inbound *inbound)
{
    frame_chunk_drop(&inbound->request.reactor->pool, inbound->chunk);
    inbound->chunk = NULL;
}

void inbound_free(struct inbound *inbound)
{
    for (size_t i = 0; i < inbound->writer.gap_count; i++) {
        struct response_range *range = inbound->writer.gaps[i].external;
        if (range->release != NULL)
            range->release(range);
    }
    if (inbound->begun)
        wire_writer_release(&inbound->writer);
    buffer_release(&inbound->answer);
    arena_release(&inbound->request.arena);
    release_input(inbound);
    free(inbound);
}

bool request_is_first(struct request *request)
{
    const struct inbound *inbound = inbound_of(request);
    return inbound->slot.queue == NULL || inbound->slot.queue->slots.next == &inbound->slot.node;
}

void request_release_frame(struct request *request)
{
    struct arena kept;
    struct slice client_id = request->header.client_id;
    arena_init(&kept, ARENA_BASE_BYTES);
    client_id.length = min_size(client_id.length, REQUEST_CLIENT_ID_KEPT);
    request->header.client_id = arena_copy_slice(&kept, client_id);
    arena_release(&request->arena);
    request->arena = kept;
    request->frame = NULL;
    request->frame_length = 0;
    reader_init(&request->body, slice_make(NULL, 0));
    release_input(inbound_of(request));
}

void request_note_broker(struct request *request)
{
    request->connection->of_broker |= request->inter_broker;
}

void inbound_hurry(struct inbound *inbound)
{
    struct request *request = &inbound->request;
    if (request->hurried != NULL)
        request->hurried(request);
}

void inbound_abandon(struct inbound *inbound)
{
    struct request *request = &inbound->request;
    if (request->abandoned != NULL)
        request->abandoned(request);
}

/*
 * The handler's part is over. The connection is looked at again this turn: to send, to read on, or to be
 * buried when it is closed and this was its last request.
 */
static void finish_request(struct inbound *inbound)
{
    struct request *request = &inbound->request;
    struct connection *connection = request->connection;
    struct reactor *reactor = request->reactor;
    list_remove(&request->_node);
    reactor->live_requests--;
    release_input(inbound);
    if (inbound->slot.state == ANSWER_DETACHED)
        inbound_free(inbound);
    else if (inbound->writer.gap_count == 0)
        arena_release(&request->arena);
    if (!connection->closed || list_is_empty(&connection->requests))
        reactor_want_flush(reactor, connection);
}

struct wire_writer *request_begin_answer(struct request *request)
{
    struct inbound *inbound = inbound_of(request);
    CHECK(!inbound->begun);
    inbound->begun = true;
    wire_writer_init(&inbound->writer, &inbound->answer);
    wire_write_int32(&inbound->writer, 0);
    response_header_encode(&inbound->writer, request->header.api_key, request->header.api_version,
                           request->header.correlation_id);
    return &inbound->writer;
}

void request_answer(struct request *request)
{
    struct inbound *inbound = inbound_of(request);
    CHECK(inbound->begun);
    int64_t size =
        (int64_t)inbound->answer.length - FRAME_PREFIX_SIZE + wire_writer_gap_length(&inbound->writer);
    if (size > INT32_MAX) {
        request_close_connection(request, "the answer is longer than the protocol can say");
        return;
    }
    store_u32(inbound->answer.data, (uint32_t)size);
    answer_slot_ready(&inbound->slot, buffer_slice(&inbound->answer), inbound->writer.gaps,
                      inbound->writer.gap_count);
    finish_request(inbound);
}

void request_answer_nothing(struct request *request)
{
    struct inbound *inbound = inbound_of(request);
    answer_slot_vanish(&inbound->slot);
    finish_request(inbound);
}

static void write_notice(const struct request *request, const char *kind, const char *what,
                         struct slice reason)
{
    struct connection *connection = request->connection;
    struct reactor *reactor = request->reactor;
    struct buffer client;
    buffer_init(&client);
    buffer_append_escaped(&client, request->header.client_id, CLIENT_ID_LOGGED_BYTES);
    notice_write(&reactor->notices, loop_now_ms(reactor->loop), kind,
                 slice_make(&connection->address, sizeof(connection->address)),
                 "%s of %s on %s (client id \"%s\") after %s version %d: %.*s", what,
                 connection->address_text, connection->listener, buffer_string(&client),
                 kafka_api_name(request->header.api_key), request->header.api_version,
                 SLICE_ARGUMENTS(reason));
    buffer_release(&client);
}

void request_notice(const struct request *request, const char *kind, const char *format, ...)
{
    struct buffer text;
    buffer_init(&text);
    va_list arguments;
    va_start(arguments, format);
    buffer_print_list(&text, format, arguments);
    va_end(arguments);
    write_notice(request, kind, "bad request", buffer_slice(&text));
    buffer_release(&text);
}

void request_close_connection(struct request *request, const char *reason)
{
    struct inbound *inbound = inbound_of(request);
    if (inbound->slot.queue == NULL || request->connection->answers.closing) {
        request_answer_nothing(request);
        return;
    }
    write_notice(request, reason, "closing the connection", slice_of(reason));
    answer_slot_close(&inbound->slot);
    finish_request(inbound);
}

struct loop *reactor_loop(struct reactor *reactor)
{
    return reactor->loop;
}

struct mailbox *reactor_mailbox(struct reactor *reactor)
{
    return reactor->mailbox;
}

int reactor_number(const struct reactor *reactor)
{
    return reactor->number;
}
