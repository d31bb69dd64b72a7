/* SPDX-License-Identifier: Apache-2.0 */
/* Idempotent producers: what is new, a repeat, out of order or fenced (invariants I48, I49, I50). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/partition_log_private.h"
#include "common/bytes.h"
#include "common/crc32c.h"
#include "proto/kafka/error.h"
#include "proto/records/batch.h"
#include "tests/unit/log/log_fixture.h"

static struct producer_batch batch_of(int64_t id, int16_t epoch, int32_t first, int32_t count, int64_t offset)
{
    return (struct producer_batch){.producer_id = id,
                                   .epoch = epoch,
                                   .first_sequence = first,
                                   .last_sequence = record_sequence_add(first, count - 1),
                                   .base_offset = offset,
                                   .last_offset = offset + count - 1,
                                   .timestamp = 1000 + offset};
}

/* Checks, and takes note where the batch is new. */
static int16_t offer(struct producer_state *state, const struct producer_batch *batch,
                     struct producer_duplicate *duplicate)
{
    int16_t error = producer_state_check(state, batch, duplicate);
    if (error == KAFKA_NONE && !duplicate->found)
        producer_state_update(state, batch, NULL);
    return error;
}

static void sequences_continue(void **state)
{
    (void)state;
    struct producer_state *producers = producer_state_new();
    struct producer_duplicate duplicate;
    struct producer_batch first = batch_of(7, 0, 0, 10, 100), gap = batch_of(7, 0, 11, 1, 110),
                          next = batch_of(7, 0, 10, 1, 110), unknown = batch_of(8, 3, 55, 1, 111),
                          after = batch_of(8, 3, 56, 1, 112);
    assert_int_equal(offer(producers, &first, &duplicate), KAFKA_NONE);
    assert_int_equal(offer(producers, &gap, &duplicate), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(offer(producers, &next, &duplicate), KAFKA_NONE);
    /* Of whom nothing is known any sequence is taken. */
    assert_int_equal(offer(producers, &unknown, &duplicate), KAFKA_NONE);
    assert_int_equal(offer(producers, &after, &duplicate), KAFKA_NONE);
    assert_int_equal(producer_state_count(producers), 2);
    producer_state_free(producers);
}

static void the_last_five_batches_are_recognised(void **state)
{
    (void)state;
    struct producer_state *producers = producer_state_new();
    struct producer_duplicate duplicate;
    for (int i = 0; i < 8; i++) {
        struct producer_batch batch = batch_of(7, 0, i * 3, 3, 100 + i * 5);
        assert_int_equal(offer(producers, &batch, &duplicate), KAFKA_NONE);
        assert_false(duplicate.found);
    }
    for (int i = 0; i < 8; i++) {
        struct producer_batch batch = batch_of(7, 0, i * 3, 3, 0);
        int16_t error = producer_state_check(producers, &batch, &duplicate);
        assert_int_equal(error, i < 3 ? KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER : KAFKA_NONE);
        assert_int_equal(duplicate.found, i >= 3);
        if (i >= 3) {
            assert_int_equal(duplicate.base_offset, 100 + i * 5);
            assert_int_equal(duplicate.last_offset, 102 + i * 5);
            assert_int_equal(duplicate.timestamp, 1100 + i * 5);
        }
    }
    struct producer_batch part = batch_of(7, 0, 21, 2, 0);
    assert_int_equal(producer_state_check(producers, &part, &duplicate), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    producer_state_free(producers);
}

static void sequences_wrap_to_zero(void **state)
{
    (void)state;
    struct producer_state *producers = producer_state_new();
    struct producer_duplicate duplicate;
    struct producer_batch across = batch_of(7, 0, INT32_MAX - 1, 4, 10), next = batch_of(7, 0, 2, 1, 14),
                          full = batch_of(9, 0, INT32_MAX - 4, 5, 20), zero = batch_of(9, 0, 0, 1, 25);
    assert_int_equal(across.last_sequence, 1);
    assert_int_equal(offer(producers, &across, &duplicate), KAFKA_NONE);
    assert_int_equal(offer(producers, &across, &duplicate), KAFKA_NONE);
    assert_true(duplicate.found);
    assert_int_equal(duplicate.base_offset, 10);
    assert_int_equal(offer(producers, &next, &duplicate), KAFKA_NONE);
    assert_int_equal(offer(producers, &full, &duplicate), KAFKA_NONE);
    assert_int_equal(offer(producers, &zero, &duplicate), KAFKA_NONE);
    assert_false(duplicate.found);
    producer_state_free(producers);
}

static void epochs_fence_and_begin_at_zero(void **state)
{
    (void)state;
    struct producer_state *producers = producer_state_new();
    struct producer_duplicate duplicate;
    struct producer_batch old = batch_of(7, 4, 0, 5, 0), wrong = batch_of(7, 5, 5, 1, 5),
                          raised = batch_of(7, 5, 0, 2, 5), stale = batch_of(7, 4, 5, 1, 7);
    assert_int_equal(offer(producers, &old, &duplicate), KAFKA_NONE);
    assert_int_equal(offer(producers, &wrong, &duplicate), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(offer(producers, &raised, &duplicate), KAFKA_NONE);
    assert_int_equal(offer(producers, &stale, &duplicate), KAFKA_INVALID_PRODUCER_EPOCH);
    assert_int_equal(offer(producers, &old, &duplicate), KAFKA_INVALID_PRODUCER_EPOCH);
    producer_state_free(producers);
}

static void transactions_open_and_close(void **state)
{
    (void)state;
    struct producer_state *producers = producer_state_new();
    struct producer_duplicate duplicate;
    struct producer_batch first = batch_of(7, 1, 0, 2, 50), second = batch_of(7, 1, 2, 2, 60),
                          plain = batch_of(7, 1, 4, 1, 70);
    first.transactional = second.transactional = true;
    assert_int_equal(offer(producers, &first, &duplicate), KAFKA_NONE);
    assert_int_equal(offer(producers, &second, &duplicate), KAFKA_NONE);
    assert_int_equal(producer_state_first_open_offset(producers), 50);
    assert_int_equal(offer(producers, &plain, &duplicate), KAFKA_INVALID_TXN_STATE);
    producer_state_expire(producers, INT64_MAX, 1);
    assert_int_equal(producer_state_count(producers), 1);
    struct producer_batch marker = {.producer_id = 7,
                                    .epoch = 1,
                                    .first_sequence = -1,
                                    .is_marker = true,
                                    .coordinator_epoch = 9,
                                    .timestamp = 2000,
                                    .base_offset = 70,
                                    .last_offset = 70};
    assert_int_equal(offer(producers, &marker, &duplicate), KAFKA_NONE);
    assert_int_equal(producer_state_first_open_offset(producers), -1);
    struct producer_batch fenced = marker;
    fenced.coordinator_epoch = 8;
    assert_int_equal(offer(producers, &fenced, &duplicate), KAFKA_TRANSACTION_COORDINATOR_FENCED);
    fenced.epoch = 0;
    assert_int_equal(offer(producers, &fenced, &duplicate), KAFKA_INVALID_PRODUCER_EPOCH);
    /* A marker with a higher epoch: the batches of the old one are forgotten, the new one begins at 0. */
    marker.epoch = 2;
    assert_int_equal(offer(producers, &marker, &duplicate), KAFKA_NONE);
    struct producer_batch fresh = batch_of(7, 2, 0, 1, 80), late = batch_of(7, 2, 4, 1, 80);
    assert_int_equal(offer(producers, &late, &duplicate), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(offer(producers, &fresh, &duplicate), KAFKA_NONE);
    producer_state_expire(producers, 1000000, 1000);
    assert_int_equal(producer_state_count(producers), 0);
    producer_state_free(producers);
}

static void snapshots_have_the_documented_bytes(void **state)
{
    (void)state;
    static const uint8_t expected[] = {
        0,    1,                               /* version */
        0,    0,    0,    0,                   /* CRC, below */
        0,    0,    0,    1,                   /* count */
        0,    0,    0,    0,    0, 0, 0, 7,    /* producer id */
        0,    4,                               /* epoch */
        0,    0,    0,    6,                   /* last sequence */
        0,    0,    0,    0,    0, 0, 0, 0x36, /* last offset */
        0,    0,    0,    4,                   /* offset delta */
        0,    0,    0,    0,    0, 0, 4, 0x1a, /* timestamp */
        0xff, 0xff, 0xff, 0xff,                /* coordinator epoch */
        0,    0,    0,    0,    0, 0, 0, 0x32, /* first offset of the open transaction */
    };
    struct producer_state *producers = producer_state_new(), *again = producer_state_new();
    struct producer_batch batch = batch_of(7, 4, 2, 5, 50);
    batch.transactional = true;
    producer_state_update(producers, &batch, NULL);
    struct buffer bytes, second;
    buffer_init(&bytes);
    buffer_init(&second);
    producer_state_encode(producers, &bytes);
    assert_int_equal(bytes.length, sizeof(expected));
    assert_int_equal(load_u32(bytes.data + 2), crc32c(0, bytes.data + 6, bytes.length - 6));
    assert_memory_equal(bytes.data + 6, expected + 6, sizeof(expected) - 6);
    assert_memory_equal(bytes.data, expected, 2);
    assert_int_equal(producer_state_decode(again, buffer_slice(&bytes)), 0);
    producer_state_encode(again, &second);
    assert_true(slice_equals(buffer_slice(&bytes), buffer_slice(&second)));
    for (size_t i = 0; i < bytes.length * 8; i++) {
        bytes.data[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_int_equal(producer_state_decode(again, buffer_slice(&bytes)), -EBADMSG);
        bytes.data[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    for (size_t length = 0; length < bytes.length; length++)
        assert_int_equal(producer_state_decode(again, slice_make(bytes.data, length)), -EBADMSG);
    buffer_release(&bytes);
    buffer_release(&second);
    producer_state_free(producers);
    producer_state_free(again);
}

/* ---- through the log ---- */

static int16_t append_sequence(struct log_fixture *fixture, int64_t id, int16_t epoch, int32_t sequence,
                               int count, struct log_append_result *result)
{
    struct buffer bytes;
    buffer_init(&bytes);
    struct batch_plan plan = batch_plan_plain(count, fixture->now_ms);
    plan.producer_id = id;
    plan.producer_epoch = epoch;
    plan.base_sequence = sequence;
    make_batch(&fixture->prng, &plan, &bytes);
    int16_t error =
        partition_log_append_as_leader(fixture->log, bytes.data, bytes.length, 9, 0, fixture->now_ms, result);
    buffer_release(&bytes);
    return error;
}

static void a_log_answers_repeats_with_the_old_offsets(void **state)
{
    (void)state;
    struct log_fixture fixture;
    struct log_append_result result;
    log_fixture_init(&fixture, 31);
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    for (int i = 0; i < 6; i++)
        assert_int_equal(append_sequence(&fixture, 7, 0, i * 2, 2, &result), KAFKA_NONE);
    int64_t end = partition_log_end_offset(fixture.log);
    assert_int_equal(append_sequence(&fixture, 7, 0, 4, 2, &result), KAFKA_NONE);
    assert_true(result.duplicate);
    assert_int_equal(result.base_offset, 4);
    assert_int_equal(result.last_offset, 5);
    assert_int_equal(append_sequence(&fixture, 7, 0, 0, 2, &result), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(partition_log_end_offset(fixture.log), end);
    for (int round = 0; round < 3; round++) {
        if (round == 0) {
            log_fixture_crash(&fixture, MEMORY_FILES_PROCESS_CRASH);
        } else if (round == 1) {
            log_fixture_stop(&fixture);
            assert_int_equal(log_fixture_open(&fixture, true), 0);
        } else {
            assert_int_equal(append_sequence(&fixture, 7, 0, 12, 2, &result), KAFKA_NONE);
            assert_int_equal(partition_log_truncate(fixture.log, end, fixture.now_ms), KAFKA_NONE);
        }
        assert_int_equal(append_sequence(&fixture, 7, 0, 10, 2, &result), KAFKA_NONE);
        assert_true(result.duplicate);
        assert_int_equal(result.base_offset, 10);
        assert_int_equal(append_sequence(&fixture, 7, 0, 13, 1, &result), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
        assert_int_equal(partition_log_end_offset(fixture.log), end);
    }
    assert_int_equal(append_sequence(&fixture, 7, 1, 12, 1, &result), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(append_sequence(&fixture, 7, 1, 0, 1, &result), KAFKA_NONE);
    assert_int_equal(append_sequence(&fixture, 7, 0, 12, 1, &result), KAFKA_INVALID_PRODUCER_EPOCH);
    log_fixture_release(&fixture);
}

/* A repeat takes no room: who sends it again gets its answer on a full disk too. */
static void a_full_disk_answers_repeats(void **state)
{
    (void)state;
    struct log_fixture fixture;
    struct log_append_result result;
    struct log_health health = {0};
    log_fixture_init(&fixture, 32);
    fixture.options.health = &health;
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    assert_int_equal(append_sequence(&fixture, 7, 0, 0, 2, &result), KAFKA_NONE);
    atomic_store(&health.full, -28);
    assert_int_equal(append_sequence(&fixture, 7, 0, 0, 2, &result), KAFKA_NONE);
    assert_true(result.duplicate);
    assert_int_equal(result.base_offset, 0);
    assert_int_equal(append_sequence(&fixture, 7, 0, 2, 2, &result), KAFKA_KAFKA_STORAGE_ERROR);
    assert_non_null(result.error_message);
    assert_int_equal(append_sequence(&fixture, 7, 0, 5, 2, &result), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(partition_log_end_offset(fixture.log), 2);
    atomic_store(&health.full, 0);
    assert_int_equal(append_sequence(&fixture, 7, 0, 2, 2, &result), KAFKA_NONE);
    log_fixture_release(&fixture);
}

/* A producer's timestamps are its own affair, at any distance from the clock. */
static void any_timestamp_can_expire(void **state)
{
    (void)state;
    static const int64_t timestamps[] = {INT64_MIN, INT64_MIN + 1, -1, 0, INT64_MAX};
    struct producer_state *producers = producer_state_new();
    for (size_t i = 0; i < ARRAY_SIZE(timestamps); i++) {
        struct producer_batch batch = batch_of((int64_t)i, 0, 0, 1, 10);
        batch.timestamp = timestamps[i];
        producer_state_update(producers, &batch, NULL);
    }
    producer_state_expire(producers, 1700000000000, 86400000);
    assert_int_equal(producer_state_count(producers), 1);
    producer_state_free(producers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequences_continue),
        cmocka_unit_test(the_last_five_batches_are_recognised),
        cmocka_unit_test(sequences_wrap_to_zero),
        cmocka_unit_test(epochs_fence_and_begin_at_zero),
        cmocka_unit_test(transactions_open_and_close),
        cmocka_unit_test(snapshots_have_the_documented_bytes),
        cmocka_unit_test(a_log_answers_repeats_with_the_old_offsets),
        cmocka_unit_test(a_full_disk_answers_repeats),
        cmocka_unit_test(any_timestamp_can_expire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
