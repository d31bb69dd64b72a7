/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checkpoints of a log directory: never ahead of what its logs hold, whoever cuts them and whatever the
 * disk refuses, and nothing in them survives the log that it was said of.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/kafka/error.h"
#include "proto/records/batch.h"
#include "tests/unit/log/directories_fixture.h"

static void a_truncation_lowers_the_checkpoint_first(void **state)
{
    (void)state;
    struct world world;
    world_init_directories(&world, 7);
    assert_int_equal(world_open(&world), 0);
    struct partition_log *log = world_make(&world, 0);
    for (int i = 0; i < 50; i++)
        assert_true(world_append(&world, log));
    assert_int_equal(partition_log_flush(log), 0);
    const struct recovery_entry recovery = {slice_of("orders"), 0, partition_log_recovery_point(log), 0, 0};
    assert_int_equal(log_manager_checkpoint_recovery(world.manager, &recovery, 1), 0);
    assert_int_equal(partition_log_truncate(log, 30, 0), KAFKA_NONE);
    world_assert_content(&world, "/data/a/recovery-point-offset-checkpoint", "0\n1\norders 0 30\n");
    assert_int_equal(partition_log_recovery_point(log), 30);
    world_release(&world);
}

/* Appends a batch of one record at `offset`, as a follower does. */
static int16_t follow(struct world *world, struct partition_log *log, int64_t offset)
{
    struct batch_plan plan = batch_plan_plain(1, NOW_MS + offset);
    return follow_batch(log, &world->prng, &plan, offset, NOW_MS);
}

/* The disk has no room for the file that `part` names, for one call. */
static void refuse_once(struct world *world, const char *part)
{
    const struct memory_files_fault fault = {.operations = MEMORY_FILES_BIT(MEMORY_FILES_WRITE),
                                             .error = -ENOSPC,
                                             .short_bytes = -1,
                                             .path_part = part};
    memory_files_set_fault(world->disk, &fault);
}

/* A file that could not be written still says more, whatever is known in memory: the next try writes it. */
static void a_lowered_checkpoint_is_written_at_last(void **state)
{
    (void)state;
    for (int by_append = 0; by_append < 2; by_append++) {
        struct world world;
        world_init_directories(&world, 17);
        if (by_append)
            world.options.defaults.segment_bytes = 1000000; /* and no roll */
        assert_int_equal(world_open(&world), 0);
        struct partition_log *log = world_make(&world, 0);
        for (int64_t i = 0; i < 60; i++)
            assert_int_equal(follow(&world, log, i), KAFKA_NONE);
        assert_int_equal(partition_log_flush(log), 0);
        const struct recovery_entry recovery = {slice_of("orders"), 0, 60, 0, 0};
        assert_int_equal(log_manager_checkpoint_recovery(world.manager, &recovery, 1), 0);
        refuse_once(&world, "recovery-point");
        assert_int_equal(partition_log_truncate(log, 5, 0), KAFKA_KAFKA_STORAGE_ERROR);
        assert_int_equal(partition_log_end_offset(log), 60);
        world_assert_content(&world, "/data/a/recovery-point-offset-checkpoint", "0\n1\norders 0 60\n");
        memory_files_set_fault(world.disk, NULL);
        log_manager_probe(world.manager);
        if (by_append)
            assert_int_equal(follow(&world, log, 60), KAFKA_NONE);
        else
            assert_int_equal(partition_log_truncate(log, 5, 0), KAFKA_NONE);
        world_assert_content(&world, "/data/a/recovery-point-offset-checkpoint", "0\n1\norders 0 5\n");
        world_release(&world);
    }
}

