/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this broker knows of the cluster: brokers, topics, leaders; as the controller told it (update
 * metadata). Readers take the present image, which never changes, and give it back; an update makes the next
 * image, which shares everything with the former one that it does not touch.
 *
 * An image is an array of brokers and two times 256 shards of topics, by name and by id. An update copies
 * the topics it names, their shards, and the array of shards: work in proportion to the update, not to the
 * cluster.
 *
 * Threads: readers on any thread; updates one at a time (the cache has a mutex for them). The lock that
 * readers take covers only the pointer to the present image.
 */
#ifndef BROKER_REPLICA_METADATA_CACHE_H
#define BROKER_REPLICA_METADATA_CACHE_H

#include "broker/config/topic_settings.h"
#include "common/base.h"
#include "common/slice.h"
#include "common/uuid.h"
#include "proto/control/control.h"

struct broker_config;
struct metadata_cache;
struct metadata_image;

struct metadata_endpoint {
    struct slice listener;
    struct slice host;
    int32_t port;
};

/* A broker that is alive. */
struct metadata_broker {
    int32_t id;
    int64_t epoch;
    struct slice rack; /* null: none */
    const struct metadata_endpoint *endpoints;
    size_t endpoints_count;
};

struct metadata_partition {
    int32_t partition;
    int32_t controller_epoch;
    int32_t leader; /* NO_LEADER */
    int32_t leader_epoch;
    int32_t partition_epoch;
    const int32_t *replicas; /* preferred leader first */
    size_t replicas_count;
    const int32_t *isr;
    size_t isr_count;
    const int32_t *offline; /* replicas of live brokers whose disk does not serve them */
    size_t offline_count;
};

struct metadata_topic {
    struct slice name;
    struct uuid topic_id;                 /* zero: written by a tool that knows none */
    bool internal;                        /* __consumer_offsets, __transaction_state */
    const struct topic_setting *settings; /* the topic's own */
    size_t settings_count;
    struct topic_settings effective;
    const struct metadata_partition *partitions; /* by ascending number */
    size_t partitions_count;
};

/* `config` is borrowed and outlives the cache; the cluster id is copied. */
struct metadata_cache *metadata_cache_new(const struct broker_config *config, const char *cluster_id);
/* All images must have been given back. */
void metadata_cache_free(struct metadata_cache *cache);
const char *metadata_cache_cluster_id(const struct metadata_cache *cache);

/*
 * Takes an update over; the caller has checked its epochs. In a full one, what is not named is gone. In an
 * incremental one a topic that comes without partitions goes, a partition with leader NO_LEADER_DELETED goes,
 * and a topic that has none left goes with it. A topic that comes with another id is another topic: nothing
 * of the former one stays.
 */
void metadata_cache_update(struct metadata_cache *cache, const struct update_metadata_request *update);

/* The present image, with a reference for the caller; never NULL. */
const struct metadata_image *metadata_cache_acquire(struct metadata_cache *cache);
void metadata_image_release(const struct metadata_image *image);

/* -1: unknown yet. */
int32_t metadata_image_controller_id(const struct metadata_image *image);
size_t metadata_image_broker_count(const struct metadata_image *image);
/* By ascending id. */
const struct metadata_broker *metadata_image_broker_at(const struct metadata_image *image, size_t index);
/* NULL: not alive. */
const struct metadata_broker *metadata_image_broker(const struct metadata_image *image, int32_t id);
/* NULL: it has no such listener. */
const struct metadata_endpoint *metadata_broker_endpoint(const struct metadata_broker *broker,
                                                         const char *listener);

size_t metadata_image_topic_count(const struct metadata_image *image);
const struct metadata_topic *metadata_image_topic(const struct metadata_image *image, struct slice name);
const struct metadata_topic *metadata_image_topic_by_id(const struct metadata_image *image, struct uuid id);
/* Iteration over all topics; `*position` starts at 0. NULL at the end. The order stays while topics do. */
const struct metadata_topic *metadata_image_next_topic(const struct metadata_image *image, size_t *position);
/* NULL: the topic has no such partition. */
const struct metadata_partition *metadata_topic_partition(const struct metadata_topic *topic,
                                                          int32_t partition);

/* Whether a name is that of a topic which brokers keep for themselves. */
bool metadata_is_internal_topic(struct slice name);

#endif
