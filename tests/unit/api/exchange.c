/* SPDX-License-Identifier: Apache-2.0 */
/* The stand-in for connections: see exchange.h. */
#include "tests/unit/api/exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/clock.h"
#include "proto/kafka/header.h"

#define WAIT_MS 2000

void reactor_open(struct reactor *reactor)
{
    reactor->loop = loop_new();
    reactor->mailbox = mailbox_new(reactor->loop);
}

void reactor_close(struct reactor *reactor)
{
    loop_run_once(reactor->loop, 0);
    mailbox_free(reactor->mailbox);
    loop_free(reactor->loop);
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
    (void)reactor;
    return 0;
}

static struct exchange *exchange_of(struct request *request)
{
    return container_of(request, struct exchange, request);
}

struct wire_writer *request_begin_answer(struct request *request)
{
    struct exchange *exchange = exchange_of(request);
    assert_int_equal(exchange->outcome, EXCHANGE_OPEN);
    assert_int_equal(exchange->answer.length, 0);
    response_header_encode(&exchange->writer, request->header.api_key, request->header.api_version,
                           request->header.correlation_id);
    return &exchange->writer;
}

static void finish(struct exchange *exchange, enum exchange_outcome outcome)
{
    assert_int_equal(exchange->outcome, EXCHANGE_OPEN);
    exchange->outcome = outcome;
    /* Whoever still used the request's memory would be found out. */
    arena_release(&exchange->request.arena);
    buffer_release(&exchange->frame);
}

/* Puts the bytes of ranges where they belong and gives the ranges back. */
static void join_ranges(struct exchange *exchange)
{
    size_t position = 0;
    for (size_t i = 0; i < exchange->writer.gap_count; i++) {
        const struct wire_gap *gap = &exchange->writer.gaps[i];
        struct response_range *range = gap->external;
        buffer_append(&exchange->whole, exchange->answer.data + position, gap->position - position);
        uint8_t *bytes = buffer_extend(&exchange->whole, (size_t)range->length);
        assert_int_equal(pread(range->descriptor, bytes, (size_t)range->length, range->position),
                         range->length);
        range->release(range);
        position = gap->position;
    }
    buffer_append(&exchange->whole, exchange->answer.data + position, exchange->answer.length - position);
}

void request_answer(struct request *request)
{
    struct exchange *exchange = exchange_of(request);
    join_ranges(exchange);
    finish(exchange, EXCHANGE_ANSWERED);
}

void request_answer_nothing(struct request *request)
{
    finish(exchange_of(request), EXCHANGE_NOTHING);
}

void request_release_frame(struct request *request)
{
    struct exchange *exchange = exchange_of(request);
    assert_false(exchange->light);
    exchange->light = true;
    request->header.client_id = slice_of("the-client");
    arena_release(&request->arena);
    arena_init(&request->arena, 65536);
    buffer_release(&exchange->frame);
    buffer_init(&exchange->frame);
    request->frame = NULL;
    request->frame_length = 0;
    reader_init(&request->body, slice_make(NULL, 0));
}

void request_note_broker(struct request *request)
{
    exchange_of(request)->of_broker = true;
}

void request_close_connection(struct request *request, const char *reason)
{
    exchange_of(request)->reason = reason;
    finish(exchange_of(request), EXCHANGE_CLOSED);
}

bool request_is_first(struct request *request)
{
    (void)request;
    return true;
}

void request_notice(const struct request *request, const char *kind, const char *format, ...)
{
    struct exchange *exchange = container_of(request, struct exchange, request);
    assert_non_null(format);
    exchange->notice = kind;
}

void exchange_start(struct exchange *exchange, struct reactor *reactor, struct request_handler *handler,
                    int16_t key, int16_t version, const struct message_codec *codec, const void *body,
                    struct slice bytes)
{
    struct wire_writer writer;
    const struct request_header header = {key, version, 77, slice_of("the-client")};
    bool inter_broker = exchange->request.inter_broker;
    *exchange = (struct exchange){.outcome = EXCHANGE_OPEN};
    buffer_init(&exchange->frame);
    buffer_init(&exchange->answer);
    buffer_init(&exchange->whole);
    arena_init(&exchange->arena, ARENA_NO_BUDGET);
    wire_writer_init(&exchange->writer, &exchange->answer);
    wire_writer_init(&writer, &exchange->frame);
    request_header_encode(&header, &writer);
    if (codec)
        codec->encode(body, &writer, version);
    writer_slice(&exchange->frame, bytes);
    wire_writer_release(&writer);

    struct request *request = &exchange->request;
    request->reactor = reactor;
    request->frame = exchange->frame.data;
    request->frame_length = exchange->frame.length;
    request->listener = "PLAINTEXT";
    request->client_address = "127.0.0.1:4711";
    request->principal = slice_of("User:ANONYMOUS");
    request->inter_broker = inter_broker;
    request->received_ms = clock_monotonic_ms();
    arena_init(&request->arena, 4 * request->frame_length + 65536);
    reader_init(&request->body, buffer_slice(&exchange->frame));
    assert_int_equal(request_header_decode(&request->header, &request->body), 0);
    handler->handle(handler, request);
}

void exchange_turn(struct exchange *exchange)
{
    loop_run_once(exchange->request.reactor->loop, 0);
}

enum exchange_outcome exchange_wait(struct exchange *exchange)
{
    int64_t deadline_ms = clock_monotonic_ms() + WAIT_MS;
    while (exchange->outcome == EXCHANGE_OPEN && clock_monotonic_ms() < deadline_ms)
        loop_run_once(exchange->request.reactor->loop, 10);
    return exchange->outcome;
}

void exchange_decode(struct exchange *exchange, const struct message_codec *codec, void *out)
{
    int32_t correlation_id;
    const struct request_header *header = &exchange->request.header;
    assert_int_equal(exchange_wait(exchange), EXCHANGE_ANSWERED);
    reader_init(&exchange->body, buffer_slice(&exchange->whole));
    assert_int_equal(
        response_header_decode(&exchange->body, header->api_key, header->api_version, &correlation_id), 0);
    assert_int_equal(correlation_id, 77);
    if (codec == NULL)
        return;
    assert_int_equal(codec->decode(out, &exchange->body, header->api_version, &exchange->arena), 0);
    assert_int_equal(reader_left(&exchange->body), 0);
}

void exchange_hurry(struct exchange *exchange)
{
    if (exchange->request.hurried != NULL)
        exchange->request.hurried(&exchange->request);
}

void exchange_abandon(struct exchange *exchange)
{
    assert_non_null(exchange->request.abandoned);
    exchange->request.abandoned(&exchange->request);
    assert_int_equal(exchange->outcome, EXCHANGE_NOTHING);
}

void exchange_release(struct exchange *exchange)
{
    wire_writer_release(&exchange->writer);
    buffer_release(&exchange->answer);
    buffer_release(&exchange->whole);
    buffer_release(&exchange->frame);
    arena_release(&exchange->arena);
    arena_release(&exchange->request.arena);
}
