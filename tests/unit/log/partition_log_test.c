/* SPDX-License-Identifier: Apache-2.0 */
/* A partition log that nothing bad happens to: append, read, roll, reopen, truncate, look up by time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/partition_log_private.h"
#include "proto/kafka/error.h"
#include "proto/records/batch.h"
#include "proto/records/record.h"
#include "tests/unit/log/log_fixture.h"

static void i2_what_is_appended_is_read_back(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct log_fixture fixture;
        log_fixture_init(&fixture, seed);
        assert_int_equal(log_fixture_open(&fixture, true), 0);
        for (int i = 0; i < 100; i++) {
            if (prng_one_in(&fixture.prng, 20))
                fixture.leader_epoch++;
            assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
        }
        assert_true(fixture.log->segments_count > 3);
        log_fixture_check(&fixture);
        log_fixture_check_derived(&fixture);
        assert_int_equal(partition_log_close(fixture.log), 0);
        fixture.checkpointed_recovery_point = partition_log_recovery_point(fixture.log);
        assert_int_equal(fixture.checkpointed_recovery_point, partition_log_end_offset(fixture.log));
        log_fixture_drop(&fixture);
        assert_int_equal(log_fixture_open(&fixture, true), 0);
        log_fixture_check(&fixture);
        log_fixture_check_derived(&fixture);
        for (int i = 0; i < 20; i++)
            assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
        log_fixture_check(&fixture);
        log_fixture_release(&fixture);
    }
}

static void a_clean_start_reads_no_segment_but_the_last(void **state)
{
    (void)state;
    struct log_fixture fixture;
    log_fixture_init(&fixture, 5);
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    for (int i = 0; i < 300; i++)
        assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    log_fixture_stop(&fixture);
    uint64_t before = memory_files_operations(fixture.disk, MEMORY_FILES_BIT(MEMORY_FILES_READ));
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    uint64_t reads = memory_files_operations(fixture.disk, MEMORY_FILES_BIT(MEMORY_FILES_READ)) - before;
    assert_true(reads < 20);
    log_fixture_check(&fixture);
    log_fixture_release(&fixture);
}

static void ranges_are_whole_batches_below_the_bound(void **state)
{
    (void)state;
    struct log_fixture fixture;
    log_fixture_init(&fixture, 6);
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    for (int i = 0; i < 150; i++)
        assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    int64_t end = partition_log_end_offset(fixture.log);
    for (int i = 0; i < 2000; i++) {
        struct log_range range;
        int64_t offset = prng_between(&fixture.prng, 0, end);
        int64_t upper = prng_between(&fixture.prng, 0, end + 5);
        int64_t max_bytes = prng_between(&fixture.prng, 0, 6000);
        bool at_least_one = prng_one_in(&fixture.prng, 2);
        assert_int_equal(partition_log_read(fixture.log, offset, max_bytes, upper, at_least_one, &range),
                         KAFKA_NONE);
        size_t first = 0;
        while (first < fixture.batches_count && fixture.batches[first].last_offset < offset)
            first++;
        if (first == fixture.batches_count || fixture.batches[first].last_offset >= upper ||
            offset >= upper) {
            assert_int_equal(range.length, 0);
            log_range_release(&range);
            continue;
        }
        int64_t first_bytes = (int64_t)fixture.batches[first].bytes.length;
        if (first_bytes > max_bytes)
            assert_int_equal(range.length, at_least_one ? first_bytes : 0);
        else
            assert_true(range.length >= first_bytes && range.length <= max_bytes);
        uint8_t *bytes = malloc((size_t)range.length + 1);
        assert_int_equal(log_range_read(&range, bytes), 0);
        size_t at = 0;
        while (at < (size_t)range.length) {
            const struct model_batch *batch = &fixture.batches[first++];
            assert_true(batch->last_offset < upper);
            size_t piece = min_size(batch->bytes.length, (size_t)range.length - at);
            assert_memory_equal(bytes + at, batch->bytes.data, piece);
            at += piece;
        }
        free(bytes);
        log_range_release(&range);
    }
    struct log_range range;
    assert_int_equal(partition_log_read(fixture.log, end + 1, 10, end, true, &range),
                     KAFKA_OFFSET_OUT_OF_RANGE);
    assert_int_equal(partition_log_read(fixture.log, -1, 10, end, true, &range), KAFKA_OFFSET_OUT_OF_RANGE);
    log_fixture_release(&fixture);
}

static void reads_at_the_end_touch_no_file(void **state)
{
    (void)state;
    struct log_fixture fixture;
    log_fixture_init(&fixture, 7);
    fixture.options.settings.segment_bytes = 1000000;
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    for (int i = 0; i < 60; i++)
        assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    uint64_t before = memory_files_operations(fixture.disk, MEMORY_FILES_ALL_OPERATIONS);
    for (size_t i = 10; i < 60; i++) {
        struct log_range range;
        assert_int_equal(partition_log_read(fixture.log, fixture.batches[i].base_offset, 100000,
                                            fixture.batches[i].last_offset + 1, true, &range),
                         KAFKA_NONE);
        assert_int_equal(range.length, (int64_t)fixture.batches[i].bytes.length);
        log_range_release(&range);
    }
    assert_int_equal(memory_files_operations(fixture.disk, MEMORY_FILES_ALL_OPERATIONS), before);
    log_fixture_release(&fixture);
}

static void an_append_is_one_write(void **state)
{
    (void)state;
    struct log_fixture fixture;
    log_fixture_init(&fixture, 41);
    fixture.options.settings.index_interval_bytes = 0;
    fixture.options.settings.segment_bytes = 1 << 20;
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    uint64_t all = memory_files_operations(fixture.disk, MEMORY_FILES_ALL_OPERATIONS);
    for (uint64_t i = 1; i <= 50; i++) {
        assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
        assert_int_equal(memory_files_operations(fixture.disk, MEMORY_FILES_ALL_OPERATIONS), all + i);
    }
    log_fixture_check(&fixture);
    log_fixture_release(&fixture);
}

static void i16_a_follower_holds_the_same_bytes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct log_fixture leader, follower;
        log_fixture_init(&leader, seed);
        log_fixture_init(&follower, seed + 100);
        follower.options.settings.segment_bytes = 2500;
        assert_int_equal(log_fixture_open(&leader, true), 0);
        assert_int_equal(log_fixture_open(&follower, true), 0);
        for (int i = 0; i < 80; i++) {
            leader.leader_epoch += prng_one_in(&leader.prng, 10);
            assert_int_equal(log_fixture_append(&leader), KAFKA_NONE);
            if (!prng_one_in(&leader.prng, 3))
                continue;
            struct log_range range;
            int64_t end = partition_log_end_offset(leader.log);
            assert_int_equal(partition_log_read(leader.log, partition_log_end_offset(follower.log),
                                                prng_between(&leader.prng, 1, 5000), end, true, &range),
                             KAFKA_NONE);
            uint8_t *bytes = malloc((size_t)range.length + 1);
            assert_int_equal(log_range_read(&range, bytes), 0);
            size_t length = (size_t)range.length;
            if (prng_one_in(&leader.prng, 3) && length > 0)
                length -= (size_t)prng_below(&leader.prng, 20);
            size_t appended;
            assert_int_equal(
                partition_log_append_as_follower(follower.log, bytes, length, leader.now_ms, &appended),
                KAFKA_NONE);
            assert_true(appended <= length);
            free(bytes);
            log_range_release(&range);
        }
        struct buffer ours, theirs;
        buffer_init(&ours);
        buffer_init(&theirs);
        log_fixture_read_all(&follower, &ours);
        log_fixture_read_all(&leader, &theirs);
        assert_true(ours.length <= theirs.length);
        assert_memory_equal(ours.data, theirs.data, ours.length);
        assert_int_equal(partition_log_epoch_at(follower.log, 3), partition_log_epoch_at(leader.log, 3));
        buffer_release(&ours);
        buffer_release(&theirs);
        log_fixture_release(&leader);
        log_fixture_release(&follower);
    }
}

/* What is sound before a damaged batch is taken, so that the follower's next fetch begins at the damage. */
static void i2_a_follower_stops_exactly_at_the_damage(void **state)
{
    (void)state;
    struct log_fixture fixture;
    log_fixture_init(&fixture, 9);
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    struct buffer bytes;
    buffer_init(&bytes);
    struct batch_plan plan = batch_plan_plain(3, fixture.now_ms);
    make_batch(&fixture.prng, &plan, &bytes);
    size_t first = bytes.length;
    make_batch(&fixture.prng, &plan, &bytes);
    record_batch_set_base_offset(bytes.data, 0);
    record_batch_set_leader_epoch(bytes.data, 0);
    record_batch_set_base_offset(bytes.data + first, 3);
    record_batch_set_leader_epoch(bytes.data + first, 0);
    bytes.data[bytes.length - 1] ^= 1;
    size_t appended;
    assert_int_equal(partition_log_append_as_follower(fixture.log, bytes.data, bytes.length, 0, &appended),
                     KAFKA_CORRUPT_MESSAGE);
    assert_int_equal(appended, first);
    assert_int_equal(partition_log_end_offset(fixture.log), 3);
    assert_int_equal(
        partition_log_append_as_follower(fixture.log, bytes.data + first, bytes.length - first, 0, &appended),
        KAFKA_CORRUPT_MESSAGE);
    assert_int_equal(appended, 0);
    assert_int_equal(partition_log_end_offset(fixture.log), 3);
    buffer_release(&bytes);
    log_fixture_release(&fixture);
}

