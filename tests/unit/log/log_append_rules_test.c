/* SPDX-License-Identifier: Apache-2.0 */
/* What may come into a log, and as what: offsets (I2), sound batches (I3), leader epochs (I4). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/partition_log_private.h"
#include "proto/kafka/error.h"
#include "proto/records/batch.h"
#include "tests/unit/log/log_fixture.h"

#define PRODUCE_VERSION 9
#define LEADER_EPOCH 7

/* A batch of three records with that codec. */
static void make(struct log_fixture *fixture, int codec, struct buffer *out)
{
    struct batch_plan plan = batch_plan_plain(3, fixture->now_ms);
    plan.codec = codec;
    make_batch(&fixture->prng, &plan, out);
}

/* A producer counts from 0, and the leader from its end; what a follower is sent again, or what begins below
 * its end, is refused. */
static void i2_an_append_begins_at_the_end(void **state)
{
    (void)state;
    struct log_fixture leader, follower;
    log_fixture_init(&leader, 1);
    log_fixture_init(&follower, 2);
    assert_int_equal(log_fixture_open(&leader, true), 0);
    assert_int_equal(log_fixture_open(&follower, true), 0);
    for (int64_t end = 0; end < 15; end += 3) {
        struct buffer batch;
        struct log_append_result result;
        size_t taken;
        buffer_init(&batch);
        make(&leader, CODEC_NONE, &batch);
        record_batch_set_base_offset(batch.data, end + 1);
        assert_int_equal(partition_log_append_as_leader(leader.log, batch.data, batch.length, PRODUCE_VERSION,
                                                        LEADER_EPOCH, leader.now_ms, &result),
                         KAFKA_INVALID_RECORD);
        assert_int_equal(partition_log_end_offset(leader.log), end);
        record_batch_set_base_offset(batch.data, 0);
        assert_int_equal(partition_log_append_as_leader(leader.log, batch.data, batch.length, PRODUCE_VERSION,
                                                        LEADER_EPOCH, leader.now_ms, &result),
                         KAFKA_NONE);
        assert_int_equal(result.base_offset, end);
        assert_int_equal(partition_log_end_offset(leader.log), end + 3);
        assert_int_equal(
            partition_log_append_as_follower(follower.log, batch.data, batch.length, leader.now_ms, &taken),
            KAFKA_NONE);
        for (int64_t base = end; base <= end + 2; base++) {
            record_batch_set_base_offset(batch.data, base);
            assert_int_equal(partition_log_append_as_follower(follower.log, batch.data, batch.length,
                                                              leader.now_ms, &taken),
                             KAFKA_OFFSET_OUT_OF_RANGE);
            assert_int_equal(taken, 0);
        }
        assert_int_equal(partition_log_end_offset(follower.log), end + 3);
        buffer_release(&batch);
    }
    log_fixture_release(&leader);
    log_fixture_release(&follower);
}

/* Offset and epoch lie outside the CRC: the leader gives both, the follower takes them as they come. */
static bool is_covered(size_t byte)
{
    return (byte >= RECORD_BATCH_LENGTH_AT && byte < RECORD_BATCH_LEADER_EPOCH_AT) ||
           byte >= RECORD_BATCH_MAGIC_AT;
}

/* What the leader makes of a batch in which one bit is wrong. */
static void flip_at_leader(struct log_fixture *fixture, const struct buffer *sound, size_t bit)
{
    struct log_append_result result;
    struct buffer batch;
    int64_t end = partition_log_end_offset(fixture->log);
    buffer_init(&batch);
    buffer_append(&batch, sound->data, sound->length);
    batch.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    int16_t error = partition_log_append_as_leader(fixture->log, batch.data, batch.length, PRODUCE_VERSION,
                                                   LEADER_EPOCH, fixture->now_ms, &result);
    if (is_covered(bit / 8) || bit / 8 < RECORD_BATCH_LENGTH_AT) {
        assert_int_not_equal(error, KAFKA_NONE);
        assert_int_equal(partition_log_end_offset(fixture->log), end);
    } else {
        struct record_batch parsed;
        assert_int_equal(error, KAFKA_NONE);
        assert_int_equal(record_batch_parse(buffer_slice(&batch), &parsed), 0);
        assert_true(record_batch_check_crc(&parsed));
        assert_int_equal(parsed.base_offset, end);
        assert_int_equal(parsed.leader_epoch, LEADER_EPOCH);
        assert_int_equal(partition_log_end_offset(fixture->log), end + 3);
    }
    buffer_release(&batch);
}

