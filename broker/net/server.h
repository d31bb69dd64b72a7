/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network side of a broker: listeners, one thread that accepts, N reactors that read requests and send
 * answers. Who builds a broker makes a server (which binds, so that a port that is taken is found at once),
 * prepares what the handler needs, starts it, and later stops and frees it:
 *
 *     network_server_new -> network_server_start -> network_server_stop -> network_server_free
 *
 * The functions here belong to one thread, that of main, unless they say otherwise.
 */
#ifndef BROKER_NET_SERVER_H
#define BROKER_NET_SERVER_H

#include "broker/config/listeners.h"
#include "broker/net/request.h"
#include "common/base.h"
#include "common/buffer.h"
#include "common/log.h"

struct network_server;

/* One entry of `listeners`. */
struct network_listener_options {
    const char *name;                /* unique; in requests and log lines */
    enum security_protocol security; /* only SECURITY_PLAINTEXT is served; others are refused at new */
    const char *host; /* name or address, IPv6 with or without brackets; NULL or "": all interfaces */
    int port;         /* 0: any free one, see network_server_port */
};

/* Everything is copied but the logger and the handler, which must outlive the server. */
struct network_server_options {
    const struct network_listener_options *listeners;
    size_t listener_count;
    const char *inter_broker_listener; /* requests that come in by it have inter_broker set */
    int reactor_count;                 /* num.network.threads */
    int listen_backlog;                /* socket.listen.backlog.size */
    int send_buffer_bytes;             /* socket.send.buffer.bytes; <= 0: the system's */
    int receive_buffer_bytes;          /* socket.receive.buffer.bytes; <= 0: the system's */
    size_t request_max_bytes;          /* socket.request.max.bytes: a longer frame costs the connection */
    size_t max_connections;            /* max.connections, over all listeners */
    size_t max_connections_per_ip;     /* max.connections.per.ip */
    size_t max_connection_descriptors; /* open files that may be connections (ulimit -n); 0: no bound */
    size_t open_files_max; /* of the process (ulimit -n): connections leave some of them; 0: not known */
    const char *max_connections_per_ip_overrides; /* its overrides, "host:count,..."; NULL: none */
    int64_t connections_max_idle_ms;              /* connections.max.idle.ms; < 0: never */
    /*
     * queued.max.request.bytes: memory of requests that are being read or not yet answered, in the whole
     * broker. Beyond it connections are not read until there is room; nothing is dropped. 0: no bound.
     */
    size_t queued_max_request_bytes;
    struct logger *logger;
    struct request_handler *handler;
};

/*
 * Binds and listens, makes the reactors with their loops and mailboxes; nothing is accepted yet. Otherwise
 * -errno, and a sentence for the operator is appended to `error`, e.g. "listener PLAINTEXT: cannot listen on
 * 127.0.0.1:9092: address already in use: ...".
 */
MUST_CHECK int network_server_new(const struct network_server_options *options,
                                  struct network_server **server, struct buffer *error);

/* Starts the threads; from here the handler is called. 0 or -errno (then call stop and free). */
MUST_CHECK int network_server_start(struct network_server *server);

/*
 * Stops accepting and reading; connections close as soon as their parked requests are answered and sent, at
 * the latest after `timeout_ms` (their requests are then abandoned: request->abandoned is called). Returns
 * when all threads have ended. Mailboxes of reactors still take mails, which network_server_free handles.
 */
void network_server_stop(struct network_server *server, int64_t timeout_ms);

/*
 * Handles the mails that are left, on the calling thread, and frees. Stops first when that was not done.
 * Nobody may use a reactor or hold a request afterwards.
 */
void network_server_free(struct network_server *server);

/* The port that the listener is bound to, in the order of options->listeners. */
int network_server_port(const struct network_server *server, size_t listener);

/* The reactors, from 0 to count - 1: valid from new to free, to post mails to (any thread). */
int network_server_reactor_count(const struct network_server *server);
struct reactor *network_server_reactor(struct network_server *server, int number);

/* For metrics, from any thread; approximate while things move. */
struct network_server_statistics {
    size_t connections;
    size_t queued_request_bytes;
    uint64_t accepted;
    uint64_t refused; /* closed at once by a limit */
};

void network_server_statistics(const struct network_server *server,
                               struct network_server_statistics *statistics);

#endif
