/* SPDX-License-Identifier: Apache-2.0 */
/* The arithmetic and the rules of moves, see reassign.h. */
#include "coordinator/controller/reassign.h"

#include <stdlib.h>

#include "common/memory.h"
#include "coordinator/zk/node_json.h"
#include "proto/kafka/error.h"

bool reassign_is_running(const struct node_assignment *assignment)
{
    return assignment->adding.count > 0 || assignment->removing.count > 0;
}

bool reassign_is_running_in(const struct image_topic *topic)
{
    for (size_t i = 0; i < topic->partition_count; i++)
        if (reassign_is_running(&topic->partitions[i]->assignment))
            return true;
    return false;
}

bool reassign_stays(const struct node_assignment *assignment, int32_t broker_id)
{
    return node_replicas_contains(&assignment->replicas, broker_id) &&
           !node_replicas_contains(&assignment->removing, broker_id);
}

bool reassign_has_target(const struct node_assignment *assignment, const struct node_replicas *target)
{
    size_t at = 0;
    for (size_t i = 0; i < assignment->replicas.count; i++) {
        int32_t id = assignment->replicas.ids[i];
        if (node_replicas_contains(&assignment->removing, id))
            continue;
        if (at == target->count || target->ids[at++] != id)
            return false;
    }
    return at == target->count;
}

bool reassign_has_arrived(const struct node_assignment *assignment, const int32_t *ids, size_t count)
{
    size_t wanted = 0;
    const struct node_replicas isr = {(int32_t *)ids, count};
    for (size_t i = 0; i < assignment->replicas.count; i++) {
        int32_t id = assignment->replicas.ids[i];
        if (node_replicas_contains(&assignment->removing, id))
            continue;
        wanted++;
        if (!node_replicas_contains(&isr, id))
            return false;
    }
    return wanted > 0;
}

/* Replaces `to` by those of `from` that are not in `without`. */
static void set_difference(struct node_replicas *to, const struct node_replicas *from,
                           const struct node_replicas *without)
{
    struct node_replicas kept = {0};
    node_replicas_set(&kept, from->ids, from->count);
    kept.count = 0;
    for (size_t i = 0; i < from->count; i++)
        if (!node_replicas_contains(without, from->ids[i]))
            kept.ids[kept.count++] = from->ids[i];
    node_replicas_set(to, kept.ids, kept.count);
    node_replicas_release(&kept);
}

void reassign_to(const struct node_assignment *from, const struct node_replicas *target,
                 struct node_assignment *next)
{
    struct node_replicas origin = {0}, leaving = {0}, all = {0};
    *next = (struct node_assignment){.partition = from->partition};
    set_difference(&origin, &from->replicas, &from->adding);
    set_difference(&leaving, &origin, target);
    set_difference(&next->adding, target, &origin);
    node_replicas_set(&next->removing, leaving.ids, leaving.count);
    node_replicas_set(&all, target->ids, target->count);
    all.ids = memory_resize(all.ids, max_size(target->count + leaving.count, 1) * sizeof(*all.ids));
    for (size_t i = 0; i < leaving.count; i++)
        all.ids[all.count++] = leaving.ids[i];
    node_replicas_set(&next->replicas, all.ids, all.count);
    node_replicas_release(&all);
    node_replicas_release(&leaving);
    node_replicas_release(&origin);
}

void reassign_cancel(const struct node_assignment *from, struct node_assignment *next)
{
    *next = (struct node_assignment){.partition = from->partition};
    set_difference(&next->replicas, &from->replicas, &from->adding);
}

void reassign_finish(const struct node_assignment *from, struct node_assignment *next)
{
    *next = (struct node_assignment){.partition = from->partition};
    set_difference(&next->replicas, &from->replicas, &from->removing);
}

void reassign_release(struct node_assignment *assignment)
{
    node_replicas_release(&assignment->replicas);
    node_replicas_release(&assignment->adding);
    node_replicas_release(&assignment->removing);
}

enum reassign_step reassign_next(const struct image_partition *partition)
{
    const struct node_assignment *assignment = &partition->assignment;
    const struct node_partition_state *state = &partition->state;
    if (!reassign_is_running(assignment))
        return REASSIGN_NONE;
    if (!partition->state_known || !partition->has_state || partition->dirty || partition->unsettled ||
        partition->busy || !reassign_has_arrived(assignment, state->isr, state->isr_count) ||
        !reassign_stays(assignment, state->leader))
        return REASSIGN_WAITS;
    for (size_t i = 0; i < state->isr_count; i++)
        if (!reassign_stays(assignment, state->isr[i]))
            return REASSIGN_WAITS;
    return REASSIGN_ENDS;
}

static size_t digits(int32_t number)
{
    size_t count = 1;
    for (; number > 9; number /= 10)
        count++;
    return count;
}

/* "17":[1,2], */
static size_t list_bytes(int32_t partition, const struct node_replicas *list)
{
    size_t bytes = digits(partition) + 6;
    for (size_t i = 0; i < list->count; i++)
        bytes += digits(list->ids[i]) + 1;
    return list->count > 0 ? bytes : 0;
}

