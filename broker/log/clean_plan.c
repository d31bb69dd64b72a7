/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic on segments. */
#include "broker/log/clean_plan.h"

#include "common/check.h"

int64_t clean_plan_first_dirty(int64_t remembered, int64_t log_start_offset, int64_t log_end_offset)
{
    return remembered < log_start_offset || remembered > log_end_offset ? log_start_offset : remembered;
}

size_t clean_plan_first_segment(const struct clean_plan_segment *segments, size_t count, int64_t offset)
{
    size_t number = 0;
    while (number + 1 < count && segments[number + 1].base_offset <= offset)
        number++;
    return number;
}

/* a - b where that fits; else as little as there is. */
static int64_t subtract(int64_t a, int64_t b)
{
    int64_t difference;
    return __builtin_sub_overflow(a, b, &difference) ? INT64_MIN : difference;
}

/* The first dirty segment that is too young. */
static int64_t first_young_offset(const struct clean_plan_input *input, size_t first_dirty)
{
    if (input->min_compaction_lag_ms <= 0)
        return INT64_MAX;
    int64_t newest = subtract(input->now_ms, input->min_compaction_lag_ms);
    for (size_t i = first_dirty; i + 1 < input->segments_count; i++)
        if (input->segments[i].largest_timestamp > newest)
            return input->segments[i].base_offset;
    return INT64_MAX;
}

static int64_t delay_ms(const struct clean_plan_input *input, size_t first_dirty)
{
    int64_t earliest = INT64_MAX;
    for (size_t i = first_dirty; i + 1 < input->segments_count; i++)
        if (input->segments[i].first_timestamp > 0)
            earliest = min_i64(earliest, input->segments[i].first_timestamp);
    int64_t clean_until = subtract(input->now_ms, max_i64(input->max_compaction_lag_ms, 0));
    return earliest < clean_until ? subtract(clean_until, earliest) : 0;
}

void clean_plan_make(const struct clean_plan_input *input, struct clean_plan *plan)
{
    CHECK(input->segments_count > 0);
    const struct clean_plan_segment *segments = input->segments;
    size_t active = input->segments_count - 1;
    *plan = (struct clean_plan){0};
    plan->first_dirty_offset =
        clean_plan_first_dirty(input->first_dirty_offset, input->log_start_offset, input->log_end_offset);
    size_t first_dirty = clean_plan_first_segment(segments, input->segments_count, plan->first_dirty_offset);
    int64_t bound = min_i64(input->last_stable_offset, segments[active].base_offset);
    bound = min_i64(bound, first_young_offset(input, first_dirty));
    /* Nothing below the first dirty offset is in question any more, but for the recovery point: it may have
     * fallen since. */
    bound = min_i64(max_i64(bound, plan->first_dirty_offset), input->recovery_point);
    while (plan->segments_count < active && segments[plan->segments_count + 1].base_offset <= bound)
        plan->segments_count++;
    plan->first_uncleanable_offset = segments[plan->segments_count].base_offset;
    /* As in Kafka, a segment that is dirty in part counts on both sides. */
    for (size_t i = 0; i < plan->segments_count; i++) {
        if (segments[i].base_offset < plan->first_dirty_offset)
            plan->clean_bytes += segments[i].size_bytes;
        if (i >= first_dirty)
            plan->cleanable_bytes += segments[i].size_bytes;
    }
    int64_t total = plan->clean_bytes + plan->cleanable_bytes;
    plan->dirty_ratio = total > 0 ? (double)plan->cleanable_bytes / (double)total : 0;
    plan->delay_ms = delay_ms(input, first_dirty);
    plan->due = plan->cleanable_bytes > 0 && plan->first_dirty_offset < plan->first_uncleanable_offset &&
                (plan->delay_ms > 0 || plan->dirty_ratio > input->min_cleanable_dirty_ratio);
}

bool clean_plan_is_filthier(const struct clean_plan *plan, const struct clean_plan *other)
{
    return plan->dirty_ratio > other->dirty_ratio;
}

bool clean_group_take(struct clean_group *group, const struct clean_group_segment *segment,
                      int64_t end_offset, const struct clean_group_bounds *bounds)
{
    struct clean_group larger = *group;
    if (group->count == 0)
        larger.base_offset = segment->base_offset;
    larger.size_bytes += segment->size_bytes;
    larger.offset_index_bytes += segment->offset_index_bytes;
    larger.time_index_bytes += segment->time_index_bytes;
    larger.count++;
    bool fits = larger.size_bytes <= bounds->segment_bytes &&
                larger.offset_index_bytes <= bounds->index_bytes &&
                larger.time_index_bytes <= bounds->index_bytes;
    /* An empty segment takes no offsets: one is not left behind for every 2^31. */
    bool spans = segment->size_bytes == 0 || end_offset - 1 - larger.base_offset <= INT32_MAX;
    if (group->count > 0 && !(fits && spans))
        return false;
    *group = larger;
    return true;
}
