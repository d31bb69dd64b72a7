/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bound on bytes per second, measured over a window that slides: so many samples of so long, the oldest of
 * which drops out (replication.quota.window.num, replication.quota.window.size.seconds; KIP-73). The window
 * begins with the first bytes after an idle time and counts as at least one sample long, so that one answer
 * may be larger than the rate; what it was too large by is waited for afterwards. Pure.
 */
#ifndef BROKER_REPLICA_RATE_BOUND_H
#define BROKER_REPLICA_RATE_BOUND_H

#include "common/base.h"

#define RATE_UNBOUNDED INT64_MAX

struct rate_sample {
    int64_t begin_ms;
    int64_t bytes;
};

struct rate_bound {
    int64_t bytes_per_second; /* RATE_UNBOUNDED; 0: nothing passes */
    int64_t sample_ms;
    struct rate_sample *samples; /* a ring */
    size_t capacity;
    size_t oldest;
    size_t count;
};

/* Unbounded. `samples` and `sample_ms` are at least 1. */
void rate_bound_init(struct rate_bound *bound, size_t samples, int64_t sample_ms);
void rate_bound_release(struct rate_bound *bound);

/* 0: within the bound; else how long to wait, in milliseconds, if nothing more is counted meanwhile. */
int64_t rate_bound_wait_ms(struct rate_bound *bound, int64_t now_ms);
/* Counts bytes that pass, also beyond the bound. */
void rate_bound_count(struct rate_bound *bound, int64_t bytes, int64_t now_ms);

#endif
