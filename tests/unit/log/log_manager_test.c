/* SPDX-License-Identifier: Apache-2.0 */
/* Log directories: taken, left, fought over, and stopped at every operation (invariants I8, I12). */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/log_manager.h"
#include "proto/kafka/error.h"
#include "proto/records/batch.h"
#include "tests/unit/log/log_fixture.h"

#define CLUSTER "u4zkQmXqRl2wJ0Jq9fB1Zg"
#define MARK "/data/a/.kafka_cleanshutdown"

struct world {
    struct memory_files *disk;
    struct prng prng;
    struct log_manager_options options;
    struct log_manager *manager;
    struct buffer error;
};

static int64_t fixed_clock(void *context)
{
    (void)context;
    return 1700000000000;
}

static const char *const directories[] = {"/data/a", "/data/b"};

static void world_init(struct world *world, uint64_t seed)
{
    *world = (struct world){0};
    prng_init(&world->prng, seed);
    buffer_init(&world->error);
    world->disk = memory_files_new(seed);
    struct file_system *files = memory_files_system(world->disk);
    assert_int_equal(file_system_make_directory(files, "/data"), 0);
    assert_int_equal(file_system_make_directory(files, "/data/a"), 0);
    assert_int_equal(file_system_make_directory(files, "/data/b"), 0);
    assert_int_equal(file_system_sync_directory(files, "/data"), 0);
    assert_int_equal(file_system_sync_directory(files, "/"), 0);
    world->options = (struct log_manager_options){.files = files,
                                                  .directories = directories,
                                                  .directories_count = 2,
                                                  .broker_id = 1,
                                                  .cluster_id = CLUSTER,
                                                  .recovery_threads = 0,
                                                  .wall_clock_ms = fixed_clock,
                                                  .seed = seed};
    log_settings_init(&world->options.defaults);
    world->options.defaults.segment_bytes = 1500;
}

static void world_release(struct world *world)
{
    log_manager_free(world->manager);
    memory_files_free(world->disk);
    buffer_release(&world->error);
}

static int world_open(struct world *world)
{
    buffer_clear(&world->error);
    return log_manager_open(&world->options, &world->manager, &world->error);
}

static void world_drop(struct world *world)
{
    log_manager_free(world->manager);
    world->manager = NULL;
}

static bool exists(struct world *world, const char *path)
{
    struct file_status status;
    int error = file_system_status(world->options.files, path, &status);
    assert_true(error == 0 || error == -ENOENT);
    return error == 0;
}

static void assert_content(struct world *world, const char *path, const char *expected)
{
    struct buffer content;
    buffer_init(&content);
    assert_int_equal(file_system_read_all(world->options.files, path, 10000, &content), 0);
    assert_string_equal(buffer_string(&content), expected);
    buffer_release(&content);
}

static struct partition_log *obtain(struct world *world, const char *topic, int32_t partition)
{
    struct partition_log *log = NULL;
    if (log_manager_obtain(world->manager, slice_of(topic), partition, true, &world->options.defaults, &log))
        return NULL;
    return log;
}

/* Appends a batch of one record; whether the disk took it. */
static bool append(struct world *world, struct partition_log *log)
{
    struct buffer bytes;
    struct log_append_result result;
    buffer_init(&bytes);
    struct batch_plan plan = batch_plan_plain(1, 1700000000000);
    make_batch(&world->prng, &plan, &bytes);
    int16_t error =
        partition_log_append_as_leader(log, bytes.data, bytes.length, 9, 0, 1700000000000, &result);
    buffer_release(&bytes);
    return error == KAFKA_NONE;
}

