/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replicas that are not assigned to this broker any more: metadata names them, they are removed here, and
 * what the disk keeps from being removed is remembered and tried again.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/replica/replica_manager_internal.h"
#include "common/memory.h"
#include "proto/kafka/error.h"

#define DEPARTED_RETRY_MS (30 * 1000)

static void forget_departed_at(struct replica_manager *manager, size_t position)
{
    free((void *)manager->departed[position].topic.data);
    manager->departed_count--;
    memmove(&manager->departed[position], &manager->departed[position + 1],
            (manager->departed_count - position) * sizeof(manager->departed[0]));
}

/* True: it was remembered. */
static bool forget_departed(struct replica_manager *manager, struct slice topic, int32_t partition)
{
    for (size_t i = 0; i < manager->departed_count; i++) {
        const struct departed_replica *departed = &manager->departed[i];
        if (departed->partition != partition || !slice_equals(departed->topic, topic))
            continue;
        forget_departed_at(manager, i);
        return true;
    }
    return false;
}

/* When there are too many the oldest goes: the next metadata of its topic names it again. */
static void remember_departed(struct replica_manager *manager, const struct stop_replica_partition *stop)
{
    bool again = forget_departed(manager, stop->topic, stop->partition);
    if (manager->departed_count == DEPARTED_MAX)
        forget_departed_at(manager, 0);
    uint8_t *name = memory_allocate(stop->topic.length + 1);
    memcpy(name, stop->topic.data, stop->topic.length);
    manager->departed[manager->departed_count++] =
        (struct departed_replica){.topic = slice_make(name, stop->topic.length),
                                  .topic_id = stop->topic_id,
                                  .partition = stop->partition,
                                  .leader_epoch = stop->leader_epoch};
    if (!again)
        log_warn(
            manager->logger, "replica",
            "%.*s-%d: moved to other brokers, but its log cannot be removed here now: that is tried again",
            SLICE_ARGUMENTS(stop->topic), stop->partition);
}

void replica_manager_forget_departed(struct replica_manager *manager, struct slice topic, int32_t partition)
{
    (void)forget_departed(manager, topic, partition);
}

void replica_manager_release_departed(struct replica_manager *manager)
{
    while (manager->departed_count > 0)
        forget_departed_at(manager, manager->departed_count - 1);
}

/* In the ISR, or its leader: whatever the assignment says, it may hold what nobody else has. */
static bool is_needed(const struct control_partition *state, int32_t broker_id)
{
    for (size_t i = 0; i < state->isr_count; i++)
        if (state->isr[i].broker_id == broker_id)
            return true;
    return state->leader == broker_id || state->leader == NO_LEADER;
}

/* Whether the partition is open and knows a later state, or is another topic's: that message came late. */
static bool knows_better(struct replica_manager *manager, const struct control_topic *topic,
                         const struct control_partition *state)
{
    struct partition *partition = replica_manager_find(manager, topic->name, state->partition);
    if (partition == NULL)
        return false;
    struct partition_status status;
    partition_status(partition, &status);
    bool better = !uuid_equals(partition_topic_id(partition), topic->topic_id) ||
                  status.partition_epoch > state->partition_epoch;
    partition_release(partition);
    return better;
}

/* A Kafka error; *here: what is here is that topic's. Of an open partition the table knows. */
static int16_t look_for_departed(struct replica_manager *manager, const struct stop_replica_partition *stop,
                                 bool *here)
{
    struct uuid topic_id = {0};
    int error = 0;
    struct partition *partition = replica_manager_find(manager, stop->topic, stop->partition);
    if (partition != NULL)
        topic_id = partition_topic_id(partition);
    else
        error = log_manager_topic_id(manager->logs, stop->topic, stop->partition, &topic_id);
    partition_release(partition);
    *here = error == 0 && uuid_equals(topic_id, stop->topic_id);
    return error == 0 || error == -ENOENT ? KAFKA_NONE : KAFKA_KAFKA_STORAGE_ERROR;
}

/* What fails for the disk's sake is tried again; what fails for another reason is not ours to remove. */
static void remove_departed(struct replica_manager *manager, const struct stop_replica_partition *stop)
{
    bool here;
    int16_t error = look_for_departed(manager, stop, &here);
    if (error == KAFKA_NONE && here) {
        error = replica_manager_stop_partition(manager, stop);
        if (error == KAFKA_NONE)
            log_info(manager->logger, "replica", "%.*s-%d: moved to other brokers, removed here",
                     SLICE_ARGUMENTS(stop->topic), stop->partition);
    }
    if (error == KAFKA_KAFKA_STORAGE_ERROR)
        remember_departed(manager, stop);
    else
        (void)forget_departed(manager, stop->topic, stop->partition);
}

void replica_manager_retry_departed(struct replica_manager *manager)
{
    if (manager->departed_count == 0 || manager->now_ms < manager->departed_due_ms)
        return;
    manager->departed_due_ms = manager->now_ms + DEPARTED_RETRY_MS;
    /* Each one goes, or goes to the end. */
    for (size_t left = manager->departed_count; left > 0; left--) {
        const struct departed_replica *first = &manager->departed[0];
        uint8_t name[KEY_MAX];
        memcpy(name, first->topic.data, first->topic.length);
        const struct stop_replica_partition stop = {.topic = slice_make(name, first->topic.length),
                                                    .topic_id = first->topic_id,
                                                    .partition = first->partition,
                                                    .leader_epoch = first->leader_epoch,
                                                    .delete_log = true};
        remove_departed(manager, &stop);
    }
}

void replica_manager_drop_departed(struct replica_manager *manager, const struct control_topic *topic)
{
    for (size_t i = 0; i < topic->partitions_count; i++) {
        const struct control_partition *state = &topic->partitions[i];
        if (replica_manager_is_replica(manager, state) || is_needed(state, manager->broker_id) ||
            topic->name.length > KEY_MAX - 4 || state->partition < 0 || uuid_is_zero(topic->topic_id) ||
            knows_better(manager, topic, state))
            continue;
        const struct stop_replica_partition stop = {.topic = topic->name,
                                                    .topic_id = topic->topic_id,
                                                    .partition = state->partition,
                                                    .leader_epoch = state->leader_epoch,
                                                    .delete_log = true};
        remove_departed(manager, &stop);
    }
}
