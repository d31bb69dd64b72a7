/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Produce: appends each partition's batch, then answers at once (acks=0, and 1 where flush.messages does not
 * make it wait for the leader's disk) or when all in-sync replicas have what was appended (acks=all).
 *
 * The batches lie in the frame and are written from there; nothing is copied. While a request waits only its
 * results are kept: what was appended in which leader epoch up to where, and a watch on the high watermark.
 */
#include <stdlib.h>

#include "broker/api/answering.h"
#include "broker/api/leader_hint.h"
#include "broker/api/parking.h"
#include "broker/api/seen_partitions.h"
#include "broker/api/table.h"
#include "common/memory.h"
#include "proto/kafka/error.h"
#include "proto/kafka/messages/produce.h"

#define FIRST_VERSION_WITH_LEADER_HINTS 10
/* The client that may write into the brokers' own topics. */
#define ADMIN_CLIENT_ID "__admin_client"

/* Where a batch of format 2 has its magic and attributes, and what two of their bits mean. */
#define BATCH_MAGIC_AT 16
#define BATCH_ATTRIBUTES_LOW_AT 22
#define BATCH_TRANSACTIONAL 0x10

#define ACKS_ALL (-1)
/* So much of a topic's name goes into a log line. */
#define TOPIC_LOGGED_BYTES 249

/* One partition of the request. */
struct produced {
    struct slice topic;
    const struct produce_request_partition_produce_data *data; /* in the frame; not while it waits */
    struct partition *partition;                               /* a reference, or NULL */
    struct produce_response_partition_produce_response *answer;
    struct produce_result result;
    bool pending; /* appended, not yet acknowledged */
};

struct produce_operation {
    struct parked_parts parts; /* one for each of `produced` */
    struct api_context *context;
    struct request *request;
    struct produce_request body;
    struct arena arena; /* no budget: in proportion to what was decoded */
    struct produce_response response;
    struct produced *produced;
};

static struct produce_operation *operation_of(struct parked_parts *parts)
{
    return container_of(parts, struct produce_operation, parts);
}

static void operation_free(struct produce_operation *operation)
{
    for (size_t i = 0; i < operation->parts.count; i++)
        partition_release(operation->produced[i].partition);
    arena_release(&operation->arena);
    free(operation);
}

static int16_t check_request(const struct produce_operation *operation, struct slice topic,
                             const struct produce_request_partition_produce_data *data, const char **message)
{
    const struct produce_request *body = &operation->body;
    if (body->acks < ACKS_ALL || body->acks > 1)
        return KAFKA_INVALID_REQUIRED_ACKS;
    if (metadata_is_internal_topic(topic) && !slice_is(operation->request->header.client_id, ADMIN_CLIENT_ID))
        return KAFKA_INVALID_TOPIC_EXCEPTION;
    if (data->records.bytes.length == 0) {
        *message = "there is no record batch for this partition";
        return KAFKA_INVALID_RECORD;
    }
    struct slice batch = data->records.bytes;
    bool transactional = batch.length > BATCH_ATTRIBUTES_LOW_AT && batch.data[BATCH_MAGIC_AT] == 2 &&
                         (batch.data[BATCH_ATTRIBUTES_LOW_AT] & BATCH_TRANSACTIONAL) != 0;
    if (transactional || !slice_is_null(body->transactional_id)) {
        *message = "transactions are not served by this release";
        return KAFKA_INVALID_TXN_STATE;
    }
    return KAFKA_NONE;
}

static int16_t append(struct produce_operation *operation, const struct metadata_image *image,
                      const struct produce_request_partition_produce_data *data, struct produced *produced,
                      const char **message)
{
    struct api_context *context = operation->context;
    struct request *request = operation->request;
    int16_t error = check_request(operation, produced->topic, data, message);
    if (error != KAFKA_NONE)
        return error;
    produced->partition = find_partition(context, image, produced->topic, data->index, &error);
    if (produced->partition == NULL)
        return error;
    /* The frame is ours to patch: offset, leader epoch and append time are written where the batch lies. */
    size_t position = (size_t)(data->records.bytes.data - request->frame);
    error = partition_produce(produced->partition, request->frame + position, data->records.bytes.length,
                              request->header.api_version, operation->body.acks == ACKS_ALL,
                              context->clock->wall_ms(context->clock),
                              context->clock->monotonic_ms(context->clock), &produced->result);
    *message = produced->result.error_message;
    return error;
}

static void settle(struct produce_operation *operation, struct produced *produced, int16_t error)
{
    if (produced->pending) {
        produced->pending = false;
        operation->parts.pending--;
    }
    produced->answer->error_code = error;
}

/* Asks whether the batch is acknowledged; if not yet, watches the partition. */
static void check_acknowledged(struct parked_parts *parts, size_t index)
{
    struct produce_operation *operation = operation_of(parts);
    struct produced *produced = &operation->produced[index];
    bool acks_all = operation->body.acks == ACKS_ALL;
    for (;;) {
        int16_t verdict = partition_check_produce(produced->partition, acks_all,
                                                  produced->result.leader_epoch, produced->result.end_offset);
        if (verdict != PRODUCE_PENDING) {
            settle(operation, produced, verdict);
            return;
        }
        if (parking_watch(&operation->parts.parking, produced->partition,
                          acks_all ? WATCH_ACKNOWLEDGED : WATCH_WRITTEN, produced->result.end_offset,
                          produced->result.leader_epoch, index))
            return;
    }
}

