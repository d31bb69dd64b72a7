/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clearing up a partition's folder before it is opened.
 *
 * Compaction replaces segments so: write .cleaned, sync, rename to .swap (highest base first), rename the old
 * ones to .deleted, strip .swap. So a .cleaned is never complete; with a .cleaned left, a .swap at or above
 * the smallest of them belongs to an unfinished set and goes too; the other .swap files are whole, and what
 * they replace may be partly gone already: they must come in.
 */
#include "broker/log/partition_log_leftovers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

static int collect(void *context, const char *name, bool is_directory)
{
    struct log_file_list *list = context;
    struct log_file_name parsed = log_file_name_parse(name);
    if (is_directory || parsed.offset < 0)
        return 0;
    list->files = memory_grow(list->files, list->count, &list->capacity, sizeof(*list->files));
    list->files[list->count++] = parsed;
    return 0;
}

static int compare_files(const void *left, const void *right)
{
    const struct log_file_name *a = left, *b = right;
    if (a->offset != b->offset)
        return a->offset < b->offset ? -1 : 1;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    return (int)a->state - (int)b->state;
}

int log_file_list_read(struct log_file_list *list, struct partition_log *log)
{
    *list = (struct log_file_list){0};
    int error = file_system_list(log->files, log->directory, collect, list);
    if (!error && list->count > 1)
        qsort(list->files, list->count, sizeof(*list->files), compare_files);
    return error;
}

void log_file_list_release(struct log_file_list *list)
{
    free(list->files);
    *list = (struct log_file_list){0};
}

/* <directory>/<20 digits><suffix of the kind> into `path`. */
static const char *plain_path(struct partition_log *log, const struct log_file_name *file,
                              struct buffer *path)
{
    static const char *const suffixes[] = {
        [LOG_FILE_OTHER] = "",
        [LOG_FILE_LOG] = ".log",
        [LOG_FILE_OFFSET_INDEX] = ".index",
        [LOG_FILE_TIME_INDEX] = ".timeindex",
        [LOG_FILE_TRANSACTION_INDEX] = ".txnindex",
        [LOG_FILE_SNAPSHOT] = ".snapshot",
    };
    buffer_clear(path);
    buffer_print(path, "%s/%020" PRId64 "%s", log->directory, file->offset, suffixes[file->kind]);
    return buffer_string(path);
}

static const char *file_path(struct partition_log *log, const struct log_file_name *file, struct buffer *path)
{
    static const char *const states[] = {
        [LOG_FILE_LIVE] = "",
        [LOG_FILE_DELETED] = ".deleted",
        [LOG_FILE_CLEANED] = ".cleaned",
        [LOG_FILE_SWAP] = ".swap",
    };
    plain_path(log, file, path);
    buffer_append_string(path, states[file->state]);
    return buffer_string(path);
}

static int remove_file(struct partition_log *log, const struct log_file_name *file, struct buffer *path)
{
    log->names_changed++;
    int error = file_system_remove(log->files, file_path(log, file, path));
    return error == -ENOENT ? 0 : error;
}

/* Removes the files of the list that are `state` and have an offset of at least `from`. 0, or -errno. */
static int remove_state(struct partition_log *log, struct log_file_list *list, enum log_file_state state,
                        int64_t from, struct buffer *path)
{
    int error = 0;
    size_t kept = 0;
    for (size_t i = 0; i < list->count && !error; i++) {
        struct log_file_name *file = &list->files[i];
        if (file->state == state && file->offset >= from)
            error = remove_file(log, file, path);
        else
            list->files[kept++] = *file;
    }
    list->count = kept;
    return error;
}

/* Removes everything deleted or unfinished. The .cleaned files go last: as long as there is one, it tells
 * that the .swap files beside it are not all. */
static int remove_unfinished(struct partition_log *log, struct log_file_list *list, struct buffer *path)
{
    int64_t smallest_cleaned = INT64_MAX;
    for (size_t i = 0; i < list->count; i++)
        if (list->files[i].state == LOG_FILE_CLEANED)
            smallest_cleaned = min_i64(smallest_cleaned, list->files[i].offset);
    int error = remove_state(log, list, LOG_FILE_DELETED, 0, path);
    if (!error)
        error = remove_state(log, list, LOG_FILE_SWAP, smallest_cleaned, path);
    return error ? error : remove_state(log, list, LOG_FILE_CLEANED, 0, path);
}

