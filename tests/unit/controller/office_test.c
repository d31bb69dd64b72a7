/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A controller in office, one thing at a time: clients' and brokers' requests, what old tools write, brokers
 * that come and go, messages that are refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/memory.h"
#include "coordinator/zk/node_partition_state.h"
#include "proto/kafka/error.h"
#include "proto/kafka/messages/create_partitions.h"
#include "proto/kafka/messages/create_topics.h"
#include "proto/kafka/messages/delete_topics.h"
#include "tests/unit/controller/answered.h"
#include "tests/unit/controller/world.h"

static struct world *begin(int brokers, struct world_options options)
{
    options.seed = 5;
    options.brokers = brokers;
    struct world *world = world_begin(&options);
    assert_int_equal(controller_gauges(world_controller(world)).brokers, brokers);
    return world;
}

static void end(struct world *world)
{
    assert_true(world_run(world, 20000, world_is_at_rest));
    world_check_converged(world);
    world_free(world);
}

/* ---- clients ---- */

static struct answered *waiting_for;

static bool is_answered(struct world *world)
{
    (void)world;
    return waiting_for->done;
}

static void ask(struct world *world, struct controller *controller, int16_t key, int16_t version,
                const struct buffer *body, struct answered *answered)
{
    *answered = (struct answered){0};
    buffer_init(&answered->body);
    controller_admin(controller, key, version, slice_of("test"), buffer_slice(body), world->now_ms + 30000,
                     (struct controller_admin_respond){on_answer, answered});
    waiting_for = answered;
    assert_true(world_run(world, 31000, is_answered));
}

/* Creates one topic; the result lies in the arena. */
static struct create_topics_response_creatable_topic_result
create(struct world *world, struct arena *arena, int16_t version,
       const struct create_topics_request_creatable_topic *topic, int32_t timeout_ms, bool validate_only)
{
    struct create_topics_request request;
    struct buffer body;
    struct wire_writer writer;
    struct answered answered;
    struct create_topics_response response;
    struct byte_reader reader;
    create_topics_request_init(&request);
    request.topics = (struct create_topics_request_creatable_topic *)topic;
    request.topics_count = 1;
    request.timeout_ms = timeout_ms;
    request.validate_only = validate_only;
    buffer_init(&body);
    wire_writer_init(&writer, &body);
    create_topics_request_encode(&request, &writer, version);
    ask(world, world_controller(world), 19, version, &body, &answered);
    assert_int_equal(answered.error, KAFKA_NONE);
    struct slice copy = arena_copy_slice(arena, buffer_slice(&answered.body));
    reader_init(&reader, copy);
    assert_int_equal(create_topics_response_decode(&response, &reader, version, arena), 0);
    assert_int_equal(response.topics_count, 1);
    wire_writer_release(&writer);
    buffer_release(&body);
    buffer_release(&answered.body);
    return response.topics[0];
}

static struct create_topics_request_creatable_topic topic_of(const char *name, int32_t partitions,
                                                             int16_t factor)
{
    struct create_topics_request_creatable_topic topic;
    create_topics_request_creatable_topic_init(&topic);
    topic.name = slice_of(name);
    topic.num_partitions = partitions;
    topic.replication_factor = factor;
    return topic;
}

static int16_t create_error(struct world *world, struct create_topics_request_creatable_topic topic,
                            bool validate_only)
{
    struct arena arena;
    arena_init(&arena, ARENA_NO_BUDGET);
    int16_t error = create(world, &arena, 7, &topic, 10000, validate_only).error_code;
    arena_release(&arena);
    return error;
}

