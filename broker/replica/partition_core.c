/* SPDX-License-Identifier: Apache-2.0 */
/* The partition core: roles and what may be done in them. ISR and high watermark are in partition_isr.c. */
#include "broker/replica/partition_core.h"

#include <stdlib.h>
#include <string.h>

#include "broker/replica/partition_core_internal.h"
#include "common/check.h"
#include "common/memory.h"
#include "proto/kafka/error.h"

void partition_core_init(struct partition_core *core, int32_t broker_id, int64_t high_watermark,
                         int64_t log_start_offset, int64_t log_end_offset)
{
    memset(core, 0, sizeof(*core));
    core->broker_id = broker_id;
    core->role = ROLE_NONE;
    core->leader = NO_LEADER;
    core->leader_epoch = -1;
    core->leader_since_epoch = -1;
    core->compared_epoch = -1;
    core->partition_epoch = -1;
    core->log_start_offset = log_start_offset;
    core->log_end_offset = log_end_offset;
    core->high_watermark = max_i64(log_start_offset, min_i64(high_watermark, log_end_offset));
    core->recovery_point = log_end_offset;
    core->flush_messages = INT64_MAX;
    core->min_insync_replicas = 1;
    core->replica_lag_time_max_ms = 30000;
    core->replicas = core->few;
}

void partition_core_release(struct partition_core *core)
{
    if (core->replicas != core->few)
        free(core->replicas);
    core->replicas = core->few;
    core->replicas_count = 0;
}

void partition_core_configure(struct partition_core *core, int32_t min_insync_replicas,
                              int64_t replica_lag_time_max_ms)
{
    core->min_insync_replicas = min_insync_replicas;
    core->replica_lag_time_max_ms = replica_lag_time_max_ms;
}

struct remote_replica *partition_core_find_replica(struct partition_core *core, int32_t broker_id)
{
    for (size_t i = 0; i < core->replicas_count; i++)
        if (core->replicas[i].broker_id == broker_id)
            return &core->replicas[i];
    return NULL;
}

/* A state that no controller of ours can have written; it came from the network, so it is refused, not
 * CHECKed. */
static bool state_is_sane(const struct partition_core *core, const struct control_partition *state)
{
    if (state->replicas_count == 0 || state->replicas_count > PARTITION_REPLICAS_MAX ||
        state->isr_count > PARTITION_REPLICAS_MAX || state->isr_count == 0 || state->leader_epoch < 0 ||
        state->partition_epoch < 0)
        return false;
    if (state->leader != core->broker_id)
        return true;
    for (size_t i = 0; i < state->isr_count; i++)
        if (state->isr[i].broker_id == core->broker_id)
            return true;
    return false;
}

/* The leader knows exactly these replicas, in this order. */
static bool has_assignment(const struct partition_core *core, const struct control_partition *state)
{
    bool same = core->replicas_count == state->replicas_count;
    for (size_t i = 0; same && i < state->replicas_count; i++)
        same = core->replicas[i].broker_id == state->replicas[i];
    return same;
}

int16_t partition_core_check_state(const struct partition_core *core, const struct control_partition *state,
                                   bool *news)
{
    *news = true;
    if (!state_is_sane(core, state))
        return KAFKA_INVALID_REQUEST;
    if (state->leader_epoch < core->leader_epoch)
        return KAFKA_STALE_CONTROLLER_EPOCH;
    if (state->leader_epoch > core->leader_epoch || core->role == ROLE_NONE)
        return KAFKA_NONE;
    bool any_epoch = core->faults.ignore_partition_epoch;
    if (state->leader != core->leader || (state->partition_epoch < core->partition_epoch && !any_epoch))
        return KAFKA_STALE_CONTROLLER_EPOCH;
    *news = state->partition_epoch > core->partition_epoch || any_epoch ||
            (core->role == ROLE_LEADER && !has_assignment(core, state));
    return KAFKA_NONE;
}

/*
 * Takes over the assignment. What is known of a replica is kept within a leader epoch and forgotten with it:
 * a follower may have truncated in between.
 */
static void assign_replicas(struct partition_core *core, const struct control_partition *state,
                            bool new_epoch, int64_t now_ms)
{
    /* Who waits for the lowest log start looks again: one that kept it low may have left. */
    if (!has_assignment(core, state))
        core->log_start_moves++;
    struct remote_replica known[PARTITION_REPLICAS_MAX];
    size_t known_count = new_epoch ? 0 : core->replicas_count;
    memcpy(known, core->replicas, known_count * sizeof(known[0]));

    if (state->replicas_count > max_size(core->replicas_count, PARTITION_REPLICAS_FEW)) {
        partition_core_release(core);
        core->replicas = memory_allocate(state->replicas_count * sizeof(core->replicas[0]));
    }
    core->replicas_count = state->replicas_count;
    for (size_t i = 0; i < state->replicas_count; i++) {
        struct remote_replica *replica = &core->replicas[i];
        int32_t id = state->replicas[i];
        *replica = (struct remote_replica){
            .broker_id = id, .broker_epoch = NO_BROKER_EPOCH, .end_offset = -1, .start_offset = -1};
        for (size_t k = 0; k < known_count; k++)
            if (known[k].broker_id == id)
                *replica = known[k];
        for (size_t k = 0; k < core->isr.count; k++) {
            if (core->isr.members[k].broker_id != id)
                continue;
            replica->broker_epoch = max_i64(replica->broker_epoch, core->isr.members[k].broker_epoch);
            /* A member of the ISR gets a whole lag period to show itself to a new leader. */
            if (new_epoch)
                replica->last_caught_up_ms = now_ms;
        }
    }
}

