/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CreateTopics, DeleteTopics, CreatePartitions, ElectLeaders, AlterPartitionReassignments and
 * ListPartitionReassignments: only the controller carries them out, so they are sent on to it as they came,
 * and its answer is handed back. Where no controller answers, every topic gets the error, or the answer as a
 * whole where it has a place for one.
 */
#include <errno.h>
#include <stdlib.h>

#include "broker/api/answering.h"
#include "broker/api/config_entries.h"
#include "broker/api/table.h"
#include "common/map.h"
#include "common/memory.h"
#include "proto/kafka/error.h"
#include "proto/kafka/messages/alter_partition_reassignments.h"
#include "proto/kafka/messages/create_partitions.h"
#include "proto/kafka/messages/create_topics.h"
#include "proto/kafka/messages/delete_topics.h"
#include "proto/kafka/messages/elect_leaders.h"
#include "proto/kafka/messages/list_partition_reassignments.h"

/* A request's own timeout counts up to this; and the controller is given this much more to say so itself. */
#define TIMEOUT_GREATEST_MS 3600000
#define TIMEOUT_SLACK_MS 500
#define FIRST_VERSION_WITH_CONFIGS 5

/* A request that the controller has. */
struct forwarded {
    struct controller_call call;
    struct api_context *context;
    struct request *request;
    union {
        struct create_topics_request create_topics;
        struct delete_topics_request delete_topics;
        struct create_partitions_request create_partitions;
        struct elect_leaders_request elect_leaders;
        struct alter_partition_reassignments_request alter_reassignments;
        struct list_partition_reassignments_request list_reassignments;
    } body;
    /* Answers with what the controller said, or with an error for every topic. */
    void (*relay)(struct forwarded *forwarded, struct slice body);
    void (*fail)(struct forwarded *forwarded, int16_t error, struct slice message);
};

static void relay_bytes(struct forwarded *forwarded, struct slice body)
{
    writer_slice(request_begin_answer(forwarded->request)->buffer, body);
    request_answer(forwarded->request);
}

static int16_t error_of_status(int status)
{
    switch (status) {
    case -ETIMEDOUT:
    case -ECONNRESET:
        return KAFKA_REQUEST_TIMED_OUT; /* perhaps carried out */
    case -ENOTCONN:
    case -ECANCELED:
        return KAFKA_NOT_CONTROLLER;
    default:
        return KAFKA_UNKNOWN_SERVER_ERROR;
    }
}

static void call_done(struct controller_call *call)
{
    struct forwarded *forwarded = container_of(call, struct forwarded, call);
    struct arena arena;
    struct control_answer answer;
    arena_init(&arena, ARENA_NO_BUDGET);
    int rc = controller_call_answer(call, &arena, &answer);
    if (rc < 0)
        forwarded->fail(forwarded, error_of_status(rc), slice_of("the controller did not answer in time"));
    else if (answer.forward.error == KAFKA_INVALID_REQUEST)
        request_close_connection(forwarded->request, "the controller could not read the request");
    else if (answer.forward.error != KAFKA_NONE)
        forwarded->fail(forwarded, answer.forward.error, slice_of("the controller has moved; try again"));
    else
        forwarded->relay(forwarded, answer.forward.body);
    arena_release(&arena);
    controller_call_release(call);
    free(forwarded);
}

/* The body's bytes must be taken before they are decoded: decoding moves the reader. */
static struct slice body_bytes(const struct request *request)
{
    return slice_make(request->body.at, reader_left(&request->body));
}

static void forward(struct forwarded *forwarded, struct slice body, int32_t timeout_ms)
{
    struct request *request = forwarded->request;
    struct api_context *context = forwarded->context;
    const struct control_request message = {
        .kind = CONTROL_FORWARD,
        .forward = {.api_key = request->header.api_key,
                    .api_version = request->header.api_version,
                    .client_id = request->header.client_id,
                    .client_host = slice_of(request->client_address),
                    .principal = request->principal,
                    .body = body},
    };
    int64_t wait_ms = min_i64(max_i64(timeout_ms, 0), TIMEOUT_GREATEST_MS) + TIMEOUT_SLACK_MS;
    controller_call_init(&forwarded->call, &message, reactor_mailbox(request->reactor),
                         request->received_ms + wait_ms, call_done);
    context->controller->forward(context->controller, &forwarded->call);
}

