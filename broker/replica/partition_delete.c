/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DeleteRecords at the leader: the log start moves; the followers take it over with the answers to their
 * fetches and tell theirs with the next ones, which moves the low watermark. Segments below the log start go
 * with the next pass of retention.
 */
#include "broker/replica/partition_internal.h"
#include "proto/kafka/error.h"

static int16_t delete_locked(struct partition *partition, int64_t offset, int64_t *required)
{
    const struct partition_core *core = &partition->core;
    if (partition->closed || core->role != ROLE_LEADER)
        return core->failed ? KAFKA_KAFKA_STORAGE_ERROR : KAFKA_NOT_LEADER_OR_FOLLOWER;
    if (!partition_log_settings(partition->log)->retained)
        return KAFKA_POLICY_VIOLATION;
    *required = offset == DELETE_UP_TO_HIGH_WATERMARK ? core->high_watermark : offset;
    if (*required < 0 || *required > core->high_watermark)
        return KAFKA_OFFSET_OUT_OF_RANGE;
    return partition_log_advance_start(partition->log, *required);
}

int16_t partition_delete_records(struct partition *partition, int64_t offset, int64_t now_ms,
                                 int64_t *required)
{
    struct partition_effects effects;
    *required = -1;
    partition_enter(partition, &effects);
    int16_t error = delete_locked(partition, offset, required);
    if (error == KAFKA_NONE)
        partition_sync_core(partition, now_ms, &effects);
    partition_leave(partition, &effects);
    return error;
}

int16_t partition_low_watermark(struct partition *partition,
                                bool (*is_alive)(const void *context, int32_t broker_id), const void *context,
                                struct low_watermark *low)
{
    const struct partition_core *core = &partition->core;
    *low = (struct low_watermark){.offset = -1, .leader_epoch = -1};
    pthread_mutex_lock(&partition->mutex);
    int16_t error = KAFKA_NONE;
    if (partition->closed || core->role != ROLE_LEADER)
        error = core->failed ? KAFKA_KAFKA_STORAGE_ERROR : KAFKA_NOT_LEADER_OR_FOLLOWER;
    else
        *low = (struct low_watermark){.offset = partition_core_low_watermark(core, is_alive, context),
                                      .moves = core->log_start_moves,
                                      .leader_epoch = core->leader_epoch};
    pthread_mutex_unlock(&partition->mutex);
    return error;
}
