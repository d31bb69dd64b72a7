/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server with a handler that does what requests tell it, and blocking sockets to talk to it.
 *
 * Requests are Metadata version 0 (any inflexible key would do) whose body is a command: its code, then what
 * the enumeration says. Answers have the response header and then the bytes that are named there.
 */
#ifndef TESTS_UNIT_NET_NETWORK_FIXTURE_H
#define TESTS_UNIT_NET_NETWORK_FIXTURE_H

#include <stdatomic.h>

#include "broker/net/server.h"
#include "common/buffer.h"
#include "common/prng.h"
#include "common/worker.h"

/* No test waits so long unless it fails. */
#define FIXTURE_DEADLINE_MS 20000

enum command {
    COMMAND_ECHO,    /* answered at once with the rest of the body */
    COMMAND_LATER,   /* the same, finished by another thread through the reactor's mailbox, out of order */
    COMMAND_NOTHING, /* no answer */
    COMMAND_CLOSE,   /* the connection is closed */
    COMMAND_PARK,    /* stays until fixture_release, or until it is abandoned; then like ECHO */
    COMMAND_RANGES,  /* count int32, then position int64 and length int32 of each: ranges of the fixture's
                        file,  each with its number as int32 in front of it, and -1 behind the last */
    COMMAND_LIGHT, /* as PARK, but its frame is given back at once, and with it the body: the answer is empty;
                      hurried it is answered */
    COMMAND_TURN,  /* as ECHO, when all answers before it have left */
    COMMAND_BIG,   /* length int32: so many bytes, number i being (uint8_t)(i * 7) */
};

struct network_fixture {
    struct request_handler handler;
    struct network_server_options options;
    struct network_listener_options listeners[2];
    struct network_server *server;
    struct worker *worker;
    struct logger *logger;
    int log_descriptor;  /* the log, a file without a name */
    int file_descriptor; /* the file of COMMAND_RANGES */
    uint8_t *file;       /* its content */
    size_t file_length;
    pthread_mutex_t mutex;
    struct list parked; /* guarded by mutex: struct parked_request */
    atomic_int handled;
    atomic_int abandoned;
    atomic_int turns; /* COMMAND_TURN answered */
    atomic_int ranges_open;
    atomic_int parked_count;
};

/* Default options: one listener on 127.0.0.1, any port, generous limits. Change them, then start. */
void fixture_init(struct network_fixture *fixture);
void fixture_start(struct network_fixture *fixture);
/* Stops and frees everything; checks that no range is left open. */
void fixture_release(struct network_fixture *fixture);
/* Answers all that is parked (on the reactors' threads, later). */
void fixture_unpark(struct network_fixture *fixture);
/* Makes the file of COMMAND_RANGES. */
void fixture_make_file(struct network_fixture *fixture, size_t length);
/* True when the log has the text; waits for it. */
bool fixture_logged(struct network_fixture *fixture, const char *text);
/* Waits until the counter is at least that. */
void wait_for_count(atomic_int *counter, int least);
size_t fixture_connections(struct network_fixture *fixture);
void fixture_wait_connections(struct network_fixture *fixture, size_t count);
void pause_ms(int ms);

/* A blocking socket to 127.0.0.1, with timeouts. */
int dial(int port);
int dial_with_buffer(int port, int receive_buffer_bytes);
void send_bytes(int descriptor, const void *bytes, size_t length);
/* False at the end of the stream or a reset. */
bool receive_bytes(int descriptor, void *bytes, size_t length);
/* Waits for the peer's close; fails the test when bytes come instead. */
void expect_closed(int descriptor);

/* Appends a whole frame. */
void frame_append(struct buffer *out, int16_t key, int16_t version, int32_t correlation_id, const void *body,
                  size_t length);
/* The same with a command and its payload. */
void command_append(struct buffer *out, int32_t correlation_id, enum command command, const void *payload,
                    size_t length);
void send_command(int descriptor, int32_t correlation_id, enum command command, const void *payload,
                  size_t length);
/* One answer; its body goes to `body`, emptied before. False: closed. */
bool receive_answer(int descriptor, int32_t *correlation_id, struct buffer *body);
/* Expects the next answer to be that. */
void expect_answer(int descriptor, int32_t correlation_id, const void *body, size_t length);

#endif
