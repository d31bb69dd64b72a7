/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /admin/reassign_partitions, in which old tools ask for moves. Each partition in it is moved as a client
 * would ask for it, except that brokers that are down may be named: they are waited for. It leaves the list
 * when it has arrived, when it cannot be moved, and when a client asks for another target; the node goes with
 * the last one. So an old tool sees what still goes on, and a next controller takes it up (I36). What makes
 * no sense is removed with one line in the log, or the tool would wait for ever.
 *
 * A list of ten thousand items is most of a megabyte, and is neither looked through nor written for each
 * partition that arrives: the longer it is, the longer it waits, a second at most. Nothing depends on when it
 * is written but what a client asks for: that is looked at at once, and waits until the item it replaces is
 * out of the node. A list above what is written as one value waits until it is shorter; a node that tools
 * may write can be twice as large. Then only those clients wait whose own partitions are in it.
 */
#include <stdlib.h>

#include "common/memory.h"
#include "coordinator/controller/reassign.h"
#include "coordinator/controller/shell.h"
#include "coordinator/zk/path.h"
#include "proto/kafka/error.h"

bool shell_reassign_node_is_busy(const struct controller *controller)
{
    const struct reassign_node *node = &controller->reassign_node;
    return node->busy || shell_is_looking(controller, LOOK_REASSIGNMENTS, slice_of(""), 0);
}

void shell_reassign_node_clear(struct controller *controller)
{
    node_partition_list_release(&controller->reassign_node.list);
    controller->reassign_node = (struct reassign_node){0};
}

/* Of items that name the same partition the last one counts; the others would contradict it for ever. */
static void keep_last(struct reassign_node *node)
{
    struct node_partition_list last;
    struct map *seen = map_new(0);
    node_partition_list_init(&last);
    for (size_t i = node->list.count; i-- > 0;) {
        struct node_partition_item *item = &node->list.items[i];
        struct buffer key;
        buffer_init(&key);
        buffer_print(&key, "%s-%d", item->topic, item->partition);
        if (map_get(seen, buffer_slice(&key)) == NULL) {
            map_put(seen, buffer_slice(&key), item);
            node_partition_list_add(&last, slice_of(item->topic), item->partition, item->replicas.ids,
                                    item->replicas.count);
        }
        buffer_release(&key);
    }
    if (last.count < node->list.count) {
        node->rewrite = true;
        node_partition_list_release(&node->list);
        node_partition_list_init(&node->list);
        for (size_t i = last.count; i-- > 0;)
            node_partition_list_add(&node->list, slice_of(last.items[i].topic), last.items[i].partition,
                                    last.items[i].replicas.ids, last.items[i].replicas.count);
    }
    node_partition_list_release(&last);
    map_free(seen);
}

/* The node is another one: what was owed may go on, unless it is found in the list again. */
static void forget_owed(struct controller *controller)
{
    struct image *image = &controller->image;
    size_t position = 0;
    void *value;
    while (controller->reassign_node.owed && map_next(image->topics, &position, NULL, &value)) {
        struct image_topic *topic = value;
        for (size_t i = 0; i < topic->partition_count; i++) {
            struct image_partition *partition = topic->partitions[i];
            if (!partition->owed)
                continue;
            partition->owed = false;
            image_mark_moving(image, topic);
        }
    }
}

void shell_apply_reassignments(struct controller *controller, const struct zk_response *response)
{
    struct reassign_node *node = &controller->reassign_node;
    struct buffer error;
    bool known = node->there && response->result == ZK_OK &&
                 node->version.value == response->stat.version.value && node->created == response->stat.czxid;
    if (known)
        return;
    forget_owed(controller);
    shell_reassign_node_clear(controller);
    if (response->result != ZK_OK)
        return;
    buffer_init(&error);
    node->there = true;
    node->version = response->stat.version;
    node->created = response->stat.czxid;
    int result = node_reassignment_decode(response->data, &node->list, &error);
    node->rewrite = result != 0 || error.length > 0;
    if (node->rewrite)
        log_warn(controller->logger, SHELL_AREA, "%s: what is not understood is removed: %s",
                 ZK_PATH_REASSIGN_PARTITIONS, buffer_string(&error));
    keep_last(node);
    buffer_release(&error);
}

/* How long a list rests before it is looked through again: 100 items for each 10 ms. */
#define REST_ITEMS_PER_MS 10
#define REST_MS_MAX 1000
/* So many refused items are named in the log each time. */
#define REFUSED_NAMED_MAX 5

static void written(struct controller *controller, void *payload, const struct zk_response *response)
{
    (void)payload;
    controller->reassign_node.busy = false;
    if (shell_met_fence(controller, response))
        return;
    /* written, gone, changed meanwhile, or who knows: the watch is to be armed again in any case */
    controller->reassign_node.there = false;
    if (response->result == ZK_OK || response->result == ZK_BAD_VERSION || response->result == ZK_NO_NODE)
        shell_look(controller, LOOK_REASSIGNMENTS, slice_of(""), 0);
    else
        shell_look_later(controller, LOOK_REASSIGNMENTS, slice_of(""), 0);
}

