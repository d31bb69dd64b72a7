/* SPDX-License-Identifier: Apache-2.0 */
/* What happens in a storm, step by step. */
#include "tests/support/storm.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/log/log_garbage.h"
#include "broker/log/partition_log_clean.h"
#include "common/memory.h"
#include "proto/kafka/error.h"

#define START_MS 1700000000000
#define PRODUCE_VERSION 9
#define STORM_HOT_PARTITIONS 3
#define CLEAN_MAP_BYTES ((size_t)2000)
#define CLEAN_BUFFER_BYTES ((size_t)1000)

static int64_t storm_clock(void *context)
{
    const struct storm *storm = context;
    return storm->now_ms;
}

void storm_init(struct storm *storm, struct file_system *files, const char *root, uint64_t seed)
{
    *storm = (struct storm){.files = files, .seed = seed, .now_ms = START_MS};
    prng_init(&storm->prng, seed);
    storm_model_init(&storm->model);
    buffer_init(&storm->error);
    buffer_init(&storm->label);
    for (int i = 0; i < STORM_DIRECTORIES; i++) {
        struct buffer path;
        buffer_init(&path);
        buffer_print(&path, "%s/%c", root, 'a' + i);
        storm->directories[i] = memory_copy_string(buffer_string(&path));
        buffer_release(&path);
    }
}

void storm_release(struct storm *storm)
{
    storm_drop(storm);
    storm_model_release(&storm->model);
    for (int i = 0; i < STORM_DIRECTORIES; i++)
        free(storm->directories[i]);
    buffer_release(&storm->error);
    buffer_release(&storm->label);
}

void storm_fail(const struct storm *storm, int partition, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "storm of seed %" PRIu64 ", %s: partition %d: ", storm->seed,
            storm->label.length > 0 ? (const char *)storm->label.data : "", partition);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    abort();
}

void storm_emit(struct storm *storm, const struct storm_event *event)
{
    if (storm->record)
        storm->record(storm->record_context, event);
    storm_model_apply(&storm->model, event);
}

static void emit(struct storm *storm, enum storm_event_kind kind, int partition, int64_t offset)
{
    const struct storm_event event = {.kind = (int32_t)kind, .partition = partition, .offset = offset};
    storm_emit(storm, &event);
}

struct partition_log *storm_log(struct storm *storm, int partition)
{
    return log_manager_find(storm->manager, slice_of(STORM_TOPIC), partition);
}

/* ---- settings ---- */

bool storm_is_compacted(int partition)
{
    return partition % 3 == 1;
}

static void settings_of(int partition, struct log_settings *settings)
{
    log_settings_init(settings);
    settings->segment_bytes = 1500;
    settings->index_interval_bytes = 200;
    settings->segment_ms = 20000;
    settings->compacted = storm_is_compacted(partition);
    settings->retained = partition % 3 == 0 || partition > 15;
    settings->retention_bytes = 4000;
    settings->retention_ms = 60000;
    settings->flush_messages = partition % 2 == 0 ? 1 : INT64_MAX;
    settings->file_delete_delay_ms = 500;
    settings->delete_retention_ms = 3000;
    settings->min_cleanable_dirty_ratio = 0.1;
}

static void configure_log(void *context, struct slice topic, int32_t partition, struct partition_log *log)
{
    struct log_settings settings;
    (void)context;
    (void)topic;
    settings_of(partition, &settings);
    partition_log_configure(log, &settings);
}

/* A directory that fails costs nobody else a thing: what was done on all of them may have been done on less.
 */
static bool is_healthy(const struct storm *storm)
{
    return log_manager_usable_directories(storm->manager) == STORM_DIRECTORIES;
}

int storm_open(struct storm *storm)
{
    struct log_manager_options options = {
        .files = storm->files,
        .directories = (const char *const *)storm->directories,
        .directories_count = STORM_DIRECTORIES,
        .broker_id = 1,
        .cluster_id = "u4zkQmXqRl2wJ0Jq9fB1Zg",
        .recovery_threads = 0, /* all on this thread: the same each time */
        .wall_clock_ms = storm_clock,
        .wall_clock_context = storm,
        .seed = prng_next(&storm->prng),
    };
    settings_of(0, &options.defaults);
    buffer_clear(&storm->error);
    int error = log_manager_open(&options, &storm->manager, &storm->error);
    if (error) {
        storm->manager = NULL;
        return error;
    }
    if (!is_healthy(storm)) {
        buffer_print(&storm->error, "a directory is offline");
        storm_drop(storm);
        return -EIO;
    }
    log_manager_each(storm->manager, configure_log, NULL);
    return 0;
}

void storm_drop(struct storm *storm)
{
    log_manager_free(storm->manager);
    storm->manager = NULL;
}

/* ---- steps ---- */

