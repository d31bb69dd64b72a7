/* SPDX-License-Identifier: Apache-2.0 */
/* ListOffsets and OffsetForLeaderEpoch: where things are in a log. */
#include "broker/api/answering.h"
#include "broker/api/seen_partitions.h"
#include "broker/api/table.h"
#include "proto/kafka/error.h"
#include "proto/kafka/messages/list_offsets.h"
#include "proto/kafka/messages/offset_for_leader_epoch.h"

#define TIMESTAMP_LATEST (-1)
#define TIMESTAMP_MAX (-3)
#define TIMESTAMP_EARLIEST_LOCAL (-4)
#define TIMESTAMP_LATEST_TIERED (-5)
#define FIRST_VERSION_ONE_OFFSET 1
#define FIRST_VERSION_OFFSET_NOT_AVAILABLE 5

/* The first version that knows a special timestamp. */
static int16_t first_version_of(int64_t timestamp)
{
    switch (timestamp) {
    case TIMESTAMP_MAX:
        return 7;
    case TIMESTAMP_EARLIEST_LOCAL:
        return 8;
    case TIMESTAMP_LATEST_TIERED:
        return 9;
    default:
        return timestamp < TIMESTAMP_LATEST_TIERED ? INT16_MAX : 0;
    }
}

static int16_t list_offset(struct api_context *context, const struct metadata_image *image,
                           const struct list_offsets_request *body, int16_t version, struct slice topic,
                           const struct list_offsets_request_partition *asked,
                           struct log_timestamp_offset *found)
{
    *found = (struct log_timestamp_offset){-1, -1, -1};
    if (version < first_version_of(asked->timestamp))
        return KAFKA_UNSUPPORTED_VERSION;
    int16_t error;
    struct partition *partition = find_partition(context, image, topic, asked->partition_index, &error);
    if (partition == NULL)
        return error;
    error = partition_list_offset(partition, body->replica_id, asked->current_leader_epoch,
                                  body->isolation_level == 1, asked->timestamp, found);
    partition_release(partition);
    if (error == KAFKA_OFFSET_NOT_AVAILABLE && version < FIRST_VERSION_OFFSET_NOT_AVAILABLE)
        error = KAFKA_LEADER_NOT_AVAILABLE;
    return error;
}

/*
 * Version 0 asks for a list of offsets before a time. It gets the offset found and, where it asked for more
 * than one of "latest", the log's start.
 */
static void fill_old_style(struct api_context *context, struct slice topic,
                           const struct list_offsets_request_partition *asked,
                           const struct log_timestamp_offset *found, struct arena *arena,
                           struct list_offsets_response_partition_response *out)
{
    out->old_style_offsets = answer_array(arena, 2, sizeof(out->old_style_offsets[0]));
    if (found->offset < 0 || asked->max_num_offsets < 1)
        return;
    out->old_style_offsets[out->old_style_offsets_count++] = found->offset;
    if (asked->timestamp != TIMESTAMP_LATEST || asked->max_num_offsets < 2)
        return;
    struct partition *partition = replica_manager_find(context->replicas, topic, asked->partition_index);
    if (partition == NULL)
        return;
    struct partition_status status;
    partition_status(partition, &status);
    partition_release(partition);
    if (status.log_start_offset < found->offset)
        out->old_style_offsets[out->old_style_offsets_count++] = status.log_start_offset;
}

/* Which of its two questions would be the answer's? */
static void refuse_repeated(struct list_offsets_response_partition_response *answer)
{
    int32_t number = answer->partition_index;
    list_offsets_response_partition_response_init(answer);
    answer->partition_index = number;
    answer->error_code = KAFKA_INVALID_REQUEST;
}

static void list_topic(struct api_context *context, const struct metadata_image *image,
                       const struct list_offsets_request *body, int16_t version,
                       const struct list_offsets_request_topic *topic, struct seen_partitions *seen,
                       struct arena *arena, struct list_offsets_response_topic_response *out)
{
    out->name = topic->name;
    out->partitions = answer_array(arena, topic->partitions_count, sizeof(out->partitions[0]));
    for (size_t i = 0; i < topic->partitions_count; i++) {
        const struct list_offsets_request_partition *asked = &topic->partitions[i];
        struct list_offsets_response_partition_response *answer = &out->partitions[out->partitions_count++];
        struct log_timestamp_offset found;
        list_offsets_response_partition_response_init(answer);
        answer->partition_index = asked->partition_index;
        struct list_offsets_response_partition_response *former =
            seen_partitions_add(seen, topic->name, asked->partition_index, answer);
        if (former && version >= FIRST_VERSION_ONE_OFFSET) {
            refuse_repeated(former);
            refuse_repeated(answer);
            continue;
        }
        answer->error_code = list_offset(context, image, body, version, topic->name, asked, &found);
        if (answer->error_code != KAFKA_NONE)
            continue;
        answer->timestamp = found.timestamp;
        answer->offset = found.offset;
        answer->leader_epoch = found.leader_epoch;
        if (version < FIRST_VERSION_ONE_OFFSET)
            fill_old_style(context, topic->name, asked, &found, arena, answer);
    }
}

