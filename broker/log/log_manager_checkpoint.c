/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checkpoint files of the log directories, written from what each log last said.
 *
 * A truncation below the checkpointed recovery point or log start rewrites the file before it happens, and so
 * does a roll across a gap, from under the partition's lock. So what the files are made of is guarded by a
 * lock of its own that is taken last, and under which nothing but the disk is waited for.
 */
#include <errno.h>

#include "broker/log/log_manager_private.h"

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

/* All logs of the directory have a line now. */
static void note_entries(const struct log_directory *directory)
{
    list_for_each(node, &directory->logs)
    {
        atomic_store(&container_of(node, struct managed_log, link)->has_entry, true);
    }
}

static int write_one(struct log_manager *manager, struct log_directory *directory, unsigned which)
{
    struct checkpoint checkpoint;
    checkpoint_init(&checkpoint);
    list_for_each(node, &directory->logs)
    {
        const struct managed_log *managed = container_of(node, struct managed_log, link);
        int64_t offset = offset_of(managed, which);
        if (offset > 0 || (which != LOG_CHECKPOINT_START && which != LOG_CHECKPOINT_CLEANER))
            checkpoint_add(&checkpoint, slice_of(managed->topic), managed->partition, offset);
    }
    int error = checkpoint_write(manager->files, directory->path, name_of(which), &checkpoint);
    checkpoint_release(&checkpoint);
    if (which == LOG_CHECKPOINT_RECOVERY)
        directory->recovery_unsure = error != 0;
    if (error)
        return log_manager_directory_error(directory, error, name_of(which));
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

/* In every directory that is online. A full one was told of, and its files of before are still good. */
static int write_all(struct log_manager *manager, unsigned which)
{
    int first_error = 0;
    for (size_t i = 0; i < manager->directories_count; i++) {
        if (log_directory_is_offline(&manager->directories[i]))
            continue;
        int error = log_manager_write_checkpoints(manager, &manager->directories[i], which);
        if (error && error != -ENOSPC && error != -EDQUOT)
            first_error = first_error ? first_error : error;
    }
    return first_error;
}

int log_manager_keep_checkpoints(void *context, const struct log_checkpoint_bounds *bounds)
{
    struct managed_log *managed = context;
    struct log_manager *manager = managed->manager;
    bool all_open = bounds->recovery_point_min <= 0 && bounds->recovery_point_max == INT64_MAX &&
                    bounds->log_start_offset_max == INT64_MAX;
    if (all_open && atomic_load(&managed->has_entry))
        return 0; /* the common roll: no waiting for somebody else's checkpoint */
    pthread_mutex_lock(&manager->checkpoint_mutex);
    int64_t recovery_point =
        max_i64(bounds->recovery_point_min, min_i64(managed->recovery_point, bounds->recovery_point_max));
    int64_t log_start_offset = min_i64(managed->log_start_offset, bounds->log_start_offset_max);
    unsigned which = (recovery_point != managed->recovery_point || !managed->has_entry ||
                              managed->directory->recovery_unsure
                          ? LOG_CHECKPOINT_RECOVERY
                          : 0) |
                     (log_start_offset != managed->log_start_offset ? LOG_CHECKPOINT_START : 0) |
                     (bounds->recovery_point_max < managed->first_dirty_offset ? LOG_CHECKPOINT_CLEANER : 0);
    managed->first_dirty_offset = min_i64(managed->first_dirty_offset, bounds->recovery_point_max);
    managed->recovery_point = recovery_point;
    managed->log_start_offset = log_start_offset;
    int error = log_manager_write_checkpoints(manager, managed->directory, which);
    pthread_mutex_unlock(&manager->checkpoint_mutex);
    return error;
}

int log_manager_checkpoint_high_watermarks(struct log_manager *manager,
                                           const struct high_watermark_entry *entries, size_t count)
{
    struct buffer key;
    buffer_init(&key);
    pthread_mutex_lock(&manager->mutex);
    pthread_mutex_lock(&manager->checkpoint_mutex);
    for (size_t i = 0; i < count; i++) {
        struct managed_log *managed =
            map_get(manager->logs, log_manager_key(&key, entries[i].topic, entries[i].partition));
        if (managed)
            managed->high_watermark = entries[i].high_watermark;
    }
    pthread_mutex_unlock(&manager->mutex);
    int error = write_all(manager, LOG_CHECKPOINT_HIGH_WATERMARK);
    pthread_mutex_unlock(&manager->checkpoint_mutex);
    buffer_release(&key);
    return error;
}

int log_manager_checkpoint_recovery(struct log_manager *manager, const struct recovery_entry *entries,
                                    size_t count)
{
    struct buffer key;
    buffer_init(&key);
    pthread_mutex_lock(&manager->mutex);
    pthread_mutex_lock(&manager->checkpoint_mutex);
    for (size_t i = 0; i < count; i++) {
        struct managed_log *managed =
            map_get(manager->logs, log_manager_key(&key, entries[i].topic, entries[i].partition));
        if (!managed || !managed->log)
            continue;
        /* A truncation may have come since the caller looked, or a gap have been crossed. */
        managed->recovery_point = min_i64(max_i64(entries[i].recovery_point, managed->recovery_point),
                                          partition_log_recovery_point(managed->log));
        managed->log_start_offset =
            min_i64(entries[i].log_start_offset, partition_log_start_offset(managed->log));
    }
    pthread_mutex_unlock(&manager->mutex);
    int error = write_all(manager, LOG_CHECKPOINT_RECOVERY | LOG_CHECKPOINT_START);
    pthread_mutex_unlock(&manager->checkpoint_mutex);
    buffer_release(&key);
    return error;
}
