/* SPDX-License-Identifier: Apache-2.0 */
/* A segment's life: made, appended to, cut, sealed, removed. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/segment_private.h"
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
    segment_note_timestamps(segment, append->max_timestamp, append->max_timestamp_offset);
    segment_add_index_entries(segment, append->last_offset, position, (int64_t)append->length,
                              index_interval_bytes);
    return 0;
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
        segment_forget_indexed(segment);
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
    return segment_scan_timestamps(segment, position);
}

int segment_seal(struct segment *segment)
{
    if (!segment->offsets_loaded || !segment->times_loaded)
        return 0;
    time_index_append(&segment->times, segment->max_timestamp, segment->max_timestamp_offset);
    int error = segment_write_indexes(segment);
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
