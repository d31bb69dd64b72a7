/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logs of topics that are no more. A replica that has left this broker is removed when metadata shows it; but
 * where the broker was away, and the topic is deleted before it is back, no metadata will ever name the topic
 * again, and the folder would stay, in the way of the next topic of that name.
 *
 * What proves it: the controller has told of all topics that exist (`complete`), and the log's topic id,
 * which is never used twice, is not among them. It does not prove that nobody misses the data (somebody may
 * have put back an old copy of ZooKeeper's data), and so the folder is not removed but renamed, for a person
 * to look at.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/replica/replica_manager_internal.h"
#include "common/memory.h"

struct stray {
    char *topic;
    size_t topic_length;
    int32_t partition;
    struct uuid topic_id;
};

struct stray_search {
    struct map *known; /* topic ids */
    struct stray *found;
    size_t count, capacity;
};

static void know(struct stray_search *search, const struct uuid *topic_id)
{
    map_put(search->known, slice_make(topic_id->bytes, sizeof(topic_id->bytes)), search);
}

static void look_at(void *context, struct slice topic, int32_t partition, struct partition_log *log)
{
    struct stray_search *search = context;
    struct uuid topic_id = partition_log_topic_id(log);
    if (uuid_is_zero(topic_id) ||
        map_get(search->known, slice_make(topic_id.bytes, sizeof(topic_id.bytes))) != NULL)
        return;
    search->found = memory_grow(search->found, search->count, &search->capacity, sizeof(*search->found));
    search->found[search->count++] =
        (struct stray){memory_copy_bytes(topic.data, topic.length), topic.length, partition, topic_id};
}

static void set_aside(struct replica_manager *manager, const struct stray *stray)
{
    struct slice topic = slice_make(stray->topic, stray->topic_length);
    struct partition *partition = replica_manager_find(manager, topic, stray->partition);
    if (partition != NULL) {
        if (partition_stop(partition, STOP_REPLICA_TOPIC_DELETED) == KAFKA_NONE)
            manager->host->unfollow(manager->host, partition);
        replica_manager_remove(manager, partition);
        partition_release(partition);
    }
    struct buffer aside;
    char id[UUID_TEXT_LENGTH + 1];
    buffer_init(&aside);
    uuid_format(stray->topic_id, id);
    int error = log_manager_set_stray(manager->logs, topic, stray->partition, &aside);
    if (error == 0)
        log_warn(manager->logger, "replica",
                 "%s-%d, of topic id %s: the cluster has no topic of that id any more, and this replica was "
                 "not told of its deletion. It is kept as %s and not served: remove it when it is not missed",
                 stray->topic, stray->partition, id, buffer_string(&aside));
    else
        log_error(manager->logger, "replica",
                  "%s-%d, of topic id %s: the cluster has no topic of that id any more, but the folder "
                  "cannot be set aside: %s",
                  stray->topic, stray->partition, id, strerror(-error));
    buffer_release(&aside);
}

void replica_manager_set_strays_aside(struct replica_manager *manager,
                                      const struct update_metadata_request *update)
{
    if (!update->full || !update->complete || manager->faults.keep_strays)
        return;
    struct stray_search search = {.known = map_new(0)};
    for (size_t i = 0; i < update->topics_count; i++)
        know(&search, &update->topics[i].topic_id);
    for (size_t i = 0; i < update->unlisted_count; i++)
        know(&search, &update->unlisted[i]);
    log_manager_each(manager->logs, look_at, &search);
    for (size_t i = 0; i < search.count; i++) {
        set_aside(manager, &search.found[i]);
        free(search.found[i].topic);
    }
    free(search.found);
    map_free(search.known);
}
