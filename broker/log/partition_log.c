/* SPDX-License-Identifier: Apache-2.0 */
/* A partition log's life and its small questions: opened, asked, closed. The work is in partition_log_*.c. */
#include "broker/log/partition_log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/disk_error.h"
#include "broker/log/log_garbage.h"
#include "broker/log/partition_log_private.h"
#include "broker/log/partition_metadata.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/codec.h"
#include "common/memory.h"
#include "proto/kafka/error.h"

void log_settings_init(struct log_settings *settings)
{
    *settings = (struct log_settings){
        .segment_bytes = 1073741824,
        .segment_ms = (int64_t)7 * 24 * 3600 * 1000,
        .segment_jitter_ms = 0,
        .index_interval_bytes = 4096,
        .segment_index_bytes = 10485760,
        .max_message_bytes = 1048588,
        .flush_messages = INT64_MAX,
        .log_append_time = false,
        .timestamp_before_max_ms = INT64_MAX,
        .timestamp_after_max_ms = INT64_MAX,
        .compression = -1,
        .compression_gzip_level = CODEC_DEFAULT_LEVEL,
        .compression_lz4_level = CODEC_DEFAULT_LEVEL,
        .compression_zstd_level = CODEC_DEFAULT_LEVEL,
        .compacted = false,
        .retained = true,
        .producer_id_expiration_ms = (int64_t)24 * 3600 * 1000,
        .flush_ms = INT64_MAX,
        .retention_ms = (int64_t)7 * 24 * 3600 * 1000,
        .retention_bytes = -1,
        .file_delete_delay_ms = 60000,
        .delete_retention_ms = (int64_t)24 * 3600 * 1000,
        .min_compaction_lag_ms = 0,
        .max_compaction_lag_ms = INT64_MAX,
        .min_cleanable_dirty_ratio = 0.5,
    };
}

int64_t log_settings_segment_ms(const struct log_settings *settings)
{
    bool is_bounded = settings->compacted && settings->max_compaction_lag_ms > 0;
    return is_bounded ? min_i64(settings->segment_ms, settings->max_compaction_lag_ms) : settings->segment_ms;
}

/* ---- errors of the disk ---- */

void log_health_fail(struct log_health *health, struct logger *logger, const char *where, int error,
                     const char *what)
{
    int none = 0;
    if (!atomic_compare_exchange_strong(&health->failure, &none, error))
        return;
    log_error(logger, "log",
              "%s: %s failed (%s): the log directory that holds it is offline until the broker starts again",
              where, what, strerror(-error));
    if (health->failed)
        health->failed(health, error);
}

void partition_log_go_offline(struct partition_log *log, int error, const char *what)
{
    int none = 0;
    if (!atomic_compare_exchange_strong(&log->failure, &none, error))
        return;
    if (log->health)
        log_health_fail(log->health, log->logger, log->directory, error, what);
    else
        log_error(log->logger, "log", "%s: %s failed (%s): this log is offline until the broker starts again",
                  log->directory, what, strerror(-error));
}

/* One line for the directory, and not one for each of its logs, says that it is full: log_health's owner's.
 */
static void become_full(struct partition_log *log, int error, const char *what)
{
    int none = 0;
    if (log->health == NULL)
        log_warn(log->logger, "log", "%s: %s failed: %s", log->directory, what, strerror(-error));
    else if (atomic_compare_exchange_strong(&log->health->full, &none, error) && log->health->filled)
        log->health->filled(log->health, error);
}

void partition_log_refuse(struct partition_log *log, int error)
{
    int none = 0;
    atomic_compare_exchange_strong(&log->failure, &none, error);
}

/* An error that will pass, one line a minute for all logs of the directory. */
static void say_passing(const struct partition_log *log, int error, const char *what)
{
    struct log_health *health = log->health;
    uint64_t untold = 0;
    if (health) {
        int64_t now_ms = clock_monotonic_ms(), next_ms = atomic_load(&health->next_passing_line_ms);
        if (now_ms < next_ms || !atomic_compare_exchange_strong(&health->next_passing_line_ms, &next_ms,
                                                                now_ms + LOG_LIMIT_INTERVAL_MS)) {
            atomic_fetch_add(&health->passing_untold, 1);
            return;
        }
        untold = atomic_exchange(&health->passing_untold, 0);
    }
    if (untold > 0)
        log_warn(log->logger, "log",
                 "%s: %s failed: %s (%" PRIu64 " more such errors in this log directory were not told)",
                 log->directory, what, strerror(-error), untold);
    else
        log_warn(log->logger, "log", "%s: %s failed: %s", log->directory, what, strerror(-error));
}

