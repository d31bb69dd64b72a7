/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answer queue under any order of events: each input byte reserves, finishes, vanishes, closes, sends or
 * drops. After each event the queue's numbers must agree with a count of its slots, what it offers must be
 * what its first slots hold, and slots must come out in the order in which they went in, once.
 */
#include <stdlib.h>

#include "broker/net/answer_queue.h"
#include "common/check.h"
#include "common/memory.h"

#define PIECES_MAX 7
#define GAPS_MAX 3
#define SLOTS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzzed_slot {
    struct answer_slot slot;
    struct wire_gap gaps[GAPS_MAX];
    uint64_t number;
};

struct fuzz {
    const uint8_t *at;
    const uint8_t *end;
    struct answer_queue queue;
    struct list done;
    struct fuzzed_slot *slots[SLOTS_MAX]; /* in order of reservation; NULL where none is */
    uint64_t reserved;
    uint64_t last_done;
};

static uint8_t next_byte(struct fuzz *fuzz)
{
    return fuzz->at < fuzz->end ? *fuzz->at++ : 0;
}

static struct fuzzed_slot *fuzzed_of(struct answer_slot *slot)
{
    return container_of(slot, struct fuzzed_slot, slot);
}

/* One of the slots that are there, by a byte of the input; NULL when none is open. */
static struct fuzzed_slot *choose_open(struct fuzz *fuzz)
{
    size_t start = next_byte(fuzz);
    for (size_t i = 0; i < SLOTS_MAX; i++) {
        struct fuzzed_slot *slot = fuzz->slots[(start + i) % SLOTS_MAX];
        if (slot != NULL && slot->slot.state == ANSWER_OPEN)
            return slot;
    }
    return NULL;
}

static void forget(struct fuzz *fuzz, struct fuzzed_slot *slot)
{
    CHECK(slot->slot.queue == NULL && slot->slot.state == ANSWER_DETACHED);
    CHECK(fuzz->slots[slot->number % SLOTS_MAX] == slot);
    fuzz->slots[slot->number % SLOTS_MAX] = NULL;
    free(slot);
}

static void reserve(struct fuzz *fuzz)
{
    uint64_t number = fuzz->reserved + 1;
    if (fuzz->queue.closing || fuzz->slots[number % SLOTS_MAX] != NULL)
        return;
    struct fuzzed_slot *slot = memory_allocate_zeroed(1, sizeof(*slot));
    slot->number = fuzz->reserved = number;
    fuzz->slots[number % SLOTS_MAX] = slot;
    answer_queue_reserve(&fuzz->queue, &slot->slot);
}

static void finish(struct fuzz *fuzz)
{
    static const uint8_t bytes[256];
    struct fuzzed_slot *slot = choose_open(fuzz);
    if (slot == NULL)
        return;
    size_t length = 1 + next_byte(fuzz) % 200u;
    size_t gap_count = next_byte(fuzz) % (GAPS_MAX + 1u), position = 0;
    for (size_t i = 0; i < gap_count; i++) {
        position += next_byte(fuzz) % (length - position + 1);
        slot->gaps[i] = (struct wire_gap){.position = position, .length = next_byte(fuzz)};
    }
    answer_slot_ready(&slot->slot, slice_make(bytes, length), slot->gaps, gap_count);
}

static void end_slot(struct fuzz *fuzz, bool vanish)
{
    struct fuzzed_slot *slot = choose_open(fuzz);
    if (slot == NULL)
        return;
    if (vanish) {
        answer_slot_vanish(&slot->slot);
        forget(fuzz, slot);
    } else {
        answer_slot_close(&slot->slot);
    }
}

static void send_some(struct fuzz *fuzz)
{
    struct answer_piece pieces[PIECES_MAX];
    size_t count = answer_queue_gather(&fuzz->queue, pieces, 1 + next_byte(fuzz) % (unsigned)PIECES_MAX);
    int64_t total = 0;
    for (size_t i = 0; i < count; i++) {
        CHECK(pieces[i].length > 0);
        CHECK(pieces[i].gap != NULL ? pieces[i].offset + pieces[i].length == pieces[i].gap->length
                                    : (int64_t)pieces[i].bytes.length == pieces[i].length);
        total += pieces[i].length;
    }
    if (total == 0)
        return;
    answer_queue_advance(&fuzz->queue, 1 + (next_byte(fuzz) * 256 + next_byte(fuzz)) % total, &fuzz->done);
    struct list *node;
    while ((node = list_pop_front(&fuzz->done)) != NULL) {
        struct fuzzed_slot *slot = fuzzed_of(container_of(node, struct answer_slot, node));
        CHECK(slot->number > fuzz->last_done && slot->slot.sent == slot->slot.length);
        fuzz->last_done = slot->number;
        forget(fuzz, slot);
    }
}

static bool drop_first(struct fuzz *fuzz)
{
    struct answer_slot *slot = answer_queue_drop_first(&fuzz->queue);
    if (slot == NULL)
        return false;
    CHECK(fuzzed_of(slot)->number > fuzz->last_done);
    fuzz->last_done = fuzzed_of(slot)->number;
    /* Its owner answers all the same: nothing may come of it. */
    answer_slot_ready(slot, slice_of("late"), NULL, 0);
    answer_slot_vanish(slot);
    answer_slot_close(slot);
    forget(fuzz, fuzzed_of(slot));
    return true;
}

static void check_numbers(const struct fuzz *fuzz)
{
    size_t count = 0, open = 0, ready_bytes = 0;
    bool closing = false;
    list_for_each(node, &fuzz->queue.slots)
    {
        const struct answer_slot *slot = container_of(node, struct answer_slot, node);
        count++;
        open += slot->state == ANSWER_OPEN;
        ready_bytes += slot->state == ANSWER_READY ? slot->bytes.length : 0;
        closing |= slot->state == ANSWER_CLOSING;
    }
    CHECK(count == fuzz->queue.count && open == fuzz->queue.open_count);
    CHECK(ready_bytes == fuzz->queue.ready_bytes);
    CHECK(!closing || fuzz->queue.closing);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz fuzz = {.at = data, .end = data + size};
    answer_queue_init(&fuzz.queue);
    list_init(&fuzz.done);
    while (fuzz.at < fuzz.end) {
        uint8_t event = next_byte(&fuzz) % 16;
        if (event < 5)
            reserve(&fuzz);
        else if (event < 10)
            finish(&fuzz);
        else if (event < 13)
            send_some(&fuzz);
        else if (event == 13)
            end_slot(&fuzz, true);
        else if (event == 14)
            end_slot(&fuzz, next_byte(&fuzz) % 8 != 0);
        else if (next_byte(&fuzz) % 8 == 0)
            (void)drop_first(&fuzz);
        check_numbers(&fuzz);
    }
    while (drop_first(&fuzz))
        ;
    return 0;
}
