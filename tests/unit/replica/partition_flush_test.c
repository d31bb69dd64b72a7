/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group commit over a disk in memory: what flush.messages promises to producers and followers, that many
 * share a sync, and what a sync that fails means for those who wait.
 */
#include "broker/replica/partition.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/memory.h"
#include "proto/kafka/error.h"
#include "proto/records/builder.h"
#include "tests/support/memory_files.h"

#define SELF 1
#define OTHER 2
#define NOW_MS 5000

struct counted_watcher {
    struct partition_watcher watcher;
    int fired;
};

struct fixture {
    struct memory_files *files;
    struct partition_log *log;
    struct partition *partition;
    struct partition_host host;
    struct log_settings settings;
    int asked[2]; /* by urgency */
    int failures_told;
    struct isr_member isr[2];
    int32_t assignment[2];
    struct control_partition state;
};

static void count_asked(struct partition_host *host, struct partition *partition, enum flush_urgency urgency)
{
    (void)partition;
    container_of(host, struct fixture, host)->asked[urgency]++;
}

static void count_failure(struct partition_host *host, struct partition *partition)
{
    (void)partition;
    container_of(host, struct fixture, host)->failures_told++;
}

static void no_proposal(struct partition_host *host, struct partition *partition)
{
    (void)host;
    (void)partition;
}

static void count_fire(struct partition_watcher *watcher)
{
    container_of(watcher, struct counted_watcher, watcher)->fired++;
}

static void apply(struct fixture *fixture, int32_t leader, size_t isr_count)
{
    enum partition_role role;
    bool follow;
    fixture->state.leader = leader;
    fixture->state.leader_epoch++;
    fixture->state.partition_epoch++;
    fixture->isr[0] = (struct isr_member){.broker_id = leader, .broker_epoch = 100};
    fixture->isr[1] = (struct isr_member){.broker_id = leader == SELF ? OTHER : SELF, .broker_epoch = 100};
    fixture->state.isr_count = isr_count;
    assert_int_equal(partition_apply_state(fixture->partition, &fixture->state, NOW_MS, &role, &follow),
                     KAFKA_NONE);
}

static int setup(void **state)
{
    struct fixture *fixture = memory_allocate_zeroed(1, sizeof(*fixture));
    fixture->files = memory_files_new(1);
    assert_int_equal(file_system_make_directory(memory_files_system(fixture->files), "data"), 0);
    struct partition_log_options log = {
        .files = memory_files_system(fixture->files), .directory = "data/topic-0", .now_ms = 1000};
    log_settings_init(&fixture->settings);
    fixture->settings.flush_messages = 1;
    log.settings = fixture->settings;
    assert_int_equal(partition_log_open(&log, &fixture->log), 0);
    fixture->host = (struct partition_host){
        .proposal_wanted = no_proposal, .flush_wanted = count_asked, .log_failed = count_failure};
    struct partition_options options = {.topic = slice_of("topic"),
                                        .broker_id = SELF,
                                        .log = fixture->log,
                                        .min_insync_replicas = 1,
                                        .replica_lag_time_max_ms = 10000,
                                        .host = &fixture->host};
    fixture->partition = partition_new(&options);
    fixture->assignment[0] = SELF;
    fixture->assignment[1] = OTHER;
    fixture->state = (struct control_partition){
        .leader_epoch = -1, .isr = fixture->isr, .replicas = fixture->assignment, .replicas_count = 2};
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    partition_close(fixture->partition);
    partition_release(fixture->partition);
    partition_log_free(fixture->log);
    memory_files_free(fixture->files);
    free(fixture);
    return 0;
}

static void make_batch(struct buffer *batch, int records)
{
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    struct record_batch_builder builder;
    buffer_init(batch);
    record_batch_builder_init(&builder, &parameters);
    for (int i = 0; i < records; i++)
        record_batch_builder_append(&builder, NOW_MS, slice_of(NULL), slice_of("value"), NULL, 0);
    assert_int_equal(record_batch_builder_finish(&builder, CODEC_NONE, CODEC_DEFAULT_LEVEL, batch), 0);
    record_batch_builder_release(&builder);
}

static int16_t produce(struct fixture *fixture, int records, struct produce_result *result)
{
    struct buffer batch;
    make_batch(&batch, records);
    int16_t error =
        partition_produce(fixture->partition, batch.data, batch.length, 9, false, NOW_MS, NOW_MS, result);
    buffer_release(&batch);
    return error;
}

