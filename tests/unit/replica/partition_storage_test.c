/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retention, the files it lets go of, and DeleteRecords on a leader and a follower over a disk in memory; the
 * follower copies by hand.
 */
#include "broker/replica/partition_storage.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/replica/partition.h"
#include "common/memory.h"
#include "proto/kafka/error.h"
#include "proto/records/builder.h"
#include "tests/support/memory_files.h"

#define LEADER 1
#define FOLLOWER 2
#define PRODUCE_VERSION 9
#define DELAY_MS 1000

struct pair {
    struct memory_files *files;
    struct partition_log *logs[3]; /* by broker */
    struct partition *partitions[3];
    int64_t now_ms;
    int64_t checkpointed; /* the leader's recovery point, as last written */
    int checkpoints;      /* what the leader's log would have written itself, under the mutex */
};

static int keep_checkpoints(void *context, const struct log_checkpoint_bounds *bounds)
{
    struct pair *pair = context;
    pair->checkpoints += bounds->recovery_point_min > pair->checkpointed;
    return 0;
}

static void open_replica(struct pair *pair, int32_t id, const int32_t *assignment)
{
    char directory[32];
    snprintf(directory, sizeof(directory), "data%d", (int)id);
    assert_int_equal(file_system_make_directory(memory_files_system(pair->files), directory), 0);
    snprintf(directory, sizeof(directory), "data%d/topic-0", (int)id);
    struct partition_log_options log = {
        .files = memory_files_system(pair->files), .directory = directory, .now_ms = pair->now_ms};
    log_settings_init(&log.settings);
    log.settings.segment_bytes = 300;
    log.settings.retention_ms = -1;
    log.settings.file_delete_delay_ms = DELAY_MS;
    log.keep_checkpoints = id == LEADER ? keep_checkpoints : NULL;
    log.keep_checkpoints_context = pair;
    assert_int_equal(partition_log_open(&log, &pair->logs[id]), 0);
    const struct partition_options options = {.topic = slice_of("topic"),
                                              .broker_id = id,
                                              .log = pair->logs[id],
                                              .min_insync_replicas = 1,
                                              .replica_lag_time_max_ms = 10000};
    pair->partitions[id] = partition_new(&options);
    const struct isr_member isr[] = {{LEADER, 100 + LEADER}, {FOLLOWER, 100 + FOLLOWER}};
    const struct control_partition state = {.leader = LEADER,
                                            .isr = (struct isr_member *)isr,
                                            .isr_count = 2,
                                            .replicas = (int32_t *)assignment,
                                            .replicas_count = 2};
    enum partition_role role;
    bool follow;
    assert_int_equal(partition_apply_state(pair->partitions[id], &state, pair->now_ms, &role, &follow),
                     KAFKA_NONE);
}

static int setup(void **state)
{
    static const int32_t assignment[] = {LEADER, FOLLOWER};
    struct pair *pair = memory_allocate_zeroed(1, sizeof(*pair));
    pair->files = memory_files_new(1);
    pair->now_ms = 1000;
    open_replica(pair, LEADER, assignment);
    open_replica(pair, FOLLOWER, assignment);
    *state = pair;
    return 0;
}

static int teardown(void **state)
{
    struct pair *pair = *state;
    for (int32_t id = LEADER; id <= FOLLOWER; id++) {
        partition_close(pair->partitions[id]);
        partition_release(pair->partitions[id]);
        partition_log_free(pair->logs[id]);
    }
    memory_files_free(pair->files);
    free(pair);
    return 0;
}

static void produce_batch(struct pair *pair, int records)
{
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    struct record_batch_builder builder;
    struct produce_result result;
    struct buffer batch;
    buffer_init(&batch);
    record_batch_builder_init(&builder, &parameters);
    for (int i = 0; i < records; i++)
        record_batch_builder_append(&builder, pair->now_ms, slice_of(NULL), slice_of("value"), NULL, 0);
    assert_int_equal(record_batch_builder_finish(&builder, CODEC_NONE, CODEC_DEFAULT_LEVEL, &batch), 0);
    record_batch_builder_release(&builder);
    assert_int_equal(partition_produce(pair->partitions[LEADER], batch.data, batch.length, PRODUCE_VERSION,
                                       false, pair->now_ms, pair->now_ms, &result),
                     KAFKA_NONE);
    buffer_release(&batch);
}

static void produce(struct pair *pair, int count)
{
    for (int i = 0; i < count; i++)
        produce_batch(pair, 1);
}

