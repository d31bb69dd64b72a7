/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compaction of a log on a disk in memory: random logs against a model, with time going by; tombstones and
 * markers with their horizon; what happens between the steps; a crash at every operation.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/partition_log_private.h"
#include "common/memory.h"
#include "proto/kafka/error.h"
#include "tests/unit/log/compaction_fixture.h"

static void close_and_open(struct compaction_fixture *fixture, bool clean)
{
    if (clean)
        log_fixture_stop(&fixture->log);
    else
        log_fixture_drop(&fixture->log);
    assert_int_equal(log_fixture_open(&fixture->log, clean), 0);
    fixture->log.checkpointed_recovery_point = partition_log_recovery_point(fixture->log.log);
}

/* ---- random logs ---- */

static void test_i10_random_logs(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 25; seed++) {
        print_message("seed %" PRIu64 "\n", seed);
        struct compaction_fixture fixture;
        compaction_fixture_init(&fixture, seed);
        if (seed % 5 == 0)
            fixture.map_bytes = 9 * CLEAN_MAP_SLOT_BYTES; /* several passes, cut within segments */
        for (int round = 0; round < 12; round++) {
            fixture.log.leader_epoch += round % 3 == 0;
            assert_true(compaction_append_many(&fixture, 60));
            int error = compaction_clean(&fixture);
            assert_true(error == 0 || error == -EAGAIN);
            compaction_check(&fixture, true);
            fixture.log.now_ms += prng_between(&fixture.log.prng, 0, 4000);
            if (round % 4 == 3)
                close_and_open(&fixture, seed % 2 == 0);
            compaction_check(&fixture, true);
        }
        assert_true(fixture.counts.written_bytes < fixture.counts.read_bytes);
        compaction_fixture_release(&fixture);
    }
}

static void test_it_gets_small(void **state)
{
    (void)state;
    struct compaction_fixture fixture;
    compaction_fixture_init(&fixture, 31);
    assert_true(compaction_append_many(&fixture, 400));
    for (int i = 0; i < 4; i++) {
        compaction_append_record(&fixture, 0, false);
        fixture.log.now_ms += 60000;
        assert_true(compaction_append_many(&fixture, 40));
        assert_int_equal(compaction_clean(&fixture), 0);
    }
    /* What is clean is one segment for each key, a header for each producer, and a few markers. */
    assert_true(fixture.log.log->segments_count <= 6);
    assert_true(partition_log_size_bytes(fixture.log.log) < 12000);
    compaction_check(&fixture, true);
    compaction_fixture_release(&fixture);
}

/* ---- tombstones ---- */

/* Offsets that are in the log, as a text. */
static void list_offsets(struct compaction_fixture *fixture, int64_t below, struct buffer *out)
{
    struct buffer bytes;
    buffer_init(&bytes);
    buffer_clear(out);
    compaction_read(fixture, &bytes);
    for (size_t at = 0; at < bytes.length;) {
        struct record_batch batch;
        assert_int_equal(record_batch_parse(slice_make(bytes.data + at, bytes.length - at), &batch), 0);
        if (batch.base_offset < below)
            buffer_print(out, "%" PRId64 "%s ", batch.base_offset, batch.has_delete_horizon ? "h" : "");
        at += batch.size_bytes;
    }
    buffer_release(&bytes);
}

/* Fills the active segment with keys of its own until it rolls. */
static void roll(struct compaction_fixture *fixture)
{
    size_t count = fixture->log.log->segments_count;
    for (int key = 10; fixture->log.log->segments_count == count; key++)
        compaction_append_record(fixture, 10 + key % 10, false);
}

