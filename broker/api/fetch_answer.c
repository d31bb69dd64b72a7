/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answer of a Fetch. Records leave as ranges of files: each range goes over to the connection, which
 * gives it back when it was sent.
 */
#include <stdlib.h>

#include "broker/api/answering.h"
#include "broker/api/fetch_operation.h"
#include "broker/api/fetch_sessions.h"
#include "broker/api/leader_hint.h"
#include "common/memory.h"
#include "proto/kafka/error.h"

/* A range on its way to the socket. */
struct outgoing_range {
    struct response_range range;
    struct log_range log;
};

/* Any thread. */
static void release_outgoing(struct response_range *range)
{
    struct outgoing_range *outgoing = container_of(range, struct outgoing_range, range);
    if (range->error)
        log_range_failed(&outgoing->log, range->error);
    log_range_release(&outgoing->log);
    free(outgoing);
}

/* Hands the range over; where files have no descriptor (simulation), its bytes are copied. */
static int attach_records(struct fetch_operation *operation, struct fetch_read *read,
                          struct wire_records *records)
{
    struct log_range *range = &read->result.range;
    records->bytes = slice_make("", 0);
    if (range->length <= 0) {
        log_range_release(range);
        return 0;
    }
    int descriptor = log_range_descriptor(range);
    if (descriptor < 0) {
        uint8_t *bytes = answer_array(&operation->arena, (size_t)range->length, 1);
        int rc = log_range_read(range, bytes);
        if (rc == 0)
            records->bytes = slice_make(bytes, (size_t)range->length);
        log_range_release(range);
        return rc;
    }
    struct outgoing_range *outgoing = memory_allocate_zeroed(1, sizeof(*outgoing));
    outgoing->range = (struct response_range){.descriptor = descriptor,
                                              .position = range->position,
                                              .length = range->length,
                                              .release = release_outgoing};
    outgoing->log = *range;
    *range = (struct log_range){0};
    records->external = &outgoing->range;
    records->external_length = outgoing->range.length;
    return 0;
}

/* read_committed readers always get a list, others none (null). */
static void fill_aborted(struct fetch_operation *operation, const struct fetch_result *result,
                         struct fetch_response_partition_data *out)
{
    if (operation->body.isolation_level != FETCH_READ_COMMITTED)
        return;
    size_t count = result->aborted_count;
    if (count == 0) {
        out->aborted_transactions = wire_empty_array();
        return;
    }
    out->aborted_transactions = answer_array(&operation->arena, count, sizeof(out->aborted_transactions[0]));
    out->aborted_transactions_count = count;
    for (size_t i = 0; i < count; i++)
        out->aborted_transactions[i] = (struct fetch_response_aborted_transaction){
            .producer_id = result->aborted[i].producer_id, .first_offset = result->aborted[i].first_offset};
}

static void fill_partition(struct fetch_operation *operation, size_t index,
                           struct fetch_response_partition_data *out)
{
    struct fetch_read *read = &operation->reads[index];
    const struct fetch_result *result = &read->result;
    fetch_response_partition_data_init(out);
    out->partition_index = operation->fetch.partitions[index].partition;
    out->error_code = read->error;
    out->high_watermark = -1;
    out->records.bytes = slice_make("", 0);
    out->aborted_transactions = NULL;
    fill_aborted(operation, result, out);
    /* A follower that is out of range is told where the log begins and ends, to start anew. */
    bool tell =
        read->error == KAFKA_NONE || (read->error == KAFKA_OFFSET_OUT_OF_RANGE && operation->replica_id >= 0);
    if (tell) {
        out->high_watermark = result->high_watermark;
        out->last_stable_offset = result->last_stable_offset;
        out->log_start_offset = result->log_start_offset;
    }
    if (read->error != KAFKA_NONE)
        return;
    out->preferred_read_replica = read->preferred_replica;
    if (result->diverging) {
        out->diverging_epoch.epoch = result->diverging_epoch;
        out->diverging_epoch.end_offset = result->diverging_end_offset;
    }
    if (attach_records(operation, read, &out->records) < 0) {
        out->error_code = KAFKA_KAFKA_STORAGE_ERROR;
        out->high_watermark = -1;
    }
}

static bool is_same_topic(const struct fetch_operation *operation, const struct fetch_partition *a,
                          const struct fetch_partition *b)
{
    return operation->fetch.uses_topic_ids ? uuid_equals(a->topic_id, b->topic_id)
                                           : slice_equals(a->topic, b->topic);
}

static void fill_endpoints(const struct leader_hints *hints, const char *listener, struct arena *arena,
                           struct fetch_response *response)
{
    if (hints->count == 0)
        return;
    response->node_endpoints = answer_array(arena, hints->count, sizeof(response->node_endpoints[0]));
    for (size_t i = 0; i < hints->count; i++) {
        const struct metadata_endpoint *endpoint = metadata_broker_endpoint(hints->brokers[i], listener);
        response->node_endpoints[response->node_endpoints_count++] = (struct fetch_response_node_endpoint){
            hints->brokers[i]->id, endpoint->host, endpoint->port, hints->brokers[i]->rack};
    }
}

