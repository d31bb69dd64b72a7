/* SPDX-License-Identifier: Apache-2.0 */
/* The codec of control messages: round trips, cut and changed bytes, numbers out of range, memory budgets. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/control/message.h"

#define SEED 20261120
#define BUDGET ((size_t)1 << 20)

static enum control_kind kind_of(uint64_t round)
{
    return (enum control_kind)(CONTROL_LEADER_AND_ISR + round % CONTROL_FORWARD);
}

static void request_round_trip(struct prng *prng, uint64_t round)
{
    struct arena made, read;
    struct buffer bytes, before, after;
    struct control_request request, decoded;
    arena_init(&made, ARENA_NO_BUDGET);
    arena_init(&read, ARENA_NO_BUDGET);
    buffer_init(&bytes);
    buffer_init(&before);
    buffer_init(&after);
    message_random_request(prng, &made, kind_of(round), &request);
    control_request_encode(&request, &bytes);
    assert_int_equal(control_request_decode(buffer_slice(&bytes), &read, &decoded), 0);
    message_print_request(&request, &before);
    message_print_request(&decoded, &after);
    assert_string_equal(buffer_string(&before), buffer_string(&after));
    buffer_release(&after);
    buffer_release(&before);
    buffer_release(&bytes);
    arena_release(&read);
    arena_release(&made);
}

static void answer_round_trip(struct prng *prng, uint64_t round)
{
    struct arena made, read;
    struct buffer bytes, before, after;
    struct control_answer answer, decoded;
    arena_init(&made, ARENA_NO_BUDGET);
    arena_init(&read, ARENA_NO_BUDGET);
    buffer_init(&bytes);
    buffer_init(&before);
    buffer_init(&after);
    message_random_answer(prng, &made, kind_of(round), &answer);
    control_answer_encode(&answer, &bytes);
    assert_int_equal(control_answer_decode(buffer_slice(&bytes), &read, &decoded), 0);
    message_print_answer(&answer, &before);
    message_print_answer(&decoded, &after);
    assert_string_equal(buffer_string(&before), buffer_string(&after));
    buffer_release(&after);
    buffer_release(&before);
    buffer_release(&bytes);
    arena_release(&read);
    arena_release(&made);
}

static void round_trips(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, SEED);
    printf("seed %d\n", SEED);
    for (uint64_t round = 0; round < 3000; round++) {
        request_round_trip(&prng, round);
        answer_round_trip(&prng, round);
    }
}

/* Whatever the bytes are: an error or a message, never a crash, and never more memory than the budget. */
static void decode_anything(struct slice bytes)
{
    struct arena arena;
    struct control_request request;
    struct control_answer answer;
    struct buffer text;
    buffer_init(&text);
    arena_init(&arena, BUDGET);
    int result = control_request_decode(bytes, &arena, &request);
    assert_true(result == 0 || result == -EBADMSG || result == -ENOMEM);
    if (result == 0)
        message_print_request(&request, &text);
    assert_true(arena.allocated <= BUDGET);
    arena_clear(&arena);
    result = control_answer_decode(bytes, &arena, &answer);
    assert_true(result == 0 || result == -EBADMSG || result == -ENOMEM);
    if (result == 0)
        message_print_answer(&answer, &text);
    assert_true(arena.allocated <= BUDGET);
    arena_release(&arena);
    buffer_release(&text);
}

static void garbage(void **state)
{
    (void)state;
    struct prng prng;
    struct buffer bytes;
    prng_init(&prng, SEED + 1);
    buffer_init(&bytes);
    for (int round = 0; round < 20000; round++) {
        buffer_clear(&bytes);
        size_t length = prng_below(&prng, 80);
        for (size_t i = 0; i < length; i++)
            *buffer_extend(&bytes, 1) = (uint8_t)prng_next(&prng);
        decode_anything(buffer_slice(&bytes));
    }
    buffer_release(&bytes);
}

static void cut_and_changed(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, SEED + 2);
    for (uint64_t round = 0; round < 400; round++) {
        struct arena arena;
        struct buffer bytes;
        struct control_request request;
        arena_init(&arena, ARENA_NO_BUDGET);
        buffer_init(&bytes);
        message_random_request(&prng, &arena, kind_of(round), &request);
        control_request_encode(&request, &bytes);
        for (size_t i = 0; i < min_size(bytes.length, 200); i++) {
            /* a copy of the exact length lets the sanitizer see any step beyond it */
            struct buffer cut;
            buffer_init(&cut);
            buffer_append(&cut, bytes.data, prng_below(&prng, bytes.length));
            decode_anything(buffer_slice(&cut));
            buffer_release(&cut);
            size_t at = prng_below(&prng, bytes.length);
            uint8_t kept = bytes.data[at];
            bytes.data[at] = (uint8_t)prng_next(&prng);
            decode_anything(buffer_slice(&bytes));
            bytes.data[at] = kept;
        }
        buffer_release(&bytes);
        arena_release(&arena);
    }
}

