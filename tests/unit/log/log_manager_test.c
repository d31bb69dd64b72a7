/* SPDX-License-Identifier: Apache-2.0 */
/* Log directories: taken, left, fought over, and stopped at every operation (invariants I8, I12). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/kafka/error.h"
#include "tests/unit/log/directories_fixture.h"

#define MARK "/data/a/.kafka_cleanshutdown"

static void a_stop_and_a_start_keep_everything(void **state)
{
    (void)state;
    for (int threads = 0; threads <= 4; threads += 2) {
        struct world world;
        world_init_directories(&world, 1);
        world.options.recovery_threads = threads;
        assert_int_equal(world_open(&world), 0);
        world_assert_content(&world, "/data/b/meta.properties",
                             "version=0\nbroker.id=1\ncluster.id=" CLUSTER "\n");
        for (int partition = 0; partition < 10; partition++) {
            struct partition_log *log = world_make(&world, partition);
            for (int i = 0; i < 20 + partition; i++)
                assert_true(world_append(&world, log));
            assert_ptr_equal(log_manager_find(world.manager, slice_of("orders"), partition), log);
        }
        assert_true(world_exists(&world, "/data/a/orders-0") && world_exists(&world, "/data/b/orders-1"));
        assert_null(log_manager_find(world.manager, slice_of("orders"), 10));
        const struct high_watermark_entry watermark = {slice_of("orders"), 3, 17, 0};
        assert_int_equal(log_manager_checkpoint_high_watermarks(world.manager, &watermark, 1), 0);
        assert_int_equal(log_manager_close(world.manager), 0);
        world_drop(&world);
        world_assert_content(&world, MARK, "{\"version\":0,\"brokerEpoch\":-1}");
        for (int round = 0; round < 2; round++) {
            /* Once after the clean stop, once after a crash. */
            assert_int_equal(world_open(&world), 0);
            assert_false(world_exists(&world, MARK));
            for (int partition = 0; partition < 10; partition++) {
                struct partition_log *log = log_manager_find(world.manager, slice_of("orders"), partition);
                assert_non_null(log);
                assert_int_equal(partition_log_end_offset(log), 20 + partition);
            }
            assert_int_equal(log_manager_checkpointed_high_watermark(world.manager, slice_of("orders"), 3),
                             17);
            assert_int_equal(log_manager_checkpointed_high_watermark(world.manager, slice_of("orders"), 4),
                             0);
            world_drop(&world);
            memory_files_crash(world.disk, MEMORY_FILES_PROCESS_CRASH);
        }
        world_release(&world);
    }
}

static void i12_a_directory_in_use_is_refused(void **state)
{
    (void)state;
    struct world world;
    world_init_directories(&world, 2);
    assert_int_equal(world_open(&world), 0);
    struct log_manager *second = NULL;
    assert_int_equal(log_manager_open(&world.options, &second, &world.error), -EBUSY);
    assert_non_null(strstr(buffer_string(&world.error), "/data/a"));
    assert_non_null(strstr(buffer_string(&world.error), "another process"));
    world_drop(&world);
    assert_int_equal(world_open(&world), 0);
    world_release(&world);
}

static void i12_a_directory_of_another_broker_or_cluster_is_refused(void **state)
{
    (void)state;
    struct world world;
    world_init_directories(&world, 3);
    assert_int_equal(world_open(&world), 0);
    world_drop(&world);
    world.options.broker_id = 2;
    assert_int_equal(world_open(&world), -EINVAL);
    assert_non_null(strstr(buffer_string(&world.error),
                           "/data/a/meta.properties says broker.id=1, but this broker is 2"));
    world.options.broker_id = 1;
    world.options.cluster_id = "AAECAwQFBgcICQoLDA0ODw";
    assert_int_equal(world_open(&world), -EINVAL);
    assert_non_null(strstr(buffer_string(&world.error), "cluster.id=" CLUSTER));
    world.options.cluster_id = CLUSTER;
    assert_int_equal(world_open(&world), 0);
    world_release(&world);
}