static void a_stop_and_a_start_keep_everything(void **state)
{
    (void)state;
    for (int threads = 0; threads <= 4; threads += 2) {
        struct world world;
        world_init(&world, 1);
        world.options.recovery_threads = threads;
        assert_int_equal(world_open(&world), 0);
        assert_content(&world, "/data/b/meta.properties", "version=0\nbroker.id=1\ncluster.id=" CLUSTER "\n");
        for (int partition = 0; partition < 10; partition++) {
            struct partition_log *log = obtain(&world, "orders", partition);
            for (int i = 0; i < 20 + partition; i++)
                assert_true(append(&world, log));
            assert_ptr_equal(log_manager_find(world.manager, slice_of("orders"), partition), log);
        }
        assert_true(exists(&world, "/data/a/orders-0") && exists(&world, "/data/b/orders-1"));
        assert_null(log_manager_find(world.manager, slice_of("orders"), 10));
        const struct high_watermark_entry watermark = {slice_of("orders"), 3, 17, 0};
        assert_int_equal(log_manager_checkpoint_high_watermarks(world.manager, &watermark, 1), 0);
        assert_int_equal(log_manager_close(world.manager), 0);
        world_drop(&world);
        assert_content(&world, MARK, "{\"version\":0,\"brokerEpoch\":-1}");
        for (int round = 0; round < 2; round++) {
            /* Once after the clean stop, once after a crash. */
            assert_int_equal(world_open(&world), 0);
            assert_false(exists(&world, MARK));
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

static void a_directory_in_use_is_refused(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 2);
    assert_int_equal(world_open(&world), 0);
    struct log_manager *second = NULL;
    assert_int_equal(log_manager_open(&world.options, &second, &world.error), -EBUSY);
    assert_non_null(strstr(buffer_string(&world.error), "/data/a"));
    assert_non_null(strstr(buffer_string(&world.error), "another process"));
    world_drop(&world);
    assert_int_equal(world_open(&world), 0);
    world_release(&world);
}

static void a_directory_of_another_broker_or_cluster_is_refused(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 3);
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
static void a_partition_lies_in_one_directory(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 4);
    struct file_system *files = world.options.files;
    assert_int_equal(file_system_make_directory(files, "/data/a/orders-0"), 0);
    assert_int_equal(file_system_make_directory(files, "/data/b/orders-0"), 0);
    assert_int_equal(world_open(&world), 0);
    assert_int_equal(log_manager_directory_of(world.manager, slice_of("orders"), 0), 0);
    assert_true(exists(&world, "/data/a/orders-0"));
    assert_false(exists(&world, "/data/b/orders-0"));
    world_release(&world);
}

static void leftover_folders_are_removed_or_kept(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 5);
    struct file_system *files = world.options.files;
    const char *gone = "/data/a/orders-0.0123456789abcdef0123456789abcdef-delete";
    const char *stray = "/data/a/orders-1.0123456789abcdef0123456789abcdef-stray";
    assert_int_equal(file_system_make_directory(files, gone), 0);
    assert_int_equal(file_system_make_directory(files, stray), 0);
    assert_int_equal(file_system_make_directory(files, "/data/a/lost+found"), 0);
    assert_int_equal(world_open(&world), 0);
    assert_true(exists(&world, gone));
    assert_int_equal(log_manager_remove_due(world.manager, 0), INT64_MAX);
    assert_false(exists(&world, gone));
    assert_true(exists(&world, stray));
    assert_null(log_manager_find(world.manager, slice_of("orders"), 1));
    world_release(&world);
}

