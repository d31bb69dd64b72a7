/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metadata: what clients ask first and again after every error. Endpoints are those of the listener that the
 * request came by. Topics that are missing are created where client and configuration allow it: the request
 * is parked until the controller has answered, and then answered from the metadata that is there by then.
 */
#include <stdlib.h>

#include "broker/api/answering.h"
#include "broker/api/auto_create.h"
#include "broker/api/metadata_answer.h"
#include "broker/api/table.h"
#include "common/map.h"
#include "common/memory.h"
#include "proto/kafka/error.h"

/* So long a client waits for a topic to be created before it is told to ask again. */
#define AUTO_CREATE_WAIT_MS 5000

/* A Metadata request while its topics are created. */
struct metadata_operation {
    struct auto_create attempt;
    struct api_context *context;
    struct request *request;
    struct metadata_request body;
    struct map *by_name; /* the topics of the attempt */
};

static bool asks_for_all(const struct metadata_request *body, int16_t version)
{
    return version == 0 ? body->topics_count == 0 : body->topics == NULL;
}

static void answer(struct api_context *context, struct request *request, const struct metadata_request *body,
                   const struct auto_create *attempt)
{
    struct arena arena;
    struct metadata_response response;
    const struct metadata_image *image = metadata_cache_acquire(context->metadata);
    struct metadata_asker asker = {
        .image = image,
        .listener = request->listener,
        .version = request->header.api_version,
        .topics = asks_for_all(body, request->header.api_version) ? NULL : body->topics,
        .topics_count = body->topics_count,
        .creating = attempt ? attempt->by_name : NULL,
        .seed = context->hash_seed,
    };
    arena_init(&arena, ARENA_NO_BUDGET);
    metadata_answer_build(&asker, metadata_cache_cluster_id(context->metadata), &arena, &response);
    metadata_response_encode(&response, request_begin_answer(request), request->header.api_version);
    metadata_image_release(image);
    arena_release(&arena);
    request_answer(request);
}

/* The topics of the request that may be created, and those by name; NULL when there are none. The caller
 * frees both. */
static struct auto_created_topic *missing_topics(struct api_context *context,
                                                 const struct metadata_request *body, size_t *count,
                                                 struct map **by_name)
{
    const struct metadata_image *image = metadata_cache_acquire(context->metadata);
    size_t most = min_size(body->topics_count, AUTO_CREATE_TOPICS_MAX);
    struct auto_created_topic *missing = memory_allocate_zeroed(most, sizeof(missing[0]));
    struct map *seen = map_new(context->hash_seed);
    *count = 0;
    for (size_t i = 0; i < body->topics_count && *count < most; i++) {
        struct slice name = body->topics[i].name;
        if (slice_is_null(name) || !uuid_is_zero(body->topics[i].topic_id) || !topic_name_is_legal(name) ||
            metadata_is_internal_topic(name) || metadata_image_topic(image, name) || map_get(seen, name))
            continue;
        missing[*count] = (struct auto_created_topic){name, KAFKA_UNKNOWN_TOPIC_OR_PARTITION};
        (void)map_put(seen, name, &missing[(*count)++]);
    }
    metadata_image_release(image);
    if (*count == 0) {
        map_free(seen);
        seen = NULL;
        free(missing);
        missing = NULL;
    }
    *by_name = seen;
    return missing;
}

static void creation_done(struct auto_create *attempt)
{
    struct metadata_operation *operation = container_of(attempt, struct metadata_operation, attempt);
    answer(operation->context, operation->request, &operation->body, attempt);
    map_free(operation->by_name);
    free(attempt->topics);
    free(operation);
}

/* True: the request is parked, or was answered after all. */
static bool create_missing(struct api_context *context, struct request *request,
                           const struct metadata_request *body)
{
    size_t count;
    struct map *by_name;
    struct auto_created_topic *missing = missing_topics(context, body, &count, &by_name);
    if (missing == NULL)
        return false;
    struct metadata_operation *operation = memory_allocate_zeroed(1, sizeof(*operation));
    operation->context = context;
    operation->request = request;
    operation->body = *body;
    operation->attempt.topics = missing;
    operation->attempt.topics_count = count;
    operation->attempt.by_name = by_name;
    operation->by_name = by_name;
    operation->attempt.done = creation_done;
    int64_t deadline_ms = request->received_ms + AUTO_CREATE_WAIT_MS;
    if (!auto_create_start(&operation->attempt, context, reactor_mailbox(request->reactor), deadline_ms))
        creation_done(&operation->attempt);
    return true;
}

void handle_metadata(struct api_context *context, struct request *request)
{
    struct metadata_request body;
    int16_t version = request->header.api_version;
    int rc = metadata_request_decode(&body, &request->body, version, &request->arena);
    if (rc < 0) {
        request_refuse_malformed(request, rc);
        return;
    }
    bool may_create = context->config->auto_create_topics_enable && body.allow_auto_topic_creation &&
                      !asks_for_all(&body, version);
    if (may_create && create_missing(context, request, &body))
        return;
    answer(context, request, &body, NULL);
}
