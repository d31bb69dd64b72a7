/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of brokers. An ISR change waits at its partition until no read or write of it is in flight, and is
 * then checked against what is known; if it is to be written, it stays and is checked again afterwards: its
 * own success then reads "already so", and a lost answer, a race or a new decision give their proper error.
 */
#include <stdlib.h>

#include "common/memory.h"
#include "coordinator/controller/isr_change.h"
#include "coordinator/controller/shell.h"
#include "coordinator/zk/node_cluster.h"
#include "coordinator/zk/path.h"
#include "proto/kafka/error.h"

/* One partition of an AlterPartition request, in the queue of that partition. */
struct alter_item {
    struct list node;
    struct alter_request *request;
    size_t index;
};

struct alter_request {
    struct list node;
    struct controller_respond respond;
    int32_t sender;
    struct arena arena;
    struct alter_partition_item *items;
    struct alter_item *queued;
    struct alter_partition_result *results;
    size_t count, waiting;
};

struct producer_ids_request {
    struct list node;
    struct controller_respond respond;
    int32_t broker_id;
};

struct shutdown_request {
    struct list node;
    struct controller_respond respond;
    int32_t broker_id;
    int64_t deadline_ms;
    bool moved;        /* all that could be decided has been, and these two say with what result */
    int32_t led;       /* partitions that it still leads */
    uint64_t sequence; /* that brokers must have been told of */
};

static void answer(struct controller_respond respond, const struct control_answer *content)
{
    respond.respond(respond.context, content);
}

static void *take(struct arena *arena, size_t count, size_t size)
{
    void *memory = arena_allocate_array(arena, max_size(count, 1), size);
    CHECK(memory != NULL);
    return memory;
}

static void answer_alter_error(struct controller_respond respond, int16_t error)
{
    struct control_answer it = {.kind = CONTROL_ALTER_PARTITION, .alter_partition = {.error = error}};
    answer(respond, &it);
}

static void alter_free(struct alter_request *request)
{
    list_remove(&request->node);
    arena_release(&request->arena);
    free(request);
}

static void item_finish(struct controller *controller, struct alter_item *item, int16_t error)
{
    struct alter_request *request = item->request;
    const struct alter_partition_item *asked = &request->items[item->index];
    struct alter_partition_result *result = &request->results[item->index];
    *result = (struct alter_partition_result){.topic = asked->topic,
                                              .partition = asked->partition,
                                              .error = error,
                                              .leader = NO_LEADER,
                                              .leader_epoch = -1,
                                              .partition_epoch = -1};
    const struct image_partition *partition =
        image_partition_of(&controller->image, asked->topic, asked->partition);
    /* A leader that names an old version learns the present state, or it would name the old one for ever. */
    bool tell = error == KAFKA_NONE || error == KAFKA_INVALID_UPDATE_VERSION;
    if (tell && partition != NULL && partition->has_state) {
        const struct node_partition_state *state = &partition->state;
        result->leader = state->leader;
        result->leader_epoch = state->leader_epoch;
        result->partition_epoch = partition->version;
        result->recovering = state->leader_recovery == NODE_LEADER_RECOVERING;
        result->commits_held = state->elr_count > 0;
        result->isr = take(&request->arena, state->isr_count, sizeof(*result->isr));
        result->isr_count = state->isr_count;
        for (size_t i = 0; i < state->isr_count; i++)
            result->isr[i] = (struct isr_member){state->isr[i], state->isr_broker_epochs != NULL
                                                                    ? state->isr_broker_epochs[i]
                                                                    : NO_BROKER_EPOCH};
    }
    list_remove(&item->node);
    if (--request->waiting > 0)
        return;
    struct control_answer it = {
        .kind = CONTROL_ALTER_PARTITION,
        .alter_partition = {.partitions = request->results, .partitions_count = request->count}};
    answer(request->respond, &it);
    alter_free(request);
}

void shell_alters_fail(struct controller *controller, struct image_partition *partition, int16_t error)
{
    while (!list_is_empty(&partition->requests))
        item_finish(controller, container_of(partition->requests.next, struct alter_item, node), error);
}

void shell_alter_pump(struct controller *controller, struct image_partition *partition,
                      struct write_batch *batch)
{
    struct decide_settings settings = shell_decide_settings(controller);
    while (!partition->busy && !list_is_empty(&partition->requests)) {
        struct alter_item *item = container_of(partition->requests.next, struct alter_item, node);
        struct node_partition_state next;
        bool write;
        int16_t error = isr_change_check(&controller->image, item->request->sender,
                                         &item->request->items[item->index], &settings, &write, &next);
        if (write)
            shell_batch_add(batch, partition, WRITE_OF_LEADER, &next, false);
        else
            item_finish(controller, item, error);
    }
}

