/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partition states go to ZooKeeper: decisions and accepted ISR changes, hundreds to a fenced multi, several
 * multis on their way at once. Each state is written over the version that was known, or created; so a write
 * whose answer was lost is never repeated blindly: the state is looked at, and if it is what was meant, the
 * look finds nothing to do (I38). After a failure the culprit is looked at and the others are decided again.
 */
#include <stdlib.h>

#include "common/memory.h"
#include "coordinator/controller/shell.h"
#include "coordinator/zk/path.h"
#include "proto/kafka/error.h"

struct write_item {
    char *topic; /* by name: the topic may be gone when the answer comes */
    struct uuid topic_id;
    int32_t number;
    enum write_kind kind;
    bool unclean;
    bool urgent;
    struct node_partition_state next;
    size_t first_operation, operation_count;
};

/* What is being collected, then what is in flight: one multi. */
struct write_batch {
    struct controller *controller;
    struct arena arena; /* paths and data */
    struct zk_operation *operations;
    size_t operation_count, operation_capacity;
    struct write_item *items;
    size_t item_count, item_capacity;
    size_t urgent_count;
};

/* Of how many partitions of a batch the log names each. */
#define NAMED_MAX 20
/* Of how many that had no leader when this controller took office. */
#define NAMED_AT_START_MAX 10

struct write_batch *shell_batch_new(struct controller *controller)
{
    struct write_batch *batch = memory_allocate_zeroed(1, sizeof(*batch));
    batch->controller = controller;
    arena_init(&batch->arena, ARENA_NO_BUDGET);
    return batch;
}

static void batch_free(void *payload)
{
    struct write_batch *batch = payload;
    for (size_t i = 0; i < batch->item_count; i++) {
        free(batch->items[i].topic);
        node_partition_state_release(&batch->items[i].next);
    }
    free(batch->items);
    free(batch->operations);
    arena_release(&batch->arena);
    free(batch);
}

/* The partition of an item, if it is still the one that was meant. */
static struct image_partition *partition_of(struct controller *controller, const struct write_item *item)
{
    struct image_topic *topic = image_find_topic(&controller->image, slice_of(item->topic));
    if (topic == NULL || !uuid_equals(topic->topic_id, item->topic_id))
        return NULL;
    return image_find_partition(topic, item->number);
}

/* No write is in flight any more. */
static void write_ended(struct controller *controller, struct image_partition *partition)
{
    partition->busy =
        shell_is_looking(controller, LOOK_STATE, slice_of(partition->topic->name), partition->number);
    image_mark_dirty(&controller->image, partition);
}

/* What an operator has to know: nobody leads, and who would have to come back; or that records may be gone.
 */
static void tell_trouble(struct controller *controller, const struct write_item *item,
                         const struct image_partition *partition, size_t *named)
{
    struct decide_settings settings = shell_decide_settings(controller);
    if (item->next.leader == NODE_NO_LEADER && (*named)++ < NAMED_MAX) {
        struct buffer awaited;
        buffer_init(&awaited);
        decide_print_awaited(&controller->image, partition, &settings, &awaited);
        if (awaited.length > 0)
            log_error(controller->logger, SHELL_AREA,
                      "%s-%d has no leader: it waits for broker %s, which may hold records that nobody else "
                      "has; bring it back, or, if its disk is lost, run an unclean leader election",
                      item->topic, item->number, buffer_string(&awaited));
        else
            log_warn(controller->logger, SHELL_AREA,
                     "%s-%d has no leader: all its in-sync replicas have come back from an unclean stop; "
                     "asking who has the longest log",
                     item->topic, item->number);
        buffer_release(&awaited);
    } else if (item->next.leader != NODE_NO_LEADER && *named < NAMED_MAX &&
               seat_of_broker(&controller->image, partition, item->next.leader, &settings) == SEAT_BOUNCED) {
        log_error(controller->logger, SHELL_AREA,
                  "%s-%d: broker %d leads, with the longest log of those left; all in-sync replicas had "
                  "stopped uncleanly, and records acknowledged shortly before may be lost",
                  item->topic, item->number, item->next.leader);
    }
}

