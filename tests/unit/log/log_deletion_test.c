/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logs that are deleted: their folders wait for their time and go, in this life or in the next, also where
 * there is room for nothing.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/log/directories_fixture.h"

static void leftover_folders_are_removed_or_kept(void **state)
{
    (void)state;
    struct world world;
    world_init_directories(&world, 5);
    struct file_system *files = world.options.files;
    const char *gone = "/data/a/orders-0.0123456789abcdef0123456789abcdef-delete";
    const char *stray = "/data/a/orders-1.0123456789abcdef0123456789abcdef-stray";
    assert_int_equal(file_system_make_directory(files, gone), 0);
    assert_int_equal(file_system_make_directory(files, stray), 0);
    assert_int_equal(file_system_make_directory(files, "/data/a/lost+found"), 0);
    assert_int_equal(world_open(&world), 0);
    assert_true(world_exists(&world, gone));
    assert_int_equal(log_manager_remove_due(world.manager, 0), INT64_MAX);
    assert_false(world_exists(&world, gone));
    assert_true(world_exists(&world, stray));
    assert_null(log_manager_find(world.manager, slice_of("orders"), 1));
    world_release(&world);
}

static void a_deleted_folder_waits_for_its_time(void **state)
{
    (void)state;
    struct world world;
    world_fill(&world, 11, 5);
    world.options.defaults.file_delete_delay_ms = 60000;
    assert_int_equal(log_manager_delete(world.manager, slice_of("orders"), IN_A), 0);
    size_t used = memory_files_used_bytes(world.disk);
    assert_int_equal(log_manager_remove_due(world.manager, NOW_MS), NOW_MS + 60000);
    assert_int_equal(memory_files_used_bytes(world.disk), used);
    assert_int_equal(log_manager_remove_due(world.manager, NOW_MS + 60000), INT64_MAX);
    assert_true(memory_files_used_bytes(world.disk) < used);
    /* A life that ends before: the next one removes it at once. */
    assert_int_equal(log_manager_delete(world.manager, slice_of("orders"), IN_B), 0);
    world_restart(&world, MEMORY_FILES_PROCESS_CRASH);
    used = memory_files_used_bytes(world.disk);
    assert_int_equal(log_manager_directory_of(world.manager, slice_of("orders"), IN_B), -1);
    assert_int_equal(log_manager_remove_due(world.manager, 0), INT64_MAX);
    assert_true(memory_files_used_bytes(world.disk) < used);
    world_release(&world);
}

static void a_removal_that_failed_is_tried_again(void **state)
{
    (void)state;
    struct world world;
    world_fill(&world, 14, 5);
    assert_int_equal(log_manager_delete(world.manager, slice_of("orders"), IN_A), 0);
    size_t used = memory_files_used_bytes(world.disk);
    const struct memory_files_fault fault = {
        .operations = MEMORY_FILES_BIT(MEMORY_FILES_LIST), .error = -EMFILE, .short_bytes = -1};
    memory_files_set_fault(world.disk, &fault);
    int64_t due_ms = NOW_MS + world.options.defaults.file_delete_delay_ms;
    int64_t again_ms = log_manager_remove_due(world.manager, due_ms);
    assert_int_equal(memory_files_fault_count(world.disk), 1);
    assert_true(again_ms > due_ms && again_ms < INT64_MAX);
    assert_int_equal(memory_files_used_bytes(world.disk), used);
    assert_int_equal(log_manager_remove_due(world.manager, again_ms), INT64_MAX);
    assert_true(memory_files_used_bytes(world.disk) < used);
    world_release(&world);
}

/* The directory has no room for the longer name until something is gone. */
struct no_room_for_names {
    struct memory_files *disk;
    int removals_needed;
    int removals;
    int refused;
};

static int refuse_names(void *context, enum memory_files_operation operation, const char *path)
{
    struct no_room_for_names *room = context;
    size_t length = strlen(path);
    if (operation == MEMORY_FILES_REMOVE && strstr(path, "/orders-0/"))
        room->removals++;
    bool folder = length > 9 && strcmp(path + length - 9, "/orders-0") == 0;
    if (operation != MEMORY_FILES_RENAME || !folder || room->removals >= room->removals_needed)
        return 0;
    room->refused++;
    return -ENOSPC;
}