/* A copy that outlives the caller's request. */
static struct alter_request *alter_new(const struct alter_partition_request *from,
                                       struct controller_respond respond)
{
    struct alter_request *request = memory_allocate_zeroed(1, sizeof(*request));
    arena_init(&request->arena, ARENA_NO_BUDGET);
    list_init(&request->node);
    request->respond = respond;
    request->sender = from->broker_id;
    request->count = request->waiting = from->partitions_count;
    request->items = take(&request->arena, from->partitions_count, sizeof(*request->items));
    request->queued = take(&request->arena, from->partitions_count, sizeof(*request->queued));
    request->results = take(&request->arena, from->partitions_count, sizeof(*request->results));
    for (size_t i = 0; i < from->partitions_count; i++) {
        struct alter_partition_item *item = &request->items[i];
        *item = from->partitions[i];
        item->topic = arena_copy_slice(&request->arena, item->topic);
        item->isr = take(&request->arena, item->isr_count, sizeof(*item->isr));
        if (item->isr_count > 0)
            memcpy(item->isr, from->partitions[i].isr, item->isr_count * sizeof(*item->isr));
        request->queued[i] = (struct alter_item){.request = request, .index = i};
        list_init(&request->queued[i].node);
    }
    return request;
}

static void handle_alter(struct controller *controller, const struct alter_partition_request *asked,
                         struct controller_respond respond)
{
    int16_t error = isr_change_check_sender(&controller->image, asked->broker_id, asked->broker_epoch);
    if (error != KAFKA_NONE || asked->partitions_count == 0) {
        answer_alter_error(respond, error);
        return;
    }
    struct decide_settings settings = shell_decide_settings(controller);
    struct alter_request *request = alter_new(asked, respond);
    list_push_back(&controller->alters, &request->node);
    for (size_t i = 0, count = request->count; i < count; i++) {
        struct alter_item *item = &request->queued[i];
        struct image_partition *partition =
            image_partition_of(&controller->image, request->items[i].topic, request->items[i].partition);
        bool hosted = partition != NULL && !partition->topic->deleting;
        if (hosted) {
            list_push_back(&partition->requests, &item->node);
            image_mark_dirty(&controller->image, partition);
            continue;
        }
        struct node_partition_state next;
        bool write;
        error = isr_change_check(&controller->image, request->sender, &request->items[i], &settings, &write,
                                 &next);
        item_finish(controller, item, error);
    }
}

static void answer_producer_ids(struct controller_respond respond, int16_t error, int64_t first)
{
    struct control_answer it = {.kind = CONTROL_ALLOCATE_PRODUCER_IDS,
                                .allocate_producer_ids = {.error = error, .first = first}};
    it.allocate_producer_ids.count = error == KAFKA_NONE ? NODE_PRODUCER_ID_BLOCK_SIZE : 0;
    answer(respond, &it);
}

static void producer_ids_finish(struct controller *controller, int16_t error, int64_t first)
{
    struct list *node = list_pop_front(&controller->producer_ids);
    struct producer_ids_request *request = container_of(node, struct producer_ids_request, node);
    answer_producer_ids(request->respond, error, first);
    free(request);
}

/* After any doubt the next block is taken, this one may have been given out (I56). */
static void block_written(struct controller *controller, void *payload, const struct zk_response *response)
{
    const struct node_producer_id_block *block = payload;
    controller->producer_ids_busy = false;
    if (shell_met_fence(controller, response))
        return;
    if (response->result == ZK_OK && !list_is_empty(&controller->producer_ids))
        producer_ids_finish(controller, KAFKA_NONE, block->block_start);
    else if (response->result != ZK_BAD_VERSION)
        controller->producer_ids_not_before_ms = controller->now_ms + controller->options.retry_backoff_ms;
}