/* A length that is wrong may look like a batch that has not come whole: nothing is taken then either. */
static void flip_at_follower(struct log_fixture *fixture, const struct buffer *sound, size_t bit)
{
    struct buffer batch;
    size_t taken = 0;
    int64_t end = partition_log_end_offset(fixture->log);
    buffer_init(&batch);
    buffer_append(&batch, sound->data, sound->length);
    record_batch_set_base_offset(batch.data, end);
    record_batch_set_leader_epoch(batch.data, LEADER_EPOCH);
    batch.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    int16_t error =
        partition_log_append_as_follower(fixture->log, batch.data, batch.length, fixture->now_ms, &taken);
    if (is_covered(bit / 8)) {
        assert_true(error == KAFKA_CORRUPT_MESSAGE || (error == KAFKA_NONE && bit / 8 < 12));
        assert_int_equal(taken, 0);
        assert_int_equal(partition_log_end_offset(fixture->log), end);
    } else if (taken > 0) {
        assert_int_equal(partition_log_truncate(fixture->log, end, 0), KAFKA_NONE);
    }
    buffer_release(&batch);
}

static void i3_every_flipped_bit_is_refused_by_leader_and_follower(void **state)
{
    (void)state;
    static const int codecs[] = {CODEC_NONE, CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD};
    for (size_t i = 0; i < ARRAY_SIZE(codecs); i++) {
        struct log_fixture leader, follower;
        struct buffer sound;
        buffer_init(&sound);
        log_fixture_init(&leader, 11 + i);
        log_fixture_init(&follower, 21 + i);
        assert_int_equal(log_fixture_open(&leader, true), 0);
        assert_int_equal(log_fixture_open(&follower, true), 0);
        make(&leader, codecs[i], &sound);
        for (size_t bit = 0; bit < sound.length * 8; bit++) {
            flip_at_leader(&leader, &sound, bit);
            flip_at_follower(&follower, &sound, bit);
        }
        buffer_release(&sound);
        log_fixture_release(&leader);
        log_fixture_release(&follower);
    }
}

/* Where the epoch begins that the log knows as its last. */
static void assert_last_epoch(const struct log_fixture *fixture, int32_t epoch, int32_t before,
                              int64_t before_end)
{
    int32_t found;
    int64_t end;
    assert_int_equal(partition_log_latest_epoch(fixture->log), epoch);
    partition_log_epoch_end(fixture->log, epoch, &found, &end);
    assert_int_equal(found, epoch);
    assert_int_equal(end, partition_log_end_offset(fixture->log));
    partition_log_epoch_end(fixture->log, before, &found, &end);
    assert_int_equal(found, before);
    assert_int_equal(end, before_end);
}

/* Becoming leader is remembered before anybody has written; a truncation takes it along. What a start finds
 * is what the batches say, after a stop as after a crash. */
static void i4_an_epoch_without_records_is_recorded(void **state)
{
    (void)state;
    struct log_fixture fixture;
    log_fixture_init(&fixture, 31);
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    fixture.leader_epoch = 2;
    for (int i = 0; i < 5; i++)
        assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    int64_t end = partition_log_end_offset(fixture.log);
    assert_int_equal(partition_log_begin_epoch(fixture.log, 4), 0);
    assert_last_epoch(&fixture, 4, 2, end);
    log_fixture_crash(&fixture, MEMORY_FILES_PROCESS_CRASH);
    log_fixture_check_derived(&fixture);
    assert_int_equal(partition_log_begin_epoch(fixture.log, 6), 0);
    assert_last_epoch(&fixture, 6, 2, end);
    log_fixture_stop(&fixture);
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    log_fixture_check_derived(&fixture);
    assert_int_equal(partition_log_begin_epoch(fixture.log, 7), 0);
    fixture.leader_epoch = 7;
    assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    assert_last_epoch(&fixture, 7, 2, end);
    assert_int_equal(log_fixture_truncate(&fixture, end), KAFKA_NONE);
    assert_int_equal(partition_log_latest_epoch(fixture.log), 2);
    log_fixture_check_derived(&fixture);
    log_fixture_release(&fixture);
}

/* Neither a leader's own epoch nor one from a fetch may be older than what the log holds. */
static void i4_epochs_do_not_fall(void **state)
{
    (void)state;
    struct log_fixture fixture;
    log_fixture_init(&fixture, 41);
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    fixture.leader_epoch = 5;
    assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    int64_t end = partition_log_end_offset(fixture.log);
    struct buffer batch;
    size_t taken;
    buffer_init(&batch);
    make(&fixture, CODEC_NONE, &batch);
    for (int32_t epoch = 0; epoch < 5; epoch++) {
        record_batch_set_base_offset(batch.data, end);
        record_batch_set_leader_epoch(batch.data, epoch);
        assert_int_equal(
            partition_log_append_as_follower(fixture.log, batch.data, batch.length, fixture.now_ms, &taken),
            KAFKA_CORRUPT_MESSAGE);
        assert_int_equal(taken, 0);
    }
    assert_int_equal(partition_log_end_offset(fixture.log), end);
    log_fixture_check_derived(&fixture);
    buffer_release(&batch);
    log_fixture_release(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(i2_an_append_begins_at_the_end),
        cmocka_unit_test(i3_every_flipped_bit_is_refused_by_leader_and_follower),
        cmocka_unit_test(i4_an_epoch_without_records_is_recorded),
        cmocka_unit_test(i4_epochs_do_not_fall),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
