/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleaner-offset-checkpoint: up to where each log of a directory was compacted. It may say less than the
 * truth, which costs work; never more, for what is said to be clean and is not may keep an old record
 * forever. So it is written after a cleaning, and falls on disk with the recovery point before a truncation:
 * the first dirty offset never lies above that.
 */
#include <errno.h>
#include <inttypes.h>

#include "broker/log/log_manager_private.h"
#include "broker/log/partition_log_clean.h"

void log_manager_check_cleaned(struct managed_log *managed)
{
    if (managed->first_dirty_offset <= partition_log_end_offset(managed->log))
        return;
    log_warn(managed->manager->logger, "log",
             "%s-%" PRId32 ": the cleaner's checkpoint says %" PRId64 ", the log ends at %" PRId64
             ": all of it is cleaned again",
             managed->topic, managed->partition, managed->first_dirty_offset,
             partition_log_end_offset(managed->log));
    managed->first_dirty_offset = 0;
    partition_log_set_first_dirty_offset(managed->log, 0);
}

int log_manager_checkpoint_cleaned(struct log_manager *manager, struct slice topic, int32_t partition)
{
    pthread_mutex_lock(&manager->mutex);
    struct managed_log *managed = log_manager_find_managed(manager, topic, partition);
    bool found = managed && managed->log;
    struct log_directory *directory = found ? managed->directory : NULL;
    uint64_t instance = found ? managed->instance : 0;
    pthread_mutex_unlock(&manager->mutex);
    if (!found)
        return -ENOENT;
    /* The log may be gone by now: only those in the list are there for certain. */
    int error = -ENOENT;
    log_manager_lock_checkpoints(directory);
    list_for_each(node, &directory->logs)
    {
        managed = container_of(node, struct managed_log, link);
        if (managed->instance != instance || !managed->log)
            continue;
        managed->first_dirty_offset = partition_log_first_dirty_offset(managed->log);
        error = log_manager_write_checkpoints(manager, directory, LOG_CHECKPOINT_CLEANER);
    }
    log_manager_unlock_checkpoints(directory);
    return error;
}