static void i2_a_follower_refuses_what_does_not_continue(void **state)
{
    (void)state;
    struct log_fixture fixture;
    log_fixture_init(&fixture, 8);
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    fixture.leader_epoch = 3;
    assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    int64_t end = partition_log_end_offset(fixture.log);
    struct buffer bytes;
    buffer_init(&bytes);
    struct batch_plan plan = batch_plan_plain(3, fixture.now_ms);
    make_batch(&fixture.prng, &plan, &bytes);
    record_batch_set_leader_epoch(bytes.data, 3);
    size_t appended;
    record_batch_set_base_offset(bytes.data, end - 1);
    assert_int_equal(partition_log_append_as_follower(fixture.log, bytes.data, bytes.length, 0, &appended),
                     KAFKA_OFFSET_OUT_OF_RANGE);
    record_batch_set_base_offset(bytes.data, end);
    record_batch_set_leader_epoch(bytes.data, 2);
    assert_int_equal(partition_log_append_as_follower(fixture.log, bytes.data, bytes.length, 0, &appended),
                     KAFKA_CORRUPT_MESSAGE);
    record_batch_set_leader_epoch(bytes.data, 4);
    record_batch_set_base_offset(bytes.data, end + 100);
    assert_int_equal(partition_log_append_as_follower(fixture.log, bytes.data, bytes.length, 0, &appended),
                     KAFKA_NONE);
    assert_int_equal(partition_log_end_offset(fixture.log), end + 103);
    struct log_range range;
    assert_int_equal(partition_log_read(fixture.log, end + 50, 1, end + 103, true, &range), KAFKA_NONE);
    assert_int_equal(range.length, (int64_t)bytes.length);
    log_range_release(&range);
    buffer_release(&bytes);
    log_fixture_release(&fixture);
}

