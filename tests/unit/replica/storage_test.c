/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The storage threads with two disks: flushes that are asked for are done, a disk that hangs holds up its own
 * logs only, and the threads end with work still queued.
 */
#include "broker/storage.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/memory.h"
#include "proto/kafka/error.h"
#include "proto/records/builder.h"
#include "tests/support/memory_files.h"

#define SELF 1
#define DISKS 2
#define HANGING 0
#define SOUND 1
#define LOGS_EACH 3
#define DEADLINE_MS 30000

struct disk {
    struct memory_files *files;
    struct log_health health;
    struct partition_log *logs[LOGS_EACH];
    struct partition *partitions[LOGS_EACH];
};

struct fixture {
    struct broker_config config;
    struct storage *storage;
    struct partition_host host;
    struct disk disks[DISKS];
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool hangs;  /* guarded by the mutex, as the next: syncs of the hanging disk wait */
    int hanging; /* syncs that wait */
};

static void ask_storage(struct partition_host *host, struct partition *partition, enum flush_urgency urgency)
{
    storage_flush_wanted(container_of(host, struct fixture, host)->storage, partition, urgency);
}

static void ignore_proposal(struct partition_host *host, struct partition *partition)
{
    (void)host;
    (void)partition;
}

static int hang(void *context, enum memory_files_operation operation, const char *path)
{
    (void)path;
    struct fixture *fixture = context;
    if (operation != MEMORY_FILES_SYNC)
        return 0;
    pthread_mutex_lock(&fixture->mutex);
    fixture->hanging++;
    pthread_cond_broadcast(&fixture->changed);
    while (fixture->hangs)
        pthread_cond_wait(&fixture->changed, &fixture->mutex);
    fixture->hanging--;
    pthread_mutex_unlock(&fixture->mutex);
    return 0;
}

static void set_hanging(struct fixture *fixture, bool hangs)
{
    pthread_mutex_lock(&fixture->mutex);
    fixture->hangs = hangs;
    pthread_cond_broadcast(&fixture->changed);
    pthread_mutex_unlock(&fixture->mutex);
}

static void open_replica(struct fixture *fixture, struct disk *disk, int32_t number)
{
    char directory[64];
    snprintf(directory, sizeof(directory), "data/topic-%d", number);
    struct partition_log_options log = {.files = memory_files_system(disk->files),
                                        .directory = directory,
                                        .health = &disk->health,
                                        .now_ms = 1000};
    log_settings_init(&log.settings);
    log.settings.flush_messages = 1;
    assert_int_equal(partition_log_open(&log, &disk->logs[number]), 0);
    struct partition_options options = {.topic = slice_of("topic"),
                                        .partition = number,
                                        .broker_id = SELF,
                                        .log = disk->logs[number],
                                        .min_insync_replicas = 1,
                                        .replica_lag_time_max_ms = 10000,
                                        .host = &fixture->host};
    disk->partitions[number] = partition_new(&options);
    struct isr_member isr[] = {{.broker_id = SELF, .broker_epoch = 1}};
    int32_t assignment[] = {SELF};
    struct control_partition state = {.partition = number,
                                      .leader = SELF,
                                      .isr = isr,
                                      .isr_count = 1,
                                      .replicas = assignment,
                                      .replicas_count = 1};
    enum partition_role role;
    bool follow;
    assert_int_equal(partition_apply_state(disk->partitions[number], &state, 1000, &role, &follow),
                     KAFKA_NONE);
}

static int setup(void **state)
{
    struct fixture *fixture = memory_allocate_zeroed(1, sizeof(*fixture));
    pthread_mutex_init(&fixture->mutex, NULL);
    pthread_cond_init(&fixture->changed, NULL);
    fixture->config.background_threads = 4;
    fixture->host = (struct partition_host){.proposal_wanted = ignore_proposal, .flush_wanted = ask_storage};
    const struct storage_options options = {.config = &fixture->config, .directories = DISKS};
    assert_int_equal(storage_new(&options, &fixture->storage), 0);
    for (int i = 0; i < DISKS; i++) {
        struct disk *disk = &fixture->disks[i];
        disk->files = memory_files_new(1);
        assert_int_equal(file_system_make_directory(memory_files_system(disk->files), "data"), 0);
        for (int32_t number = 0; number < LOGS_EACH; number++)
            open_replica(fixture, disk, number);
    }
    memory_files_set_hook(fixture->disks[HANGING].files, hang, fixture);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    storage_free(fixture->storage);
    for (int i = 0; i < DISKS; i++) {
        struct disk *disk = &fixture->disks[i];
        for (int number = 0; number < LOGS_EACH; number++) {
            partition_close(disk->partitions[number]);
            partition_release(disk->partitions[number]);
            partition_log_free(disk->logs[number]);
        }
        memory_files_free(disk->files);
    }
    pthread_cond_destroy(&fixture->changed);
    pthread_mutex_destroy(&fixture->mutex);
    free(fixture);
    return 0;
}

