/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a partition's folder.
 *
 * 1. List it; what compaction or deletion left behind is finished or removed (partition_log_leftovers.c).
 * 2. The segments in order of their base; leader-epoch-checkpoint and partition.metadata are read.
 * 3. After a clean stop the recovery point is the end, and no segment is read (partition_log_end.c); where
 *    something speaks against it, the end of the active segment is looked at. After a crash everything from
 *    the segment of the recovery point on is checked (partition_log_recover.c). What a clean stop cannot have
 *    left, a recovery point that is not the end among it, is recovered all the same.
 * 4. An end below the log start: the log starts anew there.
 * 5. Epochs are cut to [start, end); producer state is the newest snapshot plus the batches behind it.
 * 6. After a crash all of it is made durable: the recovery point is the end, and a second opening changes
 *    nothing.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/disk_error.h"
#include "broker/log/log_names.h"
#include "broker/log/partition_log_leftovers.h"
#include "broker/log/partition_log_private.h"
#include "broker/log/partition_metadata.h"
#include "common/memory.h"

#define EPOCH_FILE_BYTES_MAX ((size_t)64 * 1024 * 1024)

/* *options: what holds of the folder in truth. */
static int make_folder(struct partition_log *log, struct partition_log_options *options)
{
    int error = file_system_make_directory(log->files, log->directory);
    if (error == 0)
        log->parent_unsynced = true;
    if (error != -EEXIST)
        return error;
    if (options->expect_none) {
        options->clean = false;
        options->recovery_point = LOG_RECOVERY_POINT_UNKNOWN;
    }
    return 0;
}

static int add_existing_segment(struct partition_log *log, int64_t base_offset, struct buffer *path)
{
    buffer_clear(path);
    buffer_print(path, "%s/%020" PRId64 ".log", log->directory, base_offset);
    struct file_status status;
    int error = file_system_status(log->files, buffer_string(path), &status);
    if (error)
        return error;
    partition_log_push_segment(
        log, segment_new_existing(log->files, log->directory, base_offset, status.size, status.modified_ms));
    transaction_index_set_missing(&partition_log_active(log)->transactions);
    log->size_bytes += status.size;
    return 0;
}

/* Fills the lists of segments and snapshots. */
static int load_files(struct partition_log *log)
{
    struct log_file_list list;
    int error = log_file_list_read(&list, log);
    struct buffer path;
    buffer_init(&path);
    for (size_t i = 0; !error && i < list.count; i++) {
        const struct log_file_name *file = &list.files[i];
        if (file->kind == LOG_FILE_LOG)
            error = add_existing_segment(log, file->offset, &path);
        else if (file->kind == LOG_FILE_TRANSACTION_INDEX) /* in the list, it comes behind its segment */
            transaction_index_set_present(&partition_log_active(log)->transactions);
        else if (file->kind == LOG_FILE_SNAPSHOT)
            partition_log_add_snapshot(log, file->offset);
    }
    buffer_release(&path);
    log_file_list_release(&list);
    return error;
}

/* Reads the epoch checkpoint; *known is false where there is no sound one. */
static int load_epochs(struct partition_log *log, bool *known)
{
    struct buffer path, text;
    buffer_init(&path);
    buffer_init(&text);
    partition_log_path(log, LEADER_EPOCH_CHECKPOINT, &path);
    int error = file_system_read_all(log->files, buffer_string(&path), EPOCH_FILE_BYTES_MAX, &text);
    *known = error == 0 && epoch_cache_parse(&log->epochs, buffer_slice(&text)) == 0;
    if (error == 0 && !*known)
        log_warn(log->logger, "log", "%s is damaged: leader epochs are read from the log",
                 buffer_string(&path));
    buffer_release(&path);
    buffer_release(&text);
    return error == -ENOENT ? 0 : error;
}

static int load_topic_id(struct partition_log *log)
{
    struct buffer path;
    buffer_init(&path);
    partition_log_path(log, PARTITION_METADATA_FILE, &path);
    int error = partition_metadata_read(log->files, buffer_string(&path), &log->topic_id);
    if (error == -EBADMSG) {
        log_warn(log->logger, "log", "%s is damaged: the folder is taken to have no topic id",
                 buffer_string(&path));
        error = 0;
    }
    buffer_release(&path);
    return error;
}

