/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the partition core only: partition_core.c (roles, checks) and partition_isr.c (ISR,
 * high watermark). */
#ifndef BROKER_REPLICA_PARTITION_CORE_INTERNAL_H
#define BROKER_REPLICA_PARTITION_CORE_INTERNAL_H

#include "broker/replica/partition_core.h"

/* NULL when the broker has no replica. */
struct remote_replica *partition_core_find_replica(struct partition_core *core, int32_t broker_id);

/* Whether the committed ISR is smaller than min(min.insync.replicas, replicas). */
bool partition_core_is_under_min_isr(const struct partition_core *core);

/* Moves the high watermark as far as the rules allow (I19, I20). */
void partition_core_advance_high_watermark(struct partition_core *core, int64_t now_ms,
                                           struct partition_effects *effects);

/* Forgets every proposal: a newer state of the partition was written, so none of them can be applied any
 * more. */
void partition_core_clear_proposal(struct partition_core *core);

/* The assignment has changed: a proposal that would let in a broker that is no replica any more is not sent
 * again, or, should the broker be a replica again by then, it would get in without a log. */
void partition_core_drop_departed_proposal(struct partition_core *core);

/* Copies at most PARTITION_REPLICAS_MAX members. */
void isr_set_assign(struct isr_set *set, const struct isr_member *members, size_t count);

#endif
