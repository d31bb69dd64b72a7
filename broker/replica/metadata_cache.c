/* SPDX-License-Identifier: Apache-2.0 */
/* The cache: lookups in images, and how an update makes the next one. */
#include "broker/replica/metadata_cache.h"

#include <pthread.h>
#include <stdlib.h>

#include "broker/config/broker_config.h"
#include "broker/replica/metadata_entry.h"
#include "common/check.h"
#include "common/memory.h"

#define SHARDS 256

/* Topics whose key falls into this shard, in order of their keys. */
struct shard {
    atomic_size_t references;
    size_t count;
    struct topic_entry *topics[];
};

struct metadata_image {
    atomic_size_t references;
    int32_t controller_id;
    struct broker_entry **brokers; /* by ascending id */
    size_t brokers_count;
    size_t topics_count;
    struct shard *by_name[SHARDS]; /* NULL: empty */
    struct shard *by_id[SHARDS];   /* topics without an id are in none */
};

struct metadata_cache {
    const struct broker_config *config;
    char *cluster_id;
    pthread_mutex_t mutex;        /* guards `image`, the pointer */
    pthread_mutex_t update_mutex; /* one update at a time */
    struct metadata_image *image;
};

/* What a shard is sorted by: the name's bytes, or the id's. */
static struct slice key_of(const struct topic_entry *topic, bool by_id)
{
    return by_id ? slice_make(topic->topic.topic_id.bytes, sizeof(topic->topic.topic_id.bytes))
                 : topic->topic.name;
}

/* FNV-1a, folded: any spread over the shards will do. */
static size_t shard_of(struct slice key)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < key.length; i++)
        hash = (hash ^ key.data[i]) * 16777619u;
    return (hash ^ hash >> 8 ^ hash >> 16 ^ hash >> 24) % SHARDS;
}

