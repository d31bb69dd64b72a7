/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log starts within a batch: DeleteRecords leaves them. Whatever is cut, refused or crashes there, the log
 * start is not above the end, and bounds that were told do not fall (I9).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/partition_log_private.h"
#include "proto/kafka/error.h"
#include "tests/unit/log/log_fixture.h"

#define BATCH_RECORDS 5

/* Appends a batch of five records from `offset` on, as a follower does. */
static int16_t follow(struct log_fixture *fixture, int64_t offset)
{
    struct batch_plan plan = batch_plan_plain(BATCH_RECORDS, fixture->now_ms + offset);
    return follow_batch(fixture->log, &fixture->prng, &plan, offset, fixture->now_ms);
}

static void assert_bounds(struct log_fixture *fixture, int64_t start_offset, int64_t end_offset)
{
    assert_int_equal(partition_log_start_offset(fixture->log), start_offset);
    assert_int_equal(partition_log_end_offset(fixture->log), end_offset);
}

/* Three batches, of which the first is deleted in part. */
static void begin_within_batch(struct log_fixture *fixture, uint64_t seed)
{
    log_fixture_init(fixture, seed);
    assert_int_equal(log_fixture_open(fixture, true), 0);
    for (int64_t i = 0; i < 3; i++)
        assert_int_equal(follow(fixture, i * BATCH_RECORDS), KAFKA_NONE);
    assert_int_equal(partition_log_advance_start(fixture->log, 3), KAFKA_NONE);
}

/* A batch is never split, and a cut in the one with the log start leaves nothing: the log begins anew at its
 * start, and the batch comes again from the leader. */
static void i9_a_cut_within_the_batch_of_the_start(void **state)
{
    (void)state;
    struct log_fixture fixture;
    begin_within_batch(&fixture, 51);
    assert_int_equal(partition_log_truncate(fixture.log, 7, fixture.now_ms), KAFKA_NONE);
    assert_bounds(&fixture, 3, BATCH_RECORDS);
    assert_int_equal(partition_log_truncate(fixture.log, 4, fixture.now_ms), KAFKA_NONE);
    assert_bounds(&fixture, 3, 3);
    assert_int_equal(follow(&fixture, 0), KAFKA_NONE);
    assert_bounds(&fixture, 3, BATCH_RECORDS);
    log_fixture_release(&fixture);
}

/* The same with a crash at every operation. */
static void i9_a_crash_in_a_cut_within_the_batch_of_the_start(void **state)
{
    (void)state;
    static const enum memory_files_crash crashes[] = {MEMORY_FILES_PROCESS_CRASH, MEMORY_FILES_POWER_CUT};
    for (size_t i = 0; i < ARRAY_SIZE(crashes); i++) {
        bool stopped = true;
        for (uint64_t after = 0; stopped; after++) {
            struct log_fixture fixture;
            begin_within_batch(&fixture, 52);
            fixture.options.log_start_offset = 3;
            assert_int_equal(partition_log_flush(fixture.log), 0);
            memory_files_stop_after(fixture.disk, after);
            int16_t error = partition_log_truncate(fixture.log, 4, fixture.now_ms);
            stopped = memory_files_is_stopped(fixture.disk);
            assert_true(stopped || error == KAFKA_NONE);
            log_fixture_crash(&fixture, crashes[i]);
            int64_t end_offset = partition_log_end_offset(fixture.log);
            assert_int_equal(partition_log_start_offset(fixture.log), 3);
            assert_true(end_offset == 3 || end_offset % BATCH_RECORDS == 0);
            assert_int_equal(follow(&fixture, end_offset == 3 ? 0 : end_offset), KAFKA_NONE);
            log_fixture_release(&fixture);
        }
    }
}

/* An empty log begins below its start for the moment of an append; the disk refuses the append, and from then
 * on everything, so that it cannot be undone either. */
static void i9_bounds_stay_when_a_first_batch_is_refused(void **state)
{
    (void)state;
    static const int errors[] = {-EIO, -ENOSPC};
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
        bool struck = true;
        for (uint64_t after = 0; struck; after++) {
            struct log_fixture fixture;
            log_fixture_init(&fixture, 53);
            assert_int_equal(log_fixture_open(&fixture, true), 0);
            assert_int_equal(partition_log_truncate_fully(fixture.log, 15, fixture.now_ms), KAFKA_NONE);
            const struct memory_files_fault fault = {.operations = MEMORY_FILES_ALL_OPERATIONS,
                                                     .after = after,
                                                     .error = errors[i],
                                                     .short_bytes = -1,
                                                     .repeat = true};
            memory_files_set_fault(fixture.disk, &fault);
            int16_t error = follow(&fixture, 13);
            struck = memory_files_fault_count(fixture.disk) > 0;
            memory_files_set_fault(fixture.disk, NULL);
            assert_int_equal(partition_log_start_offset(fixture.log), 15);
            assert_true(partition_log_end_offset(fixture.log) == (error == KAFKA_NONE ? 18 : 15));
            if (!partition_log_failure(fixture.log) && error != KAFKA_NONE) {
                assert_int_equal(follow(&fixture, 13), KAFKA_NONE);
                assert_bounds(&fixture, 15, 18);
            }
            log_fixture_crash(&fixture, MEMORY_FILES_PROCESS_CRASH);
            assert_int_equal(partition_log_start_offset(fixture.log), 15);
            log_fixture_release(&fixture);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(i9_a_cut_within_the_batch_of_the_start),
        cmocka_unit_test(i9_a_crash_in_a_cut_within_the_batch_of_the_start),
        cmocka_unit_test(i9_bounds_stay_when_a_first_batch_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
