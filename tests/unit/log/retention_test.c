/* SPDX-License-Identifier: Apache-2.0 */
/* The core of retention beside a model that takes one segment at a time, as the rules are told; and the edges
 * of each rule. */
#include "broker/log/retention.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/prng.h"

#define SEGMENTS_MAX 6
#define ROUNDS 300000
#define SEED 20260131

struct model {
    struct retention_segment segments[SEGMENTS_MAX + 1];
    size_t count;
    const struct retention_input *input;
};

static int64_t model_size(const struct model *model)
{
    int64_t size = 0;
    for (size_t i = 0; i < model->count; i++)
        size += model->segments[i].size_bytes;
    return size;
}

static bool matches(const struct model *model, int rule)
{
    const struct retention_segment *oldest = &model->segments[0];
    const struct retention_input *input = model->input;
    bool last = model->count == 1;
    switch (rule) {
    case 0:
        return !last && model->segments[1].base_offset <= input->log_start_offset;
    case 1:
        return input->retained && input->retention_bytes >= 0 &&
               model_size(model) - input->retention_bytes - oldest->size_bytes >= 0;
    default:
        return input->retained && input->retention_ms >= 0 &&
               input->now_ms - oldest->time_ms > input->retention_ms;
    }
}

/* Takes the oldest segment out where the rule says so; the active one is replaced by an empty one. */
static bool take_one(struct model *model, int rule, bool *rolled)
{
    if (model->count == 0)
        return false;
    bool last = model->count == 1;
    int64_t end = last ? model->input->log_end_offset : model->segments[1].base_offset;
    if (model->input->high_watermark < end || (last && model->segments[0].size_bytes == 0) ||
        !matches(model, rule))
        return false;
    if (last) {
        *rolled = true;
        model->segments[model->count++] = (struct retention_segment){end, 0, model->input->now_ms};
    }
    memmove(model->segments, model->segments + 1, --model->count * sizeof(model->segments[0]));
    return true;
}

static struct retention_plan model_decide(const struct retention_input *input)
{
    struct model model = {.count = input->segments_count, .input = input};
    struct retention_plan plan = {0};
    size_t *counts[] = {&plan.by_start, &plan.by_size, &plan.by_time};
    memcpy(model.segments, input->segments, input->segments_count * sizeof(model.segments[0]));
    for (int rule = 0; rule < 3; rule++)
        while (take_one(&model, rule, &plan.roll))
            (*counts[rule])++;
    return plan;
}

static void assert_same(const struct retention_plan *plan, const struct retention_plan *expected)
{
    assert_int_equal(plan->by_start, expected->by_start);
    assert_int_equal(plan->by_size, expected->by_size);
    assert_int_equal(plan->by_time, expected->by_time);
    assert_int_equal(plan->roll, expected->roll);
    assert_false(plan->needs_time);
}

static int64_t below(struct prng *prng, uint64_t bound)
{
    return (int64_t)prng_below(prng, bound);
}

static void random_logs_go_as_the_model_says(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, SEED);
    printf("seed %d\n", SEED);
    for (int round = 0; round < ROUNDS; round++) {
        struct retention_segment segments[SEGMENTS_MAX], unknown[SEGMENTS_MAX];
        size_t count = 1 + (size_t)below(&prng, SEGMENTS_MAX);
        int64_t offset = below(&prng, 3);
        for (size_t i = 0; i < count; i++) {
            bool empty = below(&prng, 5) == 0;
            segments[i] =
                (struct retention_segment){offset, empty ? 0 : 1 + below(&prng, 4), below(&prng, 12)};
            unknown[i] = segments[i];
            unknown[i].time_ms = RETENTION_TIME_UNKNOWN;
            offset += i + 1 < count || !empty ? 1 + below(&prng, 3) : 0;
        }
        struct retention_input input = {.segments = segments,
                                        .segments_count = count,
                                        .log_start_offset = below(&prng, (uint64_t)offset + 1),
                                        .log_end_offset = offset,
                                        .high_watermark = below(&prng, (uint64_t)offset + 1),
                                        .retained = below(&prng, 4) > 0,
                                        .retention_ms = below(&prng, 12) - 1,
                                        .retention_bytes = below(&prng, 16) - 1,
                                        .now_ms = below(&prng, 14)};
        struct retention_plan expected = model_decide(&input), plan = retention_decide(&input);
        assert_same(&plan, &expected);
        assert_int_equal(plan.roll, retention_plan_count(&plan) == count);
        /* Times that are looked up when they are asked for lead to the same. */
        input.segments = unknown;
        for (plan = retention_decide(&input); plan.needs_time; plan = retention_decide(&input))
            unknown[retention_plan_count(&plan)] = segments[retention_plan_count(&plan)];
        assert_same(&plan, &expected);
    }
}

