/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Thousands of moves at once, in one request and in /admin/reassign_partitions, over the fake ZooKeeper: what
 * is written stays below ZooKeeper's limits, goes on in steps, outlives the controller, and is answered in
 * time. So large a topic's znode leaves no room for states beside it (I23, I36).
 *
 *     controller_reassign_many_test [partitions]
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/memory.h"
#include "coordinator/zk/node_partition_state.h"
#include "coordinator/zk/node_topic.h"
#include "proto/kafka/error.h"
#include "proto/kafka/messages/alter_partition_reassignments.h"
#include "tests/unit/controller/answered.h"
#include "tests/unit/controller/catch_up.h"

#define BROKERS 5
static int32_t many = 3000;

#define NODE "/admin/reassign_partitions"

/* A long name makes each write and the old znode as large as those of many more partitions. */
static const char *name(void)
{
    return many > 4000
               ? "t"
               : "a-topic-whose-name-takes-more-room-in-every-path-and-in-every-item-of-the-list-than-the-"
                 "partition-does-so-that-few-of-them-are-as-much-as-many-and-what-is-left-of-the-list-is-"
                 "still-too-large";
}

/* Where replicas are, and where they are to go: two of them leave, two come. */
#define FACTOR 2
static int32_t target_of(int32_t number, size_t position)
{
    return 1 + (int32_t)(((size_t)number + FACTOR + position) % BROKERS);
}

static struct world *begin(struct world_options options)
{
    options.seed = options.seed > 0 ? options.seed : 5;
    options.brokers = BROKERS;
    struct world *world = world_begin(&options);
    world_put_topic(world, name(), many, FACTOR);
    assert_true(world_run(world, 60000, world_is_at_rest));
    return world;
}

static void end(struct world *world)
{
    assert_true(world_run(world, 60000, world_is_at_rest));
    world_check_converged(world);
    world_free(world);
}

/* ---- what stands in ZooKeeper ---- */

struct tally {
    size_t origin, moving, target; /* partitions */
};

static struct tally tally(struct world *world)
{
    struct tally tally = {0};
    struct slice data;
    struct node_topic node;
    char path[300];
    snprintf(path, sizeof(path), "/brokers/topics/%s", name());
    assert_true(fake_zookeeper_read(world->zookeeper, path, &data, NULL));
    assert_int_equal(node_topic_decode(data, &node, NULL), 0);
    assert_int_equal(node.partition_count, many);
    for (int32_t p = 0; p < many; p++) {
        const struct node_assignment *it = &node.partitions[p];
        if (it->adding.count + it->removing.count > 0)
            tally.moving++;
        else if (it->replicas.ids[0] == target_of(p, 0))
            tally.target++;
        else
            tally.origin++;
    }
    node_topic_release(&node);
    return tally;
}

static int32_t leader_epoch(struct world *world, int32_t number)
{
    char path[300];
    struct slice data;
    struct node_partition_state node;
    snprintf(path, sizeof(path), "/brokers/topics/%s/partitions/%d/state", name(), number);
    assert_true(fake_zookeeper_read(world->zookeeper, path, &data, NULL));
    assert_int_equal(node_partition_state_decode(data, &node, NULL), 0);
    int32_t epoch = node.leader_epoch;
    node_partition_state_release(&node);
    return epoch;
}

static bool node_is_gone(struct world *world)
{
    return !fake_zookeeper_read(world->zookeeper, NODE, NULL, NULL);
}

static bool never(struct world *world)
{
    (void)world;
    return false;
}

static void start_all(struct world *world)
{
    for (int i = 1; i <= BROKERS; i++)
        if (!world->brokers[i - 1].alive)
            world_start(world, i);
}

/* Replicas catch up until nothing moves any more; ten seconds after who has died comes back. */
static void run_until_arrived(struct world *world, struct tally expected)
{
    struct tally now = tally(world);
    for (int i = 0; i < 1000 && (now.moving > 0 || now.target != expected.target); i++) {
        if (i == 20)
            start_all(world);
        world_catch_up(world);
        (void)world_run(world, 500, never);
        now = tally(world);
    }
    assert_int_equal(now.moving, 0);
    assert_int_equal(now.target, expected.target);
    assert_int_equal(now.origin, expected.origin);
}

/* ---- one request ---- */

static struct answered answered;

static bool is_answered(struct world *world)
{
    (void)world;
    return answered.done;
}

/* Asks for the moves of the partitions from `first` on, each `step`th; cancel: takes them back. */
static void ask(struct world *world, int32_t first, int32_t step, bool cancel, int32_t timeout_ms)
{
    struct alter_partition_reassignments_request request;
    struct alter_partition_reassignments_request_reassignable_partition *partitions =
        memory_allocate_zeroed((size_t)many, sizeof(*partitions));
    struct alter_partition_reassignments_request_reassignable_topic topic = {slice_of(name()), partitions, 0};
    struct buffer body;
    struct wire_writer writer;
    int32_t *replicas = memory_allocate_zeroed((size_t)many * FACTOR, sizeof(*replicas));
    for (int32_t p = first; p < many; p += step) {
        int32_t *ids = &replicas[topic.partitions_count * FACTOR];
        for (size_t i = 0; i < FACTOR; i++)
            ids[i] = target_of(p, i);
        partitions[topic.partitions_count++] =
            (struct alter_partition_reassignments_request_reassignable_partition){p, cancel ? NULL : ids,
                                                                                  cancel ? 0 : FACTOR};
    }
    alter_partition_reassignments_request_init(&request);
    request.topics = &topic;
    request.topics_count = 1;
    request.timeout_ms = timeout_ms;
    buffer_init(&body);
    wire_writer_init(&writer, &body);
    alter_partition_reassignments_request_encode(&request, &writer, 0);
    answered = (struct answered){0};
    buffer_init(&answered.body);
    controller_admin(world_controller(world), 45, 0, slice_of("test"), buffer_slice(&body),
                     world->now_ms + timeout_ms, (struct controller_admin_respond){on_answer, &answered});
    wire_writer_release(&writer);
    buffer_release(&body);
    free(replicas);
    free(partitions);
}

