/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AlterReplicaLogDirs (KIP-113): orders the move of replicas to other log directories of this broker. The
 * answer says that the order was taken; DescribeLogDirs tells how far it is. A partition that a request names
 * twice goes where it is named last.
 */
#include "broker/api/answering.h"
#include "broker/api/seen_partitions.h"
#include "broker/api/table.h"
#include "common/map.h"
#include "proto/kafka/error.h"
#include "proto/kafka/messages/alter_replica_log_dirs.h"

/* Makes the answer's topics, each once, with room for their partitions. */
static void prepare_results(const struct alter_replica_log_dirs_request *body, struct map *results,
                            struct arena *arena, struct alter_replica_log_dirs_response *response)
{
    size_t topics = 0;
    for (size_t d = 0; d < body->dirs_count; d++)
        topics += body->dirs[d].topics_count;
    response->results = answer_array(arena, topics, sizeof(response->results[0]));
    for (size_t d = 0; d < body->dirs_count; d++)
        for (size_t t = 0; t < body->dirs[d].topics_count; t++) {
            const struct alter_replica_log_dirs_request_alter_replica_log_dir_topic *topic =
                &body->dirs[d].topics[t];
            struct alter_replica_log_dirs_response_alter_replica_log_dir_topic_result *result =
                map_get(results, topic->name);
            if (result == NULL) {
                result = &response->results[response->results_count++];
                result->topic_name = topic->name;
                map_put(results, topic->name, result);
            }
            result->partitions_count += topic->partitions_count;
        }
    for (size_t i = 0; i < response->results_count; i++) {
        response->results[i].partitions = answer_array(arena, response->results[i].partitions_count,
                                                       sizeof(response->results[i].partitions[0]));
        response->results[i].partitions_count = 0;
    }
}

static int16_t alter(struct api_context *context, const struct metadata_image *image, struct slice topic,
                     int32_t partition, struct slice path)
{
    if (context->mover == NULL)
        return KAFKA_UNSUPPORTED_VERSION;
    int16_t error = mover_alter(context->mover, topic, partition, path);
    if (error != KAFKA_REPLICA_NOT_AVAILABLE)
        return error;
    const struct metadata_topic *known = metadata_image_topic(image, topic);
    bool exists = known != NULL && metadata_topic_partition(known, partition) != NULL;
    return exists ? error : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
}

static void alter_topic(struct api_context *context, const struct metadata_image *image, struct slice path,
                        const struct alter_replica_log_dirs_request_alter_replica_log_dir_topic *topic,
                        struct seen_partitions *seen,
                        struct alter_replica_log_dirs_response_alter_replica_log_dir_topic_result *result)
{
    for (size_t i = 0; i < topic->partitions_count; i++) {
        int32_t partition = topic->partitions[i];
        struct alter_replica_log_dirs_response_alter_replica_log_dir_partition_result *next =
            &result->partitions[result->partitions_count];
        struct alter_replica_log_dirs_response_alter_replica_log_dir_partition_result *former =
            seen_partitions_add(seen, topic->name, partition, next);
        if (former == NULL)
            result->partitions_count++;
        else
            next = former;
        next->partition_index = partition;
        next->error_code = alter(context, image, topic->name, partition, path);
    }
}

static void alter_all(struct api_context *context, const struct alter_replica_log_dirs_request *body,
                      struct arena *arena, struct alter_replica_log_dirs_response *response)
{
    struct map *results = map_new(context->hash_seed);
    prepare_results(body, results, arena, response);
    size_t total = 0;
    for (size_t d = 0; d < body->dirs_count; d++)
        for (size_t t = 0; t < body->dirs[d].topics_count; t++)
            total += body->dirs[d].topics[t].partitions_count;
    struct seen_partitions seen;
    seen_partitions_init(&seen, context->hash_seed, total);
    const struct metadata_image *image = metadata_cache_acquire(context->metadata);
    for (size_t d = 0; d < body->dirs_count; d++)
        for (size_t t = 0; t < body->dirs[d].topics_count; t++) {
            const struct alter_replica_log_dirs_request_alter_replica_log_dir_topic *topic =
                &body->dirs[d].topics[t];
            alter_topic(context, image, body->dirs[d].path, topic, &seen, map_get(results, topic->name));
        }
    metadata_image_release(image);
    seen_partitions_release(&seen);
    map_free(results);
}

void handle_alter_replica_log_dirs(struct api_context *context, struct request *request)
{
    struct alter_replica_log_dirs_request body;
    int16_t version = request->header.api_version;
    int rc = alter_replica_log_dirs_request_decode(&body, &request->body, version, &request->arena);
    if (rc < 0) {
        request_refuse_malformed(request, rc);
        return;
    }
    struct arena arena;
    struct alter_replica_log_dirs_response response;
    arena_init(&arena, ARENA_NO_BUDGET);
    alter_replica_log_dirs_response_init(&response);
    alter_all(context, &body, &arena, &response);
    alter_replica_log_dirs_response_encode(&response, request_begin_answer(request), version);
    arena_release(&arena);
    request_answer(request);
}
