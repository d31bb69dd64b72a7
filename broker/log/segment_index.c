/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A segment's two indexes: loaded, made anew from the batches where they are missing or wrong (I11), and used
 * to find a batch.
 */
#include <errno.h>

#include "broker/log/segment_private.h"
#include "common/bytes.h"

void segment_add_index_entries(struct segment *segment, int64_t last_offset, int64_t position, int64_t length,
                               int64_t interval_bytes)
{
    if (segment->bytes_since_index_entry > interval_bytes) {
        offset_index_append(&segment->offsets, last_offset, position);
        time_index_append(&segment->times, segment->max_timestamp, segment->max_timestamp_offset);
        segment->bytes_since_index_entry = 0;
    }
    segment->bytes_since_index_entry += length;
}

void segment_note_timestamps(struct segment *segment, int64_t max_timestamp, int64_t last_offset)
{
    if (!segment->first_timestamp_known) {
        segment->first_timestamp_known = true;
        segment->first_timestamp = max_timestamp;
    }
    if (max_timestamp > segment->max_timestamp) {
        segment->max_timestamp = max_timestamp;
        segment->max_timestamp_offset = last_offset;
    }
}

/* ---- rebuilding and loading ---- */

struct rebuild {
    struct segment *segment;
    struct batch_scanner scanner;
    int64_t next_offset; /* nothing below may come */
    int64_t interval_bytes;
    bool check;
    segment_visit *visit;
    void *context;
};

/* 1: the batch is taken; 0: the end; -EBADMSG: not sane; -errno. */
static int rebuild_step(struct rebuild *rebuild)
{
    struct segment *segment = rebuild->segment;
    struct scanned_batch batch;
    int result = batch_scanner_next(&rebuild->scanner, &batch);
    if (result <= 0)
        return result;
    if (batch.base_offset < rebuild->next_offset || batch.last_offset - segment->base_offset > INT32_MAX)
        return -EBADMSG;
    const uint8_t *bytes = NULL;
    if (rebuild->check || (rebuild->visit && batch.control)) {
        int error = batch_scanner_bytes(&rebuild->scanner, &batch, &bytes);
        if (error)
            return error;
        if (rebuild->check && !scanned_batch_check_crc(&batch, bytes))
            return -EBADMSG;
    }
    segment_note_timestamps(segment, batch.max_timestamp, batch.last_offset);
    segment_add_index_entries(segment, batch.last_offset, batch.position, batch.size_bytes,
                              rebuild->interval_bytes);
    rebuild->next_offset = batch.last_offset + 1;
    if (rebuild->visit)
        rebuild->visit(rebuild->context, &batch, bytes);
    return 1;
}

void segment_forget_indexed(struct segment *segment)
{
    segment->max_timestamp = -1;
    segment->max_timestamp_offset = segment->base_offset;
    segment->first_timestamp_known = false;
    segment->first_timestamp = -1;
    segment->bytes_since_index_entry = 0;
    segment->offsets_loaded = true;
    segment->times_loaded = true;
}

/* segment_rebuild in memory only. */
static int rebuild_entries(struct segment *segment, bool check, int64_t first_offset,
                           int64_t index_interval_bytes, segment_visit *visit, void *context,
                           int64_t *valid_bytes)
{
    int error = segment_open_file(segment);
    if (error)
        return error;
    buffer_clear(&segment->offsets.file.entries);
    buffer_clear(&segment->times.file.entries);
    segment->offsets.file.changed = segment->offsets.file.only_in_memory = true;
    segment->times.file.changed = segment->times.file.only_in_memory = true;
    segment_forget_indexed(segment);
    struct rebuild rebuild = {.segment = segment,
                              .next_offset = max_i64(first_offset, segment->base_offset),
                              .interval_bytes = index_interval_bytes,
                              .check = check,
                              .visit = visit,
                              .context = context};
    batch_scanner_init(&rebuild.scanner, segment, 0, segment->size_bytes,
                       check ? SCAN_CHUNK_WHOLE : SCAN_CHUNK_HEADERS);
    int64_t valid = 0;
    int result;
    while ((result = rebuild_step(&rebuild)) > 0)
        valid = rebuild.scanner.position;
    batch_scanner_release(&rebuild.scanner);
    *valid_bytes = valid;
    if (result == -EBADMSG)
        segment_note_damage(segment, valid, rebuild.next_offset);
    return result < 0 && result != -EBADMSG ? result : 0;
}

