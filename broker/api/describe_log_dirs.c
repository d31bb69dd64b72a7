/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DescribeLogDirs (KIP-113, KIP-827): the log directories of this broker, their room, and what lies in them.
 * A replica that is being moved is there twice: its future log is told by is_future_key, and lags behind by
 * as many offsets as are still to be copied.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/api/answering.h"
#include "broker/api/seen_partitions.h"
#include "broker/api/table.h"
#include "common/memory.h"
#include "proto/kafka/error.h"
#include "proto/kafka/messages/describe_log_dirs.h"

#define OFFSET_LAG_UNKNOWN (-1)

/* A log, live or future, in its directory. */
struct described_log {
    struct slice topic;
    int32_t partition;
    int directory;
    bool future;
    int64_t size_bytes;
    int64_t offset_lag;
};

struct description {
    struct api_context *context;
    struct log_manager *logs;
    struct arena *arena;
    struct described_log *all;
    size_t count;
    size_t capacity;
};

static void add(struct description *description, const struct described_log *log)
{
    description->all = memory_grow(description->all, description->count, &description->capacity,
                                   sizeof(description->all[0]));
    description->all[description->count++] = *log;
}

/* Of all logs. Under the log manager's lock: only the names. */
static void note_name(void *context, struct slice topic, int32_t partition, struct partition_log *log)
{
    struct description *description = context;
    const struct described_log named = {.topic = arena_copy_slice(description->arena, topic),
                                        .partition = partition};
    add(description, &named);
    (void)log; /* its owner may be appending at this moment */
}

/* Of the logs that the request names. */
static void note_request(struct description *description, const struct describe_log_dirs_request *body)
{
    size_t total = 0;
    for (size_t t = 0; t < body->topics_count; t++)
        total += body->topics[t].partitions_count;
    struct seen_partitions seen;
    seen_partitions_init(&seen, description->context->hash_seed, total);
    for (size_t t = 0; t < body->topics_count; t++)
        for (size_t p = 0; p < body->topics[t].partitions_count; p++) {
            const struct described_log named = {.topic = body->topics[t].topic,
                                                .partition = body->topics[t].partitions[p]};
            if (seen_partitions_add(&seen, named.topic, named.partition, description) == NULL)
                add(description, &named);
        }
    seen_partitions_release(&seen);
}

/* Fills in the live log, and adds the future one where there is one. */
static void look_at(struct description *description, size_t number)
{
    struct described_log log = description->all[number];
    struct api_context *context = description->context;
    struct partition_status status = {.log_end_offset = -1};
    log.directory = log_manager_directory_of(description->logs, log.topic, log.partition);
    struct partition *partition = replica_manager_find(context->replicas, log.topic, log.partition);
    if (partition != NULL) {
        partition_status(partition, &status);
        log.size_bytes = status.size_bytes;
        log.offset_lag = max_i64(status.high_watermark - status.log_end_offset, 0);
        partition_release(partition);
    } else {
        log.size_bytes = log_manager_size_bytes(description->logs, log.topic, log.partition);
        log.offset_lag = OFFSET_LAG_UNKNOWN;
    }
    description->all[number] = log;
    struct move_status move;
    if (context->mover == NULL || !mover_status(context->mover, log.topic, log.partition, &move) ||
        (int)move.directory == log.directory)
        return;
    log.directory = (int)move.directory;
    log.future = true;
    log.size_bytes = move.size_bytes;
    log.offset_lag = partition != NULL ? status.log_end_offset - move.end_offset : OFFSET_LAG_UNKNOWN;
    add(description, &log);
}

static int by_place(const void *left, const void *right)
{
    const struct described_log *a = left, *b = right;
    if (a->directory != b->directory)
        return a->directory < b->directory ? -1 : 1;
    int order = memcmp(a->topic.data, b->topic.data, min_size(a->topic.length, b->topic.length));
    if (order == 0 && a->topic.length != b->topic.length)
        order = a->topic.length < b->topic.length ? -1 : 1;
    if (order == 0 && a->partition != b->partition)
        order = a->partition < b->partition ? -1 : 1;
    return order;
}

/* The topics of one directory: `count` logs from `logs` on. */
static void fill_topics(struct arena *arena, const struct described_log *logs, size_t count,
                        struct describe_log_dirs_response_result *result)
{
    result->topics = answer_array(arena, count, sizeof(result->topics[0]));
    struct describe_log_dirs_response_topic *topic = NULL;
    for (size_t i = 0; i < count; i++) {
        if (topic == NULL || !slice_equals(topic->name, logs[i].topic)) {
            size_t same = 0;
            while (i + same < count && slice_equals(logs[i + same].topic, logs[i].topic))
                same++;
            topic = &result->topics[result->topics_count++];
            topic->name = logs[i].topic;
            topic->partitions = answer_array(arena, same, sizeof(topic->partitions[0]));
        }
        topic->partitions[topic->partitions_count++] = (struct describe_log_dirs_response_partition){
            logs[i].partition, logs[i].size_bytes, logs[i].offset_lag, logs[i].future};
    }
}

static void fill(struct description *description, struct describe_log_dirs_response *response)
{
    size_t directories = log_manager_directories_count(description->logs);
    size_t at = 0;
    response->results = answer_array(description->arena, directories, sizeof(response->results[0]));
    while (at < description->count && description->all[at].directory < 0)
        at++; /* no such log here */
    for (size_t i = 0; i < directories; i++) {
        struct log_directory_info info;
        log_manager_directory_info(description->logs, i, &info);
        struct describe_log_dirs_response_result *result = &response->results[response->results_count++];
        describe_log_dirs_response_result_init(result);
        result->log_dir = slice_of(info.path);
        size_t end = at;
        while (end < description->count && description->all[end].directory == (int)i)
            end++;
        if (info.state == LOG_DIRECTORY_OFFLINE) {
            result->error_code = KAFKA_KAFKA_STORAGE_ERROR;
        } else {
            log_manager_directory_room(description->logs, i, &result->total_bytes, &result->usable_bytes);
            fill_topics(description->arena, description->all + at, end - at, result);
        }
        at = end;
    }
}

void handle_describe_log_dirs(struct api_context *context, struct request *request)
{
    struct describe_log_dirs_request body;
    int16_t version = request->header.api_version;
    int rc = describe_log_dirs_request_decode(&body, &request->body, version, &request->arena);
    if (rc < 0) {
        request_refuse_malformed(request, rc);
        return;
    }
    struct arena arena;
    struct describe_log_dirs_response response;
    arena_init(&arena, ARENA_NO_BUDGET);
    describe_log_dirs_response_init(&response);
    struct description description = {
        .context = context, .logs = replica_manager_logs(context->replicas), .arena = &arena};
    if (body.topics == NULL)
        log_manager_each(description.logs, note_name, &description);
    else
        note_request(&description, &body);
    size_t live = description.count;
    for (size_t i = 0; i < live; i++)
        look_at(&description, i);
    if (description.count > 0)
        qsort(description.all, description.count, sizeof(description.all[0]), by_place);
    fill(&description, &response);
    describe_log_dirs_response_encode(&response, request_begin_answer(request), version);
    free(description.all);
    arena_release(&arena);
    request_answer(request);
}
