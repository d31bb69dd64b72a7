/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening sockets and the thread that accepts from them. Sockets are bound and listen from acceptor_new on;
 * connections that come before acceptor_start wait in the kernel's queue. An accepted connection goes to the
 * reactor that has the fewest; one that exceeds a limit is closed at once, with a limited line in the log.
 *
 * Connections leave the process some descriptors for files that it must open (open_files_max); one
 * that would take them is closed as well. When there are none left all the same, a spare one is given up to
 * take the next connection off the queue and close it, so that its peer hears of it, and accepting rests for
 * a moment.
 *
 * All functions belong to the thread that owns the server.
 */
#ifndef BROKER_NET_ACCEPTOR_H
#define BROKER_NET_ACCEPTOR_H

#include "broker/net/reactor.h"
#include "broker/net/server.h"
#include "common/base.h"
#include "common/buffer.h"

struct acceptor;

/* Binds everything; reactors and limits are borrowed. -errno, and a sentence in `error`. */
MUST_CHECK int acceptor_new(const struct network_server_options *options, struct reactor **reactors,
                            struct connection_limits *limits, struct acceptor **acceptor,
                            struct buffer *error);
MUST_CHECK int acceptor_start(struct acceptor *acceptor);
/* Ends the thread and closes the listening sockets. */
void acceptor_stop(struct acceptor *acceptor);
void acceptor_free(struct acceptor *acceptor);

int acceptor_port(const struct acceptor *acceptor, size_t listener);
/* Any thread. */
uint64_t acceptor_accepted(const struct acceptor *acceptor);
uint64_t acceptor_refused(const struct acceptor *acceptor);

/* listener.c: a socket that listens for one entry of `listeners`. Its port is in *port. */
MUST_CHECK int listener_bind(const struct network_listener_options *listener,
                             const struct network_server_options *options, int *descriptor, int *port,
                             struct buffer *error);

#endif