static void count_change(struct controller *controller, const struct write_item *item,
                         const struct image_partition *partition, size_t *named)
{
    if (partition->has_state && partition->state.leader == item->next.leader)
        return;
    controller->gauges.leader_changes += partition->has_state;
    controller->gauges.unclean_elections += item->unclean;
    if (!item->unclean)
        tell_trouble(controller, item, partition, named);
    if (item->unclean)
        log_error(
            controller->logger, SHELL_AREA,
            "unclean election: broker %d leads %s-%d without having been in the ISR; records may be lost",
            item->next.leader, item->topic, item->number);
    else if (item->next.leader != NODE_NO_LEADER && (*named)++ < NAMED_MAX)
        log_info(controller->logger, SHELL_AREA, "%s-%d: leader %d, epoch %d", item->topic, item->number,
                 item->next.leader, item->next.leader_epoch);
}

static void written(struct controller *controller, struct write_batch *batch,
                    const struct zk_response *response)
{
    size_t named = 0;
    shell_progress_note(controller, batch->item_count, batch->urgent_count);
    for (size_t i = 0; i < batch->item_count; i++) {
        const struct write_item *item = &batch->items[i];
        struct image_partition *partition = partition_of(controller, item);
        if (partition == NULL)
            continue;
        size_t last = item->first_operation + item->operation_count - 1;
        int32_t version = item->kind == WRITE_CREATE ? 0 : response->outcomes[last].stat.version.value;
        count_change(controller, item, partition, &named);
        image_set_state(&controller->image, partition, &item->next, version);
        write_ended(controller, partition);
    }
    if (named > NAMED_MAX)
        log_info(controller->logger, SHELL_AREA, "and %zu more partitions", named - NAMED_MAX);
}

/* Nothing of a refused multi has been made; but a node that was there already is there. */
static void learn_parents(struct image_partition *partition, const struct write_batch *batch,
                          const struct write_item *item, const struct zk_response *response)
{
    for (size_t i = 0; i + 1 < item->operation_count; i++) {
        size_t at = item->first_operation + i;
        bool exists = response->result == ZK_NODE_EXISTS && response->culprit == at;
        struct zk_path_parts parts;
        if (zk_path_parse(batch->operations[at].path, &parts) == ZK_PATH_KIND_TOPIC_PARTITIONS)
            partition->topic->partitions_node_exists = exists;
        else
            partition->node_exists = exists;
    }
}

/* The faults that take a failed write for a done one, or doubt for a verdict. */
static bool misjudges(struct controller *controller, struct image_partition *partition,
                      const struct write_item *item, const struct zk_response *response)
{
    if (controller->options.faults.refuse_unknown && response->result == ZK_UNKNOWN)
        shell_alters_fail(controller, partition, KAFKA_INELIGIBLE_REPLICA);
    if (!controller->options.faults.forget_writes)
        return false;
    image_set_state(&controller->image, partition, &item->next, partition->version + 1);
    return true;
}

static void item_failed(struct controller *controller, struct image_partition *partition,
                        const struct write_item *item, const struct zk_response *response)
{
    size_t last = item->first_operation + item->operation_count - 1;
    if (response->result == ZK_NODE_EXISTS && response->culprit < last)
        return; /* a parent is there; decided again, it is left out */
    if (misjudges(controller, partition, item, response))
        return;
    if (response->result == ZK_NO_NODE) {
        partition->node_exists = false;
        partition->topic->partitions_node_exists = false;
        shell_look(controller, LOOK_TOPIC, slice_of(item->topic), 0);
    }
    shell_look_at_state(controller, partition);
}

static void not_written(struct controller *controller, struct write_batch *batch,
                        const struct zk_response *response)
{
    bool unclear = response->culprit == ZK_NO_CULPRIT;
    bool refused =
        response->result == ZK_TOO_BIG || response->result == ZK_AUTH || response->result == ZK_ERROR;
    uint64_t suppressed;
    if (refused && log_limiter_allow(&controller->unwritable, controller->now_ms, &suppressed))
        log_error(controller->logger, SHELL_AREA, "states of %zu partitions, first %s-%d, not written: %s",
                  batch->item_count, batch->items[0].topic, batch->items[0].number,
                  zk_result_name(response->result));
    for (size_t i = 0; i < batch->item_count; i++) {
        const struct write_item *item = &batch->items[i];
        struct image_partition *partition = partition_of(controller, item);
        if (partition == NULL)
            continue;
        write_ended(controller, partition);
        bool culprit = !unclear && response->culprit >= item->first_operation &&
                       response->culprit < item->first_operation + item->operation_count;
        learn_parents(partition, batch, item, response);
        if (culprit || unclear)
            item_failed(controller, partition, item, response);
        if (refused && (culprit || unclear))
            shell_look_later(controller, LOOK_STATE, slice_of(item->topic), item->number);
    }
}

