/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partitions over a disk in memory: a leader and a follower that copy from each other by hand, diverge, agree
 * again; and those who wait.
 */
#include "broker/replica/partition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/memory.h"
#include "proto/kafka/error.h"
#include "proto/records/builder.h"
#include "tests/support/memory_files.h"

#define BROKERS 3
#define PRODUCE_VERSION 9

struct replica {
    struct partition_log *log;
    struct partition *partition;
};

struct cluster {
    struct memory_files *files;
    struct replica replicas[BROKERS]; /* of brokers 1..3 */
    struct isr_member isr[BROKERS];
    int32_t assignment[BROKERS];
    struct control_partition state;
    int64_t now_ms;
    int proposals;
    struct partition_host host;
};

static void count_proposal(struct partition_host *host, struct partition *partition)
{
    (void)partition;
    container_of(host, struct cluster, host)->proposals++;
}

static void open_replica(struct cluster *cluster, int32_t id)
{
    struct replica *replica = &cluster->replicas[id - 1];
    char directory[64];
    snprintf(directory, sizeof(directory), "data%d/topic-0", id);
    struct partition_log_options log = {
        .files = memory_files_system(cluster->files), .directory = directory, .now_ms = 1000};
    log_settings_init(&log.settings);
    assert_int_equal(partition_log_open(&log, &replica->log), 0);
    struct partition_options options = {.topic = slice_of("topic"),
                                        .broker_id = id,
                                        .log = replica->log,
                                        .min_insync_replicas = 2,
                                        .replica_lag_time_max_ms = 10000,
                                        .host = &cluster->host};
    replica->partition = partition_new(&options);
}

static int setup(void **state)
{
    struct cluster *cluster = memory_allocate_zeroed(1, sizeof(*cluster));
    cluster->files = memory_files_new(1);
    cluster->now_ms = 1000;
    cluster->host.proposal_wanted = count_proposal;
    for (int32_t id = 1; id <= BROKERS; id++) {
        char directory[16];
        snprintf(directory, sizeof(directory), "data%d", id);
        assert_int_equal(file_system_make_directory(memory_files_system(cluster->files), directory), 0);
        open_replica(cluster, id);
        cluster->assignment[id - 1] = id;
    }
    cluster->state = (struct control_partition){
        .leader_epoch = -1, .isr = cluster->isr, .replicas = cluster->assignment, .replicas_count = BROKERS};
    *state = cluster;
    return 0;
}

static int teardown(void **state)
{
    struct cluster *cluster = *state;
    for (int i = 0; i < BROKERS; i++) {
        partition_close(cluster->replicas[i].partition);
        partition_release(cluster->replicas[i].partition);
        partition_log_free(cluster->replicas[i].log);
    }
    memory_files_free(cluster->files);
    free(cluster);
    return 0;
}

static struct partition *of(struct cluster *cluster, int32_t id)
{
    return cluster->replicas[id - 1].partition;
}

/* The next leader epoch: `leader` leads, the brokers listed (up to a 0) are in the ISR; told to `told` (up to
 * a 0). */
static void elect(struct cluster *cluster, int32_t leader, const int32_t *isr, const int32_t *told)
{
    cluster->state.leader = leader;
    cluster->state.leader_epoch++;
    cluster->state.partition_epoch++;
    cluster->state.isr_count = 0;
    for (; *isr != 0; isr++)
        cluster->isr[cluster->state.isr_count++] =
            (struct isr_member){.broker_id = *isr, .broker_epoch = 100 + *isr};
    for (; *told != 0; told++) {
        enum partition_role role;
        bool follow;
        assert_int_equal(
            partition_apply_state(of(cluster, *told), &cluster->state, cluster->now_ms, &role, &follow),
            KAFKA_NONE);
        assert_int_equal(role, *told == leader ? ROLE_LEADER : ROLE_FOLLOWER);
    }
}

static int16_t produce(struct cluster *cluster, int32_t leader, const char *value,
                       struct produce_result *result)
{
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    struct record_batch_builder builder;
    struct buffer batch;
    buffer_init(&batch);
    record_batch_builder_init(&builder, &parameters);
    record_batch_builder_append(&builder, cluster->now_ms, slice_of(NULL), slice_of(value), NULL, 0);
    assert_int_equal(record_batch_builder_finish(&builder, CODEC_NONE, CODEC_DEFAULT_LEVEL, &batch), 0);
    record_batch_builder_release(&builder);
    int16_t error = partition_produce(of(cluster, leader), batch.data, batch.length, PRODUCE_VERSION, true,
                                      cluster->now_ms, cluster->now_ms, result);
    buffer_release(&batch);
    return error;
}