/* Notes the epochs of the batches below `end`, of segments that are trusted, from that of the log start on;
 * up to the first batch that knows of none where not `all`. 0, or -errno. */
static int scan_epochs(struct partition_log *log, int64_t end, bool all)
{
    int result = 0;
    size_t first = all ? 0 : partition_log_segment_number(log, log->start_offset);
    epoch_cache_clear(&log->epochs);
    for (size_t i = first; result == 0 && i < log->segments_count && log->segments[i]->base_offset < end;
         i++) {
        struct batch_scanner scanner;
        struct scanned_batch batch;
        result = segment_open_file(log->segments[i]);
        if (result)
            return result;
        batch_scanner_init(&scanner, log->segments[i], 0, log->segments[i]->size_bytes, SCAN_CHUNK_HEADERS);
        while ((result = batch_scanner_next(&scanner, &batch)) > 0 && batch.base_offset < end &&
               (all || batch.leader_epoch >= 0))
            if (batch.leader_epoch >= 0)
                epoch_cache_assign(&log->epochs, batch.leader_epoch, batch.base_offset);
        batch_scanner_release(&scanner);
        if (result > 0)
            break;
    }
    log->epochs.changed = true;
    return result == -EBADMSG || result > 0 ? 0 : result;
}

/*
 * After a crash the log start may have fallen to that of its checkpoint, while the epochs' checkpoint has
 * forgotten already what was below the later one: those between are read from the batches.
 */
static int find_forgotten_epochs(struct partition_log *log)
{
    int64_t known_from = log->epochs.count > 0 ? log->epochs.entries[0].start_offset : log->end_offset;
    if (known_from <= log->start_offset)
        return 0;
    struct epoch_cache known = log->epochs;
    epoch_cache_init(&log->epochs);
    int error = scan_epochs(log, known_from, false);
    epoch_cache_truncate_from_start(&log->epochs, log->start_offset);
    for (size_t i = 0; i < known.count; i++)
        epoch_cache_assign(&log->epochs, known.entries[i].epoch, known.entries[i].start_offset);
    epoch_cache_release(&known);
    return error;
}

static int start_empty(struct partition_log *log, int64_t offset, int64_t now_ms)
{
    struct segment *segment;
    int error = segment_create(log->files, log->directory, offset, now_ms, &segment);
    if (error)
        return error;
    log->names_changed++;
    partition_log_push_segment(log, segment);
    log->start_offset = offset;
    log->end_offset = offset;
    log->size_bytes = 0;
    log->end_state = LOG_END_CHECKED;
    epoch_cache_clear(&log->epochs);
    return partition_log_remove_snapshots(log, 0, INT64_MAX);
}

/* A clean stop leaves the end as the recovery point. Another one is that of a log that could not be opened or
 * was refused before that stop: sane headers do not say that what lies behind it was ever checked. */
static bool is_unfinished(const struct partition_log *log, int64_t recovery_point)
{
    return recovery_point != LOG_RECOVERY_POINT_UNKNOWN && recovery_point != log->end_offset;
}

/* Segments and end offset; *repaired: what begins at *repaired_from was checked, and may have been changed.
 */
static int load_segments(struct partition_log *log, const struct partition_log_options *options, bool believe,
                         bool epochs_known, bool *repaired, int64_t *repaired_from)
{
    *repaired = !options->clean;
    if (log->segments_count == 0)
        return start_empty(log, options->log_start_offset, options->now_ms);
    if (options->clean) {
        if (believe &&
            partition_log_believe_end(log, options->recovery_point, options->log_start_offset, epochs_known))
            return 0;
        int error = partition_log_find_clean_end(log, &log->end_offset, repaired_from);
        if (error == 0 && is_unfinished(log, options->recovery_point)) {
            error = -EBADMSG;
            *repaired_from = min_i64(*repaired_from, options->recovery_point);
        }
        if (error != -EBADMSG)
            return error;
        log_warn(log->logger, "log", "%s: not what a clean stop leaves behind; it is recovered",
                 log->directory);
        *repaired = true;
    }
    return partition_log_recover(log, *repaired_from, options->recovery_point, options->checked_bytes);
}