/* Errors that tell of a broken or hostile client: an operator wants to know whose. */
static bool is_bad_data(int16_t error)
{
    return error == KAFKA_CORRUPT_MESSAGE || error == KAFKA_INVALID_RECORD ||
           error == KAFKA_MESSAGE_TOO_LARGE || error == KAFKA_INVALID_TIMESTAMP ||
           error == KAFKA_UNSUPPORTED_FOR_MESSAGE_FORMAT || error == KAFKA_UNSUPPORTED_COMPRESSION_TYPE ||
           error == KAFKA_INVALID_REQUIRED_ACKS || error == KAFKA_INVALID_TXN_STATE;
}

static void notice_refused(const struct produce_operation *operation, struct slice topic, int32_t number,
                           int16_t error, const char *message)
{
    struct buffer name;
    buffer_init(&name);
    buffer_append_escaped(&name, topic, TOPIC_LOGGED_BYTES);
    request_notice(operation->request, kafka_error_name(error), "the batch for %s-%d is refused: %s%s%s",
                   buffer_string(&name), (int)number, kafka_error_name(error), message ? ", " : "",
                   message ? message : "");
    buffer_release(&name);
}

static void answer_record_errors(struct produce_operation *operation, struct produced *produced)
{
    const struct produce_result *result = &produced->result;
    struct produce_response_partition_produce_response *answer = produced->answer;
    answer->record_errors =
        answer_array(&operation->arena, result->record_error_count, sizeof(answer->record_errors[0]));
    for (size_t i = 0; i < result->record_error_count; i++)
        answer->record_errors[answer->record_errors_count++] =
            (struct produce_response_batch_index_and_error_message){
                .batch_index = result->record_errors[i].index,
                .batch_index_error_message = slice_of(result->record_errors[i].reason)};
}

static void produce_one(struct produce_operation *operation, const struct metadata_image *image,
                        const struct produce_request_partition_produce_data *data, struct produced *produced)
{
    struct produce_response_partition_produce_response *answer = produced->answer;
    const char *message = NULL;
    answer->index = data->index;
    answer->base_offset = -1;
    answer->error_code = append(operation, image, data, produced, &message);
    if (answer->error_code != KAFKA_NONE) {
        answer->error_message = slice_of(message);
        answer_record_errors(operation, produced);
        if (is_bad_data(answer->error_code))
            notice_refused(operation, produced->topic, data->index, answer->error_code, message);
        return;
    }
    answer->base_offset = produced->result.base_offset;
    answer->log_append_time_ms = produced->result.append_time_ms;
    answer->log_start_offset = produced->result.log_start_offset;
    produced->pending =
        operation->body.acks == ACKS_ALL || (operation->body.acks == 1 && !produced->result.durable);
    operation->parts.pending += produced->pending ? 1 : 0;
}

/* One answer for each partition. Of one that is named twice the later batch counts, as with Kafka. */
static void collect_partitions(struct produce_operation *operation)
{
    const struct produce_request *body = &operation->body;
    struct produce_response *response = &operation->response;
    struct seen_partitions seen;
    size_t total = 0;
    for (size_t i = 0; i < body->topic_data_count; i++)
        total += body->topic_data[i].partition_data_count;
    operation->produced = answer_array(&operation->arena, total, sizeof(operation->produced[0]));
    struct produce_response_partition_produce_response *answers =
        answer_array(&operation->arena, total, sizeof(answers[0]));
    response->responses =
        answer_array(&operation->arena, body->topic_data_count, sizeof(response->responses[0]));
    seen_partitions_init(&seen, operation->context->hash_seed, total);
    for (size_t i = 0; i < body->topic_data_count; i++) {
        const struct produce_request_topic_produce_data *topic = &body->topic_data[i];
        struct produce_response_topic_produce_response *out = &response->responses[response->responses_count];
        *out = (struct produce_response_topic_produce_response){.name = topic->name,
                                                                .partition_responses = answers};
        for (size_t j = 0; j < topic->partition_data_count; j++) {
            const struct produce_request_partition_produce_data *data = &topic->partition_data[j];
            struct produced *next = &operation->produced[operation->parts.count];
            struct produced *former = seen_partitions_add(&seen, topic->name, data->index, next);
            if (former) {
                former->data = data;
                continue;
            }
            *next = (struct produced){.topic = topic->name, .data = data, .answer = answers++};
            produce_response_partition_produce_response_init(next->answer);
            operation->parts.count++;
            out->partition_responses_count++;
        }
        if (out->partition_responses_count > 0 || topic->partition_data_count == 0)
            response->responses_count++;
    }
    seen_partitions_release(&seen);
}

