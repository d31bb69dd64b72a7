/* SPDX-License-Identifier: Apache-2.0 */
/* The present block, the next one, and the request for it. */
#include "broker/api/producer_ids.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/memory.h"
#include "proto/kafka/error.h"

/* When so many of ten ids are used, the next block is ordered. */
#define ORDER_AT_TENTHS 9
#define ORDER_TIMEOUT_MS 5000
#define ANSWER_BUDGET_BYTES ((size_t)64 * 1024)

struct block {
    int64_t next;
    int64_t end; /* the first id that is not in it */
    int64_t size;
};

struct producer_ids {
    pthread_mutex_t mutex;
    struct block present;
    struct block following;
    bool ordering;
};

/* A block that was ordered; lives until it is answered. */
struct order {
    struct controller_call call;
    struct api_context *context;
};

struct producer_ids *producer_ids_new(void)
{
    struct producer_ids *ids = memory_allocate_zeroed(1, sizeof(*ids));
    pthread_mutex_init(&ids->mutex, NULL);
    return ids;
}

void producer_ids_free(struct producer_ids *ids)
{
    pthread_mutex_destroy(&ids->mutex);
    free(ids);
}

static void order_done(struct controller_call *call)
{
    struct order *order = container_of(call, struct order, call);
    struct producer_ids *ids = order->context->producer_ids;
    struct arena arena;
    struct control_answer answer;
    arena_init(&arena, ANSWER_BUDGET_BYTES);
    int rc = controller_call_answer(call, &arena, &answer);
    const struct allocate_producer_ids_response *block = &answer.allocate_producer_ids;
    bool good = rc == 0 && block->error == KAFKA_NONE && block->first >= 0 && block->count > 0 &&
                block->first <= INT64_MAX - block->count;
    pthread_mutex_lock(&ids->mutex);
    ids->ordering = false;
    if (good)
        ids->following = (struct block){block->first, block->first + block->count, block->count};
    pthread_mutex_unlock(&ids->mutex);
    if (rc < 0)
        log_warn(order->context->logger, "api", "no block of producer ids from the controller: error %d", rc);
    else if (!good)
        log_warn(order->context->logger, "api", "no block of producer ids from the controller: %s",
                 kafka_error_name(block->error));
    arena_release(&arena);
    controller_call_release(call);
    free(order);
}

static void send_order(struct api_context *context, struct mailbox *mailbox)
{
    struct order *order = memory_allocate_zeroed(1, sizeof(*order));
    const struct control_request request = {
        .kind = CONTROL_ALLOCATE_PRODUCER_IDS,
        .allocate_producer_ids = {.broker_id = context->broker_id,
                                  .broker_epoch = replica_manager_broker_epoch(context->replicas)},
    };
    order->context = context;
    controller_call_init(&order->call, &request, mailbox,
                         context->clock->monotonic_ms(context->clock) + ORDER_TIMEOUT_MS, order_done);
    context->controller->forward(context->controller, &order->call);
}

/* Under the mutex: whether a block must be ordered now; it then counts as ordered. */
static bool wants_order(struct producer_ids *ids)
{
    int64_t left = ids->present.end - ids->present.next;
    bool low = left * 10 <= ids->present.size * (10 - ORDER_AT_TENTHS);
    bool wanted = low && !ids->ordering && ids->following.next == ids->following.end;
    ids->ordering |= wanted;
    return wanted;
}

int16_t producer_ids_next(struct api_context *context, struct mailbox *mailbox, int64_t *producer_id)
{
    struct producer_ids *ids = context->producer_ids;
    pthread_mutex_lock(&ids->mutex);
    if (ids->present.next == ids->present.end) {
        ids->present = ids->following;
        ids->following = (struct block){0};
    }
    bool there = ids->present.next < ids->present.end;
    if (there)
        *producer_id = ids->present.next++;
    bool order = wants_order(ids);
    pthread_mutex_unlock(&ids->mutex);
    if (order)
        send_order(context, mailbox);
    return there ? KAFKA_NONE : KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
}

void producer_ids_prepare(struct api_context *context, struct mailbox *mailbox)
{
    struct producer_ids *ids = context->producer_ids;
    pthread_mutex_lock(&ids->mutex);
    bool order = wants_order(ids);
    pthread_mutex_unlock(&ids->mutex);
    if (order)
        send_order(context, mailbox);
}