/* One fetch of `follower` from the broker that it follows, and its answer. */
static enum follow_outcome copy_once(struct cluster *cluster, int32_t follower)
{
    struct follow_position position;
    assert_true(partition_follow_position(of(cluster, follower), &position));
    struct fetch_query query = {.replica_id = follower,
                                .replica_epoch = 100 + follower,
                                .current_leader_epoch = position.leader_epoch,
                                .last_fetched_epoch = position.last_fetched_epoch,
                                .fetch_offset = position.fetch_offset,
                                .log_start_offset = position.log_start_offset,
                                .max_bytes = 1 << 20,
                                .at_least_one = true};
    struct fetch_result result;
    int16_t error = partition_fetch(of(cluster, position.leader), &query, cluster->now_ms, &result);
    uint8_t *bytes = memory_allocate((size_t)result.range.length + 1);
    assert_int_equal(log_range_read(&result.range, bytes), 0);
    struct follow_answer answer = {.leader = position.leader,
                                   .leader_epoch = position.leader_epoch,
                                   .fetch_offset = position.fetch_offset,
                                   .last_fetched_epoch = position.last_fetched_epoch,
                                   .error = error,
                                   .high_watermark = result.high_watermark,
                                   .log_start_offset = result.log_start_offset,
                                   .diverging = result.diverging,
                                   .diverging_epoch = result.diverging_epoch,
                                   .diverging_end_offset = result.diverging_end_offset,
                                   .records = slice_make(bytes, (size_t)result.range.length)};
    log_range_release(&result.range);
    enum follow_outcome outcome =
        partition_follow(of(cluster, follower), &answer, cluster->now_ms, cluster->now_ms);
    free(bytes);
    return outcome;
}

/* Copies until the follower stands where its leader stands, and the leader has heard of it. */
static void catch_up(struct cluster *cluster, int32_t follower, int32_t leader)
{
    for (int i = 0; i < 10; i++) {
        assert_int_equal(copy_once(cluster, follower), FOLLOW_CONTINUE);
        struct partition_status mine;
        struct partition_status theirs;
        partition_status(of(cluster, follower), &mine);
        partition_status(of(cluster, leader), &theirs);
        if (i > 0 && mine.log_end_offset == theirs.log_end_offset &&
            mine.high_watermark == theirs.high_watermark)
            return;
    }
    fail_msg("broker %d does not catch up with broker %d", follower, leader);
}

static void assert_same_logs(struct cluster *cluster, int32_t a, int32_t b)
{
    struct log_range ranges[2];
    int64_t ends[2] = {partition_log_end_offset(cluster->replicas[a - 1].log),
                       partition_log_end_offset(cluster->replicas[b - 1].log)};
    assert_int_equal(ends[0], ends[1]);
    for (int i = 0; i < 2; i++)
        assert_int_equal(partition_log_read(cluster->replicas[(i == 0 ? a : b) - 1].log, 0, 1 << 20, ends[0],
                                            true, &ranges[i]),
                         KAFKA_NONE);
    assert_int_equal(ranges[0].length, ranges[1].length);
    uint8_t *bytes[2];
    for (int i = 0; i < 2; i++) {
        bytes[i] = memory_allocate((size_t)ranges[i].length);
        assert_int_equal(log_range_read(&ranges[i], bytes[i]), 0);
        log_range_release(&ranges[i]);
    }
    assert_memory_equal(bytes[0], bytes[1], (size_t)ranges[0].length);
    free(bytes[0]);
    free(bytes[1]);
}

