/* SPDX-License-Identifier: Apache-2.0 */
/* /config/<type>/<entity> and the notifications below /config/changes. */
#ifndef COORDINATOR_ZK_NODE_CONFIG_H
#define COORDINATOR_ZK_NODE_CONFIG_H

#include "common/base.h"
#include "common/buffer.h"
#include "common/slice.h"

struct node_config_entry {
    char *key;
    char *value;
};

/* As many as one message to a broker can carry for a topic. */
#define NODE_CONFIG_ENTRIES_MAX 1000

/* The settings of one entity, in the order of the node. */
struct node_config {
    struct node_config_entry *entries;
    size_t count;
};

void node_config_init(struct node_config *node);
void node_config_release(struct node_config *node);
/* The value of a key, NULL: not set here. */
const char *node_config_get(const struct node_config *node, const char *key);
/* Sets a key; value NULL takes it out. Texts are copied. */
void node_config_set(struct node_config *node, struct slice key, struct slice value);

/* An empty config is written as {"version":1,"config":{}}. */
void node_config_encode(const struct node_config *node, struct buffer *out);
/* A node without data is an empty config; one with more than NODE_CONFIG_ENTRIES_MAX entries is refused. */
MUST_CHECK int node_config_decode(struct slice data, struct node_config *node, struct buffer *error);

/* A change: entity_path is the path below /config ("topics/orders", "users/alice/clients/app"). Version 2 is
 * written, 1 and 2 are read. decode appends the path to *entity_path. */
void node_config_change_encode(struct slice entity_path, struct buffer *out);
MUST_CHECK int node_config_change_decode(struct slice data, struct buffer *entity_path, struct buffer *error);

#endif
