/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DeleteTopics, all versions, by name or id: puts the request into /admin/delete_topics, where the deletion
 * of any topic begins. Answered when the topic is gone and all brokers know; where a replica's broker is
 * down, when the living ones know, since the rest may take days.
 */
#include "coordinator/controller/admin.h"
#include "coordinator/zk/path.h"
#include "proto/kafka/messages/delete_topics.h"

/* By name unless the version asks for ids too. */
static void name_topic(struct admin_request *request, struct admin_topic *topic)
{
    const struct delete_topics_request *decoded = request->decoded;
    const struct image *image = &request->controller->image;
    if (request->version < 6) {
        topic->name = decoded->topic_names[topic->index];
    } else {
        const struct delete_topics_request_delete_topic_state *state = &decoded->topics[topic->index];
        bool by_id = !uuid_is_zero(state->topic_id);
        if (by_id && !slice_is_null(state->name)) {
            topic->name = state->name;
            admin_fail(request, topic, KAFKA_INVALID_REQUEST,
                       "Topic name and topic ID can not both be specified.");
            return;
        }
        topic->name = state->name;
        if (by_id) {
            const struct image_topic *found = image_find_topic_by_id(image, state->topic_id);
            topic->topic_id = state->topic_id;
            if (found == NULL) {
                admin_fail(request, topic, KAFKA_UNKNOWN_TOPIC_ID, NULL);
                return;
            }
            topic->name = arena_copy_slice(&request->arena, slice_of(found->name));
        }
    }
    const struct image_topic *found =
        slice_is_null(topic->name) ? NULL : image_find_topic(image, topic->name);
    if (found == NULL)
        admin_fail(request, topic, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, NULL);
    else
        topic->topic_id = found->topic_id;
}

static bool begin(struct admin_request *request, struct slice body)
{
    struct delete_topics_request *decoded = arena_allocate(&request->arena, sizeof(*decoded));
    struct byte_reader reader;
    reader_init(&reader, body);
    if (decoded == NULL ||
        delete_topics_request_decode(decoded, &reader, request->version, &request->arena) != 0)
        return false;
    request->decoded = decoded;
    request->timeout_ms = decoded->timeout_ms;
    admin_make_topics(request, request->version < 6 ? decoded->topic_names_count : decoded->topics_count);
    for (size_t i = 0; i < request->topic_count; i++) {
        name_topic(request, &request->topics[i]);
        if (request->controller->options.delete_topic_enable)
            continue;
        int16_t error = request->version < 3 ? KAFKA_INVALID_REQUEST : KAFKA_TOPIC_DELETION_DISABLED;
        admin_fail(request, &request->topics[i], error, "Topic deletion is disabled.");
    }
    return true;
}

static void written(struct admin_request *request, struct admin_topic *topic,
                    const struct zk_response *response)
{
    struct controller *controller = request->controller;
    if (response->result == ZK_OK || response->result == ZK_NODE_EXISTS) {
        shell_look(controller, LOOK_DELETIONS, slice_of(""), 0);
        topic->status = ADMIN_WAIT;
    } else if (response->result == ZK_UNKNOWN) {
        admin_write_again(request, topic);
    } else {
        admin_fail(request, topic, KAFKA_UNKNOWN_SERVER_ERROR, "ZooKeeper: %s.",
                   zk_result_name(response->result));
    }
}

static void write(struct admin_request *request, struct admin_topic *topic)
{
    /* repeated after a lost answer: by then the topic may be gone, and another one of its name there */
    if (admin_image_topic(request, topic) == NULL) {
        topic->status = ADMIN_WAIT;
        return;
    }
    struct arena arena;
    arena_init(&arena, ARENA_NO_BUDGET);
    struct zk_operation operation =
        zk_operation_create(zk_path_delete_topic(&arena, topic->name), slice_of(NULL), ZK_PERSISTENT);
    admin_send(request, topic, &operation, 1, written);
    arena_release(&arena);
}

static void verify(struct admin_request *request, struct admin_topic *topic)
{
    (void)request;
    topic->status = ADMIN_WAIT;
}

static bool waits_for_dead_broker(const struct image *image, const struct image_topic *topic)
{
    for (size_t i = 0; i < topic->partition_count; i++) {
        const struct node_replicas *replicas = &topic->partitions[i]->assignment.replicas;
        for (size_t r = 0; r < replicas->count; r++)
            if (image_broker_epoch(image, replicas->ids[r]) < 0)
                return true;
    }
    return false;
}

static bool is_complete(struct admin_request *request, struct admin_topic *topic)
{
    struct controller *controller = request->controller;
    const struct image_topic *there = admin_image_topic(request, topic);
    if (there != NULL && !there->deleting)
        return false;
    if (there != NULL) {
        topic->sequence = there->deletion_sequence;
        return waits_for_dead_broker(&controller->image, there) &&
               shell_all_told(controller, topic->sequence);
    }
    return shell_all_told(controller, topic->sequence);
}

static void encode(struct admin_request *request, struct wire_writer *writer)
{
    struct delete_topics_response response;
    delete_topics_response_init(&response);
    struct delete_topics_response_deletable_topic_result *results =
        arena_allocate_array(&request->arena, max_size(request->topic_count, 1), sizeof(*results));
    response.responses = results;
    response.responses_count = results != NULL ? request->topic_count : 0;
    for (size_t i = 0; i < response.responses_count; i++) {
        const struct admin_topic *topic = &request->topics[i];
        delete_topics_response_deletable_topic_result_init(&results[i]);
        results[i].name = topic->name;
        results[i].topic_id = topic->topic_id;
        results[i].error_code = topic->error;
        results[i].error_message = slice_of(topic->message);
    }
    delete_topics_response_encode(&response, writer, request->version);
}

const struct admin_kind admin_delete_topics = {.api_key = 20,
                                               .begin = begin,
                                               .write = write,
                                               .verify = verify,
                                               .is_complete = is_complete,
                                               .encode = encode};