static void a_lowered_start_is_written_at_last(void **state)
{
    (void)state;
    struct world world;
    world_init_directories(&world, 18);
    assert_int_equal(world_open(&world), 0);
    struct partition_log *log = world_make(&world, 0);
    assert_int_equal(partition_log_truncate_fully(log, 100, 0), KAFKA_NONE);
    const struct recovery_entry recovery = {slice_of("orders"), 0, 100, 100, 0};
    assert_int_equal(log_manager_checkpoint_recovery(world.manager, &recovery, 1), 0);
    refuse_once(&world, "log-start-offset");
    assert_int_equal(partition_log_truncate_fully(log, 50, 0), KAFKA_KAFKA_STORAGE_ERROR);
    memory_files_set_fault(world.disk, NULL);
    log_manager_probe(world.manager);
    assert_int_equal(partition_log_truncate_fully(log, 50, 0), KAFKA_NONE);
    for (int64_t i = 50; i < 60; i++)
        assert_int_equal(follow(&world, log, i), KAFKA_NONE);
    assert_int_equal(partition_log_flush(log), 0);
    world_drop(&world);
    memory_files_crash(world.disk, MEMORY_FILES_PROCESS_CRASH);
    assert_int_equal(world_open(&world), 0);
    log = world_make(&world, 0);
    assert_int_equal(partition_log_start_offset(log), 50);
    assert_int_equal(partition_log_end_offset(log), 60);
    world_release(&world);
}

static int count_checkpoints(void *context, enum memory_files_operation operation, const char *path)
{
    (void)operation;
    *(size_t *)context += strstr(path, "checkpoint") != NULL;
    return 0;
}

/* New replicas of topics whose retention has deleted something come by the thousand: each begins above its
 * end, and none of them rewrites the file of all for that. */
static void i7_an_empty_log_that_goes_up_writes_no_start(void **state)
{
    (void)state;
    struct world world;
    world_init_directories(&world, 19);
    assert_int_equal(world_open(&world), 0);
    struct partition_log *log = world_make(&world, 0);
    assert_int_equal(partition_log_truncate_fully(log, 100, 0), KAFKA_NONE); /* may write that it is new */
    size_t touched = 0;
    memory_files_set_hook(world.disk, count_checkpoints, &touched);
    assert_int_equal(partition_log_truncate_fully(log, 200, 0), KAFKA_NONE);
    memory_files_set_hook(world.disk, NULL, NULL);
    assert_int_equal(touched, 0);
    assert_false(world_exists(&world, "/data/a/log-start-offset-checkpoint"));
    assert_int_equal(follow(&world, log, 200), KAFKA_NONE);
    world_restart(&world, MEMORY_FILES_PROCESS_CRASH);
    log = world_obtain(&world, 0, false, 0);
    assert_int_equal(partition_log_start_offset(log), 200);
    assert_int_equal(partition_log_end_offset(log), 201);
    world_release(&world);
}

struct start_watch {
    struct world *world;
    struct partition_log *log;
    int64_t lowest;
    int64_t lowest_kept;
};

static int watch_start(void *context, enum memory_files_operation operation, const char *path)
{
    struct start_watch *watch = context;
    (void)operation;
    (void)path;
    watch->lowest = min_i64(watch->lowest, partition_log_start_offset(watch->log));
    watch->lowest_kept = min_i64(watch->lowest_kept, partition_log_start_offset_kept(watch->log));
    return 0;
}

/* The log start of a checkpoint that is written while a log begins within a batch does not fall. */
static void i9_the_start_on_disk_does_not_fall_while_a_log_begins_within_a_batch(void **state)
{
    (void)state;
    struct world world;
    struct buffer bytes;
    world_init_directories(&world, 20);
    assert_int_equal(world_open(&world), 0);
    struct partition_log *log = world_make(&world, 0);
    assert_int_equal(partition_log_truncate_fully(log, 15, 0), KAFKA_NONE);
    buffer_init(&bytes);
    struct batch_plan plan = batch_plan_plain(5, NOW_MS);
    make_batch(&world.prng, &plan, &bytes);
    record_batch_set_base_offset(bytes.data, 13);
    record_batch_set_leader_epoch(bytes.data, 1);
    struct start_watch watch = {&world, log, 15, 15};
    memory_files_set_hook(world.disk, watch_start, &watch);
    assert_int_equal(partition_log_append_as_follower(log, bytes.data, bytes.length, NOW_MS, NULL),
                     KAFKA_NONE);
    memory_files_set_hook(world.disk, NULL, NULL);
    assert_int_equal(watch.lowest, 13);
    assert_int_equal(watch.lowest_kept, 15);
    assert_int_equal(partition_log_start_offset(log), 15);
    assert_int_equal(partition_log_truncate_fully(log, 10, 0),
                     KAFKA_NONE); /* as the leader says: it may fall */
    assert_int_equal(partition_log_start_offset_kept(log), 10);
    buffer_release(&bytes);
    world_release(&world);
}

