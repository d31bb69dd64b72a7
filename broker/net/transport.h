/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies between a connection and its socket: a small table of operations, so that a connection neither
 * knows nor cares whether its bytes are encrypted. transport_plain.c sends them as they are; TLS is one more
 * file with the same table.
 *
 * All operations never block and return a count or -errno; -EAGAIN: not now, watch for `wants` (LOOP_READ or
 * LOOP_WRITE: TLS may have to write in order to read). They belong to the connection's thread.
 */
#ifndef BROKER_NET_TRANSPORT_H
#define BROKER_NET_TRANSPORT_H

#include <sys/types.h>
#include <sys/uio.h>

#include "common/base.h"

struct transport {
    const struct transport_operations *operations;
    int descriptor; /* the socket; owned */
    unsigned wants; /* after -EAGAIN */
};

struct transport_operations {
    ssize_t (*receive)(struct transport *transport, void *data, size_t length);
    ssize_t (*send)(struct transport *transport, const struct iovec *parts, int count, bool more);
    ssize_t (*send_file)(struct transport *transport, int descriptor, int64_t position, size_t length);
    void (*close)(struct transport *transport);
};

/* The socket's bytes as they are. Takes over the descriptor, which is non-blocking. */
void transport_plain_init(struct transport *transport, int descriptor);

/* Up to `length` bytes, straight into data; 0: the peer sends no more. */
MUST_CHECK static inline ssize_t transport_receive(struct transport *transport, void *data, size_t length)
{
    return transport->operations->receive(transport, data, length);
}

/* Sends some of the parts; more: something follows at once, do not push out a short packet. */
MUST_CHECK static inline ssize_t transport_send(struct transport *transport, const struct iovec *parts,
                                                int count, bool more)
{
    return transport->operations->send(transport, parts, count, more);
}

/* Sends some bytes of a file from `position`; 0: the file ends there. */
MUST_CHECK static inline ssize_t transport_send_file(struct transport *transport, int descriptor,
                                                     int64_t position, size_t length)
{
    return transport->operations->send_file(transport, descriptor, position, length);
}

/* Closes the socket too. */
static inline void transport_close(struct transport *transport)
{
    transport->operations->close(transport);
}

#endif
