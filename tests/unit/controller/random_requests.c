/* SPDX-License-Identifier: Apache-2.0 */
/* Random requests of clients, and what their answers must be true to (I34, I38). */
#include "tests/unit/controller/random_requests.h"

#include <stdio.h>

#include "coordinator/controller/elect.h"
#include "proto/kafka/error.h"
#include "proto/kafka/messages/alter_partition_reassignments.h"
#include "proto/kafka/messages/create_partitions.h"
#include "proto/kafka/messages/create_topics.h"
#include "proto/kafka/messages/delete_topics.h"
#include "proto/kafka/messages/elect_leaders.h"

#define TIMEOUT_MS 5000

enum { KEY_CREATE_TOPICS = 19, KEY_DELETE_TOPICS = 20, KEY_CREATE_PARTITIONS = 37, KEY_ELECT_LEADERS = 43 };
enum { KEY_REASSIGN = 45 };

struct body {
    struct buffer bytes;
    struct wire_writer writer;
};

static void body_begin(struct body *body)
{
    buffer_init(&body->bytes);
    wire_writer_init(&body->writer, &body->bytes);
}

static void body_ask(struct body *body, struct world_broker *to, const struct world_ask *ask)
{
    world_ask_controller(to, ask, buffer_slice(&body->bytes), TIMEOUT_MS);
    wire_writer_release(&body->writer);
    buffer_release(&body->bytes);
}

const char *random_topic(struct world *world, char name[64])
{
    snprintf(name, 64, "t%d", (int)prng_below(&world->prng, RANDOM_TOPICS));
    return name;
}

bool random_read_topic(struct world *world, const char *name, struct node_topic *node)
{
    char path[128];
    struct slice data;
    snprintf(path, sizeof(path), "/brokers/topics/%s", name);
    return fake_zookeeper_read(world->zookeeper, path, &data, NULL) &&
           node_topic_decode(data, node, NULL) == 0;
}

size_t random_brokers(struct world *world, int32_t ids[WORLD_BROKERS_MAX])
{
    size_t all = (size_t)world->broker_count;
    size_t count = 1 + prng_below(&world->prng, min_size(3, all));
    for (size_t i = 0; i < all; i++)
        ids[i] = (int32_t)i + 1;
    for (size_t i = 0; i < count; i++) {
        size_t other = i + prng_below(&world->prng, all - i);
        int32_t id = ids[i];
        ids[i] = ids[other];
        ids[other] = id;
    }
    return count;
}

struct world_broker *random_controller(struct world *world)
{
    struct world_broker *office = world_controller_broker(world);
    struct world_broker *any = &world->brokers[prng_below(&world->prng, (uint64_t)world->broker_count)];
    if (office != NULL && !prng_one_in(&world->prng, 5))
        return office;
    return any->alive ? any : NULL;
}

/* ---- topics ---- */

static void created(struct world_ask *ask, int16_t error, struct slice body)
{
    struct create_topics_response response;
    struct byte_reader reader;
    struct arena arena;
    const struct world_tally *now = world_tally(ask->world, slice_of(ask->topic));
    if (error != KAFKA_NONE)
        return;
    arena_init(&arena, ARENA_NO_BUDGET);
    reader_init(&reader, body);
    if (create_topics_response_decode(&response, &reader, ask->version, &arena) != 0 ||
        response.topics_count != 1)
        world_complain(ask->world, "an answer that cannot be read", "CreateTopics");
    else if (response.topics[0].error_code == KAFKA_NONE && !ask->validate_only &&
             now->created == ask->before.created)
        world_complain(ask->world, "I34: a topic is said to be created, and was not", ask->topic);
    arena_release(&arena);
}

void random_create_topics(struct world *world)
{
    struct world_broker *to = random_controller(world);
    struct world_ask ask = {.done = created, .key = KEY_CREATE_TOPICS, .version = 4};
    struct create_topics_request request;
    struct create_topics_request_creatable_topic topic;
    struct create_topics_request_creatable_topic_config config = {slice_of("min.insync.replicas"),
                                                                  slice_of("2")};
    struct body body;
    if (to == NULL)
        return;
    random_topic(world, ask.topic);
    create_topics_request_init(&request);
    create_topics_request_creatable_topic_init(&topic);
    topic.name = slice_of(ask.topic);
    topic.num_partitions = 1 + (int32_t)prng_below(&world->prng, 3);
    topic.replication_factor = (int16_t)(1 + prng_below(&world->prng, (uint64_t)world->broker_count));
    topic.configs = &config;
    topic.configs_count = prng_one_in(&world->prng, 8);
    request.topics = &topic;
    request.topics_count = 1;
    request.timeout_ms = prng_one_in(&world->prng, 4) ? 0 : TIMEOUT_MS;
    request.validate_only = ask.validate_only = prng_one_in(&world->prng, 10);
    body_begin(&body);
    create_topics_request_encode(&request, &body.writer, ask.version);
    body_ask(&body, to, &ask);
}