static struct forwarded *forwarded_new(struct api_context *context, struct request *request)
{
    struct forwarded *forwarded = memory_allocate_zeroed(1, sizeof(*forwarded));
    forwarded->context = context;
    forwarded->request = request;
    return forwarded;
}

static void refuse(struct forwarded *forwarded, int rc)
{
    struct request *request = forwarded->request;
    free(forwarded);
    request_refuse_malformed(request, rc);
}

/* ---- CreateTopics ---- */

static void fail_create_topics(struct forwarded *forwarded, int16_t error, struct slice message)
{
    struct request *request = forwarded->request;
    const struct create_topics_request *body = &forwarded->body.create_topics;
    struct arena arena;
    struct create_topics_response response;
    arena_init(&arena, ARENA_NO_BUDGET);
    create_topics_response_init(&response);
    response.topics = answer_array(&arena, body->topics_count, sizeof(response.topics[0]));
    for (size_t i = 0; i < body->topics_count; i++) {
        struct create_topics_response_creatable_topic_result *topic =
            &response.topics[response.topics_count++];
        create_topics_response_creatable_topic_result_init(topic);
        topic->name = body->topics[i].name;
        topic->error_code = error;
        topic->error_message = message;
    }
    create_topics_response_encode(&response, request_begin_answer(request), request->header.api_version);
    arena_release(&arena);
    request_answer(request);
}

/* The settings that a topic which was just created has. */
static void fill_configs(struct forwarded *forwarded,
                         const struct create_topics_request_creatable_topic *asked, struct arena *arena,
                         struct create_topics_response_creatable_topic_result *topic)
{
    struct topic_setting *own = answer_array(arena, asked->configs_count, sizeof(own[0]));
    for (size_t i = 0; i < asked->configs_count; i++)
        own[i] = (struct topic_setting){asked->configs[i].name, asked->configs[i].value};
    topic->configs = answer_array(arena, topic_key_count(), sizeof(topic->configs[0]));
    for (size_t i = 0; i < topic_key_count(); i++) {
        struct config_entry entry;
        config_entry_of_topic(forwarded->context->config, topic_key_at(i), own, asked->configs_count, arena,
                              &entry);
        topic->configs[topic->configs_count++] = (struct create_topics_response_creatable_topic_configs){
            slice_of(entry.key->name), entry.value, false, (int8_t)entry.source, false};
    }
}

static void relay_create_topics(struct forwarded *forwarded, struct slice body)
{
    struct request *request = forwarded->request;
    int16_t version = request->header.api_version;
    struct arena arena;
    struct create_topics_response response;
    struct byte_reader reader;
    arena_init(&arena, ARENA_NO_BUDGET);
    reader_init(&reader, body);
    bool readable = version >= FIRST_VERSION_WITH_CONFIGS &&
                    create_topics_response_decode(&response, &reader, version, &arena) == 0;
    if (!readable) {
        arena_release(&arena);
        relay_bytes(forwarded, body);
        return;
    }
    const struct create_topics_request *asked = &forwarded->body.create_topics;
    struct map *by_name = map_new(forwarded->context->hash_seed);
    for (size_t i = 0; i < asked->topics_count; i++)
        (void)map_put(by_name, asked->topics[i].name, &asked->topics[i]);
    for (size_t i = 0; i < response.topics_count; i++) {
        struct create_topics_response_creatable_topic_result *topic = &response.topics[i];
        const struct create_topics_request_creatable_topic *own = map_get(by_name, topic->name);
        if (own && topic->error_code == KAFKA_NONE && topic->configs_count == 0)
            fill_configs(forwarded, own, &arena, topic);
    }
    map_free(by_name);
    create_topics_response_encode(&response, request_begin_answer(request), version);
    arena_release(&arena);
    request_answer(request);
}

