/* SPDX-License-Identifier: Apache-2.0 */
/* /brokers/topics/<t>: topic id and assignment. Read in versions 1 to 3, written in version 3. */
#ifndef COORDINATOR_ZK_NODE_TOPIC_H
#define COORDINATOR_ZK_NODE_TOPIC_H

#include "common/base.h"
#include "common/buffer.h"
#include "common/slice.h"
#include "common/uuid.h"

/* More broker ids than any list may have; bounds the work on a hostile node. */
#define NODE_REPLICAS_MAX 1000

/* A list of broker ids without duplicates, none negative; owned by the node it is in. */
struct node_replicas {
    int32_t *ids;
    size_t count;
};

struct node_assignment {
    int32_t partition;
    struct node_replicas
        replicas; /* never empty; the first is the preferred leader; the union during a move */
    struct node_replicas adding;
    struct node_replicas removing;
};

#define NODE_TOPIC_PARTITIONS_MAX 200000

struct node_topic {
    bool has_topic_id; /* false: written by an old tool; the controller gives one */
    struct uuid topic_id;
    /* Sorted by partition, no duplicates. Holes (a partition number missing in the middle) are possible in
     * what tools have written; it is the controller that judges them. */
    struct node_assignment *partitions;
    size_t partition_count;
    size_t _partition_capacity; /* of what node_topic_add_partition has made; 0: as many as there are */
};

/* Empty, without id. */
void node_topic_init(struct node_topic *node);
void node_topic_release(struct node_topic *node);
/* Adds partition number `partition_count`, with a copy of `replicas` (count > 0). */
void node_topic_add_partition(struct node_topic *node, const int32_t *replicas, size_t count);
/* Replaces a list by a copy of `ids`. */
void node_replicas_set(struct node_replicas *replicas, const int32_t *ids, size_t count);
void node_topic_copy(struct node_topic *to, const struct node_topic *from);
/* NULL: there is no such partition. */
struct node_assignment *node_topic_find(const struct node_topic *node, int32_t partition);

void node_topic_encode(const struct node_topic *node, struct buffer *out);
MUST_CHECK int node_topic_decode(struct slice data, struct node_topic *node, struct buffer *error);

#endif