static int recode_request(const struct control_request *request, size_t budget)
{
    struct arena arena;
    struct buffer bytes;
    struct control_request decoded;
    arena_init(&arena, budget);
    buffer_init(&bytes);
    control_request_encode(request, &bytes);
    int result = control_request_decode(buffer_slice(&bytes), &arena, &decoded);
    buffer_release(&bytes);
    arena_release(&arena);
    return result;
}

static void out_of_range(void **state)
{
    (void)state;
    struct control_endpoint endpoint = {slice_of("L"), slice_of("PLAINTEXT"), slice_of("h"), 9092};
    struct control_broker broker = {1, 5, slice_of(NULL), &endpoint, 1};
    struct isr_member seat = {1, 5};
    int32_t replica = 1;
    struct control_partition partition = {
        .leader = 1, .isr = &seat, .isr_count = 1, .replicas = &replica, .replicas_count = 1};
    struct control_topic topic = {.name = slice_of("t"), .partitions = &partition, .partitions_count = 1};
    struct control_request request = {
        .kind = CONTROL_LEADER_AND_ISR,
        .leader_and_isr = {1, 2, 3, .brokers = &broker, .brokers_count = 1, &topic, 1}};
    assert_int_equal(recode_request(&request, BUDGET), 0);

    endpoint.port = 65536;
    assert_int_equal(recode_request(&request, BUDGET), -EBADMSG);
    endpoint.port = -1;
    assert_int_equal(recode_request(&request, BUDGET), -EBADMSG);
    endpoint.port = 0;
    replica = -1;
    assert_int_equal(recode_request(&request, BUDGET), -EBADMSG);
    replica = 1;
    seat.broker_epoch = -2;
    assert_int_equal(recode_request(&request, BUDGET), -EBADMSG);
    seat.broker_epoch = -1;
    partition.leader = -3;
    assert_int_equal(recode_request(&request, BUDGET), -EBADMSG);
    partition.leader = -1;
    partition.partition = -1;
    assert_int_equal(recode_request(&request, BUDGET), -EBADMSG);
    partition.partition = 0;
    topic.name = slice_of("");
    assert_int_equal(recode_request(&request, BUDGET), -EBADMSG);
    topic.name = slice_of("t");
    assert_int_equal(recode_request(&request, BUDGET), 0);
    assert_int_equal(recode_request(&request, 100), -ENOMEM);
}

static void no_body(void **state)
{
    (void)state;
    struct arena arena;
    struct control_request request;
    struct control_answer answer;
    arena_init(&arena, BUDGET);
    assert_int_equal(control_request_decode(slice_of(""), &arena, &request), -EBADMSG);
    assert_int_equal(control_answer_decode(slice_of(NULL), &arena, &answer), -EBADMSG);
    /* a field that is not known, and nothing else */
    assert_int_equal(control_request_decode(slice_make("\xa0\x06\x01", 3), &arena, &request), -EBADMSG);
    arena_release(&arena);
}

/* A million empty sub-messages: stopped by the budget or by the limit on their number. */
static void too_many(void **state)
{
    (void)state;
    size_t count = 1000000;
    struct buffer inner, bytes;
    buffer_init(&inner);
    buffer_init(&bytes);
    for (size_t i = 0; i < count; i++)
        buffer_append(&inner, "\x22\x00", 2);  /* field 4 of LeaderAndIsrRequest: a broker */
    uint8_t head[] = {0x0a, 0x80, 0x89, 0x7a}; /* field 1 of Request, 2,000,000 bytes */
    buffer_append(&bytes, head, sizeof(head));
    buffer_append(&bytes, inner.data, inner.length);
    decode_anything(buffer_slice(&bytes));
    struct arena arena;
    struct control_request request;
    arena_init(&arena, ARENA_NO_BUDGET);
    assert_int_equal(control_request_decode(buffer_slice(&bytes), &arena, &request), -EBADMSG);
    arena_release(&arena);
    buffer_release(&bytes);
    buffer_release(&inner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),  cmocka_unit_test(garbage), cmocka_unit_test(cut_and_changed),
        cmocka_unit_test(out_of_range), cmocka_unit_test(no_body), cmocka_unit_test(too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
