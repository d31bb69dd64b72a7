/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log directory without room: it is read, and takes nothing until there is room again. Nothing goes
 * offline, nothing is lost, nothing is tried in a storm.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/log_directory.h"
#include "proto/kafka/error.h"
#include "tests/unit/log/directories_fixture.h"

static uint64_t writes(struct world *world)
{
    return memory_files_operations(world->disk, MEMORY_FILES_BIT(MEMORY_FILES_WRITE));
}

static void a_full_disk_serves_reads_and_comes_back(void **state)
{
    (void)state;
    struct world world;
    world_fill(&world, 7, 30);
    struct partition_log *log = world_obtain(&world, IN_A, false, 0);
    memory_files_set_capacity(world.disk, memory_files_used_bytes(world.disk) + 500);
    int64_t taken = 30;
    while (world_append(&world, log))
        taken++;
    assert_int_equal(world_directory_info(&world, 0).state, LOG_DIRECTORY_FULL);
    assert_int_equal(world_directory_info(&world, 0).error, -ENOSPC);
    assert_int_equal(world_directory_info(&world, 1).state, LOG_DIRECTORY_ONLINE);
    assert_int_equal(world.changes, 1);
    assert_int_equal(partition_log_failure(log), 0);
    /* No storm of writes, neither of this log nor of its neighbours. */
    uint64_t before = writes(&world);
    for (int i = 0; i < 10; i++) {
        assert_false(world_append(&world, log));
        assert_false(world_append(&world, world_obtain(&world, IN_A + 2, false, 0)));
    }
    assert_int_equal(writes(&world), before);
    struct log_range range;
    assert_int_equal(partition_log_read(log, 0, 100000, taken, true, &range), KAFKA_NONE);
    assert_true(range.length > 0);
    log_range_release(&range);
    assert_int_equal(partition_log_flush(log), 0);
    log_manager_probe(world.manager);
    assert_int_equal(world_directory_info(&world, 0).state, LOG_DIRECTORY_FULL);
    /* A new log goes where there is room. */
    assert_int_equal(log_manager_delete(world.manager, slice_of("orders"), IN_B), 0);
    assert_int_equal(log_manager_remove_due(world.manager, INT64_MAX - 1), INT64_MAX);
    memory_files_set_capacity(world.disk, SIZE_MAX);
    world_obtain(&world, 60, true, 0);
    assert_int_equal(log_manager_directory_of(world.manager, slice_of("orders"), 60), 1);
    log_manager_probe(world.manager);
    assert_int_equal(world_directory_info(&world, 0).state, LOG_DIRECTORY_ONLINE);
    assert_int_equal(world_directory_info(&world, 0).error, 0);
    assert_int_equal(world.changes, 2);
    assert_false(world_exists(&world, "/data/a/.room-probe"));
    assert_true(world_append(&world, log));
    assert_int_equal(log_manager_close(world.manager), 0);
    world_restart(&world, MEMORY_FILES_POWER_CUT);
    assert_int_equal(partition_log_end_offset(world_obtain(&world, IN_A, false, 0)), taken + 1);
    world_release(&world);
}

/* An append makes the batch its own. */
static int16_t append_copy(struct partition_log *log, const struct buffer *bytes)
{
    struct buffer copy;
    struct log_append_result result;
    buffer_init(&copy);
    buffer_append(&copy, bytes->data, bytes->length);
    int16_t error = partition_log_append_as_leader(log, copy.data, copy.length, 9, 0, NOW_MS, &result);
    buffer_release(&copy);
    return error;
}

/* Room for small appends, none for a large one that comes again and again. */
static void a_disk_on_the_brink_does_not_flap(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 19);
    FILE *lines = tmpfile();
    assert_non_null(lines);
    struct logger *logger = logger_new(fileno(lines), LOG_INFO, "test");
    world.options.logger = logger;
    world.options.defaults.segment_bytes = 100 << 20;
    world.options.defaults.max_message_bytes = 20 << 20;
    assert_int_equal(world_open(&world), 0);
    struct partition_log *log = world_obtain(&world, IN_A, true, 0);
    assert_true(world_append(&world, log));
    struct buffer bytes;
    buffer_init(&bytes);
    struct batch_plan plan = batch_plan_plain(1, NOW_MS);
    plan.value_bytes = 12 << 20;
    do {
        buffer_clear(&bytes);
        make_batch(&world.prng, &plan, &bytes);
    } while (bytes.length < (size_t)6 << 20);
    memory_files_set_capacity(world.disk, memory_files_used_bytes(world.disk) + bytes.length - 1000);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(append_copy(log, &bytes), KAFKA_KAFKA_STORAGE_ERROR);
        log_manager_probe(world.manager);
        assert_int_equal(world_directory_info(&world, 0).state, LOG_DIRECTORY_FULL);
    }
    assert_int_equal(world.changes, 1);
    /* Full and not by turns, whoever is to blame: two lines a minute at most. */
    for (int i = 0; i < 20; i++) {
        memory_files_set_capacity(world.disk, SIZE_MAX);
        log_manager_probe(world.manager);
        assert_int_equal(world_directory_info(&world, 0).state, LOG_DIRECTORY_ONLINE);
        memory_files_set_capacity(world.disk, memory_files_used_bytes(world.disk) + 10);
        assert_false(world_append(&world, log));
        assert_int_equal(world_directory_info(&world, 0).state, LOG_DIRECTORY_FULL);
    }
    memory_files_set_capacity(world.disk, SIZE_MAX);
    log_manager_probe(world.manager);
    assert_int_equal(append_copy(log, &bytes), KAFKA_NONE);
    int count = 0;
    char line[1000];
    rewind(lines);
    while (fgets(line, sizeof(line), lines))
        count += strstr(line, "is full") || strstr(line, "has room again");
    assert_int_equal(count, 2);
    buffer_release(&bytes);
    world_release(&world);
    logger_free(logger);
    fclose(lines);
}

