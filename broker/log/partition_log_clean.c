/* SPDX-License-Identifier: Apache-2.0 */
/* Planning a cleaning under the lock, and its long steps without. */
#include "broker/log/partition_log_clean.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/disk_error.h"
#include "broker/log/log_names.h"
#include "broker/log/partition_log_clean_private.h"
#include "common/check.h"
#include "common/memory.h"
#include "proto/kafka/error.h"

int64_t partition_log_first_dirty_offset(const struct partition_log *log)
{
    return atomic_load(&log->first_dirty_offset);
}

void partition_log_set_first_dirty_offset(struct partition_log *log, int64_t offset)
{
    atomic_store(&log->first_dirty_offset, offset);
}

/* ---- under the lock ---- */

/* The largest timestamp of a sealed segment: one number, which stays known. 0, or -errno. */
static int look_up_largest(struct partition_log *log, struct segment *segment, int64_t *timestamp)
{
    bool known = segment->times_loaded || segment->timestamp_found;
    int error = known ? 0 : partition_log_find_largest_timestamp(log, segment);
    *timestamp = segment->times_loaded ? segment->max_timestamp : segment->found_timestamp;
    return error;
}

/* What the plan wants to know of a segment. 0, or -errno. */
static int describe_segment(struct partition_log *log, struct segment *segment, bool dirty,
                            bool wants_largest, struct clean_plan_segment *described)
{
    *described = (struct clean_plan_segment){.base_offset = segment->base_offset,
                                             .size_bytes = segment->size_bytes,
                                             .largest_timestamp = -1,
                                             .first_timestamp = -1};
    int error = 0;
    if (wants_largest)
        error = look_up_largest(log, segment, &described->largest_timestamp);
    if (!error && dirty && log->settings.max_compaction_lag_ms < INT64_MAX) {
        error = segment_load_first_timestamp(segment);
        described->first_timestamp = segment->first_timestamp;
    }
    return error;
}

int partition_log_clean_plan(struct partition_log *log, int64_t high_watermark, int64_t now_ms,
                             struct clean_plan *plan)
{
    struct clean_plan_input input = {
        .segments_count = log->segments_count,
        .log_start_offset = log->start_offset,
        .log_end_offset = log->end_offset,
        .first_dirty_offset = log->first_dirty_offset,
        .last_stable_offset = partition_log_last_stable_offset(log, high_watermark),
        .recovery_point = log->recovery_point,
        .now_ms = now_ms,
        .min_compaction_lag_ms = log->settings.min_compaction_lag_ms,
        .max_compaction_lag_ms = log->settings.max_compaction_lag_ms,
        .min_cleanable_dirty_ratio = log->settings.min_cleanable_dirty_ratio,
    };
    int64_t first_dirty =
        clean_plan_first_dirty(input.first_dirty_offset, input.log_start_offset, input.log_end_offset);
    size_t first_number = partition_log_segment_number(log, first_dirty);
    struct clean_plan_segment *segments = memory_allocate(log->segments_count * sizeof(*segments));
    int64_t old_until_ms;
    if (__builtin_sub_overflow(now_ms, log->settings.min_compaction_lag_ms, &old_until_ms))
        old_until_ms = INT64_MIN;
    bool young = log->settings.min_compaction_lag_ms <= 0; /* no age is looked at */
    int error = partition_log_failure(log);
    for (size_t i = 0; i < log->segments_count && !error; i++) {
        bool dirty = i >= first_number && i + 1 < log->segments_count;
        error = describe_segment(log, log->segments[i], dirty, dirty && !young, &segments[i]);
        /* Above the first one that is too young it does not matter. */
        young = young || segments[i].largest_timestamp > old_until_ms;
    }
    input.segments = segments;
    if (!error)
        clean_plan_make(&input, plan);
    free(segments);
    return error;
}

void partition_log_clean_failed(struct partition_log *log, int error)
{
    if (disk_error_of(error) != DISK_ERROR_PASSING)
        partition_log_disk_error(log, error, "compaction");
}

