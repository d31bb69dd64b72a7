/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Followers of a compacted leader, whose offsets have gaps: a gap at a roll is no lost tail (I7), whatever
 * crashes or refuses around it; and a log that was emptied and begins lower keeps what it gets then.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/partition_log_private.h"
#include "proto/kafka/error.h"
#include "tests/unit/log/log_fixture.h"

#define BEFORE_GAP 18
#define GAP 100
#define AFTER_GAP 12
#define END (BEFORE_GAP + GAP + AFTER_GAP)

/* Appends a batch of one record at `offset`, as a follower does. */
static int16_t follow(struct log_fixture *fixture, int64_t offset)
{
    struct batch_plan plan = batch_plan_plain(1, fixture->now_ms + offset);
    plan.value_bytes = 4;
    return follow_batch(fixture->log, &fixture->prng, &plan, offset, fixture->now_ms);
}

/* Small segments, and a roll that is due exactly at the gap. */
static void fill_up_to_gap(struct log_fixture *fixture)
{
    for (int64_t i = 0; i < BEFORE_GAP; i++)
        assert_int_equal(follow(fixture, i), KAFKA_NONE);
    fixture->options.settings.segment_bytes = partition_log_size_bytes(fixture->log);
    partition_log_configure(fixture->log, &fixture->options.settings);
}

static void start(struct log_fixture *fixture, uint64_t seed)
{
    log_fixture_init(fixture, seed);
    assert_int_equal(log_fixture_open(fixture, true), 0);
    fill_up_to_gap(fixture);
}

/* Whether a record is at the offset, and not the one behind a hole. */
static bool holds(struct log_fixture *fixture, int64_t offset)
{
    struct log_range range;
    uint8_t head[8];
    int64_t end = partition_log_end_offset(fixture->log);
    assert_int_equal(partition_log_read(fixture->log, offset, 1, end, true, &range), KAFKA_NONE);
    if (range.length < (int64_t)sizeof(head)) {
        log_range_release(&range);
        return false;
    }
    range.length = sizeof(head);
    assert_int_equal(log_range_read(&range, head), 0);
    log_range_release(&range);
    int64_t base = 0;
    for (size_t i = 0; i < sizeof(head); i++)
        base = base << 8 | head[i];
    return base == offset;
}

static void a_gap_at_a_roll_survives_a_crash(void **state)
{
    (void)state;
    static const enum memory_files_crash crashes[] = {MEMORY_FILES_PROCESS_CRASH, MEMORY_FILES_POWER_CUT};
    for (size_t i = 0; i < ARRAY_SIZE(crashes); i++) {
        struct log_fixture fixture;
        start(&fixture, 31);
        for (int64_t at = BEFORE_GAP + GAP; at < END; at++)
            assert_int_equal(follow(&fixture, at), KAFKA_NONE);
        assert_int_equal(fixture.log->segments_count, 2);
        if (crashes[i] == MEMORY_FILES_POWER_CUT)
            assert_int_equal(partition_log_flush(fixture.log), 0);
        log_fixture_crash(&fixture, crashes[i]);
        assert_int_equal(partition_log_end_offset(fixture.log), END);
        for (int64_t at = 0; at < END; at++)
            assert_int_equal(holds(&fixture, at), at < BEFORE_GAP || at >= BEFORE_GAP + GAP);
        log_fixture_release(&fixture);
    }
}

/* A crash at every operation: everything that the log took before is there. */
static void a_gap_can_be_crossed_at_any_moment_of_a_crash(void **state)
{
    (void)state;
    bool stopped = true;
    for (uint64_t after = 0; stopped; after++) {
        struct log_fixture fixture;
        start(&fixture, 32);
        memory_files_stop_after(fixture.disk, after);
        int64_t taken = BEFORE_GAP + GAP;
        while (taken < END && follow(&fixture, taken) == KAFKA_NONE)
            taken++;
        stopped = memory_files_is_stopped(fixture.disk);
        log_fixture_crash(&fixture, MEMORY_FILES_PROCESS_CRASH);
        for (int64_t at = 0; at < BEFORE_GAP; at++)
            assert_true(holds(&fixture, at));
        for (int64_t at = BEFORE_GAP + GAP; at < taken; at++)
            assert_true(holds(&fixture, at));
        assert_int_equal(follow(&fixture, END + 5), KAFKA_NONE);
        log_fixture_release(&fixture);
    }
}

