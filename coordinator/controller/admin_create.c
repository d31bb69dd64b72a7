/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CreateTopics, all versions. The settings' node and the topic's node are made in one multi; the topic id is
 * random, so that after a lost answer the topic that is there is recognised as one's own. Partition states,
 * leaders and messages then come the way of any topic that appears in ZooKeeper.
 */
#include <stdlib.h>

#include "common/memory.h"
#include "coordinator/controller/admin.h"
#include "coordinator/controller/topic_rules.h"
#include "coordinator/zk/path.h"
#include "proto/kafka/messages/create_topics.h"

#define DYNAMIC_TOPIC_CONFIG 1

static const struct create_topics_request_creatable_topic *asked(const struct admin_request *request,
                                                                 const struct admin_topic *topic)
{
    const struct create_topics_request *decoded = request->decoded;
    return &decoded->topics[topic->index];
}

static bool check_name(struct admin_request *request, struct admin_topic *topic)
{
    const struct image *image = &request->controller->image;
    if (topic->named_twice) {
        admin_fail(request, topic, KAFKA_INVALID_REQUEST, "Found multiple entries for this topic.");
        return false;
    }
    const char *problem = topic_name_problem(topic->name);
    if (problem != NULL) {
        admin_fail(request, topic, KAFKA_INVALID_TOPIC_EXCEPTION, "Topic name is invalid: %s.", problem);
        return false;
    }
    if (image_find_topic(image, topic->name) == NULL) {
        const struct image_topic *other = topic_name_collision(image, topic->name);
        if (other != NULL)
            admin_fail(request, topic, KAFKA_INVALID_TOPIC_EXCEPTION,
                       "Topic '%.*s' collides with existing topics: %s.", SLICE_ARGUMENTS(topic->name),
                       other->name);
        else if (shell_is_being_deleted(request->controller, topic->name))
            admin_fail(request, topic, KAFKA_TOPIC_ALREADY_EXISTS, "Topic '%.*s' is marked for deletion.",
                       SLICE_ARGUMENTS(topic->name));
        return topic->status != ADMIN_DONE;
    }
    admin_fail(request, topic, KAFKA_TOPIC_ALREADY_EXISTS, "Topic '%.*s' already exists.",
               SLICE_ARGUMENTS(topic->name));
    return false;
}

static bool take_configs(struct admin_request *request, struct admin_topic *topic)
{
    const struct create_topics_request_creatable_topic *from = asked(request, topic);
    const struct controller_callbacks *callbacks = &request->controller->options.callbacks;
    if (from->configs_count > NODE_CONFIG_ENTRIES_MAX) {
        admin_fail(request, topic, KAFKA_INVALID_CONFIG, "More than %d settings.", NODE_CONFIG_ENTRIES_MAX);
        return false;
    }
    for (size_t i = 0; i < from->configs_count; i++) {
        struct slice name = from->configs[i].name, value = from->configs[i].value;
        const char *problem = NULL;
        if (slice_is_null(value))
            problem = "a topic setting cannot be null";
        else if (callbacks->validate_topic_config != NULL)
            problem = callbacks->validate_topic_config(callbacks->context, name, value);
        if (problem != NULL) {
            admin_fail(request, topic, KAFKA_INVALID_CONFIG, "Invalid value for configuration %.*s: %s",
                       SLICE_ARGUMENTS(name), problem);
            return false;
        }
        node_config_set(&topic->config, name, value);
    }
    return true;
}

/* The assignments by partition number, NULL where none is given; the array is the caller's. */
static const struct create_topics_request_creatable_replica_assignment **
sort_assignments(const struct create_topics_request_creatable_topic *from)
{
    size_t count = from->assignments_count;
    const struct create_topics_request_creatable_replica_assignment **sorted =
        memory_allocate_zeroed(count, sizeof(struct create_topics_request_creatable_replica_assignment *));
    for (size_t i = 0; i < count; i++) {
        int32_t number = from->assignments[i].partition_index;
        if (number >= 0 && (size_t)number < count)
            sorted[number] = &from->assignments[i];
    }
    return sorted;
}