static int16_t delete_topic(struct world *world, int16_t version, const char *name, const struct uuid *id)
{
    struct delete_topics_request request;
    struct delete_topics_request_delete_topic_state state;
    struct slice names[] = {slice_of(name)};
    struct buffer body;
    struct wire_writer writer;
    struct answered answered;
    struct delete_topics_response response;
    struct byte_reader reader;
    struct arena arena;
    delete_topics_request_init(&request);
    delete_topics_request_delete_topic_state_init(&state);
    state.name = id != NULL ? slice_of(NULL) : slice_of(name);
    state.topic_id = id != NULL ? *id : (struct uuid){{0}};
    request.topic_names = names;
    request.topic_names_count = 1;
    request.topics = &state;
    request.topics_count = 1;
    request.timeout_ms = 10000;
    arena_init(&arena, ARENA_NO_BUDGET);
    buffer_init(&body);
    wire_writer_init(&writer, &body);
    delete_topics_request_encode(&request, &writer, version);
    ask(world, world_controller(world), 20, version, &body, &answered);
    reader_init(&reader, buffer_slice(&answered.body));
    assert_int_equal(delete_topics_response_decode(&response, &reader, version, &arena), 0);
    int16_t error = response.responses[0].error_code;
    wire_writer_release(&writer);
    buffer_release(&body);
    buffer_release(&answered.body);
    arena_release(&arena);
    return error;
}

static int16_t grow(struct world *world, int16_t version, const char *name, int32_t count, bool validate_only)
{
    struct create_partitions_request request;
    struct create_partitions_request_topic topic;
    struct buffer body;
    struct wire_writer writer;
    struct answered answered;
    struct create_partitions_response response;
    struct byte_reader reader;
    struct arena arena;
    create_partitions_request_init(&request);
    create_partitions_request_topic_init(&topic);
    topic.name = slice_of(name);
    topic.count = count;
    topic.assignments = NULL;
    request.topics = &topic;
    request.topics_count = 1;
    request.timeout_ms = 10000;
    request.validate_only = validate_only;
    arena_init(&arena, ARENA_NO_BUDGET);
    buffer_init(&body);
    wire_writer_init(&writer, &body);
    create_partitions_request_encode(&request, &writer, version);
    ask(world, world_controller(world), 37, version, &body, &answered);
    reader_init(&reader, buffer_slice(&answered.body));
    assert_int_equal(create_partitions_response_decode(&response, &reader, version, &arena), 0);
    int16_t error = response.results[0].error_code;
    wire_writer_release(&writer);
    buffer_release(&body);
    buffer_release(&answered.body);
    arena_release(&arena);
    return error;
}

/* Every version creates, and by the time of the answer every broker knows the leaders. */
static void create_in_all_versions(void **state)
{
    (void)state;
    struct world *world = begin(3, (struct world_options){0});
    for (int16_t version = 0; version <= 7; version++) {
        char name[16];
        struct arena arena;
        arena_init(&arena, ARENA_NO_BUDGET);
        snprintf(name, sizeof(name), "topic-%d", version);
        struct create_topics_request_creatable_topic topic = topic_of(name, 4, 3);
        struct create_topics_request_creatable_topic_config config = {slice_of("retention.ms"),
                                                                      slice_of("1000")};
        topic.configs = &config;
        topic.configs_count = 1;
        struct create_topics_response_creatable_topic_result result =
            create(world, &arena, version, &topic, 10000, false);
        assert_int_equal(result.error_code, KAFKA_NONE);
        for (int b = 0; b < 3; b++)
            for (int32_t p = 0; p < 4; p++)
                assert_true(world_find(world->brokers[b].metadata, name, p)->leader > 0);
        if (version >= 5) {
            assert_int_equal(result.num_partitions, 4);
            assert_int_equal(result.replication_factor, 3);
            assert_int_equal(result.configs_count, 1);
        }
        if (version >= 7)
            assert_false(uuid_is_zero(result.topic_id));
        arena_release(&arena);
    }
    end(world);
}

