/* SPDX-License-Identifier: Apache-2.0 */
/* Moves of a log between directories while it serves: what happens to it meanwhile, and to the directories.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/clock.h"
#include "proto/kafka/error.h"
#include "tests/unit/replica/mover_fixture.h"

#define PATIENCE_MS 60000

static void begin(struct mover_world *world, uint64_t seed, int records)
{
    mover_world_init(world, seed);
    assert_int_equal(mover_world_open(world), 0);
    assert_int_equal(mover_world_lead(world), KAFKA_NONE);
    for (int i = 0; i < records; i++)
        assert_true(mover_world_produce(world));
    assert_int_equal(mover_world_directory(world), 0);
}

/* One live log, in that directory, and nothing else of it anywhere. */
static void assert_only_in(struct mover_world *world, int directory)
{
    static const char *const paths[] = {"/a", "/b", "/c"};
    assert_int_equal(mover_world_directory(world), directory);
    for (int i = 0; i < MOVER_DIRECTORIES; i++) {
        assert_int_equal(mover_world_folders(world, paths[i], "-future"), 0);
        assert_int_equal(mover_world_folders(world, paths[i], "-delete"), 0);
        assert_int_equal(mover_world_folders(world, paths[i], ""), i == directory ? 1 : 0);
    }
}

static void a_log_moves_and_stays_through_restarts(void **state)
{
    (void)state;
    struct mover_world world;
    begin(&world, 1, 200);
    assert_int_equal(mover_world_order(&world, "/b"), KAFKA_NONE);
    mover_world_run(&world, PATIENCE_MS);
    assert_only_in(&world, 1);
    mover_world_check(&world, 200);
    for (int i = 0; i < 50; i++)
        assert_true(mover_world_produce(&world));
    mover_world_check(&world, 250);
    assert_int_equal(mover_world_stop(&world), 0);
    assert_int_equal(mover_world_open(&world), 0);
    assert_int_equal(mover_world_lead(&world), KAFKA_NONE);
    mover_world_check(&world, 250);
    assert_int_equal(mover_world_order(&world, "/a"), KAFKA_NONE);
    mover_world_run(&world, PATIENCE_MS);
    assert_only_in(&world, 0);
    mover_world_check(&world, 250);
    mover_world_release(&world);
}

static void an_empty_log_moves(void **state)
{
    (void)state;
    struct mover_world world;
    begin(&world, 2, 0);
    assert_int_equal(mover_world_order(&world, "/c"), KAFKA_NONE);
    mover_world_run(&world, PATIENCE_MS);
    assert_only_in(&world, 2);
    assert_true(mover_world_produce(&world));
    mover_world_check(&world, 1);
    mover_world_release(&world);
}

/* Appends, truncations and deletions of records between any two steps. */
static void what_happens_meanwhile_is_followed(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        struct mover_world world;
        begin(&world, seed, 100);
        assert_int_equal(mover_world_order(&world, "/b"), KAFKA_NONE);
        for (int i = 0; i < 60 && mover_world_is_moving(&world); i++) {
            uint64_t draw = prng_below(&world.prng, 10);
            if (draw < 6)
                for (uint64_t n = prng_below(&world.prng, 20); n > 0; n--)
                    assert_true(mover_world_produce_batch(&world, 1 + (int)(n % 4)));
            else if (draw < 8 && world.end > world.start)
                assert_true(mover_world_truncate(
                    &world,
                    world.start + 1 + (int64_t)prng_below(&world.prng, (uint64_t)(world.end - world.start))));
            else if (draw < 9)
                assert_true(mover_world_advance_start(
                    &world, world.start + (int64_t)prng_below(&world.prng,
                                                              (uint64_t)(world.end - world.start) / 4 + 1)));
            mover_run(world.mover);
        }
        mover_world_run(&world, PATIENCE_MS);
        if (mover_world_directory(&world) != 1)
            fail_msg("seed %llu: not moved", (unsigned long long)seed);
        assert_only_in(&world, 1);
        mover_world_check(&world, world.end);
        assert_true(mover_world_produce(&world));
        mover_world_check(&world, world.end);
        mover_world_release(&world);
    }
}

static void a_move_is_cancelled_and_redirected(void **state)
{
    (void)state;
    struct mover_world world;
    begin(&world, 3, 300);
    assert_int_equal(mover_world_order(&world, "/a"), KAFKA_NONE);
    assert_false(mover_world_is_moving(&world));
    assert_int_equal(mover_world_order(&world, "/nowhere"), KAFKA_LOG_DIR_NOT_FOUND);
    assert_int_equal(mover_world_order(&world, "/b"), KAFKA_NONE);
    assert_true(mover_run(world.mover));
    assert_int_equal(mover_world_folders(&world, "/b", "-future"), 1);
    assert_int_equal(mover_world_order(&world, "/a"), KAFKA_NONE);
    mover_world_run(&world, PATIENCE_MS);
    assert_false(mover_world_is_moving(&world));
    assert_only_in(&world, 0);
    assert_int_equal(mover_world_order(&world, "/b"), KAFKA_NONE);
    assert_true(mover_run(world.mover));
    assert_int_equal(mover_world_order(&world, "/c"), KAFKA_NONE);
    mover_world_run(&world, PATIENCE_MS);
    assert_only_in(&world, 2);
    mover_world_check(&world, 300);
    mover_world_release(&world);
}