static void batch_done(struct controller *controller, void *payload, const struct zk_response *response)
{
    struct write_batch *batch = payload;
    controller->writes_in_flight--;
    controller->urgent_writes_in_flight -= batch->urgent_count;
    if (shell_met_fence(controller, response))
        return;
    if (response->result == ZK_OK)
        written(controller, batch, response);
    else
        not_written(controller, batch, response);
}

static void send(struct write_batch *batch)
{
    struct controller *controller = batch->controller;
    struct zk_completion done = shell_request(controller, false, batch_done, batch_free, batch);
    controller->writes_in_flight++;
    for (size_t i = 0; i < batch->item_count; i++)
        batch->urgent_count += batch->items[i].urgent;
    controller->urgent_writes_in_flight += batch->urgent_count;
    if (controller->options.faults.unfenced_writes)
        zk_multi(controller->zk, batch->operations, batch->operation_count, done);
    else
        zk_fenced_multi(controller->zk, controller->fence, batch->operations, batch->operation_count, done);
}

static void add_operation(struct write_batch *batch, struct zk_operation operation)
{
    batch->operations = memory_grow(batch->operations, batch->operation_count, &batch->operation_capacity,
                                    sizeof(*batch->operations));
    batch->operations[batch->operation_count++] = operation;
}

static void add_creations(struct write_batch *batch, struct image_partition *partition)
{
    struct slice name = slice_of(partition->topic->name);
    if (!partition->topic->partitions_node_exists) {
        add_operation(batch, zk_operation_create(zk_path_topic_partitions(&batch->arena, name),
                                                 slice_of(NULL), ZK_PERSISTENT));
        partition->topic->partitions_node_exists = true;
    }
    if (!partition->node_exists) {
        add_operation(batch, zk_operation_create(zk_path_partition(&batch->arena, name, partition->number),
                                                 slice_of(NULL), ZK_PERSISTENT));
        partition->node_exists = true;
    }
}

/* Moves the last item into a batch of its own if the multi has become too big; sends the others. */
static void split_if_full(struct write_batch *batch)
{
    if (batch->item_count < 2 ||
        zk_multi_fit(batch->operations, batch->operation_count) == batch->operation_count)
        return;
    struct write_item item = batch->items[--batch->item_count];
    struct write_batch *full = memory_allocate(sizeof(*full));
    *full = *batch;
    full->operation_count = item.first_operation;
    *batch = (struct write_batch){.controller = full->controller};
    arena_init(&batch->arena, ARENA_NO_BUDGET);
    for (size_t i = 0; i < item.operation_count; i++) {
        struct zk_operation operation = full->operations[item.first_operation + i];
        operation.path = arena_copy_string(&batch->arena, slice_of(operation.path));
        operation.data = arena_copy_slice(&batch->arena, operation.data);
        add_operation(batch, operation);
    }
    item.first_operation = 0;
    batch->items = memory_grow(NULL, 0, &batch->item_capacity, sizeof(*batch->items));
    batch->items[batch->item_count++] = item;
    send(full);
}

void shell_batch_add(struct write_batch *batch, struct image_partition *partition, enum write_kind kind,
                     struct node_partition_state *next, bool unclean)
{
    struct slice name = slice_of(partition->topic->name);
    size_t first = batch->operation_count;
    struct decide_settings settings = shell_decide_settings(batch->controller);
    seats_fill_eligible(&batch->controller->image, partition, &settings, next);
    if (kind == WRITE_CREATE)
        add_creations(batch, partition);
    struct buffer data;
    buffer_init(&data);
    node_partition_state_encode(next, &data);
    struct slice copy = arena_copy_slice(&batch->arena, buffer_slice(&data));
    buffer_release(&data);
    const char *path = zk_path_partition_state(&batch->arena, name, partition->number);
    add_operation(batch, kind == WRITE_CREATE
                             ? zk_operation_create(path, copy, ZK_PERSISTENT)
                             : zk_operation_set(path, copy, zk_version_make(partition->version)));
    partition->busy = true;
    batch->items = memory_grow(batch->items, batch->item_count, &batch->item_capacity, sizeof(*batch->items));
    batch->items[batch->item_count++] =
        (struct write_item){.topic = memory_copy_string(partition->topic->name),
                            .topic_id = partition->topic->topic_id,
                            .number = partition->number,
                            .kind = kind,
                            .unclean = unclean,
                            .urgent = kind != WRITE_OF_LEADER && partition->urgent,
                            .next = *next,
                            .first_operation = first,
                            .operation_count = batch->operation_count - first};
    split_if_full(batch);
}

