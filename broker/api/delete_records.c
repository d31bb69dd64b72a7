/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DeleteRecords: moves the log start of each partition, then waits until the followers that live have moved
 * theirs, or until the client's time is up: what was deleted stays deleted then, too.
 */
#include <stdlib.h>

#include "broker/api/answering.h"
#include "broker/api/parking.h"
#include "broker/api/seen_partitions.h"
#include "broker/api/table.h"
#include "common/memory.h"
#include "proto/kafka/error.h"
#include "proto/kafka/messages/delete_records.h"

#define LOW_WATERMARK_NONE (-1)

/* One partition of the request. */
struct deleted {
    struct slice topic;
    int64_t offset;              /* as asked for */
    struct partition *partition; /* a reference, or NULL */
    struct delete_records_response_partition_result *answer;
    int64_t required; /* of the low watermark */
    bool pending;
};

struct delete_operation {
    struct parking parking;
    struct api_context *context;
    struct request *request;
    struct delete_records_request body;
    struct arena arena; /* no budget: in proportion to what was decoded */
    struct delete_records_response response;
    struct deleted *deleted;
    size_t deleted_count;
    size_t pending_count;
};

static void operation_free(struct delete_operation *operation)
{
    for (size_t i = 0; i < operation->deleted_count; i++)
        partition_release(operation->deleted[i].partition);
    arena_release(&operation->arena);
    free(operation);
}

static void answer(struct delete_operation *operation)
{
    struct request *request = operation->request;
    delete_records_response_encode(&operation->response, request_begin_answer(request),
                                   request->header.api_version);
    operation_free(operation);
    request_answer(request);
}

static void settle(struct delete_operation *operation, struct deleted *deleted, int16_t error)
{
    deleted->pending = false;
    operation->pending_count--;
    deleted->answer->error_code = error;
}

static bool broker_is_alive(const void *image, int32_t broker_id)
{
    return metadata_image_broker(image, broker_id) != NULL;
}

/* The low watermark of now, also into the answer. */
static int16_t look_at_low_watermark(struct delete_operation *operation, struct deleted *deleted,
                                     struct low_watermark *low)
{
    const struct metadata_image *image = metadata_cache_acquire(operation->context->metadata);
    int16_t error = partition_low_watermark(deleted->partition, broker_is_alive, image, low);
    metadata_image_release(image);
    deleted->answer->low_watermark = error == KAFKA_NONE ? low->offset : LOW_WATERMARK_NONE;
    return error;
}

/* Settles the partition if the replicas have followed; if not yet, watches it. */
static void check_followed(struct delete_operation *operation, size_t index)
{
    struct deleted *deleted = &operation->deleted[index];
    for (;;) {
        struct low_watermark low;
        int16_t error = look_at_low_watermark(operation, deleted, &low);
        if (error != KAFKA_NONE || low.offset >= deleted->required) {
            settle(operation, deleted, error);
            return;
        }
        if (parking_watch(&operation->parking, deleted->partition, WATCH_LOG_STARTS, low.moves,
                          low.leader_epoch, index))
            return;
    }
}

static int16_t delete_one(struct delete_operation *operation, const struct metadata_image *image,
                          struct deleted *deleted)
{
    struct api_context *context = operation->context;
    int16_t error;
    if (metadata_is_internal_topic(deleted->topic))
        return KAFKA_INVALID_TOPIC_EXCEPTION;
    deleted->partition =
        find_partition(context, image, deleted->topic, deleted->answer->partition_index, &error);
    if (deleted->partition == NULL)
        return error;
    error = partition_delete_records(deleted->partition, deleted->offset,
                                     context->clock->monotonic_ms(context->clock), &deleted->required);
    deleted->pending = error == KAFKA_NONE;
    operation->pending_count += deleted->pending ? 1 : 0;
    return error;
}