/* The offset behind the last batch of a .swap segment; a damaged place counts as its end: it replaces no more
 * than what can be read of it. */
static int swap_end(struct partition_log *log, const struct log_file_name *file, struct buffer *path,
                    int64_t *end_offset)
{
    struct file_status status;
    int error = file_system_status(log->files, file_path(log, file, path), &status);
    if (error)
        return error;
    struct segment *segment =
        segment_new_existing(log->files, log->directory, file->offset, status.size, status.modified_ms);
    struct batch_scanner scanner;
    struct scanned_batch batch;
    *end_offset = file->offset;
    int result = file_open(log->files, buffer_string(path), FILE_READ, &segment->file);
    if (result == 0) {
        batch_scanner_init(&scanner, segment, 0, status.size, SCAN_CHUNK_HEADERS);
        while ((result = batch_scanner_next(&scanner, &batch)) > 0)
            *end_offset = batch.last_offset + 1;
        batch_scanner_release(&scanner);
    }
    segment_release(segment);
    return result == -EBADMSG ? 0 : result;
}

/* The range of offsets that the .swap segments stand for; empty where there are none. */
static int swap_range(struct partition_log *log, const struct log_file_list *list, struct buffer *path,
                      int64_t *from, int64_t *to)
{
    *from = INT64_MAX;
    *to = INT64_MIN;
    for (size_t i = 0; i < list->count; i++) {
        const struct log_file_name *file = &list->files[i];
        if (file->state != LOG_FILE_SWAP || file->kind != LOG_FILE_LOG)
            continue;
        int64_t end;
        int error = swap_end(log, file, path, &end);
        if (error)
            return error;
        *from = min_i64(*from, file->offset);
        *to = max_i64(*to, max_i64(end, file->offset + 1));
    }
    return 0;
}

static int bring_in_swaps(struct partition_log *log, struct log_file_list *list, struct buffer *path)
{
    int64_t from, to;
    int error = swap_range(log, list, path, &from, &to);
    for (size_t i = 0; i < list->count && !error; i++) {
        const struct log_file_name *file = &list->files[i];
        if (file->state == LOG_FILE_LIVE && file->kind != LOG_FILE_SNAPSHOT && file->offset >= from &&
            file->offset < to)
            error = remove_file(log, file, path);
    }
    struct buffer plain;
    buffer_init(&plain);
    for (size_t i = 0; i < list->count && !error; i++) {
        const struct log_file_name *file = &list->files[i];
        if (file->state != LOG_FILE_SWAP)
            continue;
        log->names_changed++;
        error = file_system_rename(log->files, file_path(log, file, path), plain_path(log, file, &plain));
    }
    buffer_release(&plain);
    return error;
}

static bool has_segment(const struct log_file_list *list, int64_t offset)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->files[i].kind == LOG_FILE_LOG && list->files[i].offset == offset)
            return true;
    return false;
}

/* Files are sorted by offset, so the segment of an index is beside it. */
static int remove_orphans(struct partition_log *log, const struct log_file_list *list, struct buffer *path)
{
    int error = 0;
    for (size_t i = 0; i < list->count && !error; i++) {
        const struct log_file_name *file = &list->files[i];
        if (file->kind == LOG_FILE_LOG || file->kind == LOG_FILE_SNAPSHOT)
            continue;
        size_t first = i;
        while (first > 0 && list->files[first - 1].offset == file->offset)
            first--;
        const struct log_file_list same = {list->files + first, i - first + 1, 0};
        if (!has_segment(&same, file->offset))
            error = remove_file(log, file, path);
    }
    return error;
}

int partition_log_clear_leftovers(struct partition_log *log)
{
    struct log_file_list list;
    struct buffer path;
    buffer_init(&path);
    int error = log_file_list_read(&list, log);
    if (!error)
        error = remove_unfinished(log, &list, &path);
    if (!error)
        error = bring_in_swaps(log, &list, &path);
    if (!error)
        error = remove_orphans(log, &list, &path);
    if (!error)
        error = partition_log_sync_names(log);
    log_file_list_release(&list);
    buffer_release(&path);
    return error;
}