static void add_aborted(void *context, const struct aborted_transaction *entry)
{
    struct log_clean *clean = context;
    clean->aborted =
        memory_grow(clean->aborted, clean->aborted_count, &clean->aborted_capacity, sizeof(*clean->aborted));
    clean->aborted[clean->aborted_count++] = *entry;
}

static void add_producer(void *context, int64_t producer_id, int16_t epoch, int64_t last_data_offset)
{
    struct log_clean *clean = context;
    clean->producers[clean->producers_count++] =
        (struct clean_producer){producer_id, last_data_offset, epoch};
}

static int by_id(const void *left, const void *right)
{
    const struct clean_producer *a = left, *b = right;
    return a->producer_id < b->producer_id ? -1 : a->producer_id > b->producer_id;
}

static void take_segments(struct partition_log *log, struct log_clean *clean)
{
    clean->segments_count = clean->plan.segments_count;
    clean->segments = memory_allocate_zeroed(clean->segments_count, sizeof(*clean->segments));
    for (size_t i = 0; i < clean->segments_count; i++) {
        struct segment *segment = log->segments[i];
        segment_take(segment);
        clean->segments[i] = (struct log_clean_segment){
            .segment = segment, .base_offset = segment->base_offset, .size_bytes = segment->size_bytes};
    }
}

static void take_producers(struct partition_log *log, struct log_clean *clean)
{
    size_t count = producer_state_count(log->producers);
    clean->producers = memory_allocate(count * sizeof(*clean->producers));
    producer_state_each(log->producers, add_producer, clean);
    if (clean->producers_count > 1)
        qsort(clean->producers, clean->producers_count, sizeof(*clean->producers), by_id);
}

/* The checkpoint on disk must not say less than what will have gaps. 0, or -errno. */
static int secure_recovery_point(struct partition_log *log, int64_t offset)
{
    const struct log_checkpoint_bounds bounds = {offset, INT64_MAX, INT64_MAX, 0};
    return log->keep_checkpoints ? log->keep_checkpoints(log->keep_checkpoints_context, &bounds) : 0;
}

int partition_log_clean_begin(struct partition_log *log, const struct log_clean_options *options,
                              struct log_clean **begun)
{
    struct clean_plan plan;
    int error = partition_log_clean_plan(log, options->high_watermark, options->now_ms, &plan);
    if (!error && (log->cleaning_paused || plan.segments_count == 0 ||
                   plan.first_dirty_offset >= plan.first_uncleanable_offset))
        error = -EAGAIN;
    if (!error)
        error = secure_recovery_point(log, plan.first_uncleanable_offset);
    if (error)
        return error;
    struct log_clean *clean = memory_allocate_zeroed(1, sizeof(*clean));
    clean->files = log->files;
    clean->logger = log->logger;
    clean->directory = memory_copy_string(log->directory);
    clean->host = options->host;
    clean->plan = plan;
    clean->settings = log->settings;
    clean->truncations = log->truncations;
    clean->map = options->map;
    clean->end_offset = -1;
    clean->names_synced = true;
    take_segments(log, clean);
    take_producers(log, clean);
    clean_filter_init(&clean->filter);
    clean_reader_init(&clean->reader, clean->files, &clean->host, options->io_buffer_bytes);
    clean_output_init(&clean->output, clean->files, &clean->host, clean->directory,
                      clean->settings.index_interval_bytes, options->io_buffer_bytes);
    int16_t collected = partition_log_collect_aborted(log, clean->segments[0].base_offset,
                                                      plan.first_uncleanable_offset, add_aborted, clean);
    clean_transactions_init(&clean->transactions, clean->aborted, clean->aborted_count);
    clean->filter.map = clean->map;
    clean->filter.transactions = &clean->transactions;
    clean->filter.producers = clean->producers;
    clean->filter.producers_count = clean->producers_count;
    clean->filter.now_ms = options->now_ms;
    clean->filter.delete_retention_ms = clean->settings.delete_retention_ms;
    clean->filter.batch_bytes_max = (size_t)clean->settings.max_message_bytes;
    if (collected != KAFKA_NONE) {
        log_clean_free(clean);
        return partition_log_failure(log) ? partition_log_failure(log) : -EAGAIN;
    }
    *begun = clean;
    return 0;
}

