/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retention on a log over a disk in memory: what goes and what stays, the life of the files that go, and a
 * stop at every file operation on the way.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/log_garbage.h"
#include "broker/log/partition_log_private.h"
#include "proto/kafka/error.h"
#include "tests/unit/log/log_fixture.h"

#define DAY_MS ((int64_t)24 * 3600 * 1000)

static void open_with_segments(struct log_fixture *fixture, uint64_t seed, size_t segments)
{
    log_fixture_init(fixture, seed);
    fixture->options.settings.retention_ms = -1;
    assert_int_equal(log_fixture_open(fixture, true), 0);
    while (fixture->log->segments_count < segments)
        assert_int_equal(log_fixture_append(fixture), KAFKA_NONE);
    for (int i = 0; i < 3; i++)
        assert_int_equal(log_fixture_append(fixture), KAFKA_NONE);
}

/* As partition_retain does it. */
static int retain(struct log_fixture *fixture, int64_t high_watermark, int64_t now_ms)
{
    bool flush_first;
    int error = partition_log_retain(fixture->log, high_watermark, now_ms, &flush_first);
    if (error || !flush_first)
        return error;
    error = partition_log_flush(fixture->log);
    return error ? error : partition_log_retain(fixture->log, high_watermark, now_ms, &flush_first);
}

static int retain_all(struct log_fixture *fixture)
{
    return retain(fixture, partition_log_end_offset(fixture->log), fixture->now_ms);
}

static bool is_there(struct log_fixture *fixture, int64_t offset, const char *suffix)
{
    struct buffer path;
    struct file_status status;
    buffer_init(&path);
    buffer_print(&path, "%s/%020" PRId64 "%s", FIXTURE_DIRECTORY, offset, suffix);
    int error = file_system_status(fixture->options.files, buffer_string(&path), &status);
    buffer_release(&path);
    return error == 0;
}

static int remove_garbage(struct log_fixture *fixture, int64_t now_ms)
{
    struct log_garbage *garbage = partition_log_take_garbage(fixture->log, now_ms, false);
    return garbage ? log_garbage_remove(garbage) : 0;
}

static int64_t first_base(const struct log_fixture *fixture)
{
    return fixture->log->segments[0]->base_offset;
}

static void the_log_shrinks_to_the_size_that_is_kept(void **state)
{
    (void)state;
    struct log_fixture fixture;
    open_with_segments(&fixture, 1, 12);
    struct log_settings settings = *partition_log_settings(fixture.log);
    settings.retention_bytes = 15000;
    partition_log_configure(fixture.log, &settings);
    assert_int_equal(retain_all(&fixture), 0);
    assert_true(partition_log_size_bytes(fixture.log) >= 15000);
    assert_true(partition_log_size_bytes(fixture.log) - fixture.log->segments[0]->size_bytes < 15000);
    assert_true(first_base(&fixture) > 0);
    assert_int_equal(partition_log_start_offset(fixture.log), first_base(&fixture));
    log_fixture_check(&fixture);
    log_fixture_check_derived(&fixture);
    size_t segments = fixture.log->segments_count;
    assert_int_equal(retain_all(&fixture), 0);
    assert_int_equal(fixture.log->segments_count, segments);
    log_fixture_release(&fixture);
}

static void old_segments_go_and_the_offsets_go_on(void **state)
{
    (void)state;
    struct log_fixture fixture;
    open_with_segments(&fixture, 2, 6);
    struct log_settings settings = *partition_log_settings(fixture.log);
    settings.retention_ms = DAY_MS;
    partition_log_configure(fixture.log, &settings);
    assert_int_equal(retain_all(&fixture), 0);
    assert_int_equal(first_base(&fixture), 0);
    int64_t end = partition_log_end_offset(fixture.log);
    fixture.now_ms += 2 * DAY_MS;
    assert_int_equal(retain_all(&fixture), 0);
    assert_int_equal(fixture.log->segments_count, 1);
    assert_int_equal(partition_log_start_offset(fixture.log), end);
    assert_int_equal(partition_log_end_offset(fixture.log), end);
    assert_int_equal(partition_log_size_bytes(fixture.log), 0);
    /* An empty log has nothing to lose. */
    assert_int_equal(retain_all(&fixture), 0);
    assert_int_equal(first_base(&fixture), end);
    assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    log_fixture_check(&fixture);
    log_fixture_release(&fixture);
}

