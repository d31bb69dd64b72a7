/* SPDX-License-Identifier: Apache-2.0 */
/* A bill that is paid with time. */
#include "broker/log/clean_throttle.h"

#define SAVED_US 250000
#define SECOND_US 1000000.0
/* Whoever would wait longer sees what has become of the world first. */
#define WAIT_MAX_US ((int64_t)3600 * 1000000)

void clean_throttle_init(struct clean_throttle *throttle, double bytes_per_second)
{
    *throttle = (struct clean_throttle){.bytes_per_second = bytes_per_second};
}

int64_t clean_throttle_take(struct clean_throttle *throttle, size_t bytes, int64_t now_us)
{
    if (throttle->bytes_per_second <= 0)
        return 0;
    double price_us = (double)bytes * SECOND_US / throttle->bytes_per_second;
    throttle->free_us = max_i64(throttle->free_us, now_us - SAVED_US);
    throttle->free_us += price_us < (double)WAIT_MAX_US ? (int64_t)price_us : WAIT_MAX_US;
    return max_i64(throttle->free_us - now_us, 0);
}