static void i4_truncation_takes_everything_with_it(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct log_fixture fixture;
        log_fixture_init(&fixture, seed);
        assert_int_equal(log_fixture_open(&fixture, true), 0);
        for (int round = 0; round < 5; round++) {
            for (int i = 0; i < 40; i++) {
                fixture.leader_epoch += prng_one_in(&fixture.prng, 8);
                struct batch_plan plan = batch_plan_plain(2, fixture.now_ms);
                plan.value_bytes = 120;
                assert_int_equal(log_fixture_append_plan(&fixture, &plan), KAFKA_NONE);
            }
            if (prng_one_in(&fixture.prng, 2))
                assert_int_equal(partition_log_flush(fixture.log), 0);
            int64_t offset = prng_between(&fixture.prng, 0, partition_log_end_offset(fixture.log));
            assert_int_equal(log_fixture_truncate(&fixture, offset), KAFKA_NONE);
            assert_true(partition_log_recovery_point(fixture.log) <= max_i64(offset, 0));
            log_fixture_check(&fixture);
            log_fixture_check_derived(&fixture);
            fixture.leader_epoch++;
            if (prng_one_in(&fixture.prng, 2)) {
                log_fixture_crash(&fixture, MEMORY_FILES_PROCESS_CRASH);
                log_fixture_check(&fixture);
                log_fixture_check_derived(&fixture);
            }
        }
        log_fixture_release(&fixture);
    }
}