static void write_node(struct controller *controller)
{
    struct reassign_node *node = &controller->reassign_node;
    struct buffer data;
    buffer_init(&data);
    node_reassignment_encode(&node->list, &data);
    if (data.length > ZK_DATA_BYTES_MAX) {
        buffer_release(&data);
        return;
    }
    struct zk_operation operation =
        node->list.count == 0
            ? zk_operation_delete(ZK_PATH_REASSIGN_PARTITIONS, node->version)
            : zk_operation_set(ZK_PATH_REASSIGN_PARTITIONS, buffer_slice(&data), node->version);
    node->busy = true;
    zk_fenced_multi(controller->zk, controller->fence, &operation, 1,
                    shell_request(controller, false, written, NULL, NULL));
    buffer_release(&data);
}

static void refuse(struct controller *controller, const struct node_partition_item *item, const char *why)
{
    if (controller->reassign_node.refused++ < REFUSED_NAMED_MAX)
        log_warn(controller->logger, SHELL_AREA, "%s: %s-%d is not moved: %s", ZK_PATH_REASSIGN_PARTITIONS,
                 item->topic, item->partition, why);
}

static void begin_move(struct controller *controller, struct image_partition *partition,
                       const struct node_replicas *target)
{
    struct image_move move = {.by_node = true};
    node_replicas_set(&move.target, target->ids, target->count);
    image_set_move(&controller->image, partition, &move);
}

/* An earlier list has asked for another target, and that is still to be written. What asks for the target
 * that stands already is forgotten without a write: nothing would say that the item is to be looked at. */
static bool moves_away(const struct image_partition *partition)
{
    const struct image_move *move = partition->move;
    return move != NULL && move->error == KAFKA_NONE &&
           !reassign_has_target(&partition->assignment, &move->target);
}

/* True: the item stays in the list. */
static bool item_goes_on(struct controller *controller, const struct node_partition_item *item)
{
    struct image_partition *partition =
        image_partition_of(&controller->image, slice_of(item->topic), item->partition);
    if (partition == NULL && shell_is_looking(controller, LOOK_TOPIC, slice_of(item->topic), 0)) {
        controller->reassign_node.seen = false; /* that there is no such topic would change nothing else */
        return true;
    }
    if (partition == NULL || partition->topic->deleting) {
        refuse(controller, item, "the partition does not exist");
        return false;
    }
    struct image_move *move = partition->move;
    if (move != NULL && !move->by_node && move->error == KAFKA_NONE) {
        partition->owed = controller->reassign_node.owed = true; /* a client has asked for something else */
        return false;
    }
    if (reassign_has_target(&partition->assignment, &item->replicas))
        return reassign_is_running(&partition->assignment) || moves_away(partition);
    struct node_assignment next;
    reassign_to(&partition->assignment, &item->replicas, &next);
    bool too_many = next.replicas.count > REASSIGN_REPLICAS_MAX;
    reassign_release(&next);
    bool refused = too_many || (move != NULL && move->by_node && move->error != KAFKA_NONE);
    if (refused) {
        image_set_move(&controller->image, partition, NULL);
        refuse(controller, item,
               too_many ? "old and new replicas are too many"
                        : "none of the replicas that would stay is in sync");
        return false;
    }
    if (move == NULL || move->error != KAFKA_NONE)
        begin_move(controller, partition, &item->replicas);
    return true;
}

/* Something may have become of what stands in the node. */
static bool has_news(const struct controller *controller)
{
    const struct reassign_node *node = &controller->reassign_node;
    return node->there && (!node->seen || node->seen_sequence != controller->image.sequence ||
                           !list_is_empty(&controller->image.moving));
}

int64_t shell_reassign_deadline(const struct controller *controller)
{
    int64_t until_ms = controller->reassign_node.rests_until_ms;
    bool rests = until_ms > controller->now_ms && has_news(controller);
    return rests && !shell_reassign_node_is_busy(controller) ? until_ms : INT64_MAX;
}

void shell_reassign_node_hurry(struct controller *controller)
{
    controller->reassign_node.seen = false;
    controller->reassign_node.rests_until_ms = 0;
}

/* Items that go on are kept; false: all of them are. */
static bool keep_going_on(struct controller *controller)
{
    struct reassign_node *node = &controller->reassign_node;
    size_t at = 0, all = node->list.count;
    node->refused = 0;
    for (size_t i = 0; i < all; i++) {
        struct node_partition_item item = node->list.items[i];
        if (item_goes_on(controller, &item)) {
            node->list.items[i] = node->list.items[at];
            node->list.items[at++] = item;
        }
    }
    while (node->list.count > at)
        node_partition_list_remove(&node->list, node->list.count - 1);
    if (node->refused > REFUSED_NAMED_MAX)
        log_warn(controller->logger, SHELL_AREA, "%s: %zu more are not moved", ZK_PATH_REASSIGN_PARTITIONS,
                 node->refused - REFUSED_NAMED_MAX);
    return at < all;
}

void shell_reassign_node_pump(struct controller *controller)
{
    struct reassign_node *node = &controller->reassign_node;
    if (shell_reassign_node_is_busy(controller) || !has_news(controller) ||
        node->rests_until_ms > controller->now_ms)
        return;
    node->seen = true;
    node->seen_sequence = controller->image.sequence;
    if (keep_going_on(controller) || node->list.count == 0)
        node->rewrite = true;
    node->rests_until_ms =
        controller->now_ms + min_i64((int64_t)node->list.count / REST_ITEMS_PER_MS, REST_MS_MAX);
    if (node->rewrite)
        write_node(controller);
}