static void a_stop_interrupts_and_a_start_goes_on(void **state)
{
    (void)state;
    for (int clean = 0; clean < 2; clean++) {
        struct mover_world world;
        begin(&world, 4, 300);
        assert_true(mover_world_flush(&world));
        assert_int_equal(mover_world_order(&world, "/b"), KAFKA_NONE);
        assert_true(mover_run(world.mover));
        if (clean) {
            assert_int_equal(mover_world_stop(&world), 0);
        } else {
            mover_world_drop(&world);
            memory_files_crash(world.disk, MEMORY_FILES_POWER_CUT);
        }
        assert_int_equal(mover_world_open(&world), 0);
        assert_true(mover_world_is_moving(&world));
        mover_world_run(&world, 1000); /* it waits for the controller's word */
        assert_int_equal(mover_world_directory(&world), 0);
        assert_int_equal(mover_world_lead(&world), KAFKA_NONE);
        mover_world_run(&world, PATIENCE_MS);
        assert_only_in(&world, 1);
        mover_world_check(&world, 300);
        mover_world_release(&world);
    }
}

static void a_deleted_partition_takes_its_move_along(void **state)
{
    (void)state;
    struct mover_world world;
    begin(&world, 5, 300);
    assert_int_equal(mover_world_order(&world, "/b"), KAFKA_NONE);
    assert_true(mover_run(world.mover));
    mover_world_delete(&world);
    world.topic_generation++;
    world.leader_epoch = 0;
    assert_int_equal(mover_world_lead(&world), KAFKA_NONE); /* a new topic of that name, at once */
    assert_true(mover_world_produce(&world));
    int directory = mover_world_directory(&world);
    mover_world_run(&world, PATIENCE_MS);
    assert_false(mover_world_is_moving(&world));
    assert_only_in(&world, directory);
    mover_world_check(&world, 1);
    mover_world_delete(&world);
    mover_world_release(&world);
}

static void a_full_target_is_waited_for(void **state)
{
    (void)state;
    struct mover_world world;
    begin(&world, 6, 300);
    memory_files_set_capacity(world.disk, memory_files_used_bytes(world.disk) + 5000);
    assert_int_equal(mover_world_order(&world, "/b"), KAFKA_NONE);
    mover_world_run(&world, PATIENCE_MS);
    assert_true(mover_world_is_moving(&world));
    assert_int_equal(mover_world_directory(&world), 0);
    mover_world_check(&world, 300);
    memory_files_set_capacity(world.disk, SIZE_MAX);
    log_manager_probe(world.logs);
    mover_world_run(&world, PATIENCE_MS);
    assert_only_in(&world, 1);
    mover_world_check(&world, 300);
    mover_world_release(&world);
}

/* At each of its operations in turn. */
static void a_failing_target_costs_only_the_move(void **state)
{
    (void)state;
    for (uint64_t after = 0;; after++) {
        struct mover_world world;
        begin(&world, 7, 120);
        const struct memory_files_fault fault = {.operations = MEMORY_FILES_CHANGING_OPERATIONS,
                                                 .after = after,
                                                 .error = -EIO,
                                                 .short_bytes = -1,
                                                 .repeat = true,
                                                 .path_part = "/b/"};
        memory_files_set_fault(world.disk, &fault);
        assert_int_equal(mover_world_order(&world, "/b"), KAFKA_NONE);
        mover_world_run(&world, PATIENCE_MS);
        bool struck = memory_files_fault_count(world.disk) > 0;
        memory_files_set_fault(world.disk, NULL);
        assert_false(mover_world_is_moving(&world));
        if (mover_world_directory(&world) == 0) {
            assert_true(struck);
            assert_true(mover_world_produce(&world));
            mover_world_check(&world, 121);
        }
        mover_world_release(&world);
        if (!struck)
            return;
    }
}

