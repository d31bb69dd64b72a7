/* SPDX-License-Identifier: Apache-2.0 */
/* The order of answers: by hand, and against a model with random events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "broker/net/answer_queue.h"
#include "common/prng.h"

#define PIECES 8
#define SEED 20261120

static void test_order(void **state)
{
    (void)state;
    struct answer_queue queue;
    struct answer_slot slots[3];
    struct answer_piece pieces[PIECES];
    struct list done;
    list_init(&done);
    answer_queue_init(&queue);
    for (int i = 0; i < 3; i++)
        answer_queue_reserve(&queue, &slots[i]);
    answer_slot_ready(&slots[1], slice_of("second"), NULL, 0);
    assert_int_equal(answer_queue_gather(&queue, pieces, PIECES), 0);
    answer_slot_ready(&slots[0], slice_of("first"), NULL, 0);
    assert_int_equal(answer_queue_gather(&queue, pieces, PIECES), 2);
    assert_true(slice_is(pieces[0].bytes, "first"));
    assert_true(slice_is(pieces[1].bytes, "second"));
    assert_int_equal(queue.open_count, 1);
    assert_int_equal(queue.ready_bytes, 11);
    answer_queue_advance(&queue, 7, &done);
    assert_ptr_equal(done.next, &slots[0].node);
    assert_ptr_equal(done.previous, &slots[0].node);
    assert_int_equal(answer_queue_gather(&queue, pieces, PIECES), 1);
    assert_true(slice_is(pieces[0].bytes, "cond"));
    answer_queue_advance(&queue, 4, &done);
    assert_int_equal(queue.count, 1);
    assert_int_equal(queue.ready_bytes, 0);
}

static void test_gaps(void **state)
{
    (void)state;
    struct answer_queue queue;
    struct answer_slot slot;
    struct answer_piece pieces[PIECES];
    struct list done;
    list_init(&done);
    answer_queue_init(&queue);
    answer_queue_reserve(&queue, &slot);
    struct wire_gap gaps[] = {{.position = 2, .length = 100},
                              {.position = 2, .length = 0},
                              {.position = 5, .length = 10},
                              {.position = 5, .length = 20}};
    answer_slot_ready(&slot, slice_of("abcde"), gaps, 4);
    assert_int_equal(slot.length, 135);
    assert_int_equal(answer_queue_gather(&queue, pieces, PIECES), 5);
    assert_true(slice_is(pieces[0].bytes, "ab"));
    assert_ptr_equal(pieces[1].gap, &gaps[0]);
    assert_true(slice_is(pieces[2].bytes, "cde"));
    assert_ptr_equal(pieces[3].gap, &gaps[2]);
    assert_ptr_equal(pieces[4].gap, &gaps[3]);
    answer_queue_advance(&queue, 52, &done);
    assert_int_equal(answer_queue_gather(&queue, pieces, 2), 2);
    assert_ptr_equal(pieces[0].gap, &gaps[0]);
    assert_int_equal(pieces[0].offset, 50);
    assert_int_equal(pieces[0].length, 50);
    assert_true(slice_is(pieces[1].bytes, "cde"));
    answer_queue_advance(&queue, 83, &done);
    assert_false(list_is_empty(&done));
    assert_int_equal(queue.count, 0);
}

static void test_vanish_and_close(void **state)
{
    (void)state;
    struct answer_queue queue;
    struct answer_slot slots[4];
    struct answer_piece pieces[PIECES];
    struct list done;
    list_init(&done);
    answer_queue_init(&queue);
    for (int i = 0; i < 4; i++)
        answer_queue_reserve(&queue, &slots[i]);
    answer_slot_ready(&slots[1], slice_of("x"), NULL, 0);
    answer_slot_close(&slots[2]);
    answer_slot_ready(&slots[3], slice_of("never"), NULL, 0);
    assert_true(queue.closing);
    assert_false(answer_queue_is_finished(&queue));
    answer_slot_vanish(&slots[0]);
    assert_int_equal(answer_queue_gather(&queue, pieces, PIECES), 1);
    assert_true(slice_is(pieces[0].bytes, "x"));
    answer_queue_advance(&queue, 1, &done);
    assert_int_equal(answer_queue_gather(&queue, pieces, PIECES), 0);
    assert_true(answer_queue_is_finished(&queue));
    assert_ptr_equal(answer_queue_drop_first(&queue), &slots[2]);
    assert_ptr_equal(answer_queue_drop_first(&queue), &slots[3]);
    assert_null(answer_queue_drop_first(&queue));
    assert_int_equal(queue.ready_bytes, 0);
    /* Late answers to slots that are gone. */
    answer_queue_reserve(&(struct answer_queue){.slots = {&queue.slots, &queue.slots}}, &slots[0]);
    slots[0].queue = NULL;
    answer_slot_ready(&slots[0], slice_of("x"), NULL, 0);
    answer_slot_vanish(&slots[0]);
    answer_slot_close(&slots[0]);
}

