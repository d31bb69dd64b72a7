/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seats: which brokers still hold everything that was committed (I23, I25), and who is remembered when the
 * ISR becomes too small to commit. Pure.
 *
 * A seat in the ISR or among the eligible leader replicas (ELR) belongs to (broker id, broker epoch). It is
 * good while the registered broker epoch is the one of the seat, or while the registration says that the
 * broker's logs have lost nothing since (intact_since). A seat without an epoch (written by another tool)
 * counts as the present life once, and is written with its epoch.
 *
 * Eligible leader replicas, as KIP-966 has them. The rule that everything rests on: WHILE THE STATE NAMES AN
 * ELIGIBLE REPLICA, THE LEADER COMMITS NOTHING. It is told so in the same message, and the same answer, as
 * the ISR (control_partition.commits_held), and does not look at its own min.insync.replicas for it: so it
 * does not matter whether leader and controller mean the same number, or learn of a new one at different
 * times.
 *
 *   - A member that leaves becomes eligible only when the ISR that is written then is smaller than
 *     min(min.insync.replicas, replicas). It held all that was committed: a leader that does not know yet of
 *     its leaving still waits for it in the high watermark (I19), and one that knows commits nothing. That is
 *     true until the state names no eligible replica any more, and then nobody is left of whom it would have
 *     to be true.
 *   - The setting is lowered (or replicas become fewer): the controller writes a state without eligible
 *     replicas, and only that state lets the leader commit alone.
 *   - It is raised: who has left before is not there to be remembered; from the next shrink on they are.
 *   - A deposed leader counts fetches of its own epoch only, of all members that it knows: what it still
 *     commits, they held before they heard of a new epoch, and the new leader is one of those who keep it.
 *
 * An eligible seat whose broker has bounced and lost something ends, without a write: whoever looks sees its
 * epoch. It is taken out of the state at the next change. The seat of a broker that is no replica any more is
 * taken out by a write of its own: its log may go, and the broker be added again in the same life (I23).
 */
#ifndef COORDINATOR_CONTROLLER_SEATS_H
#define COORDINATOR_CONTROLLER_SEATS_H

#include "coordinator/controller/image.h"

/* What decisions depend on besides the image. */
struct decide_settings {
    int32_t controller_epoch;
    int32_t min_insync_replicas; /* where the topic does not say; 0 counts as 1 */
    bool unclean_by_default;     /* unclean.leader.election.enable of the broker */
    bool unclean_always;         /* faults, see controller.h */
    bool isr_by_id;
    bool keep_leader_epoch;
    bool no_eligible;
};

enum seat {
    SEAT_NONE,    /* neither in the ISR nor eligible */
    SEAT_KEPT,    /* the same life */
    SEAT_RENEWED, /* another life of an intact broker, or a seat without epoch */
    SEAT_BOUNCED, /* alive again, but not known to hold what it held */
    SEAT_GONE     /* not alive, or its disk has failed */
};

/* The seat of a broker in the known state: in the ISR, else among the eligible replicas. */
enum seat seat_of_broker(const struct image *image, const struct image_partition *partition,
                         int32_t broker_id, const struct decide_settings *settings);

/* min(min.insync.replicas, replicas). While the topic's settings are not known yet: more than there are
 * replicas, so that nobody is forgotten for lack of knowledge. */
size_t seats_min_isr(const struct image_partition *partition, const struct decide_settings *settings);

/* The state names an eligible replica that is no replica: it may remove its log at any time, so that its seat
 * has to be written away before it can be added again. */
bool seats_name_stranger(const struct image_partition *partition);

/* Of two brokers that were asked where their logs end: the first has said more than the second, by (last
 * epoch, end offset). Who has said nothing has less than whoever has. */
bool seats_has_longer_log(const struct image *image, const struct image_partition *partition,
                          int32_t broker_id, int32_t other_id);

/*
 * Replaces the eligible replicas of *next, whose leader and ISR are filled, by those that follow from the
 * known state. Whoever writes a state calls it. Without leader: those that are replicas. None after an
 * election of a leader that had no good seat (its log is the truth from now on), and none while the ISR is
 * large enough.
 */
void seats_fill_eligible(const struct image *image, const struct image_partition *partition,
                         const struct decide_settings *settings, struct node_partition_state *next);

#endif
