/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Atomics: `used` and `pending` are changed by all reactors, sequentially consistent with the waiters' flags:
 * a waiter sets its flag and then looks at the numbers, a giver changes the numbers and then looks at the
 * flags, so at least one of the two sees the other.
 */
#include "broker/net/request_memory.h"

#include <stdlib.h>

#include "common/memory.h"

void request_memory_init(struct request_memory *memory, size_t limit)
{
    *memory = (struct request_memory){.limit = limit == 0 ? SIZE_MAX : limit};
    atomic_init(&memory->used, 0);
    atomic_init(&memory->pending, 0);
}

void request_memory_release(struct request_memory *memory)
{
    free(memory->waiters);
    memory->waiters = NULL;
    memory->waiter_count = 0;
}

void request_memory_add_waiter(struct request_memory *memory, struct request_memory_waiter *waiter)
{
    size_t count = memory->waiter_count + 1;
    memory->waiters = memory_resize(memory->waiters, count * sizeof(*memory->waiters));
    memory->waiters[memory->waiter_count++] = waiter;
}

void request_memory_take(struct request_memory *memory, size_t bytes)
{
    atomic_fetch_add(&memory->used, bytes);
}

void request_memory_complete(struct request_memory *memory, size_t bytes)
{
    atomic_fetch_add(&memory->pending, bytes);
}

void request_memory_give(struct request_memory *memory, size_t used, size_t pending)
{
    size_t pending_before = pending > 0 ? atomic_fetch_sub(&memory->pending, pending) : 0;
    size_t used_before = atomic_fetch_sub(&memory->used, used);
    size_t half = memory->limit / 2;
    bool room = used_before >= memory->limit && used_before - used < memory->limit;
    bool reserve = pending_before >= half && pending_before - pending < half && used_before >= memory->limit;
    if (!room && !reserve)
        return;
    for (size_t i = 0; i < memory->waiter_count; i++) {
        if (atomic_exchange(&memory->waiters[i]->waiting, false))
            loop_wake(memory->waiters[i]->loop);
    }
}

bool request_memory_has_room(const struct request_memory *memory)
{
    return atomic_load(&memory->used) < memory->limit;
}

bool request_memory_has_reserve(const struct request_memory *memory)
{
    return atomic_load(&memory->pending) < memory->limit / 2;
}

void request_memory_wake_all(struct request_memory *memory)
{
    for (size_t i = 0; i < memory->waiter_count; i++)
        loop_wake(memory->waiters[i]->loop);
}

void request_memory_wait(struct request_memory_waiter *waiter)
{
    atomic_store(&waiter->waiting, true);
}
