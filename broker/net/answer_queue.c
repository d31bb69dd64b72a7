/* SPDX-License-Identifier: Apache-2.0 */
/* The ordered slots of one connection; the picture is in the header. */
#include "broker/net/answer_queue.h"

#include "common/check.h"

static struct answer_slot *slot_of(struct list *node)
{
    return container_of(node, struct answer_slot, node);
}

void answer_queue_init(struct answer_queue *queue)
{
    *queue = (struct answer_queue){0};
    list_init(&queue->slots);
}

void answer_queue_reserve(struct answer_queue *queue, struct answer_slot *slot)
{
    CHECK(!queue->closing);
    *slot = (struct answer_slot){.queue = queue, .state = ANSWER_OPEN};
    list_init(&slot->node);
    list_push_back(&queue->slots, &slot->node);
    queue->count++;
    queue->open_count++;
}

/* Takes a slot out of its queue and out of the queue's numbers. */
static void detach_slot(struct answer_slot *slot)
{
    struct answer_queue *queue = slot->queue;
    list_remove(&slot->node);
    queue->count--;
    if (slot->state == ANSWER_OPEN)
        queue->open_count--;
    if (slot->state == ANSWER_READY)
        queue->ready_bytes -= slot->bytes.length;
    slot->queue = NULL;
    slot->state = ANSWER_DETACHED;
}

void answer_slot_ready(struct answer_slot *slot, struct slice bytes, const struct wire_gap *gaps,
                       size_t gap_count)
{
    if (slot->queue == NULL)
        return;
    CHECK(slot->state == ANSWER_OPEN);
    slot->state = ANSWER_READY;
    slot->bytes = bytes;
    slot->gaps = gaps;
    slot->gap_count = gap_count;
    slot->length = (int64_t)bytes.length;
    for (size_t i = 0; i < gap_count; i++) {
        CHECK(gaps[i].position <= bytes.length && gaps[i].length >= 0);
        CHECK(i == 0 || gaps[i - 1].position <= gaps[i].position);
        slot->length += gaps[i].length;
    }
    CHECK(slot->length > 0);
    slot->queue->open_count--;
    slot->queue->ready_bytes += bytes.length;
}

void answer_slot_vanish(struct answer_slot *slot)
{
    if (slot->queue == NULL)
        return;
    CHECK(slot->state == ANSWER_OPEN);
    detach_slot(slot);
}

void answer_slot_close(struct answer_slot *slot)
{
    if (slot->queue == NULL)
        return;
    CHECK(slot->state == ANSWER_OPEN);
    slot->state = ANSWER_CLOSING;
    slot->queue->open_count--;
    slot->queue->closing = true;
}

/* The pieces of one slot that are not sent yet. */
static size_t gather_slot(const struct answer_slot *slot, struct answer_piece *pieces, size_t limit)
{
    size_t count = 0;
    int64_t skip = slot->sent; /* of what follows, this much is out already */
    size_t position = 0;
    for (size_t i = 0; i <= slot->gap_count && count < limit; i++) {
        bool last = i == slot->gap_count;
        size_t until = last ? slot->bytes.length : slot->gaps[i].position;
        int64_t length = (int64_t)(until - position);
        if (skip < length) {
            size_t left = (size_t)(length - skip);
            pieces[count++] = (struct answer_piece){
                .bytes = slice_make(slot->bytes.data + (until - left), left),
                .length = (int64_t)left,
            };
        }
        skip = max_i64(skip - length, 0);
        position = until;
        if (last || count == limit)
            break;
        const struct wire_gap *gap = &slot->gaps[i];
        if (skip < gap->length)
            pieces[count++] = (struct answer_piece){.gap = gap, .offset = skip, .length = gap->length - skip};
        skip = max_i64(skip - gap->length, 0);
    }
    return count;
}

size_t answer_queue_gather(const struct answer_queue *queue, struct answer_piece *pieces, size_t limit)
{
    size_t count = 0;
    list_for_each(node, &queue->slots)
    {
        const struct answer_slot *slot = slot_of(node);
        if (slot->state != ANSWER_READY || count == limit)
            break;
        count += gather_slot(slot, pieces + count, limit - count);
    }
    return count;
}

void answer_queue_advance(struct answer_queue *queue, int64_t length, struct list *done)
{
    while (length > 0) {
        CHECK(!list_is_empty(&queue->slots));
        struct answer_slot *slot = slot_of(queue->slots.next);
        CHECK(slot->state == ANSWER_READY);
        int64_t step = min_i64(length, slot->length - slot->sent);
        slot->sent += step;
        length -= step;
        if (slot->sent < slot->length)
            return;
        detach_slot(slot);
        list_push_back(done, &slot->node);
    }
}

bool answer_queue_is_finished(const struct answer_queue *queue)
{
    return !list_is_empty(&queue->slots) && slot_of(queue->slots.next)->state == ANSWER_CLOSING;
}

struct answer_slot *answer_queue_drop_first(struct answer_queue *queue)
{
    if (list_is_empty(&queue->slots))
        return NULL;
    struct answer_slot *slot = slot_of(queue->slots.next);
    detach_slot(slot);
    return slot;
}
