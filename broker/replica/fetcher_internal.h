/* SPDX-License-Identifier: Apache-2.0 */
/* One thread that follows: shared by fetcher.c (threads, mails, partitions) and fetcher_link.c (one leader's
 * connection) only. */
#ifndef BROKER_REPLICA_FETCHER_INTERNAL_H
#define BROKER_REPLICA_FETCHER_INTERNAL_H

#include <pthread.h>

#include "broker/net/client.h"
#include "broker/replica/fetcher.h"
#include "common/list.h"
#include "common/loop.h"
#include "common/mailbox.h"
#include "common/map.h"

struct fetcher {
    const struct fetcher_options *options;
    struct loop *loop;
    struct mailbox *mailbox;
    pthread_t thread;
    bool started;
    bool stopping;       /* the loop has ended: mails only give their references back */
    struct map *links;   /* leader id -> struct leader_link */
    struct map *follows; /* partition address -> struct follow */
};

/* A partition that this thread keeps up to date. */
struct follow {
    struct partition *partition; /* a reference */
    struct leader_link *link;
    struct list node; /* in link->follows */
    int64_t not_before_ms;
    int64_t pause_ms;              /* after the next error */
    int64_t damaged_offset;        /* of the last answer that could not be taken */
    unsigned damages;              /* in a row, there */
    int64_t leader_high_watermark; /* as the leader told last; -1: not yet. Below it we are behind. */
    /* While the disk takes what was fetched last, the leader is not asked for more: the next fetch is our
     * word that we hold it (flush.messages). The watch tells when; it fires on any thread. */
    struct fetcher *fetcher;
    struct partition_watcher durable;
    struct mail durable_mail;
    bool awaits_disk;
    int32_t disk_wait_ms; /* how long the leader may hold the next answer back meanwhile */
    bool dropped;         /* followed no more; freed by the mail of the watch, which has fired */
};

/* One partition of the request in flight, as it was asked for. */
struct asked {
    struct partition *partition; /* a reference */
    struct follow_position position;
};

/* The connection to one leader. */
struct leader_link {
    struct fetcher *fetcher;
    int32_t leader;
    struct list follows;
    struct client *client; /* NULL until the address is known */
    struct loop_timer timer;
    bool in_flight;
    int32_t answer_wait_ms; /* of the next request: a partition that is left out may be ready soon */
    int64_t pause_ms;
    struct client_request request;
    struct asked *asked;
    size_t asked_count;
    size_t asked_capacity;
};

struct leader_link *leader_link_new(struct fetcher *fetcher, int32_t leader);
void leader_link_free(struct leader_link *link);
/* Sends the next request unless one is in flight or nothing is to be asked; else sets the timer. */
void leader_link_kick(struct leader_link *link);

/* The follow of a partition, NULL when it is not followed any more. */
struct follow *fetcher_find(struct fetcher *fetcher, struct partition *partition);
/* Waits for the disk to have everything below `offset`; false: it has, or the leader is another by now. */
MUST_CHECK bool fetcher_await_disk(struct follow *follow, int64_t offset, int32_t leader_epoch);

#define FETCHER_PAUSE_MIN_MS 20
/* How long the leader may hold an answer back while one of its partitions has just begun to wait for our
 * disk: it goes with the next request. Each request doubles it: a disk that hangs must not cost an idle
 * leader hundreds of fetches in a second. */
#define FETCHER_DISK_WAIT_MS 2

#endif
