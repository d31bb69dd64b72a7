/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The partition as a follower: where it stands, and what it takes from the leader's answers, in the order of
 * I18: divergence, then append, then log start, then high watermark.
 */
#include "broker/replica/partition_internal.h"
#include "proto/kafka/error.h"

bool partition_follow_position(struct partition *partition, struct follow_position *position)
{
    pthread_mutex_lock(&partition->mutex);
    const struct partition_core *core = &partition->core;
    bool follows = !partition->closed && core->role == ROLE_FOLLOWER && core->leader >= 0 &&
                   partition_log_failure(partition->log) == 0;
    if (follows)
        *position =
            (struct follow_position){.leader = core->leader,
                                     .leader_epoch = core->leader_epoch,
                                     .fetch_offset = core->log_end_offset,
                                     .last_fetched_epoch = partition_log_latest_epoch(partition->log),
                                     .log_start_offset = core->log_start_offset,
                                     .durable = partition_core_durable_end(core) >= core->log_end_offset};
    pthread_mutex_unlock(&partition->mutex);
    return follows;
}

/*
 * The answer belongs to this leadership, this leader and this place in the log (I14, I2). The place is offset
 * and epoch: a divergence that comes late, after the log was cut and has grown again to the same offset, says
 * nothing about what is there now.
 */
static bool answer_is_current(const struct partition *partition, const struct follow_answer *answer)
{
    const struct partition_core *core = &partition->core;
    if (partition->closed || core->role != ROLE_FOLLOWER)
        return false;
    if (core->faults.ignore_fetch_epochs)
        return answer->fetch_offset == core->log_end_offset;
    return core->leader == answer->leader && core->leader_epoch == answer->leader_epoch &&
           answer->fetch_offset == core->log_end_offset &&
           answer->last_fetched_epoch == partition_log_latest_epoch(partition->log);
}

/* A full disk may have room again: only a log that has failed ends the following. */
static enum follow_outcome outcome_of(const struct partition *partition, int16_t error)
{
    if (error == KAFKA_NONE)
        return FOLLOW_CONTINUE;
    if (partition_log_failure(partition->log))
        return FOLLOW_FAILED;
    return error == KAFKA_CORRUPT_MESSAGE ? FOLLOW_DAMAGED : FOLLOW_BACKOFF;
}

/*
 * Cuts the log to where it can agree with the leader's: the leader named its greatest epoch not above our
 * last one, and that epoch's end. Where we know that epoch too, both ends bound what is common; where we do
 * not, our part of the next lower epoch is kept and the next fetch asks again (KIP-101, KIP-279).
 */
static enum follow_outcome truncate_to_agreement(struct partition *partition,
                                                 const struct follow_answer *answer, int64_t wall_ms)
{
    int32_t epoch;
    int64_t end_offset;
    partition_log_epoch_end(partition->log, answer->diverging_epoch, &epoch, &end_offset);
    int64_t target = answer->diverging_end_offset;
    if (epoch == answer->diverging_epoch)
        target = min_i64(target, end_offset);
    else if (epoch >= 0)
        target = end_offset;
    target = max_i64(min_i64(target, partition->core.log_end_offset), partition->core.log_start_offset);
    return outcome_of(partition, partition_log_truncate(partition->log, target, wall_ms));
}

/*
 * We are below the leader's log start: what lies between is gone everywhere. Or our log is empty and begins
 * above the leader's end (we were told to start there by a leader that is gone): nothing is lost by beginning
 * where this one begins.
 */
static enum follow_outcome handle_out_of_range(struct partition *partition,
                                               const struct follow_answer *answer, int64_t wall_ms)
{
    bool empty = partition->core.log_start_offset == partition->core.log_end_offset;
    bool below = answer->log_start_offset > partition->core.log_end_offset;
    bool above =
        empty && answer->high_watermark >= 0 && answer->log_start_offset < partition->core.log_start_offset;
    if (!below && !above)
        return FOLLOW_BACKOFF;
    return outcome_of(partition,
                      partition_log_truncate_fully(partition->log, answer->log_start_offset, wall_ms));
}