static void test_records_are_acknowledged_when_all_have_them(void **state)
{
    struct cluster *cluster = *state;
    elect(cluster, 1, (const int32_t[]){1, 2, 3, 0}, (const int32_t[]){1, 2, 3, 0});
    struct produce_result result;
    assert_int_equal(produce(cluster, 1, "a", &result), KAFKA_NONE);
    assert_int_equal(result.base_offset, 0);
    assert_int_equal(partition_check_produce(of(cluster, 1), true, 0, 1), PRODUCE_PENDING);
    copy_once(cluster, 2);
    copy_once(cluster, 2);
    assert_int_equal(partition_check_produce(of(cluster, 1), true, 0, 1), PRODUCE_PENDING);
    copy_once(cluster, 3);
    copy_once(cluster, 3);
    assert_int_equal(partition_check_produce(of(cluster, 1), true, 0, 1), KAFKA_NONE);
    catch_up(cluster, 2, 1);
    assert_same_logs(cluster, 1, 2);
    assert_same_logs(cluster, 1, 3);
}

static void test_i15_divergent_tail_is_cut_by_epoch(void **state)
{
    struct cluster *cluster = *state;
    struct produce_result result;
    elect(cluster, 1, (const int32_t[]){1, 2, 3, 0}, (const int32_t[]){1, 2, 3, 0});
    assert_int_equal(produce(cluster, 1, "common", &result), KAFKA_NONE);
    catch_up(cluster, 2, 1);
    catch_up(cluster, 3, 1);
    catch_up(cluster, 2, 1);
    /* Broker 1 appends what nobody copies, then broker 2 leads and appends something else. */
    assert_int_equal(produce(cluster, 1, "lost 1", &result), KAFKA_NONE);
    assert_int_equal(produce(cluster, 1, "lost 2", &result), KAFKA_NONE);
    elect(cluster, 2, (const int32_t[]){2, 3, 0}, (const int32_t[]){2, 3, 0});
    assert_int_equal(produce(cluster, 2, "kept", &result), KAFKA_NONE);
    catch_up(cluster, 3, 2);
    /* Broker 1 learns of it. */
    elect(cluster, 2, (const int32_t[]){2, 3, 0}, (const int32_t[]){1, 2, 3, 0});
    catch_up(cluster, 1, 2);
    assert_same_logs(cluster, 1, 2);
    struct partition_status status;
    partition_status(of(cluster, 1), &status);
    assert_int_equal(status.log_end_offset, 2);
}

static void test_i15_empty_epochs_do_not_keep_a_follower_from_agreeing(void **state)
{
    struct cluster *cluster = *state;
    struct produce_result result;
    elect(cluster, 1, (const int32_t[]){1, 2, 3, 0}, (const int32_t[]){1, 2, 3, 0});
    assert_int_equal(produce(cluster, 1, "a", &result), KAFKA_NONE);
    catch_up(cluster, 2, 1);
    /* Each leads once without appending; only the leader itself hears of it. */
    elect(cluster, 2, (const int32_t[]){1, 2, 3, 0}, (const int32_t[]){2, 0});
    elect(cluster, 1, (const int32_t[]){1, 2, 3, 0}, (const int32_t[]){1, 2, 3, 0});
    catch_up(cluster, 2, 1);
    catch_up(cluster, 3, 1);
    assert_same_logs(cluster, 1, 2);
    assert_same_logs(cluster, 1, 3);
}

static void test_i14_late_answers_are_dropped(void **state)
{
    struct cluster *cluster = *state;
    elect(cluster, 1, (const int32_t[]){1, 2, 3, 0}, (const int32_t[]){1, 2, 3, 0});
    struct follow_answer answer = {
        .leader = 1, .leader_epoch = 0, .fetch_offset = 0, .last_fetched_epoch = -1};
    elect(cluster, 1, (const int32_t[]){1, 2, 0}, (const int32_t[]){1, 2, 3, 0});
    assert_int_equal(partition_follow(of(cluster, 2), &answer, 1, 1), FOLLOW_STALE);
    answer.leader_epoch = 1;
    answer.leader = 3;
    assert_int_equal(partition_follow(of(cluster, 2), &answer, 1, 1), FOLLOW_STALE);
    answer.leader = 1;
    answer.fetch_offset = 7;
    assert_int_equal(partition_follow(of(cluster, 2), &answer, 1, 1), FOLLOW_STALE);
    answer.fetch_offset = 0;
    answer.last_fetched_epoch = 0; /* the same offset in another history */
    assert_int_equal(partition_follow(of(cluster, 2), &answer, 1, 1), FOLLOW_STALE);
    answer.last_fetched_epoch = -1;
    assert_int_equal(partition_follow(of(cluster, 2), &answer, 1, 1), FOLLOW_CONTINUE);
}

