/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request between its arrival and its answer.
 *
 * The connection reads a frame into one contiguous buffer, decodes the request header, reserves an answer
 * slot (answers leave in the order of the requests, although requests are finished in any order) and calls
 * the handler on the reactor's thread. The handler answers at once, or parks the request and answers later;
 * always on the same reactor's thread, exactly once, by one of request_answer, request_answer_nothing,
 * request_close_connection. After that the request is gone.
 *
 * While a request is parked its connection may die. Then request->abandoned(request) is called (when set) on
 * the reactor's thread; the handler still owes its one answer, which goes nowhere.
 *
 * When no more requests will be read from its connection (the peer ended its stream, sent rubbish behind this
 * request, or the server stops), request->hurried(request) is called (when set): whoever only waits for more
 * to tell answers with what there is, within the call or later.
 *
 * Answers leave in order, so one that is made early may be old when it leaves. Who must not tell old news
 * waits for its turn: request->on_turn(request) is called (when set) once every answer before this one has
 * left.
 */
#ifndef BROKER_NET_REQUEST_H
#define BROKER_NET_REQUEST_H

#include "common/arena.h"
#include "common/base.h"
#include "common/bytes.h"
#include "common/list.h"
#include "common/loop.h"
#include "common/mailbox.h"
#include "proto/kafka/header.h"
#include "proto/kafka/wire.h"

struct connection;
struct reactor;

/* A piece of a file in an answer; `external` of a wire_gap points to one. */
struct response_range {
    int descriptor;
    int64_t position;
    int64_t length;
    int error; /* 0, or the -errno of the file that ended the sending */
    /* Called exactly once, on any thread, when the range is sent or the answer was dropped. */
    void (*release)(struct response_range *range);
};

struct request {
    struct reactor *reactor;
    struct connection *connection;
    struct request_header header;
    struct byte_reader body; /* behind the header; the bytes stay until the answer */
    uint8_t *frame;          /* the whole request, writable: the produce path patches batches in place */
    size_t frame_length;
    struct arena arena;         /* until the answer, or until its ranges are released; budget by the frame */
    const char *listener;       /* name of the listener it came in by, e.g. "PLAINTEXT" */
    const char *client_address; /* "127.0.0.1:49152", for log lines and answers */
    struct slice principal;     /* "User:ANONYMOUS" until there is authentication */
    bool inter_broker;          /* came in by the inter-broker listener */
    int64_t received_ms;        /* monotonic */

    /* For the handler. */
    void *state;
    void (*abandoned)(struct request *request);
    void (*hurried)(struct request *request);
    void (*on_turn)(struct request *request);

    struct list _node;
};

/* Called for each request on its reactor's thread. */
struct request_handler {
    void (*handle)(struct request_handler *handler, struct request *request);
};

/*
 * Starts the answer: room for its size and the response header are written to the writer's buffer; encode the
 * body with the writer and call request_answer. Only one answer may be begun per request. `external` of the
 * writer's gaps point to struct response_range, which may lie in the request's arena.
 */
struct wire_writer *request_begin_answer(struct request *request);
/* Sends what was begun. Ranges in the writer's gaps are released when the answer is sent or dropped. */
void request_answer(struct request *request);
/* No answer (acks=0): the slot vanishes. */
void request_answer_nothing(struct request *request);
/* Closes the connection after the answers before this one; `reason` goes to the log (rate-limited). */
void request_close_connection(struct request *request, const char *reason);

/*
 * For a request that parks: gives frame, body and all that is in the arena back now, so that what only waits
 * takes no part of queued.max.request.bytes. Call it once, when nothing points there any more. The arena is
 * empty afterwards and may be used; of header.client_id the first REQUEST_CLIENT_ID_KEPT bytes stay.
 */
#define REQUEST_CLIENT_ID_KEPT 128
void request_release_frame(struct request *request);

/*
 * Says that another broker speaks on this connection (a follower's fetch; the brokers' own APIs count
 * without this). Such a connection is read even while request memory is short: what it brings is what
 * finishes the requests that hold it. Does nothing on other listeners than that of the brokers.
 */
void request_note_broker(struct request *request);

/*
 * A warning about what this request brought, e.g. a batch with a wrong CRC: names the peer, its client id and
 * the API; one a minute of each kind (a constant text) and address, so that no peer can fill the log. What
 * the peer chose is escaped by the caller (buffer_append_escaped).
 */
void request_notice(const struct request *request, const char *kind, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* No answer before this one is still to leave on its connection. */
bool request_is_first(struct request *request);

/* The reactor's loop and mailbox: to park requests with a deadline and have other threads finish them. */
struct loop *reactor_loop(struct reactor *reactor);
struct mailbox *reactor_mailbox(struct reactor *reactor);
/* Number of this reactor, from 0. */
int reactor_number(const struct reactor *reactor);

#endif