static void a_deleted_log_leaves_nothing_to_its_namesake(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 6);
    assert_int_equal(world_open(&world), 0);
    struct partition_log *log = obtain(&world, "orders", 0);
    for (int i = 0; i < 50; i++)
        assert_true(append(&world, log));
    assert_int_equal(partition_log_flush(log), 0);
    assert_int_equal(partition_log_advance_start(log, 20), KAFKA_NONE);
    const struct recovery_entry recovery = {slice_of("orders"), 0, 50, 20, 0};
    const struct high_watermark_entry watermark = {slice_of("orders"), 0, 40, 0};
    assert_int_equal(log_manager_checkpoint_recovery(world.manager, &recovery, 1), 0);
    assert_int_equal(log_manager_checkpoint_high_watermarks(world.manager, &watermark, 1), 0);
    assert_content(&world, "/data/a/recovery-point-offset-checkpoint", "0\n1\norders 0 50\n");
    assert_content(&world, "/data/a/log-start-offset-checkpoint", "0\n1\norders 0 20\n");
    assert_content(&world, "/data/a/replication-offset-checkpoint", "0\n1\norders 0 40\n");
    assert_int_equal(log_manager_delete(world.manager, slice_of("orders"), 0), 0);
    assert_int_equal(log_manager_delete(world.manager, slice_of("orders"), 0), -ENOENT);
    assert_false(exists(&world, "/data/a/orders-0"));
    /* The checkpoints forget it before there is a namesake, at the latest; also in another life. */
    world_drop(&world);
    memory_files_crash(world.disk, MEMORY_FILES_PROCESS_CRASH);
    assert_int_equal(world_open(&world), 0);
    assert_content(&world, "/data/a/recovery-point-offset-checkpoint", "0\n1\norders 0 50\n");
    assert_int_equal(log_manager_checkpointed_high_watermark(world.manager, slice_of("orders"), 0), 0);
    log = obtain(&world, "orders", 0);
    assert_content(&world, "/data/a/recovery-point-offset-checkpoint", "0\n0\n");
    assert_content(&world, "/data/a/log-start-offset-checkpoint", "0\n0\n");
    assert_content(&world, "/data/a/replication-offset-checkpoint", "0\n0\n");
    assert_int_equal(partition_log_end_offset(log), 0);
    for (int i = 0; i < 5; i++)
        assert_true(append(&world, log));
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
    world_init(&world, 16);
    assert_int_equal(world_open(&world), 0);
    struct recovery_entry entries[40];
    for (int32_t i = 0; i < 40; i++) {
        struct partition_log *log = obtain(&world, "orders", i);
        assert_true(append(&world, log));
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
    assert_content(&world, "/data/a/recovery-point-offset-checkpoint", "0\n0\n");
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
    world_init(&world, 17);
    assert_int_equal(world_open(&world), 0);
    assert_true(append(&world, obtain(&world, "orders", 1)));
    struct onlooker onlooker = {.manager = world.manager, .path_part = "orders-0"};
    memory_files_set_hook(world.disk, look_on, &onlooker);
    struct partition_log *log = obtain(&world, "orders", 0);
    assert_true(onlooker.looks > 0);
    memory_files_set_hook(world.disk, NULL, NULL);
    assert_ptr_equal(log_manager_find(world.manager, slice_of("orders"), 0), log);
    assert_true(append(&world, log));
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
        world_init(&world, 18);
        world.options.recovery_threads = threads;
        assert_int_equal(world_open(&world), 0);
        for (int32_t i = 0; i < 60; i++)
            for (int32_t r = 0; r < i % 30; r++)
                assert_true(append(&world, obtain(&world, "orders", i)));
        assert_int_equal(log_manager_close(world.manager), 0);
        for (int life = 0; life < 4; life++) {
            world_drop(&world);
            memory_files_crash(world.disk, MEMORY_FILES_POWER_CUT);
            assert_int_equal(world_open(&world), 0);
            for (int32_t i = 1; i < 60; i++)
                assert_int_equal(partition_log_end_offset(obtain(&world, "orders", i)),
                                 i % 30 + (i == 7 ? life : 0));
            if (life == 3)
                break;
            /* One is written, one is cut, the others rest. */
            assert_true(append(&world, obtain(&world, "orders", 7)));
            assert_int_equal(partition_log_truncate(obtain(&world, "orders", 9), 5, 0), KAFKA_NONE);
            for (int32_t r = 5; r < 9; r++)
                assert_true(append(&world, obtain(&world, "orders", 9)));
            uint64_t before = syncs(&world);
            assert_int_equal(log_manager_close(world.manager), 0);
            assert_true(syncs(&world) - before < 30);
            assert_true(exists(&world, MARK));
        }
        world_release(&world);
    }
}

