/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The partition's reading side: fetches of consumers and followers, offsets by time and by epoch. High
 * watermark, bounds and bytes of one answer are taken under one lock (I22).
 */
#include <stdlib.h>

#include "broker/replica/partition_internal.h"
#include "common/memory.h"
#include "proto/kafka/error.h"

/* ListOffsets' special timestamps (KIP-79, KIP-734, KIP-405, KIP-1005). */
#define TIMESTAMP_LATEST (-1)
#define TIMESTAMP_EARLIEST (-2)
#define TIMESTAMP_MAX (-3)
#define TIMESTAMP_EARLIEST_LOCAL (-4)
#define TIMESTAMP_LATEST_TIERED (-5)

static struct follower_fetch follower_of(const struct fetch_query *query)
{
    return (struct follower_fetch){.broker_id = query->replica_id,
                                   .broker_epoch = query->replica_epoch,
                                   .leader_epoch = query->current_leader_epoch,
                                   .fetch_offset = query->fetch_offset,
                                   .log_start_offset = query->log_start_offset};
}

static int16_t check_reader(const struct partition *partition, const struct fetch_query *query)
{
    int16_t error = partition_check_log(partition);
    if (error != KAFKA_NONE)
        return error;
    if (query->replica_id >= 0) {
        struct follower_fetch fetch = follower_of(query);
        return partition_core_check_follower(&partition->core, &fetch);
    }
    error = partition_core_check_epoch(&partition->core, query->current_leader_epoch);
    if (error != KAFKA_NONE)
        return error;
    bool may_read =
        partition->core.role == ROLE_LEADER || (partition->core.role == ROLE_FOLLOWER && !query->leader_only);
    return may_read ? KAFKA_NONE : KAFKA_NOT_LEADER_OR_FOLLOWER;
}

/* Whether the reader's log (its last epoch, its next offset) is a prefix of ours (KIP-595, KIP-279). */
static int16_t check_divergence(const struct partition *partition, const struct fetch_query *query,
                                struct fetch_result *result)
{
    const struct partition_faults *faults = &partition->core.faults;
    if (query->last_fetched_epoch < 0 || faults->truncate_to_high_watermark || faults->no_truncation)
        return KAFKA_NONE;
    int32_t epoch;
    int64_t end_offset;
    partition_log_epoch_end(partition->log, query->last_fetched_epoch, &epoch, &end_offset);
    if (epoch < 0)
        return KAFKA_OFFSET_OUT_OF_RANGE;
    if (epoch < query->last_fetched_epoch || end_offset < query->fetch_offset) {
        result->diverging = true;
        result->diverging_epoch = epoch;
        result->diverging_end_offset = end_offset;
    }
    return KAFKA_NONE;
}

/* Whether the last of what may be read lies behind the range. */
static bool has_more_behind(struct partition *partition, const struct log_range *range, int64_t upper_bound)
{
    struct log_range last;
    int16_t error = partition_log_read(partition->log, upper_bound - 1, 1, upper_bound, true, &last);
    bool behind =
        error == KAFKA_NONE && last.length > 0 &&
        (last.segment != range->segment || last.position + last.length > range->position + range->length);
    log_range_release(&last);
    return behind;
}

static void collect_aborted(void *context, const struct aborted_transaction *transaction)
{
    struct fetch_result *result = context;
    result->aborted = memory_grow(result->aborted, result->aborted_count, &result->aborted_capacity,
                                  sizeof(*result->aborted));
    result->aborted[result->aborted_count++] = *transaction;
}

static int64_t last_stable_offset(const struct partition *partition)
{
    return partition_log_last_stable_offset(partition->log, partition->core.high_watermark);
}

/* How far this reader may see. */
static int64_t upper_bound_of(const struct partition *partition, const struct fetch_query *query)
{
    if (query->replica_id >= 0 || partition->core.faults.serve_uncommitted)
        return partition->core.log_end_offset;
    return query->read_committed ? last_stable_offset(partition) : partition->core.high_watermark;
}