void handle_create_topics(struct api_context *context, struct request *request)
{
    struct forwarded *forwarded = forwarded_new(context, request);
    struct slice body = body_bytes(request);
    int rc = create_topics_request_decode(&forwarded->body.create_topics, &request->body,
                                          request->header.api_version, &request->arena);
    if (rc < 0) {
        refuse(forwarded, rc);
        return;
    }
    forwarded->relay = relay_create_topics;
    forwarded->fail = fail_create_topics;
    forward(forwarded, body, forwarded->body.create_topics.timeout_ms);
}

/* ---- DeleteTopics ---- */

static void fail_delete_topics(struct forwarded *forwarded, int16_t error, struct slice message)
{
    struct request *request = forwarded->request;
    const struct delete_topics_request *body = &forwarded->body.delete_topics;
    struct arena arena;
    struct delete_topics_response response;
    arena_init(&arena, ARENA_NO_BUDGET);
    delete_topics_response_init(&response);
    response.responses =
        answer_array(&arena, body->topics_count + body->topic_names_count, sizeof(response.responses[0]));
    for (size_t i = 0; i < body->topics_count + body->topic_names_count; i++) {
        struct delete_topics_response_deletable_topic_result *topic =
            &response.responses[response.responses_count++];
        delete_topics_response_deletable_topic_result_init(topic);
        topic->name =
            i < body->topics_count ? body->topics[i].name : body->topic_names[i - body->topics_count];
        if (i < body->topics_count)
            topic->topic_id = body->topics[i].topic_id;
        topic->error_code = error;
        topic->error_message = message;
    }
    delete_topics_response_encode(&response, request_begin_answer(request), request->header.api_version);
    arena_release(&arena);
    request_answer(request);
}

void handle_delete_topics(struct api_context *context, struct request *request)
{
    struct forwarded *forwarded = forwarded_new(context, request);
    struct slice body = body_bytes(request);
    int rc = delete_topics_request_decode(&forwarded->body.delete_topics, &request->body,
                                          request->header.api_version, &request->arena);
    if (rc < 0) {
        refuse(forwarded, rc);
        return;
    }
    forwarded->relay = relay_bytes;
    forwarded->fail = fail_delete_topics;
    forward(forwarded, body, forwarded->body.delete_topics.timeout_ms);
}

/* ---- CreatePartitions ---- */

static void fail_create_partitions(struct forwarded *forwarded, int16_t error, struct slice message)
{
    struct request *request = forwarded->request;
    const struct create_partitions_request *body = &forwarded->body.create_partitions;
    struct arena arena;
    struct create_partitions_response response;
    arena_init(&arena, ARENA_NO_BUDGET);
    create_partitions_response_init(&response);
    response.results = answer_array(&arena, body->topics_count, sizeof(response.results[0]));
    for (size_t i = 0; i < body->topics_count; i++)
        response.results[response.results_count++] =
            (struct create_partitions_response_topic_result){body->topics[i].name, error, message};
    create_partitions_response_encode(&response, request_begin_answer(request), request->header.api_version);
    arena_release(&arena);
    request_answer(request);
}

void handle_create_partitions(struct api_context *context, struct request *request)
{
    struct forwarded *forwarded = forwarded_new(context, request);
    struct slice body = body_bytes(request);
    int rc = create_partitions_request_decode(&forwarded->body.create_partitions, &request->body,
                                              request->header.api_version, &request->arena);
    if (rc < 0) {
        refuse(forwarded, rc);
        return;
    }
    forwarded->relay = relay_bytes;
    forwarded->fail = fail_create_partitions;
    forward(forwarded, body, forwarded->body.create_partitions.timeout_ms);
}

/* ---- ElectLeaders ---- */

