/* SPDX-License-Identifier: Apache-2.0 */
/* A segment's life: made, appended to, cut, sealed, removed. */
#include "broker/log/segment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/check.h"
#include "common/memory.h"

static struct segment *new_segment(struct file_system *files, const char *directory, int64_t base_offset,
                                   int64_t created_ms)
{
    struct segment *segment = memory_allocate_zeroed(1, sizeof(*segment));
    atomic_init(&segment->references, 1);
    segment->files = files;
    segment->base_offset = base_offset;
    segment->created_ms = created_ms;
    segment->max_timestamp = -1;
    segment->max_timestamp_offset = base_offset;
    segment->first_timestamp = -1;
    struct buffer path;
    buffer_init(&path);
    buffer_print(&path, "%s/%020" PRId64, directory, base_offset);
    size_t stem = path.length;
    buffer_print(&path, ".log");
    segment->path = memory_copy_string(buffer_string(&path));
    path.length = stem;
    buffer_print(&path, ".index");
    offset_index_init(&segment->offsets, files, buffer_string(&path), base_offset);
    path.length = stem;
    buffer_print(&path, ".timeindex");
    time_index_init(&segment->times, files, buffer_string(&path), base_offset);
    path.length = stem;
    buffer_print(&path, ".txnindex");
    transaction_index_init(&segment->transactions, files, buffer_string(&path));
    buffer_release(&path);
    return segment;
}

struct segment *segment_new_existing(struct file_system *files, const char *directory, int64_t base_offset,
                                     int64_t size_bytes, int64_t modified_ms)
{
    struct segment *segment = new_segment(files, directory, base_offset, modified_ms);
    segment->size_bytes = size_bytes;
    return segment;
}

/* Under `path`. 0, or -errno: -EIO where an empty file may have stayed. */
static int create(struct segment *segment, const char *path)
{
    segment->offsets_loaded = true;
    segment->times_loaded = true;
    transaction_index_set_missing(&segment->transactions);
    int error = file_open(segment->files, path, FILE_CREATE, &segment->file);
    if (!error)
        error = file_truncate(segment->files, segment->file, 0);
    if (!error)
        return 0;
    int remove_error = segment->file ? file_system_remove(segment->files, path) : 0;
    return remove_error && remove_error != -ENOENT ? -EIO : error;
}

int segment_create(struct file_system *files, const char *directory, int64_t base_offset, int64_t now_ms,
                   struct segment **created)
{
    struct segment *segment = new_segment(files, directory, base_offset, now_ms);
    /* An empty file left here would hide what is appended elsewhere. */
    int error = create(segment, segment->path);
    if (error)
        segment_release(segment);
    else
        *created = segment;
    return error;
}

/* What opening removes. */
static void format_aside(const struct segment *segment, struct buffer *path)
{
    buffer_init(path);
    buffer_print(path, "%s.cleaned", segment->path);
}

int segment_create_aside(struct file_system *files, const char *directory, int64_t base_offset,
                         int64_t now_ms, struct segment **created)
{
    struct segment *segment = new_segment(files, directory, base_offset, now_ms);
    struct buffer path;
    format_aside(segment, &path);
    int error = create(segment, buffer_string(&path));
    buffer_release(&path);
    if (error)
        segment_release(segment);
    else
        *created = segment;
    return error;
}

int segment_take_name(struct segment *segment)
{
    struct buffer path;
    format_aside(segment, &path);
    int error = file_system_rename(segment->files, buffer_string(&path), segment->path);
    buffer_release(&path);
    return error;
}

void segment_discard_aside(struct segment *segment)
{
    struct buffer path;
    format_aside(segment, &path);
    /* Where it stays, the next opening removes it. */
    int error = file_system_remove(segment->files, buffer_string(&path));
    (void)error;
    buffer_release(&path);
    segment_release(segment);
}

void segment_take(struct segment *segment)
{
    atomic_fetch_add_explicit(&segment->references, 1, memory_order_relaxed);
}

static void close_file(struct segment *segment)
{
    if (!segment->file)
        return;
    file_close(segment->files, segment->file);
    segment->file = NULL;
    open_files_add(segment->open_files, -1);
}

void segment_release(struct segment *segment)
{
    if (!segment || atomic_fetch_sub_explicit(&segment->references, 1, memory_order_acq_rel) > 1)
        return;
    close_file(segment);
    open_files_release(segment->open_files);
    offset_index_release(&segment->offsets);
    time_index_release(&segment->times);
    transaction_index_release(&segment->transactions);
    free(segment->path);
    free(segment);
}

int segment_open_file_anyway(struct segment *segment)
{
    segment->used_ms = open_files_now(segment->open_files);
    if (segment->file)
        return 0;
    int error = file_open(segment->files, segment->path, FILE_WRITE, &segment->file);
    if (!error)
        open_files_add(segment->open_files, 1);
    return error;
}

int segment_open_file(struct segment *segment)
{
    bool refused = !segment->file && open_files_is_exhausted(segment->open_files);
    return refused ? -EMFILE : segment_open_file_anyway(segment);
}

void segment_count_in(struct segment *segment, struct open_files *open_files)
{
    if (segment->open_files || !open_files)
        return;
    segment->open_files = open_files_acquire(open_files);
    segment->used_ms = open_files_now(open_files);
    open_files_add(open_files, segment->file ? 1 : 0);
}

static bool is_idle(struct segment *segment, int64_t idle_ms)
{
    /* References are only made under the owner's lock, or from one: a single one is the log's, and stays so.
     */
    return atomic_load_explicit(&segment->references, memory_order_acquire) == 1 &&
           open_files_now(segment->open_files) - segment->used_ms >= idle_ms;
}

