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
    struct parked_parts parts; /* one for each of `deleted` */
    struct api_context *context;
    struct request *request;
    struct delete_records_request body;
    struct arena arena; /* no budget: in proportion to what was decoded */
    struct delete_records_response response;
    struct deleted *deleted;
};

static struct delete_operation *operation_of(struct parked_parts *parts)
{
    return container_of(parts, struct delete_operation, parts);
}

static void operation_free(struct delete_operation *operation)
{
    for (size_t i = 0; i < operation->parts.count; i++)
        partition_release(operation->deleted[i].partition);
    arena_release(&operation->arena);
    free(operation);
}

static void answer(struct parked_parts *parts)
{
    struct delete_operation *operation = operation_of(parts);
    struct request *request = operation->request;
    delete_records_response_encode(&operation->response, request_begin_answer(request),
                                   request->header.api_version);
    operation_free(operation);
    request_answer(request);
}

static void settle(struct delete_operation *operation, struct deleted *deleted, int16_t error)
{
    deleted->pending = false;
    operation->parts.pending--;
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
static void check_followed(struct parked_parts *parts, size_t index)
{
    struct delete_operation *operation = operation_of(parts);
    struct deleted *deleted = &operation->deleted[index];
    for (;;) {
        struct low_watermark low;
        int16_t error = look_at_low_watermark(operation, deleted, &low);
        if (error != KAFKA_NONE || low.offset >= deleted->required) {
            settle(operation, deleted, error);
            return;
        }
        if (parking_watch(&operation->parts.parking, deleted->partition, WATCH_LOG_STARTS, low.moves,
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
    operation->parts.pending += deleted->pending ? 1 : 0;
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
            struct deleted *next = &operation->deleted[operation->parts.count];
            struct deleted *former = seen_partitions_add(&seen, topic->name, asked->partition_index, next);
            if (former) {
                former->offset = asked->offset;
                continue;
            }
            *next = (struct deleted){.topic = topic->name, .offset = asked->offset, .answer = answers++};
            *next->answer = (struct delete_records_response_partition_result){
                .partition_index = asked->partition_index, .low_watermark = LOW_WATERMARK_NONE};
            operation->parts.count++;
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
    for (size_t i = 0; i < operation->parts.count; i++)
        operation->deleted[i].answer->error_code = delete_one(operation, image, &operation->deleted[i]);
    metadata_image_release(image);
}

static bool is_pending(const struct parked_parts *parts, size_t index)
{
    return container_of(parts, const struct delete_operation, parts)->deleted[index].pending;
}

static void time_out(struct parked_parts *parts, size_t index)
{
    struct delete_operation *operation = operation_of(parts);
    settle(operation, &operation->deleted[index], KAFKA_REQUEST_TIMED_OUT);
}

static void forget(struct parked_parts *parts)
{
    operation_free(operation_of(parts));
}

/* What the answer needs of the frame is copied: followers may need its memory to move at all. */
static void release_frame(struct parked_parts *parts)
{
    struct delete_operation *operation = operation_of(parts);
    struct delete_records_response *response = &operation->response;
    for (size_t i = 0; i < response->topics_count; i++)
        response->topics[i].name = arena_copy_slice(&operation->arena, response->topics[i].name);
    for (size_t i = 0; i < operation->parts.count; i++)
        operation->deleted[i].topic = slice_of(NULL);
    operation->body.topics = NULL;
    operation->body.topics_count = 0;
    request_release_frame(operation->request);
}

static const struct parked_parts_handler parts_handler = {.is_pending = is_pending,
                                                          .check = check_followed,
                                                          .time_out = time_out,
                                                          .release_frame = release_frame,
                                                          .answer = answer,
                                                          .forget = forget};

void handle_delete_records(struct api_context *context, struct request *request)
{
    struct delete_operation *operation = memory_allocate_zeroed(1, sizeof(*operation));
    operation->context = context;
    operation->request = request;
    operation->parts.handler = &parts_handler;
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
    if (operation->parts.pending > 0)
        parked_parts_await(&operation->parts, request, operation->body.timeout_ms);
    else
        answer(&operation->parts);
}
