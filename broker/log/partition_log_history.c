/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether one log is what another log of the partition once was, so that nothing is lost with it.
 *
 * Leader epochs alone do not tell: a log that was made anew under a newer epoch knows nothing of the epochs
 * before. So the proof needs both, as the rule by which followers truncate (KIP-101, KIP-279) does: every
 * epoch of the one begins in the other where it begins there, its last one ends in the other no lower; and
 * its last batch stands in the other too, byte for byte. A batch of the same offset and epoch was written by
 * the same leader, which had what came before; its bytes say so even where the epochs of a cluster began
 * again.
 */
#include <errno.h>
#include <string.h>

#include "broker/log/partition_log_private.h"

#define COMPARE_BYTES ((int64_t)64 * 1024)

/* The last batch of the log and its segment. 1; 0: the log holds none; -EBADMSG; -errno. */
static int find_last_batch(struct partition_log *log, size_t *number, struct scanned_batch *last)
{
    size_t count = log->segments_count;
    while (count > 0 && log->segments[count - 1]->size_bytes == 0)
        count--;
    if (count == 0)
        return 0;
    *number = count - 1;
    struct segment *segment = log->segments[*number];
    int result = segment_open_file(segment);
    if (!result)
        result = segment_load_offsets(segment, log->settings.index_interval_bytes);
    if (result)
        return result;
    struct batch_scanner scanner;
    struct scanned_batch batch;
    bool found = false;
    batch_scanner_init(&scanner, segment, offset_index_find_position(&segment->offsets, segment->size_bytes),
                       segment->size_bytes, SCAN_CHUNK_LOOKUP);
    while ((result = batch_scanner_next(&scanner, &batch)) > 0) {
        *last = batch;
        found = true;
    }
    batch_scanner_release(&scanner);
    return result < 0 ? result : found ? 1 : -EBADMSG;
}

/* 1: they are the same bytes; 0; -errno. */
static int same_bytes(struct segment *one, int64_t at, struct segment *other, int64_t other_at,
                      int64_t size_bytes)
{
    struct buffer bytes;
    buffer_init(&bytes);
    uint8_t *room = buffer_reserve(&bytes, 2 * (size_t)COMPARE_BYTES);
    int result = 1;
    for (int64_t done = 0; result > 0 && done < size_bytes; done += COMPARE_BYTES) {
        int64_t length = min_i64(COMPARE_BYTES, size_bytes - done);
        struct log_range range = {.segment = one, .position = at + done, .length = length};
        struct log_range other_range = {.segment = other, .position = other_at + done, .length = length};
        int error = log_range_read(&range, room);
        if (!error)
            error = log_range_read(&other_range, room + COMPARE_BYTES);
        result = error ? error : memcmp(room, room + COMPARE_BYTES, (size_t)length) == 0;
    }
    buffer_release(&bytes);
    return result;
}

/* Whether the batch of `log` stands in `other` too. 1, 0, -errno. */
static int holds_batch(struct partition_log *other, const struct partition_log *log, size_t number,
                       const struct scanned_batch *batch)
{
    if (batch->base_offset < other->segments[0]->base_offset || batch->last_offset >= other->end_offset)
        return 0;
    size_t other_number = partition_log_segment_number(other, batch->base_offset);
    struct scanned_batch same = {0};
    int result = partition_log_find(other, other_number, batch->last_offset, &same);
    if (result <= 0)
        return result;
    if (same.base_offset != batch->base_offset || same.last_offset != batch->last_offset ||
        same.size_bytes != batch->size_bytes)
        return 0;
    int error = segment_open_file(log->segments[number]);
    if (!error)
        error = segment_open_file(other->segments[other_number]);
    return error ? error
                 : same_bytes(log->segments[number], batch->position, other->segments[other_number],
                              same.position, batch->size_bytes);
}

/* Where both know of epochs: whether those of `log` are those of `other`, up to the end of `log`. */
static bool epochs_agree(const struct partition_log *log, const struct partition_log *other)
{
    const struct epoch_cache *epochs = &log->epochs;
    int64_t low = max_i64(log->segments[0]->base_offset, other->segments[0]->base_offset);
    low = max_i64(low, max_i64(log->start_offset, other->start_offset));
    for (size_t i = 0; i < epochs->count; i++) {
        int64_t start = epochs->entries[i].start_offset;
        if (start <= low || start >= log->end_offset)
            continue; /* of what begins at or below there either may have lost the front */
        if (epoch_cache_at(&other->epochs, start) != epochs->entries[i].epoch ||
            epoch_cache_at(&other->epochs, start - 1) != epoch_cache_at(epochs, start - 1))
            return false;
    }
    int32_t last = epoch_cache_at(epochs, log->end_offset - 1), found;
    int64_t end_offset;
    if (last < 0)
        return epoch_cache_latest(&other->epochs) < 0 || epochs->count == 0;
    epoch_cache_end(&other->epochs, last, other->end_offset, &found, &end_offset);
    return found == last && end_offset >= log->end_offset;
}

enum log_kinship partition_log_kinship(struct partition_log *log, struct partition_log *other)
{
    size_t number = 0;
    struct scanned_batch last = {0};
    if (partition_log_use_end(log) || partition_log_use_end(other) || log->end_offset > other->end_offset)
        return LOG_UNRELATED;
    int result = find_last_batch(log, &number, &last);
    if (result == 0)
        return LOG_WITHOUT_RECORDS;
    if (result > 0 && epochs_agree(log, other))
        result = holds_batch(other, log, number, &last);
    else
        result = 0;
    return result > 0 ? LOG_COPY : LOG_UNRELATED;
}
