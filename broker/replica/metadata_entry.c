/* SPDX-License-Identifier: Apache-2.0 */
/* Making the entries of the metadata cache: measure first, allocate once, then carve. */
#include "broker/replica/metadata_entry.h"

#include <stdlib.h>

#include "broker/config/broker_config.h"
#include "common/check.h"
#include "common/memory.h"

/* Hands out pieces of one block; sizes are rounded so that each piece is aligned for any number or pointer.
 */
struct carver {
    uint8_t *at;
    uint8_t *end;
};

static size_t piece(size_t size)
{
    return (size + 7) & ~(size_t)7;
}

static void *carve(struct carver *carver, size_t size)
{
    uint8_t *at = carver->at;
    CHECK(piece(size) <= (size_t)(carver->end - at));
    carver->at += piece(size);
    return at;
}

static struct slice carve_slice(struct carver *carver, struct slice text)
{
    if (slice_is_null(text))
        return text;
    uint8_t *copy = carve(carver, text.length);
    if (text.length > 0)
        memcpy(copy, text.data, text.length);
    return slice_make(copy, text.length);
}

struct broker_entry *broker_entry_new(const struct control_broker *broker)
{
    size_t size = piece(sizeof(struct broker_entry)) + piece(broker->rack.length) +
                  piece(broker->endpoints_count * sizeof(struct metadata_endpoint));
    for (size_t i = 0; i < broker->endpoints_count; i++)
        size += piece(broker->endpoints[i].listener.length) + piece(broker->endpoints[i].host.length);
    uint8_t *block = memory_allocate_zeroed(1, size);
    struct carver carver = {block, block + size};
    struct broker_entry *entry = carve(&carver, sizeof(*entry));
    struct metadata_endpoint *endpoints = carve(&carver, broker->endpoints_count * sizeof(endpoints[0]));
    for (size_t i = 0; i < broker->endpoints_count; i++)
        endpoints[i] = (struct metadata_endpoint){carve_slice(&carver, broker->endpoints[i].listener),
                                                  carve_slice(&carver, broker->endpoints[i].host),
                                                  broker->endpoints[i].port};
    entry->broker = (struct metadata_broker){.id = broker->id,
                                             .epoch = broker->epoch,
                                             .rack = carve_slice(&carver, broker->rack),
                                             .endpoints = endpoints,
                                             .endpoints_count = broker->endpoints_count};
    return entry;
}

/* Where a partition of the merged topic comes from: exactly one of the two. */
struct source {
    int32_t partition;
    const struct metadata_partition *known;
    const struct control_partition *update;
};

static int compare_sources(const void *a, const void *b)
{
    const struct source *first = a;
    const struct source *second = b;
    if (first->partition != second->partition)
        return first->partition < second->partition ? -1 : 1;
    /* What is new comes first and hides what was known. */
    return (first->update == NULL) - (second->update == NULL);
}

/* The partitions of the merged topic by ascending number; their count in *count. The caller frees. */
static struct source *collect_sources(const struct topic_entry *known, const struct control_topic *update,
                                      size_t *count)
{
    size_t known_count = known ? known->topic.partitions_count : 0;
    struct source *sources =
        memory_allocate_zeroed(known_count + update->partitions_count, sizeof(sources[0]));
    size_t total = 0;
    for (size_t i = 0; i < known_count; i++)
        sources[total++] =
            (struct source){known->topic.partitions[i].partition, &known->topic.partitions[i], NULL};
    for (size_t i = 0; i < update->partitions_count; i++)
        sources[total++] = (struct source){update->partitions[i].partition, NULL, &update->partitions[i]};
    qsort(sources, total, sizeof(sources[0]), compare_sources);
    size_t kept = 0;
    int64_t last = INT64_MIN;
    for (size_t i = 0; i < total; i++) {
        bool again = sources[i].partition == last;
        last = sources[i].partition;
        if (!again && !(sources[i].update && sources[i].update->leader == NO_LEADER_DELETED))
            sources[kept++] = sources[i];
    }
    *count = kept;
    return sources;
}

static size_t source_replicas(const struct source *source)
{
    return source->known ? source->known->replicas_count : source->update->replicas_count;
}

static size_t source_isr(const struct source *source)
{
    return source->known ? source->known->isr_count : source->update->isr_count;
}

static size_t source_offline(const struct source *source)
{
    return source->known ? source->known->offline_count : source->update->offline_replicas_count;
}

