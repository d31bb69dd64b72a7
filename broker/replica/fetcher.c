/* SPDX-License-Identifier: Apache-2.0 */
/* The threads that follow, and which partition is followed where. */
#include "broker/replica/fetcher.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker/replica/fetcher_internal.h"
#include "common/check.h"
#include "common/memory.h"

struct fetcher_pool {
    struct fetcher_options options;
    struct fetcher *fetchers;
};

/* "Follow" and "unfollow" (leader < 0) on their way to a fetcher's thread. */
struct follow_mail {
    struct mail mail;
    struct fetcher *fetcher;
    struct partition *partition; /* a reference */
    int32_t leader;
};

static struct slice follow_key(uint64_t *key, const struct partition *partition)
{
    *key = (uint64_t)(uintptr_t)partition;
    return map_integer_key(key);
}

struct follow *fetcher_find(struct fetcher *fetcher, struct partition *partition)
{
    uint64_t key;
    return map_get(fetcher->follows, follow_key(&key, partition));
}

static struct leader_link *obtain_link(struct fetcher *fetcher, int32_t leader)
{
    uint64_t key = (uint64_t)leader;
    struct leader_link *link = map_get(fetcher->links, map_integer_key(&key));
    if (link == NULL) {
        link = leader_link_new(fetcher, leader);
        map_put(fetcher->links, map_integer_key(&key), link);
    }
    return link;
}

static void free_follow(struct follow *follow)
{
    partition_release(follow->partition);
    free(follow);
}

static void drop_follow(struct fetcher *fetcher, struct follow *follow)
{
    uint64_t key;
    map_remove(fetcher->follows, follow_key(&key, follow->partition));
    list_remove(&follow->node);
    follow->dropped = true;
    if (!follow->awaits_disk || partition_unwatch(follow->partition, &follow->durable))
        free_follow(follow);
}

/* Any thread. */
static void on_durable(struct partition_watcher *watcher)
{
    struct follow *follow = container_of(watcher, struct follow, durable);
    mailbox_post(follow->fetcher->mailbox, &follow->durable_mail);
}

static void handle_durable(struct mail *mail)
{
    struct follow *follow = container_of(mail, struct follow, durable_mail);
    follow->awaits_disk = false;
    if (follow->dropped)
        free_follow(follow);
    else if (!follow->fetcher->stopping)
        leader_link_kick(follow->link);
}

bool fetcher_await_disk(struct follow *follow, int64_t offset, int32_t leader_epoch)
{
    follow->awaits_disk =
        partition_watch(follow->partition, &follow->durable, WATCH_DURABLE, offset, leader_epoch);
    follow->disk_wait_ms = FETCHER_DISK_WAIT_MS;
    return follow->awaits_disk;
}

static void handle_follow(struct fetcher *fetcher, struct partition *partition, int32_t leader)
{
    struct follow *follow = fetcher_find(fetcher, partition);
    if (follow == NULL) {
        follow = memory_allocate_zeroed(1, sizeof(*follow));
        follow->partition = partition_acquire(partition);
        follow->fetcher = fetcher;
        follow->durable.fire = on_durable;
        follow->durable_mail.handle = handle_durable;
        list_init(&follow->node);
        uint64_t key;
        map_put(fetcher->follows, follow_key(&key, partition), follow);
    }
    list_remove(&follow->node);
    follow->link = obtain_link(fetcher, leader);
    follow->not_before_ms = 0;
    follow->pause_ms = FETCHER_PAUSE_MIN_MS;
    follow->leader_high_watermark = -1;
    follow->damages = 0;
    list_push_back(&follow->link->follows, &follow->node);
    leader_link_kick(follow->link);
}

static void handle_mail(struct mail *mail)
{
    struct follow_mail *message = container_of(mail, struct follow_mail, mail);
    struct fetcher *fetcher = message->fetcher;
    if (fetcher->stopping) {
        /* nothing is followed any more */
    } else if (message->leader >= 0) {
        handle_follow(fetcher, message->partition, message->leader);
    } else {
        struct follow *follow = fetcher_find(fetcher, message->partition);
        if (follow != NULL)
            drop_follow(fetcher, follow);
    }
    partition_release(message->partition);
    free(message);
}

