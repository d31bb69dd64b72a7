/* SPDX-License-Identifier: Apache-2.0 */
/* Fetch: arrival, and waiting for enough to be there (KIP-227 sessions, long poll). */
#include <stdlib.h>

#include "broker/api/answering.h"
#include "broker/api/fetch_operation.h"
#include "broker/api/fetch_sessions.h"
#include "broker/api/seen_partitions.h"
#include "broker/api/table.h"
#include "common/memory.h"
#include "proto/kafka/error.h"

/* So often a fetch is read again because a partition moved just as it was to be watched. */
#define RETRIES_MAX 16

static size_t count_partitions(const struct fetch_request *body)
{
    size_t total = 0;
    for (size_t i = 0; i < body->topics_count; i++)
        total += body->topics[i].partitions_count;
    return total;
}

static size_t count_forgotten(const struct fetch_request *body)
{
    size_t total = 0;
    for (size_t i = 0; i < body->forgotten_topics_data_count; i++)
        total += body->forgotten_topics_data[i].partitions_count;
    return total;
}

static void operation_free(struct fetch_operation *operation)
{
    parking_release(&operation->parking);
    fetch_operation_forget(operation);
    arena_release(&operation->arena);
    free(operation);
}

static void finish(struct fetch_operation *operation)
{
    /* The request is gone with its answer, and what waits for it must be so before. */
    parking_release(&operation->parking);
    fetch_operation_answer(operation);
    fetch_operation_forget(operation);
    arena_release(&operation->arena);
    free(operation);
}

static bool is_enough(const struct fetch_operation *operation)
{
    const struct api_clock *clock = operation->context->clock;
    return operation->must_answer || operation->bytes >= operation->min_bytes ||
           operation->fetch.partitions_count == 0 || clock->monotonic_ms(clock) >= operation->deadline_ms;
}

static bool watch_one(struct fetch_operation *operation, size_t index)
{
    const struct fetch_read *read = &operation->reads[index];
    const struct fetch_result *result = &read->result;
    struct parking *parking = &operation->parking;
    bool follower = operation->replica_id >= 0;
    if (follower && !parking_watch(parking, read->partition, WATCH_END, result->log_end_offset,
                                   result->leader_epoch, index))
        return false;
    if (follower && !fetch_operation_tells_high_watermark(operation))
        return true;
    return parking_watch(parking, read->partition, WATCH_HIGH_WATERMARK, result->high_watermark + 1,
                         result->leader_epoch, index);
}

/* Watches every partition; false: one has moved since it was read. */
static bool watch_all(struct fetch_operation *operation)
{
    for (size_t i = 0; i < operation->fetch.partitions_count; i++) {
        if (!watch_one(operation, i)) {
            parking_unwatch_all(&operation->parking);
            return false;
        }
    }
    return true;
}

/* While a fetch waits its frame is given back: else those that wait could use up the memory of all. */
static void release_frame(struct fetch_operation *operation)
{
    if (operation->light)
        return;
    operation->light = true;
    struct slice from = slice_of(NULL), copy = from;
    bool copied = operation->fetch.kind == FETCH_INCREMENTAL; /* what comes from a session is ours already */
    for (size_t i = 0; i < operation->fetch.partitions_count && !copied; i++) {
        struct fetch_partition *partition = &operation->fetch.partitions[i];
        if (i == 0 || partition->topic.data != from.data) {
            from = partition->topic;
            copy = arena_copy_slice(&operation->arena, from);
        }
        partition->topic = copy;
    }
    operation->body.rack_id = arena_copy_slice(&operation->arena, operation->body.rack_id);
    operation->body.topics = NULL;
    operation->body.topics_count = 0;
    operation->body.forgotten_topics_data = NULL;
    operation->body.forgotten_topics_data_count = 0;
    request_release_frame(operation->request);
}

/* Reads; answers when there is enough, else waits until something moves. */
static void proceed(struct fetch_operation *operation)
{
    fetch_operation_read(operation);
    if (is_enough(operation)) {
        finish(operation);
        return;
    }
    operation->moved = !watch_all(operation);
    fetch_operation_forget(operation);
    release_frame(operation);
    /* What has moved is read again in the next turn: the other requests of the reactor have theirs before. */
    const struct api_clock *clock = operation->context->clock;
    int64_t wake_ms = operation->deadline_ms;
    if (operation->moved)
        wake_ms = clock->monotonic_ms(clock);
    else if (operation->held_up_ms > 0)
        wake_ms = min_i64(wake_ms, clock->monotonic_ms(clock) + operation->held_up_ms);
    parking_set_deadline(&operation->parking, wake_ms);
}

static void wake(struct parking *parking, size_t tag)
{
    (void)tag;
    parking_unwatch_all(parking);
    proceed(container_of(parking, struct fetch_operation, parking));
}

static void expired(struct parking *parking)
{
    struct fetch_operation *operation = container_of(parking, struct fetch_operation, parking);
    parking_unwatch_all(parking);
    /* Of those that are held up it may be the throttle's time that is over; at the client's, this answers. */
    if ((operation->moved && operation->retries++ < RETRIES_MAX) ||
        (!operation->moved && operation->held_up_ms > 0)) {
        proceed(operation);
        return;
    }
    fetch_operation_read(operation);
    finish(operation);
}

/* Nothing more will be asked by this connection: its client gets what there is. */
static void hurried(struct request *request)
{
    struct parking *parking = request->state;
    struct fetch_operation *operation = container_of(parking, struct fetch_operation, parking);
    operation->moved = false;
    operation->held_up_ms = 0;
    expired(parking);
}

static void abandoned(struct parking *parking)
{
    struct fetch_operation *operation = container_of(parking, struct fetch_operation, parking);
    struct request *request = operation->request;
    operation_free(operation);
    request_answer_nothing(request);
}

