/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the state of a partition should be, given who is alive: election, and seats of dead or bounced
 * brokers. A function of the image alone, so it may be asked again at any time and after any doubt (I34): the
 * answer "nothing" means that ZooKeeper already holds what should be. Pure.
 *
 * Seats (I25): a member keeps its seat while the registered broker epoch is the one of the seat, or while the
 * registration says that its logs have lost nothing since (intact_since); such a seat is written anew with
 * the present epoch. A seat without an epoch (written by another tool) counts as the present life once, and
 * is written with its epoch. A member whose disk
 * is full keeps its seat (it holds all there is), but another one leads where it can. A seat whose holder's
 * disk has failed ends like that of a dead broker. All other seats end, with one exception: the last ones. If
 * no member keeps its seat, a member that is alive again leads alone; if none is alive, the ISR stays as it
 * is, without leader (I26), and only unclean.leader.election.enable lets another replica in (I27).
 *
 * Every change raises leader_epoch by one (I35).
 */
#ifndef COORDINATOR_CONTROLLER_DECIDE_H
#define COORDINATOR_CONTROLLER_DECIDE_H

#include "coordinator/controller/image.h"

struct decide_settings {
    int32_t controller_epoch;
    bool unclean_by_default; /* unclean.leader.election.enable of the broker */
    bool unclean_always;     /* faults, see controller.h */
    bool isr_by_id;
    bool keep_leader_epoch;
};

enum decision {
    DECISION_NOTHING,
    DECISION_CREATE, /* the state znode is to be created with *next */
    DECISION_SET     /* ... is to be set to *next, if its version is still the known one */
};

/* *next is filled (to be released) unless DECISION_NOTHING. *unclean: the leader is not of the ISR. */
enum decision decide_partition(const struct image *image, const struct image_partition *partition,
                               const struct decide_settings *settings, struct node_partition_state *next,
                               bool *unclean);

/* The topic's own setting, else the default. */
bool decide_unclean_allowed(const struct image_topic *topic, const struct decide_settings *settings);

#endif