static bool take_manual_assignment(struct admin_request *request, struct admin_topic *topic)
{
    const struct create_topics_request_creatable_topic *from = asked(request, topic);
    size_t factor = from->assignments[0].broker_ids_count;
    if (from->assignments_count > NODE_TOPIC_PARTITIONS_MAX) {
        admin_fail(request, topic, KAFKA_INVALID_REPLICA_ASSIGNMENT, "More than %d partitions.",
                   NODE_TOPIC_PARTITIONS_MAX);
        return false;
    }
    const struct create_topics_request_creatable_replica_assignment **sorted = sort_assignments(from);
    const char *problem = NULL;
    for (size_t number = 0; number < from->assignments_count && problem == NULL; number++) {
        const struct create_topics_request_creatable_replica_assignment *found = sorted[number];
        problem = found == NULL ? "partitions should be a consecutive 0-based integer sequence"
                                : topic_replicas_problem(found->broker_ids, found->broker_ids_count, factor);
        if (problem != NULL)
            admin_fail(request, topic, KAFKA_INVALID_REPLICA_ASSIGNMENT, "Partition %zu: %s.", number,
                       problem);
        else
            node_topic_add_partition(&topic->node, found->broker_ids, found->broker_ids_count);
    }
    free(sorted);
    topic->partition_count = (int32_t)from->assignments_count;
    topic->replication_factor = (int32_t)factor;
    return problem == NULL;
}

static size_t random_below(struct admin_request *request, size_t bound)
{
    const struct controller_callbacks *callbacks = &request->controller->options.callbacks;
    uint64_t number;
    callbacks->random(callbacks->context, &number, sizeof(number));
    return bound == 0 ? 0 : (size_t)(number % bound);
}

static bool place_automatically(struct admin_request *request, struct admin_topic *topic)
{
    const struct create_topics_request_creatable_topic *from = asked(request, topic);
    const struct controller_options *options = &request->controller->options;
    int32_t count = from->num_partitions == -1 ? options->default_partitions : from->num_partitions;
    int32_t factor =
        from->replication_factor == -1 ? options->default_replication_factor : from->replication_factor;
    size_t brokers = request->controller->image.brokers.count;
    if (count <= 0) {
        admin_fail(request, topic, KAFKA_INVALID_PARTITIONS, "Number of partitions must be larger than 0.");
        return false;
    }
    if (factor <= 0) {
        admin_fail(request, topic, KAFKA_INVALID_REPLICATION_FACTOR,
                   "Replication factor must be larger than 0.");
        return false;
    }
    if (count > NODE_TOPIC_PARTITIONS_MAX) {
        admin_fail(request, topic, KAFKA_INVALID_PARTITIONS, "More than %d partitions.",
                   NODE_TOPIC_PARTITIONS_MAX);
        return false;
    }
    topic->partition_count = count;
    topic->replication_factor = factor;
    return admin_place(request, topic, 0, (size_t)count, (size_t)factor, random_below(request, brokers),
                       random_below(request, brokers));
}

/* The topic's znode must fit ZooKeeper (I39). */
static bool check_size(struct admin_request *request, struct admin_topic *topic)
{
    struct buffer data;
    buffer_init(&data);
    node_topic_encode(&topic->node, &data);
    bool fits = data.length <= ZK_DATA_BYTES_MAX;
    buffer_release(&data);
    if (!fits)
        admin_fail(request, topic, KAFKA_INVALID_PARTITIONS,
                   "The assignment of so many partitions does not fit into one znode.");
    return fits;
}

static void make_id(struct admin_request *request, struct admin_topic *topic)
{
    const struct controller_callbacks *callbacks = &request->controller->options.callbacks;
    do {
        uint8_t random[16];
        callbacks->random(callbacks->context, random, sizeof(random));
        topic->topic_id = uuid_from_random(random);
    } while (!uuid_is_usable(topic->topic_id));
    topic->node.has_topic_id = true;
    topic->node.topic_id = topic->topic_id;
}

static void plan(struct admin_request *request, struct admin_topic *topic)
{
    const struct create_topics_request_creatable_topic *from = asked(request, topic);
    if (!check_name(request, topic))
        return;
    bool manual = from->assignments_count > 0;
    if (manual && (from->num_partitions != -1 || from->replication_factor != -1)) {
        admin_fail(request, topic, KAFKA_INVALID_REQUEST,
                   "Both numPartitions or replicationFactor and replicasAssignments were set. Both cannot be "
                   "used at the same time.");
        return;
    }
    if (!(manual ? take_manual_assignment(request, topic) : place_automatically(request, topic)))
        return;
    make_id(request, topic);
    if (!take_configs(request, topic) || !check_size(request, topic))
        return;
    topic->status = request->validate_only ? ADMIN_DONE : ADMIN_WRITE;
    if (request->validate_only)
        topic->topic_id = (struct uuid){{0}};
}

static bool begin(struct admin_request *request, struct slice body)
{
    struct create_topics_request *decoded = arena_allocate(&request->arena, sizeof(*decoded));
    struct byte_reader reader;
    reader_init(&reader, body);
    if (decoded == NULL ||
        create_topics_request_decode(decoded, &reader, request->version, &request->arena) != 0)
        return false;
    request->decoded = decoded;
    request->timeout_ms = decoded->timeout_ms;
    request->validate_only = decoded->validate_only;
    admin_make_topics(request, decoded->topics_count);
    for (size_t i = 0; i < request->topic_count; i++)
        request->topics[i].name = decoded->topics[i].name;
    admin_mark_named_twice(request);
    for (size_t i = 0; i < request->topic_count; i++)
        plan(request, &request->topics[i]);
    return true;
}

