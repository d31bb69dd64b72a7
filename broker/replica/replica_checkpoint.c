/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The periodic checkpoints of all logs: high watermarks, recovery points and log starts. A log whose
 * partition the controller has not named yet since the start keeps what the checkpoint had for it.
 */
#include <stdlib.h>

#include "broker/replica/replica_manager.h"
#include "common/memory.h"

struct offsets_entry {
    char *topic;
    int32_t partition;
    uint64_t instance;
    int64_t high_watermark;
    int64_t recovery_point;
    int64_t log_start_offset;
};

struct collection {
    struct offsets_entry *entries;
    size_t count;
    size_t capacity;
};

static void collect_log(void *context, struct slice topic, int32_t partition, uint64_t instance,
                        struct partition_log *log)
{
    struct collection *collection = context;
    collection->entries = memory_grow(collection->entries, collection->count, &collection->capacity,
                                      sizeof(collection->entries[0]));
    collection->entries[collection->count++] =
        (struct offsets_entry){.topic = memory_copy_bytes(topic.data, topic.length),
                               .partition = partition,
                               .instance = instance,
                               .recovery_point = partition_log_recovery_point(log),
                               .log_start_offset = partition_log_start_offset(log)};
}

/* The high watermark is the partition's; where there is none yet, what the checkpoint had. A partition that
 * is found has this log, or a later one of the name: then the entry counts for nothing. */
static void find_high_watermarks(struct replica_manager *manager, struct log_manager *logs,
                                 struct collection *collection)
{
    for (size_t i = 0; i < collection->count; i++) {
        struct offsets_entry *entry = &collection->entries[i];
        struct slice topic = slice_of(entry->topic);
        entry->high_watermark = log_manager_checkpointed_high_watermark(logs, topic, entry->partition);
        struct partition *partition = replica_manager_find(manager, topic, entry->partition);
        if (partition == NULL)
            continue;
        struct partition_status status;
        partition_status(partition, &status);
        entry->high_watermark = status.durable_high_watermark;
        partition_release(partition);
    }
}

static void collection_release(struct collection *collection)
{
    for (size_t i = 0; i < collection->count; i++)
        free(collection->entries[i].topic);
    free(collection->entries);
}

int replica_manager_checkpoint_high_watermarks(struct replica_manager *manager, size_t directory)
{
    struct log_manager *logs = replica_manager_logs(manager);
    struct collection collection = {.entries = NULL};
    log_manager_each_in(logs, directory, collect_log, &collection);
    find_high_watermarks(manager, logs, &collection);
    struct high_watermark_entry *entries = memory_allocate_zeroed(collection.count + 1, sizeof(*entries));
    for (size_t i = 0; i < collection.count; i++)
        entries[i] = (struct high_watermark_entry){.topic = slice_of(collection.entries[i].topic),
                                                   .partition = collection.entries[i].partition,
                                                   .high_watermark = collection.entries[i].high_watermark,
                                                   .instance = collection.entries[i].instance};
    int error = log_manager_checkpoint_high_watermarks_in(logs, directory, entries, collection.count);
    free(entries);
    collection_release(&collection);
    return error;
}

int replica_manager_checkpoint_recovery(struct replica_manager *manager, size_t directory)
{
    struct log_manager *logs = replica_manager_logs(manager);
    struct collection collection = {.entries = NULL};
    log_manager_each_in(logs, directory, collect_log, &collection);
    struct recovery_entry *entries = memory_allocate_zeroed(collection.count + 1, sizeof(*entries));
    for (size_t i = 0; i < collection.count; i++)
        entries[i] = (struct recovery_entry){.topic = slice_of(collection.entries[i].topic),
                                             .partition = collection.entries[i].partition,
                                             .recovery_point = collection.entries[i].recovery_point,
                                             .log_start_offset = collection.entries[i].log_start_offset,
                                             .instance = collection.entries[i].instance};
    int error = log_manager_checkpoint_recovery_in(logs, directory, entries, collection.count);
    free(entries);
    collection_release(&collection);
    return error;
}
