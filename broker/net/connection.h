/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One accepted connection: connection.c has its life and reads requests, connection_output.c sends answers,
 * request.c is what handlers call.
 *
 *     given -> open -> (draining: no more requests are read) -> closed -> buried (freed)
 *
 * Open, it reads while it may: at most CONNECTION_SLOTS_MAX requests unanswered or unsent, at most about
 * CONNECTION_ANSWER_BYTES_MAX of answers in memory, and room in the broker's request memory; otherwise it
 * stops reading until things move. The peer's end of stream makes it draining, as does a stop of the server.
 * Closed, the socket is gone, and so are all answers; the structure stays until the handler has finished the
 * requests it still holds.
 *
 * Belongs to its reactor's thread, except for connection_new.
 */
#ifndef BROKER_NET_CONNECTION_H
#define BROKER_NET_CONNECTION_H

#include "broker/net/answer_queue.h"
#include "broker/net/connection_limits.h"
#include "broker/net/frame_pool.h"
#include "broker/net/reactor.h"
#include "broker/net/request.h"
#include "broker/net/transport.h"
#include "common/list.h"
#include "common/loop.h"
#include "common/mailbox.h"
#include "proto/kafka/frame.h"

/* Requests of one connection that may be under way at once: more than any client keeps in flight. */
#define CONNECTION_SLOTS_MAX 100
/* Answers in memory beyond which no more requests are read; a single answer may be larger. */
#define CONNECTION_ANSWER_BYTES_MAX ((size_t)1024 * 1024)

struct connection {
    struct reactor *reactor;
    struct mail arrival;
    struct loop_watch watch;
    struct transport transport;
    const char *listener;
    bool inter_broker;
    bool of_broker; /* a broker speaks: is read although request memory is short */
    struct in6_addr address;
    char address_text[SOCKET_ADDRESS_TEXT_BYTES];

    struct list node;           /* in reactor->connections */
    struct list unflushed_node; /* in reactor->unflushed */
    struct list starved_node;   /* in reactor->starved or growing */
    struct list graveyard_node; /* in reactor->graveyard */
    struct list requests;       /* handed to the handler and not finished (struct inbound) */
    int64_t active_ms;          /* last complete request, or progress with an answer */

    bool opened;
    bool closed;
    bool draining; /* no more requests are read */
    bool stalled;  /* does not read until answers have left */
    bool writing;  /* the socket is full: wait for LOOP_WRITE */

    /*
     * The bytes behind the last request that was handed out. chunk NULL: none, or the fewer than four in
     * `prefix`. The frame at `begin` is not complete, unless the connection stalled or starved.
     */
    struct frame_chunk *chunk;
    size_t begin;
    size_t end;
    size_t frame_size; /* of the body at `begin`, once checked; 0: not known */
    uint8_t prefix[FRAME_PREFIX_SIZE];
    size_t prefix_length;
    size_t expected_bytes;      /* size of recent frames: what the next one will probably need */
    uint64_t received;          /* bytes, ever */
    uint64_t received_at_check; /* when memory was short and the reactor looked who holds it */

    struct answer_queue answers;
};

/* A request with what belongs to the connection. Freed when it is finished and its answer is sent or dropped.
 */
struct inbound {
    struct request request;
    struct answer_slot slot;
    struct frame_chunk *chunk; /* where request.frame lies; NULL once finished */
    struct buffer answer;      /* size prefix, header, body */
    struct wire_writer writer; /* its gaps are ranges */
    bool begun;
};

/* Any thread. Takes over the descriptor (non-blocking). `listener` must outlive the connection. */
struct connection *connection_new(int descriptor, const struct sockaddr_storage *peer, const char *listener,
                                  bool inter_broker);
/* In the reactor's thread: begins to read. */
void connection_open(struct connection *connection, struct reactor *reactor);
/* Frees one that was buried, or never opened. */
void connection_free(struct connection *connection);

/* Reads and handles requests for as long as the budget of one wake-up allows. */
void connection_read(struct connection *connection);
/* Sends what can be sent and does what follows from it. */
void connection_flush(struct connection *connection);
/* Watches for what the connection can use now. */
void connection_update_watch(struct connection *connection);
/* Reads no more; hurries parked requests; closes when everything is answered and sent, perhaps now. */
void connection_drain(struct connection *connection);
/* Closes now. Parked requests are abandoned, answers dropped. Does nothing when it is closed. */
void connection_close(struct connection *connection);
/* As connection_close, with a limited line in the log: "closed the connection of 1.2.3.4:5 on X: `reason`".
 */
void connection_refuse(struct connection *connection, const char *kind, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* What came last is refused, with the same line in the log: connection_drain, as answers may be owed. */
void connection_refuse_further(struct connection *connection, const char *kind, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* True when it neither owes nor sends anything: counts as idle. */
bool connection_may_expire(const struct connection *connection);

/* request.c: a request of `size` bytes at `at` in the chunk. Handles it; false: the connection was refused.
 */
MUST_CHECK bool connection_submit(struct connection *connection, struct frame_chunk *chunk, size_t at,
                                  size_t size);
/* request.c: the slot's answer is sent or dropped: ranges are released, memory is freed. */
void inbound_free(struct inbound *inbound);
/* request.c: nothing more is read: the handler need not wait for more. */
void inbound_hurry(struct inbound *inbound);
/* request.c: the connection is closing: the handler still owes an answer; tell it. */
void inbound_abandon(struct inbound *inbound);

#endif