static void shard_release(struct shard *shard)
{
    if (shard == NULL || atomic_fetch_sub_explicit(&shard->references, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < shard->count; i++)
        topic_entry_release(shard->topics[i]);
    free(shard);
}

/* Where `key` is, or would be; *found tells which. */
static size_t shard_search(const struct shard *shard, struct slice key, bool by_id, bool *found)
{
    size_t low = 0;
    size_t high = shard ? shard->count : 0;
    *found = false;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = slice_compare(key, key_of(shard->topics[middle], by_id));
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/*
 * The shard with `topic` (NULL: nothing) in the place of what has `key`. Takes over the reference on `shard`;
 * the result shares its other topics.
 */
static struct shard *shard_replace(struct shard *shard, struct slice key, bool by_id,
                                   struct topic_entry *topic)
{
    bool found;
    size_t at = shard_search(shard, key, by_id, &found);
    size_t old_count = shard ? shard->count : 0;
    size_t count = old_count - (found ? 1 : 0) + (topic ? 1 : 0);
    struct shard *next = NULL;
    if (count > 0) {
        next = memory_allocate(sizeof(*next) + count * sizeof(next->topics[0]));
        atomic_init(&next->references, 1);
        next->count = 0;
        for (size_t i = 0; i < at; i++)
            next->topics[next->count++] = topic_entry_acquire(shard->topics[i]);
        if (topic)
            next->topics[next->count++] = topic_entry_acquire(topic);
        for (size_t i = at + (found ? 1 : 0); i < old_count; i++)
            next->topics[next->count++] = topic_entry_acquire(shard->topics[i]);
    }
    shard_release(shard);
    return next;
}

static struct topic_entry *find_topic(const struct metadata_image *image, struct slice key, bool by_id)
{
    size_t number = shard_of(key);
    const struct shard *shard = by_id ? image->by_id[number] : image->by_name[number];
    bool found;
    size_t at = shard_search(shard, key, by_id, &found);
    return found ? shard->topics[at] : NULL;
}

/* Puts `topic` into the image, or takes the topic of that name out (NULL). */
static void image_replace(struct metadata_image *image, struct slice name, struct topic_entry *topic)
{
    struct topic_entry *former = find_topic(image, name, false);
    if (former)
        topic_entry_acquire(former);
    size_t number = shard_of(name);
    image->by_name[number] = shard_replace(image->by_name[number], name, false, topic);
    if (topic)
        image->topics_count++;
    if (former)
        image->topics_count--;
    if (former && !uuid_is_zero(former->topic.topic_id)) {
        struct slice id = key_of(former, true);
        image->by_id[shard_of(id)] = shard_replace(image->by_id[shard_of(id)], id, true, NULL);
    }
    if (topic && !uuid_is_zero(topic->topic.topic_id)) {
        struct slice id = key_of(topic, true);
        image->by_id[shard_of(id)] = shard_replace(image->by_id[shard_of(id)], id, true, topic);
    }
    if (former)
        topic_entry_release(former);
}

static struct metadata_image *image_new(void)
{
    struct metadata_image *image = memory_allocate_zeroed(1, sizeof(*image));
    atomic_init(&image->references, 1);
    image->controller_id = -1;
    return image;
}

/* A new image with the topics of `from`. */
static struct metadata_image *image_share_topics(const struct metadata_image *from)
{
    struct metadata_image *image = image_new();
    image->topics_count = from->topics_count;
    for (size_t i = 0; i < SHARDS; i++) {
        image->by_name[i] = from->by_name[i];
        image->by_id[i] = from->by_id[i];
        if (image->by_name[i])
            atomic_fetch_add_explicit(&image->by_name[i]->references, 1, memory_order_relaxed);
        if (image->by_id[i])
            atomic_fetch_add_explicit(&image->by_id[i]->references, 1, memory_order_relaxed);
    }
    return image;
}

void metadata_image_release(const struct metadata_image *shared)
{
    struct metadata_image *image = (struct metadata_image *)shared;
    if (image == NULL || atomic_fetch_sub_explicit(&image->references, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        shard_release(image->by_name[i]);
        shard_release(image->by_id[i]);
    }
    for (size_t i = 0; i < image->brokers_count; i++)
        free(image->brokers[i]);
    free(image->brokers);
    free(image);
}

struct metadata_cache *metadata_cache_new(const struct broker_config *config, const char *cluster_id)
{
    struct metadata_cache *cache = memory_allocate_zeroed(1, sizeof(*cache));
    cache->config = config;
    cache->cluster_id = memory_copy_string(cluster_id);
    pthread_mutex_init(&cache->mutex, NULL);
    pthread_mutex_init(&cache->update_mutex, NULL);
    cache->image = image_new();
    return cache;
}

void metadata_cache_free(struct metadata_cache *cache)
{
    if (cache == NULL)
        return;
    metadata_image_release(cache->image);
    pthread_mutex_destroy(&cache->mutex);
    pthread_mutex_destroy(&cache->update_mutex);
    free(cache->cluster_id);
    free(cache);
}

const char *metadata_cache_cluster_id(const struct metadata_cache *cache)
{
    return cache->cluster_id;
}

const struct metadata_image *metadata_cache_acquire(struct metadata_cache *cache)
{
    pthread_mutex_lock(&cache->mutex);
    struct metadata_image *image = cache->image;
    atomic_fetch_add_explicit(&image->references, 1, memory_order_relaxed);
    pthread_mutex_unlock(&cache->mutex);
    return image;
}

static int compare_brokers(const void *a, const void *b)
{
    const struct broker_entry *const *first = a;
    const struct broker_entry *const *second = b;
    return ((*first)->broker.id > (*second)->broker.id) - ((*first)->broker.id < (*second)->broker.id);
}

void metadata_cache_update(struct metadata_cache *cache, const struct update_metadata_request *update)
{
    pthread_mutex_lock(&cache->update_mutex);
    const struct metadata_image *former = metadata_cache_acquire(cache);
    struct metadata_image *image = update->full ? image_new() : image_share_topics(former);
    image->controller_id = update->controller_id;
    image->brokers = memory_allocate_zeroed(update->brokers_count, sizeof(image->brokers[0]));
    for (size_t i = 0; i < update->brokers_count; i++)
        image->brokers[image->brokers_count++] = broker_entry_new(&update->brokers[i]);
    qsort(image->brokers, image->brokers_count, sizeof(image->brokers[0]), compare_brokers);
    for (size_t i = 0; i < update->topics_count; i++) {
        const struct control_topic *topic = &update->topics[i];
        const struct topic_entry *known = update->full ? NULL : find_topic(image, topic->name, false);
        bool removed = topic->partitions_count == 0;
        /* A late word of a former topic of that name does not concern the present one. */
        if (removed && (known == NULL || !uuid_equals(known->topic.topic_id, topic->topic_id)))
            continue;
        struct topic_entry *entry = removed ? NULL : topic_entry_merge(cache->config, known, topic);
        image_replace(image, topic->name, entry);
        if (entry)
            topic_entry_release(entry);
    }
    pthread_mutex_lock(&cache->mutex);
    struct metadata_image *replaced = cache->image;
    cache->image = image;
    pthread_mutex_unlock(&cache->mutex);
    metadata_image_release(replaced);
    metadata_image_release(former);
    pthread_mutex_unlock(&cache->update_mutex);
}

int32_t metadata_image_controller_id(const struct metadata_image *image)
{
    return image->controller_id;
}

size_t metadata_image_broker_count(const struct metadata_image *image)
{
    return image->brokers_count;
}

const struct metadata_broker *metadata_image_broker_at(const struct metadata_image *image, size_t index)
{
    CHECK(index < image->brokers_count);
    return &image->brokers[index]->broker;
}

const struct metadata_broker *metadata_image_broker(const struct metadata_image *image, int32_t id)
{
    size_t low = 0;
    size_t high = image->brokers_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct metadata_broker *broker = &image->brokers[middle]->broker;
        if (broker->id == id)
            return broker;
        if (id < broker->id)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const struct metadata_endpoint *metadata_broker_endpoint(const struct metadata_broker *broker,
                                                         const char *listener)
{
    for (size_t i = 0; i < broker->endpoints_count; i++)
        if (slice_is(broker->endpoints[i].listener, listener))
            return &broker->endpoints[i];
    return NULL;
}

size_t metadata_image_topic_count(const struct metadata_image *image)
{
    return image->topics_count;
}

const struct metadata_topic *metadata_image_topic(const struct metadata_image *image, struct slice name)
{
    const struct topic_entry *entry = find_topic(image, name, false);
    return entry ? &entry->topic : NULL;
}

const struct metadata_topic *metadata_image_topic_by_id(const struct metadata_image *image, struct uuid id)
{
    const struct topic_entry *entry = find_topic(image, slice_make(id.bytes, sizeof(id.bytes)), true);
    return entry ? &entry->topic : NULL;
}

const struct metadata_topic *metadata_image_next_topic(const struct metadata_image *image, size_t *position)
{
    /* The low byte is the shard, the rest the place in it. */
    for (;;) {
        const struct shard *shard = image->by_name[*position % SHARDS];
        size_t at = *position / SHARDS;
        if (shard && at < shard->count) {
            *position += SHARDS;
            return &shard->topics[at]->topic;
        }
        if (*position % SHARDS == SHARDS - 1)
            return NULL;
        *position = *position % SHARDS + 1;
    }
}

const struct metadata_partition *metadata_topic_partition(const struct metadata_topic *topic,
                                                          int32_t partition)
{
    size_t low = 0;
    size_t high = topic->partitions_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (topic->partitions[middle].partition == partition)
            return &topic->partitions[middle];
        if (partition < topic->partitions[middle].partition)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

bool metadata_is_internal_topic(struct slice name)
{
    return slice_is(name, "__consumer_offsets") || slice_is(name, "__transaction_state");
}
