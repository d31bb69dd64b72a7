/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves become fenced multis: one assignment znode a topic, with all of its partitions that begin, end, or
 * change their move; several topics to a multi, several multis on their way. Where replicas leave, the multi
 * also checks the version of the partition's state: what made it right to let them go still holds when they
 * go (I36). (A znode so large that nothing else fits into its multi goes without; states are written by
 * nobody but this controller, and not while the assignment is being written.) Where replicas are added to a
 * partition that is led, its leader epoch rises with the assignment: what is still on its way from a former
 * stay of such a replica (its fetches, proposals of it, word that it is none) is then of an older epoch.
 *
 * Where the raised states and the znode do not fit into one multi, the states go ahead in one of their own.
 * Nobody is told of them until the assignment stands, or word in the new epoch could go out that the replica
 * is none. A controller that dies between the two leaves partitions in a new epoch with the replicas they
 * had: an epoch is spent, and a move that still stands in /admin/reassign_partitions begins with another.
 * Where nobody knows what has been written, the topic is looked at before its states are (shell_look.c), for
 * the same reason.
 *
 * How much of a topic goes into one write is counted before it is written: at most what fits into the znode,
 * and so many states as fit into a multi; the rest goes on when that write has ended. What does not fit into
 * the znode waits while moves of the topic are under way, whose end makes room.
 *
 * What a request asks for waits at its partition (image_move), in memory only: a request is answered when it
 * has been written. Everything later is found in the znodes. After a lost answer or a lost race the topic is
 * looked at, and what is then still to be done is planned again (I38).
 */
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "coordinator/controller/reassign.h"
#include "coordinator/controller/shell.h"
#include "coordinator/zk/path.h"
#include "proto/kafka/error.h"

/* Partitions of a topic of which replicas leave, or to which some are added, in one write: each is an
 * operation. */
#define LEAVING_MAX 400
/* What an operation takes, at most, besides the topic's name and the data, as zk_operation_bytes counts it;
 * also the fence. */
#define CHECK_BYTES 150

/* What a topic's znode takes besides the partitions' lists, at most. */
#define TOPIC_BYTES 256

/* A state that is written with the assignment. */
struct raised_state {
    int32_t number;
    size_t operation; /* in the batch */
    int32_t version;  /* when it has been written; -1: it has not, or nobody knows */
    struct node_partition_state next;
    struct slice data; /* its znode; in the plan's arena, then in the batch's */
};

struct move_item {
    char *topic; /* by name: the topic may be gone when the answer comes */
    struct uuid topic_id;
    struct node_topic next;
    struct raised_state *raised;
    size_t raised_count;
    size_t first_operation, operation_count; /* states, the assignment, checks */
    size_t assignment_operation;
};

struct move_batch {
    struct controller *controller;
    struct arena arena;
    struct zk_operation *operations;
    size_t operation_count, operation_capacity, bytes;
    size_t ahead; /* so many operations, all of them states, go in a multi of their own, before the others */
    size_t first; /* of those in flight */
    struct move_item *items;
    size_t item_count, item_capacity;
};

/* A topic's next assignment while it is being planned. */
struct plan {
    struct node_topic next;
    int32_t *leaving; /* numbers of partitions whose states are to be checked */
    size_t leaving_count;
    struct raised_state *raised; /* of partitions to which replicas are added */
    size_t raised_count, raised_capacity;
    size_t begun, ended;
    size_t bytes;        /* of the znode, at most */
    size_t states_bytes; /* of the raised states, in a multi */
    int32_t *crowded;    /* numbers of partitions for whose moves the znode has no room */
    size_t crowded_count, crowded_capacity;
    struct arena arena;
};

static struct move_batch *batch_new(struct controller *controller)
{
    struct move_batch *batch = memory_allocate_zeroed(1, sizeof(*batch));
    batch->controller = controller;
    arena_init(&batch->arena, ARENA_NO_BUDGET);
    return batch;
}