static void create_refused(void **state)
{
    (void)state;
    struct world *world = begin(2, (struct world_options){0});
    assert_int_equal(create_error(world, topic_of("a.b", 1, 1), false), KAFKA_NONE);
    assert_int_equal(create_error(world, topic_of("a.b", 1, 1), false), KAFKA_TOPIC_ALREADY_EXISTS);
    assert_int_equal(create_error(world, topic_of("a_b", 1, 1), false), KAFKA_INVALID_TOPIC_EXCEPTION);
    assert_int_equal(create_error(world, topic_of("..", 1, 1), false), KAFKA_INVALID_TOPIC_EXCEPTION);
    assert_int_equal(create_error(world, topic_of("c", 0, 1), false), KAFKA_INVALID_PARTITIONS);
    assert_int_equal(create_error(world, topic_of("c", 1, 0), false), KAFKA_INVALID_REPLICATION_FACTOR);
    assert_int_equal(create_error(world, topic_of("c", 1, 3), false), KAFKA_INVALID_REPLICATION_FACTOR);
    int32_t ids[] = {2, 1, 2};
    struct create_topics_request_creatable_replica_assignment assignments[] = {{0, ids, 2}, {1, ids, 3}};
    struct create_topics_request_creatable_topic topic = topic_of("c", 1, 1);
    topic.assignments = assignments;
    topic.assignments_count = 1;
    assert_int_equal(create_error(world, topic, false), KAFKA_INVALID_REQUEST);
    topic.num_partitions = topic.replication_factor = -1;
    topic.assignments_count = 2;
    assert_int_equal(create_error(world, topic, false), KAFKA_INVALID_REPLICA_ASSIGNMENT);
    assignments[1] = (struct create_topics_request_creatable_replica_assignment){2, ids, 2};
    assert_int_equal(create_error(world, topic, false), KAFKA_INVALID_REPLICA_ASSIGNMENT);
    struct create_topics_request_creatable_topic_config config = {slice_of("no.such.setting"), slice_of("1")};
    topic.assignments_count = 1;
    topic.configs = &config;
    topic.configs_count = 1;
    assert_int_equal(create_error(world, topic, false), KAFKA_INVALID_CONFIG);
    config.name = slice_of("retention.ms");
    assert_int_equal(create_error(world, topic, true), KAFKA_NONE);
    assert_false(fake_zookeeper_read(world->zookeeper, "/brokers/topics/c", NULL, NULL));
    assert_int_equal(create_error(world, topic, false), KAFKA_NONE);
    assert_int_equal(world_find(world->brokers[0].metadata, "c", 0)->leader, 2);
    end(world);
}

static void defaults_and_timeouts(void **state)
{
    (void)state;
    struct arena arena;
    struct world *world = begin(2, (struct world_options){0});
    arena_init(&arena, ARENA_NO_BUDGET);
    struct create_topics_request_creatable_topic topic = topic_of("d", -1, -1);
    struct create_topics_response_creatable_topic_result result =
        create(world, &arena, 6, &topic, 10000, false);
    assert_int_equal(result.num_partitions, 2);
    assert_int_equal(result.replication_factor, 1);
    topic.name = slice_of("e"); /* no time to wait: timed out, and made all the same */
    assert_int_equal(create(world, &arena, 6, &topic, 0, false).error_code, KAFKA_REQUEST_TIMED_OUT);
    assert_true(world_run(world, 10000, world_is_at_rest));
    assert_non_null(world_find(world->brokers[0].metadata, "e", 1));
    arena_release(&arena);
    end(world);
}

