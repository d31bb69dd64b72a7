/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a log can do for its copy in another directory, and the copy for its log (see log_manager_future.h):
 * tell truncations, begin where the other begins, end where the other ends, and take the other's place.
 */
#include <errno.h>

#include "broker/log/batch_scan.h"
#include "broker/log/partition_log_clean.h"
#include "broker/log/partition_log_private.h"
#include "proto/kafka/error.h"

uint64_t partition_log_truncations(const struct partition_log *log)
{
    return log->truncations;
}

void partition_log_pause_cleaning(struct partition_log *log, bool pause)
{
    log->cleaning_paused = pause;
}

bool partition_log_cleaning_is_paused(const struct partition_log *log)
{
    return log->cleaning_paused;
}

int16_t partition_log_append_copy(struct partition_log *log, const uint8_t *batches, size_t length,
                                  int64_t now_ms, size_t *appended)
{
    *appended = 0;
    struct scanned_batch first;
    if (length == 0 || scanned_batch_parse(batches, length, &first))
        return KAFKA_CORRUPT_MESSAGE;
    int16_t error = KAFKA_NONE;
    /* The log start lies within a batch, which is never split: the copy begins with that batch. */
    if (log->start_offset == log->end_offset && first.base_offset < log->end_offset)
        error = partition_log_truncate_fully(log, first.base_offset, now_ms);
    if (error == KAFKA_NONE)
        error = partition_log_append_as_follower(log, batches, length, now_ms, appended);
    return error == KAFKA_NONE && *appended == 0 ? KAFKA_CORRUPT_MESSAGE : error;
}

int16_t partition_log_skip_to(struct partition_log *log, int64_t offset, int64_t now_ms)
{
    if (partition_log_failure(log))
        return KAFKA_KAFKA_STORAGE_ERROR;
    if (offset <= log->end_offset)
        return KAFKA_NONE;
    if (partition_log_use_end(log))
        return KAFKA_KAFKA_STORAGE_ERROR;
    int error = partition_log_begin_segment(log, offset, now_ms);
    if (error)
        return partition_log_disk_error(log, error, "beginning a segment");
    log->end_offset = offset;
    return KAFKA_NONE;
}

void partition_log_succeed(struct partition_log *log, const struct partition_log *former)
{
    log->truncations = former->truncations + 1;
    log->names_changed += former->names_changed + 1;
    log->names_synced = log->names_changed;
    /* An epoch in which nothing was written yet is in no batch (I4). */
    int32_t epoch = partition_log_latest_epoch(former);
    if (epoch > partition_log_latest_epoch(log))
        epoch_cache_assign(&log->epochs, epoch, log->end_offset);
    /* Nothing was cleaned while it was copied. */
    partition_log_set_first_dirty_offset(log, partition_log_first_dirty_offset(former));
}