/* Times are read from disk where they are not known, and neither files nor indexes stay open for that. */
static void a_log_that_was_opened_again_knows_its_times(void **state)
{
    (void)state;
    struct log_fixture fixture;
    open_with_segments(&fixture, 3, 8);
    int64_t middle_ms = fixture.log->segments[4]->max_timestamp;
    int64_t base = fixture.log->segments[5]->base_offset;
    log_fixture_stop(&fixture);
    fixture.options.settings.retention_ms = DAY_MS;
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    size_t open_files = memory_files_open_count(fixture.disk);
    assert_int_equal(retain(&fixture, partition_log_end_offset(fixture.log), middle_ms + DAY_MS + 1), 0);
    assert_int_equal(first_base(&fixture), base);
    assert_int_equal(memory_files_open_count(fixture.disk), open_files);
    assert_false(fixture.log->segments[0]->times_loaded);
    /* The one that stays was looked at, and is not again. */
    uint64_t reads = memory_files_operations(fixture.disk, MEMORY_FILES_BIT(MEMORY_FILES_READ));
    assert_int_equal(retain(&fixture, partition_log_end_offset(fixture.log), middle_ms + DAY_MS + 1), 0);
    assert_int_equal(memory_files_operations(fixture.disk, MEMORY_FILES_BIT(MEMORY_FILES_READ)), reads);
    log_fixture_check(&fixture);
    log_fixture_release(&fixture);
}

/* Records without a timestamp are as old as their file. */
static void without_timestamps_the_file_tells(void **state)
{
    (void)state;
    struct log_fixture fixture;
    log_fixture_init(&fixture, 4);
    fixture.options.settings.retention_ms = DAY_MS;
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    memory_files_set_time(fixture.disk, fixture.now_ms);
    while (fixture.log->segments_count < 4) {
        struct batch_plan plan = batch_plan_plain(5, -1);
        assert_int_equal(log_fixture_append_plan(&fixture, &plan), KAFKA_NONE);
    }
    fixture.now_ms += DAY_MS;
    assert_int_equal(retain_all(&fixture), 0);
    assert_int_equal(first_base(&fixture), 0);
    fixture.now_ms += 1;
    assert_int_equal(retain_all(&fixture), 0);
    assert_int_equal(first_base(&fixture), partition_log_end_offset(fixture.log));
    log_fixture_release(&fixture);
}

static void i9_nothing_goes_above_the_high_watermark_or_before_a_flush(void **state)
{
    (void)state;
    struct log_fixture fixture;
    open_with_segments(&fixture, 5, 6);
    struct log_settings settings = *partition_log_settings(fixture.log);
    settings.retention_bytes = 0;
    partition_log_configure(fixture.log, &settings);
    int64_t third = fixture.log->segments[3]->base_offset, end = partition_log_end_offset(fixture.log);
    bool flush_first;
    assert_int_equal(partition_log_retain(fixture.log, third, fixture.now_ms, &flush_first), 0);
    assert_true(flush_first);
    assert_int_equal(first_base(&fixture), 0);
    assert_int_equal(partition_log_flush(fixture.log), 0);
    assert_int_equal(partition_log_retain(fixture.log, third, fixture.now_ms, &flush_first), 0);
    assert_false(flush_first);
    assert_int_equal(first_base(&fixture), third);
    assert_int_equal(partition_log_retain(fixture.log, end - 1, fixture.now_ms, &flush_first), 0);
    assert_int_equal(fixture.log->segments_count, 1);
    assert_true(first_base(&fixture) < end);
    log_fixture_check(&fixture);
    log_fixture_release(&fixture);
}