static void fill_partition(struct metadata_partition *out, const struct source *source, struct carver *carver)
{
    int32_t *replicas = carve(carver, source_replicas(source) * sizeof(replicas[0]));
    int32_t *isr = carve(carver, source_isr(source) * sizeof(isr[0]));
    int32_t *offline = carve(carver, source_offline(source) * sizeof(offline[0]));
    if (source->known) {
        *out = *source->known;
        for (size_t i = 0; i < out->replicas_count; i++)
            replicas[i] = source->known->replicas[i];
        for (size_t i = 0; i < out->isr_count; i++)
            isr[i] = source->known->isr[i];
        for (size_t i = 0; i < out->offline_count; i++)
            offline[i] = source->known->offline[i];
    } else {
        const struct control_partition *update = source->update;
        *out = (struct metadata_partition){.partition = update->partition,
                                           .controller_epoch = update->controller_epoch,
                                           .leader = update->leader,
                                           .leader_epoch = update->leader_epoch,
                                           .partition_epoch = update->partition_epoch,
                                           .replicas_count = update->replicas_count,
                                           .isr_count = update->isr_count,
                                           .offline_count = update->offline_replicas_count};
        for (size_t i = 0; i < out->replicas_count; i++)
            replicas[i] = update->replicas[i];
        for (size_t i = 0; i < out->isr_count; i++)
            isr[i] = update->isr[i].broker_id;
        for (size_t i = 0; i < out->offline_count; i++)
            offline[i] = update->offline_replicas[i];
    }
    out->replicas = replicas;
    out->isr = isr;
    out->offline = offline;
}

static size_t entry_size(const struct control_topic *update, const struct source *sources, size_t count)
{
    size_t size = piece(sizeof(struct topic_entry)) + piece(update->name.length) +
                  piece(update->settings_count * sizeof(struct topic_setting)) +
                  piece(count * sizeof(struct metadata_partition));
    for (size_t i = 0; i < update->settings_count; i++)
        size += piece(update->settings[i].name.length) + piece(update->settings[i].value.length);
    for (size_t i = 0; i < count; i++)
        size += piece(source_replicas(&sources[i]) * sizeof(int32_t)) +
                piece(source_isr(&sources[i]) * sizeof(int32_t)) +
                piece(source_offline(&sources[i]) * sizeof(int32_t));
    return size;
}

struct topic_entry *topic_entry_merge(const struct broker_config *config, const struct topic_entry *known,
                                      const struct control_topic *update)
{
    if (known && !uuid_equals(known->topic.topic_id, update->topic_id))
        known = NULL;
    size_t count;
    struct source *sources = collect_sources(known, update, &count);
    if (count == 0) {
        free(sources);
        return NULL;
    }
    size_t size = entry_size(update, sources, count);
    uint8_t *block = memory_allocate_zeroed(1, size);
    struct carver carver = {block, block + size};
    struct topic_entry *entry = carve(&carver, sizeof(*entry));
    atomic_init(&entry->references, 1);
    struct metadata_topic *topic = &entry->topic;
    topic->name = carve_slice(&carver, update->name);
    topic->topic_id = update->topic_id;
    topic->internal = metadata_is_internal_topic(topic->name);
    struct topic_setting *settings = carve(&carver, update->settings_count * sizeof(settings[0]));
    for (size_t i = 0; i < update->settings_count; i++)
        settings[i] = (struct topic_setting){carve_slice(&carver, update->settings[i].name),
                                             carve_slice(&carver, update->settings[i].value)};
    topic->settings = settings;
    topic->settings_count = update->settings_count;
    topic->effective = config->topic_defaults;
    topic_settings_apply(&topic->effective, settings, topic->settings_count);
    struct metadata_partition *partitions = carve(&carver, count * sizeof(partitions[0]));
    for (size_t i = 0; i < count; i++)
        fill_partition(&partitions[i], &sources[i], &carver);
    topic->partitions = partitions;
    topic->partitions_count = count;
    free(sources);
    return entry;
}

struct topic_entry *topic_entry_acquire(struct topic_entry *entry)
{
    atomic_fetch_add_explicit(&entry->references, 1, memory_order_relaxed);
    return entry;
}

void topic_entry_release(struct topic_entry *entry)
{
    if (atomic_fetch_sub_explicit(&entry->references, 1, memory_order_acq_rel) == 1)
        free(entry);
}
