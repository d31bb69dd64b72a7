/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log directories that fail: the seats and leaderships of the replicas in them, the notification that asks
 * the controller to look, and the way back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/memory.h"
#include "coordinator/controller/decide.h"
#include "coordinator/controller/push.h"
#include "coordinator/zk/node_cluster.h"
#include "coordinator/zk/node_partition_state.h"
#include "coordinator/zk/path.h"
#include "proto/kafka/error.h"
#include "tests/unit/controller/cluster_image.h"
#include "tests/unit/controller/world.h"

/* ---- the decision ---- */

struct fixture {
    struct image image;
    struct image_partition *partition;
};

/* Replicas 1, 2, 3, all alive and in the ISR, led by 1. */
static void fixture_begin(struct fixture *fixture)
{
    image_init(&fixture->image);
    fixture->partition = cluster_add_topic(&fixture->image, (int32_t[]){1, 2, 3}, 3);
    for (int32_t id = 1; id <= 3; id++)
        cluster_add_broker(&fixture->image, id, 10 * id, -1, NULL);
    cluster_set_state(&fixture->image, fixture->partition, 1, 4, (int32_t[]){1, 2, 3},
                      (int64_t[]){10, 20, 30}, 3, 9);
}

static void expect(struct fixture *fixture, enum decision decision, int32_t leader, size_t isr_count)
{
    struct node_partition_state next;
    bool unclean;
    const struct decide_settings settings = {.controller_epoch = 5};
    assert_int_equal(decide_partition(&fixture->image, fixture->partition, &settings, &next, &unclean),
                     decision);
    assert_false(unclean);
    if (decision == DECISION_NOTHING)
        return;
    assert_int_equal(next.leader, leader);
    assert_int_equal(next.leader_epoch, 5);
    assert_int_equal(next.isr_count, isr_count);
    node_partition_state_release(&next);
}

static void seats_end_with_the_disk(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    struct image *image = &fixture.image;
    expect(&fixture, DECISION_NOTHING, 0, 0);
    assert_true(image_set_replica_disk(image, fixture.partition, 3, REPLICA_DISK_FAILED));
    assert_false(image_set_replica_disk(image, fixture.partition, 3, REPLICA_DISK_FAILED));
    expect(&fixture, DECISION_SET, 1, 2);
    assert_true(image_set_replica_disk(image, fixture.partition, 1, REPLICA_DISK_FAILED));
    expect(&fixture, DECISION_SET, 2, 1);
    /* the last one: the ISR stays, nobody leads (I26) */
    assert_true(image_set_replica_disk(image, fixture.partition, 2, REPLICA_DISK_FAILED));
    expect(&fixture, DECISION_SET, NODE_NO_LEADER, 3);
    assert_true(image_set_replica_disk(image, fixture.partition, 2, REPLICA_DISK_SERVES));
    expect(&fixture, DECISION_SET, 2, 1);
    image_release(image);
}

static void another_life_has_other_disks(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    image_set_replica_disk(&fixture.image, fixture.partition, 3, REPLICA_DISK_FAILED);
    assert_false(image_can_serve(&fixture.image, fixture.partition, 3));
    cluster_add_broker(&fixture.image, 3, 31, 0, NULL);
    assert_true(image_can_serve(&fixture.image, fixture.partition, 3));
    assert_int_equal(image_replica_disk(&fixture.image, fixture.partition, 3), REPLICA_DISK_SERVES);
    image_release(&fixture.image);
}

static void unclean_election_wants_a_disk(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    cluster_set_state(&fixture.image, fixture.partition, 3, 4, (int32_t[]){3}, (int64_t[]){30}, 1, 9);
    image_remove_broker(&fixture.image, 3);
    image_set_replica_disk(&fixture.image, fixture.partition, 1, REPLICA_DISK_FAILED);
    struct node_partition_state next;
    bool unclean;
    const struct decide_settings settings = {.controller_epoch = 5, .unclean_by_default = true};
    assert_int_equal(decide_partition(&fixture.image, fixture.partition, &settings, &next, &unclean),
                     DECISION_SET);
    assert_true(unclean);
    assert_int_equal(next.leader, 2);
    node_partition_state_release(&next);
    image_release(&fixture.image);
}

