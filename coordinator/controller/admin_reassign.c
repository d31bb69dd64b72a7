/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AlterPartitionReassignments: each partition is checked at once, and answered when its new assignment stands
 * in ZooKeeper; the move itself goes on behind that (shell_reassign.c). ListPartitionReassignments: what the
 * assignments say.
 */
#include "coordinator/controller/admin.h"
#include "coordinator/controller/reassign.h"
#include "proto/kafka/api.h"
#include "proto/kafka/messages/alter_partition_reassignments.h"
#include "proto/kafka/messages/list_partition_reassignments.h"

/* ---- AlterPartitionReassignments ---- */

struct alter_results {
    const struct alter_partition_reassignments_request *asked;
    /* Like asked->topics; the errors of those that wait are NONE. */
    struct alter_partition_reassignments_response_reassignable_topic_response *topics;
    bool **waits; /* by topic and partition */
};

static void
check_partition(struct admin_request *request, struct image_topic *topic,
                const struct alter_partition_reassignments_request_reassignable_partition *asked,
                struct alter_partition_reassignments_response_reassignable_partition_response *result,
                bool *waits)
{
    struct controller *controller = request->controller;
    struct image_partition *partition =
        topic != NULL ? image_find_partition(topic, asked->partition_index) : NULL;
    const struct node_replicas target = {asked->replicas, asked->replicas_count};
    struct buffer message;
    buffer_init(&message);
    result->partition_index = asked->partition_index;
    struct decide_settings settings = shell_decide_settings(controller);
    result->error_code = reassign_check(&controller->image, partition,
                                        asked->replicas != NULL ? &target : NULL, &settings, &message);
    result->error_message = slice_of(NULL);
    *waits = result->error_code == KAFKA_NONE;
    if (*waits) {
        struct image_move move = {.cancel = asked->replicas == NULL, .request = request->id};
        node_replicas_set(&move.target, target.ids, target.count);
        image_set_move(&controller->image, partition, &move);
        shell_reassign_node_hurry(controller);
    } else {
        result->error_message = slice_of(arena_copy_string(&request->arena, buffer_slice(&message)));
    }
    buffer_release(&message);
}

/* The topic, unless it is being deleted or about to be. */
static struct image_topic *topic_of(const struct admin_request *request, struct slice name)
{
    struct image_topic *topic = image_find_topic(&request->controller->image, name);
    bool gone = topic == NULL || topic->deleting ||
                shell_is_being_deleted(request->controller, slice_of(topic->name));
    return gone ? NULL : topic;
}

static bool begin_topic(struct admin_request *request, struct alter_results *results, size_t index)
{
    const struct alter_partition_reassignments_request_reassignable_topic *asked =
        &results->asked->topics[index];
    struct alter_partition_reassignments_response_reassignable_topic_response *answer =
        &results->topics[index];
    size_t count = asked->partitions_count;
    answer->name = asked->name;
    answer->partitions =
        arena_allocate_array(&request->arena, max_size(count, 1), sizeof(*answer->partitions));
    results->waits[index] = arena_allocate_array(&request->arena, max_size(count, 1), sizeof(bool));
    if (answer->partitions == NULL || results->waits[index] == NULL)
        return false;
    answer->partitions_count = count;
    struct image_topic *topic = topic_of(request, asked->name);
    for (size_t i = 0; i < count; i++)
        check_partition(request, topic, &asked->partitions[i], &answer->partitions[i],
                        &results->waits[index][i]);
    return true;
}