/* A partition that is named twice counts once, as it was named last. */
static struct fetch_partition *collect_partitions(struct fetch_operation *operation, size_t *count)
{
    const struct fetch_request *body = &operation->body;
    size_t total = count_partitions(body);
    struct fetch_partition *partitions = answer_array(&operation->arena, total, sizeof(partitions[0]));
    struct seen_partitions seen;
    seen_partitions_init(&seen, operation->context->hash_seed, total);
    *count = 0;
    for (size_t i = 0; i < body->topics_count; i++) {
        const struct fetch_request_topic *topic = &body->topics[i];
        struct slice name = operation->fetch.uses_topic_ids
                                ? slice_make(topic->topic_id.bytes, sizeof(topic->topic_id.bytes))
                                : topic->topic;
        for (size_t j = 0; j < topic->partitions_count; j++) {
            const struct fetch_request_partition *asked = &topic->partitions[j];
            struct fetch_partition *next = &partitions[*count];
            struct fetch_partition *out = seen_partitions_add(&seen, name, asked->partition, next);
            if (out == NULL) {
                out = next;
                (*count)++;
            }
            *out = (struct fetch_partition){.topic = topic->topic,
                                            .topic_id = topic->topic_id,
                                            .partition = asked->partition,
                                            .current_leader_epoch = asked->current_leader_epoch,
                                            .last_fetched_epoch = asked->last_fetched_epoch,
                                            .fetch_offset = asked->fetch_offset,
                                            .log_start_offset = asked->log_start_offset,
                                            .max_bytes = asked->partition_max_bytes};
        }
    }
    seen_partitions_release(&seen);
    return partitions;
}

static struct forgotten_partition *collect_forgotten(struct fetch_operation *operation, size_t *count)
{
    const struct fetch_request *body = &operation->body;
    struct forgotten_partition *forgotten =
        answer_array(&operation->arena, count_forgotten(body), sizeof(forgotten[0]));
    *count = 0;
    for (size_t i = 0; i < body->forgotten_topics_data_count; i++) {
        const struct fetch_request_forgotten_topic *topic = &body->forgotten_topics_data[i];
        for (size_t j = 0; j < topic->partitions_count; j++)
            forgotten[(*count)++] =
                (struct forgotten_partition){topic->topic, topic->topic_id, topic->partitions[j]};
    }
    return forgotten;
}

/* Finds out what to read: the request's partitions, or those of its session. */
static int16_t begin(struct fetch_operation *operation)
{
    const struct api_clock *clock = operation->context->clock;
    const struct fetch_request *body = &operation->body;
    struct fetch_session_request session = {
        .session_id = body->session_id,
        .session_epoch = body->session_epoch,
        .uses_topic_ids = operation->fetch.uses_topic_ids,
        .follower = operation->replica_id >= 0,
    };
    session.partitions = collect_partitions(operation, &session.partitions_count);
    session.forgotten = collect_forgotten(operation, &session.forgotten_count);
    int16_t error = fetch_sessions_begin(operation->context->sessions, &session, clock->monotonic_ms(clock),
                                         &operation->arena, &operation->fetch);
    if (error != KAFKA_NONE)
        return error;
    operation->reads =
        answer_array(&operation->arena, operation->fetch.partitions_count, sizeof(operation->reads[0]));
    for (size_t i = 0; i < operation->fetch.partitions_count; i++)
        operation->reads[i].topic = slice_of(NULL);
    return KAFKA_NONE;
}

static void set_limits(struct fetch_operation *operation)
{
    const struct fetch_request *body = &operation->body;
    bool has_state = operation->version >= FETCH_FIRST_VERSION_REPLICA_STATE;
    operation->replica_id = has_state ? body->replica_state.replica_id : body->replica_id;
    operation->replica_epoch = has_state ? body->replica_state.replica_epoch : NO_BROKER_EPOCH;
    if (operation->replica_id < 0)
        operation->replica_id = -1;
    operation->max_bytes = max_i64(body->max_bytes, 0);
    if (operation->replica_id < 0)
        operation->max_bytes = min_i64(operation->max_bytes, operation->context->config->fetch_max_bytes);
    operation->min_bytes = min_i64(body->min_bytes, operation->max_bytes);
    operation->deadline_ms = parking_deadline_ms(operation->request, body->max_wait_ms);
    operation->fetch.uses_topic_ids = operation->version >= FETCH_FIRST_VERSION_TOPIC_IDS;
}

void handle_fetch(struct api_context *context, struct request *request)
{
    struct fetch_operation *operation = memory_allocate_zeroed(1, sizeof(*operation));
    operation->context = context;
    operation->request = request;
    operation->version = request->header.api_version;
    int rc = fetch_request_decode(&operation->body, &request->body, operation->version, &request->arena);
    if (rc < 0) {
        free(operation);
        request_refuse_malformed(request, rc);
        return;
    }
    /* Each costs far more memory and time than the few bytes that name it. */
    if (count_partitions(&operation->body) > FETCH_PARTITIONS_MAX ||
        count_forgotten(&operation->body) > FETCH_PARTITIONS_MAX) {
        free(operation);
        request_close_connection(request, "the fetch names more partitions than are served at once");
        return;
    }
    arena_init(&operation->arena, ARENA_NO_BUDGET);
    set_limits(operation);
    if (operation->replica_id >= 0)
        request_note_broker(request);
    int16_t error = begin(operation);
    if (error != KAFKA_NONE) {
        arena_release(&operation->arena);
        free(operation);
        fetch_answer_error(request, error);
        return;
    }
    parking_init(&operation->parking, request, wake, expired, abandoned);
    request->hurried = hurried;
    proceed(operation);
}
