/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of AlterPartition, see isr_change.h. */
#include "coordinator/controller/isr_change.h"

#include <stdlib.h>

#include "common/memory.h"
#include "coordinator/controller/reassign.h"
#include "proto/kafka/error.h"

int16_t isr_change_check_sender(const struct image *image, int32_t broker_id, int64_t broker_epoch)
{
    int64_t registered = image_broker_epoch(image, broker_id);
    return registered >= 0 && registered == broker_epoch ? KAFKA_NONE : KAFKA_STALE_BROKER_EPOCH;
}

/* The epoch of the seat that a broker has; -2: none. */
static int64_t seat_epoch(const struct node_partition_state *state, int32_t broker_id)
{
    for (size_t i = 0; i < state->isr_count; i++)
        if (state->isr[i] == broker_id)
            return state->isr_broker_epochs != NULL ? state->isr_broker_epochs[i] : -1;
    return -2;
}

static bool is_current(const struct node_partition_state *state, const struct alter_partition_item *item,
                       bool by_id)
{
    if (state->isr_count != item->isr_count || item->recovering != (state->leader_recovery != 0))
        return false;
    /* as many as there are seats, and each seat among them */
    for (size_t seat = 0; seat < state->isr_count; seat++) {
        bool found = false;
        for (size_t i = 0; i < item->isr_count && !found; i++)
            found = item->isr[i].broker_id == state->isr[seat] &&
                    (by_id || item->isr[i].broker_epoch == seat_epoch(state, state->isr[seat]));
        if (!found)
            return false;
    }
    return true;
}

/* Members that make sense: some, no duplicates, the leader among them. */
static bool is_well_formed(const struct image_partition *partition, const struct alter_partition_item *item)
{
    bool has_leader = false;
    for (size_t i = 0; i < item->isr_count; i++) {
        int32_t broker_id = item->isr[i].broker_id;
        for (size_t j = 0; j < i; j++)
            if (item->isr[j].broker_id == broker_id)
                return false;
        has_leader = has_leader || broker_id == partition->state.leader;
    }
    return has_leader;
}

/* A member must be a replica, alive in the life that the leader has heard, and staying, unless it sits there
 * already. */
static bool is_eligible(const struct image *image, const struct image_partition *partition,
                        const struct isr_member *member, bool by_id)
{
    int64_t registered = image_broker_epoch(image, member->broker_id);
    const struct node_partition_state *state = &partition->state;
    if (!node_replicas_contains(&partition->assignment.replicas, member->broker_id))
        return false;
    /* it has been taken out, since the target of a move has arrived, and must not come back before the end */
    if (!reassign_stays(&partition->assignment, member->broker_id) &&
        seat_epoch(state, member->broker_id) == -2 &&
        reassign_has_arrived(&partition->assignment, state->isr, state->isr_count))
        return false;
    if (!image_can_serve(image, partition, member->broker_id))
        return false;
    if (!by_id && registered != member->broker_epoch)
        return false;
    return !image_is_shutting_down(image, member->broker_id) ||
           seat_epoch(&partition->state, member->broker_id) == registered;
}

static int16_t check_epochs(const struct image_partition *partition, int32_t sender,
                            const struct alter_partition_item *item)
{
    const struct node_partition_state *state = &partition->state;
    if (item->leader_epoch > state->leader_epoch || item->partition_epoch > partition->version)
        return KAFKA_NOT_CONTROLLER;
    if (item->leader_epoch < state->leader_epoch)
        return KAFKA_FENCED_LEADER_EPOCH;
    return sender == state->leader ? KAFKA_NONE : KAFKA_INVALID_REQUEST;
}

static void fill_next(const struct image *image, const struct image_partition *partition,
                      const struct alter_partition_item *item, const struct decide_settings *settings,
                      struct node_partition_state *next)
{
    int32_t *ids = memory_allocate(item->isr_count * sizeof(*ids));
    int64_t *epochs = memory_allocate(item->isr_count * sizeof(*epochs));
    for (size_t i = 0; i < item->isr_count; i++) {
        ids[i] = item->isr[i].broker_id;
        epochs[i] = image_broker_epoch(image, ids[i]);
    }
    node_partition_state_init(next);
    next->leader = partition->state.leader;
    next->leader_epoch = partition->state.leader_epoch;
    next->controller_epoch = settings->controller_epoch;
    next->leader_recovery = item->recovering ? NODE_LEADER_RECOVERING : NODE_LEADER_RECOVERED;
    node_partition_state_set_isr(next, ids, epochs, item->isr_count);
    seats_fill_eligible(image, partition, settings, next);
    free(ids);
    free(epochs);
}

int16_t isr_change_check(const struct image *image, int32_t sender, const struct alter_partition_item *item,
                         const struct decide_settings *settings, bool *write,
                         struct node_partition_state *next)
{
    *write = false;
    const struct image_topic *topic = image_find_topic(image, item->topic);
    bool names_id = !uuid_is_zero(item->topic_id);
    if (names_id && (topic == NULL || !topic->has_id || !uuid_equals(topic->topic_id, item->topic_id)))
        return KAFKA_UNKNOWN_TOPIC_ID;
    const struct image_partition *partition =
        topic != NULL && !topic->deleting ? image_find_partition(topic, item->partition) : NULL;
    if (partition == NULL || !partition->has_state || !partition->state_known)
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    int16_t error = check_epochs(partition, sender, item);
    if (error != KAFKA_NONE)
        return error;
    const struct node_partition_state *state = &partition->state;
    bool current = is_current(state, item, settings->isr_by_id);
    if (current && item->partition_epoch == partition->version) {
        /* A barrier: see the header. */
        node_partition_state_copy(next, state);
        next->controller_epoch = settings->controller_epoch;
        *write = true;
        return KAFKA_NONE;
    }
    if (current)
        return KAFKA_NONE;
    if (item->partition_epoch < partition->version)
        return KAFKA_INVALID_UPDATE_VERSION;
    if (item->recovering && (item->isr_count > 1 || state->leader_recovery == NODE_LEADER_RECOVERED))
        return KAFKA_INVALID_REQUEST;
    if (!is_well_formed(partition, item))
        return KAFKA_INVALID_REQUEST;
    for (size_t i = 0; i < item->isr_count; i++)
        if (!is_eligible(image, partition, &item->isr[i], settings->isr_by_id))
            return KAFKA_INELIGIBLE_REPLICA;
    fill_next(image, partition, item, settings, next);
    *write = true;
    return KAFKA_NONE;
}