static void fail_elect_leaders(struct forwarded *forwarded, int16_t error, struct slice message)
{
    struct request *request = forwarded->request;
    const struct elect_leaders_request *body = &forwarded->body.elect_leaders;
    struct arena arena;
    struct elect_leaders_response response;
    arena_init(&arena, ARENA_NO_BUDGET);
    elect_leaders_response_init(&response);
    response.error_code = error;
    response.replica_election_results =
        answer_array(&arena, body->topic_partitions_count, sizeof(response.replica_election_results[0]));
    for (size_t i = 0; i < body->topic_partitions_count; i++) {
        const struct elect_leaders_request_topic_partitions *asked = &body->topic_partitions[i];
        struct elect_leaders_response_replica_election_result *topic =
            &response.replica_election_results[response.replica_election_results_count++];
        elect_leaders_response_replica_election_result_init(topic);
        topic->topic = asked->topic;
        topic->partition_result =
            answer_array(&arena, asked->partitions_count, sizeof(topic->partition_result[0]));
        for (size_t p = 0; p < asked->partitions_count; p++)
            topic->partition_result[topic->partition_result_count++] =
                (struct elect_leaders_response_partition_result){asked->partitions[p], error, message};
    }
    elect_leaders_response_encode(&response, request_begin_answer(request), request->header.api_version);
    arena_release(&arena);
    request_answer(request);
}

void handle_elect_leaders(struct api_context *context, struct request *request)
{
    struct forwarded *forwarded = forwarded_new(context, request);
    struct elect_leaders_request *asked = &forwarded->body.elect_leaders;
    struct slice body = body_bytes(request);
    int rc =
        elect_leaders_request_decode(asked, &request->body, request->header.api_version, &request->arena);
    if (rc < 0) {
        refuse(forwarded, rc);
        return;
    }
    forwarded->relay = relay_bytes;
    forwarded->fail = fail_elect_leaders;
    if (request->header.api_version > 0 && (asked->election_type < 0 || asked->election_type > 1)) {
        fail_elect_leaders(forwarded, KAFKA_INVALID_REQUEST, slice_of("unknown type of election"));
        free(forwarded);
        return;
    }
    forward(forwarded, body, asked->timeout_ms);
}

/* ---- AlterPartitionReassignments, ListPartitionReassignments ---- */

static void fail_alter_reassignments(struct forwarded *forwarded, int16_t error, struct slice message)
{
    struct request *request = forwarded->request;
    struct alter_partition_reassignments_response response;
    alter_partition_reassignments_response_init(&response);
    response.error_code = error;
    response.error_message = message;
    alter_partition_reassignments_response_encode(&response, request_begin_answer(request),
                                                  request->header.api_version);
    request_answer(request);
}

void handle_alter_partition_reassignments(struct api_context *context, struct request *request)
{
    struct forwarded *forwarded = forwarded_new(context, request);
    struct slice body = body_bytes(request);
    int rc = alter_partition_reassignments_request_decode(
        &forwarded->body.alter_reassignments, &request->body, request->header.api_version, &request->arena);
    if (rc < 0) {
        refuse(forwarded, rc);
        return;
    }
    forwarded->relay = relay_bytes;
    forwarded->fail = fail_alter_reassignments;
    forward(forwarded, body, forwarded->body.alter_reassignments.timeout_ms);
}

static void fail_list_reassignments(struct forwarded *forwarded, int16_t error, struct slice message)
{
    struct request *request = forwarded->request;
    struct list_partition_reassignments_response response;
    list_partition_reassignments_response_init(&response);
    response.error_code = error;
    response.error_message = message;
    list_partition_reassignments_response_encode(&response, request_begin_answer(request),
                                                 request->header.api_version);
    request_answer(request);
}

void handle_list_partition_reassignments(struct api_context *context, struct request *request)
{
    struct forwarded *forwarded = forwarded_new(context, request);
    struct slice body = body_bytes(request);
    int rc = list_partition_reassignments_request_decode(&forwarded->body.list_reassignments, &request->body,
                                                         request->header.api_version, &request->arena);
    if (rc < 0) {
        refuse(forwarded, rc);
        return;
    }
    forwarded->relay = relay_bytes;
    forwarded->fail = fail_list_reassignments;
    forward(forwarded, body, forwarded->body.list_reassignments.timeout_ms);
}
