/* SPDX-License-Identifier: Apache-2.0 */
/* What is judged when faults have ended: that the cluster heals, and what it then holds. */
#include <string.h>

#include "coordinator/zk/path.h"
#include "tests/sim/check.h"

static struct partition_log *find_log(struct world *world, int32_t index, int32_t number)
{
    const struct sim_partition *known = &world->partitions[number];
    return log_manager_find(world->brokers[index].logs, slice_of(known->topic), known->number);
}

/* Whether a replica is at one with the leader; NULL, or what is wrong. */
static const char *judge_replica(struct world *world, int32_t number, int32_t index,
                                 const struct partition_status *leader)
{
    struct partition *partition = broker_partition(world, index, number);
    if (partition == NULL)
        return "partition %lld: a replica does not know of it";
    struct partition_status status;
    partition_status(partition, &status);
    partition_release(partition);
    const struct sim_partition *known = &world->partitions[number];
    bool leads = known->leader == index + 1;
    if (status.role != (leads ? ROLE_LEADER : ROLE_FOLLOWER))
        return "partition %lld: a replica has not the role that ZooKeeper tells";
    if (status.leader_epoch != known->leader_epoch)
        return "partition %lld: a replica is in another leader epoch";
    if (status.log_end_offset != leader->log_end_offset)
        return "partition %lld: a replica does not end where the leader ends";
    if (status.high_watermark != leader->log_end_offset)
        return "partition %lld: a high watermark is not at the end";
    if (status.log_start_offset < leader->log_start_offset)
        return "partition %lld: a replica keeps what the leader has deleted";
    return NULL;
}

static bool is_replica(const struct sim_partition *partition, int32_t id)
{
    for (size_t i = 0; i < partition->replicas_count; i++)
        if (partition->replicas[i] == id)
            return true;
    return false;
}

/* Nobody hosts what it should not. */
static const char *judge_departed(struct world *world, int32_t number)
{
    for (int32_t b = 0; b < world->swarm.brokers; b++) {
        struct partition *partition =
            is_replica(&world->partitions[number], b + 1) ? NULL : broker_partition(world, b, number);
        bool hosts = partition != NULL;
        partition_release(partition);
        if (hosts)
            return "partition %lld: a broker keeps a replica that has moved away";
    }
    return NULL;
}

static const char *judge_partition(struct world *world, int32_t number)
{
    const struct sim_partition *known = &world->partitions[number];
    if (!known->exists && known->number >= world->swarm.partitions_each)
        return NULL; /* nobody has asked for it */
    if (!topic_is_stable(world, number))
        return "partition %lld: its topic is being deleted";
    if (!known->has_state || known->leader == NO_LEADER)
        return "partition %lld has no leader";
    if (known->moving)
        return "partition %lld: its move has not ended";
    if (known->isr_count != known->replicas_count)
        return "partition %lld: not all replicas are in the ISR";
    struct partition *leader = broker_partition(world, known->leader - 1, number);
    if (leader == NULL)
        return "partition %lld: its leader does not know of it";
    struct partition_status status;
    partition_status(leader, &status);
    partition_release(leader);
    const char *why = NULL;
    for (size_t r = 0; why == NULL && r < known->replicas_count; r++)
        why = judge_replica(world, number, known->replicas[r] - 1, &status);
    return why != NULL ? why : judge_departed(world, number);
}

bool check_is_healthy(struct world *world, const char **why, int32_t *partition)
{
    for (int32_t b = 0; b < world->swarm.brokers; b++) {
        struct sim_broker *broker = &world->brokers[b];
        *partition = b + 1;
        *why = "broker %lld is not there";
        if (!broker->alive || registration_epoch(broker->registration) < 0)
            return false;
        *why = "broker %lld has a proposal open";
        if (broker->proposal != NULL)
            return false;
    }
    static const char *const wishes[] = {ZK_PATH_REASSIGN_PARTITIONS, ZK_PATH_PREFERRED_REPLICA_ELECTION};
    for (size_t i = 0; i < ARRAY_SIZE(wishes); i++) {
        struct slice data;
        struct zk_stat stat;
        *why = "a tool's request is still there";
        if (fake_zookeeper_read(world->zookeeper, wishes[i], &data, &stat))
            return false;
    }
    for (int32_t p = 0; p < world->partition_count; p++) {
        *partition = p;
        *why = judge_partition(world, p);
        if (*why != NULL)
            return false;
    }
    return true;
}

