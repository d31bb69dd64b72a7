/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checkpoint files of the log directories, written from what each log last said.
 *
 * A truncation below the checkpointed recovery point rewrites the file before it happens, a log that begins
 * anew writes its log start, and a roll across a gap its recovery point, from under the partition's lock.
 * What could not be written is remembered for the directory, and written before the next truncation or roll
 * in it goes ahead. So what the files are made of is guarded by a lock of its own that is taken last, and
 * under which nothing but the disk is waited for.
 */
#include <errno.h>

#include "broker/log/log_manager_private.h"

void log_manager_lock_checkpoints(struct log_directory *directory)
{
    pthread_mutex_lock(&directory->checkpoint_mutex);
}

void log_manager_unlock_checkpoints(struct log_directory *directory)
{
    pthread_mutex_unlock(&directory->checkpoint_mutex);
}

static int64_t offset_of(const struct managed_log *managed, unsigned which)
{
    if (which == LOG_CHECKPOINT_RECOVERY)
        return managed->recovery_point;
    if (which == LOG_CHECKPOINT_CLEANER)
        return managed->first_dirty_offset;
    return which == LOG_CHECKPOINT_START ? managed->log_start_offset : managed->high_watermark;
}

static const char *name_of(unsigned which)
{
    if (which == LOG_CHECKPOINT_RECOVERY)
        return RECOVERY_POINT_CHECKPOINT;
    if (which == LOG_CHECKPOINT_CLEANER)
        return CLEANER_CHECKPOINT;
    return which == LOG_CHECKPOINT_START ? LOG_START_CHECKPOINT : REPLICATION_CHECKPOINT;
}

/* A high watermark that lags only costs time. */
#define CHECKPOINTS_RELIED_ON (LOG_CHECKPOINT_RECOVERY | LOG_CHECKPOINT_START | LOG_CHECKPOINT_CLEANER)

/* No line: the log start and what the cleaner has reached are 0; the recovery point is not known. */
static bool has_line(const struct managed_log *managed, unsigned which)
{
    int64_t offset = offset_of(managed, which);
    if (which == LOG_CHECKPOINT_START || which == LOG_CHECKPOINT_CLEANER)
        return offset > 0;
    return offset >= 0;
}

/* All logs of the directory have a line now, but for those that could not be opened and had none. */
static void note_entries(const struct log_directory *directory)
{
    list_for_each(node, &directory->logs)
    {
        struct managed_log *managed = container_of(node, struct managed_log, link);
        if (has_line(managed, LOG_CHECKPOINT_RECOVERY))
            atomic_store(&managed->has_entry, true);
    }
}

static int write_one(struct log_manager *manager, struct log_directory *directory, unsigned which)
{
    struct checkpoint checkpoint;
    checkpoint_init(&checkpoint);
    list_for_each(node, &directory->logs)
    {
        const struct managed_log *managed = container_of(node, struct managed_log, link);
        if (has_line(managed, which))
            checkpoint_add(&checkpoint, slice_of(managed->topic), managed->partition,
                           offset_of(managed, which));
    }
    int error = checkpoint_write(manager->files, directory->path, name_of(which), &checkpoint);
    checkpoint_release(&checkpoint);
    if (error) {
        atomic_fetch_or(&directory->unsure, which & CHECKPOINTS_RELIED_ON);
        return log_manager_directory_error(directory, error, name_of(which));
    }
    atomic_fetch_and(&directory->unsure, ~which);
    directory->unwritten &= ~which;
    if (which == LOG_CHECKPOINT_RECOVERY)
        note_entries(directory);
    return 0;
}

int log_manager_write_checkpoints(struct log_manager *manager, struct log_directory *directory,
                                  unsigned which)
{
    static const unsigned all[] = {LOG_CHECKPOINT_RECOVERY, LOG_CHECKPOINT_START,
                                   LOG_CHECKPOINT_HIGH_WATERMARK, LOG_CHECKPOINT_CLEANER};
    int first_error = atomic_load(&directory->health.failure);
    for (size_t i = 0; i < ARRAY_SIZE(all) && !log_directory_is_offline(directory); i++) {
        int error = which & all[i] ? write_one(manager, directory, all[i]) : 0;
        first_error = first_error ? first_error : error;
    }
    return first_error;
}

int log_manager_keep_checkpoints(void *context, const struct log_checkpoint_bounds *bounds)
{
    struct managed_log *managed = context;
    struct log_directory *directory = managed->directory;
    bool all_open = bounds->recovery_point_min <= 0 && bounds->recovery_point_max == INT64_MAX &&
                    bounds->log_start_offset_max == INT64_MAX && bounds->log_start_offset_min <= 0;
    if (all_open && atomic_load(&managed->has_entry) && atomic_load(&directory->unsure) == 0)
        return 0; /* the common roll: no waiting for somebody else's checkpoint */
    log_manager_lock_checkpoints(directory);
    int64_t recovery_point =
        max_i64(bounds->recovery_point_min, min_i64(managed->recovery_point, bounds->recovery_point_max));
    int64_t log_start_offset = max_i64(bounds->log_start_offset_min,
                                       min_i64(managed->log_start_offset, bounds->log_start_offset_max));
    unsigned which = atomic_load(&directory->unsure);
    if (recovery_point != managed->recovery_point || !managed->has_entry)
        which |= LOG_CHECKPOINT_RECOVERY;
    if (log_start_offset != managed->log_start_offset)
        which |= LOG_CHECKPOINT_START;
    if (bounds->recovery_point_max < managed->first_dirty_offset)
        which |= LOG_CHECKPOINT_CLEANER;
    managed->first_dirty_offset = min_i64(managed->first_dirty_offset, bounds->recovery_point_max);
    managed->recovery_point = recovery_point;
    managed->log_start_offset = log_start_offset;
    int error = log_manager_write_checkpoints(managed->manager, directory, which);
    log_manager_unlock_checkpoints(directory);
    return error;
}

