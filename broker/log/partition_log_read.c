/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading: from an offset to a range of a segment's file. The segment is found by its base, the batch by the
 * offset index and a short walk over headers; reads near the end of the log are answered from the memory of
 * the recent appends without touching a file. The end of a range lies on a batch boundary wherever one is
 * known without walking; only a range cut by max_bytes in the midst of a long stretch without index entries
 * may end within a batch, as the protocol allows.
 */
#include <errno.h>
#include <inttypes.h>

#include "broker/log/disk_error.h"
#include "broker/log/partition_log_private.h"
#include "common/memory.h"
#include "proto/kafka/error.h"

/* ---- the memory of recent appends ---- */

void partition_log_forget_recent(struct partition_log *log)
{
    log->recent_count = 0;
}

void partition_log_remember(struct partition_log *log, const struct scanned_batch *batch, int64_t position)
{
    if (log->recent == NULL)
        log->recent = memory_allocate(RECENT_APPENDS * sizeof(log->recent[0]));
    log->recent[log->recent_next] =
        (struct recent_append){batch->base_offset, batch->last_offset, position, batch->size_bytes};
    log->recent_next = (log->recent_next + 1) % RECENT_APPENDS;
    if (log->recent_count < RECENT_APPENDS)
        log->recent_count++;
}

/* The first recent batch whose last offset is >= `offset`, where the one before it is known to end below. */
static const struct recent_append *find_recent(const struct partition_log *log, int64_t offset)
{
    const struct recent_append *found = NULL;
    for (size_t i = 1; i <= log->recent_count; i++) {
        const struct recent_append *recent =
            &log->recent[(log->recent_next + RECENT_APPENDS - i) % RECENT_APPENDS];
        if (recent->last_offset < offset)
            return found;
        found = recent;
    }
    return found && found->base_offset <= offset ? found : NULL;
}

int partition_log_find(struct partition_log *log, size_t segment_number, int64_t offset,
                       struct scanned_batch *batch)
{
    if (segment_number == log->segments_count - 1) {
        const struct recent_append *recent = find_recent(log, offset);
        int error = recent ? segment_open_file(log->segments[segment_number]) : 0;
        if (error)
            return error;
        if (recent) {
            batch->position = recent->position;
            batch->size_bytes = recent->size_bytes;
            batch->base_offset = recent->base_offset;
            batch->last_offset = recent->last_offset;
            return 1;
        }
    }
    return segment_find(log->segments[segment_number], offset, log->settings.index_interval_bytes, batch);
}

/* ---- damage ---- */

/* Whether this place was not named yet; it counts as named from now on. */
static bool is_news(struct segment *segment)
{
    for (size_t i = 0; i < segment->damage_told_count; i++)
        if (segment->damage_told[i] == segment->damage_position)
            return false;
    if (segment->damage_told_count == SEGMENT_DAMAGE_TOLD_MAX)
        return false;
    segment->damage_told[segment->damage_told_count++] = segment->damage_position;
    return true;
}

int16_t partition_log_read_error(struct partition_log *log, size_t number, int error, const char *what)
{
    struct segment *segment = log->segments[number];
    if (error != -EBADMSG)
        return partition_log_disk_error(log, error, what);
    if (!is_news(segment))
        return KAFKA_CORRUPT_MESSAGE;
    int64_t behind = segment->offsets_loaded
                         ? offset_index_find_behind(&segment->offsets, segment->damage_position + 1)
                         : -1;
    if (behind < segment->damage_offset)
        behind = partition_log_segment_end(log, number);
    log_error(
        log->logger, "log",
        "%s is damaged: no sound batch begins at byte %" PRId64 ". Who asks for an offset from %" PRId64
        " on, and below %" PRId64
        " at most, gets CORRUPT_MESSAGE; what lies before and behind is read. Look at it with dump-log; "
        "where other replicas are in sync, stop this broker, remove %s and start it: the replica is "
        "fetched anew. %s",
        segment->path, segment->damage_position, segment->damage_offset, behind, log->directory,
        segment->damage_told_count == SEGMENT_DAMAGE_TOLD_MAX
            ? "There are more such places in this file; no line names them"
            : "This place gets no other line");
    return KAFKA_CORRUPT_MESSAGE;
}

/* ---- ranges ---- */

void log_range_release(struct log_range *range)
{
    segment_release(range->segment);
    *range = (struct log_range){0};
}

void log_range_failed(const struct log_range *range, int error)
{
    int none = 0;
    struct log_health *health = range->health;
    if (health != NULL && disk_error_of((int)file_result(error)) == DISK_ERROR_FAILED &&
        atomic_compare_exchange_strong(&health->failure, &none, error) && health->failed)
        health->failed(health, error);
}

