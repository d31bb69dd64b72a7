/* SPDX-License-Identifier: Apache-2.0 */
/* The ring of samples: a new one begins when the newest is full, the oldest goes when the window is over. */
#include "broker/replica/rate_bound.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/memory.h"

/* More in one window is no more to be told from it: keeps what follows within 64 bits. */
#define BYTES_MAX (INT64_MAX / 4000)

void rate_bound_init(struct rate_bound *bound, size_t samples, int64_t sample_ms)
{
    CHECK(samples > 0 && sample_ms > 0);
    *bound =
        (struct rate_bound){.bytes_per_second = RATE_UNBOUNDED, .sample_ms = sample_ms, .capacity = samples};
    bound->samples = memory_allocate_zeroed(samples, sizeof(bound->samples[0]));
}

void rate_bound_release(struct rate_bound *bound)
{
    free(bound->samples);
    *bound = (struct rate_bound){0};
}

static struct rate_sample *sample_at(struct rate_bound *bound, size_t position)
{
    return &bound->samples[(bound->oldest + position) % bound->capacity];
}

static void drop_oldest(struct rate_bound *bound)
{
    bound->oldest = (bound->oldest + 1) % bound->capacity;
    bound->count--;
}

static int64_t window_ms(const struct rate_bound *bound)
{
    return (int64_t)bound->capacity * bound->sample_ms;
}

static void drop_expired(struct rate_bound *bound, int64_t now_ms)
{
    while (bound->count > 0 && now_ms - sample_at(bound, 0)->begin_ms >= window_ms(bound))
        drop_oldest(bound);
}

static int64_t bytes_in_window(struct rate_bound *bound)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < bound->count; i++)
        bytes = min_i64(bytes + sample_at(bound, i)->bytes, BYTES_MAX);
    return bytes;
}

/* How long so many bytes take at the rate, rounded up. */
static int64_t time_of(const struct rate_bound *bound, int64_t bytes)
{
    if (bytes == 0)
        return 0;
    if (bound->bytes_per_second <= 0)
        return INT64_MAX;
    int64_t rate = min_i64(bound->bytes_per_second, BYTES_MAX);
    return bytes / rate * 1000 + (bytes % rate * 1000 + rate - 1) / rate;
}

int64_t rate_bound_wait_ms(struct rate_bound *bound, int64_t now_ms)
{
    if (bound->bytes_per_second == RATE_UNBOUNDED)
        return 0;
    drop_expired(bound, now_ms);
    if (bound->bytes_per_second <= 0)
        return bound->sample_ms;
    if (bound->count == 0)
        return 0;
    int64_t begin_ms = sample_at(bound, 0)->begin_ms;
    int64_t elapsed_ms = max_i64(now_ms - begin_ms, bound->sample_ms);
    int64_t needed_ms = time_of(bound, bytes_in_window(bound));
    if (needed_ms <= elapsed_ms)
        return 0;
    /* With the oldest sample gone the window is another one. */
    return max_i64(min_i64(needed_ms - (now_ms - begin_ms), begin_ms + window_ms(bound) - now_ms), 1);
}

void rate_bound_count(struct rate_bound *bound, int64_t bytes, int64_t now_ms)
{
    drop_expired(bound, now_ms);
    if (bound->count == 0 || now_ms - sample_at(bound, bound->count - 1)->begin_ms >= bound->sample_ms) {
        if (bound->count == bound->capacity)
            drop_oldest(bound);
        bound->count++;
        *sample_at(bound, bound->count - 1) = (struct rate_sample){.begin_ms = now_ms};
    }
    struct rate_sample *newest = sample_at(bound, bound->count - 1);
    newest->bytes = min_i64(newest->bytes + min_i64(bytes, BYTES_MAX), BYTES_MAX);
}
