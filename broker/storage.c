/* SPDX-License-Identifier: Apache-2.0 */
/* Lanes of flushes, one for each log directory, and two threads that do the periodic work by a timetable. */
#include "broker/storage.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "broker/replica/partition_storage.h"
#include "common/clock.h"
#include "common/memory.h"
#include "common/worker.h"

/* How often logs are looked at for flush.ms, unless log.flush.scheduler.interval.ms says something else. */
#define FLUSH_AGE_INTERVAL_MS 1000
/* Files and folders that wait to be removed, and full directories. */
#define FILES_INTERVAL_MS 1000
#define INTERVAL_MIN_MS 10
#define INTERVAL_MAX_MS ((int64_t)10 * 365 * 24 * 3600 * 1000)
/* The clocks may drift apart so far between two rounds of retention. */
#define CLOCK_JUMP_MS 60000

/* The flushes of one log directory. */
struct flush_lane {
    const struct log_health *directory; /* whose it is; NULL: nobody's yet. Guarded by the storage's lock */
    struct worker *awaited;
    struct worker *at_ease;
};

struct flush_request {
    struct mail mail;
    struct storage *storage;
    struct partition *partition; /* a reference */
    enum flush_urgency urgency;
};

/* Work of one kind, done again and again. */
struct duty {
    void (*run)(struct storage *storage);
    int64_t interval_ms;
    int64_t due_ms; /* monotonic */
};

#define DUTIES_MAX 4

/* A thread with a timetable. */
struct keeper {
    struct storage *storage;
    pthread_t thread;
    bool started;
    struct duty duties[DUTIES_MAX];
    size_t count;
};

struct storage {
    struct storage_options options;
    struct replica_manager *replicas;
    pthread_mutex_t lock; /* guards the lanes' directories, the complaints, and the sleep of the keepers */
    pthread_cond_t stop_wanted;
    atomic_bool stopping; /* set under the lock */
    struct flush_lane *lanes;
    struct log_limiter complaints;
    struct keeper files;
    struct keeper keeper;
    int64_t clock_difference_ms; /* the files' thread's: wall clock less monotonic clock, last time */
};

/* ---- flushes ---- */

static void complain(struct storage *storage, const struct partition *partition, int error)
{
    uint64_t suppressed;
    pthread_mutex_lock(&storage->lock);
    bool allowed = log_limiter_allow(&storage->complaints, clock_monotonic_ms(), &suppressed);
    pthread_mutex_unlock(&storage->lock);
    if (allowed)
        log_error(storage->options.logger, "storage",
                  "%.*s-%d: cannot be flushed: %s (%llu lines like this were left out)",
                  SLICE_ARGUMENTS(partition_topic(partition)), partition_number(partition), strerror(-error),
                  (unsigned long long)suppressed);
}

static void handle_flush(struct mail *mail)
{
    struct flush_request *request = container_of(mail, struct flush_request, mail);
    struct storage *storage = request->storage;
    struct partition *partition = request->partition;
    if (!atomic_load(&storage->stopping)) {
        struct log_flush *flush;
        int error = partition_flush_begin(partition, request->urgency, clock_monotonic_ms(), &flush);
        if (flush != NULL) {
            error = log_flush_run(flush);
            error = partition_flush_end(partition, flush, error, clock_monotonic_ms());
        }
        if (error != 0)
            complain(storage, partition, error);
    }
    partition_release(partition);
    free(request);
}

/* A directory gets its lane when the first of its logs asks; the caller holds the lock. */
static struct flush_lane *lane_of(struct storage *storage, const struct log_health *directory)
{
    for (size_t i = 0; i < storage->options.directories; i++) {
        struct flush_lane *lane = &storage->lanes[i];
        if (lane->directory == NULL)
            lane->directory = directory;
        if (lane->directory == directory)
            return lane;
    }
    return &storage->lanes[0];
}

