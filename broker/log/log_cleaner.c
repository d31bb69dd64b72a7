/* SPDX-License-Identifier: Apache-2.0 */
/* Rounds, the set of logs that are busy or given up, and the course of one cleaning. */
#include "broker/log/log_cleaner.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/clean_throttle.h"
#include "broker/log/disk_error.h"
#include "broker/log/partition_log_clean.h"
#include "common/map.h"
#include "common/memory.h"

#define MIB (1024.0 * 1024.0)

enum state { STATE_BUSY = 1, STATE_UNCLEANABLE };

/* What the set points to. */
static const enum state busy = STATE_BUSY, uncleanable = STATE_UNCLEANABLE;

struct log_cleaner {
    struct log_cleaner_options options;
    pthread_mutex_t mutex; /* guards all below; nothing is waited for under it */
    struct map *states;    /* topic, partition and topic id -> enum state */
    struct clean_throttle throttle;
    struct log_cleaner_statistics statistics;
};

struct log_cleaner *log_cleaner_new(const struct log_cleaner_options *options)
{
    struct log_cleaner *cleaner = memory_allocate_zeroed(1, sizeof(*cleaner));
    cleaner->options = *options;
    cleaner->options.threads = options->threads > 0 ? options->threads : 1;
    pthread_mutex_init(&cleaner->mutex, NULL);
    cleaner->states = map_new(options->hash_key[0]);
    clean_throttle_init(&cleaner->throttle, options->max_bytes_per_second);
    return cleaner;
}

void log_cleaner_free(struct log_cleaner *cleaner)
{
    if (cleaner == NULL)
        return;
    map_free(cleaner->states);
    pthread_mutex_destroy(&cleaner->mutex);
    free(cleaner);
}

void log_cleaner_statistics(struct log_cleaner *cleaner, struct log_cleaner_statistics *statistics)
{
    pthread_mutex_lock(&cleaner->mutex);
    *statistics = cleaner->statistics;
    pthread_mutex_unlock(&cleaner->mutex);
}

/* ---- choosing ---- */

/* A topic that was made again under the same name is another log. */
static void make_key(struct buffer *key, struct slice topic, int32_t partition, struct uuid topic_id)
{
    buffer_clear(key);
    buffer_append(key, &topic_id, sizeof(topic_id));
    buffer_print(key, "%.*s-%" PRId32, SLICE_ARGUMENTS(topic), partition);
}

void log_cleaner_begin(struct log_cleaner *cleaner, struct log_cleaner_round *round)
{
    (void)cleaner;
    *round = (struct log_cleaner_round){0};
    buffer_init(&round->key);
}

void log_cleaner_end(struct log_cleaner *cleaner, struct log_cleaner_round *round)
{
    pthread_mutex_lock(&cleaner->mutex);
    cleaner->statistics.last_run_ms = cleaner->options.time.wall_ms(cleaner->options.time.context);
    cleaner->statistics.max_dirty_ratio = round->max_dirty_ratio;
    pthread_mutex_unlock(&cleaner->mutex);
    buffer_release(&round->key);
    free(round->topic);
}

static bool is_free(struct log_cleaner *cleaner, const struct buffer *key)
{
    pthread_mutex_lock(&cleaner->mutex);
    bool is_known = map_get(cleaner->states, buffer_slice(key)) != NULL;
    pthread_mutex_unlock(&cleaner->mutex);
    return !is_known;
}

static void set_state(struct log_cleaner *cleaner, const struct buffer *key, const enum state *state)
{
    pthread_mutex_lock(&cleaner->mutex);
    if (state == NULL)
        map_remove(cleaner->states, buffer_slice(key));
    else
        map_put(cleaner->states, buffer_slice(key), (void *)state);
    if (state == &uncleanable)
        cleaner->statistics.uncleanable++;
    pthread_mutex_unlock(&cleaner->mutex);
}

/* Says that a log is not compacted any more, and why; -EBADMSG or -ENOBUFS. */
static void tell_given_up(struct log_cleaner *cleaner, struct slice topic, int32_t partition, int error,
                          struct buffer *where)
{
    log_error(cleaner->options.logger, "cleaner",
              "%.*s-%" PRId32 " is not compacted any more until the broker starts again: %s (%s)",
              SLICE_ARGUMENTS(topic), partition,
              error == -EBADMSG ? "there is a damaged batch"
                                : "not one key fits in log.cleaner.dedupe.buffer.size",
              buffer_string(where));
}