static void produce(struct partition *partition)
{
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    struct record_batch_builder builder;
    struct buffer batch;
    struct produce_result result;
    buffer_init(&batch);
    record_batch_builder_init(&builder, &parameters);
    record_batch_builder_append(&builder, 1000, slice_of(NULL), slice_of("value"), NULL, 0);
    assert_int_equal(record_batch_builder_finish(&builder, CODEC_NONE, CODEC_DEFAULT_LEVEL, &batch), 0);
    record_batch_builder_release(&builder);
    assert_int_equal(partition_produce(partition, batch.data, batch.length, 9, false, 1000, 1000, &result),
                     KAFKA_NONE);
    buffer_release(&batch);
}

/* Waits until everything in the log is on disk. */
static void await_durable(struct partition *partition)
{
    int64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;
    struct partition_status status;
    do {
        assert_true(clock_monotonic_ms() < deadline_ms);
        sched_yield();
        partition_status(partition, &status);
    } while (status.recovery_point < status.log_end_offset || status.high_watermark < status.log_end_offset);
}

static void await_hanging(struct fixture *fixture)
{
    pthread_mutex_lock(&fixture->mutex);
    while (fixture->hanging == 0)
        pthread_cond_wait(&fixture->changed, &fixture->mutex);
    pthread_mutex_unlock(&fixture->mutex);
}

static void test_what_is_asked_for_is_flushed(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 100; i++)
        produce(fixture->disks[i % DISKS].partitions[i % LOGS_EACH]);
    for (int i = 0; i < DISKS; i++)
        for (int number = 0; number < LOGS_EACH; number++)
            await_durable(fixture->disks[i].partitions[number]);
}

static void test_a_hanging_disk_holds_up_its_own_logs_only(void **state)
{
    struct fixture *fixture = *state;
    set_hanging(fixture, true);
    produce(fixture->disks[HANGING].partitions[0]);
    await_hanging(fixture);
    for (int i = 0; i < 20; i++) {
        produce(fixture->disks[SOUND].partitions[i % LOGS_EACH]);
        await_durable(fixture->disks[SOUND].partitions[i % LOGS_EACH]);
    }
    set_hanging(fixture, false);
    await_durable(fixture->disks[HANGING].partitions[0]);
}

static void test_the_threads_end_with_work_queued(void **state)
{
    struct fixture *fixture = *state;
    set_hanging(fixture, true);
    produce(fixture->disks[HANGING].partitions[0]);
    await_hanging(fixture);
    for (int number = 0; number < LOGS_EACH; number++)
        storage_flush_wanted(fixture->storage, fixture->disks[HANGING].partitions[number], FLUSH_AWAITED);
    set_hanging(fixture, false);
    storage_stop(fixture->storage);
    /* Nothing is done any more, and nothing breaks. */
    produce(fixture->disks[SOUND].partitions[0]);
    struct partition_status status;
    partition_status(fixture->disks[SOUND].partitions[0], &status);
    assert_int_equal(status.recovery_point, 0);
}

/* ---- the periodic work ---- */

#define DIRECTORIES 2

/* A log manager over two directories, one of which hangs: whoever renames a checkpoint there waits. */
struct manager_fixture {
    struct file_operations operations; /* those of the files, but for the hanging */
    const struct file_operations *originals;
    struct memory_files *files;
    struct broker_config config;
    struct log_manager *logs;
    struct replica_manager *replicas;
    struct storage *storage;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool hangs; /* guarded by the mutex, as the next */
    int hanging;
};

static int hang_at_rename(struct file_system *system, const char *from, const char *to)
{
    const struct manager_fixture *constant =
        container_of(system->operations, struct manager_fixture, operations);
    struct manager_fixture *fixture = (struct manager_fixture *)constant;
    pthread_mutex_lock(&fixture->mutex);
    bool waits = fixture->hangs && strncmp(to, "/data/a/", 8) == 0;
    fixture->hanging += waits;
    pthread_cond_broadcast(&fixture->changed);
    while (waits && fixture->hangs)
        pthread_cond_wait(&fixture->changed, &fixture->mutex);
    pthread_mutex_unlock(&fixture->mutex);
    return fixture->originals->rename(system, from, to);
}