static void a_compacted_log_loses_what_is_below_its_start(void **state)
{
    (void)state;
    struct log_fixture fixture;
    open_with_segments(&fixture, 6, 6);
    struct log_settings settings = *partition_log_settings(fixture.log);
    settings.retention_bytes = 0;
    settings.retention_ms = 0;
    settings.compacted = true;
    settings.retained = false;
    partition_log_configure(fixture.log, &settings);
    fixture.now_ms += DAY_MS;
    assert_int_equal(retain_all(&fixture), 0);
    assert_int_equal(first_base(&fixture), 0);
    int64_t third = fixture.log->segments[3]->base_offset;
    assert_int_equal(partition_log_advance_start(fixture.log, third + 1), KAFKA_NONE);
    assert_int_equal(retain_all(&fixture), 0);
    assert_int_equal(first_base(&fixture), third);
    assert_int_equal(partition_log_start_offset(fixture.log), third + 1);
    log_fixture_check(&fixture);
    log_fixture_release(&fixture);
}

/* Renamed at once, unlinked after the delay; who reads them reads on. */
static void deleted_files_live_for_a_while(void **state)
{
    (void)state;
    struct log_fixture fixture;
    open_with_segments(&fixture, 7, 4);
    struct log_settings settings = *partition_log_settings(fixture.log);
    settings.retention_bytes = 0;
    settings.file_delete_delay_ms = 1000;
    partition_log_configure(fixture.log, &settings);
    int64_t second = fixture.log->segments[1]->base_offset, end = partition_log_end_offset(fixture.log);
    struct log_range range;
    uint8_t before[4096], after[4096];
    assert_int_equal(partition_log_read(fixture.log, 0, sizeof(before), end, true, &range), KAFKA_NONE);
    assert_in_range(range.length, 1, sizeof(before));
    assert_int_equal(log_range_read(&range, before), 0);
    assert_true(is_there(&fixture, second, ".snapshot"));
    assert_int_equal(retain_all(&fixture), 0);
    static const char *const suffixes[] = {".log", ".index", ".timeindex"};
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        char deleted[32];
        snprintf(deleted, sizeof(deleted), "%s.deleted", suffixes[i]);
        assert_false(is_there(&fixture, second, suffixes[i]));
        assert_true(is_there(&fixture, second, deleted));
    }
    assert_false(is_there(&fixture, second, ".snapshot"));
    assert_true(is_there(&fixture, second, ".snapshot.deleted"));
    assert_null(partition_log_take_garbage(fixture.log, 50, false));
    assert_null(partition_log_take_garbage(fixture.log, 1049, false));
    assert_true(is_there(&fixture, 0, ".log.deleted"));
    assert_int_equal(remove_garbage(&fixture, 1050), 0);
    assert_false(is_there(&fixture, 0, ".log.deleted"));
    assert_false(is_there(&fixture, second, ".log.deleted"));
    assert_false(is_there(&fixture, second, ".snapshot.deleted"));
    assert_null(partition_log_take_garbage(fixture.log, 1050, true));
    assert_int_equal(log_range_read(&range, after), 0);
    assert_memory_equal(before, after, (size_t)range.length);
    log_range_release(&range);
    log_fixture_release(&fixture);
}

static void what_was_left_goes_with_the_next_opening(void **state)
{
    (void)state;
    struct log_fixture fixture;
    open_with_segments(&fixture, 8, 4);
    struct log_settings settings = *partition_log_settings(fixture.log);
    settings.retention_bytes = 0;
    partition_log_configure(fixture.log, &settings);
    assert_int_equal(retain_all(&fixture), 0);
    int64_t end = partition_log_end_offset(fixture.log);
    assert_true(is_there(&fixture, 0, ".log.deleted"));
    log_fixture_crash(&fixture, MEMORY_FILES_PROCESS_CRASH);
    assert_false(is_there(&fixture, 0, ".log.deleted"));
    assert_int_equal(partition_log_end_offset(fixture.log), end);
    assert_int_equal(partition_log_start_offset(fixture.log), end);
    log_fixture_release(&fixture);
}

/* A truncation lets go of files in the same way; the same names come again meanwhile. */
static void cut_segments_are_garbage_too(void **state)
{
    (void)state;
    struct log_fixture fixture;
    open_with_segments(&fixture, 9, 6);
    int64_t third = fixture.log->segments[3]->base_offset;
    for (int round = 0; round < 2; round++) {
        assert_int_equal(log_fixture_truncate(&fixture, third), KAFKA_NONE);
        while (fixture.log->segments_count < 6)
            assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    }
    assert_int_equal(remove_garbage(&fixture, 0), 0);
    assert_int_equal(remove_garbage(&fixture, INT64_MAX), 0);
    log_fixture_check(&fixture);
    log_fixture_check_derived(&fixture);
    log_fixture_release(&fixture);
}

