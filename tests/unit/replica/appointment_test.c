/* SPDX-License-Identifier: Apache-2.0 */
/* Who may append, and to which topic's log: epochs of appointments (I13) and topic ids (I35). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/log/log_manager.h"
#include "proto/kafka/error.h"
#include "tests/unit/replica/mover_fixture.h"

static struct partition_log *the_log(struct mover_world *world)
{
    return log_manager_find(world->logs, slice_of(MOVER_TOPIC), 0);
}

/* The controller's word: broker 2 leads in that epoch. A Kafka error. */
static int16_t depose(struct mover_world *world, int32_t leader_epoch)
{
    struct isr_member isr[] = {{1, 1}, {2, 1}};
    int32_t replicas[] = {1, 2};
    const struct control_partition state = {.controller_epoch = 1,
                                            .leader = 2,
                                            .leader_epoch = leader_epoch,
                                            .partition_epoch = leader_epoch,
                                            .isr = isr,
                                            .isr_count = 2,
                                            .replicas = replicas,
                                            .replicas_count = 2};
    enum partition_role role;
    bool follow;
    struct partition *partition = replica_manager_find(world->replicas, slice_of(MOVER_TOPIC), 0);
    int16_t error = partition_apply_state(partition, &state, world->now_ms, &role, &follow);
    partition_release(partition);
    return error;
}

static void i13_appends_are_of_the_epoch_of_the_appointment(void **state)
{
    (void)state;
    struct mover_world world;
    mover_world_init(&world, 1);
    assert_int_equal(mover_world_open(&world), 0);
    for (int64_t offset = 0; offset < 3; offset++) {
        assert_int_equal(mover_world_lead(&world), KAFKA_NONE);
        assert_true(mover_world_produce(&world));
        assert_int_equal(partition_log_epoch_at(the_log(&world), offset), world.leader_epoch);
    }
    /* Nobody else leads in our epoch; in the next one somebody does, and we are not asked again. */
    assert_int_equal(depose(&world, world.leader_epoch), KAFKA_STALE_CONTROLLER_EPOCH);
    assert_true(mover_world_produce(&world));
    assert_int_equal(depose(&world, ++world.leader_epoch), KAFKA_NONE);
    assert_false(mover_world_produce(&world));
    world.leader_epoch--;
    world.leader_epoch--;
    assert_int_equal(mover_world_lead(&world), KAFKA_STALE_CONTROLLER_EPOCH);
    assert_false(mover_world_produce(&world));
    assert_int_equal(mover_world_end(&world), 4);
    mover_world_release(&world);
}

/* The former life's appointment is no one's: a start knows of no leadership before it is told of one. */
static void i13_a_start_resumes_no_leadership(void **state)
{
    (void)state;
    for (int clean = 0; clean < 2; clean++) {
        struct mover_world world;
        mover_world_init(&world, 2);
        assert_int_equal(mover_world_open(&world), 0);
        assert_int_equal(mover_world_lead(&world), KAFKA_NONE);
        assert_true(mover_world_produce(&world));
        if (clean)
            assert_int_equal(mover_world_stop(&world), 0);
        else
            mover_world_drop(&world);
        memory_files_crash(world.disk, MEMORY_FILES_PROCESS_CRASH);
        assert_int_equal(mover_world_open(&world), 0);
        assert_null(replica_manager_find(world.replicas, slice_of(MOVER_TOPIC), 0));
        assert_int_equal(mover_world_lead(&world), KAFKA_NONE);
        assert_true(mover_world_produce(&world));
        assert_int_equal(partition_log_epoch_at(the_log(&world), 1), world.leader_epoch);
        mover_world_release(&world);
    }
}

/* The same name and another topic: neither the open log nor the folder that a start finds is taken for its
 * own; and the topic that it belongs to has it still. */
static void i35_a_log_of_another_topic_of_the_name_is_not_taken(void **state)
{
    (void)state;
    struct mover_world world;
    mover_world_init(&world, 3);
    world.topic_generation = 1;
    assert_int_equal(mover_world_open(&world), 0);
    assert_int_equal(mover_world_lead(&world), KAFKA_NONE);
    assert_true(mover_world_produce(&world));
    for (int started = 0; started < 2; started++) {
        world.topic_generation = 2;
        assert_int_equal(mover_world_lead(&world), KAFKA_INCONSISTENT_TOPIC_ID);
        world.topic_generation = 1;
        assert_int_equal(mover_world_lead(&world), KAFKA_NONE);
        mover_world_check(&world, 1);
        mover_world_drop(&world);
        memory_files_crash(world.disk, MEMORY_FILES_PROCESS_CRASH);
        assert_int_equal(mover_world_open(&world), 0);
    }
    mover_world_release(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(i13_appends_are_of_the_epoch_of_the_appointment),
        cmocka_unit_test(i13_a_start_resumes_no_leadership),
        cmocka_unit_test(i35_a_log_of_another_topic_of_the_name_is_not_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
