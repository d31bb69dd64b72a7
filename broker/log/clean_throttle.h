/* SPDX-License-Identifier: Apache-2.0 */
/*
 * So many bytes a second and no more: each taker is told how long to wait. Time that nobody used is saved up
 * for a quarter of a second at most. Pure; not thread-safe.
 */
#ifndef BROKER_LOG_CLEAN_THROTTLE_H
#define BROKER_LOG_CLEAN_THROTTLE_H

#include "common/base.h"

struct clean_throttle {
    double bytes_per_second;
    int64_t free_us; /* when all that was taken has been paid for */
};

/* <= 0: no limit. */
void clean_throttle_init(struct clean_throttle *throttle, double bytes_per_second);
/* Takes the bytes at `now_us` (monotonic): how long to wait, in microseconds. */
int64_t clean_throttle_take(struct clean_throttle *throttle, size_t bytes, int64_t now_us);

#endif
