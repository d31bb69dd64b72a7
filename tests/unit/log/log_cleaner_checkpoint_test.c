/* SPDX-License-Identifier: Apache-2.0 */
/* The cleaner's checkpoint in a log manager: written, known again, lowered, not believed, not inherited. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/log_manager.h"
#include "broker/log/partition_log_clean.h"
#include "proto/kafka/error.h"
#include "tests/unit/log/log_fixture.h"

struct managed {
    struct memory_files *disk;
    struct log_manager *manager;
    struct log_settings settings;
};

static void open_manager(struct managed *managed)
{
    static const char *const directories[] = {"/data"};
    struct buffer error;
    buffer_init(&error);
    struct log_manager_options options = {.files = memory_files_system(managed->disk),
                                          .directories = directories,
                                          .directories_count = 1,
                                          .broker_id = 1,
                                          .cluster_id = "c",
                                          .defaults = managed->settings,
                                          .seed = 5};
    assert_int_equal(log_manager_open(&options, &managed->manager, &error), 0);
    buffer_release(&error);
}

static void read_checkpoint(struct managed *managed, const char *expected)
{
    struct buffer text;
    buffer_init(&text);
    int error = file_system_read_all(memory_files_system(managed->disk), "/data/cleaner-offset-checkpoint",
                                     1000, &text);
    assert_int_equal(error, expected ? 0 : -ENOENT);
    if (expected)
        assert_string_equal(buffer_string(&text), expected);
    buffer_release(&text);
}

static void append_to(struct partition_log *log, int count)
{
    struct prng prng;
    prng_init(&prng, 3);
    for (int i = 0; i < count; i++) {
        struct buffer bytes;
        struct log_append_result result;
        const struct batch_plan plan = batch_plan_plain(5, 1700000000000);
        buffer_init(&bytes);
        make_batch(&prng, &plan, &bytes);
        assert_int_equal(
            partition_log_append_as_leader(log, bytes.data, bytes.length, 9, 0, 1700000000000, &result),
            KAFKA_NONE);
        buffer_release(&bytes);
    }
    assert_int_equal(partition_log_flush(log), 0);
}

static void test_the_checkpoint_is_kept(void **state)
{
    (void)state;
    struct managed managed = {.disk = memory_files_new(9)};
    struct partition_log *log;
    log_settings_init(&managed.settings);
    managed.settings.compacted = true;
    managed.settings.segment_bytes = 2000;
    assert_int_equal(file_system_make_directory(memory_files_system(managed.disk), "/data"), 0);
    open_manager(&managed);
    assert_int_equal(log_manager_obtain(managed.manager, slice_of("t"), 0, true, &managed.settings, &log), 0);
    append_to(log, 50);
    assert_int_equal(log_manager_checkpoint_cleaned(managed.manager, slice_of("none"), 0), -ENOENT);
    read_checkpoint(&managed, NULL);
    partition_log_set_first_dirty_offset(log, 200);
    assert_int_equal(log_manager_checkpoint_cleaned(managed.manager, slice_of("t"), 0), 0);
    read_checkpoint(&managed, "0\n1\nt 0 200\n");

    /* After a crash it is known again, and falls with a truncation, before it happens. */
    log_manager_free(managed.manager);
    memory_files_crash(managed.disk, MEMORY_FILES_POWER_CUT);
    open_manager(&managed);
    log = log_manager_find(managed.manager, slice_of("t"), 0);
    assert_int_equal(partition_log_first_dirty_offset(log), 200);
    assert_int_equal(partition_log_truncate(log, 210, 1), KAFKA_NONE);
    read_checkpoint(&managed, "0\n1\nt 0 200\n");
    assert_int_equal(partition_log_truncate(log, 100, 1), KAFKA_NONE);
    assert_int_equal(partition_log_first_dirty_offset(log), 100);
    read_checkpoint(&managed, "0\n1\nt 0 100\n");

    /* What lies above the log's end, or cannot be read, is not believed. */
    log_manager_free(managed.manager);
    struct file_system *files = memory_files_system(managed.disk);
    static const char above[] = "0\n1\nt 0 5000\n", corrupt[] = "0\n2\nt 0 50\n";
    assert_int_equal(file_system_replace(files, "/data/cleaner-offset-checkpoint", above, strlen(above)), 0);
    memory_files_crash(managed.disk, MEMORY_FILES_PROCESS_CRASH);
    open_manager(&managed);
    log = log_manager_find(managed.manager, slice_of("t"), 0);
    assert_int_equal(partition_log_first_dirty_offset(log), 0);
    log_manager_free(managed.manager);
    assert_int_equal(file_system_replace(files, "/data/cleaner-offset-checkpoint", corrupt, strlen(corrupt)),
                     0);
    memory_files_crash(managed.disk, MEMORY_FILES_PROCESS_CRASH);
    open_manager(&managed);
    log = log_manager_find(managed.manager, slice_of("t"), 0);
    assert_int_equal(partition_log_first_dirty_offset(log), 0);

    /* A topic of the same name does not inherit it. */
    partition_log_set_first_dirty_offset(log, 50);
    assert_int_equal(log_manager_checkpoint_cleaned(managed.manager, slice_of("t"), 0), 0);
    assert_int_equal(log_manager_delete(managed.manager, slice_of("t"), 0), 0);
    assert_int_equal(log_manager_obtain(managed.manager, slice_of("t"), 0, true, &managed.settings, &log), 0);
    read_checkpoint(&managed, "0\n0\n");
    log_manager_free(managed.manager);
    memory_files_free(managed.disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_checkpoint_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
