/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A controller in office among troublemakers: requests without measure, znodes that nobody can read, brokers
 * whose disks fail or that answer nothing. It must neither stop, nor turn in a circle, nor keep others
 * waiting.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/memory.h"
#include "coordinator/controller/push.h"
#include "coordinator/controller/shell.h"
#include "coordinator/zk/node_partition_state.h"
#include "proto/kafka/error.h"
#include "proto/kafka/messages/create_partitions.h"
#include "proto/kafka/messages/create_topics.h"
#include "tests/unit/controller/cluster_image.h"
#include "tests/unit/controller/world.h"

#define VERSION 5

static struct world *begin(int brokers, struct world_options options)
{
    options.seed = 7;
    options.brokers = brokers;
    struct world *world = world_new(&options);
    for (int i = 1; i <= brokers; i++)
        world_start(world, i);
    assert_true(world_run(world, 10000, world_is_at_rest));
    return world;
}

static bool never(struct world *world)
{
    (void)world;
    return false;
}

struct answered {
    bool done;
    size_t count;
    int16_t errors[16];
};

static struct answered answered;

static bool is_answered(struct world *world)
{
    (void)world;
    return answered.done;
}

static void on_created(void *context, int16_t error, struct slice body)
{
    (void)context;
    struct arena arena;
    struct create_topics_response response;
    struct byte_reader reader;
    assert_int_equal(error, KAFKA_NONE);
    arena_init(&arena, ARENA_NO_BUDGET);
    reader_init(&reader, body);
    assert_int_equal(create_topics_response_decode(&response, &reader, VERSION, &arena), 0);
    answered.done = true;
    answered.count = response.topics_count;
    for (size_t i = 0; i < response.topics_count && i < ARRAY_SIZE(answered.errors); i++)
        answered.errors[i] = response.topics[i].error_code;
    arena_release(&arena);
}