static uint64_t syncs(struct fixture *fixture)
{
    return memory_files_operations(fixture->files, MEMORY_FILES_BIT(MEMORY_FILES_SYNC));
}

static void watch(struct fixture *fixture, struct counted_watcher *watcher, enum watch_kind kind,
                  const struct produce_result *result)
{
    *watcher = (struct counted_watcher){.watcher.fire = count_fire};
    assert_true(partition_watch(fixture->partition, &watcher->watcher, kind, result->end_offset,
                                result->leader_epoch));
}

static void begin(struct fixture *fixture, struct log_flush **flush)
{
    assert_int_equal(partition_flush_begin(fixture->partition, FLUSH_AWAITED, NOW_MS, flush), 0);
}

static int run_to_end(struct fixture *fixture, struct log_flush *flush)
{
    return partition_flush_end(fixture->partition, flush, log_flush_run(flush), NOW_MS);
}

/* The next such operation fails. */
static void strike(struct fixture *fixture, enum memory_files_operation operation, int error)
{
    const struct memory_files_fault fault = {
        .operations = MEMORY_FILES_BIT(operation), .error = error, .short_bytes = -1};
    memory_files_set_fault(fixture->files, &fault);
}

/* Leads alone, with one record that somebody waits for. */
static void lead_and_produce(struct fixture *fixture, struct counted_watcher *watcher,
                             struct produce_result *result)
{
    apply(fixture, SELF, 1);
    assert_int_equal(produce(fixture, 1, result), KAFKA_NONE);
    watch(fixture, watcher, WATCH_WRITTEN, result);
}

static void test_a_produce_waits_for_the_disk_and_no_longer(void **state)
{
    struct fixture *fixture = *state;
    struct produce_result result;
    struct counted_watcher waiter;
    struct log_flush *flush;
    apply(fixture, SELF, 1);
    uint64_t before = syncs(fixture);
    assert_int_equal(produce(fixture, 1, &result), KAFKA_NONE);
    assert_false(result.durable);
    assert_int_equal(syncs(fixture), before);
    assert_int_equal(fixture->asked[FLUSH_AWAITED], 1);
    assert_int_equal(partition_check_produce(fixture->partition, false, result.leader_epoch, 1),
                     PRODUCE_PENDING);
    watch(fixture, &waiter, WATCH_WRITTEN, &result);
    struct partition_status status;
    partition_status(fixture->partition, &status);
    assert_int_equal(status.high_watermark, 0);
    begin(fixture, &flush);
    assert_non_null(flush);
    int error = log_flush_run(flush);
    assert_int_equal(waiter.fired, 0);
    assert_int_equal(partition_flush_end(fixture->partition, flush, error, NOW_MS), 0);
    assert_int_equal(waiter.fired, 1);
    assert_int_equal(partition_check_produce(fixture->partition, false, result.leader_epoch, 1), KAFKA_NONE);
    partition_status(fixture->partition, &status);
    assert_int_equal(status.high_watermark, 1);
    assert_int_equal(fixture->asked[FLUSH_AWAITED], 1);
}

static void test_appends_during_a_flush_share_the_next(void **state)
{
    struct fixture *fixture = *state;
    struct produce_result result;
    struct counted_watcher waiters[4];
    struct log_flush *flush;
    lead_and_produce(fixture, &waiters[0], &result);
    begin(fixture, &flush);
    for (int i = 1; i < 4; i++) {
        assert_int_equal(produce(fixture, 1, &result), KAFKA_NONE);
        watch(fixture, &waiters[i], WATCH_WRITTEN, &result);
    }
    /* Asked for nothing while one runs; and nobody else begins another. */
    assert_int_equal(fixture->asked[FLUSH_AWAITED], 1);
    struct log_flush *second;
    begin(fixture, &second);
    assert_null(second);
    assert_int_equal(run_to_end(fixture, flush), 0);
    assert_int_equal(waiters[0].fired, 1);
    assert_int_equal(waiters[1].fired + waiters[2].fired + waiters[3].fired, 0);
    assert_int_equal(fixture->asked[FLUSH_AWAITED], 2);
    uint64_t before = syncs(fixture);
    begin(fixture, &flush);
    assert_int_equal(run_to_end(fixture, flush), 0);
    assert_int_equal(syncs(fixture), before + 1);
    for (int i = 0; i < 4; i++)
        assert_int_equal(waiters[i].fired, 1);
    assert_int_equal(fixture->asked[FLUSH_AWAITED], 2);
}