static void adopt_state(struct partition_core *core, const struct control_partition *state)
{
    core->leader = state->leader;
    core->leader_epoch = state->leader_epoch;
    core->partition_epoch = state->partition_epoch;
    core->recovering = state->recovering;
    core->commits_held = state->commits_held;
    isr_set_assign(&core->isr, state->isr, state->isr_count);
    partition_core_clear_proposal(core);
}

void partition_core_apply_leader(struct partition_core *core, const struct control_partition *state,
                                 int64_t now_ms, struct partition_effects *effects)
{
    CHECK(state->leader == core->broker_id);
    CHECK(state->leader_epoch >= core->leader_epoch);
    bool new_epoch = core->role != ROLE_LEADER || state->leader_epoch > core->leader_epoch;
    if (!new_epoch && state->partition_epoch == core->partition_epoch) {
        /* replicas have left: the same ISR, and a proposal of replicas that stay goes on (I28) */
        assign_replicas(core, state, false, now_ms);
        partition_core_drop_departed_proposal(core);
        partition_core_advance_high_watermark(core, now_ms, effects);
        partition_core_invariants(core);
        return;
    }
    if (core->role != ROLE_LEADER)
        core->leader_since_epoch = state->leader_epoch;
    adopt_state(core, state);
    core->role = ROLE_LEADER;
    if (new_epoch) {
        core->epoch_start_offset = core->log_end_offset;
        effects->role_changed = true;
    }
    assign_replicas(core, state, new_epoch, now_ms);
    partition_core_advance_high_watermark(core, now_ms, effects);
    partition_core_invariants(core);
}

void partition_core_apply_follower(struct partition_core *core, const struct control_partition *state,
                                   struct partition_effects *effects)
{
    CHECK(state->leader != core->broker_id);
    CHECK(state->leader_epoch >= core->leader_epoch);
    if (core->role != ROLE_FOLLOWER || core->leader != state->leader ||
        core->leader_epoch != state->leader_epoch)
        effects->role_changed = true;
    adopt_state(core, state);
    core->role = ROLE_FOLLOWER;
    core->replicas_count = 0;
    partition_core_invariants(core);
}

void partition_core_resign(struct partition_core *core, struct partition_effects *effects)
{
    if (core->role != ROLE_NONE)
        effects->role_changed = true;
    core->role = ROLE_NONE;
    core->leader = NO_LEADER;
    core->replicas_count = 0;
    partition_core_clear_proposal(core);
    partition_core_invariants(core);
}

void partition_core_fail(struct partition_core *core, struct partition_effects *effects)
{
    if (!core->failed)
        effects->role_changed = true;
    core->failed = true;
    partition_core_resign(core, effects);
}

void partition_core_configure_flush(struct partition_core *core, int64_t flush_messages)
{
    core->flush_messages = max_i64(flush_messages, 1);
}

int64_t partition_core_durable_end(const struct partition_core *core)
{
    if (core->flush_messages > core->log_end_offset - core->recovery_point || core->faults.ignore_durability)
        return core->log_end_offset;
    return core->recovery_point + core->flush_messages - 1;
}

void partition_core_on_durable(struct partition_core *core, int64_t recovery_point, int64_t now_ms,
                               struct partition_effects *effects)
{
    core->recovery_point = recovery_point;
    if (core->role == ROLE_LEADER)
        partition_core_advance_high_watermark(core, now_ms, effects);
    partition_core_invariants(core);
}

void partition_core_on_log(struct partition_core *core, int64_t log_start_offset, int64_t log_end_offset,
                           int64_t now_ms, struct partition_effects *effects)
{
    CHECK(log_start_offset <= log_end_offset);
    /* A leader never truncates (I15). */
    CHECK(core->role != ROLE_LEADER || log_end_offset >= core->log_end_offset);
    if (log_start_offset != core->log_start_offset)
        core->log_start_moves++;
    core->log_start_offset = log_start_offset;
    core->log_end_offset = log_end_offset;
    core->high_watermark = max_i64(log_start_offset, min_i64(core->high_watermark, log_end_offset));
    if (core->role == ROLE_LEADER)
        partition_core_advance_high_watermark(core, now_ms, effects);
    partition_core_invariants(core);
}