static void raised_free(struct raised_state *raised, size_t count)
{
    for (size_t i = 0; i < count; i++)
        node_partition_state_release(&raised[i].next);
    free(raised);
}

static void batch_free(void *payload)
{
    struct move_batch *batch = payload;
    for (size_t i = 0; i < batch->item_count; i++) {
        free(batch->items[i].topic);
        raised_free(batch->items[i].raised, batch->items[i].raised_count);
        node_topic_release(&batch->items[i].next);
    }
    free(batch->items);
    free(batch->operations);
    arena_release(&batch->arena);
    free(batch);
}

/* ---- what ZooKeeper has answered ---- */

/* Which states have been written, by the answer to the multi that they were in. */
static void note_states(const struct move_batch *batch, struct move_item *item,
                        const struct zk_response *response)
{
    for (size_t i = 0; i < item->raised_count; i++) {
        struct raised_state *raised = &item->raised[i];
        if (raised->version < 0 && raised->operation >= batch->first)
            raised->version = response->outcomes[raised->operation - batch->first].stat.version.value;
    }
}

static void take_states(struct controller *controller, struct image_topic *topic,
                        const struct move_item *item)
{
    for (size_t i = 0; i < item->raised_count; i++) {
        const struct raised_state *raised = &item->raised[i];
        struct image_partition *partition = image_find_partition(topic, raised->number);
        if (partition != NULL && raised->version > partition->version)
            image_set_state(&controller->image, partition, &raised->next, raised->version);
    }
}

/* The states that went along are no longer being written; in doubt they are looked at before anything else is
 * done with them: also those that went ahead, if the assignment may have followed them. */
static void release_states(struct controller *controller, struct image_topic *topic,
                           const struct move_item *item, const struct zk_response *response)
{
    bool unclear = response->result != ZK_OK && response->culprit == ZK_NO_CULPRIT;
    for (size_t i = 0; i < item->raised_count; i++) {
        const struct raised_state *raised = &item->raised[i];
        struct image_partition *partition = image_find_partition(topic, raised->number);
        if (partition == NULL)
            continue;
        partition->busy = shell_is_looking(controller, LOOK_STATE, slice_of(topic->name), partition->number);
        image_mark_dirty(&controller->image, partition);
        if (unclear && (raised->version < 0 || response->result == ZK_UNKNOWN))
            shell_look_at_state(controller, partition);
    }
}

static void item_refused(struct controller *controller, struct image_topic *topic,
                         const struct move_batch *batch, const struct move_item *item,
                         const struct zk_response *response)
{
    struct slice name = slice_of(topic->name);
    struct zk_path_parts parts;
    if (response->culprit == ZK_NO_CULPRIT) {
        topic->assignment_unknown = topic->assignment_unknown || response->result == ZK_UNKNOWN;
        if (response->result == ZK_UNKNOWN)
            shell_look(controller, LOOK_TOPIC, name, 0);
        else
            shell_look_later(controller, LOOK_TOPIC, name, 0);
        return;
    }
    size_t culprit = batch->first + response->culprit;
    if (culprit == item->assignment_operation) {
        shell_look(controller, LOOK_TOPIC, name, 0);
    } else if (culprit >= item->first_operation && culprit < item->first_operation + item->operation_count &&
               zk_path_parse(batch->operations[culprit].path, &parts) == ZK_PATH_KIND_PARTITION_STATE) {
        struct image_partition *partition = image_find_partition(topic, parts.partition);
        if (partition != NULL)
            shell_look_at_state(controller, partition);
    }
}

static void item_written(struct controller *controller, struct image_topic *topic,
                         const struct move_batch *batch, const struct move_item *item,
                         const struct zk_response *response)
{
    int32_t version = response->outcomes[item->assignment_operation - batch->first].stat.version.value;
    if (version > topic->version)
        image_set_topic(&controller->image, topic, &item->next, version);
}

