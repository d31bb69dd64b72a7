/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the replicas of new partitions go: round robin with a shift, so that leaders, and the followers of
 * each leader, spread evenly; with racks, each partition over as many racks as there are. Kafka's placement,
 * number by number. Pure.
 */
#ifndef COORDINATOR_CONTROLLER_ASSIGN_H
#define COORDINATOR_CONTROLLER_ASSIGN_H

#include "common/base.h"
#include "coordinator/membership/roster.h"

struct assign_request {
    size_t partition_count;    /* to be placed */
    size_t replication_factor; /* 1 .. brokers */
    size_t first_partition;    /* how many the topic has already */
    size_t start;              /* index of the first leader in the order of brokers */
    size_t shift;              /* between the leader and its first follower */
};

enum assign_result {
    ASSIGN_OK,
    ASSIGN_TOO_FEW_BROKERS, /* none, or fewer than replicas */
    ASSIGN_RACKS_PARTIAL    /* some brokers have a rack, some have not */
};

/* Fills replicas[partition * replication_factor + i], the preferred leader first. */
enum assign_result assign_replicas(const struct roster *brokers, const struct assign_request *request,
                                   int32_t *replicas);

#endif