static void test_i10_tombstones_go_after_their_horizon(void **state)
{
    (void)state;
    struct compaction_fixture fixture;
    struct buffer offsets;
    buffer_init(&offsets);
    compaction_fixture_init(&fixture, 7);
    fixture.one_codec = true;
    compaction_append_record(&fixture, 1, false); /* 0 */
    compaction_append_record(&fixture, 2, false); /* 1 */
    compaction_append_record(&fixture, 1, true);  /* 2 */
    compaction_append_record(&fixture, 3, true);  /* 3 */
    roll(&fixture);
    assert_int_equal(compaction_clean(&fixture), 0);
    list_offsets(&fixture, 4, &offsets);
    assert_string_equal(buffer_string(&offsets), "1 2h 3h ");
    fixture.log.now_ms += 4000;
    roll(&fixture);
    assert_int_equal(compaction_clean(&fixture), 0);
    list_offsets(&fixture, 4, &offsets);
    assert_string_equal(buffer_string(&offsets), "1 2h 3h ");
    fixture.log.now_ms += 4000;
    roll(&fixture);
    assert_int_equal(compaction_clean(&fixture), 0);
    list_offsets(&fixture, 4, &offsets);
    assert_string_equal(buffer_string(&offsets), "1 ");
    compaction_check(&fixture, true);
    buffer_release(&offsets);
    compaction_fixture_release(&fixture);
}

static void test_i10_only_what_may_be_cleaned(void **state)
{
    (void)state;
    struct compaction_fixture fixture;
    compaction_fixture_init(&fixture, 8);
    struct clean_plan plan;
    for (int i = 0; i < 4; i++)
        roll(&fixture);
    struct partition_log *log = fixture.log.log;
    int64_t end = partition_log_end_offset(log), now_ms = fixture.log.now_ms;
    /* Nothing was flushed. */
    assert_int_equal(partition_log_clean_plan(log, end, now_ms, &plan), 0);
    assert_int_equal(plan.segments_count, 0);
    assert_false(plan.due);
    assert_int_equal(partition_log_flush(log), 0);
    assert_int_equal(partition_log_clean_plan(log, end, now_ms, &plan), 0);
    assert_int_equal(plan.first_uncleanable_offset, partition_log_active(log)->base_offset);
    assert_true(plan.due);
    /* Not replicated. */
    assert_int_equal(partition_log_clean_plan(log, log->segments[2]->base_offset + 1, now_ms, &plan), 0);
    assert_int_equal(plan.first_uncleanable_offset, log->segments[2]->base_offset);
    /* Too young. */
    log->settings.min_compaction_lag_ms = 1000000;
    assert_int_equal(partition_log_clean_plan(log, end, now_ms, &plan), 0);
    assert_int_equal(plan.segments_count, 0);
    log->settings.min_compaction_lag_ms = 0;
    /* Waited for too long, however little it is. */
    log->settings.min_cleanable_dirty_ratio = 1;
    assert_int_equal(partition_log_clean_plan(log, end, now_ms, &plan), 0);
    assert_false(plan.due);
    log->settings.max_compaction_lag_ms = 5000;
    assert_int_equal(partition_log_clean_plan(log, end, now_ms + 100000, &plan), 0);
    assert_true(plan.due);
    assert_true(plan.delay_ms > 0);
    compaction_fixture_release(&fixture);
}

/* To choose among many logs again and again costs no reading, and their indexes no memory; and what a
 * cleaning asks about files grows with the segments, not with their square. */
static void test_choosing_is_cheap(void **state)
{
    (void)state;
    struct compaction_fixture fixture;
    struct clean_plan plan;
    compaction_fixture_init(&fixture, 9);
    while (fixture.log.log->segments_count < 60)
        assert_true(compaction_append_many(&fixture, 5));
    close_and_open(&fixture, true);
    struct partition_log *log = fixture.log.log;
    const uint32_t reads = MEMORY_FILES_BIT(MEMORY_FILES_READ),
                   questions = MEMORY_FILES_BIT(MEMORY_FILES_STATUS);
    int64_t end = partition_log_end_offset(log), now_ms = fixture.log.now_ms;
    log->settings.min_compaction_lag_ms = 1;
    log->settings.max_compaction_lag_ms = 100000;
    assert_int_equal(partition_log_clean_plan(log, end, now_ms + 1000, &plan), 0);
    assert_true(plan.due);
    for (size_t i = 0; i + 1 < log->segments_count; i++)
        assert_false(log->segments[i]->times_loaded);
    uint64_t before = memory_files_operations(fixture.log.disk, reads);
    assert_int_equal(partition_log_clean_plan(log, end, now_ms + 1000, &plan), 0);
    assert_true(plan.due);
    assert_int_equal(memory_files_operations(fixture.log.disk, reads), before);

    size_t segments = log->segments_count;
    log->settings.min_compaction_lag_ms = 0;
    before = memory_files_operations(fixture.log.disk, questions);
    assert_int_equal(compaction_clean(&fixture), 0);
    assert_true(memory_files_operations(fixture.log.disk, questions) - before < 8 * segments);
    compaction_check(&fixture, true);
    compaction_fixture_release(&fixture);
}

