/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which segments of a log go, and why: Kafka's rules of retention, on summaries of the segments. Pure.
 *
 * Three rules, each on what the former ones left, each from the oldest segment on, up to the first that it
 * does not match:
 *
 *   log start  all of the segment is below the log start
 *   size       the log without the segment is not below retention.bytes
 *   time       its largest timestamp (that of the file where no record has one) is more than retention.ms ago
 *
 * Size and time are asked only where cleanup.policy has delete. A segment goes only with its whole content
 * below the high watermark, so that the log start never passes that; the active one only when it is not
 * empty. Where all go, a new one has to be made first.
 *
 * A timestamp in the future is never too old: it holds the log's rule of time until its day comes, as with
 * Kafka; the rule of size goes on.
 */
#ifndef BROKER_LOG_RETENTION_H
#define BROKER_LOG_RETENTION_H

#include "common/base.h"

#define RETENTION_TIME_UNKNOWN INT64_MIN

struct retention_segment {
    int64_t base_offset;
    int64_t size_bytes;
    int64_t time_ms; /* largest timestamp, or the file's; RETENTION_TIME_UNKNOWN: to be looked up */
};

struct retention_input {
    const struct retention_segment *segments; /* by base offset; the last one is active */
    size_t segments_count;
    int64_t log_start_offset;
    int64_t log_end_offset;
    int64_t high_watermark;
    bool retained;           /* cleanup.policy has delete */
    int64_t retention_ms;    /* below 0: no limit */
    int64_t retention_bytes; /* below 0: no limit */
    int64_t now_ms;          /* wall clock */
};

struct retention_plan {
    size_t by_start; /* segments from the front, for each rule in this order */
    size_t by_size;
    size_t by_time;
    bool roll; /* that is all of them: a new one first */
    /* The plan ends here only because the time of the segment behind it is not known: look it up, and go on.
     */
    bool needs_time;
};

struct retention_plan retention_decide(const struct retention_input *input);
/* The time that the plan needed is in the input now: takes the segments from there on into the plan. */
void retention_go_on(const struct retention_input *input, struct retention_plan *plan);

/* How many segments go. */
static inline size_t retention_plan_count(const struct retention_plan *plan)
{
    return plan->by_start + plan->by_size + plan->by_time;
}

#endif