static bool alter_begin(struct admin_request *request, struct slice body)
{
    struct alter_partition_reassignments_request *decoded = arena_allocate(&request->arena, sizeof(*decoded));
    struct alter_results *results = arena_allocate(&request->arena, sizeof(*results));
    struct byte_reader reader;
    reader_init(&reader, body);
    if (decoded == NULL || results == NULL ||
        alter_partition_reassignments_request_decode(decoded, &reader, request->version, &request->arena) !=
            0)
        return false;
    size_t count = decoded->topics_count;
    results->asked = decoded;
    results->topics = arena_allocate_array(&request->arena, max_size(count, 1), sizeof(*results->topics));
    results->waits = arena_allocate_array(&request->arena, max_size(count, 1), sizeof(bool *));
    if (results->topics == NULL || results->waits == NULL)
        return false;
    request->decoded = results;
    request->timeout_ms = decoded->timeout_ms;
    admin_make_topics(request, count);
    for (size_t i = 0; i < count; i++) {
        request->topics[i].name = decoded->topics[i].name;
        request->topics[i].status = ADMIN_WAIT;
        if (!begin_topic(request, results, i))
            return false;
    }
    return true;
}

/* Looks what has become of a move; true: it is not waited for any more. */
static bool
settle_partition(struct admin_request *request, struct image_topic *topic,
                 struct alter_partition_reassignments_response_reassignable_partition_response *result)
{
    struct image_partition *partition =
        topic != NULL ? image_find_partition(topic, result->partition_index) : NULL;
    if (partition == NULL) {
        result->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        result->error_message = slice_of("The partition does not exist.");
        return true;
    }
    const struct image_move *move = partition->move;
    if (move == NULL || move->request != request->id)
        return true; /* written, or another request has taken its place */
    if (move->error == KAFKA_NONE)
        return false;
    result->error_code = move->error;
    result->error_message = slice_of("The move is not safe any more, or its assignment does not fit into the "
                                     "znode of the topic.");
    image_set_move(&request->controller->image, partition, NULL);
    return true;
}

static bool alter_is_complete(struct admin_request *request, struct admin_topic *topic)
{
    const struct alter_results *results = request->decoded;
    struct alter_partition_reassignments_response_reassignable_topic_response *answer =
        &results->topics[topic->index];
    struct image_topic *there = topic_of(request, topic->name);
    size_t waiting = 0;
    for (size_t i = 0; i < answer->partitions_count; i++) {
        bool *waits = &results->waits[topic->index][i];
        *waits = *waits && !settle_partition(request, there, &answer->partitions[i]);
        waiting += *waits;
    }
    return waiting == 0;
}

static void alter_encode(struct admin_request *request, struct wire_writer *writer)
{
    const struct alter_results *results = request->decoded;
    struct alter_partition_reassignments_response response;
    alter_partition_reassignments_response_init(&response);
    response.responses = results->topics;
    response.responses_count = results->asked->topics_count;
    for (size_t t = 0; t < response.responses_count; t++)
        for (size_t i = 0; i < results->topics[t].partitions_count; i++)
            if (results->waits[t][i])
                results->topics[t].partitions[i].error_code = request->topics[t].error;
    alter_partition_reassignments_response_encode(&response, writer, request->version);
}

static void nothing_to_write(struct admin_request *request, struct admin_topic *topic)
{
    (void)request;
    topic->status = ADMIN_WAIT;
}

const struct admin_kind admin_alter_reassignments = {.api_key = KAFKA_API_ALTER_PARTITION_REASSIGNMENTS,
                                                     .begin = alter_begin,
                                                     .write = nothing_to_write,
                                                     .verify = nothing_to_write,
                                                     .is_complete = alter_is_complete,
                                                     .encode = alter_encode};

/* ---- ListPartitionReassignments ---- */

static bool list_begin(struct admin_request *request, struct slice body)
{
    struct list_partition_reassignments_request *decoded = arena_allocate(&request->arena, sizeof(*decoded));
    struct byte_reader reader;
    reader_init(&reader, body);
    if (decoded == NULL ||
        list_partition_reassignments_request_decode(decoded, &reader, request->version, &request->arena) != 0)
        return false;
    request->decoded = decoded;
    request->timeout_ms = decoded->timeout_ms;
    admin_make_topics(request, 0);
    return true;
}

