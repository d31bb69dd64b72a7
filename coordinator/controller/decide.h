/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the state of a partition should be, given who is alive: election, and seats of dead or bounced
 * brokers. A function of the image alone, so it may be asked again at any time and after any doubt (I34): the
 * answer "nothing" means that ZooKeeper already holds what should be. Pure.
 *
 * Who leads, of those with seats (seats.h):
 *
 *   1. A member of the ISR with a good seat. Seats of members that have bounced, and lost something, end;
 *      those that are dead or whose disk has failed leave the ISR too, and stay eligible where it has become
 *      too small. A member whose disk is full keeps its seat (it holds all there is), but another one
 *      leads where it can.
 *   2. Else an eligible replica with a good seat: it holds all that is committed, and begins alone.
 *   3. Else, while one of them all is dead: nobody. It may come back with all that it had. The state stays as
 *      it is, without leader (I26); only unclean.leader.election.enable lets another replica in (I27).
 *   4. Else all of them are here and have lost something. Each says in its answer to the state without leader
 *      where its log ends; the greatest (last epoch, end offset) leads alone. What nobody has is lost.
 *      Where unclean elections are allowed, who has not answered yet is not waited for.
 *
 * A member that is no replica (the last move was cancelled) does not lead: no broker takes such an order. It
 * stays in the ISR, with its log, until a replica with a good seat leads; while it has all and the replicas
 * do not, 4 does not apply.
 *
 * Every change raises leader_epoch by one (I35).
 */
#ifndef COORDINATOR_CONTROLLER_DECIDE_H
#define COORDINATOR_CONTROLLER_DECIDE_H

#include "coordinator/controller/seats.h"

enum decision {
    DECISION_NOTHING,
    DECISION_CREATE, /* the state znode is to be created with *next */
    DECISION_SET     /* ... is to be set to *next, if its version is still the known one */
};

/* *next is filled (to be released) unless DECISION_NOTHING. *unclean: the leader is not of the ISR. */
enum decision decide_partition(const struct image *image, const struct image_partition *partition,
                               const struct decide_settings *settings, struct node_partition_state *next,
                               bool *unclean);

/* *next: the known state as it is, in the next leader epoch; to be released. */
void decide_next_epoch(const struct image_partition *partition, int32_t controller_epoch,
                       struct node_partition_state *next);

/* What the known state waits for, for the log: ids of dead members and dead eligible replicas, "2, 5". */
void decide_print_awaited(const struct image *image, const struct image_partition *partition,
                          const struct decide_settings *settings, struct buffer *out);

/* The topic's own setting, else the default. */
bool decide_unclean_allowed(const struct image_topic *topic, const struct decide_settings *settings);

#endif
