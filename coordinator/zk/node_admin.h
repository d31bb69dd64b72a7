/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of partitions: what old tools ask for in /admin/reassign_partitions and
 * /admin/preferred_replica_election, and what leaders of old brokers tell below /isr_change_notification.
 */
#ifndef COORDINATOR_ZK_NODE_ADMIN_H
#define COORDINATOR_ZK_NODE_ADMIN_H

#include "common/base.h"
#include "common/buffer.h"
#include "common/slice.h"
#include "coordinator/zk/node_topic.h"

struct node_partition_item {
    char *topic;
    int32_t partition;
    struct node_replicas replicas; /* reassignment only: the target, never empty when decoded */
};

struct node_partition_list {
    struct node_partition_item *items;
    size_t count;
};

void node_partition_list_init(struct node_partition_list *list);
void node_partition_list_release(struct node_partition_list *list);
/* replicas: NULL and 0 where the node has none. Everything is copied. */
void node_partition_list_add(struct node_partition_list *list, struct slice topic, int32_t partition,
                             const int32_t *replicas, size_t replica_count);
/* Takes an item out, the others keep their order. */
void node_partition_list_remove(struct node_partition_list *list, size_t position);

/* {"version":1,"partitions":[{"topic":"orders","partition":0,"replicas":[2,3]}]}. Items that are not
 * understood are skipped (an operator's slip does not hold up the rest) and named in `error` while the result
 * is 0; what is no such document at all gives -EINVAL. */
void node_reassignment_encode(const struct node_partition_list *list, struct buffer *out);
MUST_CHECK int node_reassignment_decode(struct slice data, struct node_partition_list *list,
                                        struct buffer *error);
/* The same without replicas; also the form of an isr_change notification. */
void node_preferred_election_encode(const struct node_partition_list *list, struct buffer *out);
MUST_CHECK int node_preferred_election_decode(struct slice data, struct node_partition_list *list,
                                              struct buffer *error);
void node_isr_change_encode(const struct node_partition_list *list, struct buffer *out);
MUST_CHECK int node_isr_change_decode(struct slice data, struct node_partition_list *list,
                                      struct buffer *error);

#endif