/* Finds the bytes, unless the reader is not to have any. */
static int16_t read_records(struct partition *partition, const struct fetch_query *query, int64_t upper_bound,
                            struct fetch_result *result)
{
    if (query->fetch_offset >= upper_bound || query->bounds_only)
        return KAFKA_NONE;
    if (query->hold_up && !isr_set_contains(&partition->core.isr, query->replica_id)) {
        result->held_up = true;
        return KAFKA_NONE;
    }
    if (query->max_bytes <= 0 && !query->at_least_one)
        return KAFKA_NONE;
    return partition_log_read(partition->log, query->fetch_offset, query->max_bytes, upper_bound,
                              query->at_least_one, &result->range);
}

static int16_t read_locked(struct partition *partition, const struct fetch_query *query, int64_t now_ms,
                           struct fetch_result *result, struct partition_effects *effects)
{
    struct partition_core *core = &partition->core;
    int16_t error = check_reader(partition, query);
    if (error != KAFKA_NONE)
        return error;
    error = check_divergence(partition, query, result);
    if (error != KAFKA_NONE || result->diverging)
        return error;
    if (query->fetch_offset < core->log_start_offset || query->fetch_offset > core->log_end_offset)
        return KAFKA_OFFSET_OUT_OF_RANGE;
    bool follower = query->replica_id >= 0;
    int64_t upper_bound = upper_bound_of(partition, query);
    error = read_records(partition, query, upper_bound, result);
    if (error == KAFKA_NONE && result->range.length > 0 && query->read_committed && !follower)
        error = partition_log_collect_aborted(
            partition->log, query->fetch_offset,
            partition_log_range_end(partition->log, &result->range, upper_bound), collect_aborted, result);
    if (error == KAFKA_NONE && result->range.length > 0 && result->range.length < query->enough_bytes)
        result->more_behind = has_more_behind(partition, &result->range, upper_bound);
    if (error == KAFKA_NONE && follower) {
        struct follower_fetch fetch = follower_of(query);
        partition_core_on_follower_fetch(core, &fetch, now_ms, effects);
        if (query->tell_high_watermark)
            result->high_watermark_moved = partition_core_tell_high_watermark(core, query->replica_id);
    }
    return error;
}

int16_t partition_fetch(struct partition *partition, const struct fetch_query *query, int64_t now_ms,
                        struct fetch_result *result)
{
    struct partition_effects effects;
    *result = (struct fetch_result){0};
    partition_enter(partition, &effects);
    int16_t error = read_locked(partition, query, now_ms, result, &effects);
    const struct partition_core *core = &partition->core;
    result->leader = core->leader;
    result->leader_epoch = core->leader_epoch;
    result->high_watermark = core->high_watermark;
    result->last_stable_offset = partition->closed ? core->high_watermark : last_stable_offset(partition);
    result->log_start_offset = core->log_start_offset;
    result->log_end_offset = core->log_end_offset;
    partition_leave(partition, &effects);
    return error;
}

size_t partition_read_candidates(struct partition *partition, int64_t fetch_offset, int64_t now_ms,
                                 struct read_candidate *candidates)
{
    size_t count = 0;
    pthread_mutex_lock(&partition->mutex);
    const struct partition_core *core = &partition->core;
    for (size_t i = 0; core->role == ROLE_LEADER && i < core->replicas_count; i++) {
        const struct remote_replica *replica = &core->replicas[i];
        if (replica->broker_id == core->broker_id || !isr_set_contains(&core->isr, replica->broker_id) ||
            replica->start_offset < 0 || replica->start_offset > fetch_offset ||
            replica->end_offset < fetch_offset)
            continue;
        candidates[count++] = (struct read_candidate){.broker_id = replica->broker_id,
                                                      .end_offset = replica->end_offset,
                                                      .behind_ms = now_ms - replica->last_caught_up_ms,
                                                      .rack = slice_of(NULL)};
    }
    pthread_mutex_unlock(&partition->mutex);
    return count;
}