/* Waits for the answer; how many partitions have this error. */
static size_t await_answer(struct world *world, int16_t error)
{
    struct alter_partition_reassignments_response response;
    struct byte_reader reader;
    struct arena arena;
    size_t count = 0;
    assert_true(world_run(world, 31000, is_answered));
    assert_int_equal(answered.error, KAFKA_NONE);
    arena_init(&arena, ARENA_NO_BUDGET);
    reader_init(&reader, buffer_slice(&answered.body));
    assert_int_equal(alter_partition_reassignments_response_decode(&response, &reader, 0, &arena), 0);
    for (size_t i = 0; i < response.responses[0].partitions_count; i++)
        count += response.responses[0].partitions[i].error_code == error;
    arena_release(&arena);
    buffer_release(&answered.body);
    return count;
}

/* I36: all of them in one request, half of them taken back, and the controller dies in the middle. */
static void i36_thousands_in_one_request(void **state)
{
    (void)state;
    struct world *world = begin((struct world_options){0});
    uint64_t writes = world->writes;
    int32_t epochs[3] = {leader_epoch(world, 0), leader_epoch(world, many / 2),
                         leader_epoch(world, many - 1)};
    ask(world, 0, 1, false, 30000);
    assert_int_equal(await_answer(world, KAFKA_NONE), many);
    assert_int_equal(tally(world).moving, many);
    assert_true(world->writes - writes < (uint64_t)many / 50);
    /* I23: in a new leader epoch, however large the znode is */
    assert_true(leader_epoch(world, 0) > epochs[0]);
    assert_true(leader_epoch(world, many / 2) > epochs[1]);
    assert_true(leader_epoch(world, many - 1) > epochs[2]);
    ask(world, 1, 2, true, 30000);
    assert_int_equal(await_answer(world, KAFKA_NONE), many / 2);
    assert_int_equal(tally(world).origin, many / 2);
    world_kill(world, world_controller_broker(world)->id);
    run_until_arrived(world, (struct tally){.origin = (size_t)many / 2, .target = (size_t)many / 2});
    end(world);
}

/* The list of an old tool for the first `count` partitions; `first`: the broker that all are to go to, 0:
 * target_of. */
static void put_node(struct world *world, int32_t count, int32_t first)
{
    struct buffer text;
    buffer_init(&text);
    buffer_append_string(&text, "{\"version\":1,\"partitions\":[");
    for (int32_t p = 0; p < count; p++)
        buffer_print(
            &text,
            "%s{\"topic\":\"%s\",\"partition\":%d,\"replicas\":[%d,%d],\"log_dirs\":[\"any\",\"any\"]}",
            p > 0 ? "," : "", name(), p, first > 0 ? first : target_of(p, 0),
            first > 0 ? 1 + (int32_t)(p % 4) : target_of(p, 1));
    buffer_append_string(&text, "]}");
    assert_true(text.length < 1024 * 1024);
    assert_true(many < 3000 || text.length > ZK_DATA_BYTES_MAX);
    fake_zookeeper_put(world->zookeeper, NODE, buffer_slice(&text));
    buffer_release(&text);
}

static uint64_t fatal_write;

static bool is_fatal(struct world *world)
{
    return world->writes >= fatal_write;
}

/* I36: the same from an old tool, whose znode is nearly as large as ZooKeeper takes any. */
static void i36_thousands_in_the_old_znode(void **state)
{
    (void)state;
    struct world *world = begin((struct world_options){0});
    put_node(world, many, 0);
    fatal_write = world->writes + 4; /* some have begun */
    assert_true(world_run(world, 60000, is_fatal));
    assert_in_range(tally(world).moving, 1, many - 1);
    world_kill(world, world_controller_broker(world)->id);
    uint64_t writes = world->writes;
    run_until_arrived(world, (struct tally){.target = (size_t)many});
    assert_true(world_run(world, 60000, node_is_gone));
    assert_true(world->writes - writes < (uint64_t)many / 20);
    end(world);
}

static bool most_move(struct world *world)
{
    return tally(world).moving >= (size_t)many / 5 * 4;
}

/* A list that is too large to be written holds up the client whose partition is in it, and no other. */
static void a_list_that_cannot_be_written(void **state)
{
    (void)state;
    struct world *world = begin((struct world_options){0});
    world_kill(world, 5);
    (void)world_run(world, 20000, never);
    put_node(world, many - 1, 5);
    assert_true(world_run(world, 60000, most_move));
    ask(world, 0, many, false, 3000);
    assert_int_equal(await_answer(world, KAFKA_REQUEST_TIMED_OUT), 1);
    ask(world, many - 1, 1, false, 3000);
    assert_int_equal(await_answer(world, KAFKA_NONE), 1);
    ask(world, many - 1, 1, true, 3000);
    assert_int_equal(await_answer(world, KAFKA_NONE), 1);
    start_all(world);
    for (int i = 0; i < 1000 && !node_is_gone(world); i++) {
        world_catch_up(world);
        (void)world_run(world, 500, node_is_gone);
    }
    assert_true(node_is_gone(world));
    end(world);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        many = (int32_t)strtol(argv[1], NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(i36_thousands_in_one_request),
        cmocka_unit_test(i36_thousands_in_the_old_znode),
        cmocka_unit_test(a_list_that_cannot_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
