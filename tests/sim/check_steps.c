/* SPDX-License-Identifier: Apache-2.0 */
/* What is judged after every step. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "coordinator/zk/node_controller.h"
#include "coordinator/zk/node_partition_state.h"
#include "coordinator/zk/path.h"
#include "tests/sim/check.h"

static struct partition_log *find_log(struct world *world, int32_t index, int32_t number)
{
    const struct sim_partition *known = &world->partitions[number];
    return log_manager_find(world->brokers[index].logs, slice_of(known->topic), known->number);
}

/* ---- the ISR in ZooKeeper ---- */

/* Whether the broker's log has lost nothing since it took that seat, and the controller may know. */
static bool seat_is_good(const struct world *world, int32_t id, int64_t broker_epoch)
{
    int64_t intact_since = world->brokers[id - 1].intact_since;
    return !swarm_damages(&world->swarm) || (intact_since >= 0 && intact_since <= broker_epoch);
}

/*
 * Whoever is in the ISR, or eligible, may be elected: it holds all that any replica takes for committed (I19,
 * I23). Dead members count with what they had when they died; who lost power since it took its seat does not.
 */
static void check_isr_holds_committed(struct world *world, int32_t number)
{
    const struct sim_partition *partition = &world->partitions[number];
    if (!topic_is_stable(world, number))
        return;
    for (size_t i = 0; i < partition->isr_count + partition->elr_count; i++) {
        bool in_sync = i < partition->isr_count;
        size_t seat = in_sync ? i : i - partition->isr_count;
        int32_t id = in_sync ? partition->isr[seat] : partition->elr[seat];
        int64_t broker_epoch =
            in_sync ? partition->isr_broker_epochs[seat] : partition->elr_broker_epochs[seat];
        const struct replica_memory *memory = &world->brokers[id - 1].memories[number];
        int64_t end = memory->seen ? memory->end_offset : 0;
        if (end < partition->claimed && seat_is_good(world, id, broker_epoch))
            world_fail(world, "I23",
                       "broker %lld is in the ISR or eligible in partition %lld, leader epoch %lld, and ends "
                       "at %lld: "
                       "below %lld, which is committed",
                       TRACE_OF(id, number, partition->leader_epoch, end, partition->claimed));
    }
}

/* It was in the ISR or eligible; `good`: with a log that has lost nothing since. */
static bool had_seat(const struct world *world, const struct sim_partition *partition, int32_t id, bool good)
{
    for (size_t i = 0; i < partition->elr_count; i++)
        if (partition->elr[i] == id)
            return !good || seat_is_good(world, id, partition->elr_broker_epochs[i]);
    for (size_t i = 0; i < partition->isr_count; i++)
        if (partition->isr[i] == id)
            return !good || seat_is_good(world, id, partition->isr_broker_epochs[i]);
    return false;
}

/* Registered for so long, a broker is known to every controller that can still write. */
#define KNOWN_AFTER_MS 2000

/* Somebody may be elected without any loss, and every controller knows it. */
static bool has_known_candidate(const struct world *world, const struct sim_partition *partition)
{
    for (int32_t i = 0; i < world->swarm.brokers; i++) {
        char path[64];
        struct slice data;
        struct zk_stat stat;
        snprintf(path, sizeof(path), "%s/%d", ZK_PATH_BROKER_IDS, i + 1);
        if (world->brokers[i].alive && !world->brokers[i].disk_struck &&
            had_seat(world, partition, i + 1, true) &&
            fake_zookeeper_read(world->zookeeper, path, &data, &stat) &&
            SIM_WALL_MS + world->now_ms - stat.ctime_ms > KNOWN_AFTER_MS)
            return true;
    }
    return false;
}

/* An operator has put up with losses: what was promised so far may be gone. */
static void void_promises(struct world *world, int32_t number, int32_t leader_epoch)
{
    struct sim_partition *partition = &world->partitions[number];
    world->counters.unclean_elections++;
    world_note(world, "nothing counts any more that was promised of partition %lld before epoch %lld",
               TRACE_OF(number, leader_epoch));
    partition->voided = true;
    partition->voided_epoch = leader_epoch;
    partition->claimed = 0;
    ghost_release(&partition->ghost);
    for (int c = 0; c < SIM_CONSUMERS; c++)
        world->consumers[c].positions[number] = 0;
}

/* After an unclean election other replicas have to cut their logs before what they say counts again. */
static bool may_promise(const struct sim_partition *partition, const struct partition_status *status)
{
    return !partition->voided ||
           (status->role == ROLE_LEADER && status->leader_epoch >= partition->voided_epoch);
}