static void batch_done(struct controller *controller, void *payload, const struct zk_response *response)
{
    struct move_batch *batch = payload;
    bool refused =
        response->result == ZK_TOO_BIG || response->result == ZK_AUTH || response->result == ZK_ERROR;
    uint64_t suppressed;
    controller->moves_in_flight--;
    if (shell_met_fence(controller, response))
        return;
    if (refused && log_limiter_allow(&controller->unwritable, controller->now_ms, &suppressed))
        log_error(controller->logger, SHELL_AREA, "assignments of %zu topics, first %s, not written: %s",
                  batch->item_count, batch->items[0].topic, zk_result_name(response->result));
    for (size_t i = 0; i < batch->item_count; i++) {
        struct move_item *item = &batch->items[i];
        struct image_topic *topic = image_find_topic(&controller->image, slice_of(item->topic));
        if (topic == NULL || !uuid_equals(topic->topic_id, item->topic_id))
            continue;
        topic->assignment_busy = false;
        if (response->result == ZK_OK)
            note_states(batch, item, response);
        /* what is read is read in this order: the assignment is known before the states are */
        if (response->result == ZK_OK)
            item_written(controller, topic, batch, item, response);
        else
            item_refused(controller, topic, batch, item, response);
        release_states(controller, topic, item, response);
        if (response->result != ZK_UNKNOWN)
            take_states(controller, topic, item);
        image_mark_moving(&controller->image, topic);
    }
}

static void send_rest(struct move_batch *batch)
{
    struct controller *controller = batch->controller;
    batch->first = batch->ahead;
    zk_fenced_multi(controller->zk, controller->fence, batch->operations + batch->first,
                    batch->operation_count - batch->first,
                    shell_request(controller, false, batch_done, batch_free, batch));
}

/* A batch whose states go ahead; NULL: the rest of it is on its way. */
struct states_ahead {
    struct move_batch *batch;
};

static void ahead_free(void *payload)
{
    struct states_ahead *ahead = payload;
    if (ahead->batch != NULL)
        batch_free(ahead->batch);
    free(ahead);
}

static void ahead_done(struct controller *controller, void *payload, const struct zk_response *response)
{
    struct states_ahead *ahead = payload;
    struct move_batch *batch = ahead->batch;
    if (response->result != ZK_OK) {
        batch_done(controller, batch, response);
        return;
    }
    for (size_t i = 0; i < batch->item_count; i++)
        note_states(batch, &batch->items[i], response);
    ahead->batch = NULL;
    send_rest(batch);
}

static void send(struct move_batch *batch)
{
    struct controller *controller = batch->controller;
    controller->moves_in_flight++;
    if (batch->ahead == 0) {
        send_rest(batch);
        return;
    }
    struct states_ahead *ahead = memory_allocate(sizeof(*ahead));
    *ahead = (struct states_ahead){batch};
    zk_fenced_multi(controller->zk, controller->fence, batch->operations, batch->ahead,
                    shell_request(controller, false, ahead_done, ahead_free, ahead));
}

/* ---- planning ---- */

static void refuse_move(struct controller *controller, struct image_partition *partition, int16_t error)
{
    partition->move->error = error;
    if (!partition->move->by_node)
        return;
    /* its item is to leave the list, and nothing else may ever happen in this cluster */
    controller->reassign_node.seen = false;
    controller->work_again = true;
}

