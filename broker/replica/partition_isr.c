/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The partition core: who is in sync. The leader keeps each follower's position, moves the high watermark
 * over what all members of the maximal ISR hold, and proposes ISR changes to the controller.
 *
 * Life of a proposal (I28):
 *
 *     none --wanted--> WANTED --sent--> IN_FLIGHT --success, newer state--> none
 *                        ^                 |--refused, no doubt-----------> none (proposed again later)
 *                        |                 |--refused in doubt------------> WANTED: a barrier
 *                        '-----------------'--no answer, other errors-----> WANTED: the same again, in doubt;
 *                                                   a barrier if it names one that is no replica now
 *
 * A barrier is the committed ISR as it is (partition_core.h). A newer state of the partition, by whichever
 * way it comes, ends every proposal: the controller writes by compare-and-set on the partition epoch, so
 * nothing older can be applied any more.
 */
#include <string.h>

#include "broker/replica/partition_core_internal.h"
#include "common/check.h"
#include "proto/kafka/error.h"

/*
 * A replica outside the ISR that has fetched all within this time is about to be added: the high watermark
 * waits for it, or under steady load it would always be a moment behind and never be let in. A dead one holds
 * producers up no longer than this.
 */
#define JOINING_REPLICA_WAIT_MS 1000

/* After an answer that says that the controller knows better, its message is on the way: no hurry. */
#define PROPOSAL_FENCED_RETRY_MS 2000

void isr_set_assign(struct isr_set *set, const struct isr_member *members, size_t count)
{
    set->count = min_size(count, PARTITION_REPLICAS_MAX);
    if (set->count > 0)
        memcpy(set->members, members, set->count * sizeof(members[0]));
}

bool isr_set_contains(const struct isr_set *set, int32_t broker_id)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->members[i].broker_id == broker_id)
            return true;
    return false;
}

bool partition_core_in_maximal_isr(const struct partition_core *core, int32_t broker_id)
{
    if (core->faults.count_unconfirmed_isr)
        return isr_set_contains(core->proposal == PROPOSAL_NONE ? &core->isr : &core->proposed, broker_id);
    return isr_set_contains(&core->isr, broker_id) ||
           (core->proposal != PROPOSAL_NONE && isr_set_contains(&core->proposed, broker_id)) ||
           isr_set_contains(&core->doubtful, broker_id);
}

void partition_core_clear_proposal(struct partition_core *core)
{
    core->proposal = PROPOSAL_NONE;
    core->proposal_in_doubt = false;
    core->proposed.count = 0;
    core->doubtful.count = 0;
    core->proposal_retry_ms = 0;
}

/*
 * Whether a replica may be in the ISR by its position (I24), and by its beginning: what is below our log
 * start is in no epoch that we know of any more, so nobody has compared it. A replica that was away when it
 * was written and deleted could have other records there, and lead with them; it has to delete them first.
 */
static bool replica_is_eligible(const struct partition_core *core, const struct remote_replica *replica)
{
    return replica->end_offset >= core->high_watermark && replica->start_offset >= core->log_start_offset &&
           (replica->end_offset >= core->epoch_start_offset || core->faults.ignore_epoch_start);
}

static bool high_watermark_waits_for(const struct partition_core *core, const struct remote_replica *replica,
                                     int64_t now_ms)
{
    if (partition_core_in_maximal_isr(core, replica->broker_id))
        return true;
    return replica->end_offset >= 0 && replica_is_eligible(core, replica) &&
           now_ms - replica->last_caught_up_ms <= JOINING_REPLICA_WAIT_MS && replica->last_caught_up_ms > 0;
}

void partition_core_advance_high_watermark(struct partition_core *core, int64_t now_ms,
                                           struct partition_effects *effects)
{
    if (partition_core_is_under_min_isr(core) && !core->faults.ignore_min_isr)
        return;
    int64_t candidate = partition_core_durable_end(core);
    for (size_t i = 0; i < core->replicas_count; i++) {
        const struct remote_replica *replica = &core->replicas[i];
        if (replica->broker_id != core->broker_id && high_watermark_waits_for(core, replica, now_ms))
            candidate = min_i64(candidate, replica->end_offset);
    }
    if (core->faults.high_watermark_too_high)
        candidate = min_i64(candidate + 2, core->log_end_offset);
    if (candidate > core->high_watermark) {
        core->high_watermark = candidate;
        effects->high_watermark_moved = true;
    }
}