static void a_truncation_lowers_the_checkpoint_first(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 7);
    assert_int_equal(world_open(&world), 0);
    struct partition_log *log = obtain(&world, "orders", 0);
    for (int i = 0; i < 50; i++)
        assert_true(append(&world, log));
    assert_int_equal(partition_log_flush(log), 0);
    const struct recovery_entry recovery = {slice_of("orders"), 0, partition_log_recovery_point(log), 0, 0};
    assert_int_equal(log_manager_checkpoint_recovery(world.manager, &recovery, 1), 0);
    assert_int_equal(partition_log_truncate(log, 30, 0), KAFKA_NONE);
    assert_content(&world, "/data/a/recovery-point-offset-checkpoint", "0\n1\norders 0 30\n");
    assert_int_equal(partition_log_recovery_point(log), 30);
    world_release(&world);
}

/* Appends a batch of one record at `offset`, as a follower does. */
static int16_t follow(struct world *world, struct partition_log *log, int64_t offset)
{
    struct buffer bytes;
    buffer_init(&bytes);
    struct batch_plan plan = batch_plan_plain(1, 1700000000000 + offset);
    make_batch(&world->prng, &plan, &bytes);
    record_batch_set_base_offset(bytes.data, offset);
    record_batch_set_leader_epoch(bytes.data, 1);
    int16_t error = partition_log_append_as_follower(log, bytes.data, bytes.length, 1700000000000, NULL);
    buffer_release(&bytes);
    return error;
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
        world_init(&world, 17);
        if (by_append)
            world.options.defaults.segment_bytes = 1000000; /* and no roll */
        assert_int_equal(world_open(&world), 0);
        struct partition_log *log = obtain(&world, "orders", 0);
        for (int64_t i = 0; i < 60; i++)
            assert_int_equal(follow(&world, log, i), KAFKA_NONE);
        assert_int_equal(partition_log_flush(log), 0);
        const struct recovery_entry recovery = {slice_of("orders"), 0, 60, 0, 0};
        assert_int_equal(log_manager_checkpoint_recovery(world.manager, &recovery, 1), 0);
        refuse_once(&world, "recovery-point");
        assert_int_equal(partition_log_truncate(log, 5, 0), KAFKA_KAFKA_STORAGE_ERROR);
        assert_int_equal(partition_log_end_offset(log), 60);
        assert_content(&world, "/data/a/recovery-point-offset-checkpoint", "0\n1\norders 0 60\n");
        memory_files_set_fault(world.disk, NULL);
        log_manager_probe(world.manager);
        if (by_append)
            assert_int_equal(follow(&world, log, 60), KAFKA_NONE);
        else
            assert_int_equal(partition_log_truncate(log, 5, 0), KAFKA_NONE);
        assert_content(&world, "/data/a/recovery-point-offset-checkpoint", "0\n1\norders 0 5\n");
        world_release(&world);
    }
}

static void a_lowered_start_is_written_at_last(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 18);
    assert_int_equal(world_open(&world), 0);
    struct partition_log *log = obtain(&world, "orders", 0);
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
    log = obtain(&world, "orders", 0);
    assert_int_equal(partition_log_start_offset(log), 50);
    assert_int_equal(partition_log_end_offset(log), 60);
    world_release(&world);
}

