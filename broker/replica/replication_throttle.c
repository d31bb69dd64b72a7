/* SPDX-License-Identifier: Apache-2.0 */
/* Bounds under a mutex each, and the reading of lists of replicas. */
#include "broker/replica/replication_throttle.h"

static void throttle_init(struct replication_throttle *throttle, size_t samples, int64_t sample_ms)
{
    atomic_init(&throttle->bounded, false);
    pthread_mutex_init(&throttle->mutex, NULL);
    rate_bound_init(&throttle->bound, samples, sample_ms);
}

static void throttle_release(struct replication_throttle *throttle)
{
    pthread_mutex_destroy(&throttle->mutex);
    rate_bound_release(&throttle->bound);
}

void replication_throttles_init(struct replication_throttles *throttles, size_t samples, int64_t sample_ms)
{
    throttle_init(&throttles->leader, samples, sample_ms);
    throttle_init(&throttles->follower, samples, sample_ms);
}

void replication_throttles_release(struct replication_throttles *throttles)
{
    throttle_release(&throttles->leader);
    throttle_release(&throttles->follower);
}

void replication_throttle_set_rate(struct replication_throttle *throttle, int64_t bytes_per_second)
{
    pthread_mutex_lock(&throttle->mutex);
    throttle->bound.bytes_per_second = bytes_per_second;
    pthread_mutex_unlock(&throttle->mutex);
    atomic_store(&throttle->bounded, bytes_per_second != RATE_UNBOUNDED);
}

int64_t replication_throttle_wait_ms(struct replication_throttle *throttle, int64_t now_ms)
{
    if (!atomic_load_explicit(&throttle->bounded, memory_order_relaxed))
        return 0;
    pthread_mutex_lock(&throttle->mutex);
    int64_t wait_ms = rate_bound_wait_ms(&throttle->bound, now_ms);
    pthread_mutex_unlock(&throttle->mutex);
    return wait_ms;
}

void replication_throttle_count(struct replication_throttle *throttle, int64_t bytes, int64_t now_ms)
{
    if (!atomic_load_explicit(&throttle->bounded, memory_order_relaxed))
        return;
    pthread_mutex_lock(&throttle->mutex);
    rate_bound_count(&throttle->bound, bytes, now_ms);
    pthread_mutex_unlock(&throttle->mutex);
}

/* Skips blanks and reads a number from `*position` on; false: there is none, or it is too large. */
static bool read_number(struct slice text, size_t *position, int64_t *number)
{
    while (*position < text.length && text.data[*position] == ' ')
        (*position)++;
    size_t begin = *position;
    *number = 0;
    while (*position < text.length && text.data[*position] >= '0' && text.data[*position] <= '9' &&
           *number <= INT32_MAX)
        *number = *number * 10 + (text.data[(*position)++] - '0');
    while (*position < text.length && text.data[*position] == ' ')
        (*position)++;
    return *position > begin && *number <= INT32_MAX;
}

bool throttled_replicas_name(struct slice list, int32_t partition, int32_t broker_id)
{
    size_t position = 0;
    while (position < list.length && list.data[position] == ' ')
        position++;
    if (position < list.length && list.data[position] == '*')
        return true;
    while (position < list.length) {
        int64_t pair_partition, pair_broker;
        if (!read_number(list, &position, &pair_partition) || position >= list.length ||
            list.data[position++] != ':' || !read_number(list, &position, &pair_broker))
            return false;
        if (pair_partition == partition && pair_broker == broker_id)
            return true;
        if (position < list.length && list.data[position++] != ',')
            return false;
    }
    return false;
}
