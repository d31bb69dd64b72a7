/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CreatePartitions, all versions: the topic's znode is set to a longer assignment over the version that was
 * known; after any doubt it is looked at, and planned again if the partitions are not there.
 */
#include "coordinator/controller/admin.h"
#include "coordinator/controller/reassign.h"
#include "coordinator/controller/topic_rules.h"
#include "coordinator/zk/path.h"
#include "proto/kafka/messages/create_partitions.h"

static const struct create_partitions_request_topic *asked(const struct admin_request *request,
                                                           const struct admin_topic *topic)
{
    const struct create_partitions_request *decoded = request->decoded;
    return &decoded->topics[topic->index];
}

/* The topic as it is, as the start of what it shall be. */
static void copy_existing(struct admin_topic *topic, const struct image_topic *there)
{
    node_topic_release(&topic->node);
    node_topic_init(&topic->node);
    topic->node.has_topic_id = there->has_id;
    topic->node.topic_id = there->topic_id;
    for (size_t i = 0; i < there->partition_count; i++) {
        const struct node_replicas *replicas = &there->partitions[i]->assignment.replicas;
        node_topic_add_partition(&topic->node, replicas->ids, replicas->count);
        topic->node.partitions[i].partition = there->partitions[i]->number;
    }
}

/* A move is asked for, or goes on. */
static bool is_being_reassigned(const struct image_topic *there)
{
    for (size_t i = 0; i < there->partition_count; i++)
        if (there->partitions[i]->move != NULL && there->partitions[i]->move->error == KAFKA_NONE)
            return true;
    return reassign_is_running_in(there);
}

static void fail_as_being_reassigned(struct admin_request *request, struct admin_topic *topic)
{
    admin_fail(request, topic, KAFKA_REASSIGNMENT_IN_PROGRESS,
               "A partition reassignment is in progress for the topic '%.*s'.", SLICE_ARGUMENTS(topic->name));
}

static bool take_manual_assignment(struct admin_request *request, struct admin_topic *topic, size_t factor)
{
    const struct create_partitions_request_topic *from = asked(request, topic);
    size_t more = (size_t)from->count - topic->node.partition_count;
    if (from->assignments_count != more) {
        admin_fail(request, topic, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                   "Increasing the number of partitions by %zu but %zu assignments provided.", more,
                   from->assignments_count);
        return false;
    }
    for (size_t i = 0; i < more; i++) {
        const int32_t *ids = from->assignments[i].broker_ids;
        size_t count = from->assignments[i].broker_ids_count;
        const char *problem = topic_replicas_problem(ids, count, factor);
        for (size_t r = 0; problem == NULL && r < count; r++)
            if (image_broker_epoch(&request->controller->image, ids[r]) < 0)
                problem = "Unknown broker(s) in replica assignment";
        if (problem != NULL) {
            admin_fail(request, topic, KAFKA_INVALID_REPLICA_ASSIGNMENT, "%s.", problem);
            return false;
        }
        node_topic_add_partition(&topic->node, ids, count);
    }
    return true;
}

/* The first broker whose id is not below the first leader's: where Kafka goes on. */
static size_t start_of(const struct admin_request *request, int32_t first_leader)
{
    const struct roster *brokers = &request->controller->image.brokers;
    for (size_t i = 0; i < brokers->count; i++)
        if (brokers->members[i].broker_id >= first_leader)
            return i;
    return 0;
}

/* Fills topic->node with the longer assignment; false: the topic has failed. */
static bool plan(struct admin_request *request, struct admin_topic *topic, const struct image_topic *there)
{
    const struct create_partitions_request_topic *from = asked(request, topic);
    size_t present = there->partition_count;
    if (from->count < 0 || (size_t)from->count <= present) {
        if (from->count >= 0 && (size_t)from->count == present)
            admin_fail(request, topic, KAFKA_INVALID_PARTITIONS, "Topic already has %zu partitions.",
                       present);
        else
            admin_fail(request, topic, KAFKA_INVALID_PARTITIONS,
                       "Topic currently has %zu partitions, which is higher than the requested %d.", present,
                       from->count);
        return false;
    }
    if (from->count > NODE_TOPIC_PARTITIONS_MAX || present == 0) {
        admin_fail(request, topic, KAFKA_INVALID_PARTITIONS, "The topic cannot have %d partitions.",
                   from->count);
        return false;
    }
    copy_existing(topic, there);
    const struct node_replicas *first = &there->partitions[0]->assignment.replicas;
    size_t start = start_of(request, first->ids[0]);
    bool planned =
        from->assignments != NULL
            ? take_manual_assignment(request, topic, first->count)
            : admin_place(request, topic, present, (size_t)from->count - present, first->count, start, start);
    struct buffer data;
    buffer_init(&data);
    node_topic_encode(&topic->node, &data);
    if (planned && data.length > ZK_DATA_BYTES_MAX) {
        admin_fail(request, topic, KAFKA_INVALID_PARTITIONS,
                   "The assignment of so many partitions does not fit into one znode.");
        planned = false;
    }
    buffer_release(&data);
    return planned;
}