/* A disk without room for anything, new names included. */
static void a_full_disk_can_delete(void **state)
{
    (void)state;
    struct log_fixture fixture;
    open_with_segments(&fixture, 10, 6);
    assert_int_equal(partition_log_flush(fixture.log), 0);
    struct log_settings settings = *partition_log_settings(fixture.log);
    settings.retention_bytes = 0;
    partition_log_configure(fixture.log, &settings);
    const struct memory_files_fault full = {.operations = MEMORY_FILES_BIT(MEMORY_FILES_WRITE) |
                                                          MEMORY_FILES_BIT(MEMORY_FILES_RENAME) |
                                                          MEMORY_FILES_BIT(MEMORY_FILES_OPEN),
                                            .error = -ENOSPC,
                                            .short_bytes = -1,
                                            .repeat = true};
    memory_files_set_fault(fixture.disk, &full);
    int64_t last = fixture.log->segments[5]->base_offset;
    assert_int_equal(retain_all(&fixture), 0);
    memory_files_set_fault(fixture.disk, NULL);
    assert_int_equal(first_base(&fixture), last);
    assert_false(is_there(&fixture, 0, ".log"));
    assert_false(is_there(&fixture, 0, ".log.deleted"));
    assert_int_equal(partition_log_failure(fixture.log), 0);
    assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    log_fixture_check(&fixture);
    log_fixture_release(&fixture);
}

/* With its .log a segment is gone: an index that stays is no reason to keep it in the list. */
static void an_index_that_stays_keeps_no_segment(void **state)
{
    (void)state;
    static const struct {
        const char *suffix;
        int error, failure;
    } cases[] = {{".index", -EBUSY, 0},
                 {".timeindex", -EBUSY, 0},
                 {".index", -EIO, -EIO},
                 {".txnindex", -EBUSY, -EBUSY}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct log_fixture fixture;
        open_with_segments(&fixture, 12, 4);
        assert_int_equal(partition_log_flush(fixture.log), 0);
        struct log_settings settings = *partition_log_settings(fixture.log);
        settings.retention_bytes = 0;
        partition_log_configure(fixture.log, &settings);
        const struct memory_files_fault fault = {.operations = MEMORY_FILES_BIT(MEMORY_FILES_RENAME) |
                                                               MEMORY_FILES_BIT(MEMORY_FILES_REMOVE),
                                                 .error = cases[i].error,
                                                 .short_bytes = -1,
                                                 .repeat = true,
                                                 .path_part = cases[i].suffix};
        memory_files_set_fault(fixture.disk, &fault);
        int64_t last = fixture.log->segments[3]->base_offset;
        bool flush_first;
        assert_int_equal(partition_log_retain(fixture.log, partition_log_end_offset(fixture.log),
                                              fixture.now_ms, &flush_first),
                         0);
        memory_files_set_fault(fixture.disk, NULL);
        assert_int_equal(first_base(&fixture), last);
        assert_false(is_there(&fixture, 0, ".log"));
        assert_int_equal(partition_log_failure(fixture.log), cases[i].failure);
        fixture.checkpointed_recovery_point = last;
        log_fixture_crash(&fixture, MEMORY_FILES_PROCESS_CRASH);
        assert_false(is_there(&fixture, 0, ".index"));
        assert_int_equal(first_base(&fixture), last);
        log_fixture_release(&fixture);
    }
}

/* The epochs' checkpoint may know of a higher log start than that of the log starts. */
static void i4_epochs_come_back_with_the_log_start(void **state)
{
    (void)state;
    for (int emptied = 0; emptied < 2; emptied++) {
        struct log_fixture fixture;
        log_fixture_init(&fixture, 11);
        assert_int_equal(log_fixture_open(&fixture, true), 0);
        for (int i = 0; i < 40; i++) {
            fixture.leader_epoch += prng_one_in(&fixture.prng, 6);
            assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
        }
        assert_int_equal(partition_log_flush(fixture.log), 0);
        fixture.checkpointed_recovery_point = partition_log_recovery_point(fixture.log);
        int64_t end = partition_log_end_offset(fixture.log);
        assert_int_equal(partition_log_advance_start(fixture.log, emptied ? end : end / 2), KAFKA_NONE);
        assert_int_equal(partition_log_flush(fixture.log), 0);
        log_fixture_crash(&fixture, MEMORY_FILES_PROCESS_CRASH);
        assert_int_equal(partition_log_start_offset(fixture.log), 0);
        log_fixture_check(&fixture);
        log_fixture_check_derived(&fixture);
        log_fixture_release(&fixture);
    }
}