static void list_partition(struct list_partition_reassignments_response_ongoing_topic_reassignment *to,
                           const struct image_partition *partition)
{
    const struct node_assignment *assignment = &partition->assignment;
    if (!reassign_is_running(assignment))
        return;
    struct list_partition_reassignments_response_ongoing_partition_reassignment *added =
        &to->partitions[to->partitions_count++];
    list_partition_reassignments_response_ongoing_partition_reassignment_init(added);
    added->partition_index = partition->number;
    added->replicas = assignment->replicas.ids;
    added->replicas_count = assignment->replicas.count;
    added->adding_replicas = assignment->adding.ids;
    added->adding_replicas_count = assignment->adding.count;
    added->removing_replicas = assignment->removing.ids;
    added->removing_replicas_count = assignment->removing.count;
}

/* Room for a topic with up to `count` partitions, and its name; NULL: the request has no more memory. */
static struct list_partition_reassignments_response_ongoing_topic_reassignment *
list_topic(struct admin_request *request, struct list_partition_reassignments_response *response,
           struct slice name, size_t count)
{
    struct list_partition_reassignments_response_ongoing_topic_reassignment *to =
        &response->topics[response->topics_count];
    list_partition_reassignments_response_ongoing_topic_reassignment_init(to);
    to->name = name;
    to->partitions = arena_allocate_array(&request->arena, max_size(count, 1), sizeof(*to->partitions));
    return to->partitions != NULL ? to : NULL;
}

static void list_all(struct admin_request *request, struct list_partition_reassignments_response *response)
{
    const struct image *image = &request->controller->image;
    size_t position = 0;
    void *value;
    while (map_next(image->topics, &position, NULL, &value)) {
        const struct image_topic *topic = value;
        if (topic->deleting || !reassign_is_running_in(topic))
            continue;
        struct list_partition_reassignments_response_ongoing_topic_reassignment *to =
            list_topic(request, response, slice_of(topic->name), topic->partition_count);
        for (size_t i = 0; to != NULL && i < topic->partition_count; i++)
            list_partition(to, topic->partitions[i]);
        response->topics_count += to != NULL;
    }
}

static void list_asked(struct admin_request *request, struct list_partition_reassignments_response *response)
{
    const struct list_partition_reassignments_request *decoded = request->decoded;
    for (size_t t = 0; t < decoded->topics_count; t++) {
        const struct list_partition_reassignments_request_topics *asked = &decoded->topics[t];
        const struct image_topic *topic = topic_of(request, asked->name);
        struct list_partition_reassignments_response_ongoing_topic_reassignment *to =
            topic != NULL ? list_topic(request, response, asked->name, asked->partition_indexes_count) : NULL;
        for (size_t i = 0; to != NULL && i < asked->partition_indexes_count; i++) {
            const struct image_partition *partition =
                image_find_partition(topic, asked->partition_indexes[i]);
            if (partition != NULL)
                list_partition(to, partition);
        }
        response->topics_count += to != NULL && to->partitions_count > 0;
    }
}

static void list_encode(struct admin_request *request, struct wire_writer *writer)
{
    const struct list_partition_reassignments_request *decoded = request->decoded;
    const struct image *image = &request->controller->image;
    struct list_partition_reassignments_response response;
    list_partition_reassignments_response_init(&response);
    size_t most = decoded->topics != NULL ? decoded->topics_count : map_size(image->topics);
    response.topics = arena_allocate_array(&request->arena, max_size(most, 1), sizeof(*response.topics));
    if (response.topics == NULL)
        response.error_code = KAFKA_UNKNOWN_SERVER_ERROR;
    else if (decoded->topics == NULL)
        list_all(request, &response);
    else
        list_asked(request, &response);
    list_partition_reassignments_response_encode(&response, writer, request->version);
}

static bool list_is_complete(struct admin_request *request, struct admin_topic *topic)
{
    (void)request;
    (void)topic;
    return true;
}

const struct admin_kind admin_list_reassignments = {.api_key = KAFKA_API_LIST_PARTITION_REASSIGNMENTS,
                                                    .begin = list_begin,
                                                    .write = nothing_to_write,
                                                    .verify = nothing_to_write,
                                                    .is_complete = list_is_complete,
                                                    .encode = list_encode};