void handle_list_offsets(struct api_context *context, struct request *request)
{
    struct list_offsets_request body;
    int16_t version = request->header.api_version;
    int rc = list_offsets_request_decode(&body, &request->body, version, &request->arena);
    if (rc < 0) {
        request_refuse_malformed(request, rc);
        return;
    }
    /* Only brokers follow, and they come by their own listener. */
    if (!request->inter_broker)
        body.replica_id = -1;
    struct arena arena;
    struct list_offsets_response response;
    const struct metadata_image *image = metadata_cache_acquire(context->metadata);
    arena_init(&arena, ARENA_NO_BUDGET);
    list_offsets_response_init(&response);
    size_t total = 0;
    for (size_t i = 0; i < body.topics_count; i++)
        total += body.topics[i].partitions_count;
    struct seen_partitions seen;
    seen_partitions_init(&seen, context->hash_seed, total);
    response.topics = answer_array(&arena, body.topics_count, sizeof(response.topics[0]));
    for (size_t i = 0; i < body.topics_count; i++)
        list_topic(context, image, &body, version, &body.topics[i], &seen, &arena,
                   &response.topics[response.topics_count++]);
    seen_partitions_release(&seen);
    list_offsets_response_encode(&response, request_begin_answer(request), version);
    metadata_image_release(image);
    arena_release(&arena);
    request_answer(request);
}

static void find_epoch_end(struct api_context *context, const struct metadata_image *image,
                           struct slice topic,
                           const struct offset_for_leader_epoch_request_offset_for_leader_partition *asked,
                           struct offset_for_leader_epoch_response_epoch_end_offset *answer)
{
    offset_for_leader_epoch_response_epoch_end_offset_init(answer);
    answer->partition = asked->partition;
    struct partition *partition =
        find_partition(context, image, topic, asked->partition, &answer->error_code);
    if (partition == NULL)
        return;
    int32_t epoch = -1;
    int64_t end_offset = -1;
    answer->error_code =
        partition_epoch_end(partition, asked->current_leader_epoch, asked->leader_epoch, &epoch, &end_offset);
    if (answer->error_code == KAFKA_NONE) {
        answer->leader_epoch = epoch;
        answer->end_offset = end_offset;
    }
    partition_release(partition);
}

void handle_offset_for_leader_epoch(struct api_context *context, struct request *request)
{
    struct offset_for_leader_epoch_request body;
    int16_t version = request->header.api_version;
    int rc = offset_for_leader_epoch_request_decode(&body, &request->body, version, &request->arena);
    if (rc < 0) {
        request_refuse_malformed(request, rc);
        return;
    }
    struct arena arena;
    struct offset_for_leader_epoch_response response;
    const struct metadata_image *image = metadata_cache_acquire(context->metadata);
    arena_init(&arena, ARENA_NO_BUDGET);
    offset_for_leader_epoch_response_init(&response);
    response.topics = answer_array(&arena, body.topics_count, sizeof(response.topics[0]));
    for (size_t i = 0; i < body.topics_count; i++) {
        const struct offset_for_leader_epoch_request_offset_for_leader_topic *topic = &body.topics[i];
        struct offset_for_leader_epoch_response_offset_for_leader_topic_result *out =
            &response.topics[response.topics_count++];
        out->topic = topic->topic;
        out->partitions = answer_array(&arena, topic->partitions_count, sizeof(out->partitions[0]));
        for (size_t j = 0; j < topic->partitions_count; j++)
            find_epoch_end(context, image, topic->topic, &topic->partitions[j],
                           &out->partitions[out->partitions_count++]);
    }
    offset_for_leader_epoch_response_encode(&response, request_begin_answer(request), version);
    metadata_image_release(image);
    arena_release(&arena);
    request_answer(request);
}
