/* SPDX-License-Identifier: Apache-2.0 */
/* A leader's proposal of another ISR (AlterPartition, KIP-497, KIP-903): its checks, in Kafka's order. Pure.
 */
#ifndef COORDINATOR_CONTROLLER_ISR_CHANGE_H
#define COORDINATOR_CONTROLLER_ISR_CHANGE_H

#include "coordinator/controller/seats.h"
#include "proto/control/control.h"

/* The request as a whole: NONE, or STALE_BROKER_EPOCH for a sender that is not registered in that life. */
int16_t isr_change_check_sender(const struct image *image, int32_t broker_id, int64_t broker_epoch);

/*
 * One partition of it. NONE with *write false: the state is already so. NONE with *write true: *next (to be
 * released) is to be written over the known version. Else the error for the leader.
 *
 * A leader that knows the present partition epoch and proposes the ISR as it is wants a barrier: it has an
 * earlier proposal in doubt that may still arrive. The state is written unchanged, so that the partition
 * epoch rises and nothing older can be applied any more (partition_core.h). Members that leave an
 * ISR that becomes too small stay eligible (seats.h).
 */
int16_t isr_change_check(const struct image *image, int32_t sender, const struct alter_partition_item *item,
                         const struct decide_settings *settings, bool *write,
                         struct node_partition_state *next);

#endif