/* ---- stopped on the way ---- */

struct workload {
    struct log_fixture fixture;
    int64_t durable_end; /* flushed before the crash */
    int64_t start_max;   /* no log start was ever asked to be higher */
    int64_t clock_ms;
};

static bool flush(struct workload *workload)
{
    struct log_fixture *fixture = &workload->fixture;
    if (partition_log_flush(fixture->log))
        return false;
    workload->durable_end = partition_log_end_offset(fixture->log);
    if (prng_one_in(&fixture->prng, 3)) {
        fixture->checkpointed_recovery_point = partition_log_recovery_point(fixture->log);
        fixture->options.log_start_offset = partition_log_start_offset(fixture->log);
    }
    return true;
}

static bool retain_some(struct workload *workload)
{
    struct log_fixture *fixture = &workload->fixture;
    struct log_settings settings = *partition_log_settings(fixture->log);
    settings.retention_bytes = prng_one_in(&fixture->prng, 3) ? 0 : 9000;
    partition_log_configure(fixture->log, &settings);
    int64_t end = partition_log_end_offset(fixture->log);
    workload->start_max = max_i64(workload->start_max, end);
    bool flush_first;
    if (partition_log_retain(fixture->log, end, fixture->now_ms, &flush_first))
        return false;
    return !flush_first ||
           (flush(workload) && !partition_log_retain(fixture->log, end, fixture->now_ms, &flush_first));
}

static bool step(struct workload *workload)
{
    struct log_fixture *fixture = &workload->fixture;
    int64_t start = partition_log_start_offset(fixture->log), end = partition_log_end_offset(fixture->log);
    switch (prng_below(&fixture->prng, 16)) {
    case 0:
    case 1:
        return retain_some(workload);
    case 2:
        return flush(workload);
    case 3:
        workload->clock_ms += 30000;
        return remove_garbage(fixture, workload->clock_ms) == 0;
    case 4:
        start = prng_between(&fixture->prng, start, end);
        workload->start_max = max_i64(workload->start_max, start);
        return partition_log_advance_start(fixture->log, start) == KAFKA_NONE;
    default:
        return log_fixture_append(fixture) == KAFKA_NONE;
    }
}

/* The log is what was written, from its start to its end, and nothing else. */
static void check_content(struct workload *workload, enum memory_files_crash crash)
{
    struct log_fixture *fixture = &workload->fixture;
    struct buffer expected, actual;
    buffer_init(&expected);
    buffer_init(&actual);
    int64_t start = partition_log_start_offset(fixture->log), end = partition_log_end_offset(fixture->log);
    assert_true(end >= workload->durable_end);
    assert_true(start <= max_i64(workload->start_max, end));
    for (size_t i = 0; i < fixture->batches_count; i++)
        if (fixture->batches[i].last_offset >= start)
            buffer_append(&expected, fixture->batches[i].bytes.data, fixture->batches[i].bytes.length);
    size_t whole = expected.length;
    buffer_append(&expected, fixture->in_flight.data, fixture->in_flight.length);
    log_fixture_read_all(fixture, &actual);
    assert_true(actual.length <= expected.length);
    assert_true(actual.length == 0 || memcmp(actual.data, expected.data, actual.length) == 0);
    if (crash == MEMORY_FILES_PROCESS_CRASH)
        assert_true(actual.length >= whole);
    log_fixture_model_from(fixture, buffer_slice(&actual));
    buffer_release(&expected);
    buffer_release(&actual);
}

