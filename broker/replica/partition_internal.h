/* SPDX-License-Identifier: Apache-2.0 */
/* The partition's structure and how its mutex is left; shared by partition.c, partition_fetch.c and
 * partition_follow.c only. */
#ifndef BROKER_REPLICA_PARTITION_INTERNAL_H
#define BROKER_REPLICA_PARTITION_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "broker/replica/partition.h"

struct partition {
    /* Any thread; acquire-release, so that the last release sees everything. */
    atomic_int references;
    /* Never change after partition_new. */
    char *topic;
    struct uuid topic_id;
    int32_t number;
    struct partition_host *host;

    pthread_mutex_t mutex; /* guards all below */
    struct partition_log *log;
    struct partition_core core;
    struct list watchers;
    bool closed;
};

/* Locks. The effects are empty. */
void partition_enter(struct partition *partition, struct partition_effects *effects);
/* Takes out the watchers whose time has come, unlocks, then fires them and calls the host. */
void partition_leave(struct partition *partition, const struct partition_effects *effects);
/* Tells the core the log's bounds. */
void partition_sync_core(struct partition *partition, int64_t now_ms, struct partition_effects *effects);

#endif