/* Whether this leader has seen, in this epoch, that what is in our log is in its own (I16). An answer without
 * divergence says so where the leader's log begins below the end of ours. */
static bool is_compared(struct partition *partition, const struct follow_answer *answer)
{
    if (answer->last_fetched_epoch >= 0 && answer->log_start_offset < answer->fetch_offset)
        partition->core.compared_epoch = answer->leader_epoch;
    return partition->core.compared_epoch == answer->leader_epoch;
}

/*
 * The leader's log begins where ours ends. Where nobody has compared what is below, it may be something else
 * than what was committed and deleted there, and a log start is on disk only with the next checkpoint: a
 * crash would bring it back below the leader's records, and under a leadership of ours consumers would read
 * it. So it goes as what ends below a leader's log start does.
 */
static int16_t meet_start(struct partition *partition, int64_t offset, bool compared, int64_t wall_ms)
{
    if (compared || partition_log_start_offset(partition->log) == offset)
        return partition_log_advance_start(partition->log, offset);
    return partition_log_truncate_fully(partition->log, offset, wall_ms);
}

static enum follow_outcome take_records(struct partition *partition, const struct follow_answer *answer,
                                        int64_t wall_ms)
{
    bool compared = is_compared(partition, answer);
    int16_t error = KAFKA_NONE;
    size_t appended = 0;
    /* The leader's log may begin within a batch: ours has to be empty to begin with the whole of it. */
    if (answer->log_start_offset == partition_log_end_offset(partition->log))
        error = meet_start(partition, answer->log_start_offset, compared, wall_ms);
    if (error == KAFKA_NONE && answer->records.length > 0)
        error = partition_log_append_as_follower(partition->log, answer->records.data, answer->records.length,
                                                 wall_ms, &appended);
    /* What was sound is taken; the next fetch begins at the damage, and names it. */
    if (error == KAFKA_CORRUPT_MESSAGE && appended > 0)
        error = KAFKA_NONE;
    int64_t start = min_i64(answer->log_start_offset, partition_log_end_offset(partition->log));
    if (error == KAFKA_NONE && start > partition_log_start_offset(partition->log))
        error = partition_log_advance_start(partition->log, start);
    return outcome_of(partition, error);
}

enum follow_outcome partition_follow(struct partition *partition, const struct follow_answer *answer,
                                     int64_t wall_ms, int64_t now_ms)
{
    struct partition_effects effects;
    partition_enter(partition, &effects);
    enum follow_outcome outcome;
    if (!answer_is_current(partition, answer)) {
        outcome = FOLLOW_STALE;
    } else if (answer->error == KAFKA_OFFSET_OUT_OF_RANGE) {
        outcome = handle_out_of_range(partition, answer, wall_ms);
        partition_sync_core(partition, now_ms, &effects);
    } else if (answer->error != KAFKA_NONE) {
        outcome = answer->error == KAFKA_CORRUPT_MESSAGE ? FOLLOW_DAMAGED : FOLLOW_BACKOFF;
    } else if (answer->diverging && partition->core.faults.high_watermark_before_truncation) {
        partition_core_on_leader_high_watermark(&partition->core, answer->high_watermark, &effects);
        outcome = truncate_to_agreement(partition, answer, wall_ms);
        partition_sync_core(partition, now_ms, &effects);
    } else if (answer->diverging) {
        outcome = truncate_to_agreement(partition, answer, wall_ms);
        partition_sync_core(partition, now_ms, &effects);
    } else {
        outcome = take_records(partition, answer, wall_ms);
        partition_sync_core(partition, now_ms, &effects);
        if (outcome == FOLLOW_CONTINUE)
            partition_core_on_leader_high_watermark(&partition->core, answer->high_watermark, &effects);
    }
    partition_leave(partition, &effects);
    return outcome;
}