/* False when the workload ended before the stop. */
static bool crash_at(uint64_t seed, uint64_t after, enum memory_files_crash crash, int steps)
{
    struct workload workload = {0};
    struct log_fixture *fixture = &workload.fixture;
    log_fixture_init(fixture, seed);
    fixture->options.settings.segment_bytes = 1500;
    fixture->options.settings.retention_ms = -1;
    memory_files_stop_after(fixture->disk, after);
    if (log_fixture_open(fixture, false) == 0)
        for (int i = 0; i < steps && step(&workload); i++)
            continue;
    bool stopped = memory_files_is_stopped(fixture->disk);
    log_fixture_crash(fixture, crash);
    check_content(&workload, crash);
    log_fixture_check_second_start(fixture);
    int64_t end = partition_log_end_offset(fixture->log);
    buffer_clear(&fixture->in_flight);
    for (int i = 0; i < 5; i++)
        assert_int_equal(log_fixture_append(fixture), KAFKA_NONE);
    assert_int_equal(retain_all(fixture), 0);
    assert_true(partition_log_end_offset(fixture->log) > end);
    log_fixture_check(fixture);
    log_fixture_release(fixture);
    return stopped;
}

static void crash_everywhere(enum memory_files_crash crash)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        uint64_t after = 0;
        while (crash_at(seed, after, crash, 70))
            after++;
        assert_true(after > 100);
    }
}

static void a_crash_of_the_process_leaves_a_log_without_a_hole(void **state)
{
    (void)state;
    crash_everywhere(MEMORY_FILES_PROCESS_CRASH);
}

static void a_power_cut_leaves_a_log_without_a_hole(void **state)
{
    (void)state;
    crash_everywhere(MEMORY_FILES_POWER_CUT);
}

/* After a restart nothing is known of the times of many old segments. */
static void many_old_segments_go_in_short_steps(void **state)
{
    (void)state;
    struct log_fixture fixture;
    open_with_segments(&fixture, 21, 150);
    log_fixture_stop(&fixture);
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    size_t before = fixture.log->segments_count, steps = 0;
    struct log_settings settings = *partition_log_settings(fixture.log);
    settings.retention_ms = DAY_MS;
    partition_log_configure(fixture.log, &settings);
    fixture.now_ms += 30 * DAY_MS;
    bool again = true;
    while (again) {
        size_t count = fixture.log->segments_count;
        uint64_t reads = memory_files_operations(fixture.disk, MEMORY_FILES_BIT(MEMORY_FILES_OPEN));
        assert_int_equal(
            partition_log_retain(fixture.log, partition_log_end_offset(fixture.log), fixture.now_ms, &again),
            0);
        /* The segment, and its indexes. */
        assert_true(memory_files_operations(fixture.disk, MEMORY_FILES_BIT(MEMORY_FILES_OPEN)) - reads <=
                    64 * 3 + 4);
        assert_true(count - fixture.log->segments_count <= 64);
        assert_true(++steps < 10);
        if (again)
            assert_int_equal(partition_log_flush(fixture.log), 0);
    }
    assert_true(before >= 150 && steps >= 3);
    assert_int_equal(fixture.log->segments_count, 1);
    log_fixture_check(&fixture);
    log_fixture_release(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_log_shrinks_to_the_size_that_is_kept),
        cmocka_unit_test(old_segments_go_and_the_offsets_go_on),
        cmocka_unit_test(a_log_that_was_opened_again_knows_its_times),
        cmocka_unit_test(without_timestamps_the_file_tells),
        cmocka_unit_test(i9_nothing_goes_above_the_high_watermark_or_before_a_flush),
        cmocka_unit_test(a_compacted_log_loses_what_is_below_its_start),
        cmocka_unit_test(deleted_files_live_for_a_while),
        cmocka_unit_test(what_was_left_goes_with_the_next_opening),
        cmocka_unit_test(cut_segments_are_garbage_too),
        cmocka_unit_test(a_full_disk_can_delete),
        cmocka_unit_test(an_index_that_stays_keeps_no_segment),
        cmocka_unit_test(many_old_segments_go_in_short_steps),
        cmocka_unit_test(i4_epochs_come_back_with_the_log_start),
        cmocka_unit_test(a_crash_of_the_process_leaves_a_log_without_a_hole),
        cmocka_unit_test(a_power_cut_leaves_a_log_without_a_hole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