void segment_close_idle(struct segment *segment, int64_t idle_ms)
{
    if (segment->file && is_idle(segment, idle_ms))
        close_file(segment);
}

void segment_forget_indexes(struct segment *segment, int64_t idle_ms)
{
    bool saved = !segment->offsets.file.only_in_memory && !segment->times.file.only_in_memory;
    if (!(segment->offsets_loaded || segment->times_loaded) || !saved || !is_idle(segment, idle_ms))
        return;
    if (segment->times_loaded) {
        segment->found_timestamp = segment->max_timestamp;
        segment->timestamp_found = true;
    }
    index_file_forget(&segment->offsets.file);
    index_file_forget(&segment->times.file);
    segment->offsets_loaded = false;
    segment->times_loaded = false;
}

/* The entries that Kafka's rule of sparsity asks for after an append. */
static void add_index_entries(struct segment *segment, int64_t last_offset, int64_t position, int64_t length,
                              int64_t interval_bytes)
{
    if (segment->bytes_since_index_entry > interval_bytes) {
        offset_index_append(&segment->offsets, last_offset, position);
        time_index_append(&segment->times, segment->max_timestamp, segment->max_timestamp_offset);
        segment->bytes_since_index_entry = 0;
    }
    segment->bytes_since_index_entry += length;
}

/* Notes the timestamps of what stands at the end of the segment now. */
static void note_timestamps(struct segment *segment, int64_t max_timestamp, int64_t last_offset)
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

int segment_append(struct segment *segment, const struct segment_append *append, int64_t index_interval_bytes)
{
    CHECK(segment->offsets_loaded && segment->times_loaded);
    int error = segment_open_file(segment);
    if (error)
        return error;
    struct iovec part = {(void *)append->bytes, append->length};
    int64_t position = segment->size_bytes;
    ssize_t written = file_write(segment->files, segment->file, &part, 1, position);
    if (written != (ssize_t)append->length) {
        /* An open file that cannot be made shorter is on a broken disk, whatever it says: to go on would
         * leave half a batch behind the end (I5). */
        int cut = file_truncate(segment->files, segment->file, position);
        return cut ? -EIO : written < 0 ? (int)written : -ENOSPC;
    }
    if (segment->size_bytes == 0)
        segment->first_timestamp_known = false;
    segment->size_bytes += (int64_t)append->length;
    note_timestamps(segment, append->max_timestamp, append->max_timestamp_offset);
    add_index_entries(segment, append->last_offset, position, (int64_t)append->length, index_interval_bytes);
    return 0;
}

/* ---- rebuilding and loading the indexes ---- */

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
    note_timestamps(segment, batch.max_timestamp, batch.last_offset);
    add_index_entries(segment, batch.last_offset, batch.position, batch.size_bytes, rebuild->interval_bytes);
    rebuild->next_offset = batch.last_offset + 1;
    if (rebuild->visit)
        rebuild->visit(rebuild->context, &batch, bytes);
    return 1;
}

static void forget_indexed(struct segment *segment)
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
    forget_indexed(segment);
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

static int write_indexes(struct segment *segment)
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
        error = write_indexes(segment);
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

/* Notes the greatest timestamps from `position` on. 0, -EBADMSG, -errno. */
static int scan_timestamps(struct segment *segment, int64_t position)
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
    int result = scan_timestamps(segment, position);
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

/* ---- the end of it ---- */

int segment_truncate(struct segment *segment, int64_t size_bytes, int64_t offset,
                     int64_t index_interval_bytes)
{
    int error = segment_open_file(segment);
    if (!error)
        error = segment_load_times(segment, index_interval_bytes);
    if (!error)
        error = offset_index_truncate(&segment->offsets, offset, size_bytes);
    if (!error)
        error = time_index_truncate(&segment->times, offset);
    if (!error)
        error = file_truncate(segment->files, segment->file, size_bytes);
    if (error)
        return error;
    transaction_index_truncate(&segment->transactions, offset);
    segment->size_bytes = size_bytes;
    segment->rebuilt = false;
    segment->damage_told_count = 0;
    segment->bytes_since_index_entry = 0;
    if (size_bytes == 0) {
        forget_indexed(segment);
        return 0;
    }
    struct time_index_entry last = time_index_last(&segment->times);
    struct scanned_batch batch;
    int64_t position = 0;
    if (last.timestamp >= 0) {
        int found = segment_find(segment, last.offset, index_interval_bytes, &batch);
        if (found < 0)
            return found;
        position = found > 0 ? batch.position : 0;
    }
    segment->max_timestamp = last.timestamp;
    segment->max_timestamp_offset = last.offset;
    return scan_timestamps(segment, position);
}

int segment_seal(struct segment *segment)
{
    if (!segment->offsets_loaded || !segment->times_loaded)
        return 0;
    time_index_append(&segment->times, segment->max_timestamp, segment->max_timestamp_offset);
    int error = write_indexes(segment);
    /* Where there is no room now, a later flush writes it, before the recovery point moves. */
    bool name_changed;
    int transactions_error = transaction_index_write(&segment->transactions, &name_changed);
    return error ? error : transactions_error == -EIO ? transactions_error : 0;
}

void segment_note_abort(struct segment *segment, const struct completed_transaction *completed)
{
    const struct aborted_transaction entry = {completed->producer_id, completed->first_offset,
                                              completed->last_offset, completed->last_stable_offset};
    transaction_index_append(&segment->transactions, &entry);
}
