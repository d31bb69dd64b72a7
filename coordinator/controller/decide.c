/* SPDX-License-Identifier: Apache-2.0 */
/* The election table and the rules of seats, as decide.h tells them. */
#include "coordinator/controller/decide.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/memory.h"
#include "coordinator/controller/reassign.h"

/* Who is what, of the ISR and of the eligible replicas. */
struct seating {
    int32_t *members;  /* of the ISR, with a good seat */
    int32_t *eligible; /* likewise of the others */
    int32_t *bounced;  /* of both */
    size_t member_count, eligible_count, bounced_count;
    size_t gone; /* of both */
    bool renewed;
    bool strangers; /* there are members, and none of them is a replica */
};

static void seating_init(struct seating *seating, const struct image *image,
                         const struct image_partition *partition, const struct decide_settings *settings)
{
    const struct node_partition_state *state = &partition->state;
    size_t most = state->isr_count + state->elr_count;
    *seating = (struct seating){.members = memory_allocate(max_size(most, 1) * sizeof(int32_t)),
                                .eligible = memory_allocate(max_size(most, 1) * sizeof(int32_t)),
                                .bounced = memory_allocate(max_size(most, 1) * sizeof(int32_t))};
    for (size_t i = 0; i < most; i++) {
        bool in_isr = i < state->isr_count;
        int32_t id = in_isr ? state->isr[i] : state->elr[i - state->isr_count];
        enum seat seat = seat_of_broker(image, partition, id, settings);
        if (seat == SEAT_BOUNCED)
            seating->bounced[seating->bounced_count++] = id;
        else if (seat == SEAT_GONE)
            seating->gone++;
        else if (seat != SEAT_NONE && in_isr)
            seating->members[seating->member_count++] = id;
        else if (seat != SEAT_NONE)
            seating->eligible[seating->eligible_count++] = id;
        seating->renewed = seating->renewed || (in_isr && seat == SEAT_RENEWED);
    }
}

/* Those that are not shutting down, in their order; `to` may be `ids`. How many they are. */
static size_t copy_staying(const struct image *image, const int32_t *ids, size_t count, int32_t *to)
{
    size_t staying = 0;
    for (size_t i = 0; i < count; i++)
        if (!image_is_shutting_down(image, ids[i]))
            to[staying++] = ids[i];
    return staying;
}

/*
 * Of a partition that is being moved, those that are to leave keep their seats until the whole target has
 * good ones, on brokers that stay; from then on only the target does. Nobody sits who is no replica, unless
 * nobody else does; and such a stranger does not lead (it takes no orders) as long as a replica may come back
 * into its seat.
 */
static void seating_keep_assigned(struct seating *seating, const struct image *image,
                                  const struct image_partition *partition)
{
    const struct node_assignment *assignment = &partition->assignment;
    int32_t *ids = memory_allocate(max_size(seating->member_count, 1) * sizeof(*ids));
    size_t kept = 0, staying = copy_staying(image, seating->members, seating->member_count, ids);
    bool arrived = reassign_is_running(assignment) && reassign_has_arrived(assignment, ids, staying);
    for (size_t i = 0; i < seating->member_count; i++)
        if (arrived ? reassign_stays(assignment, seating->members[i])
                    : node_replicas_contains(&assignment->replicas, seating->members[i]))
            ids[kept++] = seating->members[i];
    if (kept > 0) {
        memcpy(seating->members, ids, kept * sizeof(*ids));
        seating->member_count = kept;
    }
    seating->strangers = kept == 0 && seating->member_count > 0;
    free(ids);
}

static void seating_release(struct seating *seating)
{
    free(seating->members);
    free(seating->eligible);
    free(seating->bounced);
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
    for (size_t i = 0; i < count; i++)
        if (!image_is_shutting_down(image, ids[i]))
            return copy_staying(image, ids, count, ids);
    return count;
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
                                         const struct decide_settings *settings, struct seating *seating,
                                         struct node_partition_state *next)
{
    const struct node_partition_state *state = &partition->state;
    size_t count = prefer_staying(image, seating->members, seating->member_count);
    int32_t leader = choose_leader(image, partition, seating->members, count);
    /* min.insync.replicas was lowered: see seats.h */
    bool enough = state->elr_count > 0 && count >= seats_min_isr(partition, settings);
    if (leader == state->leader && !seating->renewed && count == state->isr_count && !enough &&
        !seats_name_stranger(partition))
        return DECISION_NOTHING;
    next_init(next, partition, settings);
    next_set_isr(next, image, seating->members, count);
    next->leader = leader;
    seats_fill_eligible(image, partition, settings, next);
    return DECISION_SET;
}

/* The leader alone is the ISR; NODE_NO_LEADER: the ISR stays. */
static enum decision decide_alone(const struct image *image, const struct image_partition *partition,
                                  const struct decide_settings *settings, int32_t leader, bool unclean,
                                  struct node_partition_state *next)
{
    const struct node_partition_state *state = &partition->state;
    if (leader == NODE_NO_LEADER && state->leader == NODE_NO_LEADER && !seats_name_stranger(partition))
        return DECISION_NOTHING;
    next_init(next, partition, settings);
    next->leader = leader;
    if (unclean)
        next->leader_recovery = NODE_LEADER_RECOVERING;
    if (leader != NODE_NO_LEADER)
        next_set_isr(next, image, &leader, 1);
    else
        node_partition_state_set_isr(next, state->isr, state->isr_broker_epochs, state->isr_count);
    seats_fill_eligible(image, partition, settings, next);
    return DECISION_SET;
}

