/* SPDX-License-Identifier: Apache-2.0 */
/* When a start believes that the logs have lost nothing (I25): see log_manager_intact.c. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/log_manager.h"
#include "common/buffer.h"
#include "tests/support/memory_files.h"

#define SINCE 77

struct bench {
    struct memory_files *disk;
    struct log_manager *logs;
    const char *directories[2];
    size_t directories_count;
};

static void bench_init(struct bench *bench, size_t directories_count)
{
    *bench = (struct bench){.disk = memory_files_new(1), .directories = {"/a", "/b"}};
    bench->directories_count = directories_count;
}

static void start(struct bench *bench, const char *boot_id)
{
    struct log_manager_options options = {
        .files = memory_files_system(bench->disk),
        .directories = bench->directories,
        .directories_count = bench->directories_count,
        .broker_id = 1,
        .cluster_id = "c",
        .boot_id = boot_id,
        .seed = 1,
    };
    log_settings_init(&options.defaults);
    struct buffer error;
    buffer_init(&error);
    assert_int_equal(log_manager_open(&options, &bench->logs, &error), 0);
    buffer_release(&error);
}

static void stop_cleanly(struct bench *bench)
{
    assert_int_equal(log_manager_close(bench->logs), 0);
    log_manager_free(bench->logs);
}

static void crash(struct bench *bench, enum memory_files_crash kind)
{
    log_manager_free(bench->logs);
    memory_files_crash(bench->disk, kind);
}

static void finish(struct bench *bench)
{
    log_manager_free(bench->logs);
    memory_files_free(bench->disk);
}

/* A life that registered. */
static void start_and_mark(struct bench *bench, const char *boot_id)
{
    start(bench, boot_id);
    assert_int_equal(log_manager_mark_intact(bench->logs, SINCE), 0);
}

static void test_i25_clean_stop_is_intact(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 2);
    start(&bench, "boot-1");
    assert_int_equal(log_manager_intact(bench.logs).since, -1);
    assert_int_equal(log_manager_mark_intact(bench.logs, SINCE), 0);
    stop_cleanly(&bench);
    start(&bench, "boot-2");
    assert_int_equal(log_manager_intact(bench.logs).since, SINCE);
    stop_cleanly(&bench);
    start(&bench, NULL); /* and so on, also without a known boot */
    assert_int_equal(log_manager_intact(bench.logs).since, SINCE);
    finish(&bench);
}

static void test_i25_killed_process_is_intact_in_the_same_boot(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 2);
    start_and_mark(&bench, "boot-1");
    crash(&bench, MEMORY_FILES_PROCESS_CRASH);
    start(&bench, "boot-1");
    assert_int_equal(log_manager_intact(bench.logs).since, SINCE);
    stop_cleanly(&bench);
    /* The mark is of the present boot after a clean stop, too. */
    start(&bench, "boot-2");
    crash(&bench, MEMORY_FILES_PROCESS_CRASH);
    start(&bench, "boot-2");
    assert_int_equal(log_manager_intact(bench.logs).since, SINCE);
    finish(&bench);
}

static void test_i25_power_cut_is_not_forgotten_by_a_clean_stop(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 2);
    start_and_mark(&bench, "boot-1");
    crash(&bench, MEMORY_FILES_POWER_CUT);
    start(&bench, "boot-2");
    assert_int_equal(log_manager_intact(bench.logs).since, -1);
    stop_cleanly(&bench); /* it had not registered */
    start(&bench, "boot-2");
    assert_int_equal(log_manager_intact(bench.logs).since, -1);
    finish(&bench);
}

static void test_i25_unknown_boot_is_never_the_same(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 1);
    start_and_mark(&bench, NULL);
    crash(&bench, MEMORY_FILES_PROCESS_CRASH);
    start(&bench, NULL);
    assert_int_equal(log_manager_intact(bench.logs).since, -1);
    finish(&bench);
}

static void test_i25_new_directory_ends_it(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 1);
    start_and_mark(&bench, "boot-1");
    stop_cleanly(&bench);
    bench.directories_count = 2;
    start(&bench, "boot-1");
    assert_int_equal(log_manager_intact(bench.logs).since, -1);
    finish(&bench);
}

