/* SPDX-License-Identifier: Apache-2.0 */
/* For each log directory a lane of flushes, and two threads that do the periodic work by a timetable. */
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

struct keeper;

/* Work of one kind, done again and again. */
struct duty {
    void (*run)(struct keeper *keeper);
    int64_t interval_ms;
    int64_t due_ms; /* monotonic */
};

#define DUTIES_MAX 4

/* A thread with a timetable, for one log directory: one that hangs stops nobody else's work. */
struct keeper {
    struct storage *storage;
    size_t number; /* of the directory */
    const struct log_health *directory;
    int64_t clock_difference_ms; /* wall clock less monotonic clock, last time */
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
    struct keeper *files; /* of each directory, as the next */
    struct keeper *keepers;
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
    const struct keeper *keeper;
    void (*visit)(const struct round *round, struct partition *partition);
    bool *again; /* of retention: some are to be visited once more */
    int64_t wall_ms;
    int64_t now_ms;
};

/* A log that tells of no directory is the first one's. */
static bool is_mine(const struct keeper *keeper, struct partition *partition)
{
    const struct log_health *directory = partition_directory_health(partition);
    return directory == keeper->directory || (directory == NULL && keeper->number == 0);
}

static void visit_mine(void *context, struct partition *partition)
{
    const struct round *round = context;
    if (!atomic_load(&round->keeper->storage->stopping) && is_mine(round->keeper, partition))
        round->visit(round, partition);
}

/* Calls visit for each partition of the directory, but for those that are left when the threads are to end.
 * Whether some are to be visited again. */
static bool go_round(const struct keeper *keeper,
                     void (*visit)(const struct round *round, struct partition *partition))
{
    bool again = false;
    struct round round = {.keeper = keeper,
                          .visit = visit,
                          .again = &again,
                          .wall_ms = clock_wall_ms(),
                          .now_ms = clock_monotonic_ms()};
    replica_manager_each(keeper->storage->replicas, visit_mine, &round);
    return again && !atomic_load(&keeper->storage->stopping);
}

/* The errors of both have been said where they came up. */
static void retain_one(const struct round *round, struct partition *partition)
{
    bool again;
    (void)partition_retain(partition, round->wall_ms, round->now_ms, &again);
    if (again)
        *round->again = true;
}

static void remove_garbage_of(const struct round *round, struct partition *partition)
{
    (void)partition_remove_garbage(partition, round->now_ms);
}

static void look_at_flush_age(const struct round *round, struct partition *partition)
{
    partition_ask_for_aged_flush(partition, round->now_ms);
}

bool storage_clock_has_jumped(int64_t *difference_ms, int64_t wall_ms, int64_t monotonic_ms, int64_t *jump_ms)
{
    int64_t before_ms = *difference_ms;
    *difference_ms = wall_ms - monotonic_ms;
    *jump_ms = *difference_ms - before_ms;
    return *jump_ms > CLOCK_JUMP_MS || *jump_ms < -CLOCK_JUMP_MS;
}

static void remove_files(struct keeper *keeper)
{
    struct storage *storage = keeper->storage;
    go_round(keeper, remove_garbage_of);
    if (!atomic_load(&storage->stopping))
        log_manager_remove_due_in(replica_manager_logs(storage->replicas), keeper->number, clock_wall_ms());
}

static void flush_aged(struct keeper *keeper)
{
    go_round(keeper, look_at_flush_age);
}

static void probe_directory(struct keeper *keeper)
{
    log_manager_probe_in(replica_manager_logs(keeper->storage->replicas), keeper->number);
}

static void check_written(const struct keeper *keeper, int error, const char *what)
{
    struct log_directory_info info;
    if (error == 0)
        return;
    log_manager_directory_info(replica_manager_logs(keeper->storage->replicas), keeper->number, &info);
    log_error(keeper->storage->options.logger, "storage", "%s: cannot write the %s: %s", info.path, what,
              strerror(-error));
}

static void checkpoint_recovery(struct keeper *keeper)
{
    check_written(keeper, replica_manager_checkpoint_recovery(keeper->storage->replicas, keeper->number),
                  "recovery-point and log-start checkpoints");
}