/* A topic can be deleted to make room, however full its disk is. */
static void a_deletion_makes_the_room_that_it_needs(void **state)
{
    (void)state;
    static const int needed[] = {1, 10, INT32_MAX};
    for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
        struct world world;
        world_fill(&world, 12, 60);
        assert_int_equal(partition_log_flush(world_obtain(&world, IN_A, false, 0)), 0);
        size_t used = memory_files_used_bytes(world.disk);
        struct no_room_for_names room = {.disk = world.disk, .removals_needed = needed[i]};
        memory_files_set_hook(world.disk, refuse_names, &room);
        assert_int_equal(log_manager_delete(world.manager, slice_of("orders"), IN_A), 0);
        assert_true(room.refused > 0);
        memory_files_set_hook(world.disk, NULL, NULL);
        assert_true(memory_files_used_bytes(world.disk) < used);
        assert_false(world_exists(&world, "/data/a/orders-0"));
        assert_int_equal(log_manager_directory_of(world.manager, slice_of("orders"), IN_A), -1);
        world_restart(&world, MEMORY_FILES_POWER_CUT);
        assert_int_equal(log_manager_directory_of(world.manager, slice_of("orders"), IN_A), -1);
        assert_non_null(world_obtain(&world, IN_A + 2, false, 0));
        assert_int_equal(partition_log_end_offset(world_obtain(&world, IN_A, true, 0)), 0);
        world_release(&world);
    }
}

/* Stopped anywhere on the way: what a start finds is gone, or a log of that topic that ends earlier. */
static void a_crash_amid_such_a_deletion_leaves_a_replica_that_is_behind(void **state)
{
    (void)state;
    bool stopped = true;
    int shorter = 0;
    for (uint64_t after = 0; stopped; after++) {
        struct world world;
        world_fill(&world, 13, 60);
        struct partition_log *log = world_obtain(&world, IN_A, false, 0);
        struct uuid topic_id = {.bytes = {7, 9}};
        assert_int_equal(partition_log_set_topic_id(log, topic_id), 0);
        assert_int_equal(partition_log_flush(log), 0);
        const struct recovery_entry entry = {slice_of("orders"), IN_A, 60, 0, 0};
        assert_int_equal(log_manager_checkpoint_recovery(world.manager, &entry, 1), 0);
        struct no_room_for_names room = {.disk = world.disk, .removals_needed = INT32_MAX};
        memory_files_set_hook(world.disk, refuse_names, &room);
        memory_files_stop_after(world.disk, after);
        int error = log_manager_delete(world.manager, slice_of("orders"), IN_A);
        stopped = memory_files_is_stopped(world.disk);
        assert_true(stopped || error == 0);
        memory_files_set_hook(world.disk, NULL, NULL);
        world_restart(&world, after % 2 ? MEMORY_FILES_POWER_CUT : MEMORY_FILES_PROCESS_CRASH);
        if (log_manager_directory_of(world.manager, slice_of("orders"), IN_A) >= 0) {
            log = world_obtain(&world, IN_A, false, 0);
            int64_t end = partition_log_end_offset(log);
            shorter += end < 60;
            assert_in_range(end, 0, 60);
            assert_true(end == 0 || uuid_equals(partition_log_topic_id(log), topic_id));
            assert_int_equal(partition_log_start_offset(log), 0);
            assert_true(world_append(&world, log));
            assert_int_equal(partition_log_end_offset(log), end + 1);
        }
        world_release(&world);
    }
    assert_true(shorter > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leftover_folders_are_removed_or_kept),
        cmocka_unit_test(a_deleted_folder_waits_for_its_time),
        cmocka_unit_test(a_removal_that_failed_is_tried_again),
        cmocka_unit_test(a_deletion_makes_the_room_that_it_needs),
        cmocka_unit_test(a_crash_amid_such_a_deletion_leaves_a_replica_that_is_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
