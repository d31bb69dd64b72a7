/* SPDX-License-Identifier: Apache-2.0 */
/* A log that a start left out for want of room is there all the same: it is answered for, it is not taken for
 * a former topic's, and it serves when there is room. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/kafka/error.h"
#include "tests/unit/replica/mover_fixture.h"

static bool is_offline(struct mover_world *world)
{
    return replica_manager_is_offline(world->replicas, slice_of(MOVER_TOPIC), 0);
}

/* Five records, a crash, and a start that finds no room to open the log. */
static void start_without_room(struct mover_world *world)
{
    mover_world_init(world, 1);
    assert_int_equal(mover_world_open(world), 0);
    assert_int_equal(mover_world_lead(world), KAFKA_NONE);
    for (int i = 0; i < 5; i++)
        assert_true(mover_world_produce(world));
    assert_true(mover_world_flush(world));
    mover_world_drop(world);
    memory_files_crash(world->disk, MEMORY_FILES_PROCESS_CRASH);
    const struct memory_files_fault fault = {.operations = MEMORY_FILES_BIT(MEMORY_FILES_LIST),
                                             .after = 2, /* those that look how much there is to check */
                                             .error = -ENOSPC,
                                             .short_bytes = -1,
                                             .path_part = MOVER_TOPIC "-0"};
    memory_files_set_fault(world->disk, &fault);
    assert_int_equal(mover_world_open(world), 0);
    assert_int_equal(memory_files_fault_count(world->disk), 1);
    memory_files_set_fault(world->disk, NULL);
}

static void it_is_answered_for_until_there_is_room(void **state)
{
    (void)state;
    struct mover_world world;
    start_without_room(&world);
    assert_true(is_offline(&world));
    assert_int_equal(mover_world_lead(&world), KAFKA_KAFKA_STORAGE_ERROR);
    assert_true(is_offline(&world));
    log_manager_probe(world.logs);
    assert_int_equal(mover_world_lead(&world), KAFKA_NONE);
    assert_false(is_offline(&world));
    mover_world_check(&world, 5);
    assert_true(mover_world_produce(&world));
    mover_world_release(&world);
}

/* I35: a deletion that belongs to a former topic of the name. */
static void a_former_topics_deletion_passes_it_by(void **state)
{
    (void)state;
    struct mover_world world;
    start_without_room(&world);
    struct mover_world former = world;
    former.topic_generation++;
    mover_world_delete(&former);
    assert_true(is_offline(&world));
    log_manager_probe(world.logs);
    assert_int_equal(mover_world_lead(&world), KAFKA_NONE);
    mover_world_check(&world, 5);
    mover_world_release(&world);
}

static void its_own_deletion_removes_it(void **state)
{
    (void)state;
    struct mover_world world;
    start_without_room(&world);
    int directory = mover_world_directory(&world);
    assert_true(directory >= 0);
    mover_world_delete(&world);
    assert_false(is_offline(&world));
    assert_int_equal(mover_world_directory(&world), -1);
    mover_world_release(&world);
}

/* What cannot be removed when the replica has moved away is removed by a later tick. */
static void a_departed_replica_is_removed_when_the_disk_lets_it(void **state)
{
    (void)state;
    for (int comes_back = 0; comes_back < 2; comes_back++) {
        struct mover_world world;
        mover_world_init(&world, 2);
        assert_int_equal(mover_world_open(&world), 0);
        assert_int_equal(mover_world_lead(&world), KAFKA_NONE);
        assert_true(mover_world_produce(&world));
        mover_world_depart(&world, -1); /* late: an earlier state */
        assert_true(mover_world_directory(&world) >= 0);
        const struct memory_files_fault fault = {.operations = MEMORY_FILES_BIT(MEMORY_FILES_RENAME) |
                                                               MEMORY_FILES_BIT(MEMORY_FILES_REMOVE),
                                                 .error = -ENOSPC,
                                                 .short_bytes = -1,
                                                 .repeat = true,
                                                 .path_part = MOVER_TOPIC "-0"};
        memory_files_set_fault(world.disk, &fault);
        mover_world_depart(&world, INT32_MAX);
        assert_true(memory_files_fault_count(world.disk) > 0);
        assert_true(mover_world_directory(&world) >= 0);
        memory_files_set_fault(world.disk, NULL);
        if (comes_back) /* what was half removed does not serve, but it stays */
            (void)mover_world_lead(&world);
        replica_manager_tick(world.replicas, 1000 * 1000);
        assert_true((mover_world_directory(&world) >= 0) == comes_back);
        mover_world_release(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_answered_for_until_there_is_room),
        cmocka_unit_test(a_former_topics_deletion_passes_it_by),
        cmocka_unit_test(its_own_deletion_removes_it),
        cmocka_unit_test(a_departed_replica_is_removed_when_the_disk_lets_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