/*
 * The leader has taken a seat that it had not, or had in another life. Otherwise nobody could have known that
 * it has lost anything: what it has lost since it died. The session of that life may outlive it; but it obeys
 * no message for it any more, and another life of it needs a seat of its own.
 */
static bool takes_seat(const struct sim_partition *partition, const struct node_partition_state *state)
{
    int64_t former = NO_BROKER_EPOCH, present = NO_BROKER_EPOCH;
    for (size_t i = 0; i < partition->elr_count; i++)
        if (partition->elr[i] == state->leader)
            former = partition->elr_broker_epochs[i];
    for (size_t i = 0; i < partition->isr_count; i++)
        if (partition->isr[i] == state->leader)
            former = partition->isr_broker_epochs[i];
    for (size_t i = 0; i < state->isr_count && state->isr_broker_epochs != NULL; i++)
        if (state->isr[i] == state->leader)
            present = state->isr_broker_epochs[i];
    return present == NO_BROKER_EPOCH || present != former;
}

/* No process lives to which that seat belongs: none will obey, and what is promised stays promised. */
static bool is_dead(const struct world *world, int32_t id)
{
    return id > 0 && id <= world->swarm.brokers && !world->brokers[id - 1].alive;
}

static void note_leader(struct world *world, int32_t number, const struct node_partition_state *state)
{
    struct sim_partition *partition = &world->partitions[number];
    if (state->leader_epoch < partition->leader_epoch)
        world_fail(world, "I35", "the leader epoch of partition %lld fell from %lld to %lld",
                   TRACE_OF(number, partition->leader_epoch, state->leader_epoch));
    if (state->leader_epoch == partition->leader_epoch && state->leader != partition->leader)
        world_fail(world, "I13", "partition %lld has two leaders in epoch %lld: %lld and %lld",
                   TRACE_OF(number, state->leader_epoch, partition->leader, state->leader));
    /* Who had a seat and lost its log may be elected only by those who put up with it. */
    bool appointed = partition->has_state && state->leader != NO_LEADER &&
                     state->leader_epoch > partition->leader_epoch && takes_seat(partition, state);
    if (appointed && had_seat(world, partition, state->leader, false) && is_dead(world, state->leader))
        appointed = false;
    if (appointed && partition->unclean_asked && !had_seat(world, partition, state->leader, true)) {
        if (has_known_candidate(world, partition))
            world_fail(world, "I27",
                       "broker %lld leads partition %lld, epoch %lld, with losses that need not be",
                       TRACE_OF(state->leader, number, state->leader_epoch));
        void_promises(world, number, state->leader_epoch);
    } else if (appointed && !had_seat(world, partition, state->leader, false))
        world_fail(world, "I27", "broker %lld leads partition %lld, epoch %lld, and was not in the ISR",
                   TRACE_OF(state->leader, number, state->leader_epoch));
    if (state->leader != partition->leader)
        world->counters.elections++;
    while ((int64_t)partition->leaders_count <= state->leader_epoch) {
        partition->leaders = memory_grow(partition->leaders, partition->leaders_count,
                                         &partition->leaders_capacity, sizeof(*partition->leaders));
        partition->leaders[partition->leaders_count++] = NO_LEADER;
    }
    partition->leaders[state->leader_epoch] = state->leader;
    partition->leader = state->leader;
    partition->leader_epoch = state->leader_epoch;
}