static void i9_the_start_moves_up_and_old_segments_go(void **state)
{
    (void)state;
    struct log_fixture fixture;
    log_fixture_init(&fixture, 11);
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    for (int i = 0; i < 100; i++) {
        fixture.leader_epoch += prng_one_in(&fixture.prng, 8);
        assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    }
    int64_t end = partition_log_end_offset(fixture.log), start = 0;
    size_t segments = fixture.log->segments_count;
    while (start < end) {
        start = min_i64(end, start + prng_between(&fixture.prng, 1, 60));
        assert_int_equal(partition_log_advance_start(fixture.log, start), KAFKA_NONE);
        assert_int_equal(partition_log_start_offset(fixture.log), start);
        log_fixture_check(&fixture);
        assert_int_equal(partition_log_advance_start(fixture.log, start - 1), KAFKA_NONE);
        assert_int_equal(partition_log_start_offset(fixture.log), start);
    }
    assert_int_equal(partition_log_advance_start(fixture.log, end + 1), KAFKA_OFFSET_OUT_OF_RANGE);
    bool flush_first;
    assert_int_equal(partition_log_flush(fixture.log), 0);
    assert_int_equal(partition_log_retain(fixture.log, end, fixture.now_ms, &flush_first), 0);
    assert_int_equal(fixture.log->segments_count, 1);
    assert_true(segments > 4);
    assert_int_equal(partition_log_truncate_fully(fixture.log, 5000, fixture.now_ms), KAFKA_NONE);
    assert_int_equal(partition_log_start_offset(fixture.log), 5000);
    assert_int_equal(partition_log_end_offset(fixture.log), 5000);
    assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    log_fixture_crash(&fixture, MEMORY_FILES_PROCESS_CRASH);
    assert_int_equal(partition_log_start_offset(fixture.log), 5000);
    log_fixture_release(&fixture);
}

/* ---- by time ---- */

/* All records of the model, in order. */
static struct model_record *model_records(const struct log_fixture *fixture, size_t *count)
{
    size_t total = (size_t)fixture->batches[fixture->batches_count - 1].last_offset + 1;
    struct model_record *records = calloc(total, sizeof(*records));
    *count = 0;
    for (size_t i = 0; i < fixture->batches_count; i++) {
        struct record_batch batch;
        struct record_iterator iterator;
        struct record record;
        struct buffer scratch;
        struct slice body;
        buffer_init(&scratch);
        assert_int_equal(record_batch_parse(buffer_slice(&fixture->batches[i].bytes), &batch), 0);
        assert_int_equal(record_batch_decompress(&batch, 1 << 20, &scratch, &body), 0);
        record_iterator_init(&iterator, &batch, body);
        while (record_iterator_next(&iterator, &record) > 0)
            records[(*count)++] = (struct model_record){record.offset, record.timestamp};
        buffer_release(&scratch);
    }
    return records;
}

