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

/* A log whose cleaning has failed waits so long; twice as long after each failure that follows. */
#define LATER_MIN_MS ((int64_t)15 * 1000)
#define LATER_MAX_MS ((int64_t)10 * 60 * 1000)

enum verdict {
    VERDICT_NONE,
    VERDICT_LATER,       /* not before later_ms */
    VERDICT_UNCLEANABLE, /* not before the next start */
};

/* What is known of the logs of one name; where nothing is, there is none of these. */
struct known_log {
    bool busy;            /* whatever log it is: two cleanings in one folder would take each other's files */
    struct uuid topic_id; /* of the log that the verdict is about: one made again under its name is another */
    enum verdict verdict;
    int64_t later_ms;  /* of the monotonic clock */
    int64_t delay_ms;  /* the last one */
    size_t offered_in; /* number of the last round that has met it */
};

struct log_cleaner {
    struct log_cleaner_options options;
    pthread_mutex_t mutex; /* guards all below; nothing is waited for under it */
    struct map *known;     /* topic and partition -> struct known_log */
    size_t rounds;         /* begun */
    struct clean_throttle throttle;
    struct log_cleaner_statistics statistics;
};

struct log_cleaner *log_cleaner_new(const struct log_cleaner_options *options)
{
    struct log_cleaner *cleaner = memory_allocate_zeroed(1, sizeof(*cleaner));
    cleaner->options = *options;
    cleaner->options.threads = options->threads > 0 ? options->threads : 1;
    pthread_mutex_init(&cleaner->mutex, NULL);
    cleaner->known = map_new(options->hash_key[0]);
    clean_throttle_init(&cleaner->throttle, options->max_bytes_per_second);
    return cleaner;
}

void log_cleaner_free(struct log_cleaner *cleaner)
{
    if (cleaner == NULL)
        return;
    size_t position = 0;
    void *known;
    while (map_next(cleaner->known, &position, NULL, &known))
        free(known);
    map_free(cleaner->known);
    pthread_mutex_destroy(&cleaner->mutex);
    free(cleaner);
}

void log_cleaner_statistics(struct log_cleaner *cleaner, struct log_cleaner_statistics *statistics)
{
    pthread_mutex_lock(&cleaner->mutex);
    *statistics = cleaner->statistics;
    pthread_mutex_unlock(&cleaner->mutex);
}

/* ---- what is known of logs; all under the mutex ---- */

static void make_key(struct buffer *key, struct slice topic, int32_t partition)
{
    buffer_clear(key);
    buffer_print(key, "%.*s-%" PRId32, SLICE_ARGUMENTS(topic), partition);
}

static void forget(struct log_cleaner *cleaner, struct slice key)
{
    struct known_log *known = map_remove(cleaner->known, key);
    cleaner->statistics.uncleanable -= known != NULL && known->verdict == VERDICT_UNCLEANABLE;
    free(known);
}

static struct known_log *know(struct log_cleaner *cleaner, struct slice key)
{
    struct known_log *known = map_get(cleaner->known, key);
    if (known == NULL) {
        known = memory_allocate_zeroed(1, sizeof(*known));
        map_put(cleaner->known, key, known);
    }
    known->offered_in = cleaner->rounds;
    return known;
}

/* Whether this log may be looked at now. */
static bool is_free(struct log_cleaner *cleaner, struct slice key, struct uuid topic_id, size_t round)
{
    struct known_log *known = map_get(cleaner->known, key);
    if (known == NULL)
        return true;
    known->offered_in = max_size(known->offered_in, round);
    if (known->busy)
        return false;
    if (!uuid_equals(known->topic_id, topic_id)) {
        forget(cleaner, key);
        return true;
    }
    const struct log_cleaner_time *time = &cleaner->options.time;
    return known->verdict == VERDICT_LATER && time->monotonic_us(time->context) / 1000 >= known->later_ms;
}

static void set_uncleanable(struct log_cleaner *cleaner, struct slice key, struct uuid topic_id)
{
    struct known_log *known = know(cleaner, key);
    cleaner->statistics.uncleanable += known->verdict != VERDICT_UNCLEANABLE;
    known->topic_id = topic_id;
    known->verdict = VERDICT_UNCLEANABLE;
}

static void set_later(struct log_cleaner *cleaner, struct slice key, struct uuid topic_id)
{
    const struct log_cleaner_time *time = &cleaner->options.time;
    struct known_log *known = know(cleaner, key);
    bool again = known->verdict == VERDICT_LATER;
    known->topic_id = topic_id;
    known->verdict = VERDICT_LATER;
    known->delay_ms = again ? min_i64(known->delay_ms * 2, LATER_MAX_MS) : LATER_MIN_MS;
    known->later_ms = time->monotonic_us(time->context) / 1000 + known->delay_ms;
}

