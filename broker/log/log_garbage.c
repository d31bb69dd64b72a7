/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a live name to .deleted, and from there to nothing.
 *
 * The .log goes first: indexes without it are orphans, which opening removes, and never the other way round.
 * So with it the segment is gone, whatever befalls the indexes.
 * A disk that has no room for the longer name (a folder may have to grow for it) is one that must be able to
 * delete: then the file is unlinked at once.
 */
#include "broker/log/log_garbage.h"

#include <errno.h>
#include <stdlib.h>

#include "broker/log/disk_error.h"
#include "broker/log/log_names.h"
#include "broker/log/partition_log_private.h"
#include "common/memory.h"

struct log_garbage {
    struct file_system *files;
    char **paths;
    size_t count;
    size_t capacity;
};

static const enum log_file_kind SEGMENT_KINDS[] = {LOG_FILE_LOG, LOG_FILE_OFFSET_INDEX, LOG_FILE_TIME_INDEX,
                                                   LOG_FILE_TRANSACTION_INDEX};

static char *path_of(const struct partition_log *log, int64_t offset, enum log_file_kind kind,
                     enum log_file_state state)
{
    struct buffer path;
    buffer_init(&path);
    buffer_print(&path, "%s/", log->directory);
    log_file_name_format(&path, (struct log_file_name){kind, state, offset});
    char *copy = memory_copy_string(buffer_string(&path));
    buffer_release(&path);
    return copy;
}

/* Lets go of one file. *kept: it is there under its new name. 0, also where there is none; or -errno. */
static int discard_file(struct partition_log *log, int64_t offset, enum log_file_kind kind, bool *kept)
{
    char *live = path_of(log, offset, kind, LOG_FILE_LIVE);
    char *deleted = path_of(log, offset, kind, LOG_FILE_DELETED);
    log->names_changed++;
    int error = file_system_rename(log->files, live, deleted);
    *kept = error == 0;
    if (error != 0 && error != -ENOENT && error != -EIO)
        error = file_system_remove(log->files, live);
    free(live);
    free(deleted);
    return error == -ENOENT ? 0 : error;
}

static void note_discarded(struct partition_log *log, int64_t offset, uint32_t kinds)
{
    if (kinds == 0)
        return;
    log->discarded =
        memory_grow(log->discarded, log->discarded_count, &log->discarded_capacity, sizeof(*log->discarded));
    log->discarded[log->discarded_count++] =
        (struct discarded_files){.offset = offset, .kinds = kinds, .due_ms = DISCARDED_UNSEEN};
}

/* An index stays where it is. A hint is an orphan then, which opening removes, or a later segment of that
 * base writes over; aborted transactions that no longer happened must not be found by it. */
static void index_stays(struct partition_log *log, enum log_file_kind kind, int error)
{
    if (kind == LOG_FILE_TRANSACTION_INDEX || disk_error_of(error) == DISK_ERROR_FAILED)
        partition_log_go_offline(log, error, "removing an index");
    else
        partition_log_disk_error(log, error, "removing an index");
}

int partition_log_discard_segment(struct partition_log *log, struct segment *segment)
{
    uint32_t kinds = 0;
    for (size_t i = 0; i < ARRAY_SIZE(SEGMENT_KINDS); i++) {
        bool kept;
        int error = discard_file(log, segment->base_offset, SEGMENT_KINDS[i], &kept);
        if (kept)
            kinds |= 1u << SEGMENT_KINDS[i];
        if (error && SEGMENT_KINDS[i] == LOG_FILE_LOG)
            return error;
        if (error) /* the segment is gone with its .log */
            index_stays(log, SEGMENT_KINDS[i], error);
    }
    note_discarded(log, segment->base_offset, kinds);
    segment_release(segment);
    return 0;
}

int partition_log_discard_snapshot(struct partition_log *log, int64_t offset)
{
    bool kept;
    int error = discard_file(log, offset, LOG_FILE_SNAPSHOT, &kept);
    if (kept)
        note_discarded(log, offset, 1u << LOG_FILE_SNAPSHOT);
    return error;
}

/* ---- taking and removing ---- */

static void add_paths(struct log_garbage *garbage, const struct partition_log *log,
                      const struct discarded_files *files)
{
    for (enum log_file_kind kind = LOG_FILE_LOG; kind <= LOG_FILE_SNAPSHOT; kind++) {
        if (!(files->kinds & (1u << kind)))
            continue;
        garbage->paths =
            memory_grow(garbage->paths, garbage->count, &garbage->capacity, sizeof(*garbage->paths));
        garbage->paths[garbage->count++] = path_of(log, files->offset, kind, LOG_FILE_DELETED);
    }
}

struct log_garbage *partition_log_take_garbage(struct partition_log *log, int64_t now_ms, bool all)
{
    if (log->discarded_count == 0)
        return NULL;
    struct log_garbage *garbage = NULL;
    size_t kept = 0;
    for (size_t i = 0; i < log->discarded_count; i++) {
        struct discarded_files *files = &log->discarded[i];
        int64_t delay_ms = log->settings.file_delete_delay_ms;
        if (files->due_ms == DISCARDED_UNSEEN)
            files->due_ms = now_ms > INT64_MAX - delay_ms ? INT64_MAX : now_ms + delay_ms;
        if (!all && files->due_ms > now_ms) {
            log->discarded[kept++] = *files;
            continue;
        }
        if (garbage == NULL) {
            garbage = memory_allocate_zeroed(1, sizeof(*garbage));
            garbage->files = log->files;
        }
        add_paths(garbage, log, files);
    }
    log->discarded_count = kept;
    if (kept == 0) {
        free(log->discarded);
        log->discarded = NULL;
        log->discarded_capacity = 0;
    }
    return garbage;
}

int log_garbage_remove(struct log_garbage *garbage)
{
    int error = 0;
    for (size_t i = 0; i < garbage->count; i++) {
        int file_error = file_system_remove(garbage->files, garbage->paths[i]);
        if (file_error != -ENOENT && error == 0)
            error = file_error;
    }
    log_garbage_free(garbage);
    return error;
}

void log_garbage_free(struct log_garbage *garbage)
{
    for (size_t i = 0; i < garbage->count; i++)
        free(garbage->paths[i]);
    free(garbage->paths);
    free(garbage);
}

void partition_log_garbage_failed(struct partition_log *log, int error)
{
    partition_log_disk_error(log, error, "removing deleted files");
}