static void i35_delete_and_create_again(void **state)
{
    (void)state;
    struct world *world = begin(3, (struct world_options){0});
    for (int16_t version = 0; version <= 6; version++) {
        assert_int_equal(create_error(world, topic_of("t", 3, 2), false), KAFKA_NONE);
        struct uuid id = world_find(world->brokers[0].metadata, "t", 0)->topic_id;
        assert_int_equal(delete_topic(world, version, "t", version == 6 ? &id : NULL), KAFKA_NONE);
        for (int b = 0; b < 3; b++) {
            assert_null(world_find(world->brokers[b].metadata, "t", 0));
            assert_int_equal(map_size(world->brokers[b].replicas), 0);
        }
        assert_false(fake_zookeeper_read(world->zookeeper, "/config/topics/t", NULL, NULL));
        assert_false(fake_zookeeper_read(world->zookeeper, "/admin/delete_topics/t", NULL, NULL));
    }
    assert_int_equal(delete_topic(world, 4, "t", NULL), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    struct uuid nobody = {{9}};
    assert_int_equal(delete_topic(world, 6, NULL, &nobody), KAFKA_UNKNOWN_TOPIC_ID);
    end(world);
}

static void i36_deletion_waits_for_dead_broker(void **state)
{
    (void)state;
    struct world *world = begin(3, (struct world_options){0});
    assert_int_equal(create_error(world, topic_of("t", 3, 2), false), KAFKA_NONE);
    int32_t victim = world_controller_broker(world)->id % 3 + 1;
    world_kill(world, victim);
    assert_true(world_run(world, 20000, world_is_at_rest));
    assert_int_equal(delete_topic(world, 3, "t", NULL), KAFKA_NONE);
    assert_int_equal(create_error(world, topic_of("t", 3, 2), false), KAFKA_TOPIC_ALREADY_EXISTS);
    assert_true(fake_zookeeper_read(world->zookeeper, "/brokers/topics/t", NULL, NULL));
    assert_true(map_size(world->brokers[victim - 1].replicas) > 0);
    world_start(world, victim);
    assert_true(world_run(world, 20000, world_is_at_rest));
    assert_false(fake_zookeeper_read(world->zookeeper, "/brokers/topics/t", NULL, NULL));
    assert_int_equal(map_size(world->brokers[victim - 1].replicas), 0);
    end(world);
}

static void more_partitions(void **state)
{
    (void)state;
    struct world *world = begin(3, (struct world_options){0});
    assert_int_equal(create_error(world, topic_of("t", 2, 2), false), KAFKA_NONE);
    assert_int_equal(grow(world, 0, "t", 4, true), KAFKA_NONE);
    assert_null(world_find(world->brokers[0].metadata, "t", 3));
    for (int16_t version = 0; version <= 3; version++) {
        assert_int_equal(grow(world, version, "t", 4 + version, false), KAFKA_NONE);
        assert_true(world_find(world->brokers[0].metadata, "t", 3 + version)->leader > 0);
    }
    assert_int_equal(grow(world, 3, "t", 7, false), KAFKA_INVALID_PARTITIONS);
    assert_int_equal(grow(world, 3, "t", 3, false), KAFKA_INVALID_PARTITIONS);
    assert_int_equal(grow(world, 3, "u", 3, false), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    end(world);
}

static void not_in_office(void **state)
{
    (void)state;
    struct world *world = begin(2, (struct world_options){0});
    struct buffer body;
    struct answered answered;
    buffer_init(&body);
    struct world_broker *other = &world->brokers[world_controller_broker(world)->id % 2];
    ask(world, other->controller, 19, 5, &body, &answered);
    assert_int_equal(answered.error, KAFKA_NOT_CONTROLLER);
    ask(world, world_controller(world), 19, 5, &body, &answered);
    assert_int_equal(answered.error, KAFKA_INVALID_REQUEST);
    assert_true(controller_admin_serves(37));
    assert_false(controller_admin_serves(3));
    end(world);
}

/* ---- brokers ---- */

struct control_answered {
    int count;
    int16_t error;
    int64_t first;
    int32_t remaining;
};

static void on_control_answer(void *context, const struct control_answer *answer)
{
    struct control_answered *answered = context;
    answered->count++;
    if (answer->kind == CONTROL_ALLOCATE_PRODUCER_IDS) {
        answered->error = answer->allocate_producer_ids.error;
        answered->first = answer->allocate_producer_ids.first;
    } else {
        answered->error = answer->controlled_shutdown.error;
        answered->remaining = answer->controlled_shutdown.partitions_remaining;
    }
}

static bool at_rest_now(struct world *world)
{
    return world_is_at_rest(world);
}

/* No block twice, whatever answers are lost (I56). */
static void producer_ids(void **state)
{
    (void)state;
    struct world *world = begin(1, (struct world_options){0});
    fake_zookeeper_set_faults(world->zookeeper, 3, 0);
    int64_t last = -1;
    for (int i = 0; i < 30; i++) {
        struct control_answered answered = {0};
        struct control_request request = {.kind = CONTROL_ALLOCATE_PRODUCER_IDS,
                                          .allocate_producer_ids = {1, world->brokers[0].epoch}};
        controller_handle(world_controller(world), &request, INT64_MAX,
                          (struct controller_respond){on_control_answer, &answered});
        assert_true(world_run(world, 10000, at_rest_now));
        assert_int_equal(answered.count, 1);
        assert_int_equal(answered.error, KAFKA_NONE);
        assert_true(answered.first > last);
        assert_int_equal(answered.first % 1000, 0);
        last = answered.first;
    }
    struct control_answered answered = {0};
    struct control_request request = {.kind = CONTROL_ALLOCATE_PRODUCER_IDS,
                                      .allocate_producer_ids = {1, world->brokers[0].epoch - 1}};
    controller_handle(world_controller(world), &request, INT64_MAX,
                      (struct controller_respond){on_control_answer, &answered});
    assert_int_equal(answered.error, KAFKA_STALE_BROKER_EPOCH);
    end(world);
}

struct departure {
    struct control_answered answered;
    struct world *world;
    int32_t leaving;
};

/* Whoever leaves may go: everybody has been told who leads instead, and the heirs know it themselves. */
static void on_departure(void *context, const struct control_answer *answer)
{
    struct departure *departure = context;
    on_control_answer(&departure->answered, answer);
    for (int32_t p = 0; p < 6; p++) {
        int32_t leader = -1;
        for (int32_t id = 1; id <= 3; id++) {
            const struct world_broker *broker = &departure->world->brokers[id - 1];
            leader = world_find(broker->metadata, "t", p)->leader;
            assert_int_not_equal(leader, departure->leaving);
        }
        assert_int_equal(world_find(departure->world->brokers[leader - 1].replicas, "t", p)->leader, leader);
    }
}

static void a_shutdown_is_answered_when_all_are_told(void **state)
{
    (void)state;
    struct world *world = begin(3, (struct world_options){0});
    assert_int_equal(create_error(world, topic_of("t", 6, 2), false), KAFKA_NONE);
    struct departure departure = {.world = world,
                                  .leaving = world->brokers[world_controller_broker(world)->id % 3].id};
    struct world_broker *leaving = &world->brokers[departure.leaving - 1];
    struct control_request request = {.kind = CONTROL_CONTROLLED_SHUTDOWN,
                                      .controlled_shutdown = {leaving->id, leaving->epoch}};
    controller_handle(world_controller(world), &request, INT64_MAX,
                      (struct controller_respond){on_departure, &departure});
    assert_true(world_run(world, 20000, world_is_at_rest));
    assert_int_equal(departure.answered.count, 1);
    assert_int_equal(departure.answered.remaining, 0);
    end(world);
}

static void controlled_shutdown(void **state)
{
    (void)state;
    struct world *world = begin(3, (struct world_options){0});
    assert_int_equal(create_error(world, topic_of("t", 6, 2), false), KAFKA_NONE);
    assert_int_equal(create_error(world, topic_of("alone", 6, 1), false), KAFKA_NONE);
    struct world_broker *leaving = &world->brokers[world_controller_broker(world)->id % 3];
    struct control_answered answered = {0};
    struct control_request request = {.kind = CONTROL_CONTROLLED_SHUTDOWN,
                                      .controlled_shutdown = {leaving->id, leaving->epoch}};
    controller_handle(world_controller(world), &request, INT64_MAX,
                      (struct controller_respond){on_control_answer, &answered});
    assert_true(world_run(world, 20000, world_is_at_rest));
    assert_int_equal(answered.count, 1);
    assert_int_equal(answered.error, KAFKA_NONE);
    assert_int_equal(answered.remaining, 0);
    for (int32_t p = 0; p < 6; p++)
        assert_true(world_find(world->brokers[0].metadata, "t", p)->leader != leaving->id);
    world_kill(world, leaving->id);
    assert_true(world_run(world, 20000, world_is_at_rest));
    world_start(world, leaving->id);
    end(world);
}

static int refusals_left;

static int16_t refuse_some(struct world *world, int32_t broker, enum control_kind kind)
{
    (void)world;
    (void)broker;
    if (kind != CONTROL_LEADER_AND_ISR || refusals_left == 0)
        return KAFKA_NONE;
    refusals_left--;
    return KAFKA_UNKNOWN_SERVER_ERROR;
}

/* A message that is refused or lost is said again until it is taken (I33). */
static void i33_repeated_until_answered(void **state)
{
    (void)state;
    refusals_left = 7;
    struct world *world = begin(3, (struct world_options){.refuse = refuse_some});
    assert_int_equal(create_error(world, topic_of("t", 6, 3), false), KAFKA_NONE);
    assert_true(world_run(world, 10000, world_is_at_rest));
    assert_int_equal(refusals_left, 0);
    world->lose_message_one_in = 6;
    assert_int_equal(create_error(world, topic_of("u", 6, 3), false), KAFKA_NONE);
    world->lose_message_one_in = 0;
    end(world);
}

/* ---- old tools ---- */

static void old_form_keeps_id(void **state)
{
    (void)state;
    struct world *world = begin(2, (struct world_options){0});
    assert_int_equal(create_error(world, topic_of("t", 2, 2), false), KAFKA_NONE);
    struct uuid id = world_find(world->brokers[0].metadata, "t", 0)->topic_id;
    fake_zookeeper_put(world->zookeeper, "/brokers/topics/t",
                       slice_of("{\"version\":1,\"partitions\":{\"0\":[1,2],\"1\":[2,1],\"2\":[1,2]}}"));
    assert_true(world_run(world, 10000, world_is_at_rest));
    assert_true(uuid_equals(world_find(world->brokers[0].metadata, "t", 2)->topic_id, id));
    /* fewer partitions than there were: put back */
    fake_zookeeper_put(world->zookeeper, "/brokers/topics/t",
                       slice_of("{\"version\":1,\"partitions\":{\"0\":[1,2]}}"));
    assert_true(world_run(world, 10000, world_is_at_rest));
    struct slice data;
    struct node_topic node;
    assert_true(fake_zookeeper_read(world->zookeeper, "/brokers/topics/t", &data, NULL));
    assert_int_equal(node_topic_decode(data, &node, NULL), 0);
    assert_int_equal(node.partition_count, 3);
    assert_true(uuid_equals(node.topic_id, id));
    node_topic_release(&node);
    end(world);
}

static void garbage_is_skipped(void **state)
{
    (void)state;
    struct world *world = begin(2, (struct world_options){0});
    static const char *const texts[] = {"",
                                        "null",
                                        "{",
                                        "[]",
                                        "{\"version\":3}",
                                        "{\"partitions\":7}",
                                        "{\"version\":1,\"partitions\":{\"x\":[1]}}"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        char path[64];
        snprintf(path, sizeof(path), "/brokers/topics/garbage-%zu", i);
        fake_zookeeper_put(world->zookeeper, path, slice_of(texts[i]));
    }
    fake_zookeeper_put(world->zookeeper, "/brokers/topics/not legal", slice_of("{}"));
    fake_zookeeper_put(world->zookeeper, "/brokers/ids/77", slice_of("nobody"));
    fake_zookeeper_put(world->zookeeper, "/brokers/ids/seven", slice_of("nobody"));
    fake_zookeeper_put(world->zookeeper, "/config/changes/config_change_0000000000", slice_of("?"));
    assert_int_equal(create_error(world, topic_of("t", 2, 2), false), KAFKA_NONE);
    fake_zookeeper_put(world->zookeeper, "/brokers/topics/t/partitions/1/state", slice_of("{\"isr\":[]}"));
    world_kill(world, world_controller_broker(world)->id);
    assert_true(world_run(world, 20000, world_is_at_rest));
    assert_int_equal(create_error(world, topic_of("u", 2, 1), false), KAFKA_NONE);
    world_free(world);
}

static bool never(struct world *world)
{
    (void)world;
    return false;
}

static void settings_reach_brokers(void **state)
{
    (void)state;
    struct world *world = begin(2, (struct world_options){0});
    assert_int_equal(create_error(world, topic_of("t", 1, 2), false), KAFKA_NONE);
    uint32_t before = world->brokers[0].metadata_accepted;
    fake_zookeeper_put(world->zookeeper, "/config/topics/t",
                       slice_of("{\"version\":1,\"config\":{\"retention.ms\":\"7\"}}"));
    fake_zookeeper_put(world->zookeeper, "/config/changes/config_change_0000000003",
                       slice_of("{\"version\":2,\"entity_path\":\"topics/t\"}"));
    assert_true(world_run(world, 10000, world_is_at_rest));
    assert_int_equal(world->brokers[0].metadata_accepted, before + 1);
    /* the notification goes when everybody has had time to see it */
    world_run(world, 17 * 60 * 1000, never);
    assert_false(
        fake_zookeeper_read(world->zookeeper, "/config/changes/config_change_0000000003", NULL, NULL));
    end(world);
}

static bool other_in_office(struct world *world)
{
    return world_controller(world) != NULL;
}

/* The controller follows what ZooKeeper says, even when somebody removes its node by hand. */
static void i13_office_changes_hands(void **state)
{
    (void)state;
    struct world *world = begin(3, (struct world_options){0});
    assert_int_equal(create_error(world, topic_of("t", 3, 3), false), KAFKA_NONE);
    for (int i = 0; i < 5; i++) {
        int32_t epoch = controller_epoch(world_controller(world));
        fake_zookeeper_remove(world->zookeeper, "/controller");
        assert_true(world_run(world, 20000, world_is_at_rest));
        assert_int_equal(controller_epoch(world_controller(world)), epoch + 1);
    }
    struct world_broker *stopping = world_controller_broker(world);
    int64_t before_ms = world->now_ms;
    controller_stop(stopping->controller);
    assert_int_equal(controller_current(stopping->controller), -1);
    assert_true(world_run(world, 20000, other_in_office));
    assert_true(world->now_ms - before_ms < 1000); /* nobody waits for the session to end */
    world_kill(world, stopping->id);
    end(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(create_in_all_versions),
        cmocka_unit_test(create_refused),
        cmocka_unit_test(defaults_and_timeouts),
        cmocka_unit_test(i35_delete_and_create_again),
        cmocka_unit_test(i36_deletion_waits_for_dead_broker),
        cmocka_unit_test(more_partitions),
        cmocka_unit_test(not_in_office),
        cmocka_unit_test(producer_ids),
        cmocka_unit_test(controlled_shutdown),
        cmocka_unit_test(a_shutdown_is_answered_when_all_are_told),
        cmocka_unit_test(i33_repeated_until_answered),
        cmocka_unit_test(old_form_keeps_id),
        cmocka_unit_test(garbage_is_skipped),
        cmocka_unit_test(settings_reach_brokers),
        cmocka_unit_test(i13_office_changes_hands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
