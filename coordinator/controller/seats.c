/* SPDX-License-Identifier: Apache-2.0 */
/* Whose seat is good, and who stays eligible: the rules of seats.h. */
#include "coordinator/controller/seats.h"

#include <stdlib.h>

#include "common/memory.h"
#include "coordinator/controller/reassign.h"

static enum seat judge(const struct image *image, const struct image_partition *partition, int32_t broker_id,
                       int64_t seat_epoch, const struct decide_settings *settings)
{
    if (!image_can_serve(image, partition, broker_id))
        return SEAT_GONE;
    if (settings->isr_by_id || seat_epoch == image_broker_epoch(image, broker_id))
        return SEAT_KEPT;
    if (seat_epoch < 0 || image_broker_is_intact_since(image, broker_id, seat_epoch))
        return SEAT_RENEWED;
    return SEAT_BOUNCED;
}

static bool is_in_isr(const struct node_partition_state *state, int32_t broker_id)
{
    for (size_t i = 0; i < state->isr_count; i++)
        if (state->isr[i] == broker_id)
            return true;
    return false;
}

enum seat seat_of_broker(const struct image *image, const struct image_partition *partition,
                         int32_t broker_id, const struct decide_settings *settings)
{
    const struct node_partition_state *state = &partition->state;
    for (size_t i = 0; i < state->isr_count; i++)
        if (state->isr[i] == broker_id)
            return judge(image, partition, broker_id,
                         state->isr_broker_epochs != NULL ? state->isr_broker_epochs[i] : -1, settings);
    for (size_t i = 0; i < state->elr_count; i++)
        if (state->elr[i] == broker_id && node_replicas_contains(&partition->assignment.replicas, broker_id))
            return judge(image, partition, broker_id, state->elr_broker_epochs[i], settings);
    return SEAT_NONE;
}

size_t seats_min_isr(const struct image_partition *partition, const struct decide_settings *settings)
{
    size_t replicas = partition->assignment.replicas.count;
    if (!partition->topic->config_known)
        return replicas + 1;
    const char *own = node_config_get(&partition->topic->config, "min.insync.replicas");
    int64_t wanted = own != NULL ? strtoll(own, NULL, 10) : settings->min_insync_replicas;
    return wanted <= 1 ? 1 : min_size((size_t)wanted, replicas);
}

bool seats_name_stranger(const struct image_partition *partition)
{
    for (size_t i = 0; i < partition->state.elr_count; i++)
        if (!node_replicas_contains(&partition->assignment.replicas, partition->state.elr[i]))
            return true;
    return false;
}

bool seats_has_longer_log(const struct image *image, const struct image_partition *partition,
                          int32_t broker_id, int32_t other_id)
{
    const struct image_end *end = image_log_end(image, partition, broker_id);
    const struct image_end *other = image_log_end(image, partition, other_id);
    if (end == NULL || other == NULL)
        return end != NULL && other == NULL;
    return end->last_epoch > other->last_epoch ||
           (end->last_epoch == other->last_epoch && end->end_offset > other->end_offset);
}

/* Without leader the eligible stay as they are, except those that are no replicas any more. */
static void keep_replicas_eligible(const struct image_partition *partition, struct node_partition_state *next)
{
    size_t kept = 0;
    node_partition_state_set_elr(next, partition->state.elr, partition->state.elr_broker_epochs,
                                 partition->state.elr_count);
    for (size_t i = 0; i < next->elr_count; i++) {
        if (!node_replicas_contains(&partition->assignment.replicas, next->elr[i]))
            continue;
        next->elr[kept] = next->elr[i];
        next->elr_broker_epochs[kept++] = next->elr_broker_epochs[i];
    }
    next->elr_count = kept;
    if (kept == 0)
        node_partition_state_set_elr(next, NULL, NULL, 0);
}

static void add_eligible(const struct image *image, const struct image_partition *partition,
                         const struct decide_settings *settings, int32_t broker_id, int64_t epoch,
                         struct node_partition_state *next)
{
    enum seat seat = seat_of_broker(image, partition, broker_id, settings);
    if (epoch < 0 || seat == SEAT_NONE || seat == SEAT_BOUNCED || is_in_isr(next, broker_id) ||
        !node_replicas_contains(&partition->assignment.replicas, broker_id))
        return;
    /* who leaves with a move that has arrived is not needed any more */
    if (!reassign_stays(&partition->assignment, broker_id) &&
        reassign_has_arrived(&partition->assignment, next->isr, next->isr_count))
        return;
    next->elr[next->elr_count] = broker_id;
    next->elr_broker_epochs[next->elr_count++] = epoch;
}

void seats_fill_eligible(const struct image *image, const struct image_partition *partition,
                         const struct decide_settings *settings, struct node_partition_state *next)
{
    const struct node_partition_state *state = &partition->state;
    node_partition_state_set_elr(next, NULL, NULL, 0);
    if (next->leader == NODE_NO_LEADER) {
        keep_replicas_eligible(partition, next);
        return;
    }
    enum seat seat = seat_of_broker(image, partition, next->leader, settings);
    if (seat == SEAT_NONE || seat == SEAT_BOUNCED || settings->no_eligible ||
        next->isr_count >= seats_min_isr(partition, settings))
        return;
    size_t most = max_size(state->isr_count + state->elr_count, 1);
    next->elr = memory_allocate(most * sizeof(*next->elr));
    next->elr_broker_epochs = memory_allocate(most * sizeof(*next->elr_broker_epochs));
    for (size_t i = 0; i < state->isr_count; i++)
        add_eligible(image, partition, settings, state->isr[i],
                     state->isr_broker_epochs != NULL ? state->isr_broker_epochs[i] : -1, next);
    for (size_t i = 0; i < state->elr_count; i++)
        add_eligible(image, partition, settings, state->elr[i], state->elr_broker_epochs[i], next);
    if (next->elr_count == 0)
        node_partition_state_set_elr(next, NULL, NULL, 0);
}
