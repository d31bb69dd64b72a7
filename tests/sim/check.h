/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The judges. They read what is there, from outside, and never help. What they find goes to world_fail with
 * the number of the rule that is broken.
 */
#ifndef TESTS_SIM_CHECK_H
#define TESTS_SIM_CHECK_H

#include "tests/sim/world.h"

/* After every step of a broker: I9, I13, I1 and I16 on a new leader, I4 and I16 after a truncation, I23. */
void check_broker(struct world *world, int32_t index);
/* The same for one that is about to die: its ends are remembered. */
void check_remember(struct world *world, int32_t index);
/* A partition's state was written into ZooKeeper: I26, I27, I35, then I23. */
void check_state_written(struct world *world, int32_t partition, struct slice data, int32_t version);
/* The number of the controller's term was raised. */
void check_controller_epoch_written(struct world *world, struct slice data);
/* A broker has accepted a control message: not of a former controller, not for another life of it (I32). */
void check_message_accepted(struct world *world, int32_t index, int32_t controller_epoch,
                            int64_t broker_epoch);
/* Acknowledged or served: I1. */
void check_promise(struct world *world, int32_t number, const struct partition_status *status,
                   const struct scanned_batch *batch, bool acknowledged);
/* No two replicas that are alive differ below an (offset, epoch) that both hold: I16. */
void check_replicas_agree(struct world *world, int32_t partition);

/* ---- check_end.c ---- */

/* Whether the cluster is as it should be when nothing disturbs it; *why says what is missing. */
bool check_is_healthy(struct world *world, const char **why, int32_t *partition);
/* What must hold at the very end: I1, I4, I16 on all replicas, I48 for idempotent producers. */
void check_end(struct world *world);

#endif