/* An empty segment that is opened again and again needs no index files before it is sealed. */
static int write_rebuilt(struct index_file *index)
{
    return index_file_count(index) > 0 ? index_file_write(index) : index_file_truncate(index, 0);
}

int segment_write_indexes(struct segment *segment)
{
    int offsets_error = index_file_write(&segment->offsets.file);
    int times_error = index_file_write(&segment->times.file);
    return offsets_error ? offsets_error : times_error;
}

int segment_rebuild(struct segment *segment, bool check, int64_t first_offset, int64_t index_interval_bytes,
                    segment_visit *visit, void *context, int64_t *valid_bytes)
{
    int error =
        rebuild_entries(segment, check, first_offset, index_interval_bytes, visit, context, valid_bytes);
    if (!error)
        error = write_rebuilt(&segment->offsets.file);
    if (!error)
        error = write_rebuilt(&segment->times.file);
    return error;
}

void segment_note_damage(struct segment *segment, int64_t position, int64_t offset)
{
    segment->damage_position = position;
    segment->damage_offset = offset;
}

/* Takes over what the former index says of the part of the segment that the scan did not reach. */
static void keep_entries_behind(struct segment *segment, const struct buffer *offsets, int64_t position)
{
    for (size_t at = 0; at + OFFSET_INDEX_ENTRY_BYTES <= offsets->length; at += OFFSET_INDEX_ENTRY_BYTES) {
        int32_t relative = (int32_t)load_u32(offsets->data + at);
        int32_t entry_position = (int32_t)load_u32(offsets->data + at + 4);
        if (entry_position > position)
            offset_index_append(&segment->offsets, segment->base_offset + relative, entry_position);
    }
}

int segment_rebuild_for_reading(struct segment *segment, int64_t index_interval_bytes)
{
    if (segment->rebuilt)
        return -EBADMSG;
    segment->rebuilt = true;
    struct buffer offsets = segment->offsets.file.entries;
    int64_t max_timestamp = segment->times_loaded ? segment->max_timestamp : -1;
    int64_t max_timestamp_offset = segment->max_timestamp_offset, valid;
    buffer_init(&segment->offsets.file.entries);
    int error = rebuild_entries(segment, false, 0, index_interval_bytes, NULL, NULL, &valid);
    if (!error && valid < segment->size_bytes) {
        keep_entries_behind(segment, &offsets, valid);
        if (max_timestamp > segment->max_timestamp) {
            segment->max_timestamp = max_timestamp;
            segment->max_timestamp_offset = max_timestamp_offset;
        }
        error = -EBADMSG;
    } else if (!error) {
        error = segment_write_indexes(segment);
    }
    buffer_release(&offsets);
    return error;
}

/* An index that ends further from the last batch of the segment than this is rebuilt. */
#define INDEX_TAIL_BYTES_MAX ((int64_t)1024 * 1024)

/* Whether the segment's last batch, which may be a large one, begins more than `limit` behind `position`. 1,
 * 0, or -errno. */
static int ends_far_behind(struct segment *segment, int64_t position, int64_t limit)
{
    if (segment->size_bytes - position <= limit)
        return 0;
    int result = segment_open_file(segment);
    if (result)
        return result;
    struct batch_scanner scanner;
    struct scanned_batch batch;
    bool far = false;
    batch_scanner_init(&scanner, segment, position, segment->size_bytes, SCAN_CHUNK_LOOKUP);
    while (!far && (result = batch_scanner_next(&scanner, &batch)) > 0)
        far = batch.position - position > limit;
    batch_scanner_release(&scanner);
    return far || result == -EBADMSG ? 1 : result;
}

int segment_load_offsets(struct segment *segment, int64_t index_interval_bytes)
{
    if (segment->offsets_loaded)
        return 0;
    int error = offset_index_load(&segment->offsets, segment->size_bytes);
    if (error)
        return error;
    int64_t last = offset_index_find_position(&segment->offsets, segment->size_bytes);
    int far = ends_far_behind(segment, last, INDEX_TAIL_BYTES_MAX + 2 * index_interval_bytes);
    if (far > 0)
        far = segment_rebuild_for_reading(segment, index_interval_bytes);
    if (far < 0 && far != -EBADMSG) /* damage shows where somebody looks for it */
        return far;
    segment->offsets_loaded = true;
    return 0;
}