static int setup_manager(void **state)
{
    static const char *const directories[DIRECTORIES] = {"/data/a", "/data/b"};
    struct manager_fixture *fixture = memory_allocate_zeroed(1, sizeof(*fixture));
    pthread_mutex_init(&fixture->mutex, NULL);
    pthread_cond_init(&fixture->changed, NULL);
    fixture->files = memory_files_new(1);
    struct file_system *system = memory_files_system(fixture->files);
    fixture->originals = system->operations;
    fixture->operations = *system->operations;
    fixture->operations.rename = hang_at_rename;
    system->operations = &fixture->operations;
    struct log_manager_options options = {.files = system,
                                          .directories = directories,
                                          .directories_count = DIRECTORIES,
                                          .broker_id = SELF,
                                          .cluster_id = "cluster",
                                          .seed = 1};
    log_settings_init(&options.defaults);
    struct buffer error;
    buffer_init(&error);
    assert_int_equal(log_manager_open(&options, &fixture->logs, &error), 0);
    buffer_release(&error);
    struct replica_manager_options replicas = {.broker_id = SELF, .logs = fixture->logs};
    fixture->replicas = replica_manager_new(&replicas);
    fixture->config = (struct broker_config){.background_threads = 4,
                                             .log_retention_check_interval_ms = 10,
                                             .log_flush_scheduler_interval_ms = 10,
                                             .log_flush_offset_checkpoint_interval_ms = 10,
                                             .log_flush_start_offset_checkpoint_interval_ms = 10,
                                             .replica_high_watermark_checkpoint_interval_ms = 10};
    const struct storage_options storage = {.config = &fixture->config, .directories = DIRECTORIES};
    assert_int_equal(storage_new(&storage, &fixture->storage), 0);
    *state = fixture;
    return 0;
}

static int teardown_manager(void **state)
{
    struct manager_fixture *fixture = *state;
    storage_free(fixture->storage);
    replica_manager_free(fixture->replicas);
    log_manager_free(fixture->logs);
    memory_files_system(fixture->files)->operations = fixture->originals;
    memory_files_free(fixture->files);
    pthread_cond_destroy(&fixture->changed);
    pthread_mutex_destroy(&fixture->mutex);
    free(fixture);
    return 0;
}

/* Waits until the checkpoint of the sound directory has been written anew. */
static void await_checkpoint(struct manager_fixture *fixture, const char *path)
{
    struct file_system *system = memory_files_system(fixture->files);
    int64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;
    int removed = file_system_remove(system, path);
    assert_true(removed == 0 || removed == -ENOENT);
    struct file_status status;
    while (file_system_status(system, path, &status) != 0) {
        assert_true(clock_monotonic_ms() < deadline_ms);
        sched_yield();
    }
}

static void test_a_hanging_directory_holds_up_its_own_checkpoints_only(void **state)
{
    struct manager_fixture *fixture = *state;
    struct log_settings settings;
    struct partition_log *log;
    log_settings_init(&settings);
    fixture->hangs = true;
    assert_int_equal(storage_start(fixture->storage, fixture->replicas), 0);
    pthread_mutex_lock(&fixture->mutex);
    while (fixture->hanging == 0)
        pthread_cond_wait(&fixture->changed, &fixture->mutex);
    pthread_mutex_unlock(&fixture->mutex);
    for (int i = 0; i < 3; i++) {
        await_checkpoint(fixture, "/data/b/replication-offset-checkpoint");
        await_checkpoint(fixture, "/data/b/recovery-point-offset-checkpoint");
    }
    /* Whoever looks for a log need not wait either. */
    assert_null(log_manager_find(fixture->logs, slice_of("none"), 0));
    pthread_mutex_lock(&fixture->mutex);
    fixture->hangs = false;
    pthread_cond_broadcast(&fixture->changed);
    pthread_mutex_unlock(&fixture->mutex);
    await_checkpoint(fixture, "/data/a/replication-offset-checkpoint");
    assert_int_equal(log_manager_obtain(fixture->logs, slice_of("topic"), 0, true, &settings, &log), 0);
}

/* By the wall clock files are removed for good: where it was set, one round is left out, and one only. */
static void test_a_clock_that_was_set_is_not_believed_at_once(void **state)
{
    (void)state;
    int64_t difference_ms = 1000000, jump_ms;
    assert_false(storage_clock_has_jumped(&difference_ms, 1005000, 5000, &jump_ms));
    /* A little is drift. */
    assert_false(storage_clock_has_jumped(&difference_ms, 1015000 + 59000, 15000, &jump_ms));
    assert_int_equal(jump_ms, 59000);
    const int64_t day_ms = 86400000;
    assert_true(storage_clock_has_jumped(&difference_ms, 1085000 + day_ms, 26000, &jump_ms));
    assert_int_equal(jump_ms, day_ms);
    assert_false(storage_clock_has_jumped(&difference_ms, 1095000 + day_ms, 36000, &jump_ms));
    assert_true(storage_clock_has_jumped(&difference_ms, 1105000, 46000, &jump_ms));
    assert_int_equal(jump_ms, -day_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_asked_for_is_flushed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_hanging_disk_holds_up_its_own_logs_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_threads_end_with_work_queued, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_hanging_directory_holds_up_its_own_checkpoints_only,
                                        setup_manager, teardown_manager),
        cmocka_unit_test(test_a_clock_that_was_set_is_not_believed_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
