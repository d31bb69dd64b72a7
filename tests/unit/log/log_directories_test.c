/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two log directories, one of them in trouble: broken from the start, failing at any operation, gone. The
 * other serves on, nothing durable is lost, and no log is made anew while it may lie in the one that is
 * offline (invariants I5, I6, I12).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/log/directories_fixture.h"

/* ---- at start ---- */

static void directories_are_made(void **state)
{
    (void)state;
    struct world world;
    world_fill(&world, 1, 3);
    assert_int_equal(log_manager_directories_count(world.manager), 2);
    assert_string_equal(world_directory_info(&world, 1).path, "/data/b");
    assert_int_equal(world_directory_info(&world, 1).state, LOG_DIRECTORY_ONLINE);
    assert_int_equal(log_manager_directory_of(world.manager, slice_of("orders"), 9), -1);
    assert_false(log_manager_log_is_offline(world.manager, slice_of("orders"), 1));
    assert_false(log_manager_log_is_offline(world.manager, slice_of("orders"), 9));
    log_manager_probe(world.manager);
    assert_int_equal(world.changes, 0);
    world_release(&world);
}

static void a_broken_directory_is_offline_from_the_start(void **state)
{
    (void)state;
    static const uint32_t broken[] = {
        MEMORY_FILES_BIT(MEMORY_FILES_LOCK), MEMORY_FILES_BIT(MEMORY_FILES_LIST),
        MEMORY_FILES_BIT(MEMORY_FILES_STATUS), MEMORY_FILES_BIT(MEMORY_FILES_OPEN),
        MEMORY_FILES_BIT(MEMORY_FILES_READ)};
    static const int errors[] = {-EIO, -EACCES, -EROFS};
    for (size_t i = 0; i < ARRAY_SIZE(broken) * ARRAY_SIZE(errors); i++) {
        struct world world;
        world_fill(&world, 2, 10);
        world_drop(&world);
        const struct memory_files_fault fault = {.operations = broken[i % ARRAY_SIZE(broken)],
                                                 .error = errors[i / ARRAY_SIZE(broken)],
                                                 .short_bytes = -1,
                                                 .repeat = true,
                                                 .path_part = "/data/b"};
        memory_files_set_fault(world.disk, &fault);
        assert_int_equal(world_open(&world), 0);
        assert_int_equal(world_directory_info(&world, 0).state, LOG_DIRECTORY_ONLINE);
        assert_int_equal(world_directory_info(&world, 1).state, LOG_DIRECTORY_OFFLINE);
        assert_int_equal(world_directory_info(&world, 1).error, fault.error);
        assert_int_equal(log_manager_usable_directories(world.manager), 1);
        assert_int_equal(partition_log_end_offset(world_obtain(&world, IN_A, false, 0)), 10);
        /* I12: what is not found may be there; only what is new may be made. */
        world_obtain(&world, IN_B, false, -EIO);
        assert_true(log_manager_log_is_offline(world.manager, slice_of("orders"), IN_B));
        assert_true(log_manager_log_is_offline(world.manager, slice_of("orders"), 100));
        assert_true(world_append(&world, world_obtain(&world, 100, true, 0)));
        assert_int_equal(log_manager_directory_of(world.manager, slice_of("orders"), 100), 0);
        assert_false(log_manager_log_is_offline(world.manager, slice_of("orders"), 100));
        assert_int_equal(log_manager_close(world.manager), 0);
        memory_files_set_fault(world.disk, NULL);
        assert_false(world_exists(&world, "/data/b/.kafka_cleanshutdown"));
        world_restart(&world, MEMORY_FILES_PROCESS_CRASH);
        for (int32_t partition = 0; partition < PARTITIONS; partition++)
            assert_int_equal(partition_log_end_offset(world_obtain(&world, partition, false, 0)), 10);
        world_release(&world);
    }
}

static void without_any_directory_there_is_no_broker(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 3);
    const struct memory_files_fault fault = {
        .operations = MEMORY_FILES_BIT(MEMORY_FILES_LOCK), .error = -EIO, .short_bytes = -1, .repeat = true};
    memory_files_set_fault(world.disk, &fault);
    assert_int_equal(world_open(&world), -EIO);
    assert_non_null(strstr(buffer_string(&world.error), "/data/b"));
    world_release(&world);
}