static void test_i25_directory_left_away_ends_it(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 2);
    start_and_mark(&bench, "boot-1");
    stop_cleanly(&bench);
    bench.directories_count = 1;
    start(&bench, "boot-1");
    assert_int_equal(log_manager_intact(bench.logs).since, -1);
    finish(&bench);
}

static void test_i25_no_life_is_vouched_for_that_was_not_told(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 1);
    start_and_mark(&bench, "boot-1");
    assert_int_equal(log_manager_mark_intact(bench.logs, SINCE + 5), 0); /* another session */
    stop_cleanly(&bench);
    start(&bench, "boot-1");
    assert_int_equal(log_manager_intact(bench.logs).since, SINCE);
    assert_int_equal(log_manager_intact(bench.logs).until, SINCE + 5);
    assert_int_equal(log_manager_mark_intact(bench.logs, SINCE + 9), 0);
    crash(&bench, MEMORY_FILES_PROCESS_CRASH);
    start(&bench, "boot-1");
    assert_int_equal(log_manager_intact(bench.logs).since, SINCE);
    assert_int_equal(log_manager_intact(bench.logs).until, SINCE + 9);
    finish(&bench);
}

static int fail_folders_of_b(void *context, enum memory_files_operation operation, const char *path)
{
    (void)context;
    return operation == MEMORY_FILES_MAKE_DIRECTORY && strncmp(path, "/b/", 3) == 0 ? -EIO : 0;
}

static void test_i25_failed_directory_ends_it(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 2);
    start_and_mark(&bench, "boot-1");
    memory_files_set_hook(bench.disk, fail_folders_of_b, NULL);
    for (int32_t i = 0; i < 2; i++) { /* one of them goes to the second directory */
        struct log_settings settings;
        log_settings_init(&settings);
        struct partition_log *log;
        int ignored = log_manager_obtain(bench.logs, slice_of("t"), i, true, &settings, &log);
        (void)ignored;
    }
    assert_int_equal(log_manager_usable_directories(bench.logs), 1);
    assert_int_equal(log_manager_mark_intact(bench.logs, SINCE), -EIO);
    memory_files_set_hook(bench.disk, NULL, NULL);
    crash(&bench, MEMORY_FILES_PROCESS_CRASH);
    start(&bench, "boot-1");
    assert_int_equal(log_manager_usable_directories(bench.logs), 2);
    assert_int_equal(log_manager_intact(bench.logs).since, -1);
    finish(&bench);
}

static void make_logs(struct bench *bench, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        struct log_settings settings;
        log_settings_init(&settings);
        struct partition_log *log;
        assert_int_equal(log_manager_obtain(bench->logs, slice_of("t"), i, true, &settings, &log), 0);
    }
    const struct recovery_entry all[] = {{slice_of("t"), 0, 0, 0, 0}, {slice_of("t"), 1, 0, 0, 0}};
    assert_int_equal(log_manager_checkpoint_recovery(bench->logs, all, ARRAY_SIZE(all)), 0);
}

static void remove_folder(struct bench *bench, const char *path)
{
    assert_int_equal(file_system_remove_tree(memory_files_system(bench->disk), path), 0);
}

/* What is made in its place is empty: it must not count as what the controller knows of. */
static void i25_removed_folder_ends_it(void **state)
{
    (void)state;
    for (int killed = 0; killed < 2; killed++) {
        struct bench bench;
        bench_init(&bench, 1);
        start_and_mark(&bench, "boot-1");
        make_logs(&bench, 2);
        if (killed)
            crash(&bench, MEMORY_FILES_PROCESS_CRASH);
        else
            stop_cleanly(&bench);
        remove_folder(&bench, "/a/t-1");
        start(&bench, "boot-1");
        assert_int_equal(log_manager_intact(bench.logs).since, -1);
        stop_cleanly(&bench); /* it had not registered */
        start(&bench, "boot-1");
        assert_int_equal(log_manager_intact(bench.logs).since, -1);
        finish(&bench);
    }
}