void check_state_written(struct world *world, int32_t number, struct slice data, int32_t version)
{
    struct sim_partition *partition = &world->partitions[number];
    struct node_partition_state state;
    if (node_partition_state_decode(data, &state, NULL) != 0 || state.leader_epoch < 0) {
        world_fail(world, "I26", "an illegal state of partition %lld was written, version %lld",
                   TRACE_OF(number, version));
        return;
    }
    if (state.controller_epoch != world->controller_epoch)
        world_fail(world, "I29", "partition %lld was written by the controller of epoch %lld, not %lld",
                   TRACE_OF(number, state.controller_epoch, world->controller_epoch));
    note_leader(world, number, &state);
    partition->has_state = true;
    partition->isr_count = 0;
    int64_t members = 0;
    bool has_leader = state.leader == NO_LEADER;
    for (size_t i = 0; i < state.isr_count && i < SIM_BROKERS_MAX; i++) {
        partition->isr_broker_epochs[partition->isr_count] =
            state.isr_broker_epochs != NULL ? state.isr_broker_epochs[i] : NO_BROKER_EPOCH;
        partition->isr[partition->isr_count++] = state.isr[i];
        members = members * 10 + state.isr[i];
        has_leader = has_leader || state.isr[i] == state.leader;
    }
    partition->elr_count = 0;
    int64_t eligible = 0;
    for (size_t i = 0; i < state.elr_count && i < SIM_BROKERS_MAX; i++) {
        partition->elr_broker_epochs[partition->elr_count] =
            state.elr_broker_epochs != NULL ? state.elr_broker_epochs[i] : NO_BROKER_EPOCH;
        partition->elr[partition->elr_count++] = state.elr[i];
        eligible = eligible * 10 + state.elr[i];
    }
    world->counters.isr_changes++;
    world_note(world,
               "ZooKeeper: partition %lld has leader %lld, leader epoch %lld, ISR %lld, eligible %lld, "
               "partition epoch %lld",
               TRACE_OF(number, state.leader, state.leader_epoch, members, eligible, version));
    if (state.isr_count == 0 || !has_leader)
        world_fail(world, "I26", "the ISR of partition %lld is %lld, its leader %lld",
                   TRACE_OF(number, members, state.leader));
    check_isr_holds_committed(world, number);
    node_partition_state_release(&state);
}

/* ---- who may command ---- */

void check_controller_epoch_written(struct world *world, struct slice data)
{
    int32_t epoch;
    if (node_controller_epoch_decode(data, &epoch, NULL) != 0 || epoch < world->controller_epoch)
        world_fail(world, "I29", "the controller epoch was %lld, and is less or none",
                   TRACE_OF(world->controller_epoch));
    else
        world->controller_epoch = epoch;
}

void check_message_accepted(struct world *world, int32_t index, int32_t controller_epoch,
                            int64_t broker_epoch)
{
    struct sim_broker *broker = &world->brokers[index];
    if (controller_epoch < broker->heard_controller_epoch)
        world_fail(world, "I32", "broker %lld obeys the controller of epoch %lld after that of epoch %lld",
                   TRACE_OF(broker->id, controller_epoch, broker->heard_controller_epoch));
    if (broker_epoch != broker->registered_epoch)
        world_fail(world, "I32", "broker %lld of epoch %lld obeys a message for its life of epoch %lld",
                   TRACE_OF(broker->id, broker->registered_epoch, broker_epoch));
    broker->heard_controller_epoch = (int32_t)max_i64(broker->heard_controller_epoch, controller_epoch);
}

/* ---- promises ---- */

void check_promise(struct world *world, int32_t number, const struct partition_status *status,
                   const struct scanned_batch *batch, bool acknowledged)
{
    if (!topic_is_stable(world, number) || !may_promise(&world->partitions[number], status))
        return;
    int64_t conflict = ghost_note(&world->partitions[number].ghost, batch, acknowledged);
    if (conflict >= 0)
        world_fail(world, "I1",
                   "offset %lld of partition %lld was promised before with other bytes (now of epoch %lld)",
                   TRACE_OF(conflict, number, batch->leader_epoch));
}

/* A new leader has everything that was promised. */
static void check_new_leader(struct world *world, int32_t index, int32_t number, int32_t leader_epoch)
{
    const struct ghost *ghost = &world->partitions[number].ghost;
    struct partition_log *log = find_log(world, index, number);
    if (!log_scan_log(&world->scan, log, partition_log_start_offset(log), INT64_MAX)) {
        /* Opening a file to look into it may have been the operation in which its process dies. */
        if (broker_acts(&world->brokers[index]) && disks_are_sound(&world->brokers[index]))
            world_fail(world, "I3", "broker %lld: the log of partition %lld cannot be read",
                       TRACE_OF(index + 1, number));
        return;
    }
    int64_t missing = ghost_compare(ghost, &world->scan, partition_log_start_offset(log));
    if (missing >= 0)
        world_note(world, "its log begins at %lld and ends at %lld, the first batch is at %lld",
                   TRACE_OF(partition_log_start_offset(log), partition_log_end_offset(log),
                            world->scan.count > 0 ? world->scan.batches[0].base_offset : -1));
    if (missing >= 0)
        world_fail(world, "I1",
                   "broker %lld leads partition %lld in epoch %lld and has not offset %lld as it was "
                   "promised (acknowledged: %lld, epoch %lld)",
                   TRACE_OF(index + 1, number, leader_epoch, missing, ghost->records[missing].acknowledged,
                            ghost->records[missing].leader_epoch));
}