static void deleted(struct world_ask *ask, int16_t error, struct slice body)
{
    struct delete_topics_response response;
    struct byte_reader reader;
    struct arena arena;
    const struct world_tally *now = world_tally(ask->world, slice_of(ask->topic));
    bool asked = ask->deleting || !ask->existed || now->delete_asked > ask->before.delete_asked ||
                 now->deleted > ask->before.deleted;
    if (error != KAFKA_NONE)
        return;
    arena_init(&arena, ARENA_NO_BUDGET);
    reader_init(&reader, body);
    if (delete_topics_response_decode(&response, &reader, ask->version, &arena) != 0 ||
        response.responses_count != 1)
        world_complain(ask->world, "an answer that cannot be read", "DeleteTopics");
    else if (response.responses[0].error_code == KAFKA_NONE && !asked)
        world_complain(ask->world, "I34: a topic is said to be deleted, and was not", ask->topic);
    arena_release(&arena);
}

void random_delete_topics(struct world *world)
{
    struct world_broker *to = random_controller(world);
    struct world_ask ask = {.done = deleted, .key = KEY_DELETE_TOPICS, .version = 4};
    struct delete_topics_request request;
    struct body body;
    if (to == NULL)
        return;
    random_topic(world, ask.topic);
    struct slice name = slice_of(ask.topic);
    delete_topics_request_init(&request);
    request.topic_names = &name;
    request.topic_names_count = 1;
    request.timeout_ms = TIMEOUT_MS;
    body_begin(&body);
    delete_topics_request_encode(&request, &body.writer, ask.version);
    body_ask(&body, to, &ask);
}

void random_create_partitions(struct world *world)
{
    struct world_broker *to = random_controller(world);
    struct world_ask ask = {.key = KEY_CREATE_PARTITIONS, .version = 1};
    struct create_partitions_request request;
    struct create_partitions_request_topic topic;
    struct body body;
    if (to == NULL)
        return;
    create_partitions_request_init(&request);
    create_partitions_request_topic_init(&topic);
    topic.name = slice_of(random_topic(world, ask.topic));
    topic.count = 1 + (int32_t)prng_below(&world->prng, 6);
    request.topics = &topic;
    request.topics_count = 1;
    request.timeout_ms = TIMEOUT_MS;
    request.validate_only = prng_one_in(&world->prng, 10);
    body_begin(&body);
    create_partitions_request_encode(&request, &body.writer, ask.version);
    body_ask(&body, to, &ask);
}

/* ---- moves ---- */

void random_reassign(struct world *world)
{
    struct world_broker *to = random_controller(world);
    struct world_ask ask = {.key = KEY_REASSIGN, .version = 0};
    struct alter_partition_reassignments_request request;
    struct alter_partition_reassignments_request_reassignable_partition partitions[3];
    struct alter_partition_reassignments_request_reassignable_topic topic = {.partitions = partitions};
    int32_t targets[3][WORLD_BROKERS_MAX];
    struct body body;
    if (to == NULL)
        return;
    topic.name = slice_of(random_topic(world, ask.topic));
    topic.partitions_count = 1 + prng_below(&world->prng, 3);
    for (size_t i = 0; i < topic.partitions_count; i++) {
        bool cancel = prng_one_in(&world->prng, 4);
        size_t count = random_brokers(world, targets[i]);
        if (prng_one_in(&world->prng, 20))
            targets[i][0] = 77; /* nobody */
        partitions[i] = (struct alter_partition_reassignments_request_reassignable_partition){
            (int32_t)i, cancel ? NULL : targets[i], cancel ? 0 : count};
    }
    alter_partition_reassignments_request_init(&request);
    request.topics = &topic;
    request.topics_count = 1;
    request.timeout_ms = TIMEOUT_MS;
    body_begin(&body);
    alter_partition_reassignments_request_encode(&request, &body.writer, ask.version);
    body_ask(&body, to, &ask);
}

/* ---- elections ---- */

static void elect(struct world *world, enum elect_type type)
{
    struct world_broker *to = random_controller(world);
    struct world_ask ask = {.key = KEY_ELECT_LEADERS, .version = 1};
    struct elect_leaders_request request;
    int32_t numbers[] = {0, 1, 2};
    struct elect_leaders_request_topic_partitions topic = {.partitions = numbers};
    struct body body;
    if (to == NULL)
        return;
    topic.topic = slice_of(random_topic(world, ask.topic));
    topic.partitions_count = 1 + prng_below(&world->prng, ARRAY_SIZE(numbers));
    elect_leaders_request_init(&request);
    request.election_type = (int8_t)type;
    request.topic_partitions = &topic;
    request.topic_partitions_count = 1;
    request.timeout_ms = TIMEOUT_MS;
    if (type == ELECT_UNCLEAN)
        map_put(world->may_unclean, topic.topic, world);
    body_begin(&body);
    elect_leaders_request_encode(&request, &body.writer, ask.version);
    body_ask(&body, to, &ask);
}

void random_elect_preferred(struct world *world)
{
    elect(world, ELECT_PREFERRED);
}

void random_elect_unclean(struct world *world)
{
    elect(world, ELECT_UNCLEAN);
}