/* Whoever comes in whatever order, and goes again: each hears of its own offset, and not before. */
static void test_each_waits_for_its_own_offset(void **state)
{
    struct fixture *fixture = *state;
    struct counted_watcher waiters[8];
    struct produce_result results[8];
    struct log_flush *flush;
    static const int order[] = {5, 2, 7, 0, 3, 6, 1, 4};
    apply(fixture, SELF, 1);
    for (int i = 0; i < 8; i++)
        assert_int_equal(produce(fixture, 1, &results[i]), KAFKA_NONE);
    begin(fixture, &flush);
    for (int i = 0; i < 8; i++)
        watch(fixture, &waiters[order[i]], WATCH_WRITTEN, &results[order[i]]);
    assert_true(partition_unwatch(fixture->partition, &waiters[0].watcher));
    assert_true(partition_unwatch(fixture->partition, &waiters[7].watcher));
    (void)partition_tick(fixture->partition, NOW_MS, INT64_MAX);
    for (int i = 0; i < 8; i++)
        assert_int_equal(waiters[i].fired, 0);
    struct produce_result late;
    struct counted_watcher last;
    assert_int_equal(produce(fixture, 1, &late), KAFKA_NONE);
    watch(fixture, &last, WATCH_WRITTEN, &late);
    assert_int_equal(run_to_end(fixture, flush), 0);
    for (int i = 0; i < 8; i++)
        assert_int_equal(waiters[i].fired, i > 0 && i < 7);
    assert_int_equal(last.fired, 0);
    begin(fixture, &flush);
    assert_int_equal(run_to_end(fixture, flush), 0);
    assert_int_equal(last.fired, 1);
}

static void test_fewer_than_flush_messages_may_be_lost(void **state)
{
    struct fixture *fixture = *state;
    struct produce_result result;
    fixture->settings.flush_messages = 5;
    partition_configure(fixture->partition, &fixture->settings, 1);
    apply(fixture, SELF, 1);
    assert_int_equal(produce(fixture, 4, &result), KAFKA_NONE);
    assert_true(result.durable);
    assert_int_equal(fixture->asked[FLUSH_AWAITED], 0);
    assert_int_equal(produce(fixture, 1, &result), KAFKA_NONE);
    assert_false(result.durable);
    assert_int_equal(fixture->asked[FLUSH_AWAITED], 1);
    struct partition_status status;
    partition_status(fixture->partition, &status);
    assert_int_equal(status.high_watermark, 4);
}

static void test_a_failed_sync_is_told_to_all_who_wait(void **state)
{
    struct fixture *fixture = *state;
    struct produce_result result;
    struct counted_watcher one;
    struct counted_watcher all;
    struct log_flush *flush;
    lead_and_produce(fixture, &one, &result);
    watch(fixture, &all, WATCH_ACKNOWLEDGED, &result);
    strike(fixture, MEMORY_FILES_SYNC, -EIO);
    begin(fixture, &flush);
    assert_int_equal(run_to_end(fixture, flush), -EIO);
    assert_int_equal(one.fired, 1);
    assert_int_equal(all.fired, 1);
    for (int acks_all = 0; acks_all < 2; acks_all++)
        assert_int_equal(
            partition_check_produce(fixture->partition, acks_all, result.leader_epoch, result.end_offset),
            KAFKA_KAFKA_STORAGE_ERROR);
    assert_int_equal(produce(fixture, 1, &result), KAFKA_KAFKA_STORAGE_ERROR);
    /* The controller is to hear of it, once. */
    for (int tick = 0; tick < 3; tick++)
        (void)partition_tick(fixture->partition, NOW_MS, INT64_MAX);
    assert_int_equal(fixture->failures_told, 1);
    assert_int_equal(fixture->asked[FLUSH_AWAITED], 1);
}

static void test_a_flush_without_descriptors_is_asked_for_again(void **state)
{
    struct fixture *fixture = *state;
    struct produce_result result;
    struct counted_watcher waiter;
    struct log_flush *flush;
    lead_and_produce(fixture, &waiter, &result);
    strike(fixture, MEMORY_FILES_SYNC_DIRECTORY, -EMFILE);
    begin(fixture, &flush);
    assert_int_equal(run_to_end(fixture, flush), -EMFILE);
    assert_int_equal(waiter.fired, 0);
    assert_int_equal(fixture->asked[FLUSH_AWAITED], 1);
    (void)partition_tick(fixture->partition, NOW_MS, INT64_MAX);
    assert_int_equal(fixture->asked[FLUSH_AWAITED], 2);
    begin(fixture, &flush);
    assert_int_equal(run_to_end(fixture, flush), 0);
    assert_int_equal(waiter.fired, 1);
}

