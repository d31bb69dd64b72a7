/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Durability. A flush makes the segments from the recovery point on durable, then the names of the folder,
 * then the folder's own name; only then does the recovery point move. The epoch checkpoint is written before
 * that, so that what is not read again at recovery is in it; by the run, as its sync would be the one thing
 * that the owner's lock waits for.
 *
 * A sync that fails takes the log offline, and is never tried again (I6): the gate that all syncs of the log
 * go through keeps the error. It takes the directory offline at once, whoever owns the log by then. Where the
 * process has no descriptor left to open the folder with, nothing has failed yet: the recovery point stays, a
 * later flush does it all.
 * Indexes are hints (I11): but for -EIO nothing that befalls them matters here.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/disk_error.h"
#include "broker/log/partition_log_private.h"
#include "common/check.h"
#include "common/memory.h"

/* An index of aborted transactions that has what no sync has seen. */
struct unsynced_transactions {
    struct file *file; /* NULL: none */
    uint64_t version;
};

struct log_flush {
    struct file_system *files;
    struct logger *logger;
    struct log_health *health;                  /* outlives the log; NULL: none */
    struct flush_gate *gate;                    /* a reference */
    struct segment **segments;                  /* each with a reference */
    struct unsynced_transactions *transactions; /* of each segment */
    size_t count;
    int64_t end_offset;
    uint64_t truncations;
    uint64_t names_changed;
    char *directory; /* of the log when it began */
    bool sync_names;
    char *parent;                  /* NULL: synced */
    struct epoch_file *epoch_file; /* a reference */
    struct buffer epochs;          /* the text of */
    uint64_t epochs_version;       /* 0: the file has it */
    bool epochs_failed;            /* they could not be written; nothing was synced */
};

bool partition_log_wants_flush(const struct partition_log *log)
{
    return !partition_log_failure(log) &&
           (log->recovery_point < partition_log_active(log)->base_offset ||
            (log->recovery_point < log->end_offset && open_files_is_pressed(log->open_files)) ||
            log->end_offset - log->recovery_point >= log->settings.flush_messages);
}

static char *parent_of(const char *directory)
{
    const char *slash = strrchr(directory, '/');
    if (!slash)
        return memory_copy_string(".");
    return memory_copy_bytes(directory, slash == directory ? 1 : (size_t)(slash - directory));
}

/* Where the process lacks something, whoever asked for the flush says so, for all logs: not each of them. */
static void note_unprepared(struct partition_log *log, int error)
{
    if (disk_error_of(error) != DISK_ERROR_PASSING)
        partition_log_disk_error(log, error, "preparing a flush");
}

/* Brings the indexes of aborted transactions, which are no hints, to their files. 0, or -errno. */
static int write_transactions(struct partition_log *log, size_t first)
{
    bool name_changed = false;
    int error = 0;
    for (size_t i = first; i < log->segments_count && !error; i++)
        error = transaction_index_write(&log->segments[i]->transactions, &name_changed);
    if (name_changed)
        log->names_changed++;
    return error;
}

/* Takes the segment, and opens what else is to be synced. 0, or -errno. */
static int take_segment(struct log_flush *flush, struct segment *segment)
{
    const struct transaction_index *index = &segment->transactions;
    struct unsynced_transactions *unsynced = &flush->transactions[flush->count];
    unsynced->version = index->version;
    segment_take(segment);
    flush->segments[flush->count++] = segment;
    return index->written > 0 && index->version != index->synced
               ? file_open(flush->files, index->path, FILE_WRITE, &unsynced->file)
               : 0;
}