/* Recovery found less than the checkpoint promised: the promise is taken back before anything is appended. */
static void a_start_lowers_the_checkpoint_too(void **state)
{
    (void)state;
    struct world world;
    world_init_directories(&world, 19);
    assert_int_equal(world_open(&world), 0);
    struct partition_log *log = world_make(&world, 0);
    for (int64_t i = 0; i < 5; i++)
        assert_int_equal(follow(&world, log, i), KAFKA_NONE);
    assert_int_equal(partition_log_flush(log), 0);
    const struct recovery_entry recovery = {slice_of("orders"), 0, 5, 0, 0};
    assert_int_equal(log_manager_checkpoint_recovery(world.manager, &recovery, 1), 0);
    world_drop(&world);
    memory_files_crash(world.disk, MEMORY_FILES_PROCESS_CRASH);
    assert_int_equal(memory_files_flip(world.disk, "/data/a/orders-0/00000000000000000000.log", 70, 1), 0);
    assert_int_equal(world_open(&world), 0);
    assert_int_equal(partition_log_end_offset(world_make(&world, 0)), 0);
    world_assert_content(&world, "/data/a/recovery-point-offset-checkpoint", "0\n1\norders 0 0\n");
    world_release(&world);
}

/* What was collected before a truncation must not undo what that wrote. */
static void an_emptied_log_lowers_both_checkpoints(void **state)
{
    (void)state;
    struct world world;
    world_init_directories(&world, 9);
    assert_int_equal(world_open(&world), 0);
    struct partition_log *log = world_make(&world, 0);
    for (int i = 0; i < 50; i++)
        assert_true(world_append(&world, log));
    assert_int_equal(partition_log_flush(log), 0);
    assert_int_equal(partition_log_advance_start(log, 40), KAFKA_NONE);
    const struct recovery_entry recovery = {slice_of("orders"), 0, 50, 40, 0};
    assert_int_equal(log_manager_checkpoint_recovery(world.manager, &recovery, 1), 0);
    world_assert_content(&world, "/data/a/log-start-offset-checkpoint", "0\n1\norders 0 40\n");
    assert_int_equal(partition_log_truncate_fully(log, 10, 0), KAFKA_NONE);
    assert_int_equal(log_manager_checkpoint_recovery(world.manager, &recovery, 1), 0);
    world_assert_content(&world, "/data/a/recovery-point-offset-checkpoint", "0\n1\norders 0 10\n");
    world_assert_content(&world, "/data/a/log-start-offset-checkpoint", "0\n1\norders 0 10\n");
    assert_true(world_append(&world, log));
    assert_int_equal(partition_log_flush(log), 0);
    world_drop(&world);
    memory_files_crash(world.disk, MEMORY_FILES_POWER_CUT);
    assert_int_equal(world_open(&world), 0);
    log = log_manager_find(world.manager, slice_of("orders"), 0);
    assert_int_equal(partition_log_start_offset(log), 10);
    assert_int_equal(partition_log_end_offset(log), 11);
    world_release(&world);
}

/* A crash before the first periodic checkpoint: a log of several segments is known all the same. */
static void the_first_roll_makes_an_entry(void **state)
{
    (void)state;
    struct world world;
    world_init_directories(&world, 10);
    assert_int_equal(world_open(&world), 0);
    struct partition_log *log = world_make(&world, 0);
    assert_true(world_append(&world, log));
    assert_false(world_exists(&world, "/data/a/recovery-point-offset-checkpoint"));
    for (int i = 0; i < 50; i++)
        assert_true(world_append(&world, log));
    world_assert_content(&world, "/data/a/recovery-point-offset-checkpoint", "0\n1\norders 0 0\n");
    world_release(&world);
}