/* EIO while recovering is no torn tail: nothing is cut, the directory goes offline, the other is served. */
static void an_unreadable_log_takes_its_directory_only(void **state)
{
    (void)state;
    for (int threads = 0; threads <= 2; threads++) {
        struct world world;
        world_fill(&world, 4, 40);
        world.options.recovery_threads = threads;
        world_drop(&world);
        memory_files_crash(world.disk, MEMORY_FILES_PROCESS_CRASH);
        const struct memory_files_fault fault = {.operations = MEMORY_FILES_BIT(MEMORY_FILES_READ),
                                                 .after = 1,
                                                 .error = -EIO,
                                                 .short_bytes = -1,
                                                 .repeat = true,
                                                 .path_part = "/data/b/orders-1/"};
        memory_files_set_fault(world.disk, &fault);
        assert_int_equal(world_open(&world), 0);
        assert_int_equal(world_directory_info(&world, 1).error, -EIO);
        assert_int_equal(log_manager_directory_of(world.manager, slice_of("orders"), IN_B), 1);
        world_obtain(&world, IN_B, true, -EIO);
        assert_int_equal(log_manager_delete(world.manager, slice_of("orders"), IN_B), -EIO);
        assert_true(world_append(&world, world_obtain(&world, IN_A, false, 0)));
        world_restart(&world, MEMORY_FILES_PROCESS_CRASH);
        assert_int_equal(partition_log_end_offset(world_obtain(&world, IN_A, false, 0)), 41);
        for (int32_t partition = 1; partition < PARTITIONS; partition++)
            assert_int_equal(partition_log_end_offset(world_obtain(&world, partition, false, 0)), 40);
        world_release(&world);
    }
}

/* ---- in life ---- */

static void nothing_is_written_to_a_failed_directory(void **state)
{
    (void)state;
    static const int errors[] = {-EIO, -EROFS};
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
        struct world world;
        world_fill(&world, 5, 20);
        struct partition_log *in_a = world_obtain(&world, IN_A, false, 0),
                             *in_b = world_obtain(&world, IN_B, false, 0);
        struct memory_files_fault fault = {.operations = MEMORY_FILES_BIT(MEMORY_FILES_WRITE),
                                           .error = errors[i],
                                           .short_bytes = -1,
                                           .path_part = "/data/b/orders-1/"};
        memory_files_set_fault(world.disk, &fault);
        assert_false(world_append(&world, in_b));
        assert_int_equal(world.changes, 1);
        /* From now on whatever reaches that directory is counted. */
        fault = (struct memory_files_fault){.operations = MEMORY_FILES_CHANGING_OPERATIONS,
                                            .error = -EIO,
                                            .short_bytes = -1,
                                            .repeat = true,
                                            .path_part = "/data/b"};
        memory_files_set_fault(world.disk, &fault);
        assert_false(world_append(&world, in_b));
        assert_true(world_append(&world, world_obtain(&world, IN_A, false, 0)));
        assert_true(world_append(&world, in_a));
        world_obtain(&world, IN_B, false, -EIO);
        world_obtain(&world, IN_B + 2, true, -EIO);
        world_obtain(&world, 50, false, -EIO);
        assert_true(world_append(&world, world_obtain(&world, 51, true, 0)));
        const struct recovery_entry recovery = {slice_of("orders"), IN_B, 5, 0, 0};
        const struct high_watermark_entry watermark = {slice_of("orders"), IN_B, 5, 0};
        assert_int_equal(log_manager_checkpoint_recovery(world.manager, &recovery, 1), 0);
        assert_int_equal(log_manager_checkpoint_high_watermarks(world.manager, &watermark, 1), 0);
        assert_int_equal(log_manager_delete(world.manager, slice_of("orders"), IN_B), -EIO);
        log_manager_probe(world.manager);
        assert_int_equal(log_manager_close(world.manager), 0);
        assert_int_equal(memory_files_fault_count(world.disk), 0);
        assert_true(world_exists(&world, "/data/a/.kafka_cleanshutdown"));
        assert_false(world_exists(&world, "/data/b/.kafka_cleanshutdown"));
        assert_int_equal(world.changes, 1);
        world_restart(&world, MEMORY_FILES_PROCESS_CRASH);
        assert_int_equal(partition_log_end_offset(world_obtain(&world, IN_A, false, 0)), 22);
        assert_int_equal(partition_log_end_offset(world_obtain(&world, IN_B, false, 0)), 20);
        world_release(&world);
    }
}

static void a_directory_that_vanishes_is_noticed(void **state)
{
    (void)state;
    struct world world;
    world_fill(&world, 6, 2);
    assert_int_equal(file_system_remove(world.options.files, "/data/b/meta.properties"), 0);
    log_manager_probe(world.manager);
    assert_int_equal(world_directory_info(&world, 1).state, LOG_DIRECTORY_OFFLINE);
    assert_int_equal(world_directory_info(&world, 0).state, LOG_DIRECTORY_ONLINE);
    assert_int_equal(world.changes, 1);
    assert_true(partition_log_failure(world_obtain(&world, IN_A, false, 0)) == 0);
    world_release(&world);
}

/* What was in the logs at the last moment at which all of it was durable. */
struct counts {
    int64_t appended[PARTITIONS];
    int64_t durable[PARTITIONS];
};