static void test_new_settings_release_and_hold(void **state)
{
    struct fixture *fixture = *state;
    struct produce_result result;
    struct counted_watcher waiter;
    apply(fixture, SELF, 1);
    assert_int_equal(produce(fixture, 3, &result), KAFKA_NONE);
    watch(fixture, &waiter, WATCH_WRITTEN, &result);
    fixture->settings.flush_messages = INT64_MAX;
    partition_configure(fixture->partition, &fixture->settings, 1);
    assert_int_equal(waiter.fired, 1);
    assert_int_equal(partition_check_produce(fixture->partition, false, result.leader_epoch, 3), KAFKA_NONE);
    (void)partition_tick(fixture->partition, NOW_MS, INT64_MAX);
    struct partition_status status;
    partition_status(fixture->partition, &status);
    assert_int_equal(status.high_watermark, 3);
    /* Back again: what was committed stays so, and the flush that was asked for is still to come. */
    fixture->settings.flush_messages = 1;
    partition_configure(fixture->partition, &fixture->settings, 1);
    partition_status(fixture->partition, &status);
    assert_int_equal(status.high_watermark, 3);
    assert_int_equal(produce(fixture, 1, &result), KAFKA_NONE);
    assert_false(result.durable);
    assert_int_equal(fixture->asked[FLUSH_AWAITED], 1);
}

static void test_flush_ms_asks_at_ease(void **state)
{
    struct fixture *fixture = *state;
    struct produce_result result;
    struct log_flush *flush;
    fixture->settings.flush_messages = INT64_MAX;
    fixture->settings.flush_ms = 1000;
    partition_configure(fixture->partition, &fixture->settings, 1);
    apply(fixture, SELF, 1);
    assert_int_equal(produce(fixture, 1, &result), KAFKA_NONE);
    partition_ask_for_aged_flush(fixture->partition, NOW_MS + 999);
    assert_int_equal(fixture->asked[FLUSH_AT_EASE], 0);
    partition_ask_for_aged_flush(fixture->partition, NOW_MS + 1000);
    partition_ask_for_aged_flush(fixture->partition, NOW_MS + 1001);
    assert_int_equal(fixture->asked[FLUSH_AT_EASE], 1);
    assert_int_equal(partition_flush_begin(fixture->partition, FLUSH_AT_EASE, NOW_MS + 1001, &flush), 0);
    assert_non_null(flush);
    assert_int_equal(run_to_end(fixture, flush), 0);
    assert_int_equal(partition_log_recovery_point(fixture->log), 1);
    partition_ask_for_aged_flush(fixture->partition, NOW_MS + 9000);
    assert_int_equal(fixture->asked[FLUSH_AT_EASE], 1);
}

/* What the follower's next fetch would say is held back until its own disk has it. */
static void test_a_follower_acknowledges_what_is_durable(void **state)
{
    struct fixture *fixture = *state;
    struct follow_position position;
    struct log_flush *flush;
    struct buffer batch;
    apply(fixture, OTHER, 2);
    assert_true(partition_follow_position(fixture->partition, &position));
    assert_true(position.durable);
    make_batch(&batch, 2);
    struct follow_answer answer = {.leader = OTHER,
                                   .leader_epoch = position.leader_epoch,
                                   .last_fetched_epoch = position.last_fetched_epoch,
                                   .records = buffer_slice(&batch)};
    assert_int_equal(partition_follow(fixture->partition, &answer, NOW_MS, NOW_MS), FOLLOW_CONTINUE);
    buffer_release(&batch);
    assert_int_equal(fixture->asked[FLUSH_AWAITED], 1);
    assert_true(partition_follow_position(fixture->partition, &position));
    assert_int_equal(position.fetch_offset, 2);
    assert_false(position.durable);
    struct counted_watcher waiter = {.watcher.fire = count_fire};
    assert_true(partition_watch(fixture->partition, &waiter.watcher, WATCH_DURABLE, position.fetch_offset,
                                position.leader_epoch));
    begin(fixture, &flush);
    assert_int_equal(run_to_end(fixture, flush), 0);
    assert_int_equal(waiter.fired, 1);
    assert_true(partition_follow_position(fixture->partition, &position));
    assert_true(position.durable);
}