size_t reassign_bytes(const struct node_assignment *assignment)
{
    return list_bytes(assignment->partition, &assignment->replicas) +
           list_bytes(assignment->partition, &assignment->adding) +
           list_bytes(assignment->partition, &assignment->removing);
}

bool reassign_drops(const struct node_assignment *from, const struct node_assignment *next)
{
    for (size_t i = 0; i < from->replicas.count; i++)
        if (!node_replicas_contains(&next->replicas, from->replicas.ids[i]))
            return true;
    return false;
}

bool reassign_is_safe(const struct image *image, const struct image_partition *partition,
                      const struct node_assignment *next, const struct decide_settings *settings)
{
    if (!partition->has_state || !reassign_drops(&partition->assignment, next))
        return true;
    size_t good = 0, stay = 0;
    for (size_t i = 0; i < partition->state.isr_count; i++) {
        int32_t id = partition->state.isr[i];
        enum seat seat = seat_of_broker(image, partition, id, settings);
        if (seat != SEAT_KEPT && seat != SEAT_RENEWED)
            continue;
        good++;
        if (node_replicas_contains(&next->replicas, id))
            stay++;
    }
    size_t least = partition->topic->config_known ? seats_min_isr(partition, settings) : 1;
    return stay > 0 && stay >= min_size(least, min_size(good, next->replicas.count));
}

static void print_ids(struct buffer *out, const struct node_replicas *ids)
{
    for (size_t i = 0; i < ids->count; i++)
        buffer_print(out, "%s%d", i == 0 ? "[" : ", ", ids->ids[i]);
    buffer_append_string(out, ids->count == 0 ? "[]" : "]");
}

static int16_t check_target(const struct node_replicas *target, struct buffer *message)
{
    const char *problem = NULL;
    if (target->count == 0) {
        buffer_append_string(message, "Empty replica list specified in partition reassignment.");
        return KAFKA_INVALID_REPLICA_ASSIGNMENT;
    }
    for (size_t i = 0; i < target->count; i++)
        for (size_t j = 0; j < i && target->count <= REASSIGN_REPLICAS_MAX; j++)
            if (target->ids[i] == target->ids[j])
                problem = "Duplicate replica ids in partition reassignment replica list: ";
    for (size_t i = 0; problem == NULL && i < target->count; i++)
        if (target->ids[i] < 0)
            problem = "Invalid broker id in replica list: ";
    if (target->count > REASSIGN_REPLICAS_MAX)
        problem = "Too many replicas in partition reassignment replica list: ";
    if (problem == NULL)
        return KAFKA_NONE;
    buffer_append_string(message, problem);
    print_ids(message, target);
    return KAFKA_INVALID_REPLICA_ASSIGNMENT;
}

/* Replicas that the move adds must be alive when it is asked for. */
static int16_t check_adding(const struct image *image, const struct node_assignment *next,
                            struct buffer *message)
{
    bool alive = true;
    for (size_t i = 0; i < next->adding.count; i++)
        alive = alive && image_broker_epoch(image, next->adding.ids[i]) >= 0;
    if (alive && next->replicas.count <= REASSIGN_REPLICAS_MAX)
        return KAFKA_NONE;
    if (alive) {
        buffer_print(message, "Old and new replicas together are more than %d.", REASSIGN_REPLICAS_MAX);
        return KAFKA_INVALID_REPLICA_ASSIGNMENT;
    }
    buffer_append_string(message, "Replica assignment has brokers that are not alive. Replica list: ");
    print_ids(message, &next->adding);
    buffer_append_string(message, ", live broker list: ");
    for (size_t i = 0; i < image->brokers.count; i++)
        buffer_print(message, "%s%d", i == 0 ? "[" : ", ", image->brokers.members[i].broker_id);
    buffer_append_string(message, image->brokers.count == 0 ? "[]" : "]");
    return KAFKA_INVALID_REPLICA_ASSIGNMENT;
}

int16_t reassign_check(const struct image *image, const struct image_partition *partition,
                       const struct node_replicas *target, const struct decide_settings *settings,
                       struct buffer *message)
{
    static const struct node_assignment nothing = {0};
    const struct node_assignment *from = partition != NULL ? &partition->assignment : &nothing;
    struct node_assignment next = {0};
    int16_t error = target != NULL ? check_target(target, message) : KAFKA_NONE;
    if (error != KAFKA_NONE)
        return error;
    if (target != NULL) {
        reassign_to(from, target, &next);
        error = check_adding(image, &next, message);
    } else if (!reassign_is_running(from)) {
        buffer_append_string(message, "No partition reassignment is in progress.");
        error = KAFKA_NO_REASSIGNMENT_IN_PROGRESS;
    } else {
        reassign_cancel(from, &next);
    }
    if (error == KAFKA_NONE && (partition == NULL || partition->topic->deleting)) {
        buffer_append_string(message, "The partition does not exist.");
        error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    }
    if (error == KAFKA_NONE && !reassign_is_safe(image, partition, &next, settings)) {
        buffer_append_string(
            message, "Too few of the replicas that would stay are in sync (min.insync.replicas): those "
                     "that would be dropped hold the only copies.");
        error = KAFKA_INVALID_REPLICA_ASSIGNMENT;
    }
    reassign_release(&next);
    return error;
}