/* One fetch of the follower and its answer. */
static void copy(struct pair *pair)
{
    struct follow_position position;
    assert_true(partition_follow_position(pair->partitions[FOLLOWER], &position));
    const struct fetch_query query = {.replica_id = FOLLOWER,
                                      .replica_epoch = 100 + FOLLOWER,
                                      .current_leader_epoch = position.leader_epoch,
                                      .last_fetched_epoch = position.last_fetched_epoch,
                                      .fetch_offset = position.fetch_offset,
                                      .log_start_offset = position.log_start_offset,
                                      .max_bytes = 1 << 20,
                                      .at_least_one = true};
    struct fetch_result result;
    int16_t error = partition_fetch(pair->partitions[LEADER], &query, pair->now_ms, &result);
    uint8_t *bytes = memory_allocate((size_t)result.range.length + 1);
    assert_int_equal(log_range_read(&result.range, bytes), 0);
    const struct follow_answer answer = {.leader = position.leader,
                                         .leader_epoch = position.leader_epoch,
                                         .fetch_offset = position.fetch_offset,
                                         .last_fetched_epoch = position.last_fetched_epoch,
                                         .error = error,
                                         .high_watermark = result.high_watermark,
                                         .log_start_offset = result.log_start_offset,
                                         .records = slice_make(bytes, (size_t)result.range.length)};
    log_range_release(&result.range);
    assert_int_equal(partition_follow(pair->partitions[FOLLOWER], &answer, pair->now_ms, pair->now_ms),
                     FOLLOW_CONTINUE);
    free(bytes);
}

static void copy_all(struct pair *pair)
{
    while (partition_log_end_offset(pair->logs[FOLLOWER]) < partition_log_end_offset(pair->logs[LEADER]))
        copy(pair);
    copy(pair); /* tells where it stands, and hears what is committed */
}

static struct partition_status status_of(struct pair *pair, int32_t id)
{
    struct partition_status status;
    partition_status(pair->partitions[id], &status);
    return status;
}

static void keep_bytes(struct pair *pair, int32_t id, int64_t bytes)
{
    struct log_settings settings = *partition_log_settings(pair->logs[id]);
    settings.retention_bytes = bytes;
    partition_configure(pair->partitions[id], &settings, 1);
}

static int retain(struct pair *pair, int32_t id)
{
    bool again;
    int error = partition_retain(pair->partitions[id], pair->now_ms, pair->now_ms, &again);
    if (error == 0 && again) {
        pair->checkpointed = partition_log_recovery_point(pair->logs[id]);
        error = partition_retain(pair->partitions[id], pair->now_ms, pair->now_ms, &again);
    }
    return error;
}

static int count_deleted(void *context, const char *name, bool is_directory)
{
    size_t length = strlen(name), suffix = strlen(".deleted");
    (void)is_directory;
    if (length > suffix && strcmp(name + length - suffix, ".deleted") == 0)
        ++*(int *)context;
    return 0;
}

static int deleted_files(struct pair *pair, const char *directory)
{
    int count = 0;
    assert_int_equal(file_system_list(memory_files_system(pair->files), directory, count_deleted, &count), 0);
    return count;
}

static void i9_a_leader_lets_go_of_what_is_committed(void **state)
{
    struct pair *pair = *state;
    produce(pair, 20);
    keep_bytes(pair, LEADER, 0);
    assert_int_equal(retain(pair, LEADER), 0);
    assert_int_equal(status_of(pair, LEADER).log_start_offset, 0);
    copy_all(pair);
    assert_int_equal(retain(pair, LEADER), 0);
    assert_int_equal(status_of(pair, LEADER).log_start_offset, 20);
    assert_int_equal(status_of(pair, LEADER).log_end_offset, 20);
    copy(pair);
    assert_int_equal(status_of(pair, FOLLOWER).log_start_offset, 20);
    produce(pair, 3);
    copy_all(pair);
    assert_int_equal(status_of(pair, FOLLOWER).log_end_offset, 23);
}

