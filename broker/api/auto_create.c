/* SPDX-License-Identifier: Apache-2.0 */
/* The set of topics on their way, and the request to the controller. */
#include "broker/api/auto_create.h"

#include <pthread.h>
#include <stdlib.h>

#include "broker/api/answering.h"
#include "common/map.h"
#include "common/memory.h"
#include "common/prng.h"
#include "proto/kafka/api.h"
#include "proto/kafka/error.h"
#include "proto/kafka/messages/create_topics.h"

#define CREATE_TOPICS_VERSION 7

struct topic_creator {
    pthread_mutex_t mutex;
    struct map *underway; /* names; the values mean nothing */
};

struct topic_creator *topic_creator_new(void)
{
    struct topic_creator *creator = memory_allocate_zeroed(1, sizeof(*creator));
    pthread_mutex_init(&creator->mutex, NULL);
    creator->underway = map_new(random_u64());
    return creator;
}

void topic_creator_free(struct topic_creator *creator)
{
    map_free(creator->underway);
    pthread_mutex_destroy(&creator->mutex);
    free(creator);
}

/* Claims the topics that nobody is creating; how many those are. */
static size_t claim(struct auto_create *attempt)
{
    struct topic_creator *creator = attempt->context->topic_creator;
    size_t claimed = 0;
    pthread_mutex_lock(&creator->mutex);
    for (size_t i = 0; i < attempt->topics_count; i++) {
        struct auto_created_topic *topic = &attempt->topics[i];
        attempt->asked[i] = map_get(creator->underway, topic->name) == NULL;
        topic->error = attempt->asked[i] ? KAFKA_LEADER_NOT_AVAILABLE : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        if (attempt->asked[i]) {
            (void)map_put(creator->underway, topic->name, creator);
            claimed++;
        }
    }
    pthread_mutex_unlock(&creator->mutex);
    return claimed;
}

static void unclaim(struct auto_create *attempt)
{
    struct topic_creator *creator = attempt->context->topic_creator;
    pthread_mutex_lock(&creator->mutex);
    for (size_t i = 0; i < attempt->topics_count; i++)
        if (attempt->asked[i])
            (void)map_remove(creator->underway, attempt->topics[i].name);
    pthread_mutex_unlock(&creator->mutex);
    free(attempt->asked);
    attempt->asked = NULL;
}

static void take_results(struct auto_create *attempt, const struct create_topics_response *response)
{
    for (size_t i = 0; i < response->topics_count; i++) {
        struct auto_created_topic *topic = map_get(attempt->by_name, response->topics[i].name);
        if (topic == NULL || !attempt->asked[topic - attempt->topics])
            continue;
        int16_t error = response->topics[i].error_code;
        /* Somebody was faster, or it takes longer than we waited: either way it will be there. */
        if (error == KAFKA_TOPIC_ALREADY_EXISTS)
            error = KAFKA_NONE;
        if (error == KAFKA_REQUEST_TIMED_OUT || error == KAFKA_NOT_CONTROLLER)
            error = KAFKA_LEADER_NOT_AVAILABLE;
        topic->error = error;
    }
}

static void call_done(struct controller_call *call)
{
    struct auto_create *attempt = container_of(call, struct auto_create, call);
    struct arena arena;
    struct control_answer answer;
    struct create_topics_response response;
    arena_init(&arena, ARENA_NO_BUDGET);
    if (controller_call_answer(call, &arena, &answer) == 0 && answer.forward.error == KAFKA_NONE) {
        struct byte_reader reader;
        reader_init(&reader, answer.forward.body);
        if (create_topics_response_decode(&response, &reader, CREATE_TOPICS_VERSION, &arena) == 0)
            take_results(attempt, &response);
    }
    arena_release(&arena);
    controller_call_release(call);
    unclaim(attempt);
    attempt->done(attempt);
}

static void encode_request(struct auto_create *attempt, int32_t timeout_ms, struct buffer *body)
{
    const struct broker_config *config = attempt->context->config;
    struct create_topics_request request;
    struct arena arena;
    struct wire_writer writer;
    arena_init(&arena, ARENA_NO_BUDGET);
    create_topics_request_init(&request);
    request.timeout_ms = timeout_ms;
    request.topics = answer_array(&arena, attempt->topics_count, sizeof(request.topics[0]));
    for (size_t i = 0; i < attempt->topics_count; i++) {
        if (!attempt->asked[i])
            continue;
        struct create_topics_request_creatable_topic *topic = &request.topics[request.topics_count++];
        create_topics_request_creatable_topic_init(topic);
        topic->name = attempt->topics[i].name;
        topic->num_partitions = config->num_partitions;
        topic->replication_factor = (int16_t)config->default_replication_factor;
    }
    wire_writer_init(&writer, body);
    create_topics_request_encode(&request, &writer, CREATE_TOPICS_VERSION);
    wire_writer_release(&writer);
    arena_release(&arena);
}

bool auto_create_start(struct auto_create *attempt, struct api_context *context, struct mailbox *mailbox,
                       int64_t deadline_ms)
{
    attempt->context = context;
    attempt->asked = memory_allocate_zeroed(attempt->topics_count, sizeof(attempt->asked[0]));
    if (claim(attempt) == 0) {
        unclaim(attempt);
        return false;
    }
    int64_t left_ms = max_i64(deadline_ms - context->clock->monotonic_ms(context->clock), 1);
    struct buffer body;
    buffer_init(&body);
    encode_request(attempt, (int32_t)left_ms, &body);
    const struct control_request request = {
        .kind = CONTROL_FORWARD,
        .forward = {.api_key = KAFKA_API_CREATE_TOPICS,
                    .api_version = CREATE_TOPICS_VERSION,
                    .client_id = slice_of("barnabas-auto-create"),
                    .client_host = slice_of(""),
                    .principal = slice_of("User:ANONYMOUS"),
                    .body = buffer_slice(&body)},
    };
    controller_call_init(&attempt->call, &request, mailbox, deadline_ms, call_done);
    buffer_release(&body);
    context->controller->forward(context->controller, &attempt->call);
    return true;
}