/* The log start, and what lies wholly below it. */
static int load_start(struct partition_log *log, const struct partition_log_options *options)
{
    log->start_offset = max_i64(options->log_start_offset, log->segments[0]->base_offset);
    if (log->start_offset > log->end_offset) {
        log_warn(log->logger, "log",
                 "%s: ends at %" PRId64 ", below its start %" PRId64 ": it begins anew there", log->directory,
                 log->end_offset, log->start_offset);
        int64_t start = log->start_offset;
        int error = partition_log_remove_segments(log, 0, log->segments_count);
        if (!error)
            error = partition_log_sync_names(log);
        if (!error)
            error = start_empty(log, start, options->now_ms);
        return error;
    }
    /* In this order: an epoch that only an emptied log has left goes at once, and not at the second start. */
    epoch_cache_truncate_from_start(&log->epochs, log->start_offset);
    epoch_cache_truncate_from_end(&log->epochs, log->end_offset);
    return 0;
}

/* After a repair. A full disk puts it off: a later flush does it, and until then the recovery point stays
 * where it is. */
static int make_durable(struct partition_log *log)
{
    log->cut_unsynced = true;
    int error = partition_log_flush(log);
    if (error && disk_error_of(error) == DISK_ERROR_FULL && !partition_log_failure(log))
        return 0;
    if (!error)
        error = partition_log_write_snapshot(log, log->end_offset, true);
    if (!error)
        error = partition_log_drop_stray_snapshots(log);
    return error ? error : partition_log_sync_names(log);
}

/* Back to before it was loaded: nothing was changed on disk that loading again does not find right. */
static void unload(struct partition_log *log)
{
    for (size_t i = 0; i < log->segments_count; i++)
        segment_release(log->segments[i]);
    log->segments_count = 0;
    log->snapshots_count = 0;
    log->size_bytes = 0;
    log->end_state = LOG_END_CHECKED;
    epoch_cache_clear(&log->epochs);
    producer_state_clear(log->producers);
}

/* believe: the end that a clean stop has left, unless something contradicts it. 0, or -errno. */
static int load_folder(struct partition_log *log, const struct partition_log_options *given, bool believe)
{
    struct partition_log_options effective = *given, *options = &effective;
    bool epochs_known = false, repaired = false;
    int error = make_folder(log, options);
    int64_t repaired_from = options->recovery_point;
    if (!options->clean) {
        /* Whoever wrote here last may have left names that no sync has reached. */
        log->names_changed = 1;
        log->parent_unsynced = true;
    }
    if (!error)
        error = partition_log_clear_leftovers(log);
    if (!error)
        error = load_files(log);
    if (!error)
        error = load_topic_id(log);
    if (!error)
        error = load_epochs(log, &epochs_known);
    if (!error)
        error = load_segments(log, options, believe, epochs_known, &repaired, &repaired_from);
    if (!error && !epochs_known && log->end_offset > log->segments[0]->base_offset)
        error = scan_epochs(log, INT64_MAX, true);
    if (!error)
        error = load_start(log, options);
    if (!error && repaired)
        error = find_forgotten_epochs(log);
    if (!error)
        error = partition_log_remove_snapshots(log, log->end_offset + 1, INT64_MAX);
    if (!error)
        error = partition_log_sync_names(log);
    if (!error)
        error = partition_log_load_transactions(log);
    if (!error)
        error = partition_log_rebuild_producers(log, log->end_offset, options->now_ms);
    if (error)
        return error;
    log->recovery_point = repaired ? min_i64(max_i64(repaired_from, 0), log->end_offset) : log->end_offset;
    return repaired ? make_durable(log) : 0;
}

int partition_log_load(struct partition_log *log, const struct partition_log_options *options)
{
    int error = load_folder(log, options, true);
    if (log->end_state != LOG_END_WRONG)
        return error;
    /* A snapshot or an index was damaged, so batches were read, and they do not end where it was believed. */
    unload(log);
    return load_folder(log, options, false);
}
