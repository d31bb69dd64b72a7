/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request and its answer without a network: this file's functions stand in for those of broker/net that
 * handlers call. A reactor is a loop and a mailbox of the test's own thread.
 */
#ifndef TESTS_UNIT_API_EXCHANGE_H
#define TESTS_UNIT_API_EXCHANGE_H

#include "broker/net/request.h"
#include "proto/kafka/codec.h"

struct reactor {
    struct loop *loop;
    struct mailbox *mailbox;
};

enum exchange_outcome { EXCHANGE_OPEN, EXCHANGE_ANSWERED, EXCHANGE_NOTHING, EXCHANGE_CLOSED };

struct exchange {
    struct request request;
    struct buffer frame;
    struct wire_writer writer;
    struct buffer answer;
    struct buffer whole; /* the answer with the ranges of files in their places */
    struct arena arena;  /* what the answer is decoded into */
    struct byte_reader body;
    enum exchange_outcome outcome;
    bool light;         /* parked without its frame */
    bool of_broker;     /* request_note_broker was called */
    const char *reason; /* why it was closed */
    const char *notice; /* the kind of what was last logged about it */
};

void reactor_open(struct reactor *reactor);
void reactor_close(struct reactor *reactor);

/* Encodes a request (`body` by `codec`; NULL: `bytes` as they are) and hands it to the handler. */
void exchange_start(struct exchange *exchange, struct reactor *reactor, struct request_handler *handler,
                    int16_t key, int16_t version, const struct message_codec *codec, const void *body,
                    struct slice bytes);
/* Runs the loop until it is finished, two seconds at most. */
enum exchange_outcome exchange_wait(struct exchange *exchange);
/* Runs the loop for what is due now. */
void exchange_turn(struct exchange *exchange);
/* Waits for an answer and decodes it; valid until exchange_release. */
void exchange_decode(struct exchange *exchange, const struct message_codec *codec, void *out);
/* As when the client ends its stream. */
void exchange_hurry(struct exchange *exchange);
/* As when the connection dies. */
void exchange_abandon(struct exchange *exchange);
void exchange_release(struct exchange *exchange);

#endif
