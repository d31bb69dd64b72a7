/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of requests in the whole broker, bounded by queued.max.request.bytes: buffers of frames that are
 * being read and of requests that are not yet answered. When the bound is reached, connections are not read;
 * nothing is dropped.
 *
 * Two rules keep that from standing still. A frame is begun only while there is room. A frame that was begun
 * grows only while there is room, or, when it is the chosen one of its reactor, as long as half of the bound
 * is not taken by complete requests: those will be answered and give memory back, but a broker full of
 * halves of frames would wait for ever. So memory is at most twice the bound and one frame a reactor.
 *
 * Numbers are atomic, from any thread. Who found no room registers as waiting and is woken when there may be.
 */
#ifndef BROKER_NET_REQUEST_MEMORY_H
#define BROKER_NET_REQUEST_MEMORY_H

#include <stdatomic.h>

#include "common/base.h"
#include "common/loop.h"

/* One reactor's place in the waiting room. `waiting` is set by its thread and cleared by whoever wakes it. */
struct request_memory_waiter {
    struct loop *loop;
    atomic_bool waiting;
};

struct request_memory {
    size_t limit;          /* SIZE_MAX: no bound */
    atomic_size_t used;    /* all buffers */
    atomic_size_t pending; /* of them: with complete requests in them */
    struct request_memory_waiter **waiters;
    size_t waiter_count;
};

/* limit 0: no bound. */
void request_memory_init(struct request_memory *memory, size_t limit);
void request_memory_release(struct request_memory *memory);
/* Before threads start; the waiter is borrowed. */
void request_memory_add_waiter(struct request_memory *memory, struct request_memory_waiter *waiter);

void request_memory_take(struct request_memory *memory, size_t bytes);
/* Bytes that were taken are now with a complete request. */
void request_memory_complete(struct request_memory *memory, size_t bytes);
/* Gives back `used` bytes, `pending` of which were with complete requests; wakes who waits. */
void request_memory_give(struct request_memory *memory, size_t used, size_t pending);

bool request_memory_has_room(const struct request_memory *memory);
/* Whether the chosen frame of a reactor may grow although there is no room. */
bool request_memory_has_reserve(const struct request_memory *memory);
/* Wakes all reactors, so that they see that memory is short. */
void request_memory_wake_all(struct request_memory *memory);
/* Asks for a wake-up of the loop; look again afterwards, room may have come in between. */
void request_memory_wait(struct request_memory_waiter *waiter);

#endif