static void check_times(struct log_fixture *fixture)
{
    size_t count;
    struct model_record *records = model_records(fixture, &count);
    int64_t start = partition_log_start_offset(fixture->log);
    for (int i = 0; i < 200; i++) {
        int64_t target = prng_between(&fixture->prng, 1699999999900, fixture->now_ms + 100);
        int64_t upper = fixture->batches[prng_below(&fixture->prng, fixture->batches_count)].last_offset + 1;
        int64_t expected = -1, greatest = -1, greatest_at = -1;
        for (size_t j = 0; j < count && records[j].offset < upper; j++) {
            if (records[j].offset < start)
                continue;
            if (expected < 0 && records[j].timestamp >= target)
                expected = records[j].offset;
            if (records[j].timestamp > greatest) {
                greatest = records[j].timestamp;
                greatest_at = records[j].offset;
            }
        }
        struct log_timestamp_offset found;
        assert_int_equal(partition_log_find_timestamp(fixture->log, target, upper, &found), KAFKA_NONE);
        assert_int_equal(found.offset, expected);
        assert_int_equal(partition_log_find_max_timestamp(fixture->log, upper, &found), KAFKA_NONE);
        assert_int_equal(found.offset, greatest_at);
        assert_int_equal(found.timestamp, greatest);
    }
    free(records);
}

static void timestamps_are_found_as_by_a_full_scan(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 15; seed++) {
        struct log_fixture fixture;
        log_fixture_init(&fixture, seed);
        assert_int_equal(log_fixture_open(&fixture, true), 0);
        for (int i = 0; i < 120; i++) {
            fixture.now_ms += (int64_t)prng_below(&fixture.prng, 100);
            struct batch_plan plan = batch_plan_plain((int)prng_between(&fixture.prng, 1, 6), fixture.now_ms);
            plan.timestamp_spread = (int64_t)prng_between(&fixture.prng, 0, 500);
            plan.codec = prng_one_in(&fixture.prng, 3) ? CODEC_ZSTD : CODEC_NONE;
            assert_int_equal(log_fixture_append_plan(&fixture, &plan), KAFKA_NONE);
        }
        check_times(&fixture);
        log_fixture_stop(&fixture);
        assert_int_equal(log_fixture_open(&fixture, true), 0);
        check_times(&fixture);
        log_fixture_crash(&fixture, MEMORY_FILES_PROCESS_CRASH);
        check_times(&fixture);
        assert_int_equal(log_fixture_truncate(&fixture, partition_log_end_offset(fixture.log) / 2),
                         KAFKA_NONE);
        check_times(&fixture);
        log_fixture_release(&fixture);
    }
}

static void i3_append_time_is_written_into_the_batch(void **state)
{
    (void)state;
    struct log_fixture fixture;
    log_fixture_init(&fixture, 12);
    fixture.options.settings.log_append_time = true;
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    struct buffer bytes;
    struct log_append_result result;
    struct record_batch batch;
    buffer_init(&bytes);
    struct batch_plan plan = batch_plan_plain(3, 77);
    make_batch(&fixture.prng, &plan, &bytes);
    assert_int_equal(
        partition_log_append_as_leader(fixture.log, bytes.data, bytes.length, 9, 4, 123456, &result),
        KAFKA_NONE);
    assert_int_equal(result.append_time_ms, 123456);
    assert_int_equal(record_batch_parse(buffer_slice(&bytes), &batch), 0);
    assert_true(batch.append_time && record_batch_check_crc(&batch));
    assert_int_equal(batch.max_timestamp, 123456);
    assert_int_equal(batch.leader_epoch, 4);
    struct log_timestamp_offset found;
    assert_int_equal(partition_log_find_timestamp(fixture.log, 1000, 3, &found), KAFKA_NONE);
    assert_int_equal(found.offset, 0);
    assert_int_equal(found.timestamp, 123456);
    buffer_release(&bytes);
    log_fixture_release(&fixture);
}