static void block_read(struct controller *controller, void *payload, const struct zk_response *response)
{
    (void)payload;
    struct node_producer_id_block *next = memory_allocate_zeroed(1, sizeof(*next));
    struct buffer text;
    buffer_init(&text);
    const struct producer_ids_request *request =
        container_of(controller->producer_ids.next, struct producer_ids_request, node);
    bool there = response->result == ZK_OK;
    bool usable = there || response->result == ZK_NO_NODE;
    if (usable && node_producer_id_block_next(there ? response->data : slice_of(NULL), request->broker_id,
                                              next, &text) != 0) {
        log_error(controller->logger, SHELL_AREA, "%s: %s", ZK_PATH_PRODUCER_ID_BLOCK, buffer_string(&text));
        controller->producer_ids_busy = false;
        producer_ids_finish(controller, KAFKA_UNKNOWN_SERVER_ERROR, 0);
        free(next);
    } else if (!usable) {
        controller->producer_ids_busy = false;
        controller->producer_ids_not_before_ms = controller->now_ms + controller->options.retry_backoff_ms;
        free(next);
    } else {
        buffer_clear(&text);
        node_producer_id_block_encode(next, &text);
        struct zk_operation operation =
            there ? zk_operation_set(ZK_PATH_PRODUCER_ID_BLOCK, buffer_slice(&text), response->stat.version)
                  : zk_operation_create(ZK_PATH_PRODUCER_ID_BLOCK, buffer_slice(&text), ZK_PERSISTENT);
        zk_fenced_multi(controller->zk, controller->fence, &operation, 1,
                        shell_request(controller, false, block_written, free, next));
    }
    buffer_release(&text);
}

static void producer_ids_pump(struct controller *controller)
{
    if (controller->producer_ids_busy || list_is_empty(&controller->producer_ids) ||
        controller->now_ms < controller->producer_ids_not_before_ms)
        return;
    controller->producer_ids_busy = true;
    zk_get(controller->zk, ZK_PATH_PRODUCER_ID_BLOCK, false,
           shell_request(controller, false, block_read, NULL, NULL));
}

static void handle_producer_ids(struct controller *controller,
                                const struct allocate_producer_ids_request *asked,
                                struct controller_respond respond)
{
    int64_t registered = image_broker_epoch(&controller->image, asked->broker_id);
    if (registered != asked->broker_epoch || registered < 0) {
        answer_producer_ids(respond,
                            registered < 0 ? KAFKA_BROKER_ID_NOT_REGISTERED : KAFKA_STALE_BROKER_EPOCH, 0);
        return;
    }
    struct producer_ids_request *request = memory_allocate_zeroed(1, sizeof(*request));
    request->respond = respond;
    request->broker_id = asked->broker_id;
    list_push_back(&controller->producer_ids, &request->node);
}

static void answer_shutdown(struct controller_respond respond, int16_t error, int32_t remaining)
{
    struct control_answer it = {.kind = CONTROL_CONTROLLED_SHUTDOWN,
                                .controlled_shutdown = {.error = error, .partitions_remaining = remaining}};
    answer(respond, &it);
}

static void handle_shutdown(struct controller *controller, const struct controlled_shutdown_request *asked,
                            struct controller_respond respond)
{
    int64_t registered = image_broker_epoch(&controller->image, asked->broker_id);
    if (registered < 0 || registered != asked->broker_epoch) {
        answer_shutdown(respond, KAFKA_STALE_BROKER_EPOCH, 0);
        return;
    }
    log_info(controller->logger, SHELL_AREA, "broker %d is about to stop: moving its leaderships",
             asked->broker_id);
    image_mark_shutdown(&controller->image, asked->broker_id, asked->broker_epoch);
    image_mark_dirty_of_broker(&controller->image, asked->broker_id);
    struct shutdown_request *request = memory_allocate_zeroed(1, sizeof(*request));
    request->respond = respond;
    request->broker_id = asked->broker_id;
    request->deadline_ms = controller->now_ms + controller->options.shutdown_deadline_ms;
    list_push_back(&controller->shutdowns, &request->node);
}

/* Another replica is alive and stays: it may take over when it has caught up. */
static bool has_heir(const struct image *image, const struct image_partition *partition, int32_t broker_id)
{
    const struct node_replicas *replicas = &partition->assignment.replicas;
    for (size_t i = 0; i < replicas->count; i++)
        if (replicas->ids[i] != broker_id && image_can_serve(image, partition, replicas->ids[i]) &&
            !image_is_shutting_down(image, replicas->ids[i]))
            return true;
    return false;
}

static bool in_isr(const struct node_partition_state *state, int32_t broker_id)
{
    for (size_t i = 0; i < state->isr_count; i++)
        if (state->isr[i] == broker_id)
            return true;
    return false;
}

/* How many partitions it still leads that it is worth waiting for; *undecided: some that it leads, or in
 * whose ISR it is, are still in work. */