/* Under the log's lock: what could be done. 0, or -errno. */
static int look_at(struct log_cleaner *cleaner, struct partition_log *log, int64_t high_watermark,
                   struct clean_plan *plan)
{
    int64_t now_ms = cleaner->options.time.wall_ms(cleaner->options.time.context);
    /* A full disk has no room for what a cleaning writes before it removes anything. */
    if (!partition_log_settings(log)->compacted || partition_log_cleaning_is_paused(log) ||
        partition_log_failure(log) || partition_log_is_full(log))
        return 0;
    int error = partition_log_clean_plan(log, high_watermark, now_ms, plan);
    if (error)
        partition_log_clean_failed(log, error);
    return error;
}

bool log_cleaner_offer(struct log_cleaner *cleaner, struct log_cleaner_round *round, struct slice topic,
                       int32_t partition, const struct log_cleaner_access *access)
{
    int64_t high_watermark;
    struct partition_log *log = access->enter(access->context, &high_watermark);
    if (log == NULL)
        return false;
    struct buffer key;
    struct clean_plan plan = {0};
    buffer_init(&key);
    make_key(&key, topic, partition, partition_log_topic_id(log));
    int error = is_free(cleaner, &key) ? look_at(cleaner, log, high_watermark, &plan) : 0;
    access->leave(access->context);
    if (error == -EBADMSG) {
        struct buffer where;
        buffer_init(&where);
        buffer_print(&where, "found when its timestamps were looked up");
        tell_given_up(cleaner, topic, partition, error, &where);
        set_state(cleaner, &key, &uncleanable);
        buffer_release(&where);
    }
    bool due = !error && plan.due;
    if (plan.dirty_ratio > round->max_dirty_ratio)
        round->max_dirty_ratio = plan.dirty_ratio;
    bool best = due && (!round->found || clean_plan_is_filthier(&plan, &round->plan));
    if (best) {
        buffer_release(&round->key);
        free(round->topic);
        round->key = key;
        round->topic = memory_copy_bytes(topic.data, topic.length);
        round->partition = partition;
        round->plan = plan;
        round->found = true;
    } else {
        buffer_release(&key);
    }
    return best;
}

bool log_cleaner_take(struct log_cleaner *cleaner, struct log_cleaner_round *round)
{
    if (!round->found)
        return false;
    pthread_mutex_lock(&cleaner->mutex);
    round->taken = map_get(cleaner->states, buffer_slice(&round->key)) == NULL;
    if (round->taken)
        map_put(cleaner->states, buffer_slice(&round->key), (void *)&busy);
    pthread_mutex_unlock(&cleaner->mutex);
    return round->taken;
}

/* ---- one cleaning ---- */

static bool host_stopped(void *context)
{
    struct log_cleaner *cleaner = context;
    return cleaner->options.time.stopped(cleaner->options.time.context);
}

static void host_throttle(void *context, size_t bytes)
{
    struct log_cleaner *cleaner = context;
    const struct log_cleaner_time *time = &cleaner->options.time;
    int64_t now_us = time->monotonic_us(time->context);
    pthread_mutex_lock(&cleaner->mutex);
    int64_t wait_us = clean_throttle_take(&cleaner->throttle, bytes, now_us);
    pthread_mutex_unlock(&cleaner->mutex);
    if (wait_us > 0)
        time->sleep_us(time->context, wait_us);
}

static int begin(struct log_cleaner *cleaner, const struct log_cleaner_access *access, struct clean_map *map,
                 struct log_clean **clean)
{
    int64_t high_watermark;
    struct partition_log *log = access->enter(access->context, &high_watermark);
    if (log == NULL)
        return -ECANCELED;
    const struct log_cleaner_options *options = &cleaner->options;
    const struct log_clean_options cleaning = {
        .high_watermark = high_watermark,
        .now_ms = options->time.wall_ms(options->time.context),
        .map = map,
        .io_buffer_bytes = (size_t)max_i64(options->io_buffer_bytes / options->threads / 2, 1),
        .host = {.context = cleaner, .stopped = host_stopped, .throttle = host_throttle},
    };
    int error = partition_log_failure(log);
    if (!error)
        error = partition_log_clean_begin(log, &cleaning, clean);
    access->leave(access->context);
    return error;
}

static int commit(const struct log_cleaner_access *access, struct log_clean *clean)
{
    int64_t high_watermark;
    struct partition_log *log = access->enter(access->context, &high_watermark);
    if (log == NULL)
        return -ECANCELED;
    int error = partition_log_clean_commit(log, clean);
    access->leave(access->context);
    return error ? error : log_clean_sync_names(clean);
}

static int finish(const struct log_cleaner_access *access, struct log_clean *clean)
{
    int64_t high_watermark;
    struct partition_log *log = access->enter(access->context, &high_watermark);
    if (log == NULL)
        return -ECANCELED;
    bool moved = partition_log_clean_end(log, clean);
    access->leave(access->context);
    return moved ? 0 : -ECANCELED;
}