static void produce_all(struct produce_operation *operation)
{
    collect_partitions(operation);
    const struct metadata_image *image = metadata_cache_acquire(operation->context->metadata);
    for (size_t i = 0; i < operation->parts.count; i++)
        produce_one(operation, image, operation->produced[i].data, &operation->produced[i]);
    metadata_image_release(image);
}

/* Says who leads now where we do not (KIP-951). */
static void add_leader_hints(struct produce_operation *operation, const struct metadata_image *image,
                             struct leader_hints *hints)
{
    const char *listener = operation->request->listener;
    struct produce_response *response = &operation->response;
    for (size_t i = 0; i < operation->parts.count; i++) {
        struct produced *produced = &operation->produced[i];
        if (produced->answer->error_code == KAFKA_NOT_LEADER_OR_FOLLOWER)
            leader_hints_add(hints, image, listener, produced->topic, produced->answer->index,
                             produced->partition, &produced->answer->current_leader.leader_id,
                             &produced->answer->current_leader.leader_epoch);
    }
    if (hints->count == 0)
        return;
    response->node_endpoints =
        answer_array(&operation->arena, hints->count, sizeof(response->node_endpoints[0]));
    for (size_t i = 0; i < hints->count; i++) {
        const struct metadata_endpoint *endpoint = metadata_broker_endpoint(hints->brokers[i], listener);
        response->node_endpoints[response->node_endpoints_count++] = (struct produce_response_node_endpoint){
            hints->brokers[i]->id, endpoint->host, endpoint->port, hints->brokers[i]->rack};
    }
}

static void answer(struct parked_parts *parts)
{
    struct produce_operation *operation = operation_of(parts);
    struct request *request = operation->request;
    struct leader_hints hints;
    const struct metadata_image *image = metadata_cache_acquire(operation->context->metadata);
    leader_hints_init(&hints);
    if (request->header.api_version >= FIRST_VERSION_WITH_LEADER_HINTS)
        add_leader_hints(operation, image, &hints);
    produce_response_encode(&operation->response, request_begin_answer(request), request->header.api_version);
    leader_hints_release(&hints);
    metadata_image_release(image);
    operation_free(operation);
    request_answer(request);
}

/* acks=0: the client hears nothing, and of an error only by losing its connection. */
static void finish_unanswered(struct produce_operation *operation)
{
    struct request *request = operation->request;
    bool failed = false;
    for (size_t i = 0; i < operation->parts.count && !failed; i++) {
        const struct produced *produced = &operation->produced[i];
        int16_t error = produced->answer->error_code;
        failed = error != KAFKA_NONE;
        if (failed && !is_bad_data(error)) /* of bad data was told already */
            notice_refused(operation, produced->topic, produced->answer->index, error, NULL);
    }
    operation_free(operation);
    if (failed)
        request_close_connection(request, "a batch sent with acks=0 could not be appended");
    else
        request_answer_nothing(request);
}

static bool is_pending(const struct parked_parts *parts, size_t index)
{
    return container_of(parts, const struct produce_operation, parts)->produced[index].pending;
}

static void time_out(struct parked_parts *parts, size_t index)
{
    struct produce_operation *operation = operation_of(parts);
    settle(operation, &operation->produced[index], KAFKA_REQUEST_TIMED_OUT);
}

static void forget(struct parked_parts *parts)
{
    operation_free(operation_of(parts));
}

/*
 * While replicas or the disk are waited for the batches are of no use; and kept they could use up the memory
 * that the followers' fetches need, which end the wait.
 */
static void release_frame(struct parked_parts *parts)
{
    struct produce_operation *operation = operation_of(parts);
    struct produce_response *response = &operation->response;
    size_t next = 0;
    for (size_t i = 0; i < response->responses_count; i++) {
        struct produce_response_topic_produce_response *topic = &response->responses[i];
        topic->name = arena_copy_slice(&operation->arena, topic->name);
        for (size_t j = 0; j < topic->partition_responses_count; j++)
            operation->produced[next++].topic = topic->name;
    }
    operation->body.topic_data = NULL;
    operation->body.topic_data_count = 0;
    operation->body.transactional_id = slice_of(NULL);
    request_release_frame(operation->request);
}

static const struct parked_parts_handler parts_handler = {.is_pending = is_pending,
                                                          .check = check_acknowledged,
                                                          .time_out = time_out,
                                                          .release_frame = release_frame,
                                                          .answer = answer,
                                                          .forget = forget};

void handle_produce(struct api_context *context, struct request *request)
{
    struct produce_operation *operation = memory_allocate_zeroed(1, sizeof(*operation));
    operation->context = context;
    operation->request = request;
    operation->parts.handler = &parts_handler;
    int rc = produce_request_decode(&operation->body, &request->body, request->header.api_version,
                                    &request->arena);
    if (rc < 0) {
        free(operation);
        request_refuse_malformed(request, rc);
        return;
    }
    arena_init(&operation->arena, ARENA_NO_BUDGET);
    produce_response_init(&operation->response);
    produce_all(operation);
    if (operation->body.acks == 0)
        finish_unanswered(operation);
    else if (operation->parts.pending > 0)
        parked_parts_await(&operation->parts, request, operation->body.timeout_ms);
    else
        answer(&operation->parts);
}