int16_t partition_log_disk_error(struct partition_log *log, int error, const char *what)
{
    switch (disk_error_of(error)) {
    case DISK_ERROR_FAILED:
        partition_log_go_offline(log, error, what);
        break;
    case DISK_ERROR_FULL:
        become_full(log, error, what);
        break;
    case DISK_ERROR_PASSING:
        say_passing(log, error, what);
        break;
    }
    return KAFKA_KAFKA_STORAGE_ERROR;
}

/* What a log may keep for its next batch: there are thousands of logs. */
#define BUFFER_KEPT_BYTES ((size_t)1024 * 1024)

static void trim(struct buffer *buffer)
{
    if (buffer->capacity <= BUFFER_KEPT_BYTES)
        return;
    buffer_release(buffer);
    buffer_init(buffer);
}

void partition_log_trim_buffers(struct partition_log *log)
{
    trim(&log->scratch);
    trim(&log->rebuilt);
}

/* ---- files beside the segments ---- */

const char *partition_log_path(const struct partition_log *log, const char *name, struct buffer *path)
{
    buffer_clear(path);
    buffer_print(path, "%s/%s", log->directory, name);
    return buffer_string(path);
}

uint64_t partition_log_format_epochs(struct partition_log *log, struct buffer *text)
{
    if (log->epochs.changed)
        log->epochs_version++;
    log->epochs.changed = false;
    if (log->epochs_durable == log->epochs_version)
        return 0;
    epoch_cache_format(&log->epochs, text);
    return log->epochs_version;
}

void partition_log_epochs_written(struct partition_log *log, uint64_t version)
{
    if (version > log->epochs_durable)
        log->epochs_durable = version;
}

int partition_log_sync_names(struct partition_log *log)
{
    if (log->names_synced == log->names_changed)
        return 0;
    int error = file_system_sync_directory(log->files, log->directory);
    if (!error)
        log->names_synced = log->names_changed;
    return error;
}

/* ---- the list of segments ---- */

/* So that logs that were made, or opened, together do not all roll together. */
static int64_t jitter_limit(const struct log_settings *settings)
{
    return max_i64(0, min_i64(settings->segment_jitter_ms, log_settings_segment_ms(settings)));
}

static int64_t draw_jitter(struct partition_log *log)
{
    int64_t limit = jitter_limit(&log->settings);
    return limit > 0 ? (int64_t)prng_below(&log->prng, (uint64_t)limit) : 0;
}

void partition_log_push_segment(struct partition_log *log, struct segment *segment)
{
    segment->jitter_ms = draw_jitter(log);
    log->segments =
        memory_grow(log->segments, log->segments_count, &log->segments_capacity, sizeof(struct segment *));
    log->segments[log->segments_count++] = segment;
    segment_count_in(segment, log->open_files);
}