/* ---- others, between the steps ---- */

static void truncate_meanwhile(struct compaction_fixture *fixture, int step)
{
    if (step == 3)
        compaction_truncate(fixture, partition_log_end_offset(fixture->log.log) - 20);
    else
        assert_true(compaction_append_many(fixture, 3));
}

static void delete_meanwhile(struct compaction_fixture *fixture, int step)
{
    struct partition_log *log = fixture->log.log;
    if (step != 3)
        return;
    assert_int_equal(partition_log_advance_start(log, log->segments[1]->base_offset), KAFKA_NONE);
    if (log->segments[0]->base_offset == 0)
        assert_int_equal(partition_log_remove_segments(log, 0, 1), 0);
}

static void append_meanwhile(struct compaction_fixture *fixture, int step)
{
    (void)step;
    assert_true(compaction_append_many(fixture, 9));
    assert_int_equal(partition_log_flush(fixture->log.log), 0);
}

static void empty_meanwhile(struct compaction_fixture *fixture, int step)
{
    if (step != 3)
        return;
    assert_int_equal(partition_log_truncate_fully(fixture->log.log, 0, fixture->log.now_ms), KAFKA_NONE);
    fixture->count = 0;
    for (size_t i = 0; i < COMPACTION_PRODUCERS; i++)
        fixture->producers[i] = (struct compaction_producer){.last_data_offset = -1};
    assert_true(compaction_append_many(fixture, 80));
}

/* No file is left that was made on the way. */
static void check_no_leftovers(struct compaction_fixture *fixture)
{
    struct buffer dump;
    buffer_init(&dump);
    log_fixture_dump(&fixture->log, &dump);
    assert_null(memmem(dump.data, dump.length, ".cleaned", strlen(".cleaned")));
    assert_null(memmem(dump.data, dump.length, ".swap", strlen(".swap")));
    buffer_release(&dump);
}

static void meanwhile(void (*between)(struct compaction_fixture *fixture, int step), int expected,
                      uint64_t seed)
{
    struct compaction_fixture fixture;
    compaction_fixture_init(&fixture, seed);
    assert_true(compaction_append_many(&fixture, 150));
    fixture.between = between;
    int64_t first_dirty = partition_log_first_dirty_offset(fixture.log.log);
    int error = compaction_clean(&fixture);
    assert_int_equal(error, expected);
    fixture.between = NULL;
    check_no_leftovers(&fixture);
    if (error)
        assert_true(partition_log_first_dirty_offset(fixture.log.log) <= first_dirty);
    for (size_t i = 0; i < COMPACTION_PRODUCERS && error; i++)
        fixture.producers[i].last_data_offset = -1; /* cut away, perhaps */
    compaction_check(&fixture, error == 0);
    close_and_open(&fixture, false);
    compaction_check(&fixture, error == 0);
    compaction_fixture_release(&fixture);
}

static void test_i10_truncation_meanwhile(void **state)
{
    (void)state;
    meanwhile(truncate_meanwhile, -ECANCELED, 41);
}

static void test_an_emptied_log_meanwhile(void **state)
{
    (void)state;
    meanwhile(empty_meanwhile, -ECANCELED, 42);
}

static void test_appends_meanwhile(void **state)
{
    (void)state;
    meanwhile(append_meanwhile, 0, 43);
}

static void test_deleted_records_meanwhile(void **state)
{
    (void)state;
    struct compaction_fixture fixture;
    compaction_fixture_init(&fixture, 44);
    assert_true(compaction_append_many(&fixture, 150));
    fixture.between = delete_meanwhile;
    assert_int_equal(compaction_clean(&fixture), 0);
    fixture.between = NULL;
    check_no_leftovers(&fixture);
    compaction_check(&fixture, true);
    compaction_fixture_release(&fixture);
}