/* Partitions that are included, those of one topic that stand together in one entry. */
static void fill_partitions(struct fetch_operation *operation, const bool *include,
                            const struct metadata_image *image, struct leader_hints *hints,
                            struct fetch_response *response)
{
    size_t count = operation->fetch.partitions_count;
    const struct fetch_partition *asked = operation->fetch.partitions;
    struct fetch_response_partition_data *data = answer_array(&operation->arena, count, sizeof(data[0]));
    response->responses = answer_array(&operation->arena, count, sizeof(response->responses[0]));
    struct fetch_response_fetchable_topic_response *topic = NULL;
    size_t previous = 0;
    for (size_t i = 0; i < count; i++) {
        if (!include[i])
            continue;
        if (topic == NULL || !is_same_topic(operation, &asked[previous], &asked[i])) {
            topic = &response->responses[response->responses_count++];
            fetch_response_fetchable_topic_response_init(topic);
            topic->topic = asked[i].topic;
            topic->topic_id = asked[i].topic_id;
            topic->partitions = data;
        }
        previous = i;
        struct fetch_response_partition_data *out = data++;
        topic->partitions_count++;
        fill_partition(operation, i, out);
        bool hint =
            out->error_code == KAFKA_NOT_LEADER_OR_FOLLOWER || out->error_code == KAFKA_FENCED_LEADER_EPOCH;
        if (hint && operation->version >= FETCH_FIRST_VERSION_LEADER_HINTS)
            leader_hints_add(hints, image, operation->request->listener, operation->reads[i].topic,
                             asked[i].partition, operation->reads[i].partition,
                             &out->current_leader.leader_id, &out->current_leader.leader_epoch);
    }
}

static struct fetch_outcome *collect_outcomes(struct fetch_operation *operation)
{
    size_t count = operation->fetch.partitions_count;
    struct fetch_outcome *outcomes = answer_array(&operation->arena, count, sizeof(outcomes[0]));
    for (size_t i = 0; i < count; i++) {
        const struct fetch_read *read = &operation->reads[i];
        bool good = read->error == KAFKA_NONE;
        outcomes[i] = (struct fetch_outcome){
            .error = read->error,
            .high_watermark = good ? read->result.high_watermark : -1,
            .last_stable_offset = good ? read->result.last_stable_offset : -1,
            .log_start_offset = good ? read->result.log_start_offset : -1,
            .has_records = good && read->result.range.length > 0,
            .diverging = good && read->result.diverging,
            .preferred_replica = good && read->preferred_replica >= 0,
        };
    }
    return outcomes;
}

/* What leaves for a follower counts, whether it is behind or not. */
static void count_throttled(struct fetch_operation *operation, const bool *include)
{
    struct replication_throttles *throttles = operation->context->throttles;
    const struct api_clock *clock = operation->context->clock;
    int64_t bytes = 0;
    if (operation->replica_id < 0 || throttles == NULL)
        return;
    for (size_t i = 0; i < operation->fetch.partitions_count; i++) {
        const struct fetch_read *read = &operation->reads[i];
        if (include[i] && read->error == KAFKA_NONE && partition_is_throttled_as_leader(read->partition))
            bytes += max_i64(read->result.range.length, 0);
    }
    if (bytes > 0)
        replication_throttle_count(&throttles->leader, bytes, clock->monotonic_ms(clock));
}

void fetch_operation_answer(struct fetch_operation *operation)
{
    struct request *request = operation->request;
    struct fetch_response response;
    const struct api_clock *clock = operation->context->clock;
    bool *include = answer_array(&operation->arena, operation->fetch.partitions_count, sizeof(include[0]));
    fetch_response_init(&response);
    response.error_code =
        fetch_sessions_complete(operation->context->sessions, &operation->fetch, collect_outcomes(operation),
                                clock->monotonic_ms(clock), include, &response.session_id);
    if (response.error_code != KAFKA_NONE)
        response.session_id = FETCH_SESSION_NONE;
    count_throttled(operation, include);
    struct leader_hints hints;
    const struct metadata_image *image = metadata_cache_acquire(operation->context->metadata);
    leader_hints_init(&hints);
    fill_partitions(operation, include, image, &hints, &response);
    fill_endpoints(&hints, request->listener, &operation->arena, &response);
    fetch_response_encode(&response, request_begin_answer(request), operation->version);
    leader_hints_release(&hints);
    metadata_image_release(image);
    request_answer(request);
}

void fetch_answer_error(struct request *request, int16_t error)
{
    struct fetch_response response;
    fetch_response_init(&response);
    response.error_code = error;
    fetch_response_encode(&response, request_begin_answer(request), request->header.api_version);
    request_answer(request);
}