size_t partition_log_segment_number(const struct partition_log *log, int64_t offset)
{
    size_t low = 0, high = log->segments_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (log->segments[middle]->base_offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? low - 1 : 0;
}

int64_t partition_log_segment_end(const struct partition_log *log, size_t number)
{
    return number + 1 < log->segments_count ? log->segments[number + 1]->base_offset : log->end_offset;
}

/* ---- open, close, free ---- */

static void note_settled(struct partition_log *log)
{
    log->settled = (struct settled_log){.known = true,
                                        .end_offset = log->end_offset,
                                        .truncations = log->truncations,
                                        .names_changed = log->names_changed};
}

static bool is_settled(const struct partition_log *log)
{
    const struct settled_log *settled = &log->settled;
    return settled->known && settled->end_offset == log->end_offset &&
           settled->truncations == log->truncations && settled->names_changed == log->names_changed &&
           log->names_synced == log->names_changed && log->recovery_point == log->end_offset &&
           !log->cut_unsynced && !log->parent_unsynced && !log->epochs.changed &&
           log->epochs_durable == log->epochs_version;
}

int partition_log_open(const struct partition_log_options *options, struct partition_log **opened)
{
    struct partition_log *log = memory_allocate_zeroed(1, sizeof(*log));
    log->files = options->files;
    log->logger = options->logger;
    log->directory = memory_copy_string(options->directory);
    log->settings = options->settings;
    log->health = options->health;
    log->first_dirty_offset = options->first_dirty_offset;
    log->durable_rolls = options->durable_rolls;
    log->walkers = options->walkers;
    log->known_high_watermark = options->high_watermark;
    log->keep_checkpoints = options->keep_checkpoints;
    log->keep_checkpoints_context = options->keep_checkpoints_context;
    log->open_files = open_files_acquire(options->open_files);
    prng_init(&log->prng, options->seed);
    epoch_cache_init(&log->epochs);
    log->epoch_file = epoch_file_new(log->files);
    log->flush_gate = flush_gate_new();
    log->producers = producer_state_new();
    buffer_init(&log->scratch);
    buffer_init(&log->rebuilt);
    int error = partition_log_load(log, options);
    if (error) {
        log_error(log->logger, "log", "%s: cannot open the log: %s", log->directory, strerror(-error));
        partition_log_free(log);
        return error;
    }
    /* Nobody reads yet what opening has cut off. */
    struct log_garbage *garbage = partition_log_take_garbage(log, options->now_ms, true);
    error = garbage ? log_garbage_remove(garbage) : 0;
    if (log->open_files) { /* thousands of logs are opened that nobody may ask for */
        partition_log_close_idle(log, 0);
        partition_log_forget_indexes(log, 0);
    }
    if (error)
        partition_log_garbage_failed(log, error);
    /* Not a name has changed: the snapshot is the one that a clean stop has made durable. */
    bool untouched = options->clean && !options->expect_none && log->names_changed == 0;
    if (untouched && log->snapshots_count > 0 && log->snapshots[log->snapshots_count - 1] == log->end_offset)
        note_settled(log);
    *opened = log;
    return 0;
}

void partition_log_free(struct partition_log *log)
{
    if (!log)
        return;
    for (size_t i = 0; i < log->segments_count; i++)
        segment_release(log->segments[i]);
    open_files_release(log->open_files);
    free(log->segments);
    epoch_cache_release(&log->epochs);
    epoch_file_close(log->epoch_file);
    epoch_file_release(log->epoch_file);
    flush_gate_release(log->flush_gate);
    producer_state_free(log->producers);
    buffer_release(&log->scratch);
    buffer_release(&log->rebuilt);
    free(log->recent);
    free(log->snapshots);
    free(log->discarded);
    free(log->directory);
    free(log);
}

int partition_log_close(struct partition_log *log)
{
    if (log->end_state == LOG_END_WRONG)
        return 0; /* the recovery point tells the next start to look, and only at this log */
    if (partition_log_failure(log))
        return partition_log_failure(log);
    if (is_settled(log))
        return 0;
    int error = segment_seal(partition_log_active(log));
    if (!error)
        error = partition_log_flush(log);
    log->names_changed++; /* of the indexes: synced with the snapshot's */
    /* Only now: a snapshot must never be more durable than the log it speaks of. */
    if (!error)
        error = partition_log_write_snapshot(log, log->end_offset, true);
    if (!error)
        error = partition_log_drop_stray_snapshots(log);
    /* The logs that come after this one need descriptors. */
    if (!error)
        partition_log_close_idle(log, 0);
    if (!error)
        error = partition_log_sync_names(log);
    if (!error)
        note_settled(log);
    return error;
}

void partition_log_close_idle(struct partition_log *log, int64_t idle_ms)
{
    for (size_t i = 0; i < log->segments_count && !log->cut_unsynced; i++)
        if (partition_log_segment_end(log, i) <= log->recovery_point)
            segment_close_idle(log->segments[i], idle_ms);
}

void partition_log_forget_indexes(struct partition_log *log, int64_t idle_ms)
{
    for (size_t i = 0; i + 1 < log->segments_count && !log->cut_unsynced; i++)
        if (partition_log_segment_end(log, i) <= log->recovery_point)
            segment_forget_indexes(log->segments[i], idle_ms);
}

/* However few files are open: indexes cost memory. A look at thousands of segments is not for every tick. */
#define INDEX_IDLE_MS 60000
#define INDEX_LOOK_INTERVAL_MS 15000

void partition_log_tick(struct partition_log *log, int64_t now_ms)
{
    int64_t idle_ms = open_files_tick(log->open_files, now_ms);
    if (idle_ms != OPEN_FILES_KEEP)
        partition_log_close_idle(log, idle_ms);
    if (now_ms < log->next_index_look_ms)
        return;
    log->next_index_look_ms = now_ms + INDEX_LOOK_INTERVAL_MS;
    partition_log_forget_indexes(log, INDEX_IDLE_MS);
}

/* ---- questions ---- */

void partition_log_configure(struct partition_log *log, const struct log_settings *settings)
{
    bool same_jitter = jitter_limit(&log->settings) == jitter_limit(settings);
    log->settings = *settings;
    /* Logs are opened with the broker's settings, before anybody tells their topics'. */
    if (!same_jitter)
        partition_log_active(log)->jitter_ms = draw_jitter(log);
}

const struct log_settings *partition_log_settings(const struct partition_log *log)
{
    return &log->settings;
}

int64_t partition_log_start_offset(const struct partition_log *log)
{
    return log->start_offset;
}

int64_t partition_log_start_offset_kept(const struct partition_log *log)
{
    int64_t start_offset = log->start_offset; /* read first, see begin_anew */
    return max_i64(start_offset, log->start_offset_kept);
}

int64_t partition_log_end_offset(const struct partition_log *log)
{
    return log->end_offset;
}

int64_t partition_log_recovery_point(const struct partition_log *log)
{
    return log->recovery_point;
}

int64_t partition_log_size_bytes(const struct partition_log *log)
{
    return log->size_bytes;
}

int partition_log_failure(const struct partition_log *log)
{
    int failure = atomic_load_explicit(&log->failure, memory_order_acquire);
    if (failure == 0 && log->health != NULL)
        failure = atomic_load_explicit(&log->health->failure, memory_order_acquire);
    return failure;
}

bool partition_log_is_full(const struct partition_log *log)
{
    return log->health != NULL && atomic_load_explicit(&log->health->full, memory_order_relaxed) != 0;
}

struct log_health *partition_log_health(const struct partition_log *log)
{
    return log->health;
}

struct uuid partition_log_topic_id(const struct partition_log *log)
{
    return log->topic_id;
}

int partition_log_set_topic_id(struct partition_log *log, struct uuid topic_id)
{
    if (uuid_equals(log->topic_id, topic_id))
        return 0;
    if (!uuid_is_zero(log->topic_id))
        return -EEXIST;
    if (partition_log_failure(log))
        return partition_log_failure(log);
    struct buffer path;
    buffer_init(&path);
    int error = partition_metadata_write(log->files, partition_log_path(log, PARTITION_METADATA_FILE, &path),
                                         topic_id);
    buffer_release(&path);
    if (error)
        partition_log_disk_error(log, error, "writing partition.metadata");
    else
        log->topic_id = topic_id;
    return error;
}

/* ---- leader epochs ---- */

int32_t partition_log_latest_epoch(const struct partition_log *log)
{
    return epoch_cache_latest(&log->epochs);
}

int partition_log_begin_epoch(struct partition_log *log, int32_t epoch)
{
    if (partition_log_failure(log))
        return partition_log_failure(log);
    epoch_cache_assign(&log->epochs, epoch, log->end_offset);
    return 0;
}

void partition_log_epoch_end(const struct partition_log *log, int32_t epoch, int32_t *found_epoch,
                             int64_t *end_offset)
{
    epoch_cache_end(&log->epochs, epoch, log->end_offset, found_epoch, end_offset);
}

int32_t partition_log_epoch_at(const struct partition_log *log, int64_t offset)
{
    return epoch_cache_at(&log->epochs, offset);
}
