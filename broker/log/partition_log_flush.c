/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Durability. A flush makes the segments from the recovery point on durable, then the names of the folder,
 * then the folder's own name; only then does the recovery point move. The epoch checkpoint is written before
 * that, so that what is not read again at recovery is in it.
 *
 * A sync that fails takes the log offline, and is never tried again (I6). Where the process has no descriptor
 * left to open the folder with, nothing has failed yet: the recovery point stays, a later flush does it all.
 * Indexes are hints (I11): but for -EIO nothing that befalls them matters here.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/partition_log_private.h"
#include "common/memory.h"

struct log_flush {
    struct file_system *files;
    struct segment **segments; /* each with a reference */
    size_t count;
    int64_t end_offset;
    uint64_t truncations;
    uint64_t names_changed;
    char *directory; /* NULL: names are synced */
    char *parent;    /* NULL: likewise */
};

bool partition_log_wants_flush(const struct partition_log *log)
{
    return !partition_log_failure(log) &&
           (log->recovery_point < partition_log_active(log)->base_offset ||
            log->end_offset - log->recovery_point >= log->settings.flush_messages);
}

static char *parent_of(const char *directory)
{
    const char *slash = strrchr(directory, '/');
    if (!slash)
        return memory_copy_string(".");
    return memory_copy_bytes(directory, slash == directory ? 1 : (size_t)(slash - directory));
}

int partition_log_flush_begin(struct partition_log *log, struct log_flush **begun)
{
    if (partition_log_failure(log))
        return partition_log_failure(log);
    int error = partition_log_write_epochs(log);
    size_t first = partition_log_segment_number(log, log->recovery_point);
    for (size_t i = first; i < log->segments_count && !error; i++)
        error = segment_open_file(log->segments[i]);
    if (error) {
        partition_log_disk_error(log, error, "preparing a flush");
        return error;
    }
    struct log_flush *flush = memory_allocate_zeroed(1, sizeof(*flush));
    flush->files = log->files;
    flush->end_offset = log->end_offset;
    flush->truncations = log->truncations;
    flush->names_changed = log->names_changed;
    if (log->names_changed != log->names_synced)
        flush->directory = memory_copy_string(log->directory);
    if (log->parent_unsynced)
        flush->parent = parent_of(log->directory);
    if (log->recovery_point < log->end_offset || log->cut_unsynced) {
        flush->segments = memory_allocate((log->segments_count - first) * sizeof(struct segment *));
        for (size_t i = first; i < log->segments_count; i++) {
            segment_take(log->segments[i]);
            flush->segments[flush->count++] = log->segments[i];
        }
    }
    *begun = flush;
    return 0;
}

/* Syncs the index of a sealed segment. 0, or -EIO. */
static int sync_index(struct file_system *files, const char *path)
{
    struct file *file;
    int error = file_open(files, path, FILE_WRITE, &file);
    if (!error) {
        error = file_sync(files, file);
        file_close(files, file);
    }
    return error == -EIO ? error : 0;
}

int log_flush_run(struct log_flush *flush)
{
    int error = 0;
    for (size_t i = 0; i < flush->count && !error; i++) {
        struct segment *segment = flush->segments[i];
        error = file_sync(flush->files, segment->file);
        /* The indexes of a sealed segment will not be rebuilt once the recovery point is past it. */
        if (!error && i + 1 < flush->count)
            error = sync_index(flush->files, segment->offsets.file.path);
        if (!error && i + 1 < flush->count)
            error = sync_index(flush->files, segment->times.file.path);
    }
    if (!error && flush->directory)
        error = file_system_sync_directory(flush->files, flush->directory);
    if (!error && flush->parent)
        error = file_system_sync_directory(flush->files, flush->parent);
    return error;
}

void log_flush_free(struct log_flush *flush)
{
    for (size_t i = 0; i < flush->count; i++)
        segment_release(flush->segments[i]);
    free(flush->segments);
    free(flush->directory);
    free(flush->parent);
    free(flush);
}

int partition_log_flush_end(struct partition_log *log, struct log_flush *flush, int error)
{
    bool undone = error == -EMFILE || error == -ENFILE;
    if (undone) {
        log_warn(log->logger, "log", "%s: not flushed now: %s", log->directory, strerror(-error));
    } else if (error) {
        partition_log_go_offline(log, error, "sync");
    } else {
        if (flush->names_changed > log->names_synced)
            log->names_synced = flush->names_changed;
        if (flush->parent)
            log->parent_unsynced = false;
        if (flush->truncations == log->truncations) {
            log->recovery_point = max_i64(log->recovery_point, flush->end_offset);
            log->cut_unsynced = false;
        }
    }
    log_flush_free(flush);
    return undone ? error : partition_log_failure(log);
}

int partition_log_flush(struct partition_log *log)
{
    struct log_flush *flush;
    int error = partition_log_flush_begin(log, &flush);
    return error ? error : partition_log_flush_end(log, flush, log_flush_run(flush));
}
