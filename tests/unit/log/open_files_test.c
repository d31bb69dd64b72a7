/* SPDX-License-Identifier: Apache-2.0 */
/* Many logs, few descriptors: files that nobody uses are closed and opened again on demand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "broker/log/open_files.h"
#include "broker/log/partition_log_private.h"
#include "proto/kafka/error.h"
#include "tests/unit/log/log_fixture.h"

#define LIMIT 12

static void the_time_that_files_may_idle_shrinks(void **state)
{
    (void)state;
    struct open_files *files = open_files_new(100);
    assert_true(open_files_tick(files, 5) == OPEN_FILES_KEEP);
    open_files_add(files, 49);
    assert_true(open_files_tick(files, 6) == OPEN_FILES_KEEP);
    int64_t before = OPEN_FILES_KEEP;
    for (int i = 50; i <= 100; i += 25) {
        open_files_add(files, i - (int)open_files_count(files));
        int64_t idle_ms = open_files_tick(files, i);
        assert_true(idle_ms < before);
        before = idle_ms;
    }
    assert_int_equal(before, 0);
    assert_true(open_files_is_pressed(files));
    assert_int_equal(open_files_now(files), 100);
    assert_false(open_files_is_exhausted(files));
    open_files_add(files, 50);
    assert_true(open_files_is_exhausted(files));
    open_files_release(files);
    assert_true(open_files_tick(NULL, 7) == OPEN_FILES_KEEP);
}

static void fill(struct log_fixture *fixture, size_t segments)
{
    while (fixture->log->segments_count < segments)
        assert_int_equal(log_fixture_append(fixture), KAFKA_NONE);
}

static void files_are_closed_and_opened_again(void **state)
{
    (void)state;
    struct log_fixture fixture;
    struct open_files *files = open_files_new(LIMIT);
    log_fixture_init(&fixture, 3);
    fixture.options.open_files = files;
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    fill(&fixture, LIMIT + 2);
    assert_true(open_files_count(files) >= LIMIT + 2);
    assert_true(partition_log_wants_flush(fixture.log));
    /* What is not durable stays open. */
    partition_log_tick(fixture.log, 1000);
    assert_true(open_files_count(files) >= LIMIT + 2);
    struct log_range range;
    assert_int_equal(partition_log_read(fixture.log, 0, 1, INT64_MAX, true, &range), KAFKA_NONE);
    assert_int_equal(partition_log_flush(fixture.log), 0);
    partition_log_tick(fixture.log, 2000);
    /* But for the one that the range holds. */
    assert_int_equal(open_files_count(files), 1);
    assert_int_equal(memory_files_open_count(fixture.disk), 1);
    uint8_t bytes[4000];
    assert_true(range.length <= (int64_t)sizeof(bytes));
    assert_int_equal(log_range_read(&range, bytes), 0);
    log_range_release(&range);
    assert_int_equal(open_files_count(files), 1);
    log_fixture_check(&fixture);
    fill(&fixture, LIMIT + 4);
    log_fixture_check(&fixture);
    assert_int_equal(log_fixture_truncate(&fixture, partition_log_end_offset(fixture.log) / 2), KAFKA_NONE);
    log_fixture_check(&fixture);
    log_fixture_check_derived(&fixture);
    log_fixture_stop(&fixture);
    assert_int_equal(open_files_count(files), 0);
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    assert_int_equal(open_files_count(files), 0);
    log_fixture_check(&fixture);
    assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    log_fixture_check(&fixture);
    log_fixture_release(&fixture);
    open_files_release(files);
}

