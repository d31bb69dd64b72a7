/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One story for each rule that the judge of the world, the simulator and the random test know as a whole:
 * what breaks it in practice, on purpose and in the order that hurts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/arena.h"
#include "common/base.h"
#include "coordinator/controller/push.h"
#include "coordinator/zk/node_controller.h"
#include "coordinator/zk/node_partition_state.h"
#include "coordinator/zk/path.h"
#include "tests/support/fake_zookeeper.h"
#include "tests/unit/controller/cluster_image.h"
#include "tests/unit/controller/world.h"

#define TOPIC "t"
#define PARTITIONS 6

static bool never(struct world *world)
{
    (void)world;
    return false;
}

/* `brokers` at rest, with a topic of PARTITIONS, each on three of them. */
static struct world *begin(struct world_options options)
{
    if (options.seed == 0)
        options.seed = 11;
    struct world *world = world_begin(&options);
    world_put_topic(world, TOPIC, PARTITIONS, (size_t)min_i64(options.brokers, 3));
    assert_true(world_run(world, 10000, world_is_at_rest));
    return world;
}

static void end(struct world *world)
{
    assert_true(world_run(world, 60000, world_is_at_rest));
    world_check_converged(world);
    world_free(world);
}

/* The first after the controller. */
static struct world_broker *bystander(struct world *world)
{
    return &world->brokers[world_controller_broker(world)->id % world->broker_count];
}

static const char *state_path(int32_t partition, char path[64])
{
    snprintf(path, 64, "/brokers/topics/" TOPIC "/partitions/%d/state", partition);
    return path;
}

/* The state in ZooKeeper; the caller releases it. */
static void read_state(struct world *world, int32_t partition, struct node_partition_state *state)
{
    char path[64];
    struct slice data;
    assert_true(fake_zookeeper_read(world->zookeeper, state_path(partition, path), &data, NULL));
    assert_int_equal(node_partition_state_decode(data, state, NULL), 0);
}

static bool is_member(const struct node_partition_state *state, int32_t broker)
{
    for (size_t i = 0; i < state->isr_count; i++)
        if (state->isr[i] == broker)
            return true;
    return false;
}

static int32_t epoch_in_zookeeper(struct world *world)
{
    struct slice data;
    int32_t epoch;
    assert_true(fake_zookeeper_read(world->zookeeper, ZK_PATH_CONTROLLER_EPOCH, &data, NULL));
    assert_int_equal(node_controller_epoch_decode(data, &epoch, NULL), 0);
    return epoch;
}

/* Somebody else has taken the epoch, and the controller has not heard of it when it has most to write. */
static void i29_a_deposed_controller_writes_nothing(void **state)
{
    (void)state;
    struct world *world = begin((struct world_options){.brokers = 3});
    int32_t epoch = controller_epoch(world_controller(world));
    struct buffer next;
    buffer_init(&next);
    node_controller_epoch_encode(epoch + 1, &next);
    world->complain_only = true;
    fake_zookeeper_put(world->zookeeper, ZK_PATH_CONTROLLER_EPOCH, buffer_slice(&next));
    buffer_release(&next);
    world_kill(world, bystander(world)->id);
    world_put_topic(world, "u", 2, 2);
    assert_true(world_run(world, 30000, world_is_at_rest));
    assert_int_equal(world->violations, 0);
    assert_int_equal(controller_epoch(world_controller(world)), epoch + 2);
    end(world);
}

/* A leader restarts, and has lost what its disk had, while nobody is in office; the next controller finds it
 * alive, with seats of the life before. Returns how many of those it still has. */
