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
    int64_t high_watermark;
    int64_t recovery_point;
    int64_t log_start_offset;
};

struct collection {
    struct offsets_entry *entries;
    size_t count;
    size_t capacity;
};

static void collect_log(void *context, struct slice topic, int32_t partition, struct partition_log *log)
{
    struct collection *collection = context;
    collection->entries = memory_grow(collection->entries, collection->count, &collection->capacity,
                                      sizeof(collection->entries[0]));
    collection->entries[collection->count++] =
        (struct offsets_entry){.topic = memory_copy_bytes(topic.data, topic.length),
                               .partition = partition,
                               .recovery_point = partition_log_recovery_point(log),
                               .log_start_offset = partition_log_start_offset(log)};
}

/* The high watermark is the partition's; where there is none yet, what the checkpoint had. */
static void collect(struct replica_manager *manager, struct log_manager *logs, struct collection *collection)
{
    *collection = (struct collection){.entries = NULL};
    log_manager_each(logs, collect_log, collection);
    for (size_t i = 0; i < collection->count; i++) {
        struct offsets_entry *entry = &collection->entries[i];
        struct slice topic = slice_of(entry->topic);
        entry->high_watermark = log_manager_checkpointed_high_watermark(logs, topic, entry->partition);
        struct partition *partition = replica_manager_find(manager, topic, entry->partition);
        if (partition == NULL)
            continue;
        struct partition_status status;
        partition_status(partition, &status);
        entry->high_watermark = status.high_watermark;
        partition_release(partition);
    }
}

static void collection_release(struct collection *collection)
{
    for (size_t i = 0; i < collection->count; i++)
        free(collection->entries[i].topic);
    free(collection->entries);
}

int replica_manager_checkpoint_high_watermarks(struct replica_manager *manager)
{
    struct log_manager *logs = replica_manager_logs(manager);
    struct collection collection;
    collect(manager, logs, &collection);
    struct high_watermark_entry *entries = memory_allocate_zeroed(collection.count + 1, sizeof(*entries));
    for (size_t i = 0; i < collection.count; i++)
        entries[i] = (struct high_watermark_entry){.topic = slice_of(collection.entries[i].topic),
                                                   .partition = collection.entries[i].partition,
                                                   .high_watermark = collection.entries[i].high_watermark};
    int error = log_manager_checkpoint_high_watermarks(logs, entries, collection.count);
    free(entries);
    collection_release(&collection);
    return error;
}

int replica_manager_checkpoint_recovery(struct replica_manager *manager)
{
    struct log_manager *logs = replica_manager_logs(manager);
    struct collection collection;
    collect(manager, logs, &collection);
    struct recovery_entry *entries = memory_allocate_zeroed(collection.count + 1, sizeof(*entries));
    for (size_t i = 0; i < collection.count; i++)
        entries[i] = (struct recovery_entry){.topic = slice_of(collection.entries[i].topic),
                                             .partition = collection.entries[i].partition,
                                             .recovery_point = collection.entries[i].recovery_point,
                                             .log_start_offset = collection.entries[i].log_start_offset};
    int error = log_manager_checkpoint_recovery(logs, entries, collection.count);
    free(entries);
    collection_release(&collection);
    return error;
}
