/* SPDX-License-Identifier: Apache-2.0 */
/* The election table and the rules of seats, as decide.h tells them. */
#include "coordinator/controller/decide.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/memory.h"

enum seat {
    SEAT_KEPT,    /* the same life */
    SEAT_RENEWED, /* another life of an intact broker, or a seat without epoch */
    SEAT_BOUNCED, /* alive again, but not known to hold what it held */
    SEAT_GONE     /* not alive, or its disk has failed */
};

static enum seat seat_of(const struct image *image, const struct image_partition *partition, size_t member,
                         const struct decide_settings *settings)
{
    const struct node_partition_state *state = &partition->state;
    int32_t broker_id = state->isr[member];
    int64_t seat_epoch = state->isr_broker_epochs != NULL ? state->isr_broker_epochs[member] : -1;
    int64_t broker_epoch = image_broker_epoch(image, broker_id);
    if (!image_can_serve(image, partition, broker_id))
        return SEAT_GONE;
    if (settings->isr_by_id || seat_epoch == broker_epoch)
        return SEAT_KEPT;
    if (seat_epoch < 0 || seat_epoch >= image_broker_intact_since(image, broker_id))
        return SEAT_RENEWED;
    return SEAT_BOUNCED;
}

bool decide_unclean_allowed(const struct image_topic *topic, const struct decide_settings *settings)
{
    const char *own = node_config_get(&topic->config, "unclean.leader.election.enable");
    if (settings->unclean_always)
        return true;
    return own != NULL ? strcmp(own, "true") == 0 : settings->unclean_by_default;
}

static void next_init(struct node_partition_state *next, const struct image_partition *partition,
                      const struct decide_settings *settings)
{
    node_partition_state_init(next);
    next->leader = NODE_NO_LEADER;
    next->controller_epoch = settings->controller_epoch;
    if (partition->has_state || partition->state_lost) {
        next->leader_epoch = partition->state.leader_epoch + !settings->keep_leader_epoch;
        next->leader_recovery = partition->state.leader_recovery;
    }
}

/* Sets the ISR to these members in their present lives. */
static void next_set_isr(struct node_partition_state *next, const struct image *image, const int32_t *ids,
                         size_t count)
{
    int64_t *epochs = memory_allocate(max_size(count, 1) * sizeof(*epochs));
    for (size_t i = 0; i < count; i++)
        epochs[i] = image_broker_epoch(image, ids[i]);
    node_partition_state_set_isr(next, ids, epochs, count);
    free(epochs);
}