/* No log writes a checkpoint under its partition's mutex: the one that it needs is written before. */
static void retention_waits_for_no_checkpoint(void **state)
{
    struct pair *pair = *state;
    bool again;
    produce(pair, 20);
    keep_bytes(pair, LEADER, 0);
    copy_all(pair);
    assert_int_equal(partition_retain(pair->partitions[LEADER], pair->now_ms, pair->now_ms, &again), 0);
    assert_true(again);
    assert_int_equal(pair->checkpoints, 0);
    pair->checkpointed = partition_log_recovery_point(pair->logs[LEADER]);
    assert_int_equal(partition_retain(pair->partitions[LEADER], pair->now_ms, pair->now_ms, &again), 0);
    assert_false(again);
    assert_int_equal(pair->checkpoints, 0);
    assert_int_equal(status_of(pair, LEADER).log_start_offset, 20);
}

static void i9_a_follower_goes_no_further_than_it_knows_of(void **state)
{
    struct pair *pair = *state;
    produce(pair, 20);
    while (status_of(pair, FOLLOWER).log_end_offset < 20)
        copy(pair);
    /* It has all, and has not heard that the last of it is committed. */
    int64_t committed = status_of(pair, FOLLOWER).high_watermark;
    assert_true(committed < 20);
    keep_bytes(pair, FOLLOWER, 0);
    assert_int_equal(retain(pair, FOLLOWER), 0);
    assert_in_range(status_of(pair, FOLLOWER).log_start_offset, 1, committed);
    copy(pair);
    assert_int_equal(retain(pair, FOLLOWER), 0);
    assert_int_equal(status_of(pair, FOLLOWER).log_start_offset, 20);
    produce(pair, 3);
    copy_all(pair);
    assert_int_equal(status_of(pair, FOLLOWER).log_end_offset, 23);
}

static void garbage_goes_when_its_time_has_come(void **state)
{
    struct pair *pair = *state;
    produce(pair, 20);
    copy_all(pair);
    keep_bytes(pair, LEADER, 0);
    assert_int_equal(retain(pair, LEADER), 0);
    int deleted = deleted_files(pair, "data1/topic-0");
    assert_true(deleted > 0);
    assert_int_equal(partition_remove_garbage(pair->partitions[LEADER], 5000), 0);
    assert_int_equal(partition_remove_garbage(pair->partitions[LEADER], 5000 + DELAY_MS - 1), 0);
    assert_int_equal(deleted_files(pair, "data1/topic-0"), deleted);
    assert_int_equal(partition_remove_garbage(pair->partitions[LEADER], 5000 + DELAY_MS), 0);
    assert_int_equal(deleted_files(pair, "data1/topic-0"), 0);
    partition_close(pair->partitions[LEADER]);
    assert_int_equal(partition_remove_garbage(pair->partitions[LEADER], 9000), 0);
    assert_int_equal(retain(pair, LEADER), 0);
}

/* A disk that fails at it takes the log offline; nothing is tried after that. */
static void a_failing_disk_is_noticed(void **state)
{
    struct pair *pair = *state;
    produce(pair, 20);
    copy_all(pair);
    keep_bytes(pair, LEADER, 0);
    assert_int_equal(retain(pair, LEADER), 0);
    const struct memory_files_fault fault = {
        .operations = MEMORY_FILES_BIT(MEMORY_FILES_REMOVE), .error = -EIO, .repeat = true};
    memory_files_set_fault(pair->files, &fault);
    assert_int_equal(partition_remove_garbage(pair->partitions[LEADER], 5000), 0);
    assert_int_equal(partition_remove_garbage(pair->partitions[LEADER], 5000 + DELAY_MS), -EIO);
    assert_int_equal(status_of(pair, LEADER).failure, -EIO);
    assert_int_equal(retain(pair, LEADER), 0);
    memory_files_set_fault(pair->files, NULL);
}

static bool is_alive(const void *context, int32_t broker_id)
{
    return broker_id != *(const int32_t *)context;
}

static struct low_watermark low_watermark(struct pair *pair, int32_t dead)
{
    struct low_watermark low;
    assert_int_equal(partition_low_watermark(pair->partitions[LEADER], is_alive, &dead, &low), KAFKA_NONE);
    return low;
}

static void noted(struct partition_watcher *watcher)
{
    (void)watcher;
}

