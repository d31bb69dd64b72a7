/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A random workload is stopped at each of its file operations, by a crash of the process or of the power, and
 * the log opened again (invariants I2, I4, I5, I7, I11, I49):
 *
 * - it holds a prefix of what was written, on the branch before or after a truncation that was under way,
 *   with everything below the recovery point in it, and after a crash of the process everything there was;
 * - reads through the indexes find every batch; epochs and producer state are those of the batches;
 * - opening it a second time changes not one byte on disk;
 * - it goes on from there.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/partition_log_private.h"
#include "common/memory.h"
#include "proto/kafka/error.h"
#include "proto/records/batch.h"
#include "tests/unit/log/log_fixture.h"

#define BRANCHES_MAX 64

/* What the log may have been at the moment of the crash. */
struct history {
    struct buffer branches[BRANCHES_MAX]; /* before each truncation, oldest first */
    size_t count;
    int64_t truncating_to; /* of a truncation that the stop met half-way; else INT64_MAX */
};

static void history_release(struct history *history)
{
    for (size_t i = 0; i < history->count; i++)
        buffer_release(&history->branches[i]);
    history->count = 0;
}

static void history_add(struct history *history, struct log_fixture *fixture)
{
    assert_true(history->count < BRANCHES_MAX);
    struct buffer *branch = &history->branches[history->count++];
    buffer_init(branch);
    log_fixture_model_bytes(fixture, branch);
    buffer_append(branch, fixture->in_flight.data, fixture->in_flight.length);
}

/* Bytes of the batches below `offset`. */
static size_t bytes_below(const struct log_fixture *fixture, int64_t offset)
{
    size_t bytes = 0;
    for (size_t i = 0; i < fixture->batches_count && fixture->batches[i].last_offset < offset; i++)
        bytes += fixture->batches[i].bytes.length;
    return bytes;
}

static bool stop_and_start(struct log_fixture *fixture)
{
    if (partition_log_close(fixture->log))
        return false;
    fixture->checkpointed_recovery_point = partition_log_recovery_point(fixture->log);
    log_fixture_drop(fixture);
    return log_fixture_open(fixture, true) == 0;
}

static bool truncate_somewhere(struct log_fixture *fixture, struct history *history)
{
    int64_t end = partition_log_end_offset(fixture->log);
    int64_t offset = prng_between(&fixture->prng, max_i64(0, end - 60), end);
    history_add(history, fixture);
    fixture->next_producer_id++;
    fixture->next_sequence = 0;
    fixture->leader_epoch++;
    history->truncating_to = offset;
    if (log_fixture_truncate(fixture, offset) != KAFKA_NONE)
        return false;
    history->truncating_to = INT64_MAX;
    return true;
}

/* One step of the workload; false when the disk has stopped. */
static bool step(struct log_fixture *fixture, struct history *history)
{
    switch (prng_below(&fixture->prng, 24)) {
    case 0:
        return truncate_somewhere(fixture, history);
    case 1:
        return stop_and_start(fixture);
    case 2:
        return partition_log_begin_epoch(fixture->log, ++fixture->leader_epoch) == 0;
    case 3:
    case 4:
        if (partition_log_flush(fixture->log))
            return false;
        if (prng_one_in(&fixture->prng, 2))
            fixture->checkpointed_recovery_point = partition_log_recovery_point(fixture->log);
        return true;
    case 5:
    case 6:
    case 7:
    case 8:
    case 9:
    case 10:
        return log_fixture_append_idempotent(fixture) == KAFKA_NONE;
    default:
        return log_fixture_append(fixture) == KAFKA_NONE;
    }
}

/* Runs until all steps are done or the disk stops. */
static void run(struct log_fixture *fixture, struct history *history, int steps)
{
    if (log_fixture_open(fixture, false))
        return;
    for (int i = 0; i < steps; i++)
        if (!step(fixture, history))
            return;
}

static bool is_prefix(const struct buffer *log, const struct buffer *branch)
{
    return log->length <= branch->length &&
           (log->length == 0 || memcmp(log->data, branch->data, log->length) == 0);
}