static int seats_after_bounce(bool skip_reconciliation)
{
    struct world *world =
        begin((struct world_options){.brokers = 3, .faults = {.skip_reconciliation = skip_reconciliation}});
    struct world_broker *controller = world_controller_broker(world), *victim = bystander(world);
    int seats = 0;
    world->complain_only = skip_reconciliation; /* the judge sees it too */
    world_kill(world, victim->id);
    world_start(world, victim->id);
    world_run(world, 2000, never);
    world_kill(world, controller->id);
    assert_true(world_run(world, 30000, world_is_at_rest));
    for (int32_t p = 0; p < PARTITIONS; p++) {
        struct node_partition_state now;
        read_state(world, p, &now);
        assert_true(now.leader > 0);
        seats += is_member(&now, victim->id);
        node_partition_state_release(&now);
    }
    world_free(world);
    return seats;
}

static void i31_seats_of_former_lives_go_before_anybody_is_told(void **state)
{
    (void)state;
    assert_int_equal(seats_after_bounce(false), 0);
    assert_int_equal(seats_after_bounce(true), PARTITIONS);
}

/* Metadata, then roles; nothing overtakes what is in flight, and after a doubt all is told again. */
static void i33_one_message_at_a_time_and_all_again_after_a_doubt(void **state)
{
    (void)state;
    struct image image;
    struct push_channel channel;
    struct control_request request;
    struct arena arena;
    static const enum control_kind order[] = {CONTROL_UPDATE_METADATA, CONTROL_LEADER_AND_ISR};
    image_init(&image);
    arena_init(&arena, ARENA_NO_BUDGET);
    cluster_add_broker(&image, 1, 10, 10, NULL);
    struct image_partition *partition = cluster_add_topic(&image, (int32_t[]){1}, 1);
    cluster_set_state(&image, partition, 1, 4, (int32_t[]){1}, (int64_t[]){10}, 1, 9);
    image_clear_dirty(partition);
    push_channel_init(&channel, 1, 10);
    for (size_t doubt = 0; doubt <= ARRAY_SIZE(order); doubt++) {
        for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
            assert_int_equal(push_next(&image, &channel), order[i]);
            push_build(&image, &channel, order[i], 1, 1, &arena, &request);
            assert_int_equal(push_next(&image, &channel), CONTROL_NONE);
            if (i == doubt) {
                push_failed(&channel);
                break;
            }
            push_succeeded(&channel);
        }
    }
    assert_int_equal(push_next(&image, &channel), CONTROL_NONE);
    assert_true(push_has_told(&image, &channel, image.sequence));
    arena_release(&arena);
    image_release(&image);
}

/* Half of all messages and answers are lost for a while: in the end everybody has been told all the same. */
static void i33_what_was_lost_is_said_again(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct world *world = begin((struct world_options){.brokers = 3, .seed = seed});
        world->lose_message_one_in = 2;
        world_put_topic(world, "u", 3, 3);
        world_run(world, 3000, never);
        world->lose_message_one_in = 0;
        end(world);
    }
}

/* Writes the states that still name `leader` anew, as they are: whoever wants to change one loses the race.
 */
static int disturb(struct world *world, int32_t leader)
{
    int disturbed = 0;
    for (int32_t p = 0; p < PARTITIONS; p++) {
        char path[64];
        struct slice data;
        struct node_partition_state now;
        struct buffer copy;
        read_state(world, p, &now);
        if (now.leader == leader) {
            buffer_init(&copy);
            assert_true(fake_zookeeper_read(world->zookeeper, state_path(p, path), &data, NULL));
            buffer_append(&copy, data.data, data.length);
            fake_zookeeper_put(world->zookeeper, path, buffer_slice(&copy));
            buffer_release(&copy);
            disturbed++;
        }
        node_partition_state_release(&now);
    }
    return disturbed;
}