/* Everything that a log does, with its files closed before each step. */
static void nothing_needs_an_open_file(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct log_fixture fixture;
        struct open_files *files = open_files_new(0);
        log_fixture_init(&fixture, seed);
        fixture.options.open_files = files;
        assert_int_equal(log_fixture_open(&fixture, true), 0);
        for (int i = 0; i < 150; i++) {
            if (prng_one_in(&fixture.prng, 2))
                assert_int_equal(partition_log_flush(fixture.log), 0);
            partition_log_close_idle(fixture.log, 0);
            partition_log_forget_indexes(fixture.log, 0);
            if (prng_one_in(&fixture.prng, 12))
                assert_int_equal(
                    log_fixture_truncate(&fixture, max_i64(0, partition_log_end_offset(fixture.log) - 9)),
                    KAFKA_NONE);
            else
                assert_int_equal(prng_one_in(&fixture.prng, 3) ? log_fixture_append_idempotent(&fixture)
                                                               : log_fixture_append(&fixture),
                                 KAFKA_NONE);
            fixture.next_producer_id++;
            fixture.next_sequence = 0;
            partition_log_close_idle(fixture.log, 0);
            struct log_timestamp_offset found;
            assert_int_equal(
                partition_log_find_timestamp(fixture.log, fixture.now_ms - 100, INT64_MAX, &found),
                KAFKA_NONE);
            if (i % 10 == 0)
                log_fixture_check(&fixture);
        }
        log_fixture_check(&fixture);
        log_fixture_check_derived(&fixture);
        log_fixture_release(&fixture);
        assert_int_equal(open_files_count(files), 0);
        open_files_release(files);
    }
}

static size_t index_bytes(const struct partition_log *log)
{
    size_t bytes = 0;
    for (size_t i = 0; i + 1 < log->segments_count; i++)
        bytes +=
            log->segments[i]->offsets.file.entries.capacity + log->segments[i]->times.file.entries.capacity;
    return bytes;
}

static int64_t largest_timestamp(const struct segment *segment)
{
    return segment->times_loaded      ? segment->max_timestamp
           : segment->timestamp_found ? segment->found_timestamp
                                      : -1;
}

/* What was written, and what was read since, costs no memory for ever; few files are open all the while. */
static void indexes_that_nobody_uses_cost_no_memory(void **state)
{
    (void)state;
    struct log_fixture fixture;
    struct open_files *files = open_files_new(10000);
    log_fixture_init(&fixture, 7);
    fixture.options.open_files = files;
    fixture.options.settings.index_interval_bytes = 1;
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    fill(&fixture, 20);
    partition_log_tick(fixture.log, 1000);
    size_t held = index_bytes(fixture.log);
    assert_true(held > 0);
    int64_t timestamps[20];
    for (size_t i = 0; i < 20; i++)
        timestamps[i] = largest_timestamp(fixture.log->segments[i]);
    /* Not while a crash would make them anew, nor while they are in use. */
    partition_log_tick(fixture.log, 200000);
    assert_true(index_bytes(fixture.log) == held);
    assert_int_equal(partition_log_flush(fixture.log), 0);
    struct log_range range;
    assert_int_equal(partition_log_read(fixture.log, 0, 1, INT64_MAX, true, &range), KAFKA_NONE);
    partition_log_tick(fixture.log, 300000);
    assert_true(index_bytes(fixture.log) > 0 && index_bytes(fixture.log) < held);
    log_range_release(&range);
    partition_log_tick(fixture.log, 400000);
    assert_int_equal(index_bytes(fixture.log), 0);
    for (size_t i = 0; i + 1 < 20; i++) {
        assert_false(fixture.log->segments[i]->offsets_loaded || fixture.log->segments[i]->times_loaded);
        assert_int_equal(largest_timestamp(fixture.log->segments[i]), timestamps[i]);
    }
    assert_true(partition_log_active(fixture.log)->offsets_loaded);
    /* Random reads bring back what they need, and it goes again. */
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 40; i++) {
            int64_t offset =
                (int64_t)prng_below(&fixture.prng, (uint64_t)partition_log_end_offset(fixture.log));
            assert_int_equal(partition_log_read(fixture.log, offset, 500, INT64_MAX, true, &range),
                             KAFKA_NONE);
            assert_true(range.length > 0);
            log_range_release(&range);
            if (prng_one_in(&fixture.prng, 5))
                partition_log_forget_indexes(fixture.log, 0);
        }
        log_fixture_check(&fixture);
        assert_true(index_bytes(fixture.log) > 0);
        partition_log_tick(fixture.log, 500000 + round * 100000);
        partition_log_tick(fixture.log, 580000 + round * 100000);
        assert_int_equal(index_bytes(fixture.log), 0);
    }
    log_fixture_check_derived(&fixture);
    log_fixture_release(&fixture);
    open_files_release(files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_time_that_files_may_idle_shrinks),
        cmocka_unit_test(files_are_closed_and_opened_again),
        cmocka_unit_test(nothing_needs_an_open_file),
        cmocka_unit_test(indexes_that_nobody_uses_cost_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