int16_t partition_core_check_follower(const struct partition_core *core, const struct follower_fetch *fetch)
{
    int16_t error = partition_core_check_epoch(core, fetch->leader_epoch);
    if (error != KAFKA_NONE && !core->faults.ignore_fetch_epochs)
        return error;
    if (core->role != ROLE_LEADER)
        return KAFKA_NOT_LEADER_OR_FOLLOWER;
    for (size_t i = 0; i < core->replicas_count; i++)
        if (core->replicas[i].broker_id == fetch->broker_id && fetch->broker_id != core->broker_id)
            return KAFKA_NONE;
    return fetch->leader_epoch >= 0 ? KAFKA_UNKNOWN_LEADER_EPOCH : KAFKA_NOT_LEADER_OR_FOLLOWER;
}

int64_t partition_core_low_watermark(const struct partition_core *core,
                                     bool (*is_alive)(const void *context, int32_t broker_id),
                                     const void *context)
{
    int64_t lowest = core->log_start_offset;
    for (size_t i = 0; i < core->replicas_count; i++) {
        const struct remote_replica *replica = &core->replicas[i];
        if (replica->broker_id != core->broker_id && is_alive(context, replica->broker_id))
            lowest = min_i64(lowest, replica->start_offset);
    }
    return lowest;
}

void partition_core_on_leader_high_watermark(struct partition_core *core, int64_t leader_high_watermark,
                                             struct partition_effects *effects)
{
    if (core->role != ROLE_FOLLOWER)
        return;
    int64_t high_watermark = min_i64(leader_high_watermark, core->log_end_offset);
    if (high_watermark > core->high_watermark) {
        core->high_watermark = high_watermark;
        effects->high_watermark_moved = true;
    }
    partition_core_invariants(core);
}

/* What min.insync.replicas demands of a partition with this many replicas. */
static size_t effective_min_isr(const struct partition_core *core)
{
    size_t wanted = core->min_insync_replicas > 0 ? (size_t)core->min_insync_replicas : 1;
    return min_size(wanted, core->replicas_count);
}

bool partition_core_is_under_min_isr(const struct partition_core *core)
{
    return core->commits_held || core->isr.count < effective_min_isr(core);
}

int16_t partition_core_check_append(const struct partition_core *core, bool acks_all)
{
    if (core->role != ROLE_LEADER)
        return core->failed ? KAFKA_KAFKA_STORAGE_ERROR : KAFKA_NOT_LEADER_OR_FOLLOWER;
    if (acks_all && partition_core_is_under_min_isr(core))
        return KAFKA_NOT_ENOUGH_REPLICAS;
    return KAFKA_NONE;
}

int16_t partition_core_check_acknowledged(const struct partition_core *core, bool acks_all,
                                          int32_t leader_epoch, int64_t end_offset)
{
    if (core->failed)
        return KAFKA_KAFKA_STORAGE_ERROR;
    bool same_leadership = leader_epoch >= core->leader_since_epoch || core->faults.acknowledge_any_epoch;
    if (core->role != ROLE_LEADER || !same_leadership || leader_epoch > core->leader_epoch)
        return KAFKA_NOT_LEADER_OR_FOLLOWER;
    if (!acks_all)
        return partition_core_durable_end(core) < end_offset ? PRODUCE_PENDING : KAFKA_NONE;
    if (core->high_watermark < end_offset && !core->faults.acknowledge_early)
        return PRODUCE_PENDING;
    return partition_core_is_under_min_isr(core) ? KAFKA_NOT_ENOUGH_REPLICAS_AFTER_APPEND : KAFKA_NONE;
}

int16_t partition_core_check_epoch(const struct partition_core *core, int32_t leader_epoch)
{
    if (leader_epoch < 0)
        return KAFKA_NONE;
    if (leader_epoch < core->leader_epoch)
        return KAFKA_FENCED_LEADER_EPOCH;
    return leader_epoch > core->leader_epoch ? KAFKA_UNKNOWN_LEADER_EPOCH : KAFKA_NONE;
}

void partition_core_invariants(const struct partition_core *core)
{
    CHECK(core->log_start_offset <= core->high_watermark);
    CHECK(core->high_watermark <= core->log_end_offset);
    if (core->role != ROLE_LEADER) {
        CHECK(core->proposal == PROPOSAL_NONE);
        return;
    }
    CHECK(core->leader == core->broker_id);
    CHECK(core->leader_epoch >= 0 && core->leader_since_epoch <= core->leader_epoch);
    CHECK(core->isr.count > 0);
    CHECK(isr_set_contains(&core->isr, core->broker_id));
    if (core->proposal != PROPOSAL_NONE)
        CHECK(isr_set_contains(&core->proposed, core->broker_id));
}