/* ---- the periodic ones ---- */

/* What somebody collected of all logs, or of those of one directory. */
struct collected {
    struct map *by_name; /* "<topic>-<partition>" -> an entry of the caller's */
    unsigned which;
    void (*take)(struct managed_log *managed, const void *entry); /* under the directory's lock */
};

static void take_high_watermark(struct managed_log *managed, const void *entry)
{
    const struct high_watermark_entry *collected = entry;
    /* A partition that was made anew since does not inherit it. */
    if (collected->instance == 0 || collected->instance == managed->instance)
        managed->high_watermark = collected->high_watermark;
}

static void take_recovery(struct managed_log *managed, const void *entry)
{
    const struct recovery_entry *collected = entry;
    if (!managed->log || (collected->instance != 0 && collected->instance != managed->instance))
        return;
    /* A truncation may have come since the caller looked, a gap have been crossed, or the log begun anew. */
    managed->recovery_point = min_i64(max_i64(collected->recovery_point, managed->recovery_point),
                                      partition_log_recovery_point(managed->log));
    managed->log_start_offset = min_i64(max_i64(collected->log_start_offset, managed->log_start_offset),
                                        partition_log_start_offset_kept(managed->log));
}

/* A full directory was told of, and its files of before are still good. 0, or -errno. */
static int write_collected(struct log_manager *manager, struct log_directory *directory,
                           const struct collected *collected)
{
    if (log_directory_is_offline(directory))
        return 0;
    struct buffer key;
    buffer_init(&key);
    log_manager_lock_checkpoints(directory);
    list_for_each(node, &directory->logs)
    {
        struct managed_log *managed = container_of(node, struct managed_log, link);
        const void *entry =
            map_get(collected->by_name, log_manager_key(&key, slice_of(managed->topic), managed->partition));
        if (entry)
            collected->take(managed, entry);
    }
    int error = log_manager_write_checkpoints(manager, directory, collected->which);
    log_manager_unlock_checkpoints(directory);
    buffer_release(&key);
    return error == -ENOSPC || error == -EDQUOT ? 0 : error;
}

/* In one directory, or in all of them, one after the other. */
static int write_in(struct log_manager *manager, size_t number, const struct collected *collected)
{
    if (number != LOG_DIRECTORIES_ALL)
        return write_collected(manager, &manager->directories[number], collected);
    int first_error = 0;
    for (size_t i = 0; i < manager->directories_count; i++) {
        int error = write_collected(manager, &manager->directories[i], collected);
        first_error = first_error ? first_error : error;
    }
    return first_error;
}

int log_manager_checkpoint_high_watermarks_in(struct log_manager *manager, size_t number,
                                              const struct high_watermark_entry *entries, size_t count)
{
    struct collected collected = {map_new(0), LOG_CHECKPOINT_HIGH_WATERMARK, take_high_watermark};
    struct buffer key;
    buffer_init(&key);
    for (size_t i = 0; i < count; i++)
        map_put(collected.by_name, log_manager_key(&key, entries[i].topic, entries[i].partition),
                (void *)&entries[i]);
    int error = write_in(manager, number, &collected);
    buffer_release(&key);
    map_free(collected.by_name);
    return error;
}

int log_manager_checkpoint_high_watermarks(struct log_manager *manager,
                                           const struct high_watermark_entry *entries, size_t count)
{
    return log_manager_checkpoint_high_watermarks_in(manager, LOG_DIRECTORIES_ALL, entries, count);
}

int log_manager_checkpoint_recovery_in(struct log_manager *manager, size_t number,
                                       const struct recovery_entry *entries, size_t count)
{
    struct collected collected = {map_new(0), LOG_CHECKPOINT_RECOVERY | LOG_CHECKPOINT_START, take_recovery};
    struct buffer key;
    buffer_init(&key);
    for (size_t i = 0; i < count; i++)
        map_put(collected.by_name, log_manager_key(&key, entries[i].topic, entries[i].partition),
                (void *)&entries[i]);
    int error = write_in(manager, number, &collected);
    buffer_release(&key);
    map_free(collected.by_name);
    return error;
}

int log_manager_checkpoint_recovery(struct log_manager *manager, const struct recovery_entry *entries,
                                    size_t count)
{
    return log_manager_checkpoint_recovery_in(manager, LOG_DIRECTORIES_ALL, entries, count);
}