static void propose(struct partition_core *core, const struct isr_set *proposed,
                    struct partition_effects *effects)
{
    CHECK(core->proposal == PROPOSAL_NONE);
    CHECK(isr_set_contains(proposed, core->broker_id));
    core->proposed = *proposed;
    core->proposal = PROPOSAL_WANTED;
    core->proposal_in_doubt = false;
    effects->proposal_wanted = true;
}

static void propose_joining(struct partition_core *core, const struct remote_replica *replica, int64_t now_ms,
                            struct partition_effects *effects)
{
    if (core->proposal != PROPOSAL_NONE || now_ms < core->proposal_retry_ms ||
        isr_set_contains(&core->isr, replica->broker_id) || !replica_is_eligible(core, replica))
        return;
    struct isr_set proposed = core->isr;
    if (proposed.count == PARTITION_REPLICAS_MAX)
        return;
    proposed.members[proposed.count++] = (struct isr_member){replica->broker_id, replica->broker_epoch};
    propose(core, &proposed, effects);
}

void partition_core_on_follower_fetch(struct partition_core *core, const struct follower_fetch *fetch,
                                      int64_t now_ms, struct partition_effects *effects)
{
    struct remote_replica *replica = partition_core_find_replica(core, fetch->broker_id);
    if (core->role != ROLE_LEADER || replica == NULL || fetch->broker_id == core->broker_id)
        return;
    bool fenced = !core->faults.ignore_fetch_epochs;
    bool late = fetch->broker_epoch < replica->broker_epoch && !core->faults.ignore_replica_epoch;
    if (fenced && (fetch->leader_epoch != core->leader_epoch || late))
        return;
    if (fetch->broker_epoch > replica->broker_epoch) {
        /* A new life: nothing that the former one held is known to be there. */
        *replica = (struct remote_replica){.broker_id = fetch->broker_id,
                                           .broker_epoch = fetch->broker_epoch,
                                           .start_offset = -1,
                                           .last_caught_up_ms = replica->last_caught_up_ms};
    }
    if (fetch->fetch_offset >= core->log_end_offset)
        replica->last_caught_up_ms = max_i64(replica->last_caught_up_ms, now_ms);
    else if (replica->last_fetch_ms > 0 && fetch->fetch_offset >= replica->last_fetch_leader_end)
        replica->last_caught_up_ms = max_i64(replica->last_caught_up_ms, replica->last_fetch_ms);
    replica->end_offset = min_i64(fetch->fetch_offset, core->log_end_offset);
    if (replica->start_offset != fetch->log_start_offset)
        core->log_start_moves++;
    replica->start_offset = fetch->log_start_offset;
    replica->last_fetch_ms = now_ms;
    replica->last_fetch_leader_end = core->log_end_offset;

    propose_joining(core, replica, now_ms, effects);
    partition_core_advance_high_watermark(core, now_ms, effects);
    partition_core_invariants(core);
}

bool partition_core_tell_high_watermark(struct partition_core *core, int32_t broker_id)
{
    struct remote_replica *replica = partition_core_find_replica(core, broker_id);
    if (core->role != ROLE_LEADER || replica == NULL || replica->told_high_watermark >= core->high_watermark)
        return false;
    replica->told_high_watermark = core->high_watermark;
    return true;
}

static bool replica_lags(const struct partition_core *core, const struct remote_replica *replica,
                         int64_t now_ms)
{
    return replica->end_offset < core->log_end_offset &&
           now_ms - replica->last_caught_up_ms > core->replica_lag_time_max_ms;
}

static void propose_without_laggards(struct partition_core *core, int64_t now_ms,
                                     struct partition_effects *effects)
{
    struct isr_set proposed = {.count = 0};
    for (size_t i = 0; i < core->isr.count; i++) {
        struct isr_member member = core->isr.members[i];
        const struct remote_replica *replica = partition_core_find_replica(core, member.broker_id);
        bool stays =
            member.broker_id == core->broker_id || (replica != NULL && !replica_lags(core, replica, now_ms));
        if (stays)
            proposed.members[proposed.count++] = member;
    }
    if (proposed.count < core->isr.count)
        propose(core, &proposed, effects);
}

void partition_core_on_tick(struct partition_core *core, int64_t now_ms, struct partition_effects *effects)
{
    if (core->role != ROLE_LEADER)
        return;
    if (core->proposal == PROPOSAL_NONE && now_ms >= core->proposal_retry_ms)
        propose_without_laggards(core, now_ms, effects);
    else if (core->proposal == PROPOSAL_WANTED && now_ms >= core->proposal_retry_ms)
        effects->proposal_wanted = true;
    /* A replica that was waited for may have had its time. */
    partition_core_advance_high_watermark(core, now_ms, effects);
    partition_core_invariants(core);
}