/* What was asked for is to be written now: *next is filled. False: not now, or not any more. */
static bool plan_move(struct controller *controller, struct image_partition *partition,
                      struct node_assignment *next)
{
    struct image *image = &controller->image;
    struct image_move *move = partition->move;
    bool stands = move->cancel ? !reassign_is_running(&partition->assignment)
                               : reassign_has_target(&partition->assignment, &move->target);
    if (stands) {
        image_set_move(image, partition, NULL);
        return false;
    }
    if (move->cancel)
        reassign_cancel(&partition->assignment, next);
    else
        reassign_to(&partition->assignment, &move->target, next);
    bool undecided = !partition->state_known || partition->busy || partition->dirty || partition->unsettled;
    bool waits = undecided && (reassign_drops(&partition->assignment, next) ||
                               reassign_drops(next, &partition->assignment));
    struct decide_settings settings = shell_decide_settings(controller);
    if (!waits && reassign_is_safe(image, partition, next, &settings))
        return true;
    if (!waits)
        refuse_move(controller, partition, KAFKA_INVALID_REPLICA_ASSIGNMENT);
    reassign_release(next);
    return false;
}

static bool plan_partition(struct controller *controller, struct image_partition *partition,
                           struct node_assignment *next)
{
    bool asked = partition->move != NULL && partition->move->error == KAFKA_NONE &&
                 (partition->move->by_node || !partition->owed);
    if (asked && plan_move(controller, partition, next))
        return true;
    bool ends = reassign_next(partition) == REASSIGN_ENDS;
    if (controller->options.faults.move_ends_early)
        ends = reassign_is_running(&partition->assignment) && partition->has_state && !partition->busy;
    if (ends)
        reassign_finish(&partition->assignment, next);
    return ends && next->replicas.count > 0;
}

/* Replicas are added to a partition that is led: the same state in the next leader epoch. False: the multi of
 * the states is full. */
static bool plan_state(struct controller *controller, const struct image_partition *partition,
                       struct plan *plan)
{
    struct raised_state raised = {.number = partition->number, .version = -1};
    struct buffer data;
    decide_next_epoch(partition, shell_decide_settings(controller).controller_epoch, &raised.next);
    buffer_init(&data);
    node_partition_state_encode(&raised.next, &data);
    size_t bytes = data.length + strlen(partition->topic->name) + CHECK_BYTES;
    bool fits = plan->states_bytes + bytes <= ZK_MULTI_BYTES_MAX - CHECK_BYTES;
    if (fits) {
        plan->states_bytes += bytes;
        raised.data = arena_copy_slice(&plan->arena, buffer_slice(&data));
        plan->raised =
            memory_grow(plan->raised, plan->raised_count, &plan->raised_capacity, sizeof(*plan->raised));
        plan->raised[plan->raised_count++] = raised;
    } else {
        node_partition_state_release(&raised.next);
    }
    buffer_release(&data);
    return fits;
}

/* The planned assignment has room in this write, which then takes along what belongs to it. */
static bool take_along(struct controller *controller, const struct image_partition *partition,
                       const struct node_assignment *next, struct plan *plan)
{
    const struct node_assignment *now = &partition->assignment;
    size_t before = reassign_bytes(now), after = reassign_bytes(next);
    if (after > before && plan->bytes + after - before > ZK_DATA_BYTES_MAX) {
        plan->crowded =
            memory_grow(plan->crowded, plan->crowded_count, &plan->crowded_capacity, sizeof(*plan->crowded));
        plan->crowded[plan->crowded_count++] = partition->number;
        return false;
    }
    if (plan->leaving_count + plan->raised_count >= LEAVING_MAX)
        return false;
    if (reassign_drops(next, now) && partition->has_state && partition->state.leader != NODE_NO_LEADER) {
        if (!plan_state(controller, partition, plan))
            return false;
    } else if (reassign_drops(now, next) && partition->has_state) {
        plan->leaving[plan->leaving_count++] = partition->number;
    }
    plan->bytes += after;
    plan->bytes -= before;
    plan->ended += !reassign_is_running(next);
    plan->begun += reassign_is_running(next);
    return true;
}