/* A life with rolls, flushes, truncations of the start, deletions and checkpoints. */
static void live(struct world *world, struct counts *counts)
{
    for (int step = 0; step < 80; step++) {
        for (int32_t i = 0; i < PARTITIONS; i++) {
            struct partition_log *log = log_manager_find(world->manager, slice_of("orders"), i);
            if (log && world_append(world, log))
                counts->appended[i]++;
            if (log && step % 16 == 5 && partition_log_flush(log) == 0)
                counts->durable[i] = partition_log_recovery_point(log);
        }
        if (step % 20 != 10)
            continue;
        struct recovery_entry entries[PARTITIONS];
        for (int32_t i = 0; i < PARTITIONS; i++)
            entries[i] = (struct recovery_entry){slice_of("orders"), i, counts->durable[i], 0, 0};
        int ignored = log_manager_checkpoint_recovery(world->manager, entries, PARTITIONS);
        (void)ignored;
        log_manager_probe(world->manager);
    }
    if (log_manager_close(world->manager) == 0 &&
        world_directory_info(world, 1).state != LOG_DIRECTORY_OFFLINE)
        memcpy(counts->durable, counts->appended, sizeof(counts->durable));
}

/* Whether the fault struck. */
static bool fail_at(uint32_t operations, int error, uint64_t after, enum memory_files_crash crash)
{
    struct world world;
    struct counts counts = {{0}, {0}};
    world_fill(&world, 1000 + after, 0);
    const struct memory_files_fault fault = {
        .operations = operations, .after = after, .error = error, .short_bytes = -1, .path_part = "/data/b"};
    memory_files_set_fault(world.disk, &fault);
    live(&world, &counts);
    bool struck = memory_files_fault_count(world.disk) > 0;
    assert_int_equal(world_directory_info(&world, 0).state, LOG_DIRECTORY_ONLINE);
    for (int32_t i = 0; i < PARTITIONS; i += 2)
        assert_int_equal(counts.appended[i], 80);
    assert_true(world_exists(&world, "/data/a/.kafka_cleanshutdown"));
    world_restart(&world, crash);
    for (int32_t i = 0; i < PARTITIONS; i++) {
        /* A sync that failed has lost what it was to bring to the disk, and a start believes the disk. */
        bool kept =
            crash == MEMORY_FILES_PROCESS_CRASH && !(operations & MEMORY_FILES_BIT(MEMORY_FILES_SYNC));
        int64_t least = kept ? counts.appended[i] : counts.durable[i];
        if (i % 2 == 0)
            least = 80;
        /* A write that failed may be there all the same: nobody was told that it is not. */
        assert_in_range(partition_log_end_offset(world_obtain(&world, i, false, 0)), least, 80);
    }
    world_release(&world);
    return struck;
}

static void every_failure_leaves_the_other_directory_alone(void **state)
{
    (void)state;
    static const uint32_t kinds[] = {MEMORY_FILES_BIT(MEMORY_FILES_SYNC) |
                                         MEMORY_FILES_BIT(MEMORY_FILES_SYNC_DIRECTORY),
                                     MEMORY_FILES_BIT(MEMORY_FILES_WRITE),
                                     MEMORY_FILES_BIT(MEMORY_FILES_READ), MEMORY_FILES_ALL_OPERATIONS};
    for (size_t kind = 0; kind < ARRAY_SIZE(kinds); kind++) {
        for (int crash = MEMORY_FILES_PROCESS_CRASH; crash <= MEMORY_FILES_POWER_CUT; crash++) {
            uint64_t after = 0;
            while (fail_at(kinds[kind], -EIO, after, (enum memory_files_crash)crash))
                after += kind == ARRAY_SIZE(kinds) - 1 ? 3 : 1;
        }
    }
}

/* No room at any one operation: nothing goes offline, nothing is lost. */
static void no_room_at_any_operation_is_survived(void **state)
{
    (void)state;
    static const uint32_t kinds[] = {MEMORY_FILES_BIT(MEMORY_FILES_WRITE) |
                                     MEMORY_FILES_BIT(MEMORY_FILES_OPEN)};
    for (uint64_t after = 0;; after++) {
        struct world world;
        struct counts counts = {{0}, {0}};
        world_fill(&world, 3000 + after, 0);
        const struct memory_files_fault fault = {.operations = kinds[0],
                                                 .after = after,
                                                 .error = -ENOSPC,
                                                 .short_bytes = -1,
                                                 .path_part = "/data/b"};
        memory_files_set_fault(world.disk, &fault);
        live(&world, &counts);
        bool struck = memory_files_fault_count(world.disk) > 0;
        for (size_t i = 0; i < 2; i++)
            assert_int_not_equal(world_directory_info(&world, i).state, LOG_DIRECTORY_OFFLINE);
        world_restart(&world, MEMORY_FILES_PROCESS_CRASH);
        for (int32_t i = 0; i < PARTITIONS; i++) {
            assert_int_equal(partition_log_end_offset(world_obtain(&world, i, false, 0)), counts.appended[i]);
            assert_true(world_append(&world, world_obtain(&world, i, false, 0)));
        }
        world_release(&world);
        if (!struck)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(directories_are_made),
        cmocka_unit_test(a_broken_directory_is_offline_from_the_start),
        cmocka_unit_test(without_any_directory_there_is_no_broker),
        cmocka_unit_test(an_unreadable_log_takes_its_directory_only),
        cmocka_unit_test(nothing_is_written_to_a_failed_directory),
        cmocka_unit_test(a_directory_that_vanishes_is_noticed),
        cmocka_unit_test(every_failure_leaves_the_other_directory_alone),
        cmocka_unit_test(no_room_at_any_operation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