bool partition_core_take_proposal(struct partition_core *core, int64_t now_ms, struct isr_set *isr)
{
    if (core->role != ROLE_LEADER || core->proposal != PROPOSAL_WANTED || now_ms < core->proposal_retry_ms)
        return false;
    core->proposal = PROPOSAL_IN_FLIGHT;
    *isr = core->proposed;
    return true;
}

/* The refused proposal may have an older twin on its way: see the top of partition_core.h. */
static void propose_barrier(struct partition_core *core)
{
    for (size_t i = 0; i < core->proposed.count; i++) {
        struct isr_member member = core->proposed.members[i];
        if (!isr_set_contains(&core->doubtful, member.broker_id))
            core->doubtful.members[core->doubtful.count++] = member;
    }
    core->proposed = core->isr;
    core->proposal = PROPOSAL_WANTED;
}

static void on_refusal(struct partition_core *core, int64_t now_ms)
{
    bool in_doubt = core->proposal_in_doubt || core->doubtful.count > 0;
    if (in_doubt && !core->faults.no_barrier)
        propose_barrier(core);
    else
        partition_core_clear_proposal(core);
    core->proposal_retry_ms = now_ms + PROPOSAL_RETRY_MS;
}

/* Somebody is to join who is no replica any more. */
static bool names_departed(struct partition_core *core)
{
    for (size_t i = 0; i < core->proposed.count; i++) {
        int32_t broker_id = core->proposed.members[i].broker_id;
        if (!isr_set_contains(&core->isr, broker_id) && partition_core_find_replica(core, broker_id) == NULL)
            return true;
    }
    return false;
}

void partition_core_drop_departed_proposal(struct partition_core *core)
{
    /* one in flight is looked at when it has been answered */
    if (core->proposal != PROPOSAL_WANTED || !names_departed(core))
        return;
    if (core->proposal_in_doubt || core->doubtful.count > 0)
        propose_barrier(core);
    else
        partition_core_clear_proposal(core);
}

static void on_no_verdict(struct partition_core *core, int64_t retry_ms)
{
    core->proposal_in_doubt = true;
    core->proposal_retry_ms = retry_ms;
    if (core->faults.forget_proposal)
        return;
    core->proposal = PROPOSAL_WANTED;
    partition_core_drop_departed_proposal(core);
}

void partition_core_on_proposal_answer(struct partition_core *core, int32_t leader_epoch,
                                       const struct alter_partition_result *result, int64_t now_ms,
                                       struct partition_effects *effects)
{
    if (core->role != ROLE_LEADER || core->leader_epoch != leader_epoch ||
        core->proposal != PROPOSAL_IN_FLIGHT)
        return;
    bool tells_state = result->isr_count > 0 && result->isr_count <= PARTITION_REPLICAS_MAX &&
                       result->leader == core->broker_id && result->leader_epoch == core->leader_epoch &&
                       result->partition_epoch > core->partition_epoch;
    struct isr_set isr;
    isr_set_assign(&isr, result->isr, tells_state ? result->isr_count : 0);
    if (tells_state && isr_set_contains(&isr, core->broker_id)) {
        core->isr = isr;
        core->partition_epoch = result->partition_epoch;
        core->recovering = result->recovering;
        core->commits_held = result->commits_held;
        partition_core_clear_proposal(core);
        partition_core_advance_high_watermark(core, now_ms, effects);
    } else if (result->error == KAFKA_NONE || result->error == KAFKA_INELIGIBLE_REPLICA ||
               result->error == KAFKA_INVALID_REQUEST || result->error == KAFKA_OPERATION_NOT_ATTEMPTED) {
        /* Success without a newer state: nothing was to be changed. */
        on_refusal(core, now_ms);
    } else if (result->error == KAFKA_FENCED_LEADER_EPOCH || result->error == KAFKA_UNKNOWN_TOPIC_ID ||
               result->error == KAFKA_UNKNOWN_TOPIC_OR_PARTITION) {
        on_no_verdict(core, now_ms + PROPOSAL_FENCED_RETRY_MS);
    } else {
        on_no_verdict(core, now_ms + PROPOSAL_RETRY_MS);
    }
    partition_core_invariants(core);
}