static void check(struct admin_request *request, struct admin_topic *topic)
{
    if (topic->named_twice) {
        admin_fail(request, topic, KAFKA_INVALID_REQUEST, "Duplicate topic in request.");
        return;
    }
    const struct image_topic *there = image_find_topic(&request->controller->image, topic->name);
    if (shell_is_being_deleted(request->controller, topic->name)) {
        admin_fail(request, topic, KAFKA_INVALID_TOPIC_EXCEPTION, "The topic is queued for deletion.");
    } else if (there == NULL) {
        admin_fail(request, topic, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, "The topic '%.*s' does not exist.",
                   SLICE_ARGUMENTS(topic->name));
    } else if (is_being_reassigned(there)) {
        fail_as_being_reassigned(request, topic);
    } else if (plan(request, topic, there)) {
        topic->topic_id = there->topic_id;
        topic->status = request->validate_only ? ADMIN_DONE : ADMIN_WRITE;
    }
}

static bool begin(struct admin_request *request, struct slice body)
{
    struct create_partitions_request *decoded = arena_allocate(&request->arena, sizeof(*decoded));
    struct byte_reader reader;
    reader_init(&reader, body);
    if (decoded == NULL ||
        create_partitions_request_decode(decoded, &reader, request->version, &request->arena) != 0)
        return false;
    request->decoded = decoded;
    request->timeout_ms = decoded->timeout_ms;
    request->validate_only = decoded->validate_only;
    admin_make_topics(request, decoded->topics_count);
    for (size_t i = 0; i < request->topic_count; i++)
        request->topics[i].name = decoded->topics[i].name;
    admin_mark_named_twice(request);
    for (size_t i = 0; i < request->topic_count; i++)
        check(request, &request->topics[i]);
    return true;
}

static void written(struct admin_request *request, struct admin_topic *topic,
                    const struct zk_response *response)
{
    if (response->result == ZK_OK || response->result == ZK_BAD_VERSION || response->result == ZK_NO_NODE ||
        response->result == ZK_UNKNOWN)
        admin_look(request, topic, response->result);
    else
        admin_fail(request, topic, KAFKA_UNKNOWN_SERVER_ERROR, "ZooKeeper: %s.",
                   zk_result_name(response->result));
}

static void write(struct admin_request *request, struct admin_topic *topic)
{
    const struct image_topic *there = admin_image_topic(request, topic);
    if (there == NULL || there->deleting) {
        admin_fail(request, topic, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, NULL);
        return;
    }
    if (is_being_reassigned(there)) {
        fail_as_being_reassigned(request, topic);
        return;
    }
    if (!plan(request, topic, there))
        return;
    struct arena arena;
    struct buffer data;
    arena_init(&arena, ARENA_NO_BUDGET);
    buffer_init(&data);
    node_topic_encode(&topic->node, &data);
    struct zk_operation operation = zk_operation_set(zk_path_topic(&arena, topic->name), buffer_slice(&data),
                                                     zk_version_make(there->version));
    admin_send(request, topic, &operation, 1, written);
    buffer_release(&data);
    arena_release(&arena);
}

static void verify(struct admin_request *request, struct admin_topic *topic)
{
    const struct image_topic *there = admin_image_topic(request, topic);
    bool grown = there != NULL && there->partition_count >= (size_t)asked(request, topic)->count;
    if (grown)
        topic->status = ADMIN_WAIT;
    else
        admin_write_again(request, topic);
}

static void encode(struct admin_request *request, struct wire_writer *writer)
{
    struct create_partitions_response response;
    create_partitions_response_init(&response);
    struct create_partitions_response_topic_result *results =
        arena_allocate_array(&request->arena, max_size(request->topic_count, 1), sizeof(*results));
    response.results = results;
    response.results_count = results != NULL ? request->topic_count : 0;
    for (size_t i = 0; i < response.results_count; i++) {
        create_partitions_response_topic_result_init(&results[i]);
        results[i].name = request->topics[i].name;
        results[i].error_code = request->topics[i].error;
        results[i].error_message = slice_of(request->topics[i].message);
    }
    create_partitions_response_encode(&response, writer, request->version);
}

const struct admin_kind admin_create_partitions = {.api_key = 37,
                                                   .begin = begin,
                                                   .write = write,
                                                   .verify = verify,
                                                   .is_complete = admin_is_usable,
                                                   .encode = encode};
