/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Putting a compacted segment in the place of those that it was made of.
 *
 * The names change in this order, all in one folder and without a sync in between; a file system brings them
 * to disk in the order in which they were made:
 *
 *   1. .cleaned -> .swap   all files of the new segment, the .log last
 *   2. live -> .deleted    the old segments, lowest first
 *   3. .swap -> live       the .log first: from then on no opening removes what was stripped already
 *
 * A crash within 1 leaves a .cleaned, so the new ones go; within 2 the new ones come in, and what is left of
 * the old ones within their range goes, or, above it, stays as a whole tail of the group; within 3 the rest
 * is stripped.
 */
#include <errno.h>
#include <string.h>

#include "broker/log/disk_error.h"
#include "broker/log/log_names.h"
#include "broker/log/partition_log_clean_private.h"

/* Renames one file of the new segment. 0, or -errno. */
static int rename_file(struct partition_log *log, int64_t base_offset, enum log_file_kind kind,
                       enum log_file_state from, enum log_file_state to)
{
    struct buffer old_path, new_path;
    buffer_init(&old_path);
    buffer_init(&new_path);
    buffer_print(&old_path, "%s/", log->directory);
    buffer_print(&new_path, "%s/", log->directory);
    log_file_name_format(&old_path, (struct log_file_name){kind, from, base_offset});
    log_file_name_format(&new_path, (struct log_file_name){kind, to, base_offset});
    log->names_changed++;
    int error = file_system_rename(log->files, buffer_string(&old_path), buffer_string(&new_path));
    buffer_release(&old_path);
    buffer_release(&new_path);
    /* An index that could not be written is missing, and made anew when it is needed. */
    bool may_miss = kind == LOG_FILE_OFFSET_INDEX || kind == LOG_FILE_TIME_INDEX;
    return error == -ENOENT && may_miss ? 0 : error;
}

static int remove_file(struct partition_log *log, int64_t base_offset, enum log_file_kind kind,
                       enum log_file_state state)
{
    struct buffer path;
    buffer_init(&path);
    buffer_print(&path, "%s/", log->directory);
    log_file_name_format(&path, (struct log_file_name){kind, state, base_offset});
    int error = file_system_remove(log->files, buffer_string(&path));
    buffer_release(&path);
    return error == -ENOENT ? 0 : error;
}

/* Passes over the segments that retention has taken from the front of the log. True: there were some. */
static bool skip_removed(const struct partition_log *log, struct log_clean *clean)
{
    int64_t start = log->segments[0]->base_offset;
    size_t next = clean->next;
    while (next < clean->segments_count && clean->segments[next].base_offset < start)
        next++;
    if (next == clean->next)
        return false;
    log_clean_undo_group(clean);
    clean->next = next;
    clean_transactions_skip(&clean->transactions, start);
    return true;
}

int partition_log_clean_check(const struct partition_log *log, struct log_clean *clean)
{
    int failure = partition_log_failure(log);
    if (failure)
        return failure;
    if (log->cleaning_paused || log->truncations != clean->truncations ||
        strcmp(log->directory, clean->directory) != 0)
        return -ECANCELED;
    bool skipped = skip_removed(log, clean);
    size_t left = clean->segments_count - clean->next;
    if (left == 0) /* with a map there may be something to note; without, all of it is gone */
        return clean->end_offset < 0 ? -ECANCELED : skipped;
    size_t first = partition_log_segment_number(log, clean->segments[clean->next].base_offset);
    /* The active one is never cleaned. */
    if (first + left >= log->segments_count)
        return -ECANCELED;
    for (size_t i = 0; i < left; i++)
        if (log->segments[first + i] != clean->segments[clean->next + i].segment)
            return -ECANCELED;
    return skipped;
}

static const enum log_file_kind INDEX_KINDS[] = {LOG_FILE_OFFSET_INDEX, LOG_FILE_TIME_INDEX,
                                                 LOG_FILE_TRANSACTION_INDEX};

static bool has_file(const struct log_clean *clean, enum log_file_kind kind)
{
    return kind != LOG_FILE_TRANSACTION_INDEX || clean->output.has_transactions;
}