/* Recovery found less than the checkpoint promised: the promise is taken back before anything is appended. */
static void a_start_lowers_the_checkpoint_too(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 19);
    assert_int_equal(world_open(&world), 0);
    struct partition_log *log = obtain(&world, "orders", 0);
    for (int64_t i = 0; i < 5; i++)
        assert_int_equal(follow(&world, log, i), KAFKA_NONE);
    assert_int_equal(partition_log_flush(log), 0);
    const struct recovery_entry recovery = {slice_of("orders"), 0, 5, 0, 0};
    assert_int_equal(log_manager_checkpoint_recovery(world.manager, &recovery, 1), 0);
    world_drop(&world);
    memory_files_crash(world.disk, MEMORY_FILES_PROCESS_CRASH);
    assert_int_equal(memory_files_flip(world.disk, "/data/a/orders-0/00000000000000000000.log", 70, 1), 0);
    assert_int_equal(world_open(&world), 0);
    assert_int_equal(partition_log_end_offset(obtain(&world, "orders", 0)), 0);
    assert_content(&world, "/data/a/recovery-point-offset-checkpoint", "0\n1\norders 0 0\n");
    world_release(&world);
}

/* What was collected before a truncation must not undo what that wrote. */
static void an_emptied_log_lowers_both_checkpoints(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 9);
    assert_int_equal(world_open(&world), 0);
    struct partition_log *log = obtain(&world, "orders", 0);
    for (int i = 0; i < 50; i++)
        assert_true(append(&world, log));
    assert_int_equal(partition_log_flush(log), 0);
    assert_int_equal(partition_log_advance_start(log, 40), KAFKA_NONE);
    const struct recovery_entry recovery = {slice_of("orders"), 0, 50, 40, 0};
    assert_int_equal(log_manager_checkpoint_recovery(world.manager, &recovery, 1), 0);
    assert_content(&world, "/data/a/log-start-offset-checkpoint", "0\n1\norders 0 40\n");
    assert_int_equal(partition_log_truncate_fully(log, 10, 0), KAFKA_NONE);
    assert_int_equal(log_manager_checkpoint_recovery(world.manager, &recovery, 1), 0);
    assert_content(&world, "/data/a/recovery-point-offset-checkpoint", "0\n1\norders 0 10\n");
    assert_content(&world, "/data/a/log-start-offset-checkpoint", "0\n1\norders 0 10\n");
    assert_true(append(&world, log));
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
    world_init(&world, 10);
    assert_int_equal(world_open(&world), 0);
    struct partition_log *log = obtain(&world, "orders", 0);
    assert_true(append(&world, log));
    assert_false(exists(&world, "/data/a/recovery-point-offset-checkpoint"));
    for (int i = 0; i < 50; i++)
        assert_true(append(&world, log));
    assert_content(&world, "/data/a/recovery-point-offset-checkpoint", "0\n1\norders 0 0\n");
    world_release(&world);
}

/* A folder that was not there at the start and is now: its torn end is cut. */
static void a_folder_out_of_nowhere_is_not_trusted(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 11);
    assert_int_equal(world_open(&world), 0);
    struct partition_log *log = obtain(&world, "orders", 0);
    for (int i = 0; i < 5; i++)
        assert_true(append(&world, log));
    int64_t size = partition_log_size_bytes(log);
    struct file_system *files = world.options.files;
    assert_int_equal(file_system_rename(files, "/data/a/orders-0", "/data/a/elsewhere"), 0);
    world_drop(&world);
    assert_int_equal(world_open(&world), 0);
    assert_null(log_manager_find(world.manager, slice_of("orders"), 0));
    assert_int_equal(file_system_rename(files, "/data/a/elsewhere", "/data/a/orders-0"), 0);
    assert_int_equal(memory_files_flip(world.disk, "/data/a/orders-0/00000000000000000000.log", size - 1, 1),
                     0);
    log = obtain(&world, "orders", 0);
    assert_non_null(log);
    assert_int_equal(partition_log_end_offset(log), 4);
    assert_int_equal(partition_log_recovery_point(log), partition_log_end_offset(log));
    world_release(&world);
}

