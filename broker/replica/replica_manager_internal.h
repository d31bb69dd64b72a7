/* SPDX-License-Identifier: Apache-2.0 */
/* The replica manager from inside: what its files share. Only they include this. */
#ifndef BROKER_REPLICA_REPLICA_MANAGER_INTERNAL_H
#define BROKER_REPLICA_REPLICA_MANAGER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "broker/replica/replica_manager.h"
#include "common/map.h"

/* So many replicas that have moved away and could not be removed are remembered. */
#define DEPARTED_MAX 64

/* What is to be removed of one, and is tried again. */
struct departed_replica {
    struct slice topic; /* owned */
    struct uuid topic_id;
    int32_t partition;
    int32_t leader_epoch;
};

struct replica_manager {
    int32_t broker_id;
    struct log_manager *logs;
    struct logger *logger;
    struct replica_host *host;
    int64_t replica_lag_time_max_ms;
    struct partition_faults faults;
    struct partition_host partition_host;

    pthread_rwlock_t lock; /* guards the table */
    struct map *partitions;

    atomic_llong broker_epoch; /* any thread reads; the coordinator sets it after registration */
    atomic_bool leaving;
    /* The replica worker's: */
    int32_t controller_epoch;                       /* the highest seen */
    int64_t sequence;                               /* of its messages: the highest seen */
    int64_t now_ms;                                 /* as it was last told */
    struct departed_replica departed[DEPARTED_MAX]; /* replica_manager_departed.c */
    size_t departed_count;
    int64_t departed_due_ms;
};

/* The name of a topic has at most 249 characters, so a key fits; longer ones are in no table. */
#define KEY_MAX (255 + 4)

/* The state names this broker among the replicas. */
bool replica_manager_is_replica(const struct replica_manager *manager, const struct control_partition *state);
/* Carries out what a stop-replica message says of one partition. The replica worker's. A Kafka error. */
int16_t replica_manager_stop_partition(struct replica_manager *manager,
                                       const struct stop_replica_partition *stop);

/* Takes the partition, which nobody leads or follows any more, out of the table and closes it. The table's
 * reference goes. */
void replica_manager_remove(struct replica_manager *manager, struct partition *partition);

/* replica_manager_departed.c: replicas that have moved away and could not be removed are tried again. */
void replica_manager_retry_departed(struct replica_manager *manager);
/* This broker is a replica of it again. */
void replica_manager_forget_departed(struct replica_manager *manager, struct slice topic, int32_t partition);
void replica_manager_release_departed(struct replica_manager *manager);

#endif