/* Returns the error of the first. */
static int16_t create(struct world *world, struct create_topics_request_creatable_topic *topics, size_t count)
{
    struct create_topics_request request;
    struct buffer body;
    struct wire_writer writer;
    create_topics_request_init(&request);
    request.topics = topics;
    request.topics_count = count;
    request.timeout_ms = 5000;
    buffer_init(&body);
    wire_writer_init(&writer, &body);
    create_topics_request_encode(&request, &writer, VERSION);
    answered = (struct answered){0};
    controller_admin(world_controller(world), 19, VERSION, slice_of("test"), buffer_slice(&body),
                     world->now_ms + 5000, (struct controller_admin_respond){on_created, NULL});
    wire_writer_release(&writer);
    buffer_release(&body);
    assert_true(world_run(world, 6000, is_answered));
    assert_int_equal(answered.count, count);
    return answered.errors[0];
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

static int16_t create_one(struct world *world, const char *name, int32_t partitions, int16_t factor)
{
    struct create_topics_request_creatable_topic topic = topic_of(name, partitions, factor);
    return create(world, &topic, 1);
}

/* `partitions` assignments by hand, each to brokers 1 to `replicas`. */
static int16_t create_by_hand(struct world *world, size_t partitions, size_t replicas)
{
    int32_t *ids = memory_allocate(replicas * sizeof(*ids));
    for (size_t i = 0; i < replicas; i++)
        ids[i] = (int32_t)i + 1;
    struct create_topics_request_creatable_replica_assignment *assignments =
        memory_allocate(partitions * sizeof(*assignments));
    for (size_t i = 0; i < partitions; i++)
        assignments[i] =
            (struct create_topics_request_creatable_replica_assignment){(int32_t)i, ids, replicas};
    struct create_topics_request_creatable_topic topic = topic_of("by-hand", -1, -1);
    topic.assignments = assignments;
    topic.assignments_count = partitions;
    int16_t error = create(world, &topic, 1);
    free(assignments);
    free(ids);
    return error;
}

static void requests_without_measure(void **state)
{
    (void)state;
    struct world *world = begin(2, (struct world_options){0});
    assert_int_equal(create_by_hand(world, NODE_TOPIC_PARTITIONS_MAX + 1, 1),
                     KAFKA_INVALID_REPLICA_ASSIGNMENT);
    assert_int_equal(create_by_hand(world, 1, NODE_REPLICAS_MAX + 1), KAFKA_INVALID_REPLICA_ASSIGNMENT);
    assert_int_equal(create_by_hand(world, NODE_TOPIC_PARTITIONS_MAX, 1), KAFKA_INVALID_PARTITIONS);
    assert_int_equal(create_one(world, "t", NODE_TOPIC_PARTITIONS_MAX + 1, 1), KAFKA_INVALID_PARTITIONS);
    assert_int_equal(create_one(world, "t", NODE_TOPIC_PARTITIONS_MAX, INT16_MAX),
                     KAFKA_INVALID_REPLICATION_FACTOR);
    struct create_topics_request_creatable_topic twice[] = {topic_of("a", 1, 1), topic_of("b", 1, 1),
                                                            topic_of("a", 2, 1)};
    assert_int_equal(create(world, twice, 3), KAFKA_INVALID_REQUEST);
    assert_int_equal(answered.errors[1], KAFKA_NONE);
    assert_int_equal(answered.errors[2], KAFKA_INVALID_REQUEST);
    assert_true(world_run(world, 1000, world_is_at_rest));
    world_free(world);
}

static void many_topics_at_once(void **state)
{
    (void)state;
    enum { COUNT = 300 };
    struct world *world = begin(3, (struct world_options){0});
    struct create_topics_request_creatable_topic topics[COUNT];
    char names[COUNT][8];
    for (size_t i = 0; i < COUNT; i++) {
        names[i][0] = (char)('a' + i / 100);
        names[i][1] = (char)('0' + i / 10 % 10);
        names[i][2] = (char)('0' + i % 10);
        names[i][3] = '\0';
        topics[i] = topic_of(names[i], 1, 3);
    }
    assert_int_equal(create(world, topics, COUNT), KAFKA_NONE);
    for (size_t i = 0; i < COUNT; i++)
        assert_true(world_find(world->brokers[2].metadata, names[i], 0)->leader > 0);
    assert_true(world_run(world, 1000, world_is_at_rest));
    world_check_converged(world);
    world_free(world);
}

static void on_grown(void *context, int16_t error, struct slice body)
{
    (void)context;
    (void)body;
    assert_int_equal(error, KAFKA_NONE);
    answered.done = true;
}

/* A topic's node that is there and cannot be read keeps no request going. */
static void garbage_in_place_of_topic(void **state)
{
    (void)state;
    struct world *world = begin(2, (struct world_options){0});
    fake_zookeeper_put(world->zookeeper, "/brokers/topics/bad", slice_of("garbage"));
    assert_int_equal(create_one(world, "bad", 1, 1), KAFKA_TOPIC_ALREADY_EXISTS);
    assert_true(world_run(world, 2000, world_is_at_rest));

    assert_int_equal(create_one(world, "good", 1, 1), KAFKA_NONE);
    fake_zookeeper_put(world->zookeeper, "/brokers/topics/good", slice_of("garbage"));
    assert_true(world_run(world, 2000, world_is_at_rest));
    struct create_partitions_request request;
    struct create_partitions_request_topic topic;
    struct buffer body;
    struct wire_writer writer;
    create_partitions_request_init(&request);
    create_partitions_request_topic_init(&topic);
    topic.name = slice_of("good");
    topic.count = 2;
    topic.assignments = NULL;
    request.topics = &topic;
    request.topics_count = 1;
    request.timeout_ms = 1000;
    buffer_init(&body);
    wire_writer_init(&writer, &body);
    create_partitions_request_encode(&request, &writer, 1);
    answered = (struct answered){0};
    controller_admin(world_controller(world), 37, 1, slice_of("test"), buffer_slice(&body),
                     world->now_ms + 5000, (struct controller_admin_respond){on_grown, NULL});
    wire_writer_release(&writer);
    buffer_release(&body);
    assert_true(world_run(world, 6000, is_answered));
    assert_true(world_run(world, 2000, world_is_at_rest));
    world_free(world);
}

static const char state_path[] = "/brokers/topics/t/partitions/0/state";

static struct world_broker *leader_of(struct world *world)
{
    for (int i = 0; i < world->broker_count; i++) {
        const struct world_replica *replica = world_find(world->brokers[i].replicas, "t", 0);
        if (replica != NULL && replica->leader == world->brokers[i].id)
            return &world->brokers[i];
    }
    fail();
    return NULL;
}

static void garbage_in_place_of_state(void **state)
{
    (void)state;
    struct world *world = begin(3, (struct world_options){0});
    assert_int_equal(create_one(world, "t", 1, 3), KAFKA_NONE);
    assert_true(world_run(world, 1000, world_is_at_rest));
    struct world_broker *leader = leader_of(world);
    struct world_replica *replica = world_find(leader->replicas, "t", 0);
    fake_zookeeper_put(world->zookeeper, state_path, slice_of("garbage"));
    world_propose(world, leader, replica, replica->isr, replica->isr_count - 1);
    assert_true(world_run(world, 2000, world_is_at_rest));
    replica = world_find(leader->replicas, "t", 0);
    world_propose(world, leader, replica, replica->isr, replica->isr_count - 1);
    assert_true(world_run(world, 2000, world_is_at_rest));
    assert_int_equal(leader->last_proposal_error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    world_free(world);
}

/* A state removed by hand comes back in a later leader epoch, with the same leader and members. */
static void i35_state_removed(void **state)
{
    (void)state;
    struct world *world = begin(3, (struct world_options){0});
    assert_int_equal(create_one(world, "t", 1, 3), KAFKA_NONE);
    assert_true(world_run(world, 1000, world_is_at_rest));
    struct world_broker *leader = leader_of(world);
    struct world_replica *replica = world_find(leader->replicas, "t", 0);
    int32_t epoch = replica->leader_epoch;
    struct isr_member alone = {leader->id, leader->epoch};
    world_propose(world, leader, replica, &alone, 1);
    assert_true(world_run(world, 2000, world_is_at_rest));
    fake_zookeeper_remove(world->zookeeper, state_path);
    replica = world_find(leader->replicas, "t", 0);
    const struct world_broker *other = &world->brokers[leader->id == 1 ? 1 : 0];
    struct isr_member both[] = {alone, {other->id, other->epoch}};
    world_propose(world, leader, replica, both, 1);
    world_propose(world, leader, replica, both, 2);
    assert_true(world_run(world, 2000, world_is_at_rest));
    struct slice data;
    struct node_partition_state node;
    assert_true(fake_zookeeper_read(world->zookeeper, state_path, &data, NULL));
    assert_int_equal(node_partition_state_decode(data, &node, NULL), 0);
    assert_int_equal(node.leader, leader->id);
    assert_int_equal(node.leader_epoch, epoch + 1);
    assert_int_equal(node.isr_count, 1);
    node_partition_state_release(&node);
    assert_int_equal(world_find(leader->replicas, "t", 0)->leader_epoch, epoch + 1);
    world_free(world);
}

static bool disk_is_full;

static int16_t refuse_on_disk(struct world *world, int32_t broker, struct slice topic, int32_t partition)
{
    (void)world;
    return disk_is_full && broker == 2 && slice_is(topic, "t") && partition == 1 ? KAFKA_KAFKA_STORAGE_ERROR
                                                                                 : KAFKA_NONE;
}

/* One partition on a bad disk is told again, alone, more and more rarely; nobody else waits for it. */
static void disk_of_broker_is_full(void **state)
{
    (void)state;
    disk_is_full = true;
    struct world *world = begin(2, (struct world_options){.refuse_partition = refuse_on_disk});
    assert_int_equal(create_one(world, "t", 3, 2), KAFKA_NONE);
    uint32_t before = world->brokers[1].leader_and_isr_accepted;
    uint32_t others = world->brokers[1].metadata_accepted;
    world_run(world, 60000, never);
    assert_in_range(world->brokers[1].leader_and_isr_accepted - before, 5, 12);
    assert_true(world->brokers[1].metadata_accepted - others < 15);
    assert_null(world_find(world->brokers[1].replicas, "t", 1));
    assert_int_equal(create_one(world, "u", 3, 2), KAFKA_NONE);
    disk_is_full = false;
    assert_true(world_run(world, 61000, world_is_at_rest));
    assert_non_null(world_find(world->brokers[1].replicas, "t", 1));
    world_check_converged(world);
    world_free(world);
}

static bool is_deaf;

static int16_t refuse_all(struct world *world, int32_t broker, enum control_kind kind)
{
    (void)kind;
    return is_deaf && broker != world_controller_broker(world)->id ? KAFKA_UNKNOWN_SERVER_ERROR : KAFKA_NONE;
}

/* Nobody's request times out because a broker does not take messages. */
static void broker_is_deaf(void **state)
{
    (void)state;
    is_deaf = false;
    struct world *world = begin(2, (struct world_options){.refuse = refuse_all});
    is_deaf = true;
    assert_int_equal(create_one(world, "t", 3, 2), KAFKA_NONE);
    assert_int_equal(create_one(world, "u", 3, 2), KAFKA_NONE);
    is_deaf = false;
    assert_true(world_run(world, 10000, world_is_at_rest));
    world_check_converged(world);
    world_free(world);
}

/* However many changes keep coming: replicas of a deleted topic are removed once the broker knows. */
static void deletion_goes_between_changes(void **state)
{
    (void)state;
    struct image image;
    struct push_channel channel;
    int32_t replicas[] = {1};
    image_init(&image);
    cluster_add_broker(&image, 1, 10, 10, NULL);
    struct image_partition *partition = cluster_add_topic(&image, replicas, 1);
    image_begin_deletion(&image, partition->topic);
    push_channel_init(&channel, 1, 10);
    channel.full = false;
    cluster_add_broker(&image, 2, 20, 20, NULL);
    assert_int_equal(push_next(&image, &channel), CONTROL_UPDATE_METADATA);
    channel.metadata_told = partition->topic->deletion_sequence;
    assert_int_equal(push_next(&image, &channel), CONTROL_STOP_REPLICA);
    channel.stop_held = true;
    assert_int_equal(push_next(&image, &channel), CONTROL_UPDATE_METADATA);
    channel.stop_held = false;
    push_note_deleted(partition, 1);
    assert_int_equal(push_next(&image, &channel), CONTROL_UPDATE_METADATA);
    image_release(&image);
}

/* However many leaders are still to be told: clients find those that have been. */
static void metadata_goes_between_leaders(void **state)
{
    (void)state;
    struct image image;
    struct push_channel channel;
    struct arena arena;
    struct control_request request;
    int32_t replicas[] = {1};
    int64_t epochs[] = {10};
    arena_init(&arena, ARENA_NO_BUDGET);
    image_init(&image);
    cluster_add_broker(&image, 1, 10, 10, NULL);
    struct image_partition *partition = cluster_add_topic(&image, replicas, 1);
    cluster_set_state(&image, partition, 1, 0, replicas, epochs, 1, 0);
    image_clear_dirty(partition);
    push_channel_init(&channel, 1, 10);
    static const enum control_kind order[] = {CONTROL_UPDATE_METADATA, CONTROL_LEADER_AND_ISR,
                                              CONTROL_UPDATE_METADATA, CONTROL_LEADER_AND_ISR,
                                              CONTROL_UPDATE_METADATA, CONTROL_NONE};
    for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
        assert_int_equal(push_next(&image, &channel), order[i]);
        if (order[i] == CONTROL_NONE)
            break;
        push_build(&image, &channel, order[i], 1, 1, &arena, &request);
        if (i < 3) { /* while the message is on its way the leader changes again */
            cluster_set_state(&image, partition, 1, (int32_t)i + 1, replicas, epochs, 1, (int32_t)i + 1);
            image_clear_dirty(partition);
        }
        push_succeeded(&channel);
    }
    image_release(&image);
    arena_release(&arena);
}

static bool sees_request(struct world *world)
{
    return shell_is_being_deleted(world_controller(world), slice_of("t"));
}

/* The list of requests may be older than the end of the last deletion of that name. A look at the request
 * that has no answer has not seen it: nobody deletes the topic that is there now (I38). */
static void i38_a_deletion_begins_when_its_request_was_seen(void **state)
{
    (void)state;
    for (int steps = 0; steps < 12; steps++) {
        struct world *world = begin(3, (struct world_options){0});
        world_put_topic(world, "t", 2, 3);
        assert_true(world_run(world, 10000, world_is_at_rest));
        fake_zookeeper_put(world->zookeeper, "/admin/delete_topics/t", slice_of(NULL));
        assert_true(world_run(world, 5000, sees_request));
        uint32_t stops = world->brokers[0].stops_accepted;
        fake_zookeeper_remove(world->zookeeper, "/admin/delete_topics/t");
        for (int i = 0; i < steps; i++)
            (void)world_step(world);
        fake_client_disconnect(world_controller_broker(world)->client);
        fake_client_connect(world_controller_broker(world)->client);
        assert_true(world_run(world, 20000, world_is_at_rest));
        assert_true(fake_zookeeper_read(world->zookeeper, "/brokers/topics/t", NULL, NULL));
        world_check_converged(world);
        assert_int_equal(world->brokers[0].stops_accepted, stops);
        world_free(world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_without_measure),
        cmocka_unit_test(many_topics_at_once),
        cmocka_unit_test(garbage_in_place_of_topic),
        cmocka_unit_test(garbage_in_place_of_state),
        cmocka_unit_test(i35_state_removed),
        cmocka_unit_test(disk_of_broker_is_full),
        cmocka_unit_test(broker_is_deaf),
        cmocka_unit_test(deletion_goes_between_changes),
        cmocka_unit_test(metadata_goes_between_leaders),
        cmocka_unit_test(i38_a_deletion_begins_when_its_request_was_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