/* What an interrupted move leaves: the rule stands in log_manager_future.h. */
static void i12_a_partition_lies_in_one_directory(void **state)
{
    (void)state;
    struct world world;
    world_init_directories(&world, 4);
    struct file_system *files = world.options.files;
    assert_int_equal(file_system_make_directory(files, "/data/a/orders-0"), 0);
    assert_int_equal(file_system_make_directory(files, "/data/b/orders-0"), 0);
    assert_int_equal(world_open(&world), 0);
    assert_int_equal(log_manager_directory_of(world.manager, slice_of("orders"), 0), 0);
    assert_true(world_exists(&world, "/data/a/orders-0"));
    assert_false(world_exists(&world, "/data/b/orders-0"));
    world_release(&world);
}

/* A folder that was not there at the start and is now: its torn end is cut. */
static void a_folder_out_of_nowhere_is_not_trusted(void **state)
{
    (void)state;
    struct world world;
    world_init_directories(&world, 11);
    assert_int_equal(world_open(&world), 0);
    struct partition_log *log = world_make(&world, 0);
    for (int i = 0; i < 5; i++)
        assert_true(world_append(&world, log));
    int64_t size = partition_log_size_bytes(log);
    struct file_system *files = world.options.files;
    assert_int_equal(file_system_rename(files, "/data/a/orders-0", "/data/a/elsewhere"), 0);
    world_drop(&world);
    assert_int_equal(world_open(&world), 0);
    assert_null(log_manager_find(world.manager, slice_of("orders"), 0));
    assert_int_equal(file_system_rename(files, "/data/a/elsewhere", "/data/a/orders-0"), 0);
    assert_int_equal(memory_files_flip(world.disk, "/data/a/orders-0/00000000000000000000.log", size - 1, 1),
                     0);
    log = world_make(&world, 0);
    assert_non_null(log);
    assert_int_equal(partition_log_end_offset(log), 4);
    assert_int_equal(partition_log_recovery_point(log), partition_log_end_offset(log));
    world_release(&world);
}

struct onlooker {
    struct log_manager *manager;
    const char *path_part; /* of what is being done meanwhile */
    int looks;
};

/* As a network thread does it, while the disk works for somebody else: nobody waits, or this hangs. */
static int look_on(void *context, enum memory_files_operation operation, const char *path)
{
    struct onlooker *onlooker = context;
    (void)operation;
    if (!strstr(path, onlooker->path_part))
        return 0;
    onlooker->looks++;
    assert_false(log_manager_log_is_offline(onlooker->manager, slice_of("orders"), 7));
    assert_non_null(log_manager_find(onlooker->manager, slice_of("orders"), 1));
    assert_null(log_manager_find(onlooker->manager, slice_of("orders"), 0));
    assert_int_equal(log_manager_directory_of(onlooker->manager, slice_of("orders"), 0), -1);
    return 0;
}

static void nobody_waits_for_the_disk_of_another_log(void **state)
{
    (void)state;
    struct world world;
    world_init_directories(&world, 17);
    assert_int_equal(world_open(&world), 0);
    assert_true(world_append(&world, world_make(&world, 1)));
    struct onlooker onlooker = {.manager = world.manager, .path_part = "orders-0"};
    memory_files_set_hook(world.disk, look_on, &onlooker);
    struct partition_log *log = world_make(&world, 0);
    assert_true(onlooker.looks > 0);
    memory_files_set_hook(world.disk, NULL, NULL);
    assert_ptr_equal(log_manager_find(world.manager, slice_of("orders"), 0), log);
    assert_true(world_append(&world, log));
    memory_files_set_hook(world.disk, look_on, &onlooker);
    onlooker.looks = 0;
    assert_int_equal(log_manager_delete(world.manager, slice_of("orders"), 0), 0);
    assert_true(onlooker.looks > 0);
    memory_files_set_hook(world.disk, NULL, NULL);
    assert_null(log_manager_find(world.manager, slice_of("orders"), 0));
    world_release(&world);
}

static uint64_t syncs(struct world *world)
{
    return memory_files_operations(world->disk, MEMORY_FILES_BIT(MEMORY_FILES_SYNC) |
                                                    MEMORY_FILES_BIT(MEMORY_FILES_SYNC_DIRECTORY));
}

