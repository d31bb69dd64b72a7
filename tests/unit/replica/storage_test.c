/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The storage threads with two disks: flushes that are asked for are done, a disk that hangs holds up its own
 * logs only, and the threads end with work still queued.
 */
#include "broker/storage.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_asked_for_is_flushed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_hanging_disk_holds_up_its_own_logs_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_threads_end_with_work_queued, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
