/* SPDX-License-Identifier: Apache-2.0 */
/* Images in a few words, for the tests of the pure files. */
#ifndef TESTS_UNIT_CONTROLLER_CLUSTER_IMAGE_H
#define TESTS_UNIT_CONTROLLER_CLUSTER_IMAGE_H

#include <stdlib.h>

#include "common/memory.h"
#include "coordinator/controller/image.h"

static inline void cluster_add_broker(struct image *image, int32_t id, int64_t epoch, int64_t intact_since,
                                      const char *rack)
{
    struct node_broker node;
    node_broker_init(&node);
    node_broker_add_endpoint(&node, slice_of("PLAINTEXT"), slice_of("PLAINTEXT"), slice_of("localhost"),
                             9000 + id);
    node.intact_since = intact_since;
    node.rack = rack != NULL ? memory_copy_string(rack) : NULL;
    (void)image_set_broker(image, id, epoch, &node);
}

/* A topic "t" of one partition with these replicas, and no state. */
static inline struct image_partition *cluster_add_topic(struct image *image, const int32_t *replicas,
                                                        size_t count)
{
    struct node_topic node;
    node_topic_init(&node);
    node.has_topic_id = true;
    node.topic_id.bytes[0] = 7;
    node_topic_add_partition(&node, replicas, count);
    struct image_topic *topic = image_add_topic(image, slice_of("t"));
    image_set_topic(image, topic, &node, 0);
    node_topic_release(&node);
    topic->config_known = true;
    image_set_state(image, topic->partitions[0], NULL, 0);
    return topic->partitions[0];
}

static inline void cluster_set_state(struct image *image, struct image_partition *partition, int32_t leader,
                                     int32_t leader_epoch, const int32_t *isr, const int64_t *epochs,
                                     size_t count, int32_t version)
{
    struct node_partition_state state;
    node_partition_state_init(&state);
    state.leader = leader;
    state.leader_epoch = leader_epoch;
    state.controller_epoch = 1;
    node_partition_state_set_isr(&state, isr, epochs, count);
    (void)image_set_state(image, partition, &state, version);
    node_partition_state_release(&state);
}

/* The same state, with these eligible replicas too. */
static inline void cluster_set_eligible(struct image *image, struct image_partition *partition,
                                        const int32_t *ids, const int64_t *epochs, size_t count)
{
    struct node_partition_state state;
    node_partition_state_copy(&state, &partition->state);
    node_partition_state_set_elr(&state, ids, epochs, count);
    (void)image_set_state(image, partition, &state, partition->version + 1);
    node_partition_state_release(&state);
}

#endif
