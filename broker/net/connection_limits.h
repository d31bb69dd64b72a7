/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many connections there are, in all and from each address (max.connections, max.connections.per.ip and
 * its overrides). The acceptor takes a place, the reactor that closes the connection gives it back. Any
 * thread; a mutex guards it, which is taken only when connections come and go.
 */
#ifndef BROKER_NET_CONNECTION_LIMITS_H
#define BROKER_NET_CONNECTION_LIMITS_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "common/base.h"
#include "common/buffer.h"

struct connection_limits;

enum connection_verdict { CONNECTION_ADMITTED, CONNECTION_TOO_MANY, CONNECTION_TOO_MANY_FROM_ADDRESS };

struct connection_limits *connection_limits_new(size_t max_connections, size_t max_connections_per_ip);
/*
 * Other bounds for single addresses: "host:count,...", each host an address (IPv6 with or without brackets)
 * or a name, whose addresses are all meant. Before threads start. 0; or -EINVAL, and what is wrong is
 * appended to `error`.
 */
MUST_CHECK int connection_limits_override(struct connection_limits *limits, const char *text,
                                          struct buffer *error);
void connection_limits_free(struct connection_limits *limits);

/* Takes a place unless a limit is reached. */
MUST_CHECK enum connection_verdict connection_limits_enter(struct connection_limits *limits,
                                                           const struct in6_addr *address);
void connection_limits_leave(struct connection_limits *limits, const struct in6_addr *address);
size_t connection_limits_count(struct connection_limits *limits);

/* The address of a socket's peer; IPv4 as ::ffff:a.b.c.d. */
struct in6_addr socket_address_bytes(const struct sockaddr_storage *address);

/* Longest text of an address with its port, and its NUL. */
#define SOCKET_ADDRESS_TEXT_BYTES 64
/* "127.0.0.1:9092", "[::1]:9092". */
void socket_address_print(const struct sockaddr_storage *address, char *text, size_t size);

#endif
