/* SPDX-License-Identifier: Apache-2.0 */
/* Threads, their sleep, and the way from a partition to its log. */
#include "broker/cleaner.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "broker/replica/partition.h"
#include "common/clock.h"
#include "common/memory.h"
#include "common/prng.h"
#include "common/worker.h"

/* A duration beyond this is a year too long to matter. */
#define SLEEP_MAX_US ((int64_t)365 * 24 * 3600 * 1000000)

struct cleaner {
    struct log_cleaner *logs;
    struct replica_manager *replicas;
    int64_t backoff_ms;
    pthread_t *threads;
    int threads_count;
    atomic_bool stopping;     /* set under the lock */
    pthread_mutex_t choosing; /* one thread at a time, so that each chooses another log */
    pthread_mutex_t lock;     /* guards the sleep only */
    pthread_cond_t stop_wanted;
};

/* ---- time ---- */

static int64_t wall_ms(void *context)
{
    (void)context;
    return clock_wall_ms();
}

static int64_t monotonic_us(void *context)
{
    (void)context;
    return clock_monotonic_us();
}

static bool is_stopped(void *context)
{
    struct cleaner *cleaner = context;
    return atomic_load(&cleaner->stopping);
}

static void sleep_us(void *context, int64_t duration_us)
{
    struct cleaner *cleaner = context;
    int64_t until_us = clock_monotonic_us() + min_i64(duration_us, SLEEP_MAX_US);
    const struct timespec until = {.tv_sec = (time_t)(until_us / 1000000),
                                   .tv_nsec = (long)(until_us % 1000000) * 1000};
    pthread_mutex_lock(&cleaner->lock);
    while (!is_stopped(cleaner) &&
           pthread_cond_timedwait(&cleaner->stop_wanted, &cleaner->lock, &until) != ETIMEDOUT)
        ;
    pthread_mutex_unlock(&cleaner->lock);
}

/* ---- rounds ---- */

static struct partition_log *enter_log(void *context, int64_t *high_watermark)
{
    struct partition *partition = context;
    struct partition_log *log = partition_enter_log(partition);
    if (log != NULL)
        *high_watermark = partition_entered_high_watermark(partition);
    return log;
}

static void leave_log(void *context)
{
    partition_leave_log(context, clock_monotonic_ms());
}

struct look {
    struct cleaner *cleaner;
    struct log_cleaner_round round;
    struct partition *best; /* with a reference; NULL: none */
};

static struct log_cleaner_access access_of(struct partition *partition)
{
    return (struct log_cleaner_access){.context = partition, .enter = enter_log, .leave = leave_log};
}

static void offer(void *context, struct partition *partition)
{
    struct look *look = context;
    const struct log_cleaner_access access = access_of(partition);
    if (is_stopped(look->cleaner) ||
        !log_cleaner_offer(look->cleaner->logs, &look->round, partition_topic(partition),
                           partition_number(partition), &access))
        return;
    if (look->best != NULL)
        partition_release(look->best);
    look->best = partition_acquire(partition);
}

/* True: something was found, and the next may be waiting; one that fails is put off, and not found again. */
static bool clean_one(struct cleaner *cleaner)
{
    struct look look = {.cleaner = cleaner};
    pthread_mutex_lock(&cleaner->choosing);
    log_cleaner_begin(cleaner->logs, &look.round);
    replica_manager_each(cleaner->replicas, offer, &look);
    bool found = !is_stopped(cleaner) && log_cleaner_take(cleaner->logs, &look.round);
    pthread_mutex_unlock(&cleaner->choosing);
    if (found) {
        const struct log_cleaner_access access = access_of(look.best);
        log_cleaner_clean(cleaner->logs, &look.round, &access);
    }
    log_cleaner_end(cleaner->logs, &look.round);
    if (look.best != NULL)
        partition_release(look.best);
    return found;
}

static void *run(void *context)
{
    struct cleaner *cleaner = context;
    while (!is_stopped(cleaner))
        if (!clean_one(cleaner))
            sleep_us(cleaner, min_i64(cleaner->backoff_ms, SLEEP_MAX_US / 1000) * 1000);
    return NULL;
}

/* ---- life ---- */

static void init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC); /* that of clock_monotonic_us */
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

int cleaner_start(const struct broker_config *config, struct logger *logger, struct replica_manager *replicas,
                  struct cleaner **started)
{
    *started = NULL;
    if (!config->log_cleaner_enable || config->log_cleaner_threads == 0)
        return 0;
    struct cleaner *cleaner = memory_allocate_zeroed(1, sizeof(*cleaner));
    const struct log_cleaner_options options = {
        .logs = replica_manager_logs(replicas),
        .logger = logger,
        .threads = config->log_cleaner_threads,
        .dedupe_buffer_bytes = config->log_cleaner_dedupe_buffer_size,
        .io_buffer_bytes = config->log_cleaner_io_buffer_size,
        .load_factor = config->log_cleaner_io_buffer_load_factor,
        .max_bytes_per_second = config->log_cleaner_io_max_bytes_per_second,
        .hash_key = {random_u64(), random_u64()},
        .time = {.context = cleaner,
                 .wall_ms = wall_ms,
                 .monotonic_us = monotonic_us,
                 .sleep_us = sleep_us,
                 .stopped = is_stopped},
    };
    cleaner->logs = log_cleaner_new(&options);
    cleaner->replicas = replicas;
    cleaner->backoff_ms = config->log_cleaner_backoff_ms;
    atomic_init(&cleaner->stopping, false);
    pthread_mutex_init(&cleaner->choosing, NULL);
    pthread_mutex_init(&cleaner->lock, NULL);
    init_condition(&cleaner->stop_wanted);
    cleaner->threads = memory_allocate((size_t)options.threads * sizeof(*cleaner->threads));
    int error = 0;
    while (!error && cleaner->threads_count < options.threads) {
        error = thread_start(&cleaner->threads[cleaner->threads_count], "log-cleaner", run, cleaner);
        cleaner->threads_count += error == 0;
    }
    if (error) {
        cleaner_free(cleaner);
        return error;
    }
    *started = cleaner;
    return 0;
}

void cleaner_stop(struct cleaner *cleaner)
{
    if (cleaner == NULL)
        return;
    pthread_mutex_lock(&cleaner->lock);
    atomic_store(&cleaner->stopping, true);
    pthread_cond_broadcast(&cleaner->stop_wanted);
    pthread_mutex_unlock(&cleaner->lock);
    for (int i = 0; i < cleaner->threads_count; i++)
        pthread_join(cleaner->threads[i], NULL);
    cleaner->threads_count = 0;
}

void cleaner_free(struct cleaner *cleaner)
{
    if (cleaner == NULL)
        return;
    cleaner_stop(cleaner);
    log_cleaner_free(cleaner->logs);
    pthread_cond_destroy(&cleaner->stop_wanted);
    pthread_mutex_destroy(&cleaner->choosing);
    pthread_mutex_destroy(&cleaner->lock);
    free(cleaner->threads);
    free(cleaner);
}

void cleaner_statistics(struct cleaner *cleaner, struct log_cleaner_statistics *statistics)
{
    *statistics = (struct log_cleaner_statistics){0};
    if (cleaner != NULL)
        log_cleaner_statistics(cleaner->logs, statistics);
}