/* A log that finds no room to be made leaves no folder, and may be made elsewhere. */
static void a_log_that_could_not_be_made_is_no_log(void **state)
{
    (void)state;
    struct world world;
    world_fill(&world, 9, 1);
    const struct memory_files_fault fault = {.operations = MEMORY_FILES_BIT(MEMORY_FILES_OPEN),
                                             .error = -ENOSPC,
                                             .short_bytes = -1,
                                             .path_part = "/data/a/orders-70/"};
    memory_files_set_fault(world.disk, &fault);
    world_obtain(&world, 70, true, -ENOSPC);
    assert_false(world_exists(&world, "/data/a/orders-70"));
    assert_int_equal(world_directory_info(&world, 0).state, LOG_DIRECTORY_FULL);
    assert_true(world_append(&world, world_obtain(&world, 70, true, 0)));
    assert_int_equal(log_manager_directory_of(world.manager, slice_of("orders"), 70), 1);
    world_restart(&world, MEMORY_FILES_PROCESS_CRASH);
    assert_int_equal(partition_log_end_offset(world_obtain(&world, 70, false, 0)), 1);
    world_release(&world);
}

static void a_start_on_a_full_disk_succeeds(void **state)
{
    (void)state;
    for (int crash = MEMORY_FILES_PROCESS_CRASH; crash <= MEMORY_FILES_POWER_CUT; crash++) {
        struct world world;
        world_fill(&world, 10, 40);
        for (int32_t i = 0; i < PARTITIONS; i++)
            assert_int_equal(partition_log_flush(world_obtain(&world, i, false, 0)), 0);
        world_drop(&world);
        memory_files_crash(world.disk, (enum memory_files_crash)crash);
        memory_files_set_capacity(world.disk, memory_files_used_bytes(world.disk));
        assert_int_equal(world_open(&world), 0);
        for (int32_t i = 0; i < PARTITIONS; i++)
            assert_int_equal(partition_log_end_offset(world_obtain(&world, i, false, 0)), 40);
        memory_files_set_capacity(world.disk, SIZE_MAX);
        log_manager_probe(world.manager);
        for (int32_t i = 0; i < PARTITIONS; i++)
            assert_true(world_append(&world, world_obtain(&world, i, false, 0)));
        assert_int_equal(log_manager_close(world.manager), 0);
        world_release(&world);
    }
}

/* No room for what opening one log must write: that one is left out, and no directory with it. */
static void a_log_that_finds_no_room_is_left_out(void **state)
{
    (void)state;
    struct world world;
    world_fill(&world, 13, 5);
    world_drop(&world);
    memory_files_crash(world.disk, MEMORY_FILES_PROCESS_CRASH);
    const struct memory_files_fault fault = {.operations = MEMORY_FILES_BIT(MEMORY_FILES_LIST),
                                             .after = 2, /* those that look how much there is to check */
                                             .error = -ENOSPC,
                                             .short_bytes = -1,
                                             .path_part = "/data/a/orders-0"};
    memory_files_set_fault(world.disk, &fault);
    assert_int_equal(world_open(&world), 0);
    assert_int_equal(memory_files_fault_count(world.disk), 1);
    memory_files_set_fault(world.disk, NULL);
    assert_int_equal(world_directory_info(&world, IN_A).state, LOG_DIRECTORY_FULL);
    world_obtain(&world, 0, false, -ENOSPC);
    for (int32_t i = 1; i < PARTITIONS; i++)
        assert_int_equal(partition_log_end_offset(world_obtain(&world, i, false, 0)), 5);
    log_manager_probe(world.manager);
    assert_int_equal(partition_log_end_offset(world_obtain(&world, 0, false, 0)), 5);
    assert_true(world_append(&world, world_obtain(&world, 0, false, 0)));
    assert_int_equal(log_manager_close(world.manager), 0);
    world_restart(&world, MEMORY_FILES_PROCESS_CRASH);
    assert_int_equal(partition_log_end_offset(world_obtain(&world, 0, false, 0)), 6);
    world_release(&world);
}