/* A full disk costs the leadership, not the seat; and nothing where nobody has room. */
static void a_full_disk_follows(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    struct image *image = &fixture.image;
    image_set_replica_disk(image, fixture.partition, 3, REPLICA_DISK_FULL);
    expect(&fixture, DECISION_NOTHING, 0, 0);
    image_set_replica_disk(image, fixture.partition, 1, REPLICA_DISK_FULL);
    expect(&fixture, DECISION_SET, 2, 3);
    image_set_replica_disk(image, fixture.partition, 2, REPLICA_DISK_FULL);
    expect(&fixture, DECISION_NOTHING, 0, 0);
    /* with the leader dead the order of the assignment counts again */
    image_remove_broker(image, 1);
    expect(&fixture, DECISION_SET, 2, 2);
    image_set_replica_disk(image, fixture.partition, 3, REPLICA_DISK_SERVES);
    expect(&fixture, DECISION_SET, 3, 2);
    image_release(image);
}

/* An empty log is no surprise until the broker has made it, and only in the life that was there. */
static void a_replica_is_new_once(void **state)
{
    (void)state;
    struct fixture fixture;
    image_init(&fixture.image);
    struct image *image = &fixture.image;
    fixture.partition = cluster_add_topic(image, (int32_t[]){1, 2, 3}, 3);
    for (int32_t id = 1; id <= 3; id++)
        cluster_add_broker(image, id, 10 * id, -1, NULL);
    assert_false(image_is_replica_new(image, fixture.partition, 1));
    cluster_set_state(image, fixture.partition, 1, 0, (int32_t[]){1, 2, 3}, (int64_t[]){10, 20, 30}, 3, 0);
    image_note_replica_taken(fixture.partition, 2);
    cluster_add_broker(image, 3, 31, -1, NULL);
    cluster_set_state(image, fixture.partition, 1, 1, (int32_t[]){1, 2}, (int64_t[]){10, 20}, 2, 1);
    assert_true(image_is_replica_new(image, fixture.partition, 1));
    assert_false(image_is_replica_new(image, fixture.partition, 2));
    assert_false(image_is_replica_new(image, fixture.partition, 3));
    image_release(image);
}

/* Metadata names the replica as long as the life in which it was said lasts. */
static void brokers_are_told(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    image_set_replica_disk(&fixture.image, fixture.partition, 3, REPLICA_DISK_FAILED);
    struct push_channel channel;
    push_channel_init(&channel, 2, 20);
    for (int round = 0; round < 2; round++) {
        struct arena arena;
        struct control_request request;
        arena_init(&arena, ARENA_NO_BUDGET);
        assert_int_equal(push_next(&fixture.image, &channel), CONTROL_UPDATE_METADATA);
        push_build(&fixture.image, &channel, CONTROL_UPDATE_METADATA, 1, 1, &arena, &request);
        const struct control_partition *told = &request.update_metadata.topics[0].partitions[0];
        assert_int_equal(told->offline_replicas_count, round == 0 ? 1 : 0);
        if (round == 0)
            assert_int_equal(told->offline_replicas[0], 3);
        push_failed(&channel);
        cluster_add_broker(&fixture.image, 3, 31, 0, NULL);
        arena_release(&arena);
    }
    image_release(&fixture.image);
}

/* ---- the cluster ---- */

static bool disk_has_failed;
static int16_t disk_error = KAFKA_KAFKA_STORAGE_ERROR;

static int16_t refuse_on_disk(struct world *world, int32_t broker, struct slice topic, int32_t partition)
{
    (void)world;
    (void)partition;
    return disk_has_failed && broker == 2 && slice_is(topic, "t") ? disk_error : KAFKA_NONE;
}

/* As the broker does when a directory changes its health. */
static void put_event(struct world *world, const char *name, const char *data)
{
    struct buffer path, node;
    buffer_init(&path);
    buffer_init(&node);
    buffer_print(&path, "%s%s", ZK_PATH_LOG_DIR_EVENT_PREFIX, name);
    const struct node_log_dir_event event = {.broker_id = 2, .event = NODE_LOG_DIR_FAILURE};
    node_log_dir_event_encode(&event, &node);
    fake_zookeeper_put(world->zookeeper, buffer_string(&path),
                       data != NULL ? slice_of(data) : buffer_slice(&node));
    buffer_release(&path);
    buffer_release(&node);
}

static void read_state(struct world *world, int32_t number, struct node_partition_state *partition)
{
    struct arena arena;
    struct slice data;
    arena_init(&arena, ARENA_NO_BUDGET);
    assert_true(fake_zookeeper_read(world->zookeeper, zk_path_partition_state(&arena, slice_of("t"), number),
                                    &data, NULL));
    assert_int_equal(node_partition_state_decode(data, partition, NULL), 0);
    arena_release(&arena);
}

static bool is_member(const struct node_partition_state *state, int32_t broker_id)
{
    for (size_t i = 0; i < state->isr_count; i++)
        if (state->isr[i] == broker_id)
            return true;
    return false;
}