static void check_content(struct log_fixture *fixture, struct history *history, enum memory_files_crash crash,
                          size_t durable)
{
    struct buffer actual;
    buffer_init(&actual);
    log_fixture_read_all(fixture, &actual);
    size_t complete = bytes_below(fixture, history->truncating_to);
    history_add(history, fixture);
    /* A crash of the process brings no former branch back. */
    size_t first = crash == MEMORY_FILES_POWER_CUT ? 0 : history->count - 1;
    bool found = false;
    for (size_t i = history->count; i > first && !found; i--)
        found = is_prefix(&actual, &history->branches[i - 1]);
    assert_true(found);
    assert_true(actual.length >= durable);
    if (crash == MEMORY_FILES_PROCESS_CRASH)
        assert_true(actual.length >= complete);
    log_fixture_model_from(fixture, buffer_slice(&actual));
    buffer_release(&actual);
}

static void go_on(struct log_fixture *fixture)
{
    buffer_clear(&fixture->in_flight);
    fixture->next_producer_id += 1000;
    fixture->next_sequence = 0;
    for (int i = 0; i < 12; i++)
        assert_int_equal(i % 3 ? log_fixture_append(fixture) : log_fixture_append_idempotent(fixture),
                         KAFKA_NONE);
    log_fixture_check(fixture);
    log_fixture_check_derived(fixture);
}

/* Stops after `after` operations; false when the workload ended before. */
static bool crash_at(uint64_t seed, uint64_t after, enum memory_files_crash crash, int steps)
{
    struct log_fixture fixture;
    struct history history = {.count = 0, .truncating_to = INT64_MAX};
    log_fixture_init(&fixture, seed);
    fixture.options.settings.segment_bytes = 2000;
    fixture.options.settings.index_interval_bytes = 200;
    memory_files_stop_after(fixture.disk, after);
    run(&fixture, &history, steps);
    bool stopped = memory_files_is_stopped(fixture.disk);
    size_t durable = bytes_below(&fixture, fixture.checkpointed_recovery_point);
    log_fixture_drop(&fixture);
    memory_files_crash(fixture.disk, crash);
    assert_int_equal(log_fixture_open(&fixture, false), 0);
    check_content(&fixture, &history, crash, durable);
    log_fixture_check(&fixture);
    log_fixture_check_derived(&fixture);
    log_fixture_check_second_start(&fixture);
    log_fixture_check_derived(&fixture);
    go_on(&fixture);
    history_release(&history);
    log_fixture_release(&fixture);
    return stopped;
}

static void crash_everywhere(enum memory_files_crash crash, uint64_t seeds, int steps)
{
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        uint64_t after = 0;
        while (crash_at(seed, after, crash, steps))
            after++;
        assert_true(after > 50);
    }
}

static void i7_a_crash_of_the_process_leaves_all_that_was_written(void **state)
{
    (void)state;
    crash_everywhere(MEMORY_FILES_PROCESS_CRASH, 6, 70);
}

static void i7_a_power_cut_leaves_a_prefix(void **state)
{
    (void)state;
    crash_everywhere(MEMORY_FILES_POWER_CUT, 8, 70);
}

/* Segments that lost their tail without a trace must not leave a hole before later ones (I7). */
static void i7_a_lost_tail_takes_later_segments_with_it(void **state)
{
    (void)state;
    struct log_fixture fixture;
    log_fixture_init(&fixture, 3);
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    while (fixture.log->segments_count < 4)
        assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    int64_t second_base = fixture.log->segments[1]->base_offset;
    struct scanned_batch batch;
    assert_int_equal(partition_log_find(fixture.log, 1, fixture.log->segments[2]->base_offset - 1, &batch),
                     1);
    struct file *file;
    struct buffer path;
    buffer_init(&path);
    buffer_print(&path, "%s/%020" PRId64 ".log", FIXTURE_DIRECTORY, second_base);
    assert_int_equal(file_open(fixture.options.files, buffer_string(&path), FILE_WRITE, &file), 0);
    assert_int_equal(file_truncate(fixture.options.files, file, batch.position), 0);
    file_close(fixture.options.files, file);
    buffer_release(&path);
    log_fixture_crash(&fixture, MEMORY_FILES_PROCESS_CRASH);
    assert_int_equal(partition_log_end_offset(fixture.log), batch.base_offset);
    assert_int_equal(fixture.log->segments_count, 2);
    log_fixture_model_truncate(&fixture, batch.base_offset);
    log_fixture_check(&fixture);
    log_fixture_check_derived(&fixture);
    log_fixture_release(&fixture);
}