static void corrupt_checkpoints_are_taken_as_empty(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 8);
    assert_int_equal(world_open(&world), 0);
    struct partition_log *log = obtain(&world, "orders", 0);
    for (int i = 0; i < 30; i++)
        assert_true(append(&world, log));
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
        if (!(logs[i] = obtain(world, "orders", i)))
            return;
    for (int step = 0; step < 60; step++) {
        int number = (int)prng_below(&world->prng, 3);
        if (!append(world, logs[number]))
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
        if (!log || !append(world, log))
            return;
        counts->appended[step % 3]++;
    }
}

static bool stop_at(uint64_t after, enum memory_files_crash crash)
{
    struct world world;
    struct counts counts;
    world_init(&world, 100 + after);
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
        assert_true(append(&world, obtain(&world, "orders", i)));
    assert_int_equal(log_manager_close(world.manager), 0);
    world_release(&world);
    return stopped;
}

static void every_stop_can_be_started_from(void **state)
{
    (void)state;
    for (int crash = MEMORY_FILES_PROCESS_CRASH; crash <= MEMORY_FILES_POWER_CUT; crash++) {
        uint64_t after = 0;
        while (stop_at(after, (enum memory_files_crash)crash))
            after++;
        assert_true(after > 100);
    }
}

/* A flush that fails at the stop leaves no mark (I8). */
static void no_mark_after_a_failed_stop(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 9);
    assert_int_equal(world_open(&world), 0);
    assert_true(append(&world, obtain(&world, "orders", 0)));
    assert_true(append(&world, obtain(&world, "orders", 1)));
    const struct memory_files_fault fault = {.operations = MEMORY_FILES_BIT(MEMORY_FILES_SYNC),
                                             .error = -EIO,
                                             .short_bytes = -1,
                                             .path_part = "/a/orders-0/00000000000000000000.log"};
    memory_files_set_fault(world.disk, &fault);
    assert_int_equal(log_manager_close(world.manager), -EIO);
    assert_false(exists(&world, MARK));
    assert_true(exists(&world, "/data/b/.kafka_cleanshutdown"));
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
    world_init(&world, 1);
    assert_int_equal(world_open(&world), 0);
    obtain(&world, "orders", 0);
    uint64_t former = 0, present = 0;
    log_manager_each_in(world.manager, LOG_DIRECTORIES_ALL, note_instance, &former);
    assert_int_equal(log_manager_delete(world.manager, slice_of("orders"), 0), 0);
    obtain(&world, "orders", 0);
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
        cmocka_unit_test(a_stop_and_a_start_keep_everything),
        cmocka_unit_test(a_log_made_anew_inherits_no_high_watermark),
        cmocka_unit_test(a_directory_in_use_is_refused),
        cmocka_unit_test(a_directory_of_another_broker_or_cluster_is_refused),
        cmocka_unit_test(a_partition_lies_in_one_directory),
        cmocka_unit_test(leftover_folders_are_removed_or_kept),
        cmocka_unit_test(a_deleted_log_leaves_nothing_to_its_namesake),
        cmocka_unit_test(deletions_write_checkpoints_together),
        cmocka_unit_test(a_stop_leaves_idle_logs_alone),
        cmocka_unit_test(nobody_waits_for_the_disk_of_another_log),
        cmocka_unit_test(a_truncation_lowers_the_checkpoint_first),
        cmocka_unit_test(a_lowered_checkpoint_is_written_at_last),
        cmocka_unit_test(a_lowered_start_is_written_at_last),
        cmocka_unit_test(a_start_lowers_the_checkpoint_too),
        cmocka_unit_test(an_emptied_log_lowers_both_checkpoints),
        cmocka_unit_test(the_first_roll_makes_an_entry),
        cmocka_unit_test(a_folder_out_of_nowhere_is_not_trusted),
        cmocka_unit_test(corrupt_checkpoints_are_taken_as_empty),
        cmocka_unit_test(every_stop_can_be_started_from),
        cmocka_unit_test(no_mark_after_a_failed_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
