/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast replicas that catch up may copy (KIP-73). Two bounds a broker: of what it gives away as leader
 * (leader.replication.throttled.rate) and of what it fetches as follower
 * (follower.replication.throttled.rate), each over the partitions that the topics' settings
 * leader.replication.throttled.replicas and follower.replication.throttled.replicas name for this broker.
 *
 * All traffic of those partitions counts, but only replicas that are behind are held up: one that is in sync
 * would drop out of the ISR. Who is held up is left out of a fetch, and nothing else of that fetch waits.
 *
 * Threads: any.
 */
#ifndef BROKER_REPLICA_REPLICATION_THROTTLE_H
#define BROKER_REPLICA_REPLICATION_THROTTLE_H

#include <pthread.h>
#include <stdatomic.h>

#include "broker/replica/rate_bound.h"
#include "common/slice.h"

struct replication_throttle {
    atomic_bool bounded; /* without a bound nobody takes the mutex */
    pthread_mutex_t mutex;
    struct rate_bound bound;
};

/* Of one broker. */
struct replication_throttles {
    struct replication_throttle leader;
    struct replication_throttle follower;
};

/* Unbounded; window as in rate_bound_init. */
void replication_throttles_init(struct replication_throttles *throttles, size_t samples, int64_t sample_ms);
void replication_throttles_release(struct replication_throttles *throttles);

/* RATE_UNBOUNDED takes the bound away. */
void replication_throttle_set_rate(struct replication_throttle *throttle, int64_t bytes_per_second);
/* As rate_bound_wait_ms. */
int64_t replication_throttle_wait_ms(struct replication_throttle *throttle, int64_t now_ms);
/* As rate_bound_count. */
void replication_throttle_count(struct replication_throttle *throttle, int64_t bytes, int64_t now_ms);

/*
 * Whether a list of throttled replicas, "*" or "partition:broker,...", names this one. Pure. What cannot be
 * read in it names nothing.
 */
bool throttled_replicas_name(struct slice list, int32_t partition, int32_t broker_id);

#endif