static void i34_who_loses_a_race_looks_again(void **state)
{
    (void)state;
    struct world *world = begin((struct world_options){.brokers = 3});
    int32_t victim = bystander(world)->id;
    char path[32];
    snprintf(path, sizeof(path), "/brokers/ids/%d", victim);
    world_kill(world, victim);
    while (fake_zookeeper_read(world->zookeeper, path, NULL, NULL))
        world_step(world);
    int disturbed = 0;
    for (int step = 0; step < 100; step++) {
        disturbed += disturb(world, victim);
        world_step(world);
    }
    assert_true(disturbed > 20);
    assert_true(world_run(world, 30000, world_is_at_rest));
    for (int32_t p = 0; p < PARTITIONS; p++) {
        struct node_partition_state now;
        read_state(world, p, &now);
        assert_int_not_equal(now.leader, victim);
        assert_false(is_member(&now, victim));
        node_partition_state_release(&now);
    }
    end(world);
}

/* Each broker dies in turn and comes back: who loses a member or its leader is in a later epoch. */
static void i35_every_forced_change_raises_the_leader_epoch(void **state)
{
    (void)state;
    struct world *world = begin((struct world_options){.brokers = 4});
    for (int32_t id = 1; id <= 4; id++) {
        struct node_partition_state before[PARTITIONS], after;
        int changed = 0;
        for (int32_t p = 0; p < PARTITIONS; p++)
            read_state(world, p, &before[p]);
        world_kill(world, id);
        assert_true(world_run(world, 30000, world_is_at_rest));
        for (int32_t p = 0; p < PARTITIONS; p++) {
            read_state(world, p, &after);
            assert_true(after.leader_epoch >= before[p].leader_epoch);
            if (is_member(&before[p], id)) {
                assert_true(after.leader_epoch > before[p].leader_epoch);
                changed++;
            }
            node_partition_state_release(&after);
            node_partition_state_release(&before[p]);
        }
        assert_true(changed > 0 || id > 1);
        world_start(world, id);
        assert_true(world_run(world, 30000, world_is_at_rest));
    }
    end(world);
}

struct office_watch {
    struct zk_listener listener;
    struct world_broker *broker;
    int lost;
};

/* Comes after the controller's own listener, and before anything else that the process may handle. */
static void on_lost(struct zk_listener *listener)
{
    struct office_watch *watch = container_of(listener, struct office_watch, listener);
    watch->lost++;
    assert_false(controller_is_in_office(watch->broker->controller));
    assert_int_equal(controller_epoch(watch->broker->controller), -1);
    assert_int_equal(controller_current(watch->broker->controller), -1);
}

/* Frozen longer than its session lives; a broker dies meanwhile, so that both controllers have work. */
static void i37_a_thawed_controller_is_out_of_office_first(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world *world = begin((struct world_options){.brokers = 4, .seed = seed});
        struct world_broker *frozen = world_controller_broker(world);
        struct office_watch watch = {.listener.session_lost = on_lost, .broker = frozen};
        int32_t epoch = controller_epoch(frozen->controller);
        zk_client_add_listener(fake_client_zk(frozen->client), &watch.listener);
        fake_client_pause(frozen->client, true);
        world_kill(world, bystander(world)->id);
        world_run(world, 20000, never);
        assert_int_equal(epoch_in_zookeeper(world), epoch + 1);
        fake_client_pause(frozen->client, false);
        world_run(world, 20000, world_is_at_rest);
        assert_true(watch.lost > 0);
        assert_int_equal(epoch_in_zookeeper(world), epoch + 1);
        zk_client_remove_listener(fake_client_zk(frozen->client), &watch.listener);
        end(world);
    }
}

/* Whoever says that it holds an epoch has written it, before it can have read anything in that epoch; with
 * servers that lag, only its own write makes what it reads as new as that. */
static void i40_an_epoch_is_written_before_anything_is_read_in_it(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct world *world =
            begin((struct world_options){.brokers = 3, .zookeeper_servers = 3, .seed = seed});
        int32_t epoch = epoch_in_zookeeper(world);
        world_kill(world, world_controller_broker(world)->id);
        for (int step = 0; step < 20000 && epoch_in_zookeeper(world) == epoch; step++) {
            for (int i = 0; i < world->broker_count; i++)
                if (world->brokers[i].alive)
                    assert_true(controller_epoch(world->brokers[i].controller) <= epoch);
            world_step(world);
        }
        assert_int_equal(epoch_in_zookeeper(world), epoch + 1);
        end(world);
    }
}