struct counted_watcher {
    struct partition_watcher watcher;
    int fired;
};

static void count_fire(struct partition_watcher *watcher)
{
    container_of(watcher, struct counted_watcher, watcher)->fired++;
}

static void test_watchers_fire_once_when_their_time_has_come(void **state)
{
    struct cluster *cluster = *state;
    struct produce_result result;
    elect(cluster, 1, (const int32_t[]){1, 2, 3, 0}, (const int32_t[]){1, 2, 3, 0});
    struct partition *leader = of(cluster, 1);
    struct counted_watcher end = {.watcher.fire = count_fire};
    struct counted_watcher committed = {.watcher.fire = count_fire};
    assert_false(partition_watch(leader, &end.watcher, WATCH_END, 0, 7));
    assert_true(partition_watch(leader, &end.watcher, WATCH_END, 0, 0));
    assert_true(partition_watch(leader, &committed.watcher, WATCH_HIGH_WATERMARK, 1, 0));
    assert_int_equal(produce(cluster, 1, "a", &result), KAFKA_NONE);
    assert_int_equal(end.fired, 1);
    assert_false(partition_unwatch(leader, &end.watcher));
    assert_int_equal(committed.fired, 0);
    assert_false(partition_watch(leader, &end.watcher, WATCH_END, 0, 0));
    /* A change of leadership wakes everybody. */
    elect(cluster, 2, (const int32_t[]){2, 3, 0}, (const int32_t[]){1, 0});
    assert_int_equal(committed.fired, 1);
    assert_int_equal(end.fired, 1);
    assert_true(partition_watch(leader, &end.watcher, WATCH_END, 1, 1));
    assert_true(partition_unwatch(leader, &end.watcher));
}

/* A follower died: the controller raises the epoch, the leader stays, and what waits goes on waiting. */
static void test_a_produce_waits_over_epochs_of_one_leadership(void **state)
{
    struct cluster *cluster = *state;
    struct produce_result result;
    elect(cluster, 1, (const int32_t[]){1, 2, 3, 0}, (const int32_t[]){1, 2, 3, 0});
    struct partition *leader = of(cluster, 1);
    assert_int_equal(produce(cluster, 1, "a", &result), KAFKA_NONE);
    struct counted_watcher acked = {.watcher.fire = count_fire};
    assert_true(partition_watch(leader, &acked.watcher, WATCH_ACKNOWLEDGED, 1, 0));
    elect(cluster, 1, (const int32_t[]){1, 2, 0}, (const int32_t[]){1, 2, 0});
    assert_int_equal(acked.fired, 1);
    assert_int_equal(partition_check_produce(leader, true, 0, 1), PRODUCE_PENDING);
    assert_true(partition_watch(leader, &acked.watcher, WATCH_ACKNOWLEDGED, 1, 0));
    catch_up(cluster, 2, 1);
    assert_int_equal(acked.fired, 2);
    assert_int_equal(partition_check_produce(leader, true, 0, 1), KAFKA_NONE);
    /* In another leadership it does not wait any more. */
    assert_int_equal(produce(cluster, 1, "b", &result), KAFKA_NONE);
    elect(cluster, 2, (const int32_t[]){1, 2, 0}, (const int32_t[]){1, 2, 0});
    assert_false(partition_watch(leader, &acked.watcher, WATCH_ACKNOWLEDGED, 2, 1));
    assert_int_equal(partition_check_produce(leader, true, 1, 2), KAFKA_NOT_LEADER_OR_FOLLOWER);
}