/* What was left out stays what it was: the stop is clean for all others, and the next start recovers it. */
static void a_log_that_is_left_out_keeps_no_stop_from_being_clean(void **state)
{
    (void)state;
    for (int known = 0; known < 2; known++) {
        struct world world;
        world_fill(&world, 14, 5);
        const struct memory_files_fault fault = {.operations = MEMORY_FILES_BIT(MEMORY_FILES_LIST),
                                                 .after = 2,
                                                 .error = -ENOSPC,
                                                 .short_bytes = -1,
                                                 .path_part = "/data/a/orders-0"};
        if (known) { /* a start after a clean stop, whose snapshot says that 5 is the end */
            assert_int_equal(log_manager_close(world.manager), 0);
            world_restart(&world, MEMORY_FILES_PROCESS_CRASH);
            for (int i = 0; i < 3; i++)
                assert_true(world_append(&world, world_obtain(&world, 0, false, 0)));
        }
        world_drop(&world);
        memory_files_crash(world.disk, MEMORY_FILES_PROCESS_CRASH);
        memory_files_set_fault(world.disk, &fault);
        assert_int_equal(world_open(&world), 0);
        assert_int_equal(memory_files_fault_count(world.disk), 1);
        memory_files_set_fault(world.disk, NULL);
        assert_true(log_manager_log_is_left_out(world.manager, slice_of("orders"), 0));
        assert_false(log_manager_log_is_left_out(world.manager, slice_of("orders"), 2));
        /* Without a checkpoint's word the next start would trust what it finds. */
        assert_int_equal(log_manager_close(world.manager), known ? 0 : -ENOSPC);
        assert_int_equal(world_exists(&world, "/data/a/" CLEAN_SHUTDOWN_FILE), known);
        world_restart(&world, MEMORY_FILES_PROCESS_CRASH);
        assert_false(log_manager_log_is_left_out(world.manager, slice_of("orders"), 0));
        struct partition_log *log = world_obtain(&world, 0, false, 0);
        assert_int_equal(partition_log_end_offset(log), known ? 8 : 5);
        assert_true(world_append(&world, log));
        world_release(&world);
    }
}

/* A log is deleted while its checkpoint cannot be written: a namesake must not inherit what that says. */
static void a_deletion_on_a_full_disk_leaves_nothing_behind(void **state)
{
    (void)state;
    struct world world;
    world_fill(&world, 8, 30);
    for (int32_t i = 0; i < PARTITIONS; i++)
        assert_int_equal(partition_log_flush(world_obtain(&world, i, false, 0)), 0);
    const struct recovery_entry entries[] = {{slice_of("orders"), 0, 30, 10, 0},
                                             {slice_of("orders"), 2, 30, 0, 0}};
    assert_int_equal(log_manager_checkpoint_recovery(world.manager, entries, 2), 0);
    memory_files_set_capacity(world.disk, memory_files_used_bytes(world.disk));
    assert_int_equal(log_manager_delete(world.manager, slice_of("orders"), IN_A), 0);
    assert_false(world_exists(&world, "/data/a/orders-0"));
    world_obtain(&world, IN_A, true, -ENOSPC);
    assert_int_equal(world_directory_info(&world, 0).state, LOG_DIRECTORY_FULL);
    memory_files_set_capacity(world.disk, SIZE_MAX);
    log_manager_probe(world.manager);
    struct partition_log *log = world_obtain(&world, IN_A, true, 0);
    assert_int_equal(log_manager_directory_of(world.manager, slice_of("orders"), IN_A), 0);
    for (int i = 0; i < 3; i++)
        assert_true(world_append(&world, log));
    world_restart(&world, MEMORY_FILES_PROCESS_CRASH);
    log = world_obtain(&world, IN_A, false, 0);
    assert_int_equal(partition_log_start_offset(log), 0);
    assert_int_equal(partition_log_end_offset(log), 3);
    world_release(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_disk_serves_reads_and_comes_back),
        cmocka_unit_test(a_disk_on_the_brink_does_not_flap),
        cmocka_unit_test(a_log_that_could_not_be_made_is_no_log),
        cmocka_unit_test(a_start_on_a_full_disk_succeeds),
        cmocka_unit_test(a_log_that_finds_no_room_is_left_out),
        cmocka_unit_test(a_log_that_is_left_out_keeps_no_stop_from_being_clean),
        cmocka_unit_test(a_deletion_on_a_full_disk_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