/* Two in three are one of the first few, so that some logs grow. */
static int random_partition(struct storm *storm)
{
    return (int)prng_below(&storm->prng,
                           prng_one_in(&storm->prng, 3) ? STORM_PARTITIONS : STORM_HOT_PARTITIONS);
}

/* A partition that is there, or -1. */
static int some_partition(struct storm *storm)
{
    int first = random_partition(storm);
    for (int i = 0; i < STORM_PARTITIONS; i++) {
        int partition = (first + i) % STORM_PARTITIONS;
        if (storm->model.partitions[partition].existence == STORM_PRESENT)
            return partition;
    }
    return -1;
}

static bool create(struct storm *storm, int partition)
{
    struct log_settings settings;
    struct partition_log *log;
    struct uuid id = {{0}};
    settings_of(partition, &settings);
    for (size_t i = 0; i < sizeof(id.bytes); i++)
        id.bytes[i] = (uint8_t)prng_next(&storm->prng);
    emit(storm, STORM_CREATE, partition, 0);
    if (log_manager_obtain(storm->manager, slice_of(STORM_TOPIC), partition, true, &settings, &log) ||
        partition_log_set_topic_id(log, id) || partition_log_flush(log))
        return false;
    emit(storm, STORM_CREATED, partition, 0);
    return true;
}

/* Makes what was appended durable where the log has not done so by itself: in three steps, as servers do. */
static bool make_durable(struct partition_log *log)
{
    if (partition_log_recovery_point(log) >= partition_log_end_offset(log))
        return true;
    struct log_flush *flush;
    if (partition_log_flush_begin(log, &flush))
        return false;
    return partition_log_flush_end(log, flush, log_flush_run(flush)) == 0 &&
           partition_log_recovery_point(log) >= partition_log_end_offset(log);
}

static bool append_one(struct storm *storm, int partition, struct partition_log *log)
{
    struct storm_partition *model = &storm->model.partitions[partition];
    int64_t end = partition_log_end_offset(log);
    if (model->count > 0 && end != storm_partition_end(model))
        storm_fail(storm, partition, "the log ends at %" PRId64 " and not at %" PRId64, end,
                   storm_partition_end(model));
    storm->now_ms += (int64_t)prng_below(&storm->prng, 100);
    struct storm_batch batch = {
        .base_offset = end,
        .number = storm->model.next_number,
        .timestamp = storm->now_ms,
        .producer_id = -1,
        .base_sequence = -1,
        .leader_epoch = model->leader_epoch,
        .record_count = (int32_t)prng_between(&storm->prng, 1, 6),
    };
    if (prng_one_in(&storm->prng, 3)) {
        bool known = model->producer_id >= 0;
        batch.producer_id = known ? model->producer_id : storm->model.next_producer_id;
        batch.base_sequence = known ? model->next_sequence : 0;
    }
    struct buffer bytes;
    buffer_init(&bytes);
    storm_batch_bytes(&batch, &bytes);
    const struct storm_event event = {STORM_APPEND,         partition,          end,
                                      batch.number,         batch.timestamp,    batch.producer_id,
                                      batch.base_sequence,  batch.leader_epoch, batch.record_count,
                                      (int32_t)bytes.length};
    storm_emit(storm, &event);
    struct log_append_result result;
    int16_t error = partition_log_append_as_leader(log, bytes.data, bytes.length, PRODUCE_VERSION,
                                                   batch.leader_epoch, storm->now_ms, &result);
    buffer_release(&bytes);
    if (error != KAFKA_NONE && error != KAFKA_KAFKA_STORAGE_ERROR)
        storm_fail(storm, partition, "append at %" PRId64 " gives error %d", end, error);
    if (error == KAFKA_NONE && (result.duplicate || result.base_offset != end))
        storm_fail(storm, partition, "the batch for %" PRId64 " went to %" PRId64, end, result.base_offset);
    return error == KAFKA_NONE;
}

/* A few batches to one partition, made durable together. */
static bool append_to(struct storm *storm, int partition)
{
    if (storm->model.partitions[partition].existence == STORM_ABSENT && !create(storm, partition))
        return false;
    struct partition_log *log = storm_log(storm, partition);
    int batches = (int)prng_between(&storm->prng, 1, 3);
    for (int i = 0; i < batches; i++)
        if (!append_one(storm, partition, log))
            return false;
    if (!make_durable(log))
        return false;
    storm->appended += (uint64_t)batches;
    emit(storm, STORM_APPENDED, partition, 0);
    return true;
}

static bool append(struct storm *storm)
{
    return append_to(storm, random_partition(storm));
}