void storage_flush_wanted(struct storage *storage, struct partition *partition, enum flush_urgency urgency)
{
    struct flush_request *request = memory_allocate_zeroed(1, sizeof(*request));
    request->mail.handle = handle_flush;
    request->storage = storage;
    request->partition = partition_acquire(partition);
    request->urgency = urgency;
    const struct log_health *directory = partition_directory_health(partition);
    pthread_mutex_lock(&storage->lock);
    bool taken = !atomic_load(&storage->stopping);
    if (taken) {
        struct flush_lane *lane = lane_of(storage, directory);
        worker_post(urgency == FLUSH_AWAITED ? lane->awaited : lane->at_ease, &request->mail);
    }
    pthread_mutex_unlock(&storage->lock);
    if (taken)
        return;
    partition_release(partition);
    free(request);
}

/* ---- periodic work ---- */

struct round {
    struct storage *storage;
    int64_t wall_ms;
    int64_t now_ms;
};

/* Calls visit for each partition, but for those that are left when the threads are to end. */
static void go_round(struct storage *storage, void (*visit)(void *context, struct partition *partition))
{
    struct round round = {.storage = storage, .wall_ms = clock_wall_ms(), .now_ms = clock_monotonic_ms()};
    replica_manager_each(storage->replicas, visit, &round);
}

static bool round_goes_on(const struct round *round)
{
    return !atomic_load(&round->storage->stopping);
}

/* The errors of both have been said where they came up. */
static void retain_one(void *context, struct partition *partition)
{
    const struct round *round = context;
    if (round_goes_on(round))
        (void)partition_retain(partition, round->wall_ms, round->now_ms);
}

static void remove_garbage_of(void *context, struct partition *partition)
{
    const struct round *round = context;
    if (round_goes_on(round))
        (void)partition_remove_garbage(partition, round->now_ms);
}

static void look_at_flush_age(void *context, struct partition *partition)
{
    const struct round *round = context;
    if (round_goes_on(round))
        partition_ask_for_aged_flush(partition, round->now_ms);
}

/* Whether the wall clock can be believed: by it files are removed for good. */
static bool clock_has_jumped(struct storage *storage)
{
    int64_t difference_ms = clock_wall_ms() - clock_monotonic_ms();
    int64_t jump_ms = difference_ms - storage->clock_difference_ms;
    storage->clock_difference_ms = difference_ms;
    if (jump_ms <= CLOCK_JUMP_MS && jump_ms >= -CLOCK_JUMP_MS)
        return false;
    log_warn(storage->options.logger, "storage",
             "the clock was set by %lld s: nothing is removed by its age until the next check",
             (long long)(jump_ms / 1000));
    return true;
}

static void retain(struct storage *storage)
{
    if (!clock_has_jumped(storage))
        go_round(storage, retain_one);
}

static void remove_files(struct storage *storage)
{
    go_round(storage, remove_garbage_of);
    if (!atomic_load(&storage->stopping))
        log_manager_remove_due(replica_manager_logs(storage->replicas), clock_wall_ms());
}

static void flush_aged(struct storage *storage)
{
    go_round(storage, look_at_flush_age);
}

static void probe_directories(struct storage *storage)
{
    log_manager_probe(replica_manager_logs(storage->replicas));
}

static void checkpoint_recovery(struct storage *storage)
{
    if (replica_manager_checkpoint_recovery(storage->replicas) != 0)
        log_error(storage->options.logger, "storage",
                  "cannot write the recovery-point and log-start checkpoints");
}

/* ---- timetables ---- */

static void add_duty(struct keeper *keeper, void (*run)(struct storage *storage), int64_t interval_ms,
                     int64_t first_ms)
{
    interval_ms = min_i64(max_i64(interval_ms, INTERVAL_MIN_MS), INTERVAL_MAX_MS);
    keeper->duties[keeper->count++] =
        (struct duty){.run = run,
                      .interval_ms = interval_ms,
                      .due_ms = clock_monotonic_ms() + min_i64(max_i64(first_ms, 0), INTERVAL_MAX_MS)};
}

static struct duty *next_duty(struct keeper *keeper)
{
    struct duty *next = &keeper->duties[0];
    for (size_t i = 1; i < keeper->count; i++)
        if (keeper->duties[i].due_ms < next->due_ms)
            next = &keeper->duties[i];
    return next;
}

/* Sleeps until then, or until the threads are to end. */
static void sleep_until(struct storage *storage, int64_t due_ms)
{
    struct timespec until = {.tv_sec = due_ms / 1000, .tv_nsec = due_ms % 1000 * 1000000};
    pthread_mutex_lock(&storage->lock);
    while (!atomic_load(&storage->stopping) &&
           pthread_cond_timedwait(&storage->stop_wanted, &storage->lock, &until) != ETIMEDOUT) {
    }
    pthread_mutex_unlock(&storage->lock);
}