static void plan_topic(struct controller *controller, struct image_topic *topic, struct plan *plan)
{
    plan->leaving = memory_allocate(LEAVING_MAX * sizeof(*plan->leaving));
    arena_init(&plan->arena, ARENA_NO_BUDGET);
    node_topic_init(&plan->next);
    plan->next.has_topic_id = topic->has_id;
    plan->next.topic_id = topic->topic_id;
    plan->bytes = TOPIC_BYTES;
    for (size_t i = 0; i < topic->partition_count; i++)
        plan->bytes += reassign_bytes(&topic->partitions[i]->assignment);
    for (size_t i = 0; i < topic->partition_count; i++) {
        struct image_partition *partition = topic->partitions[i];
        const struct node_assignment *to = &partition->assignment;
        struct node_assignment next = {0};
        if (plan_partition(controller, partition, &next) && take_along(controller, partition, &next, plan))
            to = &next;
        node_topic_add_partition(&plan->next, to->replicas.ids, to->replicas.count);
        struct node_assignment *added = &plan->next.partitions[i];
        added->partition = partition->number;
        node_replicas_set(&added->adding, to->adding.ids, to->adding.count);
        node_replicas_set(&added->removing, to->removing.ids, to->removing.count);
        reassign_release(&next);
    }
}

static void plan_release(struct plan *plan)
{
    node_topic_release(&plan->next);
    raised_free(plan->raised, plan->raised_count);
    free(plan->leaving);
    free(plan->crowded);
    arena_release(&plan->arena);
}

static void refuse_pending(struct controller *controller, struct image_partition *partition)
{
    if (partition->move == NULL || partition->move->error != KAFKA_NONE)
        return;
    refuse_move(controller, partition, KAFKA_INVALID_REPLICA_ASSIGNMENT);
    image_mark_moving(&controller->image, partition->topic);
}

/* These moves do not fit into the znode, and no end of another will make room. Those that wait for something
 * else are not concerned. */
static void refuse_crowded(struct controller *controller, struct image_topic *topic, const struct plan *plan)
{
    for (size_t i = 0; i < plan->crowded_count; i++)
        refuse_pending(controller, image_find_partition(topic, plan->crowded[i]));
}

/* The znode is too large as it is: nothing of the topic can be written. */
static void refuse_all(struct controller *controller, struct image_topic *topic)
{
    for (size_t i = 0; i < topic->partition_count; i++)
        refuse_pending(controller, topic->partitions[i]);
}

/* ---- writing ---- */

static void add_operation(struct move_batch *batch, struct zk_operation operation)
{
    batch->operations = memory_grow(batch->operations, batch->operation_count, &batch->operation_capacity,
                                    sizeof(*batch->operations));
    batch->operations[batch->operation_count++] = operation;
    batch->bytes += zk_operation_bytes(&operation);
}

/* The states of an item, which takes them over. */
static void add_states(struct move_batch *batch, struct image_topic *topic, struct move_item *item,
                       struct plan *plan)
{
    item->raised = plan->raised;
    item->raised_count = plan->raised_count;
    plan->raised = NULL;
    plan->raised_count = plan->raised_capacity = 0;
    for (size_t i = 0; i < item->raised_count; i++) {
        struct raised_state *raised = &item->raised[i];
        struct image_partition *partition = image_find_partition(topic, raised->number);
        const char *path = zk_path_partition_state(&batch->arena, slice_of(topic->name), raised->number);
        raised->operation = batch->operation_count;
        raised->data = arena_copy_slice(&batch->arena, raised->data);
        add_operation(batch, zk_operation_set(path, raised->data, zk_version_make(partition->version)));
        partition->busy = true;
    }
}