/* A reader that holds a piece of a segment reads on from it. */
static void test_a_reader_keeps_its_segment(void **state)
{
    (void)state;
    struct compaction_fixture fixture;
    compaction_fixture_init(&fixture, 45);
    assert_true(compaction_append_many(&fixture, 150));
    struct log_range range;
    assert_int_equal(partition_log_read(fixture.log.log, 0, 1000, INT64_MAX, true, &range), KAFKA_NONE);
    assert_true(range.length > 0);
    assert_int_equal(compaction_clean(&fixture), 0);
    uint8_t *bytes = memory_allocate((size_t)range.length);
    struct record_batch batch;
    assert_int_equal(log_range_read(&range, bytes), 0);
    assert_int_equal(record_batch_parse(slice_make(bytes, (size_t)range.length), &batch), 0);
    assert_int_equal(batch.base_offset, 0);
    assert_true(record_batch_check_crc(&batch));
    free(bytes);
    log_range_release(&range);
    compaction_fixture_release(&fixture);
}

static void test_damage_is_said(void **state)
{
    (void)state;
    static const char path[] = FIXTURE_DIRECTORY "/00000000000000000000.log";
    for (int64_t at = 0; at < 450; at++) {
        if (at >= RECORD_BATCH_LEADER_EPOCH_AT && at < RECORD_BATCH_MAGIC_AT)
            continue; /* nobody can tell */
        struct compaction_fixture fixture;
        compaction_fixture_init(&fixture, 46);
        fixture.one_codec = true;
        assert_true(compaction_append_many(&fixture, 60));
        assert_int_equal(memory_files_flip(fixture.log.disk, path, at, (uint8_t)(1u << (at % 8))), 0);
        int error = compaction_clean(&fixture);
        if (error != -EBADMSG) { /* the leader epoch of another batch */
            assert_int_equal(error, 0);
            compaction_check(&fixture, true);
        }
        assert_int_equal(partition_log_failure(fixture.log.log), 0);
        check_no_leftovers(&fixture);
        compaction_fixture_release(&fixture);
    }
}

static void test_a_map_without_room(void **state)
{
    (void)state;
    struct compaction_fixture fixture;
    compaction_fixture_init(&fixture, 47);
    fixture.map_bytes = CLEAN_MAP_SLOT_BYTES;
    assert_true(compaction_append_many(&fixture, 150));
    assert_int_equal(compaction_clean(&fixture), -ENOBUFS);
    compaction_fixture_release(&fixture);
}

/* ---- crashes ---- */

/* A log that was cleaned once and has more that is dirty. */
static void prepare(struct compaction_fixture *fixture, uint64_t seed)
{
    compaction_fixture_init(fixture, seed);
    assert_true(compaction_append_many(fixture, 90));
    assert_int_equal(compaction_clean(fixture), 0);
    fixture->log.now_ms += 6000;
    assert_true(compaction_append_many(fixture, 90));
    assert_int_equal(partition_log_flush(fixture->log.log), 0);
}

static bool crash_at(uint64_t seed, uint64_t operation, enum memory_files_crash crash)
{
    struct compaction_fixture fixture;
    prepare(&fixture, seed);
    memory_files_stop_after(fixture.log.disk, operation);
    int error = compaction_clean(&fixture);
    bool stopped = memory_files_is_stopped(fixture.log.disk);
    assert_true(stopped || error == 0);
    log_fixture_crash(&fixture.log, crash);
    fixture.log.checkpointed_recovery_point = partition_log_recovery_point(fixture.log.log);
    compaction_check(&fixture, false);
    check_no_leftovers(&fixture);
    struct buffer first, second;
    buffer_init(&first);
    buffer_init(&second);
    log_fixture_dump(&fixture.log, &first);
    log_fixture_crash(&fixture.log, crash);
    log_fixture_dump(&fixture.log, &second);
    assert_true(slice_equals(buffer_slice(&first), buffer_slice(&second)));
    assert_true(compaction_append_many(&fixture, 20));
    error = compaction_clean(&fixture);
    assert_true(error == 0 || error == -EAGAIN);
    compaction_check(&fixture, true);
    buffer_release(&first);
    buffer_release(&second);
    compaction_fixture_release(&fixture);
    return stopped;
}

