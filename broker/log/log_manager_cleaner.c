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
    pthread_mutex_lock(&manager->checkpoint_mutex);
    struct managed_log *managed = log_manager_find_managed(manager, topic, partition);
    bool found = managed && managed->log;
    struct log_directory *directory = found ? managed->directory : NULL;
    if (found)
        managed->first_dirty_offset = partition_log_first_dirty_offset(managed->log);
    pthread_mutex_unlock(&manager->mutex);
    int error = found ? log_manager_write_checkpoints(manager, directory, LOG_CHECKPOINT_CLEANER) : -ENOENT;
    pthread_mutex_unlock(&manager->checkpoint_mutex);
    return error;
}