/* The disk is full just behind the gap; then this broker leads, and its log goes on in front of the gap. */
static void a_gap_that_could_not_be_crossed_is_forgotten(void **state)
{
    (void)state;
    static const uint32_t operations[] = {MEMORY_FILES_BIT(MEMORY_FILES_WRITE),
                                          MEMORY_FILES_BIT(MEMORY_FILES_OPEN)};
    for (size_t i = 0; i < ARRAY_SIZE(operations); i++) {
        struct log_fixture fixture;
        start(&fixture, 33);
        const struct memory_files_fault fault = {.operations = operations[i],
                                                 .error = -ENOSPC,
                                                 .short_bytes = -1,
                                                 .repeat = true,
                                                 .path_part = "0118.log"};
        memory_files_set_fault(fixture.disk, &fault);
        assert_int_equal(follow(&fixture, BEFORE_GAP + GAP), KAFKA_KAFKA_STORAGE_ERROR);
        memory_files_set_fault(fixture.disk, NULL);
        assert_int_equal(partition_log_end_offset(fixture.log), BEFORE_GAP);
        fixture.leader_epoch = 2;
        for (int j = 0; j < 5; j++) {
            struct batch_plan plan = batch_plan_plain(1, fixture.now_ms);
            assert_int_equal(log_fixture_append_plan(&fixture, &plan), KAFKA_NONE);
        }
        assert_int_equal(partition_log_flush(fixture.log), 0);
        assert_int_equal(partition_log_recovery_point(fixture.log), BEFORE_GAP + 5);
        fixture.checkpointed_recovery_point = partition_log_recovery_point(fixture.log);
        for (int64_t at = 0; at < BEFORE_GAP + 5; at++)
            assert_true(holds(&fixture, at));
        log_fixture_crash(&fixture, MEMORY_FILES_POWER_CUT);
        assert_int_equal(partition_log_end_offset(fixture.log), BEFORE_GAP + 5);
        for (int64_t at = 0; at < BEFORE_GAP + 5; at++)
            assert_true(holds(&fixture, at));
        log_fixture_release(&fixture);
    }
}

/* A folder that no checkpoint tells of: gaps in it are believed. */
static void a_gap_without_a_checkpoint_is_believed(void **state)
{
    (void)state;
    struct log_fixture fixture;
    start(&fixture, 34);
    for (int64_t at = BEFORE_GAP + GAP; at < END; at++)
        assert_int_equal(follow(&fixture, at), KAFKA_NONE);
    fixture.checkpointed_recovery_point = LOG_RECOVERY_POINT_UNKNOWN;
    log_fixture_crash(&fixture, MEMORY_FILES_PROCESS_CRASH);
    assert_int_equal(partition_log_end_offset(fixture.log), END);
    assert_int_equal(partition_log_recovery_point(fixture.log), END);
    log_fixture_release(&fixture);
}

/* A gap inside a segment, an ordinary roll, and then the segment loses whole batches at its end in a power
 * cut while the next one stays: that is no gap that anybody meant. */
static void a_lost_tail_behind_an_inner_gap_is_seen(void **state)
{
    (void)state;
    struct log_fixture fixture;
    log_fixture_init(&fixture, 36);
    fixture.options.settings.segment_bytes = 1000;
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    assert_int_equal(follow(&fixture, 0), KAFKA_NONE);
    int64_t next = 5; /* the leader has compacted 1 to 4 */
    while (fixture.log->segments_count < 2)
        assert_int_equal(follow(&fixture, next++), KAFKA_NONE);
    int64_t lost = fixture.log->segments[1]->base_offset - 2;
    struct scanned_batch batch;
    assert_int_equal(segment_find(fixture.log->segments[0], lost, 100, &batch), 1);
    struct buffer path;
    buffer_init(&path);
    buffer_print(&path, "%s", fixture.log->segments[0]->path);
    log_fixture_drop(&fixture);
    struct file *file;
    assert_int_equal(file_open(fixture.options.files, buffer_string(&path), FILE_WRITE, &file), 0);
    assert_int_equal(file_truncate(fixture.options.files, file, batch.position), 0);
    assert_int_equal(file_close(fixture.options.files, file), 0);
    buffer_release(&path);
    log_fixture_crash(&fixture, MEMORY_FILES_PROCESS_CRASH);
    assert_int_equal(fixture.log->segments_count, 1);
    assert_int_equal(partition_log_end_offset(fixture.log), lost);
    assert_int_equal(follow(&fixture, lost), KAFKA_NONE);
    assert_true(holds(&fixture, lost));
    log_fixture_release(&fixture);
}

static void a_lowered_start_survives_a_crash(void **state)
{
    (void)state;
    static const int64_t starts[] = {0, 400};
    for (size_t i = 0; i < ARRAY_SIZE(starts); i++) {
        struct log_fixture fixture;
        log_fixture_init(&fixture, 35);
        fixture.options.log_start_offset = 1000;
        fixture.checkpointed_recovery_point = 1000;
        assert_int_equal(log_fixture_open(&fixture, true), 0);
        assert_int_equal(partition_log_start_offset(fixture.log), 1000);
        assert_int_equal(partition_log_truncate_fully(fixture.log, starts[i], 0), KAFKA_NONE);
        for (int64_t at = starts[i]; at < starts[i] + 50; at++)
            assert_int_equal(follow(&fixture, at), KAFKA_NONE);
        assert_int_equal(partition_log_flush(fixture.log), 0);
        log_fixture_crash(&fixture, MEMORY_FILES_POWER_CUT);
        assert_int_equal(partition_log_start_offset(fixture.log), starts[i]);
        assert_int_equal(partition_log_end_offset(fixture.log), starts[i] + 50);
        log_fixture_release(&fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gap_at_a_roll_survives_a_crash),
        cmocka_unit_test(a_gap_can_be_crossed_at_any_moment_of_a_crash),
        cmocka_unit_test(a_gap_that_could_not_be_crossed_is_forgotten),
        cmocka_unit_test(a_gap_without_a_checkpoint_is_believed),
        cmocka_unit_test(a_lost_tail_behind_an_inner_gap_is_seen),
        cmocka_unit_test(a_lowered_start_survives_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