int partition_log_flush_begin(struct partition_log *log, struct log_flush **begun)
{
    if (partition_log_failure(log))
        return partition_log_failure(log);
    int error = 0;
    size_t first = partition_log_segment_number(log, log->recovery_point);
    bool has_data = log->recovery_point < log->end_offset || log->cut_unsynced;
    for (size_t i = first; i < log->segments_count && has_data && !error; i++)
        error = segment_open_file(log->segments[i]);
    if (!error)
        error = write_transactions(log, first);
    if (error) {
        note_unprepared(log, error);
        return error;
    }
    struct log_flush *flush = memory_allocate_zeroed(1, sizeof(*flush));
    flush->files = log->files;
    flush->logger = log->logger;
    flush->health = log->health;
    flush->gate = flush_gate_acquire(log->flush_gate);
    flush->end_offset = log->end_offset;
    flush->truncations = log->truncations;
    flush->names_changed = log->names_changed;
    flush->directory = memory_copy_string(log->directory);
    flush->sync_names = log->names_changed != log->names_synced;
    flush->epoch_file = epoch_file_acquire(log->epoch_file);
    buffer_init(&flush->epochs);
    flush->epochs_version = partition_log_format_epochs(log, &flush->epochs);
    if (log->parent_unsynced)
        flush->parent = parent_of(log->directory);
    if (has_data) {
        flush->segments = memory_allocate((log->segments_count - first) * sizeof(struct segment *));
        flush->transactions =
            memory_allocate_zeroed(log->segments_count - first, sizeof(*flush->transactions));
        for (size_t i = first; i < log->segments_count && !error; i++)
            error = take_segment(flush, log->segments[i]);
    }
    if (error) {
        note_unprepared(log, error);
        log_flush_free(flush);
        return error;
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

static int write_epochs(struct log_flush *flush)
{
    struct buffer path;
    buffer_init(&path);
    buffer_print(&path, "%s/%s", flush->directory, LEADER_EPOCH_CHECKPOINT);
    int error = epoch_file_write(flush->epoch_file, buffer_string(&path), flush->epochs_version,
                                 buffer_slice(&flush->epochs));
    buffer_release(&path);
    return error;
}

/* Nothing that was written is lost: no descriptor was left to sync names with. */
static bool is_undone(int error)
{
    return error == -EMFILE || error == -ENFILE;
}

/* Whether the disk may have lost something and will not say so again. A folder that is not there was renamed:
 * the log was deleted or moved. */
static bool is_lost(const struct log_flush *flush, int error)
{
    return error && !flush->epochs_failed && !is_undone(error) && error != -ENOENT;
}

/* Through the gate. */
static int sync_all(struct log_flush *flush)
{
    int error = flush->epochs_version > 0 ? write_epochs(flush) : 0;
    flush->epochs_failed = error != 0;
    for (size_t i = 0; i < flush->count && !error; i++) {
        struct segment *segment = flush->segments[i];
        error = file_sync(flush->files, segment->file);
        /* The indexes of a sealed segment will not be rebuilt once the recovery point is past it. */
        if (!error && i + 1 < flush->count)
            error = sync_index(flush->files, segment->offsets.file.path);
        if (!error && i + 1 < flush->count)
            error = sync_index(flush->files, segment->times.file.path);
        if (!error && flush->transactions[i].file)
            error = file_sync(flush->files, flush->transactions[i].file);
    }
    if (!error && flush->sync_names)
        error = file_system_sync_directory(flush->files, flush->directory);
    if (!error && flush->parent)
        error = file_system_sync_directory(flush->files, flush->parent);
    return error;
}

int log_flush_run(struct log_flush *flush)
{
    int error = flush_gate_enter(flush->gate);
    if (!error)
        error = sync_all(flush);
    int lost = is_lost(flush, error) ? error : 0;
    flush_gate_leave(flush->gate, lost);
    if (lost && flush->health)
        log_health_fail(flush->health, flush->logger, flush->directory, lost, "sync");
    return error;
}

int64_t log_flush_end_offset(const struct log_flush *flush)
{
    return flush->end_offset;
}

void log_flush_free(struct log_flush *flush)
{
    for (size_t i = 0; i < flush->count; i++) {
        if (flush->transactions[i].file)
            file_close(flush->files, flush->transactions[i].file);
        segment_release(flush->segments[i]);
    }
    free(flush->segments);
    free(flush->transactions);
    free(flush->directory);
    epoch_file_release(flush->epoch_file);
    flush_gate_release(flush->gate);
    buffer_release(&flush->epochs);
    free(flush->parent);
    free(flush);
}

/* A log's address may be another one's by now; its epoch file, which the flush holds, is not. */
bool log_flush_is_of(const struct log_flush *flush, const struct partition_log *log)
{
    return flush->epoch_file == log->epoch_file;
}

int partition_log_flush_end(struct partition_log *log, struct log_flush *flush, int error)
{
    CHECK(log_flush_is_of(flush, log));
    if (error && flush->epochs_failed) {
        partition_log_disk_error(log, error, "writing the leader epochs");
    } else if (error && !is_undone(error)) {
        partition_log_go_offline(log, error, "sync");
    } else if (!error) {
        partition_log_epochs_written(log, flush->epochs_version);
        if (flush->names_changed > log->names_synced)
            log->names_synced = flush->names_changed;
        if (flush->parent)
            log->parent_unsynced = false;
        for (size_t i = 0; i < flush->count; i++)
            if (flush->segments[i]->transactions.synced < flush->transactions[i].version)
                flush->segments[i]->transactions.synced = flush->transactions[i].version;
        if (flush->truncations == log->truncations) {
            log->recovery_point = max_i64(log->recovery_point, flush->end_offset);
            log->cut_unsynced = false;
        }
    }
    log_flush_free(flush);
    return partition_log_failure(log) ? partition_log_failure(log) : error;
}

int partition_log_flush(struct partition_log *log)
{
    struct log_flush *flush;
    int error = partition_log_flush_begin(log, &flush);
    return error ? error : partition_log_flush_end(log, flush, log_flush_run(flush));
}