static void *run_keeper(void *argument)
{
    struct keeper *keeper = argument;
    struct storage *storage = keeper->storage;
    for (;;) {
        struct duty *duty = next_duty(keeper);
        sleep_until(storage, duty->due_ms);
        if (atomic_load(&storage->stopping))
            return NULL;
        duty->run(storage);
        duty->due_ms = clock_monotonic_ms() + duty->interval_ms;
    }
}

static int start_keeper(struct storage *storage, struct keeper *keeper, const char *name)
{
    keeper->storage = storage;
    int error = thread_start(&keeper->thread, name, run_keeper, keeper);
    keeper->started = error == 0;
    return error;
}

/* ---- life ---- */

static void init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC); /* that of clock_monotonic_ms */
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

int storage_new(const struct storage_options *options, struct storage **out)
{
    struct storage *storage = memory_allocate_zeroed(1, sizeof(*storage));
    storage->options = *options;
    pthread_mutex_init(&storage->lock, NULL);
    init_condition(&storage->stop_wanted);
    atomic_init(&storage->stopping, false);
    storage->lanes = memory_allocate_zeroed(options->directories, sizeof(storage->lanes[0]));
    int threads = options->config->background_threads / 2 / (int)options->directories;
    int error = 0;
    for (size_t i = 0; i < options->directories && error == 0; i++) {
        error = worker_new("flush", threads > 1 ? threads : 1, &storage->lanes[i].awaited);
        if (error == 0)
            error = worker_new("flush-segments", 1, &storage->lanes[i].at_ease);
    }
    if (error != 0) {
        storage_free(storage);
        return error;
    }
    *out = storage;
    return 0;
}

int storage_start(struct storage *storage, struct replica_manager *replicas)
{
    const struct broker_config *config = storage->options.config;
    storage->replicas = replicas;
    storage->clock_difference_ms = clock_wall_ms() - clock_monotonic_ms();
    add_duty(&storage->files, retain, config->log_retention_check_interval_ms,
             config->log_initial_task_delay_ms);
    add_duty(&storage->files, remove_files, FILES_INTERVAL_MS, FILES_INTERVAL_MS);

    int64_t flush_ms = config->log_flush_scheduler_interval_ms;
    flush_ms = flush_ms == INT64_MAX ? FLUSH_AGE_INTERVAL_MS : flush_ms;
    /* Both offsets are in one pair of files and written together. */
    int64_t recovery_ms = min_i64(config->log_flush_offset_checkpoint_interval_ms,
                                  config->log_flush_start_offset_checkpoint_interval_ms);
    add_duty(&storage->keeper, flush_aged, flush_ms, flush_ms);
    add_duty(&storage->keeper, checkpoint_recovery, recovery_ms, recovery_ms);
    add_duty(&storage->keeper, probe_directories, FILES_INTERVAL_MS, FILES_INTERVAL_MS);
    int error = start_keeper(storage, &storage->files, "storage-files");
    return error != 0 ? error : start_keeper(storage, &storage->keeper, "storage-keeper");
}

static void end_keeper(struct keeper *keeper)
{
    if (keeper->started)
        pthread_join(keeper->thread, NULL);
    keeper->started = false;
}

void storage_stop(struct storage *storage)
{
    if (storage == NULL || atomic_load(&storage->stopping))
        return;
    pthread_mutex_lock(&storage->lock);
    atomic_store(&storage->stopping, true);
    pthread_cond_broadcast(&storage->stop_wanted);
    pthread_mutex_unlock(&storage->lock);
    end_keeper(&storage->files);
    end_keeper(&storage->keeper);
    for (size_t i = 0; i < storage->options.directories; i++) {
        worker_free(storage->lanes[i].awaited);
        worker_free(storage->lanes[i].at_ease);
    }
}

void storage_free(struct storage *storage)
{
    if (storage == NULL)
        return;
    storage_stop(storage);
    pthread_cond_destroy(&storage->stop_wanted);
    pthread_mutex_destroy(&storage->lock);
    free(storage->lanes);
    free(storage);
}