/* What the next message is, carried out at once. */
static struct update_metadata_request told(struct image *image, struct push_channel *channel,
                                           enum control_kind kind, struct arena *arena)
{
    struct control_request request;
    assert_int_equal(push_next(image, channel), kind);
    push_build(image, channel, kind, 1, 1, arena, &request);
    push_succeeded(channel);
    return request.update_metadata;
}

/* A broker that is no replica is told of a deletion like the others: it may have been one. Who has not said
 * that it has nothing of the topic, when that is gone, is told of all topics that exist; as soon as they are
 * known, and not before. */
static void i36_who_missed_the_end_of_a_topic_is_told_all_topics(void **state)
{
    (void)state;
    for (int stopped = 0; stopped < 2; stopped++) {
        struct image image;
        struct push_channel channel;
        struct control_request request;
        struct arena arena;
        image_init(&image);
        arena_init(&arena, ARENA_NO_BUDGET);
        cluster_add_broker(&image, 2, 20, 20, NULL);
        struct image_partition *partition = cluster_add_topic(&image, (int32_t[]){1}, 1);
        struct image_topic *topic = partition->topic;
        push_channel_init(&channel, 2, 20);
        assert_false(told(&image, &channel, CONTROL_UPDATE_METADATA, &arena).complete);
        assert_int_equal(push_next(&image, &channel), CONTROL_NONE);
        channel.complete_possible = true; /* by now */
        struct update_metadata_request first = told(&image, &channel, CONTROL_UPDATE_METADATA, &arena);
        assert_true(first.full && first.complete && first.unlisted_count == 1); /* it has no state yet */
        assert_true(uuid_equals(first.unlisted[0], topic->topic_id));
        assert_int_equal(push_next(&image, &channel), CONTROL_NONE);

        image_begin_deletion(&image, topic);
        channel.stop_pending = true;
        assert_false(told(&image, &channel, CONTROL_UPDATE_METADATA, &arena).full);
        assert_int_equal(push_next(&image, &channel), CONTROL_STOP_REPLICA);
        push_build(&image, &channel, CONTROL_STOP_REPLICA, 1, 1, &arena, &request);
        assert_int_equal(request.stop_replica.partitions_count, 1);
        if (stopped)
            push_note_deleted(partition, 2);
        push_succeeded(&channel);
        assert_true(push_has_stopped(&channel, topic) == stopped);
        push_note_forgotten(&channel, topic);
        image_remove_topic(&image, topic);
        if (!stopped) {
            struct update_metadata_request last = told(&image, &channel, CONTROL_UPDATE_METADATA, &arena);
            assert_true(last.full && last.complete && last.unlisted_count == 0);
        }
        assert_int_equal(push_next(&image, &channel), CONTROL_NONE);
        arena_release(&arena);
        image_release(&image);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(i29_a_deposed_controller_writes_nothing),
        cmocka_unit_test(i31_seats_of_former_lives_go_before_anybody_is_told),
        cmocka_unit_test(i33_one_message_at_a_time_and_all_again_after_a_doubt),
        cmocka_unit_test(i33_what_was_lost_is_said_again),
        cmocka_unit_test(i34_who_loses_a_race_looks_again),
        cmocka_unit_test(i35_every_forced_change_raises_the_leader_epoch),
        cmocka_unit_test(i36_who_missed_the_end_of_a_topic_is_told_all_topics),
        cmocka_unit_test(i37_a_thawed_controller_is_out_of_office_first),
        cmocka_unit_test(i40_an_epoch_is_written_before_anything_is_read_in_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