static int run(const struct log_cleaner_access *access, struct log_clean *clean)
{
    int result = log_clean_fill_map(clean);
    if (result)
        return result;
    while ((result = log_clean_write_group(clean)) > 0) {
        result = commit(access, clean);
        if (result)
            return result;
    }
    return result ? result : finish(access, clean);
}

/* Tells the log of an error of its disk. */
static void tell_log(const struct log_cleaner_access *access, int error)
{
    int64_t high_watermark;
    struct partition_log *log = access->enter(access->context, &high_watermark);
    if (log == NULL)
        return;
    partition_log_clean_failed(log, error);
    access->leave(access->context);
}

/* What comes of an error; true: the log is given up. `where` may be empty. */
static bool handle_error(struct log_cleaner *cleaner, const struct log_cleaner_round *round,
                         const struct log_cleaner_access *access, int error, struct buffer *where)
{
    struct logger *logger = cleaner->options.logger;
    if (error == -EBADMSG || error == -ENOBUFS) {
        tell_given_up(cleaner, slice_of(round->topic), round->partition, error, where);
        return true;
    }
    if (error == -ECANCELED || error == -EAGAIN)
        return false; /* it was truncated, or is gone; or we stop */
    if (disk_error_of(error) == DISK_ERROR_FAILED)
        tell_log(access, error);
    else
        log_warn(logger, "cleaner", "%s-%" PRId32 " is compacted later: %s (%s)", round->topic,
                 round->partition, strerror(-error), buffer_string(where));
    return false;
}

static void note_counts(struct log_cleaner *cleaner, const struct log_clean *clean,
                        const struct clean_map *map)
{
    struct log_clean_counts counts = log_clean_counts(clean);
    struct log_cleaner_statistics *statistics = &cleaner->statistics;
    pthread_mutex_lock(&cleaner->mutex);
    statistics->cleanings++;
    statistics->map_bytes += counts.map_bytes;
    statistics->read_bytes += counts.read_bytes;
    statistics->written_bytes += counts.written_bytes;
    statistics->records_without_key += counts.records_without_key;
    statistics->max_map_utilization =
        map->entries_max > 0 ? (double)map->entries / (double)map->entries_max : 0;
    pthread_mutex_unlock(&cleaner->mutex);
}

static void tell_done(struct log_cleaner *cleaner, const struct log_cleaner_round *round,
                      const struct log_clean *clean, int64_t duration_us)
{
    struct log_clean_counts counts = log_clean_counts(clean);
    log_info(cleaner->options.logger, "cleaner",
             "%s-%" PRId32 ": compacted up to %" PRId64 ", dirty from %" PRId64
             ": %.1f MiB became %.1f MiB, %" PRId64 " of %" PRId64 " records stay, %.1f s",
             round->topic, round->partition, log_clean_end_offset(clean), log_clean_first_dirty_offset(clean),
             (double)counts.read_bytes / MIB, (double)counts.written_bytes / MIB, counts.records_kept,
             counts.records_seen, (double)duration_us / 1e6);
    if (counts.records_without_key > 0)
        log_warn(cleaner->options.logger, "cleaner",
                 "%s-%" PRId32 ": %" PRId64 " records without a key were removed", round->topic,
                 round->partition, counts.records_without_key);
}

static int write_checkpoint(struct log_cleaner *cleaner, const struct log_cleaner_round *round)
{
    if (cleaner->options.logs == NULL)
        return 0;
    int error =
        log_manager_checkpoint_cleaned(cleaner->options.logs, slice_of(round->topic), round->partition);
    return error == -ENOENT ? -ECANCELED : error;
}

bool log_cleaner_clean(struct log_cleaner *cleaner, struct log_cleaner_round *round,
                       const struct log_cleaner_access *access)
{
    const struct log_cleaner_options *options = &cleaner->options;
    int64_t begun_us = options->time.monotonic_us(options->time.context);
    struct clean_map map;
    struct log_clean *clean = NULL;
    struct buffer where;
    buffer_init(&where);
    clean_map_init(&map, (size_t)(options->dedupe_buffer_bytes / options->threads), options->load_factor,
                   options->hash_key);
    int error = begin(cleaner, access, &map, &clean);
    if (!error)
        error = run(access, clean);
    if (clean != NULL) {
        log_clean_describe(clean, &where);
        note_counts(cleaner, clean, &map);
    }
    if (!error) {
        tell_done(cleaner, round, clean, options->time.monotonic_us(options->time.context) - begun_us);
        error = write_checkpoint(cleaner, round);
    }
    if (clean != NULL)
        log_clean_free(clean);
    clean_map_clear(&map);
    bool given_up = error && handle_error(cleaner, round, access, error, &where);
    set_state(cleaner, &round->key, given_up ? &uncleanable : NULL);
    buffer_release(&where);
    return error == 0;
}
