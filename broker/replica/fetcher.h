/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Following: num.replica.fetchers threads, each with its own event loop and one connection to every leader
 * that partitions assigned to it follow. A partition stays with one thread for good, so its messages keep
 * their order.
 *
 * One request per leader is in flight. It names all partitions that follow that leader and are not pausing
 * after an error; the leader holds it back until there is something to say (replica.fetch.wait.max.ms). The
 * next one is sent directly after the answer was appended: it is what tells the leader how far we are.
 */
#ifndef BROKER_REPLICA_FETCHER_H
#define BROKER_REPLICA_FETCHER_H

#include "broker/replica/partition.h"
#include "broker/replica/replica_manager.h"
#include "broker/replica/replication_throttle.h"
#include "common/base.h"
#include "common/log.h"
#include "common/worker.h"

/* The Fetch version that brokers speak to each other: topic ids, replica epochs (KIP-903), diverging epochs.
 */
#define FOLLOWER_FETCH_VERSION 16

struct fetcher_pool;

/* Where brokers listen for brokers; filled in by the server. */
struct address_book {
    /* From any thread. The host (NUL-terminated) and port of a live broker's inter-broker listener; false:
     * not known now. */
    bool (*find)(struct address_book *book, int32_t broker_id, char *host, size_t host_size, int32_t *port);
};

struct fetcher_options {
    int count; /* num.replica.fetchers */
    int32_t broker_id;
    struct replica_manager *manager; /* for the broker epoch */
    struct address_book *addresses;
    struct worker *resolver;
    struct logger *logger;
    int32_t wait_max_ms;                     /* replica.fetch.wait.max.ms */
    int32_t min_bytes;                       /* replica.fetch.min.bytes */
    int32_t partition_max_bytes;             /* replica.fetch.max.bytes */
    int32_t response_max_bytes;              /* replica.fetch.response.max.bytes */
    int64_t backoff_ms;                      /* replica.fetch.backoff.ms: the longest pause after an error */
    struct replication_throttles *throttles; /* NULL: nothing is held up */
    int64_t socket_timeout_ms;               /* replica.socket.timeout.ms */
    int receive_buffer_bytes;                /* replica.socket.receive.buffer.bytes */
};

/* 0 or -errno. */
MUST_CHECK int fetcher_pool_new(const struct fetcher_options *options, struct fetcher_pool **pool);
/* Ends the threads; nothing is followed any more. */
void fetcher_pool_stop(struct fetcher_pool *pool);
/* Stops if need be, drops all partitions. The resolver has been freed: it posts to the threads' mailboxes. */
void fetcher_pool_free(struct fetcher_pool *pool);

/* From any thread: the partition follows `leader` from now on (again, or another one than before). */
void fetcher_pool_follow(struct fetcher_pool *pool, struct partition *partition, int32_t leader);
/* From any thread: it follows no more. */
void fetcher_pool_unfollow(struct fetcher_pool *pool, struct partition *partition);

#endif