/* Every byte of a stream times its place; a byte of a gap counts as 1000 and its offset. */
static uint64_t sum_of_slots(const struct list *done)
{
    uint64_t expected = 0;
    int64_t place = 0;
    list_for_each(node, done)
    {
        struct answer_slot *slot = container_of(node, struct answer_slot, node);
        size_t g = 0;
        for (size_t at = 0; at <= slot->bytes.length; at++) {
            for (; g < slot->gap_count && slot->gaps[g].position == at; g++) {
                for (int64_t offset = 0; offset < slot->gaps[g].length; offset++, place++)
                    expected += (uint64_t)(place + 1) * (1000u + (uint64_t)offset);
            }
            if (at < slot->bytes.length)
                expected += (uint64_t)(place++ + 1) * slot->bytes.data[at];
        }
        /* In order of reservation. */
        if (node->next != done)
            assert_true(slot < container_of(node->next, struct answer_slot, node));
    }
    return expected;
}

/* Slots of random shapes, finished in random order, sent in random steps: the stream is theirs, in order. */
#define MODEL_SLOTS 400
static void test_random(void **state)
{
    (void)state;
    static uint8_t bytes[MODEL_SLOTS][64];
    static struct wire_gap gaps[MODEL_SLOTS][3];
    static struct answer_slot slots[MODEL_SLOTS];
    struct prng prng;
    struct answer_queue queue;
    struct list done;
    prng_init(&prng, SEED);
    list_init(&done);
    answer_queue_init(&queue);
    int reserved = 0, finished = 0;
    uint64_t seen = 0;
    int64_t place = 0;
    while (finished < MODEL_SLOTS || queue.count > 0) {
        if (reserved < MODEL_SLOTS && prng_one_in(&prng, 2))
            answer_queue_reserve(&queue, &slots[reserved++]);
        if (reserved > finished && prng_one_in(&prng, 2)) {
            int i = (int)prng_below(&prng, (uint64_t)reserved);
            while (slots[i].state != ANSWER_OPEN)
                i = (i + 1) % reserved;
            finished++;
            if (prng_one_in(&prng, 5)) {
                answer_slot_vanish(&slots[i]);
            } else {
                size_t length = (size_t)prng_between(&prng, 1, 64);
                for (size_t at = 0; at < length; at++)
                    bytes[i][at] = (uint8_t)(i + (int)at);
                size_t gap_count = prng_below(&prng, 4), position = 0;
                for (size_t g = 0; g < gap_count; g++) {
                    position += prng_below(&prng, length - position + 1);
                    gaps[i][g] =
                        (struct wire_gap){.position = position, .length = prng_between(&prng, 0, 300)};
                }
                answer_slot_ready(&slots[i], slice_make(bytes[i], length), gaps[i], gap_count);
            }
        }
        struct answer_piece pieces[PIECES];
        size_t count = answer_queue_gather(&queue, pieces, (size_t)prng_between(&prng, 1, PIECES));
        int64_t total = 0;
        for (size_t p = 0; p < count; p++) {
            assert_true(pieces[p].length > 0);
            total += pieces[p].length;
        }
        int64_t step = total > 0 ? prng_between(&prng, 0, total) : 0;
        int64_t left = step;
        for (size_t p = 0; p < count && left > 0; p++) {
            int64_t taken = min_i64(left, pieces[p].length);
            for (int64_t at = 0; at < taken; at++, place++)
                seen +=
                    (uint64_t)(place + 1) * (pieces[p].gap != NULL ? 1000u + (uint64_t)(pieces[p].offset + at)
                                                                   : pieces[p].bytes.data[at]);
            left -= taken;
        }
        answer_queue_advance(&queue, step, &done);
    }
    assert_int_equal(seen, sum_of_slots(&done));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_gaps),
        cmocka_unit_test(test_vanish_and_close),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
