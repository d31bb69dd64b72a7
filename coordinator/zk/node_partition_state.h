/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /brokers/topics/<t>/partitions/<p>/state: leader, ISR and epochs of a partition. Its znode version is the
 * partition epoch. The one place that writes it refuses, by CHECK, a state that must never exist (I26): an
 * empty ISR, a duplicate in it, a leader that is not in it.
 *
 * Two of its fields are ours alone: "isr_broker_epochs", and "elr" with "elr_broker_epochs". Kafka's reader
 * takes the fields it knows and skips others; whoever writes the node without knowing them drops them, which
 * is safe: what is not said is not believed.
 */
#ifndef COORDINATOR_ZK_NODE_PARTITION_STATE_H
#define COORDINATOR_ZK_NODE_PARTITION_STATE_H

#include "common/base.h"
#include "common/buffer.h"
#include "common/slice.h"

#define NODE_NO_LEADER (-1)

enum node_leader_recovery { NODE_LEADER_RECOVERED = 0, NODE_LEADER_RECOVERING = 1 };

struct node_partition_state {
    int32_t leader; /* or NODE_NO_LEADER */
    int32_t leader_epoch;
    int32_t controller_epoch;
    enum node_leader_recovery leader_recovery; /* RECOVERING after an unclean election */
    int32_t *isr;                              /* order kept */
    size_t isr_count;
    /* Ours: the broker epoch with which each member of `isr` was confirmed, -1 where unknown; NULL when the
     * node does not say, as in what Kafka writes. */
    int64_t *isr_broker_epochs;
    /* Ours: eligible leader replicas (as KIP-966 has them): members that left while the ISR was, or became,
     * smaller than min.insync.replicas, and the broker epoch of the seat that each had. While there are any,
     * the leader commits nothing, so that each of them still holds all that is committed. */
    int32_t *elr;
    int64_t *elr_broker_epochs;
    size_t elr_count;
};

/* No leader, epochs 0, no ISR: not yet a legal state. */
void node_partition_state_init(struct node_partition_state *state);
void node_partition_state_release(struct node_partition_state *state);
/* Replaces the ISR by copies; broker_epochs may be NULL. */
void node_partition_state_set_isr(struct node_partition_state *state, const int32_t *isr,
                                  const int64_t *broker_epochs, size_t count);
/* Replaces the eligible leader replicas by copies. */
void node_partition_state_set_elr(struct node_partition_state *state, const int32_t *elr,
                                  const int64_t *broker_epochs, size_t count);
void node_partition_state_copy(struct node_partition_state *to, const struct node_partition_state *from);
/* What may be written: see above. */
bool node_partition_state_is_legal(const struct node_partition_state *state);
/* The same leader, epochs, recovery state, ISR, eligible replicas and broker epochs. */
bool node_partition_state_equals(const struct node_partition_state *a, const struct node_partition_state *b);

/* CHECKs that the state is legal. */
void node_partition_state_encode(const struct node_partition_state *state, struct buffer *out);
/* An illegal state is refused with its reason. */
MUST_CHECK int node_partition_state_decode(struct slice data, struct node_partition_state *state,
                                           struct buffer *error);

#endif