static void *run_fetcher(void *argument)
{
    struct fetcher *fetcher = argument;
    loop_run(fetcher->loop);
    return NULL;
}

static int start_fetcher(struct fetcher *fetcher, const struct fetcher_options *options, int number)
{
    fetcher->options = options;
    fetcher->loop = loop_new();
    fetcher->mailbox = mailbox_new(fetcher->loop);
    fetcher->links = map_new(0);
    fetcher->follows = map_new(0);
    char name[24];
    snprintf(name, sizeof(name), "fetcher-%d", number);
    int error = thread_start(&fetcher->thread, name, run_fetcher, fetcher);
    fetcher->started = error == 0;
    return error;
}

static void stop_fetcher(struct fetcher *fetcher)
{
    if (fetcher->started) {
        loop_stop(fetcher->loop);
        pthread_join(fetcher->thread, NULL);
    }
    fetcher->started = false;
    fetcher->stopping = true;
}

static void release_fetcher(struct fetcher *fetcher)
{
    if (fetcher->loop == NULL)
        return;
    stop_fetcher(fetcher);
    size_t position = 0;
    void *value;
    while (map_next(fetcher->links, &position, NULL, &value))
        leader_link_free(value);
    /* Nobody else has work on partitions any more: a watch that is not disarmed here has posted its mail. */
    position = 0;
    while (map_next(fetcher->follows, &position, NULL, &value))
        drop_follow(fetcher, value);
    mailbox_free(fetcher->mailbox);
    map_free(fetcher->follows);
    map_free(fetcher->links);
    loop_free(fetcher->loop);
}

int fetcher_pool_new(const struct fetcher_options *options, struct fetcher_pool **out)
{
    CHECK(options->count > 0);
    struct fetcher_pool *pool = memory_allocate_zeroed(1, sizeof(*pool));
    pool->options = *options;
    pool->fetchers = memory_allocate_zeroed((size_t)options->count, sizeof(*pool->fetchers));
    for (int i = 0; i < options->count; i++) {
        int error = start_fetcher(&pool->fetchers[i], &pool->options, i);
        if (error != 0) {
            fetcher_pool_free(pool);
            return error;
        }
    }
    *out = pool;
    return 0;
}

void fetcher_pool_stop(struct fetcher_pool *pool)
{
    for (int i = 0; i < pool->options.count; i++)
        stop_fetcher(&pool->fetchers[i]);
}

void fetcher_pool_free(struct fetcher_pool *pool)
{
    if (pool == NULL)
        return;
    for (int i = 0; i < pool->options.count; i++)
        release_fetcher(&pool->fetchers[i]);
    free(pool->fetchers);
    free(pool);
}

/* The same thread for a partition for good: by name and number, spread evenly. */
static struct fetcher *fetcher_of(struct fetcher_pool *pool, const struct partition *partition)
{
    struct slice topic = partition_topic(partition);
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < topic.length; i++)
        hash = (hash ^ topic.data[i]) * 16777619u;
    hash += (uint32_t)partition_number(partition);
    return &pool->fetchers[hash % (uint32_t)pool->options.count];
}

static void post(struct fetcher_pool *pool, struct partition *partition, int32_t leader)
{
    struct follow_mail *message = memory_allocate_zeroed(1, sizeof(*message));
    message->mail.handle = handle_mail;
    message->fetcher = fetcher_of(pool, partition);
    message->partition = partition_acquire(partition);
    message->leader = leader;
    mailbox_post(message->fetcher->mailbox, &message->mail);
}

void fetcher_pool_follow(struct fetcher_pool *pool, struct partition *partition, int32_t leader)
{
    CHECK(leader >= 0);
    post(pool, partition, leader);
}

void fetcher_pool_unfollow(struct fetcher_pool *pool, struct partition *partition)
{
    post(pool, partition, -1);
}