/* Of many logs, a stop waits for the disk for those only that have something new. */
static void a_stop_leaves_idle_logs_alone(void **state)
{
    (void)state;
    for (int threads = 0; threads <= 3; threads += 3) {
        struct world world;
        world_init_directories(&world, 18);
        world.options.recovery_threads = threads;
        assert_int_equal(world_open(&world), 0);
        for (int32_t i = 0; i < 60; i++)
            for (int32_t r = 0; r < i % 30; r++)
                assert_true(world_append(&world, world_make(&world, i)));
        assert_int_equal(log_manager_close(world.manager), 0);
        for (int life = 0; life < 4; life++) {
            world_drop(&world);
            memory_files_crash(world.disk, MEMORY_FILES_POWER_CUT);
            assert_int_equal(world_open(&world), 0);
            for (int32_t i = 1; i < 60; i++)
                assert_int_equal(partition_log_end_offset(world_make(&world, i)),
                                 i % 30 + (i == 7 ? life : 0));
            if (life == 3)
                break;
            /* One is written, one is cut, the others rest. */
            assert_true(world_append(&world, world_make(&world, 7)));
            assert_int_equal(partition_log_truncate(world_make(&world, 9), 5, 0), KAFKA_NONE);
            for (int32_t r = 5; r < 9; r++)
                assert_true(world_append(&world, world_make(&world, 9)));
            uint64_t before = syncs(&world);
            assert_int_equal(log_manager_close(world.manager), 0);
            assert_true(syncs(&world) - before < 30);
            assert_true(world_exists(&world, MARK));
        }
        world_release(&world);
    }
}

/* A flush that fails at the stop leaves no mark (I8). */
static void i8_no_mark_after_a_failed_stop(void **state)
{
    (void)state;
    struct world world;
    world_init_directories(&world, 9);
    assert_int_equal(world_open(&world), 0);
    assert_true(world_append(&world, world_make(&world, 0)));
    assert_true(world_append(&world, world_make(&world, 1)));
    const struct memory_files_fault fault = {.operations = MEMORY_FILES_BIT(MEMORY_FILES_SYNC),
                                             .error = -EIO,
                                             .short_bytes = -1,
                                             .path_part = "/a/orders-0/00000000000000000000.log"};
    memory_files_set_fault(world.disk, &fault);
    assert_int_equal(log_manager_close(world.manager), -EIO);
    assert_false(world_exists(&world, MARK));
    assert_true(world_exists(&world, "/data/b/.kafka_cleanshutdown"));
    world_release(&world);
}

/* How far the mark's life has come in one directory, as its disk sees it. */
struct mark_watch {
    bool removed, durable; /* at a start */
    bool written;          /* at a stop */
    int early, late;       /* what was done before the one, and after the other */
};

/* At a start: nothing in the folders of a's logs is touched before the mark is gone for good. */
static int watch_start(void *context, enum memory_files_operation operation, const char *path)
{
    struct mark_watch *watch = context;
    if (operation == MEMORY_FILES_REMOVE && strcmp(path, MARK) == 0)
        watch->removed = true;
    else if (operation == MEMORY_FILES_SYNC_DIRECTORY && strcmp(path, "/data/a") == 0)
        watch->durable = watch->removed;
    else if (strstr(path, "/data/a/orders-") && !watch->durable)
        watch->early++;
    return 0;
}

/* At a stop: nothing of a is changed after its mark has got its name. */
static int watch_stop(void *context, enum memory_files_operation operation, const char *path)
{
    struct mark_watch *watch = context;
    if (!strstr(path, "/data/a") || !(MEMORY_FILES_BIT(operation) & MEMORY_FILES_CHANGING_OPERATIONS))
        return 0;
    if (operation == MEMORY_FILES_SYNC_DIRECTORY && strcmp(path, "/data/a") == 0)
        return 0; /* makes the name durable */
    if (strstr(path, ".kafka_cleanshutdown"))
        watch->written = true;
    else if (watch->written)
        watch->late++;
    return 0;
}