/* ---- logs against each other ---- */

static bool same_place(const struct scanned_batch *a, const struct scanned_batch *b)
{
    return a->base_offset == b->base_offset && a->leader_epoch == b->leader_epoch;
}

/* Behind the first difference no (offset, epoch) may be in both. */
static void compare_logs(struct world *world, int32_t number, int32_t a, int32_t b)
{
    const struct log_scan *x = &world->scan, *y = &world->other_scan;
    size_t i = 0, j = 0;
    while (i < x->count && j < y->count && x->batches[i].base_offset < y->batches[0].base_offset)
        i++;
    while (i < x->count && j < y->count && y->batches[j].base_offset < x->batches[0].base_offset)
        j++;
    while (i < x->count && j < y->count && same_place(&x->batches[i], &y->batches[j]) &&
           x->batches[i].hash == y->batches[j].hash)
        i++, j++;
    while (i < x->count && j < y->count) {
        if (same_place(&x->batches[i], &y->batches[j])) {
            world_fail(world, "I16",
                       "brokers %lld and %lld both hold offset %lld, epoch %lld of partition %lld and differ "
                       "up to there",
                       TRACE_OF(a + 1, b + 1, x->batches[i].base_offset, x->batches[i].leader_epoch, number));
            return;
        }
        if (x->batches[i].base_offset < y->batches[j].base_offset)
            i++;
        else if (x->batches[i].base_offset > y->batches[j].base_offset)
            j++;
        else
            i++, j++;
    }
}

static void compare_with_others(struct world *world, int32_t index, int32_t number)
{
    struct partition_log *own = find_log(world, index, number);
    if (own == NULL || !topic_is_of(world, number, partition_log_topic_id(own)) ||
        !log_scan_log(&world->scan, own, partition_log_start_offset(own), INT64_MAX))
        return;
    for (int32_t b = 0; b < world->swarm.brokers; b++) {
        struct partition_log *other =
            b != index && broker_acts(&world->brokers[b]) ? find_log(world, b, number) : NULL;
        if (other != NULL && topic_is_of(world, number, partition_log_topic_id(other)) &&
            log_scan_log(&world->other_scan, other, partition_log_start_offset(other), INT64_MAX))
            compare_logs(world, number, index, b);
    }
}

void check_replicas_agree(struct world *world, int32_t number)
{
    for (int32_t b = 0; b < world->swarm.brokers; b++)
        if (broker_acts(&world->brokers[b]))
            compare_with_others(world, b, number);
}

/* ---- one replica ---- */

static void check_bounds(struct world *world, int32_t index, int32_t number,
                         const struct partition_status *status)
{
    const struct replica_memory *memory = &world->brokers[index].memories[number];
    if (status->log_start_offset > status->high_watermark || status->high_watermark > status->log_end_offset)
        world_fail(world, "I9", "broker %lld, partition %lld: start %lld, high watermark %lld, end %lld",
                   TRACE_OF(index + 1, number, status->log_start_offset, status->high_watermark,
                            status->log_end_offset));
    if (status->log_start_offset > world->partitions[number].deleted)
        world_fail(world, "I9", "broker %lld, partition %lld: starts at %lld, and nobody deleted beyond %lld",
                   TRACE_OF(index + 1, number, status->log_start_offset, world->partitions[number].deleted));
    bool same = memory->seen && memory->life == world->brokers[index].life &&
                memory->leader_epoch == status->leader_epoch;
    if (same && may_promise(&world->partitions[number], status) &&
        status->high_watermark < memory->high_watermark)
        world_fail(
            world, "I9",
            "broker %lld, partition %lld, leader epoch %lld: the high watermark fell from %lld to %lld",
            TRACE_OF(index + 1, number, status->leader_epoch, memory->high_watermark,
                     status->high_watermark));
}

/* A leader whose ISR is too small commits nothing more (I20). */
static void check_min_isr(struct world *world, int32_t index, int32_t number,
                          const struct partition_status *status)
{
    const struct replica_memory *memory = &world->brokers[index].memories[number];
    bool led = memory->seen && memory->life == world->brokers[index].life && memory->role == ROLE_LEADER;
    if (led && status->high_watermark > memory->high_watermark &&
        status->isr.count < (size_t)topic_of(world, number)->min_insync_replicas)
        world_fail(world, "I20",
                   "broker %lld moves the high watermark of partition %lld to %lld with an ISR of %lld",
                   TRACE_OF(index + 1, number, status->high_watermark, (int64_t)status->isr.count));
}