static void crash_everywhere(uint64_t seed, enum memory_files_crash crash)
{
    uint64_t operation = 0;
    while (crash_at(seed, operation, crash))
        operation++;
    print_message("%" PRIu64 " operations\n", operation);
    assert_true(operation > 20);
}

static void test_i10_the_process_dies_at_every_operation(void **state)
{
    (void)state;
    crash_everywhere(51, MEMORY_FILES_PROCESS_CRASH);
    crash_everywhere(52, MEMORY_FILES_PROCESS_CRASH);
}

static void test_i10_the_power_fails_at_every_operation(void **state)
{
    (void)state;
    for (uint64_t seed = 53; seed < 58; seed++)
        crash_everywhere(seed, MEMORY_FILES_POWER_CUT);
}

/* Dies in the cleaning, and again while that is cleared up: after `second` operations of opening. */
static bool crash_twice(uint64_t seed, uint64_t operation, uint64_t second, enum memory_files_crash crash)
{
    struct compaction_fixture fixture;
    prepare(&fixture, seed);
    memory_files_stop_after(fixture.log.disk, operation);
    int error = compaction_clean(&fixture);
    bool stopped = memory_files_is_stopped(fixture.log.disk);
    assert_true(stopped || error == 0);
    log_fixture_drop(&fixture.log);
    memory_files_crash(fixture.log.disk, crash);
    memory_files_stop_after(fixture.log.disk, second);
    if (log_fixture_open(&fixture.log, false) != 0)
        fixture.log.log = NULL;
    log_fixture_crash(&fixture.log, crash);
    compaction_check(&fixture, false);
    check_no_leftovers(&fixture);
    compaction_fixture_release(&fixture);
    return stopped;
}

static void test_it_dies_again_while_clearing_up(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 17);
    for (uint64_t second = 0; second < 24; second++) {
        enum memory_files_crash crash = second % 2 ? MEMORY_FILES_POWER_CUT : MEMORY_FILES_PROCESS_CRASH;
        uint64_t operation = prng_below(&prng, 4);
        while (crash_twice(58, operation, second, crash))
            operation += 1 + prng_below(&prng, 6);
    }
}

/* An operation that fails costs the cleaning, or the log; never a record. */
static void test_every_operation_fails(void **state)
{
    (void)state;
    static const int errors[] = {-EIO, -ENOSPC};
    for (size_t kind = 0; kind < ARRAY_SIZE(errors); kind++) {
        bool struck = true;
        for (uint64_t operation = 0; struck; operation++) {
            struct compaction_fixture fixture;
            prepare(&fixture, 61);
            const struct memory_files_fault fault = {.operations = MEMORY_FILES_ALL_OPERATIONS,
                                                     .after = operation,
                                                     .error = errors[kind],
                                                     .short_bytes = -1};
            memory_files_set_fault(fixture.log.disk, &fault);
            int error = compaction_clean(&fixture);
            struck = memory_files_fault_count(fixture.log.disk) > 0;
            memory_files_set_fault(fixture.log.disk, NULL);
            assert_true(struck || error == 0);
            log_fixture_crash(&fixture.log, MEMORY_FILES_PROCESS_CRASH);
            compaction_check(&fixture, false);
            check_no_leftovers(&fixture);
            compaction_fixture_release(&fixture);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_i10_random_logs),
        cmocka_unit_test(test_it_gets_small),
        cmocka_unit_test(test_i10_tombstones_go_after_their_horizon),
        cmocka_unit_test(test_i10_only_what_may_be_cleaned),
        cmocka_unit_test(test_choosing_is_cheap),
        cmocka_unit_test(test_i10_truncation_meanwhile),
        cmocka_unit_test(test_an_emptied_log_meanwhile),
        cmocka_unit_test(test_appends_meanwhile),
        cmocka_unit_test(test_deleted_records_meanwhile),
        cmocka_unit_test(test_a_reader_keeps_its_segment),
        cmocka_unit_test(test_damage_is_said),
        cmocka_unit_test(test_a_map_without_room),
        cmocka_unit_test(test_i10_the_process_dies_at_every_operation),
        cmocka_unit_test(test_i10_the_power_fails_at_every_operation),
        cmocka_unit_test(test_it_dies_again_while_clearing_up),
        cmocka_unit_test(test_every_operation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