int segment_scan_timestamps(struct segment *segment, int64_t position)
{
    struct batch_scanner scanner;
    batch_scanner_init(&scanner, segment, position, segment->size_bytes, SCAN_CHUNK_HEADERS);
    struct scanned_batch batch;
    int result;
    int64_t next_offset = segment->base_offset;
    while ((result = batch_scanner_next(&scanner, &batch)) > 0) {
        if (batch.max_timestamp > segment->max_timestamp) {
            segment->max_timestamp = batch.max_timestamp;
            segment->max_timestamp_offset = batch.last_offset;
        }
        next_offset = batch.last_offset + 1;
    }
    if (result == -EBADMSG)
        segment_note_damage(segment, scanner.position, next_offset);
    batch_scanner_release(&scanner);
    return result;
}

int segment_load_times(struct segment *segment, int64_t index_interval_bytes)
{
    if (segment->times_loaded)
        return 0;
    int error = segment_open_file(segment);
    if (!error)
        error = segment_load_offsets(segment, index_interval_bytes);
    if (error || segment->times_loaded)
        return error;
    error = time_index_load(&segment->times);
    if (error)
        return error;
    struct time_index_entry last = time_index_last(&segment->times);
    int64_t position = 0;
    if (last.timestamp >= 0) {
        struct scanned_batch batch;
        int found = segment_find(segment, last.offset, index_interval_bytes, &batch);
        if (found < 0 || segment->times_loaded) /* all was rebuilt on the way */
            return found < 0 ? found : 0;
        if (found == 0 || batch.max_timestamp != last.timestamp)
            return segment_rebuild_for_reading(segment, index_interval_bytes);
        position = batch.position;
    }
    segment->max_timestamp = -1;
    segment->max_timestamp_offset = segment->base_offset;
    int result = segment_scan_timestamps(segment, position);
    if (result < 0)
        return result;
    segment->times_loaded = true;
    return 0;
}

int segment_load_first_timestamp(struct segment *segment)
{
    if (segment->first_timestamp_known || segment->size_bytes == 0)
        return 0;
    int error = segment_open_file(segment);
    if (error)
        return error;
    struct batch_scanner scanner;
    struct scanned_batch batch;
    batch_scanner_init(&scanner, segment, 0, segment->size_bytes, SCAN_CHUNK_LOOKUP);
    int result = batch_scanner_next(&scanner, &batch);
    batch_scanner_release(&scanner);
    if (result < 0 && result != -EBADMSG)
        return result;
    segment->first_timestamp = result > 0 ? batch.max_timestamp : -1;
    segment->first_timestamp_known = true;
    return 0;
}

/* ---- finding ---- */

/* As segment_find, from `position` on; -EBADMSG where the position was no beginning of a batch before it. */
static int find_from(struct segment *segment, int64_t position, int64_t offset, struct scanned_batch *batch)
{
    struct batch_scanner scanner;
    batch_scanner_init(&scanner, segment, position, segment->size_bytes, SCAN_CHUNK_LOOKUP);
    bool first = true;
    int result;
    int64_t next_offset = segment->base_offset, next_position = position;
    while ((result = batch_scanner_next(&scanner, batch)) > 0) {
        if (batch->base_offset < segment->base_offset ||
            (first && position > 0 && batch->base_offset > offset)) {
            result = -EBADMSG;
            break;
        }
        first = false;
        if (batch->last_offset >= offset)
            break;
        next_offset = batch->last_offset + 1;
        next_position = scanner.position;
    }
    if (result == -EBADMSG)
        segment_note_damage(segment, next_position, next_offset);
    batch_scanner_release(&scanner);
    return result;
}

int segment_find(struct segment *segment, int64_t offset, int64_t index_interval_bytes,
                 struct scanned_batch *batch)
{
    int error = segment_open_file(segment);
    if (!error)
        error = segment_load_offsets(segment, index_interval_bytes);
    if (error)
        return error;
    int result = find_from(segment, offset_index_find(&segment->offsets, offset), offset, batch);
    if (result != -EBADMSG)
        return result;
    if (segment->rebuilt)
        return result;
    error = segment_rebuild_for_reading(segment, index_interval_bytes);
    if (error && error != -EBADMSG)
        return error;
    return find_from(segment, offset_index_find(&segment->offsets, offset), offset, batch);
}
