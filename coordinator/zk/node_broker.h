/* SPDX-License-Identifier: Apache-2.0 */
/* /brokers/ids/<id>: a broker's registration. Read in versions 1 to 5, written in version 5. */
#ifndef COORDINATOR_ZK_NODE_BROKER_H
#define COORDINATOR_ZK_NODE_BROKER_H

#include "common/base.h"
#include "common/buffer.h"
#include "common/slice.h"

/* One advertised listener. */
struct node_endpoint {
    char *listener; /* "PLAINTEXT", "INTERNAL"... */
    char *protocol; /* "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL" */
    char *host;     /* IPv6 without brackets */
    int32_t port;
};

struct node_broker {
    int32_t version;  /* as read; encode always writes 5 */
    int32_t jmx_port; /* -1: none */
    int64_t timestamp_ms;
    char *rack; /* NULL: none */
    struct node_endpoint *endpoints;
    size_t endpoint_count; /* at least one in a decoded node */
    /* Ours: the broker epoch since which this broker's log directories have lost nothing; -1: not said, as in
     * what Kafka writes. Of its former lives up to intact_until only (an older copy of its directories knows
     * no more); -1: of all. */
    int64_t intact_since;
    int64_t intact_until;
    /* Ours: the first broker epoch of the process, which has lost nothing since; -1: this is the first. */
    int64_t alive_since;
};

/* An empty node: no endpoints, jmx_port -1, intact_since, intact_until and alive_since -1. */
void node_broker_init(struct node_broker *node);
void node_broker_release(struct node_broker *node);
/* Adds an endpoint; the texts are copied. */
void node_broker_add_endpoint(struct node_broker *node, struct slice listener, struct slice protocol,
                              struct slice host, int32_t port);
void node_broker_copy(struct node_broker *to, const struct node_broker *from);
/* The endpoint of a listener name, NULL: none. */
const struct node_endpoint *node_broker_endpoint(const struct node_broker *node, struct slice listener);

void node_broker_encode(const struct node_broker *node, struct buffer *out);
/* *node needs no init; on success the caller releases it. */
MUST_CHECK int node_broker_decode(struct slice data, struct node_broker *node, struct buffer *error);

#endif
