/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a broker listens, what it advertises, and by which listener brokers talk to each other: the keys
 * listeners, advertised.listeners, listener.security.protocol.map, inter.broker.listener.name,
 * security.inter.broker.protocol and control.plane.listener.name, with Kafka's rules:
 *
 *   - names are kept in capitals; each stands in the protocol map; each occurs once;
 *   - ports differ (0, "any free one", may repeat; one IPv4 and one IPv6 address may share a port);
 *   - advertised names are a subset of the listeners'; ports may repeat; never 0.0.0.0;
 *   - the inter-broker listener is advertised.
 */
#ifndef BROKER_CONFIG_LISTENERS_H
#define BROKER_CONFIG_LISTENERS_H

#include "common/base.h"
#include "common/buffer.h"
#include "common/slice.h"

enum security_protocol {
    SECURITY_PLAINTEXT,
    SECURITY_SSL,
    SECURITY_SASL_PLAINTEXT,
    SECURITY_SASL_SSL,
};

/* "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL". */
const char *security_protocol_name(enum security_protocol protocol);
/* The protocol of a name in capitals or not, or -EINVAL. */
int security_protocol_parse(struct slice name);

struct listener {
    char *name; /* in capitals */
    enum security_protocol protocol;
    char *host;   /* without brackets; "": all interfaces (listening), this machine's name (advertised) */
    int32_t port; /* 0: any free one; advertised: the one that is bound */
};

struct listener_set {
    struct listener *items;
    size_t count;
};

/* All of it, checked. */
struct listeners {
    struct listener_set bound;
    struct listener_set advertised;
    char *inter_broker; /* name of the listener; among `advertised` */
};

/* The texts of the keys; NULL where a key is not set. */
struct listener_texts {
    const char *listeners; /* never NULL: has a default */
    const char *advertised;
    const char *protocol_map; /* never NULL: has a default */
    const char *inter_broker_name;
    const char *inter_broker_protocol; /* only if it was set */
    const char *control_plane_name;
};

void listeners_init(struct listeners *listeners);
void listeners_release(struct listeners *listeners);

/*
 * Parses and checks. 0, or -EINVAL with `key` (a constant) naming the key that is wrong and the reason in
 * `error`. Protocols that this release does not serve are parsed as well: listeners_check_served tells.
 */
MUST_CHECK int listeners_parse(struct listeners *listeners, const struct listener_texts *texts,
                               const char **key, struct buffer *error);
/* 0, or -EINVAL with a sentence naming the first listener whose security protocol is not served yet. */
MUST_CHECK int listeners_check_served(const struct listeners *listeners, struct buffer *error);

/* NULL when there is none of that name (capitals or not). */
const struct listener *listener_set_find(const struct listener_set *set, const char *name);
/* Gives advertised listeners without a host this one: the machine's name, which the server finds out. */
void listeners_fill_advertised_host(struct listeners *listeners, const char *host);
/* A listener was bound to this port: an advertised port 0 of the same name becomes it. */
void listeners_set_bound_port(struct listeners *listeners, const char *name, int32_t port);

#endif
