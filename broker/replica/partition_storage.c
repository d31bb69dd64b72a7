/* SPDX-License-Identifier: Apache-2.0 */
/* Retention and the removal of deleted files, in steps: under the mutex, without it, under it again. */
#include "broker/replica/partition_storage.h"

#include "broker/log/log_garbage.h"
#include "broker/replica/partition.h"

int partition_remove_garbage(struct partition *partition, int64_t now_ms)
{
    struct partition_log *log = partition_enter_log(partition);
    if (log == NULL)
        return 0;
    struct log_garbage *garbage =
        partition_log_failure(log) ? NULL : partition_log_take_garbage(log, now_ms, false);
    struct log_health *health = partition_log_health(log);
    partition_leave_log(partition, now_ms);
    int error = garbage ? log_garbage_remove(garbage) : 0;
    if (error == 0)
        return 0;
    log = partition_enter_log(partition);
    /* The partition may be gone, or have another log in another directory. */
    if (log == NULL || partition_log_health(log) != health)
        log_range_failed(&(struct log_range){.health = health}, error);
    else
        partition_log_garbage_failed(log, error);
    if (log != NULL)
        partition_leave_log(partition, now_ms);
    return error;
}

/* One step under the mutex. *flush_first: it left something to do for after a flush. */
static int retain_step(struct partition *partition, int64_t wall_ms, int64_t now_ms, bool *flush_first)
{
    *flush_first = false;
    struct partition_log *log = partition_enter_log(partition);
    if (log == NULL)
        return 0;
    int64_t high_watermark = partition_entered_high_watermark(partition);
    int error =
        partition_log_failure(log) ? 0 : partition_log_retain(log, high_watermark, wall_ms, flush_first);
    partition_leave_log(partition, now_ms);
    return error;
}

int partition_retain(struct partition *partition, int64_t wall_ms, int64_t now_ms, bool *again)
{
    int error = retain_step(partition, wall_ms, now_ms, again);
    if (error == 0 && *again)
        error = partition_flush(partition, now_ms);
    *again = *again && error == 0;
    return error;
}
