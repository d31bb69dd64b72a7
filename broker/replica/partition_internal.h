/* SPDX-License-Identifier: Apache-2.0 */
/* The partition's structure and how its mutex is left; shared by the partition_*.c files of the shell only.
 */
#ifndef BROKER_REPLICA_PARTITION_INTERNAL_H
#define BROKER_REPLICA_PARTITION_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "broker/replica/partition.h"
#include "proto/kafka/error.h"

#define FLUSH_URGENCIES 2

struct partition {
    /* Any thread; acquire-release, so that the last release sees everything. */
    atomic_int references;
    /* Never change after partition_new. */
    char *topic;
    struct uuid topic_id;
    int32_t number;
    struct partition_host *host;

    atomic_bool throttled_as_leader; /* the topic's settings name this replica */
    atomic_bool throttled_as_follower;
    _Atomic(const struct log_health *) health; /* the log's; changes under the mutex */

    pthread_mutex_t mutex; /* guards all below */
    struct partition_log *log;
    struct partition_core core;
    struct list watchers;
    /* Of each kind: no watcher waits for a lower offset; INT64_MAX: none waits. Thousands may wait for one
     * flush, and what passes by meanwhile must not look at each of them. */
    int64_t watched_min[WATCH_KINDS];
    bool closed;
    bool failure_told; /* the host knows that the log has failed */
    /* Flushes: what the host was asked for and has not begun, per urgency; how many run; the first record
     * that no flush has taken has been there since, or -1; after one that could not be done now, none is
     * asked for before the next tick. */
    bool flush_asked[FLUSH_URGENCIES];
    int flushes_running;
    int64_t unflushed_since_ms;
    bool flush_aged;           /* flush.ms has passed since */
    int64_t flushing_since_ms; /* these two of what the flushes that run have taken */
    bool flushing_aged;
    bool flush_held;
};

/* Locks. The effects are empty. */
void partition_enter(struct partition *partition, struct partition_effects *effects);
/* Takes out the watchers whose time has come, unlocks, then fires them and calls the host. */
void partition_leave(struct partition *partition, const struct partition_effects *effects);
/* Whether the log can be asked at all: KAFKA_NONE, KAFKA_NOT_LEADER_OR_FOLLOWER where the partition is
 * closed, KAFKA_KAFKA_STORAGE_ERROR where its directory is offline. Under the mutex. */
static inline int16_t partition_check_log(const struct partition *partition)
{
    if (partition->closed)
        return KAFKA_NOT_LEADER_OR_FOLLOWER;
    return partition_log_failure(partition->log) ? KAFKA_KAFKA_STORAGE_ERROR : KAFKA_NONE;
}
/* Tells the core the log's bounds and how much of it is durable. */
void partition_sync_core(struct partition *partition, int64_t now_ms, struct partition_effects *effects);

/* partition_flush.c: which flushes the host is to be asked for; from here on they count as asked for. */
struct flush_wishes {
    bool wanted[FLUSH_URGENCIES];
};
struct flush_wishes partition_note_flush_wishes(struct partition *partition);
/* Resigns where the log has failed; whether it has. */
bool partition_fail_with_log(struct partition *partition, struct partition_effects *effects);

#endif