/* How many of the three partitions broker 2 leads, and in how many ISRs it is. */
static void count_seats(struct world *world, int *led, int *seats)
{
    *led = *seats = 0;
    for (int32_t i = 0; i < 3; i++) {
        struct node_partition_state partition;
        read_state(world, i, &partition);
        *led += partition.leader == 2;
        *seats += is_member(&partition, 2);
        node_partition_state_release(&partition);
    }
}

static bool never(struct world *world)
{
    (void)world;
    return false;
}

static bool events_are_gone(struct world *world)
{
    const char **names;
    size_t count = fake_zookeeper_list(world->zookeeper, ZK_PATH_LOG_DIR_EVENTS, &names);
    free(names);
    return count == 0 && world_is_at_rest(world);
}

static bool seats_are_gone(struct world *world)
{
    int led, seats;
    count_seats(world, &led, &seats);
    return led == 0 && seats == 0;
}

static struct world *begin(void)
{
    const struct world_options options = {
        .seed = 11, .brokers = 3, .refuse_partition = refuse_on_disk, .keep_intact = true};
    disk_has_failed = false;
    struct world *world = world_begin(&options);
    world_put_topic(world, "t", 3, 3);
    assert_true(world_run(world, 10000, world_is_at_rest));
    return world;
}

/* A partition as its leader was told of it; valid until messages come. */
static struct world_replica *find_led(struct world *world, struct world_broker **leader)
{
    for (int b = 0; b < 3; b++) {
        struct world_replica *found = world_find(world->brokers[b].replicas, "t", 0);
        *leader = &world->brokers[b];
        if (found != NULL && found->leader == world->brokers[b].id)
            return found;
    }
    return NULL;
}

static void leaderships_move(void **state)
{
    (void)state;
    struct world *world = begin();
    int led, seats;
    count_seats(world, &led, &seats);
    assert_true(led > 0);
    assert_int_equal(seats, 3);
    disk_has_failed = true;
    put_event(world, "0000000001", NULL);
    assert_true(world_run(world, 3000, seats_are_gone));
    world_run(world, 1000, never);
    /* while it is so it may not come back */
    struct world_broker *leader;
    struct world_replica *replica = find_led(world, &leader);
    assert_non_null(replica);
    struct isr_member isr[] = {
        {1, world->brokers[0].epoch}, {2, world->brokers[1].epoch}, {3, world->brokers[2].epoch}};
    world_propose(world, leader, replica, isr, 3);
    world_run(world, 1000, never);
    assert_int_equal(leader->last_proposal_error, KAFKA_INELIGIBLE_REPLICA);
    disk_has_failed = false;
    put_event(world, "0000000002", NULL);
    assert_true(world_run(world, 3000, events_are_gone));
    replica = find_led(world, &leader);
    assert_non_null(replica);
    world_propose(world, leader, replica, isr, 3);
    assert_true(world_run(world, 3000, world_is_at_rest));
    count_seats(world, &led, &seats);
    assert_int_equal(seats, 1);
    world_check_converged(world);
    world_free(world);
}

/* The folder of another topic of that name is no log for this one. */
static void a_foreign_folder_does_not_serve(void **state)
{
    (void)state;
    struct world *world = begin();
    disk_error = KAFKA_INCONSISTENT_TOPIC_ID;
    disk_has_failed = true;
    put_event(world, "0000000001", NULL);
    bool gone = world_run(world, 3000, seats_are_gone);
    disk_error = KAFKA_KAFKA_STORAGE_ERROR;
    assert_true(gone);
    world_free(world);
}

/* A controller that was not there when the directory failed learns of it in the first answers. */
static void next_controller_learns(void **state)
{
    (void)state;
    struct world *world = begin();
    disk_has_failed = true;
    int32_t former = world_controller_broker(world)->id;
    assert_int_not_equal(former, 2);
    world_kill(world, former);
    assert_true(world_run(world, 30000, seats_are_gone));
    assert_int_not_equal(world_controller_broker(world)->id, former);
    world_free(world);
}

static void garbage_is_removed(void **state)
{
    (void)state;
    struct world *world = begin();
    put_event(world, "0000000009", "not json");
    assert_true(world_run(world, 3000, events_are_gone));
    int led, seats;
    count_seats(world, &led, &seats);
    assert_int_equal(seats, 3);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seats_end_with_the_disk),
        cmocka_unit_test(another_life_has_other_disks),
        cmocka_unit_test(unclean_election_wants_a_disk),
        cmocka_unit_test(brokers_are_told),
        cmocka_unit_test(leaderships_move),
        cmocka_unit_test(next_controller_learns),
        cmocka_unit_test(garbage_is_removed),
        cmocka_unit_test(a_full_disk_follows),
        cmocka_unit_test(a_foreign_folder_does_not_serve),
        cmocka_unit_test(a_replica_is_new_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