static void check_leader(struct world *world, int32_t index, int32_t number,
                         const struct partition_status *status)
{
    const struct sim_partition *partition = &world->partitions[number];
    const struct replica_memory *memory = &world->brokers[index].memories[number];
    int32_t epoch = status->leader_epoch;
    if (epoch < 0 || (size_t)epoch >= partition->leaders_count || partition->leaders[epoch] != index + 1)
        world_fail(world, "I13",
                   "broker %lld leads partition %lld in epoch %lld without having been appointed",
                   TRACE_OF(index + 1, number, epoch));
    bool is_new = !memory->seen || memory->life != world->brokers[index].life ||
                  memory->role != ROLE_LEADER || memory->leader_epoch != epoch;
    /* A deposed leader may learn of its appointment late: it judges nobody any more. */
    if (is_new && epoch == partition->leader_epoch) {
        check_new_leader(world, index, number, epoch);
        compare_with_others(world, index, number);
    }
}

static void check_replica(struct world *world, int32_t index, int32_t number,
                          const struct partition_status *status)
{
    struct sim_broker *broker = &world->brokers[index];
    struct sim_partition *partition = &world->partitions[number];
    struct replica_memory *memory = &broker->memories[number];
    check_bounds(world, index, number, status);
    if (status->role == ROLE_LEADER) {
        check_min_isr(world, index, number, status);
        check_leader(world, index, number, status);
    }
    bool cut = memory->seen && status->log_end_offset < memory->end_offset;
    if (cut && memory->life == broker->life) {
        world->counters.truncations++;
        if (status->role == ROLE_LEADER)
            world_fail(world, "I15", "broker %lld cut its log of partition %lld as leader",
                       TRACE_OF(broker->id, number));
        compare_with_others(world, index, number);
    }
    *memory = (struct replica_memory){.seen = true,
                                      .life = broker->life,
                                      .leader_epoch = status->leader_epoch,
                                      .high_watermark = status->high_watermark,
                                      .end_offset = status->log_end_offset,
                                      .role = status->role};
    bool committed_more = may_promise(partition, status) && status->high_watermark > partition->claimed;
    if (committed_more)
        partition->claimed = status->high_watermark;
    if (cut || committed_more)
        check_isr_holds_committed(world, number);
}

/* A deletion that has ended has ended on all replicas (I36), and the next topic of that name is another
 * (I35). Only who had moved away may not have heard: it hears before the end. */
static bool check_of_this_topic(struct world *world, int32_t index, int32_t number,
                                const struct partition *partition)
{
    struct replica_memory *memory = &world->brokers[index].memories[number];
    if (topic_of(world, number)->exists && topic_is_of(world, number, partition_topic_id(partition))) {
        memory->may_linger = false;
        return true;
    }
    if (!memory->may_linger)
        world_fail(world, "I36", "broker %lld has a replica of partition %lld, of a topic that was deleted",
                   TRACE_OF(index + 1, number));
    return false;
}

/* A replica that has moved away and is gone says nothing any more, should it ever come back. As long as its
 * log is there, it may still have a seat: who starts again has no partition until it is told of it. */
static void forget_departed(struct world *world, int32_t index, int32_t number)
{
    const struct sim_partition *partition = &world->partitions[number];
    struct partition_log *log = find_log(world, index, number);
    bool assigned =
        !partition->exists || (log != NULL && topic_is_of(world, number, partition_log_topic_id(log)));
    for (size_t i = 0; i < partition->replicas_count; i++)
        assigned = assigned || partition->replicas[i] == index + 1;
    if (!assigned)
        world->brokers[index].memories[number].seen = false;
}

void check_remember(struct world *world, int32_t index)
{
    for (int32_t p = 0; p < world->partition_count; p++) {
        struct partition *partition = broker_partition(world, index, p);
        if (partition == NULL) {
            forget_departed(world, index, p);
            world->brokers[index].memories[p].may_linger = false;
            continue;
        }
        struct partition_status status;
        partition_status(partition, &status);
        if (check_of_this_topic(world, index, p, partition) && topic_is_stable(world, p))
            check_replica(world, index, p, &status);
        partition_release(partition);
    }
}

void check_broker(struct world *world, int32_t index)
{
    if (!broker_acts(&world->brokers[index]))
        return;
    world->judging = true;
    check_remember(world, index);
    world->judging = false;
}