static void corrupt_checkpoints_are_taken_as_empty(void **state)
{
    (void)state;
    struct world world;
    world_init_directories(&world, 8);
    assert_int_equal(world_open(&world), 0);
    struct partition_log *log = world_make(&world, 0);
    for (int i = 0; i < 30; i++)
        assert_true(world_append(&world, log));
    world_drop(&world);
    memory_files_crash(world.disk, MEMORY_FILES_PROCESS_CRASH);
    static const char *const names[] = {"/data/a/recovery-point-offset-checkpoint",
                                        "/data/a/log-start-offset-checkpoint",
                                        "/data/a/replication-offset-checkpoint"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_int_equal(file_system_replace(world.options.files, names[i], "0\n3\norders 0 9", 14), 0);
    assert_int_equal(world_open(&world), 0);
    log = log_manager_find(world.manager, slice_of("orders"), 0);
    assert_int_equal(partition_log_start_offset(log), 0);
    assert_int_equal(partition_log_end_offset(log), 30);
    world_release(&world);
}

static void a_deleted_log_leaves_nothing_to_its_namesake(void **state)
{
    (void)state;
    struct world world;
    world_init_directories(&world, 6);
    assert_int_equal(world_open(&world), 0);
    struct partition_log *log = world_make(&world, 0);
    for (int i = 0; i < 50; i++)
        assert_true(world_append(&world, log));
    assert_int_equal(partition_log_flush(log), 0);
    assert_int_equal(partition_log_advance_start(log, 20), KAFKA_NONE);
    const struct recovery_entry recovery = {slice_of("orders"), 0, 50, 20, 0};
    const struct high_watermark_entry watermark = {slice_of("orders"), 0, 40, 0};
    assert_int_equal(log_manager_checkpoint_recovery(world.manager, &recovery, 1), 0);
    assert_int_equal(log_manager_checkpoint_high_watermarks(world.manager, &watermark, 1), 0);
    world_assert_content(&world, "/data/a/recovery-point-offset-checkpoint", "0\n1\norders 0 50\n");
    world_assert_content(&world, "/data/a/log-start-offset-checkpoint", "0\n1\norders 0 20\n");
    world_assert_content(&world, "/data/a/replication-offset-checkpoint", "0\n1\norders 0 40\n");
    assert_int_equal(log_manager_delete(world.manager, slice_of("orders"), 0), 0);
    assert_int_equal(log_manager_delete(world.manager, slice_of("orders"), 0), -ENOENT);
    assert_false(world_exists(&world, "/data/a/orders-0"));
    /* The checkpoints forget it before there is a namesake, at the latest; also in another life. */
    world_drop(&world);
    memory_files_crash(world.disk, MEMORY_FILES_PROCESS_CRASH);
    assert_int_equal(world_open(&world), 0);
    world_assert_content(&world, "/data/a/recovery-point-offset-checkpoint", "0\n1\norders 0 50\n");
    assert_int_equal(log_manager_checkpointed_high_watermark(world.manager, slice_of("orders"), 0), 0);
    log = world_make(&world, 0);
    world_assert_content(&world, "/data/a/recovery-point-offset-checkpoint", "0\n0\n");
    world_assert_content(&world, "/data/a/log-start-offset-checkpoint", "0\n0\n");
    world_assert_content(&world, "/data/a/replication-offset-checkpoint", "0\n0\n");
    assert_int_equal(partition_log_end_offset(log), 0);
    for (int i = 0; i < 5; i++)
        assert_true(world_append(&world, log));
    world_drop(&world);
    memory_files_crash(world.disk, MEMORY_FILES_PROCESS_CRASH);
    assert_int_equal(world_open(&world), 0);
    log = log_manager_find(world.manager, slice_of("orders"), 0);
    assert_int_equal(partition_log_start_offset(log), 0);
    assert_int_equal(partition_log_end_offset(log), 5);
    world_release(&world);
}

/* Many deletions do not write the checkpoints many times. */
static void deletions_write_checkpoints_together(void **state)
{
    (void)state;
    struct world world;
    world_init_directories(&world, 16);
    assert_int_equal(world_open(&world), 0);
    struct recovery_entry entries[40];
    for (int32_t i = 0; i < 40; i++) {
        struct partition_log *log = world_make(&world, i);
        assert_true(world_append(&world, log));
        assert_int_equal(partition_log_flush(log), 0);
        entries[i] = (struct recovery_entry){slice_of("orders"), i, 1, 0, 0};
    }
    assert_int_equal(log_manager_checkpoint_recovery(world.manager, entries, 40), 0);
    uint32_t changes = MEMORY_FILES_BIT(MEMORY_FILES_SYNC) | MEMORY_FILES_BIT(MEMORY_FILES_SYNC_DIRECTORY) |
                       MEMORY_FILES_BIT(MEMORY_FILES_WRITE) | MEMORY_FILES_BIT(MEMORY_FILES_RENAME);
    uint64_t before = memory_files_operations(world.disk, changes);
    for (int32_t i = 0; i < 40; i++)
        assert_int_equal(log_manager_delete(world.manager, slice_of("orders"), i), 0);
    /* The folder's new name, durable. */
    assert_int_equal(memory_files_operations(world.disk, changes) - before, 40 * 2);
    assert_int_equal(log_manager_checkpoint_recovery(world.manager, NULL, 0), 0);
    world_assert_content(&world, "/data/a/recovery-point-offset-checkpoint", "0\n0\n");
    world_release(&world);
}

static void note_instance(void *context, struct slice topic, int32_t partition, uint64_t instance,
                          struct partition_log *log)
{
    (void)topic;
    (void)partition;
    (void)log;
    *(uint64_t *)context = instance;
}

/* A high watermark that was collected before its partition was deleted and made anew is not the new one's. */
static void a_log_made_anew_inherits_no_high_watermark(void **state)
{
    (void)state;
    struct world world;
    world_init_directories(&world, 1);
    assert_int_equal(world_open(&world), 0);
    world_make(&world, 0);
    uint64_t former = 0, present = 0;
    log_manager_each_in(world.manager, LOG_DIRECTORIES_ALL, note_instance, &former);
    assert_int_equal(log_manager_delete(world.manager, slice_of("orders"), 0), 0);
    world_make(&world, 0);
    log_manager_each_in(world.manager, LOG_DIRECTORIES_ALL, note_instance, &present);
    assert_int_not_equal(former, present);
    const struct high_watermark_entry stale = {slice_of("orders"), 0, 17, former};
    assert_int_equal(log_manager_checkpoint_high_watermarks(world.manager, &stale, 1), 0);
    world_drop(&world);
    assert_int_equal(world_open(&world), 0);
    assert_int_equal(log_manager_checkpointed_high_watermark(world.manager, slice_of("orders"), 0), 0);
    world_drop(&world);
    world_release(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_truncation_lowers_the_checkpoint_first),
        cmocka_unit_test(a_lowered_checkpoint_is_written_at_last),
        cmocka_unit_test(a_lowered_start_is_written_at_last),
        cmocka_unit_test(i7_an_empty_log_that_goes_up_writes_no_start),
        cmocka_unit_test(i9_the_start_on_disk_does_not_fall_while_a_log_begins_within_a_batch),
        cmocka_unit_test(a_start_lowers_the_checkpoint_too),
        cmocka_unit_test(an_emptied_log_lowers_both_checkpoints),
        cmocka_unit_test(the_first_roll_makes_an_entry),
        cmocka_unit_test(corrupt_checkpoints_are_taken_as_empty),
        cmocka_unit_test(a_deleted_log_leaves_nothing_to_its_namesake),
        cmocka_unit_test(deletions_write_checkpoints_together),
        cmocka_unit_test(a_log_made_anew_inherits_no_high_watermark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