static void sizes_are_limited(void **state)
{
    (void)state;
    struct log_fixture fixture;
    log_fixture_init(&fixture, 13);
    fixture.options.settings.max_message_bytes = 1500;
    fixture.options.settings.segment_bytes = 1000;
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    struct buffer bytes;
    struct log_append_result result;
    buffer_init(&bytes);
    struct batch_plan plan = batch_plan_plain(100, 77);
    make_batch(&fixture.prng, &plan, &bytes);
    assert_int_equal(partition_log_append_as_leader(fixture.log, bytes.data, bytes.length, 9, 0, 1, &result),
                     KAFKA_MESSAGE_TOO_LARGE);
    assert_non_null(result.error_message);
    buffer_clear(&bytes);
    plan = batch_plan_plain(20, 77);
    while (bytes.length < 1000 || bytes.length > 1500) {
        buffer_clear(&bytes);
        make_batch(&fixture.prng, &plan, &bytes);
    }
    assert_int_equal(partition_log_append_as_leader(fixture.log, bytes.data, bytes.length, 9, 0, 1, &result),
                     KAFKA_RECORD_LIST_TOO_LARGE);
    bytes.data[bytes.length - 1] ^= 1;
    assert_int_equal(partition_log_append_as_leader(fixture.log, bytes.data, bytes.length, 9, 0, 1, &result),
                     KAFKA_CORRUPT_MESSAGE);
    assert_int_equal(partition_log_end_offset(fixture.log), 0);
    buffer_release(&bytes);
    log_fixture_release(&fixture);
}

static void segments_roll_by_time(void **state)
{
    (void)state;
    struct log_fixture fixture;
    log_fixture_init(&fixture, 14);
    fixture.options.settings.segment_bytes = 1 << 20;
    fixture.options.settings.segment_ms = 1000;
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    for (int i = 0; i < 50; i++) {
        struct batch_plan plan = batch_plan_plain(1, fixture.now_ms + 100 * i);
        assert_int_equal(log_fixture_append_plan(&fixture, &plan), KAFKA_NONE);
    }
    assert_int_equal(fixture.log->segments_count, 5);
    log_fixture_check(&fixture);
    log_fixture_release(&fixture);
}

/* What is not closed is not compacted. */
static void a_compacted_log_rolls_by_its_lag(void **state)
{
    (void)state;
    for (int compacted = 0; compacted < 2; compacted++) {
        struct log_fixture fixture;
        log_fixture_init(&fixture, 16);
        fixture.options.settings.segment_bytes = 1 << 20;
        fixture.options.settings.segment_ms = 1000000;
        fixture.options.settings.max_compaction_lag_ms = 1000;
        fixture.options.settings.segment_jitter_ms = compacted ? 500 : 0;
        fixture.options.settings.compacted = compacted == 1;
        assert_int_equal(log_fixture_open(&fixture, true), 0);
        for (int i = 0; i < 50; i++) {
            struct batch_plan plan = batch_plan_plain(1, fixture.now_ms + 100 * i);
            assert_int_equal(log_fixture_append_plan(&fixture, &plan), KAFKA_NONE);
        }
        if (compacted)
            assert_in_range(fixture.log->segments_count, 5, 10);
        else
            assert_int_equal(fixture.log->segments_count, 1);
        log_fixture_check(&fixture);
        log_fixture_release(&fixture);
    }
}

static void a_range_outlives_its_log(void **state)
{
    (void)state;
    struct log_fixture fixture;
    log_fixture_init(&fixture, 15);
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    struct log_range range;
    assert_int_equal(partition_log_read(fixture.log, 0, 100000, 1000, true, &range), KAFKA_NONE);
    struct buffer expected;
    buffer_init(&expected);
    buffer_append(&expected, fixture.batches[0].bytes.data, fixture.batches[0].bytes.length);
    assert_int_equal(log_fixture_truncate(&fixture, 0), KAFKA_NONE);
    assert_int_equal(partition_log_truncate_fully(fixture.log, 700, 0), KAFKA_NONE);
    log_fixture_drop(&fixture);
    assert_int_equal(file_system_remove_tree(fixture.options.files, FIXTURE_DIRECTORY), 0);
    assert_int_equal(range.length, (int64_t)expected.length);
    uint8_t *bytes = malloc((size_t)range.length);
    assert_int_equal(log_range_read(&range, bytes), 0);
    assert_memory_equal(bytes, expected.data, expected.length);
    free(bytes);
    log_range_release(&range);
    assert_int_equal(memory_files_open_count(fixture.disk), 0);
    buffer_release(&expected);
    log_fixture_release(&fixture);
}

