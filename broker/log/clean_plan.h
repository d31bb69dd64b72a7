/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which part of a log may be compacted, whether it is worth it, and which segments become one.
 *
 *   | clean | dirty, cleanable | not cleanable: open transactions, young, active |
 *   start   first_dirty        first_uncleanable                                 end
 *
 * The first uncleanable offset is a segment's base: that of the segment which holds the lowest of
 *  - the last stable offset (and with it the high watermark),
 *  - the base of the active segment,
 *  - the base of the first dirty segment with a record younger than min.compaction.lag.ms,
 *  - the recovery point: recovery takes a gap above it for a loss, see README.md.
 *
 * A log is due when cleanable / (clean + cleanable) bytes exceed min.cleanable.dirty.ratio, or when a dirty
 * segment has waited longer than max.compaction.lag.ms. Pure.
 */
#ifndef BROKER_LOG_CLEAN_PLAN_H
#define BROKER_LOG_CLEAN_PLAN_H

#include "common/base.h"

struct clean_plan_segment {
    int64_t base_offset;
    int64_t size_bytes;
    int64_t largest_timestamp; /* looked at in dirty segments where min_compaction_lag_ms > 0; -1: none */
    int64_t first_timestamp;   /* of the first batch; in dirty ones, for max_compaction_lag_ms; -1: none */
};

struct clean_plan_input {
    const struct clean_plan_segment *segments; /* by base offset; the last one is active */
    size_t segments_count;                     /* at least 1 */
    int64_t log_start_offset;
    int64_t log_end_offset;
    int64_t first_dirty_offset; /* as remembered; -1: nothing was ever cleaned */
    int64_t last_stable_offset;
    int64_t recovery_point;
    int64_t now_ms; /* wall clock */
    int64_t min_compaction_lag_ms;
    int64_t max_compaction_lag_ms;
    double min_cleanable_dirty_ratio;
};

struct clean_plan {
    int64_t first_dirty_offset; /* corrected where what was remembered lies outside the log */
    int64_t first_uncleanable_offset;
    size_t segments_count; /* so many of the input lie below first_uncleanable_offset */
    int64_t clean_bytes;
    int64_t cleanable_bytes;
    double dirty_ratio; /* 0 where there is nothing at all */
    int64_t delay_ms;   /* by which max.compaction.lag.ms is exceeded; 0: it is not */
    bool due;
};

/* Where the first dirty offset is in truth: the log start where what is remembered lies outside the log. */
int64_t clean_plan_first_dirty(int64_t remembered, int64_t log_start_offset, int64_t log_end_offset);
/* The number of the first segment that is dirty at least in part. */
size_t clean_plan_first_segment(const struct clean_plan_segment *segments, size_t count, int64_t offset);
void clean_plan_make(const struct clean_plan_input *input, struct clean_plan *plan);
/* Whether the first is to be cleaned before the second; both are due. */
bool clean_plan_is_filthier(const struct clean_plan *plan, const struct clean_plan *other);

struct clean_group_segment {
    int64_t base_offset;
    int64_t size_bytes;
    int64_t offset_index_bytes;
    int64_t time_index_bytes;
};

struct clean_group_bounds {
    int64_t segment_bytes; /* segment.bytes */
    int64_t index_bytes;   /* segment.index.bytes */
};

/* Segments that become one, while they are found out one after the other. */
struct clean_group {
    int64_t base_offset;
    int64_t size_bytes;
    int64_t offset_index_bytes;
    int64_t time_index_bytes;
    size_t count;
};

/*
 * Takes the next segment, which ends at end_offset, into a group that is all zero at first. True: it fits, as
 * the first one always does. False: in size, its indexes, or the 31 bits of a relative offset it does not,
 * and the group is what it was.
 */
MUST_CHECK bool clean_group_take(struct clean_group *group, const struct clean_group_segment *segment,
                                 int64_t end_offset, const struct clean_group_bounds *bounds);

#endif