static int32_t led_by(const struct image *image, int32_t broker_id, bool *undecided)
{
    int32_t led = 0;
    size_t position = 0;
    void *value;
    *undecided = false;
    while (map_next(image->topics, &position, NULL, &value)) {
        const struct image_topic *topic = value;
        for (size_t i = 0; i < topic->partition_count && !topic->deleting; i++) {
            const struct image_partition *partition = topic->partitions[i];
            if (!node_replicas_contains(&partition->assignment.replicas, broker_id))
                continue;
            bool leads = partition->has_state && partition->state.leader == broker_id;
            *undecided = *undecided || ((partition->dirty || partition->busy) &&
                                        (leads || in_isr(&partition->state, broker_id)));
            led += leads && has_heir(image, partition, broker_id);
        }
    }
    return led;
}

/*
 * The broker may go when the new leaders know that they lead, and every broker can tell clients who leads:
 * then nobody who asks is sent to a broker that is gone, and what it still gets it refuses with a hint. Who
 * does not answer the controller is not waited for, and nobody for longer than the deadline.
 */
static bool shutdown_is_done(struct controller *controller, struct shutdown_request *request)
{
    bool late = controller->now_ms >= request->deadline_ms;
    if (!request->moved) {
        bool undecided;
        request->led = led_by(&controller->image, request->broker_id, &undecided);
        if (undecided && !late)
            return false;
        request->moved = true;
        request->sequence = controller->image.sequence;
    }
    return late || shell_all_told(controller, request->sequence);
}

static void shutdowns_pump(struct controller *controller)
{
    list_for_each_safe(node, after, &controller->shutdowns)
    {
        struct shutdown_request *request = container_of(node, struct shutdown_request, node);
        if (!shutdown_is_done(controller, request))
            continue;
        list_remove(node);
        answer_shutdown(request->respond, KAFKA_NONE, request->led);
        free(request);
    }
}

void shell_brokers_pump(struct controller *controller)
{
    producer_ids_pump(controller);
    shutdowns_pump(controller);
}

int64_t shell_brokers_deadline(const struct controller *controller)
{
    int64_t deadline = INT64_MAX;
    if (!list_is_empty(&controller->producer_ids) && !controller->producer_ids_busy)
        deadline = controller->producer_ids_not_before_ms;
    list_for_each(node, &controller->shutdowns) deadline =
        min_i64(deadline, container_of(node, struct shutdown_request, node)->deadline_ms);
    return deadline;
}

void shell_brokers_clear(struct controller *controller)
{
    struct list *node;
    while ((node = list_pop_front(&controller->alters)) != NULL) {
        struct alter_request *request = container_of(node, struct alter_request, node);
        for (size_t i = 0; i < request->count; i++)
            list_remove(&request->queued[i].node);
        answer_alter_error(request->respond, KAFKA_NOT_CONTROLLER);
        alter_free(request);
    }
    while (!list_is_empty(&controller->producer_ids))
        producer_ids_finish(controller, KAFKA_NOT_CONTROLLER, 0);
    controller->producer_ids_busy = false;
    while ((node = list_pop_front(&controller->shutdowns)) != NULL) {
        struct shutdown_request *request = container_of(node, struct shutdown_request, node);
        answer_shutdown(request->respond, KAFKA_NOT_CONTROLLER, 0);
        free(request);
    }
}

static void answer_refusal(const struct control_request *request, int16_t error,
                           struct controller_respond respond)
{
    struct control_answer it = {.kind = request->kind};
    switch (request->kind) {
    case CONTROL_ALTER_PARTITION:
        it.alter_partition.error = error;
        break;
    case CONTROL_ALLOCATE_PRODUCER_IDS:
        it.allocate_producer_ids.error = error;
        break;
    case CONTROL_CONTROLLED_SHUTDOWN:
        it.controlled_shutdown.error = error;
        break;
    case CONTROL_FORWARD:
        it.forward.error = error;
        break;
    default:
        it.response.error = error;
        break;
    }
    answer(respond, &it);
}

void controller_handle(struct controller *controller, const struct control_request *request,
                       int64_t deadline_ms, struct controller_respond respond)
{
    if (controller->office != OFFICE_IN) {
        answer_refusal(request, KAFKA_NOT_CONTROLLER, respond);
        return;
    }
    switch (request->kind) {
    case CONTROL_ALTER_PARTITION:
        handle_alter(controller, &request->alter_partition, respond);
        break;
    case CONTROL_ALLOCATE_PRODUCER_IDS:
        handle_producer_ids(controller, &request->allocate_producer_ids, respond);
        break;
    case CONTROL_CONTROLLED_SHUTDOWN:
        handle_shutdown(controller, &request->controlled_shutdown, respond);
        break;
    case CONTROL_FORWARD:
        shell_forward(controller, &request->forward, deadline_ms, respond);
        break;
    default:
        answer_refusal(request, KAFKA_INVALID_REQUEST, respond);
        break;
    }
    shell_work(controller);
}