/* Members before others, then the longest log of those that are known, then the order of the assignment. */
static int32_t choose_unclean(const struct image *image, const struct image_partition *partition,
                              const struct seating *seating)
{
    const struct node_replicas *replicas = &partition->assignment.replicas;
    int32_t leader = NODE_NO_LEADER;
    bool is_member = false;
    for (size_t i = 0; i < replicas->count; i++) {
        int32_t id = replicas->ids[i];
        bool member = contains(seating->bounced, seating->bounced_count, id);
        if (!image_can_serve(image, partition, id))
            continue;
        if (leader == NODE_NO_LEADER || (member && !is_member) ||
            (member == is_member && seats_has_longer_log(image, partition, id, leader))) {
            leader = id;
            is_member = member;
        }
    }
    return !is_member && seating->bounced_count > 0 ? seating->bounced[0] : leader;
}

/* All are here and in doubt: who has most, when each has said what it has, or, with any_answer, of those that
 * have; else NODE_NO_LEADER. */
static int32_t choose_longest(const struct image *image, const struct image_partition *partition,
                              const struct seating *seating, bool any_answer)
{
    int32_t longest = NODE_NO_LEADER;
    if (seating->bounced_count == 1)
        return seating->bounced[0];
    for (size_t i = 0; i < seating->bounced_count; i++) {
        const struct image_end *end = image_log_end(image, partition, seating->bounced[i]);
        if (end == NULL && !any_answer &&
            node_replicas_contains(&partition->assignment.replicas, seating->bounced[i]))
            return NODE_NO_LEADER;
        if (end != NULL && (longest == NODE_NO_LEADER ||
                            seats_has_longer_log(image, partition, seating->bounced[i], longest)))
            longest = seating->bounced[i];
    }
    return longest;
}

/* Somebody in the ISR or eligible is a replica. */
static bool has_seated_replica(const struct image_partition *partition)
{
    const struct node_partition_state *state = &partition->state;
    const struct node_replicas *replicas = &partition->assignment.replicas;
    for (size_t i = 0; i < state->isr_count + state->elr_count; i++)
        if (node_replicas_contains(replicas,
                                   i < state->isr_count ? state->isr[i] : state->elr[i - state->isr_count]))
            return true;
    return false;
}

/* No replica in the ISR keeps a seat. */
static enum decision decide_without_members(const struct image *image,
                                            const struct image_partition *partition,
                                            const struct decide_settings *settings, struct seating *seating,
                                            struct node_partition_state *next, bool *unclean)
{
    int32_t leader = NODE_NO_LEADER;
    if (seating->eligible_count > 0) {
        size_t count = prefer_staying(image, seating->eligible, seating->eligible_count);
        leader = choose_leader(image, partition, seating->eligible, count);
    } else if (seating->gone == 0 && seating->bounced_count > 0 && !seating->strangers) {
        leader = choose_longest(image, partition, seating, false);
        if (leader == NODE_NO_LEADER && decide_unclean_allowed(partition->topic, settings)) {
            leader = choose_longest(image, partition, seating, true);
            *unclean = leader != NODE_NO_LEADER;
        }
    } else if (decide_unclean_allowed(partition->topic, settings)) {
        leader = choose_unclean(image, partition, seating);
        *unclean = leader != NODE_NO_LEADER;
    }
    return decide_alone(image, partition, settings, leader, *unclean, next);
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
        node_partition_state_set_elr(next, state->elr, state->elr_broker_epochs, state->elr_count);
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
    struct seating seating;
    seating_init(&seating, image, partition, settings);
    seating_keep_assigned(&seating, image, partition);
    bool led_by_member = seating.member_count > 0 && !(seating.strangers && has_seated_replica(partition));
    enum decision decision =
        led_by_member ? decide_with_members(image, partition, settings, &seating, next)
                      : decide_without_members(image, partition, settings, &seating, next, unclean);
    seating_release(&seating);
    return partition->state_lost ? decide_lost(partition, settings, decision, next) : decision;
}

void decide_next_epoch(const struct image_partition *partition, int32_t controller_epoch,
                       struct node_partition_state *next)
{
    node_partition_state_copy(next, &partition->state);
    next->leader_epoch++;
    next->controller_epoch = controller_epoch;
}

void decide_print_awaited(const struct image *image, const struct image_partition *partition,
                          const struct decide_settings *settings, struct buffer *out)
{
    const struct node_partition_state *state = &partition->state;
    const char *separator = "";
    for (size_t i = 0; i < state->isr_count + state->elr_count; i++) {
        int32_t id = i < state->isr_count ? state->isr[i] : state->elr[i - state->isr_count];
        if (seat_of_broker(image, partition, id, settings) != SEAT_GONE)
            continue;
        buffer_print(out, "%s%d", separator, id);
        separator = ", ";
    }
}
