/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves of replicas (KIP-455): what an assignment is at each point of a move, and what the next step is. All
 * of a move stands in two znodes: the topic's (replicas, adding, removing) and the partition's state (leader,
 * ISR), so any controller goes on where the last one stopped (I36). Pure.
 *
 *   origin: replicas without adding      target: replicas without removing
 *
 *   start    replicas = target, then those of the origin that are not in it; adding, removing by difference
 *   wait     until the whole target is in the ISR, as ZooKeeper has it
 *   shrink   decide_partition takes those that leave out of the ISR, and moves the leadership into the target
 *   finish   replicas = target, nothing is added or removed; brokers that have left hear it in metadata and
 *            remove their folders
 *
 * Cancelling is a move whose target is the origin: it needs one step. A move replaces one that is under way.
 */
#ifndef COORDINATOR_CONTROLLER_REASSIGN_H
#define COORDINATOR_CONTROLLER_REASSIGN_H

#include "coordinator/controller/image.h"
#include "coordinator/controller/seats.h"

/* What leaders can keep track of (partition_core.h); a move over more replicas at once is refused. */
#define REASSIGN_REPLICAS_MAX 64

bool reassign_is_running(const struct node_assignment *assignment);
/* Some partition of the topic is being moved. */
bool reassign_is_running_in(const struct image_topic *topic);
/* The broker is in the target of the move; without a move: it is a replica. */
bool reassign_stays(const struct node_assignment *assignment, int32_t broker_id);
/* The target is exactly this list, in this order. */
bool reassign_has_target(const struct node_assignment *assignment, const struct node_replicas *target);
/* All of the target are among these brokers (an ISR). False for a target without replicas. */
bool reassign_has_arrived(const struct node_assignment *assignment, const int32_t *ids, size_t count);

/* The assignment with which a move from `from` to `target` begins, to be released. */
void reassign_to(const struct node_assignment *from, const struct node_replicas *target,
                 struct node_assignment *next);
/* The same back to the origin. */
void reassign_cancel(const struct node_assignment *from, struct node_assignment *next);
/* The assignment with which the move is over. */
void reassign_finish(const struct node_assignment *from, struct node_assignment *next);
void reassign_release(struct node_assignment *assignment);

enum reassign_step {
    REASSIGN_NONE,  /* no move */
    REASSIGN_WAITS, /* for the target to arrive, or for the state to be decided and written */
    REASSIGN_ENDS   /* the assignment is to be replaced by what reassign_finish makes */
};
/* What is to be done about the move of a partition whose state is settled. */
enum reassign_step reassign_next(const struct image_partition *partition);

/* What the assignment takes in its topic's znode, exactly or a little more. */
size_t reassign_bytes(const struct node_assignment *assignment);

/* The first assignment has replicas that the second has not. */
bool reassign_drops(const struct node_assignment *from, const struct node_assignment *next);
/*
 * Of the members of the ISR with a good seat (seats.h) at least min.insync.replicas would stay, or as many as
 * there are if there are fewer; or there is no state yet. What was acknowledged by so many must not be left
 * to fewer by a move that is cancelled or replaced.
 */
bool reassign_is_safe(const struct image *image, const struct image_partition *partition,
                      const struct node_assignment *next, const struct decide_settings *settings);

/*
 * The checks of a client's request, in Kafka's order: KAFKA_NONE, or the error with its message. partition
 * may be NULL: there is none. target NULL: to be cancelled.
 */
int16_t reassign_check(const struct image *image, const struct image_partition *partition,
                       const struct node_replicas *target, const struct decide_settings *settings,
                       struct buffer *message);

#endif