/* A leader takes office with a tail that no disk has for certain: it counts once it has been flushed. */
static void test_a_new_leader_flushes_its_tail(void **state)
{
    struct fixture *fixture = *state;
    struct produce_result result;
    struct log_flush *flush;
    fixture->settings.flush_messages = INT64_MAX;
    partition_configure(fixture->partition, &fixture->settings, 1);
    apply(fixture, SELF, 2);
    assert_int_equal(produce(fixture, 1, &result), KAFKA_NONE);
    fixture->settings.flush_messages = 1;
    partition_configure(fixture->partition, &fixture->settings, 1);
    assert_int_equal(fixture->asked[FLUSH_AWAITED], 1);
    apply(fixture, SELF, 1);
    struct partition_status status;
    partition_status(fixture->partition, &status);
    assert_int_equal(status.high_watermark, 0);
    begin(fixture, &flush);
    assert_int_equal(run_to_end(fixture, flush), 0);
    partition_status(fixture->partition, &status);
    assert_int_equal(status.high_watermark, 1);
}

static void test_a_flush_outlives_the_partition(void **state)
{
    struct fixture *fixture = *state;
    struct produce_result result;
    struct log_flush *flush;
    apply(fixture, SELF, 1);
    assert_int_equal(produce(fixture, 1, &result), KAFKA_NONE);
    begin(fixture, &flush);
    partition_close(fixture->partition);
    assert_int_equal(run_to_end(fixture, flush), 0);
    begin(fixture, &flush);
    assert_null(flush);
}

/* The replica moved to another directory while its former log was flushed: that flush says nothing of the
 * other. */
static void test_a_flush_counts_for_its_own_log_only(void **state)
{
    struct fixture *fixture = *state;
    struct produce_result result;
    struct counted_watcher waiter;
    struct log_flush *flush;
    lead_and_produce(fixture, &waiter, &result);
    begin(fixture, &flush);
    assert_int_equal(fixture->asked[FLUSH_AWAITED], 1);
    struct partition_log_options options = {.files = memory_files_system(fixture->files),
                                            .directory = "data/moved-0",
                                            .settings = fixture->settings,
                                            .now_ms = 1000};
    struct partition_log *former = fixture->log;
    struct log_append_result appended;
    struct buffer batch;
    make_batch(&batch, 1);
    assert_int_equal(partition_log_open(&options, &fixture->log), 0);
    assert_int_equal(partition_log_append_as_leader(fixture->log, batch.data, batch.length, 9,
                                                    result.leader_epoch, NOW_MS, &appended),
                     KAFKA_NONE);
    buffer_release(&batch);
    assert_ptr_equal(partition_enter_log(fixture->partition), former);
    partition_put_log(fixture->partition, fixture->log);
    partition_leave_log(fixture->partition, NOW_MS);
    partition_log_free(former);
    /* The new log need not wait for the former one's disk. */
    assert_int_equal(fixture->asked[FLUSH_AWAITED], 2);
    assert_int_equal(run_to_end(fixture, flush), 0);
    assert_int_equal(partition_log_recovery_point(fixture->log), 0);
    assert_int_equal(waiter.fired, 0);
    assert_int_equal(fixture->asked[FLUSH_AWAITED], 2);
    begin(fixture, &flush);
    assert_int_equal(run_to_end(fixture, flush), 0);
    assert_int_equal(waiter.fired, 1);
}

static const struct memory_files_fault sync_fails = {
    .operations = MEMORY_FILES_BIT(MEMORY_FILES_SYNC), .error = -EIO, .short_bytes = -1, .path_part = ".log"};

/* The disk tells of an error once. Another flush, that syncs the same file afterwards and ends first, must
 * not take what was lost for durable. */
static void test_no_other_flush_swallows_an_error(void **state)
{
    struct fixture *fixture = *state;
    struct produce_result result;
    struct partition_status status;
    struct log_flush *flush;
    apply(fixture, SELF, 1);
    assert_int_equal(produce(fixture, 1, &result), KAFKA_NONE);
    begin(fixture, &flush);
    memory_files_set_fault(fixture->files, &sync_fails);
    int error = log_flush_run(flush);
    assert_int_equal(error, -EIO);
    assert_int_equal(partition_flush(fixture->partition, NOW_MS), -EIO);
    assert_int_equal(
        partition_check_produce(fixture->partition, false, result.leader_epoch, result.end_offset),
        KAFKA_KAFKA_STORAGE_ERROR);
    partition_status(fixture->partition, &status);
    assert_int_equal(status.high_watermark, 0);
    assert_int_equal(status.recovery_point, 0);
    assert_int_equal(partition_flush_end(fixture->partition, flush, error, NOW_MS), -EIO);
}