void log_clean_free(struct log_clean *clean)
{
    clean_output_release(&clean->output);
    clean_reader_release(&clean->reader);
    clean_filter_release(&clean->filter);
    clean_transactions_release(&clean->transactions);
    if (clean->group_begun)
        clean_transactions_release(&clean->transactions_before);
    for (size_t i = 0; i < clean->segments_count; i++)
        segment_release(clean->segments[i].segment);
    free(clean->segments);
    free(clean->aborted);
    free(clean->producers);
    free(clean->directory);
    free(clean);
}

/* ---- without the lock ---- */

static const char *file_path(const struct log_clean *clean, size_t number, enum log_file_kind kind,
                             struct buffer *path)
{
    buffer_clear(path);
    buffer_print(path, "%s/", clean->directory);
    log_file_name_format(path,
                         (struct log_file_name){kind, LOG_FILE_LIVE, clean->segments[number].base_offset});
    return buffer_string(path);
}

static int open_segment(struct log_clean *clean, size_t number)
{
    struct buffer path;
    buffer_init(&path);
    clean->reading = number;
    int error = clean_reader_open(&clean->reader, file_path(clean, number, LOG_FILE_LOG, &path),
                                  clean->segments[number].size_bytes);
    buffer_release(&path);
    return error;
}

/* Where a segment ends: the base of the next one, or of what is not cleaned. */
static int64_t segment_end(const struct log_clean *clean, size_t number)
{
    return number + 1 < clean->segments_count ? clean->segments[number + 1].base_offset
                                              : clean->plan.first_uncleanable_offset;
}

/*
 * The next batch of the segment that is read, which must lie between what came before and the next segment:
 * the CRC of a batch does not cover its offset. As clean_reader_next.
 */
static int next_batch(struct log_clean *clean, int64_t *next_offset, struct slice *bytes)
{
    int result = clean_reader_next(&clean->reader, bytes);
    if (result <= 0)
        return result;
    struct scanned_batch batch = {0};
    int64_t end = segment_end(clean, clean->reading);
    if (scanned_batch_parse(bytes->data, bytes->length, &batch) || batch.base_offset < *next_offset ||
        batch.last_offset >= end)
        return -EBADMSG;
    *next_offset = batch.last_offset + 1;
    return 1;
}

/* 1: all keys of the segment are in; 0: the map is full; -errno. */
static int map_segment(struct log_clean *clean, size_t number, struct clean_transactions *transactions)
{
    struct slice bytes;
    int result = open_segment(clean, number);
    if (result)
        return result;
    int64_t first_dirty = clean->plan.first_dirty_offset, next_offset = clean->segments[number].base_offset;
    bool full = false;
    while (!full && (result = next_batch(clean, &next_offset, &bytes)) > 0) {
        int taken = clean_map_batch(clean->map, transactions, bytes, first_dirty,
                                    (size_t)clean->settings.max_message_bytes, &clean->filter.records);
        if (taken < 0)
            return taken;
        full = taken == 0;
    }
    clean->counts.map_bytes += clean->reader.position;
    clean_filter_trim(&clean->filter);
    return result < 0 ? result : !full;
}

/* Those whose marker comes from segment `number` on: of the others the end would not be met. */
static void init_map_transactions(const struct log_clean *clean, size_t number,
                                  struct clean_transactions *transactions)
{
    clean_transactions_init(transactions, clean->aborted, clean->aborted_count);
    clean_transactions_skip(transactions, clean->segments[number].base_offset);
}