/* What a dead process leaves of its last appends, cut at every byte. */
static void i7_a_torn_tail_is_cut_at_the_last_whole_batch(void **state)
{
    (void)state;
    struct log_fixture fixture;
    log_fixture_init(&fixture, 4);
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    struct buffer content;
    buffer_init(&content);
    const char *path = FIXTURE_DIRECTORY "/00000000000000000000.log";
    assert_int_equal(file_system_read_all(fixture.options.files, path, 1 << 20, &content), 0);
    for (size_t size = content.length; size > 0; size--) {
        log_fixture_drop(&fixture);
        struct file *file;
        assert_int_equal(file_open(fixture.options.files, path, FILE_WRITE, &file), 0);
        struct iovec part = {content.data, size};
        assert_int_equal(file_write_all(fixture.options.files, file, &part, 1, 0), 0);
        assert_int_equal(file_truncate(fixture.options.files, file, (int64_t)size), 0);
        file_close(fixture.options.files, file);
        assert_int_equal(log_fixture_open(&fixture, prng_one_in(&fixture.prng, 2)), 0);
        size_t whole = 0, i = 0;
        while (i < fixture.batches_count && whole + fixture.batches[i].bytes.length <= size)
            whole += fixture.batches[i++].bytes.length;
        assert_int_equal(partition_log_end_offset(fixture.log),
                         i > 0 ? fixture.batches[i - 1].last_offset + 1 : 0);
        assert_int_equal(partition_log_size_bytes(fixture.log), whole);
        struct file_status status;
        assert_int_equal(file_system_status(fixture.options.files, path, &status), 0);
        assert_int_equal(status.size, whole);
    }
    buffer_release(&content);
    log_fixture_release(&fixture);
}

/* A flipped bit anywhere in what is recovered ends the log before that batch; nothing else is lost. */
static void i7_damage_ends_the_log_before_it(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct log_fixture fixture;
        log_fixture_init(&fixture, seed);
        assert_int_equal(log_fixture_open(&fixture, true), 0);
        for (int i = 0; i < 60; i++)
            assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
        size_t victim = (size_t)prng_below(&fixture.prng, fixture.batches_count);
        int64_t base = fixture.batches[victim].base_offset;
        size_t number = partition_log_segment_number(fixture.log, base);
        struct scanned_batch batch;
        assert_int_equal(partition_log_find(fixture.log, number, base, &batch), 1);
        struct buffer path;
        buffer_init(&path);
        buffer_print(&path, "%s/%020" PRId64 ".log", FIXTURE_DIRECTORY,
                     fixture.log->segments[number]->base_offset);
        /* From the CRC on: what stands before it is not covered. */
        int64_t at = batch.position + prng_between(&fixture.prng, 17, batch.size_bytes - 1);
        log_fixture_drop(&fixture);
        assert_int_equal(
            memory_files_flip(fixture.disk, buffer_string(&path), at, 1u << prng_below(&fixture.prng, 8)), 0);
        buffer_release(&path);
        assert_int_equal(log_fixture_open(&fixture, false), 0);
        log_fixture_model_truncate(&fixture, base);
        assert_int_equal(partition_log_end_offset(fixture.log), base);
        log_fixture_check(&fixture);
        log_fixture_check_derived(&fixture);
        log_fixture_release(&fixture);
    }
}

/* Stops a log after so many operations in which it begins anew: where it begins, or (`above`) above its end;
 * false when it was done before. */
static bool begin_anew_and_crash(bool above, uint64_t after, enum memory_files_crash crash)
{
    struct log_fixture fixture;
    log_fixture_init(&fixture, 77);
    fixture.options.settings.segment_bytes = 1000;
    assert_int_equal(log_fixture_open(&fixture, false), 0);
    for (int i = 0; i < 30; i++)
        assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    assert_int_equal(partition_log_flush(fixture.log), 0);
    fixture.checkpointed_recovery_point = partition_log_recovery_point(fixture.log);
    int64_t end = partition_log_end_offset(fixture.log);
    /* The log start is in memory only: the checkpoint says 0. */
    assert_int_equal(partition_log_advance_start(fixture.log, end / 2), KAFKA_NONE);
    int64_t target = above ? end + 50 : end / 2;
    memory_files_stop_after(fixture.disk, after);
    int16_t error = above ? partition_log_truncate_fully(fixture.log, target, 0)
                          : partition_log_truncate(fixture.log, target, 0);
    bool stopped = memory_files_is_stopped(fixture.disk);
    assert_true(stopped || error == KAFKA_NONE);
    log_fixture_crash(&fixture, crash);
    int64_t new_start = partition_log_start_offset(fixture.log),
            new_end = partition_log_end_offset(fixture.log);
    assert_true(new_start <= new_end);
    assert_true(new_end >= (above ? end : target));
    assert_true(stopped || (new_start == target && new_end == target));
    if (crash == MEMORY_FILES_PROCESS_CRASH)
        assert_true(new_start == 0 || new_start == target);
    log_fixture_model_truncate(&fixture, new_end);
    assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    assert_true(partition_log_end_offset(fixture.log) > new_end);
    log_fixture_release(&fixture);
    return stopped;
}