/* Whether the wall clock can be believed now. */
static bool clock_is_steady(struct keeper *keeper)
{
    int64_t jump_ms;
    if (!storage_clock_has_jumped(&keeper->clock_difference_ms, clock_wall_ms(), clock_monotonic_ms(),
                                  &jump_ms))
        return true;
    if (keeper->number == 0) /* it is everybody's clock */
        log_warn(keeper->storage->options.logger, "storage",
                 "the clock was set by %lld s: nothing is removed by its age until the next check",
                 (long long)(jump_ms / 1000));
    return false;
}

/* More than any pass needs: a round lets go of up to 64 segments of each log, or flushes what is to go next.
 */
#define RETAIN_ROUNDS_MAX 64

/* The checkpoint before each round is the one that a log would write on the way, under its partition's mutex.
 */
static void retain(struct keeper *keeper)
{
    if (!clock_is_steady(keeper))
        return;
    bool again = true;
    for (int round = 0; again && round < RETAIN_ROUNDS_MAX; round++) {
        checkpoint_recovery(keeper);
        again = go_round(keeper, retain_one);
    }
}

static void checkpoint_high_watermarks(struct keeper *keeper)
{
    check_written(keeper,
                  replica_manager_checkpoint_high_watermarks(keeper->storage->replicas, keeper->number),
                  "replication-offset-checkpoint");
}

/* ---- timetables ---- */

static void add_duty(struct keeper *keeper, void (*run)(struct keeper *keeper), int64_t interval_ms,
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
        duty->run(keeper);
        duty->due_ms = clock_monotonic_ms() + duty->interval_ms;
    }
}

static void init_keeper(struct keeper *keeper, struct storage *storage, size_t number)
{
    keeper->storage = storage;
    keeper->number = number;
    keeper->directory = log_manager_directory_health(replica_manager_logs(storage->replicas), number);
    keeper->clock_difference_ms = clock_wall_ms() - clock_monotonic_ms();
}

static int start_keeper(struct keeper *keeper, const char *name)
{
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
    storage->files = memory_allocate_zeroed(options->directories, sizeof(storage->files[0]));
    storage->keepers = memory_allocate_zeroed(options->directories, sizeof(storage->keepers[0]));
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

/* Files to be removed, and the rest, of one directory: 0 or -errno. */
static int start_keepers(struct storage *storage, size_t number)
{
    const struct broker_config *config = storage->options.config;
    struct keeper *files = &storage->files[number];
    init_keeper(files, storage, number);
    add_duty(files, retain, config->log_retention_check_interval_ms, config->log_initial_task_delay_ms);
    add_duty(files, remove_files, FILES_INTERVAL_MS, FILES_INTERVAL_MS);

    struct keeper *keeper = &storage->keepers[number];
    int64_t flush_ms = config->log_flush_scheduler_interval_ms;
    flush_ms = flush_ms == INT64_MAX ? FLUSH_AGE_INTERVAL_MS : flush_ms;
    /* Both offsets are in one pair of files and written together. */
    int64_t recovery_ms = min_i64(config->log_flush_offset_checkpoint_interval_ms,
                                  config->log_flush_start_offset_checkpoint_interval_ms);
    int64_t high_watermark_ms = config->replica_high_watermark_checkpoint_interval_ms;
    init_keeper(keeper, storage, number);
    add_duty(keeper, flush_aged, flush_ms, flush_ms);
    add_duty(keeper, checkpoint_recovery, recovery_ms, recovery_ms);
    add_duty(keeper, checkpoint_high_watermarks, high_watermark_ms, high_watermark_ms);
    add_duty(keeper, probe_directory, FILES_INTERVAL_MS, FILES_INTERVAL_MS);
    int error = start_keeper(files, "storage-files");
    return error != 0 ? error : start_keeper(keeper, "storage-keeper");
}

int storage_start(struct storage *storage, struct replica_manager *replicas)
{
    int error = 0;
    storage->replicas = replicas;
    for (size_t i = 0; i < storage->options.directories && error == 0; i++)
        error = start_keepers(storage, i);
    return error;
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
    for (size_t i = 0; i < storage->options.directories; i++) {
        end_keeper(&storage->files[i]);
        end_keeper(&storage->keepers[i]);
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
    free(storage->files);
    free(storage->keepers);
    free(storage);
}
