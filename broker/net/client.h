/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client side that brokers use towards each other (and the tools towards brokers): one connection to one
 * address, requests pipelined, answers matched by correlation id in order. Belongs to one loop's thread; uses
 * the framing of proto/kafka/frame.h.
 *
 * A client connects when the first request is sent and again after a loss (with a backoff); requests that
 * were in flight then fail with -ECONNRESET, those that wait for a connection fail at their deadline, with
 * -ECONNREFUSED when the last attempt to connect was refused, else -ETIMEDOUT. A request in flight whose
 * deadline passes costs the connection. Host names are resolved on a worker thread; free that worker (which
 * ends what it is at) before the mailbox.
 */
#ifndef BROKER_NET_CLIENT_H
#define BROKER_NET_CLIENT_H

#include "common/base.h"
#include "common/buffer.h"
#include "common/bytes.h"
#include "common/list.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mailbox.h"
#include "common/worker.h"

struct client;

struct client_options {
    struct loop *loop;
    struct mailbox *mailbox; /* of that loop's thread */
    struct worker *resolver; /* for names; may be NULL where hosts are numeric */
    struct logger *logger;
    const char *client_id;
    const char *host;
    int32_t port;
    size_t response_limit_bytes; /* a longer answer costs the connection */
    int64_t connect_timeout_ms;
    int64_t reconnect_backoff_ms;
    int receive_buffer_bytes; /* SO_RCVBUF; 0: the system's */
};

struct client *client_new(const struct client_options *options);
/*
 * Fails what is open with -ECANCELED (callbacks run before this returns; do not send again from these),
 * closes, frees. Also from within a callback of this client.
 */
void client_free(struct client *client);
/* The address may change (a broker came back elsewhere): the connection is renewed when it did. */
void client_set_address(struct client *client, const char *host, int32_t port);

/* One request. Memory is the caller's and stays until `done` was called, which may free it. */
struct client_request {
    int16_t api_key;
    int16_t api_version;
    struct buffer body;  /* behind the request header; released by the client */
    int64_t deadline_ms; /* monotonic */
    int64_t
        connect_deadline_ms; /* when there is no connection to send it on by then, it fails; 0: deadline_ms */
    /*
     * status 0: `body` is behind the response header, borrowed for the call (status < 0: nothing to read):
     * -ETIMEDOUT, -ECONNRESET, -ECONNREFUSED, -EBADMSG, -ECANCELED. Unless it was refused before it was sent,
     * the peer may have carried it out.
     */
    void (*done)(struct client_request *request, int status, struct byte_reader *body);
    struct client *_client;
    struct list _node;
    struct loop_timer _timer;
    int32_t _correlation_id;
    bool _sent;
};

/* Queues the request; `done` is called later, never from within this call. */
void client_send(struct client *client, struct client_request *request);

#endif