int log_range_descriptor(const struct log_range *range)
{
    return range->segment ? file_descriptor(range->segment->files, range->segment->file) : -1;
}

int log_range_read(const struct log_range *range, uint8_t *out)
{
    int64_t done = 0;
    while (done < range->length) {
        ssize_t got = file_read(range->segment->files, range->segment->file, out + done,
                                (size_t)(range->length - done), range->position + done);
        if (got < 0)
            return (int)got;
        if (got == 0)
            return -EIO;
        done += got;
    }
    return 0;
}

/* Where the batches of the segment that lie wholly below upper_bound end. 0, or -errno. */
static int find_limit(struct partition_log *log, size_t number, int64_t upper_bound, int64_t *limit)
{
    *limit = log->segments[number]->size_bytes;
    if (upper_bound >= partition_log_segment_end(log, number))
        return 0;
    struct scanned_batch above;
    int found = partition_log_find(log, number, upper_bound, &above);
    if (found > 0)
        *limit = above.position;
    return found < 0 ? found : 0;
}

/* The end of a range that may not be longer than max_bytes. */
static int64_t cut_range(const struct segment *segment, const struct scanned_batch *first, int64_t limit,
                         int64_t max_bytes, bool at_least_one)
{
    int64_t start = first->position, first_end = start + first->size_bytes;
    if (limit - start <= max_bytes)
        return limit;
    if (first->size_bytes > max_bytes)
        return at_least_one ? min_i64(first_end, limit) : start;
    int64_t boundary = first_end;
    if (segment->offsets_loaded)
        boundary = max_i64(boundary, offset_index_find_position(&segment->offsets, start + max_bytes));
    return boundary - start >= max_bytes / 2 ? boundary : start + max_bytes;
}

/* KAFKA_NONE with *found_any false: the segment has nothing at or above `offset`. */
static int16_t read_segment(struct partition_log *log, size_t number, int64_t offset, int64_t max_bytes,
                            int64_t upper_bound, bool at_least_one, struct log_range *range, bool *found_any)
{
    struct segment *segment = log->segments[number];
    struct scanned_batch first;
    int64_t limit = 0;
    if (partition_log_use_segment(log, number))
        return KAFKA_KAFKA_STORAGE_ERROR;
    int error = segment_open_file(segment);
    int found = error ? error : partition_log_find(log, number, offset, &first);
    if (found > 0)
        error = find_limit(log, number, upper_bound, &limit);
    if (found < 0 || error)
        return partition_log_read_error(log, number, found < 0 ? found : error, "reading");
    *found_any = found > 0;
    if (found == 0 || limit <= first.position)
        return KAFKA_NONE;
    int64_t end = cut_range(segment, &first, limit, max_bytes, at_least_one);
    if (end <= first.position)
        return KAFKA_NONE;
    segment_take(segment);
    *range = (struct log_range){segment, first.position, end - first.position, log->health};
    return KAFKA_NONE;
}

int16_t partition_log_read(struct partition_log *log, int64_t offset, int64_t max_bytes, int64_t upper_bound,
                           bool at_least_one, struct log_range *range)
{
    *range = (struct log_range){0};
    if (partition_log_failure(log))
        return KAFKA_KAFKA_STORAGE_ERROR;
    if (offset < log->start_offset || offset > log->end_offset)
        return KAFKA_OFFSET_OUT_OF_RANGE;
    upper_bound = min_i64(upper_bound, log->end_offset);
    int16_t error = KAFKA_NONE;
    bool found_any = false;
    for (size_t i = partition_log_segment_number(log, offset);
         i < log->segments_count && error == KAFKA_NONE && !found_any; i++) {
        if (offset >= upper_bound || log->segments[i]->base_offset >= upper_bound)
            break;
        error = read_segment(log, i, offset, max_bytes, upper_bound, at_least_one, range, &found_any);
    }
    return error;
}

int64_t partition_log_range_end(const struct partition_log *log, const struct log_range *range,
                                int64_t upper_bound)
{
    if (!range->segment)
        return upper_bound;
    const struct segment *segment = range->segment;
    size_t number = partition_log_segment_number(log, segment->base_offset);
    int64_t behind = segment->offsets_loaded
                         ? offset_index_find_behind(&segment->offsets, range->position + range->length)
                         : -1;
    return min_i64(upper_bound, behind >= 0 ? behind : partition_log_segment_end(log, number));
}