void shell_batch_flush(struct write_batch *batch)
{
    if (batch->item_count > 0)
        send(batch);
    else
        batch_free(batch);
}

static void settle(struct controller *controller, struct image_partition *partition)
{
    partition->unsettled = false;
    image_clear_dirty(partition);
    if (partition->withheld)
        image_touch(&controller->image, partition, true);
    partition->withheld = false;
    shell_reassign_settled(controller, partition);
}

void shell_tell_leaderless(struct controller *controller)
{
    struct decide_settings settings = shell_decide_settings(controller);
    size_t position = 0, count = 0;
    void *value;
    while (map_next(controller->image.topics, &position, NULL, &value)) {
        const struct image_topic *topic = value;
        for (size_t i = 0; i < topic->partition_count && !topic->deleting; i++) {
            const struct image_partition *partition = topic->partitions[i];
            if (!partition->has_state || partition->state.leader != NODE_NO_LEADER ||
                count++ >= NAMED_AT_START_MAX)
                continue;
            struct buffer awaited;
            buffer_init(&awaited);
            decide_print_awaited(&controller->image, partition, &settings, &awaited);
            log_warn(controller->logger, SHELL_AREA, "%s-%d has been found without leader; %s%s", topic->name,
                     partition->number,
                     awaited.length > 0 ? "it waits for broker " : "all that could lead it are there",
                     awaited.length > 0 ? buffer_string(&awaited) : "");
            buffer_release(&awaited);
        }
    }
    if (count > NAMED_AT_START_MAX)
        log_warn(controller->logger, SHELL_AREA, "%zu partitions have been found without leader", count);
}

/* False: there is something to write, and too much on its way already. */
static bool decide_one(struct controller *controller, struct image_partition *partition,
                       struct write_batch *batch)
{
    struct decide_settings settings = shell_decide_settings(controller);
    struct node_partition_state next;
    bool unclean;
    enum decision decision = decide_partition(&controller->image, partition, &settings, &next, &unclean);
    bool full = controller->writes_in_flight >= SHELL_WRITES_IN_FLIGHT_MAX;
    if (decision == DECISION_NOTHING && (!full || list_is_empty(&partition->requests))) {
        settle(controller, partition);
        shell_alter_pump(controller, partition, batch);
        return true;
    }
    if (full) {
        if (decision != DECISION_NOTHING)
            node_partition_state_release(&next);
        return false;
    }
    image_clear_dirty(partition);
    partition->unsettled = true;
    shell_batch_add(batch, partition, decision == DECISION_CREATE ? WRITE_CREATE : WRITE_SET, &next, unclean);
    return true;
}

/*
 * Decides those of one list. What is done for one may mark others, or take them out of their list: so it is
 * emptied first, and what must wait (for an answer, or for room) goes back.
 */
static void decide_list(struct controller *controller, struct list *list, struct write_batch *batch)
{
    struct list left, busy;
    struct list *node;
    list_init(&left);
    list_init(&busy);
    list_move_all(list, &left);
    while ((node = list_pop_front(&left)) != NULL) {
        struct image_partition *partition = container_of(node, struct image_partition, dirty_node);
        if (partition->busy || image_is_assignment_open(partition->topic)) {
            list_push_back(&busy, node);
        } else if (!decide_one(controller, partition, batch)) {
            list_push_front(&left, node);
            break;
        }
    }
    list_move_all(list, &left);
    list_move_all(&busy, list);
    list_move_all(&left, list);
}

void shell_decide_pump(struct controller *controller)
{
    struct write_batch *batch = shell_batch_new(controller);
    decide_list(controller, &controller->image.urgent, batch);
    decide_list(controller, &controller->image.dirty, batch);
    shell_batch_flush(batch);
}