/* Wherever that start ends: the checkpoint may be written before the marks are looked at. */
static void i25_removed_folder_ends_it_after_a_start_that_was_cut_short(void **state)
{
    (void)state;
    for (uint64_t after = 0; after < 40; after++) {
        struct bench bench;
        bench_init(&bench, 1);
        start_and_mark(&bench, "boot-1");
        make_logs(&bench, 2);
        stop_cleanly(&bench);
        remove_folder(&bench, "/a/t-1");
        memory_files_stop_after(bench.disk, after);
        struct log_manager_options options = {.files = memory_files_system(bench.disk),
                                              .directories = bench.directories,
                                              .directories_count = 1,
                                              .broker_id = 1,
                                              .cluster_id = "c",
                                              .boot_id = "boot-1",
                                              .seed = 1};
        log_settings_init(&options.defaults);
        struct buffer error;
        buffer_init(&error);
        if (log_manager_open(&options, &bench.logs, &error) == 0)
            log_manager_free(bench.logs);
        buffer_release(&error);
        memory_files_crash(bench.disk, MEMORY_FILES_PROCESS_CRASH);
        start(&bench, "boot-1");
        assert_int_equal(log_manager_intact(bench.logs).since, -1);
        finish(&bench);
    }
}

/* Who deletes a log, or sets it aside as a stray, misses nothing: not after a clean stop, and not when it is
 * killed before the next checkpoint, or after the files went. */
static void i25_deleted_log_does_not_end_it(void **state)
{
    (void)state;
    for (int how = 0; how < 4; how++) {
        struct bench bench;
        bench_init(&bench, 1);
        start_and_mark(&bench, "boot-1");
        make_logs(&bench, 2);
        assert_int_equal(log_manager_delete(bench.logs, slice_of("t"), 1), 0);
        if (how == 1)
            log_manager_remove_due(bench.logs, INT64_MAX);
        if (how == 3)
            stop_cleanly(&bench);
        else
            crash(&bench, MEMORY_FILES_PROCESS_CRASH);
        start(&bench, "boot-1");
        assert_int_equal(log_manager_intact(bench.logs).since, SINCE);
        if (how == 2) { /* the folder goes in the second life, which is killed, too */
            log_manager_remove_due(bench.logs, INT64_MAX);
            crash(&bench, MEMORY_FILES_PROCESS_CRASH);
            start(&bench, "boot-1");
            assert_int_equal(log_manager_intact(bench.logs).since, SINCE);
        }
        finish(&bench);
    }
}

static void damage(struct bench *bench, const char *text)
{
    assert_int_equal(
        file_system_replace(memory_files_system(bench->disk), "/a/barnabas.intact", text, strlen(text)), 0);
}

static void test_i25_damaged_marks_are_not_believed(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "version=0\nboot.id=boot-1\n",
        "version=0\nintact.since=x\nlast.epoch=77\ndirectories=2\nboot.id=boot-1\n",
        "version=0\nintact.since=-5\nlast.epoch=77\ndirectories=2\nboot.id=boot-1\n",
        "version=1\nintact.since=77\nlast.epoch=77\ndirectories=2\nboot.id=boot-1\n",
        "version=0\nintact.since=77\nlast.epoch=76\ndirectories=2\nboot.id=boot-1\n",
        "version=0\nintact.since=77\nlast.epoch=77\ndirectories=1\nboot.id=boot-1\n",
        "version=0\nintact.since=77\nlast.epoch=78\ndirectories=2\nboot.id=boot-1\n", /* of a later life */
    };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct bench bench;
        bench_init(&bench, 2);
        start_and_mark(&bench, "boot-1");
        stop_cleanly(&bench);
        damage(&bench, texts[i]);
        start(&bench, "boot-1");
        assert_int_equal(log_manager_intact(bench.logs).since, -1);
        finish(&bench);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_i25_clean_stop_is_intact),
        cmocka_unit_test(test_i25_killed_process_is_intact_in_the_same_boot),
        cmocka_unit_test(test_i25_power_cut_is_not_forgotten_by_a_clean_stop),
        cmocka_unit_test(test_i25_unknown_boot_is_never_the_same),
        cmocka_unit_test(test_i25_new_directory_ends_it),
        cmocka_unit_test(test_i25_directory_left_away_ends_it),
        cmocka_unit_test(test_i25_no_life_is_vouched_for_that_was_not_told),
        cmocka_unit_test(test_i25_failed_directory_ends_it),
        cmocka_unit_test(test_i25_damaged_marks_are_not_believed),
        cmocka_unit_test(i25_removed_folder_ends_it),
        cmocka_unit_test(i25_removed_folder_ends_it_after_a_start_that_was_cut_short),
        cmocka_unit_test(i25_deleted_log_does_not_end_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