/* Likewise the flush that the log does itself, under the lock, before a gap. */
static void test_no_roll_swallows_an_error(void **state)
{
    struct fixture *fixture = *state;
    struct produce_result result;
    struct log_flush *flush;
    apply(fixture, SELF, 1);
    assert_int_equal(produce(fixture, 1, &result), KAFKA_NONE);
    begin(fixture, &flush);
    memory_files_set_fault(fixture->files, &sync_fails);
    int error = log_flush_run(flush);
    assert_int_equal(error, -EIO);
    assert_int_equal(partition_log_skip_to(fixture->log, 10, NOW_MS), KAFKA_KAFKA_STORAGE_ERROR);
    assert_int_equal(partition_log_recovery_point(fixture->log), 0);
    assert_int_equal(partition_flush_end(fixture->partition, flush, error, NOW_MS), -EIO);
}

/* A sync that fails is the directory's failure, also where the log is closed by then. */
static void test_a_failed_sync_outlives_the_partition(void **state)
{
    struct fixture *fixture = *state;
    struct log_health health = {.failure = 0};
    struct partition_log_options options = {.files = memory_files_system(fixture->files),
                                            .directory = "data/other-0",
                                            .settings = fixture->settings,
                                            .health = &health,
                                            .now_ms = 1000};
    struct partition_log *former = fixture->log;
    struct produce_result result;
    struct log_flush *flush;
    assert_int_equal(partition_log_open(&options, &fixture->log), 0);
    assert_ptr_equal(partition_enter_log(fixture->partition), former);
    partition_put_log(fixture->partition, fixture->log);
    partition_leave_log(fixture->partition, NOW_MS);
    partition_log_free(former);
    apply(fixture, SELF, 1);
    assert_int_equal(produce(fixture, 1, &result), KAFKA_NONE);
    begin(fixture, &flush);
    partition_close(fixture->partition);
    memory_files_set_fault(fixture->files, &sync_fails);
    assert_int_equal(run_to_end(fixture, flush), 0);
    assert_int_equal(health.failure, -EIO);
}

/* What could not be flushed when its time had come has waited no less for that. */
static void test_an_aged_flush_that_failed_is_asked_for_again(void **state)
{
    struct fixture *fixture = *state;
    struct produce_result result;
    struct log_flush *flush;
    fixture->settings.flush_messages = INT64_MAX;
    fixture->settings.flush_ms = 1000;
    partition_configure(fixture->partition, &fixture->settings, 1);
    apply(fixture, SELF, 1);
    assert_int_equal(produce(fixture, 1, &result), KAFKA_NONE);
    partition_ask_for_aged_flush(fixture->partition, NOW_MS + 1000);
    assert_int_equal(fixture->asked[FLUSH_AT_EASE], 1);
    strike(fixture, MEMORY_FILES_SYNC_DIRECTORY, -EMFILE);
    assert_int_equal(partition_flush_begin(fixture->partition, FLUSH_AT_EASE, NOW_MS + 1000, &flush), 0);
    assert_non_null(flush);
    assert_int_equal(run_to_end(fixture, flush), -EMFILE);
    assert_int_equal(fixture->asked[FLUSH_AT_EASE], 1);
    (void)partition_tick(fixture->partition, NOW_MS + 1000, INT64_MAX);
    assert_int_equal(fixture->asked[FLUSH_AT_EASE], 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_produce_waits_for_the_disk_and_no_longer),
        TEST(test_appends_during_a_flush_share_the_next),
        TEST(test_each_waits_for_its_own_offset),
        TEST(test_fewer_than_flush_messages_may_be_lost),
        TEST(test_a_failed_sync_is_told_to_all_who_wait),
        TEST(test_a_flush_without_descriptors_is_asked_for_again),
        TEST(test_new_settings_release_and_hold),
        TEST(test_flush_ms_asks_at_ease),
        TEST(test_a_follower_acknowledges_what_is_durable),
        TEST(test_a_new_leader_flushes_its_tail),
        TEST(test_a_flush_outlives_the_partition),
        TEST(test_no_other_flush_swallows_an_error),
        TEST(test_no_roll_swallows_an_error),
        TEST(test_a_failed_sync_outlives_the_partition),
        TEST(test_an_aged_flush_that_failed_is_asked_for_again),
        TEST(test_a_flush_counts_for_its_own_log_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