/* Whoever counted on the log to reach its log start finds that it does (I7, I23). */
static void i7_a_log_that_begins_anew_ends_no_lower_at_any_crash(void **state)
{
    (void)state;
    for (int run = 0; run < 4; run++) {
        enum memory_files_crash crash = run % 2 ? MEMORY_FILES_POWER_CUT : MEMORY_FILES_PROCESS_CRASH;
        uint64_t after = 0;
        while (begin_anew_and_crash(run / 2 == 0, after, crash))
            after++;
        assert_true(after > 5);
    }
}

/* Likewise an empty log that begins within the batch that it takes, which begins lower. */
static void i7_a_log_that_begins_within_a_batch_ends_no_lower_at_any_crash(void **state)
{
    (void)state;
    bool stopped = true;
    for (uint64_t after = 0; stopped; after++) {
        struct log_fixture fixture;
        struct buffer batch;
        log_fixture_init(&fixture, 78);
        fixture.options.log_start_offset = 7;
        assert_int_equal(log_fixture_open(&fixture, false), 0);
        buffer_init(&batch);
        const struct batch_plan plan = batch_plan_plain(10, 1000);
        make_batch(&fixture.prng, &plan, &batch);
        record_batch_set_base_offset(batch.data, 3);
        record_batch_set_leader_epoch(batch.data, 1);
        memory_files_stop_after(fixture.disk, after);
        int16_t error = partition_log_append_as_follower(fixture.log, batch.data, batch.length, 0, NULL);
        stopped = memory_files_is_stopped(fixture.disk);
        assert_true(stopped || error == KAFKA_NONE);
        log_fixture_crash(&fixture, MEMORY_FILES_PROCESS_CRASH);
        int64_t end = partition_log_end_offset(fixture.log);
        assert_int_equal(partition_log_start_offset(fixture.log), 7);
        assert_true(end == 13 || (stopped && end == 7));
        buffer_release(&batch);
        log_fixture_release(&fixture);
    }
}

/* After a sync that failed, and a crash of the process alone, the cache has more than the disk: what is lost
 * must not come back only to go with the next power cut, behind the recovery point. */
static void i6_what_a_failed_sync_lost_is_not_believed(void **state)
{
    (void)state;
    struct log_fixture fixture;
    log_fixture_init(&fixture, 61);
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    assert_int_equal(partition_log_flush(fixture.log), 0);
    int64_t durable = partition_log_recovery_point(fixture.log);
    for (int i = 0; i < 2; i++)
        assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    const struct memory_files_fault fault = {.operations = MEMORY_FILES_BIT(MEMORY_FILES_SYNC),
                                             .error = -EIO,
                                             .short_bytes = -1,
                                             .path_part = ".log"};
    memory_files_set_fault(fixture.disk, &fault);
    assert_int_equal(partition_log_flush(fixture.log), -EIO);
    log_fixture_crash(&fixture, MEMORY_FILES_PROCESS_CRASH);
    assert_int_equal(partition_log_end_offset(fixture.log), durable);
    log_fixture_model_truncate(&fixture, durable);
    log_fixture_check(&fixture);
    assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    assert_int_equal(partition_log_flush(fixture.log), 0);
    log_fixture_crash(&fixture, MEMORY_FILES_POWER_CUT);
    log_fixture_check(&fixture);
    log_fixture_release(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(i7_a_torn_tail_is_cut_at_the_last_whole_batch),
        cmocka_unit_test(i7_damage_ends_the_log_before_it),
        cmocka_unit_test(i7_a_lost_tail_takes_later_segments_with_it),
        cmocka_unit_test(i7_a_crash_of_the_process_leaves_all_that_was_written),
        cmocka_unit_test(i7_a_power_cut_leaves_a_prefix),
        cmocka_unit_test(i7_a_log_that_begins_anew_ends_no_lower_at_any_crash),
        cmocka_unit_test(i7_a_log_that_begins_within_a_batch_ends_no_lower_at_any_crash),
        cmocka_unit_test(i6_what_a_failed_sync_lost_is_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