static void i8_the_mark_goes_first_and_comes_last(void **state)
{
    (void)state;
    for (int threads = 0; threads <= 2; threads += 2) {
        struct world world;
        struct mark_watch watch = {.written = false};
        world_init_directories(&world, 23);
        world.options.recovery_threads = threads;
        assert_int_equal(world_open(&world), 0);
        for (int32_t partition = 0; partition < 6; partition++)
            assert_true(world_append(&world, world_make(&world, partition)));
        memory_files_set_hook(world.disk, watch_stop, &watch);
        assert_int_equal(log_manager_close(world.manager), 0);
        assert_true(watch.written);
        assert_int_equal(watch.late, 0);
        memory_files_set_hook(world.disk, NULL, NULL);
        world_drop(&world);
        memory_files_set_hook(world.disk, watch_start, &watch);
        assert_int_equal(world_open(&world), 0);
        assert_true(watch.durable);
        assert_int_equal(watch.early, 0);
        memory_files_set_hook(world.disk, NULL, NULL);
        /* What a start that ends here leaves is no clean stop. */
        world_drop(&world);
        memory_files_crash(world.disk, MEMORY_FILES_POWER_CUT);
        assert_false(world_exists(&world, MARK));
        world_release(&world);
    }
}

/* ---- stopped at every operation ---- */

struct counts {
    int64_t appended[3]; /* that the disk took */
    int64_t durable[3];  /* that a flush, checkpointed since, or a clean stop covers */
    bool stopped_clean;
};

static void work(struct world *world, struct counts *counts)
{
    struct partition_log *logs[3];
    *counts = (struct counts){.stopped_clean = false};
    if (world_open(world))
        return;
    for (int i = 0; i < 3; i++)
        if (!(logs[i] = world_make(world, i)))
            return;
    for (int step = 0; step < 60; step++) {
        int number = (int)prng_below(&world->prng, 3);
        if (!world_append(world, logs[number]))
            return;
        counts->appended[number]++;
        if (step != 30)
            continue;
        for (int i = 0; i < 3; i++) {
            if (partition_log_flush(logs[i]))
                return;
            counts->durable[i] = counts->appended[i];
        }
    }
    if (log_manager_close(world->manager))
        return;
    counts->stopped_clean = true;
    memcpy(counts->durable, counts->appended, sizeof(counts->durable));
    world_drop(world);
    /* Started again, and stopped in the midst of it. */
    if (world_open(world))
        return;
    counts->stopped_clean = false;
    for (int step = 0; step < 10; step++) {
        struct partition_log *log = log_manager_find(world->manager, slice_of("orders"), step % 3);
        if (!log || !world_append(world, log))
            return;
        counts->appended[step % 3]++;
    }
}

static bool stop_at(uint64_t after, enum memory_files_crash crash)
{
    struct world world;
    struct counts counts;
    world_init_directories(&world, 100 + after);
    memory_files_stop_after(world.disk, after);
    work(&world, &counts);
    bool stopped = memory_files_is_stopped(world.disk);
    world_drop(&world);
    memory_files_crash(world.disk, crash);
    assert_int_equal(world_open(&world), 0);
    for (int i = 0; i < 3; i++) {
        struct partition_log *log = log_manager_find(world.manager, slice_of("orders"), i);
        int64_t end = log ? partition_log_end_offset(log) : 0;
        int64_t least = crash == MEMORY_FILES_POWER_CUT ? counts.durable[i] : counts.appended[i];
        assert_in_range(end, least, counts.appended[i] + 1);
    }
    for (int i = 0; i < 3; i++)
        assert_true(world_append(&world, world_make(&world, i)));
    assert_int_equal(log_manager_close(world.manager), 0);
    world_release(&world);
    return stopped;
}

static void i8_every_stop_can_be_started_from(void **state)
{
    (void)state;
    for (int crash = MEMORY_FILES_PROCESS_CRASH; crash <= MEMORY_FILES_POWER_CUT; crash++) {
        uint64_t after = 0;
        while (stop_at(after, (enum memory_files_crash)crash))
            after++;
        assert_true(after > 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stop_and_a_start_keep_everything),
        cmocka_unit_test(i12_a_directory_in_use_is_refused),
        cmocka_unit_test(i12_a_directory_of_another_broker_or_cluster_is_refused),
        cmocka_unit_test(i12_a_partition_lies_in_one_directory),
        cmocka_unit_test(a_folder_out_of_nowhere_is_not_trusted),
        cmocka_unit_test(nobody_waits_for_the_disk_of_another_log),
        cmocka_unit_test(a_stop_leaves_idle_logs_alone),
        cmocka_unit_test(i8_no_mark_after_a_failed_stop),
        cmocka_unit_test(i8_the_mark_goes_first_and_comes_last),
        cmocka_unit_test(i8_every_stop_can_be_started_from),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