void fetch_result_release(struct fetch_result *result)
{
    log_range_release(&result->range);
    free(result->aborted);
    result->aborted = NULL;
    result->aborted_count = 0;
    result->aborted_capacity = 0;
}

/* A new leader may know less than its predecessor had committed: it does not say 'latest' before it has
 * caught up. */
static bool knows_what_is_committed(const struct partition_core *core)
{
    return core->high_watermark >= core->epoch_start_offset;
}

static int16_t list_offset_locked(struct partition *partition, int32_t replica_id, bool read_committed,
                                  int64_t timestamp, struct log_timestamp_offset *found)
{
    const struct partition_core *core = &partition->core;
    const struct fetch_query reader = {.replica_id = replica_id, .read_committed = read_committed};
    int64_t bound = upper_bound_of(partition, &reader);
    int16_t error = KAFKA_NONE;
    switch (timestamp) {
    case TIMESTAMP_LATEST:
        if (replica_id < 0 && !knows_what_is_committed(core))
            return KAFKA_OFFSET_NOT_AVAILABLE;
        found->offset = bound;
        found->leader_epoch = core->leader_epoch;
        break;
    case TIMESTAMP_EARLIEST:
    case TIMESTAMP_EARLIEST_LOCAL:
        found->offset = core->log_start_offset;
        found->leader_epoch = partition_log_epoch_at(partition->log, core->log_start_offset);
        break;
    case TIMESTAMP_MAX:
        error = partition_log_find_max_timestamp(partition->log, bound, found);
        break;
    case TIMESTAMP_LATEST_TIERED:
        break;
    default:
        if (timestamp < 0)
            return KAFKA_INVALID_REQUEST;
        error = partition_log_find_timestamp(partition->log, timestamp, bound, found);
        if (error == KAFKA_NONE && found->offset < 0 && replica_id < 0 && !knows_what_is_committed(core))
            return KAFKA_OFFSET_NOT_AVAILABLE;
    }
    return error;
}

int16_t partition_list_offset(struct partition *partition, int32_t replica_id, int32_t current_leader_epoch,
                              bool read_committed, int64_t timestamp, struct log_timestamp_offset *found)
{
    *found = (struct log_timestamp_offset){.timestamp = -1, .offset = -1, .leader_epoch = -1};
    pthread_mutex_lock(&partition->mutex);
    int16_t error = partition_check_log(partition);
    if (error == KAFKA_NONE)
        error = partition_core_check_epoch(&partition->core, current_leader_epoch);
    if (error == KAFKA_NONE && partition->core.role != ROLE_LEADER)
        error = KAFKA_NOT_LEADER_OR_FOLLOWER;
    if (error == KAFKA_NONE)
        error = list_offset_locked(partition, replica_id, read_committed, timestamp, found);
    pthread_mutex_unlock(&partition->mutex);
    return error;
}

int16_t partition_epoch_end(struct partition *partition, int32_t current_leader_epoch, int32_t epoch,
                            int32_t *found_epoch, int64_t *end_offset)
{
    *found_epoch = -1;
    *end_offset = -1;
    pthread_mutex_lock(&partition->mutex);
    int16_t error = partition_check_log(partition);
    if (error == KAFKA_NONE)
        error = partition_core_check_epoch(&partition->core, current_leader_epoch);
    if (error == KAFKA_NONE && partition->core.role != ROLE_LEADER)
        error = KAFKA_NOT_LEADER_OR_FOLLOWER;
    if (error == KAFKA_NONE)
        partition_log_epoch_end(partition->log, epoch, found_epoch, end_offset);
    pthread_mutex_unlock(&partition->mutex);
    return error;
}