/* .cleaned -> .swap; where that does not work to the end, what was renamed is removed again. */
static int make_swap(struct partition_log *log, const struct log_clean *clean)
{
    int64_t base = clean->output.base_offset;
    int error = 0;
    for (size_t i = 0; i < ARRAY_SIZE(INDEX_KINDS) && !error; i++)
        if (has_file(clean, INDEX_KINDS[i]))
            error = rename_file(log, base, INDEX_KINDS[i], LOG_FILE_CLEANED, LOG_FILE_SWAP);
    if (!error)
        error = rename_file(log, base, LOG_FILE_LOG, LOG_FILE_CLEANED, LOG_FILE_SWAP);
    if (!error)
        return 0;
    int undo_error = remove_file(log, base, LOG_FILE_LOG, LOG_FILE_SWAP);
    for (size_t i = 0; i < ARRAY_SIZE(INDEX_KINDS) && !undo_error; i++)
        undo_error = remove_file(log, base, INDEX_KINDS[i], LOG_FILE_SWAP);
    /* A .swap that stays would come in at the next start, over what the log is then. */
    if (undo_error || disk_error_of(error) == DISK_ERROR_FAILED)
        partition_log_go_offline(log, undo_error ? undo_error : error, "naming a compacted segment");
    return error;
}

static int strip_swap(struct partition_log *log, const struct log_clean *clean)
{
    int64_t base = clean->output.base_offset;
    int error = rename_file(log, base, LOG_FILE_LOG, LOG_FILE_SWAP, LOG_FILE_LIVE);
    for (size_t i = 0; i < ARRAY_SIZE(INDEX_KINDS) && !error; i++)
        if (has_file(clean, INDEX_KINDS[i]))
            error = rename_file(log, base, INDEX_KINDS[i], LOG_FILE_SWAP, LOG_FILE_LIVE);
    return error;
}

/* The old segments go, lowest first, with the snapshots at the bases that are no segment's any more. */
static int discard_group(struct partition_log *log, const struct log_clean *clean, size_t number)
{
    int error = 0;
    for (size_t i = 0; i < clean->group_count && !error; i++) {
        error = partition_log_discard_segment(log, log->segments[number + i]);
        if (!error) /* it stays in the list until all is done; `clean` still holds it */
            segment_take(log->segments[number + i]);
    }
    for (size_t i = 1; i < clean->group_count && !error; i++) {
        int64_t base = clean->segments[clean->group_first + i].base_offset;
        error = partition_log_remove_snapshots(log, base, base);
    }
    return error;
}

static int replace_group(struct partition_log *log, struct log_clean *clean, size_t number)
{
    const struct clean_output *output = &clean->output;
    int64_t end = partition_log_segment_end(log, number + clean->group_count - 1);
    int64_t old_bytes = 0;
    for (size_t i = 0; i < clean->group_count; i++)
        old_bytes += clean->segments[clean->group_first + i].size_bytes;
    int error = discard_group(log, clean, number);
    if (!error)
        error = strip_swap(log, clean);
    if (error)
        return error;
    struct segment *segment = segment_new_existing(log->files, log->directory, output->base_offset,
                                                   output->size_bytes, clean->group_modified_ms);
    segment->timestamp_found = true;
    segment->found_timestamp = output->max_timestamp;
    if (output->has_transactions)
        error = transaction_index_load(&segment->transactions, output->base_offset, end);
    else
        transaction_index_set_missing(&segment->transactions);
    for (size_t i = 0; i < clean->group_count; i++)
        segment_release(log->segments[number + i]);
    log->segments[number] = segment;
    segment_count_in(segment, log->open_files);
    memmove(log->segments + number + 1, log->segments + number + clean->group_count,
            (log->segments_count - number - clean->group_count) * sizeof(struct segment *));
    log->segments_count -= clean->group_count - 1;
    log->size_bytes += output->size_bytes - old_bytes;
    clean->counts.read_bytes += old_bytes;
    clean->counts.written_bytes += output->size_bytes;
    return error;
}

int partition_log_clean_commit(struct partition_log *log, struct log_clean *clean)
{
    int error = partition_log_clean_check(log, clean);
    if (!error)
        error = make_swap(log, clean);
    if (error) {
        log_clean_undo_group(clean);
        return error;
    }
    size_t number = partition_log_segment_number(log, clean->segments[clean->group_first].base_offset);
    error = replace_group(log, clean, number);
    clean->names_synced = false;
    log_clean_end_group(clean);
    clean_output_handed_over(&clean->output);
    if (error)
        partition_log_go_offline(log, error, "replacing compacted segments");
    return error;
}

int log_clean_sync_names(struct log_clean *clean)
{
    if (clean->names_synced)
        return 0;
    int error = file_system_sync_directory(clean->files, clean->directory);
    clean->names_synced = !error;
    return error;
}

bool partition_log_clean_end(struct partition_log *log, struct log_clean *clean)
{
    bool done =
        clean->next == clean->segments_count || clean->segments[clean->next].base_offset >= clean->end_offset;
    if (!done || log->truncations != clean->truncations || !clean->names_synced ||
        strcmp(log->directory, clean->directory) != 0)
        return false;
    partition_log_set_first_dirty_offset(log, clean->end_offset);
    return true;
}