/* The high watermark rises to a boundary of batches. */
static bool commit(struct storm *storm)
{
    int partition = some_partition(storm);
    if (partition < 0)
        return true;
    struct storm_partition *model = &storm->model.partitions[partition];
    if (model->count == 0)
        return true;
    size_t first = prng_one_in(&storm->prng, 2) ? model->count / 2 : 0;
    const struct storm_batch *batch = &model->batches[first + prng_below(&storm->prng, model->count - first)];
    int64_t offset = storm_batch_last_offset(batch) + 1;
    if (offset > model->high_watermark)
        emit(storm, STORM_COMMIT, partition, offset);
    return true;
}

static bool truncate_end(struct storm *storm)
{
    int partition = some_partition(storm);
    if (partition < 0)
        return true;
    const struct storm_partition *model = &storm->model.partitions[partition];
    struct partition_log *log = storm_log(storm, partition);
    int64_t end = partition_log_end_offset(log);
    int64_t low = max_i64(max_i64(model->high_watermark, partition_log_start_offset(log)), end - 30);
    int64_t offset = prng_between(&storm->prng, low, end);
    emit(storm, STORM_TRUNCATE, partition, offset);
    if (partition_log_truncate(log, offset, storm->now_ms) != KAFKA_NONE || partition_log_flush(log))
        return false;
    storm->truncated += partition_log_end_offset(log) < end;
    emit(storm, STORM_TRUNCATED, partition, partition_log_end_offset(log));
    const struct storm_event epoch = {
        .kind = STORM_EPOCH, .partition = partition, .leader_epoch = model->leader_epoch + 1};
    storm_emit(storm, &epoch);
    return prng_one_in(&storm->prng, 2) || partition_log_begin_epoch(log, model->leader_epoch) == 0;
}

static bool move_start(struct storm *storm)
{
    int partition = some_partition(storm);
    if (partition < 0)
        return true;
    const struct storm_partition *model = &storm->model.partitions[partition];
    struct partition_log *log = storm_log(storm, partition);
    int64_t start = partition_log_start_offset(log);
    if (start >= model->high_watermark)
        return true;
    int64_t offset = prng_between(&storm->prng, start, min_i64(model->high_watermark, start + 25));
    emit(storm, STORM_START, partition, offset);
    if (partition_log_advance_start(log, offset) != KAFKA_NONE)
        return false;
    emit(storm, STORM_STARTED, partition, partition_log_start_offset(log));
    return true;
}

/* As far as the rules of size and time may ever go: what lies behind must stay. */
static int64_t retention_bound(const struct storm *storm, int partition, int64_t start)
{
    const struct storm_partition *model = &storm->model.partitions[partition];
    struct log_settings settings;
    settings_of(partition, &settings);
    if (!settings.retained)
        return start;
    int64_t by_size = start, by_time = start, bytes = 0;
    for (size_t i = model->count; i > 0 && bytes < settings.retention_bytes; i--) {
        bytes += model->batches[i - 1].bytes;
        by_size = bytes >= settings.retention_bytes ? model->batches[i - 1].base_offset : start;
    }
    for (size_t i = 0; i < model->count; i++) {
        if (model->batches[i].timestamp >= storm->now_ms - settings.retention_ms)
            break;
        by_time = storm_batch_last_offset(&model->batches[i]) + 1;
    }
    return max_i64(start, min_i64(model->high_watermark, max_i64(by_size, by_time)));
}

static bool retain(struct storm *storm)
{
    int partition = some_partition(storm);
    if (partition < 0)
        return true;
    const struct storm_partition *model = &storm->model.partitions[partition];
    struct partition_log *log = storm_log(storm, partition);
    bool flush_first = true;
    storm->now_ms += prng_one_in(&storm->prng, 8) ? 30000 : 0;
    int64_t before = partition_log_start_offset(log);
    emit(storm, STORM_START, partition, retention_bound(storm, partition, before));
    for (int round = 0; round < 3 && flush_first; round++)
        if (partition_log_retain(log, model->high_watermark, storm->now_ms, &flush_first) ||
            (flush_first && partition_log_flush(log)))
            return false;
    int64_t start = partition_log_start_offset(log);
    storm->retained += start > before;
    if (start > model->start_max)
        storm_fail(storm, partition, "retention moved the start to %" PRId64 ", beyond %" PRId64, start,
                   model->start_max);
    emit(storm, STORM_STARTED, partition, start);
    return true;
}

/* A compaction from its map of keys to its end, with appends between its steps. 0, or -errno. */
static int run_clean(struct storm *storm, int partition, struct partition_log *log, struct log_clean *clean)
{
    int error = log_clean_fill_map(clean);
    if (!error)
        emit(storm, STORM_COMPACT, partition, log_clean_end_offset(clean));
    while (!error) {
        int result = log_clean_write_group(clean);
        if (result <= 0) {
            error = result;
            break;
        }
        if (prng_one_in(&storm->prng, 2) && !append_to(storm, partition))
            error = -EIO;
        if (!error)
            error = partition_log_clean_commit(log, clean);
        if (!error)
            error = log_clean_sync_names(clean);
        storm->compacted += !error;
    }
    if (!error)
        partition_log_clean_end(log, clean);
    return error;
}