static void test_consumers_see_what_is_committed(void **state)
{
    struct cluster *cluster = *state;
    struct produce_result produced;
    elect(cluster, 1, (const int32_t[]){1, 2, 3, 0}, (const int32_t[]){1, 2, 3, 0});
    assert_int_equal(produce(cluster, 1, "a", &produced), KAFKA_NONE);
    struct fetch_query query = {.replica_id = -1,
                                .current_leader_epoch = -1,
                                .last_fetched_epoch = -1,
                                .max_bytes = 1000,
                                .at_least_one = true};
    struct fetch_result result;
    assert_int_equal(partition_fetch(of(cluster, 1), &query, 1, &result), KAFKA_NONE);
    assert_int_equal(result.range.length, 0);
    catch_up(cluster, 2, 1);
    catch_up(cluster, 3, 1);
    assert_int_equal(partition_fetch(of(cluster, 1), &query, 1, &result), KAFKA_NONE);
    assert_true(result.range.length > 0);
    log_range_release(&result.range);
    query.fetch_offset = 2;
    assert_int_equal(partition_fetch(of(cluster, 1), &query, 1, &result), KAFKA_OFFSET_OUT_OF_RANGE);
    query.fetch_offset = 0;
    query.leader_only = true;
    assert_int_equal(partition_fetch(of(cluster, 2), &query, 1, &result), KAFKA_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(result.leader, 1);
    query.current_leader_epoch = 5;
    assert_int_equal(partition_fetch(of(cluster, 1), &query, 1, &result), KAFKA_UNKNOWN_LEADER_EPOCH);
}

static void test_i22_latest_is_not_told_before_it_is_known(void **state)
{
    struct cluster *cluster = *state;
    struct produce_result produced;
    struct log_timestamp_offset found;
    elect(cluster, 1, (const int32_t[]){1, 2, 3, 0}, (const int32_t[]){1, 2, 3, 0});
    assert_int_equal(produce(cluster, 1, "a", &produced), KAFKA_NONE);
    copy_once(cluster, 2);
    elect(cluster, 2, (const int32_t[]){2, 3, 0}, (const int32_t[]){2, 3, 0});
    assert_int_equal(partition_list_offset(of(cluster, 2), -1, -1, false, -1, &found),
                     KAFKA_OFFSET_NOT_AVAILABLE);
    catch_up(cluster, 3, 2);
    assert_int_equal(partition_list_offset(of(cluster, 2), -1, -1, false, -1, &found), KAFKA_NONE);
    assert_int_equal(found.offset, 1);
    assert_int_equal(partition_list_offset(of(cluster, 3), -1, -1, false, -1, &found),
                     KAFKA_NOT_LEADER_OR_FOLLOWER);
}

/* I18, I22: up to its own high watermark, which follows the leader's; never further. */
static void test_a_follower_serves_what_it_knows_to_be_committed(void **state)
{
    struct cluster *cluster = *state;
    struct produce_result produced;
    elect(cluster, 1, (const int32_t[]){1, 2, 0}, (const int32_t[]){1, 2, 0});
    assert_int_equal(produce(cluster, 1, "a", &produced), KAFKA_NONE);
    struct fetch_query query = {.replica_id = -1,
                                .current_leader_epoch = -1,
                                .last_fetched_epoch = -1,
                                .max_bytes = 1000,
                                .at_least_one = true};
    struct fetch_result result;
    copy_once(cluster, 2); /* it has the record, and does not know yet what is committed */
    assert_int_equal(partition_fetch(of(cluster, 2), &query, 1, &result), KAFKA_NONE);
    assert_int_equal(result.high_watermark, 0);
    assert_int_equal(result.range.length, 0);
    catch_up(cluster, 2, 1);
    assert_int_equal(partition_fetch(of(cluster, 2), &query, 1, &result), KAFKA_NONE);
    assert_int_equal(result.high_watermark, 1);
    assert_true(result.range.length > 0);
    fetch_result_release(&result);
    struct read_candidate candidates[PARTITION_REPLICAS_MAX];
    assert_int_equal(partition_read_candidates(of(cluster, 1), 1, 1, candidates), 1);
    assert_int_equal(candidates[0].broker_id, 2);
    assert_int_equal(partition_read_candidates(of(cluster, 1), 2, 1, candidates), 0);
    assert_int_equal(partition_read_candidates(of(cluster, 2), 1, 1, candidates), 0);
}

/* Deletes what is below `offset` at a leader. */
static void delete_below(struct cluster *cluster, int32_t leader, int64_t offset)
{
    struct partition_log *log = partition_enter_log(of(cluster, leader));
    assert_int_equal(partition_log_advance_start(log, offset), KAFKA_NONE);
    partition_leave_log(of(cluster, leader), cluster->now_ms);
}

static void test_followers_begin_where_the_leader_begins(void **state)
{
    struct cluster *cluster = *state;
    struct produce_result produced;
    elect(cluster, 1, (const int32_t[]){1, 2, 0}, (const int32_t[]){1, 2, 0});
    for (int i = 0; i < 3; i++)
        assert_int_equal(produce(cluster, 1, "a", &produced), KAFKA_NONE);
    catch_up(cluster, 2, 1);
    delete_below(cluster, 1, 2);
    struct partition_status status;
    assert_int_equal(copy_once(cluster, 2), FOLLOW_CONTINUE);
    partition_status(of(cluster, 2), &status);
    assert_int_equal(status.log_start_offset, 2);
    assert_int_equal(status.log_end_offset, 3);
}

/* I16: what stands below the leader's log start was compared with nobody. A log start is on disk only with
 * the next checkpoint: a crash would bring it back, below records that are the leader's. */
static void test_i16_what_was_compared_with_nobody_does_not_come_back(void **state)
{
    struct cluster *cluster = *state;
    struct produce_result produced;
    struct partition_status status;
    elect(cluster, 2, (const int32_t[]){1, 2, 0}, (const int32_t[]){2, 0});
    assert_int_equal(produce(cluster, 2, "never committed", &produced), KAFKA_NONE);
    elect(cluster, 1, (const int32_t[]){1, 3, 0}, (const int32_t[]){1, 2, 3, 0});
    assert_int_equal(produce(cluster, 1, "committed and deleted", &produced), KAFKA_NONE);
    catch_up(cluster, 3, 1);
    delete_below(cluster, 1, 1);
    assert_int_equal(copy_once(cluster, 2), FOLLOW_CONTINUE);
    partition_status(of(cluster, 2), &status);
    assert_int_equal(status.log_start_offset, 1);
    assert_int_equal(status.log_end_offset, 1);
    assert_int_equal(status.size_bytes, 0);
    assert_int_equal(produce(cluster, 1, "next", &produced), KAFKA_NONE);
    catch_up(cluster, 3, 1);
    catch_up(cluster, 2, 1);
    /* What this leader has compared stays until retention takes it: with it, the state of the producers. */
    delete_below(cluster, 1, 2);
    assert_int_equal(copy_once(cluster, 2), FOLLOW_CONTINUE);
    partition_status(of(cluster, 2), &status);
    assert_int_equal(status.log_start_offset, 2);
    assert_true(status.size_bytes > 0);
}

static void test_returning_follower_asks_for_its_place_in_the_isr(void **state)
{
    struct cluster *cluster = *state;
    struct produce_result produced;
    elect(cluster, 1, (const int32_t[]){1, 2, 0}, (const int32_t[]){1, 2, 3, 0});
    assert_int_equal(produce(cluster, 1, "a", &produced), KAFKA_NONE);
    catch_up(cluster, 2, 1);
    assert_int_equal(cluster->proposals, 0);
    catch_up(cluster, 3, 1);
    assert_int_equal(cluster->proposals, 1);
    struct isr_set isr;
    struct alter_partition_item item;
    assert_true(partition_take_proposal(of(cluster, 1), cluster->now_ms, &isr, &item));
    assert_int_equal(item.isr_count, 3);
    assert_int_equal(item.isr[2].broker_id, 3);
    assert_int_equal(item.isr[2].broker_epoch, 103);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_records_are_acknowledged_when_all_have_them, setup, teardown),
        cmocka_unit_test_setup_teardown(test_i15_divergent_tail_is_cut_by_epoch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_i15_empty_epochs_do_not_keep_a_follower_from_agreeing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_i14_late_answers_are_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_watchers_fire_once_when_their_time_has_come, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_produce_waits_over_epochs_of_one_leadership, setup, teardown),
        cmocka_unit_test_setup_teardown(test_consumers_see_what_is_committed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_i22_latest_is_not_told_before_it_is_known, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_follower_serves_what_it_knows_to_be_committed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_followers_begin_where_the_leader_begins, setup, teardown),
        cmocka_unit_test_setup_teardown(test_i16_what_was_compared_with_nobody_does_not_come_back, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_returning_follower_asks_for_its_place_in_the_isr, setup,
                                        teardown),
    };
    return cmocka_run_group_tests_name("partition", tests, NULL, NULL);
}