static void written(struct admin_request *request, struct admin_topic *topic,
                    const struct zk_response *response)
{
    bool config = response->culprit == 0;
    topic->taken = response->result == ZK_NODE_EXISTS && response->culprit == 1;
    if (response->result == ZK_OK)
        log_info(request->controller->logger, SHELL_AREA,
                 "topic %.*s created: %d partitions, replication factor %d", SLICE_ARGUMENTS(topic->name),
                 topic->partition_count, topic->replication_factor);
    if (config && (response->result == ZK_NODE_EXISTS || response->result == ZK_NO_NODE) &&
        topic->config_exists != (response->result == ZK_NODE_EXISTS)) {
        topic->config_exists = response->result == ZK_NODE_EXISTS;
        topic->status = ADMIN_WRITE;
    } else if (response->result == ZK_OK || response->result == ZK_NODE_EXISTS ||
               response->result == ZK_UNKNOWN) {
        admin_look(request, topic, response->result);
    } else {
        admin_fail(request, topic, KAFKA_UNKNOWN_SERVER_ERROR, "ZooKeeper: %s.",
                   zk_result_name(response->result));
    }
}

static void write(struct admin_request *request, struct admin_topic *topic)
{
    struct arena arena;
    struct buffer config, node;
    arena_init(&arena, ARENA_NO_BUDGET);
    buffer_init(&config);
    buffer_init(&node);
    node_config_encode(&topic->config, &config);
    node_topic_encode(&topic->node, &node);
    const char *config_path = zk_path_config_topic(&arena, topic->name);
    struct zk_operation operations[] = {
        topic->config_exists ? zk_operation_set_any_version(config_path, buffer_slice(&config))
                             : zk_operation_create(config_path, buffer_slice(&config), ZK_PERSISTENT),
        zk_operation_create(zk_path_topic(&arena, topic->name), buffer_slice(&node), ZK_PERSISTENT),
    };
    admin_send(request, topic, operations, ARRAY_SIZE(operations), written);
    buffer_release(&node);
    buffer_release(&config);
    arena_release(&arena);
}

static void verify(struct admin_request *request, struct admin_topic *topic)
{
    const struct image_topic *there = image_find_topic(&request->controller->image, topic->name);
    if (there == NULL && !topic->taken)
        admin_write_again(request, topic);
    else if (there != NULL && uuid_equals(there->topic_id, topic->topic_id))
        topic->status = ADMIN_WAIT;
    else
        admin_fail(request, topic, KAFKA_TOPIC_ALREADY_EXISTS, "Topic '%.*s' already exists.",
                   SLICE_ARGUMENTS(topic->name));
}

static void encode_configs(struct admin_request *request, const struct admin_topic *topic,
                           struct create_topics_response_creatable_topic_result *result)
{
    size_t count = topic->config.count;
    result->configs = arena_allocate_array(&request->arena, max_size(count, 1), sizeof(*result->configs));
    if (result->configs == NULL) {
        result->configs = wire_empty_array();
        return;
    }
    result->configs_count = count;
    for (size_t i = 0; i < count; i++) {
        result->configs[i].name = slice_of(topic->config.entries[i].key);
        result->configs[i].value = slice_of(topic->config.entries[i].value);
        result->configs[i].config_source = DYNAMIC_TOPIC_CONFIG;
    }
}

static void encode(struct admin_request *request, struct wire_writer *writer)
{
    struct create_topics_response response;
    create_topics_response_init(&response);
    struct create_topics_response_creatable_topic_result *results =
        arena_allocate_array(&request->arena, max_size(request->topic_count, 1), sizeof(*results));
    response.topics = results;
    response.topics_count = results != NULL ? request->topic_count : 0;
    for (size_t i = 0; i < response.topics_count; i++) {
        const struct admin_topic *topic = &request->topics[i];
        create_topics_response_creatable_topic_result_init(&results[i]);
        results[i].name = topic->name;
        results[i].error_code = topic->error;
        results[i].error_message = slice_of(topic->message);
        results[i].configs = wire_empty_array();
        if (topic->error != KAFKA_NONE)
            continue;
        results[i].topic_id = topic->topic_id;
        results[i].num_partitions = topic->partition_count;
        results[i].replication_factor = (int16_t)topic->replication_factor;
        encode_configs(request, topic, &results[i]);
    }
    create_topics_response_encode(&response, writer, request->version);
}

const struct admin_kind admin_create_topics = {.api_key = 19,
                                               .begin = begin,
                                               .write = write,
                                               .verify = verify,
                                               .is_complete = admin_is_usable,
                                               .encode = encode};