/* Room ends at each of its operations in turn, and is there again later. */
static void a_target_without_room_costs_only_time(void **state)
{
    (void)state;
    for (uint64_t after = 0;; after++) {
        struct mover_world world;
        begin(&world, 14, 120);
        const struct memory_files_fault fault = {.operations = MEMORY_FILES_CHANGING_OPERATIONS &
                                                               ~MEMORY_FILES_BIT(MEMORY_FILES_SYNC) &
                                                               ~MEMORY_FILES_BIT(MEMORY_FILES_SYNC_DIRECTORY),
                                                 .after = after,
                                                 .error = -ENOSPC,
                                                 .short_bytes = -1,
                                                 .repeat = true,
                                                 .path_part = "/b/"};
        memory_files_set_fault(world.disk, &fault);
        assert_int_equal(mover_world_order(&world, "/b"), KAFKA_NONE);
        mover_world_run(&world, 10000);
        bool struck = memory_files_fault_count(world.disk) > 0;
        memory_files_set_fault(world.disk, NULL);
        mover_world_check(&world, 120);
        log_manager_probe(world.logs);
        mover_world_run(&world, PATIENCE_MS);
        mover_world_check(&world, 120);
        /* Where a cut or a name could not be undone, the directory has gone offline. */
        if (mover_world_directory(&world) == 1)
            assert_only_in(&world, 1);
        else
            assert_int_equal(log_manager_usable_directories(world.logs), MOVER_DIRECTORIES - 1);
        mover_world_release(&world);
        if (!struck)
            return;
    }
}

/* The disk of the live log fails at each operation in turn: after a repair all that was durable is there. */
static void a_failing_source_loses_nothing(void **state)
{
    (void)state;
    for (uint64_t after = 0;; after++) {
        struct mover_world world;
        begin(&world, 15, 120);
        assert_true(mover_world_flush(&world));
        const struct memory_files_fault fault = {.operations = MEMORY_FILES_ALL_OPERATIONS,
                                                 .after = after,
                                                 .error = -EIO,
                                                 .short_bytes = -1,
                                                 .repeat = true,
                                                 .path_part = "/a"};
        memory_files_set_fault(world.disk, &fault);
        assert_int_equal(mover_world_order(&world, "/b"), KAFKA_NONE);
        mover_world_run(&world, 10000);
        bool struck = memory_files_fault_count(world.disk) > 0;
        memory_files_set_fault(world.disk, NULL);
        mover_world_drop(&world);
        memory_files_crash(world.disk, MEMORY_FILES_POWER_CUT);
        assert_int_equal(mover_world_open(&world), 0);
        assert_int_equal(mover_world_lead(&world), KAFKA_NONE);
        mover_world_check_durable(&world);
        mover_world_run(&world, PATIENCE_MS);
        mover_world_check_durable(&world);
        mover_world_release(&world);
        if (!struck)
            return;
    }
}

/* The live folder cannot be renamed, and neither can the new one back: two folders of that name, of which the
 * live one goes on. */
static void of_two_folders_the_longer_is_the_log(void **state)
{
    (void)state;
    struct mover_world world;
    begin(&world, 8, 100);
    assert_int_equal(mover_world_order(&world, "/b"), KAFKA_NONE);
    const struct memory_files_fault fault = {.operations = MEMORY_FILES_BIT(MEMORY_FILES_RENAME),
                                             .error = -EACCES,
                                             .short_bytes = -1,
                                             .repeat = true,
                                             .path_part = "/topic-0"};
    /* The first renaming of a folder is the one of the future log; checkpoints are other names. */
    struct memory_files_fault later = fault;
    for (later.after = 0; later.after < 40; later.after++) {
        memory_files_set_fault(world.disk, &later);
        mover_world_run(&world, 1000);
        memory_files_set_fault(world.disk, NULL);
        if (mover_world_folders(&world, "/a", "") + mover_world_folders(&world, "/b", "") == 2 ||
            mover_world_directory(&world) == 1)
            break;
        mover_world_run(&world, 0);
    }
    assert_true(mover_world_produce(&world));
    assert_true(mover_world_flush(&world));
    mover_world_drop(&world);
    memory_files_crash(world.disk, MEMORY_FILES_PROCESS_CRASH);
    assert_int_equal(mover_world_open(&world), 0);
    assert_int_equal(mover_world_lead(&world), KAFKA_NONE);
    mover_world_check(&world, 101);
    mover_world_run(&world, PATIENCE_MS);
    mover_world_check(&world, 101);
    mover_world_release(&world);
}

static void a_gap_at_the_end_is_copied(void **state)
{
    (void)state;
    struct mover_world world;
    begin(&world, 11, 100);
    mover_world_skip(&world, 50);
    assert_int_equal(mover_world_order(&world, "/b"), KAFKA_NONE);
    mover_world_run(&world, PATIENCE_MS);
    assert_only_in(&world, 1);
    assert_int_equal(mover_world_end(&world), 150);
    assert_true(mover_world_produce(&world));
    assert_int_equal(mover_world_stop(&world), 0);
    assert_int_equal(mover_world_open(&world), 0);
    assert_int_equal(mover_world_lead(&world), KAFKA_NONE);
    assert_int_equal(mover_world_end(&world), 151);
    mover_world_release(&world);
}