static void deleted_records_go_everywhere(void **state)
{
    struct pair *pair = *state;
    int64_t required;
    produce(pair, 20);
    assert_int_equal(low_watermark(pair, 0).offset, -1);
    copy_all(pair);
    assert_int_equal(partition_delete_records(pair->partitions[FOLLOWER], 5, pair->now_ms, &required),
                     KAFKA_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(partition_delete_records(pair->partitions[LEADER], 21, pair->now_ms, &required),
                     KAFKA_OFFSET_OUT_OF_RANGE);
    assert_int_equal(partition_delete_records(pair->partitions[LEADER], 13, pair->now_ms, &required),
                     KAFKA_NONE);
    assert_int_equal(required, 13);
    struct low_watermark low = low_watermark(pair, 0);
    assert_int_equal(low.offset, 0);
    assert_int_equal(low_watermark(pair, FOLLOWER).offset, 13);
    struct partition_watcher watcher = {.fire = noted};
    assert_true(
        partition_watch(pair->partitions[LEADER], &watcher, WATCH_LOG_STARTS, low.moves, low.leader_epoch));
    copy(pair);
    assert_int_equal(status_of(pair, FOLLOWER).log_start_offset, 13);
    assert_int_equal(low_watermark(pair, 0).offset, 0);
    copy(pair);
    assert_int_equal(low_watermark(pair, 0).offset, 13);
    /* It has fired: there was something to see. */
    assert_false(partition_unwatch(pair->partitions[LEADER], &watcher));
    assert_int_equal(retain(pair, LEADER), 0);
    assert_int_equal(retain(pair, FOLLOWER), 0);
    for (int32_t id = LEADER; id <= FOLLOWER; id++) {
        assert_int_equal(status_of(pair, id).log_start_offset, 13);
        assert_true(status_of(pair, id).size_bytes < 20 * 70);
        assert_true(deleted_files(pair, id == LEADER ? "data1/topic-0" : "data2/topic-0") > 0);
    }
    assert_int_equal(partition_delete_records(pair->partitions[LEADER], DELETE_UP_TO_HIGH_WATERMARK,
                                              pair->now_ms, &required),
                     KAFKA_NONE);
    assert_int_equal(required, 20);
}

/* The log start may lie within a batch, which is never split: a follower that begins there takes all of it.
 */
static void a_follower_begins_within_a_batch(void **state)
{
    struct pair *pair = *state;
    int64_t required;
    produce(pair, 3);
    produce_batch(pair, 10);
    produce(pair, 2);
    copy_all(pair);
    assert_int_equal(partition_delete_records(pair->partitions[LEADER], 7, pair->now_ms, &required),
                     KAFKA_NONE);
    struct partition_log *log = partition_enter_log(pair->partitions[FOLLOWER]);
    assert_int_equal(partition_log_truncate_fully(log, 7, pair->now_ms), KAFKA_NONE);
    partition_leave_log(pair->partitions[FOLLOWER], pair->now_ms);
    copy_all(pair);
    assert_int_equal(status_of(pair, FOLLOWER).log_start_offset, 7);
    assert_int_equal(status_of(pair, FOLLOWER).log_end_offset, 15);
    assert_int_equal(status_of(pair, FOLLOWER).high_watermark, 15);
}

/* Likewise one that was cut there, with what the leader has deleted still in its log. */
static void a_follower_that_was_cut_goes_on_within_a_batch(void **state)
{
    struct pair *pair = *state;
    int64_t required;
    produce(pair, 3);
    produce_batch(pair, 10);
    produce(pair, 2);
    copy_all(pair);
    struct partition_log *log = partition_enter_log(pair->partitions[FOLLOWER]);
    assert_int_equal(partition_log_truncate(log, 3, pair->now_ms), KAFKA_NONE);
    assert_int_equal(partition_log_skip_to(log, 7, pair->now_ms), KAFKA_NONE);
    partition_leave_log(pair->partitions[FOLLOWER], pair->now_ms);
    assert_int_equal(partition_delete_records(pair->partitions[LEADER], 7, pair->now_ms, &required),
                     KAFKA_NONE);
    copy_all(pair);
    assert_int_equal(status_of(pair, FOLLOWER).log_start_offset, 7);
    assert_int_equal(status_of(pair, FOLLOWER).log_end_offset, 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(i9_a_leader_lets_go_of_what_is_committed, setup, teardown),
        cmocka_unit_test_setup_teardown(i9_a_follower_goes_no_further_than_it_knows_of, setup, teardown),
        cmocka_unit_test_setup_teardown(retention_waits_for_no_checkpoint, setup, teardown),
        cmocka_unit_test_setup_teardown(garbage_goes_when_its_time_has_come, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failing_disk_is_noticed, setup, teardown),
        cmocka_unit_test_setup_teardown(deleted_records_go_everywhere, setup, teardown),
        cmocka_unit_test_setup_teardown(a_follower_begins_within_a_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(a_follower_that_was_cut_goes_on_within_a_batch, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