static bool compact(struct storm *storm)
{
    static const uint64_t hash_key[2] = {17, 4711};
    int partition = some_partition(storm);
    while (partition >= 0 && !storm_is_compacted(partition))
        partition--;
    if (partition < 0 || storm->model.partitions[partition].existence != STORM_PRESENT)
        return true;
    struct partition_log *log = storm_log(storm, partition);
    struct clean_map map;
    clean_map_init(&map, CLEAN_MAP_BYTES, 0.9, hash_key);
    const struct log_clean_options options = {
        .high_watermark = storm->model.partitions[partition].high_watermark,
        .now_ms = storm->now_ms,
        .map = &map,
        .io_buffer_bytes = CLEAN_BUFFER_BYTES,
    };
    struct log_clean *clean;
    int error = partition_log_clean_begin(log, &options, &clean);
    if (!error) {
        error = run_clean(storm, partition, log, clean);
        log_clean_free(clean);
    }
    clean_map_clear(&map);
    return error == 0 || error == -EAGAIN || error == -ECANCELED;
}

/* Unlinks what was let go of: of all logs, and the folders of deleted ones. */
static bool remove_garbage(struct storm *storm)
{
    for (int i = 0; i < STORM_PARTITIONS; i++) {
        struct partition_log *log = storm_log(storm, i);
        struct log_garbage *garbage =
            log ? partition_log_take_garbage(log, storm->now_ms, prng_one_in(&storm->prng, 4)) : NULL;
        if (garbage && log_garbage_remove(garbage))
            return false;
    }
    log_manager_remove_due(storm->manager, storm->now_ms);
    return true;
}

struct offsets {
    struct recovery_entry entries[STORM_PARTITIONS];
    size_t count;
};

static void collect_offsets(void *context, struct slice topic, int32_t partition, struct partition_log *log)
{
    struct offsets *offsets = context;
    (void)topic;
    offsets->entries[offsets->count++] =
        (struct recovery_entry){slice_of(STORM_TOPIC), partition, partition_log_recovery_point(log),
                                partition_log_start_offset(log), 0};
}

static bool checkpoint(struct storm *storm)
{
    struct offsets offsets = {.count = 0};
    log_manager_each(storm->manager, collect_offsets, &offsets);
    if (log_manager_checkpoint_recovery(storm->manager, offsets.entries, offsets.count) || !is_healthy(storm))
        return false;
    for (size_t i = 0; i < offsets.count; i++)
        emit(storm, STORM_CHECKPOINTED, offsets.entries[i].partition, offsets.entries[i].log_start_offset);
    return true;
}

static bool checkpoint_high_watermarks(struct storm *storm)
{
    struct high_watermark_entry entries[STORM_PARTITIONS];
    size_t count = 0;
    for (int i = 0; i < STORM_PARTITIONS; i++)
        if (storm->model.partitions[i].existence == STORM_PRESENT)
            entries[count++] = (struct high_watermark_entry){slice_of(STORM_TOPIC), i,
                                                             storm->model.partitions[i].high_watermark, 0};
    return log_manager_checkpoint_high_watermarks(storm->manager, entries, count) == 0;
}

static bool delete_partition(struct storm *storm)
{
    int partition = some_partition(storm);
    if (partition < 0)
        return true;
    emit(storm, STORM_DELETE, partition, 0);
    if (log_manager_delete(storm->manager, slice_of(STORM_TOPIC), partition) || !is_healthy(storm))
        return false;
    emit(storm, STORM_DELETED, partition, 0);
    return true;
}

static bool stop_and_start(struct storm *storm)
{
    if (log_manager_close(storm->manager) || !is_healthy(storm))
        return false;
    storm_drop(storm);
    return storm_open(storm) == 0;
}

bool storm_step(struct storm *storm)
{
    uint64_t draw = prng_below(&storm->prng, 100);
    if (draw < 48)
        return append(storm);
    if (draw < 52)
        return compact(storm);
    if (draw < 70)
        return commit(storm);
    if (draw < 74)
        return truncate_end(storm);
    if (draw < 79)
        return move_start(storm);
    if (draw < 83)
        return checkpoint(storm);
    if (draw < 85)
        return checkpoint_high_watermarks(storm);
    if (draw < 87)
        return delete_partition(storm);
    if (draw < 88)
        return stop_and_start(storm);
    if (draw < 94)
        return retain(storm);
    if (draw < 96)
        return remove_garbage(storm);
    if (draw < 99)
        return compact(storm);
    return append(storm);
}