static struct retention_input one_of(const struct retention_segment *segments, size_t count)
{
    return (struct retention_input){.segments = segments,
                                    .segments_count = count,
                                    .log_end_offset = 30,
                                    .high_watermark = 30,
                                    .retained = true,
                                    .retention_ms = -1,
                                    .retention_bytes = -1,
                                    .now_ms = 1000};
}

static void a_future_timestamp_holds_what_is_behind_it(void **state)
{
    (void)state;
    const struct retention_segment segments[] = {{0, 10, 5}, {10, 10, INT64_MAX}, {20, 10, 5}};
    struct retention_input input = one_of(segments, 3);
    input.retention_ms = 100;
    struct retention_plan plan = retention_decide(&input);
    assert_int_equal(plan.by_time, 1);
    /* The rule of size goes on all the same. */
    input.retention_bytes = 10;
    plan = retention_decide(&input);
    assert_int_equal(plan.by_size, 2);
    assert_int_equal(plan.by_time, 1);
    assert_true(plan.roll);
}

static void limits_are_exact(void **state)
{
    (void)state;
    const struct retention_segment segments[] = {{0, 10, 900}, {10, 10, 900}, {20, 10, 900}};
    struct retention_input input = one_of(segments, 3);
    input.retention_ms = 100;
    assert_int_equal(retention_decide(&input).by_time, 0);
    input.retention_ms = 99;
    assert_int_equal(retention_decide(&input).by_time, 3);
    input.retention_ms = INT64_MAX;
    input.now_ms = -5;
    assert_int_equal(retention_decide(&input).by_time, 0);
    input.retention_ms = -1;
    input.retention_bytes = 21;
    assert_int_equal(retention_decide(&input).by_size, 0);
    input.retention_bytes = 20;
    assert_int_equal(retention_decide(&input).by_size, 1);
}

static void i9_nothing_goes_at_or_above_the_high_watermark(void **state)
{
    (void)state;
    const struct retention_segment segments[] = {{0, 10, 0}, {10, 10, 0}, {20, 10, 0}};
    struct retention_input input = one_of(segments, 3);
    input.retention_ms = 0;
    input.retention_bytes = 0;
    const struct {
        int64_t high_watermark;
        size_t count;
    } cases[] = {{0, 0}, {9, 0}, {10, 1}, {19, 1}, {20, 2}, {29, 2}, {30, 3}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        input.high_watermark = cases[i].high_watermark;
        struct retention_plan plan = retention_decide(&input);
        assert_int_equal(retention_plan_count(&plan), cases[i].count);
        assert_int_equal(plan.roll, cases[i].count == 3);
    }
}

static void compacted_topics_lose_only_what_is_below_the_log_start(void **state)
{
    (void)state;
    const struct retention_segment segments[] = {{0, 10, 0}, {10, 10, 0}, {20, 10, 0}};
    struct retention_input input = one_of(segments, 3);
    input.retention_ms = 0;
    input.retention_bytes = 0;
    input.retained = false;
    input.log_start_offset = 30;
    struct retention_plan plan = retention_decide(&input);
    assert_int_equal(plan.by_start, 2);
    assert_int_equal(retention_plan_count(&plan), 2);
    assert_false(plan.roll);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_logs_go_as_the_model_says),
        cmocka_unit_test(a_future_timestamp_holds_what_is_behind_it),
        cmocka_unit_test(limits_are_exact),
        cmocka_unit_test(i9_nothing_goes_at_or_above_the_high_watermark),
        cmocka_unit_test(compacted_topics_lose_only_what_is_below_the_log_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