/* One answer for each partition. Of one that is named twice the later offset counts, as with Kafka. */
static void collect_partitions(struct delete_operation *operation)
{
    const struct delete_records_request *body = &operation->body;
    struct delete_records_response *response = &operation->response;
    struct seen_partitions seen;
    size_t total = 0;
    for (size_t i = 0; i < body->topics_count; i++)
        total += body->topics[i].partitions_count;
    operation->deleted = answer_array(&operation->arena, total, sizeof(operation->deleted[0]));
    struct delete_records_response_partition_result *answers =
        answer_array(&operation->arena, total, sizeof(answers[0]));
    response->topics = answer_array(&operation->arena, body->topics_count, sizeof(response->topics[0]));
    seen_partitions_init(&seen, operation->context->hash_seed, total);
    for (size_t i = 0; i < body->topics_count; i++) {
        const struct delete_records_request_topic *topic = &body->topics[i];
        struct delete_records_response_topic_result *out = &response->topics[response->topics_count];
        *out = (struct delete_records_response_topic_result){.name = topic->name, .partitions = answers};
        for (size_t j = 0; j < topic->partitions_count; j++) {
            const struct delete_records_request_partition *asked = &topic->partitions[j];
            struct deleted *next = &operation->deleted[operation->deleted_count];
            struct deleted *former = seen_partitions_add(&seen, topic->name, asked->partition_index, next);
            if (former) {
                former->offset = asked->offset;
                continue;
            }
            *next = (struct deleted){.topic = topic->name, .offset = asked->offset, .answer = answers++};
            *next->answer = (struct delete_records_response_partition_result){
                .partition_index = asked->partition_index, .low_watermark = LOW_WATERMARK_NONE};
            operation->deleted_count++;
            out->partitions_count++;
        }
        if (out->partitions_count > 0 || topic->partitions_count == 0)
            response->topics_count++;
    }
    seen_partitions_release(&seen);
}

static void delete_all(struct delete_operation *operation)
{
    collect_partitions(operation);
    const struct metadata_image *image = metadata_cache_acquire(operation->context->metadata);
    for (size_t i = 0; i < operation->deleted_count; i++)
        operation->deleted[i].answer->error_code = delete_one(operation, image, &operation->deleted[i]);
    metadata_image_release(image);
}

static void wake(struct parking *parking, size_t tag)
{
    struct delete_operation *operation = container_of(parking, struct delete_operation, parking);
    check_followed(operation, tag);
    if (operation->pending_count == 0) {
        parking_release(parking);
        answer(operation);
    }
}

static void expired(struct parking *parking)
{
    struct delete_operation *operation = container_of(parking, struct delete_operation, parking);
    parking_release(parking);
    for (size_t i = 0; i < operation->deleted_count; i++)
        if (operation->deleted[i].pending)
            settle(operation, &operation->deleted[i], KAFKA_REQUEST_TIMED_OUT);
    answer(operation);
}

static void abandoned(struct parking *parking)
{
    struct delete_operation *operation = container_of(parking, struct delete_operation, parking);
    struct request *request = operation->request;
    parking_release(parking);
    operation_free(operation);
    request_answer_nothing(request);
}

/* What the answer needs of the frame is copied: followers may need its memory to move at all. */
static void release_frame(struct delete_operation *operation)
{
    struct delete_records_response *response = &operation->response;
    for (size_t i = 0; i < response->topics_count; i++)
        response->topics[i].name = arena_copy_slice(&operation->arena, response->topics[i].name);
    for (size_t i = 0; i < operation->deleted_count; i++)
        operation->deleted[i].topic = slice_of(NULL);
    operation->body.topics = NULL;
    operation->body.topics_count = 0;
    request_release_frame(operation->request);
}

/* Waits for the followers, unless they have moved already. */
static void await_followers(struct delete_operation *operation)
{
    parking_init(&operation->parking, operation->request, wake, expired, abandoned);
    for (size_t i = 0; i < operation->deleted_count; i++)
        if (operation->deleted[i].pending)
            check_followed(operation, i);
    if (operation->pending_count == 0) {
        parking_release(&operation->parking);
        answer(operation);
        return;
    }
    release_frame(operation);
    parking_set_deadline(&operation->parking,
                         parking_deadline_ms(operation->request, operation->body.timeout_ms));
}

void handle_delete_records(struct api_context *context, struct request *request)
{
    struct delete_operation *operation = memory_allocate_zeroed(1, sizeof(*operation));
    operation->context = context;
    operation->request = request;
    int rc = delete_records_request_decode(&operation->body, &request->body, request->header.api_version,
                                           &request->arena);
    if (rc < 0) {
        free(operation);
        request_refuse_malformed(request, rc);
        return;
    }
    arena_init(&operation->arena, ARENA_NO_BUDGET);
    delete_records_response_init(&operation->response);
    delete_all(operation);
    if (operation->pending_count > 0)
        await_followers(operation);
    else
        answer(operation);
}
