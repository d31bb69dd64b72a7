/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which replica a consumer should read from (KIP-392): with
 * replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector one in the client's own
 * rack. Only leaders choose; among in-sync replicas that have the offset asked for, the one that has most of
 * the log. Pure.
 */
#ifndef BROKER_REPLICA_REPLICA_SELECTOR_H
#define BROKER_REPLICA_REPLICA_SELECTOR_H

#include "common/base.h"
#include "common/slice.h"

/* "Read from the leader." */
#define PREFERRED_REPLICA_NONE (-1)

/* A follower that may be read from. */
struct read_candidate {
    int32_t broker_id;
    int64_t end_offset; /* as far as the leader knows */
    int64_t behind_ms;  /* since it last had all */
    struct slice rack;  /* null or empty: unknown */
};

/*
 * The candidate to read from: in `client_rack`, unless the leader is there itself; the greatest end offset
 * wins, then the shorter time behind, then the greater id. PREFERRED_REPLICA_NONE: the leader, also where the
 * client names no rack.
 */
int32_t replica_select_by_rack(struct slice client_rack, struct slice leader_rack,
                               const struct read_candidate *candidates, size_t count);

#endif