int log_clean_fill_map(struct log_clean *clean)
{
    size_t number = clean->next, count = clean->segments_count;
    CHECK(number < count);
    clean_map_clear(clean->map);
    clean->counts.map_bytes = 0;
    while (number + 1 < count && clean->segments[number + 1].base_offset <= clean->plan.first_dirty_offset)
        number++;
    struct clean_transactions transactions;
    init_map_transactions(clean, number, &transactions);
    int result = 1;
    for (; number < count && result > 0; number++) {
        result = map_segment(clean, number, &transactions);
        /* Whatever offsets a gap at its end has are seen, too. */
        if (result > 0)
            clean_map_advance(clean->map, segment_end(clean, number) - 1);
    }
    clean_transactions_release(&transactions);
    clean_reader_close(&clean->reader);
    if (result < 0)
        return result;
    if (clean->map->latest_offset < clean->plan.first_dirty_offset)
        return -ENOBUFS;
    clean->end_offset = clean->map->latest_offset + 1;
    return 0;
}

/* ---- groups ---- */

static int status_of(const struct log_clean *clean, size_t number, enum log_file_kind kind,
                     struct file_status *status)
{
    struct buffer path;
    buffer_init(&path);
    int error = file_system_status(clean->files, file_path(clean, number, kind, &path), status);
    buffer_release(&path);
    return error;
}

static int describe_for_group(struct log_clean *clean, size_t number, struct clean_group_segment *described)
{
    struct log_clean_segment *segment = &clean->segments[number];
    struct file_status status, offsets = {0}, times = {0};
    int error = status_of(clean, number, LOG_FILE_LOG, &status);
    if (error)
        return error;
    segment->modified_ms = status.modified_ms;
    /* An index that is not there takes no room. */
    int offsets_error = status_of(clean, number, LOG_FILE_OFFSET_INDEX, &offsets);
    int times_error = status_of(clean, number, LOG_FILE_TIME_INDEX, &times);
    *described = (struct clean_group_segment){segment->base_offset, segment->size_bytes,
                                              offsets_error ? 0 : offsets.size, times_error ? 0 : times.size};
    return 0;
}

/* Until when tombstones of old formats are kept: by the age of the last segment that was clean. */
static int find_old_tombstones_until(struct log_clean *clean)
{
    size_t number = clean->segments_count;
    while (number > 0 && clean->segments[number - 1].base_offset >= clean->plan.first_dirty_offset)
        number--;
    clean->old_tombstones_until_ms = 0;
    clean->old_tombstones_known = true;
    if (number <= clean->next)
        return 0;
    struct file_status status;
    int error = status_of(clean, number - 1, LOG_FILE_LOG, &status);
    clean->old_tombstones_known = !error;
    if (!error && __builtin_sub_overflow(status.modified_ms, clean->settings.delete_retention_ms,
                                         &clean->old_tombstones_until_ms))
        clean->old_tombstones_until_ms = INT64_MIN;
    return error;
}

/* The next segments that become one. 0, or -errno. */
static int choose_group(struct log_clean *clean)
{
    const struct clean_group_bounds bounds = {clean->settings.segment_bytes,
                                              clean->settings.segment_index_bytes};
    struct clean_group group = {0};
    int error = clean->old_tombstones_known ? 0 : find_old_tombstones_until(clean);
    for (size_t i = clean->next; i < clean->segments_count && !error; i++) {
        struct clean_group_segment described;
        if (clean->segments[i].base_offset >= clean->end_offset)
            break;
        error = describe_for_group(clean, i, &described);
        if (error || !clean_group_take(&group, &described, segment_end(clean, i), &bounds))
            break;
    }
    clean->group_first = clean->next;
    clean->group_count = error ? 0 : group.count;
    return error;
}

