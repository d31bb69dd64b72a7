/* SPDX-License-Identifier: Apache-2.0 */
/* The three rules. */
#include "broker/log/retention.h"

/* Whether a segment may go at all, whatever the rule. */
static bool may_go(const struct retention_input *input, size_t number)
{
    bool active = number + 1 == input->segments_count;
    int64_t end = active ? input->log_end_offset : input->segments[number + 1].base_offset;
    return input->high_watermark >= end && !(active && input->segments[number].size_bytes == 0);
}

static size_t below_log_start(const struct retention_input *input)
{
    size_t number = 0;
    while (number + 1 < input->segments_count && may_go(input, number) &&
           input->segments[number + 1].base_offset <= input->log_start_offset)
        number++;
    return number;
}

static size_t beyond_size(const struct retention_input *input, size_t first)
{
    if (input->retention_bytes < 0)
        return 0;
    int64_t excess = -input->retention_bytes;
    for (size_t i = first; i < input->segments_count; i++)
        excess += input->segments[i].size_bytes;
    size_t number = first;
    while (number < input->segments_count && may_go(input, number) &&
           excess >= input->segments[number].size_bytes)
        excess -= input->segments[number++].size_bytes;
    return number - first;
}

static bool is_too_old(const struct retention_input *input, int64_t time_ms)
{
    int64_t oldest_kept;
    /* A limit below the smallest number that there is: nothing is too old. */
    if (__builtin_sub_overflow(input->now_ms, input->retention_ms, &oldest_kept))
        return false;
    return time_ms < oldest_kept;
}

static size_t beyond_time(const struct retention_input *input, size_t first, bool *needs_time)
{
    if (input->retention_ms < 0)
        return 0;
    size_t number = first;
    while (number < input->segments_count && may_go(input, number)) {
        int64_t time_ms = input->segments[number].time_ms;
        *needs_time = time_ms == RETENTION_TIME_UNKNOWN;
        if (*needs_time || !is_too_old(input, time_ms))
            break;
        number++;
    }
    return number - first;
}

static void decide_by_time(const struct retention_input *input, struct retention_plan *plan)
{
    plan->needs_time = false;
    plan->by_time += beyond_time(input, retention_plan_count(plan), &plan->needs_time);
    plan->roll = input->segments_count > 0 && retention_plan_count(plan) == input->segments_count;
}

void retention_go_on(const struct retention_input *input, struct retention_plan *plan)
{
    if (plan->needs_time)
        decide_by_time(input, plan);
}

struct retention_plan retention_decide(const struct retention_input *input)
{
    struct retention_plan plan = {0};
    plan.by_start = below_log_start(input);
    plan.roll = input->segments_count > 0 && plan.by_start == input->segments_count;
    if (input->retained) {
        plan.by_size = beyond_size(input, plan.by_start);
        decide_by_time(input, &plan);
    }
    return plan;
}
