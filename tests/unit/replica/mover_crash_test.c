/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A broker ends at each file operation of a move, its process or its power, with records produced meanwhile.
 * Whenever it starts again there is one log, with all that was durable, and the move comes to its end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/kafka/error.h"
#include "tests/unit/replica/mover_fixture.h"

#define PATIENCE_MS 60000

/* Produces, flushes and moves until the disk stops, or all is done. */
static void work(struct mover_world *world)
{
    if (mover_world_order(world, "/b") != KAFKA_NONE)
        return;
    for (int i = 0; i < 400 && mover_world_is_moving(world) && !memory_files_is_stopped(world->disk); i++) {
        if (i < 8) {
            if (!mover_world_produce(world) || (i % 2 == 0 && !mover_world_flush(world)))
                return;
            if (i == 4 && !mover_world_truncate(world, world->end - 3))
                return;
        }
        if (!mover_run(world->mover))
            world->now_ms += 1000;
    }
}

static void assert_one_folder(struct mover_world *world)
{
    assert_int_equal(mover_world_folders(world, "/a", "") + mover_world_folders(world, "/b", ""), 1);
}

/* False: the work was done before the crash. *twins counts those that left two folders of one name. */
static bool crash_at(uint64_t after, enum memory_files_crash crash, uint64_t seed, uint64_t *twins)
{
    struct mover_world world;
    mover_world_init(&world, seed);
    assert_int_equal(mover_world_open(&world), 0);
    assert_int_equal(mover_world_lead(&world), KAFKA_NONE);
    for (int i = 0; i < 60; i++)
        assert_true(mover_world_produce(&world));
    assert_true(mover_world_flush(&world));
    assert_int_equal(replica_manager_checkpoint_recovery(world.replicas, LOG_DIRECTORIES_ALL), 0);
    memory_files_stop_after(world.disk, after);
    /* What a truncation had cut may be back after a crash, with what was there before. */
    work(&world);
    bool stopped = memory_files_is_stopped(world.disk);
    mover_world_drop(&world);
    memory_files_crash(world.disk, crash);
    *twins += mover_world_folders(&world, "/a", "") + mover_world_folders(&world, "/b", "") == 2;
    assert_int_equal(mover_world_open(&world), 0);
    assert_int_equal(mover_world_lead(&world), KAFKA_NONE);
    assert_one_folder(&world);
    mover_world_check_durable(&world);
    mover_world_order(&world, "/b");
    mover_world_run(&world, PATIENCE_MS);
    assert_int_equal(mover_world_directory(&world), 1);
    assert_one_folder(&world);
    assert_int_equal(mover_world_folders(&world, "/b", "-future"), 0);
    mover_world_check_durable(&world);
    int64_t end = mover_world_end(&world);
    assert_int_equal(mover_world_stop(&world), 0);
    assert_int_equal(mover_world_open(&world), 0);
    assert_int_equal(mover_world_lead(&world), KAFKA_NONE);
    assert_int_equal(mover_world_end(&world), end);
    mover_world_check_durable(&world);
    mover_world_release(&world);
    return stopped;
}

static void run_all(enum memory_files_crash crash, uint64_t seeds)
{
    uint64_t points = 0, twins = 0;
    for (uint64_t seed = 1; seed <= seeds; seed++)
        for (uint64_t after = 0; crash_at(after, crash, seed, &twins); after++)
            points++;
    print_message("%llu points, at %llu of them two folders of one name\n", (unsigned long long)points,
                  (unsigned long long)twins);
    assert_true(points > 100 && twins > 0);
}

static void the_process_ends_anywhere(void **state)
{
    (void)state;
    run_all(MEMORY_FILES_PROCESS_CRASH, 1);
}

static void the_power_goes_anywhere(void **state)
{
    (void)state;
    run_all(MEMORY_FILES_POWER_CUT, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_process_ends_anywhere),
        cmocka_unit_test(the_power_goes_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