static void cleaning_pauses_while_a_log_is_copied(void **state)
{
    (void)state;
    struct mover_world world;
    begin(&world, 12, 300);
    assert_int_equal(mover_world_order(&world, "/b"), KAFKA_NONE);
    assert_true(mover_run(world.mover));
    assert_true(mover_world_cleaning_is_paused(&world));
    assert_int_equal(mover_world_order(&world, "/a"), KAFKA_NONE);
    mover_world_run(&world, PATIENCE_MS);
    assert_false(mover_world_cleaning_is_paused(&world));
    assert_int_equal(mover_world_order(&world, "/b"), KAFKA_NONE);
    assert_true(mover_run(world.mover));
    assert_int_equal(mover_world_stop(&world), 0);
    assert_int_equal(mover_world_open(&world), 0);
    assert_int_equal(mover_world_lead(&world), KAFKA_NONE);
    assert_true(mover_world_cleaning_is_paused(&world)); /* before the mover has looked */
    mover_world_run(&world, PATIENCE_MS);
    assert_only_in(&world, 1);
    assert_false(mover_world_cleaning_is_paused(&world));
    mover_world_release(&world);
}

/* To and fro by threads, as fast as they can, under a producer that flushes. */
static void threads_move_while_others_produce(void **state)
{
    (void)state;
    static const char *const paths[] = {"/b", "/c", "/a"};
    struct mover_world world;
    mover_world_init(&world, 13);
    world.threads = 2;
    assert_int_equal(mover_world_open(&world), 0);
    assert_int_equal(mover_world_lead(&world), KAFKA_NONE);
    int64_t deadline_ms = clock_monotonic_ms() + PATIENCE_MS;
    for (int turn = 0; turn < 12; turn++) {
        assert_int_equal(mover_world_order(&world, paths[turn % 3]), KAFKA_NONE);
        for (int i = 0; mover_world_is_moving(&world); i++) {
            assert_true(clock_monotonic_ms() < deadline_ms);
            if (i < 100)
                assert_true(mover_world_produce(&world));
            if (i % 16 == 0)
                assert_true(mover_world_flush(&world));
        }
        assert_int_equal(mover_world_directory(&world), (turn + 1) % 3);
    }
    mover_world_check(&world, world.end);
    mover_world_release(&world);
}

static void a_replica_is_made_where_it_is_wanted(void **state)
{
    (void)state;
    struct mover_world world;
    mover_world_init(&world, 9);
    assert_int_equal(mover_world_open(&world), 0);
    assert_int_equal(mover_world_order(&world, "/c"), KAFKA_REPLICA_NOT_AVAILABLE);
    assert_int_equal(mover_world_lead(&world), KAFKA_NONE);
    assert_int_equal(mover_world_directory(&world), 2);
    mover_world_release(&world);
}

static void a_throttled_move_takes_its_time(void **state)
{
    (void)state;
    struct mover_world world;
    mover_world_init(&world, 10);
    world.bytes_per_second = 1000;
    assert_int_equal(mover_world_open(&world), 0);
    assert_int_equal(mover_world_lead(&world), KAFKA_NONE);
    for (int i = 0; i < 200; i++)
        assert_true(mover_world_produce(&world));
    int64_t begin_ms = world.now_ms;
    assert_int_equal(mover_world_order(&world, "/b"), KAFKA_NONE);
    mover_world_run(&world, 10 * PATIENCE_MS);
    assert_only_in(&world, 1);
    assert_true(world.now_ms - begin_ms > 10000);
    mover_world_check(&world, 200);
    mover_world_release(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_moves_and_stays_through_restarts),
        cmocka_unit_test(an_empty_log_moves),
        cmocka_unit_test(what_happens_meanwhile_is_followed),
        cmocka_unit_test(a_move_is_cancelled_and_redirected),
        cmocka_unit_test(a_stop_interrupts_and_a_start_goes_on),
        cmocka_unit_test(a_deleted_partition_takes_its_move_along),
        cmocka_unit_test(a_full_target_is_waited_for),
        cmocka_unit_test(a_failing_target_costs_only_the_move),
        cmocka_unit_test(a_target_without_room_costs_only_time),
        cmocka_unit_test(a_failing_source_loses_nothing),
        cmocka_unit_test(of_two_folders_the_longer_is_the_log),
        cmocka_unit_test(a_gap_at_the_end_is_copied),
        cmocka_unit_test(cleaning_pauses_while_a_log_is_copied),
        cmocka_unit_test(threads_move_while_others_produce),
        cmocka_unit_test(a_replica_is_made_where_it_is_wanted),
        cmocka_unit_test(a_throttled_move_takes_its_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
