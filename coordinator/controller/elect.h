/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Elections that somebody asks for, as opposed to those that a death makes necessary (decide.h): an operator
 * or the periodic balancing wants the preferred replica to lead, or an operator takes any replica that is
 * left. Functions of the image alone, like decide_partition, and asked after it: while it has something to
 * say about a partition, no election is due there. Pure.
 */
#ifndef COORDINATOR_CONTROLLER_ELECT_H
#define COORDINATOR_CONTROLLER_ELECT_H

#include "coordinator/controller/image.h"

/* As in ElectLeaders. */
enum elect_type {
    ELECT_PREFERRED = 0, /* the first replica of the assignment, if it is in the ISR */
    ELECT_UNCLEAN = 1    /* any live replica, where there is no leader */
};

/*
 * What the election makes of the partition: KAFKA_NONE and *next to be written (to be released), leader epoch
 * raised by one (I35); or the protocol's error, *next untouched:
 *
 *   ELECTION_NOT_NEEDED              the preferred replica leads; or, unclean, there is a leader
 *   PREFERRED_LEADER_NOT_AVAILABLE   it is dead, stopping, out of the ISR, or its disk cannot take records
 *   ELIGIBLE_LEADERS_NOT_AVAILABLE   no replica is alive
 *   UNKNOWN_TOPIC_OR_PARTITION       the partition is NULL
 *   INVALID_TOPIC_EXCEPTION          its topic is being deleted
 *
 * *unclean: the leader was not in the ISR; the state is then marked RECOVERING (I27).
 */
int16_t elect_leader(const struct image *image, const struct image_partition *partition, enum elect_type type,
                     int32_t controller_epoch, struct node_partition_state *next, bool *unclean);
/* What an error of elect_leader means, for the answer; NULL for errors that say it themselves. */
const char *elect_message(int16_t error);

/*
 * The periodic balancing: `chosen` is called for each partition that is to go back to its preferred leader.
 * A broker gets its partitions back when of those that prefer it a greater share than `percentage` is led by
 * others; of these only what it can lead now. None while any partition is being reassigned.
 * Returns how many were chosen.
 */
size_t elect_balance(const struct image *image, int32_t percentage,
                     void (*chosen)(void *context, const struct image_partition *partition), void *context);

#endif