/* Logs that were opened together do not roll together; and jitter never takes all of segment.ms. */
static void every_segment_has_its_jitter(void **state)
{
    (void)state;
    int64_t least = INT64_MAX, greatest = 0;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct log_fixture fixture;
        log_fixture_init(&fixture, seed);
        fixture.options.settings.segment_ms = 1000;
        fixture.options.settings.segment_jitter_ms = seed % 2 ? 800 : 1000000;
        for (int round = 0; round < 2; round++) {
            assert_int_equal(log_fixture_open(&fixture, false), 0);
            int64_t jitter_ms = partition_log_active(fixture.log)->jitter_ms;
            assert_in_range(jitter_ms, 0, seed % 2 ? 799 : 999);
            least = min_i64(least, jitter_ms);
            greatest = max_i64(greatest, jitter_ms);
            log_fixture_drop(&fixture);
        }
        log_fixture_release(&fixture);
    }
    assert_true(least < 100 && greatest > 900);
}

/* A log is opened with the broker's settings: its topic's reach the segment that is there by then. */
static void the_topics_jitter_reaches_the_active_segment(void **state)
{
    (void)state;
    int64_t greatest = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct log_fixture fixture;
        log_fixture_init(&fixture, seed);
        assert_int_equal(log_fixture_open(&fixture, true), 0);
        struct log_settings settings = *partition_log_settings(fixture.log);
        settings.segment_ms = 100000;
        settings.segment_jitter_ms = 50000;
        partition_log_configure(fixture.log, &settings);
        int64_t drawn = partition_log_active(fixture.log)->jitter_ms;
        greatest = max_i64(greatest, drawn);
        settings.retention_ms = 7;
        partition_log_configure(fixture.log, &settings);
        assert_int_equal(partition_log_active(fixture.log)->jitter_ms, drawn);
        settings.segment_jitter_ms = 0;
        partition_log_configure(fixture.log, &settings);
        assert_int_equal(partition_log_active(fixture.log)->jitter_ms, 0);
        log_fixture_release(&fixture);
    }
    assert_in_range(greatest, 10000, 49999);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(i2_what_is_appended_is_read_back),
        cmocka_unit_test(a_clean_start_reads_no_segment_but_the_last),
        cmocka_unit_test(ranges_are_whole_batches_below_the_bound),
        cmocka_unit_test(reads_at_the_end_touch_no_file),
        cmocka_unit_test(an_append_is_one_write),
        cmocka_unit_test(i16_a_follower_holds_the_same_bytes),
        cmocka_unit_test(i2_a_follower_refuses_what_does_not_continue),
        cmocka_unit_test(i2_a_follower_stops_exactly_at_the_damage),
        cmocka_unit_test(i4_truncation_takes_everything_with_it),
        cmocka_unit_test(i9_the_start_moves_up_and_old_segments_go),
        cmocka_unit_test(timestamps_are_found_as_by_a_full_scan),
        cmocka_unit_test(i3_append_time_is_written_into_the_batch),
        cmocka_unit_test(sizes_are_limited),
        cmocka_unit_test(segments_roll_by_time),
        cmocka_unit_test(a_compacted_log_rolls_by_its_lag),
        cmocka_unit_test(every_segment_has_its_jitter),
        cmocka_unit_test(the_topics_jitter_reaches_the_active_segment),
        cmocka_unit_test(a_range_outlives_its_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