static bool contains(const int32_t *ids, size_t count, int32_t id)
{
    for (size_t i = 0; i < count; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* The first replica of the assignment that is among `ids`, else the first of `ids`. */
static int32_t first_of_assignment(const struct image_partition *partition, const int32_t *ids, size_t count)
{
    const struct node_replicas *replicas = &partition->assignment.replicas;
    for (size_t i = 0; i < replicas->count; i++)
        if (contains(ids, count, replicas->ids[i]))
            return replicas->ids[i];
    CHECK(count > 0);
    return ids[0];
}

/* Who is to lead: the present leader if it is among `ids`, else the first of the assignment; but first of
 * all one whose disk has room, where there is one. */
static int32_t choose_leader(const struct image *image, const struct image_partition *partition,
                             const int32_t *ids, size_t count)
{
    int32_t *roomy = memory_allocate(max_size(count, 1) * sizeof(*roomy));
    size_t roomy_count = 0;
    for (size_t i = 0; i < count; i++)
        if (image_replica_disk(image, partition, ids[i]) == REPLICA_DISK_SERVES)
            roomy[roomy_count++] = ids[i];
    const int32_t *from = roomy_count > 0 ? roomy : ids;
    size_t from_count = roomy_count > 0 ? roomy_count : count;
    int32_t present = partition->state.leader;
    int32_t leader = present != NODE_NO_LEADER && contains(from, from_count, present)
                         ? present
                         : first_of_assignment(partition, from, from_count);
    free(roomy);
    return leader;
}

/* Takes out brokers that are shutting down, unless nobody else is in the list. Keeps the order. */
static size_t prefer_staying(const struct image *image, int32_t *ids, size_t count)
{
    size_t staying = 0;
    for (size_t i = 0; i < count; i++)
        staying += !image_is_shutting_down(image, ids[i]);
    if (staying == 0 || staying == count)
        return count;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (!image_is_shutting_down(image, ids[i]))
            ids[kept++] = ids[i];
    return kept;
}

static enum decision decide_new(const struct image *image, const struct image_partition *partition,
                                const struct decide_settings *settings, struct node_partition_state *next)
{
    const struct node_replicas *replicas = &partition->assignment.replicas;
    int32_t *live = memory_allocate(max_size(replicas->count, 1) * sizeof(*live));
    size_t count = 0;
    for (size_t i = 0; i < replicas->count; i++)
        if (image_can_serve(image, partition, replicas->ids[i]))
            live[count++] = replicas->ids[i];
    count = prefer_staying(image, live, count);
    if (count > 0) {
        next_init(next, partition, settings);
        next_set_isr(next, image, live, count);
        next->leader = live[0];
    }
    free(live);
    return count > 0 ? DECISION_CREATE : DECISION_NOTHING;
}

/* Some members keep their seats. */
static enum decision decide_with_members(const struct image *image, const struct image_partition *partition,
                                         const struct decide_settings *settings, int32_t *members,
                                         size_t count, bool renewed, struct node_partition_state *next)
{
    const struct node_partition_state *state = &partition->state;
    count = prefer_staying(image, members, count);
    int32_t leader = choose_leader(image, partition, members, count);
    if (leader == state->leader && !renewed && count == state->isr_count)
        return DECISION_NOTHING;
    next_init(next, partition, settings);
    next_set_isr(next, image, members, count);
    next->leader = leader;
    return DECISION_SET;
}

/* Nobody keeps a seat: a former member that is back, or an unclean election, or no leader. */
static enum decision decide_without_members(const struct image *image,
                                            const struct image_partition *partition,
                                            const struct decide_settings *settings, int32_t *bounced,
                                            size_t bounced_count, struct node_partition_state *next,
                                            bool *unclean)
{
    const struct node_partition_state *state = &partition->state;
    const struct node_replicas *replicas = &partition->assignment.replicas;
    int32_t leader = NODE_NO_LEADER;
    bounced_count = prefer_staying(image, bounced, bounced_count);
    if (bounced_count > 0)
        leader = first_of_assignment(partition, bounced, bounced_count);
    for (size_t i = 0; leader == NODE_NO_LEADER && i < replicas->count &&
                       decide_unclean_allowed(partition->topic, settings);
         i++) {
        if (image_can_serve(image, partition, replicas->ids[i])) {
            leader = replicas->ids[i];
            *unclean = true;
        }
    }
    if (leader == NODE_NO_LEADER && state->leader == NODE_NO_LEADER)
        return DECISION_NOTHING;
    next_init(next, partition, settings);
    next->leader = leader;
    if (*unclean)
        next->leader_recovery = NODE_LEADER_RECOVERING;
    if (leader != NODE_NO_LEADER)
        next_set_isr(next, image, &leader, 1);
    else
        node_partition_state_set_isr(next, state->isr, state->isr_broker_epochs, state->isr_count);
    return DECISION_SET;
}

/* Somebody has removed the znode: it is made again from what was last known, in a new leader epoch, or
 * replicas would take the election for one of the past. */
static enum decision decide_lost(const struct image_partition *partition,
                                 const struct decide_settings *settings, enum decision decision,
                                 struct node_partition_state *next)
{
    const struct node_partition_state *state = &partition->state;
    if (decision == DECISION_NOTHING) {
        next_init(next, partition, settings);
        next->leader = state->leader;
        node_partition_state_set_isr(next, state->isr, state->isr_broker_epochs, state->isr_count);
    }
    return DECISION_CREATE;
}

enum decision decide_partition(const struct image *image, const struct image_partition *partition,
                               const struct decide_settings *settings, struct node_partition_state *next,
                               bool *unclean)
{
    *unclean = false;
    if (!partition->state_known || partition->topic->deleting)
        return DECISION_NOTHING;
    if (!partition->has_state && !partition->state_lost)
        return decide_new(image, partition, settings, next);
    const struct node_partition_state *state = &partition->state;
    int32_t *members = memory_allocate(max_size(state->isr_count, 1) * sizeof(*members));
    int32_t *bounced = memory_allocate(max_size(state->isr_count, 1) * sizeof(*bounced));
    size_t member_count = 0, bounced_count = 0;
    bool renewed = false;
    for (size_t i = 0; i < state->isr_count; i++) {
        enum seat seat = seat_of(image, partition, i, settings);
        if (seat == SEAT_KEPT || seat == SEAT_RENEWED)
            members[member_count++] = state->isr[i];
        else if (seat == SEAT_BOUNCED)
            bounced[bounced_count++] = state->isr[i];
        renewed = renewed || seat == SEAT_RENEWED;
    }
    enum decision decision =
        member_count > 0
            ? decide_with_members(image, partition, settings, members, member_count, renewed, next)
            : decide_without_members(image, partition, settings, bounced, bounced_count, next, unclean);
    free(members);
    free(bounced);
    return partition->state_lost ? decide_lost(partition, settings, decision, next) : decision;
}