/* Logs that this round, which has met all there are, has not met are gone. */
static void forget_gone(struct log_cleaner *cleaner, size_t round)
{
    size_t position = 0;
    struct slice key;
    void *value;
    while (map_next(cleaner->known, &position, &key, &value)) {
        const struct known_log *known = value;
        if (!known->busy && known->offered_in < round)
            forget(cleaner, key);
    }
}

/* ---- choosing ---- */

void log_cleaner_begin(struct log_cleaner *cleaner, struct log_cleaner_round *round)
{
    *round = (struct log_cleaner_round){0};
    buffer_init(&round->key);
    pthread_mutex_lock(&cleaner->mutex);
    round->number = ++cleaner->rounds;
    pthread_mutex_unlock(&cleaner->mutex);
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

static const char *why_given_up(int error)
{
    switch (error) {
    case -ENOBUFS:
        return "not one key fits in log.cleaner.dedupe.buffer.size";
    case -EFBIG:
        return "what is left of one segment is too large for one";
    case CLEAN_ERROR_SHORT:
        return "a file is shorter than it was";
    default:
        return "there is a damaged batch";
    }
}

/* Whether the log itself is at fault, and another try would find the same. */
static bool is_for_good(int error)
{
    return error == -EBADMSG || error == -ENOBUFS || error == -EFBIG || error == CLEAN_ERROR_SHORT;
}

/* Says that a log is not compacted any more, and why. */
static void tell_given_up(struct log_cleaner *cleaner, struct slice topic, int32_t partition, int error,
                          struct buffer *where)
{
    log_error(cleaner->options.logger, "cleaner",
              "%.*s-%" PRId32 " is not compacted any more until the broker starts again: %s (%s)",
              SLICE_ARGUMENTS(topic), partition, why_given_up(error), buffer_string(where));
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

/* A log that cannot even be looked at. */
static void note_look_error(struct log_cleaner *cleaner, struct slice topic, int32_t partition,
                            const struct buffer *key, struct uuid topic_id, int error)
{
    if (is_for_good(error)) {
        struct buffer where;
        buffer_init(&where);
        buffer_print(&where, "found when its timestamps were looked up");
        tell_given_up(cleaner, topic, partition, error, &where);
        buffer_release(&where);
    }
    pthread_mutex_lock(&cleaner->mutex);
    if (is_for_good(error))
        set_uncleanable(cleaner, buffer_slice(key), topic_id);
    else
        set_later(cleaner, buffer_slice(key), topic_id);
    pthread_mutex_unlock(&cleaner->mutex);
}

static void remember_best(struct log_cleaner_round *round, struct slice topic, int32_t partition,
                          struct uuid topic_id, const struct clean_plan *plan)
{
    make_key(&round->key, topic, partition);
    free(round->topic);
    round->topic = memory_copy_bytes(topic.data, topic.length);
    round->partition = partition;
    round->topic_id = topic_id;
    round->plan = *plan;
    round->found = true;
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
    struct uuid topic_id = partition_log_topic_id(log);
    buffer_init(&key);
    make_key(&key, topic, partition);
    pthread_mutex_lock(&cleaner->mutex);
    bool may_look = is_free(cleaner, buffer_slice(&key), topic_id, round->number);
    pthread_mutex_unlock(&cleaner->mutex);
    int error = may_look ? look_at(cleaner, log, high_watermark, &plan) : 0;
    access->leave(access->context);
    if (error)
        note_look_error(cleaner, topic, partition, &key, topic_id, error);
    buffer_release(&key);
    if (plan.dirty_ratio > round->max_dirty_ratio)
        round->max_dirty_ratio = plan.dirty_ratio;
    bool best = !error && plan.due && (!round->found || clean_plan_is_filthier(&plan, &round->plan));
    if (best)
        remember_best(round, topic, partition, topic_id, &plan);
    return best;
}

bool log_cleaner_take(struct log_cleaner *cleaner, struct log_cleaner_round *round)
{
    pthread_mutex_lock(&cleaner->mutex);
    forget_gone(cleaner, round->number);
    bool taken = false;
    if (round->found) {
        struct known_log *known = know(cleaner, buffer_slice(&round->key));
        taken = !known->busy;
        if (taken && !uuid_equals(known->topic_id, round->topic_id)) {
            cleaner->statistics.uncleanable -= known->verdict == VERDICT_UNCLEANABLE;
            known->verdict = VERDICT_NONE;
            known->topic_id = round->topic_id;
        }
        known->busy = true;
    }
    pthread_mutex_unlock(&cleaner->mutex);
    return taken;
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

/* *health: of the log that was begun with; by the end the partition may have another one, elsewhere. */
static int begin(struct log_cleaner *cleaner, const struct log_cleaner_access *access, struct clean_map *map,
                 struct log_clean **clean, struct log_health **health)
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
    *health = partition_log_health(log);
    int error = partition_log_failure(log);
    if (!error)
        error = partition_log_clean_begin(log, &cleaning, clean);
    access->leave(access->context);
    return error;
}

/* As partition_log_clean_check. */
static int check(const struct log_cleaner_access *access, struct log_clean *clean)
{
    int64_t high_watermark;
    struct partition_log *log = access->enter(access->context, &high_watermark);
    if (log == NULL)
        return -ECANCELED;
    int result = partition_log_clean_check(log, clean);
    access->leave(access->context);
    return result;
}

/* What an error of a step means: 0: it came of segments that are gone, and the step is to be done again;
 * -ECANCELED: it came of something else that was done to the log meanwhile; or it stands. */
static int judge(const struct log_cleaner_access *access, struct log_clean *clean, int error)
{
    if (error == -ECANCELED || error == -ENOBUFS)
        return error;
    int result = check(access, clean);
    return result < 0 ? result : result > 0 ? 0 : error;
}

/* As partition_log_clean_commit. */
static int commit(const struct log_cleaner_access *access, struct log_clean *clean)
{
    int64_t high_watermark;
    struct partition_log *log = access->enter(access->context, &high_watermark);
    if (log == NULL)
        return -ECANCELED;
    int result = partition_log_clean_commit(log, clean);
    access->leave(access->context);
    if (result)
        return result;
    return log_clean_sync_names(clean) ? -EIO : 0; /* whatever a failed sync says, it is never passing */
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
    int result;
    while ((result = log_clean_fill_map(clean)) < 0) {
        result = judge(access, clean, result);
        if (result)
            return result;
    }
    for (;;) {
        /* Nothing is written into the folder of a log that is gone: there may be another one in it. */
        result = check(access, clean);
        if (result < 0)
            return result;
        result = log_clean_write_group(clean);
        if (result == 0)
            return finish(access, clean);
        if (result > 0)
            result = commit(access, clean);
        if (result < 0)
            result = judge(access, clean, result);
        if (result < 0)
            return result;
    }
}

/* Tells the log of an error of its disk; where it is gone, or lies on another one by now, that disk alone. */
static void tell_log(const struct log_cleaner_access *access, struct log_health *health, int error)
{
    int64_t high_watermark;
    struct partition_log *log = access->enter(access->context, &high_watermark);
    if (log == NULL || partition_log_health(log) != health)
        log_range_failed(&(struct log_range){.health = health}, error);
    else
        partition_log_clean_failed(log, error);
    if (log != NULL)
        access->leave(access->context);
}

/* Says, and tells the log, what an error means. `where` may be empty. */
static void tell_error(struct log_cleaner *cleaner, const struct log_cleaner_round *round,
                       const struct log_cleaner_access *access, struct log_health *health, int error,
                       struct buffer *where)
{
    if (error == -ECANCELED || error == -EAGAIN)
        return; /* it was truncated, or is gone; or we stop */
    if (is_for_good(error))
        tell_given_up(cleaner, slice_of(round->topic), round->partition, error, where);
    else if (disk_error_of(error) != DISK_ERROR_PASSING)
        tell_log(access, health, error);
    else
        log_warn(cleaner->options.logger, "cleaner", "%s-%" PRId32 " is compacted later: %s (%s)",
                 round->topic, round->partition, strerror(-error), buffer_string(where));
}

/* The cleaning is over: gives the log back, and notes when it may be cleaned again. */
static void give_back(struct log_cleaner *cleaner, const struct log_cleaner_round *round, int error)
{
    struct slice key = buffer_slice(&round->key);
    pthread_mutex_lock(&cleaner->mutex);
    if (error && is_for_good(error))
        set_uncleanable(cleaner, key, round->topic_id);
    else if (error && error != -ECANCELED)
        set_later(cleaner, key, round->topic_id);
    know(cleaner, key)->busy = false;
    if (!error || error == -ECANCELED)
        forget(cleaner, key);
    pthread_mutex_unlock(&cleaner->mutex);
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
    struct log_health *health = NULL;
    struct buffer where;
    buffer_init(&where);
    clean_map_init(&map, (size_t)(options->dedupe_buffer_bytes / options->threads), options->load_factor,
                   options->hash_key);
    int error = begin(cleaner, access, &map, &clean, &health);
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
    if (error)
        tell_error(cleaner, round, access, health, error, &where);
    give_back(cleaner, round, error);
    buffer_release(&where);
    return error == 0;
}