/* Copies what stays of a segment. 0, or -errno. */
static int copy_segment(struct log_clean *clean, size_t number)
{
    struct slice bytes;
    int result = open_segment(clean, number);
    if (result)
        return result;
    clean->filter.keep_old_tombstones = clean->segments[number].modified_ms > clean->old_tombstones_until_ms;
    int64_t next_offset = clean->segments[number].base_offset;
    while ((result = next_batch(clean, &next_offset, &bytes)) > 0) {
        struct clean_result left;
        int error = clean_filter_batch(&clean->filter, bytes, &clean->output.pending, &left);
        if (!error)
            error = clean_output_took(&clean->output, &left);
        if (error)
            return error;
    }
    clean_reader_close(&clean->reader);
    clean_filter_trim(&clean->filter);
    return result;
}

/* Writes the chosen group. 0, or -errno. */
static int write_chosen(struct log_clean *clean)
{
    size_t first = clean->group_first, last = first + clean->group_count - 1;
    int error = clean_output_begin(&clean->output, clean->segments[first].base_offset);
    for (size_t i = first; i <= last && !error; i++)
        error = copy_segment(clean, i);
    clean->group_modified_ms = clean->segments[last].modified_ms;
    if (!error)
        error = clean_output_finish(&clean->output, clean->transactions.kept, clean->transactions.kept_count,
                                    clean->group_modified_ms);
    clean->transactions.kept_count = 0;
    return error;
}

static void begin_group(struct log_clean *clean)
{
    clean_transactions_copy(&clean->transactions_before, &clean->transactions);
    clean->records_seen_before = clean->filter.records_seen;
    clean->records_kept_before = clean->filter.records_kept;
    clean->records_without_key_before = clean->filter.records_without_key;
    clean->group_begun = true;
}

void log_clean_undo_group(struct log_clean *clean)
{
    clean->group_count = 0;
    if (!clean->group_begun)
        return;
    clean_reader_close(&clean->reader);
    clean_output_abandon(&clean->output);
    clean_transactions_release(&clean->transactions);
    clean->transactions = clean->transactions_before;
    clean->filter.records_seen = clean->records_seen_before;
    clean->filter.records_kept = clean->records_kept_before;
    clean->filter.records_without_key = clean->records_without_key_before;
    clean->group_begun = false;
}

void log_clean_end_group(struct log_clean *clean)
{
    clean->next = clean->group_first + clean->group_count;
    clean->group_count = 0;
    clean_transactions_release(&clean->transactions_before);
    clean->group_begun = false;
}

int log_clean_write_group(struct log_clean *clean)
{
    CHECK(clean->end_offset >= 0 && clean->group_count == 0);
    if (clean->next == clean->segments_count || clean->segments[clean->next].base_offset >= clean->end_offset)
        return 0;
    begin_group(clean);
    int error = choose_group(clean);
    if (!error)
        error = write_chosen(clean);
    while (error == -EFBIG && clean->group_count > 1) {
        /* Horizons have made it larger than what it was made of: it ends before the segment that is too much.
         */
        size_t count = max_size(min_size(clean->reading - clean->group_first, clean->group_count - 1), 1);
        log_clean_undo_group(clean);
        begin_group(clean);
        clean->group_count = count;
        error = write_chosen(clean);
    }
    if (error)
        log_clean_undo_group(clean);
    return error ? error : 1;
}

/* ---- questions ---- */

int64_t log_clean_first_dirty_offset(const struct log_clean *clean)
{
    return clean->plan.first_dirty_offset;
}

int64_t log_clean_end_offset(const struct log_clean *clean)
{
    return clean->end_offset;
}

struct log_clean_counts log_clean_counts(const struct log_clean *clean)
{
    struct log_clean_counts counts = clean->counts;
    counts.records_seen = clean->filter.records_seen;
    counts.records_kept = clean->filter.records_kept;
    counts.records_without_key = clean->filter.records_without_key;
    return counts;
}

void log_clean_describe(const struct log_clean *clean, struct buffer *out)
{
    struct buffer path;
    buffer_init(&path);
    buffer_print(out, "%s, byte %" PRId64, file_path(clean, clean->reading, LOG_FILE_LOG, &path),
                 clean->reader.position);
    buffer_release(&path);
}