/* Adds the planned znode; whatever was in the batch goes first where both do not fit. */
static struct move_batch *add_topic(struct move_batch *batch, struct image_topic *topic, struct plan *plan,
                                    struct slice data)
{
    struct controller *controller = batch->controller;
    struct slice name = slice_of(topic->name);
    size_t checks = plan->leaving_count;
    size_t states = plan->raised_count;
    /* with the operation itself, and the fence */
    size_t rest = data.length + name.length + checks * (name.length + CHECK_BYTES) + 2 * CHECK_BYTES;
    bool apart = rest + plan->states_bytes > ZK_MULTI_BYTES_MAX; /* states go ahead, the batch is its own */
    bool full = batch->operation_count + states + checks + 1 >= ZK_MULTI_OPERATIONS_MAX ||
                batch->bytes + rest + plan->states_bytes > ZK_MULTI_BYTES_MAX;
    if (rest > ZK_MULTI_BYTES_MAX)
        checks = 0;
    if (batch->item_count > 0 && full) {
        send(batch);
        batch = batch_new(controller);
    }
    batch->items = memory_grow(batch->items, batch->item_count, &batch->item_capacity, sizeof(*batch->items));
    struct move_item *item = &batch->items[batch->item_count++];
    *item = (struct move_item){.topic = memory_copy_string(topic->name),
                               .topic_id = topic->topic_id,
                               .next = plan->next,
                               .first_operation = batch->operation_count,
                               .operation_count = states + checks + 1,
                               .assignment_operation = batch->operation_count + states};
    node_topic_init(&plan->next);
    add_states(batch, topic, item, plan);
    add_operation(batch,
                  zk_operation_set(zk_path_topic(&batch->arena, name), arena_copy_slice(&batch->arena, data),
                                   zk_version_make(topic->version)));
    for (size_t i = 0; i < checks; i++) {
        const struct image_partition *partition = image_find_partition(topic, plan->leaving[i]);
        const char *path = zk_path_partition_state(&batch->arena, name, partition->number);
        add_operation(batch, zk_operation_check(path, zk_version_make(partition->version)));
    }
    topic->assignment_busy = true;
    if (!apart)
        return batch;
    batch->ahead = states;
    send(batch);
    return batch_new(controller);
}

static struct move_batch *carry_out(struct move_batch *batch, struct image_topic *topic)
{
    struct controller *controller = batch->controller;
    struct plan plan = {.begun = 0};
    struct buffer data;
    plan_topic(controller, topic, &plan);
    buffer_init(&data);
    bool changes = plan.begun + plan.ended > 0;
    if (changes)
        node_topic_encode(&plan.next, &data);
    bool fits = data.length <= ZK_DATA_BYTES_MAX;
    if (changes && fits) {
        log_info(controller->logger, SHELL_AREA, "topic %s: %zu partitions begin to move, %zu have arrived",
                 topic->name, plan.begun, plan.ended);
        batch = add_topic(batch, topic, &plan, buffer_slice(&data));
        /* the others go on when this write has ended */
    } else if (!fits) {
        refuse_all(controller, topic);
    } else if (!reassign_is_running_in(topic)) {
        refuse_crowded(controller, topic, &plan);
    }
    buffer_release(&data);
    plan_release(&plan);
    return batch;
}

void shell_reassign_settled(struct controller *controller, struct image_partition *partition)
{
    if (partition->move != NULL || reassign_is_running(&partition->assignment))
        image_mark_moving(&controller->image, partition->topic);
}

void shell_reassign_pump(struct controller *controller)
{
    shell_reassign_node_pump(controller);
    /* what an old tool asks for must not come back over what a client asks for */
    if (shell_reassign_node_is_busy(controller))
        return;
    struct move_batch *batch = batch_new(controller);
    list_for_each_safe(node, after, &controller->image.moving)
    {
        struct image_topic *topic = container_of(node, struct image_topic, moving);
        if (controller->moves_in_flight >= SHELL_WRITES_IN_FLIGHT_MAX)
            break;
        if (topic->assignment_busy || shell_is_looking(controller, LOOK_TOPIC, slice_of(topic->name), 0))
            continue;
        list_remove(&topic->moving);
        if (!topic->deleting && !shell_is_being_deleted(controller, slice_of(topic->name)))
            batch = carry_out(batch, topic);
    }
    if (batch->item_count > 0)
        send(batch);
    else
        batch_free(batch);
}