/* The epoch cache is a function of the log (I4). */
static void check_epochs(struct world *world, int32_t index, int32_t number, struct partition_log *log)
{
    for (size_t i = 0; i < world->scan.count; i++) {
        const struct scanned_batch *batch = &world->scan.batches[i];
        if (i > 0 && batch->leader_epoch < batch[-1].leader_epoch)
            world_fail(world, "I4", "broker %lld, partition %lld: the epoch falls at offset %lld",
                       TRACE_OF(index + 1, number, batch->base_offset));
        if (i > 0 && batch->base_offset != batch[-1].last_offset + 1)
            world_fail(world, "I2", "broker %lld, partition %lld: a gap before offset %lld",
                       TRACE_OF(index + 1, number, batch->base_offset));
        int64_t start = partition_log_start_offset(log); /* it may lie within the first batch */
        int32_t epoch = partition_log_epoch_at(log, max_i64(batch->base_offset, start));
        if (epoch != batch->leader_epoch)
            world_fail(world, "I4",
                       "broker %lld, partition %lld, offset %lld: epoch %lld, the epoch cache says %lld",
                       TRACE_OF(index + 1, number, batch->base_offset, batch->leader_epoch, epoch));
    }
}

/* A batch of an idempotent producer is there once, in order (I48). */
static void check_sequences(struct world *world, int32_t number)
{
    for (size_t i = 0; i < world->scan.count; i++) {
        const struct scanned_batch *batch = &world->scan.batches[i];
        for (size_t j = 0; batch->producer_id >= 0 && j < i; j++) {
            const struct scanned_batch *earlier = &world->scan.batches[j];
            if (earlier->producer_id == batch->producer_id && earlier->base_sequence >= batch->base_sequence)
                world_fail(
                    world, "I48",
                    "partition %lld, producer id %lld: sequence %lld at offset %lld after sequence %lld",
                    TRACE_OF(number, batch->producer_id, batch->base_sequence, batch->base_offset,
                             earlier->base_sequence));
        }
    }
}

static void check_log(struct world *world, int32_t index, int32_t number)
{
    struct partition_log *log = find_log(world, index, number);
    if (log == NULL || !log_scan_log(&world->scan, log, partition_log_start_offset(log), INT64_MAX)) {
        world_fail(world, "I3", "broker %lld: the log of partition %lld cannot be read",
                   TRACE_OF(index + 1, number));
        return;
    }
    int64_t missing =
        ghost_compare(&world->partitions[number].ghost, &world->scan, partition_log_start_offset(log));
    if (missing >= 0)
        world_fail(world, "I1", "at the end broker %lld has not offset %lld of partition %lld as promised",
                   TRACE_OF(index + 1, missing, number));
    check_epochs(world, index, number, log);
    check_sequences(world, number);
}

void check_end(struct world *world)
{
    for (int32_t p = 0; p < world->partition_count; p++) {
        for (size_t r = 0; world->partitions[p].exists && r < world->partitions[p].replicas_count; r++)
            check_log(world, world->partitions[p].replicas[r] - 1, p);
        check_replicas_agree(world, p);
    }
    for (int32_t b = 0; b < world->swarm.brokers; b++)
        world->counters.healed += controller_gauges(world->brokers[b].controller).healed;
    trace_mix(&world->trace, world->counters.acknowledged);
    trace_mix(&world->trace, world->counters.observed);
}
